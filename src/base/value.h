// The one tagged value that a run passes along an edge: tensor, string tensor, sparse tensor, sequence, map, optional; with a
// location. kapell.h's kapell_value is this struct; the ONNX Runtime objects wrap it.
//
// Dense tensors are row-major without gaps, little-endian, of any alignment (kernels must not assume more than one byte).
// Ownership: kp_value_create_* gives one reference; retain/release are atomic. The data is a shared kp_buffer, or borrowed
// (optionally with a callback when the value lets go). A value that is a field of something else starts as {0}, is never
// retained, and ends with kp_value_clear. Values are not copied by assignment: |dims| may point into the value.
// Threads: reading from any; changing from one at a time, and only while nobody else uses the value.
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
  kapell_type type;  // tensor, sparse: element type; map: key type; sequence, optional: UNDEFINED
  int32_t rank;      // tensor, sparse
  int32_t refs;      // atomic
  int64_t* dims;     // |inline_dims|, or owned heap when rank > KP_INLINE_RANK
  int64_t inline_dims[KP_INLINE_RANK];
  void*
      data;  // tensor: first element; strings: kp_str[count] (NUL-terminated each, owned by |buffer|)
  size_t byte_count;        // of |data|, by type and dims
  const kp_memory* memory;  // NULL = host
  kp_buffer* buffer;        // owner of |data|; NULL = borrowed
  kapell_value**
      items;  // sequence: elements; map: {keys, values}; optional: {element}; sparse: {values, indices}
  size_t item_count, item_capacity;
  const struct kp_value_type*
      declared;  // sequence, optional, map: element type where known (arena of the model); may be NULL
};

// --- storage ---
// |byte_count| bytes in |memory| (NULL = host), KP_ALIGNMENT-aligned, contents undefined. Errors: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_buffer_create(const kp_memory* memory, size_t byte_count,
                                        kp_buffer** out_buffer);
// Bytes of somebody else. |release| (may be NULL) is called once, when the last reference goes, on that thread; not if this
// call fails.
KP_MUST_USE kp_status* kp_buffer_wrap(const kp_memory* memory, void* data, size_t byte_count,
                                      void (*release)(void* user, void* data), void* user,
                                      kp_buffer** out_buffer);
kp_buffer* kp_buffer_retain(kp_buffer* buffer);  // NULL stays NULL
void kp_buffer_release(kp_buffer* buffer);       // NULL is fine
void* kp_buffer_data(const kp_buffer* buffer);
size_t kp_buffer_size(const kp_buffer* buffer);  // bytes

// --- dense tensors ---
// Elements and bytes (strings: of the kp_str array) of a shape. Refused with INVALID_ARGUMENT, the message showing the shape:
// an unknown type, a rank outside [0, KP_MAX_RANK], negative dims, a size beyond int64 (dims of 0 left out of the product, so
// that no part of a shape can wrap either). Either output may be NULL.
KP_MUST_USE kp_status* kp_value_check_dims(kapell_type type, const int64_t* dims, int32_t rank,
                                           size_t* out_count, size_t* out_bytes);
// Storage of its own, KP_ALIGNMENT-aligned; contents undefined, strings empty. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_value_create_tensor(kapell_type type, const int64_t* dims, int32_t rank,
                                              kapell_value** out_value);
// The same in |memory| (NULL = host); no strings on a device.
KP_MUST_USE kp_status* kp_value_create_on(const kp_memory* memory, kapell_type type,
                                          const int64_t* dims, int32_t rank,
                                          kapell_value** out_value);
// Wraps |byte_count| host bytes (borrowed; at least what the shape needs); |release| (may be NULL) is called once, when the last
// reference goes, on that thread; not if this call fails. Strings: |data| is a kp_str array that its owner keeps.
KP_MUST_USE kp_status* kp_value_wrap_tensor(kapell_type type, const int64_t* dims, int32_t rank,
                                            void* data, size_t byte_count,
                                            void (*release)(void* user, void* data), void* user,
                                            kapell_value** out_value);
// A tensor of the type and shape of |like| that has no data.
KP_MUST_USE kp_status* kp_value_outline(const kapell_value* like, kapell_value** out_value);
// Turns |value| (not shared, any kind) into a borrowed view on the host, dropping what it held; allocates only when the rank grows
// beyond KP_INLINE_RANK for the first time. Dims are trusted (checked before) and may be the value's own.
// Errors: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_value_reset_tensor(kapell_value* value, kapell_type type,
                                             const int64_t* dims, int32_t rank, void* data);
