// Reasons of a placement, gathered and grouped for people: "14 x Pad: mode=reflect has no kernel (pad1, pad2, pad3, ...)".
#ifndef KP_PLAN_REASONS_H_
#define KP_PLAN_REASONS_H_

#include "base/status.h"
#include "base/str.h"

#define KP_REASON_NAMES 3  // names of nodes that a group keeps

typedef struct kp_reason_group {
  const char* op;
  const char* words;
  const char* names[KP_REASON_NAMES];
  uint32_t count;
} kp_reason_group;

// Groups by operator and words; texts are borrowed. Free with kp_reasons_free.
typedef struct kp_reasons {
  kp_reason_group* groups;
  uint32_t* slots;  // hash table over groups; KP_NONE = free
  size_t count, capacity;
} kp_reasons;

KP_MUST_USE kp_status* kp_reasons_init(kp_reasons* reasons, size_t most_groups);
void kp_reasons_add(kp_reasons* reasons, const char* op, const char* words, const char* node);
// Prints |most| groups at the most, those of most nodes first.
void kp_reasons_print(kp_reasons* reasons, size_t most, const char* separator, kp_strbuf* out);
void kp_reasons_free(kp_reasons* reasons);

#endif  // KP_PLAN_REASONS_H_
