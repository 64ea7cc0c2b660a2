// Golden cases of kind "function": forward, backward and double backward of one call.
#include <cstring>

#include "case.h"

namespace golden {
namespace {

// One call of the library: inputs by schema position, attributes by name.
struct Call {
  std::string op;
  std::vector<ctn_variable> in;
  std::vector<std::string> names;
  std::vector<ctn_attr> attrs;
};

struct Inputs {
  std::vector<Variable> in, consts;
};

bool is_float(const Host& h) { return h.dtype.code == CTN_DT_FLOAT; }

Inputs make_inputs(Run& run, const Json& c) {
  Inputs r;
  for (const Json& i : c.at("inputs")) {
    const Host& h = run.member(c, i.at("member"));
    r.in.push_back(variable(run.ctx, h, is_float(h)));
  }
  if (c.contains("consts"))
    for (const Json& k : c.at("consts"))
      r.consts.push_back(variable(run.ctx, run.member(c, k.at("member")), false));
  return r;
}

ctn_variable referred(const Json& j, const Inputs& inputs) {
  if (!j.is_object()) return nullptr;
  if (j.contains("in")) return inputs.in.at(j.at("in")).get();
  if (j.contains("const")) return inputs.consts.at(j.at("const")).get();
  return nullptr;
}

int input_index(const Json& schema, const std::string& name) {
  const Json& list = schema.at("inputs");
  for (size_t i = 0; i < list.size(); ++i)
    if (list[i].at("name") == name) return static_cast<int>(i);
  return -1;
}

bool has_attr(const Json& schema, const std::string& name) {
  for (const Json& a : schema.at("attrs"))
    if (a.at("name") == name) return true;
  return false;
}

Call from_attrs(Run& run, const Json& c, const Inputs& inputs, Values& values) {
  Call call;
  call.op = c.at("name");
  const Json& schema = run.op(call.op);
  call.in.assign(schema.at("inputs").size(), nullptr);
  for (const auto& [name, value] : c.at("attrs").items()) {
    if (name[0] == '*') {  // a variadic argument, in order
      const size_t k = std::stoul(name.substr(1));
      if (call.in.size() <= k) call.in.resize(k + 1, nullptr);
      call.in[k] = referred(value, inputs);
      continue;
    }
    const int at = input_index(schema, name);
    if (at >= 0) {
      if (value.is_null()) continue;
      if (value.is_array()) {
        call.in.resize(static_cast<size_t>(at));
        for (const Json& e : value) call.in.push_back(referred(e, inputs));
      } else if (ctn_variable v = referred(value, inputs)) {
        call.in[static_cast<size_t>(at)] = v;
      } else if (value.is_object() && value.contains("array")) {
        throw Skip("literal arrays are not read by this runner");
      } else {
        throw std::runtime_error("input '" + name + "' is " + value.dump());
      }
      continue;
    }
    if (!has_attr(schema, name)) throw std::runtime_error("op has no argument '" + name + "'");
    call.names.push_back(name);
    ctn_variable v = referred(value, inputs);
    ctn_value given = v ? values.variable(v) : values.of(value);
    if (given.kind == CTN_STR && name == "typ") {
      given.kind = CTN_DTYPE;
      given.u.dt = dtype_of(value);
    }
    call.attrs.push_back({{nullptr, 0}, given});
  }
  for (size_t i = 0; i < call.names.size(); ++i) call.attrs[i].name = str(call.names[i]);
  return call;
}

// Operators of variables: which op a Python operator is.
class Operators {
 public:
  Operators(Run& run, const Inputs& inputs) : run_(run), inputs_(inputs) {}

  Variable eval(const Py& e) {
    switch (e.kind) {
      case Py::kName: return leaf(e);
      case Py::kUnary: return apply("neg", eval(e.items[0]));
      case Py::kBinary: return binary(e);
      case Py::kCall: return call(e);
      case Py::kIndex: return e.text.empty() ? item(e) : member(e);
      default: throw std::runtime_error("cannot evaluate '" + e.text + "'");
    }
  }

