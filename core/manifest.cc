// Reading manifests: lines `key = value`, bounded in every direction. The text may be hostile.
#include "core/manifest.h"

#include <catena/types.h>

#include <algorithm>
#include <charconv>

#include "core/file.h"
#include "core/sys/io_posix.h"
#include "core/utf8.h"

namespace catena {
namespace {

constexpr uint64_t kMostBytes = 64 * 1024;
constexpr size_t kMostWords = 256;

class Reader {
 public:
  Reader(std::string_view text, const std::string& file) : text_(text) { m_.file = file; }

  Manifest read() {
    if (!is_utf8(text_)) refuse("it is not UTF-8");
    while (!text_.empty()) {
      ++line_;
      const size_t end = std::min(text_.find('\n'), text_.size());
      read_line(text_.substr(0, end));
      text_.remove_prefix(std::min(end + 1, text_.size()));
    }
    line_ = 0;
    for (const char* key : {"name", "kind", "library", "abi"}) {
      if (!seen(key)) refuse(std::string("it has no '") + key + "'");
    }
    if (!seen("abi_min")) m_.abi_min = m_.abi;
    return std::move(m_);
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    const std::string at = line_ == 0 ? "" : ":" + std::to_string(line_);
    fail(CTN_EFORMAT, "manifest " + m_.file + at + ": " + why);
  }

  bool seen(std::string_view key) const {
    return std::find(keys_.begin(), keys_.end(), key) != keys_.end();
  }

  // A '#' at the start or behind a space opens a comment.
  static std::string_view without_comment(std::string_view line) {
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '#' && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) {
        return line.substr(0, i);
      }
    }
    return line;
  }

  void read_line(std::string_view line) {
    line = trimmed(without_comment(line));
    if (line.empty()) return;
    const size_t equals = line.find('=');
    if (equals == line.npos) refuse("expected 'key = value'");
    const std::string_view key = trimmed(line.substr(0, equals));
    if (seen(key)) refuse("the key " + quoted(key) + " is there twice");
    keys_.push_back(key);
    read_value(key, trimmed(line.substr(equals + 1)));
  }

  void read_value(std::string_view key, std::string_view value) {
    if (key == "name") {
      if (!is_plugin_name(value)) refuse("name " + quoted(value) + " is not [a-z0-9_]{1,32}");
      m_.name = value;
    } else if (key == "kind") {
      if (value != "backend" && value != "ops" && value != "mixed") {
        refuse("kind " + quoted(value) + " is not backend, ops or mixed");
      }
      m_.kind = value;
    } else if (key == "library") {
      m_.library = m_.file.substr(0, m_.file.rfind('/') + 1).append(checked_library(value));
    } else if (key == "abi") {
      m_.abi = abi(value);
    } else if (key == "abi_min") {
      m_.abi_min = abi(value);
    } else if (key == "priority") {
      m_.priority = static_cast<int32_t>(number(value, -1000000, 1000000));
    } else if (key == "autoload") {
      if (value != "yes" && value != "no")
        refuse("autoload " + quoted(value) + " is not yes or no");
      m_.autoload = value == "yes";
    } else if (key == "provides") {
      for (const std::string_view word : words(value)) {
        if (word.find(':') == word.npos) refuse(quoted(word) + " is not KIND:NAME");
        m_.provides.emplace_back(word);
      }
    } else if (key == "requires") {
      for (const std::string_view word : words(value)) {
        if (!is_plugin_name(word)) refuse("requires " + quoted(word) + ", which is no plugin name");
        m_.needs.emplace_back(word);
      }
    }
  }

  std::string_view checked_library(std::string_view path) const {
    if (path.empty() || path.front() == '/' || path.find('\0') != path.npos) {
      refuse("library " + quoted(path) + " is not relative to the manifest");
    }
    for (const std::string_view part : split(path, '/')) {
      if (part == "..")
        refuse("library " + quoted(path) + " leads out of the manifest's directory");
    }
    return path;
  }

  std::vector<std::string_view> words(std::string_view value) const {
    std::vector<std::string_view> out = split(value);
    if (out.size() > kMostWords) refuse("too many words");
    return out;
  }

  int64_t number(std::string_view text, int64_t least, int64_t most) const {
    int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end || value < least || value > most) {
      refuse(quoted(text) + " is no number between " + std::to_string(least) + " and " +
             std::to_string(most));
    }
    return value;
  }

  uint32_t abi(std::string_view text) const {
    const size_t dot = text.find('.');
    if (dot == text.npos) refuse("abi " + quoted(text) + " is not MAJOR.MINOR");
    const int64_t major = number(text.substr(0, dot), 0, 0xffff);
    return static_cast<uint32_t>(major << 16 | number(text.substr(dot + 1), 0, 0xffff));
  }

  std::string_view text_;
  size_t line_ = 0;
  std::vector<std::string_view> keys_;
  Manifest m_;
};

}  // namespace

bool Manifest::provides_backend(std::string_view backend) const {
  return provides_word("backend:" + std::string(backend));
}

bool Manifest::provides_word(std::string_view word) const {
  return std::find(provides.begin(), provides.end(), word) != provides.end();
}

Manifest parse_manifest(std::string_view text, const std::string& file) {
  return Reader(text, file).read();
}

Manifest read_manifest(const std::string& file) {
  InFile in(posix_io(), file);
  if (in.length() > kMostBytes) {
    fail(CTN_EFORMAT, "manifest " + file + ": " + std::to_string(in.length()) + " bytes, at most " +
                          std::to_string(kMostBytes) + " are allowed");
  }
  std::string text(in.length(), '\0');
  in.read(0, text.data(), text.size());
  return parse_manifest(text, file);
}

bool is_plugin_name(std::string_view name) {
  return !name.empty() && name.size() <= 32 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == name.npos;
}

std::string abi_text(uint32_t abi) {
  return std::to_string(abi >> 16) + "." + std::to_string(abi & 0xffff);
}

void check_abi(const std::string& who, uint32_t built, uint32_t least) {
  const bool same_major = built >> 16 == CTN_ABI_MAJOR && least >> 16 == CTN_ABI_MAJOR;
  if (same_major && least <= CTN_ABI_VERSION) return;
  fail(CTN_EVERSION, who + ": built for ABI " + abi_text(built) + ", needs at least " +
                         abi_text(least) + ", this runtime is " + abi_text(CTN_ABI_VERSION) +
                         "; rebuild it with this runtime's headers, or use a runtime of ABI " +
                         abi_text(least) + " or later within major " + std::to_string(built >> 16));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    if (end != 0) out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  const size_t from = text.find_first_not_of(" \t\r");
  if (from == text.npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\r") - from + 1);
}

}  // namespace catena
