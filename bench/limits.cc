// What the machine can do at most: floating-point operations and bytes per second, of memory and of
// the caches, so that a share of the peak can be given. Knows nothing of the library.
#include "bench.h"
#include "loops.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>
#include <vector>

namespace bench {
namespace {

constexpr int kRuns = 5;
constexpr size_t kPage = size_t{2} << 20;

const Loops& widest() {
  if (__builtin_cpu_supports("avx512f")) return avx512::kLoops;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::kLoops;
  return sse2::kLoops;
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0)
    throw std::runtime_error("the CPUs this process may use cannot be found out");
  for (int c = 0; c < CPU_SETSIZE; ++c)
    if (CPU_ISSET(c, &set)) cpus.push_back(c);
  return cpus;
}

bool pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
}

// Runs work(k) once on each of the CPUs at the same time; nanoseconds until the last has ended.
double together(const std::vector<int>& cpus, const std::function<void(size_t)>& work) {
  std::atomic<size_t> waiting{0};
  std::atomic<bool> go{false}, pinned{true};
  std::vector<std::thread> threads;
  for (size_t k = 0; k < cpus.size(); ++k)
    threads.emplace_back([&, k] {
      if (!pin(cpus[k])) pinned.store(false);
      waiting.fetch_add(1);
      while (!go.load()) std::this_thread::yield();
      work(k);
    });
  while (waiting.load() < cpus.size()) std::this_thread::yield();
  const Clock clock;
  go.store(true);
  for (std::thread& t : threads) t.join();
  const double ns = clock.ns();
  if (!pinned.load()) throw std::runtime_error("a thread could not be bound to its CPU");
  return ns;
}

double least_ns(const std::vector<int>& cpus, const std::function<void(size_t)>& work) {
  double ns = together(cpus, work);
  for (int i = 1; i < kRuns; ++i) ns = std::min(ns, together(cpus, work));
  return ns;
}

struct Free {
  void operator()(float* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<float[], Free>;

Buffer buffer(size_t bytes) {
  const size_t whole = (bytes + kPage - 1) / kPage * kPage;
  Buffer b(static_cast<float*>(std::aligned_alloc(kPage, whole)));
  if (!b) throw std::bad_alloc();
  std::memset(b.get(), 0, whole);
  return b;
}

void print_peak(const Loops& loops, const std::vector<int>& cpus) {
  constexpr int64_t kRounds = 8000000;
  std::vector<double> operations(cpus.size());
  const double ns = least_ns(cpus, [&](size_t k) { operations[k] = loops.multiply_add(kRounds); });
  double sum = 0;
  for (double n : operations) sum += n;
  nlohmann::ordered_json line;
  line["limit"] = "multiply_add";
  line["isa"] = loops.isa;
  line["threads"] = cpus.size();
  line["gflops"] = rounded(sum / ns, 1);
  std::cout << line.dump() << std::endl;
}

// Bandwidth over a working set of so many bytes for each thread, counting what a loop asks for.
void print_bandwidth(const Loops& loops, const std::vector<int>& cpus, size_t bytes) {
  constexpr size_t kTraffic = size_t{1} << 30;  // of each measurement and thread
  const size_t repeat = std::max<size_t>(1, kTraffic / bytes);
  std::vector<Buffer> memory;
  for (size_t k = 0; k < cpus.size(); ++k) memory.push_back(buffer(bytes));
  // Elements of each of so many arrays in the working set.
  const auto part = [&](size_t arrays) { return bytes / sizeof(float) / arrays / 64 * 64; };
  const auto rate = [&](size_t arrays, auto loop) {
    const size_t n = part(arrays);
    const double ns = least_ns(cpus, [&](size_t k) {
      for (size_t i = 0; i < repeat; ++i) loop(memory[k].get(), n);
    });
    return rounded(static_cast<double>(arrays * n * sizeof(float) * repeat * cpus.size()) / ns, 1);
  };
  nlohmann::ordered_json line;
  line["limit"] = "bandwidth";
  line["isa"] = loops.isa;
  line["threads"] = cpus.size();
  line["kib_per_thread"] = bytes / 1024;
  line["read_gbs"] = rate(1, [&](float* p, size_t n) { loops.read(p, n); });
  line["copy_gbs"] = rate(2, [&](float* p, size_t n) { loops.copy(p, p + n, n); });
  line["triad_gbs"] = rate(3, [&](float* p, size_t n) { loops.triad(p, p + n, p + 2 * n, n); });
  line["copy_past_cache_gbs"] =
      rate(2, [&](float* p, size_t n) { loops.copy_past_cache(p, p + n, n); });
  std::cout << line.dump() << std::endl;
}

}  // namespace

void run_limits(const Options& options) {
  const Loops& loops = widest();
  const std::vector<int> allowed = allowed_cpus();
  const size_t most = options.threads == 0 ? allowed.size() : static_cast<size_t>(options.threads);
  if (most > allowed.size())
    throw std::runtime_error("--threads " + std::to_string(most) + ": this process may use " +
                             std::to_string(allowed.size()) + " CPUs");
  for (size_t n = 1; n <= most; ++n) {
    const std::vector<int> cpus(allowed.begin(), allowed.begin() + static_cast<std::ptrdiff_t>(n));
    print_peak(loops, cpus);
    for (size_t kib : {size_t{24}, size_t{512}, size_t{8192}, size_t{524288}})
      print_bandwidth(loops, cpus, kib * 1024);
  }
}

}  // namespace bench
