// What must hold of any bytes that are read as a model, in whichever format. For fuzz targets.
#ifndef KP_TEST_SUPPORT_FUZZ_READER_H_
#define KP_TEST_SUPPORT_FUZZ_READER_H_

#include <stddef.h>
#include <stdint.h>

// Two oracles: what was read, written (as .onnx) and read again is the same and is written the same; and with an allocation that
// fails somewhere, reading ends in OUT_OF_MEMORY and leaks nothing. Aborts where one does not hold.
void fuzz_reader(const uint8_t* data, size_t size);

#endif  // KP_TEST_SUPPORT_FUZZ_READER_H_
