// What the library says of itself, for all commands, with every plugin loaded that a context would
// load: the default ones, and those of the backends when their devices are asked for.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace tool {

using Json = nlohmann::ordered_json;

// One line of the library's plugin report.
struct Finding {
  std::string path, state, text;  // state: "loaded", "refused", "found, not loaded", or empty
};

std::vector<Finding> findings();
// "1 plugin was refused" with the reason below it, or nothing.
std::string refusals(const std::vector<Finding>& all);

// The schema as the library gives it, and parsed.
std::string schema_text();
Json schema();

}  // namespace tool
