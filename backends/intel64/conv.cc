// Kernels of convolution_2d, deconvolution_2d and their gradients. Images are cut into parts; the
// gradient of the filters is the sum of those of the parts.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <intel64/add_kernels.h>
#include <intel64/kernels.h>
#include <intel64/layouts.h>
#include <intel64/parts.h>

#include <algorithm>
#include <limits>
#include <optional>

namespace catena::intel64 {
namespace {

using sdk::Call;
using sdk::Run;
using sdk::Tensor;

// Where an op keeps its attributes, and which of x, W and y its first input, second input and
// output are.
struct Role {
  Direction direction;
  int stride, pad, dilate, groups;
};
constexpr Role kForward{Direction::kForward, attr::convolution_2d::stride,
                        attr::convolution_2d::pad, attr::convolution_2d::dilate,
                        attr::convolution_2d::groups};
constexpr Role kSized{Direction::kForward, attr::convolution_2d_sized::stride,
                      attr::convolution_2d_sized::pad, attr::convolution_2d_sized::dilate,
                      attr::convolution_2d_sized::groups};
constexpr Role kTransposed{Direction::kData, attr::deconvolution_2d::stride,
                           attr::deconvolution_2d::pad, attr::deconvolution_2d::dilate,
                           attr::deconvolution_2d::groups};
constexpr Role kWeights{Direction::kWeights, attr::convolution_2d_weights::stride,
                        attr::convolution_2d_weights::pad, attr::convolution_2d_weights::dilate,
                        attr::convolution_2d_weights::groups};

// The convolution of x with W to y that a call computes one of.
struct Sides {
  Tensor x, w, y;
  Sides(const Call& c, Direction d)
      : x(d == Direction::kData ? c.out(0) : c.in(0)),
        w(d == Direction::kWeights ? c.out(0) : c.in(1)),
        y(d == Direction::kForward ? c.out(0)
          : d == Direction::kData  ? c.in(0)
                                   : c.in(1)) {}
};

struct Geometry {
  int64_t groups, channels, filters;  // channels and filters of one group
  double macs;
  MdDims stride, dilate, low, high;

