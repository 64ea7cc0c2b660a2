// The blocks of VGG16 on small images: 3x32x32, as in Chainer's guide to convolutional networks.
#include "models.h"

namespace bench {
namespace {

using namespace catena;

struct BlockSize {
  int in, out, convolutions;
};
constexpr BlockSize kBlocks[] = {
    {3, 64, 2}, {64, 128, 2}, {128, 256, 3}, {256, 512, 3}, {512, 512, 3}};
constexpr int kHidden = 4096, kClasses = 1000, kSide = 32;

struct Block : Chain {
  std::vector<L::Convolution2D> layers;

  explicit Block(const BlockSize& size) {
    for (int k = 0; k < size.convolutions; ++k)
      layers.push_back(child("conv" + std::to_string(k + 1),
                             L::Convolution2D(k ? size.out : size.in, size.out, 3,
                                              {.pad = 1, .initialW = "HeNormal"})));
  }
  Variable operator()(const Variable& x) const {
    Variable h = x;
    for (const L::Convolution2D& layer : layers) h = F::relu(layer(h));
    return F::max_pooling_2d(h, 2, {.stride = 2});
  }
};

struct VGG : Chain {
  std::vector<Block> blocks;
  L::Linear fc4 = child("fc4", L::Linear(512, kHidden, {.initialW = "HeNormal"}));
  L::Linear fc5 = child("fc5", L::Linear(kHidden, kHidden, {.initialW = "HeNormal"}));
  L::Linear fc6 = child("fc6", L::Linear(kHidden, kClasses, {.initialW = "HeNormal"}));

  VGG() {
    for (const BlockSize& size : kBlocks)
      blocks.push_back(child("block" + std::to_string(blocks.size() + 1), Block(size)));
  }
  Variable operator()(const Variable& x) const {
    Variable h = x;
    for (const Block& block : blocks) h = block(h);
    h = F::dropout(F::relu(fc4(h)));
    h = F::dropout(F::relu(fc5(h)));
    return fc6(h);
  }
};

}  // namespace

Workload vgg_cifar() {
  Workload w = workload(VGG(), class_loss, optimizers::MomentumSGD({.lr = 0.001, .momentum = 0.9}));
  w.hooks = {hooks::WeightDecay(5e-4)};
  w.x_shape = {3, kSide, kSide};
  w.classes = kClasses;
  int side = kSide;
  for (const BlockSize& block : kBlocks) {
    for (int k = 0; k < block.convolutions; ++k)
      w.macs.push_back(conv_macs(k ? block.out : block.in, block.out, 3, side));
    side /= 2;
  }
  w.macs.push_back(linear_macs(512, kHidden));
  w.macs.push_back(linear_macs(kHidden, kHidden));
  w.macs.push_back(linear_macs(kHidden, kClasses));
  return w;
}

}  // namespace bench
