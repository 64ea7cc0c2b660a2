// Random valid elementwise forms over all opcodes whose results are exact, and calls of them.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/expr_support.h"

namespace cpu_test {

class RandomForm {
 public:
  explicit RandomForm(Random& random) : random_(random) {
    const int n_in = static_cast<int>(pick(random_, 1, 4));
    const int n_out = static_cast<int>(pick(random_, 1, 3));
    for (int k = 0; k < n_in; ++k) args_.push_back({any_dtype(), CTN_ROLE_IN, 0});
    for (int k = 0; k < n_out; ++k) {
      const bool inout = pick(random_, 0, 2) == 0;
      args_.push_back(
          {any_dtype(), static_cast<uint8_t>(inout ? CTN_ROLE_INOUT : CTN_ROLE_OUT), 0});
    }
    if (pick(random_, 0, 3) == 0) args_.push_back({any_dtype(), CTN_ROLE_RAW, 0});
    for (int64_t k = pick(random_, 0, 2); k > 0; --k) scalars_.push_back(any_type());
    for (int64_t k = pick(random_, 1, 14); k > 0; --k) add_value();
    for (size_t k = 0; k < args_.size(); ++k) {
      const uint8_t role = args_[k].role;
      if (role == CTN_ROLE_OUT || role == CTN_ROLE_INOUT) store(static_cast<int32_t>(k));
    }
    insts_.insert(insts_.end(), stores_.begin(), stores_.end());
    ctn_form f{};
    f.size = sizeof f;
    f.version = CTN_FORM_VERSION;
    f.n_args = static_cast<int32_t>(args_.size());
    f.n_scalars = static_cast<int32_t>(scalars_.size());
    f.args = args_.data();
    f.scalars = scalars_.data();
    f.map = {insts_.data(), static_cast<int32_t>(insts_.size()), 0};
    form_ = catena::expr::Form::make(f);
  }

  const ctn_form& form() const { return form_->c(); }
  std::string text() const { return catena::expr::to_string(form_->c()); }

 private:
  uint8_t any_dtype() { return static_cast<uint8_t>(pick(random_, 0, CTN_DTYPE_COUNT - 1)); }
  uint8_t any_type() {
    static constexpr uint8_t kTypes[] = {CTN_BOOL8,  CTN_INT8,    CTN_INT16,   CTN_INT32,
                                         CTN_INT64,  CTN_UINT8,   CTN_UINT16,  CTN_UINT32,
                                         CTN_UINT64, CTN_FLOAT32, CTN_FLOAT64, CTN_FLOAT32};
    return kTypes[pick(random_, 0, 11)];
  }

  int32_t push(uint16_t op, uint8_t type, int32_t a = 0, int32_t b = 0, int32_t c = 0) {
    ctn_inst i{};
    i.op = op;
    i.type = type;
    i.a = a;
    i.b = b;
    i.c = c;
    insts_.push_back(i);
    return static_cast<int32_t>(insts_.size()) - 1;
  }

  uint8_t type_of(int32_t v) const { return insts_[static_cast<size_t>(v)].type; }

  int32_t source() {
    switch (pick(random_, 0, 9)) {
      case 0: return constant(any_type());
      case 1:
        if (!scalars_.empty()) {
          const auto k =
              static_cast<int32_t>(pick(random_, 0, static_cast<int64_t>(scalars_.size()) - 1));
          return push(CTN_X_SCALAR, scalars_[static_cast<size_t>(k)], k);
        }
        break;
      case 2: return push(pick(random_, 0, 1) == 0 ? CTN_X_INDEX : CTN_X_SIZE, CTN_INT64);
      default: break;
    }
    const auto k = static_cast<int32_t>(pick(random_, 0, static_cast<int64_t>(args_.size()) - 1));
    const ctn_form_arg& arg = args_[static_cast<size_t>(k)];
    const bool half = arg.dtype == CTN_FLOAT16 || arg.dtype == CTN_BFLOAT16;
    const uint8_t type = half ? uint8_t{CTN_FLOAT32} : arg.dtype;
    if (arg.role == CTN_ROLE_OUT) return constant(any_type());
    if (arg.role == CTN_ROLE_RAW) return push(CTN_X_RAW, type, k, of_type(CTN_INT64));
    return push(CTN_X_ARG, type, k);
  }

