// Helpers for the C functions: handle conversion and argument checks. Every function body runs in
// guarded(), which turns exceptions into a status and a text.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/catena.h>

#include <span>
#include <string>
#include <vector>

#include "core/variable.h"

namespace catena {

inline void require(const void* p, const char* what) {
  if (!p) [[unlikely]]
    fail_argument(std::string(what) + " is NULL");
}

template <class T>
std::span<T> list(T* p, int32_t n, const char* what) {
  if (n < 0) [[unlikely]]
    fail_argument("count of " + std::string(what) + " is " + std::to_string(n));
  if (n > 0) require(p, what);
  return {p, static_cast<size_t>(n)};
}

// A list of variable handles (entries may be NULL) as pointers; no copy: both are plain pointers to
// one object whose base is at offset 0.
class VariableList {
 public:
  VariableList(const ctn_variable* p, int32_t n, const char* what) {
    const std::span<const ctn_variable> given = list(p, n, what);
    if (given.size() > kRoom) heap_.resize(given.size());
    Variable** to = heap_.empty() ? room_ : heap_.data();
    for (size_t i = 0; i < given.size(); ++i) to[i] = static_cast<Variable*>(given[i]);
    span_ = {to, given.size()};
  }
  VariableList(const VariableList&) = delete;
  VariableList& operator=(const VariableList&) = delete;
  std::span<Variable* const> get() const { return span_; }

 private:
  static constexpr size_t kRoom = 16;
  Variable* room_[kRoom];
  std::vector<Variable*> heap_;
  std::span<Variable* const> span_;
};

// Keeps variables for the time of a call whose hooks and callbacks may let go of them.
class HeldVariables {
 public:
  explicit HeldVariables(std::span<Variable* const> variables) {
    held_.reserve(variables.size());
    for (Variable* v : variables) held_.push_back(Ref<Variable>::share(v));
  }

 private:
  std::vector<Ref<Variable>> held_;
};

// Room for results; written to the caller's array only when everything succeeded.
class VariableResults {
 public:
  explicit VariableResults(int32_t n) : n_(static_cast<size_t>(n)) {
    if (n_ > kRoom) heap_.resize(n_);
    data_ = heap_.empty() ? room_ : heap_.data();
  }
  std::span<Variable*> get() { return {data_, n_}; }
  void give(ctn_variable* out) const {
    for (size_t i = 0; i < n_; ++i) out[i] = data_[i];
  }

 private:
  static constexpr size_t kRoom = 16;
  size_t n_;
  Variable* room_[kRoom];
  std::vector<Variable*> heap_;
  Variable** data_;
};

}  // namespace catena
