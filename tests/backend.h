// The backend that a program of the table runs on: tests/meson.build has the list and runs every
// program of the table once for each. One that cannot be had skips the program, case by case.
#pragma once

#include <string>

namespace catena_test {

// What CATENA_TEST_BACKEND names, or cpu. Its plugin is found where only the tests have it, too.
const char* backend();
// Why there is none; empty if there is. main.cc asks.
std::string missing_backend();
// Whether its results are the cpu's to the bit.
bool backend_is_exact();

}  // namespace catena_test
