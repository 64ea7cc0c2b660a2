// Calls of kernels and launches of expressions that outlive the call that asked for them: copies of
// everything they point to, with the memory behind the device's addresses.
#pragma once

#include <catena/plugin.h>

#include <deque>
#include <string>
#include <vector>

namespace fake {

class LaterCall {
 public:
  // False, with a text, if an address is no device memory or an attribute cannot be kept.
  bool copy(const ctn_run& run);
  // With the handle that the kernel shall get.
  const ctn_run& with(ctn_exec exec);

 private:
  bool copy(const ctn_tensor* from, int32_t n, std::vector<ctn_tensor>& to);
  bool copy(const ctn_value& from, ctn_value& to);

  ctn_run run_{};
  ctn_call_info info_{};
  std::vector<ctn_tensor> in_, out_;
  std::vector<ctn_value> attrs_;
  std::deque<std::vector<int64_t>> dims_, ints_;
  std::deque<std::vector<double>> floats_;
  std::deque<std::vector<ctn_value>> lists_;
  std::deque<std::vector<ctn_str>> strs_;
  std::deque<std::string> texts_;
  std::deque<ctn_slice> slices_;
};

class LaterLaunches {
 public:
  bool copy(const ctn_form& form, const ctn_launch* launches, int32_t n);
  const ctn_launch* with(ctn_exec exec);
  int32_t count() const { return static_cast<int32_t>(launches_.size()); }

 private:
  std::vector<ctn_launch> launches_;
  std::deque<std::vector<int64_t>> numbers_;
  std::deque<std::vector<uint64_t>> bits_;
  std::deque<std::vector<void*>> data_;
};

}  // namespace fake
