// Variables: their gradient, name, slot and place in the graph, and how the graph is cut. Who
// keeps what alive is in handles_test.cc.
#include <cmath>

#include "support.h"

using namespace capi_test;

namespace {

std::string name_of(ctn_variable v) {
  ctn_str s{};
  REQUIRE_OK(ctn_variable_name(v, &s));
  return {s.p, s.n};
}

struct Creator {
  int32_t op = -7, n = -7;
  std::string name;
  std::vector<Var> in;

  explicit Creator(ctn_variable v) {
    ctn_variable room[4] = {};
    REQUIRE_OK(ctn_variable_creator(v, &op, room, 4, &n));
    for (int32_t i = 0; i < n && i < 4; ++i) in.emplace_back(room[i]);
    ctn_str s{};
    if (op < 0) return;
    REQUIRE_OK(ctn_op_name(op, &s));
    name.assign(s.p, s.n);
  }
};

ctn_variable const kNowhere = untouched<ctn_variable_s>();

}  // namespace

TEST_CASE("a variable is a leaf over its array") {
  const Ctx ctx = context();
  const Arr a = array<float>(ctx, {1, 2, 3});
  for (const int32_t wants : {0, 1}) {
    const Var v = variable(a, wants);
    CHECK(ctn_variable_requires_grad(v) == wants);
    CHECK(ctn_variable_rank(v) == 0);
    CHECK(ctn_variable_context(v) == ctx);
    Arr same;
    REQUIRE_OK(ctn_variable_array(v, same.out()));
    CHECK(static_cast<ctn_array>(same) == static_cast<ctn_array>(a));
    ctn_dltensor t{};
    REQUIRE_OK(ctn_variable_view(v, &t));
    CHECK(t.data == view(a).data);
    CHECK(Creator(v).op == -1);
    CHECK(Creator(v).n == 0);
    CHECK(name_of(v).empty());
    CHECK(grad(v).empty());
    CHECK(ctn_variable_user(v) == nullptr);
  }
  const Var any = variable(a, 17);
  CHECK(ctn_variable_requires_grad(any) == 1);
}

TEST_CASE("another array takes the place of a variable's") {
  const Ctx ctx = context(), other = context();
  const Var v = variable(ctx, {1, 2});
  REQUIRE_OK(ctn_variable_set_array(v, array<float>(ctx, {3, 4, 5})));
  CHECK(values(v) == Floats{3, 4, 5});
  const Arr eight = array<float>(ctx, Floats(2, 6), {1, 1, 1, 1, 1, 1, 1, 2});
  REQUIRE_OK(ctn_variable_set_array(v, eight));
  REQUIRE_OK(ctn_variable_set_grad(v, variable(eight)));
  CHECK(grad(v) == Floats{6, 6});
  CHECK_FAILS(ctn_variable_set_array(v, array<float>(other, {1})), CTN_EINVAL, "context");
  CHECK_FAILS(ctn_variable_set_array(v, nullptr), CTN_EINVAL, "array is NULL");
  CHECK_FAILS(ctn_variable_set_array(nullptr, eight), CTN_EINVAL, "variable is NULL");
  CHECK(values(v) == Floats{6, 6});
}

TEST_CASE("a gradient is set, read, added to and cleared") {
  const Ctx ctx = context();
  const Var x = variable(ctx, {1, 2}), g = variable(ctx, {10, 20});
  Var got;
  REQUIRE_OK(ctn_variable_grad(x, got.out()));
  CHECK(static_cast<ctn_variable>(got) == nullptr);
  REQUIRE_OK(ctn_variable_set_grad(x, g));
  REQUIRE_OK(ctn_variable_grad(x, got.out()));
  CHECK(static_cast<ctn_variable>(got) == static_cast<ctn_variable>(g));
  REQUIRE_OK(ctn_variable_add_grad(x, variable(ctx, {1, 1})));
  CHECK(grad(x) == Floats{11, 21});
  CHECK(values(g) == Floats{10, 20});  // a sum of its own
  REQUIRE_OK(ctn_variable_clear_grad(x));
  CHECK(grad(x).empty());
  REQUIRE_OK(ctn_variable_add_grad(x, g));
  CHECK(grad(x) == Floats{10, 20});
  REQUIRE_OK(ctn_variable_set_grad(x, nullptr));
  CHECK(grad(x).empty());
  REQUIRE_OK(ctn_variable_clear_grad(x));
}

