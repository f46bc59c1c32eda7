// Reading and comparing what a folder of a backend case holds.
#include "support/backend_case.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "onnx/data.h"

bool kp_case_exists(const char* path) {
  FILE* file = fopen(path, "rb");
  if (file) fclose(file);
  return file != NULL;
}

kp_status* kp_case_read_value(const char* path, kapell_kind kind, kapell_value** out_value) {
  kp_file* file;
  KP_PASS(kp_file_map(path, &file));
  kp_status* status = kp_onnx_read_value(kind, file->data, file->size, out_value);
  kp_file_release(file);
  return status;
}

kp_case_tolerance kp_case_read_tolerance(const char* folder) {
  kp_case_tolerance t = {1e-3, 1e-7};
  char path[4096];
  snprintf(path, sizeof path, "%s/tolerance", folder);
  FILE* file = fopen(path, "r");
  if (!file) return t;
  if (fscanf(file, "%lf %lf", &t.relative, &t.absolute) != 2) t = (kp_case_tolerance){0, 0};
  fclose(file);
  return t;
}

void kp_case_say_bad(const char* folder, const char* what) {
  printf("bad %s: ", folder);
  for (const char* c = what; *c; ++c) putchar(*c == '\n' ? ' ' : *c);
  printf("\n");
}

// --- comparing -----------------------------------------------------------------------------------------------------------------
static kp_status* compare_numbers(const kapell_value* got, const kapell_value* want,
                                  kp_case_tolerance t) {
  const kapell_type type = kapell_value_type(want);
  const bool is_complex = type == KAPELL_COMPLEX64 || type == KAPELL_COMPLEX128;
  const size_t count = kapell_tensor_count(want) * (is_complex ? 2 : 1);
  const void *a = kapell_tensor_const_data(got), *b = kapell_tensor_const_data(want);
  // two steps of bfloat16, as the package's own comparison allows
  const double relative = type == KAPELL_BFLOAT16 ? fmax(t.relative, 0x1p-6) : t.relative;
  for (size_t i = 0; i < count; ++i) {
    double x, y;
    if (type == KAPELL_COMPLEX64) {
      x = (double)((const float*)a)[i], y = (double)((const float*)b)[i];
    } else if (type == KAPELL_COMPLEX128) {
      x = ((const double*)a)[i], y = ((const double*)b)[i];
    } else {
      x = kapell_tensor_get_double(got, i), y = kapell_tensor_get_double(want, i);
    }
    if ((isnan(x) && isnan(y)) || x == y) continue;
    if (!(fabs(x - y) <= t.absolute + relative * fabs(y)) || isinf(y))
      return KP_ERROR(INTERNAL, "element %zu of %zu is %.9g, not %.9g", i, count, x, y);
  }
  return NULL;
}

static kp_status* compare_strings(const kapell_value* got, const kapell_value* want) {
  for (size_t i = 0; i < kapell_tensor_count(want); ++i) {
    size_t a_length, b_length;
    const char* a = kapell_tensor_string(got, i, &a_length);
    const char* b = kapell_tensor_string(want, i, &b_length);
    if (a_length != b_length || memcmp(a, b, a_length) != 0)
      return KP_ERROR(INTERNAL, "element %zu is '%s', not '%s'", i, a, b);
  }
  return NULL;
}

static kp_status* compare_tensors(const kapell_value* got, const kapell_value* want,
                                  kp_case_tolerance t) {
  if (kapell_value_type(got) != kapell_value_type(want))
    return KP_ERROR(INTERNAL, "%s, not %s", kapell_type_name(kapell_value_type(got)),
                    kapell_type_name(kapell_value_type(want)));
  const int32_t rank = kapell_tensor_rank(want);
  if (kapell_tensor_rank(got) != rank)
    return KP_ERROR(INTERNAL, "rank %d, not %d", (int)kapell_tensor_rank(got), (int)rank);
  for (int32_t d = 0; d < rank; ++d) {
    const long long a = kapell_tensor_dims(got)[d], b = kapell_tensor_dims(want)[d];
    if (a != b) return KP_ERROR(INTERNAL, "dimension %d is %lld, not %lld", (int)d, a, b);
  }
  return kapell_value_type(want) == KAPELL_STRING ? compare_strings(got, want)
                                                  : compare_numbers(got, want, t);
}

kp_status* kp_case_compare(const kapell_value* got, const kapell_value* want, kp_case_tolerance t) {
  if (kapell_value_kind(got) != kapell_value_kind(want))
    return KP_ERROR(INTERNAL, "values of different kinds");
  if (kapell_value_kind(want) == KAPELL_KIND_TENSOR) return compare_tensors(got, want, t);
  if (kapell_value_item_count(got) != kapell_value_item_count(want))
    return KP_ERROR(INTERNAL, "%zu items, not %zu", kapell_value_item_count(got),
                    kapell_value_item_count(want));
  for (size_t i = 0; i < kapell_value_item_count(want); ++i)
    KP_TRY(kp_case_compare(kapell_value_item(got, i), kapell_value_item(want, i), t), "item %zu",
           i);
  return NULL;
}
