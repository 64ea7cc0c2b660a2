// Kernels that look at one element of each line by its label: softmax cross entropy, pick,
// accuracy.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <cpu/add_kernels.h>
#include <cpu/copy.h>
#include <cpu/kernels.h>
#include <cpu/nn/lines.h>
#include <cpu/widen.h>

#include <cmath>
#include <limits>

namespace catena::cpu {
namespace {

using sdk::Run;
using sdk::Tensor;

constexpr int64_t kGrain = 1 << 14;  // labels of a piece

// The ignored label of an attribute that may be None.
struct Ignore {
  bool given;
  int64_t label;
  Ignore(const Run& run, int attr) : given(!run.is_none(attr)), label(given ? run.i(attr) : 0) {}
};

template <class Fn>
void for_labels(const Run& run, const Tensor& t, Fn&& fn) {
  sdk::dispatch<int32_t, int64_t, int8_t, int16_t>(t.dtype(), [&]<class I>() {
    const I* p = t.data<const I>();
    sdk::parallel_for(run, t.size(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) fn(i, static_cast<int64_t>(p[i]));
    });
  });
}

// The class of each line, -1 where it is to be ignored.
const int64_t* read_labels(const Run& run, const Tensor& t, int64_t classes, Ignore ignore) {
  int64_t* labels = run.scratch<int64_t>(t.size());
  for_labels(run, t, [&](int64_t i, int64_t label) {
    const bool skip = ignore.given && label == ignore.label;
    if (!skip && (label < 0 || label >= classes)) {
      const std::string or_ignored =
          ignore.given ? sdk::text(" or t == ", ignore.label) : std::string();
      sdk::fail(CTN_EINVAL, "Each label `t` need to satisfy `0 <= t < ", classes, or_ignored,
                "`, got ", label);
    }
    labels[i] = skip ? -1 : label;
  });
  return labels;
}

// Sums over [0, n) of pieces that fn(begin, end) adds up, in their order.
template <class Fn>
double sum_pieces(const Run& run, int64_t n, Fn&& fn) {
  const int64_t pieces = (n + kGrain - 1) / kGrain;
  double* sums = run.scratch<double>(std::max<int64_t>(pieces, 1));
  sdk::parallel_for(run, n, kGrain,
                    [&](int64_t begin, int64_t end) { sums[begin / kGrain] = fn(begin, end); });
  double total = 0;
  for (int64_t k = 0; k < pieces; ++k) total += sums[k];
  return total;
}

// 1 / what a mean divides by.
double coefficient(const Run& run, const int64_t* labels, int64_t lines, int64_t batch,
                   bool normalize) {
  double count = static_cast<double>(batch);
  if (normalize)
    count = sum_pieces(run, lines, [&](int64_t begin, int64_t end) {
      return static_cast<double>(
          std::count_if(labels + begin, labels + end, [](int64_t label) { return label >= 0; }));
    });
  return 1.0 / std::max(count, 1.0);
}

// ---- softmax cross entropy

void cross_entropy(const Run& run) {
  namespace a = attr::softmax_cross_entropy_loss;
  const Tensor x = run.in(0), t = run.in(1);
  const Lines lines(x.shape(), 1);
  const int64_t* labels = read_labels(run, t, lines.n, Ignore(run, a::ignore_label));
  with_compute_type(run, [&]<class C>() {
    const SoftmaxLoops<C>& f = softmax_loops<C>();
    const C* p = widened<C>(run, x);
    const C* weight = run.has(2) ? widened<C>(run, run.in(2)) : nullptr;
    C *peak = run.out(1).data<C>(), *total = run.out(2).data<C>();
    const bool mean = run.b(a::mean);
    const Widened<C> loss(run, 0);
    C* each = mean ? run.scratch<C>(lines.count()) : loss.data();
    const auto finish = [&](int64_t line, int64_t first) {
      const int64_t label = labels[line];
      if (label < 0) {
        each[line] = 0;
        return;
      }
      const C value = std::log(total[line]) - (p[first + label * lines.inner] - peak[line]);
      each[line] = weight ? value * weight[label] : value;
    };
    for_lines(
        run, lines,
        [&](int64_t line, int64_t at) {
          f.totals(p + at, lines.n, peak + line, total + line);
          finish(line, at);
        },
        [&](int64_t line, int64_t at, int64_t m) {
          f.column_totals(p + at, lines.n, lines.inner, m, peak + line, total + line);
          for (int64_t j = 0; j < m; ++j) finish(line + j, at + j);
        });
    if (mean) {
      const double sum = sum_pieces(run, lines.count(), [&](int64_t begin, int64_t end) {
        double part = 0;
        for (int64_t i = begin; i < end; ++i) part += static_cast<double>(each[i]);
        return part;
      });
      *loss.data() = static_cast<C>(
          sum * coefficient(run, labels, lines.count(), x.shape(0), run.b(a::normalize)));
    }
    loss.store();
  });
}

void cross_entropy_grad(const Run& run) {
  namespace a = attr::softmax_cross_entropy_grad;
  namespace k = in::softmax_cross_entropy_grad;
  const Tensor x = run.in(k::x), t = run.in(k::t);
  const Lines lines(x.shape(), 1);
  const bool mean = run.b(a::mean);
  const int64_t* labels = read_labels(run, t, lines.n, Ignore(run, a::ignore_label));
  const double share =
      mean ? coefficient(run, labels, lines.count(), x.shape(0), run.b(a::normalize)) : 1.0;
  with_compute_type(run, [&]<class C>() {
    const SoftmaxLoops<C>& f = softmax_loops<C>();
    const C* p = widened<C>(run, x);
    const C* weight = run.has(k::class_weight) ? widened<C>(run, run.in(k::class_weight)) : nullptr;
    const C *peak = widened<C>(run, run.in(k::peak)), *total = widened<C>(run, run.in(k::total));
    const C* gloss = widened<C>(run, run.in(k::gloss));
    const Widened<C> gx(run, 0);
    const auto scale_of = [&](int64_t line) {
      const C scale = static_cast<C>(share) * gloss[mean ? 0 : line];
      return weight ? scale * weight[labels[line]] : scale;
    };
    const auto row = [&](int64_t line, int64_t at) {
      C* to = gx.data() + at;
      if (labels[line] < 0) {
        std::fill_n(to, lines.n, C{0});
        return;
      }
      const C scale = scale_of(line);
      f.scaled_exp(to, p + at, peak[line], scale / total[line], lines.n);
      to[labels[line]] -= scale;
    };
    const auto columns = [&](int64_t line, int64_t at, int64_t m) {
      C scale[kMostColumns], part[kMostColumns];
      for (int64_t j = 0; j < m; ++j) {
        scale[j] = labels[line + j] < 0 ? C{0} : scale_of(line + j);
        part[j] = scale[j] / total[line + j];
      }
      C* to = gx.data() + at;
      f.column_scaled_exp(to, p + at, peak + line, part, lines.n, lines.inner, m);
      for (int64_t j = 0; j < m; ++j) {
        const int64_t label = labels[line + j];
        if (label >= 0)
          to[label * lines.inner + j] -= scale[j];
        else
          for (int64_t c = 0; c < lines.n; ++c) to[c * lines.inner + j] = 0;
      }
    };
    for_lines(run, lines, row, columns);
    gx.store();
  });
}

void cross_entropy_weights(const Run& run) {
  namespace a = attr::softmax_cross_entropy_weights;
  const Tensor t = run.in(0);
  const int64_t* labels = read_labels(run, t, run.i(a::classes), Ignore(run, a::ignore_label));
  const double share =
      run.b(a::mean) ? coefficient(run, labels, t.size(), t.shape(0), run.b(a::normalize)) : 1.0;
  const bool wide = run.out(0).dtype_index() == CTN_FLOAT64;
  const auto body = [&]<class C>() {
    const C* weight = run.has(1) ? widened<C>(run, run.in(1)) : nullptr;
    const Widened<C> y(run, 0);
    sdk::parallel_for(run, t.size(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const C each = labels[i] < 0 ? C{0} : static_cast<C>(share);
        y.data()[i] = weight && labels[i] >= 0 ? each * weight[labels[i]] : each;
      }
    });
    y.store();
  };
  if (wide)
    body.template operator()<double>();
  else
    body.template operator()<float>();
}

