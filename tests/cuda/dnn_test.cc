// Kernels of cuDNN on the false one: what they give beside the cpu's, which algorithms they choose,
// and that nothing is made twice or kept too long.
#include "dnn_support.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

using namespace catena;
using cuda_test::compare, cuda_test::FakeDnn, cuda_test::Floats, cuda_test::has;
using cuda_test::kernel_log, cuda_test::values;

namespace {

constexpr int64_t kFft = 4, kPrecompGemm = 1, kGemm = 0, kWinograd = 6;  // forward

Variable image(const Shape& shape, int seed = 0) { return Variable(values(shape, float32, seed)); }

// A file of decisions whose last line fits what it says.
std::string with_checksum(const std::string& text) {
  uint32_t crc = ~0u;
  for (const char c : text.substr(0, text.rfind("end "))) {
    crc ^= static_cast<unsigned char>(c);
    for (int k = 0; k < 8; ++k) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  char last[16];
  std::snprintf(last, sizeof last, "%08x\n", ~crc);
  return text.substr(0, text.rfind(' ') + 1) + last;
}

// Convolution of 3x3 and all of its gradients.
void step(const Variable& x, const Variable& w) {
  F::sum(F::square(F::convolution_2d(x, w, {.pad = 1}))).backward();
}

}  // namespace

TEST_CASE("convolutions give what the cpu gives") {
  const FakeDnn fake;
  const auto both = [&](const char* name, const std::vector<Shape>& shapes, const auto& body) {
    fake.computes([&] { compare(name, shapes, body); });
  };
  both("plain", {{2, 3, 5, 4}, {4, 3, 3, 2}}, [](auto v) { return F::convolution_2d(v[0], v[1]); });
  both("with bias, steps and border", {{2, 3, 7, 6}, {4, 3, 3, 3}, {4}}, [](auto v) {
    return F::convolution_2d(v[0], v[1], v[2], {.stride = Value({2, 1}), .pad = Value({1, 2})});
  });
  both("dilated", {{1, 2, 9, 8}, {3, 2, 3, 2}}, [](auto v) {
    return F::convolution_2d(v[0], v[1], {.dilate = Value({2, 3})});
  });
  both("in groups", {{2, 6, 5, 5}, {4, 3, 3, 3}, {4}},
       [](auto v) { return F::convolution_2d(v[0], v[1], v[2], {.pad = 1, .groups = 2}); });
  both("each channel apart", {{2, 4, 5, 5}, {4, 1, 3, 3}},
       [](auto v) { return F::convolution_2d(v[0], v[1], {.groups = 4}); });
  both("transposed", {{2, 3, 4, 3}, {3, 5, 3, 3}, {5}},
       [](auto v) { return F::deconvolution_2d(v[0], v[1], v[2], {.stride = 2, .pad = 1}); });
  both("transposed, in groups", {{2, 4, 3, 3}, {4, 2, 2, 2}, {4}},
       [](auto v) { return F::deconvolution_2d(v[0], v[1], v[2], {.stride = 2, .groups = 2}); });
  both("transposed, of a given size", {{1, 2, 3, 3}, {2, 2, 3, 3}}, [](auto v) {
    return F::deconvolution_2d(v[0], v[1], {.stride = 2, .outsize = Value({8, 7})});
  });
}

TEST_CASE("gradients of gradients of convolutions") {
  const FakeDnn fake;
  const auto twice = [](const std::string& device) {
    const Context ctx(device);
    Variable x = image({1, 2, 4, 4}), w = image({2, 2, 3, 3}, 1);
    const Variable y = F::sum(F::square(F::convolution_2d(x, w, {.pad = 1})));
    y.backward({.enable_double_backprop = true});
    const Variable gx = x.grad(), gw = w.grad();
    x.cleargrad();
    w.cleargrad();
    (F::sum(F::square(gx)) + F::sum(F::square(gw))).backward();
    Floats out = x.grad().array().to_vector<float>();
    const Floats more = w.grad().array().to_vector<float>();
    out.insert(out.end(), more.begin(), more.end());
    return out;
  };
  const Floats want = twice("cpu");
  fake.computes([&] {
    const Floats got = twice("cuda");
    REQUIRE(got.size() == want.size());
    for (size_t k = 0; k < got.size(); ++k) CHECK(got[k] == doctest::Approx(want[k]).epsilon(1e-5));
  });
}

TEST_CASE("calls that cuDNN does not take are declined with the reason") {
  const FakeDnn fake;
  const int64_t computed = fake.get("computed");
  const auto log_of = [](const Shape& x, const Shape& w, const auto& options, ctn_dtype dtype) {
    return kernel_log([&] {
      try {
        F::convolution_2d(Variable(values(x, dtype, 1)), Variable(values(w, float32, 2)), options);
      } catch (const Error&) {  // there may be no other kernel
      }
    });
  };
  using Options = F::convolution_2d_options;
  const std::string all =
      log_of({1, 1, 6, 6}, {1, 1, 3, 3}, Options{.stride = 2, .cover_all = true}, float32);
  CHECK(has(all, "convolution_2d: cuda priority 100 declined: positions beyond the end of x"));
  CHECK(has(log_of({1, 1, 6, 6}, {1, 1, 3, 3}, Options{}, float64), "declined: dtypes differ"));
  CHECK(has(log_of({0, 1, 6, 6}, {1, 1, 3, 3}, Options{}, float32), "declined: nothing to add up"));
  CHECK(fake.get("computed") == computed);
}

TEST_CASE("steps and borders beyond what cuDNN computes places with are not for it") {
  const FakeDnn fake;
  constexpr int64_t kLarge = 1000000007, kMost = 1 << 15;
  const auto same = [&](const char* name, int64_t n) {
    compare(
        name, {{1, 1, 4, 5}, {1, 1, 2, 2}},
        [n](auto v) { return F::convolution_2d(v[0], v[1], {.stride = n, .pad = n, .dilate = n}); },
        {float32});
  };
  fake.computes([&] { same("large", kLarge); }, 0);
  fake.computes([&] { same("a little large", kMost + 1); }, 0);
  fake.computes([&] { same("not large", kMost); });
  for (const int which : {0, 1, 2}) {
    const std::string log = kernel_log([&] {
      F::convolution_2d(image({1, 1, 4, 5}), image({1, 1, 1, 1}),
                        {.stride = which == 0 ? kMost + 1 : kMost,
                         .pad = which == 1 ? kMost + 1 : 0,
                         .dilate = which == 2 ? kMost + 1 : 1});
    });
    CHECK(has(log, "convolution_2d: cuda priority 100 declined: large steps or a large border"));
  }
}

TEST_CASE("use_cudnn 'never' leaves cuDNN alone") {
  const FakeDnn fake;
  const int64_t computed = fake.get("computed");
  const std::string log = kernel_log([] {
    const using_config never("use_cudnn", "never");
    try {
      F::convolution_2d(image({1, 1, 4, 4}), image({1, 1, 3, 3}));
    } catch (const Error&) {  // there may be no other kernel
    }
  });
  CHECK(has(log, "convolution_2d: cuda priority 100 declined: use_cudnn is 'never'"));
  CHECK(fake.get("computed") == computed);
  fake.computes([] {
    const Context ctx("cuda");
    const using_config always("use_cudnn", "always");
    F::convolution_2d(image({1, 1, 4, 4}), image({1, 1, 3, 3}));
  });
}

TEST_CASE("algorithms are the best foretold within the workspace") {
  const FakeDnn fake;
  const Context ctx("cuda");
  const Variable x = image({1, 2, 6, 6}), w = image({3, 2, 3, 3}, 1);
  const auto chosen = [&](int64_t bytes) {
    const using_config limit("max_workspace_size", bytes);
    step(x, w);
    return fake.get("forward");
  };
  fake.computes([&] {
    CHECK(chosen(8 << 20) == kPrecompGemm);
    CHECK(chosen(32 << 20) == kFft);
    CHECK(chosen(4095) == kGemm);
    CHECK(chosen(4096) == kPrecompGemm);
  });
  // 0 is foretold to be faster, but it does not give the same bits each time
  CHECK(fake.get("data") == 1);
  CHECK(fake.get("filter") == 1);
  fake.computes([&] { CHECK(chosen(0) == kGemm); });
  CHECK(fake.get("data") == 0);  // the only one without a workspace
  CHECK(fake.get("filter") == 0);
}

TEST_CASE("cudnn_deterministic chooses among those that are") {
  const FakeDnn fake;
  const Context ctx("cuda");
  const Variable x = image({1, 2, 6, 6}), w = image({3, 2, 3, 3}, 1);
  const using_config deterministic("cudnn_deterministic", true);
  fake.computes([&] { step(x, w); });
  CHECK(fake.get("data") == 1);
  CHECK(fake.get("filter") == 1);
  const using_config nothing("max_workspace_size", int64_t{0});
  const std::string log = kernel_log([&] {
    const using_config same("cudnn_deterministic", true), little("max_workspace_size", int64_t{0});
    try {
      step(image({1, 2, 6, 6}), image({3, 2, 3, 3}, 1));
    } catch (const Error&) {  // there may be no other kernel
    }
  });
  CHECK(has(log,
            "deconvolution_2d: cuda priority 100 declined: cuDNN has no algorithm for it within "
            "max_workspace_size"));
}

TEST_CASE("autotune times algorithms once for each kind of call") {
  const FakeDnn fake;
  const Context ctx("cuda");
  const Variable x = image({1, 2, 6, 6}), w = image({3, 2, 3, 3}, 1);
  const int64_t timed = fake.get("timed");
  {
    const using_config tune("autotune", true);
    fake.computes([&] {
      for (int k = 0; k < 3; ++k) step(x, w);
    });
    CHECK(fake.get("timed") == timed + 3);
    CHECK(fake.get("forward") == kWinograd);
    CHECK(fake.get("data") == 4);
    CHECK(fake.get("filter") == 3);
    const using_config deterministic("cudnn_deterministic", true);
    step(x, w);
    CHECK(fake.get("timed") == timed + 6);
    CHECK(fake.get("filter") == 1);
  }
  {
    const using_config tune("autotune", true), never("use_winograd", "never");
    step(x, w);
    CHECK(fake.get("timed") == timed + 9);
    CHECK(fake.get("forward") == kGemm);
    CHECK(fake.get("data") == 1);
  }
  step(x, w);  // off again: what was found does not count
  CHECK(fake.get("timed") == timed + 9);
  CHECK(fake.get("forward") == kPrecompGemm);
}

TEST_CASE("where there is no memory to time algorithms, the best foretold computes") {
  std::string log;
  std::function<void(int, std::string_view, std::string_view)> hook =
      [&log](int, std::string_view, std::string_view text) { log.append(text).append("\n"); };
  const auto runs = [&](uint64_t limit, bool tune) {
    log.clear();
    try {
      const Context ctx(ContextOptions{
          .device = "cuda", .memory_limit = limit, .log = &hook, .log_level = CTN_LOG_DEBUG});
      const using_config autotune("autotune", tune);
      const Variable x(Array::zeros({1, 2, 400, 400}), false), w(Array::zeros({2, 2, 3, 3}), false);
      F::convolution_2d(x, w);
      return true;
    } catch (const OutOfMemory&) {
      return false;
    }
  };
  bool without = false;
  for (uint64_t limit = 2 << 20; !has(log, "the fastest"); limit += 1 << 18) {
    REQUIRE(limit < uint64_t{64} << 20);
    const bool can = runs(limit, false);
    CHECK(runs(limit, true) == can);
    without |= can && has(log, "the best foretold, not timed: no memory");
  }
  CHECK(without);
}

TEST_CASE("what autotune decided is saved, and replayed by another context") {
  const FakeDnn fake;
  const std::string path =
      (std::filesystem::temp_directory_path() / ("cuda-tuning-" + std::to_string(getpid())))
          .string();
  const Shape shape = {1, 2, 6, 7};
  const auto run = [&](bool load, bool tune) {
    Context ctx("cuda");
    if (load) ctx.load_tuning(path);
    const using_config autotune("autotune", tune);
    step(image(shape), image({3, 2, 3, 3}, 1));
    if (!load) ctx.save_tuning(path);
    return std::array{fake.get("forward"), fake.get("data"), fake.get("filter")};
  };
  const int64_t timed = fake.get("timed");
  const auto chosen = run(false, true);
  CHECK(chosen == std::array<int64_t, 3>{kWinograd, 4, 3});
  CHECK(fake.get("timed") == timed + 3);
  CHECK(run(true, true) == chosen);
  CHECK(run(true, false) != chosen);  // off, all follows from the call
  CHECK(fake.get("timed") == timed + 3);
  std::string text;
  {
    std::ifstream in(path, std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  CHECK(has(text, "[cuda; cuDNN 9."));
  CHECK(has(text,
            "convolution forward float32 x 1x2x6x7 W 3x2x3x3 y 1x3x6x7 stride 1x1 dilate 1x1 "
            "pad 1x1 groups 1 math fma workspace 8388608\talgorithm 6 math 3\n"));
  // an algorithm that would need more than the workspace is not taken from a file either
  text.replace(text.find("algorithm 6"), 11, "algorithm 4");
  std::ofstream(path, std::ios::binary) << with_checksum(text);
  CHECK(run(true, true) == chosen);
  CHECK(fake.get("timed") == timed + 4);
  std::filesystem::remove(path);
}

TEST_CASE("descriptors and algorithms are made once for each kind of call") {
  const FakeDnn fake;
  const Context ctx("cuda");
  const Variable x = image({1, 2, 6, 5}), w = image({3, 2, 3, 3}, 1);
  const int64_t foretold = fake.get("foretold"), streams = fake.get("streams");
  step(x, w);
  const int64_t made = fake.get("made");
  CHECK(fake.get("foretold") == foretold + 3);
  CHECK(fake.get("streams") == streams + 1);
  for (int k = 0; k < 4; ++k) step(x, w);
  CHECK(fake.get("made") == made);
  CHECK(fake.get("foretold") == foretold + 3);
  CHECK(fake.get("streams") == streams + 1);
}

TEST_CASE("a context takes along all that it had of cuDNN") {
  const FakeDnn fake;
  {
    const Context ctx("cuda");
    step(image({1, 2, 7, 6}), image({3, 2, 3, 3}, 1));
    CHECK(fake.get("alive") > 0);
  }
  CHECK(fake.get("alive") == 0);
}

TEST_CASE("an error names the op and says what cuDNN says") {
  const FakeDnn fake;
  Context ctx("cuda");
  const Variable x = image({1, 2, 6, 6}), w = image({3, 2, 3, 3}, 1);
  fake.set("fail", 1);
  CHECK_THROWS_WITH_AS(F::convolution_2d(x, w),
                       "[convolution_2d] cuda:0: cuDNN: a convolution: "
                       "CUDNN_STATUS_EXECUTION_FAILED (as a test wants)",
                       DeviceError);
  fake.computes([&] { F::convolution_2d(x, w); }, 1);
  const using_config autotune("autotune", true);  // fails as the kernel plans
  fake.set("fail", 1);
  CHECK_THROWS_WITH_AS(F::convolution_2d(x, w),
                       "[convolution_2d] cuda:0: cuDNN: timing algorithms: "
                       "CUDNN_STATUS_EXECUTION_FAILED (as a test wants)",
                       DeviceError);
}

TEST_CASE("a convolution that cuDNN refuses after all goes on with the next algorithm") {
  const FakeDnn fake;
  const Context ctx("cuda");
  const Variable x = image({1, 2, 6, 6}), w = image({3, 2, 3, 3}, 1);
  const Floats want = F::convolution_2d(x, w, {.pad = 1}).array().to_vector<float>();
  CHECK(fake.get("forward") == kPrecompGemm);
  fake.set("balk", 1);
  fake.computes(
      [&] {
        CHECK(F::convolution_2d(x, w, {.pad = 1}).array().to_vector<float>() == want);
        CHECK(fake.get("forward") == kGemm);
        F::convolution_2d(x, w, {.pad = 1});
        CHECK(fake.get("forward") == kGemm);
      },
      2);
  fake.set("balk", 100);
  CHECK_THROWS_WITH_AS(F::convolution_2d(x, w, {.pad = 1}),
                       doctest::Contains("cuDNN: a convolution"), Unsupported);
  fake.set("balk", 0);
}

namespace {

// 2048 + 1 + 1 in float16, where 2049 would be rounded to 2048; the bias comes last.
float sum_with_bias(int64_t width) {
  std::vector<float> filter(static_cast<size_t>(width), 0);
  filter[0] = 2048;
  filter[1] = 1;
  const auto half = [](const Floats& v, const Shape& shape) {
    return Variable(Array::from<float>(v, shape).astype(float16), false);
  };
  const Variable x = half(Floats(static_cast<size_t>(width), 1), {1, width, 1, 1});
  const Variable y = F::convolution_2d(x, half(filter, {1, width, 1, 1}), half({1}, {1}));
  return y.array().astype(float32).to_vector<float>()[0];
}

}  // namespace

TEST_CASE("a bias is added before 16-bit floats are rounded, by cuDNN") {
  const FakeDnn fake;
  const int64_t biases = fake.get("biases"), not_supported = fake.get("no biases");
  fake.computes(
      [] {
        const Context ctx("cuda");
        CHECK(sum_with_bias(2) == 2050);
      },
      2);  // tried, and done
  CHECK(fake.get("biases") == biases + 2);
  fake.computes(
      [] {
        const Context ctx("cuda");
        CHECK(sum_with_bias(2) == 2050);
      },
      1);  // another context
  CHECK(fake.get("biases") == biases + 3);
  CHECK(fake.get("no biases") == not_supported);
  CHECK(fake.get("forward") == kPrecompGemm);
  {
    const Context ctx("cuda");
    const using_config tune("autotune", true);
    const int64_t timed = fake.get("timed");
    CHECK(sum_with_bias(2) == 2050);
    CHECK(fake.get("timed") == timed);  // there is one algorithm
  }
}

TEST_CASE("where cuDNN adds no bias, that is found out before a kernel is chosen") {
  const FakeDnn fake;
  const auto log_of = [](int64_t width) {
    return kernel_log([&] { CHECK(sum_with_bias(width) == 2050); });
  };
  fake.set("no bias", 2);  // with channels last, in either arithmetic
  const int64_t not_supported = fake.get("no biases");
  fake.computes([&] { CHECK(has(log_of(3), "convolution_2d: cuda priority 100 runs")); }, 2);
  CHECK(fake.get("no biases") == not_supported + 2);
  const std::string why =
      "convolution_2d: cuda priority 100 declined: cuDNN adds no bias to such a convolution before "
      "it rounds";
  fake.set("no bias", 100);
  fake.computes([&] { CHECK(has(log_of(4), why)); }, 0);
  fake.set("no bias", 0);
  fake.computes([&] { CHECK(has(log_of(4), why)); }, 0);
  const std::string log = kernel_log([] {
    const Variable x(values({1, 2, 3, 3}, float16, 1)), w(values({2, 1, 2, 2}, float16, 2));
    F::deconvolution_2d(x, w, Variable(values({1}, float16, 3)));
  });
  CHECK(has(log,
            "deconvolution_2d: cuda priority 100 declined: cuDNN would round before the bias "
            "is added"));
}

TEST_CASE("a convolution with its bias is not tried while work is captured, nor without memory") {
  const FakeDnn fake;
  fake.computes(
      [] {
        const Context ctx("cuda");
        const Variable x(values({1, 2, 3, 7}, float16, 1)), w(values({2, 2, 3, 3}, float16, 2));
        const Variable b(values({2}, float16, 3));
        const auto floats = [](const Variable& v) {
          return v.array().astype(float32).to_vector<float>();
        };
        Variable y;
        const Capture again = capture([&] { y = F::convolution_2d(x, w, b); });
        again.replay();
        CHECK(cuda_test::difference(floats(y), floats(F::convolution_2d(x, w, b)), 1e-3) == "");
      },
      2);
  std::string log;
  std::function<void(int, std::string_view, std::string_view)> hook =
      [&log](int, std::string_view, std::string_view text) { log.append(text).append("\n"); };
  bool without = false;  // another kernel was asked, as there was no memory to try it
  for (uint64_t limit = 1 << 20; !has(log, "convolution_2d: cuda priority 100 runs");
       limit += 1 << 19) {
    REQUIRE(limit < uint64_t{64} << 20);
    log.clear();
    try {
      const Context ctx(ContextOptions{
          .device = "cuda", .memory_limit = limit, .log = &hook, .log_level = CTN_LOG_DEBUG});
      const Variable x(Array::zeros({1, 2, 700, 700}, float16), false);
      const Variable w(Array::zeros({1, 2, 1, 1}, float16), false);
      F::convolution_2d(x, w, Variable(Array::zeros({1}, float16), false));
    } catch (const OutOfMemory&) {  // perhaps there was none for another kernel either
      if (has(log, "priority 100 runs")) log.clear();
    }
    without |= has(log, "declined: no memory to try a convolution with its bias");
  }
  CHECK(without);
}

TEST_CASE("a bias of 32 and 64 bits is added in either layout by a kernel of the backend's own") {
  const FakeDnn fake;
  fake.computes([] {
    compare("many positions", {{2, 3, 17, 19}, {5, 3, 3, 3}, {5}},
            [](auto v) { return F::convolution_2d(v[0], v[1], v[2], {.pad = 1}); },
            {float32, float64});
    compare("transposed", {{2, 3, 9, 5}, {3, 5, 3, 3}, {5}},
            [](auto v) { return F::deconvolution_2d(v[0], v[1], v[2], {.pad = 1}); },
            {float32, float64});
  });
}

TEST_CASE("parts of arrays, which may begin anywhere, are given to cuDNN") {
  const FakeDnn fake;
  const auto behind = [](const Variable& v) {  // the same behind the first image
    return F::get_item(v, {slice(1, none)});
  };
  const auto both = [&](const char* name, const std::vector<Shape>& shapes, const auto& body) {
    fake.computes([&] { compare(name, shapes, body, {float16, float32}); });
  };
  both("convolution", {{3, 3, 5, 5}, {5, 3, 3, 3}, {5}}, [&](auto v) {
    return F::convolution_2d(behind(v[0]), behind(v[1]), behind(v[2]), {.pad = 1}) * 0.25f;
  });
  both("batch normalization", {{4, 3, 5, 5}, {4}, {4}}, [&](auto v) {
    return F::batch_normalization(behind(v[0]), behind(v[1]), behind(v[2]), {.eps = 0.5});
  });
  both("average pooling", {{4, 3, 5, 5}},
       [&](auto v) { return F::average_pooling_2d(behind(v[0]), 2); });
  both("softmax", {{4, 5}}, [&](auto v) { return F::softmax(behind(v[0])); });
}

TEST_CASE("batches too large for the grids of cuDNN are not for it") {
  const FakeDnn fake;
  fake.computes(
      [] {
        const std::string log = kernel_log([] {
          const Variable x(Array::full({131071, 2}, 1)), one(Array::full({2}, 1));
          F::batch_normalization(x, one, one);
        });
        CHECK(has(log, "batch_norm: cuda priority 100 declined: too many images"));
      },
      0);
}

TEST_CASE("use_cudnn_tensor_core says which arithmetic is used") {
  const FakeDnn fake;
  void* library = dlopen("libcublas.so.13", RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  const auto compute = reinterpret_cast<int (*)()>(dlsym(library, "fake_cublas_compute"));
  REQUIRE(static_cast<bool>(compute));
  const Context ctx("cuda");
  const auto math = [&](const char* cores, ctn_dtype dtype) {
    const using_config c("use_cudnn_tensor_core", cores);
    const Variable x(values({1, 1, 4, 4}, dtype, 1)), w(values({1, 1, 3, 3}, dtype, 2));
    F::convolution_2d(x, w);
    F::matmul(F::reshape(x, {4, 4}), F::reshape(x, {4, 4}));
    return fake.get("math");
  };
  constexpr int64_t kDefault = 0, kTensorOp = 1, kFma = 3;
  constexpr int kSum32 = 68, kTf32 = 77, kSum64 = 70;  // cublasComputeType_t
  CHECK(math("auto", float32) == kFma);
  CHECK(compute() == kSum32);
  CHECK(math("always", float32) == kDefault);
  CHECK(compute() == kTf32);
  CHECK(math("never", float32) == kFma);
  CHECK(compute() == kSum32);
  CHECK(math("auto", float16) == kTensorOp);
  CHECK(math("never", float16) == kFma);
  CHECK(math("always", float16) == kTensorOp);
  CHECK(compute() == kSum32);
  CHECK(math("always", float64) == kDefault);
  CHECK(compute() == kSum64);
}

TEST_CASE("a device says which cuDNN it has") {
  const Context ctx("cuda");
  CHECK(has(ctx.device_name(), "False GPU, cuDNN 9."));
}
