// What happens to the rows of queries, keys and values on their way to an attention: bias, normalization, rotation, the copy
// into a cache; each row is one head of one position. See attend.h.
#include <math.h>

#include "base/small_float.h"
#include "provider/cpu/op/attention/attend.h"

static void load_floats(kapell_type type, const void* data, size_t first, size_t count,
                        float* out) {
  const uint16_t* halves = (const uint16_t*)data + first;
  if (type == KAPELL_FLOAT) {
    if (out != (const float*)data + first)
      memcpy(out, (const float*)data + first, count * sizeof(float));
  } else if (type == KAPELL_FLOAT16) {
    for (size_t i = 0; i < count; ++i) out[i] = kp_f16_to_f32(halves[i]);
  } else {
    for (size_t i = 0; i < count; ++i) out[i] = kp_bf16_to_f32(halves[i]);
  }
}

static void store_floats(kapell_type type, void* data, size_t first, size_t count,
                         const float* in) {
  uint16_t* halves = (uint16_t*)data + first;
  if (type == KAPELL_FLOAT) {
    memcpy((float*)data + first, in, count * sizeof(float));
  } else if (type == KAPELL_FLOAT16) {
    for (size_t i = 0; i < count; ++i) halves[i] = kp_f16_from_f32(in[i]);
  } else {
    for (size_t i = 0; i < count; ++i) halves[i] = kp_bf16_from_f32(in[i]);
  }
}

static float float_at(kapell_type type, const void* table, size_t at) {
  if (type == KAPELL_FLOAT) return ((const float*)table)[at];
  const uint16_t bits = ((const uint16_t*)table)[at];
  return type == KAPELL_FLOAT16 ? kp_f16_to_f32(bits) : kp_bf16_to_f32(bits);
}

void kp_rotate(const kp_rotary* rotary, size_t position, float* row) {
  const size_t first = position * rotary->stride, half = rotary->half;
  const size_t step = rotary->interleaved ? 2 : 1, apart = rotary->interleaved ? 1 : half;
  if (rotary->type == KAPELL_FLOAT && !rotary->interleaved) {
    const float *cos = (const float*)rotary->cos + first, *sin = (const float*)rotary->sin + first;
    float* upper = row + half;
    for (size_t i = 0; i < half; ++i) {
      const float a = row[i], b = upper[i];
      row[i] = cos[i] * a - sin[i] * b;
      upper[i] = sin[i] * a + cos[i] * b;
    }
    return;
  }
  for (size_t i = 0; i < half; ++i) {
    const float cos = float_at(rotary->type, rotary->cos, first + i),
                sin = float_at(rotary->type, rotary->sin, first + i);
    float *x = row + i * step, *y = x + apart;
    const float a = *x, b = *y;
    *x = cos * a - sin * b;
    *y = sin * a + cos * b;
  }
}

static void normalize(size_t width, const float* weight, float epsilon, float* row) {
  double sum = 0;
  for (size_t i = 0; i < width; ++i) sum += (double)row[i] * row[i];
  const float factor = (float)(1 / sqrt(sum / (double)width + (double)epsilon));
  for (size_t i = 0; i < width; ++i) row[i] *= factor * weight[i];
}

static void run_row(const kp_rows* r, size_t b, size_t s, size_t h, float* spare) {
  const kp_heads *from = &r->from, *to = &r->to;
  const size_t target = s + (r->starts ? (size_t)r->starts[b] : 0), width = from->width;
  const size_t source = b * from->batch_stride + h * from->head_stride + s * from->row_stride;
  const size_t at = b * to->batch_stride + h * to->head_stride + target * to->row_stride;
  if (from->type == to->type && !r->bias && !r->norm && !r->rotary.half) {
    const size_t each = kp_type_bits(to->type) / 8;
    if (r->source != r->target || source != at)
      memcpy((char*)r->target + at * each, (const char*)r->source + source * each, width * each);
    return;
  }
  // A row of floats is worked on where it goes.
  const bool direct = to->type == KAPELL_FLOAT;
  float* row = direct ? (float*)r->target + at : spare;
  load_floats(from->type, r->source, source, width, row);
  for (size_t i = 0; r->bias && i < width; ++i)
    row[i] += float_at(r->bias_type, r->bias, h * width + i);
  if (r->norm) normalize(width, r->norm, r->epsilon, row);
  if (r->rotary.half)
    kp_rotate(&r->rotary, r->positions ? (size_t)r->positions[b * from->length + s] : target, row);
  if (!direct) store_floats(to->type, r->target, at, width, row);
}

static void rows_task(void* arg, size_t task, int worker) {
  const kp_rows* r = arg;
  const size_t s = task % r->from.length, b = task / r->from.length;
  if (r->counts && (int64_t)s >= r->counts[b]) return;
  for (size_t h = 0; h < r->from.heads; ++h)
    run_row(r, b, s, h, r->spare ? r->spare + (size_t)worker * r->from.width : NULL);
}

void kp_rows_run(const kp_rows* rows, int width) {
  const size_t count = kp_heads_count(&rows->from);
  if (!count) return;
  kp_parallel_for(kp_op_width(width, count), rows->from.batch * rows->from.length, rows_task,
                  (void*)(uintptr_t)rows);
}

// --- copies -------------------------------------------------------------------------------------------------------------------
typedef struct copy_job {
  const kp_heads *from, *to;
  const char* source;
  char* target;
  const int64_t* starts;
} copy_job;

static void copy_task(void* arg, size_t task, int worker) {
  (void)worker;
  const copy_job* job = arg;
  const kp_heads *from = job->from, *to = job->to;
  const size_t bytes = kp_type_bits(from->type) / 8, row = from->width * bytes;
  const size_t h = task % from->heads, b = task / from->heads;
  const char* source = job->source + (b * from->batch_stride + h * from->head_stride) * bytes;
  char* target = job->target + (b * to->batch_stride + h * to->head_stride) * bytes;
  if (from->row_stride == from->width && to->row_stride == to->width) {
    memcpy(target, source, from->length * row);
    return;
  }
  for (size_t s = 0; s < from->length; ++s)
    memcpy(target + s * to->row_stride * bytes, source + s * from->row_stride * bytes, row);
}

void kp_rows_copy(const kp_heads* from, const void* source, const kp_heads* to, void* target,
                  int width) {
  copy_job job = {from, to, source, target, NULL};
  const size_t count = kp_heads_count(from);
  if (!count || source == target) return;
  kp_parallel_for(kp_op_width(width, count / 8), from->batch * from->heads, copy_task, &job);
}

static void begin_task(void* arg, size_t task, int worker) {
  (void)worker;
  const copy_job* job = arg;
  const kp_heads *from = job->from, *to = job->to;
  const size_t bytes = kp_type_bits(to->type) / 8, h = task % to->heads, b = task / to->heads;
  const size_t kept = (size_t)job->starts[b] * to->width * bytes;
  char* target = job->target + (b * to->batch_stride + h * to->head_stride) * bytes;
  if (kept)
    memcpy(target, job->source + (b * from->batch_stride + h * from->head_stride) * bytes, kept);
  memset(target + kept, 0, to->length * to->width * bytes - kept);
}

void kp_rows_begin(const kp_heads* from, const void* source, const int64_t* starts,
                   const kp_heads* to, void* target, int width) {
  copy_job job = {from, to, source, target, starts};
  const size_t count = kp_heads_count(to);
  if (!count || source == target) return;
  kp_parallel_for(kp_op_width(width, count / 8), to->batch * to->heads, begin_task, &job);
}
