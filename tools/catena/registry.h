// What the library says of itself, for all commands, with every plugin loaded that can be found.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace tool {

using Json = nlohmann::ordered_json;

// One line of the library's plugin report.
struct Finding {
  std::string path, state, text;  // state: "loaded", "refused", ... or empty
};

std::vector<Finding> findings();

// The schema as the library gives it, and parsed.
std::string schema_text();
Json schema();

}  // namespace tool
