// Whether a value that a caller made can be read at all: known kind and dtype, pointers where the
// kind needs them, lists that end. Everything that copies or prints values relies on it.
#include "core/value.h"

#include <algorithm>

namespace catena {
namespace {

constexpr int kMostDepth = 16;           // lists in lists
constexpr int64_t kMostItems = 1 << 20;  // of all lists of one value

std::string without(const ctn_value& v, std::string_view what) {
  return "a " + std::string(kind_words(v.kind)) + " of " + std::to_string(v.n) + " " +
         std::string(what) + " at NULL";
}

// `items` counts down over all lists, so that lists that share entries are refused in time.
std::string fault_in(const ctn_value& v, int depth, int64_t& items);

std::string fault_in_texts(const ctn_value& v) {
  if (v.n != 0 && !v.u.ss) return without(v, "strs");
  for (uint32_t k = 0; k < v.n; ++k)
    if (v.u.ss[k].n != 0 && !v.u.ss[k].p)
      return "a tuple of strs whose entry " + std::to_string(k) + " is at NULL";
  return {};
}

std::string fault_in_list(const ctn_value& v, int depth, int64_t& items) {
  if (v.n != 0 && !v.u.list) return without(v, "entries");
  if (depth == kMostDepth) return "lists nested more than " + std::to_string(kMostDepth) + " deep";
  items -= v.n;
  if (items < 0) return "lists of more than " + std::to_string(kMostItems) + " entries in all";
  for (uint32_t k = 0; k < v.n; ++k) {
    std::string fault = fault_in(v.u.list[k], depth + 1, items);
    if (!fault.empty()) return fault;
  }
  return {};
}

std::string fault_in(const ctn_value& v, int depth, int64_t& items) {
  switch (v.kind) {
    case CTN_STR: return v.n != 0 && !v.u.s ? without(v, "bytes") : "";
    case CTN_INTS: return v.n != 0 && !v.u.is ? without(v, "entries") : "";
    case CTN_FLOATS: return v.n != 0 && !v.u.fs ? without(v, "entries") : "";
    case CTN_STRS: return fault_in_texts(v);
    case CTN_LIST: return fault_in_list(v, depth, items);
    case CTN_DTYPE:
      return dtype_index(v.u.dt) < 0
                 ? "a dtype of code " + std::to_string(v.u.dt.code) + ", " +
                       std::to_string(v.u.dt.bits) + " bits and " + std::to_string(v.u.dt.lanes) +
                       " lanes, which there is not"
                 : "";
    case CTN_SLICE:
    case CTN_ARRAY:
    case CTN_VARIABLE:
    case CTN_LINK: return v.u.raw == 0 ? "a NULL " + std::string(kind_words(v.kind)) : "";
    case CTN_CALLBACK:
      if (!v.u.callback) return "a NULL callback";
      return v.u.callback->call ? "" : "a callback without a function";
    default: return kind_words(v.kind) == "?" ? "of unknown kind " + std::to_string(v.kind) : "";
  }
}

}  // namespace

std::string value_fault(const ctn_value& v) {
  int64_t items = kMostItems;
  return fault_in(v, 0, items);
}

void fail_value(std::string_view what, std::string_view name, const ctn_value& v) {
  fail(CTN_EINVAL,
       std::string(what) + ": attribute '" + std::string(name) + "' is " + value_fault(v));
}

std::string_view kind_words(int32_t kind) {
  switch (kind) {
    case CTN_ABSENT: return "absent";
    case CTN_NONE: return "None";
    case CTN_BOOL: return "bool";
    case CTN_INT: return "int";
    case CTN_FLOAT: return "float";
    case CTN_STR: return "str";
    case CTN_DTYPE: return "dtype";
    case CTN_DEVICE: return "device";
    case CTN_SLICE: return "slice";
    case CTN_ELLIPSIS: return "ellipsis";
    case CTN_NEWAXIS: return "newaxis";
    case CTN_INTS: return "tuple of ints";
    case CTN_FLOATS: return "tuple of floats";
    case CTN_STRS: return "tuple of strs";
    case CTN_LIST: return "list";
    case CTN_ARRAY: return "array";
    case CTN_VARIABLE: return "variable";
    case CTN_LINK: return "link";
    case CTN_OBJECT: return "object";
    case CTN_CALLBACK: return "callback";
    default: return "?";
  }
}

}  // namespace catena
