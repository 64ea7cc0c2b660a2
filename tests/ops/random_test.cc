// Every op of the registry with random inputs and attributes, made from its schema: a call returns
// in time with a status that is not CTN_EINTERNAL, whatever it is given, and so do its first and
// second derivatives; nothing of it is left in the context.
//   CATENA_FUZZ_CALLS  calls of each op (default 1000)
//   CATENA_FUZZ_SEED   another sequence (default 1)
//   CATENA_FUZZ_OP     this op alone
// A crash or a call that does not return prints the call that was running.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "backend.h"
#include "main.h"
#include "random_call.h"

namespace {

using namespace ops_test;

#define OK(call) REQUIRE_MESSAGE((call) == CTN_OK, std::string(ctn_error_message()))

constexpr uint64_t kMemory = 16 << 20;
constexpr unsigned kSeconds = 60;  // of one call, on a machine with other work
constexpr size_t kKept = 16;       // calls that succeeded: most are changes of one of these

char running[2048];

extern "C" void say_running(int sig) {
  const char text[] = "running: ";
  if (write(2, text, sizeof text - 1) < 0 || write(2, running, strlen(running)) < 0 ||
      write(2, "\n", 1) < 0)
    _exit(2);
  signal(sig, SIG_DFL);
  raise(sig);
}

void watch() {
  signal(SIGALRM, say_running);
#if !defined(__SANITIZE_ADDRESS__)
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CTN_SANITIZED 1
#endif
#endif
#if !defined(CTN_SANITIZED)
  for (const int sig : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) signal(sig, say_running);
#endif
#endif
}

int64_t number_of(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atoll(text) : otherwise;
}

struct Session {
  ctn_context ctx = nullptr;
  Session() {
    ctn_context_options options{};
    options.size = sizeof options;
    options.flags = CTN_CONTEXT_NO_ENV;
    options.device = {catena_test::backend(), strlen(catena_test::backend())};
    options.threads = 2;
    options.memory_limit = kMemory;
    options.seed = 5;
    OK(ctn_context_create(&options, &ctx));
  }
  Session(const Session&) = delete;
  ~Session() { ctn_context_release(ctx); }
  uint64_t used() const {
    ctn_memory_stats stats{};
    stats.size = sizeof stats;
    OK(ctn_memory_trim(ctx));
    OK(ctn_memory_get_stats(ctx, &stats));
    return stats.used;
  }
};

// Good for the call, and a text with it where it failed.
void check_status(ctn_status status, const char* what) {
  if (status == CTN_OK) return;
  const std::string text = ctn_error_message();
  CHECK_MESSAGE((status > CTN_OK && status <= CTN_ENAN && status != CTN_EINTERNAL), running, " ",
                what, ": ", status, " ", text);
  CHECK_MESSAGE(!text.empty(), running, " ", what, ": no text with ", status);
}

using Variables = std::vector<ctn_variable>;

void release(const Variables& variables) {
  for (ctn_variable v : variables) ctn_variable_release(v);
}

// Ones in the shape of y; NULL if there is no memory for them.
ctn_variable ones_like(ctn_variable y) {
  ctn_dltensor t;
  OK(ctn_variable_view(y, &t));
  ctn_value one{CTN_INT, 0, {}};
  one.u.i = 1;
  ctn_array a = nullptr;
  const ctn_status status =
      ctn_array_full(ctn_variable_context(y), t.dtype, t.ndim, t.shape, &one, &a);
  check_status(status, "ones");
  if (status != CTN_OK) return nullptr;
  ctn_variable ones = nullptr;
  OK(ctn_variable_new(a, 1, &ones));
  ctn_array_release(a);
  return ones;
}

// Gradients of ys, whose own gradients are ones; none if that is refused.
Variables gradients(const Variables& ys, const Variables& xs, bool again, const char* what) {
  ctn_grad_options options{};
  options.size = sizeof options;
  Variables given;
  for (ctn_variable y : ys) given.push_back(ones_like(y));
  options.grad_outputs = given.data();
  options.enable_double_backprop = again;
  Variables gx(xs.size(), nullptr);
  const ctn_status status = ctn_grad_of(ys.data(), static_cast<int32_t>(ys.size()), xs.data(),
                                        static_cast<int32_t>(xs.size()), &options, gx.data());
  check_status(status, what);
  release(given);
  return status == CTN_OK ? gx : Variables();
}

Variables differentiable(const Variables& variables) {
  Variables some;
  for (ctn_variable v : variables)
    if (v && ctn_variable_requires_grad(v) != 0) some.push_back(v);
  return some;
}

void differentiate(const Variables& ys, const Variables& in) {
  const Variables from = differentiable(ys), xs = differentiable(in);
  if (from.empty() || xs.empty()) return;
  const Variables gx = gradients(from, xs, true, "backward");
  const Variables again = differentiable(gx);
  if (!again.empty()) release(gradients(again, xs, false, "second backward"));
  release(gx);
}

// Whether it succeeded.
bool run(ctn_context ctx, const RandomCall& call) {
  std::strncpy(running, call.text().c_str(), sizeof running - 1);
  alarm(kSeconds);
  const Prepared p(ctx, call);
  const auto n_in = static_cast<int32_t>(p.inputs().size());
  const auto n_attrs = static_cast<int32_t>(p.attrs().size());
  int32_t n_out = call.op->outputs;
  ctn_status status = CTN_OK;
  if (n_out < 0) {
    status = ctn_call_outputs(ctx, call.op->id, p.inputs().data(), n_in, p.attrs().data(), n_attrs,
                              &n_out);
    check_status(status, "outputs");
    CHECK_MESSAGE((status != CTN_OK || n_out >= 0), running, ": ", n_out, " outputs");
    if (status != CTN_OK || n_out < 0 || n_out > 4096) return false;
  }
  Variables out(static_cast<size_t>(n_out), nullptr);
  status = ctn_call(ctx, call.op->id, p.inputs().data(), n_in, p.attrs().data(), n_attrs,
                    out.data(), n_out);
  check_status(status, "forward");
  if (status == CTN_OK) {
    for (ctn_variable y : out) CHECK_MESSAGE(y != nullptr, running, ": an output is NULL");
    differentiate(out, p.inputs());
  }
  release(out);
  alarm(0);
  return status == CTN_OK;
}

// How many of the calls succeeded.
int64_t run_all(const OpSchema& op, int64_t calls, uint64_t seed) {
  Random r(seed);
  for (const char c : op.name) r = Random(r.bits() ^ static_cast<uint64_t>(c));
  Session session;
  const uint64_t before = session.used();
  std::vector<RandomCall> kept;
  int64_t good = 0;
  for (int64_t k = 0; k < calls || (good == 0 && k < 10 * calls); ++k) {
    const bool fresh = kept.empty() || r.chance(30);
    RandomCall call = fresh ? RandomCall::make(op, r) : r.one_of(kept);
    if (!fresh)
      for (int64_t changes = 1 + r.below(2); changes > 0; --changes) call.change(r);
    if (!run(session.ctx, call)) continue;
    ++good;
    if (kept.size() < kKept)
      kept.push_back(std::move(call));
    else
      kept[static_cast<size_t>(r.below(kKept))] = std::move(call);
  }
  CHECK_MESSAGE(session.used() == before, op.name, " leaves ", session.used() - before, " bytes");
  return good;
}

}  // namespace

TEST_CASE("any call of any op returns, with a status that names what is wrong") {
  watch();
  { const Session loads_plugins; }
  const char* only = std::getenv("CATENA_FUZZ_OP");
  const int64_t calls = number_of("CATENA_FUZZ_CALLS", 1000);
  const auto seed = static_cast<uint64_t>(number_of("CATENA_FUZZ_SEED", 1));
  int64_t ops = 0, reached = 0;
  for (const OpSchema& op : read_schemas()) {
    if (only && op.name != only) continue;
    ++ops;
    const int64_t good = run_all(op, calls, seed);
    if (good > 0)
      ++reached;
    else
      MESSAGE(op.name, " was never called with success");
  }
  CHECK(ops > 0);
  // Random calls that are all refused would say nothing.
  if (!only && calls >= 1000) CHECK(10 * reached >= 9 * ops);
}
