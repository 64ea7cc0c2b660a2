// npz files without a path: from memory, from a host's read function, to its write function. Bytes
// equal to those of files, buffers that are no files, functions that fail.
#include <cstring>
#include <map>
#include <stdexcept>

#include "memory_io.h"
#include "net_support.h"

using namespace catena_test;

namespace {

using Values = std::vector<double>;
const ctn_str kNone = {"", 0};

// A write function that fails at its k-th call (1-based; 0: never).
struct Out {
  std::string bytes;
  uint64_t calls = 0;
  uint64_t fail_at = 0;
  ctn_status status = CTN_EIO;
  const char* text = "";

  static ctn_status CTN_CALL write(void* user, const void* p, uint64_t n) {
    Out& o = *static_cast<Out*>(user);
    CHECK(n > 0);
    CHECK((o.fail_at == 0 || o.calls < o.fail_at));  // none after the one that failed
    if (++o.calls == o.fail_at) return *o.text ? ctn_error_set(o.status, str(o.text)) : o.status;
    o.bytes.append(static_cast<const char*>(p), n);
    return CTN_OK;
  }
};

// A read function over bytes that fails at its k-th call.
struct In {
  std::string bytes;
  uint64_t calls = 0;
  uint64_t fail_at = 0;

  static ctn_status CTN_CALL read(void* user, uint64_t offset, void* dst, uint64_t n) {
    In& in = *static_cast<In*>(user);
    CHECK(n > 0);
    CHECK(offset <= in.bytes.size());
    CHECK(n <= in.bytes.size() - offset);
    if (++in.calls == in.fail_at) return ctn_error_set(CTN_EDEVICE, str("the tape tore"));
    std::memcpy(dst, in.bytes.data() + offset, n);
    return CTN_OK;
  }
};

// A link with weights of its own, and an optimizer that has run on it.
struct Model {
  MemoryIo io;
  Ctx ctx;
  Net link;
  Opt optimizer;

  Model() {
    ctn_context_options options{};
    options.io = &io.io();
    ctx = context(options);
    link = catena_test::link(ctx, "Dense", {of_int(2), of_int(1)});
    optimizer = catena_test::optimizer(ctx, "Moment");
    REQUIRE_OK(ctn_optimizer_setup(optimizer, link));
  }
  void step(double g) const {
    set_grad(param(link, "W"), {g, -g});
    REQUIRE_OK(ctn_optimizer_update(optimizer));
  }
  Values weights() const { return values(param(link, "W")); }
  int64_t t() const {
    int64_t t = -1;
    REQUIRE_OK(ctn_optimizer_t(optimizer, &t));
    return t;
  }
  std::string file(uint32_t flags = CTN_NPZ_COMPRESS) {
    REQUIRE_OK(ctn_save_npz_link(link, str("f.npz"), flags));
    return io.get("f.npz");
  }
};

ctn_status load(ctn_link l, const std::string& bytes) {
  return ctn_load_npz_link_memory(l, bytes.data(), bytes.size(), kNone, 1);
}

ctn_status CTN_CALL collect(void* user, ctn_str name, ctn_variable, ctn_array a, ctn_link) {
  (*static_cast<std::map<std::string, Values>*>(user))[std::string(name.p, name.n)] =
      a ? values(a) : Values{-1};
  return CTN_OK;
}

}  // namespace

