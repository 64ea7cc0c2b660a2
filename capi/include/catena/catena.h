/* catena.h: the C interface of Catena for programs and language bindings.
 *
 * Errors     A function that can fail returns a ctn_status; CTN_OK is 0. After a failure
 *            ctn_error_message() has the text for the calling thread. A failed call changes
 *            nothing and writes no output, unless its comment says otherwise.
 * Ownership  A "new" handle is released by the caller, a "borrowed" one is valid for the call or as
 *            long as said, a "taken" one belongs to the callee. Arguments are borrowed and results
 *            new where nothing is said. Every _release accepts NULL.
 * Giving     What is handed over with a function that lets go of it goes, should the call fail:
 *            a ctn_callback is dropped at once, a DLPack tensor's deleter has run; but the memory
 *            of ctn_array_wrap and the object of ctn_variable_set_user stay the caller's, and
 *            their `drop` is not called.
 * Threads    Every function may be called from any thread, and calls back on the thread that called
 *            it, unless said otherwise. Distinct handles may be used at the same time; one handle
 *            may be read by many threads, or changed by one with no reader. Reference counts are
 *            atomic.
 * Contexts   Arrays, variables, links and optimizers belong to the context they were made in;
 *            mixing contexts is CTN_EINVAL.
 * Plugins    Ops, links, optimizers and backends come from plugins and are registered once per
 *            process. None exists before the first context is made, the first plugin is loaded or
 *            ctn_schema_json is asked: only then do names such as "relu" mean something.
 * Callbacks  They may use the library, let go of handles (a call keeps what it works with) and fail
 *            with ctn_error_set. An exception that leaves one is stopped: the call fails with its
 *            text, or, where nothing can fail (drops, deleters, free, log), it goes to the log.
 * Silence    The library prints nothing, never exits and never aborts. It speaks through
 *            ctn_context_options.log, and on standard error where the environment asks for it
 *            (CATENA_LOG, docs/configuration.md). */
#ifndef CATENA_CATENA_H
#define CATENA_CATENA_H

#include <catena/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(CTN_BUILD)
#define CTN_API CTN_EXPORT
#else
#define CTN_API
#endif

/* ==== library ================================================================================= */

/* Version of the running library: major << 16 | minor << 8 | patch. */
CTN_API uint32_t CTN_CALL ctn_version(void);
/* ABI version of the running library; compare majors with CTN_ABI_VERSION >> 16. */
CTN_API uint32_t CTN_CALL ctn_abi_version(void);
/* Text of this thread's last failure, NUL-terminated, borrowed until this thread's next call. */
CTN_API const char* CTN_CALL ctn_error_message(void);
/* Code of this thread's last failure (CTN_OK if none yet). */
CTN_API ctn_status CTN_CALL ctn_error_code(void);
/* Fixed English name of a code, e.g. "invalid argument". */
CTN_API const char* CTN_CALL ctn_status_name(ctn_status status);
/* For callbacks that fail: keeps `text` (copied, cut after 8191 bytes) as this thread's and returns
 * `code`, which the callback returns in turn; a number that is no code becomes CTN_EINTERNAL, with
 * CTN_OK nothing is kept. The function that called back then fails with this code and text. */
CTN_API ctn_status CTN_CALL ctn_error_set(ctn_status code, ctn_str text);

/* ==== plugins and registry (per process) ====================================================== */

/* Loads the plugin at an absolute path. Loading the same file again is a no-op. */
CTN_API ctn_status CTN_CALL ctn_plugin_load(ctn_str path);
/* Adds an absolute directory whose manifests (*.ctnplugin) are searched before the default ones. */
CTN_API ctn_status CTN_CALL ctn_plugin_dir(ctn_str path);
/* What was found, loaded and refused and why, one line each; borrowed for ever. */
CTN_API ctn_status CTN_CALL ctn_plugin_report(ctn_str* out);
/* Ops are named by consecutive ids that stay valid for the life of the process. There are none
 * until the first context is made, a plugin is loaded or ctn_schema_json is called; before that
 * every name is CTN_ENOTFOUND. */
CTN_API ctn_status CTN_CALL ctn_op_find(ctn_str name, int32_t* op);
CTN_API int32_t CTN_CALL ctn_op_count(void);
CTN_API ctn_status CTN_CALL ctn_op_name(int32_t op, ctn_str* out);
/* Position of an attribute in the schema: the index of its value in ctn_call. */
CTN_API ctn_status CTN_CALL ctn_op_attr(int32_t op, ctn_str name, int32_t* index);
/* Inputs, and outputs the caller receives (-1: depends on the call), and attributes of an op. */
CTN_API ctn_status CTN_CALL ctn_op_arity(int32_t op, int32_t* n_in, int32_t* n_out,
                                         int32_t* n_attrs);
/* The registry as JSON (docs/schema-json.md): ops, links, optimizers, hooks, initializers,
 * backends. Loads the plugins that a first context would. Borrowed for ever. */
CTN_API ctn_status CTN_CALL ctn_schema_json(ctn_str* out);

/* ==== context ================================================================================= */

enum {
  CTN_CONTEXT_NO_ENV = 1u /* read no environment variable */
};

/* All members but size may be zero. */
typedef struct ctn_context_options {
  uint32_t size; /* sizeof(ctn_context_options) */
  uint32_t flags;
  ctn_str device;  /* "cpu", "intel64", "cuda:0", "auto"; empty: "cpu". Named means required */
  int32_t threads; /* 0: CATENA_NUM_THREADS, else the CPUs this process may use */
  uint32_t reserved;
  uint64_t memory_limit; /* bytes the context may hold, all devices and caches; 0: none */
  uint64_t seed;         /* of the default random numbers; 0: a random one */
  /* tables are borrowed for the call; what they name lives as long as the context */
  const ctn_allocator* allocator; /* NULL: the system's */
  const ctn_io* io;               /* NULL: POSIX files */
  const ctn_executor* executor;   /* NULL: own thread pool */
  const ctn_random* random;       /* NULL: Philox 4x32-10 */
  ctn_log_fn log; /* NULL: silent, unless CATENA_LOG asks for lines on standard error */
  void* log_user;
  int32_t log_level; /* 0: CTN_LOG_WARN; CATENA_LOG comes before it */
  int32_t reserved2;
} ctn_context_options;

