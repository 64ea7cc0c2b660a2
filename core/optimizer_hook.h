// Hooks of optimizers at work, and batches of launches as hooks and rules use them. Knows no hook
// by name.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <memory>
#include <span>
#include <vector>

#include "core/optimizer.h"

namespace catena {

// Launches of several forms and devices, in as few batches as there are of these.
class Batches {
 public:
  // The batch for this form and device; `alone`: a new one, run after all before it.
  FlatBatch& of(const Compiled& c, Device& device, bool alone = false);
  // Keeps an array alive until the batches are gone.
  Array& keep(Ref<Array> a);
  void seal();
  void run();

 private:
  struct Entry {
    const Compiled* compiled;
    Device* device;
    bool alone;
    std::unique_ptr<FlatBatch> batch;
  };
  std::vector<Entry> entries_;
  std::vector<Ref<Array>> kept_;
};

// An initialised parameter with a gradient, and its count of updates.
struct HookTarget {
  Variable* param;
  int64_t t;
};
void run_hook(const HookSlot& slot, Optimizer& optimizer, std::span<const HookTarget> targets);

// The gradient of p, in C order, in memory that nobody else looks at: replaced by a copy if needed.
Array& writable_grad(Variable& p);
// Gives every initialised parameter without gradient one of zeros.
void fill_missing_grad(Variable& p);
struct ScaledGrad {
  Variable* param;
  double scale;
};
// Divides each gradient by its scale.
void divide_grads(std::span<const ScaledGrad> grads);

}  // namespace catena
