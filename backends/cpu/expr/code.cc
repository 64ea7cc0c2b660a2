// From instructions to steps: values equal for all elements are computed once, constants at compile
// time, stores go straight to their output where no later read forbids it.
#include <cpu/expr/code.h>

#include <cpu/expr/draft.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace catena::cpu {

int size_of(uint8_t dtype) {
  static constexpr uint8_t kSizes[CTN_DTYPE_COUNT] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8, 2};
  return kSizes[dtype];
}

namespace {

bool is_half(uint8_t dtype) { return dtype == CTN_FLOAT16 || dtype == CTN_BFLOAT16; }

bool is_source(uint16_t op) { return op <= CTN_X_SIZE || op == CTN_X_ACC || op == CTN_X_ITEM; }
bool is_effect(uint16_t op) { return op == CTN_X_STORE || op == CTN_X_YIELD; }
bool compares(uint16_t op) { return op >= CTN_X_EQ && op <= CTN_X_LE; }
bool tests(uint16_t op) { return op >= CTN_X_ISNAN && op <= CTN_X_ISFINITE; }

// Operands of an instruction that computes. The first one of RAW is its argument, not a value.
int operand_count(uint16_t op) {
  if (op == CTN_X_SELECT) return 3;
  if (op == CTN_X_RAW || op == CTN_X_ATAN2) return 2;
  if (op == CTN_X_NEG || op == CTN_X_ABS || op == CTN_X_SIGN || op == CTN_X_NOT) return 1;
  return op >= CTN_X_ADD && op <= CTN_X_SHR ? 2 : 1;
}

struct Value {
  Place place = kNowhere;
  uint8_t type = 0;
  bool uniform = false;
  bool constant = false;
  bool live = false;
};

struct Store {
  int32_t arg;
  int32_t value;
  int32_t step = 0;  // where it happens
  bool direct = false;
};

uint64_t constant_bits(const ctn_inst& i) {
  if (i.type == CTN_BOOL8) return i.imm.i != 0;
  if (i.type != CTN_FLOAT32) return i.imm.u;  // the low bytes are the value, whatever the width
  const float f = static_cast<float>(i.imm.f);
  uint32_t bits = 0;
  std::memcpy(&bits, &f, sizeof bits);
  return bits;
}

class Builder {
 public:
  Builder(const ctn_form& form, Section section, const Loops& loops)
      : form_(form),
        program_(section == Section::kMap      ? form.map
                 : section == Section::kReduce ? form.reduce
                                               : form.post),
        section_(section),
        loops_(loops),
        values_(static_cast<size_t>(program_.n)),
        widened_(static_cast<size_t>(form.n_args), kNowhere),
        draft_(form.n_args) {}

  Code build() {
    mark_live();
    place_sources();
    for (int32_t k = 0; k < program_.n; ++k) {
      if (value(k).live) emit(k);
    }
    finish_yields();
    bind_stores();
    explicit_stores();
    find_hazards();
    draft_.finish(code_);
    for (const Place p : yield_places_) code_.yields.push_back(draft_.location(p));
    return std::move(code_);
  }

 private:
  Value& value(int32_t k) { return values_[static_cast<size_t>(k)]; }
  uint8_t dtype(int32_t arg) const { return form_.args[arg].dtype; }

  void mark_live() {
    for (int32_t k = program_.n - 1; k >= 0; --k) {
      const ctn_inst& i = program_.insts[k];
      if (is_effect(i.op)) {
        value(k).live = value(i.b).live = true;
      } else if (value(k).live && !is_source(i.op)) {
        const int n = operand_count(i.op);
        if (i.op != CTN_X_RAW) value(i.a).live = true;
        if (n > 1) value(i.b).live = true;
        if (n > 2) value(i.c).live = true;
      }
    }
  }

  // Numbers of the locations that do not depend on what the program computes.
  void place_sources() {
    int next = form_.n_args;
    const auto block = [&next](int n) {
      const int first = next;
      next += n;
      return static_cast<uint16_t>(first);
    };
    const int accs = section_ == Section::kMap ? 0 : form_.n_acc;
    const int joins = section_ == Section::kReduce ? form_.n_acc : 0;
    code_.at.scalar = block(form_.n_scalars);
    code_.at.acc = block(accs);
    code_.at.item = block(joins);
    code_.at.result = block(joins);
    code_.at.index = block(1);
    code_.at.size = block(1);
    code_.at.constant = block(0);
    yields_.resize(static_cast<size_t>(section_ == Section::kPost ? 0 : form_.n_acc), -1);
  }

  void emit(int32_t k) {
    const ctn_inst& i = program_.insts[k];
    Value& v = value(k);
    v.type = i.type;
    switch (i.op) {
      case CTN_X_CONST: return make_constant(v, constant_bits(i));
      case CTN_X_ARG: return load_arg(v, i.a);
      case CTN_X_SCALAR: return source(v, code_.at.scalar + i.a, true);
      case CTN_X_SIZE: code_.uses_size = true; return source(v, code_.at.size, true);
      case CTN_X_ACC: return source(v, code_.at.acc + i.a, false);
      case CTN_X_ITEM: return source(v, code_.at.item + i.a, false);
      case CTN_X_INDEX: return running_index(v);
      case CTN_X_STORE: stores_.push_back({i.a, i.b}); return;
      case CTN_X_YIELD: yields_[static_cast<size_t>(i.a)] = i.b; return;
      default: return compute(i, v);
    }
  }

