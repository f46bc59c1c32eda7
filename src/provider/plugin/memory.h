// A library's memory that the processor cannot touch, as a kp_memory: its allocator takes and gives back, its data transfer copies.
#ifndef KP_PROVIDER_PLUGIN_MEMORY_H_
#define KP_PROVIDER_PLUGIN_MEMORY_H_

#include "provider/plugin/plugin.h"

typedef struct kp_plugin_memory kp_plugin_memory;

// The memory of |info| (kept), which is not the host's, with an allocator of |ep|'s (or of the factory's) and a data transfer of the factory's. Lives
// until it is released and the last value in it is gone, and keeps the library loaded that long. Errors: PROVIDER_FAILED with the
// library's words, or for want of a part; OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_plugin_memory_create(const kp_plugin_type* type, OrtEp* ep,
                                               const OrtMemoryInfo* info,
                                               kp_plugin_memory** out_memory);
void kp_plugin_memory_release(kp_plugin_memory* memory);                   // NULL is fine
const kp_memory* kp_plugin_memory_base(const kp_plugin_memory* memory);    // NULL for NULL
OrtAllocator* kp_plugin_memory_allocator(const kp_plugin_memory* memory);  // borrowed
// What GetTensorMemoryInfo says of values in |memory|: the CPU's info for NULL and for what is no library's.
const OrtMemoryInfo* kp_plugin_memory_info(const kp_memory* memory);

#endif  // KP_PROVIDER_PLUGIN_MEMORY_H_
