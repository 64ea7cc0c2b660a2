// The commands. Each gives what it prints on standard output; failures are exceptions.
#pragma once

#include <string>

namespace tool {

std::string info();
std::string list_ops();
std::string describe_op(const std::string& name);
std::string plugins();

}  // namespace tool
