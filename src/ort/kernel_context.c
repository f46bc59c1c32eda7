// KernelContext: what a kernel may ask and give while it computes.
#include <limits.h>
#include <string.h>

#include "base/size.h"
#include "ort/kernel.h"

OrtStatus* ort_KernelContext_GetInputCount(const OrtKernelContext* context, size_t* out) {
  KP_ORT_NEED(context);
  KP_ORT_NEED(out);
  *out = context->input_count;
  return NULL;
}

OrtStatus* ort_KernelContext_GetOutputCount(const OrtKernelContext* context, size_t* out) {
  KP_ORT_NEED(context);
  KP_ORT_NEED(out);
  *out = context->output_count;
  return NULL;
}

OrtStatus* ort_KernelContext_GetInput(const OrtKernelContext* context, size_t index,
                                      const OrtValue** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(context);
  // Past the end there is none, which is no error.
  if (index < context->input_count && context->inputs[index].value) *out = &context->inputs[index];
  return NULL;
}

OrtStatus* ort_KernelContext_GetOutput(OrtKernelContext* context, size_t index, const int64_t* dims,
                                       size_t rank, OrtValue** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(context);
  if (rank) KP_ORT_NEED(dims);
  if (index >= context->output_count || rank > KP_MAX_RANK)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "output %zu of %zu, of rank %zu", index,
                        context->output_count, rank);
  KP_ORT_PASS(context->runner->output(context, index, dims, rank));
  if (context->outputs[index].value) *out = &context->outputs[index];
  return NULL;
}

OrtStatus* ort_KernelContext_GetPreallocatedOutput(const OrtKernelContext* context,
                                                   size_t output_index, OrtValue** output) {
  KP_ORT_NEED(output);
  *output = NULL;
  KP_ORT_NEED(context);
  if (output_index >= context->output_count)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "output %zu of %zu", output_index,
                        context->output_count);
  OrtKernelContext* own = (OrtKernelContext*)(uintptr_t)context;
  if (own->runner->preallocated) own->runner->preallocated(own, output_index);
  if (own->outputs[output_index].value) *output = &own->outputs[output_index];
  return NULL;
}

OrtStatus* ort_KernelContext_GetResource(const OrtKernelContext* context, int resource_version,
                                         int resource_id, void** resource) {
  KP_ORT_NEED(resource);
  *resource = NULL;
  KP_ORT_NEED(context);
  return kp_ort_error(ORT_INVALID_ARGUMENT,
                      "the CPU has no resources (version %d, id %d was asked for)",
                      resource_version, resource_id);
}

OrtStatus* ort_KernelContext_GetLogger(const OrtKernelContext* context, const OrtLogger** logger) {
  KP_ORT_NEED(context);
  KP_ORT_NEED(logger);
  return context->runner->logger(context, logger);
}

static OrtStatus* find_allocator(const OrtKernelContext* context, const OrtMemoryInfo* info,
                                 OrtAllocator** out) {
  *out = kp_ort_info_is_host(info)    ? &kp_ort_cpu_allocator
         : context->runner->allocator ? context->runner->allocator(context, info)
                                      : NULL;
  return *out ? NULL
              : kp_ort_error(ORT_INVALID_ARGUMENT, "this kernel has no memory of '%s'", info->name);
}

OrtStatus* ort_KernelContext_GetAllocator(const OrtKernelContext* context,
                                          const OrtMemoryInfo* info, OrtAllocator** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(context);
  KP_ORT_NEED(info);
  OrtAllocator* found;
  KP_ORT_PASS(find_allocator(context, info, &found));
  if (found == &kp_ort_cpu_allocator) return kp_ort_allocator_create(info, out);
  *out = found;
  return NULL;
}

OrtStatus* ort_KernelContext_GetScratchBuffer(const OrtKernelContext* context,
                                              const OrtMemoryInfo* info, size_t count_or_bytes,
                                              void** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(context);
  KP_ORT_NEED(info);
  if (count_or_bytes == 0) return NULL;
  OrtAllocator* found;
  KP_ORT_PASS(find_allocator(context, info, &found));
  *out = found->Alloc(found, count_or_bytes);
  return *out ? NULL : kp_ort_no_memory();
}

// --- in parallel -----------------------------------------------------------------------------------------------------------------
typedef struct batches {
  void (*fn)(void*, size_t);
  void* user;
  size_t total, count;
} batches;

static void run_batch(void* user, size_t index) {
  const batches* b = user;
  const size_t each = b->total / b->count, more = b->total % b->count;
  const size_t first = index * each + kp_min_size(index, more);
  const size_t end = first + each + (index < more);
  for (size_t i = first; i < end; ++i) b->fn(b->user, i);
}

OrtStatus* ort_KernelContext_ParallelFor(const OrtKernelContext* context, void (*fn)(void*, size_t),
                                         size_t total, size_t count, void* usr_data) {
  KP_ORT_NEED(context);
  KP_ORT_NEED(fn);
  if (total == 0) return NULL;
  batches b = {fn, usr_data, total, count && count < total ? count : total};
  context->runner->parallel_for(context, b.count, run_batch, &b);
  return NULL;
}

// --- states of compiled groups ---------------------------------------------------------------------------------------------------
const char* ort_ep_NodeComputeContext_NodeName(const OrtNodeComputeContext* context) {
  return context ? context->node_name : "";
}
