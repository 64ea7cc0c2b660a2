// What a caller must not be able to break: values without their pointers or without end, inputs
// that do not fit each other, sizes beyond any memory. Each row once crashed, hung, or read memory
// that was not its own; random_test.cc looks for more of them.
#include <cstring>

#include "harness.h"

namespace {

using namespace ops_test;

#define OK(call) REQUIRE_MESSAGE((call) == CTN_OK, std::string(ctn_error_message()))

constexpr ctn_dtype kFloat32{CTN_DT_FLOAT, 32, 1}, kFloat16{CTN_DT_FLOAT, 16, 1},
    kInt32{CTN_DT_INT, 32, 1};

void check_refused(ctn_status got, ctn_status expected, std::initializer_list<const char*> parts) {
  const std::string text = ctn_error_message();
  CHECK_MESSAGE(got == expected, got, ": ", text);
  for (const char* part : parts)
    CHECK_MESSAGE(text.find(part) != std::string::npos, "'", part, "' is not in: ", text);
}

// ---- values

ctn_value of_kind(int32_t kind, uint32_t n = 0) { return {kind, n, {}}; }

ctn_value list_of(const ctn_value* items, uint32_t n) {
  ctn_value v = of_kind(CTN_LIST, n);
  v.u.list = items;
  return v;
}

struct BadValue {
  ctn_value value;
  const char* says;
};

// Rows whose pointers stay valid while it lives.
struct BadValues {
  ctn_str half{nullptr, 3};
  ctn_value self{}, twins[2]{}, null_slice = of_kind(CTN_SLICE), nested[17]{};
  std::vector<BadValue> rows;

  BadValues() {
    self = list_of(&self, 1);
    twins[0] = twins[1] = list_of(twins, 2);
    for (size_t k = 0; k < 16; ++k) nested[k] = list_of(&nested[k + 1], 1);
    nested[16] = of_kind(CTN_LIST);
    ctn_value texts = of_kind(CTN_STRS, 1), dtype = of_kind(CTN_DTYPE);
    texts.u.ss = &half;
    dtype.u.dt = {CTN_DT_FLOAT, 8, 1};
    rows = {{of_kind(CTN_STR, 5), "str of 5 bytes at NULL"},
            {of_kind(CTN_INTS, 2), "tuple of ints of 2 entries at NULL"},
            {of_kind(CTN_FLOATS, 1), "tuple of floats of 1 entries at NULL"},
            {of_kind(CTN_STRS, 1), "tuple of strs of 1 strs at NULL"},
            {texts, "entry 0 is at NULL"},
            {of_kind(CTN_LIST, 1), "list of 1 entries at NULL"},
            {list_of(&null_slice, 1), "NULL slice"},
            {of_kind(CTN_SLICE), "NULL slice"},
            {of_kind(CTN_ARRAY), "NULL array"},
            {of_kind(CTN_VARIABLE), "NULL variable"},
            {of_kind(CTN_LINK), "NULL link"},
            {of_kind(CTN_CALLBACK), "NULL callback"},
            {self, "nested more than 16 deep"},
            {twins[0], "nested more than 16 deep"},
            {nested[0], "nested more than 16 deep"},
            {dtype, "dtype of code 2, 8 bits"},
            {of_kind(99), "unknown kind 99"},
            {of_kind(-1), "unknown kind -1"},
            {of_kind(12), "unknown kind 12"}};
  }
};

}  // namespace

