// Host and device memory behind one set of calls. Neighbours: value_buffer.c allocates through it; exec/ copies with it.
#include "base/memory.h"

#include <string.h>

#include "base/alloc.h"

void* kp_memory_alloc(const kp_memory* memory, size_t byte_count, size_t alignment) {
  return memory ? memory->alloc(memory, byte_count, alignment)
                : kp_alloc_aligned(byte_count, alignment);
}

void kp_memory_free(const kp_memory* memory, void* data) {
  if (!data) return;
  if (memory)
    memory->free(memory, data);
  else
    kp_free(data);
}

const char* kp_memory_name(const kp_memory* memory) { return memory ? memory->name : "host"; }

static kp_status* copy_between(const kp_memory* to_memory, void* to, const kp_memory* from_memory,
                               const void* from, size_t byte_count) {
  void* staging = kp_alloc(byte_count);
  if (!staging)
    return KP_ERROR(OUT_OF_MEMORY, "%zu bytes on the way from %s to %s", byte_count,
                    from_memory->name, to_memory->name);
  kp_status* status = from_memory->copy_out(from_memory, staging, from, byte_count);
  if (!status) status = to_memory->copy_in(to_memory, to, staging, byte_count);
  kp_free(staging);
  return status;
}

kp_status* kp_memory_copy(const kp_memory* to_memory, void* to, const kp_memory* from_memory,
                          const void* from, size_t byte_count) {
  if (byte_count == 0) return NULL;
  if (to_memory && from_memory) return copy_between(to_memory, to, from_memory, from, byte_count);
  if (to_memory) return to_memory->copy_in(to_memory, to, from, byte_count);
  if (from_memory) return from_memory->copy_out(from_memory, to, from, byte_count);
  memcpy(to, from, byte_count);
  return NULL;
}
