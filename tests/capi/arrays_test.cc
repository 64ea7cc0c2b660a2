// Arrays as a program sees them: how they are made, viewed, filled, assigned and cast, and what is
// refused. DLPack is in dlpack_test.cc, wrapped memory in wrap_test.cc.
#include <algorithm>
#include <cstring>

#include "support.h"

using namespace capi_test;

namespace {

ctn_array const kNowhere = untouched<ctn_array_s>();

Arr strided(ctn_array a, const Shape& shape, const Shape& strides, int64_t offset = 0) {
  Arr v;
  REQUIRE_OK(ctn_array_strided(a, length(shape), shape.data(), strides.data(), offset, v.out()));
  return v;
}

Arr reshaped(ctn_array a, const Shape& shape) {
  Arr v;
  REQUIRE_OK(ctn_array_reshape(a, length(shape), shape.data(), v.out()));
  return v;
}

bool same_memory(ctn_array a, ctn_array b) { return view(a).data == view(b).data; }

}  // namespace

TEST_CASE("a new array has the dtype and shape asked for, and strides in C order") {
  const Ctx ctx = context();
  const struct {
    Shape shape, strides;
  } cases[] = {{{}, {}},
               {{4}, {1}},
               {{2, 3, 4}, {12, 4, 1}},
               {{2, 0, 4}, {4, 4, 1}},
               {{0}, {1}},
               {Shape(32, 1), Shape(32, 1)}};
  for (const ctn_dtype dtype : kDtypes) {
    for (const auto& c : cases) {
      Arr a;
      REQUIRE_OK(ctn_array_new(ctx, dtype, length(c.shape), c.shape.data(), a.out()));
      const ctn_dltensor t = view(a);
      CHECK(std::memcmp(&t.dtype, &dtype, sizeof dtype) == 0);
      CHECK(t.ndim == length(c.shape));
      CHECK(shape_of(t) == c.shape);
      CHECK(strides_of(t) == c.strides);
      CHECK(t.device.type == CTN_DEV_CPU);
      CHECK(t.device.id == 0);
      CHECK(t.byte_offset == 0);
      CHECK(ctn_array_context(a) == ctx);
    }
  }
  CHECK(used(ctx) == 0);
}

