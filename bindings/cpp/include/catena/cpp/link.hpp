// Link, Chain: models with parameters. A model is a class derived from Chain whose members are its
// links, registered by name where they are declared:
//   struct MLP : catena::Chain {
//     L::Linear l1 = child("l1", L::Linear(784, 100));
//     L::Linear l2 = child("l2", L::Linear(100, 10));
//     Variable operator()(const Variable& x) const { return l2(F::relu(l1(x))); }
//   };
#pragma once

#include <catena/cpp/value.hpp>

#include <array>

namespace catena::inline cpp {

// Parameters of a copy: over the same arrays, over copies of them, or initialised anew.
enum class CopyMode { share = CTN_COPY_SHARE, copy = CTN_COPY_COPY, init = CTN_COPY_INIT };

class Link : public detail::Handle<ctn_link, ctn_link_retain, ctn_link_release> {
  using Base = detail::Handle<ctn_link, ctn_link_retain, ctn_link_release>;

 public:
  using Base::Base;
  Link() = default;
  // A link of a registered class; attributes in the schema's order.
  Link(const char* name, std::initializer_list<Value> attrs, ctn_context ctx = Context::current())
      : Base(create(name, attrs, ctx)) {}

  Variable operator()(Input x) const {
    const detail::Inputs in(x);
    ctn_variable out = nullptr;
    check(ctn_link_call(get(), in.data(), 1, &out, 1));
    return Variable(out);
  }
  Variable operator()(Input x, Input t) const {
    const detail::Inputs in(x, t);
    ctn_variable out = nullptr;
    check(ctn_link_call(get(), in.data(), 2, &out, 1));
    return Variable(out);
  }

  // Of any number of inputs.
  Variable operator()(const std::vector<Variable>& xs) const {
    const std::vector<ctn_variable> in = detail::raw(xs);
    ctn_variable out = nullptr;
    check(ctn_link_call(get(), in.data(), static_cast<int32_t>(in.size()), &out, 1));
    return Variable(out);
  }

  // Path as in "l1/W".
  Variable param(std::string_view path) const {
    ctn_variable p = nullptr;
    check(ctn_link_param(get(), detail::str(path), &p));
    return Variable(p);
  }
  Array persistent(std::string_view path) const {
    ctn_array a = nullptr;
    check(ctn_link_persistent(get(), detail::str(path), &a));
    return Array(a);
  }
  // Names are unique within a link. A parameter is one of Parameter() or any leaf.
  void add_param(std::string_view name, const Variable& p) {
    check(ctn_link_add_param(get(), detail::str(name), p.get()));
  }
  // Saved with the link, but not trained.
  void add_persistent(std::string_view name, const Array& a) {
    check(ctn_link_add_persistent(get(), detail::str(name), a.get()));
  }
  void set_persistent(std::string_view path, const Array& a) {
    check(ctn_link_set_persistent(get(), detail::str(path), a.get()));
  }
  void add_link(std::string_view name, const Link& child) {
    check(ctn_link_add_child(get(), detail::str(name), child.get()));
  }
  Link link(std::string_view path) const {
    ctn_link l = nullptr;
    check(ctn_link_child(get(), detail::str(path), &l));
    return Link(l);
  }
  // A value the link keeps between calls (a classifier's "loss"); empty where there is none.
  Variable state(std::string_view name) const {
    ctn_variable v = nullptr;
    check(ctn_link_state(get(), detail::str(name), &v));
    return Variable(v);
  }
  // All parameters with their paths ("/l1/W").
  std::vector<std::pair<std::string, Variable>> namedparams() const {
    std::vector<std::pair<std::string, Variable>> list;
    const auto visit = [](void* user, ctn_str path, ctn_variable p, ctn_array,
                          ctn_link) noexcept -> ctn_status {
      if (!p) return CTN_OK;
      ctn_variable_retain(p);
      Variable own(p);
      try {
        static_cast<decltype(list)*>(user)->emplace_back(std::string(path.p, path.n),
                                                         std::move(own));
        return CTN_OK;
      } catch (const std::exception& e) {
        return ctn_error_set(CTN_ENOMEM, detail::str(e.what()));
      }
    };
    check(ctn_link_visit(get(), visit, &list));
    return list;
  }
  void cleargrads() { check(ctn_link_clear_grads(get())); }