TEST_CASE("a gradient of other shape, dtype or context is refused and the old one stays") {
  const Ctx ctx = context(), other = context();
  const Var x = variable(ctx, {1, 2}), three = variable(ctx, {1, 2, 3});
  const Var wide = variable(array<double>(ctx, {1, 2})), foreign = variable(other, {1, 2});
  const Var row = variable(array<float>(ctx, {1, 2}, {1, 2}));
  for (const bool has_one : {false, true}) {
    if (has_one) REQUIRE_OK(ctn_variable_set_grad(x, variable(ctx, {5, 5})));
    for (const auto change : {ctn_variable_set_grad, ctn_variable_add_grad}) {
      CHECK_FAILS(change(x, three), CTN_ESHAPE, "(3,)");
      CHECK_FAILS(change(x, row), CTN_ESHAPE, "(1, 2)");
      CHECK_FAILS(change(x, wide), CTN_EDTYPE, "float64");
      CHECK_FAILS(change(x, foreign), CTN_EINVAL, "context");
      CHECK_FAILS(change(nullptr, x), CTN_EINVAL, "variable is NULL");
      CHECK_FAILS(change(x, x), CTN_EINVAL, "the gradient is the variable itself");
    }
    CHECK_FAILS(ctn_variable_add_grad(x, nullptr), CTN_EINVAL, "NULL");
    CHECK(grad(x) == (has_one ? Floats{5, 5} : Floats{}));
  }
  ctn_variable out = kNowhere;
  CHECK_FAILS(ctn_variable_grad(nullptr, &out), CTN_EINVAL, "variable is NULL");
  CHECK_FAILS(ctn_variable_grad(x, nullptr), CTN_EINVAL, "out is NULL");
  CHECK(out == kNowhere);
}

TEST_CASE("a name is copied and may be anything") {
  const Ctx ctx = context();
  const Var v = variable(ctx, {1});
  std::string name = "weight";
  REQUIRE_OK(ctn_variable_set_name(v, str(name)));
  name = "other!";
  CHECK(name_of(v) == "weight");
  const std::string_view odd("a\0\xc3\xa4", 4);
  REQUIRE_OK(ctn_variable_set_name(v, str(odd)));
  CHECK(name_of(v) == odd);
  REQUIRE_OK(ctn_variable_set_name(v, {nullptr, 0}));
  CHECK(name_of(v).empty());
  ctn_str out{nullptr, 77};
  CHECK_FAILS(ctn_variable_set_name(nullptr, str("x")), CTN_EINVAL, "variable is NULL");
  CHECK_FAILS(ctn_variable_name(nullptr, &out), CTN_EINVAL, "variable is NULL");
  CHECK_FAILS(ctn_variable_name(v, nullptr), CTN_EINVAL, "out is NULL");
  CHECK(out.n == 77);
}

