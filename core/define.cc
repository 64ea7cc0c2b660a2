// Names, texts, attributes with their defaults: what all definitions have in common.
#include "core/define.h"

#include <algorithm>
#include <bit>

#include "core/file.h"
#include "core/utf8.h"

namespace catena {
namespace {

constexpr int kMostDepth = 8;  // of lists in a default

// Kinds that a default may have: plain data, no handles.
constexpr uint64_t kData =
    CTN_KIND_BIT(CTN_NONE) | CTN_KIND_BIT(CTN_BOOL) | CTN_KIND_BIT(CTN_INT) |
    CTN_KIND_BIT(CTN_FLOAT) | CTN_KIND_BIT(CTN_STR) | CTN_KIND_BIT(CTN_DTYPE) |
    CTN_KIND_BIT(CTN_DEVICE) | CTN_KIND_BIT(CTN_SLICE) | CTN_KIND_BIT(CTN_ELLIPSIS) |
    CTN_KIND_BIT(CTN_NEWAXIS) | CTN_KIND_BIT(CTN_INTS) | CTN_KIND_BIT(CTN_FLOATS) |
    CTN_KIND_BIT(CTN_STRS) | CTN_KIND_BIT(CTN_LIST);
constexpr uint64_t kAllKinds = kData | CTN_KIND_BIT(CTN_ARRAY) | CTN_KIND_BIT(CTN_VARIABLE) |
                               CTN_KIND_BIT(CTN_LINK) | CTN_KIND_BIT(CTN_OBJECT) |
                               CTN_KIND_BIT(CTN_CALLBACK);

[[noreturn]] void refuse(const std::string& who, const std::string& why) {
  fail(CTN_EINVAL, who + ": " + why);
}

bool has_kind(uint64_t kinds, int32_t kind) {
  return kind >= 0 && kind < 63 && (kinds >> kind & 1u) != 0;
}

std::string kind_list(uint64_t kinds) {
  std::string out;
  for (int32_t k = 0; k < 63; ++k) {
    if (!has_kind(kinds, k)) continue;
    if (!out.empty()) out += ", ";
    out += kind_name(k);
  }
  return out;
}

ctn_value copy_value(const ctn_value& value, Arena& arena, const std::string& who, int depth);

template <class T>
const T* copy_items(const T* items, uint32_t n, Arena& arena, const std::string& who) {
  if (n > kMostText || (n != 0 && !items)) refuse(who, "a default without its entries");
  return arena.copy(items, n);
}

const ctn_value* copy_list(const ctn_value* items, uint32_t n, Arena& arena, const std::string& who,
                           int depth) {
  if (n > kMostText || (n != 0 && !items)) refuse(who, "a default without its entries");
  if (depth >= kMostDepth) refuse(who, "a default with lists nested too deeply");
  ctn_value* out = arena.make<ctn_value>(n);
  for (uint32_t i = 0; i < n; ++i) out[i] = copy_value(items[i], arena, who, depth + 1);
  return out;
}

const ctn_str* copy_texts(const ctn_str* items, uint32_t n, Arena& arena, const std::string& who) {
  if (n > kMostText || (n != 0 && !items)) refuse(who, "a default without its entries");
  ctn_str* out = arena.make<ctn_str>(n);
  for (uint32_t i = 0; i < n; ++i) out[i] = checked_text(items[i], arena, who);
  return out;
}

ctn_value copy_value(const ctn_value& value, Arena& arena, const std::string& who, int depth) {
  ctn_value out = value;
  switch (value.kind) {
    case CTN_NONE:
    case CTN_INT:
    case CTN_FLOAT:
    case CTN_DEVICE:
    case CTN_ELLIPSIS:
    case CTN_NEWAXIS: break;
    case CTN_BOOL:
      if (value.u.i != 0 && value.u.i != 1) refuse(who, "a bool default is neither 0 nor 1");
      break;
    case CTN_DTYPE:
      if (dtype_index(value.u.dt) < 0) refuse(who, "the default is no known dtype");
      break;
    case CTN_STR: out.u.s = checked_text({value.u.s, value.n}, arena, who).p; break;
    case CTN_SLICE: out.u.slice = copy_items(value.u.slice, 1, arena, who); break;
    case CTN_INTS: out.u.is = copy_items(value.u.is, value.n, arena, who); break;
    case CTN_FLOATS: out.u.fs = copy_items(value.u.fs, value.n, arena, who); break;
    case CTN_STRS: out.u.ss = copy_texts(value.u.ss, value.n, arena, who); break;
    case CTN_LIST: out.u.list = copy_list(value.u.list, value.n, arena, who, depth); break;
    default: refuse(who, "a default of kind " + std::string(kind_name(value.kind)));
  }
  return out;
}

AttrDef define_attr(const ctn_attr_def& def, Arena& arena, const std::string& of) {
  AttrDef out;
  out.name = checked_name(def.name, kWord, of + ": attribute name");
  const std::string who = of + ", attribute " + out.name;
  if (def.flags != 0) refuse(who, "unknown flags");
  out.doc = view(checked_text(def.doc, arena, who + ", doc"));
  out.kinds = def.kinds;
  const uint64_t kinds = def.kinds & ~CTN_REQUIRED;
  if (kinds == 0 || (kinds & ~kAllKinds) != 0) refuse(who, "kinds has no or unknown bits");
  if ((def.kinds & CTN_REQUIRED) != 0) {
    if (def.fallback.kind != CTN_ABSENT) refuse(who, "required, yet it has a default");
    return out;
  }
  if (def.fallback.kind == CTN_ABSENT) refuse(who, "neither required nor given a default");
  if (!has_kind(kinds & kData, def.fallback.kind)) {
    refuse(who, "a default of kind " + std::string(kind_name(def.fallback.kind)) +
                    ", which is not among the kinds it accepts (" + kind_list(kinds) + ")");
  }
  out.fallback = copy_value(def.fallback, arena, who, 0);
  return out;
}

}  // namespace

std::string_view kind_name(int32_t kind) noexcept {
  switch (kind) {
    case CTN_ABSENT: return "absent";
    case CTN_NONE: return "none";
    case CTN_BOOL: return "bool";
    case CTN_INT: return "int";
    case CTN_FLOAT: return "float";
    case CTN_STR: return "str";
    case CTN_DTYPE: return "dtype";
    case CTN_DEVICE: return "device";
    case CTN_SLICE: return "slice";
    case CTN_ELLIPSIS: return "ellipsis";
    case CTN_NEWAXIS: return "newaxis";
    case CTN_INTS: return "ints";
    case CTN_FLOATS: return "floats";
    case CTN_STRS: return "strs";
    case CTN_LIST: return "list";
    case CTN_ARRAY: return "array";
    case CTN_VARIABLE: return "variable";
    case CTN_LINK: return "link";
    case CTN_OBJECT: return "object";
    case CTN_CALLBACK: return "callback";
    default: return "?";
  }
}

bool is_name(std::string_view name, std::string_view set, size_t most) noexcept {
  return !name.empty() && name.size() <= most && name.find_first_not_of(set) == name.npos;
}

std::string checked_name(ctn_str name, std::string_view set, const std::string& what) {
  const std::string_view text = view(name);
  if (!is_name(text, set)) {
    const char* allowed = set == kLower      ? "[a-z0-9_]"
                          : set == kLowerDot ? "[a-z0-9_.]"
                                             : "[A-Za-z0-9_]";
    refuse(what + " " + quoted(text), std::string("must be 1 to 64 characters of ") + allowed);
  }
  return std::string(text);
}

ctn_str checked_text(ctn_str text, Arena& arena, const std::string& what) {
  if (text.n != 0 && !text.p) refuse(what, "a text is NULL, its length is not 0");
  if (text.n > kMostText) refuse(what, "a text of " + std::to_string(text.n) + " bytes");
  if (!is_utf8(view(text))) refuse(what, "a text is not UTF-8");
  return arena.copy(text);
}

void check_array(const void* items, int32_t n, const std::string& what) {
  if (n < 0 || n > kMostItems) {
    refuse(what,
           std::to_string(n) + " of them, 0 to " + std::to_string(kMostItems) + " are allowed");
  }
  if (n > 0 && !items) refuse(what, std::to_string(n) + " of them, but the array is NULL");
}

std::vector<AttrDef> define_attrs(const ctn_attr_def* attrs, int32_t n, Arena& arena,
                                  const std::string& who) {
  check_array(attrs, n, who + ": attributes");
  std::vector<AttrDef> out;
  std::vector<std::string_view> names;
  out.reserve(static_cast<size_t>(n));
  for (int32_t i = 0; i < n; ++i) {
    out.push_back(define_attr(attrs[i], arena, who));
    names.push_back(out.back().name);
  }
  check_distinct(names, who);
  return out;
}

void check_distinct(const std::vector<std::string_view>& names, const std::string& who) {
  std::vector<std::string_view> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) refuse(who, "the name " + quoted(*twice) + " occurs twice");
}

}  // namespace catena
