// Links: parts and paths, copies, calls, lifetimes, values they keep.
#include <algorithm>

#include "net_support.h"

using namespace catena_test;

namespace {

const std::vector<int64_t> kPair = {2};

// A callback that counts calls and drops.
struct Host {
  int calls = 0, drops = 0;
  ctn_status result = CTN_OK;

  ctn_callback callback() {
    return {this,
            [](void* user, const ctn_variable* in, int32_t n_in, ctn_variable* out,
               int32_t n_out) -> ctn_status {
              Host& h = *static_cast<Host*>(user);
              ++h.calls;
              if (h.result != CTN_OK) return h.result;
              for (int32_t k = 0; k < n_out && k < n_in; ++k) {
                ctn_variable_retain(in[k]);
                out[k] = in[k];
              }
              return CTN_OK;
            },
            [](void* user) { ++static_cast<Host*>(user)->drops; }};
  }
};

Arr persistent(ctn_link l, const char* path) {
  Arr a;
  REQUIRE_OK(ctn_link_persistent(l, str(path), a.out()));
  return a;
}

}  // namespace

TEST_CASE("a link's parts are walked in order of addition, children after what is its own") {
  const Ctx ctx = context();
  const Net root = chain(ctx), a = chain(ctx), b = chain(ctx);
  const Var w = parameter(ctx, 1, &kPair), v = parameter(ctx, 2, &kPair);
  const Arr stat = array(ctx, kF32, {1}, {3});
  REQUIRE_OK(ctn_link_add_child(root, str("a"), a));
  REQUIRE_OK(ctn_link_add_param(root, str("w"), w));
  REQUIRE_OK(ctn_link_add_persistent(a, str("stat"), stat));
  REQUIRE_OK(ctn_link_add_child(a, str("b"), b));
  REQUIRE_OK(ctn_link_add_param(b, str("v"), v));
  CHECK(paths(root) == std::vector<std::string>{"/w", "/a", "/a/stat", "/a/b", "/a/b/v"});
  CHECK(values(param(root, "a/b/v")) == std::vector<double>{2, 2});
  CHECK(values(param(root, "/a/b/v")) == std::vector<double>{2, 2});
  CHECK(values(persistent(root, "a/stat")) == std::vector<double>{3});
  ctn_str name;
  REQUIRE_OK(ctn_variable_name(v, &name));
  CHECK(std::string(name.p, name.n) == "v");
  Var missing;
  CHECK_FAILS(ctn_link_param(root, str("a/c/v"), missing.out()), CTN_ENOTFOUND, "'c'");
  CHECK_FAILS(ctn_link_param(root, str("a/stat"), missing.out()), CTN_ENOTFOUND, "a/stat");
  CHECK_FAILS(ctn_link_param(root, str("w/x"), missing.out()), CTN_ENOTFOUND, "'w' is no link");
}

TEST_CASE("names are unique and have no slash; cycles and foreign contexts are refused") {
  const Ctx ctx = context(), other = context();
  const Net root = chain(ctx), a = chain(ctx), b = chain(ctx), foreign = chain(other);
  const Var w = parameter(ctx, 1, &kPair);
  REQUIRE_OK(ctn_link_add_param(root, str("w"), w));
  CHECK_FAILS(ctn_link_add_child(root, str("w"), a), CTN_EINVAL, "'w'");
  CHECK_FAILS(ctn_link_add_child(root, str("a/b"), a), CTN_EINVAL, "'a/b'");
  CHECK_FAILS(ctn_link_add_child(root, str(""), a), CTN_EINVAL, "''");
  CHECK_FAILS(ctn_link_add_child(root, str("f"), foreign), CTN_EINVAL, "another context");
  REQUIRE_OK(ctn_link_add_child(root, str("a"), a));
  REQUIRE_OK(ctn_link_add_child(a, str("b"), b));
  CHECK_FAILS(ctn_link_add_child(b, str("root"), root), CTN_EINVAL, "contain");
  CHECK_FAILS(ctn_link_add_child(b, str("b"), b), CTN_EINVAL, "contain");
  CHECK(paths(root) == std::vector<std::string>{"/w", "/a", "/a/b"});
  // Two parents are fine.
  REQUIRE_OK(ctn_link_add_child(root, str("again"), b));
  CHECK(paths(root) == std::vector<std::string>{"/w", "/a", "/a/b", "/again"});
}

