// What a doctest program adds to doctest: skipping a case with a printed reason. main.cc holds the
// program itself and prints the closing line that ./run test adds up.
#pragma once

#include <doctest/doctest.h>

// Defined where a sanitizer is built in, which keeps more memory and time than the program does.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CATENA_ASAN 1
#elif __has_feature(thread_sanitizer)
#define CATENA_TSAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define CATENA_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define CATENA_TSAN 1
#endif

namespace catena_test {

// Says that the running case was skipped and why, and counts it so; the caller then returns.
void skip(const char* reason);

}  // namespace catena_test
