// See conv.h. Columns of as many images as the scratch memory holds are multiplied at once; where
// one image is too large, some rows of its positions.
#include <cuda/blas.h>
#include <cuda/conv.h>
#include <cuda/move.h>
#include <cuda/widen.h>

#include <algorithm>

namespace catena::cuda {
namespace {

using sdk::Run;

constexpr int64_t kScratch = int64_t{32} << 20;  // bytes

// As in conv_text.cc.
struct Patches {
  int64_t images, channels, height, width;
  int64_t kh, kw, sy, sx, py, px, dy, dx;
  int64_t first, rows, out_w;
  const void* image;
  void* columns;
  void* sums;
  const void* bias;
  int64_t add;
};
struct Parts {
  int64_t n, parts, add;
  const void* from;
  void* to;
};

CUfunction find(Device& d, std::string_view function, Native::Arguments arguments,
                const char* parameter) {
  static Native* const kernels = new Native(kConvKernels);
  return kernels->find(d, function, arguments, parameter);
}

template <class T>
T* moved(T* p, int64_t bytes) {
  return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(p) + static_cast<uintptr_t>(bytes));
}

// A part of the work: some images, or some rows of one.
struct Piece {
  int64_t image, images, row, rows;
};

struct Cut {
  int64_t images, rows;

  // `image_bytes`: scratch of one image; it grows with its rows.
  Cut(const ConvShape& s, int64_t image_bytes) : images(1), rows(s.out_h) {
    if (image_bytes <= kScratch)
      images = std::clamp<int64_t>(kScratch / std::max<int64_t>(image_bytes, 1), 1, s.images);
    else
      rows = std::clamp<int64_t>(kScratch / (image_bytes / s.out_h), 1, s.out_h);
  }
};

template <class Body>
void for_pieces(const ConvShape& s, const Cut& cut, Body&& body) {
  for (int64_t image = 0; image < s.images; image += cut.images)
    for (int64_t row = 0; row < s.out_h; row += cut.rows)
      body(Piece{image, std::min(cut.images, s.images - image), row,
                 std::min(cut.rows, s.out_h - row)});
}

class Conv {
 public:
  Conv(const Run& run, const ConvShape& s, ctn_dtype dtype)
      : run_(run),
        d_(device_of(run)),
        s_(s),
        dtype_(dtype),
        wide_(sdk::dtype_of(sdk::dtype_index(dtype) == CTN_FLOAT64 ? CTN_FLOAT64 : CTN_FLOAT32)),
        item_(sdk::dtype_bytes(dtype)),
        wide_item_(sdk::dtype_bytes(wide_)),
        workspace_(blas_workspace(run)) {}

  void forward(const void* x, const void* w, const void* bias, void* y);
  void transposed(const void* y, const void* w, const void* bias, void* x);
  void weights(const void* x, const void* y, void* w);

 private:
  int64_t columns() const { return s_.groups * s_.rows() * s_.positions(); }  // of an image
  int64_t image_size() const { return s_.channels * s_.height * s_.width; }
  int64_t output_size() const { return s_.filters * s_.positions(); }

  // Where y has this piece, and x its images.
  template <class T>
  T* in_y(T* y, const Piece& p) const {
    return moved(y, (p.image * output_size() + p.row * s_.out_w) * item_);
  }
  template <class T>
  T* in_x(T* x, const Piece& p) const {
    return moved(x, p.image * image_size() * item_);
  }

  Patches patches(const Piece& p) const {
    return {p.images, s_.channels, s_.height, s_.width, s_.kh,   s_.kw, s_.sy,
            s_.sx,    s_.py,       s_.px,     s_.dy,    s_.dx,   p.row, p.rows,
            s_.out_w, nullptr,     nullptr,   nullptr,  nullptr, 0};
  }
  const char* counts(const Piece& p) const;
  // The piece as columns: in `scratch`, or x itself.
  const void* columns_of(const Piece& p, const void* x, void* scratch);
  void fill_bias(const void* bias, void* to, int64_t images, int64_t channels, int64_t plane);

