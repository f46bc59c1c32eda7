// What a provider library answers when it is asked which nodes it would run.
#ifndef KP_ORT_SUPPORT_H_
#define KP_ORT_SUPPORT_H_

#include "ort/view.h"

// Nodes that the library wants as one, or a single node that it has a kernel for.
typedef struct kp_ort_group {
  kp_node_id* nodes;  // of the view's main graph, none twice
  size_t count;
  bool fuse;            // AddNodesToFuse; false: AddSingleNode
  bool drop_constants;  // the fused node gets no constant initializers as inputs
} kp_ort_group;

// Made by the host for one call of GetCapability.
struct OrtEpGraphSupportInfo {
  const kp_ort_view* view;
  const OrtKernelRegistry* registry;  // for LookUpKernel; NULL: the provider compiles
  kp_ort_group* groups;               // in the order of adding
  size_t count, capacity;
};

void kp_ort_support_clear(OrtEpGraphSupportInfo* support);  // frees the groups, not the struct

#endif  // KP_ORT_SUPPORT_H_
