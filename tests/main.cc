// The main program of every doctest executable: runs the cases and closes with
// 'N passed, N failed, N skipped', counted in test cases. Knows nothing of what is tested.
#define DOCTEST_CONFIG_IMPLEMENT
#include "main.h"

#ifdef TEST_BACKENDS
#include "backend.h"
#endif

#include <cstdio>
#include <cstring>

namespace {

struct Counts {
  unsigned run = 0;
  unsigned failed = 0;
  unsigned skipped = 0;
  const char* running = "";
  bool skip_asked = false;
  bool listing = false;
  unsigned listed = 0;
};

Counts counts;

class Counter : public doctest::IReporter {
 public:
  explicit Counter(const doctest::ContextOptions&) {}

  void report_query(const doctest::QueryData& data) override {
    counts.listing = true;
    counts.listed = data.run_stats ? data.run_stats->numTestCasesPassingFilters : 0;
  }
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_start(const doctest::TestCaseData& data) override {
    counts.running = data.m_name;
    counts.skip_asked = false;
  }
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    ++counts.run;
    if (!stats.testCaseSuccess) {
      ++counts.failed;
    } else if (counts.skip_asked) {
      ++counts.skipped;
    }
  }
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("counter", 1, Counter);

}  // namespace

void catena_test::skip(const char* reason) {
  counts.skip_asked = true;
  std::printf("skipped: %s: %s\n", counts.running, reason);
}

#ifdef TEST_BACKENDS
// A program of the table on a backend that is not there: all of its cases are skipped.
static int skip_all(doctest::Context& context, const std::string& reason) {
  const char* const words[] = {"", "--count"};
  context.applyCommandLine(2, words);
  context.run();
  std::printf("skipped: %s: %s\n", catena_test::backend(), reason.c_str());
  std::printf("0 passed, 0 failed, %u skipped\n", counts.listed);
  return counts.listed == 0;
}
#endif

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  context.setOption("no-breaks", true);
#ifdef TEST_BACKENDS
  if (const std::string reason = catena_test::missing_backend(); !reason.empty())
    return skip_all(context, reason);
#endif
  const int status = context.run();
  if (counts.listing) return status;
  std::printf("%u passed, %u failed, %u skipped\n", counts.run - counts.failed - counts.skipped,
              counts.failed, counts.skipped);
  // A filter that selects nothing is a mistake, not a success.
  return counts.run == 0 && status == 0 ? 1 : status;
}
