// Backends, what they inherit from their parents, and kernels.
#include "core/adopt.h"
#include "core/config.h"
#include "core/define.h"
#include "core/file.h"

namespace catena {
namespace {

constexpr size_t kMostBackendName = 32;

[[noreturn]] void refuse(const std::string& who, const std::string& why) {
  fail(CTN_EINVAL, who + ": " + why);
}

std::string backend_name(ctn_str name, const char* what) {
  std::string out = checked_name(name, kLower, what);
  if (out.size() > kMostBackendName) refuse(what, quoted(out) + " has more than 32 characters");
  return out;
}

// A group of members comes whole or not at all: `self` goes with it.
bool whole_group(const std::string& who, const char* names, std::initializer_list<bool> members) {
  size_t given = 0;
  for (const bool m : members) given += m;
  if (given != 0 && given != members.size()) {
    refuse(who, std::string(names) + " come together: some are NULL, some are not");
  }
  return given != 0;
}

void check_groups(Backend& b) {
  const ctn_backend_def& d = b.def;
  const std::string who = "backend " + b.name;
  if (whole_group(who, "alloc, free and copy",
                  {d.alloc != nullptr, d.free != nullptr, d.copy != nullptr})) {
    b.memory_owner = &b;
  }
  if (whole_group(who, "compile, launch and release",
                  {d.compile != nullptr, d.launch != nullptr, d.release != nullptr})) {
    b.compile_owner = &b;
  }
  if (whole_group(who, "layout_bytes and reorder",
                  {d.layout_bytes != nullptr, d.reorder != nullptr})) {
    b.layout_owner = &b;
  }
  if (d.device_info && !d.device_count) refuse(who, "device_info without device_count");
  if (d.device_count) b.device_owner = &b;
  const bool streams = whole_group(who, "stream_open, stream_close, event_record and event_wait",
                                   {d.stream_open != nullptr, d.stream_close != nullptr,
                                    d.event_record != nullptr, d.event_wait != nullptr});
  if (d.stream_native && !streams) refuse(who, "stream_native without stream_open");
  if (streams && !d.sync) refuse(who, "streams without sync");
  const bool captures =
      whole_group(who, "capture_begin, capture_end, capture_replay and capture_free",
                  {d.capture_begin != nullptr, d.capture_end != nullptr,
                   d.capture_replay != nullptr, d.capture_free != nullptr});
  if (captures && !d.sync) refuse(who, "captures without sync");
  if (d.sync_context && !d.sync) refuse(who, "sync_context without sync");
  if (d.sync) b.stream_owner = &b;
}

}  // namespace

std::unique_ptr<Backend> define(const ctn_backend_def* given, Arena& arena) {
  auto b = std::make_unique<Backend>();
  b->def = adopt(given, "ctn_backend_def");
  b->name = backend_name(b->def.name, "backend name");
  check_flags(b->def.flags, CTN_BACKEND_HOST_MEMORY | CTN_BACKEND_ASYNC | CTN_BACKEND_FORK_SAFE,
              "backend " + b->name);
  b->def.name = arena.copy(b->def.name);
  if (b->def.parent.n != 0) backend_name(b->def.parent, "parent of a backend");
  b->def.parent = arena.copy(b->def.parent);
  if (b->def.device_type < 0) refuse("backend " + b->name, "device_type is negative");
  if (b->def.config_key.n != 0) {
    const std::string key(view(b->def.config_key));
    b->off_bit = never_bit(key);
    if (b->off_bit == 0)
      refuse("backend " + b->name, "no configuration key " + quoted(key) + " takes 'never'");
    if (b->def.parent.n == 0) refuse("backend " + b->name, "config_key without a parent");
    b->off_text = key + " is 'never'";
    b->def.config_key = arena.copy(b->def.config_key);
  }
  check_groups(*b);
  if (b->def.layout_blocks && !b->layout_owner)
    refuse("backend " + b->name, "layout_blocks without layout_bytes");
  return b;
}

void inherit(Backend& b, const Backend* parent) {
  ctn_backend_def& d = b.def;
  b.parent = parent;
  if (parent) {
    const ctn_backend_def& p = parent->def;
    if (d.device_type == 0) d.device_type = p.device_type;
    if (!b.memory_owner) {
      b.memory_owner = parent->memory_owner;
      d.alloc = p.alloc;
      d.free = p.free;
      d.copy = p.copy;
      d.flags |= p.flags & CTN_BACKEND_HOST_MEMORY;
    }
    if (!b.device_owner) {
      b.device_owner = parent->device_owner;
      d.device_count = p.device_count;
      d.device_info = p.device_info;
    }
    if (!b.compile_owner) {
      b.compile_owner = parent->compile_owner;
      d.compile = p.compile;
      d.launch = p.launch;
      d.release = p.release;
    }
    if (!b.layout_owner) {
      b.layout_owner = parent->layout_owner;
      d.layout_bytes = p.layout_bytes;
      d.reorder = p.reorder;
      d.layout_blocks = p.layout_blocks;
    }
    if (!b.stream_owner) {
      b.stream_owner = parent->stream_owner;
      d.sync = p.sync;
      d.sync_context = p.sync_context;
      d.stream_open = p.stream_open;
      d.stream_close = p.stream_close;
      d.stream_native = p.stream_native;
      d.event_record = p.event_record;
      d.event_wait = p.event_wait;
      d.capture_begin = p.capture_begin;
      d.capture_end = p.capture_end;
      d.capture_replay = p.capture_replay;
      d.capture_free = p.capture_free;
      d.flags |= p.flags & CTN_BACKEND_ASYNC;
    }
  }
  const std::string who = "backend " + b.name;
  if (!b.memory_owner || !b.device_owner) {
    refuse(who, "without a parent, device_count, alloc, free and copy are required");
  }
  if (d.device_type == 0) refuse(who, "device_type is 0");
  if ((d.flags & CTN_BACKEND_ASYNC) != 0 && !d.sync) {
    refuse(who, "CTN_BACKEND_ASYNC without sync");
  }
}

std::unique_ptr<Kernel> define(const ctn_kernel_def* given, Arena& arena) {
  auto k = std::make_unique<Kernel>();
  ctn_kernel_def& d = k->def;
  d = adopt(given, "ctn_kernel_def");
  const std::string op = checked_name(d.op, kLowerDot, "op of a kernel");
  const std::string backend = backend_name(d.backend, "backend of a kernel");
  const std::string who = "kernel of " + op + " for " + backend;
  d.op = arena.copy(d.op);
  d.backend = arena.copy(d.backend);
  check_flags(d.flags, CTN_KERNEL_STRIDED | CTN_KERNEL_LAYOUT, who);
  if (!d.run) refuse(who, "run is NULL");
  if ((d.flags & CTN_KERNEL_LAYOUT) != 0 && !d.plan) refuse(who, "CTN_KERNEL_LAYOUT without plan");
  if (d.drop && !d.plan) refuse(who, "drop without plan");
  if (d.absorb && !d.plan) refuse(who, "absorb without plan");
  check_array(d.dtypes, d.n_dtypes, who + ": dtypes");
  if (d.n_dtypes != 0) k->dtypes = 0;
  for (int32_t i = 0; i < d.n_dtypes; ++i) {
    const int32_t dtype = dtype_index(d.dtypes[i]);
    if (dtype < 0) refuse(who, "entry " + std::to_string(i) + " of dtypes is no known dtype");
    k->dtypes |= 1u << dtype;
  }
  d.dtypes = nullptr;
  d.n_dtypes = 0;
  return k;
}

}  // namespace catena
