// Optimizers: steps against the same arithmetic by hand, hooks, what a failing step leaves.
#include <array>
#include <cmath>

#include "net_support.h"

using namespace catena_test;

namespace {

const std::vector<int64_t> kPair = {2};
using Values = std::vector<double>;

// a/w = (1, 2) and b = (3, 4)
struct Model {
  explicit Model(ctn_context ctx, ctn_dtype dtype = kF32) : root(chain(ctx)) {
    const Net a = chain(ctx);
    w = leaf(ctx, dtype, kPair, {1, 2});
    b = leaf(ctx, dtype, kPair, {3, 4});
    REQUIRE_OK(ctn_link_add_child(root, str("a"), a));
    REQUIRE_OK(ctn_link_add_param(a, str("w"), w));
    REQUIRE_OK(ctn_link_add_param(root, str("b"), b));
  }
  void grads(const Values& gw, const Values& gb) const {
    set_grad(w, gw);
    set_grad(b, gb);
  }
  Net root;
  Var w, b;
};

void check_near(const Values& got, const Values& expected, double tolerance = 1e-6) {
  REQUIRE(got.size() == expected.size());
  for (size_t k = 0; k < got.size(); ++k) CHECK(std::abs(got[k] - expected[k]) <= tolerance);
}

int64_t count(ctn_optimizer o) {
  int64_t t = -1;
  REQUIRE_OK(ctn_optimizer_t(o, &t));
  return t;
}
int64_t count(ctn_optimizer o, const char* path) {
  int64_t t = -1;
  REQUIRE_OK(ctn_optimizer_rule_t(o, str(path), &t));
  return t;
}
Values state(ctn_optimizer o, const char* path, const char* name) {
  Arr a;
  REQUIRE_OK(ctn_optimizer_state(o, str(path), str(name), a.out()));
  return values(a);
}
ctn_status add_hook(ctn_optimizer o, const char* path, const char* hook, const char* name,
                    std::vector<ctn_value> attrs = {}, int32_t timing = CTN_TIMING_AUTO) {
  return ctn_optimizer_add_hook(o, str(path), str(hook), str(name), timing, attrs.data(),
                                static_cast<int32_t>(attrs.size()));
}

}  // namespace

TEST_CASE("a rule without states") {
  const Ctx ctx = context();
  const Model m(ctx);
  const Opt o = optimizer(ctx, "Plain");
  REQUIRE_OK(ctn_optimizer_setup(o, m.root));
  m.grads({1, 0.5}, {-1, 0});
  REQUIRE_OK(ctn_optimizer_update(o));
  check_near(values(m.w), {0.9, 1.95});
  check_near(values(m.b), {3.1, 4});
  CHECK(count(o) == 1);
  REQUIRE_OK(ctn_optimizer_set_hyper(o, str("lr"), 1));
  REQUIRE_OK(ctn_optimizer_update(o));
  check_near(values(m.w), {-0.1, 1.45});
  CHECK(hyper(o, "lr") == 1);
  double x;
  CHECK_FAILS(ctn_optimizer_get_hyper(o, str("rate"), &x), CTN_ENOTFOUND, "'rate'");
}

