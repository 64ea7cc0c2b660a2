// The registry as programs look things up in it, and calls of ops by id and by name: attributes,
// absent inputs, counted outputs, and what is refused. Hooks are in hooks_test.cc.
#include <algorithm>

#include "support.h"

using namespace capi_test;

namespace {

ctn_variable const kNowhere = untouched<ctn_variable_s>();

int32_t op_id(const char* name) {
  int32_t op = -1;
  REQUIRE_OK(ctn_op_find(str(name), &op));
  return op;
}

int32_t attr_index(const char* op, const char* name) {
  int32_t index = -1;
  REQUIRE_OK(ctn_op_attr(op_id(op), str(name), &index));
  return index;
}

struct Arity {
  int32_t n_in = -7, n_out = -7, n_attrs = -7;
  explicit Arity(const char* op) { REQUIRE_OK(ctn_op_arity(op_id(op), &n_in, &n_out, &n_attrs)); }
};

std::string text(ctn_str s) { return {s.p, s.n}; }

}  // namespace

TEST_CASE("the library tells its versions and names its codes") {
  CHECK(ctn_abi_version() == CTN_ABI_VERSION);
  CHECK(ctn_version() >= 0x000100);  // major << 16 | minor << 8 | patch: 0.1.0 or later
  CHECK(ctn_version() < 0x010000);
  std::vector<std::string> names;
  for (ctn_status s = CTN_OK; s <= CTN_ENAN; ++s) {
    const std::string name = ctn_status_name(s);
    CHECK(name != "unknown status");
    CHECK(std::find(names.begin(), names.end(), name) == names.end());
    names.push_back(name);
  }
  CHECK(names[CTN_EINVAL] == "invalid argument");
  for (const ctn_status s : {-1, int{CTN_ENAN} + 1, INT32_MAX, INT32_MIN})
    CHECK(std::string(ctn_status_name(s)) == "unknown status");
}

TEST_CASE("ops have consecutive ids, by which everything about them is found") {
  const Ctx ctx = context();
  const int32_t count = ctn_op_count();
  REQUIRE(count > 100);
  for (int32_t op = 0; op < count; ++op) {
    ctn_str name{};
    REQUIRE_OK(ctn_op_name(op, &name));
    REQUIRE(name.n > 0);
    int32_t found = -1, n_in = -7, n_out = -7, n_attrs = -7;
    REQUIRE_OK(ctn_op_find(name, &found));
    CHECK(found == op);
    REQUIRE_OK(ctn_op_arity(op, &n_in, &n_out, &n_attrs));
    CHECK(n_in >= -1);
    CHECK(n_out >= -1);
    CHECK(n_attrs >= 0);
    REQUIRE_OK(ctn_op_arity(op, nullptr, nullptr, nullptr));
  }
  CHECK(Arity("linear").n_in == 3);
  CHECK(Arity("linear").n_out == 1);
  CHECK(Arity("linear").n_attrs == 0);
  CHECK(Arity("concat").n_in == -1);
  CHECK(Arity("split_axis").n_out == -1);
  CHECK(Arity("split_axis").n_attrs == 3);
  CHECK(attr_index("split_axis", "indices_or_sections") == 0);
  CHECK(attr_index("split_axis", "axis") == 1);
  CHECK(attr_index("split_axis", "force_tuple") == 2);
}

TEST_CASE("ops and attributes that are not there are refused by what was asked for") {
  const Ctx ctx = context();
  const int32_t relu = op_id("relu");
  int32_t out = -7;
  ctn_str name{nullptr, 77};
  for (const char* wrong : {"rleu", "", "relu ", "RELU"})
    CHECK_FAILS(ctn_op_find(str(wrong), &out), CTN_ENOTFOUND, "'" + std::string(wrong) + "'");
  CHECK_FAILS(ctn_op_find({nullptr, 0}, &out), CTN_ENOTFOUND, "''");
  CHECK_FAILS(ctn_op_find(str("relu"), nullptr), CTN_EINVAL, "op is NULL");
  for (const int32_t id : {-1, ctn_op_count(), INT32_MAX, INT32_MIN}) {
    CHECK_FAILS(ctn_op_name(id, &name), CTN_ENOTFOUND, "id " + std::to_string(id));
    CHECK_FAILS(ctn_op_attr(id, str("axis"), &out), CTN_ENOTFOUND, std::to_string(id));
    CHECK_FAILS(ctn_op_arity(id, &out, &out, &out), CTN_ENOTFOUND, std::to_string(id));
  }
  CHECK_FAILS(ctn_op_name(relu, nullptr), CTN_EINVAL, "out is NULL");
  CHECK_FAILS(ctn_op_attr(relu, str("axis"), &out), CTN_ENOTFOUND,
              "[relu] has no attribute 'axis'");
  CHECK_FAILS(ctn_op_attr(relu, str("axis"), nullptr), CTN_EINVAL, "index is NULL");
  CHECK(out == -7);
  CHECK(name.n == 77);
}

