// The whole plugin behind the runtime, on two false GPUs: arrays, models, errors that show later,
// memory that runs out. What it computes is compared with the cpu.
#include <catena/catena.hpp>

#include <dlfcn.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "main.h"
#include "other_stream.h"

using namespace catena;

namespace {

using Floats = std::vector<float>;

// The false driver's controls (fake/driver.h).
struct Fake {
  void (*set)(const char*, int64_t);
  int64_t (*get)(const char*);

  Fake() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    set = reinterpret_cast<decltype(set)>(dlsym(library, "fake_cuda_set"));
    get = reinterpret_cast<decltype(get)>(dlsym(library, "fake_cuda_get"));
    REQUIRE(static_cast<bool>(set));
    set("devices", 2);
  }
};

Floats counting(size_t n) {
  Floats out(n);
  for (size_t k = 0; k < n; ++k) out[k] = static_cast<float>(k % 17) / 4 - 2;
  return out;
}

// Losses and weights of some steps of a rule on a small expression model.
std::vector<Floats> train(const std::string& device) {
  const Context ctx(device);
  Variable w(Array::from<float>(counting(12), {3, 4}));
  const Variable x(Array::from<float>(counting(24), {2, 3, 4}), false);
  std::vector<Floats> out;
  for (int step = 0; step < 3; ++step) {
    const Variable y = F::tanh(F::broadcast_to(w, {2, 3, 4}) * x + 0.5f);
    const Variable loss = F::sum(F::square(y)) / 24.0f;
    w.cleargrad();
    loss.backward();
    const Variable next = w - w.grad() * 0.1f;
    w.array().assign(next.array());
    out.push_back(loss.array().to_vector<float>());
  }
  out.push_back(w.array().to_vector<float>());
  return out;
}

}  // namespace

TEST_CASE("devices, copies and views") {
  const Fake fake;
  const Context ctx("cuda:1");
  CHECK(ctx.backend() == "cuda");
  CHECK(ctx.device_name().starts_with("False GPU"));
  CHECK_THROWS_WITH_AS(Context("cuda:2"), doctest::Contains("has 2 devices"), DeviceError);
  const Floats big = counting(3'000'000);  // more than all the pinned memory there is
  const Array a = Array::from<float>(big, {3'000'000});
  CHECK(a.to_vector<float>() == big);
  const Array b = a.to_device("cuda:0"), c = b.to_device("cpu");
  CHECK(c.view().device.type == CTN_DEV_CPU);
  CHECK(c.to_vector<float>() == big);
  CHECK(b.to_vector<float>() == big);
  const Array m = Array::from<float>(counting(6), {2, 3});
  CHECK(F::transpose(m).array().to_vector<float>() ==
        Floats{-2, -1.25f, -1.75f, -1, -1.5f, -0.75f});
  const Array empty = Array::zeros({0, 3});
  CHECK(F::relu(empty).array().to_vector<float>().empty());
  CHECK(F::sum(empty).array().to_vector<float>() == Floats{0});
}

TEST_CASE("work goes on behind the caller's back, in order") {
  const Fake fake;
  Context ctx("cuda");
  const Array a = Array::full({1000}, 1);
  ctx.synchronize();
  Variable x(a, false);
  for (int k = 0; k < 20; ++k) x = x + 1.0f;
  CHECK(fake.get("waiting") >= 20);
  CHECK(x.array().to_vector<float>() == Floats(1000, 21));
  CHECK(fake.get("waiting") == 0);
}

TEST_CASE("training gives what the cpu gives") {
  const Fake fake;
  const auto want = train("cpu"), got = train("cuda");
  REQUIRE(got.size() == want.size());
  for (size_t k = 0; k < got.size(); ++k) {
    REQUIRE(got[k].size() == want[k].size());
    for (size_t j = 0; j < got[k].size(); ++j)
      CHECK(got[k][j] == doctest::Approx(want[k][j]).epsilon(1e-5));
  }
  CHECK(train("cuda") == got);  // to the bit
}

