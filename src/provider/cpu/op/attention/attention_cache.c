// See attention_cache.h.
#include "provider/cpu/op/attention/attention_cache.h"

#include <math.h>

#include "base/small_float.h"

size_t kp_cache_row(kapell_type type, size_t width) {
  return type == KAPELL_UINT8 ? (width + 1) / 2 : width;
}

static float scale_of(const kp_cache_code* code, size_t at) {
  return code->scales[code->period == 1 ? 0 : at];
}

// The whole number nearest to |x|, ties to even, within [low, high]; 0 for what is no number.
static int nearest(float x, float low, float high) {
  const float rounded = nearbyintf(x);
  if (rounded != rounded) return 0;
  return (int)(rounded < low ? low : rounded > high ? high : rounded);
}

static void encode_row(const kp_cache_code* code, size_t head, size_t width, const float* row,
                       uint8_t* to) {
  for (size_t i = 0; i < width; ++i) {
    const float x = row[i] / scale_of(code, head * width + i);
    if (code->type == KAPELL_INT8) {
      to[i] = (uint8_t)(int8_t)nearest(x, -128, 127);
    } else if (code->type == KAPELL_UINT8) {
      const unsigned half = (unsigned)(nearest(x, -8, 7) + 8);
      to[i / 2] = (uint8_t)(i % 2 ? (to[i / 2] & 15u) | half << 4 : half);
    } else {
      to[i] = kp_f8e4m3fn_from_f32(x, true);
    }
  }
}

static void decode_row(const kp_cache_code* code, size_t head, size_t width, const uint8_t* from,
                       float* row) {
  for (size_t i = 0; i < width; ++i) {
    const float scale = scale_of(code, head * width + i);
    if (code->type == KAPELL_INT8)
      row[i] = (float)(int8_t)from[i] * scale;
    else if (code->type == KAPELL_UINT8)
      row[i] = (float)((int)(from[i / 2] >> (i % 2 * 4) & 15) - 8) * scale;
    else
      row[i] = kp_f8e4m3fn_to_f32(from[i]) * scale;
  }
}

void kp_cache_encode(const kp_cache_code* code, const kp_heads* fresh, const float* source,
                     const int64_t* starts, const int64_t* counts, const kp_heads* store,
                     void* target) {
  for (size_t b = 0; b < fresh->batch; ++b) {
    for (size_t h = 0; h < fresh->heads; ++h) {
      const float* rows = source + b * fresh->batch_stride + h * fresh->head_stride;
      uint8_t* to = (uint8_t*)target + b * store->batch_stride + h * store->head_stride;
      for (size_t s = 0; (int64_t)s < counts[b]; ++s)
        encode_row(code, h, fresh->width, rows + s * fresh->row_stride,
                   to + ((size_t)starts[b] + s) * store->row_stride);
    }
  }
}

typedef struct decode_job {
  const kp_cache_code* code;
  const kp_heads *store, *wide;
  const uint8_t* source;
  const kp_attention_span* spans;
  float* target;
} decode_job;

static void decode_task(void* arg, size_t task, int worker) {
  (void)worker;
  const decode_job* job = arg;
  const size_t h = task % job->wide->heads, b = task / job->wide->heads;
  const uint8_t* from = job->source + b * job->store->batch_stride + h * job->store->head_stride;
  float* to = job->target + b * job->wide->batch_stride + h * job->wide->head_stride;
  for (size_t t = 0; t < job->spans[b].keys; ++t)
    decode_row(job->code, h, job->wide->width, from + t * job->store->row_stride,
               to + t * job->wide->row_stride);
}

void kp_cache_decode(const kp_cache_code* code, const kp_heads* store, const void* source,
                     const kp_attention_span* spans, const kp_heads* wide, float* target,
                     int width) {
  decode_job job = {.code = code, .store = store, .wide = wide, .source = source, .spans = spans};
  job.target = target;
  kp_parallel_for_dynamic(kp_op_width(width, kp_heads_count(wide)), wide->batch * wide->heads,
                          decode_task, &job);
}
