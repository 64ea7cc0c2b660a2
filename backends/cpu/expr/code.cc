// From instructions to steps: values equal for all elements are computed once, constants at compile
// time, stores go straight to their output where no later read forbids it, and what is left lives
// in as few slots as possible.
#include <cpu/expr/code.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace catena::cpu {

int size_of(uint8_t dtype) {
  static constexpr uint8_t kSizes[CTN_DTYPE_COUNT] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8, 2};
  return kSizes[dtype];
}

namespace {

bool is_half(uint8_t dtype) { return dtype == CTN_FLOAT16 || dtype == CTN_BFLOAT16; }

int operand_count(uint16_t op) {
  switch (op) {
    case CTN_X_CONST:
    case CTN_X_ARG:
    case CTN_X_SCALAR:
    case CTN_X_INDEX:
    case CTN_X_SIZE:
    case CTN_X_ACC:
    case CTN_X_ITEM: return 0;
    case CTN_X_SELECT: return 3;
    case CTN_X_ATAN2: return 2;
    default: break;
  }
  if (op >= CTN_X_ADD && op <= CTN_X_SHR) {
    const bool one = op == CTN_X_NEG || op == CTN_X_ABS || op == CTN_X_SIGN || op == CTN_X_NOT;
    return one ? 1 : 2;
  }
  return 1;
}

bool compares(uint16_t op) { return op >= CTN_X_EQ && op <= CTN_X_LE; }
bool tests(uint16_t op) { return op >= CTN_X_ISNAN && op <= CTN_X_ISFINITE; }

// Below kVirtual a location; then values whose slot is not chosen yet, and the blocks of locations
// whose numbers are known only at the end.
using Place = int32_t;
constexpr Place kVirtual = 1 << 20;
constexpr Place kConstant = 1 << 24;
constexpr Place kUniform = 1 << 25;
constexpr Place kSlot = 1 << 26;
constexpr Place kNowhere = -1;
constexpr int32_t kNever = std::numeric_limits<int32_t>::max();

bool is_virtual(Place p) { return p >= kVirtual && p < kConstant; }

struct Value {
  Place place = kNowhere;
  uint8_t type = 0;
  bool uniform = false;
  bool constant = false;
  bool live = false;
};

struct Draft {
  StepFn fn;
  Place dst, a, b, c;
};

struct Virtual {
  uint8_t type;
  int32_t made = 0;        // body step that computes it; -1 in the prologue
  int32_t last = -1;       // last body step that reads it
  Place bound = kNowhere;  // an output it is written to directly, or its slot
};

class Builder {
 public:
  Builder(const ctn_form& form, Section section, const Loops& loops)
      : form_(form),
        program_(section == Section::kMap      ? form.map
                 : section == Section::kReduce ? form.reduce
                                               : form.post),
        section_(section),
        loops_(loops) {}

  Code build() {
    values_.resize(static_cast<size_t>(program_.n));
    mark_live();
    place_sources();
    for (int32_t k = 0; k < program_.n; ++k) {
      if (values_[static_cast<size_t>(k)].live) emit(k);
    }
    finish_results();
    bind_stores();
    explicit_stores();
    find_hazards();
    assign_slots();
    write_steps();
    return std::move(code_);
  }

 private:
  struct Store {
    int32_t arg;
    int32_t value;
    int32_t step = 0;  // where it happens
    bool direct = false;
  };

  const ctn_inst& inst(int32_t k) const { return program_.insts[k]; }
  Value& value(int32_t k) { return values_[static_cast<size_t>(k)]; }
  Virtual& virt(Place p) { return virtuals_[static_cast<size_t>(p - kVirtual)]; }
  uint8_t dtype(int32_t arg) const { return form_.args[arg].dtype; }

  void mark_live() {
    for (int32_t k = program_.n - 1; k >= 0; --k) {
      const ctn_inst& i = inst(k);
      if (i.op == CTN_X_STORE || i.op == CTN_X_YIELD) {
        value(i.b).live = true;
        continue;
      }
      if (!value(k).live) continue;
      if (i.op == CTN_X_RAW) {
        value(i.b).live = true;
        continue;
      }
      const int n = operand_count(i.op);
      if (n > 0) value(i.a).live = true;
      if (n > 1) value(i.b).live = true;
      if (n > 2) value(i.c).live = true;
    }
    for (int32_t k = 0; k < program_.n; ++k) {
      if (inst(k).op == CTN_X_STORE || inst(k).op == CTN_X_YIELD) value(k).live = true;
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
  }

  Place new_virtual(uint8_t type, int32_t made) {
    virtuals_.push_back({type, made, -1, kNowhere});
    return kVirtual + static_cast<Place>(virtuals_.size()) - 1;
  }

  void emit(int32_t k) {
    const ctn_inst& i = inst(k);
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
      case CTN_X_YIELD:
        yields_.resize(std::max(yields_.size(), static_cast<size_t>(i.a) + 1));
        yields_[static_cast<size_t>(i.a)] = i.b;
        return;
      default: return compute(k);
    }
  }