TEST_CASE("the report names what was found, the schema describes what was registered") {
  const Ctx ctx = context();
  ctn_str report{}, again{}, json{};
  REQUIRE_OK(ctn_plugin_report(&report));
  const std::string lines = text(report);
  CHECK(lines.find("libcatena_cpu.so: loaded: backend cpu 0.") != std::string::npos);
  CHECK(lines.find("functions.ctnplugin: loaded: ops functions\n") != std::string::npos);
  CHECK_FAILS(ctn_plugin_load(str("/etc/passwd")), CTN_EINVAL,
              "plugin /etc/passwd cannot be opened");
  REQUIRE_OK(ctn_plugin_report(&again));
  CHECK(text(again).find("/etc/passwd: refused: ") != std::string::npos);
  CHECK_FAILS(ctn_plugin_load(str("/no/such.so")), CTN_ENOTFOUND, "/no/such.so");
  CHECK_FAILS(ctn_plugin_load(str("such.so")), CTN_EINVAL,
              "plugin 'such.so': the path is not absolute");
  CHECK_FAILS(ctn_plugin_load({nullptr, 0}), CTN_EINVAL, "''");
  CHECK_FAILS(ctn_plugin_dir(str("/no/such")), CTN_ENOTFOUND, "/no/such");
  CHECK_FAILS(ctn_plugin_dir(str("such")), CTN_EINVAL,
              "plugin directory 'such': the path is not absolute");
  CHECK_FAILS(ctn_plugin_dir(str("/etc/passwd")), CTN_EINVAL, "/etc/passwd is none");
  REQUIRE_OK(ctn_schema_json(&json));
  CHECK(text(json).find("\"format\"") != std::string::npos);
  CHECK(text(json).find("\"split_axis\"") != std::string::npos);
  CHECK_FAILS(ctn_plugin_report(nullptr), CTN_EINVAL, "out is NULL");
  CHECK_FAILS(ctn_schema_json(nullptr), CTN_EINVAL, "out is NULL");
}

TEST_CASE("a call takes attributes in schema order, cut short or absent where there are defaults") {
  const Ctx ctx = context();
  const Var x = variable(array<float>(ctx, {1, 2, 3, 4}, {2, 2}));
  CHECK(values(call(ctx, "sum", {x})) == Floats{10});
  CHECK(values(call(ctx, "sum", {x}, {of(0)})) == Floats{4, 6});
  const int32_t axis = attr_index("sum", "axis"), keepdims = attr_index("sum", "keepdims");
  REQUIRE(axis < keepdims);
  std::vector<ctn_value> attrs(static_cast<size_t>(keepdims) + 1);
  attrs.back() = of(true);
  Var y;
  const ctn_variable in[] = {x};
  REQUIRE_OK(ctn_call(ctx, op_id("sum"), in, 1, attrs.data(), length(attrs), y.out(), 1));
  ctn_dltensor t{};
  REQUIRE_OK(ctn_variable_view(y, &t));
  CHECK(shape_of(t) == Shape{1, 1});
}

TEST_CASE("a call by name takes attributes in any order") {
  const Ctx ctx = context();
  const Var x = variable(array<float>(ctx, {1, 2, 3, 4}, {2, 2}));
  const ctn_variable in[] = {x};
  const ctn_attr attrs[] = {{str("keepdims"), of(true)}, {str("axis"), of(1)}};
  Var y;
  REQUIRE_OK(ctn_call_named(ctx, str("sum"), in, 1, attrs, 2, y.out(), 1));
  CHECK(values(y) == Floats{3, 7});
  ctn_variable out = kNowhere;
  const ctn_attr wrong[] = {{str("axes"), of(1)}};
  const ctn_attr twice[] = {{str("axis"), of(1)}, {str("axis"), of(0)}};
  CHECK_FAILS(ctn_call_named(ctx, str("sum"), in, 1, wrong, 1, &out, 1), CTN_EINVAL, "'axes'");
  CHECK_FAILS(ctn_call_named(ctx, str("sum"), in, 1, twice, 2, &out, 1), CTN_EINVAL, "twice");
  CHECK_FAILS(ctn_call_named(ctx, str("smu"), in, 1, attrs, 2, &out, 1), CTN_ENOTFOUND, "'smu'");
  CHECK_FAILS(ctn_call_named(ctx, str("sum"), in, 1, attrs, -2, &out, 1), CTN_EINVAL, "-2");
  CHECK_FAILS(ctn_call_named(ctx, str("sum"), in, 1, nullptr, 2, &out, 1), CTN_EINVAL,
              "attrs is NULL");
  CHECK_FAILS(ctn_call_named(ctx, str("sum"), in, 1, attrs, 2, nullptr, 1), CTN_EINVAL,
              "out is NULL");
  CHECK_FAILS(ctn_call_named(ctx, str("sum"), in, 1, attrs, 2, &out, -1), CTN_EINVAL, "-1");
  CHECK(out == kNowhere);
}

