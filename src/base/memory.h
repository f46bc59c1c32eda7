// A place where tensor data can live: the host (NULL), or a device's memory. The provider that owns the memory fills this in.
#ifndef KP_BASE_MEMORY_H_
#define KP_BASE_MEMORY_H_

#include <stddef.h>

#include "base/status.h"

typedef struct kp_memory kp_memory;
struct kp_memory {
  const char* name;  // "Mock:0", shown in reports
  int device_id;
  void* owner;       // the provider's
  // Synchronous and thread-safe. alloc: |alignment| is a power of two; NULL when there is no memory.
  void* (*alloc)(const kp_memory* self, size_t byte_count, size_t alignment);
  void (*free)(const kp_memory* self, void* data);
  // Blocking copies between host and this memory. A value with a pending fence must have been waited for before.
  kp_status* (*copy_in)(const kp_memory* self, void* device_data, const void* host_data, size_t byte_count);
  kp_status* (*copy_out)(const kp_memory* self, void* host_data, const void* device_data, size_t byte_count);
};

#endif  // KP_BASE_MEMORY_H_
