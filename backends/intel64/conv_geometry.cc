// Geometry of convolutions: see conv_geometry.h.
#include <intel64/conv_geometry.h>

#include <algorithm>

namespace catena::intel64 {

ConvGeometry::ConvGeometry(const sdk::Call& c, const ConvRole& role, const ConvSides& s)
    : groups(c.i(role.groups)),
      channels(s.w.shape(1)),
      filters(s.w.shape(0) / groups),
      taps(s.w.shape(2) * s.w.shape(3)) {
  const auto step = c.pair(role.stride), pad = c.pair(role.pad), apart = c.pair(role.dilate);
  macs = static_cast<double>(s.y.size()) * static_cast<double>(channels);
  for (int k = 0; k < 2; ++k) {
    const auto at = static_cast<size_t>(k);
    const int64_t reach =
        (s.y.shape(2 + k) - 1) * step[at] + (s.w.shape(2 + k) - 1) * apart[at] + 1;
    window.push_back(s.w.shape(2 + k));
    stride.push_back(step[at]);
    dilate.push_back(apart[at] - 1);
    low.push_back(pad[at]);
    high.push_back(std::max<int64_t>(0, reach - s.x.shape(2 + k) - pad[at]));
    fits = fits && s.x.shape(2 + k) + pad[at] + high.back() - reach < step[at];
    macs *= static_cast<double>(s.w.shape(2 + k));
  }
}

bool ConvGeometry::is_dense_3x3() const {
  return groups == 1 && window == MdDims{3, 3} && stride == MdDims{1, 1} && dilate == MdDims{0, 0};
}

}  // namespace catena::intel64
