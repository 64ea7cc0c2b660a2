// What a user is told where CUDA cannot be used: by name an error with the reason, by "auto" the
// next backend and a line in the log.
#include <catena/catena.hpp>

#include "main.h"

using namespace catena;

TEST_CASE("the reason is in the error of naming it, and in the log of auto") {
  const auto failing = [] { const Context ctx("cuda"); };
  CHECK_THROWS_WITH_AS(failing(),
                       doctest::Contains("backend 'cuda' has 0 devices (libcuda.so.1 has "
                                         "no function cuGetErrorName"),
                       DeviceError);
  std::string log;
  ctn_context_options o{};
  o.size = sizeof o;
  o.device = detail::str("auto");
  o.log_level = CTN_LOG_WARN;
  o.log_user = &log;
  o.log = [](void* user, int32_t, ctn_str, ctn_str text) {
    static_cast<std::string*>(user)->append(text.p, text.n);
  };
  ctn_context ctx = nullptr;
  check(ctn_context_create(&o, &ctx));
  ctn_str backend{};
  check(ctn_context_device(ctx, nullptr, &backend));
  CHECK(std::string(backend.p, backend.n) != "cuda");
  CHECK(log.find("libcuda.so.1 has no function cuGetErrorName: the driver is older than CUDA") !=
        std::string::npos);
  ctn_context_release(ctx);
}
