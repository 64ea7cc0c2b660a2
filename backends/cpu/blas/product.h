// C = A * B for operands and results of any form: whoever has a matrix product to compute (gemm,
// convolution) says how its operands are packed and where results go; product.cc blocks the work
// for the caches and spreads it over the runtime's threads. Blocks depend on the shape alone, and
// the reduced dimension is never split between threads: bits do not depend on how many there are.
#pragma once

#include <catena/plugin.h>

#include <cpu/blas/dense.h>

#include <atomic>

namespace catena::cpu {

// One operand: items i (rows of A, columns of B) by steps p of the reduced dimension.
template <class T>
class Operand {
 public:
  // dst[q * width + j] = (i + j, p + q) for q < k, j < n. width is n (A) or n rounded up to whole
  // vectors (B), whose other elements become harmless numbers.
  virtual void pack(int64_t p, int64_t k, int64_t i, int64_t n, T* dst, int64_t width) const = 0;
  // (i, p) if items lie side by side in memory and steps *ld apart; NULL: pack them.
  virtual const T* in_place(int64_t /*p*/, int64_t /*i*/, int64_t* /*ld*/) const { return nullptr; }
  // Where 128-byte stretch number `stretch` of the items from i, steps from p, lies in memory, and
  // how far it is to the next: fetched while the panel before is at work. 0: nothing to fetch.
  virtual Ahead ahead(int64_t /*p*/, int64_t /*i*/, int64_t /*stretch*/) const { return {0, 0}; }

 protected:
  ~Operand() = default;
};

// Where C goes. Rows are ld apart.
template <class T>
class Result {
 public:
  explicit Result(int64_t ld) : ld_(ld) {}
  int64_t ld() const { return ld_; }
  // (0, j) if columns [j, j + n) lie side by side, else NULL.
  virtual T* place(int64_t j, int64_t n) const = 0;
  // Writes or adds a tile of m rows and n columns whose rows are `width` apart.
  virtual void put(const T* tile, int64_t width, int64_t i, int64_t m, int64_t j, int64_t n,
                   bool add) const = 0;

 protected:
  ~Result() = default;

 private:
  int64_t ld_;
};

template <class T>
struct Product {
  int64_t m, n, k;
  const Operand<T>* a;
  const Operand<T>* b;
  const Result<T>* c;
  bool add = false;                // C += A * B
  const T* row_bias = nullptr;     // [m], added to each row's elements
  const T* column_bias = nullptr;  // [n]
};

template <class T>
void multiply(ctn_exec exec, const Dense<T>& dense, const Product<T>& product);

// The same in the calling thread with memory of the caller, for use inside parallel work: elements
// enough for any product of up to m rows and n columns, of k steps.
template <class T>
int64_t serial_elements(const Dense<T>& dense, int64_t m, int64_t n, int64_t k);
template <class T>
void multiply_serial(const Dense<T>& dense, const Product<T>& product, T* memory);

// Pieces of scratch memory for bodies of parallel work, one for each that runs at a time.
class Slots {
 public:
  static constexpr int kMost = 64;
  // From the kernel's scratch; at most `tasks` pieces of `bytes` bytes, 64-byte aligned.
  Slots(ctn_exec exec, int64_t bytes, int64_t tasks);
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  // Holds a piece for its lifetime. More bodies than threads may run under a host's own executor:
  // then the surplus waits for a piece to come back.
  class Hold {
   public:
    explicit Hold(Slots& slots);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    template <class T>
    T* as() const {
      return reinterpret_cast<T*>(slots_.base_ + index_ * slots_.bytes_);
    }

   private:
    Slots& slots_;
    int index_;
  };

 private:
  char* base_;
  int64_t bytes_;
  std::atomic<uint64_t> free_;
};

}  // namespace catena::cpu
