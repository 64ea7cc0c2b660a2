// Which kernels convolutions get on intel64 where nothing is timed: as the log says, by the shape.
#include <catena/catena.hpp>

#include <functional>
#include <map>
#include <set>
#include <string>

#include "support.h"

using namespace catena;
using namespace intel64_test;

namespace {

constexpr const char* kWinograd = "winograd, many parts";

using Call = Variable (*)(const Inputs& in);

Variable plain(const Inputs& in) { return F::convolution_2d(in[0], in[1]); }
Variable same(const Inputs& in) {
  return F::convolution_2d(in[0], in[1], {.pad = in[1].shape()[2] / 2});
}

struct Result {
  std::vector<Floats> arrays;                 // y, then the gradients of the inputs
  std::map<std::string, std::string> chosen;  // for each direction
};

Result run(const std::vector<Shape>& shapes, Call call, const char* device, int threads = 2,
           const char* winograd = "auto") {
  Result result;
  std::function<void(int, std::string_view, std::string_view)> log = [&](int, std::string_view,
                                                                         std::string_view text) {
    constexpr std::string_view kStart = "convolution ", kEnd = ", by its shape";
    if (!text.starts_with(kStart) || !text.ends_with(kEnd)) return;
    text.remove_prefix(kStart.size());
    text.remove_suffix(kEnd.size());
    const size_t choice = text.find(": ") + 2;
    result.chosen[std::string(text.substr(0, text.find(' ')))] = text.substr(choice);
  };
  const Context ctx(ContextOptions{
      .device = device, .threads = threads, .log = &log, .log_level = CTN_LOG_DEBUG});
  const using_config scope("use_winograd", winograd);
  const Inputs in = filled(shapes);
  Variable y = call(in);
  y.set_grad(filled(y.shape(), 99));
  y.backward();
  result.arrays.push_back(y.array().to_vector<float>());
  for (const Variable& x : in) result.arrays.push_back(x.grad().array().to_vector<float>());
  return result;
}

std::set<std::string> directions_by(const Result& r, std::string_view choice) {
  std::set<std::string> all;
  for (const auto& [direction, chosen] : r.chosen)
    if (chosen == choice) all.insert(direction);
  return all;
}

}  // namespace

TEST_CASE("Winograd's kernels are taken where they pay, unless use_winograd is never") {
  struct Taken {
    Shape x, w;
    Call call;
    std::set<std::string> by;
  };
  const std::set<std::string> all = {"data", "forward", "weights"}, nothing;
  const Taken table[] = {
      {{8, 32, 28, 28}, {64, 32, 3, 3}, same, all},
      {{4, 48, 30, 33}, {32, 48, 3, 3}, same, all},
      {{64, 32, 8, 8}, {32, 32, 3, 3}, same, all},
      {{1, 64, 28, 28}, {64, 64, 3, 3}, same, all},
      {{1, 64, 28, 28}, {128, 64, 3, 3}, same, {"forward", "weights"}},  // x: in narrow parts
      {{1, 256, 28, 28}, {64, 256, 3, 3}, same, {"data"}},
      {{3, 32, 28, 28}, {32, 32, 3, 3}, same, nothing},  // no four parts
      {{1, 32, 28, 28}, {32, 32, 3, 3}, same, nothing},
      {{4, 32, 26, 26}, {32, 32, 3, 3}, plain, all},
      {{1, 64, 14, 14}, {64, 64, 3, 3}, same, nothing},  // too few squares
      {{8, 64, 7, 7}, {64, 64, 3, 3}, same, nothing},
      {{64, 32, 5, 5}, {32, 32, 3, 3}, same, nothing},   // squares of which little is wanted
      {{8, 16, 28, 28}, {64, 16, 3, 3}, same, nothing},  // too few channels
      {{8, 40, 28, 28}, {64, 40, 3, 3}, same, nothing},  // half a block of channels
      {{8, 32, 28, 28}, {64, 32, 2, 2}, plain, nothing},
  };
  if (!has_winograd())
    return catena_test::skip("this oneDNN, or this processor, has no Winograd kernels");
  for (const Taken& t : table) {
    INFO(t.x[0], " x ", t.x[1], " x ", t.x[2], " x ", t.x[3], ", ", t.w[0], " filters");
    CHECK(directions_by(run({t.x, t.w}, t.call, "intel64"), kWinograd) == t.by);
    CHECK(directions_by(run({t.x, t.w}, t.call, "intel64", 2, "never"), kWinograd) == nothing);
  }
}

