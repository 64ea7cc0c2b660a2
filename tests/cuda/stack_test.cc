// A backend that stands on cuda (tests/plugins/upon_cuda.c): what it inherits, beside cuda itself.
#include "dnn_support.h"

using namespace catena;
using cuda_test::FakeDnn;

TEST_CASE("kernels that are inherited, cuDNN's too, compute on the parent's devices") {
  {
    const Context parent("cuda");  // before its child
    check(ctn_plugin_load({UPON_CUDA, sizeof UPON_CUDA - 1}));
  }
  struct Row {
    const char* name;
    std::vector<Shape> shapes;
    cuda_test::Body body;
  };
  const Row table[] = {
      {"convolution",
       {{2, 3, 6, 6}, {4, 3, 3, 3}, {4}},
       [](auto v) { return F::convolution_2d(v[0], v[1], v[2], {.pad = 1}); }},
      {"batch normalization",
       {{2, 3, 4, 4}, {3}, {3}},
       [](auto v) { return F::batch_normalization(v[0], v[1], v[2]); }},
      {"average pooling", {{2, 3, 4, 4}}, [](auto v) { return F::average_pooling_2d(v[0], 2); }},
      {"softmax", {{4, 7}}, [](auto v) { return F::softmax(v[0]); }},
      {"product", {{4, 7}, {7, 3}}, [](auto v) { return F::matmul(v[0], v[1]); }},
  };
  const FakeDnn fake;
  for (const Row& row : table) {
    INFO(std::string(row.name));
    for (const bool tune : {false, true}) {
      const auto body = [&](std::span<const Variable> v) {
        const using_config autotune("autotune", tune);
        return row.body(v);
      };
      const int64_t before = fake.get("computed");
      const auto own = cuda_test::run("cuda", {float32}, row.shapes, body);
      const int64_t computed = fake.get("computed") - before;
      for (const char* device : {"upon_cuda", "upon_cuda:1"})
        CHECK(cuda_test::run(device, {float32}, row.shapes, body) == own);
      CHECK(fake.get("computed") == before + 3 * computed);
    }
  }
}
