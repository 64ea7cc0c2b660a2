/* plugin.h: all a plugin needs to add ops, kernels, backends, links, optimizers, hooks and
 * initializers. A plugin exports two functions and imports nothing: it reaches the runtime through
 * the table it is handed. C++ writers may prefer <catena/sdk.hpp>, a header-only layer over this.
 *
 * Rules that hold for every callback below:
 *  - return a ctn_status; before returning one that is not CTN_OK, leave a text with host->fail
 *  - let no exception out; exceptions that try are stopped and become CTN_EINTERNAL
 *  - structs handed to an add_ function are copied deeply: they may live on the stack
 *  - functions are thread-safe unless they say otherwise; the runtime holds no lock while it calls
 *  - a callback may use the table, but may not load plugins or destroy a context */
#ifndef CATENA_PLUGIN_H
#define CATENA_PLUGIN_H

#include <catena/api.h>
#include <catena/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ==== expressions ================================================================================
 * Elementwise and reduction kernels as data. The runtime parses the text of a row or of a user's
 * kernel, types it for one set of dtypes and hands the result, a ctn_form, to a backend.
 *
 * A program is a list of instructions; instruction k defines value k; operands a, b, c name earlier
 * values unless the opcode says otherwise. Every value has a type (CTN_BOOL8 .. CTN_FLOAT64, never
 * a 16-bit float: ARG widens those to CTN_FLOAT32 and STORE rounds back to nearest even). Operands
 * of one instruction have equal types, equal to the result's, unless stated. Integers wrap. No
 * contraction: every instruction rounds by itself. Members an instruction does not use are 0. */

typedef struct ctn_inst {
  uint16_t op;   /* CTN_X_* */
  uint8_t type;  /* type of the value: CTN_BOOL8 ... */
  uint8_t flags; /* 0 */
  int32_t a, b, c;
  union {
    int64_t i;  /* CONST of a bool or signed type */
    uint64_t u; /* CONST of an unsigned type */
    double f;   /* CONST of a floating type */
  } imm;
} ctn_inst;

/* Opcodes: numbers are frozen once released, new ones are appended within their block. */
enum {
  /* sources */
  CTN_X_CONST = 1,  /* imm */
  CTN_X_ARG = 2,    /* element of array argument a (role IN or INOUT) */
  CTN_X_SCALAR = 3, /* scalar parameter a */
  CTN_X_INDEX = 4,  /* int64: C-order index of the element in the iteration space (`i`) */
  CTN_X_SIZE = 5,   /* int64: elements of the iteration space; in post: elements reduced (`n`) */
  CTN_X_RAW = 6,    /* element b (int64 value, C order) of RAW argument a; out of range gives 0 */
  CTN_X_ACC = 7,    /* in reduce: accumulator a; in post: its final value */
  CTN_X_ITEM = 8,   /* in reduce: the mapped value that joins accumulator a */
  /* effects: no value; they come last in a program, so that all reads are done before */
  CTN_X_STORE = 16, /* write value b to array argument a (role OUT or INOUT) */
  CTN_X_YIELD = 17, /* in map and reduce of a reduction: value b is (new) accumulator a */
  /* conversion: a of any type. float to integer truncates, NaN gives 0, out of range saturates;
   * anything to bool is a != 0 */
  CTN_X_CAST = 24,
  CTN_X_SELECT = 25, /* a (bool) ? b : c */
  /* arithmetic */
  CTN_X_ADD = 32,
  CTN_X_SUB = 33,
  CTN_X_MUL = 34,
  CTN_X_DIV = 35,  /* floating only: IEEE division */
  CTN_X_FDIV = 36, /* floor of the exact quotient (Python //); float x / 0 as DIV, integer 0 */
  CTN_X_TDIV = 37, /* integers only: truncated division; x / 0 = 0 */
  CTN_X_FMOD = 38, /* what FDIV leaves, sign of y (Python %); float x % 0 NaN, integer 0 */
  CTN_X_TMOD = 39, /* C fmod, sign of x; integer x % 0 = 0 */
  CTN_X_NEG = 40,
  CTN_X_ABS = 41,
  CTN_X_MIN = 42,  /* NaN if either is NaN; of 0 and -0 either one */
  CTN_X_MAX = 43,  /* NaN if either is NaN */
  CTN_X_POW = 44,  /* integer: repeated multiplication; negative exponent gives 0 (1, -1 exact) */
  CTN_X_SIGN = 45, /* -1, 0, 1; NaN stays */
  /* comparison: bool result, operands of one type; NaN compares false except NE */
  CTN_X_EQ = 64,
  CTN_X_NE = 65,
  CTN_X_LT = 66,
  CTN_X_LE = 67,
  /* bits and logic: bool or integer */
  CTN_X_AND = 72,
  CTN_X_OR = 73,
  CTN_X_XOR = 74,
  CTN_X_NOT = 75, /* logical for bool, bitwise for integers */
  CTN_X_SHL = 76, /* count taken modulo the width */
  CTN_X_SHR = 77, /* arithmetic for signed types */
  /* floating mathematics */
  CTN_X_SQRT = 96,
  CTN_X_RSQRT = 97,
  CTN_X_EXP = 98,
  CTN_X_EXPM1 = 99,
  CTN_X_EXP2 = 100,
  CTN_X_LOG = 101,
  CTN_X_LOG1P = 102,
  CTN_X_LOG2 = 103,
  CTN_X_LOG10 = 104,
  CTN_X_SIN = 105,
  CTN_X_COS = 106,
  CTN_X_TAN = 107,
  CTN_X_ASIN = 108,
  CTN_X_ACOS = 109,
  CTN_X_ATAN = 110,
  CTN_X_ATAN2 = 111,
  CTN_X_SINH = 112,
  CTN_X_COSH = 113,
  CTN_X_TANH = 114,
  CTN_X_ERF = 115,
  CTN_X_ERFC = 116,
  CTN_X_LGAMMA = 117,
  CTN_X_DIGAMMA = 118,
  CTN_X_FLOOR = 119,
  CTN_X_CEIL = 120,
  CTN_X_TRUNC = 121,
  CTN_X_RINT = 122,    /* halves to even */
  CTN_X_SIGMOID = 123, /* 1 / (1 + exp(-x)) without overflow */
  CTN_X_ISNAN = 124,   /* bool result */
  CTN_X_ISINF = 125,
  CTN_X_ISFINITE = 126,
  CTN_X_END_ = 127
};