TEST_CASE("values without what they point to are refused by name, wherever they enter") {
  Bench bench;
  const BadValues bad;
  ctn_variable x = bench.counting({2, 3}), y = nullptr;
  int32_t get_item = -1;
  OK(ctn_op_find(str("get_item"), &get_item));
  ctn_link link = nullptr, made = nullptr;
  ctn_value three{CTN_INT, 0, {.i = 3}};
  OK(ctn_link_create(bench.context(), str("Linear"), &three, 1, &link));
  for (const BadValue& row : bad.rows) {
    const ctn_attr attr{str("slices"), row.value};
    check_refused(ctn_call_named(bench.context(), str("get_item"), &x, 1, &attr, 1, &y, 1),
                  CTN_EINVAL, {"get_item: attribute 'slices' is ", row.says});
    check_refused(ctn_call(bench.context(), get_item, &x, 1, &row.value, 1, &y, 1), CTN_EINVAL,
                  {"get_item: attribute 'slices' is ", row.says});
    const ctn_value values[] = {three, row.value};
    check_refused(ctn_link_create(bench.context(), str("Linear"), values, 2, &made), CTN_EINVAL,
                  {"Linear: attribute 'out_size' is ", row.says});
    const ctn_attr out_size{str("out_size"), row.value};
    check_refused(ctn_link_create_named(bench.context(), str("Linear"), &out_size, 1, &made),
                  CTN_EINVAL, {"Linear: attribute 'out_size' is ", row.says});
    check_refused(ctn_link_set_attr(link, 0, &row.value), CTN_EINVAL, {row.says});
    check_refused(ctn_config_set(bench.context(), str("user_x"), &row.value), CTN_EINVAL,
                  {"config 'user_x' is ", row.says});
    check_refused(ctn_config_set_global(bench.context(), str("use_cudnn"), &row.value), CTN_EINVAL,
                  {"config 'use_cudnn' is ", row.says});
    check_refused(ctn_parameter_new(bench.context(), str("Constant"), &row.value, 1, kFloat32, 0,
                                    nullptr, &y),
                  CTN_EINVAL, {"Constant: attribute 'fill_value' is ", row.says});
  }
  ctn_link_release(link);
}

TEST_CASE("lists that share entries without end are refused in time; deep ones are not") {
  Bench bench;
  ctn_value levels[16][64];
  for (ctn_value& v : levels[15]) v = of_kind(CTN_ELLIPSIS);
  for (size_t k = 0; k < 15; ++k)
    for (ctn_value& v : levels[k]) v = list_of(levels[k + 1], 64);
  ctn_variable x = bench.counting({2, 3}), y = nullptr;
  const ctn_attr wide{str("slices"), list_of(levels[0], 64)};
  check_refused(ctn_call_named(bench.context(), str("get_item"), &x, 1, &wide, 1, &y, 1),
                CTN_EINVAL, {"lists of more than 1048576 entries in all"});
  ctn_value chain[16];  // 16 lists, the innermost of which is empty
  for (size_t k = 0; k < 15; ++k) chain[k] = list_of(&chain[k + 1], 1);
  chain[15] = of_kind(CTN_LIST);
  const ctn_attr deep{str("slices"), chain[0]};
  check_refused(ctn_call_named(bench.context(), str("get_item"), &x, 1, &deep, 1, &y, 1),
                CTN_EINVAL, {"an index is an integer, slice"});
}

TEST_CASE("callbacks beside a value that is refused are dropped, each once") {
  Bench bench;
  int drops = 0;
  const ctn_callback callback{
      &drops,
      [](void*, const ctn_variable*, int32_t, ctn_variable*, int32_t) -> ctn_status { return 0; },
      [](void* user) { ++*static_cast<int*>(user); }};
  ctn_value given = of_kind(CTN_CALLBACK);
  given.u.callback = &callback;
  const ctn_value pair[] = {given, given};
  const ctn_value values[] = {given, of_kind(CTN_INTS, 4), list_of(pair, 2)};
  ctn_link link = nullptr;
  check_refused(ctn_link_create(bench.context(), str("Linear"), values, 3, &link), CTN_EINVAL,
                {"Linear: attribute 'out_size' is a tuple of ints of 4 entries at NULL"});
  CHECK(drops == 3);
  ctn_callback no_function = callback;
  no_function.call = nullptr;
  check_refused(ctn_chain_create(bench.context(), &no_function, 1, &link), CTN_EINVAL,
                {"callback without a function"});
  CHECK(drops == 4);
}

// ---- inputs

