// Links and optimizers in npz files: see serialize.h.
#include "core/serialize.h"

#include <algorithm>
#include <cstring>

#include "core/intrinsic.h"
#include "core/npz.h"
#include "core/parameter.h"

namespace catena {
namespace {

constexpr int kLevel = 6;  // of compression, as NumPy's

// File buffers count as the context's memory.
void* buffer_alloc(void* user, uint64_t bytes, uint64_t) {
  try {
    return static_cast<Context*>(user)->alloc_object(bytes);
  } catch (...) {
    return nullptr;  // the caller says what it wanted
  }
}
void buffer_free(void* user, void* p, uint64_t bytes, uint64_t) {
  static_cast<Context*>(user)->free_object(p, bytes);
}
ctn_allocator buffers_of(Context& ctx) {
  return {sizeof(ctn_allocator), 0, &ctx, buffer_alloc, buffer_free};
}

class HostBuffer {
 public:
  HostBuffer(Context& ctx, uint64_t bytes)
      : ctx_(ctx), bytes_(bytes ? bytes : 1), data_(ctx.alloc_object(bytes_)) {}
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;
  ~HostBuffer() { ctx_.free_object(data_, bytes_); }
  void* data() const { return data_; }

 private:
  Context& ctx_;
  uint64_t bytes_;
  void* data_;
};

std::string_view without_slash(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

// ---- writing

class Writer {
 public:
  Writer(Context& ctx, const Place& to, bool compress)
      : ctx_(ctx),
        buffers_(buffers_of(ctx)),
        out_(to.io, to.path, compress ? kLevel : 0, &buffers_) {}

  void add(std::string_view name, Array* a) {
    if (!a) {
      out_.add_none(name);
    } else if (a->is_contiguous() && a->device().direct()) {
      out_.add(name, dtype_of(a->dtype), a->shape(), a->data());
    } else {
      const HostBuffer copy(ctx_, static_cast<uint64_t>(a->bytes()));
      copy_to_host(*a, copy.data());
      out_.add(name, dtype_of(a->dtype), a->shape(), copy.data());
    }
  }
  void add(std::string_view name, int64_t value) {
    out_.add(name, dtype_of(CTN_INT64), {}, &value);
  }
  void finish() { out_.finish(); }

 private:
  Context& ctx_;
  ctn_allocator buffers_;
  NpzWriter out_;
};

// ---- reading

class Reader {
 public:
  Reader(Context& ctx, const Place& from, std::string_view prefix, bool strict)
      : ctx_(ctx),
        buffers_(buffers_of(ctx)),
        in_(from.io, from.path, {}, &buffers_),
        prefix_(prefix),
        strict_(strict) {
    if (!prefix_.empty() && prefix_.back() != '/') prefix_ += '/';
  }

  NpzReader& file() { return in_; }

  // The member's index, if there is one.
  std::optional<size_t> find_any(std::string_view name) {
    const std::string full = prefix_ + std::string(without_slash(name));
    const auto at = in_.find(full);
    if (at && in_.members()[*at].info.text)
      fail(CTN_EFORMAT, in_.path() + ": member '" + full + "' is text");
    return at;
  }
  // The same; a missing one is an error if the reader is strict.
  std::optional<size_t> find(std::string_view name) {
    const auto at = find_any(name);
    if (!at && strict_)
      fail(CTN_ENOTFOUND,
           in_.path() + " has no member '" + prefix_ + std::string(without_slash(name)) + "'");
    return at;
  }
  bool is_none(size_t index) { return in_.members()[index].info.none; }

  // C order, with the file's dtype.
  Ref<Array> array(size_t index, Device& device) {
    const NpyInfo& info = in_.members()[index].info;
    std::vector<int64_t> shape = info.shape;
    const bool flip = info.fortran && shape.size() > 1;
    if (flip) std::ranges::reverse(shape);
    Ref<Array> a = Array::make(device, dtype_index(info.dtype), shape, "loading");
    const auto bytes = static_cast<uint64_t>(a->bytes());
    if (device.direct()) {
      in_.read(index, a->data(), bytes);
    } else {
      const HostBuffer copy(ctx_, bytes);
      in_.read(index, copy.data(), bytes);
      copy_from_host(*a, copy.data());
    }
    if (!flip) return a;
    std::vector<int64_t> strides(a->strides().rbegin(), a->strides().rend());
    return to_contiguous(*Array::make_view(*a, info.shape, strides, 0));
  }

  int64_t integer(size_t index) {
    const NpzMember& member = in_.members()[index];
    const int dtype = dtype_index(member.info.dtype);
    if (member.info.none || dtype < 0 || is_floating(dtype) || member.info.count != 1)
      fail(CTN_EFORMAT, in_.path() + ": member '" + member.name + "' is no integer");
    int64_t value = 0;
    unsigned char raw[8] = {};
    in_.read(index, raw, kDtypeBytes[dtype]);
    const auto get = [&](auto v) {
      std::memcpy(&v, raw, sizeof v);
      value = static_cast<int64_t>(v);
    };
    switch (dtype) {
      case CTN_INT8: get(int8_t{}); break;
      case CTN_INT16: get(int16_t{}); break;
      case CTN_INT32: get(int32_t{}); break;
      case CTN_UINT16: get(uint16_t{}); break;
      case CTN_UINT32: get(uint32_t{}); break;
      case CTN_INT64:
      case CTN_UINT64: get(int64_t{}); break;
      default: get(uint8_t{}); break;
    }
    return value;
  }

  // As NumPy's copyto: a value may become wider or, among floats, narrower, but no other kind.
  void check_kind(size_t index, int to) {
    const auto rank = [](int dtype) {
      if (is_floating(dtype)) return 3;
      if (dtype == CTN_BOOL8) return 0;
      return dtype >= CTN_UINT8 ? 1 : 2;
    };
    const NpzMember& member = in_.members()[index];
    const int from = dtype_index(member.info.dtype);
    if (rank(from) > rank(to))
      fail(CTN_EDTYPE, in_.path() + ": member '" + member.name + "' is " +
                           std::string(dtype_name(from)) + " and cannot become " +
                           std::string(dtype_name(to)));
  }

 private:
  Context& ctx_;
  ctn_allocator buffers_;
  NpzReader in_;
  std::string prefix_;
  bool strict_;
};

// ---- links

struct StagedItem {
  Ref<Variable> param;  // or, for a persistent value:
  Ref<Link> owner;
  std::string name;
  Ref<Array> value;
};

void take(const StagedItem& s) {
  if (s.param) {
    take_staged(*s.param, *s.value);
    return;
  }
  Array& own = *s.owner->at(s.name).persistent;
  const bool alone = own.refs.load() == 1 && own.storage->refs.load() == 1 &&
                     (own.storage->flags & kStorageBorrowed) == 0;
  if (alone) {
    s.owner->set_persistent(s.name, *s.value);
  } else {
    copy_into(own, *s.value);
  }
}

std::vector<StagedItem> stage(Link& link, Reader& in) {
  std::vector<StagedItem> staged;
  LinkWalk walk(link);
  while (const LinkItem* item = walk.next()) {
    if (item->child) continue;
    const auto at = in.find(walk.path());
    if (!at || in.is_none(*at)) continue;
    const std::string where = in.file().path() + ": " + std::string(walk.path());
    if (item->param) {
      const ParameterInfo& how = *item->param->extra->parameter;
      Array* own = item->param->data;
      in.check_kind(*at, own ? own->dtype : how.dtype);
      const Ref<Array> value = in.array(*at, own ? own->device() : *how.device);
      staged.push_back({item->param, nullptr, {}, stage_array(*item->param, *value, where)});
    } else {
      in.check_kind(*at, item->persistent->dtype);
      const Ref<Array> value = in.array(*at, item->persistent->device());
      staged.push_back({nullptr, Ref<Link>::share(&walk.owner()), item->name,
                        stage_array(*item->persistent, *value, where)});
    }
  }
  return staged;
}

}  // namespace

void save_link(Link& link, const Place& to, bool compress) {
  link.notify_serialized(false);
  Writer out(link.ctx(), to, compress);
  LinkWalk walk(link);
  while (const LinkItem* item = walk.next()) {
    if (item->child) continue;
    out.add(without_slash(walk.path()), item->param ? item->param->data : item->persistent.get());
  }
  out.finish();
}

void load_link(Link& link, const Place& from, std::string_view prefix, bool strict) {
  Reader in(link.ctx(), from, prefix, strict);
  for (const StagedItem& s : stage(link, in)) take(s);
  link.notify_serialized(true);
}

// ---- optimizers

void save_optimizer(Optimizer& optimizer, const Place& to, bool compress) {
  Writer out(optimizer.ctx(), to, compress);
  LinkWalk walk(optimizer.target());
  out.add("t", optimizer.t);
  out.add("epoch", optimizer.epoch);
  const ctn_optimizer_def& def = optimizer.entry().def;
  while (const LinkItem* item = walk.next()) {
    const UpdateRule* rule = item->param ? optimizer.find_rule(*item->param) : nullptr;
    if (!rule) continue;
    const std::string base = std::string(without_slash(walk.path())) + "/";
    out.add(base + "t", rule->t);
    for (size_t k = 0; k < rule->states.size(); ++k)
      if (rule->states[k])
        out.add(base + std::string(view(def.state[k].name)), rule->states[k].get());
  }
  out.finish();
}

namespace {

struct StagedRule {
  UpdateRule* rule;
  int64_t t;
  std::vector<Ref<Array>> states;
};

Ref<Array> stage_state(Reader& in, size_t at, const Optimizer& optimizer, const UpdateRule& rule,
                       Array* own, const std::string& where) {
  const ParameterInfo& how = *rule.param->extra->parameter;
  const Array* data = rule.param->data;
  int dtype = own ? own->dtype : data ? data->dtype : how.dtype;
  if (!own && optimizer.fp32_update && dtype == CTN_FLOAT16) dtype = CTN_FLOAT32;
  in.check_kind(at, dtype);
  Ref<Array> value = in.array(at, data ? data->device() : *how.device);
  if (data && !std::ranges::equal(value->shape(), data->shape()))
    fail(CTN_ESHAPE, where + " has shape " + shape_text(value->shape()) + ", its parameter " +
                         shape_text(data->shape()));
  return value->dtype == dtype ? value : copy_array(*value, dtype);
}

StagedRule stage(Reader& in, Optimizer& optimizer, UpdateRule& rule, const std::string& base) {
  StagedRule s{&rule, rule.t, rule.states};
  if (const auto at = in.find(base + "t")) s.t = in.integer(*at);
  const ctn_optimizer_def& def = optimizer.entry().def;
  for (size_t k = 0; k < s.states.size(); ++k) {
    if (!s.states[k] && !optimizer.has_state(rule, k)) continue;
    const std::string name = base + std::string(view(def.state[k].name));
    // A rule that never ran or is switched off may have been saved without states.
    const bool optional = s.t == 0 || !rule.param->extra->parameter->update_enabled;
    const auto at = optional ? in.find_any(name) : in.find(name);
    if (at && !in.is_none(*at))
      s.states[k] =
          stage_state(in, *at, optimizer, rule, s.states[k].get(), in.file().path() + ": " + name);
  }
  return s;
}

}  // namespace

void load_optimizer(Optimizer& optimizer, const Place& from, std::string_view prefix, bool strict) {
  Reader in(optimizer.ctx(), from, prefix, strict);
  std::vector<StagedRule> staged;
  LinkWalk walk(optimizer.target());
  int64_t t = optimizer.t, epoch = optimizer.epoch;
  if (const auto at = in.find("t")) t = in.integer(*at);
  if (const auto at = in.find("epoch")) epoch = in.integer(*at);
  while (const LinkItem* item = walk.next()) {
    UpdateRule* rule = item->param ? optimizer.find_rule(*item->param) : nullptr;
    if (rule)
      staged.push_back(stage(in, optimizer, *rule, std::string(without_slash(walk.path())) + "/"));
  }
  optimizer.t = t;
  optimizer.epoch = epoch;
  for (StagedRule& s : staged) {
    s.rule->t = s.t;
    s.rule->states.swap(s.states);
  }
}

// ---- arrays

void save_arrays(Context& ctx, const Place& to, std::span<const NamedArray> arrays, bool compress) {
  Writer out(ctx, to, compress);
  for (const NamedArray& a : arrays) out.add(a.name, a.array);
  out.finish();
}

void load_arrays(Context& ctx, const Place& from,
                 const std::function<void(std::string_view name, Array* array)>& visit) {
  Reader in(ctx, from, "", true);
  for (size_t k = 0; k < in.file().members().size(); ++k) {
    const NpzMember& member = in.file().members()[k];
    if (member.info.text) continue;
    const Ref<Array> a = in.is_none(k) ? nullptr : in.array(k, ctx.default_device());
    visit(member.name, a.get());
  }
}

}  // namespace catena
