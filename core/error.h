// The core's one exception type, mapped one to one to a ctn_status at the C boundary, and the
// per-thread text behind ctn_error_message. Knows no op, array or context.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/types.h>

#include <exception>
#include <string>
#include <string_view>

namespace catena {

class Error : public std::exception {
 public:
  Error(ctn_status code, std::string text) : code_(code), text_(std::move(text)) {}
  ctn_status code() const noexcept { return code_; }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  ctn_status code_;
  std::string text_;
};

[[noreturn]] void fail(ctn_status code, std::string text);

// An argument that no call can take, such as NULL for a handle. guarded() puts the name of the C
// function before the text.
class ArgumentError : public Error {
 public:
  using Error::Error;
};
[[noreturn]] void fail_argument(std::string text, ctn_status code = CTN_EINVAL);

// Throws what a callback left behind: its status with the text it stored through host->fail.
[[noreturn]] void rethrow_status(ctn_status code, std::string_view where);
inline void check_status(ctn_status code, std::string_view where) {
  if (code != CTN_OK) [[unlikely]]
    rethrow_status(code, where);
}

// As check_status, for what is an op's or runs for one: where the text does not say whose it is,
// the name comes before it. Want of memory is the context's.
void check_op(ctn_status code, std::string_view op);

// Before a callback that may fail without a text: that of an earlier failure is not taken for its.
void forget_text() noexcept;
// The text that a callback stored for `code` since then; empty if it left none.
std::string_view fresh_text(ctn_status code) noexcept;
// Calls foreign code; a failure is thrown, with the text it left.
template <class Call>
void checked_call(std::string_view where, Call&& call) {
  forget_text();
  check_status(call(), where);
}

// This thread's last error. Stored in a fixed buffer: reporting a failure never allocates.
ctn_status store_error(ctn_status code, std::string_view text) noexcept;
// Stores the exception being handled; call inside a catch block only. `function` may be NULL.
ctn_status store_current_exception(const char* function = nullptr) noexcept;
// Hands code and text of the exception being handled to `to`; inside a catch block only.
using ExceptionSink = void (*)(void* user, ctn_status code, std::string_view text);
void tell_current_exception(ExceptionSink to, void* user) noexcept;
ctn_status last_error_code() noexcept;
const char* last_error_text() noexcept;
const char* status_name(ctn_status status) noexcept;

// The firewall: runs body, turning every exception into a stored error. `function` is the caller.
template <class Body>
ctn_status guarded(Body&& body, const char* function = __builtin_FUNCTION()) noexcept {
  try {
    body();
    return CTN_OK;
  } catch (...) {
    return store_current_exception(function);
  }
}

// Foreign code that has no way to report a failure (a drop, a free, a log hook): what it throws is
// stopped here and lost. False if it threw. Leaves this thread's last error alone.
template <class Body>
bool shielded(Body&& body) noexcept {
  try {
    body();
    return true;
  } catch (...) {
    return false;
  }
}

inline std::string_view view(ctn_str s) {
  return s.p ? std::string_view(s.p, s.n) : std::string_view();
}
inline ctn_str str(std::string_view s) { return {s.data(), s.size()}; }

}  // namespace catena
