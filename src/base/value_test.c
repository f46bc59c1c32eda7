// Tests of base/value.h and base/memory.h: shapes, ownership, reuse without allocation, strings, composite kinds, devices.
#include "base/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"

#define DIMS(...) \
  (const int64_t[]){__VA_ARGS__}, (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static void expect(kp_status* status, kapell_code code, const char* part) {
  assert_int_equal(kp_status_code(status), code);
  if (part && !strstr(kp_status_text(status), part))
    fail_msg("'%s' is not in: %s", part, kp_status_text(status));
  kp_status_free(status);
}
#define EXPECT_OK(expr) expect((expr), KAPELL_OK, NULL)
#define EXPECT_BAD(expr, part) expect((expr), KAPELL_INVALID_ARGUMENT, (part))

static kapell_value* tensor(kapell_type type, const int64_t* dims, int32_t rank) {
  kapell_value* value = NULL;
  EXPECT_OK(kp_value_create_tensor(type, dims, rank, &value));
  return value;
}

static kapell_value* vector_i64(const int64_t* numbers, int64_t count) {
  kapell_value* value = tensor(KAPELL_INT64, &count, 1);
  if (count) memcpy(value->data, numbers, (size_t)count * sizeof *numbers);
  return value;
}

// A device that scrambles its bytes, so that reading them on the host shows.
static int device_live;
static void* device_alloc(const kp_memory* self, size_t byte_count, size_t alignment) {
  (void)self;
  ++device_live;
  return kp_alloc_aligned(byte_count, alignment);
}
static void device_free(const kp_memory* self, void* data) {
  (void)self;
  --device_live;
  kp_free(data);
}
static kp_status* device_copy(const kp_memory* self, void* to, const void* from,
                              size_t byte_count) {
  (void)self;
  for (size_t i = 0; i < byte_count; ++i) ((uint8_t*)to)[i] = ((const uint8_t*)from)[i] ^ 0x5A;
  return NULL;
}
static kp_status* device_fail(const kp_memory* self, void* to, const void* from,
                              size_t byte_count) {
  (void)to, (void)from, (void)byte_count;
  return KP_ERROR(PROVIDER_FAILED, "%s is gone", self->name);
}
static const kp_memory device = {.name = "Test:0",
                                 .alloc = device_alloc,
                                 .free = device_free,
                                 .copy_in = device_copy,
                                 .copy_out = device_copy};
static const kp_memory broken = {.name = "Broken:0",
                                 .alloc = device_alloc,
                                 .free = device_free,
                                 .copy_in = device_fail,
                                 .copy_out = device_fail};

static void test_check_dims(void** state) {
  (void)state;
  size_t count = 9, bytes = 9;
  EXPECT_OK(kp_value_check_dims(KAPELL_FLOAT, DIMS(2, 3, 4), &count, &bytes));
  assert_int_equal(count, 24);
  assert_int_equal(bytes, 96);
  EXPECT_OK(kp_value_check_dims(KAPELL_FLOAT, NULL, 0, &count, &bytes));
  assert_int_equal(count, 1);
  EXPECT_OK(kp_value_check_dims(KAPELL_INT4, DIMS(3, 0, 5), &count, &bytes));
  assert_int_equal(count, 0);
  assert_int_equal(bytes, 0);
  EXPECT_OK(kp_value_check_dims(KAPELL_INT4, DIMS(3), NULL, &bytes));
  assert_int_equal(bytes, 2);
  EXPECT_OK(kp_value_check_dims(KAPELL_STRING, DIMS(3), &count, &bytes));
  assert_int_equal(bytes, 3 * sizeof(kp_str));
  EXPECT_BAD(kp_value_check_dims(KAPELL_FLOAT, DIMS(2, -1), NULL, NULL),
             "shape [2,-1]: a dim is negative");
  EXPECT_BAD(kp_value_check_dims(KAPELL_FLOAT, DIMS(INT64_MAX, 2), NULL, NULL), "more elements");
  EXPECT_BAD(kp_value_check_dims(KAPELL_FLOAT, DIMS(0, INT64_MAX, 2), NULL, NULL), "more elements");
  EXPECT_BAD(kp_value_check_dims(KAPELL_DOUBLE, DIMS(INT64_MAX / 4), NULL, NULL), "more bytes");
  EXPECT_BAD(kp_value_check_dims(KAPELL_UNDEFINED, DIMS(1), NULL, NULL), "no element type");
  EXPECT_BAD(kp_value_check_dims((kapell_type)77, DIMS(1), NULL, NULL), "77");
  EXPECT_BAD(kp_value_check_dims(KAPELL_FLOAT, NULL, -1, NULL, NULL), "rank -1");
  EXPECT_BAD(kp_value_check_dims(KAPELL_FLOAT, NULL, KP_MAX_RANK + 1, NULL, NULL), "rank 33");
}

static void test_create(void** state) {
  (void)state;
  kapell_value* value = tensor(KAPELL_FLOAT, DIMS(2, 3));
  assert_int_equal(value->kind, KAPELL_KIND_TENSOR);
  assert_int_equal((uintptr_t)value->data % KP_ALIGNMENT, 0);
  assert_int_equal(value->byte_count, 24);
  assert_int_equal(kp_value_count(value), 6);
  memset(value->data, 1, 24);
  kp_value_release(value);
  int64_t dims[KP_MAX_RANK];
  for (int i = 0; i < KP_MAX_RANK; ++i) dims[i] = 1 + i % 2;
  value = tensor(KAPELL_UINT8, dims, KP_MAX_RANK);
  assert_int_equal(kp_value_count(value), 1 << 16);
  assert_memory_equal(value->dims, dims, sizeof dims);
  kp_value_release(value);
  EXPECT_BAD(kp_value_create_tensor(KAPELL_FLOAT, DIMS(-1), &value), "negative");
  assert_null(value);
  expect(kp_value_create_tensor(KAPELL_UINT8, DIMS(INT64_C(1) << 62), &value), KAPELL_OUT_OF_MEMORY,
         NULL);
  EXPECT_BAD(kp_value_create_on(&device, KAPELL_STRING, DIMS(1), &value), "strings on Test:0");
  kp_value_release(NULL);
  assert_null(kp_value_retain(NULL));
}

static int released;
static void count_release(void* user, void* data) {
  assert_ptr_equal(user, &released);
  assert_non_null(data);
  ++released;
}

static void test_wrap(void** state) {
  (void)state;
  float numbers[6] = {1, 2, 3, 4, 5, 6};
  kapell_value* value = NULL;
  released = 0;
  EXPECT_OK(kp_value_wrap_tensor(KAPELL_FLOAT, DIMS(2, 3), numbers, sizeof numbers, count_release,
                                 &released, &value));
  assert_ptr_equal(value->data, numbers);
  kapell_value other = {0};
  EXPECT_OK(kp_value_share(&other, value));
  assert_ptr_equal(kp_value_retain(value), value);
  kp_value_release(value);
  kp_value_release(value);
  assert_int_equal(released, 0);
  assert_true(((float*)other.data)[5] == 6);
  kp_value_clear(&other);
  assert_int_equal(released, 1);
  EXPECT_BAD(
      kp_value_wrap_tensor(KAPELL_FLOAT, DIMS(2, 3), numbers, 23, count_release, &released, &value),
      "23 bytes");
  EXPECT_BAD(kp_value_wrap_tensor(KAPELL_FLOAT, DIMS(1), NULL, 4, NULL, NULL, &value), "no data");
  EXPECT_OK(kp_value_wrap_tensor(KAPELL_FLOAT, DIMS(0, 4), NULL, 0, NULL, NULL, &value));
  kp_value_release(value);
  EXPECT_OK(
      kp_value_wrap_tensor(KAPELL_FLOAT, DIMS(3), numbers, sizeof numbers, NULL, NULL, &value));
  assert_int_equal(value->byte_count, 12);
  kp_value_release(value);
  assert_int_equal(released, 1);
}

static void test_reset_allocates_nothing(void** state) {
  (void)state;
  float numbers[64] = {0};
  kapell_value *shell = NULL, field = {0};
  EXPECT_OK(kp_value_create_shell(&shell));
  int64_t dims[12] = {2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3};
  EXPECT_OK(kp_value_reset_tensor(shell, KAPELL_FLOAT, dims, 12, numbers));
  const uint64_t before = kp_alloc_total();
  for (int i = 0; i < 100; ++i) {
    EXPECT_OK(kp_value_reset_tensor(shell, KAPELL_FLOAT, dims, i % 13, numbers));
    EXPECT_OK(kp_value_reset_on(&field, &device, KAPELL_INT4, dims, i % 9, numbers));
  }
  assert_int_equal(kp_alloc_total(), before);
  assert_int_equal(shell->byte_count, 2 * sizeof(float));
  assert_int_equal(field.byte_count, 1);
  assert_ptr_equal(field.memory, &device);
  EXPECT_OK(kp_value_reset_tensor(shell, KAPELL_FLOAT, shell->dims, shell->rank,
                                  numbers + 1));  // its own dims
  assert_ptr_equal(shell->data, numbers + 1);
  kp_value_clear(&field);
  kp_value_release(shell);
}

static void test_reset_drops_what_was_held(void** state) {
  (void)state;
  const int64_t live = kp_alloc_live();
  float number = 1;
  kapell_value *sequence = NULL, *item = tensor(KAPELL_FLOAT, DIMS(3));
  EXPECT_OK(kp_value_create_sequence(&sequence));
  EXPECT_OK(kp_value_sequence_append(sequence, item));
  EXPECT_OK(kp_value_reset_tensor(sequence, KAPELL_FLOAT, NULL, 0, &number));
  assert_int_equal(sequence->kind, KAPELL_KIND_TENSOR);
  assert_int_equal(item->refs, 1);
  kp_value_release(item);
  kp_value_release(sequence);
  assert_int_equal(kp_alloc_live(), live);
}

static void test_resize_reuses_and_grows(void** state) {
  (void)state;
  kapell_value value = {0};
  EXPECT_OK(kp_value_resize_tensor(&value, NULL, KAPELL_FLOAT, DIMS(100)));
  void* const first = value.data;
  EXPECT_OK(kp_value_resize_tensor(&value, NULL, KAPELL_INT64, DIMS(50)));
  assert_ptr_equal(value.data, first);
  const uint64_t before = kp_alloc_total();
  for (int64_t n = 1; n <= 10000; ++n) {
    EXPECT_OK(kp_value_resize_tensor(&value, NULL, KAPELL_FLOAT, &n, 1));
    memset(value.data, 1, value.byte_count);
  }
  assert_true(kp_alloc_total() - before < 16);  // growth by half: log(100) / log(1.5)
  kapell_value other = {0};
  EXPECT_OK(kp_value_share(&other, &value));
  EXPECT_OK(kp_value_resize_tensor(&value, NULL, KAPELL_FLOAT, DIMS(5)));
  assert_ptr_not_equal(value.data, other.data);  // shared bytes are left alone
  EXPECT_OK(kp_value_resize_tensor(&value, &device, KAPELL_FLOAT, DIMS(5)));
  assert_int_equal(device_live, 1);
  EXPECT_BAD(kp_value_resize_tensor(&value, NULL, KAPELL_FLOAT, DIMS(-5)), "negative");
  kp_value_clear(&value);
  kp_value_clear(&other);
  assert_int_equal(device_live, 0);
}

static void test_shared_views(void** state) {
  (void)state;
  kp_buffer* buffer = NULL;
  EXPECT_OK(kp_buffer_create(NULL, 64, &buffer));
  assert_int_equal(kp_buffer_size(buffer), 64);
  kapell_value view = {0};
  EXPECT_OK(kp_value_reset_shared(&view, KAPELL_FLOAT, DIMS(2, 4), buffer, 32));
  assert_ptr_equal(view.data, (char*)kp_buffer_data(buffer) + 32);
  EXPECT_BAD(kp_value_reset_shared(&view, KAPELL_FLOAT, DIMS(9), buffer, 32), "36 bytes at 32");
  EXPECT_BAD(kp_value_reset_shared(&view, KAPELL_FLOAT, DIMS(0), buffer, 65), "at 65");
  EXPECT_BAD(kp_value_reset_shared(&view, KAPELL_STRING, DIMS(1), buffer, 0),
             "strings and numbers");
  kp_buffer_release(buffer);
  memset(view.data, 0, view.byte_count);
  EXPECT_OK(kp_value_reshape(&view, DIMS(8)));
  EXPECT_BAD(kp_value_reshape(&view, DIMS(7)), "shape [7]");
  EXPECT_OK(
      kp_value_reset_shared(&view, KAPELL_UINT8, DIMS(2), view.buffer, 3));  // of its own buffer
  kp_value_clear(&view);
}

static void test_strings(void** state) {
  (void)state;
  const int64_t live = kp_alloc_live();
  kapell_value* value = tensor(KAPELL_STRING, DIMS(2, 2));
  assert_string_equal(kp_value_string(value, 3).data, "");
  EXPECT_OK(kp_value_set_string(value, 0, kp_str_of("first")));
  EXPECT_OK(kp_value_set_string(value, 1, (kp_str){"a\0b", 3}));
  char* room = NULL;
  EXPECT_OK(kp_value_string_room(value, 2, 4, &room));
  memcpy(room, "room", 4);
  assert_string_equal(kp_value_string(value, 0).data, "first");
  assert_int_equal(kp_value_string(value, 1).length, 3);
  assert_string_equal(kp_value_string(value, 2).data, "room");
  const kp_str part = kp_value_string(value, 0);
  EXPECT_OK(kp_value_set_string(value, 0, (kp_str){part.data + 1, 3}));  // out of itself
  assert_string_equal(kp_value_string(value, 0).data, "irs");
  kapell_value* copy = NULL;
  EXPECT_OK(kp_value_clone(value, &copy));
  assert_true(kp_value_equal(value, copy));
  EXPECT_OK(kp_value_set_string(copy, 1, kp_str_of("")));
  assert_false(kp_value_equal(value, copy));
  EXPECT_OK(kp_value_string_room(copy, 1, 0, &room));
  assert_non_null(room);
  EXPECT_BAD(kp_value_set_string(value, 4, kp_str_of("x")), "string 4 of 4");
  assert_int_equal(kp_value_string(value, 4).length, 0);
  kp_str borrowed[1] = {{"lent", 4}};
  kapell_value* wrapped = NULL;
  EXPECT_OK(kp_value_wrap_tensor(KAPELL_STRING, DIMS(1), borrowed, sizeof borrowed, NULL, NULL,
                                 &wrapped));
  assert_string_equal(kp_value_string(wrapped, 0).data, "lent");
  EXPECT_BAD(kp_value_set_string(wrapped, 0, kp_str_of("x")), "somebody else");
  kapell_value* numbers = tensor(KAPELL_FLOAT, DIMS(1));
  EXPECT_BAD(kp_value_set_string(numbers, 0, kp_str_of("x")), "not a tensor of strings");
  kp_value_release(numbers);
  kp_value_release(wrapped);
  kp_value_release(copy);
  kp_value_release(value);
  assert_int_equal(kp_alloc_live(), live);
}

static void test_sequence(void** state) {
  (void)state;
  const int64_t live = kp_alloc_live();
  kapell_value *sequence = NULL, *copy = NULL;
  EXPECT_OK(kp_value_create_sequence(&sequence));
  for (int64_t i = 0; i < 10; ++i) {
    kapell_value* item = vector_i64(&i, 1);
    EXPECT_OK(kp_value_sequence_insert(sequence, (size_t)i / 2, item));
    kp_value_release(item);
  }
  const int64_t order[] = {1, 3, 5, 7, 9, 8, 6, 4, 2, 0};
  for (size_t i = 0; i < 10; ++i)
    assert_int_equal(*(int64_t*)kp_value_item(sequence, i)->data, order[i]);
  EXPECT_OK(kp_value_clone(sequence, &copy));
  assert_true(kp_value_equal(sequence, copy));
  assert_ptr_not_equal(kp_value_item(copy, 0), kp_value_item(sequence, 0));
  EXPECT_OK(kp_value_sequence_erase(copy, 9));
  EXPECT_OK(kp_value_sequence_erase(copy, 0));
  assert_int_equal(*(int64_t*)kp_value_item(copy, 0)->data, 3);
  assert_false(kp_value_equal(sequence, copy));
  assert_null(kp_value_item(copy, 8));
  kapell_value* floats = tensor(KAPELL_FLOAT, DIMS(1));
  EXPECT_BAD(kp_value_sequence_append(sequence, floats), "sequence of int64 takes no float32");
  EXPECT_BAD(kp_value_sequence_append(floats, sequence), "not a sequence");
  EXPECT_BAD(kp_value_sequence_append(sequence, sequence), "itself");
  EXPECT_BAD(kp_value_sequence_append(sequence, copy), "one kind");
  EXPECT_BAD(kp_value_sequence_insert(sequence, 11, kp_value_item(sequence, 0)), "position 11");
  EXPECT_BAD(kp_value_sequence_erase(sequence, 10), "position 10");
  kp_value_release(floats);
  // A value that takes over the contents of its own item.
  EXPECT_OK(kp_value_share(copy, kp_value_item(copy, 0)));
  assert_int_equal(copy->kind, KAPELL_KIND_TENSOR);
  assert_int_equal(*(int64_t*)copy->data, 3);
  kp_value_release(copy);
  kp_value_release(sequence);
  assert_int_equal(kp_alloc_live(), live);
}

static void test_map(void** state) {
  (void)state;
  kapell_value *keys = vector_i64((const int64_t[]){7, -2, 30}, 3), *map = NULL, *shorter = NULL;
  kapell_value *names = tensor(KAPELL_STRING, DIMS(3)), *values = tensor(KAPELL_FLOAT, DIMS(3));
  memset(values->data, 0, 12);
  EXPECT_OK(kp_value_set_string(names, 1, kp_str_of("one")));
  EXPECT_OK(kp_value_create_map(keys, values, &map));
  assert_int_equal(map->type, KAPELL_INT64);
  size_t index = 9;
  assert_true(kp_value_map_find_i64(map, -2, &index));
  assert_int_equal(index, 1);
  assert_false(kp_value_map_find_i64(map, 3, &index));
  assert_false(kp_value_map_find_string(map, kp_str_of("one"), &index));
  kp_strbuf buf = {0};
  kp_value_describe(map, &buf);
  assert_string_equal(buf.data, "map of int64[3] to float32[3]");
  kp_strbuf_free(&buf);
  kp_value_release(map);
  EXPECT_OK(kp_value_create_map(names, values, &map));
  assert_true(kp_value_map_find_string(map, kp_str_of("one"), &index));
  assert_int_equal(index, 1);
  assert_false(kp_value_map_find_i64(map, 7, &index));
  kapell_value* copy = NULL;
  EXPECT_OK(kp_value_clone(map, &copy));
  assert_true(kp_value_equal(map, copy));
  kp_value_release(copy);
  kp_value_release(map);
  shorter = tensor(KAPELL_FLOAT, DIMS(2));
  EXPECT_BAD(kp_value_create_map(keys, shorter, &map), "3 keys and 2 values");
  EXPECT_BAD(kp_value_create_map(values, keys, &map), "integers or strings");
  kapell_value* small = tensor(KAPELL_INT8, DIMS(2));
  memcpy(small->data, "\xFF\x05", 2);
  EXPECT_OK(kp_value_create_map(small, shorter, &map));
  assert_true(kp_value_map_find_i64(map, -1, &index) && index == 0);
  kp_value_release(map);
  kp_value_release(small);
  kp_value_release(shorter);
  kp_value_release(keys);
  kp_value_release(names);
  kp_value_release(values);
}

static void test_optional(void** state) {
  (void)state;
  kapell_value *empty = NULL, *full = NULL, *item = vector_i64((const int64_t[]){4}, 1);
  EXPECT_OK(kp_value_create_optional(NULL, &empty));
  EXPECT_OK(kp_value_create_optional(item, &full));
  kp_value_release(item);
  assert_null(kp_value_item(empty, 0));
  assert_int_equal(*(int64_t*)kp_value_item(full, 0)->data, 4);
  assert_false(kp_value_equal(empty, full));
  kp_strbuf buf = {0};
  kp_value_describe(empty, &buf);
  kp_strbuf_puts(&buf, "; ");
  kp_value_describe(full, &buf);
  assert_string_equal(buf.data, "optional without a value; optional int64[1]");
  kp_strbuf_free(&buf);
  kp_value_release(empty);
  kp_value_release(full);
}

static void test_sparse(void** state) {
  (void)state;
  kapell_value *values = tensor(KAPELL_FLOAT, DIMS(2)), *sparse = NULL, *copy = NULL;
  memset(values->data, 0, 8);
  kapell_value* flat = vector_i64((const int64_t[]){0, 11}, 2);
  EXPECT_OK(kp_value_create_sparse(values, flat, DIMS(3, 4), &sparse));
  assert_int_equal(kp_value_count(sparse), 12);
  EXPECT_OK(kp_value_clone(sparse, &copy));
  assert_true(kp_value_equal(sparse, copy));
  kp_strbuf buf = {0};
  kp_value_describe(copy, &buf);
  assert_string_equal(buf.data, "sparse float32[3,4] of 2 values");
  kp_strbuf_free(&buf);
  kp_value_release(copy);
  kp_value_release(sparse);
  kapell_value* pairs = tensor(KAPELL_INT64, DIMS(2, 2));
  memcpy(pairs->data, (const int64_t[]){0, 1, 2, 3}, 32);
  EXPECT_OK(kp_value_create_sparse(values, pairs, DIMS(3, 4), &sparse));
  kp_value_release(sparse);
  EXPECT_BAD(kp_value_create_sparse(values, pairs, DIMS(3, 3), &sparse), "index 3");
  EXPECT_BAD(kp_value_create_sparse(values, flat, DIMS(11), &sparse), "index 11");
  EXPECT_BAD(kp_value_create_sparse(values, pairs, DIMS(3, 4, 1), &sparse), "int64 [2] or [2, 3]");
  EXPECT_BAD(kp_value_create_sparse(values, values, DIMS(3), &sparse), "int64");
  EXPECT_BAD(kp_value_create_sparse(pairs, flat, DIMS(3), &sparse), "vector");
  kp_value_release(pairs);
  kp_value_release(flat);
  kp_value_release(values);
}

static void test_equality_of_packed(void** state) {
  (void)state;
  kapell_value *a = tensor(KAPELL_INT4, DIMS(3)), *b = tensor(KAPELL_INT4, DIMS(3));
  memcpy(a->data, "\x21\x03", 2);
  memcpy(b->data, "\x21\xF3", 2);
  assert_true(kp_value_equal(a, b));  // the high half of the last byte is no element
  memcpy(b->data, "\x21\xF4", 2);
  assert_false(kp_value_equal(a, b));
  kp_value_release(a);
  kp_value_release(b);
}

static void test_device(void** state) {
  (void)state;
  const int64_t live = kp_alloc_live();
  kapell_value *host = vector_i64((const int64_t[]){1, 2, 3}, 3), *far = NULL, *back = NULL,
               *lost = NULL;
  EXPECT_OK(kp_value_create_on(&device, KAPELL_INT64, DIMS(3), &far));
  EXPECT_OK(kp_memory_copy(&device, far->data, NULL, host->data, 24));
  assert_int_not_equal(*(uint8_t*)far->data, 1);
  assert_true(kp_value_equal(host, far));
  EXPECT_OK(kp_value_clone(far, &back));
  assert_null(back->memory);
  assert_memory_equal(back->data, host->data, 24);
  memset(back->data, 0, 24);
  kapell_value* far_too = NULL;
  EXPECT_OK(kp_value_create_on(&device, KAPELL_INT64, DIMS(3), &far_too));
  EXPECT_OK(kp_memory_copy(&device, far_too->data, &device, far->data, 24));
  assert_true(kp_value_equal(far, far_too));
  EXPECT_OK(kp_value_create_on(&broken, KAPELL_INT64, DIMS(3), &lost));
  assert_false(kp_value_equal(host, lost));
  expect(kp_memory_copy(&device, far->data, &broken, lost->data, 24), KAPELL_PROVIDER_FAILED,
         "Broken:0 is gone");
  kp_strbuf buf = {0};
  kp_value_describe(far, &buf);
  assert_string_equal(buf.data, "int64[3] on Test:0");
  assert_string_equal(kp_memory_name(NULL), "host");
  kp_strbuf_free(&buf);
  kapell_value* const all[] = {host, far, back, far_too, lost};
  for (int i = 0; i < 5; ++i) kp_value_release(all[i]);
  assert_int_equal(device_live, 0);
  assert_int_equal(kp_alloc_live(), live);
}

static void* share_and_release(void* arg) {
  for (int i = 0; i < 2000; ++i) {
    kapell_value* value = kp_value_retain(arg);
    kapell_value view = {0};
    EXPECT_OK(kp_value_share(&view, value));
    kp_value_release(value);
    kp_value_clear(&view);
  }
  kp_value_release(arg);
  return NULL;
}

static void test_threads(void** state) {
  (void)state;
  const int64_t live = kp_alloc_live();
  kapell_value* value = tensor(KAPELL_FLOAT, DIMS(8));
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i)
    assert_int_equal(pthread_create(&threads[i], NULL, share_and_release, kp_value_retain(value)),
                     0);
  kp_value_release(value);
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  assert_int_equal(kp_alloc_live(), live);
}

