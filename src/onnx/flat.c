// Checked access to FlatBuffers: see flat.h.
#include "onnx/flat.h"

#include <string.h>

#include "base/size.h"

static bool holds(const kp_flat* flat, size_t at, size_t size) {
  return at <= flat->size && size <= flat->size - at;
}

static uint32_t load32(const kp_flat* flat, size_t at) {
  uint32_t value;
  memcpy(&value, flat->data + at, sizeof value);
  return value;
}

static uint16_t load16(const kp_flat* flat, size_t at) {
  uint16_t value;
  memcpy(&value, flat->data + at, sizeof value);
  return value;
}

// Where the reference at |at| leads to, at least |size| bytes of which are there.
static const char* follow(const kp_flat* flat, size_t at, size_t size, size_t* out_target) {
  if (!holds(flat, at, sizeof(uint32_t))) return "a reference beyond the end of the file";
  const uint32_t distance = load32(flat, at);
  if (distance == 0) return "a reference to nothing";
  if (!kp_add_size(at, distance, out_target) || !holds(flat, *out_target, size))
    return "a reference that leads beyond the end of the file";
  return NULL;
}

const char* kp_flat_get_table(const kp_flat* flat, size_t at, kp_flat_table* out_table) {
  const char* const error = follow(flat, at, sizeof(int32_t), &out_table->at);
  if (error) return error;
  // The table begins with how far before it its vtable lies, as a signed number.
  const int64_t fields = (int64_t)out_table->at - (int32_t)load32(flat, out_table->at);
  if (fields < 0 || !holds(flat, (size_t)fields, 2 * sizeof(uint16_t)))
    return "a table whose vtable lies outside of the file";
  const size_t bytes = load16(flat, (size_t)fields);
  out_table->size = load16(flat, (size_t)fields + sizeof(uint16_t));
  if (bytes < 2 * sizeof(uint16_t) || bytes % 2 || !holds(flat, (size_t)fields, bytes))
    return "a table whose vtable is cut off";
  if (out_table->size < sizeof(int32_t) || !holds(flat, out_table->at, out_table->size))
    return "a table that is cut off";
  out_table->fields_at = (size_t)fields + 2 * sizeof(uint16_t);
  out_table->slot_count = bytes / sizeof(uint16_t) - 2;
  return NULL;
}

const char* kp_flat_get_vector(const kp_flat* flat, size_t at, size_t element_size,
                               kp_flat_vector* out_vector) {
  size_t target, bytes;
  const char* const error = follow(flat, at, sizeof(uint32_t), &target);
  if (error) return error;
  out_vector->count = load32(flat, target);
  out_vector->at = target + sizeof(uint32_t);
  if (!kp_mul_size(out_vector->count, element_size, &bytes) || !holds(flat, out_vector->at, bytes))
    return "more elements than the file has bytes for";
  return NULL;
}

const char* kp_flat_find(const kp_flat* flat, const kp_flat_table* table, size_t slot, size_t size,
                         size_t* out_at) {
  *out_at = 0;
  if (slot >= table->slot_count) return NULL;
  const size_t offset = load16(flat, table->fields_at + slot * sizeof(uint16_t));
  if (offset == 0) return NULL;
  if (offset < sizeof(int32_t) || offset > table->size || size > table->size - offset)
    return "a field outside of its table";
  *out_at = table->at + offset;
  return NULL;
}

int64_t kp_flat_number(const void* at, size_t size) {
  int64_t value = 0;
  memcpy(&value, at, size);
  const unsigned unused = (unsigned)(sizeof value - size) * 8;
  return (int64_t)((uint64_t)value << unused) >> unused;
}
