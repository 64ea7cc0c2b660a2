// Kernels written by hand as they are asked for, again and again, on two false GPUs.
#include <cuda/native.h>

#include <thread>
#include <vector>

#include "core/failing_new.h"
#include "cuda/support.h"

using catena::cuda::Native, catena::cuda::kBiasKernels;

namespace {

CUfunction find(Native& kernels, int device, const char* type = "f32") {
  return kernels.find(catena::cuda::device(device), "add_bias", {type, "i32"}, "Bias");
}

}  // namespace

TEST_CASE("a kernel is loaded once on a device, and found again without memory") {
  static auto* const kernels = new Native(kBiasKernels);
  const CUfunction first = find(*kernels, 0), other = find(*kernels, 1);
  const CUfunction wide = find(*kernels, 0, "f64");
  CHECK(first != other);
  CHECK(first != wide);
  catena_test::fail_allocation(1);
  CUfunction again[3] = {};
  CHECK_NOTHROW(again[0] = find(*kernels, 0));
  CHECK_NOTHROW(again[1] = find(*kernels, 1));
  CHECK_NOTHROW(again[2] = find(*kernels, 0, "f64"));
  catena_test::fail_allocation(0);
  CHECK(again[0] == first);
  CHECK(again[1] == other);
  CHECK(again[2] == wide);
}

TEST_CASE("threads that ask for a kernel at once get the same one") {
  static auto* const kernels = new Native(kBiasKernels);
  CUfunction got[4] = {};
  {
    std::vector<std::jthread> threads;
    for (CUfunction& f : got) threads.emplace_back([&f] { f = find(*kernels, 0); });
  }
  for (const CUfunction f : got) CHECK(f == got[0]);
  CHECK(got[0] != nullptr);
}

TEST_CASE("a kernel that is no sample of its text, or has too long a name, is an error") {
  static auto* const kernels = new Native(kBiasKernels);
  auto& d = catena::cuda::device(0);
  CHECK_THROWS_WITH_AS(kernels->find(d, "subtract_bias", {"f32"}, "Bias"),
                       doctest::Contains("subtract_bias<f32> is no sample of the text bias"),
                       catena::sdk::Error);
  CHECK_THROWS_WITH_AS(kernels->find(d, "add_bias", {std::string(200, 'x')}, "Bias"),
                       doctest::Contains("name is too long: add_bias"), catena::sdk::Error);
}
