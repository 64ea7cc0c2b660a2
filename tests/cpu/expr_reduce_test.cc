// Reductions on every instruction set this machine has, against the plain executor: opcodes,
// dtypes, orders of memory, sizes around lanes and blocks, and equal bits for any number of
// threads.
#include "cpu/expr_support.h"
#include "main.h"

namespace cpu_test {
namespace {

using catena::cpu::compile_program;
using catena::cpu::launch_program;
using catena::cpu::loops_of;
using catena::expr::Source;

struct Kind {
  const char* name;
  const char* map;
  const char* reduce;
  const char* post;
  const char* identity;
  const char* out;  // output type
};

constexpr Kind kKinds[] = {
    {"sum", "x", "a + b", "y = a", "0", "T y"},
    {"prod", "x > (T)0 ? (T)1.01 : (T)0.99", "a * b", "y = a", "1", "T y"},
    {"min", "x", "min(a, b)", "y = a", "100", "T y"},
    {"max", "x", "max(a, b)", "y = a", "-100", "T y"},
    {"sum of squares", "x * x", "a + b", "y = a + n", "0", "T y"},
    {"mean", "(double)x", "a + b", "y = a / n", "0", "double y"},
    {"count", "1", "a + b", "y = a * 2", "0", "int64 y"},
    {"sum of indexes", "i", "a + b", "y = a", "0", "int64 y"},
    {"all", "x != (T)3", "a && b", "y = a", "1", "bool y"},
    {"any", "x == (T)3", "a || b", "y = a", "0", "bool y"},
    {"argmax", "a0 = x; a1 = i",
     "bool take = b0 > a0 || (b0 == a0 && b1 < a1); a0 = take ? b0 : a0; a1 = take ? b1 : a1",
     "y = a1", "-1000, 9223372036854775807", "int64 y"},
    {"moments", "a0 = (double)x; a1 = (double)x * x", "a0 = a0 + b0; a1 = a1 + b1",
     "y = a1 + a0 * a0 / n", "0, 0", "double y"},
    {"general sum", "x", "a < (T)7 ? a + b : b + a", "y = a", "0", "T y"},
};

std::shared_ptr<const catena::expr::Form> make(const Kind& kind, uint8_t dtype) {
  Source s;
  s.in = catena::expr::parse_params("T x", kind.name);
  s.out = catena::expr::parse_params(kind.out, kind.name);
  s.map = kind.map;
  s.reduce = kind.reduce;
  s.post = kind.post;
  s.identity = kind.identity;
  return form_of(s, {dtype, catena::expr::kInfer});
}

struct Space {
  std::vector<int64_t> shape;
  int n_reduced;
};

Call make_call(const ctn_form& form, const Space& space, Layout layout, Random& random) {
  Call call;
  call.shape = space.shape;
  call.n_reduced = space.n_reduced;
  const size_t kept = space.shape.size() - static_cast<size_t>(space.n_reduced);
  for (int32_t k = 0; k < form.n_args; ++k) {
    const bool output = form.args[k].role == CTN_ROLE_OUT;
    Argument a = make_argument(form.args[k].dtype, space.shape, layout, output, kept, random);
    fill(a, form.args[k].dtype, random, false);
    call.args.push_back(a);
  }
  return call;
}

std::vector<Argument> run_cpu(const catena::cpu::Program& program, const Call& call, int threads,
                              int64_t* ranges = nullptr) {
  FakeExec exec;
  exec.threads = threads;
  auto result = run_on_copy(call, &exec, [&](const ctn_launch& l) {
    const ctn_status status = launch_program(program, &l, 1);
    INFO(last_error);
    REQUIRE(status == CTN_OK);
  });
  if (ranges != nullptr) *ranges = exec.ranges;
  return result;
}

std::string describe(const Space& space) {
  std::string text = "shape";
  for (const int64_t n : space.shape) text += " " + std::to_string(n);
  return text + ", reduced " + std::to_string(space.n_reduced);
}

void check(const Kind& kind, uint8_t dtype, const Space& space, Layout layout, Random& random) {
  const auto form = make(kind, dtype);
  const Call call = make_call(form->c(), space, layout, random);
  const auto want = run_on_copy(
      call, nullptr, [&](const ctn_launch& l) { catena::expr::run_plain(form->c(), l); });
  int64_t reduced = 1;
  for (size_t d = space.shape.size() - static_cast<size_t>(space.n_reduced); d < space.shape.size();
       ++d) {
    reduced *= space.shape[d];
  }
  // the plain executor adds one after the other: its own error dominates
  const double unit = dtype == CTN_FLOAT64 || std::string(kind.out) == "double y" ? 1e-15 : 6e-8;
  const double half = dtype == CTN_FLOAT16 ? 1 : dtype == CTN_BFLOAT16 ? 0.01 : 0;
  const double tolerance = half + 4 * unit * static_cast<double>(reduced + 4);
  for (const Isa isa : available_isas()) {
    const auto program = compile_program(fake_host(), loops_of(isa), form->c());
    const auto got = run_cpu(*program, call, 1);
    const std::string text = difference(got, want, form->c(), tolerance);
    INFO(std::string(kind.name), " of dtype ", int(dtype), ", ", describe(space), ", layout ",
         int(layout), " on ", std::string(catena::cpu::isa_name(isa)));
    CHECK_MESSAGE(text.empty(), text);
  }
}

const Space kSpaces[] = {
    {{1}, 1},
    {{2}, 1},
    {{63}, 1},
    {{64}, 1},
    {{65}, 1},
    {{4095}, 1},
    {{4097}, 1},
    {{70001}, 1},
    {{5}, 0},
    {{5, 1}, 1},
    {{3, 100}, 1},
    {{100, 3}, 1},
    {{300, 7}, 1},
    {{300, 7}, 2},
    {{7, 47}, 1},
    {{64, 47}, 1},
    {{64, 48}, 1},
    {{3, 2000}, 1},
    {{1500, 20}, 1},
    {{10, 300}, 1},
    {{2, 3, 4, 5}, 2},
    {{4, 30, 50}, 2},
    {{6, 9, 11, 7}, 1},
    {{6, 9, 11, 7}, 3},
    {{3, 5, 200, 3}, 2},
    {{1, 5000}, 1},
    {{}, 0},
    {{4, 0}, 1},
    {{0, 4}, 1},
    {{3, 0, 5}, 2},
};

constexpr Layout kLayouts[] = {Layout::kDense,     Layout::kStrided,    Layout::kReversed,
                               Layout::kBroadcast, Layout::kTransposed, Layout::kMixed};

TEST_CASE("reductions equal the plain executor") {
  Random random(2);
  for (const Kind& kind : kKinds) {
    for (const Space& space : kSpaces) {
      for (const Layout layout : kLayouts) {
        static constexpr uint8_t kDtypes[] = {CTN_FLOAT32, CTN_FLOAT64, CTN_INT32,  CTN_INT64,
                                              CTN_INT8,    CTN_UINT8,   CTN_FLOAT16};
        check(kind, kDtypes[pick(random, 0, 6)], space, layout, random);
        check(kind, CTN_FLOAT32, space, layout, random);
      }
    }
  }
}

TEST_CASE("bits do not depend on the number of threads") {
  Random random(3);
  static const Space kLarge[] = {
      {{1000003}, 1},   {{10, 100000}, 1},  {{3, 70000}, 1},  {{300, 3000}, 1},
      {{5000, 200}, 1}, {{40, 60, 300}, 2}, {{33, 40000}, 1},
  };
  for (const Kind& kind : {kKinds[0], kKinds[4], kKinds[10], kKinds[11], kKinds[12]}) {
    for (const Space& space : kLarge) {
      for (const Layout layout : {Layout::kDense, Layout::kTransposed}) {
        const auto form = make(kind, CTN_FLOAT32);
        const Call call = make_call(form->c(), space, layout, random);
        const auto program =
            compile_program(fake_host(), loops_of(catena::cpu::best_isa()), form->c());
        int64_t ranges = 0;
        const auto one = run_cpu(*program, call, 1, &ranges);
        INFO(std::string(kind.name), ", ", describe(space), ", layout ", int(layout));
        CHECK(ranges > 1);
        for (const int threads : {2, 3, 8}) {
          const auto many = run_cpu(*program, call, threads);
          CHECK_MESSAGE(difference(many, one, form->c(), 0).empty(), threads, " threads");
        }
      }
    }
  }
}

TEST_CASE("sums of many items stay accurate") {
  // 0.1f added 16 million times one after the other is 2097152 instead of 1677721.625
  const auto form = make(kKinds[0], CTN_FLOAT32);
  const float item = 0.1f;
  for (const auto& [shape, n_reduced] :
       {Space{{1 << 24}, 1}, Space{{4, 1 << 22}, 1}, Space{{1 << 22, 4}, 1}}) {
    for (const bool across : {false, true}) {
      Call call;
      call.shape = shape;
      call.n_reduced = n_reduced;
      if (shape.size() == 2 && shape[1] == 4) call.shape = {4, 1 << 22};
      Argument x;
      x.bytes.resize(4u << 24);
      for (size_t k = 0; k < x.bytes.size(); k += 4) std::memcpy(x.bytes.data() + k, &item, 4);
      Argument y;
      y.bytes.resize(16);
      const bool rows = call.shape.size() == 2;
      x.strides = !rows    ? std::vector<int64_t>{4}
                  : across ? std::vector<int64_t>{4, 16}
                           : std::vector<int64_t>{4 << 22, 4};
      y.strides = rows ? std::vector<int64_t>{4, 0} : std::vector<int64_t>{0};
      call.args = {x, y};
      const auto program =
          compile_program(fake_host(), loops_of(catena::cpu::best_isa()), form->c());
      const auto got = run_cpu(*program, call, 2);
      float sum = 0;
      std::memcpy(&sum, got[1].bytes.data(), 4);
      const double exact = static_cast<double>(item) * (rows ? 1 << 22 : 1 << 24);
      CHECK(std::fabs(static_cast<double>(sum) / exact - 1) < 1e-6);
    }
  }
}

}  // namespace
}  // namespace cpu_test
