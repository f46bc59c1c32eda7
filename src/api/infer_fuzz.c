// Fuzz target: what is inferred of every value before a run holds for what the run makes, for several sizes of the symbolic dimensions:
// kinds, element types, ranks, dimensions, and symbols that stand for one number each. What the file states of values, its inputs apart, is
// taken out before: it is believed where nothing is known, and may be wrong.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/str.h"
#include "onnx/reader.h"
#include "onnx/writer.h"
#include "support/fuzz_session.h"
#include "support/model_mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return kp_mutate_model(data, size, max_size, seed);
}

// Ends the program with words unless |real| is what was |inferred|.
static void expect(const char* what, int64_t inferred, int64_t real) {
  if (inferred == real) return;
  fprintf(stderr, "%s: inferred %lld, really %lld\n", what, (long long)inferred, (long long)real);
  abort();
}

// What the symbols met so far in this run stand for.
typedef struct sizes {
  const char* symbols[256];
  int64_t values[256];
  size_t count;
} sizes;

static void check_symbol(sizes* known, const char* symbol, int64_t value) {
  for (size_t i = 0; i < known->count; ++i) {
    if (strcmp(known->symbols[i], symbol) != 0) continue;
    expect(symbol, known->values[i], value);
    return;
  }
  if (known->count == sizeof known->values / sizeof *known->values) return;
  known->symbols[known->count] = symbol;
  known->values[known->count++] = value;
}

static void check_value(const kapell_type_info* type, const kapell_value* value, sizes* known) {
  if (!value || type->kind == KAPELL_KIND_NONE) return;
  const kapell_kind kind = kapell_value_kind(value);
  expect("kind", type->kind, kind);
  if (kind == KAPELL_KIND_TENSOR) {
    if (type->element) expect("element type", type->element, kapell_value_type(value));
    if (type->rank >= 0) expect("rank", type->rank, kapell_tensor_rank(value));
    for (int32_t d = 0; d < type->rank; ++d) {
      const int64_t dim = kapell_tensor_dims(value)[d];
      if (type->dims[d] >= 0) expect("dim", type->dims[d], dim);
      if (type->symbols[d]) check_symbol(known, type->symbols[d], dim);
    }
  } else if ((kind == KAPELL_KIND_SEQUENCE || kind == KAPELL_KIND_OPTIONAL) && type->inner) {
    sizes apart = {.count = 0};  // items of a sequence may differ where their type has a symbol
    for (size_t i = 0; i < kapell_value_item_count(value); ++i, apart.count = 0)
      check_value(type->inner, kapell_value_item(value, i), &apart);
  }
}

static void forget_types(const kp_onnx_value_info* infos, size_t count) {
  for (size_t i = 0; i < count; ++i)
    ((kp_onnx_value_info*)(uintptr_t)infos)[i].type = (kp_onnx_type){.kind = KP_ONNX_TYPE_NONE};
}

// The model is this target's own, and its nesting is bounded by the reader.
static void forget(const kp_onnx_graph* graph, bool is_body) {
  ((kp_onnx_graph*)(uintptr_t)graph)->value_info_count = 0;
  forget_types(graph->outputs, graph->output_count);
  if (is_body) forget_types(graph->inputs, graph->input_count);
  for (size_t n = 0; n < graph->node_count; ++n)
    for (size_t a = 0; a < graph->nodes[n].attr_count; ++a)
      if (graph->nodes[n].attrs[a].g) forget(graph->nodes[n].attrs[a].g, true);
}

// |data| without statements; *out_bytes is NULL where it is no model.
static void restate(const uint8_t* data, size_t size, void** out_bytes, size_t* out_count) {
  const kp_onnx_read_options options = {.borrow_bytes = true, .max_memory = (size_t)64 << 20};
  kp_onnx_model* model;
  *out_bytes = NULL;
  kp_status* status = kp_onnx_read_bytes(data, size, &options, &model);
  if (!status) {
    for (size_t f = 0; f < model->function_count; ++f)
      ((kp_onnx_function*)(uintptr_t)model->functions)[f].value_info_count = 0;
    forget(&model->graph, false);
    status = kp_onnx_write_bytes(model, out_bytes, out_count);
  }
  kp_status_free(status);
  kp_onnx_model_close(model);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kp_log_set_level(KAPELL_LOG_OFF);
  void* bytes;
  size_t byte_count;
  restate(data, size, &bytes, &byte_count);
  if (!bytes) return 0;
  kapell_options options = kp_fuzz_options(NULL, NULL);
  options.keep_values = true;
  kp_fuzz_run run;
  kp_fuzz_open(&run, bytes, byte_count, &options);
  for (unsigned seed = 0; run.session && seed < 3; ++seed) {
    kp_fuzz_again(&run, seed);
    sizes known = {.count = 0};
    for (size_t i = 0; !run.code && i < run.count; ++i)
      check_value(kapell_session_output(run.session, i)->type, run.outputs[i], &known);
  }
  kp_fuzz_close(&run);
  kp_free(bytes);
  return 0;
}
