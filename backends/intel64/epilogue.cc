// Epilogues: see epilogue.h.
#include <intel64/epilogue.h>

#include <catena/op_attrs.hpp>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace catena::intel64 {

namespace {

bool is_float32(const sdk::Call& c, const ctn_follower& f) {
  for (int k = f.first; k < f.first + f.n_in; ++k)
    if (!c.has(k) || c.in(k).dtype_index() != CTN_FLOAT32) return false;
  return true;
}

}  // namespace

bool Epilogue::take(const sdk::Call& c, const ctn_follower& next) {
  const std::string_view op(next.op.p, next.op.n);
  if (relu || !is_float32(c, next)) return false;
  if (op == "relu") {
    relu = true;
    return true;
  }
  if (op == "add2") {
    if (adds() || !std::ranges::equal(c.in(next.first).shape(), c.out(0).shape())) return false;
    addend = next.first;
    return true;
  }
  if (op == "fixed_batch_normalization") {
    if (folds() || adds() || next.position != 0 || c.in(next.first).ndim() != 1) return false;
    norm = next.first;
    eps = sdk::Attrs(next.attrs).f(attr::fixed_batch_normalization::eps);
    return true;
  }
  return false;
}

Epilogue Epilogue::of(const sdk::Call& c) {
  Epilogue e;
  for (const ctn_follower& f : c.followers())
    if (!e.take(c, f)) sdk::fail(CTN_EINTERNAL, "a follower that was not absorbed");
  return e;
}

bool absorb_epilogue(const sdk::Call& c, const ctn_follower& next) {
  return Epilogue::of(c).take(c, next);
}

void fold_norm(const sdk::Call& c, const Epilogue& e, const float* bias, float* scale,
               float* shift) {
  const auto read = [&](int k) { return c.in(e.norm + k).data<float>(); };
  const float *gamma = read(0), *beta = read(1), *mean = read(2), *var = read(3);
  for (int64_t k = 0; k < c.in(e.norm).size(); ++k) {
    const double factor =
        static_cast<double>(gamma[k]) / std::sqrt(static_cast<double>(var[k]) + e.eps);
    const double before = bias ? static_cast<double>(bias[k]) : 0.0;
    scale[k] = static_cast<float>(factor);
    shift[k] = static_cast<float>((before - static_cast<double>(mean[k])) * factor +
                                  static_cast<double>(beta[k]));
  }
}

}  // namespace catena::intel64
