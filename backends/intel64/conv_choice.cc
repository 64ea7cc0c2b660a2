// Which kernels a convolution gets: see conv_plan.h. By default all follows from the shape, and from
// whether there are threads to share the work. Where `autotune` is on, the choices are timed, once
// for each kind of call.
//
// Winograd's kernels (A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, 2015)
// make 4 x 4 positions from 36 products for each channel and filter, where direct ones take 144.
// Each part transforms all filters, so that few positions do not pay.
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
// Of Winograd's kernels:
constexpr int64_t kMostLargeParts = 2;
constexpr int64_t kLeastSquares = 32;         // of a part
constexpr int64_t kLeastSquaresOfImage = 48;  // where each part transforms all of one image
constexpr size_t kMostScratch = 64 << 20;     // of a part

// Up to `most` parts of blocks of channels, for one image; none where they cannot be cut.
Parts cut_blocks(const ConvGeometry& g, int64_t channels, int64_t most, bool powers_of_two) {
  constexpr double kLeastMacsOfPart = 4e6;
  const int64_t block = channel_block();
  if (g.groups != 1 || channels % block != 0) return {};
  Parts cuts{channels / block, 1};
  cuts.each = (cuts.images + most - 1) / most;
  const double of_block = g.macs / static_cast<double>(cuts.images);
  const auto suits = [&] {
    return (!powers_of_two || std::has_single_bit(static_cast<uint64_t>(cuts.count()))) &&
           of_block * static_cast<double>(cuts.each) >= kLeastMacsOfPart;
  };
  while (cuts.count() > 1 && !suits()) ++cuts.each;
  return cuts;
}

// Squares of positions that Winograd's kernels make at once, of what they make.
int64_t squares_of_image(Direction direction, const ConvSides& s) {
  const sdk::Tensor& made = direction == Direction::kData ? s.x : s.y;
  const auto squares = [&](int k) { return (made.shape(k) + 3) / 4; };
  return squares(2) * squares(3);
}

}  // namespace

bool may_use_winograd(const sdk::Call& c, const ConvGeometry& g) {
  return channel_block() == 16 && g.is_dense_3x3() && g.channels % 16 == 0 && g.filters % 16 == 0 &&
         !sdk::config_is(c.context(), "use_winograd", "never");
}

// Gradients of filters are added up over the parts: as many as pay.
Parts ConvPlan::default_parts(const ConvSides& s, const ConvGeometry& g, int64_t most) const {
  Parts parts = cut_images(s.y.shape(0), s.y.shape(2) * s.y.shape(3), most);
  if (direction_ != Direction::kWeights) {
    if (parts.images >= 4) parts.each = std::max<int64_t>(parts.each, 2);  // one alone is slower
    return parts;
  }
  const auto costs = [&] { return (parts.count() - 1) * s.w.size() * kPositionsOfFloat; };
  while (parts.count() > 1 && static_cast<double>(costs()) > g.macs)
    parts.each = std::min(parts.images, 2 * parts.each);
  return parts;
}

// One image is cut by filters, or for the gradient of x by channels. Filters of several neighbours
// oneDNN sums up in the same order however much it does at once, but slower where that is little:
// there each thread does its share at once, for equal bits. Which kernel it has for wide windows
// depends on how much that is; their parts, as those of other sums, follow the shape alone.
ConvPlan::Choice ConvPlan::direct(const ConvSides& s, const ConvGeometry& g,
                                  int64_t threads) const {
  constexpr int64_t kMostWindow = 5;
  const bool data = direction_ == Direction::kData;
  const bool narrow =
      g.dilate == MdDims{0, 0} && g.window[0] <= kMostWindow && g.window[1] <= kMostWindow;
  const bool same_bits = direction_ != Direction::kWeights && g.taps > 1 && narrow;
  const int64_t fixed = direction_ == Direction::kForward || g.taps > 1 ? 4 : 2;
  const int64_t most = same_bits ? threads : fixed;
  const int64_t images = s.x.shape(0);
  if (same_bits && threads == 1) return {"direct", Algorithm::kDirect, {images, images}};
  if (images == 1) {
    const Parts cuts = cut_blocks(g, data ? g.channels : g.filters, most, !same_bits);
    if (cuts.count() > 1)
      return {"direct", Algorithm::kDirect, cuts, data ? Cut::kChannels : Cut::kFilters};
  }
  Parts parts = default_parts(s, g, kMostParts);
  const int64_t image = (s.x.size() + s.y.size()) / images,
                share = (images + threads - 1) / threads;
  while (same_bits && parts.each < share && parts.each * image < s.w.size())
    parts.each = std::min(share, 2 * parts.each);
  return {"direct", Algorithm::kDirect, parts};
}

