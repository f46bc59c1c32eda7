// Kernels that provider libraries register: what one is for, and which of them a node gets.
//
// A library builds a definition (operator, versions, types, where inputs and outputs lie) and adds it to a registry with the function
// that makes the kernel. Registries may be released when everything else is gone, from destructors of static objects.
#ifndef KP_ORT_KERNEL_REGISTRY_H_
#define KP_ORT_KERNEL_REGISTRY_H_

#include "graph/graph.h"
#include "ort/object.h"

// The domain of operators of ai.onnx and com.microsoft whose images are in channels-last order; their schemas are the original ones.
#define KP_ORT_NHWC_DOMAIN "com.ms.internal.nhwc"

typedef struct kp_ort_kernel {
  const OrtKernelDef* def;
  OrtKernelCreateFunc create;
  void* state;    // for |create|
  uint64_t hash;  // of the operator's name
} kp_ort_kernel;

// The kernel of |registry| for |node|: of that operator, domain and version, all of whose constraints the types of inputs and outputs
// meet. NULL if there is none; then |why| (may be NULL) says what the nearest one lacks. Threads: any, while nobody adds.
const kp_ort_kernel* kp_ort_registry_find(const OrtKernelRegistry* registry, const kp_graph* graph,
                                          const kp_node* node, kp_strbuf* why);
// The same as if |node| stood in |domain|.
const kp_ort_kernel* kp_ort_registry_find_in(const OrtKernelRegistry* registry, const char* domain,
                                             const kp_graph* graph, const kp_node* node,
                                             kp_strbuf* why);
// Does the kernel want input (output) |index| in host memory?
bool kp_ort_def_on_host(const OrtKernelDef* def, bool is_output, size_t index);
// The input in whose memory output |index| may be given (Reshape: the kernel then leaves it as it is); -1: none.
int kp_ort_def_alias(const OrtKernelDef* def, size_t index);

#endif  // KP_ORT_KERNEL_REGISTRY_H_
