// Tables from numbers or texts to small numbers, filled while a node is prepared: encoders, vocabularies, ids of tree nodes.
#ifndef KP_PROVIDER_CPU_OP_LOOKUP_H_
#define KP_PROVIDER_CPU_OP_LOOKUP_H_

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

#define KP_LOOKUP_NONE UINT32_MAX

typedef struct kp_lookup {
  size_t mask;       // slots - 1; open addressing, at least half of them empty
  uint32_t* values;  // KP_LOOKUP_NONE: an empty slot
  int64_t* numbers;  // keys, of one kind or the other
  const kp_str** texts;
} kp_lookup;

// Room for |most| keys in |arena|. Errors: OUT_OF_MEMORY, LIMIT (2^31 keys).
KP_MUST_USE kp_status* kp_lookup_init(kp_lookup* lookup, kp_arena* arena, size_t most, bool texts);
// Where the value of a key lies, which is put in if it is not there; *result is KP_LOOKUP_NONE then and must be set. Texts are borrowed.
uint32_t* kp_lookup_put_number(kp_lookup* lookup, int64_t key);
uint32_t* kp_lookup_put_text(kp_lookup* lookup, const kp_str* key);
// The value of a key, or KP_LOOKUP_NONE. A table that was never filled has none.
uint32_t kp_lookup_number(const kp_lookup* lookup, int64_t key);
uint32_t kp_lookup_text(const kp_lookup* lookup, kp_str key);

#endif  // KP_PROVIDER_CPU_OP_LOOKUP_H_
