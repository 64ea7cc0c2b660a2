// A save is whole or has not happened: every file call and allocation failing in turn, power loss
// replayed in memory, and processes killed while they save.
#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <random>

#include "core/npz_support.h"
#include "core/sys/io_posix.h"

using namespace catena;
using namespace catena_test;

namespace {

// An archive that says in every element which one it is.
void save(const ctn_io& io, const std::string& path, int64_t version, size_t elements, int level,
          const ctn_allocator* allocator = nullptr) {
  const std::vector<int64_t> data(elements, version);
  const int64_t shape[] = {static_cast<int64_t>(elements)};
  NpzWriter writer(io, path, level, allocator);
  for (const char* name : {"a", "b", "c"}) {
    writer.add(name, {CTN_DT_INT, 64, 1}, shape, data.data());
  }
  writer.add_none("none");
  writer.finish();
}

// The version in the file; -1 when members disagree. Throws for a torn file.
int64_t version_of(const ctn_io& io, const std::string& path,
                   const ctn_allocator* allocator = nullptr) {
  NpzReader reader(io, path, {}, allocator);
  int64_t version = -2;
  for (size_t i = 0; i < reader.members().size(); ++i) {
    if (reader.members()[i].info.none) continue;
    std::vector<int64_t> data(reader.members()[i].info.count);
    reader.read(i, data.data(), data.size() * sizeof(int64_t));
    for (const int64_t v : data) {
      if (version == -2) version = v;
      if (v != version) return -1;
    }
  }
  return version;
}

class TempDir {
 public:
  TempDir() {
    const std::filesystem::path base = std::filesystem::temp_directory_path() / "catena-npz-XXXXXX";
    path_ = base.string();
    if (::mkdtemp(path_.data()) == nullptr) FAIL("no temporary directory");
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  size_t count() const {
    size_t n = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(path_)) ++n;
    return n;
  }

 private:
  std::string path_;
};

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// Counts and fails allocations; frees must give back what was asked for.
struct Heap {
  uint64_t calls = 0;
  uint64_t fail_from = 0;
  bool once = false;
  int64_t live = 0;

  static void* CTN_CALL alloc(void* user, uint64_t bytes, uint64_t align) {
    auto* h = static_cast<Heap*>(user);
    ++h->calls;
    const bool fails = h->once ? h->calls == h->fail_from : h->calls >= h->fail_from;
    if (h->fail_from != 0 && fails) return nullptr;
    h->live += static_cast<int64_t>(bytes);
    return std::aligned_alloc(align, (bytes + align - 1) / align * align);
  }
  static void CTN_CALL release(void* user, void* p, uint64_t bytes, uint64_t) {
    static_cast<Heap*>(user)->live -= static_cast<int64_t>(bytes);
    std::free(p);
  }
  ctn_allocator table() { return {sizeof(ctn_allocator), 0, this, alloc, release}; }
};

}  // namespace

