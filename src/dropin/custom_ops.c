// Custom operators from shared libraries and functions, and operators that kernels of the client's invoke.
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "dropin/session.h"
#include "ort/model.h"

// --- registration ----------------------------------------------------------------------------------------------------------------
static OrtStatus* call_function(OrtSessionOptions* options, void* handle, const char* name) {
  void* symbol = dlsym(handle, name);
  if (!symbol) return kp_ort_error(ORT_FAIL, "no function '%s': %s", name, dlerror());
  return kp_ort_register_custom_ops(symbol, options);
}

static OrtStatus* open_library(const char* path, void** out_handle) {
  *out_handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  return *out_handle ? NULL
                     : kp_ort_error(ORT_FAIL, "Failed to load library %s: %s", path, dlerror());
}

OrtStatus* ort_RegisterCustomOpsLibrary(OrtSessionOptions* options, const char* library_path,
                                        void** library) {
  KP_ORT_NEED(library);
  *library = NULL;
  KP_ORT_NEED(options);
  KP_ORT_NEED(library_path);
  KP_ORT_PASS(open_library(library_path, library));
  return call_function(options, *library, "RegisterCustomOps");
}

OrtStatus* ort_RegisterCustomOpsLibrary_V2(OrtSessionOptions* options, const char* library_name) {
  void* handle;
  KP_ORT_NEED(options);
  KP_ORT_NEED(library_name);
  KP_ORT_PASS(open_library(library_name, &handle));
  KP_ORT_PASS(kp_ort_options_keep_library(options, handle));
  return call_function(options, handle, "RegisterCustomOps");
}

OrtStatus* ort_RegisterCustomOpsUsingFunction(OrtSessionOptions* options,
                                              const char* registration_func_name) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(registration_func_name);
  return call_function(options, RTLD_DEFAULT, registration_func_name);
}

// --- invoking operators ----------------------------------------------------------------------------------------------------------
// One session for each combination of input types, kept until the operator is released.
typedef struct op_session {
  struct op_session* next;
  kapell_session* session;
  kapell_type types[];  // UNDEFINED: absent, or no tensor
} op_session;

static pthread_mutex_t op_lock = PTHREAD_MUTEX_INITIALIZER;  // guards the lists of all operators

static kapell_type type_of(const OrtValue* value) {
  return value && value->value && value->value->kind == KAPELL_KIND_TENSOR ? value->value->type
                                                                           : KAPELL_UNDEFINED;
}

static OrtStatus* copy_op(OrtOp* op, const char* name, const char* domain,
                          const OrtOpAttr* const* attrs, size_t attr_count) {
  op->name = kp_arena_strndup(&op->arena, name, strlen(name));
  op->domain = kp_arena_strndup(&op->arena, domain, strlen(domain));
  op->attrs = kp_arena_new_array(&op->arena, OrtOpAttr*, attr_count + 1);
  if (!op->name || !op->domain || !op->attrs) return kp_ort_no_memory();
  for (size_t i = 0; i < attr_count; ++i) {
    KP_ORT_NEED(attrs[i]);
    KP_ORT_PASS(kp_ort_attr_copy(&attrs[i]->attr, &op->attrs[i]));
    op->attr_count = i + 1;
  }
  return NULL;
}

// Types of constraints are those of the values that come; an operator that does not exist is an error here already.
OrtStatus* ort_CreateOp(const OrtKernelInfo* info, const char* op_name, const char* domain,
                        int version, const char** type_constraint_names,
                        const ONNXTensorElementDataType* type_constraint_values,
                        int type_constraint_count, const OrtOpAttr* const* attr_values,
                        int attr_count, int input_count, int output_count, OrtOp** ort_op) {
  (void)type_constraint_names, (void)type_constraint_values, (void)type_constraint_count;
  KP_ORT_NEED(ort_op);
  *ort_op = NULL;
  KP_ORT_NEED(info);
  KP_ORT_NEED(op_name);
  KP_ORT_NEED(domain);
  if (attr_count > 0) KP_ORT_NEED(attr_values);
  if (attr_count < 0 || input_count < 0 || output_count < 1 || input_count > 4096 ||
      output_count > 4096)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "CreateOp: %d attributes, %d inputs, %d outputs",
                        attr_count, input_count, output_count);
  KP_ORT_PASS(kp_ort_op_exists(op_name, domain, version));
  OrtOp* op = kp_alloc_zero(1, sizeof *op);
  if (!op) return kp_ort_no_memory();
  op->version = version;
  op->input_count = (size_t)input_count;
  op->output_count = (size_t)output_count;
  OrtStatus* status = copy_op(op, op_name, domain, attr_values, (size_t)attr_count);
  if (status) {
    ort_ReleaseOp(op);
    return status;
  }
  *ort_op = op;
  return NULL;
}

