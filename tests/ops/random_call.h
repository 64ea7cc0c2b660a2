// Random calls of ops as data: what a schema says an op takes, and inputs and attributes that are
// mostly near it and sometimes far from it. A call can be changed in one place, run, and printed.
#pragma once

#include <catena/catena.h>

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace ops_test {

using Shape = std::vector<int64_t>;

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits();
  int64_t below(int64_t n) { return static_cast<int64_t>(bits() % static_cast<uint64_t>(n)); }
  bool chance(int percent) { return below(100) < percent; }
  template <class List>
  const auto& one_of(const List& list) {
    return list[static_cast<size_t>(below(static_cast<int64_t>(std::size(list))))];
  }

 private:
  uint64_t state_;
};

struct InputSchema {
  std::vector<int> dtypes;  // CTN_BOOL8 ...
  bool optional, variadic;
};
struct AttrSchema {
  std::string name;
  std::vector<int32_t> kinds;
  bool required;
};
struct OpSchema {
  int32_t id;
  std::string name;
  std::vector<InputSchema> inputs;
  std::vector<AttrSchema> attrs;
  int32_t outputs;  // -1: depends on the call
};
// Of everything that is registered.
std::vector<OpSchema> read_schemas();

// An attribute with what its value points to. Malformed ones have no pointer where one belongs.
struct RandomValue {
  int32_t kind = CTN_ABSENT;
  bool malformed = false;
  int64_t i = 0;
  double f = 0;
  std::string s;
  ctn_dtype dt{};
  ctn_slice slice{};
  Shape ints;
  std::vector<double> floats;
  std::vector<RandomValue> list;
};

enum class Layout { kPlain, kTransposed, kStepped, kReversed, kBroadcast };
enum class Content { kCounting, kZeros, kNegative, kLarge, kSpecial };
struct RandomInput {
  bool null = false;
  int dtype = CTN_FLOAT32;
  Shape shape;
  Layout layout = Layout::kPlain;
  Content content = Content::kCounting;
  bool gradient = true;
};

struct RandomCall {
  const OpSchema* op = nullptr;
  std::vector<RandomInput> inputs;
  std::vector<RandomValue> attrs;

  static RandomCall make(const OpSchema& op, Random& r);
  void change(Random& r);  // one input or attribute
  std::string text() const;
};

// The handles of a call in a context, released with it.
class Prepared {
 public:
  Prepared(ctn_context ctx, const RandomCall& call);
  ~Prepared();
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;

  const std::vector<ctn_variable>& inputs() const { return inputs_; }
  const std::vector<ctn_value>& attrs() const { return attrs_; }

 private:
  ctn_value value(const RandomValue& v);

  ctn_context ctx_;
  std::vector<ctn_variable> inputs_;
  std::vector<ctn_value> attrs_;
  std::vector<ctn_array> arrays_;
  std::deque<std::vector<ctn_value>> lists_;
};

ctn_dtype dtype_at(int index);

}  // namespace ops_test
