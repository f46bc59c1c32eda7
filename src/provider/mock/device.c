// Memory of a mock device: a memory file, its two mappings, and a first-fit allocator over it. Neighbours: run.c and compile.c
// reach into it; exec/ goes through kp_memory.
//
// THREAD SAFETY: |lock| guards the list of blocks. Bytes of a block belong to whoever was handed it, as with malloc. Counters are
// atomic. |refs| counts the provider and each live block; who drops it to zero unmaps.
#include "provider/mock/device.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/size.h"
#include "provider/mock/mock.h"

#define FRESH 0xff
#define LARGEST_ALIGNMENT 4096  // what mmap gives

// Blocks tile the device from offset 0 to its end.
typedef struct block {
  struct block *next, *previous;
  size_t offset, size;
  bool taken;
} block;

struct kp_mock_device {
  kp_memory memory;
  kp_mock_device_args args;
  char name[32];  // args.name's text: the memory may outlive the provider
  pthread_mutex_t lock;
  unsigned char* trapped;  // what others see
  unsigned char* secret;   // the same bytes, readable and writable
  block* blocks;
  atomic_uint refs;
  atomic_uint_fast64_t copies_in, copies_out, bytes_in, bytes_out, virtual_ns;
};

static struct {
  atomic_uint_fast64_t copies_in, copies_out, bytes_in, bytes_out, runs, nodes, virtual_ns;
  atomic_int_fast64_t live_allocations, live_bytes, live_devices, live_streams;
  atomic_uint_fast64_t most_at_once;
} totals;

kp_mock_totals kp_mock_get_totals(void) {
  return (kp_mock_totals){.copies_in = totals.copies_in,
                          .copies_out = totals.copies_out,
                          .bytes_in = totals.bytes_in,
                          .bytes_out = totals.bytes_out,
                          .runs = totals.runs,
                          .nodes = totals.nodes,
                          .virtual_ns = totals.virtual_ns,
                          .live_allocations = totals.live_allocations,
                          .live_bytes = totals.live_bytes,
                          .live_devices = totals.live_devices,
                          .live_streams = totals.live_streams,
                          .most_at_once = totals.most_at_once};
}
void kp_mock_count_run(void) { ++totals.runs; }
void kp_mock_count_node(void) { ++totals.nodes; }
void kp_mock_count_stream(int delta) { totals.live_streams += delta; }

void kp_mock_count_at_once(uint64_t running) {
  uint_fast64_t most = totals.most_at_once;
  while (running > most && !atomic_compare_exchange_weak(&totals.most_at_once, &most, running))
    continue;
}

void kp_mock_device_charge(kp_mock_device* device, double ns) {
  const uint64_t whole = ns > 0 ? (uint64_t)ns : 0;
  device->virtual_ns += whole;
  totals.virtual_ns += whole;
}
uint64_t kp_mock_device_clock(const kp_mock_device* device) { return device->virtual_ns; }

// --- allocation ---------------------------------------------------------------------------------------------------------
static kp_mock_device* device_of(const kp_memory* memory) { return memory->owner; }

// Splits |at| so that it ends after |size| bytes. False when out of memory.
static bool cut(block* at, size_t size) {
  if (at->size == size) return true;
  block* rest = kp_alloc_zero(1, sizeof *rest);
  if (!rest) return false;
  *rest = (block){
      .next = at->next, .previous = at, .offset = at->offset + size, .size = at->size - size};
  if (at->next) at->next->previous = rest;
  at->next = rest;
  at->size = size;
  return true;
}

static block* take(kp_mock_device* device, size_t size, size_t alignment) {
  for (block* at = device->blocks; at; at = at->next) {
    const size_t lead = (alignment - at->offset % alignment) % alignment;
    if (at->taken || at->size < lead || at->size - lead < size) continue;
    if (lead) {
      if (!cut(at, lead)) return NULL;
      at = at->next;
    }
    if (!cut(at, size)) return NULL;
    at->taken = true;
    return at;
  }
  return NULL;
}

