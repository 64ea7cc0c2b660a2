/* types.h: the types shared by <catena/catena.h> (embedding) and <catena/plugin.h> (plugins).
 *
 * C11 and C++17. Fixed-width types only; every struct that can grow starts with `size`, which the
 * code that fills it sets to sizeof of the struct it was compiled with. A member that is zero means
 * "absent" or "default". Structs that travel in arrays or by value carry no size and are frozen at
 * ABI 1.0; those that describe something have flags and room for it. Their sizes are asserted where
 * they are defined: here ctn_str, ctn_dtype, ctn_device, ctn_dltensor, ctn_tensor, ctn_dlpack,
 * ctn_value, ctn_attr, ctn_slice and ctn_callback, in plugin.h ctn_inst, ctn_form_arg, ctn_program,
 * ctn_acc, ctn_input_def, ctn_output_def, ctn_attr_def, ctn_out_spec, ctn_state_def and
 * ctn_sum_def. */
#ifndef CATENA_TYPES_H
#define CATENA_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ABI version. Majors must be equal; a plugin or program built on a newer minor still loads as long
 * as the lowest minor it names is not above the runtime's. Major 0 may change between releases. */
#define CTN_ABI_MAJOR 0u
#define CTN_ABI_MINOR 1u
#define CTN_ABI_VERSION ((CTN_ABI_MAJOR << 16) | CTN_ABI_MINOR)

#if defined(_WIN32)
#define CTN_CALL __cdecl
#define CTN_EXPORT __declspec(dllexport)
#else
#define CTN_CALL
#define CTN_EXPORT __attribute__((visibility("default")))
#endif
#if defined(__GNUC__)
#define CTN_MUST_CHECK __attribute__((warn_unused_result))
#else
#define CTN_MUST_CHECK
#endif

/* ---- status ------------------------------------------------------------------------------------
 * Every fallible function returns a status; the text stays with the runtime, one per thread
 * (ctn_error_message). Codes are append-only. */
typedef int32_t ctn_status;
enum {
  CTN_OK = 0,
  CTN_EINVAL = 1,       /* an argument is wrong; the text names it and its value */
  CTN_ENOMEM = 2,       /* memory or the context's limit is exhausted; the text names the holders */
  CTN_ENOTFOUND = 3,    /* no such name, file, plugin, parameter */
  CTN_EUNSUPPORTED = 4, /* valid, but no kernel, dtype or feature serves it */
  CTN_EVERSION = 5,     /* ABI or file-format version does not fit */
  CTN_EDEVICE = 6,      /* a device or its driver failed */
  CTN_ESHAPE = 7,       /* shapes do not fit (a type check of the op) */
  CTN_EDTYPE = 8,       /* dtypes do not fit (a type check of the op) */
  CTN_EGRAD = 9,        /* a gradient is missing, not defined or not twice differentiable */
  CTN_ECANCELLED = 10,  /* stopped on request */
  CTN_EINTERNAL = 11,   /* a defect of ours or a foreign exception */
  CTN_EIO = 12,         /* reading or writing a file failed */
  CTN_EFORMAT = 13,     /* a file is damaged, hostile or not of this kind */
  CTN_ENAN = 14         /* debug mode found NaN */
};

/* ---- strings, dtypes, devices ---------------------------------------------------------------- */

/* UTF-8 text, not terminated, borrowed for the call unless a function says otherwise. */
typedef struct ctn_str {
  const char* p;
  size_t n;
} ctn_str;

/* Element type; layout and codes of DLPack's DLDataType (https://dmlc.github.io/dlpack). */
typedef struct ctn_dtype {
  uint8_t code; /* CTN_DT_* */
  uint8_t bits;
  uint16_t lanes; /* always 1 here */
} ctn_dtype;
enum { CTN_DT_INT = 0, CTN_DT_UINT = 1, CTN_DT_FLOAT = 2, CTN_DT_BFLOAT = 4, CTN_DT_BOOL = 6 };

