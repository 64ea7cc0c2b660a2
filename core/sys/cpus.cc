// Counts CPUs: affinity mask and control-group quota. The files read are the kernel's.
#include "core/sys/cpus.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace catena {

namespace {

// Reads a small file whole; false if there is none or it is cut.
template <size_t N>
bool read_small(const char* path, char (&text)[N]) noexcept {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  size_t size = 0;
  for (;;) {
    const ssize_t got = read(fd, text + size, N - 1 - size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size += static_cast<size_t>(got);
    if (size == N - 1) break;
  }
  close(fd);
  text[size] = '\0';
  return size > 0 && size < N - 1;
}

int affinity_cpus() noexcept {
  // A kernel built for more CPUs than the set holds answers EINVAL.
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (set == nullptr) return 1;
    const size_t bytes = CPU_ALLOC_SIZE(cpus);
    const int failed = sched_getaffinity(0, bytes, set) == 0 ? 0 : errno;
    const int count = failed == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (failed == 0) return count;
    if (failed != EINVAL) return 1;
  }
  return 1;
}

// CPUs of "quota period", both in microseconds, rounded up; 0: no quota.
int whole_cpus(const char* quota, const char* period) noexcept {
  const long long q = std::strtoll(quota, nullptr, 10);
  const long long p = std::strtoll(period, nullptr, 10);
  if (q <= 0 || p <= 0) return 0;
  return static_cast<int>(std::min<long long>((q + p - 1) / p, 1 << 20));
}

int quota_v2(const char* mount, const char* group) noexcept {
  char path[4200];
  char text[128];
  std::snprintf(path, sizeof path, "%s%s/cpu.max", mount, group);
  if (!read_small(path, text)) return 0;
  const char* period = std::strchr(text, ' ');
  return period == nullptr ? 0 : whole_cpus(text, period);  // "max 100000": no number, no quota
}

int quota_v1(const char* mount, const char* group) noexcept {
  char path[4200];
  char quota[64];
  char period[64];
  std::snprintf(path, sizeof path, "%s/cpu%s/cpu.cfs_quota_us", mount, group);
  if (!read_small(path, quota)) return 0;
  std::snprintf(path, sizeof path, "%s/cpu%s/cpu.cfs_period_us", mount, group);
  return read_small(path, period) ? whole_cpus(quota, period) : 0;
}

// The group's path in one line of /proc/self/cgroup ("ID:CONTROLLERS:PATH"), if it is the one that
// governs CPU time: the unified hierarchy (no controllers) or the v1 hierarchy with "cpu".
char* cpu_group(char* line, bool* unified) noexcept {
  char* controllers = std::strchr(line, ':');
  if (controllers == nullptr) return nullptr;
  char* path = std::strchr(++controllers, ':');
  if (path == nullptr) return nullptr;
  *path++ = '\0';
  *unified = *controllers == '\0';
  if (*unified) return path;
  for (char* name = controllers; name != nullptr;) {
    char* comma = std::strchr(name, ',');
    if (comma != nullptr) *comma++ = '\0';
    if (std::strcmp(name, "cpu") == 0) return path;
    name = comma;
  }
  return nullptr;
}

// The tightest quota from the group up to the root. In a container the group's own directory is
// mounted as the root, so that the path leads nowhere until it is empty. `path` is cut on the way.
int group_quota(const char* mount, char* path, bool unified) noexcept {
  int least = 0;
  for (;;) {
    const int here = unified ? quota_v2(mount, path) : quota_v1(mount, path);
    if (here > 0 && (least == 0 || here < least)) least = here;
    char* slash = std::strrchr(path, '/');
    if (slash == nullptr) return least;
    *slash = '\0';
  }
}

}  // namespace

int quota_cpus(const char* membership, const char* mount) noexcept {
  char text[8192];
  int least = 0;
  if (!read_small(membership, text)) return 0;
  char* rest = nullptr;
  for (char* line = strtok_r(text, "\n", &rest); line != nullptr;
       line = strtok_r(nullptr, "\n", &rest)) {
    bool unified = false;
    char* group = cpu_group(line, &unified);
    const int here = group == nullptr ? 0 : group_quota(mount, group, unified);
    if (here > 0 && (least == 0 || here < least)) least = here;
  }
  return least;
}

int allowed_cpus() noexcept {
  const int mask = affinity_cpus();
  const int quota = quota_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
  return std::max(1, quota > 0 ? std::min(mask, quota) : mask);
}

}  // namespace catena
