// Reading and atomic writing of whole files over a ctn_io. Knows no format and no system call.
#include "core/file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/sys/io_posix.h"

namespace catena {
namespace {

ctn_str as_str(const std::string& s) { return {s.data(), s.size()}; }

// Calls a function of the table; what it throws is its failure.
template <class Function, class... Args>
ctn_status ask(Function function, Args... args) noexcept {
  forget_text();
  try {
    return function(args...);
  } catch (...) {
    return store_current_exception();
  }
}

std::string failure(const ctn_io& io, ctn_status status, const char* what,
                    const std::string& path) {
  std::string text = std::string("cannot ") + what + " " + quoted(path);
  if (is_posix_io(io)) return text + ": " + posix_io_reason();
  if (const std::string_view own = fresh_text(status); !own.empty())
    return text.append(": ").append(own);
  return text + ": the file table answered status " + std::to_string(status);
}

// A host's table may answer with a number that is no status of ours.
ctn_status known(ctn_status status) {
  return status > CTN_OK && status <= CTN_ENAN ? status : CTN_EIO;
}

ctn_io checked(const ctn_io& io, std::initializer_list<std::pair<const char*, bool>> calls) {
  for (const auto& [name, present] : calls) {
    if (!present) fail(CTN_EINVAL, std::string("the file table (ctn_io) has no ") + name);
  }
  return io;
}

}  // namespace

std::string quoted(std::string_view text) {
  constexpr size_t kMost = 120;
  std::string out = "'";
  for (const char c : text.substr(0, kMost)) {
    const auto u = static_cast<unsigned char>(c);
    if (u >= 0x20 && u != 0x7f) {
      out += c;
    } else {
      out.append("\\x").append(1, "0123456789abcdef"[u >> 4]);
      out += "0123456789abcdef"[u & 15];
    }
  }
  return out + (text.size() > kMost ? "...'" : "'");
}

// ---- InFile

InFile::InFile(const ctn_io& io, std::string path, const ctn_allocator* allocator)
    : io_(checked(io, {{"open", io.open != nullptr},
                       {"length", io.length != nullptr},
                       {"read", io.read != nullptr},
                       {"close", io.close != nullptr}})),
      path_(std::move(path)),
      window_(allocator, kWindow) {
  ctn_status status = ask(io_.open, io_.user, as_str(path_), 'r', &handle_);
  if (status != CTN_OK) fail(known(status), failure(io_, status, "open", path_));
  status = ask(io_.length, io_.user, handle_, &length_);
  if (status == CTN_OK) return;
  // The text first: closing may change the reason.
  std::string text = failure(io_, status, "learn the length of", path_);
  (void)ask(io_.close, io_.user, handle_);
  fail(known(status), std::move(text));
}

// Nothing was written, so a failing close loses nothing.
InFile::~InFile() { (void)ask(io_.close, io_.user, handle_); }

void InFile::read_through(uint64_t offset, void* dst, uint64_t n) {
  uint64_t got = 0;
  const ctn_status status = ask(io_.read, io_.user, handle_, offset, dst, n, &got);
  if (status != CTN_OK) fail(known(status), failure(io_, status, "read", path_));
  if (got != n) {
    fail(CTN_EIO, "read " + std::to_string(got) + " of " + std::to_string(n) + " bytes at " +
                      std::to_string(offset) + " of " + quoted(path_) +
                      ": the file changed while it was read");
  }
}

std::span<const uint8_t> InFile::view(uint64_t offset, uint64_t most) {
  if (offset >= length_) fail(CTN_EFORMAT, quoted(path_) + " ends too early");
  const uint64_t want = std::min({most, length_ - offset, kWindow});
  const bool inside = offset >= window_at_ && offset - window_at_ < window_size_;
  if (!inside || (window_size_ - (offset - window_at_) < want && want == most)) {
    window_size_ = 0;  // invalid should the read throw
    const uint64_t n = std::min(kWindow, length_ - offset);
    read_through(offset, window_.data(), n);
    window_at_ = offset;
    window_size_ = n;
  }
  const uint64_t skip = offset - window_at_;
  return {window_.data() + skip, std::min(most, window_size_ - skip)};
}

void InFile::read(uint64_t offset, void* dst, uint64_t n) {
  if (offset > length_ || n > length_ - offset) {
    fail(CTN_EFORMAT, quoted(path_) + " ends too early: " + std::to_string(n) + " bytes at " +
                          std::to_string(offset) + " are wanted of " + std::to_string(length_));
  }
  if (n >= kWindow) return read_through(offset, dst, n);
  auto* out = static_cast<uint8_t*>(dst);
  while (n > 0) {
    const std::span<const uint8_t> part = view(offset, n);
    std::memcpy(out, part.data(), part.size());
    out += part.size();
    offset += part.size();
    n -= part.size();
  }
}

// ---- AtomicFile

AtomicFile::AtomicFile(const ctn_io& io, std::string path, const ctn_allocator* allocator)
    : io_(checked(io, {{"open", io.open != nullptr},
                       {"write", io.write != nullptr},
                       {"close", io.close != nullptr},
                       {"rename", io.rename != nullptr},
                       {"remove", io.remove != nullptr}})),
      path_(std::move(path)),
      temp_(temp_path_for(path_)),
      buffer_(allocator, kBuffer) {
  if (is_posix_io(io_)) remove_stale_temps(path_);
  const ctn_status status = ask(io_.open, io_.user, as_str(temp_), 'x', &handle_);
  if (status != CTN_OK) {
    handle_ = nullptr;
    fail(known(status), failure(io_, status, "create", path_));
  }
}

void AtomicFile::give_up(ctn_status status, const char* what) {
  std::string text = failure(io_, status, what, path_);  // before abandon() changes the reason
  abandon();
  fail(known(status), std::move(text));
}

void AtomicFile::abandon() noexcept {
  if (handle_ == nullptr) return;
  // Already failing or unwanted: what these two answer changes nothing.
  (void)ask(io_.close, io_.user, std::exchange(handle_, nullptr));
  (void)ask(io_.remove, io_.user, as_str(temp_));
}

void AtomicFile::flush() {
  if (buffered_ == 0) return;
  const ctn_status status =
      ask(io_.write, io_.user, handle_, buffer_.data(), std::exchange(buffered_, 0));
  if (status != CTN_OK) give_up(status, "write");
}

void AtomicFile::write(const void* src, uint64_t n) {
  if (handle_ == nullptr) fail(CTN_EINVAL, quoted(path_) + " is not being written any more");
  if (n == 0) return;
  written_ += n;
  if (n > kBuffer - buffered_) flush();
  if (n > kBuffer) {
    const ctn_status status = ask(io_.write, io_.user, handle_, src, n);
    if (status != CTN_OK) give_up(status, "write");
    return;
  }
  std::memcpy(buffer_.data() + buffered_, src, n);
  buffered_ += n;
}

void AtomicFile::commit() {
  if (handle_ == nullptr) fail(CTN_EINVAL, quoted(path_) + " is not being written any more");
  flush();
  ctn_status status = io_.sync != nullptr ? ask(io_.sync, io_.user, handle_) : CTN_OK;
  if (status != CTN_OK) give_up(status, "sync");

  // From here on the handle is gone, so failures remove the file themselves.
  status = ask(io_.close, io_.user, std::exchange(handle_, nullptr));
  const char* what = "close";
  if (status == CTN_OK) {
    what = "put the finished file at";
    status = ask(io_.rename, io_.user, as_str(temp_), as_str(path_));
  }
  if (status != CTN_OK) {
    std::string text = failure(io_, status, what, path_);
    (void)ask(io_.remove, io_.user, as_str(temp_));
    fail(known(status), std::move(text));
  }
  status = io_.sync_dir != nullptr ? ask(io_.sync_dir, io_.user, as_str(path_)) : CTN_OK;
  if (status != CTN_OK) {
    fail(known(status), failure(io_, status, "sync the directory of", path_) +
                            "; the new file is in place but may not survive a power cut");
  }
}

}  // namespace catena
