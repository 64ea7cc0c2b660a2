// The language: what texts mean, how types meet, what is simplified and what must not be.
#include <main.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "expr_support.h"

using namespace catena_test;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
const double kNan = std::numeric_limits<double>::quiet_NaN();

bool same(double a, double b) { return (std::isnan(a) && std::isnan(b)) || a == b; }

}  // namespace

TEST_CASE("expr: expressions give the value C gives") {
  struct Example {
    const char* map;
    double x, y;
  };
  const Example examples[] = {
      {"y = x * x + 1", 3, 10},
      {"y = 2 + 3 * 4", 0, 14},
      {"y = (2 + 3) * 4", 0, 20},
      {"y = 10 - 4 - 3", 0, 3},
      {"y = -x * x", 3, -9},
      {"y = - -x", 3, 3},
      {"y = +x", 3, 3},
      {"y = x > 2 ? 1 : 0", 3, 1},
      {"y = x > 2 ? 1 : x > 1 ? 2 : 3", 1.5, 2},
      {"y = 1 < 2 && x != 3", 3, 0},
      {"y = !(x < 2) || false", 3, 1},
      {"y = !x", 0, 1},
      {"y = 7 / 2", 0, 3},
      {"y = -7 / 2", 0, -3},
      {"y = -7 % 2", 0, -1},
      {"y = 7 / 2.0", 0, 3.5},
      {"y = 7.0 % 4", 0, 3},
      {"y = x % 4", -7, -3},
      {"y = floormod(x, 4)", -7, 1},
      {"y = floordiv(x, 4)", -7, -2},
      {"y = fmod(x, 4)", -7, -3},
      {"y = 1 << 4 | 3 & 2 ^ 8", 0, 26},
      {"y = ~5", 0, -6},
      {"y = ~5 & 0xff", 0, 250},
      {"y = 256 >> 4", 0, 16},
      {"y = (int)x", -2.9, -2},
      {"y = (int8_t)300", 0, 44},
      {"y = int8(x)", 300, 127},
      {"y = (unsigned char)x", -5, 0},
      {"y = (uint8)-5", 0, 251},
      {"y = (unsigned long long)5 - 6 > 0", 0, 1},
      {"y = (T)2.5 + T(x)", 1, 3.5},
      {"y = (long long)x / 2", 7, 3},
      {"y = 1e3 + .5 + 2.f + 1.5e-1", 0, 1002.65},
      {"y = 0x10 + 10u + 1L", 0, 27},
      {"y = pi", 0, std::numbers::pi},
      {"y = inf", 0, kInf},
      {"y = -INFINITY", 0, -kInf},
      {"y = nan", 0, std::numeric_limits<double>::quiet_NaN()},
      {"y = true + true", 0, 2},
      {"y = min(x, 2, 1)", 3, 1},
      {"y = max(x, 2, 1)", 3, 3},
      {"y = max(x, nan)", 3, std::numeric_limits<double>::quiet_NaN()},
      {"y = pow(2, x)", 10, 1024},
      {"y = pow(2, -1)", 0, 0},
      {"y = pow(2, -1.0)", 0, 0.5},
      {"y = where(x > 0, x, -x)", -4, 4},
      {"y = select(x > 0, 1, 2.5)", -4, 2.5},
      {"y = abs(x) + fabs(-1) + sign(x)", -4, 4},
      {"y = atan2(x, 1)", 1, std::numbers::pi / 4},
      {"y = fix(x) + rint(2.5) + floor(x) + ceil(x)", -1.5, -2},
      {"y = isnan(x) + isinf(x) + isfinite(x)", 1, 1},
      {"y = sqrt(16)", 0, 4},
      {"y = (x > 0 ? 1.5 : 2) * x", 2, 3},
      {"y = (x > 0 ? 7 : 9) / 2", 2, 3},
      {"y = (x > 0 ? 7 : 9) / 2.0 + x", 2, 5.5},
      {"y = sqrt(x > 0 ? 4 : 9)", -1, 3},
      {"y = -(x > 0 ? 4 : 9) + x", -1, -10},
  };
  for (const Example& e : examples) {
    CAPTURE(e.map);
    CHECK_MESSAGE(same(run_one(e.map, e.x), e.y), "got ", run_one(e.map, e.x));
  }
}

