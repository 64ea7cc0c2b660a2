// The backend table of the cpu. Memory comes from the context's host allocator, copies are memmove,
// nothing is asynchronous.
#include <cpu/device.h>

#include <cpu/expr/code.h>
#include <cpu/expr/expr.h>
#include <cpu/isa.h>

#include <cstring>
#include <new>
#include <string>

namespace catena::cpu {

namespace {

struct Backend {
  const ctn_host* host;
};
Backend g_backend;

const ctn_host* host_of(void* self) { return static_cast<Backend*>(self)->host; }

ctn_status fail(const ctn_host* host, ctn_status code, const std::string& text) {
  return host->fail(code, __FILE__, __LINE__, {text.data(), text.size()});
}

ctn_status CTN_CALL device_count(void*, int32_t* n, ctn_str*) {
  *n = 1;
  return CTN_OK;
}

ctn_status CTN_CALL device_info(void*, int32_t, ctn_device_info* out) {
  const char* name = isa_name(isa());
  out->flags = CTN_BACKEND_HOST_MEMORY | CTN_BACKEND_FORK_SAFE;
  out->name = {name, std::strlen(name)};
  out->mem_total = out->mem_free = 0;
  return CTN_OK;
}

ctn_status CTN_CALL alloc(void* self, ctn_context ctx, int32_t, uint64_t bytes, uint64_t align,
                          void** out) {
  const ctn_host* host = host_of(self);
  *out = host->host_alloc(ctx, bytes, align);
  if (*out != nullptr) return CTN_OK;
  return fail(host, CTN_ENOMEM, "cpu: no memory for " + std::to_string(bytes) + " bytes");
}

void CTN_CALL release_memory(void* self, ctn_context ctx, int32_t, void* p, uint64_t bytes,
                             uint64_t align) {
  host_of(self)->host_free(ctx, p, bytes, align);
}

ctn_status CTN_CALL copy(void*, int32_t, void* dst, int32_t, const void* src, uint64_t bytes) {
  if (bytes != 0) std::memmove(dst, src, bytes);
  return CTN_OK;
}

ctn_status CTN_CALL sync(void*, int32_t) { return CTN_OK; }

ctn_status CTN_CALL compile(void* self, const ctn_form* form, void** program) {
  const ctn_host* host = host_of(self);
  try {
    *program = compile_program(host, loops_of(isa()), *form).release();
    return CTN_OK;
  } catch (const Declined& declined) {
    return fail(host, CTN_EUNSUPPORTED,
                std::string("cpu: ") + declined.why + " " + std::to_string(declined.op));
  } catch (const std::bad_alloc&) {
    return fail(host, CTN_ENOMEM, "cpu: no memory to compile an expression");
  } catch (const std::exception& e) {
    return fail(host, CTN_EINTERNAL, std::string("cpu: compiling an expression: ") + e.what());
  }
}

ctn_status CTN_CALL launch(void*, void* program, const ctn_launch* launches, int32_t n) {
  return launch_program(*static_cast<const Program*>(program), launches, n);
}

void CTN_CALL release(void*, void* program) { ProgramDeleter()(static_cast<Program*>(program)); }

}  // namespace

ctn_status register_backend(const ctn_host* host, ctn_plugin plugin) {
  g_backend.host = host;
  ctn_backend_def def{};
  def.size = sizeof def;
  def.flags = CTN_BACKEND_HOST_MEMORY | CTN_BACKEND_FORK_SAFE;
  def.name = {"cpu", 3};
  def.device_type = CTN_DEV_CPU;
  def.priority = 100;
  def.self = &g_backend;
  def.device_count = device_count;
  def.device_info = device_info;
  def.alloc = alloc;
  def.free = release_memory;
  def.copy = copy;
  def.sync = sync;
  def.compile = compile;
  def.launch = launch;
  def.release = release;
  return host->add_backend(plugin, &def);
}

}  // namespace catena::cpu