static void* device_alloc(const kp_memory* self, size_t byte_count, size_t alignment) {
  kp_mock_device* device = device_of(self);
  size_t size;
  if (alignment > LARGEST_ALIGNMENT ||
      !kp_align_size(kp_max_size(byte_count, 1), KP_ALIGNMENT, &size))
    return NULL;
  pthread_mutex_lock(&device->lock);
  const block* got = take(device, size, kp_max_size(alignment, KP_ALIGNMENT));
  const size_t offset = got ? got->offset : 0;
  if (got) memset(device->secret + offset, FRESH, size);
  pthread_mutex_unlock(&device->lock);
  if (!got) return NULL;
  ++device->refs;
  ++totals.live_allocations;
  totals.live_bytes += (int64_t)size;
  return device->trapped + offset;
}

static block* find(kp_mock_device* device, const void* device_data) {
  const uintptr_t address = (uintptr_t)device_data, base = (uintptr_t)device->trapped;
  if (address < base || address - base >= device->args.byte_count) return NULL;
  block* at = device->blocks;
  while (at->next && at->next->offset <= address - base) at = at->next;
  return at->taken ? at : NULL;
}

static void join_next(block* at) {
  block* gone = at->next;
  if (!gone || gone->taken || at->taken) return;
  at->size += gone->size;
  at->next = gone->next;
  if (at->next) at->next->previous = at;
  kp_free(gone);
}

static void device_free(const kp_memory* self, void* data) {
  if (!data) return;
  kp_mock_device* device = device_of(self);
  pthread_mutex_lock(&device->lock);
  block* at = find(device, data);
  const size_t size = at ? at->size : 0;
  if (at) {
    at->taken = false;
    join_next(at);
    if (at->previous) join_next(at->previous);
  }
  pthread_mutex_unlock(&device->lock);
  if (!at) return;
  --totals.live_allocations;
  totals.live_bytes -= (int64_t)size;
  kp_mock_device_release(device);
}

void* kp_mock_device_reach(kp_mock_device* device, const void* device_data, size_t byte_count) {
  if (byte_count == 0) return device->secret;
  pthread_mutex_lock(&device->lock);
  const block* at = find(device, device_data);
  const size_t offset = (size_t)((uintptr_t)device_data - (uintptr_t)device->trapped);
  const bool good = at && byte_count <= at->size - (offset - at->offset);
  pthread_mutex_unlock(&device->lock);
  return good ? device->secret + offset : NULL;
}

// --- copies -------------------------------------------------------------------------------------------------------------
static kp_status* copy(const kp_memory* self, const void* device_data, size_t byte_count,
                       uint64_t nth, void** out_secret) {
  kp_mock_device* device = device_of(self);
  *out_secret = kp_mock_device_reach(device, device_data, byte_count);
  if (!*out_secret)
    return KP_ERROR(INTERNAL, "a copy of %zu bytes at an address that %s never gave out",
                    byte_count, self->name);
  kp_mock_device_charge(device,
                        device->args.copy_ns + device->args.ns_per_byte * (double)byte_count);
  if (device->args.fail_copy_at == UINT64_MAX || device->args.fail_copy_at == nth)
    return KP_ERROR(PROVIDER_FAILED,
                    "%s: a copy of %zu bytes failed: bus error on the link to the device (code 74)",
                    self->name, byte_count);
  return NULL;
}

static uint64_t count_copy(kp_mock_device* device) {
  return device->copies_in + device->copies_out;
}

static kp_status* copy_in(const kp_memory* self, void* device_data, const void* host_data,
                          size_t byte_count) {
  kp_mock_device* device = device_of(self);
  ++device->copies_in;
  ++totals.copies_in;
  device->bytes_in += byte_count;
  totals.bytes_in += byte_count;
  void* secret;
  KP_PASS(copy(self, device_data, byte_count, count_copy(device), &secret));
  if (byte_count) memcpy(secret, host_data, byte_count);
  return NULL;
}