namespace {

constexpr int64_t kLarge = 1000000007;

struct Input {
  Shape shape;  // {-1}: NULL
  ctn_dtype dtype = kFloat32;
  double value = 1;
};
const Input kNull{{-1}};

struct Row {
  const char* op;
  std::vector<Input> inputs;
  std::vector<ctn_attr> attrs;
  int outputs;
  ctn_status status;
  const char* says;
};

ctn_variable filled(Bench& bench, const Input& in) {
  if (in.shape == Shape{-1}) return nullptr;
  ctn_value value = of_kind(CTN_FLOAT);
  value.u.f = in.value;
  ctn_array a = nullptr;
  ctn_variable v = nullptr;
  OK(ctn_array_full(bench.context(), in.dtype, static_cast<int32_t>(in.shape.size()),
                    in.shape.data(), &value, &a));
  OK(ctn_variable_new(a, in.dtype.code == CTN_DT_FLOAT, &v));
  ctn_array_release(a);
  return bench.keep(v);
}

void check_row(const Row& row) {
  CAPTURE(std::string(row.op));
  Bench bench;
  std::vector<ctn_variable> in, out(static_cast<size_t>(row.outputs), nullptr);
  for (const Input& i : row.inputs) in.push_back(filled(bench, i));
  const ctn_status status = ctn_call_named(
      bench.context(), str(row.op), in.data(), static_cast<int32_t>(in.size()), row.attrs.data(),
      static_cast<int32_t>(row.attrs.size()), out.data(), row.outputs);
  if (row.status != CTN_OK) {
    check_refused(status, row.status, {row.says});
    return;
  }
  REQUIRE_MESSAGE(status == CTN_OK, std::string(ctn_error_message()));
  for (ctn_variable y : out) bench.keep(y);
  if (out.empty() || ctn_variable_requires_grad(out[0]) == 0) return;
  ctn_dltensor t;
  OK(ctn_variable_view(out[0], &t));
  ctn_variable gy = filled(bench, {Shape(t.shape, t.shape + t.ndim)});
  ctn_grad_options options{};
  options.size = sizeof options;
  options.grad_outputs = &gy;
  std::erase(in, nullptr);
  std::vector<ctn_variable> gx(in.size(), nullptr);
  OK(ctn_grad_of(out.data(), 1, in.data(), static_cast<int32_t>(in.size()), &options, gx.data()));
  for (ctn_variable g : gx)
    if (g) bench.keep(g);
}

const std::vector<ctn_attr> kLossAttrs = {attr("normalize", true),
                                          attr("ignore_label", int64_t{-1}), attr("mean", true)};

}  // namespace

TEST_CASE("a list of inputs has no holes") {
  for (const char* op : {"vstack", "hstack", "dstack", "concat", "stack", "broadcast", "add"})
    check_row({op,
               {{{2}}, kNull, {{2}}},
               {},
               op == std::string("broadcast") ? 3 : 1,
               CTN_EINVAL,
               "input 1 ('"});
  check_row({"identity", {{{2}}, kNull, {{3}}, {{4}}}, {}, 4, CTN_EINVAL, "[identity] input 1 ('"});
  check_row({"identity", {{{2}}, {{3}}, {{4}}}, {}, 3, CTN_OK, ""});
  check_row({"relu", {kNull}, {}, 1, CTN_EINVAL, "[relu] input 0 ('x') is NULL"});
}

