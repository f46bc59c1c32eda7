// GridSample and AffineGrid, and the places around a point that DeformConv needs too (sample.h).
#include "provider/cpu/op/picture/sample.h"

#include <math.h>

#include "provider/cpu/op/copy.h"
#include "provider/cpu/op/element.h"

void kp_sample_linear(double x, kp_sample_dim* dim) {
  // Far outside there is nothing, however far.
  if (!(x > -3)) x = -3;
  if (x > (double)dim->size + 3) x = (double)dim->size + 3;
  const double below = floor(x);
  for (int k = 0; k < 2; ++k) dim->index[k] = (int64_t)below + k;
  dim->weight[1] = x - below;
  dim->weight[0] = 1 - dim->weight[1];
}

size_t kp_sample_join(int32_t rank, const kp_sample_dim* dims, size_t each, kp_tap* taps) {
  size_t count = 1;
  taps[0] = (kp_tap){0, 1};
  // Dim by dim, every tap so far is spread over the places along the next one, from the last place back to the first, in place.
  for (int32_t d = 0; d < rank; ++d) {
    kp_tap next[KP_SAMPLE_EACH];
    size_t fitting = 0;
    for (size_t k = 0; k < each; ++k) {
      const int64_t index = dims[d].index[k];
      if (index < 0 || index >= dims[d].size || dims[d].weight[k] == 0) continue;
      next[fitting++] = (kp_tap){(size_t)index, dims[d].weight[k]};
    }
    for (size_t t = count; t-- > 0;) {
      const kp_tap one = taps[t];
      for (size_t k = fitting; k-- > 0;)
        taps[t * fitting + k] = (kp_tap){one.offset * (size_t)dims[d].size + next[k].offset,
                                         one.weight * next[k].weight};
    }
    count *= fitting;
  }
  return count;
}

// --- GridSample ------------------------------------------------------------------------------------------------------------------
typedef enum grid_mode { GRID_NEAREST, GRID_LINEAR, GRID_CUBIC } grid_mode;
typedef enum grid_padding { GRID_ZEROS, GRID_BORDER, GRID_REFLECTION } grid_padding;

#define CHUNK_TAPS 4096  // of one worker

typedef struct grid_params {
  grid_mode mode;
  grid_padding padding;
  bool align;
  int32_t rank;                  // spatial dims
  size_t each, taps;             // places along one dim; of a point
  size_t points, chunk, chunks;  // of one picture; of one task; tasks of one picture
  size_t in_count, channels;
  size_t worker_bytes;
  size_t parts;              // numbers in an element
  bool copied;               // neither f32 nor f64: computed on copies in f64
  size_t in_copy, out_copy;  // in the scratch
} grid_params;

static kp_status* read_grid_attrs(const kp_node* node, grid_params* p) {
  const kp_str mode = kp_node_attr_s(node, "mode", "linear"),
               padding = kp_node_attr_s(node, "padding_mode", "zeros");
  p->align = kp_node_attr_i(node, "align_corners", 0) != 0;
  if (kp_str_is(mode, "nearest"))
    p->mode = GRID_NEAREST;
  else if (kp_str_is(mode, "linear") || kp_str_is(mode, "bilinear"))
    p->mode = GRID_LINEAR;
  else if (kp_str_is(mode, "cubic") || kp_str_is(mode, "bicubic"))
    p->mode = GRID_CUBIC;
  else
    return KP_ERROR(INVALID_MODEL, "attribute 'mode' is '%.*s'; linear, nearest and cubic exist",
                    KP_STR_ARG(mode));
  if (kp_str_is(padding, "zeros"))
    p->padding = GRID_ZEROS;
  else if (kp_str_is(padding, "border"))
    p->padding = GRID_BORDER;
  else if (kp_str_is(padding, "reflection"))
    p->padding = GRID_REFLECTION;
  else
    return KP_ERROR(INVALID_MODEL,
                    "attribute 'padding_mode' is '%.*s'; zeros, border and reflection exist",
                    KP_STR_ARG(padding));
  return NULL;
}

static kp_reason grid_supports(const kp_op_query* query) {
  const int32_t rank = kp_query_rank(query, 0);
  const kp_str mode = kp_node_attr_s(query->node, "mode", "linear");
  KP_REQUIRE(query, kp_query_type(query, 0) != KAPELL_STRING || kp_str_is(mode, "nearest"),
             "mode '%.*s' of texts: they cannot be averaged", KP_STR_ARG(mode));
  KP_REQUIRE(query, rank < 0 || rank <= KP_MAX_SAMPLE + 2,
             "rank %d; points have up to %d coordinates", (int)rank, KP_MAX_SAMPLE);
  return KP_SUPPORTED;
}

