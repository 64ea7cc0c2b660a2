// Steps of a model, timed one by one. Data are a rule, so that other frameworks can make the same;
// a training step is forward, backward and update, built anew by eager calls.
#include "bench.h"
#include "models/models.h"

#include <sys/resource.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

namespace bench {
namespace {

using namespace catena;

uint32_t hashed(size_t i) { return static_cast<uint32_t>(i) * 2654435761u; }

Shape batch_shape(int64_t batch, const Shape& sample) {
  Shape shape{batch};
  shape.insert(shape.end(), sample.begin(), sample.end());
  return shape;
}

size_t size_of(const Shape& shape) {
  int64_t n = 1;
  for (int64_t d : shape) n *= d;
  return static_cast<size_t>(n);
}

// The inputs of a step, in host memory and as variables.
class Inputs {
 public:
  Inputs(const Workload& w, int64_t batch, ctn_dtype dtype)
      : dtype_(dtype),
        x_shape_(batch_shape(batch, w.x_shape)),
        t_shape_(batch_shape(batch, w.t_shape)) {
    for (size_t i = 0; i < size_of(x_shape_); ++i)
      x_host_.push_back(static_cast<float>(hashed(i) >> 8) / float{1 << 24} - 0.5f);
    for (size_t i = 0; i < size_of(t_shape_); ++i)
      t_host_.push_back(
          static_cast<int32_t>((hashed(i + 12345) >> 8) % static_cast<uint32_t>(w.classes)));
    copy();
  }
  void copy() {
    const Array values = Array::from(x_host_, x_shape_);
    x = Variable(dtype_.bits == 32 ? values : values.astype(dtype_), false);
    t = Variable(Array::from(t_host_, t_shape_), false);
  }

  Variable x, t;

