// The loops around the tiles: A is packed once into panels of a tile's rows, each task packs some
// panels of B into memory of its own and runs through the tiles. A tile's sums go to C once in
// kSteps steps; a block of A and a task's panels of B stay in the second-level cache meanwhile.
#include <cpu/blas/product.h>

#include <catena/sdk/kernel.hpp>

#include <algorithm>
#include <bit>
#include <thread>

namespace catena::cpu {
namespace {

constexpr int64_t kTaskPanels = 8;       // most panels of B in one task
constexpr int64_t kTasks = 16;           // tasks to aim at when there is work for them
constexpr int64_t kTaskWork = 1 << 19;   // least multiplications of a task
constexpr int64_t kPackedA = 8 << 20;    // bytes of A packed at a time
constexpr int64_t kRowsOfA = 512 << 10;  // bytes of A that a panel of B meets: second-level cache
constexpr int64_t kSteps = 512;          // most steps between updates of C
constexpr int64_t kInPlaceRows = 16;     // up to this many rows of C packing B does not pay
constexpr int64_t kStackBytes = 16 << 10;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Of one block of a reduced dimension of k.
int64_t most_steps(int64_t k) { return divide_up(k, std::max<int64_t>(1, divide_up(k, kSteps))); }

// Everything that follows from the shape.
template <class T>
struct Blocks {
  int64_t m, n, k;
  int64_t panel;        // columns of a whole panel of B
  int64_t tiles;        // tiles down C
  int64_t rows, extra;  // rows of a tile; the first `extra` tiles have one more
  int64_t steps;        // of one block of the reduced dimension
  int64_t block_tiles;  // tiles that a panel of B meets before the next panel does
  int64_t round;        // steps for which A is packed at a time
  int64_t task_panels, column_tasks;
  int64_t task_tiles, row_tasks;

  Blocks(const Dense<T>& d, int64_t m_, int64_t n_, int64_t k_) : m(m_), n(n_), k(k_) {
    panel = 2 * d.lanes;
    tiles = divide_up(m, d.tile_rows);
    rows = m / tiles;
    extra = m % tiles;
    constexpr int64_t kBytes = sizeof(T);
    steps = most_steps(k);
    block_tiles =
        std::max<int64_t>(1, kRowsOfA / (std::max<int64_t>(1, steps) * (rows + 1) * kBytes));
    const int64_t fit = kPackedA / kBytes / m;
    round = fit >= k ? k : std::max<int64_t>(1, fit / std::max<int64_t>(1, steps)) * steps;
    const int64_t panels = divide_up(n, panel);
    const int64_t least = divide_up(kTaskWork, std::max<int64_t>(1, m * k * panel));
    task_panels =
        std::clamp(std::max(panels / kTasks, std::min(least, panels)), int64_t{1}, kTaskPanels);
    if (k < kFetchSteps) {  // it is C that takes the time: whole rows, one tile after the other
      task_panels = std::min(panels, kTaskPanels);
      block_tiles = 1;
    }
    column_tasks = divide_up(panels, task_panels);
    const int64_t work = m * k * task_panels * panel;
    const int64_t parts = std::min({kTasks / column_tasks, work / kTaskWork, tiles / 4});
    task_tiles = divide_up(tiles, std::max<int64_t>(1, parts));
    row_tasks = divide_up(tiles, task_tiles);
  }

  int64_t tasks() const { return column_tasks * row_tasks; }
  int64_t row(int64_t tile) const { return tile * rows + std::min(tile, extra); }
  // one vector more: packing may store whole vectors
  int64_t a_elements() const { return m * round + kMaxLanes; }
  int64_t b_elements() const { return steps * task_panels * panel; }
};

template <class T>
class Run {
 public:
  Run(const Dense<T>& d, const Product<T>& p) : dense_(d), product_(p), blocks_(d, p.m, p.n, p.k) {}
  const Blocks<T>& blocks() const { return blocks_; }

  // Panels of A of tiles [t0, t1) for the round of steps at p.
  void pack_a(int64_t p, int64_t t0, int64_t t1, T* a) const {
    const int64_t k = std::min(blocks_.round, blocks_.k - p);
    if (k == 0) return;  // A may be nowhere
    for (int64_t t = t0; t < t1; ++t) {
      const int64_t i = blocks_.row(t), m = blocks_.row(t + 1) - i;
      product_.a->pack(p, k, i, m, a + i * k, m);
    }
  }

