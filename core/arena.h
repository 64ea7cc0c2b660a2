// Memory for deep copies of what a plugin registers: strings, arrays and defaults that live as long
// as the arena. Knows no schema.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/types.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/error.h"

namespace catena {

class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  template <class T>
  T* make(size_t n) {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= alignof(std::max_align_t));
    return reinterpret_cast<T*>(allocate(n * sizeof(T)));
  }
  template <class T>
  const T* copy(const T* from, size_t n) {
    if (n == 0) return nullptr;
    T* to = make<T>(n);
    std::copy(from, from + n, to);
    return to;
  }
  std::string_view copy(std::string_view text) {
    return {copy(text.data(), text.size()), text.size()};
  }
  ctn_str copy(ctn_str text) { return str(copy(view(text))); }

 private:
  static constexpr size_t kBlock = 16 * 1024;

  std::byte* allocate(size_t bytes) {
    bytes = (bytes + alignof(std::max_align_t) - 1) & ~(alignof(std::max_align_t) - 1);
    if (bytes > left_) {
      const size_t block = bytes > kBlock ? bytes : kBlock;
      blocks_.push_back(std::make_unique<std::byte[]>(block));
      next_ = blocks_.back().get();
      left_ = block;
    }
    std::byte* p = next_;
    next_ += bytes;
    left_ -= bytes;
    return p;
  }

  std::vector<std::unique_ptr<std::byte[]>> blocks_;
  std::byte* next_ = nullptr;
  size_t left_ = 0;
};

}  // namespace catena
