// An array as lines along one axis, shared out among the threads in fixed pieces; and the loops of
// the instruction set in use.
#pragma once

#include <catena/sdk.hpp>

#include <cpu/isa.h>
#include <cpu/nn/softmax.h>

#include <algorithm>
#include <type_traits>

namespace catena::cpu {

template <class T>
const SoftmaxLoops<T>& softmax_loops() {
  constexpr bool kFloat = std::is_same_v<T, float>;
  const auto pick = [](const auto& f, const auto& d) -> const SoftmaxLoops<T>& {
    if constexpr (kFloat)
      return f;
    else
      return d;
  };
  switch (isa()) {
    case Isa::kAvx512: return pick(avx512::kSoftmaxFloat, avx512::kSoftmaxDouble);
    case Isa::kAvx2: return pick(avx2::kSoftmaxFloat, avx2::kSoftmaxDouble);
    default: return pick(sse2::kSoftmaxFloat, sse2::kSoftmaxDouble);
  }
}

// `outer` blocks of n * inner elements; line (o, i) has its elements inner apart.
struct Lines {
  int64_t outer, n, inner;

  Lines(std::span<const int64_t> shape, int axis)
      : outer(sdk::size_of(shape.first(static_cast<size_t>(axis)))),
        n(shape[static_cast<size_t>(axis)]),
        inner(sdk::size_of(shape.subspan(static_cast<size_t>(axis) + 1))) {}
  int64_t count() const { return outer * inner; }
};

constexpr int64_t kLineGrain = 1 << 13;  // elements of a piece

// row(line, offset of its first element) for each line where they are rows, else columns(first
// line, offset, lines) for groups of up to kMostColumns that lie side by side.
template <class Row, class Columns>
void for_lines(const sdk::Run& run, const Lines& l, Row&& row, Columns&& columns) {
  if (l.count() == 0) return;
  const int64_t n = std::max<int64_t>(l.n, 1);
  if (l.inner == 1) {
    sdk::parallel_for(run, l.outer, std::max<int64_t>(1, kLineGrain / n),
                      [&](int64_t begin, int64_t end) {
                        for (int64_t line = begin; line < end; ++line) row(line, line * l.n);
                      });
    return;
  }
  const int64_t groups = (l.inner + kMostColumns - 1) / kMostColumns;
  const int64_t grain = std::max<int64_t>(1, kLineGrain / (n * std::min(l.inner, kMostColumns)));
  sdk::parallel_for(run, l.outer * groups, grain, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t o = k / groups, i = k % groups * kMostColumns;
      columns(o * l.inner + i, o * l.n * l.inner + i, std::min(kMostColumns, l.inner - i));
    }
  });
}

}  // namespace catena::cpu
