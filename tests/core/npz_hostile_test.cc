// Damaged and malicious npz files: cut at every byte, changed at every byte, lying headers, bombs.
// Whatever happens is an error or the unchanged numbers; the sanitizer build sees the rest.
#include <doctest/doctest.h>

#include <random>

#include "core/npz_support.h"

using namespace catena;
using namespace catena_test;

namespace {

std::string two_members(int level, uint64_t zip64_from) {
  MemoryIo memory;
  NpzWriter writer(memory.io(), "f.npz", ZipOptions{level, zip64_from, nullptr});
  const int64_t shape[] = {5, 3};
  float data[15];
  for (int i = 0; i < 15; ++i) data[i] = static_cast<float>(i);
  writer.add("x", {CTN_DT_FLOAT, 32, 1}, shape, data);
  writer.add_none("n");
  writer.add_text("t", "text");
  writer.finish();
  return memory.get("f.npz");
}

std::vector<std::string> victims() {
  std::vector<std::string> all;
  for (const char* file : {"mlp.npz", "mlp_uncompressed.npz", "lazy.npz", "none_numpy2.npz",
                           "streamed.npz", "streamed_stored.npz", "version2.npz", "text.npz"}) {
    all.push_back(slurp(golden_path(file)));
    REQUIRE(all.back().size() > 200);
  }
  for (const int level : {0, 6}) {
    all.push_back(two_members(level, zip::kIn64));
    all.push_back(two_members(level, 0));
  }
  return all;
}

ctn_status read_npy(const std::string& npy, std::string* text = nullptr) {
  return try_bytes(npz_of(npy), nullptr, text);
}

ctn_status read_dict(const std::string& dict, size_t data_bytes = 0) {
  return read_npy(raw_npy(dict, std::string(data_bytes, '\1')));
}

std::string dict_of(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
}

}  // namespace

TEST_CASE("npz: cut short at every byte") {
  for (const std::string& whole : victims()) {
    REQUIRE(try_bytes(whole) == CTN_OK);
    for (size_t n = 0; n < whole.size(); ++n) {
      const ctn_status status = try_bytes(whole.substr(0, n));
      if (status != CTN_EFORMAT) FAIL_CHECK("cut to " << n << ": status " << status);
    }
    CHECK(try_bytes(whole + "\n") == CTN_EFORMAT);
    CHECK(try_bytes(std::string("\n").append(whole)) == CTN_EFORMAT);
  }
}

TEST_CASE("npz: every byte changed") {
  uint64_t refused = 0;
  uint64_t harmless = 0;
  for (const std::string& whole : victims()) {
    Archive good;
    REQUIRE(try_bytes(whole, &good) == CTN_OK);
    std::string bytes = whole;
    for (size_t i = 0; i < bytes.size(); ++i) {
      for (const int mask : {0x01, 0x20, 0x80, 0xff}) {
        bytes[i] = static_cast<char>(bytes[i] ^ mask);
        Archive now;
        const ctn_status status = try_bytes(bytes, &now);
        if (status == CTN_OK && !(now == good)) FAIL_CHECK("byte " << i << " ^ " << mask);
        ++(status == CTN_OK ? harmless : refused);
        bytes[i] = whole[i];
      }
    }
  }
  CHECK(refused > 5 * harmless);  // dates, versions and attributes are read by nobody
}

TEST_CASE("npz: random damage") {
  std::mt19937_64 random(7);
  const std::vector<std::string> all = victims();
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = all[random() % all.size()];
    for (uint64_t n = 1 + random() % 8; n > 0; --n) {
      const size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0: bytes[at] = static_cast<char>(random()); break;
        case 1: bytes.insert(at, 1 + random() % 40, static_cast<char>(random())); break;
        case 2: bytes.erase(at, 1 + random() % 40); break;
        default: bytes[at] = static_cast<char>(0xff); break;
      }
      if (bytes.empty()) bytes.assign(1, 'P');
    }
    (void)try_bytes(bytes);
  }
}

