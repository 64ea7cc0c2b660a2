// See taps.h.
#include <cpu/blas/taps.h>

#include <cpu/isa.h>

#include <algorithm>

namespace catena::cpu {

template <>
PackPatchesFn<float> pack_patches() {
  switch (isa()) {
    case Isa::kAvx512: return avx512::kPackPatchesFloat;
    case Isa::kAvx2: return avx2::kPackPatchesFloat;
    default: return sse2::kPackPatchesFloat;
  }
}
template <>
PackPatchesFn<double> pack_patches() {
  switch (isa()) {
    case Isa::kAvx512: return avx512::kPackPatchesDouble;
    case Isa::kAvx2: return avx2::kPackPatchesDouble;
    default: return sse2::kPackPatchesDouble;
  }
}

template <>
AddPatchesFn<float> add_patches() {
  switch (isa()) {
    case Isa::kAvx512: return avx512::kAddPatchesFloat;
    case Isa::kAvx2: return avx2::kAddPatchesFloat;
    default: return sse2::kAddPatchesFloat;
  }
}
template <>
AddPatchesFn<double> add_patches() {
  switch (isa()) {
    case Isa::kAvx512: return avx512::kAddPatchesDouble;
    case Isa::kAvx2: return avx2::kAddPatchesDouble;
    default: return sse2::kAddPatchesDouble;
  }
}

int64_t patch_runs(const Patches& g, int64_t j, int64_t n, int64_t lanes, PatchRun* runs) {
  const int64_t per_image = g.grid_h * g.grid_w;
  int64_t image = j / per_image, row = j % per_image / g.grid_w, column = j % g.grid_w;
  int64_t count = 0;
  for (int64_t at = 0; at < n;) {
    const int64_t length = std::min({n - at, g.grid_w - column, lanes});
    PatchRun& r = runs[count++];
    r.y = row * g.step_y;
    r.x = column * g.step_x;
    r.base = image * g.image + r.y * g.width + r.x;
    r.column = static_cast<int32_t>(at);
    r.length = static_cast<int32_t>(length);
    r.inside = r.y + g.dy_low >= 0 && r.y + g.dy_high < g.height && r.x + g.dx_low >= 0 &&
               r.x + (length - 1) * g.step_x + g.dx_high < g.width;
    at += length;
    column += length;
    if (column < g.grid_w) continue;
    column = 0;
    if (++row == g.grid_h) row = 0, ++image;
  }
  return count;
}

void Taps::add(int64_t dy, int64_t dx, int64_t kernel) {
  dy_.push_back(dy);
  dx_.push_back(dx);
  offset_.push_back(dy * patches_.width + dx);
  kernel_.push_back(kernel);
}

void Taps::finish() {
  patches_.taps = static_cast<int64_t>(kernel_.size());
  patches_.dy = dy_.data();
  patches_.dx = dx_.data();
  patches_.offset = offset_.data();
  if (kernel_.empty()) return;
  const auto y = std::minmax_element(dy_.begin(), dy_.end());
  const auto x = std::minmax_element(dx_.begin(), dx_.end());
  patches_.dy_low = *y.first;
  patches_.dy_high = *y.second;
  patches_.dx_low = *x.first;
  patches_.dx_high = *x.second;
}

Taps Taps::forward(const ConvShape& s) {
  Taps taps;
  Patches& g = taps.patches_;
  g.height = s.height;
  g.width = s.width;
  g.grid_h = s.out_height;
  g.grid_w = s.out_width;
  g.step_y = s.stride_y;
  g.step_x = s.stride_x;
  g.channel = s.height * s.width;
  g.image = s.channels * g.channel;
  for (int64_t ky = 0; ky < s.kernel_h; ++ky)
    for (int64_t kx = 0; kx < s.kernel_w; ++kx)
      taps.add(ky * s.dilate_y - s.pad_y, kx * s.dilate_x - s.pad_x, ky * s.kernel_w + kx);
  taps.finish();
  const bool same = s.height == s.out_height && s.width == s.out_width && g.taps == 1;
  if (same && s.stride_y == 1 && s.stride_x == 1 && s.pad_y == 0 && s.pad_x == 0) {
    g.width *= g.height;  // 1 x 1: a plane is one row
    g.height = 1;
    g.grid_w = g.width;
    g.grid_h = 1;
  }
  return taps;
}

// Input row iy gets tap ky from output row (iy + pad - ky * dilate) / stride where that is whole.
Taps Taps::backward(const ConvShape& s, int64_t phase_y, int64_t phase_x) {
  Taps taps;
  Patches& g = taps.patches_;
  g.height = s.out_height;
  g.width = s.out_width;
  g.grid_h = (s.height - phase_y + s.stride_y - 1) / s.stride_y;
  g.grid_w = (s.width - phase_x + s.stride_x - 1) / s.stride_x;
  g.step_y = 1;
  g.step_x = 1;
  g.channel = s.out_height * s.out_width;
  g.image = s.filters * g.channel;
  for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
    const int64_t y = phase_y + s.pad_y - ky * s.dilate_y;
    if (y % s.stride_y != 0) continue;
    for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
      const int64_t x = phase_x + s.pad_x - kx * s.dilate_x;
      if (x % s.stride_x == 0) taps.add(y / s.stride_y, x / s.stride_x, ky * s.kernel_w + kx);
    }
  }
  taps.finish();
  return taps;
}

}  // namespace catena::cpu
