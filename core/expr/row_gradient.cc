// Row::gradient: checks the request, caches the answer.
#include "core/expr/gradient.h"
#include "core/expr/lex.h"

namespace catena::expr {

void no_gradient(const RowData& row, const std::string& why) {
  fail(CTN_EGRAD, row.what + ": " + why);
}

uint64_t candidates(const RowData& row) {
  uint64_t mask = 0;
  for (int32_t i = 0; i < row.n_in; ++i) {
    const ArgDecl& a = row.in(i);
    if (a.role == CTN_ROLE_IN && row.types.may_float(a.type)) mask |= UINT64_C(1) << i;
  }
  return mask;
}

namespace {

void check_request(const RowData& row, uint64_t needed) {
  for (const ArgDecl& a : row.args) {
    if (a.role == CTN_ROLE_INOUT)
      no_gradient(row, quoted(a.name) + " is read and written in place");
  }
  if (needed == 0) no_gradient(row, "no input is asked for");
  const uint64_t possible = candidates(row);
  for (int32_t i = 0; i < 64; ++i) {
    if (!has(needed & ~possible, i)) continue;
    if (i >= row.n_in) no_gradient(row, "there is no input " + std::to_string(i));
    const ArgDecl& a = row.in(i);
    no_gradient(row,
                "input " + quoted(a.name) + " gets no gradient: it is " +
                    (a.role == CTN_ROLE_RAW ? "a raw array" : std::string(type_name(a.dtype))));
  }
}

}  // namespace

uint64_t Row::differentiable() const noexcept { return candidates(*d_); }

std::shared_ptr<const Row> Row::gradient(uint64_t needed, uint64_t given) const {
  const RowData& row = *d_;
  given &= (UINT64_C(1) << row.n_out()) - 1;
  const std::pair key(needed, given);
  {
    const std::scoped_lock lock(row.mutex);
    const auto found = row.gradients.find(key);
    if (found != row.gradients.end()) return found->second;
  }
  check_request(row, needed);
  Graph wide;
  try {
    wide = row.has_stated ? select_stated(row, needed, given) : derive_gradient(row, needed, given);
  } catch (const Error& e) {
    if (e.code() == CTN_EGRAD && !std::string_view(e.what()).starts_with(row.what)) {
      no_gradient(row, e.what());
    }
    if (e.code() == CTN_EINVAL)
      no_gradient(row, std::string("the gradient is too long: ") + e.what());
    throw;
  }
  std::shared_ptr<const Row> made = RowAccess::make(compact_gradient(row, wide));
  const std::scoped_lock lock(row.mutex);
  return row.gradients.try_emplace(key, std::move(made)).first->second;
}

namespace {

uint64_t reads(const Row& row, uint64_t needed, GradArg::Kind kind) {
  uint64_t mask = 0;
  try {
    for (const GradArg& a : row.gradient(needed)->grad_args()) {
      if (a.kind == kind) mask |= UINT64_C(1) << a.index;
    }
  } catch (const Error& e) {
    if (e.code() != CTN_EGRAD) throw;
  }
  return mask;
}

}  // namespace

uint64_t Row::grad_reads_in(uint64_t needed) const { return reads(*this, needed, GradArg::kInput); }
uint64_t Row::grad_reads_out(uint64_t needed) const {
  return reads(*this, needed, GradArg::kOutput);
}

}  // namespace catena::expr
