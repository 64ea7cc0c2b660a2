// Running an expression over arrays: from operands and an iteration space to one ctn_launch on the
// device's backend. Also the execution handle that kernels get. Knows no op and no graph.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "core/array.h"
#include "core/expr/expr.h"

struct ctn_exec_s {};

namespace catena {

// What a running kernel may ask for; its scratch memory goes with it.
class Exec : public ctn_exec_s {
 public:
  // label: what runs, for messages of backends; outlives this.
  // in: the arrays of a kernel's inputs, for what is derived from them.
  Exec(Context& c, Device& d, std::string_view l, std::span<Array* const> in = {});
  ~Exec();
  Exec(const Exec&) = delete;
  Exec& operator=(const Exec&) = delete;
  void* scratch(uint64_t bytes);
  // derived.h; NULL if there is none. What was made is kept by keep(), when it is filled.
  const void* find_derived(int32_t input, uint64_t key);
  void* make_derived(int32_t input, uint64_t key, uint64_t bytes);
  void keep() noexcept;

  Context& ctx;
  Device& device;
  const std::string_view label;

 private:
  struct Block {
    Block* next;
    void* data;
    uint64_t bytes;
  };
  // A derived piece in use; `of`: of which array, where it was made by this run.
  struct Use {
    Use* next;
    Ref<Derived> piece;
    Array* of;
  };
  Array& input(int32_t i) const;
  void hold(Ref<Derived> piece, Array* of);

  const std::span<Array* const> in_;
  Block* blocks_ = nullptr;
  Use* uses_ = nullptr;
};

// Iteration space of one call. `axes` are the dimensions a reduction removes (or, in the gradient
// of one, those along which its outputs are repeated); those also in `ones` stay with size 1.
struct Space {
  int32_t ndim = 0;
  uint32_t axes = 0;
  uint32_t ones = 0;
  int64_t shape[CTN_MAX_NDIM];

  std::span<const int64_t> dims() const { return {shape, static_cast<size_t>(ndim)}; }
  void set(std::span<const int64_t> s) {
    ndim = static_cast<int32_t>(s.size());
    std::copy(s.begin(), s.end(), shape);
  }
  // Shape of what a reduction leaves.
  int32_t reduced_shape(int64_t* out) const;
};

// How an argument lies in the space: broadcast against it from the right, or as a reduction's
// output.
enum class Align : uint8_t { kFull, kReduced };

// A form with what each backend made of it. Never freed: bounded by the rows and dtypes in use.
struct Compiled {
  std::shared_ptr<const expr::Form> form;
  std::string_view label;    // of the row, which outlives this
  std::vector<uint8_t> key;  // dtypes of all arguments as asked for
  Compiled* next = nullptr;
  bool flat = false;    // elementwise, and an element's place does not matter to it
  bool spread = false;  // a reduction to which it does not matter
  // per backend: NULL not tried yet, kDeclined, or its program
  std::array<std::atomic<void*>, kMaxBackends> programs{};

  const ctn_form& c() const { return form->c(); }
};

// Forms of one row by dtypes; reading takes no lock.
class FormCache {
 public:
  const Compiled& get(const expr::Row& row, std::span<const uint8_t> dtypes,
                      std::span<const uint8_t> scalar_types = {});

 private:
  std::atomic<Compiled*> head_{nullptr};
  std::mutex mutex_;
};

// Runs `c` over args (inputs, then outputs; all on `device`). scalars: bits of each parameter's
// type.
void launch(const Compiled& c, Device& device, const Space& space, std::span<Array* const> args,
            std::span<const Align> align, const uint64_t* scalars);

// For the log, once it was launched there: "tanh: expression, cpu runs".
std::string who_ran(const Compiled& c, const Device& device);

// Many launches of one form over C-order arrays, handed to the backend together: optimizer updates.
// All memory and the backend's program are there before run(). The arrays must outlive it.
class FlatBatch {
 public:
  // plain: all arrays as plain data, for batches that write to one storage one after the other;
  // where each finds its data is settled before the first one runs.
  FlatBatch(const Compiled& c, Device& device, bool plain = false);
  void reserve(size_t launches);
  // args: inputs, then outputs, of equal size; scalars: bits of each parameter's type.
  void add(std::span<Array* const> args, std::span<const uint64_t> scalars);
  bool empty() const { return sizes_.empty(); }
  // Last thing before run(); nothing may be added after it.
  void seal();
  void run();

 private:
  const Compiled& c_;
  Device& device_;
  const bool plain_;
  Exec exec_;
  std::vector<int64_t> sizes_;
  std::vector<Array*> arrays_;
  std::vector<void*> data_;
  std::vector<uint64_t> layouts_;  // per launch
  std::vector<uint64_t> scalars_;
  std::vector<ctn_launch> launches_;
  int64_t strides_[CTN_FORM_MAX_ARGS];
  int64_t counts_[CTN_FORM_MAX_ARGS] = {};
};

// Bits of a number as a parameter of type CTN_BOOL8 ... CTN_FLOAT64.
uint64_t scalar_bits(uint8_t type, double value);
uint64_t scalar_bits(uint8_t type, const ctn_value& value);
// Whether the type has this number: an integer has no 0.5, no infinity, nothing out of its range.
bool has_number(uint8_t type, double value);

}  // namespace catena
