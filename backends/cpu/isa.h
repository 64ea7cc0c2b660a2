// The instruction set in use. Chosen once when the backend starts: the best that processor and
// operating system offer, or a lower one that CATENA_CPU_ISA asks for.
#pragma once

#include <catena/plugin.h>

#include <cpu/expr/step.h>

namespace catena::cpu {

enum class Isa : int32_t { kSse2 = 0, kAvx2 = 1, kAvx512 = 2 };

// "sse2", "avx2", "avx512": also the name of the namespace with that set's code.
const char* isa_name(Isa isa);

// The best this machine runs. avx2 means AVX2, FMA and F16C; avx512 means F, BW, DQ and VL.
Isa best_isa();

// The one in use. sse2 before start_isa.
Isa isa();

// Reads CATENA_CPU_ISA; on an unknown value, or one this machine cannot run, leaves a text with
// host->fail and changes nothing. Not for concurrent use.
ctn_status start_isa(const ctn_host* host);

// For tests: another set for what is compiled or planned from now on; at most best_isa().
void use_isa(Isa isa);

Loops loops_of(Isa isa);

}  // namespace catena::cpu