TEST_CASE("an error that shows later names what was queued") {
  const Fake fake;
  Context ctx("cuda");
  const Variable x(Array::full({64}, 0.5), false);
  ctx.synchronize();
  fake.set("fault", 1);
  const Variable y = F::softplus(F::tanh(x));
  CHECK_THROWS_WITH_AS(ctx.synchronize(),
                       doctest::Contains("CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was "
                                         "encountered) in work queued before: tanh, softplus"),
                       DeviceError);
  CHECK_THROWS_AS(y.array().to_vector<float>(), DeviceError);
  CHECK_THROWS_AS(F::relu(x), DeviceError);
  fake.set("heal", 0);
  CHECK(F::relu(x).array().to_vector<float>() == Floats(64, 0.5f));
}

TEST_CASE("memory that runs out is an error that leaves everything usable") {
  const Fake fake;
  fake.set("memory", 24 << 20);
  Context ctx("cuda");
  const Array a = Array::full({1 << 20}, 2);
  CHECK_THROWS_WITH_AS(Array::full({9, 1 << 20}, 0), doctest::Contains("largest holders"),
                       OutOfMemory);
  CHECK(a.to_vector<float>() == Floats(1 << 20, 2));
  // Cached blocks are given back before anybody is told that there is no memory.
  { const Array most = Array::full({3, 1 << 20}, 1); }
  const Array other = Array::full({4, 1 << 20}, 3);
  CHECK(F::max(other).array().to_vector<float>() == Floats{3});
  fake.set("memory", 256 << 20);
}

TEST_CASE("every allocation of a step fails in turn") {
  const Fake fake;
  const auto want = train("cuda");
  int64_t failures = 0;
  for (bool fails = true; fails; failures += fails) {
    fake.set("fail_alloc", failures + 1);
    try {
      const bool equal = train("cuda") == want;
      CHECK(equal);
      fails = false;
    } catch (const OutOfMemory&) {
      fake.set("fail_alloc", 0);
    }
  }
  fake.set("fail_alloc", 0);
  CHECK(failures >= 2);
  CHECK(train("cuda") == want);
}

TEST_CASE("all memory goes back") {
  const Fake fake;
  const int64_t before = fake.get("allocations");
  {
    Context ctx("cuda");
    const Variable x(Array::full({5000}, 1));
    F::sum(F::exp(x)).backward();
    CHECK(fake.get("allocations") > before);
  }
  CHECK(fake.get("allocations") == before);
}

TEST_CASE("what fails in a replay names what was captured; all memory of captures goes back") {
  const Fake fake;
  const int64_t before = fake.get("allocations");
  {
    Context ctx("cuda");
    const Variable x(Array::full({64}, 0.5), false);
    Variable y;
    Capture step = capture([&] { y = F::softplus(F::tanh(x)); });
    CHECK(fake.get("graphs") == 1);
    step.replay();
    ctx.synchronize();
    fake.set("fault", 2);
    step.replay();
    CHECK_THROWS_WITH_AS(ctx.synchronize(),
                         doctest::Contains("in work queued before: replay of tanh, softplus"),
                         DeviceError);
    fake.set("heal", 0);
    step.replay();
    CHECK(y.array().to_vector<float>()[0] == doctest::Approx(0.9505).epsilon(1e-3));
    step = Capture();
    CHECK(fake.get("graphs") == 0);
    {
      const Capturing thrown_away;
      F::exp(x);
    }
    CHECK(fake.get("graphs") == 0);
  }
  CHECK(fake.get("allocations") == before);
}