enum { CTN_ROLE_IN = 0, CTN_ROLE_OUT = 1, CTN_ROLE_INOUT = 2, CTN_ROLE_RAW = 3 };

typedef struct ctn_form_arg {
  uint8_t dtype; /* storage: CTN_BOOL8 ... CTN_BFLOAT16 */
  uint8_t role;  /* CTN_ROLE_* */
  uint16_t reserved;
} ctn_form_arg;

typedef struct ctn_program {
  const ctn_inst* insts;
  int32_t n;
  int32_t reserved;
} ctn_program;

typedef struct ctn_acc {
  uint8_t type; /* type of the accumulator */
  uint8_t reserved[7];
  uint64_t identity; /* its start value, bits of `type` in the low bytes */
} ctn_acc;

/* Limits a form always keeps; the parser refuses more. */
#define CTN_FORM_MAX_ARGS 32
#define CTN_FORM_MAX_INSTS 4096
#define CTN_FORM_VERSION 1u

/* Elementwise: n_acc == 0, `map` stores. Reduction: `map` yields one value per accumulator for each
 * element, `reduce` joins ACC and ITEM (associative and commutative: backends join in an order of
 * their own, the same for the same launch), `post` reads ACC and stores. A program with
 * n == 0 is absent: an absent `post` cannot occur in a reduction. */
typedef struct ctn_form {
  uint32_t size;
  uint32_t version; /* CTN_FORM_VERSION */
  uint64_t hash;    /* of everything below: the key for caches and ahead-of-time kernels */
  int32_t n_args;
  int32_t n_scalars;
  int32_t n_acc;
  int32_t reserved;
  const ctn_form_arg* args;
  const uint8_t* scalars; /* type of each scalar parameter */
  const ctn_acc* accs;
  ctn_program map;
  ctn_program reduce;
  ctn_program post;
} ctn_form;

/* What a running kernel may ask of the runtime; valid until the call returns. */
typedef struct ctn_exec_s* ctn_exec;

/* One launch. The runtime has dropped dimensions of size 1 and merged those that it could; it never
 * launches an empty iteration space of an elementwise form. A reduction over zero elements is
 * launched with a 0 among the reduced dimensions and must give post(identity). */
typedef struct ctn_launch {
  uint32_t size;
  int32_t ndim;      /* of the iteration space, 0 allowed */
  int32_t n_reduced; /* the last n_reduced dimensions are reduced away */
  int32_t reserved;
  const int64_t* shape;    /* [ndim], outermost first */
  void* const* data;       /* [n_args] address of element 0 */
  const int64_t* strides;  /* [n_args][ndim] bytes; 0 broadcasts; outputs have 0 where reduced */
  const int64_t* counts;   /* [n_args] elements of RAW arguments, else 0 */
  const uint64_t* scalars; /* [n_scalars] bits of the parameter's type in the low bytes */
  ctn_exec exec;
} ctn_launch;

/* ==== schemas ================================================================================= */

enum {
  CTN_IN_OPTIONAL = 1u, /* may be NULL */
  CTN_IN_VARIADIC = 2u, /* last input only: any number, at least one unless OPTIONAL too */
  CTN_IN_NO_GRAD = 4u   /* never receives a gradient (labels, indexes) */
};
typedef struct ctn_input_def {
  ctn_str name;
  /* classes f(loating) i (signed) u(nsigned) b(ool) n (numbers) a(ny), several as in "fi", or
   * names, "float32|int32". Inputs of an expression share one dtype, T, unless ":U" gives a
   * variable. */
  ctn_str type;
  uint32_t flags;
  uint32_t reserved;
} ctn_input_def;

