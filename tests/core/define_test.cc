// Definitions: what is refused and in which words, structs of other sizes, expression ops, and
// memory that runs out on the way.
#include "core/define.h"

#include <main.h>

#include "core/checks.h"
#include "core/expr/expr.h"
#include "core/transaction.h"
#include "failing_new.h"
#include "op_text.h"

using namespace catena;
using namespace catena_test;

namespace {

constexpr uint64_t kFloat = CTN_KIND_BIT(CTN_FLOAT);

template <class Def>
std::string refusal(const Def* def) {
  Arena arena;
  try {
    define(def, arena);
  } catch (const Error& e) {
    CHECK(e.code() == CTN_EINVAL);
    return e.what();
  }
  return "accepted";
}

ctn_status no_compose(void*, const ctn_call_info*, const ctn_variable*, ctn_variable*) {
  return CTN_OK;
}
ctn_status no_backward(void*, ctn_grad) { return CTN_OK; }

void check_refused(OpText& op, const char* why) {
  const std::string text = refusal(op.get());
  CHECK_MESSAGE(text == why, text);
}

}  // namespace

TEST_CASE("define: structs of other sizes") {
  OpText op("sizes");
  op.in("x", "f");
  op.def.size = 0;
  check_refused(op, ("ctn_op_def: size is 0; it is to be sizeof of the struct (" +
                     std::to_string(sizeof(ctn_op_def)) + " in this library)")
                        .c_str());
  op.def.size = 0xffffffff;
  CHECK(refusal(op.get()).find("ctn_op_def: size is 4294967295") == 0);
  op.def.size = 4;
  CHECK(refusal(op.get()).find("ctn_op_def: size is 4;") == 0);
  CHECK(refusal<ctn_op_def>(nullptr) == "ctn_op_def is NULL");

  // An older plugin's struct ends early; what lies behind it is not read.
  Arena arena;
  op.def.size = offsetof(ctn_op_def, count);
  op.def.count = reinterpret_cast<decltype(op.def.count)>(&arena);
  CHECK(!define(op.get(), arena)->def.count);
  // A newer one's is longer.
  struct Newer {
    ctn_op_def def;
    uint64_t more[8];
  } newer{};
  op.def.size = sizeof(ctn_op_def);
  op.def.count = nullptr;
  newer.def = *op.get();
  newer.def.size = sizeof newer;
  CHECK(define(&newer.def, arena)->def.size == sizeof(ctn_op_def));
}

TEST_CASE("define: names of ops") {
  for (const char* name : {"", "A", "a-b", "../x", "a/b", "a b", "\xff", "\n"}) {
    OpText op(name);
    CHECK(refusal(op.get()).find("op name '") == 0);
  }
  CHECK(refusal(OpText(std::string(65, 'a')).get()).find("op name '") == 0);
  Arena arena;
  CHECK(define(OpText("a.b_1").get(), arena)->label == "a.b_1");
}

TEST_CASE("define: an op is of exactly one kind") {
  OpText op("kind");
  op.in("x", "f");
  op.def.infer = nullptr;
  check_refused(op, "op kind: exactly one of map, compose and infer must be set");
  op.def.infer = no_infer;
  op.def.compose = no_compose;
  check_refused(op, "op kind: exactly one of map, compose and infer must be set");
  op.def.compose = nullptr;
  op.def.reduce = lit("a + b");
  check_refused(op, "op kind: grad, reduce, post and identity belong to an op with map");
  op.def.reduce = {};
  op.def.flags = 0;
  check_refused(op, "op kind: a primitive needs backward or the flag CTN_OP_NODIFF");
  op.def.backward = no_backward;
  CHECK(refusal(op.get()) == "accepted");
  op.def.infer = nullptr;
  op.def.compose = no_compose;
  check_refused(op, "op kind: a composite is differentiated through its parts");
}

