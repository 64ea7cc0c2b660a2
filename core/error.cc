// The last error of each thread in a fixed buffer, and the translation between exceptions and
// status codes. Knows nothing of what failed.
#include "core/error.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <new>

namespace catena {
namespace {

constexpr size_t kTextBytes = 8192;

struct LastError {
  ctn_status code = CTN_OK;
  bool fresh = false;  // stored since the last rethrow_status()
  char text[kTextBytes] = {};
};
constinit thread_local LastError last;

constexpr const char* kNames[] = {
    "ok",           "invalid argument", "out of memory",
    "not found",    "unsupported",      "version mismatch",
    "device error", "shape mismatch",   "dtype mismatch",
    "no gradient",  "cancelled",        "internal error",
    "i/o error",    "bad file format",  "NaN found",
};
static_assert(std::size(kNames) == CTN_ENAN + 1);

bool is_known(ctn_status code) { return code >= CTN_OK && code <= CTN_ENAN; }

// The longest prefix of at most `room` bytes that does not cut a UTF-8 sequence.
size_t cut(std::string_view text, size_t room) {
  if (text.size() <= room) return text.size();
  size_t n = room;
  while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xc0) == 0x80) --n;
  return n;
}

}  // namespace

void fail(ctn_status code, std::string text) { throw Error(code, std::move(text)); }
void fail_argument(std::string text, ctn_status code) {
  throw ArgumentError(code, std::move(text));
}

void rethrow_status(ctn_status code, std::string_view where) {
  const bool has_text = last.fresh && last.code == code;
  last.fresh = false;
  if (has_text) throw Error(code, last.text);
  const std::string who = where.empty() ? "a callback" : std::string(where);
  if (!is_known(code))
    fail(CTN_EINTERNAL, who + " returned unknown status " + std::to_string(code));
  fail(code, who + " failed without a text: " + status_name(code));
}

void check_op(ctn_status code, std::string_view op) {
  if (code == CTN_OK) [[likely]]
    return;
  try {
    rethrow_status(code, op);
  } catch (const Error& e) {
    const std::string_view text = e.what();
    const bool names =
        text.starts_with('[') || (text.starts_with(op) && text.size() > op.size() &&
                                  (text[op.size()] == ':' || text[op.size()] == ' '));
    if (code == CTN_ENOMEM || names || text.find("Invalid operation is performed in") != text.npos)
      throw;
    fail(code, "[" + std::string(op) + "] " + e.what());
  }
}

void forget_text() noexcept { last.fresh = false; }

std::string_view fresh_text(ctn_status code) noexcept {
  return last.fresh && last.code == code ? std::string_view(last.text) : std::string_view();
}

ctn_status store_error(ctn_status code, std::string_view text) noexcept {
  if (!is_known(code)) code = CTN_EINTERNAL;
  const size_t n = cut(text, kTextBytes - 1);
  if (n != 0) std::memmove(last.text, text.data(), n);  // text may be last_error_text() itself
  last.text[n] = '\0';
  last.code = code;
  last.fresh = true;
  return code;
}

void tell_current_exception(ExceptionSink to, void* user) noexcept {
  try {
    throw;
  } catch (const Error& e) {
    to(user, e.code(), e.what());
  } catch (const std::bad_alloc&) {
    to(user, CTN_ENOMEM, "out of host memory");
  } catch (const std::exception& e) {
    to(user, CTN_EINTERNAL, e.what());
  } catch (...) {
    to(user, CTN_EINTERNAL, "an exception of unknown type");
  }
}

ctn_status store_current_exception(const char* function) noexcept {
  try {
    throw;
  } catch (const ArgumentError& e) {
    std::array<char, 512> text;
    std::snprintf(text.data(), text.size(), "%s: %s", function ? function : "?", e.what());
    store_error(e.code(), text.data());
  } catch (...) {
    tell_current_exception(
        [](void*, ctn_status code, std::string_view text) { store_error(code, text); }, nullptr);
  }
  return last.code;
}

ctn_status last_error_code() noexcept { return last.code; }
const char* last_error_text() noexcept { return last.text; }

const char* status_name(ctn_status status) noexcept {
  return is_known(status) ? kNames[status] : "unknown status";
}

}  // namespace catena
