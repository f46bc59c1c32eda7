// Tests of base/file.h: mapping, what is refused, containment in a folder with every kind of link, atomic writing.
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file_internal.h"

static char top[64];  // the folder of the present test
static char* at(const char* name) {
  static char paths[4][256];
  static int turn;
  char* const path = paths[turn++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", top, name);
  return path;
}

static void put(const char* name, const char* text) {
  FILE* file = fopen(at(name), "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static void make_folder(const char* name) { assert_int_equal(mkdir(at(name), 0700), 0); }
static void make_link(const char* target, const char* name) {
  assert_int_equal(symlink(target, at(name)), 0);
}

static int set_up(void** state) {
  (void)state;
  snprintf(top, sizeof top, "/tmp/kapell-file-XXXXXX");
  return mkdtemp(top) ? 0 : -1;
}

static int tear_down(void** state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", top);
  return system(command);
}

static void expect(kp_status* status, kapell_code code, const char* part) {
  if (kp_status_code(status) != code)
    fail_msg("%s instead of %s: %s", kp_code_name(kp_status_code(status)), kp_code_name(code),
             kp_status_text(status));
  if (part && !strstr(kp_status_text(status), part))
    fail_msg("'%s' is not in: %s", part, kp_status_text(status));
  kp_status_free(status);
}

static void expect_bytes(const kp_file* file, const char* text) {
  assert_int_equal(file->size, strlen(text));
  assert_memory_equal(file->data, text, strlen(text));
}

static void test_map(void** state) {
  (void)state;
  kp_file *file = NULL, *same = NULL;
  put("a", "some bytes");
  expect(kp_file_map(at("a"), &file), KAPELL_OK, NULL);
  expect_bytes(file, "some bytes");
  assert_false(file->mapped);
  expect(kp_file_map(at("a"), &same), KAPELL_OK, NULL);
  assert_true(file->inode == same->inode && file->device == same->device);
  kp_file_release(same);
  assert_ptr_equal(kp_file_retain(file), file);
  kp_file_release(file);
  expect_bytes(file, "some bytes");
  kp_file_release(file);
  put("empty", "");
  expect(kp_file_map(at("empty"), &file), KAPELL_OK, NULL);
  assert_null(file->data);
  kp_file_release(file);
  kp_file_release(NULL);
}

static void test_large_files_are_mapped(void** state) {
  (void)state;
  const size_t size = (size_t)1 << 20;
  char* text = malloc(size + 1);
  assert_non_null(text);
  for (size_t i = 0; i < size; ++i) text[i] = (char)('a' + i % 23);
  text[size] = 0;
  put("large", text);
  kp_file* file = NULL;
  expect(kp_file_map(at("large"), &file), KAPELL_OK, NULL);
  assert_true(file->mapped);
  assert_true(kp_file_holds(file, file->data + size - 1));
  expect_bytes(file, text);
  kp_file_forget(file->data, file->size);
  expect_bytes(file, text);  // read again
  kp_file_release(file);
  free(text);
}

static void test_map_refuses(void** state) {
  (void)state;
  kp_file* file = NULL;
  expect(kp_file_map(at("nothing"), &file), KAPELL_NOT_FOUND, "nothing' does not exist");
  expect(kp_file_map(top, &file), KAPELL_IO, "is a folder");
  expect(kp_file_map("/dev/null", &file), KAPELL_IO, "is a device");
  assert_int_equal(mkfifo(at("fifo"), 0600), 0);
  expect(kp_file_map(at("fifo"), &file), KAPELL_IO, "is a FIFO");  // and does not wait for a writer
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", top);
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(bind(listener, (struct sockaddr*)&address, sizeof address), 0);
  expect(kp_file_map(at("socket"), &file), KAPELL_IO, "not a regular file");
  close(listener);
  assert_null(file);
}

// --- containment ---------------------------------------------------------------------------------------------------

typedef struct place {
  kp_folder* model;
  kp_folder* blobs;
} place;

// model/ with a file, a folder and links of all kinds; blobs/ and secret/ beside it.
static place make_place(void) {
  make_folder("model");
  make_folder("model/sub");
  make_folder("blobs");
  make_folder("secret");
  put("model/w", "weights");
  put("model/sub/w", "deep");
  put("blobs/hash", "blob");
  put("secret/key", "secret");
  make_link("w", "model/inside");
  make_link("sub/../w", "model/roundabout");
  make_link("sub", "model/folder_link");
  make_link("../w", "model/sub/up");
  make_link(at("model/w"), "model/absolute_inside");
  make_link("../blobs/hash", "model/blob");
  make_link("../blobs", "model/blob_folder");
  make_link("../secret/key", "model/out");
  make_link(at("secret/key"), "model/absolute_out");
  make_link("../secret", "model/out_folder");
  make_link("/", "model/slash");
  make_link("loop_b", "model/loop_a");
  make_link("loop_a", "model/loop_b");
  make_link("missing", "model/dangling");
  make_link("../secret/key", "blobs/out");
  assert_int_equal(mkfifo(at("model/fifo"), 0600), 0);
  place p = {NULL, NULL};
  expect(kp_folder_open(at("model"), &p.model), KAPELL_OK, NULL);
  expect(kp_folder_open(at("blobs"), &p.blobs), KAPELL_OK, NULL);
  return p;
}

static void close_place(place p) {
  kp_folder_close(p.model);
  kp_folder_close(p.blobs);
}

static kp_status* map_in(place p, bool with_blobs, const char* path, kp_file** out_file) {
  const kp_folder* const more[] = {p.blobs};
  return kp_folder_map(p.model, more, with_blobs ? 1 : 0, kp_str_of(path), false, out_file);
}

static void expect_file(place p, bool with_blobs, const char* path, const char* text) {
  kp_file* file = NULL;
  expect(map_in(p, with_blobs, path, &file), KAPELL_OK, NULL);
  expect_bytes(file, text);
  kp_file_release(file);
}

static void expect_refused(place p, bool with_blobs, const char* path, kapell_code code,
                           const char* part) {
  kp_file* file = NULL;
  expect(map_in(p, with_blobs, path, &file), code, part);
  assert_null(file);
}

static void check_containment(place p) {
  expect_file(p, false, "w", "weights");
  expect_file(p, false, "./w", "weights");
  expect_file(p, false, "sub//w", "deep");
  expect_file(p, false, "inside", "weights");
  expect_file(p, false, "roundabout", "weights");
  expect_file(p, false, "folder_link/w", "deep");
  expect_file(p, false, "sub/up", "weights");
  expect_file(p, false, "folder_link/up", "weights");
  expect_file(p, false, "absolute_inside", "weights");
  expect_file(p, true, "blob", "blob");
  expect_file(p, true, "blob_folder/hash", "blob");

  expect_refused(p, false, "", KAPELL_EXTERNAL_DATA, "is empty");
  expect_refused(p, false, "/etc/passwd", KAPELL_EXTERNAL_DATA, "absolute");
  expect_refused(p, false, "../secret/key", KAPELL_EXTERNAL_DATA, "'..'");
  expect_refused(p, false, "sub/../w", KAPELL_EXTERNAL_DATA, "'..'");
  expect_refused(p, false, "sub/..", KAPELL_EXTERNAL_DATA, "'..'");
  expect_refused(p, false, "sub/", KAPELL_EXTERNAL_DATA, "names no file");
  expect_refused(p, false, "nothing", KAPELL_NOT_FOUND, "nothing");
  expect_refused(p, false, "w/x", KAPELL_NOT_FOUND, "w/x");
  expect_refused(p, false, "dangling", KAPELL_NOT_FOUND, "dangling");
  expect_refused(p, false, "sub", KAPELL_IO, "is a folder");
  expect_refused(p, false, ".", KAPELL_IO, "is a folder");
  expect_refused(p, false, "fifo", KAPELL_IO, "is a FIFO");
  expect_refused(p, false, "loop_a", KAPELL_EXTERNAL_DATA, "too many symbolic links");
  for (int with_blobs = 0; with_blobs < 2; ++with_blobs) {
    expect_refused(p, with_blobs, "out", KAPELL_EXTERNAL_DATA, "outside folder");
    expect_refused(p, with_blobs, "absolute_out", KAPELL_EXTERNAL_DATA, "outside folder");
    expect_refused(p, with_blobs, "out_folder/key", KAPELL_EXTERNAL_DATA, "outside folder");
    expect_refused(p, with_blobs, "slash/etc/passwd", KAPELL_EXTERNAL_DATA, "outside folder");
  }
  expect_refused(p, true, "blob_folder/out", KAPELL_EXTERNAL_DATA, "outside folder");
  char hint[256];
  snprintf(hint, sizeof hint, "hint: handing over the folder '%s/blobs'", top);
  expect_refused(p, false, "blob", KAPELL_EXTERNAL_DATA, hint);
}

static void test_containment(void** state) {
  (void)state;
  const int64_t live = kp_alloc_live();
  const place p = make_place();
  assert_string_equal(kp_folder_path(p.model), at("model"));
  check_containment(p);
  kp_folder_forgo_openat2(true);
  check_containment(p);
  kp_folder_forgo_openat2(false);
  kp_file* file = NULL;
  expect(kp_folder_map(p.model, NULL, 0, (kp_str){"w\0x", 3}, false, &file), KAPELL_EXTERNAL_DATA,
         "NUL");
  char name[5000];
  memset(name, 'x', sizeof name);
  name[300] = 0;
  expect(map_in(p, false, name, &file), KAPELL_IO, NULL);
  kp_folder_forgo_openat2(true);
  expect(map_in(p, false, name, &file), KAPELL_IO, NULL);
  kp_folder_forgo_openat2(false);
  name[300] = 'x';
  expect(kp_folder_map(p.model, NULL, 0, (kp_str){name, sizeof name}, false, &file),
         KAPELL_EXTERNAL_DATA, "too long");
  close_place(p);
  assert_int_equal(kp_alloc_live(), live);
}

static void test_renamed_folder(void** state) {
  (void)state;
  const place p = make_place();
  assert_int_equal(rename(at("model"), at("moved")), 0);
  make_folder("model");
  put("model/w", "another");
  for (int forgo = 0; forgo < 2; ++forgo) {
    kp_folder_forgo_openat2(forgo);
    expect_file(p, false, "w", "weights");
    expect_file(p, false, "roundabout", "weights");
    expect_refused(p, false, "absolute_inside", KAPELL_EXTERNAL_DATA, "outside folder");
  }
  kp_folder_forgo_openat2(false);
  close_place(p);
}

static void test_hard_links(void** state) {
  (void)state;
  const place p = make_place();
  assert_int_equal(link(at("secret/key"), at("model/hard")), 0);
  expect_file(p, false, "hard", "secret");
  kp_file* file = NULL;
  expect(kp_folder_map(p.model, NULL, 0, kp_str_of("hard"), true, &file), KAPELL_EXTERNAL_DATA,
         "hard links");
  assert_null(file);
  expect(kp_folder_map(p.model, NULL, 0, kp_str_of("w"), true, &file), KAPELL_OK, NULL);
  kp_file_release(file);
  close_place(p);
}

static void test_open_folder_refuses(void** state) {
  (void)state;
  kp_folder* folder = NULL;
  put("file", "x");
  expect(kp_folder_open(at("nothing"), &folder), KAPELL_NOT_FOUND, "nothing");
  expect(kp_folder_open(at("file"), &folder), KAPELL_IO, "is not a folder");
  assert_null(folder);
  kp_folder_close(NULL);
}

static void test_out_of_memory(void** state) {
  (void)state;
  const place p = make_place();
  const int64_t live = kp_alloc_live();
  bool failed = true;
  for (uint64_t nth = 1; failed; ++nth) {
    kp_alloc_fail_at(nth);
    kp_file* file = NULL;
    kp_folder* folder = NULL;
    kp_status* status = kp_folder_open(top, &folder);
    if (!status) status = map_in(p, true, "blob", &file);
    if (!status) status = kp_file_write(at("written"), "x", 1);
    failed = kp_alloc_failed();
    expect(status, failed ? KAPELL_OUT_OF_MEMORY : KAPELL_OK, NULL);
    kp_file_release(file);
    kp_folder_close(folder);
    assert_int_equal(kp_alloc_live(), live);
  }
  kp_alloc_fail_at(0);
  close_place(p);
}

// --- writing -------------------------------------------------------------------------------------------------------

static int count_names(void) {
  char command[128];
  snprintf(command, sizeof command, "ls -A '%s' | wc -l", top);
  FILE* pipe = popen(command, "r");
  int count = -1;
  assert_int_equal(fscanf(pipe, "%d", &count), 1);
  pclose(pipe);
  return count;
}

static void test_write(void** state) {
  (void)state;
  kp_file* file = NULL;
  expect(kp_file_write(at("new"), "first", 5), KAPELL_OK, NULL);
  expect(kp_file_map(at("new"), &file), KAPELL_OK, NULL);
  expect(kp_file_write(at("new"), "second", 6), KAPELL_OK, NULL);
  expect_bytes(file, "first");  // whoever had the old file still has it
  kp_file_release(file);
  expect(kp_file_map(at("new"), &file), KAPELL_OK, NULL);
  expect_bytes(file, "second");
  kp_file_release(file);
  expect(kp_file_write(at("none"), NULL, 0), KAPELL_OK, NULL);
  assert_int_equal(count_names(), 2);
}

static void test_write_failures(void** state) {
  (void)state;
  expect(kp_file_write(at("no/folder"), "x", 1), KAPELL_NOT_FOUND, "no/folder");
  make_folder("folder");
  expect(kp_file_write(at("folder"), "x", 1), KAPELL_IO, "is a folder");
  expect(kp_file_write("/dev/full", "x", 1), KAPELL_IO, "/dev/full");
  expect(kp_file_write("/dev/null", "x", 1), KAPELL_OK, NULL);
  assert_int_equal(count_names(), 1);  // no temporary file stays behind
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_map, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_large_files_are_mapped, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_map_refuses, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_containment, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_renamed_folder, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_hard_links, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_open_folder_refuses, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_out_of_memory, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_write, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_write_failures, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