  int32_t constant(uint8_t type) {
    const int32_t v = push(CTN_X_CONST, type);
    ctn_inst& i = insts_.back();
    const int64_t n = pick(random_, -3, 12);
    if (type >= CTN_FLOAT32) {
      i.imm.f = static_cast<double>(n) / 2;
    } else if (type >= CTN_UINT8) {
      i.imm.u = static_cast<uint64_t>(n < 0 ? -n : n);
    } else {
      i.imm.i = type == CTN_BOOL8 ? n & 1 : n;
    }
    return v;
  }

  int32_t any_value() {
    if (insts_.empty() || pick(random_, 0, 3) == 0) return source();
    return static_cast<int32_t>(pick(random_, 0, static_cast<int64_t>(insts_.size()) - 1));
  }

  // A value of that type: one there is, or a cast of any.
  int32_t of_type(uint8_t type) {
    for (int tries = 0; tries < 4 && !insts_.empty(); ++tries) {
      const auto v =
          static_cast<int32_t>(pick(random_, 0, static_cast<int64_t>(insts_.size()) - 1));
      if (type_of(v) == type) return v;
    }
    if (insts_.empty() || pick(random_, 0, 5) == 0) return constant(type);
    const auto v = static_cast<int32_t>(pick(random_, 0, static_cast<int64_t>(insts_.size()) - 1));
    return push(CTN_X_CAST, type, v);
  }

  void add_value() {
    static constexpr uint16_t kPairs[] = {CTN_X_ADD,  CTN_X_SUB,  CTN_X_MUL, CTN_X_FDIV,
                                          CTN_X_FMOD, CTN_X_TMOD, CTN_X_MIN, CTN_X_MAX};
    static constexpr uint16_t kBits[] = {CTN_X_AND, CTN_X_OR, CTN_X_XOR};
    static constexpr uint16_t kRound[] = {CTN_X_SQRT, CTN_X_FLOOR, CTN_X_CEIL, CTN_X_TRUNC,
                                          CTN_X_RINT};
    static constexpr uint16_t kTests[] = {CTN_X_ISNAN, CTN_X_ISINF, CTN_X_ISFINITE};
    static constexpr uint16_t kSingle[] = {CTN_X_NEG, CTN_X_ABS, CTN_X_SIGN};
    const int32_t a = any_value();
    const uint8_t t = type_of(a);
    const bool floating = t >= CTN_FLOAT32;
    const auto second = [&] { return of_type(t); };
    switch (pick(random_, 0, 8)) {
      case 0: push(CTN_X_CAST, any_type(), a); return;
      case 1: {
        const int32_t cond = of_type(CTN_BOOL8);
        push(CTN_X_SELECT, t, cond, a, second());
        return;
      }
      case 2:
        push(static_cast<uint16_t>(CTN_X_EQ + pick(random_, 0, 3)), CTN_BOOL8, a, second());
        return;
      case 3:
        if (floating) {
          push(kRound[pick(random_, 0, 4)], t, a);
        } else {
          push(kBits[pick(random_, 0, 2)], t, a, second());
        }
        return;
      case 4:
        if (floating) {
          push(kTests[pick(random_, 0, 2)], CTN_BOOL8, a);
        } else {
          push(CTN_X_NOT, t, a);
        }
        return;
      case 5:
        if (floating) {
          push(CTN_X_DIV, t, a, second());
        } else if (t != CTN_BOOL8) {
          static constexpr uint16_t kInteger[] = {CTN_X_TDIV, CTN_X_SHL, CTN_X_SHR, CTN_X_POW};
          push(kInteger[pick(random_, 0, 3)], t, a, second());
        }
        return;
      case 6:
        if (t != CTN_BOOL8) push(kSingle[pick(random_, 0, 2)], t, a);
        return;
      default:
        if (t != CTN_BOOL8) push(kPairs[pick(random_, 0, 7)], t, a, second());
        return;
    }
  }

