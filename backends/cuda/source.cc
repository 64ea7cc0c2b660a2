// A form as CUDA C: see source.h. Each program of the form becomes one function over structs (what
// it reads, what it yields or stores); the kernels around them are texts that no form changes.
#include <cuda/source.h>

#include <cstdio>
#include <cstring>

namespace catena::cuda {
namespace {

constexpr const char* kStorage[CTN_DTYPE_COUNT] = {"b8",  "i8",  "i16", "i32", "i64", "u8",  "u16",
                                                   "u32", "u64", "f16", "f32", "f64", "bf16"};
constexpr const char* kTypes[CTN_DTYPE_COUNT] = {"bool", "i8",  "i16", "i32", "i64", "u8", "u16",
                                                 "u32",  "u64", "f32", "f32", "f64", "f32"};
constexpr int kBytes[CTN_DTYPE_COUNT] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8, 2};

struct OpName {
  uint16_t op;
  const char* name;
};
// Operations of one, two operands; those with a text of their own are in `operation`.
constexpr OpName kUnary[] = {
    {CTN_X_NEG, "x_neg"},           {CTN_X_ABS, "x_abs"},         {CTN_X_SIGN, "x_sign"},
    {CTN_X_NOT, "x_not"},           {CTN_X_SQRT, "x_sqrt"},       {CTN_X_RSQRT, "x_rsqrt"},
    {CTN_X_EXP, "x_exp"},           {CTN_X_EXPM1, "x_expm1"},     {CTN_X_EXP2, "x_exp2"},
    {CTN_X_LOG, "x_log"},           {CTN_X_LOG1P, "x_log1p"},     {CTN_X_LOG2, "x_log2"},
    {CTN_X_LOG10, "x_log10"},       {CTN_X_SIN, "x_sin"},         {CTN_X_COS, "x_cos"},
    {CTN_X_TAN, "x_tan"},           {CTN_X_ASIN, "x_asin"},       {CTN_X_ACOS, "x_acos"},
    {CTN_X_ATAN, "x_atan"},         {CTN_X_SINH, "x_sinh"},       {CTN_X_COSH, "x_cosh"},
    {CTN_X_TANH, "x_tanh"},         {CTN_X_ERF, "x_erf"},         {CTN_X_ERFC, "x_erfc"},
    {CTN_X_LGAMMA, "x_lgamma"},     {CTN_X_DIGAMMA, "x_digamma"}, {CTN_X_FLOOR, "x_floor"},
    {CTN_X_CEIL, "x_ceil"},         {CTN_X_TRUNC, "x_trunc"},     {CTN_X_RINT, "x_rint"},
    {CTN_X_SIGMOID, "x_sigmoid"},   {CTN_X_ISNAN, "x_isnan"},     {CTN_X_ISINF, "x_isinf"},
    {CTN_X_ISFINITE, "x_isfinite"},
};
constexpr OpName kBinary[] = {
    {CTN_X_ADD, "x_add"},   {CTN_X_SUB, "x_sub"},   {CTN_X_MUL, "x_mul"},
    {CTN_X_DIV, "x_div"},   {CTN_X_FDIV, "x_fdiv"}, {CTN_X_TDIV, "x_tdiv"},
    {CTN_X_FMOD, "x_fmod"}, {CTN_X_TMOD, "x_tmod"}, {CTN_X_MIN, "x_min"},
    {CTN_X_MAX, "x_max"},   {CTN_X_POW, "x_pow"},   {CTN_X_EQ, "x_eq"},
    {CTN_X_NE, "x_ne"},     {CTN_X_LT, "x_lt"},     {CTN_X_LE, "x_le"},
    {CTN_X_AND, "x_and"},   {CTN_X_OR, "x_or"},     {CTN_X_XOR, "x_xor"},
    {CTN_X_SHL, "x_shl"},   {CTN_X_SHR, "x_shr"},   {CTN_X_ATAN2, "x_atan2"},
};

const char* find(const OpName* begin, const OpName* end, uint16_t op) {
  for (; begin != end; ++begin)
    if (begin->op == op) return begin->name;
  return nullptr;
}

std::string number(int64_t n) { return std::to_string(n); }
std::string value(int32_t v) { return "v" + number(v); }

std::string hex(uint64_t bits) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llxull", static_cast<unsigned long long>(bits));
  return text;
}