TEST_CASE("any leaf becomes a parameter, a computed variable does not") {
  const Ctx ctx = context();
  const Net root = chain(ctx);
  const Var x = leaf(ctx, kF64, {2}, {1, 2});
  REQUIRE_OK(ctn_link_add_param(root, str("x"), x));
  CHECK_FAILS(ctn_parameter_initialize(x, 1, kPair.data()), CTN_EINVAL, "initialised already");
  const Var a = leaf(ctx, kF32, {2}, {1, 2});
  const Arr values_of_a = array(ctx, kF32, {2}, {1, 2});
  Var leaf_with_grad;
  REQUIRE_OK(ctn_variable_new(values_of_a, 1, leaf_with_grad.out()));
  ctn_kernel_source source{};
  source.size = sizeof source;
  source.name = str("twice");
  source.in = str("T x");
  source.out = str("T y");
  source.map = str("y = x + x");
  ctn_kernel twice = nullptr;
  REQUIRE_OK(ctn_kernel_create(ctx, &source, &twice));
  Var computed;
  const ctn_variable in = leaf_with_grad;
  REQUIRE_OK(ctn_kernel_call(twice, &in, 1, nullptr, 0, 0, computed.out(), 1));
  CHECK_FAILS(ctn_link_add_param(root, str("y"), computed), CTN_EINVAL, "leaf");
  ctn_kernel_release(twice);
}

TEST_CASE("a lazy parameter takes its shape at the first call") {
  const Ctx ctx = context();
  const Net l = link(ctx, "Dense", {of_int(3)});
  const Var W = param(l, "W");
  CHECK(ctn_parameter_is_initialized(W) == 0);
  Arr none_yet;
  CHECK_FAILS(ctn_variable_array(W, none_yet.out()), CTN_EINVAL, "not initialised");
  const Var x = leaf(ctx, kF32, {1, 4}, {1, 2, 3, 4});
  const ctn_variable in = x;
  Var y;
  REQUIRE_OK(ctn_link_call(l, &in, 1, y.out(), 1));
  CHECK(values(W) == std::vector<double>(12, 2.0));
  const ctn_variable two[] = {x, x};
  CHECK_FAILS(ctn_link_call(l, two, 2, y.out(), 1), CTN_EINVAL, "takes 1 inputs, got 2");
  CHECK_FAILS(ctn_link_call(l, &in, 1, nullptr, 0), CTN_EINVAL, "room is for 0");
}

TEST_CASE("constructor arguments are bound to the schema") {
  const Ctx ctx = context();
  Net l;
  CHECK_FAILS(ctn_link_create(ctx, str("Dence"), nullptr, 0, l.out()), CTN_ENOTFOUND, "'Dence'");
  CHECK_FAILS(ctn_link_create(ctx, str("Dense"), nullptr, 0, l.out()), CTN_EINVAL,
              "Dense: attribute 'out_size' (int) is required");
  const ctn_value wrong = of(1.5);
  CHECK_FAILS(ctn_link_create(ctx, str("Dense"), &wrong, 1, l.out()), CTN_EINVAL,
              "'out_size' is 1.5 (float), expected int");
  const ctn_attr named[] = {{str("in_size"), of_int(2)}, {str("out_size"), of_int(3)}};
  REQUIRE_OK(ctn_link_create_named(ctx, str("Dense"), named, 2, l.out()));
  CHECK(values(param(l, "W")).size() == 6);
  const ctn_attr unknown[] = {{str("size"), of_int(2)}};
  CHECK_FAILS(ctn_link_create_named(ctx, str("Dense"), unknown, 1, l.out()), CTN_EINVAL,
              "no attribute 'size', it has out_size, in_size, child, f");
  const ctn_attr twice[] = {{str("out_size"), of_int(2)}, {str("out_size"), of_int(2)}};
  CHECK_FAILS(ctn_link_create_named(ctx, str("Dense"), twice, 2, l.out()), CTN_EINVAL, "twice");
  const ctn_value many[] = {of_int(1), none(), none(), none(), none()};
  CHECK_FAILS(ctn_link_create(ctx, str("Dense"), many, 5, l.out()), CTN_EINVAL, "5 attributes");
}

