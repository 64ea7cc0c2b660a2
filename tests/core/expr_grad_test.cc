// Gradients of rows: against finite differences to second order, at kinks and special values, what
// they keep, and stated ones.
#include <main.h>

#include <cmath>
#include <functional>
#include <limits>

#include "expr_support.h"

using namespace catena_test;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
const double kNan = std::numeric_limits<double>::quiet_NaN();

using Arrays = std::vector<Array>;
using Values = std::vector<double>;

uint64_t all(const Row& row) { return row.differentiable(); }

Array zeros(const Array& like) { return {CTN_FLOAT64, Values(like.count())}; }

Array sum(const Array& a, const Array& b) {
  Array out = zeros(a);
  for (size_t k = 0; k < a.count(); ++k) out.set(k, slot_f(a.at(k) + b.at(k)));
  return out;
}

// The arguments of the gradient row, from inputs, outputs and output gradients of the row.
Arrays arguments(const Row& gradient, const Arrays& in, const Arrays& out, const Arrays& gy) {
  Arrays args;
  for (const GradArg& a : gradient.grad_args()) {
    const Arrays& from = a.kind == GradArg::kInput ? in : a.kind == GradArg::kOutput ? out : gy;
    args.push_back(from[static_cast<size_t>(a.index)]);
  }
  return args;
}

// Gradients of all inputs of an elementwise row, as a framework would find them.
Arrays backward(const Row& row, const Arrays& in, const Arrays& gy) {
  if (in.empty()) return {};
  const auto g = row.gradient(all(row));
  Arrays gx =
      run_row(*g, arguments(*g, in, run_row(row, in, {}, 1, CTN_FLOAT64), gy), {}, 1, CTN_FLOAT64);
  for (Array& a : gx) {  // a gradient that reads nothing has one element
    if (a.count() == 1) a = Array(CTN_FLOAT64, Values(gy[0].count(), a.at(0)));
  }
  return gx;
}

struct Second {
  Arrays gx, ggy;
};
// Gradients of sum(ggx * gx) in the inputs and in gy, gx being the row's gradient.
Second backward_twice(const Row& row, const Arrays& in, const Arrays& gy, const Arrays& ggx) {
  const Arrays out = run_row(row, in);
  const auto g = row.gradient(all(row));
  const Arrays found = backward(*g, arguments(*g, in, out, gy), ggx);
  Second s;
  for (const Array& x : in) s.gx.push_back(zeros(x));
  for (const Array& y : out) s.ggy.push_back(zeros(y));
  Arrays through = s.ggy;  // what arrives at outputs goes on to the inputs
  const auto& args = g->grad_args();
  for (size_t k = 0; k < args.size(); ++k) {
    const auto index = static_cast<size_t>(args[k].index);
    Arrays& to = args[k].kind == GradArg::kInput    ? s.gx
                 : args[k].kind == GradArg::kOutput ? through
                                                    : s.ggy;
    to[index] = sum(to[index], found[k]);
  }
  const Arrays more = backward(row, in, through);
  for (size_t k = 0; k < more.size(); ++k) s.gx[k] = sum(s.gx[k], more[k]);
  return s;
}

// d/dx of sum(weight * f(x)) for an elementwise f, element by element, with the five-point rule.
Array differences(const std::function<Arrays(const Array&)>& f, const Array& x,
                  const Arrays& weight) {
  const double h = 1.0 / 8192;
  Array out = zeros(x);
  for (const auto& [step, factor] : {std::pair{-2, 1.0}, {-1, -8.0}, {1, 8.0}, {2, -1.0}}) {
    Array moved = x;
    for (size_t k = 0; k < x.count(); ++k) moved.set(k, slot_f(x.at(k) + step * h));
    const Arrays y = f(moved);
    for (size_t j = 0; j < y.size(); ++j) {
      for (size_t k = 0; k < x.count(); ++k) {
        out.set(k, slot_f(out.at(k) + factor * weight[j].at(k) * y[j].at(k) / (12 * h)));
      }
    }
  }
  return out;
}