TEST_CASE("what a write function gets is the file, byte for byte") {
  Model m;
  m.step(1);
  for (const uint32_t flags : {0u, uint32_t{CTN_NPZ_COMPRESS}}) {
    Out link, optimizer, arrays;
    REQUIRE_OK(ctn_save_npz_link_to(m.link, Out::write, &link, flags));
    CHECK(link.bytes == m.file(flags));
    REQUIRE_OK(ctn_save_npz_optimizer_to(m.optimizer, Out::write, &optimizer, flags));
    REQUIRE_OK(ctn_save_npz_optimizer(m.optimizer, str("o.npz"), flags));
    CHECK(optimizer.bytes == m.io.get("o.npz"));

    // Large enough to pass by the buffer, and in several pieces.
    const Arr big = array(m.ctx, kF64, {30'000}, Values(30'000, 0.5));
    const ctn_str names[] = {str("big"), str("none")};
    const ctn_array given[] = {big, nullptr};
    REQUIRE_OK(ctn_save_npz_arrays_to(m.ctx, Out::write, &arrays, names, given, 2, flags));
    REQUIRE_OK(ctn_save_npz_arrays(m.ctx, str("a.npz"), names, given, 2, flags));
    CHECK(arrays.bytes == m.io.get("a.npz"));
    if (flags == 0) CHECK(arrays.calls >= 3);
  }
  CHECK_FAILS(ctn_save_npz_link_to(m.link, Out::write, nullptr, 2), CTN_EINVAL, "npz flags are 2");
  CHECK_FAILS(ctn_save_npz_link(m.link, str("f.npz"), 3), CTN_EINVAL, "npz flags are 3");
  CHECK_FAILS(ctn_save_npz_link_to(m.link, nullptr, nullptr, 0), CTN_EINVAL, "write is NULL");
}

TEST_CASE("memory and read functions give back what was saved") {
  Model from;
  from.step(1);
  from.step(3);
  Out out;
  REQUIRE_OK(ctn_save_npz_optimizer_to(from.optimizer, Out::write, &out, CTN_NPZ_COMPRESS));
  In model{from.file()}, states{out.bytes};

  Model memory, stream;
  REQUIRE_OK(load(memory.link, model.bytes));
  REQUIRE_OK(ctn_load_npz_optimizer_memory(memory.optimizer, states.bytes.data(),
                                           states.bytes.size(), kNone, 1));
  REQUIRE_OK(ctn_load_npz_link_from(stream.link, In::read, &model, model.bytes.size(), kNone, 1));
  REQUIRE_OK(ctn_load_npz_optimizer_from(stream.optimizer, In::read, &states, states.bytes.size(),
                                         kNone, 1));
  from.step(2);
  for (Model* m : {&memory, &stream}) {
    CHECK(m->t() == 2);
    m->step(2);
    CHECK(m->weights() == from.weights());
  }

  const Arr a = array(from.ctx, kF32, {2}, {3, 4});
  const ctn_str names[] = {str("x"), str("y")};
  const ctn_array given[] = {a, nullptr};
  Out arrays;
  REQUIRE_OK(ctn_save_npz_arrays_to(from.ctx, Out::write, &arrays, names, given, 2, 0));
  const std::map<std::string, Values> expected = {{"x", {3, 4}}, {"y", {-1}}};
  std::map<std::string, Values> by_memory, by_read;
  REQUIRE_OK(ctn_load_npz_arrays_memory(from.ctx, arrays.bytes.data(), arrays.bytes.size(), collect,
                                        &by_memory));
  CHECK(by_memory == expected);
  In in{arrays.bytes};
  REQUIRE_OK(ctn_load_npz_arrays_from(from.ctx, In::read, &in, in.bytes.size(), collect, &by_read));
  CHECK(by_read == expected);
  CHECK_FAILS(
      ctn_load_npz_arrays_from(from.ctx, nullptr, nullptr, in.bytes.size(), collect, &by_read),
      CTN_EINVAL, "read is NULL");
}

TEST_CASE("prefixes and strictness hold for memory as for files") {
  Model m;
  const Arr w = array(m.ctx, kF32, {2, 1}, {7, 8});
  const ctn_str name = str("model/W");
  const ctn_array given = w;
  Out out;
  REQUIRE_OK(ctn_save_npz_arrays_to(m.ctx, Out::write, &out, &name, &given, 1, 0));
  const auto load_with = [&](const char* prefix, int32_t strict) {
    return ctn_load_npz_link_memory(m.link, out.bytes.data(), out.bytes.size(), str(prefix),
                                    strict);
  };
  CHECK_FAILS(load_with("model", 1), CTN_ENOTFOUND, "<memory> has no member 'model/mean'");
  CHECK(m.weights() == Values{2, 2});
  REQUIRE_OK(load_with("model", 0));
  CHECK(m.weights() == Values{7, 8});
}

