// See dnn.h.
#include <cuda/dnn.h>
#include <cuda/library.h>
#include <cuda/native.h>

#include <climits>

namespace catena::cuda {
namespace {

std::string version_text(size_t v) {
  return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." +
         std::to_string(v % 100);
}

#define CATENA_TEXT(name) #name
#define CATENA_NAME(name) CATENA_TEXT(name)

std::string fill(Dnn& d, std::initializer_list<const char*> names) {
  Library library = open_library(names, "cuDNN is a package of its own beside the CUDA toolkit");
  if (!library.handle) return library.why;
#define CATENA_FILL(name)                                                                \
  d.name = reinterpret_cast<decltype(&::name)>(find_symbol(library, CATENA_NAME(name))); \
  if (!d.name) return library.why + ": it is not cuDNN " + std::to_string(CUDNN_MAJOR);
  CATENA_CUDA_DNN(CATENA_FILL)
#undef CATENA_FILL
  const size_t version = d.cudnnGetVersion();
  if (version / 10000 != CUDNN_MAJOR)
    return library.name + " is cuDNN " + version_text(version) + ", not " +
           std::to_string(CUDNN_MAJOR);
  return "";
}

ctn_status meaning(cudnnStatus_t status) {
  if (status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
      status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)
    return CTN_ENOMEM;
  switch (CUDNN_STATUS_CATEGORY(status)) {
    case CUDNN_STATUS_NOT_SUPPORTED: return CTN_EUNSUPPORTED;
    case CUDNN_STATUS_BAD_PARAM: return CTN_EINVAL;
    default: return CTN_EDEVICE;
  }
}

cudnnTensorFormat_t format_of(bool channels_last) {
  return channels_last ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW;
}

int small(int64_t n) {
  if (n > INT_MAX) sdk::fail(CTN_EUNSUPPORTED, "cuda: cuDNN takes no axis of ", n);
  return static_cast<int>(n);
}

}  // namespace

Dnn load_dnn(std::initializer_list<const char*> names) {
  Dnn d;
  d.why = fill(d, names);
  return d;
}

const Dnn& dnn() {
  static const Dnn* const d = new Dnn(load_dnn({"libcudnn.so.9", "libcudnn.so"}));
  return *d;
}

std::string dnn_version() { return version_text(dnn().cudnnGetVersion()); }

void check(std::string_view who, cudnnStatus_t status, std::string_view doing) {
  if (status == CUDNN_STATUS_SUCCESS) [[likely]]
    return;
  char more[512] = {};
  dnn().cudnnGetLastErrorString(more, sizeof more);
  more[sizeof more - 1] = 0;
  const std::string rest = *more ? " (" + std::string(more) + ")" : "";
  sdk::fail(meaning(status), who, ": cuDNN: ", doing, ": ", dnn().cudnnGetErrorString(status),
            rest);
}

// ---- descriptors

cudnnDataType_t dnn_type(ctn_dtype dtype) {
  switch (sdk::dtype_index(dtype)) {
    case CTN_FLOAT16: return CUDNN_DATA_HALF;
    case CTN_BFLOAT16: return CUDNN_DATA_BFLOAT16;
    case CTN_FLOAT32: return CUDNN_DATA_FLOAT;
    case CTN_FLOAT64: return CUDNN_DATA_DOUBLE;
    default: sdk::fail(CTN_EUNSUPPORTED, "cuda: cuDNN has no kernels for ", sdk::dtype_name(dtype));
  }
}

cudnnDataType_t dnn_sum_type(ctn_dtype dtype) {
  return sdk::dtype_index(dtype) == CTN_FLOAT64 ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
}

TensorDescriptor describe_images(ctn_dtype dtype, const Sizes& s, bool channels_last) {
  TensorDescriptor t;
  check("cuda",
        dnn().cudnnSetTensor4dDescriptor(t.get(), format_of(channels_last), dnn_type(dtype),
                                         small(s[0]), small(s[1]), small(s[2]), small(s[3])),
        "describing an array");
  return t;
}

FilterDescriptor describe_filters(ctn_dtype dtype, const Sizes& s, bool channels_last) {
  FilterDescriptor f;
  check("cuda",
        dnn().cudnnSetFilter4dDescriptor(f.get(), dnn_type(dtype), format_of(channels_last),
                                         small(s[0]), small(s[1]), small(s[2]), small(s[3])),
        "describing filters");
  return f;
}

// ---- handles

DnnHandle::DnnHandle(Device& d) : device_(d) {
  const Current current(d);
  check(d.name, dnn().cudnnCreate(&handle_), "opening it");
}

DnnHandle::~DnnHandle() {
  if (in_forked_child()) return;  // it is the parent's
  try {
    const Current current(device_);
    dnn().cudnnDestroy(handle_);
  } catch (const sdk::Error&) {
    return;  // the device is lost, and the handle with it
  }
}

cudnnHandle_t DnnHandle::ready() {
  if (stream_ != device_.stream) {
    check(device_.name, dnn().cudnnSetStream(handle_, device_.stream), "choosing the stream");
    stream_ = device_.stream;
  }
  return handle_;
}

std::shared_ptr<DnnHandle> dnn_handle(Device& d) {
  struct Table {
    std::mutex mutex;
    std::weak_ptr<DnnHandle> handles[kMaxDevices];
  };
  static Table* const table = new Table;
  const std::lock_guard lock(table->mutex);
  std::weak_ptr<DnnHandle>& known = table->handles[d.index];
  std::shared_ptr<DnnHandle> handle = known.lock();
  if (!handle) known = handle = std::make_shared<DnnHandle>(d);
  return handle;
}

// ---- calls

const char* declines_dnn(const sdk::Call& c) {
  if (!dnn().why.empty()) return dnn().why.c_str();
  return sdk::config_is(c.context(), "use_cudnn", "never") ? "use_cudnn is 'never'" : nullptr;
}

const char* declines_arrays(const sdk::Call& c, std::initializer_list<sdk::Tensor> arrays) {
  if (const char* why = declines_dnn(c)) return why;
  const ctn_dtype dtype = c.in(0).dtype();
  if (!sdk::is_floating(dtype)) return "dtype not supported";
  for (const sdk::Tensor& t : arrays) {
    if (!sdk::same_dtype(t.dtype(), dtype)) return "dtypes differ";
    if (t.size() == 0) return "nothing to add up";
    if (t.size() > INT_MAX) return "more than 2^31 elements";
  }
  return nullptr;
}

const char* declines_simple(const sdk::Call& c, std::initializer_list<sdk::Tensor> arrays) {
  if (sdk::dtype_index(c.in(0).dtype()) == CTN_BFLOAT16) return "bfloat16";
  return declines_arrays(c, arrays);
}

void* dnn_input(const sdk::Run& run, const sdk::Tensor& t) {
  constexpr uintptr_t kAlignment = 16;
  const auto from = reinterpret_cast<uintptr_t>(t.data());
  if (from % kAlignment == 0) [[likely]]
    return t.data();
  const int64_t bytes = t.size() * sdk::dtype_bytes(t.dtype());
  void* to = run.scratch<char>(bytes);
  Device& d = device_of(run);
  const Current current(d);
  d.check(driver().cuMemcpyDtoDAsync(reinterpret_cast<uintptr_t>(to), from,
                                     static_cast<size_t>(bytes), d.stream),
          "copy");
  return to;
}

void note_queued(const sdk::Run& run) { note(run, sdk::view(sdk::host->exec_label(run.exec()))); }

}  // namespace catena::cuda