TEST_CASE("attributes can be read and set") {
  const Ctx ctx = context();
  const Net l = link(ctx, "Dense", {of_int(3), of_int(2)});
  ctn_value v;
  REQUIRE_OK(ctn_link_attr(l, 1, &v));
  CHECK(v.u.i == 2);
  const ctn_value five = of_int(5), text = of(0.5);
  REQUIRE_OK(ctn_link_set_attr(l, 1, &five));
  REQUIRE_OK(ctn_link_attr(l, 1, &v));
  CHECK(v.u.i == 5);
  CHECK_FAILS(ctn_link_set_attr(l, 1, &text), CTN_EINVAL, "'in_size'");
  CHECK_FAILS(ctn_link_set_attr(l, 4, &five), CTN_EINVAL, "no attribute 4");
  CHECK_FAILS(ctn_link_attr(l, -1, &v), CTN_EINVAL, "no attribute -1");
}

TEST_CASE("a class is told of drop exactly once, also when init fails") {
  {
    const Ctx ctx = context();
    const ctn_value negative = of_int(-1);
    Net l;
    CHECK_FAILS(ctn_link_create(ctx, str("Dense"), &negative, 1, l.out()), CTN_EINVAL, "negative");
    CHECK(counts().made == 1);
    CHECK(counts().dropped == 1);
    const Net kept = link(ctx, "Dense", {of_int(1), of_int(1)});
    Net copy;
    REQUIRE_OK(ctn_link_copy(kept, CTN_COPY_COPY, copy.out()));
    CHECK(counts().dropped == 1);
  }
  CHECK(counts().copied == 1);
  CHECK(counts().dropped == 3);
}

TEST_CASE("a deep tree is walked, copied and released without recursion") {
  const Ctx ctx = context();
  constexpr int kDepth = 100000;
  Net root = chain(ctx);
  const Var w = parameter(ctx, 1, &kPair);
  REQUIRE_OK(ctn_link_add_param(root, str("w"), w));
  for (int k = 0; k < kDepth; ++k) {
    Net above = chain(ctx);
    REQUIRE_OK(ctn_link_add_child(above, str("c"), root));
    root = std::move(above);
  }
  int seen = 0;
  const auto visit = [](void* user, ctn_str, ctn_variable, ctn_array, ctn_link) -> ctn_status {
    ++*static_cast<int*>(user);
    return CTN_OK;
  };
  REQUIRE_OK(ctn_link_visit(root, visit, &seen));
  CHECK(seen == kDepth + 1);
  Net copy;
  REQUIRE_OK(ctn_link_copy(root, CTN_COPY_SHARE, copy.out()));
  REQUIRE_OK(ctn_link_clear_grads(root));
}

