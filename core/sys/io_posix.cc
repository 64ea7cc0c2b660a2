// ctn_io on POSIX calls: interrupted calls are repeated, short reads and writes continued, handles
// closed on exec. Knows files only by path and descriptor.
#include "core/sys/io_posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>

namespace catena {
namespace {

// One read or write call moves at most this much; Linux itself stops at 2 GiB - 4 KiB.
constexpr uint64_t kMostPerCall = uint64_t{1} << 30;
constexpr std::string_view kTempMark = ".tmp-";
constexpr size_t kTempDigits = 16;

thread_local int last_errno = 0;
std::atomic<uint64_t> temp_counter{0};

ctn_status status_of(int error) noexcept {
  last_errno = error;
  if (error == ENOENT) return CTN_ENOTFOUND;
  if (error == ENOMEM) return CTN_ENOMEM;
  return CTN_EIO;
}

template <class Call>
auto again(Call call) noexcept {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

// A terminated copy on the stack: these functions run on error paths, where nothing may allocate.
class Path {
 public:
  explicit Path(std::string_view text) noexcept {
    if (text.size() >= sizeof text_) {
      status_ = status_of(ENAMETOOLONG);
    } else if (std::memchr(text.data(), 0, text.size()) != nullptr) {
      last_errno = EINVAL;
      status_ = CTN_EINVAL;
    } else {
      std::memcpy(text_, text.data(), text.size());
      text_[text.size()] = 0;
    }
  }
  explicit Path(ctn_str text) noexcept : Path(std::string_view(text.n ? text.p : "", text.n)) {}
  ctn_status status() const noexcept { return status_; }
  const char* get() const noexcept { return text_; }

 private:
  char text_[PATH_MAX];
  ctn_status status_ = CTN_OK;
};

// The descriptor travels in the pointer, one up, so that descriptor 0 is not NULL.
void* handle_of(int fd) noexcept { return reinterpret_cast<void*>(static_cast<intptr_t>(fd) + 1); }
int fd_of(void* handle) noexcept {
  return static_cast<int>(reinterpret_cast<intptr_t>(handle) - 1);
}

// O_NONBLOCK: opening a FIFO must fail below, not wait for a writer. No effect on regular files.
int open_existing(const char* path) noexcept {
  const int fd = again([&] { return ::open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); });
  if (fd < 0) return fd;
  struct stat st;
  const int rc = ::fstat(fd, &st);
  if (rc == 0 && S_ISREG(st.st_mode)) return fd;
  const int error = rc != 0 ? errno : S_ISDIR(st.st_mode) ? EISDIR : ESPIPE;
  ::close(fd);
  errno = error;
  return -1;
}

// The lock tells remove_stale_temps that the writer lives. Between our open and our lock that
// function may have taken the file for a dead one: then it has the lock or the name is gone, and we
// start over. A file system without locks leaves the file unlocked.
int open_new(const char* path) noexcept {
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY;
  for (int attempt = 0; attempt < 8; ++attempt) {
    const int fd = again([&] { return ::open(path, flags, 0666); });
    if (fd < 0) return fd;
    const bool lost = ::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    struct stat st;
    if (!lost && ::fstat(fd, &st) == 0 && st.st_nlink > 0) return fd;
    if (lost) ::unlink(path);
    ::close(fd);
  }
  errno = EBUSY;
  return -1;
}

ctn_status CTN_CALL io_open(void*, ctn_str path, int32_t mode, void** handle) noexcept {
  const Path p(path);
  if (p.status() != CTN_OK) return p.status();
  if (mode != 'r' && mode != 'x') {
    last_errno = EINVAL;
    return CTN_EINVAL;
  }
  const int fd = mode == 'r' ? open_existing(p.get()) : open_new(p.get());
  if (fd < 0) return status_of(errno);
  *handle = handle_of(fd);
  return CTN_OK;
}

ctn_status CTN_CALL io_length(void*, void* handle, uint64_t* bytes) noexcept {
  struct stat st;
  if (::fstat(fd_of(handle), &st) != 0) return status_of(errno);
  *bytes = static_cast<uint64_t>(st.st_size);
  return CTN_OK;
}

ctn_status CTN_CALL io_read(void*, void* handle, uint64_t offset, void* dst, uint64_t bytes,
                            uint64_t* got) noexcept {
  auto* out = static_cast<uint8_t*>(dst);
  uint64_t done = 0;
  *got = 0;
  while (done < bytes) {
    uint64_t at = 0;
    if (__builtin_add_overflow(offset, done, &at) || at > uint64_t{INT64_MAX}) break;
    const uint64_t n = bytes - done < kMostPerCall ? bytes - done : kMostPerCall;
    const ssize_t rc =
        again([&] { return ::pread(fd_of(handle), out + done, n, static_cast<off_t>(at)); });
    if (rc < 0) return status_of(errno);
    if (rc == 0) break;
    done += static_cast<uint64_t>(rc);
  }
  *got = done;
  return CTN_OK;
}

ctn_status CTN_CALL io_write(void*, void* handle, const void* src, uint64_t bytes) noexcept {
  const auto* in = static_cast<const uint8_t*>(src);
  while (bytes > 0) {
    const uint64_t n = bytes < kMostPerCall ? bytes : kMostPerCall;
    const ssize_t rc = again([&] { return ::write(fd_of(handle), in, n); });
    if (rc < 0) return status_of(errno);
    if (rc == 0) return status_of(EIO);
    in += rc;
    bytes -= static_cast<uint64_t>(rc);
  }
  return CTN_OK;
}

ctn_status CTN_CALL io_sync(void*, void* handle) noexcept {
  return again([&] { return ::fsync(fd_of(handle)); }) == 0 ? CTN_OK : status_of(errno);
}

// Linux closes the descriptor even when it reports EINTR: a second close could hit another file.
ctn_status CTN_CALL io_close(void*, void* handle) noexcept {
  return ::close(fd_of(handle)) == 0 || errno == EINTR ? CTN_OK : status_of(errno);
}

ctn_status CTN_CALL io_rename(void*, ctn_str from, ctn_str to) noexcept {
  const Path f(from);
  const Path t(to);
  if (f.status() != CTN_OK) return f.status();
  if (t.status() != CTN_OK) return t.status();
  return ::rename(f.get(), t.get()) == 0 ? CTN_OK : status_of(errno);
}

ctn_status CTN_CALL io_remove(void*, ctn_str path) noexcept {
  const Path p(path);
  if (p.status() != CTN_OK) return p.status();
  return ::unlink(p.get()) == 0 ? CTN_OK : status_of(errno);
}

std::string_view directory_of(std::string_view path) noexcept {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// File systems that cannot sync a directory say EINVAL; there the rename alone must do.
ctn_status CTN_CALL io_sync_dir(void*, ctn_str path) noexcept {
  const Path dir(directory_of(std::string_view(path.n ? path.p : "", path.n)));
  if (dir.status() != CTN_OK) return dir.status();
  const int fd = again([&] { return ::open(dir.get(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) return status_of(errno);
  const bool synced = again([&] { return ::fsync(fd); }) == 0 || errno == EINVAL;
  const int error = errno;
  ::close(fd);
  return synced ? CTN_OK : status_of(error);
}

constinit const ctn_io kPosixIo = {
    sizeof(ctn_io), 0,       nullptr,  io_open,   io_length, io_read,
    io_write,       io_sync, io_close, io_rename, io_remove, io_sync_dir,
};

// splitmix64: any change of the seed changes about half of the bits.
uint64_t mix(uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// The pid in "<base>.tmp-<pid>-<16 hex digits>", or 0 when `name` is no temp of `base`.
pid_t pid_of_temp(std::string_view name, std::string_view base) noexcept {
  if (!name.starts_with(base)) return 0;
  name.remove_prefix(base.size());
  if (!name.starts_with(kTempMark)) return 0;
  name.remove_prefix(kTempMark.size());
  pid_t pid = 0;
  while (!name.empty() && name[0] >= '0' && name[0] <= '9') {
    if (pid > 100'000'000) return 0;  // above any pid_max
    pid = pid * 10 + (name[0] - '0');
    name.remove_prefix(1);
  }
  if (name.size() != kTempDigits + 1 || name[0] != '-') return 0;
  const bool hex = name.find_first_not_of("0123456789abcdef", 1) == std::string_view::npos;
  return hex ? pid : 0;
}

void remove_if_dead(int dir, const char* name, pid_t pid) noexcept {
  const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  const int fd = again([&] { return ::openat(dir, name, flags); });
  if (fd < 0) return;
  const bool locked = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  const bool no_locks = !locked && errno != EWOULDBLOCK;
  if (locked || (no_locks && ::kill(pid, 0) != 0 && errno == ESRCH)) ::unlinkat(dir, name, 0);
  ::close(fd);
}

}  // namespace

const ctn_io& posix_io() noexcept { return kPosixIo; }

bool is_posix_io(const ctn_io& io) noexcept { return io.open == io_open && io.remove == io_remove; }

std::string posix_io_reason() {
  char text[128] = "";
  return ::strerror_r(last_errno, text, sizeof text);
}

std::string temp_path_for(std::string_view target) {
  struct timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const uint64_t time =
      static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
  const uint64_t count = temp_counter.fetch_add(1, std::memory_order_relaxed);
  const auto pid = static_cast<uint64_t>(::getpid());
  uint64_t token = mix(mix(time) ^ mix(count + 1) ^ (pid << 32));

  std::string path(target);
  path.append(kTempMark).append(std::to_string(pid)).push_back('-');
  for (size_t i = 0; i < kTempDigits; ++i, token >>= 4) path += "0123456789abcdef"[token & 15];
  return path;
}

void remove_stale_temps(std::string_view target) noexcept {
  const size_t slash = target.rfind('/');
  const std::string_view base = slash == std::string_view::npos ? target : target.substr(slash + 1);
  const Path dir_path(directory_of(target));
  if (base.empty() || dir_path.status() != CTN_OK) return;
  DIR* dir = ::opendir(dir_path.get());
  if (dir == nullptr) return;
  while (const dirent* entry = ::readdir(dir)) {
    const pid_t pid = pid_of_temp(entry->d_name, base);
    if (pid > 0) remove_if_dead(::dirfd(dir), entry->d_name, pid);
  }
  ::closedir(dir);
}

}  // namespace catena
