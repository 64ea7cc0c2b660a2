// Work that was handed to the fake devices: a queue for each, in which everything waits until
// somebody waits for it. So whoever looks too early sees the old memory, every time.
#pragma once

#include <catena/plugin.h>

#include <functional>
#include <string>

#include "control.h"

namespace fake {

extern const ctn_host* g_host;
Control& control();

// Leaves the text and returns the code.
ctn_status fail(ctn_status code, const std::string& text);

// Queues work. `name`: the op, for the text of an error; empty for copies, which are not failed on
// request. The body may leave a text with its status.
void hand_over(int32_t device, std::string name, std::function<ctn_status()> body);
// Work for `to` that reads the memory of `from`: behind what either has to do, before what follows.
void hand_over_between(int32_t to, int32_t from, std::function<ctn_status()> body);
// Does what waits for the device; errors stay.
void finish(int32_t device);
// The same, then the first error since the last call.
ctn_status finish_and_tell(int32_t device);

}  // namespace fake
