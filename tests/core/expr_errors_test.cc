// What is refused and with which words: texts, declarations, and forms that were not made here.
#include <main.h>

#include <functional>

#include "expr_support.h"

using namespace catena_test;

namespace {

std::string refused(const Texts& t) {
  const auto [code, text] = thrown([&] { row_of(t); });
  CHECK(code == CTN_EINVAL);
  return text;
}

std::string repeated(const std::string& part, int times) {
  std::string out;
  for (int k = 0; k < times; ++k) out += part;
  return out;
}

// A form with storage of its own, to be damaged.
struct Open {
  std::vector<ctn_form_arg> args;
  std::vector<uint8_t> scalars;
  std::vector<ctn_acc> accs;
  std::vector<ctn_inst> map, reduce, post;
  ctn_form form{};

  explicit Open(const ctn_form& f)
      : args(f.args, f.args + f.n_args),
        scalars(f.scalars, f.scalars + f.n_scalars),
        accs(f.accs, f.accs + f.n_acc),
        map(f.map.insts, f.map.insts + f.map.n),
        reduce(f.reduce.insts, f.reduce.insts + f.reduce.n),
        post(f.post.insts, f.post.insts + f.post.n),
        form(f) {}
  const ctn_form& c() {
    form.n_args = static_cast<int32_t>(args.size());
    form.n_acc = static_cast<int32_t>(accs.size());
    form.args = args.data();
    form.scalars = scalars.data();
    form.accs = accs.data();
    form.map = {map.data(), static_cast<int32_t>(map.size()), 0};
    form.reduce = {reduce.data(), static_cast<int32_t>(reduce.size()), 0};
    form.post = {post.data(), static_cast<int32_t>(post.size()), 0};
    return form;
  }
};

}  // namespace

TEST_CASE("expr: an error shows the part, the place and the line") {
  CHECK(refused({.map = "T t = x;\ny = t +\t* 2;"}) ==
        "kernel: map, line 2, column 9: an expression cannot start with '*'\n"
        "  y = t + * 2;\n"
        "          ^");
  CHECK(refused({.map = "y = x", .grad = "gx = gy *"}) ==
        "kernel: grad, line 1, column 10: an expression is missing here\n"
        "  gx = gy *\n"
        "           ^");
  const std::string text = refused({.map = "y = " + repeated("x + ", 100) + "\xc3\xa9"});
  CHECK(contains(text, "line 1, column 405: this character has no meaning here"));
  CHECK(text.size() < 300);
  CHECK(contains(text, "??"));
}

