// Saving and loading of models, optimizers and arrays as NumPy .npz files, compatible with
// Chainer's: at a path, in memory, or through a function of the program's.
#pragma once

#include <catena/cpp/optimizer.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace catena::inline cpp::serializers {

// Arrays by name; an empty one is None.
using Arrays = std::map<std::string, Array>;

// Takes the next bytes of a file. What it throws ends the save and leaves save_npz.
using Write = std::function<void(std::span<const std::byte>)>;

namespace detail {

using namespace catena::detail;

inline uint32_t flags(bool compress) { return compress ? uint32_t{CTN_NPZ_COMPRESS} : 0; }

// Runs save(write, user), a C function with its other arguments, and lets exceptions of `write`
// pass through it.
template <class Save>
void save_through(const Write& write, Save&& save) {
  struct Call {
    const Write& write;
    std::exception_ptr thrown;
  } call{write, nullptr};
  const ctn_write_fn pass = [](void* user, const void* p, uint64_t bytes) noexcept -> ctn_status {
    Call& c = *static_cast<Call*>(user);
    try {
      c.write({static_cast<const std::byte*>(p), static_cast<size_t>(bytes)});
      return CTN_OK;
    } catch (...) {
      c.thrown = std::current_exception();
      return ctn_error_set(CTN_ECANCELLED, str("the writer threw an exception"));
    }
  };
  const ctn_status status = save(pass, &call);
  if (call.thrown) std::rethrow_exception(call.thrown);
  check(status);
}

// Runs save_npz(write) and appends to a buffer, which is replaced only if all went well.
template <class Save>
void save_to(std::vector<std::byte>& to, Save&& save) {
  std::vector<std::byte> bytes;
  save([&bytes](std::span<const std::byte> more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
  });
  to.swap(bytes);
}

// Arrays as the C functions take them; borrows.
struct ArrayList {
  explicit ArrayList(const Arrays& arrays) {
    for (const auto& [name, a] : arrays) {
      names.push_back(str(name));
      handles.push_back(a.get());
    }
  }
  int32_t size() const { return static_cast<int32_t>(names.size()); }

  std::vector<ctn_str> names;
  std::vector<ctn_array> handles;
};

// Collects what a load visits.
inline ctn_status CTN_CALL visit(void* user, ctn_str name, ctn_variable, ctn_array a,
                                 ctn_link) noexcept {
  ctn_array_retain(a);
  Array kept(a);
  try {
    static_cast<Arrays*>(user)->insert_or_assign(std::string(name.p, name.n), std::move(kept));
    return CTN_OK;
  } catch (...) {
    return ctn_error_set(CTN_ENOMEM, str("no memory for the list of arrays"));
  }
}

}  // namespace detail

// ---- links

// Atomic: the file is replaced whole or not at all.
inline void save_npz(std::string_view path, const Link& link, bool compress = true) {
  check(ctn_save_npz_link(link.get(), detail::str(path), detail::flags(compress)));
}
inline void save_npz(const Write& to, const Link& link, bool compress = true) {
  detail::save_through(to, [&](ctn_write_fn write, void* user) {
    return ctn_save_npz_link_to(link.get(), write, user, detail::flags(compress));
  });
}
// Replaces the buffer's content, or leaves it when it throws.
inline void save_npz(std::vector<std::byte>& to, const Link& link, bool compress = true) {
  detail::save_to(to, [&](const Write& write) { save_npz(write, link, compress); });
}
// Loads all or, when it throws, nothing.
inline void load_npz(std::string_view path, Link& link, std::string_view prefix = {},
                     bool strict = true) {
  check(ctn_load_npz_link(link.get(), detail::str(path), detail::str(prefix), strict));
}
inline void load_npz(std::span<const std::byte> from, Link& link, std::string_view prefix = {},
                     bool strict = true) {
  check(
      ctn_load_npz_link_memory(link.get(), from.data(), from.size(), detail::str(prefix), strict));
}

// ---- optimizers

inline void save_npz(std::string_view path, const Optimizer& optimizer, bool compress = true) {
  check(ctn_save_npz_optimizer(optimizer.get(), detail::str(path), detail::flags(compress)));
}
inline void save_npz(const Write& to, const Optimizer& optimizer, bool compress = true) {
  detail::save_through(to, [&](ctn_write_fn write, void* user) {
    return ctn_save_npz_optimizer_to(optimizer.get(), write, user, detail::flags(compress));
  });
}
inline void save_npz(std::vector<std::byte>& to, const Optimizer& optimizer, bool compress = true) {
  detail::save_to(to, [&](const Write& write) { save_npz(write, optimizer, compress); });
}
inline void load_npz(std::string_view path, Optimizer& optimizer, std::string_view prefix = {},
                     bool strict = true) {
  check(ctn_load_npz_optimizer(optimizer.get(), detail::str(path), detail::str(prefix), strict));
}
inline void load_npz(std::span<const std::byte> from, Optimizer& optimizer,
                     std::string_view prefix = {}, bool strict = true) {
  check(ctn_load_npz_optimizer_memory(optimizer.get(), from.data(), from.size(),
                                      detail::str(prefix), strict));
}

// ---- arrays by name

inline void save_npz(std::string_view path, const Arrays& arrays, bool compress = true,
                     ctn_context ctx = Context::current()) {
  const detail::ArrayList list(arrays);
  check(ctn_save_npz_arrays(ctx, detail::str(path), list.names.data(), list.handles.data(),
                            list.size(), detail::flags(compress)));
}
inline void save_npz(const Write& to, const Arrays& arrays, bool compress = true,
                     ctn_context ctx = Context::current()) {
  const detail::ArrayList list(arrays);
  detail::save_through(to, [&](ctn_write_fn write, void* user) {
    return ctn_save_npz_arrays_to(ctx, write, user, list.names.data(), list.handles.data(),
                                  list.size(), detail::flags(compress));
  });
}
inline void save_npz(std::vector<std::byte>& to, const Arrays& arrays, bool compress = true,
                     ctn_context ctx = Context::current()) {
  detail::save_to(to, [&](const Write& write) { save_npz(write, arrays, compress, ctx); });
}
// All members but texts, on the context's device.
inline Arrays load_npz(std::string_view path, ctn_context ctx = Context::current()) {
  Arrays arrays;
  check(ctn_load_npz_arrays(ctx, detail::str(path), detail::visit, &arrays));
  return arrays;
}
inline Arrays load_npz(std::span<const std::byte> from, ctn_context ctx = Context::current()) {
  Arrays arrays;
  check(ctn_load_npz_arrays_memory(ctx, from.data(), from.size(), detail::visit, &arrays));
  return arrays;
}

}  // namespace catena::inline cpp::serializers
