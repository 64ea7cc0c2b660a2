// CUDA C of the kernels that look at one element of each line by its label (loss.cc). Sums over all
// labels are made by one block, in an order that depends on their number alone.
#include <cuda/lines.h>
#include <cuda/loss.h>

namespace catena::cuda {
namespace {

constexpr const char* kText = R"(
struct Labels {
  const void* p;
  i64 classes;
  i64 ignore_given, ignore;
  i64 fault_kind;
  i64* fault;  // kind, the label, classes, ignore: host memory
};
// The class, -1 where it is to be ignored. One that is out of bounds is reported and ignored.
template <class I> __device__ inline i64 label_of(const Labels& l, i64 k) {
  const i64 given = (i64)((const I*)l.p)[k];
  if (l.ignore_given && given == l.ignore) return -1;
  if (given >= 0 && given < l.classes) return given;
  l.fault[1] = given;
  l.fault[2] = l.classes;
  l.fault[3] = l.ignore;
  l.fault[0] = l.fault_kind;
  return -1;
}
struct Loss {
  Lines lines;
  Labels labels;
  const void *x, *weight, *gloss;
  void *peak, *total;   // of each line
  void* each;           // its loss, in what is computed with
  void* out;
  i64 mean, normalize;
  f64 share;            // of one line in the mean
  f64* counted;         // the same where only the device knows it
};

template <class S, class I> __device__ inline void line_losses(const Loss& p) {
  typedef Wide<S> C;
  const Lines& l = p.lines;
  const Seat s = seat(l);
  for (i64 first = (i64)blockIdx.x * s.lines; first < l.count; first += (i64)gridDim.x * s.lines) {
    const i64 k = first + s.line, n = k < l.count ? l.n : 0;
    const S* x = (const S*)p.x + line_start(l, k);
    const Peak<C> peak = peak_of(s, x, n, l.inner);
    if (s.lane != 0 || k >= l.count) continue;
    const C total = total_of(peak);
    const i64 label = label_of<I>(p.labels, k);
    C loss = 0;
    if (label >= 0) {
      loss = x_log(total) - (load(x + label * l.inner) - peak.top);
      if (p.weight) loss *= load((const S*)p.weight + label);
    }
    ((C*)p.peak)[k] = peak.top;
    ((C*)p.total)[k] = total;
    if (p.mean) ((C*)p.each)[k] = loss;
    else store((S*)p.out + k, loss);
  }
}

// One block: the number of lines that count.
template <class I> __device__ inline i64 count_labels(const Seat& s, const Labels& l, i64 n) {
  Sum<i64> count;
  count.v = 0;
  for (i64 k = s.lane; k < n; k += s.lanes) {
    const i64 given = (i64)((const I*)l.p)[k];
    count.v += !l.ignore_given || given != l.ignore;
  }
  return join_lanes(s, count).v;
}
template <class I> __device__ inline void find_share(const Loss& p) {
  const i64 count = count_labels<I>(seat(p.lines), p.labels, p.lines.n);
  if (threadIdx.x == 0) *p.counted = 1.0 / (f64)(count > 1 ? count : 1);
}
template <class S, class I> __device__ inline void mean_loss(const Loss& p) {
  const Seat s = seat(p.lines);
  const f64 sum = sum_of(s, p.lines.n, [=](i64 k) { return ((const Wide<S>*)p.each)[k]; });
  f64 share = p.share;
  if (p.normalize) {
    const i64 count = count_labels<I>(s, p.labels, p.lines.n);
    share = 1.0 / (f64)(count > 1 ? count : 1);
  }
  if (threadIdx.x == 0) store((S*)p.out, (Wide<S>)(sum * share));
}

template <class S, class I> __device__ inline void loss_grad(const Loss& p) {
  typedef Wide<S> C;
  const Lines& l = p.lines;
  const Seat s = seat(l);
  const C share = (C)(p.counted ? *p.counted : p.share);
  for (i64 first = (i64)blockIdx.x * s.lines; first < l.count; first += (i64)gridDim.x * s.lines) {
    const i64 k = first + s.line;
    if (k >= l.count) continue;
    const i64 at = line_start(l, k), label = label_of<I>(p.labels, k);
    const S* x = (const S*)p.x + at;
    S* gx = (S*)p.out + at;
    C scale = 0, part = 0, top = 0;
    if (label >= 0) {
      scale = share * load((const S*)p.gloss + (p.mean ? 0 : k));
      if (p.weight) scale *= load((const S*)p.weight + label);
      part = scale / ((const C*)p.total)[k];
      top = ((const C*)p.peak)[k];
    }
    for (i64 j = s.lane; j < l.n; j += s.lanes) {
      C g = 0;
      if (label >= 0) {
        g = x_exp(load(x + j * l.inner) - top) * part;
        if (j == label) g -= scale;
      }
      store(gx + j * l.inner, g);
    }
  }
}

// Of each label: what it counts.
template <class S, class I> __device__ inline void label_weights(const Loss& p) {
  typedef Wide<S> C;
  const C share = (C)(p.counted ? *p.counted : p.share);
  const i64 step = (i64)gridDim.x * kThreads;
  for (i64 k = (i64)blockIdx.x * kThreads + threadIdx.x; k < p.lines.n; k += step) {
    const i64 label = label_of<I>(p.labels, k);
    C v = label < 0 ? (C)0 : share;
    if (label >= 0 && p.weight) v *= load((const S*)p.weight + label);
    store((S*)p.out + k, v);
  }
}

// T has the size of an element; `put` writes what otherwise is read.
template <class T, class I, bool put> __device__ inline void pick(const Loss& p) {
  const Lines& l = p.lines;
  const i64 step = (i64)gridDim.x * kThreads;
  for (i64 k = (i64)blockIdx.x * kThreads + threadIdx.x; k < l.count; k += step) {
    const i64 label = label_of<I>(p.labels, k), at = line_start(l, k) + label * l.inner;
    const T* x = (const T*)p.x;
    T* y = (T*)p.out;
    if constexpr (!put) y[k] = label < 0 ? (T)0 : x[at];
    else if (label >= 0) y[at] = x[k];
  }
}

// The first of the largest elements, or the first NaN.
template <class C> struct Largest { C v; i64 at; };
template <class C> __device__ inline Largest<C> swapped(Largest<C> a, int distance) {
  a.v = other_lane(a.v, distance);
  a.at = other_lane(a.at, distance);
  return a;
}
template <class C> __device__ inline Largest<C> merged(Largest<C> a, Largest<C> b) {
  const bool nan_a = a.v != a.v, nan_b = b.v != b.v;
  if (a.v == b.v || (nan_a && nan_b)) return a.at < b.at ? a : b;
  return nan_a || (!nan_b && a.v > b.v) ? a : b;
}
template <class S, class I> __device__ inline void judge(const Loss& p) {
  typedef Wide<S> C;
  const Lines& l = p.lines;
  const Seat s = seat(l);
  for (i64 first = (i64)blockIdx.x * s.lines; first < l.count; first += (i64)gridDim.x * s.lines) {
    const i64 k = first + s.line, n = k < l.count ? l.n : 0;
    const S* x = (const S*)p.x + line_start(l, k);
    Largest<C> best;
    best.v = lowest<C>();
    best.at = n > 0 ? n : 0;
    for (i64 j = s.lane; j < n; j += s.lanes) {
      Largest<C> item;
      item.v = load(x + j * l.inner);
      item.at = j;
      best = merged(best, item);
    }
    best = join_lanes(s, best);
    if (s.lane != 0 || k >= l.count) continue;
    const i64 label = (i64)((const I*)p.labels.p)[k];
    const bool skip = p.labels.ignore_given && label == p.labels.ignore;
    ((u8*)p.each)[k] = !skip && best.at == label;
  }
}
template <class S, class I> __device__ inline void share_of_hits(const Loss& p) {
  const Seat s = seat(p.lines);
  Sum<i64> hits;
  hits.v = 0;
  for (i64 k = s.lane; k < p.lines.n; k += s.lanes) hits.v += ((const u8*)p.each)[k];
  hits = join_lanes(s, hits);
  const i64 count = count_labels<I>(s, p.labels, p.lines.n);
  if (threadIdx.x != 0) return;
  // the mean of nothing is NaN, but 0 where all was ignored
  const bool none = count == 0;
  const f64 share = none ? (p.labels.ignore_given ? 0.0 : nan_of<f64>())
                         : (f64)hits.v / (f64)count;
  store((S*)p.out, (Wide<S>)share);
}
)";

constexpr Sample kSamples[] = {{"line_losses<f32, i32>", "Loss"},
                               {"find_share<i32>", "Loss"},
                               {"mean_loss<f32, i32>", "Loss"},
                               {"loss_grad<f32, i32>", "Loss"},
                               {"label_weights<f32, i32>", "Loss"},
                               {"pick<u32, i32, true>", "Loss"},
                               {"judge<f32, i32>", "Loss"},
                               {"share_of_hits<f32, i32>", "Loss"},
                               {nullptr, nullptr}};

}  // namespace

constinit const Text kLossKernels{"loss", {&kLinesText, &kText}, kSamples};

}  // namespace catena::cuda
