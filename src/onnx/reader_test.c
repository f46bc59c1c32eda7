// Tests of onnx/reader.h on files: external data and its containment, models over 2 GB, what is not touched, speed on large
// graphs, threads. What a message means: decode_test.c; what a tensor's bytes are: tensor_test.c.
#include "onnx/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/size.h"
#include "support/slowed.h"
#include "support/wire_build.h"

#define GB ((uint64_t)1 << 30)

static char folder[64];

static const char* path_of(const char* name) {
  static char path[4][256];
  static unsigned next;
  char* const text = path[next++ % 4];
  snprintf(text, sizeof path[0], "%s/%s", folder, name);
  return text;
}

static void write_file(const char* name, const void* data, size_t size) {
  FILE* const file = fopen(path_of(name), "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

static int make_folder(void** state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/kapell-reader-XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void** state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

// --- external data -------------------------------------------------------------------------------------------------------
static void add_entry(kp_strbuf* tensor, const char* key, const char* value) {
  kp_strbuf entry = {0};
  wb_text(&entry, 1, key);
  wb_text(&entry, 2, value);
  wb_part(tensor, 13, &entry);
}

// Adds an initializer of |count| bytes in a file; an entry is left out where its value is NULL.
static void add_external(kp_strbuf* graph, int64_t count, const char* location, const char* offset,
                         const char* length) {
  kp_strbuf tensor = {0};
  wb_varint(&tensor, 1, (uint64_t)count);
  wb_varint(&tensor, 2, KAPELL_UINT8);
  wb_text(&tensor, 8, "w");
  if (location) add_entry(&tensor, "location", location);
  if (offset) add_entry(&tensor, "offset", offset);
  if (length) add_entry(&tensor, "length", length);
  wb_varint(&tensor, 14, 1);
  wb_part(graph, 5, &tensor);
}

static kp_onnx_model* open_graph(kp_strbuf* graph, const kp_onnx_read_options* options) {
  kp_strbuf bytes = {0};
  wb_model(&bytes, graph);
  write_file("model.onnx", bytes.data, bytes.length);
  kp_strbuf_free(&bytes);
  kp_onnx_model* model;
  kp_status* const status = kp_onnx_read_file(path_of("model.onnx"), options, &model);
  if (status) print_error("%s\n", kp_status_text(status));
  assert_null(status);
  return model;
}

static const uint8_t* data_of(kp_onnx_model* model, size_t index) {
  const void* data;
  size_t size;
  void* owned;
  kp_status* const status =
      kp_onnx_tensor_bytes(model, &model->graph.initializers[index], &data, &size, &owned);
  if (status) print_error("%s\n", kp_status_text(status));
  assert_null(status);
  assert_null(owned);
  return data;
}

// Closes |model|.
static void assert_data_fails(kp_onnx_model* model, const char* words) {
  const void* data;
  size_t size;
  void* owned;
  kp_status* const status =
      kp_onnx_tensor_bytes(model, &model->graph.initializers[0], &data, &size, &owned);
  assert_non_null(status);
  if (!strstr(kp_status_text(status), words))
    print_error("wanted '%s', got %s\n", words, kp_status_text(status));
  assert_int_equal(kp_status_code(status), KAPELL_EXTERNAL_DATA);
  assert_non_null(strstr(kp_status_text(status), words));
  assert_non_null(strstr(kp_status_text(status), "tensor 'w'"));
  kp_status_free(status);
  kp_onnx_model_close(model);
}

static void test_external_data(void** state) {
  (void)state;
  write_file("w.bin", "0123456789", 10);
  assert_int_equal(mkdir(path_of("sub"), 0700), 0);
  write_file("sub/v.bin", "abc", 3);
  kp_strbuf graph = {0};
  add_external(&graph, 4, "w.bin", "2", "4");
  add_external(&graph, 10, "w.bin", NULL, NULL);
  add_external(&graph, 1, "./w.bin", "9", NULL);
  add_external(&graph, 3, "sub/v.bin", NULL, "3");
  add_external(&graph, 0, "w.bin", "10", "0");
  kp_onnx_model* const model = open_graph(&graph, NULL);
  const uint8_t* const whole = data_of(model, 1);
  assert_memory_equal(whole, "0123456789", 10);
  assert_ptr_equal(data_of(model, 0), whole + 2);  // one mapping
  assert_ptr_equal(data_of(model, 2), whole + 9);  // under both names
  assert_memory_equal(data_of(model, 3), "abc", 3);
  (void)data_of(model, 4);
  kp_onnx_model_close(model);
}

static void test_external_entries(void** state) {
  (void)state;
  write_file("w.bin", "0123456789", 10);
  const struct {
    const char *location, *offset, *length, *words;
  } cases[] = {
      {NULL, NULL, NULL, "without a location"},
      {"", NULL, NULL, "external data ''"},
      {"w.bin", "-1", NULL, "offset '-1' is not a number"},
      {"w.bin", "+1", NULL, "offset '+1' is not a number"},
      {"w.bin", " 1", NULL, "offset ' 1' is not a number"},
      {"w.bin", "", NULL, "offset '' is not a number"},
      {"w.bin", "0x1", NULL, "offset '0x1' is not a number"},
      {"w.bin", "99999999999999999999", NULL, "is not a number"},
      {"w.bin", "18446744073709551615", NULL,
       "4 bytes at offset 18446744073709551615 of 'w.bin', which has 10"},
      {"w.bin", "7", NULL, "4 bytes at offset 7 of 'w.bin', which has 10"},
      {"w.bin", "11", NULL, "offset 11"},
      {"w.bin", NULL, "5", "length is 5 bytes; type and shape need 4"},
      {"missing.bin", NULL, NULL, "missing.bin"},
      {"../w.bin", NULL, NULL, "../w.bin"},
      {"/etc/passwd", NULL, NULL, "/etc/passwd"},
      {"sub/../w.bin", NULL, NULL, "sub/../w.bin"},
      {".", NULL, NULL, "external data '.'"},
      {"\001x", NULL, NULL, "control character"},
  };
  for (size_t i = 0; i < KP_COUNT_OF(cases); ++i) {
    kp_strbuf graph = {0};
    add_external(&graph, 4, cases[i].location, cases[i].offset, cases[i].length);
    assert_data_fails(open_graph(&graph, NULL), cases[i].words);
  }
}

static void test_external_checksum(void** state) {
  (void)state;
  write_file("w.bin", "0123", 4);
  kp_strbuf tensor = {0}, graph = {0};
  wb_varint(&tensor, 1, 4);
  wb_varint(&tensor, 2, KAPELL_UINT8);
  wb_text(&tensor, 8, "w");
  add_entry(&tensor, "location", "elsewhere.bin");
  add_entry(&tensor, "location", "w.bin");  // the last one counts
  add_entry(&tensor, "checksum", "not a checksum");
  add_entry(&tensor, "unknown", "ignored");
  wb_varint(&tensor, 14, 1);
  wb_part(&graph, 5, &tensor);
  assert_data_fails(open_graph(&graph, NULL), "is not hexadecimal");
}

static void test_external_links(void** state) {
  (void)state;
  char blobs[] = "/tmp/kapell-blobs-XXXXXX", blob[64];
  assert_non_null(mkdtemp(blobs));
  snprintf(blob, sizeof blob, "%s/blob", blobs);
  FILE* const file = fopen(blob, "wb");
  assert_int_equal(fwrite("blob", 1, 4, file), 4);
  fclose(file);
  assert_int_equal(symlink(blob, path_of("link.bin")), 0);
  kp_strbuf graph = {0};
  add_external(&graph, 4, "link.bin", NULL, NULL);
  assert_data_fails(open_graph(&graph, NULL), "link");
  const char* const more[] = {blobs};
  const kp_onnx_read_options options = {.more_folders = more, .more_folder_count = 1};
  add_external(&graph, 4, "link.bin", NULL, NULL);
  kp_onnx_model* const model = open_graph(&graph, &options);
  assert_memory_equal(data_of(model, 0), "blob", 4);
  kp_onnx_model_close(model);
  unlink(blob);
  rmdir(blobs);
}

static void test_external_hard_links(void** state) {
  (void)state;
  write_file("one.bin", "0123", 4);
  assert_int_equal(link(path_of("one.bin"), path_of("two.bin")), 0);
  kp_strbuf graph = {0};
  add_external(&graph, 4, "two.bin", NULL, NULL);
  const kp_onnx_read_options options = {.contain_strictly = true};
  assert_data_fails(open_graph(&graph, &options), "two.bin");
}

static void test_bytes_have_no_folder(void** state) {
  (void)state;
  write_file("w.bin", "0123", 4);
  kp_strbuf graph = {0}, bytes = {0};
  add_external(&graph, 4, "w.bin", NULL, NULL);
  wb_model(&bytes, &graph);
  kp_onnx_model* model;
  assert_null(kp_onnx_read_bytes(bytes.data, bytes.length, NULL, &model));
  assert_data_fails(model, "no folder was handed over");
  const kp_onnx_read_options options = {.external_folder = folder};
  assert_null(kp_onnx_read_bytes(bytes.data, bytes.length, &options, &model));
  assert_memory_equal(data_of(model, 0), "0123", 4);
  kp_onnx_model_close(model);
  kp_strbuf_free(&bytes);
}

// --- threads ---------------------------------------------------------------------------------------------------------------
#define FILES 16

static void* read_all(void* argument) {
  kp_onnx_model* const model = argument;
  uintptr_t sum = 0;
  for (size_t i = 0; i < model->graph.initializer_count; ++i) sum += (uintptr_t)data_of(model, i);
  return (void*)sum;  // equal if every thread sees the same mappings
}

static void test_threads_share_mappings(void** state) {
  (void)state;
  kp_strbuf graph = {0};
  for (int i = 0; i < 10 * FILES; ++i) {
    char name[32];
    snprintf(name, sizeof name, "part%d.bin", i % FILES);
    write_file(name, "0123", 4);
    add_external(&graph, 1, name, "3", "1");
  }
  kp_onnx_model* const model = open_graph(&graph, NULL);
  pthread_t threads[4];
  for (size_t i = 0; i < KP_COUNT_OF(threads); ++i)
    assert_int_equal(pthread_create(&threads[i], NULL, read_all, model), 0);
  void *first = NULL, *sum;
  for (size_t i = 0; i < KP_COUNT_OF(threads); ++i) {
    assert_int_equal(pthread_join(threads[i], &sum), 0);
    if (i == 0) first = sum;
    assert_ptr_equal(sum, first);
  }
  kp_onnx_model_close(model);
}

// --- size ------------------------------------------------------------------------------------------------------------------
static size_t resident_bytes(void) {
  unsigned long total, resident;
  FILE* const file = fopen("/proc/self/statm", "r");
  assert_non_null(file);
  assert_int_equal(fscanf(file, "%lu %lu", &total, &resident), 2);
  fclose(file);
  return resident * (size_t)sysconf(_SC_PAGESIZE);
}

// A file of |size| bytes that begins with |head| and has |tail| at its end; what lies between takes no room on the disk.
static void write_sparse_file(const char* name, const kp_strbuf* head, uint64_t size,
                              const kp_strbuf* tail) {
  const int file = open(path_of(name), O_CREAT | O_TRUNC | O_WRONLY, 0600);
  assert_true(file >= 0);
  assert_int_equal(ftruncate(file, (off_t)size), 0);
  assert_int_equal(pwrite(file, head->data, head->length, 0), head->length);
  if (tail->length)
    assert_int_equal(pwrite(file, tail->data, tail->length, (off_t)(size - tail->length)),
                     tail->length);
  close(file);
}

// Writes the tag and length of a field of |size| bytes, the rest of which follows.
static void open_field(kp_strbuf* out, unsigned field, uint64_t size) {
  wb_raw(out, (uint64_t)field << 3 | 2);
  wb_raw(out, size);
}

static size_t varint_length(uint64_t value) {
  size_t length = 1;
  for (; value >= 0x80; value >>= 7) ++length;
  return length;
}

// A model of one initializer of |count| bytes in raw_data.
static void write_large_model(const char* name, uint64_t count) {
  kp_strbuf head = {0}, tensor = {0}, opset = {0}, tail = {0};
  wb_varint(&tensor, 1, count);
  wb_varint(&tensor, 2, KAPELL_UINT8);
  wb_text(&tensor, 8, "w");
  const uint64_t tensor_size = tensor.length + 1 + varint_length(count) + count;
  wb_varint(&head, 1, 8);
  open_field(&head, 7, 1 + varint_length(tensor_size) + tensor_size);
  open_field(&head, 5, tensor_size);
  kp_strbuf_append(&head, tensor.data, tensor.length);
  open_field(&head, 9, count);
  wb_varint(&opset, 2, 17);
  wb_part(&tail, 8, &opset);
  write_sparse_file(name, &head, head.length + count + tail.length, &tail);
  kp_strbuf_free(&head);
  kp_strbuf_free(&tensor);
  kp_strbuf_free(&tail);
}

static void test_model_over_2_gb(void** state) {
  (void)state;
  const uint64_t count = 5 * GB + 3;
  write_large_model("large.onnx", count);
  const size_t before = resident_bytes();
  const int64_t start = (int64_t)kp_clock_ns();
  kp_onnx_model* model;
  assert_null(kp_onnx_read_file(path_of("large.onnx"), NULL, &model));
  const void* data;
  size_t size;
  void* owned;
  assert_null(kp_onnx_tensor_bytes(model, &model->graph.initializers[0], &data, &size, &owned));
  assert_null(owned);
  assert_true(size == count);
  assert_int_equal(((const uint8_t*)data)[count - 1], 0);
  assert_int_equal(model->opset_count, 1);
  assert_true(KP_EMULATED || resident_bytes() < before + (8 << 20));
  assert_true(KP_SLOWED || (int64_t)kp_clock_ns() - start < INT64_C(1000000000));
  kp_onnx_model_close(model);
  unlink(path_of("large.onnx"));
}

static void test_external_data_over_2_gb(void** state) {
  (void)state;
  const kp_strbuf none = {0};
  kp_strbuf tail = {0}, graph = {0};
  kp_strbuf_puts(&tail, "end");
  write_sparse_file("large.bin", &none, 6 * GB, &tail);
  char offset[32];
  snprintf(offset, sizeof offset, "%llu", (unsigned long long)(6 * GB - 3));
  add_external(&graph, (int64_t)(5 * GB), "large.bin", "1073741824", NULL);
  add_external(&graph, 3, "large.bin", offset, NULL);
  kp_onnx_model* const model = open_graph(&graph, NULL);
  const size_t before = resident_bytes();
  (void)data_of(model, 0);
  assert_memory_equal(data_of(model, 1), "end", 3);
  assert_true(KP_EMULATED || resident_bytes() < before + (8 << 20));
  kp_onnx_model_close(model);
  kp_strbuf_free(&tail);
  unlink(path_of("large.bin"));
}

// Of this thread, so that other work on the machine does not count.
static int64_t processor_ns(void) {
  struct timespec time;
  assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time), 0);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

// The limits below are some five times what is needed without sanitizers.
static void assert_reads_within(kp_strbuf* bytes, int64_t milliseconds, size_t bytes_per_byte) {
  const kp_onnx_read_options options = {.borrow_bytes = true};
  kp_onnx_model* model;
  const int64_t start = processor_ns();
  assert_null(kp_onnx_read_bytes(bytes->data, bytes->length, &options, &model));
  const int64_t used = processor_ns() - start;
  if (!KP_SLOWED) assert_true(used < milliseconds * 1000000);
  assert_true(model->arena.total < bytes->length * bytes_per_byte + (2 << 20));
  kp_onnx_model_close(model);
  kp_strbuf_free(bytes);
}

static void test_40000_nodes(void** state) {
  (void)state;
  kp_strbuf graph = {0}, bytes = {0};
  for (int i = 0; i < 40000; ++i) {
    kp_strbuf node = {0}, attr = {0};
    char name[32];
    snprintf(name, sizeof name, "value_%d", i);
    wb_text(&node, 1, name);
    snprintf(name, sizeof name, "value_%d", i + 1);
    wb_text(&node, 2, name);
    wb_text(&node, 4, "Transpose");
    wb_text(&attr, 1, "perm");
    wb_bytes(&attr, 8, "\0\2\1\3", 4);
    wb_varint(&attr, 20, KP_ONNX_ATTR_INTS);
    wb_part(&node, 5, &attr);
    wb_part(&graph, 1, &node);
  }
  wb_model(&bytes, &graph);
  assert_reads_within(&bytes, 200, 10);
}

static void test_lists_of_millions(void** state) {
  (void)state;
  kp_strbuf graph = {0}, node = {0}, attr = {0}, bytes = {0};
  wb_text(&attr, 1, "ints");
  for (int i = 0; i < 3000000; ++i) wb_varint(&attr, 8, 1);
  wb_varint(&attr, 20, KP_ONNX_ATTR_INTS);
  wb_part(&node, 5, &attr);
  for (int i = 0; i < 1000000; ++i) wb_text(&node, 1, "x");
  wb_part(&graph, 1, &node);
  wb_model(&bytes, &graph);
  assert_reads_within(&bytes, 1000, 8);
}

// Many occurrences of one singular message, nested: each level is walked once, not once per occurrence.
static void test_many_pieces_of_a_graph(void** state) {
  (void)state;
  kp_strbuf bytes = {0}, node = {0}, graph = {0};
  wb_varint(&bytes, 1, 8);
  for (int i = 0; i < 300000; ++i) {
    wb_text(&node, 4, "Relu");
    wb_part(&graph, 1, &node);
    wb_part(&bytes, 7, &graph);
  }
  assert_reads_within(&bytes, 1000, 40);
}

// --- the rest ----------------------------------------------------------------------------------------------------------------
static void count_messages(void* user, kapell_log_level level, const char* message) {
  if (level == KAPELL_LOG_WARNING && strstr(message, "IR version 15")) ++*(int*)user;
}

static void test_newer_ir_version(void** state) {
  (void)state;
  int warnings = 0;
  kp_log_set(count_messages, &warnings);
  kp_onnx_model* model;
  assert_null(kp_onnx_read_bytes("\x08\x0f\x3a\x00", 4, NULL, &model));
  kp_log_set(NULL, NULL);
  assert_int_equal(model->ir_version, 15);
  assert_int_equal(warnings, 1);
  kp_onnx_model_close(model);
}

static void test_files_that_cannot_be_read(void** state) {
  (void)state;
  kp_onnx_model* model;
  kp_status* status = kp_onnx_read_file(path_of("missing.onnx"), NULL, &model);
  assert_int_equal(kp_status_code(status), KAPELL_NOT_FOUND);
  kp_status_free(status);
  status = kp_onnx_read_file(folder, NULL, &model);
  assert_int_equal(kp_status_code(status), KAPELL_IO);
  kp_status_free(status);
  write_file("lfs.onnx", "version https://git-lfs.github.com/spec/v1\n", 43);
  status = kp_onnx_read_file(path_of("lfs.onnx"), NULL, &model);
  assert_int_equal(kp_status_code(status), KAPELL_NOT_A_MODEL);
  assert_non_null(strstr(kp_status_text(status), "lfs.onnx"));
  kp_status_free(status);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_external_data),
      cmocka_unit_test(test_external_entries),
      cmocka_unit_test(test_external_checksum),
      cmocka_unit_test(test_external_links),
      cmocka_unit_test(test_external_hard_links),
      cmocka_unit_test(test_bytes_have_no_folder),
      cmocka_unit_test(test_threads_share_mappings),
      cmocka_unit_test(test_model_over_2_gb),
      cmocka_unit_test(test_external_data_over_2_gb),
      cmocka_unit_test(test_40000_nodes),
      cmocka_unit_test(test_lists_of_millions),
      cmocka_unit_test(test_many_pieces_of_a_graph),
      cmocka_unit_test(test_newer_ir_version),
      cmocka_unit_test(test_files_that_cannot_be_read),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