// ---- pick, put_pick

// fn(to, from) as bytes of an element: `Bits` has the size of the dtype.
template <class Fn>
void with_bits(ctn_dtype dtype, Fn&& fn) {
  switch (sdk::dtype_bytes(dtype)) {
    case 2: return fn.template operator()<uint16_t>();
    case 4: return fn.template operator()<uint32_t>();
    default: return fn.template operator()<uint64_t>();
  }
}

void pick(const Run& run) {
  const Tensor x = run.in(0), t = run.in(1);
  const Lines lines(x.shape(), 1);
  const int64_t* labels = read_labels(run, t, lines.n, Ignore(run, attr::pick::ignore_label));
  with_bits(x.dtype(), [&]<class B>() {
    const B* from = x.data<const B>();
    B* to = run.out(0).data<B>();
    sdk::parallel_for(run, lines.count(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = (i / lines.inner * lines.n + labels[i]) * lines.inner + i % lines.inner;
        to[i] = labels[i] < 0 ? B{0} : from[at];
      }
    });
  });
}

void put_pick(const Run& run) {
  const Tensor x = run.in(0), t = run.in(1), y = run.out(0);
  const Lines lines(y.shape(), 1);
  const int64_t* labels = read_labels(run, t, lines.n, Ignore(run, attr::put_pick::ignore_label));
  fill_zero(run.exec(), y.data(), y.size() * sdk::dtype_bytes(y.dtype()));
  with_bits(x.dtype(), [&]<class B>() {
    const B* from = x.data<const B>();
    B* to = y.data<B>();
    sdk::parallel_for(run, lines.count(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        if (labels[i] >= 0)
          to[(i / lines.inner * lines.n + labels[i]) * lines.inner + i % lines.inner] = from[i];
    });
  });
}

