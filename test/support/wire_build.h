// Writes protobuf messages field by field, right or wrong on purpose, for tests of readers. Memory failures end the test.
#ifndef KP_TEST_SUPPORT_WIRE_BUILD_H_
#define KP_TEST_SUPPORT_WIRE_BUILD_H_

#include <stdint.h>
#include <stdlib.h>

#include "base/str.h"

static inline void wb_raw(kp_strbuf* out, uint64_t value) {
  do {
    const char byte = (char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    kp_strbuf_append(out, &byte, 1);
    value >>= 7;
  } while (value);
  if (out->failed) abort();
}

static inline void wb_varint(kp_strbuf* out, unsigned field, uint64_t value) {
  wb_raw(out, (uint64_t)field << 3);
  wb_raw(out, value);
}

static inline void wb_bytes(kp_strbuf* out, unsigned field, const void* data, size_t size) {
  wb_raw(out, (uint64_t)field << 3 | 2);
  wb_raw(out, size);
  if (size) kp_strbuf_append(out, data, size);
}

static inline void wb_text(kp_strbuf* out, unsigned field, const char* text) {
  wb_bytes(out, field, text, strlen(text));
}

static inline void wb_f32(kp_strbuf* out, unsigned field, float value) {
  wb_raw(out, (uint64_t)field << 3 | 5);
  kp_strbuf_append(out, (const char*)&value, sizeof value);
}

static inline void wb_f64(kp_strbuf* out, unsigned field, double value) {
  wb_raw(out, (uint64_t)field << 3 | 1);
  kp_strbuf_append(out, (const char*)&value, sizeof value);
}

// Adds |part| as a submessage and frees it.
static inline void wb_part(kp_strbuf* out, unsigned field, kp_strbuf* part) {
  wb_bytes(out, field, part->data, part->length);
  kp_strbuf_free(part);
}

// A model of IR version 8 with opset 17 and the graph |graph| (freed).
static inline void wb_model(kp_strbuf* out, kp_strbuf* graph) {
  kp_strbuf opset = {0};
  wb_varint(out, 1, 8);
  wb_part(out, 7, graph);
  wb_varint(&opset, 2, 17);
  wb_part(out, 8, &opset);
}

#endif  // KP_TEST_SUPPORT_WIRE_BUILD_H_
