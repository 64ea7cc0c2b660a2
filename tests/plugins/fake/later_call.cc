// See later_call.h.
#include "later_call.h"

#include "memory.h"
#include "queue.h"

namespace fake {
namespace {

// The memory behind a device address; NULL stays. False, with a text, if it is none.
bool translate(void* from, void** to) {
  *to = from ? behind(from) : nullptr;
  if (*to || !from) return true;
  fail(CTN_EINTERNAL, "fake: a kernel was handed memory that is not the device's");
  return false;
}

template <class T>
const T* kept(std::deque<std::vector<T>>& room, const T* from, size_t n) {
  return room.emplace_back(from, from + n).data();
}

}  // namespace

bool LaterCall::copy(const ctn_tensor* from, int32_t n, std::vector<ctn_tensor>& to) {
  if (n > 0) to.assign(from, from + n);
  for (ctn_tensor& t : to) {
    const auto ndim = static_cast<size_t>(t.t.ndim > 0 ? t.t.ndim : 0);
    if (t.t.shape) t.t.shape = const_cast<int64_t*>(kept(dims_, t.t.shape, ndim));
    if (t.t.strides) t.t.strides = const_cast<int64_t*>(kept(dims_, t.t.strides, ndim));
    if (!translate(t.t.data, &t.t.data)) return false;
  }
  return true;
}

bool LaterCall::copy(const ctn_value& from, ctn_value& to) {
  to = from;
  switch (from.kind) {
    case CTN_STR: to.u.s = texts_.emplace_back(from.u.s, from.n).data(); return true;
    case CTN_INTS: to.u.is = kept(ints_, from.u.is, from.n); return true;
    case CTN_FLOATS: to.u.fs = kept(floats_, from.u.fs, from.n); return true;
    case CTN_SLICE: to.u.slice = &slices_.emplace_back(*from.u.slice); return true;
    case CTN_STRS: {
      std::vector<ctn_str>& own = strs_.emplace_back(from.u.ss, from.u.ss + from.n);
      for (ctn_str& s : own) s.p = texts_.emplace_back(s.p, s.n).data();
      to.u.ss = own.data();
      return true;
    }
    case CTN_LIST: {
      std::vector<ctn_value>& own = lists_.emplace_back(from.n);
      for (uint32_t i = 0; i < from.n; ++i)
        if (!copy(from.u.list[i], own[i])) return false;
      to.u.list = own.data();
      return true;
    }
    default: break;
  }
  if (from.kind < CTN_INTS) return true;
  fail(CTN_EUNSUPPORTED, "fake: attributes that are arrays, links or functions are not kept");
  return false;
}

bool LaterCall::copy(const ctn_run& run) {
  run_ = run;
  info_ = *run.call;
  run_.call = &info_;
  attrs_.resize(static_cast<size_t>(info_.n_attrs));
  for (size_t i = 0; i < attrs_.size(); ++i)
    if (!copy(run.call->attrs[i], attrs_[i])) return false;
  if (!copy(info_.in, info_.n_in, in_) || !copy(info_.out, info_.n_out, out_)) return false;
  info_.in = in_.data();
  info_.out = out_.data();
  info_.attrs = attrs_.data();
  return translate(run.scratch, &run_.scratch);
}

const ctn_run& LaterCall::with(ctn_exec exec) {
  run_.call = &info_;
  run_.exec = exec;
  return run_;
}

bool LaterLaunches::copy(const ctn_form& form, const ctn_launch* launches, int32_t n) {
  const auto n_args = static_cast<size_t>(form.n_args);
  for (int32_t k = 0; k < n; ++k) {
    ctn_launch l = launches[k];
    const auto ndim = static_cast<size_t>(l.ndim);
    l.shape = kept(numbers_, l.shape, ndim);
    l.strides = kept(numbers_, l.strides, n_args * ndim);
    l.counts = kept(numbers_, l.counts, n_args);
    if (form.n_scalars > 0) l.scalars = kept(bits_, l.scalars, static_cast<size_t>(form.n_scalars));
    std::vector<void*>& data = data_.emplace_back(l.data, l.data + n_args);
    for (void*& p : data)
      if (!translate(p, &p)) return false;
    l.data = data.data();
    launches_.push_back(l);
  }
  return true;
}

const ctn_launch* LaterLaunches::with(ctn_exec exec) {
  for (ctn_launch& l : launches_) l.exec = exec;
  return launches_.data();
}

}  // namespace fake
