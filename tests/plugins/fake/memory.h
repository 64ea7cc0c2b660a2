// Memory of the fake devices. An address that is handed out can be kept, compared and counted from,
// but not read: whoever does dies at once. The memory behind it lies elsewhere, at a distance that
// only this module knows.
#pragma once

#include <cstdint>

namespace fake {

inline constexpr uint64_t kSpan = uint64_t{1} << 31;  // address space of one device

// False if the address space cannot be had.
bool reserve_memory();
// NULL if the device is full.
void* take_memory(int32_t device, uint64_t bytes, uint64_t align);
void give_memory(int32_t device, void* p, uint64_t bytes);
// What is behind a device address; NULL if it is none.
void* behind(const void* p);

}  // namespace fake
