// Convolution2D.
#include "links.h"

namespace catena::links {

using namespace link_attr;

namespace {

// Chainer reads Convolution2D(4, 3) as (None, 4, 3): without ksize the input channels are left out.
struct Sizes {
  int64_t in, out;  // in: -1 unknown
  std::array<int64_t, 2> ksize;
};

Sizes sizes_of(sdk::Attrs attrs) {
  if (attrs.is_none(convolution_2d::ksize)) {
    if (attrs.is_none(convolution_2d::in_channels))
      sdk::fail(CTN_EINVAL, "Convolution2D: out_channels or ksize is not given");
    return {-1, attrs.i(convolution_2d::in_channels), attrs.pair(convolution_2d::out_channels)};
  }
  const bool known = !attrs.is_none(convolution_2d::in_channels);
  return {known ? attrs.i(convolution_2d::in_channels) : -1, attrs.i(convolution_2d::out_channels),
          attrs.pair(convolution_2d::ksize)};
}

sdk::Dims filter_shape(const Sizes& s, int64_t in, int64_t groups) {
  if (groups < 1 || s.out % groups != 0)
    sdk::fail(CTN_EINVAL,
              "the number of output channels must be divisible by the number of groups");
  if (in % groups != 0)
    sdk::fail(CTN_EINVAL, "the number of input channels must be divisible by the number of groups");
  return {s.out, in / groups, s.ksize[0], s.ksize[1]};
}

sdk::Attrs all_attrs(sdk::LinkRef link, std::array<ctn_value, 10>& room) {
  for (int k = 0; k < 10; ++k) room[static_cast<size_t>(k)] = link.attr(k);
  return sdk::Attrs(room.data());
}

}  // namespace

void convolution_2d_init(sdk::LinkRef link, sdk::Attrs attrs) {
  const Sizes s = sizes_of(attrs);
  const int64_t groups = attrs.i(convolution_2d::groups);
  const bool known = s.in >= 0;
  const sdk::Dims shape = filter_shape(s, known ? s.in : groups, groups);
  add_param(link, "W", attrs[convolution_2d::initialW], "LeCunNormal", {},
            known ? &shape : nullptr);
  if (attrs.b(convolution_2d::nobias)) return;
  const sdk::Dims bias = {s.out};
  add_param(link, "b", attrs[convolution_2d::initial_bias], "Constant", 0, &bias);
}

sdk::Var convolution_2d_call(sdk::LinkRef link, sdk::Vars in) {
  std::array<ctn_value, 10> room;
  const sdk::Attrs attrs = all_attrs(link, room);
  const sdk::Ref x = in[0];
  const sdk::Var W = link.param("W");
  if (!sdk::is_initialized(W)) {
    if (x.ndim() != 4)
      sdk::fail(CTN_ESHAPE, "Convolution2D: an input of shape ", x.shape(), " has no channels");
    sdk::initialize(
        W, filter_shape(sizes_of(attrs), x.shape(1), attrs.i(convolution_2d::groups)).span());
  }
  const sdk::Var b = optional_param(link, "b", !attrs.b(convolution_2d::nobias));
  return sdk::op<"convolution_2d">(
      {x, W, b}, {attrs[convolution_2d::stride], attrs[convolution_2d::pad], sdk::absent,
                  attrs[convolution_2d::dilate], attrs[convolution_2d::groups]});
}

}  // namespace catena::links