typedef struct ctn_output_def {
  ctn_str name;
  ctn_str type;   /* "=x" dtype of input x, a dtype name, or empty: infer or compose decides */
  uint32_t flags; /* CTN_OUT_* */
  uint32_t reserved;
} ctn_output_def;
enum { CTN_OUT_HIDDEN = 1u /* kept for backward, not returned to the caller */ };

typedef struct ctn_attr_def {
  ctn_str name;
  uint64_t kinds;     /* bit k set: values of kind k are accepted; CTN_REQUIRED may be added */
  ctn_value fallback; /* the default; CTN_ABSENT if required */
  ctn_str doc;
  uint32_t flags; /* 0 */
  uint32_t reserved;
} ctn_attr_def;
#define CTN_REQUIRED (UINT64_C(1) << 63)
#define CTN_KIND_BIT(kind) (UINT64_C(1) << (kind))

/* Shape, dtype and relation to memory of one output, written by infer. */
enum { CTN_OUT_NEW = 0, CTN_OUT_VIEW = 1, CTN_OUT_SAME = 2, CTN_OUT_COPY = 3 };
typedef struct ctn_out_spec {
  /* NEW: fresh memory. VIEW: strides and offset into `source`. SAME: is `source`. COPY: a copy of
   * `source` in C order on `device`, made by the runtime; where no output is NEW no kernel runs */
  int32_t mode;
  int32_t source; /* input index for VIEW, SAME and COPY */
  int32_t ndim;
  ctn_dtype dtype;
  int64_t* shape;    /* room for CTN_MAX_NDIM */
  int64_t* strides;  /* VIEW only: elements; room for CTN_MAX_NDIM */
  int64_t offset;    /* VIEW only: elements from the source's element 0 */
  ctn_device device; /* COPY only; one that is open in the context */
} ctn_out_spec;

/* An op that a kernel runs along with its own, on what it has computed so far. */
typedef struct ctn_follower {
  uint32_t size;
  int32_t position; /* which of the op's inputs that is */
  ctn_str op;
  int32_t first; /* the op's other inputs, in their order: `in` of the call from here */
  int32_t n_in;  /* how many they are */
  int32_t n_attrs;
  int32_t reserved;
  const ctn_value* attrs;
} ctn_follower;

/* A call as infer, supports and kernels see it. `attrs` follows the schema's order with defaults
 * filled in. Only `run` of a kernel is sure to see data, all others may find t.data NULL. */
typedef struct ctn_call_info {
  uint32_t size;
  int32_t n_in;
  int32_t n_out;
  int32_t n_attrs;
  const ctn_tensor* in;
  const ctn_tensor* out; /* NULL in infer */
  const ctn_value* attrs;
  ctn_context ctx;
  /* in their order; only for kernels with `absorb`. Their inputs come after the op's own in `in`,
   * n_in counts all, and `out` is what the last of them gives. */
  const ctn_follower* followers;
  int32_t n_followers;
  int32_t reserved;
} ctn_call_info;

/* Handle to a running backward; valid until the callback returns. */
typedef struct ctn_grad_s* ctn_grad;

enum {
  CTN_OP_NODIFF = 1u,     /* outputs never require a gradient */
  CTN_OP_RANDOM = 2u,     /* draws random numbers */
  CTN_OP_ONCE = 4u,       /* differentiable once; a second time is CTN_EGRAD */
  CTN_OP_SAME_SHAPE = 8u, /* expression: inputs must have equal shapes, as Chainer asks */
  CTN_OP_INTERNAL = 16u   /* not part of the public surface (gradient primitives) */
};

/* One op. Exactly one of three kinds:
 *   expression: `map` is set (and `reduce`, `post`, `identity` for a reduction); no callback needed
 *   composite:  `compose` is set; made of other ops, differentiable through them
 *   primitive:  `infer` is set; kernels are registered by backends; `backward` unless NODIFF */
typedef struct ctn_op_def {
  uint32_t size;
  uint32_t flags; /* CTN_OP_* */
  ctn_str name;   /* [a-z0-9_.]; what ctn_op_find looks up */
  ctn_str doc;    /* one sentence */
  ctn_str page;   /* Chainer's documentation page, e.g. "functions/relu" */
  ctn_str label;  /* Chainer's class name in messages, e.g. "ReLU"; empty: name */
  int32_t n_in;
  int32_t n_out;
  int32_t n_attrs;
  int32_t n_checks;
  const ctn_input_def* in;
  const ctn_output_def* out;
  const ctn_attr_def* attrs;
  const ctn_str* checks; /* docs/type-checks.md: "x.ndim >= 2", "x.shape[1] == W.shape[1]" */
  uint64_t retain_in;    /* bit i: backward may read input i */
  uint64_t retain_out;   /* bit i: backward may read output i */
  /* expression kind; docs/expressions.md has the language. Scalars are attributes by name. */
  ctn_str map;
  ctn_str grad;     /* stated gradient over inputs, outputs and g<output>; empty: symbolic */
  ctn_str reduce;   /* reduction: e.g. "a + b" */
  ctn_str post;     /* reduction: e.g. "y = a" */
  ctn_str identity; /* reduction: e.g. "0" */
  void* self;
  ctn_status(CTN_CALL* infer)(void* self, const ctn_call_info* call, ctn_out_spec* out);
  ctn_status(CTN_CALL* backward)(void* self, ctn_grad g);
  /* in: borrowed, NULL where absent; out: new references, n_out of them (1 if variadic outputs
   * were not asked for) */
  ctn_status(CTN_CALL* compose)(void* self, const ctn_call_info* call, const ctn_variable* in,
                                ctn_variable* out);
  /* number of outputs when it depends on the call (split_axis); NULL: n_out */
  ctn_status(CTN_CALL* count)(void* self, const ctn_call_info* call, int32_t* n_out);
} ctn_op_def;

