// The composite kinds of values (sequence, map, optional, sparse tensor), and copying, sharing, comparing and describing any value.
// Neighbours: value.c.
#include <string.h>

#include "base/alloc.h"
#include "base/size.h"
#include "base/value_internal.h"

kp_status* kp_value_reserve_items(kapell_value* value, size_t capacity) {
  if (capacity <= value->item_capacity) return NULL;
  const size_t wanted = kp_max_size(capacity, value->item_capacity * 2);
  kapell_value** items = kp_realloc_array(value->items, wanted, sizeof *items);
  if (!items) return KP_ERROR(OUT_OF_MEMORY, "a value of %zu parts", capacity);
  value->items = items;
  value->item_capacity = wanted;
  return NULL;
}

static void add_item(kapell_value* value, kapell_value* item) {
  value->items[value->item_count++] = kp_value_retain(item);
}

// A value of |kind| with room for |capacity| parts.
static kp_status* new_with_room(kapell_kind kind, size_t capacity, kapell_value** out_value) {
  *out_value = NULL;
  kapell_value* value;
  KP_PASS(kp_value_new(kind, &value));
  kp_status* status = kp_value_reserve_items(value, capacity);
  if (status)
    kp_value_release(value);
  else
    *out_value = value;
  return status;
}

kapell_value* kp_value_item(const kapell_value* value, size_t index) {
  return index < value->item_count ? value->items[index] : NULL;
}

// --- sequence ------------------------------------------------------------------------------------------------------

kp_status* kp_value_create_sequence(kapell_value** out_value) {
  return kp_value_new(KAPELL_KIND_SEQUENCE, out_value);
}

static kp_status* check_item(const kapell_value* sequence, const kapell_value* item) {
  if (sequence->kind != KAPELL_KIND_SEQUENCE) return KP_ERROR(INVALID_ARGUMENT, "not a sequence");
  if (item == sequence) return KP_ERROR(INVALID_ARGUMENT, "a sequence cannot hold itself");
  const kapell_value* first = kp_value_item(sequence, 0);
  if (first && first->kind != item->kind)
    return KP_ERROR(INVALID_ARGUMENT, "the items of a sequence are all of one kind");
  if (first && first->type != item->type)
    return KP_ERROR(INVALID_ARGUMENT, "a sequence of %s takes no %s", kp_type_name(first->type),
                    kp_type_name(item->type));
  return NULL;
}

kp_status* kp_value_sequence_insert(kapell_value* sequence, size_t index, kapell_value* item) {
  KP_PASS(check_item(sequence, item));
  const size_t count = sequence->item_count;
  if (index > count)
    return KP_ERROR(INVALID_ARGUMENT, "position %zu in a sequence of %zu", index, count);
  KP_PASS(kp_value_reserve_items(sequence, count + 1));
  kapell_value** slot = sequence->items + index;
  memmove(slot + 1, slot, (count - index) * sizeof *slot);
  *slot = kp_value_retain(item);
  ++sequence->item_count;
  return NULL;
}

kp_status* kp_value_sequence_append(kapell_value* sequence, kapell_value* item) {
  return kp_value_sequence_insert(sequence, sequence->item_count, item);
}

kp_status* kp_value_sequence_erase(kapell_value* sequence, size_t index) {
  if (sequence->kind != KAPELL_KIND_SEQUENCE) return KP_ERROR(INVALID_ARGUMENT, "not a sequence");
  const size_t count = sequence->item_count;
  if (index >= count)
    return KP_ERROR(INVALID_ARGUMENT, "position %zu in a sequence of %zu", index, count);
  kp_value_release(sequence->items[index]);
  kapell_value** slot = sequence->items + index;
  memmove(slot, slot + 1, (count - index - 1) * sizeof *slot);
  --sequence->item_count;
  return NULL;
}

// --- map -----------------------------------------------------------------------------------------------------------

static bool is_vector(const kapell_value* value) {
  return value->kind == KAPELL_KIND_TENSOR && value->rank == 1;
}

