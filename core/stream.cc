// Files over memory and over a host's functions: see stream.h.
#include "core/stream.h"

#include <algorithm>
#include <cstring>

namespace catena {
namespace {

ctn_status open_self(void* self, ctn_str, int32_t, void** handle) {
  *handle = self;
  return CTN_OK;
}
ctn_status close_none(void*, void*) { return CTN_OK; }
ctn_status rename_none(void*, ctn_str, ctn_str) { return CTN_OK; }
ctn_status remove_none(void*, ctn_str) { return CTN_OK; }

ctn_io table(void* self) {
  ctn_io io{};
  io.size = sizeof io;
  io.user = self;
  io.open = open_self;
  io.close = close_none;
  return io;
}

}  // namespace

ctn_status Source::read_at(void* self, void*, uint64_t offset, void* dst, uint64_t bytes,
                           uint64_t* got) {
  const Source& s = *static_cast<const Source*>(self);
  *got = offset < s.bytes_ ? std::min(bytes, s.bytes_ - offset) : 0;
  if (*got == 0) return CTN_OK;
  if (s.read_) return s.read_(s.user_, offset, dst, *got);
  std::memcpy(dst, static_cast<const char*>(s.data_) + offset, *got);
  return CTN_OK;
}

Place Source::place() {
  ctn_io io = table(this);
  io.length = [](void* self, void*, uint64_t* bytes) -> ctn_status {
    *bytes = static_cast<const Source*>(self)->bytes_;
    return CTN_OK;
  };
  io.read = read_at;
  return {io, read_ ? "<stream>" : "<memory>"};
}

ctn_status Sink::write_on(void* self, void*, const void* src, uint64_t bytes) {
  const Sink& s = *static_cast<const Sink*>(self);
  return s.write_(s.user_, src, bytes);
}

Place Sink::place() {
  ctn_io io = table(this);
  io.write = write_on;
  io.rename = rename_none;
  io.remove = remove_none;
  return {io, "<stream>"};
}

}  // namespace catena
