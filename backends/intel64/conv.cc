// Kernels of convolution_2d, deconvolution_2d and their gradients: which calls are taken, and
// running the parts of a plan, whose results may be sums that are added up.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <intel64/add_kernels.h>
#include <intel64/conv_plan.h>
#include <intel64/kernels.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>

namespace catena::intel64 {
namespace {

using sdk::Call;
using sdk::Run;
using sdk::Tensor;

constexpr ConvRole kForward{Direction::kForward, attr::convolution_2d::stride,
                            attr::convolution_2d::pad, attr::convolution_2d::dilate,
                            attr::convolution_2d::groups};
constexpr ConvRole kSized{Direction::kForward, attr::convolution_2d_sized::stride,
                          attr::convolution_2d_sized::pad, attr::convolution_2d_sized::dilate,
                          attr::convolution_2d_sized::groups};
constexpr ConvRole kTransposed{Direction::kData, attr::deconvolution_2d::stride,
                               attr::deconvolution_2d::pad, attr::deconvolution_2d::dilate,
                               attr::deconvolution_2d::groups};
constexpr ConvRole kWeights{Direction::kWeights, attr::convolution_2d_weights::stride,
                            attr::convolution_2d_weights::pad, attr::convolution_2d_weights::dilate,
                            attr::convolution_2d_weights::groups};

// ---- which calls are taken

constexpr double kLeastMacs = 1e5;  // below, the cpu's kernels start faster

const char* declines_arrays(const ConvSides& s) {
  for (const Tensor& t : {s.x, s.w, s.y}) {
    if (t.dtype_index() != CTN_FLOAT32) return "dtype not supported";
    if (t.size() == 0) return "nothing to add up";
    if (t.size() > std::numeric_limits<int32_t>::max()) return "more than 2^31 elements";
  }
  return nullptr;
}

const char* declines_channels(const ConvGeometry& g, Direction direction, int64_t block) {
  if (g.depthwise()) return g.groups % block == 0 ? nullptr : "channels are no multiple of a block";
  if (g.groups > 1)
    return g.channels % block == 0 && g.filters % block == 0
               ? nullptr
               : "channels of a group are no multiple of a block";
  if (g.filters < block) return "too few filters";
  // oneDNN reads the plain images of a first layer.
  const bool first = g.channels <= 3 && direction != Direction::kData;
  return g.channels >= block || first ? nullptr : "too few channels";
}

// oneDNN 2.6's gradient of x loses terms of some windows that begin 6 or more positions before the
// first of a row of x, or end as far behind the last; and of some dilated ones that reach beyond
// the first row of y and the last at once.
bool loses_terms(const ConvSides& s, const ConvGeometry& g) {
  constexpr int64_t kMost = 5;
  const auto reach = [&](size_t k) { return (g.window[k] - 1) * (g.dilate[k] + 1); };
  return reach(1) - std::min(g.low[1], g.high[1]) > kMost ||
         (g.dilate[0] > 0 && reach(0) >= s.y.shape(2));
}

template <const ConvRole& role>
const char* supports_conv(const Call& c) {
  const int64_t block = channel_block();
  if (block == 0) return "the processor has no AVX2";
  const ConvSides s(c, role.direction);
  if (const char* why = declines_arrays(s)) return why;
  const ConvGeometry g(c, role, s);
  for (size_t k = 0; k < 2; ++k)
    for (const MdDims* d : {&g.stride, &g.dilate, &g.low, &g.high})
      if ((*d)[k] > std::numeric_limits<int16_t>::max()) return "windows too far apart";
  if (g.macs < kLeastMacs) return "too small";
  if (s.y.shape(2) * s.y.shape(3) == 1) return "one position: a product of matrices";
  if (role.direction == Direction::kData && loses_terms(s, g)) return "windows reach far beyond x";
  if (const char* why = declines_channels(g, role.direction, block)) return why;
  return ConvPlan::is_compiled(c, role, s, g) ? nullptr : "oneDNN has no fast kernel";
}

template <const ConvRole& role>
void plan_conv(const Call& c, ctn_plan& plan, ConvPlan& p) {
  p.make(c, role, plan);
}

// ---- products

const void* filters(const Run& run, const ConvPlan& p) {
  const void* w = run.in(1).data();
  if (!p.packs()) return w;
  void* packed = run.planned_scratch();
  p.pack(w, packed);
  return packed;
}

// The filters of a call with followers, times `scale` where it has one, as they are kept from run
// to run: the factors, then the filters.
const float* kept_filters(const Run& run, const ConvPlan& p, std::span<const float> scale) {
  const int64_t head = (static_cast<int64_t>(scale.size()) + 15) / 16 * 16;
  if (const float* kept = run.find_derived<float>(1, p.filter_key());
      kept && std::equal(scale.begin(), scale.end(), kept))
    return kept + head;
  const Tensor w = run.in(1);
  auto* made = run.keep_derived<float>(1, p.filter_key(), head + p.filter_floats());
  std::ranges::copy(scale, made);
  const auto* plain = w.data<float>();
  if (!scale.empty()) {
    auto* scaled = run.scratch<float>(w.size());
    const int64_t each = w.size() / w.shape(0);
    sdk::parallel_for(run, w.shape(0), 1, [&](int64_t o, int64_t) {
      for (int64_t k = o * each; k < (o + 1) * each; ++k)
        scaled[k] = plain[k] * scale[static_cast<size_t>(o)];
    });
    plain = scaled;
  }
  p.pack(plain, made + head);
  return made + head;
}

void run_parts(const Run& run, const void* w, const float* b) {
  const ConvPlan& p = run.state<ConvPlan>();
  const void *x = run.in(0).data(), *y = run.out(0).data();
  std::atomic<bool> begun{false};
  try {
    for_parts(run, p.parts().count(), p.scratch(), [&](int64_t k, char* scratch) {
      begun.store(true, std::memory_order_relaxed);
      p.run(k, x, w, y, b, scratch);
    });
  } catch (const std::exception& e) {  // want of memory would say: nothing was written, try again
    if (!p.epilogue().adds() || !begun) throw;
    sdk::fail(CTN_EINTERNAL, sdk::text("stopped while it added to a result: ", e.what()));
  }
}

void forward(const Run& run) {
  const ConvPlan& p = run.state<ConvPlan>();
  const float* b = run.has(2) ? run.in(2).data<float>() : nullptr;
  if (run.followers().empty()) return run_parts(run, filters(run, p), b);
  if (!p.packs()) return run_parts(run, run.in(1).data(), b);
  if (!p.epilogue().folds()) return run_parts(run, kept_filters(run, p, {}), b);
  const int64_t channels = run.in(1).shape(0);
  auto* numbers = run.scratch<float>(2 * channels);
  fold_norm(run, p.epilogue(), b, numbers, numbers + channels);
  const std::span scale(numbers, static_cast<size_t>(channels));
  run_parts(run, kept_filters(run, p, scale), numbers + channels);
}

// x += b for each channel; x in blocks of channels or plain.
void add_bias(const Run& run, const Tensor& x, const float* b) {
  const int64_t block = x.layout() == kPlain ? 1 : channel_block();
  const int64_t blocks = (x.shape(1) + block - 1) / block, plane = x.shape(2) * x.shape(3);
  sdk::parallel_for(run, x.shape(0) * blocks, 1, [&](int64_t k, int64_t) {
    float* p = x.data<float>() + k * plane * block;
    const int64_t first = k % blocks * block, n = std::min(block, x.shape(1) - first);
    for (int64_t i = 0; i < plane; ++i)
      for (int64_t c = 0; c < n; ++c) p[i * block + c] += b[first + c];
  });
}

// body(k, sum, scratch) for all parts; the first sum is `to`, where the others, that are in `room`,
// are then added in their order.
template <class Body>
void sum_parts(const Run& run, float* to, float* room, Body&& body) {
  const ConvPlan& p = run.state<ConvPlan>();
  const int64_t sums = p.sums(), n = p.sum_floats();
  const auto sum = [=](int64_t k) { return k == 0 || sums == 1 ? to : room + (k - 1) * n; };
  for_parts(run, p.parts().count(), p.scratch(),
            [&](int64_t k, char* scratch) { body(k, sum(k), scratch); });
  if (sums == 1) return;
  sdk::parallel_for(run, n, 1 << 13, [&](int64_t begin, int64_t end) {
    for (int64_t k = 1; k < sums; ++k) {
      const float* from = sum(k);
      for (int64_t i = begin; i < end; ++i) to[i] += from[i];
    }
  });
}

void transposed(const Run& run) {
  const ConvPlan& p = run.state<ConvPlan>();
  const void *y = run.in(0).data(), *w = filters(run, p);
  float* room = run.planned_scratch<float>() + (p.packs() ? p.filter_floats() : 0);
  sum_parts(run, run.out(0).data<float>(), room,
            [&](int64_t k, float* x, char* scratch) { p.run(k, x, w, y, nullptr, scratch); });
  if (run.has(2)) add_bias(run, run.out(0), run.in(2).data<float>());
}

void weights(const Run& run) {
  const ConvPlan& p = run.state<ConvPlan>();
  const void *x = run.in(0).data(), *y = run.in(1).data();
  float *made = run.out(0).data<float>(), *room = run.planned_scratch<float>();
  float* to = p.packs() ? room : made;
  if (p.packs()) room += p.filter_floats();
  sum_parts(run, to, room,
            [&](int64_t k, float* w, char* scratch) { p.run(k, x, w, y, nullptr, scratch); });
  if (p.packs()) p.pack(to, made);
}

}  // namespace

ctn_status register_conv(const ctn_host* host, ctn_plugin plugin) {
  const auto row = [](std::string_view op, auto supports, auto plan, auto run) {
    return KernelRow{op, CTN_KERNEL_LAYOUT, supports, plan, run, sdk::drop<ConvPlan>};
  };
  const auto absorbing = [](KernelRow r) {
    r.absorb = sdk::absorb<absorb_epilogue>;
    return r;
  };
  return add_kernels(
      host, plugin,
      {absorbing(row("convolution_2d", sdk::supports<supports_conv<kForward>>,
                     sdk::plan<plan_conv<kForward>, ConvPlan>, sdk::kernel<forward>)),
       row("convolution_2d_sized", sdk::supports<supports_conv<kSized>>,
           sdk::plan<plan_conv<kSized>, ConvPlan>, sdk::kernel<forward>),
       row("deconvolution_2d", sdk::supports<supports_conv<kTransposed>>,
           sdk::plan<plan_conv<kTransposed>, ConvPlan>, sdk::kernel<transposed>),
       row("convolution_2d_weights", sdk::supports<supports_conv<kWeights>>,
           sdk::plan<plan_conv<kWeights>, ConvPlan>, sdk::kernel<weights>)});
}

}  // namespace catena::intel64
