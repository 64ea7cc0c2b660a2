// Batch normalization: shapes, running averages, gradients of any order.
#include "functions.h"

namespace catena::functions {

using sdk::Call;
using sdk::Dims;
using sdk::Grad;
using sdk::op;
using sdk::Outs;
using sdk::Ref;
using sdk::Tensor;
using sdk::Var;
using sdk::Vars;

namespace {

// array = decay * array + (1 - decay) * factor * x, in place. Kernels of float32 would lose the
// digits of 1 - decay.
void update_running(Ref running, Ref x, double decay, double factor) {
  const Var next = op<"running_average">({running, x}, {decay, (1 - decay) * factor});
  sdk::check(sdk::api().array_assign(running.array().get(), next.array().get()));
}

// What is common to the channels of x: its shape and that of parameters which broadcast to it.
struct Channels {
  Dims whole, own, wide, axes;  // x, gamma, gamma with axes of size 1, axes that are reduced

  Channels(std::span<const int64_t> x, std::span<const int64_t> gamma) : whole(x), own(gamma) {
    for (int k = 0; k < whole.size(); ++k) {
      const bool channel = k >= 1 && k <= own.size();
      wide.push(channel ? whole[k] : 1);
      if (!channel) axes.push(k);
    }
  }
  double count() const {  // elements of a channel
    return static_cast<double>(sdk::size_of(whole)) / static_cast<double>(sdk::size_of(own));
  }
  Var widen(Ref p) const { return op<"reshape">({p}, {wide}); }
  Var narrow(Ref p) const { return op<"reshape">({p}, {own}); }
  Var mean(Ref x) const { return op<"mean_row">({x}, {axes, true}); }
  Var sum(Ref x) const { return op<"sum">({x}, {axes, true}); }
};

Var times(Ref a, Ref b) { return op<"broadcast_mul">({a, b}); }
Var minus(Ref a, Ref b) { return op<"broadcast_sub">({a, b}); }

// The sum of what is there.
Var plus(const Var& a, const Var& b) {
  if (!a) return b;
  return b ? a + b : a;
}

}  // namespace

Var batch_normalization_compose(const Call& call, Vars in) {
  namespace a = attr::batch_normalization;
  const Ref mean = in[3], var = in[4];
  if (static_cast<bool>(mean) != static_cast<bool>(var))
    sdk::fail(CTN_EINVAL, "running_mean and running_var are given together or not at all");
  auto y = op<"batch_norm">.outs<3>({in[0], in[1], in[2]}, {call[a::eps]});
  if (mean) {
    const double decay = call.f(a::decay);
    const double m = Channels(call.in(0).shape(), call.in(1).shape()).count();
    update_running(mean, y[1], decay, 1);
    update_running(var, y[2], decay, m / std::max(m - 1, 1.0));  // unbiased
  }
  return std::move(y[0]);
}

// Means and variances have the type that kernels compute with.
void batch_norm_infer(const Call& call, Outs out) {
  const Tensor x = call.in(0), gamma = call.in(1);
  const bool wide = x.dtype_index() == CTN_FLOAT64;
  const ctn_dtype kept = sdk::dtype_of(wide ? CTN_FLOAT64 : CTN_FLOAT32);
  out[0].like(x);
  out[1].make(kept, gamma.shape());
  out[2].make(kept, gamma.shape());
}

void batch_norm_backward(Grad& g) {
  if (g.gy(1) || g.gy(2))
    sdk::fail(CTN_EGRAD, "[batch_norm] mean and variance have no gradient of their own");
  if (!g.gy()) return;
  const auto gx = op<"batch_norm_grad">.outs<3>({g.in(0), g.in(1), g.out(1), g.out(2), g.gy()},
                                                {g[attr::batch_norm::eps]});
  for (int k = 0; k < 3; ++k)
    if (g.needed(k)) g.set(k, gx[static_cast<size_t>(k)]);
}

void batch_norm_grad_infer(const Call& call, Outs out) {
  out[0].like(call.in(in::batch_norm_grad::x));
  out[1].like(call.in(in::batch_norm_grad::gamma));
  out[2].like(call.in(in::batch_norm_grad::gamma));
}

namespace {

// x normalised and 1 / sqrt(var + eps), as functions of x.
struct Normalized {
  Var x, scale;
  const Channels& channels;

