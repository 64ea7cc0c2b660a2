// Kernels that look at one element of each line by its label: softmax cross entropy, pick,
// accuracy. A label out of bounds is an error of the next wait, as the device finds it late.
#include <catena/op_attrs.hpp>

#include <cuda/loss.h>
#include <cuda/widen.h>

#include <algorithm>

namespace catena::cuda {
namespace {

using sdk::Run;
using sdk::Tensor;

CUfunction find(Device& d, std::string_view function, Native::Arguments types) {
  static Native* const kernels = new Native(kLossKernels);
  return kernels->find(d, function, types, "Loss");
}

Labels labels_of(const Run& run, const Tensor& t, int64_t classes, int ignore_attr) {
  const bool given = !run.is_none(ignore_attr);
  const int64_t kind = given ? kBadLabelToo : kBadLabel;
  return {t.data(), classes, given, given ? run.i(ignore_attr) : 0, kind, fault_of(run)};
}

// What one of a batch counts in the mean.
double share_of(int64_t batch) { return 1.0 / static_cast<double>(std::max<int64_t>(batch, 1)); }

// p.share, or where that depends on the labels p.counted.
void find_share(const Run& run, Loss& p, const Tensor& t, bool mean, bool normalize) {
  Device& d = device_of(run);
  p.share = mean ? share_of(t.shape(0)) : 1.0;
  if (!mean || !normalize) return;
  p.counted = run.scratch<double>(1);
  Loss count = p;
  count.lines = Lines::whole(t.size());
  queue(d, find(d, "find_share", {index_name(t.dtype())}), 1, &count);
}

void cross_entropy(const Run& run) {
  namespace a = attr::softmax_cross_entropy_loss;
  Device& d = device_of(run);
  const Tensor x = run.in(0), t = run.in(1);
  const char *type = type_name(x.dtype()), *index = index_name(t.dtype());
  Loss p{};
  p.lines = Lines::of(x.shape(), 1);
  p.labels = labels_of(run, t, p.lines.n, a::ignore_label);
  p.x = x.data();
  p.weight = run.has(2) ? run.in(2).data() : nullptr;
  p.peak = run.out(1).data();
  p.total = run.out(2).data();
  p.out = run.out(0).data();
  p.mean = run.b(a::mean);
  p.normalize = run.b(a::normalize);
  p.share = share_of(x.shape(0));
  if (p.mean) p.each = run.scratch<double>(t.size());
  queue(d, find(d, "line_losses", {type, index}), p.lines.threads(), &p);
  if (p.mean) {
    p.lines = Lines::whole(t.size());
    queue(d, find(d, "mean_loss", {type, index}), 1, &p);
  }
  note(run, "softmax_cross_entropy");
}

void cross_entropy_grad(const Run& run) {
  namespace a = attr::softmax_cross_entropy_grad;
  namespace k = in::softmax_cross_entropy_grad;
  Device& d = device_of(run);
  const ctn_dtype compute = compute_dtype(run);
  const Tensor x = run.in(k::x), t = run.in(k::t);
  const ctn_dtype handed = handed_dtype(x.dtype(), compute);
  const OutputAs gx(run, 0, handed);
  Loss p{};
  p.lines = Lines::of(x.shape(), 1);
  p.labels = labels_of(run, t, p.lines.n, a::ignore_label);
  p.x = data_as(run, x, handed);
  p.weight = run.has(k::class_weight) ? data_as(run, run.in(k::class_weight), handed) : nullptr;
  p.gloss = data_as(run, run.in(k::gloss), handed);
  p.peak = const_cast<void*>(data_as(run, run.in(k::peak), compute));
  p.total = const_cast<void*>(data_as(run, run.in(k::total), compute));
  p.out = gx.data();
  p.mean = run.b(a::mean);
  find_share(run, p, t, p.mean, run.b(a::normalize));
  queue(d, find(d, "loss_grad", {type_name(handed), index_name(t.dtype())}), p.lines.threads(), &p);
  gx.store();
  note(run, "softmax_cross_entropy_grad");
}

void cross_entropy_weights(const Run& run) {
  namespace a = attr::softmax_cross_entropy_weights;
  Device& d = device_of(run);
  const Tensor t = run.in(0), y = run.out(0);
  Loss p{};
  p.lines = Lines::whole(t.size());
  p.labels = labels_of(run, t, run.i(a::classes), a::ignore_label);
  p.weight = run.has(1) ? data_as(run, run.in(1), y.dtype()) : nullptr;
  p.out = y.data();
  find_share(run, p, t, run.b(a::mean), run.b(a::normalize));
  queue(d, find(d, "label_weights", {type_name(y.dtype()), index_name(t.dtype())}), t.size(), &p);
  note(run, "softmax_cross_entropy_weights");
}

// ---- pick, put_pick

void move_picked(const Run& run, const Tensor& large, int ignore_attr, bool put) {
  Device& d = device_of(run);
  const Tensor t = run.in(1), y = run.out(0);
  Loss p{};
  p.lines = Lines::of(large.shape(), 1);
  p.labels = labels_of(run, t, p.lines.n, ignore_attr);
  p.x = run.in(0).data();
  p.out = y.data();
  if (put) fill_zero(d, y.data(), y.size() * sdk::dtype_bytes(y.dtype()));
  const char* const bits = bits_name(sdk::dtype_bytes(y.dtype()));
  queue(d, find(d, "pick", {bits, index_name(t.dtype()), put ? "true" : "false"}), p.lines.count,
        &p);
}

void pick(const Run& run) {
  move_picked(run, run.in(0), attr::pick::ignore_label, false);
  note(run, "pick");
}

void put_pick(const Run& run) {
  move_picked(run, run.out(0), attr::put_pick::ignore_label, true);
  note(run, "put_pick");
}

// ---- accuracy

void accuracy(const Run& run) {
  Device& d = device_of(run);
  const Tensor y = run.in(0), t = run.in(1);
  const char *type = type_name(y.dtype()), *index = index_name(t.dtype());
  Loss p{};
  p.lines = Lines::of(y.shape(), 1);
  p.labels = labels_of(run, t, p.lines.n, attr::accuracy::ignore_label);
  p.x = y.data();
  p.out = run.out(0).data();
  p.each = run.scratch<uint8_t>(p.lines.count);
  queue(d, find(d, "judge", {type, index}), p.lines.threads(), &p);
  p.lines = Lines::whole(p.lines.count);
  queue(d, find(d, "share_of_hits", {type_name(run.out(0).dtype()), index}), 1, &p);
  note(run, "accuracy");
}

}  // namespace

ctn_status register_loss(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"softmax_cross_entropy_loss", sdk::kernel<cross_entropy>},
                      {"softmax_cross_entropy_grad", sdk::kernel<cross_entropy_grad>},
                      {"softmax_cross_entropy_weights", sdk::kernel<cross_entropy_weights>},
                      {"pick", sdk::kernel<pick>},
                      {"put_pick", sdk::kernel<put_pick>},
                      {"accuracy", sdk::kernel<accuracy>}});
}

}  // namespace catena::cuda
