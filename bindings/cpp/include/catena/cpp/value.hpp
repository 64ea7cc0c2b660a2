// Value: an attribute of a function or link as the C interface takes it, made from C++ values.
#pragma once

#include <catena/cpp/variable.hpp>

#include <memory>
#include <optional>
#include <string>

namespace catena::inline cpp {

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
  Value(const char* s) : Value(std::string(s)) {}
  Value(const std::string& s) { v_ = {CTN_STR, count(s), {.s = keep(s).data()}}; }
  Value(std::initializer_list<int> list) : Value(Shape(list.begin(), list.end())) {}
  Value(const Shape& list) { v_ = {CTN_INTS, count(list), {.is = keep(list).data()}}; }
  Value(const Array& a) { set(CTN_ARRAY).array = keep(a).get(); }
  Value(const Variable& v) { set(CTN_VARIABLE).variable = keep(v).get(); }
  Value(const Link& l);
  // Values of any kind: layers of a Sequential, an initializer with arguments.
  static Value list(const std::vector<Value>& items) {
    List own{items, {}};
    for (const Value& v : items) own.c.push_back(v.c());
    Value v;
    v.v_ = {CTN_LIST, count(items), {.list = v.keep(own).c.data()}};
    return v;
  }
  template <class T>
  Value(const std::optional<T>& v) : Value(v ? Value(*v) : Value()) {}

  // Valid as long as this value or a copy of it lives.
  ctn_value c() const { return v_; }

 private:
  struct List {
    std::vector<Value> items;
    std::vector<ctn_value> c;
  };
  template <class T>
  static uint32_t count(const T& list) {
    return static_cast<uint32_t>(list.size());
  }
  template <class T>
  const T& keep(const T& value) {
    auto own = std::make_shared<const T>(value);
    own_ = own;
    return *own;
  }
  decltype(ctn_value::u)& set(int32_t kind) {
    v_.kind = kind;
    return v_.u;
  }

  ctn_value v_{};
  std::shared_ptr<const void> own_;  // what v_ points to; copies share it
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
  r.reserve(list.size());
  for (const Variable& v : list) r.push_back(v.get());
  return r;
}

}  // namespace detail
}  // namespace catena::inline cpp
