// The least backend: expressions run on it through the plain executor, primitives say that they
// have no kernel, and naming a backend that is not there is an error.
#include <catena/catena.hpp>

#include "main.h"

using namespace catena;

TEST_CASE("expressions, reductions and their gradients run on a backend of four functions") {
  check(ctn_plugin_load(detail::str(NULL_PLUGIN)));
  const Context ctx("null");
  CHECK(ctx.backend() == "null");
  const Variable x(Array::from<float>({-1, 2, 3, -4}, {2, 2}));
  const Variable y = F::sum(F::square(F::relu(x)), {.axis = 1});
  CHECK(y.array().to_vector<float>() == std::vector<float>{4, 9});
  F::sum(y).backward();
  CHECK(x.grad().array().to_vector<float>() == std::vector<float>{0, 4, 6, 0});
}

TEST_CASE("a primitive without a kernel names the op, the backend and the inputs") {
  check(ctn_plugin_load(detail::str(NULL_PLUGIN)));
  const Context ctx("null:1");
  const Variable x(Array::from<float>({1, 2}, {1, 2}));
  CHECK_THROWS_WITH_AS(F::softmax(x),
                       "[softmax] no kernel on backend 'null' for inputs (float32[1,2]): "
                       "none is registered",
                       Unsupported);
}

TEST_CASE("a named device is required") {
  check(ctn_plugin_load(detail::str(NULL_PLUGIN)));
  CHECK_THROWS_AS(Context("null:2"), DeviceError);
  CHECK_THROWS_AS(Context("nowhere"), NotFound);
}

TEST_CASE("arrays move between devices of one context") {
  check(ctn_plugin_load(detail::str(NULL_PLUGIN)));
  const Context ctx("cpu");
  ctn_device null_device{};
  check(ctn_device_find(ctx.get(), detail::str("null"), &null_device));
  const Array a = Array::of<float>({1, 2, 3});
  ctn_array there = nullptr;
  check(ctn_array_to_device(a.get(), null_device, &there));
  const Array b(there);
  CHECK(b.view().device.type == null_device.type);
  CHECK(b.to_vector<float>() == std::vector<float>{1, 2, 3});
  const Variable x(a), y(b);
  CHECK_THROWS_AS(x + y, InvalidArgument);
}
