// What the expression tests share: kernels from one-line texts, arrays, and running a row with the
// plain executor.
#pragma once

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/expr/expr.h"
#include "core/expr/plain.h"
#include "core/expr/scalar.h"

namespace catena_test {

using namespace catena;
using namespace catena::expr;

struct Texts {
  std::string in = "T x", out = "T y", scalars = {};
  std::string map = {}, grad = {}, reduce = {}, post = {}, identity = {};
};

inline std::shared_ptr<const Row> row_of(const Texts& t) {
  Source s;
  s.in = parse_params(t.in, "kernel");
  s.out = parse_params(t.out, "kernel");
  if (!t.scalars.empty()) {
    // Scalars without a type are written with '_' for it.
    s.scalars = parse_params(t.scalars, "kernel");
    for (Param& p : s.scalars) {
      if (p.type == "_") p.type.clear();
    }
  }
  s.map = t.map;
  s.grad = t.grad;
  s.reduce = t.reduce;
  s.post = t.post;
  s.identity = t.identity;
  return Row::parse(s, "kernel");
}
inline std::shared_ptr<const Row> row_of(const std::string& map) {
  Texts t;
  t.map = map;
  return row_of(t);
}

// Elements in C order, held in the memory of their dtype.
struct Array {
  int dtype = CTN_FLOAT64;
  std::vector<std::byte> bytes;

  Array() = default;
  Array(int d, const std::vector<double>& values) : dtype(d), bytes(values.size() * size()) {
    for (size_t k = 0; k < values.size(); ++k) set(k, number(values[k], value_type(d)));
  }
  size_t size() const { return static_cast<size_t>(dtype_bytes(dtype)); }
  size_t count() const { return bytes.size() / size(); }
  Slot get(size_t k) const { return load_element(bytes.data() + k * size(), dtype); }
  void set(size_t k, Slot v) { store_element(bytes.data() + k * size(), dtype, v); }
  double at(size_t k) const { return cast_value(get(k), value_type(dtype), CTN_FLOAT64).f; }
  std::vector<double> values() const {
    std::vector<double> out;
    for (size_t k = 0; k < count(); ++k) out.push_back(at(k));
    return out;
  }
};

// Runs a form over one dimension of n elements, or reduces `rows` times n / rows. Arrays of one
// element are broadcast; scalars are given as numbers.
inline void run_form(const ctn_form& form, std::vector<Array>& args,
                     const std::vector<double>& scalars, int64_t n, int64_t rows = 1) {
  const bool reduces = form.n_acc > 0;
  const int64_t shape[2] = {reduces ? rows : 1, reduces ? n / rows : n};
  std::vector<void*> data;
  std::vector<int64_t> strides, counts;
  std::vector<uint64_t> bits;
  for (int32_t k = 0; k < form.n_args; ++k) {
    Array& a = args[static_cast<size_t>(k)];
    const auto size = static_cast<int64_t>(a.size());
    const auto count = static_cast<int64_t>(a.count());
    data.push_back(a.bytes.data());
    const bool output = form.args[k].role == CTN_ROLE_OUT;
    const bool spread = form.args[k].role == CTN_ROLE_RAW || (count == 1 && n != 1);
    strides.push_back(spread ? 0 : reduces && output ? size : size * shape[1]);
    strides.push_back(spread || (reduces && output) ? 0 : size);
    counts.push_back(form.args[k].role == CTN_ROLE_RAW ? count : 0);
  }
  for (size_t k = 0; k < scalars.size(); ++k) {
    const Type t = form.scalars[k];
    bits.push_back(to_bits(number(scalars[k], t), t));
  }
  ctn_launch launch{};
  launch.size = sizeof launch;
  launch.ndim = 2;
  launch.n_reduced = reduces ? 1 : 0;
  launch.shape = shape;
  launch.data = data.data();
  launch.strides = strides.data();
  launch.counts = counts.data();
  launch.scalars = bits.data();
  run_plain(form, launch);
}

// Runs a row: inputs in, outputs out. The dtypes of outputs follow, or are `out_dtype`.
inline std::vector<Array> run_row(const Row& row, const std::vector<Array>& in,
                                  const std::vector<double>& scalars = {}, int64_t rows = 1,
                                  uint8_t out_dtype = kInfer) {
  std::vector<uint8_t> dtypes;
  int64_t n = 1;
  for (const Array& a : in) dtypes.push_back(static_cast<uint8_t>(a.dtype));
  for (int32_t k = 0; k < row.n_in(); ++k) {
    const auto count = static_cast<int64_t>(in[static_cast<size_t>(k)].count());
    if (row.arg_role(k) != CTN_ROLE_RAW && count != 1) n = count;
  }
  dtypes.resize(dtypes.size() + static_cast<size_t>(row.n_out()), out_dtype);
  const auto form = row.specialize(dtypes);
  std::vector<Array> args = in;
  for (int32_t j = 0; j < row.n_out(); ++j) {
    const int dtype = form->c().args[row.n_in() + j].dtype;
    args.emplace_back(dtype,
                      std::vector<double>(static_cast<size_t>(row.is_reduction() ? rows : n)));
  }
  run_form(form->c(), args, scalars, n, rows);
  return {args.begin() + row.n_in(), args.end()};
}

inline std::vector<double> run_text(const std::string& map, const std::vector<double>& x,
                                    int dtype = CTN_FLOAT64) {
  return run_row(*row_of(map), {Array(dtype, x)})[0].values();
}
inline double run_one(const std::string& map, double x, int dtype = CTN_FLOAT64) {
  return run_text(map, {x}, dtype)[0];
}

inline std::string dump(const Row& row, const std::vector<uint8_t>& dtypes) {
  return to_string(row.specialize(dtypes)->c());
}
inline std::string dump(const std::string& map, uint8_t dtype = CTN_FLOAT32) {
  return dump(*row_of(map), {dtype, dtype});
}

// Status and text of what `body` throws; CTN_OK and "" if it does not.
template <class Body>
std::pair<ctn_status, std::string> thrown(Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    return {e.code(), e.what()};
  }
  return {CTN_OK, ""};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace catena_test
