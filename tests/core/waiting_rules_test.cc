// Calls that wait where something changes between the call and the run: configurations, devices,
// callbacks that call, kernels that break off, what is kept of an array that is seen in two shapes.
#include "patient.h"

#include <algorithm>

using namespace patient_test;

namespace {

constexpr int64_t kRows = 20, kColumns = kSize / kRows;

Var in_rows(const Var& v) {
  const int64_t shape[] = {kRows, kColumns};
  Arr view;
  REQUIRE_OK(ctn_array_reshape(array_of(v), 2, shape, view.out()));
  return constant(view);
}

}  // namespace

TEST_CASE("calls under different configurations are not one run") {
  const Patient p;
  const Var x = p.all(2);
  for (const bool tuned : {false, true}) {
    p.set("autotune", tuned);
    Var h = p.blend(x, x);
    p.set("autotune", !tuned);
    const Var y = p.cut(std::exchange(h, Var()));
    check_all(y, 4);
    CHECK(seen().followers == 0);
    CHECK(seen().tuned == tuned);
  }
}

TEST_CASE("calls on different devices are not one run") {
  const Patient p;
  ctn_device heir{};
  REQUIRE_OK(ctn_device_find(p.ctx, str("heir"), &heir));
  const Var x = p.all(2);
  Arr there;
  REQUIRE_OK(ctn_array_to_device(array_of(x), heir, there.out()));
  const Var r = constant(there);
  const auto used = [&] {
    ctn_device_stats stats{};
    stats.size = sizeof stats;
    REQUIRE_OK(ctn_device_get_stats(p.ctx, heir, &stats));
    return stats.used;
  };
  const uint64_t own = used();
  for (int k = 0; k < 3; ++k) {
    const Var y = p.plus(p.blend(x, x), r);
    check_all(y, 6);
    CHECK(seen().followers == 0);
    ctn_dltensor t{};
    REQUIRE_OK(ctn_variable_spec(y, &t));
    CHECK(t.device.id == heir.id);
    CHECK(used() == 2 * own);  // r and y
  }
}

TEST_CASE("a kernel that is asked whether it absorbs may call") {
  const Patient p;
  const Var x = p.all(2);
  Var inner;
  seen().asked = [&](const ctn_host& host) {
    int32_t id = 0;
    REQUIRE_OK(host.api->op_find(str("plus"), &id));
    const ctn_variable in[] = {x, x};
    REQUIRE_OK(host.api->call(p.ctx, id, in, 2, nullptr, 0, inner.out(), 1));
  };
  const Var y = p.cut(p.blend(x, x));
  check_all(y, 4);
  check_all(inner, 4);
}

TEST_CASE("only so many calls are one run") {
  const Patient p;
  const Var x = p.all(2);
  Var y = p.blend(x, x);
  for (int k = 0; k < 40; ++k) y = p.call("again", {y});
  CHECK(seen().followers == 15);
  check_all(y, 44);
}

TEST_CASE("a kernel that threw is not run again over what it wrote") {
  const Patient p;
  const Var x = p.all(2), sum = p.plus(p.blend(x, x), p.all(1));
  seen().throwing = true;
  ctn_dltensor t;
  CHECK(ctn_variable_view(sum, &t) == CTN_EINTERNAL);
  CHECK(seen().in_place == true);
  seen().throwing = false;
  CHECK(ctn_variable_view(sum, &t) == CTN_EINTERNAL);
  CHECK(std::string(ctn_error_message()).find("blend threw") != std::string::npos);
}

TEST_CASE("numbers are drawn, and handles in attributes looked at, when they are asked for") {
  const Patient p;
  const Var x = p.all(2);
  const Var drawn = p.call("drawn_blend", {x, x}, {of_int(0)});
  CHECK(seen().runs == 1);
  const Arr by = array(p.ctx, kF32, {1}, {1});
  ctn_value one{};
  one.kind = CTN_ARRAY;
  one.u.array = by;
  ctn_value list{};
  list.kind = CTN_LIST;
  list.n = 1;
  list.u.list = &one;
  const Var plain = p.call("blend_by", {x, x}, {of_int(0)});
  CHECK(seen().runs == 1);
  const Var held = p.call("blend_by", {x, x}, {of_int(0), one});
  CHECK(seen().runs == 3);
  const Var listed = p.call("blend_by", {x, x}, {of_int(0), list});
  CHECK(seen().runs == 4);
}

