// Evaluating type checks. Nothing is allocated unless one fails.
#include "core/checks.h"

#include <algorithm>
#include <cstring>

#include "core/checks_tree.h"
#include "core/registry.h"

namespace catena {
namespace checks {
namespace {

int64_t stop(Frame& f, Fault fault) {
  if (f.fault == Fault::kNone) f.fault = fault;
  return 0;
}

// NULL, and the check is skipped, where the input is absent.
const ctn_dltensor* tensor(Frame& f, const Node& n) {
  const size_t i = n.index == kMember ? f.member : static_cast<size_t>(n.index);
  if (i < f.in.size() && f.in[i].t.ndim >= 0) [[likely]]
    return &f.in[i].t;
  stop(f, Fault::kSkip);
  return nullptr;
}

std::span<const int64_t> shape(const ctn_dltensor& t) {
  return {t.shape, static_cast<size_t>(t.ndim)};
}

int64_t product(Frame& f, std::span<const int64_t> dims) {
  int64_t all = 1;
  for (const int64_t d : dims) {
    if (__builtin_mul_overflow(all, d, &all)) return stop(f, Fault::kOverflow);
  }
  return all;
}

int64_t total(Frame& f, std::span<const int64_t> dims) {
  int64_t all = 0;
  for (const int64_t d : dims) {
    if (__builtin_add_overflow(all, d, &all)) return stop(f, Fault::kOverflow);
  }
  return all;
}

// Entry `k` of a tuple, from the end if negative.
int64_t item(Frame& f, std::span<const int64_t> items, int64_t k) {
  const auto n = static_cast<int64_t>(items.size());
  if (k < 0) k += n;
  return k >= 0 && k < n ? items[static_cast<size_t>(k)] : stop(f, Fault::kIndex);
}

uint32_t code_of(ctn_dtype dtype) {
  uint32_t code = 0;
  std::memcpy(&code, &dtype, sizeof code);
  return code;
}

// A list attribute, or a number as a list of one.
std::span<const int64_t> entries(Frame& f, const Node& n) {
  const auto i = static_cast<size_t>(n.index);
  if (i >= f.attrs.size()) {
    stop(f, Fault::kSkip);
    return {};
  }
  const ctn_value& v = f.attrs[i];
  if (v.kind == CTN_INTS) return {v.u.is, v.n};
  if (v.kind == CTN_INT || v.kind == CTN_BOOL) return {&v.u.i, 1};
  stop(f, Fault::kSkip);
  return {};
}

int64_t attr(Frame& f, const Node& n) {
  const std::span<const int64_t> all = entries(f, n);
  if (all.empty()) return stop(f, Fault::kSkip);
  return all.size() == 1 ? all[0] : item(f, all, static_cast<int64_t>(f.entry));
}

// One number stands for every entry, as in Chainer's pairs.
int64_t attr_item(Frame& f, const Node& n) {
  const std::span<const int64_t> all = entries(f, n);
  const int64_t k = number(f, f.node(n.a));
  const bool is_list = static_cast<size_t>(n.index) < f.attrs.size() &&
                       f.attrs[static_cast<size_t>(n.index)].kind == CTN_INTS;
  return item(f, all, is_list ? k : 0);
}

// Python's rules: floor division, remainder with the sign of the divisor.
int64_t divide(Frame& f, What what, int64_t a, int64_t b) {
  if (b == 0) return stop(f, Fault::kDivision);
  if (b == -1) {
    int64_t negated = 0;
    if (what == What::kMod) return 0;
    return __builtin_sub_overflow(int64_t{0}, a, &negated) ? stop(f, Fault::kOverflow) : negated;
  }
  const int64_t rest = a % b;
  const bool adjust = rest != 0 && (rest < 0) != (b < 0);
  if (what == What::kMod) return adjust ? rest + b : rest;
  return a / b - (adjust ? 1 : 0);
}

int64_t calculate(Frame& f, const Node& n) {
  const int64_t a = number(f, f.node(n.a));
  const int64_t b = n.b < 0 ? 0 : number(f, f.node(n.b));
  int64_t out = 0;
  bool over = false;
  switch (n.what) {
    case What::kNeg: over = __builtin_sub_overflow(int64_t{0}, a, &out); break;
    case What::kAdd: over = __builtin_add_overflow(a, b, &out); break;
    case What::kSub: over = __builtin_sub_overflow(a, b, &out); break;
    case What::kMul: over = __builtin_mul_overflow(a, b, &out); break;
    default: return divide(f, n.what, a, b);
  }
  return over ? stop(f, Fault::kOverflow) : out;
}

// shape[a:b] with Python's clamping.
std::span<const int64_t> slice(Frame& f, const Node& n, std::span<const int64_t> all) {
  const auto size = static_cast<int64_t>(all.size());
  const auto bound = [&](int32_t node, int64_t otherwise) {
    if (node < 0) return otherwise;
    const int64_t at = number(f, f.node(node));
    const int64_t from_start = at < 0 ? at + size : at;
    return from_start < 0 ? 0 : from_start > size ? size : from_start;
  };
  const int64_t from = bound(n.a, 0);
  const int64_t to = bound(n.b, size);
  return from < to ? all.subspan(static_cast<size_t>(from), static_cast<size_t>(to - from))
                   : std::span<const int64_t>();
}

}  // namespace

char kind_letter(ctn_dtype dtype) {
  switch (dtype.code) {
    case CTN_DT_FLOAT:
    case CTN_DT_BFLOAT: return 'f';
    case CTN_DT_INT: return 'i';
    case CTN_DT_UINT: return 'u';
    case CTN_DT_BOOL: return 'b';
    default: return '?';
  }
}

namespace {

// What most checks are made of, inlined into compare(); everything else goes through number().
[[gnu::always_inline]] inline int64_t leaf(Frame& f, const Node& n) {
  switch (n.what) {
    case What::kNdim: {
      const ctn_dltensor* t = tensor(f, n);
      return t ? t->ndim : 0;
    }
    case What::kDim: {
      const ctn_dltensor* t = tensor(f, n);
      return t ? item(f, shape(*t), n.a < 0 ? n.value : number(f, f.node(n.a))) : 0;
    }
    case What::kDtype: {
      const ctn_dltensor* t = tensor(f, n);
      return t ? code_of(t->dtype) : 0;
    }
    case What::kConst: return n.value;
    default: return number(f, n);
  }
}

}  // namespace

[[gnu::noinline]] int64_t number(Frame& f, const Node& n) {
  switch (n.what) {
    case What::kNdim:
    case What::kDim:
    case What::kDtype:
    case What::kConst: return leaf(f, n);
    case What::kKind: {
      const ctn_dltensor* t = tensor(f, n);
      return t ? kind_letter(t->dtype) : 0;
    }
    case What::kSize: {
      const ctn_dltensor* t = tensor(f, n);
      return t ? product(f, shape(*t)) : 0;
    }
    case What::kKindConst: return n.value;
    case What::kDtypeConst: return code_of(dtype_of(static_cast<int32_t>(n.value)));
    case What::kCount: return static_cast<int64_t>(f.in.size());
    case What::kAttr: return attr(f, n);
    case What::kAttrItem: return attr_item(f, n);
    case What::kProd: return product(f, tuple(f, f.node(n.a)));
    case What::kSum: return total(f, tuple(f, f.node(n.a)));
    default: return calculate(f, n);
  }
}

std::span<const int64_t> tuple(Frame& f, const Node& n) {
  if (n.what == What::kTuple) return n.items;
  if (n.what == What::kAttrTuple) return entries(f, n);
  const ctn_dltensor* t = tensor(f, n);
  if (!t) return {};
  return n.what == What::kSlice ? slice(f, n, shape(*t)) : shape(*t);
}

bool compare(Frame& f, const Comparison& c) {
  const Node& a = f.node(c.a);
  const Node& b = f.node(c.b);
  if (a.type == Type::kTuple) {
    const std::span<const int64_t> x = tuple(f, a), y = tuple(f, b);
    const bool equal = x.size() == y.size() && std::equal(x.begin(), x.end(), y.begin());
    return equal == (c.cmp == Cmp::kEq);
  }
  const int64_t x = leaf(f, a), y = leaf(f, b);
  switch (c.cmp) {
    case Cmp::kEq: return x == y;
    case Cmp::kNe: return x != y;
    case Cmp::kLt: return x < y;
    case Cmp::kLe: return x <= y;
    case Cmp::kGt: return x > y;
    default: return x >= y;
  }
}

namespace {

// An undefined guard does not hold.
bool guard_holds(Frame& f, const Guard& g) {
  bool yes = false;
  if (g.kind == Guard::kInput) {
    const auto i = static_cast<size_t>(g.index);
    yes = i < f.in.size() && f.in[i].t.ndim >= 0;
  } else if (g.kind == Guard::kAttr) {
    const auto i = static_cast<size_t>(g.index);
    const ctn_value none{};
    const ctn_value& v = i < f.attrs.size() ? f.attrs[i] : none;
    yes = v.kind == CTN_INT || v.kind == CTN_BOOL ? v.u.i != 0
          : v.kind == CTN_FLOAT                   ? v.u.f != 0
                                                  : v.kind != CTN_ABSENT && v.kind != CTN_NONE;
  } else {
    yes = compare(f, g.comparison);
    const bool undefined = f.fault != Fault::kNone;
    f.fault = Fault::kNone;
    if (undefined) return false;
  }
  return yes != g.negated;
}

size_t entry_count(const Frame& f, const Check& check) {
  if (check.each_entry < 0) return 1;
  const auto i = static_cast<size_t>(check.each_entry);
  return i < f.attrs.size() && f.attrs[i].kind == CTN_INTS ? f.attrs[i].n : 1;
}

// Whether it holds, guards and all, for the frame's member and entry.
bool holds_here(Frame& f, const Check& check, std::span<const Guard> guards) {
  for (const Guard& g : guards.subspan(check.first_guard, check.n_guards)) {
    if (!guard_holds(f, g)) return true;
  }
  const bool yes = compare(f, check.comparison);
  if (f.fault == Fault::kNone) [[likely]]
    return yes;
  const bool skipped = f.fault == Fault::kSkip;
  if (skipped) f.fault = Fault::kNone;
  return skipped;
}

// On false `f` is at the member and entry for which it does not hold.
bool holds(Frame& f, const Check& check, std::span<const Guard> guards, size_t first_member) {
  const bool simple = !check.each_member && check.each_entry < 0;
  if (simple) [[likely]]
    return holds_here(f, check, guards);
  const size_t members = check.each_member ? f.in.size() : first_member + 1;
  const size_t n_entries = entry_count(f, check);
  for (f.member = first_member; f.member < members; ++f.member) {
    for (f.entry = 0; f.entry < n_entries; ++f.entry) {
      if (!holds_here(f, check, guards)) return false;
    }
  }
  return true;
}

}  // namespace
}  // namespace checks

TypeChecks::TypeChecks() : impl_(std::make_unique<Impl>()) {}
TypeChecks::~TypeChecks() = default;

bool TypeChecks::hold(const Op& op, std::span<const ctn_tensor> in,
                      std::span<const ctn_value> attrs, std::string* failure,
                      ctn_status* code) const {
  checks::Frame frame{impl_->nodes, in, attrs};
  for (const checks::Check& check : impl_->checks) {
    if (checks::holds(frame, check, impl_->guards, impl_->first_member)) [[likely]]
      continue;
    *failure = checks::render(op, frame, check.comparison);
    *code = check.code;
    return false;
  }
  return true;
}

}  // namespace catena
