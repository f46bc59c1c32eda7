// Runs backend cases (folders as the onnx package lays them out) through kapell.h, where no Python is: under sanitizers, under an
// emulator. case_run [--mask M] [--threads N] FOLDER...
//
// A folder has model.onnx, test_data_set_N/input_I.pb and output_I.pb, and optionally `tolerance`, a file of two numbers: relative and
// absolute. Prints "ok FOLDER" or "bad FOLDER: what" for each; exit status 1 if any is bad.
#include "kapell/kapell.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "onnx/data.h"

#define MAX_VALUES 64

typedef struct tolerance {
  double relative, absolute;
} tolerance;

typedef struct value_list {
  kapell_value* items[MAX_VALUES];
  size_t count;
} value_list;

static void clear(value_list* list) {
  for (size_t i = 0; i < list->count; ++i) kapell_value_release(list->items[i]);
  list->count = 0;
}

// --- reading -----------------------------------------------------------------------------------------------------------------
static bool exists(const char* path) {
  FILE* file = fopen(path, "rb");
  if (file) fclose(file);
  return file != NULL;
}

static kp_status* read_value(const char* path, kapell_kind kind, kapell_value** out_value) {
  kp_file* file;
  KP_PASS(kp_file_map(path, &file));
  kp_status* status = kp_onnx_read_value(kind, file->data, file->size, out_value);
  kp_file_release(file);
  return status;
}

// |what| is "input" or "output": as many files as there are, at most as many as the session has.
static kp_status* read_all(const char* folder, int set, const char* what, kapell_session* session,
                           value_list* out) {
  const bool input = strcmp(what, "input") == 0;
  const size_t most =
      input ? kapell_session_input_count(session) : kapell_session_output_count(session);
  for (size_t i = 0; i < most && i < MAX_VALUES; ++i) {
    char path[4096];
    snprintf(path, sizeof path, "%s/test_data_set_%d/%s_%zu.pb", folder, set, what, i);
    if (!exists(path)) break;
    const kapell_io_info* info =
        input ? kapell_session_input(session, i) : kapell_session_output(session, i);
    KP_TRY(read_value(path, info->type->kind, &out->items[i]), "reading '%s'", path);
    ++out->count;
  }
  return NULL;
}

// --- comparing -----------------------------------------------------------------------------------------------------------------
static kp_status* compare(const kapell_value* got, const kapell_value* want, tolerance t);

static kp_status* compare_numbers(const kapell_value* got, const kapell_value* want, tolerance t) {
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

static kp_status* compare_tensors(const kapell_value* got, const kapell_value* want, tolerance t) {
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

static kp_status* compare(const kapell_value* got, const kapell_value* want, tolerance t) {
  if (kapell_value_kind(got) != kapell_value_kind(want))
    return KP_ERROR(INTERNAL, "values of different kinds");
  if (kapell_value_kind(want) == KAPELL_KIND_TENSOR) return compare_tensors(got, want, t);
  if (kapell_value_item_count(got) != kapell_value_item_count(want))
    return KP_ERROR(INTERNAL, "%zu items, not %zu", kapell_value_item_count(got),
                    kapell_value_item_count(want));
  for (size_t i = 0; i < kapell_value_item_count(want); ++i)
    KP_TRY(compare(kapell_value_item(got, i), kapell_value_item(want, i), t), "item %zu", i);
  return NULL;
}

// --- running -------------------------------------------------------------------------------------------------------------------
static kp_status* run_session(kapell_session* session, const value_list* inputs, value_list* out) {
  const char *in_names[MAX_VALUES], *out_names[MAX_VALUES];
  for (size_t i = 0; i < inputs->count; ++i) in_names[i] = kapell_session_input(session, i)->name;
  for (size_t i = 0; i < out->count; ++i) out_names[i] = kapell_session_output(session, i)->name;
  return kapell_session_run(session, NULL, in_names, (kapell_value* const*)inputs->items,
                            inputs->count, out_names, out->items, out->count);
}

static kp_status* compare_output(size_t index, const kapell_value* got, const kapell_value* want,
                                 tolerance t) {
  KP_TRY(compare(got, want, t), "output %zu", index);
  return NULL;
}

static kp_status* run_set(const char* folder, int set, kapell_session* session, tolerance t) {
  value_list inputs = {.count = 0}, wanted = {.count = 0}, got = {.count = 0};
  kp_status* status = read_all(folder, set, "input", session, &inputs);
  if (!status) status = read_all(folder, set, "output", session, &wanted);
  if (!status) {
    got.count = wanted.count;
    memset(got.items, 0, sizeof got.items);
    status = run_session(session, &inputs, &got);
    if (status) got.count = 0;
  }
  for (size_t i = 0; i < got.count && !status; ++i)
    status = compare_output(i, got.items[i], wanted.items[i], t);
  clear(&inputs);
  clear(&wanted);
  clear(&got);
  return status;
}

static tolerance read_tolerance(const char* folder) {
  tolerance t = {1e-3, 1e-7};
  char path[4096];
  snprintf(path, sizeof path, "%s/tolerance", folder);
  FILE* file = fopen(path, "r");
  if (!file) return t;
  if (fscanf(file, "%lf %lf", &t.relative, &t.absolute) != 2) t = (tolerance){0, 0};
  fclose(file);
  return t;
}

static kp_status* run_case(const char* folder, const kapell_options* options) {
  char path[4096];
  snprintf(path, sizeof path, "%s/model.onnx", folder);
  kapell_session* session;
  KP_PASS(kapell_session_open_file(path, options, &session));
  const tolerance t = read_tolerance(folder);
  kp_status* status = NULL;
  for (int set = 0; !status; ++set) {
    snprintf(path, sizeof path, "%s/test_data_set_%d/output_0.pb", folder, set);
    if (!exists(path)) {
      if (set == 0) status = KP_ERROR(NOT_FOUND, "no data: '%s'", path);
      break;
    }
    status = run_set(folder, set, session, t);
  }
  kapell_session_close(session);
  return status;
}

int main(int argc, char** argv) {
  kapell_options options = KAPELL_OPTIONS_INIT;
  int bad = 0, at = 1;
  for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
    if (strcmp(argv[at], "--mask") == 0) options.cpu_mask = argv[at + 1];
    if (strcmp(argv[at], "--threads") == 0) options.threads = atoi(argv[at + 1]);
  }
  for (; at < argc; ++at) {
    kp_status* status = run_case(argv[at], &options);
    if (!status) {
      printf("ok %s\n", argv[at]);
    } else {
      printf("bad %s: ", argv[at]);
      for (const char* c = kapell_status_text(status); *c; ++c) putchar(*c == '\n' ? ' ' : *c);
      printf("\n");
      kapell_status_free(status);
      bad = 1;
    }
    fflush(stdout);
  }
  return bad;
}
