// Golden cases of kind "link": parameters by path, then one or more steps, gradients of all steps
// together, persistent values and states afterwards.
#include "case.h"

namespace golden {
namespace {

Link create(Run& run, const std::string& cls,
            const std::vector<std::pair<std::string, ctn_value>>& args) {
  if (!run.entry("links", cls)) throw Skip("link '" + cls + "' is not there");
  std::vector<ctn_attr> attrs;
  for (const auto& [name, value] : args) attrs.push_back({str(name), value});
  Link link;
  check(ctn_link_create_named(run.ctx, str(cls), attrs.data(), static_cast<int32_t>(attrs.size()),
                              link.out()),
        "construct");
  return link;
}

// Positional arguments get the names of the schema's attributes.
std::string attr_name(const Run& run, const std::string& cls, size_t index) {
  const Json* schema = run.entry("links", cls);
  if (!schema) throw Skip("link '" + cls + "' is not there");
  return schema->at("attrs").at(index).at("name");
}

// A constructor call as text, e.g. L.Classifier(L.Linear(3, 3), label_key=0).
class Builder {
 public:
  explicit Builder(Run& run) : run_(run) {}

  Link build(const Py& e) {
    const std::string& name = e.items.at(0).text;
    const std::string cls = name.substr(name.find('.') + 1);
    std::vector<std::pair<std::string, ctn_value>> args;
    if (cls == "Sequential") {
      std::vector<ctn_value> layers;
      for (size_t i = 1; i < e.items.size(); ++i) layers.push_back(value(e.items[i]));
      ctn_value list{};
      list.kind = CTN_LIST;
      list.n = static_cast<uint32_t>(layers.size());
      list.u.list = layers.data();
      args.emplace_back(attr_name(run_, cls, 0), list);
      return create(run_, cls, args);
    }
    for (size_t i = 1; i < e.items.size(); ++i)
      args.emplace_back(attr_name(run_, cls, i - 1), value(e.items[i]));
    for (const auto& [key, v] : e.keywords) args.emplace_back(key, value(v));
    return create(run_, cls, args);
  }

 private:
  ctn_value value(const Py& e) {
    if (e.kind != Py::kCall) return values_.of(e);
    links_.push_back(build(e));
    ctn_value v{};
    v.kind = CTN_LINK;
    v.u.link = links_.back().get();
    return v;
  }
  Run& run_;
  Values values_;
  std::deque<Link> links_;
};

Link construct(Run& run, const Json& c) {
  if (!c.contains("cls")) return Builder(run).build(parse_py(c.at("construct").get<std::string>()));
  Values values;
  std::vector<std::pair<std::string, ctn_value>> args;
  const std::string cls = c.at("cls");
  if (!c.contains("attrs")) throw Skip("constructor arguments without names");
  for (const auto& [name, j] : c.at("attrs").items()) args.emplace_back(name, values.of(j));
  return create(run, cls, args);
}

void set_attr(const Run& run, const Json& c, ctn_link link, const std::string& name,
              const ctn_value& value) {
  const Json& attrs = run.entry("links", c.at("name"))->at("attrs");
  for (size_t i = 0; i < attrs.size(); ++i) {
    if (attrs[i].at("name") != name) continue;
    check(ctn_link_set_attr(link, static_cast<int32_t>(i), &value), name.c_str());
    return;
  }
  throw std::runtime_error("the link has no attribute " + name);
}

void set_up(const Run& run, const Json& c, ctn_link link) {
  if (!c.contains("setup")) return;
  const std::string text = c.at("setup");
  if (text != "link.compute_accuracy = False") throw Skip("setup '" + text + "'");
  ctn_value off{};
  off.kind = CTN_BOOL;
  set_attr(run, c, link, "compute_accuracy", off);
}

Variable param(ctn_link link, const std::string& path) {
  Variable p;
  check(ctn_link_param(link, str(path), p.out()), path.c_str());
  return p;
}

// The link that holds what a path names, and the name there.
std::pair<Link, std::string> holder(ctn_link root, const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) {
    ctn_link_retain(root);
    return {Link(root), path};
  }
  Link link;
  check(ctn_link_child(root, str(path.substr(0, slash)), link.out()), "child");
  return {std::move(link), path.substr(slash + 1)};
}

void load(Run& run, const Json& c, ctn_link link) {
  for (const Json& j : c.at("params")) {
    const Host& h = run.member(c, j.at("member"));
    const Variable p = param(link, j.at("path"));
    if (!ctn_parameter_is_initialized(p.get()))
      check(ctn_parameter_initialize(p.get(), static_cast<int32_t>(h.shape.size()), h.shape.data()),
            "initialize");
    const Array a = upload(run.ctx, h);
    check(ctn_variable_set_array(p.get(), a.get()), "set");
  }
  for (const Json& j : c.at("persistents")) {
    const Array a = upload(run.ctx, run.member(c, j.at("member")));
    const auto [owner, name] = holder(link, j.at("path"));
    check(ctn_link_set_persistent(owner.get(), str(name), a.get()), "persistent");
  }
}

void check_fresh(Run& run, const Json& c, ctn_link link) {
  if (!c.contains("default_init")) return;
  for (const auto& [path, j] : c.at("default_init").items()) {
    if (!j.contains("deterministic")) continue;
    Variable p;
    if (ctn_link_param(link, str(path), p.out()) == CTN_OK) {
      if (ctn_parameter_is_initialized(p.get()))
        compare(fetch(p.get()), run.member(c, j.at("deterministic")), Json::object(), "",
                "fresh " + path);
      continue;
    }
    Array a;
    check(ctn_link_persistent(link, str(path), a.out()), path.c_str());
    compare(fetch(a.get()), run.member(c, j.at("deterministic")), Json::object(), "",
            "fresh " + path);
  }
}

}  // namespace

