// Philox against published vectors and a second implementation, the stream's rules, the numbers'
// accuracy and distribution. Everything is drawn from fixed seeds: nothing here can fail by chance.
#include "core/random.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "core/random_math.h"
#include "main.h"

using catena::Philox;

namespace {

// Salmon et al. 2011, section 3, equation by equation on 128-bit numbers; written for reading.
std::vector<uint32_t> philox_by_the_paper(std::vector<uint32_t> counter,
                                          std::vector<uint32_t> key) {
  uint32_t r0 = counter[0], l0 = counter[1], r1 = counter[2], l1 = counter[3];
  for (uint32_t round = 0; round < 10; ++round) {
    const uint32_t k0 = key[0] + round * 0x9E3779B9u;
    const uint32_t k1 = key[1] + round * 0xBB67AE85u;
    const auto high = [](uint32_t a, uint32_t b) {
      const uint32_t a0 = a & 0xffff, a1 = a >> 16, b0 = b & 0xffff, b1 = b >> 16;
      const uint64_t middle = uint64_t{a1} * b0 + uint64_t{a0} * b1 + ((uint64_t{a0} * b0) >> 16);
      return static_cast<uint32_t>(uint64_t{a1} * b1 + (middle >> 16));
    };
    const uint32_t next_r0 = high(r1, 0xCD9E8D57u) ^ l0 ^ k0;
    const uint32_t next_l0 = r1 * 0xCD9E8D57u;
    const uint32_t next_r1 = high(r0, 0xD2511F53u) ^ l1 ^ k1;
    const uint32_t next_l1 = r0 * 0xD2511F53u;
    r0 = next_r0, l0 = next_l0, r1 = next_r1, l1 = next_l1;
  }
  return {r0, l0, r1, l1};
}

uint64_t word_by_the_paper(uint64_t seed, uint64_t position) {
  const uint64_t block = position / 2;
  const auto x =
      philox_by_the_paper({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0},
                          {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return position % 2 == 0 ? uint64_t{x[1]} << 32 | x[0] : uint64_t{x[3]} << 32 | x[2];
}

std::vector<uint64_t> draw(Philox& from, int32_t kind, size_t n) {
  std::vector<uint64_t> out(n);
  from.draw(kind, out.data(), static_cast<int64_t>(n));
  return out;
}

std::vector<double> numbers(uint64_t seed, int32_t kind, size_t n) {
  std::vector<double> out(n);
  Philox(seed).draw(kind, out.data(), static_cast<int64_t>(n));
  return out;
}

struct Moments {
  double mean = 0, variance = 0, skew = 0, kurtosis = 0;
};
Moments moments(const std::vector<double>& x) {
  Moments m;
  const auto n = static_cast<double>(x.size());
  for (const double v : x) m.mean += v / n;
  for (const double v : x) {
    const double d = v - m.mean;
    m.variance += d * d / n;
    m.skew += d * d * d / n;
    m.kurtosis += d * d * d * d / n;
  }
  m.skew /= std::pow(m.variance, 1.5);
  m.kurtosis /= m.variance * m.variance;
  return m;
}

// Kolmogorov and Smirnov's distance times sqrt(n); above 1.95 once in a thousand.
template <class Cdf>
double ks(std::vector<double> x, const Cdf& cdf) {
  std::sort(x.begin(), x.end());
  const auto n = static_cast<double>(x.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double f = cdf(x[i]);
    worst = std::max({worst, f - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - f});
  }
  return worst * std::sqrt(n);
}

double ulps(double value, long double exact) {
  const double near = std::fabs(static_cast<double>(exact));
  const double ulp = std::nextafter(near, INFINITY) - near;
  return static_cast<double>(std::fabs(static_cast<long double>(value) - exact)) / ulp;
}

constexpr int32_t kKinds[] = {CTN_RANDOM_UNIFORM, CTN_RANDOM_NORMAL, CTN_RANDOM_BITS,
                              CTN_RANDOM_GUMBEL};
constexpr uint64_t kEdges[] = {0,
                               1,
                               0xfff,
                               0x1000,
                               0x7ff,
                               0x800,
                               0x7fffffffffffffff,
                               0x8000000000000000,
                               0xc000000000000000,
                               0x4000000000000000,
                               0x2000000000000000,
                               0x1fffffffffffffff,
                               0xffffffff,
                               0xffffffff00000000,
                               UINT64_MAX - 0x7ff,
                               UINT64_MAX};

}  // namespace

TEST_CASE("philox4x32-10: the vectors of Random123") {
  using Counter = std::array<uint32_t, 4>;
  using Key = std::array<uint32_t, 2>;
  struct Vector {
    Counter counter;
    Key key;
    Counter expected;
  };
  static constexpr uint32_t kAll = 0xffffffff;
  static constexpr Vector kVectors[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{kAll, kAll, kAll, kAll}, {kAll, kAll}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};
  for (const Vector& v : kVectors) {
    CHECK(catena::philox_4x32(v.counter, v.key) == v.expected);
    const auto slow =
        philox_by_the_paper({v.counter.begin(), v.counter.end()}, {v.key.begin(), v.key.end()});
    CHECK(std::equal(slow.begin(), slow.end(), v.expected.begin()));
  }
}

TEST_CASE("the stream's words are the paper's, at any place") {
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{0xfedcba9876543210}}) {
    for (const uint64_t start : {uint64_t{0}, uint64_t{7}, uint64_t{1} << 33, uint64_t{1} << 40,
                                 (uint64_t{1} << 33) - 51, ~uint64_t{0} - 100}) {
      Philox stream(catena::PhiloxState{seed, start, CTN_RANDOM_BITS});
      const auto words = draw(stream, CTN_RANDOM_BITS, 301);
      bool same = true;
      for (size_t i = 0; i < words.size(); ++i)
        same = same && words[i] == word_by_the_paper(seed, start + i);
      CAPTURE(start);
      CHECK(same);
      CHECK(stream.state().position == start + 301);
    }
  }
}

