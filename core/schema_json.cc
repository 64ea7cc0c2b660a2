// The registry as JSON: what generators, bindings and `catena schema` read. docs/schema-json.md
// describes the members; additions keep "format", changes of meaning raise it.
#include "core/define.h"
#include "core/json_writer.h"
#include "core/registry_state.h"

namespace catena {
namespace {

constexpr int64_t kFormat = 1;

struct Flag {
  uint32_t bit;
  const char* name;
};
constexpr Flag kOpFlags[] = {{CTN_OP_NODIFF, "nodiff"},
                             {CTN_OP_RANDOM, "random"},
                             {CTN_OP_ONCE, "once"},
                             {CTN_OP_SAME_SHAPE, "same_shape"},
                             {CTN_OP_INTERNAL, "internal"}};
constexpr Flag kInputFlags[] = {
    {CTN_IN_OPTIONAL, "optional"}, {CTN_IN_VARIADIC, "variadic"}, {CTN_IN_NO_GRAD, "no_grad"}};
constexpr Flag kOutputFlags[] = {{CTN_OUT_HIDDEN, "hidden"}};
constexpr Flag kHookFlags[] = {{CTN_HOOK_PER_PARAM, "per_param"}, {CTN_HOOK_POST, "post"}};
constexpr Flag kStateFlags[] = {{CTN_STATE_WHEN, "when"}};
constexpr Flag kBackendFlags[] = {{CTN_BACKEND_HOST_MEMORY, "host_memory"},
                                  {CTN_BACKEND_ASYNC, "async"},
                                  {CTN_BACKEND_FORK_SAFE, "fork_safe"}};

void text(JsonWriter& j, std::string_view key, std::string_view value) { j.key(key).string(value); }

// Left out when empty.
void some_text(JsonWriter& j, std::string_view key, ctn_str value) {
  if (value.n != 0) text(j, key, view(value));
}

template <size_t N>
void flags(JsonWriter& j, uint32_t bits, const Flag (&names)[N]) {
  j.key("flags").open('[');
  for (const Flag& f : names) {
    if ((bits & f.bit) != 0) j.string(f.name);
  }
  j.close(']');
}

void bit_list(JsonWriter& j, std::string_view key, uint64_t mask, size_t n) {
  j.key(key).open('[');
  for (size_t i = 0; i < n; ++i) {
    if ((mask >> i & 1u) != 0) j.number(static_cast<int64_t>(i));
  }
  j.close(']');
}

void write_slice(JsonWriter& j, const ctn_slice& s) {
  const int64_t parts[] = {s.start, s.stop, s.step};
  j.open('[');
  for (int i = 0; i < 3; ++i) {
    if ((s.has >> i & 1u) != 0) {
      j.number(parts[i]);
    } else {
      j.null();
    }
  }
  j.close(']');
}

void write_value(JsonWriter& j, const ctn_value& v);

template <class T, class Write>
void write_list(JsonWriter& j, const T* items, uint32_t n, Write write) {
  j.open('[');
  for (uint32_t i = 0; i < n; ++i) write(items[i]);
  j.close(']');
}

void write_value(JsonWriter& j, const ctn_value& v) {
  switch (v.kind) {
    case CTN_BOOL: return j.boolean(v.u.i != 0);
    case CTN_INT: return j.number(v.u.i);
    case CTN_FLOAT: return j.number(v.u.f);
    case CTN_STR: return j.string({v.u.s, v.n});
    case CTN_DTYPE: return j.string(dtype_name(dtype_index(v.u.dt)));
    case CTN_DEVICE: {
      const int32_t parts[] = {v.u.dev.type, v.u.dev.id};
      return write_list(j, parts, 2, [&](int32_t i) { j.number(int64_t{i}); });
    }
    case CTN_SLICE: return write_slice(j, *v.u.slice);
    case CTN_INTS: return write_list(j, v.u.is, v.n, [&](int64_t i) { j.number(i); });
    case CTN_FLOATS: return write_list(j, v.u.fs, v.n, [&](double f) { j.number(f); });
    case CTN_STRS: return write_list(j, v.u.ss, v.n, [&](ctn_str s) { j.string(view(s)); });
    case CTN_LIST:
      return write_list(j, v.u.list, v.n, [&](const ctn_value& e) { write_value(j, e); });
    default: return j.null();  // none, ellipsis, newaxis: default_kind says which
  }
}

void write_attrs(JsonWriter& j, std::string_view key, const std::vector<AttrDef>& attrs) {
  j.key(key).open('[');
  for (const AttrDef& a : attrs) {
    j.open('{');
    text(j, "name", a.name);
    j.key("kinds").open('[');
    for (int32_t k = 0; k < 63; ++k) {
      if ((a.kinds >> k & 1u) != 0) j.string(kind_name(k));
    }
    j.close(']');
    j.key("required").boolean((a.kinds & CTN_REQUIRED) != 0);
    if ((a.kinds & CTN_REQUIRED) == 0) {
      text(j, "default_kind", kind_name(a.fallback.kind));
      j.key("default");
      write_value(j, a.fallback);
    }
    text(j, "doc", a.doc);
    j.close('}');
  }
  j.close(']');
}

void write_inputs(JsonWriter& j, const Op& op) {
  j.key("inputs").open('[');
  for (const InputDef& in : op.in) {
    j.open('{');
    text(j, "name", in.name);
    text(j, "type", in.type);
    if (op.row) text(j, "var", in.var);
    j.key("dtypes").open('[');
    for (int32_t d = 0; d < CTN_DTYPE_COUNT; ++d) {
      if ((in.dtypes >> d & 1u) != 0) j.string(dtype_name(d));
    }
    j.close(']');
    flags(j, in.flags, kInputFlags);
    j.close('}');
  }
  j.close(']');
}

void write_outputs(JsonWriter& j, const Op& op) {
  j.key("outputs").open('[');
  for (const OutputDef& out : op.out) {
    j.open('{');
    text(j, "name", out.name);
    text(j, "type", out.type);
    flags(j, out.flags, kOutputFlags);
    j.close('}');
  }
  j.close(']');
}

const char* op_kind(const Op& op) {
  return op.row ? "expression" : op.def.compose ? "composite" : "primitive";
}

void write_kernels(JsonWriter& j, const Op& op, const Tables& tables) {
  j.key("kernels").open('[');
  for (const Kernel* k : tables.kernels) {
    if (view(k->def.op) != op.name) continue;
    j.open('{');
    text(j, "backend", view(k->def.backend));
    j.key("priority").number(int64_t{k->def.priority});
    text(j, "plugin", k->plugin);
    j.close('}');
  }
  j.close(']');
}

void write_op(JsonWriter& j, const Op& op, const Tables& tables) {
  j.open('{');
  text(j, "name", op.name);
  text(j, "label", op.label);
  text(j, "kind", op_kind(op));
  text(j, "doc", op.doc);
  text(j, "page", op.page);
  text(j, "plugin", op.plugin);
  flags(j, op.flags, kOpFlags);
  write_inputs(j, op);
  write_outputs(j, op);
  j.key("variable_outputs").boolean(op.def.count != nullptr);
  write_attrs(j, "attrs", op.attrs);
  j.key("checks").open('[');
  for (const std::string& check : op.check_texts) j.string(check);
  j.close(']');
  bit_list(j, "retain_in", op.retain_in, op.in.size());
  bit_list(j, "retain_out", op.retain_out, op.out.size());
  some_text(j, "map", op.def.map);
  some_text(j, "grad", op.def.grad);
  some_text(j, "reduce", op.def.reduce);
  some_text(j, "post", op.def.post);
  some_text(j, "identity", op.def.identity);
  write_kernels(j, op, tables);
  j.close('}');
}

template <class Def>
void write_head(JsonWriter& j, const Entry<Def>& e) {
  j.open('{');
  text(j, "name", e.name);
  text(j, "doc", e.doc);
  text(j, "page", e.page);
  text(j, "plugin", e.plugin);
}

void write_link(JsonWriter& j, const LinkEntry& e) {
  write_head(j, e);
  j.key("inputs").number(int64_t{e.def.n_in});
  j.key("outputs").number(int64_t{e.def.n_out});
  write_attrs(j, "attrs", e.attrs);
  j.close('}');
}

void write_optimizer(JsonWriter& j, const OptimizerEntry& e) {
  write_head(j, e);
  write_attrs(j, "hyper", e.attrs);
  j.key("state").open('[');
  for (int32_t i = 0; i < e.def.n_state; ++i) {
    j.open('{');
    text(j, "name", view(e.def.state[i].name));
    j.key("initial").number(e.def.state[i].initial);
    flags(j, e.def.state[i].flags, kStateFlags);
    j.close('}');
  }
  j.close(']');
  text(j, "scalars", view(e.def.scalars));
  text(j, "update", view(e.def.update));
  some_text(j, "when", e.def.when);
  some_text(j, "update_when", e.def.update_when);
  some_text(j, "nonzero", e.def.nonzero);
  j.close('}');
}

void write_hook(JsonWriter& j, const HookEntry& e) {
  write_head(j, e);
  flags(j, e.def.flags, kHookFlags);
  write_attrs(j, "attrs", e.attrs);
  j.key("sums").open('[');
  for (int32_t i = 0; i < e.def.n_sums; ++i) {
    j.open('{');
    text(j, "name", view(e.def.sums[i].name));
    text(j, "map", view(e.def.sums[i].map));
    j.close('}');
  }
  j.close(']');
  some_text(j, "scalars", e.def.scalars);
  some_text(j, "update", e.def.update);
  j.close('}');
}

void write_initializer(JsonWriter& j, const InitializerEntry& e) {
  write_head(j, e);
  write_attrs(j, "attrs", e.attrs);
  j.close('}');
}

void write_backend(JsonWriter& j, const Backend& b) {
  j.open('{');
  text(j, "name", b.name);
  text(j, "parent", b.parent ? std::string_view(b.parent->name) : std::string_view());
  j.key("priority").number(int64_t{b.def.priority});
  j.key("device_type").number(int64_t{b.def.device_type});
  flags(j, b.def.flags, kBackendFlags);
  text(j, "plugin", b.plugin);
  j.close('}');
}

template <class T, class Write>
void write_shelf(JsonWriter& j, std::string_view key, const Shelf<T>& shelf, Write write) {
  j.key(key).open('[');
  for (const T* entry : shelf.items) write(j, *entry);
  j.close(']');
}

}  // namespace

std::string Registry::json() const {
  const Tables& t = tables();
  JsonWriter j;
  j.open('{');
  j.key("format").number(kFormat);
  text(j, "abi", std::to_string(CTN_ABI_MAJOR) + "." + std::to_string(CTN_ABI_MINOR));
  write_shelf(j, "ops", t.ops, [&](JsonWriter& to, const Op& op) { write_op(to, op, t); });
  write_shelf(j, "links", t.links, write_link);
  write_shelf(j, "optimizers", t.optimizers, write_optimizer);
  write_shelf(j, "hooks", t.hooks, write_hook);
  write_shelf(j, "initializers", t.initializers, write_initializer);
  write_shelf(j, "backends", t.backends, write_backend);
  j.close('}');
  return j.take();
}

}  // namespace catena
