// What is decided once for a convolution of certain shapes: descriptors and the algorithm, by
// cuDNN's rule or by timing. Knows no op: where its attributes are, a role says.
#pragma once

#include <catena/sdk/conv.hpp>

#include <cuda/bias.h>
#include <cuda/dnn.h>

#include <array>
#include <optional>
#include <span>
#include <vector>

namespace catena::cuda {

using sdk::ConvRole;
using sdk::ConvSides;
using Direction = sdk::ConvDirection;

// All that a plan follows from, as numbers.
struct ConvKind {
  Direction direction;
  ctn_device device;
  int64_t groups, bias, deterministic, winograd, workspace;
  cudnnMathType_t math;
  ctn_dtype dtype;
  Sizes x, w, y;
  std::array<int64_t, 2> stride, pad, dilate;

  ConvKind(const sdk::Call& c, const ConvRole& role, const ConvSides& s);
  // Whether steps and border are of a size that cuDNN's kernels compute with.
  bool is_moderate() const;
  // Whether y has the positions that cuDNN gives it.
  bool fits() const;
  // Whether channels that lie last are to be tried first: tensor cores read 16-bit floats so.
  bool prefers_channels_last() const { return dtype.bits == 16 && math == CUDNN_TENSOR_OP_MATH; }
  // Whether the function that convolves has to add the bias too: another one would read 16-bit
  // floats that were rounded, and round their sum again.
  bool fuses_bias() const { return bias && dtype.bits == 16; }
  using Key = std::array<int64_t, 28>;
  Key key() const;
};

class ConvPlan {
 public:
  struct Choice {
    int algorithm;
    cudnnMathType_t math;
    size_t workspace;
  };

  ConvPlan(const ConvKind& kind, bool channels_last);
  // The best algorithm that the kind allows, as cuDNN foretells; one that does not give the same
  // bits each time only where there is no other. NULL, or why there is none.
  const char* choose();
  // What another plan of the kind and layout chose.
  void choose(std::span<const Choice> known);
  std::span<const Choice> choices() const { return choices_; }
  // Where the bias is fused: whether cuDNN does so is known when it has done it, here on memory of
  // the context. NULL, or why not. Not while work is captured.
  const char* try_bias(ctn_context ctx);
  // The same by timing all, on memory of the context, where that finds one; or as was decided so
  // before (dnn_tuning.cc).
  void tune(ctn_context ctx);

  bool channels_last() const { return channels_last_; }
  // Bytes of scratch; what is handed to run need not be aligned.
  uint64_t workspace() const { return workspace_ ? workspace_ + kAlignment - 1 : 0; }
  struct Data {
    void *x, *w, *y;
    const void* bias;  // or NULL; added to what is computed, y or x
  };
  // What cuDNN foretold it may still refuse: then the next of the algorithms serves from now on.
  void run(const Data& data, void* workspace);

  struct Arrays {
    TensorDescriptor x, y;
    FilterDescriptor w;
    ConvDescriptor conv;
  };

 private:
  // With the bias in the same function.
  struct Fused {
    TensorDescriptor bias;
    ActivationDescriptor identity;
  };
  static constexpr uintptr_t kAlignment = 256;

  template <class Perf, class Bytes>
  const char* take(std::span<const Perf> found, Bytes&& bytes);
  void set_math(cudnnMathType_t math);
  const char* choose_fused();
  cudnnStatus_t run_fused(cudnnHandle_t h, const Data& data, void* workspace) const;
  void choose_fastest(ctn_context ctx);
  // False where cuDNN or the kind does not allow it: numbers may come from a file.
  bool take_known(int algorithm, int math);

  const ConvKind kind_;
  const bool channels_last_;  // of x, W and y
  const Arrays arrays_;
  std::optional<Fused> fused_;
  std::optional<AddBias> add_bias_;  // after the convolution, where it is not fused
  const Factor one_, zero_;
  const std::shared_ptr<DnnHandle> handle_;
  std::vector<Choice> choices_;  // the first is used; changed with the handle's mutex held
  size_t workspace_ = 0;         // of what was the first when it was planned
};

}  // namespace catena::cuda