std::string from_bits(uint8_t type, uint64_t bits) {
  return std::string("from_bits<") + kTypes[type] + ">(" + hex(bits) + ")";
}

std::string constant(const ctn_inst& i) {
  uint64_t bits = i.imm.u;
  if (i.type == CTN_FLOAT32) {
    const auto v = static_cast<float>(i.imm.f);
    uint32_t word = 0;
    std::memcpy(&word, &v, sizeof v);
    bits = word;
  }
  return from_bits(i.type, bits);
}

// The address of an element of argument a.
std::string pointer(const ctn_form& form, int32_t a, bool reading, const char* at) {
  return std::string("(") + (reading ? "const " : "") + kStorage[form.args[a].dtype] +
         "*)((char*)l.data[" + number(a) + "]" + at + ")";
}

std::string operation(const ctn_form& form, const ctn_inst& i) {
  const std::string type = kTypes[i.type];
  switch (i.op) {
    case CTN_X_CONST: return constant(i);
    case CTN_X_ARG: return "in.a" + number(i.a);
    case CTN_X_SCALAR: return "from_bits<" + type + ">(l.scalars[" + number(i.a) + "])";
    case CTN_X_INDEX: return "index";
    case CTN_X_SIZE: return "size";
    case CTN_X_RAW:
      return "load_raw<" + type + ">(" + pointer(form, i.a, true, "") + ", l.counts[" +
             number(i.a) + "], " + value(i.b) + ")";
    case CTN_X_ACC: return "acc.a" + number(i.a);
    case CTN_X_ITEM: return "item.a" + number(i.a);
    case CTN_X_CAST: return "x_cast<" + type + ">(" + value(i.a) + ")";
    case CTN_X_SELECT: return value(i.a) + " ? " + value(i.b) + " : " + value(i.c);
    default: break;
  }
  if (const char* name = find(std::begin(kUnary), std::end(kUnary), i.op))
    return std::string(name) + "(" + value(i.a) + ")";
  const char* name = find(std::begin(kBinary), std::end(kBinary), i.op);
  return std::string(name ? name : "unknown_opcode") + "(" + value(i.a) + ", " + value(i.b) + ")";
}

// Effects come last in a program and name values, so that all reads are done before.
void append_program(std::string& to, const ctn_form& form, const ctn_program& p,
                    const char* target) {
  for (int32_t k = 0; k < p.n; ++k) {
    const ctn_inst& i = p.insts[k];
    if (i.op == CTN_X_STORE || i.op == CTN_X_YIELD)
      to += std::string("  ") + target + ".a" + number(i.a) + " = " + value(i.b) + ";\n";
    else
      to += std::string("  const ") + kTypes[i.type] + " " + value(k) + " = " + operation(form, i) +
            ";\n";
  }
}

bool reads(const ctn_program& p, int32_t arg) {
  for (int32_t k = 0; k < p.n; ++k)
    if (p.insts[k].op == CTN_X_ARG && p.insts[k].a == arg) return true;
  return false;
}

bool writes(const ctn_form_arg& arg) {
  return arg.role == CTN_ROLE_OUT || arg.role == CTN_ROLE_INOUT;
}

constexpr const char* kTemplate = "template <class L> __device__ inline void ";

// struct In and Out with a member for each argument read or written, and how they are moved.
void append_arguments(std::string& to, const ctn_form& form) {
  std::string in, out, fetch, put;
  for (int32_t a = 0; a < form.n_args; ++a) {
    const std::string member = "a" + number(a), at = " + at[" + number(a) + "]";
    const std::string declared = std::string("  ") + kTypes[form.args[a].dtype] + " " + member;
    if (reads(form.map, a)) {
      in += declared + ";\n";
      fetch += "  in." + member + " = load(" + pointer(form, a, true, at.c_str()) + ");\n";
    }
    if (writes(form.args[a])) {
      out += declared + ";\n";
      put += "  store(" + pointer(form, a, false, at.c_str()) + ", out." + member + ");\n";
    }
  }
  to += "struct In {\n" + in + "};\nstruct Out {\n" + out + "};\n";
  to += kTemplate + ("fetch(In& in, const L& l, const i64* at) {\n" + fetch) + "}\n";
  to += kTemplate + ("put(const Out& out, const L& l, const i64* at) {\n" + put) + "}\n";
}