  static uint64_t constant_bits(const ctn_inst& i) {
    if (i.type == CTN_FLOAT64) return i.imm.u;
    if (i.type == CTN_FLOAT32) {
      const float f = static_cast<float>(i.imm.f);
      uint32_t bits = 0;
      std::memcpy(&bits, &f, sizeof bits);
      return bits;
    }
    if (i.type == CTN_BOOL8) return i.imm.i != 0;
    return i.imm.u;  // the low bytes are the value, whatever the width
  }

  void make_constant(Value& v, uint64_t bits) {
    v.place = kConstant + static_cast<Place>(code_.constants.size());
    v.uniform = v.constant = true;
    code_.constants.push_back(bits);
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
      shared = new_virtual(CTN_FLOAT32, next_step());
      append({step_fn({CTN_X_CAST, CTN_FLOAT32, dtype(arg), 0}), shared, arg, arg, arg}, 2);
    }
    v.place = shared;
  }

  void running_index(Value& v) {
    code_.uses_index = true;
    if (iota_ == kNowhere) {
      iota_ = new_virtual(CTN_INT64, next_step());
      const Place from = code_.at.index;
      append({step_fn({kOpIota, CTN_INT64, 0, 1}), iota_, from, from, from}, 1);
    }
    v.place = iota_;
  }

  int32_t next_step() const { return static_cast<int32_t>(body_.size()); }
  void append(Draft d, int32_t cost) {
    const int32_t at = next_step();
    for (const Place p : {d.a, d.b, d.c}) note_read(p, at);
    body_.push_back(d);
    cost_ += cost;
  }
  void note_read(Place p, int32_t at) {
    if (is_virtual(p)) {
      virt(p).last = std::max(virt(p).last, at);
    } else if (p < form_.n_args) {
      last_read_[static_cast<size_t>(p)] = std::max(last_read_[static_cast<size_t>(p)], at);
    }
  }

  StepFn find_fn(StepKey key) const {
    if (StepFn fn = loops_.step(key)) return fn;
    return libm_step(key);
  }
  StepFn step_fn(StepKey key) const {
    if (StepFn fn = find_fn(key)) return fn;
    throw Declined{"no loop for opcode", key.op};
  }