  Normalized(Ref given, double eps, const Channels& c) : channels(c) {
    const Var centred = minus(given, c.mean(given));
    scale = op<"rsqrt">({c.mean(op<"square">({centred})) + eps});
    x = times(centred, scale);
  }
  // u without its mean and its part along x: what normalising does to a gradient.
  Var project(Ref u) const { return minus(u, channels.mean(u)) - times(x, channels.mean(u * x)); }
};

}  // namespace

// With x^ = (x - mean) * s, the projection P above and M elements a channel:
//   gx = gamma * s * P(gy), ggamma = sum(gy * x^), gbeta = sum(gy)
// For a, b, c flowing back to gx, ggamma, gbeta and h = b * gy - gamma * s * (gy * mean(a * x^) + a
// * mean(gy * x^)):
//   to gy:    gamma * s * P(a) + b * x^ + c
//   to gamma: s * sum(gy * P(a))
//   to x:     s * P(h) - s^2 * gamma * sum(gy * P(a)) / M * x^
void batch_norm_grad_backward(Grad& g) {
  namespace k = in::batch_norm_grad;
  const Ref x = g.in(k::x), gy = g.in(k::gy), a = g.gy(0);
  const Channels c(g.in_spec(k::x).shape().span(), g.in_spec(k::gamma).shape().span());
  const Normalized n(x, g.f(attr::batch_norm_grad::eps), c);
  const Var b = g.gy(1) ? c.widen(g.gy(1)) : Var();
  const Var gamma = c.widen(g.in(k::gamma));
  Var to_gy, along, h, to_x;
  if (b) {
    to_gy = times(n.x, b);
    h = times(gy, b);
  }
  if (g.gy(2)) to_gy = plus(to_gy, op<"broadcast_to">({c.widen(g.gy(2))}, {c.whole}));
  if (a) {
    const Var slope = gamma * n.scale, part = n.project(a);
    to_gy = plus(times(slope, part), to_gy);
    along = n.scale * c.sum(gy * part);
    const Var mixed = times(gy, c.mean(a * n.x)) + times(a, c.mean(gy * n.x));
    const Var back = -times(slope, mixed);
    h = plus(h, back);
    to_x = -times(n.x, slope * along / c.count());
  }
  if (h) to_x = plus(times(n.scale, n.project(h)), to_x);
  if (g.needed(k::x) && to_x) g.set(k::x, to_x);
  if (g.needed(k::gamma) && along) g.set(k::gamma, c.narrow(along));
  if (g.needed(k::gy) && to_gy) g.set(k::gy, to_gy);
}

void fixed_batch_normalization_infer(const Call& call, Outs out) { out[0].like(call.in(0)); }

// With d = 1 / sqrt(var + eps) and sums over all but the channels:
//   gx = gamma * d * gy, gbeta = sum(gy), ggamma = d * sum(gy * (x - mean))
//   gmean = -gamma * d * gbeta, gvar = -gamma * d^2 * ggamma / 2
void fixed_batch_normalization_backward(Grad& g) {
  namespace k = in::fixed_batch_normalization;
  const Ref gy = g.gy();
  if (!gy) return;
  const Channels c(g.in_spec(k::x).shape().span(), g.in_spec(k::gamma).shape().span());
  const double eps = g.f(attr::fixed_batch_normalization::eps);
  const Var gamma(g.in(k::gamma)), d = op<"rsqrt">({Var(g.in(k::var)) + eps});
  if (g.needed(k::x)) g.set(k::x, times(gy, c.widen(gamma * d)));
  Var ggamma, gbeta;
  if (g.needed(k::gamma) || g.needed(k::var))
    ggamma = c.narrow(c.sum(times(minus(g.in(k::x), c.widen(g.in(k::mean))), gy))) * d;
  if (g.needed(k::beta) || g.needed(k::mean)) gbeta = c.narrow(c.sum(gy));
  if (g.needed(k::gamma)) g.set(k::gamma, ggamma);
  if (g.needed(k::beta)) g.set(k::beta, gbeta);
  if (g.needed(k::mean)) g.set(k::mean, -(gamma * d * gbeta));
  if (g.needed(k::var)) g.set(k::var, gamma * d * d * ggamma * -0.5);
}

}  // namespace catena::functions
