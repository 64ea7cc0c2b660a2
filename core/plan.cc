// Plans: see plan.h.
#include "core/plan.h"

#include <algorithm>
#include <cstring>

#include "core/context.h"

namespace catena {
namespace {

void add_bytes(std::vector<uint64_t>& key, const void* p, size_t bytes) {
  const size_t words = (bytes + 7) / 8, at = key.size();
  key.resize(at + words, 0);
  if (bytes) std::memcpy(&key[at], p, bytes);
}

// False for a value whose meaning is not in its bits: such a call is planned every time.
bool add_value(std::vector<uint64_t>& key, const ctn_value& v) {
  key.push_back(static_cast<uint64_t>(v.kind) << 32 | v.n);
  switch (v.kind) {
    case CTN_ABSENT:
    case CTN_NONE:
    case CTN_ELLIPSIS:
    case CTN_NEWAXIS: return true;
    case CTN_BOOL:
    case CTN_INT:
    case CTN_FLOAT: key.push_back(v.u.raw); return true;
    case CTN_DTYPE: add_bytes(key, &v.u.dt, sizeof v.u.dt); return true;
    case CTN_DEVICE: add_bytes(key, &v.u.dev, sizeof v.u.dev); return true;
    case CTN_STR: add_bytes(key, v.u.s, v.n); return true;
    case CTN_INTS: add_bytes(key, v.u.is, v.n * sizeof(int64_t)); return true;
    case CTN_FLOATS: add_bytes(key, v.u.fs, v.n * sizeof(double)); return true;
    default: return false;
  }
}

void add_tensor(std::vector<uint64_t>& key, const ctn_tensor& t, bool strided) {
  key.push_back(static_cast<uint64_t>(static_cast<uint32_t>(t.t.ndim)) << 32 |
                uint64_t{t.t.dtype.code} << 8 | t.t.dtype.bits);
  if (t.t.ndim <= 0) return;
  key.push_back(t.layout);
  const size_t bytes = static_cast<size_t>(t.t.ndim) * sizeof(int64_t);
  add_bytes(key, t.t.shape, bytes);
  if (strided) add_bytes(key, t.t.strides, bytes);
}

bool make_key(std::vector<uint64_t>& key, const Kernel& kernel, const ctn_call_info& call,
              int32_t device, uint64_t flags) {
  const bool strided = kernel.def.flags & CTN_KERNEL_STRIDED;
  key.reserve(64);
  key.push_back(reinterpret_cast<uintptr_t>(&kernel));
  key.push_back(flags);
  key.push_back(static_cast<uint32_t>(device));
  key.push_back(static_cast<uint64_t>(call.n_in) << 32 | static_cast<uint32_t>(call.n_out));
  for (int32_t i = 0; i < call.n_in; ++i) add_tensor(key, call.in[i], strided);
  // What is asked of the outputs follows from inputs and attributes, but for views.
  for (int32_t k = 0; k < call.n_out; ++k) add_tensor(key, call.out[k], strided);
  const auto add_attrs = [&](const ctn_value* attrs, int32_t n) {
    return std::all_of(attrs, attrs + n, [&](const ctn_value& v) { return add_value(key, v); });
  };
  for (int32_t k = 0; k < call.n_followers; ++k) {
    const ctn_follower& f = call.followers[k];
    key.push_back(f.op.n);
    add_bytes(key, f.op.p, f.op.n);
    key.push_back(static_cast<uint64_t>(f.position) << 32 | static_cast<uint32_t>(f.n_in));
    if (!add_attrs(f.attrs, f.n_attrs)) return false;
  }
  return add_attrs(call.attrs, call.n_attrs);
}

bool alike(const ctn_dltensor& a, const ctn_dltensor& b) {
  return a.ndim == b.ndim && dtype_index(a.dtype) == dtype_index(b.dtype) &&
         std::equal(a.shape, a.shape + std::max(a.ndim, 0), b.shape);
}

}  // namespace

Plan::Plan(const Kernel& kernel, std::string_view op, const ctn_call_info& call)
    : kernel_(kernel),
      n_in_(static_cast<size_t>(call.n_in)),
      layouts_(n_in_ + static_cast<size_t>(call.n_out)) {
  const bool layouts = kernel.def.flags & CTN_KERNEL_LAYOUT;
  for (size_t i = 0; layouts && i < n_in_; ++i) layouts_[i] = call.in[i].layout;
  plan_.size = sizeof plan_;
  plan_.in_layouts = layouts_.data();
  plan_.out_layouts = layouts_.data() + n_in_;
  check_op(kernel.def.plan(kernel.def.self, &call, &plan_), op);
  try {
    const uint32_t onto = plan_.onto;
    if (onto && (call.n_out != 1 || onto > n_in_ || layouts_[onto - 1] != layouts_[n_in_] ||
                 !alike(call.in[onto - 1].t, call.out[0].t)))
      fail(CTN_EINTERNAL, "plan: onto is " + std::to_string(onto) +
                              ", which is no input like the one output and in its layout");
    to_context(call.ctx)->take(plan_.state_bytes);
  } catch (...) {
    drop();
    throw;
  }
  ctx_ = to_context(call.ctx);
  if (!layouts) std::fill(layouts_.begin(), layouts_.end(), 0);
}

Plan::~Plan() {
  drop();
  if (ctx_) ctx_->ledger().give(plan_.state_bytes);
}

void Plan::drop() noexcept {
  if (plan_.state && kernel_.def.drop)
    shielded([&] { kernel_.def.drop(kernel_.def.self, plan_.state); });
}

size_t PlanCache::Hash::operator()(const Key& key) const {
  uint64_t h = key.size();
  for (const uint64_t word : key) {
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    h ^= h >> 29;
  }
  return h;
}

std::shared_ptr<const Plan> PlanCache::get(const Kernel& kernel, std::string_view op,
                                           const ctn_call_info& call, int32_t device,
                                           uint64_t flags) {
  Key key;
  if (!make_key(key, kernel, call, device, flags)) return std::make_shared<Plan>(kernel, op, call);
  {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found != entries_.end()) {
      by_use_.splice(by_use_.begin(), by_use_, found->second.used);
      return found->second.plan;
    }
  }
  auto plan =
      std::make_shared<const Plan>(kernel, op, call);  // the kernel is asked without the lock
  std::shared_ptr<const Plan> dropped;                 // nor told to let go under it
  std::lock_guard lock(mutex_);
  const auto [at, added] = entries_.try_emplace(std::move(key));
  if (!added) return at->second.plan;
  try {
    by_use_.push_front(&at->first);
  } catch (...) {
    entries_.erase(at);
    throw;
  }
  at->second = {std::move(plan), by_use_.begin()};
  std::shared_ptr<const Plan> result = at->second.plan;
  if (entries_.size() > kMost) {
    const auto oldest = entries_.find(*by_use_.back());
    by_use_.pop_back();
    dropped = std::move(oldest->second.plan);
    entries_.erase(oldest);
  }
  return result;
}

void PlanCache::clear() {
  decltype(entries_) dropped;  // let go of without the lock, as kernels are told
  const std::lock_guard lock(mutex_);
  by_use_.clear();
  dropped.swap(entries_);
}

}  // namespace catena
