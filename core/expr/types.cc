// Names, promotion and the pool of symbolic types.
#include "core/expr/types.h"

#include <algorithm>
#include <functional>

#include "core/error.h"

namespace catena::expr {

namespace {

constexpr size_t kMaxTypes = 1024;

constexpr const char* kNames[CTN_DTYPE_COUNT] = {
    "bool",   "int8",   "int16",   "int32",   "int64",   "uint8",   "uint16",
    "uint32", "uint64", "float16", "float32", "float64", "bfloat16"};

struct CName {
  const char* name;
  int dtype;
};
// C types as on LP64, the model of the platforms we run on.
constexpr CName kCNames[] = {
    {"int8_t", CTN_INT8},     {"int16_t", CTN_INT16},   {"int32_t", CTN_INT32},
    {"int64_t", CTN_INT64},   {"uint8_t", CTN_UINT8},   {"uint16_t", CTN_UINT16},
    {"uint32_t", CTN_UINT32}, {"uint64_t", CTN_UINT64}, {"size_t", CTN_UINT64},
    {"ptrdiff_t", CTN_INT64}, {"char", CTN_INT8},       {"short", CTN_INT16},
    {"int", CTN_INT32},       {"long", CTN_INT64},      {"unsigned", CTN_UINT32},
    {"signed", CTN_INT32},    {"half", CTN_FLOAT16},    {"float", CTN_FLOAT32},
    {"double", CTN_FLOAT64}};

}  // namespace

const char* type_name(int dtype) {
  return dtype >= 0 && dtype < CTN_DTYPE_COUNT ? kNames[dtype] : "?";
}

int dtype_named(std::string_view name) {
  for (int d = 0; d < CTN_DTYPE_COUNT; ++d) {
    if (name == kNames[d]) return d;
  }
  for (const CName& c : kCNames) {
    if (name == c.name) return c.dtype;
  }
  return -1;
}

Type promote_fixed(Type a, Type b) {
  if (a == b) return a;
  if (is_float(a) || is_float(b)) {
    return a == CTN_FLOAT64 || b == CTN_FLOAT64 ? Type{CTN_FLOAT64} : Type{CTN_FLOAT32};
  }
  if (a == CTN_BOOL8) return b;
  if (b == CTN_BOOL8) return a;
  if (dtype_bytes(a) != dtype_bytes(b)) return dtype_bytes(a) > dtype_bytes(b) ? a : b;
  return is_unsigned(a) ? a : b;
}

bool is_exact(Type from, Type to) {
  if (from == to || from == CTN_BOOL8) return true;
  if (to == CTN_BOOL8) return false;
  const int wide = dtype_bytes(to), narrow = dtype_bytes(from);
  if (is_float(from)) return is_float(to) && wide > narrow;
  if (is_float(to)) return wide > narrow;  // 24 bits hold int16, 53 bits hold int32
  return wide > narrow && (is_signed(to) || is_unsigned(from));
}

Type TypePool::intern(Item item) {
  const auto found = std::find(items_.begin(), items_.end(), item);
  if (found == items_.end()) {
    if (items_.size() >= kMaxTypes) fail(CTN_EINVAL, "expression mixes too many types");
    items_.push_back(item);
    return static_cast<Type>(kFirstSymbolic + items_.size() - 1);
  }
  return static_cast<Type>(kFirstSymbolic + (found - items_.begin()));
}

int TypePool::find_variable(std::string_view name) const {
  const auto found = std::find(variables_.begin(), variables_.end(), name);
  return found == variables_.end() ? -1 : static_cast<int>(found - variables_.begin());
}

Type TypePool::variable(std::string_view name) {
  int index = find_variable(name);
  if (index < 0) {
    index = static_cast<int>(variables_.size());
    variables_.emplace_back(name);
  }
  return intern({Kind::kVariable, static_cast<Type>(index), 0});
}

Type TypePool::scalar(int index) { return intern({Kind::kScalar, static_cast<Type>(index), 0}); }

Type TypePool::arith(Type t) {
  if (is_fixed(t)) return arith_fixed(t);
  if (is_weak(t) || is(t, Kind::kArith) || is(t, Kind::kFloat)) return t;
  return intern({Kind::kArith, t, 0});
}

Type TypePool::floating(Type t) {
  if (is_fixed(t)) return float_fixed(t);
  if (is_weak(t)) return kWeakFloat;
  if (is(t, Kind::kFloat)) return t;
  return intern({Kind::kFloat, is(t, Kind::kArith) ? at(t).a : t, 0});
}

Type TypePool::promote(Type a, Type b) {
  if (a == b) return a;
  if (is_fixed(a) && is_fixed(b)) return promote_fixed(a, b);
  if (is_weak(a) && is_weak(b)) return kWeakFloat;
  // A weak operand takes the other's type where it fits the kind of number it is.
  if (is_weak(a)) return a == kWeakInt ? arith(b) : floating(b);
  if (is_weak(b)) return b == kWeakInt ? arith(a) : floating(a);
  if (base(a) == base(b)) {
    if (is(a, Kind::kFloat) || is(b, Kind::kFloat)) return is(a, Kind::kFloat) ? a : b;
    return is(a, Kind::kArith) ? a : b;
  }
  if (a > b) std::swap(a, b);
  return intern({Kind::kPromote, a, b});
}

Type TypePool::base(Type t) const {
  while (is(t, Kind::kArith) || is(t, Kind::kFloat)) t = at(t).a;
  return t;
}

void TypePool::collect(Type t, Parts& parts) const {
  // Children have lower numbers: one pass from the top visits everything once.
  std::vector<bool> reached(static_cast<size_t>(t) + 1, false);
  reached[t] = true;
  for (Type k = t;; --k) {
    if (reached[k]) {
      if (is(k, Kind::kArith) || is(k, Kind::kFloat)) {
        parts.level = std::max(parts.level, is(k, Kind::kFloat) ? 2 : 1);
        reached[at(k).a] = true;
      } else if (is(k, Kind::kPromote)) {
        reached[at(k).a] = reached[at(k).b] = true;
      } else {
        parts.leaves.push_back(k);
      }
    }
    if (k == 0) return;
  }
}

bool TypePool::covers(Type wide, Type t) const {
  Parts w, p;
  collect(wide, w);
  collect(t, p);
  // Leaves come in falling order.
  return p.level <= w.level && std::includes(w.leaves.begin(), w.leaves.end(), p.leaves.begin(),
                                             p.leaves.end(), std::greater<>());
}

std::vector<Type> TypePool::resolve(std::span<const Type> vars,
                                    std::span<const Type> scalars) const {
  std::vector<Type> out(items_.size(), kUnbound);
  const auto get = [&](Type t) { return t < kFirstSymbolic ? t : out[t - kFirstSymbolic]; };
  for (size_t k = 0; k < items_.size(); ++k) {
    const Item& item = items_[k];
    switch (item.kind) {
      case Kind::kVariable: out[k] = vars[item.a]; break;
      case Kind::kScalar: out[k] = scalars[item.a]; break;
      case Kind::kArith:
        if (get(item.a) != kUnbound) out[k] = arith_fixed(get(item.a));
        break;
      case Kind::kFloat:
        if (get(item.a) != kUnbound) out[k] = float_fixed(get(item.a));
        break;
      case Kind::kPromote:
        if (get(item.a) == kUnbound) {
          out[k] = get(item.b);
        } else {
          out[k] = get(item.b) == kUnbound ? get(item.a) : promote_fixed(get(item.a), get(item.b));
        }
        break;
    }
  }
  return out;
}

std::string TypePool::name(Type t) const {
  if (is_fixed(t)) return type_name(t);
  if (is_weak(t)) return t == kWeakInt ? "integer literal" : "floating literal";
  const Item& item = at(t);
  switch (item.kind) {
    case Kind::kVariable: return variables_[item.a];
    case Kind::kScalar: return "scalar " + std::to_string(item.a);
    case Kind::kArith:
    case Kind::kFloat: return name(base(t));
    case Kind::kPromote: break;
  }
  return "mixed";  // of two types; messages name the arguments instead
}

}  // namespace catena::expr