  void make_constant(Value& v, uint64_t bits) {
    v.place = draft_.constant(bits);
    v.uniform = v.constant = true;
  }

  static void source(Value& v, int place, bool uniform) {
    v.place = place;
    v.uniform = uniform;
  }

  void load_arg(Value& v, int32_t arg) {
    code_.reads |= 1u << arg;
    v.place = arg;
    if (!is_half(dtype(arg))) return;
    // every instruction that loads one 16-bit argument shares one widened copy
    Place& shared = widened_[static_cast<size_t>(arg)];
    if (shared == kNowhere) {
      shared = draft_.new_virtual(CTN_FLOAT32);
      draft_.add({step_fn({CTN_X_CAST, CTN_FLOAT32, dtype(arg), 0}), shared, arg, arg, arg}, 2);
    }
    v.place = shared;
  }

  void running_index(Value& v) {
    if (index_ == kNowhere) {
      index_ = draft_.new_virtual(CTN_INT64);
      const Place from = code_.at.index;
      draft_.add({step_fn({kOpIota, CTN_INT64, 0, 1}), index_, from, from, from}, 1);
    }
    v.place = index_;
  }

  StepFn find_fn(StepKey key) const {
    if (StepFn fn = loops_.step(key)) return fn;
    return libm_step(key);
  }
  StepFn step_fn(StepKey key) const {
    if (StepFn fn = find_fn(key)) return fn;
    throw Declined{"no loop for opcode", key.op};
  }

  StepKey key_of(const ctn_inst& i, uint8_t uniform) {
    StepKey key{i.op, i.type, 0, uniform};
    if (i.op == CTN_X_CAST) key.from = value(i.a).type;
    if (compares(i.op) || tests(i.op)) key.type = value(i.a).type;
    if (i.op == CTN_X_RAW) {
      key.op = kOpRaw;
      key.from = dtype(i.a);
    }
    return key;
  }

  void compute(const ctn_inst& i, Value& v) {
    const int n = operand_count(i.op);
    const int32_t operands[3] = {i.a, i.b, i.c};
    Place place[3];
    uint8_t uniform = 0;
    bool constant = true;
    for (int j = 0; j < n; ++j) {
      Value o;
      if (j == 0 && i.op == CTN_X_RAW) {
        code_.raws |= 1u << i.a;
        o.place = i.a;
        o.uniform = true;
      } else {
        o = value(operands[j]);
      }
      place[j] = o.place;
      uniform = static_cast<uint8_t>(uniform | (o.uniform ? 1 << j : 0));
      constant = constant && o.constant;
    }
    const DraftStep s{nullptr, kNowhere, place[0], place[n > 1 ? 1 : 0], place[n > 2 ? 2 : 0]};
    if (uniform == (1 << n) - 1) return compute_uniform(i, v, s, constant);
    DraftStep filled = fill_operands(i, s, uniform, n);
    filled.dst = v.place = draft_.new_virtual(i.type);
    draft_.add(filled, step_cost(key_of(i, 0)));
  }

  // All operands are one value: computed once a launch, or here when they are constants.
  void compute_uniform(const ctn_inst& i, Value& v, DraftStep s, bool constant) {
    s.fn = step_fn(key_of(i, 0));
    if (constant) {
      uint64_t result = 0;
      s.fn(&result, draft_.constant_at(s.a), draft_.constant_at(s.b), draft_.constant_at(s.c), 1);
      return make_constant(v, result);
    }
    v.uniform = true;
    v.place = s.dst = draft_.new_uniform();
    draft_.add_uniform(s);
  }

  // Chooses the loop for the operands that are uniform; those it has no loop for are splatted.
  DraftStep fill_operands(const ctn_inst& i, DraftStep s, uint8_t uniform, int n) {
    s.fn = find_fn(key_of(i, uniform));
    if (s.fn != nullptr) return s;
    Place* places[3] = {&s.a, &s.b, &s.c};
    const int32_t operands[3] = {i.a, i.b, i.c};
    for (int j = 0; j < n && s.fn == nullptr; ++j) {
      if ((uniform >> j & 1) == 0 || (j == 0 && i.op == CTN_X_RAW)) continue;
      *places[j] = splatted(value(operands[j]));
      uniform = static_cast<uint8_t>(uniform & ~(1 << j));
      s.fn = find_fn(key_of(i, uniform));
    }
    if (s.fn == nullptr) throw Declined{"no loop for opcode", i.op};
    if (n < 2) s.b = s.a;
    if (n < 3) s.c = s.a;
    return s;
  }

  Place splatted(const Value& v) {
    for (const auto& [from, to] : splats_) {
      if (from == v.place) return to;
    }
    const Place to = draft_.new_virtual(v.type, true);
    draft_.add_prologue({step_fn({kOpSplat, v.type, 0, 1}), to, v.place, v.place, v.place});
    splats_.emplace_back(v.place, to);
    return to;
  }

