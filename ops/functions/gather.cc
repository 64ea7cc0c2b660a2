// Index arrays: get_item with them is a gather of rows, its gradient adds rows back. Integers
// beside index arrays count as arrays, and where the arrays are not neighbours their axes come
// first, as in NumPy.
#include "index.h"

namespace catena::functions {

using sdk::Array;
using sdk::Call;
using sdk::Dims;
using sdk::Grad;
using sdk::op;
using sdk::Outs;
using sdk::Ref;
using sdk::Tensor;
using sdk::Var;
using sdk::Vars;

namespace {

// One index array on the host: positions along one axis of x.
struct Positions {
  Dims shape;
  std::vector<int64_t> at;
};

std::vector<int64_t> host_copy(ctn_array a, int dtype, int64_t size) {
  ctn_array copy = nullptr;
  sdk::check(sdk::api().array_copy(a, sdk::dtype_of(dtype), &copy));
  const Array owned = Array::take(copy);
  std::vector<int64_t> values(static_cast<size_t>(size));
  sdk::check(sdk::api().array_to_host(copy, values.data(), values.size() * sizeof(int64_t)));
  return values;
}

void wrap_positions(Positions& p, int axis, int64_t size) {
  for (int64_t& at : p.at) {
    if (at < -size || at >= size)
      sdk::fail(CTN_EINVAL, "index ", at, " is out of bounds for axis ", axis, " with size ", size);
    if (at < 0) at += size;
  }
}

// The positions of the true elements, one array per axis of the mask.
void add_mask(const ctn_dltensor& t, ctn_array mask, int axis, std::span<const int64_t> shape,
              std::vector<Positions>& found) {
  const Tensor view(t);
  for (int k = 0; k < view.ndim(); ++k)
    if (view.shape(k) != shape[static_cast<size_t>(axis) + static_cast<size_t>(k)])
      sdk::fail(CTN_EINVAL, "a boolean index of shape ", view.shape(), " does not fit axis ", axis,
                " of ", shape);
  const std::vector<int64_t> values = host_copy(mask, CTN_INT64, view.size());
  const Dims steps = sdk::c_strides(view.shape());
  std::vector<Positions> axes(static_cast<size_t>(view.ndim()));
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] == 0) continue;
    for (int k = 0; k < view.ndim(); ++k)
      axes[static_cast<size_t>(k)].at.push_back(static_cast<int64_t>(i) / steps[k] % view.shape(k));
  }
  for (Positions& p : axes) {
    p.shape = Dims{static_cast<int64_t>(p.at.size())};
    found.push_back(std::move(p));
  }
}

void add_positions(const Item& item, std::span<const int64_t> shape,
                   std::vector<Positions>& found) {
  if (item.kind == Item::kInt) {
    found.push_back({Dims(), {item.range.start}});
    return;
  }
  const int64_t size = shape[static_cast<size_t>(item.axis)];
  Positions p;
  if (item.value.kind == CTN_INTS) {
    p.at.assign(item.value.u.is, item.value.u.is + item.value.n);
    p.shape = Dims{static_cast<int64_t>(item.value.n)};
  } else {
    ctn_dltensor t;
    sdk::check(sdk::api().array_spec(item.value.u.array, &t));
    if (t.dtype.code == CTN_DT_BOOL) {
      add_mask(t, item.value.u.array, item.axis, shape, found);
      return;
    }
    if (t.dtype.code != CTN_DT_INT && t.dtype.code != CTN_DT_UINT)
      sdk::fail(CTN_EDTYPE, "arrays used as indices must be of integer (or boolean) type, got ",
                sdk::dtype_name(t.dtype));
    p.shape = Dims(Tensor(t).shape());
    p.at = host_copy(item.value.u.array, CTN_INT64, Tensor(t).size());
  }
  wrap_positions(p, item.axis, size);
  found.push_back(std::move(p));
}

