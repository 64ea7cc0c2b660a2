// Layouts: see layouts.h. A number is the position of a format in the table, and for filters of a
// grouped convolution the number of groups above it.
#include <intel64/layouts.h>
#include <intel64/locks.h>

#include <catena/sdk/kernel.hpp>
#include <catena/sdk/tensor.hpp>

#include <algorithm>
#include <memory>
#include <vector>

namespace catena::intel64 {

namespace {

// kFilter: filters outermost. kChannel: channels outermost.
enum class Kind { kImage, kFilter, kChannel, kGrouped };
struct Format {
  Tag tag;
  Kind kind;
};

// Numbers count from 1 and keep their meaning: only append.
constexpr Format kFormats[] = {
    {Tag::nChw16c, Kind::kImage},       {Tag::nChw8c, Kind::kImage},
    {Tag::OIhw16i16o, Kind::kFilter},   {Tag::OIhw16o16i, Kind::kFilter},
    {Tag::OIhw8i8o, Kind::kFilter},     {Tag::OIhw8o8i, Kind::kFilter},
    {Tag::Oihw16o, Kind::kFilter},      {Tag::Ohwi16o, Kind::kFilter},
    {Tag::Ohwi8o, Kind::kFilter},       {Tag::Owhi16o, Kind::kFilter},
    {Tag::gOIhw16i16o, Kind::kGrouped}, {Tag::gOIhw16o16i, Kind::kGrouped},
    {Tag::gOIhw8i8o, Kind::kGrouped},   {Tag::gOIhw8o8i, Kind::kGrouped},
    {Tag::gOihw16o, Kind::kGrouped},    {Tag::gOhwi16o, Kind::kGrouped},
    {Tag::gOhwi8o, Kind::kGrouped},     {Tag::Goihw16g, Kind::kGrouped},
    {Tag::Goihw8g, Kind::kGrouped},     {Tag::IOhw16o16i, Kind::kChannel},
    {Tag::gIOhw16o16i, Kind::kGrouped},
};
constexpr uint64_t kImage16 = 1, kImage8 = 2, kFilter16 = 3, kTurned16 = 4, kFilter8 = 5;

int64_t groups_of(uint64_t layout) {
  return std::max<int64_t>(1, static_cast<int64_t>(layout >> 16));
}

const Format& format_of(uint64_t layout) {
  const uint64_t k = layout & 0xffff;
  if (k == 0 || k > std::size(kFormats))
    sdk::fail(CTN_EINVAL, "intel64: ", layout, " is no layout of this backend");
  return kFormats[k - 1];
}

Type type_of(ctn_dtype dtype) {
  if (sdk::same_dtype(dtype, sdk::dtype_of(CTN_FLOAT32))) return Type::f32;
  if (sdk::same_dtype(dtype, sdk::dtype_of(CTN_INT32))) return Type::s32;
  sdk::fail(CTN_EUNSUPPORTED, "intel64: no layouts for ", sdk::dtype_name(dtype));
}

MdDims dims_of(std::span<const int64_t> shape, int64_t groups) {
  MdDims dims(shape.begin(), shape.end());
  if (groups > 1) {
    dims.insert(dims.begin(), groups);
    dims[1] /= groups;
  }
  return dims;
}

// An array for oneDNN, which sees filters of several groups with an axis for them.
Md describe(std::span<const int64_t> shape, ctn_dtype dtype, uint64_t layout, int64_t groups) {
  return with_onednn("layout", [&] {
    const MdDims dims = dims_of(shape, groups);
    const Type type = type_of(dtype);
    if (layout != kPlain) return Md(dims, type, format_of(layout).tag);
    MdDims strides(dims.size(), 1);
    for (size_t k = dims.size(); k-- > 1;)
      strides[k - 1] = strides[k] * std::max<int64_t>(1, dims[k]);
    return Md(dims, type, strides);
  });
}

}  // namespace

uint64_t image_layout(int64_t channels) {
  const int64_t block = channel_block();
  if (block == 0 || channels < block) return kPlain;
  return block == 16 ? kImage16 : kImage8;
}

uint64_t filter_layout() { return channel_block() == 16 ? kFilter16 : kFilter8; }

uint64_t turned_filter_layout() { return kTurned16; }

uint64_t filter_layout(const Md& chosen, std::span<const int64_t> shape, int64_t groups) {
  const MdDims dims = dims_of(shape, groups);
  for (size_t k = 0; k < std::size(kFormats); ++k) {
    const Kind kind = kFormats[k].kind;
    if (kind == Kind::kImage || (kind == Kind::kGrouped) != (groups > 1)) continue;
    if (Md(dims, Type::f32, kFormats[k].tag, true) != chosen) continue;
    return (groups > 1 ? static_cast<uint64_t>(groups) << 16 : 0) | (k + 1);
  }
  return kPlain;
}

bool has_filters_outermost(uint64_t layout) {
  return layout != kPlain && format_of(layout).kind == Kind::kFilter;
}

bool has_channels_outermost(uint64_t layout) {
  return layout != kPlain && format_of(layout).kind == Kind::kChannel;
}

Md describe(std::span<const int64_t> shape, ctn_dtype dtype, uint64_t layout) {
  return describe(shape, dtype, layout, groups_of(layout));
}

Md describe_filters(std::span<const int64_t> shape, int64_t groups, bool open) {
  if (open) return Md(dims_of(shape, groups), Type::f32, Tag::any);
  return describe(shape, sdk::dtype_of(CTN_FLOAT32), kPlain, groups);
}

ctn_status CTN_CALL layout_bytes(void*, const ctn_dltensor* t, uint64_t layout, uint64_t* bytes) {
  return sdk::guarded([&] {
    const std::span<const int64_t> shape(t->shape, static_cast<size_t>(t->ndim));
    *bytes = describe(shape, t->dtype, layout).get_size();
  });
}

ctn_status CTN_CALL layout_blocks(void*, uint64_t layout, int32_t* axis, int64_t* block) {
  return sdk::guarded([&] {
    *axis = 1;
    *block = layout == kImage16 ? 16 : layout == kImage8 ? 8 : 0;
  });
}

namespace {

// Between two layouts of arrays of one shape, in ranges of the first axis; the last may be smaller.
class Reorder {
 public:
  Reorder(const sdk::Tensor& from, const sdk::Tensor& to) : n_(from.shape(0)), rows_(n_) {
    constexpr int64_t kPiece = 1 << 16;  // elements of a range, about
    const int64_t unit = row_unit(from, to);
    if (n_ % unit == 0 && from.size() > kPiece)
      rows_ = std::max<int64_t>(1, kPiece / std::max<int64_t>(1, from.size() / n_ * unit)) * unit;
    rows_ = std::min(rows_, n_);
    full_ = range(from, to, rows_);
    if (n_ % rows_ != 0) last_ = range(from, to, n_ % rows_);
  }

