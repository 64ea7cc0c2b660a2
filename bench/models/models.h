// The models of the workloads, and the inputs and multiply-adds that go with them. No model knows
// what it runs on.
#pragma once

#include <catena/catena.hpp>

#include <functional>
#include <span>
#include <vector>

namespace bench {

struct Workload {
  using Function = std::function<catena::Variable(const catena::Variable&)>;
  using Loss = catena::Variable (*)(const catena::Variable& y, const catena::Variable& t);

  catena::Link model;
  Function forward;
  Loss loss = nullptr;
  catena::Optimizer optimizer;
  std::vector<catena::Hook> hooks;
  catena::Shape x_shape, t_shape;  // of one sample
  int32_t classes = 0;
  std::vector<double> macs;  // multiply-adds of each layer for one sample, the first layer first
};

template <class Model>
Workload workload(const Model& model, Workload::Loss loss, const catena::Optimizer& optimizer) {
  Workload w;
  w.model = model;
  w.forward = model;
  w.loss = loss;
  w.optimizer = optimizer;
  return w;
}

// Cross entropy of numbers of classes.
inline catena::Variable class_loss(const catena::Variable& y, const catena::Variable& t) {
  return catena::F::softmax_cross_entropy(y, t);
}

// Multiply-adds of a layer for one sample; `side` is that of the square images it gives.
inline double conv_macs(int64_t in, int64_t out, int64_t ksize, int64_t side) {
  return static_cast<double>(in * out * ksize * ksize * side * side);
}
inline double linear_macs(int64_t in, int64_t out) { return static_cast<double>(in * out); }

// In the current context.
Workload mushrooms();
Workload mnist_mlp();
Workload lenet5();
Workload vgg_cifar();
Workload resnet50();
Workload googlenet();

struct WorkloadRow {
  const char* name;
  int64_t batch, iters;
  Workload (*make)();
};

std::span<const WorkloadRow> workloads();

}  // namespace bench
