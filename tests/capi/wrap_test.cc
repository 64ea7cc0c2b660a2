// Host memory used without copying: strides and offsets, who frees it and when, what is refused.
#include <atomic>
#include <thread>

#include "support.h"

using namespace capi_test;

namespace {

void count_drop(void* user) { ++*static_cast<std::atomic<int>*>(user); }

struct Wrapped {
  std::atomic<int> drops{0};
  ctn_status status = CTN_OK;
  Arr array;

  Wrapped(ctn_context ctx, const ctn_dltensor& t) {
    status = ctn_array_wrap(ctx, &t, count_drop, &drops, array.out());
  }
};

ctn_dltensor tensor(void* data, Shape& shape, int64_t* strides = nullptr, ctn_dtype dtype = kF32) {
  return {data, {CTN_DEV_CPU, 0}, length(shape), dtype, shape.data(), strides, 0};
}

}  // namespace

TEST_CASE("wrapped memory is the array's memory, in both directions") {
  const Ctx ctx = context();
  float memory[6] = {0, 1, 2, 3, 4, 5};
  Shape shape = {2, 3};
  Wrapped w(ctx, tensor(memory, shape));
  REQUIRE(w.status == CTN_OK);
  shape = {7, 7};  // the view was copied
  CHECK(view(w.array).data == memory);
  CHECK(shape_of(view(w.array)) == Shape{2, 3});
  CHECK(strides_of(view(w.array)) == Shape{3, 1});
  memory[4] = 40;
  CHECK(values<float>(w.array) == Floats{0, 1, 2, 3, 40, 5});
  const ctn_value seven = of(7);
  REQUIRE_OK(ctn_array_fill(w.array, &seven));
  CHECK(memory[0] == 7);
  CHECK(memory[5] == 7);
}

TEST_CASE("strides and the byte offset of wrapped memory count, negative ones too") {
  const Ctx ctx = context();
  double memory[6] = {0, 1, 2, 3, 4, 5};
  Shape shape = {3, 2};
  int64_t turned[] = {-1, -3};
  ctn_dltensor t = tensor(memory, shape, turned, kF64);
  t.byte_offset = 5 * sizeof(double);
  Wrapped w(ctx, t);
  REQUIRE(w.status == CTN_OK);
  CHECK(values<double>(w.array) == std::vector<double>{5, 2, 4, 1, 3, 0});
  Arr all;
  const int64_t six[] = {6}, step[] = {1};
  REQUIRE_OK(ctn_array_strided(w.array, 1, six, step, -5, all.out()));
  CHECK(view(all).data == memory);
  ctn_array out = untouched<ctn_array_s>();
  CHECK_FAILS(ctn_array_strided(w.array, 1, six, step, -6, &out), CTN_EINVAL, "leaves the memory");
  CHECK_FAILS(ctn_array_strided(w.array, 1, six, step, -4, &out), CTN_EINVAL, "leaves the memory");
}

TEST_CASE("the memory is given back once, with the last array over it") {
  const Ctx ctx = context();
  float memory[4] = {1, 2, 3, 4};
  Shape shape = {4}, half = {2, 2};
  Wrapped w(ctx, tensor(memory, shape));
  REQUIRE(w.status == CTN_OK);
  Arr part, copy;
  REQUIRE_OK(ctn_array_reshape(w.array, 2, half.data(), part.out()));
  REQUIRE_OK(ctn_array_copy(part, {}, copy.out()));
  Var v = variable(part);
  w.array = Arr();
  part = Arr();
  CHECK(w.drops == 0);
  CHECK(values(v) == Floats{1, 2, 3, 4});
  std::thread([&] { v = Var(); }).join();
  CHECK(w.drops == 1);
  copy = Arr();
  CHECK(w.drops == 1);
  CHECK(used(ctx) == 0);
}

TEST_CASE("wrapped memory outlives the context's handle") {
  float memory[2] = {1, 2};
  Shape shape = {2};
  Ctx ctx = context();
  Wrapped w(ctx, tensor(memory, shape));
  ctx = Ctx();
  CHECK(w.drops == 0);
  CHECK(values<float>(w.array) == Floats{1, 2});
  w.array = Arr();
  CHECK(w.drops == 1);
}

