// Exchange of tensors by DLPack 1.x, against a declaration of its structs as the standard gives
// them: nothing is copied, deleters run once, and what is refused is given back.
#include <cstddef>
#include <memory>
#include <thread>

#include "support.h"

using namespace capi_test;

namespace {

// DLPack 1.x, written down from the standard (https://dmlc.github.io/dlpack/latest/c_api.html).
struct Dl {
  struct Device {
    int32_t device_type, device_id;
  };
  struct DataType {
    uint8_t code, bits;
    uint16_t lanes;
  };
  struct Tensor {
    void* data;
    Device device;
    int32_t ndim;
    DataType dtype;
    int64_t *shape, *strides;
    uint64_t byte_offset;
  };
  uint32_t major, minor;
  void* manager_ctx;
  void (*deleter)(Dl* self);
  uint64_t flags;
  Tensor dl_tensor;
};
static_assert(sizeof(Dl) == sizeof(ctn_dlpack) && sizeof(Dl::Tensor) == sizeof(ctn_dltensor));
#define CHECK_PLACE(ours, theirs) static_assert(offsetof(ctn_dlpack, ours) == offsetof(Dl, theirs))
CHECK_PLACE(version.major, major);
CHECK_PLACE(version.minor, minor);
CHECK_PLACE(manager_ctx, manager_ctx);
CHECK_PLACE(deleter, deleter);
CHECK_PLACE(flags, flags);
CHECK_PLACE(dl_tensor.data, dl_tensor.data);
CHECK_PLACE(dl_tensor.device.type, dl_tensor.device.device_type);
CHECK_PLACE(dl_tensor.device.id, dl_tensor.device.device_id);
CHECK_PLACE(dl_tensor.ndim, dl_tensor.ndim);
CHECK_PLACE(dl_tensor.dtype.code, dl_tensor.dtype.code);
CHECK_PLACE(dl_tensor.dtype.bits, dl_tensor.dtype.bits);
CHECK_PLACE(dl_tensor.dtype.lanes, dl_tensor.dtype.lanes);
CHECK_PLACE(dl_tensor.shape, dl_tensor.shape);
CHECK_PLACE(dl_tensor.strides, dl_tensor.strides);
CHECK_PLACE(dl_tensor.byte_offset, dl_tensor.byte_offset);

// A producer of tensors that counts what it gave and got back. Its deleter frees the struct, so
// that a second call, or a look at it afterwards, is seen by the memory checkers.
struct Producer {
  std::vector<float> memory;
  Shape shape, strides;
  int deleted = 0;

  Producer(Floats values, Shape s) : memory(std::move(values)), shape(std::move(s)) {}

  Dl* give() {
    auto* t = new Dl{};
    t->major = 1;
    t->manager_ctx = this;
    t->deleter = [](Dl* self) {
      ++static_cast<Producer*>(self->manager_ctx)->deleted;
      delete self;
    };
    t->dl_tensor = {memory.data(),
                    {1, 0},
                    length(shape),
                    {2, 32, 1},
                    shape.data(),
                    strides.empty() ? nullptr : strides.data(),
                    0};
    return t;
  }
};

ctn_status take(ctn_context ctx, Dl* t, ctn_array* out) {
  return ctn_array_from_dlpack(ctx, reinterpret_cast<ctn_dlpack*>(t), out);
}

struct Deleter {
  void operator()(Dl* t) const { t->deleter(t); }
};
using Exported = std::unique_ptr<Dl, Deleter>;

Exported exported(ctn_array a) {
  ctn_dlpack* t = nullptr;
  REQUIRE_OK(ctn_array_to_dlpack(a, &t));
  return Exported(reinterpret_cast<Dl*>(t));
}

}  // namespace

