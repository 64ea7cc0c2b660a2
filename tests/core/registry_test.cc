// The registry: what a transaction publishes and what it takes back, deep copies, kernels and
// backends in any order, reading while somebody writes.
#include "core/registry.h"

#include <main.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "core/transaction.h"
#include "op_text.h"

using namespace catena;
using namespace catena_test;

namespace {

ctn_status run_nothing(void*, const ctn_run*) { return CTN_OK; }
ctn_status count_devices(void*, int32_t*, ctn_str*) { return CTN_OK; }
ctn_status alloc_memory(void*, ctn_context, int32_t, uint64_t, uint64_t, void**) { return CTN_OK; }
void free_memory(void*, ctn_context, int32_t, void*, uint64_t, uint64_t) {}
ctn_status copy_memory(void*, int32_t, void*, int32_t, const void*, uint64_t) { return CTN_OK; }
ctn_status compile_form(void*, const ctn_form*, void**) { return CTN_OK; }
ctn_status launch_form(void*, void*, const ctn_launch*, int32_t) { return CTN_OK; }
void release_form(void*, void*) {}
ctn_status sync_device(void*, int32_t) { return CTN_OK; }
ctn_status sync_context(void*, ctn_context, int32_t) { return CTN_OK; }

ctn_backend_def backend_def(std::string_view name) {
  ctn_backend_def d{};
  d.size = sizeof d;
  d.flags = CTN_BACKEND_HOST_MEMORY;
  d.name = lit(name);
  d.device_type = CTN_DEV_EXTENSION;
  d.device_count = count_devices;
  d.alloc = alloc_memory;
  d.free = free_memory;
  d.copy = copy_memory;
  return d;
}

ctn_backend_def child_def(std::string_view name, std::string_view parent) {
  ctn_backend_def d{};
  d.size = sizeof d;
  d.name = lit(name);
  d.parent = lit(parent);
  return d;
}

ctn_kernel_def kernel_def(std::string_view op, std::string_view backend, int32_t priority = 0) {
  ctn_kernel_def d{};
  d.size = sizeof d;
  d.op = lit(op);
  d.backend = lit(backend);
  d.priority = priority;
  d.run = run_nothing;
  return d;
}

template <class Def>
std::string refusal(const Def& def, ctn_status code = CTN_EINVAL) {
  Registry::Transaction t("refusing");
  try {
    t.add(&def);
  } catch (const Error& e) {
    CHECK(e.code() == code);
    return e.what();
  }
  return "accepted";
}

void add_op(Registry::Transaction& t, std::string_view name) {
  OpText op(name);
  op.in("x", "f");
  t.add(op.get());
}

std::vector<int32_t> priorities(const Op& op, const Backend& b) {
  std::vector<int32_t> out;
  const KernelList* list = op.kernels[static_cast<size_t>(b.id)].load();
  if (!list) return out;
  for (const Kernel* k : list->items) out.push_back(k->def.priority);
  return out;
}

}  // namespace

TEST_CASE("registry: published as a whole, by consecutive ids") {
  Registry& r = Registry::get();
  const int32_t before = r.op_count();
  {
    Registry::Transaction t("publishing");
    add_op(t, "published.first");
    add_op(t, "published.second");
    CHECK(r.find_op("published.first"));  // its own thread finds it
    const Op* seen = nullptr;
    std::thread([&] { seen = r.find_op("published.first"); }).join();
    CHECK(!seen);
    t.commit();
  }
  CHECK(r.op_count() == before + 2);
  const Op* op = r.find_op("published.first");
  REQUIRE(op);
  CHECK(op->id == before);
  CHECK(op->plugin == "publishing");
  CHECK(op->label == "published.first");
  CHECK(r.op(before + 1) == r.find_op("published.second"));
  CHECK(!r.op(before + 2));
  CHECK(!r.op(-1));
  CHECK(!r.find_op("published.third"));
}

