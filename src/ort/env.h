// Environments: one for the process, counted by its makers; its logger, threads, allocators and devices.
//
// Kapell itself needs one while a library of providers is registered, clients of the API or not: it holds the clients', or a quiet one
// of its own (kp_ort_env_hold).
#ifndef KP_ORT_ENV_H_
#define KP_ORT_ENV_H_

#include "ort/object.h"
#include "ort/threads.h"

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
  const OrtMemoryInfo *memory, *host_memory,
      *read_only_memory;     // NULL where the provider names none
  OrtEpFactory* factory;     // NULL: Kapell's own provider
  struct OrtEpDevice* next;  // made, and not yet handed over by GetSupportedDevices
};

// An allocator that the factory of a registered library made for everybody.
typedef struct kp_ort_shared_allocator {
  OrtAllocator* allocator;
  OrtEpFactory* factory;
} kp_ort_shared_allocator;
typedef struct kp_ort_transfer {
  OrtDataTransferImpl* transfer;
  OrtEpFactory* factory;
} kp_ort_transfer;

struct OrtEnv {
  OrtLogger logger;
  OrtKeyValuePairs config;
  bool global_threads;
  OrtThreadingOptions threading;
  kp_ort_threads* threads;             // made as |threading| says; NULL: the process's
  OrtThreadPoolCallbacksConfig watch;  // of pools that sessions get of their own; version 0: none
  uint64_t max_memory;                 // of the shared arena that a client had made; 0: no limit
  OrtAllocator** allocators;           // registered by clients, or made for them (ours)
  size_t allocator_count;
  OrtHardwareDevice** devices;
  size_t device_count;
  OrtEpDevice** ep_devices;  // Kapell's own first, then those of libraries by registration
  size_t ep_device_count;
  kp_ort_shared_allocator* shared;
  size_t shared_count;
  kp_ort_transfer* transfers;  // of registered libraries
  size_t transfer_count;
};

// The environment in being, or NULL; borrowed.
OrtEnv* kp_ort_env_current(void);
OrtEnv* kp_ort_env_peek(void);  // the same, with the lock
// The environment in being, or a quiet one (what is logged there goes to Kapell's log); it stays until kp_ort_env_unhold.
OrtStatus* kp_ort_env_hold(OrtEnv** out);
void kp_ort_env_unhold(OrtEnv* env);  // NULL is fine
// |fn| is called, without locks, when the last client has released its environment.
void kp_ort_env_on_release(void (*fn)(OrtEnv* env));
// Guards what is registered in environments.
void kp_ort_env_lock(void);
void kp_ort_env_unlock(void);

// --- device.c
// Fills devices and ep_devices; and ends them.
OrtStatus* kp_ort_devices_find(OrtEnv* env);
void kp_ort_devices_free(OrtEnv* env);
// Lets this thread's GetEnvConfigEntries say that virtual devices are wanted.
void kp_ort_allow_virtual_devices(bool allow);
// Takes over what CreateEpDevice made for |factory|; false for anything else.
bool kp_ort_ep_device_take(OrtEpDevice* device, const OrtEpFactory* factory);
// Ends what |factory| made and nobody took over.
void kp_ort_ep_devices_drop(const OrtEpFactory* factory);
void kp_ort_ep_device_free(OrtEpDevice* device);  // NULL is fine
// Appends |devices| (borrowed) to those that clients see; and takes those of |factory| out.
OrtStatus* kp_ort_env_add_devices(OrtEnv* env, OrtEpDevice* const* devices, size_t count);
void kp_ort_env_remove_devices(OrtEnv* env, const OrtEpFactory* factory);

// --- hardware.c: what the machine has, by /sys and KAPELL_PRETEND_DEVICES
OrtStatus* kp_ort_hardware_find(const char* root, const char* pretend,
                                OrtHardwareDevice*** out_devices, size_t* out_count);
OrtStatus* kp_ort_hardware_create(OrtHardwareDeviceType type, uint32_t vendor_id,
                                  uint32_t device_id, const char* name,
                                  const OrtKeyValuePairs* metadata, OrtHardwareDevice** out);
void kp_ort_hardware_free(OrtHardwareDevice* device);  // NULL is fine

// --- shared.c
// Has |factory| make an allocator for |info|, for everybody, in place of one that it made for the like before; |*out| (may be NULL) is lent.
OrtStatus* kp_ort_env_share(OrtEnv* env, OrtEpFactory* factory, const OrtMemoryInfo* info,
                            const OrtKeyValuePairs* options, OrtAllocator** out);
// Keeps |factory|'s data transfer where copies look for one.
OrtStatus* kp_ort_env_add_transfer(OrtEnv* env, OrtEpFactory* factory,
                                   OrtDataTransferImpl* transfer);
// Ends what |factory| made of both.
void kp_ort_env_unshare(OrtEnv* env, const OrtEpFactory* factory);
// The data transfer that copies from |from| to |to|; NULL: none.
OrtDataTransferImpl* kp_ort_env_transfer(const OrtEnv* env, const OrtMemoryDevice* from,
                                         const OrtMemoryDevice* to);

// The registered allocator for memory like |info|, or NULL; borrowed.
OrtAllocator* kp_ort_env_allocator(const OrtEnv* env, const OrtMemoryInfo* info);

// What SetPerSessionThreadPoolCallbacks has set.
OrtThreadPoolCallbacksConfig kp_ort_env_watch(const OrtEnv* env);

#endif  // KP_ORT_ENV_H_
