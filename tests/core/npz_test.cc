// npz files of NumPy and Chainer as committed, and round trips of our own: every dtype, order,
// shape and zip variant gives the same numbers.
#include "core/npz.h"

#include <cmath>
#include <cstring>

#include "core/checked.h"
#include "core/npz_support.h"
#include "core/sys/io_posix.h"
#include "main.h"

using namespace catena;
using namespace catena_test;

namespace {

constexpr ctn_dtype kF4 = {CTN_DT_FLOAT, 32, 1};
constexpr ctn_dtype kI8 = {CTN_DT_INT, 64, 1};

const ctn_dtype kAll[] = {{CTN_DT_BOOL, 8, 1},   {CTN_DT_INT, 8, 1},    {CTN_DT_INT, 16, 1},
                          {CTN_DT_INT, 32, 1},   {CTN_DT_INT, 64, 1},   {CTN_DT_UINT, 8, 1},
                          {CTN_DT_UINT, 16, 1},  {CTN_DT_UINT, 32, 1},  {CTN_DT_UINT, 64, 1},
                          {CTN_DT_FLOAT, 16, 1}, {CTN_DT_FLOAT, 32, 1}, {CTN_DT_FLOAT, 64, 1},
                          {CTN_DT_BFLOAT, 16, 1}};

Archive golden(const std::string& name) { return read_archive(posix_io(), golden_path(name)); }

ctn_status code_of(const std::string& name, std::string* text) {
  try {
    (void)golden(name);
    return CTN_OK;
  } catch (const Error& e) {
    *text = e.what();
    return e.code();
  }
}

double half(uint16_t h) {  // normal numbers and zero are all that the files hold
  const int exponent = (h >> 10) & 31;
  const double m = exponent == 0 ? 0 : std::ldexp(1.0 + (h & 1023) / 1024.0, exponent - 15);
  return (h & 0x8000) ? -m : m;
}

template <class T>
double at(const std::string& bytes, size_t i) {
  T v;
  std::memcpy(&v, bytes.data() + i * sizeof v, sizeof v);
  return static_cast<double>(v);
}

double element(const Content& c, size_t i) {
  const std::string k = c.kind.substr(1);
  if (k == "b1" || k == "u1") return at<uint8_t>(c.bytes, i);
  if (k == "i1") return at<int8_t>(c.bytes, i);
  if (k == "i2") return at<int16_t>(c.bytes, i);
  if (k == "i4") return at<int32_t>(c.bytes, i);
  if (k == "i8") return at<int64_t>(c.bytes, i);
  if (k == "u2") return at<uint16_t>(c.bytes, i);
  if (k == "u4") return at<uint32_t>(c.bytes, i);
  if (k == "u8") return at<uint64_t>(c.bytes, i);
  if (k == "f2") return half(static_cast<uint16_t>(at<uint16_t>(c.bytes, i)));
  if (k == "f4") return at<float>(c.bytes, i);
  return at<double>(c.bytes, i);
}

// What make_npz.py puts at C-order place i.
double expected(const std::string& kind, size_t i) {
  const auto v = static_cast<double>(i);
  switch (kind[1]) {
    case 'b': return static_cast<double>(i % 2);
    case 'u': return v;
    case 'i': return v - 2;
    default: return v / 2 - 1;
  }
}

// Where the C-order element i lies in the file.
size_t place(const Content& c, size_t i) {
  if (!c.fortran) return i;
  std::vector<size_t> index(c.shape.size());
  for (size_t d = c.shape.size(); d-- > 0;) {
    index[d] = i % static_cast<size_t>(c.shape[d]);
    i /= static_cast<size_t>(c.shape[d]);
  }
  size_t p = 0;
  for (size_t d = c.shape.size(); d-- > 0;) p = p * static_cast<size_t>(c.shape[d]) + index[d];
  return p;
}

void check_pattern(const Content& c) {
  size_t n = 1;
  for (const int64_t s : c.shape) n *= static_cast<size_t>(s);
  for (size_t i = 0; i < n; ++i) CHECK(element(c, place(c, i)) == expected(c.kind, i));
}

// Every dtype in several shapes, as one archive.
Archive sample() {
  Archive all;
  for (const ctn_dtype& dtype : kAll) {
    const std::string kind = npy_descr(dtype);
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{}, {7}, {0}, {3, 0, 2}, {2, 3, 4}, {1, 1, 1, 1, 1, 1, 1, 5}}) {
      Content c{kind, shape, false, {}};
      c.bytes.resize(npy_count(shape, 1, CTN_EINVAL) * (dtype.bits / 8u));
      for (size_t i = 0; i < c.bytes.size(); ++i) {
        c.bytes[i] = static_cast<char>(dtype.code == CTN_DT_BOOL ? i % 2 : i * 37 + 11);
      }
      all["x/" + kind + "/" + std::to_string(all.size())] = c;
    }
  }
  return all;
}

