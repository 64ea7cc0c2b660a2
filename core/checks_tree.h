// The parsed form of type checks, shared by parser, evaluator and renderer.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/types.h>

#include <span>
#include <string>
#include <vector>

#include "core/checks.h"

namespace catena {

namespace checks {

enum class Type : uint8_t { kInt, kTuple, kDtype, kKind };

enum class What : uint8_t {
  // of input `index` (kMember: the member the check is being tried for)
  kNdim,
  kSize,
  kDim,    // shape[a], shape[value] where a is -1
  kShape,  // the whole tuple
  kSlice,  // shape[a:b], -1 for a side left out
  kDtype,
  kKind,
  kCount,  // number of inputs given
  // of attribute `index`
  kAttr,       // an int; an entry of a list, tried for each
  kAttrItem,   // [a]
  kAttrTuple,  // the list
  // constants
  kConst,       // value
  kTuple,       // items
  kDtypeConst,  // value is a dtype number
  kKindConst,   // value is a letter
  // operators on nodes a and b
  kNeg,
  kAdd,
  kSub,
  kMul,
  kFloorDiv,
  kMod,
  kProd,
  kSum
};

inline constexpr int32_t kMember = -1;

struct Node {
  What what;
  Type type = Type::kInt;
  bool by_value = false;  // the message shows an attribute's value, not its name
  int32_t index = 0;
  int32_t a = -1, b = -1;
  int64_t value = 0;
  std::vector<int64_t> items{};
};

enum class Cmp : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe };

struct Comparison {
  Cmp cmp;
  int32_t a, b;  // nodes
};

// Holds where a check is to be looked at: a comparison, an input that is there, a true attribute.
struct Guard {
  enum Kind : uint8_t { kComparison, kInput, kAttr } kind;
  bool negated = false;
  int32_t index = 0;
  Comparison comparison{};
};

struct Check {
  Comparison comparison{};
  uint32_t first_guard = 0, n_guards = 0;
  bool each_member = false;  // names the variadic input as a whole
  int32_t each_entry = -1;   // the list attribute it uses as a number
  ctn_status code = CTN_ESHAPE;
};

// Why a comparison has no value.
enum class Fault : uint8_t { kNone, kSkip, kIndex, kDivision, kOverflow };

struct Tree {
  std::vector<Node> nodes;
  std::vector<Guard> guards;
  std::vector<Check> checks;
  size_t first_member = 0;  // number of the first member of the variadic input
};

// One call as the evaluator sees it.
struct Frame {
  std::span<const Node> nodes;
  std::span<const ctn_tensor> in;
  std::span<const ctn_value> attrs;
  size_t member = 0;
  size_t entry = 0;
  Fault fault = Fault::kNone;

  const Node& node(int32_t id) const { return nodes[static_cast<size_t>(id)]; }
};

bool compare(Frame& frame, const Comparison& comparison);
int64_t number(Frame& frame, const Node& node);
std::span<const int64_t> tuple(Frame& frame, const Node& node);
char kind_letter(ctn_dtype dtype);

// "Expect: ...\nActual: ..." under the head line.
std::string message(const Op& op, const std::string& expect, const std::string& actual);
// The same for a comparison that does not hold in `frame`.
std::string render(const Op& op, Frame frame, const Comparison& comparison);

}  // namespace checks

struct TypeChecks::Impl : checks::Tree {};

}  // namespace catena
