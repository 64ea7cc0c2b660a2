// Kernels of batch normalization. x is `batch` images of `channels` planes of `inner` elements.
// Large planes are walked one channel after the other; small ones row by row, every element of an
// image being a column whose sums are added up to those of its channel.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <cpu/add_kernels.h>
#include <cpu/isa.h>
#include <cpu/kernels.h>
#include <cpu/nn/norm.h>
#include <cpu/widen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

namespace catena::cpu {
namespace {

using sdk::Run;
using sdk::Tensor;

template <class T>
const NormLoops<T>& norm_loops() {
  const auto pick = [](const auto& f, const auto& d) -> const NormLoops<T>& {
    if constexpr (std::is_same_v<T, float>)
      return f;
    else
      return d;
  };
  switch (isa()) {
    case Isa::kAvx512: return pick(avx512::kNormFloat, avx512::kNormDouble);
    case Isa::kAvx2: return pick(avx2::kNormFloat, avx2::kNormDouble);
    default: return pick(sse2::kNormFloat, sse2::kNormDouble);
  }
}

constexpr int64_t kLeastPlane = 16;   // below, rows
constexpr int64_t kCached = 1 << 18;  // elements of a channel that stay in the second cache
constexpr int64_t kGrain = 1 << 16;   // elements of a piece

struct Layout {
  int64_t batch, channels, inner;

  Layout(const Tensor& x, const Tensor& gamma)
      : batch(x.shape(0)),
        channels(gamma.size()),
        inner(sdk::size_of(x.shape().subspan(static_cast<size_t>(gamma.ndim()) + 1))) {
    if (x.size() == 0) batch = 0;  // images without elements may be without number
  }
  bool planes() const { return inner >= kLeastPlane; }
  int64_t row() const { return channels * inner; }
  double count() const { return static_cast<double>(batch * inner); }
};

// ---- planes

// Images of a piece of a channel: all, if the second cache holds the channel.
int64_t images_of_piece(const Layout& l) {
  if (l.batch * l.inner <= kCached) return std::max<int64_t>(l.batch, 1);
  return std::max<int64_t>(1, kGrain / l.inner);
}

// reduce(channel, first image, last image, Part&) for all pieces, then finish(channel, parts of
// it), then apply(channel, first image, last image); a channel of one piece at one go.
template <class Part, class Reduce, class Finish, class Apply>
void by_channel(const Run& run, const Layout& l, Reduce&& reduce, Finish&& finish, Apply&& apply) {
  const int64_t images = images_of_piece(l);
  const int64_t pieces = std::max<int64_t>(1, (l.batch + images - 1) / images);
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, images * l.inner));
  if (pieces == 1) {
    sdk::parallel_for(run, l.channels, grain, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        Part part{};
        reduce(c, int64_t{0}, l.batch, part);
        finish(c, std::span<const Part>(&part, 1));
        apply(c, int64_t{0}, l.batch);
      }
    });
    return;
  }
  Part* parts = run.scratch<Part>(l.channels * pieces);
  const auto each_piece = [&](auto&& fn) {
    sdk::parallel_for(run, l.channels * pieces, grain, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        const int64_t first = k % pieces * images;
        fn(k, k / pieces, first, std::min(l.batch, first + images));
      }
    });
  };
  each_piece([&](int64_t k, int64_t c, int64_t first, int64_t last) {
    parts[k] = Part{};
    reduce(c, first, last, parts[k]);
  });
  for (int64_t c = 0; c < l.channels; ++c)
    finish(c, std::span<const Part>(parts + c * pieces, static_cast<size_t>(pieces)));
  each_piece([&](int64_t, int64_t c, int64_t first, int64_t last) { apply(c, first, last); });
}

// ---- columns

constexpr int64_t kColumns = 512;  // of a piece
constexpr int64_t kFlush = 64;     // rows whose sums are in the narrow type

