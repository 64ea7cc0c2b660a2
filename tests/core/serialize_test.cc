// Links and optimizers in npz files: what is stored under which name, what a failed load leaves.
#include <map>

#include "core/npz.h"
#include "memory_io.h"
#include "net_support.h"

using namespace catena_test;

namespace {

using Values = std::vector<double>;
const std::vector<int64_t> kPair = {2};

Ctx context_on(const MemoryIo& io) {
  ctn_context_options options{};
  options.io = &io.io();
  return context(options);
}

// Dense(2, 1) with a lazy Dense(2) below.
Net model(ctn_context ctx) {
  const Net inner = link(ctx, "Dense", {of_int(2)});
  return link(ctx, "Dense", {of_int(2), of_int(1), of(inner)});
}

std::map<std::string, Values> members(ctn_context ctx, const char* path) {
  std::map<std::string, Values> found;
  const auto visit = [](void* user, ctn_str name, ctn_variable v, ctn_array a,
                        ctn_link l) -> ctn_status {
    CHECK(v == nullptr);
    CHECK(l == nullptr);
    (*static_cast<std::map<std::string, Values>*>(user))[std::string(name.p, name.n)] =
        a ? values(a) : Values{-1};
    return CTN_OK;
  };
  REQUIRE_OK(ctn_load_npz_arrays(ctx, str(path), visit, &found));
  return found;
}

void save(ctn_context ctx, const char* path,
          const std::vector<std::pair<const char*, ctn_array>>& arrays) {
  std::vector<ctn_str> names;
  std::vector<ctn_array> handles;
  for (const auto& [name, a] : arrays) {
    names.push_back(str(name));
    handles.push_back(a);
  }
  REQUIRE_OK(ctn_save_npz_arrays(ctx, str(path), names.data(), handles.data(),
                                 static_cast<int32_t>(names.size()), 0));
}

Values mean(ctn_link l) {
  Arr a;
  REQUIRE_OK(ctn_link_persistent(l, str("mean"), a.out()));
  return values(a);
}

}  // namespace

TEST_CASE("a link's members: paths, persistent values, None where uninitialised") {
  MemoryIo io;
  const Ctx ctx = context_on(io);
  const Net l = model(ctx);
  REQUIRE_OK(ctn_save_npz_link(l, str("m.npz"), 1));
  CHECK(counts().saved == 2);
  const std::map<std::string, Values> expected = {
      {"W", {2, 2}},     {"mean", {0, 0}},       {"N", {0}},
      {"child/W", {-1}}, {"child/mean", {0, 0}}, {"child/N", {0}}};
  CHECK(members(ctx, "m.npz") == expected);
  REQUIRE_OK(ctn_save_npz_link(l, str("plain.npz"), 0));
  CHECK(members(ctx, "plain.npz") == expected);
  CHECK(io.open_handles() == 0);
}

TEST_CASE("what was saved is loaded, into lazy parameters too") {
  MemoryIo io;
  const Ctx ctx = context_on(io);
  const Net from = model(ctx), to = model(ctx);
  const int64_t shape[] = {2, 3};
  REQUIRE_OK(ctn_parameter_initialize(param(from, "child/W"), 2, shape));
  REQUIRE_OK(ctn_variable_set_array(param(from, "W"), array(ctx, kF32, {2, 1}, {5, 6})));
  REQUIRE_OK(ctn_link_set_persistent(from, str("mean"), array(ctx, kF32, {2}, {8, 9})));
  REQUIRE_OK(ctn_link_set_persistent(from, str("child/N"), array(ctx, kI64, {}, {3})));
  CHECK_FAILS(ctn_link_set_persistent(from, str("child/W"), array(ctx, kI64, {}, {3})),
              CTN_ENOTFOUND, "'W'");
  REQUIRE_OK(ctn_save_npz_link(from, str("m.npz"), 1));
  REQUIRE_OK(ctn_load_npz_link(to, str("m.npz"), str(""), 1));
  CHECK(counts().loaded == 2);
  CHECK(values(param(to, "W")) == Values{5, 6});
  CHECK(values(param(to, "child/W")) == Values(6, 2.0));
  CHECK(mean(to) == Values{8, 9});
  Arr n;
  REQUIRE_OK(ctn_link_persistent(to, str("child/N"), n.out()));
  CHECK(values(n) == Values{3});
  // None in the file leaves what is there
  const Net lazy = model(ctx);
  REQUIRE_OK(ctn_save_npz_link(lazy, str("lazy.npz"), 1));
  REQUIRE_OK(ctn_load_npz_link(to, str("lazy.npz"), str(""), 1));
  CHECK(values(param(to, "child/W")) == Values(6, 2.0));
  CHECK(values(param(to, "W")) == Values{2, 2});
}