TEST_CASE("creator and rank tell how a variable was made") {
  const Ctx ctx = context();
  const Var x = variable(ctx, {1, 2}), z = variable(ctx, {3, 4});
  const Var y = call(ctx, "add2", {call(ctx, "square", {x}), z});
  CHECK(ctn_variable_rank(y) == 2);
  CHECK(ctn_variable_rank(nullptr) == 0);
  CHECK(ctn_variable_requires_grad(y) == 1);
  CHECK(ctn_variable_requires_grad(nullptr) == 0);
  CHECK(ctn_variable_context(nullptr) == nullptr);
  const Creator add(y);
  CHECK(add.name == "add2");
  REQUIRE(add.n == 2);
  CHECK(static_cast<ctn_variable>(add.in[1]) == static_cast<ctn_variable>(z));
  const Creator square(add.in[0]);
  CHECK(square.name == "square");
  CHECK(static_cast<ctn_variable>(square.in[0]) == static_cast<ctn_variable>(x));

  ctn_variable room[3] = {kNowhere, kNowhere, kNowhere};
  int32_t op = -7, n = -7;
  REQUIRE_OK(ctn_variable_creator(y, &op, room, 1, &n));  // as many as there is room for
  CHECK(n == 2);
  CHECK(room[1] == kNowhere);
  ctn_variable_release(room[0]);
  REQUIRE_OK(ctn_variable_creator(y, nullptr, nullptr, 0, &n));
  CHECK(n == 2);
  REQUIRE_OK(ctn_variable_creator(y, nullptr, nullptr, 0, nullptr));
  op = n = -7;
  room[0] = kNowhere;
  CHECK_FAILS(ctn_variable_creator(y, &op, room, -1, &n), CTN_EINVAL, "-1");
  CHECK_FAILS(ctn_variable_creator(y, &op, nullptr, 2, &n), CTN_EINVAL, "in is NULL");
  CHECK_FAILS(ctn_variable_creator(nullptr, &op, room, 2, &n), CTN_EINVAL, "variable is NULL");
  CHECK(op == -7);
  CHECK(n == -7);
  CHECK(room[0] == kNowhere);
}

TEST_CASE("a variable that nothing differentiable made is a leaf") {
  const Ctx ctx = context();
  const Var constant = variable(ctx, {1, 2}, 0);
  const Var y = call(ctx, "square", {constant});
  CHECK(ctn_variable_requires_grad(y) == 0);
  CHECK(ctn_variable_rank(y) == 0);
  CHECK(Creator(y).op == -1);
  REQUIRE_OK(ctn_variable_backward(y, nullptr));  // no history: nothing
  CHECK(grad(constant).empty());
}

TEST_CASE("unchain cuts behind one variable") {
  const Ctx ctx = context();
  const Var x = variable(ctx, {3});
  const Var h = call(ctx, "square", {x}), y = call(ctx, "square", {h}), z = call(ctx, "neg", {h});
  REQUIRE_OK(ctn_variable_unchain(h));
  CHECK(Creator(h).op == -1);
  CHECK(ctn_variable_rank(h) == 0);
  REQUIRE_OK(ctn_variable_backward(y, nullptr));
  CHECK(grad(h) == Floats{18});
  CHECK(grad(x).empty());
  CHECK(Creator(y).name == "square");
  CHECK(Creator(z).name == "neg");
  REQUIRE_OK(ctn_variable_unchain(x));  // a leaf: nothing to cut
  CHECK_FAILS(ctn_variable_unchain(nullptr), CTN_EINVAL, "variable is NULL");
}

TEST_CASE("unchain_backward cuts everything behind, and lets it go") {
  const Ctx ctx = context();
  const Var x = variable(ctx, {1.5f});
  const uint64_t before = used(ctx);
  Var h = call(ctx, "sin", {x});
  const Var kept = call(ctx, "square", {h});
  h = call(ctx, "square", {kept});
  for (int i = 0; i < 20000; ++i) h = call(ctx, "sin", {h});
  const Var y = call(ctx, "neg", {h}), side = call(ctx, "neg", {kept});
  REQUIRE_OK(ctn_variable_unchain_backward(y));
  CHECK(Creator(y).op == -1);
  CHECK(Creator(kept).op == -1);
  CHECK(ctn_variable_rank(kept) == 0);
  CHECK(Creator(side).name == "neg");
  h = Var();
  CHECK(used(ctx) < before + 4096);
  REQUIRE_OK(ctn_variable_backward(side, nullptr));
  CHECK(grad(x).empty());
  CHECK(grad(kept) == Floats{-1});
  CHECK_FAILS(ctn_variable_unchain_backward(nullptr), CTN_EINVAL, "variable is NULL");
}

