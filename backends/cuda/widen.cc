// See widen.h.
#include <cuda/widen.h>

namespace catena::cuda {
namespace {

using sdk::Run;
using sdk::Tensor;

// From float64 to 16 bits by way of float32, whose last place says which side was cut off.
constexpr const char* kText = R"(
struct Convert {
  i64 n;
  const void* src;
  void* dst;
};
__device__ inline f32 narrow_odd(f64 v) {
  const f32 f = (f32)v;
  const f64 back = (f64)f;
  u32 bits = __float_as_uint(f);
  if (back == v || v != v || (bits & 0x7fffffffu) == 0x7f800000u) return f;
  if (v < 0 ? back < v : back > v) --bits;
  return f32_bits(bits | 1u);
}
template <class D, class C> __device__ inline void put(D* to, C v) {
  if constexpr (Same<D, C>::value) *to = v;
  else if constexpr (Same<D, f64>::value) *to = (f64)v;
  else if constexpr (Same<D, f32>::value) *to = (f32)v;
  else if constexpr (Same<C, f64>::value) store(to, narrow_odd(v));
  else store(to, v);
}
template <class S, class D> __device__ inline void convert(const Convert& c) {
  const i64 step = (i64)gridDim.x * kThreads;
  for (i64 i = (i64)blockIdx.x * kThreads + threadIdx.x; i < c.n; i += step)
    put((D*)c.dst + i, load((const S*)c.src + i));
}
)";

// As there.
struct Convert {
  int64_t n;
  const void* src;
  void* dst;
};

constexpr Sample kSamples[] = {{"convert<f64, f16>", "Convert"}, {nullptr, nullptr}};

}  // namespace

constinit const Text kWidenKernels{"widen", {&kText}, kSamples};

ctn_dtype compute_dtype(const sdk::Call& call) {
  bool wide = false;
  for (int k = 0; k < call.n_in(); ++k)
    wide |= call.has(k) && call.in(k).dtype_index() == CTN_FLOAT64;
  return sdk::dtype_of(wide ? CTN_FLOAT64 : CTN_FLOAT32);
}

void convert(Device& d, ctn_dtype from, const void* src, ctn_dtype to, void* dst, int64_t n) {
  static Native* const kernels = new Native(kWidenKernels);
  if (n == 0) return;
  const Convert c{n, src, dst};
  queue(d, kernels->find(d, "convert", {type_name(from), type_name(to)}, "Convert"), n, &c);
}

const void* data_as(const Run& run, const Tensor& t, ctn_dtype dtype) {
  if (!t.present()) return nullptr;
  if (sdk::same_dtype(t.dtype(), dtype)) return t.data();
  char* to = run.scratch<char>(t.size() * sdk::dtype_bytes(dtype));
  convert(device_of(run), t.dtype(), t.data(), dtype, to, t.size());
  return to;
}

OutputAs::OutputAs(const Run& run, int k, ctn_dtype dtype)
    : run_(run), t_(run.out(k)), dtype_(dtype), data_(t_.data()) {
  if (!sdk::same_dtype(t_.dtype(), dtype))
    data_ = run.scratch<char>(t_.size() * sdk::dtype_bytes(dtype));
}

void OutputAs::store() const {
  if (data_ != t_.data()) convert(device_of(run_), dtype_, data_, t_.dtype(), t_.data(), t_.size());
}

}  // namespace catena::cuda
