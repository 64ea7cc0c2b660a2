// What timing decided about convolutions through cuDNN, kept with the context so that it can be
// saved and replayed: for this model of GPU and this cuDNN.
#include <cuda/dnn_conv_plan.h>

#include <algorithm>
#include <charconv>

namespace catena::cuda {
namespace {

// What is not printable in the GPU's name becomes a space.
std::string scope_of(const Device& d) {
  std::string name = d.model;
  std::ranges::replace_if(
      name, [](char c) { return c < 0x20 || c > 0x7e; }, ' ');
  return sdk::text("cuda; cuDNN ", dnn_version(), "; ", name);
}

std::string list(std::span<const int64_t> numbers) {
  std::string all;
  for (const int64_t n : numbers) all += (all.empty() ? "" : "x") + std::to_string(n);
  return all;
}

// All that the choice depends on.
std::string name_of(const ConvKind& k, bool channels_last) {
  static constexpr const char* kNames[] = {"forward", "data", "weights"};
  static constexpr const char* kMath[] = {"default", "tensor", "converting", "fma"};
  return sdk::text("convolution ", kNames[static_cast<int>(k.direction)], " ",
                   sdk::dtype_name(k.dtype), channels_last ? " channels last" : "", " x ",
                   list(k.x), " W ", list(k.w), " y ", list(k.y), " stride ", list(k.stride),
                   " dilate ", list(k.dilate), " pad ", list(k.pad), " groups ", k.groups, " math ",
                   kMath[static_cast<int>(k.math)], " workspace ", k.workspace,
                   k.deterministic ? " deterministic" : "", k.winograd ? "" : " no winograd");
}

void tell(ctn_context ctx, std::string_view name, std::string_view choice, const char* why) {
  sdk::host->log(ctx, CTN_LOG_DEBUG, sdk::str("kernel"),
                 sdk::str(sdk::text(name, ": ", choice, ", ", why)));
}

// "algorithm 1 math 3"; false for anything else.
bool parse(std::string_view text, int& algorithm, int& math) {
  const auto number = [&](std::string_view before, int& to) {
    if (!text.starts_with(before)) return false;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data() + before.size(), last, to);
    text = std::string_view(end, static_cast<size_t>(last - end));
    return error == std::errc();
  };
  return number("algorithm ", algorithm) && number(" math ", math) && text.empty();
}

}  // namespace

void ConvPlan::tune(ctn_context ctx) {
  const std::string scope = scope_of(handle_->device()), name = name_of(kind_, channels_last_);
  ctn_str known{};
  sdk::check(sdk::host->tuning_find(ctx, sdk::str(scope), sdk::str(name), &known));
  int algorithm = 0, math = 0;
  if (parse(sdk::view(known), algorithm, math) && take_known(algorithm, math))
    return tell(ctx, name, sdk::view(known), "as decided before");
  try {
    choose_fastest(ctx);
  } catch (const sdk::Error& e) {
    if (e.status() != CTN_ENOMEM) throw;
    return tell(ctx, name, "the best foretold", "not timed: no memory");
  }
  const std::string choice = sdk::text("algorithm ", choices_.front().algorithm, " math ",
                                       static_cast<int>(choices_.front().math));
  sdk::check(sdk::host->tuning_add(ctx, sdk::str(scope), sdk::str(name), sdk::str(choice)));
  tell(ctx, name, choice, "the fastest");
}

}  // namespace catena::cuda
