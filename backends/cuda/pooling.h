// The parameters of the kernels of pooling, for channels that are planes and for those innermost.
#pragma once

#include <cuda/division.h>
#include <cuda/native.h>

namespace catena::cuda {

// As in pooling_text.cc. `large` is the side that windows read, `small` has one element for each
// window; rows and columns are those of the side that is written.
struct Pool {
  int64_t planes, height, width, out_h, out_w;
  int64_t kh, kw, sy, sx, py, px;
  const void* from;
  void* to;
  int32_t* index;
  int64_t fault_kind;
  int64_t* fault;
  Divisor rows, columns, down, across;  // the last two: strides
  Divisor packs;                        // of channels that lie innermost
};

// Of planes of one channel; the first input and the first output are read and written.
Pool pool_of(const sdk::Run& run, const sdk::Tensor& large, const sdk::Tensor& small, int ksize,
             int stride, int pad);
// Every place that a kernel computes, beyond the ends too, of `depth` elements each.
double reach(const Pool& p, double depth);

// What windows along an axis and elements have of each other.
extern const char* const kPoolingWindowsText;

}  // namespace catena::cuda
