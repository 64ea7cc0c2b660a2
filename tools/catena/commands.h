// The commands. Each gives what it prints and what is wrong; a failure that leaves nothing to print
// is an exception.
#pragma once

#include <string>
#include <vector>

namespace tool {

// `fault`: empty, or what makes the exit status 1 although there is something to show.
struct Result {
  std::string text;
  std::string fault = {};
};

Result version();
Result info();
Result plugins();
// all: internal functions too.
Result list_ops(bool all);
Result describe_op(const std::string& name);
// What is in a file of decisions, and what of it is for here.
Result tuning(const std::string& path);
// Links, optimizers, hooks and initializers: `what` is their key in the schema.
Result list_entries(const std::string& what);
Result describe_entry(const std::string& what, const std::string& name);

}  // namespace tool
