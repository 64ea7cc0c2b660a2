// Golden cases of kind "optimizer" and "initializer": trajectories of parameters under recorded
// gradients; deterministic initial values.
#include <cmath>
#include <cstring>
#include <sstream>

#include "case.h"

namespace golden {
namespace {

struct Net {
  Link root;
  std::map<std::string, Variable> params;  // by path
};

// The link of the case: parameters in the order of the recorded draws where there are any.
Net make_net(Run& run, const Json& c) {
  std::vector<std::string> order;
  const auto add = [&](const std::string& path) {
    if (std::find(order.begin(), order.end(), path) == order.end()) order.push_back(path);
  };
  if (c.contains("random"))
    for (const Json& r : c.at("random"))
      if (r.contains("path")) add(r.at("path"));
  for (const Json& p : c.at("params")) add(p.at("path"));
  Net net;
  check(ctn_chain_create(run.ctx, nullptr, 0, net.root.out()), "chain");
  std::map<std::string, Link> children;
  for (const std::string& path : order) {
    const Json* found = nullptr;
    for (const Json& p : c.at("params"))
      if (p.at("path") == path) found = &p;
    Host start = run.member(c, found->at("traj"));
    start.shape.erase(start.shape.begin());
    start.bytes.resize(start.size() * start.dtype.bits / 8);
    ctn_value zero{};
    zero.kind = CTN_FLOAT;
    Variable p;
    check(ctn_parameter_new(run.ctx, str("Constant"), &zero, 1, start.dtype,
                            static_cast<int32_t>(start.shape.size()), start.shape.data(), p.out()),
          "parameter");
    const Array a = upload(run.ctx, start);
    check(ctn_variable_set_array(p.get(), a.get()), "set");
    const size_t slash = path.find('/');
    ctn_link owner = net.root.get();
    if (slash != std::string::npos) {
      Link& child = children[path.substr(0, slash)];
      if (!child) {
        check(ctn_chain_create(run.ctx, nullptr, 0, child.out()), "chain");
        check(ctn_link_add_child(owner, str(path.substr(0, slash)), child.get()), "child");
      }
      owner = child.get();
    }
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    check(ctn_link_add_param(owner, str(name), p.get()), "add");
    net.params.emplace(path, std::move(p));
  }
  return net;
}

// "WeightDecay(0.2)": class and positional or named arguments in schema order.
void add_hook(Run& run, ctn_optimizer opt, const std::string& path, const Py& call,
              const std::string& name, int32_t timing) {
  Values values;
  const std::string& cls = call.items.at(0).text;
  const Json* schema = run.entry("hooks", cls);
  if (!schema) throw Skip("hook '" + cls + "' is not there");
  std::vector<ctn_value> attrs(schema->at("attrs").size());
  for (size_t i = 1; i < call.items.size(); ++i) attrs.at(i - 1) = values.of(call.items[i]);
  for (const auto& [key, v] : call.keywords)
    for (size_t i = 0; i < attrs.size(); ++i)
      if (schema->at("attrs")[i].at("name") == key) attrs[i] = values.of(v);
  check(ctn_optimizer_add_hook(opt, str(path), str(cls), str(name), timing, attrs.data(),
                               static_cast<int32_t>(attrs.size())),
        "hook");
}

std::string slashed(std::string path) {
  std::replace(path.begin(), path.end(), '.', '/');
  return path;
}

// One statement of the setup text; see the golden README for all forms.
void set_up(Run& run, const Net& net, ctn_optimizer opt, const std::string& statement) {
  const auto starts = [&](const char* s) { return statement.starts_with(s); };
  if (starts("opt.use_fp32_update(")) {
    check(ctn_optimizer_use_fp32_update(opt, 1), "setup");
    return;
  }
  if (starts("opt.set_loss_scale(")) {
    check(ctn_optimizer_set_loss_scale(opt, parse_py(statement).items.at(1).number()), "setup");
    return;
  }
  if (!starts("net.")) throw Skip("setup '" + statement + "'");
  const size_t rule = statement.find(".update_rule.");
  if (rule == std::string::npos) {
    const size_t end = statement.find(".disable_update()");
    if (end == std::string::npos) throw Skip("setup '" + statement + "'");
    Link child;
    check(ctn_link_child(net.root.get(), str(slashed(statement.substr(4, end - 4))), child.out()),
          "setup");
    check(ctn_link_enable_update(child.get(), 0), "setup");
    return;
  }
  const std::string path = slashed(statement.substr(4, rule - 4));
  const std::string rest = statement.substr(rule + 13);
  const size_t equals = rest.find(" = ");
  if (rest == "enabled = False") {
    check(ctn_optimizer_enable_rule(opt, str(path), 0), "setup");
  } else if (rest.starts_with("hyperparam.") && equals != std::string::npos) {
    check(ctn_optimizer_set_rule_hyper(opt, str(path), str(rest.substr(11, equals - 11)),
                                       parse_py(rest.substr(equals + 3)).number()),
          "setup");
  } else if (rest.starts_with("add_hook(")) {
    const Py call = parse_py(rest);
    add_hook(run, opt, path, call.items.at(1), call.items.at(2).text, CTN_TIMING_PRE);
  } else {
    throw Skip("setup '" + statement + "'");
  }
}

Host slice(const Host& all, size_t step) {
  Host h = all;
  h.shape.erase(h.shape.begin());
  const size_t bytes = h.size() * h.dtype.bits / 8;
  h.bytes.assign(all.bytes.begin() + static_cast<ptrdiff_t>(step * bytes),
                 all.bytes.begin() + static_cast<ptrdiff_t>((step + 1) * bytes));
  return h;
}

bool is_none(const Json& c, const std::string& path, int step) {
  if (!c.contains("none_grads")) return false;
  for (const Json& pair : c.at("none_grads"))
    if (pair.at(0) == path && pair.at(1) == step) return true;
  return false;
}

void set_gradients(Run& run, const Json& c, const Net& net, int step) {
  for (const Json& p : c.at("params")) {
    const Variable& v = net.params.at(p.at("path"));
    check(ctn_variable_clear_grad(v.get()), "clear");
    if (is_none(c, p.at("path"), step)) continue;
    const Variable g =
        variable(run.ctx, slice(run.member(c, p.at("grads")), static_cast<size_t>(step)), false);
    check(ctn_variable_set_grad(v.get(), g.get()), "set gradient");
  }
}

void check_after(Run& run, const Json& c, ctn_optimizer opt) {
  int64_t t = 0;
  check(ctn_optimizer_t(opt, &t), "t");
  if (t != c.at("t_after")) throw std::runtime_error("t is " + std::to_string(t));
  for (const Json& p : c.at("params")) {
    const std::string path = p.at("path");
    if (p.contains("rule_t")) {
      check(ctn_optimizer_rule_t(opt, str(path), &t), "rule t");
      if (t != p.at("rule_t")) throw std::runtime_error(path + ": rule t is " + std::to_string(t));
    }
    if (!p.contains("state")) continue;
    for (const auto& [name, member] : p.at("state").items()) {
      Array a;
      check(ctn_optimizer_state(opt, str(path), str(name), a.out()), name.c_str());
      compare(fetch(a.get()), run.member(c, member), c.at("tol"), "traj",
              "state " + path + "/" + name);
    }
  }
}

// GradientNoise's draws are recorded as what was added: normal draws times the deviation of the
// step.
void standardise_draws(Run& run, const Json& c) {
  if (!c.contains("random") || c.at("hooks").empty()) return;
  const Py hook = parse_py(c.at("hooks")[0].at("hook").get<std::string>());
  if (hook.items.at(0).text != "GradientNoise") return;
  const double eta = hook.items.at(1).number();
  for (size_t k = 0; k < run.draws.left.size(); ++k) {
    const double deviation =
        std::sqrt(eta / std::pow(1 + c.at("random")[k].at("step").get<int>(), 0.55));
    Host& draws = run.draws.left[k].second;
    for (size_t i = 0; i < draws.size(); ++i) {
      const double x = draws.at(i) / deviation;
      std::memcpy(draws.bytes.data() + i * sizeof x, &x, sizeof x);
    }
  }
}

}  // namespace

void run_optimizer(Run& run, const Json& c) {
  load_draws(run, c);
  standardise_draws(run, c);
  const std::string name = c.at("name");
  if (!run.entry("optimizers", name)) throw Skip("optimizer '" + name + "' is not there");
  const Net net = make_net(run, c);
  Values values;
  std::vector<std::string> keys;
  std::vector<ctn_attr> attrs;
  for (const auto& [key, value] : c.at("kwargs").items()) {
    keys.push_back(key);
    attrs.push_back({{nullptr, 0}, values.of(value)});
  }
  for (size_t i = 0; i < keys.size(); ++i) attrs[i].name = str(keys[i]);
  Optimizer opt;
  check(ctn_optimizer_create_named(run.ctx, str(name), attrs.data(),
                                   static_cast<int32_t>(attrs.size()), opt.out()),
        "construct");
  for (const auto& [key, value] : c.at("hyperparam").items()) {
    double got = 0;
    check(ctn_optimizer_get_hyper(opt.get(), str(key), &got), key.c_str());
    const double expected = value.is_boolean() ? value.get<bool>() : value.get<double>();
    if (got != expected) throw std::runtime_error("hyperparameter " + key + " differs");
  }
  check(ctn_optimizer_setup(opt.get(), net.root.get()), "setup");
  for (const Json& h : c.at("hooks"))
    add_hook(run, opt.get(), "", parse_py(h.at("hook").get<std::string>()), "",
             h.value("timing", "pre") == "post" ? CTN_TIMING_POST : CTN_TIMING_PRE);
  if (c.contains("setup")) {
    std::istringstream text(c.at("setup").get<std::string>());
    for (std::string line; std::getline(text, line, ';');) {
      line.erase(0, line.find_first_not_of(' '));
      set_up(run, net, opt.get(), line);
    }
  }
  for (int step = 0; step < c.at("steps"); ++step) {
    set_gradients(run, c, net, step);
    check(ctn_optimizer_update(opt.get()), "update");
    for (const Json& p : c.at("params"))
      compare(fetch(net.params.at(p.at("path")).get()),
              slice(run.member(c, p.at("traj")), static_cast<size_t>(step) + 1), c.at("tol"),
              "traj", p.at("path").get<std::string>() + " after step " + std::to_string(step));
  }
  check_after(run, c, opt.get());
}

void run_initializer(Run& run, const Json& c) {
  const std::string name = c.at("name");
  const Json* schema = run.entry("initializers", name);
  if (!schema) throw Skip("initializer '" + name + "' is not there");
  Values values;
  std::vector<ctn_value> attrs(schema->at("attrs").size());
  const Py call = parse_py(c.at("construct").get<std::string>());
  const Json& out = c.contains("outputs") ? c.at("outputs")[0] : c;
  const Host& expected = run.member(c, out.at("member"));
  const Array filled = upload(run.ctx, expected);
  for (size_t i = 1; i < call.items.size(); ++i) {
    if (call.items[i].text == "array") {  // the text does not give it: it is what comes out
      attrs.at(i - 1).kind = CTN_ARRAY;
      attrs.at(i - 1).u.array = filled.get();
    } else {
      attrs.at(i - 1) = values.of(call.items[i]);
    }
  }
  for (const auto& [key, v] : call.keywords)
    for (size_t i = 0; i < attrs.size(); ++i)
      if (schema->at("attrs")[i].at("name") == key) attrs[i] = values.of(v);
  Array a;
  check(ctn_array_new(run.ctx, expected.dtype, static_cast<int32_t>(expected.shape.size()),
                      expected.shape.data(), a.out()),
        "array");
  check(ctn_initialize(a.get(), str(name), attrs.data(), static_cast<int32_t>(attrs.size())),
        "initialize");
  compare(fetch(a.get()), expected, Json::object(), "", "values");
}

}  // namespace golden
