// See random_call.h.
#include "random_call.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "main.h"

namespace ops_test {

#define OK(call) REQUIRE_MESSAGE((call) == CTN_OK, std::string(ctn_error_message()))

namespace {

constexpr const char* kDtypes[] = {"bool",    "int8",    "int16",   "int32",  "int64",
                                   "uint8",   "uint16",  "uint32",  "uint64", "float16",
                                   "float32", "float64", "bfloat16"};
constexpr ctn_dtype kDtypeRows[] = {
    {CTN_DT_BOOL, 8, 1},   {CTN_DT_INT, 8, 1},    {CTN_DT_INT, 16, 1},   {CTN_DT_INT, 32, 1},
    {CTN_DT_INT, 64, 1},   {CTN_DT_UINT, 8, 1},   {CTN_DT_UINT, 16, 1},  {CTN_DT_UINT, 32, 1},
    {CTN_DT_UINT, 64, 1},  {CTN_DT_FLOAT, 16, 1}, {CTN_DT_FLOAT, 32, 1}, {CTN_DT_FLOAT, 64, 1},
    {CTN_DT_BFLOAT, 16, 1}};

struct KindName {
  const char* name;
  int32_t kind;
};
constexpr KindName kKinds[] = {
    {"none", CTN_NONE},         {"bool", CTN_BOOL},   {"int", CTN_INT},
    {"float", CTN_FLOAT},       {"str", CTN_STR},     {"dtype", CTN_DTYPE},
    {"device", CTN_DEVICE},     {"slice", CTN_SLICE}, {"ellipsis", CTN_ELLIPSIS},
    {"newaxis", CTN_NEWAXIS},   {"ints", CTN_INTS},   {"floats", CTN_FLOATS},
    {"strs", CTN_STRS},         {"list", CTN_LIST},   {"array", CTN_ARRAY},
    {"variable", CTN_VARIABLE}, {"link", CTN_LINK},   {"object", CTN_OBJECT},
    {"callback", CTN_CALLBACK}};

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kExtremes[] = {kMin,
                                 kMin + 1,
                                 kMax,
                                 kMax - 1,
                                 -1,
                                 1 << 30,
                                 2147483647,
                                 1000000007,
                                 int64_t{1} << 31,
                                 65537,
                                 -1000000007,
                                 int64_t{1} << 40,
                                 int64_t{1} << 62};
constexpr double kFloats[] = {0.5,
                              0,
                              1,
                              -1,
                              2,
                              1e-5,
                              -0.0,
                              1e300,
                              -1e300,
                              1e-300,
                              std::numeric_limits<double>::infinity(),
                              std::numeric_limits<double>::quiet_NaN()};
constexpr int64_t kHuge = int64_t{1} << 40;

}  // namespace

ctn_dtype dtype_at(int index) { return kDtypeRows[index]; }

uint64_t Random::bits() {  // splitmix64
  uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

std::vector<OpSchema> read_schemas() {
  ctn_str text;
  OK(ctn_schema_json(&text));
  const auto json = nlohmann::json::parse(text.p, text.p + text.n);
  const auto has = [](const nlohmann::json& flags, const char* flag) {
    return std::find(flags.begin(), flags.end(), flag) != flags.end();
  };
  std::vector<OpSchema> schemas;
  for (const auto& op : json.at("ops")) {
    OpSchema s;
    s.name = op.at("name").get<std::string>();
    int32_t n_in = 0, n_attrs = 0;
    OK(ctn_op_find({s.name.data(), s.name.size()}, &s.id));
    OK(ctn_op_arity(s.id, &n_in, &s.outputs, &n_attrs));
    for (const auto& in : op.at("inputs")) {
      InputSchema input{{}, has(in.at("flags"), "optional"), has(in.at("flags"), "variadic")};
      for (const auto& name : in.at("dtypes"))
        input.dtypes.push_back(static_cast<int>(
            std::find(std::begin(kDtypes), std::end(kDtypes), name.get<std::string>()) -
            std::begin(kDtypes)));
      s.inputs.push_back(std::move(input));
    }
    for (const auto& attr : op.at("attrs")) {
      AttrSchema a{attr.at("name").get<std::string>(), {}, attr.at("required").get<bool>()};
      for (const auto& name : attr.at("kinds"))
        for (const KindName& k : kKinds)
          if (name == k.name) a.kinds.push_back(k.kind);
      s.attrs.push_back(std::move(a));
    }
    schemas.push_back(std::move(s));
  }
  return schemas;
}

// ---- shapes

namespace {

int64_t small_size(Random& r) {
  constexpr int64_t kSizes[] = {0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 9, 17};
  return r.one_of(kSizes);
}

Shape fresh_shape(Random& r) {
  if (r.chance(4)) {
    const Shape odd[] = {{kHuge, 0},    {0, kHuge},       {0, 3, kHuge},        {kHuge, 3, 0},
                         {2, kHuge, 0}, {2, 3, 0, kHuge}, {kHuge, 2, 0, 1},     {0, kHuge, 2, 2},
                         Shape(32, 1),  Shape(9, 2),      {kHuge, 1024, 0, 16}, {0, kMax / 16}};
    return r.one_of(odd);
  }
  Shape shape;
  for (int64_t n = r.chance(40) ? 4 : r.below(5); n > 0; --n)
    shape.push_back(r.chance(15) ? small_size(r) : 1 + r.below(5));
  return shape;
}

// What shapes of several inputs have in common: parts of one another.
Shape derived_shape(const Shape& from, Random& r) {
  Shape s = from;
  const auto at = s.empty() ? 0 : r.below(static_cast<int64_t>(s.size()));
  const auto axis = s.begin() + at;
  switch (r.below(12)) {
    case 0:  // without the second axis: labels
    case 10:
      if (s.size() > 1) s.erase(s.begin() + 1);
      break;
    case 1:
      if (!s.empty()) s.erase(axis);
      break;
    case 2:
      if (!s.empty()) s = {*axis};
      break;
    case 3:  // channels
      if (s.size() > 1) s = {s[1]};
      break;
    case 4:
      if (!s.empty()) *axis = small_size(r);
      break;
    case 5:
      if (s.size() < CTN_MAX_NDIM) s.push_back(small_size(r));
      break;
    case 6: std::reverse(s.begin(), s.end()); break;
    case 7:  // filters
      if (s.size() == 4) s = {1 + r.below(4), s[1], 1 + r.below(3), 1 + r.below(3)};
      break;
    case 8:
      if (s.size() == 2) s = {1 + r.below(4), s[1]};
      break;
    default: break;
  }
  return s;
}

Shape some_shape(const std::vector<RandomInput>& others, Random& r) {
  if (others.empty() || r.chance(15)) return fresh_shape(r);
  const Shape& first = r.one_of(others).shape;
  return r.chance(45) ? first : derived_shape(first, r);
}

RandomInput some_input(const OpSchema& op, size_t at, const std::vector<RandomInput>& others,
                       Random& r) {
  RandomInput in;
  in.shape = some_shape(others, r);
  if (op.inputs.empty() || r.chance(3)) {
    in.dtype = static_cast<int>(r.below(CTN_DTYPE_COUNT));
  } else {
    const InputSchema& schema = op.inputs[std::min(at, op.inputs.size() - 1)];
    const auto serves = [&](int d) {
      return std::find(schema.dtypes.begin(), schema.dtypes.end(), d) != schema.dtypes.end();
    };
    in.dtype = serves(CTN_FLOAT32) && r.chance(50) ? CTN_FLOAT32 : r.one_of(schema.dtypes);
    if (!others.empty() && serves(others[0].dtype) && !r.chance(8)) in.dtype = others[0].dtype;
    in.null = r.chance(schema.optional ? 40 : 2);
  }
  if (r.chance(25)) in.layout = static_cast<Layout>(r.below(5));
  if (r.chance(30)) in.content = static_cast<Content>(r.below(5));
  in.gradient = r.chance(85);
  return in;
}

// ---- attributes

RandomValue some_value(int32_t kind, const std::vector<RandomInput>& inputs, Random& r, int depth);

int64_t some_int(const std::vector<RandomInput>& inputs, Random& r) {
  if (r.chance(6)) return r.one_of(kExtremes);
  if (!inputs.empty() && !inputs[0].shape.empty() && r.chance(10)) return r.one_of(inputs[0].shape);
  if (r.chance(35)) return 1;
  return r.chance(70) ? r.below(4) : r.below(9) - 4;
}

Shape some_ints(const std::vector<RandomInput>& inputs, Random& r) {
  const Shape first = inputs.empty() ? Shape{} : inputs[0].shape;
  Shape ints;
  switch (r.below(6)) {
    case 0: return derived_shape(first, r);
    case 1: return first;
    case 2:  // a permutation
      for (size_t k = 0; k < first.size(); ++k) ints.push_back(static_cast<int64_t>(k));
      for (size_t k = ints.size(); k > 1; --k)
        std::swap(ints[k - 1], ints[static_cast<size_t>(r.below(static_cast<int64_t>(k)))]);
      return ints;
    case 3: return {r.below(4), 1 + r.below(3)};
    case 4: return Shape(first.size(), r.below(3) - 1);
    default: break;
  }
  for (int64_t n = r.chance(3) ? 40 : r.below(5); n > 0; --n) ints.push_back(some_int(inputs, r));
  return ints;
}

RandomValue some_list(const std::vector<RandomInput>& inputs, Random& r, int depth) {
  constexpr int32_t kItems[] = {CTN_INT,     CTN_INT,  CTN_SLICE, CTN_SLICE, CTN_ELLIPSIS, CTN_NONE,
                                CTN_NEWAXIS, CTN_INTS, CTN_ARRAY, CTN_STR,   CTN_LIST};
  RandomValue v;
  v.kind = CTN_LIST;
  if (depth < 3)
    for (int64_t n = r.below(5); n > 0; --n)
      v.list.push_back(some_value(r.one_of(kItems), inputs, r, depth + 1));
  return v;
}

RandomValue some_value(int32_t kind, const std::vector<RandomInput>& inputs, Random& r, int depth) {
  constexpr const char* kTexts[] = {"mean", "no", "sum", "", "max", "MEAN", "\xff\xfe"};
  if (kind == CTN_LIST) return some_list(inputs, r, depth);
  RandomValue v;
  v.kind = kind;
  v.malformed = r.chance(2);
  v.i = kind == CTN_BOOL ? r.below(2) : some_int(inputs, r);
  v.f = r.one_of(kFloats);
  v.s = r.one_of(kTexts);
  v.dt = dtype_at(static_cast<int>(r.below(CTN_DTYPE_COUNT)));
  if (r.chance(5)) v.dt.bits = static_cast<uint8_t>(r.below(256));
  v.slice = {some_int(inputs, r), some_int(inputs, r), some_int(inputs, r),
             static_cast<uint32_t>(r.below(8)), 0};
  v.ints = some_ints(inputs, r);
  v.floats.assign(static_cast<size_t>(r.below(4)), v.f);
  return v;
}

RandomValue some_attr(const AttrSchema& schema, const std::vector<RandomInput>& inputs, Random& r) {
  if (r.chance(schema.required ? 2 : 30)) return {};
  if (r.chance(4)) return some_value(r.one_of(kKinds).kind, inputs, r, 0);
  if (r.chance(1)) return some_value(static_cast<int32_t>(r.below(64)) - 4, inputs, r, 0);
  return some_value(r.one_of(schema.kinds), inputs, r, 0);
}

}  // namespace

// ---- calls

RandomCall RandomCall::make(const OpSchema& op, Random& r) {
  RandomCall call;
  call.op = &op;
  size_t n = op.inputs.size();
  if (!op.inputs.empty() && op.inputs.back().variadic) n += static_cast<size_t>(r.below(3));
  if (r.chance(5)) n = static_cast<size_t>(r.below(6));
  for (size_t k = 0; k < n; ++k) call.inputs.push_back(some_input(op, k, call.inputs, r));
  for (const AttrSchema& attr : op.attrs) call.attrs.push_back(some_attr(attr, call.inputs, r));
  return call;
}

void RandomCall::change(Random& r) {
  const auto n_in = static_cast<int64_t>(inputs.size()), n = n_in + std::ssize(attrs);
  if (n == 0) return;
  const int64_t at = r.below(n);
  if (at >= n_in) {
    const auto k = static_cast<size_t>(at - n_in);
    attrs[k] = some_attr(op->attrs[k], inputs, r);
    return;
  }
  RandomInput& in = inputs[static_cast<size_t>(at)];
  switch (r.below(5)) {
    case 0: in = some_input(*op, static_cast<size_t>(at), inputs, r); break;
    case 1: in.layout = static_cast<Layout>(r.below(5)); break;
    case 2: in.content = static_cast<Content>(r.below(5)); break;
    case 3:
      if (!in.shape.empty())
        in.shape[static_cast<size_t>(r.below(std::ssize(in.shape)))] = small_size(r);
      break;
    default: in.shape = some_shape(inputs, r); break;
  }
}

namespace {

std::string text_of(const RandomValue& v) {
  const auto joined = [](const auto& items, auto&& text) {
    std::string s = "(";
    for (const auto& item : items) s += text(item) + ",";
    return s + ")";
  };
  const auto number = [](auto n) { return std::to_string(n); };
  const std::string how = v.malformed ? "malformed " : "";
  switch (v.kind) {
    case CTN_ABSENT: return "absent";
    case CTN_NONE: return "None";
    case CTN_BOOL:
    case CTN_INT: return std::to_string(v.i);
    case CTN_FLOAT: return std::to_string(v.f);
    case CTN_STR: return how + "'" + v.s + "'";
    case CTN_DTYPE: return "dtype " + std::to_string(v.dt.code) + "/" + std::to_string(v.dt.bits);
    case CTN_SLICE:
      return how + std::to_string(v.slice.start) + ":" + std::to_string(v.slice.stop) + ":" +
             std::to_string(v.slice.step) + "/" + std::to_string(v.slice.has);
    case CTN_INTS: return how + joined(v.ints, number);
    case CTN_ARRAY: return how + "array" + joined(v.ints, number);
    case CTN_FLOATS: return how + joined(v.floats, number);
    case CTN_LIST: return how + "list" + joined(v.list, text_of);
    default: return how + "kind " + std::to_string(v.kind);
  }
}

}  // namespace

std::string RandomCall::text() const {
  std::string s = op->name + "(";
  for (const RandomInput& in : inputs) {
    if (in.null) {
      s += "NULL, ";
      continue;
    }
    s += std::string(kDtypes[in.dtype]) + "[";
    for (const int64_t d : in.shape) s += std::to_string(d) + ",";
    s += "]/" + std::to_string(static_cast<int>(in.layout)) +
         std::to_string(static_cast<int>(in.content)) + (in.gradient ? "g, " : ", ");
  }
  for (size_t k = 0; k < attrs.size(); ++k) s += op->attrs[k].name + "=" + text_of(attrs[k]) + ", ";
  return s + ")";
}

}  // namespace ops_test
