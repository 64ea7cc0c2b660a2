// Deep copies of ctn_value lists, as graph nodes and links keep them. Knows handles only by their
// retain and release.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/catena.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/registry.h"

namespace catena {

// Why a value cannot be read: an unknown kind or dtype, a kind that needs a pointer without one,
// lists that are too deep or too long (one that contains itself, say). Empty: it can be read, and
// everything below may be done with it. Values of callers are checked where they enter: by
// bind_attrs, bind_named and the constructor of Values that takes a text.
std::string value_fault(const ctn_value& v);
// Throws CTN_EINVAL naming `what`, the attribute and what is wrong with its value.
[[noreturn]] void fail_value(std::string_view what, std::string_view name, const ctn_value& v);
// "int", "tuple of ints"; "?" for a kind that there is not.
std::string_view kind_words(int32_t kind);

// Bytes behind the pointers of a value, nested ones included.
size_t extra_bytes(const ctn_value& v);
// Copies v; what it points to goes to *cursor, which moves on and stays a multiple of 8. Arrays,
// variables and links are retained. A callback is taken: its drop runs once, when the last copy
// goes or if copying fails.
ctn_value copy_value(const ctn_value& v, std::byte*& cursor);
// Lets go of the handles in a copied value.
void drop_value(const ctn_value& v) noexcept;

// A list of values that owns what they point to.
class Values {
 public:
  Values() = default;
  explicit Values(std::span<const ctn_value> values);
  // The same of values that a caller made for `what`, checked first; `defs` has their names, where
  // they are known. If it throws, callbacks that were given away have been dropped.
  Values(std::span<const ctn_value> values, std::string_view what,
         std::span<const AttrDef> defs = {});
  Values(Values&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)), n_(std::exchange(o.n_, 0)) {}
  Values& operator=(Values&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(n_, o.n_);
    return *this;
  }
  ~Values();
  std::span<const ctn_value> get() const { return {data_, n_}; }
  const ctn_value& operator[](size_t i) const { return data_[i]; }
  size_t size() const { return n_; }
  // Puts link `to` where `from` is held, in nested lists too.
  void replace_link(ctn_link from, ctn_link to) noexcept;

 private:
  ctn_value* data_ = nullptr;
  size_t n_ = 0;
};

// Fills out[defs.size()] from positional values: CTN_ABSENT and missing ones take the default.
// Throws CTN_EINVAL naming `what`, the attribute and the value for a wrong kind or a missing
// required one.
void bind_attrs(std::string_view what, std::span<const AttrDef> defs,
                std::span<const ctn_value> given, ctn_value* out);
// The same from named values in any order.
void bind_named(std::string_view what, std::span<const AttrDef> defs,
                std::span<const ctn_attr> given, ctn_value* out);
// "int", "(1, 2)", "'same'": for messages.
std::string value_text(const ctn_value& v);

}  // namespace catena