TEST_CASE("states, derived numbers and counts") {
  const Ctx ctx = context();
  const Model m(ctx);
  const Opt o = optimizer(ctx, "Moment", {of(0.5)});
  REQUIRE_OK(ctn_optimizer_setup(o, m.root));
  double rate = 0;
  CHECK_FAILS(ctn_optimizer_get_hyper(o, str("rate"), &rate), CTN_EINVAL, "Can't determine rate");
  Arr missing;
  CHECK_FAILS(ctn_optimizer_state(o, str("b"), str("n"), missing.out()), CTN_ENOTFOUND, "'n'");
  m.grads({1, 2}, {0, 0});
  REQUIRE_OK(ctn_optimizer_update(o));  // n = 0.5 * 1 + g, rate 0.5
  check_near(state(o, "a/w", "n"), {1.5, 2.5});
  check_near(values(m.w), {0.25, 0.75});
  CHECK(hyper(o, "rate") == 0.5);
  REQUIRE_OK(ctn_optimizer_update(o));  // rate 0.25
  check_near(state(o, "a/w", "n"), {1.75, 3.25});
  check_near(values(m.w), {0.25 - 0.4375, 0.75 - 0.8125});
  CHECK(hyper(o, "rate") == 0.25);
  CHECK(count(o, "b") == 2);
  CHECK_FAILS(ctn_optimizer_state(o, str("b"), str("top"), missing.out()), CTN_ENOTFOUND, "'top'");
  // the second form of the rule, with its own state made when it is wanted
  REQUIRE_OK(ctn_optimizer_set_hyper(o, str("high"), 1));
  m.grads({-10, 0}, {0, 0});
  REQUIRE_OK(ctn_optimizer_update(o));
  check_near(state(o, "a/w", "n"), {-9.125, 1.625});
  check_near(state(o, "a/w", "top"), {0, 1.625});
  // setup starts afresh
  REQUIRE_OK(ctn_optimizer_setup(o, m.root));
  CHECK(count(o) == 0);
  CHECK(count(o, "b") == 0);
  CHECK_FAILS(ctn_optimizer_state(o, str("b"), str("n"), missing.out()), CTN_ENOTFOUND, "'n'");
}

TEST_CASE("missing gradients count as zeros, uninitialised parameters only count") {
  const Ctx ctx = context();
  const Model m(ctx);
  const Var lazy = parameter(ctx, 7, nullptr);
  REQUIRE_OK(ctn_link_add_param(m.root, str("lazy"), lazy));
  const Opt o = optimizer(ctx, "Moment");
  REQUIRE_OK(ctn_optimizer_setup(o, m.root));
  set_grad(m.w, {1, 1});
  REQUIRE_OK(ctn_optimizer_update(o));
  check_near(state(o, "b", "n"), {0.5, 0.5});
  check_near(values(m.b), {2.95, 3.95});
  CHECK(grad(m.b) == Values{0, 0});
  CHECK(grad(lazy).empty());
  CHECK(count(o, "lazy") == 1);
  REQUIRE_OK(ctn_parameter_initialize(lazy, 1, kPair.data()));
  REQUIRE_OK(ctn_optimizer_update(o));
  CHECK(count(o, "lazy") == 2);
  check_near(state(o, "lazy", "n"), {0.5, 0.5});
  check_near(values(lazy), {7 - 0.05 * 0.5, 7 - 0.05 * 0.5});
}

TEST_CASE("rules have their own hyperparameters and switches") {
  const Ctx ctx = context();
  const Model m(ctx);
  const Opt o = optimizer(ctx, "Plain");
  CHECK_FAILS(ctn_optimizer_update(o), CTN_EINVAL, "not set up");
  REQUIRE_OK(ctn_optimizer_setup(o, m.root));
  REQUIRE_OK(ctn_optimizer_set_rule_hyper(o, str("b"), str("lr"), 1));
  double lr = 0;
  REQUIRE_OK(ctn_optimizer_get_rule_hyper(o, str("b"), str("lr"), &lr));
  CHECK(lr == 1);
  REQUIRE_OK(ctn_optimizer_get_rule_hyper(o, str("a/w"), str("lr"), &lr));
  CHECK(lr == 0.1);
  m.grads({1, 1}, {1, 1});
  REQUIRE_OK(ctn_optimizer_update(o));
  check_near(values(m.w), {0.9, 1.9});
  check_near(values(m.b), {2, 3});
  REQUIRE_OK(ctn_optimizer_enable_rule(o, str("b"), 0));
  REQUIRE_OK(ctn_optimizer_update(o));
  check_near(values(m.b), {2, 3});
  CHECK(count(o, "b") == 1);
  CHECK(count(o, "a/w") == 2);
  Net a;
  REQUIRE_OK(ctn_link_child(m.root, str("a"), a.out()));
  REQUIRE_OK(ctn_link_enable_update(a, 0));
  REQUIRE_OK(ctn_link_enable_update(m.root, 1));
  REQUIRE_OK(ctn_link_enable_update(a, 0));
  REQUIRE_OK(ctn_optimizer_update(o));
  check_near(values(m.w), {0.8, 1.8});
  check_near(values(m.b), {1, 2});
  const Var late = leaf(ctx, kF32, kPair, {0, 0});
  REQUIRE_OK(ctn_link_add_param(m.root, str("late"), late));
  CHECK_FAILS(ctn_optimizer_enable_rule(o, str("late"), 0), CTN_ENOTFOUND, "after the optimizer's");
}

