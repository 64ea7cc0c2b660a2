// See queued.h.
#include <cuda/capture.h>
#include <cuda/native.h>
#include <cuda/queued.h>

#include <algorithm>
#include <array>
#include <atomic>

namespace catena::cuda {
namespace {

// As below in kText.
struct Take {
  int64_t *from, *to;
};

constexpr const char* kText = R"(
struct Take {
  i64* from;
  i64* to;
};
__device__ inline void take_fault(const Take& t) {
  if (blockIdx.x != 0 || threadIdx.x != 0) return;
  for (int k = 0; k < 4; ++k) t.to[k] = t.from[k];
  t.from[0] = 0;
}
)";
constexpr Sample kSamples[] = {{"take_fault", "Take"}, {nullptr, nullptr}};

// A device's contexts, and pinned memory of which each has a part.
struct Contexts {
  static constexpr int kWords = 512;
  std::mutex mutex;
  std::map<ctn_context, Queued> all;
  int64_t* words = nullptr;
  int left = 0;  // of `words`
};

Contexts& contexts_of(const Device& d) {
  static Contexts* const c = new Contexts[kMaxDevices];
  return c[d.index];
}

// With the contexts' mutex held. Pinned memory has one address for the host and all devices.
int64_t* take_words(Device& d, Contexts& c) {
  if (c.left < 2 * kFault) {
    const Current current(d);
    void* p = nullptr;
    d.check(
        driver().cuMemHostAlloc(&p, Contexts::kWords * sizeof(int64_t), CU_MEMHOSTALLOC_PORTABLE),
        "taking pinned memory");
    c.words = static_cast<int64_t*>(p);
    c.left = Contexts::kWords;
    std::fill_n(c.words, c.left, kNoFault);
  }
  c.left -= 2 * kFault;
  return c.words + c.left;
}

using Words = std::array<int64_t, kFault>;

// One kernel reads and clears: others that write come before it or after it. Of two threads that
// wait, one gets what there was.
Words take(Device& d, Queued& q) {
  static Native* const kernels = new Native(kFaultKernels);
  const CUfunction f = kernels->find(d, "take_fault", {}, "Take");
  const std::lock_guard lock(q.take_mutex);
  const Take p{q.fault, q.taken};
  queue(d, f, 1, &p);
  d.check(driver().cuStreamSynchronize(d.stream.own), "waiting");
  Words words;
  std::copy_n(q.taken, kFault, words.begin());
  return words;
}

[[noreturn]] void fail_with(const Words& w, const std::string& ops) {
  const auto [kind, value, bound, other] = w;
  switch (kind) {
    case kBadId:
      sdk::fail(CTN_EINVAL, "id ", value, " is out of bounds for W with ", bound, " rows (", ops,
                ")");
    case kBadLabel:
      sdk::fail(CTN_EINVAL, "Each label `t` need to satisfy `0 <= t < ", bound, "`, got ", value,
                " (", ops, ")");
    case kBadLabelToo:
      sdk::fail(CTN_EINVAL, "Each label `t` need to satisfy `0 <= t < ", bound, " or t == ", other,
                "`, got ", value, " (", ops, ")");
    case kBadPosition:
      sdk::fail(CTN_EINVAL, "index ", value, " is not within a window of ", bound, " x ", other,
                " (", ops, ")");
    default:
      sdk::fail(CTN_EINVAL, "index ", value, " is out of bounds for axis 0 with size ", bound, " (",
                ops, ")");
  }
}

}  // namespace

constinit const Text kFaultKernels{"fault", {&kText}, kSamples};

Queued& queued_by(Device& d, ctn_context ctx) {
  struct Last {
    const Device* device;
    ctn_context ctx;
    Queued* queued;
  };
  static constinit thread_local Last t_last{};
  if (t_last.queued && t_last.device == &d && t_last.ctx == ctx) return *t_last.queued;
  Contexts& c = contexts_of(d);
  const std::lock_guard lock(c.mutex);
  auto found = c.all.find(ctx);
  if (found == c.all.end()) {
    int64_t* const words = take_words(d, c);
    found = c.all.try_emplace(ctx).first;
    found->second.fault = words;
    found->second.taken = words + kFault;
  }
  t_last = {&d, ctx, &found->second};
  return found->second;
}

void note(Device& d, ctn_context ctx, std::string_view op) {
  if (note_captured(d, ctx, op)) return;
  d.recent.add(op);
  queued_by(d, ctx).recent.add(op);
}

void wait_for(Device& d, ctn_context ctx) {
  Queued& q = queued_by(d, ctx);
  const int64_t queued = q.recent.count();
  d.wait();
  const bool found =
      std::atomic_ref<int64_t>(q.fault[0]).load(std::memory_order_acquire) != kNoFault;
  const Words words = found ? take(d, q) : Words{};
  const std::string ops = found ? q.recent.text() : std::string();
  q.recent.forget(queued);
  if (words[0] != kNoFault) fail_with(words, ops);
}

}  // namespace catena::cuda
