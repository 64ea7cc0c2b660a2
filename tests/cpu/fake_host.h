// A runtime for kernels under test without the library: threads, scratch memory, errors and a place
// to register kernels, nothing else. Ranges run on real threads in whatever order these claim them.
#pragma once

#include <catena/sdk.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace catena_test {

class FakeHost {
 public:
  explicit FakeHost(int threads = 1) : threads_(threads) {
    table_.size = sizeof table_;
    table_.abi = CTN_ABI_VERSION;
    table_.api = &api_;
    table_.fail = fail;
    table_.parallel_for = parallel_for;
    table_.scratch = scratch;
    table_.num_threads = num_threads;
    table_.add_kernel = add_kernel;
    api_.error_message = error_message;
    catena::sdk::host = &table_;
  }
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;
  ~FakeHost() { catena::sdk::host = nullptr; }

  ctn_exec exec() { return reinterpret_cast<ctn_exec>(this); }
  void set_threads(int threads) { threads_ = threads; }
  // Frees what kernels took, as the runtime does when a kernel returns.
  void end_of_kernel() { taken_.clear(); }

  // Takes what a file of kernels offers.
  void take(ctn_status (*registers)(const ctn_host*, ctn_plugin)) {
    const ctn_status status = registers(&table_, reinterpret_cast<ctn_plugin>(this));
    if (status != CTN_OK) throw std::runtime_error(text());
  }
  // Runs a kernel that was taken; what it says of itself if it fails.
  std::string run(std::string_view op, const std::vector<ctn_tensor>& in,
                  const std::vector<ctn_tensor>& out, const std::vector<ctn_value>& attrs) {
    ctn_call_info call{};
    call.size = sizeof call;
    call.n_in = static_cast<int32_t>(in.size());
    call.n_out = static_cast<int32_t>(out.size());
    call.n_attrs = static_cast<int32_t>(attrs.size());
    call.in = in.data();
    call.out = out.data();
    call.attrs = attrs.data();
    ctn_run run{};
    run.size = sizeof run;
    run.call = &call;
    run.exec = exec();
    const ctn_status status = kernels_.at(std::string(op)).run(nullptr, &run);
    end_of_kernel();
    return status == CTN_OK ? "" : text();
  }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };

  static FakeHost& self(ctn_exec e) { return *reinterpret_cast<FakeHost*>(e); }

  static std::string& text() {
    thread_local std::string t;
    return t;
  }
  static const char* CTN_CALL error_message() { return text().c_str(); }
  static ctn_status CTN_CALL fail(ctn_status code, const char*, int32_t, ctn_str what) {
    text().assign(what.p, what.n);
    return code;
  }
  static int32_t CTN_CALL num_threads(ctn_exec e) { return self(e).threads_; }

  static ctn_status CTN_CALL add_kernel(ctn_plugin p, const ctn_kernel_def* def) {
    reinterpret_cast<FakeHost*>(p)->kernels_[std::string(def->op.p, def->op.n)] = *def;
    return CTN_OK;
  }

  // The last bytes end where the memory does, so that a sanitizer sees what goes beyond.
  static ctn_status CTN_CALL scratch(ctn_exec e, uint64_t bytes, void** out) {
    const uint64_t whole = std::max<uint64_t>(64, (bytes + 63) / 64 * 64);
    void* p = std::aligned_alloc(64, whole);
    if (p == nullptr) return CTN_ENOMEM;
    std::fill_n(static_cast<unsigned char*>(p), whole, 0xff);  // NaN: must be written before read
    self(e).taken_.emplace_back(p);
    *out = p;
    return CTN_OK;
  }

  static ctn_status CTN_CALL parallel_for(ctn_exec e, int64_t n, int64_t grain, ctn_range_fn fn,
                                          void* arg) {
    grain = std::max<int64_t>(grain, 1);
    const int64_t ranges = (n + grain - 1) / grain;
    std::atomic<int64_t> next{0};
    std::atomic<ctn_status> status{CTN_OK};
    const auto work = [&] {
      for (int64_t k; (k = next++) < ranges;) {
        const ctn_status s = fn(arg, k * grain, std::min(n, (k + 1) * grain));
        if (s != CTN_OK) status = s;
      }
    };
    std::vector<std::thread> helpers;
    for (int t = 1; t < self(e).threads_ && t < ranges; ++t) helpers.emplace_back(work);
    work();
    for (std::thread& t : helpers) t.join();
    return status;
  }

  int threads_;
  std::vector<std::unique_ptr<void, Free>> taken_;
  std::map<std::string, ctn_kernel_def> kernels_;
  ctn_host table_{};
  ctn_api api_{};
};

}  // namespace catena_test