void compare(const Array& got, const Array& expected, const char* what) {
  for (size_t k = 0; k < got.count(); ++k) {
    const double scale = 1 + std::abs(expected.at(k));
    CHECK_MESSAGE(std::abs(got.at(k) - expected.at(k)) < 2e-8 * scale, std::string(what),
                  ", element ", k, ": ", got.at(k), " and by differences ", expected.at(k));
  }
}

struct Function {
  const char* map;
  const char* in = "T x";
  const char* out = "T y";
  Values x = {-2.25, -0.8, -0.3, 0.2, 0.7, 1.9};
  Values w = {0.6, -1.4, 2.2, 0.9, -0.45, 1.3};
};

void check_orders(const Row& row, const Arrays& in, const Arrays& gy, const Arrays& ggx) {
  const Arrays gx = backward(row, in, gy);
  const Second second = backward_twice(row, in, gy, ggx);
  for (size_t i = 0; i < in.size(); ++i) {
    const auto with = [&](const Array& moved) {
      Arrays all_in = in;
      all_in[i] = moved;
      return all_in;
    };
    compare(gx[i], differences([&](const Array& x) { return run_row(row, with(x)); }, in[i], gy),
            "order 1");
    compare(second.gx[i],
            differences([&](const Array& x) { return backward(row, with(x), gy); }, in[i], ggx),
            "order 2");
  }
  for (size_t j = 0; j < gy.size(); ++j) {
    const auto f = [&](const Array& moved) {
      Arrays all_gy = gy;
      all_gy[j] = moved;
      return backward(row, in, all_gy);
    };
    compare(second.ggy[j], differences(f, gy[j], ggx), "order 2, output gradient");
  }
}

}  // namespace

TEST_CASE("expr: gradients of order 1 and 2 agree with finite differences") {
  const Values positive = {0.11, 0.4, 0.9, 1.3, 2.6, 5};
  const Values inside = {-0.92, -0.6, -0.1, 0.3, 0.55, 0.93};
  const Function functions[] = {
      {"y = x"},
      {"y = 3"},
      {"y = -x"},
      {"y = x * x * x - 2 * x"},
      {"y = x / (x * x + 1)"},
      {"y = 1 / x"},
      {"y = exp(x)"},
      {"y = expm1(x)"},
      {"y = exp2(x)"},
      {"y = log(x)", "T x", "T y", positive},
      {"y = log1p(x)", "T x", "T y", positive},
      {"y = log2(x)", "T x", "T y", positive},
      {"y = log10(x)", "T x", "T y", positive},
      {"y = sqrt(x)", "T x", "T y", positive},
      {"y = rsqrt(x)", "T x", "T y", positive},
      {"y = sin(x) * cos(x)"},
      {"y = tan(x)", "T x", "T y", inside},
      {"y = asin(x)", "T x", "T y", inside},
      {"y = acos(x)", "T x", "T y", inside},
      {"y = atan(x)"},
      {"y = sinh(x) + cosh(x / 2)"},
      {"y = tanh(x)"},
      {"y = erf(x)"},
      {"y = erfc(x)"},
      {"y = sigmoid(x)"},
      {"y = 1 / (1 + exp(-x))"},
      {"y = log1p(exp(-abs(x))) + max(x, 0)"},
      {"y = abs(x)"},
      {"y = sign(x) + floor(x) + ceil(x) + trunc(x) + rint(x) + x"},
      {"y = pow(x, 3)"},
      {"y = pow(x, 0.5) + pow(x, -1.5) + pow(x, 1)", "T x", "T y", positive},
      {"y = pow(x, w)", "T x, T w", "T y", positive},
      {"y = pow(2.5, x)"},
      {"y = x * w + x"},
      {"y = x / w", "T x, T w"},
      {"y = atan2(x, w)", "T x, T w"},
      {"y = min(x, w) + 2 * max(x, w)", "T x, T w"},
      {"y = floormod(x, w)", "T x, T w"},
      {"y = fmod(x, w)", "T x, T w"},
      {"y = x % 0.65"},
      {"y = x > 0 ? x : 0.2 * x"},
      {"y = x > 0 ? x : expm1(x)"},
      {"y = min(max(x, -1), 1)"},
      {"T s = sigmoid(x); y = x * s; z = s * w", "T x, T w", "T y, T z"},
      {"if (x > 0) { y = x * x; } else { y = sin(x) - x; } z = y * y", "T x", "T y, T z"},
      {"T c = tanh(w) * sigmoid(x); y = c; z = tanh(c) * x", "T x, T w", "T y, T z"},
      {"float64 t = x; y = exp(t) * (T)w", "T x, T w"},
      {"y = isfinite(x) && x > -1 ? x * x : (int)x"},
  };
  CHECK(std::size(functions) >= 40);
  for (Function f : functions) {
    CAPTURE(std::string(f.map));
    const bool binary = std::strstr(f.map, "w") != nullptr;
    if (binary) f.in = "T x, T w";
    const auto row = row_of(Texts{.in = f.in, .out = f.out, .map = f.map});
    Arrays in = {Array(CTN_FLOAT64, f.x)};
    if (binary) in.emplace_back(CTN_FLOAT64, f.w);
    Arrays gy = {Array(CTN_FLOAT64, {0.5, -1.25, 2, 0.75, -0.4, 1.1}),
                 Array(CTN_FLOAT64, {1.5, 0.25, -1, 0.6, 2.4, -0.9})};
    const Arrays ggx = {Array(CTN_FLOAT64, {1.2, 0.7, -0.6, 1.75, -1.4, 0.3}),
                        Array(CTN_FLOAT64, {-0.5, 0.9, 1.3, -1.6, 0.4, 2.1})};
    gy.resize(static_cast<size_t>(row->n_out()));
    check_orders(*row, in, gy, {ggx.begin(), ggx.begin() + row->n_in()});
  }
}

