// Zip directory checks and member streaming. Every number of the file is compared with the file's
// length or a limit before it is used.
#include "core/zip_reader.h"

#include <algorithm>
#include <climits>
#include <cstring>
#include <numeric>
#include <utility>

#include "core/checked.h"
#include "core/utf8.h"
#include "core/zip_format.h"

namespace catena {

using namespace zip;

namespace {

constexpr uint64_t kLongestTail = kEndBytes + 0xffff;
constexpr uint64_t kCrcStep = uint64_t{1} << 30;  // zlib counts in 32 bits

uint32_t crc_of(uint32_t crc, const uint8_t* p, uint64_t n) {
  for (; n > 0;) {
    const uint64_t step = std::min(n, kCrcStep);
    crc = static_cast<uint32_t>(crc32(crc, p, static_cast<uInt>(step)));
    p += step;
    n -= step;
  }
  return crc;
}

}  // namespace

ZipReader::ZipReader(const ctn_io& io, std::string path, const ZipLimits& limits,
                     const ctn_allocator* allocator)
    : file_(io, std::move(path), allocator), limits_(limits) {
  zlib_init(&z_, allocator);
  const Directory dir = find_directory();
  read_directory(dir);
  check_layout(dir.offset);
}

ZipReader::~ZipReader() {
  if (z_ready_) (void)inflateEnd(&z_);
}

void ZipReader::bad(const std::string& why) const {
  fail(CTN_EFORMAT, quoted(path()) + " is no usable zip file: " + why);
}

void ZipReader::bad(const ZipEntry& e, const std::string& why) const {
  fail(CTN_EFORMAT, quoted(path()) + ", member " + quoted(e.name) + ": " + why);
}

// ---- directory

// The end record is the last one whose comment reaches exactly to the end of the file.
ZipReader::Directory ZipReader::find_directory() {
  const uint64_t length = file_.length();
  if (length < kEndBytes) bad("it is too short");
  const uint64_t tail = std::min(length, kLongestTail);
  const std::span<const uint8_t> bytes = file_.view(length - tail, tail);
  for (uint64_t i = tail - kEndBytes + 1; i-- > 0;) {
    const uint8_t* p = bytes.data() + i;
    if (get32(p) != kEndSig || i + kEndBytes + get16(p + 20) != tail) continue;
    const bool one_disk = get16(p + 4) == 0 && get16(p + 6) == 0 && get16(p + 8) == get16(p + 10);
    if (!one_disk) bad("it is split over several disks");
    Directory dir{get32(p + 16), get32(p + 12), get16(p + 10)};
    const uint64_t end_at = length - tail + i;
    apply_zip64(end_at, &dir);
    return dir;
  }
  bad("it has no end record; is it cut short?");
}

// Replaces `dir` by the zip64 record's if there is one, and checks that the directory ends where
// the records behind it start.
void ZipReader::apply_zip64(uint64_t end_at, Directory* dir) {
  uint64_t directory_end = end_at;
  uint8_t locator[kLocator64Bytes] = {};
  if (end_at >= kLocator64Bytes) file_.read(end_at - kLocator64Bytes, locator, sizeof locator);
  if (get32(locator) == kLocator64Sig) {
    const uint64_t locator_at = end_at - kLocator64Bytes;
    directory_end = get64(locator + 8);
    if (locator_at < kEnd64Bytes || directory_end > locator_at - kEnd64Bytes) {
      bad("its zip64 record lies outside");
    }
    uint8_t r[kEnd64Bytes];
    file_.read(directory_end, r, sizeof r);
    const bool whole = get32(r) == kEnd64Sig && get64(r + 4) == locator_at - directory_end - 12;
    const bool one_disk = get32(r + 16) == 0 && get32(r + 20) == 0 && get32(locator + 4) == 0 &&
                          get32(locator + 16) == 1 && get64(r + 24) == get64(r + 32);
    if (!whole || !one_disk) bad("its zip64 record is damaged");
    const Directory big{get64(r + 48), get64(r + 40), get64(r + 32)};
    const bool agree = (dir->offset == kIn64 || dir->offset == big.offset) &&
                       (dir->bytes == kIn64 || dir->bytes == big.bytes) &&
                       (dir->count == kIn64Short || dir->count == big.count);
    if (!agree) bad("its two end records disagree");
    *dir = big;
  }
  if (dir->offset > directory_end || dir->bytes != directory_end - dir->offset) {
    bad("its directory is not where the end record says");
  }
}

void ZipReader::read_directory(const Directory& dir) {
  if (dir.count > limits_.members) {
    bad(std::to_string(dir.count) + " members, the limit is " + std::to_string(limits_.members));
  }
  // count is 16 or 64 bits of the file's choice: divide, do not multiply
  if (dir.count > dir.bytes / kCentralBytes) bad("its directory is too short for its members");
  entries_.reserve(dir.count);
  const uint64_t end = dir.offset + dir.bytes;
  uint64_t at = dir.offset;
  for (uint64_t i = 0; i < dir.count; ++i) at = read_entry(at, end);
  if (at != end) bad("its directory has more than its members");
}

uint64_t ZipReader::read_entry(uint64_t at, uint64_t end) {
  uint8_t r[kCentralBytes];
  if (end - at < sizeof r) bad("its directory ends within a member");
  file_.read(at, r, sizeof r);
  if (get32(r) != kCentralSig) bad("its directory is damaged");
  const uint64_t name_bytes = get16(r + 28);
  const uint64_t extra_bytes = get16(r + 30);
  const uint64_t all = sizeof r + name_bytes + extra_bytes + get16(r + 32);
  if (all > end - at) bad("its directory ends within a member");
  if (name_bytes > limits_.name_bytes) {
    bad("a name of " + std::to_string(name_bytes) + " bytes, the limit is " +
        std::to_string(limits_.name_bytes));
  }

  ZipEntry e;
  e.flags = get16(r + 8);
  e.method = get16(r + 10);
  e.crc = get32(r + 16);
  e.packed = get32(r + 20);
  e.size = get32(r + 24);
  e.offset = get32(r + 42);
  e.name.resize(name_bytes);
  file_.read(at + sizeof r, e.name.data(), name_bytes);
  read_zip64_extra(at + sizeof r + name_bytes, extra_bytes, &e, get16(r + 34));
  check_entry(e);
  entries_.push_back(std::move(e));
  return at + all;
}

// The field holds, in this order, only what did not fit the fixed part.
void ZipReader::read_zip64_extra(uint64_t at, uint64_t bytes, ZipEntry* e, uint16_t disk) {
  uint64_t* const wanted[] = {e->size == kIn64 ? &e->size : nullptr,
                              e->packed == kIn64 ? &e->packed : nullptr,
                              e->offset == kIn64 ? &e->offset : nullptr};
  bool seen = false;
  while (bytes >= 4) {
    uint8_t head[4];
    file_.read(at, head, sizeof head);
    const uint64_t n = get16(head + 2);
    if (n > bytes - 4) bad(*e, "an extra field is cut short");
    if (get16(head) == kExtraZip64) {
      if (std::exchange(seen, true)) bad(*e, "it has two zip64 fields");
      uint8_t field[28] = {};
      file_.read(at + 4, field, std::min<uint64_t>(n, sizeof field));
      uint64_t used = 0;
      for (uint64_t* value : wanted) {
        if (value == nullptr) continue;
        if (n < used + 8) bad(*e, "its zip64 field is too short");
        *value = get64(field + used);
        used += 8;
      }
      if (disk == kIn64Short && n >= used + 4) disk = get32(field + used) == 0 ? 0 : disk;
    }
    at += 4 + n;
    bytes -= 4 + n;
  }
  if (disk != 0) bad(*e, "it is on another disk");
}

void ZipReader::check_entry(const ZipEntry& e) const {
  if (e.flags & (kFlagEncrypted | kFlagStrong | kFlagMasked)) {
    fail(CTN_EUNSUPPORTED, quoted(path()) + ", member " + quoted(e.name) + " is encrypted");
  }
  if (e.method != kStored && e.method != kDeflated) {
    fail(CTN_EUNSUPPORTED, quoted(path()) + ", member " + quoted(e.name) + ": compression method " +
                               std::to_string(e.method) +
                               " is not one of 0 (stored) and 8 (deflate)");
  }
  if (!is_utf8(e.name) || e.name.find('\0') != std::string::npos) {
    bad(e, "its name is not UTF-8 text");
  }
  if (e.method == kStored && e.packed != e.size) bad(e, "a stored member with two sizes");
  if (e.size > limits_.member_bytes) {
    bad(e, std::to_string(e.size) + " bytes, the limit is " + std::to_string(limits_.member_bytes));
  }
  const uint64_t ratio = std::max<uint64_t>(limits_.ratio, 1);
  // The 64 bytes allow a stream of next to nothing.
  if (e.method == kDeflated && e.size > 64 && (e.size - 64) / ratio > e.packed) {
    bad(e, std::to_string(e.packed) + " bytes cannot hold " + std::to_string(e.size) +
               " at the limit of " + std::to_string(ratio) + ":1");
  }
}

// Members must lie one after the other: overlapping ones make a bomb of few bytes, and only without
// overlap does the length of the file bound what all of them can hold.
void ZipReader::check_layout(uint64_t directory_at) {
  std::vector<uint32_t> order(entries_.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [this](uint32_t a, uint32_t b) { return entries_[a].offset < entries_[b].offset; });
  uint64_t total = 0;
  uint64_t end = directory_at;
  for (size_t i = order.size(); i-- > 0;) {
    ZipEntry& e = entries_[order[i]];
    const uint64_t least =
        checked_add(kLocalBytes + e.name.size(), e.packed, "member", CTN_EFORMAT);
    if (e.offset > end || least > end - e.offset) bad(e, "it overlaps what follows it");
    e.end = end;
    end = e.offset;
    total = checked_add(total, e.size, "sum of the members", CTN_EFORMAT);
  }
  if (total > limits_.total_bytes) {
    bad(std::to_string(total) + " bytes of content, the limit is " +
        std::to_string(limits_.total_bytes));
  }
}

// ---- members

// Where the content starts. The local header must agree with the directory: two readers that
// believe different ones would see different files.
uint64_t ZipReader::check_local(const ZipEntry& e) {
  uint8_t r[kLocalBytes];
  file_.read(e.offset, r, sizeof r);
  const uint64_t name_bytes = get16(r + 26);
  const uint64_t extra_bytes = get16(r + 28);
  if (get32(r) != kLocalSig) bad(e, "it has no header");
  if (get16(r + 6) != e.flags || get16(r + 8) != e.method || name_bytes != e.name.size()) {
    bad(e, "its header and the directory disagree");
  }
  const uint64_t room = e.end - e.offset - sizeof r;  // check_layout: the header is inside
  if (name_bytes + extra_bytes > room || e.packed > room - name_bytes - extra_bytes) {
    bad(e, "it overlaps what follows it");
  }
  std::string name(name_bytes, '\0');
  file_.read(e.offset + sizeof r, name.data(), name_bytes);
  if (name != e.name) bad(e, "its header names it " + quoted(name));

  if (!(e.flags & kFlagDescriptor)) {
    ZipEntry local;
    local.name = e.name;
    local.packed = get32(r + 18);
    local.size = get32(r + 22);
    read_zip64_extra(e.offset + sizeof r + name_bytes, extra_bytes, &local, 0);
    if (get32(r + 14) != e.crc || local.packed != e.packed || local.size != e.size) {
      bad(e, "its header and the directory disagree");
    }
  }
  return e.offset + sizeof r + name_bytes + extra_bytes;
}

void ZipReader::open(size_t i) {
  entry_ = nullptr;  // until all is well
  const ZipEntry& e = entries_.at(i);
  at_ = check_local(e);
  at_end_ = at_ + e.packed;
  left_ = e.size;
  crc_ = 0;
  ended_ = false;
  if (e.method == kDeflated) {
    z_.next_in = nullptr;
    z_.avail_in = 0;
    const int rc = z_ready_ ? inflateReset(&z_) : inflateInit2(&z_, -MAX_WBITS);
    if (rc == Z_MEM_ERROR) fail(CTN_ENOMEM, "no memory to inflate " + quoted(path()));
    if (rc != Z_OK) fail(CTN_EINTERNAL, "zlib refuses to start: " + std::to_string(rc));
    z_ready_ = true;
  }
  entry_ = &e;
}

// n content bytes through zlib, or with n == 0 only what ends the stream.
void ZipReader::inflate_some(uint8_t* dst, uint64_t n) {
  uint8_t one_too_many = 0;
  const bool closing = n == 0;
  while (closing ? !ended_ : n > 0) {
    if (ended_) bad(*entry_, "its compressed data hold less than it says");
    if (z_.avail_in == 0 && at_ < at_end_) {
      const std::span<const uint8_t> in = file_.view(at_, at_end_ - at_);
      z_.next_in = const_cast<Bytef*>(in.data());
      z_.avail_in = static_cast<uInt>(in.size());
      at_ += in.size();
    }
    const auto room = static_cast<uInt>(std::min<uint64_t>(closing ? 1 : n, UINT_MAX));
    z_.next_out = closing ? &one_too_many : dst;
    z_.avail_out = room;
    const int rc = inflate(&z_, Z_NO_FLUSH);
    const uInt made = room - z_.avail_out;
    if (rc == Z_MEM_ERROR) fail(CTN_ENOMEM, "no memory to inflate " + quoted(path()));
    if (rc == Z_BUF_ERROR) bad(*entry_, "its compressed data are cut short");
    if (rc != Z_OK && rc != Z_STREAM_END) bad(*entry_, "its compressed data are damaged");
    if (closing && made != 0) bad(*entry_, "its compressed data hold more than it says");
    ended_ = rc == Z_STREAM_END;
    if (closing) continue;
    dst += made;
    n -= made;
  }
}

void ZipReader::read(void* dst, uint64_t n) {
  if (entry_ == nullptr) fail(CTN_EINTERNAL, "no zip member is open");
  if (n > left_) bad(*entry_, "it is shorter than its own header says");
  if (n == 0) return;
  auto* out = static_cast<uint8_t*>(dst);
  if (entry_->method == kStored) {
    file_.read(at_, out, n);
    at_ += n;
  } else {
    inflate_some(out, n);
  }
  crc_ = crc_of(crc_, out, n);
  left_ -= n;
}

void ZipReader::finish() {
  if (entry_ == nullptr) fail(CTN_EINTERNAL, "no zip member is open");
  if (left_ != 0) bad(*entry_, std::to_string(left_) + " bytes more than its own header says");
  if (entry_->method == kDeflated) {
    inflate_some(nullptr, 0);
    if (at_ != at_end_ || z_.avail_in != 0) bad(*entry_, "bytes follow its compressed data");
  }
  if (crc_ != entry_->crc) bad(*entry_, "its CRC does not match: the file is damaged");
  entry_ = nullptr;
}

}  // namespace catena
