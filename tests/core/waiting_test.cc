// Calls that wait, and what kernels derive from inputs: which calls are one run, when they are run
// and what somebody can see of it (patient.h).
#include "patient.h"

#include <algorithm>
#include <thread>

using namespace patient_test;

namespace {

const std::vector<float> kNines(kSize, 9.0f);

}  // namespace

TEST_CASE("calls that follow each other are one run, when somebody looks") {
  for (const int64_t layout : {0, 7}) {
    const Patient p(layout);
    const Var x = p.all(2), w = p.all(-3);
    const Var y = p.cut(p.plus(p.blend(x, w), p.all(10)));
    ctn_dltensor t;
    REQUIRE_OK(ctn_variable_spec(y, &t));
    CHECK(t.shape[0] == kSize);
    CHECK(seen().runs == 0);
    check_all(y, 4);
    CHECK(seen().runs == 1);
    CHECK(seen().followers == 2);
    CHECK(seen().in_place == true);  // nobody else has the tens
    check_all(y, 4);
    CHECK(seen().runs == 1);
    const Var z = p.cut(p.blend(x, w));
    check_all(z, 0);
    CHECK(seen().followers == 1);
  }
}

TEST_CASE("what nobody looks at is not computed") {
  const Patient p;
  const Var x = p.all(2);
  p.cut(p.blend(x, x));
  p.blend(x, x);
  check_all(p.plus(x, x), 4);
  CHECK(seen().runs == 0);
}

TEST_CASE("what somebody holds is computed once, on its own") {
  for (const int64_t layout : {0, 7}) {
    const Patient p(layout);
    const Var x = p.all(2), r = p.all(1);
    const Var h = p.blend(x, x), y = p.cut(p.plus(h, r));
    check_all(y, 5);
    check_all(h, 4);
    CHECK(seen().runs == 1);
    CHECK(seen().followers == 0);
    const Var g = p.blend(x, x), two = p.plus(g, g);  // one that is read twice
    check_all(two, 8);
    CHECK(seen().runs == 2);
    const Var a = p.blend(x, x), b = p.cut(a), c = p.plus(a, r);  // two that follow
    check_all(c, 5);
    check_all(b, 4);
    CHECK(seen().runs == 3);
  }
}

TEST_CASE("what is added to stays as it is if somebody has it") {
  for (const int64_t layout : {0, 7}) {
    const Patient p(layout);
    const Var x = p.all(2), r = p.all(1);
    const Var y = p.plus(p.blend(x, x), r);
    check_all(y, 5);
    CHECK(seen().followers == 1);
    CHECK(seen().in_place == false);
    check_all(r, 1);
    const Var waits = p.plus(p.all(1), p.blend(x, x));  // as the other input, itself computed late
    const Var z = p.plus(p.blend(x, x), waits);
    check_all(z, 9);
    check_all(waits, 5);
  }
}

TEST_CASE("the next call of the thread that is none of them runs those before") {
  const Patient p;
  const Var x = p.all(2), y = p.blend(x, x);
  const Var z = p.plus(x, x);
  CHECK(seen().runs == 1);
  const Var a = p.blend(x, x), b = p.blend(x, x);
  CHECK(seen().runs == 2);
  REQUIRE_OK(ctn_synchronize(p.ctx));
  CHECK(seen().runs == 3);
  std::thread([&] { check_all(p.plus(x, x), 4); }).join();
  const Var c = p.blend(x, x);
  std::thread([&] { p.plus(x, x); }).join();  // not those of other threads
  CHECK(seen().runs == 3);
}

TEST_CASE("writing to an input runs what reads it first") {
  struct Row {
    const char* name;
    std::function<void(const Patient& p, ctn_array a)> write;
  };
  const Row rows[] = {
      {"set", [](auto&, auto a) { REQUIRE_OK(ctn_array_set(a, kNines.data(), 4 * kSize)); }},
      {"fill",
       [](auto&, auto a) {
         const ctn_value nine = of(9.0);
         REQUIRE_OK(ctn_array_fill(a, &nine));
       }},
      {"assign", [](auto& p, auto a) { REQUIRE_OK(ctn_array_assign(a, array_of(p.all(9)))); }},
      {"export",
       [](auto&, auto a) {
         ctn_dlpack* out = nullptr;
         REQUIRE_OK(ctn_array_to_dlpack(a, &out));
         std::copy(kNines.begin(), kNines.end(), static_cast<float*>(out->dl_tensor.data));
         out->deleter(out);
       }},
  };
  for (const int64_t layout : {0, 7}) {
    for (const Row& row : rows) {
      CAPTURE(row.name);
      const Patient p(layout);
      const Var x = p.all(2), w = p.all(3), r = p.all(1);
      const Var y = p.cut(p.plus(p.blend(x, w), r)), z = p.blend(x, r);
      row.write(p, array_of(w));
      row.write(p, array_of(r));
      check_all(y, 7);
      check_all(z, 2);
      check_all(p.blend(x, w), 18);
    }
  }
}