static kp_status* grid_plan(kp_op_plan* plan) {
  grid_params* p = kp_arena_new(plan->arena, grid_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  const kapell_value *x = plan->inputs[0], *y = plan->outputs[0];
  const kapell_type type = x->type;
  KP_PASS(read_grid_attrs(plan->node, p));
  p->rank = x->rank - 2;
  p->each = p->mode == GRID_NEAREST ? 1 : p->mode == GRID_LINEAR ? 2 : 4;
  p->taps = 1;
  for (int32_t d = 0; d < p->rank; ++d) p->taps *= p->each;
  p->points = kp_span(y, 2, y->rank);
  p->chunk = kp_max_size(CHUNK_TAPS / p->taps, 1);
  p->chunks = (p->points + p->chunk - 1) / p->chunk;
  p->in_count = kp_span(x, 2, x->rank);
  p->channels = (size_t)x->dims[1];
  p->parts = type == KAPELL_COMPLEX64 || type == KAPELL_COMPLEX128 ? 2 : 1;
  p->copied = p->mode != GRID_NEAREST && (kp_type_is_integer(type) || type == KAPELL_BOOL);
  // Of each point its taps, and how many.
  p->worker_bytes = p->chunk * (p->taps * sizeof(kp_tap) + sizeof(size_t));
  p->in_copy = p->worker_bytes * (size_t)plan->width;
  p->out_copy = p->in_copy + (p->copied ? kp_value_count(x) * sizeof(double) : 0);
  plan->scratch_bytes = p->out_copy + (p->copied ? kp_value_count(y) * sizeof(double) : 0);
  return NULL;
}

// From [-1, 1] to pixels, in the grid's own precision.
static double to_pixel(const grid_params* p, const kapell_value* grid, size_t at, int64_t size) {
  if (grid->type == KAPELL_DOUBLE) {
    const double n = ((const double*)grid->data)[at];
    return p->align ? (n + 1) / 2 * (double)(size - 1) : ((n + 1) * (double)size - 1) / 2;
  }
  const float n = ((const float*)grid->data)[at];
  return (double)(p->align ? (n + 1) / 2 * (float)(size - 1) : ((n + 1) * (float)size - 1) / 2);
}

// |x| mirrored at |low| and |high| until it lies between them.
static double reflect(double x, double low, double high) {
  const double range = high - low, away = x < low ? low - x : x - high;
  if (!(range > 0) || !isfinite(x)) return low;
  if (x >= low && x <= high) return x;
  const double times = floor(away / range), rest = away - times * range;
  const bool from_low = (x < low) == (fmod(times, 2) == 0);
  return from_low ? low + rest : high - rest;
}

static double clamp(double x, double low, double high) {
  return !(x > low) ? low : x > high ? high : x;
}

// Where places along one dim are really read; -1: nowhere.
static int64_t padded_index(const grid_params* p, double index, int64_t size) {
  const double last = (double)size - 1;
  if (p->padding == GRID_ZEROS) return index >= 0 && index <= last ? (int64_t)index : -1;
  if (p->padding == GRID_REFLECTION)
    index = p->align ? reflect(index, 0, last) : reflect(index, -0.5, last + 0.5);
  return (int64_t)clamp(index, 0, last);
}

static void cubic_weights(double x, double* weights) {
  const double a = -0.75;
  const double far[2] = {x + 1, 2 - x}, near[2] = {x, 1 - x};
  for (int i = 0; i < 2; ++i) {
    weights[i * 3] = ((a * far[i] - 5 * a) * far[i] + 8 * a) * far[i] - 4 * a;
    weights[1 + i] = ((a + 2) * near[i] - (a + 3)) * near[i] * near[i] + 1;
  }
}

static void sample_dim(const grid_params* p, double x, int64_t size, kp_sample_dim* dim) {
  const double low = p->align ? 0 : -0.5, high = p->align ? (double)size - 1 : (double)size - 0.5;
  dim->size = size;
  if (p->mode == GRID_NEAREST) x = rint(x);
  if (!(x >= low && x <= high)) {
    // Cubic: each tap is moved to the border by itself, as PyTorch and ONNX Runtime do; far outside all of them are.
    if (p->padding == GRID_BORDER)
      x = p->mode == GRID_CUBIC ? clamp(x, -3, (double)size + 3) : clamp(x, 0, (double)size - 1);
    if (p->padding == GRID_REFLECTION) x = reflect(x, low, high);
    if (p->padding == GRID_ZEROS) x = x > -3 ? fmin(x, (double)size + 3) : -3;
  }
  const double below = floor(x), part = x - below;
  if (p->mode == GRID_NEAREST) {
    dim->index[0] = padded_index(p, trunc(x), size);
    dim->weight[0] = 1;
    return;
  }
  const int first = p->mode == GRID_CUBIC ? -1 : 0;
  for (size_t k = 0; k < p->each; ++k)
    dim->index[k] = padded_index(p, below + first + (double)k, size);
  if (p->mode == GRID_CUBIC) {
    cubic_weights(part, dim->weight);
  } else {
    dim->weight[0] = 1 - part;
    dim->weight[1] = part;
  }
}

// The taps of point |point| of picture |picture|.
static size_t point_taps(const grid_params* p, const kp_op_run* run, size_t picture, size_t point,
                         kp_tap* taps) {
  const kapell_value *x = run->inputs[0], *grid = run->inputs[1];
  const size_t at = (picture * p->points + point) * (size_t)p->rank;
  kp_sample_dim dims[KP_MAX_SAMPLE];
  for (int32_t d = 0; d < p->rank; ++d)  // coordinates come from the innermost dim outwards
    sample_dim(p, to_pixel(p, grid, at + (size_t)(p->rank - 1 - d), x->dims[d + 2]), x->dims[d + 2],
               &dims[d]);
  return kp_sample_join(p->rank, dims, p->each, taps);
}

typedef struct grid_job {
  const kp_op_run* run;
  const void* x;
  void* y;
  kapell_type type;  // of both
  size_t size;       // of an element
} grid_job;

static void sample_points(const grid_job* job, const void* x, size_t count, const kp_tap* taps,
                          const size_t* counts, void* y) {
  const grid_params* p = job->run->params;
  if (p->mode == GRID_NEAREST) {
    for (size_t i = 0; i < count; ++i) {
      char* to = (char*)y + i * job->size;
      if (counts[i])
        memcpy(to, (const char*)x + taps[i * p->taps].offset * job->size, job->size);
      else
        memset(to, 0, job->size);
    }
  } else if (job->type == KAPELL_FLOAT) {
    for (size_t i = 0; i < count; ++i)
      ((float*)y)[i] = kp_sample_f32(x, taps + i * p->taps, counts[i]);
  } else if (job->type == KAPELL_DOUBLE) {
    for (size_t i = 0; i < count; ++i)
      ((double*)y)[i] = kp_sample_f64(x, taps + i * p->taps, counts[i]);
  } else {
    for (size_t i = 0; i < count * 2; ++i) {  // both parts of complex numbers
      double sum = 0;
      for (size_t k = 0; k < counts[i / 2]; ++k) {
        const kp_tap* tap = &taps[i / 2 * p->taps + k];
        const size_t at = tap->offset * 2 + i % 2;
        sum += tap->weight * (job->type == KAPELL_COMPLEX64 ? (double)((const float*)x)[at]
                                                            : ((const double*)x)[at]);
      }
      if (job->type == KAPELL_COMPLEX64)
        ((float*)y)[i] = (float)sum;
      else
        ((double*)y)[i] = sum;
    }
  }
}

static void grid_task(void* arg, size_t task, int worker) {
  const grid_job* job = arg;
  const grid_params* p = job->run->params;
  if (kp_cancelled(job->run)) return;
  const size_t picture = task / p->chunks, first = task % p->chunks * p->chunk,
               count = kp_min_size(p->chunk, p->points - first);
  kp_tap* taps = (kp_tap*)(void*)((char*)job->run->scratch + (size_t)worker * p->worker_bytes);
  size_t* counts = (size_t*)(void*)(taps + p->chunk * p->taps);
  for (size_t i = 0; i < count; ++i)
    counts[i] = point_taps(p, job->run, picture, first + i, taps + i * p->taps);
  for (size_t c = picture * p->channels; c < (picture + 1) * p->channels; ++c)
    sample_points(job, (const char*)job->x + c * p->in_count * job->size, count, taps, counts,
                  (char*)job->y + (c * p->points + first) * job->size);
}

static kp_status* grid_strings(const kp_op_run* run) {
  const grid_params* p = run->params;
  kp_tap* taps = run->scratch;
  KP_PASS(kp_zero_tensor(run->outputs[0]));
  for (size_t i = 0; i < (size_t)run->inputs[0]->dims[0] * p->points; ++i) {
    const size_t picture = i / p->points;
    if (!point_taps(p, run, picture, i % p->points, taps)) continue;
    for (size_t c = picture * p->channels; c < (picture + 1) * p->channels; ++c)
      KP_PASS(kp_copy_elements(run->outputs[0], c * p->points + i % p->points, run->inputs[0],
                               c * p->in_count + taps[0].offset, 1));
  }
  return NULL;
}

static kp_status* grid_run(const kp_op_run* run) {
  const grid_params* p = run->params;
  kapell_value *x = run->inputs[0], *y = run->outputs[0];
  grid_job job = {run, x->data, y->data, x->type, kp_type_bits(x->type) / 8};
  if (!kp_value_count(y)) return NULL;
  if (!p->in_count) return KP_ERROR(RUN_FAILED, "points of a picture without pixels");
  if (x->type == KAPELL_STRING) return grid_strings(run);
  if (p->copied) {
    double* copy = (double*)(void*)((char*)run->scratch + p->in_copy);
    kp_load_numbers(x, copy);
    job = (grid_job){run, copy, (char*)run->scratch + p->out_copy, KAPELL_DOUBLE, sizeof(double)};
  }
  kp_parallel_for(kp_op_width(run->width, kp_value_count(y) * p->taps * 2),
                  (size_t)x->dims[0] * p->chunks, grid_task, &job);
  if (p->copied) kp_store_rounded(job.y, kp_value_count(y), y);
  return NULL;
}

// --- AffineGrid ------------------------------------------------------------------------------------------------------------------
// Coordinate of place |at| of |size|: the corners' centres are at -1 and 1 when aligned, else the outer edges are.
static double base_coordinate(bool align, int64_t at, int64_t size) {
  if (align) return size > 1 ? -1 + 2.0 * (double)at / (double)(size - 1) : 0;
  return -1 + (2.0 * (double)at + 1) / (double)size;
}

static kp_status* affine_run(const kp_op_run* run) {
  const kapell_value* theta = run->inputs[0];
  kapell_value* y = run->outputs[0];
  const bool align = kp_node_attr_i(run->node, "align_corners", 0) != 0;
  const int32_t rank = y->rank - 2;  // of a place
  const size_t n = (size_t)rank, places = kp_span(y, 1, y->rank - 1);
  if (theta->dims[0] != y->dims[0] || theta->dims[1] != rank || theta->dims[2] != rank + 1)
    return KP_ERROR(RUN_FAILED, "theta is not [%lld, %zu, %zu]", (long long)y->dims[0], n, n + 1);
  for (size_t i = 0; i < (size_t)y->dims[0] * places; ++i) {
    int64_t position[3];
    double base[4];
    size_t rest = i % places;
    for (int32_t d = rank; d-- > 0; rest /= (size_t)y->dims[d + 1])
      position[d] = (int64_t)(rest % (size_t)y->dims[d + 1]);
    for (int32_t d = 0; d < rank; ++d)  // innermost dim first
      base[rank - 1 - d] = base_coordinate(align, position[d], y->dims[d + 1]);
    base[n] = 1;
    for (size_t r = 0; r < n; ++r) {
      double sum = 0;
      for (size_t c = 0; c <= n; ++c)
        sum += base[c] * kp_double_at(theta, (i / places * n + r) * (n + 1) + c);
      if (y->type == KAPELL_DOUBLE)
        ((double*)y->data)[i * n + r] = sum;
      else
        ((float*)y->data)[i * n + r] = (float)sum;
    }
  }
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators GridSample-16..22, AffineGrid-20; com.microsoft.GridSample-1
    {.name = "GridSample", .since = 16, .supports = grid_supports, .plan = grid_plan, .run = grid_run, .flags = KP_OP_WIDEN},
    {.domain = "com.microsoft", .name = "GridSample", .since = 1, .supports = grid_supports, .plan = grid_plan, .run = grid_run,
     .flags = KP_OP_WIDEN},
    {.name = "AffineGrid", .since = 20, .types = KP_M_REALS, .run = affine_run, .flags = KP_OP_WIDEN},
};
// clang-format on
KP_OP_TABLE(sample);
