// catena tuning: decisions that were taken by timing, from a file.
#include "commands.h"
#include "table.h"

#include <catena/cpp/context.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace tool {

// The library reads it first: what it takes is whole, so lines may be shown as they are.
Result tuning(const std::string& path) {
  const std::string full = std::filesystem::absolute(path).string();
  catena::Context ctx(catena::ContextOptions{.device = "cpu", .threads = 1});
  ctx.load_tuning(full);
  std::ifstream in(full);
  std::string line, out;
  Table t(2);
  std::getline(in, line);  // what it is
  const auto flush = [&] {
    out += t.text();
    t = Table(2);
  };
  while (std::getline(in, line)) {
    const size_t tab = line.find('\t');
    if (tab != line.npos) {
      t.row({line.substr(0, tab), line.substr(tab + 1)});
    } else if (line.starts_with('[')) {
      flush();
      out += (out.empty() ? "" : "\n") + line.substr(1, line.size() - 2) + "\n";
    }
  }
  flush();
  return {out.empty() ? "nothing was decided\n" : out};
}

}  // namespace tool
