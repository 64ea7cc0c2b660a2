// Convolution2D, DilatedConvolution2D and Deconvolution2D.
#include "links.h"

namespace catena::links {

using namespace link_attr;

namespace {

// One of the links: the shape of its filters, and where its attributes stand. The first three stand
// in the same places for all.
struct Kind {
  std::string_view name;
  bool input_first;  // filters are (in, out / groups, y, x), otherwise (out, in / groups, y, x)
  int nobias, initialW, initial_bias, groups;  // groups -1: always one
};
constexpr Kind kConvolution{"Convolution2D",
                            false,
                            convolution_2d::nobias,
                            convolution_2d::initialW,
                            convolution_2d::initial_bias,
                            convolution_2d::groups};
constexpr Kind kDilated{"DilatedConvolution2D",
                        false,
                        dilated_convolution_2d::nobias,
                        dilated_convolution_2d::initialW,
                        dilated_convolution_2d::initial_bias,
                        -1};
constexpr Kind kDeconvolution{"Deconvolution2D",
                              true,
                              deconvolution_2d::nobias,
                              deconvolution_2d::initialW,
                              deconvolution_2d::initial_bias,
                              deconvolution_2d::groups};

constexpr int kIn = convolution_2d::in_channels, kOut = convolution_2d::out_channels,
              kKsize = convolution_2d::ksize;
static_assert(kIn == dilated_convolution_2d::in_channels && kIn == deconvolution_2d::in_channels);
static_assert(kOut == dilated_convolution_2d::out_channels &&
              kOut == deconvolution_2d::out_channels);
static_assert(kKsize == dilated_convolution_2d::ksize && kKsize == deconvolution_2d::ksize);

// Chainer reads Convolution2D(4, 3) as (None, 4, 3): without ksize the input channels are left out.
struct Sizes {
  int64_t in, out, groups;  // in: -1 unknown
  std::array<int64_t, 2> ksize;
};

Sizes sizes_of(const Kind& kind, const sdk::Attrs& attrs) {
  const int64_t groups = kind.groups < 0 ? 1 : attrs.i(kind.groups);
  if (attrs.is_none(kKsize)) {
    if (attrs.is_none(kIn))
      sdk::fail(CTN_EINVAL, kind.name, ": out_channels or ksize is not given");
    return {-1, attrs.i(kIn), groups, attrs.pair(kOut)};
  }
  if (attrs.is_none(kIn)) return {-1, attrs.i(kOut), groups, attrs.pair(kKsize)};
  if (attrs.i(kIn) < 0) sdk::fail(CTN_EINVAL, kind.name, ": ", attrs.i(kIn), " input channels");
  return {attrs.i(kIn), attrs.i(kOut), groups, attrs.pair(kKsize)};
}

sdk::Dims filter_shape(const Kind& kind, const Sizes& s, int64_t in) {
  if (s.groups < 1 || s.out % s.groups != 0)
    sdk::fail(CTN_EINVAL,
              "the number of output channels must be divisible by the number of groups");
  if (in % s.groups != 0)
    sdk::fail(CTN_EINVAL, "the number of input channels must be divisible by the number of groups");
  if (kind.input_first) return {in, s.out / s.groups, s.ksize[0], s.ksize[1]};
  return {s.out, in / s.groups, s.ksize[0], s.ksize[1]};
}

void add_params(const Kind& kind, sdk::LinkRef link, const sdk::Attrs& attrs) {
  const Sizes s = sizes_of(kind, attrs);
  const bool known = s.in >= 0;
  const sdk::Dims shape = filter_shape(kind, s, known ? s.in : s.groups);
  add_param(link, "W", attrs[kind.initialW], "LeCunNormal", {}, known ? &shape : nullptr);
  if (attrs.b(kind.nobias)) return;
  const sdk::Dims bias = {s.out};
  add_param(link, "b", attrs[kind.initial_bias], "Constant", 0, &bias);
}

// Filters and bias for an input, whose channels a lazy link takes over.
struct Params {
  sdk::Var W, b;

  Params(const Kind& kind, sdk::LinkRef link, const sdk::Attrs& attrs, sdk::Ref x)
      : W(link.param("W")), b(optional_param(link, "b", !attrs.b(kind.nobias))) {
    if (sdk::is_initialized(W)) return;
    if (x.ndim() != 4)
      sdk::fail(CTN_ESHAPE, kind.name, ": an input of shape ", x.shape(), " has no channels");
    sdk::initialize(W, filter_shape(kind, sizes_of(kind, attrs), x.shape(1)).span());
  }
};

template <size_t N>
sdk::Attrs all_attrs(sdk::LinkRef link, std::array<ctn_value, N>& room) {
  for (size_t k = 0; k < N; ++k) room[k] = link.attr(static_cast<int>(k));
  return sdk::Attrs(room.data());
}

}  // namespace

void convolution_2d_init(sdk::LinkRef link, sdk::Attrs attrs) {
  add_params(kConvolution, link, attrs);
}

sdk::Var convolution_2d_call(sdk::LinkRef link, sdk::Vars in) {
  std::array<ctn_value, 10> room;
  const sdk::Attrs attrs = all_attrs(link, room);
  const Params p(kConvolution, link, attrs, in[0]);
  return sdk::op<"convolution_2d">(
      {in[0], p.W, p.b}, {attrs[convolution_2d::stride], attrs[convolution_2d::pad], sdk::absent,
                          attrs[convolution_2d::dilate], attrs[convolution_2d::groups]});
}

void dilated_convolution_2d_init(sdk::LinkRef link, sdk::Attrs attrs) {
  add_params(kDilated, link, attrs);
}

sdk::Var dilated_convolution_2d_call(sdk::LinkRef link, sdk::Vars in) {
  std::array<ctn_value, 9> room;
  const sdk::Attrs attrs = all_attrs(link, room);
  const Params p(kDilated, link, attrs, in[0]);
  return sdk::op<"dilated_convolution_2d">(
      {in[0], p.W, p.b}, {attrs[dilated_convolution_2d::stride], attrs[dilated_convolution_2d::pad],
                          attrs[dilated_convolution_2d::dilate]});
}

void deconvolution_2d_init(sdk::LinkRef link, sdk::Attrs attrs) {
  add_params(kDeconvolution, link, attrs);
}

sdk::Var deconvolution_2d_call(sdk::LinkRef link, sdk::Vars in) {
  std::array<ctn_value, 10> room;
  const sdk::Attrs attrs = all_attrs(link, room);
  const Params p(kDeconvolution, link, attrs, in[0]);
  return sdk::op<"deconvolution_2d">(
      {in[0], p.W, p.b},
      {attrs[deconvolution_2d::stride], attrs[deconvolution_2d::pad],
       attrs[deconvolution_2d::outsize], sdk::absent, attrs[deconvolution_2d::groups]});
}

}  // namespace catena::links
