// What the tests of links, optimizers and their files share: a context on a plain host backend, and
// a plugin with small classes whose callbacks are counted. Uses the C interface.
#pragma once

#include <catena/plugin.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "handles.h"

namespace catena_test {

ctn_value none();
ctn_value of(double f);
ctn_value of_int(int64_t i);
ctn_value of(ctn_link l);
ctn_value of(const ctn_callback& c);

// A context whose devices are plain host memory. The test plugin's classes:
//   initializer  Fill(value), Draw()
//   link         Dense(out_size: int, in_size: int = none, child: link = none, f: callback = none):
//                W (out, in), persistent values mean (out) and N (); a call gives W; lazy without
//                in_size: shape from the input. out_size < 0 makes init fail.
//   optimizer    Plain(lr = 0.1), Moment(lr = 0.1, decay = 0.5, high = false, eps = 0.25): states
//                n, and top where high is true; derives rate = lr / t
//   hook         Decay(rate) and Clip(most) as data, Spy() as a callback
Ctx context(const ctn_context_options& options = {});

struct Counts {
  int made = 0, dropped = 0, copied = 0, saved = 0, loaded = 0, moved = 0;
  std::vector<int64_t> spied;  // t of every parameter of every call
  ctn_status spy = CTN_OK;     // what Spy returns
};
Counts& counts();

Arr array(ctn_context ctx, ctn_dtype dtype, const std::vector<int64_t>& shape,
          const std::vector<double>& values);
std::vector<double> values(ctn_array a);
std::vector<double> values(ctn_variable v);  // none: empty
std::vector<double> grad(ctn_variable v);
Var leaf(ctn_context ctx, ctn_dtype dtype, const std::vector<int64_t>& shape,
         const std::vector<double>& values);
void set_grad(ctn_variable v, const std::vector<double>& values);

// A parameter, initialised if it has a shape.
Var parameter(ctn_context ctx, double fill, const std::vector<int64_t>* shape,
              ctn_dtype dtype = kF32);
Net chain(ctn_context ctx);
Net link(ctn_context ctx, std::string_view name, std::initializer_list<ctn_value> attrs);
Opt optimizer(ctn_context ctx, std::string_view name, std::initializer_list<ctn_value> hyper = {});
Var param(ctn_link l, std::string_view path);
double hyper(ctn_optimizer o, std::string_view name);
std::vector<std::string> paths(ctn_link l);

}  // namespace catena_test
