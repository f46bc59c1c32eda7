// Reads ONNX Runtime's adapter files: a FlatBuffer, of which nothing is believed before it is checked.
//
//   Adapter { 0: format version, 1: adapter version, 2: model version, 3: [Parameter] }
//   Parameter { 0: name, 1: [int64] dims, 2: int32 element type as in ONNX's files, 3: [uint8] data }
#include "ort/lora.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/size.h"
#include "ort/options.h"

#define FORMAT_VERSION 1

typedef struct bytes {
  const uint8_t* data;
  size_t size;
} bytes;

// --- the format --------------------------------------------------------------------------------------------------------------------
static bool get(const bytes* b, size_t at, void* out, size_t width) {
  if (at > b->size || b->size - at < width) return false;
  memcpy(out, b->data + at, width);
  return true;
}

// Where the offset at |at| leads.
static bool follow(const bytes* b, size_t at, size_t* out) {
  uint32_t offset;
  if (!get(b, at, &offset, sizeof offset) || offset == 0 || offset > b->size - at) return false;
  *out = at + offset;
  return true;
}

// Place of field |index| of the table at |table|; false where it is absent or broken.
static bool field(const bytes* b, size_t table, unsigned index, size_t* out) {
  int32_t back;
  uint16_t size, offset;
  if (!get(b, table, &back, sizeof back)) return false;
  const int64_t vtable = (int64_t)table - back;
  if (vtable < 0 || !get(b, (size_t)vtable, &size, sizeof size) || size < 6 + 2 * index ||
      !get(b, (size_t)vtable + 4 + 2 * (size_t)index, &offset, sizeof offset) || offset == 0)
    return false;
  *out = table + offset;
  return true;
}

// The vector in field |index|: its first element and their number, all of them within the bytes.
static bool vector(const bytes* b, size_t table, unsigned index, size_t width, size_t* out_first,
                   size_t* out_count) {
  size_t at, start;
  uint32_t count;
  if (!field(b, table, index, &at) || !follow(b, at, &start) ||
      !get(b, start, &count, sizeof count))
    return false;
  if (count > (b->size - start - sizeof count) / width) return false;
  *out_first = start + sizeof count;
  *out_count = count;
  return true;
}

static OrtStatus* broken(const char* what) {
  return kp_ort_error(ORT_INVALID_ARGUMENT, "the LoRA adapter is broken: %s", what);
}

// --- one parameter -----------------------------------------------------------------------------------------------------------------
static OrtStatus* read_tensor(const bytes* b, size_t table, OrtAllocator* allocator,
                              OrtValue** out) {
  int64_t dims[KP_MAX_RANK];
  size_t first, rank, data, size, at, needed;
  int32_t type = 0;
  kapell_value* tensor;
  if (!vector(b, table, 1, sizeof *dims, &first, &rank)) first = rank = 0;  // a scalar
  if (rank > KP_MAX_RANK) return broken("a tensor of too many dimensions");
  if (rank) memcpy(dims, b->data + first, rank * sizeof *dims);
  if (!field(b, table, 2, &at) || !get(b, at, &type, sizeof type))
    return broken("a tensor without type");
  if (type <= KAPELL_UNDEFINED || type >= KAPELL_TYPE_COUNT || type == KAPELL_STRING)
    return broken("a tensor of an unknown type");
  if (!vector(b, table, 3, 1, &data, &size)) data = size = 0;
  KP_ORT_TAKE(kp_value_check_dims((kapell_type)type, dims, (int32_t)rank, NULL, &needed));
  if (size != needed) return broken("a tensor whose data has another size than its shape");
  const kapell_value lies = {.kind = KAPELL_KIND_TENSOR,
                             .type = (kapell_type)type,
                             .rank = (int32_t)rank,
                             .dims = dims,
                             .data = (void*)(uintptr_t)(b->data + data),
                             .byte_count = size};
  KP_ORT_PASS(kp_ort_tensor_copy(allocator, &lies, &tensor));
  return kp_ort_value_wrap(tensor, out);
}

static OrtStatus* read_parameter(const bytes* b, size_t at, OrtAllocator* allocator,
                                 OrtLoraAdapter* adapter) {
  size_t table, first, length;
  if (!follow(b, at, &table) || !vector(b, table, 0, 1, &first, &length) || length == 0)
    return broken("a parameter without name");
  char* name = kp_alloc_zero(length + 1, 1);
  if (!name) return kp_ort_no_memory();
  memcpy(name, b->data + first, length);
  adapter->names[adapter->count] = name;
  adapter->values[adapter->count++] = NULL;
  return read_tensor(b, table, allocator, &adapter->values[adapter->count - 1]);
}

static OrtStatus* read_adapter(const bytes* b, OrtAllocator* allocator, OrtLoraAdapter* adapter) {
  size_t table, at, first, count;
  int32_t version = 0;
  if (b->size < 8 || memcmp(b->data + 4, "TORT", 4) != 0 || !follow(b, 0, &table))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "the bytes are no LoRA adapter");
  if (!field(b, table, 0, &at) || !get(b, at, &version, sizeof version) ||
      version != FORMAT_VERSION)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "LoRA adapters of format version %d are not known; %d is", version,
                        FORMAT_VERSION);
  if (!vector(b, table, 3, sizeof(uint32_t), &first, &count)) return NULL;  // no parameters
  adapter->names = kp_alloc_zero(count, sizeof *adapter->names);
  adapter->values = kp_alloc_zero(count, sizeof *adapter->values);
  if (!adapter->names || !adapter->values) return kp_ort_no_memory();
  for (size_t i = 0; i < count; ++i)
    KP_ORT_PASS(read_parameter(b, first + i * sizeof(uint32_t), allocator, adapter));
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
  OrtStatus* status = read_adapter(&(bytes){data, count}, allocator, adapter);
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
