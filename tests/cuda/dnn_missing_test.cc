// A cuDNN that cannot be used: devices are there, say why, and its kernels decline for that reason.
#include "dnn_support.h"

using namespace catena;
using cuda_test::has, cuda_test::kernel_log, cuda_test::values;

TEST_CASE("a cuDNN that lacks functions is told and left alone") {
  constexpr const char* kWhy = "libcudnn.so.9 has no function cudnnGetErrorString";
  const std::string log = kernel_log([] {
    const Variable x(values({1, 1, 4, 4}, float32, 1)), w(values({1, 1, 3, 3}, float32, 2));
    try {
      F::convolution_2d(x, w);
    } catch (const Error& e) {  // there may be no other kernel
      CHECK(has(e.what(), kWhy));
    }
  });
  CHECK(has(log, std::string("convolution_2d: cuda priority 100 declined: ") + kWhy));
  const Context ctx("cuda");
  CHECK(has(ctx.device_name(), std::string("False GPU, no cuDNN (") + kWhy));
}
