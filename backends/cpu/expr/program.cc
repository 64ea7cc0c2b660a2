// Compiling forms and finding out which reductions need no general program to join accumulators.
#include <cpu/expr/program.h>

#include <algorithm>
#include <string>

namespace catena::cpu {

void ProgramDeleter::operator()(Program* p) const noexcept { delete p; }

namespace {

// The opcode that joins accumulator k, if `reduce` yields op(ACC k, ITEM k) for it; 0 otherwise.
uint16_t single_op(const ctn_program& reduce, int32_t k) {
  for (int32_t i = 0; i < reduce.n; ++i) {
    const ctn_inst& yield = reduce.insts[i];
    if (yield.op != CTN_X_YIELD || yield.a != k) continue;
    const ctn_inst& join = reduce.insts[yield.b];
    const bool pair = join.op == CTN_X_ADD || join.op == CTN_X_MUL || join.op == CTN_X_MIN ||
                      join.op == CTN_X_MAX || join.op == CTN_X_AND || join.op == CTN_X_OR;
    if (!pair) return 0;
    const ctn_inst& a = reduce.insts[join.a];
    const ctn_inst& b = reduce.insts[join.b];
    const bool forward = a.op == CTN_X_ACC && b.op == CTN_X_ITEM;
    const bool backward = a.op == CTN_X_ITEM && b.op == CTN_X_ACC;
    return (forward || backward) && a.a == k && b.a == k ? join.op : uint16_t{0};
  }
  return 0;
}

void add_accumulators(Program& p, const ctn_form& form, const Loops& loops) {
  p.simple = p.spans = true;
  for (int32_t k = 0; k < form.n_acc; ++k) {
    const ctn_acc& a = form.accs[k];
    const uint16_t op = single_op(form.reduce, k);
    Accumulator acc{a.identity, a.type, static_cast<uint8_t>(size_of(a.type)),
                    loops.step({kOpSplat, a.type, 0, 1})};
    if (op != 0) {
      acc.step = loops.step({op, a.type, 0, 0});
      acc.join = loops.join(op, a.type);
    }
    p.simple = p.simple && acc.step != nullptr;
    p.spans = p.spans && acc.join.join != nullptr;
    const bool picks = op == CTN_X_MIN || op == CTN_X_MAX;
    p.rounds = p.rounds || (a.type >= CTN_FLOAT32 && !picks);
    p.accs.push_back(acc);
  }
}

// Block of dense work: one step without slots runs through its whole range at once.
int64_t dense_block(const Program& p) {
  const Code& code = p.map;
  if (code.body.size() == 1 && code.n_slots == 0) return INT64_MAX;
  size_t bytes = 0;
  for (uint32_t left = code.reads | code.writes; left != 0; left &= left - 1) {
    bytes += p.sizes[__builtin_ctz(left)];
  }
  return choose_block(code, bytes);
}

}  // namespace

ProgramPtr compile_program(const ctn_host* host, const Loops& loops, const ctn_form& form) {
  ProgramPtr p(new Program);
  p->host = host;
  p->n_args = form.n_args;
  for (int32_t k = 0; k < form.n_args; ++k) {
    p->sizes[k] = static_cast<uint8_t>(size_of(form.args[k].dtype));
  }
  p->map = compile_code(form, Section::kMap, loops);
  p->dense_block = dense_block(*p);
  p->dense_bytes = Frame::bytes(p->map, p->slot_block());
  if (form.n_acc > 0) {
    add_accumulators(*p, form, loops);
    if (!p->simple) p->reduce = compile_code(form, Section::kReduce, loops);
    p->post = compile_code(form, Section::kPost, loops);
  }
  return p;
}

ctn_status launch_program(const Program& program, const ctn_launch* launches, int32_t n) {
  if (!program.is_reduction()) return run_elementwise(program, launches, n);
  for (int32_t k = 0; k < n; ++k) {
    const ctn_status status = run_reduction(program, launches[k]);
    if (status != CTN_OK) return status;
  }
  return CTN_OK;
}

ctn_status fail_memory(const ctn_host* host, size_t bytes) {
  const std::string text = "expression: no memory for " + std::to_string(bytes) + " bytes of slots";
  return host->fail(CTN_ENOMEM, __FILE__, __LINE__, {text.data(), text.size()});
}

int64_t choose_block(const Code& code, size_t per_element) {
  constexpr size_t kBudget = 24 * 1024;  // of a 32 KiB cache
  const size_t bytes = per_element + size_t{code.n_slots} * code.slot_size;
  const size_t n = kBudget / std::max<size_t>(bytes, 1) / kLanes * kLanes;
  return static_cast<int64_t>(std::clamp<size_t>(n, kLanes, 2048));
}

int walk_args(const Program& program, const Code& code, const ctn_launch& launch, int first,
              WalkArg* out) {
  int n = 0;
  for (uint32_t left = code.reads | code.writes; left != 0; left &= left - 1) {
    const int arg = __builtin_ctz(left);
    WalkArg& a = out[n++];
    a.base = static_cast<char*>(launch.data[arg]);
    a.strides = launch.strides + static_cast<ptrdiff_t>(arg) * launch.ndim + first;
    a.arg = static_cast<uint8_t>(arg);
    a.size = program.sizes[arg];
    a.in = (code.reads >> arg & 1) != 0;
    a.out = (code.writes >> arg & 1) != 0;
    a.aside = false;
  }
  for (const Hazard& h : code.hazards) {
    if (launch.data[h.in] != launch.data[h.out]) continue;
    for (int k = 0; k < n; ++k) out[k].aside = out[k].aside || out[k].arg == h.out;
  }
  return n;
}

}  // namespace catena::cpu
