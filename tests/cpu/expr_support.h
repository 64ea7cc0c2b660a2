// What the tests of the cpu's expression executor share: a host table of their own with threads to
// choose, arguments in many memory layouts, and the comparison with the plain executor.
#pragma once

#include <catena/plugin.h>

#include <cpu/expr/code.h>
#include <cpu/expr/expr.h>
#include <cpu/isa.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/expr/expr.h"
#include "core/expr/plain.h"

namespace cpu_test {

using catena::cpu::Isa;

// ---- a host ------------------------------------------------------------------------------------

struct FakeExec {
  int threads = 1;
  std::vector<std::vector<char>> scratch;
  int64_t ranges = 0;  // how many the last parallel loop had
};

inline thread_local std::string last_error;

inline ctn_status CTN_CALL host_fail(ctn_status code, const char*, int32_t, ctn_str text) {
  last_error.assign(text.p, text.n);
  return code;
}

inline ctn_status CTN_CALL host_parallel_for(ctn_exec e, int64_t n, int64_t grain, ctn_range_fn fn,
                                             void* arg) {
  auto& exec = *reinterpret_cast<FakeExec*>(e);
  const int64_t ranges = (n + grain - 1) / grain;
  exec.ranges = ranges;
  std::atomic<int64_t> next{0};
  std::atomic<ctn_status> status{CTN_OK};
  const auto work = [&] {
    for (int64_t k = next++; k < ranges; k = next++) {
      const ctn_status s = fn(arg, k * grain, std::min(n, (k + 1) * grain));
      if (s != CTN_OK) status = s;
    }
  };
  std::vector<std::thread> threads;
  for (int t = 1; t < exec.threads; ++t) threads.emplace_back(work);
  work();
  for (std::thread& t : threads) t.join();
  return status;
}

inline ctn_status CTN_CALL host_scratch(ctn_exec e, uint64_t bytes, void** out) {
  auto& exec = *reinterpret_cast<FakeExec*>(e);
  exec.scratch.emplace_back(bytes + 64);
  char* p = exec.scratch.back().data();
  *out = p + (64 - reinterpret_cast<uintptr_t>(p) % 64) % 64;
  return CTN_OK;
}

inline const ctn_host* fake_host() {
  static const ctn_host host = [] {
    ctn_host h{};
    h.size = sizeof h;
    h.fail = host_fail;
    h.parallel_for = host_parallel_for;
    h.scratch = host_scratch;
    return h;
  }();
  return &host;
}

inline std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::kSse2, Isa::kAvx2, Isa::kAvx512}) {
    if (isa <= catena::cpu::best_isa()) isas.push_back(isa);
  }
  return isas;
}

// ---- forms -------------------------------------------------------------------------------------

inline std::shared_ptr<const catena::expr::Form> form_of(const catena::expr::Source& source,
                                                         const std::vector<uint8_t>& dtypes,
                                                         const std::vector<uint8_t>& scalars = {}) {
  return catena::expr::Row::parse(source, "test")->specialize(dtypes, scalars);
}

inline catena::expr::Source source_of(const char* in, const char* out, const char* map) {
  catena::expr::Source s;
  s.in = catena::expr::parse_params(in, "test");
  s.out = catena::expr::parse_params(out, "test");
  s.map = map;
  return s;
}

// ---- arguments ---------------------------------------------------------------------------------

using Random = std::mt19937_64;

inline int64_t pick(Random& random, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}

// Memory of one argument, with a margin on both sides that nobody may touch.
struct Argument {
  std::vector<unsigned char> bytes;
  int64_t start = 0;             // of element 0, in bytes
  std::vector<int64_t> strides;  // bytes
  int64_t count = 0;             // of a RAW argument
  int same_as = -1;              // the argument whose memory it is
};

// Values where things go wrong, and ordinary ones.
inline void fill(Argument& a, uint8_t dtype, Random& random, bool special) {
  const auto size = static_cast<size_t>(catena::cpu::size_of(dtype));
  for (size_t at = 0; at + size <= a.bytes.size(); at += size) {
    unsigned char* p = a.bytes.data() + at;
    uint64_t bits = random();
    const bool odd = special && pick(random, 0, 5) == 0;
    if (dtype == CTN_BOOL8) {
      *p = static_cast<unsigned char>(bits % 2);
    } else if (dtype == CTN_FLOAT32 || dtype == CTN_FLOAT64) {
      static constexpr double kOdd[] = {
          0.0,           -0.0,   1,       -1,          0.5,   2.5,   INFINITY, -INFINITY,
          NAN,           1e-40,  -1e-310, 3e38,        1e300, 127.5, -128.5,   2147483648.0,
          -2147483649.0, 9.3e18, 1.9e19,  4294967296.0};
      const double v = odd ? kOdd[bits % std::size(kOdd)]
                           : std::ldexp(static_cast<double>(static_cast<int64_t>(bits)), -61);
      if (dtype == CTN_FLOAT32) {
        const float f = static_cast<float>(v);
        std::memcpy(p, &f, sizeof f);
      } else {
        std::memcpy(p, &v, sizeof v);
      }
    } else if (dtype == CTN_FLOAT16 || dtype == CTN_BFLOAT16) {
      if (!odd) bits = (bits & 0x83ff) | (dtype == CTN_FLOAT16 ? 0x3800 : 0x3f00);
      std::memcpy(p, &bits, 2);
    } else {
      static constexpr int64_t kOdd[] = {0,         1,         -1,   2,   INT64_MIN,
                                         INT64_MAX, INT32_MIN, -128, 127, 255};
      if (odd)
        bits = static_cast<uint64_t>(kOdd[bits % std::size(kOdd)]);
      else if (bits % 3 == 0)
        bits = bits >> 60;
      if (odd && bits == static_cast<uint64_t>(INT64_MIN)) bits = UINT64_C(1) << (8 * size - 1);
      std::memcpy(p, &bits, size);
    }
  }
}

