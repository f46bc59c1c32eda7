// Values that hold values: sequences, maps, optionals; opaque ones; and what is asked of every kind.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/size.h"
#include "base/types.h"
#include "ort/value.h"

// --- what a value is -------------------------------------------------------------------------------------------------------------
OrtStatus* ort_GetValueType(const OrtValue* value, ONNXType* out) {
  static const ONNXType types[] = {[KAPELL_KIND_NONE] = ONNX_TYPE_UNKNOWN,
                                   [KAPELL_KIND_TENSOR] = ONNX_TYPE_TENSOR,
                                   [KAPELL_KIND_SPARSE] = ONNX_TYPE_SPARSETENSOR,
                                   [KAPELL_KIND_SEQUENCE] = ONNX_TYPE_SEQUENCE,
                                   [KAPELL_KIND_MAP] = ONNX_TYPE_MAP,
                                   [KAPELL_KIND_OPTIONAL] = ONNX_TYPE_OPTIONAL};
  KP_ORT_NEED(value);
  KP_ORT_NEED(out);
  *out = value->opaque  ? ONNX_TYPE_OPAQUE
         : value->value ? types[value->value->kind]
                        : ONNX_TYPE_UNKNOWN;
  return NULL;
}

OrtStatus* ort_HasValue(const OrtValue* value, int* out) {
  KP_ORT_NEED(value);
  KP_ORT_NEED(out);
  const kapell_value* v = value->value;
  *out = value->opaque ||
         (v && v->kind != KAPELL_KIND_NONE && (v->kind != KAPELL_KIND_OPTIONAL || v->item_count));
  return NULL;
}

static OrtStatus* describe(const kapell_value* v, OrtTypeInfo** out);

static OrtStatus* describe_map(const kapell_value* map, OrtTypeInfo** out) {
  KP_ORT_PASS(kp_ort_type_info_create(ONNX_TYPE_MAP, out));
  (*out)->map.key = kp_ort_type_of(map->type);
  const kapell_value* values = map->items[1];
  if (values->kind == KAPELL_KIND_TENSOR)  // one scalar a key
    return kp_ort_tensor_type_info(ONNX_TYPE_TENSOR, values->type, NULL, 0, &(*out)->map.value);
  return values->item_count ? describe(values->items[0], &(*out)->map.value)
                            : kp_ort_type_info_create(ONNX_TYPE_UNKNOWN, &(*out)->map.value);
}

static OrtStatus* describe_first(const kapell_value* v, OrtTypeInfo** out) {
  if (v->item_count == 0) return kp_ort_type_info_create(ONNX_TYPE_UNKNOWN, out);
  KP_ORT_PASS(describe(v->items[0], out));
  // Of all elements only the type is common.
  if ((*out)->type != ONNX_TYPE_TENSOR) return NULL;
  const ONNXTensorElementDataType type = (*out)->tensor.type;
  ort_ReleaseTypeInfo(*out);
  KP_ORT_PASS(kp_ort_type_info_create(ONNX_TYPE_TENSOR, out));
  (*out)->tensor.type = type;
  return NULL;
}

static OrtStatus* describe(const kapell_value* v, OrtTypeInfo** out) {
  *out = NULL;
  switch (v->kind) {
    case KAPELL_KIND_TENSOR:
      return kp_ort_tensor_type_info(ONNX_TYPE_TENSOR, v->type, v->dims, (size_t)v->rank, out);
    case KAPELL_KIND_SPARSE:
      return kp_ort_tensor_type_info(ONNX_TYPE_SPARSETENSOR, v->type, v->dims, (size_t)v->rank,
                                     out);
    case KAPELL_KIND_MAP:
      return describe_map(v, out);
    case KAPELL_KIND_SEQUENCE:
      KP_ORT_PASS(kp_ort_type_info_create(ONNX_TYPE_SEQUENCE, out));
      return describe_first(v, &(*out)->sequence.element);
    case KAPELL_KIND_OPTIONAL:
      KP_ORT_PASS(kp_ort_type_info_create(ONNX_TYPE_OPTIONAL, out));
      return describe_first(v, &(*out)->optional.contained);
    default:
      return kp_ort_type_info_create(ONNX_TYPE_UNKNOWN, out);
  }
}

