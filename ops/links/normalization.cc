// BatchNormalization: training, test and fine-tuning modes.
#include "links.h"

namespace catena::links {

using namespace link_attr;

namespace {

sdk::Dims size_of(sdk::Attrs attrs) { return sdk::Dims(attrs.ints(batch_normalization::size)); }

// Number of fine-tuning calls so far: a new array each time, so that copies of the link count for
// themselves.
int64_t count_call(sdk::LinkRef link) {
  int64_t n = 0;
  const sdk::Array count = link.persistent("N");
  sdk::check(sdk::api().array_to_host(count.get(), &n, sizeof n));
  ++n;
  const sdk::Array next = sdk::Array::from_host(link.context(), sdk::dtype_of(CTN_INT64), {}, &n);
  link.set_persistent("N", next.on(count.spec().device));
  return n;
}

sdk::Var constant_like(const sdk::Array& stat, sdk::Ref x, int value) {
  const ctn_dltensor t = stat.spec();
  const std::span<const int64_t> shape(t.shape, static_cast<size_t>(t.ndim));
  return sdk::Array::full(x.context(), x.dtype(), shape, value).on(x.device()).variable();
}

}  // namespace

void batch_normalization_init(sdk::LinkRef link, sdk::Attrs attrs) {
  const sdk::Dims size = size_of(attrs);
  const ctn_dtype dtype = attrs.dtype(batch_normalization::dtype);
  for (const char* name : {"avg_mean", "avg_var"})
    link.add_persistent(name, sdk::Array::full(link.context(), dtype, size.span(), 0));
  link.add_persistent("N", sdk::Array::full(link.context(), sdk::dtype_of(CTN_INT64), {}, 0));
  if (attrs.b(batch_normalization::use_gamma))
    add_param(link, "gamma", attrs[batch_normalization::initial_gamma], "Constant", 1, &size,
              &dtype);
  if (attrs.b(batch_normalization::use_beta))
    add_param(link, "beta", attrs[batch_normalization::initial_beta], "Constant", 0, &size, &dtype);
}

sdk::Var batch_normalization_call(sdk::LinkRef link, sdk::Vars in) {
  const sdk::Ref x = in[0];
  const sdk::Array mean = link.persistent("avg_mean"), var = link.persistent("avg_var");
  const bool use_gamma = link.attr(batch_normalization::use_gamma).u.i != 0;
  const bool use_beta = link.attr(batch_normalization::use_beta).u.i != 0;
  const sdk::Var gamma = use_gamma ? link.param("gamma") : constant_like(mean, x, 1);
  const sdk::Var beta = use_beta ? link.param("beta") : constant_like(mean, x, 0);
  const sdk::Value eps = link.attr(batch_normalization::eps);
  if (!sdk::config(link.context(), "train"))
    return sdk::op<"fixed_batch_normalization">({x, gamma, beta, mean.variable(), var.variable()},
                                                {eps});
  sdk::Value decay = link.attr(batch_normalization::decay);
  if (link.attr(batch_normalization::finetune).u.i != 0)
    decay = 1.0 - 1.0 / static_cast<double>(count_call(link));
  return sdk::op<"batch_normalization">({x, gamma, beta, mean.variable(), var.variable()},
                                        {eps, decay});
}

}  // namespace catena::links
