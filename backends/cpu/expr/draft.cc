// From places to locations: a linear scan over the steps gives values that live at different times
// the same slot.
#include <cpu/expr/draft.h>

#include <algorithm>
#include <utility>

namespace catena::cpu {

Place Draft::constant(uint64_t bits) {
  constants_.push_back(bits);
  return kConstant + static_cast<Place>(constants_.size()) - 1;
}

Place Draft::new_virtual(uint8_t type, bool in_prologue) {
  virtuals_.push_back({type, in_prologue ? -1 : next_step()});
  if (in_prologue) virtuals_.back().last = kNever;
  return kVirtual + static_cast<Place>(virtuals_.size()) - 1;
}

void Draft::add(const DraftStep& s, int32_t cost) {
  const int32_t at = next_step();
  for (const Place p : {s.a, s.b, s.c}) note_read(p, at);
  body_.push_back(s);
  cost_ += cost;
}

void Draft::note_read(Place p, int32_t step) {
  if (is_virtual(p)) {
    at(p).last = std::max(at(p).last, step);
  } else if (p < static_cast<Place>(last_read_.size())) {
    int32_t& last = last_read_[static_cast<size_t>(p)];
    last = std::max(last, step);
  }
}

void Draft::take_slot(Virtual& v, Place preferred) {
  slot_size_ = std::max(slot_size_, static_cast<uint8_t>(size_of(v.type)));
  if (preferred != kNowhere) {
    v.bound = preferred;
  } else if (!free_.empty()) {
    v.bound = free_.back();
    free_.pop_back();
  } else {
    v.bound = kSlot + n_slots_++;
  }
}

void Draft::release_operands(int32_t k, Place& reuse, std::vector<Place>& ending) {
  const DraftStep& s = body_[static_cast<size_t>(k)];
  const bool wants = is_virtual(s.dst) && at(s.dst).bound == kNowhere;
  const Place operands[3] = {s.a, s.b, s.c};
  for (int j = 0; j < 3; ++j) {
    const Place p = operands[j];
    if (!is_virtual(p) || std::find(operands, operands + j, p) != operands + j) continue;
    const Virtual& v = at(p);
    if (v.last != k || v.bound < kSlot) continue;
    // the step may write where it reads if elements have one size
    const bool suits = wants && size_of(v.type) == size_of(at(s.dst).type);
    if (reuse == kNowhere && suits) {
      reuse = v.bound;
    } else {
      ending.push_back(v.bound);
    }
  }
}

void Draft::assign_slots() {
  std::vector<Place> ending;
  for (const DraftStep& s : prologue_) take_slot(at(s.dst), kNowhere);
  for (int32_t k = 0; k < next_step(); ++k) {
    const DraftStep& s = body_[static_cast<size_t>(k)];
    Place reuse = kNowhere;
    ending.clear();
    release_operands(k, reuse, ending);
    if (is_virtual(s.dst) && at(s.dst).bound == kNowhere) take_slot(at(s.dst), reuse);
    free_.insert(free_.end(), ending.begin(), ending.end());
  }
}

uint16_t Draft::location(Place p) {
  if (is_virtual(p)) p = at(p).bound;
  if (p >= kSlot) return static_cast<uint16_t>(at_.slot + (p - kSlot));
  if (p >= kUniform) return static_cast<uint16_t>(at_.uniform + (p - kUniform));
  if (p >= kConstant) return static_cast<uint16_t>(at_.constant + (p - kConstant));
  return static_cast<uint16_t>(p);
}

void Draft::finish(Code& code) {
  assign_slots();
  at_ = code.at;
  at_.uniform = static_cast<uint16_t>(at_.constant + constants_.size());
  at_.slot = static_cast<uint16_t>(at_.uniform + n_uniforms_);
  at_.count = static_cast<uint16_t>(at_.slot + n_slots_);
  const auto write = [this](const std::vector<DraftStep>& from, std::vector<Step>& to) {
    to.reserve(from.size());
    for (const DraftStep& s : from) {
      to.push_back({s.fn, location(s.dst), location(s.a), location(s.b), location(s.c)});
    }
  };
  write(uniform_, code.uniform);
  write(prologue_, code.prologue);
  write(body_, code.body);
  code.at = at_;
  code.constants = std::move(constants_);
  code.n_slots = n_slots_;
  code.slot_size = slot_size_;
  code.cost = std::max(cost_, 1);
}

}  // namespace catena::cpu