TEST_CASE("expr: lgamma has one derivative, and digamma says that it has none") {
  const auto row = row_of("y = lgamma(x)");
  const Array x(CTN_FLOAT64, {0.3, 1, 2.5, 7, 30});
  const Array one(CTN_FLOAT64, Values(5, 1));
  compare(backward(*row, {x}, {one})[0],
          differences([&](const Array& m) { return run_row(*row, {m}); }, x, {one}), "lgamma");
  const auto e = thrown([&] { row->gradient(1)->gradient(3); });
  CHECK(e.first == CTN_EGRAD);
  CHECK(contains(e.second, "derivative of digamma"));
}

TEST_CASE("expr: gradients of any order") {
  // x^5 down to 0, and the fourth derivative of the sine.
  std::shared_ptr<const Row> row = row_of("y = x * x * x * x * x");
  const Values expected = {80, 160, 240, 240, 120, 0};
  for (const double value : expected) {
    row = row->gradient(1);
    Arrays in;
    for (int32_t k = 0; k < row->n_in(); ++k)
      in.emplace_back(CTN_FLOAT64, Values{row->arg_name(k) == "x" ? 2.0 : 1.0});
    CHECK(run_row(*row, in)[0].at(0) == value);
    if (row->arg_name(0) != "x") break;
  }
  row = row_of("y = sin(x)");
  for (int order = 0; order < 4; ++order) row = row->gradient(1);
  Arrays in;
  for (int32_t k = 0; k < row->n_in(); ++k)
    in.emplace_back(CTN_FLOAT64, Values{row->arg_name(k) == "x" ? 0.5 : 1.0});
  CHECK(run_row(*row, in)[0].at(0) == doctest::Approx(std::sin(0.5)));
}