  void run(ctn_exec exec, const char* from, char* to) const {
    const uint64_t from_bytes = full_.from.get_size(), to_bytes = full_.to.get_size();
    sdk::parallel_for(exec, n_, rows_, [&](int64_t begin, int64_t end) {
      const auto k = static_cast<uint64_t>(begin / rows_);
      const Range& r = end - begin == rows_ ? full_ : last_;
      r.primitive.run(
          {{DNNL_ARG_FROM, r.from, from + k * from_bytes}, {DNNL_ARG_TO, r.to, to + k * to_bytes}},
          nullptr);
    });
  }

 private:
  struct Range {
    Md from, to;
    Primitive primitive;
  };

  // Filters lie in blocks of up to 16 along the first axis, some in one piece.
  static int64_t row_unit(const sdk::Tensor& from, const sdk::Tensor& to) {
    int64_t unit = 1;
    for (const uint64_t layout : {from.layout(), to.layout()}) {
      if (layout == kPlain) continue;
      const Kind kind = format_of(layout).kind;
      unit = std::max(unit, kind == Kind::kImage ? 1 : kind == Kind::kFilter ? 16 : from.shape(0));
    }
    return unit;
  }
  static Range range(const sdk::Tensor& from, const sdk::Tensor& to, int64_t rows) {
    const int64_t groups = std::max(groups_of(from.layout()), groups_of(to.layout()));
    sdk::Dims shape(from.shape());
    shape[0] = rows;
    Range r{describe(shape.span(), from.dtype(), from.layout(), groups),
            describe(shape.span(), to.dtype(), to.layout(), groups),
            {}};
    r.primitive = make_reorder(r.from, r.to);
    if (r.primitive.scratch_bytes() != 0)
      sdk::fail(CTN_EINTERNAL, "oneDNN: a reorder wants scratch memory");
    return r;
  }

  int64_t n_, rows_;
  Range full_, last_;
};

// Made once for what they are between.
std::shared_ptr<const Reorder> find_reorder(const sdk::Tensor& from, const sdk::Tensor& to) {
  static auto* known = new Known<std::shared_ptr<const Reorder>>(Lock::kReorders, 1024);
  std::vector<int64_t> key{static_cast<int64_t>(from.layout()), static_cast<int64_t>(to.layout()),
                           from.dtype().code, from.dtype().bits};
  key.insert(key.end(), from.shape().begin(), from.shape().end());
  if (auto found = known->find(key)) return found;
  return known->add(std::move(key), std::make_shared<const Reorder>(from, to));
}

void run_reorder(ctn_exec exec, const sdk::Tensor& from, const sdk::Tensor& to) {
  find_reorder(from, to)->run(exec, from.data<char>(), to.data<char>());
}

// Filters of one number of groups do not look like those of another to oneDNN.
bool groups_differ(uint64_t from, uint64_t to) {
  return from != kPlain && to != kPlain && groups_of(from) != groups_of(to);
}

}  // namespace

ctn_status CTN_CALL reorder(void*, ctn_exec exec, const ctn_tensor* src, const ctn_tensor* dst) {
  return sdk::guarded([&] {
    const sdk::Tensor from(*src), to(*dst);
    if (from.size() == 0) return;
    if (!groups_differ(from.layout(), to.layout())) return run_reorder(exec, from, to);
    ctn_tensor plain = *src;
    plain.layout = kPlain;
    const auto bytes = static_cast<uint64_t>(from.size() * sdk::dtype_bytes(from.dtype()));
    sdk::check(sdk::host->scratch(exec, bytes, &plain.t.data));
    run_reorder(exec, from, sdk::Tensor(plain));
    run_reorder(exec, sdk::Tensor(plain), to);
  });
}

}  // namespace catena::intel64
