// The zip records and fields that our reader and writer share (APPNOTE.TXT 6.3): signatures, fixed
// sizes, little-endian access. No logic.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <cstdint>
#include <string>

namespace catena::zip {

inline constexpr uint32_t kLocalSig = 0x04034b50;
inline constexpr uint32_t kCentralSig = 0x02014b50;
inline constexpr uint32_t kEndSig = 0x06054b50;
inline constexpr uint32_t kEnd64Sig = 0x06064b50;
inline constexpr uint32_t kLocator64Sig = 0x07064b50;
inline constexpr uint32_t kDescriptorSig = 0x08074b50;

// Fixed parts, without names, extra fields and comments.
inline constexpr uint64_t kLocalBytes = 30;
inline constexpr uint64_t kCentralBytes = 46;
inline constexpr uint64_t kEndBytes = 22;
inline constexpr uint64_t kEnd64Bytes = 56;
inline constexpr uint64_t kLocator64Bytes = 20;

inline constexpr uint16_t kStored = 0;
inline constexpr uint16_t kDeflated = 8;

inline constexpr uint16_t kFlagEncrypted = 1u << 0;
inline constexpr uint16_t kFlagDescriptor = 1u << 3;  // CRC and sizes follow the data
inline constexpr uint16_t kFlagStrong = 1u << 6;
inline constexpr uint16_t kFlagUtf8 = 1u << 11;
inline constexpr uint16_t kFlagMasked = 1u << 13;

inline constexpr uint16_t kExtraZip64 = 0x0001;
inline constexpr uint32_t kIn64 = 0xffffffffu;  // "see the zip64 field"
inline constexpr uint16_t kIn64Short = 0xffffu;

template <class T>
T get(const uint8_t* p) {
  T v = 0;
  for (unsigned i = 0; i < sizeof(T); ++i)
    v = static_cast<T>(v | (static_cast<T>(p[i]) << (8 * i)));
  return v;
}
inline uint16_t get16(const uint8_t* p) { return get<uint16_t>(p); }
inline uint32_t get32(const uint8_t* p) { return get<uint32_t>(p); }
inline uint64_t get64(const uint8_t* p) { return get<uint64_t>(p); }

// Out of line: headers have a dozen fields each, and no speed depends on them.
[[gnu::noinline]] inline void put_bytes(std::string* out, uint64_t value, size_t width) {
  for (size_t i = 0; i < width; ++i) out->push_back(static_cast<char>((value >> (8 * i)) & 0xff));
}

// Appends fields in order; the argument's type is the field's width.
template <class... T>
void put(std::string* out, T... fields) {
  (put_bytes(out, fields, sizeof fields), ...);
}

}  // namespace catena::zip
