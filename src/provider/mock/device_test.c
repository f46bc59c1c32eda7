// The mock's memory: nobody else may touch it, its allocator, its copies, its counters.
#include "provider/mock/device.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>
// cmocka.h needs those above.
#include <cmocka.h>

#include "base/alloc.h"
#include "provider/mock/mock.h"

static kp_mock_device* open_device(size_t byte_count) {
  const kp_mock_device_args args = {.name = "Mock:1",
                                    .device_id = 1,
                                    .byte_count = byte_count,
                                    .copy_ns = 10,
                                    .ns_per_byte = 0.5};
  kp_mock_device* device = NULL;
  assert_null(kp_mock_device_create(&args, &device));
  return device;
}

static void test_host_access_is_trapped(void** state) {
  (void)state;
  kp_mock_device* device = open_device(1 << 20);
  const kp_memory* memory = kp_mock_device_memory(device);
  char* data = memory->alloc(memory, 100, 64);
  assert_non_null(data);
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(write(ends[1], data, 1), -1);  // the kernel itself may not read it
  assert_int_equal(errno, EFAULT);
  close(ends[0]);
  close(ends[1]);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    _exit(*(volatile char*)data);
  }
  int result = 0;
  assert_int_equal(waitpid(child, &result, 0), child);
  assert_true(WIFSIGNALED(result) || WEXITSTATUS(result) != 0);
  memory->free(memory, data);
  kp_mock_device_release(device);
}

static void test_copies_and_clock(void** state) {
  (void)state;
  const kp_mock_totals before = kp_mock_get_totals();
  kp_mock_device* device = open_device(1 << 20);
  const kp_memory* memory = kp_mock_device_memory(device);
  assert_string_equal(memory->name, "Mock:1");
  assert_int_equal(memory->device_id, 1);
  char* data = memory->alloc(memory, 100, 64);
  char out[100] = {0};
  assert_null(memory->copy_out(memory, out, data, 100));
  for (int i = 0; i < 100; ++i) assert_int_equal((unsigned char)out[i], 0xff);  // never written
  assert_null(memory->copy_in(memory, data + 10, "hello", 6));
  assert_null(memory->copy_out(memory, out, data + 9, 8));
  assert_memory_equal(out + 1, "hello", 6);
  assert_int_equal(kp_mock_device_clock(device), 3 * 10 + (100 + 6 + 8) / 2);
  const kp_mock_totals after = kp_mock_get_totals();
  assert_int_equal(after.copies_in - before.copies_in, 1);
  assert_int_equal(after.copies_out - before.copies_out, 2);
  assert_int_equal(after.bytes_in - before.bytes_in, 6);
  assert_int_equal(after.bytes_out - before.bytes_out, 108);
  assert_int_equal(after.live_allocations - before.live_allocations, 1);
  memory->free(memory, data);
  kp_mock_device_release(device);
}

static void test_reach_and_bad_addresses(void** state) {
  (void)state;
  kp_mock_device* device = open_device(1 << 20);
  const kp_memory* memory = kp_mock_device_memory(device);
  char* a = memory->alloc(memory, 128, 64);
  char* b = memory->alloc(memory, 64, 4096);
  assert_int_equal((uintptr_t)b % 4096, 0);
  assert_non_null(kp_mock_device_reach(device, a, 128));
  assert_non_null(kp_mock_device_reach(device, a + 100, 28));
  assert_null(kp_mock_device_reach(device, a + 100, 29));
  assert_null(kp_mock_device_reach(device, a - 1, 1));
  assert_null(kp_mock_device_reach(device, NULL, 1));
  assert_non_null(kp_mock_device_reach(device, NULL, 0));
  int on_host = 0;
  kp_status* status = memory->copy_in(memory, &on_host, "x", 1);
  assert_int_equal(kp_status_code(status), KAPELL_INTERNAL);
  kp_status_free(status);
  memory->free(memory, a);
  assert_null(kp_mock_device_reach(device, a, 1));
  memory->free(memory, b);
  kp_mock_device_release(device);
}

