// C functions of catena.h, section "parameters and links".
#include "core/link.h"

#include "core/capi/api.h"
#include "core/missing.h"
#include "core/parameter.h"

using namespace catena;

namespace {

std::span<const int64_t> shape_of(int32_t ndim, const int64_t* shape) {
  if (ndim < 0 || ndim > CTN_MAX_NDIM)
    fail(CTN_EINVAL,
         "ndim is " + std::to_string(ndim) + ", not 0 to " + std::to_string(CTN_MAX_NDIM));
  return list(shape, ndim, "shape");
}

const LinkEntry& entry_of(ctn_str name) {
  const LinkEntry* entry = Registry::get().find_link(view(name));
  if (!entry) fail_missing(Sort::kLink, view(name));
  return *entry;
}

// The attributes of an entry, for messages; none where there is no such entry.
template <class Entry>
std::span<const AttrDef> defs_of(const Entry* entry) {
  return entry ? std::span<const AttrDef>(entry->attrs) : std::span<const AttrDef>();
}

// Takes the callbacks among the values, whatever happens afterwards.
std::vector<ctn_value> values_of(std::span<const ctn_attr> attrs) {
  std::vector<ctn_value> values;
  for (const ctn_attr& a : attrs) values.push_back(a.value);
  return values;
}

Variable& param_at(ctn_link l, std::string_view path) {
  const LinkItem& item = to_link(l)->at(path);
  if (!item.param) fail(CTN_ENOTFOUND, "'" + std::string(path) + "' is no parameter");
  return *item.param;
}

}  // namespace

