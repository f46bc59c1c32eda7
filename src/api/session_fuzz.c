// Fuzz target: any bytes are opened as a whole session, untrusted and with narrow limits, and run twice on zeros. A model that runs
// gives the same bits both times, and a session without folding and fusions agrees on whether it runs and on the outputs' shapes.
#include <stdlib.h>
#include <string.h>

#include "kapell/kapell.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

#define MAX_VALUES 16
#define MIB ((size_t)1 << 20)

typedef struct outcome {
  kapell_code code;
  kapell_value* outputs[MAX_VALUES];
  size_t count;
} outcome;

static kapell_code finish(kapell_status* status) {
  const kapell_code code = kapell_status_code(status);
  if (code == KAPELL_INTERNAL || (status && !kapell_status_message(status)[0])) abort();
  kapell_status_free(status);
  return code;
}

// Zeros by the declared type; NULL where none can be made, or it would be large.
static kapell_value* zeros(const kapell_type_info* type) {
  int64_t dims[32];
  kapell_value* value = NULL;
  if (type->kind == KAPELL_KIND_SEQUENCE) {
    (void)finish(kapell_sequence_create(NULL, 0, &value));
    return value;
  }
  if (type->kind != KAPELL_KIND_TENSOR || type->rank > 32) return NULL;
  double elements = 1;
  for (int32_t d = 0; d < type->rank; ++d) {
    dims[d] = type->dims[d] < 0 ? 2 : type->dims[d];
    elements *= (double)dims[d];
  }
  if (elements > 1e6) return NULL;
  if (finish(kapell_tensor_create(type->element, dims, type->rank < 0 ? 0 : type->rank, &value)))
    return NULL;
  if (type->element != KAPELL_STRING && kapell_tensor_byte_count(value))
    memset(kapell_tensor_data(value), 0, kapell_tensor_byte_count(value));
  return value;
}

static void run(kapell_session* session, outcome* out) {
  kapell_value* inputs[MAX_VALUES] = {0};
  const size_t count = kapell_session_input_count(session);
  bool fine = count <= MAX_VALUES && out->count <= MAX_VALUES;
  for (size_t i = 0; fine && i < count; ++i) {
    inputs[i] = zeros(kapell_session_input(session, i)->type);
    fine = inputs[i] != NULL;
  }
  out->code = fine ? finish(kapell_session_run(session, NULL, NULL, inputs, count, NULL,
                                               out->outputs, out->count))
                   : KAPELL_LIMIT;
  for (size_t i = 0; i < count && i < MAX_VALUES; ++i) kapell_value_release(inputs[i]);
}

static kapell_session* open_session(const uint8_t* data, size_t size, bool plain) {
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.untrusted = true;
  options.borrow_bytes = true;
  options.threads = 1;
  options.max_memory = 64 * MIB;
  options.max_nodes = 5000;
  options.max_iterations = 500;
  options.fold_bytes = 4 * MIB;
  options.run_timeout_ns = options.open_timeout_ns = UINT64_C(1000000000);
  options.no_optimize = plain;
  kapell_session* session = NULL;
  (void)finish(kapell_session_open(data, size, &options, &session));
  return session;
}

static bool is_tensor(const kapell_value* value) {
  return value && kapell_value_kind(value) == KAPELL_KIND_TENSOR;
}

static bool same_shape(const kapell_value* a, const kapell_value* b) {
  if (!is_tensor(a) || !is_tensor(b)) return true;
  const int32_t rank = kapell_tensor_rank(a);
  return kapell_value_type(a) == kapell_value_type(b) && rank == kapell_tensor_rank(b) &&
         (!rank || memcmp(kapell_tensor_dims(a), kapell_tensor_dims(b),
                          (size_t)rank * sizeof(int64_t)) == 0);
}

static bool same_bits(const kapell_value* a, const kapell_value* b) {
  return !is_tensor(a) || kapell_value_type(a) == KAPELL_STRING || !kapell_tensor_byte_count(a) ||
         memcmp(kapell_tensor_const_data(a), kapell_tensor_const_data(b),
                kapell_tensor_byte_count(a)) == 0;
}

static void release(outcome* out) {
  for (size_t i = 0; i < MAX_VALUES; ++i) kapell_value_release(out->outputs[i]);
}

// Nodes that draw numbers give others in every run.
static bool is_random(const kapell_session* session) {
  const kapell_placement* placement = kapell_session_placement(session);
  for (size_t i = 0; i < placement->node_count; ++i) {
    const char* op = placement->nodes[i].op;
    if (strstr(op, "Random") || strstr(op, "Dropout") || strstr(op, "Bernoulli") ||
        strstr(op, "Multinomial"))
      return true;
  }
  return false;
}

static void use(kapell_session* session, outcome* first) {
  outcome again = {.count = first->count};
  run(session, first);
  run(session, &again);
  const bool both = first->code == KAPELL_OK && again.code == KAPELL_OK;
  for (size_t i = 0; both && i < first->count && !is_random(session); ++i)
    if (!same_shape(first->outputs[i], again.outputs[i]) ||
        !same_bits(first->outputs[i], again.outputs[i]))
      abort();
  release(&again);
  kapell_memory_estimate estimate = {.struct_size = sizeof(estimate)};
  (void)finish(kapell_session_estimate_memory(session, NULL, 0, &estimate));
}

static void ignore(void* user, kapell_log_level level, const char* message) {
  (void)user, (void)level, (void)message;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kapell_log_set_callback(ignore, NULL);
  kapell_session* session = open_session(data, size, false);
  if (!session) return 0;
  outcome fused = {.count = kapell_session_output_count(session)};
  use(session, &fused);
  kapell_session* plain = open_session(data, size, true);
  if (plain) {
    outcome bare = {.count = kapell_session_output_count(plain)};
    run(plain, &bare);
    for (size_t i = 0; fused.code == KAPELL_OK && bare.code == KAPELL_OK && i < fused.count; ++i)
      if (!same_shape(fused.outputs[i], bare.outputs[i])) abort();
    release(&bare);
  }
  release(&fused);
  kapell_session_close(plain);
  kapell_session_close(session);
  return 0;
}
