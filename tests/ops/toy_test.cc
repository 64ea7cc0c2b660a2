// An op that is one row of a schema file: registered from a plugin, called, differentiated twice,
// all through the C interface.
#include <catena/catena.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "backend.h"
#include "main.h"

namespace {

ctn_str str(std::string_view s) { return {s.data(), s.size()}; }

#define OK(call) REQUIRE_MESSAGE((call) == CTN_OK, std::string(ctn_error_message()))

// Where it was built, or CATENA_TOY_PLUGIN: the program may have been carried to another machine.
std::string toy_plugin() {
  const char* const carried = std::getenv("CATENA_TOY_PLUGIN");
  return carried && *carried ? carried : TOY_PLUGIN;
}

// Handles released when the case ends.
struct Case {
  ctn_context ctx = nullptr;
  std::vector<ctn_variable> variables;

  Case() {
    ctn_context_options options{};
    options.size = sizeof options;
    options.device = str(catena_test::backend());
    OK(ctn_context_create(&options, &ctx));
    OK(ctn_plugin_load(str(toy_plugin())));
  }
  ~Case() {
    for (ctn_variable v : variables) ctn_variable_release(v);
    ctn_context_release(ctx);
  }
  ctn_variable keep(ctn_variable v) {
    variables.push_back(v);
    return v;
  }
  ctn_variable variable(const std::vector<double>& values) {
    const auto n = static_cast<int64_t>(values.size());
    ctn_array a = nullptr;
    ctn_variable v = nullptr;
    OK(ctn_array_from_host(ctx, {CTN_DT_FLOAT, 64, 1}, 1, &n, values.data(), &a));
    const ctn_status status = ctn_variable_new(a, 1, &v);
    ctn_array_release(a);
    OK(status);
    return keep(v);
  }
  std::vector<double> values(ctn_variable v) {
    ctn_dltensor t;
    OK(ctn_variable_view(v, &t));
    std::vector<double> out(static_cast<size_t>(t.shape[0]));
    ctn_array a = nullptr;
    OK(ctn_variable_array(v, &a));
    const ctn_status status = ctn_array_to_host(a, out.data(), out.size() * sizeof(double));
    ctn_array_release(a);
    OK(status);
    return out;
  }
  ctn_variable call(ctn_variable x) {
    ctn_variable y = nullptr;
    OK(ctn_call_named(ctx, str("softsign"), &x, 1, nullptr, 0, &y, 1));
    return keep(y);
  }
  ctn_variable gradient(ctn_variable y, ctn_variable x, ctn_variable gy, bool again) {
    ctn_grad_options options{};
    options.size = sizeof options;
    options.enable_double_backprop = again;
    options.grad_outputs = &gy;
    ctn_variable gx = nullptr;
    OK(ctn_grad_of(&y, 1, &x, 1, &options, &gx));
    REQUIRE(gx != nullptr);
    return keep(gx);
  }
};

const std::vector<double> kPoints = {-3, -0.5, -1e-3, 2e-3, 0.25, 4};

template <class Function>
void check_values(const std::vector<double>& found, Function&& expected) {
  REQUIRE(found.size() == kPoints.size());
  for (size_t i = 0; i < found.size(); ++i)
    CHECK(found[i] == doctest::Approx(expected(kPoints[i])).epsilon(1e-12));
}

}  // namespace

TEST_CASE("an op of one row computes, and has derivatives of two orders") {
  Case c;
  const ctn_variable x = c.variable(kPoints);
  const ctn_variable ones = c.variable(std::vector<double>(kPoints.size(), 1.0));
  const ctn_variable y = c.call(x);
  check_values(c.values(y), [](double v) { return v / (1 + std::fabs(v)); });
  const ctn_variable gx = c.gradient(y, x, ones, true);
  check_values(c.values(gx), [](double v) { return 1 / std::pow(1 + std::fabs(v), 2); });
  const ctn_variable ggx = c.gradient(gx, x, ones, false);
  check_values(c.values(ggx),
               [](double v) { return (v < 0 ? 2 : -2) / std::pow(1 + std::fabs(v), 3); });
}

TEST_CASE("a reduction that declares axis and keepdims has them, and a derivative") {
  Case c;
  const std::vector<double> numbers = {1, 2, 3, 4, 5, 6};
  const int64_t shape[] = {2, 3};
  ctn_array a = nullptr;
  ctn_variable x = nullptr, y = nullptr;
  OK(ctn_array_from_host(c.ctx, {CTN_DT_FLOAT, 64, 1}, 2, shape, numbers.data(), &a));
  const ctn_status made = ctn_variable_new(a, 1, &x);
  ctn_array_release(a);
  OK(made);
  c.keep(x);
  ctn_attr axis{};
  axis.name = str("axis");
  axis.value.kind = CTN_INT;
  axis.value.u.i = 1;
  OK(ctn_call_named(c.ctx, str("mean_square"), &x, 1, &axis, 1, &y, 1));
  c.keep(y);
  CHECK(c.values(y) == std::vector<double>{14.0 / 3, 77.0 / 3});
  const ctn_variable gx = c.gradient(y, x, c.variable({3, 30}), false);
  OK(ctn_variable_array(gx, &a));
  std::vector<double> slopes(6);
  const ctn_status read = ctn_array_to_host(a, slopes.data(), 6 * sizeof(double));
  ctn_array_release(a);
  OK(read);
  CHECK(slopes == std::vector<double>{2, 4, 6, 80, 100, 120});
}

TEST_CASE("an op of one row is described by the registry") {
  Case c;
  ctn_str json{};
  OK(ctn_schema_json(&json));
  const std::string_view text(json.p, json.n);
  CHECK(text.find("\"softsign\"") != text.npos);
  CHECK(text.find("x / (1 + |x|).") != text.npos);
}

TEST_CASE("an op of one row refuses integers in Chainer's words") {
  Case c;
  const int64_t n = 2;
  const int32_t values[2] = {1, 2};
  ctn_array a = nullptr;
  ctn_variable x = nullptr, y = nullptr;
  OK(ctn_array_from_host(c.ctx, {CTN_DT_INT, 32, 1}, 1, &n, values, &a));
  const ctn_status made = ctn_variable_new(a, 0, &x);
  ctn_array_release(a);
  OK(made);
  c.keep(x);
  CHECK(ctn_call_named(c.ctx, str("softsign"), &x, 1, nullptr, 0, &y, 1) == CTN_EDTYPE);
  CHECK(y == nullptr);
  const std::string_view text = ctn_error_message();
  CHECK(text.find("Invalid operation is performed in: softsign (Forward)") != text.npos);
  CHECK(text.find("Actual: i != f") != text.npos);
}
