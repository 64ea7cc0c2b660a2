// Links, optimizers, hooks and initializers.
#include <algorithm>

#include "core/adopt.h"
#include "core/define.h"

namespace catena {
namespace {

[[noreturn]] void refuse(const std::string& who, const std::string& why) {
  fail(CTN_EINVAL, who + ": " + why);
}

// What the four have in common; `attrs` is read from the copy that was adopted. flags: the known
// ones.
template <class Def>
std::unique_ptr<Entry<Def>> start(const Def* given, const char* type, const char* what,
                                  uint32_t flags, Arena& arena) {
  auto e = std::make_unique<Entry<Def>>();
  e->def = adopt(given, type);
  e->name = checked_name(e->def.name, kWord, std::string(what) + " name");
  const std::string who = std::string(what) + " " + e->name;
  check_flags(e->def.flags, flags, who);
  for (ctn_str* text : {&e->def.name, &e->def.doc, &e->def.page}) {
    *text = checked_text(*text, arena, who);
  }
  e->doc = view(e->def.doc);
  e->page = view(e->def.page);
  return e;
}

// The same attributes as an array whose texts are the arena's.
const ctn_attr_def* attr_array(const std::vector<AttrDef>& attrs, Arena& arena) {
  ctn_attr_def* out = arena.make<ctn_attr_def>(attrs.size());
  for (size_t i = 0; i < attrs.size(); ++i) {
    const AttrDef& a = attrs[i];
    out[i] = {str(arena.copy(std::string_view(a.name))), a.kinds, a.fallback,
              str(arena.copy(std::string_view(a.doc))),  0,       0};
  }
  return out;
}

template <class Def>
void take_attrs(Entry<Def>& e, const char* what, Arena& arena) {
  e.attrs = define_attrs(e.def.attrs, e.def.n_attrs, arena, std::string(what) + " " + e.name);
  e.def.attrs = attr_array(e.attrs, arena);
}

bool has_hyper(const OptimizerEntry& e, ctn_str name, uint64_t kind) {
  return std::any_of(e.attrs.begin(), e.attrs.end(), [&](const AttrDef& h) {
    return h.name == view(name) && (h.kinds & CTN_KIND_BIT(kind)) != 0;
  });
}

// What a text may name beside attributes: one name, one meaning.
std::vector<std::string_view> reserved_names(const std::vector<AttrDef>& attrs) {
  std::vector<std::string_view> names = {"param", "grad", "t"};
  for (const AttrDef& a : attrs) names.push_back(a.name);
  return names;
}

void check_rule(const OptimizerEntry& e, const std::string& who) {
  constexpr uint64_t kNumber = CTN_KIND_BIT(CTN_FLOAT) | CTN_KIND_BIT(CTN_INT);
  std::vector<std::string_view> names = reserved_names(e.attrs);
  for (const AttrDef& h : e.attrs) {
    const uint64_t kinds = h.kinds & ~CTN_REQUIRED;  // a float may be given as an int
    if (kinds != CTN_KIND_BIT(CTN_BOOL) &&
        ((kinds & ~kNumber) != 0 || (kinds & CTN_KIND_BIT(CTN_FLOAT)) == 0)) {
      refuse(who, "hyperparameter " + h.name + " is no float or bool");
    }
  }
  const ctn_optimizer_def& d = e.def;
  for (int32_t i = 0; i < d.n_state; ++i) {
    names.push_back(view(d.state[i].name));
    if ((d.state[i].flags & CTN_STATE_WHEN) != 0 && d.when.n == 0) {
      refuse(who, "a state with CTN_STATE_WHEN, but no 'when'");
    }
  }
  check_distinct(names, who);
  if (d.update.n == 0) refuse(who, "update is empty");
  if ((d.when.n != 0) != (d.update_when.n != 0)) refuse(who, "when and update_when come together");
  if (d.when.n != 0 && !has_hyper(e, d.when, CTN_BOOL)) refuse(who, "when names no bool");
  if (d.nonzero.n != 0 && !has_hyper(e, d.nonzero, CTN_FLOAT)) {
    refuse(who, "nonzero names no hyperparameter");
  }
}

// Data or a callback, not both and not neither.
void check_hook(const HookEntry& e, const std::string& who) {
  const ctn_hook_def& d = e.def;
  if ((d.call != nullptr) == (d.update.n != 0)) refuse(who, "either call or update must be set");
  if (d.call && (d.n_sums != 0 || d.scalars.n != 0)) {
    refuse(who, "sums and scalars belong to a hook with update");
  }
  std::vector<std::string_view> names = reserved_names(e.attrs);
  for (int32_t i = 0; i < d.n_sums; ++i) names.push_back(view(d.sums[i].name));
  check_distinct(names, who);
}

}  // namespace

std::unique_ptr<LinkEntry> define(const ctn_link_def* given, Arena& arena) {
  auto e = start(given, "ctn_link_def", "link", 0, arena);
  take_attrs(*e, "link", arena);
  const std::string who = "link " + e->name;
  if (e->def.n_in < -1 || e->def.n_in > kMostItems) refuse(who, "n_in is out of range");
  if (e->def.n_out < 1 || e->def.n_out > kMostItems) refuse(who, "n_out is out of range");
  if (!e->def.call) refuse(who, "call is NULL");
  return e;
}

std::unique_ptr<OptimizerEntry> define(const ctn_optimizer_def* given, Arena& arena) {
  auto e = start(given, "ctn_optimizer_def", "optimizer", 0, arena);
  const std::string who = "optimizer " + e->name;
  e->attrs = define_attrs(e->def.hyper, e->def.n_hyper, arena, who);
  e->def.hyper = attr_array(e->attrs, arena);
  check_array(e->def.state, e->def.n_state, who + ": states");
  const auto n = static_cast<size_t>(e->def.n_state);
  ctn_state_def* states = arena.make<ctn_state_def>(n);
  for (size_t i = 0; i < n; ++i) {
    states[i] = e->def.state[i];
    checked_name(states[i].name, kWord, who + ": state name");
    states[i].name = arena.copy(states[i].name);
    check_flags(states[i].flags, CTN_STATE_WHEN,
                who + ": state " + std::string(view(states[i].name)));
  }
  e->def.state = states;
  for (ctn_str* text :
       {&e->def.scalars, &e->def.update, &e->def.when, &e->def.update_when, &e->def.nonzero}) {
    *text = checked_text(*text, arena, who);
  }
  check_rule(*e, who);
  return e;
}

std::unique_ptr<HookEntry> define(const ctn_hook_def* given, Arena& arena) {
  auto e = start(given, "ctn_hook_def", "hook", CTN_HOOK_PER_PARAM | CTN_HOOK_POST, arena);
  take_attrs(*e, "hook", arena);
  const std::string who = "hook " + e->name;
  check_array(e->def.sums, e->def.n_sums, who + ": sums");
  const auto n = static_cast<size_t>(e->def.n_sums);
  ctn_sum_def* sums = arena.make<ctn_sum_def>(n);
  for (size_t i = 0; i < n; ++i) {
    checked_name(e->def.sums[i].name, kWord, who + ": name of a sum");
    const ctn_sum_def& given_sum = e->def.sums[i];
    if (given_sum.flags != 0) refuse(who, "a sum has unknown flags");
    sums[i] = {arena.copy(given_sum.name), checked_text(given_sum.map, arena, who), 0, 0};
  }
  e->def.sums = sums;
  e->def.scalars = checked_text(e->def.scalars, arena, who);
  e->def.update = checked_text(e->def.update, arena, who);
  check_hook(*e, who);
  return e;
}

std::unique_ptr<InitializerEntry> define(const ctn_initializer_def* given, Arena& arena) {
  auto e = start(given, "ctn_initializer_def", "initializer", 0, arena);
  take_attrs(*e, "initializer", arena);
  if (!e->def.fill) refuse("initializer " + e->name, "fill is NULL");
  return e;
}

}  // namespace catena
