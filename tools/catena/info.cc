// catena info and catena plugins: what is installed, what it runs on, and what is wrong with it.
#include "commands.h"
#include "describe.h"
#include "table.h"

#include <catena/cpp/context.hpp>

#include <cstdio>

namespace tool {
namespace {

using catena::Context;

std::string version_text(uint32_t v) {
  return std::to_string(v >> 16) + "." + std::to_string(v >> 8 & 255) + "." +
         std::to_string(v & 255);
}

std::string abi(uint32_t v) { return std::to_string(v >> 16) + "." + std::to_string(v & 65535); }

std::string head() {
  return "catena " + version_text(ctn_version()) + ", ABI " + abi(ctn_abi_version()) + "\n";
}

std::string mebibytes(uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

struct Devices {
  Table table{2};
  size_t usable = 0;
  std::string faults;  // a line for each backend that has no device
};

// One row for a device, or false where the backend has no such one.
bool add_device(Devices& all, const std::string& backend, int index) {
  const std::string device = backend + ":" + std::to_string(index);
  try {
    const Context ctx(device);
    const ctn_memory_stats memory = ctx.memory();
    all.table.row({device, ctx.device_name(), std::to_string(ctx.threads()), mebibytes(memory.held),
                   memory.limit ? mebibytes(memory.limit) : "none"});
    ++all.usable;
  } catch (const catena::Error& e) {
    if (index == 0) all.faults += "  " + device + ": " + e.what() + "\n";
    return false;
  }
  return true;
}

Devices devices(const Json& backends) {
  Devices all;
  all.table.row({"device", "is", "threads", "memory held", "limit"});
  for (const Json& b : backends)
    for (int i = 0; add_device(all, b["name"], i); ++i) continue;
  return all;
}

std::string backend_table(const Json& backends) {
  if (backends.empty()) return "  none\n";
  Table t(2);
  t.row({"backend", "plugin", "priority", "parent", "flags"});
  for (const Json& b : backends) {
    const std::string parent = b["parent"];
    t.row({b["name"], b["plugin"], b["priority"].dump(), parent.empty() ? "none" : parent,
           joined(b["flags"])});
  }
  return t.text();
}

std::string counts(const Json& all) {
  Table t(2);
  for (const char* what : {"ops", "links", "optimizers", "hooks", "initializers", "backends"}) {
    size_t internal = 0;
    for (const Json& e : all[what]) internal += e.contains("flags") && has(e["flags"], "internal");
    t.row({what, std::to_string(all[what].size()),
           internal ? std::to_string(internal) + " of them internal" : ""});
  }
  return t.text();
}

// Everything but plugins that are loaded, and the libraries of manifests.
std::string not_loaded(const std::vector<Finding>& all) {
  Table t(2);
  for (const Finding& f : all)
    if (f.state != "loaded" && !f.path.ends_with(".so"))
      t.row({f.path, (f.state.empty() ? "skipped" : f.state) + ": " + f.text});
  return t.text();
}

}  // namespace

Result version() { return {head()}; }

Result info() {
  const Json all = schema();
  const std::vector<Finding> found = findings();
  const Devices usable = devices(all["backends"]);
  Result r{head() + section("registered", counts(all)) +
           section("backends", backend_table(all["backends"])) +
           section("devices", usable.usable ? usable.table.text() : "  none\n") +
           section("cannot be used", usable.faults) + section("not loaded", not_loaded(found))};
  r.fault = refusals(found);
  if (usable.usable == 0)
    r.fault = "no device can be used" + (r.fault.empty() ? "" : "; " + r.fault);
  return r;
}

Result plugins() {
  Table t;
  const std::vector<Finding> found = findings();
  for (const Finding& f : found) t.row({f.state.empty() ? "skipped" : f.state, f.path, f.text});
  const std::string out = t.text();
  return {out.empty() ? "no plugin was found\n" : out, refusals(found)};
}

}  // namespace tool
