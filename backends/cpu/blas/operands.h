// Operands and results of products: matrices in memory, and images seen as columns of patches.
#pragma once

#include <cpu/blas/product.h>
#include <cpu/blas/taps.h>

namespace catena::cpu {

// A matrix with any strides.
template <class T>
class Strided final : public Operand<T> {
 public:
  // items are `item` elements apart, steps `step`
  Strided(const Dense<T>& d, const T* p, int64_t item, int64_t step)
      : dense_(d), p_(p), item_(item), step_(step) {}

  void pack(int64_t p, int64_t k, int64_t i, int64_t n, T* dst, int64_t width) const override {
    const T* src = p_ + i * item_ + p * step_;
    if (item_ == 1) return dense_.copy(src, step_, k, n, dst, width);
    if (step_ == 1) return dense_.transpose(src, item_, k, n, dst, width);
    for (int64_t q = 0; q < k; ++q) {
      for (int64_t j = 0; j < n; ++j) dst[q * width + j] = src[j * item_ + q * step_];
      for (int64_t j = n; j < width; ++j) dst[q * width + j] = T{0};
    }
  }
  const T* in_place(int64_t p, int64_t i, int64_t* ld) const override {
    if (item_ != 1) return nullptr;
    *ld = step_;
    return p_ + i + p * step_;
  }
  Ahead ahead(int64_t p, int64_t i, int64_t stretch) const override {
    constexpr int64_t kBytes = sizeof(T);
    const auto from = [&](int64_t bytes) {
      return reinterpret_cast<uintptr_t>(p_) +
             static_cast<uintptr_t>((i * item_ + p * step_) * kBytes + bytes);
    };
    if (item_ == 1) return {from(stretch * step_ * kBytes), step_ * kBytes};  // a step's row
    if (step_ == 1) return {from(stretch * 128), 128};  // items lie one behind the other
    return {0, 0};
  }

 private:
  const Dense<T>& dense_;
  const T* p_;
  int64_t item_, step_;
};

template <class T>
class Rows final : public Result<T> {
 public:
  Rows(T* c, int64_t ld) : Result<T>(ld), c_(c) {}
  T* place(int64_t j, int64_t) const override { return c_ + j; }
  void put(const T* tile, int64_t width, int64_t i, int64_t m, int64_t j, int64_t n,
           bool add) const override {
    for (int64_t r = 0; r < m; ++r, tile += width) {
      T* to = c_ + (i + r) * this->ld() + j;
      for (int64_t s = 0; s < n; ++s) to[s] = add ? to[s] + tile[s] : tile[s];
    }
  }

 private:
  T* c_;
};

// Columns of patches.
template <class T>
class Images final : public Operand<T> {
 public:
  // column 0 of the product is position `first`
  Images(const Dense<T>& d, const Patches& g, const T* images, int64_t first = 0)
      : dense_(d), g_(g), images_(images), first_(first), pack_(pack_patches<T>()) {}
  void pack(int64_t p, int64_t k, int64_t j, int64_t n, T* dst, int64_t width) const override {
    if (k == 0) return;
    PatchRun runs[2 * kMaxLanes];
    const int64_t count = patch_runs(g_, first_ + j, n, dense_.lanes, runs);
    pack_(g_, images_, runs, count, p, k, n, dst, width);
  }

 private:
  const Dense<T>& dense_;
  const Patches& g_;
  const T* images_;
  int64_t first_;
  PackPatchesFn<T> pack_;
};

}  // namespace catena::cpu
