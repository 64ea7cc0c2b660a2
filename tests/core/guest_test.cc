// What hosts may do from inside the callbacks they hand over: let go of what is running, come back,
// remove each other, fail with a text, call themselves; and threads that come and go.
#include <atomic>
#include <thread>

#include "guest_plugin.h"

using namespace catena_test;

namespace {

const std::vector<int64_t> kPair = {2};

ctn_callback callback(void* user, decltype(ctn_callback::call) call) {
  return {user, call, nullptr};
}

}  // namespace

// ---- letting go of what is running

TEST_CASE("an optimizer's hook may let go of the last reference to it") {
  const Ctx ctx = context();
  const uint64_t before = used(ctx);
  static ctn_optimizer opt;
  static ctn_link net;
  {
    Var p = parameter(ctx, 1, &kPair);
    REQUIRE_OK(ctn_chain_create(ctx, nullptr, 0, &net));
    REQUIRE_OK(ctn_link_add_param(net, str("p"), p));
  }
  REQUIRE_OK(ctn_optimizer_create(ctx, str("Plain"), nullptr, 0, &opt));
  REQUIRE_OK(ctn_optimizer_setup(opt, net));
  const ctn_callback c =
      callback(nullptr, [](void*, const ctn_variable*, int32_t, ctn_variable*, int32_t) {
        ctn_optimizer_release(std::exchange(opt, nullptr));
        ctn_link_release(std::exchange(net, nullptr));
        return ctn_status{CTN_OK};
      });
  REQUIRE_OK(ctn_optimizer_add_callback(opt, str(""), str("h"), CTN_TIMING_PRE, &c));
  CHECK_OK(ctn_optimizer_update(opt));
  CHECK(!opt);
  CHECK(used(ctx) == before);
}

TEST_CASE("the drop of an optimizer's callback may use the optimizer") {
  const Ctx ctx = context();
  const Net net = chain(ctx);
  static ctn_optimizer opt;
  static int drops;
  drops = 0;
  const Opt own = optimizer(ctx, "Plain");
  opt = own;
  REQUIRE_OK(ctn_optimizer_setup(opt, net));
  ctn_callback c = callback(nullptr, [](void*, const ctn_variable*, int32_t, ctn_variable*,
                                        int32_t) { return ctn_status{CTN_OK}; });
  const auto call = c.call;
  c.drop = [](void* user) {
    ++drops;
    const ctn_callback next{nullptr, *static_cast<decltype(ctn_callback::call)*>(user), nullptr};
    CHECK_OK(ctn_optimizer_add_callback(opt, str(""), str("from drop" + std::to_string(drops)),
                                        CTN_TIMING_PRE, &next));
  };
  c.user = const_cast<void*>(static_cast<const void*>(&call));
  REQUIRE_OK(ctn_optimizer_add_callback(opt, str(""), str("h"), CTN_TIMING_PRE, &c));
  REQUIRE_OK(ctn_optimizer_remove_hook(opt, str(""), str("h")));
  CHECK(drops == 1);
  CHECK_OK(ctn_optimizer_remove_hook(opt, str(""), str("from drop1")));
  REQUIRE_OK(ctn_optimizer_add_callback(opt, str(""), str("h"), CTN_TIMING_PRE, &c));
  REQUIRE_OK(ctn_optimizer_setup(opt, net));
  CHECK(drops == 2);
  CHECK_OK(ctn_optimizer_remove_hook(opt, str(""), str("from drop2")));
}

