// Which kernels a convolution gets: see conv_plan.h. By default all follows from the shape, and
// from whether there are threads to share the work. Where `autotune` is on, the choices are timed,
// once for each kind of call.
//
// Winograd's kernels (A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks,
// 2015) make 4 x 4 positions from 36 products for each channel and filter, where direct ones take
// 144. Parts of images transform all filters each, so that few positions do not pay.
#include <intel64/conv_plan.h>
#include <intel64/decisions.h>
#include <intel64/locks.h>

#include <catena/sdk/var.hpp>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <vector>

namespace catena::intel64 {

namespace {

constexpr int64_t kMostParts = 8;
constexpr int64_t kLeastSquares = 32;  // of a part of Winograd's kernels

int64_t channels_made(Direction direction, const ConvGeometry& g) {
  return direction == Direction::kData ? g.channels : g.filters;
}
int64_t channels_read(Direction direction, const ConvGeometry& g) {
  return direction == Direction::kData ? g.filters : g.channels;
}

// Up to `most` parts of one image, of at least `least` blocks of so many channels each; no blocks
// where it cannot be cut.
Parts cut_blocks(int64_t channels, const ConvGeometry& g, int64_t most, int64_t least,
                 bool powers_of_two) {
  constexpr double kLeastMacsOfPart = 4e6;
  const int64_t block = channel_block();
  if (g.groups != 1 || channels % block != 0) return {};
  Parts cuts{channels / block, 1};
  cuts.each = std::max(least, (cuts.images + most - 1) / most);
  const double of_block = g.macs / static_cast<double>(cuts.images);
  const auto suits = [&] {
    return (!powers_of_two || std::has_single_bit(static_cast<uint64_t>(cuts.count()))) &&
           of_block * static_cast<double>(cuts.each) >= kLeastMacsOfPart;
  };
  while (cuts.count() > 1 && !suits()) ++cuts.each;
  return cuts;
}

// Fewer of the parts that have sums of so many floats, where adding these up would not pay.
Parts parts_that_pay(Parts parts, int64_t floats, const ConvGeometry& g) {
  const auto costs = [&] { return (parts.count() - 1) * floats * kPositionsOfFloat; };
  while (parts.count() > 1 && static_cast<double>(costs()) > g.macs)
    parts.each = std::min(parts.images, 2 * parts.each);
  return parts;
}

Parts parts_of_images(Direction direction, const ConvSides& s, const ConvGeometry& g,
                      int64_t most) {
  Parts parts = cut_images(s.y.shape(0), s.y.shape(2) * s.y.shape(3), most);
  if (direction == Direction::kWeights) return parts_that_pay(parts, s.w.size(), g);
  if (parts.images >= 4) parts.each = std::max<int64_t>(parts.each, 2);  // one alone is slower
  return parts;
}

// What Winograd's kernels walk: the positions that are made, or those whose products make W.
const sdk::Tensor& walked(Direction direction, const ConvSides& s) {
  return direction == Direction::kData ? s.x : s.y;
}
// Squares of 4 x 4 of these in an image.
int64_t squares_of_image(Direction direction, const ConvSides& s) {
  const auto squares = [&](int k) { return (walked(direction, s).shape(k) + 3) / 4; };
  return squares(2) * squares(3);
}

// Parts of images that are as large as pays, and more of them where they can be twice that.
Parts parts_of_squares(Direction direction, const ConvSides& s, const ConvGeometry& g) {
  constexpr int64_t kMostOfLarge = 32;
  const int64_t squares = squares_of_image(direction, s), images = s.x.shape(0);
  if (direction == Direction::kWeights) {
    Parts parts = parts_of_images(direction, s, g, kMostParts);
    while (parts.count() > 1 && parts.each * squares < kLeastSquares)
      parts.each = std::min(images, 2 * parts.each);
    return parts;
  }
  const int64_t large = images * squares / (2 * kLeastSquares);
  const int64_t most = large >= kMostParts ? std::min(large, kMostOfLarge)
                                           : std::min(images * squares / kLeastSquares, kMostParts);
  const auto parts =
      static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(std::max<int64_t>(1, most))));
  return {images, (images + parts - 1) / parts};
}

}  // namespace

bool may_use_winograd(const sdk::Call& c, const ConvGeometry& g) {
  return channel_block() == 16 && g.is_dense_3x3() && g.channels % 16 == 0 && g.filters % 16 == 0 &&
         !sdk::config_is(c.context(), "use_winograd", "never");
}

