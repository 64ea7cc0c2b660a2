// See program.h. Fills the launch struct that source.h describes.
#include <cuda/code.h>
#include <cuda/division.h>
#include <cuda/memory.h>
#include <cuda/program.h>
#include <cuda/reduction.h>

#include <algorithm>
#include <cstring>

namespace catena::cuda {
namespace {

constexpr int64_t kMostBlocks = int64_t{1} << 20;  // of one dimension of a grid; kernels loop

unsigned blocks_for(int64_t n, int64_t each) {
  return static_cast<unsigned>(std::clamp<int64_t>((n + each - 1) / each, 1, kMostBlocks));
}

// Struct Launch<N> word by word.
class Words {
 public:
  Words(const ctn_form& form, const ctn_launch& l, int dims, int64_t size, const Partition& p,
        void* partial) {
    for (const int64_t v : {size, p.kept, p.reduced, int64_t{l.ndim}, int64_t{l.n_reduced}, p.lanes,
                            int64_t{p.across}, p.parts, p.chunk})
      put(static_cast<uint64_t>(v));
    put(reinterpret_cast<uintptr_t>(partial));
    for (int32_t k = 0; k < form.n_scalars; ++k) put(l.scalars[k]);
    if (form.n_scalars == 0) put(0);
    for (int32_t a = 0; a < form.n_args; ++a) put(reinterpret_cast<uintptr_t>(l.data[a]));
    for (int32_t a = 0; a < form.n_args; ++a) put(static_cast<uint64_t>(l.counts[a]));
    for (int d = 0; d < dims; ++d) put(d < l.ndim ? static_cast<uint64_t>(l.shape[d]) : 1);
    for (int d = 0; d < dims; ++d) put(d > 0 && d < l.ndim ? inverse(l.shape[d]) : 0);
    for (int32_t a = 0; a < form.n_args; ++a) {
      const int64_t* strides = l.strides + static_cast<int64_t>(a) * l.ndim;
      for (int d = 0; d < dims; ++d) put(d < l.ndim ? static_cast<uint64_t>(strides[d]) : 0);
    }
  }
  void* data() { return words_; }
  uint64_t bytes() const { return n_ * sizeof(uint64_t); }

 private:
  static uint64_t inverse(int64_t n) {
    const Divisor d(n);
    return static_cast<uint64_t>(d.shift) << 32 | d.factor;
  }
  void put(uint64_t v) { words_[n_++] = v; }
  static constexpr size_t kMost = kLaunchHead + 64 + 2 * CTN_FORM_MAX_ARGS + 2 * CTN_MAX_NDIM +
                                  CTN_FORM_MAX_ARGS * CTN_MAX_NDIM;
  size_t n_ = 0;
  uint64_t words_[kMost];
};

// Kernel parameters: the struct itself, or where it lies in device memory.
class Parameters {
 public:
  Parameters(Device& d, ctn_exec exec, Words& words, Reach reach) : value_(words.data()) {
    if (reach == Reach::kNear) return;
    sdk::check(sdk::host->scratch(exec, words.bytes(), &far_));
    copy(d.index, far_, -1, words.data(), words.bytes());
    value_ = &far_;
  }
  void** get() { return &value_; }

 private:
  void* value_;
  void* far_ = nullptr;
};

Reach reach_of(const ctn_launch& l) { return l.ndim <= kNearDims ? Reach::kNear : Reach::kFar; }
int dims_of(Reach reach) { return reach == Reach::kNear ? kNearDims : CTN_MAX_NDIM; }

}  // namespace

Program::Program(const ctn_form& form) : form_(form), unroll_(unroll_of(form)) {}

Program::~Program() {
  const bool usable = !in_forked_child();
  for (auto& reach : kernels_) {
    for (int k = 0; k < kMaxDevices; ++k) {
      const std::unique_ptr<Kernels> made(reach[k].load());
      if (!made || !usable) continue;
      try {
        Device& d = device(k);
        const Current current(d);
        driver().cuStreamSynchronize(d.stream.own);
        driver().cuModuleUnload(made->module);
      } catch (const sdk::Error&) {
        continue;  // the device is lost, and the module with it
      }
    }
  }
}

const Program::Kernels& Program::kernels(Device& d, Reach reach) {
  auto& slot = kernels_[static_cast<int>(reach)][d.index];
  if (const Kernels* k = slot.load(std::memory_order_acquire)) [[likely]]
    return *k;
  const std::lock_guard lock(mutex_);
  if (const Kernels* k = slot.load(std::memory_order_acquire)) return *k;
  auto made = std::make_unique<Kernels>();
  Module module(d, source_of(form_.get(), reach));
  const auto find = [&](CUfunction& f, const char* name) { f = module.find(name); };
  if (form_.get().n_acc > 0) {
    find(made->reduce, "ctn_reduce");
    find(made->finish, "ctn_finish");
  } else {
    if (reach == Reach::kNear) find(made->flat, "ctn_flat");
    find(made->walk, "ctn_walk");
  }
  made->module = module.keep();
  slot.store(made.get(), std::memory_order_release);
  return *made.release();
}

void Program::launch(Device& d, const ctn_launch& l) {
  if (form_.get().n_acc > 0)
    reduction(d, l);
  else
    elementwise(d, l);
}

void Program::elementwise(Device& d, const ctn_launch& l) {
  const Reach reach = reach_of(l);
  const Kernels& k = kernels(d, reach);
  const bool flat = l.ndim <= 1;
  int64_t size = 1;
  for (int32_t n = 0; n < l.ndim; ++n) size *= l.shape[n];
  Words words(form_.get(), l, flat ? 1 : dims_of(reach), size, Partition{}, nullptr);
  Parameters parameters(d, l.exec, words, reach);
  const unsigned blocks = blocks_for(size, flat ? kThreads * unroll_ : kThreads);
  d.check(driver().cuLaunchKernel(flat ? k.flat : k.walk, blocks, 1, 1, kThreads, 1, 1, 0, d.stream,
                                  parameters.get(), nullptr),
          "launch");
}

void Program::reduction(Device& d, const ctn_launch& l) {
  const ctn_form& form = form_.get();
  const Reach reach = reach_of(l);
  const Kernels& k = kernels(d, reach);
  const Partition p = partition_of(l, form);
  void* partial = nullptr;
  if (p.parts > 1) {
    const auto bytes = static_cast<uint64_t>(p.parts * p.kept * form.n_acc * 8);
    sdk::check(sdk::host->scratch(l.exec, bytes, &partial));
  }
  Words words(form, l, dims_of(reach), p.kept * p.reduced, p, partial);
  Parameters parameters(d, l.exec, words, reach);
  const Driver& cu = driver();
  d.check(
      cu.cuLaunchKernel(k.reduce, blocks_for(p.kept, p.outputs()), static_cast<unsigned>(p.parts),
                        1, kThreads, 1, 1, 0, d.stream, parameters.get(), nullptr),
      "launch");
  if (p.parts == 1) return;
  d.check(cu.cuLaunchKernel(k.finish, blocks_for(p.kept, 1), 1, 1, kThreads, 1, 1, 0, d.stream,
                            parameters.get(), nullptr),
          "launch");
}

}  // namespace catena::cuda
