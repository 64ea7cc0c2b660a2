// Value: an attribute of a function or link as the C interface takes it, made from C++ values:
// numbers, texts, lists, arrays, links, the parts of an index, functions.
#pragma once

#include <catena/cpp/callback.hpp>

#include <concepts>
#include <memory>
#include <optional>
#include <string>

namespace catena::inline cpp {

class Link;

struct None {};  // given as None, which is not the same as not given
inline constexpr None none{};

// Parts of an index beside numbers and arrays: F::get_item(x, {slice(1, 3), ellipsis, 0}).
struct Ellipsis {};
inline constexpr Ellipsis ellipsis{};
struct Newaxis {};
inline constexpr Newaxis newaxis{};

// One end of a slice, or its step; none where it is left out.
struct SliceEnd : std::optional<int64_t> {
  SliceEnd(None) {}
  SliceEnd(int64_t i) : std::optional<int64_t>(i) {}
};
// start:stop:step, as in Python.
inline ctn_slice slice(SliceEnd start, SliceEnd stop, SliceEnd step = none) {
  const auto has = [](const SliceEnd& e, uint32_t bit) { return e ? bit : 0; };
  return {start.value_or(0), stop.value_or(0), step.value_or(0),
          has(start, 1) | has(stop, 2) | has(step, 4), 0};
}
inline ctn_slice slice(SliceEnd stop) { return slice(none, stop); }

class Value {
 public:
  Value() = default;  // not given: the default applies
  Value(None) { v_.kind = CTN_NONE; }
  Value(std::nullopt_t) { v_.kind = CTN_NONE; }
  Value(bool b) { set(CTN_BOOL).i = b; }
  template <std::integral T>
  Value(T i) {
    set(CTN_INT).i = static_cast<int64_t>(i);
  }
  Value(double f) { set(CTN_FLOAT).f = f; }
  Value(ctn_dtype d) { set(CTN_DTYPE).dt = d; }
  Value(ctn_device d) { set(CTN_DEVICE).dev = d; }
  Value(const char* s) : Value(std::string(s)) {}
  Value(const std::string& s) { v_ = {CTN_STR, count(s), {.s = keep(s).data()}}; }
  Value(const Shape& list) { v_ = {CTN_INTS, count(list), {.is = keep(list).data()}}; }
  // Whole numbers are a shape or a tuple of axes, anything else is a list: an index, an
  // initializer with its arguments.
  template <std::integral T>
  Value(std::initializer_list<T> list) : Value(Shape(list.begin(), list.end())) {}
  inline Value(std::initializer_list<Value> items);
  Value(const ctn_slice& s) { v_ = {CTN_SLICE, 0, {.slice = &keep(s)}}; }
  Value(Ellipsis) { v_.kind = CTN_ELLIPSIS; }
  Value(Newaxis) { v_.kind = CTN_NEWAXIS; }
  Value(const Array& a) { set(CTN_ARRAY).array = keep(a).get(); }
  Value(const Variable& v) { set(CTN_VARIABLE).variable = keep(v).get(); }
  Value(const Link& l);
  // A function of one or two variables, or of a vector of them: a layer, a loss.
  template <class F>
  requires(!std::is_base_of_v<Link, std::remove_cvref_t<F>> && detail::Callable<F>) Value(F&& f) {
    const auto own = std::make_shared<const detail::CallbackRef>(std::forward<F>(f));
    set(CTN_CALLBACK).callback = own->c();
    own_ = own;
    hand_ = [](const void* o) { static_cast<const detail::CallbackRef*>(o)->hand_over(); };
  }
  // Values of any kind: layers of a Sequential, an initializer with arguments.
  static Value list(const std::vector<Value>& items) {
    List own{items, {}};
    for (const Value& v : items) own.c.push_back(v.v_);
    Value v;
    v.v_ = {CTN_LIST, count(items), {.list = v.keep(own).c.data()}};
    v.hand_ = [](const void* o) {
      for (const Value& item : static_cast<const List*>(o)->items)
        if (item.hand_) item.hand_(item.own_.get());
    };
    return v;
  }
  template <class T>
  Value(const std::optional<T>& v) : Value(v ? Value(*v) : Value()) {}

  // For one call of the C interface that takes values: functions in it are given away with that.
  // Valid as long as this value or a copy of it lives.
  ctn_value c() const {
    if (hand_) hand_(own_.get());
    return v_;
  }

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
  void (*hand_)(const void* own) = nullptr;
};

Value::Value(std::initializer_list<Value> items) {
  Shape whole;
  for (const Value& v : items)
    if (v.v_.kind == CTN_INT) whole.push_back(v.v_.u.i);
  *this = whole.size() == items.size() ? Value(whole)
                                       : list(std::vector<Value>(items.begin(), items.end()));
}

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
