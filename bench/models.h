// The models of the workloads, and the inputs and floating-point operations that go with them.
#pragma once

#include <catena/catena.hpp>

#include <functional>
#include <vector>

namespace bench {

struct Workload {
  using Function = std::function<catena::Variable(const catena::Variable&)>;
  using Loss = catena::Variable (*)(const catena::Variable& y, const catena::Variable& t);

  catena::Link model;
  Function forward;
  Loss loss = nullptr;
  catena::Optimizer optimizer;
  catena::Shape x_shape, t_shape;  // of one sample
  int32_t classes = 0;
  std::vector<double> macs;  // multiply-adds of each layer for one sample, the first layer first
};

struct WorkloadRow {
  const char* name;
  int64_t batch, iters;
  Workload (*make)();  // in the current context
};

extern const WorkloadRow kWorkloads[3];

}  // namespace bench
