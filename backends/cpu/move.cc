// Kernels that move elements without computing: joins, parts put into zeros, rows gathered by
// number, and rows added back, which is in the order of the numbers whatever the threads do.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <cpu/copy.h>
#include <cpu/kernels.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace catena::cpu {
namespace {

using sdk::Dims;
using sdk::Run;
using sdk::Tensor;

Dims in_bytes(std::span<const int64_t> strides, int64_t item) {
  Dims bytes;
  for (const int64_t s : strides) bytes.push(s * item);
  return bytes;
}

void concat(const Run& run) {
  const Tensor y = run.out(0);
  const int64_t item = sdk::dtype_bytes(y.dtype());
  const int axis = sdk::wrap_axis(run.i(attr::concat::axis), y.ndim());
  const Dims to = in_bytes(sdk::c_strides(y.shape()), item);
  char* dst = y.data<char>();
  for (int k = 0; k < run.n_in(); ++k) {
    const Tensor x = run.in(k);
    if (x.size() != 0)
      copy_strided(run.exec(), x.shape(), item, dst, to, x.data<char>(),
                   in_bytes(x.strides(), item));
    dst += x.shape(axis) * to[axis];
  }
}

// Of arrays that were in another backend's layout: parts of plain ones are views.
void split_axis(const Run& run) {
  const Tensor x = run.in(0);
  const int64_t item = sdk::dtype_bytes(x.dtype());
  const int axis = sdk::wrap_axis(run.i(attr::split_axis::axis), x.ndim());
  const Dims from = in_bytes(x.strides(), item);
  const char* src = x.data<char>();
  for (int k = 0; k < run.n_out(); ++k) {
    const Tensor y = run.out(k);
    if (y.size() != 0)
      copy_strided(run.exec(), y.shape(), item, y.data<char>(),
                   in_bytes(sdk::c_strides(y.shape()), item), src, from);
    src += y.shape(axis) * from[axis];
  }
}

void put_slice(const Run& run) {
  const Tensor x = run.in(0), y = run.out(0);
  const auto start = run.ints(attr::put_slice::start), step = run.ints(attr::put_slice::step);
  const int64_t item = sdk::dtype_bytes(y.dtype());
  fill_zero(run.exec(), y.data<char>(), y.size() * item);
  if (x.size() == 0) return;
  Dims to = in_bytes(sdk::c_strides(y.shape()), item);
  char* dst = y.data<char>();
  for (int k = 0; k < to.size(); ++k) {
    dst += start[static_cast<size_t>(k)] * to[k];
    if (x.shape(k) > 1) to[k] *= step[static_cast<size_t>(k)];
  }
  copy_strided(run.exec(), x.shape(), item, dst, to, x.data<char>(), in_bytes(x.strides(), item));
}

// ---- rows by number

// Row numbers of any integer dtype, checked and counted from the start.
template <class Index>
int64_t row_number(const Index* indices, int64_t i, int64_t rows) {
  const auto given = static_cast<int64_t>(indices[i]);
  const int64_t row = given < 0 ? given + rows : given;
  if (row < 0 || row >= rows)
    sdk::fail(CTN_EINVAL, "index ", given, " is out of bounds for axis 0 with size ", rows);
  return row;
}

constexpr int64_t kRowGrainBytes = 64 * 1024;

void take(const Run& run) {
  const Tensor x = run.in(in::take::x), numbers = run.in(in::take::indices);
  const int64_t rows = x.shape(0), n = numbers.size();
  const int64_t bytes = sdk::size_of(x.shape().subspan(1)) * sdk::dtype_bytes(x.dtype());
  const char* src = x.data<char>();
  char* dst = run.out(0).data<char>();
  const int64_t grain = std::max<int64_t>(1, kRowGrainBytes / std::max<int64_t>(bytes, 1));
  sdk::dispatch<int32_t, int64_t>(numbers.dtype(), [&]<class Index>() {
    const Index* at = numbers.data<const Index>();
    sdk::parallel_for(run, n, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        std::memcpy(dst + i * bytes, src + row_number(at, i, rows) * bytes,
                    static_cast<size_t>(bytes));
    });
  });
}

// Integers wrap.
template <class Sum>
Sum added(Sum a, Sum b) {
  if constexpr (std::is_integral_v<Sum>)
    return static_cast<Sum>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  else
    return a + b;
}

// Threads share the columns, so that every element is summed in the order of the rows.
template <class T, class Sum, class Index>
void add_rows(const Run& run, Sum* sums, int64_t rows, int64_t columns) {
  const Tensor x = run.in(in::put_add::x), numbers = run.in(in::put_add::indices);
  const T* src = x.data<const T>();
  const Index* at = numbers.data<const Index>();
  const int64_t n = numbers.size();
  const int64_t grain = 1024;
  sdk::parallel_for(run, columns, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < n; ++i) {
      Sum* to = sums + row_number(at, i, rows) * columns;
      const T* from = src + i * columns;
      for (int64_t c = begin; c < end; ++c) to[c] = added(to[c], static_cast<Sum>(from[c]));
    }
  });
}

void put_add(const Run& run) {
  const Tensor y = run.out(0);
  const int64_t rows = y.shape(0), columns = sdk::size_of(y.shape().subspan(1));
  const ctn_dtype index = run.in(in::put_add::indices).dtype();
  const auto body = [&]<class T>() {
    using Sum = sdk::compute_t<T>;
    constexpr bool kWide = !std::is_same_v<T, Sum>;
    const auto bytes = y.size() * static_cast<int64_t>(sizeof(Sum));
    Sum* sums = nullptr;
    if constexpr (kWide)
      sums = run.scratch<Sum>(y.size());
    else
      sums = y.data<T>();
    fill_zero(run.exec(), sums, bytes);
    sdk::dispatch<int32_t, int64_t>(
        index, [&]<class Index>() { add_rows<T, Sum, Index>(run, sums, rows, columns); });
    if constexpr (kWide)
      std::transform(sums, sums + y.size(), y.data<T>(), [](Sum v) { return T(v); });
  };
  sdk::dispatch<float, double, int32_t, int64_t, sdk::float16, sdk::bfloat16, int8_t, int16_t,
                uint8_t, uint16_t, uint32_t, uint64_t>(y.dtype(), body);
}

constexpr ctn_kernel_def kernel_def(std::string_view op, uint32_t flags,
                                    ctn_status(CTN_CALL* run)(void*, const ctn_run*)) {
  ctn_kernel_def def{};
  def.size = sizeof def;
  def.flags = flags;
  def.op = sdk::str(op);
  def.backend = {"cpu", 3};
  def.run = run;
  return def;
}

constexpr ctn_kernel_def kKernels[] = {
    kernel_def("concat", CTN_KERNEL_STRIDED, sdk::kernel<concat>),
    kernel_def("split_axis", CTN_KERNEL_STRIDED, sdk::kernel<split_axis>),
    kernel_def("put_slice", CTN_KERNEL_STRIDED, sdk::kernel<put_slice>),
    kernel_def("take", 0, sdk::kernel<take>),
    kernel_def("put_add", 0, sdk::kernel<put_add>),
};

}  // namespace

ctn_status register_move(const ctn_host* host, ctn_plugin plugin) {
  for (const ctn_kernel_def& def : kKernels) {
    const ctn_status status = host->add_kernel(plugin, &def);
    if (status != CTN_OK) return status;
  }
  return CTN_OK;
}

}  // namespace catena::cpu