OrtStatus* ort_GetTypeInfo(const OrtValue* value, OrtTypeInfo** out) {
  KP_ORT_NEED(value);
  KP_ORT_NEED(out);
  *out = NULL;
  if (value->declared) return kp_ort_type_info_clone(value->declared, out);
  if (value->opaque) return kp_ort_type_info_create(ONNX_TYPE_OPAQUE, out);
  OrtTypeInfo* info = NULL;
  OrtStatus* status = describe(value->value, &info);
  if (status) {
    ort_ReleaseTypeInfo(info);
    return status;
  }
  *out = info;
  return NULL;
}

// --- maps ------------------------------------------------------------------------------------------------------------------------
typedef struct map_key {
  int64_t number;
  kp_str text;
  size_t at;  // in the map
} map_key;

static int compare_texts(const void* a, const void* b) {
  const kp_str x = ((const map_key*)a)->text, y = ((const map_key*)b)->text;
  const size_t common = kp_min_size(x.length, y.length);
  const int order = common ? memcmp(x.data, y.data, common) : 0;
  return order ? order : (x.length > y.length) - (x.length < y.length);
}

static int compare_numbers(const void* a, const void* b) {
  const int64_t x = ((const map_key*)a)->number, y = ((const map_key*)b)->number;
  return (x > y) - (x < y);
}

// The elements of a tensor, or of a sequence, in the order of |keys|.
static kp_status* permute(const kapell_value* from, const map_key* keys, size_t count,
                          kapell_value** out) {
  if (from->kind == KAPELL_KIND_SEQUENCE) {
    KP_PASS(kp_value_create_sequence(out));
    for (size_t i = 0; i < count; ++i)
      KP_PASS(kp_value_sequence_append(*out, from->items[keys[i].at]));
    return NULL;
  }
  const size_t width = kp_type_bits(from->type) / 8;
  KP_PASS(kp_value_create_tensor(from->type, from->dims, from->rank, out));
  for (size_t i = 0; i < count; ++i) {
    if (from->type == KAPELL_STRING)
      KP_PASS(kp_value_set_string(*out, i, kp_value_string(from, keys[i].at)));
    else
      memcpy((char*)(*out)->data + i * width, (const char*)from->data + keys[i].at * width, width);
  }
  return NULL;
}

static kp_status* sort_by(kapell_value** map, map_key* keys, size_t count) {
  kapell_value *old = *map, *new_keys = NULL, *new_values = NULL, *made = NULL;
  bool ordered = true;
  qsort(keys, count, sizeof(*keys),
        old->items[0]->type == KAPELL_STRING ? compare_texts : compare_numbers);
  for (size_t i = 0; i < count; ++i) ordered = ordered && keys[i].at == i;
  if (ordered) return NULL;
  kp_status* status = permute(old->items[0], keys, count, &new_keys);
  if (!status) status = permute(old->items[1], keys, count, &new_values);
  if (!status) status = kp_value_create_map(new_keys, new_values, &made);
  kp_value_release(new_keys);
  kp_value_release(new_values);
  if (status) return status;
  kp_value_release(old);
  *map = made;
  return NULL;
}

kp_status* kp_ort_map_sort(kapell_value** map) {
  const kapell_value* from = (*map)->items[0];
  const size_t count = kp_value_count(from);
  if (count < 2 || (from->type != KAPELL_STRING && from->type != KAPELL_INT64)) return NULL;
  map_key* keys = kp_alloc_array(count, sizeof(*keys));
  if (!keys) return KP_ERROR(OUT_OF_MEMORY, "a map of %zu keys", count);
  for (size_t i = 0; i < count; ++i) {
    keys[i] = (map_key){.at = i};
    if (from->type == KAPELL_STRING)
      keys[i].text = kp_value_string(from, i);
    else
      memcpy(&keys[i].number, (const char*)from->data + i * sizeof(int64_t), sizeof(int64_t));
  }
  kp_status* status = sort_by(map, keys, count);
  kp_free(keys);
  return status;
}

