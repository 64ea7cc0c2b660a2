// Handles of the C interface with owners, and failures as exceptions, for the golden runner.
#pragma once

#include <catena/catena.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace golden {

// A case that cannot be run here, with the reason.
struct Skip : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline ctn_str str(std::string_view s) { return {s.data(), s.size()}; }
inline std::string text(ctn_str s) { return {s.p, s.n}; }

inline void check(ctn_status status, const char* what) {
  if (status == CTN_OK) return;
  throw std::runtime_error(std::string(what) + ": " + ctn_status_name(status) + ": " +
                           ctn_error_message());
}

template <class Handle, void (*release)(Handle)>
class Owner {
 public:
  Owner() = default;
  explicit Owner(Handle h) : h_(h) {}
  Owner(Owner&& o) noexcept : h_(std::exchange(o.h_, nullptr)) {}
  Owner& operator=(Owner&& o) noexcept {
    std::swap(h_, o.h_);
    return *this;
  }
  ~Owner() { release(h_); }
  Handle get() const { return h_; }
  Handle* out() { return &h_; }
  explicit operator bool() const { return h_ != nullptr; }

 private:
  Handle h_ = nullptr;
};
using Context = Owner<ctn_context, ctn_context_release>;
using Array = Owner<ctn_array, ctn_array_release>;
using Variable = Owner<ctn_variable, ctn_variable_release>;
using Link = Owner<ctn_link, ctn_link_release>;
using Optimizer = Owner<ctn_optimizer, ctn_optimizer_release>;

// An array on the host in C order.
struct Host {
  ctn_dtype dtype{};
  std::vector<int64_t> shape;
  std::vector<unsigned char> bytes;

  size_t size() const;
  double at(size_t i) const;  // any dtype as double
};
std::string dtype_text(ctn_dtype dtype);
ctn_dtype dtype_of(const std::string& name);  // "float32" or "f"
Host fetch(ctn_array a);
Host fetch(ctn_variable v);
Array upload(ctn_context ctx, const Host& h);
Variable variable(ctn_context ctx, const Host& h, bool requires_grad);
// One that requires a gradient, on the device where `other` is.
Variable variable_beside(ctn_variable other, const Host& h);
std::vector<ctn_variable> handles(const std::vector<Variable>& list);

}  // namespace golden
