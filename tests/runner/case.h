// What the kinds of golden cases share: the files, recorded random numbers, values from JSON, and
// comparison within the index's tolerances.
#pragma once

#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "host.h"
#include "py.h"

namespace golden {

using Json = nlohmann::json;

// Draws handed out in the order recorded; asking for more, or for another kind, is an error.
struct Draws {
  std::deque<std::pair<int32_t, Host>> left;
  size_t used = 0;        // elements of left.front()
  bool recorded = false;  // the case has some; otherwise any numbers will do
  uint64_t state = 1;
};

struct Run {
  std::string dir;  // with the trailing slash
  ctn_context ctx = nullptr;
  Json schema;  // of the library
  std::map<std::string, std::map<std::string, Host>> files;
  Draws draws;

  // A member of an archive; loads the archive at first use.
  const Host& member(const Json& c, const std::string& name);
  // An op's schema, or Skip.
  const Json& op(const std::string& name) const;
  const Json* entry(const char* section, const std::string& name) const;
};

// Values for the C interface; owns what they point to.
class Values {
 public:
  explicit Values(ctn_context ctx = nullptr) : ctx_(ctx) {}  // for literal arrays
  ctn_value of(const Json& j);
  ctn_value of(const Py& p);
  ctn_value number(double v, bool is_float);
  ctn_value text(const std::string& s);
  ctn_value variable(ctn_variable v);

 private:
  ctn_value list(std::vector<ctn_value> items);
  std::deque<std::vector<int64_t>> ints_;
  std::deque<std::vector<double>> floats_;
  std::deque<std::vector<ctn_value>> lists_;
  std::deque<std::string> texts_;
  std::deque<ctn_slice> slices_;
  std::deque<Array> arrays_;
  ctn_context ctx_;
};

// Throws with the first difference if got is not expected within tol[group].
void compare(const Host& got, const Host& expected, const Json& tol, const char* group,
             const std::string& what);

// Sets the case's configuration for this thread until destroyed.
class ConfigOf {
 public:
  ConfigOf(ctn_context ctx, const Json& c);
  ~ConfigOf();

 private:
  ctn_context ctx_;
};

void load_draws(Run& run, const Json& c);
// Each throws on failure and Skip when it cannot be run.
void run_function(Run& run, const Json& c);
void run_link(Run& run, const Json& c);
void run_optimizer(Run& run, const Json& c);
void run_initializer(Run& run, const Json& c);

}  // namespace golden
