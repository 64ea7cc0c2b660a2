// A stream of the program's own on the first device, made through the driver itself, real or false:
// what another library would bring along.
#pragma once

#include <dlfcn.h>

#include <bit>
#include <cstdint>
#include <span>
#include <type_traits>

#include "main.h"

namespace cuda_test {

class OtherStream {
 public:
  OtherStream() {
    int (*retain)(void**, int), (*push)(void*), (*create)(void**, unsigned);
    find(retain, "cuDevicePrimaryCtxRetain");
    find(push, "cuCtxPushCurrent_v2");
    find(create, "cuStreamCreate");
    find(pop_, "cuCtxPopCurrent_v2");
    find(destroy_, "cuStreamDestroy_v2");
    find(wait_, "cuStreamSynchronize");
    find(fill_, "cuMemsetD32Async");
    find(read_, "cuMemcpyDtoHAsync_v2");
    void* primary = nullptr;
    REQUIRE(retain(&primary, 0) == 0);
    REQUIRE(push(primary) == 0);
    REQUIRE(create(&s_, 1) == 0);
  }
  ~OtherStream() {
    void* primary = nullptr;
    wait_(s_);
    destroy_(s_);
    pop_(&primary);
  }
  OtherStream(const OtherStream&) = delete;
  OtherStream& operator=(const OtherStream&) = delete;

  void* get() const { return s_; }
  void wait() const { REQUIRE(wait_(s_) == 0); }
  // Queued: n floats of that value.
  void fill(void* p, float value, size_t n) const {
    REQUIRE(fill_(reinterpret_cast<uintptr_t>(p), std::bit_cast<unsigned>(value), n, s_) == 0);
  }
  // What is there when the stream's turn comes.
  void read(std::span<float> to, const void* p) const {
    REQUIRE(read_(to.data(), reinterpret_cast<uintptr_t>(p), to.size_bytes(), s_) == 0);
    wait();
  }

 protected:
  template <class F>
  void find(F& f, const char* name) const {
    f = reinterpret_cast<F>(dlsym(dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL), name));
    REQUIRE_MESSAGE(static_cast<bool>(f), name);
  }

 private:
  void* s_ = nullptr;
  int (*pop_)(void**);
  int (*destroy_)(void*);
  int (*wait_)(void*);
  int (*fill_)(unsigned long long, unsigned, size_t, void*);
  int (*read_)(void*, unsigned long long, size_t, void*);
};

}  // namespace cuda_test
