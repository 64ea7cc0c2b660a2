// Whether a form keeps the rules of plugin.h. Forms also come from files and from other people's
// plugins, so nothing in it is trusted; what passes here needs no checks when it runs.
#include <vector>

#include "core/expr/expr.h"
#include "core/expr/graph.h"
#include "core/expr/ops.h"

namespace catena::expr {

namespace {

enum class Part { kMap, kReduce, kPost };

class Checker {
 public:
  explicit Checker(const ctn_form& form) : f_(form) {}

  void run() {
    head();
    program(Part::kMap, f_.map);
    if (f_.n_acc > 0) {
      program(Part::kReduce, f_.reduce);
      program(Part::kPost, f_.post);
    }
  }

 private:
  [[noreturn]] void refuse(const std::string& message) const {
    std::string out = "form: ";
    if (part_ != nullptr) out.append(part_).append(", ");
    if (at_ >= 0) out += "instruction " + std::to_string(at_) + ": ";
    fail(CTN_EINVAL, out + message);
  }
  void require(bool ok, const char* message) const {
    if (!ok) refuse(message);
  }

  void head() const {
    require(f_.size >= sizeof(ctn_form), "size is too small");
    require(f_.version == CTN_FORM_VERSION, "unknown version");
    require(f_.n_args > 0 && f_.n_args <= CTN_FORM_MAX_ARGS,
            "between 1 and 32 arguments are needed");
    require(f_.n_scalars >= 0 && f_.n_scalars <= 64, "more than 64 scalars");
    require(f_.n_acc >= 0 && f_.n_acc <= 8, "more than 8 accumulators");
    require(f_.args != nullptr && (f_.n_scalars == 0 || f_.scalars != nullptr) &&
                (f_.n_acc == 0 || f_.accs != nullptr),
            "a table is missing");
    for (int32_t k = 0; k < f_.n_args; ++k) {
      require(f_.args[k].dtype < CTN_DTYPE_COUNT, "an argument has an unknown dtype");
      require(f_.args[k].role <= CTN_ROLE_RAW, "an argument has an unknown role");
      require(f_.n_acc == 0 || f_.args[k].role != CTN_ROLE_INOUT,
              "a reduction cannot have INOUT arguments");
    }
    for (int32_t k = 0; k < f_.n_scalars; ++k)
      require(is_fixed(f_.scalars[k]), "a scalar has no type");
    for (int32_t k = 0; k < f_.n_acc; ++k)
      require(is_fixed(f_.accs[k].type), "an accumulator has no type");
    int64_t total = 0;
    for (const ctn_program* p : {&f_.map, &f_.reduce, &f_.post}) {
      require(p->n >= 0 && (p->n == 0 || p->insts != nullptr), "a program is missing");
      total += p->n;
    }
    require(total <= CTN_FORM_MAX_INSTS, "more than 4096 instructions");
    require(f_.n_acc > 0 || (f_.reduce.n == 0 && f_.post.n == 0),
            "only a reduction has reduce and post");
  }

  void program(Part part, const ctn_program& p) {
    constexpr const char* kNames[] = {"map", "reduce", "post"};
    part_ = kNames[static_cast<int>(part)];
    const bool yields = f_.n_acc > 0 && part != Part::kPost;
    done_.assign(static_cast<size_t>(yields ? f_.n_acc : f_.n_args), false);
    bool effects = false;
    for (at_ = 0; at_ < p.n; ++at_) {
      const ctn_inst& i = p.insts[at_];
      require(op_info(i.op).name != nullptr && i.op < CTN_X_END_, "unknown opcode");
      require(is_fixed(i.type), "the type is none");
      unused_are_zero(i);
      if (i.op == CTN_X_STORE || i.op == CTN_X_YIELD) {
        effects = true;
        effect(p, i, yields);
      } else {
        require(!effects, "STORE and YIELD come last");
        if (op_info(i.op).takes == Takes::kNothing) {
          source(part, p, i);
        } else {
          operation(p, i);
        }
      }
    }
    at_ = -1;
    for (size_t k = 0; k < done_.size(); ++k) {
      const bool needed = yields || f_.args[k].role == CTN_ROLE_OUT;
      if (needed && !done_[k])
        refuse((yields ? "accumulator " : "argument ") + std::to_string(k) + " gets no value");
    }
  }

  // One way to write an instruction: equal programs have equal hashes.
  void unused_are_zero(const ctn_inst& i) const {
    const bool indexed = op_info(i.op).takes == Takes::kNothing && i.op != CTN_X_CONST &&
                         i.op != CTN_X_INDEX && i.op != CTN_X_SIZE;
    const bool effect = i.op == CTN_X_STORE || i.op == CTN_X_YIELD;
    const int fields = op_info(i.op).operands + (indexed || effect ? 1 : 0);
    require(i.flags == 0 && (i.op == CTN_X_CONST || i.imm.u == 0) && (fields > 0 || i.a == 0) &&
                (fields > 1 || i.b == 0) && (fields > 2 || i.c == 0),
            "a member that the instruction does not use must be 0");
  }

