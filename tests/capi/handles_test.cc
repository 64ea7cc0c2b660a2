// Handles: counted, released in any order and on any thread, NULL allowed, and nothing left of a
// context when the last of them goes. Also the slot for a binding's own object.
#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <thread>

#include "support.h"

using namespace capi_test;

namespace {

struct Dropped {
  std::atomic<int> times{0};
  std::function<void()> also = [] {};
  static void CTN_CALL drop(void* user) {
    auto& d = *static_cast<Dropped*>(user);
    ++d.times;
    d.also();
  }
};

// Counts the bytes of a context's memory from outside.
std::atomic<int64_t> bytes_out{0};
ctn_context_options counted() {
  ctn_context_options o = options();
  static constexpr ctn_allocator kCounting = {sizeof(ctn_allocator), 0, nullptr,
                                              [](void*, uint64_t bytes, uint64_t align) {
                                                bytes_out += static_cast<int64_t>(bytes);
                                                return std::aligned_alloc(
                                                    align, (bytes + align - 1) / align * align);
                                              },
                                              [](void*, void* p, uint64_t bytes, uint64_t) {
                                                bytes_out -= static_cast<int64_t>(bytes);
                                                std::free(p);
                                              }};
  o.allocator = &kCounting;
  return o;
}

}  // namespace

TEST_CASE("NULL may be retained and released") {
  ctn_context_retain(nullptr);
  ctn_context_release(nullptr);
  ctn_array_retain(nullptr);
  ctn_array_release(nullptr);
  ctn_variable_retain(nullptr);
  ctn_variable_release(nullptr);
  ctn_kernel_retain(nullptr);
  ctn_kernel_release(nullptr);
  ctn_link_retain(nullptr);
  ctn_link_release(nullptr);
  ctn_optimizer_retain(nullptr);
  ctn_optimizer_release(nullptr);
  CHECK(ctn_array_context(nullptr) == nullptr);
  CHECK(ctn_variable_context(nullptr) == nullptr);
  CHECK(ctn_link_context(nullptr) == nullptr);
}

TEST_CASE("a handle retained twice is released three times") {
  const Ctx ctx = context();
  const ctn_value two = of(2);
  ctn_link chain = nullptr;
  ctn_optimizer sgd = nullptr;
  REQUIRE_OK(ctn_chain_create(ctx, nullptr, 0, &chain));
  REQUIRE_OK(ctn_optimizer_create(ctx, str("SGD"), &two, 1, &sgd));
  Arr a = array<float>(ctx, {1});
  Var v = variable(a);
  for (int i = 0; i < 2; ++i) {
    ctn_array_retain(a);
    ctn_variable_retain(v);
    ctn_link_retain(chain);
    ctn_optimizer_retain(sgd);
  }
  for (int i = 0; i < 2; ++i) {
    ctn_array_release(a);
    ctn_variable_release(v);
    ctn_link_release(chain);
    ctn_optimizer_release(sgd);
    CHECK(values<float>(a) == Floats{1});
    CHECK(values(v) == Floats{1});
    CHECK(ctn_link_context(chain) == ctx);
    double lr = 0;
    CHECK_OK(ctn_optimizer_get_hyper(sgd, str("lr"), &lr));
    CHECK(lr == 2);
  }
  ctn_link_release(chain);
  ctn_optimizer_release(sgd);
  a = Arr();
  v = Var();
  CHECK(used(ctx) == 0);
}

TEST_CASE("handles go in any order, on any thread, and nothing is left") {
  std::array<int, 6> order = {0, 1, 2, 3, 4, 5};
  int permutation = 0;
  do {
    ctn_context_options o = counted();
    Ctx ctx;
    REQUIRE_OK(ctn_context_create(&o, ctx.out()));
    Arr a = array<float>(ctx, Floats(600, 2));
    Var x = variable(a), y = call(ctx, "square", {call(ctx, "square", {x})});
    Net chain;
    REQUIRE_OK(ctn_chain_create(ctx, nullptr, 0, chain.out()));
    REQUIRE_OK(ctn_link_add_param(chain, str("x"), x));
    Opt sgd;
    REQUIRE_OK(ctn_optimizer_create(ctx, str("SGD"), nullptr, 0, sgd.out()));
    REQUIRE_OK(ctn_optimizer_setup(sgd, chain));
    const auto let_go = [&] {
      for (const int k : order) {
        switch (k) {
          case 0: ctx = Ctx(); break;
          case 1: a = Arr(); break;
          case 2: x = Var(); break;
          case 3: y = Var(); break;
          case 4: chain = Net(); break;
          default: sgd = Opt(); break;
        }
      }
    };
    if (++permutation % 8 == 0)
      std::thread(let_go).join();
    else
      let_go();
    REQUIRE(bytes_out == 0);
  } while (std::next_permutation(order.begin(), order.end()));
  CHECK(permutation == 720);
}

