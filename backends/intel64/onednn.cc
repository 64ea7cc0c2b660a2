// oneDNN: see onednn.h. Up to 2.x a primitive is described by an operation descriptor first.
#include <intel64/locks.h>
#include <intel64/onednn.h>

// Of OpenMP's runtime; its header belongs to one compiler.
extern "C" int omp_get_max_threads(void);
extern "C" void omp_set_num_threads(int n);

namespace catena::intel64 {

namespace {

#if DNNL_VERSION_MAJOR >= 3
template <class Kind, class... Args>
typename Kind::primitive_desc describe(const dnnl::primitive_attr& attr, Args&&... args) {
  return typename Kind::primitive_desc(engine(), std::forward<Args>(args)..., attr);
}
template <class Kind, class Hint, class... Args>
typename Kind::primitive_desc describe_backward(const dnnl::primitive_attr& attr, const Hint& hint,
                                                Args&&... args) {
  return typename Kind::primitive_desc(engine(), std::forward<Args>(args)..., hint, attr);
}
#else
template <class Kind, class... Args>
typename Kind::primitive_desc describe(const dnnl::primitive_attr& attr, Args&&... args) {
  return typename Kind::primitive_desc(typename Kind::desc(std::forward<Args>(args)...), attr,
                                       engine());
}
template <class Kind, class Hint, class... Args>
typename Kind::primitive_desc describe_backward(const dnnl::primitive_attr& attr, const Hint& hint,
                                                Args&&... args) {
  return typename Kind::primitive_desc(typename Kind::desc(std::forward<Args>(args)...), attr,
                                       engine(), hint);
}
#endif

// Scratch memory is ours, so that it stands in the context's ledger.
dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

void append_relu(dnnl::post_ops& ops) {
#if DNNL_VERSION_MAJOR >= 3
  ops.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
#else
  ops.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
#endif
}

dnnl::primitive_attr attributes(const ConvDesc& d) {
  dnnl::post_ops ops;
  if (d.sum) ops.append_sum();
  if (d.relu) append_relu(ops);
  dnnl::primitive_attr attr = attributes();
  attr.set_post_ops(ops);
  return attr;
}

dnnl::convolution_forward::primitive_desc describe_forward(dnnl::algorithm algorithm,
                                                           const ConvDesc& d) {
  using Forward = dnnl::convolution_forward;
  const auto kind = dnnl::prop_kind::forward_training;
  if (d.b.get_size() == 0)
    return describe<Forward>(attributes(d), kind, algorithm, d.x, d.w, d.y, d.stride, d.dilate,
                             d.pad_low, d.pad_high);
  return describe<Forward>(attributes(d), kind, algorithm, d.x, d.w, d.b, d.y, d.stride, d.dilate,
                           d.pad_low, d.pad_high);
}

dnnl::engine* g_engine = nullptr;
int64_t g_block = 0;

int64_t find_block() {
  const auto isa = static_cast<int>(dnnl::get_effective_cpu_isa());
  const auto has = [isa](dnnl::cpu_isa wanted) {
    return (isa & static_cast<int>(wanted)) == static_cast<int>(wanted);
  };
  if (has(dnnl::cpu_isa::avx512_core)) return 16;
  return has(dnnl::cpu_isa::avx2) ? 8 : 0;
}

}  // namespace

void start_onednn() {
  if (g_engine) return;
  with_onednn("engine", [] { g_engine = new dnnl::engine(dnnl::engine::kind::cpu, 0); });
  g_block = find_block();
}

const dnnl::engine& engine() { return *g_engine; }

std::string onednn_version() {
  const dnnl_version_t& v = *dnnl_version();
  return sdk::text(v.major, ".", v.minor, ".", v.patch);
}

const char* instruction_set() {
  return g_block == 16 ? "avx512" : g_block == 8 ? "avx2" : "sse4.1";
}

int64_t channel_block() { return g_block; }

OneThread::OneThread() : before_(omp_get_max_threads()) {
  if (before_ != 1) omp_set_num_threads(1);
}
OneThread::~OneThread() {
  if (before_ != 1) omp_set_num_threads(before_);
}

Primitive::Bound::Bound(std::span<const Arg> all, const Md& scratch_md, void* scratch)
    : stream(engine()) {
  const auto add = [&](int role, const Md& md, const void* data) {
    memory.emplace_back(md, engine(), const_cast<void*>(data));
    args.push_back({role, memory.back().get()});
  };
  for (const Arg& a : all) add(a.role, a.md, a.data);
  if (scratch_md.get_size() != 0) add(DNNL_ARG_SCRATCHPAD, scratch_md, scratch);
}

void Primitive::Bound::set(std::span<const Arg> all, void* scratch) {
  for (size_t k = 0; k < all.size(); ++k) memory[k].set_data_handle(const_cast<void*>(all[k].data));
  if (memory.size() > all.size()) memory.back().set_data_handle(scratch);
}

std::unique_ptr<Primitive::Bound> Primitive::Idle::take() {
  const std::lock_guard lock(process_lock(Lock::kPrimitives, this));
  if (bound_.empty()) return nullptr;
  std::unique_ptr<Bound> last = std::move(bound_.back());
  bound_.pop_back();
  return last;
}

void Primitive::Idle::put(std::unique_ptr<Bound> bound) noexcept {
  const std::lock_guard lock(process_lock(Lock::kPrimitives, this));
  try {
    bound_.push_back(std::move(bound));
  } catch (const std::bad_alloc&) {  // the run is done; the next one makes its own
  }
}

void Primitive::run(std::span<const Arg> args, void* scratch) const {
  with_onednn("a primitive", [&] {
    std::unique_ptr<Bound> b = idle_->take();
    if (b)
      b->set(args, scratch);
    else
      b = std::make_unique<Bound>(args, scratch_, scratch);
    const auto n = static_cast<int>(b->args.size());
    dnnl::error::wrap_c_api(
        dnnl_primitive_execute(primitive_.get(), b->stream.get(), n, b->args.data()),
        "could not be run");
    idle_->put(std::move(b));
  });
}

Conv make_conv(Direction direction, Algorithm chosen, const ConvDesc& d) {
  return with_onednn("convolution", [&]() -> Conv {
    const std::lock_guard lock(process_lock(Lock::kOneDnn));
    const auto algorithm = chosen == Algorithm::kWinograd ? dnnl::algorithm::convolution_winograd
                                                          : dnnl::algorithm::convolution_direct;
    const auto forward = describe_forward(algorithm, d);
    if (direction == Direction::kForward)
      return {Primitive::make<decltype(forward), dnnl::convolution_forward>(forward),
              forward.src_desc(), forward.weights_desc(), forward.dst_desc(), d.b};
    if (direction == Direction::kData) {
      using Data = dnnl::convolution_backward_data;
      const auto desc = describe_backward<Data>(attributes(), forward, algorithm, d.x, d.w, d.y,
                                                d.stride, d.dilate, d.pad_low, d.pad_high);
      return {Primitive::make<decltype(desc), Data>(desc),
              desc.diff_src_desc(),
              desc.weights_desc(),
              desc.diff_dst_desc(),
              {}};
    }
    using Weights = dnnl::convolution_backward_weights;
    const auto desc = describe_backward<Weights>(attributes(), forward, algorithm, d.x, d.w, d.y,
                                                 d.stride, d.dilate, d.pad_low, d.pad_high);
    return {Primitive::make<decltype(desc), Weights>(desc),
            desc.src_desc(),
            desc.diff_weights_desc(),
            desc.diff_dst_desc(),
            {}};
  });
}

Primitive make_reorder(const Md& from, const Md& to) {
  return with_onednn("reorder", [&] {
    const std::lock_guard lock(process_lock(Lock::kOneDnn));
    const dnnl::reorder::primitive_desc desc(engine(), from, engine(), to, attributes());
    return Primitive::make<decltype(desc), dnnl::reorder>(desc);
  });
}

}  // namespace catena::intel64
