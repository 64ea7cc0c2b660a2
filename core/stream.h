// Files without a path: ctn_io tables over memory and over a host's own functions to read and write
// with. Knows no format and no system call.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/catena.h>

#include <cstdint>
#include <string>

namespace catena {

// Where a file is: a table and the path in it. What the table stands on is borrowed.
struct Place {
  ctn_io io;
  std::string path;
};

// One existing file of `bytes` bytes. Borrows the memory, or `user`; outlives what reads it.
class Source {
 public:
  Source(const void* data, uint64_t bytes) : data_(data), bytes_(bytes) {}
  Source(ctn_read_fn read, void* user, uint64_t bytes) : read_(read), user_(user), bytes_(bytes) {}
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  Place place();

 private:
  static ctn_status read_at(void* self, void* handle, uint64_t offset, void* dst, uint64_t bytes,
                            uint64_t* got);

  const void* data_ = nullptr;
  ctn_read_fn read_ = nullptr;
  void* user_ = nullptr;
  uint64_t bytes_;
};

// One new file, handed on piece by piece as it is written. Renaming and removing are nothing: who
// receives the pieces keeps them when the save has succeeded.
class Sink {
 public:
  Sink(ctn_write_fn write, void* user) : write_(write), user_(user) {}
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  Place place();

 private:
  static ctn_status write_on(void* self, void* handle, const void* src, uint64_t bytes);

  ctn_write_fn write_;
  void* user_;
};

}  // namespace catena