/* options may be NULL. *out: new. */
CTN_API ctn_status CTN_CALL ctn_context_create(const ctn_context_options* options,
                                               ctn_context* out);
CTN_API void CTN_CALL ctn_context_retain(ctn_context ctx);
/* The context's memory goes when the last handle of any kind made in it is released. */
CTN_API void CTN_CALL ctn_context_release(ctn_context ctx);
/* Device new arrays are made on, e.g. {CTN_DEV_CPU, 0}, and the name of its backend ("cpu"). */
CTN_API ctn_status CTN_CALL ctn_context_device(ctn_context ctx, ctn_device* device,
                                               ctn_str* backend);
/* Device by name, loading its backend: "cuda:1". */
CTN_API ctn_status CTN_CALL ctn_device_find(ctn_context ctx, ctn_str name, ctn_device* out);
/* How many devices a backend has ("cuda"), loading it: 0 where a driver or a GPU is missing. */
CTN_API ctn_status CTN_CALL ctn_device_count(ctn_context ctx, ctn_str backend, int32_t* n);
/* The name by which ctn_device_find finds a device of the context, such as an array's ("cuda:1";
 * borrowed as long as the context lives), and what its backend says of it ("NVIDIA H100"; borrowed
 * for ever). Either may be NULL. CTN_EDEVICE where the context has no such device. */
CTN_API ctn_status CTN_CALL ctn_device_describe(ctn_context ctx, ctn_device device, ctn_str* name,
                                                ctn_str* text);
/* What the backend says of the context's device ("avx512", "NVIDIA H100"); borrowed for ever. */
CTN_API ctn_status CTN_CALL ctn_device_name(ctn_context ctx, ctn_str* out);
/* How many threads work at once for the context, the caller's included. */
CTN_API int32_t CTN_CALL ctn_context_threads(ctn_context ctx);
/* Waits for all work of the context, on all of its devices, and returns what an asynchronous
 * backend has to say of work that failed meanwhile: once, and of several failures the first. */
CTN_API ctn_status CTN_CALL ctn_synchronize(ctn_context ctx);

/* An asynchronous device does its work in one queue of its own, in the order of the calls. Others
 * who work on the same memory order theirs against it; nobody waits meanwhile. A stream is one of
 * the device's library: a CUstream, for CUDA's legacy default stream CU_STREAM_LEGACY and for that
 * of a thread CU_STREAM_PER_THREAD (1 and 2, as in the Python array API standard). NULL is
 * CTN_EINVAL, a device without streams CTN_EUNSUPPORTED, as are both orders while work is
 * captured. */
/* The queue itself, to hand work over in; borrowed for ever. While the calling thread captures:
 * that into which its work is captured. */
CTN_API ctn_status CTN_CALL ctn_device_stream(ctn_context ctx, ctn_device device, void** out);
/* What is handed over for the device from now on comes after what `stream` has now: call it before
 * an array over memory that the stream writes is used. */
CTN_API ctn_status CTN_CALL ctn_device_follow(ctn_context ctx, ctn_device device, void* stream);
/* What `stream` gets from now on comes after what was handed over for the device: call it before
 * the stream reads or writes memory of its arrays. */
CTN_API ctn_status CTN_CALL ctn_device_lead(ctn_context ctx, ctn_device device, void* stream);

/* Configuration: keys, values and what they do are in docs/configuration.md. Keys are Chainer's
 * ("train", "enable_backprop", "debug" ...) and user_*; setting another key, or a value of the
 * wrong kind, is CTN_EINVAL. Values are CTN_BOOL, CTN_INT or CTN_STR, copied. A thread's own value
 * comes before the global one. */
CTN_API ctn_status CTN_CALL ctn_config_set_global(ctn_context ctx, ctn_str key,
                                                  const ctn_value* value);
/* Sets the calling thread's value; value NULL or CTN_ABSENT removes it. */
CTN_API ctn_status CTN_CALL ctn_config_set(ctn_context ctx, ctn_str key, const ctn_value* value);
/* The value in force for the calling thread; strings are borrowed until the key is set again. */
CTN_API ctn_status CTN_CALL ctn_config_get(ctn_context ctx, ctn_str key, ctn_value* out);
/* The calling thread's own value, CTN_ABSENT where it has none: what to set when a scope ends. */
CTN_API ctn_status CTN_CALL ctn_config_get_local(ctn_context ctx, ctn_str key, ctn_value* out);

/* Decisions that backends take by timing where the configuration key `autotune` is on (which kernel
 * serves which kind of call), as a file: docs/tuning.md has the format. What is loaded replaces
 * what the context has; it holds from the next call on, and only where `autotune` is on. An entry
 * is for the machine, the library and the number of threads that it was timed with: elsewhere it is
 * kept, not used. CTN_EFORMAT for a damaged file, which changes nothing. Both go through the
 * context's ctn_io; a save is atomic. */
CTN_API ctn_status CTN_CALL ctn_tuning_save(ctn_context ctx, ctn_str path);
CTN_API ctn_status CTN_CALL ctn_tuning_load(ctn_context ctx, ctn_str path);

typedef struct ctn_memory_stats {
  uint32_t size;
  uint32_t reserved;
  uint64_t limit;     /* bytes, 0 none */
  uint64_t held;      /* bytes taken from allocator and devices now: used + cached */
  uint64_t used;      /* bytes in live objects */
  uint64_t cached;    /* bytes kept for reuse */
  uint64_t peak_held; /* highest `held` so far */
  uint64_t peak_used;
  uint64_t allocations;     /* blocks handed out so far */
  uint64_t raw_allocations; /* requests to allocator and devices so far */
  /* arrays that were brought into a backend's layout, out of one or from one into another, so far,
   * and the bytes of their elements */
  uint64_t reorders;
  uint64_t reordered_bytes;
} ctn_memory_stats;
/* out->size must be set. Fills that many bytes: members this library does not know become 0. */
CTN_API ctn_status CTN_CALL ctn_memory_get_stats(ctn_context ctx, ctn_memory_stats* out);
/* Bytes the context may hold from now on, 0: no limit. What is held already stays, also where it is
 * more; memory is taken in blocks of 64 KiB and more. */