Dims joint_shape(const std::vector<Positions>& all) {
  Dims joint;
  for (const Positions& p : all) {
    while (joint.size() < p.shape.size()) joint.insert(0, 1);
    const int lead = joint.size() - p.shape.size();
    for (int k = 0; k < p.shape.size(); ++k) {
      int64_t& d = joint[lead + k];
      if (p.shape[k] == 1 || p.shape[k] == d) continue;
      if (d != 1)
        sdk::fail(CTN_EINVAL, "shape mismatch: indexing arrays could not be broadcast together, ",
                  p.shape.span(), " with ", joint.span());
      d = p.shape[k];
    }
  }
  return joint;
}

// Row numbers in the axes `sizes` taken as one.
std::vector<int64_t> flat_rows(const std::vector<Positions>& all, const Dims& sizes,
                               const Dims& joint) {
  int64_t count = 1;
  for (const int64_t d : joint) count = times(count, d);
  std::vector<int64_t> rows(static_cast<size_t>(count), 0);
  const Dims steps = sdk::c_strides(joint);
  for (size_t a = 0; a < all.size(); ++a) {
    const Positions& p = all[a];
    const Dims own = sdk::c_strides(p.shape);
    const int lead = joint.size() - p.shape.size();
    for (size_t i = 0; i < rows.size(); ++i) {
      int64_t from = 0;
      for (int k = 0; k < p.shape.size(); ++k)
        if (p.shape[k] != 1)
          from += static_cast<int64_t>(i) / steps[lead + k] % joint[lead + k] * own[k];
      rows[i] = rows[i] * sizes[static_cast<int>(a)] + p.at[static_cast<size_t>(from)];
    }
  }
  return rows;
}

// What is left of x once slices are applied: which of its axes are gathered from.
struct Gather {
  std::vector<Positions> positions;
  Dims sizes;            // of the gathered axes
  Dims gathered, other;  // axes of the sliced array
  int first = 0;         // axes before the first gathered one
  bool neighbours = true;
};

// Slices and new axes as a view in which the gathered axes are whole.
Var sliced(Ref x, std::span<const int64_t> shape, const std::vector<Item>& items, Gather& g) {
  std::vector<ctn_slice> slices(items.size());
  std::vector<ctn_value> basic;
  int at = 0, arrays = 0;
  for (size_t k = 0; k < items.size(); ++k) {
    const Item& item = items[k];
    if (item.kind == Item::kNewAxis) {
      basic.push_back({CTN_NEWAXIS, 0, {}});
      g.other.push(at++);
      continue;
    }
    slices[k] = {};
    if (item.kind == Item::kSlice) {
      const Range& r = item.range;
      const int64_t last = r.start + (r.size - 1) * r.step;
      const int64_t stop = r.step < 0 ? last - 1 : last + 1;
      slices[k] = {r.start, stop, r.step, stop < 0 ? 5u : 7u, 0};
      if (r.size == 0) slices[k] = {0, 0, 1, 7u, 0};
      g.other.push(at++);
    } else {
      const size_t before = g.positions.size();
      add_positions(item, shape, g.positions);
      if (g.gathered.size() == 0) g.first = at;
      const int n = g.gathered.size();
      const bool follows = n == 0 || (g.gathered[n - 1] == at - 1 && !item.apart);
      g.neighbours = g.neighbours && follows;
      for (size_t p = before; p < g.positions.size(); ++p) {
        g.sizes.push(shape[static_cast<size_t>(item.axis) + (p - before)]);
        g.gathered.push(at++);
        if (p > before) basic.push_back({CTN_SLICE, 0, {.slice = &slices[k]}});
      }
      if (item.kind == Item::kArray) ++arrays;
    }
    basic.push_back({CTN_SLICE, 0, {.slice = &slices[k]}});
  }
  ctn_value list{CTN_LIST, static_cast<uint32_t>(basic.size()), {}};
  list.u.list = basic.data();
  return op<"get_item_view">({x}, {list});
}

