// Parser and writer of npy headers. The dict is a Python literal; the parser takes exactly the
// three keys NumPy knows, has no recursion and no evaluation, and checks every number.
#include "core/npy.h"

#include <array>
#include <bit>
#include <cstring>

#include "core/checked.h"
#include "core/npy_none.h"
#include "core/zip_format.h"

static_assert(std::endian::native == std::endian::little, "only little-endian hosts are served");

namespace catena {
namespace {

struct DescrRow {
  std::string_view code;  // without the byte order
  ctn_dtype dtype;
};

constexpr DescrRow kDescrs[] = {
    {"b1", {CTN_DT_BOOL, 8, 1}},    {"i1", {CTN_DT_INT, 8, 1}},    {"i2", {CTN_DT_INT, 16, 1}},
    {"i4", {CTN_DT_INT, 32, 1}},    {"i8", {CTN_DT_INT, 64, 1}},   {"u1", {CTN_DT_UINT, 8, 1}},
    {"u2", {CTN_DT_UINT, 16, 1}},   {"u4", {CTN_DT_UINT, 32, 1}},  {"u8", {CTN_DT_UINT, 64, 1}},
    {"f2", {CTN_DT_FLOAT, 16, 1}},  {"f4", {CTN_DT_FLOAT, 32, 1}}, {"f8", {CTN_DT_FLOAT, 64, 1}},
    {"V2", {CTN_DT_BFLOAT, 16, 1}},
};

[[noreturn]] void bad(const std::string& why) { fail(CTN_EFORMAT, "npy header: " + why); }

// Descriptors are short; a hostile one must not fill the error.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 24)) out += c >= ' ' && c < '\x7f' ? c : '?';
  return "'" + out + (text.size() > 24 ? "...'" : "'");
}

class DictParser {
 public:
  explicit DictParser(std::string_view text) : text_(text) {}

  NpyInfo parse() {
    expect('{');
    while (!take('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr") {
        once(&seen_descr_, key);
        descr();
      } else if (key == "fortran_order") {
        once(&seen_fortran_, key);
        info_.fortran = boolean();
      } else if (key == "shape") {
        once(&seen_shape_, key);
        shape();
      } else {
        bad("unknown key " + shown(key));
      }
      if (!take(',') && !peek('}')) bad("',' or '}' is missing");
    }
    skip_space();
    if (at_ != text_.size()) bad("text follows the dict");
    if (!seen_descr_ || !seen_fortran_ || !seen_shape_) {
      bad("one of 'descr', 'fortran_order' and 'shape' is missing");
    }
    return info_;
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) {
      ++at_;
    }
  }
  bool peek(char c) {
    skip_space();
    return at_ < text_.size() && text_[at_] == c;
  }
  bool take(char c) { return peek(c) && ++at_; }
  void expect(char c) {
    if (!take(c)) bad(std::string("'") + c + "' is missing");
  }
  static void once(bool* seen, std::string_view key) {
    if (*seen) bad("key " + shown(key) + " is there twice");
    *seen = true;
  }

  // Escapes never occur in what NumPy writes here.
  std::string_view string() {
    const bool single = peek('\'');
    if (!single && !peek('"')) bad("a string is missing");
    const size_t end = text_.find(single ? '\'' : '"', at_ + 1);
    if (end == std::string_view::npos) bad("a string does not end");
    const std::string_view s = text_.substr(at_ + 1, end - at_ - 1);
    if (s.find('\\') != std::string_view::npos) bad("a string with an escape");
    at_ = end + 1;
    return s;
  }

  bool word(std::string_view w) {
    skip_space();
    if (!text_.substr(at_).starts_with(w)) return false;
    at_ += w.size();
    return true;
  }
  bool boolean() {
    if (word("True")) return true;
    if (word("False")) return false;
    bad("'fortran_order' is neither True nor False");
  }

  static bool digit(char c) { return c >= '0' && c <= '9'; }

