// Kernels written in CUDA C by hand, compiled when they are first used on a device. What kernels
// share lives here too: where a run belongs, and how its kernel is launched.
#pragma once

#include <catena/sdk.hpp>

#include <cuda/code.h>
#include <cuda/queued.h>
#include <cuda/source.h>

#include <atomic>
#include <map>
#include <span>

namespace catena::cuda {

// One kernel of a text: what it is instantiated with, and the struct that is its parameter.
struct Entry {
  std::string function;  // "copy_strided<u32>": takes the struct by reference
  const char* parameter;
};

// A file's kernels: functions and structs, compiled behind the prelude of source.h. `samples` has
// each of its templates once, as an Entry of a usual dtype, for the test that compiles them all.
struct Sample {
  const char* function;
  const char* parameter;
};
struct Text {
  const char* name;
  const char* const* parts[3];  // one after the other
  const Sample* samples;        // up to one without a function
};

// The source of these entries, the k-th as the kernel "entry<k>".
std::string native_source(const Text& text, std::span<const Entry> entries);

// A text's kernels as they are asked for. Those that were asked for before are found without a lock
// and without memory. Never destroyed.
class Native {
 public:
  using Arguments = std::initializer_list<std::string_view>;

  explicit Native(const Text& text) : text_(text) {}
  // "function<arguments>", or "function", whose parameter is a struct of that name. Each is a
  // module of its own: a text has dozens, of which a program uses few.
  CUfunction find(Device& d, std::string_view function, Arguments arguments, const char* parameter);

 private:
  struct Found {
    int device;
    std::string name;
    CUfunction function;
  };
  static constexpr size_t kSlots = 256, kProbes = 8;

  CUfunction load(Device& d, std::string_view name, size_t slot, const char* parameter);

  const Text& text_;
  // By hash, each in the first free one of kProbes; what finds none free is in the map alone.
  std::atomic<const Found*> slots_[kSlots] = {};
  std::mutex mutex_;
  std::map<std::pair<int, std::string>, Found> functions_;
};

inline Device& device_of(const sdk::Run& run) {
  return device_of(sdk::host->exec_device(run.exec()));
}

// Notes what a run has queued, and where its kernels report what is wrong with their data.
inline void note(const sdk::Run& run, std::string_view op) {
  note(device_of(run), sdk::host->exec_context(run.exec()), op);
}
inline int64_t* fault_of(const sdk::Run& run) {
  return queued_by(device_of(run), sdk::host->exec_context(run.exec())).fault;
}

// Queues a kernel whose one parameter is `p`, with a thread for each of n things (kernels loop
// where that is more than a grid).
void queue(Device& d, CUfunction f, int64_t n, const void* p);

// Whether factors of float32 may be rounded to TF32, for tensor cores to multiply.
inline bool rounds_factors(const sdk::Call& c) {
  return sdk::config_is(c.context(), "use_cudnn_tensor_core", "always");
}

// As the prelude calls the type of an element, an unsigned integer of as many bytes, and an integer
// that counts or names.
const char* type_name(ctn_dtype dtype);
const char* bits_name(int64_t bytes);
const char* index_name(ctn_dtype dtype);
// What a kernel that computes no place beyond `most` counts with: division in 32 bits is several
// times as fast.
inline const char* count_type(double most) { return most < (1 << 30) ? "i32" : "i64"; }

// Zeros, in the order of the stream.
void fill_zero(Device& d, void* p, int64_t bytes);

// One row of a file's kernels: add_kernels registers them for this backend.
struct KernelRow {
  std::string_view op;
  ctn_status(CTN_CALL* run)(void* self, const ctn_run* run);
  uint32_t flags = 0;
  ctn_status(CTN_CALL* supports)(void* self, const ctn_call_info* call, int32_t* yes,
                                 ctn_str* why) = nullptr;
  ctn_status(CTN_CALL* plan)(void* self, const ctn_call_info* call, ctn_plan* plan) = nullptr;
  void(CTN_CALL* drop)(void* self, void* state) = nullptr;
  int32_t priority = 0;
};
ctn_status add_kernels(const ctn_host* host, ctn_plugin plugin,
                       std::initializer_list<KernelRow> rows);

// The texts, and the files of kernels.
extern const Text kBiasKernels;
extern const Text kChannelsLastKernels;
extern const Text kConvKernels;
extern const Text kDnnNormKernels;
extern const Text kFaultKernels;
extern const Text kLossKernels;
extern const Text kLrnKernels;
extern const Text kMoveKernels;
extern const Text kNoiseKernels;
extern const Text kNormLastKernels;
extern const Text kNormKernels;
extern const Text kPoolingKernels;
extern const Text kPoolingLastKernels;
extern const Text kSoftmaxKernels;
extern const Text kWidenKernels;
inline constexpr const Text* kTexts[] = {
    &kBiasKernels,        &kChannelsLastKernels, &kConvKernels,  &kNormLastKernels,
    &kDnnNormKernels,     &kFaultKernels,        &kLossKernels,  &kLrnKernels,
    &kMoveKernels,        &kNoiseKernels,        &kNormKernels,  &kPoolingKernels,
    &kPoolingLastKernels, &kSoftmaxKernels,      &kWidenKernels,
};

using RegisterFn = ctn_status (*)(const ctn_host* host, ctn_plugin plugin);
ctn_status register_conv(const ctn_host* host, ctn_plugin plugin);
ctn_status register_dnn(const ctn_host* host, ctn_plugin plugin);
ctn_status register_loss(const ctn_host* host, ctn_plugin plugin);
ctn_status register_matmul(const ctn_host* host, ctn_plugin plugin);
ctn_status register_move(const ctn_host* host, ctn_plugin plugin);
ctn_status register_noise(const ctn_host* host, ctn_plugin plugin);
ctn_status register_norm_last(const ctn_host* host, ctn_plugin plugin);
ctn_status register_lrn(const ctn_host* host, ctn_plugin plugin);
ctn_status register_norm(const ctn_host* host, ctn_plugin plugin);
ctn_status register_pooling(const ctn_host* host, ctn_plugin plugin);
ctn_status register_pooling_last(const ctn_host* host, ctn_plugin plugin);
ctn_status register_softmax(const ctn_host* host, ctn_plugin plugin);
inline constexpr RegisterFn kKernelFiles[] = {
    register_conv,         register_dnn,     register_loss, register_matmul,    register_move,
    register_noise,        register_lrn,     register_norm, register_norm_last, register_pooling,
    register_pooling_last, register_softmax, nullptr,  // ends the list
};

}  // namespace catena::cuda