TEST_CASE("expr: statements") {
  CHECK(run_one("T t = x * x; T u = t + 1, v = 2; y = t * u / v", 3) == 45);
  CHECK(run_one("const auto t = x * x; y = t", 3) == 9);
  CHECK(run_one("y = x; y += 2; y *= 3; y -= 1; y /= 2;", 3) == 7);
  CHECK(run_one("int k = (int)x; k <<= 3; k |= 1; k ^= 3; k &= 0xfe; k %= 100; k >>= 1; y = k",
                3) == 13);
  CHECK(run_one("if (x > 0) y = 1; else y = 2;", 3) == 1);
  CHECK(run_one("if (x > 0) y = 1; else y = 2;", -3) == 2);
  CHECK(run_one("y = 0; if (x > 0) { T t = x; y = t; if (t > 1) y += 10; }", 3) == 13);
  CHECK(run_one("y = 0; if (x > 0) { T t = x; y = t; if (t > 1) y += 10; }", 0.5) == 0.5);
  CHECK(run_one("y = 0; if (x > 0) { T t = x; y = t; if (t > 1) y += 10; }", -1) == 0);
  CHECK(run_one("if (x < 0) y = 1; else if (x < 1) y = 2; else { y = 3; }", 0.5) == 2);
  CHECK(run_one("T t; if (x) t = 1; else t = 2; { T u = t; y = u; } { T u = 5; y += u; }", 0) == 7);
  CHECK(run_one("// a comment\ny = /* of either kind */ x", 3) == 3);
  CHECK(run_one(";;y = x;;", 3) == 3);
}

TEST_CASE("expr: several inputs and outputs, scalars, index, size, raw arrays") {
  const auto swap = row_of(Texts{.in = "T x, T y", .out = "T u, T v", .map = "u = y; v = x + u"});
  const auto out = run_row(*swap, {Array(CTN_FLOAT32, {1, 2}), Array(CTN_FLOAT32, {10, 20})});
  CHECK(out[0].values() == std::vector<double>{10, 20});
  CHECK(out[1].values() == std::vector<double>{11, 22});

  const auto scaled = row_of(Texts{.scalars = "_ s, int64 k", .map = "y = x * s + k"});
  CHECK(run_row(*scaled, {Array(CTN_FLOAT32, {1, 2})}, {0.5, 3})[0].values() ==
        std::vector<double>{3.5, 4});
  CHECK(contains(dump(*scaled, {CTN_FLOAT16, CTN_FLOAT16}), "scalars: float32, int64"));
  CHECK(contains(dump(*scaled, {CTN_FLOAT64, CTN_FLOAT64}), "scalars: float64, int64"));
  CHECK(contains(dump(*scaled, {CTN_INT32, CTN_INT32}), "scalars: float64, int64"));
  const uint8_t dtypes[] = {CTN_INT32, CTN_INT32}, types[] = {CTN_INT64, kInfer};
  CHECK(contains(to_string(scaled->specialize(dtypes, types)->c()), "scalars: int64, int64"));

  const auto reversed = row_of(Texts{.in = "raw T x, int32 k", .map = "y = x[n - 1 - i] + x[k]"});
  CHECK(run_row(*reversed, {Array(CTN_FLOAT32, {1, 2, 3}), Array(CTN_INT32, {0, 7, -1})})[0]
            .values() == std::vector<double>{4, 2, 1});
}

