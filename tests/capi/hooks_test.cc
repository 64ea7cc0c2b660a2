// Function hooks: when they are called, with what, on which thread, and what they may do meanwhile.
#include <functional>
#include <thread>

#include "support.h"

using namespace capi_test;

namespace {

// A hook that writes down what it saw: "name<relu(1)" before a forward call with one value.
struct Spy {
  std::string name;
  std::string* log;
  uint64_t id = 0;
  std::function<void()> also = [] {};

  ctn_status add(ctn_context ctx) {
    const ctn_function_hook hook{sizeof hook, 0, this, call};
    return ctn_function_hook_add(ctx, &hook, &id);
  }

  static void CTN_CALL call(void* user, int32_t when, int32_t op, const ctn_variable* values,
                            int32_t n) {
    auto& spy = *static_cast<Spy*>(user);
    constexpr const char* kWhen[] = {"<", ">", "<<", ">>"};
    ctn_str op_name{};
    REQUIRE_OK(ctn_op_name(op, &op_name));
    *spy.log += spy.name + kWhen[when] + std::string(op_name.p, op_name.n) + "(";
    for (int32_t i = 0; i < n; ++i)
      *spy.log += values[i] ? std::to_string(static_cast<int>(capi_test::values(values[i])[0])) +
                                  (i + 1 < n ? "," : "")
                            : "-";
    *spy.log += ") ";
    spy.also();
  }
};

}  // namespace

TEST_CASE("a hook is called before and after forward and backward, with values and gradients") {
  const Ctx ctx = context();
  std::string log;
  Spy spy{"", &log};
  REQUIRE_OK(spy.add(ctx));
  const Var x = variable(ctx, {3}), z = variable(ctx, {4});
  const Var y = call(ctx, "mul", {x, z});
  CHECK(log == "<mul(3,4) >mul(3,4) ");
  log.clear();
  REQUIRE_OK(ctn_variable_backward(y, nullptr));
  CHECK(log == "<<mul(1) >>mul(1) ");
  CHECK(grad(x) == Floats{4});
  REQUIRE_OK(ctn_function_hook_remove(ctx, spy.id));
  log.clear();
  REQUIRE_OK(ctn_variable_backward(call(ctx, "relu", {x}), nullptr));
  CHECK(log.empty());
}

TEST_CASE("ops inside of ops are seen, absent inputs are NULL") {
  const Ctx ctx = context();
  std::string log;
  Spy spy{"", &log};
  REQUIRE_OK(spy.add(ctx));
  const Var x = variable(array<float>(ctx, {1, 2}, {1, 2}));
  const Var y = call(ctx, "linear", {x, x});
  CHECK(log.starts_with("<linear(1,1,-) "));
  CHECK(log.ends_with(">linear(1,1,-) "));
}

TEST_CASE("hooks are called in order of addition, each once, and removed by their id") {
  const Ctx ctx = context();
  std::string log;
  Spy a{"a", &log}, b{"b", &log}, c{"c", &log};
  for (Spy* spy : {&a, &b, &c}) REQUIRE_OK(spy->add(ctx));
  CHECK(a.id != b.id);
  CHECK(b.id != c.id);
  const Var x = variable(ctx, {1});
  Var y = call(ctx, "relu", {x});
  CHECK(log == "a<relu(1) b<relu(1) c<relu(1) a>relu(1) b>relu(1) c>relu(1) ");
  REQUIRE_OK(ctn_function_hook_remove(ctx, b.id));
  log.clear();
  y = call(ctx, "relu", {x});
  CHECK(log == "a<relu(1) c<relu(1) a>relu(1) c>relu(1) ");
  CHECK_FAILS(ctn_function_hook_remove(ctx, b.id), CTN_ENOTFOUND, std::to_string(b.id));
  CHECK_FAILS(ctn_function_hook_remove(ctx, 0), CTN_ENOTFOUND, "id 0");
}

TEST_CASE("a hook may remove itself and others, which are then not called any more") {
  const Ctx ctx = context();
  std::string log;
  Spy a{"a", &log}, b{"b", &log}, c{"c", &log};
  for (Spy* spy : {&a, &b, &c}) REQUIRE_OK(spy->add(ctx));
  a.also = [&] {
    if (a.id) CHECK_OK(ctn_function_hook_remove(ctx, a.id));
    if (b.id) CHECK_OK(ctn_function_hook_remove(ctx, b.id));
    a.id = b.id = 0;
  };
  const Var x = variable(ctx, {1});
  const Var y = call(ctx, "relu", {x});
  CHECK(log == "a<relu(1) c<relu(1) c>relu(1) ");
}

TEST_CASE("a hook added by a hook is called from the next moment on") {
  const Ctx ctx = context();
  std::string log;
  Spy a{"a", &log}, b{"b", &log};
  REQUIRE_OK(a.add(ctx));
  a.also = [&] {
    if (!b.id) CHECK_OK(b.add(ctx));
  };
  const Var x = variable(ctx, {1});
  const Var y = call(ctx, "relu", {x});
  CHECK(log == "a<relu(1) a>relu(1) b>relu(1) ");
}

TEST_CASE("a hook may call ops, and sees its own calls") {
  const Ctx ctx = context();
  std::string log;
  Spy a{"a", &log};
  REQUIRE_OK(a.add(ctx));
  const Var x = variable(ctx, {2});
  int depth = 0;
  a.also = [&] {
    if (depth++ == 0) CHECK(values(call(ctx, "square", {x})) == Floats{4});
  };
  const Var y = call(ctx, "relu", {x});
  CHECK(log == "a<relu(2) a<square(2) a>square(2) a>relu(2) ");
}

