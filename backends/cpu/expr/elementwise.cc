// Elementwise launches: dense ones run in place, others through a Walk. Many small launches (one
// optimizer step over all parameters) share a frame, large work is cut into ranges for the pool.
#include <cpu/expr/program.h>

#include <algorithm>

namespace catena::cpu {

namespace {

constexpr size_t kRoom = 32 * 1024;
constexpr int32_t kGroup = 128;  // launches that share one parallel loop

// Elements of a range for the pool: about 20 microseconds of work.
int64_t grain_of(const Code& code) { return std::max<int64_t>(65536 / code.cost, 4096); }

int64_t elements(const ctn_launch& l) {
  int64_t n = 1;
  for (int d = 0; d < l.ndim; ++d) n *= l.shape[d];
  return n;
}

bool is_dense(const Program& p, const ctn_launch& l) {
  for (const Hazard& h : p.map.hazards) {
    if (l.data[h.in] == l.data[h.out]) return false;
  }
  if (l.ndim == 0) return true;
  if (l.ndim != 1) return false;
  for (uint32_t left = p.map.reads | p.map.writes; left != 0; left &= left - 1) {
    const int arg = __builtin_ctz(left);
    if (l.strides[arg] != p.sizes[arg]) return false;
  }
  return true;
}

class Runner {
 public:
  explicit Runner(const Program& p) : p_(p), room_(p.dense_bytes) {
    if (room_.get() == nullptr) return;
    Carver carver(room_.get());
    frame_.bind(p.map, carver, p.slot_block());
  }

  ctn_status run(const ctn_launch& l, int64_t begin, int64_t end) {
    if (room_.get() == nullptr) return fail_memory(p_.host, p_.dense_bytes);
    if (!is_dense(p_, l)) return run_strided(l, begin, end);
    run_dense(l, begin, end);
    return CTN_OK;
  }

 private:
  void run_dense(const ctn_launch& l, int64_t begin, int64_t end) {
    const uint32_t args = p_.map.reads | p_.map.writes;
    if (p_.map.uses_size) frame_.size = elements(l);
    const int64_t block = p_.dense_block;
    frame_.enter(l, std::min(block, end - begin));
    for (int64_t at = begin; at < end;) {
      const int64_t n = std::min(block, end - at);
      for (uint32_t left = args; left != 0; left &= left - 1) {
        const int arg = __builtin_ctz(left);
        frame_.at[arg] = static_cast<char*>(l.data[arg]) + at * p_.sizes[arg];
      }
      frame_.index.first = at;
      frame_.run(n);
      at += n;
    }
  }

  ctn_status run_strided(const ctn_launch& l, int64_t begin, int64_t end);

  const Program& p_;
  Room<kRoom> room_;
  Frame frame_;
};

ctn_status Runner::run_strided(const ctn_launch& l, int64_t begin, int64_t end) {
  const Code& code = p_.map;
  WalkArg args[CTN_FORM_MAX_ARGS];
  const int n_args = walk_args(p_, code, l, 0, args);
  size_t per_element = 0;
  for (int k = 0; k < n_args; ++k) per_element += 2 * args[k].size;
  Walk walk;
  walk.init(l.ndim, l.shape, args, n_args, choose_block(code, per_element));
  const size_t bytes = Frame::bytes(code, walk.block()) + walk.staging_bytes();
  Room<kRoom> room(bytes);
  if (room.get() == nullptr) return fail_memory(p_.host, bytes);
  Carver carver(room.get());
  Frame frame;
  frame.bind(code, carver, walk.block());
  walk.set_staging(carver);
  if (code.uses_size) frame.size = elements(l);
  frame.enter(l, std::min(walk.block(), end - begin));
  for (walk.seek(begin); walk.position() < end;) {
    const int64_t n = walk.length(end);
    frame.index.first = walk.position();
    walk.fetch(frame, n);
    frame.run(n);
    walk.flush(n);
    walk.advance(n);
  }
  return CTN_OK;
}

// Several launches as one sequence of elements.
struct Group {
  const Program* program;
  const ctn_launch* launches;
  int32_t n;
  int64_t ends[kGroup];
};

ctn_status CTN_CALL run_group(void* arg, int64_t begin, int64_t end) {
  const Group& g = *static_cast<const Group*>(arg);
  Runner runner(*g.program);
  auto k = static_cast<int32_t>(std::upper_bound(g.ends, g.ends + g.n, begin) - g.ends);
  for (; k < g.n && begin < end; ++k) {
    const int64_t start = k == 0 ? 0 : g.ends[k - 1];
    const int64_t stop = std::min(end, g.ends[k]);
    if (stop <= begin) continue;
    const ctn_status status = runner.run(g.launches[k], begin - start, stop - start);
    if (status != CTN_OK) return status;
    begin = stop;
  }
  return CTN_OK;
}

ctn_status run_serial(const Program& p, const ctn_launch* launches, int32_t n) {
  Runner runner(p);
  for (int32_t k = 0; k < n; ++k) {
    const ctn_status status = runner.run(launches[k], 0, elements(launches[k]));
    if (status != CTN_OK) return status;
  }
  return CTN_OK;
}

}  // namespace

ctn_status run_elementwise(const Program& p, const ctn_launch* launches, int32_t n) {
  const int64_t grain = grain_of(p.map);
  while (n > 0) {
    Group g;
    g.program = &p;
    g.launches = launches;
    int64_t total = 0;
    for (g.n = 0; g.n < n && g.n < kGroup; ++g.n) g.ends[g.n] = total += elements(launches[g.n]);
    const bool small = total < 2 * grain;
    const ctn_status status =
        small ? run_serial(p, launches, g.n)
              : p.host->parallel_for(launches[0].exec, total, grain, run_group, &g);
    if (status != CTN_OK) return status;
    launches += g.n;
    n -= g.n;
  }
  return CTN_OK;
}

}  // namespace catena::cpu