TEST_CASE("save: every file call fails in turn, once and from there on") {
  for (const bool on : {false, true}) {
    for (const int level : {0, 6}) {
      bool done = false;
      uint64_t failures = 0;
      for (uint64_t k = 1; !done; ++k) {
        INFO("call " << k << " level " << level << " on " << on);
        MemoryIo memory;
        save(memory.io(), "f.npz", 1, 30'000, level);
        memory.fail_at(k, on);
        ctn_status status = CTN_OK;
        std::string text;
        try {
          save(memory.io(), "f.npz", 2, 30'000, level);
        } catch (const Error& e) {
          status = e.code();
          text = e.what();
        }
        done = memory.calls() < k;
        memory.fail_at(0);
        CHECK(memory.open_handles() == 0);
        if (status == CTN_OK) {
          CHECK(done);
          CHECK(version_of(memory.io(), "f.npz") == 2);
        } else {
          ++failures;
          CHECK(status == CTN_EIO);
          // Only when the directory's sync fails is the new file there already, and it says so.
          const bool placed = text.find("the new file is in place") != std::string::npos;
          CHECK(version_of(memory.io(), "f.npz") == (placed ? 2 : 1));
        }
        // A lasting failure also keeps the temporary file from being removed.
        if (!on) CHECK(memory.files() == 1);
      }
      CHECK(failures >= (level == 0 ? 12 : 6));
    }
  }
}

TEST_CASE("load: every file call fails in turn") {
  MemoryIo memory;
  save(memory.io(), "f.npz", 5, 30'000, 6);
  bool done = false;
  for (uint64_t k = 1; !done; ++k) {
    memory.fail_at(k);
    int64_t version = 0;
    try {
      version = version_of(memory.io(), "f.npz");
    } catch (const Error& e) {
      CHECK(e.code() == CTN_EIO);
    }
    // The last call closes, which may fail in silence: nothing was written.
    CHECK((version == 0 || version == 5));
    done = memory.calls() < k;
    CHECK(memory.open_handles() == 0);
  }
}

TEST_CASE("save and load: every allocation fails in turn") {
  for (const bool once : {false, true}) {
    uint64_t failures = 0;
    bool done = false;
    for (uint64_t k = 1; !done; ++k) {
      MemoryIo memory;
      save(memory.io(), "f.npz", 1, 1000, 6);
      Heap heap{0, k, once, 0};
      const ctn_allocator table = heap.table();
      bool failed = false;
      bool saved = false;
      try {
        save(memory.io(), "f.npz", 2, 1000, 6, &table);
        saved = true;
        const int64_t version = version_of(memory.io(), "f.npz", &table);
        CHECK(version == 2);
      } catch (const Error& e) {
        failed = true;
        CHECK(e.code() == CTN_ENOMEM);
      }
      failures += failed;
      CHECK(heap.live == 0);
      CHECK(memory.files() == 1);
      CHECK(memory.open_handles() == 0);
      CHECK(version_of(memory.io(), "f.npz") == (saved ? 2 : 1));
      done = heap.calls < k;
    }
    CHECK(failures >= 8);
  }
}

TEST_CASE("save: a writer that failed is dead at once") {
  MemoryIo memory;
  Heap heap{0, 3, false, 0};  // the file buffer and zlib's output, but not zlib's state
  const ctn_allocator table = heap.table();
  NpzWriter writer(memory.io(), "f.npz", 6, &table);
  CHECK(memory.files() == 1);
  const auto code = [](auto call) {
    try {
      call();
      return ctn_status{CTN_OK};
    } catch (const Error& e) {
      return e.code();
    }
  };
  CHECK(code([&] { writer.add_none("a"); }) == CTN_ENOMEM);
  CHECK(memory.files() == 0);
  heap.fail_from = 0;
  CHECK(code([&] { writer.add_none("b"); }) == CTN_EINVAL);
  CHECK(code([&] { writer.finish(); }) == CTN_EINVAL);
  CHECK(memory.files() == 0);
}

TEST_CASE("save: power loss at any call leaves the old or the new file") {
  std::mt19937_64 random(11);
  int old_files = 0;
  int new_files = 0;
  for (int round = 0; round < 10'000; ++round) {
    MemoryIo memory;
    save(memory.io(), "f.npz", 1, 100, 0);
    memory.fail_at(1 + random() % 9, true);
    try {
      save(memory.io(), "f.npz", 2, 100, 0);
    } catch (const Error& e) {
      CHECK(e.code() == CTN_EIO);
    }
    memory.fail_at(0);
    memory.lose_power(random);
    REQUIRE(memory.has("f.npz"));
    const int64_t version = version_of(memory.io(), "f.npz");
    CHECK((version == 1 || version == 2));
    ++(version == 1 ? old_files : new_files);
  }
  CHECK(old_files > 1000);
  CHECK(new_files > 100);
}

TEST_CASE("save: an unfinished writer leaves nothing") {
  const TempDir dir;
  const std::string path = dir.file("f.npz");
  { NpzWriter writer(posix_io(), path); }
  CHECK(dir.count() == 0);
  save(posix_io(), path, 1, 10, 6);
  {
    NpzWriter writer(posix_io(), path);
    writer.add_none("x");
    CHECK(dir.count() == 2);
  }
  CHECK(dir.count() == 1);
  CHECK(version_of(posix_io(), path) == 1);
}

TEST_CASE("save: temporary files of the dead go, those of the living stay") {
  const TempDir dir;
  const std::string path = dir.file("f.npz");
  // Dead: made by nobody who still holds its lock, be its pid ours, init's or nobody's.
  const std::string pid = std::to_string(::getpid());
  const std::string dead[] = {path + ".tmp-1-0123456789abcdef",
                              path + ".tmp-99999999-0123456789abcdef",
                              path + ".tmp-" + pid + "-0123456789abcdef"};
  const std::string others[] = {
      path + ".tmp-1-0123456789abcde",          path + ".tmp-1-0123456789ABCDEF",
      path + ".tmp-0-0123456789abcdef",         path + ".tmp--0123456789abcdef",
      dir.file("g.npz.tmp-1-0123456789abcdef"), path + ".bak"};
  for (const std::string& p : dead) write_file(p, "half");
  for (const std::string& p : others) write_file(p, "other");
  NpzWriter living(posix_io(), path);
  CHECK(dir.count() == std::size(others) + 1);
  save(posix_io(), path, 3, 10, 6);  // meanwhile another save of the same file
  CHECK(dir.count() == std::size(others) + 2);
  for (const std::string& p : others) CHECK(std::filesystem::exists(p));
  living.add_none("later");
  living.finish();
  CHECK(dir.count() == std::size(others) + 1);
  CHECK(NpzReader(posix_io(), path).members()[0].name == "later");
}

TEST_CASE("posix io: what is no regular file") {
  const TempDir dir;
  const auto code = [](const std::string& path) {
    void* handle = nullptr;
    const ctn_status status = posix_io().open(nullptr, {path.data(), path.size()}, 'r', &handle);
    if (status == CTN_OK) (void)posix_io().close(nullptr, handle);
    return status;
  };
  REQUIRE(::mkfifo(dir.file("fifo").c_str(), 0600) == 0);
  CHECK(code(dir.file("fifo")) == CTN_EIO);  // at once, though nobody writes to it
  CHECK(code(dir.file(".")) == CTN_EIO);
  CHECK(posix_io_reason() == "Is a directory");
  CHECK(code(dir.file("none")) == CTN_ENOTFOUND);
  CHECK(code("") == CTN_ENOTFOUND);
  CHECK(code(std::string("a\0b", 3)) == CTN_EINVAL);
  CHECK(code(std::string(5000, 'x')) == CTN_EIO);

  void* handle = nullptr;
  const std::string path = dir.file("new");
  const ctn_str p = {path.data(), path.size()};
  REQUIRE(posix_io().open(nullptr, p, 'x', &handle) == CTN_OK);
  CHECK((::fcntl(static_cast<int>(reinterpret_cast<intptr_t>(handle) - 1), F_GETFD) & FD_CLOEXEC) !=
        0);
  CHECK(posix_io().write(nullptr, handle, "abc", 3) == CTN_OK);
  CHECK(posix_io().close(nullptr, handle) == CTN_OK);
  CHECK(posix_io().open(nullptr, p, 'x', &handle) == CTN_EIO);
  CHECK(posix_io().open(nullptr, p, 'w', &handle) == CTN_EINVAL);
  REQUIRE(posix_io().open(nullptr, p, 'r', &handle) == CTN_OK);
  char got[8] = "";
  uint64_t n = 0;
  CHECK(posix_io().read(nullptr, handle, 1, got, sizeof got, &n) == CTN_OK);
  CHECK(n == 2);
  CHECK(std::string(got, 2) == "bc");
  CHECK(posix_io().read(nullptr, handle, UINT64_MAX, got, sizeof got, &n) == CTN_OK);
  CHECK(n == 0);
  CHECK(posix_io().write(nullptr, handle, "x", 1) == CTN_EIO);  // read-only
  CHECK(posix_io().close(nullptr, handle) == CTN_OK);
  CHECK_THROWS_AS(NpzWriter(posix_io(), dir.file("no/such/dir")), Error);
}

namespace {

constexpr size_t kElements = 20'000;

// What a careless program does: the old file is gone before the new one is there. Two archives made
// beforehand take turns, so that nearly all of its time goes to writing.
class NaiveSaver {
 public:
  NaiveSaver() {
    for (int64_t v = 0; v < 2; ++v) {
      MemoryIo memory;
      ::save(memory.io(), "f", v, kElements, 0);
      bytes_[v] = memory.get("f");
    }
  }
  void save(const std::string& path, int64_t version) const {
    const std::string& bytes = bytes_[version % 2];
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (size_t at = 0; fd >= 0 && at < bytes.size(); at += 4096) {
      if (::write(fd, bytes.data() + at, std::min<size_t>(4096, bytes.size() - at)) < 0) break;
    }
    ::close(fd);
  }

 private:
  std::string bytes_[2];
};

struct KillResult {
  int torn = 0;
  int lost = 0;
  int progressed = 0;
};

void sleep_us(long us) {
  const timespec time = {0, us * 1000};
  ::nanosleep(&time, nullptr);
}

// `kills` times: a child saves version after version, says which ones are done, and is killed at a
// random moment; then the file must hold the last one done or the one in the making.
KillResult kill_savers(const std::string& path, int kills, bool naive) {
  auto* done = static_cast<std::atomic<int64_t>*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(done != MAP_FAILED);
  const NaiveSaver naive_saver;
  std::mt19937_64 random(3);
  KillResult result;
  save(posix_io(), path, 0, kElements, 0);
  int64_t version = 0;
  for (int i = 0; i < kills; ++i) {
    done->store(version);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      for (int64_t v = version + 1;; ++v) {
        try {
          naive ? naive_saver.save(path, v) : save(posix_io(), path, v, kElements, 0);
        } catch (...) {
          ::_exit(1);
        }
        done->store(v);
      }
    }
    // Every other child first gets one save done, however slow the disk is, at most 20 s.
    for (int wait = 0; i % 2 == 0 && done->load() == version && wait < 100'000; ++wait)
      sleep_us(200);
    sleep_us(static_cast<long>(500 + random() % 20'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    const int64_t sure = done->load();
    result.progressed += sure > version;
    int64_t now = -1;
    try {
      now = version_of(posix_io(), path);
    } catch (const Error&) {
    }
    if (now < 0) ++result.torn;
    if (now >= 0 && now != sure && now != sure + 1) ++result.lost;
    version = now < 0 ? sure + 1 : now;
  }
  ::munmap(done, 4096);
  return result;
}

}  // namespace

TEST_CASE("save: killed at random moments") {
  const TempDir dir;
  const std::string path = dir.file("f.npz");
  const KillResult r = kill_savers(path, 200, false);
  CHECK(r.torn == 0);
  CHECK(r.lost == 0);
  CHECK(r.progressed >= 100);
  save(posix_io(), path, 1, 10, 6);
  CHECK(dir.count() == 1);  // no orphan survives the next save

  // The same with a writer in place: were nothing torn here, the check above would prove nothing.
  const KillResult control = kill_savers(dir.file("naive.npz"), 40, true);
  CHECK(control.torn > 0);
  MESSAGE("killed 200: torn " << r.torn << ", lost " << r.lost << ", saves seen " << r.progressed
                              << "; in-place control: torn " << control.torn << " of 40");
}
