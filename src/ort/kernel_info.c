// KernelInfo: what a kernel may ask of its node while it is made, and later by a copy.
#include <string.h>

#include "base/alloc.h"
#include "base/size.h"
#include "graph/custom.h"
#include "graph/schema.h"
#include "ort/env.h"
#include "ort/kernel.h"

// --- life ------------------------------------------------------------------------------------------------------------------------
void kp_ort_kernel_info_clear(OrtKernelInfo* info) {
  for (size_t i = 0; i < info->handle_count; ++i) ort_ReleaseValue(info->handles[i]);
  kp_free(info->handles);
  info->handles = NULL;
  info->handle_count = 0;
}

// The copy is good as long as the session is.
OrtStatus* ort_CopyKernelInfo(const OrtKernelInfo* info, OrtKernelInfo** info_copy) {
  KP_ORT_NEED(info_copy);
  *info_copy = NULL;
  KP_ORT_NEED(info);
  OrtKernelInfo* copy = kp_alloc(sizeof *copy);
  if (!copy) return kp_ort_no_memory();
  *copy = *info;
  copy->handles = NULL;
  copy->handle_count = 0;
  *info_copy = copy;
  return NULL;
}

// The session, and the node with it, may be gone.
void ort_ReleaseKernelInfo(OrtKernelInfo* object) {
  if (!object) return;
  kp_ort_kernel_info_clear(object);
  kp_free(object);
}

// --- attributes ------------------------------------------------------------------------------------------------------------------
// What the operator's schema states for a node without |name|; else |out| is left alone.
static bool find_default(const kp_node* node, const char* name, kp_attr* out) {
  kp_attr_schema schema;
  if (!node->schema || !kp_schema_find_attr(node->schema, kp_str_of(name), &schema) ||
      !schema.has_default)
    return false;
  *out = (kp_attr){.name = schema.name, .type = schema.type};
  if (schema.type == KP_ONNX_ATTR_FLOAT) out->f = schema.f;
  if (schema.type == KP_ONNX_ATTR_INT) out->i = schema.i;
  if (schema.type == KP_ONNX_ATTR_STRING) out->s = kp_str_of(schema.s);
  return true;
}

static OrtStatus* find(const OrtKernelInfo* info, const char* name, kp_onnx_attr_type type,
                       const char* type_name, kp_attr* out) {
  KP_ORT_NEED(info);
  KP_ORT_NEED(name);
  const kp_attr* attr = kp_node_attr(info->node, name);
  if (attr)
    *out = *attr;
  else if (!find_default(info->node, name, out))
    return kp_ort_error(ORT_FAIL, "No attribute with name:'%s'is defined.", name);
  if (out->type == type) return NULL;
  return kp_ort_error(ORT_FAIL, "Attribute name and type don't match: '%s' is no %s", name,
                      type_name);
}

OrtStatus* ort_KernelInfoGetAttribute_float(const OrtKernelInfo* info, const char* name,
                                            float* out) {
  kp_attr attr;
  KP_ORT_NEED(out);
  KP_ORT_PASS(find(info, name, KP_ONNX_ATTR_FLOAT, "FLOAT", &attr));
  *out = attr.f;
  return NULL;
}

OrtStatus* ort_KernelInfoGetAttribute_int64(const OrtKernelInfo* info, const char* name,
                                            int64_t* out) {
  kp_attr attr;
  KP_ORT_NEED(out);
  KP_ORT_PASS(find(info, name, KP_ONNX_ATTR_INT, "INT", &attr));
  *out = attr.i;
  return NULL;
}

// A text with its NUL: its size alone where |out| is NULL.
static OrtStatus* give_text(kp_str text, char* out, size_t* size) {
  const size_t needed = text.length + 1;
  const bool fits = *size >= needed;
  *size = needed;
  if (!out) return NULL;
  if (!fits)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "Result buffer is not large enough: %zu bytes are needed", needed);
  if (text.length) memcpy(out, text.data, text.length);
  out[text.length] = 0;
  return NULL;
}

