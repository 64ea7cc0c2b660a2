// Intrinsic expressions: see intrinsic.h.
#include "core/intrinsic.h"

#include "core/value.h"

namespace catena {
namespace {

struct Intrinsic {
  std::shared_ptr<const expr::Row> row;
  FormCache forms;
};

Intrinsic* make(const char* name, const char* in, const char* out, const char* scalars,
                const char* map) {
  expr::Source s;
  s.in = expr::parse_params(in, name);
  s.out = expr::parse_params(out, name);
  s.scalars = expr::parse_params(scalars, name);
  s.map = map;
  for (auto& p : s.out) p.inout = p.name == "z";
  auto* i = new Intrinsic;  // lives with the process
  i->row = expr::Row::parse(s, name);
  return i;
}

Intrinsic& copy_row() {
  static Intrinsic* i = make("copy", "T x", "U y", "", "y = U(x)");
  return *i;
}
Intrinsic& fill_row() {
  static Intrinsic* i = make("fill", "", "T y", "float64 v", "y = T(v)");
  return *i;
}
Intrinsic& fill_int_row() {
  static Intrinsic* i = make("fill", "", "T y", "int64 v", "y = T(v)");
  return *i;
}
Intrinsic& add_row() {
  static Intrinsic* i = make("gradient sum", "T a, T b", "T y", "", "y = a + b");
  return *i;
}
Intrinsic& add_into_row() {
  static Intrinsic* i = make("gradient sum", "T x", "T z", "", "z = z + x");
  return *i;
}
Intrinsic& scale_row() {
  static Intrinsic* i = make("gradient scale", "", "T z", "float64 f", "z = T(z * f)");
  return *i;
}
Intrinsic& bad_index_row() {
  static Intrinsic* i = [] {
    expr::Source s;
    s.in = expr::parse_params("T x", "nan check");
    s.out = expr::parse_params("int64 y", "nan check");
    s.map = "isnan(x) ? i : n";
    s.reduce = "min(a, b)";
    s.post = "y = a";
    s.identity = "9223372036854775807";
    auto* made = new Intrinsic;
    made->row = expr::Row::parse(s, "nan check");
    return made;
  }();
  return *i;
}

template <size_t N>
void run(Intrinsic& i, const Array& like, Array* const (&args)[N], const uint64_t* scalars) {
  uint8_t dtypes[N];
  Align align[N];
  for (size_t k = 0; k < N; ++k) {
    dtypes[k] = args[k]->dtype;
    align[k] = Align::kFull;
  }
  Space space;
  space.set(like.shape());
  launch(i.forms.get(*i.row, dtypes), like.device(), space, args, align, scalars);
}

}  // namespace

void copy_into(Array& dst, Array& src) {
  std::vector<int64_t> shape;
  if (!broadcast_shapes(dst.shape(), src.shape(), shape) ||
      !std::equal(shape.begin(), shape.end(), dst.shape().begin(), dst.shape().end()))
    fail(CTN_ESHAPE, "cannot assign " + array_text(src) + " to " + array_text(dst));
  if (!common_device(dst.device(), src.device()))
    fail(CTN_EINVAL,
         "cannot assign an array on " + src.device().name + " to one on " + dst.device().name);
  Array* const args[] = {&src, &dst};
  run(copy_row(), dst, args, nullptr);
}

void fill(Array& dst, const ctn_value& value) {
  if (value.kind != CTN_FLOAT && value.kind != CTN_INT && value.kind != CTN_BOOL) {
    const std::string fault = value_fault(value);
    fail(CTN_EINVAL, "fill: the value is " + (fault.empty() ? value_text(value) : fault) +
                         ", not a bool, an int or a float");
  }
  Array* const args[] = {&dst};
  Intrinsic& row = value.kind == CTN_FLOAT ? fill_row() : fill_int_row();
  const uint64_t bits = value.u.raw;
  run(row, dst, args, &bits);
}

void add_into(Array& dst, Array& src) {
  Array* const args[] = {&src, &dst};
  run(add_into_row(), dst, args, nullptr);
}

Ref<Array> add_arrays(Array& a, Array& b) {
  Ref<Array> out = Array::make(a.device(), a.dtype, a.shape(), "gradient sum");
  Array* const args[] = {&a, &b, out.get()};
  run(add_row(), *out, args, nullptr);
  return out;
}

void scale_into(Array& a, double factor) {
  Array* const args[] = {&a};
  const uint64_t bits = scalar_bits(CTN_FLOAT64, factor);
  run(scale_row(), a, args, &bits);
}

int64_t first_nan(Array& a) {
  if (!is_floating(a.dtype) || !a.size) return -1;
  Ref<Array> out = Array::make(a.device(), CTN_INT64, {}, "nan check");
  Intrinsic& i = bad_index_row();
  const uint8_t dtypes[] = {a.dtype, CTN_INT64};
  const Align align[] = {Align::kFull, Align::kReduced};
  Array* const args[] = {&a, out.get()};
  Space space;
  space.set(a.shape());
  space.axes = a.ndim >= 32 ? ~0u : (1u << a.ndim) - 1;
  launch(i.forms.get(*i.row, dtypes), a.device(), space, args, align, nullptr);
  int64_t index = 0;
  copy_to_host(*out, &index);
  return index >= a.size ? -1 : index;
}

}  // namespace catena