// The same for data in |memory|.
KP_MUST_USE kp_status* kp_value_reset_on(kapell_value* value, const kp_memory* memory,
                                         kapell_type type, const int64_t* dims, int32_t rank,
                                         void* data);
// The same over |buffer| from |offset| bytes on, which is retained. The tensor must lie inside. Errors: INVALID_ARGUMENT.
KP_MUST_USE kp_status* kp_value_reset_shared(kapell_value* value, kapell_type type,
                                             const int64_t* dims, int32_t rank, kp_buffer* buffer,
                                             size_t offset);
// Turns |value| into a tensor with storage of its own in |memory|. Keeps its buffer if nobody shares it, it lies in |memory| and is
// large enough; else makes one of half as much again, so that a tensor that grows a little each run is seldom allocated.
// Contents undefined, strings empty. |dims| are checked. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_value_resize_tensor(kapell_value* value, const kp_memory* memory,
                                              kapell_type type, const int64_t* dims, int32_t rank);
// Changes the shape of a tensor alone; the element count must stay. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_value_reshape(kapell_value* value, const int64_t* dims, int32_t rank);
// An empty shell (kind NONE) to be patched per run.
KP_MUST_USE kp_status* kp_value_create_shell(kapell_value** out_value);
size_t kp_value_count(
    const kapell_value* value);  // elements of a tensor or of a sparse tensor's dense shape

// --- strings ---
// Each element is allocated by itself, so that setting one leaves the others where they are.
// Copies |text| into a tensor that owns its strings. Errors: INVALID_ARGUMENT (index, no string tensor, borrowed), OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_value_set_string(kapell_value* value, size_t index, kp_str text);
// The same with |length| bytes for the caller to fill; a NUL follows them already.
KP_MUST_USE kp_status* kp_value_string_room(kapell_value* value, size_t index, size_t length,
                                            char** out_bytes);
kp_str kp_value_string(const kapell_value* value, size_t index);  // {"", 0} out of range

// --- the other kinds; children are retained by the parent and not changed from then on ---
KP_MUST_USE kp_status* kp_value_create_sequence(kapell_value** out_value);
// Items of a sequence are of one kind, tensors of one element type. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_value_sequence_append(kapell_value* sequence, kapell_value* item);
KP_MUST_USE kp_status* kp_value_sequence_insert(kapell_value* sequence, size_t index,
                                                kapell_value* item);  // 0..item_count
KP_MUST_USE kp_status* kp_value_sequence_erase(kapell_value* sequence, size_t index);
// Keys: a tensor [n] of integers or strings, distinct by the caller's word; values: a tensor [n], or a sequence of n.
KP_MUST_USE kp_status* kp_value_create_map(kapell_value* keys, kapell_value* values,
                                           kapell_value** out_value);
// Position of a key; false if it is not there. Linear.
bool kp_value_map_find_i64(const kapell_value* map, int64_t key, size_t* out_index);
bool kp_value_map_find_string(const kapell_value* map, kp_str key, size_t* out_index);
KP_MUST_USE kp_status* kp_value_create_optional(kapell_value* item_or_null,
                                                kapell_value** out_value);
// COO: values [n]; indices int64 [n] (into the flattened shape) or [n][rank], checked against |dims| when on the host.
KP_MUST_USE kp_status* kp_value_create_sparse(kapell_value* values, kapell_value* indices,
                                              const int64_t* dims, int32_t rank,
                                              kapell_value** out_value);
// Child |index| as |items| is described above; lent. NULL past the end.
kapell_value* kp_value_item(const kapell_value* value, size_t index);

// --- all kinds ---
kapell_value* kp_value_retain(kapell_value* value);  // NULL stays NULL
void kp_value_release(kapell_value* value);          // NULL is fine
void kp_value_clear(
    kapell_value*
        value);  // drops the contents: kind NONE, nothing left to free but a created shell
KP_MUST_USE kp_status* kp_value_clone(const kapell_value* value,
                                      kapell_value** out_value);  // deep; the copy is on the host
// Makes |value| hold what |from| holds, sharing buffer and children; borrowed data stays borrowed. Errors: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_value_share(kapell_value* value, const kapell_value* from);
// Same kind, types, shape and bytes (a NaN equals itself; bits behind the last packed element do not count). For tests. Data on a
// device is fetched; false if that fails.
bool kp_value_equal(const kapell_value* a, const kapell_value* b);
void kp_value_describe(const kapell_value* value, kp_strbuf* buf);  // "float32[1,3,224,224]"

#endif  // KP_BASE_VALUE_H_