TEST_CASE("backward keeps gradients in between only where it is asked to") {
  const Ctx ctx = context();
  const Var x = variable(ctx, {3});
  for (const int32_t retain : {0, 1}) {
    const Var h = call(ctx, "square", {x}), y = call(ctx, "square", {h});
    ctn_backward_options o{};
    o.size = sizeof o;
    o.retain_grad = retain;
    REQUIRE_OK(ctn_variable_clear_grad(x));
    REQUIRE_OK(ctn_variable_backward(y, &o));
    CHECK(grad(x) == Floats{108});
    CHECK(grad(h) == (retain ? Floats{18} : Floats{}));
    CHECK(grad(y) == Floats{1});
  }
}

TEST_CASE("double backpropagation records the gradient, a loss scale multiplies it") {
  const Ctx ctx = context();
  const Var x = variable(ctx, {3});
  ctn_backward_options o{};
  o.size = sizeof o;
  o.enable_double_backprop = 1;
  REQUIRE_OK(ctn_variable_backward(call(ctx, "pow_constant", {x}, {of(3.0)}), &o));
  Var g;
  REQUIRE_OK(ctn_variable_grad(x, g.out()));
  CHECK(values(g) == Floats{27});
  CHECK(ctn_variable_rank(g) > 0);
  REQUIRE_OK(ctn_variable_clear_grad(x));
  REQUIRE_OK(ctn_variable_backward(g, nullptr));
  CHECK(grad(x) == Floats{18});
  REQUIRE_OK(ctn_variable_clear_grad(x));
  o.enable_double_backprop = 0;
  o.loss_scale = 8;
  REQUIRE_OK(ctn_variable_backward(call(ctx, "square", {x}), &o));
  CHECK(grad(x) == Floats{48});
  REQUIRE_OK(ctn_variable_grad(x, g.out()));
  CHECK(ctn_variable_rank(g) == 0);
}

TEST_CASE("backward is refused without a gradient to start from, or with wrong options") {
  const Ctx ctx = context();
  const Var x = variable(ctx, {1, 2});
  const Var y = call(ctx, "square", {x});
  CHECK_FAILS(ctn_variable_backward(y, nullptr), CTN_EGRAD, "float32[2]");
  CHECK_FAILS(ctn_variable_backward(nullptr, nullptr), CTN_EINVAL, "variable is NULL");
  ctn_backward_options o{};
  CHECK_FAILS(ctn_variable_backward(y, &o), CTN_EINVAL, "backward options: size is 0");
  o.size = sizeof o;
  o.loss_scale = -2;
  CHECK_FAILS(ctn_variable_backward(y, &o), CTN_EINVAL, "loss_scale is -2");
  o.loss_scale = std::nan("");
  CHECK_FAILS(ctn_variable_backward(y, &o), CTN_EINVAL, "loss_scale is nan");
  CHECK(grad(x).empty());
  CHECK(grad(y).empty());
  REQUIRE_OK(ctn_variable_set_grad(y, variable(ctx, {1, 10})));
  REQUIRE_OK(ctn_variable_backward(y, nullptr));
  CHECK(grad(x) == Floats{2, 40});
}

