// Kernels that move elements without computing: joins, parts put into zeros, rows gathered by
// number, and rows added back in the order of the numbers. A number out of bounds is an error of
// the next wait: the device finds it when the caller is long gone.
#include <catena/op_attrs.hpp>

#include <cuda/division.h>
#include <cuda/move.h>

#include <algorithm>
#include <bit>

namespace catena::cuda {
namespace {

using sdk::Dims;
using sdk::Run;
using sdk::Tensor;

// As in move_text.cc.
struct Copy {
  int64_t size, ndim;
  void* dst;
  const void* src;
  Divisor shape[CTN_MAX_NDIM];
  int64_t to[CTN_MAX_NDIM], from[CTN_MAX_NDIM];
};
struct Rows {
  int64_t n, columns, rows, parts;
  int64_t ignore_given, ignore;
  int64_t fault_kind;
  int64_t* fault;
  const void* numbers;
  const void* src;
  void* dst;
  void* sums;
};

Native& kernels() {
  static Native* const n = new Native(kMoveKernels);
  return *n;
}

Dims in_bytes(std::span<const int64_t> strides, int64_t item) {
  Dims bytes;
  for (const int64_t s : strides) bytes.push(s * item);
  return bytes;
}

void concat(const Run& run) {
  Device& d = device_of(run);
  const Tensor y = run.out(0);
  const int64_t item = sdk::dtype_bytes(y.dtype());
  const int axis = sdk::wrap_axis(run.i(attr::concat::axis), y.ndim());
  const Dims to = in_bytes(sdk::c_strides(y.shape()).span(), item);
  char* dst = y.data<char>();
  for (int k = 0; k < run.n_in(); ++k) {
    const Tensor x = run.in(k);
    copy_strided(d, x.shape(), item, dst, to.span(), x.data(), in_bytes(x.strides(), item).span());
    dst += x.shape(axis) * to[axis];
  }
  note(run, "concat");
}

// Of arrays that were in a layout of ours: parts of plain ones are views.
void split_axis(const Run& run) {
  Device& d = device_of(run);
  const Tensor x = run.in(0);
  const int64_t item = sdk::dtype_bytes(x.dtype());
  const int axis = sdk::wrap_axis(run.i(attr::split_axis::axis), x.ndim());
  const Dims from = in_bytes(x.strides(), item);
  const char* src = x.data<char>();
  for (int k = 0; k < run.n_out(); ++k) {
    const Tensor y = run.out(k);
    const Dims to = in_bytes(sdk::c_strides(y.shape()).span(), item);
    copy_strided(d, y.shape(), item, y.data(), to.span(), src, from.span());
    src += y.shape(axis) * from[axis];
  }
  note(run, "split_axis");
}

void put_slice(const Run& run) {
  Device& d = device_of(run);
  const Tensor x = run.in(0), y = run.out(0);
  const auto start = run.ints(attr::put_slice::start), step = run.ints(attr::put_slice::step);
  const int64_t item = sdk::dtype_bytes(y.dtype());
  fill_zero(d, y.data(), y.size() * item);
  if (x.size() == 0) return note(run, "put_slice");  // then `start` may be any number
  Dims to = in_bytes(sdk::c_strides(y.shape()).span(), item);
  char* dst = y.data<char>();
  for (int k = 0; k < to.size(); ++k) {
    dst += start[static_cast<size_t>(k)] * to[k];
    if (x.shape(k) > 1) to[k] *= step[static_cast<size_t>(k)];
  }
  copy_strided(d, x.shape(), item, dst, to.span(), x.data(), in_bytes(x.strides(), item).span());
  note(run, "put_slice");
}

// ---- rows by number

void gather(const Run& run, const Tensor& x, const Tensor& numbers, const Tensor& y, Rows r) {
  Device& d = device_of(run);
  r.n = numbers.size();
  r.rows = x.shape(0);
  r.columns = sdk::size_of(x.shape().subspan(1));
  r.fault = fault_of(run);
  r.numbers = numbers.data();
  r.src = x.data();
  r.dst = y.data();
  const char* const bits = bits_name(sdk::dtype_bytes(x.dtype()));
  queue(d, kernels().find(d, "take_rows", {index_name(numbers.dtype()), bits}, "Rows"),
        r.n * r.columns, &r);
}

void scatter(const Run& run, const Tensor& x, const Tensor& numbers, const Tensor& y, Rows r) {
  Device& d = device_of(run);
  r.n = numbers.size();
  r.rows = y.shape(0);
  r.columns = sdk::size_of(y.shape().subspan(1));
  r.fault = fault_of(run);
  r.numbers = numbers.data();
  r.src = x.data();
  r.dst = r.sums = y.data();
  const std::string_view type = type_name(y.dtype());
  const bool narrow = type.ends_with("f16");
  int64_t bytes = y.size() * sdk::dtype_bytes(y.dtype());
  if (narrow) {
    r.sums = run.scratch<float>(y.size());
    bytes = y.size() * static_cast<int64_t>(sizeof(float));
  }
  fill_zero(d, r.sums, bytes);
  // more parts would read the numbers more often than that they add rows
  constexpr uint64_t kMostParts = 64;
  r.parts = static_cast<int64_t>(
      std::min(kMostParts, std::bit_ceil(static_cast<uint64_t>(r.n / 16 + 1))));
  const std::string_view sums = narrow ? "f32" : type;
  queue(d, kernels().find(d, "add_rows", {index_name(numbers.dtype()), type, sums}, "Rows"),
        r.columns * r.parts, &r);
  if (!narrow) return;
  queue(d, kernels().find(d, "narrow_sums", {type}, "Rows"), y.size(), &r);
}

void take(const Run& run) {
  Rows r{};
  r.fault_kind = kBadIndex;
  gather(run, run.in(in::take::x), run.in(in::take::indices), run.out(0), r);
  note(run, "take");
}

void put_add(const Run& run) {
  Rows r{};
  r.fault_kind = kBadIndex;
  scatter(run, run.in(in::put_add::x), run.in(in::put_add::indices), run.out(0), r);
  note(run, "put_add");
}

Rows embedding(const Run& run, int ignore_attr) {
  Rows r{};
  r.ignore_given = !run.is_none(ignore_attr);
  r.ignore = r.ignore_given ? run.i(ignore_attr) : 0;
  r.fault_kind = kBadId;
  return r;
}

void embed_id(const Run& run) {
  gather(run, run.in(in::embed_id::W), run.in(in::embed_id::x), run.out(0),
         embedding(run, attr::embed_id::ignore_label));
  note(run, "embed_id");
}

void embed_id_grad(const Run& run) {
  scatter(run, run.in(in::embed_id_grad::gy), run.in(in::embed_id_grad::x), run.out(0),
          embedding(run, attr::embed_id_grad::ignore_label));
  note(run, "embed_id_grad");
}

// Neighbours that lie side by side on both sides, up to 16 bytes of them, as one element; its size.
int64_t widened(Copy& c, int64_t item) {
  const int64_t last = c.ndim - 1;
  if (last < 0 || c.to[last] != item || c.from[last] != item) return item;
  auto bits = static_cast<uint64_t>(c.shape[last].by * item);
  bits |= reinterpret_cast<uintptr_t>(c.dst) | reinterpret_cast<uintptr_t>(c.src);
  for (int64_t k = 0; k < last; ++k) bits |= static_cast<uint64_t>(c.to[k] | c.from[k]);
  const int64_t wide = std::min<int64_t>(16, int64_t{1} << std::countr_zero(bits));
  if (wide <= item) return item;
  c.shape[last].by = c.shape[last].by * item / wide;
  c.to[last] = c.from[last] = wide;
  return wide;
}

}  // namespace

void copy_strided(Device& d, std::span<const int64_t> shape, int64_t item, void* dst,
                  std::span<const int64_t> dst_strides, const void* src,
                  std::span<const int64_t> src_strides) {
  if (sdk::size_of(shape) == 0) return;
  Copy c{};
  c.dst = dst;
  c.src = src;
  for (size_t k = 0; k < shape.size(); ++k) {
    if (shape[k] == 1) continue;
    const int64_t last = c.ndim - 1;
    if (last >= 0 && c.to[last] == dst_strides[k] * shape[k] &&
        c.from[last] == src_strides[k] * shape[k]) {
      c.shape[last].by *= shape[k];
      c.to[last] = dst_strides[k];
      c.from[last] = src_strides[k];
    } else {
      c.shape[c.ndim].by = shape[k];
      c.to[c.ndim] = dst_strides[k];
      c.from[c.ndim++] = src_strides[k];
    }
  }
  item = widened(c, item);
  c.size = 1;
  for (int64_t k = 0; k < c.ndim; ++k) {
    c.size *= c.shape[k].by;
    c.shape[k] = Divisor(c.shape[k].by);
  }
  const char* const count = count_type(static_cast<double>(c.size));
  const char* const bits = item == 16 ? "u128" : bits_name(item);
  queue(d, kernels().find(d, "copy_strided", {bits, count}, "Copy"), c.size, &c);
}

ctn_status register_move(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"concat", sdk::kernel<concat>, CTN_KERNEL_STRIDED},
                      {"split_axis", sdk::kernel<split_axis>, CTN_KERNEL_STRIDED},
                      {"put_slice", sdk::kernel<put_slice>, CTN_KERNEL_STRIDED},
                      {"take", sdk::kernel<take>},
                      {"put_add", sdk::kernel<put_add>},
                      {"embed_id", sdk::kernel<embed_id>},
                      {"embed_id_grad", sdk::kernel<embed_id_grad>}});
}

}  // namespace catena::cuda
