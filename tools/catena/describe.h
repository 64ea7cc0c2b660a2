// What descriptions of functions and of other entries have in common.
#pragma once

#include "registry.h"

namespace tool {

bool has(const Json& list, const char* word);
std::string joined(const Json& words, const char* between = ", ");
// A text member, empty where there is none.
std::string text(const Json& object, const char* key);
// A table of attributes.
std::string attributes(const Json& attrs);
// The body under its title; nothing for an empty body.
std::string section(const char* title, const std::string& body);

}  // namespace tool