TEST_CASE("registry: nothing stays of what is rolled back") {
  Registry& r = Registry::get();
  const int32_t ops = r.op_count(), backends = r.backend_count();
  const std::string json = r.json();
  {
    Registry::Transaction t("rolled_back");
    add_op(t, "rolled.back");
    const ctn_backend_def b = backend_def("rolled_back");
    t.add(&b);
    const ctn_kernel_def k = kernel_def("rolled.back", "rolled_back");
    t.add(&k);
  }
  CHECK(r.op_count() == ops);
  CHECK(r.backend_count() == backends);
  CHECK(!r.find_op("rolled.back"));
  CHECK(r.json() == json);
  Registry::Transaction again("rolled_back");
  add_op(again, "rolled.back");
  again.commit();
  CHECK(r.op(ops) == r.find_op("rolled.back"));
}

TEST_CASE("registry: definitions are copied deeply") {
  char name[] = "copied";
  char doc[] = "what it does";
  char text[] = "abc";
  int64_t numbers[] = {1, 2, 3};
  ctn_str words[] = {lit(text), lit(text)};
  ctn_value list[] = {int_value(7), ints_value({})};
  list[1].n = 3;
  list[1].u.is = numbers;
  ctn_slice slice = {1, 2, 3, 7, 0};
  ctn_value values[5] = {};
  values[0].kind = CTN_STR, values[0].n = 3, values[0].u.s = text;
  values[1].kind = CTN_INTS, values[1].n = 3, values[1].u.is = numbers;
  values[2].kind = CTN_STRS, values[2].n = 2, values[2].u.ss = words;
  values[3].kind = CTN_LIST, values[3].n = 2, values[3].u.list = list;
  values[4].kind = CTN_SLICE, values[4].u.slice = &slice;
  {
    auto op = std::make_unique<OpText>(name);
    op->def.doc = lit(doc);
    op->in("x", "f");
    const char* const names[] = {"a", "b", "c", "d", "e"};
    for (int i = 0; i < 5; ++i) op->attr(names[i], CTN_KIND_BIT(values[i].kind), values[i]);
    Registry::Transaction t("copying");
    t.add(op->get());
    t.commit();
  }
  std::memset(name, '?', sizeof name - 1);
  std::memset(doc, '?', sizeof doc - 1);
  std::memset(text, '?', sizeof text - 1);
  std::memset(numbers, 0, sizeof numbers);
  slice = {};
  std::memset(static_cast<void*>(list), 0xff, sizeof list);
  std::memset(static_cast<void*>(words), 0xff, sizeof words);

  const Op* op = Registry::get().find_op("copied");
  REQUIRE(op);
  CHECK(op->doc == "what it does");
  CHECK(view(op->def.doc) == "what it does");
  CHECK(!op->def.attrs);
  const ctn_value& s = op->attrs[0].fallback;
  CHECK(std::string_view(s.u.s, s.n) == "abc");
  CHECK(op->attrs[1].fallback.u.is[2] == 3);
  CHECK(view(op->attrs[2].fallback.u.ss[1]) == "abc");
  CHECK(op->attrs[3].fallback.u.list[0].u.i == 7);
  CHECK(op->attrs[3].fallback.u.list[1].u.is[1] == 2);
  CHECK(op->attrs[4].fallback.u.slice->stop == 2);
}

TEST_CASE("registry: a name is taken once, whoever comes") {
  {
    Registry::Transaction t("owner");
    add_op(t, "taken");
    CHECK_THROWS_WITH(add_op(t, "taken"), "op taken is registered already, by plugin owner");
    t.commit();
  }
  Registry::Transaction t("thief");
  CHECK_THROWS_WITH(add_op(t, "taken"), "op taken is registered already, by plugin owner");
  ctn_initializer_def init{};
  init.size = sizeof init;
  init.name = lit("Taken");
  init.fill = [](void*, ctn_array, const ctn_value*) -> ctn_status { return CTN_OK; };
  t.add(&init);
  CHECK_THROWS_WITH(t.add(&init), "initializer Taken is registered already, by plugin thief");
}