 private:
  ctn_dtype dtype_;
  Shape x_shape_, t_shape_;
  std::vector<float> x_host_;
  std::vector<int32_t> t_host_;
};

using Kept = std::vector<std::pair<std::string, Array>>;

// What a model keeps beside its weights (a normalisation's averages), by path.
Kept persistents(const Link& model) {
  Kept all;
  const auto visit = [](void* user, ctn_str path, ctn_variable, ctn_array a,
                        ctn_link) noexcept -> ctn_status {
    if (!a) return CTN_OK;
    ctn_array_retain(a);
    Array own(a);
    try {
      static_cast<Kept*>(user)->emplace_back(std::string(path.p + 1, path.n - 1), std::move(own));
      return CTN_OK;
    } catch (const std::exception& e) {
      return ctn_error_set(CTN_ENOMEM, detail::str(e.what()));
    }
  };
  check(ctn_link_visit(model.get(), visit, &all));
  return all;
}

void cast(Link& model, ctn_dtype dtype) {
  for (auto& [path, p] : model.namedparams()) p.set_array(p.array().astype(dtype));
  for (const auto& [path, a] : persistents(model))
    if (a.dtype().code == CTN_DT_FLOAT) model.set_persistent(path, a.astype(dtype));
}

Variable train_step(Workload& w, const Inputs& in) {
  w.model.cleargrads();
  const Variable loss = w.loss(w.forward(in.x), in.t);
  loss.backward();
  w.optimizer.update();
  return loss;
}

Variable infer_step(Workload& w, const Inputs& in) {
  const using_config test("train", false);
  const no_backprop_mode no_graph;
  return w.forward(in.x);
}

// Waits for the step: the first number of what it gave is in host memory.
double first_number(const Variable& y) {
  const Array a = y.array();
  return static_cast<double>((a.dtype().bits == 32 ? a : a.astype(float32)).to_vector<float>()[0]);
}

rusage usage() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  return u;
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  const size_t n = v.size();
  return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

// Forward and, in training, the gradients of weights and of all inputs but the first layer's.
double gflop(const Workload& w, int64_t batch, bool train) {
  double macs = 0;
  for (double m : w.macs) macs += train ? 3 * m : m;
  if (train) macs -= w.macs.front();
  return 2 * macs * static_cast<double>(batch) / 1e9;
}

struct Timing {
  std::vector<double> ms;
  double first_ms = 0, first_loss = 0, last_loss = 0, faults_per_step = 0, queued_ms = 0;
};

// Devices that work behind the program's back.
bool is_device(const Context& ctx) {
  ctn_device d{};
  check(ctn_context_device(ctx.get(), &d, nullptr));
  return d.type != CTN_DEV_CPU;
}

// Every step is waited for. Where work is queued, also how long a step takes when the queue is
// waited for only once.
template <class Step>
Timing timed(Context& ctx, Step step, int64_t warmup, int64_t iters) {
  Timing r;
  ctx.synchronize();
  const Clock first;
  r.first_loss = first_number(step());
  r.first_ms = first.ms();
  for (int64_t i = 1; i < warmup; ++i) first_number(step());
  r.ms.reserve(static_cast<size_t>(iters));
  const auto faults = usage().ru_minflt;
  for (int64_t i = 0; i < iters; ++i) {
    const Clock clock;
    r.last_loss = first_number(step());
    r.ms.push_back(clock.ms());
  }
  r.faults_per_step = static_cast<double>(usage().ru_minflt - faults) / static_cast<double>(iters);
  if (!is_device(ctx)) return r;
  const Clock all;
  for (int64_t i = 0; i < iters; ++i) step();
  ctx.synchronize();
  r.queued_ms = all.ms() / static_cast<double>(iters);
  return r;
}

void print(const Options& o, const Context& ctx, const Workload& w, const Timing& r) {
  int64_t parameters = 0;
  for (const auto& [path, p] : w.model.namedparams()) parameters += p.size();
  const double least = *std::min_element(r.ms.begin(), r.ms.end());
  const double work = gflop(w, o.batch, o.mode == "train");
  nlohmann::ordered_json line;
  line["workload"] = o.workload;
  line["mode"] = o.mode;
  line["backend"] = ctx.backend();
  line["isa"] = ctx.device_name();
  line["dtype"] = o.dtype;
  if (o.tf32) line["tf32"] = true;
  if (o.captured) line["captured"] = true;
  line["batch"] = o.batch;
  line["threads"] = ctx.threads();
  line["iters"] = o.iters;
  line["median_ms"] = rounded(median(r.ms), 4);
  line["min_ms"] = rounded(least, 4);
  if (is_device(ctx)) line["queued_ms"] = rounded(r.queued_ms, 4);
  line["first_ms"] = rounded(r.first_ms, 2);
  line["maxrss_mb"] = rounded(static_cast<double>(usage().ru_maxrss) / 1024, 1);
  line["minflt_per_step"] = rounded(r.faults_per_step, 1);
  line["loss_first"] = r.first_loss;
  line["loss_last"] = r.last_loss;
  line["nparam"] = parameters;
  line["gflop_per_step"] = rounded(work, 6);
  line["gflops_best"] = rounded(work / least * 1e3, 1);
  std::cout << line.dump() << std::endl;
}

const WorkloadRow* find(const std::string& name) {
  for (const WorkloadRow& row : workloads())
    if (row.name == name) return &row;
  return nullptr;
}

}  // namespace

bool is_workload(const std::string& name) { return find(name) != nullptr; }

std::string workload_names() {
  std::string names;
  for (const WorkloadRow& row : workloads())
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

void run_workload(const Options& options) {
  Options o = options;
  const WorkloadRow& row = *find(o.workload);
  if (!o.batch) o.batch = row.batch;
  if (!o.iters) o.iters = row.iters;
  if (o.warmup < 0) o.warmup = std::clamp<int64_t>(o.iters / 4, 1, 20);

  Context ctx(ContextOptions{.device = o.backend, .threads = o.threads, .seed = 1});
  std::optional<using_config> tensor_cores;
  if (o.tf32) tensor_cores.emplace("use_cudnn_tensor_core", "always");
  Workload w = row.make();
  const ctn_dtype dtype = o.dtype == "float16" ? float16 : float32;
  if (dtype.bits != 32) cast(w.model, dtype);
  w.optimizer.setup(w.model);
  if (dtype.bits != 32) w.optimizer.use_fp32_update();
  for (const Hook& hook : w.hooks) w.optimizer.add_hook(hook);
  Inputs in(w, o.batch, dtype);
  const auto step = o.mode == "train" ? train_step : infer_step;
  Capture again;
  Variable result;
  if (o.captured) {
    first_number(step(w, in));  // what is chosen and compiled at first use
    again = capture([&] { result = step(w, in); });
  }
  std::string turn;
  for (int round = 0; round < o.rounds; ++round) {
    if (o.rounds > 1 && !std::getline(std::cin, turn)) return;
    const Timing timing = timed(
        ctx,
        [&] {
          if (o.fresh) in.copy();
          if (!o.captured) return step(w, in);
          again.replay();
          return result;
        },
        o.warmup, o.iters);
    print(o, ctx, w, timing);
  }
}

}  // namespace bench
