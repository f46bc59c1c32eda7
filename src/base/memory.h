// A place where tensor data can live: the host (NULL), or a device's memory. The provider that owns the memory fills this in.
#ifndef KP_BASE_MEMORY_H_
#define KP_BASE_MEMORY_H_

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct kp_memory kp_memory;
struct kp_memory {
  const char* name;  // "Mock:0", shown in reports
  int device_id;
  void* owner;  // the provider's
  // Addresses are names of whole allocations: nothing is computed from them, so each value gets an allocation of its own.
  bool is_opaque;
  // Synchronous and thread-safe. alloc: |alignment| is a power of two; NULL when there is no memory.
  void* (*alloc)(const kp_memory* self, size_t byte_count, size_t alignment);
  void (*free)(const kp_memory* self, void* data);
  // Blocking copies between host and this memory. A value with a pending fence must have been waited for before.
  kp_status* (*copy_in)(const kp_memory* self, void* device_data, const void* host_data,
                        size_t byte_count);
  kp_status* (*copy_out)(const kp_memory* self, void* host_data, const void* device_data,
                         size_t byte_count);
};

// As the memory's own functions; NULL is the host, whose memory comes from base/alloc.h.
void* kp_memory_alloc(const kp_memory* memory, size_t byte_count, size_t alignment);
void kp_memory_free(const kp_memory* memory, void* data);  // NULL data is fine
const char* kp_memory_name(const kp_memory* memory);       // "host" for NULL

// Copies between any two places; from device to device by way of a host buffer. The ranges do not overlap.
// Errors: OUT_OF_MEMORY (the host buffer), or what the memory's functions say.
KP_MUST_USE kp_status* kp_memory_copy(const kp_memory* to_memory, void* to,
                                      const kp_memory* from_memory, const void* from,
                                      size_t byte_count);

#endif  // KP_BASE_MEMORY_H_