TEST_CASE("arrays without elements") {
  check_row({"separate", {{{0}}}, {}, 0, CTN_OK, ""});
  check_row({"convolution_2d", {{{2, 0, 4, 5}}, {{2, 0, 4, 5}}}, {}, 1, CTN_OK, ""});
  check_row({"convolution_2d", {{{0, 3, 4, 5}}, {{2, 3, 2, 2}}, {{2}}}, {}, 1, CTN_OK, ""});
  check_row({"convolution_2d", {{{2, 3, 4, 5}}, {{0, 3, 2, 2}}}, {}, 1, CTN_OK, ""});
  check_row({"convolution_2d", {{{2, 3, 4, 5}}, {{2, 3, 0, 2}}}, {}, 1, CTN_ESHAPE, "0 x 2"});
  check_row(
      {"dilated_convolution_2d", {{{2, 3, 4, 5}}, {{2, 3, 0, 2}}}, {}, 1, CTN_ESHAPE, "0 x 2"});
  check_row({"dilated_convolution_2d", {{{2, 0, 4, 5}}, {{2, 0, 4, 5}}}, {}, 1, CTN_OK, ""});
  check_row({"deconvolution_2d", {{{2, 0, 4, 5}}, {{0, 3, 2, 2}}, {{3}}}, {}, 1, CTN_OK, ""});
  check_row({"deconvolution_2d", {{{2, 3, 0, 5}}, {{3, 2, 2, 2}}}, {}, 1, CTN_OK, ""});
  const int64_t many = int64_t{1} << 40;  // more than anything could walk along
  check_row({"softmax", {{{many, 0}}}, {}, 1, CTN_OK, ""});
  check_row({"average_pooling_2d",
             {{{many, 2, 0, 0}}},
             {attr("ksize", int64_t{2}), attr("pad", int64_t{1})},
             1,
             CTN_ENOMEM,
             ""});
  check_row({"local_response_normalization", {{{many, 3, 0}}}, {}, 1, CTN_OK, ""});
  check_row({"local_response_normalization", {{{many, 0}}}, {}, 1, CTN_OK, ""});
  check_row({"local_response_normalization", {{{0, 3}}}, {}, 1, CTN_OK, ""});
  check_row({"batch_norm", {{{many, 3, 0}}, {{3}}, {{3}}}, {attr("eps", 1e-5)}, 3, CTN_OK, ""});
  check_row({"sum", {{{many, 0}}}, {}, 1, CTN_OK, ""});
}

TEST_CASE("internal ops check what they are given like all others") {
  check_row({"sigmoid_cross_entropy_mean",
             {{{5, 2}}, {{0, 3}, kInt32}},
             {attr("divisor", 2.0)},
             2,
             CTN_ESHAPE,
             "in_types[0].shape == in_types[1].shape"});
  const ctn_attr eps = attr("eps", 1e-5);
  check_row({"batch_norm",
             {{{4, 4}}, {{4, 4}}, {{4, 4}}},
             {eps},
             3,
             CTN_ESHAPE,
             "in_types[0].ndim >= in_types[1].ndim + 1"});
  check_row({"batch_norm", {{{2, 3}}, {{2}}, {{2}}}, {eps}, 3, CTN_ESHAPE, "== in_types[1].shape"});
  check_row({"batch_norm",
             {{{2, 3}}, {{3}, kFloat16}, {{3}, kFloat16}},
             {eps},
             3,
             CTN_EDTYPE,
             "in_types[1].dtype == in_types[0].dtype"});
  check_row({"batch_norm_grad",
             {{{4, 4}}, {{4, 4}}, {{4, 4}}, {{4, 4}}, {{4, 4}}},
             {eps},
             3,
             CTN_ESHAPE,
             "in_types[0].ndim >= in_types[1].ndim + 1"});
  check_row({"batch_norm_grad",
             {{{4, 3}}, {{3}}, {{1}}, {{3}}, {{4, 3}}},
             {eps},
             3,
             CTN_ESHAPE,
             "in_types[2].shape == in_types[1].shape"});
  check_row({"softmax_cross_entropy_loss",
             {{{2, 3}}, {{2000}, kInt32, 0}},
             kLossAttrs,
             1,
             CTN_ESHAPE,
             "in_types[0].shape[0] == in_types[1].shape[0]"});
  check_row({"softmax_cross_entropy_loss",
             {{{2, 3}}, {{2}, kInt32, 0}, {{4, 4}}},
             kLossAttrs,
             1,
             CTN_ESHAPE,
             "in_types[2].ndim == 1"});
  check_row({"softmax_cross_entropy_grad",
             {{{64, 300}}, {{64, 9999}, kInt32, 0}, kNull, {{1}}, {{1}}, {{1}}},
             kLossAttrs,
             1,
             CTN_ESHAPE,
             "in_types[1].ndim == in_types[0].ndim - 1"});
  check_row({"softmax_cross_entropy_grad",
             {{{4, 3}}, {{4}, kInt32, 0}, kNull, {{1}}, {{4}}, {{}}},
             kLossAttrs,
             1,
             CTN_ESHAPE,
             "in_types[3].shape == in_types[1].shape"});
  check_row({"softmax_cross_entropy_grad",
             {{{4, 3}}, {{4}, kInt32, 0}, kNull, {{4}}, {{4}}, {{4}}},
             kLossAttrs,
             1,
             CTN_ESHAPE,
             "in_types[5].ndim == 0"});
  std::vector<ctn_attr> weights = kLossAttrs;
  ctn_value typ = of_kind(CTN_DTYPE);
  typ.u.dt = kInt32;
  weights.push_back(attr("classes", int64_t{3}));
  weights.push_back(attr("typ", typ));
  check_row({"softmax_cross_entropy_weights",
             {{{2}, kInt32, 0}},
             weights,
             1,
             CTN_EDTYPE,
             "weights of int32"});
  typ.u.dt = kFloat32;
  weights.back() = attr("typ", typ);
  check_row({"softmax_cross_entropy_weights",
             {{{2}, kInt32, 2}, {{2}}},
             weights,
             1,
             CTN_ESHAPE,
             "in_types[1].shape[0] == classes"});
  check_row({"put_pick",
             {{{}}, {{}, kInt32}},
             {attr("n", int64_t{2})},
             1,
             CTN_ESHAPE,
             "in_types[0].ndim >= 1"});
  check_row({"take", {{{}}, {{2}, kInt32, 0}}, {}, 1, CTN_ESHAPE, "in_types[0].ndim >= 1"});
  check_row({"dropout_random", {{{2}}}, {attr("ratio", 1.0)}, 2, CTN_EINVAL, "dropout_ratio"});
}