CTN_API ctn_status CTN_CALL ctn_memory_set_limit(ctn_context ctx, uint64_t bytes);
/* One device of a context. Small arrays in host memory lie among the runtime's own objects, which
 * only ctn_memory_get_stats counts. */
typedef struct ctn_device_stats {
  uint32_t size;
  uint32_t reserved;
  uint64_t total;  /* bytes the device has, as its backend says; 0 unknown */
  uint64_t free;   /* of these in nobody's use */
  uint64_t held;   /* bytes the context has taken from it: used + cached */
  uint64_t used;   /* bytes in live arrays */
  uint64_t cached; /* bytes kept for reuse */
} ctn_device_stats;
/* out->size must be set, as above. CTN_EDEVICE where the context has no such device. */
CTN_API ctn_status CTN_CALL ctn_device_get_stats(ctn_context ctx, ctn_device device,
                                                 ctn_device_stats* out);
/* Gives cached memory back, that of plans too: the next calls are planned anew. */
CTN_API ctn_status CTN_CALL ctn_memory_trim(ctn_context ctx);

/* Restarts the default random numbers. Here 0 is a seed like any other: it gives the same numbers
 * every time. A context's own ctn_random is not told. */
CTN_API ctn_status CTN_CALL ctn_random_seed(ctn_context ctx, uint64_t seed);
/* Random numbers into host memory; kind and dst as in ctn_random.draw. */
CTN_API ctn_status CTN_CALL ctn_random_draw(ctn_context ctx, int32_t kind, void* dst, int64_t n);

/* ==== arrays ================================================================================== */

/* C-order array on the context's device with undefined content. shape: [ndim], 0 allowed. */
CTN_API ctn_status CTN_CALL ctn_array_new(ctn_context ctx, ctn_dtype dtype, int32_t ndim,
                                          const int64_t* shape, ctn_array* out);
/* The same on another device of the context. */
CTN_API ctn_status CTN_CALL ctn_array_new_on(ctn_context ctx, ctn_device device, ctn_dtype dtype,
                                             int32_t ndim, const int64_t* shape, ctn_array* out);
/* As ctn_array_new, every element `value` (CTN_BOOL, CTN_INT or CTN_FLOAT), cast to dtype. */
CTN_API ctn_status CTN_CALL ctn_array_full(ctn_context ctx, ctn_dtype dtype, int32_t ndim,
                                           const int64_t* shape, const ctn_value* value,
                                           ctn_array* out);
/* The same, copied from C-order host memory. */
CTN_API ctn_status CTN_CALL ctn_array_from_host(ctn_context ctx, ctn_dtype dtype, int32_t ndim,
                                                const int64_t* shape, const void* data,
                                                ctn_array* out);
/* Uses host memory without copying. `view` is copied, its memory is borrowed until `drop(user)`,
 * called once, on the thread that lets go of the last array over it; never if this call fails. drop
 * may be NULL. */
CTN_API ctn_status CTN_CALL ctn_array_wrap(ctn_context ctx, const ctn_dltensor* view,
                                           void(CTN_CALL* drop)(void* user), void* user,
                                           ctn_array* out);
/* DLPack exchange without copying. Import takes `t`: its deleter runs when the last array over it
 * is gone and the device is done with it, or has run when this call fails; read-only tensors are
 * copied. What writes the memory on another stream is done, or comes first (ctn_device_follow).
 * Export: new, the consumer calls its deleter; waits as ctn_array_view does. Who works on it in
 * another stream is done with it, or is followed (ctn_device_follow), when it calls the deleter. */
CTN_API ctn_status CTN_CALL ctn_array_from_dlpack(ctn_context ctx, ctn_dlpack* t, ctn_array* out);
CTN_API ctn_status CTN_CALL ctn_array_to_dlpack(ctn_array a, ctn_dlpack** out);
/* Export to a consumer that works in `stream`: waits for nothing, as ctn_device_lead. */
CTN_API ctn_status CTN_CALL ctn_array_to_dlpack_stream(ctn_array a, void* stream, ctn_dlpack** out);
CTN_API void CTN_CALL ctn_array_retain(ctn_array a);
CTN_API void CTN_CALL ctn_array_release(ctn_array a);
/* Shape, strides, dtype and device, borrowed as long as the array lives; `data` is NULL. Touches no
 * memory of the device and waits for nothing. */
CTN_API ctn_status CTN_CALL ctn_array_spec(ctn_array a, ctn_dltensor* out);
/* Shape, strides, dtype, memory; borrowed as long as the array lives. Waits for all pending work of
 * the context, so that the memory may be read at once; its errors are returned here. */
CTN_API ctn_status CTN_CALL ctn_array_view(ctn_array a, ctn_dltensor* out);
/* Copies all elements to (from) C-order host memory of exactly `bytes` bytes. */
CTN_API ctn_status CTN_CALL ctn_array_to_host(ctn_array a, void* dst, uint64_t bytes);
CTN_API ctn_status CTN_CALL ctn_array_set(ctn_array a, const void* src, uint64_t bytes);
/* Fills with one value, cast to the dtype. */
CTN_API ctn_status CTN_CALL ctn_array_fill(ctn_array a, const ctn_value* value);
/* dst[...] = src, casting; shapes must be equal or src must broadcast to dst. Both of one context.
 * Where they overlap the result is as if src had been read first. */
