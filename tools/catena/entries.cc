// catena links, optimizers, hooks, initializers: what is registered besides functions.
#include "commands.h"
#include "describe.h"
#include "table.h"

#include <stdexcept>

namespace tool {
namespace {

std::string count(const Json& n) { return n == -1 ? "any number" : n.dump(); }

std::string inputs_outputs(const Json& e) {
  if (!e.contains("inputs")) return "";
  Table t(2);
  t.row({"inputs", count(e["inputs"])});
  t.row({"outputs", count(e["outputs"])});
  return t.text();
}

std::string states(const Json& e) {
  Table t(2);
  if (e.contains("state"))
    for (const Json& s : e["state"])
      t.row({s["name"], "starts at " + s["initial"].dump(),
             has(s["flags"], "when") ? "only when " + text(e, "when") : ""});
  return t.text();
}

std::string rule(const Json& e) {
  Table t(2);
  if (e.contains("sums"))
    for (const Json& s : e["sums"]) t.row({"sum " + text(s, "name"), text(s, "map")});
  for (const char* key : {"scalars", "update", "when", "update_when"})
    if (const std::string s = text(e, key); !s.empty()) t.row({key, s});
  return t.text();
}

std::string described(const Json& e) {
  Table head;
  head.row({"plugin", e["plugin"]});
  if (e.contains("flags") && !e["flags"].empty()) head.row({"flags", joined(e["flags"])});
  head.row({"Chainer's page", text(e, "page").empty() ? "none" : text(e, "page")});
  const char* arguments = e.contains("hyper") ? "hyper" : "attrs";
  return e["name"].get<std::string>() + ": " + text(e, "doc") + "\n\n" + head.text() +
         section("call", inputs_outputs(e)) +
         section(e.contains("hyper") ? "hyperparameters" : "arguments", attributes(e[arguments])) +
         section("states", states(e)) + section("rule", rule(e));
}

}  // namespace

Result list_entries(const std::string& what) {
  Table t;
  const Json all = schema();
  for (const Json& e : all[what]) t.row({e["name"], e["doc"]});
  return {t.text()};
}

Result describe_entry(const std::string& what, const std::string& name) {
  const Json all = schema();
  for (const Json& e : all[what])
    if (e["name"] == name) return {described(e)};
  throw std::runtime_error("there is no '" + name + "' among the " + what + "; 'catena " + what +
                           "' lists all");
}

}  // namespace tool
