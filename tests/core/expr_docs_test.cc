// The examples of docs/expressions.md: every indented block is a kernel, KEY "text" pairs; each
// must parse, be typed and have a gradient.
#include <main.h>

#include <cstdlib>
#include <fstream>
#include <regex>

#include "expr_support.h"

using namespace catena_test;

namespace {

std::vector<Texts> examples(std::istream& in) {
  std::vector<Texts> found;
  bool inside = false;
  const std::regex pair("(\\w+) \"([^\"]*)\"");
  for (std::string line; std::getline(in, line);) {
    const bool example = line.starts_with("    ");
    if (example && !inside) found.emplace_back();
    inside = example;
    if (!example) continue;
    Texts& t = found.back();
    const std::map<std::string, std::string*> keys = {
        {"in", &t.in},     {"out", &t.out},          {"scalars", &t.scalars},
        {"map", &t.map},   {"grad", &t.grad},        {"reduce", &t.reduce},
        {"post", &t.post}, {"identity", &t.identity}};
    for (std::sregex_iterator m(line.begin(), line.end(), pair), end; m != end; ++m) {
      REQUIRE(keys.contains((*m)[1]));
      *keys.at((*m)[1]) = (*m)[2];
    }
  }
  return found;
}

}  // namespace

TEST_CASE("expr: the examples of the documentation are kernels") {
  const char* tests = std::getenv("CATENA_TESTS_DIR");
  if (tests == nullptr) return catena_test::skip("CATENA_TESTS_DIR is not set");
  std::ifstream file(std::string(tests) + "/../docs/expressions.md");
  REQUIRE(file.good());
  const std::vector<Texts> found = examples(file);
  CHECK(found.size() == 5);
  for (const Texts& t : found) {
    CAPTURE(t.map);
    REQUIRE(!t.map.empty());
    const auto row = row_of(t);
    const std::vector<uint8_t> dtypes(static_cast<size_t>(row->n_in() + row->n_out()), CTN_FLOAT32);
    CHECK(row->specialize(dtypes)->c().map.n > 0);
    // The place of the largest is the one without a gradient.
    const bool place = t.map.find("a1 = i") != std::string::npos;
    CHECK((thrown([&] { row->gradient(row->differentiable()); }).first == CTN_EGRAD) == place);
  }
}
