// Steps while a code is being compiled: operands are places, of which some have no location yet.
// Knows how places become locations, not what instructions mean.
#pragma once

#include <cpu/expr/code.h>

#include <limits>
#include <vector>

namespace catena::cpu {

// Below kVirtual a location; then values whose slot is not chosen yet, and the blocks of locations
// whose numbers are known only at the end.
using Place = int32_t;
inline constexpr Place kVirtual = 1 << 20;
inline constexpr Place kConstant = 1 << 24;
inline constexpr Place kUniform = 1 << 25;
inline constexpr Place kSlot = 1 << 26;
inline constexpr Place kNowhere = -1;
inline constexpr int32_t kNever = std::numeric_limits<int32_t>::max();

constexpr bool is_virtual(Place p) { return p >= kVirtual && p < kConstant; }

// A value that a step of the body or the prologue computes.
struct Virtual {
  uint8_t type;
  int32_t made;            // body step that computes it; -1 in the prologue
  int32_t last = -1;       // last body step that reads it; kNever: needed to the end
  Place bound = kNowhere;  // the output it is written to, or its slot
};

struct DraftStep {
  StepFn fn;
  Place dst, a, b, c;
};

class Draft {
 public:
  explicit Draft(int32_t n_args) : last_read_(static_cast<size_t>(n_args), -1) {}

  Place constant(uint64_t bits);
  const uint64_t* constant_at(Place p) const {
    return &constants_[static_cast<size_t>(p - kConstant)];
  }
  Place new_uniform() { return kUniform + n_uniforms_++; }
  // For the next body step to compute, or for the prologue.
  Place new_virtual(uint8_t type, bool in_prologue = false);
  Virtual& at(Place p) { return virtuals_[static_cast<size_t>(p - kVirtual)]; }

  void add_uniform(const DraftStep& s) { uniform_.push_back(s); }
  void add_prologue(const DraftStep& s) { prologue_.push_back(s); }
  void add(const DraftStep& s, int32_t cost);

  int32_t next_step() const { return static_cast<int32_t>(body_.size()); }
  // The last body step so far that reads array argument `arg`; -1 if none does.
  int32_t last_read(int32_t arg) const { return last_read_[static_cast<size_t>(arg)]; }

  // Chooses slots and writes steps, constants and the remaining locations.
  void finish(Code& code);
  // After finish.
  uint16_t location(Place p);

 private:
  void note_read(Place p, int32_t at);
  void assign_slots();
  void take_slot(Virtual& v, Place preferred);
  // Slots of operands that step k is the last to read; one that suits the result goes to `reuse`.
  void release_operands(int32_t k, Place& reuse, std::vector<Place>& ending);

  std::vector<uint64_t> constants_;
  std::vector<Virtual> virtuals_;
  std::vector<DraftStep> uniform_, prologue_, body_;
  std::vector<int32_t> last_read_;
  std::vector<Place> free_;
  Locations at_;
  int32_t n_uniforms_ = 0;
  int32_t cost_ = 0;
  uint16_t n_slots_ = 0;
  uint8_t slot_size_ = 1;
};

}  // namespace catena::cpu
