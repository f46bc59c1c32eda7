// Fuzz target: any bytes that the reader takes are built, simplified, inferred and copied without a fault; what comes out is in order. With
// an allocation that fails somewhere, nothing leaks.
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "graph/build.h"
#include "graph/infer.h"
#include "graph/rewrite.h"
#include "onnx/reader.h"
#include "support/model_mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return kp_mutate_model(data, size, max_size, seed);
}

static kp_status* use(kp_graph* graph) {
  uint32_t changes, folded;
  bool stopped;
  KP_PASS(kp_graph_expand_gradients(graph, 20000));
  KP_PASS(kp_graph_simplify(graph, &changes));
  KP_PASS(kp_graph_infer(graph));
  KP_PASS(kp_graph_fold(graph, &(kp_fold_options){0}, &folded, &stopped));
  KP_PASS(kp_graph_simplify(graph, &changes));
  const uint32_t count = graph->node_count;
  for (kp_node_id id = 0; id < count; ++id) {
    bool expanded;
    if (!graph->nodes[id].removed) KP_PASS(kp_graph_expand_function(graph, id, &expanded));
  }
  KP_PASS(kp_graph_order(graph));
  kp_graph* copy;
  kp_value_id *inputs, *outputs;
  KP_PASS(kp_graph_extract(graph, graph->order, graph->order_count, &copy, &inputs, &outputs));
  const bool same = copy->node_count == graph->order_count;
  kp_status* status = kp_graph_order(copy);
  kp_graph_free(copy);
  if (!same) abort();
  return status;
}

static void build(const uint8_t* data, size_t size) {
  const kp_onnx_read_options read = {.borrow_bytes = true, .max_memory = (size_t)64 << 20};
  const kp_build_options options = {.max_nodes = 20000};
  kp_onnx_model* source;
  kp_model* model = NULL;
  kp_status* status = kp_onnx_read_bytes(data, size, &read, &source);
  if (!status) status = kp_model_build(source, &options, &model);
  if (!status) status = use(model->graph);
  kp_status_free(status);
  kp_model_free(model);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kp_log_set_level(KAPELL_LOG_OFF);
  build(data, size);
  const int64_t live = kp_alloc_live();
  kp_alloc_fail_at(1 + kp_hash_bytes(data, size, 1) % 300);
  build(data, size);
  kp_alloc_fail_at(0);
  if (kp_alloc_live() != live) abort();
  return 0;
}