  // Columns and tiles of one task, for the round of steps at p.
  void task(int64_t index, int64_t p, const T* a, T* b) const {
    const int64_t t0 = index / blocks_.column_tasks * blocks_.task_tiles;
    const int64_t t1 = std::min(t0 + blocks_.task_tiles, blocks_.tiles);
    const int64_t width = blocks_.task_panels * blocks_.panel;
    const int64_t j0 = index % blocks_.column_tasks * width;
    const int64_t j1 = std::min(j0 + width, blocks_.n);
    const int64_t round = std::min(blocks_.round, blocks_.k - p);
    int64_t q = 0;
    do {  // once even if k == 0: C = 0
      const int64_t k = std::min(blocks_.steps, round - q);
      for (int64_t s = t0; s < t1; s += blocks_.block_tiles) {
        const int64_t end = std::min(s + blocks_.block_tiles, t1);
        for (int64_t j = j0; j < j1; j += blocks_.panel) {
          const int64_t n = std::min(blocks_.panel, j1 - j);
          for (int64_t t = s; t < end; ++t) {
            const int64_t i = blocks_.row(t), m = blocks_.row(t + 1) - i;
            const T* panel_a = a + i * round + q * m;
            tile({p + q, k, i, m, j, n, t - t0}, panel_a, b + (j - j0) * blocks_.steps);
          }
        }
      }
      q += k;
    } while (q < round);
  }

 private:
  struct Tile {
    int64_t p, k, i, m, j, n;
    int64_t turn;  // tiles of this task that met the panel of B before
  };

  // What tile t can fetch of the next panel while it works: every tile takes another share.
  Ahead ahead(const Tile& t) const {
    const int64_t share = t.turn * (t.k / kAheadSteps), next = t.j + blocks_.panel;
    if (share >= t.k || next + blocks_.panel > blocks_.n) return {0, 0};
    return product_.b->ahead(t.p, next, share);
  }

  void tile(const Tile& t, const T* a, T* panel) const {
    const int vectors = t.n > dense_.lanes ? 2 : 1;
    const int64_t width = vectors * dense_.lanes;
    int64_t ldb = width;
    const T* b = t.k == 0 ? panel : nullptr;  // without steps, B may be nowhere
    if (b == nullptr && product_.m <= kInPlaceRows && t.n == width)
      b = product_.b->in_place(t.p, t.j, &ldb);
    if (b == nullptr) {
      b = panel;
      if (t.turn == 0) product_.b->pack(t.p, t.k, t.j, t.n, panel, width);
    }
    const bool add = product_.add || t.p != 0;
    int mode = add ? kTileAdd : kTileStore;
    const T* bias = nullptr;
    T columns[2 * kMaxLanes];
    if (t.p == 0 && product_.row_bias != nullptr) {
      mode |= kTileBiasRows;
      bias = product_.row_bias + t.i;
    } else if (t.p == 0 && product_.column_bias != nullptr) {
      mode |= kTileBiasColumns;
      bias = product_.column_bias + t.j;
      if (t.n != width) {
        std::copy_n(bias, t.n, columns);
        std::fill(columns + t.n, columns + width, T{0});
        bias = columns;
      }
    }
    const TileFn<T> fn = dense_.tile[t.m - 1][vectors - 1];
    const Ahead fetch = ahead(t);
    T* to = t.n == width ? product_.c->place(t.j, t.n) : nullptr;
    if (to != nullptr) {
      const int64_t ld = product_.c->ld();
      fn(t.k, a, b, ldb, to + t.i * ld, ld, bias, mode, fetch);
      return;
    }
    alignas(64) T block[kMaxTileRows * 2 * kMaxLanes];
    fn(t.k, a, b, ldb, block, width, bias, mode & ~kTileAdd, fetch);
    product_.c->put(block, width, t.i, t.m, t.j, t.n, add);
  }

