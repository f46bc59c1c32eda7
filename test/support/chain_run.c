#include "support/chain_run.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/model_text.h"

enum { MAX_SETTINGS = 16 };

kapell_status* kp_chain_open(kp_chain_run* run, const char* text, const char* providers,
                             const char* settings, const char* const* inputs,
                             const kapell_options* base) {
  *run = (kp_chain_run){0};
  kapell_options options = base ? *base : (kapell_options)KAPELL_OPTIONS_INIT;
  kapell_provider_option list[MAX_SETTINGS];
  char* copy = strdup(settings ? settings : "");
  if (!copy) abort();
  size_t count = 0;
  for (char *save = NULL, *word = strtok_r(copy, " ", &save); word && count < MAX_SETTINGS;
       word = strtok_r(NULL, " ", &save)) {
    char* equals = strchr(word, '=');
    if (equals) *equals = 0;
    list[count++] = (kapell_provider_option){word, equals ? equals + 1 : ""};
  }
  options.providers = providers;
  options.provider_options = list;
  options.provider_option_count = count;
  size_t byte_count;
  char* bytes = kp_test_model(text, 17, &byte_count);
  kapell_status* status = kapell_session_open(bytes, byte_count, &options, &run->session);
  free(bytes);
  free(copy);
  for (size_t i = 0; inputs && inputs[i]; ++i) run->inputs[i] = kp_test_value(inputs[i]);
  return status;
}

static void drop_outputs(kp_chain_run* run) {
  for (size_t i = 0; i < KP_TEST_OUTPUTS; ++i) {
    kapell_value_release(run->outputs[i]);
    run->outputs[i] = NULL;
  }
}

kapell_status* kp_chain_again(kp_chain_run* run, const kapell_run_options* given) {
  kapell_run_options options = given ? *given : (kapell_run_options)KAPELL_RUN_OPTIONS_INIT;
  run->counters = (kapell_counters){.struct_size = sizeof run->counters};
  options.counters = &run->counters;
  drop_outputs(run);
  return kapell_session_run(run->session, &options, NULL, run->inputs,
                            kapell_session_input_count(run->session), NULL, run->outputs,
                            kapell_session_output_count(run->session));
}

void kp_chain_close(kp_chain_run* run) {
  drop_outputs(run);
  for (size_t i = 0; i < KP_TEST_OUTPUTS; ++i) kapell_value_release(run->inputs[i]);
  kapell_session_close(run->session);
  *run = (kp_chain_run){0};
}

// --- comparing ----------------------------------------------------------------------------------------------------------------------
static const char* compare_tensors(const kapell_value* a, const kapell_value* b) {
  static char words[160];
  if (kapell_tensor_rank(a) != kapell_tensor_rank(b) ||
      kapell_value_type(a) != kapell_value_type(b))
    return "another type or rank";
  for (int32_t d = 0; d < kapell_tensor_rank(a); ++d)
    if (kapell_tensor_dims(a)[d] != kapell_tensor_dims(b)[d]) return "another shape";
  double largest = 0;
  for (size_t i = 0; i < kapell_tensor_count(b); ++i)
    largest = fmax(largest, fabs(kapell_tensor_get_double(b, i)));
  for (size_t i = 0; i < kapell_tensor_count(b); ++i) {
    const double x = kapell_tensor_get_double(a, i), y = kapell_tensor_get_double(b, i);
    if (fabs(x - y) <= 1e-5 * largest) continue;
    snprintf(words, sizeof words, "element %zu is %g instead of %g", i, x, y);
    return words;
  }
  return NULL;
}

static const char* compare(const kapell_value* a, const kapell_value* b) {
  if (kapell_value_kind(a) != kapell_value_kind(b)) return "another kind of value";
  if (kapell_value_kind(a) == KAPELL_KIND_TENSOR) {
    if (kapell_value_type(a) != KAPELL_STRING) return compare_tensors(a, b);
    return kp_value_equal(a, b) ? NULL : "other strings";
  }
  if (kapell_value_item_count(a) != kapell_value_item_count(b)) return "another number of elements";
  for (size_t i = 0; i < kapell_value_item_count(a); ++i) {
    const char* words = compare(kapell_value_item(a, i), kapell_value_item(b, i));
    if (words) return words;
  }
  return NULL;
}

const char* kp_chain_compare(const kp_chain_run* run, const kp_chain_run* wanted) {
  for (size_t i = 0; i < KP_TEST_OUTPUTS; ++i) {
    if (!run->outputs[i] != !wanted->outputs[i]) return "an output is missing";
    const char* words = run->outputs[i] ? compare(run->outputs[i], wanted->outputs[i]) : NULL;
    if (words) return words;
  }
  return NULL;
}

// --- logs ----------------------------------------------------------------------------------------------------
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_text[16384];

static void keep_log(void* user, kapell_log_level level, const char* message) {
  (void)user;
  if (level < KAPELL_LOG_WARNING) return;
  pthread_mutex_lock(&log_lock);
  const size_t length = strlen(log_text);
  snprintf(log_text + length, sizeof log_text - length, "%s\n", message);
  pthread_mutex_unlock(&log_lock);
}

void kp_test_log_begin(void) {
  log_text[0] = 0;
  kapell_log_set_callback(keep_log, NULL);
}

const char* kp_test_log_end(void) {
  kapell_log_set_callback(NULL, NULL);
  return log_text;
}