TEST_CASE("define: inputs and outputs") {
  const auto with = [](auto change) {
    OpText op("io");
    op.in("x", "f").in("z", "i");
    change(op);
    return refusal(op.get());
  };
  CHECK(with([](OpText&) {}) == "accepted");
  CHECK(with([](OpText& o) { o.outputs.clear(); }) == "op io: it has no output");
  CHECK(with([](OpText& o) { o.outputs[0].flags = CTN_OUT_HIDDEN; }) ==
        "op io: all of its outputs are hidden");
  CHECK(with([](OpText& o) {
          o.outputs[0].flags = CTN_OUT_HIDDEN;
          o.outputs.push_back({lit("seen"), lit(""), 0, 0});
        }) == "op io: output seen stands behind a hidden one");
  CHECK(with([](OpText& o) { o.outputs[0].type = lit("=q"); }) ==
        "op io: output out: type '=q' is neither a dtype nor = and an input");
  CHECK(with([](OpText& o) { o.inputs[0].flags = CTN_IN_VARIADIC; }) ==
        "op io: input x is variadic, but not the last");
  CHECK(with([](OpText& o) { o.inputs[0].name = lit("z"); }) == "op io: the name 'z' occurs twice");
  CHECK(with([](OpText& o) { o.outputs[0].name = lit("z"); }) ==
        "op io: the name 'z' occurs twice");
  CHECK(with([](OpText& o) { o.inputs[0].name = lit("1x"); }) ==
        "op io: the name '1x' starts with a digit");
  CHECK(with([](OpText& o) { o.inputs[0].name = {nullptr, 3}; }).find("op io: input name '") == 0);
  CHECK(with([](OpText& o) {
          o.def.doc = {nullptr, 3};
        }) == "op io: a text is NULL, its length is not 0");
  CHECK(with([](OpText& o) { o.def.doc = lit("\xc3("); }) == "op io: a text is not UTF-8");
  CHECK(with([](OpText& o) { o.def.retain_in = 4; }) ==
        "op io: retain_in has bits for what there is not");
  for (const char* type : {"", "x", "float", "f|", "|f", "float32|", "f:", "f:t", "f:T-", "f f"}) {
    CHECK(with([&](OpText& o) { o.inputs[0].type = lit(type); }).find("is no dtype class") !=
          std::string::npos);
  }
  OpText op("counts");
  ctn_op_def def = *op.get();
  def.n_in = -1;
  CHECK(refusal(&def) == "op counts: inputs: -1 of them, 0 to 64 are allowed");
  def.n_in = 65;
  CHECK(refusal(&def) == "op counts: inputs: 65 of them, 0 to 64 are allowed");
  def.n_in = 1;
  def.in = nullptr;
  CHECK(refusal(&def) == "op counts: inputs: 1 of them, but the array is NULL");
}

TEST_CASE("define: dtype classes are masks") {
  const struct {
    const char* type;
    uint32_t mask;
  } cases[] = {{"f", kFloating},
               {"i", 0b11110},
               {"u", 0b111100000},
               {"b", 1},
               {"fb", kFloating | 1},
               {"n", kFloating | 0b111111110},
               {"a", 0x1fff},
               {"int32", 1u << CTN_INT32},
               {"float32|int32", 1u << CTN_FLOAT32 | 1u << CTN_INT32},
               {"f|bool:U", kFloating | 1}};
  for (const auto& c : cases) {
    Arena arena;
    OpText op("mask");
    op.in("x", c.type);
    CHECK(define(op.get(), arena)->in[0].dtypes == c.mask);
  }
}

TEST_CASE("define: optional and variadic inputs, retained masks") {
  Arena arena;
  OpText op("lists");
  op.in("x", "f").in("b", "f", CTN_IN_OPTIONAL).in("xs", "f", CTN_IN_VARIADIC | CTN_IN_OPTIONAL);
  op.def.retain_in = 0b101;
  const auto defined = define(op.get(), arena);
  CHECK(defined->min_in == 1);
  CHECK(defined->variadic);
  CHECK(defined->retain_in == ~UINT64_C(2));
  op.inputs[2].flags = CTN_IN_VARIADIC;
  CHECK(define(op.get(), arena)->min_in == 3);
}

