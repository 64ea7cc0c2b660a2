// Setting up a frame: once a thread's range of work, then once a launch.
#include <cpu/expr/frame.h>

namespace catena::cpu {

void Frame::bind(const Code& c, Carver& room, int64_t block) {
  code = &c;
  at = room.take<char*>(c.at.count);
  auto* uniforms = room.take<uint64_t>(static_cast<size_t>(c.at.slot - c.at.uniform));
  if (c.raws != 0) raws = room.take<RawRef>(CTN_FORM_MAX_ARGS);
  at[c.at.index] = static_cast<char*>(static_cast<void*>(&index));
  at[c.at.size] = static_cast<char*>(static_cast<void*>(&size));
  for (size_t k = 0; k < c.constants.size(); ++k) {
    // steps only read them
    auto* p = const_cast<uint64_t*>(&c.constants[k]);
    at[c.at.constant + k] = static_cast<char*>(static_cast<void*>(p));
  }
  for (int k = c.at.uniform; k < c.at.slot; ++k) {
    at[k] = static_cast<char*>(static_cast<void*>(uniforms++));
  }
  const size_t stride = slot_stride(c, block);
  for (int k = c.at.slot; k < c.at.count; ++k) at[k] = room.take<char>(stride);
}

void Frame::enter(const ctn_launch& launch, int64_t block) {
  const bool same = entered_ && scalars_ == launch.scalars;
  if (!same) {
    const int n = code->at.acc - code->at.scalar;
    for (int k = 0; k < n; ++k) {
      auto* p = const_cast<uint64_t*>(launch.scalars + k);
      at[code->at.scalar + k] = static_cast<char*>(static_cast<void*>(p));
    }
  }
  for (uint32_t left = code->raws; left != 0; left &= left - 1) {
    const int arg = __builtin_ctz(left);
    raws[arg] = {static_cast<const char*>(launch.data[arg]), launch.counts[arg]};
    at[arg] = static_cast<char*>(static_cast<void*>(raws + arg));
  }
  if (!same || code->uses_size || code->raws != 0) {
    compute_uniform();
    prologue_ = 0;
    entered_ = true;
    scalars_ = launch.scalars;
  }
  if (block > prologue_) {
    for (const Step& s : code->prologue) s.fn(at[s.dst], at[s.a], at[s.b], at[s.c], block);
    prologue_ = block;
  }
}

void Frame::compute_uniform() {
  for (const Step& s : code->uniform) s.fn(at[s.dst], at[s.a], at[s.b], at[s.c], 1);
}

}  // namespace catena::cpu
