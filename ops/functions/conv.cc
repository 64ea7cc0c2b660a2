// Convolutions in two dimensions: sizes, and gradients. The three kinds of product, of x and W to
// y, of y and W to x, of x and y to W, are each other's gradients.
#include "windows.h"

namespace catena::functions {

using sdk::Call;
using sdk::Dims;
using sdk::Grad;
using sdk::op;
using sdk::Outs;
using sdk::Ref;
using sdk::Tensor;
using sdk::Value;
using sdk::Var;
using sdk::Vars;

namespace {

struct Geometry {
  Pair stride, pad, dilate;
  int64_t groups;
};

// Where an op keeps its attributes.
struct Keys {
  int stride, pad, dilate, groups;
};
constexpr Keys kForward{attr::convolution_2d::stride, attr::convolution_2d::pad,
                        attr::convolution_2d::dilate, attr::convolution_2d::groups};
constexpr Keys kSized{attr::convolution_2d_sized::stride, attr::convolution_2d_sized::pad,
                      attr::convolution_2d_sized::dilate, attr::convolution_2d_sized::groups};
constexpr Keys kWeights{attr::convolution_2d_weights::stride, attr::convolution_2d_weights::pad,
                        attr::convolution_2d_weights::dilate, attr::convolution_2d_weights::groups};
constexpr Keys kTransposed{attr::deconvolution_2d::stride, attr::deconvolution_2d::pad,
                           attr::deconvolution_2d::dilate, attr::deconvolution_2d::groups};

Geometry geometry(const sdk::Attrs& attrs, const Keys& keys) {
  Geometry g{window_pair(attrs, keys.stride, 1, "stride"), window_pair(attrs, keys.pad, 0, "pad"),
             window_pair(attrs, keys.dilate, 1, "dilate"), attrs.i(keys.groups)};
  if (g.groups < 1) sdk::fail(CTN_EINVAL, "groups ", g.groups, " is not positive");
  return g;
}

// A number of channels that groups must divide.
void require_groups(int64_t channels, int64_t groups, std::string_view what) {
  if (channels % groups != 0)
    sdk::fail(CTN_ESHAPE, "The number of ", what, " channels ", channels,
              " must be a multiple of that of groups ", groups, ".");
}

// x and W fit each other in a convolution.
void require_channels(std::string_view label, const Tensor& x, const Tensor& w, int64_t groups) {
  const int64_t channels = times(w.shape(1), groups);
  if (x.shape(1) != channels)
    sdk::refuse(label, "in_types[0].shape[1] == in_types[1].shape[1] * groups",
                sdk::text(x.shape(1), " != ", channels));
  require_groups(w.shape(0), groups, "output");
}

// A convolution of x at `positions` can be computed: windows have elements, places fit 64 bits.
void require_sizes(const Tensor& x, const Pair& kernel, const Pair& positions, const Geometry& g) {
  require_plane(x);
  require_reach(kernel, positions, g.stride, g.pad, g.dilate);
}
Pair plane(const Tensor& t) { return {t.shape(2), t.shape(3)}; }

Pair plane(const sdk::Spec& s) { return {s.shape(2), s.shape(3)}; }

// The three products, for gradients.
Var forward(Ref x, Ref w, const Pair& outsize, const Geometry& g) {
  return op<"convolution_2d_sized">({x, w}, {outsize, g.stride, g.pad, g.dilate, g.groups});
}
Var transposed(Ref y, Ref w, const Pair& outsize, const Geometry& g) {
  return op<"deconvolution_2d">({y, w, nullptr},
                                {g.stride, g.pad, Value(outsize), g.dilate, g.groups});
}
Var weights(Ref x, Ref gy, const Pair& ksize, const Geometry& g) {
  return op<"convolution_2d_weights">({x, gy}, {ksize, g.stride, g.pad, g.dilate, g.groups});
}

void bias_backward(Grad& g, int b) {
  if (g.n_in() > b && g.needed(b)) g.set(b, op<"sum">({g.gy()}, {Dims{0, 2, 3}}));
}

}  // namespace

// ---- x and W to y

void convolution_2d_infer(const Call& call, Outs out) {
  const Tensor x = call.in(in::convolution_2d::x), w = call.in(in::convolution_2d::W);
  const Geometry g = geometry(call, kForward);
  require_channels("Convolution2DFunction", x, w, g.groups);
  const bool all = call.b(attr::convolution_2d::cover_all);
  const Pair size{conv_outsize(x.shape(2), w.shape(2), g.stride[0], g.pad[0], all, g.dilate[0]),
                  conv_outsize(x.shape(3), w.shape(3), g.stride[1], g.pad[1], all, g.dilate[1])};
  require_positive(size);
  require_sizes(x, plane(w), size, g);
  out[0].make(x.dtype(), {x.shape(0), w.shape(0), size[0], size[1]});
}

// What does not fit, convolution_2d refuses.
Var dilated_convolution_2d_compose(const Call& call, Vars in) {
  namespace a = attr::dilated_convolution_2d;
  return op<"convolution_2d">({in[0], in[1], in[2]},
                              {call[a::stride], call[a::pad], call[a::cover_all], call[a::dilate]});
}

void convolution_2d_sized_infer(const Call& call, Outs out) {
  const Tensor x = call.in(0), w = call.in(1);
  const Geometry g = geometry(call, kSized);
  require_channels("Convolution2DFunction", x, w, g.groups);
  const Pair size = window_pair(call, attr::convolution_2d_sized::outsize, 0, "outsize");
  require_sizes(x, plane(w), size, g);
  out[0].make(x.dtype(), {x.shape(0), w.shape(0), size[0], size[1]});
}

namespace {

void backward_of_forward(Grad& g, const Geometry& geo) {
  const Ref gy = g.gy();
  if (!gy) return;
  const sdk::Spec x = g.in_spec(0), w = g.in_spec(1);
  if (g.needed(0)) g.set(0, transposed(gy, g.in(1), plane(x), geo));
  if (g.needed(1)) g.set(1, cast_to(weights(g.in(0), gy, plane(w), geo), w.dtype()));
}

}  // namespace

void convolution_2d_backward(Grad& g) {
  backward_of_forward(g, geometry(g, kForward));
  if (g.gy()) bias_backward(g, in::convolution_2d::b);
}

void convolution_2d_sized_backward(Grad& g) { backward_of_forward(g, geometry(g, kSized)); }

// ---- y and W to x

void deconvolution_2d_infer(const Call& call, Outs out) {
  const Tensor x = call.in(in::deconvolution_2d::x), w = call.in(in::deconvolution_2d::W);
  const Geometry g = geometry(call, kTransposed);
  require_groups(w.shape(0), g.groups, "input");
  require_sizes(x, plane(w), plane(x), g);
  Pair size;
  if (call.is_none(attr::deconvolution_2d::outsize)) {
    for (size_t k = 0; k < 2; ++k) {
      const int axis = static_cast<int>(k) + 2;
      size[k] = deconv_outsize(x.shape(axis), w.shape(axis), g.stride[k], g.pad[k], g.dilate[k]);
    }
    require_positive(size);
  } else {
    size = window_pair(call, attr::deconvolution_2d::outsize, 1, "outsize");
    for (size_t k = 0; k < 2; ++k) {  // x must be what a convolution of that size may give
      const int axis = static_cast<int>(k) + 2;
      const auto positions = [&](bool all) {
        return conv_outsize(size[k], w.shape(axis), g.stride[k], g.pad[k], all, g.dilate[k]);
      };
      if (x.shape(axis) < positions(false) || x.shape(axis) > positions(true))
        sdk::fail(CTN_ESHAPE, "outsize ", size[k], " of axis ", axis, " does not fit ",
                  x.shape(axis), " positions of the filter: it gives ", positions(false), " or ",
                  positions(true));
    }
  }
  out[0].make(x.dtype(), {x.shape(0), times(w.shape(1), g.groups), size[0], size[1]});
}

void deconvolution_2d_backward(Grad& g) {
  const Ref gy = g.gy();
  if (!gy) return;
  const Geometry geo = geometry(g, kTransposed);
  const sdk::Spec x = g.in_spec(in::deconvolution_2d::x), w = g.in_spec(in::deconvolution_2d::W);
  if (g.needed(0)) g.set(0, forward(gy, g.in(1), plane(x), geo));
  if (g.needed(1)) g.set(1, cast_to(weights(gy, g.in(0), plane(w), geo), w.dtype()));
  bias_backward(g, in::deconvolution_2d::b);
}

// ---- x and y to W

void convolution_2d_weights_infer(const Call& call, Outs out) {
  const Tensor x = call.in(0), gy = call.in(1);
  const Geometry g = geometry(call, kWeights);
  require_groups(x.shape(1), g.groups, "input");
  require_groups(gy.shape(1), g.groups, "output");
  const Pair k = window_pair(call, attr::convolution_2d_weights::ksize, 1, "ksize");
  require_sizes(x, k, plane(gy), g);
  out[0].make(x.dtype(), {gy.shape(1), x.shape(1) / g.groups, k[0], k[1]});
}

void convolution_2d_weights_backward(Grad& g) {
  const Ref ggw = g.gy();
  if (!ggw) return;
  const Geometry geo = geometry(g, kWeights);
  const sdk::Spec x = g.in_spec(0), gy = g.in_spec(1);
  if (g.needed(0)) g.set(0, cast_to(transposed(g.in(1), ggw, plane(x), geo), x.dtype()));
  if (g.needed(1)) g.set(1, cast_to(forward(g.in(0), ggw, plane(gy), geo), gy.dtype()));
}

}  // namespace catena::functions
