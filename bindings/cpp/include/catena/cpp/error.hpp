// Exceptions: one class for each kind of failure of the C interface, with its text.
#pragma once

#include <catena/catena.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace catena::inline cpp {

class Error : public std::runtime_error {
 public:
  Error(ctn_status status, const std::string& text) : std::runtime_error(text), status_(status) {}
  ctn_status status() const noexcept { return status_; }

 private:
  ctn_status status_;
};

// One class a status; TypeCheckError covers both kinds of failed type checks.
struct InvalidArgument : Error {
  using Error::Error;
};
struct OutOfMemory : Error {
  using Error::Error;
};
struct NotFound : Error {
  using Error::Error;
};
struct Unsupported : Error {
  using Error::Error;
};
struct VersionError : Error {
  using Error::Error;
};
struct DeviceError : Error {
  using Error::Error;
};
struct TypeCheckError : Error {
  using Error::Error;
};
struct ShapeError : TypeCheckError {
  using TypeCheckError::TypeCheckError;
};
struct DtypeError : TypeCheckError {
  using TypeCheckError::TypeCheckError;
};
struct GradError : Error {
  using Error::Error;
};
struct Cancelled : Error {
  using Error::Error;
};
struct InternalError : Error {
  using Error::Error;
};
struct IoError : Error {
  using Error::Error;
};
struct FormatError : Error {
  using Error::Error;
};
struct NanError : Error {
  using Error::Error;
};

[[noreturn]] inline void throw_error(ctn_status status) {
  const std::string text = ctn_error_message();
  switch (status) {
    case CTN_EINVAL: throw InvalidArgument(status, text);
    case CTN_ENOMEM: throw OutOfMemory(status, text);
    case CTN_ENOTFOUND: throw NotFound(status, text);
    case CTN_EUNSUPPORTED: throw Unsupported(status, text);
    case CTN_EVERSION: throw VersionError(status, text);
    case CTN_EDEVICE: throw DeviceError(status, text);
    case CTN_ESHAPE: throw ShapeError(status, text);
    case CTN_EDTYPE: throw DtypeError(status, text);
    case CTN_EGRAD: throw GradError(status, text);
    case CTN_ECANCELLED: throw Cancelled(status, text);
    case CTN_EIO: throw IoError(status, text);
    case CTN_EFORMAT: throw FormatError(status, text);
    case CTN_ENAN: throw NanError(status, text);
    default: throw InternalError(status, text);
  }
}

inline void check(ctn_status status) {
  if (status != CTN_OK) [[unlikely]]
    throw_error(status);
}

namespace detail {

inline ctn_str str(std::string_view s) { return {s.data(), s.size()}; }

// A counted handle of the C interface as a value: copies share.
template <class H, void(CTN_CALL* retain)(H), void(CTN_CALL* release)(H)>
class Handle {
 public:
  Handle() = default;
  Handle(const Handle& o) : h_(o.h_) {
    if (h_) retain(h_);
  }
  Handle(Handle&& o) noexcept : h_(o.h_) { o.h_ = nullptr; }
  Handle& operator=(Handle o) noexcept {
    H h = h_;
    h_ = o.h_;
    o.h_ = h;
    return *this;
  }
  ~Handle() { release(h_); }
  // Takes over a reference that a C function gave as new.
  explicit Handle(H h) : h_(h) {}

  // The C handle, borrowed.
  H get() const noexcept { return h_; }
  explicit operator bool() const noexcept { return h_ != nullptr; }

 private:
  H h_ = nullptr;
};

}  // namespace detail
}  // namespace catena::inline cpp