TEST_CASE("a hook sees the calls of its own thread and context only") {
  const Ctx ctx = context(), other = context();
  std::string log;
  Spy mine{"mine", &log}, theirs{"theirs", &log};
  REQUIRE_OK(mine.add(ctx));
  const Var there = variable(other, {1});
  Var y = call(other, "relu", {there});
  CHECK(log.empty());
  std::thread([&] {
    const Var x = variable(ctx, {1});
    Var z = call(ctx, "relu", {x});
    CHECK(log.empty());
    CHECK_OK(theirs.add(ctx));
    z = call(ctx, "relu", {x});
  }).join();
  CHECK(log == "theirs<relu(1) theirs>relu(1) ");
  log.clear();
  // A thread that runs where the last one did is another thread.
  std::thread([&] {
    const Var x = variable(ctx, {1});
    const Var z = call(ctx, "relu", {x});
  }).join();
  CHECK(log.empty());
  REQUIRE_OK(ctn_function_hook_remove(ctx, theirs.id));  // from any thread
}

TEST_CASE("a call that is refused calls hooks before, not after") {
  const Ctx ctx = context();
  std::string log;
  Spy spy{"", &log};
  REQUIRE_OK(spy.add(ctx));
  const Var x = variable(array<float>(ctx, {-1, 2}, {2}));
  int32_t op = -1;
  REQUIRE_OK(ctn_op_find(str("log"), &op));
  const ctn_variable in[] = {x, x};
  ctn_variable out = untouched<ctn_variable_s>();
  CHECK(ctn_call(ctx, op, in, 2, nullptr, 0, &out, 1) == CTN_EINVAL);
  CHECK(log.empty());
  CHECK(out == untouched<ctn_variable_s>());
}

TEST_CASE("an exception out of a hook fails the call, which leaves nothing") {
  const Ctx ctx = context();
  const Var x = variable(ctx, {3});
  int32_t op = -1;
  REQUIRE_OK(ctn_op_find(str("square"), &op));
  const ctn_variable in[] = {x};
  for (const int32_t moment : {CTN_HOOK_FORWARD_PRE, CTN_HOOK_FORWARD_POST}) {
    const uint64_t before = used(ctx);
    int32_t at = moment;
    const ctn_function_hook hook{
        sizeof hook, 0, &at, [](void* user, int32_t when, int32_t, const ctn_variable*, int32_t) {
          if (when == *static_cast<int32_t*>(user)) throw 5;
        }};
    uint64_t id = 0;
    REQUIRE_OK(ctn_function_hook_add(ctx, &hook, &id));
    ctn_variable out = untouched<ctn_variable_s>();
    CHECK_FAILS(ctn_call(ctx, op, in, 1, nullptr, 0, &out, 1), CTN_EINTERNAL, "exception");
    CHECK(out == untouched<ctn_variable_s>());
    CHECK(used(ctx) == before);
    REQUIRE_OK(ctn_function_hook_remove(ctx, id));
  }
  for (const int32_t moment : {CTN_HOOK_BACKWARD_PRE, CTN_HOOK_BACKWARD_POST}) {
    const Var y = call(ctx, "square", {x});
    const uint64_t before = used(ctx);
    int32_t at = moment;
    const ctn_function_hook hook{
        sizeof hook, 0, &at, [](void* user, int32_t when, int32_t, const ctn_variable*, int32_t) {
          if (when == *static_cast<int32_t*>(user)) throw 5;
        }};
    uint64_t id = 0;
    REQUIRE_OK(ctn_function_hook_add(ctx, &hook, &id));
    CHECK(ctn_variable_backward(y, nullptr) == CTN_EINTERNAL);
    CHECK(grad(x).empty());
    CHECK(used(ctx) == before);
    REQUIRE_OK(ctn_function_hook_remove(ctx, id));
    REQUIRE_OK(ctn_variable_backward(y, nullptr));  // the graph is as it was
    CHECK(grad(x) == Floats{6});
    REQUIRE_OK(ctn_variable_clear_grad(x));
  }
}

TEST_CASE("hooks without a function, a size or an id are refused") {
  const Ctx ctx = context(), other = context();
  std::string log;
  Spy spy{"", &log};
  ctn_function_hook hook{sizeof hook, 0, &spy, nullptr};
  uint64_t id = 77;
  CHECK_FAILS(ctn_function_hook_add(ctx, &hook, &id), CTN_EINVAL, "call is NULL");
  hook.call = Spy::call;
  CHECK_FAILS(ctn_function_hook_add(ctx, &hook, nullptr), CTN_EINVAL, "id is NULL");
  CHECK_FAILS(ctn_function_hook_add(ctx, nullptr, &id), CTN_EINVAL, "hook is NULL");
  CHECK_FAILS(ctn_function_hook_add(nullptr, &hook, &id), CTN_EINVAL, "context is NULL");
  hook.size = 0;
  CHECK_FAILS(ctn_function_hook_add(ctx, &hook, &id), CTN_EINVAL, "function hook: size is 0");
  CHECK(id == 77);
  REQUIRE_OK(spy.add(ctx));
  CHECK_FAILS(ctn_function_hook_remove(other, spy.id), CTN_ENOTFOUND, std::to_string(spy.id));
  CHECK_FAILS(ctn_function_hook_remove(nullptr, spy.id), CTN_EINVAL, "context is NULL");
}