TEST_CASE("function hooks may let go of the variables of the call") {
  const Ctx ctx = context();
  const uint64_t before = used(ctx);
  static ctn_variable given;
  const auto hook = [](void*, int32_t, int32_t, const ctn_variable*, int32_t) {
    ctn_variable_release(std::exchange(given, nullptr));
  };
  ctn_function_hook h{};
  h.size = sizeof h;
  h.call = hook;
  const int32_t op = guest_op("guest.twice");
  uint64_t id = 0;
  {
    // the inputs of a call
    given = nullptr;
    REQUIRE_OK(ctn_function_hook_add(ctx, &h, &id));
    REQUIRE_OK(ctn_variable_new(array(ctx, kF32, {2}, {1, 2}), 0, &given));
    ctn_variable in = given;
    Var y;
    REQUIRE_OK(ctn_call(ctx, op, &in, 1, nullptr, 0, y.out(), 1));
    CHECK(!given);
    CHECK(values(y) == std::vector<double>{2, 4});
    REQUIRE_OK(ctn_function_hook_remove(ctx, id));
  }
  {
    // what backward starts from
    const Var x = wanting(ctx, {}, {3});
    given = nullptr;
    {
      Var y = twice(ctx, x);
      ctn_variable_retain(y);
      given = y;
    }
    REQUIRE_OK(ctn_function_hook_add(ctx, &h, &id));
    CHECK_OK(ctn_variable_backward(given, nullptr));
    CHECK(!given);
    CHECK(grad(x) == std::vector<double>{2});
    REQUIRE_OK(ctn_function_hook_remove(ctx, id));
  }
  CHECK(used(ctx) == before);
}

TEST_CASE("the drop of a user slot may come back to the variable") {
  const Ctx ctx = context();
  static ctn_variable v;
  static int drops;
  static void* seen;
  drops = 0;
  Var own = leaf(ctx, kF32, {2}, {1, 2});
  v = own;
  int first = 0, second = 0;
  REQUIRE_OK(ctn_variable_set_user(v, &first, [](void* user) {
    ++drops;
    CHECK(ctn_variable_user(v) != user);
    seen = ctn_variable_user(v);
    CHECK(ctn_variable_set_user(v, nullptr, nullptr) == CTN_OK);
  }));
  CHECK(ctn_variable_user(v) == &first);
  REQUIRE_OK(ctn_variable_set_user(v, &second, nullptr));
  CHECK(drops == 1);
  CHECK(seen == &second);
  CHECK(!ctn_variable_user(v));
}

// ---- function hooks

namespace {

std::string g_trace;

ctn_function_hook tracing(const char* name) {
  ctn_function_hook h{};
  h.size = sizeof h;
  h.user = const_cast<char*>(name);
  h.call = [](void* user, int32_t when, int32_t, const ctn_variable*, int32_t n) {
    g_trace +=
        static_cast<const char*>(user) + std::to_string(when) + ":" + std::to_string(n) + " ";
  };
  return h;
}

}  // namespace

TEST_CASE("function hooks run in order of addition, before and after forward and backward") {
  const Ctx ctx = context();
  const ctn_function_hook a = tracing("a"), b = tracing("b");
  uint64_t ids[2];
  REQUIRE_OK(ctn_function_hook_add(ctx, &a, &ids[0]));
  REQUIRE_OK(ctn_function_hook_add(ctx, &b, &ids[1]));
  const Var x = wanting(ctx, {}, {3});
  g_trace.clear();
  const Var y = twice(ctx, x);
  CHECK(g_trace == "a0:1 b0:1 a1:1 b1:1 ");
  g_trace.clear();
  REQUIRE_OK(ctn_variable_backward(y, nullptr));
  CHECK(g_trace.substr(0, 10) == "a2:1 b2:1 ");
  CHECK(g_trace.substr(g_trace.size() - 10) == "a3:1 b3:1 ");
  REQUIRE_OK(ctn_function_hook_remove(ctx, ids[0]));
  g_trace.clear();
  twice(ctx, x);
  CHECK(g_trace == "b0:1 b1:1 ");
  REQUIRE_OK(ctn_function_hook_remove(ctx, ids[1]));
  CHECK_FAILS(ctn_function_hook_remove(ctx, ids[1]), CTN_ENOTFOUND, std::to_string(ids[1]));
}

