// Writes zip archives that appear whole or not at all: stored or deflated members, zip64 where
// sizes ask for it. Knows nothing of arrays.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <zlib.h>

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/zip_format.h"

namespace catena {

struct ZipOptions {
  int level = 6;                             // 0 stored, 1 to 9 deflate
  uint64_t zip64_from = zip::kIn64;          // sizes from here use zip64; lower only in tests
  const ctn_allocator* allocator = nullptr;  // NULL: malloc
};

struct ZipPiece {
  const void* data;
  uint64_t bytes;
};

class ZipWriter {
 public:
  ZipWriter(const ctn_io& io, std::string path, const ZipOptions& options);
  ZipWriter(const ZipWriter&) = delete;
  ZipWriter& operator=(const ZipWriter&) = delete;
  ~ZipWriter();

  // One member, its content in pieces. A bad or used name is CTN_EINVAL and changes nothing; any
  // other failure ends the archive.
  void add(const std::string& name, std::span<const ZipPiece> pieces);

  // Directory, then the rename.
  void finish();

 private:
  struct Member {
    uint64_t offset = 0;
    uint64_t packed = 0;
    uint64_t size = 0;
    uint32_t crc = 0;
    uint16_t flags = 0;
    uint16_t method = 0;
    const std::string* name = nullptr;
  };

  void check_name(const std::string& name) const;
  void write_member(Member* m, std::span<const ZipPiece> pieces);
  void write_local(const Member& m, bool big);
  void write_deflated(std::span<const ZipPiece> pieces);
  void deflate_all(int flush);
  void write_central(const Member& m);
  void write_end(uint64_t at);
  void write(const std::string& bytes) { file_.write(bytes.data(), bytes.size()); }
  bool big(uint64_t value) const { return value >= options_.zip64_from; }

  ZipOptions options_;
  AtomicFile file_;
  Block out_;
  std::set<std::string> names_;
  std::vector<Member> members_;
  z_stream z_{};
  bool z_ready_ = false;
};

}  // namespace catena