  // The operands of instruction k as value numbers; operand 0 of RAW is its argument instead.
  int operands(const ctn_inst& i, int32_t (&out)[3]) const {
    out[0] = i.a;
    out[1] = i.b;
    out[2] = i.c;
    return i.op == CTN_X_RAW ? 2 : operand_count(i.op);
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

  void compute(int32_t k) {
    const ctn_inst& i = inst(k);
    Value& v = value(k);
    int32_t operand[3];
    const int n = operands(i, operand);
    Place place[3] = {kNowhere, kNowhere, kNowhere};
    uint8_t uniform = 0;
    bool constant = true;
    for (int j = 0; j < n; ++j) {
      if (j == 0 && i.op == CTN_X_RAW) {
        code_.raws |= 1u << i.a;
        place[0] = i.a;
        constant = false;
        continue;
      }
      const Value& o = value(operand[j]);
      place[j] = o.place;
      uniform = static_cast<uint8_t>(uniform | (o.uniform ? 1 << j : 0));
      constant = constant && o.constant;
    }
    if (i.op == CTN_X_RAW) uniform |= 1;
    const Draft d{nullptr, kNowhere, place[0], place[n > 1 ? 1 : 0], place[n > 2 ? 2 : 0]};
    if (uniform == (1 << n) - 1) return compute_uniform(k, d, constant);
    const int32_t cost = step_cost(key_of(i, 0));
    Draft filled = fill_operands(i, d, uniform, n);
    filled.dst = v.place = new_virtual(i.type, next_step());
    append(filled, cost);
  }

  // All operands are one value: computed once a launch, or here when they are constants.
  void compute_uniform(int32_t k, Draft d, bool constant) {
    Value& v = value(k);
    d.fn = step_fn(key_of(inst(k), 0));
    if (constant) {
      const auto at = [this](Place p) {
        return &code_.constants[static_cast<size_t>(p - kConstant)];
      };
      uint64_t result = 0;
      d.fn(&result, at(d.a), at(d.b), at(d.c), 1);
      return make_constant(v, result);
    }
    v.uniform = true;
    v.place = d.dst = kUniform + n_uniforms_++;
    uniform_.push_back(d);
  }

  // Chooses the loop for the operands that are uniform; those it has no loop for are splatted.
  Draft fill_operands(const ctn_inst& i, Draft d, uint8_t uniform, int n) {
    d.fn = find_fn(key_of(i, uniform));
    if (d.fn != nullptr) return d;
    Place* places[3] = {&d.a, &d.b, &d.c};
    uint8_t left = uniform;
    for (int j = 0; j < n && d.fn == nullptr; ++j) {
      if ((left >> j & 1) == 0 || (j == 0 && i.op == CTN_X_RAW)) continue;
      const int32_t operand = j == 0 ? i.a : j == 1 ? i.b : i.c;
      *places[j] = splatted(value(operand));
      left = static_cast<uint8_t>(left & ~(1 << j));
      d.fn = find_fn(key_of(i, left));
    }
    if (d.fn == nullptr) throw Declined{"no loop for opcode", i.op};
    if (n < 2) d.b = d.a;
    if (n < 3) d.c = d.a;
    return d;
  }

  Place splatted(const Value& v) {
    for (const auto& [from, to] : splats_) {
      if (from == v.place) return to;
    }
    const Place to = new_virtual(v.type, -1);
    virt(to).last = kNever;
    prologue_.push_back({step_fn({kOpSplat, v.type, 0, 1}), to, v.place, v.place, v.place});
    splats_.emplace_back(v.place, to);
    return to;
  }

  int32_t step_cost(StepKey key) const {
    if (loops_.step(key) == nullptr) return 24;
    const bool slow_integer =
        key.op >= CTN_X_FDIV && key.op <= CTN_X_TMOD && key.type < CTN_FLOAT32;
    if (key.op == CTN_X_POW || slow_integer) return 16;
    if (key.op == kOpRaw) return 4;
    return (key.op >= CTN_X_EXP && key.op <= CTN_X_DIGAMMA) || key.op == CTN_X_SIGMOID ? 6 : 1;
  }

  // Yields: the map leaves its values where they are, reduce writes them to the result locations.
  void finish_results() {
    for (size_t k = 0; k < yields_.size(); ++k) {
      const Value& v = value(yields_[k]);
      if (section_ == Section::kReduce) {
        write_result(v, code_.at.result + static_cast<Place>(k));
        continue;
      }
      const Place p = v.uniform ? splatted(v) : v.place;
      if (is_virtual(p)) virt(p).last = kNever;
      result_places_.push_back(p);
    }
  }

  void write_result(const Value& v, Place target) {
    if (is_virtual(v.place) && virt(v.place).bound == kNowhere) {
      virt(v.place).bound = target;
      return;
    }
    const uint16_t op = v.uniform ? kOpSplat : kOpCopy;
    append({step_fn({op, v.type, 0, 0}), target, v.place, v.place, v.place}, 1);
  }

  // Whether another store reads argument `arg` as its value.
  bool stored_elsewhere(int32_t arg) {
    return std::any_of(stores_.begin(), stores_.end(),
                       [&](const Store& s) { return value(s.value).place == arg && s.arg != arg; });
  }

  // A store is direct if the value's own step can write to the output: the last store to it, of the
  // storage's type, and nothing reads what the output held before any more.
  void bind_stores() {
    for (Store& s : stores_) {
      code_.writes |= 1u << s.arg;
      const Value& v = value(s.value);
      const auto count = std::count_if(stores_.begin(), stores_.end(),
                                       [&](const Store& o) { return o.arg == s.arg; });
      if (!is_virtual(v.place) || count != 1 || is_half(dtype(s.arg))) continue;
      Virtual& made = virt(v.place);
      if (made.bound != kNowhere || made.made < 0 || stored_elsewhere(s.arg)) continue;
      if (last_read_[static_cast<size_t>(s.arg)] > made.made) continue;
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
        if (!stores_[j].direct && value(stores_[j].value).place == stores_[k].arg) {
          keep_aside(value(stores_[j].value));
        }
      }
    }
    for (Store& s : stores_) {
      if (!s.direct) append_store(s);
    }
  }

  void keep_aside(Value& v) {
    const Place from = v.place;
    v.place = new_virtual(v.type, next_step());
    append({step_fn({kOpCopy, v.type, 0, 0}), v.place, from, from, from}, 1);
  }

  void append_store(Store& s) {
    Value v = value(s.value);
    const uint8_t storage = dtype(s.arg);
    const bool half = is_half(storage);
    if (half && v.uniform) {
      const Place narrow = kUniform + n_uniforms_++;
      uniform_.push_back(
          {step_fn({CTN_X_CAST, storage, CTN_FLOAT32, 0}), narrow, v.place, v.place, v.place});
      v.place = narrow;
    }
    uint16_t op = kOpCopy;
    if (v.uniform) {
      op = kOpSplat;
    } else if (half) {
      op = CTN_X_CAST;
    }
    s.step = next_step();
    append({step_fn({op, storage, CTN_FLOAT32, 0}), s.arg, v.place, v.place, v.place}, 2);
  }