/* ==== kernels ================================================================================= */

enum {
  CTN_KERNEL_STRIDED = 1u, /* accepts any strides; otherwise inputs arrive in C order */
  CTN_KERNEL_LAYOUT = 2u   /* accepts and returns layouts of its own (needs `plan`) */
};

/* What a kernel decides once for calls that agree in shapes, dtypes, layouts, attributes, device
 * and configuration; the runtime keeps it with the context (the least recently used plans leave)
 * and hands it to every such run, from several threads at once. Zeroed before the call; what `plan`
 * sees has no data. Calls whose attributes are arrays, links or objects are planned every time. */
typedef struct ctn_plan {
  uint32_t size;
  /* 0, or 1 + the input whose elements output 0 shall hold when `run` starts, to be added to: of
   * its shape, dtype and layout. Where nobody else has that input its memory is the output's. */
  uint32_t onto;
  uint64_t scratch_bytes; /* given to every run, 64-byte aligned */
  void* state;            /* passed to run; freed by `drop` */
  uint64_t state_bytes;   /* host memory behind `state`, as far as the kernel knows: counted as the
                           * context's, for as long as the plan is kept */
  /* with CTN_KERNEL_LAYOUT; all others see and write plain strides */
  uint64_t* in_layouts;  /* [n_in] wanted; starts as what the inputs have */
  uint64_t* out_layouts; /* [n_out] chosen; starts as 0 */
} ctn_plan;

typedef struct ctn_run {
  uint32_t size;
  uint32_t reserved;
  /* outputs are allocated, uninitialised, in C order or the planned layout */
  const ctn_call_info* call;
  void* state;   /* of the plan, or NULL */
  void* scratch; /* of the plan, or NULL */
  ctn_exec exec;
} ctn_run;

/* One kernel for (op, backend). With several candidates the highest priority that supports the call
 * runs; the parent backend's kernels come last. A call none of whose outputs has an element runs
 * none. */
typedef struct ctn_kernel_def {
  uint32_t size;
  uint32_t flags; /* CTN_KERNEL_* */
  ctn_str op;
  ctn_str backend;
  int32_t priority;
  int32_t n_dtypes;
  const ctn_dtype* dtypes; /* of the first input; n_dtypes == 0: any */
  void* self;
  /* NULL: always. *why borrows a static text for the log when the answer is no. */
  ctn_status(CTN_CALL* supports)(void* self, const ctn_call_info* call, int32_t* yes, ctn_str* why);
  ctn_status(CTN_CALL* plan)(void* self, const ctn_call_info* call, ctn_plan* plan); /* optional */
  ctn_status(CTN_CALL* run)(void* self, const ctn_run* call);
  void(CTN_CALL* drop)(void* self, void* state); /* with plan */
  /* Of ops with one output: whether the kernel also does `next`, an elementwise op over what it
   * gives (of the same shape and dtype), whose other inputs come last in call->in; the followers of
   * the call are those it has agreed to before. Sees no data and no layouts.
   * A kernel that has this member may find its calls put off: where no graph is recorded, the last
   * call of a thread waits until its result is looked at, something that it reads is about to be
   * written, or the thread makes a call that is none it absorbs. plan and run then see all of them
   * as followers, up to 15, of one device and configuration. What fails is told to whoever made it
   * run, who may try again: a run that fails with CTN_ENOMEM has written nothing to its output.
   * Random ops and those with handles in their attributes run at once, as all do if it is NULL. */
  ctn_status(CTN_CALL* absorb)(void* self, const ctn_call_info* call, const ctn_follower* next,
                               int32_t* yes);
} ctn_kernel_def;

/* ==== backends ================================================================================ */

enum {
  CTN_BACKEND_HOST_MEMORY = 1u, /* device memory can be read by the CPU */
  CTN_BACKEND_ASYNC = 2u,       /* work returns before it is done; needs sync */
  CTN_BACKEND_FORK_SAFE = 4u    /* usable in a forked child */
};

typedef struct ctn_device_info {
  uint32_t size;
  uint32_t flags;
  ctn_str name;       /* e.g. "avx512", "NVIDIA H100"; lives as long as the process */
  uint64_t mem_total; /* bytes, 0 unknown */
  uint64_t mem_free;
} ctn_device_info;

