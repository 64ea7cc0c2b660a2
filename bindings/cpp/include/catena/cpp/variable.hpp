// Variable: an array with its gradient and place in the graph.
#pragma once

#include <catena/cpp/array.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace catena::inline cpp {

struct BackwardOptions {
  bool retain_grad = false;
  bool enable_double_backprop = false;
  double loss_scale = 0;
};

class Variable : public detail::Handle<ctn_variable, ctn_variable_retain, ctn_variable_release> {
  using Base = detail::Handle<ctn_variable, ctn_variable_retain, ctn_variable_release>;

 public:
  using Base::Base;
  Variable() = default;
  // A leaf; labels and constants need no gradient.
  Variable(const Array& a, bool requires_grad = true) : Base(make(a, requires_grad)) {}

  Array array() const {
    require("array");
    ctn_array a = nullptr;
    check(ctn_variable_array(get(), &a));
    return Array(a);
  }
  Shape shape() const {
    require("shape");
    ctn_dltensor t{};
    check(ctn_variable_spec(get(), &t));
    return {t.shape, t.shape + t.ndim};
  }
  ctn_dtype dtype() const { return array().dtype(); }
  int64_t size() const { return array().size(); }
  template <class T = double>
  T item() const {
    return array().item<T>();
  }

  // Moves the array and the gradient: "cuda:1", "cpu".
  void to_device(std::string_view name) {
    ctn_device device{};
    check(ctn_device_find(ctn_variable_context(get()), detail::str(name), &device));
    check(ctn_variable_to_device(get(), device));
  }
  // Replaces the array.
  void set_array(const Array& a) { check(ctn_variable_set_array(get(), a.get())); }
  bool requires_grad() const { return ctn_variable_requires_grad(get()) != 0; }

  // The gradient, empty where there is none.
  Variable grad() const {
    ctn_variable g = nullptr;
    check(ctn_variable_grad(get(), &g));
    return Variable(g);
  }
  void set_grad(const Variable& g) { check(ctn_variable_set_grad(get(), g.get())); }
  // grad += g, or grad = g where there is none.
  void add_grad(const Variable& g) { check(ctn_variable_add_grad(get(), g.get())); }
  void cleargrad() { check(ctn_variable_clear_grad(get())); }
  void backward(const BackwardOptions& options = {}) const {
    ctn_backward_options o{};
    o.size = sizeof o;
    o.retain_grad = options.retain_grad;
    o.enable_double_backprop = options.enable_double_backprop;
    o.loss_scale = options.loss_scale;
    check(ctn_variable_backward(get(), &o));
  }
  void unchain() { check(ctn_variable_unchain(get())); }
  void unchain_backward() { check(ctn_variable_unchain_backward(get())); }
  ctn_context context() const { return ctn_variable_context(get()); }

 private:
  void require(const char* what) const {
    if (!*this)
      throw InvalidArgument(CTN_EINVAL, std::string(what) +
                                            ": the variable is empty: there is no " +
                                            "such gradient, state or output");
  }
  static ctn_variable make(const Array& a, bool requires_grad) {
    ctn_variable v = nullptr;
    check(ctn_variable_new(a.get(), requires_grad, &v));
    return v;
  }
};

// A variable as an argument. The handle of one that has a name is borrowed. A temporary is taken
// over and let go of as soon as the function has used it, not at the end of the expression: in
// relu(bn(conv(x))) nobody can look at what conv gave, and it need not be kept or even computed on
// its own.
class Input {
 public:
  Input() = default;
  Input(const Variable& v) : named_(&v) {}
  Input(Variable&& v) : own_(std::move(v)) {}
  template <class T>
  requires(std::convertible_to<T, Variable> && !std::derived_from<std::remove_cvref_t<T>, Variable>)
      Input(T&& v)
      : Input(Variable(std::forward<T>(v))) {}

  ctn_variable get() const { return named_ ? named_->get() : own_.get(); }
  Variable take() { return std::move(own_); }

 private:
  const Variable* named_ = nullptr;  // it outlives the call
  Variable own_;
};

namespace detail {

// The handles of a function's arguments, until it returns.
template <size_t n>
class Inputs {
 public:
  template <class... Given>
  explicit Inputs(Given&... in) : handles_{in.get()...}, own_{in.take()...} {}
  const ctn_variable* data() const { return handles_; }

 private:
  const ctn_variable handles_[n];
  const Variable own_[n];
};
template <class... Given>
Inputs(Given&...) -> Inputs<sizeof...(Given)>;

}  // namespace detail

struct GradOptions {
  std::vector<Variable> grad_outputs = {};  // where to start; none or empty ones: from 1
  std::vector<Variable> grad_inputs = {};   // added to the results
  bool set_grad = false;                    // also set the gradients of the inputs
  bool retain_grad = false;                 // keep those of intermediate variables
  bool enable_double_backprop = false;
  double loss_scale = 0;
};

// Gradients of outputs with respect to inputs, as chainer.grad; empty where an input has none.
inline std::vector<Variable> grad(const std::vector<Variable>& outputs,
                                  const std::vector<Variable>& inputs,
                                  const GradOptions& options = {}) {
  const auto raw = [](const std::vector<Variable>& list) {
    std::vector<ctn_variable> r;
    r.reserve(list.size());
    for (const Variable& v : list) r.push_back(v.get());
    return r;
  };
  const auto fits = [](const std::vector<Variable>& given, size_t n, const char* name) {
    if (!given.empty() && given.size() != n)
      throw InvalidArgument(CTN_EINVAL, std::string(name) + ": " + std::to_string(given.size()) +
                                            " for " + std::to_string(n));
  };
  fits(options.grad_outputs, outputs.size(), "grad_outputs");
  fits(options.grad_inputs, inputs.size(), "grad_inputs");
  const std::vector<ctn_variable> out = raw(outputs), in = raw(inputs),
                                  start = raw(options.grad_outputs),
                                  more = raw(options.grad_inputs);
  std::vector<ctn_variable> result(inputs.size(), nullptr);
  ctn_grad_options o{};
  o.size = sizeof o;
  o.set_grad = options.set_grad;
  o.retain_grad = options.retain_grad;
  o.enable_double_backprop = options.enable_double_backprop;
  o.loss_scale = options.loss_scale;
  o.grad_outputs = start.empty() ? nullptr : start.data();
  o.grad_inputs = more.empty() ? nullptr : more.data();
  check(ctn_grad_of(out.data(), static_cast<int32_t>(out.size()), in.data(),
                    static_cast<int32_t>(in.size()), &o, result.data()));
  return {result.begin(), result.end()};
}
inline std::vector<Variable> grad(const std::vector<Variable>& outputs,
                                  const std::vector<Variable>& inputs,
                                  bool enable_double_backprop) {
  return grad(outputs, inputs, GradOptions{.enable_double_backprop = enable_double_backprop});
}

}  // namespace catena::inline cpp