TEST_CASE("the gradient of one image of few channels is cut by filters, the same on any threads") {
  struct Cut {
    std::vector<Shape> shapes;
    Call call;
    int64_t channels;  // of x, or of what a deconvolution makes
    bool pays = true;
  };
  const auto transposed = [](const Inputs& in) {
    return F::deconvolution_2d(in[0], in[1], in[2], {.stride = 2, .pad = 1});
  };
  const Cut table[] = {
      {{{1, 16, 28, 28}, {32, 16, 5, 5}}, same, 16},
      {{{1, 16, 28, 28}, {64, 16, 5, 5}}, same, 16},  // in four parts
      {{{1, 16, 56, 56}, {64, 16, 3, 3}}, same, 16},
      {{{1, 24, 20, 30}, {80, 24, 5, 5}}, same, 24},  // a last part that is smaller
      {{{1, 144, 20, 30}, {144, 24, 4, 4}, {24}}, transposed, 24},
      {{{1, 8, 28, 28}, {64, 8, 5, 5}}, same, 8},
      {{{1, 32, 28, 28}, {32, 32, 5, 5}}, same, 32},
      {{{2, 16, 28, 28}, {32, 16, 5, 5}}, same, 16, false},              // each thread has an image
      {{{1, 16, 14, 14}, {32, 16, 5, 5}}, same, 16, false},              // small
      {{{1, 80, 20, 30}, {80, 24, 4, 4}, {24}}, transposed, 24, false},  // adding up takes longer
  };
  const int64_t block = block_of_channels();
  int cut = 0;
  for (const Cut& t : table) {
    const Shape &x = t.shapes[0], &w = t.shapes[1];
    INFO(x[0], " x ", x[1], " x ", x[2], " x ", x[3], ", W ", w[0], " x ", w[1], " x ", w[2]);
    const bool few = t.channels == block || t.channels % block != 0;
    if (t.channels < block) continue;  // the cpu's
    const Result ours = run(t.shapes, t.call, "intel64", 1), cpu = run(t.shapes, t.call, "cpu");
    CHECK(directions_by(ours, "direct, summed").count("data") == (few && t.pays ? 1 : 0));
    cut += few && t.pays;
    for (size_t k = 0; k < ours.arrays.size(); ++k) {
      INFO("array ", k);
      CHECK(distance(ours.arrays[k], cpu.arrays[k]) < 1e-5);
    }
    for (const int threads : {2, 3, 8})
      CHECK(run(t.shapes, t.call, "intel64", threads).arrays == ours.arrays);
  }
  CHECK(cut > 0);
}

TEST_CASE("Winograd's kernels are left out where a limit leaves no memory for their parts") {
  if (!has_winograd())
    return catena_test::skip("this oneDNN, or this processor, has no Winograd kernels");
  const auto value = [](uint64_t limit, uint64_t later = 0) {
    Context ctx(ContextOptions{.device = "intel64", .threads = 2, .memory_limit = limit});
    const Variable x = filled({8, 32, 28, 28}, 1), w = filled({32, 32, 3, 3}, 2);
    const auto y = [&] { return F::convolution_2d(x, w, {.pad = 1}).array().to_vector<float>(); };
    if (later) {
      y();
      check(ctn_memory_set_limit(ctx.get(), later));
    }
    return y();
  };
  CHECK(value(1 << 30) == value(0));
  CHECK(value(8 << 20) != value(0));
  CHECK(value(0, 8 << 20) == value(8 << 20));
}

TEST_CASE("fewer parts run at a time where a limit leaves no memory for all threads") {
  const auto value = [](uint64_t limit) {
    const Context ctx(ContextOptions{.device = "intel64", .threads = 16, .memory_limit = limit});
    const no_backprop_mode off;
    const Variable x = filled({16, 64, 56, 56}, 1), w = filled({64, 64, 3, 3}, 2);
    return F::convolution_2d(x, w, {.pad = 1}).array().to_vector<float>();
  };
  CHECK(value(128 << 20) == value(0));
}
