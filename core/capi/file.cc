// C functions of catena.h, section "files".
#include "core/capi/api.h"
#include "core/serialize.h"

using namespace catena;

extern "C" {

ctn_status ctn_save_npz_link(ctn_link l, ctn_str path, int32_t compress) {
  return guarded([&] { save_link(*to_link(l), std::string(view(path)), compress != 0); });
}
ctn_status ctn_load_npz_link(ctn_link l, ctn_str path, ctn_str prefix, int32_t strict) {
  return guarded(
      [&] { load_link(*to_link(l), std::string(view(path)), view(prefix), strict != 0); });
}
ctn_status ctn_save_npz_optimizer(ctn_optimizer o, ctn_str path, int32_t compress) {
  return guarded([&] { save_optimizer(*to_optimizer(o), std::string(view(path)), compress != 0); });
}
ctn_status ctn_load_npz_optimizer(ctn_optimizer o, ctn_str path, ctn_str prefix, int32_t strict) {
  return guarded([&] {
    load_optimizer(*to_optimizer(o), std::string(view(path)), view(prefix), strict != 0);
  });
}
ctn_status ctn_save_npz_arrays(ctn_context ctx, ctn_str path, const ctn_str* names,
                               const ctn_array* arrays, int32_t n, int32_t compress) {
  return guarded([&] {
    const std::span<const ctn_str> keys = list(names, n, "names");
    const std::span<const ctn_array> given = list(arrays, n, "arrays");
    std::vector<NamedArray> items;
    for (size_t k = 0; k < keys.size(); ++k)
      items.push_back({view(keys[k]), static_cast<Array*>(given[k])});
    save_arrays(*to_context(ctx), std::string(view(path)), items, compress != 0);
  });
}
ctn_status ctn_load_npz_arrays(ctn_context ctx, ctn_str path, ctn_link_visitor visitor,
                               void* user) {
  return guarded([&] {
    require(reinterpret_cast<const void*>(visitor), "visitor");
    load_arrays(*to_context(ctx), std::string(view(path)), [&](std::string_view name, Array* a) {
      check_status(visitor(user, str(name), nullptr, a, nullptr), "visitor");
    });
  });
}

}  // extern "C"
