// What the demo prints while it trains: a table line per epoch and, in between, a progress bar on a
// terminal, or else a line for every quarter of an epoch.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

struct EpochRow {
  int epoch;
  double loss, accuracy, validation_loss, validation_accuracy, seconds;
};

class Progress {
 public:
  explicit Progress(int epochs) : epochs_(epochs), terminal_(isatty(STDOUT_FILENO)) {
    std::puts("epoch  loss       accuracy   validation/loss  validation/accuracy  seconds");
  }

  // done of total batches of this epoch.
  void bar(int epoch, int64_t done, int64_t total, double loss) {
    const auto now = std::chrono::steady_clock::now();
    if (!terminal_) return quarter(epoch, done, total, loss);
    if (now - last_ < std::chrono::milliseconds(100) && done < total) return;
    last_ = now;
    const int width = 40, full = static_cast<int>(width * done / total);
    std::printf("\repoch %d/%d [%s%s] %3d %%  loss %.4f", epoch, epochs_,
                std::string(static_cast<size_t>(full), '#').c_str(),
                std::string(static_cast<size_t>(width - full), '.').c_str(),
                static_cast<int>(100 * done / total), loss);
    std::fflush(stdout);
  }
  void row(const EpochRow& r) {
    if (terminal_) std::printf("\r%*s\r", 90, "");
    std::printf("%-5d  %-9.6f  %-9.6f  %-15.6f  %-19.6f  %.1f\n", r.epoch, r.loss, r.accuracy,
                r.validation_loss, r.validation_accuracy, r.seconds);
    std::fflush(stdout);
  }

 private:
  void quarter(int epoch, int64_t done, int64_t total, double loss) {
    if (done == total || 4 * done / total == 4 * (done - 1) / total) return;
    std::printf("  epoch %d/%d, %3d %%, loss %.4f\n", epoch, epochs_,
                static_cast<int>(100 * done / total), loss);
    std::fflush(stdout);
  }

  int epochs_;
  bool terminal_;
  std::chrono::steady_clock::time_point last_{};
};