TEST_CASE("expr: in-place arguments are read before they are written") {
  Source s;
  s.in = parse_params("T grad", "rule");
  s.out = {{"param", "T", true}, {"v", "T", true}};
  s.scalars = {{"lr", ""}, {"momentum", ""}};
  s.map = "v = momentum * v - lr * grad; param += v";
  const auto row = Row::parse(s, "rule");
  CHECK(row->arg_role(1) == CTN_ROLE_INOUT);
  const uint8_t dtypes[] = {CTN_FLOAT32, CTN_FLOAT32, CTN_FLOAT32};
  std::vector<Array> args = {Array(CTN_FLOAT32, {1, 2}), Array(CTN_FLOAT32, {10, 20}),
                             Array(CTN_FLOAT32, {4, 8})};
  run_form(row->specialize(dtypes)->c(), args, {0.5, 0.25}, 2);
  CHECK(args[1].values() == std::vector<double>{10.5, 21});
  CHECK(args[2].values() == std::vector<double>{0.5, 1});
  CHECK(thrown([&] { row->gradient(1); }).first == CTN_EGRAD);
}

TEST_CASE("expr: mixed types meet as in C, small integers keep their type") {
  struct Example {
    int a, b;
    const char* result;
  };
  const Example examples[] = {
      {CTN_BOOL8, CTN_BOOL8, "int32"},        {CTN_INT8, CTN_INT8, "int8"},
      {CTN_INT8, CTN_UINT8, "uint8"},         {CTN_INT8, CTN_UINT16, "uint16"},
      {CTN_UINT32, CTN_INT64, "int64"},       {CTN_INT64, CTN_UINT64, "uint64"},
      {CTN_BOOL8, CTN_INT16, "int16"},        {CTN_INT64, CTN_FLOAT32, "float32"},
      {CTN_FLOAT16, CTN_INT64, "float32"},    {CTN_FLOAT32, CTN_FLOAT64, "float64"},
      {CTN_FLOAT16, CTN_BFLOAT16, "float32"},
  };
  const auto row = row_of(Texts{.in = "T a, U b", .out = "V y", .map = "y = a + b"});
  for (const Example& e : examples) {
    const std::string text =
        dump(*row, {static_cast<uint8_t>(e.a), static_cast<uint8_t>(e.b), CTN_INT8});
    CHECK_MESSAGE(contains(text, std::string("add ") + e.result), text);
  }
  CHECK(run_one("y = x + x", 100, CTN_INT8) == -56);
  CHECK(run_one("y = x * 2", 200, CTN_UINT8) == 144);
}

TEST_CASE("expr: literals take the type they meet") {
  CHECK(contains(dump("y = x * 2.5"), "const float32 2.5"));
  CHECK(contains(dump("y = x * 2", CTN_INT8), "mul int8"));
  CHECK(contains(dump("y = x * 2.5", CTN_INT32), "mul float64"));
  CHECK(contains(dump("y = x * 2", CTN_BOOL8), "mul int32"));
  CHECK(contains(dump("y = x * 2u", CTN_INT8), "mul uint32"));
  CHECK(contains(dump("y = sqrt(x)", CTN_INT8), "sqrt float64"));
  CHECK(contains(dump("y = x * sqrt(2)"), "const float32 1.4142135"));
  CHECK(contains(dump("y = x * (x > 0 ? 1.5 : 2.5)"), "select float32"));
  CHECK(contains(dump("y = x * sqrt(x > 0 ? 1.5 : 2.5)"), "sqrt float32"));
  CHECK(
      contains(dump("y = 18446744073709551615", CTN_UINT64), "const uint64 18446744073709551615"));
  CHECK(run_one("float32 t = 0.1; y = t", 0) == static_cast<double>(0.1f));
  CHECK(run_one("double t = 0.1; y = t", 0) == 0.1);
}

TEST_CASE("expr: 16-bit floats widen on reading and round on writing") {
  for (const uint8_t d : {CTN_FLOAT16, CTN_BFLOAT16}) {
    const std::string text = dump("T t = x * x; y = (T)(t + 1)", d);
    CHECK_MESSAGE(contains(text, "mul float32"), text);
    CHECK(!contains(text, "cast"));
  }
  // 2049 has no float16; the intermediate value keeps it.
  CHECK(run_one("y = (x * 2 + 1) - 2048", 1024, CTN_FLOAT16) == 1);
  CHECK(run_one("y = x * 2 + 1", 1024, CTN_FLOAT16) == 2048);
}