TEST_CASE("calls in a graph, over foreign memory or of small arrays are run at once") {
  const Patient p;
  const Var x = p.all(2), wanted = p.all(3, true);
  const Var y = p.blend(x, wanted);
  CHECK(seen().runs == 1);
  ctn_dlpack* out = nullptr;
  REQUIRE_OK(ctn_array_to_dlpack(array_of(x), &out));
  const Var z = p.blend(x, x);
  CHECK(seen().runs == 2);
  out->deleter(out);
  const Arr small = array(p.ctx, kF32, {2}, {1, 2});
  Var s;
  REQUIRE_OK(ctn_variable_new(small, 0, s.out()));
  const Var t = p.blend(s, s);
  CHECK(seen().runs == 3);
  const ctn_value off = {CTN_BOOL, 0, {.i = 0}};
  REQUIRE_OK(ctn_config_set(p.ctx, str("enable_backprop"), &off));
  const Var u = p.blend(x, wanted);
  CHECK(seen().runs == 3);
  check_all(u, 6);
}

TEST_CASE("a failure is told to whoever looks, who may look again") {
  const Patient p;
  const Var x = p.all(2), y = p.cut(p.blend(x, x));
  seen().failing = true;
  const Var z = p.plus(x, x);  // runs y, but nobody asked for it
  ctn_dltensor t;
  CHECK(ctn_variable_view(y, &t) == CTN_EDEVICE);
  CHECK(std::string(ctn_error_message()).find("blend") != std::string::npos);
  const ctn_value one = of(1.0);
  CHECK(ctn_array_fill(array_of(x), &one) == CTN_EDEVICE);  // y would be lost
  seen().failing = false;
  check_all(y, 4);
  REQUIRE_OK(ctn_array_fill(array_of(x), &one));

  Var sum = p.plus(p.blend(x, x), p.all(1));
  const Var follower = p.cut(sum);
  seen().failing = true;
  CHECK(ctn_variable_view(sum, &t) == CTN_EDEVICE);
  seen().failing = false;
  CHECK(ctn_variable_view(sum, &t) == CTN_EDEVICE);  // what was added to is gone
  sum = Var();
  CHECK(ctn_variable_view(follower, &t) == CTN_EDEVICE);
  REQUIRE_OK(ctn_array_fill(array_of(x), &one));
}

TEST_CASE("several threads may look at once") {
  for (int round = 0; round < 50; ++round) {
    const Patient p(round % 2 ? 7 : 0);
    const Var x = p.all(2), h = p.blend(x, x), y = p.cut(p.plus(h, p.all(1)));
    std::vector<std::thread> threads;
    for (int k = 0; k < 4; ++k)
      threads.emplace_back([&, k] {
        if (k == 3) {
          const ctn_value one = of(1.0);
          REQUIRE_OK(ctn_array_fill(array_of(x), &one));
        } else {
          check_all(k == 2 ? h : y, k == 2 ? 4 : 5);
        }
      });
    for (std::thread& t : threads) t.join();
    CHECK(seen().runs == 1);
  }
}

TEST_CASE("waiting arrays are arrays: views, shapes, copies, handles that go first") {
  const Patient p;
  Arr part;
  {
    const Var x = p.all(2), y = p.cut(p.blend(x, x));
    const int64_t shape[] = {2, kSize / 2};
    REQUIRE_OK(ctn_array_reshape(array_of(y), 2, shape, part.out()));
  }
  CHECK(seen().runs == 0);
  const std::vector<double> found = values(part);
  CHECK(std::count(found.begin(), found.end(), 4.0) == kSize);
  CHECK(seen().followers == 1);
}

TEST_CASE("what is derived from an input is found until the input is written") {
  const Patient p;
  const Var x = p.all(2), w = p.all(3);
  for (int k = 0; k < 3; ++k) check_all(p.blend(x, w), 6);
  CHECK(seen().derived == 1);
  const ctn_value five = of(5.0);
  REQUIRE_OK(ctn_array_fill(array_of(w), &five));
  for (int k = 0; k < 2; ++k) check_all(p.blend(x, w), 10);
  CHECK(seen().derived == 2);
  ctn_dlpack* out = nullptr;  // somebody may write to it unseen: nothing is kept
  REQUIRE_OK(ctn_array_to_dlpack(array_of(w), &out));
  for (int k = 0; k < 2; ++k) check_all(p.blend(x, w), 10);
  CHECK(seen().derived == 4);
  out->deleter(out);
}