CTN_API ctn_status CTN_CALL ctn_array_assign(ctn_array dst, ctn_array src);
/* C-order copy with another dtype (lanes 0: the same). *out: new. */
CTN_API ctn_status CTN_CALL ctn_array_copy(ctn_array a, ctn_dtype dtype, ctn_array* out);
/* View of the same memory; strides in elements, offset in elements from a's element 0; every
 * element must lie inside a's storage. *out: new. */
CTN_API ctn_status CTN_CALL ctn_array_strided(ctn_array a, int32_t ndim, const int64_t* shape,
                                              const int64_t* strides, int64_t offset,
                                              ctn_array* out);
/* Same elements in C order under another shape (one entry may be -1); a view where possible. */
CTN_API ctn_status CTN_CALL ctn_array_reshape(ctn_array a, int32_t ndim, const int64_t* shape,
                                              ctn_array* out);
/* Copy on another device of the context; the same array if it is there already. Calls take arrays
 * of several devices where one backend stands on the other's memory ("intel64" on "cpu"): the upper
 * one computes. All others must be on one device. *out: new. */
CTN_API ctn_status CTN_CALL ctn_array_to_device(ctn_array a, ctn_device device, ctn_array* out);
/* The context it belongs to; borrowed. */
CTN_API ctn_context CTN_CALL ctn_array_context(ctn_array a);

/* ==== calling functions ======================================================================= */

/* Calls op on in[n_in] (borrowed; NULL for an absent optional input). attrs[n_attrs] follow the
 * schema's order and may be cut short; CTN_ABSENT takes the default. out[n_out]: new, n_out as the
 * op gives (ctn_op_arity, or ctn_call_outputs when that is -1). Where no graph is recorded the work
 * may wait until the result is looked at, an input is about to be written or the thread calls
 * again; what fails then is returned to whoever looks. Release a result as soon as it was passed
 * on: several calls may then be one run. */
CTN_API ctn_status CTN_CALL ctn_call(ctn_context ctx, int32_t op, const ctn_variable* in,
                                     int32_t n_in, const ctn_value* attrs, int32_t n_attrs,
                                     ctn_variable* out, int32_t n_out);
/* The same by name with named attributes in any order: for scripts and tests. */
CTN_API ctn_status CTN_CALL ctn_call_named(ctn_context ctx, ctn_str op, const ctn_variable* in,
                                           int32_t n_in, const ctn_attr* attrs, int32_t n_attrs,
                                           ctn_variable* out, int32_t n_out);
/* Outputs that such a call would give. */
CTN_API ctn_status CTN_CALL ctn_call_outputs(ctn_context ctx, int32_t op, const ctn_variable* in,
                                             int32_t n_in, const ctn_value* attrs, int32_t n_attrs,
                                             int32_t* n_out);

/* User kernels (docs/expressions.md). Parameter lists as in CuPy: "T x, raw T y". */
typedef struct ctn_kernel_source {
  uint32_t size;
  uint32_t flags;
  ctn_str name; /* for messages */
  ctn_str in;
  ctn_str out;
  ctn_str map;      /* elementwise: the operation; reduction: the mapped expression */
  ctn_str reduce;   /* empty: elementwise. "a + b" */
  ctn_str post;     /* "y = a" */
  ctn_str identity; /* "0" */
  ctn_str grad;     /* stated gradient, or empty for the symbolic one */
} ctn_kernel_source;
/* What a text compiles to stays for the life of the process, shared by all kernels of that text:
 * numbers that change belong into inputs, not into the text. */
CTN_API ctn_status CTN_CALL ctn_kernel_create(ctn_context ctx, const ctn_kernel_source* source,
                                              ctn_kernel* out);
CTN_API void CTN_CALL ctn_kernel_retain(ctn_kernel k);
CTN_API void CTN_CALL ctn_kernel_release(ctn_kernel k);
/* Elementwise: inputs broadcast against each other; axes are NULL, n_axes and keepdims 0.
 * Reduction: axes[n_axes] are reduced (NULL: all), kept with size 1 if keepdims. Differentiable
 * where the expression is. out: new. */
CTN_API ctn_status CTN_CALL ctn_kernel_call(ctn_kernel k, const ctn_variable* in, int32_t n_in,
                                            const int64_t* axes, int32_t n_axes, int32_t keepdims,
                                            ctn_variable* out, int32_t n_out);

/* ==== variables =============================================================================== */

/* A leaf over `a` (borrowed, kept). requires_grad 0 for labels and constants. *out: new. */
CTN_API ctn_status CTN_CALL ctn_variable_new(ctn_array a, int32_t requires_grad, ctn_variable* out);
CTN_API void CTN_CALL ctn_variable_retain(ctn_variable v);
CTN_API void CTN_CALL ctn_variable_release(ctn_variable v);
/* The array, new; CTN_EINVAL for an uninitialised parameter. */
CTN_API ctn_status CTN_CALL ctn_variable_array(ctn_variable v, ctn_array* out);
/* ctn_array_spec of the array, borrowed until v changes; CTN_EINVAL for an uninitialised
 * parameter. */
CTN_API ctn_status CTN_CALL ctn_variable_spec(ctn_variable v, ctn_dltensor* out);
/* The array's shape, strides, dtype and memory, borrowed until v changes. Cheaper than the above,
 * and unlike ctn_array_view it does not wait: where the backend is asynchronous, ctn_synchronize
 * comes before the memory is read. CTN_EINVAL for an uninitialised parameter. */
CTN_API ctn_status CTN_CALL ctn_variable_view(ctn_variable v, ctn_dltensor* out);
/* Replaces the array (borrowed, kept). */
CTN_API ctn_status CTN_CALL ctn_variable_set_array(ctn_variable v, ctn_array a);
/* Moves the array and the gradient, if there is one, to another device of the context; both or, if
 * it fails, none. The place in the graph stays: of use for leaves. */