TEST_CASE("expr: integers wrap, division by zero and conversions are defined") {
  CHECK(run_one("y = x / 0 * 1 + x % (x - x)", 5, CTN_INT32) == 0);
  CHECK(run_one("y = floordiv(x, x - x) + floormod(x, x - x)", 5, CTN_INT8) == 0);
  CHECK(run_one("y = x / -1", -128, CTN_INT8) == -128);
  CHECK(run_one("y = abs(x)", -128, CTN_INT8) == -128);
  CHECK(run_one("y = (int8)x", 1e30) == 127);
  CHECK(run_one("y = (int8)x", -kInf) == -128);
  CHECK(run_one("y = (int64)x", kNan) == 0);
  CHECK(run_one("y = (uint16)x", kInf) == 65535);
  CHECK(run_one("y = (bool)x", kNan) == 1);
  CHECK(run_one("y = (bool)x", -0.0) == 0);
  CHECK(run_one("y = x << 9", 3, CTN_INT8) == 6);
  CHECK(run_one("y = x >> 1", -3, CTN_INT8) == -2);
  CHECK(run_one("y = pow(x, 3)", 100, CTN_INT8) == 64);
  CHECK(run_one("y = floormod(x, -4.0)", 7) == -1);
  CHECK(run_one("y = floormod(x, inf)", -1) == kInf);
  CHECK(std::signbit(run_one("y = floormod(x, -4.0)", 8)));
  // 1 / 0.1 rounds to 10, but ten times 0.1 is more than 1.
  CHECK(run_one("y = floordiv(x, 0.1)", 1) == 9);
  CHECK(run_one("y = floordiv(x, 0.0)", 1) == kInf);
}

TEST_CASE("expr: what may be simplified is") {
  const auto length = [](const std::string& map, uint8_t d = CTN_FLOAT32) {
    return row_of(map)->specialize(std::vector<uint8_t>{d, d})->c().map.n;
  };
  CHECK(length("y = x * 1") == 2);
  CHECK(length("y = x / 1") == 2);
  CHECK(length("y = x - 0") == 2);
  CHECK(length("y = x + -0.0") == 2);
  CHECK(length("y = - -x") == 2);
  CHECK(length("y = x * 2 * 1 / 1") == 4);
  CHECK(length("T a = x * x; T b = x * x; y = a + b") == 4);
  CHECK(length("T a = x * 3; T b = 3 * x; y = a + b") == 5);
  CHECK(length("T unused = exp(x); y = x") == 2);
  CHECK(length("y = true ? x : exp(x)") == 2);
  CHECK(length("y = x > 0 ? x : x") == 2);
  CHECK(length("y = 2 * 3 + sqrt(2)") == 2);
  CHECK(length("y = (T)(float64)x") == 2);
  CHECK(length("y = x + 0", CTN_INT8) == 2);
  CHECK(length("y = x == x", CTN_INT8) == 2);
  CHECK(length("y = x > 0 ? (x > 0 ? x : 1) : 2") == 6);
  CHECK(contains(dump("y = pow(x, 2)"), "mul"));
  CHECK(contains(dump("y = x + -(x * 2)"), "sub"));
  // One form from two texts: the hash tells.
  const std::vector<uint8_t> f = {CTN_FLOAT32, CTN_FLOAT32};
  CHECK(row_of("y = x * x + 2")->specialize(f)->c().hash ==
        row_of("T t = x; t *= x; y = 2 + t")->specialize(f)->c().hash);
}

TEST_CASE("expr: what would change a bit is kept") {
  CHECK(std::isnan(run_one("y = x * 0", kInf)));
  CHECK(std::signbit(run_one("y = x * 0", -1)));
  CHECK(!std::signbit(run_one("y = x + 0", -0.0)));
  CHECK(!std::signbit(run_one("y = 0 - x", 0)));
  CHECK(std::isnan(run_one("y = x - x", kInf)));
  CHECK(std::isnan(run_one("y = x / x", 0)));
  CHECK(run_one("y = x == x", kNan) == 0);
  CHECK(run_one("y = x != x", kNan) == 1);
  CHECK(run_one("y = x <= x", kNan) == 0);
  CHECK(run_one("y = (x + 1e16) - 1e16", 1) == 0);
  CHECK(run_one("y = !(x < 1)", kNan) == 1);
  CHECK(contains(dump("y = (T)(float32)x", CTN_FLOAT64), "cast float32"));
  CHECK(run_one("y = (int)x * 1.0", 2.5) == 2);
}

