// Trains a small convnet on Fashion-MNIST, draws the loss curve, saves the model, loads it into a
// fresh one and classifies ten test images with that.
#include <catena/catena.hpp>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <random>

#include "idx.h"
#include "plot.h"
#include "progress.h"

using namespace catena;

struct Convnet : Chain {
  L::Convolution2D conv1 = child("conv1", L::Convolution2D(1, 16, 3, {.pad = 1}));
  L::Convolution2D conv2 = child("conv2", L::Convolution2D(16, 32, 3, {.pad = 1}));
  L::Linear fc1 = child("fc1", L::Linear(none, 128));
  L::Linear fc2 = child("fc2", L::Linear(128, 10));

  Variable operator()(const Variable& x) const {
    Variable h = F::max_pooling_2d(F::relu(conv1(x)), 2);
    h = F::max_pooling_2d(F::relu(conv2(h)), 2);
    h = F::dropout(F::relu(fc1(h)), {.ratio = 0.3});
    return fc2(h);
  }
};

struct Options {
  std::string backend = "cpu", out = ".", data = "/usr/share/datasets/fashion-mnist";
  int epochs = 8, threads = 0;
};

struct Batch {
  Variable x, t;
};

Batch batch_of(const Dataset& d, const std::vector<int64_t>& order, int64_t begin, int64_t size) {
  const int64_t n = std::min(size, d.count - begin);
  std::vector<float> x(static_cast<size_t>(n * kPixels));
  std::vector<int32_t> t(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    const int64_t k = order[static_cast<size_t>(begin + i)];
    std::memcpy(&x[static_cast<size_t>(i * kPixels)], &d.images[static_cast<size_t>(k * kPixels)],
                kPixels * sizeof(float));
    t[static_cast<size_t>(i)] = d.labels[static_cast<size_t>(k)];
  }
  return {Variable(Array::from(x, {n, 1, 28, 28}), false), Variable(Array::from(t, {n}), false)};
}

