// A part of a test in a process of its own, with environment variables of its own.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <utility>

#include "main.h"

namespace capi_test {

// What `body` answers in a child with these variables; the child dies when it takes over 20 s.
template <class Body>
std::string in_child(std::initializer_list<std::pair<const char*, const char*>> variables,
                     const Body& body) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  std::fflush(nullptr);  // or the child may print it a second time
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(20);
    for (const auto& [name, value] : variables) setenv(name, value, 1);
    const std::string answer = body();
    const auto n = static_cast<ssize_t>(answer.size());
    _exit(write(ends[1], answer.data(), answer.size()) == n ? 0 : 1);
  }
  close(ends[1]);
  std::string answer;
  char part[512];
  for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;)
    answer.append(part, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  return answer;
}

}  // namespace capi_test