/* A backend fills what differs from its parent; NULL members are inherited, in groups that come
 * whole: alloc, free and copy; device_count and device_info; compile, launch and release; sync, the
 * streams and captures; layout_bytes and reorder. Without a parent, device_count, alloc, free and
 * copy are required. The kernels of the parent follow the backend's own.
 *
 * The runtime hands all work of a device over in the order in which it is to be done, and uses
 * memory again as soon as the work that needs it has been handed over. With CTN_BACKEND_ASYNC a
 * backend therefore does it in that order and, before it gives memory back to the system (free),
 * waits for what is pending on it. What fails after the call that asked for it is kept and returned
 * by the next sync, once, with a text that names what ran (exec_label): where several contexts may
 * use a device, with sync_context by that of the context whose work it was. */
typedef struct ctn_backend_def {
  uint32_t size;
  uint32_t flags;      /* CTN_BACKEND_* */
  ctn_str name;        /* "cpu"; devices are named "NAME" or "NAME:ID" */
  ctn_str parent;      /* backend whose kernels and members are inherited; empty: none */
  int32_t device_type; /* DLPack code */
  int32_t priority;    /* order for "auto", higher first */
  void* self;
  /* *why borrows a text that says why there are none (lives as long as the process) */
  ctn_status(CTN_CALL* device_count)(void* self, int32_t* n, ctn_str* why);
  ctn_status(CTN_CALL* device_info)(void* self, int32_t device, ctn_device_info* out);
  /* raw memory, cached by the runtime above this; `ctx` gives the host's allocator */
  ctn_status(CTN_CALL* alloc)(void* self, ctn_context ctx, int32_t device, uint64_t bytes,
                              uint64_t align, void** out);
  void(CTN_CALL* free)(void* self, ctn_context ctx, int32_t device, void* p, uint64_t bytes,
                       uint64_t align);
  /* Device numbers of this backend, or -1 for host memory (not both -1). Comes after the work that
   * was handed over for either device, and before what follows on either. Host memory that is read
   * is the caller's again at return, host memory that is written is there after sync. */
  ctn_status(CTN_CALL* copy)(void* self, int32_t dst_device, void* dst, int32_t src_device,
                             const void* src, uint64_t bytes);
  /* waits for the device's work, then returns what of it has failed since the last sync */
  ctn_status(CTN_CALL* sync)(void* self, int32_t device);
  /* expressions; `compile` may decline with CTN_EUNSUPPORTED. A program is used by many threads. */
  ctn_status(CTN_CALL* compile)(void* self, const ctn_form* form, void** program);
  ctn_status(CTN_CALL* launch)(void* self, void* program, const ctn_launch* launches, int32_t n);
  void(CTN_CALL* release)(void* self, void* program);
  /* streams and events, for CTN_BACKEND_ASYNC */
  ctn_status(CTN_CALL* stream_open)(void* self, int32_t device, void* adopt, ctn_stream* out);
  void(CTN_CALL* stream_close)(void* self, ctn_stream s);
  void*(CTN_CALL* stream_native)(void* self, ctn_stream s);
  ctn_status(CTN_CALL* event_record)(void* self, ctn_stream s, uint64_t* event);
  ctn_status(CTN_CALL* event_wait)(void* self, ctn_stream s, uint64_t event);
  /* What arrays may have instead of plain strides, chosen by plans. Ids are the backend's own,
   * never 0, and keep their meaning as long as the process lives. layout_bytes: what an array of
   * this shape and dtype takes (t->data is NULL). reorder: the same elements from src to dst, each
   * in one of the layouts or plain C order (0); from any thread. The one callback that runs under
   * a lock, that of the context's layouts: it may use parallel_for, but look at no array. */
  ctn_status(CTN_CALL* layout_bytes)(void* self, const ctn_dltensor* t, uint64_t layout,
                                     uint64_t* bytes);
  ctn_status(CTN_CALL* reorder)(void* self, ctn_exec exec, const ctn_tensor* src,
                                const ctn_tensor* dst);
  /* Optional, with layout_bytes: *block elements of *axis lie innermost, and around them the array
   * in C order with that axis divided by *block. With it reductions run where the data lies. *block
   * is 0 for a layout that is not of this kind. */
  ctn_status(CTN_CALL* layout_blocks)(void* self, uint64_t layout, int32_t* axis, int64_t* block);
  /* A configuration key that takes "never" ("use_ideep"), or empty. Under "never" the backend's
   * own kernels are passed over for its parent's. It is "auto" in contexts made on a device of this
   * backend. In others, where it is not "never", calls on the parent's device run on this one; its
   * plugin is loaded for that if the manifest provides "config:KEY". */
  ctn_str config_key;
  /* Captures, for CTN_BACKEND_ASYNC: all four or none. Between begin and end what the calling
   * thread hands over for the device is not done but kept; other threads' work is done as ever.
   * The runtime has waited for the device before, keeps all memory that is captured where it is
   * until capture_free, and lets the thread neither wait nor copy to or from the host meanwhile.
   * end: *capture is what was captured; it ends also where it fails; capture NULL: throws it away.
   * replay: does it, in the order of the device's other work. free: waits for what is pending. */
  ctn_status(CTN_CALL* capture_begin)(void* self, int32_t device);
  ctn_status(CTN_CALL* capture_end)(void* self, int32_t device, void** capture);
  ctn_status(CTN_CALL* capture_replay)(void* self, int32_t device, void* capture);
  void(CTN_CALL* capture_free)(void* self, int32_t device, void* capture);
  /* Optional, with sync, and called instead of it: waits for the device's work, then returns what
   * has failed since the last call of this context's work (exec_context) alone. */
  ctn_status(CTN_CALL* sync_context)(void* self, ctn_context ctx, int32_t device);
  /* reserved: cross-stream use records */
  void* reserved[3];
} ctn_backend_def;

