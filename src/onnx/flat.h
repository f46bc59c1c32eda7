// The FlatBuffers encoding: bounds-checked views of tables, vectors and strings. Knows no schema.
//
// Places are offsets from the buffer's first byte. Every offset, vtable and length is checked against the buffer before it is
// used, so whatever the bytes are, nothing outside of them is read; alignment is not asked for. References lead forward only
// (theirs are unsigned offsets), so tables cannot form a circle. Nothing is allocated, nothing recurses.
// Source: flatbuffers.dev, "FlatBuffer Internals".
#ifndef KP_ONNX_FLAT_H_
#define KP_ONNX_FLAT_H_

#include <stddef.h>
#include <stdint.h>

typedef struct kp_flat {
  const uint8_t* data;
  size_t size;
} kp_flat;

typedef struct kp_flat_table {
  size_t at;
  size_t fields_at;  // the vtable's slots
  size_t slot_count;
  size_t size;  // bytes of the table itself, which hold its scalars and references
} kp_flat_table;

typedef struct kp_flat_vector {  // a string is a vector of bytes
  size_t at;                     // the first element
  size_t count;
} kp_flat_vector;

// All of these: NULL, or what is malformed, in words.

// Follows the reference at |at| to a table.
const char* kp_flat_get_table(const kp_flat* flat, size_t at, kp_flat_table* out_table);
// Follows the reference at |at| to a vector whose elements have |element_size| bytes each.
const char* kp_flat_get_vector(const kp_flat* flat, size_t at, size_t element_size,
                               kp_flat_vector* out_vector);
// Where |table| has the field of |slot|, of |size| bytes; 0: it leaves that field out.
const char* kp_flat_find(const kp_flat* flat, const kp_flat_table* table, size_t slot, size_t size,
                         size_t* out_at);

// The little-endian number of |size| (1, 2, 4 or 8) bytes at |at|, its sign extended.
int64_t kp_flat_number(const void* at, size_t size);

#endif  // KP_ONNX_FLAT_H_
