// See cache.h. A file is named after a 128-bit hash of its key and holds magic, the key's length
// and hash, the code's length and hash, and the code: what is cut short or foreign is not used.
#include <cuda/cache.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace catena::cuda {
namespace {

constexpr char kMagic[8] = {'c', 't', 'n', 'c', 'u', 'd', 'a', 1};
constexpr uint64_t kMost = uint64_t{64} << 20;

uint64_t fnv(const std::string& text, uint64_t h) {
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}
uint64_t first_hash(const std::string& text) { return fnv(text, 0xcbf29ce484222325u); }
uint64_t second_hash(const std::string& text) { return fnv(text, 0x84222325cbf29ce4u); }

struct Head {
  char magic[8];
  uint64_t key_bytes, key_hash, code_bytes, code_hash;
};

Head head_of(const std::string& key, const std::string& code) {
  Head h{};
  std::memcpy(h.magic, kMagic, sizeof kMagic);
  h.key_bytes = key.size();
  h.key_hash = second_hash(key);
  h.code_bytes = code.size();
  h.code_hash = first_hash(code);
  return h;
}

std::string file_of(const std::string& key) {
  const std::string dir = cache_directory();
  if (dir.empty()) return "";
  char name[64];
  std::snprintf(name, sizeof name, "/cuda-%016llx%016llx",
                static_cast<unsigned long long>(first_hash(key)),
                static_cast<unsigned long long>(second_hash(key)));
  return dir + name;
}

// Makes the directory and those above it, for their owner alone.
bool make_directory(const std::string& dir) {
  for (size_t at = 1; at != std::string::npos;) {
    at = dir.find('/', at + 1);
    if (mkdir(dir.substr(0, at).c_str(), 0700) != 0 && errno != EEXIST) return false;
  }
  return true;
}

bool read_all(int file, void* to, uint64_t bytes) {
  for (char* p = static_cast<char*>(to); bytes > 0;) {
    const ssize_t n = read(file, p, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    bytes -= static_cast<uint64_t>(n);
  }
  return true;
}

bool write_all(int file, const void* from, uint64_t bytes) {
  for (const char* p = static_cast<const char*>(from); bytes > 0;) {
    const ssize_t n = write(file, p, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    bytes -= static_cast<uint64_t>(n);
  }
  return true;
}

// Code of another user would be run: such a file is not read.
bool is_ours(int file) {
  struct stat s {};
  return fstat(file, &s) == 0 && S_ISREG(s.st_mode) && s.st_uid == geteuid() &&
         (s.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

const char* absolute_env(const char* name) {
  const char* value = secure_getenv(name);
  return value && value[0] == '/' ? value : nullptr;
}

}  // namespace

std::string cache_directory() {
  if (const char* own = secure_getenv("CATENA_CACHE_DIR")) return own[0] == '/' ? own : "";
  if (const char* xdg = absolute_env("XDG_CACHE_HOME")) return std::string(xdg) + "/catena";
  if (const char* home = absolute_env("HOME")) return std::string(home) + "/.cache/catena";
  return "";
}

std::string cache_get(const std::string& key) {
  const std::string name = file_of(key);
  const int file = name.empty() ? -1 : open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) return "";
  Head head{};
  std::string code;
  bool whole = is_ours(file) && read_all(file, &head, sizeof head) && head.code_bytes <= kMost;
  if (whole) {
    code.resize(head.code_bytes);
    whole = read_all(file, code.data(), head.code_bytes);
  }
  close(file);
  const Head wanted = head_of(key, code);
  return whole && std::memcmp(&head, &wanted, sizeof head) == 0 ? code : "";
}

void cache_put(const std::string& key, const std::string& code) {
  const std::string name = file_of(key);
  if (name.empty() || code.size() > kMost) return;
  if (!make_directory(name.substr(0, name.rfind('/')))) return;
  static constinit std::atomic<uint32_t> count{0};
  const std::string temporary =
      name + "." + std::to_string(getpid()) + "." + std::to_string(count.fetch_add(1));
  const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return;
  const Head head = head_of(key, code);
  bool whole = write_all(file, &head, sizeof head) && write_all(file, code.data(), code.size());
  whole = close(file) == 0 && whole;
  if (!whole || rename(temporary.c_str(), name.c_str()) != 0) unlink(temporary.c_str());
}

}  // namespace catena::cuda
