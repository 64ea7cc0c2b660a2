// npz: npy headers inside zip members. The structure of the file is ZipReader's concern, the header
// text npy.cc's; this file joins them and turns file bytes into host numbers.
#include "core/npz.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "core/checked.h"
#include "core/utf8.h"

namespace catena {
namespace {

constexpr std::string_view kSuffix = ".npy";

template <class T>
void swap_all(uint8_t* p, uint64_t n) {
  for (uint64_t i = 0; i < n; ++i, p += sizeof(T)) {
    T v;
    std::memcpy(&v, p, sizeof v);
    if constexpr (sizeof v == 2) v = __builtin_bswap16(v);
    if constexpr (sizeof v == 4) v = __builtin_bswap32(v);
    if constexpr (sizeof v == 8) v = __builtin_bswap64(v);
    std::memcpy(p, &v, sizeof v);
  }
}

// Bools other than 0 and 1 would make kernels disagree about them.
void to_host(const NpyInfo& info, uint8_t* data) {
  if (info.dtype.code == CTN_DT_BOOL) {
    for (uint64_t i = 0; i < info.count; ++i) data[i] = data[i] != 0;
  }
  if (!info.big_endian) return;
  const unsigned width = info.text ? (info.wide ? 4 : 1) : info.item_bytes;
  const uint64_t n = info.data_bytes / width;
  if (width == 2) swap_all<uint16_t>(data, n);
  if (width == 4) swap_all<uint32_t>(data, n);
  if (width == 8) swap_all<uint64_t>(data, n);
}

}  // namespace

NpzReader::NpzReader(const ctn_io& io, std::string path, const NpzLimits& limits,
                     const ctn_allocator* allocator)
    : zip_(io, std::move(path), limits, allocator) {
  const size_t n = zip_.entries().size();
  for (uint32_t i = 0; i < n; ++i) {
    NpzMember member;
    try {
      if (read_member(i, &member)) {
        members_.push_back(std::move(member));
      } else {
        ++skipped_;
      }
    } catch (const Error& e) {
      const std::string_view text = e.what();
      if (text.find(quoted(this->path())) != std::string_view::npos) throw;
      fail(e.code(), quoted(this->path()) + ", member " + quoted(zip_.entries()[i].name) + ": " +
                         std::string(text));
    }
  }
  by_name_.resize(members_.size());
  std::iota(by_name_.begin(), by_name_.end(), 0u);
  const auto name = [this](uint32_t i) -> const std::string& { return members_[i].name; };
  std::sort(by_name_.begin(), by_name_.end(),
            [&](uint32_t a, uint32_t b) { return name(a) < name(b); });
  const auto twice = std::adjacent_find(by_name_.begin(), by_name_.end(),
                                        [&](uint32_t a, uint32_t b) { return name(a) == name(b); });
  if (twice != by_name_.end()) {
    fail(CTN_EFORMAT, quoted(this->path()) + " has two members " + quoted(name(*twice)));
  }
}

// False for a member that is no npy data.
bool NpzReader::read_member(uint32_t index, NpzMember* member) {
  const ZipEntry& entry = zip_.entries()[index];
  std::string_view name = entry.name;
  const bool suffix = name.ends_with(kSuffix);
  if (suffix) name.remove_suffix(kSuffix.size());

  uint8_t prefix[12] = {};
  zip_.open(index);
  NpyPrefix p;
  if (entry.size >= 10) {
    zip_.read(prefix, 10);
    p = read_npy_prefix({prefix, 10});
  }
  if (!p.magic && !suffix) return false;
  if (!p.magic) fail(CTN_EFORMAT, "it is not in NumPy's npy format");
  if (p.prefix_bytes == 12) {
    if (entry.size < 12) fail(CTN_EFORMAT, "its header is cut short");
    zip_.read(prefix + 10, 2);
    p = read_npy_prefix(prefix);
  }
  if (p.prefix_bytes + uint64_t{p.dict_bytes} > entry.size)
    fail(CTN_EFORMAT, "its header is cut short");
  scratch_.resize(p.dict_bytes);
  zip_.read(scratch_.data(), p.dict_bytes);
  member->info = parse_npy_dict(scratch_);
  member->info.header_bytes = p.prefix_bytes + p.dict_bytes;
  member->name = name;
  member->entry = index;

  const uint64_t body = entry.size - member->info.header_bytes;
  if (member->info.none) {
    uint8_t pickle[kNpyNoneMaxBytes];
    const bool fits = body <= sizeof pickle;
    if (fits) zip_.read(pickle, body);
    if (!fits || !is_npy_none({pickle, body})) {
      fail(CTN_EFORMAT, "an object array that is not None; pickles are never run");
    }
    zip_.finish();
  } else if (body != member->info.data_bytes) {
    fail(CTN_EFORMAT, "its header asks for " + std::to_string(member->info.data_bytes) +
                          " bytes of data, " + std::to_string(body) + " are there");
  }
  return true;
}

std::optional<size_t> NpzReader::find(std::string_view name) const {
  const auto it =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [this](uint32_t i, std::string_view n) { return members_[i].name < n; });
  if (it == by_name_.end() || members_[*it].name != name) return std::nullopt;
  return *it;
}

