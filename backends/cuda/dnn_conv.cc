// Kernels of convolution_2d, deconvolution_2d and their gradients through cuDNN: which calls are
// taken, and what is remembered of those that were asked about.
#include <catena/op_attrs.hpp>

#include <cuda/capture.h>
#include <cuda/channels_last.h>
#include <cuda/dnn_conv_plan.h>
#include <cuda/native.h>

#include <map>

namespace catena::cuda {
namespace {

using sdk::Call;
using sdk::Run;

constexpr ConvRole kForward{Direction::kForward, attr::convolution_2d::stride,
                            attr::convolution_2d::pad, attr::convolution_2d::dilate,
                            attr::convolution_2d::groups};
constexpr ConvRole kSized{Direction::kForward, attr::convolution_2d_sized::stride,
                          attr::convolution_2d_sized::pad, attr::convolution_2d_sized::dilate,
                          attr::convolution_2d_sized::groups};
constexpr ConvRole kTransposed{Direction::kData, attr::deconvolution_2d::stride,
                               attr::deconvolution_2d::pad, attr::deconvolution_2d::dilate,
                               attr::deconvolution_2d::groups};
constexpr ConvRole kWeights{Direction::kWeights, attr::convolution_2d_weights::stride,
                            attr::convolution_2d_weights::pad, attr::convolution_2d_weights::dilate,
                            attr::convolution_2d_weights::groups};

// Whether cuDNN has an algorithm for kinds of calls; the plan that was made to find out waits here
// for the call to be planned. Bounded.
class KnownKinds {
 public:
  // NULL: it has.
  const char* ask(const ConvKind& kind, ctn_context ctx) {
    const ConvKind::Key key = kind.key();
    {
      const std::lock_guard lock(mutex_);
      if (const auto at = answers_.find(key); at != answers_.end()) return at->second.why;
    }
    Answer answer = find_out(kind, ctx);
    const char* const why = answer.why;
    if (!answer.lasts) return why;
    std::map<ConvKind::Key, Answer> gone;  // let go without the lock
    const std::lock_guard lock(mutex_);
    if (answers_.size() >= kMost) gone.swap(answers_);
    answers_.insert_or_assign(key, std::move(answer));
    return why;
  }
  std::unique_ptr<ConvPlan> take(const ConvKind& kind, ctn_context ctx) {
    Answer answer;
    {
      const std::lock_guard lock(mutex_);
      const auto at = answers_.find(kind.key());
      if (at != answers_.end()) {
        if (at->second.plan) return std::move(at->second.plan);
        answer.channels_last = at->second.channels_last;
        answer.choices = at->second.choices;
      }
    }
    if (!answer.choices.empty()) {  // another context has that plan
      answer.plan = std::make_unique<ConvPlan>(kind, answer.channels_last);
      answer.plan->choose(answer.choices);
    } else {
      answer = find_out(kind, ctx);
      if (answer.why) sdk::fail(CTN_EUNSUPPORTED, answer.why);
    }
    return std::move(answer.plan);
  }

