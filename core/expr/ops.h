// The table of opcodes: names, operands and which types they take; and the generic opcodes a row
// may hold until it is specialised. Knows no row.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/plugin.h>

#include <string_view>

#include "core/expr/types.h"

namespace catena::expr {

// Generic opcodes; never in a form.
enum : uint16_t {
  kDivide = 256,     // `/`: TDIV of integers, DIV of floats
  kRemainder = 257,  // `%`: TMOD
  kGate = 258,       // a gradient cast to `type`; 0 where `type` or the operand's is not floating
};

enum class Takes : uint8_t {
  kNothing,  // a source, or no opcode at all
  kAny,
  kNumber,  // integers and floats
  kInteger,
  kBits,  // bool and integers
  kFloat,
};

struct OpInfo {
  const char* name;  // as in the text of a dump
  uint8_t operands;  // values read, in a, b, c
  Takes takes;
  bool gives_bool;
  bool exact;  // correctly rounded by everyone, so that folding it cannot change a bit
};
const OpInfo& op_info(int op);  // name NULL: no such opcode
bool takes(Takes what, Type t);

// Functions of the language.
enum class Rule : uint8_t {
  kArith,  // arithmetic: operands promoted, bool to int32
  kFloat,  // operands promoted to a floating type
  kTest,   // as kFloat with a bool result
};
struct Function {
  const char* name;
  uint16_t op;
  uint8_t min_args, max_args;
  Rule rule;
};
// NULL if there is none.
const Function* find_function(std::string_view name);

}  // namespace catena::expr