TEST_CASE("expr: gradients at kinks, zeros and infinities") {
  struct Point {
    const char* map;
    double x, gx;
    double gy = 1;
  };
  const Point points[] = {
      {"y = abs(x)", 0, 0},
      {"y = abs(x)", -0.0, 0},
      {"y = abs(x)", 0, 0, kInf},
      {"y = abs(x)", -kInf, -1},
      {"y = max(x, 0)", 0, 1},
      {"y = max(0, x)", 0, 0},
      {"y = min(x, 0)", 0, 1},
      {"y = max(x, 0)", -1, 0, kInf},
      {"y = x > 0 ? x : 0", -1, 0, kInf},
      {"y = x > 0 ? x : 0", 0, 0},
      {"y = sqrt(x)", 0, kInf},
      {"y = sqrt(x)", kInf, 0},
      {"y = pow(x, 2)", 0, 0},
      {"y = pow(x, 1)", 0, 1},
      {"y = pow(x, 0)", 0, 0},
      {"y = pow(x, 0.5)", 0, kInf},
      {"y = pow(0.0, x)", 2, 0},
      {"y = pow(0.0, x)", 0, 0},
      {"y = log(x)", 0, kInf},
      {"y = exp(x)", -kInf, 0},
      {"y = tanh(x)", kInf, 0},
      {"y = sigmoid(x)", -kInf, 0},
      {"y = sigmoid(x)", 800, 0},
      {"y = floor(x)", 2, 0, kInf},
      {"y = sign(x)", 0, 0},
      // The branch not taken may be infinite or NaN: it leaves no trace.
      {"y = x > 0 ? log(x) : 0", 0, 0},
      {"y = x > 0 ? sqrt(x) : x", 0, 1},
      {"T t = x > 0 ? x : 1; y = x > 0 ? log(t) : x", -3, 1},
      {"y = x == 0 ? 1 : sin(x) / x", 0, 0},
      {"y = x > 0 ? x * log(x) : 0", 0, 0},
      {"y = x < 0 ? exp(x) : exp(-x)", 1e4, 0},
      {"T t = x * x; y = x > 1 ? 1 / (x - 1) : (x < 0 ? log(-x) : t)", 0, 0},
  };
  for (const Point& p : points) {
    CAPTURE(std::string(p.map));
    CAPTURE(p.x);
    const Arrays gx =
        backward(*row_of(p.map), {Array(CTN_FLOAT64, {p.x})}, {Array(CTN_FLOAT64, {p.gy})});
    CHECK(gx[0].at(0) == p.gx);
  }
  for (const char* map : {"y = abs(x)", "y = exp(x)", "y = x * x", "y = sqrt(x)"}) {
    const Arrays gx =
        backward(*row_of(map), {Array(CTN_FLOAT64, {kNan})}, {Array(CTN_FLOAT64, {1})});
    CHECK(std::isnan(gx[0].at(0)));
  }
}

TEST_CASE("expr: cases of a function meet again as cases of its gradient") {
  const auto g =
      row_of(Texts{.scalars = "_ slope", .map = "y = x >= 0 ? x : x * slope"})->gradient(1);
  const std::string text = dump(*g, {CTN_FLOAT32, CTN_FLOAT32, CTN_FLOAT32});
  CHECK_MESSAGE(!contains(text, "add"), text);
  CHECK(contains(text, "select"));
}

