// CPUID, and what the operating system saves of the wide registers. See isa.h.
#include <cpu/isa.h>

#include <cpuid.h>

#include <cstdlib>
#include <string>
#include <string_view>

namespace catena::cpu {

namespace {

Isa g_isa = Isa::kSse2;

struct Registers {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};
Registers cpuid(uint32_t leaf) {
  Registers r;
  if (__get_cpuid_count(leaf, 0, &r.a, &r.b, &r.c, &r.d) == 0) return {};
  return r;
}

// Register state that the operating system keeps across context switches.
uint32_t saved_state() {
  uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

constexpr bool all(uint32_t value, uint32_t mask) { return (value & mask) == mask; }

}  // namespace

const char* isa_name(Isa isa) {
  static constexpr const char* kNames[] = {"sse2", "avx2", "avx512"};
  return kNames[static_cast<int>(isa)];
}

Isa best_isa() {
  const Registers one = cpuid(1);
  constexpr uint32_t kOsxsave = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
  if (!all(one.c, kOsxsave)) return Isa::kSse2;
  const uint32_t state = saved_state();
  const Registers seven = cpuid(7);
  constexpr uint32_t kYmm = 0x6, kZmm = 0xe6;
  if (!all(state, kYmm) || !all(seven.b, bit_AVX2)) return Isa::kSse2;
  constexpr uint32_t kWide = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  return all(state, kZmm) && all(seven.b, kWide) ? Isa::kAvx512 : Isa::kAvx2;
}

Isa isa() { return g_isa; }

void use_isa(Isa isa) { g_isa = isa; }

ctn_status start_isa(const ctn_host* host) {
  const auto refuse = [host](const std::string& text) {
    return host->fail(CTN_EINVAL, __FILE__, __LINE__, {text.data(), text.size()});
  };
  const Isa best = best_isa();
  const char* value = secure_getenv("CATENA_CPU_ISA");
  if (value == nullptr || *value == '\0') {
    use_isa(best);
    return CTN_OK;
  }
  for (const Isa isa : {Isa::kSse2, Isa::kAvx2, Isa::kAvx512}) {
    if (std::string_view(value) != isa_name(isa)) continue;
    if (isa > best) {
      return refuse(std::string("CATENA_CPU_ISA=") + value + ": this machine has only " +
                    isa_name(best));
    }
    use_isa(isa);
    return CTN_OK;
  }
  return refuse(std::string("CATENA_CPU_ISA=") + value + ": known are sse2, avx2, avx512");
}

Loops loops_of(Isa isa) {
  switch (isa) {
    case Isa::kAvx512: return avx512::loops();
    case Isa::kAvx2: return avx2::loops();
    default: return sse2::loops();
  }
}

}  // namespace catena::cpu