TEST_CASE("expr: texts that are refused") {
  struct Bad {
    const char* map;
    const char* message;
  };
  const Bad table[] = {
      {"", "output 'y' gets no value"},
      {"y = ", "an expression is missing here"},
      {"y = x +", "an expression is missing here"},
      {"y = (x", "')' is missing after an expression, found the end"},
      {"y = x)", "';' is missing after an assignment, found ')'"},
      {"y = x x", "';' is missing after an assignment, found 'x'"},
      {"y = x ? 1", "':' is missing in a conditional expression"},
      {"y = z", "unknown name 'z'"},
      {"z = x", "unknown name 'z'; a temporary is declared with its type"},
      {"x = 1; y = x", "'x' cannot be assigned to"},
      {"n = 1; y = x", "'n' cannot be assigned to"},
      {"const T t = 1; t = 2; y = t", "'t' cannot be assigned to"},
      {"y + 1", "'y' has no value yet"},
      {"x + 1", "this does nothing"},
      {"y += x", "'y' has no value yet"},
      {"T t; y = t", "'t' has no value yet"},
      {"T t; if (x > 0) t = 1; y = t", "'t' has no value on some paths"},
      {"if (x > 0) y = 1", "output 'y' gets no value on some paths"},
      {"if (x > 0) { T t = 1; } y = t", "unknown name 't'"},
      {"if x > 0 y = 1", "'(' is missing after if"},
      {"if (x > 0) { y = 1;", "'}' is missing at the end of a block"},
      {"T x = 1; y = x", "'x' is already declared"},
      {"T T = 1; y = x", "'T' is a type"},
      {"T float32 = 1; y = x", "'float32' is a type"},
      {"T = 1", "unknown name 'T'"},
      {"y = T", "a type here must be a cast"},
      {"U t = x; y = t", "unknown name 'U'"},
      {"auto t; y = x", "auto needs a value"},
      {"const T t; y = x", "const needs a value"},
      {"const t = 1; y = x", "a type is missing after const"},
      {"T t[4]; y = x", "there are no local arrays"},
      {"for (;;) y = x", "there are no loops"},
      {"while (x) y = x", "there are no loops"},
      {"return x", "'return' cannot be used here"},
      {"y = x++", "';' is missing after an assignment, found '++'"},
      {"y = ++x", "there is no ++"},
      {"x++; y = x", "'x' cannot be assigned to"},
      {"y = 1; y++", "write x += 1"},
      {"y = x < 1 < 2", "comparisons do not chain"},
      {"y = 1 == x == 2", "comparisons do not chain"},
      {"y = 1 / 0", "division by zero"},
      {"y = x % 0 + 5 % 0", "division by zero"},
      {"y = 1.5 & 2", "this operator needs integers"},
      {"y = ~1.5", "this operator needs integers"},
      {"y = (float32)x << 2", "this operator needs integers, not float32"},
      {"y = sinus(x)", "unknown function 'sinus'"},
      {"y = fmax(x, 1)", "unknown function 'fmax': write max, which is NaN if either operand is"},
      {"y = round(x)", "write rint"},
      {"y = sin()", "sin takes 1 arguments, not 0"},
      {"y = sin(x, x)", "sin takes 1 arguments, not 2"},
      {"y = max(x)", "max takes 2 or more arguments, not 1"},
      {"y = where(x, 1)", "where takes 3 arguments, not 2"},
      {"y = sin(x", "')' is missing after the arguments"},
      {"y = x[i]", "'x' is no raw array"},
      {"y[i] = x", "'y' is no raw array"},
      {"y = 010", "octal"},
      {"y = 1e999", "no double is this large or this small"},
      {"y = 99999999999999999999", "no 64-bit integer is this large"},
      {"y = 0x", "this is not a number"},
      {"y = 1e", "this is not a number"},
      {"y = 12ab", "a number cannot end like this"},
      {"y = 1.5.2", "';' is missing"},
      {"y = x $ 2", "this character has no meaning here"},
      {"y = \"x\"", "this character has no meaning here"},
      {"y = x /* end", "the comment does not end"},
      {"(y) = x", "has no value yet"},
      {"1 = x", "only a name can be assigned to"},
      {"y = long double", "a type here must be a cast"},
  };
  for (const Bad& bad : table) {
    CAPTURE(std::string(bad.map));
    const std::string text = refused({.map = bad.map});
    CHECK_MESSAGE(contains(text, bad.message), text);
  }
}

