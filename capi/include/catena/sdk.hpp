// sdk.hpp: a header-only C++20 layer over <catena/plugin.h> for writers of ops, kernels, links and
// backends: exceptions instead of status codes, counted handles, calls of other ops, callbacks made
// from plain functions. It adds nothing to the ABI: what crosses it is still plain C.
#ifndef CATENA_SDK_HPP
#define CATENA_SDK_HPP

#include <catena/sdk/call.hpp>
#include <catena/sdk/conv.hpp>
#include <catena/sdk/error.hpp>
#include <catena/sdk/float16.hpp>
#include <catena/sdk/host.hpp>
#include <catena/sdk/kernel.hpp>
#include <catena/sdk/link.hpp>
#include <catena/sdk/op.hpp>
#include <catena/sdk/tensor.hpp>
#include <catena/sdk/value.hpp>
#include <catena/sdk/var.hpp>

#endif