  // What is multiplied for one group of one image, and how far it is to the next.
  struct Steps {
    int64_t a, b, c;
  };
  void multiply_all(Product p, int64_t images, const Steps& group, const Steps& image,
                    int64_t c_item);

  const Run& run_;
  Device& d_;
  const ConvShape& s_;
  const ctn_dtype dtype_, wide_;
  const int64_t item_, wide_item_;
  void* const workspace_;  // of products
};

const char* Conv::counts(const Piece& p) const {
  const auto d = [](int64_t v) { return static_cast<double>(v); };
  const double planes = d(p.images) * d(s_.channels), positions = d(p.rows) * d(s_.out_w);
  const double columns = planes * d(s_.kh) * d(s_.kw) * positions;
  const double rows = d(s_.height) + d(s_.out_h) * d(s_.sy) + d(s_.py) + d(s_.kh) * d(s_.dy);
  const double width = d(s_.width) + d(s_.out_w) * d(s_.sx) + d(s_.px) + d(s_.kw) * d(s_.dx);
  return count_type(std::max({columns, planes * d(s_.height) * d(s_.width), rows, width}));
}

const void* Conv::columns_of(const Piece& piece, const void* x, void* scratch) {
  if (s_.is_plain()) return moved(in_x(x, piece), piece.row * s_.out_w * item_);
  Patches p = patches(piece);
  p.image = in_x(x, piece);
  p.columns = scratch;
  queue(d_, find(d_, "to_columns", {bits_name(item_), counts(piece)}, "Patches"),
        p.images * p.channels * p.rows * p.out_w, &p);
  return scratch;
}

void Conv::fill_bias(const void* bias, void* to, int64_t images, int64_t channels, int64_t plane) {
  const int64_t shape[] = {images, channels, plane}, from[] = {0, item_, 0};
  const int64_t strides[] = {channels * plane * item_, plane * item_, item_};
  copy_strided(d_, shape, item_, to, strides, bias, from);
}

// One call for all images of a group or all groups of an image, whichever are more.
void Conv::multiply_all(Product p, int64_t images, const Steps& group, const Steps& image,
                        int64_t c_item) {
  const bool by_group = images >= s_.groups;
  const Steps& inner = by_group ? image : group;
  const Steps& outer = by_group ? group : image;
  p.count = by_group ? images : s_.groups;
  p.step_a = inner.a;
  p.step_b = inner.b;
  p.step_c = inner.c;
  for (int64_t k = 0; k < (by_group ? s_.groups : images); ++k) {
    multiply(d_, p, workspace_);
    p.a = moved(p.a, outer.a * item_);
    p.b = moved(p.b, outer.b * item_);
    p.c = moved(p.c, outer.c * c_item);
  }
}

void Conv::forward(const void* x, const void* w, const void* bias, void* y) {
  const int64_t m = s_.filters_of_group(), k = s_.rows(), all = s_.positions();
  const int64_t columns_bytes = s_.is_plain() ? 0 : columns() * item_;
  const Cut cut(s_, columns_bytes);
  void* scratch = run_.scratch<char>(columns_bytes / s_.out_h * cut.rows * cut.images);
  if (bias) fill_bias(bias, y, s_.images, s_.filters, all);
  for_pieces(s_, cut, [&](const Piece& piece) {
    const int64_t n = piece.rows * s_.out_w, line = s_.is_plain() ? all : n;
    Product p{dtype_,
              m,
              n,
              k,
              1,
              w,
              false,
              0,
              columns_of(piece, x, scratch),
              false,
              0,
              in_y(y, piece),
              bias != nullptr,
              rounds_factors(run_)};
    p.ld_b = line;
    p.ld_c = all;
    multiply_all(p, piece.images, {m * k, k * line, m * all},
                 {0, s_.groups * k * line, output_size()}, item_);
  });
}

void Conv::transposed(const void* y, const void* w, const void* bias, void* x) {
  const int64_t m = s_.filters_of_group(), k = s_.rows(), all = s_.positions();
  const bool plain = s_.is_plain();
  // 16-bit columns would be rounded before they are added up
  const int64_t columns_bytes = plain ? 0 : columns() * wide_item_;
  const Cut cut(s_, columns_bytes);
  void* scratch = run_.scratch<char>(columns_bytes / s_.out_h * cut.rows * cut.images);
  const bool apart = cut.rows < s_.out_h && item_ != wide_item_;  // sums of several pieces
  void* sums = apart ? run_.scratch<char>(image_size() * wide_item_) : nullptr;
  if (plain && bias) fill_bias(bias, x, s_.images, s_.channels, all);
  for_pieces(s_, cut, [&](const Piece& piece) {
    const int64_t n = piece.rows * s_.out_w;
    void* image = in_x(x, piece);
    Product p{dtype_,
              k,
              n,
              m,
              1,
              w,
              true,
              0,
              in_y(y, piece),
              false,
              0,
              plain ? image : scratch,
              plain && bias,
              rounds_factors(run_)};
    p.ld_b = all;
    p.float32_c = !plain;
    multiply_all(p, piece.images, {m * k, m * all, k * n}, {0, output_size(), s_.groups * k * n},
                 plain ? item_ : wide_item_);
    if (plain) return;
    Patches back = patches(piece);
    back.columns = scratch;
    back.sums = apart ? sums : image;
    back.bias = bias;
    back.add = piece.row > 0;
    const char* const type = type_name(dtype_);
    queue(
        d_,
        find(d_, "from_columns", {type, apart ? type_name(wide_) : type, counts(piece)}, "Patches"),
        piece.images * image_size(), &back);
    if (apart && piece.row + piece.rows == s_.out_h)
      convert(d_, wide_, sums, dtype_, image, image_size());
  });
}

void Conv::weights(const void* x, const void* y, void* w) {
  const int64_t m = s_.filters_of_group(), k = s_.rows(), all = s_.positions();
  const int64_t size = s_.filters * k;
  const int64_t columns_bytes = s_.is_plain() ? 0 : columns() * item_;
  Cut cut(s_, columns_bytes);
  cut.images = std::clamp<int64_t>(kScratch / (size * wide_item_), 1, cut.images);
  void* scratch = run_.scratch<char>(columns_bytes / s_.out_h * cut.rows * cut.images);
  void* parts = run_.scratch<char>(cut.images * size * wide_item_);
  void* sums = item_ == wide_item_ ? w : run_.scratch<char>(size * wide_item_);
  for_pieces(s_, cut, [&](const Piece& piece) {
    const int64_t n = piece.rows * s_.out_w, line = s_.is_plain() ? all : n;
    Product p{dtype_,
              m,
              k,
              n,
              1,
              in_y(y, piece),
              false,
              0,
              columns_of(piece, x, scratch),
              true,
              0,
              parts,
              false,
              rounds_factors(run_)};
    p.ld_a = all;
    p.ld_b = line;
    p.float32_c = true;
    multiply_all(p, piece.images, {m * all, k * line, m * k},
                 {output_size(), s_.groups * k * line, size}, wide_item_);
    const Parts add{size, piece.images, piece.image > 0 || piece.row > 0, parts, sums};
    queue(d_, find(d_, "add_parts", {type_name(wide_)}, "Parts"), size, &add);
  });
  if (sums != w) convert(d_, wide_, sums, dtype_, w, size);
}

}  // namespace

void conv_forward(const Run& run, const ConvShape& s, ctn_dtype dtype, const void* x, const void* w,
                  const void* bias, void* y) {
  Conv(run, s, dtype).forward(x, w, bias, y);
}
void conv_transposed(const Run& run, const ConvShape& s, ctn_dtype dtype, const void* y,
                     const void* w, const void* bias, void* x) {
  Conv(run, s, dtype).transposed(y, w, bias, x);
}
void conv_weights(const Run& run, const ConvShape& s, ctn_dtype dtype, const void* x, const void* y,
                  void* w) {
  Conv(run, s, dtype).weights(x, y, w);
}

}  // namespace catena::cuda
