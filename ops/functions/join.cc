// Joining, splitting and repeating. Parts are views, or copies where a view would have to bring the
// whole array out of its layout; joining is the primitive `concat`.
#include "functions.h"

namespace catena::functions {

using sdk::Call;
using sdk::Dims;
using sdk::Grad;
using sdk::op;
using sdk::Outs;
using sdk::Ref;
using sdk::Results;
using sdk::Tensor;
using sdk::Var;
using sdk::Vars;

// ---- concat

void concat_infer(const Call& call, Outs out) {
  const Tensor first = call.in(0);
  const int axis = sdk::wrap_axis(call.i(attr::concat::axis), first.ndim());
  Dims shape(first.shape());
  for (int k = 1; k < call.n_in(); ++k) {
    const Tensor x = call.in(k);
    if (!sdk::same_dtype(first.dtype(), x.dtype()))
      sdk::refuse("Concat", sdk::text("in_types[0].dtype == in_types[", k, "].dtype"),
                  sdk::text(sdk::dtype_name(first.dtype()), " != ", sdk::dtype_name(x.dtype())));
    if (x.ndim() != first.ndim())
      sdk::refuse("Concat", sdk::text("in_types[0].ndim == in_types[", k, "].ndim"),
                  sdk::text(first.ndim(), " != ", x.ndim()));
    for (int d = 0; d < x.ndim(); ++d) {
      if (d == axis) continue;
      if (x.shape(d) != first.shape(d))
        sdk::refuse("Concat",
                    sdk::text("in_types[0].shape[", d, "] == in_types[", k, "].shape[", d, "]"),
                    sdk::text(first.shape(d), " != ", x.shape(d)));
    }
    if (__builtin_add_overflow(shape[axis], x.shape(axis), &shape[axis]))
      sdk::fail(CTN_ESHAPE, "the joined axis has too many elements");
  }
  if (call.n_in() == 1)
    out[0].same(0, first);
  else
    out[0].make(first.dtype(), shape);
}

void concat_backward(Grad& g) {
  if (!g.gy()) return;
  const int axis = sdk::wrap_axis(g.i(attr::concat::axis), g.in_spec(0).ndim());
  std::vector<int64_t> cuts;
  int64_t at = 0;
  for (int k = 0; k + 1 < g.n_in(); ++k) cuts.push_back(at += g.in_spec(k).shape(axis));
  const std::vector<Var> parts = op<"split_axis">.many(g.n_in(), {g.gy()}, {cuts, axis});
  for (int k = 0; k < g.n_in(); ++k)
    if (g.needed(k)) g.set(k, parts[static_cast<size_t>(k)]);
}

// ---- split_axis

namespace {

constexpr int64_t kMostParts = 1 << 20;

// Where parts begin, and the end of the last.
std::vector<int64_t> bounds(const sdk::Attrs& attrs, const Tensor& x) {
  const int axis = sdk::wrap_axis(attrs.i(attr::split_axis::axis), x.ndim());
  const int64_t size = x.shape(axis);
  std::vector<int64_t> at{0};
  if (attrs.kind(attr::split_axis::indices_or_sections) == CTN_INT) {
    const int64_t sections = attrs.i(attr::split_axis::indices_or_sections);
    if (sections <= 0) sdk::fail(CTN_EINVAL, "cannot split into ", sections, " parts");
    if (sections > kMostParts)
      sdk::fail(CTN_EINVAL, sections, " parts are more than the most, ", kMostParts);
    if (size % sections != 0)
      sdk::refuse("SplitAxis", sdk::text("in_types[0].shape[", axis, "] % sections == 0"),
                  sdk::text(size % sections, " != 0"));
    for (int64_t k = 1; k < sections; ++k) at.push_back(k * (size / sections));
  } else {
    const std::span<const int64_t> cuts = attrs.ints(attr::split_axis::indices_or_sections);
    if (cuts.size() >= kMostParts)
      sdk::fail(CTN_EINVAL, "there are more cuts than the most, ", kMostParts - 1);
    for (const int64_t cut : cuts) {
      if (cut < at.back())
        sdk::fail(CTN_EINVAL, "the positions of cuts may not fall or be negative, got ", cuts);
      if (cut > size)
        sdk::refuse("SplitAxis", sdk::text("in_types[0].shape[", axis, "] >= ", cut),
                    sdk::text(size, " < ", cut));
      at.push_back(cut);
    }
  }
  at.push_back(size);
  return at;
}

}  // namespace

int split_axis_count(const Call& call) {
  return static_cast<int>(bounds(call, call.in(0)).size()) - 1;
}

void split_axis_infer(const Call& call, Outs out) {
  const Tensor x = call.in(0);
  const std::vector<int64_t> at = bounds(call, x);
  const int axis = sdk::wrap_axis(call.i(attr::split_axis::axis), x.ndim());
  Dims shape(x.shape());
  for (int k = 0; k < out.size(); ++k) {
    const auto part = static_cast<size_t>(k);
    shape[axis] = at[part + 1] - at[part];
    if (x.layout() != 0 && axis == 1) {
      out[k].make(x.dtype(), shape);
      continue;
    }
    const int64_t offset = shape[axis] == 0 ? 0 : at[part] * x.stride(axis);
    out[k].view(0, x.dtype(), shape, x.strides(), offset);
  }
}

// All parts have a gradient: join them. Otherwise put each that has one into zeros.
void split_axis_backward(Grad& g) {
  const sdk::Spec x = g.in_spec(0);
  const int axis = sdk::wrap_axis(g.i(attr::split_axis::axis), x.ndim());
  std::vector<Ref> gys;
  for (int k = 0; k < g.n_out(); ++k)
    if (g.gy(k)) gys.push_back(g.gy(k));
  if (gys.empty()) return;
  if (static_cast<int>(gys.size()) == g.n_out()) {
    g.set(0, op<"concat">(gys, {axis}));
    return;
  }
  Dims start = Dims::filled(x.ndim(), 0);
  Var gx;
  for (int k = 0; k < g.n_out(); ++k) {
    if (g.gy(k)) {
      Var part = op<"put_slice">({g.gy(k)}, {x.shape(), start, Dims::filled(x.ndim(), 1)});
      gx = gx ? gx + part : std::move(part);
    }
    start[axis] += g.out_spec(k).shape(axis);
  }
  g.set(0, gx);
}

int separate_count(const Call& call) {
  const Tensor x = call.in(0);
  const int64_t n = x.shape(sdk::wrap_axis(call.i(attr::separate::axis), x.ndim()));
  if (n > kMostParts) sdk::fail(CTN_EINVAL, n, " slices are more than the most, ", kMostParts);
  return static_cast<int>(n);
}

void separate_compose(const Call& call, Vars in, Results& out) {
  if (out.size() == 0) return;
  const Tensor x = call.in(0);
  const int axis = sdk::wrap_axis(call.i(attr::separate::axis), x.ndim());
  const std::vector<Var> parts = op<"split_axis">.many(out.size(), {in[0]}, {out.size(), axis});
  for (int k = 0; k < out.size(); ++k)
    out.set(k, op<"squeeze">({parts[static_cast<size_t>(k)]}, {axis}));
}

// ---- stack and its kin

namespace {

Var joined(const std::vector<Var>& xs, int64_t axis) {
  const std::vector<Ref> refs(xs.begin(), xs.end());
  return op<"concat">(refs, {axis});
}

Var joined_as_is(Vars in, int64_t axis) {
  std::vector<Ref> refs;
  refs.reserve(static_cast<size_t>(in.size()));
  for (int k = 0; k < in.size(); ++k) refs.push_back(in[k]);
  return op<"concat">(refs, {axis});
}

// After a reshape of each.
template <class Shape>
Var join_as(const Call& call, Vars in, int64_t axis, Shape&& shape) {
  std::vector<Var> xs;
  xs.reserve(static_cast<size_t>(in.size()));
  for (int k = 0; k < in.size(); ++k)
    xs.push_back(op<"reshape">({in[k]}, {shape(call.in(k).shape())}));
  return joined(xs, axis);
}

}  // namespace

Var stack_compose(const Call& call, Vars in) {
  const int64_t axis = call.i(attr::stack::axis);
  std::vector<Var> xs;
  xs.push_back(op<"expand_dims">({in[0]}, {axis}));  // checks the axis
  const int at = sdk::wrap_axis(axis, xs[0].ndim());
  for (int k = 1; k < in.size(); ++k) {
    if (call.in(k).ndim() != call.in(0).ndim())
      sdk::refuse("Stack", sdk::text("in_types[0].ndim == in_types[", k, "].ndim"),
                  sdk::text(call.in(0).ndim(), " != ", call.in(k).ndim()));
    if (call.in(k).ndim() > 0 && call.in(k).shape(0) != call.in(0).shape(0) && at == 0)
      sdk::refuse("Stack", sdk::text("in_types[0].shape == in_types[", k, "].shape"),
                  sdk::text(call.in(0).shape(), " != ", call.in(k).shape()));
    xs.push_back(op<"expand_dims">({in[k]}, {at}));
  }
  return joined(xs, at);
}

Var hstack_compose(const Call& call, Vars in) {
  const int ndim = call.in(0).ndim();
  if (ndim > 1) return joined_as_is(in, 1);
  return join_as(call, in, 0,
                 [](std::span<const int64_t> s) { return s.empty() ? Dims{1} : Dims(s); });
}

Var vstack_compose(const Call& call, Vars in) {
  if (call.in(0).ndim() > 1) return joined_as_is(in, 0);
  return join_as(call, in, 0, [](std::span<const int64_t> s) {
    return s.empty() ? Dims{1, 1} : Dims{1, s[0]};
  });
}

Var dstack_compose(const Call& call, Vars in) {
  if (call.in(0).ndim() > 2) return joined_as_is(in, 2);
  return join_as(call, in, 2, [](std::span<const int64_t> s) {
    if (s.empty()) return Dims{1, 1, 1};
    return s.size() == 1 ? Dims{1, s[0], 1} : Dims{s[0], s[1], 1};
  });
}

// ---- tile, repeat

Var tile_compose(const Call& call, Vars in) {
  const Tensor x = call.in(0);
  const auto given = call.ints(attr::tile::reps);
  const int ndim = std::max(x.ndim(), static_cast<int>(given.size()));
  Dims inserted, wide, result;  // (1, d0, 1, d1, ...), (r0, d0, r1, d1, ...), (r0 * d0, ...)
  for (int k = 0; k < ndim; ++k) {
    const int in_x = k - (ndim - x.ndim());
    const int in_reps = k - (ndim - static_cast<int>(given.size()));
    const int64_t d = in_x < 0 ? 1 : x.shape(in_x);
    const int64_t r = in_reps < 0 ? 1 : given[static_cast<size_t>(in_reps)];
    if (r < 0) sdk::fail(CTN_EINVAL, "all elements in reps must be zero or larger, got ", given);
    inserted.push(1).push(d);
    wide.push(r).push(d);
    result.push(times(r, d));
  }
  Var y = op<"reshape">({in[0]}, {inserted});
  y = op<"broadcast_to">({y}, {wide});
  return op<"reshape">({y}, {result});
}

namespace {

// k repeats[k] times, for all k: n numbers. Memory of the context is asked for first, since its
// limit is what refuses numbers without end.
std::vector<int64_t> repeated_rows(Ref x, std::span<const int64_t> repeats, int64_t n) {
  sdk::Array::empty(x.context(), sdk::dtype_of(CTN_INT64), std::span<const int64_t>(&n, 1));
  std::vector<int64_t> rows;
  rows.reserve(static_cast<size_t>(n));
  for (size_t k = 0; k < repeats.size(); ++k)
    rows.insert(rows.end(), static_cast<size_t>(repeats[k]), static_cast<int64_t>(k));
  return rows;
}

// Element k of the axis repeats[k] times: a gather of rows.
Var repeat_each(Ref x, int axis, std::span<const int64_t> repeats) {
  int64_t n = 0;
  for (const int64_t r : repeats)
    if (__builtin_add_overflow(n, r, &n))
      sdk::fail(CTN_EINVAL, "repeats ", repeats, " are too many");
  const std::vector<int64_t> rows = repeated_rows(x, repeats, n);
  const sdk::Array index = sdk::Array::from_host(x.context(), sdk::dtype_of(CTN_INT64),
                                                 std::span<const int64_t>(&n, 1), rows.data());
  Var y = op<"rollaxis">({x}, {axis});
  y = op<"take">({y, index.on(x.device()).variable()});
  return op<"rollaxis">({y}, {0, axis + 1});
}

}  // namespace

Var repeat_compose(const Call& call, Vars in) {
  const auto repeats = call.ints(attr::repeat::repeats);
  for (const int64_t r : repeats)
    if (r < 0)
      sdk::fail(CTN_EINVAL, "all elements in repeats must be zero or larger, got ", repeats);
  Var x(in[0]);
  int axis = 0;
  if (call.is_none(attr::repeat::axis))
    x = op<"flatten">({x});
  else
    axis = sdk::wrap_axis(call.i(attr::repeat::axis), call.in(0).ndim());
  Dims shape = x.shape();
  if (repeats.size() != 1) {
    if (static_cast<int64_t>(repeats.size()) != shape[axis])
      sdk::refuse("Repeat", sdk::text("in_types[0].shape[", axis, "] == len(repeats)"),
                  sdk::text(shape[axis], " != ", repeats.size()));
    return repeat_each(x, axis, repeats);
  }
  Dims inserted = shape, wide = shape;
  inserted.insert(axis + 1, 1);
  wide.insert(axis + 1, repeats[0]);
  shape[axis] = times(shape[axis], repeats[0]);
  Var y = op<"reshape">({x}, {inserted});
  y = op<"broadcast_to">({y}, {wide});
  return op<"reshape">({y}, {shape});
}

}  // namespace catena::functions