OrtStatus* ort_KernelInfoGetAttribute_string(const OrtKernelInfo* info, const char* name, char* out,
                                             size_t* size) {
  kp_attr attr;
  KP_ORT_NEED(size);
  KP_ORT_PASS(find(info, name, KP_ONNX_ATTR_STRING, "STRING", &attr));
  return give_text(attr.s, out, size);
}

// |count| elements of |width| bytes: their number alone where |out| is NULL.
static OrtStatus* give_array(const void* from, size_t count, size_t width, void* out,
                             size_t* size) {
  const bool fits = *size >= count;
  *size = count;
  if (!out) return NULL;
  if (!fits)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "Result buffer is not large enough: %zu elements are needed", count);
  if (count) memcpy(out, from, count * width);
  return NULL;
}

OrtStatus* ort_KernelInfoGetAttributeArray_float(const OrtKernelInfo* info, const char* name,
                                                 float* out, size_t* size) {
  kp_attr attr;
  KP_ORT_NEED(size);
  KP_ORT_PASS(find(info, name, KP_ONNX_ATTR_FLOATS, "FLOATS", &attr));
  return give_array(attr.floats, attr.count, sizeof *attr.floats, out, size);
}

OrtStatus* ort_KernelInfoGetAttributeArray_int64(const OrtKernelInfo* info, const char* name,
                                                 int64_t* out, size_t* size) {
  kp_attr attr;
  KP_ORT_NEED(size);
  KP_ORT_PASS(find(info, name, KP_ONNX_ATTR_INTS, "INTS", &attr));
  return give_array(attr.ints, attr.count, sizeof *attr.ints, out, size);
}

static void take_back(OrtAllocator* allocator, char** texts, size_t count) {
  for (size_t i = 0; i < count; ++i) allocator->Free(allocator, texts[i]);
  allocator->Free(allocator, texts);
}

OrtStatus* ort_KernelInfoGetAttributeArray_string(const OrtKernelInfo* info, const char* name,
                                                  OrtAllocator* allocator, char*** out,
                                                  size_t* size) {
  kp_attr attr;
  KP_ORT_NEED(allocator);
  KP_ORT_NEED(out);
  KP_ORT_NEED(size);
  *out = NULL;
  *size = 0;
  KP_ORT_PASS(find(info, name, KP_ONNX_ATTR_STRINGS, "STRINGS", &attr));
  if (attr.count == 0) return NULL;
  char** texts = allocator->Alloc(allocator, attr.count * sizeof *texts);
  if (!texts) return kp_ort_no_memory();
  for (size_t i = 0; i < attr.count; ++i) {
    texts[i] = allocator->Alloc(allocator, attr.strings[i].length + 1);
    if (!texts[i]) {
      take_back(allocator, texts, i);
      return kp_ort_no_memory();
    }
    size_t room = attr.strings[i].length + 1;
    ort_ReleaseStatus(give_text(attr.strings[i], texts[i], &room));
  }
  *out = texts;
  *size = attr.count;
  return NULL;
}

OrtStatus* ort_KernelInfoGetAttribute_tensor(const OrtKernelInfo* info, const char* name,
                                             OrtAllocator* allocator, OrtValue** out) {
  kp_attr attr;
  kapell_value* copy;
  KP_ORT_NEED(allocator);
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_PASS(find(info, name, KP_ONNX_ATTR_TENSOR, "TENSOR", &attr));
  KP_ORT_TAKE(kp_value_clone(attr.tensor, &copy));
  return kp_ort_value_wrap(copy, out);
}

// --- the node --------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_KernelInfo_GetInputCount(const OrtKernelInfo* info, size_t* out) {
  KP_ORT_NEED(info);
  KP_ORT_NEED(out);
  *out = info->node->input_count;
  return NULL;
}