TEST_CASE("empty memory may be NULL, and drop may be") {
  const Ctx ctx = context();
  Shape shape = {0, 4};
  Wrapped w(ctx, tensor(nullptr, shape));
  REQUIRE(w.status == CTN_OK);
  CHECK(shape_of(view(w.array)) == shape);
  w.array = Arr();
  CHECK(w.drops == 1);
  float one = 1;
  Shape scalar;
  const ctn_dltensor t = tensor(&one, scalar);
  Arr a;
  REQUIRE_OK(ctn_array_wrap(ctx, &t, nullptr, nullptr, a.out()));
  CHECK(values<float>(a) == Floats{1});
}

TEST_CASE("a refused view is not taken: its memory is never dropped, and nothing is left") {
  const Ctx ctx = context();
  float memory[4] = {};
  Shape shape = {2, 2}, negative = {-2, 2}, many(33, 1), big = {int64_t{1} << 62, 4}, pair = {2, 2};
  int64_t far[] = {INT64_MAX, 1}, apart[] = {int64_t{1} << 62, -(int64_t{1} << 62)};
  int64_t wide[] = {int64_t{1} << 61, 1};
  const auto refused = [&](ctn_dltensor t, ctn_status code, const char* text) {
    std::atomic<int> drops{0};
    ctn_array out = untouched<ctn_array_s>();
    CHECK_FAILS(ctn_array_wrap(ctx, &t, count_drop, &drops, &out), code, text);
    CHECK(drops == 0);
    CHECK(out == untouched<ctn_array_s>());
    CHECK(used(ctx) == 0);
  };
  refused(tensor(nullptr, shape), CTN_EINVAL, "data is NULL");
  refused(tensor(memory, negative), CTN_EINVAL, "(-2, 2)");
  refused(tensor(memory, many), CTN_EINVAL, "33 dimensions");
  refused(tensor(memory, big), CTN_EINVAL, "too large");
  refused(tensor(memory, shape, far), CTN_EINVAL, "64 bits");
  refused(tensor(memory, pair, apart), CTN_EINVAL, "64 bits");
  refused(tensor(memory, pair, wide), CTN_EINVAL, "64 bits");
  refused(tensor(memory, shape, nullptr, {CTN_DT_FLOAT, 32, 4}), CTN_EDTYPE, "4 lanes");
  refused(tensor(memory, shape, nullptr, {5, 64, 1}), CTN_EDTYPE, "code 5");
  refused(tensor(reinterpret_cast<char*>(memory) + 1, shape), CTN_EINVAL, "aligned");
  ctn_dltensor t = tensor(memory, shape);
  t.byte_offset = 2;
  refused(t, CTN_EINVAL, "aligned");
  t = tensor(memory, shape);
  t.ndim = -1;
  refused(t, CTN_EINVAL, "-1");
  t.ndim = 2;
  t.shape = nullptr;
  refused(t, CTN_EINVAL, "shape is NULL");
  t = tensor(memory, shape);
  t.device = {CTN_DEV_CUDA, 0};
  refused(t, CTN_EINVAL, "device type 2");
  t.device = {CTN_DEV_CPU, 1};
  refused(t, CTN_EINVAL, "id 1");

  std::atomic<int> drops{0};
  ctn_array out = untouched<ctn_array_s>();
  t = tensor(memory, shape);
  CHECK_FAILS(ctn_array_wrap(ctx, nullptr, count_drop, &drops, &out), CTN_EINVAL, "view is NULL");
  CHECK_FAILS(ctn_array_wrap(nullptr, &t, count_drop, &drops, &out), CTN_EINVAL, "context");
  CHECK_FAILS(ctn_array_wrap(ctx, &t, count_drop, &drops, nullptr), CTN_EINVAL, "out is NULL");
  CHECK(drops == 0);
  CHECK(out == untouched<ctn_array_s>());
}