  const Dense<T>& dense_;
  const Product<T>& product_;
  const Blocks<T> blocks_;
};

template <class T>
void run_serial(const Run<T>& run, T* memory) {
  const Blocks<T>& blocks = run.blocks();
  T* b = memory + divide_up(blocks.a_elements(), kMaxLanes) * kMaxLanes;
  int64_t p = 0;
  do {
    run.pack_a(p, 0, blocks.tiles, memory);
    for (int64_t task = 0; task < blocks.tasks(); ++task) run.task(task, p, memory, b);
    p += blocks.round;
  } while (p < blocks.k);
}

template <class T>
int64_t serial_elements(const Blocks<T>& blocks) {
  return divide_up(blocks.a_elements(), kMaxLanes) * kMaxLanes + blocks.b_elements();
}

template <class T>
T* scratch(ctn_exec exec, int64_t elements) {
  void* p = nullptr;
  sdk::check(sdk::host->scratch(exec, static_cast<uint64_t>(elements) * sizeof(T), &p));
  return static_cast<T*>(p);
}

}  // namespace

// A product of fewer rows may have more panels in a task, and more steps in a round.
template <class T>
int64_t serial_elements(const Dense<T>& dense, int64_t m, int64_t n, int64_t k) {
  if (m == 0 || n == 0) return 0;
  constexpr int64_t kBytes = sizeof(T);
  const int64_t steps = most_steps(k), panel = 2 * dense.lanes;
  const int64_t a = std::min(m * k, std::max(kPackedA / kBytes, m * steps)) + kMaxLanes;
  const int64_t b = steps * std::min(divide_up(n, panel), kTaskPanels) * panel;
  return divide_up(a, kMaxLanes) * kMaxLanes + b;
}

template <class T>
void multiply_serial(const Dense<T>& dense, const Product<T>& product, T* memory) {
  if (product.m != 0 && product.n != 0) run_serial(Run<T>(dense, product), memory);
}

template <class T>
void multiply(ctn_exec exec, const Dense<T>& dense, const Product<T>& product) {
  if (product.m == 0 || product.n == 0) return;
  const Run<T> run(dense, product);
  const Blocks<T>& blocks = run.blocks();
  if (blocks.tasks() == 1) {
    const int64_t elements = serial_elements(blocks);
    if (elements * static_cast<int64_t>(sizeof(T)) <= kStackBytes) {
      alignas(64) T memory[kStackBytes / sizeof(T)];
      run_serial(run, memory);
    } else {
      run_serial(run, scratch<T>(exec, elements));
    }
    return;
  }
  T* a = scratch<T>(exec, blocks.a_elements());
  Slots slots(exec, blocks.b_elements() * static_cast<int64_t>(sizeof(T)), blocks.tasks());
  // Packing a tile of A is short work: give each range several.
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / (blocks.rows * blocks.round + 1));
  int64_t p = 0;
  do {
    sdk::parallel_for(exec, blocks.tiles, grain,
                      [&](int64_t t0, int64_t t1) { run.pack_a(p, t0, t1, a); });
    sdk::parallel_for(exec, blocks.tasks(), 1, [&](int64_t t0, int64_t t1) {
      const Slots::Hold slot(slots);
      for (int64_t t = t0; t < t1; ++t) run.task(t, p, a, slot.as<T>());
    });
    p += blocks.round;
  } while (p < blocks.k);
}

Slots::Slots(ctn_exec exec, int64_t bytes, int64_t tasks) : bytes_(divide_up(bytes, 64) * 64) {
  const int64_t threads = std::max<int64_t>(1, sdk::host->num_threads(exec));
  const int count = static_cast<int>(std::min({threads, tasks, int64_t{kMost}}));
  base_ = scratch<char>(exec, bytes_ * count);
  free_ = count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

Slots::Hold::Hold(Slots& slots) : slots_(slots) {
  uint64_t free = slots_.free_.load(std::memory_order_relaxed);
  for (;;) {
    if (free == 0) {
      std::this_thread::yield();
      free = slots_.free_.load(std::memory_order_relaxed);
    } else if (slots_.free_.compare_exchange_weak(
                   free, free & (free - 1), std::memory_order_acquire, std::memory_order_relaxed)) {
      index_ = std::countr_zero(free);
      return;
    }
  }
}

Slots::Hold::~Hold() { slots_.free_.fetch_or(uint64_t{1} << index_, std::memory_order_release); }

template void multiply(ctn_exec, const Dense<float>&, const Product<float>&);
template void multiply(ctn_exec, const Dense<double>&, const Product<double>&);
template int64_t serial_elements(const Dense<float>&, int64_t, int64_t, int64_t);
template int64_t serial_elements(const Dense<double>&, int64_t, int64_t, int64_t);
template void multiply_serial(const Dense<float>&, const Product<float>&, float*);
template void multiply_serial(const Dense<double>&, const Product<double>&, double*);

}  // namespace catena::cpu