TEST_CASE("windows of channels have any width but a negative one") {
  const int64_t most = INT64_MAX;
  check_row({"local_response_normalization", {{{2, 3}}}, {attr("n", most)}, 1, CTN_OK, ""});
  check_row({"local_response_normalization", {{{2, 3, 4}}}, {attr("n", kLarge)}, 1, CTN_OK, ""});
  check_row({"local_response_normalization",
             {{{2, 3}}},
             {attr("n", int64_t{-1})},
             1,
             CTN_EINVAL,
             "a window of -1 channels"});
  check_row({"local_response_normalization", {{{2}}}, {}, 1, CTN_ESHAPE, "in_types[0].ndim >= 2"});
  check_row({"channel_window_sum", {{{2, 3}}}, {attr("n", -most - 1)}, 1, CTN_EINVAL, "a window"});
  const ctn_attr n = attr("n", most), k = attr("k", 1.0), alpha = attr("alpha", 1.0),
                 beta = attr("beta", 0.5);
  const std::vector<ctn_attr> all = {n, k, alpha, beta};
  const ctn_dtype wide{CTN_DT_FLOAT, 64, 1};
  const char* grad = "local_response_normalization_grad";
  check_row({grad, {{{2, 3}}, {{2, 3}, wide}, {{2, 3}}}, all, 1, CTN_OK, ""});
  check_row({grad, {{{2, 3}}, {{3}}, {{2, 3}}}, all, 1, CTN_ESHAPE, "in_types[1].shape"});
  check_row({grad, {{{2, 3}}, {{2, 3}}, {{3, 3}}}, all, 1, CTN_ESHAPE, "in_types[2].shape"});
  check_row({grad, {{{2, 3}}, {{2, 3}}, {{2, 3}, wide}}, all, 1, CTN_EDTYPE, "in_types[2].dtype"});
}

TEST_CASE("gradients have the dtype of their input, whatever the others have") {
  const ctn_dtype wide{CTN_DT_FLOAT, 64, 1};
  check_row({"linear", {{{5, 4}}, {{9, 4}, wide}}, {}, 1, CTN_OK, ""});
  check_row({"matmul", {{{5, 4}}, {{4, 3}, kFloat16}}, {}, 1, CTN_OK, ""});
  check_row({"convolution_2d", {{{2, 3, 4, 5}}, {{2, 3, 2, 2}, wide}}, {}, 1, CTN_OK, ""});
}

