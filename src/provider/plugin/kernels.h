// Partitions that run by a library's kernels, node by node: claims (kernel_claim.c), the kernels and their constants (kernel_part.c),
// runs (kernel_run.c), and the rewrite to channels-last order (kernel_nhwc.c). The neighbours call these where the provider has a
// registry of kernels.
#ifndef KP_PROVIDER_PLUGIN_KERNELS_H_
#define KP_PROVIDER_PLUGIN_KERNELS_H_

#include "ort/kernel_registry.h"
#include "provider/plugin/internal.h"

// Where a value lies: contents can be in either place, or in both.
typedef enum kp_kernel_place { KP_PLACE_HOST, KP_PLACE_LIBRARY, KP_PLACE_COUNT } kp_kernel_place;

typedef struct kp_kernel_step {
  const kp_node* node;
  const OrtKernelDef* def;
  OrtKernelImpl* impl;
  OrtKernelInfo info;
  const OrtValue**
      lent;      // parallel to the node's inputs: constants as the kernel sees them, or NULL
  bool* packed;  // parallel: the kernel keeps this constant in a form of its own
  const kp_value_id* dead;  // what nobody reads after this step
  uint32_t dead_count;
} kp_kernel_step;

// A constant in the places where kernels want it.
typedef struct kp_kernel_constant {
  OrtValue at[KP_PLACE_COUNT];  // |value| (one reference) NULL: not wanted there
} kp_kernel_constant;

typedef struct kp_kernel_weights {
  OrtSharedPrePackedWeightCache cache;
  struct kp_kernel_weights* next;
} kp_kernel_weights;

typedef struct kp_plugin_kernels {
  kp_arena arena;  // of all below
  kp_kernel_step* steps;
  uint32_t step_count;
  kp_value_id value_count;
  kp_kernel_constant** constants;  // by value; NULL: none
  uint32_t* output_of;             // by value: which output of the partition it is, or KP_NONE
  kp_kernel_weights* weights;      // that kernels gave away
  uint32_t widest;                 // most inputs and outputs of a step
} kp_plugin_kernels;

// Where kernels of |provider| with |def| want input (output) |index|.
static inline kp_kernel_place kp_kernel_place_of(const kp_plugin_provider* provider,
                                                 const OrtKernelDef* def, bool is_output,
                                                 size_t index) {
  return provider->memory && !kp_ort_def_on_host(def, is_output, index) ? KP_PLACE_LIBRARY
                                                                        : KP_PLACE_HOST;
}
static inline const kp_memory* kp_kernel_memory(const kp_plugin_provider* provider,
                                                kp_kernel_place place) {
  return place == KP_PLACE_LIBRARY ? kp_plugin_memory_base(provider->memory) : NULL;
}

// One splittable claim for |nodes|, which the library named one by one; those without a kernel are refused.
KP_MUST_USE kp_status* kp_kernels_claim(const kp_plugin_provider* provider, const kp_graph* graph,
                                        const kp_node_id* nodes, uint32_t count, kp_claims* claims);
// Says of each node that is still free what the registry lacks for it.
void kp_kernels_refuse(const kp_plugin_provider* provider, const kp_graph* graph,
                       kp_claims* claims);
// Makes compiled->kernels of compiled->part, which is in order. What was made before an error is freed with |compiled|.
KP_MUST_USE kp_status* kp_kernels_compile(kp_plugin_compiled* compiled);
void kp_kernels_free(kp_plugin_kernels* kernels);  // NULL is fine
// Rewrites compiled->part where the library prefers channels-last order. Does nothing where it could not be run after.
KP_MUST_USE kp_status* kp_kernels_to_nhwc(kp_plugin_compiled* compiled);
// The same for |part| of a library that compiles and prefers that order. It is asked again where something changed, or |always|, as such
// libraries compile what they were asked about last. False in *out_takes: it would not take |part|, which has been changed, as one.
KP_MUST_USE kp_status* kp_fused_to_nhwc(const kp_plugin_provider* provider, kp_graph* part,
                                        bool always, bool* out_takes);
KP_MUST_USE kp_status* kp_kernels_scratch(const kp_plugin_kernels* kernels, const kp_graph* part,
                                          size_t* out_bytes);
KP_MUST_USE kp_status* kp_kernels_run(const kp_plugin_compiled* compiled, const kp_run_args* args);

#endif  // KP_PROVIDER_PLUGIN_KERNELS_H_