TEST_CASE("what is taken is passed over, and begins where a draw would have") {
  Philox stream(7), other(7);
  draw(stream, CTN_RANDOM_UNIFORM, 3);
  draw(other, CTN_RANDOM_UNIFORM, 3);
  for (const int32_t kind : {CTN_RANDOM_UNIFORM, CTN_RANDOM_NORMAL, CTN_RANDOM_BITS}) {
    const catena::PhiloxState begin = stream.take(kind, 5);
    CHECK(begin.seed == 7);
    CHECK(begin.kind == kind);
    Philox there(begin);
    CHECK(draw(there, kind, 5) == draw(other, kind, 5));
    CHECK(stream.state().position == other.state().position);
  }
  CHECK_THROWS_AS(stream.take(99, 1), catena::Error);
  CHECK_THROWS_AS(stream.take(CTN_RANDOM_UNIFORM, -1), catena::Error);
}

TEST_CASE("draws of one kind are the same however they are split") {
  for (const int32_t kind : kKinds) {
    Philox whole_stream(99);
    const auto whole = draw(whole_stream, kind, 5000);
    for (const size_t step :
         {size_t{1}, size_t{2}, size_t{3}, size_t{127}, size_t{128}, size_t{129}, size_t{1000}}) {
      Philox stream(99);
      std::vector<uint64_t> pieces;
      while (pieces.size() < 5000) {
        const auto piece = draw(stream, kind, std::min(step, 5000 - pieces.size()));
        pieces.insert(pieces.end(), piece.begin(), piece.end());
        stream = Philox(catena::PhiloxState(stream.state()));  // as a snapshot would
      }
      CAPTURE(kind);
      CAPTURE(step);
      CHECK(pieces == whole);
    }
  }
}

TEST_CASE("another kind starts at a new block, and a seed starts again") {
  Philox stream(5);
  draw(stream, CTN_RANDOM_UNIFORM, 3);
  CHECK(stream.state().position == 3);
  const auto normal = draw(stream, CTN_RANDOM_NORMAL, 2);
  CHECK(stream.state().position == 6);
  Philox there(catena::PhiloxState{5, 4, -1});
  CHECK(draw(there, CTN_RANDOM_NORMAL, 2) == normal);
  draw(stream, CTN_RANDOM_BITS, 1);
  CHECK(stream.state().position == 7);
  draw(stream, CTN_RANDOM_GUMBEL, 0);  // nothing drawn, nothing moved
  CHECK(stream.state().position == 7);
  CHECK(stream.state().kind == CTN_RANDOM_BITS);
  stream.seed(6);
  Philox fresh(6);
  CHECK(draw(stream, CTN_RANDOM_GUMBEL, 10) == draw(fresh, CTN_RANDOM_GUMBEL, 10));
}

