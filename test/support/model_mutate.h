// Changes models by what they are made of, for fuzz targets: nodes, operators, attributes, shapes, types, contents. Random bytes seldom
// hit the inside of nested messages with their lengths; this does, and what comes out can be read.
#ifndef KP_TEST_SUPPORT_MODEL_MUTATE_H_
#define KP_TEST_SUPPORT_MODEL_MUTATE_H_

#include <stddef.h>
#include <stdint.h>

// A custom mutator of libFuzzer (LLVMFuzzerCustomMutator calls it): the model in the |size| bytes of |data|, which hold up to
// |max_size|, is changed in one to four places; what is no model, and every fourth input, is left to libFuzzer. The new size.
size_t kp_mutate_model(uint8_t* data, size_t size, size_t max_size, unsigned seed);

#endif  // KP_TEST_SUPPORT_MODEL_MUTATE_H_
