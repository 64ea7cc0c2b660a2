// Reductions as CUDA C on the false driver against the plain executor: every way a launch is cut,
// and equal bits whenever it is repeated.
#include "cuda/support.h"

namespace cuda_test {
namespace {

using cpu_test::form_of;
using cpu_test::Layout;
using cpu_test::Random;

struct Kind {
  const char* name;
  const char* map;
  const char* reduce;
  const char* post;
  const char* identity;
  const char* out;
};
constexpr Kind kKinds[] = {
    {"sum", "x", "a + b", "y = a", "0", "T y"},
    {"max", "x", "max(a, b)", "y = a", "-100", "T y"},
    {"mean", "(double)x", "a + b", "y = a / n", "0", "double y"},
    {"sum of indexes", "i", "a + b", "y = a", "0", "int64 y"},
    {"all", "x != (T)3", "a && b", "y = a", "1", "bool y"},
    {"argmax", "a0 = x; a1 = i",
     "bool take = b0 > a0 || (b0 == a0 && b1 < a1); a0 = take ? b0 : a0; a1 = take ? b1 : a1",
     "y = a1", "-1000, 9223372036854775807", "int64 y"},
    {"moments", "a0 = (double)x; a1 = (double)x * x; a2 = x",
     "a0 = a0 + b0; a1 = a1 + b1; "
     "a2 = min(a2, b2)",
     "y = a1 + a0 * a0 / n; z = a2", "0, 0, 100", "double y, T z"},
};

struct Space {
  std::vector<int64_t> shape;
  int n_reduced;
};
const Space kSpaces[] = {
    {{7}, 1},
    {{1000}, 1},
    {{9000}, 1},
    {{3, 0}, 1},
    {{5, 3}, 1},
    {{300, 17}, 1},
    {{40, 300}, 1},
    {{2, 9000}, 1},
    {{40, 9, 11}, 2},
    {{3, 4, 50, 6}, 2},
    {{4, 5}, 0},
    {{1, 1, 33}, 3},
    {{2, 1, 3, 1, 2, 1, 3, 2, 2, 5}, 3},
};

std::shared_ptr<const catena::expr::Form> make(const Kind& kind, uint8_t dtype) {
  catena::expr::Source s;
  s.in = catena::expr::parse_params("T x", kind.name);
  s.out = catena::expr::parse_params(kind.out, kind.name);
  s.map = kind.map;
  s.reduce = kind.reduce;
  s.post = kind.post;
  s.identity = kind.identity;
  std::vector<uint8_t> dtypes(1 + s.out.size(), catena::expr::kInfer);
  dtypes[0] = dtype;
  return form_of(s, dtypes);
}

Call make_call(const ctn_form& form, const Space& space, Layout layout, Random& random) {
  Call call;
  call.shape = space.shape;
  call.n_reduced = space.n_reduced;
  const size_t kept = space.shape.size() - static_cast<size_t>(space.n_reduced);
  for (int32_t k = 0; k < form.n_args; ++k) {
    const bool output = form.args[k].role == CTN_ROLE_OUT;
    Argument a =
        cpu_test::make_argument(form.args[k].dtype, space.shape, layout, output, kept, random);
    cpu_test::fill(a, form.args[k].dtype, random, false);
    call.args.push_back(a);
  }
  return call;
}

TEST_CASE("reductions equal the plain executor") {
  Random random(3);
  for (const Kind& kind : kKinds) {
    for (const uint8_t dtype : {CTN_FLOAT32, CTN_INT32, CTN_FLOAT16}) {
      const auto form = make(kind, dtype);
      for (const Space& space : kSpaces) {
        for (const Layout layout : {Layout::kDense, Layout::kTransposed, Layout::kMixed}) {
          CAPTURE(space.shape.size());
          CAPTURE(space.shape.back());
          const Call call = make_call(form->c(), space, layout, random);
          const auto got = Cuda::get().run(form->c(), call);
          const double tolerance = dtype == CTN_FLOAT16 ? 2 : 5e-4;
          const std::string text = difference(got, plain(form->c(), call), form->c(), tolerance);
          if (!text.empty())
            FAIL_CHECK(std::string(kind.name), ", dtype ", int{dtype}, ", ", space.shape.size(),
                       " dimensions, the last of ", space.shape.back(), ": ", text);
          if (layout == Layout::kDense)
            CHECK(difference(Cuda::get().run(form->c(), call), got, form->c(), 0) == "");
        }
      }
    }
  }
}

}  // namespace
}  // namespace cuda_test
