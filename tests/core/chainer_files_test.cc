// Files that Chainer 4.3.1 wrote, loaded into the same models made of our links and optimizers, and
// what those models then compute. Uses the C interface and the plugins that are loaded by default.
#include <cmath>
#include <cstdlib>
#include <map>

#include "net_support.h"

using namespace catena_test;

namespace {

using Values = std::vector<double>;

struct Member {
  std::vector<int64_t> shape;
  Values values;
};
using Members = std::map<std::string, Member>;

std::string golden(const char* name) {
  const char* dir = std::getenv("CATENA_TESTS_DIR");
  REQUIRE(dir != nullptr);
  return std::string(dir) + "/golden/serialization/" + name;
}

Ctx plain_context() {
  ctn_context_options options{};
  options.size = sizeof options;
  options.flags = CTN_CONTEXT_NO_ENV;
  Ctx ctx;
  REQUIRE_OK(ctn_context_create(&options, ctx.out()));
  return ctx;
}

Members read(ctn_context ctx, const char* name) {
  Members found;
  const auto visit = [](void* user, ctn_str key, ctn_variable, ctn_array a,
                        ctn_link) -> ctn_status {
    if (!a) return CTN_OK;
    ctn_dltensor t;
    REQUIRE_OK(ctn_array_view(a, &t));
    (*static_cast<Members*>(user))[std::string(key.p, key.n)] = {
        std::vector<int64_t>(t.shape, t.shape + t.ndim), values(a)};
    return CTN_OK;
  };
  REQUIRE_OK(ctn_load_npz_arrays(ctx, str(golden(name)), visit, &found));
  return found;
}

ctn_value number(int64_t i) { return of_int(i); }

void add(ctn_link parent, const char* name, const Net& child) {
  REQUIRE_OK(ctn_link_add_child(parent, str(name), child));
}

// A call of a link below `root`, or of an op.
Var call(ctn_link root, const char* path, ctn_variable x) {
  Net l;
  REQUIRE_OK(ctn_link_child(root, str(path), l.out()));
  Var y;
  REQUIRE_OK(ctn_link_call(l, &x, 1, y.out(), 1));
  return y;
}
Var op(const char* name, ctn_variable x, std::initializer_list<ctn_attr> attrs = {}) {
  Var y;
  REQUIRE_OK(ctn_call_named(ctn_variable_context(x), str(name), &x, 1, attrs.begin(),
                            static_cast<int32_t>(attrs.size()), y.out(), 1));
  return y;
}

Var input(ctn_context ctx, const Member& m) { return leaf(ctx, kF32, m.shape, m.values); }

void check_near(const Values& got, const Values& expected) {
  REQUIRE(got.size() == expected.size());
  for (size_t k = 0; k < got.size(); ++k)
    CHECK(std::abs(got[k] - expected[k]) <= 1e-5 + 1e-4 * std::abs(expected[k]));
}

// Every parameter and persistent value of `root` against PREFIX/path of the expected members.
void check_values(ctn_link root, const Members& expected, const std::string& prefix) {
  struct Visit {
    const Members& expected;
    const std::string& prefix;
    int compared = 0;
  } state = {expected, prefix};
  const auto visit = [](void* user, ctn_str path, ctn_variable p, ctn_array a,
                        ctn_link) -> ctn_status {
    Visit& v = *static_cast<Visit*>(user);
    const auto at = v.expected.find(v.prefix + std::string(path.p, path.n));
    if (at == v.expected.end() || (!p && !a)) return CTN_OK;
    CHECK((p ? values(p) : values(a)) == at->second.values);
    ++v.compared;
    return CTN_OK;
  };
  REQUIRE_OK(ctn_link_visit(root, visit, &state));
  CHECK(state.compared >= 3);
}

Net mlp(ctn_context ctx) {
  Net root = chain(ctx);
  add(root, "l1", link(ctx, "Linear", {number(5), number(6)}));
  add(root, "l2", link(ctx, "Linear", {number(6), number(3)}));
  return root;
}

Net classifier(ctn_context ctx) {
  const Net predictor = mlp(ctx);
  return link(ctx, "Classifier", {of(predictor)});
}

}  // namespace

TEST_CASE("a perceptron") {
  const Ctx ctx = plain_context();
  const Members expected = read(ctx, "expected.npz");
  for (const char* file : {"mlp.npz", "mlp_uncompressed.npz"}) {
    const Net root = mlp(ctx);
    REQUIRE_OK(ctn_load_npz_link(root, str(golden(file)), str(""), 1));
    check_values(root, expected, "mlp");
    const Var x = input(ctx, expected.at("mlp_probe/in0"));
    const Var y = call(root, "l2", op("relu", call(root, "l1", x)));
    check_near(values(y), expected.at("mlp_probe/out0").values);
  }
}

