// The profile hook on a false NVTX, and memoized functions on two false GPUs.
#include <catena/catena.hpp>

#include <catena/cpp/memoize.hpp>
#include <catena/cpp/profile_hook.hpp>

#include <dlfcn.h>

#include "main.h"

using namespace catena;

namespace {

std::string seen() {
  void* const library = dlopen("libnvToolsExt.so.1", RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  const auto tell = reinterpret_cast<const char* (*)()>(dlsym(library, "fake_nvtx_seen"));
  REQUIRE(static_cast<bool>(tell));
  return tell();
}

}  // namespace

TEST_CASE("ops are ranges by their names, those that fail too") {
  const Context ctx("cuda");
  const Variable x(Array::full({4}, 2));
  {
    const CUDAProfileHook hook;
    F::sum(F::square(x)).backward();
    CHECK(seen() == "square()sum()sum backward()square backward()");
    CHECK_THROWS_AS(F::reshape(x, {3}), Error);
    F::relu(x);
    const std::string text = seen();
    CHECK(text.find("relu()") != std::string::npos);
  }
  const std::string rest = seen();  // what was open is closed
  CHECK(rest.find('(') == std::string::npos);
  F::relu(x);
  CHECK(seen().empty());
}

TEST_CASE("memoized functions are asked once for their arguments, or once for each device") {
  int asked = 0;
  const memoize<std::string(int, std::string)> common([&](int n, const std::string& s) {
    ++asked;
    return s + std::to_string(n);
  });
  const memoize<int(int)> each([&](int n) { return ++asked + n; }, true);
  const Context first("cuda:0");
  CHECK(common(1, "a") == "a1");
  CHECK(common(1, "a") == "a1");
  CHECK(common(2, "a") == "a2");
  CHECK(asked == 2);
  CHECK(each(10) == 13);
  CHECK(each(10) == 13);
  {
    const Context second("cuda:1");
    CHECK(each(10) == 14);
    CHECK(common(1, "a") == "a1");
  }
  CHECK(each(10) == 13);
  CHECK(asked == 4);
  clear_memo();
  CHECK(each(10) == 15);
  CHECK(common(2, "a") == "a2");
  CHECK(asked == 6);
}