TEST_CASE("wrong kinds and counts are errors and move nothing") {
  Philox stream(1);
  double x[4] = {};
  CHECK_THROWS_AS(stream.draw(-1, x, 4), catena::Error);
  CHECK_THROWS_AS(stream.draw(4, x, 4), catena::Error);
  CHECK_THROWS_AS(stream.draw(CTN_RANDOM_UNIFORM, x, -1), catena::Error);
  CHECK(stream.state().position == 0);
  CHECK(stream.state().kind == -1);
}

TEST_CASE("the numbers are what the words say, to the last bits") {
  Philox bits(2024), u(2024), z(2024), g(2024);
  constexpr size_t kN = 200000;
  const auto words = draw(bits, CTN_RANDOM_BITS, kN);
  std::vector<double> uniform(kN), normal(kN), gumbel(kN);
  u.draw(CTN_RANDOM_UNIFORM, uniform.data(), kN);
  z.draw(CTN_RANDOM_NORMAL, normal.data(), kN);
  g.draw(CTN_RANDOM_GUMBEL, gumbel.data(), kN);
  const long double two_pi = 2 * acosl(-1.0L);
  bool exact = true;
  double worst_normal = 0, worst_gumbel = 0;
  for (size_t i = 0; i < kN; ++i) {
    exact = exact && uniform[i] == static_cast<double>(words[i] >> 11) * 0x1p-53;
    const long double radius = sqrtl(-2 * logl(1 - static_cast<long double>(uniform[i & ~1ul])));
    const long double turn = two_pi * static_cast<long double>(uniform[i | 1]);
    const long double expected = radius * (i % 2 == 0 ? cosl(turn) : sinl(turn));
    // Near a zero of sine or cosine the angle's own rounding counts: measured in units of radius.
    worst_normal = std::max(
        worst_normal,
        std::fabs(static_cast<double>((static_cast<long double>(normal[i]) - expected) / radius)));
    const long double v = (static_cast<long double>(words[i] >> 12) + 0.5L) * 0x1p-52L;
    const long double inner = -logl(v);
    worst_gumbel = std::max(
        worst_gumbel, static_cast<double>(fabsl(static_cast<long double>(gumbel[i]) + logl(inner)) /
                                          std::max(1.0L, fabsl(logl(inner)))));
  }
  CHECK(exact);
  CHECK(worst_normal < 4e-16);
  CHECK(worst_gumbel < 4e-16);
}

TEST_CASE("the ends of the range are finite and in order") {
  for (const uint64_t a : kEdges) {
    const double u = catena::uniform(a);
    CHECK(u == static_cast<double>(a >> 11) * 0x1p-53);
    CHECK(u >= 0);
    CHECK(u < 1);
    CHECK(std::fabs(catena::gumbel(a)) < 37);
    for (const uint64_t b : kEdges) {
      double pair[2];
      catena::normal_pair(a, b, pair);
      const double r = std::sqrt(-2 * std::log1p(-u));
      const double turn = 8 * std::atan(1.0) * catena::uniform(b);
      CHECK(pair[0] == doctest::Approx(r * std::cos(turn)).epsilon(1e-12));
      CHECK(pair[1] == doctest::Approx(r * std::sin(turn)).epsilon(1e-12));
    }
  }
  CHECK(catena::gumbel(0) < catena::gumbel(UINT64_MAX));
}

TEST_CASE("log, sin and cos are right to about one ulp") {
  Philox stream(11);
  std::vector<double> u(200000);
  stream.draw(CTN_RANDOM_UNIFORM, u.data(), static_cast<int64_t>(u.size()));
  double worst_log = 0, worst_sin = 0, worst_cos = 0;
  for (size_t i = 0; i < u.size(); ++i) {
    const double x =
        i % 3 == 0 ? u[i] + 0x1p-53 : std::ldexp(1 + u[i], static_cast<int>(i % 120) - 60);
    worst_log = std::max(worst_log, ulps(catena::log_of(x), logl(static_cast<long double>(x))));
    const double a = (u[i] - 0.5) * 1.5707963267948966;
    worst_sin = std::max(worst_sin, ulps(catena::sin_near_0(a), sinl(static_cast<long double>(a))));
    worst_cos = std::max(worst_cos, ulps(catena::cos_near_0(a), cosl(static_cast<long double>(a))));
  }
  CHECK(catena::log_of(1.0) == 0);
  CHECK(worst_log < 1.0);
  CHECK(worst_sin < 1.0);
  CHECK(worst_cos < 1.1);
}

