// Elementwise forms as CUDA C, compiled for the host and run by the false driver, against the plain
// executor: random programs over all exact opcodes, dtypes, layouts and sizes, and the mathematics.
#include "cpu/expr_random.h"
#include "cuda/support.h"

namespace cuda_test {
namespace {

using cpu_test::form_of;
using cpu_test::Random;
using cpu_test::source_of;

TEST_CASE("random forms equal the plain executor") {
  Random random(7);
  for (int k = 0; k < 60; ++k) {
    const cpu_test::RandomForm form(random);
    for (int repeat = 0; repeat < 3; ++repeat) {
      const Call call = cpu_test::random_call(form.form(), random);
      const auto got = Cuda::get().run(form.form(), call);
      const std::string text = difference(got, plain(form.form(), call), form.form(), 0);
      if (text.empty()) continue;
      std::string shape;
      for (const int64_t n : call.shape) shape += std::to_string(n) + " ";
      FAIL("form ", k, ", shape ", shape, ": ", text, "\n", form.text());
    }
  }
}

// More dimensions than kernel parameters hold: their description lies in device memory.
TEST_CASE("as many dimensions as there may be") {
  Random random(8);
  const auto form =
      form_of(source_of("T x, raw T r, U u", "T y, U v", "y = x + r[i % 5]; v = u * 2"),
              {CTN_FLOAT32, CTN_FLOAT32, CTN_INT16, CTN_FLOAT32, CTN_INT16});
  for (const int ndim : {2, 8, 9, 16, 32}) {
    Call call;
    for (int d = 0; d < ndim; ++d) call.shape.push_back(d % 5 == 0 ? 3 : d % 3 == 0 ? 2 : 1);
    for (int32_t k = 0; k < form->c().n_args; ++k) {
      const ctn_form_arg& arg = form->c().args[k];
      Argument a;
      if (arg.role == CTN_ROLE_RAW) {
        a = cpu_test::make_argument(arg.dtype, {5}, cpu_test::Layout::kDense, true, 1, random);
        a.count = 5;
        a.strides.assign(call.shape.size(), 0);
      } else {
        a = cpu_test::make_argument(arg.dtype, call.shape, cpu_test::Layout::kMixed,
                                    arg.role != CTN_ROLE_IN, call.shape.size(), random);
      }
      cpu_test::fill(a, arg.dtype, random, false);
      call.args.push_back(a);
    }
    CAPTURE(ndim);
    CHECK(difference(Cuda::get().run(form->c(), call), plain(form->c(), call), form->c(), 0) == "");
  }
}

// Functions that the device's library computes: here the host's, so that what is tested is which
// function an opcode became, and what ours of them do at their edges.
TEST_CASE("mathematics") {
  constexpr const char* kUnary[] = {
      "sqrt(x)",     "rsqrt(x)",       "exp(x)",         "expm1(x)",  "exp2(x)", "log(x)",
      "log1p(x)",    "log2(x)",        "log10(x)",       "sin(x)",    "cos(x)",  "tan(x)",
      "asin(x)",     "acos(x)",        "atan(x)",        "sinh(x)",   "cosh(x)", "tanh(x)",
      "erf(x)",      "erfc(x)",        "lgamma(x)",      "floor(x)",  "ceil(x)", "trunc(x)",
      "rint(x)",     "sigmoid(x)",     "digamma(x)",     "sign(x)",   "abs(x)",  "pow(x, z)",
      "atan2(x, z)", "floordiv(x, z)", "floormod(x, z)", "fmod(x, z)"};
  Random random(9);
  for (const uint8_t dtype : {CTN_FLOAT32, CTN_FLOAT64, CTN_FLOAT16, CTN_BFLOAT16}) {
    std::string out, map;
    for (size_t first = 0; first < std::size(kUnary); first += 17) {
      out.clear();
      map.clear();
      std::vector<uint8_t> dtypes = {dtype, dtype};
      for (size_t k = first; k < first + 17; ++k) {
        const std::string name = "y" + std::to_string(k);
        out += (k == first ? "T " : ", T ") + name;
        map += name + " = " + kUnary[k] + "; ";
        dtypes.push_back(dtype);
      }
      const auto form = form_of(source_of("T x, T z", out.c_str(), map.c_str()), dtypes);
      Call call;
      call.shape = {700};
      for (int32_t k = 0; k < form->c().n_args; ++k) {
        Argument a =
            cpu_test::make_argument(dtype, call.shape, cpu_test::Layout::kDense, k > 1, 1, random);
        cpu_test::fill(a, dtype, random, true);
        call.args.push_back(a);
      }
      const double tolerance = dtype == CTN_FLOAT64 ? 1e-14 : dtype == CTN_FLOAT32 ? 2e-6 : 2e-2;
      CAPTURE(int{dtype});
      CHECK(difference(Cuda::get().run(form->c(), call), plain(form->c(), call), form->c(),
                       tolerance) == "");
    }
  }
}

}  // namespace
}  // namespace cuda_test
