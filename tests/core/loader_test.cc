// Loading: the rules a file has to keep, one hostile plugin for each (tests/plugins), and finding
// plugins by name.
#include "core/loader.h"

#include <main.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

#include "core/missing.h"
#include "core/registry.h"
#include "plugin_files.h"

using namespace catena;
using namespace catena_test;

namespace {

struct Failure {
  ctn_status code = CTN_OK;
  std::string text;
};

Failure failure(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return {e.code(), e.what()};
  }
  return {};
}

Failure load(std::string_view name) {
  return failure([&] { load_plugin_file(plugin_file(name)); });
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

// The report's line for a path.
std::string reported(const std::string& path) {
  const std::string report = plugin_report();
  const size_t at = report.find(path + ": ");
  return at == report.npos ? "" : report.substr(at, report.find('\n', at) - at);
}

struct Refused {
  const char* name;
  ctn_status code;
  const char* words;
};

}  // namespace

TEST_CASE("loader: a good plugin, loaded once however it is named") {
  const Registry& r = Registry::get();
  REQUIRE(load("good").text == "");
  const Op* op = r.find_op("good.op");
  REQUIRE(op);
  CHECK(op->plugin == "good");
  const int32_t ops = r.op_count();
  CHECK(load("good").code == CTN_OK);
  const Folder folder;
  std::filesystem::create_symlink(plugin_file("good"), folder.file("link.so"));
  load_plugin_file(folder.file("link.so"));
  load_plugin_file(folder.file("./link.so"));
  CHECK(r.op_count() == ops);
  CHECK(has(reported(std::filesystem::canonical(plugin_file("good")).string()),
            "loaded: mixed good 1.2.3"));

  // A copy is another file of the same name.
  std::filesystem::copy_file(plugin_file("good"), folder.file("copy.so"));
  const Failure twice = failure([&] { load_plugin_file(folder.file("copy.so")); });
  CHECK(twice.code == CTN_EINVAL);
  CHECK(has(twice.text, "plugin 'good' is loaded already from "));
  CHECK(has(twice.text, std::filesystem::canonical(plugin_file("good")).string()));
  CHECK(has(twice.text, folder.file("copy.so")));
}

TEST_CASE("loader: registration after init is refused") {
  REQUIRE(load("good").code == CTN_OK);
  const Op* op = Registry::get().find_op("good.tries_late");
  REQUIRE(op);
  CHECK(op->def.compose(nullptr, nullptr, nullptr, nullptr) == CTN_EINVAL);
  CHECK(has(last_error_text(), "only inside ctn_plugin_init"));
  CHECK(!Registry::get().find_op("good.late"));
}

TEST_CASE("loader: hostile plugins are refused in words and leave nothing behind") {
  const Refused cases[] = {
      {"size_zero", CTN_EINVAL, "size is 0; it is to be sizeof"},
      {"size_huge", CTN_EINVAL, "size is 4294967280; it is to be sizeof"},
      {"query_null", CTN_EVERSION, "ctn_plugin_query returned NULL for ABI 0.1"},
      {"name_dots", CTN_EINVAL, "its name '../evil' is not [a-z0-9_]{1,32}"},
      {"newer_abi", CTN_EVERSION,
       "built for ABI 0.8, needs at least 0.2, this runtime is 0.1; rebuild it with this runtime's "
       "headers, or use a runtime of ABI 0.2 or later"},
      {"other_major", CTN_EVERSION, "built for ABI 9.0, needs at least 9.0, this runtime is 0.1"},
      {"unknown_code", CTN_EINTERNAL, "ctn_plugin_init returned unknown status 99"},
      {"silent", CTN_EDEVICE, "ctn_plugin_init failed without a text: device error"},
      {"half_way", CTN_EDEVICE, "failed to initialise: the driver is asleep"},
      {"twice", CTN_EINVAL, "op twice.op is registered already, by plugin twice"},
      {"no_init", CTN_EINVAL, "does not export ctn_plugin_init"},
      {"undefined", CTN_EINVAL, "undefined symbol: function_that_nobody_has"},
      {"throws_query", CTN_EINTERNAL, "ctn_plugin_query let an exception out"},
      {"throws_init", CTN_EINTERNAL, "ctn_plugin_init let an exception out"},
  };
  const Registry& r = Registry::get();
  const std::string before = r.json();
  for (const Refused& c : cases) {
    store_error(c.code, "an old story");
    const Failure first = load(c.name);
    CHECK_MESSAGE(first.code == c.code, c.name << ": " << first.text);
    CHECK_MESSAGE(has(first.text, c.words), first.text);
    const std::string file = std::filesystem::canonical(plugin_file(c.name)).string();
    CHECK_MESSAGE(has(first.text, file), first.text);
    CHECK(has(reported(file), "refused: "));
    const Failure again = load(c.name);  // remembered, not run a second time
    CHECK(again.code == first.code);
    CHECK(again.text == first.text);
    CHECK(!r.find_op(std::string(c.name) + ".op"));
    CHECK(r.json() == before);
  }
  CHECK(!r.find_backend("half_way"));
}

