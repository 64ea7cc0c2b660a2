// launch: see launch.h. Dimensions of size 1 are dropped and neighbours merged, so that a backend
// mostly sees one dimension.
#include "core/launch.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/capture.h"
#include "core/derived.h"
#include "core/expr/plain.h"
#include "core/layout.h"

namespace catena {
namespace {

// Marks a backend that declined a form; never dereferenced.
char g_declined;
void* const kDeclined = &g_declined;

constexpr size_t kStackStrides = 256;

// The iteration space with the byte strides of every argument, as a backend sees it.
struct Walk {
  int32_t ndim = 0;
  int32_t n_reduced = 0;
  int32_t n_args = 0;
  int64_t shape[CTN_MAX_NDIM];
  int64_t stack[kStackStrides];
  std::vector<int64_t> heap;
  int64_t* strides = stack;  // [n_args][capacity] until packed, then [n_args][ndim]
  int32_t capacity = 0;

  int64_t* row(int32_t arg) { return strides + static_cast<ptrdiff_t>(arg) * capacity; }
};

// Byte strides of one argument along the dimensions of the space.
void arg_strides(const Array& a, Align align, const Space& space, int64_t* out) {
  const int64_t item = a.itemsize();
  if (align == Align::kFull) {
    const int32_t skip = space.ndim - a.ndim;
    for (int32_t d = 0; d < space.ndim; ++d) {
      const int32_t k = d - skip;
      out[d] = k < 0 || a.dims[k] == 1 ? 0 : a.dims[a.ndim + k] * item;
    }
    return;
  }
  int32_t k = 0;
  for (int32_t d = 0; d < space.ndim; ++d) {
    const bool gone = space.axes >> d & 1;
    out[d] = gone || a.dims[k] == 1 ? 0 : a.dims[a.ndim + k] * item;
    if (!gone || space.ones >> d & 1) ++k;
  }
}

// Whether the whole call is one run over contiguous memory.
bool is_flat(const Space& space, std::span<Array* const> args, std::span<const Align> align) {
  for (size_t i = 0; i < args.size(); ++i) {
    const Array* a = args[i];
    if (align[i] != Align::kFull || !a->contiguous || a->ndim != space.ndim) return false;
    for (int32_t d = 0; d < space.ndim; ++d)
      if (a->dims[d] != space.shape[d]) return false;
  }
  return true;
}

void drop_and_merge(Walk& w, const int64_t* shape, const int32_t* order, int32_t from, int32_t n,
                    const int64_t* full, int32_t full_ndim, int32_t first) {
  // appends the dimensions order[from .. from+n) to w, merging where every argument allows it
  for (int32_t k = from; k < from + n; ++k) {
    const int32_t d = order[k];
    if (shape[d] == 1) continue;
    bool merge = w.ndim > first;
    for (int32_t a = 0; merge && a < w.n_args; ++a)
      merge = w.row(a)[w.ndim - 1] == full[a * full_ndim + d] * shape[d];
    if (merge) {
      w.shape[w.ndim - 1] *= shape[d];
      for (int32_t a = 0; a < w.n_args; ++a) w.row(a)[w.ndim - 1] = full[a * full_ndim + d];
    } else {
      w.shape[w.ndim] = shape[d];
      for (int32_t a = 0; a < w.n_args; ++a) w.row(a)[w.ndim] = full[a * full_ndim + d];
      ++w.ndim;
    }
  }
}

// The space with the blocks of a layout as its last dimension.
Space cut_space(const Space& space, const Blocks& cut) {
  Space s = space;
  s.shape[cut.axis] /= cut.block;
  s.shape[s.ndim] = cut.block;
  s.axes |= (space.axes >> cut.axis & 1) << s.ndim;
  ++s.ndim;
  return s;
}

// Byte strides of one argument along that space: inputs lie in blocks, outputs plain.
void cut_strides(const Array& a, Align align, const Space& space, const Blocks& cut, int64_t* out) {
  if (align == Align::kReduced) {
    arg_strides(a, align, space, out);
    out[space.ndim] = out[cut.axis];
    out[cut.axis] *= cut.block;
    return;
  }
  out[space.ndim] = a.itemsize();
  int64_t step = a.itemsize() * cut.block;
  for (int32_t d = space.ndim; d-- > 0;) {
    out[d] = step;
    step *= d == cut.axis ? space.shape[d] / cut.block : space.shape[d];
  }
}

// cut: how the inputs of a reduction lie, no block where they are plain.
void build_walk(Walk& w, bool reduction, const Space& plain, std::span<Array* const> args,
                std::span<const Align> align, const Blocks& cut) {
  const Space& space = cut.block ? cut_space(plain, cut) : plain;
  w.n_args = static_cast<int32_t>(args.size());
  w.capacity = space.ndim ? space.ndim : 1;
  const size_t need = args.size() * static_cast<size_t>(w.capacity);
  int64_t full_stack[kStackStrides];
  std::vector<int64_t> full_heap;
  int64_t* full = full_stack;
  if (need > kStackStrides) {
    full_heap.resize(need);
    w.heap.resize(need);
    full = full_heap.data();
    w.strides = w.heap.data();
  }
  for (int32_t a = 0; a < w.n_args; ++a) {
    const Array& arg = *args[static_cast<size_t>(a)];
    const Align how = align[static_cast<size_t>(a)];
    if (cut.block)
      cut_strides(arg, how, plain, cut, full + a * space.ndim);
    else
      arg_strides(arg, how, space, full + a * space.ndim);
  }
  int32_t order[CTN_MAX_NDIM], kept = 0, reduced = 0;
  for (int32_t d = 0; d < space.ndim; ++d)
    if (!reduction || !(space.axes >> d & 1)) order[kept++] = d;
  for (int32_t d = 0; reduction && d < space.ndim; ++d)
    if (space.axes >> d & 1) order[kept + reduced++] = d;
  drop_and_merge(w, space.shape, order, 0, kept, full, space.ndim, 0);
  const int32_t outer = w.ndim;
  drop_and_merge(w, space.shape, order, kept, reduced, full, space.ndim, outer);
  w.n_reduced = w.ndim - outer;
  // rows become contiguous
  for (int32_t a = 1; a < w.n_args; ++a)
    std::memmove(w.strides + static_cast<ptrdiff_t>(a) * w.ndim, w.row(a),
                 static_cast<size_t>(w.ndim) * sizeof(int64_t));
}

// No element asks for its place or for another one.
bool is_placeless(const ctn_form& form) {
  for (int32_t i = 0; i < form.map.n; ++i) {
    const uint16_t op = form.map.insts[i].op;
    if (op == CTN_X_INDEX || op == CTN_X_RAW || (op == CTN_X_SIZE && form.n_acc == 0)) return false;
  }
  return true;
}

void* program_for(const Compiled& c, const Backend& backend) {
  auto& slot = const_cast<Compiled&>(c).programs[static_cast<size_t>(backend.id)];
  void* program = slot.load(std::memory_order_acquire);
  if (program) return program;
  const Backend* owner = backend.compile_owner;
  void* made = kDeclined;
  if (owner) {
    const ctn_status s = owner->def.compile(owner->def.self, &c.c(), &made);
    if (s == CTN_EUNSUPPORTED)
      made = kDeclined;
    else
      check_status(s, "compile");
  }
  if (slot.compare_exchange_strong(program, made, std::memory_order_acq_rel)) return made;
  if (made != kDeclined) owner->def.release(owner->def.self, made);
  return program;
}

void run(const Compiled& c, Device& device, const ctn_launch* launches, int32_t n) {
  void* program = program_for(c, *device.backend);
  if (program != kDeclined) {
    const Backend& owner = *device.backend->compile_owner;
    check_status(owner.def.launch(owner.def.self, program, launches, n), "launch");
    return;
  }
  if (!device.host_memory) {
    const char* why = device.backend->compile_owner
                          ? "its compile declined"
                          : "it has no compile, and no memory of the host";
    fail(CTN_EUNSUPPORTED, "backend '" + device.backend->name + "' cannot run this expression (" +
                               why + "):\n" + expr::to_string(c.c()));
  }
  device.wait();
  for (int32_t i = 0; i < n; ++i) expr::run_plain(c.c(), launches[i]);
}

// The layout in which the inputs of a reduction are, all of the shape of its space; 0 if there is
// none.
uint64_t reduced_layout(const Space& space, std::span<Array* const> in) {
  if (in.empty() || space.ndim == CTN_MAX_NDIM) return 0;
  return std::ranges::equal(in[0]->shape(), space.dims()) ? shared_layout(in) : 0;
}

void* launch_data(Array& a, uint8_t role, uint64_t layout, Exec& exec) {
  if (role == CTN_ROLE_OUT || role == CTN_ROLE_INOUT) a.before_write();
  if (!layout) {
    note_read(a);  // also of an output, which may be a part of its memory
    return a.data();
  }
  return role == CTN_ROLE_OUT ? packed_room(a, layout) : packed_data(a, layout, exec);
}

void mark_written(Array& a, uint8_t role, uint64_t layout) {
  if (role != CTN_ROLE_OUT && role != CTN_ROLE_INOUT) return;
  if (Capture* c = capture_in(a.ctx())) [[unlikely]] {
    const std::lock_guard lock(a.ctx().layout_mutex);
    c->note_written(*a.storage);
  }
  if (layout)
    written_packed(a, layout);
  else
    a.written();
}

}  // namespace

std::string who_ran(const Compiled& c, const Device& device) {
  const Backend* owner = device.backend->compile_owner;
  const std::string head = std::string(c.label) + ": expression, ";
  if (!owner) return head + "plain executor runs";
  const bool declined = c.programs[static_cast<size_t>(device.backend->id)].load() == kDeclined;
  return head + owner->name + (declined ? " declined, plain executor runs" : " runs");
}

Exec::Exec(Context& c, Device& d, std::string_view l, std::span<Array* const> in)
    : ctx(c), device(d), label(l), in_(in) {
  if (const Capture* capture = capture_in(c)) [[unlikely]]
    capture->check_runs(d, l);
}

Exec::~Exec() {
  while (uses_) {
    Use* u = uses_;
    uses_ = u->next;
    u->piece.~Ref();
    ctx.free_object(u, sizeof(Use));
  }
  while (blocks_) {
    Block* b = blocks_;
    blocks_ = b->next;
    device.memory->put(b->data, b->bytes);
    ctx.free_object(b, sizeof(Block));
  }
}

void* Exec::scratch(uint64_t bytes) {
  auto* b = static_cast<Block*>(ctx.alloc_object(sizeof(Block)));
  try {
    b->data = ctx.alloc_data(device, bytes ? bytes : 1);
  } catch (...) {
    ctx.free_object(b, sizeof(Block));
    throw;
  }
  b->bytes = bytes ? bytes : 1;
  b->next = blocks_;
  blocks_ = b;
  return b->data;
}

Array& Exec::input(int32_t i) const {
  if (i < 0 || static_cast<size_t>(i) >= in_.size() || !in_[static_cast<size_t>(i)])
    fail(CTN_EINVAL, std::string(label) + ": there is no input " + std::to_string(i));
  return *in_[static_cast<size_t>(i)];
}

void Exec::hold(Ref<Derived> piece, Array* of) {
  auto* room = ctx.alloc_object(sizeof(Use));
  uses_ = new (room) Use{uses_, std::move(piece), of};
}

const void* Exec::find_derived(int32_t i, uint64_t key) {
  if (capture_in(ctx)) return nullptr;  // replays write unseen
  Ref<Derived> piece = catena::find_derived(input(i), key);
  if (!piece) return nullptr;
  const void* const data = piece->data;
  hold(std::move(piece), nullptr);
  return data;
}

void* Exec::make_derived(int32_t i, uint64_t key, uint64_t bytes) {
  Ref<Derived> piece = catena::make_derived(input(i), key, bytes);
  void* const data = piece->data;
  hold(std::move(piece), &input(i));
  return data;
}

void Exec::keep() noexcept {
  if (capture_in(ctx)) return;  // made by replays alone
  for (Use* u = uses_; u; u = u->next)
    if (u->of) keep_derived(*std::exchange(u->of, nullptr), *u->piece);
}

int32_t Space::reduced_shape(int64_t* out) const {
  int32_t n = 0;
  for (int32_t d = 0; d < ndim; ++d) {
    if (!(axes >> d & 1))
      out[n++] = shape[d];
    else if (ones >> d & 1)
      out[n++] = 1;
  }
  return n;
}

const Compiled& FormCache::get(const expr::Row& row, std::span<const uint8_t> dtypes,
                               std::span<const uint8_t> scalar_types) {
  const auto fits = [&](const Compiled& c) {
    const size_t n = dtypes.size();
    if (c.key.size() != n + scalar_types.size()) return false;
    for (size_t i = 0; i < n; ++i)
      if (c.key[i] != dtypes[i]) return false;
    for (size_t i = 0; i < scalar_types.size(); ++i)
      if (c.key[n + i] != scalar_types[i]) return false;
    return true;
  };
  const auto find = [&]() -> Compiled* {
    Compiled* c = head_.load(std::memory_order_acquire);
    while (c && !fits(*c)) c = c->next;
    return c;
  };
  if (Compiled* c = find()) return *c;
  std::lock_guard lock(mutex_);
  if (Compiled* c = find()) return *c;
  auto made = std::make_unique<Compiled>();
  made->key.assign(dtypes.begin(), dtypes.end());
  made->key.insert(made->key.end(), scalar_types.begin(), scalar_types.end());
  made->form = row.specialize(dtypes, scalar_types);
  made->label = row.name();
  (made->c().n_acc > 0 ? made->spread : made->flat) = is_placeless(made->c());
  made->next = head_.load(std::memory_order_relaxed);
  head_.store(made.get(), std::memory_order_release);
  return *made.release();
}

void launch(const Compiled& c, Device& device, const Space& space, std::span<Array* const> args,
            std::span<const Align> align, const uint64_t* scalars) {
  const ctn_form& form = c.c();
  const bool reduction = form.n_acc > 0;
  int64_t kept = 1;
  for (int32_t d = 0; d < space.ndim; ++d)
    if (!reduction || !(space.axes >> d & 1)) kept *= space.shape[d];
  if (kept == 0) return;
  const size_t n_in = args.size() - static_cast<size_t>(std::ranges::count(align, Align::kReduced));
  const uint64_t layout = c.flat     ? shared_layout(args)
                          : c.spread ? reduced_layout(space, args.first(n_in))
                                     : 0;
  const Blocks cut = reduction && layout ? blocks_of(device, layout) : Blocks{};
  Walk w;
  if (!reduction && is_flat(space, args, align)) {
    w.ndim = kept == 1 ? 0 : 1;
    w.n_args = static_cast<int32_t>(args.size());
    w.shape[0] = kept;
    for (size_t a = 0; a < args.size(); ++a) w.stack[a] = args[a]->itemsize();
  } else {
    build_walk(w, reduction, space, args, align, cut);
  }
  void* data[CTN_FORM_MAX_ARGS];
  int64_t counts[CTN_FORM_MAX_ARGS];
  Exec exec(*device.ctx, device, c.label);
  const auto layout_of = [&](size_t a) {
    return c.flat || (cut.block && a < n_in) ? layout : uint64_t{0};
  };
  for (size_t a = 0; a < args.size(); ++a) {
    data[a] = launch_data(*args[a], form.args[a].role, layout_of(a), exec);
    counts[a] = form.args[a].role == CTN_ROLE_RAW ? args[a]->size : 0;
  }
  ctn_launch l{};
  l.size = sizeof l;
  l.ndim = w.ndim;
  l.n_reduced = w.n_reduced;
  l.shape = w.shape;
  l.data = data;
  l.strides = w.strides;
  l.counts = counts;
  l.scalars = scalars;
  l.exec = &exec;
  run(c, device, &l, 1);
  for (size_t a = 0; a < args.size(); ++a) mark_written(*args[a], form.args[a].role, layout_of(a));
}

FlatBatch::FlatBatch(const Compiled& c, Device& device, bool plain)
    : c_(c), device_(device), plain_(plain), exec_(*device.ctx, device, c.label) {
  const ctn_form& form = c.c();
  for (int32_t a = 0; a < form.n_args; ++a) strides_[a] = kDtypeBytes[form.args[a].dtype];
  program_for(c, *device.backend);
}

void FlatBatch::reserve(size_t launches) {
  const ctn_form& form = c_.c();
  sizes_.reserve(launches);
  arrays_.reserve(launches * static_cast<size_t>(form.n_args));
  scalars_.reserve(launches * static_cast<size_t>(form.n_scalars));
}

void FlatBatch::add(std::span<Array* const> args, std::span<const uint64_t> scalars) {
  sizes_.push_back(args[0]->size);
  arrays_.insert(arrays_.end(), args.begin(), args.end());
  scalars_.insert(scalars_.end(), scalars.begin(), scalars.end());
}

void FlatBatch::seal() {
  const auto n_args = static_cast<size_t>(c_.c().n_args);
  const auto n_scalars = static_cast<size_t>(c_.c().n_scalars);
  data_.resize(arrays_.size());
  layouts_.resize(sizes_.size());
  for (size_t k = 0; k < sizes_.size(); ++k) {
    const std::span<Array* const> args(arrays_.data() + k * n_args, n_args);
    layouts_[k] = c_.flat && !plain_ ? shared_layout(args) : 0;
    for (size_t a = 0; a < n_args; ++a)
      data_[k * n_args + a] = launch_data(*args[a], c_.c().args[a].role, layouts_[k], exec_);
  }
  launches_.reserve(sizes_.size());
  for (size_t k = 0; k < sizes_.size(); ++k) {
    if (sizes_[k] == 0) continue;
    ctn_launch l{};
    l.size = sizeof l;
    l.ndim = 1;
    l.shape = &sizes_[k];
    l.data = data_.data() + k * n_args;
    l.strides = strides_;
    l.counts = counts_;
    l.scalars = scalars_.data() + k * n_scalars;
    l.exec = &exec_;
    launches_.push_back(l);
  }
}

void FlatBatch::run() {
  if (launches_.empty()) return;
  catena::run(c_, device_, launches_.data(), static_cast<int32_t>(launches_.size()));
  const ctn_form& form = c_.c();
  const auto n_args = static_cast<size_t>(form.n_args);
  for (size_t k = 0; k < arrays_.size(); ++k)
    mark_written(*arrays_[k], form.args[k % n_args].role, layouts_[k / n_args]);
}

namespace {

// Truncates and saturates, as expressions do; NaN is 0.
template <class I>
I whole(double value) {
  if (std::isnan(value)) return 0;
  if (value <= static_cast<double>(std::numeric_limits<I>::min()))
    return std::numeric_limits<I>::min();
  if (value >= static_cast<double>(std::numeric_limits<I>::max()))
    return std::numeric_limits<I>::max();
  return static_cast<I>(value);
}

template <class I>
bool has_whole(double value) {
  const double least = std::is_signed_v<I> ? -std::ldexp(1, std::numeric_limits<I>::digits) : 0;
  return value >= least && value < std::ldexp(1, std::numeric_limits<I>::digits) &&
         value == std::trunc(value);
}

}  // namespace

bool has_number(uint8_t type, double value) {
  switch (type) {
    case CTN_BOOL8: return value == 0 || value == 1;
    case CTN_INT8: return has_whole<int8_t>(value);
    case CTN_INT16: return has_whole<int16_t>(value);
    case CTN_INT32: return has_whole<int32_t>(value);
    case CTN_INT64: return has_whole<int64_t>(value);
    case CTN_UINT8: return has_whole<uint8_t>(value);
    case CTN_UINT16: return has_whole<uint16_t>(value);
    case CTN_UINT32: return has_whole<uint32_t>(value);
    case CTN_UINT64: return has_whole<uint64_t>(value);
    default: return true;
  }
}

uint64_t scalar_bits(uint8_t type, double value) {
  uint64_t bits = 0;
  const auto put = [&](auto v) { std::memcpy(&bits, &v, sizeof v); };
  switch (type) {
    case CTN_BOOL8: put(static_cast<uint8_t>(value != 0)); break;
    case CTN_INT8: put(whole<int8_t>(value)); break;
    case CTN_INT16: put(whole<int16_t>(value)); break;
    case CTN_INT32: put(whole<int32_t>(value)); break;
    case CTN_INT64: put(whole<int64_t>(value)); break;
    case CTN_UINT8: put(whole<uint8_t>(value)); break;
    case CTN_UINT16: put(whole<uint16_t>(value)); break;
    case CTN_UINT32: put(whole<uint32_t>(value)); break;
    case CTN_UINT64: put(whole<uint64_t>(value)); break;
    case CTN_FLOAT32: put(static_cast<float>(value)); break;
    default: put(value);
  }
  return bits;
}

uint64_t scalar_bits(uint8_t type, const ctn_value& value) {
  if (value.kind == CTN_FLOAT) return scalar_bits(type, value.u.f);
  if (type == CTN_FLOAT32 || type == CTN_FLOAT64 || type == CTN_BOOL8)
    return scalar_bits(type, static_cast<double>(value.u.i));
  uint64_t bits = 0;
  std::memcpy(&bits, &value.u.i, kDtypeBytes[type]);
  return bits;
}

}  // namespace catena
