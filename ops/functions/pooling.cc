// Pooling in two dimensions: sizes and gradients. Maximum pooling keeps where its maxima were: its
// gradient scatters to those places, and the gradient of that gathers from them.
#include "windows.h"

namespace catena::functions {

using sdk::Call;
using sdk::Grad;
using sdk::op;
using sdk::Outs;
using sdk::Results;
using sdk::Tensor;
using sdk::Vars;

namespace {

// The attributes that all of these have, checked.
struct Windows {
  Pair ksize, stride, pad;
};

Windows windows(const sdk::Attrs& attrs, int ksize, int stride, int pad) {
  const Pair k = window_pair(attrs, ksize, 1, "ksize");
  return {k, attrs.is_none(stride) ? k : window_pair(attrs, stride, 1, "stride"),
          window_pair(attrs, pad, 0, "pad")};
}

void make_pooled(const Tensor& x, const Windows& w, bool cover_all, Outs out) {
  require_plane(x);
  const Pair size{conv_outsize(x.shape(2), w.ksize[0], w.stride[0], w.pad[0], cover_all),
                  conv_outsize(x.shape(3), w.ksize[1], w.stride[1], w.pad[1], cover_all)};
  require_positive(size);
  out[0].make(x.dtype(), {x.shape(0), x.shape(1), size[0], size[1]});
  if (out.size() > 1)
    out[1].make(sdk::dtype_of(CTN_INT32), {x.shape(0), x.shape(1), size[0], size[1]});
}

void make_plane(const Tensor& x, const Pair& size, Outs out) {
  require_plane(x);
  out[0].make(x.dtype(), {x.shape(0), x.shape(1), size[0], size[1]});
}

Pair plane(const sdk::Spec& s) { return {s.shape(2), s.shape(3)}; }

// Windows of maximum pooling: places within them are kept in 32 bits.
Windows indexed_windows(const sdk::Attrs& attrs, int ksize, int stride, int pad) {
  const Windows w = windows(attrs, ksize, stride, pad);
  if (w.ksize[0] * w.ksize[1] > INT32_MAX)
    sdk::fail(CTN_EINVAL, "a window of ", w.ksize[0], " x ", w.ksize[1], " has more than ",
              INT32_MAX, " elements");
  return w;
}

}  // namespace

// ---- maxima

int max_pooling_2d_count(const Call& call) {
  return call.b(attr::max_pooling_2d::return_indices) ? 2 : 1;
}

void max_pooling_2d_compose(const Call& call, Vars in, Results& out) {
  namespace a = attr::max_pooling_2d;
  auto [y, indexes] = op<"max_pooling_2d_indexed">.outs<2>(
      {in[0]}, {call[a::ksize], call[a::stride], call[a::pad], call[a::cover_all]});
  out.set(0, std::move(y));
  if (out.size() > 1) out.set(1, op<"cast_int64">({indexes}));
}

void max_pooling_2d_indexed_infer(const Call& call, Outs out) {
  namespace a = attr::max_pooling_2d_indexed;
  make_pooled(call.in(0), indexed_windows(call, a::ksize, a::stride, a::pad), call.b(a::cover_all),
              out);
}

void max_pooling_2d_indexed_backward(Grad& g) {
  namespace a = attr::max_pooling_2d_indexed;
  if (!g.gy(0)) return;
  g.set(0, op<"pooling_scatter_2d">({g.gy(0), g.out(1)},
                                    {plane(g.in_spec(0)), g[a::ksize], g[a::stride], g[a::pad]}));
}

void pooling_scatter_2d_infer(const Call& call, Outs out) {
  namespace a = attr::pooling_scatter_2d;
  require_plane(call.in(1));
  indexed_windows(call, a::ksize, a::stride, a::pad);
  make_plane(call.in(0), window_pair(call, a::outsize, 0, "outsize"), out);
}

void pooling_scatter_2d_backward(Grad& g) {
  namespace a = attr::pooling_scatter_2d;
  if (g.gy() && g.needed(0))
    g.set(0, op<"pooling_gather_2d">({g.gy(), g.in(1)}, {g[a::ksize], g[a::stride], g[a::pad]}));
}

void pooling_gather_2d_infer(const Call& call, Outs out) {
  namespace a = attr::pooling_gather_2d;
  require_plane(call.in(1));
  indexed_windows(call, a::ksize, a::stride, a::pad);
  const Tensor indexes = call.in(1);
  make_plane(call.in(0), {indexes.shape(2), indexes.shape(3)}, out);
}

void pooling_gather_2d_backward(Grad& g) {
  namespace a = attr::pooling_gather_2d;
  if (g.gy() && g.needed(0))
    g.set(0, op<"pooling_scatter_2d">({g.gy(), g.in(1)},
                                      {plane(g.in_spec(0)), g[a::ksize], g[a::stride], g[a::pad]}));
}

// ---- means

void average_pooling_2d_infer(const Call& call, Outs out) {
  namespace a = attr::average_pooling_2d;
  make_pooled(call.in(0), windows(call, a::ksize, a::stride, a::pad), false, out);
}

void average_pooling_2d_backward(Grad& g) {
  namespace a = attr::average_pooling_2d;
  if (g.gy())
    g.set(0, op<"average_pooling_2d_grad">(
                 {g.gy()}, {plane(g.in_spec(0)), g[a::ksize], g[a::stride], g[a::pad]}));
}

void average_pooling_2d_grad_infer(const Call& call, Outs out) {
  namespace a = attr::average_pooling_2d_grad;
  const Windows w = windows(call, a::ksize, a::stride, a::pad);
  const Pair size = window_pair(call, a::outsize, 0, "outsize");
  const Tensor gy = call.in(0);
  for (size_t k = 0; k < 2; ++k) {
    const int64_t positions = conv_outsize(size[k], w.ksize[k], w.stride[k], w.pad[k], false);
    if (gy.shape(static_cast<int>(k) + 2) != positions)
      sdk::fail(CTN_ESHAPE, "means of ", positions, " windows along axis ", k + 2,
                " are expected, got shape ", gy.shape());
  }
  make_plane(gy, size, out);
}

void average_pooling_2d_grad_backward(Grad& g) {
  namespace a = attr::average_pooling_2d_grad;
  if (g.gy()) g.set(0, op<"average_pooling_2d">({g.gy()}, {g[a::ksize], g[a::stride], g[a::pad]}));
}

}  // namespace catena::functions