 private:
  struct Answer {
    const char* why = nullptr;
    std::unique_ptr<ConvPlan> plan;
    bool lasts = true;  // it would be the same at another time
    bool channels_last = false;
    std::vector<ConvPlan::Choice> choices;  // of the plan
  };
  static Answer find_out(const ConvKind& kind, ctn_context ctx) {
    Answer answer;
    for (const bool channels_last : {true, false}) {
      if (channels_last && !kind.prefers_channels_last()) continue;
      answer = try_layout(kind, channels_last);
      if (!answer.why && kind.fuses_bias()) try_bias(kind, ctx, answer);
      if (!answer.why || !answer.lasts) break;
    }
    if (answer.why) answer.plan.reset();
    return answer;
  }
  static Answer try_layout(const ConvKind& kind, bool channels_last) {
    Answer answer;
    answer.channels_last = channels_last;
    try {
      answer.plan = std::make_unique<ConvPlan>(kind, channels_last);
      answer.why = answer.plan->choose();
    } catch (const sdk::Error& e) {
      if (e.status() != CTN_EUNSUPPORTED && e.status() != CTN_EINVAL) throw;
      answer.why = "cuDNN does not take such a convolution";
    }
    if (!answer.why) note_choices(answer);
    return answer;
  }
  static void try_bias(const ConvKind& kind, ctn_context ctx, Answer& answer) {
    try {
      answer.lasts = !is_capturing(device_of(kind.device));
      answer.why = answer.lasts ? answer.plan->try_bias(ctx)
                                : "a convolution with its bias is first tried outside of captures";
    } catch (const sdk::Error& e) {
      if (e.status() != CTN_ENOMEM) throw;
      answer.lasts = false;
      answer.why = "no memory to try a convolution with its bias";
    }
    if (!answer.why) note_choices(answer);
  }
  static void note_choices(Answer& answer) {
    const auto all = answer.plan->choices();
    answer.choices.assign(all.begin(), all.end());
  }

  static constexpr size_t kMost = 4096;
  std::mutex mutex_;
  std::map<ConvKind::Key, Answer> answers_;
};

KnownKinds& known() {
  static KnownKinds* const k = new KnownKinds;
  return *k;
}

template <const ConvRole& role>
const char* supports_conv(const Call& c) {
  const ConvSides s(c, role.direction);
  if (const char* why = declines_arrays(c, {s.x, s.w, s.y})) return why;
  if (c.has(2) && !sdk::same_dtype(c.in(2).dtype(), s.x.dtype())) return "dtypes differ";
  const ConvKind kind(c, role, s);
  if (!kind.is_moderate()) return "large steps or a large border";
  if (!kind.fits()) return "positions beyond the end of x";
  if (kind.fuses_bias() && role.direction == Direction::kData)
    return "cuDNN would round before the bias is added";
  return known().ask(kind, c.context());
}

// A plan of its own for each context: dropped with it.
struct State {
  std::unique_ptr<ConvPlan> plan;
};

template <const ConvRole& role>
void plan_conv(const Call& c, ctn_plan& plan, State& state) {
  const ConvKind kind(c, role, ConvSides(c, role.direction));
  state.plan = known().take(kind, c.context());
  // with a fused bias there is nothing to choose
  if (!kind.fuses_bias() && sdk::config(c.context(), "autotune")) state.plan->tune(c.context());
  plan.scratch_bytes = state.plan->workspace();
  const uint64_t layout = state.plan->channels_last() ? kChannelsLast : kPlain;
  plan.in_layouts[0] = plan.in_layouts[1] = plan.out_layouts[0] = layout;
  if (c.has(2)) plan.in_layouts[2] = kPlain;
}

template <const ConvRole& role>
void run_conv(const Run& run) {
  const ConvSides s(run, role.direction);
  const void* bias = run.has(2) ? dnn_input(run, run.in(2)) : nullptr;
  // the output is new memory, which is left where it is
  run.state<State>().plan->run(
      {dnn_input(run, s.x), dnn_input(run, s.w), dnn_input(run, s.y), bias}, run.planned_scratch());
  note_queued(run);
}

template <const ConvRole& role>
KernelRow row(std::string_view op) {
  return {op,
          sdk::kernel<run_conv<role>>,
          CTN_KERNEL_LAYOUT,
          sdk::supports<supports_conv<role>>,
          sdk::plan<plan_conv<role>, State>,
          sdk::drop<State>,
          kDnnPriority};
}

}  // namespace

ctn_status register_dnn_conv(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(
      host, plugin,
      {row<kForward>("convolution_2d"), row<kSized>("convolution_2d_sized"),
       row<kTransposed>("deconvolution_2d"), row<kWeights>("convolution_2d_weights")});
}

}  // namespace catena::cuda
