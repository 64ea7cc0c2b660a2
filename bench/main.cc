// catena-bench: the command line.
#include "bench.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

namespace bench {

double rounded(double value, int decimals) {
  const double scale = std::pow(10.0, decimals);
  return std::round(value * scale) / scale;
}

namespace {

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

constexpr const char* kUsage =
    R"(usage: catena-bench --workload W [--mode train|infer] [--backend B] [--batch N] [--iters N]
                    [--warmup N] [--threads N] [--dtype D] [--rounds N]
                    [--tf32] [--fresh | --captured]
       catena-bench ops    [--backend B] [--threads N]
       catena-bench convs  [--backend B] [--threads N]
       catena-bench limits [--threads N]

--workload  times steps of a model: %s
--mode      train unless given
--backend   cpu unless given
--batch     samples in a step; it and --iters, the steps that are timed, are the workload's own
            unless given
--warmup    steps before those that are timed, the first one included
--threads   1 unless given; 0: all
--dtype     float32 or float16, of weights and inputs; float16 is updated through float32 copies
--rounds    times them so often and prints a line each; from two on every round waits for a line on
            standard input, so that another program may have its turn between them
--tf32      products of float32 may be of TF32, where the device has that
--fresh     copies the inputs from host memory in every step
--captured  captures a step on the device, and times its replays
ops         time of a call and of its backward pass: chains of 1,000, then every function of one
            float array that needs no attributes; on a device that works behind the program's back
            until all of it is done
convs       floating-point operations per second of convolutions, forward and both gradients
limits      floating-point operations and bytes per second that this machine can do, for 1 to
            --threads threads
)";

int64_t number(const std::string& option, const std::string& text, int64_t least) {
  size_t used = 0;
  int64_t n = 0;
  try {
    n = std::stoll(text, &used);
  } catch (const std::exception&) {
    used = std::string::npos;
  }
  if (used != text.size() || n < least)
    throw UsageError(option + " takes a number from " + std::to_string(least) + ", not '" + text +
                     "'");
  return n;
}

// An option that takes a value.
void set(Options& o, const std::string& name, const std::string& value) {
  if (name == "--workload") {
    if (!is_workload(value))
      throw UsageError("no workload '" + value + "'; there are " + workload_names());
    o.workload = value;
  } else if (name == "--mode") {
    if (value != "train" && value != "infer")
      throw UsageError("--mode is train or infer, not '" + value + "'");
    o.mode = value;
  } else if (name == "--backend") {
    o.backend = value;
  } else if (name == "--batch") {
    o.batch = number(name, value, 1);
  } else if (name == "--iters") {
    o.iters = number(name, value, 1);
  } else if (name == "--warmup") {
    o.warmup = number(name, value, 1);
  } else if (name == "--threads") {
    o.threads = static_cast<int>(number(name, value, 0));
  } else if (name == "--dtype") {
    if (value != "float32" && value != "float16")
      throw UsageError("--dtype is float32 or float16, not '" + value + "'");
    o.dtype = value;
  } else if (name == "--rounds") {
    o.rounds = static_cast<int>(number(name, value, 1));
  } else {
    throw UsageError("unknown option " + name);
  }
}

Options parse(int argc, char** argv, int first) {
  Options o;
  for (int i = first; i < argc; ++i) {
    const std::string name = argv[i];
    bool* const flag = name == "--fresh"      ? &o.fresh
                       : name == "--captured" ? &o.captured
                       : name == "--tf32"     ? &o.tf32
                                              : nullptr;
    if (flag) {
      *flag = true;
      continue;
    }
    if (i + 1 == argc) throw UsageError("option " + name + " is unknown or lacks its value");
    set(o, name, argv[++i]);
  }
  if (o.fresh && o.captured) throw UsageError("--fresh and --captured exclude each other");
  return o;
}

void run(int argc, char** argv) {
  const std::string word = argc > 1 ? argv[1] : "";
  const auto asks = [](const std::string& a) { return a == "--help" || a == "-h"; };
  if (argc > 1 && std::any_of(argv + 1, argv + argc, asks)) {
    std::printf(kUsage, workload_names().c_str());
  } else if (word == "ops") {
    run_ops(parse(argc, argv, 2));
  } else if (word == "convs") {
    run_convs(parse(argc, argv, 2));
  } else if (word == "limits") {
    run_limits(parse(argc, argv, 2));
  } else {
    const Options o = parse(argc, argv, 1);
    if (o.workload.empty()) throw UsageError("say --workload, ops, convs or limits");
    run_workload(o);
  }
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) try {
  bench::run(argc, argv);
  return 0;
} catch (const bench::UsageError& e) {
  std::fprintf(stderr, "catena-bench: %s\n\n", e.what());
  std::fprintf(stderr, bench::kUsage, bench::workload_names().c_str());
  return 2;
} catch (const std::exception& e) {
  std::fprintf(stderr, "catena-bench: %s\n", e.what());
  return 1;
}
