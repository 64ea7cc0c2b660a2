// catena.hpp: the C++20 interface, header-only over <catena/catena.h>. Handles are values that
// share what they name; failures are exceptions derived from catena::Error. Functions are in
// catena::F, links in catena::L, optimizers and hooks in namespaces of their names, as in Chainer.
// The inline namespace keeps names apart from those of a library that is linked statically.
#pragma once

#if __cplusplus < 202002L
#error "catena.hpp needs C++20: compile with -std=c++20"
#endif

#include <catena/cpp/array.hpp>
#include <catena/cpp/capture.hpp>
#include <catena/cpp/context.hpp>
#include <catena/cpp/error.hpp>
#include <catena/cpp/functions.hpp>
#include <catena/cpp/kernel.hpp>
#include <catena/cpp/link.hpp>
#include <catena/cpp/links.hpp>
#include <catena/cpp/operators.hpp>
#include <catena/cpp/optimizer.hpp>
#include <catena/cpp/optimizers.hpp>
#include <catena/cpp/serializers.hpp>
#include <catena/cpp/variable.hpp>