// sums[k][column], k = 0, 1: what fn(two rows of narrow sums, offset in x, columns) adds up.
template <class C, class Fn>
void column_sums(const Run& run, const Layout& l, double* sums, Fn&& fn) {
  const int64_t row = l.row();
  const int64_t rows = std::max<int64_t>(kFlush, kGrain / std::max<int64_t>(1, row));
  const int64_t pieces = std::max<int64_t>(1, (l.batch + rows - 1) / rows);
  const int64_t groups = (row + kColumns - 1) / kColumns;
  double* parts = run.scratch<double>(2 * pieces * row);
  sdk::parallel_for(run, pieces * groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t piece = k / groups, column = k % groups * kColumns;
      const int64_t m = std::min(kColumns, row - column);
      double* to[2] = {parts + 2 * piece * row + column, parts + (2 * piece + 1) * row + column};
      for (double* p : to) std::fill_n(p, m, 0.0);
      const int64_t last = std::min(l.batch, (piece + 1) * rows);
      for (int64_t first = piece * rows; first < last; first += kFlush) {
        C narrow[2][kColumns] = {};
        for (int64_t r = first; r < std::min(last, first + kFlush); ++r)
          fn(narrow[0], narrow[1], r * row + column, column, m);
        for (int64_t j = 0; j < 2; ++j)
          for (int64_t i = 0; i < m; ++i) to[j][i] += static_cast<double>(narrow[j][i]);
      }
    }
  });
  std::fill_n(sums, 2 * row, 0.0);
  for (int64_t piece = 0; piece < pieces; ++piece)
    for (int64_t i = 0; i < 2 * row; ++i) sums[i] += parts[2 * piece * row + i];
}

// The sum of a channel's columns.
double channel_sum(const double* sums, const Layout& l, int64_t c) {
  double total = 0;
  for (int64_t i = c * l.inner; i < (c + 1) * l.inner; ++i) total += sums[i];
  return total;
}

// fn(offset in x) for rows in parallel.
template <class Fn>
void for_rows(const Run& run, const Layout& l, Fn&& fn) {
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, l.row()));
  sdk::parallel_for(run, l.batch, grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) fn(r * l.row());
  });
}

// K parameters of each channel, repeated for each of its columns where there are columns.
template <class C, int K>
class Parameters {
 public:
  Parameters(const Run& run, const Layout& l) : l_(l), step_(l.planes() ? l.channels : l.row()) {
    p_ = run.scratch<C>(K * step_);
  }
  void set(int64_t c, const C (&values)[K]) {
    const int64_t n = l_.planes() ? 1 : l_.inner;
    for (int k = 0; k < K; ++k) std::fill_n(p_ + k * step_ + c * n, n, values[k]);
  }
  const C* operator[](int k) const { return p_ + k * step_; }
  C at(int k, int64_t c) const { return p_[k * step_ + c]; }

 private:
  const Layout& l_;
  int64_t step_;
  C* p_;
};

// ---- forward

template <class C>
struct Forward {
  const Run& run;
  const Layout l;
  const NormLoops<C>& f;
  const C *x, *gamma, *beta;
  C *y, *mean, *var;
  const double eps;
  Parameters<C, 3> p;  // mean, scale, shift

  Forward(const Run& r, C* out)
      : run(r),
        l(r.in(0), r.in(1)),
        f(norm_loops<C>()),
        x(widened<C>(r, r.in(0))),
        gamma(widened<C>(r, r.in(1))),
        beta(widened<C>(r, r.in(2))),
        y(out),
        mean(r.out(1).template data<C>()),
        var(r.out(2).template data<C>()),
        eps(r.f(attr::batch_norm::eps)),
        p(r, l) {}

  void finish(int64_t c, double m, double v) {
    mean[c] = static_cast<C>(m);
    var[c] = static_cast<C>(v);
    const double scale = static_cast<double>(gamma[c]) / std::sqrt(v + eps);
    p.set(c, {mean[c], static_cast<C>(scale), beta[c]});
  }