CTN_API ctn_status CTN_CALL ctn_variable_to_device(ctn_variable v, ctn_device device);
/* The gradient as a variable, new, or NULL where there is none. */
CTN_API ctn_status CTN_CALL ctn_variable_grad(ctn_variable v, ctn_variable* out);
/* Sets (borrowed, kept) or, with NULL, clears the gradient; shape and dtype must fit. */
CTN_API ctn_status CTN_CALL ctn_variable_set_grad(ctn_variable v, ctn_variable g);
CTN_API ctn_status CTN_CALL ctn_variable_clear_grad(ctn_variable v);
/* grad += g, or grad = g where there is none. */
CTN_API ctn_status CTN_CALL ctn_variable_add_grad(ctn_variable v, ctn_variable g);
CTN_API int32_t CTN_CALL ctn_variable_requires_grad(ctn_variable v);
/* Length of the longest path from a leaf. */
CTN_API int32_t CTN_CALL ctn_variable_rank(ctn_variable v);
/* Name for messages and graph dumps; copied. Borrowed until it is set again. */
CTN_API ctn_status CTN_CALL ctn_variable_set_name(ctn_variable v, ctn_str name);
CTN_API ctn_status CTN_CALL ctn_variable_name(ctn_variable v, ctn_str* out);
/* Op that made it (-1 for a leaf) and its inputs: up to `room` new references, *n all of them. */
CTN_API ctn_status CTN_CALL ctn_variable_creator(ctn_variable v, int32_t* op, ctn_variable* in,
                                                 int32_t room, int32_t* n);
CTN_API ctn_status CTN_CALL ctn_variable_unchain(ctn_variable v);
CTN_API ctn_status CTN_CALL ctn_variable_unchain_backward(ctn_variable v);
CTN_API ctn_context CTN_CALL ctn_variable_context(ctn_variable v);

/* A slot for a binding's own object: `drop` (may be NULL) runs when the variable goes or the slot
 * is set again, and not if this call fails. The slot holds the new object by then: drop may use it,
 * and set it again. */
CTN_API ctn_status CTN_CALL ctn_variable_set_user(ctn_variable v, void* user,
                                                  void(CTN_CALL* drop)(void* user));
CTN_API void* CTN_CALL ctn_variable_user(ctn_variable v);

typedef struct ctn_backward_options {
  uint32_t size;
  int32_t retain_grad;            /* keep gradients of intermediate variables */
  int32_t enable_double_backprop; /* record the gradient computation */
  uint32_t reserved;
  double loss_scale; /* 0: none; the starting gradient is multiplied by it, optimizers
                      * divide the gradients of parameters by it */
} ctn_backward_options;
/* Back-propagates from v. A scalar without gradient starts from 1. Gradients of leaves accumulate.
 * options may be NULL. Without history it does nothing. */
CTN_API ctn_status CTN_CALL ctn_variable_backward(ctn_variable v,
                                                  const ctn_backward_options* options);
typedef struct ctn_grad_options {
  uint32_t size;
  int32_t set_grad;                 /* keep the results in the inputs' gradients as well */
  int32_t retain_grad;              /* keep gradients of intermediate variables */
  int32_t enable_double_backprop;   /* record the gradient computation */
  double loss_scale;                /* as in ctn_backward_options */
  const ctn_variable* grad_outputs; /* [n_out] to start from, entries may be NULL; NULL: ones */
  const ctn_variable* grad_inputs;  /* [n_in] added to the results, entries may be NULL; or NULL */
} ctn_grad_options;
/* Gradients of outputs with respect to inputs; no variable's gradient changes unless the options
 * (may be NULL) say so. grads[n_in]: new, NULL where an input does not matter. */
CTN_API ctn_status CTN_CALL ctn_grad_of(const ctn_variable* outputs, int32_t n_out,
                                        const ctn_variable* inputs, int32_t n_in,
                                        const ctn_grad_options* options, ctn_variable* grads);

/* Function hooks are called for every op that the thread which added them runs, before and after
 * its forward and its backward pass: in order of addition, those added meanwhile from the next time
 * on, those removed meanwhile no more. Once its thread has ended a hook is not called again. */
enum {
  CTN_HOOK_FORWARD_PRE = 0,
  CTN_HOOK_FORWARD_POST = 1,
  CTN_HOOK_BACKWARD_PRE = 2,
  CTN_HOOK_BACKWARD_POST = 3
};
typedef struct ctn_function_hook {
  uint32_t size;
  uint32_t reserved;
  void* user;
  /* values: inputs (forward) or gradients of outputs (backward); borrowed, entries may be NULL */
  void(CTN_CALL* call)(void* user, int32_t when, int32_t op, const ctn_variable* values, int32_t n);
} ctn_function_hook;
/* `hook` is copied; `user` is borrowed until the hook is removed. *id names it for removal. */
CTN_API ctn_status CTN_CALL ctn_function_hook_add(ctn_context ctx, const ctn_function_hook* hook,
                                                  uint64_t* id);
CTN_API ctn_status CTN_CALL ctn_function_hook_remove(ctn_context ctx, uint64_t id);

/* ==== parameters and links ==================================================================== */

/* A parameter made by initializer class `initializer` (empty: NaN) with its attributes. shape NULL
 * (ndim ignored): uninitialised until ctn_parameter_initialize. *out: new variable, requires
 * gradient. */
CTN_API ctn_status CTN_CALL ctn_parameter_new(ctn_context ctx, ctn_str initializer,
                                              const ctn_value* attrs, int32_t n_attrs,
                                              ctn_dtype dtype, int32_t ndim, const int64_t* shape,
                                              ctn_variable* out);
CTN_API ctn_status CTN_CALL ctn_parameter_initialize(ctn_variable p, int32_t ndim,
                                                     const int64_t* shape);
/* 1 if it has an array. */
CTN_API int32_t CTN_CALL ctn_parameter_is_initialized(ctn_variable p);
/* Fills an array by an initializer class: attrs in schema order. */
CTN_API ctn_status CTN_CALL ctn_initialize(ctn_array a, ctn_str initializer, const ctn_value* attrs,
                                           int32_t n_attrs);

