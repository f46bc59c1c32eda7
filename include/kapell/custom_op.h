// Custom operators: a program gives Kapell operators of its own, for the CPU provider to run.
//
// A kapell_custom_op says which nodes it is for (domain, name, versions, types of inputs and outputs) and has four functions. A list of
// them goes into kapell_options.custom_ops. Operators of the list come before those of Kapell with the same name. Several of one
// name are told apart by version (the newest that a model's import allows), then by the types of their inputs, in the order of the list.
// Everything that a kapell_custom_op points to stays valid and unchanged until the sessions that were opened with it are closed.
#ifndef KAPELL_CUSTOM_OP_H_
#define KAPELL_CUSTOM_OP_H_

#include "kapell/kapell.h"

#ifdef __cplusplus
extern "C" {
#endif

// A node, while its session is opened and as long as it is open.
typedef struct kapell_custom_node kapell_custom_node;
typedef struct kapell_custom_infer kapell_custom_infer;  // one call of |infer|
typedef struct kapell_custom_run kapell_custom_run;      // one call of |compute|

typedef enum kapell_custom_presence {
  KAPELL_CUSTOM_REQUIRED = 0,
  KAPELL_CUSTOM_OPTIONAL = 1,
  KAPELL_CUSTOM_VARIADIC = 2  // the last one only: takes all that follow, |min_count| at least
} kapell_custom_presence;

typedef struct kapell_custom_param {
  kapell_type type;  // of the elements; UNDEFINED: anything, values that are no tensors included
  kapell_custom_presence presence;
  uint32_t min_count;
  bool heterogeneous;  // variadic, UNDEFINED: types may differ from one to the next
} kapell_custom_param;

typedef struct kapell_custom_op {
  size_t struct_size;  // sizeof(kapell_custom_op)
  const char* domain;  // "" or "ai.onnx" for ONNX's own
  const char* name;
  int32_t since_version;  // of the domain's opset; 0 (default): 1
  int32_t until_version;  // the last one; 0 (default): none
  const kapell_custom_param* inputs;
  size_t input_count;
  const kapell_custom_param* outputs;  // UNDEFINED: the type of the first input that is UNDEFINED
  size_t output_count;
  void* user;
  // Makes what the runs of one node share. Called on the thread that opens the session, perhaps more than once for a node. Default
  // NULL: the kernel is |user|. |node| stays valid until |destroy|.
  kapell_status* (*create)(void* user, const kapell_custom_node* node, void** out_kernel);
  // Says what it can of the outputs' shapes. Default NULL: only the run tells.
  kapell_status* (*infer)(void* user, kapell_custom_infer* infer);
  // Computes. Called from any thread, from several at once if the session is run so. It makes every output that is wanted.
  kapell_status* (*compute)(void* kernel, kapell_custom_run* run);
  void (*destroy)(void* kernel);  // default NULL: nothing is to be done
} kapell_custom_op;

// A failure, for the functions above. |message| is copied.
KAPELL_API kapell_status* kapell_status_create(kapell_code code, const char* message);

// --- looking at a node -----------------------------------------------------------------------------------------------------
KAPELL_API const char* kapell_custom_node_name(const kapell_custom_node* node);
KAPELL_API const char* kapell_custom_node_op(const kapell_custom_node* node);
KAPELL_API const char* kapell_custom_node_domain(const kapell_custom_node* node);
KAPELL_API int32_t kapell_custom_node_version(const kapell_custom_node* node);
KAPELL_API size_t kapell_custom_node_input_count(const kapell_custom_node* node);
KAPELL_API size_t kapell_custom_node_output_count(const kapell_custom_node* node);

// What is known of an input or output before any run.
typedef struct kapell_custom_value {
  const char* name;              // NULL: absent
  kapell_kind kind;              // NONE: not known
  kapell_type type;              // UNDEFINED: not known
  int32_t rank;                  // -1: not known
  int64_t dims[32];              // -1: not known
  const kapell_value* constant;  // of an input, where it is one; else NULL
} kapell_custom_value;
// False past the end.
KAPELL_API bool kapell_custom_node_input(const kapell_custom_node* node, size_t index,
                                         kapell_custom_value* out_value);
KAPELL_API bool kapell_custom_node_output(const kapell_custom_node* node, size_t index,
                                          kapell_custom_value* out_value);

typedef enum kapell_attribute_kind {  // numbers of AttributeProto.AttributeType
  KAPELL_ATTRIBUTE_FLOAT = 1,
  KAPELL_ATTRIBUTE_INT = 2,
  KAPELL_ATTRIBUTE_STRING = 3,
  KAPELL_ATTRIBUTE_TENSOR = 4,
  KAPELL_ATTRIBUTE_FLOATS = 6,
  KAPELL_ATTRIBUTE_INTS = 7,
  KAPELL_ATTRIBUTE_STRINGS = 8
} kapell_attribute_kind;

typedef struct kapell_attribute {
  const char* name;
  int kind;  // kapell_attribute_kind, or another number of AttributeType: then nothing below is set
  size_t count;  // of the lists
  float f;
  int64_t i;
  const kapell_value* tensor;
  const float* floats;
  const int64_t* ints;
  const void* strings;  // for kapell_attribute_string; STRING too
} kapell_attribute;
KAPELL_API size_t kapell_custom_node_attribute_count(const kapell_custom_node* node);
// False past the end, and for a name that the node does not have. The node owns what the attribute points to.
KAPELL_API bool kapell_custom_node_attribute(const kapell_custom_node* node, size_t index,
                                             kapell_attribute* out_attribute);
KAPELL_API bool kapell_custom_node_find_attribute(const kapell_custom_node* node, const char* name,
                                                  kapell_attribute* out_attribute);
// Text |index| of STRINGS (0 for STRING); not ended by a NUL. NULL past the end.
KAPELL_API const char* kapell_attribute_string(const kapell_attribute* attribute, size_t index,
                                               size_t* out_length);

// --- shapes ----------------------------------------------------------------------------------------------------------------
KAPELL_API const kapell_custom_node* kapell_custom_infer_node(const kapell_custom_infer* infer);
// Output |index| is a tensor of |type| (UNDEFINED: as the operator says), |rank| (-1: not known) and |dims| (-1: not known).
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_custom_infer_output(kapell_custom_infer* infer,
                                                                     size_t index, kapell_type type,
                                                                     const int64_t* dims,
                                                                     int32_t rank);

// --- computing -------------------------------------------------------------------------------------------------------------
KAPELL_API size_t kapell_custom_run_input_count(const kapell_custom_run* run);
KAPELL_API size_t kapell_custom_run_output_count(const kapell_custom_run* run);
// NULL: absent. Valid during the call; its data must not be written to.
KAPELL_API const kapell_value* kapell_custom_run_input(const kapell_custom_run* run, size_t index);
KAPELL_API bool kapell_custom_run_wants(const kapell_custom_run* run, size_t index);
// A tensor to write output |index| into; a second call with the same shape gives the same one. Valid during the call.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_custom_run_output(kapell_custom_run* run,
                                                                   size_t index, kapell_type type,
                                                                   const int64_t* dims,
                                                                   int32_t rank,
                                                                   kapell_value** out_value);
