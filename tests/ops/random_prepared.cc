// Random calls as arrays, variables and values of a context: see random_call.h.
#include <algorithm>
#include <cmath>

#include "main.h"
#include "random_call.h"

namespace ops_test {

#define OK(call) REQUIRE_MESSAGE((call) == CTN_OK, std::string(ctn_error_message()))

namespace {

double content_at(Content content, int64_t i) {
  constexpr double kSpecial[] = {NAN, INFINITY, -INFINITY, 0, 1e38, -1e-40, 2.5};
  switch (content) {
    case Content::kZeros: return 0;
    case Content::kNegative: return -1 - static_cast<double>(i % 3);
    case Content::kLarge: return i % 2 != 0 ? 2e9 : -3e9;
    case Content::kSpecial: return kSpecial[i % 7];
    default: return static_cast<double>(i % 4);
  }
}

// An array in C order with its content, made by a copy, as a caller would.
ctn_array plain_array(ctn_context ctx, int dtype, const Shape& shape, Content content) {
  constexpr int64_t kMost = 1 << 16;
  int64_t n = 1;
  for (const int64_t d : shape) n = std::min(n * std::min(d, kMost + 1), kMost + 1);
  if (std::count(shape.begin(), shape.end(), 0) != 0) n = 0;
  ctn_array a = nullptr;
  const auto ndim = static_cast<int32_t>(shape.size());
  if (n == 0 || n > kMost) {  // nothing to fill; or more than the context will give
    return ctn_array_new(ctx, dtype_at(dtype), ndim, shape.data(), &a) == CTN_OK ? a : nullptr;
  }
  std::vector<double> values(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) values[static_cast<size_t>(i)] = content_at(content, i);
  ctn_array wide = nullptr;
  OK(ctn_array_from_host(ctx, dtype_at(CTN_FLOAT64), ndim, shape.data(), values.data(), &wide));
  OK(ctn_array_copy(wide, dtype_at(dtype), &a));
  ctn_array_release(wide);
  return a;
}

Shape steps_of(const Shape& shape) {
  Shape steps(shape.size(), 1);
  for (size_t k = shape.size(); k-- > 1;) steps[k - 1] = steps[k] * shape[k];
  return steps;
}

// The same shape seen through other strides: of more memory, or of less.
ctn_array strided_array(ctn_context ctx, const RandomInput& in) {
  Shape base = in.shape, steps;
  int64_t offset = 0;
  if (in.layout == Layout::kTransposed) std::reverse(base.begin(), base.end());
  if (in.layout == Layout::kStepped) base.back() *= 2;
  if (in.layout == Layout::kBroadcast) base.front() = 1;
  steps = steps_of(base);
  if (in.layout == Layout::kTransposed) std::reverse(steps.begin(), steps.end());
  if (in.layout == Layout::kStepped) steps.back() = 2;
  if (in.layout == Layout::kBroadcast) steps.front() = 0;
  if (in.layout == Layout::kReversed) {
    offset = (base.back() - 1) * steps.back();
    steps.back() = -steps.back();
  }
  ctn_array whole = plain_array(ctx, in.dtype, base, in.content), part = nullptr;
  OK(ctn_array_strided(whole, static_cast<int32_t>(in.shape.size()), in.shape.data(), steps.data(),
                       offset, &part));
  ctn_array_release(whole);
  return part;
}

}  // namespace

Prepared::Prepared(ctn_context ctx, const RandomCall& call) : ctx_(ctx) {
  for (const RandomInput& in : call.inputs) {
    inputs_.push_back(nullptr);
    if (in.null) continue;
    const bool small =
        std::all_of(in.shape.begin(), in.shape.end(), [](int64_t d) { return d > 0 && d < 64; });
    ctn_array a = in.layout != Layout::kPlain && small && !in.shape.empty()
                      ? strided_array(ctx, in)
                      : plain_array(ctx, in.dtype, in.shape, in.content);
    if (!a) continue;
    OK(ctn_variable_new(a, in.gradient && in.dtype >= CTN_FLOAT16, &inputs_.back()));
    ctn_array_release(a);
  }
  for (const RandomValue& v : call.attrs) attrs_.push_back(value(v));
}

Prepared::~Prepared() {
  for (ctn_variable v : inputs_) ctn_variable_release(v);
  for (ctn_array a : arrays_) ctn_array_release(a);
}

ctn_value Prepared::value(const RandomValue& v) {
  ctn_value out{v.kind, 0, {}};
  switch (v.kind) {
    case CTN_FLOAT: out.u.f = v.f; break;
    case CTN_STR: out.n = static_cast<uint32_t>(v.s.size()), out.u.s = v.s.data(); break;
    case CTN_DTYPE: out.u.dt = v.dt; break;
    case CTN_DEVICE: out.u.dev = {CTN_DEV_CPU, 0}; break;
    case CTN_SLICE: out.u.slice = &v.slice; break;
    case CTN_INTS: out.n = static_cast<uint32_t>(v.ints.size()), out.u.is = v.ints.data(); break;
    case CTN_FLOATS:
      out.n = static_cast<uint32_t>(v.floats.size()), out.u.fs = v.floats.data();
      break;
    case CTN_LIST: {
      std::vector<ctn_value> items;
      for (const RandomValue& item : v.list) items.push_back(value(item));
      out.n = static_cast<uint32_t>(items.size());
      out.u.list = lists_.emplace_back(std::move(items)).data();
      break;
    }
    case CTN_ARRAY: {
      const auto n = static_cast<int64_t>(v.ints.size());
      OK(ctn_array_from_host(ctx_, dtype_at(CTN_INT64), 1, &n, v.ints.data(), &out.u.array));
      arrays_.push_back(out.u.array);
      break;
    }
    // without an object to name
    case CTN_STRS: out.n = 1; break;
    case CTN_VARIABLE:
    case CTN_LINK:
    case CTN_CALLBACK: break;
    default: out.u.i = v.i; break;
  }
  const bool counted = v.kind == CTN_STR || (v.kind >= CTN_INTS && v.kind <= CTN_LIST);
  if (v.malformed && (counted || v.kind == CTN_SLICE || v.kind == CTN_ARRAY)) {
    out.n = std::max(out.n, 1u);
    out.u.raw = 0;
  }
  return out;
}

}  // namespace ops_test
