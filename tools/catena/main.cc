// catena: shows what this installation of the library has. The command line.
#include "commands.h"
#include "registry.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <string_view>
#include <vector>

namespace {

using tool::Result;
using Words = std::vector<std::string>;

constexpr const char* kUsage =
    "usage: catena COMMAND\n"
    "\n"
    "  info                  version, backends and their devices, and what is not loaded\n"
    "  ops [--all]           functions; with --all those too that others are made of\n"
    "  ops NAME              one function: inputs, attributes, expression, gradient, kernels\n"
    "  links [NAME]          links, or one of them: arguments\n"
    "  optimizers [NAME]     optimizers: hyperparameters, states, rule\n"
    "  hooks [NAME]          what an optimizer may do before or after its rule\n"
    "  initializers [NAME]   what parameters may be filled with\n"
    "  tuning FILE           what timing decided (autotune), as programs saved it\n"
    "  plugins               what was found, loaded and refused, and why\n"
    "  schema --json         everything that is registered, for programs\n"
    "  version               of the library\n"
    "\n"
    "The exit status is 1 if a plugin was refused, a name is unknown or no device can be used,\n"
    "2 if the command is wrong.\n";

// A command line that means nothing.
struct Wrong {
  std::string text;
};

constexpr std::array kCommands = {"info",    "ops",    "links",        "optimizers",
                                  "hooks",   "tuning", "initializers", "plugins",
                                  "version", "schema", "help"};

void expect(const Words& words, size_t most) {
  if (words.size() > most)
    throw Wrong{"'" + words[0] + "' takes " + (most == 1 ? "no argument" : "one argument at most") +
                ", here is '" + words[most] + "'"};
}

Result ops(const Words& words) {
  expect(words, 2);
  const bool all = words.size() == 2 && words[1] == "--all";
  return words.size() == 1 || all ? tool::list_ops(all) : tool::describe_op(words[1]);
}

Result entries(const Words& words) {
  expect(words, 2);
  return words.size() == 1 ? tool::list_entries(words[0])
                           : tool::describe_entry(words[0], words[1]);
}

Result schema(const Words& words) {
  if (words.size() != 2 || words[1] != "--json")
    throw Wrong{"'schema' has one form: catena schema --json"};
  return {tool::schema_text() + "\n"};
}

Result tuning(const Words& words) {
  if (words.size() != 2) throw Wrong{"'tuning' has one form: catena tuning FILE"};
  return tool::tuning(words[1]);
}

Result run(const Words& words) {
  if (words.empty()) throw Wrong{"a command is missing"};
  const std::string& command = words[0];
  if (command == "help" || command == "--help" || command == "-h") return {kUsage};
  if (std::find(kCommands.begin(), kCommands.end(), command) == kCommands.end() &&
      command != "--version")
    throw Wrong{"there is no command '" + command + "'"};
  if (command == "ops") return ops(words);
  if (command == "schema") return schema(words);
  if (command == "tuning") return tuning(words);
  if (command == "info" || command == "plugins" || command.ends_with("version")) {
    expect(words, 1);
    return command == "info"      ? tool::info()
           : command == "plugins" ? tool::plugins()
                                  : tool::version();
  }
  return entries(words);
}

}  // namespace

int main(int argc, char** argv) try {
  const Result result = run({argv + 1, argv + argc});
  const std::string& text = result.text;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout)) {
    std::perror("catena: standard output");
    return 1;
  }
  if (result.fault.empty()) return 0;
  std::fprintf(stderr, "catena: %s\n", result.fault.c_str());
  return 1;
} catch (const Wrong& wrong) {
  std::fprintf(stderr, "catena: %s\n\n%s", wrong.text.c_str(), kUsage);
  return 2;
} catch (const std::exception& e) {
  std::fprintf(stderr, "catena: %s\n", e.what());
  return 1;
}
