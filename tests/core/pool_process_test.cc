// The thread pool as a guest in its process: fork() at any moment, no threads to be had, threads
// gone with the pool; and how many CPUs it takes.
#include <dirent.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "core/pool.h"
#include "core/sys/cpus.h"
#include "core/sys/fork.h"
#include "main.h"

using catena::ThreadPool;

namespace {

void count(void* sum, int64_t k) { static_cast<std::atomic<int64_t>*>(sum)->fetch_add(k + 1); }

bool work(ThreadPool& pool, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    std::atomic<int64_t> sum{0};
    pool.run(8, count, &sum);
    if (sum.load() != 36) return false;
  }
  return true;
}

// Whether the helper takes part: two items that wait for each other.
[[maybe_unused]] bool meets(ThreadPool& pool) {
  std::atomic<int> here{0};
  pool.run(
      2,
      [](void* arg, int64_t) {
        auto& h = *static_cast<std::atomic<int>*>(arg);
        h.fetch_add(1);
        while (h.load() < 2) std::this_thread::yield();
      },
      &here);
  return here.load() == 2;
}

int threads_of_process() {
  int n = 0;
  DIR* tasks = opendir("/proc/self/task");
  while (const dirent* entry = readdir(tasks)) n += entry->d_name[0] != '.';
  closedir(tasks);
  return n;
}

// Exit code of `body` in a child, which dies of SIGALRM when it takes longer than 10 s; -1 then.
template <class Body>
int in_child(const Body& body) {
  std::fflush(nullptr);  // or the child may print it a second time
  const pid_t child = fork();
  if (child == 0) {
    alarm(10);
    _exit(body());
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("a child of fork has threads of its own, whatever the pool was doing") {
#ifdef CATENA_TSAN
  catena_test::skip("TSan lets no child of a threaded process start threads");
#else
  ThreadPool pool(3);
  ThreadPool other(2);
  CHECK(work(pool, 100));
  CHECK(in_child([&] { return work(pool, 1000) && meets(pool) ? 0 : 1; }) == 0);
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop.load()) work(pool, 100);
  });
  int failed = 0;
  for (int i = 0; i < 100; ++i) {
    const int code = in_child([&] {
      if (!work(pool, 20) || !meets(other) || !work(other, 20)) return 1;
      // Pools are also made, dropped and forked again.
      ThreadPool third(2);
      if (!meets(third)) return 2;
      return in_child([&] { return meets(third) && work(pool, 10) ? 0 : 3; });
    });
    if (code != 0) ++failed;
  }
  stop.store(true);
  busy.join();
  CHECK(failed == 0);
  CHECK(work(pool, 100));
#endif
}

TEST_CASE("a child may drop what it inherited") {
  auto* pool = new ThreadPool(3);
  CHECK(work(*pool, 10));
  const int code = in_child([&] {
    delete pool;
    return 0;
  });
  CHECK(code == 0);
  delete pool;
}

TEST_CASE("fork entries are called around fork, and not once removed") {
  struct Log {
    int before = 0, parent = 0, child = 0;
  } log;
  catena::ForkEntry entry{&log, [](void* p) noexcept { ++static_cast<Log*>(p)->before; },
                          [](void* p) noexcept { ++static_cast<Log*>(p)->parent; },
                          [](void* p) noexcept { ++static_cast<Log*>(p)->child; }};
  catena::ForkEntry silent{nullptr, nullptr, nullptr, nullptr};
  catena::add_fork_entry(entry);
  catena::add_fork_entry(silent);
  const auto seen = [&] { return log.before * 100 + log.parent * 10 + log.child; };
  CHECK(in_child(seen) == 101);
  CHECK(seen() == 110);
  catena::remove_fork_entry(entry);
  CHECK(in_child(seen) == 110);
  CHECK(seen() == 110);
  catena::remove_fork_entry(silent);
}

TEST_CASE("threads start at the first use and end with the pool") {
  const int before = threads_of_process();
  {
    ThreadPool pool(5);
    CHECK(threads_of_process() == before);
    std::atomic<int64_t> sum{0};
    pool.run(1, count, &sum);
    CHECK(threads_of_process() == before);
    pool.run(3, count, &sum);
    CHECK(threads_of_process() == before + 2);  // no more than there are items
    pool.run(100, count, &sum);
    CHECK(threads_of_process() == before + 4);
  }
  CHECK(threads_of_process() == before);
}