  int32_t step_cost(StepKey key) const {
    const bool slow_integer =
        key.op >= CTN_X_FDIV && key.op <= CTN_X_TMOD && key.type < CTN_FLOAT32;
    if (loops_.step(key) == nullptr) return 24;
    if (key.op == CTN_X_POW || slow_integer) return 16;
    if (key.op == kOpRaw) return 4;
    const bool math = key.op >= CTN_X_EXP && key.op <= CTN_X_DIGAMMA;
    return math || key.op == CTN_X_SIGMOID ? 6 : 1;
  }

  // Yields: the map leaves its values where they are, reduce writes them to the result locations.
  void finish_yields() {
    for (size_t k = 0; k < yields_.size(); ++k) {
      const Value& v = value(yields_[k]);
      if (section_ == Section::kReduce) {
        write_result(v, code_.at.result + static_cast<Place>(k));
        continue;
      }
      const Place p = v.uniform ? splatted(v) : v.place;
      if (is_virtual(p)) draft_.at(p).last = kNever;
      yield_places_.push_back(p);
    }
  }

  void write_result(const Value& v, Place target) {
    if (is_virtual(v.place) && draft_.at(v.place).bound == kNowhere) {
      draft_.at(v.place).bound = target;
      return;
    }
    const uint16_t op = v.uniform ? kOpSplat : kOpCopy;
    draft_.add({step_fn({op, v.type, 0, 0}), target, v.place, v.place, v.place}, 1);
  }

  // Whether another store reads argument `arg` as its value.
  bool stored_elsewhere(int32_t arg) {
    return std::any_of(stores_.begin(), stores_.end(),
                       [&](const Store& s) { return value(s.value).place == arg && s.arg != arg; });
  }

  // A store is direct if the value's own step can write to the output: the only store to it, of the
  // storage's type, and nothing reads what the output held before any more.
  void bind_stores() {
    for (Store& s : stores_) {
      code_.writes |= 1u << s.arg;
      const Value& v = value(s.value);
      const auto count = std::count_if(stores_.begin(), stores_.end(),
                                       [&](const Store& o) { return o.arg == s.arg; });
      if (!is_virtual(v.place) || count != 1 || is_half(dtype(s.arg))) continue;
      Virtual& made = draft_.at(v.place);
      if (made.bound != kNowhere || made.made < 0 || stored_elsewhere(s.arg)) continue;
      if (draft_.last_read(s.arg) > made.made) continue;
      made.bound = s.arg;
      s.direct = true;
      s.step = made.made;
    }
  }

  void explicit_stores() {
    for (size_t k = 0; k < stores_.size(); ++k) {
      if (stores_[k].direct) continue;
      // an earlier store may overwrite the argument that a later one copies
      for (size_t j = k + 1; j < stores_.size(); ++j) {
        Value& v = value(stores_[j].value);
        if (!stores_[j].direct && v.place == stores_[k].arg) keep_aside(v);
      }
    }
    for (Store& s : stores_) {
      if (!s.direct) append_store(s);
    }
  }

  void keep_aside(Value& v) {
    const Place from = v.place;
    v.place = draft_.new_virtual(v.type);
    draft_.add({step_fn({kOpCopy, v.type, 0, 0}), v.place, from, from, from}, 1);
  }

  void append_store(Store& s) {
    Value v = value(s.value);
    const uint8_t storage = dtype(s.arg);
    uint16_t op = v.uniform ? kOpSplat : kOpCopy;
    if (is_half(storage)) {
      const StepFn narrow = step_fn({CTN_X_CAST, storage, CTN_FLOAT32, 0});
      if (v.uniform) {
        const Place to = draft_.new_uniform();
        draft_.add_uniform({narrow, to, v.place, v.place, v.place});
        v.place = to;
      } else {
        op = CTN_X_CAST;
      }
    }
    s.step = draft_.next_step();
    const StepFn fn = step_fn({op, storage, CTN_FLOAT32, 0});
    draft_.add({fn, s.arg, v.place, v.place, v.place}, 2);
  }

  void find_hazards() {
    for (const Store& s : stores_) {
      for (int32_t in = 0; in < form_.n_args; ++in) {
        if (in == s.arg || (code_.reads >> in & 1) == 0) continue;
        if (draft_.last_read(in) > s.step) {
          code_.hazards.push_back({static_cast<uint8_t>(in), static_cast<uint8_t>(s.arg)});
        }
      }
    }
  }

  const ctn_form& form_;
  const ctn_program& program_;
  const Section section_;
  const Loops loops_;
  Code code_;
  std::vector<Value> values_;
  std::vector<Store> stores_;
  std::vector<int32_t> yields_;
  std::vector<Place> yield_places_;
  std::vector<std::pair<Place, Place>> splats_;  // uniform value, its block
  std::vector<Place> widened_;                   // [argument]
  Place index_ = kNowhere;
  Draft draft_;
};

}  // namespace

Code compile_code(const ctn_form& form, Section section, const Loops& loops) {
  return Builder(form, section, loops).build();
}

}  // namespace catena::cpu
