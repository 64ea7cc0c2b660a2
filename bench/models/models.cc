// The table of workloads.
#include "models.h"

namespace bench {

std::span<const WorkloadRow> workloads() {
  static constexpr WorkloadRow kRows[] = {
      {"mushrooms", 100, 2000, mushrooms}, {"mnist_mlp", 100, 200, mnist_mlp},
      {"lenet5", 64, 300, lenet5},         {"vgg_cifar", 64, 15, vgg_cifar},
      {"resnet50", 8, 8, resnet50},        {"googlenet", 16, 15, googlenet},
  };
  return kRows;
}

}  // namespace bench
