// What NVRTC says of the generated kernels: those of every row that is registered, with its
// gradient, become machine code for the oldest and a newer architecture. Needs no driver. Two
// dtypes of each row are tried; all of them (minutes) with --no-skip.
#include <catena/sdk.hpp>

#include <cuda/native.h>
#include <cuda/nvrtc.h>
#include <cuda/source.h>

#include <set>
#include <utility>

#include "core/context.h"
#include "core/expr/expr.h"
#include "core/loader.h"
#include "main.h"

namespace {

using catena::expr::Form;
using catena::expr::Row;

// The row for one dtype of everything whose dtype is open; NULL where the row does not take it.
std::shared_ptr<const Form> typed(const Row& row, uint8_t dtype) {
  std::vector<uint8_t> dtypes;
  for (int32_t k = 0; k < row.n_in() + row.n_out(); ++k) {
    const int fixed = catena::dtype_from_name(row.arg_type(k));
    dtypes.push_back(fixed < 0 ? dtype : static_cast<uint8_t>(fixed));
  }
  try {
    return row.specialize(dtypes);
  } catch (const catena::Error& e) {
    if (e.code() != CTN_EDTYPE) throw;
    return nullptr;
  }
}

std::vector<std::shared_ptr<const Row>> all_rows() {
  catena::add_plugin_dir(TEST_PLUGINS);
  for (const std::string& failure : catena::load_default_plugins(false)) FAIL(failure);
  std::vector<std::shared_ptr<const Row>> rows;
  const auto& registry = catena::Registry::get();
  for (int32_t id = 0; id < registry.op_count(); ++id) {
    const auto& row = registry.op(id)->row;
    if (!row) continue;
    rows.push_back(row);
    if (!row->differentiable()) continue;
    try {
      rows.push_back(row->gradient(row->differentiable()));
    } catch (const catena::Error& e) {
      CHECK(e.code() == CTN_EGRAD);
    }
  }
  return rows;
}

std::string compiled(const std::string& source, int arch,
                     const std::vector<std::string>& more = {}) {
  try {
    const auto image = catena::cuda::nvrtc_compile(source, arch / 10, arch % 10, more);
    return image.code.empty() ? "no code" : "";
  } catch (const catena::sdk::Error& e) {
    return e.what();
  }
}

// Whether NVRTC takes a source is the question, not how fast its code is.
std::vector<std::string> quickly() {
  if (!catena::cuda::nvrtc_version().starts_with("13.")) return {};
  return {"--Ofast-compile=max"};
}

bool nvrtc_found() {
  const std::string& why = catena::cuda::nvrtc_why();
  if (!why.empty()) catena_test::skip(why.c_str());
  return why.empty();
}

// Forms of one architecture in one program, each in a namespace of its own behind one prelude: most
// of the time would otherwise go into reading that.
class Batch {
 public:
  explicit Batch(int arch) : arch_(arch) {}
  void add(const std::string& name, const ctn_form& form) {
    std::string source = catena::cuda::source_of(form, catena::cuda::Reach::kNear);
    const std::string prelude = std::string(catena::cuda::kPreludeTypes) +
                                catena::cuda::kPreludeArithmetic + catena::cuda::kPreludeMath;
    REQUIRE(source.starts_with(prelude));
    std::string own = source.substr(prelude.size());
    // names of C would be those of all namespaces
    const std::string linkage = "extern \"C\" ";
    for (size_t at; (at = own.find(linkage)) != std::string::npos;) own.erase(at, linkage.size());
    if (together_.empty()) together_ = prelude;
    together_ += "namespace form" + std::to_string(alone_.size()) + " {\n" + own + "}\n";
    alone_.emplace_back(name, std::move(source));
    if (alone_.size() == kMost) compile();
  }
  // What is left.
  void compile() {
    const auto alone = std::exchange(alone_, {});
    const std::string together = std::exchange(together_, {});
    if (alone.empty() || compiled(together, arch_, quickly()).empty()) return;
    int refused = 0;
    for (const auto& [name, source] : alone) {
      const std::string text = compiled(source, arch_, quickly());
      refused += !text.empty();
      if (!text.empty()) FAIL_CHECK(name, " for sm_", arch_, ": ", text);
    }
    if (refused == 0) FAIL_CHECK("forms that compile alone, but not together: ", together);
  }

