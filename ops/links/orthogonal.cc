// Orthogonal: an orthogonal system as rows of a matrix of normal draws, made orthogonal one after
// the other. Chainer takes it from an SVD of the same draws; both give every orientation the same
// chance.
#include <cmath>
#include <vector>

#include "links.h"

namespace catena::links {

using namespace initializer_attr;

namespace {

double dot(const double* a, const double* b, size_t n) {
  double s[4] = {};
  size_t k = 0;
  for (; k + 4 <= n; k += 4)
    for (size_t j = 0; j < 4; ++j) s[j] += a[k + j] * b[k + j];
  for (; k < n; ++k) s[0] += a[k] * b[k];
  return (s[0] + s[1]) + (s[2] + s[3]);
}

// Modified Gram-Schmidt, each row twice: that is enough for orthogonality to rounding (Giraud,
// Langou, Rozloznik 2005).
void make_orthonormal(std::vector<double>& a, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; ++r) {
    double* row = a.data() + r * n;
    for (int pass = 0; pass < 2; ++pass) {
      for (size_t q = 0; q < r; ++q) {
        const double* other = a.data() + q * n;
        const double along = dot(row, other, n);
        for (size_t k = 0; k < n; ++k) row[k] -= along * other[k];
      }
    }
    const double length = std::sqrt(dot(row, row, n));
    for (size_t k = 0; k < n; ++k) row[k] /= length;
  }
}

}  // namespace

void orthogonal_fill(ctn_array array, sdk::Attrs attrs) {
  ctn_dltensor t;
  sdk::check(sdk::api().array_spec(array, &t));
  const sdk::Tensor tensor(t);
  if (!attrs.is_none(orthogonal::dtype) &&
      !sdk::same_dtype(attrs.dtype(orthogonal::dtype), t.dtype))
    sdk::fail(CTN_EDTYPE, "the initializer is for ",
              sdk::dtype_name(attrs.dtype(orthogonal::dtype)), ", the array has ",
              sdk::dtype_name(t.dtype));
  const int64_t size = tensor.size();
  if (size == 0) sdk::fail(CTN_ESHAPE, "Array to be initialized must be non-empty.");
  const int64_t rows = tensor.ndim() == 0 ? 1 : tensor.shape(0);
  const int64_t columns = size / rows;
  if (rows > columns)
    sdk::fail(CTN_ESHAPE, "Cannot make orthogonal system because # of vectors (", rows,
              ") is larger than that of dimensions (", columns, ")");
  const ctn_context ctx = sdk::api().array_context(array);
  std::vector<double> a(static_cast<size_t>(size));
  sdk::check(sdk::api().random_draw(ctx, CTN_RANDOM_NORMAL, a.data(), size));
  make_orthonormal(a, static_cast<size_t>(rows), static_cast<size_t>(columns));
  for (double& x : a) x *= attrs.f(orthogonal::scale);
  const sdk::Array wide =
      sdk::Array::from_host(ctx, sdk::dtype_of(CTN_FLOAT64), tensor.shape(), a.data());
  sdk::check(sdk::api().array_assign(array, wide.on(t.device).get()));
}

}  // namespace catena::links
