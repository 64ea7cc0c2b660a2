// Attribute values on both sides: Value makes a ctn_value from a C++ value, Attrs reads the values
// of a call by index. Both borrow what they point to.
#ifndef CATENA_SDK_VALUE_HPP
#define CATENA_SDK_VALUE_HPP

#include <catena/sdk/error.hpp>
#include <catena/sdk/tensor.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace catena {
namespace sdk CTN_SDK_HIDDEN {

struct None {};
struct Absent {};
inline constexpr None none{};
inline constexpr Absent absent{};

// An attribute to hand to an op. Texts and lists are borrowed until the call has returned.
struct Value {
  ctn_value v;

  Value() : Value(absent) {}
  Value(Absent) : v{CTN_ABSENT, 0, {}} {}
  Value(None) : v{CTN_NONE, 0, {}} {}
  Value(const ctn_value& value) : v(value) {}
  Value(bool b) : v{CTN_BOOL, 0, {}} { v.u.i = b; }
  template <std::integral T>
  requires(!std::same_as<T, bool>) Value(T i) : v{CTN_INT, 0, {}} {
    v.u.i = static_cast<int64_t>(i);
  }
  Value(double f) : v{CTN_FLOAT, 0, {}} { v.u.f = f; }
  Value(std::string_view s) : v{CTN_STR, static_cast<uint32_t>(s.size()), {}} { v.u.s = s.data(); }
  Value(const char* s) : Value(std::string_view(s)) {}
  Value(ctn_dtype dt) : v{CTN_DTYPE, 0, {}} { v.u.dt = dt; }
  Value(ctn_device dev) : v{CTN_DEVICE, 0, {}} { v.u.dev = dev; }
  Value(std::span<const int64_t> is) : v{CTN_INTS, static_cast<uint32_t>(is.size()), {}} {
    v.u.is = is.data();
  }
  Value(const Dims& is) : Value(is.span()) {}
  Value(const std::vector<int64_t>& is) : Value(std::span(is)) {}
  template <size_t N>
  Value(const std::array<int64_t, N>& is) : Value(std::span<const int64_t>(is)) {}
  Value(std::span<const double> fs) : v{CTN_FLOATS, static_cast<uint32_t>(fs.size()), {}} {
    v.u.fs = fs.data();
  }
};
static_assert(sizeof(Value) == sizeof(ctn_value) && std::is_trivially_copyable_v<Value>);

// The attributes of a call, in the schema's order with defaults filled in. The kinds were checked
// against the schema before any callback runs, so the readers only convert.
class Attrs {
 public:
  Attrs() = default;
  explicit Attrs(const ctn_value* values) : values_(values) {}

  const ctn_value& operator[](int k) const { return values_[k]; }
  const ctn_value* data() const { return values_; }
  int32_t kind(int k) const { return values_[k].kind; }
  bool is_none(int k) const { return kind(k) == CTN_NONE || kind(k) == CTN_ABSENT; }
  int64_t i(int k) const {
    return kind(k) == CTN_FLOAT ? static_cast<int64_t>(values_[k].u.f) : values_[k].u.i;
  }
  double f(int k) const {
    return kind(k) == CTN_FLOAT ? values_[k].u.f : static_cast<double>(values_[k].u.i);
  }
  bool b(int k) const { return values_[k].u.i != 0; }
  std::string_view s(int k) const { return {values_[k].u.s, values_[k].n}; }
  ctn_dtype dtype(int k) const { return values_[k].u.dt; }
  ctn_device device(int k) const { return values_[k].u.dev; }
  // A list of integers; a single one counts as a list of one, None as an empty one.
  std::span<const int64_t> ints(int k) const {
    const ctn_value& v = values_[k];
    if (v.kind == CTN_INTS) return {v.u.is, v.n};
    if (v.kind == CTN_INT) return {&v.u.i, 1};
    return {};
  }
  std::span<const double> floats(int k) const {
    const ctn_value& v = values_[k];
    if (v.kind == CTN_FLOATS) return {v.u.fs, v.n};
    if (v.kind == CTN_FLOAT) return {&v.u.f, 1};
    return {};
  }
  std::span<const ctn_value> list(int k) const {
    if (kind(k) != CTN_LIST) return {};
    return {values_[k].u.list, values_[k].n};
  }
  // n integers from a list of n or from one that stands for all ("stride=2", "stride=(2, 1)").
  template <size_t N>
  std::array<int64_t, N> each(int k) const {
    const std::span<const int64_t> given = ints(k);
    if (given.size() != 1 && given.size() != N)
      fail(CTN_EINVAL, "expected one integer or ", N, ", got ", given);
    std::array<int64_t, N> all{};
    for (size_t j = 0; j < N; ++j) all[j] = given[given.size() == 1 ? 0 : j];
    return all;
  }
  std::array<int64_t, 2> pair(int k) const { return each<2>(k); }

 private:
  const ctn_value* values_ = nullptr;
};

}  // namespace CTN_SDK_HIDDEN
}  // namespace catena

#endif
