// get_item against the definition: every element of the result is looked up in x by the rules of
// NumPy, for views and for gathers, and gradients against difference quotients.
#include <cstdlib>

#include "harness.h"

using namespace ops_test;

namespace {

// Builds the attribute `slices`; owns what the values point to.
class Index {
 public:
  Index& at(int64_t i) {
    return add(CTN_INT, [&](ctn_value& v) { v.u.i = i; });
  }
  Index& slice(const char* text) {  // "a:b:c" with parts left out
    ctn_slice s{};
    int64_t* const parts[] = {&s.start, &s.stop, &s.step};
    uint32_t k = 0;
    for (const char* p = text; *p; ++p) {
      if (*p == ':') {
        ++k;
      } else {
        char* end = nullptr;
        *parts[k] = std::strtoll(p, &end, 10);
        s.has |= 1u << k;
        p = end - 1;
      }
    }
    slices_.push_back(s);
    return add(CTN_SLICE, [&](ctn_value& v) { v.u.slice = &slices_.back(); });
  }
  Index& ellipsis() {
    return add(CTN_ELLIPSIS, [](ctn_value&) {});
  }
  Index& new_axis() {
    return add(CTN_NONE, [](ctn_value&) {});
  }
  Index& array(Bench& bench, const Values& values, ctn_dtype dtype = {CTN_DT_INT, 32, 1}) {
    ctn_array a = nullptr;
    REQUIRE(ctn_variable_array(bench.variable(values, dtype), &a) == CTN_OK);
    arrays_.push_back(a);
    return add(CTN_ARRAY, [&](ctn_value& v) { v.u.array = a; });
  }
  Op op() const {
    ctn_value list{CTN_LIST, static_cast<uint32_t>(items_.size()), {}};
    list.u.list = items_.data();
    return {"get_item", {attr("slices", list)}};
  }
  Index() = default;
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;
  ~Index() {
    for (ctn_array a : arrays_) ctn_array_release(a);
  }

 private:
  template <class Set>
  Index& add(int32_t kind, Set&& set) {
    ctn_value v{kind, 0, {}};
    set(v);
    items_.push_back(v);
    return *this;
  }
  std::vector<ctn_value> items_;
  std::deque<ctn_slice> slices_;
  std::vector<ctn_array> arrays_;
};

// x[i][j][k] of counting({4, 3, 5}) is 1 + 15 i + 5 j + k.
double x_at(int64_t i, int64_t j, int64_t k) { return static_cast<double>(1 + 15 * i + 5 * j + k); }

void check_item(const Index& index, const Shape& shape, const std::vector<double>& expected) {
  Bench bench;
  const Op op = index.op();
  const Values y = bench.values(op.one(bench, {bench.counting({4, 3, 5})}));
  CHECK(y.shape == shape);
  CHECK(y.data == expected);
  // The same on a view with strides of its own.
  const Op transpose{"transpose", {}}, contiguous{"contiguous", {}};
  const ctn_variable t = contiguous.one(bench, {transpose.one(bench, {bench.counting({4, 3, 5})})});
  const Values z = bench.values(op.one(bench, {transpose.one(bench, {t})}));
  CHECK(z.shape == shape);
  CHECK(z.data == expected);
  check_gradients(op, {counting({4, 3, 5}, 0.1)});
}

std::vector<double> all(std::initializer_list<int64_t> is, std::initializer_list<int64_t> js,
                        std::initializer_list<int64_t> ks) {
  std::vector<double> v;
  for (const int64_t i : is)
    for (const int64_t j : js)
      for (const int64_t k : ks) v.push_back(x_at(i, j, k));
  return v;
}

}  // namespace

TEST_CASE("integers, slices, ellipsis and new axes") {
  check_item(Index().at(1).slice(":").at(-1), {3}, all({1}, {0, 1, 2}, {4}));
  check_item(Index().slice("1:3"), {2, 3, 5}, all({1, 2}, {0, 1, 2}, {0, 1, 2, 3, 4}));
  check_item(Index().ellipsis().slice("::-2"), {4, 3, 3}, all({0, 1, 2, 3}, {0, 1, 2}, {4, 2, 0}));
  check_item(Index().slice("::-1").at(0).slice("-2:"), {4, 2}, all({3, 2, 1, 0}, {0}, {3, 4}));
  check_item(Index().slice("-100:100:3").at(2).at(1), {2}, all({0, 3}, {2}, {1}));
  check_item(Index().new_axis().at(2).ellipsis().new_axis().at(0), {1, 3, 1},
             all({2}, {0, 1, 2}, {0}));
  check_item(Index().slice("3:1:-1").slice("2::-1").at(0), {2, 3}, all({3, 2}, {2, 1, 0}, {0}));
  check_item(Index().at(0).at(1).at(2), {}, {x_at(0, 1, 2)});
}

TEST_CASE("slices without elements") {
  for (const char* text : {"2:2", "3:1", "1:3:-1", "9:", ":-9"}) {
    Bench bench;
    const Values y = bench.values(Index().slice(text).op().one(bench, {bench.counting({4, 3, 5})}));
    CHECK(y.shape == Shape{0, 3, 5});
  }
}