static kp_status* copy_out(const kp_memory* self, void* host_data, const void* device_data,
                           size_t byte_count) {
  kp_mock_device* device = device_of(self);
  ++device->copies_out;
  ++totals.copies_out;
  device->bytes_out += byte_count;
  totals.bytes_out += byte_count;
  void* secret;
  KP_PASS(copy(self, device_data, byte_count, count_copy(device), &secret));
  if (byte_count) memcpy(host_data, secret, byte_count);
  return NULL;
}

// --- life ---------------------------------------------------------------------------------------------------------------
static bool map_twice(kp_mock_device* device) {
  const size_t size = device->args.byte_count;
  const int file = memfd_create("kapell-mock", MFD_CLOEXEC);
  if (file < 0) return false;
  if (ftruncate(file, (off_t)size) == 0) {
    device->secret = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
    device->trapped = mmap(NULL, size, PROT_NONE, MAP_SHARED | MAP_NORESERVE, file, 0);
  }
  close(file);
  return device->secret && device->secret != MAP_FAILED && device->trapped &&
         device->trapped != MAP_FAILED;
}

static void device_destroy(kp_mock_device* device) {
  if (device->secret && device->secret != MAP_FAILED)
    munmap(device->secret, device->args.byte_count);
  if (device->trapped && device->trapped != MAP_FAILED)
    munmap(device->trapped, device->args.byte_count);
  while (device->blocks) {
    block* gone = device->blocks;
    device->blocks = gone->next;
    kp_free(gone);
  }
  pthread_mutex_destroy(&device->lock);
  kp_free(device);
}

kp_status* kp_mock_device_create(const kp_mock_device_args* args, kp_mock_device** out_device) {
  *out_device = NULL;
  kp_mock_device* device = kp_alloc_zero(1, sizeof *device);
  block* whole = kp_alloc_zero(1, sizeof *whole);
  if (!device || !whole) {
    kp_free(device);
    kp_free(whole);
    return KP_ERROR(OUT_OF_MEMORY, "device %s", args->name);
  }
  pthread_mutex_init(&device->lock, NULL);
  device->args = *args;
  snprintf(device->name, sizeof device->name, "%s", args->name);
  device->args.name = device->name;
  device->args.byte_count &= ~(size_t)(LARGEST_ALIGNMENT - 1);
  device->refs = 1;
  device->blocks = whole;
  whole->size = device->args.byte_count;
  device->memory = (kp_memory){.name = device->name,
                               .device_id = args->device_id,
                               .owner = device,
                               .alloc = device_alloc,
                               .free = device_free,
                               .copy_in = copy_in,
                               .copy_out = copy_out};
  if (!map_twice(device)) {
    device_destroy(device);
    return KP_ERROR(PROVIDER_FAILED,
                    "%s: the system gives no mapping of %zu bytes for the mock device", args->name,
                    args->byte_count);
  }
  ++totals.live_devices;
  *out_device = device;
  return NULL;
}

void kp_mock_device_release(kp_mock_device* device) {
  if (!device || --device->refs) return;
  --totals.live_devices;
  device_destroy(device);
}

const kp_memory* kp_mock_device_memory(const kp_mock_device* device) { return &device->memory; }

void kp_mock_device_describe(const kp_mock_device* device, kp_strbuf* out) {
  kp_strbuf_printf(out,
                   "\"device\":\"%s\",\"copies_in\":%llu,\"copies_out\":%llu,\"bytes_in\":%llu,"
                   "\"bytes_out\":%llu,\"virtual_ns\":%llu",
                   device->args.name, (unsigned long long)device->copies_in,
                   (unsigned long long)device->copies_out, (unsigned long long)device->bytes_in,
                   (unsigned long long)device->bytes_out, (unsigned long long)device->virtual_ns);
}
