// A ctn_io over memory for tests: counts calls, fails the k-th, and can lose power, which keeps
// what was synced and damages the rest. Knows no file format.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "catena/types.h"

namespace catena_test {

class MemoryIo {
 public:
  MemoryIo() {
    io_.size = sizeof io_;
    io_.user = this;
    io_.open = open;
    io_.length = length;
    io_.read = read;
    io_.write = write;
    io_.sync = sync;
    io_.close = close;
    io_.rename = rename;
    io_.remove = remove;
    io_.sync_dir = sync_dir;
  }
  MemoryIo(const MemoryIo&) = delete;
  MemoryIo& operator=(const MemoryIo&) = delete;

  const ctn_io& io() const { return io_; }

  void put(const std::string& path, std::string bytes) {
    names_[path] = std::make_shared<File>(File{bytes, bytes});
    durable_names_ = names_;
  }
  bool has(const std::string& path) const { return names_.contains(path); }
  const std::string& get(const std::string& path) const { return names_.at(path)->bytes; }
  size_t files() const { return names_.size(); }
  int open_handles() const { return handles_; }

  // The k-th call from now (1-based) fails, and with `on` all later ones; 0: none.
  void fail_at(uint64_t k, bool on = false) {
    calls_ = 0;
    fail_at_ = k;
    fail_on_ = on;
  }
  uint64_t calls() const { return calls_; }

  // What a disk may hold after the power went: names as last synced or with the first few later
  // changes, contents as last synced or damaged in blocks of 512 bytes.
  void lose_power(std::mt19937_64& random) {
    const uint64_t kept = random() % (changes_.size() + 1);
    names_ = durable_names_;
    for (uint64_t i = 0; i < kept; ++i) apply(changes_[i], &names_);
    changes_.clear();
    durable_names_ = names_;
    for (auto& [name, file] : names_) {
      if (file->bytes == file->durable) continue;
      std::string& disk = file->durable;
      disk.resize(random() % (file->bytes.size() + 1));
      for (uint64_t at = 0; at < disk.size(); at += 512) {
        const uint64_t n = std::min<uint64_t>(512, disk.size() - at);
        const uint64_t what = random() % 3;
        for (uint64_t i = at; i < at + n; ++i) {
          disk[i] = what == 0 ? file->bytes[i] : what == 1 ? '\0' : static_cast<char>(random());
        }
      }
      file->bytes = disk;
    }
  }

 private:
  struct File {
    std::string bytes;
    std::string durable;
  };
  using Names = std::map<std::string, std::shared_ptr<File>>;
  struct Change {  // `file` NULL: the name went away
    std::string from, to;
    std::shared_ptr<File> file;
  };
  struct Handle {
    std::shared_ptr<File> file;
  };

  static std::string text(ctn_str s) { return {s.p, s.n}; }
  static MemoryIo* self(void* user) { return static_cast<MemoryIo*>(user); }
  static File& file(void* handle) { return *static_cast<Handle*>(handle)->file; }

  bool fails() {
    ++calls_;
    return fail_at_ != 0 && (calls_ == fail_at_ || (fail_on_ && calls_ > fail_at_));
  }
  static void apply(const Change& c, Names* names) {
    if (!c.from.empty()) names->erase(c.from);
    if (c.file != nullptr) (*names)[c.to] = c.file;
  }
  void change(Change c) {
    apply(c, &names_);
    changes_.push_back(std::move(c));
  }

  static ctn_status CTN_CALL open(void* user, ctn_str path, int32_t mode, void** handle) {
    MemoryIo* io = self(user);
    if (io->fails()) return CTN_EIO;
    const std::string name = text(path);
    const auto found = io->names_.find(name);
    if (mode == 'r' && found == io->names_.end()) return CTN_ENOTFOUND;
    if (mode == 'x' && found != io->names_.end()) return CTN_EIO;
    if (mode == 'x') io->change({"", name, std::make_shared<File>()});
    *handle = new Handle{io->names_[name]};
    ++io->handles_;
    return CTN_OK;
  }
  static ctn_status CTN_CALL length(void* user, void* handle, uint64_t* bytes) {
    if (self(user)->fails()) return CTN_EIO;
    *bytes = file(handle).bytes.size();
    return CTN_OK;
  }
  static ctn_status CTN_CALL read(void* user, void* handle, uint64_t offset, void* dst,
                                  uint64_t bytes, uint64_t* got) {
    if (self(user)->fails()) return CTN_EIO;
    const std::string& all = file(handle).bytes;
    *got = offset < all.size() ? std::min<uint64_t>(bytes, all.size() - offset) : 0;
    if (*got != 0) std::memcpy(dst, all.data() + offset, *got);
    return CTN_OK;
  }
  static ctn_status CTN_CALL write(void* user, void* handle, const void* src, uint64_t bytes) {
    if (self(user)->fails()) {  // a full disk takes a part
      file(handle).bytes.append(static_cast<const char*>(src), bytes / 2);
      return CTN_EIO;
    }
    file(handle).bytes.append(static_cast<const char*>(src), bytes);
    return CTN_OK;
  }
  static ctn_status CTN_CALL sync(void* user, void* handle) {
    if (self(user)->fails()) return CTN_EIO;
    file(handle).durable = file(handle).bytes;
    return CTN_OK;
  }
  static ctn_status CTN_CALL close(void* user, void* handle) {
    delete static_cast<Handle*>(handle);
    --self(user)->handles_;
    return self(user)->fails() ? CTN_EIO : CTN_OK;
  }
  static ctn_status CTN_CALL rename(void* user, ctn_str from, ctn_str to) {
    MemoryIo* io = self(user);
    if (io->fails()) return CTN_EIO;
    const auto found = io->names_.find(text(from));
    if (found == io->names_.end()) return CTN_ENOTFOUND;
    io->change({text(from), text(to), found->second});
    return CTN_OK;
  }
  static ctn_status CTN_CALL remove(void* user, ctn_str path) {
    MemoryIo* io = self(user);
    if (io->fails()) return CTN_EIO;
    if (!io->has(text(path))) return CTN_ENOTFOUND;
    io->change({text(path), "", nullptr});
    return CTN_OK;
  }
  static ctn_status CTN_CALL sync_dir(void* user, ctn_str) {
    MemoryIo* io = self(user);
    if (io->fails()) return CTN_EIO;
    io->durable_names_ = io->names_;
    io->changes_.clear();
    return CTN_OK;
  }

  ctn_io io_{};
  Names names_;
  Names durable_names_;
  std::vector<Change> changes_;
  uint64_t calls_ = 0;
  uint64_t fail_at_ = 0;
  bool fail_on_ = false;
  int handles_ = 0;
};

}  // namespace catena_test
