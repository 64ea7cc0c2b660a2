// oneDNN as this backend sees it: descriptors of float32 data, primitives that run on one thread,
// errors as ours. The one place that knows which version is there (2.6 or 3.x). Knows no op.
#pragma once

#include <catena/sdk/conv.hpp>
#include <catena/sdk/error.hpp>

#include <oneapi/dnnl/dnnl.hpp>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace catena::intel64 {

using Md = dnnl::memory::desc;
using MdDims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

// Opens the engine. Throws sdk::Error.
void start_onednn();
const dnnl::engine& engine();
// "3.4.1": of the library that runs, which may be newer than the headers.
std::string onednn_version();
// "avx512", "avx2", "sse4.1": what the layouts here are chosen for.
const char* instruction_set();
// Channels of a block in the layouts that fit this processor: 16, 8, or 0 where there are none.
int64_t channel_block();

// oneDNN takes its threads from OpenMP. While one of these lives, this thread is all there is:
// parallel work is ours.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// Runs body with one thread; what oneDNN throws becomes an sdk::Error.
template <class Body>
auto with_onednn(const char* what, Body&& body) {
  const OneThread one;
  try {
    return body();
  } catch (const dnnl::error& e) {
    const ctn_status status = e.status == dnnl_out_of_memory   ? CTN_ENOMEM
                              : e.status == dnnl_unimplemented ? CTN_EUNSUPPORTED
                                                               : CTN_EINTERNAL;
    sdk::fail(status, "oneDNN: ", what, ": ", e.message);
  }
}

// A primitive and what it asks of its arguments. Run by many threads at once.
class Primitive {
 public:
  Primitive() = default;
  template <class Desc, class Kind>
  static Primitive make(const Desc& desc) {
    Primitive p;
    p.primitive_ = Kind(desc);
    p.idle_ = std::make_shared<Idle>();
    p.scratch_ = desc.scratchpad_desc();
    p.reference_ = std::string_view(desc.impl_info_str()).starts_with("ref");
    return p;
  }
  // It is oneDNN's plain loops, hundreds of times slower than what is compiled for the shape.
  bool is_reference() const { return reference_; }
  size_t scratch_bytes() const { return scratch_.get_size(); }

  struct Arg {
    int role;  // DNNL_ARG_*
    const Md& md;
    const void* data;
  };
  // In every run the same arguments but for the data: the roles and descriptions of the first run
  // are those that count. scratch: scratch_bytes() of this run alone.
  void run(std::span<const Arg> args, void* scratch) const;
  void run(std::initializer_list<Arg> args, void* scratch) const {
    run(std::span(args.begin(), args.size()), scratch);
  }

 private:
  // oneDNN's objects for the arguments of a run: pieces of the heap, kept for later runs. As many
  // as there were runs at once.
  struct Bound {
    dnnl::stream stream;
    std::vector<dnnl::memory> memory;
    std::vector<dnnl_exec_arg_t> args;

    Bound(std::span<const Arg> all, const Md& scratch_md, void* scratch);
    void set(std::span<const Arg> all, void* scratch);
  };
  class Idle {
   public:
    std::unique_ptr<Bound> take();  // null: all are in use
    void put(std::unique_ptr<Bound> bound) noexcept;

   private:
    std::vector<std::unique_ptr<Bound>> bound_;  // behind Lock::kPrimitives
  };

  dnnl::primitive primitive_;
  Md scratch_;
  bool reference_ = false;
  std::shared_ptr<Idle> idle_;  // copies are the same primitive
};

// ---- convolutions

using Direction = sdk::ConvDirection;
enum class Algorithm { kDirect, kWinograd };

struct ConvDesc {
  Md x, w, y, b;  // b: zero where there is none
  MdDims stride, dilate, pad_low, pad_high;
  bool sum = false, relu = false;  // forward: y += what it held before; then negative ones become 0
};

struct Conv {
  Primitive primitive;
  Md x, w, y, b;  // with what was left open (any) chosen
};
// Throws CTN_EUNSUPPORTED where oneDNN has no such kernel.
Conv make_conv(Direction direction, Algorithm algorithm, const ConvDesc& desc);

// ---- others

// From one layout to another.
Primitive make_reorder(const Md& from, const Md& to);

}  // namespace catena::intel64
