// Perceptrons with two hidden layers.
#include "models.h"

namespace bench {
namespace {

using namespace catena;

struct MLP : Chain {
  L::Linear l1, l2, l3;

  MLP(int in, int hidden, int out)
      : l1(child("l1", L::Linear(in, hidden))),
        l2(child("l2", L::Linear(hidden, hidden))),
        l3(child("l3", L::Linear(hidden, out))) {}
  Variable operator()(const Variable& x) const { return l3(F::relu(l2(F::relu(l1(x))))); }
};

Variable binary_loss(const Variable& y, const Variable& t) {
  return F::sigmoid_cross_entropy(y, t);
}

Workload mlp(int in, int hidden, int out, Workload::Loss loss, const Optimizer& optimizer) {
  Workload w = workload(MLP(in, hidden, out), loss, optimizer);
  w.x_shape = {in};
  w.macs = {linear_macs(in, hidden), linear_macs(hidden, hidden), linear_macs(hidden, out)};
  return w;
}

}  // namespace

Workload mushrooms() {
  Workload w = mlp(22, 44, 1, binary_loss, optimizers::SGD({.lr = 0.01}));
  w.t_shape = {1};
  w.classes = 2;
  return w;
}

Workload mnist_mlp() {
  Workload w = mlp(784, 1000, 10, class_loss, optimizers::Adam({.alpha = 0.001}));
  w.classes = 10;
  return w;
}

}  // namespace bench
