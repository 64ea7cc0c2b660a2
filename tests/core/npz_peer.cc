// Reads one npz file and writes all of it to another, for npz_numpy.py to compare with NumPy's
// view.
//
// usage: npz_peer IN OUT LEVEL
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/error.h"
#include "core/npz.h"
#include "core/sys/io_posix.h"

using namespace catena;

namespace {

// What a Fortran-ordered array is in C order.
std::vector<uint8_t> in_c_order(const NpyInfo& info, const std::vector<uint8_t>& data) {
  std::vector<uint8_t> out(data.size());
  for (uint64_t i = 0; i < info.count; ++i) {
    uint64_t rest = i;
    uint64_t from = 0;
    uint64_t step = info.count;
    for (size_t d = info.shape.size(); d-- > 0;) {
      const auto size = static_cast<uint64_t>(info.shape[d]);
      step /= size;
      from += rest % size * step;
      rest /= size;
    }
    for (uint64_t b = 0; b < info.item_bytes; ++b) {
      out[i * info.item_bytes + b] = data[from * info.item_bytes + b];
    }
  }
  return out;
}

void copy(const char* in, const char* out, int level) {
  NpzReader reader(posix_io(), in);
  NpzWriter writer(posix_io(), out, level);
  for (size_t i = 0; i < reader.members().size(); ++i) {
    const auto& [name, info, entry] = reader.members()[i];
    if (info.none) {
      writer.add_none(name);
    } else if (info.text) {
      writer.add_text(name, reader.read_text(i));
    } else {
      std::vector<uint8_t> data(info.data_bytes);
      reader.read(i, data.data(), data.size());
      if (info.fortran) data = in_c_order(info, data);
      writer.add(name, info.dtype, info.shape, data.data());
    }
  }
  writer.finish();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: npz_peer IN OUT LEVEL\n");
    return 2;
  }
  try {
    copy(argv[1], argv[2], std::atoi(argv[3]));
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "npz_peer: %s\n", e.what());
    return 1;
  }
}