TEST_CASE("copies share, copy or initialise anew") {
  const Ctx ctx = context();
  const Net inner = link(ctx, "Dense", {of_int(2), of_int(1)});
  const Net l = link(ctx, "Dense", {of_int(2), of_int(1), of(inner)});
  Arr five = array(ctx, kF32, {2, 1}, {5, 6});
  REQUIRE_OK(ctn_variable_set_array(param(l, "child/W"), five));
  five = Arr();
  set_grad(param(l, "W"), {1, 1});
  REQUIRE_OK(ctn_link_set_state(l, str("h"), param(l, "W")));

  Net shared, copied, fresh;
  REQUIRE_OK(ctn_link_copy(l, CTN_COPY_SHARE, shared.out()));
  REQUIRE_OK(ctn_link_copy(l, CTN_COPY_COPY, copied.out()));
  REQUIRE_OK(ctn_link_copy(l, CTN_COPY_INIT, fresh.out()));
  CHECK(counts().copied == 6);
  for (const ctn_link c : {ctn_link(shared), ctn_link(copied), ctn_link(fresh)}) {
    CHECK(paths(c) == paths(l));
    CHECK(grad(param(c, "W")).empty());
    Var state;
    REQUIRE_OK(ctn_link_state(c, str("h"), state.out()));
    CHECK(ctn_variable(state) == nullptr);
    // what the constructor was given is the copy's own child
    ctn_value v;
    REQUIRE_OK(ctn_link_attr(c, 2, &v));
    Net child;
    REQUIRE_OK(ctn_link_child(c, str("child"), child.out()));
    CHECK(v.u.link == ctn_link(child));
    CHECK(v.u.link != ctn_link(inner));
  }
  Arr a, b;
  REQUIRE_OK(ctn_variable_array(param(l, "child/W"), a.out()));
  REQUIRE_OK(ctn_variable_array(param(shared, "child/W"), b.out()));
  CHECK(ctn_array(a) == ctn_array(b));
  const ctn_value nine = of(9.0);
  REQUIRE_OK(ctn_array_fill(a, &nine));
  CHECK(values(param(shared, "child/W")) == std::vector<double>{9, 9});
  CHECK(values(param(copied, "child/W")) == std::vector<double>{5, 6});
  CHECK(values(param(fresh, "child/W")) == std::vector<double>{2, 2});
  ctn_link unknown = nullptr;
  CHECK_FAILS(ctn_link_copy(l, 3, &unknown), CTN_EINVAL, "copy mode 3");
}

TEST_CASE("a parameter with two names has two names in the copy") {
  const Ctx ctx = context();
  const Net l = chain(ctx), child = chain(ctx);
  const Var w = parameter(ctx, 1, &kPair);
  REQUIRE_OK(ctn_link_add_param(l, str("w"), w));
  REQUIRE_OK(ctn_link_add_child(l, str("c"), child));
  REQUIRE_OK(ctn_link_add_param(child, str("v"), w));
  REQUIRE_OK(ctn_link_add_child(l, str("d"), child));
  Net copy;
  REQUIRE_OK(ctn_link_copy(l, CTN_COPY_COPY, copy.out()));
  CHECK(ctn_variable(param(copy, "w")) == ctn_variable(param(copy, "c/v")));
  CHECK(ctn_variable(param(copy, "w")) != ctn_variable(w));
  Net c, d;
  REQUIRE_OK(ctn_link_child(copy, str("c"), c.out()));
  REQUIRE_OK(ctn_link_child(copy, str("d"), d.out()));
  CHECK(ctn_link(c) == ctn_link(d));
}

TEST_CASE("copy_params copies values by path, all or none") {
  const Ctx ctx = context();
  const Net from = link(ctx, "Dense", {of_int(2), of_int(1)});
  const Net to = link(ctx, "Dense", {of_int(2)});
  REQUIRE_OK(ctn_variable_set_array(param(from, "W"), array(ctx, kF64, {2, 1}, {7, 8})));
  REQUIRE_OK(ctn_link_copy_params(to, from));  // gives a lazy one its shape
  CHECK(values(param(to, "W")) == std::vector<double>{7, 8});
  ctn_dltensor t;
  REQUIRE_OK(ctn_variable_view(param(to, "W"), &t));
  CHECK(t.dtype.bits == 32);
  const ctn_value one = of(1.0);
  REQUIRE_OK(ctn_array_fill(persistent(from, "mean"), &one));
  REQUIRE_OK(ctn_link_copy_params(to, from));
  CHECK(values(persistent(to, "mean")) == std::vector<double>{0, 0});  // parameters only

  const Net a = chain(ctx), b = chain(ctx);
  const Var a1 = parameter(ctx, 1, &kPair), a2 = parameter(ctx, 1, &kPair);
  const std::vector<int64_t> three = {3};
  const Var b1 = parameter(ctx, 4, &kPair), b2 = parameter(ctx, 4, &three);
  REQUIRE_OK(ctn_link_add_param(a, str("p"), a1));
  REQUIRE_OK(ctn_link_add_param(a, str("q"), a2));
  REQUIRE_OK(ctn_link_add_param(b, str("p"), b1));
  REQUIRE_OK(ctn_link_add_param(b, str("q"), b2));
  CHECK_FAILS(ctn_link_copy_params(a, b), CTN_ESHAPE, "/q has shape (2,)");
  CHECK(values(a1) == std::vector<double>{1, 1});
}