  void planes() {
    by_channel<Moments>(
        run, l,
        [&](int64_t c, int64_t first, int64_t last, Moments& part) {
          for (int64_t n = first; n < last; ++n)
            f.moments(&part, x + (n * l.channels + c) * l.inner, l.inner);
        },
        [&](int64_t c, std::span<const Moments> parts) {
          Moments all;
          for (const Moments& part : parts) merge(all, part);
          finish(c, all.count > 0 ? all.mean : NAN, all.squares / all.count);
        },
        [&](int64_t c, int64_t first, int64_t last) {
          for (int64_t n = first; n < last; ++n) {
            const int64_t at = (n * l.channels + c) * l.inner;
            f.apply(y + at, x + at, p.at(0, c), p.at(1, c), p.at(2, c), l.inner);
          }
        });
  }

  void columns() {
    const int64_t row = l.row();
    double* sums = run.scratch<double>(2 * row);
    double* centre = run.scratch<double>(l.channels);
    column_sums<C>(run, l, sums,
                   [&](C* a, C*, int64_t at, int64_t, int64_t m) { f.add(a, x + at, m); });
    for (int64_t c = 0; c < l.channels; ++c) {
      const C m = static_cast<C>(channel_sum(sums, l, c) / l.count());
      centre[c] = static_cast<double>(m);
      p.set(c, {m, C{0}, C{0}});
    }
    column_sums<C>(run, l, sums, [&](C* a, C* b, int64_t at, int64_t column, int64_t m) {
      f.distances(a, b, x + at, p[0] + column, m);
    });
    for (int64_t c = 0; c < l.channels; ++c) {
      const double left = channel_sum(sums, l, c) / l.count();
      const double squares = channel_sum(sums + row, l, c) / l.count();
      finish(c, centre[c] + left, squares - left * left);
    }
    for_rows(run, l, [&](int64_t at) { f.column_apply(y + at, x + at, p[0], p[1], p[2], row); });
  }
};

void batch_norm(const Run& run) {
  with_compute_type(run, [&]<class C>() {
    const Widened<C> y(run, 0);
    Forward<C> pass(run, y.data());
    if (pass.l.planes())
      pass.planes();
    else
      pass.columns();
    y.store();
  });
}

// ---- with a given mean and variance

void fixed_batch_norm(const Run& run) {
  namespace in = in::fixed_batch_normalization;
  const double eps = run.f(attr::fixed_batch_normalization::eps);
  with_compute_type(run, [&]<class C>() {
    const NormLoops<C>& f = norm_loops<C>();
    const Layout l(run.in(in::x), run.in(in::gamma));
    const auto read = [&](int k) { return widened<C>(run, run.in(k)); };
    const C *x = read(in::x), *gamma = read(in::gamma), *beta = read(in::beta);
    const C *mean = read(in::mean), *var = read(in::var);
    const Widened<C> out(run, 0);
    C* y = out.data();
    Parameters<C, 3> p(run, l);  // mean, scale, shift
    for (int64_t c = 0; c < l.channels; ++c) {
      const double scale =
          static_cast<double>(gamma[c]) / std::sqrt(static_cast<double>(var[c]) + eps);
      p.set(c, {mean[c], static_cast<C>(scale), beta[c]});
    }
    if (l.planes()) {
      const int64_t grain = std::max<int64_t>(1, kGrain / l.inner);
      sdk::parallel_for(run, l.batch * l.channels, grain, [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; ++k) {
          const int64_t c = k % l.channels, at = k * l.inner;
          f.apply(y + at, x + at, p.at(0, c), p.at(1, c), p.at(2, c), l.inner);
        }
      });
    } else {
      for_rows(run, l,
               [&](int64_t at) { f.column_apply(y + at, x + at, p[0], p[1], p[2], l.row()); });
    }
    out.store();
  });
}

// ---- gradient

struct Dots {
  double sums[2] = {0, 0};  // of gy, of gy * (x - mean)
};