TEST_CASE("hooks as data: per parameter and over all, in order of addition") {
  const Ctx ctx = context();
  for (const bool clip_first : {false, true}) {
    const Model m(ctx);
    const Opt o = optimizer(ctx, "Plain", {of(1.0)});
    CHECK_FAILS(add_hook(o, "", "Decay", "", {of(0.5)}), CTN_EINVAL, "not set up");
    REQUIRE_OK(ctn_optimizer_setup(o, m.root));
    if (clip_first) REQUIRE_OK(add_hook(o, "", "Clip", "", {of(1.0)}));
    REQUIRE_OK(add_hook(o, "", "Decay", "", {of(0.5)}));
    if (!clip_first) REQUIRE_OK(add_hook(o, "", "Clip", "", {of(1.0)}));
    m.grads({3, 0}, {0, 4});
    REQUIRE_OK(ctn_optimizer_update(o));
    Values gw = {3, 0}, gb = {0, 4};
    const auto decay = [&] {
      gw = {gw[0] + 0.5, gw[1] + 1};
      gb = {gb[0] + 1.5, gb[1] + 2};
    };
    const auto clip = [&] {
      const double norm = std::sqrt(gw[0] * gw[0] + gw[1] * gw[1] + gb[0] * gb[0] + gb[1] * gb[1]);
      for (double* g : {&gw[0], &gw[1], &gb[0], &gb[1]}) *g *= std::min(1 / norm, 1.0);
    };
    if (clip_first) clip();
    decay();
    if (!clip_first) clip();
    check_near(grad(m.w), gw);
    check_near(grad(m.b), gb);
    check_near(values(m.w), {1 - gw[0], 2 - gw[1]});
    check_near(values(m.b), {3 - gb[0], 4 - gb[1]});
  }
}

TEST_CASE("hooks of one rule, timings, names") {
  const Ctx ctx = context();
  const Model m(ctx);
  const Opt o = optimizer(ctx, "Plain", {of(1.0)});
  REQUIRE_OK(ctn_optimizer_setup(o, m.root));
  REQUIRE_OK(add_hook(o, "b", "Decay", "wd", {of(1.0)}));
  CHECK_FAILS(add_hook(o, "b", "Decay", "wd", {of(1.0)}), CTN_EINVAL, "'wd' already");
  CHECK_FAILS(add_hook(o, "b", "Clip", "", {of(1.0)}), CTN_EINVAL, "all parameters");
  CHECK_FAILS(add_hook(o, "", "Nothing", ""), CTN_ENOTFOUND, "'Nothing'");
  CHECK_FAILS(add_hook(o, "", "Decay", ""), CTN_EINVAL, "'rate'");
  CHECK_FAILS(add_hook(o, "", "Spy", "", {}, 3), CTN_EINVAL, "timing 3");
  REQUIRE_OK(add_hook(o, "", "Spy", "before"));
  REQUIRE_OK(add_hook(o, "b", "Spy", "rule"));
  REQUIRE_OK(add_hook(o, "", "Spy", "after", {}, CTN_TIMING_POST));
  m.grads({1, 1}, {1, 1});
  REQUIRE_OK(ctn_optimizer_update(o));
  check_near(values(m.w), {0, 1});
  check_near(values(m.b), {-1, -1});
  // both parameters before the step, b's own hook during it, both afterwards
  CHECK(counts().spied == std::vector<int64_t>{0, 0, 1, 1, 1});
  REQUIRE_OK(ctn_optimizer_remove_hook(o, str("b"), str("wd")));
  CHECK_FAILS(ctn_optimizer_remove_hook(o, str("b"), str("wd")), CTN_ENOTFOUND, "'wd'");
  REQUIRE_OK(ctn_optimizer_update(o));
  check_near(values(m.b), {-5, -6});  // its gradient kept the decay
  REQUIRE_OK(ctn_optimizer_setup(o, m.root));
  CHECK_FAILS(ctn_optimizer_remove_hook(o, str(""), str("before")), CTN_ENOTFOUND, "'before'");
}

