// npz archives (NumPy's savez and savez_compressed): names, shapes and plain numbers in and out of
// caller memory, atomic saves. Knows no arrays, no contexts and no pickles.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/npy.h"
#include "core/zip_reader.h"
#include "core/zip_writer.h"

namespace catena {

using NpzLimits = ZipLimits;

struct NpzMember {
  std::string name;  // without .npy
  NpyInfo info;
  uint32_t entry = 0;  // its place in the archive
};

// One archive. The constructor reads all headers and the bodies of None, checks the whole structure
// and allocates no more than the directory needs; info.data_bytes of every member is then proven
// possible for the length of the file. Numbers come in host byte order, bools as 0 or 1, in the
// file's order of elements (info.fortran). The CRC is checked by every read.
//
// Members that are no npy data (a README, a folder entry) are left out, as numpy.load hands them
// out as bytes only; skipped() counts them. Two members of one name are an error.
//
// Errors: CTN_EFORMAT damaged or hostile, CTN_EUNSUPPORTED a dtype or zip feature, CTN_EVERSION,
// CTN_EIO, CTN_ENOTFOUND, CTN_ENOMEM. One thread at a time. `allocator` (may be NULL: malloc)
// serves the file window and zlib, about 130 KiB, and is borrowed like io.user for the reader's
// life.
class NpzReader {
 public:
  NpzReader(const ctn_io& io, std::string path, const NpzLimits& limits = {},
            const ctn_allocator* allocator = nullptr);

  const std::string& path() const { return zip_.path(); }
  std::span<const NpzMember> members() const { return members_; }  // in the archive's order
  uint64_t skipped() const { return skipped_; }
  std::optional<size_t> find(std::string_view name) const;

  // All data of a member; `bytes` must be its info.data_bytes. After an error dst holds rubbish.
  void read(size_t index, void* dst, uint64_t bytes);

  // A text member of one element as UTF-8, without the padding at its end.
  std::string read_text(size_t index);

 private:
  bool read_member(uint32_t entry, NpzMember* member);
  void start_data(const NpzMember& member);
  [[noreturn]] void bad_text(const NpzMember& member) const;
  const NpzMember& at(size_t index) const;

  ZipReader zip_;
  std::vector<NpzMember> members_;
  std::vector<uint32_t> by_name_;  // indexes of members_, sorted by name
  std::string scratch_;
  uint64_t skipped_ = 0;
};

// Writes an archive that numpy.load reads, NumPy 1 and 2, Python 2 and 3. Nothing is at `path`, or
// what was there before stays, until finish() returns; after any failure of writing the writer is
// dead and its temporary file removed. A wrong argument (CTN_EINVAL) leaves it usable.
class NpzWriter {
 public:
  // level: 0 stored, 1 fastest to 9 smallest. `allocator` as for NpzReader, about 400 KiB.
  NpzWriter(const ctn_io& io, std::string path, int level = 6,
            const ctn_allocator* allocator = nullptr);
  NpzWriter(const ctn_io& io, std::string path, const ZipOptions& options);

  // data: product(shape) elements, C order, host byte order; borrowed for the call.
  void add(std::string_view name, ctn_dtype dtype, std::span<const int64_t> shape,
           const void* data);
  void add_none(std::string_view name);
  // A 0-d string, as Chainer stores a trainer's log.
  void add_text(std::string_view name, std::string_view utf8);

  // Makes the archive appear at its path, durably.
  void finish() { zip_.finish(); }

 private:
  void add_member(std::string_view name, const std::string& header, const void* data,
                  uint64_t bytes);

  ZipWriter zip_;
};

}  // namespace catena
