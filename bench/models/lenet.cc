// LeNet-5 with sigmoids.
#include "models.h"

namespace bench {
namespace {

using namespace catena;

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

}  // namespace

Workload lenet5() {
  Workload w = workload(LeNet5(), class_loss, optimizers::SGD({.lr = 0.01}));
  w.x_shape = {1, 28, 28};
  w.classes = 10;
  w.macs = {conv_macs(1, 6, 5, 24), conv_macs(6, 16, 5, 8), conv_macs(16, 120, 4, 1),
            linear_macs(120, 84), linear_macs(84, 10)};
  return w;
}

}  // namespace bench