OrtStatus* ort_KernelInfo_GetOutputCount(const OrtKernelInfo* info, size_t* out) {
  KP_ORT_NEED(info);
  KP_ORT_NEED(out);
  *out = info->node->output_count;
  return NULL;
}

static OrtStatus* value_of(const OrtKernelInfo* info, size_t index, bool output,
                           const kp_value** out) {
  const uint32_t count = output ? info->node->output_count : info->node->input_count;
  if (index >= count)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "::OrtKernelInfo %s index is out of bounds",
                        output ? "output" : "input");
  *out = output ? kp_node_output(info->graph, info->node, (uint32_t)index)
                : kp_node_input(info->graph, info->node, (uint32_t)index);
  return NULL;
}

static OrtStatus* give_name(const OrtKernelInfo* info, size_t index, bool is_output, char* out,
                            size_t* size) {
  const kp_value* value;
  KP_ORT_NEED(info);
  KP_ORT_NEED(size);
  KP_ORT_PASS(value_of(info, index, is_output, &value));
  return give_text(kp_str_of(value ? value->name : ""), out, size);
}

OrtStatus* ort_KernelInfo_GetInputName(const OrtKernelInfo* info, size_t index, char* out,
                                       size_t* size) {
  return give_name(info, index, false, out, size);
}

OrtStatus* ort_KernelInfo_GetOutputName(const OrtKernelInfo* info, size_t index, char* out,
                                        size_t* size) {
  return give_name(info, index, true, out, size);
}

// The public description of |type|; inner types in |arena|. NULL without memory.
static const kapell_type_info* describe(kp_arena* arena, const kp_type* type) {
  kapell_type_info* made = kp_arena_new(arena, kapell_type_info);
  const size_t rank = type->rank > 0 ? (size_t)type->rank : 0;
  int64_t* dims = kp_arena_new_array(arena, int64_t, rank + 1);
  const char** symbols = kp_arena_new_array(arena, const char*, rank + 1);
  if (!made || !dims || !symbols) return NULL;
  for (size_t d = 0; d < rank; ++d) dims[d] = kp_is_symbol(type->dims[d]) ? -1 : type->dims[d];
  *made = (kapell_type_info){.kind = type->kind,
                             .element = type->element,
                             .rank = type->rank,
                             .dims = dims,
                             .symbols = symbols};
  if (type->inner && !(made->inner = describe(arena, type->inner))) return NULL;
  return made;
}

static OrtStatus* give_type(const OrtKernelInfo* info, size_t index, bool is_output,
                            OrtTypeInfo** out) {
  const kp_value* value;
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(info);
  KP_ORT_PASS(value_of(info, index, is_output, &value));
  if (!value || value->type.kind == KAPELL_KIND_NONE)
    return kp_ort_error(ORT_INVALID_GRAPH, "::OrtKernelInfo %s does not have a type",
                        is_output ? "output" : "input");
  kp_arena arena = {0};
  const kapell_type_info* type = describe(&arena, &value->type);
  OrtStatus* status = type ? kp_ort_type_info_from(type, out) : kp_ort_no_memory();
  kp_arena_free(&arena);
  return status;
}

OrtStatus* ort_KernelInfo_GetInputTypeInfo(const OrtKernelInfo* info, size_t index,
                                           OrtTypeInfo** type) {
  return give_type(info, index, false, type);
}

OrtStatus* ort_KernelInfo_GetOutputTypeInfo(const OrtKernelInfo* info, size_t index,
                                            OrtTypeInfo** type) {
  return give_type(info, index, true, type);
}

OrtStatus* ort_KernelInfo_GetNodeName(const OrtKernelInfo* info, char* out, size_t* size) {
  KP_ORT_NEED(info);
  KP_ORT_NEED(size);
  return give_text(kp_str_of(info->node->name), out, size);
}

