// CUDA C of the kernels that move elements (move.cc): copies between strides, rows gathered by
// number and rows added back in the order of the numbers.
#include <cuda/division.h>
#include <cuda/move.h>

namespace catena::cuda {

namespace {

constexpr const char* kText = R"(
struct Copy {
  i64 size, ndim;
  void* dst;
  const void* src;
  Divisor shape[32];
  i64 to[32], from[32];  // strides in bytes
};
struct alignas(16) u128 { u64 v[2]; };
template <class T, class N> __device__ inline void copy_strided(const Copy& c) {
  const N size = (N)c.size, step = (N)gridDim.x * kThreads;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < size; i += step) {
    N left = i;
    i64 to = 0, from = 0;
    for (int d = (int)c.ndim - 1; d > 0; --d) {
      const N q = divided(left, c.shape[d]), r = left - q * (N)c.shape[d].by;
      to += (i64)r * c.to[d];
      from += (i64)r * c.from[d];
      left = q;
    }
    to += (i64)left * c.to[0];
    from += (i64)left * c.from[0];
    *(T*)((char*)c.dst + to) = *(const T*)((const char*)c.src + from);
  }
}
// Rows of `columns` elements by number. A number that is out of bounds is reported (fault) and
// names no row; one that is to be ignored names none either.
struct Rows {
  i64 n, columns, rows, parts;
  i64 ignore_given, ignore;
  i64 fault_kind;
  i64* fault;  // kind, the number, rows: host memory
  const void* numbers;
  const void* src;
  void* dst;
  void* sums;  // put_add of 16-bit floats
};
template <class I> __device__ inline i64 row_number(const Rows& r, i64 i) {
  const i64 given = (i64)((const I*)r.numbers)[i];
  if (r.ignore_given && given == r.ignore) return -1;
  if (given < -r.rows || given >= r.rows) {
    r.fault[1] = given;
    r.fault[2] = r.rows;
    r.fault[0] = r.fault_kind;
    return -1;
  }
  return given < 0 ? given + r.rows : given;
}
template <class I, class T> __device__ inline void take_rows(const Rows& r) {
  const i64 step = (i64)gridDim.x * kThreads, size = r.n * r.columns;
  for (i64 k = (i64)blockIdx.x * kThreads + threadIdx.x; k < size; k += step) {
    const i64 i = k / r.columns, row = row_number<I>(r, i);
    ((T*)r.dst)[k] = row < 0 ? (T)0 : ((const T*)r.src)[row * r.columns + (k - i * r.columns)];
  }
}
// A thread has a column of the rows of which it is the turn, one of `parts`, a power of two: every
// element is summed in the order of the numbers.
template <class I, class S, class C> __device__ inline void add_rows(const Rows& r) {
  const i64 step = (i64)gridDim.x * kThreads, size = r.columns * r.parts;
  for (i64 k = (i64)blockIdx.x * kThreads + threadIdx.x; k < size; k += step) {
    const i64 part = k / r.columns, c = k - part * r.columns;
    for (i64 i = 0; i < r.n; ++i) {
      const i64 row = row_number<I>(r, i);
      if (row < 0 || (row & (r.parts - 1)) != part) continue;
      C* to = (C*)r.sums + row * r.columns + c;
      *to = x_add(*to, (C)load((const S*)r.src + i * r.columns + c));
    }
  }
}
template <class S> __device__ inline void narrow_sums(const Rows& r) {
  const i64 step = (i64)gridDim.x * kThreads, size = r.rows * r.columns;
  for (i64 k = (i64)blockIdx.x * kThreads + threadIdx.x; k < size; k += step)
    store((S*)r.dst + k, ((const f32*)r.sums)[k]);
}
)";

constexpr Sample kSamples[] = {
    {"copy_strided<u128, i32>", "Copy"}, {"copy_strided<u16, i64>", "Copy"},
    {"take_rows<i32, u32>", "Rows"},     {"add_rows<i32, f16, f32>", "Rows"},
    {"narrow_sums<f16>", "Rows"},        {nullptr, nullptr}};

}  // namespace

constinit const Text kMoveKernels{"move", {&kDivisionText, &kText}, kSamples};

}  // namespace catena::cuda
