// What kernels see of their node and of a run: attributes, infos, contexts. For custom operators; the fields say what another user of
// them has to fill.
#ifndef KP_ORT_KERNEL_H_
#define KP_ORT_KERNEL_H_

#include "base/arena.h"
#include "graph/graph.h"
#include "kapell/custom_op.h"
#include "ort/options.h"

// --- attributes ------------------------------------------------------------------------------------------------------------------
// |attr|'s name and data lie in |arena|, or belong to a node that lives longer (then |arena| is empty).
struct OrtOpAttr {
  kp_arena arena;
  kp_attr attr;
  kapell_value* tensor;  // a reference of its own, where the attribute was made of a tensor
};

OrtOpAttrType kp_ort_attr_type(const kp_attr* attr);
// A deep copy for the caller to release.
OrtStatus* kp_ort_attr_copy(const kp_attr* from, OrtOpAttr** out);

// --- infos -----------------------------------------------------------------------------------------------------------------------
struct OrtKernelInfo {
  const kp_graph* graph;
  const kp_node* node;
  kapell_value* const* constants;  // parallel to the inputs; entries may be NULL
  const OrtLogger* logger;         // NULL: the environment's
  const OrtKeyValuePairs* config;  // of the session; NULL: none
  OrtValue** handles;  // owned: of constants that were asked for; parallel to the inputs
  size_t handle_count;
};
void kp_ort_kernel_info_clear(OrtKernelInfo* info);  // frees what it owns, not the struct

// --- contexts --------------------------------------------------------------------------------------------------------------------
// One call of a kernel: handles on the inputs, outputs as they are made.
struct OrtKernelContext {
  kapell_custom_run* run;
  const OrtKernelInfo* info;
  OrtValue *inputs, *outputs;  // with |value| NULL where absent or not made
  size_t input_count, output_count;
};

// --- custom operators ------------------------------------------------------------------------------------------------------------
struct OrtCustomOpDomain {
  char* name;
  const OrtCustomOp** ops;  // borrowed, each
  size_t count;
};

// The custom operators of session options, for kapell_options. Lives as long as the session.
typedef struct kp_ort_custom_ops {
  kp_arena arena;
  const kapell_custom_op** list;
  size_t count;
  const OrtLogger* logger;  // borrowed
  OrtKeyValuePairs config;
} kp_ort_custom_ops;

// Calls |symbol|, a RegisterCustomOpsFn that dlsym gave, on |options|; what it throws is an error.
OrtStatus* kp_ort_register_custom_ops(void* symbol, OrtSessionOptions* options);
OrtStatus* kp_ort_custom_ops_create(const OrtSessionOptions* options, const OrtLogger* logger,
                                    kp_ort_custom_ops** out);
void kp_ort_custom_ops_free(kp_ort_custom_ops* ops);  // NULL is fine

// Kapell's form of a client's status (taken; NULL stays NULL).
KP_MUST_USE kp_status* kp_ort_to_status(OrtStatus* status);
// The code that a client's status with this |message| had when kp_ort_to_status took it on this thread, else |otherwise|.
OrtErrorCode kp_ort_passed_code(const char* message, OrtErrorCode otherwise);

#endif  // KP_ORT_KERNEL_H_