TEST_CASE("moments") {
  constexpr size_t kN = 1000000;
  const double root = std::sqrt(static_cast<double>(kN));
  const Moments u = moments(numbers(1, CTN_RANDOM_UNIFORM, kN));
  CHECK(std::fabs(u.mean - 0.5) * root < 4 * std::sqrt(1.0 / 12));
  CHECK(std::fabs(u.variance - 1.0 / 12) * root < 4 * std::sqrt(1.0 / 180));
  const Moments z = moments(numbers(2, CTN_RANDOM_NORMAL, kN));
  CHECK(std::fabs(z.mean) * root < 4);
  CHECK(std::fabs(z.variance - 1) * root < 4 * std::sqrt(2.0));
  CHECK(std::fabs(z.skew) * root < 4 * std::sqrt(6.0));
  CHECK(std::fabs(z.kurtosis - 3) * root < 4 * std::sqrt(24.0));
  const Moments g = moments(numbers(3, CTN_RANDOM_GUMBEL, kN));
  const double pi = std::acos(-1.0);
  CHECK(std::fabs(g.mean - 0.57721566490153286) * root < 4 * pi / std::sqrt(6.0));
  CHECK(g.variance == doctest::Approx(pi * pi / 6).epsilon(0.01));
  CHECK(g.skew == doctest::Approx(1.1395).epsilon(0.03));
}

TEST_CASE("distributions and independence of neighbours") {
  constexpr size_t kN = 200000;
  CHECK(ks(numbers(4, CTN_RANDOM_UNIFORM, kN), [](double x) { return x; }) < 1.95);
  const auto z = numbers(5, CTN_RANDOM_NORMAL, kN);
  CHECK(ks(z, [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }) < 1.95);
  CHECK(ks(numbers(6, CTN_RANDOM_GUMBEL, kN), [](double x) { return std::exp(-std::exp(-x)); }) <
        1.95);
  for (const size_t lag : {size_t{1}, size_t{2}, size_t{3}, size_t{128}}) {
    double sum = 0;
    for (size_t i = lag; i < kN; ++i) sum += z[i] * z[i - lag];
    CHECK(std::fabs(sum) / std::sqrt(static_cast<double>(kN)) < 4);
  }
  // Every bit of the words is one half of the time 1.
  Philox stream(7);
  int ones[64] = {};
  for (const uint64_t w : draw(stream, CTN_RANDOM_BITS, kN))
    for (int b = 0; b < 64; ++b) ones[b] += static_cast<int>(w >> b & 1);
  for (const int n : ones) CHECK(std::abs(n - 100000) < 4 * std::sqrt(kN / 4.0));
  // Pairs of uniforms fall evenly into 64 x 64 squares (chi squared with 4095 degrees, 4 sigma).
  std::vector<int> squares(4096);
  const auto u = numbers(8, CTN_RANDOM_UNIFORM, 2 * kN);
  for (size_t i = 0; i < 2 * kN; i += 2)
    ++squares[static_cast<size_t>(u[i] * 64) * 64 + static_cast<size_t>(u[i + 1] * 64)];
  double chi = 0;
  const double each = static_cast<double>(kN) / 4096;
  for (const int n : squares) chi += (n - each) * (n - each) / each;
  CHECK(std::fabs(chi - 4095) < 4 * std::sqrt(2 * 4095.0));
}

TEST_CASE("the bits are fixed for ever") {
  const auto hash = [](int32_t kind) {
    Philox stream(42);
    uint64_t h = 0xcbf29ce484222325;  // FNV-1a
    for (const uint64_t w : draw(stream, kind, 10000)) {
      for (int byte = 0; byte < 8; ++byte) h = (h ^ (w >> 8 * byte & 0xff)) * 0x100000001b3;
    }
    return h;
  };
  CHECK(hash(CTN_RANDOM_BITS) == 0x115556b6088643da);
  CHECK(hash(CTN_RANDOM_UNIFORM) == 0x8a715a2aa565b390);
  CHECK(hash(CTN_RANDOM_NORMAL) == 0xb5c89e0607d9b835);
  CHECK(hash(CTN_RANDOM_GUMBEL) == 0xc0bc48bec6f2e7f4);
}
