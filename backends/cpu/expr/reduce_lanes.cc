// Joining lanes: the inner part of every reduction.
#include <cpu/expr/reduce_lanes.h>

#include <cstring>
#include <utility>

namespace catena::cpu {

namespace {

int top_level(const Program& p, int64_t cycles) {
  if (!p.rounds || cycles <= kLevelItems) return 0;
  return cycles <= kLevelItems * kLevelItems ? 1 : 2;
}

}  // namespace

Lanes::Lanes(const Program& p, const ReducePlan& plan, int64_t cycles)
    : p_(p), plan_(plan), n_(p.accs.size()), lanes_(plan.lanes), top_(top_level(p, cycles)) {}

size_t Lanes::bytes() const {
  const auto levels = static_cast<size_t>(top_) + 1;
  size_t lane = 0;
  size_t largest = 0;
  for (const Accumulator& a : p_.accs) {
    const size_t one = round_up(static_cast<size_t>(lanes_) * a.size, kLine) + kLine;
    lane += one;
    if (one > largest) largest = one;
  }
  size_t bytes = lane * levels + round_up(n_ * levels * sizeof(char*), kLine) +
                 2 * round_up(n_ * sizeof(char*), kLine);
  if (!p_.simple) bytes += n_ * largest + lane + Frame::bytes(p_.reduce, lanes_);
  return bytes;
}

void Lanes::bind(Carver& room, const ctn_launch& launch) {
  const auto levels = static_cast<size_t>(top_) + 1;
  const auto take = [&](size_t k) {
    return room.take<char>(round_up(static_cast<size_t>(lanes_) * p_.accs[k].size, kLine) + kLine);
  };
  acc_ = room.take<char*>(n_ * levels);
  result_ = room.take<char*>(n_);
  items_ = room.take<char*>(n_);
  for (size_t k = 0; k < n_ * levels; ++k) acc_[k] = take(k % n_);
  if (p_.simple) return;
  for (size_t k = 0; k < n_; ++k) result_[k] = take(k);
  reduce_.bind(p_.reduce, room, lanes_);
  reduce_.size = plan_.kept * plan_.reduced;
  reduce_.enter(launch, lanes_);
}

void Lanes::reset(int level) {
  counts_[level] = 0;
  for (size_t k = 0; k < n_; ++k) {
    const Accumulator& a = p_.accs[k];
    a.splat(acc_[static_cast<size_t>(level) * n_ + k], &a.identity, nullptr, nullptr, lanes_);
  }
}

void Lanes::reset() {
  for (int level = 0; level <= top_; ++level) reset(level);
}

void Lanes::join(char* const* items, int64_t phase, int64_t n) { join_at(0, items, phase, n); }

void Lanes::join_at(int level, char* const* items, int64_t phase, int64_t n) {
  char** acc = acc_ + static_cast<size_t>(level) * n_;
  if (p_.simple) {
    for (size_t k = 0; k < n_; ++k) {
      char* to = acc[k] + phase * p_.accs[k].size;
      p_.accs[k].step(to, to, items[k], items[k], n);
    }
    return;
  }
  const Locations& at = p_.reduce.at;
  for (size_t k = 0; k < n_; ++k) {
    reduce_.at[at.acc + k] = acc[k] + phase * p_.accs[k].size;
    reduce_.at[at.item + k] = items[k];
    reduce_.at[at.result + k] = result_[k];
  }
  reduce_.run(n);
  for (size_t k = 0; k < n_; ++k) {
    if (n == lanes_) {
      std::swap(acc[k], result_[k]);
    } else {
      const auto size = static_cast<size_t>(p_.accs[k].size);
      std::memcpy(acc[k] + static_cast<size_t>(phase) * size, result_[k],
                  static_cast<size_t>(n) * size);
    }
  }
}

void Lanes::join_span(char* const* items, int64_t phase, int64_t n) {
  for (size_t k = 0; k < n_; ++k) {
    const Accumulator& a = p_.accs[k];
    const char* from = items[k];
    int64_t left = n;
    if (phase != 0) {
      const int64_t head = left < kLanes - phase ? left : kLanes - phase;
      char* to = acc_[k] + phase * a.size;
      a.step(to, to, from, from, head);
      from += head * a.size;
      left -= head;
    }
    if (left > 0) a.join.join(acc_[k], from, left);
  }
}

void Lanes::carry(int level) {
  if (level == top_) return;
  join_at(level + 1, acc_ + static_cast<size_t>(level) * n_, 0, lanes_);
  reset(level);
  if (++counts_[level + 1] == kLevelItems) carry(level + 1);
}

void Lanes::merge() {
  for (int level = top_ - 1; level >= 0; --level) {
    join_at(top_, acc_ + static_cast<size_t>(level) * n_, 0, lanes_);
  }
}

void Lanes::fold(int64_t width) {
  if (plan_.spans) {
    for (size_t k = 0; k < n_; ++k) p_.accs[k].join.fold(result(k), result(k));
    return;
  }
  for (int64_t half = lanes_ / 2; half >= width; half /= 2) {
    for (size_t k = 0; k < n_; ++k) items_[k] = result(k) + half * p_.accs[k].size;
    join_at(top_, items_, 0, half);
  }
}

}  // namespace catena::cpu
