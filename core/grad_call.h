// What a primitive's backward sees: the node, the gradients of its outputs and the room for those
// of its inputs. Knows no op.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include "core/variable.h"

namespace catena {

class GradCall : public ctn_grad_s {
 public:
  GradCall(Node& n, std::span<Variable* const> grads, std::span<const uint8_t> wanted,
           std::span<Ref<Variable>> room)
      : node(n), gy(grads), needed(wanted), gx(room) {}

  // Borrowed for the life of the call; NULL where absent. Throws for what was not retained.
  Variable* input(int32_t i);
  Variable* output(int32_t i);
  Variable* grad_output(int32_t i) const;
  void set(int32_t i, Variable* g);
  void input_spec(int32_t i, ctn_dltensor& out) const;
  void output_spec(int32_t i, ctn_dltensor& out) const;
  void check_input(int32_t i) const;
  void check_output(int32_t i) const;

  Node& node;
  std::span<Variable* const> gy;
  std::span<const uint8_t> needed;
  std::span<Ref<Variable>> gx;

 private:
  std::vector<Ref<Variable>> held_;
};

}  // namespace catena
