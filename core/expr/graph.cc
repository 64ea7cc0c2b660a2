// Making, sharing and finding live nodes; the rewriting rules are in simplify.cc.
#include "core/expr/graph.h"

#include <utility>

#include "core/error.h"

namespace catena::expr {

namespace {

bool commutes(int op) {
  switch (op) {
    case CTN_X_ADD:
    case CTN_X_MUL:
    case CTN_X_EQ:
    case CTN_X_NE:
    case CTN_X_AND:
    case CTN_X_OR:
    case CTN_X_XOR: return true;
    default: return false;
  }
}

}  // namespace

int32_t& operand(Node& n, int j) {
  if (n.op == CTN_X_RAW || n.op == CTN_X_STORE || n.op == CTN_X_YIELD) return n.b;
  return j == 0 ? n.a : j == 1 ? n.b : n.c;
}

size_t Graph::Hash::operator()(const Key& k) const {
  uint64_t h = 0;
  for (const uint64_t word :
       {uint64_t{k.n.op} << 16 | k.n.type, static_cast<uint64_t>(k.n.a),
        static_cast<uint64_t>(k.n.b), static_cast<uint64_t>(k.n.c), k.n.imm.u}) {
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 29;
  }
  return h;
}

int Graph::emit(const Node& node) {
  Node n = node;
  const int known = simplify(n);
  if (known >= 0) return known;
  // One order for operands that may swap, so that both orders are shared; constants come second.
  if (commutes(n.op)) {
    const auto rank = [&](int32_t v) { return std::pair(is_const(v), v); };
    if (rank(n.b) < rank(n.a)) std::swap(n.a, n.b);
  }
  const auto [at, fresh] = index_.try_emplace(Key{n}, size());
  if (fresh) {
    if (size() >= kMaxNodes)
      fail(CTN_EINVAL,
           "expression is too long: more than " + std::to_string(kMaxNodes) + " operations");
    nodes_.push_back(n);
  }
  return at->second;
}

int Graph::constant(Type type, Type held, Slot imm) {
  if (type < kFirstSymbolic) {
    imm = cast_value(imm, computed(held), computed(type));
    held = type;
  }
  return emit({CTN_X_CONST, type, held, 0, 0, imm});
}

int Graph::cast(int v, Type type) {
  const Node& n = at(v);
  if (n.type == type) return v;
  // A constant of symbolic type has yet to be converted to it: 2.5 is 2 in an integer type.
  const bool settled = n.op == CTN_X_CONST && n.type == n.a;
  return settled ? constant(type, n.type, n.imm) : unary(CTN_X_CAST, type, v);
}

std::vector<bool> Graph::live() const {
  std::vector<bool> used(nodes_.size(), false);
  for (const Effect& e : effects) used[static_cast<size_t>(e.value)] = true;
  for (size_t v = nodes_.size(); v-- > 0;) {
    if (!used[v]) continue;
    for (int j = 0; j < op_info(nodes_[v].op).operands; ++j) {
      used[static_cast<size_t>(operand(nodes_[v], j))] = true;
    }
  }
  return used;
}

}  // namespace catena::expr
