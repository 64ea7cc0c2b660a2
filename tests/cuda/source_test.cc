// What NVRTC says of the generated kernels: those of every row that is registered, with its
// gradient, become machine code for the oldest and a newer architecture. Needs no driver. Two
// dtypes of each row are tried; all of them (minutes) with --no-skip.
#include <catena/sdk.hpp>

#include <cuda/native.h>
#include <cuda/nvrtc.h>
#include <cuda/source.h>

#include <set>

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

std::string compiled(const std::string& source, int arch) {
  try {
    const auto image = catena::cuda::nvrtc_compile(source, arch / 10, arch % 10);
    return image.code.empty() ? "no code" : "";
  } catch (const catena::sdk::Error& e) {
    return e.what();
  }
}

bool nvrtc_found() {
  const std::string& why = catena::cuda::nvrtc_why();
  if (!why.empty()) catena_test::skip(why.c_str());
  return why.empty();
}

// Compiles each row for `dtypes` of those it takes; how many forms that were.
int compile_rows(size_t dtypes) {
  std::set<uint64_t> seen;
  int forms = 0;
  uint8_t first = CTN_FLOAT32;  // takes turns
  for (const auto& row : all_rows()) {
    size_t taken = 0;
    for (int k = 0; k < CTN_DTYPE_COUNT && taken < dtypes; ++k) {
      const auto form = typed(*row, static_cast<uint8_t>((first + k) % CTN_DTYPE_COUNT));
      if (!form) continue;
      ++taken;
      if (!seen.insert(form->c().hash).second) continue;
      const int arch = forms++ % 2 ? 90 : 75;
      const std::string text =
          compiled(catena::cuda::source_of(form->c(), catena::cuda::Reach::kNear), arch);
      if (!text.empty()) FAIL_CHECK(row->name(), " for sm_", arch, ": ", text);
    }
    first = static_cast<uint8_t>((first + 5) % CTN_DTYPE_COUNT);
  }
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
