// What tests over the C interface share: owned handles, dtypes, and checks that show the text of a
// failure. Knows no op and no class.
#pragma once

#include <catena/catena.h>

#include <string>
#include <string_view>
#include <utility>

#include "main.h"

namespace catena_test {

constexpr ctn_dtype kF16 = {CTN_DT_FLOAT, 16, 1};
constexpr ctn_dtype kF32 = {CTN_DT_FLOAT, 32, 1};
constexpr ctn_dtype kF64 = {CTN_DT_FLOAT, 64, 1};
constexpr ctn_dtype kI64 = {CTN_DT_INT, 64, 1};

inline ctn_str str(std::string_view s) { return {s.data(), s.size()}; }

// One counted handle.
template <class T, void (*release)(T)>
class Owned {
 public:
  Owned() = default;
  explicit Owned(T taken) : p_(taken) {}
  Owned(Owned&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  Owned& operator=(Owned&& o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Owned() { release(p_); }
  T* out() {
    release(std::exchange(p_, nullptr));
    return &p_;
  }
  operator T() const { return p_; }

 private:
  T p_ = nullptr;
};
using Ctx = Owned<ctn_context, ctn_context_release>;
using Arr = Owned<ctn_array, ctn_array_release>;
using Var = Owned<ctn_variable, ctn_variable_release>;
using Net = Owned<ctn_link, ctn_link_release>;
using Opt = Owned<ctn_optimizer, ctn_optimizer_release>;
using Ker = Owned<ctn_kernel, ctn_kernel_release>;

}  // namespace catena_test

#define CHECK_OK(call)                      \
  do {                                      \
    const ctn_status status_ = (call);      \
    INFO(std::string(ctn_error_message())); \
    CHECK(status_ == CTN_OK);               \
  } while (false)
#define REQUIRE_OK(call)                    \
  do {                                      \
    const ctn_status status_ = (call);      \
    INFO(std::string(ctn_error_message())); \
    REQUIRE(status_ == CTN_OK);             \
  } while (false)
// The call fails with `code`, and the text has `part`.
#define CHECK_FAILS(call, code, part)              \
  do {                                             \
    CHECK((call) == (code));                       \
    const std::string text_ = ctn_error_message(); \
    INFO(text_);                                   \
    CHECK(text_.find(part) != std::string::npos);  \
  } while (false)