/* A link of a registered class; attrs are the constructor's arguments in schema order. */
CTN_API ctn_status CTN_CALL ctn_link_create(ctn_context ctx, ctn_str name, const ctn_value* attrs,
                                            int32_t n_attrs, ctn_link* out);
CTN_API ctn_status CTN_CALL ctn_link_create_named(ctn_context ctx, ctn_str name,
                                                  const ctn_attr* attrs, int32_t n_attrs,
                                                  ctn_link* out);
/* An empty link to which parameters and children are added: a chain. Its forward pass is the host
 * program's own code, or `call` (taken, may be NULL; n_out outputs) where it shall be callable as a
 * link. */
CTN_API ctn_status CTN_CALL ctn_chain_create(ctn_context ctx, const ctn_callback* call,
                                             int32_t n_out, ctn_link* out);
CTN_API void CTN_CALL ctn_link_retain(ctn_link l);
CTN_API void CTN_CALL ctn_link_release(ctn_link l);
CTN_API ctn_status CTN_CALL ctn_link_call(ctn_link l, const ctn_variable* in, int32_t n_in,
                                          ctn_variable* out, int32_t n_out);
/* Class name ("Linear", "Chain"); borrowed. */
CTN_API ctn_status CTN_CALL ctn_link_class(ctn_link l, ctn_str* out);
CTN_API ctn_context CTN_CALL ctn_link_context(ctn_link l);
/* Names are unique within a link and contain no '/'. The argument is kept by a new reference. A
 * parameter is one of ctn_parameter_new or any leaf. A link may have several parents, no cycles. */
CTN_API ctn_status CTN_CALL ctn_link_add_param(ctn_link l, ctn_str name, ctn_variable p);
CTN_API ctn_status CTN_CALL ctn_link_add_persistent(ctn_link l, ctn_str name, ctn_array a);
CTN_API ctn_status CTN_CALL ctn_link_add_child(ctn_link l, ctn_str name, ctn_link child);
/* Replaces a persistent value; path as below. */
CTN_API ctn_status CTN_CALL ctn_link_set_persistent(ctn_link l, ctn_str path, ctn_array a);
/* By path relative to l ("l1/W"); new references. */
CTN_API ctn_status CTN_CALL ctn_link_param(ctn_link l, ctn_str path, ctn_variable* out);
CTN_API ctn_status CTN_CALL ctn_link_persistent(ctn_link l, ctn_str path, ctn_array* out);
CTN_API ctn_status CTN_CALL ctn_link_child(ctn_link l, ctn_str path, ctn_link* out);
/* Walks l and its descendants: parameters and persistent values of a link in order of addition,
 * then each child and what is below it. path "/l1/W" is borrowed for the callback, like the
 * handles; exactly one of param, persistent, child is given. A status that is not CTN_OK stops the
 * walk and is returned. */
typedef ctn_status(CTN_CALL* ctn_link_visitor)(void* user, ctn_str path, ctn_variable param,
                                               ctn_array persistent, ctn_link child);
CTN_API ctn_status CTN_CALL ctn_link_visit(ctn_link l, ctn_link_visitor visitor, void* user);
/* Constructor argument `index` of a registered class; borrowed from the link until it is set. */
CTN_API ctn_status CTN_CALL ctn_link_attr(ctn_link l, int32_t index, ctn_value* out);
/* Changes one (a dropout's ratio, a normalisation's decay); what the constructor made stays. */
CTN_API ctn_status CTN_CALL ctn_link_set_attr(ctn_link l, int32_t index, const ctn_value* value);
/* A named state value of a link that is neither saved nor copied (an RNN's h, a classifier's y):
 * NULL clears. Reading gives a new reference, or NULL where there is none. */
CTN_API ctn_status CTN_CALL ctn_link_set_state(ctn_link l, ctn_str name, ctn_variable v);
CTN_API ctn_status CTN_CALL ctn_link_state(ctn_link l, ctn_str name, ctn_variable* out);
enum {
  CTN_COPY_SHARE = 0, /* new parameters over the same arrays */
  CTN_COPY_COPY = 1,  /* new arrays */
  CTN_COPY_INIT = 2   /* new arrays, initialised anew */
};
CTN_API ctn_status CTN_CALL ctn_link_copy(ctn_link l, int32_t mode, ctn_link* out);
CTN_API ctn_status CTN_CALL ctn_link_clear_grads(ctn_link l);
/* Copies parameters (not persistent values) of `from` into l, matched by path: all or none. Of two,
 * one of which is uninitialised, that one takes the other's shape. */
CTN_API ctn_status CTN_CALL ctn_link_copy_params(ctn_link l, ctn_link from);
/* Arrays of all parameters and persistents move to the device, and those that are not made yet
 * will be made there: Chainer's to_cpu, to_gpu and to_intel64, with the device that ctn_device_find
 * gives for "cpu", "cuda:0", "intel64". */
CTN_API ctn_status CTN_CALL ctn_link_to_device(ctn_link l, ctn_device device);
/* Whether optimizers touch the parameters below l. As in Chainer it is their update rules that are
 * switched: setting up an optimizer enables all. */
CTN_API ctn_status CTN_CALL ctn_link_enable_update(ctn_link l, int32_t enabled);

/* ==== optimizers ============================================================================== */

CTN_API ctn_status CTN_CALL ctn_optimizer_create(ctn_context ctx, ctn_str name,
                                                 const ctn_value* hyper, int32_t n_hyper,
                                                 ctn_optimizer* out);
CTN_API ctn_status CTN_CALL ctn_optimizer_create_named(ctn_context ctx, ctn_str name,
                                                       const ctn_attr* hyper, int32_t n_hyper,
                                                       ctn_optimizer* out);
CTN_API void CTN_CALL ctn_optimizer_retain(ctn_optimizer o);
CTN_API void CTN_CALL ctn_optimizer_release(ctn_optimizer o);
/* Binds to the parameters below `target` (kept), with fresh states. Those added to it later are not
 * updated until the next setup. */