  void store(int32_t arg) {
    const uint8_t dtype = args_[static_cast<size_t>(arg)].dtype;
    const bool half = dtype == CTN_FLOAT16 || dtype == CTN_BFLOAT16;
    const int32_t v = of_type(half ? uint8_t{CTN_FLOAT32} : dtype);
    ctn_inst i{};
    i.op = CTN_X_STORE;
    i.type = type_of(v);
    i.a = arg;
    i.b = v;
    stores_.push_back(i);
  }

  Random& random_;
  std::vector<ctn_form_arg> args_;
  std::vector<uint8_t> scalars_;
  std::vector<ctn_inst> insts_, stores_;  // stores come last
  std::shared_ptr<const catena::expr::Form> form_;
};

// ---- calls of them

inline constexpr Layout kLayouts[] = {Layout::kDense,     Layout::kStrided,    Layout::kReversed,
                                      Layout::kBroadcast, Layout::kTransposed, Layout::kMixed};

inline std::vector<int64_t> random_shape(Random& random) {
  static constexpr int64_t kSizes[] = {1,   2,   3,   63,  64,   65,   127,
                                       255, 256, 257, 832, 1024, 2047, 2049};
  std::vector<int64_t> shape;
  switch (pick(random, 0, 4)) {
    case 0: return shape;
    case 1: return {kSizes[pick(random, 0, 13)]};
    case 2: return {pick(random, 1, 9), kSizes[pick(random, 0, 11)]};
    case 3: return {pick(random, 1, 300), pick(random, 1, 12)};
    default:
      return {pick(random, 1, 5), pick(random, 1, 7), pick(random, 1, 5), pick(random, 1, 40)};
  }
}

// Lets an output be the memory of an input now and then: work in place.
inline void share_memory(const ctn_form& form, Call& call, Random& random) {
  uint32_t taken = 0;
  for (int32_t out = 0; out < form.n_args; ++out) {
    if (form.args[out].role != CTN_ROLE_OUT || pick(random, 0, 1) == 0) continue;
    for (int32_t in = 0; in < out; ++in) {
      const bool suits = form.args[in].role == CTN_ROLE_IN && (taken >> in & 1) == 0 &&
                         form.args[in].dtype == form.args[out].dtype;
      if (!suits) continue;
      taken |= 1u << in;
      Argument& input = call.args[static_cast<size_t>(in)];
      Argument& output = call.args[static_cast<size_t>(out)];
      input.bytes = output.bytes;  // an output's layout has every element once
      input.start = output.start;
      input.strides = output.strides;
      output.same_as = in;
      break;
    }
  }
}

inline Call random_call(const ctn_form& form, Random& random) {
  Call call;
  call.shape = random_shape(random);
  const bool dense = pick(random, 0, 1) == 0;
  for (int32_t k = 0; k < form.n_args; ++k) {
    const ctn_form_arg& arg = form.args[k];
    Argument a;
    if (arg.role == CTN_ROLE_RAW) {
      a.count = pick(random, 1, 50);
      a = make_argument(arg.dtype, {a.count}, Layout::kDense, true, 1, random);
      a.count = static_cast<int64_t>(a.bytes.size()) / 16;
      a.start = 0;
      a.strides.assign(call.shape.size(), 0);
    } else {
      const bool output = arg.role != CTN_ROLE_IN;
      const Layout layout = dense ? Layout::kDense : kLayouts[pick(random, 0, 5)];
      a = make_argument(arg.dtype, call.shape, layout, output, call.shape.size(), random);
    }
    fill(a, arg.dtype, random, true);
    call.args.push_back(a);
  }
  share_memory(form, call, random);
  for (int32_t k = 0; k < form.n_scalars; ++k) {
    uint64_t bits = random();
    if (form.scalars[k] == CTN_BOOL8) bits &= 1;
    if (form.scalars[k] == CTN_FLOAT32) bits = 0x40490fdb;
    if (form.scalars[k] == CTN_FLOAT64) bits = 0xc000a00000000000u;
    call.scalars.push_back(bits);
  }
  return call;
}

}  // namespace cpu_test
