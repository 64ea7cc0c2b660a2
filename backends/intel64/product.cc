// The gradient of a linear layer's weights, a product of two flat matrices over the few rows of a
// batch: oneDNN writes it up to twice as fast as the cpu's kernel, which is as good or better at
// everything else of a linear layer (bench/results, inner products).
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <intel64/add_kernels.h>
#include <intel64/kernels.h>
#include <intel64/onednn.h>
#include <intel64/parts.h>

#include <algorithm>

namespace catena::intel64 {
namespace {

using sdk::Call;
using sdk::Run;
using sdk::Tensor;

constexpr int64_t kMostRows = 128;       // of the batch: above, the cpu's kernel is as fast
constexpr int64_t kLeastSize = 1 << 12;  // of the result
constexpr int64_t kMostParts = 8;
constexpr int64_t kLeastPart = 64;  // rows of the result in a part

// y = a^T b in parts of rows of y.
struct Product {
  Parts parts;
  Md b;
  struct Part {
    Primitive primitive;
    Md a, y;
  } full, last;  // last: the one that is smaller

  const Part& part(int64_t k) const {
    return parts.rest() != 0 && k == parts.count() - 1 ? last : full;
  }
  size_t scratch() const {
    return std::max(full.primitive.scratch_bytes(), last.primitive.scratch_bytes());
  }
};

void plan_product(const Call& c, ctn_plan&, Product& p) {
  const int64_t rows = c.in(0).shape(0), n = c.in(0).shape(1), width = c.in(1).shape(1);
  const int64_t each = std::max(kLeastPart, ((n + kMostParts - 1) / kMostParts + 15) / 16 * 16);
  p.parts = {n, std::min(n, each)};
  p.b = Md({rows, width}, Type::f32, MdDims{width, 1});
  const auto make = [&](int64_t size) {
    Product::Part part;
    part.a = Md({size, rows}, Type::f32, MdDims{1, n});
    part.y = Md({size, width}, Type::f32, MdDims{width, 1});
    part.primitive = make_product(part.a, p.b, part.y);
    return part;
  };
  p.full = make(p.parts.each);
  if (p.parts.rest() != 0) p.last = make(p.parts.rest());
}

void product(const Run& run) {
  const auto& p = run.state<Product>();
  const float *a = run.in(0).data<float>(), *b = run.in(1).data<float>();
  float* y = run.out(0).data<float>();
  const int64_t width = run.in(1).shape(1);
  for_parts(run, p.parts.count(), p.scratch(), [&](int64_t k, char* scratch) {
    const Product::Part& part = p.part(k);
    const int64_t first = k * p.parts.each;
    part.primitive.run({{DNNL_ARG_SRC, part.a, a + first},
                        {DNNL_ARG_WEIGHTS, p.b, b},
                        {DNNL_ARG_DST, part.y, y + first * width}},
                       scratch);
  });
}

const char* supports_product(const Call& c) {
  if (channel_block() != 16) return "measured with AVX-512 only";
  const Tensor a = c.in(0), b = c.in(1);
  if (a.dtype_index() != CTN_FLOAT32 || b.dtype_index() != CTN_FLOAT32)
    return "dtype not supported";
  if (a.ndim() != 2 || b.ndim() != 2 || !c.b(attr::matmul::transa) || c.b(attr::matmul::transb))
    return "no gradient of weights";
  if (a.shape(0) == 0 || a.shape(0) > kMostRows) return "too many rows";
  return c.out(0).size() < kLeastSize ? "too small" : nullptr;
}

}  // namespace

ctn_status register_product(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(
      host, plugin,
      {{"matmul", 0, sdk::supports<supports_product>, sdk::plan<plan_product, Product>,
        sdk::kernel<product>, sdk::drop<Product>}});
}

}  // namespace catena::intel64
