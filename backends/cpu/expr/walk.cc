// Two orders of work: by rows of the last dimension, each argument in place or staged; or flat, for
// short rows, where blocks run across them and whatever is not dense is staged.
#include <cpu/expr/walk.h>

#include <algorithm>
#include <cstring>

namespace catena::cpu {

namespace {

// Rows shorter than this are not worth a round of the steps each (measured: a round costs about as
// much as staging 100 elements).
constexpr int64_t kShortRow = 128;

template <class T>
void move_elements(char* stage, char* memory, int64_t stride, int64_t n, bool in) {
  T* s = static_cast<T*>(static_cast<void*>(stage));
  if (!in) {
    for (int64_t i = 0; i < n; ++i, memory += stride) std::memcpy(memory, s + i, sizeof(T));
    return;
  }
  if (stride == 0) {
    T value;
    std::memcpy(&value, memory, sizeof(T));
    std::fill_n(s, n, value);
    return;
  }
  for (int64_t i = 0; i < n; ++i, memory += stride) std::memcpy(s + i, memory, sizeof(T));
}

// n elements between a staging buffer and memory with a stride
void move_row(char* stage, char* memory, int64_t stride, int size, int64_t n, bool in) {
  if (stride == size && n * size >= 64) {
    std::memcpy(in ? stage : memory, in ? memory : stage, static_cast<size_t>(n * size));
    return;
  }
  switch (size) {
    case 1: return move_elements<uint8_t>(stage, memory, stride, n, in);
    case 2: return move_elements<uint16_t>(stage, memory, stride, n, in);
    case 4: return move_elements<uint32_t>(stage, memory, stride, n, in);
    default: return move_elements<uint64_t>(stage, memory, stride, n, in);
  }
}

}  // namespace

void Walk::init(int ndim, const int64_t* shape, WalkArg* args, int n_args, int64_t block) {
  ndim_ = ndim;
  shape_ = shape;
  args_ = args;
  n_args_ = n_args;
  block_ = block;
  row_ = ndim == 0 ? 1 : shape[ndim - 1];
  total_ = 1;
  for (int d = 0; d < ndim; ++d) total_ *= shape[d];
  choose_flat();
  classify();
}

bool Walk::dense(const WalkArg& a) const {
  int64_t expected = a.size;
  for (int d = ndim_ - 1; d >= 0; --d) {
    if (shape_[d] != 1 && a.strides[d] != expected) return false;
    expected *= shape_[d];
  }
  return true;
}

// Elements after which the argument's values come again in C order; the whole space if they do not.
int64_t Walk::period(const WalkArg& a) const {
  int d = 0;
  while (d < ndim_ && (a.strides[d] == 0 || shape_[d] == 1)) ++d;
  int64_t n = 1;
  for (; d < ndim_; ++d) n *= shape_[d];
  return n;
}

// Flat if rows are short, or if all that is not dense repeats within a block, so that one staging
// serves for all.
void Walk::choose_flat() {
  flat_ = false;
  if (ndim_ < 2) return;
  int64_t longest = 1;
  bool repeats = true;
  for (int k = 0; k < n_args_; ++k) {
    const WalkArg& a = args_[k];
    if (dense(a)) continue;
    const int64_t p = period(a);
    if (a.out || 2 * p > block_ || (longest % p != 0 && p % longest != 0)) {
      repeats = false;
    } else if (p > longest) {
      longest = p;
    }
  }
  flat_ = repeats || row_ < kShortRow;
  if (flat_ && longest < block_) block_ -= block_ % longest;
}

void Walk::classify() {
  n_staged_ = 0;
  for (int k = 0; k < n_args_; ++k) {
    const WalkArg& a = args_[k];
    Cursor& c = cursors_[k];
    c = Cursor{};
    c.inner = ndim_ == 0 ? 0 : a.strides[ndim_ - 1];
    const bool one = row_ == 1;
    if (flat_) {
      c.period = period(a);
      const bool repeats = !a.out && block_ % c.period == 0;
      c.kind = dense(a) ? kDense : repeats ? kRepeat : kStrided;
    } else if (one || c.inner == a.size) {
      c.kind = kUnit;
    } else {
      c.period = 1;
      c.kind = c.inner == 0 && !a.out ? kRepeat : kStrided;
    }
    if (a.aside && (c.kind == kDense || c.kind == kUnit)) {
      if (c.kind == kUnit) c.inner = a.size;
      c.kind = kStrided;
    }
    if (c.kind == kRepeat || c.kind == kStrided) ++n_staged_;
  }
}

size_t Walk::staging_bytes() const {
  size_t bytes = 0;
  for (int k = 0; k < n_args_; ++k) {
    if (cursors_[k].kind == kDense || cursors_[k].kind == kUnit) continue;
    bytes += round_up(static_cast<size_t>(block_) * args_[k].size, kLine) + 3 * kLine;
  }
  return bytes;
}

void Walk::set_staging(Carver& room) {
  for (int k = 0; k < n_args_; ++k) {
    Cursor& c = cursors_[k];
    if (c.kind == kDense || c.kind == kUnit) continue;
    const size_t bytes = round_up(static_cast<size_t>(block_) * args_[k].size, kLine);
    c.stage = room.take<char>(bytes + 3 * kLine);
  }
}

void Walk::seek(int64_t position) {
  position_ = position;
  if (position == 0) {
    for (int d = 0; d < ndim_; ++d) index_[d] = 0;
    for (int k = 0; k < n_args_; ++k) cursors_[k].offset = 0;
    return;
  }
  for (int d = ndim_ - 1; d >= 0; --d) {
    index_[d] = position % shape_[d];
    position /= shape_[d];
  }
  for (int k = 0; k < n_args_; ++k) {
    int64_t offset = 0;
    for (int d = 0; d + 1 < ndim_; ++d) offset += index_[d] * args_[k].strides[d];
    cursors_[k].offset = offset;
  }
}

int64_t Walk::length(int64_t end) const {
  int64_t n = end - position_;
  if (n > block_) n = block_;
  if (flat_ || ndim_ == 0) return n;
  const int64_t left = row_ - index_[ndim_ - 1];
  return n < left ? n : left;
}

void Walk::fetch(Frame& frame, int64_t n) {
  const int64_t column = ndim_ == 0 ? 0 : index_[ndim_ - 1];
  for (int k = 0; k < n_args_; ++k) {
    const WalkArg& a = args_[k];
    Cursor& c = cursors_[k];
    switch (c.kind) {
      case kDense: frame.at[a.arg] = a.base + position_ * a.size; break;
      case kUnit: frame.at[a.arg] = a.base + c.offset + column * c.inner; break;
      default: frame.at[a.arg] = stage(a, c, n); break;
    }
  }
}

char* Walk::stage(const WalkArg& a, Cursor& c, int64_t n) {
  if (!a.in) return c.stage;
  if (c.kind == kRepeat) {
    const char* from = flat_ ? a.base : a.base + c.offset;
    const int64_t phase = position_ % c.period;
    if (c.have == from && c.have_phase == phase && c.have_n >= n) return c.stage;
    c.have = from;
    c.have_phase = phase;
    c.have_n = n;
  }
  transfer(a, c, n, true);
  return c.stage;
}

void Walk::flush(int64_t n) {
  if (n_staged_ == 0) return;
  for (int k = 0; k < n_args_; ++k) {
    if (args_[k].out && cursors_[k].stage != nullptr) transfer(args_[k], cursors_[k], n, false);
  }
}

// Row by row from the current position on; a block in row order is part of one row.
void Walk::transfer(const WalkArg& a, const Cursor& c, int64_t n, bool in) const {
  if (ndim_ == 0) return move_row(c.stage, a.base, a.size, a.size, n, in);
  const int last = ndim_ - 1;
  int64_t index[CTN_MAX_NDIM];
  std::memcpy(index, index_, sizeof(int64_t) * static_cast<size_t>(ndim_));
  char* row = a.base + c.offset;
  char* staged = c.stage;
  for (;;) {
    const int64_t left = row_ - index[last];
    const int64_t m = n < left ? n : left;
    move_row(staged, row + index[last] * c.inner, c.inner, a.size, m, in);
    n -= m;
    if (n == 0) return;
    staged += m * a.size;
    index[last] = 0;
    for (int d = last - 1; d >= 0; --d) {
      row += a.strides[d];
      if (++index[d] < shape_[d]) break;
      row -= a.strides[d] * shape_[d];
      index[d] = 0;
    }
  }
}

void Walk::advance(int64_t n) {
  position_ += n;
  if (ndim_ == 0) return;
  if (flat_) {
    if (n_staged_ > 0) seek(position_);
    return;
  }
  int64_t& column = index_[ndim_ - 1];
  column += n;
  if (column < row_) return;
  column = 0;
  for (int d = ndim_ - 2; d >= 0; --d) {
    for (int k = 0; k < n_args_; ++k) cursors_[k].offset += args_[k].strides[d];
    if (++index_[d] < shape_[d]) return;
    for (int k = 0; k < n_args_; ++k) cursors_[k].offset -= args_[k].strides[d] * shape_[d];
    index_[d] = 0;
  }
}

}  // namespace catena::cpu