TEST_CASE("bytes of every dtype go to an array and back unchanged") {
  const Ctx ctx = context();
  const Shape shape = {2, 3};
  for (const ctn_dtype dtype : kDtypes) {
    std::vector<unsigned char> bytes(6u * dtype.bits / 8), back(bytes.size());
    for (size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<unsigned char>(dtype.code == CTN_DT_BOOL ? i % 2 : 37 * i + 1);
    Arr a, b;
    REQUIRE_OK(ctn_array_from_host(ctx, dtype, 2, shape.data(), bytes.data(), a.out()));
    REQUIRE_OK(ctn_array_to_host(a, back.data(), back.size()));
    CHECK(back == bytes);
    REQUIRE_OK(ctn_array_new(ctx, dtype, 2, shape.data(), b.out()));
    REQUIRE_OK(ctn_array_set(b, bytes.data(), bytes.size()));
    CHECK(std::memcmp(view(b).data, bytes.data(), bytes.size()) == 0);
  }
}

TEST_CASE("one value fills an array of every dtype") {
  const Ctx ctx = context();
  const Shape shape = {3};
  const struct {
    ctn_value value;
    double number;
  } cases[] = {{of(3.0), 3}, {of(100), 100}, {of(true), 1}, {of(0.0), 0}};
  for (const ctn_dtype dtype : kDtypes) {
    for (const auto& c : cases) {
      const double expected = dtype.code == CTN_DT_BOOL ? c.number != 0 : c.number;
      Arr a, b;
      REQUIRE_OK(ctn_array_full(ctx, dtype, 1, shape.data(), &c.value, a.out()));
      CHECK(values<double>(a) == std::vector<double>(3, expected));
      REQUIRE_OK(ctn_array_new(ctx, dtype, 1, shape.data(), b.out()));
      REQUIRE_OK(ctn_array_fill(b, &c.value));
      CHECK(values<double>(b) == std::vector<double>(3, expected));
    }
  }
  Arr big;
  const ctn_value odd = of(int64_t{9007199254740993});  // no double
  REQUIRE_OK(ctn_array_full(ctx, kI64, 1, shape.data(), &odd, big.out()));
  CHECK(values<int64_t>(big)[2] == 9007199254740993);
}

TEST_CASE("what is no shape, dtype, value or size is refused, and nothing is made") {
  const Ctx ctx = context();
  ctn_array out = kNowhere;
  const int64_t negative[] = {2, -3}, huge[] = {int64_t{1} << 40, int64_t{1} << 40}, two[] = {2};
  const int64_t large[] = {int64_t{1} << 58};
  const int64_t many[33] = {};
  const ctn_value half = of(0.5), text = of("half");
  CHECK_FAILS(ctn_array_new(ctx, kF32, 2, negative, &out), CTN_EINVAL, "(2, -3)");
  CHECK_FAILS(ctn_array_new(ctx, kF32, 2, huge, &out), CTN_EINVAL, "too large");
  CHECK_FAILS(ctn_array_new(ctx, kF32, 33, many, &out), CTN_EINVAL, "33 dimensions");
  CHECK_FAILS(ctn_array_new(ctx, kF32, -1, two, &out), CTN_EINVAL, "-1");
  CHECK_FAILS(ctn_array_new(ctx, kF32, 1, nullptr, &out), CTN_EINVAL, "shape is NULL");
  CHECK_FAILS(ctn_array_new(ctx, kF64, 1, large, &out), CTN_ENOMEM, "out of memory");
  for (const ctn_dtype d : {ctn_dtype{CTN_DT_FLOAT, 24, 1}, ctn_dtype{CTN_DT_FLOAT, 32, 2},
                            ctn_dtype{3, 32, 1}, ctn_dtype{255, 255, 1}, ctn_dtype{}}) {
    CHECK_FAILS(ctn_array_new(ctx, d, 1, two, &out), CTN_EDTYPE, std::to_string(d.code));
    CHECK_FAILS(ctn_array_full(ctx, d, 1, two, &half, &out), CTN_EDTYPE, std::to_string(d.bits));
    CHECK_FAILS(ctn_array_from_host(ctx, d, 1, two, &half, &out), CTN_EDTYPE, "not supported");
  }
  CHECK_FAILS(ctn_array_full(ctx, kF32, 1, two, &text, &out), CTN_EINVAL, "'half'");
  CHECK_FAILS(ctn_array_full(ctx, kF32, 1, two, nullptr, &out), CTN_EINVAL, "value is NULL");
  CHECK_FAILS(ctn_array_from_host(ctx, kF32, 1, two, nullptr, &out), CTN_EINVAL, "data is NULL");
  CHECK(out == kNowhere);
  CHECK(used(ctx) == 0);

  const Arr a = array<float>(ctx, {1, 2, 3});
  float x[4] = {7, 7, 7, 7};
  CHECK_FAILS(ctn_array_set(a, x, 16), CTN_EINVAL, "float32[3] has 12 bytes");
  CHECK_FAILS(ctn_array_set(a, x, 0), CTN_EINVAL, "float32[3] has 12 bytes");
  CHECK_FAILS(ctn_array_to_host(a, x, 8), CTN_EINVAL, "the host memory 8");
  CHECK_FAILS(ctn_array_fill(a, &text), CTN_EINVAL, "'half'");
  CHECK(Floats(x, x + 4) == Floats{7, 7, 7, 7});
  CHECK(values<float>(a) == Floats{1, 2, 3});
}

TEST_CASE("empty and 0-d arrays work everywhere") {
  const Ctx ctx = context();
  const Arr empty = array<float>(ctx, {}, {0, 3}), one = array<float>(ctx, {5}, {});
  const ctn_value two = of(2);
  REQUIRE_OK(ctn_array_to_host(empty, nullptr, 0));
  REQUIRE_OK(ctn_array_set(empty, nullptr, 0));
  REQUIRE_OK(ctn_array_fill(empty, &two));
  CHECK(values<float>(strided(empty, {3, 0}, {1, 3})).empty());
  CHECK(values<float>(reshaped(empty, {-1, 3})).empty());
  CHECK(shape_of(view(reshaped(empty, {5, 0}))) == Shape{5, 0});
  CHECK(shape_of(view(reshaped(one, {1, 1}))) == Shape{1, 1});
  CHECK(values<float>(strided(one, {4}, {0})) == Floats{5, 5, 5, 5});
  REQUIRE_OK(ctn_array_fill(one, &two));
  CHECK(values<int64_t>(one) == std::vector<int64_t>{2});
  REQUIRE_OK(ctn_array_assign(empty, one));
  CHECK_FAILS(ctn_array_assign(one, empty), CTN_ESHAPE, "float32[0,3]");
}

TEST_CASE("views share memory: strides may be zero, negative or crossed") {
  const Ctx ctx = context();
  const Arr a = array<float>(ctx, {0, 1, 2, 3, 4, 5}, {2, 3});
  const Arr turned = strided(a, {3, 2}, {1, 3}), back = strided(a, {6}, {-1}, 5);
  const Arr rows = strided(a, {3, 3}, {0, 1}, 3), inner = strided(back, {2}, {-1}, -2);
  CHECK(values<float>(turned) == Floats{0, 3, 1, 4, 2, 5});
  CHECK(values<float>(back) == Floats{5, 4, 3, 2, 1, 0});
  CHECK(values<float>(rows) == Floats{3, 4, 5, 3, 4, 5, 3, 4, 5});
  CHECK(values<float>(inner) == Floats{3, 2});
  CHECK(same_memory(turned, a));
  CHECK(view(back).data == static_cast<float*>(view(a).data) + 5);
  CHECK(strides_of(view(back)) == Shape{-1});

  const float in_turn[] = {10, 20, 30, 40, 50, 60};
  REQUIRE_OK(ctn_array_set(turned, in_turn, sizeof in_turn));
  CHECK(values<float>(a) == Floats{10, 30, 50, 20, 40, 60});
  const ctn_value nine = of(9);
  REQUIRE_OK(ctn_array_fill(inner, &nine));
  CHECK(values<float>(a) == Floats{10, 30, 9, 9, 40, 60});
}

TEST_CASE("a view stays inside the storage, not the array it was made from") {
  const Ctx ctx = context();
  const Arr a = array<float>(ctx, {0, 1, 2, 3, 4, 5});
  const Arr middle = strided(a, {2}, {1}, 2);
  CHECK(values<float>(strided(middle, {6}, {1}, -2)) == Floats{0, 1, 2, 3, 4, 5});
  const int64_t two[] = {2}, seven[] = {7}, step[] = {1}, far[] = {6}, back[] = {-1};
  const int64_t wide[] = {int64_t{1} << 62}, negative[] = {-2};
  ctn_array out = kNowhere;
  CHECK_FAILS(ctn_array_strided(a, 1, seven, step, 0, &out), CTN_EINVAL,
              "view (7,) with strides (1,) and offset 0 leaves the memory of float32[6]");
  CHECK_FAILS(ctn_array_strided(a, 1, two, far, 0, &out), CTN_EINVAL, "strides (6,)");
  CHECK_FAILS(ctn_array_strided(a, 1, two, back, 0, &out), CTN_EINVAL, "strides (-1,)");
  CHECK_FAILS(ctn_array_strided(middle, 1, two, step, -3, &out), CTN_EINVAL, "offset -3");
  CHECK_FAILS(ctn_array_strided(middle, 1, two, step, 3, &out), CTN_EINVAL, "offset 3");
  CHECK_FAILS(ctn_array_strided(a, 1, two, step, INT64_MAX, &out), CTN_EINVAL, "64 bits");
  CHECK_FAILS(ctn_array_strided(a, 1, seven, wide, 0, &out), CTN_EINVAL, "64 bits");
  CHECK_FAILS(ctn_array_strided(a, 1, negative, step, 0, &out), CTN_EINVAL, "(-2,)");
  CHECK_FAILS(ctn_array_strided(a, 1, two, nullptr, 0, &out), CTN_EINVAL, "strides is NULL");
  CHECK_FAILS(ctn_array_strided(a, -1, two, step, 0, &out), CTN_EINVAL, "-1");
  CHECK_FAILS(ctn_array_strided(a, 33, two, step, 0, &out), CTN_EINVAL, "33 dimensions");
  CHECK(out == kNowhere);
}

TEST_CASE("a view keeps the memory after the array and the context are released") {
  Ctx ctx = context();
  Arr a = array<float>(ctx, Floats(5000, 3));
  const Arr last = strided(a, {2}, {1}, 4998), again = reshaped(last, {2, 1});
  a = Arr();
  ctx = Ctx();
  CHECK(values<float>(again) == Floats{3, 3});
}

TEST_CASE("reshape gives a view where strides can say it, else a copy") {
  const Ctx ctx = context();
  const Arr a = array<float>(ctx, {0, 1, 2, 3, 4, 5}, {2, 3});
  for (const Shape& shape : {Shape{6}, Shape{3, 2}, Shape{-1}, Shape{3, -1}, Shape{1, 6, 1}}) {
    const Arr b = reshaped(a, shape);
    CHECK(same_memory(a, b));
    CHECK(values<float>(b) == Floats{0, 1, 2, 3, 4, 5});
  }
  CHECK(shape_of(view(reshaped(a, {3, -1}))) == Shape{3, 2});
  const Arr turned = strided(a, {3, 2}, {1, 3});
  const Arr flat = reshaped(turned, {6});
  CHECK(values<float>(flat) == Floats{0, 3, 1, 4, 2, 5});
  CHECK(!same_memory(flat, turned));
  const Arr split = reshaped(turned, {3, 1, 2, 1});
  CHECK(same_memory(split, turned));
  CHECK(values<float>(split) == Floats{0, 3, 1, 4, 2, 5});
  const Arr evens = strided(a, {3}, {2}), square = reshaped(evens, {1, 3});
  CHECK(same_memory(evens, square));
  CHECK(values<float>(square) == Floats{0, 2, 4});
  const Arr wide = array<float>(ctx, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, {3, 4});
  const Arr left = strided(wide, {2, 2, 2}, {4, 2, 1}), joined = reshaped(left, {2, 4});
  CHECK(same_memory(left, joined));
  CHECK(values<float>(joined) == Floats{0, 1, 2, 3, 4, 5, 6, 7});
  const Arr part = strided(wide, {3, 2}, {4, 1}), line = reshaped(part, {6});
  CHECK(!same_memory(part, line));
  CHECK(values<float>(line) == Floats{0, 1, 4, 5, 8, 9});
  const Arr columns = reshaped(part, {3, 2, 1});
  CHECK(same_memory(part, columns));
  CHECK(values<float>(columns) == Floats{0, 1, 4, 5, 8, 9});
}

TEST_CASE("a shape of other size, or with two unknown entries, is refused") {
  const Ctx ctx = context();
  const Arr a = array<float>(ctx, {0, 1, 2, 3, 4, 5}, {2, 3}), none = array<float>(ctx, {}, {0});
  ctn_array out = kNowhere;
  const auto refuse = [&](ctn_array from, const Shape& shape, ctn_status code, const char* text) {
    CHECK_FAILS(ctn_array_reshape(from, length(shape), shape.data(), &out), code, text);
  };
  refuse(a, {5}, CTN_ESHAPE, "cannot reshape float32[2,3] to (5,)");
  refuse(a, {4, -1}, CTN_ESHAPE, "(4, -1)");
  refuse(a, {0, -1}, CTN_ESHAPE, "(0, -1)");
  refuse(none, {0, -1}, CTN_ESHAPE, "(0, -1)");
  refuse(a, {-1, -1}, CTN_EINVAL, "(-1, -1)");
  refuse(a, {-2, -3}, CTN_EINVAL, "(-2, -3)");
  refuse(a, {}, CTN_ESHAPE, "()");
  refuse(a, {INT64_MAX, INT64_MAX}, CTN_EINVAL, "9223372036854775807");
  refuse(a, Shape(33, 1), CTN_EINVAL, "33 dimensions");
  CHECK_FAILS(ctn_array_reshape(a, -1, nullptr, &out), CTN_EINVAL, "-1");
  CHECK_FAILS(ctn_array_reshape(a, 1, nullptr, &out), CTN_EINVAL, "shape is NULL");
  CHECK(out == kNowhere);
}

TEST_CASE("copies are in C order, of any dtype, and share nothing") {
  const Ctx ctx = context();
  const Arr a = array<float>(ctx, {0, 1, -2, 3.75f, 4, 5}, {2, 3});
  const Arr turned = strided(a, {3, 2}, {1, 3});
  Arr same, ints, half;
  REQUIRE_OK(ctn_array_copy(turned, {}, same.out()));
  CHECK(strides_of(view(same)) == Shape{2, 1});
  CHECK(values<float>(same) == Floats{0, 3.75f, 1, 4, -2, 5});
  CHECK(!same_memory(same, turned));
  REQUIRE_OK(ctn_array_copy(a, kDtypes[CTN_INT8], ints.out()));
  CHECK(values<int64_t>(ints) == std::vector<int64_t>{0, 1, -2, 3, 4, 5});
  REQUIRE_OK(ctn_array_copy(a, kDtypes[CTN_BFLOAT16], half.out()));
  CHECK(values<float>(half) == Floats{0, 1, -2, 3.75f, 4, 5});
  ctn_array out = kNowhere;
  CHECK_FAILS(ctn_array_copy(a, {CTN_DT_FLOAT, 8, 1}, &out), CTN_EDTYPE, "8 bits");
  CHECK(out == kNowhere);
}

TEST_CASE("assign casts and broadcasts to the destination") {
  const Ctx ctx = context();
  const Arr dst = array<float>(ctx, Floats(6, -1), {2, 3});
  REQUIRE_OK(ctn_array_assign(dst, array<int64_t>(ctx, {1, 2, 3})));
  CHECK(values<float>(dst) == Floats{1, 2, 3, 1, 2, 3});
  REQUIRE_OK(ctn_array_assign(dst, array<double>(ctx, {0.5, 7}, {2, 1})));
  CHECK(values<float>(dst) == Floats{0.5f, 0.5f, 0.5f, 7, 7, 7});
  REQUIRE_OK(ctn_array_assign(strided(dst, {3}, {1}, 3), array<float>(ctx, {9}, {})));
  CHECK(values<float>(dst) == Floats{0.5f, 0.5f, 0.5f, 9, 9, 9});
  const Arr bools = array<uint8_t>(ctx, {0, 0, 0});
  Arr truth;
  REQUIRE_OK(ctn_array_copy(bools, kDtypes[CTN_BOOL8], truth.out()));
  REQUIRE_OK(ctn_array_assign(truth, array<float>(ctx, {0.25f, 0, -3})));
  CHECK(values<int32_t>(truth) == std::vector<int32_t>{1, 0, 1});
}

TEST_CASE("assign reads the source before it is overwritten") {
  const Ctx ctx = context();
  for (const int64_t n : {int64_t{7}, int64_t{3000}}) {
    Floats count(static_cast<size_t>(n)), later(count), earlier(count), turned(count);
    for (size_t i = 0; i < count.size(); ++i) {
      count[i] = static_cast<float>(i);
      later[i] = i ? static_cast<float>(i - 1) : 0;
      earlier[i] = static_cast<float>(std::min(i + 1, count.size() - 1));
      turned[i] = static_cast<float>(count.size() - 1 - i);
    }
    const auto assigned = [&](const Shape& step, int64_t to, int64_t from) {
      const Arr a = array(ctx, count);
      const Shape most = {to == from ? n : n - 1};
      REQUIRE_OK(ctn_array_assign(strided(a, most, {1}, to),
                                  strided(a, most, step, step[0] < 0 ? n - 1 : from)));
      return values<float>(a);
    };
    CHECK(assigned({1}, 1, 0) == later);
    CHECK(assigned({1}, 0, 1) == earlier);
    CHECK(assigned({-1}, 0, 0) == turned);
  }
  const Arr square = array<float>(ctx, {0, 1, 2, 3}, {2, 2});
  REQUIRE_OK(ctn_array_assign(square, strided(square, {2, 2}, {1, 2})));
  CHECK(values<float>(square) == Floats{0, 2, 1, 3});
  REQUIRE_OK(ctn_array_assign(square, square));
  CHECK(values<float>(square) == Floats{0, 2, 1, 3});
  float memory[4] = {1, 2, 3, 4};  // two storages over the same bytes
  int64_t three[] = {3};
  ctn_dltensor t{memory, {CTN_DEV_CPU, 0}, 1, kF32, three, nullptr, 0};
  Arr first, second;
  REQUIRE_OK(ctn_array_wrap(ctx, &t, nullptr, nullptr, first.out()));
  t.data = memory + 1;
  REQUIRE_OK(ctn_array_wrap(ctx, &t, nullptr, nullptr, second.out()));
  REQUIRE_OK(ctn_array_assign(second, first));
  CHECK(Floats(memory, memory + 4) == Floats{1, 1, 2, 3});
}

TEST_CASE("assign refuses shapes that do not broadcast to the destination, and strangers") {
  const Ctx ctx = context(), other = context();
  const Arr dst = array<float>(ctx, {1, 2, 3});
  CHECK_FAILS(ctn_array_assign(dst, array<float>(ctx, {5, 6})), CTN_ESHAPE,
              "cannot assign float32[2] to float32[3]");
  CHECK_FAILS(ctn_array_assign(dst, array<float>(ctx, {5, 6, 7}, {1, 3})), CTN_ESHAPE,
              "float32[1,3]");
  CHECK_FAILS(ctn_array_assign(dst, array<float>(other, {5, 6, 7})), CTN_EINVAL, "context");
  CHECK_FAILS(ctn_array_assign(dst, nullptr), CTN_EINVAL, "NULL");
  CHECK_FAILS(ctn_array_assign(nullptr, dst), CTN_EINVAL, "NULL");
  CHECK(values<float>(dst) == Floats{1, 2, 3});
}

TEST_CASE("an array that is on the device already is itself there") {
  const Ctx ctx = context();
  const Arr a = array<float>(ctx, {1});
  Arr b;
  REQUIRE_OK(ctn_array_to_device(a, {CTN_DEV_CPU, 0}, b.out()));
  CHECK(static_cast<ctn_array>(a) == static_cast<ctn_array>(b));
  ctn_array out = kNowhere;
  CHECK_FAILS(ctn_array_to_device(a, {CTN_DEV_CPU, 3}, &out), CTN_EDEVICE, "cpu:3");
  CHECK_FAILS(ctn_array_to_device(a, {CTN_DEV_CUDA, 0}, &out), CTN_EDEVICE, "type 2");
  const int64_t shape[] = {2, 3};
  Arr made;
  REQUIRE_OK(ctn_array_new_on(ctx, {CTN_DEV_CPU, 0}, kF32, 2, shape, made.out()));
  CHECK(shape_of(view(made)) == Shape{2, 3});
  CHECK_FAILS(ctn_array_new_on(ctx, {CTN_DEV_CUDA, 0}, kF32, 2, shape, &out), CTN_EDEVICE,
              "type 2");
  CHECK(out == kNowhere);
}
