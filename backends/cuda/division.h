// Division by numbers that a launch fixes: on a device a multiplication and a shift, as units of
// integers have no instruction for it.
#pragma once

#include <cstdint>

namespace catena::cuda {

// As in division.cc.
struct Divisor {
  int64_t by;
  uint32_t factor, shift;
  Divisor() : Divisor(1) {}
  explicit Divisor(int64_t n);
};

extern const char* const kDivisionText;

}  // namespace catena::cuda