void run_link(Run& run, const Json& c) {
  const ConfigOf config(run.ctx, c);
  load_draws(run, c);
  if (c.contains("method")) throw Skip("method '" + c.at("method").dump() + "'");
  const Link link = construct(run, c);
  check_fresh(run, c, link.get());
  set_up(run, c, link.get());
  load(run, c, link.get());
  std::vector<std::vector<Variable>> ins, outs;
  std::vector<Variable> gys;
  std::vector<ctn_variable> roots, seeds;
  size_t number = 0;
  for (const Json& step : c.at("steps")) {
    auto& in = ins.emplace_back();
    for (const Json& j : step.at("inputs")) {
      const Host& h = run.member(c, j.at("member"));
      in.push_back(variable(run.ctx, h, h.dtype.code == CTN_DT_FLOAT));
    }
    if (step.contains("kwargs")) {  // what Chainer takes as keywords of a call is an attribute here
      Values values;
      for (const auto& [name, j] : step.at("kwargs").items())
        set_attr(run, c, link.get(), name, values.of(j));
    }
    const std::vector<ctn_variable> raw_in = handles(in);
    std::vector<ctn_variable> raw(step.at("outputs").size(), nullptr);
    check(ctn_link_call(link.get(), raw_in.data(), static_cast<int32_t>(raw_in.size()), raw.data(),
                        static_cast<int32_t>(raw.size())),
          "call");
    auto& out = outs.emplace_back();
    for (ctn_variable v : raw) out.emplace_back(v);
    for (size_t k = 0; k < out.size(); ++k) {
      const Json& j = step.at("outputs")[k];
      compare(fetch(out[k].get()), run.member(c, j.at("member")), c.at("tol"), "out",
              "step " + std::to_string(number) + " output " + std::to_string(k));
      if (!j.contains("gy") || j.at("gy").is_null()) continue;
      gys.push_back(variable(run.ctx, run.member(c, j.at("gy")), false));
      roots.push_back(out[k].get());
      seeds.push_back(gys.back().get());
    }
    ++number;
  }
  std::vector<Variable> params;
  std::vector<ctn_variable> targets;
  std::vector<std::pair<std::string, std::string>> expected;  // what, member
  for (const Json& j : c.at("params")) {
    if (!j.contains("gparam") || j.at("gparam").is_null()) continue;
    params.push_back(param(link.get(), j.at("path")));
    targets.push_back(params.back().get());
    expected.emplace_back("gradient of " + j.at("path").get<std::string>(), j.at("gparam"));
  }
  for (size_t s = 0; s < ins.size(); ++s)
    for (size_t i = 0; i < ins[s].size(); ++i) {
      const Json& j = c.at("steps")[s].at("inputs")[i];
      if (!j.contains("gx") || j.at("gx").is_null()) continue;
      targets.push_back(ins[s][i].get());
      expected.emplace_back("gradient of input", j.at("gx"));
    }
  if (!roots.empty() && !targets.empty()) {
    ctn_grad_options options{};
    options.size = sizeof options;
    options.grad_outputs = seeds.data();
    std::vector<ctn_variable> raw(targets.size(), nullptr);
    check(ctn_grad_of(roots.data(), static_cast<int32_t>(roots.size()), targets.data(),
                      static_cast<int32_t>(targets.size()), &options, raw.data()),
          "backward");
    std::vector<Variable> grads;
    for (ctn_variable v : raw) grads.emplace_back(v);
    for (size_t i = 0; i < grads.size(); ++i) {
      if (!grads[i]) throw std::runtime_error(expected[i].first + " is absent");
      compare(fetch(grads[i].get()), run.member(c, expected[i].second), c.at("tol"), "grad",
              expected[i].first);
    }
  }
  for (const Json& j : c.at("persistents")) {
    if (!j.contains("after")) continue;
    Array a;
    check(ctn_link_persistent(link.get(), str(j.at("path").get<std::string>()), a.out()), "after");
    compare(fetch(a.get()), run.member(c, j.at("after")), c.at("tol"), "out",
            "persistent " + j.at("path").get<std::string>());
  }
  for (const auto& [name, member] : c.at("state_after").items()) {
    Variable v;
    check(ctn_link_state(link.get(), str(name), v.out()), "state");
    if (member.is_null()) {
      if (v) throw std::runtime_error("state " + name + " should be absent");
      continue;
    }
    if (!v) throw std::runtime_error("state " + name + " is absent");
    compare(fetch(v.get()), run.member(c, member), c.at("tol"), "out", "state " + name);
  }
}

}  // namespace golden
