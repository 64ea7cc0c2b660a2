// Data in the layouts of a backend (blocked formats of convolutions). A layout belongs to the
// storage: one array covers it then, and whoever asks for plain strides gets them. Copies in
// several layouts may be there at once, each with the version of the data it holds. Knows no
// kernel.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <algorithm>
#include <vector>

#include "core/array.h"

namespace catena {

class Exec;

// The data of `a` in `layout`, up to date. Kept with the storage for the next asker, or in memory
// of `exec` where somebody else may write the array unseen (borrowed memory, exports) and for
// views. `a` is in C order.
std::byte* packed_data(Array& a, uint64_t layout, Exec& exec);
// The same for somebody who will write all of it: the content is undefined.
std::byte* packed_room(Array& a, uint64_t layout);
// A kernel has written what packed_data() gave: the plain data and the other copies are old now.
void written_packed(Array& a, uint64_t layout);

// How a layout lies: `block` elements of `axis` innermost, around them C order; block 0 where it
// cannot be said like that.
struct Blocks {
  int32_t axis = 0;
  int64_t block = 0;
};
Blocks blocks_of(const Device& device, uint64_t layout);

uint64_t find_only_layout(const Array& a);
uint64_t find_shared_layout(std::span<Array* const> args);

// The layout in which the data of `a` is; 0 where the plain data is up to date, and for views, even
// those of a whole storage in another shape.
inline uint64_t only_layout(const Array& a) {
  return a.storage->stale.load(std::memory_order_acquire) ? find_only_layout(a) : 0;
}
// The layout in which all of these arrays can be run through element by element, because one of
// them is only there in it, all have one shape and dtype, and it pads nothing; 0 if there is none.
inline uint64_t shared_layout(std::span<Array* const> args) {
  for (const Array* a : args)
    if (a->storage->stale.load(std::memory_order_acquire)) return find_shared_layout(args);
  return 0;
}

// It covers its storage in C order.
inline bool is_whole(const Array& a) {
  return a.contiguous && a.offset == 0 && static_cast<uint64_t>(a.bytes()) == a.storage->bytes;
}
// Nobody but the runtime can write it.
inline bool is_private(const Storage& s) {
  return !(s.flags & kStorageBorrowed) && s.exports.load(std::memory_order_acquire) == 0;
}
// The caller's reference is the only one to the array and its memory.
inline bool is_unshared(const Array& a) {
  const auto one = [](const std::atomic<int32_t>& n) {
    return n.load(std::memory_order_acquire) == 1;
  };
  return is_whole(a) && is_private(*a.storage) && one(a.refs) && one(a.storage->refs);
}

// The elements of `from` to `to`, both in one layout; `bytes` of them where that is plain.
void copy_tensor(Exec& exec, const ctn_tensor& from, const ctn_tensor& to, int64_t bytes);

// For captures, which know data by its address. The forms in which a storage has its newest data,
// to be put back where nothing has happened to them. Both with Context::layout_mutex locked.
struct Forms {
  uint32_t version = 0;
  bool stale = false;
  std::vector<Packed*> fresh;
  // NULL: plain.
  bool has(const Packed* form) const {
    return form ? std::ranges::find(fresh, form) != fresh.end() : !stale;
  }
};
Forms forms_of(const Storage& s);
void put_back(Storage& s, const Forms& forms) noexcept;
// The one to read it in; NULL: plain.
Packed* newest_form(Storage& s);
// Brings the data in that form up to date.
void refresh(Storage& s, Packed* form);
// It has been written in that form, by work that was captured: all others are old now.
void written_in(Storage& s, Packed* form);

// For array.cc: room for `a` in `layout`; the copies of a storage that goes.
void add_packed(Array& a, uint64_t layout);
void drop_packed(Storage& s) noexcept;

}  // namespace catena