  void find_hazards() {
    for (const Store& s : stores_) {
      for (int32_t in = 0; in < form_.n_args; ++in) {
        if (in == s.arg || (code_.reads >> in & 1) == 0) continue;
        if (last_read_[static_cast<size_t>(in)] > s.step) {
          code_.hazards.push_back({static_cast<uint8_t>(in), static_cast<uint8_t>(s.arg)});
        }
      }
    }
  }

  // Linear scan. A result may take the slot of an operand that ends there, if their sizes agree.
  void assign_slots() {
    std::vector<Place> free;
    uint16_t n = 0;
    uint8_t size = 1;
    const auto take = [&](Virtual& v, Place preferred) {
      size = std::max(size, static_cast<uint8_t>(size_of(v.type)));
      if (preferred != kNowhere) {
        v.bound = preferred;
      } else if (!free.empty()) {
        v.bound = free.back();
        free.pop_back();
      } else {
        v.bound = kSlot + n++;
      }
    };
    for (const Draft& d : prologue_) take(virt(d.dst), kNowhere);
    for (int32_t k = 0; k < next_step(); ++k) {
      const Draft& d = body_[static_cast<size_t>(k)];
      Place reuse = kNowhere;
      const bool wants = is_virtual(d.dst) && virt(d.dst).bound == kNowhere;
      Place seen[3] = {kNowhere, kNowhere, kNowhere};
      int n_seen = 0;
      std::vector<Place> ending;
      for (const Place p : {d.a, d.b, d.c}) {
        if (!is_virtual(p) || std::find(seen, seen + n_seen, p) != seen + n_seen) continue;
        seen[n_seen++] = p;
        const Virtual& v = virt(p);
        if (v.last != k || v.bound < kSlot) continue;
        const bool fits = wants && size_of(v.type) == size_of(virt(d.dst).type);
        if (reuse == kNowhere && fits) {
          reuse = v.bound;
        } else {
          ending.push_back(v.bound);
        }
      }
      if (wants) take(virt(d.dst), reuse);
      free.insert(free.end(), ending.begin(), ending.end());
    }
    code_.n_slots = n;
    code_.slot_size = size;
  }

  uint16_t resolve(Place p) {
    if (is_virtual(p)) p = virt(p).bound;
    if (p >= kSlot) return static_cast<uint16_t>(code_.at.slot + (p - kSlot));
    if (p >= kUniform) return static_cast<uint16_t>(code_.at.uniform + (p - kUniform));
    if (p >= kConstant) return static_cast<uint16_t>(code_.at.constant + (p - kConstant));
    return static_cast<uint16_t>(p);
  }

  void write_steps() {
    Locations& at = code_.at;
    at.uniform = static_cast<uint16_t>(at.constant + code_.constants.size());
    at.slot = static_cast<uint16_t>(at.uniform + n_uniforms_);
    at.count = static_cast<uint16_t>(at.slot + code_.n_slots);
    const auto write = [this](const std::vector<Draft>& from, std::vector<Step>& to) {
      to.reserve(from.size());
      for (const Draft& d : from) {
        to.push_back({d.fn, resolve(d.dst), resolve(d.a), resolve(d.b), resolve(d.c)});
      }
    };
    write(uniform_, code_.uniform);
    write(prologue_, code_.prologue);
    write(body_, code_.body);
    for (const Place p : result_places_) code_.yields.push_back(resolve(p));
    code_.cost = std::max(cost_, 1);
  }

  const ctn_form& form_;
  const ctn_program& program_;
  const Section section_;
  const Loops loops_;
  Code code_;
  std::vector<Value> values_;
  std::vector<Virtual> virtuals_;
  std::vector<Draft> uniform_, prologue_, body_;
  std::vector<Store> stores_;
  std::vector<int32_t> yields_;
  std::vector<Place> result_places_;
  std::vector<std::pair<Place, Place>> splats_;
  std::vector<int32_t> last_read_ = std::vector<int32_t>(CTN_FORM_MAX_ARGS, -1);
  std::vector<Place> widened_ = std::vector<Place>(CTN_FORM_MAX_ARGS, kNowhere);
  Place iota_ = kNowhere;
  int32_t n_uniforms_ = 0;
  int32_t cost_ = 0;
};

}  // namespace

Code compile_code(const ctn_form& form, Section section, const Loops& loops) {
  return Builder(form, section, loops).build();
}

}  // namespace catena::cpu
