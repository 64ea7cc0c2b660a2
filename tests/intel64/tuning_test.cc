// autotune on intel64: what timing decided is kept, saved and replayed; without the key, and for
// another machine, a file of decisions changes nothing.
#include <catena/catena.hpp>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "support.h"

using namespace catena;
using namespace intel64_test;

namespace {

// A file that goes with the test.
struct File {
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("catena-tuning-" + std::to_string(reinterpret_cast<uintptr_t>(this))))
                               .string();
  ~File() { std::filesystem::remove(path); }
  std::string text() const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // All of `from` becomes `to`, and the last line fits again.
  void replace(const std::string& from, const std::string& to) const {
    std::string all = text();
    REQUIRE(all.find(from) != all.npos);
    for (size_t at = 0; (at = all.find(from, at)) != all.npos; at += to.size())
      all.replace(at, from.size(), to);
    const size_t end = all.rfind("end "), digits = all.rfind(' ');
    uint32_t crc = ~0u;
    for (const char c : all.substr(0, end)) {
      crc ^= static_cast<unsigned char>(c);
      for (int k = 0; k < 8; ++k) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    char last[16];
    std::snprintf(last, sizeof last, "%08x\n", ~crc);
    std::ofstream(path, std::ios::binary) << all.substr(0, digits + 1) << last;
  }
};

struct Run {
  int timed = 0, replayed = 0;
  std::string choices;
  Floats bits;  // y and the gradients
};

// side: of the images; with 94 there are no loops of ours.
Run run(bool autotune, const File* from, const File* to = nullptr, int threads = 1,
        int64_t side = 94, const char* winograd = "auto") {
  Run r;
  std::function<void(int, std::string_view, std::string_view)> log = [&](int, std::string_view,
                                                                         std::string_view text) {
    const size_t timed = text.find(", the fastest: "), replayed = text.find(", as decided before");
    r.timed += timed != text.npos;
    r.replayed += replayed != text.npos;
    const size_t end = std::min(timed, replayed);
    if (end != text.npos) r.choices += std::string(text.substr(0, end)) + "\n";
  };
  Context ctx(ContextOptions{
      .device = "intel64", .threads = threads, .log = &log, .log_level = CTN_LOG_DEBUG});
  if (from) ctx.load_tuning(from->path);
  const using_config scope("autotune", autotune), which("use_winograd", winograd);
  const Variable x = filled({4, 32, side, side}, 1), w = filled({32, 32, 3, 3}, 2);
  const Variable b = filled({32}, 3);
  Variable y = F::convolution_2d(x, w, b, {.pad = 1});
  y.set_grad(filled(y.shape(), 4));
  y.backward();
  for (const Variable& v : {y, x.grad(), w.grad(), b.grad()})
    for (const float f : v.array().to_vector<float>()) r.bits.push_back(f);
  if (to) ctx.save_tuning(to->path);
  return r;
}

bool times() {
  const Context ctx("intel64");
  if (ctx.device_name().starts_with("avx512")) return true;
  catena_test::skip("nothing is timed without AVX-512");
  return false;
}

}  // namespace

TEST_CASE("decisions are timed once and replayed") {
  if (!times()) return;
  const File file, again;
  const Run first = run(true, nullptr, &file);
  CHECK(first.timed == 3);
  const Run second = run(true, &file, &again);
  CHECK(second.timed == 0);
  CHECK(second.replayed == first.timed);
  CHECK(second.choices == first.choices);
  CHECK(second.bits == first.bits);
  CHECK(again.text() == file.text());
}

TEST_CASE("what a file says is followed, and only where autotune is on") {
  if (!times()) return;
  const File file;
  run(true, nullptr, &file);
  for (const char* choice : {"\twinograd, large parts\n", "\twinograd, many parts\n"})
    if (file.text().find(choice) != std::string::npos) file.replace(choice, "\tdirect\n");
  const Run direct = run(true, &file);
  CHECK(direct.timed == 0);
  CHECK(direct.bits == run(false, nullptr, nullptr, 1, 94, "never").bits);
  CHECK(run(false, &file).bits == run(false, nullptr).bits);
  file.replace("\tdirect\n", "\twinograd, many parts\n");
  const Run winograd = run(true, &file);
  const Run never = run(true, &file, nullptr, 1, 94, "never");
  CHECK(never.choices.empty());
  CHECK(never.bits == direct.bits);
  if (!has_winograd()) {
    if (winograd.timed > 0) {
      CHECK(winograd.bits == direct.bits);
      return catena_test::skip("this oneDNN has no Winograd kernels: such a choice is timed anew");
    }
  }
  CHECK(winograd.choices.find(": winograd") != std::string::npos);
  CHECK(winograd.choices.find(": direct") == std::string::npos);
  CHECK(winograd.bits != direct.bits);
}

