// Dtypes as small numbers, as DLPack triples and as names: one table.
#include <cstring>

#include "core/registry.h"

namespace catena {
namespace {

struct Row {
  ctn_dtype dtype;
  std::string_view name;
};

constexpr Row kRows[CTN_DTYPE_COUNT] = {
    {{CTN_DT_BOOL, 8, 1}, "bool"},        {{CTN_DT_INT, 8, 1}, "int8"},
    {{CTN_DT_INT, 16, 1}, "int16"},       {{CTN_DT_INT, 32, 1}, "int32"},
    {{CTN_DT_INT, 64, 1}, "int64"},       {{CTN_DT_UINT, 8, 1}, "uint8"},
    {{CTN_DT_UINT, 16, 1}, "uint16"},     {{CTN_DT_UINT, 32, 1}, "uint32"},
    {{CTN_DT_UINT, 64, 1}, "uint64"},     {{CTN_DT_FLOAT, 16, 1}, "float16"},
    {{CTN_DT_FLOAT, 32, 1}, "float32"},   {{CTN_DT_FLOAT, 64, 1}, "float64"},
    {{CTN_DT_BFLOAT, 16, 1}, "bfloat16"},
};

// Number of a (code, bits) pair with lanes 1: code * 16 + bits / 8, which is below 128 for all.
struct Index {
  int8_t of[128];
  constexpr Index() : of() {
    for (int8_t& i : of) i = -1;
    for (int8_t k = 0; k < CTN_DTYPE_COUNT; ++k) {
      const ctn_dtype d = kRows[k].dtype;
      of[d.code * 16 + d.bits / 8] = k;
    }
  }
};
constexpr Index kIndex;

}  // namespace

int32_t dtype_index(ctn_dtype dtype) noexcept {
  if (dtype.lanes != 1 || dtype.code >= 8 || dtype.bits % 8 != 0) return -1;
  return dtype.bits / 8 < 16 ? kIndex.of[dtype.code * 16 + dtype.bits / 8] : -1;
}

ctn_dtype dtype_of(int32_t index) noexcept {
  return index >= 0 && index < CTN_DTYPE_COUNT ? kRows[index].dtype : ctn_dtype{};
}

std::string_view dtype_name(int32_t index) noexcept {
  return index >= 0 && index < CTN_DTYPE_COUNT ? kRows[index].name : "?";
}

int32_t dtype_from_name(std::string_view name) noexcept {
  for (int32_t k = 0; k < CTN_DTYPE_COUNT; ++k) {
    if (kRows[k].name == name) return k;
  }
  return -1;
}

}  // namespace catena