TEST_CASE("a convolutional net with batch normalization and a lazy layer") {
  const Ctx ctx = plain_context();
  const Members expected = read(ctx, "expected.npz");
  const ctn_value yes = {CTN_BOOL, 0, {.i = 1}}, no = {CTN_BOOL, 0, {}};
  const ctn_value absent{};
  const Net root = chain(ctx), blocks = chain(ctx);
  add(root, "conv1",
      link(ctx, "Convolution2D", {number(2), number(4), number(3), absent, number(1), yes}));
  add(root, "bn1", link(ctx, "BatchNormalization", {number(4)}));
  add(blocks, "0", link(ctx, "Convolution2D", {number(4), number(3), number(3), number(2)}));
  add(blocks, "1", link(ctx, "BatchNormalization", {number(3), absent, absent, absent, no}));
  add(root, "blocks", blocks);
  add(root, "fc", link(ctx, "Linear", {none(), number(3)}));
  REQUIRE_OK(ctn_load_npz_link(root, str(golden("cnn_bn.npz")), str(""), 1));
  check_values(root, expected, "cnn_bn");
  REQUIRE_OK(ctn_config_set(ctx, str("train"), &no));
  const Var x = input(ctx, expected.at("cnn_probe/in0"));
  const Var h = op("max_pooling_2d", op("relu", call(root, "bn1", call(root, "conv1", x))),
                   {{str("ksize"), number(2)}});
  const Var b = op("relu", call(root, "blocks/1", call(root, "blocks/0", h)));
  check_near(values(call(root, "fc", b)), expected.at("cnn_probe/out0").values);
  REQUIRE_OK(ctn_config_set(ctx, str("train"), nullptr));
}

TEST_CASE("uninitialised parameters are None") {
  const Ctx ctx = plain_context();
  const Members expected = read(ctx, "expected.npz");
  const Net root = chain(ctx);
  add(root, "l1", link(ctx, "Linear", {none(), number(3)}));
  add(root, "l2", link(ctx, "Linear", {number(3), number(2)}));
  REQUIRE_OK(ctn_load_npz_link(root, str(golden("lazy.npz")), str(""), 1));
  check_values(root, expected, "lazy");
  CHECK(ctn_parameter_is_initialized(param(root, "l1/W")) == 0);
}

TEST_CASE("an optimizer's file and a trainer's snapshot") {
  const Ctx ctx = plain_context();
  const Members expected = read(ctx, "expected.npz");
  const Net root = classifier(ctx);
  const Opt adam = optimizer(ctx, "Adam");
  REQUIRE_OK(ctn_optimizer_setup(adam, root));
  const auto check_state = [&](const std::string& prefix, int64_t steps) {
    int64_t t = 0;
    REQUIRE_OK(ctn_optimizer_t(adam, &t));
    CHECK(t == steps);
    for (const char* path :
         {"predictor/l1/W", "predictor/l1/b", "predictor/l2/W", "predictor/l2/b"}) {
      REQUIRE_OK(ctn_optimizer_rule_t(adam, str(path), &t));
      CHECK(t == steps);
      for (const char* name : {"m", "v"}) {
        Arr a;
        REQUIRE_OK(ctn_optimizer_state(adam, str(path), str(name), a.out()));
        CHECK(values(a) == expected.at(prefix + path + "/" + name).values);
      }
    }
  };
  REQUIRE_OK(ctn_load_npz_optimizer(adam, str(golden("trainer_snapshot.npz")),
                                    str("updater/optimizer:main"), 1));
  check_state("trainer_snapshot/updater/optimizer:main/", 8);
  REQUIRE_OK(
      ctn_load_npz_link(root, str(golden("trainer_snapshot.npz")), str("updater/model:main"), 1));
  check_values(root, expected, "trainer_snapshot/updater/model:main");
  const Members file = read(ctx, "optimizer_adam.npz");
  REQUIRE_OK(ctn_load_npz_optimizer(adam, str(golden("optimizer_adam.npz")), str(""), 1));
  check_state("optimizer_adam/", static_cast<int64_t>(file.at("t").values.at(0)));
  CHECK_FAILS(ctn_load_npz_optimizer(adam, str(golden("mlp.npz")), str(""), 1), CTN_ENOTFOUND,
              "'t'");
}
