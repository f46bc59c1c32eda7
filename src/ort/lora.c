// Reads ONNX Runtime's adapter files: a FlatBuffer, of which nothing is believed before it is checked.
//
//   Adapter { 0: format version, 1: adapter version, 2: model version, 3: [Parameter] }
//   Parameter { 0: name, 1: [int64] dims, 2: int32 element type as in ONNX's files, 3: [uint8] data }
#include "ort/lora.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "onnx/flat.h"
#include "ort/options.h"

#define FORMAT_VERSION 1

static OrtStatus* broken(const char* what) {
  return kp_ort_error(ORT_INVALID_ARGUMENT, "the LoRA adapter is broken: %s", what);
}

// The vector in |slot|, of none where the table leaves it out.
static OrtStatus* find_vector(const kp_flat* flat, const kp_flat_table* table, size_t slot,
                              size_t width, kp_flat_vector* out) {
  size_t at;
  *out = (kp_flat_vector){0};
  const char* error = kp_flat_find(flat, table, slot, sizeof(uint32_t), &at);
  if (!error && at) error = kp_flat_get_vector(flat, at, width, out);
  return error ? broken(error) : NULL;
}

// The 32-bit number in |slot|.
static OrtStatus* find_number(const kp_flat* flat, const kp_flat_table* table, size_t slot,
                              int32_t* out) {
  size_t at;
  const char* const error = kp_flat_find(flat, table, slot, sizeof *out, &at);
  *out = at ? (int32_t)kp_flat_number(flat->data + at, sizeof *out) : 0;
  return error ? broken(error) : NULL;
}

// --- one parameter -----------------------------------------------------------------------------------------------------------------
static OrtStatus* read_tensor(const kp_flat* flat, const kp_flat_table* table,
                              OrtAllocator* allocator, OrtValue** out) {
  int64_t dims[KP_MAX_RANK];
  kp_flat_vector shape, data;
  size_t needed;
  int32_t type;
  kapell_value* tensor;
  KP_ORT_PASS(find_vector(flat, table, 1, sizeof *dims, &shape));  // none: a scalar
  KP_ORT_PASS(find_number(flat, table, 2, &type));
  KP_ORT_PASS(find_vector(flat, table, 3, 1, &data));
  if (shape.count > KP_MAX_RANK) return broken("a tensor of too many dimensions");
  if (shape.count) memcpy(dims, flat->data + shape.at, shape.count * sizeof *dims);
  if (type <= KAPELL_UNDEFINED || type >= KAPELL_TYPE_COUNT || type == KAPELL_STRING)
    return broken("a tensor of an unknown type");
  KP_ORT_TAKE(kp_value_check_dims((kapell_type)type, dims, (int32_t)shape.count, NULL, &needed));
  if (data.count != needed) return broken("a tensor whose data has another size than its shape");
  const kapell_value lies = {.kind = KAPELL_KIND_TENSOR,
                             .type = (kapell_type)type,
                             .rank = (int32_t)shape.count,
                             .dims = dims,
                             .data = (void*)(uintptr_t)(flat->data + data.at),
                             .byte_count = data.count};
  KP_ORT_PASS(kp_ort_tensor_copy(allocator, &lies, &tensor));
  return kp_ort_value_wrap(tensor, out);
}

static OrtStatus* read_parameter(const kp_flat* flat, size_t at, OrtAllocator* allocator,
                                 OrtLoraAdapter* adapter) {
  kp_flat_table table;
  kp_flat_vector text;
  const char* const error = kp_flat_get_table(flat, at, &table);
  if (error) return broken(error);
  KP_ORT_PASS(find_vector(flat, &table, 0, 1, &text));
  if (text.count == 0) return broken("a parameter without name");
  char* name = kp_alloc_zero(text.count + 1, 1);
  if (!name) return kp_ort_no_memory();
  memcpy(name, flat->data + text.at, text.count);
  adapter->names[adapter->count] = name;
  adapter->values[adapter->count++] = NULL;
  return read_tensor(flat, &table, allocator, &adapter->values[adapter->count - 1]);
}

static OrtStatus* read_adapter(const kp_flat* flat, OrtAllocator* allocator,
                               OrtLoraAdapter* adapter) {
  kp_flat_table table;
  kp_flat_vector parameters;
  int32_t version;
  if (flat->size < 8 || memcmp(flat->data + 4, "TORT", 4) != 0)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "the bytes are no LoRA adapter");
  const char* const error = kp_flat_get_table(flat, 0, &table);
  if (error) return broken(error);
  KP_ORT_PASS(find_number(flat, &table, 0, &version));
  if (version != FORMAT_VERSION)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "LoRA adapters of format version %d are not known; %d is", version,
                        FORMAT_VERSION);
  KP_ORT_PASS(find_vector(flat, &table, 3, sizeof(uint32_t), &parameters));
  if (parameters.count == 0) return NULL;
  adapter->names = kp_alloc_zero(parameters.count, sizeof *adapter->names);
  adapter->values = kp_alloc_zero(parameters.count, sizeof *adapter->values);
  if (!adapter->names || !adapter->values) return kp_ort_no_memory();
  for (size_t i = 0; i < parameters.count; ++i)
    KP_ORT_PASS(read_parameter(flat, parameters.at + i * sizeof(uint32_t), allocator, adapter));
  return NULL;
}

// --- the slots ---------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_CreateLoraAdapterFromArray(const void* data, size_t count, OrtAllocator* allocator,
                                          OrtLoraAdapter** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(data);
  OrtLoraAdapter* adapter = kp_alloc_zero(1, sizeof *adapter);
  if (!adapter) return kp_ort_no_memory();
  OrtStatus* status = read_adapter(&(kp_flat){data, count}, allocator, adapter);
  if (status) {
    ort_ReleaseLoraAdapter(adapter);
    return status;
  }
  *out = adapter;
  return NULL;
}

OrtStatus* ort_CreateLoraAdapter(const char* adapter_file_path, OrtAllocator* allocator,
                                 OrtLoraAdapter** out) {
  kp_file* file;
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(adapter_file_path);
  KP_ORT_TAKE(kp_file_map(adapter_file_path, &file));
  OrtStatus* status = file->size
                          ? ort_CreateLoraAdapterFromArray(file->data, file->size, allocator, out)
                          : broken("the file is empty");
  kp_file_release(file);
  return status;
}

void ort_ReleaseLoraAdapter(OrtLoraAdapter* object) {
  if (!object) return;
  for (size_t i = 0; i < object->count; ++i) {
    kp_free(object->names[i]);
    ort_ReleaseValue(object->values[i]);
  }
  kp_free(object->names);
  kp_free(object->values);
  kp_free(object);
}

// |adapter| is borrowed: it must outlive the runs.
OrtStatus* ort_RunOptionsAddActiveLoraAdapter(OrtRunOptions* options,
                                              const OrtLoraAdapter* adapter) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(adapter);
  const OrtLoraAdapter** slot = kp_ort_append(
      (void**)(void*)&options->adapters, &options->adapter_count, sizeof(const OrtLoraAdapter*));
  if (!slot) return kp_ort_no_memory();
  *slot = adapter;
  return NULL;
}
