// ResNet50 on 3x224x224: bottlenecks whose first convolution has the stride, as in the paper.
#include "models.h"

namespace bench {
namespace {

using namespace catena;

constexpr int kClasses = 1000, kSide = 224;

struct BottleneckSize {
  int in, mid, out, stride;
  bool projects;  // the shortcut is a convolution
  int side;       // of the images it gives
};

std::vector<BottleneckSize> bottlenecks() {
  struct Stage {
    int blocks, mid, stride, side;
  };
  constexpr Stage kStages[] = {{3, 64, 1, 56}, {4, 128, 2, 28}, {6, 256, 2, 14}, {3, 512, 2, 7}};
  std::vector<BottleneckSize> all;
  int in = 64;
  for (const Stage& s : kStages)
    for (int k = 0; k < s.blocks; ++k) {
      const int out = 4 * s.mid;
      all.push_back({in, s.mid, out, k ? 1 : s.stride, k == 0, s.side});
      in = out;
    }
  return all;
}

// A new one has the running variance 0; with 1, inference of the untrained model stays finite.
L::BatchNormalization normalization(int size) {
  L::BatchNormalization link(size);
  link.set_persistent("avg_var", Array::full({size}, 1));
  return link;
}

struct Bottleneck : Chain {
  L::Convolution2D conv1, conv2, conv3, conv4;
  L::BatchNormalization bn1, bn2, bn3, bn4;

  explicit Bottleneck(const BottleneckSize& s) {
    const auto conv = [&](const char* name, int in, int out, int ksize, int stride, int pad) {
      return child(
          name, L::Convolution2D(in, out, ksize, {.stride = stride, .pad = pad, .nobias = true}));
    };
    const auto bn = [&](const char* name, int size) { return child(name, normalization(size)); };
    conv1 = conv("conv1", s.in, s.mid, 1, s.stride, 0);
    bn1 = bn("bn1", s.mid);
    conv2 = conv("conv2", s.mid, s.mid, 3, 1, 1);
    bn2 = bn("bn2", s.mid);
    conv3 = conv("conv3", s.mid, s.out, 1, 1, 0);
    bn3 = bn("bn3", s.out);
    if (!s.projects) return;
    conv4 = conv("conv4", s.in, s.out, 1, s.stride, 0);
    bn4 = bn("bn4", s.out);
  }
  Variable operator()(const Variable& x) const {
    Variable h = F::relu(bn1(conv1(x)));
    h = F::relu(bn2(conv2(h)));
    h = bn3(conv3(h));
    return F::relu(h + (conv4 ? bn4(conv4(x)) : x));
  }
};

struct ResNet50 : Chain {
  L::Convolution2D conv1 = child("conv1", L::Convolution2D(3, 64, 7, {.stride = 2, .pad = 3}));
  L::BatchNormalization bn1 = child("bn1", normalization(64));
  std::vector<Bottleneck> blocks;
  L::Linear fc = child("fc", L::Linear(2048, kClasses));

  ResNet50() {
    for (const BottleneckSize& size : bottlenecks())
      blocks.push_back(child("block" + std::to_string(blocks.size() + 1), Bottleneck(size)));
  }
  Variable operator()(const Variable& x) const {
    Variable h = F::max_pooling_2d(F::relu(bn1(conv1(x))), 3, {.stride = 2});
    for (const Bottleneck& block : blocks) h = block(h);
    return fc(F::average_pooling_2d(h, 7, {.stride = 1}));
  }
};

}  // namespace

Workload resnet50() {
  Workload w =
      workload(ResNet50(), class_loss, optimizers::MomentumSGD({.lr = 0.001, .momentum = 0.9}));
  w.x_shape = {3, kSide, kSide};
  w.classes = kClasses;
  w.macs = {conv_macs(3, 64, 7, 112)};
  for (const BottleneckSize& s : bottlenecks()) {
    w.macs.push_back(conv_macs(s.in, s.mid, 1, s.side));
    w.macs.push_back(conv_macs(s.mid, s.mid, 3, s.side));
    w.macs.push_back(conv_macs(s.mid, s.out, 1, s.side));
    if (s.projects) w.macs.push_back(conv_macs(s.in, s.out, 1, s.side));
  }
  w.macs.push_back(linear_macs(2048, kClasses));
  return w;
}

}  // namespace bench
