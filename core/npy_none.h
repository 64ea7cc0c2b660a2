// The pickles that NumPy writes for array(None, dtype=object), taken from NumPy 1.24 and 2.4. They
// are compared byte by byte; Catena has no pickle interpreter.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <string_view>

namespace catena {

// NumPy 2 moved the module, and protocol 4 counts its bytes: head + module + tail.
struct NoneForm {
  std::string_view head;
  std::string_view module;
  std::string_view tail;
};

inline constexpr std::string_view kOldModule = "numpy.core";
inline constexpr std::string_view kNewModule = "numpy._core";

using namespace std::string_view_literals;

inline constexpr std::string_view kTail2 =
    ".multiarray\n_reconstruct\nq\000cnumpy\nndarray\nq\001K\000\205"
    "q\002c_codecs\nencode\nq\003X\001\000\000\000bq\004X\006\000\000\000latin1q\005\206"
    "q\006Rq\007\207q\010Rq\011(K\001)cnumpy\ndtype\nq\nX\002\000\000\000O8q\013\211\210"
    "\207q\014Rq\015(K\003X\001\000\000\000|q\016NNNJ\377\377\377\377J\377\377\377\377"
    "K\077tq\017b\211]q\020Natq\021b."sv;

inline constexpr std::string_view kTail3 =
    ".multiarray\n_reconstruct\nq\000cnumpy\nndarray\nq\001K\000\205"
    "q\002C\001bq\003\207q\004Rq\005(K\001)cnumpy\ndtype\nq\006X\002\000\000\000O8q\007"
    "\211\210\207q\010Rq\011(K\003X\001\000\000\000|q\nNNNJ\377\377\377\377J\377\377\377"
    "\377K\077tq\013b\211]q\014Natq\015b."sv;

inline constexpr std::string_view kTail4 =
    ".multiarray\224\214\014_reconstruct\224\223\224\214\005numpy\224\214\007ndarray\224\223\224K"
    "\000\205\224C\001b\224\207\224R\224(K\001)h\003\214\005dtype\224\223\224\214\002O8\224\211"
    "\210\207\224R\224(K\003\214\001|\224NNNJ\377\377\377\377J\377\377\377\377K\077t\224"
    "b\211]\224Nat\224b."sv;

inline constexpr NoneForm kNoneForms[] = {
    {"\200\002c"sv, kOldModule, kTail2},
    {"\200\002c"sv, kNewModule, kTail2},
    {"\200\003c"sv, kOldModule, kTail3},
    {"\200\003c"sv, kNewModule, kTail3},
    {"\200\004\225\206\000\000\000\000\000\000\000\214\025"sv, kOldModule, kTail4},
    {"\200\004\225\207\000\000\000\000\000\000\000\214\026"sv, kNewModule, kTail4},
};

}  // namespace catena
