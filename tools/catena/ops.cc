// catena ops: functions as tables.
#include "commands.h"
#include "describe.h"
#include "registry.h"
#include "table.h"

#include <catena/catena.h>
#include <algorithm>
#include <stdexcept>

namespace tool {
namespace {

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
         section("attributes", attributes(op["attrs"])) + section("checks", checks.text()) +
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
  return names.empty() ? "; 'catena ops' lists all" : "; with it in their names there are " + names;
}

}  // namespace

Result list_ops(bool all) {
  Table t;
  const Json registered = schema();
  size_t hidden = 0;
  for (const Json& op : registered["ops"]) {
    if (!all && has(op["flags"], "internal"))
      ++hidden;
    else
      t.row({op["name"], op["kind"], op["doc"]});
  }
  const std::string more = "\n" + std::to_string(hidden) +
                           " internal ones, which others are made of, are listed by 'catena ops "
                           "--all'\n";
  return {t.text() + (hidden ? more : "")};
}

Result describe_op(const std::string& name) {
  const Json all = schema();
  for (const Json& op : all["ops"])
    if (op["name"] == name) return {described(op)};
  int32_t unused = 0;  // the library knows why there is none
  const ctn_status status = ctn_op_find({name.data(), name.size()}, &unused);
  const std::string text = status == CTN_OK ? "it came just now" : ctn_error_message();
  throw std::runtime_error(text + similar(all["ops"], name));
}

}  // namespace tool