TEST_CASE("expr: declarations that are refused") {
  struct Bad {
    Texts texts;
    const char* message;
  };
  const Bad table[] = {
      {{.in = "T x, T x", .map = "y = x"}, "the name 'x' appears twice"},
      {{.in = "T y", .map = "y = 1"}, "the name 'y' appears twice"},
      {{.in = "T i", .map = "y = i"}, "the name 'i' is taken"},
      {{.in = "T if", .map = "y = 1"}, "is a word of the language"},
      {{.in = "T int", .map = "y = 1"}, "the name 'int' is a type"},
      {{.in = "T U, U x", .map = "y = x"}, "the name 'U' is a type variable"},
      {{.in = "t x", .map = "y = x"}, "'x' has the unknown type 't'"},
      {{.in = "float99 x", .map = "y = x"}, "'x' has the unknown type 'float99'"},
      {{.in = "T x,", .map = "y = x"}, "a parameter is missing after ','"},
      {{.in = "x", .map = "y = x"}, "a parameter is written as TYPE NAME"},
      {{.in = "T x T z", .map = "y = x"}, "has the unknown type"},
      {{.out = "", .map = "x"}, "there is no output"},
      {{.out = "raw T y", .map = "y = x"}, "'y' is an output and cannot be raw"},
      {{.scalars = "V s", .map = "y = x"}, "scalar 's' has the unknown type 'V'"},
      {{.in = "raw T x", .map = "y = x"}, "'x' is a raw array: index it, as in x[i]"},
      {{.in = "raw T x", .map = "x[0] = 1; y = 1"}, "only a name can be assigned to"},
      {{.in = "raw T x", .map = "y = x[1.5]"}, "this operator needs integers"},
      {{.map = "y = x", .post = "y = a"}, "post and identity belong to a reduction"},
      {{.in = "T x, T gx", .map = "y = x", .grad = "gx = gy"}, "the name 'gx' is taken"},
      {{.map = "y = x", .grad = "if (x > 0) gx = gy"}, "'gx' gets no value on some paths"},
      {{.map = "y = x", .grad = "gz = gy"}, "unknown name 'gz'"},
      {{.map = "y = x", .reduce = "a + b"}, "unknown name 'y'"},
      {{.map = "T t = x;", .reduce = "a + b"}, "map must end in an expression, or assign a0"},
      {{.map = "x; x", .reduce = "a + b"}, "the value must be the last statement"},
      {{.map = "x", .reduce = "a + c"}, "unknown name 'c'"},
      {{.map = "x", .reduce = "a + x"}, "unknown name 'x'"},
      {{.map = "x", .reduce = "a + i"}, "unknown name 'i'"},
      {{.map = "x", .reduce = ";"}, "reduce must end in an expression of a and b"},
      {{.map = "x", .reduce = "a - b"}, "identity must be stated for this reduce"},
      {{.map = "x", .reduce = "a + b", .identity = "0, 0"}, "1 values are needed"},
      {{.map = "x", .reduce = "a + b", .identity = "x"}, "unknown name 'x'"},
      {{.map = "x", .reduce = "a + b", .identity = "0;"}, "unexpected ';'"},
      {{.map = "x", .reduce = "a + b", .post = "y = x"}, "unknown name 'x'"},
      {{.map = "x", .reduce = "a + b", .post = "a = 1; y = a"}, "'a' cannot be assigned to"},
      {{.out = "T y, T z", .map = "x", .reduce = "a + b"}, "post is needed with several outputs"},
      {{.map = "a0 = x; if (x > 0) a1 = x;", .reduce = "a0 += b0"},
       "'a1' gets no value on some paths"},
      {{.scalars = "_ a", .map = "x", .reduce = "a + b"},
       "the name 'a' is taken by something else"},
  };
  for (const Bad& bad : table) {
    CAPTURE(bad.texts.map);
    const std::string text = refused(bad.texts);
    CHECK_MESSAGE(contains(text, bad.message), text);
  }
  Source s;
  s.in = {{"x", "T", true}};
  s.out = {{"y", "T", false}};
  s.map = "y = x";
  CHECK(contains(thrown([&] { Row::parse(s, "kernel"); }).second, "marked inout but is an input"));
  s.in = {{"x", "T", false}};
  s.out[0].inout = true;
  s.map = "x";
  s.reduce = "a + b";
  CHECK(contains(thrown([&] { Row::parse(s, "kernel"); }).second, "which a reduction cannot have"));
  s.in.resize(32, {"x", "T", false});
  CHECK(contains(thrown([&] { Row::parse(s, "kernel"); }).second, "more than 32 arguments"));
}