  static uint64_t number(std::string_view digits) {
    uint64_t v = 0;
    for (const char c : digits) {
      v = checked_mul(v, uint64_t{10}, "npy header", CTN_EFORMAT);
      v = checked_add(v, static_cast<uint64_t>(c - '0'), "npy header", CTN_EFORMAT);
    }
    return v;
  }

  // A tuple of integers; Python 2 wrote some with an L behind.
  void shape() {
    expect('(');
    bool comma = true;
    while (!take(')')) {
      if (!comma) bad("',' or ')' is missing in 'shape'");
      skip_space();
      const size_t start = at_;
      while (at_ < text_.size() && digit(text_[at_])) ++at_;
      if (at_ == start) bad("'shape' has something other than sizes from 0");
      const uint64_t size = number(text_.substr(start, at_ - start));
      if (at_ < text_.size() && text_[at_] == 'L') ++at_;
      if (info_.shape.size() == CTN_MAX_NDIM) {
        bad("more than " + std::to_string(CTN_MAX_NDIM) + " dimensions");
      }
      info_.shape.push_back(checked_cast<int64_t>(size, "npy header: a size", CTN_EFORMAT));
      comma = take(',');
    }
    if (info_.shape.size() == 1 && !comma) bad("'shape' is no tuple");
  }

  void descr() {
    if (peek('[')) {
      fail(CTN_EUNSUPPORTED, "npy header: arrays of records (structured dtypes) are not supported");
    }
    const std::string_view whole = string();
    if (whole.size() < 2 || std::string_view("<>|=").find(whole[0]) == std::string_view::npos) {
      bad("dtype " + shown(whole) + " is none of NumPy's");
    }
    info_.big_endian = whole[0] == '>';
    const std::string_view code = whole.substr(1);
    if (code == "O") {
      info_.none = true;
      return;
    }
    for (const DescrRow& row : kDescrs) {
      if (row.code != code) continue;
      info_.dtype = row.dtype;
      info_.item_bytes = row.dtype.bits / 8u;
      return;
    }
    if (code[0] == 'U' || code[0] == 'S') return text(code);
    fail(CTN_EUNSUPPORTED, "npy header: dtype " + shown(whole) + " has no counterpart in Catena");
  }

  void text(std::string_view code) {
    const std::string_view digits = code.substr(1);
    for (const char c : digits) {
      if (!digit(c)) bad("dtype " + shown(code) + " is none of NumPy's");
    }
    if (digits.empty()) bad("dtype " + shown(code) + " has no width");
    const uint64_t width = code[0] == 'U' ? 4 : 1;
    const uint64_t bytes = checked_mul(number(digits), width, "npy header", CTN_EFORMAT);
    if (bytes > uint64_t{INT32_MAX}) bad("dtype " + shown(code) + " is too wide");
    info_.text = true;
    info_.wide = width == 4;
    info_.item_bytes = static_cast<uint32_t>(bytes);
  }

  std::string_view text_;
  size_t at_ = 0;
  NpyInfo info_;
  bool seen_descr_ = false;
  bool seen_fortran_ = false;
  bool seen_shape_ = false;
};

constexpr uint8_t kMagic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
constexpr size_t kAlign = 64;

}  // namespace

NpyPrefix read_npy_prefix(std::span<const uint8_t> prefix) {
  NpyPrefix p;
  if (prefix.size() < 10 || std::memcmp(prefix.data(), kMagic, sizeof kMagic) != 0) return p;
  p.magic = true;
  const unsigned major = prefix[6];
  const unsigned minor = prefix[7];
  if ((major != 1 && major != 2) || minor != 0) {
    fail(CTN_EVERSION, "npy header: version " + std::to_string(major) + "." +
                           std::to_string(minor) + " is not 1.0 or 2.0");
  }
  p.prefix_bytes = major == 1 ? 10 : 12;
  if (prefix.size() < p.prefix_bytes) return p;
  p.dict_bytes = major == 1 ? zip::get16(prefix.data() + 8) : zip::get32(prefix.data() + 8);
  if (p.dict_bytes == 0 || p.dict_bytes > kNpyMaxDict) {
    bad(std::to_string(p.dict_bytes) + " bytes, at least 1 and at most " +
        std::to_string(kNpyMaxDict) + " are read");
  }
  return p;
}