kp_status* kp_value_create_map(kapell_value* keys, kapell_value* values, kapell_value** out_value) {
  *out_value = NULL;
  const bool keys_fit = is_vector(keys) &&
                        (keys->type == KAPELL_STRING || kp_type_is_integer(keys->type)) &&
                        !kp_type_is_packed(keys->type);
  if (!keys_fit)
    return KP_ERROR(INVALID_ARGUMENT, "keys of a map are a vector of integers or strings");
  const bool is_sequence = values->kind == KAPELL_KIND_SEQUENCE;
  if (!is_sequence && !is_vector(values))
    return KP_ERROR(INVALID_ARGUMENT, "values of a map are a vector or a sequence");
  const size_t count = is_sequence ? values->item_count : kp_value_count(values);
  if (count != kp_value_count(keys))
    return KP_ERROR(INVALID_ARGUMENT, "a map of %zu keys and %zu values", kp_value_count(keys),
                    count);
  kapell_value* map;
  KP_PASS(new_with_room(KAPELL_KIND_MAP, 2, &map));
  map->type = keys->type;
  add_item(map, keys);
  add_item(map, values);
  *out_value = map;
  return NULL;
}

// Element |index| of a vector of integers on the host. False where it does not fit int64.
static bool read_integer(const kapell_value* value, size_t index, int64_t* out) {
  const unsigned bytes = kp_type_bits(value->type) / 8;
  const unsigned char* from = (const unsigned char*)value->data + index * bytes;
  uint64_t raw = 0;
  memcpy(&raw, from, bytes);  // little-endian
  const bool is_signed = kp_type_is_signed(value->type);
  const unsigned shift = 64 - bytes * 8;
  *out = is_signed ? (int64_t)(raw << shift) >> shift : (int64_t)raw;
  return is_signed || *out >= 0;
}

bool kp_value_map_find_i64(const kapell_value* map, int64_t key, size_t* out_index) {
  if (map->kind != KAPELL_KIND_MAP || !kp_type_is_integer(map->type)) return false;
  const kapell_value* keys = map->items[0];
  const size_t count = keys->memory ? 0 : kp_value_count(keys);
  for (size_t i = 0; i < count; ++i) {
    int64_t other;
    if (!read_integer(keys, i, &other) || other != key) continue;
    *out_index = i;
    return true;
  }
  return false;
}

bool kp_value_map_find_string(const kapell_value* map, kp_str key, size_t* out_index) {
  if (map->kind != KAPELL_KIND_MAP || map->type != KAPELL_STRING) return false;
  const kapell_value* keys = map->items[0];
  const size_t count = kp_value_count(keys);
  for (size_t i = 0; i < count; ++i) {
    if (!kp_str_equal(kp_value_string(keys, i), key)) continue;
    *out_index = i;
    return true;
  }
  return false;
}

// --- optional ------------------------------------------------------------------------------------------------------

kp_status* kp_value_create_optional(kapell_value* item_or_null, kapell_value** out_value) {
  KP_PASS(new_with_room(KAPELL_KIND_OPTIONAL, 1, out_value));
  if (item_or_null) add_item(*out_value, item_or_null);
  return NULL;
}

// --- sparse tensor -------------------------------------------------------------------------------------------------

static kp_status* check_indices(const kapell_value* indices, size_t count, const int64_t* dims,
                                int32_t rank, size_t dense_count) {
  const bool flat = indices->rank == 1;
  const bool fits = indices->kind == KAPELL_KIND_TENSOR && indices->type == KAPELL_INT64 &&
                    (flat || (indices->rank == 2 && indices->dims[1] == rank)) &&
                    (size_t)indices->dims[0] == count;
  if (!fits)
    return KP_ERROR(INVALID_ARGUMENT,
                    "indices of a sparse tensor of rank %d with %zu values are int64 [%zu] or "
                    "[%zu, %d]",
                    (int)rank, count, count, count, (int)rank);
  if (indices->memory) return NULL;
  const size_t columns = flat ? 1 : (size_t)rank;
  for (size_t i = 0; i < count * columns; ++i) {
    int64_t index;
    memcpy(&index, (const char*)indices->data + i * sizeof index, sizeof index);
    const int64_t limit = flat ? (int64_t)dense_count : dims[i % columns];
    if (index < 0 || index >= limit)
      return KP_ERROR(INVALID_ARGUMENT, "index %lld of a sparse tensor lies outside its shape",
                      (long long)index);
  }
  return NULL;
}

