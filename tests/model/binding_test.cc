// The C++ binding: contexts and configuration by scope, indexes in C++'s words, functions as layers
// and losses, every output of an op, hooks and counts of optimizers, gradients by options, links
// put together by hand, arrays over memory of others.
#include <catena/catena.hpp>

#include <cmath>
#include <memory>
#include <stdexcept>
#include <thread>

#include "main.h"

using namespace catena;

namespace {

using Floats = std::vector<float>;
using Longs = std::vector<int64_t>;

Floats values(const Variable& v) { return v.array().to_vector<float>(); }

Variable counting(const Shape& shape) {
  size_t n = 1;
  for (const int64_t d : shape) n *= static_cast<size_t>(d);
  Floats v(n);
  for (size_t k = 0; k < n; ++k) v[k] = static_cast<float>(k);
  return Variable(Array::from(v, shape));
}

// What is thrown has this status and names this.
template <class Body>
void refused(ctn_status status, const std::string& text, Body&& body) {
  try {
    body();
    FAIL("nothing was refused: " << text);
  } catch (const Error& e) {
    CHECK_MESSAGE(e.status() == status, e.what());
    CHECK_MESSAGE(std::string(e.what()).find(text) != std::string::npos, e.what());
  }
}

bool is_training(const Context& ctx) { return std::get<bool>(config("train", ctx.get())); }

void set_global(const Context& ctx, const char* key, bool value) {
  ctn_value v{};
  v.kind = CTN_BOOL;
  v.u.i = value;
  check(ctn_config_set_global(ctx.get(), detail::str(key), &v));
}

}  // namespace

TEST_CASE("an argument may replace the variable that another one names") {
  const Context ctx("cpu");
  Variable h(Array::of<float>({1, 2}));
  const auto step = [&] {
    h = F::square(h);
    return h;
  };
  CHECK(F::add2(h, step()).array().to_vector<float>().size() == 2);
  Variable x(Array::of<float>({3}));
  CHECK((x + (x = F::square(x))).item() >= 12);
}

TEST_CASE("the current context is the last one of which an object is there") {
  const Context outer({.device = "cpu", .threads = 1});
  {
    const Context copy = outer;  // NOLINT(performance-unnecessary-copy-initialization)
    CHECK(Context::current() == outer.get());
  }
  CHECK(Context::current() == outer.get());
  auto a = std::make_unique<Context>("cpu");
  {
    const Context inner("cpu");
    CHECK(Context::current() == inner.get());
    a.reset();  // below the top
  }
  CHECK(Context::current() == outer.get());
  std::unique_ptr<Context> moved;
  {
    Context made("cpu");
    moved = std::make_unique<Context>(std::move(made));
  }
  CHECK(Context::current() == moved->get());
  moved.reset();
  CHECK(Context::current() == outer.get());
  std::thread([&outer] {
    CHECK_THROWS_AS(Context::current(), InvalidArgument);
    outer.make_current();
    CHECK(Array::full({2}, 3).to_vector<float>() == Floats{3, 3});
  }).join();
}

TEST_CASE("a scope of configuration leaves nothing behind") {
  const Context ctx("cpu");
  {
    const using_config test("train", false);
    CHECK(!is_training(ctx));
    {
      const using_config train("train", true);
      CHECK(is_training(ctx));
    }
    CHECK(!is_training(ctx));
  }
  CHECK(is_training(ctx));
  set_global(ctx, "train", false);  // which the thread follows again
  CHECK(!is_training(ctx));
  {
    const using_config name("user_name", "first");
    const using_config count("user_count", 3);
    const using_config cudnn("use_cudnn", std::string("never"));
    CHECK(config("user_name") == ConfigValue("first"));
    CHECK(config("user_count") == ConfigValue(3));
    CHECK(config("use_cudnn") == ConfigValue("never"));
    {
      const using_config again("user_name", "second");
      CHECK(config("user_name") == ConfigValue("second"));
    }
    CHECK(config("user_name") == ConfigValue("first"));
  }
  CHECK(config("use_cudnn") == ConfigValue("auto"));
  refused(CTN_ENOTFOUND, "user_name", [] { config("user_name"); });
  ctn_value own{};
  CHECK(ctn_config_get_local(ctx.get(), detail::str("nothing"), &own) == CTN_ENOTFOUND);
  CHECK(ctn_config_get_local(ctx.get(), detail::str("train"), &own) == CTN_OK);
  CHECK(own.kind == CTN_ABSENT);
  refused(CTN_EINVAL, "takes a bool", [] { const using_config bad("train", "yes"); });
  refused(CTN_EINVAL, "did you mean 'train'?", [] { const using_config bad("trian", true); });
}