TEST_CASE("prefixes, missing members, extra ones") {
  MemoryIo io;
  const Ctx ctx = context_on(io);
  const Net l = chain(ctx);
  const Var p = parameter(ctx, 1, &kPair), q = parameter(ctx, 1, &kPair);
  REQUIRE_OK(ctn_link_add_param(l, str("p"), p));
  REQUIRE_OK(ctn_link_add_param(l, str("q"), q));
  save(ctx, "f.npz",
       {{"updater/model:main/p", array(ctx, kF32, {2}, {3, 4})},
        {"updater/iteration", array(ctx, kI64, {}, {7})}});
  CHECK_FAILS(ctn_load_npz_link(l, str("f.npz"), str("updater/model:main/"), 1), CTN_ENOTFOUND,
              "f.npz has no member 'updater/model:main/q'");
  CHECK(values(p) == Values{1, 1});
  CHECK_FAILS(ctn_load_npz_link(l, str("f.npz"), str(""), 1), CTN_ENOTFOUND, "'p'");
  REQUIRE_OK(ctn_load_npz_link(l, str("f.npz"), str("updater/model:main"), 0));
  CHECK(values(p) == Values{3, 4});
  CHECK(values(q) == Values{1, 1});
  CHECK_FAILS(ctn_load_npz_link(l, str("g.npz"), str(""), 0), CTN_ENOTFOUND, "g.npz");
}

TEST_CASE("values are cast as NumPy's copyto does; a load that fails changes nothing") {
  MemoryIo io;
  const Ctx ctx = context_on(io);
  const Net l = link(ctx, "Dense", {of_int(2), of_int(1)});
  const Arr w = array(ctx, kF64, {2, 1}, {3, 4}), m = array(ctx, kI64, {2}, {5, 6});
  const Arr n = array(ctx, kI64, {}, {7}), real = array(ctx, kF64, {}, {7});
  const Arr flat = array(ctx, kF32, {2}, {3, 4});
  save(ctx, "good.npz", {{"W", w}, {"mean", m}, {"N", n}});
  save(ctx, "kind.npz", {{"W", w}, {"mean", m}, {"N", real}});
  save(ctx, "shape.npz", {{"mean", m}, {"N", n}, {"W", flat}});
  CHECK_FAILS(ctn_load_npz_link(l, str("kind.npz"), str(""), 1), CTN_EDTYPE,
              "'N' is float64 and cannot become int64");
  CHECK_FAILS(ctn_load_npz_link(l, str("shape.npz"), str(""), 1), CTN_ESHAPE,
              "/W has shape (2, 1)");
  CHECK(values(param(l, "W")) == Values{2, 2});
  CHECK(mean(l) == Values{0, 0});
  CHECK(counts().loaded == 0);
  REQUIRE_OK(ctn_load_npz_link(l, str("good.npz"), str(""), 1));
  CHECK(values(param(l, "W")) == Values{3, 4});
  CHECK(mean(l) == Values{5, 6});
  ctn_dltensor t;
  REQUIRE_OK(ctn_variable_view(param(l, "W"), &t));
  CHECK(t.dtype.bits == 32);
}

TEST_CASE("any call of the file system may fail") {
  MemoryIo io;
  const Ctx ctx = context_on(io);
  const Net from = model(ctx), to = model(ctx);
  REQUIRE_OK(ctn_variable_set_array(param(from, "W"), array(ctx, kF32, {2, 1}, {5, 6})));
  REQUIRE_OK(ctn_save_npz_link(from, str("m.npz"), 1));
  const std::string before = io.get("m.npz");
  io.fail_at(0);
  REQUIRE_OK(ctn_load_npz_link(to, str("m.npz"), str(""), 1));
  const uint64_t reads = io.calls();
  REQUIRE(reads > 3);
  const Net fresh = model(ctx);
  for (uint64_t k = 1; k <= reads; ++k) {
    io.fail_at(k);
    const ctn_status s = ctn_load_npz_link(fresh, str("m.npz"), str(""), 1);
    if (s == CTN_OK) break;  // closing failed, after all was read
    CHECK(values(param(fresh, "W")) == Values{2, 2});
  }
  io.fail_at(0);
  REQUIRE_OK(ctn_save_npz_link(to, str("other.npz"), 1));
  const uint64_t writes = io.calls();
  for (uint64_t k = 1; k <= writes; ++k) {
    io.fail_at(k);
    const ctn_status s = ctn_save_npz_link(fresh, str("m.npz"), 1);
    io.fail_at(0);
    if (s != CTN_OK && io.get("m.npz") == before) CHECK(io.files() == 2);
  }
  CHECK(io.open_handles() == 0);
}

