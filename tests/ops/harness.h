// What tests of ops share: arrays from plain numbers, calls by name, and gradients of first and
// second order compared with central differences. Everything goes through the C interface.
#pragma once

#include <catena/catena.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "main.h"

namespace ops_test {

inline ctn_str str(std::string_view s) { return {s.data(), s.size()}; }

using Shape = std::vector<int64_t>;

// A variable's elements in C order as double.
struct Values {
  Shape shape;
  std::vector<double> data;
};

// One context; every handle made through it is released with it.
class Bench {
 public:
  Bench();
  ~Bench();
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  ctn_context context() const { return ctx_; }
  ctn_variable keep(ctn_variable v);
  // float64 unless `dtype` is another; requires a gradient if it is floating.
  ctn_variable variable(const Values& values, ctn_dtype dtype = {CTN_DT_FLOAT, 64, 1});
  // 1, 2, 3 ... times `scale`.
  ctn_variable counting(const Shape& shape, double scale = 1);
  Values values(ctn_variable v);

 private:
  ctn_context ctx_ = nullptr;
  std::deque<ctn_variable> kept_;
};

// An op with its attributes, called on variables.
struct Op {
  std::string name;
  std::vector<ctn_attr> attrs;
  int outputs = 1;

  std::vector<ctn_variable> operator()(Bench& bench, std::span<const ctn_variable> in) const;
  ctn_variable one(Bench& bench, std::initializer_list<ctn_variable> in) const;
  // The status and, if it failed, the text.
  ctn_status refused(std::initializer_list<ctn_variable> in, std::string* text) const;
};

ctn_attr attr(const char* name, int64_t v);
ctn_attr attr(const char* name, double v);
ctn_attr attr(const char* name, bool v);
ctn_attr attr(const char* name, const Shape& v);  // borrowed
ctn_attr attr(const char* name, ctn_value v);

// Compares the gradients of sum(w * op(inputs)) for fixed w with central differences, and those of
// the first gradient likewise. float64; the points must be away from kinks by more than the step.
void check_gradients(const Op& op, const std::vector<Values>& inputs, double tolerance = 1e-6);

Values counting(const Shape& shape, double scale = 1, double offset = 0);

}  // namespace ops_test
