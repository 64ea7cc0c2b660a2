// Opening cuDNN: the false one, one that lacks functions, none; and that the real one, where it is
// installed, has all that is asked of it.
#include <cuda/dnn.h>
#include <cuda/library.h>

#include <dlfcn.h>

#include "main.h"

using namespace catena::cuda;

namespace {

constexpr const char* kNames[] = {
#define NAME(name) #name,
    CATENA_CUDA_DNN(NAME)
#undef NAME
};

bool has(const std::string& text, const char* part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("a library that has all functions is used") {
  const Dnn d = load_dnn({"libcudnn.so.9"});
  CHECK(d.why == "");
  CHECK(static_cast<bool>(d.cudnnConvolutionForward));
}

TEST_CASE("without the library there is a reason") {
  const Dnn d = load_dnn({"libno-such-cudnn.so.9", "libno-such-cudnn.so"});
  CHECK(has(d.why, "libno-such-cudnn.so"));
  CHECK(has(d.why, "cuDNN is a package of its own"));
}

TEST_CASE("a library that lacks a function is refused by its name") {
  const Dnn d = load_dnn({LACKING});
  CHECK(has(d.why, " has no function cudnnGetErrorString: it is not cuDNN 9"));
}

TEST_CASE("the real library has every function that is looked up") {
  void* real = nullptr;
  for (const char* directory :
       {"", "/usr/local/cuda/lib64/", "/usr/local/cuda/lib/", "/usr/lib/x86_64-linux-gnu/"}) {
    void* found = dlopen((std::string(directory) + "libcudnn.so.9").c_str(), RTLD_NOW | RTLD_LOCAL);
    if (found && !dlsym(found, "fake_cudnn_get")) real = found;
  }
  if (!real) return catena_test::skip("cuDNN 9 is not installed");
  for (const char* name : kNames) {
    CAPTURE(name);
    CHECK(dlsym(real, name) != nullptr);
  }
}
