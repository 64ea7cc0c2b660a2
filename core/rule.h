// Update rules and hooks as data: the texts of a registered class, parsed once per process. Knows
// no optimizer object and no class by name.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/launch.h"

namespace catena {

// A program over named float64 numbers.
class ScalarProgram {
 public:
  ScalarProgram() = default;
  // Without text: no outputs.
  ScalarProgram(std::string_view text, const std::vector<std::string>& inputs,
                std::string_view what);
  const std::vector<std::string>& outputs() const { return outputs_; }
  // values: the inputs; the outputs are appended.
  void run(std::vector<double>& values) const;

 private:
  std::vector<std::string> outputs_;
  std::shared_ptr<const expr::Form> form_;
};

// An elementwise or reducing expression over arrays of one dtype and named numbers.
class ArrayProgram {
 public:
  // Elementwise: reads `in`, reads and writes `inout`.
  ArrayProgram(std::string_view text, const std::vector<std::string>& in,
               const std::vector<std::string>& inout, const std::vector<std::string>& scalars,
               std::string_view what);
  // The sum of `map` over all elements, in float64.
  static std::unique_ptr<ArrayProgram> sum(std::string_view map, const std::vector<std::string>& in,
                                           const std::vector<std::string>& scalars,
                                           std::string_view what);
  const Compiled& compiled(int dtype);
  // The numbers as the form wants them; values: by position in `scalars`.
  void bits(const Compiled& c, std::span<const double> values, std::vector<uint64_t>& out) const;

 private:
  ArrayProgram() = default;
  std::shared_ptr<const expr::Row> row_;
  size_t n_arrays_ = 0;  // of the common dtype
  bool sum_ = false;
  FormCache forms_;
};

// A rule's numbers are its hyperparameters, then t, then what `scalars` computes.
struct RuleClass {
  const OptimizerEntry* entry = nullptr;
  std::vector<std::string> numbers;
  ScalarProgram scalars;
  std::unique_ptr<ArrayProgram> update;       // param, states without CTN_STATE_WHEN; reads grad
  std::unique_ptr<ArrayProgram> update_when;  // param, all states
  int32_t when = -1, nonzero = -1;            // hyperparameters

  // Never freed.
  static RuleClass& of(const OptimizerEntry& entry);
  size_t n_hyper() const { return entry->attrs.size(); }
};

// A hook's numbers are its numeric attributes, its sums, t, then what `scalars` computes.
struct HookClass {
  const HookEntry* entry = nullptr;
  std::vector<size_t> numeric;  // attributes
  std::vector<std::unique_ptr<ArrayProgram>> sums;
  ScalarProgram scalars;
  std::unique_ptr<ArrayProgram> update;

  static HookClass& of(const HookEntry& entry);
};

}  // namespace catena