TEST_CASE("an imported tensor is used where it lies and given back once") {
  const Ctx ctx = context();
  Producer p({0, 1, 2, 3, 4, 5}, {2, 3});
  Arr a;
  REQUIRE_OK(take(ctx, p.give(), a.out()));
  CHECK(view(a).data == p.memory.data());
  CHECK(strides_of(view(a)) == Shape{3, 1});
  const ctn_value nine = of(9);
  REQUIRE_OK(ctn_array_fill(a, &nine));
  CHECK(p.memory == Floats(6, 9));
  Arr part;
  const int64_t three[] = {3}, step[] = {2};
  REQUIRE_OK(ctn_array_strided(a, 1, three, step, 0, part.out()));
  a = Arr();
  CHECK(p.deleted == 0);
  CHECK(values<float>(part) == Floats{9, 9, 9});
  std::thread([&] { part = Arr(); }).join();
  CHECK(p.deleted == 1);
}

TEST_CASE("strides, the byte offset, a later minor version and unknown flags are understood") {
  const Ctx ctx = context();
  Producer p({0, 1, 2, 3, 4, 5}, {3, 2});
  p.strides = {1, -3};
  Dl* t = p.give();
  t->minor = 7;
  t->flags = CTN_DLPACK_IS_COPIED | uint64_t{1} << 40;
  t->dl_tensor.byte_offset = 3 * sizeof(float);
  Arr a;
  REQUIRE_OK(take(ctx, t, a.out()));
  CHECK(values<float>(a) == Floats{3, 0, 4, 1, 5, 2});
  CHECK(p.deleted == 0);
}

TEST_CASE("a read-only tensor is copied and given back at once") {
  const Ctx ctx = context();
  Producer p({1, 2, 3, 4}, {2, 2});
  p.strides = {1, 2};
  Dl* t = p.give();
  t->flags = CTN_DLPACK_READ_ONLY;
  Arr a;
  REQUIRE_OK(take(ctx, t, a.out()));
  CHECK(p.deleted == 1);
  CHECK(values<float>(a) == Floats{1, 3, 2, 4});
  const ctn_value nine = of(9);
  REQUIRE_OK(ctn_array_fill(a, &nine));
  CHECK(p.memory == Floats{1, 2, 3, 4});
}

TEST_CASE("a tensor without a deleter lives as long as its owner says") {
  const Ctx ctx = context();
  Producer p({1}, {});
  const std::unique_ptr<Dl> t(p.give());
  t->deleter = nullptr;
  Arr a;
  REQUIRE_OK(take(ctx, t.get(), a.out()));
  CHECK(values<float>(a) == Floats{1});
  a = Arr();
  t->flags = CTN_DLPACK_READ_ONLY;
  REQUIRE_OK(take(ctx, t.get(), a.out()));
  t->major = 2;
  ctn_array out = untouched<ctn_array_s>();
  CHECK_FAILS(take(ctx, t.get(), &out), CTN_EVERSION, "2");
}