enum class Layout { kDense, kStrided, kReversed, kBroadcast, kTransposed, kMixed };

// `outputs` never share elements: no broadcasting except where `dims` says reduced (stride 0).
inline Argument make_argument(uint8_t dtype, const std::vector<int64_t>& shape, Layout layout,
                              bool output, size_t kept, Random& random) {
  const int64_t size = catena::cpu::size_of(dtype);
  const size_t ndim = shape.size();
  Argument a;
  a.strides.assign(ndim, 0);
  std::vector<size_t> order(ndim);
  for (size_t d = 0; d < ndim; ++d) order[d] = ndim - 1 - d;
  if (layout == Layout::kTransposed) std::reverse(order.begin(), order.end());
  if (layout == Layout::kMixed) std::shuffle(order.begin(), order.end(), random);
  int64_t extent = size;
  int64_t low = 0;
  if (layout == Layout::kStrided || layout == Layout::kMixed) extent *= pick(random, 1, 3);
  for (const size_t d : order) {
    if (output && d >= kept) continue;  // reduced away
    const bool gone = !output && (layout == Layout::kBroadcast || layout == Layout::kMixed) &&
                      pick(random, 0, 1) == 0;
    if (gone) continue;
    const bool back =
        layout == Layout::kReversed || (layout == Layout::kMixed && pick(random, 0, 2) == 0);
    a.strides[d] = back ? -extent : extent;
    if (back) low -= extent * (std::max<int64_t>(shape[d], 1) - 1);
    extent *= std::max<int64_t>(shape[d], 1);
  }
  constexpr int64_t kMargin = 128;
  a.start = kMargin - low;
  a.bytes.resize(static_cast<size_t>(extent + size + 2 * kMargin));
  return a;
}

struct Call {
  std::vector<int64_t> shape;
  int n_reduced = 0;
  std::vector<Argument> args;
  std::vector<uint64_t> scalars;
};

// Runs `body(launch)` on copies of the call's memory and gives the memory back.
template <class Body>
std::vector<Argument> run_on_copy(const Call& call, FakeExec* exec, Body body) {
  std::vector<Argument> args = call.args;
  std::vector<void*> data;
  std::vector<int64_t> strides, counts;
  for (Argument& a : args) {
    data.push_back(a.same_as < 0 ? a.bytes.data() + a.start : data[static_cast<size_t>(a.same_as)]);
    a.strides.resize(call.shape.size(), 0);
    strides.insert(strides.end(), a.strides.begin(), a.strides.end());
    counts.push_back(a.count);
  }
  ctn_launch l{};
  l.size = sizeof l;
  l.ndim = static_cast<int32_t>(call.shape.size());
  l.n_reduced = call.n_reduced;
  l.shape = call.shape.data();
  l.data = data.data();
  l.strides = strides.data();
  l.counts = counts.data();
  l.scalars = call.scalars.data();
  l.exec = reinterpret_cast<ctn_exec>(exec);
  body(l);
  return args;
}

// ---- comparison --------------------------------------------------------------------------------

inline double value_at(const unsigned char* p, uint8_t dtype) {
  if (dtype == CTN_FLOAT64) {
    double v = 0;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  uint32_t bits = 0;
  if (dtype == CTN_FLOAT32) {
    std::memcpy(&bits, p, 4);
  } else {
    uint16_t h = 0;
    std::memcpy(&h, p, 2);
    if (dtype == CTN_FLOAT16) {  // only its class matters: NaN or not
      return (h & 0x7fff) > 0x7c00 ? NAN : static_cast<double>(h);
    }
    bits = static_cast<uint32_t>(h) << 16;
  }
  float f = 0;
  std::memcpy(&f, &bits, sizeof f);
  return static_cast<double>(f);
}

inline bool is_floating(uint8_t dtype) { return dtype >= CTN_FLOAT16; }

// Empty if the memory of both is the same, NaN being equal to NaN and floating values to those
// within `tolerance` of them relative to `scale` or themselves.
inline std::string difference(const std::vector<Argument>& got, const std::vector<Argument>& want,
                              const ctn_form& form, double tolerance) {
  for (size_t k = 0; k < got.size(); ++k) {
    const uint8_t dtype = form.args[k].dtype;
    const auto size = static_cast<size_t>(catena::cpu::size_of(dtype));
    const auto first = static_cast<size_t>(got[k].start) % size;
    for (size_t at = first; at + size <= got[k].bytes.size(); at += size) {
      const unsigned char* a = got[k].bytes.data() + at;
      const unsigned char* b = want[k].bytes.data() + at;
      if (std::memcmp(a, b, size) == 0) continue;
      if (is_floating(dtype)) {
        const double x = value_at(a, dtype);
        const double y = value_at(b, dtype);
        if (std::isnan(x) && std::isnan(y)) continue;
        if (tolerance > 0 && std::fabs(x - y) <= tolerance * std::max(1.0, std::fabs(y))) continue;
      }
      std::string text = "argument " + std::to_string(k) + ", byte " +
                         std::to_string(static_cast<int64_t>(at) - got[k].start) + ": ";
      const auto hex = [&](const unsigned char* p) {
        char digits[3];
        for (size_t j = size; j-- > 0;) {
          std::snprintf(digits, sizeof digits, "%02x", p[j]);
          text += digits;
        }
        if (is_floating(dtype)) text += " (" + std::to_string(value_at(p, dtype)) + ")";
      };
      hex(a);
      text += " instead of ";
      hex(b);
      return text;
    }
  }
  return "";
}

}  // namespace cpu_test
