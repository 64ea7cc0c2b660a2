// Calls that wait: see waiting.h.
#include "core/waiting.h"

#include <algorithm>
#include <optional>

#include "core/bound_call.h"
#include "core/expr_fn.h"
#include "core/layout.h"
#include "core/sys/thread_number.h"

namespace catena {

// ---- several calls as one

// The inputs of a chain of calls one after the other, and the calls after the first as followers.
struct Waiting::Joined {
  std::vector<Array*> in;
  std::vector<ctn_tensor> tensors;
  std::vector<ctn_follower> followers;

  void add_input(Array* a) {
    ctn_tensor t{};
    t.t.ndim = -1;
    if (a) a->describe(t.t);
    in.push_back(a);
    tensors.push_back(t);
  }
  void add(const Op& op, std::span<const ctn_value> attrs, int32_t position) {
    ctn_follower f{};
    f.size = sizeof f;
    f.position = position;
    f.op = str(op.name);
    f.first = static_cast<int32_t>(in.size());
    f.n_attrs = static_cast<int32_t>(attrs.size());
    f.attrs = attrs.data();
    followers.push_back(f);
  }
  void add_operand(Array* a) {
    add_input(a);
    ++followers.back().n_in;
  }

  explicit Joined(const Chain& chain) {
    for (const Ref<Array>& a : chain.back()->in_) add_input(a.get());
    for (size_t k = chain.size() - 1; k-- > 0;) {
      const Waiting& w = *chain[k];
      add(w.op_, w.attrs_.get(), w.position_);
      for (size_t i = 0; i < w.in_.size(); ++i)
        if (static_cast<int32_t>(i) != w.position_) add_operand(w.in_[i].get());
    }
  }
  // Keeps the inputs, for when the calls are no longer locked.
  std::vector<Ref<Array>> hold() const {
    std::vector<Ref<Array>> held;
    for (Array* a : in) held.push_back(Ref<Array>::share(a));
    return held;
  }
  // As kernels are run on them.
  void see() {
    for (size_t i = 0; i < in.size(); ++i)
      if (in[i]) tensors[i] = tensor_of(*in[i]);
  }
  KernelCall call(const Waiting& first) const {
    return {first.ctx_, first.op_, first.device_,      first.flags_,
            in,         tensors,   first.attrs_.get(), followers};
  }
};

// ---- one call

Waiting::Waiting(const Call& c, const Kernel* kernel, int32_t position)
    : ctx_(c.ctx),
      op_(c.op),
      device_(c.device()),
      kernel_(kernel),
      flags_(c.flags),
      position_(position),
      attrs_(c.attrs()),
      thread_(thread_number()) {
  for (Array* a : c.arrays()) in_.push_back(Ref<Array>::share(a));
  for (const Ref<Array>& a : in_)
    if (a) a->storage->readers.fetch_add(1, std::memory_order_release);
}

Waiting::~Waiting() { forget_inputs(); }

void Waiting::forget_inputs() noexcept {
  for (Ref<Array>& a : in_) {
    if (a) a->storage->readers.fetch_sub(1, std::memory_order_release);
    a = nullptr;
  }
}

template <class Wanted>
Waiting::Chain Waiting::lock_chain(Locks& locks, Wanted wanted) {
  Chain chain{Ref<Waiting>::share(this)};
  while (!chain.back()->kernel_) {
    const Waiting& last = *chain.back();
    const Array& between = *last.in_[static_cast<size_t>(last.position_)];
    Waiting* w = between.storage->waiting;
    if (!wanted(between)) w = nullptr;
    if (w) locks.emplace_back(w->mutex_);
    if (!w || w->is_over()) {
      locks.clear();
      return {};
    }
    chain.push_back(Ref<Waiting>::share(w));
  }
  return chain;
}

namespace {

// Of the exception being handled: whether memory was asked for that there is not, which a kernel
// says before it writes. Other exceptions that leave a kernel say nothing about that.
bool wants_memory() {
  try {
    throw;
  } catch (const Error& e) {
    return e.code() == CTN_ENOMEM;
  } catch (...) {
    return false;
  }
}

}  // namespace

Ref<Array> Waiting::run_chain(const Chain& chain) {
  const Waiting& first = *chain.back();
  Joined joined(chain);
  joined.see();
  const Array& like =
      *chain[chain.size() - 2]->in_[static_cast<size_t>(chain[chain.size() - 2]->position_)];
  Outputs outs(like);
  try {
    run_kernel(joined.call(first), *first.kernel_, outs);
  } catch (...) {
    if (outs.took_input && !wants_memory()) lost_ = std::current_exception();  // an input is gone
    throw;
  }
  return outs.arrays[0];
}

void Waiting::run_locked() {
  if (lost_) std::rethrow_exception(lost_);
  if (ran_) return;
  std::optional<ConfigScope> as_called;
  if (ctx_.config().flags() != flags_) as_called.emplace(ctx_.config(), ~uint64_t{0}, flags_);
  try {
    Chain chain;
    Locks locks;
    // what somebody else can look at is computed on its own
    chain = lock_chain(locks, [](const Array& a) { return is_unshared(a); });
    thread_ = 0;  // what a callback calls meanwhile does not come back here
    for (const Ref<Waiting>& w : chain) w->thread_ = 0;
    result_ = chain.size() > 1 ? run_chain(chain) : call_now(ctx_, op_, in_, attrs_.get());
    for (const Ref<Waiting>& w : chain) w->ran_ = true;
    ran_ = true;
  } catch (...) {
    if (lost_) leave();
    throw;
  }
  leave();
}

// Nothing will be run any more.
void Waiting::leave() noexcept {
  ctx_.waiting.remove(*this);
  forget_inputs();
}

bool Waiting::reads(const Storage& s) const {
  return std::ranges::any_of(in_, [&](const Ref<Array>& a) { return a && a->storage == &s; });
}

void Waiting::run() {
  std::lock_guard lock(mutex_);
  run_locked();
}

void Waiting::settle(Storage& s) {
  std::lock_guard lock(mutex_);
  if (is_done()) return;
  run_locked();
  {
    std::lock_guard layouts(ctx_.layout_mutex);
    s.take_data(*result_->storage);
  }
  result_ = nullptr;
  done_.store(true, std::memory_order_release);
}

// ---- those of a context

void WaitingList::add(Waiting& w) {
  std::lock_guard lock(mutex_);
  w.older_ = newest_;
  if (newest_) newest_->newer_ = &w;
  newest_ = &w;
  w.listed_ = true;
  count_.fetch_add(1, std::memory_order_relaxed);
}

void WaitingList::remove(Waiting& w) noexcept {
  std::lock_guard lock(mutex_);
  if (!std::exchange(w.listed_, false)) return;
  (w.newer_ ? w.newer_->older_ : newest_) = w.older_;
  if (w.older_) w.older_->newer_ = w.newer_;
  count_.fetch_sub(1, std::memory_order_relaxed);
}

template <class Fits>
Ref<Waiting> WaitingList::find(Fits fits) {
  std::lock_guard lock(mutex_);
  Waiting* w = newest_;
  while (w && !fits(*w)) w = w->older_;
  return Ref<Waiting>::share(w);
}

bool WaitingList::is_last(const Waiting& w) {
  const uint64_t me = thread_number();
  return find([&](const Waiting& o) { return o.thread_ == me; }).get() == &w;
}

void WaitingList::run_of_thread() noexcept {
  const uint64_t me = thread_number();
  while (const Ref<Waiting> w = find([&](const Waiting& o) { return o.thread_ == me; })) {
    w->thread_ = 0;
    try {
      w->run();
    } catch (...) {  // it is run again for whoever looks at the result, who is told then
    }
  }
}

void WaitingList::run_all(const Storage* read) {
  std::vector<Ref<Waiting>> all;
  {
    std::lock_guard lock(mutex_);
    for (Waiting* w = newest_; w; w = w->older_)
      if (!read || w->reads(*read)) all.push_back(Ref<Waiting>::share(w));
  }
  std::exception_ptr first;
  for (const Ref<Waiting>& w : all) {
    try {
      w->run();
    } catch (...) {
      if (!first) first = std::current_exception();
    }
  }
  if (first) std::rethrow_exception(first);
}

void Array::run_readers() { ctx().waiting.run_all(storage); }

// ---- putting off

namespace {

constexpr size_t kMostCalls = 16;  // of a chain

// Says all there is to it: what a handle or a function stands for may be another thing later.
bool is_plain(const ctn_value& v) {
  if (v.kind != CTN_LIST) return v.kind < CTN_ARRAY;
  return std::all_of(v.u.list, v.u.list + v.n, is_plain);
}

// Whether later gives what now would: numbers are drawn in the order of the calls.
bool may_be_run_later(const Call& c) {
  if (c.is_recorded() || c.op.flags & CTN_OP_RANDOM) return false;
  return std::ranges::all_of(c.attrs(), is_plain) &&
         std::ranges::all_of(c.arrays(),
                             [](const Array* a) { return !a || is_private(*a->storage); });
}

Variable* put_off(const Call& c, const Kernel* kernel, int32_t position,
                  std::span<const int64_t> shape, int dtype) {
  const Ref<Waiting> w = Ref<Waiting>::take(new Waiting(c, kernel, position));
  Ref<Array> a = Array::make_waiting(c.device(), dtype, shape, w);
  Variable* out = Variable::make(c.ctx, std::move(a), false).detach();
  c.ctx.waiting.add(*w);
  return out;
}

// Whether the call gives an array like its input `like`: elementwise, one output.
bool keeps_shape(const Call& c, const Array& like) {
  const Op& op = c.op;
  if (op.out.size() != 1 || op.def.count) return false;
  if (!op.row) return Outputs(c.for_kernel(), 1).is_like(like.shape(), like.dtype);
  if (op.row->is_reduction() || op.out[0].like < 0) return false;
  for (const ctn_value& v : c.attrs())
    if (v.kind == CTN_DTYPE) return false;
  std::vector<int64_t> joined;
  for (const Array* a : c.arrays()) {
    if (!a || a->dtype != like.dtype || !broadcast_shapes(a->shape(), like.shape(), joined) ||
        !std::ranges::equal(joined, like.shape()))
      return false;
  }
  return true;
}

// The one input that waits and is a whole output; -1 if there is none, or several places read it.
int32_t waiting_input(const Call& c) {
  int32_t found = -1;
  for (size_t i = 0; i < c.in.size(); ++i) {
    const Array* a = c.arrays()[i];
    if (!a || !is_waiting(*a->storage) || !c.ctx.waiting.is_last(*a->storage->waiting)) continue;
    if (found >= 0 || !a->inside_storage) return -1;
    found = static_cast<int32_t>(i);
  }
  return found;
}

}  // namespace

bool wait(Call& c, const Kernel& kernel, const Outputs& outs, std::span<Variable*> out) {
  if (outs.size() != 1 || !outs.any_new() || !may_be_run_later(c)) return false;
  const int dtype = dtype_index(outs.specs[0].dtype);
  if (element_count(outs.shape(0)) * kDtypeBytes[dtype] <= static_cast<int64_t>(kInlineBytes))
    return false;
  out[0] = put_off(c, &kernel, -1, outs.shape(0), dtype);
  return true;
}

bool follow(Call& c, std::span<Variable*> out) {
  if (!c.has_waiting()) return false;
  const int32_t position = waiting_input(c);
  if (position < 0 || !may_be_run_later(c)) return false;
  const Array& last = *c.arrays()[static_cast<size_t>(position)];
  if (!keeps_shape(c, last)) return false;
  Waiting& before = *last.storage->waiting;
  Waiting::Chain chain;
  Waiting::Locks locks;
  locks.emplace_back(before.mutex_);
  if (before.is_over()) return false;
  chain = before.lock_chain(locks, [](const Array&) { return true; });
  if (chain.empty() || chain.size() == kMostCalls) return false;
  const Waiting& first = *chain.back();
  if (first.flags_ != c.flags || &first.device_ != &c.device()) return false;
  Waiting::Joined joined(chain);
  joined.add(c.op, c.attrs(), position);
  for (size_t i = 0; i < c.in.size(); ++i)
    if (static_cast<int32_t>(i) != position) joined.add_operand(c.arrays()[i]);
  const std::vector<Ref<Array>> held = joined.hold();
  locks.clear();  // the kernel may call, and others may run the calls before
  ctn_call_info info = joined.call(first).info(1);
  ctn_tensor made{};
  last.describe(made.t);
  info.out = &made;
  --info.n_followers;
  int32_t yes = 0;
  const ctn_kernel_def& kernel = first.kernel_->def;
  check_op(kernel.absorb(kernel.self, &info, &joined.followers.back(), &yes), c.op.name);
  if (!yes) return false;
  if (c.ctx.logs(CTN_LOG_DEBUG))
    c.ctx.log(CTN_LOG_DEBUG, "kernel", c.op.name + ": follows " + first.op_.name);
  out[0] = put_off(c, nullptr, position, last.shape(), last.dtype);
  return true;
}

}  // namespace catena
