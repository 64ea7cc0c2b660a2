// The false cuDNN's counters and controls (fake/cudnn.h).
#pragma once

#include <dlfcn.h>

#include "compare.h"

namespace cuda_test {

struct FakeDnn {
  void (*set)(const char*, int64_t);
  int64_t (*get)(const char*);

  FakeDnn() {
    void* library = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    set = reinterpret_cast<decltype(set)>(dlsym(library, "fake_cudnn_set"));
    get = reinterpret_cast<decltype(get)>(dlsym(library, "fake_cudnn_get"));
    REQUIRE(static_cast<bool>(set));
  }

  // body() is computed by cuDNN, n times or at all, and none of its calls is refused.
  template <class Body>
  void computes(Body&& body, int64_t n = -1) const {
    const int64_t before = get("computed"), refused = get("refused");
    body();
    CHECK(get("refused") == refused);
    if (n >= 0)
      CHECK(get("computed") - before == n);
    else
      CHECK(get("computed") > before);
  }
};

// What the log says of kernels while body() runs on the false GPU.
template <class Body>
std::string kernel_log(Body&& body) {
  std::string log;
  std::function<void(int, std::string_view, std::string_view)> hook =
      [&log](int, std::string_view topic, std::string_view text) {
        if (topic == "kernel") log.append(text).append("\n");
      };
  const Context ctx(ContextOptions{.device = "cuda", .log = &hook, .log_level = CTN_LOG_DEBUG});
  body();
  return log;
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace cuda_test
