// Value: an attribute of a function or link as the C interface takes it, made from C++ values.
#pragma once

#include <catena/cpp/variable.hpp>

#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace catena {

class Link;

struct None {};  // given as None, which is not the same as not given
inline constexpr None none{};

class Value {
 public:
  Value() = default;  // not given: the default applies
  Value(None) { v_.kind = CTN_NONE; }
  Value(std::nullopt_t) { v_.kind = CTN_NONE; }
  Value(bool b) { set(CTN_BOOL).i = b; }
  Value(int i) { set(CTN_INT).i = i; }
  Value(int64_t i) { set(CTN_INT).i = i; }
  Value(double f) { set(CTN_FLOAT).f = f; }
  Value(ctn_dtype d) { set(CTN_DTYPE).dt = d; }
  Value(const char* s) : own_(std::string(s)) { point(); }
  Value(std::string s) : own_(std::move(s)) { point(); }
  Value(std::initializer_list<int> list) : own_(Shape(list.begin(), list.end())) { point(); }
  Value(Shape list) : own_(std::move(list)) { point(); }
  Value(const Array& a) : own_(a) { point(); }
  Value(const Variable& v) : own_(v) { point(); }
  Value(const Link& l);
  // Values of any kind: layers of a Sequential, an initializer with arguments.
  static Value list(std::vector<Value> items) {
    Value v;
    v.own_ = std::move(items);
    v.point();
    return v;
  }
  template <class T>
  Value(const std::optional<T>& v) : Value(v ? Value(*v) : Value()) {}

  Value(const Value& o) : v_(o.v_), own_(o.own_) { point(); }
  Value(Value&& o) noexcept : v_(o.v_), own_(std::move(o.own_)) { point(); }
  Value& operator=(Value o) noexcept {
    v_ = o.v_;
    own_ = std::move(o.own_);
    point();
    return *this;
  }

  // Valid as long as this value is neither changed nor moved.
  ctn_value c() const { return v_; }

 private:
  struct Links {
    std::shared_ptr<void> link;
    ctn_link h;
  };
  decltype(ctn_value::u)& set(int32_t kind) {
    v_.kind = kind;
    return v_.u;
  }
  // Points v_ at what own_ holds.
  void point() {
    if (const auto* s = std::get_if<std::string>(&own_)) {
      set(CTN_STR).s = s->data();
      v_.n = static_cast<uint32_t>(s->size());
    } else if (const auto* is = std::get_if<Shape>(&own_)) {
      set(CTN_INTS).is = is->data();
      v_.n = static_cast<uint32_t>(is->size());
    } else if (const auto* a = std::get_if<Array>(&own_)) {
      set(CTN_ARRAY).array = a->get();
    } else if (const auto* x = std::get_if<Variable>(&own_)) {
      set(CTN_VARIABLE).variable = x->get();
    } else if (const auto* l = std::get_if<Links>(&own_)) {
      set(CTN_LINK).link = l->h;
    } else if (const auto* items = std::get_if<std::vector<Value>>(&own_)) {
      list_.clear();
      for (const Value& v : *items) list_.push_back(v.c());
      set(CTN_LIST).list = list_.data();
      v_.n = static_cast<uint32_t>(list_.size());
    }
  }

  ctn_value v_{};
  std::variant<std::monostate, std::string, Shape, Array, Variable, Links, std::vector<Value>> own_;
  std::vector<ctn_value> list_;
};

namespace detail {

// An op by name, looked up at the first call of the function that holds it.
inline int32_t find_op(const char* name) {
  int32_t id = 0;
  check(ctn_op_find(str(name), &id));
  return id;
}

inline ctn_context context_of(const ctn_variable* in, int32_t n) {
  for (int32_t i = 0; i < n; ++i)
    if (in[i]) return ctn_variable_context(in[i]);
  return Context::current();
}

inline Variable call1(int32_t op, const ctn_variable* in, int32_t n_in, const ctn_value* attrs,
                      int32_t n_attrs) {
  ctn_variable out = nullptr;
  check(ctn_call(context_of(in, n_in), op, in, n_in, attrs, n_attrs, &out, 1));
  return Variable(out);
}

// n_out < 0: as many as the call gives.
inline std::vector<Variable> call_n(int32_t op, const ctn_variable* in, int32_t n_in,
                                    const ctn_value* attrs, int32_t n_attrs, int32_t n_out) {
  const ctn_context ctx = context_of(in, n_in);
  if (n_out < 0) check(ctn_call_outputs(ctx, op, in, n_in, attrs, n_attrs, &n_out));
  std::vector<ctn_variable> out(static_cast<size_t>(n_out), nullptr);
  check(ctn_call(ctx, op, in, n_in, attrs, n_attrs, out.data(), n_out));
  return {out.begin(), out.end()};
}

inline std::vector<ctn_variable> raw(const std::vector<Variable>& list) {
  std::vector<ctn_variable> r;
  for (const Variable& v : list) r.push_back(v.get());
  return r;
}

}  // namespace detail
}  // namespace catena
