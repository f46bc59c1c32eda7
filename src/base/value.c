// The tagged value: life, shapes, dense tensors and strings. Neighbours: value_buffer.c holds the bytes, value_kinds.c has the
// composite kinds and what is done with whole values; exec/ patches values per run, ort/ and api/ hand them out.
#include <string.h>

#include "base/alloc.h"
#include "base/size.h"
#include "base/value_internal.h"

// --- life ----------------------------------------------------------------------------------------------------------

kp_status* kp_value_new(kapell_kind kind, kapell_value** out_value) {
  *out_value = NULL;
  kapell_value* value = kp_alloc_zero(1, sizeof *value);
  if (!value) return KP_ERROR(OUT_OF_MEMORY, "a value");
  value->kind = kind;
  value->refs = 1;
  value->dims = value->inline_dims;
  *out_value = value;
  return NULL;
}

kp_status* kp_value_create_shell(kapell_value** out_value) {
  return kp_value_new(KAPELL_KIND_NONE, out_value);
}

kapell_value* kp_value_retain(kapell_value* value) {
  if (value) __atomic_fetch_add(&value->refs, 1, __ATOMIC_RELAXED);
  return value;
}

void kp_value_drop(kapell_value* value) {
  if (value->buffer) kp_buffer_release(value->buffer);
  for (size_t i = 0; i < value->item_count; ++i) kp_value_release(value->items[i]);
  value->buffer = NULL;
  value->item_count = 0;
  value->data = NULL;
  value->byte_count = 0;
  value->memory = NULL;
  value->declared = NULL;
}

void kp_value_clear(kapell_value* value) {
  kp_value_drop(value);
  kp_free(value->items);
  if (value->dims != value->inline_dims) kp_free(value->dims);
  const int32_t refs = value->refs;
  memset(value, 0, sizeof *value);
  value->refs = refs;
  value->dims = value->inline_dims;
}

void kp_value_release(kapell_value* value) {
  if (!value || __atomic_sub_fetch(&value->refs, 1, __ATOMIC_ACQ_REL) != 0) return;
  kp_value_clear(value);
  kp_free(value);
}

// --- shapes --------------------------------------------------------------------------------------------------------

static void print_dims(const int64_t* dims, int32_t rank, kp_strbuf* buf) {
  kp_strbuf_puts(buf, "[");
  for (int32_t i = 0; i < rank; ++i)
    kp_strbuf_printf(buf, "%s%lld", i ? "," : "", (long long)dims[i]);
  kp_strbuf_puts(buf, "]");
}

static kp_status* bad_shape(const int64_t* dims, int32_t rank, const char* why) {
  kp_strbuf buf = {0};
  print_dims(dims, rank, &buf);
  kp_status* status = KP_ERROR(INVALID_ARGUMENT, "shape %s: %s", buf.data ? buf.data : "?", why);
  kp_strbuf_free(&buf);
  return status;
}

// Bytes of |count| elements; strings take a kp_str each.
static bool bytes_of(kapell_type type, size_t count, size_t* out_bytes) {
  if (type == KAPELL_STRING) return kp_mul_size(count, sizeof(kp_str), out_bytes);
  return kp_type_bytes(type, count, out_bytes);
}

kp_status* kp_value_check_dims(kapell_type type, const int64_t* dims, int32_t rank,
                               size_t* out_count, size_t* out_bytes) {
  if (!kp_type_is_valid(type))
    return KP_ERROR(INVALID_ARGUMENT, "%d is no element type of a tensor", (int)type);
  if (rank < 0 || rank > KP_MAX_RANK)
    return KP_ERROR(INVALID_ARGUMENT, "a tensor of rank %d; 0 to %d are possible", (int)rank,
                    KP_MAX_RANK);
  int64_t product = 1;
  bool is_empty = false;
  for (int32_t i = 0; i < rank; ++i) {
    if (dims[i] < 0) return bad_shape(dims, rank, "a dim is negative");
    if (dims[i] == 0)
      is_empty = true;
    else if (!kp_mul_i64(product, dims[i], &product))
      return bad_shape(dims, rank, "more elements than 64 bits count");
  }
  size_t bytes;
  if (!bytes_of(type, (size_t)product, &bytes) || bytes > (size_t)INT64_MAX)
    return bad_shape(dims, rank, "more bytes than 63 bits count");
  const size_t count = is_empty ? 0 : (size_t)product;
  if (out_count) *out_count = count;
  if (out_bytes) *out_bytes = is_empty ? 0 : bytes;
  return NULL;
}

kp_status* kp_value_set_dims(kapell_value* value, const int64_t* dims, int32_t rank) {
  if (!value->dims) value->dims = value->inline_dims;
  if (rank > KP_INLINE_RANK && value->dims == value->inline_dims) {
    // Room for any rank at once, and kept from now on, so that no later change allocates.
    int64_t* heap_dims = kp_alloc_array(KP_MAX_RANK, sizeof *heap_dims);
    if (!heap_dims) return KP_ERROR(OUT_OF_MEMORY, "a shape of rank %d", (int)rank);
    value->dims = heap_dims;
  }
  if (rank) memmove(value->dims, dims, (size_t)rank * sizeof *dims);
  value->rank = rank;
  return NULL;
}

