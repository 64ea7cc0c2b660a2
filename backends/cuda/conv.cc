// Kernels of convolution_2d, deconvolution_2d and their gradients: geometry from shapes and
// attributes. Sizes of outputs were decided by the op.
#include <catena/op_attrs.hpp>

#include <cuda/blas.h>
#include <cuda/conv.h>
#include <cuda/move.h>
#include <cuda/widen.h>

namespace catena::cuda {
namespace {

using sdk::Run;
using sdk::Tensor;

// Where an op keeps its attributes.
struct Keys {
  int stride, pad, dilate, groups;
};

// x and y are the arrays of the convolution whose W has kernels of kh x kw.
ConvShape shape(const Run& run, const Tensor& x, const Tensor& y, const Tensor& w,
                const Keys& keys) {
  const auto stride = run.pair(keys.stride), pad = run.pair(keys.pad);
  const auto dilate = run.pair(keys.dilate);
  return {x.shape(0), x.shape(1), x.shape(2), x.shape(3),        y.shape(1), y.shape(2),
          y.shape(3), w.shape(2), w.shape(3), stride[0],         stride[1],  pad[0],
          pad[1],     dilate[0],  dilate[1],  run.i(keys.groups)};
}

// The arrays of a call, as one dtype.
struct Arrays {
  ctn_dtype dtype;
  OutputAs out;
  const void *a, *b, *bias;

  explicit Arrays(const Run& run)
      : dtype(dtype_of(run)),
        out(run, 0, dtype),
        a(data_as(run, run.in(0), dtype)),
        b(data_as(run, run.in(1), dtype)),
        bias(run.has(2) ? data_as(run, run.in(2), dtype) : nullptr) {}

  static ctn_dtype dtype_of(const Run& run) {
    const ctn_dtype own = run.in(0).dtype();
    return sdk::same_dtype(own, run.in(1).dtype()) ? own : compute_dtype(run);
  }
};

// Where one side of a product has no elements, what is left is the bias.
bool bias_alone(const Run& run, const Arrays& arrays) {
  const Tensor t = run.out(0);
  if (t.size() == 0) return true;
  if (run.in(0).size() != 0 && run.in(1).size() != 0) return false;
  Device& d = device_of(run);
  const int64_t item = sdk::dtype_bytes(arrays.dtype), plane = t.shape(2) * t.shape(3);
  if (arrays.bias) {
    const int64_t size[] = {t.shape(0), t.shape(1), plane}, from[] = {0, item, 0};
    const int64_t to[] = {t.shape(1) * plane * item, plane * item, item};
    copy_strided(d, size, item, arrays.out.data(), to, arrays.bias, from);
  } else {
    fill_zero(d, arrays.out.data(), t.size() * item);
  }
  return true;
}

template <class Body>
void run_conv(const Run& run, const char* name, Body&& body) {
  const Arrays arrays(run);
  if (!bias_alone(run, arrays)) body(arrays);
  arrays.out.store();
  note(run, name);
}

void forward(const Run& run, const char* name, const Keys& keys) {
  run_conv(run, name, [&](const Arrays& a) {
    conv_forward(run, shape(run, run.in(0), run.out(0), run.in(1), keys), a.dtype, a.a, a.b, a.bias,
                 a.out.data());
  });
}

void convolution(const Run& run) {
  namespace a = attr::convolution_2d;
  forward(run, "convolution_2d", {a::stride, a::pad, a::dilate, a::groups});
}
void convolution_sized(const Run& run) {
  namespace a = attr::convolution_2d_sized;
  forward(run, "convolution_2d_sized", {a::stride, a::pad, a::dilate, a::groups});
}

void deconvolution(const Run& run) {
  namespace k = attr::deconvolution_2d;
  const Keys keys{k::stride, k::pad, k::dilate, k::groups};
  run_conv(run, "deconvolution_2d", [&](const Arrays& a) {
    conv_transposed(run, shape(run, run.out(0), run.in(0), run.in(1), keys), a.dtype, a.a, a.b,
                    a.bias, a.out.data());
  });
}

void weights(const Run& run) {
  namespace k = attr::convolution_2d_weights;
  const Keys keys{k::stride, k::pad, k::dilate, k::groups};
  run_conv(run, "convolution_2d_weights", [&](const Arrays& a) {
    conv_weights(run, shape(run, run.in(0), run.in(1), run.out(0), keys), a.dtype, a.a, a.b,
                 a.out.data());
  });
}

const char* supported(const sdk::Call&) {
  return blas_why().empty() ? nullptr : blas_why().c_str();
}

}  // namespace

ctn_status register_conv(const ctn_host* host, ctn_plugin plugin) {
  constexpr auto kSupports = sdk::supports<supported>;
  return add_kernels(host, plugin,
                     {{"convolution_2d", sdk::kernel<convolution>, 0, kSupports},
                      {"convolution_2d_sized", sdk::kernel<convolution_sized>, 0, kSupports},
                      {"deconvolution_2d", sdk::kernel<deconvolution>, 0, kSupports},
                      {"convolution_2d_weights", sdk::kernel<weights>, 0, kSupports}});
}

}  // namespace catena::cuda
