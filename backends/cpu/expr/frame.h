// What one thread needs to run a Code: its table of pointers, its uniform values and its slots, all
// in memory on the thread's stack, or on the heap for the rare program that needs more.
#pragma once

#include <cpu/expr/code.h>

#include <cstddef>
#include <cstdint>
#include <new>

namespace catena::cpu {

inline constexpr size_t kLine = 64;
inline constexpr size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// Room for `bytes`, from the stack where it suffices.
template <size_t kInline>
class Room {
 public:
  explicit Room(size_t bytes) noexcept {
    if (bytes <= kInline) return;
    p_ = static_cast<char*>(::operator new (bytes, std::align_val_t{kLine}, std::nothrow));
  }
  ~Room() {
    if (p_ != inline_) ::operator delete (p_, std::align_val_t{kLine});
  }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  char* get() noexcept { return p_; }  // nullptr: no memory

 private:
  alignas(kLine) char inline_[kInline];
  char* p_ = inline_;
};

// Hands out parts of a room whose size was computed beforehand by the same calls.
class Carver {
 public:
  explicit Carver(char* p) noexcept : p_(p) {}
  template <class T>
  T* take(size_t n) noexcept {
    char* at = p_;
    p_ += round_up(n * sizeof(T), kLine);
    return static_cast<T*>(static_cast<void*>(at));
  }

 private:
  char* p_;
};

struct Frame {
  const Code* code = nullptr;
  char** at = nullptr;  // pointer of each location
  RawRef* raws = nullptr;
  IndexRef index;
  int64_t size = 0;

  // Slots lie apart by more than their bytes: at equal offsets within 4 KiB a load would wait for
  // an unrelated store.
  static size_t slot_stride(const Code& code, int64_t block) {
    return round_up(static_cast<size_t>(block) * code.slot_size, kLine) + 3 * kLine;
  }
  static size_t bytes(const Code& code, int64_t block) {
    return round_up(code.at.count * sizeof(char*), kLine) +
           round_up(sizeof(uint64_t) * static_cast<size_t>(code.at.slot - code.at.uniform), kLine) +
           (code.raws == 0 ? 0 : round_up(CTN_FORM_MAX_ARGS * sizeof(RawRef), kLine)) +
           slot_stride(code, block) * code.n_slots;
  }

  void bind(const Code& c, Carver& room, int64_t block);
  // The launch's scalars and RAW arguments; then what is equal for all its elements. `block`: the
  // most elements a later run asks for.
  void enter(const ctn_launch& launch, int64_t block);
  void run(int64_t n) {
    for (const Step& s : code->body) s.fn(at[s.dst], at[s.a], at[s.b], at[s.c], n);
  }

 private:
  void compute_uniform();
  bool entered_ = false;
  const uint64_t* scalars_ = nullptr;  // whose uniform values are there
  int64_t prologue_ = 0;               // elements that the prologue has filled
};

}  // namespace catena::cpu