TEST_CASE("grad gives gradients and touches none") {
  const Ctx ctx = context();
  const Var x = variable(ctx, {1, 2}), z = variable(ctx, {3, 4}), far = variable(ctx, {5, 6});
  const Var y = call(ctx, "mul", {x, z});
  const ctn_variable outputs[] = {y}, inputs[] = {x, far, z};
  const Var gy = variable(ctx, {1, 10}), more = variable(ctx, {100, 100});
  const ctn_variable grad_outputs[] = {gy}, grad_inputs[] = {more, nullptr, nullptr};
  ctn_variable got[3] = {kNowhere, kNowhere, kNowhere};
  ctn_grad_options o{};
  o.size = sizeof o;
  o.grad_outputs = grad_outputs;
  o.grad_inputs = grad_inputs;
  REQUIRE_OK(ctn_grad_of(outputs, 1, inputs, 3, &o, got));
  const Var gx(got[0]), none(got[1]), gz(got[2]);
  CHECK(values(gx) == Floats{103, 140});
  CHECK(static_cast<ctn_variable>(none) == nullptr);
  CHECK(values(gz) == Floats{1, 20});
  for (const Var* v : {&x, &z, &far, &y}) CHECK(grad(*v).empty());
  o.set_grad = 1;
  o.grad_inputs = nullptr;
  ctn_variable again[1];
  const ctn_variable one[] = {z};
  REQUIRE_OK(ctn_grad_of(outputs, 1, one, 1, &o, again));
  const Var held(again[0]);
  CHECK(grad(z) == Floats{1, 20});
  CHECK(grad(x).empty());
}

TEST_CASE("grad refuses what does not fit, and changes nothing") {
  const Ctx ctx = context(), other = context();
  const Var x = variable(ctx, {1, 2}), foreign = variable(other, {1, 2});
  const Var y = call(ctx, "square", {x});
  const ctn_variable outputs[] = {y}, inputs[] = {x}, absent[] = {nullptr}, alien[] = {foreign};
  ctn_variable got[1] = {kNowhere};
  ctn_grad_options o{};
  o.size = sizeof o;
  CHECK_FAILS(ctn_grad_of(outputs, 0, inputs, 1, &o, got), CTN_EINVAL, "no outputs");
  CHECK_FAILS(ctn_grad_of(outputs, -1, inputs, 1, &o, got), CTN_EINVAL, "-1");
  CHECK_FAILS(ctn_grad_of(outputs, 1, inputs, -1, &o, got), CTN_EINVAL, "-1");
  CHECK_FAILS(ctn_grad_of(nullptr, 1, inputs, 1, &o, got), CTN_EINVAL, "outputs is NULL");
  CHECK_FAILS(ctn_grad_of(outputs, 1, nullptr, 1, &o, got), CTN_EINVAL, "inputs is NULL");
  CHECK_FAILS(ctn_grad_of(outputs, 1, inputs, 1, &o, nullptr), CTN_EINVAL, "grads is NULL");
  CHECK_FAILS(ctn_grad_of(absent, 1, inputs, 1, &o, got), CTN_EINVAL, "an output is NULL");
  CHECK_FAILS(ctn_grad_of(outputs, 1, absent, 1, &o, got), CTN_EINVAL, "an input is NULL");
  CHECK_FAILS(ctn_grad_of(outputs, 1, alien, 1, &o, got), CTN_EINVAL, "context");
  CHECK_FAILS(ctn_grad_of(alien, 1, inputs, 1, &o, got), CTN_EINVAL, "context");
  o.size = 0;
  CHECK_FAILS(ctn_grad_of(outputs, 1, inputs, 1, &o, got), CTN_EINVAL, "grad options: size is 0");
  o.size = sizeof o;
  const Var three = variable(ctx, {1, 2, 3}), wide = variable(array<double>(ctx, {1, 2}));
  const struct {
    ctn_variable v;
    ctn_status code;
    const char* text;
  } cases[] = {
      {three, CTN_ESHAPE, "(3,)"}, {wide, CTN_EDTYPE, "float64"}, {foreign, CTN_EINVAL, "context"}};
  for (const auto& c : cases) {
    const ctn_variable wrong[] = {c.v}, ones[] = {y};
    o.grad_outputs = wrong;
    o.grad_inputs = nullptr;
    CHECK_FAILS(ctn_grad_of(outputs, 1, inputs, 1, &o, got), c.code, c.text);
    o.grad_outputs = ones;
    o.grad_inputs = wrong;
    CHECK_FAILS(ctn_grad_of(outputs, 1, inputs, 1, &o, got), c.code, c.text);
  }
  CHECK(got[0] == kNowhere);
  CHECK(grad(x).empty());
  CHECK(grad(y).empty());
}
