// See queue.h. One lock for all: this is about order, not about speed.
#include "queue.h"

#include <deque>
#include <mutex>
#include <utility>

namespace fake {

const ctn_host* g_host = nullptr;

Control& control() {
  static Control* const c = new Control;
  return *c;
}

ctn_status fail(ctn_status code, const std::string& text) {
  return g_host->fail(code, nullptr, 0, {text.data(), text.size()});
}

namespace {

constexpr size_t kMostWaiting = 512;

struct Work {
  std::string name;
  std::function<ctn_status()> body;  // empty: waits for work `until` of device `other`
  int32_t other = -1;
  uint64_t until = 0;
};

struct Queue {
  std::deque<Work> waiting;
  uint64_t first = 0;  // number of waiting.front()
  ctn_status status = CTN_OK;
  std::string text;

  uint64_t end() const { return first + waiting.size(); }
};

struct Queues {
  std::recursive_mutex mutex;
  Queue of[kMostDevices];
};

Queues& queues() {
  static Queues* const q = new Queues;
  return *q;
}

// Whether this piece of work is the one that a test wants to fail.
bool fails_on_request(const Work& w) {
  if (w.name.empty()) return false;
  std::atomic<int64_t>& budget = control().work_budget;
  int64_t left = budget.load();
  while (left >= 0)
    if (budget.compare_exchange_weak(left, left - 1)) return left == 0;
  return false;
}

void keep(Queue& q, int32_t device, const std::string& name, ctn_status status,
          const std::string& text) {
  if (q.status != CTN_OK) return;
  q.status = status;
  q.text = "fake:" + std::to_string(device) + ": " + (name.empty() ? "" : "[" + name + "] ") + text;
}

void run(int32_t device, const Work& w) {
  Queue& q = queues().of[device];
  if (fails_on_request(w)) return keep(q, device, w.name, CTN_EDEVICE, "failed on request");
  const ctn_status status = w.body();
  if (status != CTN_OK) keep(q, device, w.name, status, g_host->api->error_message());
}

// Everything before number `until`.
void finish(int32_t device, uint64_t until) {
  Queue& q = queues().of[device];
  while (!q.waiting.empty() && q.first < until) {
    const Work w = std::move(q.waiting.front());
    q.waiting.pop_front();
    ++q.first;
    --control().pending;
    if (w.body)
      run(device, w);
    else
      finish(w.other, w.until);
  }
}

void push(int32_t device, Work work) {
  Queue& q = queues().of[device];
  q.waiting.push_back(std::move(work));
  ++control().pending;
  if (q.waiting.size() > kMostWaiting) finish(device, q.first + kMostWaiting / 2);
}

}  // namespace

void hand_over(int32_t device, std::string name, std::function<ctn_status()> body) {
  const std::lock_guard lock(queues().mutex);
  push(device, {std::move(name), std::move(body), -1, 0});
}

void hand_over_between(int32_t to, int32_t from, std::function<ctn_status()> body) {
  const std::lock_guard lock(queues().mutex);
  Queue* const q = queues().of;
  push(to, {"", nullptr, from, q[from].end()});
  push(to, {"", std::move(body), -1, 0});
  push(from, {"", nullptr, to, q[to].end()});
}

void finish(int32_t device) {
  const std::lock_guard lock(queues().mutex);
  finish(device, queues().of[device].end());
}

ctn_status finish_and_tell(int32_t device) {
  const std::lock_guard lock(queues().mutex);
  Queue& q = queues().of[device];
  finish(device, q.end());
  const ctn_status status = std::exchange(q.status, CTN_OK);
  return status == CTN_OK ? status : fail(status, std::exchange(q.text, {}));
}

}  // namespace fake
