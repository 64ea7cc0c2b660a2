// What is decided once for a convolution of certain shapes: layouts, formats of filters, parts and
// algorithm; and running a part.
#pragma once

#include <intel64/conv_geometry.h>
#include <intel64/conv_rows.h>
#include <intel64/epilogue.h>
#include <intel64/layouts.h>
#include <intel64/onednn.h>
#include <intel64/parts.h>

#include <optional>

namespace catena::intel64 {

// Whether oneDNN may have Winograd's kernels for it, and `use_winograd` allows them: `autotune`
// times them then.
bool may_use_winograd(const sdk::Call& c, const ConvGeometry& g);

class ConvPlan {
 public:
  // Whether oneDNN compiles kernels for such a call; what it has for the others (borders wider than
  // the filter, steps along with dilation) is slow. Asked once for each kind of call.
  static bool is_compiled(const sdk::Call& c, const ConvRole& role, const ConvSides& s,
                          const ConvGeometry& g);
  // Whether Winograd's kernels are taken where nothing is timed: large images or many of them, in
  // at least four parts, and memory for these where the context has a limit.
  static bool takes_winograd(const sdk::Call& c, const ConvRole& role, const ConvSides& s,
                             const ConvGeometry& g);
  // Also fills the layouts and the scratch of `plan`.
  void make(const sdk::Call& c, const ConvRole& role, ctn_plan& plan);

  const Parts& parts() const { return parts_; }
  // Results of parts that are added up: the gradient of W over images, that of x over filters.
  int64_t sums() const { return cut_ == cut_of_sums(direction_) ? parts_.count() : 1; }
  int64_t sum_floats() const { return sum_floats_; }  // of one of them
  size_t scratch() const { return scratch_; }         // of a part
  const Epilogue& epilogue() const { return epilogue_; }
  // Filters come plain and are in no numbered format for oneDNN.
  bool packs() const { return packs_; }
  // Tells the format apart from others of the same filters.
  uint64_t filter_key() const { return filter_key_; }
  // Filters between plain and oneDNN's format.
  void pack(const void* from, void* to) const;
  int64_t filter_floats() const;  // as oneDNN has them

  // One part. x and y are whole arrays, w and b all filters, but what is computed is written to the
  // sum of this part where there are several.
  void run(int64_t part, const void* x, const void* w, const void* y, const void* b,
           void* scratch) const;

 private:
  // Parts are images; where there is one, blocks of y's channels or of x's, which are those of W:
  // of those that are made or, where they cannot be cut, of those that are summed up.
  // kRows: those of RowConv, whatever the rest of a choice says.
  enum class Cut { kImages, kFilters, kChannels, kRows };
  struct Choice {
    const char* name;  // in files of decisions: it never comes to mean another thing
    Algorithm algorithm = Algorithm::kDirect;
    Parts parts = {};
    Cut cut = Cut::kImages;
  };
  void build(const sdk::Call& c, const ConvSides& s, const ConvGeometry& g, const Choice& choice);
  static Cut cut_of_blocks(Direction direction) {
    return direction == Direction::kData ? Cut::kChannels : Cut::kFilters;
  }
  static Cut cut_of_sums(Direction direction) {
    constexpr Cut kCuts[] = {Cut::kChannels, Cut::kFilters, Cut::kImages};
    return kCuts[static_cast<int>(direction)];
  }
  // False where oneDNN has no such kernel, or Winograd's need too much scratch.
  bool can_build(const sdk::Call& c, const ConvSides& s, const ConvGeometry& g,
                 const Choice& choice);
  void build_chosen(const sdk::Call& c, const ConvRole& role, const ConvSides& s,
                    const ConvGeometry& g);
  void build_fastest(const sdk::Call& c, const ConvSides& s, const ConvGeometry& g,
                     std::span<const Choice> choices);
  double seconds(const sdk::Call& c, const ConvSides& s) const;
  Conv conv_of(const ConvSides& s, const ConvGeometry& g, Algorithm a, int64_t size) const;
  bool find_whole_filters(const ConvSides& s, const ConvGeometry& g);
  void find_steps(const ConvSides& s);
  static std::optional<uint64_t> scratch_of_compiled(const sdk::Call& c, Direction direction,
                                                     const ConvSides& s, const ConvGeometry& g,
                                                     const Choice& choice);
  static Choice direct(Direction direction, const ConvSides& s, const ConvGeometry& g,
                       int64_t threads);
  static Choice winograd(Direction direction, const ConvSides& s, const ConvGeometry& g);
  const Conv& conv(int64_t part) const {
    return parts_.rest() != 0 && part == parts_.count() - 1 ? *last_ : *full_;
  }

  Direction direction_ = Direction::kForward;
  // Brings the filters of a part's channels into its format, where they lie apart in all filters.
  struct Slice {
    Md from;
    Primitive reorder;
  };
  Slice slice_of(const ConvSides& s, const Conv& part, int64_t blocks) const;

  Parts parts_;
  std::optional<Conv> full_, last_;  // of a part, of the last one where that is smaller
  std::optional<Slice> full_slice_, last_slice_;
  std::optional<RowConv> rows_;  // in place of these
  Cut cut_ = Cut::kImages;
  Md filters_;  // of all parts
  size_t scratch_ = 0;
  int64_t x_bytes_ = 0, w_bytes_ = 0, y_bytes_ = 0, b_bytes_ = 0;  // from part to part
  int64_t sum_floats_ = 0;
  bool packs_ = false;
  uint64_t filter_key_ = 0;
  Epilogue epilogue_;
  bool bias_ = false;  // numbers that are added for each filter
  Md plain_filters_;
  Primitive pack_;
};

}  // namespace catena::intel64
