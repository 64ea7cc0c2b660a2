// C functions of catena.h, section "captures".
#include "core/capture.h"
#include "core/capi/api.h"

using namespace catena;

extern "C" {

ctn_status ctn_capture_begin(ctn_context ctx, ctn_device device) {
  return guarded([&] {
    Context& c = *to_context(ctx);
    Capture::begin(c, c.device(device));
  });
}

ctn_status ctn_capture_end(ctn_context ctx, ctn_capture* out) {
  return guarded([&] {
    Context& c = *to_context(ctx);
    if (out)
      *out = Capture::end(c).detach();
    else
      Capture::cancel(c);
  });
}

ctn_status ctn_capture_replay(ctn_capture c) {
  return guarded([&] { to_capture(c)->replay(); });
}

void ctn_capture_retain(ctn_capture c) {
  if (c) static_cast<Capture*>(c)->retain();
}
void ctn_capture_release(ctn_capture c) {
  if (c) static_cast<Capture*>(c)->release();
}

}  // extern "C"