// --- taking apart ----------------------------------------------------------------------------------------------------------------
OrtStatus* ort_GetValueCount(const OrtValue* value, size_t* out) {
  KP_ORT_NEED(value);
  KP_ORT_NEED(out);
  const kapell_kind kind = value->value ? value->value->kind : KAPELL_KIND_NONE;
  if (kind != KAPELL_KIND_SEQUENCE && kind != KAPELL_KIND_MAP)
    return kp_ort_error(ORT_FAIL, "Input is not of type sequence or map.");
  *out = kind == KAPELL_KIND_MAP ? 2 : value->value->item_count;  // keys and values
  return NULL;
}

// The values of a map as one tensor, where they are a sequence of tensors of one element.
static OrtStatus* join_values(const kapell_value* items, kapell_value** out) {
  const int64_t count = (int64_t)items->item_count;
  const kapell_type type = count ? items->items[0]->type : KAPELL_FLOAT;
  KP_ORT_TAKE(kp_value_create_tensor(type, &count, 1, out));
  for (size_t i = 0; i < items->item_count; ++i) {
    const kapell_value* item = items->items[i];
    kp_status* status = NULL;
    if (item->kind != KAPELL_KIND_TENSOR || item->type != type || kp_value_count(item) != 1)
      status = KP_ERROR(UNSUPPORTED, "a map whose values are no scalars of one type");
    else if (type == KAPELL_STRING)
      status = kp_value_set_string(*out, i, kp_value_string(item, 0));
    else
      memcpy((char*)(*out)->data + i * item->byte_count, item->data, item->byte_count);
    if (!status) continue;
    kp_value_release(*out);
    return kp_ort_status(status);
  }
  return NULL;
}

OrtStatus* ort_GetValue(const OrtValue* value, int index, OrtAllocator* allocator, OrtValue** out) {
  KP_ORT_NEED(value);
  KP_ORT_NEED(out);
  *out = NULL;
  size_t count = 0;
  KP_ORT_PASS(ort_GetValueCount(value, &count));
  if (index < 0 || (size_t)index >= count)
    return kp_ort_error(ORT_FAIL, "index %d of a value with %zu elements", index, count);
  kapell_value* item = value->value->items[index];
  if (value->value->kind == KAPELL_KIND_MAP && item->kind == KAPELL_KIND_SEQUENCE)
    KP_ORT_PASS(join_values(item, &item));
  else if (item->kind == KAPELL_KIND_TENSOR && !item->memory)
    KP_ORT_PASS(kp_ort_tensor_copy(allocator, item, &item));
  else
    kp_value_retain(item);  // a client cannot change it
  return kp_ort_value_wrap(item, out);
}

// --- making ----------------------------------------------------------------------------------------------------------------------
static OrtStatus* make_sequence(const OrtValue* const* in, size_t count, kapell_value** out) {
  if (count == 0) return kp_ort_error(ORT_FAIL, "Number of values should be at least 1.");
  kapell_value* sequence;
  KP_ORT_TAKE(kp_value_create_sequence(&sequence));
  OrtStatus* status = NULL;
  for (size_t i = 0; i < count && !status; ++i) {
    const kapell_kind kind = in[i] && in[i]->value ? in[i]->value->kind : KAPELL_KIND_NONE;
    if (kind != KAPELL_KIND_TENSOR && kind != KAPELL_KIND_MAP)
      status =
          kp_ort_error(ORT_FAIL, "element %zu of the sequence is neither a tensor nor a map", i);
    else if (kind != in[0]->value->kind || in[i]->value->type != in[0]->value->type)
      status = kp_ort_error(
          ORT_FAIL,
          "Sequences must have tensors of the same data type. There was at least one tensor "
          "in the input that was different.");
    else
      status = kp_ort_status(kp_value_sequence_append(sequence, in[i]->value));
  }
  if (status) kp_value_release(sequence);
  *out = sequence;
  return status;
}