extern "C" {

ctn_status ctn_parameter_new(ctn_context ctx, ctn_str initializer, const ctn_value* attrs,
                             int32_t n_attrs, ctn_dtype dtype, int32_t ndim, const int64_t* shape,
                             ctn_variable* out) {
  return guarded([&] {
    const Values own(list(attrs, n_attrs, "attrs"), view(initializer),
                     defs_of(Registry::get().find_initializer(view(initializer))));
    require(out, "out");
    if (shape) shape_of(ndim, shape);
    *out = make_parameter(*to_context(ctx), view(initializer), own.get(), checked_dtype(dtype),
                          shape, ndim)
               .detach();
  });
}
ctn_status ctn_parameter_initialize(ctn_variable p, int32_t ndim, const int64_t* shape) {
  return guarded([&] { initialize_parameter(*to_variable(p), shape_of(ndim, shape)); });
}
int32_t ctn_parameter_is_initialized(ctn_variable p) {
  return p && static_cast<Variable*>(p)->data != nullptr;
}
ctn_status ctn_initialize(ctn_array a, ctn_str initializer, const ctn_value* attrs,
                          int32_t n_attrs) {
  return guarded([&] {
    const Values own(list(attrs, n_attrs, "attrs"), view(initializer),
                     defs_of(Registry::get().find_initializer(view(initializer))));
    initialize_array(*to_array(a), find_initializer(view(initializer)), own.get());
  });
}

ctn_status ctn_link_create(ctn_context ctx, ctn_str name, const ctn_value* attrs, int32_t n_attrs,
                           ctn_link* out) {
  return guarded([&] {
    const Values own(list(attrs, n_attrs, "attrs"), view(name),
                     defs_of(Registry::get().find_link(view(name))));
    require(out, "out");
    *out = Link::create(*to_context(ctx), entry_of(name), own.get()).detach();
  });
}
ctn_status ctn_link_create_named(ctn_context ctx, ctn_str name, const ctn_attr* attrs,
                                 int32_t n_attrs, ctn_link* out) {
  return guarded([&] {
    const std::span<const ctn_attr> given = list(attrs, n_attrs, "attrs");
    std::vector<AttrDef> names(given.size());
    for (size_t k = 0; k < given.size(); ++k) names[k].name = view(given[k].name);
    const Values own(values_of(given), view(name), names);
    require(out, "out");
    std::vector<ctn_attr> named(given.begin(), given.end());
    for (size_t k = 0; k < named.size(); ++k) named[k].value = own[k];
    *out =
        Link::create(*to_context(ctx), entry_of(name), std::span<const ctn_attr>(named)).detach();
  });
}
ctn_status ctn_chain_create(ctn_context ctx, const ctn_callback* call, int32_t n_out,
                            ctn_link* out) {
  return guarded([&] {
    ctn_value callback{};
    callback.kind = CTN_CALLBACK;
    callback.u.callback = call;
    const Values own(std::span<const ctn_value>(&callback, call ? 1 : 0), "ctn_chain_create");
    require(out, "out");
    *out = Link::chain(*to_context(ctx), call ? &own[0] : nullptr, n_out).detach();
  });
}
void ctn_link_retain(ctn_link l) {
  if (l) static_cast<Link*>(l)->retain();
}
void ctn_link_release(ctn_link l) {
  if (l) static_cast<Link*>(l)->release();
}

ctn_status ctn_link_call(ctn_link l, const ctn_variable* in, int32_t n_in, ctn_variable* out,
                         int32_t n_out) {
  return guarded([&] {
    const Ref<Link> link = Ref<Link>::share(to_link(l));  // it may let go of itself
    if (n_out != link->n_out()) fail(CTN_EINVAL, link->outputs_text(n_out));
    const auto n = list(out, n_out, "out").size();
    constexpr size_t kRoom = 16;
    ctn_variable room[kRoom];
    std::vector<ctn_variable> more(n > kRoom ? n : 0);
    const std::span<ctn_variable> results(n > kRoom ? more.data() : room, n);
    link->call(list(in, n_in, "in"), results);
    std::copy(results.begin(), results.end(), out);
  });
}
ctn_status ctn_link_class(ctn_link l, ctn_str* out) {
  return guarded([&] {
    require(out, "out");
    *out = str(to_link(l)->class_name());
  });
}
ctn_context ctn_link_context(ctn_link l) { return l ? &static_cast<Link*>(l)->ctx() : nullptr; }

ctn_status ctn_link_add_param(ctn_link l, ctn_str name, ctn_variable p) {
  return guarded([&] { to_link(l)->add_param(view(name), *to_variable(p)); });
}
ctn_status ctn_link_add_persistent(ctn_link l, ctn_str name, ctn_array a) {
  return guarded([&] { to_link(l)->add_persistent(view(name), *to_array(a)); });
}
ctn_status ctn_link_set_persistent(ctn_link l, ctn_str path, ctn_array a) {
  return guarded([&] {
    Link* owner = to_link(l);
    std::string_view last = view(path);
    if (const size_t slash = last.rfind('/'); slash != std::string_view::npos && slash > 0) {
      const LinkItem& item = owner->at(last.substr(0, slash));
      if (!item.child)
        fail(CTN_ENOTFOUND, "'" + std::string(last.substr(0, slash)) + "' is no child link");
      owner = item.child.get();
      last.remove_prefix(slash + 1);
    }
    owner->set_persistent(last, *to_array(a));
  });
}
ctn_status ctn_link_add_child(ctn_link l, ctn_str name, ctn_link child) {
  return guarded([&] { to_link(l)->add_child(view(name), *to_link(child)); });
}

ctn_status ctn_link_param(ctn_link l, ctn_str path, ctn_variable* out) {
  return guarded([&] {
    require(out, "out");
    *out = Ref<Variable>::share(&param_at(l, view(path))).detach();
  });
}
ctn_status ctn_link_persistent(ctn_link l, ctn_str path, ctn_array* out) {
  return guarded([&] {
    require(out, "out");
    const LinkItem& item = to_link(l)->at(view(path));
    if (!item.persistent)
      fail(CTN_ENOTFOUND, "'" + std::string(view(path)) + "' is no persistent value");
    *out = Ref<Array>(item.persistent).detach();
  });
}
ctn_status ctn_link_child(ctn_link l, ctn_str path, ctn_link* out) {
  return guarded([&] {
    require(out, "out");
    const LinkItem& item = to_link(l)->at(view(path));
    if (!item.child) fail(CTN_ENOTFOUND, "'" + std::string(view(path)) + "' is no child link");
    *out = Ref<Link>(item.child).detach();
  });
}
ctn_status ctn_link_visit(ctn_link l, ctn_link_visitor visitor, void* user) {
  return guarded([&] {
    require(reinterpret_cast<const void*>(visitor), "visitor");
    LinkWalk walk(*to_link(l));
    while (const LinkItem* item = walk.next())
      checked_call("visitor", [&] {
        return visitor(user, str(walk.path()), item->param.get(), item->persistent.get(),
                       item->child.get());
      });
  });
}

ctn_status ctn_link_attr(ctn_link l, int32_t index, ctn_value* out) {
  return guarded([&] {
    require(out, "out");
    const Link& link = *to_link(l);
    const std::span<const ctn_value> attrs = link.attrs();
    if (index < 0 || static_cast<size_t>(index) >= attrs.size())
      fail(CTN_EINVAL,
           std::string(link.class_name()) + " has no attribute " + std::to_string(index));
    *out = attrs[static_cast<size_t>(index)];
  });
}
ctn_status ctn_link_set_attr(ctn_link l, int32_t index, const ctn_value* value) {
  return guarded([&] {
    require(value, "value");
    const Values own({value, 1}, "ctn_link_set_attr");
    if (index < 0) fail(CTN_EINVAL, "attribute index is " + std::to_string(index));
    to_link(l)->set_attr(static_cast<size_t>(index), own[0]);
  });
}
ctn_status ctn_link_set_state(ctn_link l, ctn_str name, ctn_variable v) {
  return guarded([&] { to_link(l)->set_state(view(name), static_cast<Variable*>(v)); });
}
ctn_status ctn_link_state(ctn_link l, ctn_str name, ctn_variable* out) {
  return guarded([&] {
    require(out, "out");
    *out = Ref<Variable>::share(to_link(l)->state(view(name))).detach();
  });
}

ctn_status ctn_link_copy(ctn_link l, int32_t mode, ctn_link* out) {
  return guarded([&] {
    require(out, "out");
    if (mode < CTN_COPY_SHARE || mode > CTN_COPY_INIT)
      fail(CTN_EINVAL, "unknown copy mode " + std::to_string(mode));
    const Ref<Link> link = Ref<Link>::share(to_link(l));
    *out = link->copy(static_cast<CopyMode>(mode)).detach();
  });
}
ctn_status ctn_link_clear_grads(ctn_link l) {
  return guarded([&] { to_link(l)->clear_grads(); });
}
ctn_status ctn_link_copy_params(ctn_link l, ctn_link from) {
  return guarded([&] { to_link(l)->copy_params(*to_link(from)); });
}
ctn_status ctn_link_to_device(ctn_link l, ctn_device device) {
  return guarded([&] {
    const Ref<Link> link = Ref<Link>::share(to_link(l));
    link->to_device(link->ctx().device(device));
  });
}
ctn_status ctn_link_enable_update(ctn_link l, int32_t enabled) {
  return guarded([&] {
    LinkWalk walk(*to_link(l));
    while (const LinkItem* item = walk.next())
      if (item->param) item->param->extra->parameter->update_enabled = enabled != 0;
  });
}

}  // extern "C"
