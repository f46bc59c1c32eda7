// Protobuf's wire format: a bounds-checked cursor over the fields of one message. Knows no message types.
//
// Groups are skipped whole and, like every field that the caller does not want, cost nothing but their walk. Nothing is
// allocated, nothing recurses. A message that occurs several times as a singular field means the same as its pieces joined;
// so a message's body is a list of spans.
// Source: protobuf.dev, "Encoding".
#ifndef KP_ONNX_WIRE_H_
#define KP_ONNX_WIRE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum kp_wire_type {
  KP_WIRE_VARINT = 0,
  KP_WIRE_FIXED64 = 1,
  KP_WIRE_BYTES = 2,      // length-delimited
  KP_WIRE_GROUP = 3,      // the whole group, its end included
  KP_WIRE_END_GROUP = 4,  // only inside the cursor
  KP_WIRE_FIXED32 = 5
} kp_wire_type;

typedef struct kp_wire_span {
  const uint8_t* begin;
  const uint8_t* end;
  const struct kp_wire_span* next;  // further piece of the same message, or NULL
} kp_wire_span;

typedef struct kp_wire_field {
  uint32_t number;  // >= 1
  kp_wire_type type;
  const uint8_t* at;    // first byte of the tag, for messages
  uint64_t value;       // VARINT, FIXED32, FIXED64
  const uint8_t* data;  // BYTES: payload; scalars: the bytes of the value
  size_t size;
} kp_wire_field;

typedef struct kp_wire_cursor {
  const uint8_t* at;
  const uint8_t* end;
  const kp_wire_span* rest;
  const char* error;  // NULL, or in words what is malformed
  const uint8_t* error_at;
} kp_wire_cursor;

static inline kp_wire_cursor kp_wire_open(const kp_wire_span* body) {
  return (kp_wire_cursor){body->begin, body->end, body->next, NULL, NULL};
}

// The next field. False at the end of the last span, or where something is malformed: then cursor->error says what.
bool kp_wire_next(kp_wire_cursor* cursor, kp_wire_field* out_field);

// Reads one varint of at most ten bytes (bits over 64 are dropped, as protobuf does); false if it runs past |end| or is longer.
bool kp_wire_varint(const uint8_t** at, const uint8_t* end, uint64_t* out_value);

// Counts the elements of a packed field whose elements have wire type |type|. NULL, or what is malformed.
const char* kp_wire_count_packed(const uint8_t* data, size_t size, kp_wire_type type,
                                 size_t* out_count);

// Reads one element of a packed field that kp_wire_count_packed accepted, and moves |at| behind it.
uint64_t kp_wire_packed_next(const uint8_t** at, const uint8_t* end, kp_wire_type type);

#endif  // KP_ONNX_WIRE_H_
