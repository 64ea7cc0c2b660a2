// Type checks: what holds, what does not, and the words. Messages are Chainer 4.3.1's: from its
// guide "Type checks" and from the golden index (rejections).
#include "core/checks.h"

#include <main.h>

#include <array>
#include <chrono>

#include "core/define.h"
#include "op_text.h"

using namespace catena;
using namespace catena_test;

namespace {

constexpr uint64_t kInt = CTN_KIND_BIT(CTN_INT);
constexpr uint64_t kBool = CTN_KIND_BIT(CTN_BOOL);
constexpr uint64_t kInts = CTN_KIND_BIT(CTN_INTS);
constexpr uint64_t kNone = CTN_KIND_BIT(CTN_NONE);

// Tensors without data.
class Inputs {
 public:
  Inputs& add(std::string_view dtype, std::vector<int64_t> shape) {
    shapes_.push_back(std::move(shape));
    ctn_tensor t{};
    t.t.dtype = dtype_of(dtype_from_name(dtype));
    t.t.ndim = static_cast<int32_t>(shapes_.back().size());
    tensors_.push_back(t);
    return *this;
  }
  Inputs& absent() {
    shapes_.emplace_back();
    ctn_tensor t{};
    t.t.ndim = -1;
    tensors_.push_back(t);
    return *this;
  }
  std::span<const ctn_tensor> span() const {
    for (size_t i = 0; i < tensors_.size(); ++i) tensors_[i].t.shape = shapes_[i].data();
    return tensors_;
  }