static void test_allocator_reuses_and_ends(void** state) {
  (void)state;
  kp_mock_device* device = open_device(8192);
  const kp_memory* memory = kp_mock_device_memory(device);
  void* all = memory->alloc(memory, 8192, 64);
  assert_non_null(all);
  assert_null(memory->alloc(memory, 1, 64));
  memory->free(memory, all);
  assert_null(memory->alloc(memory, 8193, 64));
  assert_null(memory->alloc(memory, SIZE_MAX - 8, 64));
  assert_null(memory->alloc(memory, 64, 8192));
  void* parts[128];
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 128; ++i) {
      parts[i] = memory->alloc(memory, i % 2, 64);
      assert_non_null(parts[i]);
    }
    assert_null(memory->alloc(memory, 1, 64));
    for (int i = 0; i < 128; i += 2) memory->free(memory, parts[i]);
    for (int i = 1; i < 128; i += 2) memory->free(memory, parts[i]);
  }
  all = memory->alloc(memory, 8192, 64);  // joined again
  assert_non_null(all);
  memory->free(memory, NULL);
  // A value may outlive the provider.
  kp_mock_device_release(device);
  char out[4];
  assert_null(memory->copy_out(memory, out, all, 4));
  const int64_t devices = kp_mock_get_totals().live_devices;
  memory->free(memory, all);
  assert_int_equal(kp_mock_get_totals().live_devices, devices - 1);
}

static const char* churn_once(const kp_memory* memory, int number) {
  char in[64], out[64];
  memset(in, number, sizeof in);
  void* data = memory->alloc(memory, sizeof in, 64);
  if (!data) return "no memory";
  kp_status* status = memory->copy_in(memory, data, in, sizeof in);
  if (!status) status = memory->copy_out(memory, out, data, sizeof out);
  const bool good = !status && memcmp(in, out, sizeof in) == 0;
  kp_status_free(status);
  memory->free(memory, data);
  return good ? NULL : "copied wrongly";
}

static const char* _Atomic complaint;

static void* churn(void* user) {
  for (int i = 0; i < 300; ++i) {
    const char* wrong = churn_once(user, i);
    if (wrong) complaint = wrong;
  }
  return NULL;
}

static void test_threads(void** state) {
  (void)state;
  kp_mock_device* device = open_device(1 << 20);
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i)
    pthread_create(&threads[i], NULL, churn, (void*)(uintptr_t)kp_mock_device_memory(device));
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  assert_null(complaint);
  kp_mock_device_release(device);
}

static void test_failing_copy(void** state) {
  (void)state;
  const kp_mock_device_args args = {.name = "Mock:0", .byte_count = 4096, .fail_copy_at = 2};
  kp_mock_device* device = NULL;
  assert_null(kp_mock_device_create(&args, &device));
  const kp_memory* memory = kp_mock_device_memory(device);
  char* data = memory->alloc(memory, 4, 64);
  assert_null(memory->copy_in(memory, data, "abc", 4));
  kp_status* status = memory->copy_in(memory, data, "abc", 4);
  assert_int_equal(kp_status_code(status), KAPELL_PROVIDER_FAILED);
  assert_string_equal(
      kp_status_message(status),
      "Mock:0: a copy of 4 bytes failed: bus error on the link to the device (code 74)");
  kp_status_free(status);
  assert_null(memory->copy_in(memory, data, "abc", 4));
  memory->free(memory, data);
  kp_mock_device_release(device);
}

static void test_failing_allocations(void** state) {
  (void)state;
  for (uint64_t nth = 1; nth < 6; ++nth) {
    kp_alloc_fail_at(nth);
    const kp_mock_device_args args = {.name = "Mock:0", .byte_count = 8192};
    kp_mock_device* device = NULL;
    kp_status* status = kp_mock_device_create(&args, &device);
    const kp_memory* memory = device ? kp_mock_device_memory(device) : NULL;
    void* a = memory ? memory->alloc(memory, 64, 64) : NULL;
    void* b = memory ? memory->alloc(memory, 64, 4096) : NULL;
    kp_alloc_fail_at(0);
    assert_true(!status == (device != NULL));
    kp_status_free(status);
    if (a) memory->free(memory, a);
    if (b) memory->free(memory, b);
    kp_mock_device_release(device);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_host_access_is_trapped),
      cmocka_unit_test(test_copies_and_clock),
      cmocka_unit_test(test_reach_and_bad_addresses),
      cmocka_unit_test(test_allocator_reuses_and_ends),
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_failing_copy),
      cmocka_unit_test(test_failing_allocations),
  };
  const int64_t live = kp_alloc_live();
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  return failed ? failed : kp_alloc_live() != live;
}