// ---- accuracy

// Position of the first largest element, or of the first NaN, as NumPy has it.
template <class C>
int64_t first_largest(const C* x, int64_t n, int64_t step) {
  int64_t best = 0;
  for (int64_t k = 1; k < n; ++k) {
    const C value = x[k * step], top = x[best * step];
    if (value > top || (std::isnan(value) && !std::isnan(top))) best = k;
  }
  return best;
}

void accuracy(const Run& run) {
  const Tensor y = run.in(0), t = run.in(1);
  const Lines lines(y.shape(), 1);
  const Ignore ignore(run, attr::accuracy::ignore_label);
  const int64_t n = lines.count();
  int64_t* labels = run.scratch<int64_t>(n);
  for_labels(run, t, [&](int64_t i, int64_t label) { labels[i] = label; });
  with_compute_type(run, [&]<class C>() {
    const C* p = widened<C>(run, y);
    int8_t* hits = run.scratch<int8_t>(n);
    const auto judge = [&](int64_t line, int64_t at) {
      const int64_t label = labels[line];
      const bool skip = ignore.given && label == ignore.label;
      hits[line] = !skip && first_largest(p + at, lines.n, lines.inner) == label;
    };
    for_lines(run, lines, judge, [&](int64_t line, int64_t at, int64_t m) {
      for (int64_t j = 0; j < m; ++j) judge(line + j, at + j);
    });
    const double right = sum_pieces(run, n, [&](int64_t begin, int64_t end) {
      return static_cast<double>(std::count(hits + begin, hits + end, int8_t{1}));
    });
    const double counted = sum_pieces(run, n, [&](int64_t begin, int64_t end) {
      return static_cast<double>(std::count_if(labels + begin, labels + end, [&](int64_t label) {
        return !ignore.given || label != ignore.label;
      }));
    });
    const Widened<C> out(run, 0);
    // the mean of nothing is NaN, but 0 where all was ignored
    *out.data() = static_cast<C>(ignore.given && counted == 0 ? 0.0 : right / counted);
    out.store();
  });
}

}  // namespace

ctn_status register_loss(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"softmax_cross_entropy_loss", 0, sdk::kernel<cross_entropy>},
                      {"softmax_cross_entropy_grad", 0, sdk::kernel<cross_entropy_grad>},
                      {"softmax_cross_entropy_weights", 0, sdk::kernel<cross_entropy_weights>},
                      {"pick", 0, sdk::kernel<pick>},
                      {"put_pick", 0, sdk::kernel<put_pick>},
                      {"accuracy", 0, sdk::kernel<accuracy>}});
}

}  // namespace catena::cpu
