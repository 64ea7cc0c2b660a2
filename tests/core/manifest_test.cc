// Manifests, and what the search makes of directories, names and environment variables.
#include "core/manifest.h"

#include <main.h>

#include "core/error.h"
#include "core/plugin_search.h"
#include "plugin_files.h"

using namespace catena;
using namespace catena_test;

namespace {

std::string refusal(std::string_view text) {
  try {
    parse_manifest(text, "/dir/some.ctnplugin");
  } catch (const Error& e) {
    CHECK(e.code() == CTN_EFORMAT);
    return e.what();
  }
  return "accepted";
}

std::vector<std::string> names(const SearchResult& found) {
  std::vector<std::string> out;
  for (const Manifest& m : found.manifests) out.push_back(m.name);
  return out;
}

std::string remark(const SearchResult& found, const std::string& path) {
  for (const Remark& r : found.remarks) {
    if (r.path == path) return r.text;
  }
  return "";
}

constexpr std::string_view kPlain = "name = some\nkind = ops\nlibrary = libsome.so\nabi = 0.1\n";

}  // namespace

TEST_CASE("manifest: every key") {
  const Manifest m = parse_manifest(
      "# a comment\r\n"
      "  name = intel64 # behind a value\n"
      "kind=backend\n"
      "\n"
      "library\t= sub/libcatena_intel64.so\n"
      "abi = 1.12\nabi_min = 1.0\npriority = -200\nautoload = yes\n"
      "provides = backend:intel64  op:*\n"
      "requires = cpu functions\n"
      "unknown = whatever#it is\n"
      "license = MIT",
      "/some/dir/intel64.ctnplugin");
  CHECK(m.name == "intel64");
  CHECK(m.kind == "backend");
  CHECK(m.library == "/some/dir/sub/libcatena_intel64.so");
  CHECK(abi_text(m.abi) == "1.12");
  CHECK(abi_text(m.abi_min) == "1.0");
  CHECK(m.priority == -200);
  CHECK(m.autoload);
  CHECK(m.provides == std::vector<std::string>{"backend:intel64", "op:*"});
  CHECK(m.provides_backend("intel64"));
  CHECK(!m.provides_backend("intel"));
  CHECK(m.needs == std::vector<std::string>{"cpu", "functions"});
  const Manifest plain = parse_manifest(kPlain, "/some.ctnplugin");
  CHECK(plain.abi_min == plain.abi);
  CHECK(plain.library == "/libsome.so");
  CHECK(!plain.autoload);
}

TEST_CASE("manifest: faults are named with their line") {
  const std::string head = "manifest /dir/some.ctnplugin";
  const std::string plain(kPlain);
  CHECK(refusal(kPlain) == "accepted");
  CHECK(refusal("") == head + ": it has no 'name'");
  CHECK(refusal("name = some\n") == head + ": it has no 'kind'");
  CHECK(refusal(plain + "nonsense\n") == head + ":5: expected 'key = value'");
  CHECK(refusal(plain + "name = some\n") == head + ":5: the key 'name' is there twice");
  CHECK(refusal("name = ../evil\n") == head + ":1: name '../evil' is not [a-z0-9_]{1,32}");
  CHECK(refusal("name = " + std::string(33, 'a')).find(":1: name '") != std::string::npos);
  CHECK(refusal("kind = driver") == head + ":1: kind 'driver' is not backend, ops or mixed");
  CHECK(refusal("library = /lib/libc.so") ==
        head + ":1: library '/lib/libc.so' is not relative to the manifest");
  CHECK(refusal("library =") == head + ":1: library '' is not relative to the manifest");
  for (const char* path : {"../x.so", "a/../../x.so", ".."}) {
    CHECK(refusal("library = " + std::string(path)) ==
          head + ":1: library '" + path + "' leads out of the manifest's directory");
  }
  CHECK(refusal("abi = 1") == head + ":1: abi '1' is not MAJOR.MINOR");
  CHECK(refusal("abi = 1.x") == head + ":1: 'x' is no number between 0 and 65535");
  CHECK(refusal("abi = 65536.0") == head + ":1: '65536' is no number between 0 and 65535");
  CHECK(refusal("priority = 99999999999999999999").find("is no number") != std::string::npos);
  CHECK(refusal("autoload = maybe") == head + ":1: autoload 'maybe' is not yes or no");
  CHECK(refusal("provides = cpu") == head + ":1: 'cpu' is not KIND:NAME");
  CHECK(refusal("requires = libcudart.so") ==
        head + ":1: requires 'libcudart.so', which is no plugin name");
  CHECK(refusal("name = \xff\n") == head + ": it is not UTF-8");
  CHECK(refusal(std::string("library = a\0.so", 15)).find("is not relative") != std::string::npos);
}

