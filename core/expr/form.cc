// Form: a ctn_form with its storage, its hash, and its dump as text.
#include <bit>
#include <charconv>

#include "core/expr/expr.h"
#include "core/expr/graph.h"

namespace catena::expr {

namespace {

// FNV-1a over little-endian bytes, whatever the machine's order is.
class Hasher {
 public:
  template <class T>
  void add(T value) {
    for (size_t k = 0; k < sizeof value; ++k) {
      h_ = (h_ ^ (static_cast<uint64_t>(value) >> (8 * k) & 0xff)) * UINT64_C(0x100000001b3);
    }
  }
  void add(const ctn_program& p) {
    add(p.n);
    for (int32_t k = 0; k < p.n; ++k) {
      const ctn_inst& i = p.insts[k];
      add(i.op);
      add(i.type);
      add(i.a);
      add(i.b);
      add(i.c);
      add(i.imm.u);
    }
  }
  uint64_t value() const { return h_; }

 private:
  uint64_t h_ = UINT64_C(0xcbf29ce484222325);
};

uint64_t hash_of(const ctn_form& f) {
  Hasher h;
  h.add(f.version);
  h.add(f.n_args);
  h.add(f.n_scalars);
  h.add(f.n_acc);
  for (int32_t k = 0; k < f.n_args; ++k) {
    h.add(f.args[k].dtype);
    h.add(f.args[k].role);
  }
  for (int32_t k = 0; k < f.n_scalars; ++k) h.add(f.scalars[k]);
  for (int32_t k = 0; k < f.n_acc; ++k) {
    h.add(f.accs[k].type);
    h.add(f.accs[k].identity);
  }
  h.add(f.map);
  h.add(f.reduce);
  h.add(f.post);
  return h.value();
}

std::vector<ctn_inst> copy(const ctn_program& p) {
  return p.n == 0 ? std::vector<ctn_inst>() : std::vector<ctn_inst>(p.insts, p.insts + p.n);
}

ctn_program view(const std::vector<ctn_inst>& insts) {
  return {insts.data(), static_cast<int32_t>(insts.size()), 0};
}

std::string number(Slot v, int type) {
  if (type == CTN_BOOL8) return v.i != 0 ? "true" : "false";
  char text[32];
  char* end = text + sizeof text;
  std::to_chars_result r{};
  if (is_float(static_cast<Type>(type))) {
    // The shortest text that reads back as the same value of its own type.
    r = type == CTN_FLOAT32 ? std::to_chars(text, end, static_cast<float>(v.f))
                            : std::to_chars(text, end, v.f);
  } else {
    r = is_unsigned(static_cast<Type>(type)) ? std::to_chars(text, end, v.u)
                                             : std::to_chars(text, end, v.i);
  }
  return std::string(text, r.ptr);
}

void dump(std::string& out, const char* name, const ctn_program& p) {
  if (p.n == 0) return;
  out.append(name).append(":\n");
  for (int32_t k = 0; k < p.n; ++k) {
    const ctn_inst& i = p.insts[k];
    const OpInfo& info = op_info(i.op);
    const bool effect = i.op == CTN_X_STORE || i.op == CTN_X_YIELD;
    out += "  ";
    if (!effect) out.append("%").append(std::to_string(k)).append(" = ");
    out += info.name;
    if (!effect) out.append(" ").append(type_name(i.type));
    const bool numbered = effect || i.op == CTN_X_ARG || i.op == CTN_X_SCALAR ||
                          i.op == CTN_X_RAW || i.op == CTN_X_ACC || i.op == CTN_X_ITEM;
    if (numbered) out.append(" ").append(std::to_string(i.a));
    if (i.op == CTN_X_CONST) out.append(" ").append(number({.u = i.imm.u}, i.type));
    const Node n{i.op, i.type, i.a, i.b, i.c};
    for (int j = 0; j < info.operands; ++j) out.append(" %").append(std::to_string(operand(n, j)));
    out += "\n";
  }
}

}  // namespace

std::shared_ptr<const Form> Form::make(const ctn_form& form) {
  validate(form);
  const std::shared_ptr<Form> made(new Form());
  made->args_.assign(form.args, form.args + form.n_args);
  if (form.n_scalars > 0) made->scalars_.assign(form.scalars, form.scalars + form.n_scalars);
  if (form.n_acc > 0) made->accs_.assign(form.accs, form.accs + form.n_acc);
  made->map_ = copy(form.map);
  made->reduce_ = copy(form.reduce);
  made->post_ = copy(form.post);
  ctn_form& c = made->c_;
  c.size = sizeof c;
  c.version = form.version;
  c.n_args = form.n_args;
  c.n_scalars = form.n_scalars;
  c.n_acc = form.n_acc;
  c.args = made->args_.data();
  c.scalars = made->scalars_.data();
  c.accs = made->accs_.data();
  c.map = view(made->map_);
  c.reduce = view(made->reduce_);
  c.post = view(made->post_);
  c.hash = hash_of(c);
  return made;
}

std::string to_string(const ctn_form& form) {
  constexpr const char* kRoles[] = {"in", "out", "inout", "raw"};
  std::string out = "args:";
  for (int32_t k = 0; k < form.n_args; ++k) {
    out.append(k == 0 ? " " : ", ").append(kRoles[form.args[k].role]).append(" ");
    out += type_name(form.args[k].dtype);
  }
  for (int32_t k = 0; k < form.n_scalars; ++k) {
    out.append(k == 0 ? "; scalars: " : ", ").append(type_name(form.scalars[k]));
  }
  for (int32_t k = 0; k < form.n_acc; ++k) {
    const ctn_acc& a = form.accs[k];
    out.append(k == 0 ? "; accumulators: " : ", ").append(type_name(a.type)).append(" from ");
    out += number(from_bits(a.identity, a.type), a.type);
  }
  out += "\n";
  dump(out, "map", form.map);
  dump(out, "reduce", form.reduce);
  dump(out, "post", form.post);
  return out;
}

}  // namespace catena::expr