CTN_API ctn_status CTN_CALL ctn_optimizer_setup(ctn_optimizer o, ctn_link target);
/* Runs hooks, then updates every enabled parameter. Parameters without gradient get one of zeros
 * first, uninitialised ones are skipped. If it fails, weights, states and counts are what they
 * were; hooks may have changed gradients. */
CTN_API ctn_status CTN_CALL ctn_optimizer_update(ctn_optimizer o);
CTN_API ctn_status CTN_CALL ctn_optimizer_set_hyper(ctn_optimizer o, ctn_str name, double value);
/* A hyperparameter, or what the rule derives from them for the update just done (Adam's lr). */
CTN_API ctn_status CTN_CALL ctn_optimizer_get_hyper(ctn_optimizer o, ctn_str name, double* out);
/* One parameter's own hyperparameter (path as in ctn_link_param), before the optimizer's. */
CTN_API ctn_status CTN_CALL ctn_optimizer_set_rule_hyper(ctn_optimizer o, ctn_str path,
                                                         ctn_str name, double value);
CTN_API ctn_status CTN_CALL ctn_optimizer_get_rule_hyper(ctn_optimizer o, ctn_str path,
                                                         ctn_str name, double* out);
CTN_API ctn_status CTN_CALL ctn_optimizer_enable_rule(ctn_optimizer o, ctn_str path,
                                                      int32_t enabled);
enum { CTN_TIMING_AUTO = 0, CTN_TIMING_PRE = 1, CTN_TIMING_POST = 2 }; /* AUTO: as the class says */
/* Adds a hook of a registered class under `name` (empty: the class's name); path empty: to the
 * optimizer, else to that parameter's rule. Hooks run before (after) the update in order of
 * addition. attrs in schema order. */
CTN_API ctn_status CTN_CALL ctn_optimizer_add_hook(ctn_optimizer o, ctn_str path, ctn_str hook,
                                                   ctn_str name, int32_t timing,
                                                   const ctn_value* attrs, int32_t n_attrs);
/* The same with the host's own function (taken): in = the initialised parameters, n_out = 0. */
CTN_API ctn_status CTN_CALL ctn_optimizer_add_callback(ctn_optimizer o, ctn_str path, ctn_str name,
                                                       int32_t timing, const ctn_callback* hook);
CTN_API ctn_status CTN_CALL ctn_optimizer_remove_hook(ctn_optimizer o, ctn_str path, ctn_str name);
/* The loss scale that a loop shall hand to backward (0: none). Nothing else depends on it:
 * parameters remember the scale of their last backward, and update divides their gradients by that,
 * after the optimizer's hooks, before the rules and theirs. */
CTN_API ctn_status CTN_CALL ctn_optimizer_set_loss_scale(ctn_optimizer o, double scale);
CTN_API ctn_status CTN_CALL ctn_optimizer_loss_scale(ctn_optimizer o, double* scale);
/* Float16 parameters are updated through float32 copies. */
CTN_API ctn_status CTN_CALL ctn_optimizer_use_fp32_update(ctn_optimizer o, int32_t enabled);
/* Updates done, epochs counted, and one parameter's own count and state array (new; CTN_ENOTFOUND
 * before its first update). */
CTN_API ctn_status CTN_CALL ctn_optimizer_t(ctn_optimizer o, int64_t* t);
CTN_API ctn_status CTN_CALL ctn_optimizer_epoch(ctn_optimizer o, int64_t* epoch);
/* Counts an epoch; *epoch (may be NULL): the new count. */
CTN_API ctn_status CTN_CALL ctn_optimizer_new_epoch(ctn_optimizer o, int64_t* epoch);
CTN_API ctn_status CTN_CALL ctn_optimizer_rule_t(ctn_optimizer o, ctn_str path, int64_t* t);
CTN_API ctn_status CTN_CALL ctn_optimizer_state(ctn_optimizer o, ctn_str path, ctn_str name,
                                                ctn_array* out);
/* The target, new. */
CTN_API ctn_status CTN_CALL ctn_optimizer_target(ctn_optimizer o, ctn_link* out);

/* ==== captures ================================================================================ */

/* A step captured once and done again without the calls it is made of. Between begin and end what
 * the calling thread asks for on the device is not done but captured; arrays made by it have no
 * content before the first replay. A replay does all of it in order, on the same memory: what lies
 * in the arrays that it read by then is what it reads, and it writes the arrays that it wrote. That
 * memory stays reserved until the capture is released, whatever becomes of the arrays; memory
 * that was borrowed (DLPack) is the caller's to keep.
 *
 * What the host computes is not done again: shapes, attributes and numbers in calls are those of
 * the capture. But every replay leaves the gradients of leaves (and their loss scale) as the
 * captured backward did, and does updates of optimizers anew, with the rates, counts and hooks of
 * that moment: an update is the last thing that can be captured. Random numbers that the device
 * makes itself (dropout) are those that the calls would have taken from the context. Clear
 * gradients inside what is captured, so that it does not add to them. Run the step once before:
 * what is compiled or chosen at first use is better not part of it.
 *
 * While it captures the thread cannot wait for a device, copy to or from the host or between
 * devices, draw random numbers on the host, or compute on another device of the context: that is
 * CTN_EUNSUPPORTED, names the op where there is one, and leaves the capture open. */

/* CTN_EUNSUPPORTED where the device's backend captures nothing (all that compute on the CPU),
 * CTN_EINVAL where the thread captures already. Waits for all work of the context. */
CTN_API ctn_status CTN_CALL ctn_capture_begin(ctn_context ctx, ctn_device device);
/* *out: new; out NULL throws away what was captured. The thread captures no more, even if it fails
 * (then nothing was captured). */
CTN_API ctn_status CTN_CALL ctn_capture_end(ctn_context ctx, ctn_capture* out);
/* Returns when the work has been handed over; what fails in it later is told as ever. */
CTN_API ctn_status CTN_CALL ctn_capture_replay(ctn_capture c);
CTN_API void CTN_CALL ctn_capture_retain(ctn_capture c);
CTN_API void CTN_CALL ctn_capture_release(ctn_capture c);

