// CUDA C of the kernels that move elements (move.cc): copies between strides, rows gathered by
// number and rows added back in the order of the numbers.
#include <cuda/move.h>

namespace catena::cuda {

namespace {

constexpr const char* kText = R"(
struct Copy {
  i64 size, ndim;
  void* dst;
  const void* src;
  i64 shape[32], to[32], from[32];  // strides in bytes
};
template <class T> __device__ inline void copy_strided(const Copy& c) {
  const i64 step = (i64)gridDim.x * kThreads;
  for (i64 i = (i64)blockIdx.x * kThreads + threadIdx.x; i < c.size; i += step) {
    i64 left = i, to = 0, from = 0;
    for (int d = (int)c.ndim - 1; d >= 0; --d) {
      const i64 n = c.shape[d], q = left / n, r = left - q * n;
      to += r * c.to[d];
      from += r * c.from[d];
      left = q;
    }
    *(T*)((char*)c.dst + to) = *(const T*)((const char*)c.src + from);
  }
}
// Rows of `columns` elements by number. A number that is out of bounds is reported (fault) and
// names no row; one that is to be ignored names none either.
struct Rows {
  i64 n, columns, rows;
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
// A thread has a column: every element is summed in the order of the rows.
template <class I, class S, class C> __device__ inline void add_rows(const Rows& r) {
  const i64 step = (i64)gridDim.x * kThreads;
  for (i64 c = (i64)blockIdx.x * kThreads + threadIdx.x; c < r.columns; c += step) {
    for (i64 i = 0; i < r.n; ++i) {
      const i64 row = row_number<I>(r, i);
      if (row < 0) continue;
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

constexpr Sample kSamples[] = {{"copy_strided<u16>", "Copy"},
                               {"take_rows<i32, u32>", "Rows"},
                               {"add_rows<i32, f16, f32>", "Rows"},
                               {"narrow_sums<f16>", "Rows"},
                               {nullptr, nullptr}};

}  // namespace

constinit const Text kMoveKernels{"move", {&kText}, kSamples};

}  // namespace catena::cuda