TEST_CASE("loader: what only looks strange is accepted") {
  CHECK(load("newer_built").text == "");  // a later minor that is content with this one
  CHECK(Registry::get().find_op("newer_built.op"));
  CHECK(load("null_members").text == "");  // all of its half-filled definitions were refused
  CHECK(!Registry::get().find_op("null_members.op"));
}

TEST_CASE("loader: two files of one name") {
  CHECK(load("twin_one").code == CTN_OK);
  const Failure second = load("twin_two");
  CHECK(second.code == CTN_EINVAL);
  CHECK(has(second.text, "plugin 'twin' is loaded already from "));
  CHECK(has(second.text, "twin_one.so; "));
  CHECK(has(second.text, "twin_two.so has the same name"));
  CHECK(Registry::get().find_op("twin_one.op"));
  CHECK(!Registry::get().find_op("twin_two.op"));
}

TEST_CASE("loader: paths and files that cannot be plugins") {
  CHECK(failure([] { load_plugin_file(""); }).code == CTN_EINVAL);
  CHECK(failure([] { load_plugin_file("good.so"); }).code == CTN_EINVAL);
  CHECK(failure([] { load_plugin_file("./good.so"); }).code == CTN_EINVAL);
  CHECK(failure([] { load_plugin_file(std::string_view("/a\0b", 4)); }).code == CTN_EINVAL);
  CHECK(has(failure([] { load_plugin_file("good.so"); }).text,
            "plugin 'good.so': the path is not absolute"));
  const Failure missing = failure([] { load_plugin_file("/no/such/plugin.so"); });
  CHECK(missing.code == CTN_ENOTFOUND);
  CHECK(has(missing.text, "/no/such/plugin.so: No such file or directory"));

  const Folder folder;
  folder.write("text.so", "this is no library");
  CHECK(has(failure([&] { load_plugin_file(folder.file("text.so")); }).text,
            "text.so cannot be opened: file too short"));
  CHECK(failure([&] { load_plugin_file(folder.path()); }).code == CTN_EINVAL);
  const std::string open = folder.file("open.so");
  std::filesystem::copy_file(plugin_file("twice"), open);
  std::filesystem::permissions(open, std::filesystem::perms::all);
  CHECK(has(failure([&] { load_plugin_file(open); }).text, "anybody may write to it"));
  std::filesystem::permissions(open, std::filesystem::perms::owner_all);
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  CHECK(has(failure([&] { load_plugin_file(open); }).text, "anybody may write to its directory"));
  std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_all);

  // A file that could not be opened may be tried again when it is repaired.
  std::filesystem::remove(folder.file("text.so"));
  std::filesystem::copy_file(plugin_file("twin_two"), folder.file("text.so"));
  CHECK(!has(failure([&] { load_plugin_file(folder.file("text.so")); }).text, "cannot be opened"));
}

