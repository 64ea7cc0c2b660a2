// Parameters: see parameter.h.
#include "core/parameter.h"

#include <algorithm>
#include <limits>

#include "core/intrinsic.h"
#include "core/missing.h"

namespace catena {
namespace {

ParameterInfo& info(const Variable& p) {
  if (!p.is_parameter()) fail(CTN_EINVAL, "variable is no parameter");
  return *p.extra->parameter;
}

Ref<Variable> make_lazy(Context& ctx, std::unique_ptr<ParameterInfo> own) {
  Ref<Variable> p = Variable::make(ctx, nullptr, true);
  p->more().parameter = std::move(own);
  return p;
}

}  // namespace

const InitializerEntry* find_initializer(std::string_view name) {
  if (name.empty()) return nullptr;
  const InitializerEntry* entry = Registry::get().find_initializer(name);
  if (!entry) fail_missing(Sort::kInitializer, name);
  return entry;
}

void initialize_array(Array& a, const InitializerEntry* initializer,
                      std::span<const ctn_value> given) {
  if (!initializer) {
    ctn_value nan{};
    nan.kind = CTN_FLOAT;
    nan.u.f = std::numeric_limits<double>::quiet_NaN();
    fill(a, nan);
    return;
  }
  std::vector<ctn_value> attrs(initializer->attrs.size());
  bind_attrs(initializer->name, initializer->attrs, given, attrs.data());
  check_status(initializer->def.fill(initializer->def.self, &a, attrs.data()), initializer->name);
}

Ref<Array> initial_array(const Variable& p, std::span<const int64_t> shape) {
  const ParameterInfo& how = info(p);
  Ref<Array> a = Array::make(*how.device, how.dtype, shape, "parameter");
  initialize_array(*a, how.initializer, how.attrs.get());
  return a;
}

Ref<Array> stage_array(Array& own, Array& source, const std::string& where) {
  if (!std::ranges::equal(own.shape(), source.shape()))
    fail(CTN_ESHAPE, where + " has shape " + shape_text(own.shape()) + ", its new value " +
                         shape_text(source.shape()));
  own.before_write();
  return copy_array(*to_device(source, own.device()), own.dtype);
}

Ref<Array> stage_array(const Variable& p, Array& source, const std::string& where) {
  if (p.data) return stage_array(*p.data, source, where);
  return copy_array(*to_device(source, *info(p).device), info(p).dtype);
}

void take_staged(Variable& p, Array& staged) {
  const bool alone = !p.data || (p.data->refs.load() == 1 && p.data->storage->refs.load() == 1 &&
                                 (p.data->storage->flags & kStorageBorrowed) == 0);
  if (alone) {
    p.set_array(staged);
  } else {
    copy_into(*p.data, staged);
  }
}

void adopt_parameter(Variable& v) {
  if (v.is_parameter()) return;
  if (v.creator) fail(CTN_EINVAL, "a parameter must be a leaf, this variable was computed");
  auto own = std::make_unique<ParameterInfo>();
  own->dtype = v.array().dtype;
  own->device = &v.array().device();
  v.more().parameter = std::move(own);
}

Ref<Variable> clone_parameter(const Variable& p) {
  const ParameterInfo& from = info(p);
  auto own = std::make_unique<ParameterInfo>();
  own->initializer = from.initializer;
  own->attrs = Values(from.attrs.get());
  own->dtype = from.dtype;
  own->device = from.device;
  Ref<Variable> copy = make_lazy(*p.ctx, std::move(own));
  copy->more().name = p.extra->name;
  copy->requires_grad = p.requires_grad;
  return copy;
}

Ref<Variable> make_parameter(Context& ctx, std::string_view initializer,
                             std::span<const ctn_value> attrs, int dtype, const int64_t* shape,
                             int32_t ndim) {
  auto own = std::make_unique<ParameterInfo>();
  own->attrs = Values(attrs);
  own->initializer = find_initializer(initializer);
  if (dtype < 0) fail(CTN_EDTYPE, "unknown dtype of a parameter");
  own->dtype = dtype;
  own->device = &ctx.default_device();
  if (own->initializer) {  // a wrong argument is found here, not at the first call
    std::vector<ctn_value> bound(own->initializer->attrs.size());
    bind_attrs(own->initializer->name, own->initializer->attrs, own->attrs.get(), bound.data());
  }
  Ref<Variable> p = make_lazy(ctx, std::move(own));
  if (shape) initialize_parameter(*p, {shape, static_cast<size_t>(ndim)});
  return p;
}

void initialize_parameter(Variable& p, std::span<const int64_t> shape) {
  info(p);
  if (p.data) {
    fail(CTN_EINVAL, "parameter '" + p.extra->name + "' is initialised already, with shape " +
                         shape_text(p.shape()));
  }
  p.set_array(*initial_array(p, shape));
}

}  // namespace catena