TEST_CASE("an absent optional input is NULL or left out") {
  const Ctx ctx = context();
  const Var x = variable(array<float>(ctx, {1, 2}, {1, 2}));
  const Var w = variable(array<float>(ctx, {1, 1, 2, 2}, {2, 2})), b = variable(ctx, {10, 20});
  CHECK(values(call(ctx, "linear", {x, w})) == Floats{3, 6});
  CHECK(values(call(ctx, "linear", {x, w, nullptr})) == Floats{3, 6});
  CHECK(values(call(ctx, "linear", {x, w, b})) == Floats{13, 26});
}

TEST_CASE("how many outputs a call gives is known before it is made") {
  const Ctx ctx = context();
  const Var x = variable(array<float>(ctx, {0, 1, 2, 3, 4, 5}, {2, 3}));
  const ctn_variable in[] = {x};
  const Shape cuts = {1, 2};
  const ctn_value at_cuts[] = {of(cuts), of(1)}, in_two[] = {of(2), of(0)};
  const int32_t split = op_id("split_axis");
  int32_t n = -7;
  REQUIRE_OK(ctn_call_outputs(ctx, split, in, 1, at_cuts, 2, &n));
  CHECK(n == 3);
  REQUIRE_OK(ctn_call_outputs(ctx, split, in, 1, in_two, 2, &n));
  CHECK(n == 2);
  ctn_variable parts[3] = {};
  REQUIRE_OK(ctn_call(ctx, split, in, 1, at_cuts, 2, parts, 3));
  const Var first(parts[0]), second(parts[1]), third(parts[2]);
  CHECK(values(first) == Floats{0, 3});
  CHECK(values(third) == Floats{2, 5});
  REQUIRE_OK(ctn_call_outputs(ctx, op_id("relu"), in, 1, nullptr, 0, &n));
  CHECK(n == 1);

  n = -7;
  const ctn_value wrong[] = {of("three"), of(1)};
  CHECK_FAILS(ctn_call_outputs(ctx, split, in, 1, wrong, 2, &n), CTN_EINVAL, "'three'");
  CHECK_FAILS(ctn_call_outputs(ctx, split, in, 1, nullptr, 0, &n), CTN_EINVAL, "required");
  CHECK_FAILS(ctn_call_outputs(ctx, split, in, 0, in_two, 2, &n), CTN_EINVAL, "SplitAxis");
  CHECK_FAILS(ctn_call_outputs(ctx, split, in, -1, in_two, 2, &n), CTN_EINVAL, "-1");
  CHECK_FAILS(ctn_call_outputs(ctx, -1, in, 1, in_two, 2, &n), CTN_ENOTFOUND, "id -1");
  CHECK_FAILS(ctn_call_outputs(nullptr, split, in, 1, in_two, 2, &n), CTN_EINVAL, "context");
  CHECK_FAILS(ctn_call_outputs(ctx, split, in, 1, in_two, 2, nullptr), CTN_EINVAL, "n_out");
  CHECK(n == -7);
}

