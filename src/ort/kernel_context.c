// KernelContext: what a kernel may ask and give while it computes.
#include <limits.h>
#include <string.h>

#include "base/size.h"
#include "graph/custom.h"
#include "ort/env.h"
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
  const kp_value* value =
      kp_node_output(context->info->graph, context->info->node, (uint32_t)index);
  if (!value) return NULL;  // an optional output that the node leaves out
  const kapell_type type =
      value->type.kind == KAPELL_KIND_TENSOR ? value->type.element : KAPELL_UNDEFINED;
  if (type == KAPELL_UNDEFINED)
    return kp_ort_error(ORT_INVALID_GRAPH, "the element type of output %zu is not known", index);
  OrtValue* handle = &context->outputs[index];
  if (kapell_custom_run_wants(context->run, index))
    KP_ORT_TAKE(
        kapell_custom_run_output(context->run, index, type, dims, (int32_t)rank, &handle->value));
  else if (!handle->value)  // nobody reads it, but the kernel may write it
    KP_ORT_TAKE(kp_value_create_tensor(type, dims, (int32_t)rank, &handle->value));
  *out = handle;
  return NULL;
}

// The host gives outputs their memory when they are asked for.
OrtStatus* ort_KernelContext_GetPreallocatedOutput(const OrtKernelContext* context,
                                                   size_t output_index, OrtValue** output) {
  KP_ORT_NEED(output);
  *output = NULL;
  KP_ORT_NEED(context);
  if (output_index < context->output_count) return NULL;
  return kp_ort_error(ORT_INVALID_ARGUMENT, "output %zu of %zu", output_index,
                      context->output_count);
}

OrtStatus* ort_KernelContext_GetGPUComputeStream(const OrtKernelContext* context, void** out) {
  KP_ORT_NEED(context);
  KP_ORT_NEED(out);
  *out = NULL;
  return NULL;
}

OrtStatus* ort_KernelContext_GetSyncStream(const OrtKernelContext* context, OrtSyncStream** out) {
  KP_ORT_NEED(context);
  KP_ORT_NEED(out);
  *out = NULL;
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
  return ort_KernelInfo_GetLogger(context->info, logger);
}

OrtStatus* ort_KernelContext_GetAllocator(const OrtKernelContext* context,
                                          const OrtMemoryInfo* info, OrtAllocator** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(context);
  KP_ORT_NEED(info);
  if (!kp_ort_info_is_host(info))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "custom operators have host memory only, not '%s'",
                        info->name);
  return kp_ort_allocator_create(info, out);
}

OrtStatus* ort_KernelContext_GetScratchBuffer(const OrtKernelContext* context,
                                              const OrtMemoryInfo* info, size_t count_or_bytes,
                                              void** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(context);
  KP_ORT_NEED(info);
  if (count_or_bytes == 0) return NULL;
  if (!kp_ort_info_is_host(info))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "custom operators have host memory only, not '%s'",
                        info->name);
  *out = kp_ort_cpu_allocator.Alloc(&kp_ort_cpu_allocator, count_or_bytes);
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
  kapell_custom_run_parallel_for(context->run, b.count, run_batch, &b);
  return NULL;
}
