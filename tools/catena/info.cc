// catena info and catena plugins: what is installed and what it runs on.
#include "commands.h"
#include "registry.h"
#include "table.h"

#include <catena/cpp/context.hpp>

#include <cstdio>

namespace tool {
namespace {

using catena::Context;

std::string version(uint32_t v) {
  return std::to_string(v >> 16) + "." + std::to_string(v >> 8 & 255) + "." +
         std::to_string(v & 255);
}

std::string abi(uint32_t v) { return std::to_string(v >> 16) + "." + std::to_string(v & 65535); }

std::string mebibytes(uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

// One row for a device, or false where the backend has no such one.
bool device_row(Table& table, const std::string& backend, int index) {
  const std::string device = backend + ":" + std::to_string(index);
  try {
    const Context ctx(device);
    const ctn_memory_stats memory = ctx.memory();
    table.row({device, ctx.device_name(), std::to_string(ctx.threads()), mebibytes(memory.held),
               memory.limit ? mebibytes(memory.limit) : "none"});
  } catch (const catena::Error& e) {
    if (index == 0) table.row({device, e.what()});
    return false;
  }
  return true;
}

std::string devices(const Json& backends) {
  Table t(2);
  t.row({"device", "is", "threads", "memory held", "limit"});
  for (const Json& b : backends)
    for (int i = 0; device_row(t, b["name"], i); ++i) continue;
  return t.text();
}

std::string backend_table(const Json& backends) {
  Table t(2);
  t.row({"backend", "plugin", "priority", "parent", "flags"});
  for (const Json& b : backends) {
    std::string flags;
    for (const Json& f : b["flags"]) flags += (flags.empty() ? "" : ", ") + f.get<std::string>();
    const std::string parent = b["parent"];
    t.row({b["name"], b["plugin"], b["priority"].dump(), parent.empty() ? "none" : parent, flags});
  }
  return t.text();
}

}  // namespace

std::string info() {
  const Json all = schema();
  std::string out = "catena " + version(ctn_version()) + ", ABI " + abi(ctn_abi_version()) + "\n";
  out += "\nregistered\n";
  Table counts(2);
  for (const char* what : {"ops", "links", "optimizers", "hooks", "initializers", "backends"})
    counts.row({what, std::to_string(all[what].size())});
  return out + counts.text() + "\nbackends\n" + backend_table(all["backends"]) + "\ndevices\n" +
         devices(all["backends"]);
}

std::string plugins() {
  Table t;
  for (const Finding& f : findings())
    t.row({f.state.empty() ? "skipped" : f.state, f.path, f.text});
  const std::string out = t.text();
  return out.empty() ? "no plugin was found\n" : out;
}

}  // namespace tool