TEST_CASE("indexes read as in Python") {
  const Context ctx("cpu");
  const Variable x = counting({2, 3, 4});  // 12 i + 4 j + k
  CHECK(values(F::get_item(x, {slice(0, 1), ellipsis, 0})) == Floats{0, 4, 8});
  CHECK(F::get_item(x, {slice(0, 1), ellipsis, 0}).shape() == Shape{1, 3});
  CHECK(values(F::get_item(x, {1, 2, slice(none, none, -2)})) == Floats{23, 21});
  CHECK(F::get_item(x, slice(1)).shape() == Shape{1, 3, 4});
  CHECK(F::get_item(x, {newaxis, 1, newaxis, slice(1, none)}).shape() == Shape{1, 1, 2, 4});
  CHECK(values(F::get_item(x, {1, 2, 3})) == Floats{23});
  CHECK(values(F::get_item(x, {0, Array::of<int32_t>({2, 0}), 1})) == Floats{9, 1});
  CHECK(F::get_item(x, ellipsis).shape() == Shape{2, 3, 4});
}

TEST_CASE("functions of the program are layers and losses") {
  const Context ctx("cpu");
  const Variable x(Array::from(Floats{1, -2}, {1, 2}));
  auto calls = std::make_shared<int>(0);
  {
    const Sequential model({[calls](const Variable& v) {
                              ++*calls;
                              return v * 2;
                            },
                            "relu", F::exp});
    CHECK(calls.use_count() == 2);
    CHECK(values(model(x)) == Floats{std::exp(2.0f), 1});
    CHECK(*calls == 1);
    CHECK(values(grad({F::sum(model(x))}, {x})[0])[0] == doctest::Approx(2 * std::exp(2.0)));
  }
  CHECK(calls.use_count() == 1);  // the runtime has let go

  const L::Classifier classifier(
      L::Linear(2, 1, {.initialW = 1.0}),
      {.lossfun = [](const Variable& y, const Variable& t) { return F::sum(y * t); },
       .accfun = none});
  CHECK(classifier(x, Variable(Array::from(Floats{3}, {1, 1}))).item() == -3);

  const Sequential fails(
      {[](const Variable&) -> Variable { throw std::runtime_error("my layer"); }});
  refused(CTN_EINTERNAL, "my layer", [&] { fails(x); });
  const Sequential two({[](const Variable& a, const Variable&) { return a; }});
  refused(CTN_EINVAL, "function of 2 variables was called with 1", [&] { two(x); });

  // Values that are never handed over, or twice, keep the count.
  const Value layer([calls](const Variable& v) { return v; });
  const Value list = Value::list({layer, layer});
  CHECK(calls.use_count() == 2);
  {
    const Sequential a({layer, layer}), b({layer});
    CHECK(values(a(x)) == Floats{1, -2});
  }
  CHECK(calls.use_count() == 2);
  const L::Linear filled(2, 1, {.initialW = [](const Variable& w) { w.array().fill(7); }});
  CHECK(values(filled.param("W")) == Floats{7, 7});
}

TEST_CASE("a Sequential says at which of its layers a call failed") {
  const Context ctx("cpu");
  const Variable x(Array::from(Floats{1, -2}, {1, 2}));
  const auto text = [&](const Sequential& model) -> std::string {
    try {
      model(x);
      return "nothing failed";
    } catch (const Error& e) {
      return e.what();
    }
  };
  const auto whole = [](const Variable& v) { return F::cast(v, int32); };
  const std::string named = text(Sequential({F::exp, whole, "tanh"}));
  CHECK(named.find("\n\nAt layer 2 (tanh).\n\nIn the link Sequential.") != named.npos);
  CHECK(text(Sequential({"relu", L::Linear(3, 1)})).ends_with("In the link Linear '/0'."));
}