TEST_CASE("a call that cannot be made writes no output and leaves nothing") {
  const Ctx ctx = context(), other = context();
  const Var x = variable(ctx, {1, 2}), y = variable(ctx, {1, 2, 3}),
            foreign = variable(other, {1, 2});
  const int32_t add = op_id("add2"), relu = op_id("relu"), sum = op_id("sum");
  const uint64_t before = used(ctx);
  ctn_variable out[2] = {kNowhere, kNowhere};
  const auto refuse = [&](int32_t op, std::initializer_list<ctn_variable> in,
                          std::initializer_list<ctn_value> attrs, int32_t n_out, ctn_status code,
                          const char* why) {
    CHECK_FAILS(ctn_call(ctx, op, in.begin(), length(in), attrs.begin(), length(attrs), out, n_out),
                code, why);
    CHECK(out[0] == kNowhere);
    CHECK(out[1] == kNowhere);
    CHECK(used(ctx) == before);
  };
  refuse(add, {x, y}, {}, 1, CTN_ESHAPE, "(2,) != (3,)");
  refuse(add, {x}, {}, 1, CTN_EINVAL, "_ + _");
  refuse(add, {x, x, x}, {}, 1, CTN_EINVAL, "[add2] takes 2 inputs, called with 3");
  refuse(add, {x, nullptr}, {}, 1, CTN_EINVAL, "[add2] input 1 ('z') is NULL");
  refuse(add, {x, foreign}, {}, 1, CTN_EINVAL, "[add2] input 1 belongs to another context");
  refuse(add, {foreign, foreign}, {}, 1, CTN_EINVAL, "input 0 belongs to another context");
  refuse(relu, {x}, {}, 0, CTN_EINVAL, "[relu] gives 1 outputs, room for 0");
  refuse(relu, {x}, {}, 2, CTN_EINVAL, "[relu] gives 1 outputs, room for 2");
  refuse(relu, {x}, {of(1)}, 1, CTN_EINVAL, "relu: 1 attributes were given, it has none");
  refuse(sum, {x}, {of(0.5)}, 1, CTN_EINVAL, "sum: attribute 'axis' is 0.5 (float)");
  refuse(sum, {x}, {of(7)}, 1, CTN_ESHAPE, "7");
  ctn_value odd{};
  odd.kind = 99;
  refuse(sum, {x}, {odd}, 1, CTN_EINVAL, "unknown kind 99");
  odd.kind = CTN_INTS;
  odd.n = 2;  // behind a NULL pointer
  refuse(sum, {x}, {odd}, 1, CTN_EINVAL, "attribute 'axis'");
  refuse(-1, {x}, {}, 1, CTN_ENOTFOUND, "id -1");
  refuse(ctn_op_count(), {x}, {}, 1, CTN_ENOTFOUND, std::to_string(ctn_op_count()).c_str());

  const ctn_variable in[] = {x};
  CHECK_FAILS(ctn_call(ctx, relu, in, -1, nullptr, 0, out, 1), CTN_EINVAL,
              "[relu] takes 1 inputs, called with -1");
  CHECK_FAILS(ctn_call(ctx, relu, in, 1, nullptr, -3, out, 1), CTN_EINVAL, "count of attrs is -3");
  CHECK_FAILS(ctn_call(ctx, relu, in, 1, nullptr, 0, out, -2), CTN_EINVAL, "room for -2");
  CHECK_FAILS(ctn_call(ctx, relu, nullptr, 1, nullptr, 0, out, 1), CTN_EINVAL, "in is NULL");
  CHECK_FAILS(ctn_call(ctx, relu, in, 1, nullptr, 1, out, 1), CTN_EINVAL, "attrs is NULL");
  CHECK_FAILS(ctn_call(ctx, relu, in, 1, nullptr, 0, nullptr, 1), CTN_EINVAL, "out is NULL");
  CHECK_FAILS(ctn_call(nullptr, relu, in, 1, nullptr, 0, out, 1), CTN_EINVAL, "context is NULL");
  CHECK(out[0] == kNowhere);
}

TEST_CASE("ops of very many inputs are called as others are") {
  const Ctx ctx = context();
  std::vector<Var> all;
  std::vector<ctn_variable> in;
  for (int i = 0; i < 40; ++i) {
    all.push_back(variable(ctx, {static_cast<float>(i), 1}));
    in.push_back(all.back());
  }
  Var y, z;
  REQUIRE_OK(ctn_call(ctx, op_id("add"), in.data(), length(in), nullptr, 0, y.out(), 1));
  CHECK(values(y) == Floats{780, 40});
  const ctn_value axis = of(0);
  REQUIRE_OK(ctn_call(ctx, op_id("concat"), in.data(), length(in), &axis, 1, z.out(), 1));
  CHECK(values(z).size() == 80);
  std::vector<ctn_variable> parts(80);
  const ctn_value attrs[] = {of(80), of(0)};
  const ctn_variable joined[] = {z};
  REQUIRE_OK(ctn_call(ctx, op_id("split_axis"), joined, 1, attrs, 2, parts.data(), length(parts)));
  CHECK(values(parts[78]) == Floats{39});
  for (const ctn_variable v : parts) ctn_variable_release(v);
}

