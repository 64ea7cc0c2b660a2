// What must hold on any GPU, real or false: several threads at once, memory that runs out and comes
// back, errors that show later, copies between devices. Needs none of the false driver's controls;
// whoever runs it has the device to himself.
#include <catena/catena.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <thread>

#include "main.h"
#include "other_stream.h"

using namespace catena;

namespace {

using Floats = std::vector<float>;

Floats counting(size_t n, size_t from = 0) {
  Floats out(n);
  for (size_t k = 0; k < n; ++k) out[k] = static_cast<float>((k + from) % 17) / 8 - 1;
  return out;
}

int device_count() { return Context("cuda").device_count("cuda"); }

// Memory that the device has free, and what the context has of it.
ctn_device_stats stats(const Context& ctx, const std::string& device = "cuda:0") {
  return ctx.memory(device);
}

struct Net : Chain {
  L::Linear l1 = child("l1", L::Linear(40, 60, {.initialW = 0.01}));
  L::Linear l2 = child("l2", L::Linear(60, 10, {.initialW = 0.02}));
  Variable operator()(const Variable& x) const { return l2(F::tanh(l1(x))); }
};

// Weights after some steps that keep many pieces of work queued.
Floats trained(const std::string& device, size_t data) {
  const Context ctx(ContextOptions{.device = device, .threads = 1, .seed = 1});
  Net net;
  optimizers::Adam adam;
  adam.setup(net);
  const Variable x(Array::from<float>(counting(8 * 40, data), {8, 40}), false);
  const Variable t(Array::from<float>(counting(8 * 10, data), {8, 10}), false);
  for (int k = 0; k < 12; ++k) {
    net.cleargrads();
    F::mean_squared_error(net(x), t).backward();
    adam.update();
  }
  Floats all;
  for (const auto& [path, p] : net.namedparams())
    for (const float v : p.array().to_vector<float>()) all.push_back(v);
  return all;
}

// New arrays of undefined content until there is no memory; the last failure's text.
std::string fill_up(const Context& ctx, int64_t each, std::vector<Array>& held) {
  for (;;) {
    ctn_array a = nullptr;
    const ctn_status s = ctn_array_new(ctx.get(), float32, 1, &each, &a);
    if (s != CTN_OK) {
      CHECK(s == CTN_ENOMEM);
      return ctn_error_message();
    }
    held.emplace_back(a);
    REQUIRE(held.size() < 100);
  }
}

}  // namespace

TEST_CASE("threads with contexts of their own give what one thread gives") {
  const int devices = device_count();
  REQUIRE(devices > 0);
  constexpr size_t kThreads = 4;
  std::vector<Floats> alone, together(kThreads);
  for (size_t k = 0; k < kThreads; ++k)
    alone.push_back(trained("cuda:" + std::to_string(k % static_cast<size_t>(devices)), k));
  CHECK(alone[0] != alone[1]);
  std::vector<std::thread> threads;
  std::vector<std::exception_ptr> failures(kThreads);
  for (size_t k = 0; k < kThreads; ++k)
    threads.emplace_back([&, k] {
      try {
        together[k] = trained("cuda:" + std::to_string(k % static_cast<size_t>(devices)), k);
      } catch (...) {
        failures[k] = std::current_exception();
      }
    });
  for (std::thread& t : threads) t.join();
  for (const std::exception_ptr& e : failures)
    if (e) std::rethrow_exception(e);
  CHECK(together == alone);  // to the bit
}