TEST_CASE("what is added to may be a view: the output begins as its elements") {
  const Patient p;
  std::vector<double> counting(kSize), turned(kSize);
  for (size_t i = 0; i < kSize; ++i) counting[i] = static_cast<double>(i);
  const Arr a = array(p.ctx, kF32, {kRows, kColumns}, counting);
  const int64_t shape[] = {kColumns, kRows}, strides[] = {1, kColumns};
  Arr view;
  REQUIRE_OK(ctn_array_strided(a, 2, shape, strides, 0, view.out()));
  for (size_t i = 0; i < kSize; ++i) turned[i] = counting[i % kRows * kColumns + i / kRows];
  const Var x = leaf(p.ctx, kF32, {kColumns, kRows}, std::vector<double>(kSize, 0));
  CHECK(values(p.call("pile", {x, constant(view)})) == turned);
}

TEST_CASE("an array that is seen in another shape is another input") {
  const Patient p;
  const Var x = p.all(2), w = p.all(3), rows = in_rows(x), w_rows = in_rows(w);
  check_all(p.blend(x, w), 6);
  CHECK(seen().derived == 1);
  for (const int made : {2, 3}) {
    check_all(p.blend(rows, w_rows), 6);
    CHECK(seen().derived == made);
  }
  check_all(p.blend(x, w), 6);
  CHECK(seen().derived == 3);
}

TEST_CASE("all or nothing, also where a call that waits cannot be run") {
  context();  // registers the classes
  const Patient p;
  const Var x = p.all(2);
  const std::vector<int64_t> shape = {kSize};
  const Net to = chain(p.ctx), from = chain(p.ctx);
  const Var first = parameter(p.ctx, 1, &shape), second = parameter(p.ctx, 1, &shape);
  const Var held = constant(array_of(first));  // so that it is written in place
  REQUIRE_OK(ctn_link_add_param(to, str("a"), first));
  REQUIRE_OK(ctn_link_add_param(to, str("b"), second));
  REQUIRE_OK(ctn_link_add_param(from, str("a"), parameter(p.ctx, 5, &shape)));
  REQUIRE_OK(ctn_link_add_param(from, str("b"), parameter(p.ctx, 5, &shape)));
  seen().failing = true;
  const Var y = p.blend(x, constant(array_of(second)));
  CHECK(ctn_link_copy_params(to, from) == CTN_EDEVICE);
  check_all(first, 1);
  seen().failing = false;
  REQUIRE_OK(ctn_link_copy_params(to, from));
  check_all(first, 5);
  check_all(second, 5);
  check_all(y, 2);
}

TEST_CASE("an update that fails for a call that waits has changed nothing") {
  context();  // registers the classes
  const Patient p;
  const Var x = leaf(p.ctx, kF32, {kRows, kColumns}, std::vector<double>(kSize, 2));
  const Arr own = array(p.ctx, kF32, {kColumns, kRows}, std::vector<double>(kSize, 1));
  const int64_t shape[] = {kRows, kColumns}, strides[] = {1, kRows};
  Arr view;
  REQUIRE_OK(ctn_array_strided(own, 2, shape, strides, 0, view.out()));
  const std::vector<int64_t> dims = {kSize};
  const Net net = chain(p.ctx);
  const Var first = parameter(p.ctx, 1, &dims);
  Var second;  // not in C order: updated on its own
  REQUIRE_OK(ctn_variable_new(view, 1, second.out()));
  REQUIRE_OK(ctn_link_add_param(net, str("a"), first));
  REQUIRE_OK(ctn_link_add_param(net, str("b"), second));
  const Opt sgd = optimizer(p.ctx, "Plain", {of(1.0)});
  REQUIRE_OK(ctn_optimizer_setup(sgd, net));
  set_grad(first, std::vector<double>(kSize, 1));
  set_grad(second, std::vector<double>(kSize, 1));
  seen().failing = true;
  const Var y = p.blend(x, constant(view));
  CHECK(ctn_optimizer_update(sgd) == CTN_EDEVICE);
  check_all(first, 1);
  int64_t t = -1;
  REQUIRE_OK(ctn_optimizer_t(sgd, &t));
  CHECK(t == 0);
  seen().failing = false;
  REQUIRE_OK(ctn_optimizer_update(sgd));
  check_all(first, 0);
  check_all(y, 2);
}
