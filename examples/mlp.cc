// Trains a small network to tell whether a point lies in a circle, on points it draws itself.
#include <catena/catena.hpp>

#include <cstdio>
#include <random>

using namespace catena;

struct MLP : Chain {
  L::Linear l1 = child("l1", L::Linear(2, 32));
  L::Linear l2 = child("l2", L::Linear(32, 2));

  Variable operator()(const Variable& x) const { return l2(F::tanh(l1(x))); }
};

int main() try {
  const Context ctx("cpu");

  constexpr int64_t kPoints = 500;
  std::mt19937 random(1);
  std::uniform_real_distribution<float> coordinate(-1, 1);
  std::vector<float> points;
  std::vector<int32_t> inside;
  for (int64_t i = 0; i < kPoints; ++i) {
    const float a = coordinate(random), b = coordinate(random);
    points.insert(points.end(), {a, b});
    inside.push_back(a * a + b * b < 0.5f);
  }
  const Variable x(Array::from(points, {kPoints, 2}), false);
  const Variable t(Array::from(inside, {kPoints}), false);

  MLP model;
  optimizers::Adam optimizer({.alpha = 0.005});
  optimizer.setup(model);
  for (int step = 0; step <= 1000; ++step) {
    const Variable y = model(x);
    const Variable loss = F::softmax_cross_entropy(y, t);
    model.cleargrads();
    loss.backward();
    optimizer.update();
    if (step % 200 == 0)
      std::printf("step %4d: loss %.4f, accuracy %.3f\n", step, loss.item(),
                  F::accuracy(y, t).item());
  }
} catch (const Error& e) {
  std::fprintf(stderr, "mlp: %s\n", e.what());
  return 1;
}
