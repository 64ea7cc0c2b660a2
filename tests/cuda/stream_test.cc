// Streams and events of the backend's table: the device's own queue, or one that the host brings.
#include "cuda/other_stream.h"
#include "cuda/support.h"

using cuda_test::Cuda;

namespace {

struct Stream {
  const ctn_backend_def& def = Cuda::get().def();
  ctn_stream s = nullptr;

  explicit Stream(void* adopt = nullptr) {
    Cuda::get().check(def.stream_open(def.self, 0, adopt, &s));
  }
  ~Stream() { def.stream_close(def.self, s); }
  void* native() const { return def.stream_native(def.self, s); }
  uint64_t record() const {
    uint64_t event = 0;
    Cuda::get().check(def.event_record(def.self, s, &event));
    return event;
  }
  ctn_status wait(uint64_t event) const { return def.event_wait(def.self, s, event); }
};

}  // namespace

TEST_CASE("a stream is the device's own, or the host's") {
  const Stream own, again;
  CHECK(own.native() != nullptr);
  CHECK(again.native() == own.native());
  const Stream adopted(own.native());
  CHECK(adopted.native() == own.native());
}

TEST_CASE("what waits for an event comes behind what was queued before it") {
  const Cuda& cuda = Cuda::get();
  const ctn_backend_def& def = cuda.def();
  const Stream first, second;
  void* const p = Cuda::get().alloc(4);
  const char text[] = "abc";
  cuda.check(def.copy(def.self, 0, p, -1, text, 4));
  for (int k = 0; k < 600; ++k) {  // more than there are marks at a time
    const uint64_t event = first.record();
    CHECK(event != 0);
    cuda.check(second.wait(event));
  }
  char back[4] = {};
  cuda.check(def.copy(def.self, -1, back, 0, p, 4));
  cuda.check(def.sync(def.self, 0));
  CHECK(std::string(back) == "abc");
  Cuda::get().free(p, 4);
}

TEST_CASE("an event that another stream took again comes behind what it marked before") {
  Cuda& cuda = Cuda::get();
  const cuda_test::OtherStream a, b, c;
  const Stream first(a.get()), second(b.get()), third(c.get());
  void* const p = cuda.alloc(4);
  float got = 0;
  cuda.check(cuda.def().copy(cuda.def().self, 0, p, -1, &got, 4));
  cuda.check(cuda.def().sync(cuda.def().self, 0));
  a.fill(p, 7, 1);
  const uint64_t event = first.record();
  for (int k = 0; k < 256; ++k) second.record();  // as many as there are
  cuda.check(third.wait(event));
  c.read({&got, 1}, p);
  CHECK(got == 7);
  cuda.free(p, 4);
}

TEST_CASE("an event that is none is refused") {
  const Stream s;
  CHECK(s.wait(0) != CTN_OK);
  CHECK(s.wait(uint64_t{1} << 40) != CTN_OK);
}
