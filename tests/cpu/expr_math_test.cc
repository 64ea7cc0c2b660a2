// The mathematics of the cpu backend against the C library in long double: errors in units in the
// last place over a fine comb of all float32 values, and every special case exactly.
#include "cpu/expr_support.h"
#include "main.h"

namespace cpu_test {
namespace {

using catena::cpu::compile_program;
using catena::cpu::launch_program;
using catena::cpu::loops_of;

using Exact = long double (*)(long double);
long double sigmoid(long double x) { return 1 / (1 + std::exp(-x)); }
long double rsqrt(long double x) { return 1 / std::sqrt(x); }

struct Function {
  const char* name;
  Exact exact;
  double bound;  // units in the last place
};
constexpr Function kFunctions[] = {
    {"exp", std::exp, 1.0},
    {"expm1", std::expm1, 0.51},
    {"exp2", std::exp2, 0.51},
    {"log", std::log, 0.9},
    {"log1p", std::log1p, 0.51},
    {"log2", std::log2, 0.51},
    {"log10", std::log10, 0.51},
    {"sin", std::sin, 0.6},  // 0.51 up to a million, the C library's beyond
    {"cos", std::cos, 0.6},
    {"tan", std::tan, 0.9},
    {"sinh", std::sinh, 0.51},
    {"cosh", std::cosh, 0.51},
    {"tanh", std::tanh, 1.5},
    {"sigmoid", sigmoid, 2.0},
    {"erf", std::erf, 0.52},
    {"sqrt", std::sqrt, 0.5},
    {"rsqrt", rsqrt, 1.5},
    // served by the C library
    {"asin", std::asin, 1.5},
    {"acos", std::acos, 1.5},
    {"atan", std::atan, 1.5},
    {"erfc", std::erfc, 4.0},
    {"lgamma", std::lgamma, 5.0},
};

// What is wrong with `got` as the rounded `exact`; the error in units goes to `worst`.
std::string judge(float got, long double exact, double bound, double& worst) {
  if (std::isnan(exact)) return std::isnan(got) ? "" : "is not NaN";
  if (std::isnan(got)) return "is NaN";
  if (exact == 0 || std::isinf(exact)) {
    const bool same =
        static_cast<long double>(got) == exact && std::signbit(got) == std::signbit(exact);
    return same ? "" : "is not exact";
  }
  const long double magnitude = std::fabs(exact);
  constexpr long double kMax = 0x1.fffffep127L;
  if (std::isinf(got)) {
    return std::signbit(got) == std::signbit(exact) && magnitude > kMax * (1 - 0x1p-23L)
               ? ""
               : "is infinite";
  }
  const int exponent = std::max(std::ilogb(magnitude), -126);
  const auto error = static_cast<double>(std::fabs(static_cast<long double>(got) - exact) /
                                         std::ldexp(1.0L, exponent - 23));
  worst = std::max(worst, error);
  return error <= bound ? "" : "is " + std::to_string(error) + " units off";
}

std::string describe(float x, float got, long double exact, const std::string& verdict) {
  char text[160];
  std::snprintf(text, sizeof text, "at %a (%g): %a, exact %La ", static_cast<double>(x),
                static_cast<double>(x), static_cast<double>(got), exact);
  return text + verdict;
}

// Every `step`-th float32 and everything around the values where the cases change.
std::vector<float> comb(uint32_t step) {
  std::vector<float> values;
  const auto add = [&values](uint32_t bits) {
    float f = 0;
    std::memcpy(&f, &bits, sizeof f);
    values.push_back(f);
  };
  for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += step) add(static_cast<uint32_t>(bits));
  static constexpr float kEdges[] = {
      0.0f,        1.0f,       -1.0f,     0.5f,       2.0f,       0.625f,
      4.0f,        10.0f,      88.72284f, 89.0f,      -87.33655f, -103.97208f,
      -104.0f,     9.010913f,  1e6f,      1.5707964f, 3.1415927f, 0.7853982f,
      0.70710677f, 1.4142135f, 1e-20f,    0x1p-126f,  0x1p-149f,  0x1.fffffep127f,
      INFINITY,    -INFINITY,  NAN,       128.0f,     -149.0f};
  for (const float edge : kEdges) {
    for (const float sign : {1.0f, -1.0f}) {
      uint32_t bits = 0;
      const float v = edge * sign;
      std::memcpy(&bits, &v, sizeof v);
      for (uint32_t k = 0; k < 64; ++k) {
        add(bits + k);
        add(bits - k);
      }
    }
  }
  return values;
}

std::vector<float> evaluate(const ctn_form& form, Isa isa,
                            const std::vector<std::vector<float>>& in) {
  std::vector<float> out(in[0].size());
  std::vector<void*> data;
  for (const auto& v : in) data.push_back(const_cast<float*>(v.data()));
  data.push_back(out.data());
  const std::vector<int64_t> strides(data.size(), 4);
  const auto shape = static_cast<int64_t>(out.size());
  FakeExec exec;
  ctn_launch l{};
  l.size = sizeof l;
  l.ndim = 1;
  l.shape = &shape;
  l.data = data.data();
  l.strides = strides.data();
  l.exec = reinterpret_cast<ctn_exec>(&exec);
  const auto program = compile_program(fake_host(), loops_of(isa), form);
  REQUIRE(launch_program(*program, &l, 1) == CTN_OK);
  return out;
}

TEST_CASE("functions of one float32") {
  const std::vector<float> x = comb(20011);
  for (const Function& f : kFunctions) {
    const std::string map = std::string("y = ") + f.name + "(x)";
    const auto form = form_of(source_of("T x", "T y", map.c_str()), {CTN_FLOAT32, CTN_FLOAT32});
    std::vector<long double> exact(x.size());
    for (size_t k = 0; k < x.size(); ++k) exact[k] = f.exact(static_cast<long double>(x[k]));
    for (const Isa isa : available_isas()) {
      const std::vector<float> y = evaluate(form->c(), isa, {x});
      double worst = 0;
      int wrong = 0;
      for (size_t k = 0; k < x.size(); ++k) {
        const std::string verdict = judge(y[k], exact[k], f.bound, worst);
        if (verdict.empty() || ++wrong > 5) continue;
        FAIL_CHECK(std::string(f.name), " on ", std::string(catena::cpu::isa_name(isa)), " ",
                   describe(x[k], y[k], exact[k], verdict));
      }
      MESSAGE(std::string(f.name), " on ", std::string(catena::cpu::isa_name(isa)), ": ", worst,
              " units");
    }
  }
}

TEST_CASE("powers of float32") {
  const std::vector<float> some = comb(40000003);
  std::vector<float> x, y;
  for (const float a : some) {
    for (size_t k = 0; k < some.size(); k += 13) {
      x.push_back(a);
      y.push_back(some[k]);
    }
    for (const float b :
         {0.0f, -0.0f, 1.0f, -1.0f, 2.0f, 3.0f, 0.5f, -3.0f, 1e9f, -1e9f, INFINITY, -INFINITY}) {
      x.push_back(a);
      y.push_back(b);
    }
  }
  Random random(4);
  for (int k = 0; k < 200000; ++k) {  // results of ordinary size
    const auto base =
        static_cast<float>(std::exp2(std::uniform_real_distribution<>(-100, 100)(random)));
    const auto power =
        std::uniform_real_distribution<>(-126, 128)(random) / std::log2(static_cast<double>(base));
    x.push_back(base);
    y.push_back(static_cast<float>(power));
  }
  const auto form = form_of(source_of("T x, T p", "T y", "y = pow(x, p)"), {10, 10, 10});
  for (const Isa isa : available_isas()) {
    const std::vector<float> got = evaluate(form->c(), isa, {x, y});
    double worst = 0;
    int wrong = 0;
    for (size_t k = 0; k < x.size(); ++k) {
      const long double exact =
          std::pow(static_cast<long double>(x[k]), static_cast<long double>(y[k]));
      // where long double underflows further than float, the sign of zero is all there is
      const std::string verdict = judge(got[k], exact, 0.52, worst);
      if (verdict.empty() || ++wrong > 5) continue;
      FAIL_CHECK("pow(.., ", y[k], ") on ", std::string(catena::cpu::isa_name(isa)), " ",
                 describe(x[k], got[k], exact, verdict));
    }
    MESSAGE("pow on ", std::string(catena::cpu::isa_name(isa)), ": ", worst, " units");
  }
}

}  // namespace
}  // namespace cpu_test
