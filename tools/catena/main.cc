// catena: shows what this installation of the library has. The command line.
#include "commands.h"
#include "registry.h"

#include <cstdio>
#include <exception>
#include <optional>
#include <vector>

namespace {

constexpr const char* kUsage =
    "usage: catena COMMAND\n"
    "\n"
    "  info           version, backends and their devices\n"
    "  ops            all functions\n"
    "  ops NAME       one function: inputs, attributes, expression, gradient, kernels\n"
    "  plugins        what was found, loaded and refused, and why\n"
    "  schema --json  everything that is registered, for programs\n";

// What a command prints; nothing where there is no such command.
std::optional<std::string> output(const std::vector<std::string>& words) {
  const std::string command = words.empty() ? "" : words[0];
  const size_t n = words.size();
  if (command == "help" || command == "--help" || command == "-h") return kUsage;
  if (command == "info" && n == 1) return tool::info();
  if (command == "ops" && n == 1) return tool::list_ops();
  if (command == "ops" && n == 2) return tool::describe_op(words[1]);
  if (command == "plugins" && n == 1) return tool::plugins();
  if (command == "schema" && n == 2 && words[1] == "--json") return tool::schema_text() + "\n";
  return std::nullopt;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::optional<std::string> text = output({argv + 1, argv + argc});
  if (!text) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  if (std::fwrite(text->data(), 1, text->size(), stdout) != text->size() || std::fflush(stdout)) {
    std::perror("catena: standard output");
    return 1;
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "catena: %s\n", e.what());
  return 1;
}
