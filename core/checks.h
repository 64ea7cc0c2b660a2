// Type checks of an op as data: texts such as "x.shape[1] == W.shape[1]" parsed once, evaluated per
// call, and rendered as Chainer's Expect/Actual message when one fails. Source of the message
// format: Chainer 4.3.1 documentation, "Type checks".
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/plugin.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace catena {

struct Op;

class TypeChecks {
 public:
  // Throws CTN_EINVAL naming the op and the column for a malformed text.
  static std::unique_ptr<const TypeChecks> parse(const Op& op);
  ~TypeChecks();

  // True if all hold. On false *failure is the whole message:
  //   "Invalid operation is performed in: ReLU (Forward)\n\nExpect: ...\nActual: ..."
  // and *code is CTN_EDTYPE or CTN_ESHAPE.
  bool hold(const Op& op, std::span<const ctn_tensor> in, std::span<const ctn_value> attrs,
            std::string* failure, ctn_status* code) const;

 private:
  TypeChecks();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Message for inputs whose number or dtype class does not fit the schema, in the same format.
std::string dtype_failure(const Op& op, std::span<const ctn_tensor> in, int32_t index);
std::string count_failure(const Op& op, int32_t got);

}  // namespace catena
