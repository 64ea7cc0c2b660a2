// Writing JSON (RFC 8259) into a string: commas and escapes in one place. The caller closes what it
// opens. Knows no schema.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

namespace catena {

class JsonWriter {
 public:
  JsonWriter& open(char bracket) {  // '{' or '['
    separate();
    text_ += bracket;
    first_ = true;
    return *this;
  }
  JsonWriter& close(char bracket) {  // '}' or ']'
    text_ += bracket;
    first_ = false;
    return *this;
  }
  JsonWriter& key(std::string_view name) {
    string(name);
    text_ += ':';
    first_ = true;  // no comma before its value
    return *this;
  }
  // `text` is UTF-8.
  void string(std::string_view text) {
    separate();
    text_ += '"';
    for (const char c : text) escape(c);
    text_ += '"';
  }
  void number(int64_t value) {
    separate();
    text_ += std::to_string(value);
  }
  // The shortest text that reads back as the same number; what JSON has no number for is a string.
  void number(double value) {
    if (std::isnan(value)) return string("nan");
    if (std::isinf(value)) return string(value < 0 ? "-inf" : "inf");
    separate();
    char digits[32];
    const std::to_chars_result end = std::to_chars(digits, digits + sizeof digits, value);
    const std::string_view text(digits, static_cast<size_t>(end.ptr - digits));
    text_ += text;
    if (text.find_first_of(".e") == text.npos) text_ += ".0";
  }
  void boolean(bool value) {
    separate();
    text_ += value ? "true" : "false";
  }
  void null() {
    separate();
    text_ += "null";
  }
  std::string take() { return std::move(text_); }

 private:
  void separate() {
    if (!first_) text_ += ',';
    first_ = false;
  }
  void escape(char c) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text_ += '\\';
      text_ += c;
    } else if (u < 0x20) {
      constexpr char kHex[] = "0123456789abcdef";
      text_ += "\\u00";
      text_ += kHex[u >> 4];
      text_ += kHex[u & 15];
    } else {
      text_ += c;
    }
  }

  std::string text_;
  bool first_ = true;
};

}  // namespace catena