kp_status* kp_value_create_sparse(kapell_value* values, kapell_value* indices, const int64_t* dims,
                                  int32_t rank, kapell_value** out_value) {
  *out_value = NULL;
  if (!is_vector(values))
    return KP_ERROR(INVALID_ARGUMENT, "values of a sparse tensor are a vector");
  size_t dense_count;
  KP_PASS(kp_value_check_dims(values->type, dims, rank, &dense_count, NULL));
  KP_PASS(check_indices(indices, (size_t)values->dims[0], dims, rank, dense_count));
  kapell_value* sparse;
  KP_PASS(new_with_room(KAPELL_KIND_SPARSE, 2, &sparse));
  kp_status* status = kp_value_set_dims(sparse, dims, rank);
  if (status) {
    kp_value_release(sparse);
    return status;
  }
  sparse->type = values->type;
  add_item(sparse, values);
  add_item(sparse, indices);
  *out_value = sparse;
  return NULL;
}

// --- copies --------------------------------------------------------------------------------------------------------

static kp_status* clone_tensor(const kapell_value* value, kapell_value** out_value) {
  kapell_value* copy;
  KP_PASS(kp_value_create_tensor(value->type, value->dims, value->rank, &copy));
  kp_status* status = NULL;
  if (value->type == KAPELL_STRING)
    for (size_t i = 0; !status && i < kp_value_count(value); ++i)
      status = kp_value_set_string(copy, i, kp_value_string(value, i));
  else
    status = kp_memory_copy(NULL, copy->data, value->memory, value->data, value->byte_count);
  if (status)
    kp_value_release(copy);
  else
    *out_value = copy;
  return status;
}

static kp_status* clone_parts(const kapell_value* value, kapell_value* copy) {
  copy->type = value->type;
  copy->declared = value->declared;
  KP_PASS(kp_value_set_dims(copy, value->dims, value->rank));
  KP_PASS(kp_value_reserve_items(copy, value->item_count));
  for (size_t i = 0; i < value->item_count; ++i) {
    KP_PASS(kp_value_clone(value->items[i], &copy->items[i]));
    ++copy->item_count;
  }
  return NULL;
}

kp_status* kp_value_clone(const kapell_value* value, kapell_value** out_value) {
  *out_value = NULL;
  if (value->kind == KAPELL_KIND_TENSOR) return clone_tensor(value, out_value);
  kapell_value* copy;
  KP_PASS(kp_value_new(value->kind, &copy));
  kp_status* status = clone_parts(value, copy);
  if (status)
    kp_value_release(copy);
  else
    *out_value = copy;
  return status;
}

kp_status* kp_value_share(kapell_value* value, const kapell_value* from) {
  if (value == from) return NULL;
  kapell_value** items = NULL;
  const size_t item_count = from->item_count;
  if (item_count) {
    items = kp_alloc_array(item_count, sizeof *items);
    if (!items) return KP_ERROR(OUT_OF_MEMORY, "a value of %zu parts", item_count);
  }
  kp_status* status = kp_value_set_dims(value, from->dims, from->rank);
  if (status) {
    kp_free(items);
    return status;
  }
  // All is read and retained before |value| lets go of its contents: |from| may be among these.
  for (size_t i = 0; i < item_count; ++i) items[i] = kp_value_retain(from->items[i]);
  kp_buffer* const buffer = kp_buffer_retain(from->buffer);
  const kapell_kind kind = from->kind;
  const kapell_type type = from->type;
  void* const data = from->data;
  const size_t byte_count = from->byte_count;
  const kp_memory* const memory = from->memory;
  const struct kp_value_type* const declared = from->declared;
  kp_value_drop(value);
  if (items) {
    kp_free(value->items);
    value->items = items;
    value->item_count = value->item_capacity = item_count;
  }
  value->kind = kind;
  value->type = type;
  value->data = data;
  value->byte_count = byte_count;
  value->memory = memory;
  value->buffer = buffer;
  value->declared = declared;
  return NULL;
}