TEST_CASE("integers are not divided, nor combined with what is no integer") {
  const Context ctx("cpu");
  const Variable n(Array::of<int32_t>({5, 2}), false);
  const auto ints = [](const Variable& v) { return v.array().to_vector<int32_t>(); };
  const std::string divided = "operator/: the array is int32, and integers are not divided";
  refused(CTN_EDTYPE, divided, [&] { n / 2; });
  refused(CTN_EDTYPE, divided, [&] { n / 1; });
  refused(CTN_EDTYPE, divided, [&] { n / 0.5; });
  refused(CTN_EDTYPE, "value / _", [&] { 2 / n; });
  for (const double odd : {0.5, -0.25, 1e10, -1e10, double(INFINITY), double(NAN)}) {
    refused(CTN_EDTYPE, "which is no int32, the dtype of the array", [&] { n* odd; });
    refused(CTN_EDTYPE, "[add_constant] value is ", [&] { n + odd; });
    refused(CTN_EDTYPE, "[add_constant] value is ", [&] { n - odd; });
    refused(CTN_EDTYPE, "[sub_from_constant] value is ", [&] { odd - n; });
  }
  CHECK(ints(n * 2) == std::vector<int32_t>{10, 4});
  CHECK(ints(n * 2.0) == std::vector<int32_t>{10, 4});
  CHECK(ints(n + -2147483648.0) == std::vector<int32_t>{-2147483643, -2147483646});
  refused(CTN_EDTYPE, "which is no int32", [&] { n + 2147483648.0; });
  CHECK(ints(3 - n) == std::vector<int32_t>{-2, 1});
  const Variable small(Array::of<uint8_t>({5, 2}), false);
  CHECK((small * 255.0).array().to_vector<uint8_t>() == std::vector<uint8_t>{251, 254});
  refused(CTN_EDTYPE, "which is no uint8", [&] { small * 256.0; });
  refused(CTN_EDTYPE, "which is no uint8", [&] { small * -1.0; });
  const Variable x(Array::of<float>({5, 2}));
  CHECK(values(x / 2) == Floats{2.5, 1});
  CHECK(values(Variable(n.array().astype(float32)) / 2) == Floats{2.5, 1});
}

TEST_CASE("what is empty or does not fit is named") {
  const Context ctx("cpu");
  const Variable x(Array::of<float>({1, 2}));
  refused(CTN_EINVAL, "array: the variable is empty: there is no such gradient",
          [&] { x.grad().item(); });
  refused(CTN_EINVAL, "shape: the variable is empty", [&] { x.grad().shape(); });
  refused(CTN_EDTYPE, "to_vector: the array is float32, asked for are values of int8",
          [&] { x.array().to_vector<int8_t>(); });
  refused(CTN_EINVAL, "array: 3 values for the shape (2, 2), which takes 4", [&] {
    Array::from<float>({1, 2, 3}, {2, 2});
  });
  CHECK(Array::from<float>({}, {0, 3}).shape() == Shape{0, 3});
  const L::BatchNormalization one(3), same({3}), plane({3, 4}, {.use_beta = false});
  CHECK(same.param("gamma").shape() == Shape{3});
  CHECK(plane.param("gamma").shape() == Shape{3, 4});
  CHECK(F::transpose(Variable(Array::zeros({2, 3})), {.axes = {1, 0}}).shape() == Shape{3, 2});
  refused(CTN_EINVAL, "[dropout] dropout_ratio must be", [&] { F::dropout(x, {.ratio = 1.5}); });
  refused(CTN_EINVAL, "config 'train' takes a bool, not 1", [] { using_config("train", 1); });
}

TEST_CASE("extra outputs have functions of their own") {
  const Context ctx("cpu");
  const Variable x(Array::from(Floats{1, 4, 3, 2}, {1, 1, 2, 2}));
  CHECK(values(F::max_pooling_2d(x, 2)) == Floats{4});
  const std::vector<Variable> pooled = F::max_pooling_2d_outputs(x, 2);
  REQUIRE(pooled.size() == 2);
  CHECK(pooled[1].array().to_vector<int64_t>() == Longs{1});

  const std::vector<Variable> dropped = F::dropout_outputs(x, {.ratio = 0.5});
  REQUIRE(dropped.size() == 2);
  CHECK(values(F::dropout(x, dropped[1])) == values(dropped[0]));
  const Variable mask(Array::from(Floats{2, 0, 2, 0}, {1, 1, 2, 2}), false);
  CHECK(values(F::dropout(x, mask)) == Floats{2, 0, 6, 0});
  CHECK(values(F::dropout_outputs(x, mask)[1]) == Floats{2, 0, 2, 0});
  const using_config test("train", false);
  CHECK(F::dropout_outputs(x).size() == 1);
}

