// Reads gzipped IDX files (http://yann.lecun.com/exdb/mnist/ describes the format): images and
// labels.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

struct Dataset {
  int64_t count = 0;
  std::vector<float> images;    // [count][28][28], 0 to 1
  std::vector<int32_t> labels;  // [count], 0 to 9
};

inline constexpr int64_t kPixels = 28 * 28;

class IdxFile {
 public:
  explicit IdxFile(const std::string& path) : path_(path), file_(gzopen(path.c_str(), "rb")) {
    if (!file_) fail("cannot be opened");
  }

  // Reads the header and checks the sizes of one item.
  int64_t open(int type, const std::vector<int64_t>& item) {
    const uint32_t magic = number();
    const int64_t dims = static_cast<int64_t>(item.size()) + 1;
    if (magic != (static_cast<uint32_t>(type) << 8 | static_cast<uint32_t>(dims)))
      fail("is not the IDX file expected");
    const int64_t count = number();
    for (int64_t want : item)
      if (number() != want) fail("has items of another size");
    if (count < 1 || count > 1000000) fail("has an impossible number of items");
    return count;
  }
  std::vector<unsigned char> bytes(int64_t n) {
    std::vector<unsigned char> data(static_cast<size_t>(n));
    if (gzread(file_.get(), data.data(), static_cast<unsigned>(n)) != n) fail("ends too early");
    return data;
  }

 private:
  struct Close {
    void operator()(gzFile f) const { gzclose(f); }
  };
  [[noreturn]] void fail(const char* what) const { throw std::runtime_error(path_ + " " + what); }
  uint32_t number() {
    const std::vector<unsigned char> b = bytes(4);
    return static_cast<uint32_t>(b[0]) << 24 | static_cast<uint32_t>(b[1]) << 16 |
           static_cast<uint32_t>(b[2]) << 8 | b[3];
  }
  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

// `part` is "train" or "t10k".
inline Dataset read_dataset(const std::string& dir, const std::string& part) {
  Dataset d;
  IdxFile images(dir + "/" + part + "-images-idx3-ubyte.gz");
  d.count = images.open(8, {28, 28});
  for (unsigned char v : images.bytes(d.count * kPixels))
    d.images.push_back(static_cast<float>(v) / 255.0f);
  IdxFile labels(dir + "/" + part + "-labels-idx1-ubyte.gz");
  if (labels.open(8, {}) != d.count) throw std::runtime_error(dir + ": images and labels differ");
  for (unsigned char v : labels.bytes(d.count)) {
    if (v > 9) throw std::runtime_error(dir + ": a label is " + std::to_string(v));
    d.labels.push_back(v);
  }
  return d;
}