TEST_CASE("sizes beyond any memory are refused, windows beyond the image cost nothing") {
  const int64_t most = INT64_MAX;
  check_row({"average_pooling_2d",
             {{{2, 3, 4, 5}}},
             {attr("ksize", kLarge), attr("pad", kLarge)},
             1,
             CTN_OK,
             ""});
  check_row({"max_pooling_2d",
             {{{2, 3, 4, 5}}},
             {attr("ksize", kLarge), attr("pad", kLarge)},
             1,
             CTN_EINVAL,
             "more than 2147483647 elements"});
  const Shape tall = {40000, 3};
  check_row({"max_pooling_2d",
             {{{1, 1, 4, 5}}},
             {attr("ksize", tall), attr("pad", tall)},
             1,
             CTN_OK,
             ""});
  check_row({"convolution_2d",
             {{{1, 1, 4, 5}}, {{1, 1, 2, 2}}},
             {attr("dilate", kLarge), attr("pad", kLarge), attr("stride", kLarge)},
             1,
             CTN_OK,
             ""});
  check_row({"convolution_2d",
             {{{1, 1, 4, 5}}, {{1, 1, 2, 3}}},
             {attr("dilate", int64_t{2147483647}), attr("pad", int64_t{2147483648})},
             1,
             CTN_EINVAL,
             "reach too far"});
  check_row({"dilated_convolution_2d",
             {{{1, 1, 4, 5}}, {{1, 1, 2, 2}}},
             {attr("dilate", kLarge), attr("pad", kLarge), attr("stride", kLarge)},
             1,
             CTN_OK,
             ""});
  check_row({"dilated_convolution_2d",
             {{{1, 1, 4, 5}}, {{1, 1, 2, 2}}},
             {attr("dilate", int64_t{0})},
             1,
             CTN_EINVAL,
             "dilate"});
  check_row({"dilated_convolution_2d",
             {{{1, 1, 4, 5}}, {{1, 1, 2, 2}}},
             {attr("dilate", int64_t{5})},
             1,
             CTN_ESHAPE,
             ""});
  check_row({"deconvolution_2d",
             {{{1, 4, 4, 5}}, {{4, 2, 2, 2}}},
             {attr("groups", int64_t{3})},
             1,
             CTN_ESHAPE,
             "groups 3"});
  check_row({"repeat", {{{2}}}, {attr("repeats", most)}, 1, CTN_EINVAL, "does not fit 64 bits"});
  const Shape repeats = {most, 1}, more = {most, most};
  check_row({"repeat",
             {{{2}}},
             {attr("repeats", repeats), attr("axis", int64_t{0})},
             1,
             CTN_EINVAL,
             "too many"});
  check_row({"repeat",
             {{{2}}},
             {attr("repeats", more), attr("axis", int64_t{0})},
             1,
             CTN_EINVAL,
             "too many"});
  check_row({"tile", {{{2}}}, {attr("reps", most)}, 1, CTN_EINVAL, "does not fit 64 bits"});
  check_row({"split_axis",
             {{{0}}},
             {attr("indices_or_sections", most), attr("axis", int64_t{0})},
             1,
             CTN_EINVAL,
             "more than the most"});
  check_row({"put_pick", {{{2}}, {{2}, kInt32, 0}}, {attr("n", most)}, 1, CTN_EINVAL, "too large"});
  check_row({"embed_id_grad",
             {{{2}, kInt32, 0}, {{2, 3}}},
             {attr("n", most)},
             1,
             CTN_EINVAL,
             "too large"});
  check_row({"bias", {{{2, 3}}, {{3}}}, {attr("axis", most)}, 1, CTN_ESHAPE, "from axis"});
  check_row({"put_add",
             {{{2}, {CTN_DT_INT, 64, 1}, 9e18}, {{2}, kInt32, 0}},
             {attr("n", int64_t{1})},
             1,
             CTN_OK,
             ""});
  const Shape one = {1}, lowest = {INT64_MIN}, none = {0}, five = {5};
  check_row({"slice",
             {{{5}}},
             {attr("shape", one), attr("start", one), attr("step", lowest)},
             1,
             CTN_OK,
             ""});
  check_row({"slice",
             {{{5}}},
             {attr("shape", none), attr("start", lowest), attr("step", lowest)},
             1,
             CTN_OK,
             ""});
  check_row({"put_slice",
             {{{1}}},
             {attr("shape", five), attr("start", one), attr("step", lowest)},
             1,
             CTN_OK,
             ""});
}
