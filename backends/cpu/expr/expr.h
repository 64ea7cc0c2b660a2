// Runs forms on the cpu: what the backend table's compile, launch and release do. Knows the host
// table for threads and scratch memory, no tensors and no ops.
#pragma once

#include <catena/plugin.h>

#include <cpu/expr/step.h>

#include <memory>

namespace catena::cpu {

struct Program;

struct ProgramDeleter {
  void operator()(Program* p) const noexcept;
};
using ProgramPtr = std::unique_ptr<Program, ProgramDeleter>;

// Compiles a valid form. Throws Declined (code.h) for opcodes that nothing here computes.
ProgramPtr compile_program(const ctn_host* host, const Loops& loops, const ctn_form& form);

// Runs n launches; any number of threads may run one program at a time. The bits of the results
// depend on the form and each launch's shape and strides only.
ctn_status launch_program(const Program& program, const ctn_launch* launches, int32_t n);

}  // namespace catena::cpu
