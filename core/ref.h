// Intrusive reference to a counted object (retain/release). Knows no particular object.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace catena {

// Gives one reference up; true if it was the last. The last one is recognised by a load alone:
// nobody else can add to a count of 1 that belongs to the caller.
inline bool drop_one(std::atomic<int32_t>& count) noexcept {
  if (count.load(std::memory_order_acquire) == 1) {
    count.store(0, std::memory_order_relaxed);
    return true;
  }
  return count.fetch_sub(1, std::memory_order_acq_rel) == 1;
}

template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  // Takes over a reference the caller owns.
  static Ref take(T* p) {
    Ref r;
    r.p_ = p;
    return r;
  }
  // Adds a reference to a borrowed pointer.
  static Ref share(T* p) {
    if (p) p->retain();
    return take(p);
  }
  Ref(const Ref& other) : p_(other.p_) {
    if (p_) p_->retain();
  }
  Ref(Ref&& other) noexcept : p_(std::exchange(other.p_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(p_, other.p_);
    return *this;
  }
  ~Ref() {
    if (p_) p_->release();
  }

  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  explicit operator bool() const { return p_ != nullptr; }
  // Gives the reference away.
  T* detach() { return std::exchange(p_, nullptr); }

 private:
  T* p_ = nullptr;
};

// Up to kMost references, only as many of which exist as were pushed: room that is not used costs
// nothing. Entries may be NULL.
template <class T, size_t kMost>
class RefStack {
 public:
  RefStack() {}
  RefStack(const RefStack&) = delete;
  RefStack& operator=(const RefStack&) = delete;
  ~RefStack() {
    for (size_t i = 0; i < n_; ++i)
      if (at_[i]) at_[i]->release();
  }

  // Returns what was pushed; the stack owns it.
  T* push(Ref<T> r) { return at_[n_++] = r.detach(); }
  Ref<T> take(size_t i) { return Ref<T>::take(std::exchange(at_[i], nullptr)); }
  // The entries, to be taken by the caller.
  void give(T** to) {
    for (size_t i = 0; i < n_; ++i) to[i] = at_[i];
    n_ = 0;
  }
  T* operator[](size_t i) const { return at_[i]; }
  T* const* data() const { return at_; }

 private:
  size_t n_ = 0;
  T* at_[kMost];  // the first n_ are set
};

}  // namespace catena