/* The same set as small consecutive numbers: table indexes and expression types. */
enum {
  CTN_BOOL8 = 0,
  CTN_INT8 = 1,
  CTN_INT16 = 2,
  CTN_INT32 = 3,
  CTN_INT64 = 4,
  CTN_UINT8 = 5,
  CTN_UINT16 = 6,
  CTN_UINT32 = 7,
  CTN_UINT64 = 8,
  CTN_FLOAT16 = 9,
  CTN_FLOAT32 = 10,
  CTN_FLOAT64 = 11,
  CTN_BFLOAT16 = 12,
  CTN_DTYPE_COUNT = 13
};

/* Device; layout and type codes of DLPack's DLDevice. Backends whose devices have the same type
 * count on: the first one's are 0, 1 ..., those of the second start at CTN_DEV_NEXT, and so on, in
 * the order in which the process met them. {CTN_DEV_CPU, 0} is "cpu", and "intel64", which computes
 * on the same memory, {CTN_DEV_CPU, CTN_DEV_NEXT}. Names are the same in every process, and what to
 * keep: ctn_device_find. What leaves as DLPack (ctn_array_to_dlpack) has the id that the backend
 * itself knows the device by, as callbacks of backends do. */
typedef struct ctn_device {
  int32_t type; /* CTN_DEV_* or another DLPack code */
  int32_t id;
} ctn_device;
#define CTN_DEV_NEXT 65536
enum { CTN_DEV_CPU = 1, CTN_DEV_CUDA = 2, CTN_DEV_CUDA_HOST = 3, CTN_DEV_EXTENSION = 12 };

/* ---- tensors --------------------------------------------------------------------------------- */

#define CTN_MAX_NDIM 32

/* Borrowed view of array memory; layout of DLPack's DLTensor. `data + byte_offset` is element 0;
 * strides count elements, NULL on import means C order, never NULL when we fill it. */
typedef struct ctn_dltensor {
  void* data;
  ctn_device device;
  int32_t ndim;
  ctn_dtype dtype;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
} ctn_dltensor;

/* What a kernel sees. `layout` is 0 for plain strides, otherwise an id the kernel's own backend
 * planned (blocked formats). An absent optional input has t.ndim == -1 and t.data == NULL. */
typedef struct ctn_tensor {
  ctn_dltensor t;
  uint64_t layout;
} ctn_tensor;

/* Tensor exchange; layout of DLPack 1.x's DLManagedTensorVersioned. */
typedef struct ctn_dlpack_version {
  uint32_t major;
  uint32_t minor;
} ctn_dlpack_version;
typedef struct ctn_dlpack {
  ctn_dlpack_version version;
  void* manager_ctx;
  void(CTN_CALL* deleter)(struct ctn_dlpack* self);
  uint64_t flags; /* CTN_DLPACK_* */
  ctn_dltensor dl_tensor;
} ctn_dlpack;
enum { CTN_DLPACK_READ_ONLY = 1, CTN_DLPACK_IS_COPIED = 2 };
#define CTN_DLPACK_MAJOR 1u
#define CTN_DLPACK_MINOR 1u

/* ---- handles -----------------------------------------------------------------------------------
 * Opaque and reference-counted by the runtime. Comments say of each pointer: borrowed (valid for
 * the call), new (the caller releases it) or taken (ownership moves to the callee). */
typedef struct ctn_context_s* ctn_context;     /* owns allocator, threads, random state, config */
typedef struct ctn_array_s* ctn_array;         /* n-dimensional array, possibly a view */
typedef struct ctn_variable_s* ctn_variable;   /* array + gradient + place in the graph */
typedef struct ctn_link_s* ctn_link;           /* parameters, persistent values, child links */
typedef struct ctn_optimizer_s* ctn_optimizer; /* update rules bound to a link's parameters */
typedef struct ctn_kernel_s* ctn_kernel;       /* a user's elementwise or reduction kernel */
typedef struct ctn_stream_s* ctn_stream;       /* a backend's queue of work */
typedef struct ctn_capture_s* ctn_capture;     /* work captured once, to be done again */