TEST_CASE("a function hook that another one removed is not called") {
  const Ctx ctx = context();
  static ctn_context context_of_all;
  static uint64_t ids[3];
  context_of_all = ctx;
  ctn_function_hook remover = tracing("remover");
  remover.call = [](void*, int32_t, int32_t, const ctn_variable*, int32_t) {
    g_trace += "remover ";
    ctn_function_hook_remove(context_of_all, ids[0]);  // itself
    ctn_function_hook_remove(context_of_all, ids[1]);
  };
  const ctn_function_hook b = tracing("b"), c = tracing("c");
  REQUIRE_OK(ctn_function_hook_add(ctx, &remover, &ids[0]));
  REQUIRE_OK(ctn_function_hook_add(ctx, &b, &ids[1]));
  REQUIRE_OK(ctn_function_hook_add(ctx, &c, &ids[2]));
  const Var x = wanting(ctx, {}, {3});
  g_trace.clear();
  twice(ctx, x);
  CHECK(g_trace == "remover c0:1 c1:1 ");
  REQUIRE_OK(ctn_function_hook_remove(ctx, ids[2]));
}

TEST_CASE("a function hook that throws fails the call") {
  const Ctx ctx = context();
  static int when_to_throw;
  ctn_function_hook h = tracing("");
  h.call = [](void*, int32_t when, int32_t, const ctn_variable*, int32_t) {
    if (when == when_to_throw) throw 1;
  };
  uint64_t id = 0;
  REQUIRE_OK(ctn_function_hook_add(ctx, &h, &id));
  const Var x = wanting(ctx, {}, {3});
  when_to_throw = CTN_HOOK_FORWARD_PRE;
  ctn_variable in = x;
  Var y;
  CHECK(ctn_call(ctx, guest_op("guest.twice"), &in, 1, nullptr, 0, y.out(), 1) == CTN_EINTERNAL);
  CHECK(!y);
  y = twice(ctx, (when_to_throw = CTN_HOOK_BACKWARD_PRE, x));
  CHECK(ctn_variable_backward(y, nullptr) == CTN_EINTERNAL);
  when_to_throw = CTN_HOOK_BACKWARD_POST;
  CHECK(ctn_variable_backward(y, nullptr) == CTN_EINTERNAL);
  CHECK(grad(x).empty());
  when_to_throw = -1;
  CHECK_OK(ctn_variable_backward(y, nullptr));
  REQUIRE_OK(ctn_function_hook_remove(ctx, id));
}

TEST_CASE("a function hook is its thread's, and of no thread after that") {
  const Ctx ctx = context();
  const int32_t op = guest_op("guest.twice");
  static std::atomic<int> calls;
  calls = 0;
  ctn_function_hook h = tracing("");
  h.call = [](void*, int32_t, int32_t, const ctn_variable*, int32_t) { ++calls; };
  const Var x = wanting(ctx, {}, {3});
  const auto call = [&] {
    ctn_variable in = x, y = nullptr;
    CHECK(ctn_call(ctx, op, &in, 1, nullptr, 0, &y, 1) == CTN_OK);
    ctn_variable_release(y);
  };
  uint64_t id = 0;
  std::thread([&] {
    CHECK(ctn_function_hook_add(ctx, &h, &id) == CTN_OK);
    call();
  }).join();
  CHECK(calls == 2);
  for (int k = 0; k < 8; ++k) std::thread(call).join();  // where the dead one's stack was
  call();
  CHECK(calls == 2);
  CHECK_OK(ctn_function_hook_remove(ctx, id));
}

// ---- texts