TEST_CASE("loader: a manifest is loaded by its path and must tell the truth") {
  const Folder folder;
  folder.add("liar", "silent");  // the library calls itself silent; its init has run and failed
  folder.add("old", "good", "abi_min = 0.0\n");
  folder.add("future", "good", "abi_min = 0.9\n");
  const Failure future = failure([&] { load_plugin_file(folder.file("future.ctnplugin")); });
  CHECK(future.code == CTN_EVERSION);
  CHECK(has(future.text, "plugin 'future' (" + folder.file("future.ctnplugin") + "): built for"));
  CHECK(failure([&] { load_plugin_file(folder.file("liar.ctnplugin")); }).code != CTN_OK);

  std::filesystem::copy_file(plugin_file("testdev"), folder.file("other.so"));
  folder.write("wrong.ctnplugin", "name = wrong\nkind = ops\nlibrary = other.so\nabi = 0.1\n");
  const Failure wrong = failure([&] { load_plugin_file(folder.file("wrong.ctnplugin")); });
  CHECK(wrong.code == CTN_EINVAL);
  CHECK(has(wrong.text, "calls itself 'testdev', its manifest 'wrong'"));
  CHECK(has(reported(folder.file("wrong.ctnplugin")), "refused: "));

  std::filesystem::copy_file(plugin_file("otherdev"), folder.file("kind.so"));
  folder.write("kind.ctnplugin", "name = otherdev\nkind = ops\nlibrary = kind.so\nabi = 0.1\n");
  const Failure kind = failure([&] { load_plugin_file(folder.file("kind.ctnplugin")); });
  CHECK(kind.code == CTN_EINVAL);
  CHECK(has(kind.text, "says that its kind is mixed, its manifest ops"));
}

TEST_CASE("loader: a backend is found by its manifest; a missing one says what was tried") {
  const Folder folder;
  folder.add("testdev", "testdev", "provides = backend:testdev\npriority = 50\n");
  folder.add("half_way", "half_way", "provides = backend:sleepy\n");
  folder.add("newer_built", "newer_built", "provides = backend:pretended\n");
  add_plugin_dir(folder.path());
  CHECK(!Registry::get().find_backend("testdev"));
  const Backend& b = require_backend("testdev", false);
  CHECK(b.name == "testdev");
  CHECK(&require_backend("testdev", false) == &b);

  const Failure sleepy = failure([] { require_backend("sleepy", false); });
  CHECK(sleepy.code == CTN_ENOTFOUND);
  CHECK(has(sleepy.text, "backend 'sleepy' cannot be had; "));
  CHECK(has(sleepy.text, "the driver is asleep"));
  CHECK(has(sleepy.text, "searched: " + folder.path()));
  const Failure pretended = failure([] { require_backend("pretended", false); });
  CHECK(has(pretended.text, "was loaded, but did not register it"));
  const Failure none = failure([] { require_backend("nowhere", false); });
  CHECK(none.code == CTN_ENOTFOUND);
  CHECK(has(none.text, "no manifest provides it"));
  for (const char* name : {"", "../x", "CPU", "cpu:0"}) {
    CHECK(failure([&] { require_backend(name, false); }).code == CTN_EINVAL);
  }
  const std::string capitals = failure([] { require_backend("TESTDEV", false); }).text;
  CHECK(has(capitals, "there is no backend 'TESTDEV': a device is called NAME or NAME:ID"));
  CHECK(has(capitals, "; known: "));
  CHECK(has(capitals, "testdev"));
  CHECK(has(failure([] { require_backend("testdew", false); }).text,
            "no manifest provides it; known: "));
}

TEST_CASE("loader: required plugins come first; circles and gaps are errors") {
  const Folder folder;
  folder.add("otherdev", "otherdev", "requires = testdev\nprovides = backend:otherdev\n");
  folder.add("testdev", "testdev", "provides = backend:testdev\n");
  folder.add("hen", "twice", "requires = egg\nprovides = backend:hen\n");
  folder.add("egg", "twice", "requires = hen\n");
  folder.add("lonely", "twice", "requires = nobody\nprovides = backend:lonely\n");
  add_plugin_dir(folder.path());
  require_backend("otherdev", false);
  CHECK(Registry::get().find_backend("testdev"));
  CHECK(has(failure([] { require_backend("hen", false); }).text,
            "plugin 'hen' (" + folder.file("hen.ctnplugin") + ") requires itself"));
  CHECK(has(failure([] { require_backend("lonely", false); }).text,
            "requires plugin 'nobody', which was not found"));
}

