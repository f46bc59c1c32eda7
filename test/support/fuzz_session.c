// Neighbours: fuzz_session.h says what this is; src/api/session_fuzz.c and infer_fuzz.c use it.
#include "support/fuzz_session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define MIB ((size_t)1 << 20)
#define MAX_INPUTS 16

kapell_code kp_fuzz_finish(kapell_status* status) {
  const kapell_code code = kapell_status_code(status);
  if (code == KAPELL_INTERNAL || (status && !kapell_status_message(status)[0])) {
    fprintf(stderr, "%s\n", kapell_status_text(status));
    abort();
  }
  kapell_status_free(status);
  return code;
}

kapell_options kp_fuzz_options(const char* providers, const kapell_provider_option* settings) {
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.providers = providers;
  options.provider_options = settings;
  while (settings && settings[options.provider_option_count].key) ++options.provider_option_count;
  options.untrusted = true;
  options.borrow_bytes = true;
  options.threads = 1;
  options.max_memory = 64 * MIB;
  options.max_nodes = 5000;
  options.max_iterations = 500;
  options.fold_bytes = 4 * MIB;
  options.run_timeout_ns = options.open_timeout_ns = UINT64_C(1000000000);
  return options;
}

void kp_fuzz_open(kp_fuzz_run* run, const void* bytes, size_t size, const kapell_options* options) {
  *run = (kp_fuzz_run){0};
  run->code = kp_fuzz_finish(kapell_session_open(bytes, size, options, &run->session));
  if ((run->code == KAPELL_OK) != (run->session != NULL)) abort();
  if (run->session) run->count = kapell_session_output_count(run->session);
}

static void fill(kapell_value* value, uint64_t hash) {
  const kapell_type type = kapell_value_type(value);
  static const char* const texts[] = {"", "a", "b c", "\xc3\xa4"};
  for (size_t i = 0; i < kapell_tensor_count(value); ++i) {
    hash = kp_hash_bytes(&hash, sizeof hash, i);
    const char* const text = texts[hash % 4];
    if (type == KAPELL_STRING) {
      (void)kp_fuzz_finish(kapell_tensor_set_string(value, i, text, strlen(text)));
    } else {
      kapell_tensor_set_double(value, i,
                               type == KAPELL_BOOL ? (double)(hash & 1) : (double)(hash % 5) - 1);
    }
  }
}

static int64_t size_of(const char* symbol, unsigned seed) {
  return symbol ? (int64_t)(1 + kp_hash_bytes(symbol, strlen(symbol), seed) % 3) : 2;
}

static kapell_value* make_input(const kapell_type_info* type, unsigned seed, size_t index) {
  int64_t dims[32];
  kapell_value* value = NULL;
  if (type->kind == KAPELL_KIND_SEQUENCE) {
    (void)kp_fuzz_finish(kapell_sequence_create(NULL, 0, &value));
    return value;
  }
  if (type->kind != KAPELL_KIND_TENSOR || type->rank > 32) return NULL;
  double elements = 1;
  for (int32_t d = 0; d < type->rank; ++d) {
    dims[d] = type->dims[d] < 0 ? size_of(type->symbols[d], seed) : type->dims[d];
    elements *= (double)dims[d];
  }
  if (elements > 1e5) return NULL;
  const int32_t rank = type->rank < 0 ? (int32_t)(seed % 3) : type->rank;
  for (int32_t d = 0; type->rank < 0 && d < rank; ++d) dims[d] = 2;
  if (kp_fuzz_finish(kapell_tensor_create(type->element, dims, rank, &value))) return NULL;
  fill(value, seed + 77 * index);
  return value;
}

void kp_fuzz_again(kp_fuzz_run* run, unsigned seed) {
  kapell_value* inputs[MAX_INPUTS] = {0};
  kp_fuzz_drop(run);
  // Initializers that a run may replace keep their values: those would be packed otherwise.
  const size_t count =
      kapell_session_input_count(run->session) - kapell_session_overridable_count(run->session);
  bool fine = count <= MAX_INPUTS && run->count <= KP_FUZZ_VALUES;
  for (size_t i = 0; fine && i < count; ++i) {
    inputs[i] = make_input(kapell_session_input(run->session, i)->type, seed, i);
    fine = inputs[i] != NULL;
  }
  run->code = fine ? kp_fuzz_finish(kapell_session_run(run->session, NULL, NULL, inputs, count,
                                                       NULL, run->outputs, run->count))
                   : KAPELL_LIMIT;
  for (size_t i = 0; i < count && i < MAX_INPUTS; ++i) kapell_value_release(inputs[i]);
}

