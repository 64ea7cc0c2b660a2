// Random calls of every op on the backend of this run and on the cpu: what the one can do the other
// can, or says that it has no kernel; outputs and gradients are the same, to the bit where the
// backend computes with the cpu's kernels. The cpu itself is compared with itself on other threads.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>

#include "backend.h"
#include "main.h"
#include "random_call.h"

namespace {

using namespace ops_test;

#define OK(call) REQUIRE_MESSAGE((call) == CTN_OK, std::string(ctn_error_message()))

using Variables = std::vector<ctn_variable>;

struct Side {
  ctn_context ctx = nullptr;
  Side(const char* device, int32_t threads) {
    ctn_context_options options{};
    options.size = sizeof options;
    options.flags = CTN_CONTEXT_NO_ENV;
    options.device = {device, std::strlen(device)};
    options.threads = threads;
    options.memory_limit = 64 << 20;
    OK(ctn_context_create(&options, &ctx));
  }
  Side(const Side&) = delete;
  ~Side() { ctn_context_release(ctx); }
};

constexpr double kMostElements = 1 << 16;  // views may have any number of them

double elements(const Shape& shape) {
  double n = 1;
  for (const int64_t d : shape) n *= static_cast<double>(d);
  return n;
}

// One output or gradient, or that there is none. The elements are read where they are not too many.
struct Result {
  bool there = false;
  ctn_dtype dtype{};
  Shape shape;
  std::vector<double> wide;
  std::vector<uint8_t> bytes;
};
struct Outcome {
  ctn_status status = CTN_OK;
  std::string text;
  std::vector<Result> results;
};

ctn_status read(ctn_variable v, Result& out) {
  if (!v) return CTN_OK;
  out.there = true;
  ctn_array a = nullptr, wide = nullptr;
  ctn_status s = ctn_variable_array(v, &a);
  ctn_dltensor t{};
  if (s == CTN_OK) s = ctn_array_spec(a, &t);
  bool few = false;
  if (s == CTN_OK) {
    out.dtype = t.dtype;
    out.shape.assign(t.shape, t.shape + t.ndim);
    few = elements(out.shape) <= kMostElements;
  }
  if (few) {
    const auto n = static_cast<size_t>(elements(out.shape));
    out.wide.resize(n);
    out.bytes.resize(n * t.dtype.bits / 8);
    s = ctn_array_to_host(a, out.bytes.data(), out.bytes.size());
  }
  if (few && s == CTN_OK) s = ctn_array_copy(a, dtype_at(CTN_FLOAT64), &wide);
  if (few && s == CTN_OK)
    s = ctn_array_to_host(wide, out.wide.data(), out.wide.size() * sizeof(double));
  ctn_array_release(wide);
  ctn_array_release(a);
  return s;
}

Variables gradients(const Variables& ys, const Variables& xs, ctn_status& status) {
  Variables from, to;
  for (ctn_variable y : ys)
    if (ctn_variable_requires_grad(y)) from.push_back(y);
  for (ctn_variable x : xs)
    if (x && ctn_variable_requires_grad(x)) to.push_back(x);
  if (from.empty() || to.empty()) return {};
  ctn_grad_options options{};
  options.size = sizeof options;
  options.grad_outputs = from.data();  // weights of their own: the outputs
  Variables gx(to.size(), nullptr);
  status = ctn_grad_of(from.data(), static_cast<int32_t>(from.size()), to.data(),
                       static_cast<int32_t>(to.size()), &options, gx.data());
  return gx;
}

Outcome outcome(const Side& side, const RandomCall& call) {
  OK(ctn_random_seed(side.ctx, 3));
  const Prepared p(side.ctx, call);
  const auto n_in = static_cast<int32_t>(p.inputs().size());
  const auto n_attrs = static_cast<int32_t>(p.attrs().size());
  Outcome o;
  int32_t n_out = call.op->outputs;
  if (n_out < 0)
    o.status = ctn_call_outputs(side.ctx, call.op->id, p.inputs().data(), n_in, p.attrs().data(),
                                n_attrs, &n_out);
  Variables all(static_cast<size_t>(std::clamp(n_out, 0, 4096)), nullptr);
  if (o.status == CTN_OK)
    o.status = ctn_call(side.ctx, call.op->id, p.inputs().data(), n_in, p.attrs().data(), n_attrs,
                        all.data(), static_cast<int32_t>(all.size()));
  if (o.status == CTN_OK)
    for (ctn_variable v : gradients(all, p.inputs(), o.status)) all.push_back(v);
  for (size_t k = 0; k < all.size() && o.status == CTN_OK; ++k)
    o.status = read(all[k], o.results.emplace_back());
  if (o.status != CTN_OK) o.text = ctn_error_message();
  for (ctn_variable v : all) ctn_variable_release(v);
  // What an asynchronous device has left to say is of this call.
  const ctn_status later = ctn_synchronize(side.ctx);
  if (o.status == CTN_OK && later != CTN_OK) o.status = later, o.text = ctn_error_message();
  return o;
}

// Units of the last place that sums in another order may differ by, of the largest element.
double tolerance(const Result& r) {
  if (r.dtype.code == CTN_DT_BFLOAT) return 0x1p-7;
  if (r.dtype.code != CTN_DT_FLOAT) return 0;
  return r.dtype.bits == 16 ? 0x1p-9 : r.dtype.bits == 32 ? 0x1p-18 : 0x1p-44;
}

std::string difference(const Result& a, const Result& b, bool exact) {
  if (a.there != b.there) return a.there ? "is not there" : "is there";
  if (!a.there) return {};
  if (std::memcmp(&a.dtype, &b.dtype, sizeof a.dtype) != 0) return "has another dtype";
  if (a.shape != b.shape) return "has another shape";
  if (a.bytes == b.bytes) return {};
  double largest = 1;
  for (const double v : a.wide)
    if (std::isfinite(v)) largest = std::max(largest, std::fabs(v));
  const double room = exact ? 0 : tolerance(a) * largest;
  for (size_t i = 0; i < a.wide.size(); ++i) {
    const double x = a.wide[i], y = b.wide[i];
    if (x == y || (std::isnan(x) && std::isnan(y)) || std::fabs(x - y) <= room) continue;
    return "element " + std::to_string(i) + " is " + std::to_string(y) + ", on the cpu " +
           std::to_string(x);
  }
  return {};
}

// Inputs that have a value everywhere, on which sums in another order agree to some digits.
bool comparable(const RandomCall& call, bool exact) {
  for (const RandomInput& in : call.inputs) {
    if (elements(in.shape) > 4096) return false;
    if (!exact && (in.content == Content::kLarge || in.content == Content::kSpecial)) return false;
  }
  // Undefined by their nature, or of a device.
  return call.op->name != "copy" && call.op->name != "copy_to";
}

struct Tally {
  int64_t compared = 0, without_kernel = 0;
};

void compare(const Side& cpu, const Side& other, const RandomCall& call, bool exact, Tally& tally) {
  const Outcome expected = outcome(cpu, call);
  if (expected.status != CTN_OK) return;
  const Outcome got = outcome(other, call);
  if (got.status == CTN_EUNSUPPORTED && got.text.find("no kernel on backend") != got.text.npos) {
    ++tally.without_kernel;
    return;
  }
  CHECK_MESSAGE(got.status == CTN_OK, call.text(), ": ", got.text);
  if (got.status != CTN_OK) return;
  ++tally.compared;
  REQUIRE_MESSAGE(got.results.size() == expected.results.size(), call.text());
  for (size_t k = 0; k < got.results.size(); ++k) {
    const std::string found = difference(expected.results[k], got.results[k], exact);
    CHECK_MESSAGE(found.empty(), call.text(), ": result ", k, " ", found);
  }
}

}  // namespace