  Geometry(const Call& c, const Role& r, const Sides& s)
      : groups(c.i(r.groups)), channels(s.w.shape(1)), filters(s.w.shape(0) / groups) {
    const auto pitch = c.pair(r.stride), pad = c.pair(r.pad), step = c.pair(r.dilate);
    macs = static_cast<double>(s.y.size()) * static_cast<double>(channels);
    for (int k = 0; k < 2; ++k) {
      const auto at = static_cast<size_t>(k);
      const int64_t reach =
          (s.y.shape(2 + k) - 1) * pitch[at] + (s.w.shape(2 + k) - 1) * step[at] + 1;
      stride.push_back(pitch[at]);
      dilate.push_back(step[at] - 1);
      low.push_back(pad[at]);
      high.push_back(std::max<int64_t>(0, reach - s.x.shape(2 + k) - pad[at]));
      macs *= static_cast<double>(s.w.shape(2 + k));
    }
  }
  bool depthwise() const { return groups > 1 && channels == 1 && filters == 1; }
};

// ---- which calls are taken

constexpr double kLeastMacs = 1e5;

const char* declines(const Call& c, const Role& role) {
  const Sides s(c, role.direction);
  const int64_t block = channel_block();
  if (block == 0) return "the processor has no AVX2";
  for (const Tensor& t : {s.x, s.w, s.y}) {
    if (t.dtype_index() != CTN_FLOAT32) return "dtype not supported";
    if (t.size() == 0) return "nothing to add up";
    if (t.size() > std::numeric_limits<int32_t>::max()) return "more than 2^31 elements";
  }
  const Geometry g(c, role, s);
  for (int k = 0; k < 2; ++k) {
    const auto at = static_cast<size_t>(k);
    for (const MdDims* d : {&g.stride, &g.dilate, &g.low, &g.high})
      if ((*d)[at] > std::numeric_limits<int16_t>::max()) return "windows too far apart";
  }
  if (g.macs < kLeastMacs) return "too small";
  if (g.depthwise()) return g.groups % block == 0 ? nullptr : "channels are no multiple of a block";
  if (g.groups > 1)
    return g.channels % block == 0 && g.filters % block == 0
               ? nullptr
               : "channels of a group are no multiple of a block";
  if (g.filters < block) return "too few filters";
  if (g.channels < block && (g.channels > 3 || role.direction == Direction::kData))
    return "too few channels";
  return nullptr;
}

template <const Role& role>
const char* supports_conv(const Call& c) {
  return declines(c, role);
}

// ---- what is decided once for a shape

struct Plan {
  Parts parts;
  std::optional<Conv> full, last;  // of a part, of the last one where that is smaller
  Primitive pack;                  // filters that oneDNN wants in a format without a number here
  Md plain_filters;                // as they come then
  bool packs = false;
  size_t scratch = 0;  // of a part
  const Conv& conv(int64_t k) const {
    return parts.rest() != 0 && k == parts.count() - 1 ? *last : *full;
  }
};

Md images(const Tensor& t, int64_t n, int64_t channels, uint64_t layout) {
  const int64_t shape[] = {n, channels, t.shape(2), t.shape(3)};
  return describe(shape, t.dtype(), layout);
}

// The layouts of x and y. Few channels stay plain: oneDNN reads those of a first layer.
struct Layouts {
  uint64_t x, y;
  Layouts(const Sides& s) : x(image_layout(s.x.shape(1))), y(image_layout(s.y.shape(1))) {}
};

Conv conv_of(const Sides& s, const Geometry& g, const Layouts& l, Direction d, int64_t n,
             int64_t filters, bool bias) {
  sdk::Dims w(s.w.shape());
  w[0] = filters;
  ConvDesc desc{images(s.x, n, s.x.shape(1), l.x),
                describe_filters(w.span(), g.groups, true),
                images(s.y, n, filters, l.y),
                Md(),
                g.stride,
                g.dilate,
                g.low,
                g.high};
  if (bias) desc.b = Md({filters}, Type::f32, Tag::x);
  return make_conv(d, desc);
}

void plan_images(const Call& c, Plan& p, const Sides& s, const Geometry& g, const Layouts& l,
                 Direction d, Parts parts) {
  p.parts = parts;
  const bool bias = d == Direction::kForward && c.has(2);
  const int64_t filters = s.w.shape(0);
  p.full = conv_of(s, g, l, d, parts.each, filters, bias);
  p.scratch = p.full->primitive.scratch_bytes();
  if (parts.rest() == 0) return;
  p.last = conv_of(s, g, l, d, parts.rest(), filters, bias);
  p.scratch = std::max(p.scratch, p.last->primitive.scratch_bytes());
}

// What the filters are asked to be in. A format without a number is converted to in every run.
uint64_t settle_filters(Plan& p, const Sides& s, const Geometry& g) {
  const uint64_t layout = filter_layout(p.full->w, s.w.shape(), g.groups);
  if (layout != kPlain) return layout;
  p.plain_filters = describe_filters(s.w.shape(), g.groups, false);
  p.packs = p.plain_filters != p.full->w;
  return kPlain;
}

template <const Role& role>
void plan_product(const Call& c, ctn_plan& plan, Plan& p) {
  const Sides s(c, role.direction);
  const Geometry g(c, role, s);
  const Layouts l(s);
  const bool forward = role.direction == Direction::kForward;
  plan_images(c, p, s, g, l, role.direction, cut_images(s.y.shape(0), s.y.shape(2) * s.y.shape(3)));
  if (p.last && p.last->w != p.full->w)  // one format for all parts
    plan_images(c, p, s, g, l, role.direction, {p.parts.images, p.parts.images});
  plan.in_layouts[0] = forward ? l.x : l.y;
  plan.in_layouts[1] = settle_filters(p, s, g);
  plan.out_layouts[0] = forward ? l.y : l.x;
  if (c.has(2)) plan.in_layouts[2] = kPlain;
  if (p.packs) {
    p.pack = make_reorder(p.plain_filters, p.full->w);
    plan.scratch_bytes = p.full->w.get_size();
  }
}

// ---- products

// Bytes of a part of an array in images.
int64_t part_bytes(const Tensor& t, const Parts& parts) {
  return static_cast<int64_t>(describe(t.shape(), t.dtype(), t.layout()).get_size()) /
         parts.images * parts.each;
}

const void* filters(const Run& run, const Plan& p, const Tensor& w) {
  if (!p.packs) return w.data();
  void* packed = run.planned_scratch();
  p.pack.run({{DNNL_ARG_FROM, p.plain_filters, w.data()}, {DNNL_ARG_TO, p.full->w, packed}},
             nullptr);
  return packed;
}

void add_bias(const Run& run, const Tensor& x, const float* b);

void forward(const Run& run) {
  const Plan& p = run.state<Plan>();
  const Tensor x = run.in(0), y = run.out(0);
  const int64_t x_bytes = part_bytes(x, p.parts), y_bytes = part_bytes(y, p.parts);
  const void* w = filters(run, p, run.in(1));
  const float* b = run.has(2) ? run.in(2).data<float>() : nullptr;
  const Md bias = b ? Md({y.shape(1)}, Type::f32, Tag::x) : Md();
  for_parts(run, p.parts.count(), p.scratch, [&](int64_t k, char* scratch) {
    const Conv& c = p.conv(k);
    const Primitive::Arg args[] = {{DNNL_ARG_SRC, c.x, x.data<char>() + k * x_bytes},
                                   {DNNL_ARG_WEIGHTS, c.w, w},
                                   {DNNL_ARG_DST, c.y, y.data<char>() + k * y_bytes},
                                   {DNNL_ARG_BIAS, bias, b}};
    c.primitive.run(std::span(args, b ? 4u : 3u), scratch);
  });
}

void transposed(const Run& run) {
  const Plan& p = run.state<Plan>();
  const Tensor y = run.in(0), x = run.out(0);
  const int64_t x_bytes = part_bytes(x, p.parts), y_bytes = part_bytes(y, p.parts);
  const void* w = filters(run, p, run.in(1));
  for_parts(run, p.parts.count(), p.scratch, [&](int64_t k, char* scratch) {
    const Conv& c = p.conv(k);
    const Primitive::Arg args[] = {{DNNL_ARG_DIFF_DST, c.y, y.data<char>() + k * y_bytes},
                                   {DNNL_ARG_WEIGHTS, c.w, w},
                                   {DNNL_ARG_DIFF_SRC, c.x, x.data<char>() + k * x_bytes}};
    c.primitive.run(args, scratch);
  });
  if (run.has(2)) add_bias(run, x, run.in(2).data<float>());
}

// x += b for each channel; x in blocks of channels or plain.
void add_bias(const Run& run, const Tensor& x, const float* b) {
  const int64_t block = x.layout() == kPlain ? 1 : channel_block();
  const int64_t blocks = (x.shape(1) + block - 1) / block, plane = x.shape(2) * x.shape(3);
  sdk::parallel_for(run, x.shape(0) * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      float* p = x.data<float>() + k * plane * block;
      const int64_t first = k % blocks * block, n = std::min(block, x.shape(1) - first);
      for (int64_t i = 0; i < plane; ++i)
        for (int64_t c = 0; c < n; ++c) p[i * block + c] += b[first + c];
    }
  });
}

