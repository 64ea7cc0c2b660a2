// Parallel loops over the pool or the host's executor, and how the error of a range gets out of the
// thread it happened in.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <string_view>

#include "core/error.h"
#include "core/pool.h"
#include "core/spin.h"

namespace catena {

namespace {

constinit thread_local bool in_range = false;

// One parallel_for, in its caller's frame.
struct Ranges {
  Ranges(int64_t n_, int64_t grain_, ctn_range_fn fn_, void* arg_) noexcept
      : fn(fn_), arg(arg_), n(n_), grain(grain_) {}

  ctn_range_fn fn;
  void* arg;
  int64_t n;
  int64_t grain;

  std::atomic<int64_t> lowest{INT64_MAX};  // failing range
  SpinLock lock;                           // guards what follows
  ctn_status status = CTN_OK;
  size_t length = 0;
  char text[2048];

  ctn_status call(int64_t k) const noexcept {
    const int64_t begin = k * grain;
    try {
      return fn(arg, begin, n - begin > grain ? begin + grain : n);
    } catch (...) {
      return store_current_exception();
    }
  }

  void note(int64_t k, ctn_status code) noexcept {
    // A body may fail without a text; then what this thread stored last is not its.
    const std::string_view why = last_error_code() == code ? last_error_text() : status_name(code);
    SpinGuard guard(lock);
    if (k > lowest.load(std::memory_order_relaxed)) return;
    lowest.store(k, std::memory_order_relaxed);
    status = code;
    length = std::min(why.size(), sizeof text);
    std::memcpy(text, why.data(), length);
  }
};

// Ranges below a failing one must still run, so that the lowest is always found; those above need
// not.
void run_range(void* arg, int64_t k) {
  Ranges& ranges = *static_cast<Ranges*>(arg);
  if (k > ranges.lowest.load(std::memory_order_relaxed)) return;
  const bool outer = in_range;
  in_range = true;
  const ctn_status code = ranges.call(k);
  in_range = outer;
  if (code != CTN_OK) [[unlikely]]
    ranges.note(k, code);
}

}  // namespace

Executor::Executor(int threads)
    : own_(std::make_unique<ThreadPool>(threads)), threads_(own_->threads()) {}

Executor::Executor(const ctn_executor& table)
    : table_(table), threads_(std::max(1, table.threads)) {}

Executor::~Executor() = default;

ctn_status Executor::run(int64_t n, void (*body)(void* arg, int64_t k), void* arg) noexcept {
  if (own_ != nullptr) {
    own_->run(n, body, arg);
    return CTN_OK;
  }
  try {
    table_.run(table_.user, n, body, arg);
    return CTN_OK;
  } catch (...) {
    const ctn_status code = store_current_exception();
    shielded(
        [&] { store_error(code, std::string("the host's executor threw: ") + last_error_text()); });
    return code;
  }
}

ctn_status parallel_for(Executor& executor, int64_t n, int64_t grain, ctn_range_fn fn,
                        void* arg) noexcept {
  if (n <= 0) return CTN_OK;
  grain = std::max<int64_t>(grain, 1);
  const int64_t count = (n - 1) / grain + 1;
  Ranges ranges(n, grain, fn, arg);
  if (count == 1 || executor.threads() == 1 || in_range) {
    ctn_status code = CTN_OK;
    for (int64_t k = 0; k < count && code == CTN_OK; ++k) code = ranges.call(k);
    return code;
  }
  const ctn_status ran = executor.run(count, run_range, &ranges);
  return ranges.status == CTN_OK ? ran : store_error(ranges.status, {ranges.text, ranges.length});
}

}  // namespace catena