 private:
  mutable std::vector<std::vector<int64_t>> shapes_;
  mutable std::vector<ctn_tensor> tensors_;
};

struct Outcome {
  bool held;
  std::string text;
  ctn_status code;
};

Outcome run(const Op& op, const Inputs& in, const std::vector<ctn_value>& attrs = {}) {
  Outcome out{true, "", CTN_OK};
  REQUIRE(op.checks);
  out.held = op.checks->hold(op, in.span(), attrs, &out.text, &out.code);
  return out;
}

// The part of a message behind the head line.
std::string tail(const std::string& text) {
  const size_t at = text.find("\n\n");
  REQUIRE(at != text.npos);
  return text.substr(at + 2);
}

std::string refusal(OpText& op) {
  Arena arena;
  try {
    define(op.get(), arena);
  } catch (const Error& e) {
    CHECK(e.code() == CTN_EINVAL);
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("checks: the message of Chainer's FAQ, word by word") {
  Arena arena;
  OpText text("relu");
  text.def.label = lit("ReLU");
  text.in("x", "f").check("x.dtype.kind == 'f'");
  const auto op = define(text.get(), arena);
  CHECK(run(*op, Inputs().add("float32", {2})).held);
  const Outcome out = run(*op, Inputs().add("int64", {2}));
  CHECK(!out.held);
  CHECK(out.code == CTN_EDTYPE);
  CHECK(out.text ==
        "Invalid operation is performed in: ReLU (Forward)\n"
        "\n"
        "Expect: in_types[0].dtype.kind == f\n"
        "Actual: i != f");
  CHECK(dtype_failure(*op, Inputs().add("int64", {2}).span(), 0) == out.text);
}

TEST_CASE("checks: the examples of the guide") {
  Arena arena;
  OpText text("guide");
  text.in("x", "a").in("y", "a").attr("in_size", kInt | CTN_REQUIRED, {});
  text.check("x.ndim == 2").check("x.shape[0] == y.shape[0] * 4");
  text.check("x.shape[1] == in_size").check("sum(x.shape) == 10").check("x.dtype == float64");
  const auto op = define(text.get(), arena);
  const std::vector<ctn_value> six = {int_value(6)};

  Outcome out = run(*op, Inputs().add("float64", {1, 1, 1}).add("float64", {1}), six);
  CHECK(tail(out.text) == "Expect: in_types[0].ndim == 2\nActual: 3 != 2");
  CHECK(out.code == CTN_ESHAPE);
  out = run(*op, Inputs().add("float64", {3, 6}).add("float64", {1}), six);
  CHECK(tail(out.text) ==
        "Expect: in_types[0].shape[0] == in_types[1].shape[0] * 4\nActual: 3 != 4");
  out = run(*op, Inputs().add("float64", {4, 3}).add("float64", {1}), {int_value(4)});
  CHECK(tail(out.text) == "Expect: in_types[0].shape[1] == in_size\nActual: 3 != 4");
  out = run(*op, Inputs().add("float64", {4, 3}).add("float64", {1}), {int_value(3)});
  CHECK(tail(out.text) == "Expect: sum(in_types[0].shape) == 10\nActual: 7 != 10");
  out = run(*op, Inputs().add("float32", {4, 6}).add("float64", {1}), six);
  CHECK(tail(out.text) ==
        "Expect: in_types[0].dtype == <class 'numpy.float64'>\n"
        "Actual: float32 != <class 'numpy.float64'>");
  CHECK(out.code == CTN_EDTYPE);
  CHECK(run(*op, Inputs().add("float64", {4, 6}).add("float64", {1}), six).held);
}

TEST_CASE("checks: golden rejections") {
  struct Case {
    std::vector<const char*> checks;
    Inputs in;
    const char* want;
  };
  const Case cases[] = {
      {{"x.ndim == y.ndim"},
       Inputs().add("float32", {2, 3}).add("float32", {3}),
       "Expect: in_types[0].ndim == in_types[1].ndim\nActual: 2 != 1"},
      {{"x.shape[-1] == y.shape[-2]"},
       Inputs().add("float32", {2, 3}).add("float32", {2, 3}),
       "Expect: in_types[0].shape[-1] == in_types[1].shape[-2]\nActual: 3 != 2"},
      {{"x.dtype == y.dtype"},
       Inputs().add("float32", {2}).add("float64", {2}),
       "Expect: in_types[0].dtype == in_types[1].dtype\nActual: float32 != float64"},
      {{"x.shape == y.shape"},
       Inputs().add("float32", {2, 3}).add("float32", {3}),
       "Expect: in_types[0].shape == in_types[1].shape\nActual: (2, 3) != (3,)"},
      {{"x.shape == y.shape"},
       Inputs().add("float32", {}).add("float32", {3}),
       "Expect: in_types[0].shape == in_types[1].shape\nActual: () != (3,)"},
      {{"x.shape[1:2] == y.shape"},
       Inputs().add("float32", {2, 3}).add("float32", {2}),
       "Expect: in_types[0].shape[1:2] == in_types[1].shape\nActual: (3,) != (2,)"},
      {{"x.shape[2:] == y.shape[1:]"},
       Inputs().add("float32", {2, 3, 4}).add("float32", {2, 5}),
       "Expect: in_types[0].shape[2:] == in_types[1].shape[1:]\nActual: (4,) != (5,)"},
      {{"prod(x.shape) == prod((4, 2))"},
       Inputs().add("float32", {2, 3}).add("float32", {}),
       "Expect: prod(in_types[0].shape) == prod((4, 2))\nActual: 6 != 8"},
      {{"x.shape[1] % 2 == 0"},
       Inputs().add("float32", {2, 3}).add("float32", {}),
       "Expect: in_types[0].shape[1] % 2 == 0\nActual: 1 != 0"},
  };
  for (const Case& c : cases) {
    Arena arena;
    OpText text("golden");
    text.in("x", "a").in("y", "a");
    for (const char* check : c.checks) text.check(check);
    const auto op = define(text.get(), arena);
    const Outcome out = run(*op, c.in);
    CHECK(!out.held);
    CHECK(tail(out.text) == c.want);
  }
}

TEST_CASE("checks: every comparison has its inverse") {
  const char* const pairs[][2] = {{"x.ndim == 1", "2 != 1"}, {"x.ndim != 2", "2 == 2"},
                                  {"x.ndim < 2", "2 >= 2"},  {"x.ndim <= 1", "2 > 1"},
                                  {"x.ndim > 2", "2 <= 2"},  {"x.ndim >= 3", "2 < 3"}};
  for (const auto& [check, actual] : pairs) {
    Arena arena;
    OpText text("compare");
    text.in("x", "a").check(check);
    const auto op = define(text.get(), arena);
    const Outcome out = run(*op, Inputs().add("int8", {2, 3}));
    CHECK(!out.held);
    CHECK(out.text.substr(out.text.find("Actual: ") + 8) == actual);
  }
}

TEST_CASE("checks: arithmetic is Python's and brackets are Chainer's") {
  const struct {
    const char* check;
    const char* expect;
    const char* actual;
  } cases[] = {
      {"(x.ndim + 1) * 2 == 0", "(in_types[0].ndim + 1) * 2 == 0", "6 != 0"},
      {"x.ndim + 1 * 2 == 0", "in_types[0].ndim + 1 * 2 == 0", "4 != 0"},
      {"x.ndim - (1 - 2) == 0", "in_types[0].ndim - (1 - 2) == 0", "3 != 0"},
      {"x.ndim - 1 - 2 == 0", "in_types[0].ndim - 1 - 2 == 0", "-1 != 0"},
      {"-x.ndim // 3 == 0", "-in_types[0].ndim // 3 == 0", "-1 != 0"},
      {"-(x.ndim + 3) % 3 == 0", "-(in_types[0].ndim + 3) % 3 == 0", "1 != 0"},
      {"7 // -2 == 0", "7 // -2 == 0", "-4 != 0"},
      {"7 % -2 == 0", "7 % -2 == 0", "-1 != 0"},
      {"x.size == 0", "in_types[0].size == 0", "6 != 0"},
      {"in_types.size == 2", "in_types.size == 2", "1 != 2"},
      {"prod(x.shape[1:]) == 0", "prod(in_types[0].shape[1:]) == 0", "3 != 0"},
      {"prod(x.shape[5:]) == 0", "prod(in_types[0].shape[5:]) == 0", "1 != 0"},
      {"x.shape[-1:] == ()", nullptr, nullptr},
      {"x.shape[:-1] == (3,)", "in_types[0].shape[:-1] == (3,)", "(2,) != (3,)"},
      {"x.ndim // (x.ndim - 2) == 1", "in_types[0].ndim // (in_types[0].ndim - 2) == 1",
       "division by zero"},
      {"x.shape[2] == 1", "in_types[0].shape[2] == 1", "index out of range"},
      {"x.shape[-3] == 1", "in_types[0].shape[-3] == 1", "index out of range"},
      {"999999999999999999 * 999999999999999999 == 1",
       "999999999999999999 * 999999999999999999 == 1", "out of the range of 64-bit integers"},
  };
  for (const auto& c : cases) {
    Arena arena;
    OpText text("arithmetic");
    text.in("x", "a").check(c.check);
    if (!c.expect) {
      CHECK(refusal(text).find("column") != std::string::npos);
      continue;
    }
    const auto op = define(text.get(), arena);
    const Outcome out = run(*op, Inputs().add("int8", {2, 3}));
    CHECK(!out.held);
    CHECK(tail(out.text) == "Expect: " + std::string(c.expect) + "\nActual: " + c.actual);
  }
}

TEST_CASE("checks: a chain is checked link by link") {
  Arena arena;
  OpText text("chain");
  text.in("x", "a").attr("axis", kInt, int_value(0)).check("-x.ndim <= axis < x.ndim");
  const auto op = define(text.get(), arena);
  const Inputs in = Inputs().add("float32", {2, 3});
  CHECK(run(*op, in, {int_value(1)}).held);
  CHECK(run(*op, in, {int_value(-2)}).held);
  CHECK(tail(run(*op, in, {int_value(2)}).text) ==
        "Expect: axis < in_types[0].ndim\nActual: 2 >= 2");
  CHECK(tail(run(*op, in, {int_value(-3)}).text) ==
        "Expect: -in_types[0].ndim <= axis\nActual: -2 > -3");
}

TEST_CASE("checks: one shape in a chain makes shapes of all its attributes") {
  Arena arena;
  OpText text("pairs");
  text.in("x", "a").attr("k", kInt | kInts, int_value(1)).attr("s", kInt | kInts, int_value(1));
  text.check("k == s == x.shape[2:]");
  const auto op = define(text.get(), arena);
  const std::vector<int64_t> three_four = {3, 4}, four_three = {4, 3};
  const ctn_value pair = ints_value(three_four), other = ints_value(four_three);
  CHECK(run(*op, Inputs().add("float32", {1, 2, 3, 4}), {pair, pair}).held);
  CHECK(tail(run(*op, Inputs().add("float32", {1, 2, 3, 4}), {pair, other}).text) ==
        "Expect: k == s\nActual: (3, 4) != (4, 3)");
  CHECK(tail(run(*op, Inputs().add("float32", {1, 2, 4, 3}), {pair, pair}).text) ==
        "Expect: s == in_types[0].shape[2:]\nActual: (3, 4) != (4, 3)");
  CHECK(tail(run(*op, Inputs().add("float32", {1, 2, 3}), {int_value(3), int_value(4)}).text) ==
        "Expect: k == s\nActual: (3,) != (4,)");
  OpText same("same");
  same.in("x", "a").attr("k", kInt | kInts, int_value(1)).check("k == k == x.shape[2:]");
  CHECK(run(*define(same.get(), arena), Inputs().add("float32", {1, 2, 3, 4}), {pair}).held);
  OpText mixed("mixed");
  mixed.in("x", "a").attr("k", kInt | kInts, int_value(1)).check("k == x.ndim == x.shape");
  CHECK(refusal(mixed).find("a shape is wanted") != std::string::npos);
}

TEST_CASE("checks: attributes by name, by value, by entry") {
  Arena arena;
  OpText text("attrs");
  const std::vector<int64_t> one_two = {1, 2}, one_three = {1, 3};
  text.in("x", "a").attr("axis", kNone | kInt | kInts, kind_value(CTN_NONE));
  text.attr("r", kInt, int_value(2)).attr("pair", kInt | kInts, int_value(1));
  text.check("x.ndim > $axis").check("x.shape[r] == pair[1]").check("prod(x.shape) == prod($pair)");
  const auto op = define(text.get(), arena);
  const Inputs in = Inputs().add("float32", {1, 3, 1});
  const ctn_value none = kind_value(CTN_NONE);

  CHECK(run(*op, in, {none, int_value(1), int_value(3)}).held);  // a number stands for each entry
  CHECK(run(*op, in, {int_value(2), int_value(1), ints_value(one_three)}).held);
  CHECK(tail(run(*op, in, {int_value(3), int_value(1), ints_value(one_three)}).text) ==
        "Expect: in_types[0].ndim > 3\nActual: 3 <= 3");
  CHECK(run(*op, in, {ints_value(one_two), int_value(1), ints_value(one_three)}).held);
  CHECK(tail(run(*op, in, {ints_value(one_three), int_value(1), ints_value(one_three)}).text) ==
        "Expect: in_types[0].ndim > 3\nActual: 3 <= 3");
  CHECK(tail(run(*op, in, {none, int_value(0), ints_value(one_two)}).text) ==
        "Expect: in_types[0].shape[0] == pair[1]\nActual: 1 != 2");
  const std::vector<int64_t> two_three = {2, 3};
  CHECK(tail(run(*op, in, {none, int_value(1), ints_value(two_three)}).text) ==
        "Expect: prod(in_types[0].shape) == prod((2, 3))\nActual: 3 != 6");
}

TEST_CASE("checks: optional inputs and guards") {
  Arena arena;
  OpText text("linear");
  text.in("x", "f").in("W", "f").in("b", "f", CTN_IN_OPTIONAL);
  text.attr("t", kBool, {CTN_BOOL, 0, {0}});
  text.check("x.ndim == 2").check("b.shape[0] == W.shape[0]").check("if b: b.ndim == 1");
  text.check("if t: x.shape[0] == 7")
      .check("if not t and x.shape[0] > 1: W.shape[1] == x.shape[1]");
  const auto op = define(text.get(), arena);
  const std::vector<ctn_value> yes = {{CTN_BOOL, 0, {1}}};
  const std::vector<ctn_value> no = {{CTN_BOOL, 0, {0}}};
  const Inputs two = Inputs().add("float32", {2, 3}).add("float32", {4, 3});
  CHECK(run(*op, two, no).held);  // b is not even listed
  CHECK(run(*op, Inputs(two).absent(), no).held);
  CHECK(
      tail(run(*op, Inputs().add("float32", {2, 3}).add("float32", {4, 3}).add("float32", {3}), no)
               .text) == "Expect: in_types[2].shape[0] == in_types[1].shape[0]\nActual: 3 != 4");
  CHECK(tail(run(*op, Inputs().add("float32", {2, 3}).add("float32", {4, 3}).add("float32", {4, 1}),
                 no)
                 .text) == "Expect: in_types[2].ndim == 1\nActual: 2 != 1");
  CHECK(tail(run(*op, two, yes).text) == "Expect: in_types[0].shape[0] == 7\nActual: 2 != 7");
  CHECK(tail(run(*op, Inputs().add("float32", {2, 3}).add("float32", {4, 5}), no).text) ==
        "Expect: in_types[1].shape[1] == in_types[0].shape[1]\nActual: 5 != 3");
  CHECK(run(*op, Inputs().add("float32", {1, 3}).add("float32", {4, 5}), no).held);
}

TEST_CASE("checks: all members of a variadic input") {
  Arena arena;
  OpText text("concat");
  text.in("xs", "a", CTN_IN_VARIADIC).attr("axis", kInt, int_value(1));
  text.check("xs[0].ndim > axis").check("xs[0].dtype == xs.dtype").check("xs[0].ndim == xs.ndim");
  const auto op = define(text.get(), arena);
  const std::vector<ctn_value> axis = {int_value(1)};
  CHECK(run(*op, Inputs().add("float32", {2, 3}), axis).held);
  CHECK(run(*op, Inputs().add("float32", {2, 3}).add("float32", {2, 1}), axis).held);
  CHECK(tail(run(*op, Inputs().add("float32", {2}), axis).text) ==
        "Expect: in_types[0].ndim > axis\nActual: 1 <= 1");
  CHECK(tail(run(*op, Inputs().add("int8", {2, 3}).add("int8", {2, 3}).add("int16", {2, 3}), axis)
                 .text) == "Expect: in_types[0].dtype == in_types[2].dtype\nActual: int8 != int16");
  CHECK(tail(run(*op, Inputs().add("int8", {2, 3}).add("int8", {2}), axis).text) ==
        "Expect: in_types[0].ndim == in_types[1].ndim\nActual: 2 != 1");
}

TEST_CASE("checks: dtype classes and counts") {
  Arena arena;
  OpText text("classes");
  text.in("a", "f").in("b", "float32|int32").in("c", "fi").in("d", "int32", CTN_IN_OPTIONAL);
  const auto op = define(text.get(), arena);
  CHECK(!op->checks);
  const Inputs in =
      Inputs().add("uint8", {}).add("float64", {}).add("bool", {}).add("bfloat16", {});
  const auto failure = [&](int32_t i) { return tail(dtype_failure(*op, in.span(), i)); };
  CHECK(failure(0) == "Expect: in_types[0].dtype.kind == f\nActual: u != f");
  CHECK(failure(1) ==
        "Expect: in_types[1].dtype in (float32, int32)\nActual: float64 not in (float32, int32)");
  CHECK(failure(2) == "Expect: in_types[2].dtype.kind in (f, i)\nActual: b not in (f, i)");
  CHECK(failure(3) ==
        "Expect: in_types[3].dtype == <class 'numpy.int32'>\n"
        "Actual: bfloat16 != <class 'numpy.int32'>");
  CHECK(tail(count_failure(*op, 2)) == "Expect: in_types.size >= 3\nActual: 2 < 3");
  CHECK(tail(count_failure(*op, 5)) == "Expect: in_types.size <= 4\nActual: 5 > 4");
  OpText two("two");
  two.in("a", "f").in("b", "f");
  CHECK(tail(count_failure(*define(two.get(), arena), 3)) ==
        "Expect: in_types.size == 2\nActual: 3 != 2");
}

TEST_CASE("checks: malformed texts are refused with their column") {
  const struct {
    const char* check;
    const char* why;
  } cases[] = {
      {"", "column 1: expected a number, an input or an attribute"},
      {"x.ndim", "column 7: expected a comparison"},
      {"x.ndim = 2", "column 8: expected a comparison"},
      {"x.ndim == 2 2", "column 13: unexpected '2'"},
      {"x.rank == 2", "an input has ndim, size, shape and dtype"},
      {"x.shape[0 == 2", "expected ']'"},
      {"(x.ndim == 2", "expected ')'"},
      {"z.ndim == 2", "no input, attribute or dtype is called 'z'"},
      {"x.shape == 2", "a shape is wanted"},
      {"x.shape < x.shape", "they have no order"},
      {"x.dtype < float32", "they have no order"},
      {"x.dtype == 2", "both sides must be"},
      {"x.dtype.kind == 'z'", "the kinds are"},
      {"x.dtype.kind == 'ff'", "one letter"},
      {"x.dtype + 1 == 2", "a number is wanted"},
      {"prod(x.ndim) == 2", "a shape is wanted"},
      {"name == 2", "no int, bool or ints"},
      {"p == q", "two lists without an index"},
      {"if z: x.ndim == 2", "no input or attribute is called 'z'"},
      {"if x x.ndim == 2", "expected"},
      {"x.ndim == 99999999999999999999", "expected a number"},
      {"x.ndim == \"2\"", "expected a number"},
      {"((((((((((((((((((((((((((((((((((((x.ndim)))))))))))))))))))))))))))))))))))) == 1",
       "nested too deeply"},
  };
  for (const auto& c : cases) {
    OpText text("wrong");
    const std::vector<int64_t> none;
    text.in("x", "a").attr("name", CTN_KIND_BIT(CTN_STR) | CTN_REQUIRED, {});
    text.attr("p", kInts | CTN_REQUIRED, {}).attr("q", kInts | CTN_REQUIRED, {});
    text.check(c.check);
    const std::string why = refusal(text);
    CHECK_MESSAGE(why.find(c.why) != std::string::npos, c.check << " -> " << why);
    CHECK(why.find("op wrong, check ") == 0);
  }
}

TEST_CASE("checks: what a parser meets, whatever the bytes, is a text or an error") {
  const std::string alphabet = "x.ndimshape[]()+-*/%=<>!:'fif not and$,0129 \t\x01\xff#";
  uint64_t state = 1;
  const auto next = [&] { return state = state * 6364136223846793005u + 1442695040888963407u; };
  int accepted = 0, refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string check =
        round % 2 == 0 ? "x.ndim == 2" : "if not a and x.shape[1:-1] == (1, 2): 1 < a";
    for (uint64_t edits = next() >> 33 & 3; edits-- > 0;) {
      check[(next() >> 33) % check.size()] = alphabet[(next() >> 33) % alphabet.size()];
    }
    OpText text("fuzz");
    text.in("x", "a").attr("a", kInt, int_value(0)).check(check);
    Arena arena;
    try {
      const auto op = define(text.get(), arena);
      run(*op, Inputs().add("float32", {1, 2, 3}), {int_value(0)});
      ++accepted;
    } catch (const Error& e) {
      REQUIRE(e.code() == CTN_EINVAL);
      ++refused;
    }
  }
  CHECK(accepted > 1000);
  CHECK(refused > 1000);
}

TEST_CASE("checks: two simple checks cost less than the budget") {
  Arena arena;
  OpText text("fast");
  text.in("x", "f").in("W", "f").check("x.ndim == 2").check("x.shape[1] == W.shape[1]");
  const auto op = define(text.get(), arena);
  const Inputs in = Inputs().add("float32", {8, 16}).add("float32", {4, 16});
  constexpr int kRounds = 200000;
  std::string failure;
  ctn_status code = CTN_OK;
  double best = 1e9;
  const std::span<const ctn_tensor> tensors = in.span();
  for (int repeat = 0; repeat < 10; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    int held = 0;
    for (int i = 0; i < kRounds; ++i) {
      held += op->checks->hold(*op, tensors, {}, &failure, &code);
    }
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    REQUIRE(held == kRounds);
    best = std::min(best, took.count() / kRounds);
  }
  MESSAGE("two checks: " << best << " ns");
  CHECK(best < 1000);  // 15 ns alone; the rest is for sanitizers and a busy machine
}
