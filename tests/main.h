// What a doctest program adds to doctest: skipping a case with a printed reason. main.cc holds the
// program itself and prints the closing line that ./run test adds up.
#pragma once

#include <doctest/doctest.h>

namespace catena_test {

// Says that the running case was skipped and why, and counts it so; the caller then returns.
void skip(const char* reason);

}  // namespace catena_test