ctn_dtype dtype_of(const std::string& kind) {
  for (const ctn_dtype& dtype : kAll) {
    if (npy_descr(dtype) == kind) return dtype;
  }
  FAIL("no dtype " << kind);
  return {};
}

void write_archive(const ctn_io& io, const std::string& path, const Archive& all,
                   const ZipOptions& options) {
  NpzWriter writer(io, path, options);
  for (const auto& [name, c] : all) {
    if (c.kind == "none") {
      writer.add_none(name);
    } else {
      writer.add(name, dtype_of(c.kind), c.shape, c.bytes.data());
    }
  }
  writer.finish();
}

}  // namespace

TEST_CASE("npz: a model of Chainer, compressed and not") {
  for (const char* file : {"mlp.npz", "mlp_uncompressed.npz"}) {
    const Archive all = golden(file);
    REQUIRE(all.size() == 4);
    CHECK(all.at("l1/W").shape == std::vector<int64_t>{6, 5});
    CHECK(all.at("l1/W").kind == "<f4");
    CHECK(all.at("l2/b").shape == std::vector<int64_t>{3});
  }
  CHECK(golden("mlp.npz") == golden("mlp_uncompressed.npz"));
  CHECK(golden("trainer_snapshot.npz") == golden("trainer_snapshot_uncompressed.npz"));
}

TEST_CASE("npz: scalars, text and None of a Chainer snapshot") {
  NpzReader reader(posix_io(), golden_path("trainer_snapshot.npz"));
  CHECK(reader.members().size() == 39);
  CHECK(reader.skipped() == 0);
  CHECK(reader.members()[0].name == "updater/iterator:main/current_position");
  const size_t log = reader.find("extensions/LogReport/_log").value();
  const std::string text = reader.read_text(log);
  CHECK(text.size() == 241);
  CHECK(text.starts_with("[{\"main/loss\": 1.3613749146461487,"));
  double rate = 0;
  reader.read(reader.find("extensions/shift/_last_value").value(), &rate, sizeof rate);
  CHECK(rate == 0.0025);
  uint8_t flag = 0;
  reader.read(reader.find("updater/iterator:main/is_new_epoch").value(), &flag, 1);
  CHECK(flag == 1);
  CHECK(!reader.find("updater").has_value());
  CHECK_THROWS_AS(reader.read_text(0), Error);
  CHECK_THROWS_AS(reader.read(log, &rate, sizeof rate), Error);
  CHECK_THROWS_AS(reader.read(39, &rate, sizeof rate), Error);

  const Archive lazy = golden("lazy.npz");
  CHECK(lazy.at("l1/W") == Content{"none", {}, false, ""});
}

TEST_CASE("npz: every dtype, order and shape that NumPy writes") {
  const Archive all = golden("dtypes.npz");
  CHECK(all.size() == 12 * 4 * 3);
  size_t fortran = 0;
  for (const auto& entry : all) {  // no binding: clang 14 lets none into a lambda, as INFO makes
    INFO(entry.first);
    fortran += entry.second.fortran;
    check_pattern(entry.second);
  }
  CHECK(fortran > 12);
  for (const char* file : {"streamed.npz", "streamed_stored.npz", "version2.npz"}) {
    const Archive few = golden(file);
    INFO(std::string(file));
    CHECK(few.size() == 2);
    CHECK(few.at("a").shape == std::vector<int64_t>{3, 4});
    for (const auto& [name, c] : few) check_pattern(c);
  }
}

TEST_CASE("npz: text of NumPy") {
  NpzReader reader(posix_io(), golden_path("text.npz"));
  const auto text = [&](const char* name) { return reader.read_text(reader.find(name).value()); };
  CHECK(text("ascii") == "epoch");
  CHECK(text("empty") == "");
  CHECK(text("wide") == "gr\u00fc\u00df \u65e5 \U0001f40d");
  CHECK(text("bytes") == "abc");
  CHECK(text("big") == "ab");
  CHECK(text("inner") == std::string("a\0b", 3));
  CHECK_THROWS_AS(text("many"), Error);
}

