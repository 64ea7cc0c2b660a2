// GoogLeNet on 3x224x224 without its auxiliary classifiers, convolutions without batch
// normalization, as in the paper.
#include "models.h"

namespace bench {
namespace {

using namespace catena;

constexpr int kClasses = 1000, kSide = 224;

struct InceptionSize {
  int in, out1, reduce3, out3, reduce5, out5, pool;
  int side;          // of the images
  bool pool_behind;  // half the side from here on
};
constexpr InceptionSize kInceptions[] = {
    {192, 64, 96, 128, 16, 32, 32, 28, false},    {256, 128, 128, 192, 32, 96, 64, 28, true},
    {480, 192, 96, 208, 16, 48, 64, 14, false},   {512, 160, 112, 224, 24, 64, 64, 14, false},
    {512, 128, 128, 256, 24, 64, 64, 14, false},  {512, 112, 144, 288, 32, 64, 64, 14, false},
    {528, 256, 160, 320, 32, 128, 128, 14, true}, {832, 256, 160, 320, 32, 128, 128, 7, false},
    {832, 384, 192, 384, 48, 128, 128, 7, false},
};

Variable half(const Variable& x) { return F::max_pooling_2d(x, 3, {.stride = 2}); }

struct Inception : Chain {
  L::Convolution2D conv1, proj3, conv3, proj5, conv5, projp;

  explicit Inception(const InceptionSize& s)
      : conv1(child("conv1", L::Convolution2D(s.in, s.out1, 1))),
        proj3(child("proj3", L::Convolution2D(s.in, s.reduce3, 1))),
        conv3(child("conv3", L::Convolution2D(s.reduce3, s.out3, 3, {.pad = 1}))),
        proj5(child("proj5", L::Convolution2D(s.in, s.reduce5, 1))),
        conv5(child("conv5", L::Convolution2D(s.reduce5, s.out5, 5, {.pad = 2}))),
        projp(child("projp", L::Convolution2D(s.in, s.pool, 1))) {}
  Variable operator()(const Variable& x) const {
    const Variable pooled = F::max_pooling_2d(x, 3, {.stride = 1, .pad = 1});
    return F::relu(
        F::concat({conv1(x), conv3(F::relu(proj3(x))), conv5(F::relu(proj5(x))), projp(pooled)}));
  }
};

struct GoogLeNet : Chain {
  L::Convolution2D conv1 = child("conv1", L::Convolution2D(3, 64, 7, {.stride = 2, .pad = 3}));
  L::Convolution2D conv2_reduce = child("conv2_reduce", L::Convolution2D(64, 64, 1));
  L::Convolution2D conv2 = child("conv2", L::Convolution2D(64, 192, 3, {.pad = 1}));
  std::vector<Inception> inceptions;
  L::Linear fc = child("fc", L::Linear(1024, kClasses));

  GoogLeNet() {
    for (const InceptionSize& size : kInceptions)
      inceptions.push_back(
          child("inception" + std::to_string(inceptions.size() + 1), Inception(size)));
  }
  Variable operator()(const Variable& x) const {
    Variable h = F::local_response_normalization(half(F::relu(conv1(x))));
    h = F::relu(conv2(F::relu(conv2_reduce(h))));
    h = half(F::local_response_normalization(h));
    for (size_t k = 0; k < inceptions.size(); ++k) {
      h = inceptions[k](h);
      if (kInceptions[k].pool_behind) h = half(h);
    }
    return fc(F::dropout(F::average_pooling_2d(h, 7, {.stride = 1}), {.ratio = 0.4}));
  }
};

}  // namespace

Workload googlenet() {
  Workload w =
      workload(GoogLeNet(), class_loss, optimizers::MomentumSGD({.lr = 0.001, .momentum = 0.9}));
  w.x_shape = {3, kSide, kSide};
  w.classes = kClasses;
  w.macs = {conv_macs(3, 64, 7, 112), conv_macs(64, 64, 1, 56), conv_macs(64, 192, 3, 56)};
  for (const InceptionSize& s : kInceptions) {
    for (const int out : {s.out1, s.reduce3, s.reduce5, s.pool})
      w.macs.push_back(conv_macs(s.in, out, 1, s.side));
    w.macs.push_back(conv_macs(s.reduce3, s.out3, 3, s.side));
    w.macs.push_back(conv_macs(s.reduce5, s.out5, 5, s.side));
  }
  w.macs.push_back(linear_macs(1024, kClasses));
  return w;
}

}  // namespace bench
