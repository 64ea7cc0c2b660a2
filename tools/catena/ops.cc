// catena ops: functions as tables.
#include "commands.h"
#include "registry.h"
#include "table.h"

#include <algorithm>
#include <stdexcept>

namespace tool {
namespace {

bool has(const Json& list, const char* word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::string joined(const Json& words, const char* between = ", ") {
  std::string out;
  for (const Json& w : words) out += (out.empty() ? "" : between) + w.get<std::string>();
  return out;
}

std::string text(const Json& object, const char* key) {
  return object.contains(key) ? object[key].get<std::string>() : "";
}

// What a value of the kinds looks like in a program.
std::string default_text(const Json& attr) {
  if (attr["required"]) return "required";
  if (attr["default"].is_null()) return "None";
  if (attr["default_kind"] == "dtype") return attr["default"].get<std::string>();
  return attr["default"].dump();
}

std::string inputs(const Json& op) {
  Table t(2);
  for (const Json& i : op["inputs"]) t.row({i["name"], joined(i["dtypes"]), joined(i["flags"])});
  return t.text();
}

std::string outputs(const Json& op) {
  Table t(2);
  for (const Json& o : op["outputs"]) {
    std::string type = o["type"];
    if (type.empty())
      type = "dtype as the call decides";
    else if (type[0] == '=')
      type = "dtype of " + type.substr(1);
    t.row({o["name"], type, joined(o["flags"])});
  }
  return t.text() + (op["variable_outputs"] ? "  how many there are depends on the call\n" : "");
}

std::string attributes(const Json& op) {
  Table t(2);
  for (const Json& a : op["attrs"])
    t.row({a["name"], joined(a["kinds"], "|"), default_text(a), a["doc"]});
  return t.text();
}

std::string expression(const Json& op) {
  Table t(2);
  for (const char* key : {"map", "reduce", "post", "identity"})
    if (const std::string s = text(op, key); !s.empty()) t.row({key, s});
  return t.text();
}

std::string gradient(const Json& op) {
  if (has(op["flags"], "nodiff")) return "  none\n";
  if (const std::string grad = text(op, "grad"); !grad.empty()) return "  " + grad + "\n";
  if (op["kind"] == "expression") return "  derived from the expression\n";
  if (op["kind"] == "composite") return "  that of the functions it is made of\n";
  return "  by code of the plugin " + op["plugin"].get<std::string>() + "\n";
}

std::string kernels(const Json& op) {
  Table t(2);
  for (const Json& k : op["kernels"])
    t.row({k["backend"], "of plugin " + k["plugin"].get<std::string>(),
           "priority " + k["priority"].dump()});
  if (op["kind"] == "expression") t.row({"every backend, from the expression"});
  if (op["kind"] == "composite") t.row({"those of the functions it is made of"});
  const std::string out = t.text();
  return out.empty() ? "  none\n" : out;
}

std::string section(const char* title, const std::string& body) {
  return body.empty() ? "" : "\n" + std::string(title) + "\n" + body;
}

std::string described(const Json& op) {
  Table head;
  head.row({"name in messages", op["label"]});
  head.row({"kind", op["kind"]});
  head.row({"plugin", op["plugin"]});
  if (!op["flags"].empty()) head.row({"flags", joined(op["flags"])});
  head.row({"Chainer's page", text(op, "page").empty() ? "none" : text(op, "page")});
  Table checks(2);
  for (const Json& c : op["checks"]) checks.row({c});
  return op["name"].get<std::string>() + ": " + op["doc"].get<std::string>() + "\n\n" +
         head.text() + section("inputs", inputs(op)) + section("outputs", outputs(op)) +
         section("attributes", attributes(op)) + section("checks", checks.text()) +
         section("expression", expression(op)) + section("gradient", gradient(op)) +
         section("kernels", kernels(op));
}

// Names that have `part` in them, for those who do not know the whole.
std::string similar(const Json& ops, const std::string& part) {
  std::string names;
  for (const Json& op : ops) {
    const std::string name = op["name"];
    if (name.find(part) != name.npos) names += (names.empty() ? "" : ", ") + name;
  }
  return names.empty() ? "; 'catena ops' lists all" : "; there are " + names;
}

}  // namespace

std::string list_ops() {
  Table t;
  const Json all = schema();
  for (const Json& op : all["ops"])
    if (!has(op["flags"], "internal")) t.row({op["name"], op["kind"], op["doc"]});
  return t.text();
}

std::string describe_op(const std::string& name) {
  const Json all = schema();
  for (const Json& op : all["ops"])
    if (op["name"] == name) return described(op);
  throw std::runtime_error("there is no op '" + name + "'" + similar(all["ops"], name));
}

}  // namespace tool