TEST_CASE("memory that others see is written in place") {
  MemoryIo io;
  const Ctx ctx = context_on(io);
  const Net l = link(ctx, "Dense", {of_int(2), of_int(1)});
  Net twin;
  REQUIRE_OK(ctn_link_copy(l, CTN_COPY_SHARE, twin.out()));
  save(ctx, "m.npz",
       {{"W", array(ctx, kF32, {2, 1}, {3, 4})},
        {"mean", array(ctx, kF32, {2}, {5, 6})},
        {"N", array(ctx, kI64, {}, {7})}});
  REQUIRE_OK(ctn_load_npz_link(l, str("m.npz"), str(""), 1));
  CHECK(values(param(twin, "W")) == Values{3, 4});
  CHECK(mean(twin) == Values{5, 6});
}

TEST_CASE("an optimizer's members: counts and states, no hyperparameters") {
  MemoryIo io;
  const Ctx ctx = context_on(io);
  const Net l = model(ctx);
  const Opt o = optimizer(ctx, "Moment");
  CHECK_FAILS(ctn_save_npz_optimizer(o, str("o.npz"), 1), CTN_EINVAL, "not set up");
  REQUIRE_OK(ctn_optimizer_setup(o, l));
  set_grad(param(l, "W"), {1, 2});
  REQUIRE_OK(ctn_optimizer_update(o));
  REQUIRE_OK(ctn_optimizer_new_epoch(o, nullptr));
  REQUIRE_OK(ctn_save_npz_optimizer(o, str("o.npz"), 1));
  CHECK(members(ctx, "o.npz") ==
        std::map<std::string, Values>{
            {"t", {1}}, {"epoch", {1}}, {"W/t", {1}}, {"W/n", {1.5, 2.5}}, {"child/W/t", {1}}});
}

TEST_CASE("an optimizer continues where its file left off") {
  MemoryIo io;
  const Ctx ctx = context_on(io);
  const auto make = [&](Net& l, Opt& o) {
    l = link(ctx, "Dense", {of_int(2), of_int(1)});
    o = optimizer(ctx, "Moment");
    REQUIRE_OK(ctn_optimizer_setup(o, l));
  };
  const auto step = [](ctn_link l, ctn_optimizer o, double g) {
    set_grad(param(l, "W"), {g, -g});
    REQUIRE_OK(ctn_optimizer_update(o));
  };
  Net first, second;
  Opt o1, o2;
  make(first, o1);
  make(second, o2);
  step(first, o1, 1);
  step(first, o1, 3);
  REQUIRE_OK(ctn_save_npz_link(first, str("l.npz"), 1));
  REQUIRE_OK(ctn_save_npz_optimizer(o1, str("o.npz"), 0));
  REQUIRE_OK(ctn_load_npz_link(second, str("l.npz"), str(""), 1));
  REQUIRE_OK(ctn_load_npz_optimizer(o2, str("o.npz"), str(""), 1));
  step(first, o1, 2);
  step(second, o2, 2);
  CHECK(values(param(second, "W")) == values(param(first, "W")));
  int64_t t = 0;
  REQUIRE_OK(ctn_optimizer_rule_t(o2, str("W"), &t));
  CHECK(t == 3);
}