OrtStatus* ort_KernelInfo_GetOperatorDomain(const OrtKernelInfo* info, char* out, size_t* size) {
  KP_ORT_NEED(info);
  KP_ORT_NEED(size);
  return give_text(kp_str_of(info->node->domain), out, size);
}

OrtStatus* ort_KernelInfo_GetOperatorType(const OrtKernelInfo* info, char* out, size_t* size) {
  KP_ORT_NEED(info);
  KP_ORT_NEED(size);
  return give_text(kp_str_of(info->node->op), out, size);
}

OrtStatus* ort_KernelInfo_GetOperatorSinceVersion(const OrtKernelInfo* info, int* version) {
  KP_ORT_NEED(info);
  KP_ORT_NEED(version);
  const kp_node* node = info->node;
  const kapell_custom_op* op = node->custom ? kp_custom_find(info->graph, node, NULL) : NULL;
  *version = op && op->since_version > 0     ? op->since_version
             : node->schema && !node->custom ? node->schema->since
                                             : 1;
  return NULL;
}

OrtStatus* ort_KernelInfoGetConstantInput_tensor(const OrtKernelInfo* info, size_t index,
                                                 int* is_constant, const OrtValue** out) {
  const kp_value* value;
  KP_ORT_NEED(info);
  KP_ORT_NEED(is_constant);
  KP_ORT_NEED(out);
  *is_constant = 0;
  *out = NULL;
  KP_ORT_PASS(value_of(info, index, false, &value));
  if (info->lent) {
    *out = info->lent[index];
    *is_constant = *out != NULL;
    return NULL;
  }
  kapell_value* constant = info->constants ? info->constants[index]
                           : value         ? value->constant
                                           : NULL;
  if (!constant) return NULL;
  OrtKernelInfo* own = (OrtKernelInfo*)(uintptr_t)info;  // handles are made when first asked for
  if (!own->handles) own->handles = kp_alloc_zero(info->node->input_count, sizeof *own->handles);
  if (!own->handles) return kp_ort_no_memory();
  own->handle_count = info->node->input_count;
  if (!own->handles[index])
    KP_ORT_PASS(kp_ort_value_wrap(kp_value_retain(constant), &own->handles[index]));
  *is_constant = 1;
  *out = own->handles[index];
  return NULL;
}

OrtStatus* ort_KernelInfo_GetLogger(const OrtKernelInfo* info, const OrtLogger** logger) {
  KP_ORT_NEED(info);
  KP_ORT_NEED(logger);
  const OrtEnv* env = kp_ort_env_current();
  *logger = info->logger ? info->logger : env ? &env->logger : NULL;
  return *logger ? NULL : kp_ort_error(ORT_INVALID_GRAPH, "::OrtKernelInfo has no logger");
}

OrtStatus* ort_KernelInfoGetAllocator(const OrtKernelInfo* info, OrtMemType mem_type,
                                      OrtAllocator** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(info);
  if (!info->allocator || mem_type != OrtMemTypeDefault)
    return kp_ort_allocator_create(&kp_ort_cpu_info, out);
  *out = info->allocator;  // releasing it does nothing: the library ends it
  return NULL;
}

OrtStatus* ort_KernelInfo_GetConfigEntries(const OrtKernelInfo* info, OrtKeyValuePairs** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(info);
  ort_CreateKeyValuePairs(out);
  if (!*out) return kp_ort_no_memory();
  if (info->config) KP_ORT_TAKE(kp_ort_pairs_copy(*out, info->config));
  return NULL;
}

OrtStatus* ort_ep_KernelInfo_GetEp(const OrtKernelInfo* info, const OrtEp** ep) {
  KP_ORT_NEED(ep);
  *ep = NULL;
  KP_ORT_NEED(info);
  *ep = info->ep;
  return *ep ? NULL : kp_ort_error(ORT_FAIL, "the kernel is of no provider library");
}
