// Indexing: the view that integers, slices, ellipsis and new axes select, and its gradient, which
// puts what comes back into zeros. Index arrays are the business of gather.cc.
#include "index.h"

#include <utility>

namespace catena::functions {

using sdk::Call;
using sdk::Dims;
using sdk::Grad;
using sdk::op;
using sdk::Outs;
using sdk::Tensor;
using sdk::Var;

// ---- reading indexes

namespace {

bool is_new_axis(const ctn_value& v) {
  return v.kind == CTN_NONE || v.kind == CTN_ABSENT || v.kind == CTN_NEWAXIS;
}

bool is_array(const ctn_value& v) { return v.kind == CTN_ARRAY || v.kind == CTN_INTS; }

int64_t clamp(int64_t v, int64_t low, int64_t high) { return std::min(std::max(v, low), high); }

}  // namespace

// As Python's slice.indices.
Range resolve_slice(const ctn_slice& s, int64_t size) {
  Range r;
  r.step = (s.has & 4u) != 0 ? s.step : 1;
  if (r.step == 0) sdk::fail(CTN_EINVAL, "slice step cannot be zero");
  if (r.step == INT64_MIN) r.step = -INT64_MAX;
  const bool down = r.step < 0;
  const int64_t low = down ? -1 : 0, high = down ? size - 1 : size;
  auto bound = [&](bool given, int64_t v, int64_t otherwise) {
    if (!given) return otherwise;
    return clamp(v < 0 ? v + size : v, low, high);
  };
  const int64_t start = bound((s.has & 1u) != 0, s.start, down ? high : low);
  const int64_t stop = bound((s.has & 2u) != 0, s.stop, down ? low : high);
  r.start = start;
  if (down)
    r.size = stop < start ? (start - stop - 1) / -r.step + 1 : 0;
  else
    r.size = start < stop ? (stop - start - 1) / r.step + 1 : 0;
  if (r.size == 0) r.start = 0;
  if (r.size <= 1) r.step = 1;  // whatever was given: it leads nowhere
  return r;
}

std::vector<ctn_value> index_items(const ctn_value& slices) {
  std::vector<ctn_value> items;
  if (slices.kind == CTN_LIST) {
    items.assign(slices.u.list, slices.u.list + slices.n);
  } else if (slices.kind == CTN_INTS) {  // a tuple of integers
    for (uint32_t k = 0; k < slices.n; ++k) items.push_back(sdk::Value(slices.u.is[k]).v);
  } else {
    items.push_back(slices);
  }
  return items;
}

namespace {

// Axes of x that an item uses up.
int axes_used(const ctn_value& v) {
  if (is_new_axis(v) || v.kind == CTN_ELLIPSIS) return 0;
  if (v.kind != CTN_ARRAY) return 1;
  ctn_dltensor t;
  sdk::check(sdk::api().array_spec(v.u.array, &t));
  return t.dtype.code == CTN_DT_BOOL ? t.ndim : 1;
}

}  // namespace

std::vector<Item> resolve_items(std::span<const ctn_value> given, std::span<const int64_t> shape) {
  const int ndim = static_cast<int>(shape.size());
  int used = 0;
  bool ellipsis = false;
  for (const ctn_value& v : given) {
    used += axes_used(v);
    if (v.kind != CTN_ELLIPSIS) continue;
    if (ellipsis) sdk::fail(CTN_EINVAL, "an index can only have a single ellipsis ('...')");
    ellipsis = true;
  }
  if (used > ndim)
    sdk::refuse("GetItem", sdk::text("in_types[0].ndim >= ", used), sdk::text(ndim, " < ", used));
  std::vector<Item> items;
  int axis = 0;
  bool apart = false;
  auto whole = [&](int n) {
    for (; n > 0; --n, ++axis)
      items.push_back({Item::kSlice, axis, {0, shape[static_cast<size_t>(axis)], 1}, {}, false});
  };
  for (const ctn_value& v : given) {
    if (v.kind == CTN_ELLIPSIS) {
      apart = used == ndim;
      whole(ndim - used);
      continue;
    }
    if (is_new_axis(v)) {
      items.push_back({Item::kNewAxis, axis, {}, {}, false});
    } else if (is_array(v)) {
      items.push_back({Item::kArray, axis, {}, v, false});
      axis += axes_used(v);
    } else if (v.kind == CTN_SLICE) {
      const Range r = resolve_slice(*v.u.slice, shape[static_cast<size_t>(axis)]);
      items.push_back({Item::kSlice, axis++, r, {}, false});
    } else if (v.kind == CTN_INT) {
      const int64_t size = shape[static_cast<size_t>(axis)];
      if (v.u.i < -size || v.u.i >= size)
        sdk::fail(CTN_EINVAL, "index ", v.u.i, " is out of bounds for axis ", axis, " with size ",
                  size);
      items.push_back({Item::kInt, axis++, {v.u.i < 0 ? v.u.i + size : v.u.i, 1, 1}, v, false});
    } else {
      sdk::fail(CTN_EINVAL, "an index is an integer, slice, ellipsis, None or an array");
    }
    items.back().apart = std::exchange(apart, false);
  }
  if (!ellipsis) whole(ndim - used);
  return items;
}

// ---- get_item_view

namespace {

std::vector<Item> view_items(const sdk::Attrs& attrs, std::span<const int64_t> shape) {
  const std::vector<ctn_value> given = index_items(attrs[attr::get_item_view::slices]);
  std::vector<Item> items = resolve_items(given, shape);
  for (const Item& item : items)
    if (item.kind == Item::kArray) sdk::fail(CTN_EINVAL, "a view has no index arrays");
  return items;
}

}  // namespace

void get_item_view_infer(const Call& call, Outs out) {
  const Tensor x = call.in(0);
  Dims shape, strides;
  int64_t offset = 0;
  bool empty = false;
  for (const Item& item : view_items(call, x.shape())) {
    if (item.kind == Item::kNewAxis) {
      shape.push(1);
      strides.push(0);
      continue;
    }
    const int64_t stride = x.stride(item.axis);
    offset += item.range.start * stride;
    empty = empty || item.range.size == 0;
    if (item.kind == Item::kInt) continue;
    shape.push(item.range.size);
    strides.push(item.range.step * stride);
  }
  out[0].view(0, x.dtype(), shape, strides, empty ? 0 : offset);
}

void get_item_view_backward(Grad& g) {
  if (!g.gy()) return;
  const Dims shape = g.in_spec(0).shape();
  Dims start, step, size;  // of gy with the axes of x
  for (const Item& item : view_items(g, shape)) {
    if (item.kind == Item::kNewAxis) continue;
    start.push(item.range.start);
    step.push(item.range.step);
    size.push(item.range.size);
  }
  const Var gy = op<"reshape">({g.gy()}, {size});
  g.set(0, op<"put_slice">({gy}, {shape, start, step}));
}

// ---- slice, put_slice: each the gradient of the other

namespace {

void check_slice(std::span<const int64_t> whole, std::span<const int64_t> part,
                 std::span<const int64_t> start, std::span<const int64_t> step) {
  const size_t n = whole.size();
  bool fits = part.size() == n && start.size() == n && step.size() == n;
  for (size_t k = 0; fits && k < n; ++k) {
    if (part[k] < 0 || step[k] == 0) fits = false;
    if (!fits || part[k] == 0) continue;
    int64_t last = 0;
    fits = !__builtin_mul_overflow(part[k] - 1, step[k], &last) &&
           !__builtin_add_overflow(last, start[k], &last) && start[k] >= 0 && start[k] < whole[k] &&
           last >= 0 && last < whole[k];
  }
  if (!fits)
    sdk::fail(CTN_EINVAL, "a part of shape ", part, " from ", start, " by ", step,
              " does not lie inside ", whole);
}

}  // namespace

void slice_infer(const Call& call, Outs out) {
  const Tensor x = call.in(0);
  const auto shape = call.ints(attr::slice::shape);
  const auto start = call.ints(attr::slice::start), step = call.ints(attr::slice::step);
  check_slice(x.shape(), shape, start, step);
  // Of fewer than two elements along an axis the step may be any number, of none the start.
  const bool empty = sdk::size_of(shape) == 0;
  Dims strides;
  int64_t offset = 0;
  for (int k = 0; k < x.ndim(); ++k) {
    const auto at = static_cast<size_t>(k);
    if (!empty) offset += start[at] * x.stride(k);
    strides.push(shape[at] > 1 ? step[at] * x.stride(k) : x.stride(k));
  }
  out[0].view(0, x.dtype(), shape, strides, offset);
}

void slice_backward(Grad& g) {
  if (!g.gy()) return;
  g.set(0, op<"put_slice">({g.gy()}, {g.in_spec(0).shape(), g.ints(attr::slice::start),
                                      g.ints(attr::slice::step)}));
}

void put_slice_infer(const Call& call, Outs out) {
  const auto shape = call.ints(attr::put_slice::shape);
  check_slice(shape, call.in(0).shape(), call.ints(attr::put_slice::start),
              call.ints(attr::put_slice::step));
  out[0].make(call.in(0).dtype(), shape);
}

void put_slice_backward(Grad& g) {
  if (!g.gy()) return;
  g.set(0, op<"slice">({g.gy()}, {g.in_spec(0).shape(), g.ints(attr::put_slice::start),
                                  g.ints(attr::put_slice::step)}));
}

}  // namespace catena::functions