namespace {

struct One : Chain {
  One() { add_param("w", Parameter(1.0, Shape{1})); }
};

void step(One& model, optimizers::SGD& sgd, float gradient) {
  model.param("w").set_grad(Variable(Array::of<float>({gradient}), false));
  sgd.update();
}

}  // namespace

TEST_CASE("hooks: their time, their place, their end; counts and scales") {
  const Context ctx("cpu");
  One model;
  optimizers::SGD sgd({.lr = 1.0});
  sgd.setup(model);
  const auto w = [&] { return values(model.param("w"))[0]; };
  sgd.add_hook(hooks::WeightDecay(0.5), {.timing = Timing::post});
  step(model, sgd, 0.25f);
  CHECK(w() == 0.75f);  // the decay came too late
  sgd.remove_hook("WeightDecay");
  sgd.add_hook(hooks::WeightDecay(1.0), {.name = "own", .param = "w"});
  step(model, sgd, 0.25f);
  CHECK(w() == -0.25f);
  sgd.remove_hook("own", "w");
  refused(CTN_ENOTFOUND, "own", [&] { sgd.remove_hook("own", "w"); });

  int seen = 0;
  sgd.add_hook("mine", [&seen](const std::vector<Variable>& params) {
    seen += static_cast<int>(params.size());
    Variable p = params[0];
    p.set_grad(Variable(Array::of<float>({-1}), false));
  });
  step(model, sgd, 9);
  CHECK(seen == 1);
  CHECK(w() == 0.75f);
  sgd.remove_hook("mine");

  CHECK(sgd.t() == 3);
  CHECK(sgd.rule_t("w") == 3);
  CHECK(sgd.new_epoch() == 1);
  CHECK(sgd.epoch() == 1);
  sgd.set_loss_scale(8);
  CHECK(sgd.loss_scale() == 8);
  model.cleargrads();
  F::sum(model.param("w")).backward({.loss_scale = sgd.loss_scale()});
  CHECK(values(model.param("w").grad()) == Floats{8});
  sgd.update();
  CHECK(w() == -0.25f);
  sgd.set_rule_hyper("w", "lr", 0.5);
  CHECK(sgd.rule_hyper("w", "lr") == 0.5);
  step(model, sgd, 1);
  CHECK(w() == -0.75f);
  model.disable_update();
  step(model, sgd, 1);
  CHECK(w() == -0.75f);
  model.enable_update();
  step(model, sgd, 1);
  CHECK(w() == -1.25f);
  sgd.enable_rule("w", false);
  step(model, sgd, 1);
  CHECK(w() == -1.25f);
  CHECK(sgd.target().get() == model.get());

  optimizers::Adam adam;
  adam.setup(model);
  model.param("w").set_grad(Variable(Array::of<float>({1}), false));
  adam.update();
  CHECK(adam.state("w", "m").item() == doctest::Approx(0.1));
}

TEST_CASE("float16 parameters are updated through float32 copies where asked") {
  const Context ctx("cpu");
  for (const bool wide : {false, true}) {
    Chain model;
    model.add_param("w", Parameter(1.0, Shape{1}, float16));
    optimizers::SGD sgd({.lr = 1e-4});
    sgd.setup(model);
    sgd.use_fp32_update(wide);
    for (int k = 0; k < 10; ++k) {
      model.param("w").set_grad(Variable(Array::full({1}, 1, float16), false));
      sgd.update();
    }
    CHECK(model.param("w").item() == doctest::Approx(wide ? 0.999 : 1.0).epsilon(1e-4));
  }
}

TEST_CASE("gradients by options") {
  const Context ctx("cpu");
  Variable x(Array::of<float>({2, 3}));
  const Variable h = x * x, y = h * 3;
  const Variable start(Array::of<float>({1, 10}), false), more(Array::of<float>({100, 0}), false);
  const std::vector<Variable> g =
      grad({y}, {x},
           {.grad_outputs = {start}, .grad_inputs = {more}, .set_grad = true, .retain_grad = true});
  CHECK(values(g[0]) == Floats{112, 180});
  CHECK(values(x.grad()) == Floats{112, 180});
  CHECK(values(h.grad()) == Floats{3, 30});
  CHECK(values(grad({F::sum(x)}, {x}, {.loss_scale = 4})[0]) == Floats{4, 4});
  const Variable first = grad({F::sum(y)}, {x}, true)[0];
  CHECK(values(grad({F::sum(first)}, {x})[0]) == Floats{6, 6});
  refused(CTN_EINVAL, "grad_outputs: 2 for 1", [&] {
    grad({y}, {x}, {.grad_outputs = {start, start}});
  });
  x.add_grad(start);
  CHECK(values(x.grad()) == Floats{113, 190});
}