size_t kp_value_count(const kapell_value* value) {
  if (value->kind != KAPELL_KIND_TENSOR && value->kind != KAPELL_KIND_SPARSE) return 0;
  size_t count = 1;
  for (int32_t i = 0; i < value->rank; ++i) count *= (size_t)value->dims[i];
  return count;
}

// --- dense tensors -------------------------------------------------------------------------------------------------

static kp_status* create_storage(const kp_memory* memory, kapell_type type, size_t count,
                                 size_t bytes, kp_buffer** out_buffer) {
  *out_buffer = NULL;
  if (type != KAPELL_STRING) return kp_buffer_create(memory, bytes, out_buffer);
  if (memory) return KP_ERROR(INVALID_ARGUMENT, "a tensor of strings on %s", memory->name);
  return kp_buffer_create_strings(count, out_buffer);
}

// Fills in all but the dims. Takes |buffer|'s reference.
static void set_tensor(kapell_value* value, kapell_type type, kp_buffer* buffer,
                       const kp_memory* memory, void* data, size_t byte_count) {
  kp_value_drop(value);
  value->kind = KAPELL_KIND_TENSOR;
  value->type = type;
  value->buffer = buffer;
  value->memory = memory;
  value->data = data;
  value->byte_count = byte_count;
}

kp_status* kp_value_create_on(const kp_memory* memory, kapell_type type, const int64_t* dims,
                              int32_t rank, kapell_value** out_value) {
  *out_value = NULL;
  kapell_value* value;
  KP_PASS(kp_value_create_shell(&value));
  kp_status* status = kp_value_resize_tensor(value, memory, type, dims, rank);
  if (status)
    kp_value_release(value);
  else
    *out_value = value;
  return status;
}

kp_status* kp_value_create_tensor(kapell_type type, const int64_t* dims, int32_t rank,
                                  kapell_value** out_value) {
  return kp_value_create_on(NULL, type, dims, rank, out_value);
}

kp_status* kp_value_wrap_tensor(kapell_type type, const int64_t* dims, int32_t rank, void* data,
                                size_t byte_count, void (*release)(void* user, void* data),
                                void* user, kapell_value** out_value) {
  *out_value = NULL;
  size_t needed;
  KP_PASS(kp_value_check_dims(type, dims, rank, NULL, &needed));
  if (byte_count < needed)
    return KP_ERROR(INVALID_ARGUMENT, "%zu bytes given for a tensor that takes %zu", byte_count,
                    needed);
  if (!data && needed) return KP_ERROR(INVALID_ARGUMENT, "no data given for a tensor");
  kapell_value* value;
  kp_buffer* buffer = NULL;
  KP_PASS(kp_value_create_shell(&value));
  kp_status* status = kp_value_set_dims(value, dims, rank);
  if (!status && release) status = kp_buffer_wrap(NULL, data, byte_count, release, user, &buffer);
  if (status) {
    kp_value_release(value);
    return status;
  }
  set_tensor(value, type, buffer, NULL, data, needed);
  *out_value = value;
  return NULL;
}

kp_status* kp_value_outline(const kapell_value* like, kapell_value** out_value) {
  *out_value = NULL;
  kapell_value* value;
  KP_PASS(kp_value_create_shell(&value));
  kp_status* status = kp_value_set_dims(value, like->dims, like->rank);
  if (status) {
    kp_value_release(value);
    return status;
  }
  set_tensor(value, like->type, NULL, NULL, NULL, like->byte_count);
  *out_value = value;
  return NULL;
}

kp_status* kp_value_reset_on(kapell_value* value, const kp_memory* memory, kapell_type type,
                             const int64_t* dims, int32_t rank, void* data) {
  KP_PASS(kp_value_set_dims(value, dims, rank));
  size_t count = 1, bytes = 0;
  for (int32_t i = 0; i < rank; ++i) count *= (size_t)value->dims[i];
  (void)bytes_of(type, count, &bytes);
  set_tensor(value, type, NULL, memory, data, bytes);
  return NULL;
}

kp_status* kp_value_reset_tensor(kapell_value* value, kapell_type type, const int64_t* dims,
                                 int32_t rank, void* data) {
  return kp_value_reset_on(value, NULL, type, dims, rank, data);
}

kp_status* kp_value_reset_shared(kapell_value* value, kapell_type type, const int64_t* dims,
                                 int32_t rank, kp_buffer* buffer, size_t offset) {
  size_t bytes;
  KP_PASS(kp_value_check_dims(type, dims, rank, NULL, &bytes));
  if (offset > buffer->byte_count || bytes > buffer->byte_count - offset)
    return KP_ERROR(INVALID_ARGUMENT, "a tensor of %zu bytes at %zu in a buffer of %zu", bytes,
                    offset, buffer->byte_count);
  if ((type == KAPELL_STRING) != (buffer->string_count != 0) && bytes)
    return KP_ERROR(INVALID_ARGUMENT, "strings and numbers share no buffer");
  KP_PASS(kp_value_set_dims(value, dims, rank));
  kp_buffer_retain(buffer);  // before the value lets go of it
  set_tensor(value, type, buffer, buffer->memory, (char*)buffer->data + offset, bytes);
  return NULL;
}

