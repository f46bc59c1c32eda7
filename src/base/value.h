// The one tagged value that a run passes along an edge: tensor, string tensor, sparse tensor, sequence, map, optional; with a
// location. kapell.h's kapell_value is this struct; the ONNX Runtime objects wrap it.
//
// Dense tensors are row-major without gaps, little-endian, of any alignment (kernels must not assume more than one byte).
// Ownership: kp_value_create_* gives one reference; retain/release are atomic. The data is a shared kp_buffer, or borrowed
// (optionally with a callback when the value lets go).
// Threads: reading from any; changing from one at a time.
#ifndef KP_BASE_VALUE_H_
#define KP_BASE_VALUE_H_

#include "base/memory.h"
#include "base/status.h"
#include "base/str.h"
#include "base/types.h"

#define KP_MAX_RANK 32
#define KP_INLINE_RANK 8

typedef struct kp_buffer kp_buffer;  // reference-counted storage

struct kapell_value {
  kapell_kind kind;
  kapell_type type;         // tensor, sparse: element type; map: key type; sequence, optional: UNDEFINED
  int32_t rank;             // tensor, sparse
  int32_t refs;             // atomic
  int64_t* dims;            // |inline_dims|, or owned heap when rank > KP_INLINE_RANK
  int64_t inline_dims[KP_INLINE_RANK];
  void* data;               // tensor: first element; strings: kp_str[count] (NUL-terminated each, owned by |buffer|)
  size_t byte_count;        // of |data|, by type and dims
  const kp_memory* memory;  // NULL = host
  kp_buffer* buffer;        // owner of |data|; NULL = borrowed
  kapell_value** items;     // sequence: elements; map: {keys, values}; optional: {element}; sparse: {values, indices}
  size_t item_count, item_capacity;
  const struct kp_value_type* declared;  // sequence, optional, map: element type where known (arena of the model); may be NULL
};

// --- dense tensors ---
KP_MUST_USE kp_status* kp_value_check_dims(kapell_type type, const int64_t* dims, int32_t rank, size_t* out_count, size_t* out_bytes);
KP_MUST_USE kp_status* kp_value_create_tensor(kapell_type type, const int64_t* dims, int32_t rank, kapell_value** out_value);  // contents undefined; strings empty
KP_MUST_USE kp_status* kp_value_create_on(const kp_memory* memory, kapell_type type, const int64_t* dims, int32_t rank, kapell_value** out_value);
// Wraps |data| (borrowed); |release| (may be NULL) is called once, when the last reference goes, on that thread.
KP_MUST_USE kp_status* kp_value_wrap_tensor(kapell_type type, const int64_t* dims, int32_t rank, void* data, size_t byte_count,
                                            void (*release)(void* user, void* data), void* user, kapell_value** out_value);
// Turns |value| (refs 1, kind TENSOR or NONE) into a borrowed view, dropping what it held; allocates only when rank grows
// beyond KP_INLINE_RANK for the first time. Dims are trusted (checked before).
KP_MUST_USE kp_status* kp_value_reset_tensor(kapell_value* value, kapell_type type, const int64_t* dims, int32_t rank, void* data);
// An empty shell (kind NONE) to be patched per run.
KP_MUST_USE kp_status* kp_value_create_shell(kapell_value** out_value);
size_t kp_value_count(const kapell_value* value);  // elements of a tensor

// --- strings ---
KP_MUST_USE kp_status* kp_value_set_string(kapell_value* value, size_t index, kp_str text);
kp_str kp_value_string(const kapell_value* value, size_t index);

// --- the other kinds; children are retained by the parent ---
KP_MUST_USE kp_status* kp_value_create_sequence(kapell_value** out_value);
KP_MUST_USE kp_status* kp_value_sequence_append(kapell_value* sequence, kapell_value* item);
KP_MUST_USE kp_status* kp_value_create_map(kapell_value* keys, kapell_value* values, kapell_value** out_value);
KP_MUST_USE kp_status* kp_value_create_optional(kapell_value* item_or_null, kapell_value** out_value);
KP_MUST_USE kp_status* kp_value_create_sparse(kapell_value* values, kapell_value* indices, const int64_t* dims, int32_t rank, kapell_value** out_value);

// --- all kinds ---
kapell_value* kp_value_retain(kapell_value* value);
void kp_value_release(kapell_value* value);  // NULL is fine
KP_MUST_USE kp_status* kp_value_clone(const kapell_value* value, kapell_value** out_value);  // deep; host only
bool kp_value_equal(const kapell_value* a, const kapell_value* b);  // bitwise; for tests
void kp_value_describe(const kapell_value* value, kp_strbuf* buf);  // "float32[1,3,224,224]"

#endif  // KP_BASE_VALUE_H_
