// Elementwise forms on every instruction set this machine has, against the plain executor: random
// programs over all exact opcodes, dtypes, layouts and sizes around the block.
#include "cpu/expr_random.h"
#include "main.h"

namespace cpu_test {
namespace {

using catena::cpu::compile_program;
using catena::cpu::launch_program;
using catena::cpu::loops_of;

constexpr Layout kLayouts[] = {Layout::kDense,     Layout::kStrided,    Layout::kReversed,
                               Layout::kBroadcast, Layout::kTransposed, Layout::kMixed};

std::vector<int64_t> random_shape(Random& random) {
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
void share_memory(const ctn_form& form, Call& call, Random& random) {
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

Call random_call(const ctn_form& form, Random& random) {
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

std::vector<Argument> run_cpu(const ctn_form& form, const Call& call, Isa isa, int threads = 1) {
  FakeExec exec;
  exec.threads = threads;
  const auto program = compile_program(fake_host(), loops_of(isa), form);
  return run_on_copy(call, &exec, [&](const ctn_launch& l) {
    const ctn_status status = launch_program(*program, &l, 1);
    INFO(last_error);
    REQUIRE(status == CTN_OK);
  });
}

std::vector<Argument> run_reference(const ctn_form& form, const Call& call) {
  return run_on_copy(call, nullptr, [&](const ctn_launch& l) { catena::expr::run_plain(form, l); });
}

TEST_CASE("random forms equal the plain executor") {
  Random random(1);
  for (int k = 0; k < 3000; ++k) {
    const RandomForm form(random);
    for (int repeat = 0; repeat < 2; ++repeat) {
      const Call call = random_call(form.form(), random);
      const auto want = run_reference(form.form(), call);
      for (const Isa isa : available_isas()) {
        const auto got = run_cpu(form.form(), call, isa);
        const std::string text = difference(got, want, form.form(), 0);
        if (text.empty()) continue;
        std::string shape;
        for (const int64_t n : call.shape) shape += std::to_string(n) + " ";
        FAIL("form ", k, " on ", std::string(catena::cpu::isa_name(isa)), ", shape ", shape, ": ",
             text, "\n", form.text());
      }
    }
  }
}

}  // namespace
}  // namespace cpu_test
