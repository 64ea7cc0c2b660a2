// Ops: the kind, inputs with their dtype classes, outputs, and, for expression ops, the parsed row.
#include <algorithm>
#include <array>

#include "core/adopt.h"
#include "core/checks.h"
#include "core/define.h"
#include "core/expr/expr.h"
#include "core/file.h"

namespace catena {
namespace {

constexpr uint32_t bits(std::initializer_list<int> dtypes) {
  uint32_t mask = 0;
  for (const int d : dtypes) mask |= 1u << d;
  return mask;
}
constexpr uint32_t kSigned = bits({CTN_INT8, CTN_INT16, CTN_INT32, CTN_INT64});
constexpr uint32_t kUnsigned = bits({CTN_UINT8, CTN_UINT16, CTN_UINT32, CTN_UINT64});
constexpr uint32_t kNumeric = kFloating | kSigned | kUnsigned;
constexpr uint32_t kAll = kNumeric | bits({CTN_BOOL8});

[[noreturn]] void refuse(const Op& op, const std::string& why) {
  fail(CTN_EINVAL, "op " + op.name + ": " + why);
}

uint32_t class_mask(char letter) {
  switch (letter) {
    case 'f': return kFloating;
    case 'i': return kSigned;
    case 'u': return kUnsigned;
    case 'b': return bits({CTN_BOOL8});
    case 'n': return kNumeric;
    case 'a': return kAll;
    default: return 0;
  }
}

// "f", "fi", "float32|int32", "f|bool"; 0 if it is none of these.
uint32_t dtype_mask(std::string_view type) {
  uint32_t mask = 0;
  while (true) {
    const std::string_view part = type.substr(0, type.find('|'));
    const int32_t dtype = dtype_from_name(part);
    uint32_t part_mask = dtype >= 0 ? 1u << dtype : 0;
    for (const char letter : dtype >= 0 ? std::string_view() : part) {
      if (class_mask(letter) == 0) return 0;
      part_mask |= class_mask(letter);
    }
    if (part_mask == 0) return 0;
    mask |= part_mask;
    if (part.size() == type.size()) return mask;
    type.remove_prefix(part.size() + 1);
  }
}

void check_identifier(const std::string& name, const Op& op) {
  if (name[0] >= '0' && name[0] <= '9')
    refuse(op, "the name " + quoted(name) + " starts with a digit");
}

InputDef define_input(const ctn_input_def& def, const Op& op, Arena& arena) {
  InputDef in;
  in.name = checked_name(def.name, kWord, "op " + op.name + ": input name");
  check_identifier(in.name, op);
  check_flags(def.flags, CTN_IN_OPTIONAL | CTN_IN_VARIADIC | CTN_IN_NO_GRAD,
              "op " + op.name + ": input " + in.name);
  in.flags = def.flags;
  const std::string_view text = view(checked_text(def.type, arena, "op " + op.name));
  const size_t colon = text.find(':');
  in.type = text.substr(0, colon);
  in.var = colon == text.npos ? "T" : text.substr(colon + 1);
  in.dtypes = dtype_mask(in.type);
  if (in.dtypes == 0 || !is_name(in.var, kWord, 16) || in.var[0] < 'A' || in.var[0] > 'Z') {
    refuse(op, "input " + in.name + ": type " + quoted(text) +
                   " is no dtype class such as f, fi, float32|int32 or f:U");
  }
  return in;
}

void define_inputs(Op& op, const ctn_op_def& def, Arena& arena) {
  check_array(def.in, def.n_in, "op " + op.name + ": inputs");
  for (int32_t i = 0; i < def.n_in; ++i) {
    op.in.push_back(define_input(def.in[i], op, arena));
    const uint32_t flags = op.in.back().flags;
    const bool variadic = (flags & CTN_IN_VARIADIC) != 0;
    if (variadic && i + 1 != def.n_in) {
      refuse(op, "input " + op.in.back().name + " is variadic, but not the last");
    }
    op.variadic |= variadic;
    if ((flags & CTN_IN_OPTIONAL) == 0) op.min_in = i + 1;
  }
}

void define_outputs(Op& op, const ctn_op_def& def, Arena& arena) {
  check_array(def.out, def.n_out, "op " + op.name + ": outputs");
  if (def.n_out == 0) refuse(op, "it has no output");
  for (int32_t i = 0; i < def.n_out; ++i) {
    OutputDef out;
    out.name = checked_name(def.out[i].name, kWord, "op " + op.name + ": output name");
    check_identifier(out.name, op);
    check_flags(def.out[i].flags, CTN_OUT_HIDDEN, "op " + op.name + ": output " + out.name);
    out.flags = def.out[i].flags;
    out.type = view(checked_text(def.out[i].type, arena, "op " + op.name));
    if (out.type.starts_with('=')) {
      for (size_t k = 0; k < op.in.size(); ++k) {
        if (op.in[k].name == out.type.substr(1)) out.like = static_cast<int32_t>(k);
      }
    }
    out.dtype = dtype_from_name(out.type);
    const bool open = out.type.empty() && def.map.n == 0;  // infer or compose decides
    if (out.like < 0 && out.dtype < 0 && !open) {
      refuse(op, "output " + out.name + ": type " + quoted(out.type) +
                     " is neither a dtype nor = and an input");
    }
    if ((out.flags & CTN_OUT_HIDDEN) == 0) {
      if (op.n_visible != i) refuse(op, "output " + out.name + " stands behind a hidden one");
      ++op.n_visible;
    }
    op.out.push_back(std::move(out));
  }
  if (op.n_visible == 0) refuse(op, "all of its outputs are hidden");
}

// Exactly one kind, and nothing that only another kind has.
void check_kind(const Op& op, const ctn_op_def& def) {
  const bool expression = def.map.n != 0;
  if (expression + (def.compose != nullptr) + (def.infer != nullptr) != 1) {
    refuse(op, "exactly one of map, compose and infer must be set");
  }
  if (!expression && def.grad.n + def.reduce.n + def.post.n + def.identity.n != 0) {
    refuse(op, "grad, reduce, post and identity belong to an op with map");
  }
  if (expression && (def.backward || def.count)) {
    refuse(op, "an expression has neither backward nor count");
  }
  if (expression && std::any_of(op.in.begin(), op.in.end(), [](const InputDef& in) {
        return (in.flags & (CTN_IN_VARIADIC | CTN_IN_OPTIONAL)) != 0;
      })) {
    refuse(op, "an expression has no variadic or optional input");
  }
  if (def.compose && def.backward) refuse(op, "a composite is differentiated through its parts");
  const bool nodiff = (op.flags & CTN_OP_NODIFF) != 0;
  if (def.infer && !nodiff && !def.backward) {
    refuse(op, "a primitive needs backward or the flag CTN_OP_NODIFF");
  }
}

// The mask with its last bit spread over all members of a variadic list; refuses bits beyond it.
uint64_t checked_mask(const Op& op, uint64_t mask, size_t n, bool open, const char* what) {
  const uint64_t known = n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
  if ((mask & ~known) != 0) refuse(op, std::string(what) + " has bits for what there is not");
  if (open && n > 0 && (mask >> (n - 1) & 1u) != 0) mask |= ~known;
  return mask;
}

// Whether `name` occurs as a word of `text`.
bool mentions(std::string_view text, std::string_view name) {
  for (size_t at = text.find(name); at != text.npos; at = text.find(name, at + 1)) {
    const size_t end = at + name.size();
    const bool starts = at == 0 || kWord.find(text[at - 1]) == kWord.npos;
    const bool ends = end == text.size() || kWord.find(text[end]) == kWord.npos;
    if (starts && ends) return true;
  }
  return false;
}

std::string param_type(const InputDef& in) {
  for (int32_t d = 0; d < CTN_DTYPE_COUNT; ++d) {
    if (in.dtypes == 1u << d) return std::string(dtype_name(d));
  }
  return in.var;
}

// The type of a scalar by the kinds of its attribute: empty leaves it to the arrays. What takes
// floats and integers as they come has the dtype of the first input, so that an int64 is exact.
std::string scalar_type(const Op& op, uint64_t kinds) {
  const bool integer = (kinds & CTN_KIND_BIT(CTN_INT)) != 0;
  if ((kinds & CTN_KIND_BIT(CTN_FLOAT)) != 0)
    return integer && !op.in.empty() ? param_type(op.in[0]) : "";
  return integer ? "int64" : "bool";
}

void check_variables(const Op& op) {
  for (const InputDef& a : op.in) {
    for (const InputDef& b : op.in) {
      if (a.var == b.var && a.dtypes != b.dtypes && param_type(a) == a.var &&
          param_type(b) == b.var) {
        refuse(op, "inputs " + a.name + " and " + b.name + " share the type variable " + a.var +
                       " but accept different dtypes; give one a variable of its own, as in i:U");
      }
    }
  }
}

void define_row(Op& op) {
  constexpr uint64_t kScalars =
      CTN_KIND_BIT(CTN_FLOAT) | CTN_KIND_BIT(CTN_INT) | CTN_KIND_BIT(CTN_BOOL);
  check_variables(op);
  const ctn_op_def& def = op.def;
  expr::Source source;
  for (const InputDef& in : op.in) source.in.push_back({in.name, param_type(in)});
  for (const OutputDef& out : op.out) {
    source.out.push_back(
        {out.name, out.like < 0 ? out.type : source.in[static_cast<size_t>(out.like)].type});
  }
  for (size_t i = 0; i < op.attrs.size(); ++i) {
    const AttrDef& attr = op.attrs[i];
    if ((attr.kinds & ~CTN_REQUIRED & ~kScalars) != 0) continue;
    const std::array texts = {def.map, def.grad, def.reduce, def.post, def.identity};
    if (std::none_of(texts.begin(), texts.end(),
                     [&](ctn_str text) { return mentions(view(text), attr.name); })) {
      continue;
    }
    source.scalars.push_back({attr.name, scalar_type(op, attr.kinds)});
    op.scalar_attrs.push_back(static_cast<int32_t>(i));
  }
  source.map = view(def.map);
  source.grad = view(def.grad);
  source.reduce = view(def.reduce);
  source.post = view(def.post);
  source.identity = view(def.identity);
  op.row = expr::Row::parse(source, op.name);
  if ((op.flags & CTN_OP_NODIFF) == 0) {
    op.retain_in = op.row->grad_reads_in();
    op.retain_out = op.row->grad_reads_out();
  }
}

void copy_texts(Op& op, const ctn_op_def& def, Arena& arena) {
  const std::string who = "op " + op.name;
  op.def = def;
  op.def.in = nullptr;
  op.def.out = nullptr;
  op.def.attrs = nullptr;
  op.def.checks = nullptr;
  for (ctn_str* text : {&op.def.name, &op.def.doc, &op.def.page, &op.def.label, &op.def.map,
                        &op.def.grad, &op.def.reduce, &op.def.post, &op.def.identity}) {
    *text = checked_text(*text, arena, who);
  }
  op.doc = view(op.def.doc);
  op.page = view(op.def.page);
  op.label = op.def.label.n != 0 ? view(op.def.label) : std::string_view(op.name);
}

void define_checks(Op& op, const ctn_op_def& def, Arena& arena) {
  check_array(def.checks, def.n_checks, "op " + op.name + ": checks");
  for (int32_t i = 0; i < def.n_checks; ++i) {
    op.check_texts.emplace_back(view(checked_text(def.checks[i], arena, "op " + op.name)));
  }
  op.checks = TypeChecks::parse(op);
}

void check_names(const Op& op) {
  std::vector<std::string_view> names;
  for (const InputDef& in : op.in) names.push_back(in.name);
  for (const OutputDef& out : op.out) names.push_back(out.name);
  for (const AttrDef& attr : op.attrs) names.push_back(attr.name);
  check_distinct(names, "op " + op.name);
}

}  // namespace

std::unique_ptr<Op> define(const ctn_op_def* given, Arena& arena) {
  const ctn_op_def def = adopt(given, "ctn_op_def");
  auto op = std::make_unique<Op>();
  op->name = checked_name(def.name, kLowerDot, "op name");
  check_flags(def.flags,
              CTN_OP_NODIFF | CTN_OP_RANDOM | CTN_OP_ONCE | CTN_OP_SAME_SHAPE | CTN_OP_INTERNAL,
              "op " + op->name);
  op->flags = def.flags;
  copy_texts(*op, def, arena);
  define_inputs(*op, def, arena);
  define_outputs(*op, def, arena);
  op->attrs = define_attrs(def.attrs, def.n_attrs, arena, "op " + op->name);
  check_names(*op);
  check_kind(*op, def);
  op->retain_in = checked_mask(*op, def.retain_in, op->in.size(), op->variadic, "retain_in");
  op->retain_out =
      checked_mask(*op, def.retain_out, op->out.size(), def.count != nullptr, "retain_out");
  if (def.map.n != 0) define_row(*op);
  define_checks(*op, def, arena);
  return op;
}

}  // namespace catena