NpyInfo parse_npy_dict(std::string_view dict) {
  NpyInfo info = DictParser(dict).parse();
  if (info.none && !info.shape.empty()) {
    bad("an object array; of these only a single None is read, pickles are never run");
  }
  if (info.none) info.big_endian = info.fortran = false;
  info.count = npy_count(info.shape, info.none ? 0 : info.item_bytes, CTN_EFORMAT);
  if (info.text && info.item_bytes == 0 && info.count > 1) bad("many texts of no width");
  info.data_bytes = info.count * uint64_t{info.item_bytes};  // npy_count: it fits
  return info;
}

bool is_npy_none(std::span<const uint8_t> body) {
  std::string_view b(reinterpret_cast<const char*>(body.data()), body.size());
  for (const NoneForm& form : kNoneForms) {
    if (b.size() == form.head.size() + form.module.size() + form.tail.size() &&
        b.starts_with(form.head) && b.ends_with(form.tail) &&
        b.substr(form.head.size(), form.module.size()) == form.module) {
      return true;
    }
  }
  return false;
}

std::string_view npy_none_body() {
  static constexpr char kBody[] = "\200\002cnumpy.core";
  static constexpr size_t kHead = sizeof kBody - 1;
  static constexpr auto kWhole = [] {
    std::array<char, kHead + kTail2.size()> all{};
    for (size_t i = 0; i < kHead; ++i) all[i] = kBody[i];
    for (size_t i = 0; i < kTail2.size(); ++i) all[kHead + i] = kTail2[i];
    return all;
  }();
  return {kWhole.data(), kWhole.size()};
}

std::string npy_descr(ctn_dtype dtype) {
  for (const DescrRow& row : kDescrs) {
    if (std::memcmp(&row.dtype, &dtype, sizeof dtype) == 0) {
      return std::string(1, dtype.bits == 8 ? '|' : '<').append(row.code);
    }
  }
  fail(CTN_EUNSUPPORTED, "npy has no dtype for code " + std::to_string(dtype.code) + ", " +
                             std::to_string(dtype.bits) + " bits, " + std::to_string(dtype.lanes) +
                             " lanes");
}

std::string npy_header(std::string_view descr, std::span<const int64_t> shape) {
  std::string dict = "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': (";
  for (size_t i = 0; i < shape.size(); ++i) {
    dict += std::to_string(shape[i]) + (i + 1 < shape.size() ? ", " : "");
  }
  dict += shape.size() == 1 ? ",), }" : "), }";
  // Room for the first size to grow in place to 21 digits.
  if (!shape.empty()) dict.append(21 - std::to_string(shape[0]).size(), ' ');
  const size_t used = 10 + dict.size() + 1;
  dict.append(kAlign - used % kAlign, ' ').push_back('\n');

  std::string out(reinterpret_cast<const char*>(kMagic), sizeof kMagic);
  zip::put(&out, uint8_t{1}, uint8_t{0}, static_cast<uint16_t>(dict.size()));
  return out + dict;
}

uint64_t npy_count(std::span<const int64_t> shape, uint64_t item_bytes, ctn_status code) {
  if (shape.size() > CTN_MAX_NDIM) {
    fail(code, std::to_string(shape.size()) + " dimensions, at most " +
                   std::to_string(CTN_MAX_NDIM) + " are possible");
  }
  bool empty = false;
  int64_t bytes = checked_cast<int64_t>(item_bytes, "element size", code);
  if (bytes == 0) bytes = 1;
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (size < 0) fail(code, "a negative size: " + std::to_string(size));
    empty = empty || size == 0;
    if (size == 0) continue;
    count = checked_mul(count, size, "elements", code);
    bytes = checked_mul(bytes, size, "bytes", code);
  }
  return empty ? 0 : static_cast<uint64_t>(count);
}

}  // namespace catena
