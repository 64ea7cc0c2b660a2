// libFuzzer target (./run fuzz expr): any bytes as the texts of a kernel. What parses is
// differentiated twice, typed for several dtypes and run; then bytes of its form are changed, and
// what validate() still accepts is run as well. Anything but an Error of ours is a finding.
#include <cstdint>
#include <cstdlib>

#include "expr_support.h"

using namespace catena_test;

namespace {

constexpr int64_t kElements = 6;

void expect_ours(const Error& e) {
  const ctn_status c = e.code();
  if (c != CTN_EINVAL && c != CTN_EDTYPE && c != CTN_EGRAD) std::abort();
  if (e.what()[0] == '\0') std::abort();
}

void run(const ctn_form& form) {
  std::vector<Array> args;
  for (int32_t k = 0; k < form.n_args; ++k) {
    args.emplace_back(form.args[k].dtype, std::vector<double>{-2.5, -1, 0, 0.5, 3, 1e9});
  }
  const std::vector<double> scalars(static_cast<size_t>(form.n_scalars), 1.5);
  run_form(form, args, scalars, kElements, form.n_acc > 0 ? 2 : 1);
}

// Forms from files and plugins are as hostile as texts.
void damage(const ctn_form& form, const uint8_t* bytes, size_t size) {
  std::vector<ctn_inst> map(form.map.insts, form.map.insts + form.map.n);
  auto* raw = reinterpret_cast<uint8_t*>(map.data());
  for (size_t k = 0; k + 2 < size; k += 3) {
    raw[(bytes[k] * 256u + bytes[k + 1]) % (map.size() * sizeof(ctn_inst))] = bytes[k + 2];
  }
  ctn_form damaged = form;
  damaged.map.insts = map.data();
  try {
    run(Form::make(damaged)->c());
  } catch (const Error& e) {
    expect_ours(e);
  }
}

void use(const Row& row, const uint8_t* bytes, size_t size) {
  for (const uint8_t t : {CTN_FLOAT32, CTN_INT8, CTN_BOOL8, CTN_BFLOAT16, CTN_UINT64}) {
    std::vector<uint8_t> dtypes;
    for (int32_t k = 0; k < row.n_in() + row.n_out(); ++k) {
      dtypes.push_back(row.arg_type(k) == "T"   ? t
                       : row.arg_type(k) == "U" ? CTN_FLOAT64
                                                : CTN_INT32);
    }
    try {
      const auto form = row.specialize(dtypes);
      if (to_string(form->c()).empty()) std::abort();
      run(form->c());
      damage(form->c(), bytes, size);
    } catch (const Error& e) {
      expect_ours(e);
    }
  }
}

void differentiate(const Row& row, int order, const uint8_t* bytes, size_t size) {
  const uint64_t wanted = row.differentiable();
  if (order == 0 || wanted == 0) return;
  try {
    const auto gradient = row.gradient(wanted);
    use(*gradient, bytes, size);
    differentiate(*gradient, order - 1, bytes, size);
  } catch (const Error& e) {
    expect_ours(e);
  }
}

}  // namespace

// Fields are separated by '|': map, grad, reduce, post, identity; then bytes of damage.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string fields[6];
  size_t field = 0;
  for (size_t k = 0; k < size; ++k) {
    // A lone '|' separates; '||' is the operator.
    const bool doubled = data[k] == '|' && k + 1 < size && data[k + 1] == '|';
    if (data[k] == '|' && !doubled && field < 5) {
      ++field;
      continue;
    }
    fields[field] += static_cast<char>(data[k]);
    if (doubled) fields[field] += static_cast<char>(data[++k]);
  }
  Source s;
  s.in = {{"x", "T"}, {"w", "U"}, {"k", "int32"}, {"r", "raw T"}};
  s.out = {{"y", "T"}, {"z", "U"}};
  s.scalars = {{"s", ""}, {"m", "int64"}};
  s.map = fields[0];
  s.grad = fields[1];
  s.reduce = fields[2];
  s.post = fields[3];
  s.identity = fields[4];
  const auto* extra = reinterpret_cast<const uint8_t*>(fields[5].data());
  try {
    const auto row = Row::parse(s, "fuzz");
    use(*row, extra, fields[5].size());
    differentiate(*row, 2, extra, fields[5].size());
  } catch (const Error& e) {
    expect_ours(e);
  }
  return 0;
}