TEST_CASE("expr: what a gradient reads is what is kept") {
  struct Keep {
    Texts texts;
    uint64_t needed, in, out;
  };
  const std::string two = "T x, T w";
  const Keep keeps[] = {
      {{.map = "y = exp(x)"}, 1, 0, 1},
      {{.map = "y = tanh(x)"}, 1, 0, 1},
      {{.map = "y = sigmoid(x)"}, 1, 0, 1},
      {{.map = "y = sqrt(x)"}, 1, 0, 1},
      {{.map = "y = rsqrt(x)"}, 1, 0, 1},
      {{.map = "y = log(x)"}, 1, 1, 0},
      {{.map = "y = sin(x)"}, 1, 1, 0},
      {{.map = "y = 2 * x + 1"}, 1, 0, 0},
      {{.map = "y = max(x, 0)"}, 1, 1, 0},
      {{.in = two, .map = "y = x + w"}, 3, 0, 0},
      {{.in = two, .map = "y = x * w"}, 3, 3, 0},
      {{.in = two, .map = "y = x * w"}, 1, 2, 0},
      {{.in = two, .map = "y = x / w"}, 1, 2, 0},
      {{.in = "T x, int32 k, raw T r", .map = "y = x * r[k]"}, 1, 6, 0},
      {{.out = "T y, T z", .map = "y = exp(x); z = y * y"}, 1, 0, 1},
      {{.map = "x", .reduce = "a + b"}, 1, 0, 0},
      {{.map = "x * x", .reduce = "a + b", .post = "y = sqrt(a)"}, 1, 1, 1},
      {{.map = "x", .reduce = "max(a, b)"}, 1, 0, 0},
      {{.map = "x", .grad = "gx = x == y ? gy : 0", .reduce = "max(a, b)"}, 1, 1, 1},
  };
  for (const Keep& k : keeps) {
    CAPTURE(k.texts.map);
    const auto row = row_of(k.texts);
    CHECK(row->grad_reads_in(k.needed) == k.in);
    CHECK(row->grad_reads_out(k.needed) == k.out);
  }
  const auto row = row_of("y = exp(x)");
  CHECK(row->gradient(1) == row->gradient(1));
  CHECK(row->gradient(1)->grad_args() ==
        std::vector<GradArg>{{GradArg::kOutput, 0}, {GradArg::kGradOutput, 0}});
}

TEST_CASE("expr: only floating inputs get gradients, only floating outputs give them") {
  const auto row = row_of(
      Texts{.in = "T x, int32 k, raw T r", .out = "T y, bool z", .map = "y = x * k; z = x > 0"});
  CHECK(row->differentiable() == 1);
  CHECK(row->gradient(1)->grad_args() ==
        std::vector<GradArg>{{GradArg::kInput, 1}, {GradArg::kGradOutput, 0}});
  auto e = thrown([&] { row->gradient(2); });
  CHECK(e.first == CTN_EGRAD);
  CHECK(contains(e.second, "input 'k' gets no gradient: it is int32"));
  CHECK(contains(thrown([&] { row->gradient(4); }).second, "it is a raw array"));
  CHECK(contains(thrown([&] { row->gradient(8); }).second, "there is no input 3"));
  CHECK(contains(thrown([&] { row->gradient(0); }).second, "no input is asked for"));
  // A type variable that turns out an integer stops the gradient.
  const auto mixed =
      row_of(Texts{.in = "T x, U k", .map = "y = x * 2 + (T)((U)x * k)"})->gradient(1);
  std::vector<uint8_t> dtypes;
  for (int32_t a = 0; a <= mixed->n_in(); ++a) {
    dtypes.push_back(a < mixed->n_in() && mixed->arg_type(a) == "U" ? CTN_INT32 : CTN_FLOAT64);
  }
  Arrays args;
  for (int32_t a = 0; a < mixed->n_in(); ++a)
    args.emplace_back(dtypes[static_cast<size_t>(a)], Values{3});
  CHECK(run_row(*mixed, args)[0].at(0) == 6);
}

TEST_CASE("expr: gradients that are zero say so") {
  const auto row = row_of(Texts{.in = "T x, T w", .map = "y = floor(x) * w"});
  const auto g = row->gradient(3);
  CHECK(g->zero_outputs() == 1);
  CHECK(g->grad_outputs() == std::vector<int32_t>{0, 1});
  CHECK(run_row(*row_of("y = floor(x)")->gradient(1), {}, {}, 1, CTN_FLOAT32)[0].at(0) == 0);
}

TEST_CASE("expr: an output without a gradient counts as zero") {
  const Texts t{.out = "T y, T z", .map = "y = exp(x); z = x * x"};
  Texts stated = t;
  stated.grad = "gx = gy * y + gz * (x + x) / (inf - x)";
  for (const Texts& texts : {t, stated}) {
    const auto row = row_of(texts);
    // derived: both outputs together are cheapest from x, so each alone is made from x too
    const GradArg reads =
        texts.grad.empty() ? GradArg{GradArg::kInput, 0} : GradArg{GradArg::kOutput, 0};
    CHECK(row->gradient(1, 1)->grad_args()[0] == reads);
    CHECK(row->gradient(1, 0)->zero_outputs() == 1);
    CHECK(row->gradient(1, 2)->grad_args() ==
          std::vector<GradArg>{{GradArg::kInput, 0}, {GradArg::kGradOutput, 1}});
  }
}