// Output |index| is |value|, of any kind; one reference is taken, also on an error.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_custom_run_set_output(kapell_custom_run* run,
                                                                       size_t index,
                                                                       kapell_value* value);
// Calls |fn| for 0 to |count| - 1 on the threads that the run has.
KAPELL_API void kapell_custom_run_parallel_for(const kapell_custom_run* run, size_t count,
                                               void (*fn)(void* user, size_t index), void* user);
KAPELL_API bool kapell_custom_run_cancelled(const kapell_custom_run* run);

// --- libraries that were made for ONNX Runtime -----------------------------------------------------------------------------
typedef struct kapell_custom_op_library kapell_custom_op_library;

// Loads the library at |path| and has it register its operators (its function RegisterCustomOps). Functions of ONNX Runtime's C API that
// need one of its sessions answer it with "not implemented": CreateOp and InvokeOp among them.
//
// Owns:    close it when the sessions that have its operators are closed; the library itself stays loaded until the process ends.
// Threads: any. Errors: NOT_FOUND (not loaded), INVALID_ARGUMENT (no such library, or what it says itself), OUT_OF_MEMORY.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_custom_op_library_open(
    const char* path, kapell_custom_op_library** out_library);
// Its operators, for kapell_options.custom_ops. Owned by the library.
KAPELL_API const kapell_custom_op* const* kapell_custom_op_library_ops(
    const kapell_custom_op_library* library, size_t* out_count);
KAPELL_API void kapell_custom_op_library_close(kapell_custom_op_library* library);

#ifdef __cplusplus
}
#endif
#endif  // KAPELL_CUSTOM_OP_H_
