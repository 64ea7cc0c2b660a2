// The parameters of the kernels in loss_text.cc.
#pragma once

#include <cuda/lines.h>

namespace catena::cuda {

struct Labels {
  const void* p;
  int64_t classes;
  int64_t ignore_given, ignore;
  int64_t fault_kind;
  int64_t* fault;
};

struct Loss {
  Lines lines;
  Labels labels;
  const void *x, *weight, *gloss;
  void *peak, *total;
  void* each;
  void* out;
  int64_t mean, normalize;
  double share;
  double* counted;
};

}  // namespace catena::cuda