// Bytes to allocate where |bytes| are needed and |old| has become too small.
static size_t grown_size(const kp_buffer* old, size_t bytes) {
  size_t grown;
  if (!old || !kp_add_size(old->byte_count, old->byte_count / 2, &grown)) return bytes;
  return kp_max_size(bytes, grown);
}

kp_status* kp_value_resize_tensor(kapell_value* value, const kp_memory* memory, kapell_type type,
                                  const int64_t* dims, int32_t rank) {
  size_t count, bytes;
  KP_PASS(kp_value_check_dims(type, dims, rank, &count, &bytes));
  kp_buffer* buffer = value->buffer;
  const bool ours = kp_buffer_is_ours_alone(buffer) && buffer->memory == memory &&
                    type != KAPELL_STRING && buffer->string_count == 0;
  if (ours && buffer->byte_count >= bytes) {
    kp_buffer_retain(buffer);
  } else {
    const size_t wanted = ours && type != KAPELL_STRING ? grown_size(buffer, bytes) : bytes;
    KP_PASS(create_storage(memory, type, count, wanted, &buffer));
  }
  kp_status* status = kp_value_set_dims(value, dims, rank);
  if (status) {
    kp_buffer_release(buffer);
    return status;
  }
  set_tensor(value, type, buffer, memory, buffer->data, bytes);
  return NULL;
}

kp_status* kp_value_reshape(kapell_value* value, const int64_t* dims, int32_t rank) {
  if (value->kind != KAPELL_KIND_TENSOR) return KP_ERROR(INVALID_ARGUMENT, "no tensor to reshape");
  size_t count;
  KP_PASS(kp_value_check_dims(value->type, dims, rank, &count, NULL));
  if (count != kp_value_count(value))
    return bad_shape(dims, rank, "another number of elements than the tensor has");
  return kp_value_set_dims(value, dims, rank);
}

// --- strings -------------------------------------------------------------------------------------------------------

// The element of a tensor that owns its strings.
static kp_status* string_slot(kapell_value* value, size_t index, kp_str** out_slot) {
  if (value->kind != KAPELL_KIND_TENSOR || value->type != KAPELL_STRING)
    return KP_ERROR(INVALID_ARGUMENT, "not a tensor of strings");
  if (index >= kp_value_count(value))
    return KP_ERROR(INVALID_ARGUMENT, "string %zu of %zu", index, kp_value_count(value));
  if (!value->buffer || value->buffer->string_count == 0)
    return KP_ERROR(INVALID_ARGUMENT, "the strings of this tensor belong to somebody else");
  *out_slot = (kp_str*)value->data + index;
  return NULL;
}

// Room for |length| > 0 bytes and a NUL, which is written already.
static kp_status* new_string(size_t length, char** out_bytes) {
  size_t whole;
  char* bytes = kp_add_size(length, 1, &whole) ? kp_alloc(whole) : NULL;
  if (!bytes) return KP_ERROR(OUT_OF_MEMORY, "a string of %zu bytes", length);
  bytes[length] = 0;
  *out_bytes = bytes;
  return NULL;
}

static void replace_string(kp_str* slot, kp_str text) {
  if (slot->length) kp_free((void*)(uintptr_t)slot->data);
  *slot = text.length ? text : (kp_str){"", 0};
}

kp_status* kp_value_string_room(kapell_value* value, size_t index, size_t length,
                                char** out_bytes) {
  static char no_bytes[1];
  *out_bytes = NULL;
  kp_str* slot;
  char* bytes = no_bytes;
  KP_PASS(string_slot(value, index, &slot));
  if (length) KP_PASS(new_string(length, &bytes));
  replace_string(slot, (kp_str){bytes, length});
  *out_bytes = bytes;
  return NULL;
}

kp_status* kp_value_set_string(kapell_value* value, size_t index, kp_str text) {
  kp_str* slot;
  char* bytes = NULL;
  KP_PASS(string_slot(value, index, &slot));
  if (text.length) {
    KP_PASS(new_string(text.length, &bytes));
    memcpy(bytes, text.data, text.length);  // before the old string goes: |text| may lie in it
  }
  replace_string(slot, (kp_str){bytes, text.length});
  return NULL;
}

kp_str kp_value_string(const kapell_value* value, size_t index) {
  const bool has_strings = value->kind == KAPELL_KIND_TENSOR && value->type == KAPELL_STRING;
  if (!has_strings || index >= kp_value_count(value)) return (kp_str){"", 0};
  return ((const kp_str*)value->data)[index];
}