TEST_CASE("npz: headers that are fine") {
  CHECK(read_dict(dict_of("<f4", "(2,)"), 8) == CTN_OK);
  CHECK(read_dict(dict_of("=f4", "(2L, 1L)"), 8) == CTN_OK);
  CHECK(read_dict(dict_of("|b1", "()"), 1) == CTN_OK);
  CHECK(read_dict("{ \"shape\" :( 2 , ),'fortran_order':True\n,\"descr\":'>i2'}  ", 4) == CTN_OK);
  CHECK(read_dict(dict_of("<f4", "(0, 9)")) == CTN_OK);
  CHECK(read_dict(dict_of("<U0", "()")) == CTN_OK);
  std::string rank32 = "(";
  for (int i = 0; i < 32; ++i) rank32 += "1, ";
  CHECK(read_dict(dict_of("<f4", rank32 + ")"), 4) == CTN_OK);
  CHECK(read_dict(dict_of("<f4", rank32 + "1)"), 4) == CTN_EFORMAT);
}

TEST_CASE("npz: headers that lie") {
  for (const char* shape : {"(-1,)",
                            "(1.5,)",
                            "(2)",
                            "2",
                            "((2,),)",
                            "(((((((((((",
                            "(2,",
                            "(,)",
                            "(2 3)",
                            "[2]",
                            "(2,))",
                            "(9223372036854775807,)",
                            "(9223372036854775808,)",
                            "(18446744073709551616,)",
                            "(99999999999999999999999999999999999999,)",
                            "(4611686018427387904, 4)",
                            "(4294967296, 4294967296)",
                            "(0, 9223372036854775807, 9223372036854775807)",
                            "(1000000,)",
                            "(3,)",
                            "(1,)",
                            "()",
                            "(True,)",
                            "('2',)",
                            "(2,)}",
                            "(0x2,)",
                            "(1_0,)",
                            "None",
                            ""}) {
    INFO(std::string(shape));
    CHECK(read_dict(dict_of("<f4", shape), 8) == CTN_EFORMAT);
  }
  const std::string parens(60'000, '(');
  CHECK(read_dict(dict_of("<f4", parens), 8) == CTN_EFORMAT);
  CHECK(read_dict(std::string(60'000, '{'), 8) == CTN_EFORMAT);
  for (const char* dict : {"", "{}", "{", "}", "[]", "{'descr': '<f4', 'shape': (2,)}",
                           "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'shape': (2,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}",
                           "{'descr': '<f4' 'fortran_order': False, 'shape': (2,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} + exit()",
                           "{'descr': '<f4', 'fortran_order: False, 'shape': (2,)}",
                           "{'descr': '\\x3cf4', 'fortran_order': False, 'shape': (2,)}",
                           "{u'descr': '<f4', 'fortran_order': False, 'shape': (2,)}"}) {
    INFO(std::string(dict));
    CHECK(read_dict(dict, 8) == CTN_EFORMAT);
  }
  for (const char* descr : {"f4", "<", "", "*f4", "<U", "<U99999999999999999999", "<U2000000000",
                            "<Ux", "|O", "=O", "<U3"}) {
    INFO(std::string(descr));
    CHECK(read_dict(dict_of(descr, "(2,)"), 8) == CTN_EFORMAT);
  }
  CHECK(read_dict(dict_of("<U0", "(1000000000000,)")) == CTN_EFORMAT);
  for (const char* descr : {"<f16", "<c8", "<M8[ns]", "|V8", "<f3", "<i0", "|O8"}) {
    INFO(std::string(descr));
    CHECK(read_dict(dict_of(descr, "(2,)"), 8) == CTN_EUNSUPPORTED);
  }
  CHECK(read_dict("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2,)}", 8) ==
        CTN_EUNSUPPORTED);
}

TEST_CASE("npz: prefixes that lie") {
  const std::string good = raw_npy(dict_of("<f4", "(2,)"), std::string(8, '\1'));
  for (size_t n = 0; n < good.size(); ++n) CHECK(read_npy(good.substr(0, n)) == CTN_EFORMAT);
  std::string npy = good;
  npy[6] = 3;
  CHECK(read_npy(npy) == CTN_EVERSION);
  npy = good;
  npy[8] = npy[9] = '\xff';
  CHECK(read_npy(npy) == CTN_EFORMAT);
  npy[6] = 2;  // a length of 32 bits
  CHECK(read_npy(npy) == CTN_EFORMAT);
  CHECK(read_npy("\x93NUMPY\x02") == CTN_EFORMAT);
  const auto version2 = [](size_t padding) {
    const std::string dict = dict_of("|u1", "()") + std::string(padding, ' ') + "\n";
    std::string bytes("\x93NUMPY\x02\0", 8);
    zip::put(&bytes, static_cast<uint32_t>(dict.size()));
    return bytes + dict + "x";
  };
  CHECK(read_npy(version2(60'000)) == CTN_OK);
  CHECK(read_npy(version2(66'000)) == CTN_EFORMAT);
  CHECK(read_npy(std::string("\x93NUMPY\x02\0\1\0", 10)) == CTN_EFORMAT);
}

TEST_CASE("npz: bool is 0 or 1, text is Unicode") {
  Archive all;
  REQUIRE(try_bytes(npz_of(raw_npy(dict_of("|b1", "(4,)"), std::string("\0\1\2\xff", 4))), &all) ==
          CTN_OK);
  CHECK(all.at("a").bytes == std::string("\0\1\1\1", 4));
  const auto text = [](const std::string& descr, const std::string& data) {
    MemoryIo memory;
    memory.put("f", npz_of(raw_npy(dict_of(descr, "()"), data)));
    return NpzReader(memory.io(), "f").read_text(0);
  };
  CHECK(text("<U1", std::string("A\0\0\0", 4)) == "A");
  CHECK(text(">U1", std::string("\0\0\0A", 4)) == "A");
  CHECK_THROWS_AS(text("<U1", std::string("\0\xd8\0\0", 4)), Error);
  CHECK_THROWS_AS(text("<U1", std::string("\0\0\x11\0", 4)), Error);
  CHECK_THROWS_AS(text("|S1", "\xff"), Error);
}

TEST_CASE("npz: members that are not npy") {
  const std::string npy = raw_npy(dict_of("|u1", "(1,)"), "x");
  MemoryIo memory;
  memory.put("f", raw_zip({{"folder/", ""},
                           {"README", "some text that is long enough"},
                           {"a.npy", npy},
                           {"bare", npy}}));
  NpzReader reader(memory.io(), "f");
  CHECK(reader.skipped() == 2);
  CHECK(reader.members().size() == 2);
  CHECK(reader.find("bare") == 1);
  CHECK(try_bytes(raw_zip({{"a.npy", "some text that is long enough"}})) == CTN_EFORMAT);
}

TEST_CASE("npz: duplicate, hostile and odd names") {
  const std::string npy = raw_npy(dict_of("|u1", "(1,)"), "x");
  std::string text;
  CHECK(try_bytes(raw_zip({{"a.npy", npy}, {"b.npy", npy}, {"a.npy", npy}}), nullptr, &text) ==
        CTN_EFORMAT);
  CHECK(text == "'f.npz' has two members 'a'");
  CHECK(try_bytes(raw_zip({{"a.npy", npy}, {"a", npy}})) == CTN_EFORMAT);
  Archive all;
  REQUIRE(try_bytes(raw_zip({{"../../x.npy", npy}, {"/etc/passwd.npy", npy}, {"c:\\x.npy", npy}}),
                    &all) == CTN_OK);
  CHECK(all.contains("../../x"));
  CHECK(try_bytes(raw_zip({{std::string("a\0b.npy", 7), npy}})) == CTN_EFORMAT);
  CHECK(try_bytes(raw_zip({{"\xff.npy", npy}})) == CTN_EFORMAT);
  CHECK(try_bytes(raw_zip({{std::string(5000, 'n'), npy}})) == CTN_EFORMAT);
  CHECK(try_bytes(raw_zip({{"a\n\x1b[31m.npy", "no npy at all"}}), nullptr, &text) == CTN_EFORMAT);
  CHECK(text.find("'a\\x0a\\x1b[31m.npy'") != std::string::npos);
}

TEST_CASE("npz: zip features we do not read") {
  const std::string npy = raw_npy(dict_of("|u1", "(1,)"), "x");
  CHECK(try_bytes(raw_zip({{"a.npy", npy, 12}})) == CTN_EUNSUPPORTED);
  CHECK(try_bytes(raw_zip({{"a.npy", npy, 0, 1}})) == CTN_EUNSUPPORTED);
  CHECK(try_bytes(raw_zip({{"a.npy", npy, 8, 0, 0, "not deflate"}})) == CTN_EFORMAT);
  // Compressed data that hold less or more than said, or are followed by something.
  const std::string packed = deflated(npy);
  CHECK(try_bytes(raw_zip({{"a.npy", npy, 8, 0, 0, packed}})) == CTN_OK);
  const auto size = static_cast<uint32_t>(npy.size());
  CHECK(try_bytes(raw_zip({{"a.npy", npy, 8, 0, size + 1, packed}})) == CTN_EFORMAT);
  CHECK(try_bytes(raw_zip({{"a.npy", npy, 8, 0, size - 1, packed}})) == CTN_EFORMAT);
  CHECK(try_bytes(raw_zip({{"a.npy", npy, 8, 0, 0, packed + "x"}})) == CTN_EFORMAT);
  CHECK(try_bytes(raw_zip({{"a.npy", npy, 8, 0, 0, deflated(npy + "x")}})) == CTN_EFORMAT);
}

TEST_CASE("npz: bombs") {
  // Data whose claimed size the file cannot hold, at once and with nothing allocated for it.
  const std::string head = raw_npy(dict_of("|u1", "(4000000000,)"), "");
  std::string text;
  const RawMember liar{"a.npy", head, 8, 0, 4'000'000'000u, deflated(head)};
  CHECK(try_bytes(raw_zip({liar}), nullptr, &text) == CTN_EFORMAT);
  CHECK(text.find(":1") != std::string::npos);

  // A true one: 20 MB of zeros in 20 KB pass the default limits, not strict ones.
  const std::string npy = raw_npy(dict_of("|u1", "(20000000,)"), std::string(20'000'000, '\0'));
  const std::string bomb = raw_zip({{"a.npy", npy, 8, 0, 0, deflated(npy)}});
  CHECK(bomb.size() < 30'000);
  CHECK(try_bytes(bomb) == CTN_OK);
  CHECK(try_bytes(bomb, nullptr, nullptr, NpzLimits::strict()) == CTN_EFORMAT);
  NpzLimits limits;
  limits.member_bytes = 1'000'000;
  CHECK(try_bytes(bomb, nullptr, nullptr, limits) == CTN_EFORMAT);
  limits = {};
  limits.total_bytes = 1'000'000;
  CHECK(try_bytes(bomb, nullptr, nullptr, limits) == CTN_EFORMAT);
  limits = {};
  limits.members = 0;
  CHECK(try_bytes(bomb, nullptr, nullptr, limits) == CTN_EFORMAT);

  // Two directory entries on one member.
  std::string twins = raw_zip({{"a.npy", npy}, {"b.npy", npy}});
  const size_t second = twins.rfind("PK\1\2");
  for (size_t i = 0; i < 4; ++i) twins[second + 42 + i] = 0;
  CHECK(try_bytes(twins, nullptr, &text) == CTN_EFORMAT);
  CHECK(text.find("overlaps") != std::string::npos);
}

TEST_CASE("npz: counts that lie") {
  const std::string whole = raw_zip({{"a.npy", raw_npy(dict_of("|u1", "(1,)"), "x")}});
  const size_t end = whole.size() - 22;
  for (const int count : {0, 2, 255}) {
    std::string bytes = whole;
    bytes[end + 8] = bytes[end + 10] = static_cast<char>(count);
    CHECK(try_bytes(bytes) == CTN_EFORMAT);
  }
  std::string bytes = whole;  // "see the zip64 record", but there is none
  for (size_t i = end + 8; i < end + 20; ++i) bytes[i] = '\xff';
  CHECK(try_bytes(bytes) == CTN_EFORMAT);

  // A zip64 record that claims 2^64 - 1 members.
  bytes = two_members(0, 0);
  const size_t record = bytes.rfind("PK\6\6");
  REQUIRE(record != std::string::npos);
  for (size_t i = 24; i < 40; ++i) bytes[record + i] = '\xff';
  CHECK(try_bytes(bytes) == CTN_EFORMAT);
}
