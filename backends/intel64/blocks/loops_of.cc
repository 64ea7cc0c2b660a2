// The choice among the sets of loops.
#include <intel64/blocks/loops.h>
#include <intel64/onednn.h>

namespace catena::intel64 {

const BlockLoops& block_loops() {
  return channel_block() == 16 ? avx512::kBlockLoops : avx2::kBlockLoops;
}

}  // namespace catena::intel64