void kp_fuzz_drop(kp_fuzz_run* run) {
  for (size_t i = 0; i < KP_FUZZ_VALUES; ++i) {
    kapell_value_release(run->outputs[i]);
    run->outputs[i] = NULL;
  }
}

void kp_fuzz_close(kp_fuzz_run* run) {
  kp_fuzz_drop(run);
  kapell_session_close(run->session);
  *run = (kp_fuzz_run){0};
}

// --- comparing -------------------------------------------------------------------------------------------------------------------
static bool is_tensor(const kapell_value* value) {
  return value && kapell_value_kind(value) == KAPELL_KIND_TENSOR;
}

bool kp_fuzz_same_shape(const kapell_value* a, const kapell_value* b) {
  if (!a || !b) return a == b;
  if (kapell_value_kind(a) != kapell_value_kind(b) || kapell_value_type(a) != kapell_value_type(b))
    return false;
  if (is_tensor(a)) {
    const int32_t rank = kapell_tensor_rank(a);
    return rank == kapell_tensor_rank(b) &&
           (!rank || memcmp(kapell_tensor_dims(a), kapell_tensor_dims(b),
                            (size_t)rank * sizeof(int64_t)) == 0);
  }
  const size_t count = kapell_value_item_count(a);
  if (count != kapell_value_item_count(b)) return false;
  for (size_t i = 0; i < count; ++i)
    if (!kp_fuzz_same_shape(kapell_value_item(a, i), kapell_value_item(b, i))) return false;
  return true;
}

static bool same_element(const kapell_value* a, const kapell_value* b, size_t i) {
  if (kapell_value_type(a) == KAPELL_STRING) {
    size_t x, y;
    const char *s = kapell_tensor_string(a, i, &x), *t = kapell_tensor_string(b, i, &y);
    return x == y && memcmp(s, t, x) == 0;
  }
  const double x = kapell_tensor_get_double(a, i), y = kapell_tensor_get_double(b, i);
  return x == y || (isnan(x) && isnan(y));
}

bool kp_fuzz_same(const kapell_value* a, const kapell_value* b) {
  if (!kp_fuzz_same_shape(a, b)) return false;
  if (!is_tensor(a)) {
    for (size_t i = 0; a && i < kapell_value_item_count(a); ++i)
      if (!kp_fuzz_same(kapell_value_item(a, i), kapell_value_item(b, i))) return false;
    return true;
  }
  for (size_t i = 0; i < kapell_tensor_count(a); ++i)
    if (!same_element(a, b, i)) return false;
  return true;
}

static bool has_numbers(const kapell_value* value) {
  return is_tensor(value) && kapell_value_type(value) != KAPELL_STRING;
}

bool kp_fuzz_near(const kapell_value* a, const kapell_value* b, double tolerance) {
  if (!has_numbers(a) || !has_numbers(b)) return true;
  for (size_t i = 0; i < kapell_tensor_count(a); ++i) {
    const double x = kapell_tensor_get_double(a, i), y = kapell_tensor_get_double(b, i);
    if (isfinite(x) && isfinite(y) && !(fabs(x - y) <= tolerance)) return false;
  }
  return true;
}

double kp_fuzz_largest(const kapell_value* value) {
  double largest = 0;
  for (size_t i = 0; has_numbers(value) && i < kapell_tensor_count(value); ++i) {
    const double x = fabs(kapell_tensor_get_double(value, i));
    if (isfinite(x) && x > largest) largest = x;
  }
  return largest;
}

bool kp_fuzz_has(const kapell_session* session, const char* const* words) {
  const kapell_placement* const placement = kapell_session_placement(session);
  for (size_t i = 0; i < placement->node_count; ++i)
    for (size_t w = 0; words[w]; ++w)
      if (strstr(placement->nodes[i].op, words[w])) return true;
  return false;
}
