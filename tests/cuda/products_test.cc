// linear with a bias as one product of cuBLASLt, and without it where that has nothing: the same
// numbers, beside the cpu's.
#include <dlfcn.h>

#include <type_traits>

#include "compare.h"

using namespace catena;
using cuda_test::compare;

namespace {

// The false cuBLASLt's controls (fake/cublas_lt.cc).
struct FakeLt {
  int (*products)();
  int (*descriptors)();
  void (*refuse)(int);

  FakeLt() {
    void* library = dlopen("libcublasLt.so.13", RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    const auto find = [&](auto& f, const char* name) {
      f = reinterpret_cast<std::remove_reference_t<decltype(f)>>(dlsym(library, name));
      REQUIRE(static_cast<bool>(f));
    };
    find(products, "fake_cublas_lt_products");
    find(descriptors, "fake_cublas_lt_descriptors");
    find(refuse, "fake_cublas_lt_refuse");
  }
  ~FakeLt() { refuse(0); }
  FakeLt(const FakeLt&) = delete;
  FakeLt& operator=(const FakeLt&) = delete;

  // How many products ran in body().
  template <class Body>
  int count(Body&& body) const {
    const int before = products();
    body();
    CHECK(descriptors() == 0);
    return products() - before;
  }
};

constexpr ctn_dtype kBfloat16{CTN_DT_BFLOAT, 16, 1};

void compare_linear(int64_t rows, int64_t units, const std::vector<ctn_dtype>& dtypes) {
  compare(
      "linear", {{rows, 7}, {units, 7}, {units}},
      [](auto v) { return F::linear(v[0], v[1], v[2]); }, dtypes);
}

}  // namespace

TEST_CASE("linear with a bias is one product") {
  const FakeLt lt;
  for (const ctn_dtype dtype : {float16, kBfloat16, float32})
    CHECK(lt.count([&] { compare_linear(6, 5, {dtype}); }) == 1);
  CHECK(lt.count([] { compare_linear(6, 1, {float32}); }) == 0);  // vectors are cuBLAS's
  CHECK(lt.count([] { compare_linear(1, 6, {float32}); }) == 0);
  CHECK(lt.count([] { compare_linear(6, 5, {float64}); }) == 0);
  const auto bare = [](auto v) { return F::linear(v[0], v[1]); };
  CHECK(lt.count([&] { compare("no bias", {{6, 7}, {5, 7}}, bare, {float32}); }) == 0);
  const auto nothing = [](auto v) { return F::linear(v[0], v[1], v[2]); };
  CHECK(lt.count([&] { compare("k is 0", {{6, 0}, {5, 0}, {5}}, nothing, {float32}); }) == 0);
}

TEST_CASE("a product of arrays that begin elsewhere has an algorithm of its own") {
  const FakeLt lt;
  const auto later = [](auto v) {
    const Variable x = F::get_item(v[0], {slice(1, 4)});
    return F::linear(x, v[1], v[2]);
  };
  for (const ctn_dtype dtype : {float16, float32}) {
    CHECK(lt.count([&] { compare_linear(3, 4, {dtype}); }) == 1);
    CHECK(lt.count([&] { compare("later rows", {{5, 7}, {4, 7}, {4}}, later, {dtype}); }) == 1);
  }
}

TEST_CASE("where cuBLASLt has nothing, the bias is put there first") {
  const FakeLt lt;
  for (const int how : {1, 2, 3}) {
    lt.refuse(how);
    // kinds that no other test knows: what was decided lasts
    CHECK(lt.count([&] { compare_linear(10 + how, 9, {float16, float32}); }) == 0);
    lt.refuse(0);
    CHECK(lt.count([&] { compare_linear(10 + how, 9, {float16, float32}); }) == 0);
  }
  CHECK(lt.count([] { compare_linear(14, 9, {float16, float32}); }) == 2);
}

TEST_CASE("what cuBLASLt lacks is logged, what breaks in it is an error") {
  const FakeLt lt;
  std::string said;
  std::function<void(int, std::string_view, std::string_view)> log =
      [&](int, std::string_view topic, std::string_view text) {
        if (topic == "kernel" && text.find("cuBLASLt") != text.npos) said += text;
      };
  const Context ctx(ContextOptions{.device = "cuda", .log = &log, .log_level = CTN_LOG_DEBUG});
  const Variable x(Array::full({2, 3}, 1)), w(Array::full({11, 3}, 1)), b(Array::full({11}, 1));
  lt.refuse(4);
  CHECK_THROWS_WITH_AS(F::linear(x, w, b),
                       doctest::Contains("cuda:0: cuBLASLt: choosing an algorithm"), DeviceError);
  CHECK(said.empty());
  lt.refuse(1);
  for (int k = 0; k < 2; ++k)
    CHECK(F::linear(x, w, b).array().to_vector<float>() == cuda_test::Floats(22, 4));
  CHECK(said ==
        "cuda:0: cuBLASLt has no kernel for float32 2x3 times 3x11 and a bias, which is put "
        "there first");
}

TEST_CASE("use_cudnn_tensor_core is a part of the kind") {
  const FakeLt lt;
  const auto tf32 = [](auto v) {
    const using_config c("use_cudnn_tensor_core", "always");
    return F::linear(v[0], v[1], v[2]);
  };
  lt.refuse(1);
  CHECK(lt.count([&] { compare("TF32", {{3, 7}, {8, 7}, {8}}, tf32, {float32}); }) == 0);
  lt.refuse(0);
  CHECK(lt.count([] { compare_linear(3, 8, {float32}); }) == 1);
}
