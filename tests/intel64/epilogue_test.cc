// Convolutions that take up what follows them, where no graph is recorded: values beside those of
// the cpu backend, which calls were taken up, equal bits on any number of threads.
#include <functional>
#include <string>

#include "support.h"

using namespace catena;
using namespace intel64_test;

namespace {

struct Row {
  const char* name;
  std::vector<Shape> shapes;
  Variable (*call)(const Inputs& in);
  int followers;         // calls that were taken up
  bool squares = false;  // Winograd's kernels are taken
};

Variable conv(const Inputs& in) {
  return F::convolution_2d(in_blocks(in[0]), in[1], in[2], {.pad = 1});
}
Variable norm(Input x, const Inputs& in, size_t k = 3) {
  return F::fixed_batch_normalization(std::move(x), in[k], in[k + 1], in[k + 2], in[k + 3],
                                      {.eps = 1});
}

const std::vector<Shape> kNorm = {{5, 32, 12, 14}, {48, 32, 3, 3}, {48}, {48}, {48}, {48}, {48},
                                  {5, 48, 12, 14}};

const std::vector<Shape> kTiles = {{5, 32, 12, 14}, {64, 32, 3, 3}, {64}, {64}, {64}, {64}, {64},
                                   {5, 64, 12, 14}};

const std::vector<Shape> kSquares = {{8, 32, 28, 28}, {64, 32, 3, 3}, {64}, {64}, {64}, {64}, {64},
                                     {8, 64, 28, 28}};

const Row kRows[] = {
    {"tiles, relu", kTiles, [](const Inputs& in) { return F::relu(conv(in)); }, 1},
    {"tiles, normalization", kTiles, [](const Inputs& in) { return norm(conv(in), in); }, 1},
    {"tiles, a sum", kTiles, [](const Inputs& in) { return conv(in) + in[7]; }, 1},
    {"tiles, normalization, a sum, relu", kTiles,
     [](const Inputs& in) { return F::relu(norm(conv(in), in) + in[7]); }, 3},
    {"small images, normalization, a sum, relu",
     {{8, 32, 3, 5}, {64, 32, 3, 3}, {64}, {64}, {64}, {64}, {64}, {8, 64, 3, 5}},
     [](const Inputs& in) { return F::relu(norm(conv(in), in) + in[7]); },
     3},
    {"tiles, no bias, relu", kTiles,
     [](const Inputs& in) {
       return F::relu(F::convolution_2d(in_blocks(in[0]), in[1], {.pad = 1}));
     },
     1},
    {"relu",
     {{3, 32, 12, 14}, {48, 32, 3, 3}, {48}},
     [](const Inputs& in) { return F::relu(conv(in)); },
     1},
    {"relu of a small first layer",
     {{4, 3, 20, 20}, {16, 3, 7, 7}, {16}},
     [](const Inputs& in) {
       return F::relu(F::convolution_2d(in[0], in[1], in[2], {.stride = 2, .pad = 3}));
     },
     1},
    {"normalization", kNorm, [](const Inputs& in) { return norm(conv(in), in); }, 1},
    {"normalization, relu", kNorm, [](const Inputs& in) { return F::relu(norm(conv(in), in)); }, 2},
    {"normalization, a sum, relu", kNorm,
     [](const Inputs& in) { return F::relu(norm(conv(in), in) + in[7]); }, 3},
    {"a sum the other way round, in blocks", kNorm,
     [](const Inputs& in) {
       const Variable other = in_blocks(in[7]);
       return in_blocks(F::relu(other + norm(conv(in), in))) + other;
     },
     4},
    {"two convolutions and their sum", kNorm,
     [](const Inputs& in) {
       Variable a = norm(conv(in), in);
       return F::relu(norm(conv(in), in) + std::move(a));
     },
     4},
    {"no bias, one image, parts of filters",
     {{1, 64, 20, 20}, {80, 64, 3, 3}, {80}, {80}, {80}, {80}, {1, 80, 20, 20}},
     [](const Inputs& in) {
       Variable y = F::convolution_2d(in_blocks(in[0]), in[1], {.pad = 1});
       return F::relu(norm(std::move(y), in, 2) + in[6]);
     },
     3},
    {"groups",
     {{2, 64, 9, 9}, {32, 32, 3, 3}, {32}, {32}, {32}, {32}, {32}},
     [](const Inputs& in) {
       return F::relu(norm(F::convolution_2d(in[0], in[1], in[2], {.pad = 1, .groups = 2}), in));
     },
     2},
    {"a transposed addend",
     {{5, 32, 14, 12}, {48, 32, 3, 3}, {48}, {5, 48, 12, 14}},
     [](const Inputs& in) {
       const Variable view = F::transpose(in[3], {.axes = {0, 1, 3, 2}});
       return F::relu(conv(in) + view);
     },
     2},
    {"a broadcast addend",
     {{5, 32, 12, 14}, {48, 32, 3, 3}, {48}, {1, 48, 1, 1}},
     [](const Inputs& in) {
       const Variable wide = F::broadcast_to(in[3], Value({5, 48, 12, 14}));
       return conv(in) + wide;
     },
     1},
    {"squares, relu", kSquares, [](const Inputs& in) { return F::relu(conv(in)); }, 1, true},
    {"squares, normalization", kSquares, [](const Inputs& in) { return norm(conv(in), in); }, 1,
     true},
    {"squares, a sum", kSquares, [](const Inputs& in) { return conv(in) + in[7]; }, 1, true},
    {"squares, normalization, a sum, relu", kSquares,
     [](const Inputs& in) { return F::relu(norm(conv(in), in) + in[7]); }, 3, true},
    {"squares of one image, normalization, a sum, relu",
     {{1, 64, 28, 28}, {64, 64, 3, 3}, {64}, {64}, {64}, {64}, {64}, {1, 64, 28, 28}},
     [](const Inputs& in) { return F::relu(norm(conv(in), in) + in[7]); },
     3,
     true},
    {"what comes after relu stays on its own", kNorm,
     [](const Inputs& in) { return F::relu(conv(in)) + in[7]; }, 1},
    {"another activation stays on its own", kNorm,
     [](const Inputs& in) { return F::tanh(norm(conv(in), in)); }, 1},
    {"one normalization, not two", kNorm,
     [](const Inputs& in) { return norm(norm(conv(in), in), in); }, 1},
};

struct Result {
  Floats y;
  int followers = 0;
  bool squares = false;
};

Result run(const Row& row, const char* device, int threads = 2) {
  Result result;
  std::function<void(int, std::string_view, std::string_view)> log = [&](int, std::string_view,
                                                                         std::string_view text) {
    if (text.ends_with(": follows convolution_2d")) ++result.followers;
    if (text.ends_with(": winograd, many parts, by its shape")) result.squares = true;
  };
  const Context ctx(ContextOptions{
      .device = device, .threads = threads, .log = &log, .log_level = CTN_LOG_DEBUG});
  const no_backprop_mode off;
  const Inputs in = filled(row.shapes);
  result.y = row.call(in).array().to_vector<float>();
  CHECK(row.call(in).array().to_vector<float>() == result.y);  // with filters that were kept
  result.followers /= 2;
  return result;
}

}  // namespace