TEST_CASE("define: attributes and their defaults") {
  const auto with = [](uint64_t kinds, ctn_value fallback) {
    OpText op("attr");
    op.attr("a", kinds, fallback);
    return refusal(op.get());
  };
  const std::string who = "op attr, attribute a: ";
  CHECK(with(kFloat, float_value(1)) == "accepted");
  CHECK(with(kFloat | CTN_REQUIRED, {}) == "accepted");
  CHECK(with(0, {}) == who + "kinds has no or unknown bits");
  CHECK(with(kFloat | 1u << 11, float_value(1)) == who + "kinds has no or unknown bits");
  CHECK(with(kFloat | CTN_REQUIRED, float_value(1)) == who + "required, yet it has a default");
  CHECK(with(kFloat, {}) == who + "neither required nor given a default");
  CHECK(with(kFloat | CTN_KIND_BIT(CTN_NONE), int_value(1)) ==
        who + "a default of kind int, which is not among the kinds it accepts (none, float)");
  CHECK(with(CTN_KIND_BIT(CTN_ARRAY), kind_value(CTN_ARRAY)).find("a default of kind array") !=
        std::string::npos);
  ctn_value wrong = kind_value(CTN_BOOL);
  wrong.u.i = 2;
  CHECK(with(CTN_KIND_BIT(CTN_BOOL), wrong) == who + "a bool default is neither 0 nor 1");
  CHECK(with(CTN_KIND_BIT(CTN_DTYPE), kind_value(CTN_DTYPE)) ==
        who + "the default is no known dtype");
  for (const int32_t kind : {CTN_STR, CTN_INTS, CTN_FLOATS, CTN_STRS, CTN_LIST}) {
    ctn_value null = kind_value(kind);
    null.n = 2;
    CHECK(with(CTN_KIND_BIT(kind), null).find(who) == 0);
  }
  CHECK(with(CTN_KIND_BIT(CTN_SLICE), kind_value(CTN_SLICE)).find(who) == 0);
  ctn_value nested = kind_value(CTN_LIST);
  nested.n = 1;
  nested.u.list = &nested;  // contains itself
  CHECK(with(CTN_KIND_BIT(CTN_LIST), nested) == who + "a default with lists nested too deeply");
  OpText twice("attr");
  twice.attr("a", kFloat, float_value(1)).attr("a", kFloat, float_value(1));
  check_refused(twice, "op attr: the name 'a' occurs twice");
}

TEST_CASE("define: expression ops are parsed, with scalars, dtypes and what backward reads") {
  Arena arena;
  ProductText op("row");
  op.attr("alpha", kFloat, float_value(2)).attr("unused", kFloat, float_value(0));
  op.attr("n_times", CTN_KIND_BIT(CTN_INT), int_value(3));
  op.def.map = lit("y = alpha * x * z + n_times");
  const auto row = define(op.get(), arena);
  REQUIRE(row->row);
  CHECK(row->row->n_scalars() == 2);
  CHECK(row->scalar_attrs == std::vector<int32_t>{0, 2});
  CHECK(row->retain_in == 0b11);
  CHECK(row->retain_out == 0);
  CHECK(row->in[1].var == "T");
  CHECK(view(row->def.map) == "y = alpha * x * z + n_times");
  op.def.flags = CTN_OP_NODIFF;
  CHECK(define(op.get(), arena)->retain_in == 0);

  ProductText exp("row_exp");
  exp.def.map = lit("y = exp(x) + z");
  exp.def.grad = lit("gx = gy * exp(x); gz = gy");
  CHECK(define(exp.get(), arena)->retain_in == 0b01);

  ProductText mixed("mixed");
  mixed.inputs[1].type = lit("i");
  check_refused(mixed,
                "op mixed: inputs x and z share the type variable T but accept different dtypes; "
                "give one a variable of its own, as in i:U");
  mixed.inputs[1].type = lit("i:U");
  CHECK(define(mixed.get(), arena)->in[1].var == "U");
  mixed.inputs[1].type = lit("int32");
  CHECK(define(mixed.get(), arena)->row->arg_type(1) == "int32");

  ProductText wrong("wrong");
  wrong.def.map = lit("y = x * nothing");
  CHECK(refusal(wrong.get()).find("wrong") != std::string::npos);
  ProductText optional("optional");
  optional.inputs[1].flags = CTN_IN_OPTIONAL;
  check_refused(optional, "op optional: an expression has no variadic or optional input");
}

TEST_CASE("define: an expression's inputs agree in dtype and, if it says so, in shape") {
  Arena arena;
  ProductText op("agree");
  op.def.label = lit("_ * _");
  op.def.flags = CTN_OP_SAME_SHAPE;
  op.check("x.shape == z.shape");  // said twice, checked once
  const auto row = define(op.get(), arena);
  REQUIRE(row->checks);
  int64_t two[] = {2}, three[] = {3};
  ctn_tensor in[2] = {};
  in[0].t = {nullptr, {}, 1, dtype_of(CTN_FLOAT32), two, nullptr, 0};
  in[1].t = {nullptr, {}, 1, dtype_of(CTN_FLOAT64), three, nullptr, 0};
  std::string text;
  ctn_status code = CTN_OK;
  CHECK(!row->checks->hold(*row, in, {}, &text, &code));
  CHECK(text ==
        "Invalid operation is performed in: _ * _ (Forward)\n\n"
        "Expect: in_types[0].dtype == in_types[1].dtype\nActual: float32 != float64");
  in[1].t.dtype = dtype_of(CTN_FLOAT32);
  CHECK(!row->checks->hold(*row, in, {}, &text, &code));
  CHECK(text.find("Expect: in_types[0].shape == in_types[1].shape\nActual: (2,) != (3,)") !=
        std::string::npos);
}

