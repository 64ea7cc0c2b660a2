// See harness.h.
#include "harness.h"

#include <cmath>

#include "backend.h"

namespace ops_test {

#define OK(call) REQUIRE_MESSAGE((call) == CTN_OK, std::string(ctn_error_message()))

namespace {

int64_t size_of(const Shape& shape) {
  int64_t n = 1;
  for (const int64_t d : shape) n *= d;
  return n;
}

// Numbers without a pattern that a mistake in an axis would keep.
std::vector<double> weights(size_t n, double phase) {
  std::vector<double> w(n);
  for (size_t i = 0; i < n; ++i) w[i] = std::sin(1.7 * static_cast<double>(i) + phase) + 0.3;
  return w;
}

struct Owned {
  ctn_array a = nullptr;
  ~Owned() { ctn_array_release(a); }
};

}  // namespace

Bench::Bench() {
  ctn_context_options options{};
  options.size = sizeof options;
  options.device = str(catena_test::backend());
  OK(ctn_context_create(&options, &ctx_));
}

Bench::~Bench() {
  for (ctn_variable v : kept_) ctn_variable_release(v);
  ctn_context_release(ctx_);
}

ctn_variable Bench::keep(ctn_variable v) { return kept_.emplace_back(v); }

ctn_variable Bench::variable(const Values& values, ctn_dtype dtype) {
  Owned wide, made;
  const auto ndim = static_cast<int32_t>(values.shape.size());
  OK(ctn_array_from_host(ctx_, {CTN_DT_FLOAT, 64, 1}, ndim, values.shape.data(), values.data.data(),
                         &wide.a));
  OK(ctn_array_copy(wide.a, dtype, &made.a));
  ctn_variable v = nullptr;
  OK(ctn_variable_new(made.a, dtype.code == CTN_DT_FLOAT, &v));
  return keep(v);
}

ctn_variable Bench::counting(const Shape& shape, double scale) {
  return variable(ops_test::counting(shape, scale));
}

Values Bench::values(ctn_variable v) {
  Owned own, wide;
  OK(ctn_variable_array(v, &own.a));
  OK(ctn_array_copy(own.a, {CTN_DT_FLOAT, 64, 1}, &wide.a));
  ctn_dltensor t;
  OK(ctn_array_view(wide.a, &t));
  Values out;
  out.shape.assign(t.shape, t.shape + t.ndim);
  out.data.resize(static_cast<size_t>(size_of(out.shape)));
  OK(ctn_array_to_host(wide.a, out.data.data(), out.data.size() * sizeof(double)));
  return out;
}

Values counting(const Shape& shape, double scale, double offset) {
  Values v;
  v.shape = shape;
  for (int64_t i = 0; i < size_of(shape); ++i)
    v.data.push_back(offset + scale * static_cast<double>(i + 1));
  return v;
}

ctn_attr attr(const char* name, ctn_value v) { return {str(name), v}; }
ctn_attr attr(const char* name, int64_t v) {
  ctn_value value{CTN_INT, 0, {}};
  value.u.i = v;
  return attr(name, value);
}
ctn_attr attr(const char* name, double v) {
  ctn_value value{CTN_FLOAT, 0, {}};
  value.u.f = v;
  return attr(name, value);
}
ctn_attr attr(const char* name, bool v) {
  ctn_value value{CTN_BOOL, 0, {}};
  value.u.i = v;
  return attr(name, value);
}
ctn_attr attr(const char* name, const Shape& v) {
  ctn_value value{CTN_INTS, static_cast<uint32_t>(v.size()), {}};
  value.u.is = v.data();
  return attr(name, value);
}

std::vector<ctn_variable> Op::operator()(Bench& bench, std::span<const ctn_variable> in) const {
  std::vector<ctn_variable> out(static_cast<size_t>(outputs), nullptr);
  OK(ctn_call_named(bench.context(), str(name), in.data(), static_cast<int32_t>(in.size()),
                    attrs.data(), static_cast<int32_t>(attrs.size()), out.data(), outputs));
  for (ctn_variable v : out) bench.keep(v);
  return out;
}

ctn_variable Op::one(Bench& bench, std::initializer_list<ctn_variable> in) const {
  return (*this)(bench, std::span(in.begin(), in.size()))[0];
}

ctn_status Op::refused(std::initializer_list<ctn_variable> in, std::string* text) const {
  std::vector<ctn_variable> out(static_cast<size_t>(outputs), nullptr);
  const ctn_status status = ctn_call_named(ctn_variable_context(*in.begin()), str(name), in.begin(),
                                           static_cast<int32_t>(in.size()), attrs.data(),
                                           static_cast<int32_t>(attrs.size()), out.data(), outputs);
  for (ctn_variable v : out) ctn_variable_release(v);
  *text = status == CTN_OK ? "" : ctn_error_message();
  return status;
}

namespace {

using Variables = std::vector<ctn_variable>;

Variables inputs_of(Bench& bench, const std::vector<Values>& values) {
  Variables in;
  for (const Values& v : values) in.push_back(bench.variable(v));
  return in;
}

double dot(const Values& a, const std::vector<double>& w) {
  double sum = 0;
  for (size_t i = 0; i < a.data.size(); ++i) sum += a.data[i] * w[i];
  return sum;
}

// Gradients of sum over outputs of w * output; NULL where nothing flows.
Variables gradients(Bench& bench, const Variables& outs, double phase, const Variables& in,
                    bool again) {
  Variables given, kept;
  for (ctn_variable y : outs) {
    if (!y) continue;
    Values w = bench.values(y);
    w.data = weights(w.data.size(), phase);
    kept.push_back(y);
    given.push_back(bench.variable(w));
  }
  ctn_grad_options options{};
  options.size = sizeof options;
  options.enable_double_backprop = again;
  options.grad_outputs = given.data();
  Variables gx(in.size(), nullptr);
  OK(ctn_grad_of(kept.data(), static_cast<int32_t>(kept.size()), in.data(),
                 static_cast<int32_t>(in.size()), &options, gx.data()));
  for (ctn_variable v : gx)
    if (v) bench.keep(v);
  return gx;
}

// The weighted sum of what `order` derivatives of the op give at a point.
double scalar_at(const Op& op, const std::vector<Values>& point, int order) {
  Bench bench;
  const Variables in = inputs_of(bench, point);
  Variables y = op(bench, in);
  double phase = 0.5;
  if (order == 1) {
    y = gradients(bench, y, phase, in, false);
    phase = 1.1;
  }
  double sum = 0;
  for (ctn_variable v : y) {
    if (!v) continue;
    const Values values = bench.values(v);
    sum += dot(values, weights(values.data.size(), phase));
  }
  return sum;
}

void compare(const Op& op, const std::vector<Values>& inputs, int order, double tolerance) {
  Bench bench;
  const Variables in = inputs_of(bench, inputs);
  Variables y = op(bench, in);
  Variables gx = gradients(bench, y, 0.5, in, order == 1);
  if (order == 1) {
    bool any = false;
    for (ctn_variable v : gx) any = any || (v && ctn_variable_requires_grad(v) != 0);
    gx = any ? gradients(bench, gx, 1.1, in, false) : Variables(in.size(), nullptr);
  }
  const double step = 1e-5;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Values found = gx[i] ? bench.values(gx[i]) : Values{};
    if (gx[i]) REQUIRE(found.shape == inputs[i].shape);
    for (size_t k = 0; k < inputs[i].data.size(); ++k) {
      std::vector<Values> point = inputs;
      point[i].data[k] += step;
      const double above = scalar_at(op, point, order);
      point[i].data[k] -= 2 * step;
      const double slope = (above - scalar_at(op, point, order)) / (2 * step);
      const double got = gx[i] ? found.data[k] : 0;
      const double error = std::fabs(got - slope) / (1 + std::fabs(slope));
      CHECK_MESSAGE(error < tolerance, op.name, ": derivative ", order + 1, " of input ", i,
                    ", element ", k, ": ", got, ", but the difference quotient is ", slope);
    }
  }
}

}  // namespace

void check_gradients(const Op& op, const std::vector<Values>& inputs, double tolerance) {
  compare(op, inputs, 0, tolerance);
  compare(op, inputs, 1, tolerance);
}

}  // namespace ops_test