// Builds, copies and compares one of everything; any step may run out of memory.
static kp_status* use_everything(void) {
  kapell_value *keys = NULL, *values = NULL, *map = NULL, *sequence = NULL, *optional = NULL,
               *copy = NULL;
  kp_status* status = NULL;
  const int64_t dims[] = {2, 1, 1, 1, 1, 1, 1, 1, 1};
  KP_GOTO(status, done, kp_value_create_tensor(KAPELL_STRING, dims, 1, &keys));
  KP_GOTO(status, done, kp_value_set_string(keys, 0, kp_str_of("a")));
  KP_GOTO(status, done, kp_value_create_tensor(KAPELL_FLOAT, dims, 9, &values));
  memset(values->data, 0, values->byte_count);
  KP_GOTO(status, done, kp_value_reshape(values, dims, 1));
  KP_GOTO(status, done, kp_value_create_map(keys, values, &map));
  KP_GOTO(status, done, kp_value_create_sequence(&sequence));
  KP_GOTO(status, done, kp_value_sequence_append(sequence, map));
  KP_GOTO(status, done, kp_value_create_optional(sequence, &optional));
  KP_GOTO(status, done, kp_value_clone(optional, &copy));
  assert_true(kp_value_equal(optional, copy));
  KP_GOTO(status, done, kp_value_share(copy, sequence));
  KP_GOTO(status, done, kp_value_resize_tensor(copy, NULL, KAPELL_FLOAT, dims, 9));
done:
  kp_value_release(keys);
  kp_value_release(values);
  kp_value_release(map);
  kp_value_release(sequence);
  kp_value_release(optional);
  kp_value_release(copy);
  return status;
}

static void test_out_of_memory(void** state) {
  (void)state;
  const int64_t live = kp_alloc_live();
  bool failed = true;
  for (uint64_t nth = 1; failed; ++nth) {
    kp_alloc_fail_at(nth);
    kp_status* status = use_everything();
    failed = kp_alloc_failed();
    assert_int_equal(kp_status_code(status), failed ? KAPELL_OUT_OF_MEMORY : KAPELL_OK);
    kp_status_free(status);
    assert_int_equal(kp_alloc_live(), live);
  }
  kp_alloc_fail_at(0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_check_dims),
      cmocka_unit_test(test_create),
      cmocka_unit_test(test_wrap),
      cmocka_unit_test(test_reset_allocates_nothing),
      cmocka_unit_test(test_reset_drops_what_was_held),
      cmocka_unit_test(test_resize_reuses_and_grows),
      cmocka_unit_test(test_shared_views),
      cmocka_unit_test(test_strings),
      cmocka_unit_test(test_sequence),
      cmocka_unit_test(test_map),
      cmocka_unit_test(test_optional),
      cmocka_unit_test(test_sparse),
      cmocka_unit_test(test_equality_of_packed),
      cmocka_unit_test(test_device),
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