// Their sums follow the part, which follows the shape alone.
ConvPlan::Choice ConvPlan::winograd(const ConvSides& s, const ConvGeometry& g) const {
  constexpr int64_t kMostCuts = 4;
  const bool data = direction_ == Direction::kData;
  if (s.x.shape(0) == 1) {
    const Parts cuts = cut_blocks(g, data ? g.channels : g.filters, kMostCuts, true);
    if (cuts.count() > 1)
      return {"winograd", Algorithm::kWinograd, cuts, data ? Cut::kChannels : Cut::kFilters};
  }
  Parts parts = default_parts(s, g, kMostParts);
  const int64_t squares = squares_of_image(direction_, s);
  while (parts.count() > 1 && parts.each * squares < kLeastSquares)
    parts.each = std::min(parts.images, 2 * parts.each);
  return {"winograd", Algorithm::kWinograd, parts};
}

bool ConvPlan::is_compiled(const sdk::Call& c, const ConvRole& role, const ConvSides& s,
                           const ConvGeometry& g) {
  return RowConv::suits(role.direction, s, g) ||
         is_compiled(c, role.direction, s, g, Algorithm::kDirect);
}

bool ConvPlan::takes_winograd(const sdk::Call& c, const ConvRole& role, const ConvSides& s,
                              const ConvGeometry& g) {
  constexpr int64_t kLeastChannels = 32, kLeastParts = 4;
  if (!may_use_winograd(c, g) || std::min(g.channels, g.filters) < kLeastChannels) return false;
  const bool data = role.direction == Direction::kData;
  const sdk::Tensor& made = data ? s.x : s.y;
  const int64_t squares = squares_of_image(role.direction, s);
  // Much of the last squares may be thrown away.
  if (10 * made.shape(2) * made.shape(3) < 7 * 16 * squares) return false;
  ConvPlan p;
  p.direction_ = role.direction;
  const Choice choice = p.winograd(s, g);
  const Parts& parts = choice.parts;
  if (choice.cut != Cut::kImages) {  // each part transforms all that it reads
    const int64_t read = data ? g.filters : g.channels;
    if (squares < kLeastSquaresOfImage || 4 * parts.each * channel_block() < read) return false;
  } else {  // our gradients of filters can be cut at will, direct kernels by images
    const bool weights = role.direction == Direction::kWeights;
    const int64_t rivals = weights ? kLeastParts : p.default_parts(s, g, kMostParts).count();
    if (parts.each * squares < kLeastSquares || parts.count() < std::min(kLeastParts, rivals))
      return false;
  }
  return is_compiled(c, role.direction, s, g, Algorithm::kWinograd);
}