TEST_CASE("without threads to be had the caller does everything") {
#if defined(CATENA_ASAN) || defined(CATENA_TSAN)
  catena_test::skip("sanitizers need address space without limit");
#else
  const int code = in_child([] {
    ThreadPool pool(100);
    rlimit usual{};
    getrlimit(RLIMIT_AS, &usual);
    const rlimit none{1 << 20, usual.rlim_max};  // no stack beyond the few that the C library kept
    if (setrlimit(RLIMIT_AS, &none) != 0) return 1;
    std::atomic<int64_t> sum{0};
    for (int i = 0; i < 100; ++i) pool.run(100, count, &sum);
    if (sum.load() != 100 * 5050) return 2;
    const int threads = threads_of_process();
    if (threads >= 20) return 3;
    // It does not ask again: a refusal costs far more than a run.
    if (setrlimit(RLIMIT_AS, &usual) != 0) return 4;
    pool.run(100, count, &sum);
    return threads_of_process() == threads ? 0 : 5;
  });
  CHECK(code == 0);
#endif
}

TEST_CASE("allowed CPUs follow the affinity mask") {
  cpu_set_t mask;
  REQUIRE(sched_getaffinity(0, sizeof mask, &mask) == 0);
  const int all = catena::allowed_cpus();
  CHECK(all >= 1);
  CHECK(all <= CPU_COUNT(&mask));
  int alone = 0;
  std::thread one([&] {
    int first = 0;
    while (!CPU_ISSET(first, &mask)) ++first;
    cpu_set_t single;
    CPU_ZERO(&single);
    CPU_SET(first, &single);
    if (sched_setaffinity(0, sizeof single, &single) == 0) alone = catena::allowed_cpus();
  });
  one.join();
  CHECK(alone == 1);
}

namespace {

struct Tree {
  std::string root = (std::filesystem::temp_directory_path() / "catena-cpus-XXXXXX").string();

  Tree() { REQUIRE(mkdtemp(root.data()) != nullptr); }
  ~Tree() { std::filesystem::remove_all(root); }

  void write(const std::string& path, const char* text) const {
    const std::filesystem::path file = root + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  int quota() const { return catena::quota_cpus((root + "/self").c_str(), root.c_str()); }
};

}  // namespace

TEST_CASE("CPU quotas of control groups") {
  Tree tree;
  CHECK(tree.quota() == 0);
  SUBCASE("version 2: the tightest up to the root, rounded up") {
    tree.write("/self", "0::/a/b\n");
    CHECK(tree.quota() == 0);
    tree.write("/a/cpu.max", "max 100000\n");
    CHECK(tree.quota() == 0);
    tree.write("/a/b/cpu.max", "450000 100000\n");
    CHECK(tree.quota() == 5);
    tree.write("/a/cpu.max", "200000 100000\n");
    CHECK(tree.quota() == 2);
    tree.write("/cpu.max", "1000 100000\n");
    CHECK(tree.quota() == 1);
  }
  SUBCASE("version 2 in a container: the group is the root") {
    tree.write("/self", "0::/docker/0123\n");
    tree.write("/cpu.max", "300000 100000\n");
    CHECK(tree.quota() == 3);
  }
  SUBCASE("version 1, among other controllers") {
    tree.write("/self", "3:cpuset:/x\n2:cpuacct,cpu:/y\n1:memory:/z\n");
    tree.write("/cpu/x/cpu.cfs_quota_us", "100000\n");
    tree.write("/cpu/x/cpu.cfs_period_us", "100000\n");
    CHECK(tree.quota() == 0);
    tree.write("/cpu/y/cpu.cfs_quota_us", "-1\n");
    tree.write("/cpu/y/cpu.cfs_period_us", "100000\n");
    CHECK(tree.quota() == 0);
    tree.write("/cpu/y/cpu.cfs_quota_us", "150000\n");
    CHECK(tree.quota() == 2);
  }
  SUBCASE("nonsense is no quota") {
    tree.write("/self", "\n:\n::\nx\n0::/a\n");
    tree.write("/a/cpu.max", "100000");
    CHECK(tree.quota() == 0);
    tree.write("/a/cpu.max", "100000 0\n");
    CHECK(tree.quota() == 0);
    tree.write("/a/cpu.max", "");
    CHECK(tree.quota() == 0);
    tree.write("/a/cpu.max", "99999999999999 1\n");
    CHECK(tree.quota() == 1 << 20);
  }
}
