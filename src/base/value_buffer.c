// Reference-counted storage of tensors. Neighbours: value.c; memory.c.
//
// On the host the record and its bytes are one allocation. Strings are kp_str elements, each with an allocation of its own if it
// is not empty.
#include <string.h>

#include "base/alloc.h"
#include "base/size.h"
#include "base/value_internal.h"

_Static_assert(sizeof(kp_buffer) <= KP_ALIGNMENT, "the record must fit before the bytes");

static kp_status* create_on_host(size_t byte_count, kp_buffer** out_buffer) {
  size_t whole;
  kp_buffer* buffer = NULL;
  if (kp_add_size(byte_count, KP_ALIGNMENT, &whole)) buffer = kp_alloc_aligned(whole, KP_ALIGNMENT);
  if (!buffer) return KP_ERROR(OUT_OF_MEMORY, "a tensor of %zu bytes", byte_count);
  *buffer = (kp_buffer){.data = (char*)buffer + KP_ALIGNMENT, .byte_count = byte_count, .refs = 1};
  *out_buffer = buffer;
  return NULL;
}

kp_status* kp_buffer_create(const kp_memory* memory, size_t byte_count, kp_buffer** out_buffer) {
  *out_buffer = NULL;
  if (!memory) return create_on_host(byte_count, out_buffer);
  kp_buffer* buffer = kp_alloc(sizeof *buffer);
  void* data = buffer ? memory->alloc(memory, byte_count, KP_ALIGNMENT) : NULL;
  if (!data) {
    kp_free(buffer);
    return KP_ERROR(OUT_OF_MEMORY, "a tensor of %zu bytes on %s", byte_count, memory->name);
  }
  *buffer = (kp_buffer){.data = data, .byte_count = byte_count, .memory = memory, .refs = 1};
  *out_buffer = buffer;
  return NULL;
}

kp_status* kp_buffer_create_strings(size_t count, kp_buffer** out_buffer) {
  *out_buffer = NULL;
  size_t byte_count;
  if (!kp_mul_size(count, sizeof(kp_str), &byte_count))
    return KP_ERROR(OUT_OF_MEMORY, "a tensor of %zu strings", count);
  KP_PASS(create_on_host(byte_count, out_buffer));
  kp_str* strings = (*out_buffer)->data;
  for (size_t i = 0; i < count; ++i) strings[i] = (kp_str){"", 0};
  (*out_buffer)->string_count = count;
  return NULL;
}

kp_status* kp_buffer_wrap(const kp_memory* memory, void* data, size_t byte_count,
                          void (*release)(void* user, void* data), void* user,
                          kp_buffer** out_buffer) {
  *out_buffer = NULL;
  kp_buffer* buffer = kp_alloc(sizeof *buffer);
  if (!buffer) return KP_ERROR(OUT_OF_MEMORY, "the record of %zu wrapped bytes", byte_count);
  *buffer = (kp_buffer){.data = data,
                        .byte_count = byte_count,
                        .memory = memory,
                        .release = release,
                        .user = user,
                        .refs = 1,
                        .wrapped = true};
  *out_buffer = buffer;
  return NULL;
}

kp_buffer* kp_buffer_retain(kp_buffer* buffer) {
  if (buffer) __atomic_fetch_add(&buffer->refs, 1, __ATOMIC_RELAXED);
  return buffer;
}

static void free_strings(const kp_buffer* buffer) {
  const kp_str* strings = buffer->data;
  for (size_t i = 0; i < buffer->string_count; ++i)
    if (strings[i].length) kp_free((void*)(uintptr_t)strings[i].data);
}

void kp_buffer_release(kp_buffer* buffer) {
  if (!buffer || __atomic_sub_fetch(&buffer->refs, 1, __ATOMIC_ACQ_REL) != 0) return;
  free_strings(buffer);
  if (buffer->wrapped && buffer->release)
    buffer->release(buffer->user, buffer->data);
  else if (!buffer->wrapped && buffer->memory)
    buffer->memory->free(buffer->memory, buffer->data);
  kp_free(buffer);
}

void* kp_buffer_data(const kp_buffer* buffer) { return buffer->data; }
size_t kp_buffer_size(const kp_buffer* buffer) { return buffer->byte_count; }

bool kp_buffer_is_ours_alone(const kp_buffer* buffer) {
  return buffer && !buffer->wrapped && __atomic_load_n(&buffer->refs, __ATOMIC_ACQUIRE) == 1;
}