TEST_CASE("expr: hostile texts end in an error, not in the stack or the memory") {
  CHECK(contains(refused({.map = "y = " + repeated("(", 5000)}), "nested deeper than 128 levels"));
  CHECK(contains(refused({.map = "y = " + repeated("- ", 5000) + "x"}), "nested deeper"));
  CHECK(contains(refused({.map = "y = " + repeated("(int)", 5000) + "x"}), "nested deeper"));
  CHECK(contains(refused({.map = "y = " + repeated("x ? 1 : ", 5000) + "x"}), "nested deeper"));
  CHECK(contains(refused({.map = repeated("{", 5000)}), "nested deeper"));
  CHECK(contains(refused({.map = repeated("if (x) ", 5000) + "y = 1"}), "nested deeper"));
  CHECK(
      contains(refused({.map = repeated("if (x) y = 1; else ", 3000) + "y = 1"}), "nested deeper"));
  CHECK(contains(refused({.map = "y = " + std::string(70000, ' ')}), "at most 65536"));
  CHECK(contains(refused({.map = std::string(70, 'y') + " = x"}), "the name is too long"));
  CHECK(contains(refused({.map = "y = (x > 0 ? 1 : 2)" + repeated(" + 1", 5000) + " + x"}),
                 "too deep"));
  // Long, but flat: it parses, and is too long to run.
  std::string flat = "y = x";
  for (int k = 0; k < 4100; ++k) flat += " + " + std::to_string(k + 3) + ".5";
  const auto long_row = row_of(flat);
  const auto e = thrown([&] {
    long_row->specialize(std::vector<uint8_t>{CTN_FLOAT32, CTN_FLOAT32});
  });
  CHECK(e.first == CTN_EINVAL);
  CHECK(contains(e.second, "more than 4096 instructions"));
  // Gradients grow with their order until they are refused.
  const auto growing = thrown([&] {
    std::shared_ptr<const Row> row = row_of("y = sin(x) * exp(x * x) / (x + tanh(x))");
    for (int order = 0; order < 20; ++order) row = row->gradient(1);
  });
  CHECK(growing.first == CTN_EGRAD);
  CHECK(contains(growing.second, "the gradient is too long"));
}