TEST_CASE("a hook that runs after the rule does not change the step") {
  const Ctx ctx = context();
  const Model m(ctx);
  const Opt o = optimizer(ctx, "Plain", {of(1.0)});
  REQUIRE_OK(ctn_optimizer_setup(o, m.root));
  REQUIRE_OK(add_hook(o, "", "Decay", "", {of(1.0)}, CTN_TIMING_POST));
  REQUIRE_OK(add_hook(o, "b", "Decay", "", {of(1.0)}, CTN_TIMING_POST));
  m.grads({1, 1}, {1, 1});
  REQUIRE_OK(ctn_optimizer_update(o));
  check_near(values(m.w), {0, 1});
  check_near(grad(m.w), {1, 2});
  check_near(grad(m.b), {1 + 2 + 2, 1 + 3 + 3});
}

TEST_CASE("the host's own hooks") {
  struct Host {
    int drops = 0;
    ctn_optimizer o = nullptr;
    ctn_status inside = CTN_OK;
  } host;
  const auto call = [](void* user, const ctn_variable* in, int32_t n, ctn_variable*,
                       int32_t n_out) -> ctn_status {
    CHECK(n_out == 0);
    for (int32_t k = 0; k < n; ++k) set_grad(in[k], {double(n), double(n)});
    Host& h = *static_cast<Host*>(user);
    if (h.o) h.inside = ctn_optimizer_remove_hook(h.o, str(""), str("mine"));
    return CTN_OK;
  };
  const auto drop = [](void* user) { ++static_cast<Host*>(user)->drops; };
  const ctn_callback c = {&host, call, drop};
  {
    const Ctx ctx = context();
    const Model m(ctx);
    const Opt o = optimizer(ctx, "Plain", {of(1.0)});
    CHECK_FAILS(ctn_optimizer_add_callback(o, str(""), str("mine"), 0, &c), CTN_EINVAL, "set up");
    CHECK(host.drops == 1);
    REQUIRE_OK(ctn_optimizer_setup(o, m.root));
    REQUIRE_OK(ctn_optimizer_add_callback(o, str(""), str("mine"), 0, &c));
    host.o = o;
    REQUIRE_OK(ctn_optimizer_update(o));
    check_near(values(m.w), {-1, 0});
    CHECK(host.inside == CTN_EINVAL);  // not from inside a hook
    host.o = nullptr;
    REQUIRE_OK(ctn_optimizer_remove_hook(o, str(""), str("mine")));
    CHECK(host.drops == 2);
    REQUIRE_OK(ctn_optimizer_add_callback(o, str("b"), str("mine"), 0, &c));
    m.grads({0, 0}, {0, 0});
    REQUIRE_OK(ctn_optimizer_update(o));
    check_near(values(m.b), {3 - 2 - 1, 4 - 2 - 1});
  }
  CHECK(host.drops == 3);
}

TEST_CASE("a failing hook leaves weights, states and counts") {
  const Ctx ctx = context();
  const Model m(ctx);
  const Opt o = optimizer(ctx, "Moment");
  REQUIRE_OK(ctn_optimizer_setup(o, m.root));
  m.grads({1, 1}, {1, 1});
  REQUIRE_OK(ctn_optimizer_update(o));
  const Values w = values(m.w), n = state(o, "b", "n");
  for (const char* path : {"", "b"}) {
    REQUIRE_OK(add_hook(o, path, "Spy", ""));
    counts().spy = CTN_ECANCELLED;
    CHECK_FAILS(ctn_optimizer_update(o), CTN_ECANCELLED, "told to fail");
    counts().spy = CTN_OK;
    CHECK(values(m.w) == w);
    CHECK(state(o, "b", "n") == n);
    CHECK(count(o) == 1);
    CHECK(count(o, "b") == 1);
    REQUIRE_OK(ctn_optimizer_remove_hook(o, str(path), str("Spy")));
  }
  REQUIRE_OK(ctn_optimizer_update(o));
  CHECK(count(o, "b") == 2);
}

