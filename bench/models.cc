// The models of the workloads: see models.h.
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

struct LeNet5 : Chain {
  L::Convolution2D conv1 = child("conv1", L::Convolution2D(1, 6, 5));
  L::Convolution2D conv2 = child("conv2", L::Convolution2D(6, 16, 5));
  L::Convolution2D conv3 = child("conv3", L::Convolution2D(16, 120, 4));
  L::Linear fc4 = child("fc4", L::Linear(120, 84));
  L::Linear fc5 = child("fc5", L::Linear(84, 10));

  Variable operator()(const Variable& x) const {
    Variable h = F::max_pooling_2d(F::sigmoid(conv1(x)), 2, {.stride = 2});
    h = F::max_pooling_2d(F::sigmoid(conv2(h)), 2, {.stride = 2});
    h = F::sigmoid(conv3(h));
    return fc5(F::sigmoid(fc4(h)));
  }
};

Variable binary_loss(const Variable& y, const Variable& t) {
  return F::sigmoid_cross_entropy(y, t);
}

Variable class_loss(const Variable& y, const Variable& t) { return F::softmax_cross_entropy(y, t); }

template <class Model>
Workload workload(const Model& model, Workload::Loss loss, const Optimizer& optimizer) {
  Workload w;
  w.model = model;
  w.forward = model;
  w.loss = loss;
  w.optimizer = optimizer;
  return w;
}

Workload mlp(int in, int hidden, int out, Workload::Loss loss, const Optimizer& optimizer) {
  Workload w = workload(MLP(in, hidden, out), loss, optimizer);
  w.x_shape = {in};
  w.macs = {1.0 * in * hidden, 1.0 * hidden * hidden, 1.0 * hidden * out};
  return w;
}

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

Workload lenet5() {
  Workload w = workload(LeNet5(), class_loss, optimizers::SGD({.lr = 0.01}));
  w.x_shape = {1, 28, 28};
  w.classes = 10;
  w.macs = {24 * 24 * 6 * 25.0, 8 * 8 * 16 * 6 * 25.0, 120 * 16 * 16.0, 120 * 84.0, 84 * 10.0};
  return w;
}

}  // namespace

constinit const WorkloadRow kWorkloads[3] = {
    {"mushrooms", 100, 2000, mushrooms},
    {"mnist_mlp", 100, 200, mnist_mlp},
    {"lenet5", 64, 300, lenet5},
};

}  // namespace bench
