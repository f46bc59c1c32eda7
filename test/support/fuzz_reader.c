// The oracles of the reader's fuzz targets: see fuzz_reader.h.
#include "support/fuzz_reader.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "onnx/reader.h"
#include "onnx/writer.h"
#include "support/onnx_equal.h"

static void require(bool condition) {
  if (!condition) abort();
}

static void read_data(kp_onnx_model* model, const kp_onnx_graph* graph) {
  for (size_t i = 0; i < graph->initializer_count; ++i) {
    const void* data;
    const kp_str* strings;
    size_t count;
    void* owned;
    kp_status_free(kp_onnx_tensor_bytes(model, &graph->initializers[i], &data, &count, &owned));
    kp_free(owned);
    kp_status_free(kp_onnx_tensor_strings(&graph->initializers[i], &strings, &count));
  }
  for (size_t i = 0; i < graph->sparse_count; ++i) {
    void* dense;
    size_t count;
    kp_status_free(
        kp_onnx_sparse_dense(model, &graph->sparse_initializers[i], 1 << 16, &dense, &count));
    kp_free(dense);
  }
}

static void check_round_trip(const kp_onnx_model* model) {
  void *bytes, *again;
  size_t size, again_size;
  kp_status* status = kp_onnx_write_bytes(model, &bytes, &size);
  require(status == NULL);
  kp_onnx_model* second;
  const kp_onnx_read_options options = {.borrow_bytes = true};
  status = kp_onnx_read_bytes(bytes, size, &options, &second);
  require(status == NULL && onnx_equal(&kp_onnx_model_message, model, second));
  status = kp_onnx_write_bytes(second, &again, &again_size);
  require(status == NULL && again_size == size && memcmp(bytes, again, size) == 0);
  kp_onnx_model_close(second);
  kp_free(bytes);
  kp_free(again);
}

static void check_failing_allocation(const uint8_t* data, size_t size) {
  const int64_t live = kp_alloc_live();
  const kp_onnx_read_options options = {.borrow_bytes = true};
  kp_onnx_model* model;
  kp_alloc_fail_at(1 + kp_hash_bytes(data, size, 1) % 24);
  kp_status* const status = kp_onnx_read_bytes(data, size, &options, &model);
  kp_alloc_fail_at(0);
  require((status == NULL) == (model != NULL));
  if (model) read_data(model, &model->graph);
  kp_status_free(status);
  kp_onnx_model_close(model);
  require(kp_alloc_live() == live);
}

void fuzz_reader(const uint8_t* data, size_t size) {
  kp_log_set_level(KAPELL_LOG_OFF);
  const kp_onnx_read_options options = {.borrow_bytes = true, .max_memory = 64 << 20};
  kp_onnx_model* model;
  kp_status* const status = kp_onnx_read_bytes(data, size, &options, &model);
  if (!status) {
    read_data(model, &model->graph);
    check_round_trip(model);
  }
  kp_status_free(status);
  kp_onnx_model_close(model);
  check_failing_allocation(data, size);
}
