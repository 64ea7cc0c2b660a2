// Whole models trained on the false GPU: losses, accuracies and weights beside the cpu's.
#include "compare.h"

using namespace catena;
using cuda_test::Floats;

namespace {

struct Mlp : Chain {
  L::Linear l1 = child("l1", L::Linear(64, 32));
  L::Linear l2 = child("l2", L::Linear(none, 16));
  L::Linear l3 = child("l3", L::Linear(16, 10));

  Variable operator()(const Variable& x) const {
    return l3(F::relu(l2(F::relu(l1(F::reshape(x, {-1, 64}))))));
  }
};

struct LeNet : Chain {
  L::Convolution2D conv1 = child("conv1", L::Convolution2D(1, 6, 3, {.pad = 1}));
  L::Convolution2D conv2 = child("conv2", L::Convolution2D(6, 8, 3));
  L::BatchNormalization bn = child("bn", L::BatchNormalization(8));
  L::Linear fc1 = child("fc1", L::Linear(none, 24));
  L::Linear fc2 = child("fc2", L::Linear(24, 10));

  Variable operator()(const Variable& x) const {
    Variable h = F::max_pooling_2d(F::relu(conv1(x)), 2);
    h = F::average_pooling_2d(F::relu(bn(conv2(F::local_response_normalization(h)))), 2);
    h = F::dropout(F::relu(fc1(h)), {.ratio = 0.3});
    return fc2(h);
  }
};

// Loss and accuracy of each step, then all weights.
template <class Model, class Optimizer>
std::vector<Floats> train(const char* device, const Optimizer& make_optimizer) {
  const Context ctx(ContextOptions{.device = device, .seed = 3});
  auto optimizer = make_optimizer();
  constexpr int64_t kImages = 20;
  const Variable x(cuda_test::values({kImages, 1, 8, 8}, float32, 1), false);
  std::vector<int32_t> labels;
  for (int64_t k = 0; k < kImages; ++k) labels.push_back(static_cast<int32_t>(k * k % 10));
  const Variable t(Array::from<int32_t>(labels, {kImages}), false);
  Model model;
  optimizer.setup(model);
  std::vector<Floats> out(1);
  for (int step = 0; step < 5; ++step) {
    const Variable y = model(x), loss = F::softmax_cross_entropy(y, t);
    model.cleargrads();
    loss.backward();
    optimizer.update();
    out[0].push_back(loss.item());
    out[0].push_back(F::accuracy(y, t).item());
  }
  for (const auto& [name, param] : model.namedparams())
    out.push_back(param.array().template to_vector<float>());
  return out;
}

template <class Model, class Optimizer>
void compare_training(const Optimizer& optimizer, double tolerance) {
  const auto want = train<Model>("cpu", optimizer), got = train<Model>("cuda", optimizer);
  REQUIRE(got.size() == want.size());
  for (size_t k = 0; k < got.size(); ++k) {
    CAPTURE(k);
    CHECK(cuda_test::difference(got[k], want[k], tolerance) == "");
  }
  CHECK(want[0][8] < want[0][0]);                 // it learns
  CHECK(train<Model>("cuda", optimizer) == got);  // to the bit
}

}  // namespace

TEST_CASE("a perceptron") {
  compare_training<Mlp>([] { return optimizers::Adam({.alpha = 0.01}); }, 1e-4);
}

TEST_CASE("a convolutional network with normalization and dropout") {
  compare_training<LeNet>([] { return optimizers::MomentumSGD({.lr = 0.05}); }, 2e-3);
}
