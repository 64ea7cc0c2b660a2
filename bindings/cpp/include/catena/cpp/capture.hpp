// Capture: a step captured once on a device and done again without the calls it is made of, and
// the scope that captures it. What may be captured says <catena/catena.h>.
#pragma once

#include <catena/cpp/context.hpp>

#include <string_view>
#include <utility>

namespace catena::inline cpp {

class Capture : public detail::Handle<ctn_capture, ctn_capture_retain, ctn_capture_release> {
  using Base = detail::Handle<ctn_capture, ctn_capture_retain, ctn_capture_release>;

 public:
  using Base::Base;
  Capture() = default;
  void replay() const { check(ctn_capture_replay(get())); }
};

// From its construction to end() this thread's work on the device is captured; without end() it is
// thrown away.
class Capturing {
 public:
  // device: "cuda:1"; empty: the context's own.
  explicit Capturing(std::string_view device = {}, ctn_context ctx = Context::current())
      : ctx_(ctx) {
    ctn_device d{};
    if (device.empty())
      check(ctn_context_device(ctx, &d, nullptr));
    else
      check(ctn_device_find(ctx, detail::str(device), &d));
    check(ctn_capture_begin(ctx, d));
    ctn_context_retain(ctx);
  }
  ~Capturing() {
    // Nothing is left to be thrown away that could fail.
    if (!std::exchange(ended_, true)) static_cast<void>(ctn_capture_end(ctx_, nullptr));
    ctn_context_release(ctx_);
  }
  Capturing(const Capturing&) = delete;
  Capturing& operator=(const Capturing&) = delete;

  Capture end() {
    ctn_capture c = nullptr;
    ended_ = true;
    check(ctn_capture_end(ctx_, &c));
    return Capture(c);
  }

 private:
  ctn_context ctx_;
  bool ended_ = false;
};

// What `body()` asks for, captured.
template <class Body>
Capture capture(Body&& body, std::string_view device = {}, ctn_context ctx = Context::current()) {
  Capturing capturing(device, ctx);
  std::forward<Body>(body)();
  return capturing.end();
}

}  // namespace catena::inline cpp
