// UTF-8 to code points and back, for names and text inside files. Strict: no overlong forms, no
// surrogates, nothing above U+10FFFF.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace catena {

inline constexpr bool is_code_point(uint32_t c) {
  return c < 0x110000 && (c < 0xd800 || c > 0xdfff);
}

// `c` must be a code point.
inline void append_utf8(std::string* out, uint32_t c) {
  const auto put = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xc0 | (c >> 6));
  } else {
    if (c < 0x10000) {
      put(0xe0 | (c >> 12));
    } else {
      put(0xf0 | (c >> 18));
      put(0x80 | ((c >> 12) & 0x3f));
    }
    put(0x80 | ((c >> 6) & 0x3f));
  }
  put(0x80 | (c & 0x3f));
}

// The code point at *at, which moves behind it; false when there is none.
inline bool next_code_point(std::string_view text, size_t* at, uint32_t* c) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (*at >= text.size()) return false;
  const uint32_t lead = byte(*at);
  const size_t more = lead < 0x80 ? 0 : lead < 0xc2 ? 9 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
  if (more > 3 || more >= text.size() - *at) return false;
  uint32_t value = more == 0 ? lead : lead & (0x3fu >> more);
  for (size_t i = 1; i <= more; ++i) {
    const uint32_t b = byte(*at + i);
    if ((b & 0xc0) != 0x80) return false;
    value = (value << 6) | (b & 0x3f);
  }
  const uint32_t least = more == 2 ? 0x800 : more == 3 ? 0x10000 : 0;
  if (value < least || !is_code_point(value) || lead > 0xf4) return false;
  *c = value;
  *at += more + 1;
  return true;
}

inline bool is_utf8(std::string_view text) {
  uint32_t c = 0;
  size_t at = 0;
  while (at < text.size()) {
    if (!next_code_point(text, &at, &c)) return false;
  }
  return true;
}

}  // namespace catena
