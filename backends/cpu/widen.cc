// Conversions between floating dtypes, by the casts of the expression loops.
#include <cpu/widen.h>

#include <cpu/copy.h>
#include <cpu/isa.h>

#include <algorithm>

namespace catena::cpu {
namespace {

constexpr int64_t kGrain = 1 << 15;
constexpr int64_t kBlock = 512;

bool is_narrow(int dtype) { return dtype == CTN_FLOAT16 || dtype == CTN_BFLOAT16; }

StepFn cast(int from, int to) {
  return loops_of(isa()).step(
      {CTN_X_CAST, static_cast<uint8_t>(to), static_cast<uint8_t>(from), 0});
}

}  // namespace

void convert_floats(ctn_exec exec, ctn_dtype from, const void* src, ctn_dtype to, void* dst,
                    int64_t n) {
  const int from_index = sdk::dtype_index(from), to_index = sdk::dtype_index(to);
  // float16 and float64 meet in float32; on the way down its last place says which side was cut off
  const bool down = from_index == CTN_FLOAT64 && is_narrow(to_index);
  const bool up = is_narrow(from_index) && to_index == CTN_FLOAT64;
  const StepFn first = up ? cast(from_index, CTN_FLOAT32) : cast(from_index, to_index);
  const StepFn second = cast(CTN_FLOAT32, to_index);
  const int64_t from_bytes = sdk::dtype_bytes(from), to_bytes = sdk::dtype_bytes(to);
  sdk::parallel_for(exec, n, kGrain, [&](int64_t begin, int64_t end) {
    const char* a = static_cast<const char*>(src) + begin * from_bytes;
    char* d = static_cast<char*>(dst) + begin * to_bytes;
    if (!up && !down) return first(d, a, nullptr, nullptr, end - begin);
    for (int64_t at = begin; at < end; at += kBlock) {
      const int64_t part = std::min(kBlock, end - at);
      float block[kBlock];
      if (down) {
        const auto* x = reinterpret_cast<const double*>(a);
        std::transform(x, x + part, block, sdk::narrow_odd);
      } else {
        first(block, a, nullptr, nullptr, part);
      }
      second(d, block, nullptr, nullptr, part);
      a += part * from_bytes;
      d += part * to_bytes;
    }
  });
}

template <class C>
const C* widened(const sdk::Run& run, const sdk::Tensor& t) {
  if (!t.present()) return nullptr;
  const char* data = t.data<const char>();
  if (!t.contiguous()) {
    const int64_t item = sdk::dtype_bytes(t.dtype());
    sdk::Dims from, to = sdk::c_strides(t.shape());
    for (int k = 0; k < t.ndim(); ++k) {
      from.push(t.stride(k) * item);
      to[k] *= item;
    }
    char* copy = run.scratch<char>(t.size() * item);
    copy_strided(run.exec(), t.shape(), item, copy, to.span(), data, from.span());
    data = copy;
  }
  if (t.dtype_index() == sdk::kDtypeOf<C>) return reinterpret_cast<const C*>(data);
  C* wide = run.scratch<C>(t.size());
  convert_floats(run.exec(), t.dtype(), data, sdk::dtype_of(sdk::kDtypeOf<C>), wide, t.size());
  return wide;
}

template const float* widened(const sdk::Run&, const sdk::Tensor&);
template const double* widened(const sdk::Run&, const sdk::Tensor&);

}  // namespace catena::cpu