/* ==== links, optimizers, hooks, initializers ================================================== */

/* A link class. The runtime's link object keeps parameters, persistent values and children by name
 * and reaches the class only through this table; NULL members take the default behaviour. */
typedef struct ctn_link_def {
  uint32_t size;
  uint32_t flags;
  ctn_str name; /* "Linear" */
  ctn_str doc;
  ctn_str page;
  int32_t n_attrs;
  int32_t n_in;  /* inputs of call; -1: any number */
  int32_t n_out; /* outputs of call */
  int32_t reserved;
  const ctn_attr_def* attrs; /* constructor arguments */
  void* self;
  /* adds parameters and children to the fresh link */
  ctn_status(CTN_CALL* init)(void* self, ctn_link link, const ctn_value* attrs);
  ctn_status(CTN_CALL* call)(void* self, ctn_link link, const ctn_variable* in, int32_t n_in,
                             ctn_variable* out, int32_t n_out);
  /* after the default copy has been made */
  ctn_status(CTN_CALL* copied)(void* self, ctn_link from, ctn_link to);
  /* before saving and after loading */
  ctn_status(CTN_CALL* serialized)(void* self, ctn_link link, int32_t loading);
  /* after parameters and persistents moved to another device */
  ctn_status(CTN_CALL* moved)(void* self, ctn_link link, ctn_device device);
  void(CTN_CALL* drop)(void* self, ctn_link link);
} ctn_link_def;

typedef struct ctn_state_def {
  ctn_str name;   /* "m"; the states `i` and `n` are `i_` and `n_` in expressions */
  double initial; /* value of a fresh state array */
  uint32_t flags; /* CTN_STATE_* */
  uint32_t reserved;
} ctn_state_def;
enum { CTN_STATE_WHEN = 1u /* exists only where the optimizer's `when` is true */ };

/* An optimizer's update rule as data. `scalars` is a program over the hyperparameters and `t` (the
 * parameter's update count, from 1), run once per step in float64, e.g.
 *   "lr = alpha * sqrt(1 - pow(beta2, t)) / (1 - pow(beta1, t))"
 * `update` is an expression over param, grad, the states, the hyperparameters and those scalars;
 * it assigns to param and the states. Both are run for all parameters in one fused pass. */
typedef struct ctn_optimizer_def {
  uint32_t size;
  uint32_t flags;
  ctn_str name;
  ctn_str doc;
  ctn_str page;
  int32_t n_hyper;
  int32_t n_state;
  const ctn_attr_def* hyper; /* CTN_FLOAT or CTN_BOOL, in the constructor's order */
  const ctn_state_def* state;
  ctn_str scalars;
  ctn_str update;
  ctn_str when;        /* a bool hyperparameter; empty: the rule has one form only */
  ctn_str update_when; /* the form that replaces `update` where `when` is true */
  ctn_str nonzero;     /* a hyperparameter that may be 0 but must not become 0 in the dtype of a
                        * parameter ("eps"); empty: none */
} ctn_optimizer_def;

/* A sum over the elements of a parameter, in float64: {"g2", "float64(grad) * float64(grad)"}. */
typedef struct ctn_sum_def {
  ctn_str name;
  ctn_str map;    /* expression over param, grad and the numeric attributes, of type float64 */
  uint32_t flags; /* 0 */
  uint32_t reserved;
} ctn_sum_def;

/* What a hook's callback is handed. Parameters are initialised and have gradients; a hook that was
 * added to one parameter's rule gets that parameter alone (its float32 copy, where it has one). */
typedef struct ctn_hook_call {
  uint32_t size;
  int32_t n;
  ctn_optimizer optimizer;
  const ctn_variable* params; /* [n] borrowed */
  const int64_t* t;           /* [n] updates of each; a rule's own hook counts the running one */
  const ctn_value* attrs;     /* in the schema's order */
} ctn_hook_call;

/* A hook runs before the rule (or after it), usually to change gradients. It is either data or
 * `call`. As data, over param, grad, numeric attributes, sums and `t`:
 *   sums     over each parameter, or without CTN_HOOK_PER_PARAM over all of them together
 *   scalars  a program run once per step (and parameter) in float64: "rate = min(c / sqrt(g2), 1)"
 *   update   an expression that assigns to grad: "grad = grad * rate" */
typedef struct ctn_hook_def {
  uint32_t size;
  uint32_t flags; /* CTN_HOOK_* */
  ctn_str name;   /* "WeightDecay" */
  ctn_str doc;
  ctn_str page;
  int32_t n_attrs;
  int32_t n_sums;
  const ctn_attr_def* attrs;
  void* self;
  ctn_status(CTN_CALL* call)(void* self, const ctn_hook_call* call);
  const ctn_sum_def* sums;
  ctn_str scalars;
  ctn_str update;
} ctn_hook_def;
enum {
  CTN_HOOK_PER_PARAM = 1u, /* looks at one parameter at a time: may be added to its rule as well */
  CTN_HOOK_POST = 2u       /* runs after the rule unless told otherwise */
};