TEST_CASE("random calls give what they give on the cpu") {
  const Side cpu("cpu", 1), other(catena_test::backend(), 3);
  const bool exact = catena_test::backend_is_exact();
  const char* only = std::getenv("CATENA_FUZZ_OP");
  const char* asked = std::getenv("CATENA_COMPARE_CALLS");
  const int64_t calls = asked ? std::atoll(asked) : 60;
  std::map<std::string, int64_t> missing;
  int64_t ops = 0, reached = 0;
  for (const OpSchema& op : read_schemas()) {
    if (only && op.name != only) continue;
    Random r(11);
    for (const char c : op.name) r = Random(r.bits() ^ static_cast<uint64_t>(c));
    Tally tally;
    std::vector<RandomCall> kept;
    for (int64_t k = 0; k < calls; ++k) {
      RandomCall call = kept.empty() || r.chance(40) ? RandomCall::make(op, r) : r.one_of(kept);
      if (!kept.empty()) call.change(r);
      if (!comparable(call, exact)) continue;
      const int64_t before = tally.compared;
      compare(cpu, other, call, exact, tally);
      if (tally.compared > before && kept.size() < 8) kept.push_back(std::move(call));
    }
    ++ops;
    reached += tally.compared > 0;
    if (tally.without_kernel > 0) missing[op.name] = tally.without_kernel;
  }
  for (const auto& [name, n] : missing)
    MESSAGE(catena_test::backend(), " has no kernel for ", n, " calls of ", name);
  CHECK(ops > 0);
  if (!only && calls >= 60) CHECK(2 * reached > ops);
}