TEST_CASE("a kernel keeps its context, is counted, and refuses what it cannot take") {
  Ctx ctx = context();
  const Ctx other = context();
  ctn_kernel_source source{};
  source.size = sizeof source;
  source.name = str("scale");
  source.in = str("T x, T w");
  source.out = str("T y");
  source.map = str("y = x * w");
  Ker k;
  REQUIRE_OK(ctn_kernel_create(ctx, &source, k.out()));
  Var x = variable(ctx, {1, 2}), foreign = variable(other, {1, 2}), y;
  const ctn_variable in[] = {x, x}, mixed[] = {x, foreign}, absent[] = {x, nullptr};
  ctn_variable out = kNowhere;
  const int64_t axes[] = {0};
  CHECK_FAILS(ctn_kernel_call(k, in, 1, nullptr, 0, 0, &out, 1), CTN_EINVAL, "[scale]");
  CHECK_FAILS(ctn_kernel_call(k, in, 2, nullptr, 0, 0, &out, 0), CTN_EINVAL, "[scale]");
  CHECK_FAILS(ctn_kernel_call(k, in, -2, nullptr, 0, 0, &out, 1), CTN_EINVAL, "-2");
  CHECK_FAILS(ctn_kernel_call(k, nullptr, 2, nullptr, 0, 0, &out, 1), CTN_EINVAL, "in is NULL");
  CHECK_FAILS(ctn_kernel_call(k, in, 2, nullptr, 0, 0, nullptr, 1), CTN_EINVAL, "out is NULL");
  CHECK_FAILS(ctn_kernel_call(k, in, 2, axes, -1, 0, &out, 1), CTN_EINVAL, "-1 axes");
  CHECK_FAILS(ctn_kernel_call(k, mixed, 2, nullptr, 0, 0, &out, 1), CTN_EINVAL, "context");
  CHECK_FAILS(ctn_kernel_call(k, absent, 2, nullptr, 0, 0, &out, 1), CTN_EINVAL, "NULL");
  CHECK_FAILS(ctn_kernel_call(nullptr, in, 2, nullptr, 0, 0, &out, 1), CTN_EINVAL, "kernel");
  CHECK(out == kNowhere);

  ctn_kernel made = untouched<ctn_kernel_s>();
  CHECK_FAILS(ctn_kernel_create(ctx, nullptr, &made), CTN_EINVAL, "source is NULL");
  CHECK_FAILS(ctn_kernel_create(ctx, &source, nullptr), CTN_EINVAL, "out is NULL");
  CHECK_FAILS(ctn_kernel_create(nullptr, &source, &made), CTN_EINVAL, "context is NULL");
  source.size = 4;
  CHECK_FAILS(ctn_kernel_create(ctx, &source, &made), CTN_EINVAL, "ctn_kernel_source: size is 4");
  source.size = sizeof source;
  source.map = str("y = x * v");
  CHECK_FAILS(ctn_kernel_create(ctx, &source, &made), CTN_EINVAL, "scale");
  CHECK(made == untouched<ctn_kernel_s>());

  ctn_kernel_retain(k);
  const Ker same(static_cast<ctn_kernel>(k));
  k = Ker();
  ctx = Ctx();
  REQUIRE_OK(ctn_kernel_call(same, in, 2, nullptr, 0, 0, y.out(), 1));
  CHECK(values(y) == Floats{1, 4});
  int32_t made_by = -7, n = -7;
  REQUIRE_OK(ctn_variable_creator(y, &made_by, nullptr, 0, &n));
  CHECK(made_by == -1);  // a kernel is no op, but has inputs
  CHECK(n == 2);
}

TEST_CASE("a reduction kernel checks its axes") {
  const Ctx ctx = context();
  ctn_kernel_source source{};
  source.size = sizeof source;
  source.name = str("total");
  source.in = str("T x");
  source.out = str("T y");
  source.map = str("x");
  source.reduce = str("a + b");
  source.identity = str("0");
  source.post = str("y = a");
  Ker k;
  REQUIRE_OK(ctn_kernel_create(ctx, &source, k.out()));
  const Var x = variable(array<float>(ctx, {1, 2, 3, 4}, {2, 2}));
  const ctn_variable in[] = {x};
  Var y;
  const int64_t last[] = {-1}, beyond[] = {2}, twice[] = {0, -2};
  REQUIRE_OK(ctn_kernel_call(k, in, 1, last, 1, 1, y.out(), 1));
  CHECK(values(y) == Floats{3, 7});
  ctn_variable out = kNowhere;
  CHECK_FAILS(ctn_kernel_call(k, in, 1, beyond, 1, 0, &out, 1), CTN_ESHAPE, "2");
  CHECK_FAILS(ctn_kernel_call(k, in, 1, twice, 2, 0, &out, 1), CTN_EINVAL, "total");
  CHECK_FAILS(ctn_kernel_call(k, in, 1, last, -1, 0, &out, 1), CTN_EINVAL, "-1 axes");
  CHECK(out == kNowhere);
}