// ---- gradients of filters

constexpr int64_t kMacsOfFloat = 500;  // multiply-adds in the time a float goes to memory and back

// Parts of images whose sums are added up: as many as pay.
Parts parts_of_sum(const Sides& s, const Geometry& g) {
  Parts parts = cut_images(s.y.shape(0), s.y.shape(2) * s.y.shape(3));
  while (parts.count() > 1 &&
         static_cast<double>((parts.count() - 1) * s.w.size() * kMacsOfFloat) > g.macs)
    parts.each = std::min(parts.images, 2 * parts.each);
  return parts;
}

void plan_weights(const Call& c, ctn_plan& plan, Plan& p) {
  const Sides s(c, Direction::kWeights);
  const Geometry g(c, kWeights, s);
  const Layouts l(s);
  plan_images(c, p, s, g, l, Direction::kWeights, parts_of_sum(s, g));
  if (p.last && p.last->w != p.full->w)
    plan_images(c, p, s, g, l, Direction::kWeights, {p.parts.images, p.parts.images});
  plan.in_layouts[0] = l.x;
  plan.in_layouts[1] = l.y;
  plan.out_layouts[0] = settle_filters(p, s, g);
  if (p.packs) p.pack = make_reorder(p.full->w, p.plain_filters);
  const size_t sums = static_cast<size_t>(p.parts.count()) - (p.packs ? 0 : 1);
  plan.scratch_bytes = sums * p.full->w.get_size();
}

