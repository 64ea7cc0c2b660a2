// Decisions by timing as a file: what is saved comes back, what is damaged is refused whole.
#include "core/tuning.h"

#include <string>

#include "core/error.h"
#include "main.h"
#include "memory_io.h"

using catena::Tuning;
using catena_test::MemoryIo;

namespace {

const char* const kFile = "/tuning";

// "code: text" of what loading threw, "" if it did not.
std::string fault(Tuning& t, const MemoryIo& io) {
  try {
    t.load(io.io(), kFile);
  } catch (const catena::Error& e) {
    return std::to_string(e.code()) + ": " + e.what();
  }
  return "";
}

std::string saved(const Tuning& t) {
  MemoryIo io;
  t.save(io.io(), kFile);
  return io.get(kFile);
}

}  // namespace

TEST_CASE("what is saved is loaded") {
  Tuning t;
  t.add("machine a", "call 1", "first");
  t.add("machine b", "call 1", "second");
  t.add("machine a", "call 2", "third");
  t.add("machine a", "call 2", "fourth");
  CHECK(t.find("machine a", "call 2") == "fourth");
  CHECK(t.find("machine b", "call 2").empty());
  MemoryIo io;
  t.save(io.io(), kFile);

  Tuning other;
  other.add("machine a", "call 1", "replaced");
  other.add("machine c", "call 1", "kept");
  const std::string_view held = other.find("machine a", "call 1");
  REQUIRE(fault(other, io) == "");
  CHECK(other.find("machine a", "call 1") == "first");
  CHECK(other.find("machine b", "call 1") == "second");
  CHECK(other.find("machine a", "call 2") == "fourth");
  CHECK(other.find("machine c", "call 1") == "kept");
  CHECK(held == "replaced");  // what was handed out stays

  CHECK(saved(Tuning()) == "catena tuning 1.0\nend 0 2719c2d8\n");
}

TEST_CASE("there are only so many; a full table still changes its mind") {
  Tuning t;
  for (int k = 0; k < 1 << 16; ++k) t.add("machine", "call " + std::to_string(k), "first");
  t.add("machine", "one more", "first");
  CHECK(t.find("machine", "one more").empty());
  t.add("machine", "call 7", "second");
  CHECK(t.find("machine", "call 7") == "second");
}

TEST_CASE("texts that no line can hold are refused") {
  Tuning t;
  for (const char* bad : {"", "a\nb", "a\tb"}) {
    CHECK_THROWS_AS(t.add(bad, "key", "choice"), const catena::Error&);
    CHECK_THROWS_AS(t.add("scope", bad, "choice"), const catena::Error&);
    CHECK_THROWS_AS(t.add("scope", "key", bad), const catena::Error&);
  }
  CHECK(saved(t) == saved(Tuning()));
}

TEST_CASE("a damaged file is an error and changes nothing") {
  Tuning t;
  t.add("machine", "call 1", "first");
  t.add("machine", "call 2", "second");
  const std::string whole = saved(t);
  Tuning other;
  other.add("machine", "call 1", "mine");
  const std::string before = saved(other);
  MemoryIo io;
  for (size_t n = 0; n < whole.size(); ++n) {  // cut anywhere
    io.put(kFile, whole.substr(0, n));
    CHECK(fault(other, io).starts_with("13: "));
  }
  for (size_t at = 0; at < whole.size(); ++at) {  // any letter another one
    std::string bad = whole;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    io.put(kFile, bad);
    const std::string said = fault(other, io);
    CHECK((said.starts_with("13: ") || said.starts_with("5: ")));
  }
  io.put(kFile, whole + whole);
  CHECK(fault(other, io).starts_with("13: "));
  io.put(kFile, "catena tuning 2.0\nend 0 00000000\n");
  CHECK(fault(other, io).find("5: tuning file '/tuning' has version 2.0") == 0);
  CHECK(saved(other) == before);
}

TEST_CASE("a file that is missing is named") {
  Tuning t;
  const MemoryIo io;
  CHECK(fault(t, io).find("/tuning") != std::string::npos);
}