bool has_array(const ctn_value& slices) {
  if (slices.kind != CTN_LIST) return slices.kind == CTN_ARRAY;
  return std::any_of(slices.u.list, slices.u.list + slices.n,
                     [](const ctn_value& v) { return v.kind == CTN_ARRAY || v.kind == CTN_INTS; });
}

}  // namespace

Var get_item_compose(const Call& call, Vars in) {
  const ctn_value& slices = call[attr::get_item::slices];
  if (!has_array(slices)) return op<"get_item_view">({in[0]}, {slices});
  const Tensor x = call.in(0);
  const std::vector<Item> items = resolve_items(index_items(slices), x.shape());
  Gather g;
  Var y = sliced(in[0], x.shape(), items, g);
  const Dims joint = joint_shape(g.positions);
  // the context's limit refuses what broadcasting makes too many, before the host is asked for it
  Array::empty(call.context(), sdk::dtype_of(CTN_INT64), joint);
  const std::vector<int64_t> rows = flat_rows(g.positions, g.sizes, joint);
  const Var index = Array::from_host(call.context(), sdk::dtype_of(CTN_INT64), joint, rows.data())
                        .on(x.device())
                        .variable();
  const Dims whole = y.shape();
  Dims order = g.gathered, flat{sdk::size_of(g.sizes)};
  for (const int64_t k : g.other) {
    order.push(k);
    flat.push(whole[static_cast<int>(k)]);
  }
  y = op<"transpose">({y}, {order});
  y = op<"reshape">({y}, {flat});
  y = op<"take">({y, index});
  if (!g.neighbours || g.first == 0) return y;
  Dims back;  // the gathered axes return behind the first ones
  for (int k = 0; k < g.first; ++k) back.push(joint.size() + k);
  for (int k = 0; k < joint.size(); ++k) back.push(k);
  for (int k = g.first; k < g.other.size(); ++k) back.push(joint.size() + k);
  return op<"transpose">({y}, {back});
}

// ---- take, put_add: each the gradient of the other

void take_infer(const Call& call, Outs out) {
  const Tensor x = call.in(in::take::x), indices = call.in(in::take::indices);
  if (x.ndim() == 0) sdk::fail(CTN_ESHAPE, "cannot take rows of a scalar");
  Dims shape(indices.shape());
  for (const int64_t d : x.shape().subspan(1)) shape.push(d);
  if (x.shape(0) == 0 && indices.size() != 0)
    sdk::fail(CTN_EINVAL, "cannot take rows of an array that has none");
  out[0].make(x.dtype(), shape);
}

void take_backward(Grad& g) {
  if (!g.gy() || !g.needed(in::take::x)) return;
  const int64_t n = g.in_spec(in::take::x).shape(0);
  g.set(in::take::x, op<"put_add">({g.gy(), g.in(in::take::indices)}, {n}));
}

void put_add_infer(const Call& call, Outs out) {
  const Tensor x = call.in(in::put_add::x), indices = call.in(in::put_add::indices);
  const int64_t n = call.i(attr::put_add::n);
  const auto lead = static_cast<size_t>(indices.ndim());
  if (n < 0 || x.ndim() < indices.ndim() ||
      !std::equal(indices.shape().begin(), indices.shape().end(), x.shape().begin()))
    sdk::fail(CTN_ESHAPE, "rows of shape ", x.shape(), " do not fit indices of shape ",
              indices.shape(), " into ", n);
  Dims shape{n};
  for (const int64_t d : x.shape().subspan(lead)) shape.push(d);
  out[0].make(x.dtype(), shape);
}

void put_add_backward(Grad& g) {
  if (!g.gy() || !g.needed(in::put_add::x)) return;
  g.set(in::put_add::x, op<"take">({g.gy(), g.in(in::put_add::indices)}));
}

}  // namespace catena::functions
