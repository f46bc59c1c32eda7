// Fuzzes the reader of values: the first byte chooses the kind. Oracle: what was read and written reads back equal; a failing
// allocation leaks nothing.
#include "onnx/data.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

static void require(bool condition) {
  if (!condition) abort();
}

static void check_round_trip(const kapell_value* value) {
  void* bytes;
  size_t size;
  kapell_value* again;
  require(kp_onnx_write_value(value, "v", &bytes, &size) == NULL);
  require(kp_onnx_read_value(value->kind, bytes, size, &again) == NULL);
  require(kp_value_equal(value, again));
  kp_value_release(again);
  kp_free(bytes);
}

static void check_failing_allocation(kapell_kind kind, const uint8_t* data, size_t size) {
  const int64_t live = kp_alloc_live();
  kapell_value* value;
  kp_alloc_fail_at(1 + kp_hash_bytes(data, size, 1) % 24);
  kp_status* const status = kp_onnx_read_value(kind, data, size, &value);
  kp_alloc_fail_at(0);
  require((status == NULL) == (value != NULL));
  kp_status_free(status);
  kp_value_release(value);
  require(kp_alloc_live() == live);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kp_log_set_level(KAPELL_LOG_OFF);
  if (size == 0) return 0;
  const kapell_kind kind = (kapell_kind)(KAPELL_KIND_TENSOR + data[0] % 5);
  kapell_value* value;
  kp_status* const status = kp_onnx_read_value(kind, data + 1, size - 1, &value);
  if (!status) check_round_trip(value);
  kp_status_free(status);
  kp_value_release(value);
  check_failing_allocation(kind, data + 1, size - 1);
  return 0;
}