TEST_CASE("memory that others see is written, not replaced") {
  const Ctx ctx = context();
  const Net from = link(ctx, "Dense", {of_int(2), of_int(1)});
  const Net to = link(ctx, "Dense", {of_int(2), of_int(1)});
  float memory[2] = {1, 1};
  int64_t shape[] = {2, 1};
  const ctn_dltensor view = {memory, {CTN_DEV_CPU, 0}, 2, kF32, shape, nullptr, 0};
  Arr wrapped;
  REQUIRE_OK(ctn_array_wrap(ctx, &view, nullptr, nullptr, wrapped.out()));
  REQUIRE_OK(ctn_variable_set_array(param(to, "W"), wrapped));
  wrapped = Arr();
  REQUIRE_OK(ctn_link_copy_params(to, from));
  CHECK(memory[0] == 2);
  CHECK(memory[1] == 2);
}

TEST_CASE("parameters, persistent values and gradients move to another device") {
  const Ctx ctx = context();
  const Net l = link(ctx, "Dense", {of_int(2), of_int(1)});
  const Net lazy = link(ctx, "Dense", {of_int(2)});
  REQUIRE_OK(ctn_link_add_child(l, str("lazy"), lazy));
  set_grad(param(l, "W"), {3, 4});
  ctn_device second;
  REQUIRE_OK(ctn_device_find(ctx, str("cpu:1"), &second));
  REQUIRE_OK(ctn_link_to_device(l, second));
  CHECK(counts().moved == 2);
  ctn_dltensor t;
  REQUIRE_OK(ctn_variable_view(param(l, "W"), &t));
  CHECK(t.device.id == 1);
  REQUIRE_OK(ctn_array_view(persistent(l, "mean"), &t));
  CHECK(t.device.id == 1);
  Var g;
  REQUIRE_OK(ctn_variable_grad(param(l, "W"), g.out()));
  REQUIRE_OK(ctn_variable_view(g, &t));
  CHECK(t.device.id == 1);
  CHECK(values(g) == std::vector<double>{3, 4});
  const int64_t shape[] = {2, 3};
  REQUIRE_OK(ctn_parameter_initialize(param(lazy, "W"), 2, shape));
  REQUIRE_OK(ctn_variable_view(param(lazy, "W"), &t));
  CHECK(t.device.id == 1);
}