/* ---- typed values ---------------------------------------------------------------------------- */

enum {
  CTN_ABSENT = 0, /* not given: the schema's default applies */
  CTN_NONE = 1,   /* given as None */
  CTN_BOOL = 2,   /* u.i: 0 or 1 */
  CTN_INT = 3,    /* u.i */
  CTN_FLOAT = 4,  /* u.f */
  CTN_STR = 5,    /* u.s, n bytes */
  CTN_DTYPE = 6,  /* u.dt */
  CTN_DEVICE = 7, /* u.dev */
  CTN_SLICE = 8,  /* u.slice */
  CTN_ELLIPSIS = 9,
  CTN_NEWAXIS = 10,
  CTN_INTS = 16,   /* u.is, n entries */
  CTN_FLOATS = 17, /* u.fs */
  CTN_STRS = 18,   /* u.ss */
  CTN_LIST = 19,   /* u.list: values of any kind */
  CTN_ARRAY = 32,  /* u.array */
  CTN_VARIABLE = 33,
  CTN_LINK = 34,
  CTN_OBJECT = 40,  /* u.object: host language object, only carried */
  CTN_CALLBACK = 41 /* u.callback */
};

struct ctn_value;
typedef struct ctn_slice {
  int64_t start, stop, step;
  uint32_t has; /* bit 0 start, bit 1 stop, bit 2 step given */
  uint32_t reserved;
} ctn_slice;

/* A host-language function as a value. `call` reads n_in variables (borrowed) and writes n_out new
 * ones. Handing one over gives it away: `drop` (may be NULL) is called once when the last holder in
 * the runtime lets go, and at once if the function it was handed to fails. */
typedef struct ctn_callback {
  void* user;
  ctn_status(CTN_CALL* call)(void* user, const ctn_variable* in, int32_t n_in, ctn_variable* out,
                             int32_t n_out);
  void(CTN_CALL* drop)(void* user);
} ctn_callback;

/* 16 bytes, frozen. Pointers are borrowed for the call; the runtime copies what it keeps. */
typedef struct ctn_value {
  int32_t kind; /* CTN_ABSENT ... */
  uint32_t n;   /* entries or bytes behind the pointer kinds */
  union {
    int64_t i;
    double f;
    const char* s;
    ctn_dtype dt;
    ctn_device dev;
    const ctn_slice* slice;
    const int64_t* is;
    const double* fs;
    const ctn_str* ss;
    const struct ctn_value* list;
    ctn_array array;
    ctn_variable variable;
    ctn_link link;
    void* object;
    const ctn_callback* callback;
    uint64_t raw;
  } u;
} ctn_value;

typedef struct ctn_attr {
  ctn_str name;
  ctn_value value;
} ctn_attr;

/* ---- what a host may bring ------------------------------------------------------------------- */

/* Host memory. `alloc` returns NULL when it has none; align is a power of two; `free` gets the
 * size that was asked for. Both may be called from any thread. */
typedef struct ctn_allocator {
  uint32_t size;
  uint32_t reserved;
  void* user;
  void*(CTN_CALL* alloc)(void* user, uint64_t bytes, uint64_t align);
  void(CTN_CALL* free)(void* user, void* p, uint64_t bytes, uint64_t align);
} ctn_allocator;

/* File access. All of the library's file I/O goes through one of these tables, so that a host may
 * keep files in memory and tests may fail any call. `handle` is the implementation's own; offsets
 * and counts are bytes. Short reads mean end of file; a write is all or an error. */
