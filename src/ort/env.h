// Environments: one for the process, counted by its makers; its logger, threads, allocators and devices.
#ifndef KP_ORT_ENV_H_
#define KP_ORT_ENV_H_

#include "ort/object.h"

// Threads of sessions that have no pool of their own.
struct OrtThreadingOptions {
  int intra_op;  // 0: what the machine gives
  int inter_op;
  bool denormal_as_zero, no_spin;
  OrtCustomCreateThreadFn create_thread;  // NULL: the system's way
  OrtCustomJoinThreadFn join_thread;
  void* thread_options;
  char* affinities;  // "1;2,3": processors of each thread but the caller's; NULL: any
};

// A device of the machine, and what a provider makes of it.
struct OrtHardwareDevice {
  OrtHardwareDeviceType type;
  uint32_t vendor_id, device_id;
  char* vendor;
  OrtKeyValuePairs metadata;
};
struct OrtEpDevice {
  char *name, *vendor;  // of the provider
  const OrtHardwareDevice* device;
  OrtKeyValuePairs metadata, options;
  const OrtMemoryInfo *memory, *host_memory;  // NULL where the provider names none
};

struct OrtEnv {
  OrtLogger logger;
  OrtKeyValuePairs config;
  bool global_threads;
  OrtThreadingOptions threading;
  uint64_t max_memory;        // of the shared arena that a client had made; 0: no limit
  OrtAllocator** allocators;  // registered by clients, or made for them (ours)
  size_t allocator_count;
  OrtHardwareDevice** devices;
  size_t device_count;
  OrtEpDevice** ep_devices;
  size_t ep_device_count;
};

// The environment in being, or NULL; borrowed.
OrtEnv* kp_ort_env_current(void);
// Guards what is registered in environments.
void kp_ort_env_lock(void);
void kp_ort_env_unlock(void);
// Fills devices and ep_devices (device.c); and ends them.
OrtStatus* kp_ort_devices_find(OrtEnv* env);
void kp_ort_devices_free(OrtEnv* env);
// The registered allocator for memory like |info|, or NULL; borrowed.
OrtAllocator* kp_ort_env_allocator(const OrtEnv* env, const OrtMemoryInfo* info);

#endif  // KP_ORT_ENV_H_
