// Constant folding: what can be known before the first run is computed once. Two ways: contents that inference knows (shape
// arithmetic on static shapes) become constants as they are; nodes whose inputs are all constants are run.
#include "base/alloc.h"
#include "base/clock.h"
#include "base/size.h"
#include "base/types.h"
#include "graph/rewrite.h"
#include "graph/simplify.h"

#define DEFAULT_MAX_BYTES ((uint64_t)1 << 30)
#define DEFAULT_MAX_NS UINT64_C(10000000000)
#define UNKNOWN_SIZE_BYTES \
  ((size_t)1 << 20)  // inputs up to this size, where inference cannot say how large the result is

// Results much larger than what they come from (filled, expanded, outer sums) are kept up to here, each and all together: making them
// again is cheap where they are only filled, but whatever is computed from them would have to be made again too.
#define GROWN_MAX_BYTES ((uint64_t)32 << 20)
#define GROWN_MAX_SUM (4 * GROWN_MAX_BYTES)

typedef struct kp_fold {
  const kp_fold_options* options;
  uint64_t max_bytes, bytes;
  uint64_t grown_bytes;
  uint64_t deadline_ns;
  uint32_t folded;
  bool stopped;
} kp_fold;

// --- what inference knows ----------------------------------------------------------------------------------------------
static void store_element(kapell_type type, void* data, size_t index, int64_t element) {
  switch (type) {
    case KAPELL_INT64:
      ((int64_t*)data)[index] = element;
      return;
    case KAPELL_INT32:
      ((int32_t*)data)[index] = (int32_t)element;
      return;
    case KAPELL_FLOAT:
      ((float*)data)[index] = (float)element;
      return;
    default:
      ((uint8_t*)data)[index] = element != 0;
      return;
  }
}

static bool element_fits(kapell_type type, int64_t element) {
  switch (type) {
    case KAPELL_INT64:
      return true;
    case KAPELL_INT32:
      return element >= INT32_MIN && element <= INT32_MAX;
    case KAPELL_FLOAT:
      return element >= -(1 << 24) && element <= 1 << 24;
    case KAPELL_BOOL:
      return element == 0 || element == 1;
    default:
      return false;
  }
}

// Are type, shape and contents of |value| plain numbers?
static bool is_known(const kp_value* value) {
  const kp_type* type = &value->type;
  if (!value->data || type->kind != KAPELL_KIND_TENSOR || type->rank < 0 ||
      type->rank > KP_MAX_RANK)
    return false;
  size_t count = 1;
  for (int32_t i = 0; i < type->rank; ++i)
    if (kp_is_symbol(type->dims[i]) || !kp_mul_size(count, (size_t)type->dims[i], &count))
      return false;
  if (count != value->data_count) return false;
  for (size_t i = 0; i < count; ++i)
    if (kp_is_symbol(value->data[i]) || !element_fits(type->element, value->data[i])) return false;
  return true;
}

static bool all_outputs_known(const kp_graph* graph, const kp_node* node) {
  bool any = false;
  for (uint32_t i = 0; i < node->output_count; ++i) {
    const kp_value* value = kp_node_output(graph, node, i);
    if (!value || (value->use_count == 0 && value->output_refs == 0)) continue;
    if (!is_known(value)) return false;
    any = true;
  }
  return any;
}

static kp_status* known_value(const kp_value* value, kapell_value** out_constant) {
  KP_PASS(kp_value_create_tensor(value->type.element, value->type.dims, value->type.rank,
                                 out_constant));
  for (uint32_t i = 0; i < value->data_count; ++i)
    store_element(value->type.element, (*out_constant)->data, i, value->data[i]);
  return NULL;
}

static kp_status* fold_known(kp_graph* graph, kp_node_id id) {
  const kp_node node = graph->nodes[id];
  kp_graph_remove_node(graph, id);
  for (uint32_t i = 0; i < node.output_count; ++i) {
    const kp_value* value = kp_node_output(graph, &node, i);
    kapell_value* constant;
    if (!value || !is_known(value)) continue;
    KP_PASS(known_value(value, &constant));
    KP_PASS(kp_graph_set_constant(graph, node.outputs[i], constant));
  }
  return NULL;
}

// --- what can be run ---------------------------------------------------------------------------------------------------
static bool is_random(const kp_node* node) {
  static const char* const random[] = {"RandomNormal",      "RandomNormalLike", "RandomUniform",
                                       "RandomUniformLike", "Multinomial",      "Bernoulli",
                                       "Dropout",           "BitmaskDropout",   "BiasDropout"};
  for (size_t i = 0; i < sizeof random / sizeof random[0]; ++i)
    if (strcmp(node->op, random[i]) == 0) return true;
  return false;
}

// Quantized weights stay quantized: providers multiply them as they are.
static bool widens_weights(const kp_node* node) {
  return strcmp(node->op, "DequantizeLinear") == 0;
}

static bool inputs_are_constant(const kp_graph* graph, const kp_node* node, size_t* out_bytes) {
  *out_bytes = 0;
  uint32_t count = 0;
  for (uint32_t i = 0; i < node->input_count; ++i) {
    const kp_value* value = kp_node_input(graph, node, i);
    if (node->inputs[i] == KP_NONE) continue;
    if (!value->constant) return false;
    *out_bytes += value->constant->byte_count;
    ++count;
  }
  return count > 0;
}

