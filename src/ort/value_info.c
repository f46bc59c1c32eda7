// The functions of the ABI on values of graphs.
#include "ort/graph_slots.h"

static OrtValueInfo* unlock(const OrtValueInfo* value) { return (OrtValueInfo*)(uintptr_t)value; }

static OrtStatus* fill(const OrtValueInfo* value) {
  if (__atomic_load_n(&value->filled, __ATOMIC_ACQUIRE)) return NULL;
  if (!value->graph)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "value '%s' is in no graph yet", value->name);
  return value->graph->kind->fill_value(unlock(value));
}

OrtStatus* ort_GetValueInfoName(const OrtValueInfo* value, const char** name) {
  KP_ORT_NEED(name);
  *name = NULL;
  KP_ORT_NEED(value);
  *name = value->name;
  return NULL;
}

OrtStatus* ort_GetValueInfoTypeInfo(const OrtValueInfo* value, const OrtTypeInfo** type) {
  KP_ORT_NEED(type);
  *type = NULL;
  KP_ORT_NEED(value);
  OrtTypeInfo* const* const slot = &value->type;
  if (!__atomic_load_n(slot, __ATOMIC_ACQUIRE) && value->graph)
    KP_ORT_PASS(value->graph->kind->fill_type(unlock(value)));
  *type = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
  return NULL;
}

// --- producers and consumers -----------------------------------------------------------------------------------------------------
OrtStatus* ort_ValueInfo_GetValueProducer(const OrtValueInfo* value, const OrtNode** producer_node,
                                          size_t* producer_output_index) {
  KP_ORT_NEED(producer_node);
  *producer_node = NULL;
  KP_ORT_NEED(value);
  KP_ORT_PASS(fill(value));
  *producer_node = value->producer;
  if (producer_output_index) *producer_output_index = value->producer_output;
  return NULL;
}

OrtStatus* ort_ValueInfo_GetValueNumConsumers(const OrtValueInfo* value, size_t* count) {
  KP_ORT_NEED(value);
  KP_ORT_NEED(count);
  KP_ORT_PASS(fill(value));
  *count = value->use_count;
  return NULL;
}

OrtStatus* ort_ValueInfo_GetValueConsumers(const OrtValueInfo* value, const OrtNode** nodes,
                                           int64_t* input_indices, size_t count) {
  KP_ORT_NEED(value);
  KP_ORT_PASS(fill(value));
  KP_ORT_PASS(kp_ort_check_room("consumers of the value", value->use_count, nodes, count));
  KP_ORT_PASS(kp_ort_check_room("inputs of consumers", value->use_count, input_indices, count));
  for (size_t i = 0; i < value->use_count; ++i) {
    nodes[i] = value->uses[i].node;
    input_indices[i] = value->uses[i].input;
  }
  return NULL;
}

// --- initializers ----------------------------------------------------------------------------------------------------------------
// NULL where the value is no initializer, of this graph or of one around it.
OrtStatus* ort_ValueInfo_GetInitializerValue(const OrtValueInfo* value, const OrtValue** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(value);
  KP_ORT_PASS(fill(value));
  if (!value->has_initial) return NULL;
  const OrtValue* const* const slot = &value->initial;
  if (!__atomic_load_n(slot, __ATOMIC_ACQUIRE))
    KP_ORT_PASS(value->graph->kind->fill_initial(unlock(value)));
  *out = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
  return NULL;
}

OrtStatus* ort_ValueInfo_GetExternalInitializerInfo(const OrtValueInfo* value,
                                                    OrtExternalInitializerInfo** info) {
  KP_ORT_NEED(info);
  *info = NULL;
  KP_ORT_NEED(value);
  KP_ORT_PASS(fill(value));
  return value->has_initial ? value->graph->kind->external(value, info) : NULL;
}

// --- what a value is -------------------------------------------------------------------------------------------------------------
#define QUESTION(What, member)                                              \
  OrtStatus* ort_ValueInfo_Is##What(const OrtValueInfo* value, bool* out) { \
    KP_ORT_NEED(out);                                                       \
    *out = false;                                                           \
    KP_ORT_NEED(value);                                                     \
    KP_ORT_PASS(fill(value));                                               \
    *out = value->member;                                                   \
    return NULL;                                                            \
  }
QUESTION(RequiredGraphInput, is_required_input)
QUESTION(OptionalGraphInput, is_optional_input)
QUESTION(GraphOutput, is_output)
QUESTION(ConstantInitializer, is_constant)
QUESTION(FromOuterScope, is_outer)