TEST_CASE("hooks do not write into gradients that others hold") {
  const Ctx ctx = context();
  const Model m(ctx);
  const Opt o = optimizer(ctx, "Plain", {of(1.0)});
  REQUIRE_OK(ctn_optimizer_setup(o, m.root));
  REQUIRE_OK(add_hook(o, "", "Decay", "", {of(1.0)}));
  const Var one = leaf(ctx, kF32, kPair, {1, 1});  // both parameters share it, as after y = w + b
  REQUIRE_OK(ctn_variable_set_grad(m.w, one));
  REQUIRE_OK(ctn_variable_set_grad(m.b, one));
  REQUIRE_OK(ctn_optimizer_update(o));
  CHECK(values(one) == Values{1, 1});
  check_near(values(m.w), {-1, -1});
  check_near(values(m.b), {-1, -1});
}

TEST_CASE("the loss scale of backward divides stored gradients, after the optimizer's hooks") {
  const Ctx ctx = context();
  const Net root = chain(ctx);
  std::vector<Var> params;
  for (const char* name : {"w", "b"}) {
    Var p;
    REQUIRE_OK(ctn_variable_new(array(ctx, kF32, kPair, {1, 2}), 1, p.out()));
    REQUIRE_OK(ctn_link_add_param(root, str(name), p));
    params.push_back(std::move(p));
  }
  const ctn_variable w = params[0], b = params[1];
  const Opt o = optimizer(ctx, "Plain", {of(1.0)});
  REQUIRE_OK(ctn_optimizer_setup(o, root));
  REQUIRE_OK(add_hook(o, "", "Decay", "", {of(8.0)}));
  REQUIRE_OK(add_hook(o, "b", "Decay", "", {of(1.0)}));
  const auto back = [&](ctn_variable p, double scale) {
    ctn_kernel_source source{};
    source.size = sizeof source;
    source.name = str("total");
    source.in = str("T x");
    source.out = str("T y");
    source.map = str("x");
    source.reduce = str("a + b");
    source.post = str("y = a");
    source.identity = str("0");
    ctn_kernel total = nullptr;
    REQUIRE_OK(ctn_kernel_create(ctx, &source, &total));
    Var y;
    REQUIRE_OK(ctn_kernel_call(total, &p, 1, nullptr, 0, 0, y.out(), 1));
    ctn_backward_options options{};
    options.size = sizeof options;
    options.loss_scale = scale;
    REQUIRE_OK(ctn_variable_backward(y, &options));
    ctn_kernel_release(total);
  };
  back(w, 8);
  back(b, 8);
  CHECK(grad(w) == Values{8, 8});
  REQUIRE_OK(ctn_optimizer_update(o));
  check_near(grad(w), {(8 + 8) / 8, (8 + 16) / 8});
  check_near(grad(b), {(8 + 8) / 8 + 1, (8 + 16) / 8 + 2});
  check_near(values(w), {-1, -1});
  check_near(values(b), {-2, -3});
  REQUIRE_OK(ctn_optimizer_remove_hook(o, str(""), str("Decay")));
  REQUIRE_OK(ctn_optimizer_update(o));  // the scale is not in the gradient any more
  check_near(values(w), {-3, -4});
  // what a loop shall use is only kept
  REQUIRE_OK(ctn_optimizer_set_loss_scale(o, 4));
  double scale = 0;
  REQUIRE_OK(ctn_optimizer_loss_scale(o, &scale));
  CHECK(scale == 4);
  set_grad(w, {1, 1});
  REQUIRE_OK(ctn_optimizer_update(o));
  check_near(values(w), {-4, -5});
  CHECK_FAILS(ctn_optimizer_set_loss_scale(o, -1), CTN_EINVAL, "loss scale");
}