typedef struct ctn_initializer_def {
  uint32_t size;
  uint32_t flags;
  ctn_str name; /* "LeCunNormal" */
  ctn_str doc;
  ctn_str page;
  int32_t n_attrs;
  int32_t reserved;
  const ctn_attr_def* attrs;
  void* self;
  /* fills the array (host-readable or not: use api calls or write through a host copy) */
  ctn_status(CTN_CALL* fill)(void* self, ctn_array a, const ctn_value* attrs);
} ctn_initializer_def;

/* ==== the host table ========================================================================== */

typedef struct ctn_plugin_s* ctn_plugin;

/* Where numbers of the default stream begin. Each takes one 64-bit word, from number `position` on.
 * Words 2b and 2b + 1 are x1:x0 and x3:x2 of Philox 4x32-10 at the counter {b, b >> 32, 0, 0} under
 * the key {seed, seed >> 32}; b counts modulo 2^63. UNIFORM is (word >> 11) * 2^-53. */
typedef struct ctn_philox {
  uint64_t seed, position;
  /* While work is captured: device memory that holds, whenever the work is done, the seed, and what
   * is to be added to `position`. Otherwise NULL. */
  const uint64_t* base;
} ctn_philox;

typedef struct ctn_host {
  uint32_t size;
  uint32_t abi; /* CTN_ABI_VERSION of the runtime */
  uint32_t version;
  uint32_t reserved;
  const ctn_api* api; /* every function of catena.h */

  /* Stores `text` for this thread and returns `code`. file may be NULL. */
  ctn_status(CTN_CALL* fail)(ctn_status code, const char* file, int32_t line, ctn_str text);
  void(CTN_CALL* log)(ctn_context ctx, int32_t level, ctn_str topic, ctn_str text);

  /* Registration: only inside ctn_plugin_init; undone if init fails. */
  ctn_status(CTN_CALL* add_op)(ctn_plugin p, const ctn_op_def* def);
  ctn_status(CTN_CALL* add_kernel)(ctn_plugin p, const ctn_kernel_def* def);
  ctn_status(CTN_CALL* add_backend)(ctn_plugin p, const ctn_backend_def* def);
  ctn_status(CTN_CALL* add_link)(ctn_plugin p, const ctn_link_def* def);
  ctn_status(CTN_CALL* add_optimizer)(ctn_plugin p, const ctn_optimizer_def* def);
  ctn_status(CTN_CALL* add_hook)(ctn_plugin p, const ctn_hook_def* def);
  ctn_status(CTN_CALL* add_initializer)(ctn_plugin p, const ctn_initializer_def* def);

  /* For kernels and launches. Ranges handed to fn are [k*grain, min(n, (k+1)*grain)): they depend
   * on n and grain alone, so results do not depend on the number of threads. Returns the status of
   * the lowest failing range. Nested calls run in the calling thread. */
  ctn_status(CTN_CALL* parallel_for)(ctn_exec e, int64_t n, int64_t grain, ctn_range_fn fn,
                                     void* arg);
  /* 64-byte aligned memory in the context's ledger, freed when the kernel returns. Not for use
   * inside parallel_for bodies. */
  ctn_status(CTN_CALL* scratch)(ctn_exec e, uint64_t bytes, void** out);
  int32_t(CTN_CALL* num_threads)(ctn_exec e);
  /* What a kernel makes of an input alone (and of numbers it keeps in there too) and wants to find
   * again: packed or folded weights. `key` tells what is of one input apart and is the kernel's
   * choice, in all kernels of a backend. find: NULL if there is none, or the input was written
   * since. keep: new memory to be filled in this run, 64-byte aligned; found once the run has
   * succeeded, in place of what was kept under that key. What was found or kept may be used until
   * the run ends, and read only once it has been filled. Goes with the input's memory; of views
   * nothing is kept. */
  ctn_status(CTN_CALL* find_derived)(ctn_exec e, int32_t input, uint64_t key, const void** out);
  ctn_status(CTN_CALL* keep_derived)(ctn_exec e, int32_t input, uint64_t key, uint64_t bytes,
                                     void** out);
  ctn_context(CTN_CALL* exec_context)(ctn_exec e);
  ctn_device(CTN_CALL* exec_device)(ctn_exec e);
  /* Where a kernel of its own hands over work, as the device's library knows it (a CUstream), in
   * the calling thread; NULL on devices whose work is done at return. */
  void*(CTN_CALL* exec_stream)(ctn_exec e);
  /* what runs, for messages: an op, a gradient, an optimizer's rule; borrowed until the call
   * ends */
  ctn_str(CTN_CALL* exec_label)(ctn_exec e);

  /* For backward. Borrowed variables; NULL where an input is absent, an output or gy is not there.
   * Asking for what the schema does not retain is CTN_EINVAL. */
  ctn_context(CTN_CALL* grad_context)(ctn_grad g);
  int32_t(CTN_CALL* grad_n_in)(ctn_grad g);
  int32_t(CTN_CALL* grad_n_out)(ctn_grad g);
  const ctn_value*(CTN_CALL* grad_attrs)(ctn_grad g);
  ctn_status(CTN_CALL* grad_in)(ctn_grad g, int32_t i, ctn_variable* out);
  ctn_status(CTN_CALL* grad_out)(ctn_grad g, int32_t i, ctn_variable* out);
  ctn_status(CTN_CALL* grad_gy)(ctn_grad g, int32_t i, ctn_variable* out);
  /* shape and dtype of an input or output (kept also when the data is not); borrowed, data NULL */
  ctn_status(CTN_CALL* grad_in_spec)(ctn_grad g, int32_t i, ctn_dltensor* out);
  ctn_status(CTN_CALL* grad_out_spec)(ctn_grad g, int32_t i, ctn_dltensor* out);
  int32_t(CTN_CALL* grad_needed)(ctn_grad g, int32_t i);
  ctn_status(CTN_CALL* grad_set)(ctn_grad g, int32_t i, ctn_variable gx); /* borrowed */

  /* Host memory of the context, for a cpu-like backend's alloc and free. */
  void*(CTN_CALL* host_alloc)(ctn_context ctx, uint64_t bytes, uint64_t align);
  void(CTN_CALL* host_free)(ctn_context ctx, void* p, uint64_t bytes, uint64_t align);

  /* Experimental tables by name and version; NULL if absent. */
  const void*(CTN_CALL* extension)(ctn_str name, uint32_t version);

  /* Takes n numbers of `kind` (CTN_RANDOM_*) from the context's stream as random_draw would, for a
   * device that makes them itself. CTN_EUNSUPPORTED where the context has a ctn_random: draw. */
  ctn_status(CTN_CALL* random_take)(ctn_context ctx, int32_t kind, int64_t n, ctn_philox* out);
  /* What was found out by timing, for kernels that choose where the configuration key `autotune` is
   * on: lines of text by `scope` (machine, library, threads: all that the timing depends on and the
   * call does not say) and `key` (the call). find: *choice is empty where nothing is decided yet,
   * otherwise borrowed as long as the context lives; it may come from a file, so check it. add
   * replaces one that is there. */
  ctn_status(CTN_CALL* tuning_find)(ctn_context ctx, ctn_str scope, ctn_str key, ctn_str* choice);
  ctn_status(CTN_CALL* tuning_add)(ctn_context ctx, ctn_str scope, ctn_str key, ctn_str choice);
} ctn_host;

