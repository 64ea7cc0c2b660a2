// Callbacks of links, hooks and initializers from plain functions, and a borrowed link as a C++
// value.
#ifndef CATENA_SDK_LINK_HPP
#define CATENA_SDK_LINK_HPP

#include <catena/sdk/call.hpp>

#include <span>
#include <string_view>
#include <type_traits>

namespace catena {
namespace sdk CTN_SDK_HIDDEN {

// A borrowed link.
class LinkRef {
 public:
  LinkRef(ctn_link p) : p_(p) {}
  ctn_link get() const { return p_; }
  ctn_context context() const { return api().link_context(p_); }
  // A parameter filled by initializer class `initializer`; an absent shape (std::nullopt-like empty
  // pointer) leaves it uninitialised until initialize().
  Var add_param(std::string_view name, std::string_view initializer, std::span<const Value> attrs,
                ctn_dtype dtype, const Dims* shape) const {
    ctn_variable p = nullptr;
    check(api().parameter_new(context(), str(initializer),
                              reinterpret_cast<const ctn_value*>(attrs.data()),
                              static_cast<int32_t>(attrs.size()), dtype, shape ? shape->size() : 0,
                              shape ? shape->begin() : nullptr, &p));
    Var param = Var::take(p);
    check(api().link_add_param(p_, str(name), p));
    return param;
  }
  void add_persistent(std::string_view name, const Array& a) const {
    check(api().link_add_persistent(p_, str(name), a.get()));
  }
  void set_persistent(std::string_view name, const Array& a) const {
    check(api().link_set_persistent(p_, str(name), a.get()));
  }
  void add_child(std::string_view name, LinkRef child) const {
    check(api().link_add_child(p_, str(name), child.get()));
  }
  Var param(std::string_view path) const {
    ctn_variable p = nullptr;
    check(api().link_param(p_, str(path), &p));
    return Var::take(p);
  }
  Array persistent(std::string_view path) const {
    ctn_array a = nullptr;
    check(api().link_persistent(p_, str(path), &a));
    return Array::take(a);
  }
  // Constructor argument k; borrowed from the link.
  ctn_value attr(int k) const {
    ctn_value v;
    check(api().link_attr(p_, k, &v));
    return v;
  }
  void set_state(std::string_view name, Ref v) const {
    check(api().link_set_state(p_, str(name), v.get()));
  }
  Var state(std::string_view name) const {
    ctn_variable v = nullptr;
    check(api().link_state(p_, str(name), &v));
    return Var::take(v);
  }

 private:
  ctn_link p_;
};

// An owned link, for children made in an init.
class Link {
 public:
  Link(ctn_context ctx, std::string_view name, std::initializer_list<Value> attrs) {
    check(api().link_create(ctx, str(name), reinterpret_cast<const ctn_value*>(attrs.begin()),
                            static_cast<int32_t>(attrs.size()), &p_));
  }
  explicit Link(ctn_link taken) : p_(taken) {}
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link() { api().link_release(p_); }
  operator LinkRef() const { return p_; }

 private:
  ctn_link p_ = nullptr;
};

inline void initialize(Ref param, std::span<const int64_t> shape) {
  check(api().parameter_initialize(param.get(), static_cast<int32_t>(shape.size()), shape.data()));
}
inline bool is_initialized(Ref param) { return api().parameter_is_initialized(param.get()) != 0; }

// void fn(LinkRef, Attrs)
template <auto fn>
ctn_status CTN_CALL link_init(void*, ctn_link link, const ctn_value* attrs) {
  return guarded([&] { fn(LinkRef(link), Attrs(attrs)); });
}
// Var fn(LinkRef, Vars), or void fn(LinkRef, Vars, Results&)
template <auto fn>
ctn_status CTN_CALL link_call(void*, ctn_link link, const ctn_variable* in, int32_t n_in,
                              ctn_variable* out, int32_t n_out) {
  Results results(out, n_out);
  const ctn_status status = guarded([&] {
    if constexpr (std::is_invocable_r_v<Var, decltype(fn), LinkRef, Vars>) {
      results.set(0, fn(LinkRef(link), Vars(in, n_in)));
    } else {
      fn(LinkRef(link), Vars(in, n_in), results);
    }
  });
  if (status != CTN_OK) results.clear();
  return status;
}
// void fn(LinkRef from, LinkRef to)
template <auto fn>
ctn_status CTN_CALL link_copied(void*, ctn_link from, ctn_link to) {
  return guarded([&] { fn(LinkRef(from), LinkRef(to)); });
}
// void fn(LinkRef, bool loading)
template <auto fn>
ctn_status CTN_CALL link_serialized(void*, ctn_link link, int32_t loading) {
  return guarded([&] { fn(LinkRef(link), loading != 0); });
}
// void fn(LinkRef, ctn_device)
template <auto fn>
ctn_status CTN_CALL link_moved(void*, ctn_link link, ctn_device device) {
  return guarded([&] { fn(LinkRef(link), device); });
}
// void fn(const ctn_hook_call&, Vars params, Attrs)
template <auto fn>
ctn_status CTN_CALL hook_call(void*, const ctn_hook_call* call) {
  return guarded([&] { fn(*call, Vars(call->params, call->n), Attrs(call->attrs)); });
}
// void fn(ctn_array, Attrs)
template <auto fn>
ctn_status CTN_CALL initializer_fill(void*, ctn_array a, const ctn_value* attrs) {
  return guarded([&] { fn(a, Attrs(attrs)); });
}

}  // namespace CTN_SDK_HIDDEN
}  // namespace catena

#endif