const NpzMember& NpzReader::at(size_t index) const {
  if (index >= members_.size()) {
    fail(CTN_EINVAL, quoted(path()) + " has " + std::to_string(members_.size()) +
                         " members, there is no number " + std::to_string(index));
  }
  return members_[index];
}

// The header is read again: its bytes are part of the CRC.
void NpzReader::start_data(const NpzMember& member) {
  zip_.open(member.entry);
  uint8_t skipped[512];
  for (uint64_t left = member.info.header_bytes; left > 0;) {
    const uint64_t n = std::min<uint64_t>(left, sizeof skipped);
    zip_.read(skipped, n);
    left -= n;
  }
}

void NpzReader::read(size_t index, void* dst, uint64_t bytes) {
  const NpzMember& member = at(index);
  if (bytes != member.info.data_bytes) {
    fail(CTN_EINVAL, "member " + quoted(member.name) + " has " +
                         std::to_string(member.info.data_bytes) + " bytes, not " +
                         std::to_string(bytes));
  }
  if (member.info.none) return;
  start_data(member);
  zip_.read(dst, bytes);
  zip_.finish();
  to_host(member.info, static_cast<uint8_t*>(dst));
}

// In small steps, and zeros at the end are counted, not stored: memory follows the text itself, not
// the width that the header claims.
std::string NpzReader::read_text(size_t index) {
  const NpzMember& member = at(index);
  const NpyInfo& info = member.info;
  if (!info.text || info.count != 1) {
    fail(CTN_EDTYPE, "member " + quoted(member.name) + " is no single text");
  }
  start_data(member);
  std::string text;
  uint64_t zeros = 0;
  uint8_t chunk[1024];
  for (uint64_t left = info.data_bytes; left > 0;) {
    const uint64_t n = std::min<uint64_t>(left, sizeof chunk);
    zip_.read(chunk, n);
    left -= n;
    if (info.big_endian && info.wide) swap_all<uint32_t>(chunk, n / 4);
    for (uint64_t i = 0; i < n; i += info.wide ? 4 : 1) {
      uint32_t c = chunk[i];
      if (info.wide) std::memcpy(&c, chunk + i, sizeof c);
      if (c == 0) {
        ++zeros;
        continue;
      }
      if (info.wide && !is_code_point(c)) bad_text(member);
      text.append(std::exchange(zeros, 0), '\0');
      info.wide ? append_utf8(&text, c) : text.push_back(static_cast<char>(c));
    }
  }
  zip_.finish();
  if (!info.wide && !is_utf8(text)) bad_text(member);
  return text;
}

void NpzReader::bad_text(const NpzMember& member) const {
  fail(CTN_EFORMAT,
       quoted(path()) + ", member " + quoted(member.name) + ": text that is not Unicode");
}

// ---- NpzWriter

NpzWriter::NpzWriter(const ctn_io& io, std::string path, int level, const ctn_allocator* allocator)
    : NpzWriter(io, std::move(path), ZipOptions{level, zip::kIn64, allocator}) {}

NpzWriter::NpzWriter(const ctn_io& io, std::string path, const ZipOptions& options)
    : zip_(io, std::move(path), options) {}

void NpzWriter::add_member(std::string_view name, const std::string& header, const void* data,
                           uint64_t bytes) {
  const ZipPiece pieces[] = {{header.data(), header.size()}, {data, bytes}};
  zip_.add(std::string(name) + std::string(kSuffix), pieces);
}

void NpzWriter::add(std::string_view name, ctn_dtype dtype, std::span<const int64_t> shape,
                    const void* data) {
  const std::string descr = npy_descr(dtype);
  const uint64_t item_bytes = dtype.bits / 8u;
  const uint64_t bytes = npy_count(shape, item_bytes, CTN_EINVAL) * item_bytes;
  if (bytes != 0 && data == nullptr) {
    fail(CTN_EINVAL,
         "member " + quoted(name) + " has no data for its " + std::to_string(bytes) + " bytes");
  }
  add_member(name, npy_header(descr, shape), data, bytes);
}

void NpzWriter::add_none(std::string_view name) {
  const std::string_view body = npy_none_body();
  add_member(name, npy_header("|O", {}), body.data(), body.size());
}

void NpzWriter::add_text(std::string_view name, std::string_view utf8) {
  std::string wide;
  uint64_t width = 0;
  for (size_t at = 0; at < utf8.size(); ++width) {
    uint32_t c = 0;
    if (!next_code_point(utf8, &at, &c)) {
      fail(CTN_EINVAL, "the text of member " + quoted(name) + " is not UTF-8");
    }
    zip::put(&wide, c);
  }
  if (width == 0) {  // NumPy has no strings of width 0
    zip::put(&wide, uint32_t{0});
    width = 1;
  }
  add_member(name, npy_header("<U" + std::to_string(width), {}), wide.data(), wide.size());
}

}  // namespace catena