// A call keeps what the gradient of all outputs for the inputs that want one reads; backward may
// then ask for fewer inputs and have fewer output gradients.
TEST_CASE("expr: a gradient of some inputs and outputs reads nothing that one of all does not") {
  const Texts rows[] = {
      {.in = "T x", .out = "T y, T z", .map = "y = exp(x); z = x * x"},
      {.in = "T x", .out = "T y, T z", .map = "y = exp(x); z = tanh(x)"},
      {.in = "T a, T b", .map = "y = a / b"},
      {.in = "T a, T b", .map = "y = pow(a, b)"},
      {.in = "T a, T b, T c", .map = "y = a * exp(b) + sqrt(c)"},
      {.in = "T a, T b, T c", .out = "T y, T z", .map = "y = tanh(a) * b; z = exp(c) / (a + y)"},
  };
  for (const Texts& texts : rows) {
    const auto row = row_of(texts);
    CAPTURE(texts.map);
    const uint64_t all = row->differentiable();
    for (uint64_t kept = 1; kept <= all; ++kept) {
      const uint64_t in = row->grad_reads_in(kept), out = row->grad_reads_out(kept);
      for (uint64_t needed = 1; needed <= kept; ++needed) {
        if (needed & ~kept) continue;
        for (uint64_t given = 1; given < uint64_t{1} << row->n_out(); ++given) {
          for (const GradArg& a : row->gradient(needed, given)->grad_args()) {
            if (a.kind == GradArg::kInput) CHECK((in >> a.index & 1) == 1);
            if (a.kind == GradArg::kOutput) CHECK((out >> a.index & 1) == 1);
          }
        }
      }
    }
  }
}

TEST_CASE("expr: output gradients that pass unchanged say so") {
  const auto passes = [](const Texts& t, uint64_t needed, uint64_t given = 3) {
    return row_of(t)->gradient(needed, given)->grad_passes();
  };
  CHECK(passes({.in = "T a, T b", .map = "y = a + b"}, 3) == std::vector{0, 0});
  CHECK(passes({.in = "T a, T b", .map = "y = a - b"}, 3) == std::vector{0, -1});
  CHECK(passes({.in = "T a", .out = "T y, T z", .map = "y = -a; z = a"}, 1, 2) == std::vector{1});
  CHECK(passes({.map = "y = x * 2"}, 1) == std::vector{-1});
  CHECK(passes({.map = "y = (T)(float32)x"}, 1) == std::vector{-1});
  CHECK(passes({.in = "T x, U k", .map = "y = (T)((U)x + k)"}, 1) == std::vector{-1});
}

TEST_CASE("expr: stated gradients are used, selected from and differentiated again") {
  const Texts t{.in = "T x, T w",
                .scalars = "_ s",
                .map = "y = x * w * s",
                .grad = "T g = gy * s; gx = g * w; gw = g * x"};
  const auto row = row_of(t);
  CHECK(row->gradient(1)->grad_args() ==
        std::vector<GradArg>{{GradArg::kInput, 1}, {GradArg::kGradOutput, 0}});
  const auto g = row->gradient(3);
  CHECK(run_row(*g, {Array(CTN_FLOAT64, {2}), Array(CTN_FLOAT64, {3}), Array(CTN_FLOAT64, {1})},
                {10})[1]
            .at(0) == 20);
  const auto second = g->gradient(1);  // by x: only gw depends on it
  CHECK(second->grad_args() ==
        std::vector<GradArg>{{GradArg::kInput, 2}, {GradArg::kGradOutput, 1}});
  CHECK(run_row(*second, {Array(CTN_FLOAT64, {4}), Array(CTN_FLOAT64, {5})}, {10})[0].at(0) == 200);
  // A wrong statement is used as it stands: it is the author's.
  CHECK(run_row(*row_of(Texts{.map = "y = x", .grad = "gx = 7 * gy"})->gradient(1),
                {Array(CTN_FLOAT64, {2})})[0]
            .at(0) == 14);
  const auto partial = row_of(Texts{.in = "T x, T w", .map = "y = x * w", .grad = "gx = gy * w"});
  const auto e = thrown([&] { partial->gradient(3); });
  CHECK(e.first == CTN_EGRAD);
  CHECK(contains(e.second, "the stated gradient does not assign gw"));
}