TEST_CASE("npz: None of every protocol, and no other object") {
  for (const char* file : {"none_numpy1.npz", "none_numpy2.npz"}) {
    const Archive all = golden(file);
    CHECK(all.size() == 3);
    for (const auto& [name, c] : all) CHECK(c.kind == "none");
  }
  std::string text;
  for (const char* file : {"objects.npz", "object0.npz"}) {
    CHECK(code_of(file, &text) == CTN_EFORMAT);
    CHECK(text.find("pickles are never run") != std::string::npos);
    CHECK(text.find("'a.npy'") != std::string::npos);
  }
  CHECK(code_of("records.npz", &text) == CTN_EUNSUPPORTED);
  CHECK(code_of("complex.npz", &text) == CTN_EUNSUPPORTED);
  CHECK(text.find("'<c8'") != std::string::npos);
  CHECK(code_of("no such file.npz", &text) == CTN_ENOTFOUND);
  CHECK(text.find("No such file") != std::string::npos);

  // One changed byte anywhere and it is a pickle like any other.
  std::string body(npy_none_body());
  const auto is_none = [](const std::string& b) {
    return is_npy_none({reinterpret_cast<const uint8_t*>(b.data()), b.size()});
  };
  CHECK(is_none(body));
  CHECK(!is_none(body + "."));
  CHECK(!is_none(body.substr(1)));
  CHECK(!is_none(""));
  for (char& c : body) {
    c = static_cast<char>(c ^ 1);
    CHECK(!is_none(body));
    c = static_cast<char>(c ^ 1);
  }
}

TEST_CASE("npz: headers equal NumPy's byte for byte") {
  size_t compared = 0;
  for (const char* file :
       {"trainer_snapshot.npz", "cnn_bn.npz", "lazy.npz", "optimizer_adam.npz"}) {
    NpzReader reader(posix_io(), golden_path(file));
    ZipReader zip(posix_io(), golden_path(file), {}, nullptr);
    for (const NpzMember& m : reader.members()) {
      if (m.info.text) continue;
      std::string theirs(m.info.header_bytes, '\0');
      zip.open(m.entry);
      zip.read(theirs.data(), theirs.size());
      CHECK(theirs == npy_header(m.info.none ? "|O" : npy_descr(m.info.dtype), m.info.shape));
      ++compared;
    }
  }
  CHECK(compared == 37 + 14 + 4 + 14);
}

TEST_CASE("npz: round trips") {
  Archive all = sample();
  all["none"] = Content{"none", {}, false, ""};
  all["gr\u00fc\u00df"] = all.at("x/<f4/61");
  all["../up/../../etc/passwd"] = all.at("x/<f4/61");
  all[""] = all.at("x/<f4/61");
  for (const int level : {0, 1, 6, 9}) {
    for (const uint64_t zip64_from : {uint64_t{zip::kIn64}, uint64_t{0}, uint64_t{2000}}) {
      MemoryIo memory;
      memory.put("f.npz", "old");
      write_archive(memory.io(), "f.npz", all, {level, zip64_from, nullptr});
      CHECK(read_archive(memory.io(), "f.npz") == all);
      CHECK(memory.files() == 1);
      CHECK(memory.open_handles() == 0);
    }
  }
}

