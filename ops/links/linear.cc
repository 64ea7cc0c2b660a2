// Linear and EmbedID.
#include "links.h"

namespace catena::links {

using namespace link_attr;

void linear_init(sdk::LinkRef link, sdk::Attrs attrs) {
  const bool size_known = !attrs.is_none(linear::in_size);
  const bool both = !attrs.is_none(linear::out_size);
  if (!size_known && !both) sdk::fail(CTN_EINVAL, "Linear: out_size is not given");
  const int64_t out_size = attrs.i(both ? linear::out_size : linear::in_size);
  const bool lazy = !both || !size_known;
  const sdk::Dims shape = {out_size, lazy ? 0 : attrs.i(linear::in_size)};
  add_param(link, "W", attrs[linear::initialW], "LeCunNormal", {}, lazy ? nullptr : &shape);
  if (attrs.b(linear::nobias)) return;
  const sdk::Dims bias = {out_size};
  add_param(link, "b", attrs[linear::initial_bias], "Constant", 0, &bias);
}

sdk::Var linear_call(sdk::LinkRef link, sdk::Vars in) {
  const sdk::Ref x = in[0];
  const sdk::Var W = link.param("W");
  if (!sdk::is_initialized(W)) {
    const bool both = link.attr(linear::out_size).kind == CTN_INT;
    const int64_t out_size = link.attr(both ? linear::out_size : linear::in_size).u.i;
    if (x.ndim() == 0)
      sdk::fail(CTN_ESHAPE, "Linear: an input of shape ", x.shape(), " does not tell its in_size");
    sdk::initialize(W, sdk::Dims{out_size, sdk::size_of(x.shape().span().subspan(1))}.span());
  }
  return sdk::op<"linear">({x, W, optional_param(link, "b", !link.attr(linear::nobias).u.i)});
}

void embed_id_init(sdk::LinkRef link, sdk::Attrs attrs) {
  const sdk::Dims shape = {attrs.i(embed_id::in_size), attrs.i(embed_id::out_size)};
  add_param(link, "W", attrs[embed_id::initialW], "Normal", 1.0, &shape);
}

sdk::Var embed_id_call(sdk::LinkRef link, sdk::Vars in) {
  return sdk::op<"embed_id">({in[0], link.param("W")}, {link.attr(embed_id::ignore_label)});
}

}  // namespace catena::links