 private:
  Variable leaf(const Py& e) {
    const size_t dot = e.text.find('.');
    const std::string base = e.text.substr(0, dot);
    const bool constant = base.starts_with("const");
    const size_t k = std::stoul(base.substr(constant ? 5 : 2));
    ctn_variable v = (constant ? inputs_.consts : inputs_.in).at(k).get();
    ctn_variable_retain(v);
    Variable own(v);
    if (dot == std::string::npos) return own;
    if (e.text.substr(dot) != ".T") throw std::runtime_error("unknown member " + e.text);
    return apply("transpose", std::move(own));
  }
  Variable member(const Py& e) {
    if (e.text != "T") throw std::runtime_error("unknown member ." + e.text);
    return apply("transpose", eval(e.items[0]));
  }
  Variable call(const Py& e) {
    const std::string& name = e.items[0].text;
    if (name == "abs") return apply("absolute", eval(e.items[1]));
    const size_t dot = name.find('.');
    Py base;
    base.text = name.substr(0, dot);
    Values values;
    Py list;
    list.kind = Py::kTuple;
    list.items.assign(e.items.begin() + 1, e.items.end());
    if (list.items.empty()) return apply(name.substr(dot + 1), leaf(base));
    if (list.items.size() == 1 && list.items[0].kind == Py::kTuple) list = Py(list.items[0]);
    const bool reshape = name.substr(dot + 1) == "reshape";
    return apply(name.substr(dot + 1), leaf(base), reshape ? "shape" : "axes", values.of(list));
  }
  Variable item(const Py& e) {
    Values values;
    Py list;
    list.kind = Py::kTuple;
    list.items.assign(e.items.begin() + 1, e.items.end());
    return apply("get_item", eval(e.items[0]), "slices", values.of(list));
  }
  Variable binary(const Py& e) {
    const Py &a = e.items[0], &b = e.items[1];
    const bool left = a.kind == Py::kNumber, right = b.kind == Py::kNumber;
    if (!left && !right) {
      static const std::map<std::string, const char*> names = {
          {"+", "add2"},      {"-", "sub"},  {"*", "mul"},   {"/", "div"},
          {"//", "floordiv"}, {"**", "pow"}, {"@", "matmul"}};
      std::vector<Variable> in;
      in.push_back(eval(a));
      in.push_back(eval(b));
      return apply(names.at(e.text), std::move(in));
    }
    Values values;
    const double v = (left ? a : b).number();
    Variable x = eval(left ? b : a);
    const auto with = [&](const char* op, double value) {
      return apply(op, std::move(x), "value", values.number(value, true));
    };
    if (e.text == "+") return with("add_constant", v);
    if (e.text == "*") return with("mul_constant", v);
    if (e.text == "-") return left ? with("sub_from_constant", v) : with("add_constant", -v);
    if (e.text == "/") return left ? with("div_from_constant", v) : with("mul_constant", 1 / v);
    if (e.text == "//")
      return left ? with("floordiv_from_constant", v) : with("floordiv_constant", v);
    return left ? with("pow_from_constant", v) : with("pow_constant", v);
  }

  Variable apply(const std::string& op, Variable x) {
    std::vector<Variable> in;
    in.push_back(std::move(x));
    return apply(op, std::move(in));
  }
  Variable apply(const std::string& op, Variable x, const char* name, ctn_value value) {
    const ctn_attr attr{str(name), value};
    ctn_variable in = x.get();
    Variable out;
    check(ctn_call_named(run_.ctx, str(op), &in, 1, &attr, 1, out.out(), 1), op.c_str());
    return out;
  }
  Variable apply(const std::string& op, std::vector<Variable> in) {
    run_.op(op);
    const std::vector<ctn_variable> raw = handles(in);
    Variable out;
    check(ctn_call_named(run_.ctx, str(op), raw.data(), static_cast<int32_t>(raw.size()), nullptr,
                         0, out.out(), 1),
          op.c_str());
    return out;
  }

