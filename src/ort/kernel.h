// What kernels see of their node and of a run: attributes, infos, contexts. For custom operators (custom_op.c) and for providers from
// libraries (provider/plugin/).
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
  // Of kernels of provider libraries alone, else NULL:
  const OrtEp* ep;
  OrtAllocator* allocator;  // the library's, for its default memory; NULL: the host's; borrowed
  // Parallel to the inputs: the constants where the kernel wants them, NULL for what is none. NULL as a whole: |constants| are meant.
  const OrtValue* const* lent;
  OrtValue** handles;  // owned: of constants that were asked for; parallel to the inputs
  size_t handle_count;
};
void kp_ort_kernel_info_clear(OrtKernelInfo* info);  // frees what it owns, not the struct

// --- kernels of provider libraries ----------------------------------------------------------------------------------------------
// Packed weights that a kernel gave to be shared (SharedPrePackedWeightCache_StoreWeightData).
struct OrtSharedPrePackedWeightCache {
  OrtAllocator* allocator;  // of the buffers; borrowed
  void** buffers;           // owned
  size_t* sizes;            // parallel
  size_t count;
};
void kp_ort_weights_clear(OrtSharedPrePackedWeightCache* weights);  // not the struct

// --- contexts --------------------------------------------------------------------------------------------------------------------
// What a context asks of whoever runs the kernel.
typedef struct kp_ort_runner {
  // Gives output |index|, which there is, a tensor of this shape: in context->outputs[index].value, which stays NULL where the node
  // leaves the output out. May be asked again.
  OrtStatus* (*output)(OrtKernelContext* context, size_t index, const int64_t* dims, size_t rank);
  // (optional) The same for what has memory before the kernel says a shape. Default: nothing has.
  void (*preallocated)(OrtKernelContext* context, size_t index);
  void (*parallel_for)(const OrtKernelContext* context, size_t count,
                       void (*fn)(void* user, size_t index), void* user);
  OrtStatus* (*logger)(const OrtKernelContext* context, const OrtLogger** out);
  // (optional) The allocator of memory that is not the host's, borrowed; NULL: there is none. Default: there is none.
  OrtAllocator* (*allocator)(const OrtKernelContext* context, const OrtMemoryInfo* info);
} kp_ort_runner;

// One call of a kernel: handles on the inputs, outputs as they are made.
struct OrtKernelContext {
  const kp_ort_runner* runner;
  void* user;                  // the runner's
  OrtValue *inputs, *outputs;  // with |value| NULL where absent or not made
  size_t input_count, output_count;
  OrtSyncStream* stream;  // NULL: work is done when the kernel returns
};

// What a compiled group of nodes may ask while its state is made.
struct OrtNodeComputeContext {
  const char* node_name;  // of the fused node
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