static OrtStatus* make_map(const OrtValue* const* in, size_t count, kapell_value** out) {
  if (count != 2) return kp_ort_error(ORT_FAIL, "For map type num_values MUST be 2");
  const kapell_value *keys = in[0] ? in[0]->value : NULL, *values = in[1] ? in[1]->value : NULL;
  if (!keys || !values || keys->kind != KAPELL_KIND_TENSOR || values->kind != KAPELL_KIND_TENSOR)
    return kp_ort_error(ORT_RUNTIME_EXCEPTION, "Either keys or values are not of tensor type");
  if (keys->type != KAPELL_STRING && !kp_type_is_integer(keys->type))
    return kp_ort_error(ORT_FAIL, "Key type is not supported yet.");
  if (keys->rank != 1 || values->rank != 1 || keys->dims[0] != values->dims[0])
    return kp_ort_error(ORT_FAIL,
                        "Either keys or values are not 1-dimensional, or their counts differ");
  KP_ORT_TAKE(kp_value_create_map(in[0]->value, in[1]->value, out));
  return NULL;
}

OrtStatus* ort_CreateValue(const OrtValue* const* in, size_t num_values, ONNXType value_type,
                           OrtValue** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  if (num_values == 0) return kp_ort_error(ORT_FAIL, "Number of values should be at least 1.");
  KP_ORT_NEED(in);
  kapell_value* made = NULL;
  if (value_type == ONNX_TYPE_SEQUENCE)
    KP_ORT_PASS(make_sequence(in, num_values, &made));
  else if (value_type == ONNX_TYPE_MAP)
    KP_ORT_PASS(make_map(in, num_values, &made));
  else
    return kp_ort_error(ORT_FAIL, "Input is not of type sequence or map.");
  return kp_ort_value_wrap(made, out);
}

// --- opaque values: bytes under a name, handed back as they came ----------------------------------------------------------------
static OrtStatus* fill_opaque(OrtValue* value, const char* domain, const char* name,
                              const void* data, size_t size) {
  kp_ort_opaque* opaque = value->opaque = kp_alloc_zero(1, sizeof(*opaque));
  if (!opaque) return kp_ort_no_memory();
  opaque->domain = kp_strdup(domain);
  opaque->name = kp_strdup(name);
  opaque->data = kp_alloc(size);
  opaque->size = size;
  if (!opaque->domain || !opaque->name || !opaque->data) return kp_ort_no_memory();
  memcpy(opaque->data, data, size);
  return NULL;
}

OrtStatus* ort_CreateOpaqueValue(const char* domain_name, const char* type_name,
                                 const void* data_container, size_t data_container_size,
                                 OrtValue** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(domain_name);
  KP_ORT_NEED(type_name);
  KP_ORT_NEED(data_container);
  OrtValue* value = kp_alloc_zero(1, sizeof(*value));
  if (!value) return kp_ort_no_memory();
  value->info = kp_ort_info_retain(&kp_ort_cpu_info);
  OrtStatus* status =
      fill_opaque(value, domain_name, type_name, data_container, data_container_size);
  if (status) {
    ort_ReleaseValue(value);
    return status;
  }
  *out = value;
  return NULL;
}

OrtStatus* ort_GetOpaqueValue(const char* domain_name, const char* type_name, const OrtValue* in,
                              void* data_container, size_t data_container_size) {
  KP_ORT_NEED(domain_name);
  KP_ORT_NEED(type_name);
  KP_ORT_NEED(in);
  KP_ORT_NEED(data_container);
  const kp_ort_opaque* opaque = in->opaque;
  if (!opaque || strcmp(opaque->domain, domain_name) != 0 || strcmp(opaque->name, type_name) != 0)
    return kp_ort_error(ORT_FAIL, "the value is no %s.%s", domain_name, type_name);
  if (opaque->size != data_container_size)
    return kp_ort_error(ORT_FAIL, "the container has %zu bytes and the value %zu",
                        data_container_size, opaque->size);
  memcpy(data_container, opaque->data, opaque->size);
  return NULL;
}