TEST_CASE("index arrays gather; repeated indices add up in the gradient") {
  Bench bench;
  const Values rows = {{3}, {0, 2, 0}}, ends = {{2}, {-1, 1}}, table = {{2, 2}, {3, 0, 1, 3}};
  check_item(Index().array(bench, rows), {3, 3, 5}, all({0, 2, 0}, {0, 1, 2}, {0, 1, 2, 3, 4}));
  check_item(Index().slice(":").array(bench, ends), {4, 2, 5},
             all({0, 1, 2, 3}, {2, 1}, {0, 1, 2, 3, 4}));
  check_item(Index().array(bench, table).at(1).at(2), {2, 2},
             {x_at(3, 1, 2), x_at(0, 1, 2), x_at(1, 1, 2), x_at(3, 1, 2)});
  check_item(Index().slice("::2").array(bench, ends).array(bench, {{2}, {4, 0}}), {2, 2},
             {x_at(0, 2, 4), x_at(0, 1, 0), x_at(2, 2, 4), x_at(2, 1, 0)});
  // Arrays with a slice between them: their axes come first.
  check_item(Index().array(bench, {{2}, {1, 0}}).slice("1:").array(bench, {{2}, {3, 4}}), {2, 2},
             {x_at(1, 1, 3), x_at(1, 2, 3), x_at(0, 1, 4), x_at(0, 2, 4)});
  check_item(Index().at(3).slice(":2").array(bench, {{2}, {3, 4}}), {2, 2},
             {x_at(3, 0, 3), x_at(3, 1, 3), x_at(3, 0, 4), x_at(3, 1, 4)});
  // Shapes of index arrays are broadcast against each other.
  check_item(Index().array(bench, {{2, 1}, {0, 3}}).array(bench, {{2}, {1, 2}}).at(0), {2, 2},
             {x_at(0, 1, 0), x_at(0, 2, 0), x_at(3, 1, 0), x_at(3, 2, 0)});
}

TEST_CASE("arrays on both sides of an ellipsis are no neighbours, even where it has no axes") {
  Bench bench;
  const Values a = {{2}, {0, 1}};
  check_item(Index().slice(":").array(bench, a).ellipsis().array(bench, a), {2, 4},
             {x_at(0, 0, 0), x_at(1, 0, 0), x_at(2, 0, 0), x_at(3, 0, 0), x_at(0, 1, 1),
              x_at(1, 1, 1), x_at(2, 1, 1), x_at(3, 1, 1)});
  check_item(Index().slice(":").at(1).ellipsis().array(bench, {{2}, {4, 0}}), {2, 4},
             {x_at(0, 1, 4), x_at(1, 1, 4), x_at(2, 1, 4), x_at(3, 1, 4), x_at(0, 1, 0),
              x_at(1, 1, 0), x_at(2, 1, 0), x_at(3, 1, 0)});
  // Before, between others or behind it changes nothing.
  check_item(Index().ellipsis().slice(":1").array(bench, a).array(bench, a), {1, 2},
             {x_at(0, 0, 0), x_at(0, 1, 1)});
  check_item(Index().slice(":1").array(bench, a).array(bench, a).ellipsis(), {1, 2},
             {x_at(0, 0, 0), x_at(0, 1, 1)});
}

TEST_CASE("steps of any size") {
  Bench bench;
  check_item(Index().slice("1::9223372036854775807").array(bench, {{2}, {2, 0}}), {1, 2, 5},
             all({1}, {2, 0}, {0, 1, 2, 3, 4}));
  check_item(Index().slice("2::-9223372036854775808").array(bench, {{2}, {2, 0}}).at(3), {1, 2},
             all({2}, {2, 0}, {3}));
  check_item(Index().slice("1::4611686018427387904").at(2), {1, 5}, all({1}, {2}, {0, 1, 2, 3, 4}));
  check_item(Index().slice("3::-3").array(bench, {{1}, {1}}).at(0), {2, 1}, all({3, 0}, {1}, {0}));
}

TEST_CASE("boolean masks") {
  Bench bench;
  const ctn_dtype boolean = {CTN_DT_BOOL, 8, 1};
  check_item(Index().array(bench, {{4}, {1, 0, 0, 1}}, boolean).at(1), {2, 5},
             all({0, 3}, {1}, {0, 1, 2, 3, 4}));
  const Values mask = {{4, 3}, {1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0}};
  check_item(Index().array(bench, mask, boolean).slice("1:3"), {4, 2},
             {x_at(0, 0, 1), x_at(0, 0, 2), x_at(1, 2, 1), x_at(1, 2, 2), x_at(3, 0, 1),
              x_at(3, 0, 2), x_at(3, 1, 1), x_at(3, 1, 2)});
}

TEST_CASE("indexes that do not fit are refused") {
  Bench bench;
  const ctn_variable x = bench.counting({4, 3});
  std::string text;
  const auto refused = [&](const Index& index, const char* part) {
    CHECK(index.op().refused({x}, &text) != CTN_OK);
    CHECK_MESSAGE(text.find(part) != text.npos, text);
  };
  refused(Index().at(4), "index 4 is out of bounds for axis 0 with size 4");
  refused(Index().slice(":").at(-4), "index -4 is out of bounds for axis 1 with size 3");
  refused(Index().at(0).at(0).at(0), "in_types[0].ndim >= 3");
  refused(Index().ellipsis().ellipsis(), "single ellipsis");
  refused(Index().slice("::0"), "step cannot be zero");
  refused(Index().array(bench, {{2}, {0, 4}}), "index 4 is out of bounds for axis 0 with size 4");
  refused(Index().array(bench, {{2}, {0, 1}}).array(bench, {{3}, {0, 1, 2}}),
          "could not be broadcast");
  refused(Index().array(bench, {{2}, {0, 1}}, {CTN_DT_FLOAT, 32, 1}), "integer (or boolean)");
  refused(Index().array(bench, {{2}, {0, 1}}, {CTN_DT_BOOL, 8, 1}), "does not fit axis 0");
}