TEST_CASE("define: links, optimizers, hooks and initializers") {
  ctn_link_def link{};
  link.size = sizeof link;
  link.name = lit("Linear");
  link.n_in = 1;
  link.n_out = 1;
  CHECK(refusal(&link) == "link Linear: call is NULL");
  link.n_out = 0;
  CHECK(refusal(&link) == "link Linear: n_out is out of range");
  link.name = lit("Line/ar");
  CHECK(refusal(&link).find("link name 'Line/ar'") == 0);

  const ctn_attr_def lr = {lit("lr"), kFloat, float_value(0.1), lit(""), 0, 0};
  const ctn_state_def state = {lit("m"), 0, 0, 0};
  ctn_optimizer_def o{};
  o.size = sizeof o;
  o.name = lit("SGD");
  o.hyper = &lr;
  o.n_hyper = 1;
  o.state = &state;
  o.n_state = 1;
  CHECK(refusal(&o) == "optimizer SGD: update is empty");
  o.update = lit("param = param - lr * grad");
  CHECK(refusal(&o) == "accepted");
  o.when = lit("lr");
  CHECK(refusal(&o) == "optimizer SGD: when and update_when come together");
  o.update_when = o.update;
  CHECK(refusal(&o) == "optimizer SGD: when names no bool");
  o.when = o.update_when = {};
  o.nonzero = lit("eps");
  CHECK(refusal(&o) == "optimizer SGD: nonzero names no hyperparameter");
  o.nonzero = {};
  const ctn_state_def clash = {lit("grad"), 0, 0, 0};
  o.state = &clash;
  CHECK(refusal(&o) == "optimizer SGD: the name 'grad' occurs twice");
  const ctn_state_def open = {lit("m"), 0, CTN_STATE_WHEN, 0};
  o.state = &open;
  CHECK(refusal(&o) == "optimizer SGD: a state with CTN_STATE_WHEN, but no 'when'");

  ctn_hook_def h{};
  h.size = sizeof h;
  h.name = lit("Decay");
  CHECK(refusal(&h) == "hook Decay: either call or update must be set");
  h.call = [](void*, const ctn_hook_call*) -> ctn_status { return CTN_OK; };
  CHECK(refusal(&h) == "accepted");
  h.scalars = lit("a = 1");
  CHECK(refusal(&h) == "hook Decay: sums and scalars belong to a hook with update");

  ctn_initializer_def i{};
  i.size = sizeof i;
  i.name = lit("Zero");
  CHECK(refusal(&i) == "initializer Zero: fill is NULL");
}

TEST_CASE("define: without memory nothing is registered, whichever allocation fails") {
  Registry& r = Registry::get();
  const int32_t ops = r.op_count();
  const std::string json = r.json();
  const auto attempt = [] {
    Registry::Transaction t("starved");
    ProductText op("starved.mul");
    op.attr("alpha", kFloat, float_value(1)).check("x.ndim == 2");
    op.def.map = lit("y = alpha * x * z");
    t.add(op.get());
    ctn_kernel_def k{};
    k.size = sizeof k;
    k.op = lit("starved.later");
    k.backend = lit("starved");
    k.run = [](void*, const ctn_run*) -> ctn_status { return CTN_OK; };
    t.add(&k);
    t.commit();
  };
  int64_t n = 1;
  for (; n < 100000; ++n) {
    fail_allocation(n);
    const ctn_status status = guarded(attempt);
    fail_allocation(0);
    if (status == CTN_OK) break;
    REQUIRE(status == CTN_ENOMEM);
    REQUIRE(r.op_count() == ops);
    REQUIRE(!r.find_op("starved.mul"));
    REQUIRE(!Registry::Transaction::running());
  }
  CHECK(n > 50);
  MESSAGE("allocations failed in turn: " << n - 1);
  CHECK(r.op_count() == ops + 1);
  CHECK(r.json() != json);
}