// One image is cut by filters, or for the gradient of x by channels; where it has too few of these,
// by filters, as the shape says, for sums that are added up. Filters of several neighbours oneDNN
// sums up in the same order however much it does at once, but slower where that is little: there
// each thread does its share at once, for equal bits. Which kernel it has for wide windows depends
// on how much that is; their parts, as those of other sums, follow the shape alone.
ConvPlan::Choice ConvPlan::direct(Direction direction, const ConvSides& s, const ConvGeometry& g,
                                  int64_t threads) {
  constexpr int64_t kMostWindow = 5;
  const bool narrow =
      g.dilate == MdDims{0, 0} && g.window[0] <= kMostWindow && g.window[1] <= kMostWindow;
  const bool same_bits = direction != Direction::kWeights && g.taps > 1 && narrow;
  const int64_t fixed = direction == Direction::kForward || g.taps > 1 ? 4 : 2;
  const int64_t images = s.x.shape(0), channels = channels_made(direction, g);
  if (images == 1 && direction == Direction::kData &&
      cut_blocks(channels, g, fixed, 1, true).count() <= 1) {
    constexpr int64_t kMostFloats = 16 << 20;  // of further sums
    Parts sums = parts_that_pay(cut_blocks(g.filters, g, fixed, 1, true), s.x.size(), g);
    while (sums.count() > 1 && (sums.count() - 1) * s.x.size() > kMostFloats)
      sums.each = std::min(sums.images, 2 * sums.each);
    if (sums.count() > 1)
      return {"direct, summed", Algorithm::kDirect, sums, cut_of_sums(direction)};
  }
  if (same_bits && threads == 1) return {"direct", Algorithm::kDirect, {images, images}};
  if (images == 1) {
    const Parts cuts = cut_blocks(channels, g, same_bits ? threads : fixed, 1, !same_bits);
    if (cuts.count() > 1) return {"direct", Algorithm::kDirect, cuts, cut_of_blocks(direction)};
  }
  Parts parts = parts_of_images(direction, s, g, kMostParts);
  const int64_t image = (s.x.size() + s.y.size()) / images,
                share = (images + threads - 1) / threads;
  while (same_bits && parts.each < share && parts.each * image < s.w.size())
    parts.each = std::min(share, 2 * parts.each);
  return {"direct", Algorithm::kDirect, parts};
}

// What a part sums up follows from how large it is, and that from the shape alone. Parts of one
// image transform all that they read: they make at least a quarter as many channels.
ConvPlan::Choice ConvPlan::winograd(Direction direction, const ConvSides& s,
                                    const ConvGeometry& g) {
  constexpr const char* kName = "winograd, many parts";
  constexpr int64_t kMostCuts = 4;
  if (s.x.shape(0) == 1) {
    const int64_t quarter = (channels_read(direction, g) / channel_block() + 3) / 4;
    const Parts cuts = cut_blocks(channels_made(direction, g), g, kMostCuts, quarter, true);
    if (cuts.count() > 1) return {kName, Algorithm::kWinograd, cuts, cut_of_blocks(direction)};
  }
  return {kName, Algorithm::kWinograd, parts_of_squares(direction, s, g)};
}

// They take about half the time of direct kernels or of ours, which may be cut as finely as there
// are threads: with four parts they are not slower on eight threads.
bool ConvPlan::takes_winograd(const sdk::Call& c, const ConvRole& role, const ConvSides& s,
                              const ConvGeometry& g) {
  constexpr int64_t kLeastChannels = 32, kLeastParts = 4, kLeastSquaresOfImage = 48;
  constexpr double kLeastUse = 0.7;  // of the squares' positions
  if (!may_use_winograd(c, g) || std::min(g.channels, g.filters) < kLeastChannels) return false;
  const sdk::Tensor& made = walked(role.direction, s);
  const int64_t squares = squares_of_image(role.direction, s);
  const auto positions = static_cast<double>(made.shape(2) * made.shape(3));
  if (positions < kLeastUse * 16 * static_cast<double>(squares)) return false;
  const Choice choice = winograd(role.direction, s, g);
  if (choice.parts.count() < kLeastParts) return false;
  if (choice.cut == Cut::kImages ? choice.parts.each * squares < kLeastSquares
                                 : squares < kLeastSquaresOfImage)
    return false;
  const std::optional<uint64_t> scratch = scratch_of_compiled(c, role.direction, s, g, choice);
  if (!scratch) return false;
  ctn_memory_stats memory{};
  memory.size = sizeof memory;
  sdk::check(sdk::api().memory_get_stats(c.context(), &memory));
  return memory.limit == 0 || *scratch * kMostParts <= memory.limit / 2;
}