template <class C>
struct Backward {
  const Run& run;
  const Layout l;
  const NormLoops<C>& f;
  const C *x, *gamma, *mean, *var, *gy;
  C *gx, *ggamma, *gbeta;
  const double eps;
  Parameters<C, 4> p;  // as NormSlope

  Backward(const Run& r, C* to_x, C* to_gamma, C* to_beta)
      : run(r),
        l(r.in(0), r.in(1)),
        f(norm_loops<C>()),
        x(widened<C>(r, r.in(0))),
        gamma(widened<C>(r, r.in(1))),
        mean(widened<C>(r, r.in(2))),
        var(widened<C>(r, r.in(3))),
        gy(widened<C>(r, r.in(4))),
        gx(to_x),
        ggamma(to_gamma),
        gbeta(to_beta),
        eps(r.f(attr::batch_norm_grad::eps)),
        p(r, l) {}

  void finish(int64_t c, double sum, double dot) {
    const double s = 1.0 / std::sqrt(static_cast<double>(var[c]) + eps), m = l.count();
    gbeta[c] = static_cast<C>(sum);
    ggamma[c] = static_cast<C>(dot * s);
    p.set(c, {mean[c], static_cast<C>(static_cast<double>(gamma[c]) * s), static_cast<C>(sum / m),
              static_cast<C>(dot * s * s / m)});
  }

  void planes() {
    by_channel<Dots>(
        run, l,
        [&](int64_t c, int64_t first, int64_t last, Dots& part) {
          for (int64_t n = first; n < last; ++n) {
            const int64_t at = (n * l.channels + c) * l.inner;
            f.dots(part.sums, gy + at, x + at, mean[c], l.inner);
          }
        },
        [&](int64_t c, std::span<const Dots> parts) {
          Dots all;
          for (const Dots& part : parts)
            for (int k = 0; k < 2; ++k) all.sums[k] += part.sums[k];
          finish(c, all.sums[0], all.sums[1]);
        },
        [&](int64_t c, int64_t first, int64_t last) {
          const NormSlope<C> k{p.at(0, c), p.at(1, c), p.at(2, c), p.at(3, c)};
          for (int64_t n = first; n < last; ++n) {
            const int64_t at = (n * l.channels + c) * l.inner;
            f.slope(gx + at, gy + at, x + at, k, l.inner);
          }
        });
  }

  void columns() {
    const int64_t row = l.row();
    double* sums = run.scratch<double>(2 * row);
    for (int64_t c = 0; c < l.channels; ++c) p.set(c, {mean[c], C{0}, C{0}, C{0}});
    column_sums<C>(run, l, sums, [&](C* a, C* b, int64_t at, int64_t column, int64_t m) {
      f.column_dots(a, b, gy + at, x + at, p[0] + column, m);
    });
    for (int64_t c = 0; c < l.channels; ++c)
      finish(c, channel_sum(sums, l, c), channel_sum(sums + row, l, c));
    for_rows(run, l, [&](int64_t at) {
      f.column_slope(gx + at, gy + at, x + at, p[0], p[1], p[2], p[3], row);
    });
  }
};

void batch_norm_grad(const Run& run) {
  with_compute_type(run, [&]<class C>() {
    const Widened<C> gx(run, 0), ggamma(run, 1), gbeta(run, 2);
    Backward<C> pass(run, gx.data(), ggamma.data(), gbeta.data());
    if (pass.l.planes())
      pass.planes();
    else
      pass.columns();
    gx.store();
    ggamma.store();
    gbeta.store();
  });
}

}  // namespace

ctn_status register_norm(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"batch_norm", 0, sdk::kernel<batch_norm>},
                      {"fixed_batch_normalization", 0, sdk::kernel<fixed_batch_norm>},
                      {"batch_norm_grad", 0, sdk::kernel<batch_norm_grad>}});
}

}  // namespace catena::cpu
