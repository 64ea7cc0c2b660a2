// Launching: many launches at once, large ones on several threads, programs too large for the
// stack, and the choice of the instruction set.
#include <cstdlib>

#include "cpu/expr_support.h"
#include "main.h"

namespace cpu_test {
namespace {

using catena::cpu::best_isa;
using catena::cpu::compile_program;
using catena::cpu::launch_program;
using catena::cpu::loops_of;

// Momentum with a scalar that is combined before use, and one that every launch brings itself.
std::shared_ptr<const catena::expr::Form> update_form() {
  catena::expr::Source s;
  s.in = catena::expr::parse_params("T grad", "update");
  s.out = catena::expr::parse_params("T param, T v", "update");
  for (auto& out : s.out) out.inout = true;
  s.scalars = catena::expr::parse_params("float32 lr, float32 momentum", "update");
  s.map = "v = momentum * v - (lr * 0.5) * grad; param += v / n * 3";
  return form_of(s, {CTN_FLOAT32, CTN_FLOAT32, CTN_FLOAT32}, {CTN_FLOAT32, CTN_FLOAT32});
}

struct Many {
  std::vector<std::vector<float>> memory;  // three arrays each
  std::vector<std::vector<uint64_t>> scalars;
  std::vector<int64_t> sizes;
};

Many make_many(Random& random) {
  Many m;
  for (int k = 0; k < 300; ++k) {
    const int64_t n = k == 17 ? 300000 : k == 200 ? 70001 : pick(random, 1, k % 7 == 0 ? 5000 : 60);
    m.sizes.push_back(n);
    for (int a = 0; a < 3; ++a) {
      std::vector<float> v(static_cast<size_t>(n));
      for (float& x : v) x = static_cast<float>(pick(random, -1000, 1000)) / 64;
      m.memory.push_back(v);
    }
    const float pair[2] = {static_cast<float>(1 + k / 50), 0.75f};
    std::vector<uint64_t> bits(2, 0);
    for (size_t j = 0; j < 2; ++j) std::memcpy(&bits[j], &pair[j], sizeof pair[j]);
    m.scalars.push_back(bits);
  }
  return m;
}

template <class Body>
void with_launches(Many& m, FakeExec& exec, Body body) {
  static constexpr int64_t kStrides[3] = {4, 4, 4};
  std::vector<std::vector<void*>> data(m.sizes.size());
  std::vector<ctn_launch> launches(m.sizes.size());
  for (size_t k = 0; k < m.sizes.size(); ++k) {
    for (size_t a = 0; a < 3; ++a) data[k].push_back(m.memory[3 * k + a].data());
    ctn_launch& l = launches[k];
    l = ctn_launch{};
    l.size = sizeof l;
    l.ndim = 1;
    l.shape = &m.sizes[k];
    l.data = data[k].data();
    l.strides = kStrides;
    // neighbours share one set of scalars now and then, as the parameters of one rule do
    l.scalars = m.scalars[k / 3 * 3].data();
    l.exec = reinterpret_cast<ctn_exec>(&exec);
  }
  body(launches);
}

TEST_CASE("many launches at once equal one after the other") {
  Random random(5);
  const Many start = make_many(random);
  const auto form = update_form();
  Many want = start;
  FakeExec exec;
  with_launches(want, exec, [&](const std::vector<ctn_launch>& launches) {
    for (const ctn_launch& l : launches) catena::expr::run_plain(form->c(), l);
  });
  for (const Isa isa : available_isas()) {
    const auto program = compile_program(fake_host(), loops_of(isa), form->c());
    for (const int threads : {1, 2, 3, 8}) {
      Many got = start;
      exec.threads = threads;
      with_launches(got, exec, [&](const std::vector<ctn_launch>& launches) {
        REQUIRE(launch_program(*program, launches.data(), static_cast<int32_t>(launches.size())) ==
                CTN_OK);
      });
      CHECK(got.memory == want.memory);
    }
  }
}

TEST_CASE("a large launch is cut for the pool, whatever its strides") {
  const auto form = form_of(source_of("T x, T z", "T y", "y = sqrt(abs(x)) + z * i"), {10, 10, 10});
  const auto program = compile_program(fake_host(), loops_of(best_isa()), form->c());
  Random random(6);
  for (const Layout layout :
       {Layout::kDense, Layout::kBroadcast, Layout::kTransposed, Layout::kMixed}) {
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{400001}, {700, 701}, {60000, 7}, {7, 60000}, {50, 3, 40, 60}}) {
      Call call;
      call.shape = shape;
      for (int k = 0; k < 3; ++k) {
        const Layout own = k == 2 ? Layout::kDense : layout;
        Argument a = make_argument(CTN_FLOAT32, shape, own, k == 2, shape.size(), random);
        fill(a, CTN_FLOAT32, random, false);
        call.args.push_back(a);
      }
      const auto run = [&](int threads) {
        FakeExec exec;
        exec.threads = threads;
        auto result = run_on_copy(call, &exec, [&](const ctn_launch& l) {
          REQUIRE(launch_program(*program, &l, 1) == CTN_OK);
        });
        CHECK(exec.ranges > 1);
        return result;
      };
      const auto one = run(1);
      const auto want = run_on_copy(
          call, nullptr, [&](const ctn_launch& l) { catena::expr::run_plain(form->c(), l); });
      CHECK_MESSAGE(difference(one, want, form->c(), 0).empty(),
                    difference(one, want, form->c(), 0));
      for (const int threads : {2, 3, 8})
        CHECK(difference(run(threads), one, form->c(), 0).empty());
    }
  }
}

