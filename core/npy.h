// The header of NumPy's npy format, read and written, and the byte patterns of a stored None. No
// file access and no data: what follows the header is the caller's.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "catena/types.h"

namespace catena {

inline constexpr uint64_t kNpyMaxDict = 65536;  // NumPy itself reads 10,000 bytes by default

struct NpyInfo {
  ctn_dtype dtype{};        // of numbers; all zero for text and None
  bool none = false;        // Python's None: shape (), no data
  bool text = false;        // fixed-width strings, item_bytes each
  bool wide = false;        // text: UCS-4, else bytes
  bool fortran = false;     // data are column-major
  bool big_endian = false;  // in the file
  uint32_t item_bytes = 0;  // in the file
  std::vector<int64_t> shape;
  uint64_t count = 0;         // elements
  uint64_t data_bytes = 0;    // count * item_bytes, checked
  uint32_t header_bytes = 0;  // from the magic to where the data start
};

// The first bytes of a file. `prefix` are its first 10 bytes or more, 12 for version 2.
struct NpyPrefix {
  bool magic = false;         // the bytes start like an npy file; else nothing below holds
  uint32_t prefix_bytes = 0;  // 10 or 12
  uint32_t dict_bytes = 0;    // what follows it; 0 while `prefix` is too short to tell
};
NpyPrefix read_npy_prefix(std::span<const uint8_t> prefix);

// The dict behind the prefix. Fails with CTN_EFORMAT, or CTN_EUNSUPPORTED for element types that
// Catena has no arrays of. An object array is taken for None; its body still has to be compared.
// The caller adds header_bytes.
NpyInfo parse_npy_dict(std::string_view dict);

// Whether the body of an object array is one of the pickles that NumPy writes for a 0-d array of
// None (protocols 2 to 4, numpy.core or numpy._core). They are compared, never interpreted.
bool is_npy_none(std::span<const uint8_t> body);
inline constexpr uint64_t kNpyNoneMaxBytes = 191;

// The body to write for None: protocol 2 of numpy.core, which every NumPy and Python reads.
std::string_view npy_none_body();

// "<f4" and the like. bfloat16 is "<V2", as ml_dtypes writes it.
std::string npy_descr(ctn_dtype dtype);

// The whole header (version 1.0) in the bytes NumPy 1.24 writes, for C-ordered data.
std::string npy_header(std::string_view descr, std::span<const int64_t> shape);

// Elements of a shape and bytes of `item_bytes` each; refuses negative sizes, too many dimensions
// and, as NumPy does, whatever overflows even if another size is zero.
uint64_t npy_count(std::span<const int64_t> shape, uint64_t item_bytes, ctn_status code);

}  // namespace catena
