// Zip output without seeking back: deflated members carry their CRC and sizes behind the data (flag
// bit 3), stored ones are summed before. Dates are zip's earliest, so equal content gives equal
// files.
#include "core/zip_writer.h"

#include <algorithm>
#include <utility>

#include "core/checked.h"
#include "core/utf8.h"

namespace catena {

using namespace zip;

namespace {

constexpr uint64_t kChunk = 64 * 1024;
constexpr uint64_t kStep = uint64_t{1} << 30;  // zlib counts in 32 bits
constexpr uint64_t kMaxName = 4096;            // what ZipLimits reads by default

constexpr uint16_t kVersion = 20;
constexpr uint16_t kVersion64 = 45;
constexpr uint16_t kUnix = 3u << 8;
constexpr uint32_t kModes = 0600u << 16;  // as NumPy's files
constexpr uint16_t kTime = 0;
constexpr uint16_t kDate = (1u << 5) | 1u;  // 1980-01-01

template <class Do>
void in_steps(const ZipPiece& piece, Do step) {
  const auto* p = static_cast<const uint8_t*>(piece.data);
  for (uint64_t left = piece.bytes; left > 0;) {
    const uint64_t n = std::min(left, kStep);
    step(p, static_cast<uInt>(n));
    p += n;
    left -= n;
  }
}

ZipOptions checked(ZipOptions options) {
  if (options.level < 0 || options.level > 9) {
    fail(CTN_EINVAL, "compression level " + std::to_string(options.level) + " is not from 0 to 9");
  }
  options.zip64_from = std::min<uint64_t>(options.zip64_from, kIn64);
  return options;
}

uint32_t as32(uint64_t value, bool in64) { return in64 ? kIn64 : static_cast<uint32_t>(value); }

}  // namespace

ZipWriter::ZipWriter(const ctn_io& io, std::string path, const ZipOptions& options)
    : options_(checked(options)),
      file_(io, std::move(path), options.allocator),
      out_(options.allocator, kChunk) {
  zlib_init(&z_, options_.allocator);
}

ZipWriter::~ZipWriter() {
  if (z_ready_) (void)deflateEnd(&z_);
}

void ZipWriter::check_name(const std::string& name) const {
  if (!file_.is_open()) fail(CTN_EINVAL, quoted(file_.path()) + " is not being written any more");
  if (name.size() > kMaxName) {
    fail(CTN_EINVAL, "member name " + quoted(name) + " has " + std::to_string(name.size()) +
                         " bytes, at most " + std::to_string(kMaxName) + " are possible");
  }
  if (!is_utf8(name) || name.find('\0') != std::string::npos) {
    fail(CTN_EINVAL, "member name " + quoted(name) + " is not UTF-8 text");
  }
  if (names_.contains(name)) fail(CTN_EINVAL, "member " + quoted(name) + " is already there");
}

void ZipWriter::add(const std::string& name, std::span<const ZipPiece> pieces) {
  check_name(name);
  try {
    Member m;
    m.name = &*names_.insert(name).first;
    m.offset = file_.written();
    write_member(&m, pieces);
    members_.push_back(m);
  } catch (...) {
    file_.abandon();
    throw;
  }
}

void ZipWriter::write_member(Member* m, std::span<const ZipPiece> pieces) {
  m->crc = static_cast<uint32_t>(crc32(0, nullptr, 0));
  for (const ZipPiece& piece : pieces) {
    m->size = checked_add(m->size, piece.bytes, "member size");
    in_steps(piece, [m](const uint8_t* p, uInt n) {
      m->crc = static_cast<uint32_t>(crc32(m->crc, p, n));
    });
  }
  const bool ascii = std::all_of(m->name->begin(), m->name->end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  m->flags = ascii ? 0 : kFlagUtf8;

  if (options_.level == 0) {
    m->packed = m->size;
    write_local(*m, big(m->size));
    for (const ZipPiece& piece : pieces) file_.write(piece.data, piece.bytes);
    return;
  }
  m->method = kDeflated;
  m->flags |= kFlagDescriptor;
  // Data that do not shrink grow by 5 bytes in 16 KiB and a little; a 64th is ample.
  const bool in64 = big(checked_add(m->size, m->size / 64 + 1024, "member size"));
  write_local(*m, in64);
  const uint64_t start = file_.written();
  write_deflated(pieces);
  m->packed = file_.written() - start;
  std::string descriptor;
  put(&descriptor, kDescriptorSig, m->crc);
  if (in64) put(&descriptor, m->packed, m->size);
  if (!in64) put(&descriptor, as32(m->packed, false), as32(m->size, false));
  write(descriptor);
}

void ZipWriter::write_local(const Member& m, bool in64) {
  const bool later = (m.flags & kFlagDescriptor) != 0;
  const uint64_t packed = later ? 0 : m.packed;
  const uint64_t size = later ? 0 : m.size;
  std::string r;
  put(&r, kLocalSig, in64 ? kVersion64 : kVersion, m.flags, m.method, kTime, kDate);
  put(&r, later ? 0u : m.crc, as32(packed, in64), as32(size, in64));
  put(&r, static_cast<uint16_t>(m.name->size()), static_cast<uint16_t>(in64 ? 20 : 0));
  r += *m.name;
  if (in64) put(&r, kExtraZip64, uint16_t{16}, size, packed);
  write(r);
}

// Runs zlib until it has taken its input (or with Z_FINISH given all output).
void ZipWriter::deflate_all(int flush) {
  for (bool more = true; more;) {
    z_.next_out = out_.data();
    z_.avail_out = static_cast<uInt>(kChunk);
    const int rc = deflate(&z_, flush);
    if (rc == Z_STREAM_ERROR)
      fail(CTN_EINTERNAL, "zlib refuses to deflate " + quoted(file_.path()));
    file_.write(out_.data(), kChunk - z_.avail_out);
    more = flush == Z_FINISH ? rc != Z_STREAM_END : z_.avail_out == 0;
  }
}

void ZipWriter::write_deflated(std::span<const ZipPiece> pieces) {
  const int rc =
      z_ready_ ? deflateReset(&z_)
               : deflateInit2(&z_, options_.level, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  if (rc == Z_MEM_ERROR) fail(CTN_ENOMEM, "no memory to deflate " + quoted(file_.path()));
  if (rc != Z_OK) fail(CTN_EINTERNAL, "zlib refuses to start: " + std::to_string(rc));
  z_ready_ = true;
  for (const ZipPiece& piece : pieces) {
    in_steps(piece, [this](const uint8_t* p, uInt n) {
      z_.next_in = const_cast<Bytef*>(p);
      z_.avail_in = n;
      deflate_all(Z_NO_FLUSH);
    });
  }
  deflate_all(Z_FINISH);
}

void ZipWriter::write_central(const Member& m) {
  std::string extra;
  if (big(m.size)) put(&extra, m.size);
  if (big(m.packed)) put(&extra, m.packed);
  if (big(m.offset)) put(&extra, m.offset);
  const uint16_t version = extra.empty() ? kVersion : kVersion64;
  const auto extra_bytes = static_cast<uint16_t>(extra.empty() ? 0 : extra.size() + 4);
  std::string r;
  put(&r, kCentralSig, static_cast<uint16_t>(kUnix | version), version, m.flags, m.method);
  put(&r, kTime, kDate, m.crc, as32(m.packed, big(m.packed)), as32(m.size, big(m.size)));
  put(&r, static_cast<uint16_t>(m.name->size()), extra_bytes, uint16_t{0}, uint16_t{0}, uint16_t{0},
      kModes, as32(m.offset, big(m.offset)));
  r += *m.name;
  if (!extra.empty()) put(&r, kExtraZip64, static_cast<uint16_t>(extra.size()));
  write(r + extra);
}

// The end records of a directory that starts at `at` and ends here.
void ZipWriter::write_end(uint64_t at) {
  const uint64_t end = file_.written();
  const uint64_t bytes = end - at;
  const uint64_t count = members_.size();
  const bool many = count >= kIn64Short;
  std::string r;
  if (many || big(at) || big(bytes)) {
    put(&r, kEnd64Sig, uint64_t{kEnd64Bytes - 12}, static_cast<uint16_t>(kUnix | kVersion64),
        kVersion64, uint32_t{0}, uint32_t{0}, count, count, bytes, at);
    put(&r, kLocator64Sig, uint32_t{0}, end, uint32_t{1});
  }
  const uint16_t count16 = many ? kIn64Short : static_cast<uint16_t>(count);
  put(&r, kEndSig, uint16_t{0}, uint16_t{0}, count16, count16);
  put(&r, as32(bytes, big(bytes)), as32(at, big(at)), uint16_t{0});
  write(r);
}

void ZipWriter::finish() {
  try {
    const uint64_t at = file_.written();
    for (const Member& m : members_) write_central(m);
    write_end(at);
    file_.commit();
  } catch (...) {
    file_.abandon();
    throw;
  }
}

}  // namespace catena