TEST_CASE("threads share a context") {
  const Context ctx(ContextOptions{.device = "cuda", .threads = 1});
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int k = 0; k < 4; ++k)
    threads.emplace_back([&, k] {
      ctx.make_current();
      for (int round = 0; round < 10; ++round) {
        Variable y(Array::full({1000}, k), false);
        for (int step = 0; step < 20; ++step) y = y + 1.0f;
        right += y.array().to_vector<float>() == Floats(1000, static_cast<float>(k + 20));
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(right == 40);
}

TEST_CASE("all the memory there is: an error that names the holders, and everything goes on") {
  const Context ctx("cuda");
  const Array kept = Array::from<float>(counting(5000), {5000});
  const uint64_t total = stats(ctx).total;
  uint64_t large = 0;  // bytes of the whole 2 MiB pages that those arrays lay in
  const auto each = static_cast<int64_t>(total / 16 / sizeof(float));
  for (int round = 0; round < 3; ++round) {
    std::vector<Array> held;
    const std::string text = fill_up(ctx, each, held);
    CAPTURE(text);
    CHECK(held.size() > 8);
    CHECK(text.find("out of memory: ") == 0);
    CHECK(text.find("largest holders") != std::string::npos);
    CHECK(kept.to_vector<float>() == counting(5000));
    held.pop_back();
    held.emplace_back(Array::full({each}, 2));  // there is room for one again
    const uint64_t bytes = static_cast<uint64_t>(each) * sizeof(float);
    large = held.size() * (bytes - bytes % (2 << 20));
    CHECK(F::max(F::get_item(Variable(held.back()), {slice(each - 3, each)})).item() == 2);
  }
  const ctn_device_stats before = stats(ctx);
  CHECK(large > total / 2);
  CHECK(before.cached >= large);
  Context(ctx).trim();
  const ctn_device_stats after = stats(ctx);
  // small blocks may share pages with others that stay
  CHECK(after.free >= before.free + large);
  CHECK(after.cached + large <= before.cached);
  CHECK(after.used == before.used);
  CHECK(kept.to_vector<float>() == counting(5000));
}

TEST_CASE("cached blocks are given back before anybody is told that there is no memory") {
  const Context ctx("cuda");
  const auto part = [&](uint64_t of, uint64_t n) {
    return static_cast<int64_t>(stats(ctx).total / of * n / sizeof(float));
  };
  const int64_t small = part(16, 1), most = part(16, 13);
  for (int round = 0; round < 3; ++round) {
    {
      std::vector<Array> held;
      fill_up(ctx, small, held);
    }
    CHECK(stats(ctx).cached > stats(ctx).total / 2);
    ctn_array a = nullptr;
    check(ctn_array_new(ctx.get(), float32, 1, &most, &a));
    const Array large(a);
    CHECK(stats(ctx).used >= static_cast<uint64_t>(most) * sizeof(float));
  }
}

TEST_CASE("a limit of the context's own") {
  const Context ctx(ContextOptions{.device = "cuda", .threads = 1, .memory_limit = 16 << 20});
  const Array kept = Array::full({1000}, 3);
  CHECK_THROWS_WITH_AS(Array::full({8 << 20}, 0), doctest::Contains("limit"), OutOfMemory);
  { const Array a = Array::full({2 << 20}, 1); }
  const Array b = Array::full({3 << 20}, 4);  // more than is left beside what is cached
  CHECK(F::min(Variable(b)).item() == 4);
  CHECK(kept.to_vector<float>() == Floats(1000, 3));
}

TEST_CASE("an error of the data shows at the next wait, once, and names the op") {
  Context ctx("cuda");
  const Variable x(Array::from<float>(counting(6), {3, 2}), false);
  const Variable bad(Array::of<int32_t>({0, 9}), false);
  ctx.synchronize();
  const Variable y = F::embed_id(bad, x);
  CHECK_THROWS_WITH_AS(ctx.synchronize(), doctest::Contains("embed_id"), Error);
  ctx.synchronize();
  CHECK(F::relu(x).array().to_vector<float>().size() == 6);
}

namespace {

// An op whose only error is in its data: `id` names no row of two.
Variable looked_up(int32_t id) {
  const Variable w(Array::full({2, 2}, 1), false);
  return F::embed_id(Variable(Array::of<int32_t>({0, id}), false), w);
}

// What the context's next wait says; empty: nothing.
std::string waited(Context& ctx) {
  try {
    ctx.synchronize();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("an error of the data goes to the context whose work it was, whoever waits first") {
  for (const bool guilty_first : {false, true}) {
    CAPTURE(guilty_first);
    Context good("cuda"), bad("cuda");
    good.make_current();
    const Variable fine = F::relu(looked_up(1));
    bad.make_current();
    const Variable wrong = looked_up(9);
    std::string said[2];
    for (const bool guilty : {guilty_first, !guilty_first})
      said[guilty] = waited(guilty ? bad : good);
    CHECK(said[0] == "");
    CHECK(said[1].find("id 9 is out of bounds for W with 2 rows") != std::string::npos);
    CHECK(said[1].find("embed_id") != std::string::npos);
    CHECK(said[1].find("relu") == std::string::npos);
    CHECK(waited(good) == "");
    CHECK(waited(bad) == "");
    CHECK(fine.array().to_vector<float>() == Floats(4, 1));
  }
}

TEST_CASE("an error of the data that nobody waited for goes with its context") {
  {
    const Context bad("cuda");
    looked_up(9);
  }
  for (int round = 0; round < 10; ++round) {  // some of them at the address of that one
    Context good("cuda");
    CHECK(looked_up(1).array().to_vector<float>() == Floats(4, 1));
    CHECK(waited(good) == "");
  }
}

TEST_CASE("an error of replayed work goes to the context that captured it") {
  Context good("cuda"), bad("cuda");
  const Variable w(Array::full({2, 2}, 1), false);
  const Variable ids(Array::of<int32_t>({0, 1}), false);
  Variable y;
  Capture captured = capture([&] { y = F::embed_id(ids, w); });
  captured.replay();
  CHECK(waited(bad) == "");
  ids.array().assign(Array::of<int32_t>({0, 9}));
  captured.replay();
  CHECK(waited(good) == "");
  const std::string said = waited(bad);
  CHECK(said.find("id 9 is out of bounds") != std::string::npos);
  CHECK(said.find("replay of embed_id") != std::string::npos);
  CHECK(waited(bad) == "");
}

TEST_CASE("threads with contexts of their own get all their errors of the data, and no others") {
  constexpr int kRounds = 60;
  std::atomic<int> heard{0}, strange{0};
  std::vector<std::thread> threads;
  for (int k = 0; k < 4; ++k)
    threads.emplace_back([&, k] {
      Context ctx(ContextOptions{.device = "cuda", .threads = 1});
      ctx.make_current();
      for (int round = 0; round < kRounds; ++round) {
        const int32_t id = k % 2 ? 10 + k : 1;
        const Variable y = looked_up(id);
        const std::string said = waited(ctx);
        if (k % 2)
          heard += said.find("id " + std::to_string(id) + " is") == 0 ? 1 : 0;
        else
          strange += said.empty() ? 0 : 1;
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(heard == 2 * kRounds);
  CHECK(strange == 0);
}

// One thread's work has an error, and both wait.
TEST_CASE("threads of one context: each error of the data is heard once") {
  constexpr int kRounds = 100;
  Context ctx(ContextOptions{.device = "cuda", .threads = 1});
  std::atomic<int> heard{0};
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done) heard += waited(ctx).empty() ? 0 : 1;
  });
  int missed = 0;
  for (int round = 0; round < kRounds && !missed; ++round) {
    looked_up(9);
    heard += waited(ctx).empty() ? 0 : 1;
    for (int tries = 0; heard <= round && tries < 10'000; ++tries)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    missed += heard <= round;
  }
  done = true;
  other.join();
  CHECK(missed == 0);
  CHECK(heard == kRounds);
}

// ---- streams of others: large arrays, whose work takes a GPU a while

namespace {

constexpr int64_t kLarge = int64_t{4} << 20;
constexpr int kFills = 30;

bool all_are(const Floats& values, float wanted) {
  return std::all_of(values.begin(), values.end(), [&](float v) { return v == wanted; });
}

// The array after many steps, all of them queued: its elements are those of x and kFills more.
Variable counted_up(Variable x) {
  for (int k = 0; k < kFills; ++k) x = x + 1.0f;
  return x;
}

}  // namespace

TEST_CASE("work that follows another stream sees what that has written") {
  Context ctx("cuda:0");
  const cuda_test::OtherStream other;
  CHECK(ctx.stream() != nullptr);
  CHECK(ctx.stream() != other.get());
  CHECK_THROWS_AS(ctx.follow(nullptr), const InvalidArgument&);
  const Variable x(Array::full({kLarge}, 1), false);
  void* const memory = x.array().view().data;  // waits
  for (int round = 0; round < 3; ++round) {
    for (int k = 0; k <= kFills; ++k) other.fill(memory, static_cast<float>(k), kLarge);
    ctx.follow(other.get());
    CHECK(all_are((x + 1.0f).array().to_vector<float>(), kFills + 1));
  }
  CHECK_THROWS_AS(capture([&] { ctx.follow(other.get()); }), const Unsupported&);
}

TEST_CASE("a tensor that is exported for another stream is finished before that uses it") {
  Context ctx("cuda:0");
  const cuda_test::OtherStream other;
  const Variable x(Array::full({kLarge}, 1), false);
  for (int round = 0; round < 3; ++round) {
    const Variable y = counted_up(x);
    const Dlpack t = y.array().to_dlpack(other.get());
    void* const memory = t->dl_tensor.data;
    Floats seen(kLarge);
    other.read(seen, memory);
    CHECK(all_are(seen, kFills + 1));
    const Variable z = counted_up(x) + y;
    ctx.lead(other.get());
    other.fill(memory, -1, kLarge);  // behind what reads it
    other.wait();
    CHECK(all_are(z.array().to_vector<float>(), 2 * (kFills + 1)));
    CHECK(all_are(y.array().to_vector<float>(), -1));
  }
}

TEST_CASE("copies between devices, and gradients that go back") {
  if (device_count() < 2) return catena_test::skip("there is one device");
  Context ctx("cuda:0");
  const Floats values = counting(700'000);
  const Variable x(Array::from<float>(values, {700'000}));
  for (int round = 0; round < 3; ++round) {
    const Variable there = F::copy(x * 2.0f, 1);
    CHECK(there.array().spec().device.id == 1);
    F::sum(F::copy(there * there, 0)).backward();
  }
  const Array g = x.grad().array();
  CHECK(g.spec().device.id == 0);
  Floats want;
  for (const float v : values) want.push_back(24 * v);
  CHECK(g.to_vector<float>() == want);
  CHECK(stats(ctx, "cuda:1").held > 0);
}
