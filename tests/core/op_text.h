// Ops for tests: a definition that is filled member by member and owns the arrays behind it. Texts
// are borrowed.
#pragma once

#include <catena/plugin.h>

#include <string>
#include <string_view>
#include <vector>

namespace catena_test {

inline ctn_str lit(std::string_view s) { return {s.data(), s.size()}; }
inline ctn_value int_value(int64_t i) {
  ctn_value v{};
  v.kind = CTN_INT;
  v.u.i = i;
  return v;
}
inline ctn_value float_value(double f) {
  ctn_value v{};
  v.kind = CTN_FLOAT;
  v.u.f = f;
  return v;
}
inline ctn_value kind_value(int32_t kind) {
  ctn_value v{};
  v.kind = kind;
  return v;
}
inline ctn_value ints_value(const std::vector<int64_t>& items) {
  ctn_value v{};
  v.kind = CTN_INTS;
  v.n = static_cast<uint32_t>(items.size());
  v.u.is = items.data();
  return v;
}

inline ctn_status no_infer(void*, const ctn_call_info*, ctn_out_spec*) { return CTN_OK; }

// A primitive without gradient; change `def` before use as the test needs.
struct OpText {
  explicit OpText(std::string_view name) {
    def.size = sizeof def;
    def.flags = CTN_OP_NODIFF;
    def.name = lit(name);
    def.infer = no_infer;
    outputs.push_back({lit("out"), lit(""), 0, 0});
  }
  OpText(const OpText&) = delete;
  OpText& operator=(const OpText&) = delete;

  OpText& in(std::string_view name, std::string_view type, uint32_t flags = 0) {
    inputs.push_back({lit(name), lit(type), flags, 0});
    return *this;
  }
  OpText& attr(std::string_view name, uint64_t kinds, ctn_value fallback) {
    attrs.push_back({lit(name), kinds, fallback, lit(""), 0, 0});
    return *this;
  }
  OpText& check(std::string_view text) {
    checks.push_back(lit(text));
    return *this;
  }
  const ctn_op_def* get() {
    def.in = inputs.data();
    def.n_in = static_cast<int32_t>(inputs.size());
    def.out = outputs.data();
    def.n_out = static_cast<int32_t>(outputs.size());
    def.attrs = attrs.data();
    def.n_attrs = static_cast<int32_t>(attrs.size());
    def.checks = checks.data();
    def.n_checks = static_cast<int32_t>(checks.size());
    return &def;
  }

  ctn_op_def def{};
  std::vector<ctn_input_def> inputs;
  std::vector<ctn_output_def> outputs;
  std::vector<ctn_attr_def> attrs;
  std::vector<ctn_str> checks;
};

// An elementwise op over two inputs of one dtype.
struct ProductText : OpText {
  explicit ProductText(std::string_view name) : OpText(name) {
    in("x", "f").in("z", "f");
    outputs = {{lit("y"), lit("=x"), 0, 0}};
    def.flags = 0;
    def.infer = nullptr;
    def.map = lit("y = x * z");
  }
};

}  // namespace catena_test