// sums[0] += sums[1] + ..., in this order.
void add_up(const Run& run, std::span<float* const> sums, int64_t n) {
  sdk::parallel_for(run, n, 1 << 13, [&](int64_t begin, int64_t end) {
    for (size_t k = 1; k < sums.size(); ++k)
      for (int64_t i = begin; i < end; ++i) sums[0][i] += sums[k][i];
  });
}

void weights(const Run& run) {
  const Plan& p = run.state<Plan>();
  const Tensor x = run.in(0), y = run.in(1), w = run.out(0);
  const int64_t x_bytes = part_bytes(x, p.parts), y_bytes = part_bytes(y, p.parts);
  const auto n = static_cast<int64_t>(p.full->w.get_size() / sizeof(float));
  std::vector<float*> sums;
  float* room = run.planned_scratch<float>();
  if (!p.packs) sums.push_back(w.data<float>());
  for (; static_cast<int64_t>(sums.size()) < p.parts.count(); room += n) sums.push_back(room);
  for_parts(run, p.parts.count(), p.scratch, [&](int64_t k, char* scratch) {
    const Conv& c = p.conv(k);
    const Primitive::Arg args[] = {{DNNL_ARG_SRC, c.x, x.data<char>() + k * x_bytes},
                                   {DNNL_ARG_DIFF_DST, c.y, y.data<char>() + k * y_bytes},
                                   {DNNL_ARG_DIFF_WEIGHTS, c.w, sums[static_cast<size_t>(k)]}};
    c.primitive.run(args, scratch);
  });
  add_up(run, sums, n);
  if (p.packs)
    p.pack.run({{DNNL_ARG_FROM, p.full->w, sums[0]}, {DNNL_ARG_TO, p.plain_filters, w.data()}},
               nullptr);
}

}  // namespace

ctn_status register_conv(const ctn_host* host, ctn_plugin plugin) {
  const auto row = [](std::string_view op, auto supports, auto plan, auto run) {
    return KernelRow{op, CTN_KERNEL_LAYOUT, supports, plan, run, sdk::drop<Plan>};
  };
  return add_kernels(host, plugin,
                     {row("convolution_2d", sdk::supports<supports_conv<kForward>>,
                          sdk::plan<plan_product<kForward>, Plan>, sdk::kernel<forward>),
                      row("convolution_2d_sized", sdk::supports<supports_conv<kSized>>,
                          sdk::plan<plan_product<kSized>, Plan>, sdk::kernel<forward>),
                      row("deconvolution_2d", sdk::supports<supports_conv<kTransposed>>,
                          sdk::plan<plan_product<kTransposed>, Plan>, sdk::kernel<transposed>),
                      row("convolution_2d_weights", sdk::supports<supports_conv<kWeights>>,
                          sdk::plan<plan_weights, Plan>, sdk::kernel<weights>)});
}

}  // namespace catena::intel64
