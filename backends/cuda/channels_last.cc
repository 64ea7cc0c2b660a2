// See channels_last.h. A reorder is a transposition of (C, H W) for each image.
#include <cuda/channels_last.h>
#include <cuda/native.h>

namespace catena::cuda {
namespace {

using sdk::Tensor;

constexpr const char* kText = R"(
struct Transpose {
  i64 batches, rows, columns;
  const void* src;
  void* dst;
};
// dst[b][column][row] = src[b][row][column], in squares that go through shared memory so that both
// sides are walked along lines.
template <class T> __device__ inline void transpose(const Transpose& p) {
  __shared__ T tile[32][33];
  const i64 down = (p.rows + 31) / 32, across = (p.columns + 31) / 32;
  const int x = (int)threadIdx.x % 32, y = (int)threadIdx.x / 32;
  for (i64 t = blockIdx.x; t < p.batches * down * across; t += gridDim.x) {
    const i64 start = t / (down * across) * p.rows * p.columns;
    const i64 row = t / across % down * 32, column = t % across * 32;
    for (int k = y; k < 32; k += kThreads / 32)
      if (row + k < p.rows && column + x < p.columns)
        tile[k][x] = ((const T*)p.src)[start + (row + k) * p.columns + column + x];
    __syncthreads();
    for (int k = y; k < 32; k += kThreads / 32)
      if (column + k < p.columns && row + x < p.rows)
        ((T*)p.dst)[start + (column + k) * p.rows + row + x] = tile[x][k];
    __syncthreads();
  }
}
)";

// As there.
struct Transpose {
  int64_t batches, rows, columns;
  const void* src;
  void* dst;
};

constexpr Sample kSamples[] = {{"transpose<u16>", "Transpose"}, {nullptr, nullptr}};

void require_layout(const ctn_dltensor& t, uint64_t layout) {
  if (layout != kChannelsLast || t.ndim != 4)
    sdk::fail(CTN_EINVAL, "cuda: there is no layout ", layout, " of ", t.ndim, " axes");
}

}  // namespace

constinit const Text kChannelsLastKernels{"channels_last", {&kText}, kSamples};

ctn_status CTN_CALL layout_bytes(void*, const ctn_dltensor* t, uint64_t layout, uint64_t* bytes) {
  return sdk::guarded([&] {
    require_layout(*t, layout);
    const Tensor view(*t);
    *bytes = static_cast<uint64_t>(view.size() * sdk::dtype_bytes(view.dtype()));
  });
}

ctn_status CTN_CALL reorder(void*, ctn_exec exec, const ctn_tensor* src, const ctn_tensor* dst) {
  return sdk::guarded([&] {
    static Native* const kernels = new Native(kChannelsLastKernels);
    const Tensor from(*src), to(*dst);
    const bool last = to.layout() == kChannelsLast;
    require_layout(last ? dst->t : src->t, last ? to.layout() : from.layout());
    if (from.size() == 0) return;
    Device& d = device(sdk::host->exec_device(exec).id);
    const int64_t channels = from.shape(1), plane = from.shape(2) * from.shape(3);
    const Transpose p{from.shape(0), last ? channels : plane, last ? plane : channels, from.data(),
                      to.data()};
    const int64_t tiles = p.batches * ((p.rows + 31) / 32) * ((p.columns + 31) / 32);
    const char* const bits = bits_name(sdk::dtype_bytes(from.dtype()));
    queue(d, kernels->find(d, "transpose", {bits}, "Transpose"), tiles * kThreads, &p);
    note(d, sdk::host->exec_context(exec), "reorder");
  });
}

}  // namespace catena::cuda