void ort_ReleaseOp(OrtOp* object) {
  if (!object) return;
  for (op_session *s = object->sessions, *next; s; s = next) {
    next = s->next;
    kapell_session_close(s->session);
    kp_free(s);
  }
  for (size_t i = 0; i < object->attr_count; ++i) ort_ReleaseOpAttr(object->attrs[i]);
  kp_arena_free(&object->arena);
  kp_free(object);
}

static bool fits(const op_session* s, const OrtValue* const* inputs, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (s->types[i] != type_of(inputs[i])) return false;
  return true;
}

static OrtStatus* open_op(const OrtOp* op, const OrtValue* const* inputs, op_session** out) {
  void* bytes;
  size_t size;
  op_session* made = kp_alloc_zero(1, sizeof *made + op->input_count * sizeof(kapell_type));
  if (!made) return kp_ort_no_memory();
  for (size_t i = 0; i < op->input_count; ++i) made->types[i] = type_of(inputs[i]);
  OrtStatus* status = kp_ort_op_model(op, inputs, &bytes, &size);
  if (!status) {
    status = kp_ort_status(kapell_session_open(bytes, size, NULL, &made->session));
    kp_free(bytes);
  }
  if (status) {
    kp_free(made);
    return status;
  }
  *out = made;
  return NULL;
}

static OrtStatus* session_for(const OrtOp* op, const OrtValue* const* inputs,
                              kapell_session** out) {
  OrtOp* own = (OrtOp*)(uintptr_t)op;  // the list is the operator's cache
  OrtStatus* status = NULL;
  pthread_mutex_lock(&op_lock);
  op_session* s = own->sessions;
  while (s && !fits(s, inputs, op->input_count)) s = s->next;
  if (!s) {
    status = open_op(op, inputs, &s);
    if (!status) {
      s->next = own->sessions;
      own->sessions = s;
    }
  }
  if (!status) *out = s->session;
  pthread_mutex_unlock(&op_lock);
  return status;
}

static OrtStatus* run_op(const OrtOp* op, const OrtValue* const* inputs, OrtValue* const* outputs) {
  kapell_session* session;
  KP_ORT_PASS(session_for(op, inputs, &session));
  kapell_value** values = kp_alloc_zero(op->input_count + op->output_count, sizeof *values);
  if (!values) return kp_ort_no_memory();
  kapell_value** made = values + op->input_count;
  size_t count = 0;
  for (size_t i = 0; i < op->input_count; ++i)
    if (inputs[i]) values[count++] = inputs[i]->value;
  for (size_t o = 0; o < op->output_count; ++o) made[o] = outputs[o]->value;
  OrtStatus* status = kp_ort_status(
      kapell_session_run(session, NULL, NULL, values, count, NULL, made, op->output_count));
  kp_free(values);
  return status;
}

OrtStatus* ort_InvokeOp(const OrtKernelContext* context, const OrtOp* ort_op,
                        const OrtValue* const* input_values, int input_count,
                        OrtValue* const* output_values, int output_count) {
  KP_ORT_NEED(context);
  KP_ORT_NEED(ort_op);
  if (input_count) KP_ORT_NEED(input_values);
  KP_ORT_NEED(output_values);
  if ((size_t)input_count != ort_op->input_count || (size_t)output_count != ort_op->output_count)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "InvokeOp: %s was made for %zu inputs and %zu outputs, %d and %d came",
                        ort_op->name, ort_op->input_count, ort_op->output_count, input_count,
                        output_count);
  for (int o = 0; o < output_count; ++o)
    if (!output_values[o] || !output_values[o]->value)
      return kp_ort_error(ORT_INVALID_ARGUMENT, "InvokeOp: output %d is NULL", o);
  return run_op(ort_op, input_values, output_values);
}