bool ConvPlan::is_compiled(const sdk::Call& c, const ConvRole& role, const ConvSides& s,
                           const ConvGeometry& g) {
  return RowConv::suits(role.direction, s, g) ||
         scratch_of_compiled(c, role.direction, s, g, direct(role.direction, s, g, kMostParts));
}

// Bytes for each part; nothing where oneDNN compiles no kernels for the choice.
std::optional<uint64_t> ConvPlan::scratch_of_compiled(const sdk::Call& c, Direction direction,
                                                      const ConvSides& s, const ConvGeometry& g,
                                                      const Choice& choice) {
  std::vector<int64_t> key = {static_cast<int64_t>(direction),
                              static_cast<int64_t>(choice.algorithm), g.groups, c.has(2)};
  for (const sdk::Tensor& t : {s.x, s.w, s.y})
    key.insert(key.end(), t.shape().begin(), t.shape().end());
  for (const MdDims* d : {&g.stride, &g.dilate, &g.low, &g.high})
    key.insert(key.end(), d->begin(), d->end());
  using Answer = std::optional<uint64_t>;
  static auto* known = new Known<std::optional<Answer>>(Lock::kCalls, 4096);
  if (const std::optional<Answer> answer = known->find(key)) return *answer;
  Answer scratch;
  ConvPlan p;
  p.direction_ = direction;
  p.bias_ = direction == Direction::kForward && c.has(2);
  if (g.fits && p.can_build(c, s, g, choice) && !p.full_->primitive.is_reference() &&
      !(p.last_ && p.last_->primitive.is_reference()))
    scratch = p.scratch_;
  known->add(std::move(key), scratch);
  return scratch;
}

// ---- building what was chosen

namespace {

std::string list(std::span<const int64_t> numbers) {
  std::string all;
  for (const int64_t n : numbers) all += (all.empty() ? "" : "x") + std::to_string(n);
  return all;
}

// Names the kind of call in files of decisions.
std::string name_of(Direction direction, const ConvSides& s, const ConvGeometry& g, bool bias,
                    const Epilogue& e) {
  static constexpr const char* kNames[] = {"forward", "data", "weights"};
  return sdk::text("convolution ", kNames[static_cast<int>(direction)], " float32 x ",
                   list(s.x.shape()), " W ", list(s.w.shape()), " y ", list(s.y.shape()),
                   " stride ", list(g.stride), " dilate ", list(g.dilate), " pad ", list(g.low),
                   " ", list(g.high), " groups ", g.groups, bias ? " bias" : "",
                   e.adds() ? " sum" : "", e.relu ? " relu" : "");
}

void tell(ctn_context ctx, std::string_view name, std::string_view choice, std::string_view why) {
  sdk::host->log(ctx, CTN_LOG_DEBUG, sdk::str("kernel"),
                 sdk::str(sdk::text(name, ": ", choice, ", ", why)));
}

// Zeros on the device of the call, whose memory is the host's: that of this backend.
class Room {
 public:
  Room(ctn_context ctx, ctn_device device, size_t bytes) {
    const int64_t floats[] = {static_cast<int64_t>(bytes / sizeof(float)) + 1};
    ctn_array a = nullptr;
    sdk::check(sdk::api().array_new_on(ctx, device, sdk::dtype_of(CTN_FLOAT32), 1, floats, &a));
    array_ = sdk::Array::take(a);
    std::memset(data(), 0, static_cast<size_t>(floats[0]) * sizeof(float));
  }
  void* data() const { return array_.view().data; }

 private:
  sdk::Array array_;
};

}  // namespace

