// Captures: see capture.h. A thread captures at most one at a time. The capture's own memory is a
// pool that goes with it; what else it may touch is every block that was out when it began, so all
// pools there were keep their blocks. Arrays may have data in several forms (layout.h), each at an
// address that captured work knows: what it reads there is brought up to date before a replay.
#include "core/capture.h"

#include <algorithm>

#include "core/optimizer.h"
#include "core/variable.h"

namespace catena {
namespace {

constinit thread_local Capture* t_capture = nullptr;
constinit thread_local Context* t_context = nullptr;

constexpr uint64_t kRandomBytes = 2 * sizeof(uint64_t);

Capture& own_capture(Context& ctx) {
  Capture* c = capture_in(ctx);
  if (!c) fail(CTN_EINVAL, "this thread captures nothing in the context: begin comes first");
  return *c;
}

void forget() noexcept {
  t_context->captures.fetch_sub(1, std::memory_order_relaxed);
  t_capture = nullptr;
  t_context = nullptr;
}

}  // namespace

Capture* find_capture(const Context& ctx) noexcept {
  return t_context == &ctx ? t_capture : nullptr;
}

Capture::Capture(Context& ctx, Device& device) : ctx_(ctx), device_(device) {
  ctx.retain();
  hold_ = device.memory->hold();
}

Capture::~Capture() {
  if (work_) {
    const Backend& b = backend();
    ctx_.shielded(device_.name, [&] { b.def.capture_free(b.def.self, device_.id, work_); });
  }
  put_back_all();
  made_.clear();
  reads_.clear();
  written_.clear();
  leaves_.clear();
  updates_.clear();
  if (random_) device_.memory->put(random_, kRandomBytes);
  device_.memory->release(hold_);
  ctx_.release();
}

void Capture::begin(Context& ctx, Device& device) {
  if (t_capture) fail(CTN_EINVAL, "this thread captures already, on " + t_capture->device_.name);
  const Backend* b = device.backend->stream_owner;
  if (!b || !b->def.capture_begin)
    fail(CTN_EUNSUPPORTED,
         "device " + device.name + ": backend '" + device.backend->name + "' captures no work");
  ctx.waiting.run_all();
  ctx.synchronize();  // nothing that was queued is part of it
  Ref<Capture> made = Ref<Capture>::take(new Capture(ctx, device));
  checked_call("capture", [&] { return b->def.capture_begin(b->def.self, device.id); });
  ctx.captures.fetch_add(1, std::memory_order_relaxed);
  t_context = &ctx;
  t_capture = made.detach();
}

Ref<Capture> Capture::end(Context& ctx) {
  Ref<Capture> c = Ref<Capture>::take(&own_capture(ctx));
  forget();
  const Backend& b = c->backend();
  checked_call("capture", [&] { return b.def.capture_end(b.def.self, c->device_.id, &c->work_); });
  c->keep_leaves();
  c->keep_written();
  return c;
}

void Capture::cancel(Context& ctx) noexcept {
  Capture* c = capture_in(ctx);
  if (!c) return;
  const Ref<Capture> gone = Ref<Capture>::take(c);
  forget();
  const Backend& b = gone->backend();
  ctx.shielded(gone->device_.name, [&] {
    checked_call("capture",
                 [&] { return b.def.capture_end(b.def.self, gone->device_.id, nullptr); });
  });
}

// Gradients as backward left them are what every replay computes anew.
void Capture::keep_leaves() {
  for (Leaf& leaf : leaves_) {
    leaf.grad = leaf.v->shared_grad();
    leaf.loss_scale = leaf.v->is_parameter() ? leaf.v->extra->parameter->loss_scale : 0;
  }
}

// What is left of the capture's own arrays is written by every replay, as others are; each in the
// form in which it is now.
void Capture::keep_written() {
  drop_made();
  for (Ref<Storage>& s : made_) written_.push_back({std::move(s), nullptr});
  made_.clear();
  for (Form& w : written_) w.form = newest_form(*w.s);
  put_back_all();
}

void Capture::put_back_all() noexcept {
  const std::lock_guard lock(ctx_.layout_mutex);
  for (const Seen& seen : seen_) put_back(*seen.s, seen.before);
  seen_.clear();
}

void Capture::bring_up_to_date() {
  for (const Form& w : written_)
    if (w.s->readers.load(std::memory_order_acquire) != 0) ctx_.waiting.run_all(w.s.get());
  for (const Form& r : reads_) refresh(*r.s, r.form);
}

void Capture::replay() {
  if (Capture* open = capture_in(ctx_)) open->refuse("a replay");
  const std::lock_guard lock(mutex_);
  const Backend& b = backend();
  if (drawn_ > 0) draw_again();
  bring_up_to_date();
  checked_call("replay", [&] { return b.def.capture_replay(b.def.self, device_.id, work_); });
  for (const Form& w : written_) written_in(*w.s, w.form);
  for (const Leaf& leaf : leaves_) {
    leaf.v->set_grad(leaf.grad.get());
    if (leaf.v->is_parameter()) leaf.v->extra->parameter->loss_scale = leaf.loss_scale;
  }
  for (const Ref<Optimizer>& o : updates_) o->update();
}

void Capture::refuse(std::string_view what) const {
  fail(CTN_EUNSUPPORTED, std::string(what) + ": not while work on " + device_.name +
                             " is captured, as a replay would not do it again");
}

void Capture::check_runs(const Device& device, std::string_view label) const {
  if (&device != &device_)
    fail(CTN_EUNSUPPORTED, std::string(label) + " runs on " + device.name +
                               ", while this thread's work on " + device_.name + " is captured");
  if (!updates_.empty())
    fail(CTN_EUNSUPPORTED,
         std::string(label) + " comes after an optimizer's update, which ends what is captured");
}

void Capture::note_leaf(Variable& v) {
  for (const Leaf& leaf : leaves_)
    if (leaf.v.get() == &v) return;
  leaves_.push_back({Ref<Variable>::share(&v), nullptr, 0});
}

namespace {

const Storage* storage_of(const Ref<Storage>& s) { return s.get(); }

}  // namespace

void Capture::note_made(Storage& s) { made_.push_back(Ref<Storage>::share(&s)); }

void Capture::drop_made() noexcept {
  std::erase_if(made_,
                [](const Ref<Storage>& s) { return s->refs.load(std::memory_order_acquire) == 1; });
}

const Forms& Capture::see(Storage& s) {
  for (const Seen& seen : seen_)
    if (seen.s.get() == &s) return seen.before;
  seen_.push_back({Ref<Storage>::share(&s), forms_of(s)});
  return seen_.back().before;
}

void Capture::note_read(Storage& s, Packed* form) {
  const auto same = [&](const Form& r) { return r.s.get() == &s && r.form == form; };
  if (std::ranges::find(made_, &s, storage_of) != made_.end()) return;
  if (!see(s).has(form)) return;  // it is captured work that puts it there
  if (std::ranges::none_of(reads_, same)) reads_.push_back({Ref<Storage>::share(&s), form});
}

void Capture::note_written(Storage& s) {
  const auto same = [&](const Form& w) { return w.s.get() == &s; };
  if (std::ranges::find(made_, &s, storage_of) != made_.end()) return;
  see(s);
  if (std::ranges::none_of(written_, same)) written_.push_back({Ref<Storage>::share(&s), nullptr});
}

ctn_philox Capture::take_random(int32_t kind, int64_t n) {
  ctx_.take_random(kind, 0);  // refuses what it would
  if (n < 0) fail(CTN_EINVAL, "cannot draw " + std::to_string(n) + " random numbers");
  if (random_kind_ >= 0 && random_kind_ != kind) refuse("random numbers of several kinds");
  if (!random_) random_ = static_cast<uint64_t*>(ctx_.alloc_data(device_, kRandomBytes));
  random_kind_ = kind;
  const auto position = static_cast<uint64_t>(drawn_);
  drawn_ += n;
  return {0, position, random_};
}

void Capture::draw_again() {
  const PhiloxState begin = ctx_.take_random(random_kind_, drawn_);
  const uint64_t words[] = {begin.seed, begin.position};
  const Backend& b = *device_.backend->memory_owner;
  checked_call("replay", [&] {
    return b.def.copy(b.def.self, device_.id, random_, -1, words, sizeof words);
  });
}

void Capture::add_update(Optimizer& o) {
  for (const Ref<Optimizer>& known : updates_)
    if (known.get() == &o)
      fail(CTN_EUNSUPPORTED, "an optimizer is updated twice in what is captured");
  updates_.push_back(Ref<Optimizer>::share(&o));
}

}  // namespace catena
