// Chainer's configuration: keys and kinds, global values and those of a thread, what environment
// variables preset, and what the keys do to calls.
#include <thread>

#include "child.h"
#include "support.h"

using namespace capi_test;

namespace {

// "1", "auto", or the text of the failure.
std::string shown(ctn_context ctx, std::string_view key) {
  ctn_value v{};
  if (ctn_config_get(ctx, str(key), &v) != CTN_OK) return ctn_error_message();
  if (v.kind == CTN_STR) return {v.u.s, v.n};
  return (v.kind == CTN_BOOL ? "" : "int ") + std::to_string(v.u.i);
}

void set(ctn_context ctx, std::string_view key, const ctn_value& v) {
  REQUIRE_OK(ctn_config_set(ctx, str(key), &v));
}
void set_global(ctn_context ctx, std::string_view key, const ctn_value& v) {
  REQUIRE_OK(ctn_config_set_global(ctx, str(key), &v));
}
void unset(ctn_context ctx, std::string_view key) {
  REQUIRE_OK(ctn_config_set(ctx, str(key), nullptr));
}

// A thread's value for a scope; then what it had before, or none.
class Scope {
 public:
  Scope(ctn_context ctx, const char* key, bool value) : ctx_(ctx), key_(key) {
    REQUIRE_OK(ctn_config_get_local(ctx, str(key), &before_));
    set(ctx, key, of(value));
  }
  ~Scope() { CHECK_OK(ctn_config_set(ctx_, str(key_), &before_)); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  ctn_context ctx_;
  const char* key_;
  ctn_value before_{};
};

int32_t rank_of_square(ctn_context ctx) {
  return ctn_variable_rank(call(ctx, "square", {variable(ctx, {1, 2})}));
}

const char* const kFlags[] = {"train",
                              "enable_backprop",
                              "type_check",
                              "debug",
                              "lazy_grad_sum",
                              "keep_graph_on_report",
                              "cudnn_deterministic",
                              "autotune",
                              "warn_nondeterministic",
                              "cudnn_fast_batch_normalization"};
const char* const kTernaries[] = {"use_cudnn", "use_cudnn_tensor_core", "use_ideep",
                                  "use_winograd"};

// All keys of a context that reads the environment.
std::string preset() {
  Ctx ctx;
  const ctn_context_options o = options(0);
  if (ctn_context_create(&o, ctx.out()) != CTN_OK)
    return std::string(ctn_status_name(ctn_error_code())) + ": " + ctn_error_message();
  std::string all;
  for (const char* key : kFlags)
    if (shown(ctx, key) == "1") all += std::string(key) + " ";
  for (const char* key : kTernaries) all += shown(ctx, key) + " ";
  if (const std::string bytes = shown(ctx, "max_workspace_size"); bytes != "int 8388608")
    all += bytes;
  return all;
}

}  // namespace

TEST_CASE("configuration starts as Chainer's") {
  const Ctx ctx = context();
  for (const std::string_view key : kFlags)
    CHECK(shown(ctx, key) ==
          (key == "train" || key == "enable_backprop" || key == "type_check" ? "1" : "0"));
  CHECK(shown(ctx, "use_cudnn") == "auto");
  CHECK(shown(ctx, "use_cudnn_tensor_core") == "auto");
  CHECK(shown(ctx, "use_ideep") == "never");
  CHECK(shown(ctx, "use_winograd") == "auto");
  CHECK(shown(ctx, "max_workspace_size") == "int 8388608");
}

TEST_CASE("a thread's own value comes before the global one until it is removed") {
  const Ctx ctx = context();
  for (const char* key : kFlags) {
    const bool first = shown(ctx, key) == "1";
    set(ctx, key, of(!first));
    CHECK(shown(ctx, key) == std::to_string(!first));
    set_global(ctx, key, of(first));
    CHECK(shown(ctx, key) == std::to_string(!first));
    unset(ctx, key);
    CHECK(shown(ctx, key) == std::to_string(first));
    set_global(ctx, key, of(!first));
    CHECK(shown(ctx, key) == std::to_string(!first));
    const ctn_value number = of(int64_t{first});
    CHECK_FAILS(ctn_config_set_global(ctx, str(key), &number), CTN_EINVAL, "takes a bool, not ");
    CHECK_FAILS(ctn_config_set(ctx, str(key), &number), CTN_EINVAL, "takes a bool, not ");
    CHECK(shown(ctx, key) == std::to_string(!first));
  }
  for (const char* key : kTernaries) {
    set_global(ctx, key, of("always"));
    set(ctx, key, of("never"));
    CHECK(shown(ctx, key) == "never");
    const ctn_value absent{};
    REQUIRE_OK(ctn_config_set(ctx, str(key), &absent));
    CHECK(shown(ctx, key) == "always");
  }
}

TEST_CASE("max_workspace_size is a number of bytes") {
  const Ctx ctx = context();
  const int64_t most = (int64_t{1} << 40) - 1;
  set_global(ctx, "max_workspace_size", of(most));
  set(ctx, "max_workspace_size", of(0));
  CHECK(shown(ctx, "max_workspace_size") == "int 0");
  std::thread([&] {
    CHECK(shown(ctx, "max_workspace_size") == "int " + std::to_string(most));
  }).join();
  for (const ctn_value& v : {of(-1), of(most + 1), of(true), of("8"), of(8.0)})
    CHECK_FAILS(ctn_config_set(ctx, str("max_workspace_size"), &v), CTN_EINVAL,
                "takes a number of bytes from 0 to 2^40 - 1, not ");
  CHECK(shown(ctx, "max_workspace_size") == "int 0");
  unset(ctx, "max_workspace_size");
  CHECK(shown(ctx, "max_workspace_size") == "int " + std::to_string(most));
  CHECK(shown(ctx, "use_cudnn") == "auto");  // the field beside it
}

TEST_CASE("a thread's own value can be told from the global one") {
  const Ctx ctx = context();
  for (const char* key : {"debug", "use_cudnn", "user_x"}) {
    const bool flag = key == std::string_view("debug");
    const ctn_value own = flag ? of(true) : of("always"), global = flag ? of(false) : of("never");
    ctn_value v = of(77);
    set_global(ctx, key, global);
    REQUIRE_OK(ctn_config_get_local(ctx, str(key), &v));
    CHECK(v.kind == CTN_ABSENT);
    set(ctx, key, own);
    REQUIRE_OK(ctn_config_get_local(ctx, str(key), &v));
    CHECK(v.kind == own.kind);
    if (flag) CHECK(v.u.i == 1);
    if (!flag) CHECK(std::string(v.u.s, v.n) == "always");
    std::thread([&] {
      ctn_value there = of(77);
      CHECK_OK(ctn_config_get_local(ctx, str(key), &there));
      CHECK(there.kind == CTN_ABSENT);
    }).join();
    unset(ctx, key);
    REQUIRE_OK(ctn_config_get_local(ctx, str(key), &v));
    CHECK(v.kind == CTN_ABSENT);
  }
}

TEST_CASE("own keys start with user_ and hold a bool, an int or a text") {
  const Ctx ctx = context();
  CHECK(shown(ctx, "user_depth").find("user_depth") != std::string::npos);
  CHECK(ctn_error_code() == CTN_ENOTFOUND);
  set_global(ctx, "user_depth", of(50));
  CHECK(shown(ctx, "user_depth") == "int 50");
  set(ctx, "user_depth", of("deep"));
  CHECK(shown(ctx, "user_depth") == "deep");
  set(ctx, "user_depth", of(true));
  CHECK(shown(ctx, "user_depth") == "1");
  set(ctx, "user_depth", of(""));
  CHECK(shown(ctx, "user_depth").empty());
  unset(ctx, "user_depth");
  CHECK(shown(ctx, "user_depth") == "int 50");
  unset(ctx, "user_never_set");
}

TEST_CASE("values belong to one context and, set for a thread, to that thread") {
  const Ctx ctx = context(), other = context();
  set(ctx, "train", of(false));
  set(ctx, "user_name", of("mine"));
  set_global(ctx, "debug", of(true));
  CHECK(shown(other, "train") == "1");
  CHECK(shown(other, "debug") == "0");
  CHECK(shown(ctx, "train") == "0");
  std::thread([&] {
    CHECK(shown(ctx, "train") == "1");
    CHECK(shown(ctx, "debug") == "1");
    CHECK(shown(ctx, "user_name") != "mine");
    set(ctx, "debug", of(false));
    CHECK(shown(other, "debug") == "0");
    CHECK(shown(ctx, "debug") == "0");
  }).join();
  CHECK(shown(ctx, "debug") == "1");
  std::thread([&] { CHECK(shown(ctx, "debug") == "1"); }).join();
}

TEST_CASE("no_backprop_mode and force_backprop_mode nest") {
  const Ctx ctx = context();
  CHECK(rank_of_square(ctx) == 1);
  {
    const Scope none(ctx, "enable_backprop", false);
    CHECK(rank_of_square(ctx) == 0);
    {
      const Scope force(ctx, "enable_backprop", true);
      CHECK(rank_of_square(ctx) == 1);
      {
        const Scope again(ctx, "enable_backprop", false);
        CHECK(rank_of_square(ctx) == 0);
        std::thread([&] { CHECK(rank_of_square(ctx) == 1); }).join();
      }
      CHECK(rank_of_square(ctx) == 1);
    }
    CHECK(rank_of_square(ctx) == 0);
  }
  CHECK(rank_of_square(ctx) == 1);
}

TEST_CASE("backward leaves the thread's own values as they were") {
  const Ctx ctx = context();
  const Var x = variable(ctx, {3});
  for (const int own : {-1, 0, 1}) {
    const Var y = call(ctx, "square", {x});
    if (own >= 0) set(ctx, "enable_backprop", of(own == 1));
    const std::string before = shown(ctx, "enable_backprop");
    REQUIRE_OK(ctn_variable_backward(y, nullptr));
    CHECK(shown(ctx, "enable_backprop") == before);
    set_global(ctx, "enable_backprop", of(own < 0));
    if (own >= 0) CHECK(shown(ctx, "enable_backprop") == before);
    if (own < 0) CHECK(shown(ctx, "enable_backprop") == "1");
    set_global(ctx, "enable_backprop", of(true));
    unset(ctx, "enable_backprop");
  }
}

TEST_CASE("type_check, train and debug do what they say") {
  const Ctx ctx = context();
  const Var x = variable(ctx, {-1, 1});
  ctn_variable out = untouched<ctn_variable_s>();
  int32_t op = -1;
  REQUIRE_OK(ctn_op_find(str("log"), &op));
  const ctn_variable in[] = {x};
  {
    const Scope debug(ctx, "debug", true);
    CHECK_FAILS(ctn_call(ctx, op, in, 1, nullptr, 0, &out, 1), CTN_ENAN, "element 0");
    CHECK(out == untouched<ctn_variable_s>());
  }
  CHECK(values(call(ctx, "log", {x}))[1] == 0);
  {
    const Scope test(ctx, "train", false);
    CHECK(values(call(ctx, "dropout", {x}, {of(0.9)})) == Floats{-1, 1});
  }
}

TEST_CASE("unknown keys and wrong kinds are refused and change nothing") {
  const Ctx ctx = context();
  const ctn_value yes = of(true), text = of("always"), number = of(0.5), other = of("sometimes");
  ctn_value broken = of("never");
  broken.u.s = nullptr;
  ctn_value out = of(77);
  CHECK_FAILS(ctn_config_set(ctx, str("trian"), &yes), CTN_EINVAL,
              "'trian'; did you mean 'train'? (own keys start with user_)");
  CHECK_FAILS(ctn_config_set(ctx, str("trian"), nullptr), CTN_EINVAL, "'trian'");
  CHECK_FAILS(ctn_config_set_global(ctx, str("trian"), &yes), CTN_EINVAL, "user_");
  CHECK_FAILS(ctn_config_set_global(ctx, str(""), &yes), CTN_EINVAL, "''");
  CHECK_FAILS(ctn_config_get(ctx, str("trian"), &out), CTN_ENOTFOUND, "'trian'");
  CHECK_FAILS(ctn_config_get_local(ctx, str("trian"), &out), CTN_ENOTFOUND, "'trian'");
  CHECK_FAILS(ctn_config_get_local(ctx, str("train"), nullptr), CTN_EINVAL, "out is NULL");
  CHECK_FAILS(ctn_config_get_local(nullptr, str("train"), &out), CTN_EINVAL, "context is NULL");
  for (const char* key : kFlags) {
    CHECK_FAILS(ctn_config_set(ctx, str(key), &text), CTN_EINVAL, key);
    CHECK_FAILS(ctn_config_set_global(ctx, str(key), &number), CTN_EINVAL, "takes a bool");
  }
  for (const char* key : kTernaries) {
    CHECK_FAILS(ctn_config_set(ctx, str(key), &yes), CTN_EINVAL, "'always', 'auto' or 'never'");
    CHECK_FAILS(ctn_config_set_global(ctx, str(key), &other), CTN_EINVAL, "'sometimes'");
    CHECK_FAILS(ctn_config_set_global(ctx, str(key), &broken), CTN_EINVAL, key);
  }
  CHECK_FAILS(ctn_config_set(ctx, str("user_x"), &number), CTN_EINVAL, "user_x");
  CHECK_FAILS(ctn_config_set_global(ctx, str("user_x"), &broken), CTN_EINVAL, "user_x");
  CHECK_FAILS(ctn_config_set_global(ctx, str("train"), nullptr), CTN_EINVAL, "value is NULL");
  CHECK_FAILS(ctn_config_get(ctx, str("train"), nullptr), CTN_EINVAL, "out is NULL");
  CHECK_FAILS(ctn_config_get(nullptr, str("train"), &out), CTN_EINVAL, "context is NULL");
  CHECK_FAILS(ctn_config_set(nullptr, str("train"), &yes), CTN_EINVAL, "context is NULL");
  CHECK(out.kind == CTN_INT);
  CHECK(out.u.i == 77);
  CHECK(shown(ctx, "train") == "1");
  CHECK(shown(ctx, "use_cudnn") == "auto");
}

TEST_CASE("Chainer's environment variables preset the global values") {
  const std::string usual = "train enable_backprop type_check auto auto never auto ";
  CHECK(in_child({}, preset) == usual);
  CHECK(in_child({{"CHAINER_DEBUG", "1"}, {"CHAINER_LAZY_GRAD_SUM", "1"}}, preset) ==
        "train enable_backprop type_check debug lazy_grad_sum auto auto never auto ");
  CHECK(in_child({{"CHAINER_KEEP_GRAPH_ON_REPORT", "1"}, {"CHAINER_TYPE_CHECK", "0"}}, preset) ==
        "train enable_backprop keep_graph_on_report auto auto never auto ");
  CHECK(in_child({{"CHAINER_DEBUG", "0"}, {"CHAINER_TYPE_CHECK", "1"}}, preset) == usual);
  CHECK(in_child({{"CHAINER_USE_CUDNN", "always"}, {"CHAINER_USE_IDEEP", "auto"}}, preset) ==
        "train enable_backprop type_check always auto auto auto ");
  CHECK(in_child({{"CHAINER_CUDNN", "0"}, {"CHAINER_USE_CUDNN", "always"}}, preset) ==
        "train enable_backprop type_check never auto never auto ");
  CHECK(in_child({{"CHAINER_CUDNN", "0"}, {"CHAINER_USE_CUDNN", "what"}}, preset) ==
        "train enable_backprop type_check never auto never auto ");
  CHECK(in_child({{"CHAINER_CUDNN", "1"}}, preset) == usual);
  CHECK(in_child({{"CATENA_USE_WINOGRAD", "never"}}, preset) ==
        "train enable_backprop type_check auto auto never never ");
  CHECK(in_child({{"CATENA_USE_WINOGRAD", "0"}}, preset) ==
        "invalid argument: CATENA_USE_WINOGRAD='0' is not 'always', 'auto' or 'never'");
  CHECK(in_child({{"CHAINER_USE_IDEEP", "yes"}}, preset) ==
        "invalid argument: CHAINER_USE_IDEEP='yes' is not 'always', 'auto' or 'never'");
  CHECK(in_child({{"CATENA_MAX_WORKSPACE_SIZE", "1073741824"}}, preset) ==
        usual + "int 1073741824");
  for (const char* bytes : {"", "-1", "8M", "1099511627776"})
    CHECK(in_child({{"CATENA_MAX_WORKSPACE_SIZE", bytes}}, preset) ==
          "invalid argument: CATENA_MAX_WORKSPACE_SIZE='" + std::string(bytes) +
              "' is not a number of bytes from 0 to 2^40 - 1");
}

TEST_CASE("a context that reads no environment is not told by it") {
  CHECK(in_child({{"CHAINER_DEBUG", "1"},
                  {"CHAINER_USE_IDEEP", "yes"},
                  {"CATENA_NUM_THREADS", "many"},
                  {"CATENA_PLUGINS", "none"}},
                 [] {
                   ctn_context_options o = options();
                   o.threads = 0;
                   Ctx ctx;
                   if (ctn_context_create(&o, ctx.out()) != CTN_OK)
                     return std::string(ctn_error_message());
                   return shown(ctx, "debug") + " " + shown(ctx, "use_ideep");
                 }) == "0 never");
}
