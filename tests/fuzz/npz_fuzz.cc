// libFuzzer target (./run fuzz npz): any bytes as an npz file, every member read. It may fail with
// an Error, nothing else. Half of the mutations open the archive, change one member and close it
// again with the right CRC and sizes, so that they reach the npy parser and not only the zip
// checks.
#include <cstdint>
#include <cstdlib>
#include <random>

#include "core/npz_support.h"

using namespace catena;
using namespace catena_test;

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

constexpr uint64_t kMostBytes = 4 << 20;  // of memory for one member

NpzLimits limits() {
  NpzLimits l;
  l.member_bytes = l.total_bytes = kMostBytes;
  return l;
}

std::string content(ZipReader& zip, size_t i) {
  std::string all(zip.entries()[i].size, '\0');
  zip.open(i);
  zip.read(all.data(), all.size());
  zip.finish();
  return all;
}

// The archive with member `which` changed by libFuzzer, or empty when it is none.
std::string mutated(const std::string& bytes, std::mt19937& random) {
  MemoryIo memory;
  memory.put("in", bytes);
  try {
    ZipReader zip(memory.io(), "in", limits(), nullptr);
    if (zip.entries().empty()) return "";
    const size_t which = random() % zip.entries().size();
    ZipWriter out(memory.io(), "out", ZipOptions{random() % 16 == 0 ? 1 : 0});
    for (size_t i = 0; i < zip.entries().size(); ++i) {
      std::string member = content(zip, i);
      if (i == which) {
        const size_t size = member.size();
        member.resize(size + 64);
        member.resize(
            LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(member.data()), size, member.size()));
      }
      const ZipPiece piece[] = {{member.data(), member.size()}};
      out.add(zip.entries()[i].name, piece);
    }
    out.finish();
    return memory.get("out");
  } catch (const Error&) {
    return "";
  }
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  std::mt19937 random(seed);
  if (random() % 2 == 0) {
    const std::string out = mutated({reinterpret_cast<char*>(data), size}, random);
    if (!out.empty() && out.size() <= max_size) {
      std::memcpy(data, out.data(), out.size());
      return out.size();
    }
  }
  return LLVMFuzzerMutate(data, size, max_size);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  MemoryIo memory;
  memory.put("f", {reinterpret_cast<const char*>(data), size});
  try {
    NpzReader reader(memory.io(), "f", limits());
    std::vector<uint8_t> dst;
    for (size_t i = 0; i < reader.members().size(); ++i) {
      const NpyInfo& info = reader.members()[i].info;
      // What the reader let pass must be possible for a file of this size.
      if (info.data_bytes > kMostBytes || info.data_bytes > 1100 * size + 64) std::abort();
      if (reader.find(reader.members()[i].name) != i) std::abort();
      try {
        dst.resize(info.data_bytes);
        reader.read(i, dst.data(), dst.size());
        if (info.text && info.count == 1) (void)reader.read_text(i);
      } catch (const Error&) {
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
