// Elementwise forms on every instruction set this machine has, against the plain executor: random
// programs over all exact opcodes, dtypes, layouts and sizes around the block.
#include "cpu/expr_random.h"
#include "main.h"

namespace cpu_test {
namespace {

using catena::cpu::compile_program;
using catena::cpu::launch_program;
using catena::cpu::loops_of;

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