  Type value(const ctn_program& p, int32_t v) const {
    require(v >= 0 && v < at_, "an operand is no earlier value");
    return p.insts[v].type;
  }

  void effect(const ctn_program& p, const ctn_inst& i, bool yields) {
    require(yields == (i.op == CTN_X_YIELD),
            "STORE belongs to the last program, YIELD to the others");
    require(i.b >= 0 && i.b < at_, "an operand is no earlier value");
    const int op = p.insts[i.b].op;
    require(op != CTN_X_STORE && op != CTN_X_YIELD, "an operand is no value");
    require(i.a >= 0 && static_cast<size_t>(i.a) < done_.size(), "there is no such target");
    require(!done_[static_cast<size_t>(i.a)], "the target is written twice");
    done_[static_cast<size_t>(i.a)] = true;
    Type wanted = 0;
    if (yields) {
      wanted = f_.accs[i.a].type;
    } else {
      const ctn_form_arg& arg = f_.args[i.a];
      require(arg.role == CTN_ROLE_OUT || arg.role == CTN_ROLE_INOUT, "the argument is no output");
      wanted = value_type(arg.dtype);
    }
    require(p.insts[i.b].type == wanted && i.type == wanted,
            "the value has another type than its target");
  }

  void source(Part part, const ctn_program& p, const ctn_inst& i) const {
    const bool map = part == Part::kMap;
    switch (i.op) {
      case CTN_X_CONST: {
        const Slot s = from_bits(to_bits({.u = i.imm.u}, i.type), i.type);
        const bool nan = is_float(i.type) && i.imm.f != i.imm.f;
        require(nan || s.u == i.imm.u, "the constant is no value of its type");
        return;
      }
      case CTN_X_ARG: {
        require(map && i.a >= 0 && i.a < f_.n_args, "there is no such argument here");
        const ctn_form_arg& arg = f_.args[i.a];
        require(arg.role == CTN_ROLE_IN || arg.role == CTN_ROLE_INOUT, "the argument is not read");
        require(i.type == value_type(arg.dtype), "the argument has another type");
        return;
      }
      case CTN_X_SCALAR:
        require(i.a >= 0 && i.a < f_.n_scalars, "there is no such scalar");
        require(i.type == f_.scalars[i.a], "the scalar has another type");
        return;
      case CTN_X_INDEX: require(map && i.type == CTN_INT64, "INDEX is an int64 of map"); return;
      case CTN_X_SIZE:
        require(part != Part::kReduce && i.type == CTN_INT64, "SIZE is an int64 of map and post");
        return;
      case CTN_X_RAW: {
        require(map && i.a >= 0 && i.a < f_.n_args, "there is no such argument here");
        const ctn_form_arg& arg = f_.args[i.a];
        require(arg.role == CTN_ROLE_RAW, "the argument is not RAW");
        require(i.type == value_type(arg.dtype), "the argument has another type");
        require(value(p, i.b) == CTN_INT64, "an index is an int64");
        return;
      }
      case CTN_X_ACC:
      case CTN_X_ITEM:
        require(!map && (i.op == CTN_X_ACC || part == Part::kReduce), "no accumulators here");
        require(i.a >= 0 && i.a < f_.n_acc, "there is no such accumulator");
        require(i.type == f_.accs[i.a].type, "the accumulator has another type");
        return;
      default: refuse("unknown opcode");
    }
  }

  void operation(const ctn_program& p, const ctn_inst& i) const {
    const OpInfo& info = op_info(i.op);
    const Type first = value(p, i.a);
    if (i.op == CTN_X_CAST) return;
    if (i.op == CTN_X_SELECT) {
      require(first == CTN_BOOL8, "a condition is a bool");
      require(value(p, i.b) == i.type && value(p, i.c) == i.type, "the operands have other types");
      return;
    }
    for (int j = 1; j < info.operands; ++j)
      require(value(p, i.b) == first, "the operands have two types");
    require(takes(info.takes, first), "the operation does not take this type");
    require(i.type == (info.gives_bool ? Type{CTN_BOOL8} : first), "the result has another type");
  }

  const ctn_form& f_;
  const char* part_ = nullptr;
  int32_t at_ = -1;
  std::vector<bool> done_;
};

}  // namespace

void validate(const ctn_form& form) { Checker(form).run(); }

}  // namespace catena::expr