TEST_CASE("a refused tensor has been given back, once, and nothing is left of it") {
  const Ctx ctx = context();
  Shape many(33, 1), negative = {-1};
  int64_t far[] = {INT64_MAX, INT64_MAX};
  const struct {
    void (*change)(Dl& t, int64_t* far, Shape& many, Shape& negative);
    ctn_status code;
    const char* text;
  } cases[] = {
      {[](Dl& t, auto*, auto&, auto&) { t.major = 2; }, CTN_EVERSION, "major version is 2"},
      {[](Dl& t, auto*, auto&, auto&) { t.major = 0; }, CTN_EVERSION, "this library reads 1"},
      {[](Dl& t, auto*, auto&, auto&) { t.dl_tensor.dtype.lanes = 4; }, CTN_EDTYPE, "4 lanes"},
      {[](Dl& t, auto*, auto&, auto&) { t.dl_tensor.dtype.bits = 4; }, CTN_EDTYPE, "4 bits"},
      {[](Dl& t, auto*, auto&, auto&) {
         t.dl_tensor.dtype = {5, 64, 1};
       },
       CTN_EDTYPE, "code 5"},
      {[](Dl& t, auto*, auto&, auto&) { t.dl_tensor.ndim = -1; }, CTN_EINVAL, "-1"},
      {[](Dl& t, auto*, auto&, auto&) { t.dl_tensor.shape = nullptr; }, CTN_EINVAL, "shape"},
      {[](Dl& t, auto*, auto&, auto&) { t.dl_tensor.data = nullptr; }, CTN_EINVAL, "data"},
      {[](Dl& t, auto*, auto&, auto&) { t.dl_tensor.byte_offset = 1; }, CTN_EINVAL, "aligned"},
      {[](Dl& t, auto*, auto&, auto&) {
         t.dl_tensor.device = {2, 0};
       },
       CTN_EDEVICE, "type 2"},
      {[](Dl& t, auto*, auto&, auto&) {
         t.dl_tensor.device = {1, 5};
       },
       CTN_EDEVICE, "cpu:5"},
      {[](Dl& t, int64_t* s, auto&, auto&) { t.dl_tensor.strides = s; }, CTN_EINVAL, "64 bits"},
      {[](Dl& t, auto*, Shape& s, auto&) {
         t.dl_tensor.shape = s.data();
         t.dl_tensor.ndim = 33;
       },
       CTN_EINVAL, "33 dimensions"},
      {[](Dl& t, auto*, auto&, Shape& s) {
         t.dl_tensor.shape = s.data();
         t.dl_tensor.ndim = 1;
       },
       CTN_EINVAL, "(-1,)"},
  };
  for (const auto& c : cases) {
    for (const uint64_t flags : {0, int{CTN_DLPACK_READ_ONLY}}) {
      Producer p({1, 2, 3, 4}, {2, 2});
      Dl* t = p.give();
      t->flags = flags;
      c.change(*t, far, many, negative);
      ctn_array out = untouched<ctn_array_s>();
      CHECK_FAILS(take(ctx, t, &out), c.code, c.text);
      CHECK(p.deleted == 1);
      CHECK(out == untouched<ctn_array_s>());
      CHECK(used(ctx) == 0);
    }
  }
  Producer p({1}, {1});
  ctn_array out = untouched<ctn_array_s>();
  CHECK_FAILS(take(ctx, p.give(), nullptr), CTN_EINVAL, "out is NULL");
  CHECK_FAILS(take(nullptr, p.give(), &out), CTN_EINVAL, "context");
  CHECK(p.deleted == 2);
  CHECK_FAILS(take(ctx, nullptr, &out), CTN_EINVAL, "NULL");
  CHECK(out == untouched<ctn_array_s>());
}

TEST_CASE("an import that finds no memory has been given back") {
  const Ctx ctx = context();
  for (const uint64_t flags : {0, int{CTN_DLPACK_READ_ONLY}}) {
    Producer p(Floats(70000, 1), {70000});
    Dl* t = p.give();
    t->flags = flags;
    REQUIRE_OK(ctn_memory_trim(ctx));
    REQUIRE_OK(ctn_memory_set_limit(ctx, 1));
    ctn_array out = untouched<ctn_array_s>();
    CHECK_FAILS(take(ctx, t, &out), CTN_ENOMEM, "limit 1 bytes");
    CHECK(p.deleted == 1);
    REQUIRE_OK(ctn_memory_set_limit(ctx, 0));
  }
}

TEST_CASE("an export says all: version, no flags, shape and strides") {
  const Ctx ctx = context();
  const Arr a = array<double>(ctx, {0, 1, 2, 3, 4, 5}, {2, 3});
  const int64_t shape[] = {3, 2}, strides[] = {1, 3};
  Arr turned;
  REQUIRE_OK(ctn_array_strided(a, 2, shape, strides, 0, turned.out()));
  const Exported t = exported(turned);
  CHECK(t->major == 1);
  CHECK(t->flags == 0);
  const Dl::Tensor& d = t->dl_tensor;
  CHECK(d.data == view(a).data);
  CHECK(d.byte_offset == 0);
  CHECK(d.device.device_type == 1);
  CHECK(d.device.device_id == 0);
  CHECK(d.dtype.code == 2);
  CHECK(d.dtype.bits == 64);
  CHECK(d.dtype.lanes == 1);
  REQUIRE(d.ndim == 2);
  CHECK(Shape(d.shape, d.shape + 2) == Shape{3, 2});
  CHECK(Shape(d.strides, d.strides + 2) == Shape{1, 3});
}

