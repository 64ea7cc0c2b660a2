// Update rules and hooks as data: see rule.h.
#include "core/rule.h"

#include <bit>
#include <map>
#include <mutex>

#include "core/expr/plain.h"

namespace catena {
namespace {

std::vector<expr::Param> params(const std::vector<std::string>& names, std::string_view type,
                                bool inout = false) {
  std::vector<expr::Param> out;
  out.reserve(names.size());
  for (const std::string& name : names) out.push_back({name, std::string(type), inout});
  return out;
}

// One entry per registered class, made at its first use and kept for the life of the process.
template <class Class, class Entry>
Class& cached(const Entry& entry, std::unique_ptr<Class> (*make)(const Entry&)) {
  static auto* mutex = new std::mutex;
  static auto* classes = new std::map<const Entry*, std::unique_ptr<Class>>;
  std::lock_guard lock(*mutex);
  std::unique_ptr<Class>& slot = (*classes)[&entry];
  if (!slot) slot = make(entry);
  return *slot;
}

}  // namespace

ScalarProgram::ScalarProgram(std::string_view text, const std::vector<std::string>& inputs,
                             std::string_view what) {
  if (text.empty()) return;
  outputs_ = expr::assigned_names(text, what);
  expr::Source source;
  source.scalars = params(inputs, "float64");
  source.out = params(outputs_, "float64");
  source.map = text;
  const auto row = expr::Row::parse(source, what);
  form_ = row->specialize(std::vector<uint8_t>(outputs_.size(), CTN_FLOAT64));
}

void ScalarProgram::run(std::vector<double>& values) const {
  if (outputs_.empty()) return;
  const size_t n_in = values.size();
  std::vector<uint64_t> bits;
  bits.reserve(n_in);
  for (const double v : values) bits.push_back(std::bit_cast<uint64_t>(v));
  values.resize(n_in + outputs_.size());
  std::vector<void*> data;
  data.reserve(outputs_.size());
  for (size_t k = 0; k < outputs_.size(); ++k) data.push_back(&values[n_in + k]);
  const std::vector<int64_t> counts(data.size());
  ctn_launch l{};
  l.size = sizeof l;
  l.data = data.data();
  l.counts = counts.data();
  l.scalars = bits.data();
  expr::run_plain(form_->c(), l);
}

ArrayProgram::ArrayProgram(std::string_view text, const std::vector<std::string>& in,
                           const std::vector<std::string>& inout,
                           const std::vector<std::string>& scalars, std::string_view what)
    : n_arrays_(in.size() + inout.size()) {
  expr::Source source;
  source.in = params(in, "T");
  source.out = params(inout, "T", true);
  source.scalars = params(scalars, "");
  source.map = text;
  row_ = expr::Row::parse(source, what);
}

std::unique_ptr<ArrayProgram> ArrayProgram::sum(std::string_view map,
                                                const std::vector<std::string>& in,
                                                const std::vector<std::string>& scalars,
                                                std::string_view what) {
  expr::Source source;
  source.in = params(in, "T");
  source.out = params({"sum_"}, "float64");
  source.scalars = params(scalars, "");
  source.map = map;
  source.reduce = "a + b";
  source.post = "sum_ = a";
  source.identity = "0";
  std::unique_ptr<ArrayProgram> p(new ArrayProgram);
  p->n_arrays_ = in.size();
  p->sum_ = true;
  p->row_ = expr::Row::parse(source, what);
  return p;
}

const Compiled& ArrayProgram::compiled(int dtype) {
  std::vector<uint8_t> dtypes(n_arrays_, static_cast<uint8_t>(dtype));
  if (sum_) dtypes.push_back(CTN_FLOAT64);
  return forms_.get(*row_, dtypes);
}

void ArrayProgram::bits(const Compiled& c, std::span<const double> values,
                        std::vector<uint64_t>& out) const {
  out.clear();
  const ctn_form& form = c.c();
  for (size_t k = 0; k < static_cast<size_t>(form.n_scalars); ++k)
    out.push_back(scalar_bits(form.scalars[k], values[k]));
}

namespace {

int32_t hyper_index(const OptimizerEntry& entry, ctn_str name) {
  for (size_t k = 0; k < entry.attrs.size(); ++k)
    if (name.n != 0 && entry.attrs[k].name == view(name)) return static_cast<int32_t>(k);
  return -1;
}

std::unique_ptr<RuleClass> make_rule(const OptimizerEntry& entry) {
  auto rule = std::make_unique<RuleClass>();
  rule->entry = &entry;
  rule->when = hyper_index(entry, entry.def.when);
  rule->nonzero = hyper_index(entry, entry.def.nonzero);
  for (const AttrDef& hyper : entry.attrs) rule->numbers.push_back(hyper.name);
  rule->numbers.push_back("t");
  rule->scalars = ScalarProgram(view(entry.def.scalars), rule->numbers, entry.name + ": scalars");
  for (const std::string& name : rule->scalars.outputs()) rule->numbers.push_back(name);
  std::vector<std::string> some = {"param"}, all = {"param"};
  for (int32_t k = 0; k < entry.def.n_state; ++k) {
    const ctn_state_def& state = entry.def.state[k];
    std::string name(view(state.name));
    if (name == "i" || name == "n") name += '_';
    all.push_back(name);
    if ((state.flags & CTN_STATE_WHEN) == 0) some.push_back(name);
  }
  rule->update =
      std::make_unique<ArrayProgram>(view(entry.def.update), std::vector<std::string>{"grad"}, some,
                                     rule->numbers, entry.name + ": update");
  if (rule->when >= 0)
    rule->update_when = std::make_unique<ArrayProgram>(view(entry.def.update_when),
                                                       std::vector<std::string>{"grad"}, all,
                                                       rule->numbers, entry.name + ": update_when");
  return rule;
}

std::unique_ptr<HookClass> make_hook(const HookEntry& entry) {
  auto hook = std::make_unique<HookClass>();
  hook->entry = &entry;
  if (entry.def.call) return hook;
  constexpr uint64_t kNumeric =
      CTN_KIND_BIT(CTN_FLOAT) | CTN_KIND_BIT(CTN_INT) | CTN_KIND_BIT(CTN_BOOL);
  std::vector<std::string> numbers;
  for (size_t k = 0; k < entry.attrs.size(); ++k) {
    if ((entry.attrs[k].kinds & ~(kNumeric | CTN_REQUIRED)) != 0) continue;
    hook->numeric.push_back(k);
    numbers.push_back(entry.attrs[k].name);
  }
  const std::vector<std::string> attrs = numbers;
  for (int32_t k = 0; k < entry.def.n_sums; ++k) {
    const ctn_sum_def& sum = entry.def.sums[k];
    hook->sums.push_back(ArrayProgram::sum(view(sum.map), {"param", "grad"}, attrs,
                                           entry.name + ": sum " + std::string(view(sum.name))));
    numbers.emplace_back(view(sum.name));
  }
  numbers.push_back("t");
  hook->scalars = ScalarProgram(view(entry.def.scalars), numbers, entry.name + ": scalars");
  for (const std::string& name : hook->scalars.outputs()) numbers.push_back(name);
  hook->update = std::make_unique<ArrayProgram>(
      view(entry.def.update), std::vector<std::string>{"param"}, std::vector<std::string>{"grad"},
      numbers, entry.name + ": update");
  return hook;
}

}  // namespace

RuleClass& RuleClass::of(const OptimizerEntry& entry) {
  return cached<RuleClass>(entry, make_rule);
}
HookClass& HookClass::of(const HookEntry& entry) { return cached<HookClass>(entry, make_hook); }

}  // namespace catena
