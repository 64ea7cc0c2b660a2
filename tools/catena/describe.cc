// Pieces of descriptions: see describe.h.
#include "describe.h"

#include "table.h"

#include <algorithm>

namespace tool {
namespace {

// What a value of the kinds looks like in a program.
std::string default_text(const Json& attr) {
  if (attr["required"]) return "required";
  if (attr["default"].is_null()) return "None";
  if (attr["default_kind"] == "dtype") return attr["default"].get<std::string>();
  return attr["default"].dump();
}

}  // namespace

bool has(const Json& list, const char* word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::string joined(const Json& words, const char* between) {
  std::string out;
  for (const Json& w : words) out += (out.empty() ? "" : between) + w.get<std::string>();
  return out;
}

std::string text(const Json& object, const char* key) {
  return object.contains(key) ? object[key].get<std::string>() : "";
}

std::string attributes(const Json& attrs) {
  Table t(2);
  for (const Json& a : attrs)
    t.row({a["name"], joined(a["kinds"], "|"), default_text(a), a["doc"]});
  return t.text();
}

std::string section(const char* title, const std::string& body) {
  return body.empty() ? "" : "\n" + std::string(title) + "\n" + body;
}

}  // namespace tool
