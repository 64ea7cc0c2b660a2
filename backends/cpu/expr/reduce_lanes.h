// The accumulators of one reduction task: lanes on up to three levels, joined by single opcodes or
// by the form's reduce program. Knows no memory layout of arguments.
#pragma once

#include <cpu/expr/reduce_plan.h>

namespace catena::cpu {

class Lanes {
 public:
  // `cycles`: the most items one lane takes in.
  Lanes(const Program& program, const ReducePlan& plan, int64_t cycles);

  size_t bytes() const;
  void bind(Carver& room, const ctn_launch& launch);

  void reset();
  // Items n of each accumulator join lanes [phase, phase + n).
  void join(char* const* items, int64_t phase, int64_t n);
  // Any number of items from lane `phase` on, wrapping around; single opcodes only.
  void join_span(char* const* items, int64_t phase, int64_t n);
  // Every lane has taken in kLevelItems: their sums move up.
  void carry() { carry(0); }
  // All levels into one; afterwards result(k) is the first lane of accumulator k.
  void merge();
  // After merge: halves the lanes until `width` are left.
  void fold(int64_t width);
  char* result(size_t k) const { return acc_[static_cast<size_t>(top_) * n_ + k]; }

 private:
  void reset(int level);
  void carry(int level);
  void join_at(int level, char* const* items, int64_t phase, int64_t n);

  const Program& p_;
  const ReducePlan& plan_;
  const size_t n_;  // accumulators
  const int64_t lanes_;
  const int top_;            // highest level in use
  char** acc_ = nullptr;     // [level][accumulator]
  char** result_ = nullptr;  // where reduce writes
  char** items_ = nullptr;   // [accumulator], for the own calls
  int64_t counts_[kLevels] = {};
  Frame reduce_;
};

}  // namespace catena::cpu