std::vector<int64_t> in_order(const Dataset& d) {
  std::vector<int64_t> order(static_cast<size_t>(d.count));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

struct Score {
  double loss = 0, accuracy = 0;
};

Score evaluate(const Convnet& model, const Dataset& d) {
  const using_config test("train", false);
  const no_backprop_mode no_graph;
  const std::vector<int64_t> order = in_order(d);
  Score sum;
  for (int64_t i = 0; i < d.count; i += 500) {
    const Batch b = batch_of(d, order, i, 500);
    const Variable y = model(b.x);
    const double n = static_cast<double>(b.t.size());
    sum.loss += n * F::softmax_cross_entropy(y, b.t).item();
    sum.accuracy += n * F::accuracy(y, b.t).item();
  }
  return {sum.loss / static_cast<double>(d.count), sum.accuracy / static_cast<double>(d.count)};
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<EpochRow> train(Convnet& model, const Dataset& data, const Dataset& test, int epochs) {
  constexpr int64_t kBatch = 100;
  optimizers::Adam optimizer;
  optimizer.setup(model);
  std::mt19937 shuffle(1);
  std::vector<int64_t> order = in_order(data);
  std::vector<EpochRow> rows;
  Progress progress(epochs);
  for (int epoch = 1; epoch <= epochs; ++epoch) {
    const auto start = std::chrono::steady_clock::now();
    if (epoch == epochs) optimizer.set_hyper("alpha", optimizer.hyper("alpha") / 10);
    std::shuffle(order.begin(), order.end(), shuffle);
    Score sum;
    for (int64_t i = 0; i < data.count; i += kBatch) {
      const Batch b = batch_of(data, order, i, kBatch);
      const Variable y = model(b.x);
      const Variable loss = F::softmax_cross_entropy(y, b.t);
      model.cleargrads();
      loss.backward();
      optimizer.update();
      sum.loss += loss.item();
      sum.accuracy += F::accuracy(y, b.t).item();
      progress.bar(epoch, i / kBatch + 1, data.count / kBatch, loss.item());
    }
    const int64_t steps = (data.count + kBatch - 1) / kBatch;
    const auto batches = static_cast<double>(steps);
    const Score score = evaluate(model, test);
    rows.push_back({epoch, sum.loss / batches, sum.accuracy / batches, score.loss, score.accuracy,
                    seconds_since(start)});
    progress.row(rows.back());
  }
  return rows;
}

void draw(const std::vector<EpochRow>& rows, const std::string& path) {
  Curve training{"training", 0.12, 0.47, 0.71, {}, {}}, test{"validation", 0.9, 0.45, 0.1, {}, {}};
  for (const EpochRow& r : rows) {
    training.x.push_back(r.epoch);
    training.y.push_back(r.loss);
    test.x.push_back(r.epoch);
    test.y.push_back(r.validation_loss);
  }
  Plot plot("Fashion-MNIST convnet", "epoch", "softmax cross entropy");
  plot.add(training);
  plot.add(test);
  plot.save(path);
}

void classify(const Convnet& model, const Dataset& d) {
  static const char* const kNames[] = {"T-shirt", "trousers", "pullover", "dress", "coat",
                                       "sandal",  "shirt",    "sneaker",  "bag",   "boot"};
  const using_config test("train", false);
  const no_backprop_mode no_graph;
  const Batch b = batch_of(d, in_order(d), 0, 10);
  const std::vector<float> p = F::softmax(model(b.x)).array().to_vector<float>();
  for (size_t i = 0; i < 10; ++i) {
    const float* row = &p[i * 10];
    const auto best = static_cast<size_t>(std::max_element(row, row + 10) - row);
    std::printf("test image %zu: %-8s %5.1f %%   (is %s)\n", i, kNames[best],
                100 * static_cast<double>(row[best]), kNames[static_cast<size_t>(d.labels[i])]);
  }
}

constexpr const char* kUsage =
    "usage: fashion_mnist [OPTION VALUE]...\n"
    "\n"
    "  --backend DEVICE  cpu, intel64, cuda:0, auto (cpu)\n"
    "  --epochs N        times through the training images (8)\n"
    "  --threads N       that work at once; 0: all CPUs (0)\n"
    "  --data FOLDER     of the data set (/usr/share/datasets/fashion-mnist)\n"
    "  --out FOLDER      where loss.png and model.npz go (the current one)\n";

int number(const std::string& key, const std::string& text) {
  int n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size())
    throw std::runtime_error(key + " takes a number, not '" + text + "'");
  return n;
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; i += 2) {
    const std::string key = argv[i];
    if (key == "--help" || key == "-h") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    }
    if (i + 1 >= argc)
      throw std::runtime_error("option " + key +
                               " is unknown or lacks its value; --help lists all");
    const std::string value = argv[i + 1];
    if (key == "--backend")
      o.backend = value;
    else if (key == "--out")
      o.out = value;
    else if (key == "--data")
      o.data = value;
    else if (key == "--epochs")
      o.epochs = number(key, value);
    else if (key == "--threads")
      o.threads = number(key, value);
    else
      throw std::runtime_error("unknown option " + key + "; --help lists all");
  }
  if (o.epochs < 1) throw std::runtime_error("--epochs must be at least 1");
  return o;
}

int main(int argc, char** argv) try {
  const Options o = parse(argc, argv);
  const Context ctx(ContextOptions{.device = o.backend, .threads = o.threads, .seed = 1});
  const Dataset data = read_dataset(o.data, "train"), test = read_dataset(o.data, "t10k");
  std::printf("%ld training and %ld test images of 28x28\n", static_cast<long>(data.count),
              static_cast<long>(test.count));
  std::filesystem::create_directories(o.out);  // before the work, not after it
  Convnet model;
  const auto start = std::chrono::steady_clock::now();
  const std::vector<EpochRow> rows = train(model, data, test, o.epochs);
  const double seconds = seconds_since(start);
  draw(rows, o.out + "/loss.png");
  serializers::save_npz(o.out + "/model.npz", model);
  Convnet loaded;
  serializers::load_npz(o.out + "/model.npz", loaded);
  classify(loaded, test);
  std::printf("the loss curve is in %s/loss.png, the model in %s/model.npz\n", o.out.c_str(),
              o.out.c_str());
  std::printf("test accuracy %.4f in %.0f s on %s (%s), %d threads\n",
              evaluate(loaded, test).accuracy, seconds, ctx.backend().c_str(),
              ctx.device_name().c_str(), ctx.threads());
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "fashion_mnist: %s\n", e.what());
  return 1;
}