TEST_CASE("threads may count one handle at once") {
  const Ctx ctx = context();
  Arr a = array<float>(ctx, {1});
  Var v = variable(a);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        ctn_array_retain(a);
        ctn_variable_retain(v);
        ctn_context_retain(ctx);
        ctn_variable_release(v);
        ctn_array_release(a);
        ctn_context_release(ctx);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(values(v) == Floats{1});
  a = Arr();
  v = Var();
  CHECK(used(ctx) == 0);
}

TEST_CASE("an optimizer keeps its target and gives it back") {
  const Ctx ctx = context();
  Net chain, got;
  Opt sgd;
  REQUIRE_OK(ctn_chain_create(ctx, nullptr, 0, chain.out()));
  REQUIRE_OK(ctn_optimizer_create(ctx, str("SGD"), nullptr, 0, sgd.out()));
  ctn_link out = untouched<ctn_link_s>();
  CHECK_FAILS(ctn_optimizer_target(sgd, &out), CTN_EINVAL, "not set up");
  CHECK_FAILS(ctn_optimizer_target(nullptr, &out), CTN_EINVAL, "optimizer is NULL");
  REQUIRE_OK(ctn_optimizer_setup(sgd, chain));
  CHECK_FAILS(ctn_optimizer_target(sgd, nullptr), CTN_EINVAL, "out is NULL");
  CHECK(out == untouched<ctn_link_s>());
  const ctn_link before = chain;
  chain = Net();
  REQUIRE_OK(ctn_optimizer_target(sgd, got.out()));
  CHECK(static_cast<ctn_link>(got) == before);
  sgd = Opt();
  CHECK(ctn_link_context(got) == ctx);
}

TEST_CASE("the slot's object is dropped once: when it is replaced, or with the variable") {
  const Ctx ctx = context();
  Dropped first, second;
  Var v = variable(ctx, {1});
  REQUIRE_OK(ctn_variable_set_user(v, &first, Dropped::drop));
  CHECK(ctn_variable_user(v) == &first);
  REQUIRE_OK(ctn_variable_set_user(v, &second, Dropped::drop));
  CHECK(first.times == 1);
  CHECK(ctn_variable_user(v) == &second);
  v = Var();
  CHECK(first.times == 1);
  CHECK(second.times == 1);
  v = variable(ctx, {1});
  int plain = 0;
  REQUIRE_OK(ctn_variable_set_user(v, &plain, nullptr));
  CHECK(ctn_variable_user(v) == &plain);
  REQUIRE_OK(ctn_variable_set_user(v, &first, Dropped::drop));
  REQUIRE_OK(ctn_variable_set_user(v, nullptr, nullptr));
  CHECK(first.times == 2);
  CHECK(ctn_variable_user(v) == nullptr);
  CHECK(ctn_variable_user(nullptr) == nullptr);
  CHECK_FAILS(ctn_variable_set_user(nullptr, &first, Dropped::drop), CTN_EINVAL, "NULL");
  CHECK(first.times == 2);  // not taken
}

TEST_CASE("a variable in a graph keeps its slot until the graph goes") {
  const Ctx ctx = context();
  Dropped d;
  Var x = variable(ctx, {3});
  REQUIRE_OK(ctn_variable_set_user(x, &d, Dropped::drop));
  Var y = call(ctx, "square", {x});
  x = Var();
  CHECK(d.times == 0);
  ctn_variable in[1];
  int32_t n = 0;
  REQUIRE_OK(ctn_variable_creator(y, nullptr, in, 1, &n));
  Var again(in[0]);
  CHECK(ctn_variable_user(again) == &d);
  std::thread([&] { y = Var(); }).join();
  CHECK(d.times == 0);
  again = Var();
  CHECK(d.times == 1);
}

TEST_CASE("a drop callback may look at the slot and fill it again") {
  const Ctx ctx = context();
  Dropped first, second;
  const Var v = variable(ctx, {1});
  void* seen = &seen;
  first.also = [&] {
    seen = ctn_variable_user(v);
    if (first.times == 1) CHECK_OK(ctn_variable_set_user(v, &second, Dropped::drop));
  };
  REQUIRE_OK(ctn_variable_set_user(v, &first, Dropped::drop));
  REQUIRE_OK(ctn_variable_set_user(v, nullptr, nullptr));
  CHECK(first.times == 1);
  CHECK(seen == nullptr);
  CHECK(ctn_variable_user(v) == &second);
}

TEST_CASE("a long chain of variables is released without recursion, with their slots") {
  const Ctx ctx = context();
  Dropped d;
  Var h = variable(ctx, {1});
  for (int i = 0; i < 100000; ++i) {
    h = call(ctx, "neg", {h});
    if (i % 1000 == 0) REQUIRE_OK(ctn_variable_set_user(h, &d, Dropped::drop));
  }
  CHECK(d.times == 0);
  h = Var();
  CHECK(d.times == 100);
  CHECK(used(ctx) == 0);
}