TEST_CASE("float16 parameters are updated through float32 copies where asked") {
  const Ctx ctx = context();
  const Model m(ctx, kF16);
  const Opt o = optimizer(ctx, "Moment", {of(std::ldexp(1.0, -12)), of(1.0)});
  REQUIRE_OK(ctn_optimizer_setup(o, m.root));
  REQUIRE_OK(ctn_optimizer_use_fp32_update(o, 1));
  // steps of 2^-12 of 1 are lost in float16, but not in the copy
  REQUIRE_OK(ctn_optimizer_set_hyper(o, str("decay"), 0));
  for (int k = 1; k <= 4; ++k) {
    REQUIRE_OK(ctn_optimizer_set_hyper(o, str("lr"), k * std::ldexp(1.0, -12)));
    m.grads({1, 0}, {0, 0});
    REQUIRE_OK(ctn_optimizer_update(o));
  }
  CHECK(values(m.w) == Values{1 - std::ldexp(1.0, -10), 2});
  Arr n;
  REQUIRE_OK(ctn_optimizer_state(o, str("a/w"), str("n"), n.out()));
  ctn_dltensor t;
  REQUIRE_OK(ctn_array_view(n, &t));
  CHECK(t.dtype.bits == 32);
  // who sets the parameter sets the copy
  REQUIRE_OK(ctn_variable_set_array(m.w, array(ctx, kF16, kPair, {8, 8})));
  m.grads({0, 0}, {0, 0});
  REQUIRE_OK(ctn_optimizer_update(o));
  CHECK(values(m.w) == Values{8, 8});
  Arr own;
  REQUIRE_OK(ctn_variable_array(m.w, own.out()));
  const ctn_value five = of(5.0);
  REQUIRE_OK(ctn_array_fill(own, &five));
  REQUIRE_OK(ctn_optimizer_update(o));
  CHECK(values(m.w) == Values{5, 5});
}

TEST_CASE("a divisor's guard must not vanish in the dtype") {
  const Ctx ctx = context();
  const Model half(ctx, kF16);
  const Opt o = optimizer(ctx, "Moment", {of(0.1), of(0.5), ctn_value(), of(1e-8)});
  REQUIRE_OK(ctn_optimizer_setup(o, half.root));
  half.grads({1, 1}, {1, 1});
  CHECK_FAILS(ctn_optimizer_update(o), CTN_EINVAL,
              "eps of Moment optimizer is too small for float16 (1e-08)");
  CHECK(values(half.w) == Values{1, 2});
  CHECK(count(o, "b") == 0);
  REQUIRE_OK(ctn_optimizer_set_hyper(o, str("eps"), 0));
  CHECK_OK(ctn_optimizer_update(o));
  const Model single(ctx);
  REQUIRE_OK(ctn_optimizer_set_hyper(o, str("eps"), 1e-8));
  REQUIRE_OK(ctn_optimizer_setup(o, single.root));
  CHECK_OK(ctn_optimizer_update(o));
}

TEST_CASE("parameters that share memory, are strided, or have two names") {
  const Ctx ctx = context();
  const Net root = chain(ctx);
  const Arr both = array(ctx, kF32, {2, 2}, {1, 2, 3, 4});
  const int64_t shape[] = {2, 2}, swapped[] = {1, 2};
  Arr transposed;
  REQUIRE_OK(ctn_array_strided(both, 2, shape, swapped, 0, transposed.out()));
  Var a, b;
  REQUIRE_OK(ctn_variable_new(both, 1, a.out()));
  REQUIRE_OK(ctn_variable_new(transposed, 1, b.out()));
  REQUIRE_OK(ctn_link_add_param(root, str("a"), a));
  REQUIRE_OK(ctn_link_add_param(root, str("b"), b));
  REQUIRE_OK(ctn_link_add_param(root, str("again"), a));
  const Opt o = optimizer(ctx, "Moment", {of(1.0), of(0.0)});
  REQUIRE_OK(ctn_optimizer_setup(o, root));
  set_grad(a, {1, 0, 0, 0});
  set_grad(b, {0, 10, 0, 0});
  REQUIRE_OK(ctn_optimizer_update(o));
  CHECK(values(both) == Values{0, 2, 3 - 10, 4});
  CHECK(count(o, "again") == 1);
}

