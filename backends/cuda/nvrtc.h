// CUDA C to machine code at run time: NVRTC as a table of the functions used. Knows no form.
#pragma once

#include <string>
#include <vector>

namespace catena::cuda {

// What a source was made into for one architecture: cubin, or PTX where NVRTC does not know the
// architecture. `of` says which, e.g. "sm_90" or "compute_120".
struct Image {
  std::string code;
  std::string of;
};

// Empty if NVRTC can be used; otherwise why not.
const std::string& nvrtc_why();
// "13.0"; part of the key of compiled code.
const std::string& nvrtc_version();

// The options that decide about the code, for compute capability major.minor.
std::vector<std::string> nvrtc_options(int major, int minor);

// Throws sdk::Error: CTN_EUNSUPPORTED without NVRTC, CTN_EINTERNAL with the compiler's log if it
// refuses the source. more: options that the code's key says nothing of.
Image nvrtc_compile(const std::string& source, int major, int minor,
                    const std::vector<std::string>& more = {});

}  // namespace catena::cuda