  // Of the link and what is below it. What the program adds in C++ (members, operator()) is not
  // part of it.
  Link copy(CopyMode mode = CopyMode::share) const {
    ctn_link l = nullptr;
    check(ctn_link_copy(get(), static_cast<int32_t>(mode), &l));
    return Link(l);
  }
  // Copies the parameters of another link, matched by path: all or none.
  void copyparams(const Link& from) { check(ctn_link_copy_params(get(), from.get())); }
  // Whether optimizers that are set up touch the parameters.
  void enable_update() { check(ctn_link_enable_update(get(), 1)); }
  void disable_update() { check(ctn_link_enable_update(get(), 0)); }
  // Moves all arrays: "cpu", "cuda:0".
  void to_device(std::string_view name) {
    ctn_device device{};
    check(ctn_device_find(ctn_link_context(get()), detail::str(name), &device));
    check(ctn_link_to_device(get(), device));
  }
  // The same in Chainer's words.
  void to_cpu() { to_device("cpu"); }
  void to_gpu(int id = 0) { to_device("cuda:" + std::to_string(id)); }
  void to_intel64() { to_device("intel64"); }

 private:
  static ctn_link create(const char* name, std::initializer_list<Value> attrs, ctn_context ctx) {
    std::vector<ctn_value> values;
    for (const Value& v : attrs) values.push_back(v.c());
    ctn_link l = nullptr;
    check(ctn_link_create(ctx, detail::str(name), values.data(),
                          static_cast<int32_t>(values.size()), &l));
    return l;
  }
};

class Chain : public Link {
 public:
  Chain() : Link(create()) {}

 protected:
  // Registers a link under a name and gives it back for the member.
  template <class T>
  T child(std::string_view name, T link) {
    check(ctn_link_add_child(get(), detail::str(name), link.get()));
    return link;
  }

 private:
  static ctn_link create() {
    ctn_link l = nullptr;
    check(ctn_chain_create(Context::current(), nullptr, 0, &l));
    return l;
  }
};

// A parameter for add_param. The initializer is a number, an array, the name of a class, a list of
// its name and arguments, or a function that fills an array; not given: NaN. Without a shape it has
// none until it is initialised.
inline Variable Parameter(const Value& initializer = {}, const std::optional<Shape>& shape = {},
                          ctn_dtype dtype = float32, ctn_context ctx = Context::current()) {
  const ctn_value v = initializer.c();
  ctn_str name = detail::str(v.kind == CTN_CALLBACK ? "Function" : "Constant");
  const ctn_value* attrs = &v;
  int32_t n = 1;
  if (v.kind == CTN_ABSENT || v.kind == CTN_NONE) {
    name = {};
    n = 0;
  } else if (v.kind == CTN_STR) {
    name = {v.u.s, v.n};
    n = 0;
  } else if (v.kind == CTN_LIST && v.n > 0 && v.u.list[0].kind == CTN_STR) {
    name = {v.u.list[0].u.s, v.u.list[0].n};
    attrs = v.u.list + 1;
    n = static_cast<int32_t>(v.n) - 1;
  }
  ctn_variable p = nullptr;
  check(ctn_parameter_new(ctx, name, attrs, n, dtype,
                          shape ? static_cast<int32_t>(shape->size()) : 0,
                          shape ? shape->data() : nullptr, &p));
  return Variable(p);
}

inline Value::Value(const Link& l) { set(CTN_LINK).link = keep(l).get(); }

// Links and names of functions applied one after another.
class Sequential : public Link {
 public:
  explicit Sequential(const std::vector<Value>& layers)
      : Link("Sequential", {Value::list(layers)}) {}
};

}  // namespace catena::inline cpp