TEST_CASE("expr: reductions") {
  const auto reduce = [](const Texts& t, const std::vector<double>& x, int dtype = CTN_FLOAT32,
                         int64_t rows = 1, uint8_t out = kInfer) {
    return run_row(*row_of(t), {Array(dtype, x)}, {}, rows, out);
  };
  const Texts sum{.map = "x", .reduce = "a + b"};
  CHECK(reduce(sum, {1, 2, 3, 4, 5, 6}, CTN_FLOAT32, 2)[0].values() == std::vector<double>{6, 15});
  CHECK(reduce(sum, {100, 100}, CTN_INT8)[0].at(0) == -56);
  const Texts mean{.map = "x", .reduce = "a + b", .post = "y = a / n"};
  CHECK(reduce(mean, {1, 2, 6})[0].at(0) == 3);
  const Texts largest{.map = "x", .reduce = "max(a, b)"};
  CHECK(reduce(largest, {-3, -1, -2})[0].at(0) == -1);
  CHECK(reduce(largest, {-3, -1, -2}, CTN_INT8)[0].at(0) == -1);
  const Texts product{.map = "x", .reduce = "a * b"};
  CHECK(reduce(product, {2, 3, 4})[0].at(0) == 24);
  const Texts every{.out = "bool y", .map = "x > 0", .reduce = "a && b"};
  CHECK(reduce(every, {1, 2, 0})[0].at(0) == 0);
  CHECK(reduce(every, {1, 2, 3})[0].at(0) == 1);
  // A sum of bools counts.
  const Texts count{.out = "int64 y", .map = "x > 0", .reduce = "a + b"};
  CHECK(reduce(count, {1, -2, 3, 4})[0].at(0) == 3);
  // float16 sums in float32; an accumulator's type is that of map, or wider where reduce says so.
  CHECK(contains(dump(*row_of(sum), {CTN_FLOAT16, CTN_FLOAT16}), "accumulators: float32"));
  const Texts wide{.map = "(float64)x", .reduce = "a + b"};
  CHECK(contains(dump(*row_of(wide), {CTN_FLOAT32, CTN_FLOAT32}), "accumulators: float64"));
  const Texts wider{.map = "x", .reduce = "a + (int64)b"};
  CHECK(contains(dump(*row_of(wider), {CTN_INT8, CTN_INT8}), "accumulators: int64"));
  // Several accumulators, one after the other.
  const Texts arg{.out = "int64 y",
                  .map = "a0 = x; a1 = i",
                  .reduce = "a1 = b0 > a0 ? b1 : a1; a0 = max(a0, b0)",
                  .post = "y = a1 % n",
                  .identity = "-inf, 0"};
  CHECK(reduce(arg, {1, 5, 2, 7, 3, 4}, CTN_FLOAT32, 2)[0].values() == std::vector<double>{1, 0});
  const Texts moments{.out = "T m, T v",
                      .map = "a0 = x; a1 = x * x",
                      .reduce = "a0 += b0; a1 += b1",
                      .post = "m = a0 / n; v = a1 / n - m * m",
                      .identity = "0, 0"};
  const auto mv = reduce(moments, {1, 2, 3, 6});
  CHECK(mv[0].at(0) == 3);
  CHECK(mv[1].at(0) == 3.5);
  // Blank texts are absent ones.
  const Texts blanks{.map = "x", .grad = " ", .reduce = "a + b", .post = "\n ", .identity = "\t"};
  CHECK(reduce(blanks, {1, 2})[0].at(0) == 3);
  CHECK(row_of(blanks)->gradient(1)->n_in() == 1);
  const Texts mixed{.map = "T d = x - 1; d * d", .reduce = "a + b", .post = "y = sqrt(a)"};
  CHECK(reduce(mixed, {4, 5})[0].at(0) == 5);
}

