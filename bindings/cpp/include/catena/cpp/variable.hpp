// Variable: an array with its gradient and place in the graph.
#pragma once

#include <catena/cpp/array.hpp>

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
    ctn_array a = nullptr;
    check(ctn_variable_array(get(), &a));
    return Array(a);
  }
  Shape shape() const {
    ctn_dltensor t{};
    check(ctn_variable_view(get(), &t));
    return {t.shape, t.shape + t.ndim};
  }
  int64_t size() const { return array().size(); }
  template <class T = double>
  T item() const {
    return array().item<T>();
  }

  // The gradient, empty where there is none.
  Variable grad() const {
    ctn_variable g = nullptr;
    check(ctn_variable_grad(get(), &g));
    return Variable(g);
  }
  void set_grad(const Variable& g) { check(ctn_variable_set_grad(get(), g.get())); }
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
  static ctn_variable make(const Array& a, bool requires_grad) {
    ctn_variable v = nullptr;
    check(ctn_variable_new(a.get(), requires_grad, &v));
    return v;
  }
};

// Gradients of outputs with respect to inputs, as chainer.grad; empty where an input has none.
inline std::vector<Variable> grad(const std::vector<Variable>& outputs,
                                  const std::vector<Variable>& inputs,
                                  bool enable_double_backprop = false) {
  std::vector<ctn_variable> out, in, result(inputs.size(), nullptr);
  for (const Variable& v : outputs) out.push_back(v.get());
  for (const Variable& v : inputs) in.push_back(v.get());
  ctn_grad_options o{};
  o.size = sizeof o;
  o.enable_double_backprop = enable_double_backprop;
  check(ctn_grad_of(out.data(), static_cast<int32_t>(out.size()), in.data(),
                    static_cast<int32_t>(in.size()), &o, result.data()));
  return {result.begin(), result.end()};
}

}  // namespace catena::inline cpp
