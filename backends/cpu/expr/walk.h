// Brings blocks of arbitrarily strided arguments to where steps read and write them: in place where
// the elements lie side by side, through a staging buffer elsewhere. Knows dimensions, not
// programs.
#pragma once

#include <cpu/expr/frame.h>

namespace catena::cpu {

// The arguments of a form that a code reads or writes.
struct WalkArg {
  char* base;              // element 0 of the walked space; may be moved between blocks
  const int64_t* strides;  // [ndim] bytes
  uint8_t arg;
  uint8_t size;  // bytes of an element
  bool in, out;
  bool aside;  // never in place
};

// A space of up to CTN_MAX_NDIM dimensions, walked in C order in blocks of `block` elements or
// fewer.
class Walk {
 public:
  static constexpr int kMaxArgs = CTN_FORM_MAX_ARGS;

  // shape and args' strides stay borrowed. Decides for every argument how it is brought.
  void init(int ndim, const int64_t* shape, WalkArg* args, int n_args, int64_t block);

  // Bytes of staging it wants; then where they are.
  size_t staging_bytes() const;
  void set_staging(Carver& room);

  // The most elements a block may have: a multiple of the period where inputs repeat.
  int64_t block() const { return block_; }
  // The most elements from the space's start on that are sure to be one block.
  int64_t row_block() const { return flat_ || row_ > block_ ? block_ : row_; }
  bool in_place() const { return n_staged_ == 0; }

  void seek(int64_t position);
  // Elements of the block at the current position that ends no later than `end`.
  int64_t length(int64_t end) const;
  // Points frame.at to the arguments of the current block of n elements.
  void fetch(Frame& frame, int64_t n);
  // Writes staged outputs back.
  void flush(int64_t n);
  void advance(int64_t n);
  int64_t position() const { return position_; }

 private:
  enum Kind : uint8_t { kDense, kUnit, kRepeat, kStrided };
  struct Cursor {
    char* stage;
    int64_t offset;  // bytes from base to the current row
    int64_t inner;   // stride along the row
    int64_t period;  // kRepeat: elements after which the values come again; 1 in row order
    // kRepeat: what is staged already
    const char* have;
    int64_t have_phase;
    int64_t have_n;
    Kind kind;
  };

  void classify();
  bool dense(const WalkArg& a) const;
  int64_t period(const WalkArg& a) const;
  void choose_flat();
  char* stage(const WalkArg& a, Cursor& c, int64_t n);
  void transfer(const WalkArg& a, const Cursor& c, int64_t n, bool in) const;

  int ndim_ = 0;
  int n_args_ = 0;
  int n_staged_ = 0;
  bool flat_ = false;
  const int64_t* shape_ = nullptr;
  WalkArg* args_ = nullptr;
  int64_t block_ = 0;
  int64_t row_ = 1;  // length of the last dimension
  int64_t total_ = 1;
  int64_t position_ = 0;
  int64_t index_[CTN_MAX_NDIM];  // both: the first ndim_ and n_args_ are set
  Cursor cursors_[kMaxArgs];
};

}  // namespace catena::cpu
