// Libraries of CUDA, opened when they are first needed: where they are looked for, and what is said
// when one is missing. The plugin links none of them.
#pragma once

#include <initializer_list>
#include <string>

namespace catena::cuda {

struct Library {
  void* handle = nullptr;
  std::string name;  // of the file that was opened
  std::string why;   // it could not be: what was tried, what is missing
};

// The first of `names` that can be opened, each looked for as the system does and then in the usual
// directories of CUDA. It stays open. `hint` is for a reader who has none.
Library open_library(std::initializer_list<const char*> names, const char* hint);

// The function, or NULL; then library.why says so.
void* find_symbol(Library& library, const char* symbol);

}  // namespace catena::cuda
