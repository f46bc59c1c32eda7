// The reader of shared objects on libraries that are there on every system and on damaged copies of them; ids of devices.
#include "find/find.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs those above.
#include <cmocka.h>
#include <dlfcn.h>

#include "base/file.h"

// The C library's own file, by a function that no sanitizer puts another in the place of.
static const char* library_path(void) {
  Dl_info info;
  void* address = dlsym(RTLD_DEFAULT, "gnu_get_libc_version");
  if (!address) address = dlsym(RTLD_DEFAULT, "qsort");
  assert_non_null(address);
  assert_true(dladdr(address, &info) != 0);
  return info.dli_fname;
}

static bool lists(const char* const* list, size_t count, const char* text) {
  for (size_t i = 0; i < count; ++i)
    if (!strcmp(list[i], text)) return true;
  return false;
}

static void test_c_library(void** state) {
  (void)state;
  static const char* const symbols[] = {"qsort", "no_such_function", "malloc", NULL};
  kp_arena arena = {0};
  kp_elf elf;
  kp_status* status = kp_elf_read_file(library_path(), symbols, &arena, &elf);
  assert_null(status);
  assert_non_null(elf.soname);
  assert_true(strncmp(elf.soname, "libc.", 5) == 0);
#ifdef __GLIBC__
  assert_true(lists(elf.versions, elf.version_count, "GLIBC_2.17"));
  assert_int_equal(elf.exports, 1 | 4);
#endif
  assert_true(kp_elf_is_native(library_path()));
  kp_arena_free(&arena);
}

static void test_math_library_wants_the_c_library(void** state) {
  (void)state;
#ifdef __GLIBC__
  Dl_info info;
  void* library = dlopen("libm.so.6", RTLD_NOW);
  assert_non_null(library);
  assert_true(dladdr(dlsym(library, "cos"), &info) != 0);
  kp_arena arena = {0};
  kp_elf elf;
  assert_null(kp_elf_read_file(info.dli_fname, NULL, &arena, &elf));
  assert_true(lists(elf.needed, elf.needed_count, "libc.so.6"));
  assert_true(elf.want_count > 0);
  bool wants = false;
  for (size_t i = 0; i < elf.want_count; ++i)
    wants = wants || (!strcmp(elf.wants[i].file, "libc.so.6") &&
                      !strncmp(elf.wants[i].version, "GLIBC_", 6));
  assert_true(wants);
  kp_arena_free(&arena);
  dlclose(library);
#endif
}

static void expect_refused(const void* bytes, size_t size, const char* word) {
  kp_arena arena = {0};
  kp_elf elf;
  kp_status* status = kp_elf_read(bytes, size, NULL, &arena, &elf);
  assert_int_equal(kp_status_code(status), KAPELL_PROVIDER_UNAVAILABLE);
  if (!strstr(kp_status_message(status), word))
    fail_msg("'%s' lacks '%s'", kp_status_message(status), word);
  kp_status_free(status);
  kp_arena_free(&arena);
}

static void test_other_files(void** state) {
  (void)state;
  expect_refused("", 0, "empty");
  expect_refused("MZ\x90\x00", 4, "Windows");
  expect_refused("\xcf\xfa\xed\xfe____", 8, "macOS");
  expect_refused("!<arch>\nfoo", 11, "static library");
  expect_refused("INPUT(libx.so)", 14, "linker script");
  expect_refused("version https://git-lfs.github.com/spec/v1\n", 43, "Git LFS");
  expect_refused("hello", 5, "no shared object");
  expect_refused(
      "\x7f"
      "ELF",
      4, "cut off");
}

static void test_other_machine(void** state) {
  (void)state;
  kp_file* file;
  assert_null(kp_file_map(library_path(), &file));
  uint8_t* copy = malloc(file->size);
  assert_non_null(copy);
  memcpy(copy, file->data, file->size);
  copy[18] = 243, copy[19] = 0;  // e_machine: RISC-V
  expect_refused(copy, file->size, "RISC-V");
  memcpy(copy, file->data, file->size);
  copy[16] = 2;  // e_type: a program
  expect_refused(copy, file->size, "a program");
  free(copy);
  kp_file_release(file);
}

static void test_cut_off(void** state) {
  (void)state;
  kp_file* file;
  assert_null(kp_file_map(library_path(), &file));
  for (size_t size = 4; size < 4000; size += 37) expect_refused(file->data, size, "cut off");
  expect_refused(file->data, file->size / 2, "cut off");
  kp_file_release(file);
}

// Bytes changed at random, in the parts that are read: any answer is right that does not read outside the bytes (which the
// sanitizers' builds watch).
static void test_damaged(void** state) {
  (void)state;
  kp_file* file;
  assert_null(kp_file_map(library_path(), &file));
  uint8_t* copy = malloc(file->size);
  assert_non_null(copy);
  memcpy(copy, file->data, file->size);
  static const char* const symbols[] = {"qsort", "no_such_function", NULL};
  uint64_t seed = 1;
  for (int round = 0; round < 400; ++round) {
    size_t places[8];
    for (size_t i = 0; i < 8; ++i) {
      seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
      const size_t end = round % 2 ? 4096 : file->size;
      places[i] = (size_t)(seed >> 20) % end;
      copy[places[i]] = (uint8_t)(seed >> 8);
    }
    kp_arena arena = {0};
    kp_elf elf;
    kp_status_free(kp_elf_read(copy, file->size, symbols, &arena, &elf));
    kp_arena_free(&arena);
    for (size_t i = 0; i < 8; ++i) copy[places[i]] = file->data[places[i]];
  }
  free(copy);
  kp_file_release(file);
}

// A device id beyond what the system shows names those that there are; where it shows none that is told otherwise.
static void test_device_ids(void** state) {
  (void)state;
  const kp_system_device devices[] = {
      {.vendor = KP_VENDOR_NVIDIA, .kind = "GPU", .name = "NVIDIA H200"},
      {.vendor = KP_VENDOR_INTEL, .kind = "GPU", .name = "Intel Arc"}};
  const kp_driver driver = {.devices = devices, .count = 2};
  assert_null(kp_find_check_device(&driver, "CUDAExecutionProvider", 0));
  assert_null(kp_find_check_device(&(kp_driver){0}, "CUDAExecutionProvider", 7));
  kp_status* status = kp_find_check_device(&driver, "CUDAExecutionProvider", 1);
  assert_int_equal(kp_status_code(status), KAPELL_BAD_PROVIDER_LIST);
  assert_string_equal(kp_status_message(status),
                      "CUDA.device_id is 1; this machine has 1 such device: NVIDIA H200");
  kp_status_free(status);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_c_library),   cmocka_unit_test(test_math_library_wants_the_c_library),
      cmocka_unit_test(test_other_files), cmocka_unit_test(test_other_machine),
      cmocka_unit_test(test_cut_off),     cmocka_unit_test(test_damaged),
      cmocka_unit_test(test_device_ids),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
