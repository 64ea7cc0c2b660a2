/* api.h: made by tools/gen/api_table.py from catena.h; do not edit.
 * Every function of <catena/catena.h> as a member, for plugins, which link to nothing of ours. */
#ifndef CATENA_API_H
#define CATENA_API_H

#include <catena/catena.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
typedef struct ctn_api {
  uint32_t size;
  uint32_t abi;
  uint32_t(CTN_CALL* version)(void);
  uint32_t(CTN_CALL* abi_version)(void);
  const char*(CTN_CALL* error_message)(void);
  ctn_status(CTN_CALL* error_code)(void);
  const char*(CTN_CALL* status_name)(ctn_status status);
  ctn_status(CTN_CALL* error_set)(ctn_status code, ctn_str text);
  ctn_status(CTN_CALL* plugin_load)(ctn_str path);
  ctn_status(CTN_CALL* plugin_dir)(ctn_str path);
  ctn_status(CTN_CALL* plugin_report)(ctn_str* out);
  ctn_status(CTN_CALL* op_find)(ctn_str name, int32_t* op);
  int32_t(CTN_CALL* op_count)(void);
  ctn_status(CTN_CALL* op_name)(int32_t op, ctn_str* out);
  ctn_status(CTN_CALL* op_attr)(int32_t op, ctn_str name, int32_t* index);
  ctn_status(CTN_CALL* op_arity)(int32_t op, int32_t* n_in, int32_t* n_out, int32_t* n_attrs);
  ctn_status(CTN_CALL* schema_json)(ctn_str* out);
  ctn_status(CTN_CALL* context_create)(const ctn_context_options* options, ctn_context* out);
  void(CTN_CALL* context_retain)(ctn_context ctx);
  void(CTN_CALL* context_release)(ctn_context ctx);
  ctn_status(CTN_CALL* context_device)(ctn_context ctx, ctn_device* device, ctn_str* backend);
  ctn_status(CTN_CALL* device_find)(ctn_context ctx, ctn_str name, ctn_device* out);
  ctn_status(CTN_CALL* device_count)(ctn_context ctx, ctn_str backend, int32_t* n);
  ctn_status(CTN_CALL* device_describe)(ctn_context ctx, ctn_device device, ctn_str* name, ctn_str* text);
  ctn_status(CTN_CALL* device_name)(ctn_context ctx, ctn_str* out);
  int32_t(CTN_CALL* context_threads)(ctn_context ctx);
  ctn_status(CTN_CALL* synchronize)(ctn_context ctx);
  ctn_status(CTN_CALL* device_stream)(ctn_context ctx, ctn_device device, void** out);
  ctn_status(CTN_CALL* device_follow)(ctn_context ctx, ctn_device device, void* stream);
  ctn_status(CTN_CALL* device_lead)(ctn_context ctx, ctn_device device, void* stream);
  ctn_status(CTN_CALL* config_set_global)(ctn_context ctx, ctn_str key, const ctn_value* value);
  ctn_status(CTN_CALL* config_set)(ctn_context ctx, ctn_str key, const ctn_value* value);
  ctn_status(CTN_CALL* config_get)(ctn_context ctx, ctn_str key, ctn_value* out);
  ctn_status(CTN_CALL* config_get_local)(ctn_context ctx, ctn_str key, ctn_value* out);
  ctn_status(CTN_CALL* tuning_save)(ctn_context ctx, ctn_str path);
  ctn_status(CTN_CALL* tuning_load)(ctn_context ctx, ctn_str path);
  ctn_status(CTN_CALL* memory_get_stats)(ctn_context ctx, ctn_memory_stats* out);
  ctn_status(CTN_CALL* memory_set_limit)(ctn_context ctx, uint64_t bytes);
  ctn_status(CTN_CALL* device_get_stats)(ctn_context ctx, ctn_device device, ctn_device_stats* out);
  ctn_status(CTN_CALL* memory_trim)(ctn_context ctx);
  ctn_status(CTN_CALL* random_seed)(ctn_context ctx, uint64_t seed);
  ctn_status(CTN_CALL* random_draw)(ctn_context ctx, int32_t kind, void* dst, int64_t n);
  ctn_status(CTN_CALL* array_new)(ctn_context ctx, ctn_dtype dtype, int32_t ndim, const int64_t* shape, ctn_array* out);
  ctn_status(CTN_CALL* array_new_on)(ctn_context ctx, ctn_device device, ctn_dtype dtype, int32_t ndim, const int64_t* shape, ctn_array* out);
  ctn_status(CTN_CALL* array_full)(ctn_context ctx, ctn_dtype dtype, int32_t ndim, const int64_t* shape, const ctn_value* value, ctn_array* out);
  ctn_status(CTN_CALL* array_from_host)(ctn_context ctx, ctn_dtype dtype, int32_t ndim, const int64_t* shape, const void* data, ctn_array* out);
  ctn_status(CTN_CALL* array_wrap)(ctn_context ctx, const ctn_dltensor* view, void(CTN_CALL* drop)(void* user), void* user, ctn_array* out);
  ctn_status(CTN_CALL* array_from_dlpack)(ctn_context ctx, ctn_dlpack* t, ctn_array* out);
  ctn_status(CTN_CALL* array_to_dlpack)(ctn_array a, ctn_dlpack** out);
  ctn_status(CTN_CALL* array_to_dlpack_stream)(ctn_array a, void* stream, ctn_dlpack** out);
  void(CTN_CALL* array_retain)(ctn_array a);
  void(CTN_CALL* array_release)(ctn_array a);
  ctn_status(CTN_CALL* array_spec)(ctn_array a, ctn_dltensor* out);
  ctn_status(CTN_CALL* array_view)(ctn_array a, ctn_dltensor* out);
  ctn_status(CTN_CALL* array_to_host)(ctn_array a, void* dst, uint64_t bytes);
  ctn_status(CTN_CALL* array_set)(ctn_array a, const void* src, uint64_t bytes);
  ctn_status(CTN_CALL* array_fill)(ctn_array a, const ctn_value* value);
  ctn_status(CTN_CALL* array_assign)(ctn_array dst, ctn_array src);
  ctn_status(CTN_CALL* array_copy)(ctn_array a, ctn_dtype dtype, ctn_array* out);
  ctn_status(CTN_CALL* array_strided)(ctn_array a, int32_t ndim, const int64_t* shape, const int64_t* strides, int64_t offset, ctn_array* out);
  ctn_status(CTN_CALL* array_reshape)(ctn_array a, int32_t ndim, const int64_t* shape, ctn_array* out);
  ctn_status(CTN_CALL* array_to_device)(ctn_array a, ctn_device device, ctn_array* out);
  ctn_context(CTN_CALL* array_context)(ctn_array a);
  ctn_status(CTN_CALL* call)(ctn_context ctx, int32_t op, const ctn_variable* in, int32_t n_in, const ctn_value* attrs, int32_t n_attrs, ctn_variable* out, int32_t n_out);
  ctn_status(CTN_CALL* call_named)(ctn_context ctx, ctn_str op, const ctn_variable* in, int32_t n_in, const ctn_attr* attrs, int32_t n_attrs, ctn_variable* out, int32_t n_out);
  ctn_status(CTN_CALL* call_outputs)(ctn_context ctx, int32_t op, const ctn_variable* in, int32_t n_in, const ctn_value* attrs, int32_t n_attrs, int32_t* n_out);
  ctn_status(CTN_CALL* kernel_create)(ctn_context ctx, const ctn_kernel_source* source, ctn_kernel* out);
  void(CTN_CALL* kernel_retain)(ctn_kernel k);
  void(CTN_CALL* kernel_release)(ctn_kernel k);
  ctn_status(CTN_CALL* kernel_call)(ctn_kernel k, const ctn_variable* in, int32_t n_in, const int64_t* axes, int32_t n_axes, int32_t keepdims, ctn_variable* out, int32_t n_out);
  ctn_status(CTN_CALL* variable_new)(ctn_array a, int32_t requires_grad, ctn_variable* out);
  void(CTN_CALL* variable_retain)(ctn_variable v);
  void(CTN_CALL* variable_release)(ctn_variable v);
  ctn_status(CTN_CALL* variable_array)(ctn_variable v, ctn_array* out);
  ctn_status(CTN_CALL* variable_spec)(ctn_variable v, ctn_dltensor* out);
  ctn_status(CTN_CALL* variable_view)(ctn_variable v, ctn_dltensor* out);
  ctn_status(CTN_CALL* variable_set_array)(ctn_variable v, ctn_array a);
  ctn_status(CTN_CALL* variable_to_device)(ctn_variable v, ctn_device device);
  ctn_status(CTN_CALL* variable_grad)(ctn_variable v, ctn_variable* out);
  ctn_status(CTN_CALL* variable_set_grad)(ctn_variable v, ctn_variable g);
  ctn_status(CTN_CALL* variable_clear_grad)(ctn_variable v);
  ctn_status(CTN_CALL* variable_add_grad)(ctn_variable v, ctn_variable g);
  int32_t(CTN_CALL* variable_requires_grad)(ctn_variable v);
  int32_t(CTN_CALL* variable_rank)(ctn_variable v);
  ctn_status(CTN_CALL* variable_set_name)(ctn_variable v, ctn_str name);
  ctn_status(CTN_CALL* variable_name)(ctn_variable v, ctn_str* out);
  ctn_status(CTN_CALL* variable_creator)(ctn_variable v, int32_t* op, ctn_variable* in, int32_t room, int32_t* n);
  ctn_status(CTN_CALL* variable_unchain)(ctn_variable v);
  ctn_status(CTN_CALL* variable_unchain_backward)(ctn_variable v);
  ctn_context(CTN_CALL* variable_context)(ctn_variable v);
  ctn_status(CTN_CALL* variable_set_user)(ctn_variable v, void* user, void(CTN_CALL* drop)(void* user));
  void*(CTN_CALL* variable_user)(ctn_variable v);
  ctn_status(CTN_CALL* variable_backward)(ctn_variable v, const ctn_backward_options* options);
  ctn_status(CTN_CALL* grad_of)(const ctn_variable* outputs, int32_t n_out, const ctn_variable* inputs, int32_t n_in, const ctn_grad_options* options, ctn_variable* grads);
  ctn_status(CTN_CALL* function_hook_add)(ctn_context ctx, const ctn_function_hook* hook, uint64_t* id);
  ctn_status(CTN_CALL* function_hook_remove)(ctn_context ctx, uint64_t id);
  ctn_status(CTN_CALL* parameter_new)(ctn_context ctx, ctn_str initializer, const ctn_value* attrs, int32_t n_attrs, ctn_dtype dtype, int32_t ndim, const int64_t* shape, ctn_variable* out);
  ctn_status(CTN_CALL* parameter_initialize)(ctn_variable p, int32_t ndim, const int64_t* shape);
  int32_t(CTN_CALL* parameter_is_initialized)(ctn_variable p);
  ctn_status(CTN_CALL* initialize)(ctn_array a, ctn_str initializer, const ctn_value* attrs, int32_t n_attrs);
  ctn_status(CTN_CALL* link_create)(ctn_context ctx, ctn_str name, const ctn_value* attrs, int32_t n_attrs, ctn_link* out);
  ctn_status(CTN_CALL* link_create_named)(ctn_context ctx, ctn_str name, const ctn_attr* attrs, int32_t n_attrs, ctn_link* out);
  ctn_status(CTN_CALL* chain_create)(ctn_context ctx, const ctn_callback* call, int32_t n_out, ctn_link* out);
  void(CTN_CALL* link_retain)(ctn_link l);
  void(CTN_CALL* link_release)(ctn_link l);
  ctn_status(CTN_CALL* link_call)(ctn_link l, const ctn_variable* in, int32_t n_in, ctn_variable* out, int32_t n_out);
  ctn_status(CTN_CALL* link_class)(ctn_link l, ctn_str* out);
  ctn_context(CTN_CALL* link_context)(ctn_link l);
  ctn_status(CTN_CALL* link_add_param)(ctn_link l, ctn_str name, ctn_variable p);
  ctn_status(CTN_CALL* link_add_persistent)(ctn_link l, ctn_str name, ctn_array a);
  ctn_status(CTN_CALL* link_add_child)(ctn_link l, ctn_str name, ctn_link child);
  ctn_status(CTN_CALL* link_set_persistent)(ctn_link l, ctn_str path, ctn_array a);
  ctn_status(CTN_CALL* link_param)(ctn_link l, ctn_str path, ctn_variable* out);
  ctn_status(CTN_CALL* link_persistent)(ctn_link l, ctn_str path, ctn_array* out);
  ctn_status(CTN_CALL* link_child)(ctn_link l, ctn_str path, ctn_link* out);
  ctn_status(CTN_CALL* link_visit)(ctn_link l, ctn_link_visitor visitor, void* user);
  ctn_status(CTN_CALL* link_attr)(ctn_link l, int32_t index, ctn_value* out);
  ctn_status(CTN_CALL* link_set_attr)(ctn_link l, int32_t index, const ctn_value* value);
  ctn_status(CTN_CALL* link_set_state)(ctn_link l, ctn_str name, ctn_variable v);
  ctn_status(CTN_CALL* link_state)(ctn_link l, ctn_str name, ctn_variable* out);
  ctn_status(CTN_CALL* link_copy)(ctn_link l, int32_t mode, ctn_link* out);
  ctn_status(CTN_CALL* link_clear_grads)(ctn_link l);
  ctn_status(CTN_CALL* link_copy_params)(ctn_link l, ctn_link from);
  ctn_status(CTN_CALL* link_to_device)(ctn_link l, ctn_device device);
  ctn_status(CTN_CALL* link_enable_update)(ctn_link l, int32_t enabled);
  ctn_status(CTN_CALL* optimizer_create)(ctn_context ctx, ctn_str name, const ctn_value* hyper, int32_t n_hyper, ctn_optimizer* out);
  ctn_status(CTN_CALL* optimizer_create_named)(ctn_context ctx, ctn_str name, const ctn_attr* hyper, int32_t n_hyper, ctn_optimizer* out);
  void(CTN_CALL* optimizer_retain)(ctn_optimizer o);
  void(CTN_CALL* optimizer_release)(ctn_optimizer o);
  ctn_status(CTN_CALL* optimizer_setup)(ctn_optimizer o, ctn_link target);
  ctn_status(CTN_CALL* optimizer_update)(ctn_optimizer o);
  ctn_status(CTN_CALL* optimizer_set_hyper)(ctn_optimizer o, ctn_str name, double value);
  ctn_status(CTN_CALL* optimizer_get_hyper)(ctn_optimizer o, ctn_str name, double* out);
  ctn_status(CTN_CALL* optimizer_set_rule_hyper)(ctn_optimizer o, ctn_str path, ctn_str name, double value);
  ctn_status(CTN_CALL* optimizer_get_rule_hyper)(ctn_optimizer o, ctn_str path, ctn_str name, double* out);
  ctn_status(CTN_CALL* optimizer_enable_rule)(ctn_optimizer o, ctn_str path, int32_t enabled);
  ctn_status(CTN_CALL* optimizer_add_hook)(ctn_optimizer o, ctn_str path, ctn_str hook, ctn_str name, int32_t timing, const ctn_value* attrs, int32_t n_attrs);
  ctn_status(CTN_CALL* optimizer_add_callback)(ctn_optimizer o, ctn_str path, ctn_str name, int32_t timing, const ctn_callback* hook);
  ctn_status(CTN_CALL* optimizer_remove_hook)(ctn_optimizer o, ctn_str path, ctn_str name);
  ctn_status(CTN_CALL* optimizer_set_loss_scale)(ctn_optimizer o, double scale);
  ctn_status(CTN_CALL* optimizer_loss_scale)(ctn_optimizer o, double* scale);
  ctn_status(CTN_CALL* optimizer_use_fp32_update)(ctn_optimizer o, int32_t enabled);
  ctn_status(CTN_CALL* optimizer_t)(ctn_optimizer o, int64_t* t);
  ctn_status(CTN_CALL* optimizer_epoch)(ctn_optimizer o, int64_t* epoch);
  ctn_status(CTN_CALL* optimizer_new_epoch)(ctn_optimizer o, int64_t* epoch);
  ctn_status(CTN_CALL* optimizer_rule_t)(ctn_optimizer o, ctn_str path, int64_t* t);
  ctn_status(CTN_CALL* optimizer_state)(ctn_optimizer o, ctn_str path, ctn_str name, ctn_array* out);
  ctn_status(CTN_CALL* optimizer_target)(ctn_optimizer o, ctn_link* out);
  ctn_status(CTN_CALL* capture_begin)(ctn_context ctx, ctn_device device);
  ctn_status(CTN_CALL* capture_end)(ctn_context ctx, ctn_capture* out);
  ctn_status(CTN_CALL* capture_replay)(ctn_capture c);
  void(CTN_CALL* capture_retain)(ctn_capture c);
  void(CTN_CALL* capture_release)(ctn_capture c);
  ctn_status(CTN_CALL* save_npz_link)(ctn_link l, ctn_str path, uint32_t flags);
  ctn_status(CTN_CALL* save_npz_link_to)(ctn_link l, ctn_write_fn write, void* user, uint32_t flags);
  ctn_status(CTN_CALL* load_npz_link)(ctn_link l, ctn_str path, ctn_str prefix, int32_t strict);
  ctn_status(CTN_CALL* load_npz_link_memory)(ctn_link l, const void* data, uint64_t bytes, ctn_str prefix, int32_t strict);
  ctn_status(CTN_CALL* load_npz_link_from)(ctn_link l, ctn_read_fn read, void* user, uint64_t bytes, ctn_str prefix, int32_t strict);
  ctn_status(CTN_CALL* save_npz_optimizer)(ctn_optimizer o, ctn_str path, uint32_t flags);
  ctn_status(CTN_CALL* save_npz_optimizer_to)(ctn_optimizer o, ctn_write_fn write, void* user, uint32_t flags);
  ctn_status(CTN_CALL* load_npz_optimizer)(ctn_optimizer o, ctn_str path, ctn_str prefix, int32_t strict);
  ctn_status(CTN_CALL* load_npz_optimizer_memory)(ctn_optimizer o, const void* data, uint64_t bytes, ctn_str prefix, int32_t strict);
  ctn_status(CTN_CALL* load_npz_optimizer_from)(ctn_optimizer o, ctn_read_fn read, void* user, uint64_t bytes, ctn_str prefix, int32_t strict);
  ctn_status(CTN_CALL* save_npz_arrays)(ctn_context ctx, ctn_str path, const ctn_str* names, const ctn_array* arrays, int32_t n, uint32_t flags);
  ctn_status(CTN_CALL* save_npz_arrays_to)(ctn_context ctx, ctn_write_fn write, void* user, const ctn_str* names, const ctn_array* arrays, int32_t n, uint32_t flags);
  ctn_status(CTN_CALL* load_npz_arrays)(ctn_context ctx, ctn_str path, ctn_link_visitor visitor, void* user);
  ctn_status(CTN_CALL* load_npz_arrays_memory)(ctn_context ctx, const void* data, uint64_t bytes, ctn_link_visitor visitor, void* user);
  ctn_status(CTN_CALL* load_npz_arrays_from)(ctn_context ctx, ctn_read_fn read, void* read_user, uint64_t bytes, ctn_link_visitor visitor, void* visitor_user);
} ctn_api;
/* clang-format on */

#ifdef __cplusplus
}
#endif
#endif