TEST_CASE("every dtype, 0-d and empty arrays are exported and come back") {
  const Ctx ctx = context();
  for (const ctn_dtype dtype : kDtypes) {
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{0, 2}}) {
      const ctn_value one = of(1);
      Arr a, b;
      REQUIRE_OK(ctn_array_full(ctx, dtype, length(shape), shape.data(), &one, a.out()));
      REQUIRE_OK(take(ctx, exported(a).release(), b.out()));
      CHECK(shape_of(view(b)) == shape);
      CHECK(view(b).data == view(a).data);
      CHECK(view(b).dtype.code == dtype.code);
      CHECK(view(b).dtype.bits == dtype.bits);
      CHECK(values<double>(b) == std::vector<double>(elements(shape), 1));
    }
  }
  CHECK(used(ctx) == 0);
}

TEST_CASE("an export keeps the memory, whatever is released before it") {
  Ctx ctx = context();
  Arr a = array<float>(ctx, Floats(3000, 4));
  Exported t = exported(a);
  a = Arr();
  ctx = Ctx();
  const auto* data = static_cast<const float*>(t->dl_tensor.data);
  CHECK(data[2999] == 4);
  CHECK(t->dl_tensor.shape[0] == 3000);
  std::thread([&] { t.reset(); }).join();
}

TEST_CASE("two contexts share a tensor until both are done with it") {
  Ctx first = context(), second = context();
  Arr a = array<float>(first, {1, 2, 3}), b;
  REQUIRE_OK(take(second, exported(a).release(), b.out()));
  CHECK(ctn_array_context(b) == second);
  const ctn_value five = of(5);
  REQUIRE_OK(ctn_array_fill(b, &five));
  CHECK(values<float>(a) == Floats{5, 5, 5});
  a = Arr();
  first = Ctx();
  CHECK(values<float>(b) == Floats{5, 5, 5});
  second = Ctx();
  CHECK(values<float>(b) == Floats{5, 5, 5});
}

TEST_CASE("what is written through an export is seen by the next call of an op") {
  const Ctx ctx = context();
  const Var x = variable(array<float>(ctx, Floats(64, 1), {2, 32}), 0);
  const Arr weights = array<float>(ctx, Floats(32 * 32, 1), {32, 32});
  const Var w = variable(weights);
  const auto outcome = [&] { return values(call(ctx, "linear", {x, w}))[0]; };
  CHECK(outcome() == 32);
  {
    const Exported t = exported(weights);
    auto* data = static_cast<float*>(t->dl_tensor.data);
    for (float to : {2.0f, 3.0f}) {
      std::fill(data, data + 32 * 32, to);
      CHECK(outcome() == 32 * to);
      CHECK(outcome() == 32 * to);
    }
    std::fill(data, data + 32 * 32, 0.5f);
  }
  CHECK(outcome() == 16);
  const ctn_value one = of(1);
  REQUIRE_OK(ctn_array_fill(weights, &one));
  CHECK(outcome() == 32);
}

TEST_CASE("an export refused changes nothing") {
  const Ctx ctx = context();
  const Arr a = array<float>(ctx, {1});
  ctn_dlpack* out = untouched<ctn_dlpack>();
  CHECK_FAILS(ctn_array_to_dlpack(nullptr, &out), CTN_EINVAL, "array is NULL");
  CHECK_FAILS(ctn_array_to_dlpack(a, nullptr), CTN_EINVAL, "out is NULL");
  CHECK(out == untouched<ctn_dlpack>());
}
