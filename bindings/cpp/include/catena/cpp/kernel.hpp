// Kernel: an elementwise function or a reduction from a text (docs/expressions.md), compiled at run
// time for each set of dtypes and differentiable where the text is.
#pragma once

#include <catena/cpp/variable.hpp>

#include <algorithm>
#include <optional>
#include <string>

namespace catena::inline cpp {

// The parts of ctn_kernel_source. Without `reduce` the kernel is elementwise.
struct KernelSource {
  std::string in = "T x";
  std::string out = "T y";
  std::string map;
  std::string reduce = {}, post = {}, identity = {};
  std::string grad = {};  // empty: derived
  std::string name = "kernel";
};

struct ReduceOptions {
  std::optional<Shape> axis = {};  // none: all
  bool keepdims = false;
};

class Kernel : public detail::Handle<ctn_kernel, ctn_kernel_retain, ctn_kernel_release> {
  using Base = detail::Handle<ctn_kernel, ctn_kernel_retain, ctn_kernel_release>;

 public:
  // Throws InvalidArgument with line, column and a caret where a text is wrong.
  explicit Kernel(const KernelSource& source, ctn_context ctx = Context::current())
      : Base(create(source, ctx)),
        n_out_(1 + std::count(source.out.begin(), source.out.end(), ',')) {}

  // The outputs in order. Inputs of an elementwise kernel broadcast against each other.
  std::vector<Variable> all(const std::vector<Variable>& in,
                            const ReduceOptions& options = {}) const {
    std::vector<ctn_variable> given, out(static_cast<size_t>(n_out_), nullptr);
    for (const Variable& v : in) given.push_back(v.get());
    const Shape axes = options.axis.value_or(Shape{});
    // An empty list of axes is one that reduces nothing; its pointer still says so.
    static constexpr int64_t kNone = 0;
    const int64_t* p = !options.axis ? nullptr : axes.empty() ? &kNone : axes.data();
    check(ctn_kernel_call(get(), given.data(), static_cast<int32_t>(given.size()), p,
                          static_cast<int32_t>(axes.size()), options.keepdims, out.data(),
                          static_cast<int32_t>(n_out_)));
    return {out.begin(), out.end()};
  }
  // The first output.
  Variable operator()(const std::vector<Variable>& in, const ReduceOptions& options = {}) const {
    return all(in, options)[0];
  }

 private:
  static ctn_kernel create(const KernelSource& s, ctn_context ctx) {
    ctn_kernel_source c{};
    c.size = sizeof c;
    c.name = detail::str(s.name);
    c.in = detail::str(s.in);
    c.out = detail::str(s.out);
    c.map = detail::str(s.map);
    c.reduce = detail::str(s.reduce);
    c.post = detail::str(s.post);
    c.identity = detail::str(s.identity);
    c.grad = detail::str(s.grad);
    ctn_kernel k = nullptr;
    check(ctn_kernel_create(ctx, &c, &k));
    return k;
  }

  std::ptrdiff_t n_out_;
};

}  // namespace catena::inline cpp