// Bytes of the results as inference has them; false where it does not say.
static bool result_bytes(const kp_graph* graph, const kp_node* node, uint64_t* out_bytes) {
  *out_bytes = 0;
  for (uint32_t i = 0; i < node->output_count; ++i) {
    const kp_value* value = kp_node_output(graph, node, i);
    if (!value) continue;
    size_t count = 1, bytes;
    if (value->type.kind != KAPELL_KIND_TENSOR || value->type.rank < 0) return false;
    for (int32_t k = 0; k < value->type.rank; ++k)
      if (kp_is_symbol(value->type.dims[k]) ||
          !kp_mul_size(count, (size_t)value->type.dims[k], &count))
        return false;
    if (value->type.element == KAPELL_STRING) {
      if (!kp_mul_size(count, sizeof(kp_str), &bytes)) return false;
    } else if (!kp_type_bytes(value->type.element, count, &bytes)) {
      return false;
    }
    *out_bytes += bytes;
  }
  return true;
}

static bool may_run(kp_fold* fold, const kp_graph* graph, const kp_node* node) {
  size_t input_bytes;
  uint64_t bytes;
  if (!fold->options->evaluate || !node->schema || is_random(node) || widens_weights(node) ||
      kp_node_body_count(node) > 0)
    return false;
  if (!inputs_are_constant(graph, node, &input_bytes)) return false;
  if (!result_bytes(graph, node, &bytes)) return input_bytes <= UNKNOWN_SIZE_BYTES;
  const bool grows = bytes > UNKNOWN_SIZE_BYTES && bytes / 4 > input_bytes;
  if (grows && (bytes > GROWN_MAX_BYTES || fold->grown_bytes + bytes > GROWN_MAX_SUM)) return false;
  fold->grown_bytes += grows ? bytes : 0;
  if (bytes <= fold->max_bytes / 4 && bytes <= fold->max_bytes - fold->bytes &&
      kp_clock_ns() < fold->deadline_ns)
    return true;
  fold->stopped = true;
  return false;
}

static uint64_t bytes_of(kapell_value* const* values, uint32_t count) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < count; ++i) bytes += values[i] ? values[i]->byte_count : 0;
  return bytes;
}

// Runs node |id|; |inputs| and |outputs| have room. Results over budget are let go.
static kp_status* run_node(kp_fold* fold, kp_graph* graph, kp_node_id id, kapell_value** inputs,
                           kapell_value** outputs) {
  const kp_node node = graph->nodes[id];
  for (uint32_t i = 0; i < node.input_count; ++i)
    inputs[i] = node.inputs[i] == KP_NONE ? NULL : graph->values[node.inputs[i]].constant;
  kp_status* refused =
      fold->options->evaluate(fold->options->user, graph, &graph->nodes[id], inputs, outputs);
  const uint64_t bytes = bytes_of(outputs, node.output_count);
  bool fits = !refused && bytes <= fold->max_bytes / 4 && bytes <= fold->max_bytes - fold->bytes;
  fold->stopped |= !refused && !fits;
  for (uint32_t i = 0; i < node.output_count; ++i)
    fits = fits && (node.outputs[i] == KP_NONE || outputs[i]);
  kp_status_ignore(refused);
  if (fits) {
    fold->bytes += bytes;
    fold->folded++;
    kp_graph_remove_node(graph, id);
    for (uint32_t i = 0; i < node.input_count; ++i)
      if (node.inputs[i] != KP_NONE) kp_graph_release_unused(graph, node.inputs[i]);
  }
  kp_status* status = NULL;
  for (uint32_t i = 0; i < node.output_count; ++i) {
    if (fits && !status && node.outputs[i] != KP_NONE) {
      status = kp_graph_set_constant(graph, node.outputs[i], outputs[i]);
    } else {
      kp_value_release(outputs[i]);
    }
  }
  return status;
}

static kp_status* fold_by_running(kp_fold* fold, kp_graph* graph, kp_node_id id) {
  const kp_node* node = &graph->nodes[id];
  kapell_value** values =
      kp_alloc_zero((size_t)node->input_count + node->output_count, sizeof *values);
  if (!values) return KP_ERROR(OUT_OF_MEMORY, "folding '%s'", node->name);
  kp_status* status = run_node(fold, graph, id, values, values + node->input_count);
  kp_free(values);
  return status;
}

// Recursion is as deep as bodies nest.
static kp_status* fold_graph(kp_fold* fold, kp_graph* graph) {
  KP_PASS(kp_graph_order(graph));
  for (uint32_t i = 0; i < graph->order_count; ++i) {
    const kp_node_id id = graph->order[i];
    const kp_node* node = &graph->nodes[id];
    uint32_t shared = 0;
    if (all_outputs_known(graph, node)) {
      KP_PASS(fold_known(graph, id));
      fold->folded++;
    } else if (may_run(fold, graph, node)) {
      KP_PASS(fold_by_running(fold, graph, id));
    } else if (kp_node_body_count(node) > 0) {
      KP_PASS(kp_graph_share_constants(graph, id, &shared));
      for (uint32_t b = 0; b < kp_node_body_count(&graph->nodes[id]); ++b)
        KP_PASS(fold_graph(fold, kp_node_body(&graph->nodes[id], b)));
    }
  }
  return kp_graph_order(graph);
}

kp_status* kp_graph_fold(kp_graph* graph, const kp_fold_options* options, uint32_t* out_folded,
                         bool* out_stopped) {
  kp_fold fold = {.options = options,
                  .max_bytes = options->max_bytes ? options->max_bytes : DEFAULT_MAX_BYTES};
  const uint64_t now = kp_clock_ns(), span = options->max_ns ? options->max_ns : DEFAULT_MAX_NS;
  fold.deadline_ns = span > UINT64_MAX - now ? UINT64_MAX : now + span;
  kp_status* status = fold_graph(&fold, graph);
  *out_folded = fold.folded;
  *out_stopped = fold.stopped;
  if (status) return status;
  KP_PASS(kp_graph_prune(graph));
  return kp_graph_order(graph);
}