typedef struct ctn_io {
  uint32_t size;
  uint32_t reserved;
  void* user;
  /* mode: 'r' existing file, 'x' new file for writing (fails with CTN_EIO if it exists) */
  ctn_status(CTN_CALL* open)(void* user, ctn_str path, int32_t mode, void** handle);
  ctn_status(CTN_CALL* length)(void* user, void* handle, uint64_t* bytes);
  ctn_status(CTN_CALL* read)(void* user, void* handle, uint64_t offset, void* dst, uint64_t bytes,
                             uint64_t* got);
  ctn_status(CTN_CALL* write)(void* user, void* handle, const void* src, uint64_t bytes);
  ctn_status(CTN_CALL* sync)(void* user, void* handle);               /* data is on the medium */
  ctn_status(CTN_CALL* close)(void* user, void* handle);              /* always frees the handle */
  ctn_status(CTN_CALL* rename)(void* user, ctn_str from, ctn_str to); /* atomic, replaces */
  ctn_status(CTN_CALL* remove)(void* user, ctn_str path);
  ctn_status(CTN_CALL* sync_dir)(void* user, ctn_str path); /* directory holding `path` */
} ctn_io;

/* Log hook: level CTN_LOG_*, topic such as "loader" or "kernel". Called from any thread; must not
 * call back into the library. Without a hook nothing is written anywhere, unless the environment
 * asks for lines on standard error (CATENA_LOG, docs/configuration.md). */
enum { CTN_LOG_ERROR = 1, CTN_LOG_WARN = 2, CTN_LOG_INFO = 3, CTN_LOG_DEBUG = 4 };
typedef void(CTN_CALL* ctn_log_fn)(void* user, int32_t level, ctn_str topic, ctn_str text);

/* A body of parallel work over the half-open range [begin, end). */
typedef ctn_status(CTN_CALL* ctn_range_fn)(void* arg, int64_t begin, int64_t end);

/* Bring your own threads: run `body(arg, k)` for every k in [0, n), on any threads, in any order,
 * and return when all are done. Until then the thread that called `run` does nothing else with the
 * context: what it is computing is locked. Should an exception leave `run`, no body may run any
 * more: the work counts as failed. */
typedef struct ctn_executor {
  uint32_t size;
  int32_t threads; /* how many run at once: 0 (as 1) to 1024 */
  void* user;
  void(CTN_CALL* run)(void* user, int64_t n, void(CTN_CALL* body)(void* arg, int64_t k), void* arg);
} ctn_executor;

/* Random numbers. Each call fills n elements of host memory; the default is Philox 4x32-10. */
enum { CTN_RANDOM_UNIFORM = 0, CTN_RANDOM_NORMAL = 1, CTN_RANDOM_BITS = 2, CTN_RANDOM_GUMBEL = 3 };
typedef struct ctn_random {
  uint32_t size;
  uint32_t reserved;
  void* user;
  /* one call at a time for a context, and none from inside another.
   * kind CTN_RANDOM_*; dst: double[n] for UNIFORM in [0,1), NORMAL, GUMBEL; uint64_t[n] for BITS */
  ctn_status(CTN_CALL* draw)(void* user, int32_t kind, void* dst, int64_t n);
} ctn_random;

#if defined(__cplusplus)
#define CTN_FROZEN(type, bytes) static_assert(sizeof(type) == bytes, #type " is frozen")
#else
#define CTN_FROZEN(type, bytes) _Static_assert(sizeof(type) == bytes, #type " is frozen")
#endif
#if UINTPTR_MAX == UINT64_MAX
CTN_FROZEN(ctn_str, 16);
CTN_FROZEN(ctn_dtype, 4);
CTN_FROZEN(ctn_device, 8);
CTN_FROZEN(ctn_dltensor, 48);
CTN_FROZEN(ctn_tensor, 56);
CTN_FROZEN(ctn_dlpack, 80);
CTN_FROZEN(ctn_value, 16);
CTN_FROZEN(ctn_attr, 32);
CTN_FROZEN(ctn_slice, 32);
CTN_FROZEN(ctn_callback, 24);
#endif

#ifdef __cplusplus
}
#endif
#endif