TEST_CASE("a visitor's failure has its own text, or none, never that of an earlier call") {
  const Ctx ctx = context();
  const Net net = chain(ctx);
  const Var p = parameter(ctx, 1, &kPair);
  REQUIRE_OK(ctn_link_add_param(net, str("p"), p));
  int32_t op;
  const auto stale = [&] { CHECK(ctn_op_find(str("nosuch"), &op) == CTN_ENOTFOUND); };
  stale();
  CHECK_FAILS(
      ctn_link_visit(
          net, [](void*, ctn_str, ctn_variable, ctn_array, ctn_link) { return ctn_status{3}; },
          nullptr),
      CTN_ENOTFOUND, "visitor failed without a text");
  stale();
  CHECK_FAILS(ctn_link_visit(
                  net,
                  [](void*, ctn_str path, ctn_variable, ctn_array, ctn_link) {
                    const std::string text = "nothing for " + std::string(path.p, path.n);
                    return ctn_error_set(CTN_ENOTFOUND, str(text));
                  },
                  nullptr),
              CTN_ENOTFOUND, "nothing for /p");
  CHECK_FAILS(
      ctn_link_visit(
          net, [](void*, ctn_str, ctn_variable, ctn_array, ctn_link) { return ctn_status{777}; },
          nullptr),
      CTN_EINTERNAL, "unknown status 777");
  stale();
  const ctn_callback c = callback(nullptr, [](void*, const ctn_variable*, int32_t, ctn_variable*,
                                              int32_t) { return ctn_status{CTN_ENOTFOUND}; });
  Net own;
  REQUIRE_OK(ctn_chain_create(ctx, &c, 0, own.out()));
  CHECK_FAILS(ctn_link_call(own, nullptr, 0, nullptr, 0), CTN_ENOTFOUND, "Chain failed without");
}

TEST_CASE("ctn_error_set") {
  CHECK(ctn_error_set(CTN_EDEVICE, str("first")) == CTN_EDEVICE);
  CHECK(std::string(ctn_error_message()) == "first");
  CHECK(ctn_error_set(CTN_OK, str("no failure")) == CTN_OK);
  CHECK(std::string(ctn_error_message()) == "first");
  CHECK(ctn_error_code() == CTN_EDEVICE);
  CHECK(ctn_error_set(4711, str("odd")) == CTN_EINTERNAL);
  CHECK(ctn_error_set(CTN_EIO, {nullptr, 0}) == CTN_EIO);
  CHECK(std::string(ctn_error_message()).empty());
}

// ---- depth

TEST_CASE("a link that calls itself is stopped") {
  const Ctx ctx = context();
  static ctn_link self;
  static int calls;
  calls = 0;
  const ctn_callback c = callback(
      nullptr, [](void*, const ctn_variable* in, int32_t n, ctn_variable* out, int32_t n_out) {
        ++calls;
        return ctn_link_call(self, in, n, out, n_out);
      });
  Net own, outer = chain(ctx);
  REQUIRE_OK(ctn_chain_create(ctx, &c, 1, own.out()));
  REQUIRE_OK(ctn_link_add_child(outer, str("loop"), own));
  self = own;
  const Var x = wanting(ctx, {}, {3});
  ctn_variable in = x;
  Var y;
  for (int again = 0; again < 2; ++again) {
    calls = 0;
    CHECK_FAILS(ctn_link_call(own, &in, 1, y.out(), 1), CTN_EINVAL, "1000 deep (... > Chain");
    CHECK(calls == 1000);
  }
}

// ---- memory nobody can see

TEST_CASE("threads that come and go leave nothing behind") {
  const Ctx ctx = context();
  guest_op("guest.twice");
  const auto texts = [] {
    ctn_str json, report;
    CHECK(ctn_schema_json(&json) == CTN_OK);
    CHECK(ctn_plugin_report(&report) == CTN_OK);
    return std::make_pair(json.p, report.p);
  };
  const auto first = texts();
  for (int k = 0; k < 4; ++k)
    std::thread([&] { CHECK(texts() == first); }).join();  // one text for all

  const ctn_value off{CTN_BOOL, 0, {0}};
  for (const char* key : {"train", "user_key"}) {
    std::thread([&] {
      CHECK(ctn_config_set(ctx, str(key), &off) == CTN_OK);
      ctn_value now;
      CHECK(ctn_config_get(ctx, str(key), &now) == CTN_OK);
      CHECK(now.u.i == 0);
      CHECK(ctn_config_set(ctx, str(key), nullptr) == CTN_OK);
    }).join();
  }
  CHECK(overlays(ctx) == 0);
  CHECK(ctn_config_set(ctx, str("train"), &off) == CTN_OK);
  CHECK(overlays(ctx) == 1);
  CHECK(ctn_config_set(ctx, str("train"), nullptr) == CTN_OK);
  CHECK(overlays(ctx) == 0);
}
