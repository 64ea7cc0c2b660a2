// Work captured once and done again: what a thread hands over for one device between begin and end,
// with the memory it reads and writes, and the little that the host has to do again with every
// replay: the gradients of leaves, versions of arrays, and updates of optimizers. Knows no op.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/plugin.h>

#include <mutex>
#include <string_view>
#include <vector>

#include "core/array.h"
#include "core/context.h"
#include "core/layout.h"
#include "core/ref.h"

struct ctn_capture_s {};

namespace catena {

class Optimizer;
struct Variable;

class Capture : public ctn_capture_s {
 public:
  // From now on the calling thread's work for the device is captured.
  static void begin(Context& ctx, Device& device);
  // Ends what the calling thread has begun in the context; also where it throws.
  static Ref<Capture> end(Context& ctx);
  static void cancel(Context& ctx) noexcept;
  void replay();

  void retain() { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (drop_one(refs_)) delete this;
  }

  Device& device() const { return device_; }
  DeviceMemory::Pool* pool() const { return hold_.own; }
  // While it is captured: `label` is about to run on a device. Throws where it would not be part of
  // what is captured.
  void check_runs(const Device& device, std::string_view label) const;
  // Throws: `what` cannot be done while work is captured.
  [[noreturn]] void refuse(std::string_view what) const;
  void note_leaf(Variable& v);
  // What is captured is about to read the data of a storage in that form (NULL: plain), or to write
  // it: a replay finds the newest data there, and what it has written is the newest. With
  // Context::layout_mutex locked.
  void note_read(Storage& s, Packed* form);
  void note_written(Storage& s);
  // A storage in the capture's own memory.
  void note_made(Storage& s);
  // Those that nobody else has any more let go of their memory.
  void drop_made() noexcept;
  // Numbers that every replay takes from the context's stream; all of one kind.
  ctn_philox take_random(int32_t kind, int64_t n);
  // Done anew by every replay, after the rest: nothing more can be captured.
  void add_update(Optimizer& o);

 private:
  Capture(Context& ctx, Device& device);
  ~Capture();
  const Backend& backend() const { return *device_.backend->stream_owner; }
  void keep_leaves();
  void keep_written();
  const Forms& see(Storage& s);
  void put_back_all() noexcept;
  void draw_again();
  void bring_up_to_date();

  struct Leaf {
    Ref<Variable> v, grad;
    double loss_scale;
  };
  struct Form {
    Ref<Storage> s;
    Packed* form;  // NULL: plain
  };
  std::atomic<int32_t> refs_{1};
  Context& ctx_;  // a handle
  Device& device_;
  DeviceMemory::Hold hold_;
  void* work_ = nullptr;        // the backend's
  std::mutex mutex_;            // one replay at a time
  uint64_t* random_ = nullptr;  // device memory: seed and position of a replay's first number
  int32_t random_kind_ = -1;
  int64_t drawn_ = 0;
  std::vector<Leaf> leaves_;
  std::vector<Ref<Storage>> made_;  // until it ends
  // Other storages it has touched, as they were: nothing has happened to them when it ends.
  struct Seen {
    Ref<Storage> s;
    Forms before;
  };
  std::vector<Seen> seen_;
  std::vector<Form> reads_, written_;
  std::vector<Ref<Optimizer>> updates_;
};

// What the calling thread captures in the context; NULL: nothing.
Capture* find_capture(const Context& ctx) noexcept;
inline Capture* capture_in(const Context& ctx) noexcept {
  return ctx.captures.load(std::memory_order_relaxed) == 0 ? nullptr : find_capture(ctx);
}
inline Capture* capture_on(const Device& device) noexcept {
  Capture* c = capture_in(*device.ctx);
  return c && &c->device() == &device ? c : nullptr;
}

// Plain data of an array is about to be read, perhaps by what is captured.
void note_plain_read(Array& a);  // layout.cc
inline void note_read(Array& a) {
  if (capture_in(a.ctx())) [[unlikely]]
    note_plain_read(a);
}

inline Capture* to_capture(ctn_capture c) {
  if (!c) fail_argument("capture is NULL");
  return static_cast<Capture*>(c);
}

}  // namespace catena