 private:
  static constexpr size_t kMost = 16;
  const int arch_;
  std::string together_;
  std::vector<std::pair<std::string, std::string>> alone_;
};

// Compiles each row for `dtypes` of those it takes; how many forms that were.
int compile_rows(size_t dtypes) {
  std::set<uint64_t> seen;
  Batch older(75), newer(90);
  int forms = 0;
  uint8_t first = CTN_FLOAT32;  // takes turns
  for (const auto& row : all_rows()) {
    size_t taken = 0;
    for (int k = 0; k < CTN_DTYPE_COUNT && taken < dtypes; ++k) {
      const auto form = typed(*row, static_cast<uint8_t>((first + k) % CTN_DTYPE_COUNT));
      if (!form) continue;
      ++taken;
      if (!seen.insert(form->c().hash).second) continue;
      (forms++ % 2 ? newer : older).add(std::string(row->name()), form->c());
    }
    first = static_cast<uint8_t>((first + 5) % CTN_DTYPE_COUNT);
  }
  older.compile();
  newer.compile();
  MESSAGE(forms, " forms");
  return forms;
}

TEST_CASE("every row") {
  if (nvrtc_found()) CHECK(compile_rows(2) > 200);
}

TEST_CASE("every row in every dtype" * doctest::skip()) {
  if (nvrtc_found()) CHECK(compile_rows(CTN_DTYPE_COUNT) > 1000);
}

// Those of a text in one program; others than the samples' dtypes are the false GPU's business.
TEST_CASE("kernels written by hand") {
  if (!nvrtc_found()) return;
  for (const catena::cuda::Text* text : catena::cuda::kTexts) {
    std::vector<catena::cuda::Entry> entries;
    for (const catena::cuda::Sample* s = text->samples; s->function; ++s)
      entries.push_back({s->function, s->parameter});
    for (const int arch : {75, 80, 90}) {
      const std::string log = compiled(catena::cuda::native_source(*text, entries), arch);
      if (!log.empty()) FAIL_CHECK(text->name, " for sm_", arch, ": ", log);
    }
  }
}

TEST_CASE("every op with a kernel on the cpu has one of ours") {
  all_rows();  // loads the ops
  const auto& cpu = catena::require_backend("cpu", false);
  const auto& cuda = catena::require_backend("cuda", false);
  int ops = 0;
  for (int32_t id = 0; id < catena::Registry::get().op_count(); ++id) {
    const catena::Op& op = *catena::Registry::get().op(id);
    if (!op.kernels[static_cast<size_t>(cpu.id)].load()) continue;
    ++ops;
    const catena::KernelList* ours = op.kernels[static_cast<size_t>(cuda.id)].load();
    bool found = false;  // beside cuDNN's, whose priority is higher
    for (const catena::Kernel* k : ours ? ours->items : std::vector<const catena::Kernel*>())
      found |= k->def.priority == 0;
    if (!found) FAIL_CHECK(op.name, " has none");
  }
  CHECK(ops > 30);
}

TEST_CASE("an architecture that NVRTC does not know gets the newest one below") {
  if (!nvrtc_found()) return;
  const auto row = Row::parse({.in = catena::expr::parse_params("T x", "t"),
                               .out = catena::expr::parse_params("T y", "t"),
                               .scalars = {},
                               .map = "y = x",
                               .grad = {},
                               .reduce = {},
                               .post = {},
                               .identity = {}},
                              "t");
  const std::string source =
      catena::cuda::source_of(typed(*row, CTN_FLOAT32)->c(), catena::cuda::Reach::kFar);
  const auto newer = catena::cuda::nvrtc_compile(source, 99, 9);
  CHECK(newer.of.starts_with("compute_"));
  CHECK(newer.code.find(".version") != std::string::npos);
  CHECK_THROWS_WITH_AS(catena::cuda::nvrtc_compile(source, 1, 0), doctest::Contains("1.0"),
                       catena::sdk::Error);
  CHECK_THROWS_WITH_AS(catena::cuda::nvrtc_compile("not a program", 7, 5),
                       doctest::Contains("not a program"), catena::sdk::Error);
}

}  // namespace
