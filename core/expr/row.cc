// What a Row tells about itself.
#include "core/expr/row_data.h"

namespace catena::expr {

Row::Row(std::unique_ptr<RowData> data) : d_(std::move(data)) {}
Row::~Row() = default;

const std::string& Row::name() const noexcept { return d_->what; }
bool Row::is_reduction() const noexcept { return d_->is_reduction(); }
int32_t Row::n_in() const noexcept { return d_->n_in; }
int32_t Row::n_out() const noexcept { return d_->n_out(); }
int32_t Row::n_scalars() const noexcept { return static_cast<int32_t>(d_->scalars.size()); }

const std::string& Row::arg_name(int32_t arg) const {
  return d_->args.at(static_cast<size_t>(arg)).name;
}
int32_t Row::arg_role(int32_t arg) const { return d_->args.at(static_cast<size_t>(arg)).role; }
std::string_view Row::arg_type(int32_t arg) const {
  const ArgDecl& a = d_->args.at(static_cast<size_t>(arg));
  if (a.variable < 0) return type_name(a.dtype);
  return d_->types.variables()[static_cast<size_t>(a.variable)];
}
const std::string& Row::scalar_name(int32_t scalar) const {
  return d_->scalars.at(static_cast<size_t>(scalar)).name;
}

const std::vector<GradArg>& Row::grad_args() const noexcept { return d_->grad_args; }
const std::vector<int32_t>& Row::grad_outputs() const noexcept { return d_->grad_outputs; }
const std::vector<int32_t>& Row::grad_passes() const noexcept { return d_->grad_passes; }
uint64_t Row::zero_outputs() const noexcept { return d_->zero_outputs; }
bool Row::takes_count() const noexcept { return d_->takes_count; }

int joining_op(const Graph& reduce, const Effect& effect) {
  const auto converted = [&](int v) {
    while (reduce.at(v).op == CTN_X_CAST) v = reduce.at(v).a;
    return reduce.at(v);
  };
  const auto is = [&](const Node& n, int op) { return n.op == op && n.a == effect.target; };
  const Node n = converted(effect.value);
  if (op_info(n.op).operands != 2) return 0;
  const Node a = converted(n.a), b = converted(n.b);
  const bool joins =
      (is(a, CTN_X_ACC) && is(b, CTN_X_ITEM)) || (is(a, CTN_X_ITEM) && is(b, CTN_X_ACC));
  return joins ? n.op : 0;
}

}  // namespace catena::expr