TEST_CASE("registry: kernels and ops come in any order; lists are sorted and inherited") {
  Registry& r = Registry::get();
  {
    Registry::Transaction t("kernels_first");
    for (const int32_t priority : {10, 30, 20}) {
      const ctn_kernel_def k = kernel_def("late.op", "late_base", priority);
      t.add(&k);
    }
    const ctn_kernel_def of_child = kernel_def("late.op", "late_child", 5);
    t.add(&of_child);
    t.commit();
  }
  CHECK(r.idle_kernels().find("plugin kernels_first: idle: kernels that no call comes to: "
                              "late.op for late_base (no such op), ") != std::string::npos);
  {
    Registry::Transaction t("backend_second");
    ctn_backend_def b = backend_def("late_base");
    t.add(&b);
    t.commit();
  }
  {
    Registry::Transaction t("op_third");
    add_op(t, "late.op");
    t.commit();
  }
  CHECK(
      r.idle_kernels().find("idle: kernels that no call comes to: late.op for late_child (no such "
                            "backend)\n") != std::string::npos);
  const Op& op = *r.find_op("late.op");
  const Backend& base = *r.find_backend("late_base");
  CHECK(priorities(op, base) == std::vector<int32_t>{30, 20, 10});
  const KernelList* list = op.kernels[static_cast<size_t>(base.id)].load();
  CHECK(list->items[0]->backend == &base);
  {
    Registry::Transaction t("child_last");
    const ctn_backend_def c = child_def("late_child", "late_base");
    t.add(&c);
    t.commit();
  }
  const Backend& child = *r.find_backend("late_child");
  CHECK(priorities(op, child) == std::vector<int32_t>{5, 30, 20, 10});
  CHECK(op.kernels[static_cast<size_t>(base.id)].load() == list);  // unchanged: not replaced
  {
    Registry::Transaction t("another");
    const ctn_kernel_def same = kernel_def("late.op", "late_base", 20);
    CHECK_THROWS_WITH(t.add(&same),
                      "plugins kernels_first and another both have a kernel of late.op for "
                      "late_base with priority 20");
    const ctn_kernel_def best = kernel_def("late.op", "late_base", 99);
    t.add(&best);
    t.commit();
  }
  CHECK(priorities(op, base) == std::vector<int32_t>{99, 30, 20, 10});
  CHECK(priorities(op, child) == std::vector<int32_t>{5, 99, 30, 20, 10});
}

TEST_CASE("registry: a plugin's kernels of one priority keep their order; dtypes become a mask") {
  const ctn_dtype half = dtype_of(CTN_FLOAT16),
                  floats[] = {dtype_of(CTN_FLOAT32), dtype_of(CTN_FLOAT64)};
  {
    Registry::Transaction t("two_kernels");
    add_op(t, "two.kernels");
    const ctn_backend_def b = backend_def("two_kernels");
    t.add(&b);
    ctn_kernel_def k = kernel_def("two.kernels", "two_kernels");
    k.dtypes = &half;
    k.n_dtypes = 1;
    t.add(&k);
    k.dtypes = floats;
    k.n_dtypes = 2;
    t.add(&k);
    t.commit();
  }
  const Registry& r = Registry::get();
  const auto id = static_cast<size_t>(r.find_backend("two_kernels")->id);
  const KernelList* list = r.find_op("two.kernels")->kernels[id].load();
  REQUIRE(list->items.size() == 2);
  CHECK(list->items[0]->dtypes == 1u << CTN_FLOAT16);
  CHECK(list->items[1]->dtypes == (1u << CTN_FLOAT32 | 1u << CTN_FLOAT64));
}

TEST_CASE("registry: backends inherit whole groups, with the self that belongs to them") {
  Registry::Transaction t("inheriting");
  int base_self = 0, child_self = 0;
  ctn_backend_def base = backend_def("inherit_base");
  base.self = &base_self;
  base.compile = compile_form;
  base.launch = launch_form;
  base.release = release_form;
  t.add(&base);
  ctn_backend_def child = child_def("inherit_child", "inherit_base");
  child.self = &child_self;
  child.sync = sync_device;
  child.sync_context = sync_context;
  t.add(&child);
  ctn_backend_def grandchild = child_def("inherit_grandchild", "inherit_child");
  grandchild.device_count = count_devices;
  t.add(&grandchild);
  t.commit();

  const Registry& r = Registry::get();
  const Backend& a = *r.find_backend("inherit_base");
  const Backend& b = *r.find_backend("inherit_child");
  const Backend& c = *r.find_backend("inherit_grandchild");
  CHECK(c.parent == &b);
  CHECK((b.def.alloc == alloc_memory));
  CHECK(b.def.device_type == CTN_DEV_EXTENSION);
  CHECK((b.def.flags & CTN_BACKEND_HOST_MEMORY) != 0);
  CHECK(c.memory_owner == &a);
  CHECK(c.compile_owner->def.self == &base_self);
  CHECK(c.stream_owner->def.self == &child_self);
  CHECK((c.def.sync_context == sync_context));
  CHECK(c.device_owner == &c);
  CHECK(!a.stream_owner);
}

