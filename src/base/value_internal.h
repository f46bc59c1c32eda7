// What the parts of value.c share. Use base/value.h.
#ifndef KP_BASE_VALUE_INTERNAL_H_
#define KP_BASE_VALUE_INTERNAL_H_

#include "base/value.h"

struct kp_buffer {
  void* data;
  size_t byte_count;
  const kp_memory* memory;  // NULL = host
  size_t string_count;      // elements of |data| that are strings of ours; 0 for plain bytes
  void (*release)(void* user, void* data);
  void* user;
  int32_t refs;  // atomic
  bool wrapped;  // the bytes are somebody else's
};

// A host buffer of |count| empty strings.
kp_status* kp_buffer_create_strings(size_t count, kp_buffer** out_buffer);
// True if nobody else holds |buffer| and its bytes are our own.
bool kp_buffer_is_ours_alone(const kp_buffer* buffer);

// Points |value->dims| at |rank| numbers (which may be the value's own). Errors: OUT_OF_MEMORY; nothing is changed then.
kp_status* kp_value_set_dims(kapell_value* value, const int64_t* dims, int32_t rank);
// Lets go of data and children, and keeps the dims.
void kp_value_drop(kapell_value* value);
kp_status* kp_value_new(kapell_kind kind, kapell_value** out_value);
// Gives |value| an array of |capacity| children at least. Errors: OUT_OF_MEMORY.
kp_status* kp_value_reserve_items(kapell_value* value, size_t capacity);

#endif  // KP_BASE_VALUE_INTERNAL_H_
