// Helpers of the link set: see links.h.
#include "links.h"

#include <vector>

namespace catena::links {
namespace {

std::string_view text_of(const ctn_value& v) { return {v.u.s, v.n}; }

std::span<const ctn_value> list_of(const ctn_value& v) { return {v.u.list, v.n}; }

// A name, or a list that begins with one.
std::string_view name_of(const ctn_value& v) {
  if (v.kind == CTN_STR) return text_of(v);
  if (v.kind == CTN_LIST && v.n > 0 && v.u.list[0].kind == CTN_STR) return text_of(v.u.list[0]);
  sdk::fail(CTN_EINVAL, "a list must begin with a name");
}

std::span<const ctn_value> arguments_of(const ctn_value& v) {
  return v.kind == CTN_LIST ? list_of(v).subspan(1) : std::span<const ctn_value>();
}

}  // namespace

void add_param(sdk::LinkRef link, std::string_view name, const ctn_value& init,
               std::string_view fallback, sdk::Value argument, const sdk::Dims* shape,
               const ctn_dtype* dtype) {
  std::string_view initializer = "Constant";
  std::vector<sdk::Value> arguments;
  ctn_dtype own = sdk::dtype_of(CTN_FLOAT32);
  switch (init.kind) {
    case CTN_NONE:
    case CTN_ABSENT:
      initializer = fallback;
      arguments.push_back(argument);
      break;
    case CTN_STR:
    case CTN_LIST:
      initializer = name_of(init);
      for (const ctn_value& v : arguments_of(init)) {
        arguments.emplace_back(v);
        if (v.kind == CTN_DTYPE) own = v.u.dt;
      }
      break;
    case CTN_CALLBACK:
      initializer = "Function";
      arguments.emplace_back(init);
      break;
    default: arguments.emplace_back(init);  // a number or an array, cast
  }
  link.add_param(name, initializer, arguments, dtype ? *dtype : own, shape);
}

sdk::Var call_function(const ctn_value& function, sdk::Vars in) {
  ctn_variable out = nullptr;
  if (function.kind == CTN_LINK) {
    sdk::check(sdk::api().link_call(function.u.link, in.data(), in.size(), &out, 1));
    return sdk::Var::take(out);
  }
  if (function.kind == CTN_CALLBACK) {
    const ctn_callback& c = *function.u.callback;
    sdk::check(c.call(c.user, in.data(), in.size(), &out, 1));
    if (!out) sdk::fail(CTN_EINTERNAL, "a function of the host gave no result");
    return sdk::Var::take(out);
  }
  if (in.size() == 0) sdk::fail(CTN_EINVAL, "no input for '", name_of(function), "'");
  int32_t op = -1;
  sdk::check(sdk::api().op_find(sdk::str(name_of(function)), &op));
  const std::span<const ctn_value> attrs = arguments_of(function);
  sdk::check(sdk::api().call(in[0].context(), op, in.data(), in.size(), attrs.data(),
                             static_cast<int32_t>(attrs.size()), &out, 1));
  return sdk::Var::take(out);
}

sdk::Var optional_param(sdk::LinkRef link, std::string_view name, bool present) {
  return present ? link.param(name) : sdk::Var();
}

}  // namespace catena::links
