// The plain executor: element by element, in the order of the iteration space, every opcode and
// dtype. It defines what a form means: other executors are tested against it, and it runs forms
// that a backend with host memory declines. Knows no backend.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/plugin.h>

namespace catena::expr {

// `form` must be valid (expr.h, validate). Uses nothing of launch.exec.
void run_plain(const ctn_form& form, const ctn_launch& launch);

}  // namespace catena::expr
