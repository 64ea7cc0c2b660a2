// Kernel of dropout: the numbers that the context's stream would give next, made where they are
// used. A context that draws its own numbers hands them over.
#include <catena/op_attrs.hpp>

#include <cuda/memory.h>
#include <cuda/native.h>

#include <algorithm>
#include <cmath>
#include <memory>

namespace catena::cuda {
namespace {

using sdk::Run;

constexpr const char* kText = R"(
struct Dropout {
  i64 n;
  const void* x;
  void *y, *mask;
  u64 seed, position;  // of the first number
  const u64* base;     // of what was captured: the seed, and what is added to the position
  u64 least;           // of a number's 53 bits that is kept
  f64 scale;           // of elements that stay
  const f64* draws;    // those of a context that draws itself, and the least of them that is kept
  f64 ratio;
};
struct Words { u64 w[2]; };
__device__ inline Words philox(u64 block, u64 seed) {
  u32 x0 = (u32)block, x1 = (u32)(block >> 32) & 0x7fffffffu, x2 = 0, x3 = 0;
  u32 key0 = (u32)seed, key1 = (u32)(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const u64 p0 = (u64)0xD2511F53u * x0, p1 = (u64)0xCD9E8D57u * x2;
    x0 = (u32)(p1 >> 32) ^ x1 ^ key0;
    x1 = (u32)p1;
    x2 = (u32)(p0 >> 32) ^ x3 ^ key1;
    x3 = (u32)p0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  Words words;
  words.w[0] = (u64)x1 << 32 | x0;
  words.w[1] = (u64)x3 << 32 | x2;
  return words;
}
template <class S> __device__ inline void drop(const Dropout& p, i64 i, bool keep) {
  typedef Wide<S> C;
  const C scale = keep ? (C)p.scale : (C)0;
  store((S*)p.mask + i, scale);
  store((S*)p.y + i, load((const S*)p.x + i) * scale);
}
// A thread makes the two numbers of a block.
template <class S> __device__ inline void dropout(const Dropout& p) {
  const u64 seed = p.base ? p.base[0] : p.seed;
  const u64 position = p.position + (p.base ? p.base[1] : 0);
  const i64 step = (i64)gridDim.x * kThreads, skip = (i64)(position & 1);
  for (i64 b = (i64)blockIdx.x * kThreads + threadIdx.x; 2 * b - skip < p.n; b += step) {
    const Words words = philox(position / 2 + (u64)b, seed);
    #pragma unroll
    for (int u = 0; u < 2; ++u) {
      const i64 i = 2 * b - skip + u;
      if (i >= 0 && i < p.n) drop<S>(p, i, words.w[u] >> 11 >= p.least);
    }
  }
}
template <class S> __device__ inline void dropout_drawn(const Dropout& p) {
  const i64 step = (i64)gridDim.x * kThreads;
  for (i64 i = (i64)blockIdx.x * kThreads + threadIdx.x; i < p.n; i += step)
    drop<S>(p, i, p.draws[i] >= p.ratio);
}
)";

// As there.
struct Dropout {
  int64_t n;
  const void* x;
  void *y, *mask;
  uint64_t seed, position;
  const uint64_t* base;
  uint64_t least;
  double scale;
  const double* draws;
  double ratio;
};

constexpr Sample kSamples[] = {
    {"dropout<f32>", "Dropout"}, {"dropout_drawn<f32>", "Dropout"}, {nullptr, nullptr}};

// Numbers of a context that draws itself, a stretch at a time.
const double* drawn(const Run& run, int64_t n) {
  constexpr int64_t kStretch = 1 << 16;
  double* to = run.scratch<double>(n);
  const std::unique_ptr<double[]> host(new double[static_cast<size_t>(std::min(n, kStretch))]);
  for (int64_t first = 0; first < n; first += kStretch) {
    const int64_t m = std::min(kStretch, n - first);
    sdk::check(sdk::api().random_draw(run.context(), CTN_RANDOM_UNIFORM, host.get(), m));
    copy(device_of(run).index, to + first, -1, host.get(),
         static_cast<uint64_t>(m) * sizeof(double));
  }
  return to;
}

void dropout(const Run& run) {
  static Native* const kernels = new Native(kNoiseKernels);
  Device& d = device_of(run);
  const ctn_dtype dtype = run.in(0).dtype();
  Dropout p{};
  p.n = run.in(0).size();
  p.x = run.in(0).data();
  p.y = run.out(0).data();
  p.mask = run.out(1).data();
  p.ratio = run.f(attr::dropout_random::ratio);
  p.least = static_cast<uint64_t>(std::ceil(std::ldexp(p.ratio, 53)));
  sdk::dispatch_float(dtype, [&]<class T>() {
    p.scale = static_cast<double>(static_cast<T>(1.0 / (1.0 - p.ratio)));
  });
  ctn_philox stream{};
  const ctn_status taken = sdk::host->random_take(run.context(), CTN_RANDOM_UNIFORM, p.n, &stream);
  if (taken == CTN_EUNSUPPORTED) {
    p.draws = drawn(run, p.n);
  } else {
    sdk::check(taken);
    p.seed = stream.seed;
    p.position = stream.position;
    p.base = stream.base;
  }
  const char* const name = p.draws ? "dropout_drawn" : "dropout";
  queue(d, kernels->find(d, name, {type_name(dtype)}, "Dropout"), p.draws ? p.n : p.n / 2 + 1, &p);
  note(run, "dropout");
}

}  // namespace

constinit const Text kNoiseKernels{"noise", {&kText}, kSamples};

ctn_status register_noise(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin, {{"dropout_random", sdk::kernel<dropout>}});
}

}  // namespace catena::cuda
