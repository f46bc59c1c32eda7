// Fuzzes the reader: support/fuzz_reader.h has what must hold.
#include "support/fuzz_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz_reader(data, size);
  return 0;
}
