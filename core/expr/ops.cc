// The tables behind ops.h, in the order of plugin.h.
#include "core/expr/ops.h"

namespace catena::expr {

namespace {

struct OpRow {
  uint16_t op;
  OpInfo info;
};

constexpr OpRow kOps[] = {
    {CTN_X_CONST, {"const", 0, Takes::kNothing, false, true}},
    {CTN_X_ARG, {"arg", 0, Takes::kNothing, false, false}},
    {CTN_X_SCALAR, {"scalar", 0, Takes::kNothing, false, false}},
    {CTN_X_INDEX, {"index", 0, Takes::kNothing, false, false}},
    {CTN_X_SIZE, {"size", 0, Takes::kNothing, false, false}},
    {CTN_X_RAW, {"raw", 1, Takes::kNothing, false, false}},
    {CTN_X_ACC, {"acc", 0, Takes::kNothing, false, false}},
    {CTN_X_ITEM, {"item", 0, Takes::kNothing, false, false}},
    {CTN_X_STORE, {"store", 1, Takes::kAny, false, false}},
    {CTN_X_YIELD, {"yield", 1, Takes::kAny, false, false}},
    {CTN_X_CAST, {"cast", 1, Takes::kAny, false, true}},
    {CTN_X_SELECT, {"select", 3, Takes::kAny, false, true}},
    {CTN_X_ADD, {"add", 2, Takes::kNumber, false, true}},
    {CTN_X_SUB, {"sub", 2, Takes::kNumber, false, true}},
    {CTN_X_MUL, {"mul", 2, Takes::kNumber, false, true}},
    {CTN_X_DIV, {"div", 2, Takes::kFloat, false, true}},
    {CTN_X_FDIV, {"fdiv", 2, Takes::kNumber, false, false}},
    {CTN_X_TDIV, {"tdiv", 2, Takes::kInteger, false, true}},
    {CTN_X_FMOD, {"fmod", 2, Takes::kNumber, false, false}},
    {CTN_X_TMOD, {"tmod", 2, Takes::kNumber, false, true}},
    {CTN_X_NEG, {"neg", 1, Takes::kNumber, false, true}},
    {CTN_X_ABS, {"abs", 1, Takes::kNumber, false, true}},
    {CTN_X_MIN, {"min", 2, Takes::kNumber, false, true}},
    {CTN_X_MAX, {"max", 2, Takes::kNumber, false, true}},
    {CTN_X_POW, {"pow", 2, Takes::kNumber, false, false}},
    {CTN_X_SIGN, {"sign", 1, Takes::kNumber, false, true}},
    {CTN_X_EQ, {"eq", 2, Takes::kAny, true, true}},
    {CTN_X_NE, {"ne", 2, Takes::kAny, true, true}},
    {CTN_X_LT, {"lt", 2, Takes::kAny, true, true}},
    {CTN_X_LE, {"le", 2, Takes::kAny, true, true}},
    {CTN_X_AND, {"and", 2, Takes::kBits, false, true}},
    {CTN_X_OR, {"or", 2, Takes::kBits, false, true}},
    {CTN_X_XOR, {"xor", 2, Takes::kBits, false, true}},
    {CTN_X_NOT, {"not", 1, Takes::kBits, false, true}},
    {CTN_X_SHL, {"shl", 2, Takes::kInteger, false, true}},
    {CTN_X_SHR, {"shr", 2, Takes::kInteger, false, true}},
    {CTN_X_SQRT, {"sqrt", 1, Takes::kFloat, false, true}},
    {CTN_X_RSQRT, {"rsqrt", 1, Takes::kFloat, false, false}},
    {CTN_X_EXP, {"exp", 1, Takes::kFloat, false, false}},
    {CTN_X_EXPM1, {"expm1", 1, Takes::kFloat, false, false}},
    {CTN_X_EXP2, {"exp2", 1, Takes::kFloat, false, false}},
    {CTN_X_LOG, {"log", 1, Takes::kFloat, false, false}},
    {CTN_X_LOG1P, {"log1p", 1, Takes::kFloat, false, false}},
    {CTN_X_LOG2, {"log2", 1, Takes::kFloat, false, false}},
    {CTN_X_LOG10, {"log10", 1, Takes::kFloat, false, false}},
    {CTN_X_SIN, {"sin", 1, Takes::kFloat, false, false}},
    {CTN_X_COS, {"cos", 1, Takes::kFloat, false, false}},
    {CTN_X_TAN, {"tan", 1, Takes::kFloat, false, false}},
    {CTN_X_ASIN, {"asin", 1, Takes::kFloat, false, false}},
    {CTN_X_ACOS, {"acos", 1, Takes::kFloat, false, false}},
    {CTN_X_ATAN, {"atan", 1, Takes::kFloat, false, false}},
    {CTN_X_ATAN2, {"atan2", 2, Takes::kFloat, false, false}},
    {CTN_X_SINH, {"sinh", 1, Takes::kFloat, false, false}},
    {CTN_X_COSH, {"cosh", 1, Takes::kFloat, false, false}},
    {CTN_X_TANH, {"tanh", 1, Takes::kFloat, false, false}},
    {CTN_X_ERF, {"erf", 1, Takes::kFloat, false, false}},
    {CTN_X_ERFC, {"erfc", 1, Takes::kFloat, false, false}},
    {CTN_X_LGAMMA, {"lgamma", 1, Takes::kFloat, false, false}},
    {CTN_X_DIGAMMA, {"digamma", 1, Takes::kFloat, false, false}},
    {CTN_X_FLOOR, {"floor", 1, Takes::kFloat, false, true}},
    {CTN_X_CEIL, {"ceil", 1, Takes::kFloat, false, true}},
    {CTN_X_TRUNC, {"trunc", 1, Takes::kFloat, false, true}},
    {CTN_X_RINT, {"rint", 1, Takes::kFloat, false, true}},
    {CTN_X_SIGMOID, {"sigmoid", 1, Takes::kFloat, false, false}},
    {CTN_X_ISNAN, {"isnan", 1, Takes::kFloat, true, true}},
    {CTN_X_ISINF, {"isinf", 1, Takes::kFloat, true, true}},
    {CTN_X_ISFINITE, {"isfinite", 1, Takes::kFloat, true, true}},
    {kDivide, {"divide", 2, Takes::kNumber, false, true}},
    {kRemainder, {"remainder", 2, Takes::kNumber, false, true}},
    {kGate, {"gate", 1, Takes::kAny, false, true}},
};

constexpr OpInfo kNoOp = {nullptr, 0, Takes::kNothing, false, false};

constexpr Function kFunctions[] = {
    {"abs", CTN_X_ABS, 1, 1, Rule::kArith},         {"fabs", CTN_X_ABS, 1, 1, Rule::kArith},
    {"sign", CTN_X_SIGN, 1, 1, Rule::kArith},       {"min", CTN_X_MIN, 2, 16, Rule::kArith},
    {"max", CTN_X_MAX, 2, 16, Rule::kArith},        {"minimum", CTN_X_MIN, 2, 16, Rule::kArith},
    {"maximum", CTN_X_MAX, 2, 16, Rule::kArith},    {"pow", CTN_X_POW, 2, 2, Rule::kArith},
    {"power", CTN_X_POW, 2, 2, Rule::kArith},       {"floordiv", CTN_X_FDIV, 2, 2, Rule::kArith},
    {"floormod", CTN_X_FMOD, 2, 2, Rule::kArith},   {"fmod", CTN_X_TMOD, 2, 2, Rule::kArith},
    {"sqrt", CTN_X_SQRT, 1, 1, Rule::kFloat},       {"rsqrt", CTN_X_RSQRT, 1, 1, Rule::kFloat},
    {"exp", CTN_X_EXP, 1, 1, Rule::kFloat},         {"expm1", CTN_X_EXPM1, 1, 1, Rule::kFloat},
    {"exp2", CTN_X_EXP2, 1, 1, Rule::kFloat},       {"log", CTN_X_LOG, 1, 1, Rule::kFloat},
    {"log1p", CTN_X_LOG1P, 1, 1, Rule::kFloat},     {"log2", CTN_X_LOG2, 1, 1, Rule::kFloat},
    {"log10", CTN_X_LOG10, 1, 1, Rule::kFloat},     {"sin", CTN_X_SIN, 1, 1, Rule::kFloat},
    {"cos", CTN_X_COS, 1, 1, Rule::kFloat},         {"tan", CTN_X_TAN, 1, 1, Rule::kFloat},
    {"asin", CTN_X_ASIN, 1, 1, Rule::kFloat},       {"arcsin", CTN_X_ASIN, 1, 1, Rule::kFloat},
    {"acos", CTN_X_ACOS, 1, 1, Rule::kFloat},       {"arccos", CTN_X_ACOS, 1, 1, Rule::kFloat},
    {"atan", CTN_X_ATAN, 1, 1, Rule::kFloat},       {"arctan", CTN_X_ATAN, 1, 1, Rule::kFloat},
    {"atan2", CTN_X_ATAN2, 2, 2, Rule::kFloat},     {"arctan2", CTN_X_ATAN2, 2, 2, Rule::kFloat},
    {"sinh", CTN_X_SINH, 1, 1, Rule::kFloat},       {"cosh", CTN_X_COSH, 1, 1, Rule::kFloat},
    {"tanh", CTN_X_TANH, 1, 1, Rule::kFloat},       {"erf", CTN_X_ERF, 1, 1, Rule::kFloat},
    {"erfc", CTN_X_ERFC, 1, 1, Rule::kFloat},       {"lgamma", CTN_X_LGAMMA, 1, 1, Rule::kFloat},
    {"digamma", CTN_X_DIGAMMA, 1, 1, Rule::kFloat}, {"floor", CTN_X_FLOOR, 1, 1, Rule::kFloat},
    {"ceil", CTN_X_CEIL, 1, 1, Rule::kFloat},       {"trunc", CTN_X_TRUNC, 1, 1, Rule::kFloat},
    {"fix", CTN_X_TRUNC, 1, 1, Rule::kFloat},       {"rint", CTN_X_RINT, 1, 1, Rule::kFloat},
    {"sigmoid", CTN_X_SIGMOID, 1, 1, Rule::kFloat}, {"isnan", CTN_X_ISNAN, 1, 1, Rule::kTest},
    {"isinf", CTN_X_ISINF, 1, 1, Rule::kTest},      {"isfinite", CTN_X_ISFINITE, 1, 1, Rule::kTest},
    {"select", CTN_X_SELECT, 3, 3, Rule::kArith},   {"where", CTN_X_SELECT, 3, 3, Rule::kArith},
};

}  // namespace

const OpInfo& op_info(int op) {
  for (const OpRow& row : kOps) {
    if (row.op == op) return row.info;
  }
  return kNoOp;
}

bool takes(Takes what, Type t) {
  switch (what) {
    case Takes::kAny: return is_fixed(t);
    case Takes::kNumber: return is_integer(t) || is_float(t);
    case Takes::kInteger: return is_integer(t);
    case Takes::kBits: return is_integer(t) || t == CTN_BOOL8;
    case Takes::kFloat: return is_float(t);
    case Takes::kNothing: break;
  }
  return false;
}

const Function* find_function(std::string_view name) {
  for (const Function& f : kFunctions) {
    if (name == f.name) return &f;
  }
  return nullptr;
}

}  // namespace catena::expr