TEST_CASE("loader: default plugins are loaded once; those that fail are listed once") {
  const Folder folder;
  folder.add("throws", "throws", "autoload = yes\n");
  folder.add("unknown_code", "unknown_code", "autoload = yes\n");
  folder.add("half_way", "half_way");
  add_plugin_dir(folder.path());
  const std::vector<std::string> failures = load_default_plugins(false);
  REQUIRE(failures.size() == 1);
  CHECK(has(failures[0], "unknown status 99"));
  CHECK(Registry::get().find_op("throws.run"));
  CHECK(load_default_plugins(false).empty());
  CHECK(load_default_plugins(true).empty());
  CHECK(has(reported(folder.file("throws.ctnplugin")), "loaded: mixed throws"));
  CHECK(has(reported(folder.file("unknown_code.ctnplugin")), "refused: "));
  CHECK(has(reported(folder.file("half_way.ctnplugin")),
            "found, not loaded: autoload is no (mixed half_way)"));
}

TEST_CASE("loader: a reason is told once, also where several plugins fail for it") {
  const Folder folder;
  folder.add("silent", "silent", "autoload = yes\n");
  folder.add("stale", "twice", "requires = silent\nautoload = yes\n");
  add_plugin_dir(folder.path());
  const std::vector<std::string> failures = load_default_plugins(false);
  REQUIRE(failures.size() == 2);
  CHECK(has(failures[0], "ctn_plugin_init failed without a text"));
  CHECK(failures[1] == "plugin 'stale' (" + folder.file("stale.ctnplugin") +
                           ") requires plugin 'silent', which was refused");
  CHECK(has(reported(folder.file("stale.ctnplugin")), "ctn_plugin_init failed without a text"));
  int told = 0;
  for (const std::string& text : plugin_absences())
    told += has(text, folder.path()) && has(text, "without a text");
  CHECK(told <= 1);
}

TEST_CASE("loader: a name that is missing, and the plugins that may have it") {
  const Folder folder;
  folder.add("good", "good");
  folder.add("half_way", "half_way");
  folder.add("waits", "half_way", "provides = backend:patient op:patient.op\n");
  folder.add("alone", "half_way", "provides = backend:lonely config:use_lonely\n");
  folder.write("rubbish.ctnplugin", "rubbish");
  add_plugin_dir(folder.path());
  static_cast<void>(load_default_plugins(false));
  REQUIRE(load("good").code == CTN_OK);
  CHECK(has(reported(folder.file("good.ctnplugin")), "loaded"));
  const auto missing = [](Sort sort, const char* name) {
    const Failure f = failure([&] { fail_missing(sort, name); });
    CHECK(f.code == CTN_ENOTFOUND);
    return f.text;
  };
  const std::string text = missing(Sort::kOp, "good.opp");
  CHECK(has(text, "there is no op 'good.opp'; did you mean 'good.op'?"));
  bool held = false, waits = false, read = true;
  for (const std::string& why : plugin_absences()) {
    held |= why == "plugin 'half_way' (" + folder.file("half_way.ctnplugin") +
                       ") was found, not loaded: autoload is no";
    waits |= why == "plugin 'waits' (" + folder.file("waits.ctnplugin") +
                        ") was found, not loaded: no device of patient was asked for";
    read &= !has(why, folder.file("rubbish.ctnplugin"));
    CHECK(!has(why, folder.file("alone.ctnplugin")));
    CHECK(!has(why, folder.file("good.ctnplugin")));
  }
  CHECK(held);
  CHECK(waits);
  CHECK(!read);  // why it could not be is among them
  CHECK(has(missing(Sort::kLink, "x"), "there is no link 'x'; "));
  CHECK(has(missing(Sort::kHook, "x"), "there is no optimizer hook 'x'; "));
}

TEST_CASE("loader: what was meant perhaps") {
  const std::vector<std::string_view> known = {"relu", "elu", "leaky_relu", "tanh", "Linear"};
  CHECK(did_you_mean("reluu", known) == "; did you mean 'relu'?");
  CHECK(did_you_mean("ReLU", known) == "; did you mean 'relu'?");
  CHECK(did_you_mean("linear", known) == "; did you mean 'Linear'?");
  CHECK(did_you_mean("lu", known) == "; did you mean 'elu'?");
  CHECK(did_you_mean("velu", known) == "; did you mean 'relu' or 'elu'?");
  CHECK(did_you_mean("convolution", known).empty());
  CHECK(did_you_mean("", known).empty());
  CHECK(did_you_mean(std::string(1000, 'x'), known).empty());
}

