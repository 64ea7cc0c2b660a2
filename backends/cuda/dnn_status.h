// What the backend says of cuDNN, whether it was built with it or not.
#pragma once

#include <string>

namespace catena::cuda {

// "cuDNN 9.19.0", or "no cuDNN (libcudnn.so.9: cannot open ...)". Opens the library.
std::string dnn_status();

}  // namespace catena::cuda
