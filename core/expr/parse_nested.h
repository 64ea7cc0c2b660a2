// The depth limit of the parser: text from strangers must not exhaust the stack.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include "core/expr/parse.h"

namespace catena::expr {

class Parser::Nested {
 public:
  static constexpr int kMaxDepth = 128;

  explicit Nested(Parser& p) : p_(p) {
    if (p_.depth_ >= kMaxDepth) {
      p_.fail("nested deeper than " + std::to_string(kMaxDepth) + " levels");
    }
    ++p_.depth_;
  }
  ~Nested() { --p_.depth_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  Parser& p_;
};

}  // namespace catena::expr