TEST_CASE("callbacks are given away: one drop, whatever becomes of the call") {
  Host host;
  {
    const Ctx ctx = context();
    const ctn_callback c = host.callback();
    Net l;
    REQUIRE_OK(ctn_chain_create(ctx, &c, 1, l.out()));
    Net copy;
    REQUIRE_OK(ctn_link_copy(l, CTN_COPY_SHARE, copy.out()));
    l = Net();
    CHECK(host.drops == 0);
    const Var x = leaf(ctx, kF32, {1}, {4});
    const ctn_variable in = x;
    Var y;
    REQUIRE_OK(ctn_link_call(copy, &in, 1, y.out(), 1));
    CHECK(ctn_variable(y) == ctn_variable(x));
    CHECK(host.calls == 1);
    CHECK_FAILS(ctn_link_call(copy, nullptr, 0, y.out(), 1), CTN_EINTERNAL, "left out an output");
    host.result = CTN_ECANCELLED;
    CHECK(ctn_link_call(copy, &in, 1, y.out(), 1) == CTN_ECANCELLED);
    copy = Net();
    CHECK(host.drops == 1);

    const ctn_value bad[] = {of_int(-1), none(), none(), of(c)};
    CHECK(ctn_link_create(ctx, str("Dense"), bad, 4, l.out()) == CTN_EINVAL);
    CHECK(host.drops == 2);
    const ctn_value wrong[] = {of(0.5), none(), none(), of(c)};
    CHECK(ctn_link_create(ctx, str("Dense"), wrong, 4, l.out()) == CTN_EINVAL);
    CHECK(host.drops == 3);
    CHECK(ctn_link_create(ctx, str("Nothing"), wrong, 4, l.out()) == CTN_ENOTFOUND);
    CHECK(host.drops == 4);
    const ctn_attr named[] = {{str("out_size"), of_int(1)}, {str("f"), of(c)}};
    REQUIRE_OK(ctn_link_create_named(ctx, str("Dense"), named, 2, l.out()));
    CHECK(host.drops == 4);
  }
  CHECK(host.drops == 5);
}

TEST_CASE("a chain without a function cannot be called") {
  const Ctx ctx = context();
  const Net l = chain(ctx);
  CHECK_FAILS(ctn_link_call(l, nullptr, 0, nullptr, 0), CTN_EINVAL, "without a function");
  ctn_str name;
  REQUIRE_OK(ctn_link_class(l, &name));
  CHECK(std::string(name.p, name.n) == "Chain");
}

TEST_CASE("states are kept by name, replaced and cleared") {
  const Ctx ctx = context();
  const Net l = chain(ctx);
  Var got;
  REQUIRE_OK(ctn_link_state(l, str("h"), got.out()));
  CHECK(ctn_variable(got) == nullptr);
  const Var a = leaf(ctx, kF32, {1}, {1}), b = leaf(ctx, kF32, {1}, {2});
  REQUIRE_OK(ctn_link_set_state(l, str("h"), a));
  REQUIRE_OK(ctn_link_set_state(l, str("h"), b));
  REQUIRE_OK(ctn_link_state(l, str("h"), got.out()));
  CHECK(ctn_variable(got) == ctn_variable(b));
  REQUIRE_OK(ctn_link_set_state(l, str("h"), nullptr));
  REQUIRE_OK(ctn_link_state(l, str("h"), got.out()));
  CHECK(ctn_variable(got) == nullptr);
}

TEST_CASE("a visitor stops the walk") {
  const Ctx ctx = context();
  const Net l = link(ctx, "Dense", {of_int(1), of_int(1)});
  const auto stop = [](void*, ctn_str, ctn_variable, ctn_array, ctn_link) -> ctn_status {
    return CTN_ECANCELLED;
  };
  CHECK(ctn_link_visit(l, stop, nullptr) == CTN_ECANCELLED);
  CHECK(ctn_link_visit(l, nullptr, nullptr) == CTN_EINVAL);
}

TEST_CASE("initializers: by name, with checked attributes; none fills with NaN") {
  const Ctx ctx = context();
  const Arr a = array(ctx, kF32, {2}, {0, 0});
  const ctn_value three = of_int(3);
  REQUIRE_OK(ctn_initialize(a, str("Fill"), &three, 1));
  CHECK(values(a) == std::vector<double>{3, 3});
  REQUIRE_OK(ctn_initialize(a, str(""), nullptr, 0));
  const std::vector<double> nans = values(a);
  CHECK(std::ranges::all_of(nans, [](double x) { return x != x; }));
  CHECK_FAILS(ctn_initialize(a, str("Fil"), &three, 1), CTN_ENOTFOUND, "'Fil'");
  CHECK_FAILS(ctn_initialize(a, str("Fill"), nullptr, 0), CTN_EINVAL, "'value'");
  Var p;
  CHECK_FAILS(ctn_parameter_new(ctx, str("Fill"), nullptr, 0, kF32, 0, nullptr, p.out()),
              CTN_EINVAL, "'value'");
}