TEST_CASE("buffers that are no files change nothing") {
  Model from, to;
  from.step(1);
  const std::string good = from.file();
  CHECK_FAILS(ctn_load_npz_link_memory(to.link, nullptr, 0, kNone, 1), CTN_EFORMAT, "<memory>");
  CHECK_FAILS(ctn_load_npz_link_memory(to.link, nullptr, 1, kNone, 1), CTN_EINVAL, "data is NULL");
  CHECK_FAILS(load(to.link, "not a zip file"), CTN_EFORMAT, "<memory>");
  CHECK_FAILS(load(to.link, std::string(100'000, '\0')), CTN_EFORMAT, "<memory>");
  // Every prefix of a file, each in a block of its own: what reads past the end is seen.
  for (size_t n = 0; n < good.size(); ++n) {
    const std::vector<char> cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n));
    INFO("bytes " << n);
    CHECK(ctn_load_npz_link_memory(to.link, cut.data(), cut.size(), kNone, 1) == CTN_EFORMAT);
  }
  // Every byte wrong in turn: refused, or of no consequence for what is loaded.
  int refused = 0;
  for (size_t k = 0; k < good.size(); ++k) {
    std::string bad = good;
    bad[k] = static_cast<char>(bad[k] ^ 0x5a);
    Model fresh;
    const ctn_status s = load(fresh.link, bad);
    INFO("byte " << k << ": " << ctn_error_message());
    refused += s != CTN_OK;
    CHECK(fresh.weights() == (s == CTN_OK ? from.weights() : Values{2, 2}));
  }
  CHECK(refused > static_cast<int>(good.size()) / 2);
  CHECK(to.weights() == Values{2, 2});
}

TEST_CASE("a write function that fails ends the save with its own words") {
  Model m;
  m.step(1);
  const std::string whole = m.file(0);
  const Values weights = m.weights();
  Out count;
  const Arr big = array(m.ctx, kF64, {30'000}, Values(30'000, 0.5));
  const ctn_str name = str("big");
  const ctn_array given = big;
  const auto save = [&](Out& out) {
    return ctn_save_npz_arrays_to(m.ctx, Out::write, &out, &name, &given, 1, 0);
  };
  REQUIRE_OK(save(count));
  REQUIRE(count.calls >= 3);
  for (uint64_t k = 1; k <= count.calls; ++k) {
    Out out;
    out.fail_at = k;
    out.status = CTN_ECANCELLED;
    out.text = "the quota is used up";
    CHECK_FAILS(save(out), CTN_ECANCELLED, "the quota is used up");
    CHECK(out.calls == k);
    CHECK(count.bytes.starts_with(out.bytes));
  }
  Out silent, unknown;
  silent.fail_at = unknown.fail_at = 1;
  unknown.status = 4711;
  CHECK_FAILS(ctn_save_npz_link_to(m.link, Out::write, &silent, 0), CTN_EIO, "'<stream>'");
  CHECK_FAILS(ctn_save_npz_link_to(m.link, Out::write, &unknown, 0), CTN_EIO, "4711");
  const ctn_write_fn throws = [](void*, const void*, uint64_t) -> ctn_status {
    throw std::runtime_error("thrown by the host");
  };
  CHECK_FAILS(ctn_save_npz_optimizer_to(m.optimizer, throws, nullptr, 0), CTN_EINTERNAL,
              "thrown by the host");
  CHECK(m.weights() == weights);
  CHECK(m.t() == 1);
  CHECK(m.file(0) == whole);
}

TEST_CASE("a read function that fails ends the load and changes nothing") {
  Model from, to;
  from.step(1);
  In count{from.file()};
  const auto load_from = [&](In& in) {
    return ctn_load_npz_link_from(to.link, In::read, &in, in.bytes.size(), kNone, 1);
  };
  for (uint64_t k = 1;; ++k) {
    In in{count.bytes, 0, k};
    const ctn_status s = load_from(in);
    if (in.calls < k) {
      CHECK(s == CTN_OK);
      CHECK(k > 1);
      break;
    }
    const std::string text = ctn_error_message();
    CHECK(s == CTN_EDEVICE);
    CHECK(text.find("the tape tore") != text.npos);
    CHECK(to.weights() == Values{2, 2});
  }
  CHECK(to.weights() == from.weights());
}
