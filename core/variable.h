// The graph: variables and the function nodes between them. A variable holds its creator, a node
// holds its inputs, and outputs are held weakly, so there are no cycles; long chains are released
// without recursion. Data that backward does not need is freed with the last handle. Knows no op.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <memory>
#include <string>

#include "core/array.h"
#include "core/launch.h"
#include "core/spin.h"
#include "core/value.h"

struct ctn_variable_s {};
struct ctn_kernel_s {};
struct ctn_grad_s {};

namespace catena {

struct Node;
class ExprFn;
struct ParameterInfo;

// What few variables need.
struct VariableExtra {
  std::string name;
  void* user = nullptr;
  void (*drop_user)(void*) = nullptr;
  std::unique_ptr<ParameterInfo> parameter;  // set for parameters
  ~VariableExtra();
};

// How to make a parameter's array once its shape is known.
struct ParameterInfo {
  const InitializerEntry* initializer = nullptr;
  Values attrs;
  int32_t dtype = CTN_FLOAT32;
  Device* device = nullptr;  // where the array will be made
  bool update_enabled = true;
  double loss_scale = 0;  // in the gradient, from backward; 0: none
};

inline constexpr int kInlineDims = 6;

struct Variable : ctn_variable_s {
  std::atomic<int32_t> refs{1};     // graph references, plus one while there are handles
  std::atomic<int32_t> handles{1};  // references of users; at 0 data and gradient go
  Context* ctx = nullptr;
  Array* data = nullptr;     // NULL: uninitialised parameter, or no handle is left
  Variable* grad = nullptr;  // a handle
  Node* creator = nullptr;   // a reference
  // A leaf's gradient being summed by the backward pass of this number; 0: none runs here.
  std::atomic<uint64_t> pass{0};
  Variable* pending = nullptr;  // a handle
  VariableExtra* extra = nullptr;
  SpinLock gate;       // `grad` being replaced; it and `data` leaving with the last handle
  int32_t output = 0;  // which output of creator
  int32_t rank = 0;
  bool requires_grad = true;
  uint8_t dtype = 0;
  int8_t ndim = 0;  // shape kept after the data is gone
  bool has_spec = false;
  int64_t dims[kInlineDims];
  int64_t* more_dims = nullptr;  // ndim > kInlineDims

  // `a` may be NULL (uninitialised parameter).
  static Ref<Variable> make(Context& ctx, Ref<Array> a, bool requires_grad);

  // Handles, as users hold them. Ref<Variable> counts handles.
  void retain() { handles.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;
  // References of the graph.
  void retain_node() { refs.fetch_add(1, std::memory_order_relaxed); }
  void release_node() noexcept;
  // A handle to a variable the graph holds; gives it data back if it has none.
  Ref<Variable> revive(Array* kept);

  Array& array() const;  // throws CTN_EINVAL if there is none
  void set_array(Array& a);
  std::span<const int64_t> shape() const {
    return {more_dims ? more_dims : dims, static_cast<size_t>(ndim)};
  }
  VariableExtra& more();
  void set_grad(Variable* g);  // shares g; NULL clears
  // For those who hold no handle: the last one may go meanwhile, and the gradient with it.
  bool has_grad() const {
    return std::atomic_ref(const_cast<Variable*&>(grad)).load(std::memory_order_relaxed);
  }
  Ref<Variable> shared_grad() {
    SpinGuard guard(gate);
    return Ref<Variable>::share(grad);
  }
  void set_creator(Ref<Node> node, int32_t index);
  void unchain() noexcept;
  bool is_parameter() const { return extra && extra->parameter; }

 private:
  Variable* replace_grad(Variable* g) {  // with the gate locked
    Variable* old = grad;
    std::atomic_ref(grad).store(g, std::memory_order_relaxed);
    return old;
  }
  void keep_spec(const Array& a);
};

inline Variable* to_variable(ctn_variable v) {
  if (!v) fail_argument("variable is NULL");
  return static_cast<Variable*>(v);
}

// One application of a function. Backward passes of several threads may meet in it: each knows its
// own by `pass` and keeps what belongs to the others' elsewhere. Arrays behind `in`, `kept`, ...
// lie in the node's own block.
struct Node {
  std::atomic<int32_t> refs{1};
  Context* ctx = nullptr;
  const Op* op = nullptr;      // what was called; NULL for a user's kernel
  const ExprFn* fn = nullptr;  // set for expressions
  int32_t rank = 0;
  int32_t n_in = 0, n_out = 0;  // hidden outputs included
  int32_t n_attrs = 0;
  // The backward pass that sums gradients of the outputs in `pending`; 0: none runs here.
  std::atomic<uint64_t> pass{0};
  SpinLock gate;                  // `out`, where there are several
  Node* next = nullptr;           // list of dead nodes waiting to be freed
  Variable** in = nullptr;        // [n_in] graph references, NULL where absent
  Variable** out = nullptr;       // [n_out] weak
  Variable** pending = nullptr;   // [n_out] handles
  Array** kept_in = nullptr;      // [n_in] references, NULL where not retained
  Array** kept_out = nullptr;     // [n_out]
  ctn_value* attrs = nullptr;     // [n_attrs]
  int64_t* out_specs = nullptr;   // of several outputs, each: dtype, ndim, shape
  int64_t* space_dims = nullptr;  // expressions whose arguments are not all of one shape
  int32_t space_ndim = -1;        // -1: the shape of the outputs
  uint32_t axes = 0, ones = 0;
  uint64_t block_bytes = 0;

  // space: kept if given. outs: what the outputs are, if there are several and backward may ask.
  static Ref<Node> make(Context& ctx, int32_t n_in, int32_t n_out, std::span<const ctn_value> attrs,
                        const Space* space, std::span<const Ref<Array>> outs = {});
  bool has_space() const { return space_ndim >= 0; }
  Space space() const;
  void retain() { refs.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;
  std::string_view label() const;
  // Input i as a variable with data (if kept); output i, made anew if it is gone.
  Ref<Variable> input(int32_t i) { return in[i] ? in[i]->revive(kept_in[i]) : nullptr; }
  Ref<Variable> output(int32_t i);
  // Output i with a reference of the graph, NULL if it is gone. With one output the caller knows it
  // to be alive.
  Variable* hold_output(int32_t i);
  // Dtype and shape of one of several outputs, whether it is still there or not.
  void output_spec(int32_t i, ctn_dltensor& to) const;
  // What input() and output() give data to, without the variable.
  Array& input_array(int32_t i) const;
  Array& output_array(int32_t i) const;
};

// Cuts every creator behind v, so that no backward from it goes on.
void unchain_backward(Variable& v);

// Initialises a lazy parameter (parameter.cc). Throws CTN_EINVAL if it has an array already.
Ref<Variable> make_parameter(Context& ctx, std::string_view initializer,
                             std::span<const ctn_value> attrs, int dtype, const int64_t* shape,
                             int32_t ndim);
void initialize_parameter(Variable& p, std::span<const int64_t> shape);

}  // namespace catena
