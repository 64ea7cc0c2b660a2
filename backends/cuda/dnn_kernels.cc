// The files of kernels that call cuDNN, and what a device says of it.
#include <cuda/dnn.h>
#include <cuda/dnn_status.h>
#include <cuda/native.h>

namespace catena::cuda {

std::string dnn_status() {
  return dnn().why.empty() ? "cuDNN " + dnn_version() : "no cuDNN (" + dnn().why + ")";
}

ctn_status register_dnn_conv(const ctn_host* host, ctn_plugin plugin);
ctn_status register_dnn_norm(const ctn_host* host, ctn_plugin plugin);
ctn_status register_dnn_pooling(const ctn_host* host, ctn_plugin plugin);
ctn_status register_dnn_softmax(const ctn_host* host, ctn_plugin plugin);

ctn_status register_dnn(const ctn_host* host, ctn_plugin plugin) {
  for (const RegisterFn file :
       {register_dnn_conv, register_dnn_norm, register_dnn_pooling, register_dnn_softmax}) {
    const ctn_status status = file(host, plugin);
    if (status != CTN_OK) return status;
  }
  return CTN_OK;
}

}  // namespace catena::cuda
