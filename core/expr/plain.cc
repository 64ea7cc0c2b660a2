// Runs a form one element and one instruction at a time. Every line is meant to be obviously right;
// none is meant to be fast.
#include "core/expr/plain.h"

#include <array>
#include <vector>

#include "core/expr/scalar.h"

namespace catena::expr {

namespace {

// Walks an index over some dimensions and keeps the address of every argument beside it.
class Walk {
 public:
  Walk(const ctn_form& form, const ctn_launch& launch, int first, int last,
       std::vector<std::byte*> start)
      : l_(launch), first_(first), last_(last), at_(std::move(start)), n_args_(form.n_args) {}

  std::byte* address(int arg) const { return at_[static_cast<size_t>(arg)]; }
  const std::vector<std::byte*>& addresses() const { return at_; }

  int64_t elements() const {
    int64_t n = 1;
    for (int d = first_; d < last_; ++d) n *= l_.shape[d];
    return n;
  }

  void next() {
    for (int d = last_; d-- > first_;) {
      auto& index = index_[static_cast<size_t>(d)];
      const bool wraps = ++index == l_.shape[d];
      for (int a = 0; a < n_args_; ++a) {
        const int64_t stride = l_.strides[a * l_.ndim + d];
        at_[static_cast<size_t>(a)] += wraps ? stride * (1 - l_.shape[d]) : stride;
      }
      if (!wraps) return;
      index = 0;
    }
  }

 private:
  const ctn_launch& l_;
  int first_, last_;
  std::vector<std::byte*> at_;
  int n_args_;
  std::array<int64_t, CTN_MAX_NDIM> index_{};
};

class Run {
 public:
  Run(const ctn_form& form, const ctn_launch& launch) : f_(form), l_(launch) {
    for (int a = 0; a < form.n_args; ++a) start_.push_back(static_cast<std::byte*>(launch.data[a]));
    acc_.resize(static_cast<size_t>(form.n_acc));
    item_ = acc_;
  }

  void elementwise() {
    Walk walk(f_, l_, 0, l_.ndim, start_);
    size_ = walk.elements();
    for (index_ = 0; index_ < size_; ++index_, walk.next()) {
      evaluate(f_.map, walk);
      for (int32_t k = 0; k < f_.map.n; ++k) store(f_.map.insts[k], walk);
    }
  }

  void reduction() {
    const int kept = l_.ndim - l_.n_reduced;
    Walk outer(f_, l_, 0, kept, start_);
    const int64_t count = Walk(f_, l_, kept, l_.ndim, start_).elements();
    index_ = 0;
    for (int64_t k = outer.elements(); k > 0; --k, outer.next()) {
      for (int32_t a = 0; a < f_.n_acc; ++a) {
        acc_[static_cast<size_t>(a)] = from_bits(f_.accs[a].identity, f_.accs[a].type);
      }
      size_ = outer.elements() * count;
      Walk inner(f_, l_, kept, l_.ndim, outer.addresses());
      for (int64_t j = 0; j < count; ++j, ++index_, inner.next()) {
        evaluate(f_.map, inner);
        yield(f_.map, item_);
        evaluate(f_.reduce, inner);
        yield(f_.reduce, acc_);
      }
      size_ = count;
      evaluate(f_.post, outer);
      for (int32_t i = 0; i < f_.post.n; ++i) store(f_.post.insts[i], outer);
    }
  }

 private:
  Slot value(int32_t v) const { return values_[static_cast<size_t>(v)]; }

  void evaluate(const ctn_program& p, const Walk& walk) {
    values_.resize(static_cast<size_t>(p.n));
    for (int32_t k = 0; k < p.n; ++k)
      values_[static_cast<size_t>(k)] = instruction(p, p.insts[k], walk);
  }

  Slot instruction(const ctn_program& p, const ctn_inst& i, const Walk& walk) const {
    switch (i.op) {
      case CTN_X_CONST: return {.u = i.imm.u};
      case CTN_X_ARG: return load_element(walk.address(i.a), f_.args[i.a].dtype);
      case CTN_X_SCALAR: return from_bits(l_.scalars[i.a], f_.scalars[i.a]);
      case CTN_X_INDEX: return slot_i(index_);
      case CTN_X_SIZE: return slot_i(size_);
      case CTN_X_RAW: return raw(i.a, value(i.b).i);
      case CTN_X_ACC: return acc_[static_cast<size_t>(i.a)];
      case CTN_X_ITEM: return item_[static_cast<size_t>(i.a)];
      case CTN_X_STORE:
      case CTN_X_YIELD: return {.u = 0};
      case CTN_X_CAST: return cast_value(value(i.a), p.insts[i.a].type, i.type);
      case CTN_X_SELECT: return value(i.a).i != 0 ? value(i.b) : value(i.c);
      default: break;
    }
    // An operand that an operation does not have is 0, which names a value to be ignored.
    return eval(i.op, p.insts[i.a].type, value(i.a), value(i.b), Slot{.u = 0});
  }

  Slot raw(int arg, int64_t index) const {
    const int dtype = f_.args[arg].dtype;
    if (index < 0 || index >= l_.counts[arg]) return {.u = 0};
    return load_element(start_[static_cast<size_t>(arg)] + index * dtype_bytes(dtype), dtype);
  }

  void store(const ctn_inst& i, const Walk& walk) const {
    if (i.op == CTN_X_STORE) store_element(walk.address(i.a), f_.args[i.a].dtype, value(i.b));
  }

  void yield(const ctn_program& p, std::vector<Slot>& to) const {
    for (int32_t k = 0; k < p.n; ++k) {
      const ctn_inst& i = p.insts[k];
      if (i.op == CTN_X_YIELD) to[static_cast<size_t>(i.a)] = value(i.b);
    }
  }

  const ctn_form& f_;
  const ctn_launch& l_;
  std::vector<std::byte*> start_;
  std::vector<Slot> values_, acc_, item_;
  int64_t index_ = 0, size_ = 0;
};

}  // namespace

void run_plain(const ctn_form& form, const ctn_launch& launch) {
  Run run(form, launch);
  if (form.n_acc > 0) {
    run.reduction();
  } else {
    run.elementwise();
  }
}

}  // namespace catena::expr