namespace {
ctn_status find_blocks(void*, uint64_t, int32_t*, int64_t*) { return CTN_OK; }
ctn_status find_bytes(void*, const ctn_dltensor*, uint64_t, uint64_t*) { return CTN_OK; }
void* find_native(void*, ctn_stream) { return nullptr; }
ctn_status begin_capture(void*, int32_t) { return CTN_OK; }
ctn_status end_capture(void*, int32_t, void**) { return CTN_OK; }
ctn_status use_capture(void*, int32_t, void*) { return CTN_OK; }
void free_capture(void*, int32_t, void*) {}
}  // namespace

TEST_CASE("registry: backends that cannot work are refused") {
  ctn_backend_def d = backend_def("partial");
  d.copy = nullptr;
  CHECK(refusal(d) ==
        "backend partial: alloc, free and copy come together: some are NULL, some are not");
  d = child_def("orphan", "");
  d.device_type = CTN_DEV_CPU;
  CHECK(refusal(d) ==
        "backend orphan: without a parent, device_count, alloc, free and copy are required");
  d = child_def("orphan", "nobody");
  CHECK(refusal(d, CTN_ENOTFOUND).find("its parent nobody is not registered") != std::string::npos);
  d = backend_def("typeless");
  d.device_type = 0;
  CHECK(refusal(d) == "backend typeless: device_type is 0");
  struct Row {
    const char* why;
    void (*spoil)(ctn_backend_def&);
  };
  const Row rows[] = {
      {"CTN_BACKEND_ASYNC without sync", [](auto& b) { b.flags |= CTN_BACKEND_ASYNC; }},
      {"sync_context without sync", [](auto& b) { b.sync_context = sync_context; }},
      {"flags are 1073741824, of which 1073741824 are unknown",
       [](auto& b) { b.flags = 1u << 30; }},
      {"device_type is negative", [](auto& b) { b.device_type = -1; }},
      {"no configuration key 'use_nothing' takes 'never'",
       [](auto& b) { b.config_key = lit("use_nothing"); }},
      {"no configuration key 'train' takes 'never'", [](auto& b) { b.config_key = lit("train"); }},
      {"config_key without a parent", [](auto& b) { b.config_key = lit("use_ideep"); }},
      {"layout_blocks without layout_bytes", [](auto& b) { b.layout_blocks = find_blocks; }},
      {"layout_bytes and reorder come together: some are NULL, some are not",
       [](auto& b) { b.layout_bytes = find_bytes; }},
      {"stream_native without stream_open", [](auto& b) { b.stream_native = find_native; }},
      {"captures without sync",
       [](auto& b) {
         b.capture_begin = begin_capture;
         b.capture_end = end_capture;
         b.capture_replay = use_capture;
         b.capture_free = free_capture;
       }},
  };
  for (const Row& row : rows) {
    d = backend_def("odd");
    row.spoil(d);
    CHECK(refusal(d) == std::string("backend odd: ") + row.why);
  }
  for (const char* name : {"", "A", "a-b", "../a", "a:0", "abcdefghijklmnopqrstuvwxyz0123456789"}) {
    CHECK(refusal(backend_def(name)).find("backend name") == 0);
  }
  const auto there = static_cast<size_t>(Registry::get().backend_count());
  Registry::Transaction t("many");
  std::vector<std::string> names;
  for (int i = 0; i < kMaxBackends; ++i) names.push_back("many" + std::to_string(i));
  size_t added = 0;
  try {
    for (; added < names.size(); ++added) {
      const ctn_backend_def b = backend_def(names[added]);
      t.add(&b);
    }
    CHECK(false);
  } catch (const Error& e) {
    CHECK(e.code() == CTN_EUNSUPPORTED);
  }
  CHECK(added == names.size() - there);
}