TEST_CASE("memory that runs out in a capture leaves everything usable") {
  const Fake fake;
  Context ctx("cuda");
  const Variable x(Array::full({50'000}, 1), false);
  F::exp(x + 1.0f);
  ctx.synchronize();
  for (int64_t n = 1; n <= 2; ++n) {
    Capturing capturing;
    fake.set("fail_alloc", n);
    CHECK_THROWS_AS((F::exp(x + 1.0f), F::exp(x), F::exp(x)), OutOfMemory);
    fake.set("fail_alloc", 0);
  }
  Variable y;
  const Capture again = capture([&] { y = x + 1.0f; });
  again.replay();
  CHECK(y.array().to_vector<float>() == Floats(50'000, 2));
}

TEST_CASE("captures take turns on a stream, and cuBLAS takes no memory in them") {
  const Fake fake;
  void* library = dlopen("libcublas.so.13", RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  const auto own_memory = reinterpret_cast<int (*)()>(dlsym(library, "fake_cublas_own_memory"));
  REQUIRE(static_cast<bool>(own_memory));
  const Context ctx("cuda");
  const Variable x(Array::from<float>(counting(4), {2, 2}), false);
  Variable y = F::matmul(x, x);
  const auto want = y.array().to_vector<float>();
  int64_t streams = 0;
  for (int k = 0; k < 3; ++k) {
    Capture again = capture([&] { y = F::matmul(x, x); });
    again.replay();
    CHECK(y.array().to_vector<float>() == want);
    if (k == 0) streams = fake.get("streams");
    CHECK(fake.get("streams") == streams);
  }
  CHECK(own_memory() == 0);
}

// ---- streams of others

namespace {

struct OtherStream : cuda_test::OtherStream {
  void (*enqueue)(void*, void (*)(void*), void*, void (*)(void*));

  OtherStream() { find(enqueue, "fake_cuda_enqueue"); }
  // body() is run when the stream's turn comes.
  void add(std::function<void()> body) const {
    enqueue(
        get(), [](void* f) { (*static_cast<std::function<void()>*>(f))(); },
        new std::function<void()>(std::move(body)),
        [](void* f) { delete static_cast<std::function<void()>*>(f); });
  }
};

}  // namespace

TEST_CASE("what another stream writes is there for the work that follows it") {
  const Fake fake;
  Context ctx("cuda");
  const OtherStream other;
  CHECK(ctx.stream() != nullptr);
  CHECK(ctx.stream() != other.get());
  CHECK_THROWS_AS(ctx.follow(nullptr), const InvalidArgument&);
  const Variable x(Array::full({3}, 1), false);
  auto* const memory = static_cast<float*>(x.array().view().data);
  other.add([memory] { std::fill_n(memory, 3, 5.0f); });
  ctx.follow(other.get());
  CHECK((x + 1.0f).array().to_vector<float>() == Floats{6, 6, 6});
  CHECK_THROWS_AS(capture([&] { ctx.follow(other.get()); }), const Unsupported&);
}

TEST_CASE("a tensor that is handed to another stream is finished before that stream reads it") {
  const Fake fake;
  Context ctx("cuda");
  const OtherStream other;
  const Variable x(Array::full({3}, 1), false);
  ctx.synchronize();
  const Variable y = x + 2.0f;
  {
    const Dlpack t = y.array().to_dlpack(other.get());
    CHECK(fake.get("waiting") > 0);  // nobody has waited
    const auto* const memory = static_cast<const float*>(t->dl_tensor.data);
    Floats seen;
    other.add([&] { seen.assign(memory, memory + 3); });
    other.wait();
    CHECK(seen == Floats{3, 3, 3});
  }
  const Variable z = y * 2.0f;
  ctx.lead(other.get());
  CHECK(fake.get("waiting") > 0);
  other.wait();
  CHECK(z.array().to_vector<float>() == Floats{6, 6, 6});
}

TEST_CASE("a read-only tensor is given back when it has been copied") {
  const Fake fake;
  Context ctx("cuda");
  struct Lent {
    ctn_dlpack t{};
    const Fake* fake;
    int64_t shape[1] = {3};
    int64_t waiting = -1;
  };
  const Array owner = Array::full({3}, 7);
  Lent lent;
  lent.fake = &fake;
  lent.t.version = {CTN_DLPACK_MAJOR, CTN_DLPACK_MINOR};
  lent.t.flags = CTN_DLPACK_READ_ONLY;
  lent.t.manager_ctx = &lent;
  lent.t.deleter = [](ctn_dlpack* t) {
    auto& l = *static_cast<Lent*>(t->manager_ctx);
    l.waiting = l.fake->get("waiting");
  };
  lent.t.dl_tensor = owner.view();
  lent.t.dl_tensor.shape = lent.shape;
  lent.t.dl_tensor.strides = nullptr;
  lent.t.dl_tensor.device = {CTN_DEV_CUDA, 0};
  const Array copy = Array::from_dlpack(Dlpack(&lent.t));
  CHECK(lent.waiting == 0);
  CHECK(copy.to_vector<float>() == Floats{7, 7, 7});
}

TEST_CASE("a forked child is told that it has no CUDA") {
  const Fake fake;
  { const Context ctx("cuda"); }
  const pid_t child = fork();
  if (child == 0) {
    try {
      Context ctx("cuda");
    } catch (const DeviceError& e) {
      _exit(std::string(e.what()).find("forked") == std::string::npos ? 2 : 0);
    }
    _exit(1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
