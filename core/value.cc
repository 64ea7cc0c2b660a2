// Deep copies of values, binding of attributes to their schema, and values as text. Knows handles
// only by their retain and release.
#include "core/value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>

#include "core/array.h"
#include "core/link.h"
#include "core/variable.h"

namespace catena {
namespace {

constexpr size_t kAlign = 8;
constexpr size_t padded(size_t bytes) { return (bytes + kAlign - 1) & ~(kAlign - 1); }

// Own bytes of what v points to, without what list entries point to in turn.
size_t direct_bytes(const ctn_value& v) {
  const size_t n = v.n;
  switch (v.kind) {
    case CTN_STR: return n;
    case CTN_SLICE: return sizeof(ctn_slice);
    case CTN_INTS: return n * sizeof(int64_t);
    case CTN_FLOATS: return n * sizeof(double);
    case CTN_STRS: return n * sizeof(ctn_str);
    case CTN_LIST: return n * sizeof(ctn_value);
    case CTN_CALLBACK: return sizeof(ctn_callback);
    default: return 0;
  }
}

// ---- callbacks: every copy of a value shares one holder, which drops the host's object once

struct Held {
  std::atomic<int64_t> refs{1};
  ctn_callback callback{};
};

ctn_status CTN_CALL held_call(void* user, const ctn_variable* in, int32_t n_in, ctn_variable* out,
                              int32_t n_out) {
  const ctn_callback& c = static_cast<Held*>(user)->callback;
  return c.call(c.user, in, n_in, out, n_out);
}

void CTN_CALL held_drop(void* user) {
  Held* h = static_cast<Held*>(user);
  if (h->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (h->callback.drop) shielded([&] { h->callback.drop(h->callback.user); });
  delete h;
}

ctn_callback hold(const ctn_callback& c) {
  if (c.call == held_call) {
    static_cast<Held*>(c.user)->refs.fetch_add(1, std::memory_order_relaxed);
    return c;
  }
  Held* h = new (std::nothrow) Held;
  if (!h) {
    if (c.drop) shielded([&] { c.drop(c.user); });  // it was taken: nobody else will
    throw std::bad_alloc();
  }
  h->callback = c;
  return {h, held_call, held_drop};
}

// Callbacks of a value that will not be copied any more: they were taken, nobody else drops them.
void drop_given(const ctn_value& v) noexcept {
  if (v.kind == CTN_CALLBACK && v.u.callback->call != held_call && v.u.callback->drop)
    shielded([&] { v.u.callback->drop(v.u.callback->user); });
  if (v.kind != CTN_LIST) return;
  for (size_t k = 0; k < v.n; ++k) drop_given(v.u.list[k]);
}

template <class T>
T* place(const T* from, size_t n, std::byte*& cursor) {
  T* to = reinterpret_cast<T*>(cursor);
  if (n != 0) std::memcpy(static_cast<void*>(to), from, n * sizeof(T));
  cursor += padded(n * sizeof(T));
  return to;
}

void copy_texts(ctn_value& v, std::byte*& cursor) {
  ctn_str* texts = place(v.u.ss, v.n, cursor);
  for (size_t k = 0; k < v.n; ++k) texts[k].p = place(texts[k].p, texts[k].n, cursor);
  v.u.ss = texts;
}

void copy_list(ctn_value& v, std::byte*& cursor) {
  const ctn_value* from = v.u.list;
  ctn_value* to = reinterpret_cast<ctn_value*>(cursor);
  cursor += padded(v.n * sizeof(ctn_value));
  size_t done = 0;
  try {
    for (; done < v.n; ++done) to[done] = copy_value(from[done], cursor);
  } catch (...) {
    for (size_t k = done + 1; k < v.n; ++k) drop_given(from[k]);
    while (done > 0) drop_value(to[--done]);
    throw;
  }
  v.u.list = to;
}

}  // namespace

size_t extra_bytes(const ctn_value& v) {
  size_t bytes = padded(direct_bytes(v));
  if (v.kind == CTN_STRS)
    for (size_t k = 0; k < v.n; ++k) bytes += padded(v.u.ss[k].n);
  if (v.kind == CTN_LIST)
    for (size_t k = 0; k < v.n; ++k) bytes += extra_bytes(v.u.list[k]);
  return bytes;
}

ctn_value copy_value(const ctn_value& v, std::byte*& cursor) {
  ctn_value c = v;
  switch (v.kind) {
    case CTN_STR: c.u.s = place(v.u.s, v.n, cursor); break;
    case CTN_SLICE: c.u.slice = place(v.u.slice, 1, cursor); break;
    case CTN_INTS: c.u.is = place(v.u.is, v.n, cursor); break;
    case CTN_FLOATS: c.u.fs = place(v.u.fs, v.n, cursor); break;
    case CTN_STRS: copy_texts(c, cursor); break;
    case CTN_LIST: copy_list(c, cursor); break;
    case CTN_ARRAY: to_array(v.u.array)->retain(); break;
    case CTN_VARIABLE: to_variable(v.u.variable)->retain(); break;
    case CTN_LINK: to_link(v.u.link)->retain(); break;
    case CTN_CALLBACK: {
      const ctn_callback held = hold(*v.u.callback);
      c.u.callback = place(&held, 1, cursor);
      break;
    }
    default: break;
  }
  return c;
}

void drop_value(const ctn_value& v) noexcept {
  switch (v.kind) {
    case CTN_ARRAY: static_cast<Array*>(v.u.array)->release(); break;
    case CTN_VARIABLE: static_cast<Variable*>(v.u.variable)->release(); break;
    case CTN_LINK: static_cast<Link*>(v.u.link)->release(); break;
    case CTN_CALLBACK: v.u.callback->drop(v.u.callback->user); break;
    case CTN_LIST:
      for (size_t k = 0; k < v.n; ++k) drop_value(v.u.list[k]);
      break;
    default: break;
  }
}

Values::Values(std::span<const ctn_value> values) {
  if (values.empty()) return;
  size_t bytes = values.size() * sizeof(ctn_value), done = 0;
  for (const ctn_value& v : values) bytes += extra_bytes(v);
  std::unique_ptr<std::byte[]> block(new (std::nothrow) std::byte[bytes]);  // aligned for any value
  ctn_value* data = reinterpret_cast<ctn_value*>(block.get());
  try {
    if (!block) throw std::bad_alloc();
    std::byte* cursor = block.get() + values.size() * sizeof(ctn_value);
    for (; done < values.size(); ++done) data[done] = copy_value(values[done], cursor);
  } catch (...) {
    // a copy that failed has dropped its own
    for (size_t k = block ? done + 1 : 0; k < values.size(); ++k) drop_given(values[k]);
    while (done > 0) drop_value(data[--done]);
    throw;
  }
  block.release();
  data_ = data;
  n_ = values.size();
}

namespace {

// values, all of which can be read; otherwise what those that can have given away is dropped.
std::span<const ctn_value> checked(std::span<const ctn_value> values, std::string_view what,
                                   std::span<const AttrDef> defs) {
  const auto readable = [](const ctn_value& v) { return value_fault(v).empty(); };
  const auto bad = std::ranges::find_if_not(values, readable);
  if (bad == values.end()) return values;
  for (const ctn_value& v : values)
    if (readable(v) || (v.kind == CTN_CALLBACK && v.u.callback)) drop_given(v);
  const auto k = static_cast<size_t>(bad - values.begin());
  fail_value(what, k < defs.size() ? defs[k].name : std::to_string(k), *bad);
}

}  // namespace

Values::Values(std::span<const ctn_value> values, std::string_view what,
               std::span<const AttrDef> defs)
    : Values(checked(values, what, defs)) {}

Values::~Values() {
  for (size_t k = 0; k < n_; ++k) drop_value(data_[k]);
  delete[] reinterpret_cast<std::byte*>(data_);
}

void Values::replace_link(ctn_link from, ctn_link to) noexcept {
  const auto replace = [&](auto&& self, ctn_value& v) -> void {
    if (v.kind == CTN_LINK && v.u.link == from) {
      static_cast<Link*>(to)->retain();
      static_cast<Link*>(v.u.link)->release();
      v.u.link = to;
    } else if (v.kind == CTN_LIST) {
      // our own copy, const only for readers
      for (size_t k = 0; k < v.n; ++k) self(self, const_cast<ctn_value&>(v.u.list[k]));
    }
  };
  for (size_t k = 0; k < n_; ++k) replace(replace, data_[k]);
}

// ---- binding ------------------------------------------------------------------------------------

namespace {

bool accepts(const AttrDef& def, int32_t kind) {
  return kind >= 0 && kind < 63 && (def.kinds & CTN_KIND_BIT(kind)) != 0;
}

std::string kinds_text(uint64_t kinds) {
  std::string text;
  for (int32_t k = CTN_NONE; k <= CTN_CALLBACK; ++k) {
    if ((kinds & CTN_KIND_BIT(k)) == 0) continue;
    if (!text.empty()) text += " or ";
    text += kind_words(k);
  }
  return text;
}

// v as one of the accepted kinds: an integer serves where a float is asked for, 0 and 1 where a
// bool is, a bool where an integer is, an empty list where a list of one kind is.
ctn_value convert(std::string_view what, const AttrDef& def, const ctn_value& v) {
  const bool plain = v.kind >= CTN_ABSENT && v.kind <= CTN_FLOAT;
  if (!plain && !value_fault(v).empty()) [[unlikely]]
    fail_value(what, def.name, v);
  if (accepts(def, v.kind)) return v;
  ctn_value c = v;
  if (v.kind == CTN_INT && accepts(def, CTN_FLOAT)) {
    c.kind = CTN_FLOAT;
    c.u.f = static_cast<double>(v.u.i);
    return c;
  }
  if (v.kind == CTN_INT && accepts(def, CTN_BOOL) && (v.u.i == 0 || v.u.i == 1)) {
    c.kind = CTN_BOOL;
    return c;
  }
  if (v.kind == CTN_BOOL && accepts(def, CTN_INT)) {
    c.kind = CTN_INT;
    return c;
  }
  if (v.kind == CTN_LIST && v.n == 0) {
    for (const int32_t kind : {CTN_INTS, CTN_FLOATS, CTN_STRS}) {
      if (!accepts(def, kind)) continue;
      c.kind = kind;
      return c;
    }
  }
  fail(CTN_EINVAL, std::string(what) + ": attribute '" + def.name + "' is " + value_text(v) + " (" +
                       std::string(kind_words(v.kind)) + "), expected " + kinds_text(def.kinds));
}

ctn_value fallback_of(std::string_view what, const AttrDef& def) {
  if (def.kinds & CTN_REQUIRED)
    fail(CTN_EINVAL, std::string(what) + ": attribute '" + def.name + "' (" +
                         kinds_text(def.kinds) + ") is required");
  return def.fallback;
}

std::string names_text(std::span<const AttrDef> defs) {
  if (defs.empty()) return "it has none";
  std::string text = "it has ";
  for (size_t k = 0; k < defs.size(); ++k) text += (k ? ", " : "") + defs[k].name;
  return text;
}

}  // namespace

void bind_attrs(std::string_view what, std::span<const AttrDef> defs,
                std::span<const ctn_value> given, ctn_value* out) {
  if (given.size() > defs.size())
    fail(CTN_EINVAL, std::string(what) + ": " + std::to_string(given.size()) +
                         " attributes were given, " + names_text(defs));
  for (size_t k = 0; k < defs.size(); ++k) {
    const bool absent = k >= given.size() || given[k].kind == CTN_ABSENT;
    out[k] = absent ? fallback_of(what, defs[k]) : convert(what, defs[k], given[k]);
  }
}

void bind_named(std::string_view what, std::span<const AttrDef> defs,
                std::span<const ctn_attr> given, ctn_value* out) {
  std::fill_n(out, defs.size(), ctn_value{});
  for (const ctn_attr& attr : given) {
    const std::string_view name = view(attr.name);
    const auto def = std::ranges::find(defs, name, &AttrDef::name);
    if (def == defs.end())
      fail(CTN_EINVAL, std::string(what) + ": there is no attribute '" + std::string(name) + "', " +
                           names_text(defs));
    ctn_value& slot = out[def - defs.begin()];
    if (slot.kind != CTN_ABSENT)
      fail(CTN_EINVAL, std::string(what) + ": attribute '" + def->name + "' is given twice");
    slot = attr.value;
  }
  for (size_t k = 0; k < defs.size(); ++k)
    out[k] =
        out[k].kind == CTN_ABSENT ? fallback_of(what, defs[k]) : convert(what, defs[k], out[k]);
}

// ---- text ---------------------------------------------------------------------------------------

namespace {

std::string float_text(double f) {
  if (std::isnan(f)) return "nan";
  if (std::isinf(f)) return f < 0 ? "-inf" : "inf";
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), f);
  std::string text(digits.data(), end.ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string quoted_text(std::string_view s) { return "'" + std::string(s) + "'"; }

std::string slice_text(const ctn_slice& s) {
  std::string text = s.has & 1u ? std::to_string(s.start) : "";
  text += ":" + (s.has & 2u ? std::to_string(s.stop) : "");
  if (s.has & 4u) text += ":" + std::to_string(s.step);
  return text;
}

template <class Text>
std::string tuple_text(uint32_t n, Text&& entry) {
  constexpr uint32_t kMost = 16;
  std::string text = "(";
  for (uint32_t k = 0; k < std::min(n, kMost); ++k) text += (k ? ", " : "") + entry(k);
  if (n > kMost) text += ", ...";
  return text + (n == 1 ? ",)" : ")");
}

}  // namespace

std::string value_text(const ctn_value& v) {
  switch (v.kind) {
    case CTN_ABSENT: return "absent";
    case CTN_NONE: return "None";
    case CTN_BOOL: return v.u.i ? "True" : "False";
    case CTN_INT: return std::to_string(v.u.i);
    case CTN_FLOAT: return float_text(v.u.f);
    case CTN_STR: return quoted_text({v.u.s, v.n});
    case CTN_DTYPE: return std::string(dtype_name(dtype_index(v.u.dt)));
    case CTN_DEVICE:
      return "device " + std::to_string(v.u.dev.type) + ":" + std::to_string(v.u.dev.id);
    case CTN_SLICE: return slice_text(*v.u.slice);
    case CTN_ELLIPSIS: return "...";
    case CTN_NEWAXIS: return "newaxis";
    case CTN_INTS: return tuple_text(v.n, [&](uint32_t k) { return std::to_string(v.u.is[k]); });
    case CTN_FLOATS: return tuple_text(v.n, [&](uint32_t k) { return float_text(v.u.fs[k]); });
    case CTN_STRS: return tuple_text(v.n, [&](uint32_t k) { return quoted_text(view(v.u.ss[k])); });
    case CTN_LIST: return tuple_text(v.n, [&](uint32_t k) { return value_text(v.u.list[k]); });
    case CTN_ARRAY: return v.u.array ? array_text(*to_array(v.u.array)) : "NULL array";
    default: return "<" + std::string(kind_words(v.kind)) + ">";
  }
}

}  // namespace catena