TEST_CASE("npz: text, big members, and nothing at all, round trip") {
  MemoryIo memory;
  const std::string tall(3'000'000, 'x');  // many windows and many chunks of output
  std::string noise = tall;
  uint32_t state = 1;
  for (char& c : noise) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  const int64_t shape[] = {3'000'000};
  const ctn_dtype u1 = {CTN_DT_UINT, 8, 1};
  for (const int level : {0, 1}) {
    NpzWriter writer(memory.io(), "f.npz", level);
    writer.add_text("log", "gr\u00fc\u00df \U0001f40d");
    writer.add_text("empty", "");
    writer.add("tall", u1, shape, tall.data());
    writer.add("noise", u1, shape, noise.data());
    writer.finish();
    NpzReader reader(memory.io(), "f.npz");
    CHECK(reader.read_text(0) == "gr\u00fc\u00df \U0001f40d");
    CHECK(reader.read_text(1) == "");
    CHECK(read_content(reader, 2).bytes == tall);
    CHECK(read_content(reader, 3).bytes == noise);
    CHECK(read_content(reader, 2).bytes == tall);  // again, and back
  }
  NpzWriter(memory.io(), "none.npz").finish();
  CHECK(read_archive(memory.io(), "none.npz").empty());

  NpzWriter many(memory.io(), "many.npz", 0);
  for (int i = 0; i < 70'000; ++i) many.add(std::to_string(i), u1, {}, &u1.code);
  many.finish();  // more than zip's 16-bit count
  CHECK(NpzReader(memory.io(), "many.npz").members().size() == 70'000);
}

TEST_CASE("npz: equal content gives equal files") {
  MemoryIo memory;
  write_archive(memory.io(), "a", sample(), {});
  write_archive(memory.io(), "b", sample(), {});
  CHECK(memory.get("a") == memory.get("b"));
}

TEST_CASE("npz: wrong arguments change nothing") {
  MemoryIo memory;
  const int64_t shape[] = {2};
  const int64_t negative[] = {-1};
  const int64_t huge[] = {int64_t{1} << 62, 4};
  const float data[] = {1, 2};
  NpzWriter writer(memory.io(), "f.npz");
  writer.add("a", kF4, shape, data);
  CHECK_THROWS_AS(writer.add("a", kF4, shape, data), Error);
  CHECK_THROWS_AS(writer.add("b", kF4, shape, nullptr), Error);
  CHECK_THROWS_AS(writer.add("b", kF4, negative, data), Error);
  CHECK_THROWS_AS(writer.add("b", kF4, huge, data), Error);
  CHECK_THROWS_AS(writer.add("b", ctn_dtype{CTN_DT_FLOAT, 32, 4}, shape, data), Error);
  CHECK_THROWS_AS(writer.add("\xff", kF4, shape, data), Error);
  CHECK_THROWS_AS(writer.add(std::string(5000, 'n'), kF4, shape, data), Error);
  CHECK_THROWS_AS(writer.add_text("b", "\xc0\x80"), Error);
  writer.add("b", kF4, shape, data);
  writer.finish();
  CHECK(read_archive(memory.io(), "f.npz").size() == 2);
  CHECK_THROWS_AS(writer.add("c", kF4, shape, data), Error);
  CHECK_THROWS_AS(writer.finish(), Error);
  CHECK_THROWS_AS(NpzWriter(memory.io(), "g.npz", 10), Error);
  CHECK_THROWS_AS(NpzWriter(ctn_io{}, "g.npz"), Error);
  CHECK_THROWS_AS(NpzReader(ctn_io{}, "f.npz"), Error);
  CHECK(memory.files() == 1);
}

TEST_CASE("checked arithmetic") {
  CHECK(checked_mul(uint64_t{1} << 32, (uint64_t{1} << 32) - 1) == 0xffffffff00000000u);
  CHECK_THROWS_AS(checked_mul(uint64_t{1} << 32, uint64_t{1} << 32), Error);
  CHECK_THROWS_AS(checked_add(UINT64_MAX, uint64_t{1}), Error);
  CHECK_THROWS_AS(checked_sub(uint64_t{1}, uint64_t{2}), Error);
  CHECK_THROWS_AS(checked_mul(INT64_MIN, int64_t{-1}), Error);
  CHECK_THROWS_AS(checked_add(INT64_MAX, int64_t{1}), Error);
  CHECK(checked_sub(int64_t{1}, int64_t{2}) == -1);
  CHECK_THROWS_AS(checked_cast<uint32_t>(uint64_t{1} << 32), Error);
  CHECK_THROWS_AS(checked_cast<uint32_t>(-1), Error);
  CHECK(checked_cast<int8_t>(uint64_t{127}) == 127);
  try {
    (void)checked_mul(INT64_MAX, int64_t{2}, "bytes of x", CTN_EFORMAT);
    FAIL("no overflow");
  } catch (const Error& e) {
    CHECK(e.code() == CTN_EFORMAT);
    CHECK(std::string(e.what()) == "bytes of x: 9223372036854775807 * 2 does not fit 64 bits");
  }
}

TEST_CASE("npz: sizes at the edges") {
  const auto count = [](std::vector<int64_t> shape, uint64_t item) {
    return npy_count(shape, item, CTN_ESHAPE);
  };
  CHECK(count({}, 8) == 1);
  CHECK(count({0, INT64_MAX}, 8 / 8) == 0);
  CHECK(count({INT32_MAX, INT32_MAX}, 2) == uint64_t{INT32_MAX} * INT32_MAX);
  CHECK(count({INT64_MAX}, 1) == uint64_t{INT64_MAX});
  CHECK_THROWS_AS(count({INT64_MAX}, 2), Error);
  CHECK_THROWS_AS(count({0, INT64_MAX, INT64_MAX}, 1), Error);
  CHECK_THROWS_AS(count({int64_t{1} << 31, int64_t{1} << 32}, 1), Error);
  CHECK_THROWS_AS(count({-1}, 1), Error);
  CHECK_THROWS_AS(count(std::vector<int64_t>(33, 1), 1), Error);
  CHECK(npy_descr(kI8) == "<i8");
}