TEST_CASE("manifest: any bytes give a manifest or CTN_EFORMAT") {
  uint64_t state = 7;
  const auto next = [&] { return state = state * 6364136223846793005u + 1442695040888963407u; };
  const std::string seed = std::string(kPlain) +
                           "abi_min = 0.0\npriority = 3\nprovides = backend:x op:*\n"
                           "requires = cpu\nautoload = no # end\n";
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text = seed;
    for (uint64_t edits = next() >> 33 & 3; edits-- > 0;) {
      text[(next() >> 33) % text.size()] = static_cast<char>(next() >> 33);
    }
    text.resize(text.size() - ((next() >> 33) & 7));
    accepted += refusal(text) == "accepted";
  }
  CHECK(accepted > 100);
  CHECK(accepted < 20000);
}

TEST_CASE("manifest: a file of more than 64 KiB is not read") {
  const Folder folder;
  folder.write("big.ctnplugin", std::string(70000, '#'));
  CHECK_THROWS_WITH(
      read_manifest(folder.file("big.ctnplugin")),
      ("manifest " + folder.file("big.ctnplugin") + ": 70000 bytes, at most 65536 are allowed")
          .c_str());
}

TEST_CASE("search: order of directories, hidden names, broken files") {
  const Folder first, second;
  first.add("beta", "good");
  first.add("alpha", "good");
  second.add("beta", "twice");
  second.add("gamma", "twice");
  second.write("broken.ctnplugin", "what is this");
  second.write("other.txt", "no manifest");
  const SearchResult found = search_plugins({first.path(), second.path()}, false);
  CHECK(names(found) == std::vector<std::string>{"alpha", "beta", "gamma"});
  CHECK(found.manifests[1].file == first.file("beta.ctnplugin"));
  CHECK(remark(found, second.file("beta.ctnplugin")) ==
        "hidden by " + first.file("beta.ctnplugin"));
  CHECK(remark(found, second.file("broken.ctnplugin")) ==
        "manifest " + second.file("broken.ctnplugin") + ":1: expected 'key = value'");
  CHECK(remark(found, second.file("other.txt")).empty());
}

TEST_CASE("search: directories that are not searched") {
  const Folder open;
  open.add("open", "good");
  std::filesystem::permissions(open.path(), std::filesystem::perms::all);
  const SearchResult found = search_plugins({open.path(), "/no/such/place", "relative"}, false);
  CHECK(names(found).empty());
  CHECK(remark(found, open.path()) == "not searched: anybody may write to it");
  CHECK(remark(found, "/no/such/place") == "not searched: no such directory");
  CHECK(remark(found, "relative") == "not searched: the path is not absolute");
}

TEST_CASE("search: CATENA_PLUGIN_PATH and CATENA_PLUGINS, unless the environment is off") {
  const Folder own, by_path;
  own.add("own", "good");
  own.add("third", "twice");
  by_path.add("by_path", "twice");
  const Variable path("CATENA_PLUGIN_PATH", by_path.path() + "::");
  const std::vector<std::string> dirs = {own.path()};
  CHECK(names(search_plugins(dirs, false)) == std::vector<std::string>{"own", "third"});
  CHECK(names(search_plugins(dirs, true)) == std::vector<std::string>{"own", "third", "by_path"});
  {
    const Variable rule("CATENA_PLUGINS", "-third");
    const SearchResult found = search_plugins(dirs, true);
    CHECK(names(found) == std::vector<std::string>{"own", "by_path"});
    CHECK(remark(found, own.file("third.ctnplugin")) == "excluded by CATENA_PLUGINS");
    CHECK(names(search_plugins(dirs, false)) == std::vector<std::string>{"own", "third"});
  }
  const Variable rule("CATENA_PLUGINS", "none");
  CHECK(names(search_plugins(dirs, true)).empty());
}

TEST_CASE("search: the rule of CATENA_PLUGINS") {
  CHECK(is_allowed("", "cpu"));
  CHECK(is_allowed("  ", "cpu"));
  CHECK(!is_allowed("none", "cpu"));
  CHECK(!is_allowed("none", "none"));
  CHECK(is_allowed("cpu, functions", "functions"));
  CHECK(!is_allowed("cpu, functions", "cuda"));
  CHECK(!is_allowed("-cuda", "cuda"));
  CHECK(is_allowed("-cuda,-mpi", "cpu"));
  CHECK(!is_allowed("cpu,cuda,-cuda", "cuda"));
  CHECK(is_allowed("cpu,cuda,-cuda", "cpu"));
}

TEST_CASE("search: '::' stands for the built-in directories") {
  const std::vector<std::string> built_in = {"/x", "/y"};
  using List = std::vector<std::string>;
  CHECK(expand_path("/a:/b", built_in) == List{"/a", "/b"});
  CHECK(expand_path("/a::/b", built_in) == List{"/a", "/x", "/y", "/b"});
  CHECK(expand_path("::/b", built_in) == List{"/x", "/y", "/b"});
  CHECK(expand_path("/a::", built_in) == List{"/a", "/x", "/y"});
  CHECK(expand_path("::", built_in) == List{"/x", "/y"});
  CHECK(expand_path("/a:", built_in) == List{"/a"});
}