  Run& run_;
  const Inputs& inputs_;
};

std::vector<Variable> forward(Run& run, const Json& c, const Inputs& inputs, Values& values) {
  std::vector<Variable> out;
  if (c.at("name") == "variable_operators") {
    std::string text = c.at("call");
    if (const size_t note = text.find(" ("); note != std::string::npos) text.resize(note);
    out.push_back(Operators(run, inputs).eval(parse_py(text)));
    return out;
  }
  const Call call = from_attrs(run, c, inputs, values);
  std::vector<ctn_variable> raw(c.at("outputs").size(), nullptr);
  check(ctn_call_named(run.ctx, str(call.op), call.in.data(), static_cast<int32_t>(call.in.size()),
                       call.attrs.data(), static_cast<int32_t>(call.attrs.size()), raw.data(),
                       static_cast<int32_t>(raw.size())),
        call.op.c_str());
  for (ctn_variable v : raw) out.emplace_back(v);
  return out;
}

void check_outputs(Run& run, const Json& c, const std::vector<Variable>& out,
                   const Inputs& inputs) {
  for (size_t k = 0; k < out.size(); ++k)
    compare(fetch(out[k].get()), run.member(c, c.at("outputs")[k].at("member")), c.at("tol"), "out",
            "output " + std::to_string(k));
  if (!c.contains("consts")) return;
  for (size_t k = 0; k < inputs.consts.size(); ++k) {
    const Json& j = c.at("consts")[k];
    if (j.contains("after"))
      compare(fetch(inputs.consts[k].get()), run.member(c, j.at("after")), c.at("tol"), "out",
              "const " + std::to_string(k) + " after the call");
  }
}

// gx of `inputs` from gy of the case, through the library's grad function.
std::vector<Variable> gradients(const std::vector<ctn_variable>& outs,
                                const std::vector<ctn_variable>& gys,
                                const std::vector<ctn_variable>& ins, bool differentiable) {
  ctn_grad_options options{};
  options.size = sizeof options;
  options.enable_double_backprop = differentiable;
  options.grad_outputs = gys.data();
  std::vector<ctn_variable> raw(ins.size(), nullptr);
  check(ctn_grad_of(outs.data(), static_cast<int32_t>(outs.size()), ins.data(),
                    static_cast<int32_t>(ins.size()), &options, raw.data()),
        "backward");
  std::vector<Variable> r;
  for (ctn_variable v : raw) r.emplace_back(v);
  return r;
}

void compare_optional(Run& run, const Json& c, const Variable& got, const Json& member,
                      const char* group, const std::string& what) {
  if (member.is_null()) {
    if (!got) return;
    const Host h = fetch(got.get());
    for (size_t i = 0; i < h.size(); ++i)
      if (h.at(i) != 0) throw std::runtime_error(what + " should be absent or zero");
    return;
  }
  if (!got) {  // the reference may compute zeros where there is no dependence
    const Host& h = run.member(c, member);
    for (size_t i = 0; i < h.size(); ++i)
      if (h.at(i) != 0) throw std::runtime_error(what + " is absent");
    return;
  }
  compare(fetch(got.get()), run.member(c, member), c.at("tol"), group, what);
}

struct Upstream {
  std::vector<Variable> gy;
  std::vector<ctn_variable> outs, gys;
  std::vector<size_t> index;
};

Upstream upstream(Run& run, const Json& c, const std::vector<Variable>& out) {
  Upstream u;
  for (size_t k = 0; k < out.size(); ++k) {
    const Json& j = c.at("outputs")[k];
    if (!j.contains("gy") || j.at("gy").is_null()) continue;
    u.gy.push_back(variable_beside(out[k].get(), run.member(c, j.at("gy"))));
    u.outs.push_back(out[k].get());
    u.index.push_back(k);
  }
  u.gys = handles(u.gy);
  return u;
}

void check_double(Run& run, const Json& c, const Inputs& inputs, const Upstream& up,
                  const std::vector<size_t>& wanted, const std::vector<Variable>& gx) {
  const Json& d = c.at("double");
  std::vector<Variable> ggx;
  std::vector<ctn_variable> outs, ggs, ins;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const std::string key = std::to_string(wanted[i]);
    if (!gx[i] || !d.at("ggx").contains(key) || d.at("ggx").at(key).is_null()) continue;
    ggx.push_back(variable(run.ctx, run.member(c, d.at("ggx").at(key)), false));
    outs.push_back(gx[i].get());
  }
  ggs = handles(ggx);
  for (const Variable& v : inputs.in) ins.push_back(v.get());
  for (const Variable& v : up.gy) ins.push_back(v.get());
  const std::vector<Variable> g = gradients(outs, ggs, ins, false);
  for (const auto& [key, member] : d.at("d2in").items())
    compare_optional(run, c, g[std::stoul(key)], member, "double", "d2in " + key);
  for (const auto& [key, member] : d.at("d2gy").items())
    for (size_t k = 0; k < up.index.size(); ++k)
      if (std::to_string(up.index[k]) == key)
        compare_optional(run, c, g[inputs.in.size() + k], member, "double", "d2gy " + key);
}

}  // namespace

void run_function(Run& run, const Json& c) {
  const ConfigOf config(run.ctx, c);
  load_draws(run, c);
  const Inputs inputs = make_inputs(run, c);
  Values values(run.ctx);
  const std::vector<Variable> out = forward(run, c, inputs, values);
  check_outputs(run, c, out, inputs);
  if (!run.draws.left.empty()) throw std::runtime_error("recorded random numbers are left over");
  const Upstream up = upstream(run, c, out);
  std::vector<size_t> wanted;
  std::vector<ctn_variable> ins;
  for (size_t i = 0; i < inputs.in.size(); ++i)
    if (c.at("inputs")[i].contains("gx")) {
      wanted.push_back(i);
      ins.push_back(inputs.in[i].get());
    }
  if (wanted.empty() || up.outs.empty()) return;
  const bool twice = c.contains("double") && c.at("double").is_object();
  const std::vector<Variable> gx = gradients(up.outs, up.gys, ins, twice);
  for (size_t i = 0; i < wanted.size(); ++i)
    compare_optional(run, c, gx[i], c.at("inputs")[wanted[i]].at("gx"), "grad",
                     "gradient of input " + std::to_string(wanted[i]));
  if (twice) check_double(run, c, inputs, up, wanted, gx);
}

}  // namespace golden
