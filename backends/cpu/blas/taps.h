// Geometry of convolutions as patches: which tap reads where, and runs of columns. Between conv.cc,
// conv_weights.cc and the packing of patches.
#pragma once

#include <cpu/blas/conv.h>
#include <cpu/blas/dense.h>
#include <cpu/blas/patches.h>

#include <vector>

namespace catena::cpu {

// The functions of the instruction set in use.
template <class T>
PackPatchesFn<T> pack_patches();
template <class T>
AddPatchesFn<T> add_patches();

// Runs of columns [j, j + n), each of at most `lanes`; `runs` has room for n. Returns how many.
int64_t patch_runs(const Patches& g, int64_t j, int64_t n, int64_t lanes, PatchRun* runs);

// A Patches with memory for its taps.
class Taps {
 public:
  // What position (y, x) of the output reads of the input.
  static Taps forward(const ConvShape& s);
  // What positions (phase_y + i * stride_y, phase_x + j * stride_x) of the input receive from the
  // output, which is read with steps of 1. May have no taps, or no positions.
  static Taps backward(const ConvShape& s, int64_t phase_y, int64_t phase_x);

  Taps(Taps&&) = default;  // the memory moves along
  Taps& operator=(Taps&&) = delete;

  const Patches& patches() const { return patches_; }
  // Position of tap t in the kernel, counted in C order.
  const int64_t* kernel() const { return kernel_.data(); }

 private:
  Taps() = default;
  void add(int64_t dy, int64_t dx, int64_t kernel);
  void finish();

  Patches patches_{};
  std::vector<int64_t> dy_, dx_, offset_, kernel_;
};

}  // namespace catena::cpu
