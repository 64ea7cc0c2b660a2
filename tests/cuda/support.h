// What tests of the cuda backend share: its table without the runtime, on the false driver, and
// calls of forms on its device.
#pragma once

#include <cuda/backend.h>

#include <catena/sdk.hpp>

#include <stdexcept>

#include "cpu/expr_support.h"
#include "main.h"

namespace cuda_test {

using cpu_test::Argument;
using cpu_test::Call;

// A device's memory, for as long as a call lasts.
class Cuda {
 public:
  // The only one of the process.
  static Cuda& get() {
    static Cuda* const c = new Cuda;
    return *c;
  }
  const ctn_backend_def& def() const { return def_; }

  void check(ctn_status status) const {
    if (status != CTN_OK) throw std::runtime_error(cpu_test::last_error);
  }
  void* alloc(uint64_t bytes) {
    void* p = nullptr;
    check(def_.alloc(def_.self, nullptr, 0, bytes, 64, &p));
    return p;
  }
  void free(void* p, uint64_t bytes) { def_.free(def_.self, nullptr, 0, p, bytes, 64); }

  // Runs the form on copies of the call's memory in the device and gives the memory back.
  std::vector<Argument> run(const ctn_form& form, const Call& call) {
    void* program = nullptr;
    check(def_.compile(def_.self, &form, &program));
    std::vector<Argument> args = call.args;
    std::vector<void*> blocks, data;
    std::vector<int64_t> strides, counts;
    for (Argument& a : args) {
      a.strides.resize(call.shape.size(), 0);
      strides.insert(strides.end(), a.strides.begin(), a.strides.end());
      counts.push_back(a.count);
      blocks.push_back(alloc(a.bytes.size()));
      check(def_.copy(def_.self, 0, blocks.back(), -1, a.bytes.data(), a.bytes.size()));
      data.push_back(a.same_as < 0 ? static_cast<char*>(blocks.back()) + a.start
                                   : data[static_cast<size_t>(a.same_as)]);
    }
    ctn_launch l{};
    l.size = sizeof l;
    l.ndim = static_cast<int32_t>(call.shape.size());
    l.n_reduced = call.n_reduced;
    l.shape = call.shape.data();
    l.data = data.data();
    l.strides = strides.data();
    l.counts = counts.data();
    l.scalars = call.scalars.data();
    l.exec = reinterpret_cast<ctn_exec>(this);
    check(def_.launch(def_.self, program, &l, 1));
    for (size_t k = 0; k < args.size(); ++k)
      check(def_.copy(def_.self, -1, args[k].bytes.data(), 0, blocks[k], args[k].bytes.size()));
    check(def_.sync(def_.self, 0));
    for (size_t k = 0; k < args.size(); ++k) free(blocks[k], args[k].bytes.size());
    for (const auto& [p, bytes] : scratch_) free(p, bytes);
    scratch_.clear();
    def_.release(def_.self, program);
    return args;
  }

 private:
  Cuda() {
    host_ = *cpu_test::fake_host();
    host_.add_backend = [](ctn_plugin p, const ctn_backend_def* def) -> ctn_status {
      *reinterpret_cast<ctn_backend_def*>(p) = *def;
      return CTN_OK;
    };
    host_.exec_device = [](ctn_exec) -> ctn_device { return {CTN_DEV_CUDA, 0}; };
    host_.exec_context = [](ctn_exec) -> ctn_context { return nullptr; };
    host_.exec_label = [](ctn_exec) -> ctn_str { return catena::sdk::str("test"); };
    host_.scratch = [](ctn_exec e, uint64_t bytes, void** out) -> ctn_status {
      auto& self = *reinterpret_cast<Cuda*>(e);
      *out = self.alloc(bytes);
      self.scratch_.emplace_back(*out, bytes);
      return CTN_OK;
    };
    catena::sdk::host = &host_;
    check(catena::cuda::register_backend(&host_, reinterpret_cast<ctn_plugin>(&def_)));
    int32_t n = 0;
    ctn_str why{};
    check(def_.device_count(def_.self, &n, &why));
    if (n == 0) throw std::runtime_error("the false driver: " + std::string(why.p, why.n));
  }

  ctn_host host_{};
  ctn_backend_def def_{};
  std::vector<std::pair<void*, uint64_t>> scratch_;
};

// What the plain executor makes of the call.
inline std::vector<Argument> plain(const ctn_form& form, const Call& call) {
  return cpu_test::run_on_copy(call, nullptr,
                               [&](const ctn_launch& l) { catena::expr::run_plain(form, l); });
}

}  // namespace cuda_test
