// Plans of convolutions: see conv_plan.h; which kernels they get: conv_choice.cc.
#include <intel64/conv_plan.h>
#include <intel64/locks.h>

#include <catena/sdk/var.hpp>

#include <algorithm>
#include <deque>
#include <vector>

namespace catena::intel64 {

namespace {

constexpr size_t kMostScratch = 64 << 20;  // of a part of Winograd's kernels

// A number for a format of filters that is no layout of ours, and none of their numbers: the same
// each time, as long as the format is among the latest.
uint64_t key_of_foreign(const Md& format) {
  constexpr size_t kMost = 256;
  struct Latest {
    std::deque<Md> formats;
    uint64_t first = ~uint64_t{0};  // the key of the oldest; those of the next ones are lower by 1
  };
  static auto* known = new Latest;
  const std::lock_guard lock(process_lock(Lock::kFormats));
  const auto at = std::ranges::find(known->formats, format);
  const auto index = static_cast<uint64_t>(at - known->formats.begin());
  const uint64_t key = known->first - index;
  if (at != known->formats.end()) return key;
  known->formats.push_back(format);
  if (known->formats.size() > kMost) {
    known->formats.pop_front();
    --known->first;
  }
  return key;
}

Md images(const sdk::Tensor& t, int64_t n, int64_t channels) {
  const int64_t shape[] = {n, channels, t.shape(2), t.shape(3)};
  return describe(shape, t.dtype(), image_layout(t.shape(1)));
}

size_t scratch_of(const Conv& part) { return (part.primitive.scratch_bytes() + 63) / 64 * 64; }

}  // namespace

// size: images or blocks.
Conv ConvPlan::conv_of(const ConvSides& s, const ConvGeometry& g, Algorithm a, int64_t size) const {
  const int64_t n = cut_ == Cut::kImages ? size : 1, width = size * channel_block();
  const int64_t filters = cut_ == Cut::kFilters ? width : s.w.shape(0);
  const int64_t channels = cut_ == Cut::kChannels ? width : s.w.shape(1);
  const int64_t w[] = {filters, channels, s.w.shape(2), s.w.shape(3)};
  ConvDesc desc{images(s.x, n, cut_ == Cut::kChannels ? channels : s.x.shape(1)),
                describe_filters(w, g.groups, true),
                images(s.y, n, cut_ == Cut::kFilters ? filters : s.y.shape(1)),
                bias_ ? Md({filters}, Type::f32, Tag::x) : Md(),
                g.stride,
                g.dilate,
                g.low,
                g.high,
                epilogue_.adds(),
                epilogue_.relu};
  return make_conv(direction_, a, desc);
}

// The format of all filters, of which parts have a share each; false if theirs cannot be joined.
bool ConvPlan::find_whole_filters(const ConvSides& s, const ConvGeometry& g) {
  filters_ = full_->w;
  full_slice_.reset();
  last_slice_.reset();
  if (cut_ == Cut::kImages) return !last_ || last_->w == full_->w;
  const bool by_filters = cut_ == Cut::kFilters;
  const auto layout = [&](const Conv& conv, int64_t blocks) {
    int64_t part[] = {s.w.shape(0), s.w.shape(1), s.w.shape(2), s.w.shape(3)};
    part[by_filters ? 0 : 1] = blocks * channel_block();
    return filter_layout(conv.w, part, g.groups);
  };
  uint64_t whole = layout(*full_, parts_.each);
  if (whole == kPlain || (last_ && layout(*last_, parts_.rest()) != whole)) return false;
  const bool slices = !by_filters && !has_channels_outermost(whole);
  if (by_filters && !has_filters_outermost(whole)) return false;
  if (slices) whole = filter_layout();
  filters_ = describe(s.w.shape(), s.w.dtype(), whole);
  if (slices) full_slice_ = slice_of(s, *full_, parts_.each);
  if (slices && last_) last_slice_ = slice_of(s, *last_, parts_.rest());
  return true;
}

ConvPlan::Slice ConvPlan::slice_of(const ConvSides& s, const Conv& part, int64_t blocks) const {
  return with_onednn("filters of some channels", [&]() -> Slice {
    const MdDims shape{s.w.shape(0), blocks * channel_block(), s.w.shape(2), s.w.shape(3)};
    const Md from = filters_.submemory_desc(shape, MdDims(4, 0));
    return {from, make_reorder(from, part.w)};
  });
}

// How far each array goes on from part to part.
void ConvPlan::find_steps(const ConvSides& s) {
  const auto step = [](bool moves, const Md& md) {
    return moves ? static_cast<int64_t>(md.get_size()) : int64_t{0};
  };
  x_bytes_ = step(cut_ != Cut::kFilters, full_->x);
  w_bytes_ = step(cut_ != Cut::kImages, full_->w);
  y_bytes_ = step(cut_ != Cut::kChannels, full_->y);
  b_bytes_ = step(cut_ == Cut::kFilters, full_->b);
  const Md* const made[] = {&full_->y, &full_->x, &filters_};
  sum_floats_ =
      static_cast<int64_t>(made[static_cast<int>(direction_)]->get_size() / sizeof(float));
  if (!full_slice_) return;
  const int64_t block = channel_block();
  w_bytes_ /= (s.w.shape(0) + block - 1) / block;  // those of one block of filters
}

void ConvPlan::build(const sdk::Call& c, const ConvSides& s, const ConvGeometry& g,
                     const Choice& choice) {
  parts_ = choice.parts;
  cut_ = choice.cut;
  rows_.reset();
  full_.reset();
  last_.reset();
  if (cut_ == Cut::kRows) {
    rows_.emplace(direction_, s, g, sdk::api().context_threads(c.context()));
    parts_ = {rows_->parts(), 1};
    filters_ = describe(s.w.shape(), s.w.dtype(), rows_->filter_layout());
    scratch_ = 0;
    sum_floats_ = 0;
    return;
  }
  full_ = conv_of(s, g, choice.algorithm, parts_.each);
  if (parts_.rest() != 0) last_ = conv_of(s, g, choice.algorithm, parts_.rest());
  const int64_t images = s.x.shape(0);
  const bool winograd = choice.algorithm == Algorithm::kWinograd;
  if (!find_whole_filters(s, g)) {  // one format for all parts
    if (winograd) sdk::fail(CTN_EUNSUPPORTED, "parts have filters in different formats");
    return build(c, s, g, {choice.name, choice.algorithm, {images, images}});
  }
  scratch_ = scratch_of(*full_);
  if (last_) scratch_ = std::max(scratch_, scratch_of(*last_));
  if (full_slice_) scratch_ += full_->w.get_size();
  if (winograd && scratch_ > kMostScratch)
    sdk::fail(CTN_EUNSUPPORTED, "a part needs ", scratch_, " bytes of scratch");
  find_steps(s);
}

void ConvPlan::make(const sdk::Call& c, const ConvRole& role, ctn_plan& plan) {
  direction_ = role.direction;
  epilogue_ = Epilogue::of(c);
  bias_ = direction_ == Direction::kForward && (c.has(2) || epilogue_.folds());
  const ConvSides s(c, direction_);
  const ConvGeometry g(c, role, s);
  build_chosen(c, role, s, g);

  const uint64_t x = image_layout(s.x.shape(1)), y = image_layout(s.y.shape(1));
  const uint64_t w = filter_layout(filters_, s.w.shape(), g.groups);
  plain_filters_ = describe_filters(s.w.shape(), g.groups, false);
  const bool foreign = w == kPlain && plain_filters_ != filters_;
  packs_ = foreign || epilogue_.folds();
  filter_key_ = foreign ? key_of_foreign(filters_) : w;
  const uint64_t sides[][3] = {{x, w, y}, {y, w, x}, {x, y, w}};  // two inputs, the output
  const uint64_t(&layouts)[3] = sides[static_cast<int>(direction_)];
  plan.in_layouts[0] = layouts[0];
  plan.in_layouts[1] = layouts[1];
  plan.out_layouts[0] = layouts[2];
  for (int k = 2; k < c.n_in(); ++k) plan.in_layouts[k] = kPlain;
  if (epilogue_.folds()) {
    plan.in_layouts[1] = kPlain;
    filter_key_ ^= uint64_t{1} << 63;  // what is kept has factors before the filters
  }
  if (epilogue_.adds()) {
    plan.in_layouts[epilogue_.addend] = y;
    plan.onto = static_cast<uint32_t>(epilogue_.addend) + 1;
  }
  const bool made = direction_ == Direction::kWeights;
  if (packs_)
    pack_ = made ? make_reorder(filters_, plain_filters_) : make_reorder(plain_filters_, filters_);
  const bool keeps = !c.followers().empty();  // what it packs, from run to run
  const int64_t floats = (packs_ && !keeps ? filter_floats() : 0) + (sums() - 1) * sum_floats();
  plan.scratch_bytes = static_cast<uint64_t>(floats) * sizeof(float);
}

void ConvPlan::pack(const void* from, void* to) const {
  const bool made = direction_ == Direction::kWeights;
  pack_.run({{DNNL_ARG_FROM, made ? filters_ : plain_filters_, from},
             {DNNL_ARG_TO, made ? plain_filters_ : filters_, to}},
            nullptr);
}

int64_t ConvPlan::filter_floats() const {
  return static_cast<int64_t>(filters_.get_size() / sizeof(float));
}

void ConvPlan::run(int64_t part, const void* x, const void* w, const void* y, const void* b,
                   void* scratch) const {
  if (rows_) {
    const bool data = direction_ == Direction::kData;
    const auto floats = [](const void* p) { return static_cast<const float*>(p); };
    float* to = const_cast<float*>(floats(data ? x : y));
    return rows_->run(part, floats(data ? y : x), floats(w), to, floats(b), epilogue_);
  }
  static constexpr int kRoles[][3] = {
      {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
      {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
      {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
  };
  const int(&roles)[3] = kRoles[static_cast<int>(direction_)];
  const Conv& c = conv(part);
  const auto at = [part](const void* p, int64_t step) {
    return static_cast<const char*>(p) + part * step;
  };
  const char* filters = at(w, w_bytes_);
  if (full_slice_) {
    const Slice& slice = &c == &*full_ ? *full_slice_ : *last_slice_;
    char* packed = static_cast<char*>(scratch) + scratch_of(c);
    slice.reorder.run({{DNNL_ARG_FROM, slice.from, filters}, {DNNL_ARG_TO, c.w, packed}}, nullptr);
    filters = packed;
  }
  const Primitive::Arg args[] = {
      {roles[0], c.x, at(x, x_bytes_)},
      {roles[1], c.w, filters},
      {roles[2], c.y, at(y, y_bytes_)},
      {DNNL_ARG_BIAS, c.b, at(b, b_bytes_)},
  };
  c.primitive.run(std::span(args, c.b.get_size() != 0 ? 4u : 3u), scratch);
}

}  // namespace catena::intel64