TEST_CASE("registry: kernels that cannot work are refused") {
  ctn_kernel_def k = kernel_def("any", "any");
  k.run = nullptr;
  CHECK(refusal(k) == "kernel of any for any: run is NULL");
  k = kernel_def("any", "any");
  k.flags = CTN_KERNEL_LAYOUT;
  CHECK(refusal(k) == "kernel of any for any: CTN_KERNEL_LAYOUT without plan");
  k = kernel_def("any", "any");
  k.absorb = [](void*, const ctn_call_info*, const ctn_follower*, int32_t*) -> ctn_status {
    return CTN_OK;
  };
  CHECK(refusal(k) == "kernel of any for any: absorb without plan");
  k = kernel_def("any", "any");
  k.drop = [](void*, void*) {};
  CHECK(refusal(k) == "kernel of any for any: drop without plan");
  k = kernel_def("any", "any");
  k.n_dtypes = 1;
  CHECK(refusal(k) == "kernel of any for any: dtypes: 1 of them, but the array is NULL");
  const ctn_dtype odd = {CTN_DT_INT, 24, 1};
  k.dtypes = &odd;
  CHECK(refusal(k) == "kernel of any for any: entry 0 of dtypes is no known dtype");
  k.n_dtypes = -1;
  CHECK(refusal(k).find("-1 of them") != std::string::npos);
  CHECK(refusal(kernel_def("A", "any")).find("op of a kernel 'A'") == 0);
  {
    Registry::Transaction t("expressions");
    ProductText op("odd.expression");
    t.add(op.get());
    t.commit();
  }
  CHECK(
      refusal(kernel_def("odd.expression", "any")) ==
      "kernel of odd.expression for any: no call would come to it: the op is an expression, which "
      "backends compile");
}

TEST_CASE("registry: registration belongs to the running init") {
  OpText op("outside");
  op.in("x", "f");
  const auto outside = [&](ctn_plugin p) {
    try {
      register_in(p, op.get());
    } catch (const Error& e) {
      return e.code();
    }
    return ctn_status{CTN_OK};
  };
  CHECK(outside(nullptr) == CTN_EINVAL);
  ctn_plugin stale = nullptr;
  {
    Registry::Transaction t("inside");
    stale = t.handle();
    CHECK(Registry::Transaction::running());
    CHECK(outside(nullptr) == CTN_EINVAL);
    ctn_status elsewhere = CTN_OK;
    std::thread([&] { elsewhere = outside(stale); }).join();
    CHECK(elsewhere == CTN_EINVAL);
    CHECK(outside(stale) == CTN_OK);
    CHECK_THROWS_AS(Registry::Transaction("nested"), Error);
    t.commit();
    CHECK(outside(stale) == CTN_EINVAL);
  }
  CHECK(!Registry::Transaction::running());
  CHECK(outside(stale) == CTN_EINVAL);
  CHECK(Registry::get().find_op("outside"));
}

TEST_CASE("registry: readers never wait and see whole tables while plugins register") {
  std::atomic<bool> stop = false;
  std::atomic<int64_t> looked = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      const Registry& r = Registry::get();
      while (!stop.load(std::memory_order_relaxed)) {
        const int32_t n = r.op_count();
        for (int32_t id = 0; id < n; ++id) {
          const Op* op = r.op(id);
          if (!op || op->id != id || r.find_op(op->name) != op) std::abort();
          for (const auto& slot : op->kernels) {
            const KernelList* list = slot.load(std::memory_order_acquire);
            if (list && !list->items.front()->backend) std::abort();
          }
        }
        looked += n;
      }
    });
  }
  const ctn_backend_def b = backend_def("racing");
  for (int i = 0; i < 50; ++i) {
    Registry::Transaction t("racing" + std::to_string(i));
    const std::string name = "racing.op" + std::to_string(i);
    add_op(t, name);
    if (i == 25) t.add(&b);
    const ctn_kernel_def k = kernel_def(name, "racing", i);
    t.add(&k);
    if (i % 5 != 4) t.commit();
    // On a busy machine readers may come late: none of the registrations shall pass them by.
    const int64_t before = looked.load();
    while (looked.load() == before) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& t : readers) t.join();
  CHECK(Registry::get().find_op("racing.op48"));
  CHECK(!Registry::get().find_op("racing.op49"));
}
