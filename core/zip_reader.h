// Reads the part of zip that NumPy and common tools write: stored and deflated members, zip64, data
// descriptors, any order. Trusts nothing of the file; knows nothing of arrays.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/file.h"

namespace catena {

// What a file may claim before it is refused (CTN_EFORMAT). The defaults let every honest model
// pass: memory is bounded by ratio * file length anyway, since deflate cannot exceed 1032:1 and
// long runs of zeros (fresh optimizer states) do reach it.
struct ZipLimits {
  uint64_t members = uint64_t{1} << 18;
  uint64_t name_bytes = 4096;
  uint64_t member_bytes = uint64_t{1} << 36;  // uncompressed, each
  uint64_t total_bytes = uint64_t{1} << 38;   // uncompressed, all
  uint64_t ratio = 1100;                      // uncompressed : compressed, each

  // For files from strangers.
  static ZipLimits strict() {
    return {uint64_t{1} << 14, 512, uint64_t{1} << 31, uint64_t{1} << 32, 200};
  }
};

struct ZipEntry {
  std::string name;     // UTF-8; only a name, never a path
  uint64_t offset = 0;  // of the local header
  uint64_t end = 0;     // where the next member or the directory starts
  uint64_t packed = 0;  // bytes in the file
  uint64_t size = 0;    // bytes of content
  uint32_t crc = 0;
  uint16_t flags = 0;
  uint16_t method = 0;
};

// The directory is read and checked as a whole by the constructor: members inside the file, not
// overlapping, within the limits. Members then are streamed one at a time:
//   open(i), read() until all of entries()[i].size is consumed, finish().
// Failures: CTN_EFORMAT, CTN_EUNSUPPORTED (encryption, other methods), CTN_ENOMEM, CTN_EIO.
class ZipReader {
 public:
  ZipReader(const ctn_io& io, std::string path, const ZipLimits& limits,
            const ctn_allocator* allocator);
  ZipReader(const ZipReader&) = delete;
  ZipReader& operator=(const ZipReader&) = delete;
  ~ZipReader();

  const std::string& path() const { return file_.path(); }
  const std::vector<ZipEntry>& entries() const { return entries_; }

  // Positions at the first byte of member i, whatever was read before.
  void open(size_t i);

  // Exactly n bytes, n no more than is left of the member.
  void read(void* dst, uint64_t n);

  // The member was consumed: checks that its packed data end here too, and its CRC.
  void finish();

 private:
  struct Directory {  // where the central directory is
    uint64_t offset = 0;
    uint64_t bytes = 0;
    uint64_t count = 0;
  };

  [[noreturn]] void bad(const std::string& why) const;
  [[noreturn]] void bad(const ZipEntry& e, const std::string& why) const;
  Directory find_directory();
  void apply_zip64(uint64_t end_at, Directory* dir);
  void read_directory(const Directory& dir);
  uint64_t read_entry(uint64_t at, uint64_t end);
  void read_zip64_extra(uint64_t at, uint64_t bytes, ZipEntry* e, uint16_t disk);
  void check_entry(const ZipEntry& e) const;
  void check_layout(uint64_t directory_at);
  uint64_t check_local(const ZipEntry& e);
  void inflate_some(uint8_t* dst, uint64_t n);

  InFile file_;
  ZipLimits limits_;
  std::vector<ZipEntry> entries_;
  z_stream z_{};
  bool z_ready_ = false;

  // The open member.
  const ZipEntry* entry_ = nullptr;
  uint64_t at_ = 0;      // next packed byte in the file
  uint64_t at_end_ = 0;  // after the last packed byte
  uint64_t left_ = 0;    // content bytes not read yet
  uint32_t crc_ = 0;
  bool ended_ = false;  // inflate saw the end of its stream
};

}  // namespace catena
