// Every allocation of a training step fails in turn: no crash, no leak, and weights, optimizer
// state and counts as before the step. Counts both kinds of memory: blocks of the context (cached
// or not) and operator new.
#include <catena/catena.hpp>

#include <cstdlib>
#include <cstring>
#include <map>

#include "failing_block.h"
#include "failing_new.h"
#include "main.h"

using namespace catena;

namespace {

struct Net : Chain {
  L::Convolution2D conv = child("conv", L::Convolution2D(1, 3, 3, {.pad = 1}));
  L::BatchNormalization bn = child("bn", L::BatchNormalization(3));
  L::Linear fc = child("fc", L::Linear(none, 4));

  Variable operator()(const Variable& x) const {
    Variable h = F::max_pooling_2d(F::relu(bn(conv(x))), 2);
    return fc(F::dropout(h, {.ratio = 0.25}));
  }
};

using Bytes = std::map<std::string, std::vector<float>>;

// This program has the core inside, so the plugins do not lie beside it.
Context make_context(const ContextOptions& options) {
  check(ctn_plugin_dir(detail::str(TEST_PLUGINS)));
  return Context(options);
}

class Training {
 public:
  Training() : ctx_(make_context(ContextOptions{.threads = 1, .seed = 3})) {
    optimizer_ = optimizers::Adam();
    optimizer_.setup(model_);
    std::vector<float> x(2 * 36);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7) - 3;
    x_ = Variable(Array::from(x, {2, 1, 6, 6}), false);
    t_ = Variable(Array::of<int32_t>({1, 3}), false);
  }
  void step() {
    const Variable loss = F::softmax_cross_entropy(model_(x_), t_);
    model_.cleargrads();
    loss.backward();
    optimizer_.update();
  }
  // Everything a failed step must leave alone. Running statistics are written by the forward pass.
  Bytes state() const {
    Bytes all;
    for (const auto& [path, p] : model_.namedparams()) {
      all[path] = p.array().to_vector<float>();
      for (const char* name : {"m", "v"}) {
        ctn_array a = nullptr;
        check(ctn_optimizer_state(optimizer_.get(), detail::str(path), detail::str(name), &a));
        all[path + "/" + name] = Array(a).to_vector<float>();
      }
    }
    all["t"] = {static_cast<float>(optimizer_.t())};
    return all;
  }
  void clear() { model_.cleargrads(); }
  uint64_t used() const { return ctx_.memory().used; }
  ctn_context context() const { return ctx_.get(); }

 private:
  Context ctx_;
  Net model_;
  Optimizer optimizer_;
  Variable x_, t_;
};

// Runs steps with failure n = 1, 2, ... until one succeeds; returns how many failed.
template <class Arm, class Disarm>
int64_t sweep(Training& run, Arm arm, Disarm disarm) {
  run.step();
  run.step();
  run.clear();
  const uint64_t used = run.used();
  for (int64_t n = 1;; ++n) {
    const Bytes before = run.state();
    bool failed = false;
    arm(n);
    try {
      run.step();
    } catch (const OutOfMemory&) {
      failed = true;
    } catch (const std::bad_alloc&) {
      failed = true;  // in the binding itself
    }
    disarm();
    run.clear();
    if (!failed) return n - 1;
    CAPTURE(n);
    REQUIRE(run.state() == before);
    REQUIRE(run.used() == used);
  }
}

}  // namespace

TEST_CASE("every block of a training step fails in turn") {
  Training run;
  const int64_t points = sweep(
      run, [&](int64_t n) { catena_test::fail_block(run.context(), n); },
      [&] { catena_test::fail_block(run.context(), 0); });
  MESSAGE(points << " blocks failed in turn");
  CHECK(points > 80);
}

TEST_CASE("every operator new of a training step fails in turn") {
  Training run;
  const int64_t points = sweep(
      run, [](int64_t n) { catena_test::fail_allocation(n); },
      [] { catena_test::fail_allocation(0); });
  MESSAGE(points << " allocations failed in turn");
  CHECK(points > 50);
}

TEST_CASE("a memory limit is an error that names the holders") {
  const Context ctx = make_context(ContextOptions{.memory_limit = 8 << 20});
  const Array held = Array::full({1 << 20}, 1);
  try {
    Array::full({2 << 20}, 1);
    FAIL("no error");
  } catch (const OutOfMemory& e) {
    const std::string text = e.what();
    CHECK(text.find("limit 8.3 MB") != std::string::npos);
    CHECK(text.find("largest holders: array 4.1 MB") != std::string::npos);
  }
  CHECK(ctx.memory().held <= 8 << 20);
}
