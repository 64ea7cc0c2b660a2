// Plans of convolutions: see dnn_conv_plan.h.
#include <cuda/dnn_conv_plan.h>

#include <algorithm>

namespace catena::cuda {
namespace {

using Arrays = ConvPlan::Arrays;
using Data = ConvPlan::Data;

// cuDNN's functions of each direction, with their arguments in one order.
struct Forward {
  using Perf = cudnnConvolutionFwdAlgoPerf_t;
  using Algorithm = cudnnConvolutionFwdAlgo_t;
  static constexpr int kCount = CUDNN_CONVOLUTION_FWD_ALGO_COUNT;
  static cudnnStatus_t foretell(cudnnHandle_t h, const Arrays& a, int most, int* n, Perf* out) {
    return dnn().cudnnGetConvolutionForwardAlgorithm_v7(h, a.x.get(), a.w.get(), a.conv.get(),
                                                        a.y.get(), most, n, out);
  }
  static cudnnStatus_t time(cudnnHandle_t h, const Arrays& a, const Data& d, int most, int* n,
                            Perf* out, void* workspace, size_t bytes) {
    return dnn().cudnnFindConvolutionForwardAlgorithmEx(h, a.x.get(), d.x, a.w.get(), d.w,
                                                        a.conv.get(), a.y.get(), d.y, most, n, out,
                                                        workspace, bytes);
  }
  static cudnnStatus_t bytes(cudnnHandle_t h, const Arrays& a, int algorithm, size_t* out) {
    return dnn().cudnnGetConvolutionForwardWorkspaceSize(
        h, a.x.get(), a.w.get(), a.conv.get(), a.y.get(), static_cast<Algorithm>(algorithm), out);
  }
  static cudnnStatus_t run(cudnnHandle_t h, const Arrays& a, const Data& d, int algorithm,
                           void* workspace, size_t bytes, const void* one, const void* zero) {
    return dnn().cudnnConvolutionForward(h, one, a.x.get(), d.x, a.w.get(), d.w, a.conv.get(),
                                         static_cast<Algorithm>(algorithm), workspace, bytes, zero,
                                         a.y.get(), d.y);
  }
};

struct BackwardData {
  using Perf = cudnnConvolutionBwdDataAlgoPerf_t;
  using Algorithm = cudnnConvolutionBwdDataAlgo_t;
  static constexpr int kCount = CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT;
  static cudnnStatus_t foretell(cudnnHandle_t h, const Arrays& a, int most, int* n, Perf* out) {
    return dnn().cudnnGetConvolutionBackwardDataAlgorithm_v7(h, a.w.get(), a.y.get(), a.conv.get(),
                                                             a.x.get(), most, n, out);
  }
  static cudnnStatus_t time(cudnnHandle_t h, const Arrays& a, const Data& d, int most, int* n,
                            Perf* out, void* workspace, size_t bytes) {
    return dnn().cudnnFindConvolutionBackwardDataAlgorithmEx(h, a.w.get(), d.w, a.y.get(), d.y,
                                                             a.conv.get(), a.x.get(), d.x, most, n,
                                                             out, workspace, bytes);
  }
  static cudnnStatus_t bytes(cudnnHandle_t h, const Arrays& a, int algorithm, size_t* out) {
    return dnn().cudnnGetConvolutionBackwardDataWorkspaceSize(
        h, a.w.get(), a.y.get(), a.conv.get(), a.x.get(), static_cast<Algorithm>(algorithm), out);
  }
  static cudnnStatus_t run(cudnnHandle_t h, const Arrays& a, const Data& d, int algorithm,
                           void* workspace, size_t bytes, const void* one, const void* zero) {
    return dnn().cudnnConvolutionBackwardData(h, one, a.w.get(), d.w, a.y.get(), d.y, a.conv.get(),
                                              static_cast<Algorithm>(algorithm), workspace, bytes,
                                              zero, a.x.get(), d.x);
  }
};

struct BackwardFilter {
  using Perf = cudnnConvolutionBwdFilterAlgoPerf_t;
  using Algorithm = cudnnConvolutionBwdFilterAlgo_t;
  static constexpr int kCount = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT;
  static cudnnStatus_t foretell(cudnnHandle_t h, const Arrays& a, int most, int* n, Perf* out) {
    return dnn().cudnnGetConvolutionBackwardFilterAlgorithm_v7(
        h, a.x.get(), a.y.get(), a.conv.get(), a.w.get(), most, n, out);
  }
  static cudnnStatus_t time(cudnnHandle_t h, const Arrays& a, const Data& d, int most, int* n,
                            Perf* out, void* workspace, size_t bytes) {
    return dnn().cudnnFindConvolutionBackwardFilterAlgorithmEx(h, a.x.get(), d.x, a.y.get(), d.y,
                                                               a.conv.get(), a.w.get(), d.w, most,
                                                               n, out, workspace, bytes);
  }
  static cudnnStatus_t bytes(cudnnHandle_t h, const Arrays& a, int algorithm, size_t* out) {
    return dnn().cudnnGetConvolutionBackwardFilterWorkspaceSize(
        h, a.x.get(), a.y.get(), a.conv.get(), a.w.get(), static_cast<Algorithm>(algorithm), out);
  }
  static cudnnStatus_t run(cudnnHandle_t h, const Arrays& a, const Data& d, int algorithm,
                           void* workspace, size_t bytes, const void* one, const void* zero) {
    return dnn().cudnnConvolutionBackwardFilter(h, one, a.x.get(), d.x, a.y.get(), d.y,
                                                a.conv.get(), static_cast<Algorithm>(algorithm),
                                                workspace, bytes, zero, a.w.get(), d.w);
  }
};

// body.operator()<F>() with the functions of a direction.
template <class Body>
auto with_functions(Direction d, Body&& body) {
  switch (d) {
    case Direction::kForward: return body.template operator()<Forward>();
    case Direction::kData: return body.template operator()<BackwardData>();
    default: return body.template operator()<BackwardFilter>();
  }
}

bool is_winograd(cudnnConvolutionFwdAlgo_t a) {
  return a == CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD ||
         a == CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED;
}
bool is_winograd(cudnnConvolutionBwdDataAlgo_t a) {
  return a == CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD ||
         a == CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED;
}
bool is_winograd(cudnnConvolutionBwdFilterAlgo_t a) {
  return a == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD ||
         a == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED;
}

constexpr const char* kAsking = "asking for an algorithm";
// The one algorithm that cuDNN has with a bias and nothing behind it.
constexpr auto kFusing = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;

int small(int64_t n) {
  if (n < 0 || n > INT32_MAX) sdk::fail(CTN_EUNSUPPORTED, "cuda: cuDNN takes no window of ", n);
  return static_cast<int>(n);
}

ConvDescriptor describe(const ConvKind& k) {
  ConvDescriptor d;
  const Dnn& f = dnn();
  check("cuda",
        f.cudnnSetConvolution2dDescriptor(
            d.get(), small(k.pad[0]), small(k.pad[1]), small(k.stride[0]), small(k.stride[1]),
            small(k.dilate[0]), small(k.dilate[1]), CUDNN_CROSS_CORRELATION, dnn_sum_type(k.dtype)),
        "describing a convolution");
  check("cuda", f.cudnnSetConvolutionGroupCount(d.get(), small(k.groups)), "setting groups");
  check("cuda", f.cudnnSetConvolutionMathType(d.get(), k.math), "setting the kind of arithmetic");
  return d;
}

ActivationDescriptor describe_identity() {
  ActivationDescriptor d;
  check("cuda",
        dnn().cudnnSetActivationDescriptor(d.get(), CUDNN_ACTIVATION_IDENTITY,
                                           CUDNN_NOT_PROPAGATE_NAN, 0),
        "describing nothing behind a bias");
  return d;
}

}  // namespace

ConvPlan::ConvPlan(const ConvKind& k, bool channels_last)
    : kind_(k),
      channels_last_(channels_last),
      arrays_{describe_images(k.dtype, k.x, channels_last),
              describe_images(k.dtype, k.y, channels_last),
              describe_filters(k.dtype, k.w, channels_last), describe(k)},
      one_(k.dtype, 1),
      zero_(k.dtype, 0),
      handle_(dnn_handle(device_of(k.device))) {
  if (k.fuses_bias())
    fused_.emplace(Fused{describe_images(k.dtype, {1, k.y[1], 1, 1}), describe_identity()});
  else if (k.bias)
    add_bias_.emplace(handle_->device(), k.dtype, k.direction == Direction::kData ? k.x : k.y,
                      channels_last);
}

void ConvPlan::set_math(cudnnMathType_t math) {
  check("cuda", dnn().cudnnSetConvolutionMathType(arrays_.conv.get(), math),
        "setting the kind of arithmetic");
}

// Those of them that the kind allows, the first one and what does with its workspace; what was
// chosen before stays if there are none.
template <class Perf, class Bytes>
const char* ConvPlan::take(std::span<const Perf> found, Bytes&& bytes) {
  std::vector<Choice> allowed;
  bool large = false, varying = false, winograd = false;  // there were such, not allowed
  for (const Perf& p : found) {
    if (p.status != CUDNN_STATUS_SUCCESS) continue;
    if (kind_.deterministic && p.determinism != CUDNN_DETERMINISTIC) {
      varying = true;
      continue;
    }
    if (!kind_.winograd && is_winograd(p.algo)) {
      winograd = true;
      continue;
    }
    const cudnnMathType_t math = kind_.math == CUDNN_FMA_MATH ? CUDNN_FMA_MATH : p.mathType;
    set_math(math);
    size_t needed = 0;
    if (bytes(p.algo, &needed) != CUDNN_STATUS_SUCCESS) continue;
    if (needed > static_cast<uint64_t>(kind_.workspace)) {
      large = true;
      continue;
    }
    if (allowed.empty() || needed <= allowed.front().workspace)
      allowed.push_back({static_cast<int>(p.algo), math, needed});
  }
  const bool none = allowed.empty();
  if (!none) {
    choices_ = std::move(allowed);
    workspace_ = choices_.front().workspace;
  }
  if (!choices_.empty()) set_math(choices_.front().math);
  return !none      ? nullptr
         : large    ? "cuDNN has no algorithm for it within max_workspace_size"
         : varying  ? "cuDNN has no deterministic algorithm for it"
         : winograd ? "cuDNN has no algorithm for it but Winograd's"
                    : "cuDNN has no algorithm for it";
}

const char* ConvPlan::choose() {
  if (fused_) return choose_fused();
  return with_functions(kind_.direction, [&]<class F>() {
    typename F::Perf found[2 * F::kCount];  // each with and without tensor cores
    const char* why = nullptr;
    handle_->use(kAsking, [&](cudnnHandle_t h) {
      int n = 0;
      const cudnnStatus_t s = F::foretell(h, arrays_, 2 * F::kCount, &n, found);
      if (s != CUDNN_STATUS_SUCCESS) return s;
      const std::span<typename F::Perf> all(found, static_cast<size_t>(n));
      // so that two runs give the same bits
      std::stable_partition(all.begin(), all.end(),
                            [](const auto& p) { return p.determinism == CUDNN_DETERMINISTIC; });
      why = take(std::span<const typename F::Perf>(all),
                 [&](int a, size_t* out) { return F::bytes(h, arrays_, a, out); });
      return s;
    });
    return why;
  });
}

void ConvPlan::choose(std::span<const Choice> known) {
  choices_.assign(known.begin(), known.end());
  workspace_ = choices_.front().workspace;
  set_math(choices_.front().math);
}

// Nobody foretells how well it does, but there is one algorithm only.
const char* ConvPlan::choose_fused() {
  Forward::Perf all[2] = {};
  for (Forward::Perf& p : all) {
    p.algo = kFusing;
    p.determinism = CUDNN_DETERMINISTIC;
    p.mathType = &p == all ? kind_.math : CUDNN_FMA_MATH;
  }
  const std::span<const Forward::Perf> found(all, kind_.math == CUDNN_FMA_MATH ? 1 : 2);
  const char* why = nullptr;
  handle_->use(kAsking, [&](cudnnHandle_t h) {
    why = take(found, [&](int a, size_t* out) { return Forward::bytes(h, arrays_, a, out); });
    return CUDNN_STATUS_SUCCESS;
  });
  return why;
}

const char* ConvPlan::try_bias(ctn_context ctx) {
  const auto room = [&](int64_t bytes) {
    ctn_array made = nullptr;
    sdk::check(
        sdk::api().array_new_on(ctx, kind_.device, sdk::dtype_of(CTN_UINT8), 1, &bytes, &made));
    return sdk::Array::take(made);
  };
  const int64_t item = sdk::dtype_bytes(kind_.dtype);
  const int64_t read = std::max({sdk::size_of(kind_.x), sdk::size_of(kind_.w), kind_.y[1]});
  const sdk::Array in = room(read * item), out = room(sdk::size_of(kind_.y) * item);
  const sdk::Array scratch = room(static_cast<int64_t>(workspace()));
  void *const from = in.view().data, *const to = out.view().data;
  void* const rest = scratch.view().data;
  try {
    run({from, from, to, from}, rest);
  } catch (const sdk::Error& e) {
    if (e.status() != CTN_EUNSUPPORTED && e.status() != CTN_EINVAL) throw;
    return "cuDNN adds no bias to such a convolution before it rounds";
  }
  return nullptr;
}

bool ConvPlan::take_known(int algorithm, int math) {
  return with_functions(kind_.direction, [&]<class F>() {
    typename F::Perf found[2 * F::kCount];
    bool taken = false;
    handle_->use(kAsking, [&](cudnnHandle_t h) {
      int n = 0;
      const cudnnStatus_t s = F::foretell(h, arrays_, 2 * F::kCount, &n, found);
      if (s != CUDNN_STATUS_SUCCESS) return s;
      const auto all = std::span(found, static_cast<size_t>(n));
      const auto same = [&](const auto& p) { return static_cast<int>(p.algo) == algorithm; };
      const auto at = std::find_if(all.begin(), all.end(), same);
      if (at == all.end() || math < 0 || math > CUDNN_FMA_MATH) return s;
      at->mathType = static_cast<cudnnMathType_t>(math);
      std::rotate(all.begin(), at, at + 1);
      take(std::span<const typename F::Perf>(all),
           [&](int a, size_t* out) { return F::bytes(h, arrays_, a, out); });
      taken = choices_.front().algorithm == algorithm && choices_.front().math == math;
      return s;
    });
    return taken;
  });
}

void ConvPlan::choose_fastest(ctn_context ctx) {
  const auto room = [&](std::span<const int64_t> shape, ctn_dtype dtype) {
    return sdk::Array::full(ctx, dtype, shape, 0.5).on(kind_.device);
  };
  with_functions(kind_.direction, [&]<class F>() {
    size_t most = 0;  // what the most demanding one takes of what is allowed
    handle_->use(kAsking, [&](cudnnHandle_t h) {
      for (int a = 0; a < F::kCount; ++a) {
        size_t bytes = 0;
        if (F::bytes(h, arrays_, a, &bytes) == CUDNN_STATUS_SUCCESS &&
            bytes <= static_cast<uint64_t>(kind_.workspace))
          most = std::max(most, bytes);
      }
      return CUDNN_STATUS_SUCCESS;
    });
    const sdk::Array x = room(kind_.x, kind_.dtype), w = room(kind_.w, kind_.dtype);
    const sdk::Array y = room(kind_.y, kind_.dtype);
    const int64_t bytes[] = {static_cast<int64_t>(most)};
    const sdk::Array scratch = room(bytes, sdk::dtype_of(CTN_UINT8));
    const Data data{x.view().data, w.view().data, y.view().data, nullptr};
    void* const workspace = most ? scratch.view().data : nullptr;
    typename F::Perf found[2 * F::kCount];
    handle_->use("timing algorithms", [&](cudnnHandle_t h) {
      int n = 0;
      const cudnnStatus_t s = F::time(h, arrays_, data, 2 * F::kCount, &n, found, workspace, most);
      if (s == CUDNN_STATUS_SUCCESS)
        take(std::span<const typename F::Perf>(found, static_cast<size_t>(n)),
             [&](int a, size_t* out) { return F::bytes(h, arrays_, a, out); });
      return s;
    });
  });
}

void ConvPlan::run(const Data& data, void* scratch) {
  const auto at = (reinterpret_cast<uintptr_t>(scratch) + kAlignment - 1) & ~(kAlignment - 1);
  void* const workspace = workspace_ ? reinterpret_cast<void*>(at) : nullptr;
  with_functions(kind_.direction, [&]<class F>() {
    handle_->use("a convolution", [&](cudnnHandle_t h) {
      const auto attempt = [&] {
        if (fused_) return run_fused(h, data, workspace);
        return F::run(h, arrays_, data, choices_.front().algorithm, workspace, workspace_,
                      one_.get(), zero_.get());
      };
      cudnnStatus_t s = attempt();
      while (CUDNN_STATUS_CATEGORY(s) == CUDNN_STATUS_NOT_SUPPORTED && choices_.size() > 1) {
        choices_.erase(choices_.begin());
        set_math(choices_.front().math);
        s = attempt();
      }
      return s;
    });
  });
  if (add_bias_) add_bias_->run(data.bias, kind_.direction == Direction::kData ? data.x : data.y);
}

cudnnStatus_t ConvPlan::run_fused(cudnnHandle_t h, const Data& data, void* workspace) const {
  const Arrays& a = arrays_;
  return dnn().cudnnConvolutionBiasActivationForward(
      h, one_.get(), a.x.get(), data.x, a.w.get(), data.w, a.conv.get(), kFusing, workspace,
      workspace_, zero_.get(), a.y.get(), data.y, fused_->bias.get(), data.bias,
      fused_->identity.get(), a.y.get(), data.y);
}

}  // namespace catena::cuda
