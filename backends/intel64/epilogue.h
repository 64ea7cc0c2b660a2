// What a convolution does with its sums before it writes them, as one call with others that follow
// it: normalise by given statistics, add an array, cut off below zero; each at most once, in this
// order.
#pragma once

#include <catena/sdk/call.hpp>

#include <optional>

namespace catena::intel64 {

struct Epilogue {
  int norm = -1;  // input of the call: gamma, then beta, mean and var
  double eps = 0;
  int addend = -1;  // input of the call: the array
  bool relu = false;

  bool folds() const { return norm >= 0; }
  bool adds() const { return addend >= 0; }
  // Takes up one more op; false if this kernel cannot.
  bool take(const sdk::Call& c, const ctn_follower& next);
  // Of a call whose followers were all taken up.
  static Epilogue of(const sdk::Call& c);
};

// Whether the call's kernel does `next` too.
bool absorb_epilogue(const sdk::Call& c, const ctn_follower& next);

// The factors of normalised filters, and what is added then, for each channel. bias: of the
// convolution, or NULL.
void fold_norm(const sdk::Call& c, const Epilogue& e, const float* bias, float* scale,
               float* shift);

}  // namespace catena::intel64
