// Fuzzes the reader of ONNX Runtime's own format: any bytes behind its identifier. support/fuzz_reader.h has what must hold.
#include <stdlib.h>
#include <string.h>

#include "onnx/ort_format.h"
#include "support/fuzz_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 9) return 0;
  uint8_t* const file = malloc(size);  // of its own, so that reading past its end is seen
  if (!file) return 0;
  memcpy(file, data, size);
  memcpy(file + 4, "ORTM", 4);
  if (!kp_onnx_is_ort_format(file, size)) abort();
  fuzz_reader(file, size);
  free(file);
  return 0;
}
