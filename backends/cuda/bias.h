// A bias added to each channel of images that are there already, in either layout. Knows no op.
#pragma once

#include <cuda/native.h>

namespace catena::cuda {

class AddBias {
 public:
  // y of float32 or float64 has this shape; its channels are the second axis, or lie last.
  AddBias(Device& d, ctn_dtype dtype, const std::array<int64_t, 4>& shape, bool channels_last);
  void run(const void* bias, void* y) const;

 private:
  Device& device_;
  const CUfunction kernel_;
  const int64_t size_, channels_, inner_;
};

}  // namespace catena::cuda