// Of Winograd's kernels also: and no part needs much scratch.
bool ConvPlan::is_compiled(const sdk::Call& c, Direction direction, const ConvSides& s,
                           const ConvGeometry& g, Algorithm algorithm) {
  std::vector<int64_t> key = {static_cast<int64_t>(direction), static_cast<int64_t>(algorithm),
                              g.groups, c.has(2)};
  for (const sdk::Tensor& t : {s.x, s.w, s.y})
    key.insert(key.end(), t.shape().begin(), t.shape().end());
  for (const MdDims* d : {&g.stride, &g.dilate, &g.low, &g.high})
    key.insert(key.end(), d->begin(), d->end());
  static auto* known = new Known<std::optional<bool>>(Lock::kCalls, 4096);
  if (const std::optional<bool> answer = known->find(key)) return *answer;
  bool compiled = false;
  try {
    ConvPlan p;
    p.direction_ = direction;
    p.bias_ = direction == Direction::kForward && c.has(2);
    const bool winograd = algorithm == Algorithm::kWinograd;
    p.build(c, s, g, winograd ? p.winograd(s, g) : p.direct(s, g, kMostParts));
    compiled = !p.full_->primitive.is_reference() && (!winograd || p.scratch_ <= kMostScratch);
    if (p.last_) compiled = compiled && !p.last_->primitive.is_reference();
  } catch (const sdk::Error& e) {
    if (e.status() != CTN_EUNSUPPORTED) throw;
  }
  known->add(std::move(key), compiled);
  return compiled;
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

// Of all parts, as timed on one thread, by all threads.
double ConvPlan::seconds(const sdk::Call& c, const ConvSides& s) const {
  const auto room = [&](size_t bytes) { return Room(c.context(), c.in(0).device(), bytes); };
  const auto whole = [&](const sdk::Tensor& t) {
    return room(describe(t.shape(), t.dtype(), image_layout(t.shape(1))).get_size());
  };
  const Room x = whole(s.x), y = whole(s.y), w = room(filters_.get_size());
  const Room b = room(static_cast<size_t>(s.w.shape(0)) * sizeof(float)), scratch = room(scratch_);
  const int64_t threads = sdk::api().context_threads(c.context()), count = parts_.count();
  const int64_t in_turn = (count + threads - 1) / threads;
  double least = 1e30;
  for (int round = 0; round < 3; ++round) {  // the first one compiles
    const auto start = std::chrono::steady_clock::now();
    for (int64_t k = 0; k < count; ++k)
      run(k, x.data(), w.data(), y.data(), bias_ ? b.data() : nullptr, scratch.data());
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    least = std::min(least, took.count());
  }
  return least * static_cast<double>(in_turn) / static_cast<double>(count);
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

void ConvPlan::build_first(const sdk::Call& c, const ConvSides& s, const ConvGeometry& g,
                           std::span<const Choice> choices) {
  const Choice* last = &choices.back();
  const Choice* choice = &choices.front();
  while (choice != last && !can_build(c, s, g, *choice)) ++choice;
  if (choice == last) build(c, s, g, *last);
  if (choice->algorithm == Algorithm::kWinograd)
    tell(c.context(), name_of(direction_, s, g, bias_, epilogue_), choice->name, "by its shape");
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
    const double took = seconds(c, s);
    times += sdk::text(times.empty() ? "" : ", ", choice.name, " ", took * 1e3, " ms");
    if (best && took >= least) continue;
    best = &choice;
    least = took;
  }
  if (!best) best = &choices[0];
  build(c, s, g, *best);
  add_decision(c.context(), name, best->name);
  tell(c.context(), name, best->name, sdk::text("the fastest: ", times));
}

void ConvPlan::build_chosen(const sdk::Call& c, const ConvRole& role, const ConvSides& s,
                            const ConvGeometry& g) {
  const int64_t threads = sdk::api().context_threads(c.context());
  std::vector<Choice> choices;
  const bool takes = takes_winograd(c, role, s, g);
  if (takes) choices.push_back(winograd(s, g));
  if (RowConv::suits(direction_, s, g)) choices.push_back({.name = "rows", .cut = Cut::kRows});
  choices.push_back(direct(s, g, threads));
  if (sdk::config(c.context(), "autotune") && may_use_winograd(c, g)) {
    const Parts large = default_parts(s, g, kMostLargeParts);
    if (!takes) choices.push_back(winograd(s, g));
    choices.push_back({"winograd, large parts", Algorithm::kWinograd, large});
    build_fastest(c, s, g, choices);
  } else {
    build_first(c, s, g, choices);
  }
}

}  // namespace catena::intel64
