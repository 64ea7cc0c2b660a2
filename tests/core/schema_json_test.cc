// The registry as JSON, read back by another JSON library.
#include <main.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "core/transaction.h"
#include "op_text.h"

using namespace catena;
using namespace catena_test;

namespace {

constexpr uint64_t kFloat = CTN_KIND_BIT(CTN_FLOAT);

// The entry of a list that has this name.
nlohmann::json named(const nlohmann::json& list, const std::string& name) {
  for (const nlohmann::json& entry : list) {
    if (entry["name"] == name) return entry;
  }
  FAIL("no entry " << name);
  return {};
}

}  // namespace

TEST_CASE("schema: the registry as JSON") {
  {
    Registry::Transaction t("json");
    ProductText op("json.mul");
    op.def.doc = lit("Says \"hi\",\n\ttabs \\ and \xc3\xa9.");
    op.def.page = lit("functions/mul");
    op.def.grad = lit("gx = gy * z; gz = gy * x");
    op.attr("none", kFloat | CTN_KIND_BIT(CTN_NONE), kind_value(CTN_NONE));
    op.attr("inf", kFloat, float_value(-std::numeric_limits<double>::infinity()));
    op.attr("tenth", kFloat, float_value(0.1)).attr("whole", kFloat, float_value(3));
    op.attr("must", kFloat | CTN_REQUIRED, {});
    const std::vector<int64_t> numbers = {1, -2};
    op.attr("ints", CTN_KIND_BIT(CTN_INTS), ints_value(numbers));
    ctn_value dtype = kind_value(CTN_DTYPE);
    dtype.u.dt = dtype_of(CTN_BFLOAT16);
    op.attr("dtype", CTN_KIND_BIT(CTN_DTYPE), dtype);
    const ctn_slice slice = {1, 0, 2, 5, 0};
    ctn_value s = kind_value(CTN_SLICE);
    s.u.slice = &slice;
    op.attr("slice", CTN_KIND_BIT(CTN_SLICE), s);
    op.check("x.ndim >= 1");
    t.add(op.get());
    const ctn_attr_def lr = {lit("lr"), kFloat, float_value(1e-8), lit("step"), 0, 0};
    const ctn_state_def state = {lit("m"), 0.5, 0, 0};
    ctn_optimizer_def o{};
    o.size = sizeof o;
    o.name = lit("Json");
    o.hyper = &lr;
    o.n_hyper = 1;
    o.state = &state;
    o.n_state = 1;
    o.scalars = lit("s = lr * t");
    o.update = lit("param = param - s * grad");
    t.add(&o);
    t.commit();
  }
  const nlohmann::json j = nlohmann::json::parse(Registry::get().json());
  CHECK(j["format"] == 1);
  for (const char* key : {"ops", "links", "optimizers", "hooks", "initializers", "backends"}) {
    CHECK(j[key].is_array());
  }
  const nlohmann::json op = named(j["ops"], "json.mul");
  CHECK(op["name"] == "json.mul");
  CHECK(op["kind"] == "expression");
  CHECK(op["plugin"] == "json");
  CHECK(op["doc"] == "Says \"hi\",\n\ttabs \\ and \xc3\xa9.");
  CHECK(op["inputs"][1]["name"] == "z");
  CHECK(op["inputs"][1]["type"] == "f");
  CHECK(op["inputs"][1]["dtypes"] ==
        nlohmann::json::parse(R"(["float16", "float32", "float64", "bfloat16"])"));
  CHECK(op["outputs"][0]["type"] == "=x");
  CHECK(op["map"] == "y = x * z");
  CHECK(op["grad"] == "gx = gy * z; gz = gy * x");
  CHECK(!op.contains("reduce"));
  CHECK(op["checks"] == nlohmann::json::parse(R"(["x.ndim >= 1"])"));
  CHECK(op["retain_in"] == nlohmann::json::parse("[0, 1]"));
  const nlohmann::json& attrs = op["attrs"];
  CHECK(attrs[0]["kinds"] == nlohmann::json::parse(R"(["none", "float"])"));
  CHECK(attrs[0]["default_kind"] == "none");
  CHECK(attrs[0]["default"].is_null());
  CHECK(attrs[1]["default"] == "-inf");
  CHECK(attrs[2]["default"] == 0.1);
  CHECK(attrs[3]["default"].is_number_float());
  CHECK(attrs[4]["required"] == true);
  CHECK(!attrs[4].contains("default"));
  CHECK(attrs[5]["default"] == nlohmann::json::parse("[1, -2]"));
  CHECK(attrs[6]["default"] == "bfloat16");
  CHECK(attrs[7]["default"] == nlohmann::json::parse("[1, null, 2]"));
  const nlohmann::json o = named(j["optimizers"], "Json");
  CHECK(o["hyper"][0]["default"] == 1e-8);
  CHECK(o["state"][0]["initial"] == 0.5);
  CHECK(o["scalars"] == "s = lr * t");
  CHECK(o["update"] == "param = param - s * grad");
}