TEST_CASE("our loops are one of the choices, but for gradients of filters") {
  if (!times()) return;
  const File file;
  CHECK(run(true, nullptr, &file, 1, 16).timed == 3);
  for (const char* choice : {"\twinograd, large parts\n", "\twinograd, many parts\n", "\tdirect\n"})
    if (file.text().find(choice) != std::string::npos) file.replace(choice, "\trows\n");
  const Run rows = run(true, &file, nullptr, 1, 16);
  CHECK(rows.timed == 1);
  CHECK(rows.replayed == 2);
  CHECK(rows.choices.find(": rows") != std::string::npos);
}

TEST_CASE("a gradient of more channels than filters is timed in its own bounds") {
  const Context ctx("intel64");
  const using_config scope("autotune", true);
  const Variable x = filled({1, 1024, 14, 14}, 1), w = filled({16, 1024, 3, 3}, 2);
  Variable y = F::convolution_2d(x, w, {.pad = 1});
  y.set_grad(filled(y.shape(), 3));
  CHECK_NOTHROW(y.backward());
  CHECK(x.grad().array().to_vector<float>().size() == 1024 * 14 * 14);
}

TEST_CASE("kernels that there is no memory to time are left out") {
  if (!times()) return;
  std::string log;
  std::function<void(int, std::string_view, std::string_view)> hook =
      [&log](int, std::string_view, std::string_view text) { log.append(text).append("\n"); };
  const auto has = [&](const char* part) { return log.find(part) != log.npos; };
  const auto runs = [&](uint64_t limit, bool tune) {
    log.clear();
    try {
      const Context ctx(ContextOptions{.device = "intel64",
                                       .threads = 1,
                                       .memory_limit = limit,
                                       .log = &hook,
                                       .log_level = CTN_LOG_DEBUG});
      const using_config scope("autotune", tune);
      F::convolution_2d(filled({4, 32, 64, 64}, 1), filled({32, 32, 3, 3}, 2), {.pad = 1});
      return true;
    } catch (const OutOfMemory&) {
      return false;
    }
  };
  bool one = false, all = false;
  for (uint64_t limit = 2 << 20; !has("the fastest") || has(" no memory"); limit += 1 << 19) {
    REQUIRE(limit < uint64_t{64} << 20);
    const bool can = runs(limit, false);
    CHECK(runs(limit, true) == can);
    one |= has("the fastest") && has(" no memory");
    all |= has("not timed: ");
  }
  CHECK(all);
  CHECK(one == has_winograd());  // whose scratch is the largest
}

TEST_CASE("decisions of another machine, oneDNN or number of threads are kept, not used") {
  if (!times()) return;
  const File file, merged;
  const Run first = run(true, nullptr, &file);
  const Run threads = run(true, &file, &merged, 2);
  CHECK(threads.timed == first.timed);
  CHECK(threads.replayed == 0);
  const Run both = run(true, &merged);
  CHECK(both.timed == 0);
  CHECK(both.replayed == first.timed);
  file.replace("; oneDNN ", "; oneDNN 0.");
  CHECK(run(true, &file).timed == first.timed);
}

TEST_CASE("a choice that nobody knows is timed anew") {
  if (!times()) return;
  const File file, after;
  const Run first = run(true, nullptr, &file);
  file.replace(" groups 1", " groups 1 ");  // no such call
  CHECK(run(true, &file).timed == first.timed);
  run(true, nullptr, &file);
  for (const char* choice :
       {"\twinograd, large parts\n", "\twinograd, many parts\n", "\tdirect\n", "\trows\n"})
    if (file.text().find(choice) != std::string::npos) file.replace(choice, "\tmagic\n");
  CHECK(run(true, &file, &after).timed == first.timed);
  CHECK(after.text().find("magic") == std::string::npos);
}

TEST_CASE("a damaged file is refused") {
  const File file;
  Context ctx("intel64");
  ctx.save_tuning(file.path);
  std::ofstream(file.path, std::ios::binary | std::ios::app) << "x\n";
  CHECK_THROWS_AS(ctx.load_tuning(file.path), const FormatError&);
}
