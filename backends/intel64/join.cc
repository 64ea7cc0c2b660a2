// Kernel of concat for images in blocks of channels that are joined along the channels: whole
// blocks, one image after the other.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <intel64/add_kernels.h>
#include <intel64/blocks/images.h>
#include <intel64/kernels.h>

#include <cstring>

namespace catena::intel64 {
namespace {

using sdk::Call;
using sdk::Run;
using sdk::Tensor;

void concat(const Run& run) {
  const Planes to(run.out(0));
  const int64_t parts = run.n_in();
  float* y = run.out(0).data<float>();
  sdk::parallel_for(run, to.images * parts, 1, [&](int64_t task, int64_t) {
    const int64_t n = task / parts;
    const int k = static_cast<int>(task % parts);
    int64_t before = 0;  // blocks
    for (int i = 0; i < k; ++i) before += Planes(run.in(i)).blocks;
    const Planes from(run.in(k));
    const int64_t floats = from.blocks * from.floats();
    std::memcpy(y + (n * to.blocks + before) * to.floats(), run.in(k).data<float>() + n * floats,
                static_cast<size_t>(floats) * sizeof(float));
  });
}

const char* supports_concat(const Call& c) {
  const int64_t axis = c.i(attr::concat::axis);
  bool any = false;
  for (int k = 0; k < c.n_in(); ++k) {
    const Tensor x = c.in(k);
    if (x.dtype_index() != CTN_FLOAT32) return "dtype not supported";
    if (!has_blocks(x)) return "no whole blocks of channels";
    any = any || in_blocks(x);
  }
  if (axis != 1 && axis != -3) return "not along the channels";
  return any ? nullptr : "all is plain";
}

void plan_concat(const Call& c, ctn_plan& plan) {
  for (int k = 0; k < c.n_in(); ++k) plan.in_layouts[k] = out_layout(c.in(k));
  plan.out_layouts[0] = out_layout(c.out(0));
}

}  // namespace

ctn_status register_join(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"concat", CTN_KERNEL_LAYOUT, sdk::supports<supports_concat>,
                       sdk::plan<plan_concat>, sdk::kernel<concat>, nullptr}});
}

}  // namespace catena::intel64
