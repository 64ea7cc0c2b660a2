// Files over a ctn_io: a checked, windowed reader, and a writer whose file appears whole or not at
// all. Errors name the path; nothing here knows a format.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "catena/types.h"
#include "core/zalloc.h"

namespace catena {

// 'text' for an error message: unprintable bytes as \xNN, cut after 120 bytes.
std::string quoted(std::string_view text);

// One existing file, read at any offset. Small reads are served from a window of kWindow bytes.
// The table of `io` is copied; its `user` and `allocator` are borrowed. One thread at a time.
class InFile {
 public:
  static constexpr uint64_t kWindow = 80 * 1024;  // holds the longest tail of a zip (65,557 bytes)

  InFile(const ctn_io& io, std::string path, const ctn_allocator* allocator = nullptr);
  InFile(const InFile&) = delete;
  InFile& operator=(const InFile&) = delete;
  ~InFile();

  const std::string& path() const { return path_; }
  uint64_t length() const { return length_; }

  // Exactly n bytes. Bytes past the end are CTN_EFORMAT: the caller believed a damaged file.
  void read(uint64_t offset, void* dst, uint64_t n);

  // Between 1 and `most` bytes at `offset`, which is before the end: all `most` of them when the
  // file has them and they fit the window. Valid until the next call.
  std::span<const uint8_t> view(uint64_t offset, uint64_t most);

 private:
  void read_through(uint64_t offset, void* dst, uint64_t n);

  ctn_io io_;
  std::string path_;
  Block window_;
  uint64_t window_at_ = 0;
  uint64_t window_size_ = 0;
  uint64_t length_ = 0;
  void* handle_ = nullptr;
};

// A file written beside `path` and moved there by commit(). Until then, and after any failure, what
// was at `path` is untouched and the file beside it is removed. One thread at a time.
class AtomicFile {
 public:
  // With posix_io(), also removes what killed savers of `path` left.
  AtomicFile(const ctn_io& io, std::string path, const ctn_allocator* allocator = nullptr);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() { abandon(); }

  const std::string& path() const { return path_; }
  uint64_t written() const { return written_; }
  bool is_open() const { return handle_ != nullptr; }

  void write(const void* src, uint64_t n);

  // Data on the medium, then the rename, then the directory. When only the last step fails the new
  // file is in place and whole, but a power cut may bring the old one back: the error says so.
  void commit();

  // Removes the temporary file. Nothing to do after commit() or a failure.
  void abandon() noexcept;

 private:
  static constexpr uint64_t kBuffer = 64 * 1024;

  void flush();
  // "cannot WHAT PATH: reason", of the file that the caller asked for: what it is called until then
  // tells nobody anything.
  [[noreturn]] void give_up(ctn_status status, const char* what);

  ctn_io io_;
  std::string path_;
  std::string temp_;
  Block buffer_;
  uint64_t buffered_ = 0;
  uint64_t written_ = 0;
  void* handle_ = nullptr;
};

}  // namespace catena
