// Errors: one exception that carries a ctn_status, `fail` to throw it with a composed text, `check`
// for statuses of the runtime, and `guarded`, through which no exception leaves a plugin.
#ifndef CATENA_SDK_ERROR_HPP
#define CATENA_SDK_ERROR_HPP

#include <catena/sdk/host.hpp>

#include <concepts>
#include <exception>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace catena {
namespace sdk CTN_SDK_HIDDEN {

class Error : public std::exception {
 public:
  Error(ctn_status status, std::string text) : status_(status), text_(std::move(text)) {}
  ctn_status status() const noexcept { return status_; }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  ctn_status status_;
  std::string text_;
};

namespace detail {

inline void append(std::string& to, std::string_view part) { to += part; }
inline void append(std::string& to, double part) { to += std::to_string(part); }
template <std::integral T>
void append(std::string& to, T part) {
  to += std::to_string(part);
}
// A shape, as Python writes a tuple: (), (3,), (2, 3).
inline void append(std::string& to, std::span<const int64_t> shape) {
  to += '(';
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i != 0) to += ", ";
    to += std::to_string(shape[i]);
  }
  to += shape.size() == 1 ? ",)" : ")";
}

// Stores the exception being handled as this thread's error and gives its status.
inline ctn_status store_current() noexcept {
  auto store = [](ctn_status status, std::string_view text) {
    return host->fail(status, nullptr, 0, str(text));
  };
  try {
    throw;
  } catch (const Error& e) {
    return store(e.status(), e.what());
  } catch (const std::bad_alloc&) {
    return store(CTN_ENOMEM, "out of host memory");
  } catch (const std::exception& e) {
    return store(CTN_EINTERNAL, e.what());
  } catch (...) {
    return store(CTN_EINTERNAL, "an exception of unknown type");
  }
}

}  // namespace detail

// The parts one after the other: texts, numbers and shapes.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::string all;
  (detail::append(all, parts), ...);
  return all;
}

template <class... Parts>
[[noreturn]] void fail(ctn_status status, const Parts&... parts) {
  throw Error(status, text(parts...));
}

// Throws what a function of the table left behind.
[[noreturn]] inline void rethrow(ctn_status status) { throw Error(status, api().error_message()); }
inline void check(ctn_status status) {
  if (status != CTN_OK) [[unlikely]]
    rethrow(status);
}

// The firewall of every callback.
template <class Body>
ctn_status guarded(Body&& body) noexcept {
  try {
    body();
    return CTN_OK;
  } catch (...) {
    return detail::store_current();
  }
}

}  // namespace CTN_SDK_HIDDEN
}  // namespace catena

#endif