/* ==== entry points ============================================================================ */

typedef struct ctn_plugin_info {
  uint32_t size;
  uint32_t abi_built; /* CTN_ABI_VERSION */
  uint32_t abi_min;   /* the lowest ABI it runs on */
  uint32_t version;   /* major << 16 | minor << 8 | patch */
  ctn_str name;       /* [a-z0-9_]{1,32}, equal to the manifest's */
  ctn_str kind;       /* "backend", "ops" or "mixed" */
  ctn_str license;
} ctn_plugin_info;

/* Pure data: no allocation, no threads, no devices; callable before anything else. */
typedef const ctn_plugin_info*(CTN_CALL* ctn_plugin_query_fn)(uint32_t host_abi);
/* Keeps `host` (valid for the life of the process) and registers. Called once per process. */
typedef ctn_status(CTN_CALL* ctn_plugin_init_fn)(const ctn_host* host, ctn_plugin self);

/* The names of the two definitions: the exported ones or, in a static build (CTN_STATIC_PLUGINS),
 * unique ones that the program lists itself:
 *   const ctn_plugin_info* CTN_CALL CTN_PLUGIN_QUERY(mine)(uint32_t host_abi) { ... }
 *   ctn_status CTN_CALL CTN_PLUGIN_INIT(mine)(const ctn_host* host, ctn_plugin self) { ... } */
#if defined(CTN_STATIC_PLUGINS)
#define CTN_PLUGIN_QUERY(name) ctn_plugin_query_##name
#define CTN_PLUGIN_INIT(name) ctn_plugin_init_##name
#else
#define CTN_PLUGIN_QUERY(name) ctn_plugin_query
#define CTN_PLUGIN_INIT(name) ctn_plugin_init
CTN_EXPORT const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi);
CTN_EXPORT ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self);
#endif

#if UINTPTR_MAX == UINT64_MAX
CTN_FROZEN(ctn_inst, 24);
CTN_FROZEN(ctn_form_arg, 4);
CTN_FROZEN(ctn_program, 16);
CTN_FROZEN(ctn_acc, 16);
CTN_FROZEN(ctn_input_def, 40);
CTN_FROZEN(ctn_output_def, 40);
CTN_FROZEN(ctn_attr_def, 64);
CTN_FROZEN(ctn_out_spec, 48);
CTN_FROZEN(ctn_state_def, 32);
CTN_FROZEN(ctn_sum_def, 40);
#endif

#ifdef __cplusplus
}
#endif
#endif
