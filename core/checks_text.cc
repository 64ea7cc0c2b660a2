// Failed type checks in Chainer's words. Format, operator priorities and the spelling of dtypes as
// in Chainer 4.3.1 ("Type checks" in its guides).
#include <algorithm>

#include "core/checks.h"
#include "core/checks_tree.h"
#include "core/registry.h"

namespace catena {
namespace checks {
namespace {

constexpr const char* kCmp[] = {"==", "!=", "<", "<=", ">", ">="};
constexpr const char* kInverse[] = {"!=", "==", ">=", ">", "<=", "<"};

std::string class_name(int32_t dtype) {
  return "<class 'numpy." + std::string(dtype_name(dtype)) + (dtype == CTN_BOOL8 ? "_'>" : "'>");
}

std::string tuple_text(std::span<const int64_t> items) {
  std::string out = "(";
  for (size_t i = 0; i < items.size(); ++i) {
    if (i != 0) out += ", ";
    out += std::to_string(items[i]);
  }
  return out + (items.size() == 1 ? ",)" : ")");
}

int priority(const Node& n) {
  switch (n.what) {
    case What::kAdd:
    case What::kSub: return 4;
    case What::kMul:
    case What::kFloorDiv:
    case What::kMod: return 5;
    case What::kNeg: return 6;
    default: return 8;
  }
}

const char* symbol(What what) {
  switch (what) {
    case What::kAdd: return " + ";
    case What::kSub: return " - ";
    case What::kMul: return " * ";
    case What::kFloorDiv: return " // ";
    default: return " % ";
  }
}

class Renderer {
 public:
  Renderer(const Op& op, Frame frame) : op_(op), f_(frame) {}

  std::string expression(const Node& n) {
    switch (n.what) {
      case What::kNdim: return input(n) + ".ndim";
      case What::kSize: return input(n) + ".size";
      case What::kDtype: return input(n) + ".dtype";
      case What::kKind: return input(n) + ".dtype.kind";
      case What::kShape: return input(n) + ".shape";
      case What::kDim:
        return input(n) + ".shape[" + (n.a < 0 ? std::to_string(n.value) : plain(n.a)) + "]";
      case What::kSlice: return input(n) + ".shape[" + plain(n.a) + ":" + plain(n.b) + "]";
      case What::kCount: return "in_types.size";
      case What::kAttr:
      case What::kAttrTuple: return n.by_value ? value(n) : attr_name(n);
      case What::kAttrItem: return n.by_value ? value(n) : attr_name(n) + "[" + plain(n.a) + "]";
      case What::kProd: return "prod(" + expression(f_.node(n.a)) + ")";
      case What::kSum: return "sum(" + expression(f_.node(n.a)) + ")";
      case What::kNeg: return std::string("-") + wrapped(n.a, priority(n));
      case What::kConst:
      case What::kTuple:
      case What::kDtypeConst:
      case What::kKindConst: return value(n);
      default:  // equal priority needs brackets on the right only
        return wrapped(n.a, priority(n)) + symbol(n.what) + wrapped(n.b, priority(n) + 1);
    }
  }

  std::string value(const Node& n) {
    switch (n.type) {
      case Type::kTuple: return tuple_text(tuple(f_, n));
      case Type::kKind: return std::string(1, static_cast<char>(number(f_, n)));
      case Type::kInt: return std::to_string(number(f_, n));
      case Type::kDtype: break;
    }
    if (n.what == What::kDtypeConst) return class_name(static_cast<int32_t>(n.value));
    return std::string(dtype_name(dtype_index(f_.in[position(n)].t.dtype)));
  }

 private:
  size_t position(const Node& n) const {
    return n.index == kMember ? f_.member : static_cast<size_t>(n.index);
  }
  std::string input(const Node& n) const { return "in_types[" + std::to_string(position(n)) + "]"; }
  const std::string& attr_name(const Node& n) const {
    return op_.attrs[static_cast<size_t>(n.index)].name;
  }
  // A subscript: Chainer's are plain numbers.
  std::string plain(int32_t id) { return id < 0 ? "" : value(f_.node(id)); }
  std::string wrapped(int32_t id, int least) {
    const Node& n = f_.node(id);
    return priority(n) < least ? std::string("(") + expression(n) + ")" : expression(n);
  }

  const Op& op_;
  Frame f_;
};

const char* fault_text(Fault fault) {
  switch (fault) {
    case Fault::kIndex: return "index out of range";
    case Fault::kDivision: return "division by zero";
    default: return "out of the range of 64-bit integers";
  }
}

}  // namespace

std::string message(const Op& op, const std::string& expect, const std::string& actual) {
  return "Invalid operation is performed in: " + op.label + " (Forward)\n\nExpect: " + expect +
         "\nActual: " + actual;
}

std::string render(const Op& op, Frame frame, const Comparison& c) {
  const Fault fault = frame.fault;
  frame.fault = Fault::kNone;
  Renderer r(op, frame);
  const Node& a = frame.node(c.a);
  const Node& b = frame.node(c.b);
  const auto cmp = static_cast<size_t>(c.cmp);
  const std::string expect = r.expression(a) + " " + kCmp[cmp] + " " + r.expression(b);
  if (fault != Fault::kNone) return message(op, expect, fault_text(fault));
  return message(op, expect, r.value(a) + " " + kInverse[cmp] + " " + r.value(b));
}

}  // namespace checks

namespace {

// "f, i, u" of "fiu", "float32, int32" of "float32|int32".
std::string listed(const std::string& type, bool letters) {
  std::string out;
  for (const char c : type) {
    if (letters && !out.empty()) out += ", ";
    if (c == '|') {
      out += ", ";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string dtype_failure(const Op& op, std::span<const ctn_tensor> in, int32_t index) {
  const auto i = static_cast<size_t>(index);
  const InputDef& def = op.in[std::min(i, op.in.size() - 1)];
  const ctn_dtype dtype = in[i].t.dtype;
  const std::string subject = "in_types[" + std::to_string(index) + "].dtype";
  const std::string name(dtype_name(dtype_index(dtype)));
  const int32_t only = dtype_from_name(def.type);
  if (only >= 0) {
    const std::string wanted = checks::class_name(only);
    return checks::message(op, subject + " == " + wanted, name + " != " + wanted);
  }
  const std::string kind(1, checks::kind_letter(dtype));
  if (def.type.size() == 1 && def.type != "n" && def.type != "a") {
    return checks::message(op, subject + ".kind == " + def.type, kind + " != " + def.type);
  }
  const std::string type = def.type == "n" ? "fiu" : def.type;
  const bool letters = type.find_first_not_of("fiub") == std::string::npos;
  const std::string wanted = std::string("(") + listed(type, letters) + ")";
  return letters ? checks::message(op, subject + ".kind in " + wanted, kind + " not in " + wanted)
                 : checks::message(op, subject + " in " + wanted, name + " not in " + wanted);
}

std::string count_failure(const Op& op, int32_t got) {
  const auto most = static_cast<int32_t>(op.in.size());
  const std::string n = std::to_string(got);
  const auto text = [&](const char* cmp, const char* inverse, int32_t limit) {
    const std::string l = std::to_string(limit);
    return checks::message(op, std::string("in_types.size ") + cmp + " " + l, n + inverse + l);
  };
  if (op.min_in == most && !op.variadic) return text("==", " != ", most);
  return got < op.min_in ? text(">=", " < ", op.min_in) : text("<=", " > ", most);
}

}  // namespace catena