TEST_CASE("convolutions that take up what follows give what the cpu backend gives") {
  for (const Row& row : kRows) {
    INFO(std::string(row.name));
    const Result ours = run(row, "intel64");
    CHECK(distance(ours.y, run(row, "cpu").y) < 1e-5);
    CHECK(ours.followers == row.followers);
    CHECK(ours.squares == (row.squares && has_winograd()));
    for (const int threads : {1, 3, 8}) CHECK(run(row, "intel64", threads).y == ours.y);
  }
}

TEST_CASE("use_winograd may change from call to call") {
  const Context ctx("intel64");
  const no_backprop_mode off;
  const Inputs in = filled(kSquares);
  const auto value = [&](const char* winograd) {
    const using_config scope("use_winograd", winograd);
    return F::relu(norm(conv(in), in)).array().to_vector<float>();
  };
  const Floats by_squares = value("auto"), direct = value("never");
  CHECK((by_squares != direct) == has_winograd());
  CHECK(distance(by_squares, direct) < 1e-5);
  CHECK(value("auto") == by_squares);
  CHECK(value("never") == direct);
}

TEST_CASE("filters that are seen in two shapes are two") {
  const Context ctx("intel64"), cpu("cpu");
  const auto run = [](const Context& on) {
    on.make_current();
    const no_backprop_mode off;
    const Array w = Array::from(numbers({32, 16, 3, 3}, 1), {32, 16, 3, 3});
    const Variable x = filled({3, 16, 12, 14}, 0), wide = filled({3, 48, 12, 14}, 2);
    const Variable ones(Array::full({32}, 1)), zeros(Array::full({32}, 0));
    const auto value = [&](const Variable& in, const Array& filters) {
      Variable y = F::convolution_2d(in, Variable(filters), {.pad = {1, 0}});
      y = F::fixed_batch_normalization(std::move(y), ones, zeros, zeros, ones);
      return F::relu(std::move(y)).array().to_vector<float>();
    };
    std::vector<Floats> all;
    for (int round = 0; round < 2; ++round) {
      all.push_back(value(x, w));
      all.push_back(value(wide, w.reshape({32, 48, 3, 1})));
    }
    return all;
  };
  const auto ours = run(ctx), theirs = run(cpu);
  for (size_t k = 0; k < ours.size(); ++k) CHECK(distance(ours[k], theirs[k]) < 1e-5);
}

TEST_CASE("kept filters follow what they are made of") {
  const Context ctx("intel64");
  const no_backprop_mode off;
  Inputs in = filled(kNorm);
  const auto value = [&] { return F::relu(norm(conv(in), in)).array().to_vector<float>(); };
  const Floats first = value();
  for (const size_t k : {1, 2, 3, 4, 5, 6}) {  // the filters, the bias, the statistics
    INFO(k);
    const Array kept = in[k].array();
    in[k] = Variable(Array::full(kept.shape(), 0.25));
    const Floats changed = value();
    CHECK(changed != first);
    in[k] = Variable(kept);
    CHECK(value() == first);
    Array written = kept;  // in place
    const Floats before = written.to_vector<float>();
    written.fill(0.25);
    CHECK(value() == changed);
    written.assign(Array::from(before, kept.shape()));
    CHECK(value() == first);
  }
}
