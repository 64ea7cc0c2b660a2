// catena-golden DIR [--backend B] [--kind K] [--name GLOB] [--if-present] [--verbose]: runs the
// cases of a folder in the golden format (DIR/index.json and archives) through the C interface.
// Prints each failure and each reason for a skip, then "N passed, N failed, N skipped". With
// --if-present a backend that cannot be had skips all of them; otherwise it is an error.
#include <fnmatch.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>

#include "case.h"

namespace {

using golden::Draws;
using golden::Json;
using golden::Run;

// The context's random numbers: what the case recorded.
ctn_status draw(void* user, int32_t kind, void* dst, int64_t n) {
  auto& draws = *static_cast<Draws*>(user);
  for (int64_t i = 0; i < n; ++i) {
    if (!draws.recorded) {
      draws.state = draws.state * 6364136223846793005u + 1442695040888963407u;
      static_cast<double*>(dst)[i] = static_cast<double>(draws.state >> 11) * 0x1p-53;
      continue;
    }
    if (draws.left.empty()) return CTN_ENOTFOUND;
    auto& [recorded, values] = draws.left.front();
    if (recorded != kind) return CTN_EINVAL;
    static_cast<double*>(dst)[i] = values.at(draws.used++);
    if (draws.used < values.size()) continue;
    draws.left.pop_front();
    draws.used = 0;
  }
  return CTN_OK;
}

struct Options {
  std::string dir, backend = "cpu", kind = "*", name = "*";
  bool verbose = false, if_present = false;
};

bool parse(int argc, char** argv, Options& o) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view a = argv[i];
    std::string* to = a == "--backend" ? &o.backend
                      : a == "--kind"  ? &o.kind
                      : a == "--name"  ? &o.name
                                       : nullptr;
    if (a == "--verbose")
      o.verbose = true;
    else if (a == "--if-present")
      o.if_present = true;
    else if (to && i + 1 < argc)
      *to = argv[++i];
    else if (!to && a[0] != '-' && o.dir.empty())
      o.dir = a;
    else
      return false;
  }
  return !o.dir.empty();
}

struct Counts {
  int passed = 0, failed = 0, skipped = 0;
  std::map<std::string, int> reasons;
};

bool is_asked_for(const Json& c, const Options& o) {
  const std::string kind = c.at("kind"), name = c.at("name");
  return !fnmatch(o.kind.c_str(), kind.c_str(), 0) && !fnmatch(o.name.c_str(), name.c_str(), 0);
}

void run_case(Run& run, const Json& c, Counts& counts, bool verbose) {
  const std::string kind = c.at("kind");
  try {
    if (kind == "function")
      golden::run_function(run, c);
    else if (kind == "link")
      golden::run_link(run, c);
    else if (kind == "optimizer")
      golden::run_optimizer(run, c);
    else if (kind == "initializer")
      golden::run_initializer(run, c);
    else
      throw golden::Skip("kind '" + kind + "' is not read by this runner");
    ++counts.passed;
    if (verbose) std::printf("passed  %s\n", c.at("id").get<std::string>().c_str());
  } catch (const golden::Skip& s) {
    ++counts.skipped;
    ++counts.reasons[s.what()];
  } catch (const std::exception& e) {
    ++counts.failed;
    std::printf("FAILED  %s  %s  %s\n        %s\n", c.at("id").get<std::string>().c_str(),
                c.value("call", c.value("construct", "")).c_str(), c.value("dtype", "").c_str(),
                e.what());
  }
}

}  // namespace

int main(int argc, char** argv) try {
  Options o;
  if (!parse(argc, argv, o)) {
    std::fprintf(stderr,
                 "usage: catena-golden DIR [--backend B] [--kind K] [--name GLOB] "
                 "[--if-present] [--verbose]\n");
    return 2;
  }
  Run run;
  run.dir = o.dir + "/";
  std::ifstream file(run.dir + "index.json");
  if (!file) throw std::runtime_error("cannot read " + run.dir + "index.json");
  const Json index = Json::parse(file);
  std::vector<const Json*> cases;
  for (const Json& c : index.at("cases"))
    if (is_asked_for(c, o)) cases.push_back(&c);
  if (cases.empty()) throw std::runtime_error("no case is of this kind and name");
  ctn_context_options options{};
  options.size = sizeof options;
  options.device = golden::str(o.backend);
  ctn_random recorded{};
  recorded.size = sizeof recorded;
  recorded.user = &run.draws;
  recorded.draw = draw;
  options.random = &recorded;
  golden::Context ctx;
  const ctn_status made = ctn_context_create(&options, ctx.out());
  if (made != CTN_OK && o.if_present) {
    std::printf("skipped: %s: %s\n0 passed, 0 failed, %zu skipped\n", o.backend.c_str(),
                ctn_error_message(), cases.size());
    return 0;
  }
  golden::check(made, "context");
  run.ctx = ctx.get();
  ctn_str text{};
  golden::check(ctn_schema_json(&text), "schema");
  run.schema = Json::parse(golden::text(text));
  Counts counts;
  for (const Json* c : cases) run_case(run, *c, counts, o.verbose);
  for (const auto& [reason, n] : counts.reasons) std::printf("skipped %d: %s\n", n, reason.c_str());
  std::printf("%d passed, %d failed, %d skipped\n", counts.passed, counts.failed, counts.skipped);
  return counts.failed ? 1 : 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "catena-golden: %s\n", e.what());
  return 2;
}