TEST_CASE("dtypes mix, gradients must fit") {
  const Ctx ctx = context();
  const Net root = chain(ctx);
  const Var f32 = leaf(ctx, kF32, kPair, {1, 1}), f64 = leaf(ctx, kF64, {1}, {1});
  const Var empty = leaf(ctx, kF32, {0, 3}, {});
  REQUIRE_OK(ctn_link_add_param(root, str("x"), f32));
  REQUIRE_OK(ctn_link_add_param(root, str("y"), f64));
  REQUIRE_OK(ctn_link_add_param(root, str("z"), empty));
  const Opt o = optimizer(ctx, "Plain");
  REQUIRE_OK(ctn_optimizer_setup(o, root));
  set_grad(f32, {1, 1});
  set_grad(f64, {1});
  REQUIRE_OK(add_hook(o, "", "Clip", "", {of(100.0)}));
  REQUIRE_OK(ctn_optimizer_update(o));
  check_near(values(f32), {0.9, 0.9});
  CHECK(values(f64) == Values{0.9});
  // the array was replaced by one of another shape, the gradient stayed
  REQUIRE_OK(ctn_variable_set_array(f32, array(ctx, kF32, {3}, {1, 1, 1})));
  REQUIRE_OK(ctn_optimizer_remove_hook(o, str(""), str("Clip")));
  CHECK_FAILS(ctn_optimizer_update(o), CTN_ESHAPE, "parameter 'x'");
  CHECK(values(f64) == Values{0.9});
}

TEST_CASE("without memory for states nothing changes") {
  ctn_context_options options{};
  options.memory_limit = 64 << 20;
  const Ctx ctx = context(options);
  const Net root = chain(ctx);
  const std::vector<int64_t> large = {1 << 20};
  const Var a = parameter(ctx, 1, &large), b = parameter(ctx, 2, &large);
  REQUIRE_OK(ctn_link_add_param(root, str("a"), a));
  REQUIRE_OK(ctn_link_add_param(root, str("b"), b));
  for (const ctn_variable v : {ctn_variable(a), ctn_variable(b)}) {
    Arr g;
    Var gv;
    const ctn_value one = of(1.0);
    REQUIRE_OK(ctn_array_full(ctx, kF32, 1, large.data(), &one, g.out()));
    REQUIRE_OK(ctn_variable_new(g, 0, gv.out()));
    REQUIRE_OK(ctn_variable_set_grad(v, gv));
  }
  const Opt o = optimizer(ctx, "Moment");
  REQUIRE_OK(ctn_optimizer_setup(o, root));
  ctn_memory_stats stats{};
  stats.size = sizeof stats;
  REQUIRE_OK(ctn_memory_trim(ctx));
  REQUIRE_OK(ctn_memory_get_stats(ctx, &stats));
  // room for one of the two states
  REQUIRE_OK(ctn_memory_set_limit(ctx, stats.held + (6u << 20)));
  CHECK(ctn_optimizer_update(o) == CTN_ENOMEM);
  CHECK(count(o) == 0);
  CHECK(count(o, "a") == 0);
  REQUIRE_OK(ctn_memory_set_limit(ctx, 0));
  CHECK(values(a)[0] == 1);
  REQUIRE_OK(ctn_optimizer_update(o));
  CHECK(count(o, "a") == 1);
  CHECK(values(a)[0] == doctest::Approx(1 - 0.1 * 1.5));
}

TEST_CASE("epochs are counted by hand") {
  const Ctx ctx = context();
  const Opt o = optimizer(ctx, "Plain");
  int64_t epoch = -1;
  REQUIRE_OK(ctn_optimizer_epoch(o, &epoch));
  CHECK(epoch == 0);
  REQUIRE_OK(ctn_optimizer_new_epoch(o, &epoch));
  CHECK(epoch == 1);
  REQUIRE_OK(ctn_optimizer_new_epoch(o, nullptr));
  REQUIRE_OK(ctn_optimizer_epoch(o, &epoch));
  CHECK(epoch == 2);
}
