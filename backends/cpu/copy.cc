// Copies of strided memory: dimensions that lie as one are merged, rows that are contiguous on both
// sides are memory copies, and the rows are shared among the threads.
#include <cpu/copy.h>

#include <algorithm>
#include <cstring>

namespace catena::cpu {
namespace {

constexpr int64_t kGrainBytes = 256 * 1024;

struct Walk {
  sdk::Dims shape, dst, src;  // strides in bytes
};

Walk merged(std::span<const int64_t> shape, std::span<const int64_t> dst,
            std::span<const int64_t> src) {
  Walk w;
  for (size_t k = 0; k < shape.size(); ++k) {
    if (shape[k] == 1) continue;
    const int last = w.shape.size() - 1;
    if (last >= 0 && w.dst[last] == dst[k] * shape[k] && w.src[last] == src[k] * shape[k]) {
      w.shape[last] *= shape[k];
      w.dst[last] = dst[k];
      w.src[last] = src[k];
    } else {
      w.shape.push(shape[k]);
      w.dst.push(dst[k]);
      w.src.push(src[k]);
    }
  }
  return w;
}

template <class T>
void copy_row(char* dst, int64_t dst_step, const char* src, int64_t src_step, int64_t n) {
  for (int64_t i = 0; i < n; ++i) std::memcpy(dst + i * dst_step, src + i * src_step, sizeof(T));
}

using RowFn = void (*)(char*, int64_t, const char*, int64_t, int64_t);

RowFn row_function(int64_t item) {
  switch (item) {
    case 1: return copy_row<uint8_t>;
    case 2: return copy_row<uint16_t>;
    case 4: return copy_row<uint32_t>;
    default: return copy_row<uint64_t>;
  }
}

}  // namespace

void copy_strided(ctn_exec exec, std::span<const int64_t> shape, int64_t item, char* dst,
                  std::span<const int64_t> dst_strides, const char* src,
                  std::span<const int64_t> src_strides) {
  if (sdk::size_of(shape) == 0) return;
  Walk w = merged(shape, dst_strides, src_strides);
  if (w.shape.size() == 0) w.shape.push(1), w.dst.push(item), w.src.push(item);
  const int inner = w.shape.size() - 1;
  const int64_t n = w.shape[inner], dst_step = w.dst[inner], src_step = w.src[inner];
  const bool plain = dst_step == item && src_step == item;
  const RowFn row = row_function(item);
  const int64_t rows = sdk::size_of(w.shape.span().first(static_cast<size_t>(inner)));
  const int64_t grain = std::max<int64_t>(1, kGrainBytes / (n * item));
  sdk::parallel_for(exec, rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      char* to = dst;
      const char* from = src;
      int64_t left = r;
      for (int k = inner - 1; k >= 0; --k) {
        const int64_t at = left % w.shape[k];
        left /= w.shape[k];
        to += at * w.dst[k];
        from += at * w.src[k];
      }
      if (plain)
        std::memcpy(to, from, static_cast<size_t>(n * item));
      else
        row(to, dst_step, from, src_step, n);
    }
  });
}

void fill_zero(ctn_exec exec, void* dst, int64_t bytes) {
  sdk::parallel_for(exec, bytes, kGrainBytes, [&](int64_t begin, int64_t end) {
    std::memset(static_cast<char*>(dst) + begin, 0, static_cast<size_t>(end - begin));
  });
}

}  // namespace catena::cpu
