// Kernels of concat and split_axis along the channels of images in blocks: whole blocks, one image
// after the other.
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

// fn(part, its first float for an image, that of the image's blocks in the whole, how many floats),
// in parallel.
template <class Part, class Fn>
void for_parts_of(const Run& run, const Tensor& whole, int64_t parts, Part&& part, Fn&& fn) {
  const Planes all(whole);
  sdk::parallel_for(run, all.images * parts, 1, [&](int64_t task, int64_t) {
    const int64_t n = task / parts;
    const int k = static_cast<int>(task % parts);
    int64_t before = 0;  // blocks
    for (int i = 0; i < k; ++i) before += Planes(part(i)).blocks;
    const Tensor t = part(k);
    const Planes own(t);
    const int64_t floats = own.blocks * own.floats();
    fn(t.template data<float>() + n * floats,
       whole.data<float>() + (n * all.blocks + before) * all.floats(), static_cast<size_t>(floats));
  });
}

void concat(const Run& run) {
  for_parts_of(
      run, run.out(0), run.n_in(), [&](int k) { return run.in(k); },
      [](const float* part, float* y, size_t n) { std::memcpy(y, part, n * sizeof(float)); });
}

void split_axis(const Run& run) {
  for_parts_of(
      run, run.in(0), run.n_out(), [&](int k) { return run.out(k); },
      [](float* part, const float* x, size_t n) { std::memcpy(part, x, n * sizeof(float)); });
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

const char* supports_split(const Call& c) {
  const Tensor x = c.in(0);
  if (x.dtype_index() != CTN_FLOAT32) return "dtype not supported";
  if (!in_blocks(x)) return "x is plain";
  for (int k = 0; k < c.n_out(); ++k)
    if (!has_blocks(c.out(k))) return "no whole blocks of channels";
  const int64_t axis = c.i(attr::split_axis::axis);
  return axis == 1 || axis == -3 ? nullptr : "not along the channels";
}

void plan_split(const Call& c, ctn_plan& plan) {
  plan.in_layouts[0] = out_layout(c.in(0));
  for (int k = 0; k < c.n_out(); ++k) plan.out_layouts[k] = out_layout(c.out(k));
}

void plan_concat(const Call& c, ctn_plan& plan) {
  for (int k = 0; k < c.n_in(); ++k) plan.in_layouts[k] = out_layout(c.in(k));
  plan.out_layouts[0] = out_layout(c.out(0));
}

}  // namespace

ctn_status register_join(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"concat", CTN_KERNEL_LAYOUT, sdk::supports<supports_concat>,
                       sdk::plan<plan_concat>, sdk::kernel<concat>, nullptr},
                      {"split_axis", CTN_KERNEL_LAYOUT, sdk::supports<supports_split>,
                       sdk::plan<plan_split>, sdk::kernel<split_axis>, nullptr}});
}

}  // namespace catena::intel64