TEST_CASE("expr: a reduction over nothing gives what post makes of the identity") {
  const auto none = [](const Texts& t, int dtype) {
    const auto form = row_of(t)->specialize(
        std::vector<uint8_t>{static_cast<uint8_t>(dtype), static_cast<uint8_t>(dtype)});
    std::vector<Array> args = {Array(dtype, {}), Array(dtype, {5})};
    run_form(form->c(), args, {}, 0);
    return args[1].at(0);
  };
  CHECK(none(Texts{.map = "x", .reduce = "a + b", .post = "y = a + 1"}, CTN_FLOAT32) == 1);
  CHECK(none(Texts{.map = "x", .reduce = "a * b"}, CTN_INT16) == 1);
  CHECK(none(Texts{.map = "x", .reduce = "max(a, b)"}, CTN_FLOAT16) == -kInf);
  CHECK(none(Texts{.map = "x", .reduce = "max(a, b)"}, CTN_INT16) == -32768);
  CHECK(none(Texts{.map = "x", .reduce = "min(a, b)"}, CTN_UINT8) == 255);
  CHECK(none(Texts{.map = "x", .reduce = "a & b"}, CTN_UINT16) == 65535);
  CHECK(none(Texts{.map = "x", .reduce = "b | a"}, CTN_INT8) == 0);
  CHECK(none(Texts{.map = "x", .reduce = "a + b", .identity = "(T)7.5"}, CTN_INT8) == 7);
  CHECK(std::isnan(none(Texts{.map = "x", .reduce = "a + b", .post = "y = a / n"}, CTN_FLOAT32)));
}

TEST_CASE("expr: parameters and assigned names are read from text") {
  const auto params = parse_params("T x, raw float32 w, unsigned int k", "kernel");
  REQUIRE(params.size() == 3);
  CHECK(params[1].type == "raw float32");
  CHECK(params[1].name == "w");
  CHECK(params[2].type == "unsigned int");
  CHECK(parse_params("", "kernel").empty());
  const std::vector<std::string> names = assigned_names(
      "T t = f(u, v), w; a = b == c; if (a <= b) d += 1; t = 2; w = 3; a = 1", "rule");
  CHECK(names == std::vector<std::string>{"a", "d"});
}

TEST_CASE("expr: dtypes are checked against the declaration") {
  const auto row =
      row_of(Texts{.in = "T x, T z, int32 k", .out = "T y, U w", .map = "y = x + z * k; w = x"});
  const auto error = [&](std::vector<uint8_t> dtypes) {
    return thrown([&] { row->specialize(dtypes); });
  };
  CHECK(row->specialize(std::vector<uint8_t>{10, 10, 3, kInfer, 11})->c().args[3].dtype ==
        CTN_FLOAT32);
  auto e = error({CTN_FLOAT32, CTN_FLOAT64, CTN_INT32, kInfer, CTN_INT8});
  CHECK(e.first == CTN_EDTYPE);
  CHECK(contains(e.second, "'x' and 'z' are both T but have dtypes float32 and float64"));
  e = error({CTN_FLOAT32, CTN_FLOAT32, CTN_INT64, kInfer, CTN_INT8});
  CHECK(e.first == CTN_EDTYPE);
  CHECK(contains(e.second, "'k' is declared int32 and given int64"));
  e = error({CTN_FLOAT32, CTN_FLOAT32, CTN_INT32, kInfer, kInfer});
  CHECK(e.first == CTN_EDTYPE);
  CHECK(contains(e.second, "the dtype of 'w' is not given, and nothing else is U"));
  CHECK(error({CTN_FLOAT32, CTN_FLOAT32}).first == CTN_EINVAL);
  CHECK(error({CTN_FLOAT32, CTN_FLOAT32, CTN_INT32, 77, 1}).first == CTN_EINVAL);
  const auto bits = row_of("y = x & 3");
  e = thrown([&] { bits->specialize(std::vector<uint8_t>{CTN_FLOAT32, CTN_FLOAT32}); });
  CHECK(e.first == CTN_EDTYPE);
  CHECK(contains(e.second, "operator and needs integers, but T is float32"));
}