// Of all parts, and of adding up what they sum, as timed on one thread, by all threads.
double ConvPlan::seconds(const sdk::Call& c, const ConvSides& s) const {
  const auto room = [&](size_t bytes) { return Room(c.context(), c.in(0).device(), bytes); };
  const auto whole = [&](const sdk::Tensor& t) {
    return room(describe(t.shape(), t.dtype(), image_layout(t.shape(1))).get_size());
  };
  const Room x = whole(s.x), y = whole(s.y), w = room(filters_.get_size());
  const Room b = room(static_cast<size_t>(s.w.shape(0)) * sizeof(float)), scratch = room(scratch_);
  const int64_t sums_of_parts = sums(), n = sums_of_parts > 1 ? sum_floats_ : 0;
  const Room other = room(static_cast<size_t>(n) * sizeof(float));
  const auto time = [](auto&& body) {
    double least = 1e30;
    for (int round = 0; round < 3; ++round) {  // the first one compiles
      const auto start = std::chrono::steady_clock::now();
      body();
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      least = std::min(least, took.count());
    }
    return least;
  };
  const int64_t threads = sdk::api().context_threads(c.context()), count = parts_.count();
  const double parts = time([&] {
    for (int64_t k = 0; k < count; ++k)
      run(k, x.data(), w.data(), y.data(), bias_ ? b.data() : nullptr, scratch.data());
  });
  const double adding = time([&] {
    void* sum = direction_ == Direction::kWeights ? w.data() : x.data();
    auto *to = static_cast<float*>(sum), *from = static_cast<float*>(other.data());
    for (int64_t k = 1; k < sums_of_parts; ++k)
      for (int64_t i = 0; i < n; ++i) to[i] += from[i];
  });
  const int64_t in_turn = (count + threads - 1) / threads;
  return parts * static_cast<double>(in_turn) / static_cast<double>(count) +
         adding / static_cast<double>(threads);
}

bool ConvPlan::can_build(const sdk::Call& c, const ConvSides& s, const ConvGeometry& g,
                         const Choice& choice) {
  try {
    build(c, s, g, choice);
    return true;
  } catch (const sdk::Error& e) {
    if (e.status() != CTN_EUNSUPPORTED) throw;
    return false;
  }
}

// A decision that was loaded and cannot be followed counts as none.
void ConvPlan::build_fastest(const sdk::Call& c, const ConvSides& s, const ConvGeometry& g,
                             std::span<const Choice> choices) {
  const std::string name = name_of(direction_, s, g, bias_, epilogue_);
  const std::string_view decided = find_decision(c.context(), name);
  for (const Choice& choice : choices)
    if (choice.name == decided && can_build(c, s, g, choice))
      return tell(c.context(), name, decided, "as decided before");
  const Choice* best = nullptr;
  double least = 0;
  std::string times;
  for (const Choice& choice : choices) {
    if (!can_build(c, s, g, choice)) continue;
    times += sdk::text(times.empty() ? "" : ", ", choice.name);
    double took = 0;
    try {
      took = seconds(c, s);
    } catch (const sdk::Error& e) {
      if (e.status() != CTN_ENOMEM) throw;
      times += " no memory";
      continue;
    }
    times += sdk::text(" ", took * 1e3, " ms");
    if (best && took >= least) continue;
    best = &choice;
    least = took;
  }
  build(c, s, g, best ? *best : choices[0]);
  if (!best) return tell(c.context(), name, choices[0].name, "not timed: " + times);
  add_decision(c.context(), name, best->name);
  const int64_t threads = sdk::api().context_threads(c.context());
  tell(c.context(), name, best->name,
       sdk::text("the fastest: ", times, " on ", threads, threads == 1 ? " thread" : " threads"));
}

void ConvPlan::build_chosen(const sdk::Call& c, const ConvRole& role, const ConvSides& s,
                            const ConvGeometry& g) {
  constexpr int64_t kMostLargeParts = 2;
  const bool rows = RowConv::suits(direction_, s, g);
  const Choice ours{.name = "rows", .cut = Cut::kRows};
  const Choice plain = direct(direction_, s, g, sdk::api().context_threads(c.context()));
  if (sdk::config(c.context(), "autotune") && may_use_winograd(c, g)) {
    const Choice many = winograd(direction_, s, g);
    const Choice large{"winograd, large parts", Algorithm::kWinograd,
                       parts_of_images(direction_, s, g, kMostLargeParts)};
    const Choice choices[] = {ours, plain, many, large};
    return build_fastest(c, s, g, std::span(choices).subspan(rows ? 0 : 1));
  }
  Choice chosen = rows ? ours : plain;
  if (const Choice many = winograd(direction_, s, g);
      takes_winograd(c, role, s, g) && can_build(c, s, g, many))
    chosen = many;
  else
    build(c, s, g, chosen);
  tell(c.context(), name_of(direction_, s, g, bias_, epilogue_), chosen.name, "by its shape");
}

}  // namespace catena::intel64
