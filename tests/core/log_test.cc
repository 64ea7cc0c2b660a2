// CATENA_LOG: what reaches standard error or the hook, and that a kernel's refusal is told. Every
// case runs in a child process with an environment of its own.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "core/loader.h"
#include "net_support.h"

using namespace catena_test;

namespace {

// ---- a plugin: an op with a kernel that declines and one that runs

const ctn_host* g_host = nullptr;

ctn_status infer(void*, const ctn_call_info* call, ctn_out_spec* out) {
  out->mode = CTN_OUT_NEW;
  out->dtype = call->in[0].t.dtype;
  out->ndim = 0;
  return CTN_OK;
}
ctn_status decline(void*, const ctn_call_info*, int32_t* yes, ctn_str* why) {
  *yes = 0;
  *why = str("the moon is full");
  return CTN_OK;
}
ctn_status run(void*, const ctn_run*) { return CTN_OK; }

const ctn_plugin_info* query(uint32_t) {
  static constexpr ctn_plugin_info info = {
      sizeof(ctn_plugin_info), CTN_ABI_VERSION, CTN_ABI_VERSION, 1,
      {"logtest", 7},          {"ops", 3},      {"MIT", 3}};
  return &info;
}
ctn_status init(const ctn_host* host, ctn_plugin self) {
  g_host = host;
  const ctn_input_def in = {str("x"), str("f"), 0, 0};
  const ctn_output_def out = {str("y"), str("=x"), 0, 0};
  ctn_op_def op{};
  op.size = sizeof op;
  op.flags = CTN_OP_NODIFF;
  op.name = str("logged");
  op.n_in = op.n_out = 1;
  op.in = &in;
  op.out = &out;
  op.infer = infer;
  ctn_kernel_def kernel{};
  kernel.size = sizeof kernel;
  kernel.op = op.name;
  kernel.backend = str("cpu");
  kernel.priority = 200;
  kernel.supports = decline;
  kernel.run = run;
  if (const ctn_status s = host->add_op(self, &op); s != CTN_OK) return s;
  if (const ctn_status s = host->add_kernel(self, &kernel); s != CTN_OK) return s;
  kernel.priority = 100;
  kernel.supports = nullptr;
  return host->add_kernel(self, &kernel);
}

// ---- children

const std::string kDeclined = "logged: cpu priority 200 declined: the moon is full";
const std::string kRuns = "logged: cpu priority 100 runs";

// Makes a context, calls the op and logs three messages; 0 if all went well.
int talk(const ctn_context_options& options) {
  ctn_context ctx = nullptr;
  if (ctn_context_create(&options, &ctx) != CTN_OK) {
    const std::string text = ctn_error_message();
    return ::write(STDOUT_FILENO, text.data(), text.size()) < 0 ? 3 : 2;
  }
  g_host->log(ctx, CTN_LOG_ERROR, str("one"), str("an error"));
  g_host->log(ctx, CTN_LOG_WARN, str("two"), str("a warning"));
  g_host->log(ctx, CTN_LOG_INFO, str("two"), str("news"));
  ctn_array a = nullptr;
  ctn_variable x = nullptr, y = nullptr;
  const float value = 1;
  bool good = ctn_array_from_host(ctx, kF32, 0, nullptr, &value, &a) == CTN_OK &&
              ctn_variable_new(a, 0, &x) == CTN_OK &&
              ctn_call_named(ctx, str("logged"), &x, 1, nullptr, 0, &y, 1) == CTN_OK;
  ctn_variable_release(x);
  ctn_variable_release(y);
  ctn_array_release(a);
  ctn_context_release(ctx);
  return good ? 0 : 1;
}

void CTN_CALL hook(void* user, int32_t level, ctn_str topic, ctn_str text) {
  *static_cast<std::string*>(user) += std::to_string(level) + " " + std::string(topic.p, topic.n) +
                                      " " + std::string(text.p, text.n) + "\n";
}

struct Heard {
  int status = -1;
  std::string error;  // standard error
  std::string out;    // standard output: what the hook got, or why there was no context
};

std::string read_all(int fd) {
  std::string all;
  char part[512];
  for (ssize_t n = 0; (n = ::read(fd, part, sizeof part)) > 0;) all.append(part, size_t(n));
  ::close(fd);
  return all;
}

struct Setup {
  const char* variable;  // NULL: not set
  bool hooked = false;
  int32_t level = 0;
  uint32_t flags = 0;
};

Heard listen(const Setup& setup) {
  const Ctx registered = context();  // the backend
  if (!g_host) catena::init_plugin(query, init, "the test");
  int error[2], out[2];
  REQUIRE(::pipe(error) == 0);
  REQUIRE(::pipe(out) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(error[1], STDERR_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    if (setup.variable)
      ::setenv("CATENA_LOG", setup.variable, 1);
    else
      ::unsetenv("CATENA_LOG");
    std::string heard;
    ctn_context_options options{};
    options.size = sizeof options;
    options.flags = setup.flags;
    options.threads = 1;
    options.log_level = setup.level;
    if (setup.hooked) {
      options.log = hook;
      options.log_user = &heard;
    }
    const int status = talk(options);
    const bool told = ::write(STDOUT_FILENO, heard.data(), heard.size()) >= 0;
    ::_exit(told ? status : 3);
  }
  ::close(error[1]);
  ::close(out[1]);
  Heard h;
  h.error = read_all(error[0]);
  h.out = read_all(out[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  h.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return h;
}

}  // namespace

TEST_CASE("without the variable and without a hook nothing is written") {
  for (const char* variable : {static_cast<const char*>(nullptr), ""}) {
    const Heard h = listen({variable});
    CHECK(h.status == 0);
    CHECK(h.error.empty());
    CHECK(h.out.empty());
  }
}

TEST_CASE("CATENA_LOG=debug:kernel says on standard error why a kernel declined") {
  const Heard h = listen({"debug:kernel"});
  CHECK(h.status == 0);
  CHECK(h.error == "catena debug kernel: " + kDeclined + "\ncatena debug kernel: " + kRuns + "\n");
  CHECK(h.out.empty());
}

TEST_CASE("CATENA_LOG=debug:loader says what became of every plugin and which device was opened") {
  const Heard h = listen({"debug:loader"});
  CHECK(h.status == 0);
  CHECK(h.error.find("catena debug loader: the test: loaded: ops logtest 0.0.1\n") != h.error.npos);
  CHECK(h.error.find("catena debug loader: cpu:0: opened, backend 'cpu' of plugin 'nettest'\n") !=
        h.error.npos);
  for (size_t at = 0; at < h.error.size(); at = h.error.find('\n', at) + 1)
    CHECK(h.error.compare(at, 21, "catena debug loader: ") == 0);
}

TEST_CASE("levels hold for all topics, or for the one that is named") {
  CHECK(listen({"error"}).error == "catena error one: an error\n");
  CHECK(listen({"warn"}).error == "catena error one: an error\ncatena warn two: a warning\n");
  CHECK(listen({"info:two"}).error == "catena warn two: a warning\ncatena info two: news\n");
  CHECK(listen({"error,info:two"}).error ==
        "catena error one: an error\ncatena warn two: a warning\ncatena info two: news\n");
  CHECK(listen({"warn:one,warn:two"}).error == listen({"warn"}).error);
  CHECK(listen({"debug:nothing"}).error.empty());
}

TEST_CASE("with a hook the variable sets level and topics, and standard error stays empty") {
  const std::string warnings = "1 one an error\n2 two a warning\n";
  CHECK(listen({nullptr, true}).out == warnings);
  CHECK(listen({nullptr, true, CTN_LOG_ERROR}).out == "1 one an error\n");
  const std::string all = listen({nullptr, true, CTN_LOG_DEBUG}).out;
  const std::string talked =
      warnings + "3 two news\n4 kernel " + kDeclined + "\n4 kernel " + kRuns + "\n";
  CHECK(all.find("4 loader ") == 0);
  CHECK(all.ends_with("\n" + talked));
  const Heard h = listen({"debug:kernel", true, CTN_LOG_ERROR});
  CHECK(h.status == 0);
  CHECK(h.out == "4 kernel " + kDeclined + "\n4 kernel " + kRuns + "\n");
  CHECK(h.error.empty());
}

TEST_CASE("a context that reads no environment does not read this") {
  CHECK(listen({"debug", false, 0, CTN_CONTEXT_NO_ENV}).error.empty());
  CHECK(listen({"debug", true, CTN_LOG_ERROR, CTN_CONTEXT_NO_ENV}).out == "1 one an error\n");
  const Heard h = listen({"rubbish", false, 0, CTN_CONTEXT_NO_ENV});
  CHECK(h.status == 0);
}

TEST_CASE("a value that says nothing is refused") {
  for (const char* bad : {"loud", "debug:", ":kernel", "warn,", ",warn", "debug kernel", "DEBUG"}) {
    INFO(std::string(bad));
    const Heard h = listen({bad});
    CHECK(h.status == 2);
    CHECK(h.out.find("CATENA_LOG='" + std::string(bad) + "'") != std::string::npos);
    CHECK(h.error.empty());
  }
}
