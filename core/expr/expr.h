// Expressions: the text of an elementwise or reduction kernel as data. A Row is the parsed, generic
// text with its symbolic gradients; a Form is a row typed for one set of dtypes, which backends
// compile. Knows no op, backend, array or graph. docs/expressions.md has the language.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/plugin.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace catena::expr {

// A dtype the caller leaves to be found: that of an output whose type variable an input binds, or
// of a scalar without a type of its own.
inline constexpr uint8_t kInfer = 0xff;
// Scalars of a row; the parser refuses more.
inline constexpr size_t kMaxScalars = 32;

// One array or scalar parameter. `type` of an array is a dtype or C type name, or a type variable:
// an upper-case letter and up to 15 letters and digits ("T", "T1"); "raw " before it makes an input
// that the text indexes itself. A scalar may leave `type` empty: it has the type of the first
// floating array argument (float32 for the 16-bit ones); without one, that given to specialize(),
// or float64.
struct Param {
  std::string name;
  std::string type;
  bool inout = false;  // outputs only: the text reads it before it writes it
};

struct Source {
  std::vector<Param> in, out, scalars;
  std::string map;       // elementwise: statements; reduction: ending in an expression, or a0 = ...
  std::string grad;      // stated gradient, or empty
  std::string reduce;    // "a + b", or a0 = ...; empty: elementwise
  std::string post;      // "y = a"; may be empty when there is one output and one accumulator
  std::string identity;  // "0"; may be empty for + * min max && || & | ^; "0, -inf" for several
};

// "T x, raw float32 w" as in CuPy's kernels. `what` names the kernel in messages.
std::vector<Param> parse_params(std::string_view text, std::string_view what);
// Names a text assigns without declaring them, in order of first assignment.
std::vector<std::string> assigned_names(std::string_view text, std::string_view what);

// Owns the storage behind a ctn_form. Immutable.
class Form {
 public:
  // Deep copy; throws CTN_EINVAL unless validate() accepts it. The hash is computed here: 64-bit
  // FNV-1a of the content, equal on every machine.
  static std::shared_ptr<const Form> make(const ctn_form& form);
  Form(const Form&) = delete;
  Form& operator=(const Form&) = delete;
  const ctn_form& c() const noexcept { return c_; }

 private:
  Form() = default;
  std::vector<ctn_form_arg> args_;
  std::vector<uint8_t> scalars_;
  std::vector<ctn_acc> accs_;
  std::vector<ctn_inst> map_, reduce_, post_;
  ctn_form c_{};
};

// What an argument of a gradient row is in the row it came from.
struct GradArg {
  enum Kind : uint8_t { kInput, kOutput, kGradOutput };
  Kind kind;
  int32_t index;  // of the input, of the output, of the output whose gradient it is
  friend bool operator==(const GradArg&, const GradArg&) = default;
};

struct RowData;

// Immutable and safe to share between threads.
class Row : public std::enable_shared_from_this<Row> {
 public:
  // Throws CTN_EINVAL; the text has `what`, the part, line, column and the line with a caret.
  static std::shared_ptr<const Row> parse(const Source& source, std::string_view what);
  ~Row();

  const std::string& name() const noexcept;  // what parse was told; gradients say so
  bool is_reduction() const noexcept;
  int32_t n_in() const noexcept;
  int32_t n_out() const noexcept;
  int32_t n_scalars() const noexcept;
  // Arguments are the inputs followed by the outputs, as in the form.
  const std::string& arg_name(int32_t arg) const;
  int32_t arg_role(int32_t arg) const;           // CTN_ROLE_*
  std::string_view arg_type(int32_t arg) const;  // "T" or "float32"
  const std::string& scalar_name(int32_t scalar) const;

  // Bit i: input i may get a gradient (it is neither raw nor of a fixed integer or bool type).
  uint64_t differentiable() const noexcept;

  // Which inputs and outputs the gradient for `needed` reads: what has to be kept for it. 0 where
  // there is no gradient (gradient() says why).
  uint64_t grad_reads_in(uint64_t needed) const;
  uint64_t grad_reads_out(uint64_t needed) const;
  uint64_t grad_reads_in() const { return grad_reads_in(differentiable()); }
  uint64_t grad_reads_out() const { return grad_reads_out(differentiable()); }

  // The gradient as an elementwise row. Its inputs are grad_args(): inputs read, outputs read, then
  // the output gradients read; its outputs are the gradients of the needed inputs in order, dtypes
  // as theirs. `given`: bit j is clear when output j has no gradient (it counts as zero). Its
  // scalars are this row's, then the count of takes_count(). For a reduction, outputs and their
  // gradients must be broadcast against the inputs by the caller. Cached. Throws CTN_EGRAD where
  // there is none.
  std::shared_ptr<const Row> gradient(uint64_t needed, uint64_t given = ~UINT64_C(0)) const;

  // Of a row made by gradient():
  const std::vector<GradArg>& grad_args() const noexcept;     // what its inputs are
  const std::vector<int32_t>& grad_outputs() const noexcept;  // which input each output belongs to
  uint64_t zero_outputs() const noexcept;  // bit k: output k is zero whatever the values are
  // Entry k: the output whose gradient output k is as it stands, dtypes apart; -1 where there is
  // more to it.
  const std::vector<int32_t>& grad_passes() const noexcept;
  bool takes_count() const noexcept;  // its last scalar (int64) is the number of reduced elements

  // The row typed for the dtypes (CTN_BOOL8 ...) of all arguments; an output may be kInfer.
  // `scalar_types`: empty, or one entry per scalar, kInfer for none. Throws CTN_EDTYPE.
  std::shared_ptr<const Form> specialize(std::span<const uint8_t> arg_dtypes,
                                         std::span<const uint8_t> scalar_types = {}) const;

 private:
  explicit Row(std::unique_ptr<RowData> data);
  std::unique_ptr<RowData> d_;
  friend struct RowAccess;
};

// One instruction a line, for logs and tests.
std::string to_string(const ctn_form& form);
// Throws CTN_EINVAL unless types, operands, roles and limits are as plugin.h says; afterwards any
// executor may run the form without checks of its own.
void validate(const ctn_form& form);

}  // namespace catena::expr
