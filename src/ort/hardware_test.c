// The machine's devices, by a made-up /sys and by what is pretended.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "ort/env.h"

static void put(const char* root, const char* device, const char* file, const char* text) {
  static const char* const parts[] = {"", "/sys", "/sys/bus", "/sys/bus/pci",
                                      "/sys/bus/pci/devices"};
  char path[512];
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; ++i) {
    snprintf(path, sizeof path, "%s%s", root, parts[i]);
    mkdir(path, 0700);
  }
  snprintf(path, sizeof path, "%s/sys/bus/pci/devices/%s", root, device);
  mkdir(path, 0700);
  snprintf(path, sizeof path, "%s/sys/bus/pci/devices/%s/%s", root, device, file);
  FILE* stream = fopen(path, "w");
  assert_non_null(stream);
  fputs(text, stream);
  fclose(stream);
}

static void put_device(const char* root, const char* device, const char* class, const char* vendor,
                       const char* number) {
  put(root, device, "class", class);
  put(root, device, "vendor", vendor);
  put(root, device, "device", number);
}

static void end(OrtHardwareDevice** devices, size_t count) {
  for (size_t i = 0; i < count; ++i) kp_ort_hardware_free(devices[i]);
  kp_free(devices);
}

static void the_bus_is_read(void** state) {
  (void)state;
  char root[] = "/tmp/kapell-hardware-XXXXXX", command[64];
  OrtHardwareDevice** devices;
  size_t count;
  assert_non_null(mkdtemp(root));
  put_device(root, "0000:3b:00.0", "0x030200\n", "0x10de\n", "0x2335\n");
  put_device(root, "0000:00:0b.0", "0x120000\n", "0x8086\n", "0x7d1d\n");
  put_device(root, "0000:00:1f.0", "0x060100\n", "0x8086\n", "0x1234\n");  // a bridge
  put_device(root, "0000:99:00.0", "nonsense", "0x8086\n", "0x1234\n");
  put(root, "0000:98:00.0", "class", "0x030000");  // the rest cannot be read
  assert_null(kp_ort_hardware_find(root, NULL, &devices, &count));
  assert_int_equal(count, 3);
  assert_int_equal(devices[0]->type, OrtHardwareDeviceType_CPU);
  assert_int_equal(devices[1]->type, OrtHardwareDeviceType_NPU);
  assert_int_equal(devices[1]->device_id, 0x7d1d);
  assert_string_equal(devices[1]->vendor, "Intel");
  assert_int_equal(devices[2]->type, OrtHardwareDeviceType_GPU);
  assert_int_equal(devices[2]->vendor_id, 0x10de);
  assert_string_equal(kp_ort_pairs_get(&devices[2]->metadata, "pci_bus_id"), "0000:3b:00.0");
  end(devices, count);
  snprintf(command, sizeof command, "rm -r %s", root);
  assert_int_equal(system(command), 0);
}

static void devices_are_pretended(void** state) {
  (void)state;
  OrtHardwareDevice** devices;
  size_t count;
  assert_null(kp_ort_hardware_find("/nowhere", "cpu:0x8086,gpu:0x1002:0x73bf, NPU:20803", &devices,
                                   &count));
  assert_int_equal(count, 3);
  assert_int_equal(devices[0]->vendor_id, 0x8086);
  assert_string_equal(devices[0]->vendor, "Intel");
  assert_int_equal(devices[1]->type, OrtHardwareDeviceType_GPU);
  assert_int_equal(devices[1]->device_id, 0x73bf);
  assert_int_equal(devices[2]->type, OrtHardwareDeviceType_NPU);
  assert_string_equal(devices[2]->vendor, "Qualcomm");
  end(devices, count);
  static const char* const bad[] = {"gpu:0x1002:1:2", "gpu",    "tpu:1",          "gpu:0x1002:1:2",
                                    "gpu:one",        "gpu:-1", "cpu:0x1ffffffff"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    OrtStatus* status = kp_ort_hardware_find("/nowhere", bad[i], &devices, &count);
    assert_non_null(status);
    assert_non_null(strstr(ort_GetErrorMessage(status), "KAPELL_PRETEND_DEVICES"));
    ort_ReleaseStatus(status);
    end(devices, count);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_bus_is_read),
                                     cmocka_unit_test(devices_are_pretended)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
