// Kernels of pooling for 16-bit images whose channels lie innermost: what convolutions through
// cuDNN give stays as it is. All others are left to other kernels.
#include <catena/op_attrs.hpp>

#include <cuda/channels_last.h>
#include <cuda/native.h>
#include <cuda/pooling.h>

namespace catena::cuda {
namespace {

using sdk::Call;
using sdk::Run;
using sdk::Tensor;

// Where an op keeps its attributes, and whether its output is the side that windows read.
struct Keys {
  int ksize, stride, pad;
  bool gives_large;
};
namespace k = attr;
constexpr Keys kMax{k::max_pooling_2d_indexed::ksize, k::max_pooling_2d_indexed::stride,
                    k::max_pooling_2d_indexed::pad, false};
constexpr Keys kScatter{k::pooling_scatter_2d::ksize, k::pooling_scatter_2d::stride,
                        k::pooling_scatter_2d::pad, true};
constexpr Keys kAverage{k::average_pooling_2d::ksize, k::average_pooling_2d::stride,
                        k::average_pooling_2d::pad, false};
constexpr Keys kSpread{k::average_pooling_2d_grad::ksize, k::average_pooling_2d_grad::stride,
                       k::average_pooling_2d_grad::pad, true};

int64_t pack_of(int64_t channels) { return channels % 8 == 0 ? 8 : 1; }

// Channels are a plane's innermost axis, by packs.
void pool(const Run& run, const char* name, const Keys& keys, int32_t* index) {
  static Native* const kernels = new Native(kPoolingLastKernels);
  Device& d = device_of(run);
  const Tensor x = run.in(0), y = run.out(0);
  const int64_t pack = pack_of(x.shape(1));
  Pool p = pool_of(run, keys.gives_large ? y : x, keys.gives_large ? x : y, keys.ksize, keys.stride,
                   keys.pad);
  p.planes = x.shape(0);
  p.packs = Divisor(x.shape(1) / pack);
  p.index = index;
  p.fault = fault_of(run);
  const double places = reach(p, static_cast<double>(p.packs.by));
  const Native::Arguments arguments = {type_name(y.dtype()), pack == 8 ? "8" : "1",
                                       count_type(places)};
  queue(d, kernels->find(d, name, arguments, "Pool"), y.size() / pack, &p);
  note(run, name);
}

void max_pooling(const Run& run) { pool(run, "max_pool", kMax, run.out(1).data<int32_t>()); }
void scatter(const Run& run) { pool(run, "pool_scatter", kScatter, run.in(1).data<int32_t>()); }
void average_pooling(const Run& run) { pool(run, "average_pool", kAverage, nullptr); }
void average_gradient(const Run& run) { pool(run, "average_spread", kSpread, nullptr); }

// Only what is in the layout already: there is nothing to gain from putting it there.
const char* supports_pooling(const Call& c) {
  if (c.in(0).dtype().bits != 16 || !sdk::is_floating(c.in(0).dtype())) return "not of 16 bits";
  if (c.in(0).size() == 0 || c.out(0).size() == 0) return "no images";
  if (c.n_in() > 1 && c.in(1).dtype_index() != CTN_INT32) return "indexes are not int32";
  for (int i = 0; i < c.n_in(); ++i)
    if (c.in(i).layout() == kChannelsLast) return nullptr;
  return "x is plain";
}

void plan_pooling(const Call& c, ctn_plan& plan) {
  for (int i = 0; i < c.n_in(); ++i) plan.in_layouts[i] = kChannelsLast;
  for (int i = 0; i < c.n_out(); ++i) plan.out_layouts[i] = kChannelsLast;
}

constexpr int kLayoutPriority = 200;  // above kernels that would have it plain

KernelRow row(std::string_view op, decltype(KernelRow::run) run) {
  return {op,
          run,
          CTN_KERNEL_LAYOUT,
          sdk::supports<supports_pooling>,
          sdk::plan<plan_pooling>,
          nullptr,
          kLayoutPriority};
}

}  // namespace

ctn_status register_pooling_last(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {row("max_pooling_2d_indexed", sdk::kernel<max_pooling>),
                      row("pooling_scatter_2d", sdk::kernel<scatter>),
                      row("average_pooling_2d", sdk::kernel<average_pooling>),
                      row("average_pooling_2d_grad", sdk::kernel<average_gradient>)});
}

}  // namespace catena::cuda
