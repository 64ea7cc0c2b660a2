// Calling other ops: `op<"relu">({x})`, `op<"leaky_relu">({x}, {0.2})`, and the arithmetic
// operators of variables. The id of an op is looked up at its first call and kept.
#ifndef CATENA_SDK_OP_HPP
#define CATENA_SDK_OP_HPP

#include <catena/sdk/value.hpp>
#include <catena/sdk/var.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

namespace catena {
namespace sdk CTN_SDK_HIDDEN {

class Op {
 public:
  constexpr explicit Op(std::string_view name) : name_(name) {}
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;

  int32_t id() const {
    const int32_t known = id_.load(std::memory_order_relaxed);
    return known >= 0 ? known : find();
  }

  // One output. Inputs may be null where the schema says optional; trailing attributes may be left
  // out, `absent` in the middle takes the default.
  Var operator()(std::initializer_list<Ref> in, std::initializer_list<Value> attrs = {}) const {
    return one(list(in), list(attrs));
  }
  Var operator()(std::span<const Ref> in, std::initializer_list<Value> attrs = {}) const {
    return one(in, list(attrs));
  }
  Var operator()(std::initializer_list<Ref> in, Attrs attrs, int n_attrs) const {
    return one(list(in), {reinterpret_cast<const Value*>(attrs.data()), count(n_attrs)});
  }
  // N outputs.
  template <size_t N>
  std::array<Var, N> outs(std::initializer_list<Ref> in,
                          std::initializer_list<Value> attrs = {}) const {
    std::array<Var, N> y;
    call(context(list(in)), list(in), list(attrs), y);
    return y;
  }
  // A number of outputs known at run time.
  std::vector<Var> many(int n, std::initializer_list<Ref> in,
                        std::initializer_list<Value> attrs = {}) const {
    return many(n, list(in), attrs);
  }
  std::vector<Var> many(int n, std::span<const Ref> in,
                        std::initializer_list<Value> attrs = {}) const {
    std::vector<Var> y(count(n));
    call(context(in), in, list(attrs), y);
    return y;
  }
  // The general form; the only one for an op without inputs.
  void call(ctn_context ctx, std::span<const Ref> in, std::span<const Value> attrs,
            std::span<Var> out) const {
    static_assert(sizeof(Ref) == sizeof(ctn_variable) && sizeof(Value) == sizeof(ctn_value));
    for (Var& v : out) v = nullptr;
    check(api().call(
        ctx, id(), reinterpret_cast<const ctn_variable*>(in.data()),
        static_cast<int32_t>(in.size()), reinterpret_cast<const ctn_value*>(attrs.data()),
        static_cast<int32_t>(attrs.size()), reinterpret_cast<ctn_variable*>(out.data()),
        static_cast<int32_t>(out.size())));
  }

 private:
  template <class T>
  static std::span<const T> list(std::initializer_list<T> l) {
    return {l.begin(), l.size()};
  }
  static size_t count(int n) { return static_cast<size_t>(n); }
  Var one(std::span<const Ref> in, std::span<const Value> attrs) const {
    Var y;
    call(context(in), in, attrs, {&y, 1});
    return y;
  }
  ctn_context context(std::span<const Ref> in) const {
    for (const Ref v : in)
      if (v) return v.context();
    fail(CTN_EINVAL, "[", name_, "] no input to take the context from");
  }
  int32_t find() const {
    int32_t id = -1;
    check(api().op_find(str(name_), &id));
    id_.store(id, std::memory_order_relaxed);
    return id;
  }

  std::string_view name_;
  mutable std::atomic<int32_t> id_{-1};
};

template <size_t N>
struct Literal {
  char chars[N];
  consteval Literal(const char (&s)[N]) {
    for (size_t k = 0; k < N; ++k) chars[k] = s[k];
  }
  constexpr std::string_view view() const { return {chars, N - 1}; }
};
template <Literal kName>
inline constinit Op op{kName.view()};

// Operators: equal shapes and dtypes, as in Chainer; a number takes the variable's dtype.
inline Var operator+(Ref a, Ref b) { return op<"add">({a, b}); }
inline Var operator-(Ref a, Ref b) { return op<"sub">({a, b}); }
inline Var operator*(Ref a, Ref b) { return op<"mul">({a, b}); }
inline Var operator/(Ref a, Ref b) { return op<"div">({a, b}); }
inline Var operator-(Ref a) { return op<"neg">({a}); }
inline Var operator+(Ref a, double c) { return op<"add_constant">({a}, {c}); }
inline Var operator+(double c, Ref a) { return op<"add_constant">({a}, {c}); }
inline Var operator-(Ref a, double c) { return op<"add_constant">({a}, {-c}); }
inline Var operator-(double c, Ref a) { return op<"sub_from_constant">({a}, {c}); }
inline Var operator*(Ref a, double c) { return op<"mul_constant">({a}, {c}); }
inline Var operator*(double c, Ref a) { return op<"mul_constant">({a}, {c}); }
inline Var operator/(Ref a, double c) { return op<"mul_constant">({a}, {1 / c}); }
inline Var operator/(double c, Ref a) { return op<"div_from_constant">({a}, {c}); }

}  // namespace CTN_SDK_HIDDEN
}  // namespace catena

#endif
