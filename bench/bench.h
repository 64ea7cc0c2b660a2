// catena-bench: what its parts share. Every mode prints one JSON object a line on standard output.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace bench {

struct Options {
  std::string workload, mode = "train", backend = "cpu", dtype = "float32";
  int64_t batch = 0;  // 0: the workload's own, like iters and warmup
  int64_t iters = 0;
  int64_t warmup = -1;
  int threads = 1;
  int rounds = 1;
  bool fresh = false;     // inputs are copied from host memory in every step
  bool tf32 = false;      // float32 may be multiplied as TF32
  bool captured = false;  // a step is captured once, its replays are timed
};

class Clock {
 public:
  double ns() const {
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start_)
        .count();
  }
  double ms() const { return ns() / 1e6; }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Rounded to so many decimals, for printing.
double rounded(double value, int decimals);

void run_workload(const Options& options);
void run_ops(const Options& options);
void run_convs(const Options& options);
void run_limits(const Options& options);

// Names of the workloads, for messages.
std::string workload_names();
bool is_workload(const std::string& name);

}  // namespace bench