// x + 1, x + 2, ... all kept alive until they are added up in reverse
TEST_CASE("a program with a thousand live values") {
  std::vector<ctn_inst> insts;
  const auto push = [&](uint16_t op, int32_t a, int32_t b, double f = 0) {
    ctn_inst i{};
    i.op = op;
    i.type = CTN_FLOAT64;
    i.a = a;
    i.b = b;
    i.imm.f = f;
    insts.push_back(i);
    return static_cast<int32_t>(insts.size()) - 1;
  };
  constexpr int kValues = 1000;
  const int32_t x = push(CTN_X_ARG, 0, 0);
  std::vector<int32_t> values;
  for (int k = 0; k < kValues; ++k)
    values.push_back(push(CTN_X_MUL, x, push(CTN_X_CONST, 0, 0, k)));
  int32_t sum = values.back();
  for (int k = kValues - 2; k >= 0; --k) sum = push(CTN_X_ADD, sum, values[static_cast<size_t>(k)]);
  push(CTN_X_STORE, 1, sum);
  const ctn_form_arg args[2] = {{CTN_FLOAT64, CTN_ROLE_IN, 0}, {CTN_FLOAT64, CTN_ROLE_OUT, 0}};
  ctn_form f{};
  f.size = sizeof f;
  f.version = CTN_FORM_VERSION;
  f.n_args = 2;
  f.args = args;
  f.map = {insts.data(), static_cast<int32_t>(insts.size()), 0};
  const auto form = catena::expr::Form::make(f);
  Random random(7);
  for (const Layout layout : {Layout::kDense, Layout::kStrided}) {
    Call call;
    call.shape = {3, 500};
    for (int k = 0; k < 2; ++k) {
      Argument a = make_argument(CTN_FLOAT64, call.shape, layout, k == 1, 2, random);
      fill(a, CTN_FLOAT64, random, false);
      call.args.push_back(a);
    }
    const auto want = run_on_copy(
        call, nullptr, [&](const ctn_launch& l) { catena::expr::run_plain(form->c(), l); });
    FakeExec exec;
    const auto program = compile_program(fake_host(), loops_of(best_isa()), form->c());
    const auto got = run_on_copy(call, &exec, [&](const ctn_launch& l) {
      REQUIRE(launch_program(*program, &l, 1) == CTN_OK);
    });
    CHECK(difference(got, want, form->c(), 0).empty());
  }
}

TEST_CASE("an opcode nobody computes is declined") {
  const ctn_form_arg args[2] = {{CTN_FLOAT32, CTN_ROLE_IN, 0}, {CTN_FLOAT32, CTN_ROLE_OUT, 0}};
  ctn_inst insts[3] = {};
  insts[0].op = CTN_X_ARG;
  insts[0].type = CTN_FLOAT32;
  insts[1].op = CTN_X_END_;
  insts[1].type = CTN_FLOAT32;
  insts[2].op = CTN_X_STORE;
  insts[2].type = CTN_FLOAT32;
  insts[2].a = 1;
  insts[2].b = 1;
  ctn_form f{};
  f.size = sizeof f;
  f.n_args = 2;
  f.args = args;
  f.map = {insts, 3, 0};
  CHECK_THROWS_AS((void)compile_program(fake_host(), loops_of(best_isa()), f),
                  catena::cpu::Declined);
}

TEST_CASE("CATENA_CPU_ISA") {
  const auto start_with = [](const char* value) {
    setenv("CATENA_CPU_ISA", value, 1);
    const ctn_status status = catena::cpu::start_isa(fake_host());
    unsetenv("CATENA_CPU_ISA");
    return status;
  };
  CHECK(start_with("sse2") == CTN_OK);
  CHECK(catena::cpu::isa() == Isa::kSse2);
  CHECK(start_with("sse9") == CTN_EINVAL);
  CHECK(last_error == "CATENA_CPU_ISA=sse9: known are sse2, avx2, avx512");
  CHECK(catena::cpu::isa() == Isa::kSse2);
  if (best_isa() != Isa::kAvx512) {
    CHECK(start_with("avx512") == CTN_EINVAL);
    CHECK(last_error.find("this machine has only") != std::string::npos);
  }
  CHECK(start_with("") == CTN_OK);
  CHECK(catena::cpu::isa() == best_isa());
}

}  // namespace
}  // namespace cpu_test