TEST_CASE("links are put together, copied and moved") {
  const Context ctx("cpu");
  Chain model;
  model.add_link("l1", L::Linear(2, 2, {.initialW = 1.0}));
  model.add_param("scale", Parameter(Array::of<float>({2, 4}), Shape{2}));
  model.add_param("lazy", Parameter("HeNormal"));
  model.add_persistent("seen", Array::from(Longs{5}, {}));
  CHECK(values(model.param("scale")) == Floats{2, 4});
  CHECK(ctn_parameter_is_initialized(model.param("lazy").get()) == 0);
  CHECK(values(model.link("l1").param("W")) == Floats{1, 1, 1, 1});

  const Link shared = model.copy(), own = model.copy(CopyMode::copy);
  model.param("scale").array().fill(9);
  CHECK(values(shared.param("scale")) == Floats{9, 9});
  CHECK(values(own.param("scale")) == Floats{2, 4});
  CHECK(own.persistent("seen").item<int64_t>() == 5);
  model.copyparams(own);
  CHECK(values(model.param("scale")) == Floats{2, 4});
  const Link anew = model.copy(CopyMode::init);
  CHECK(values(anew.link("l1").param("b")) == Floats{0, 0});
  model.set_persistent("seen", Array::from(Longs{6}, {}));
  CHECK(model.persistent("seen").item<int64_t>() == 6);
  model.to_device("cpu");
  CHECK(values(model.param("scale")) == Floats{2, 4});
  refused(CTN_EINVAL, "scale", [&] { model.add_param("scale", Parameter(0.0, Shape{1})); });
  CHECK(values(Parameter(Value::list({"Constant", 3.0}), Shape{2})) == Floats{3, 3});
}

TEST_CASE("an item is converted once, to what is asked for") {
  const Context ctx("cpu");
  const int64_t large = (int64_t{1} << 62) + 1;  // no float64
  CHECK(Array::of<int64_t>({large}).item<int64_t>() == large);
  CHECK(Array::of<int64_t>({-3}).item() == -3.0);
  CHECK(Array::of<float>({2.75f}).item<int32_t>() == 2);
  CHECK(Array::of<float>({0.5f}).item<bool>());
  CHECK(Array::of<double>({0.1}).item<float>() == 0.1f);
}

TEST_CASE("arrays over memory of others, and views") {
  const Context ctx("cpu");
  const auto memory = std::make_shared<Floats>(Floats{0, 1, 2, 3, 4, 5});
  {
    Array a = Array::wrap(std::span<float>(*memory), {2, 3}, memory);
    CHECK(memory.use_count() == 2);
    a.fill(1);
    CHECK(*memory == Floats(6, 1));
    (*memory)[4] = 7;
    CHECK(a.to_vector<float>()[4] == 7);
    const Array diagonal = a.strided({2}, {4});
    CHECK(diagonal.to_vector<float>() == Floats{1, 7});
    CHECK(a.reshape({3, -1}).shape() == Shape{3, 2});
    CHECK(a.reshape({6}).view().data == a.view().data);
    a.assign(Array::from(Longs{1, 2, 3}, {3}));
    CHECK(*memory == Floats{1, 2, 3, 1, 2, 3});
    CHECK(a.to_device("cpu").view().data == a.view().data);
    refused(CTN_EINVAL, "", [&] { a.strided({4}, {4}); });
  }
  CHECK(memory.use_count() == 1);
  refused(CTN_EINVAL, "6 values for the shape (4,), which takes 4",
          [&] { Array::wrap(std::span<float>(*memory), {4}); });

  Dlpack t = Array::from(Longs{1, 2, 3}, {3}).to_dlpack();
  CHECK(t->dl_tensor.shape[0] == 3);
  const void* data = t->dl_tensor.data;
  const Array back = Array::from_dlpack(std::move(t));
  CHECK(back.view().data == data);
  CHECK(back.to_vector<int64_t>() == Longs{1, 2, 3});
}
