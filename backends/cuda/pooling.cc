// Kernels of pooling in two dimensions: windows from shapes and attributes.
#include <catena/op_attrs.hpp>

#include <cuda/pooling.h>

#include <algorithm>

namespace catena::cuda {
namespace {

using sdk::Run;
using sdk::Tensor;

struct Keys {
  int ksize, stride, pad;
};

void pool(const Run& run, const char* name, const Tensor& large, const Tensor& small,
          const Keys& keys, int32_t* index) {
  static Native* const kernels = new Native(kPoolingKernels);
  Device& d = device_of(run);
  const Tensor y = run.out(0);
  if (y.size() == 0) return;
  Pool p = pool_of(run, large, small, keys.ksize, keys.stride, keys.pad);
  p.index = index;
  p.fault = fault_of(run);
  queue(d, kernels->find(d, name, {type_name(y.dtype()), count_type(reach(p, 1))}, "Pool"),
        y.size(), &p);
  note(run, name);
}

void max_pooling(const Run& run) {
  namespace a = attr::max_pooling_2d_indexed;
  pool(run, "max_pool", run.in(0), run.out(0), {a::ksize, a::stride, a::pad},
       run.out(1).data<int32_t>());
}
void scatter(const Run& run) {
  namespace a = attr::pooling_scatter_2d;
  pool(run, "pool_scatter", run.out(0), run.in(0), {a::ksize, a::stride, a::pad},
       run.in(1).data<int32_t>());
}
void gather(const Run& run) {
  namespace a = attr::pooling_gather_2d;
  pool(run, "pool_gather", run.in(0), run.out(0), {a::ksize, a::stride, a::pad},
       run.in(1).data<int32_t>());
}
void average_pooling(const Run& run) {
  namespace a = attr::average_pooling_2d;
  pool(run, "average_pool", run.in(0), run.out(0), {a::ksize, a::stride, a::pad}, nullptr);
}
void average_gradient(const Run& run) {
  namespace a = attr::average_pooling_2d_grad;
  pool(run, "average_spread", run.out(0), run.in(0), {a::ksize, a::stride, a::pad}, nullptr);
}

}  // namespace

Pool pool_of(const Run& run, const Tensor& large, const Tensor& small, int ksize, int stride,
             int pad_attr) {
  const auto k = run.pair(ksize), pad = run.pair(pad_attr);
  const auto s = run.is_none(stride) ? k : run.pair(stride);
  const Tensor y = run.out(0);
  Pool p{};
  p.planes = large.shape(0) * large.shape(1);
  p.height = large.shape(2);
  p.width = large.shape(3);
  p.out_h = small.shape(2);
  p.out_w = small.shape(3);
  p.kh = k[0];
  p.kw = k[1];
  p.sy = s[0];
  p.sx = s[1];
  p.py = pad[0];
  p.px = pad[1];
  p.from = run.in(0).data();
  p.to = y.data();
  p.fault_kind = kBadPosition;
  p.rows = Divisor(y.shape(2));
  p.columns = Divisor(y.shape(3));
  p.down = Divisor(s[0]);
  p.across = Divisor(s[1]);
  return p;
}

double reach(const Pool& p, double depth) {
  const auto d = [](int64_t v) { return static_cast<double>(v); };
  const double rows = d(p.height) + d(p.out_h) * d(p.sy) + d(p.py) + d(p.kh);
  const double columns = d(p.width) + d(p.out_w) * d(p.sx) + d(p.px) + d(p.kw);
  const double elements = d(p.planes) * std::max(d(p.height) * d(p.width), d(p.out_h) * d(p.out_w));
  return std::max({rows, columns, elements * depth, (d(p.kh) + rows) * (d(p.kw) + columns)});
}

ctn_status register_pooling(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"max_pooling_2d_indexed", sdk::kernel<max_pooling>},
                      {"pooling_scatter_2d", sdk::kernel<scatter>},
                      {"pooling_gather_2d", sdk::kernel<gather>},
                      {"average_pooling_2d", sdk::kernel<average_pooling>},
                      {"average_pooling_2d_grad", sdk::kernel<average_gradient>}});
}

}  // namespace catena::cuda
