// The mock's device memory. Private to mock/.
//
// One memory file mapped twice: the addresses that the rest of Kapell sees may not be touched (reading or writing there ends the
// process with SIGSEGV, a system call answers EFAULT); the mock alone knows the second mapping, through kp_mock_device_reach.
// Fresh memory is filled with 0xff (a NaN in every float type), so a value read before it was computed shows.
// Life: kp_memory stays valid while the provider or an allocation lives. Threads: any.
#ifndef KP_PROVIDER_MOCK_DEVICE_H_
#define KP_PROVIDER_MOCK_DEVICE_H_

#include "provider/provider.h"

typedef struct kp_mock_device kp_mock_device;

typedef struct kp_mock_device_args {
  const char* name;  // copied, up to 31 bytes
  int device_id;
  size_t byte_count;            // size of the device
  double copy_ns, ns_per_byte;  // cost of a copy on the virtual clock
  uint64_t fail_copy_at;        // the n-th copy fails; 0 = none, UINT64_MAX = each
} kp_mock_device_args;

// Errors: PROVIDER_FAILED (the system gives no such memory), OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_mock_device_create(const kp_mock_device_args* args,
                                             kp_mock_device** out_device);
void kp_mock_device_release(
    kp_mock_device* device);  // NULL is fine; the last allocation takes it away
const kp_memory* kp_mock_device_memory(const kp_mock_device* device);

// Where the mock may touch |byte_count| bytes at |device_data|. NULL unless they lie within one live allocation. An empty
// range gives a valid pointer.
void* kp_mock_device_reach(kp_mock_device* device, const void* device_data, size_t byte_count);

// The virtual clock.
void kp_mock_device_charge(kp_mock_device* device, double ns);
uint64_t kp_mock_device_clock(const kp_mock_device* device);
// Copies so far: JSON members without braces, for describe.
void kp_mock_device_describe(const kp_mock_device* device, kp_strbuf* out);

// Totals that are not the device's.
void kp_mock_count_run(void);
void kp_mock_count_node(void);
void kp_mock_count_stream(int delta);
void kp_mock_count_at_once(uint64_t running);

#endif  // KP_PROVIDER_MOCK_DEVICE_H_
