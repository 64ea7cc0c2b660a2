// How one reduction launch is cut among blocks and lanes: a function of its shape and strides,
// never of the device, so that results have the same bits everywhere. Knows no driver.
#pragma once

#include <cuda/form.h>

namespace catena::cuda {

// kept, reduced: elements. A block has `lanes` lanes (a power of two) for each of kThreads / lanes
// outputs; an output's items are cut into `parts` of `chunk` items, one block row each, joined by a
// second kernel if there are several.
struct Partition {
  int64_t kept = 1, reduced = 1;
  int64_t lanes = 1;
  int64_t parts = 1, chunk = 0;
  bool across = false;  // neighbouring threads: outputs instead of lanes
  int64_t outputs() const;
};

Partition partition_of(const ctn_launch& launch, const ctn_form& form);

}  // namespace catena::cuda
