// A backend for tests of calls that wait: blend(x, w) = x * w, whose kernel also adds 1 (again, any
// number of times), adds an array (plus) and cuts off below zero (cut), in a layout it is told to
// want: plain (0) or elements in reverse order (7). "heir" stands on it.
#pragma once

#include <catena/plugin.h>

#include <atomic>
#include <functional>

#include "net_support.h"

namespace patient_test {

using namespace catena_test;

struct Seen {
  std::atomic<int> runs{0}, followers{0}, derived{0};
  std::atomic<bool> failing{false}, throwing{false}, in_place{false}, tuned{false};
  std::function<void(const ctn_host&)> asked;  // called by the next absorb
};
Seen& seen();
const ctn_host& host();

constexpr int64_t kSize = 400;  // smaller arrays are computed at once

struct Patient {
  Ctx ctx;
  explicit Patient(int64_t layout_ = 0);
  Var all(double value, bool requires_grad = false) const;
  Var call(const char* op, std::vector<ctn_variable> in) const;
  Var call(const char* op, std::vector<ctn_variable> in, std::vector<ctn_value> attrs) const;
  Var blend(const Var& x, const Var& w) const { return call("blend", {x, w}, {of_int(layout)}); }
  Var plus(const Var& a, const Var& b) const { return call("plus", {a, b}); }
  Var cut(const Var& a) const { return call("cut", {a}); }
  void set(const char* key, bool value) const;  // of the thread's configuration

  const int64_t layout;
};

Arr array_of(const Var& v);
Var constant(const Arr& a);
// Whether it has `size` elements of that value, and no others.
void check_all(const Var& v, double value, int64_t size = kSize);

}  // namespace patient_test