void append_reduction(std::string& to, const ctn_form& form) {
  to += "struct Acc {\n";
  for (int32_t k = 0; k < form.n_acc; ++k)
    to += std::string("  alignas(8) ") + kTypes[form.accs[k].type] + " a" + number(k) + ";\n";
  to += "};\n__device__ inline void identity(Acc& acc) {\n";
  for (int32_t k = 0; k < form.n_acc; ++k)
    to +=
        "  acc.a" + number(k) + " = " + from_bits(form.accs[k].type, form.accs[k].identity) + ";\n";
  to += "}\n";
  to += kTemplate + std::string("map(const In& in, const L& l, i64 index, i64 size, Acc& to) {\n");
  append_program(to, form, form.map, "to");
  to += "}\n";
  to += kTemplate + std::string("reduce(Acc& acc, const Acc& item, const L& l) {\n");
  append_program(to, form, form.reduce, "acc");
  to += "}\n";
  to += kTemplate + std::string("post(const Acc& acc, const L& l, i64 size, Out& to) {\n");
  append_program(to, form, form.post, "to");
  to += "}\n";
}

void append_launch(std::string& to, const ctn_form& form) {
  const std::string scalars = number(form.n_scalars > 0 ? form.n_scalars : 1);
  to += "enum { kArgs = " + number(form.n_args) + ", kThreads = " + number(kThreads) +
        ", kUnroll = " + number(unroll_of(form)) + " };\n";
  to += R"(
template <int N> struct Launch {
  i64 size, kept, reduced, ndim, n_reduced, lanes, across, parts, chunk;
  void* partial;
  u64 scalars[)" +
        scalars + R"(];
  void* data[kArgs];
  i64 counts[kArgs], shape[N];
  u64 inverse[N];
  i64 strides[kArgs][N];
};

// Adds the byte offsets of element i of the dimensions [first, last) to those of all arguments.
template <class L>
__device__ inline void place(const L& l, int first, int last, i64 i, i64* at) {
  for (int d = last - 1; d >= first; --d) {
    i64 r = i;
    if (d > first) {
      const i64 n = l.shape[d];
      i64 q;
      if (((u64)i | (u64)n) >> 31 == 0) {  // by multiplication: no unit divides
        const u32 factor = (u32)l.inverse[d], shift = (u32)(l.inverse[d] >> 32);
        q = (i64)(((u32)((u64)(u32)i * factor >> 32) + (u32)i) >> shift);
      } else {
        q = i / n;
      }
      r = i - q * n;
      i = q;
    }
    #pragma unroll
    for (int a = 0; a < kArgs; ++a) at[a] += r * l.strides[a][d];
  }
}
)";
}

void append_entry(std::string& to, const char* name, const char* body, int dims, Reach reach) {
  const bool far = reach == Reach::kFar;
  to += std::string("extern \"C\" __global__ void ") + name + "(const Launch<" + number(dims) +
        ">" + (far ? "*" : "") + " l) { " + body + "(" + (far ? "*" : "") + "l); }\n";
}

}  // namespace

int unroll_of(const ctn_form& form) {
  for (int32_t a = 0; a < form.n_args; ++a)
    if (kBytes[form.args[a].dtype] > 2) return 4;
  return 8;
}

std::string source_of(const ctn_form& form, Reach reach) {
  const int dims = reach == Reach::kNear ? kNearDims : CTN_MAX_NDIM;
  std::string to = std::string(kPreludeTypes) + kPreludeArithmetic + kPreludeMath;
  append_launch(to, form);
  append_arguments(to, form);
  if (form.n_acc > 0) {
    append_reduction(to, form);
    to += kReductionKernels;
    append_entry(to, "ctn_reduce", "reduce_part", dims, reach);
    append_entry(to, "ctn_finish", "finish_parts", dims, reach);
    return to;
  }
  to += kTemplate + std::string("map(const In& in, const L& l, i64 index, i64 size, Out& to) {\n");
  append_program(to, form, form.map, "to");
  to += "}\n";
  to += kElementwiseKernels;
  if (reach == Reach::kNear) append_entry(to, "ctn_flat", "elements_flat", 1, reach);
  append_entry(to, "ctn_walk", "elements_walk", dims, reach);
  return to;
}

}  // namespace catena::cuda