TEST_CASE("loader: the order of backends for auto") {
  const Folder folder;
  folder.add("fast", "good", "provides = backend:fast\npriority = 900\n");
  folder.add("slow", "good", "provides = backend:slow\npriority = -900\n");
  add_plugin_dir(folder.path());
  const std::vector<std::string> order = backend_preference(false);
  CHECK(order.front() == "fast");
  CHECK(order.back() == "slow");
  const Variable preference("CATENA_BACKEND", "slow, nobody");
  CHECK(backend_preference(false) == order);
  const std::vector<std::string> mine = backend_preference(true);
  REQUIRE(mine.size() == order.size() + 1);
  CHECK(mine[0] == "slow");
  CHECK(mine[1] == "nobody");
  CHECK(mine[2] == "fast");
}

TEST_CASE("loader: a manifest's neighbours are found for what it requires") {
  const Folder folder;
  folder.add("leader", "twin_one", "requires = follower\n");
  folder.add("follower", "newer_built", "");
  const Failure f = failure([&] { load_plugin_file(folder.file("leader.ctnplugin")); });
  CHECK(!has(f.text, "was not found"));
  CHECK(!has(f.text, "requires"));
}

namespace {

int fork_pipe[2];

const ctn_plugin_info* query_slow(uint32_t) {
  static const ctn_plugin_info info = {sizeof info, CTN_ABI_VERSION, CTN_ABI_VERSION, 1,
                                       {"slow", 4}, {"ops", 3},      {nullptr, 0}};
  return &info;
}

// Says that it runs, and waits until the test has forked.
ctn_status init_slow(const ctn_host*, ctn_plugin) {
  char byte = 0;
  return write(fork_pipe[1], "x", 1) == 1 && read(fork_pipe[0], &byte, 1) == 1 ? CTN_OK : CTN_EIO;
}

}  // namespace

TEST_CASE("loader: a child forked while a plugin loads gets an error, not a hang") {
  REQUIRE(load("good").code == CTN_OK);
  int to_loader[2], from_loader[2];
  REQUIRE((pipe(to_loader) == 0 && pipe(from_loader) == 0));
  fork_pipe[0] = to_loader[0];
  fork_pipe[1] = from_loader[1];
  std::thread loader([] { init_plugin(query_slow, init_slow, "built in"); });
  char byte = 0;
  REQUIRE(read(from_loader[0], &byte, 1) == 1);
  const pid_t child = fork();
  if (child == 0) {
    const bool refused = load("otherdev").code == CTN_EUNSUPPORTED;
    const bool usable = Registry::get().find_op("good.op") != nullptr;
    _exit(refused && usable ? 0 : 1);
  }
  REQUIRE(write(to_loader[1], "x", 1) == 1);
  loader.join();
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(has(reported("built in"), "loaded: ops slow"));
  for (const int fd : {to_loader[0], to_loader[1], from_loader[0], from_loader[1]}) close(fd);
}

TEST_CASE("loader: directories that cannot be added") {
  const Folder folder;
  CHECK(failure([] { add_plugin_dir("relative"); }).code == CTN_EINVAL);
  CHECK(has(failure([] { add_plugin_dir("relative"); }).text, "plugin directory 'relative': "));
  CHECK(failure([] { add_plugin_dir("/no/such/directory"); }).code == CTN_ENOTFOUND);
  CHECK(failure([] { add_plugin_dir(plugin_file("good")); }).code == CTN_EINVAL);
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  CHECK(has(failure([&] { add_plugin_dir(folder.path()); }).text, "anybody may write to it"));
}

TEST_CASE("loader: many threads ask for the same things") {
  const Folder folder;
  folder.add("otherdev", "otherdev", "provides = backend:otherdev\n");
  add_plugin_dir(folder.path());
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 20; ++k) {
        wrong += require_backend("otherdev", false).name != "otherdev";
        wrong += load("good").code != CTN_OK;
        wrong += load("silent").code != CTN_EDEVICE;
        wrong += load_default_plugins(false).size() > 1;
        wrong += plugin_report().empty();
      }
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(wrong.load() == 0);
}
