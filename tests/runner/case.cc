// Shared parts of golden cases: see case.h.
#include "case.h"

#include <cmath>
#include <cstring>

namespace golden {

const Host& Run::member(const Json& c, const std::string& name) {
  const std::string file = c.at("file");
  auto it = files.find(file);
  if (it == files.end()) {
    it = files.try_emplace(file).first;
    const auto keep = [](void* user, ctn_str path, ctn_variable, ctn_array a,
                         ctn_link) -> ctn_status {
      auto& members = *static_cast<std::map<std::string, Host>*>(user);
      if (a) members.emplace(text(path), fetch(a));
      return CTN_OK;
    };
    check(ctn_load_npz_arrays(ctx, str(dir + file), keep, &it->second), "load");
  }
  const auto m = it->second.find(name);
  if (m == it->second.end()) throw std::runtime_error("no member " + name + " in " + file);
  return m->second;
}

const Json* Run::entry(const char* section, const std::string& name) const {
  for (const Json& e : schema.at(section))
    if (e.at("name") == name) return &e;
  return nullptr;
}

const Json& Run::op(const std::string& name) const {
  if (const Json* e = entry("ops", name)) return *e;
  throw Skip("op '" + name + "' is not there");
}

ctn_value Values::number(double v, bool is_float) {
  ctn_value out{};
  out.kind = is_float ? CTN_FLOAT : CTN_INT;
  if (is_float)
    out.u.f = v;
  else
    out.u.i = static_cast<int64_t>(v);
  return out;
}

ctn_value Values::text(const std::string& s) {
  ctn_value out{};
  out.kind = CTN_STR;
  out.u.s = texts_.emplace_back(s).data();
  out.n = static_cast<uint32_t>(s.size());
  return out;
}

ctn_value Values::variable(ctn_variable v) {
  ctn_value out{};
  out.kind = CTN_VARIABLE;
  out.u.variable = v;
  return out;
}

// Numbers of one kind as a plain list, anything else as a list of values.
ctn_value Values::list(std::vector<ctn_value> items) {
  bool ints = true, numbers = true;
  for (const ctn_value& v : items) {
    ints = ints && v.kind == CTN_INT;
    numbers = numbers && (v.kind == CTN_INT || v.kind == CTN_FLOAT);
  }
  ctn_value out{};
  out.n = static_cast<uint32_t>(items.size());
  if (ints) {
    out.kind = CTN_INTS;
    auto& to = ints_.emplace_back();
    for (const ctn_value& v : items) to.push_back(v.u.i);
    out.u.is = to.data();
  } else if (numbers) {
    out.kind = CTN_FLOATS;
    auto& to = floats_.emplace_back();
    for (const ctn_value& v : items)
      to.push_back(v.kind == CTN_INT ? static_cast<double>(v.u.i) : v.u.f);
    out.u.fs = to.data();
  } else {
    out.kind = CTN_LIST;
    out.u.list = lists_.emplace_back(std::move(items)).data();
  }
  return out;
}

namespace {

template <class T>
void append(const Json& j, std::vector<unsigned char>& bytes) {
  if (j.is_array()) {
    for (const Json& e : j) append<T>(e, bytes);
    return;
  }
  const T value = j.is_boolean() ? static_cast<T>(j.get<bool>()) : j.get<T>();
  const size_t at = bytes.size();
  bytes.resize(at + sizeof value);
  std::memcpy(&bytes[at], &value, sizeof value);
}

// {"array": [...], "dtype": "int32"}
Host literal(const Json& j) {
  const std::string dtype = j.at("dtype");
  Host h;
  h.dtype = dtype_of(dtype);
  for (const Json* list = &j.at("array"); list->is_array(); list = &list->at(0)) {
    h.shape.push_back(static_cast<int64_t>(list->size()));
    if (list->empty()) break;
  }
  if (dtype == "bool")
    append<uint8_t>(j.at("array"), h.bytes);
  else if (dtype == "int32")
    append<int32_t>(j.at("array"), h.bytes);
  else if (dtype == "int64")
    append<int64_t>(j.at("array"), h.bytes);
  else if (dtype == "float32")
    append<float>(j.at("array"), h.bytes);
  else
    throw Skip("literal arrays of " + dtype + " are not read by this runner");
  return h;
}

}  // namespace

ctn_value Values::of(const Json& j) {
  ctn_value out{};
  if (j.is_null()) {
    out.kind = CTN_NONE;
  } else if (j.is_boolean()) {
    out.kind = CTN_BOOL;
    out.u.i = j.get<bool>();
  } else if (j.is_number_integer()) {
    return number(static_cast<double>(j.get<int64_t>()), false);
  } else if (j.is_number()) {
    return number(j.get<double>(), true);
  } else if (j.is_string()) {
    return text(j.get<std::string>());
  } else if (j.is_array()) {
    std::vector<ctn_value> items;
    for (const Json& e : j) items.push_back(of(e));
    return list(std::move(items));
  } else if (j.contains("dtype") && !j.contains("array")) {
    out.kind = CTN_DTYPE;
    out.u.dt = dtype_of(j.at("dtype"));
  } else if (j.contains("ellipsis")) {
    out.kind = CTN_ELLIPSIS;
  } else if (j.contains("slice")) {
    ctn_slice& s = slices_.emplace_back();
    int64_t* const parts[] = {&s.start, &s.stop, &s.step};
    for (uint32_t k = 0; k < 3; ++k) {
      if (j.at("slice").at(k).is_null()) continue;
      *parts[k] = j.at("slice").at(k);
      s.has |= 1u << k;
    }
    out.kind = CTN_SLICE;
    out.u.slice = &s;
  } else if (j.contains("array") && ctx_) {
    out.kind = CTN_ARRAY;
    out.u.array = arrays_.emplace_back(upload(ctx_, literal(j))).get();
  } else {
    throw Skip("argument " + j.dump() + " is of a form this runner does not read");
  }
  return out;
}

ctn_value Values::of(const Py& p) {
  ctn_value out{};
  switch (p.kind) {
    case Py::kNumber: return number(p.number(), p.is_float);
    case Py::kUnary: return number(p.number(), p.items[0].is_float);
    case Py::kString: return text(p.text);
    case Py::kTuple:
    case Py::kList: {
      std::vector<ctn_value> items;
      for (const Py& e : p.items) items.push_back(of(e));
      return list(std::move(items));
    }
    case Py::kSlice: {
      ctn_slice& s = slices_.emplace_back();
      int64_t* const parts[] = {&s.start, &s.stop, &s.step};
      for (uint32_t k = 0; k < 3; ++k) {
        if (p.items[k].kind == Py::kName && p.items[k].text.empty()) continue;
        *parts[k] = static_cast<int64_t>(p.items[k].number());
        s.has |= 1u << k;
      }
      out.kind = CTN_SLICE;
      out.u.slice = &s;
      return out;
    }
    case Py::kName:
      if (p.text == "None") out.kind = CTN_NONE;
      if (p.text == "...") out.kind = CTN_ELLIPSIS;
      if (p.text == "True" || p.text == "False") {
        out.kind = CTN_BOOL;
        out.u.i = p.text == "True";
      }
      if (p.text.starts_with("F.")) return text(p.text.substr(2));
      if (p.text.starts_with("float")) {
        out.kind = CTN_DTYPE;
        out.u.dt = dtype_of(p.text);
      }
      if (p.text == "array") throw Skip("an array that the text does not give");
      if (out.kind) return out;
      break;
    default: break;
  }
  throw std::runtime_error("'" + p.text + "' is not a value");
}

void compare(const Host& got, const Host& expected, const Json& tol, const char* group,
             const std::string& what) {
  const auto describe = [](const Host& h) {
    std::string s = dtype_text(h.dtype) + "[";
    for (size_t i = 0; i < h.shape.size(); ++i) s += (i ? "," : "") + std::to_string(h.shape[i]);
    return s + "]";
  };
  if (got.shape != expected.shape || got.dtype.code != expected.dtype.code ||
      got.dtype.bits != expected.dtype.bits)
    throw std::runtime_error(what + " is " + describe(got) + ", expected " + describe(expected));
  double rtol = 0, atol = 0;
  const bool exact = expected.dtype.code != CTN_DT_FLOAT;
  if (!exact && tol.contains(group)) {
    rtol = tol.at(group).at("rtol");
    atol = tol.at(group).at("atol");
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    const double a = got.at(i), b = expected.at(i);
    const bool equal =
        a == b || (std::isnan(a) && std::isnan(b)) ||
        (std::isfinite(a) && std::isfinite(b) && std::fabs(a - b) <= atol + rtol * std::fabs(b));
    if (equal) continue;
    char line[160];
    std::snprintf(line, sizeof line, " element %zu is %.9g, expected %.9g (rtol %g, atol %g)", i, a,
                  b, rtol, atol);
    throw std::runtime_error(what + line);
  }
}

ConfigOf::ConfigOf(ctn_context ctx, const Json& c) : ctx_(ctx) {
  if (!c.contains("config")) return;
  for (const auto& [key, value] : c.at("config").items()) {
    ctn_value v{};
    v.kind = CTN_BOOL;
    v.u.i = value.get<bool>();
    check(ctn_config_set(ctx, str(key), &v), "config");
  }
}

ConfigOf::~ConfigOf() {
  for (const char* key : {"train", "enable_backprop"})
    if (ctn_config_set(ctx_, str(key), nullptr) != CTN_OK) return;
}

void load_draws(Run& run, const Json& c) {
  run.draws.left.clear();
  run.draws.used = 0;
  run.draws.recorded = c.contains("random");
  if (!run.draws.recorded) return;
  for (const Json& r : c.at("random")) {
    const std::string source = r.at("source");
    int32_t kind = CTN_RANDOM_UNIFORM;
    if (source.find("normal") != std::string::npos) kind = CTN_RANDOM_NORMAL;
    if (source.find("gumbel") != std::string::npos) kind = CTN_RANDOM_GUMBEL;
    run.draws.left.emplace_back(kind, run.member(c, r.at("member")));
  }
}

}  // namespace golden
