// What the npz tests share: whole archives as values, the committed files, errors as codes, zips
// made by hand. Knows no doctest.
#pragma once

#include <zlib.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/memory_io.h"
#include "core/npz.h"
#include "core/zip_format.h"

namespace catena_test {

using catena::NpyInfo;
using catena::NpzReader;
using catena::NpzWriter;

// A member with everything a reader may rely on.
struct Content {
  std::string kind;  // descr without order, "none" or "text"
  std::vector<int64_t> shape;
  bool fortran = false;
  std::string bytes;
  bool operator==(const Content&) const = default;
};
using Archive = std::map<std::string, Content>;

inline Content read_content(NpzReader& reader, size_t i) {
  const NpyInfo& info = reader.members()[i].info;
  Content c;
  c.kind = info.none ? "none" : info.text ? "text" : catena::npy_descr(info.dtype);
  c.shape = info.shape;
  c.fortran = info.fortran;
  c.bytes.resize(info.data_bytes);
  reader.read(i, c.bytes.data(), c.bytes.size());
  return c;
}

inline Archive read_archive(const ctn_io& io, const std::string& path,
                            const catena::NpzLimits& limits = {}) {
  NpzReader reader(io, path, limits);
  Archive all;
  for (size_t i = 0; i < reader.members().size(); ++i) {
    all[reader.members()[i].name] = read_content(reader, i);
  }
  return all;
}

// Reads `bytes` as an archive: CTN_OK and the archive, or the error's code.
inline ctn_status try_bytes(const std::string& bytes, Archive* out = nullptr,
                            std::string* text = nullptr, const catena::NpzLimits& limits = {}) {
  MemoryIo memory;
  memory.put("f.npz", bytes);
  try {
    Archive all = read_archive(memory.io(), "f.npz", limits);
    if (out != nullptr) *out = std::move(all);
    return CTN_OK;
  } catch (const catena::Error& e) {
    if (text != nullptr) *text = e.what();
    return e.code();
  }
}

inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::string golden_path(const std::string& name) {
  const char* tests = std::getenv("CATENA_TESTS_DIR");
  return std::string(tests != nullptr ? tests : "tests") + "/golden/serialization/" + name;
}

// One member of a zip made by hand, with every field open to lies.
struct RawMember {
  std::string name;
  std::string content;
  uint16_t method = 0;
  uint16_t flags = 0;
  uint32_t size = 0;        // 0: the content's
  std::string packed = {};  // empty: the content
};

inline std::string raw_zip(const std::vector<RawMember>& members) {
  using namespace catena::zip;
  std::string out;
  std::string directory;
  for (const RawMember& m : members) {
    const std::string& data = m.packed.empty() ? m.content : m.packed;
    const uint32_t crc = static_cast<uint32_t>(crc32(
        0, reinterpret_cast<const Bytef*>(m.content.data()), static_cast<uInt>(m.content.size())));
    const uint32_t size = m.size != 0 ? m.size : static_cast<uint32_t>(m.content.size());
    const auto at = static_cast<uint32_t>(out.size());
    const auto put_common = [&](std::string* to) {
      put(to, uint16_t{20}, m.flags, m.method, uint32_t{0x00210000}, crc,
          static_cast<uint32_t>(data.size()), size, static_cast<uint16_t>(m.name.size()),
          uint16_t{0});
    };
    put(&out, kLocalSig);
    put_common(&out);
    out += m.name + data;
    put(&directory, kCentralSig, uint16_t{20});
    put_common(&directory);
    put(&directory, uint16_t{0}, uint16_t{0}, uint16_t{0}, uint32_t{0}, at);
    directory += m.name;
  }
  const auto at = static_cast<uint32_t>(out.size());
  const auto count = static_cast<uint16_t>(members.size());
  out += directory;
  put(&out, kEndSig, uint16_t{0}, uint16_t{0}, count, count,
      static_cast<uint32_t>(directory.size()), at, uint16_t{0});
  return out;
}

// An npy file of version 1.0 with this dict and these data.
inline std::string raw_npy(const std::string& dict, const std::string& data) {
  std::string out = "\x93NUMPY";
  catena::zip::put(&out, uint8_t{1}, uint8_t{0}, static_cast<uint16_t>(dict.size() + 1));
  return out + dict + "\n" + data;
}

inline std::string npz_of(const std::string& npy) { return raw_zip({{"a.npy", npy}}); }

inline std::string deflated(const std::string& content) {
  z_stream z{};
  if (deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) std::abort();
  std::string out(deflateBound(&z, content.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  z.avail_in = static_cast<uInt>(content.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  if (deflate(&z, Z_FINISH) != Z_STREAM_END) std::abort();
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

}  // namespace catena_test