/* ==== files =================================================================================== */

/* NumPy .npz files as Chainer writes them, of links, optimizers and arrays by name. Each is saved
 * to a path or to a function, and loaded from a path, from memory or through a function; the bytes
 * are the same everywhere.
 *
 * Paths go through the context's ctn_io. A save to a path is atomic: the file is there whole, or
 * what was there before stays. A load takes everything or, when it fails, changes nothing. Damaged
 * and hostile files, truncated and empty ones too, are CTN_EFORMAT. */

/* How to save: an or of these; other bits are CTN_EINVAL. */
enum { CTN_NPZ_COMPRESS = 1u /* deflate, as numpy.savez_compressed does; otherwise stored */ };

/* Takes the next `bytes` bytes (at least 1) of a file that is being saved; p is borrowed for the
 * call. All calls come one after the other on the thread that saves. It may call the library, but
 * may not change what is being saved. A status that is not CTN_OK (with a text by ctn_error_set)
 * ends the save: no further call comes, the saving function fails with this status and text, and
 * what was saved has not changed; the bytes handed over by then are no file and are to be thrown
 * away, as after every other failure of the save. */
typedef ctn_status(CTN_CALL* ctn_write_fn)(void* user, const void* p, uint64_t bytes);
/* Fills dst with the `bytes` bytes at `offset` of a file that is being loaded; both lie within the
 * length that was stated. Offsets come in any order. Otherwise as ctn_write_fn: on the thread that
 * loads, and a failure ends the load with its status and text. */
typedef ctn_status(CTN_CALL* ctn_read_fn)(void* user, uint64_t offset, void* dst, uint64_t bytes);

/* Parameters and persistent values of l and what is below it, under their paths ("l1/W");
 * uninitialised parameters as None. flags: CTN_NPZ_*. */
CTN_API ctn_status CTN_CALL ctn_save_npz_link(ctn_link l, ctn_str path, uint32_t flags);
/* The same to a function; user is handed to it. */
CTN_API ctn_status CTN_CALL ctn_save_npz_link_to(ctn_link l, ctn_write_fn write, void* user,
                                                 uint32_t flags);
/* Loads into the parameters and persistent values that l has. One that is missing in the file is
 * CTN_ENOTFOUND, unless strict is 0; extra members are ignored, None leaves what is there. Values
 * are cast within their kind or to a wider one (CTN_EDTYPE), shapes must be equal (CTN_ESHAPE).
 * `prefix` is put in front of every path ("", "updater/model:main/"). */
CTN_API ctn_status CTN_CALL ctn_load_npz_link(ctn_link l, ctn_str path, ctn_str prefix,
                                              int32_t strict);
/* The same from the `bytes` bytes at `data`, borrowed for the call; NULL if there are none. */
CTN_API ctn_status CTN_CALL ctn_load_npz_link_memory(ctn_link l, const void* data, uint64_t bytes,
                                                     ctn_str prefix, int32_t strict);
/* The same from a file of `bytes` bytes that `read` has. */
CTN_API ctn_status CTN_CALL ctn_load_npz_link_from(ctn_link l, ctn_read_fn read, void* user,
                                                   uint64_t bytes, ctn_str prefix, int32_t strict);

/* The counts and states of an optimizer that was set up (CTN_EINVAL otherwise), under the paths of
 * its target ("l1/W/m"); hyperparameters are not saved. Arguments as for links. */
CTN_API ctn_status CTN_CALL ctn_save_npz_optimizer(ctn_optimizer o, ctn_str path, uint32_t flags);
CTN_API ctn_status CTN_CALL ctn_save_npz_optimizer_to(ctn_optimizer o, ctn_write_fn write,
                                                      void* user, uint32_t flags);
CTN_API ctn_status CTN_CALL ctn_load_npz_optimizer(ctn_optimizer o, ctn_str path, ctn_str prefix,
                                                   int32_t strict);
CTN_API ctn_status CTN_CALL ctn_load_npz_optimizer_memory(ctn_optimizer o, const void* data,
                                                          uint64_t bytes, ctn_str prefix,
                                                          int32_t strict);
CTN_API ctn_status CTN_CALL ctn_load_npz_optimizer_from(ctn_optimizer o, ctn_read_fn read,
                                                        void* user, uint64_t bytes, ctn_str prefix,
                                                        int32_t strict);

/* n arrays of ctx by name: names are UTF-8, unlike each other, an array may be NULL (None). */
CTN_API ctn_status CTN_CALL ctn_save_npz_arrays(ctn_context ctx, ctn_str path, const ctn_str* names,
                                                const ctn_array* arrays, int32_t n, uint32_t flags);
CTN_API ctn_status CTN_CALL ctn_save_npz_arrays_to(ctn_context ctx, ctn_write_fn write, void* user,
                                                   const ctn_str* names, const ctn_array* arrays,
                                                   int32_t n, uint32_t flags);
/* Calls visitor(user, name, NULL, array, NULL) for every member in the file's order; name and array
 * are borrowed for the callback, array is NULL for None. Texts are left out. A member is read just
 * before its call: one that is damaged ends the load after the visits of those before it, as does a
 * status of the visitor's that is not CTN_OK, which is returned. */
CTN_API ctn_status CTN_CALL ctn_load_npz_arrays(ctn_context ctx, ctn_str path,
                                                ctn_link_visitor visitor, void* user);
CTN_API ctn_status CTN_CALL ctn_load_npz_arrays_memory(ctn_context ctx, const void* data,
                                                       uint64_t bytes, ctn_link_visitor visitor,
                                                       void* user);
CTN_API ctn_status CTN_CALL ctn_load_npz_arrays_from(ctn_context ctx, ctn_read_fn read,
                                                     void* read_user, uint64_t bytes,
                                                     ctn_link_visitor visitor, void* visitor_user);

#ifdef __cplusplus
}
#endif
#endif