TEST_CASE("expr: forms that break a rule are refused") {
  const std::vector<uint8_t> f32 = {CTN_FLOAT32, CTN_FLOAT32};
  const auto elementwise =
      row_of(Texts{.scalars = "_ s", .map = "y = x > 0 ? x * s : 2.5"})->specialize(f32);
  const auto reduction = row_of(Texts{.map = "x", .reduce = "a + b"})->specialize(f32);
  struct Damage {
    const char* what;
    std::function<void(Open&)> apply;
    bool reduces = false;
  };
  const Damage table[] = {
      {"size", [](Open& o) { o.form.size = 8; }},
      {"version", [](Open& o) { o.form.version = 99; }},
      {"between 1 and 32 arguments", [](Open& o) { o.args.clear(); }},
      {"between 1 and 32 arguments", [](Open& o) { o.args.resize(33); }},
      {"unknown dtype", [](Open& o) { o.args[0].dtype = 13; }},
      {"unknown role", [](Open& o) { o.args[0].role = 4; }},
      {"a scalar has no type", [](Open& o) { o.scalars[0] = CTN_BFLOAT16; }},
      {"scalars", [](Open& o) { o.form.n_scalars = -1; }},
      {"only a reduction has reduce", [](Open& o) { o.post = o.map; }},
      {"unknown opcode", [](Open& o) { o.map[2].op = 9; }},
      {"unknown opcode", [](Open& o) { o.map[2].op = CTN_X_END_; }},
      {"unknown opcode", [](Open& o) { o.map[2].op = 256; }},
      {"the type is none", [](Open& o) { o.map[2].type = CTN_BFLOAT16; }},
      {"must be 0", [](Open& o) { o.map[2].flags = 1; }},
      {"must be 0", [](Open& o) { o.map[0].c = 1; }},
      {"no such argument", [](Open& o) { o.map[0].a = 2; }},
      {"no such argument", [](Open& o) { o.map[0].a = -1; }},
      {"the argument is not read", [](Open& o) { o.map[0].a = 1; }},
      {"the argument has another type", [](Open& o) { o.args[0].dtype = CTN_FLOAT64; }},
      {"between", [](Open& o) { o.args.clear(); }},
      {"no earlier value", [](Open& o) { o.map.back().b = 99; }},
      {"no earlier value", [](Open& o) { o.map.back().b = -1; }},
      {"written twice", [](Open& o) { o.map.push_back(o.map.back()); }},
      {"gets no value", [](Open& o) { o.map.pop_back(); }},
      {"STORE and YIELD come last",
       [](Open& o) {
         std::swap(o.map.back(), *(o.map.end() - 2));
         o.map[o.map.size() - 2].b = 0;
       }},
      {"is no output", [](Open& o) { o.map.back().a = 0; }},
      {"STORE belongs", [](Open& o) { o.map.back().op = CTN_X_YIELD; }},
      {"4096", [](Open& o) { o.map.insert(o.map.begin(), 5000, o.map[0]); }},
      {"only a reduction", [](Open& o) { o.reduce = o.map; }},
      {"has no type", [](Open& o) { o.accs[0].type = 12; }, true},
      {"another type than its target", [](Open& o) { o.accs[0].type = CTN_FLOAT64; }, true},
      {"cannot have INOUT", [](Open& o) { o.args[1].role = CTN_ROLE_INOUT; }, true},
      {"gets no value", [](Open& o) { o.reduce.clear(); }, true},
      {"gets no value", [](Open& o) { o.post.clear(); }, true},
      {"no accumulators here", [](Open& o) { o.map[0].op = CTN_X_ACC; }, true},
      {"no accumulators here", [](Open& o) { o.post[0].op = CTN_X_ITEM; }, true},
      {"no such accumulator", [](Open& o) { o.post[0].a = 1; }, true},
      {"no such argument here", [](Open& o) { o.reduce[0].op = CTN_X_ARG; }, true},
  };
  validate(elementwise->c());
  validate(reduction->c());
  for (const Damage& d : table) {
    Open open(d.reduces ? reduction->c() : elementwise->c());
    d.apply(open);
    const auto e = thrown([&] { validate(open.c()); });
    CHECK(e.first == CTN_EINVAL);
    CHECK_MESSAGE(contains(e.second, d.what), e.second, " instead of ", std::string(d.what));
  }
  // Types of single instructions: float32 operands under every opcode and result type.
  int accepted = 0;
  for (int op = CTN_X_CAST; op < CTN_X_END_; ++op) {
    for (uint8_t type = 0; type < 12; ++type) {
      Open open(row_of("y = x * x")->specialize(f32)->c());
      open.map[1] = {static_cast<uint16_t>(op), type, 0, 0, 0, 0, {0}};
      open.map[2].b = 0;
      accepted += thrown([&] { validate(open.c()); }).first == CTN_OK;
    }
  }
  // CAST to all 12 types, 13 of arithmetic (all but TDIV), 4 comparisons, 28 functions, 3 tests.
  CHECK(accepted == 12 + 13 + 4 + 28 + 3);
}

TEST_CASE("expr: the hash is that of the content, on every machine") {
  const std::vector<uint8_t> f32 = {CTN_FLOAT32, CTN_FLOAT32}, f64 = {CTN_FLOAT64, CTN_FLOAT64};
  const auto a = row_of("y = tanh(x) * 0.5")->specialize(f32);
  CHECK(to_string(a->c()) ==
        "args: in float32, out float32\n"
        "map:\n"
        "  %0 = arg float32 0\n"
        "  %1 = tanh float32 %0\n"
        "  %2 = const float32 0.5\n"
        "  %3 = mul float32 %1 %2\n"
        "  store 1 %3\n");
  CHECK(a->c().hash == UINT64_C(1522799082252772169));
  CHECK(Form::make(a->c())->c().hash == a->c().hash);
  CHECK(row_of("y = tanh(x) * 0.5")->specialize(f64)->c().hash != a->c().hash);
  CHECK(row_of("y = tanh(x) * 0.25")->specialize(f32)->c().hash != a->c().hash);
  const auto sum = row_of(Texts{.map = "x", .reduce = "a + b"})->specialize(f32);
  const auto other = row_of(Texts{.map = "x", .reduce = "a + b", .identity = "1"})->specialize(f32);
  CHECK(sum->c().hash != other->c().hash);
}