TEST_CASE("loading an optimizer: missing states, wrong members, nothing changed on failure") {
  MemoryIo io;
  const Ctx ctx = context_on(io);
  const Net l = chain(ctx);
  const Var p = parameter(ctx, 1, &kPair), q = parameter(ctx, 1, &kPair);
  REQUIRE_OK(ctn_link_add_param(l, str("p"), p));
  REQUIRE_OK(ctn_link_add_param(l, str("q"), q));
  const Opt o = optimizer(ctx, "Moment");
  REQUIRE_OK(ctn_optimizer_setup(o, l));
  const Arr two = array(ctx, kI64, {}, {2}), none_yet = array(ctx, kI64, {}, {0});
  const Arr real = array(ctx, kF32, {}, {2}), n = array(ctx, kF32, {2}, {3, 4});
  const Arr large = array(ctx, kF32, {3}, {3, 4, 5});
  const auto load = [&](int32_t strict) {
    return ctn_load_npz_optimizer(o, str("o.npz"), str(""), strict);
  };
  const auto unchanged = [&] {
    int64_t t = -1;
    REQUIRE_OK(ctn_optimizer_t(o, &t));
    return t == 0 && ctn_optimizer_rule_t(o, str("p"), &t) == CTN_OK && t == 0;
  };
  save(ctx, "o.npz", {{"t", two}, {"epoch", two}, {"p/t", two}, {"q/t", two}, {"p/n", n}});
  CHECK_FAILS(load(1), CTN_ENOTFOUND, "'q/n'");
  CHECK(unchanged());
  save(ctx, "o.npz", {{"t", real}, {"epoch", two}, {"p/t", two}, {"q/t", two}, {"p/n", n}});
  CHECK_FAILS(load(1), CTN_EFORMAT, "'t' is no integer");
  save(ctx, "o.npz", {{"t", two}, {"epoch", two}, {"p/t", two}, {"q/t", none_yet}, {"p/n", large}});
  CHECK_FAILS(load(1), CTN_ESHAPE, "p/n has shape (3,)");
  CHECK(unchanged());
  save(ctx, "o.npz", {{"t", two}, {"epoch", two}, {"p/t", two}, {"q/t", none_yet}, {"p/n", n}});
  REQUIRE_OK(load(1));  // q was never updated: it has no state in the file
  Arr got;
  REQUIRE_OK(ctn_optimizer_state(o, str("p"), str("n"), got.out()));
  CHECK(values(got) == Values{3, 4});
  CHECK_FAILS(ctn_optimizer_state(o, str("q"), str("n"), got.out()), CTN_ENOTFOUND, "'n'");
  save(ctx, "o.npz", {{"t", two}, {"p/t", two}});
  CHECK_FAILS(load(1), CTN_ENOTFOUND, "'epoch'");
  CHECK_OK(load(0));
}

TEST_CASE("arrays by name: Fortran order, None, texts left out") {
  MemoryIo io;
  const Ctx ctx = context_on(io);
  {
    catena::NpzWriter out(io.io(), "a.npz", 0);
    const float one = 1;
    out.add("x", kF32, {}, &one);
    out.add_none("nothing");
    out.add_text("log", "[]");
    out.finish();
  }
  CHECK(members(ctx, "a.npz") == std::map<std::string, Values>{{"x", {1}}, {"nothing", {-1}}});
  const auto stop = [](void*, ctn_str, ctn_variable, ctn_array, ctn_link) -> ctn_status {
    return CTN_ECANCELLED;
  };
  CHECK(ctn_load_npz_arrays(ctx, str("a.npz"), stop, nullptr) == CTN_ECANCELLED);
  {  // column-major, as numpy.save writes a transposed matrix
    const int64_t shape[] = {2, 3};
    const float data[] = {1, 4, 2, 5, 3, 6};
    std::string member = catena::npy_header("<f4", shape);
    const size_t at = member.find("False,");
    REQUIRE(at != std::string::npos);
    member.replace(at, 6, "True, ");
    member.append(reinterpret_cast<const char*>(data), sizeof data);
    catena::ZipWriter out(io.io(), "f.npz", {});
    const catena::ZipPiece piece = {member.data(), member.size()};
    out.add("x.npy", {&piece, 1});
    out.finish();
  }
  CHECK(members(ctx, "f.npz")["x"] == Values{1, 2, 3, 4, 5, 6});
  // strided arrays are stored in C order
  const Arr a = array(ctx, kF32, {2, 3}, {1, 2, 3, 4, 5, 6});
  Arr transposed;
  const int64_t shape[] = {3, 2}, strides[] = {1, 3};
  REQUIRE_OK(ctn_array_strided(a, 2, shape, strides, 0, transposed.out()));
  save(ctx, "t.npz", {{"x", transposed}});
  CHECK(members(ctx, "t.npz")["x"] == Values{1, 4, 2, 5, 3, 6});
}
