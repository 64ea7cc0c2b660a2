// See native.h.
#include <cuda/native.h>

#include <algorithm>

namespace catena::cuda {
namespace {

constexpr int64_t kMostBlocks = int64_t{1} << 20;
constexpr size_t kMostName = 128;

std::string_view template_of(std::string_view function) {
  return function.substr(0, function.find('<'));
}

// What is no sample would be tried by no test that has NVRTC.
bool has_sample(const Text& text, std::string_view function) {
  for (const Sample* s = text.samples; s->function; ++s)
    if (template_of(s->function) == template_of(function)) return true;
  return false;
}

}  // namespace

std::string native_source(const Text& text, std::span<const Entry> entries) {
  std::string to = std::string(kPreludeTypes) + kPreludeArithmetic + kPreludeMath;
  to += "enum { kThreads = " + std::to_string(kThreads) + " };\n";
  for (const char* const* part : text.parts)
    if (part) to += *part;
  for (size_t k = 0; k < entries.size(); ++k)
    to += "extern \"C\" __global__ void entry" + std::to_string(k) + "(const " +
          entries[k].parameter + " l) { " + entries[k].function + "(l); }\n";
  return to;
}

CUfunction Native::find(Device& d, std::string_view function, Arguments arguments,
                        const char* parameter) {
  char text[kMostName];
  size_t n = 0;
  const auto add = [&](std::string_view part) {
    if (part.size() > kMostName - n)
      sdk::fail(CTN_EINTERNAL, "cuda: a kernel's name is too long: ", function);
    n += part.copy(text + n, part.size());
  };
  add(function);
  for (const std::string_view& a : arguments) {
    add(&a == arguments.begin() ? "<" : ", ");
    add(a);
  }
  if (arguments.size() != 0) add(">");
  const std::string_view name(text, n);
  const size_t slot = std::hash<std::string_view>()(name) + static_cast<size_t>(d.index);
  for (size_t k = 0; k < kProbes; ++k) {
    const Found* found = slots_[(slot + k) % kSlots].load(std::memory_order_acquire);
    if (!found) break;
    if (found->device == d.index && found->name == name) return found->function;
  }
  return load(d, name, slot, parameter);
}

CUfunction Native::load(Device& d, std::string_view name, size_t slot, const char* parameter) {
  const std::lock_guard lock(mutex_);
  const std::pair key(d.index, std::string(name));
  if (const auto at = functions_.find(key); at != functions_.end()) return at->second.function;
  if (!has_sample(text_, name))
    sdk::fail(CTN_EINTERNAL, "cuda: ", name, " is no sample of the text ", text_.name);
  const Entry entry{key.second, parameter};
  Module module(d, native_source(text_, {&entry, 1}));
  const Found found{d.index, key.second, module.find("entry0")};
  const Found& kept = functions_.emplace(key, found).first->second;
  module.keep();
  for (size_t k = 0; k < kProbes; ++k) {
    auto& free = slots_[(slot + k) % kSlots];
    if (free.load(std::memory_order_relaxed)) continue;
    free.store(&kept, std::memory_order_release);
    break;
  }
  return kept.function;
}

void queue(Device& d, CUfunction f, int64_t n, const void* p) {
  const int64_t blocks = (n + kThreads - 1) / kThreads;
  void* parameters[] = {const_cast<void*>(p)};
  const Current current(d);
  d.check(
      driver().cuLaunchKernel(f, static_cast<unsigned>(std::clamp<int64_t>(blocks, 1, kMostBlocks)),
                              1, 1, kThreads, 1, 1, 0, d.stream, parameters, nullptr),
      "launch");
}

const char* type_name(ctn_dtype dtype) {
  constexpr const char* kNames[] = {nullptr, "i8",  "i16", "i32", "i64", "u8",  "u16",
                                    "u32",   "u64", "f16", "f32", "f64", "bf16"};
  const char* name = kNames[sdk::dtype_index(dtype)];
  if (!name) sdk::fail(CTN_EUNSUPPORTED, "no kernel for ", sdk::dtype_name(dtype));
  return name;
}

const char* bits_name(int64_t bytes) {
  switch (bytes) {
    case 1: return "u8";
    case 2: return "u16";
    case 4: return "u32";
    case 8: return "u64";
    default: sdk::fail(CTN_EINTERNAL, "cuda: no element has ", bytes, " bytes");
  }
}

const char* index_name(ctn_dtype dtype) {
  switch (sdk::dtype_index(dtype)) {
    case CTN_INT8: return "i8";
    case CTN_INT16: return "i16";
    case CTN_INT32: return "i32";
    case CTN_INT64: return "i64";
    default: sdk::fail(CTN_EUNSUPPORTED, "no kernel for indexes of ", sdk::dtype_name(dtype));
  }
}

void fill_zero(Device& d, void* p, int64_t bytes) {
  if (bytes == 0) return;
  const Current current(d);
  d.check(driver().cuMemsetD8Async(reinterpret_cast<CUdeviceptr>(p), 0, static_cast<size_t>(bytes),
                                   d.stream),
          "fill");
}

ctn_status add_kernels(const ctn_host* host, ctn_plugin plugin,
                       std::initializer_list<KernelRow> rows) {
  for (const KernelRow& row : rows) {
    ctn_kernel_def def{};
    def.size = sizeof def;
    def.flags = row.flags;
    def.op = {row.op.data(), row.op.size()};
    def.backend = {"cuda", 4};
    def.run = row.run;
    def.supports = row.supports;
    def.plan = row.plan;
    def.drop = row.drop;
    def.priority = row.priority;
    const ctn_status status = host->add_kernel(plugin, &def);
    if (status != CTN_OK) return status;
  }
  return CTN_OK;
}

}  // namespace catena::cuda
