// In place of the kernels of cuDNN where its headers were missing.
#include <cuda/dnn_status.h>
#include <cuda/native.h>

namespace catena::cuda {

std::string dnn_status() { return "no cuDNN (built without its headers)"; }

ctn_status register_dnn(const ctn_host*, ctn_plugin) { return CTN_OK; }

}  // namespace catena::cuda
