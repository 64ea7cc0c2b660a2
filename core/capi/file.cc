// C functions of catena.h, section "files": links, optimizers and arrays to and from paths, memory
// and the host's functions.
#include "core/file.h"
#include "core/capi/api.h"
#include "core/serialize.h"

using namespace catena;

namespace {

bool compressed(uint32_t flags) {
  if (flags & ~uint32_t{CTN_NPZ_COMPRESS})
    fail(CTN_EINVAL, "npz flags are " + std::to_string(flags) + ", which has unknown bits");
  return flags != 0;
}

Place place_at(Context& ctx, ctn_str path) { return {ctx.io(), std::string(view(path))}; }

Source source_of(const void* data, uint64_t bytes) {
  if (bytes) require(data, "data");
  return Source(data, bytes);
}
Source source_of(ctn_read_fn read, void* user, uint64_t bytes) {
  require(reinterpret_cast<const void*>(read), "read");
  return Source(read, user, bytes);
}
Sink sink_of(ctn_write_fn write, void* user) {
  require(reinterpret_cast<const void*>(write), "write");
  return Sink(write, user);
}

// Handles are held for the call: what a host is called back for may let go of them.
Ref<Link> held(ctn_link l) { return Ref<Link>::share(to_link(l)); }
Ref<Optimizer> held(ctn_optimizer o) { return Ref<Optimizer>::share(to_optimizer(o)); }
Ref<Context> held(ctn_context c) { return Ref<Context>::share(to_context(c)); }

std::vector<NamedArray> named(Context& ctx, const ctn_str* names, const ctn_array* arrays,
                              int32_t n) {
  const std::span<const ctn_str> keys = list(names, n, "names");
  const std::span<const ctn_array> given = list(arrays, n, "arrays");
  std::vector<NamedArray> items;
  for (size_t k = 0; k < keys.size(); ++k) {
    auto* a = static_cast<Array*>(given[k]);
    if (a && &a->ctx() != &ctx)
      fail_argument("array " + quoted(view(keys[k])) + " belongs to another context");
    items.push_back({view(keys[k]), a});
  }
  return items;
}

void visit_arrays(Context& ctx, const Place& from, ctn_link_visitor visitor, void* user) {
  require(reinterpret_cast<const void*>(visitor), "visitor");
  load_arrays(ctx, from, [&](std::string_view name, Array* a) {
    forget_text();
    check_status(visitor(user, str(name), nullptr, a, nullptr), "visitor");
  });
}

}  // namespace

extern "C" {

// ---- links

ctn_status ctn_save_npz_link(ctn_link l, ctn_str path, uint32_t flags) {
  return guarded([&] {
    const Ref<Link> link = held(l);
    save_link(*link, place_at(link->ctx(), path), compressed(flags));
  });
}
ctn_status ctn_save_npz_link_to(ctn_link l, ctn_write_fn write, void* user, uint32_t flags) {
  return guarded([&] {
    Sink to = sink_of(write, user);
    save_link(*held(l), to.place(), compressed(flags));
  });
}
ctn_status ctn_load_npz_link(ctn_link l, ctn_str path, ctn_str prefix, int32_t strict) {
  return guarded([&] {
    const Ref<Link> link = held(l);
    load_link(*link, place_at(link->ctx(), path), view(prefix), strict != 0);
  });
}
ctn_status ctn_load_npz_link_memory(ctn_link l, const void* data, uint64_t bytes, ctn_str prefix,
                                    int32_t strict) {
  return guarded([&] {
    Source from = source_of(data, bytes);
    load_link(*held(l), from.place(), view(prefix), strict != 0);
  });
}
ctn_status ctn_load_npz_link_from(ctn_link l, ctn_read_fn read, void* user, uint64_t bytes,
                                  ctn_str prefix, int32_t strict) {
  return guarded([&] {
    Source from = source_of(read, user, bytes);
    load_link(*held(l), from.place(), view(prefix), strict != 0);
  });
}

// ---- optimizers

ctn_status ctn_save_npz_optimizer(ctn_optimizer o, ctn_str path, uint32_t flags) {
  return guarded([&] {
    const Ref<Optimizer> optimizer = held(o);
    save_optimizer(*optimizer, place_at(optimizer->ctx(), path), compressed(flags));
  });
}
ctn_status ctn_save_npz_optimizer_to(ctn_optimizer o, ctn_write_fn write, void* user,
                                     uint32_t flags) {
  return guarded([&] {
    Sink to = sink_of(write, user);
    save_optimizer(*held(o), to.place(), compressed(flags));
  });
}
ctn_status ctn_load_npz_optimizer(ctn_optimizer o, ctn_str path, ctn_str prefix, int32_t strict) {
  return guarded([&] {
    const Ref<Optimizer> optimizer = held(o);
    load_optimizer(*optimizer, place_at(optimizer->ctx(), path), view(prefix), strict != 0);
  });
}
ctn_status ctn_load_npz_optimizer_memory(ctn_optimizer o, const void* data, uint64_t bytes,
                                         ctn_str prefix, int32_t strict) {
  return guarded([&] {
    Source from = source_of(data, bytes);
    load_optimizer(*held(o), from.place(), view(prefix), strict != 0);
  });
}
ctn_status ctn_load_npz_optimizer_from(ctn_optimizer o, ctn_read_fn read, void* user,
                                       uint64_t bytes, ctn_str prefix, int32_t strict) {
  return guarded([&] {
    Source from = source_of(read, user, bytes);
    load_optimizer(*held(o), from.place(), view(prefix), strict != 0);
  });
}

// ---- arrays

ctn_status ctn_save_npz_arrays(ctn_context ctx, ctn_str path, const ctn_str* names,
                               const ctn_array* arrays, int32_t n, uint32_t flags) {
  return guarded([&] {
    Context& c = *to_context(ctx);
    save_arrays(c, place_at(c, path), named(c, names, arrays, n), compressed(flags));
  });
}
ctn_status ctn_save_npz_arrays_to(ctn_context ctx, ctn_write_fn write, void* user,
                                  const ctn_str* names, const ctn_array* arrays, int32_t n,
                                  uint32_t flags) {
  return guarded([&] {
    const Ref<Context> c = held(ctx);
    Sink to = sink_of(write, user);
    save_arrays(*c, to.place(), named(*c, names, arrays, n), compressed(flags));
  });
}
ctn_status ctn_load_npz_arrays(ctn_context ctx, ctn_str path, ctn_link_visitor visitor,
                               void* user) {
  return guarded([&] {
    const Ref<Context> c = held(ctx);
    visit_arrays(*c, place_at(*c, path), visitor, user);
  });
}
ctn_status ctn_load_npz_arrays_memory(ctn_context ctx, const void* data, uint64_t bytes,
                                      ctn_link_visitor visitor, void* user) {
  return guarded([&] {
    Source from = source_of(data, bytes);
    visit_arrays(*held(ctx), from.place(), visitor, user);
  });
}
ctn_status ctn_load_npz_arrays_from(ctn_context ctx, ctn_read_fn read, void* read_user,
                                    uint64_t bytes, ctn_link_visitor visitor, void* visitor_user) {
  return guarded([&] {
    Source from = source_of(read, read_user, bytes);
    visit_arrays(*held(ctx), from.place(), visitor, visitor_user);
  });
}

}  // extern "C"