TEST_CASE("expr: gradients of reductions are elementwise over the inputs") {
  const auto mean = row_of(Texts{.map = "x * x", .reduce = "a + b", .post = "y = a / n"});
  const auto g = mean->gradient(1);
  CHECK(!g->is_reduction());
  CHECK(g->takes_count());
  CHECK(g->n_scalars() == 1);
  CHECK(run_row(*g, {Array(CTN_FLOAT64, {1, 2, 3}), Array(CTN_FLOAT64, {6})}, {3})[0].values() ==
        Values{4, 8, 12});
  CHECK(g->gradient(1)->takes_count());
  CHECK(!row_of(Texts{.map = "x", .reduce = "a + b"})->gradient(1)->takes_count());

  const auto norm = row_of(Texts{.map = "x * x", .reduce = "a + b", .post = "y = sqrt(a)"});
  CHECK(run_row(*norm->gradient(1),
                {Array(CTN_FLOAT64, {3, 4}), Array(CTN_FLOAT64, {5}), Array(CTN_FLOAT64, {10})})[0]
            .values() == Values{6, 8});

  const auto stated =
      row_of(Texts{.map = "x", .grad = "gx = x == y ? gy / n : 0", .reduce = "max(a, b)"});
  const auto s = stated->gradient(1);
  CHECK(s->takes_count());
  CHECK(run_row(*s, {Array(CTN_FLOAT64, {3, 4}), Array(CTN_FLOAT64, {4}), Array(CTN_FLOAT64, {10})},
                {2})[0]
            .values() == Values{0, 5});

  const auto refused = [](const Texts& t) { return thrown([&] { row_of(t)->gradient(1); }); };
  auto e = refused({.map = "x", .reduce = "max(a, b)"});
  CHECK(e.first == CTN_EGRAD);
  CHECK(contains(e.second, "a reduction other than a + b needs a stated gradient"));
  e = refused({.map = "x * x", .reduce = "a + b", .post = "y = sqrt(a / n)"});
  CHECK(contains(e.second, "needs an accumulator that no output holds"));
  e = refused({.map = "x * i", .reduce = "a + b"});
  CHECK(contains(e.second, "reads i"));
}

TEST_CASE("expr: a type that only an unread argument tells is ignored or makes it read") {
  // 2 (x + w) runs in the wider of both; its gradient needs neither array.
  const auto plain = row_of(Texts{.in = "T x, U w", .map = "y = 2 * (x + w)"})->gradient(1);
  CHECK(plain->n_in() == 1);
  CHECK(run_row(*plain, {Array(CTN_FLOAT32, {3})})[0].at(0) == 6);
  // (U)x cannot be differentiated without knowing U.
  const auto row = row_of(Texts{.in = "T x, U w", .out = "T y, U z", .map = "y = (U)x * 2; z = w"});
  CHECK(row->gradient(1)->grad_args() ==
        std::vector<GradArg>{{GradArg::kInput, 1}, {GradArg::kGradOutput, 0}});
}

TEST_CASE("expr: 16-bit gradients compute in float32") {
  const std::string text =
      dump(*row_of("y = exp(x)")->gradient(1), {CTN_FLOAT16, CTN_FLOAT16, CTN_FLOAT16});
  CHECK_MESSAGE(contains(text, "mul float32"), text);
}
