// What a call costs: chains of 1,000 calls of one function on small arrays, then one call of every
// function of one float array. Through the C interface, as a binding of any language calls it.
#include "bench.h"

#include <catena/catena.hpp>

#include <algorithm>
#include <array>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>

namespace bench {
namespace {

using namespace catena;
using Json = nlohmann::ordered_json;

constexpr int kRuns = 5;
constexpr int64_t kChain = 1000, kSizes[] = {1, 1000, 100000};

struct Op {
  std::string name;
  int32_t id = 0;

  explicit Op(std::string op) : name(std::move(op)) { check(ctn_op_find(detail::str(name), &id)); }
};

struct Cost {
  double forward = std::numeric_limits<double>::infinity();
  double backward = std::numeric_limits<double>::infinity();

  void lower(const Cost& o) {
    forward = std::min(forward, o.forward);
    backward = std::min(backward, o.backward);
  }
};

// Values between 0.05 and 0.95, where all functions are defined; all axes but the last have size 1.
Variable input(const Shape& shape, bool grad) {
  std::vector<float> values;
  for (int64_t i = 0; i < shape.back(); ++i)
    values.push_back(0.05f + 0.9f * static_cast<float>(i % 1024) / 1024.0f);
  return Variable(Array::from(values, shape), grad);
}

Variable call(const Op& op, std::span<const ctn_variable> in) {
  const auto n_in = static_cast<int32_t>(in.size());
  const ctn_context ctx = ctn_variable_context(in[0]);
  ctn_variable out = nullptr;
  check(ctn_call(ctx, op.id, in.data(), n_in, nullptr, 0, &out, 1));
  return Variable(out);
}

// Whether what is asked for is only queued, on x's device.
bool is_queued(const Variable& x) { return x.array().spec().device.type != CTN_DEV_CPU; }

// Time of `body` per call, backward included; `y` starts with the gradient gy and is released in
// the second part: the release of the graph counts as backward.
template <class Forward>
Cost once(Forward forward, Variable& x, const Variable& gy, int64_t calls, bool grad, bool queued) {
  Cost c;
  const auto wait = [&] {
    if (queued) check(ctn_synchronize(ctn_variable_context(x.get())));
  };
  wait();
  const Clock first;
  Variable y = forward(x);
  wait();
  c.forward = first.ns() / static_cast<double>(calls);
  if (!grad) return c;
  const Clock second;
  y.set_grad(gy);
  y.backward();
  x.cleargrad();
  y = Variable();
  wait();
  c.backward = second.ns() / static_cast<double>(calls);
  return c;
}

// The minimum of five runs; a run is the fastest of several repetitions, after one to warm up.
template <class Forward>
Cost least(Forward forward, Variable& x, int64_t calls, int repetitions, bool grad) {
  const Variable y = forward(x);
  const Variable gy(Array::full(y.shape(), 1), false);
  const bool queued = is_queued(x);
  Cost c;
  for (int i = 0; i < kRuns * repetitions; ++i) c.lower(once(forward, x, gy, calls, grad, queued));
  return c;
}

template <class Forward>
void measure(const std::string& name, const Shape& shape, int64_t calls, bool differentiable,
             Forward forward) {
  const int64_t n = shape.back();
  const int repetitions =
      static_cast<int>(std::clamp<int64_t>(2000000 / (n * calls + 1000), 3, 50));
  Json line;
  line["op"] = name;
  line["n"] = n;
  Variable constant = input(shape, false);
  const double nograd = [&] {
    const no_backprop_mode no_graph;
    return least(forward, constant, calls, repetitions, false).forward;
  }();
  Cost cost{nograd, 0};
  if (differentiable) {
    Variable x = input(shape, true);
    cost = least(forward, x, calls, repetitions, true);
  }
  line["forward_ns"] = rounded(cost.forward, 1);
  line["forward_nograd_ns"] = rounded(nograd, 1);
  line["backward_ns"] = differentiable ? Json(rounded(cost.backward, 1)) : Json(nullptr);
  std::cout << line.dump() << std::endl;
}

void chains() {
  const Op relu("relu"), add("add2");
  for (int64_t n : {int64_t{1}, int64_t{100}}) {
    measure("relu", {n}, kChain, true, [&](const Variable& x) {
      Variable y = x;
      for (int64_t i = 0; i < kChain; ++i) y = call(relu, std::array{y.get()});
      return y;
    });
    measure("add", {n}, kChain, true, [&](const Variable& x) {
      Variable y = x;
      for (int64_t i = 0; i < kChain; ++i) y = call(add, std::array{y.get(), x.get()});
      return y;
    });
  }
}

bool has(const Json& list, const char* word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// Whether the op can be called with one float array and nothing else.
bool takes_one_float(const Json& op) {
  if (has(op["flags"], "internal")) return false;
  int inputs = 0;
  for (const Json& i : op["inputs"]) {
    if (has(i["flags"], "variadic")) return false;
    inputs += !has(i["flags"], "optional");
  }
  for (const Json& a : op["attrs"])
    if (a["required"]) return false;
  return inputs == 1 && has(op["inputs"][0]["dtypes"], "float32");
}

int32_t outputs(const Op& op) {
  const Variable x = input({1, 1}, false);
  const ctn_variable in = x.get();
  int32_t n = 0;
  check(ctn_call_outputs(ctn_variable_context(in), op.id, &in, 1, nullptr, 0, &n));
  return n;
}

void row(const Json& entry) {
  const Op op(entry["name"]);
  if (outputs(op) != 1) return;
  for (int64_t n : kSizes)
    measure(op.name, {1, n}, 1, !has(entry["flags"], "nodiff"),
            [&](const Variable& x) { return call(op, std::array{x.get()}); });
}

void table() {
  ctn_str text{};
  check(ctn_schema_json(&text));
  const Json schema = Json::parse(text.p, text.p + text.n);
  for (const Json& entry : schema["ops"]) {
    if (!takes_one_float(entry)) continue;
    try {
      row(entry);
    } catch (const TypeCheckError& e) {  // wants other shapes than a row of n
      std::cerr << "catena-bench: left out: " << e.what() << std::endl;
    }
  }
}

}  // namespace

void run_ops(const Options& options) {
  const Context ctx(
      ContextOptions{.device = options.backend, .threads = options.threads, .seed = 1});
  chains();
  table();
}

}  // namespace bench