// --- comparison ----------------------------------------------------------------------------------------------------

static bool equal_strings(const kapell_value* a, const kapell_value* b) {
  const size_t count = kp_value_count(a);
  for (size_t i = 0; i < count; ++i)
    if (!kp_str_equal(kp_value_string(a, i), kp_value_string(b, i))) return false;
  return true;
}

static bool equal_bytes(const kapell_value* a, const kapell_value* b) {
  const size_t bits = kp_value_count(a) * kp_type_bits(a->type);
  const size_t whole = a->byte_count < bits / 8 ? a->byte_count : bits / 8;
  if (whole && memcmp(a->data, b->data, whole) != 0) return false;
  const unsigned rest = (unsigned)(bits % 8);
  if (!kp_type_is_packed(a->type) || rest == 0) return true;
  const unsigned mask = (1u << rest) - 1;
  return ((((const uint8_t*)a->data)[whole] ^ ((const uint8_t*)b->data)[whole]) & mask) == 0;
}

static bool equal_on_host(const kapell_value* a, const kapell_value* b) {
  kapell_value *copy_a = NULL, *copy_b = NULL;
  kp_status* status = kp_value_clone(a, &copy_a);
  if (!status) status = kp_value_clone(b, &copy_b);
  const bool equal = !status && equal_bytes(copy_a, copy_b);
  kp_status_ignore(status);
  kp_value_release(copy_a);
  kp_value_release(copy_b);
  return equal;
}

bool kp_value_equal(const kapell_value* a, const kapell_value* b) {
  if (a->kind != b->kind || a->type != b->type || a->rank != b->rank ||
      a->item_count != b->item_count)
    return false;
  if (a->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) != 0) return false;
  for (size_t i = 0; i < a->item_count; ++i)
    if (!kp_value_equal(a->items[i], b->items[i])) return false;
  if (a->kind != KAPELL_KIND_TENSOR) return true;
  if (a->type == KAPELL_STRING) return equal_strings(a, b);
  return a->memory || b->memory ? equal_on_host(a, b) : equal_bytes(a, b);
}

// --- description ---------------------------------------------------------------------------------------------------

static void describe_shape(const kapell_value* value, kp_strbuf* buf) {
  kp_strbuf_printf(buf, "%s[", kp_type_name(value->type));
  for (int32_t i = 0; i < value->rank; ++i)
    kp_strbuf_printf(buf, "%s%lld", i ? "," : "", (long long)value->dims[i]);
  kp_strbuf_puts(buf, "]");
}

void kp_value_describe(const kapell_value* value, kp_strbuf* buf) {
  switch (value->kind) {
    case KAPELL_KIND_TENSOR:
      describe_shape(value, buf);
      break;
    case KAPELL_KIND_SPARSE:
      kp_strbuf_puts(buf, "sparse ");
      describe_shape(value, buf);
      kp_strbuf_printf(buf, " of %lld values", (long long)value->items[0]->dims[0]);
      break;
    case KAPELL_KIND_SEQUENCE:
      kp_strbuf_printf(buf, "sequence of %zu", value->item_count);
      if (value->item_count) kp_strbuf_puts(buf, ", first ");
      if (value->item_count) kp_value_describe(value->items[0], buf);
      break;
    case KAPELL_KIND_MAP:
      kp_strbuf_puts(buf, "map of ");
      kp_value_describe(value->items[0], buf);
      kp_strbuf_puts(buf, " to ");
      kp_value_describe(value->items[1], buf);
      break;
    case KAPELL_KIND_OPTIONAL:
      kp_strbuf_puts(buf, "optional ");
      if (value->item_count)
        kp_value_describe(value->items[0], buf);
      else
        kp_strbuf_puts(buf, "without a value");
      break;
    case KAPELL_KIND_NONE:
    default:
      kp_strbuf_puts(buf, "none");
      break;
  }
  if (value->memory) kp_strbuf_printf(buf, " on %s", value->memory->name);
}
