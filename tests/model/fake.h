// What tests on the fake device (tests/plugins/fake) share: its module and the switches in it.
#pragma once

#include <dlfcn.h>
#include <catena/catena.hpp>

#include "main.h"
#include "plugins/fake/control.h"

namespace fake_test {

// Loads the module first.
inline fake::Control& control() {
  static fake::Control* const found = [] {
    catena::check(ctn_plugin_load(catena::detail::str(FAKE_PLUGIN)));
    void* const module = dlopen(FAKE_PLUGIN, RTLD_NOW | RTLD_NOLOAD);
    REQUIRE(module);
    const auto tell = reinterpret_cast<fake::ControlFn>(dlsym(module, "fake_control"));
    dlclose(module);
    return tell();
  }();
  return *found;
}

inline catena::Context context(const catena::ContextOptions& options) {
  control();
  return catena::Context(options);
}
inline catena::Context context(const char* device) {
  return context(catena::ContextOptions{.device = device, .threads = 1, .seed = 7});
}

inline int device_of(const catena::Array& a) { return a.spec().device.id; }
inline int device_of(const catena::Variable& v) { return device_of(v.array()); }

inline std::vector<float> values(const catena::Array& a) { return a.to_vector<float>(); }
inline std::vector<float> values(const catena::Variable& v) { return values(v.array()); }

// The failure of `body`: its status, and the text must have all of these.
template <class Body>
void refused(ctn_status status, std::initializer_list<const char*> texts, Body&& body) {
  try {
    body();
    FAIL("nothing was refused: ", *texts.begin());
  } catch (const catena::Error& e) {
    const std::string text = e.what();
    CHECK_MESSAGE(e.status() == status, text);
    for (const char* part : texts) CHECK_MESSAGE(text.find(part) != text.npos, text);
  }
}

}  // namespace fake_test
