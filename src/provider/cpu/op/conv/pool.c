// Pools on channels-first tensors of any rank: MaxPool, AveragePool, LpPool, their global forms.
#include <math.h>

#include "provider/cpu/op/conv/window.h"

typedef struct kp_pool_params {
  kp_window window;
  size_t planes;  // batch * channels
  bool count_padding;
  bool column_major;  // indices of MaxPool
  double p;           // LpPool
} kp_pool_params;

static kp_status* pool_plan(kp_op_plan* plan) {
  kp_pool_params* params = kp_arena_new(plan->arena, kp_pool_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  const kapell_value *x = plan->inputs[0],
                     *y = plan->outputs[0] ? plan->outputs[0] : plan->outputs[1];
  const bool global = strncmp(plan->node->op, "Global", 6) == 0;
  KP_PASS(kp_window_init(&params->window, plan->node, x, y, global ? x->dims + 2 : NULL));
  params->planes = (size_t)x->dims[0] * (size_t)x->dims[1];
  params->count_padding = kp_node_attr_i(plan->node, "count_include_pad", 0) != 0;
  params->column_major = kp_node_attr_i(plan->node, "storage_order", 0) != 0;
  const kp_attr* p = kp_node_attr(plan->node, "p");
  params->p = p ? p->type == KP_ONNX_ATTR_INT ? (double)p->i : (double)p->f : 2;
  return NULL;
}

// The taps of a window that lie in the picture, by dim: [first, last).
typedef struct kp_reach {
  int64_t first[KP_MAX_WINDOW], last[KP_MAX_WINDOW];
  size_t count;
} kp_reach;

static void reach_of(const kp_window* w, const int64_t* position, kp_reach* reach) {
  reach->count = 1;
  for (int32_t d = 0; d < w->rank; ++d) {
    const int64_t start = position[d] * w->stride[d] - w->begin[d], dilation = w->dilation[d];
    const int64_t room = w->in[d] - 1 - start;
    reach->first[d] = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
    reach->last[d] = room < 0 ? 0 : kp_min_i64(w->kernel[d], room / dilation + 1);
    if (reach->last[d] < reach->first[d]) reach->last[d] = reach->first[d];
    reach->count *= (size_t)(reach->last[d] - reach->first[d]);
  }
}

// Flat index in the picture of the first tap in row |n| of |reach|: the taps of the last dim lie |dilation| apart from there on.
static size_t row_of(const kp_window* w, const int64_t* position, const kp_reach* reach, size_t n) {
  const int32_t last = w->rank - 1;
  size_t pixel = 0, stride = (size_t)w->in[last];
  for (int32_t d = last; d-- > 0; stride *= (size_t)w->in[d]) {
    const size_t span = (size_t)(reach->last[d] - reach->first[d]);
    const int64_t tap = reach->first[d] + (int64_t)(span > 1 ? n % span : 0);
    pixel += (size_t)(position[d] * w->stride[d] - w->begin[d] + tap * w->dilation[d]) * stride;
    if (span > 1) n /= span;
  }
  return pixel + (size_t)(position[last] * w->stride[last] - w->begin[last] +
                          reach->first[last] * w->dilation[last]);
}

// Taps of |reach| in a row.
static size_t taps_a_row(const kp_window* w, const kp_reach* reach) {
  return (size_t)(reach->last[w->rank - 1] - reach->first[w->rank - 1]);
}

// What an average divides by: the taps inside the padded picture (a window of ceil_mode may reach past that), or inside alone.
static double divisor_of(const kp_pool_params* p, const int64_t* position, const kp_reach* reach) {
  if (!p->count_padding) return (double)reach->count;
  const kp_window* w = &p->window;
  double count = 1;
  for (int32_t d = 0; d < w->rank; ++d) {
    const int64_t start = position[d] * w->stride[d] - w->begin[d];
    const int64_t room = w->in[d] + w->end[d] - 1 - start;
    count *= (double)(room < 0 ? 0 : kp_min_i64(w->kernel[d], room / w->dilation[d] + 1));
  }
  return count;
}

static int64_t index_of(const kp_pool_params* p, size_t plane, size_t pixel) {
  if (!p->column_major) return (int64_t)(plane * p->window.in_count + pixel);
  int64_t at[KP_MAX_WINDOW], index = 0;
  kp_unflatten(pixel, p->window.rank, p->window.in, at);
  for (int32_t d = p->window.rank; d-- > 0;) index = index * p->window.in[d] + at[d];
  return (int64_t)(plane * p->window.in_count) + index;
}

#define MAX_PLANE(type, c_type, lowest)                                                        \
  static void max_##type(const kp_op_run* run, size_t plane) {                                 \
    const kp_pool_params* p = run->params;                                                     \
    const kp_window* w = &p->window;                                                           \
    const size_t step = (size_t)w->dilation[w->rank - 1];                                      \
    const c_type* x = (const c_type*)run->inputs[0]->data + plane * w->in_count;               \
    kapell_value *y = run->outputs[0], *indices = kp_run_result(run, 1);                       \
    int64_t position[KP_MAX_WINDOW];                                                           \
    kp_reach reach;                                                                            \
    for (size_t o = 0; o < w->out_count; ++o) {                                                \
      kp_unflatten(o, w->rank, w->out, position);                                              \
      reach_of(w, position, &reach);                                                           \
      const size_t taps = taps_a_row(w, &reach), rows = taps ? reach.count / taps : 0;         \
      size_t best_at = rows ? row_of(w, position, &reach, 0) : 0;                              \
      c_type best = rows ? x[best_at] : lowest;                                                \
      for (size_t r = 0; r < rows; ++r) {                                                      \
        size_t at = row_of(w, position, &reach, r);                                            \
        for (size_t t = 0; t < taps; ++t, at += step) {                                        \
          if (!(x[at] > best) && (x[at] == x[at] || best != best)) continue; /* a NaN stays */ \
          best = x[at];                                                                        \
          best_at = at;                                                                        \
        }                                                                                      \
      }                                                                                        \
      if (y) ((c_type*)y->data)[plane * w->out_count + o] = best;                              \
      if (indices)                                                                             \
        ((int64_t*)indices->data)[plane * w->out_count + o] = index_of(p, plane, best_at);     \
    }                                                                                          \
  }
MAX_PLANE(FLOAT, float, -HUGE_VALF)
MAX_PLANE(DOUBLE, double, -HUGE_VAL)
MAX_PLANE(INT8, int8_t, INT8_MIN)
MAX_PLANE(UINT8, uint8_t, 0)

// Averages, and with |norm| the p-norms of LpPool.
#define SUM_PLANE(type, c_type)                                                           \
  static void sum_##type(const kp_op_run* run, size_t plane, bool norm) {                 \
    const kp_pool_params* p = run->params;                                                \
    const kp_window* w = &p->window;                                                      \
    const size_t step = (size_t)w->dilation[w->rank - 1];                                 \
    const c_type* x = (const c_type*)run->inputs[0]->data + plane * w->in_count;          \
    c_type* y = (c_type*)run->outputs[0]->data + plane * w->out_count;                    \
    int64_t position[KP_MAX_WINDOW];                                                      \
    kp_reach reach;                                                                       \
    for (size_t o = 0; o < w->out_count; ++o) {                                           \
      kp_unflatten(o, w->rank, w->out, position);                                         \
      reach_of(w, position, &reach);                                                      \
      const size_t taps = taps_a_row(w, &reach), rows = taps ? reach.count / taps : 0;    \
      double sum = 0;                                                                     \
      for (size_t r = 0; r < rows; ++r) {                                                 \
        const c_type* from = x + row_of(w, position, &reach, r);                          \
        for (size_t t = 0; t < taps; ++t) {                                               \
          const double v = (double)from[t * step];                                        \
          sum += norm ? pow(fabs(v), p->p) : v;                                           \
        }                                                                                 \
      }                                                                                   \
      y[o] = (c_type)(norm ? pow(sum, 1 / p->p) : sum / divisor_of(p, position, &reach)); \
    }                                                                                     \
  }                                                                                       \
  static void average_##type(const kp_op_run* run, size_t plane) {                        \
    sum_##type(run, plane, false);                                                        \
  }                                                                                       \
  static void norm_##type(const kp_op_run* run, size_t plane) { sum_##type(run, plane, true); }
SUM_PLANE(FLOAT, float)
SUM_PLANE(DOUBLE, double)

// --- rows of f32 at once -------------------------------------------------------------------------------------------------------
#define ROW_PIXELS 256

// Takes what tap |t| of the last dim sees of line |x| into outputs [from, end) of a row.
static void take_tap(const kp_window* w, bool max, const float* x, int64_t t, int64_t from,
                     int64_t end, float* y) {
  const int32_t d = w->rank - 1;
  int64_t first, last;
  kp_window_reach(w, d, t, &first, &last);
  first = kp_max_i64(first, from);
  last = kp_min_i64(last, end);
  const int64_t stride = w->stride[d], shift = t * w->dilation[d] - w->begin[d];
  if (max && stride == 1) {
    for (int64_t i = first; i < last; ++i) {
      const float v = x[i + shift];
      y[i] = v > y[i] || v != v ? v : y[i];
    }
  } else if (max) {
    for (int64_t i = first; i < last; ++i) {
      const float v = x[i * stride + shift];
      y[i] = v > y[i] || v != v ? v : y[i];
    }
  } else if (stride == 1) {
    for (int64_t i = first; i < last; ++i) y[i] += x[i + shift];
  } else {
    for (int64_t i = first; i < last; ++i) y[i] += x[i * stride + shift];
  }
}

// Divides outputs [from, end) of a row of sums, |outer| taps of the other dims in each, by the taps that count.
static void divide_row(const kp_pool_params* p, double outer, int64_t from, int64_t end, float* y) {
  const kp_window* w = &p->window;
  const int32_t d = w->rank - 1;
  float taps[ROW_PIXELS] = {0};
  for (int64_t t = 0; t < w->kernel[d]; ++t) {
    int64_t first, last;
    kp_window_reach(w, d, t, &first, &last);
    if (p->count_padding) {  // the padding behind too, but not what a window of ceil_mode has past it
      const int64_t room = w->in[d] + w->end[d] - 1 - (t * w->dilation[d] - w->begin[d]);
      first = 0;
      last = room < 0 ? 0 : kp_min_i64(w->out[d], room / w->stride[d] + 1);
    }
    for (int64_t i = kp_max_i64(first, from); i < kp_min_i64(last, end); ++i) taps[i - from] += 1;
  }
  for (int64_t i = from; i < end; ++i) y[i] /= taps[i - from] * (float)outer;
}

// A plane of MaxPool without indices or of AveragePool, row by row: a tap is added to, or held against, a whole row.
static void pool_rows(const kp_op_run* run, size_t plane, bool max) {
  const kp_pool_params* p = run->params;
  kp_window outer = p->window;  // all dims but the last
  const kp_window* w = &p->window;
  const int32_t last = w->rank - 1;
  const float* x = (const float*)run->inputs[0]->data + plane * w->in_count;
  float* y = (float*)run->outputs[0]->data + plane * w->out_count;
  const int64_t pixels = w->out[last];
  const size_t rows = w->out_count / (size_t)pixels;
  outer.rank = last;
  for (size_t row = 0; row < rows; ++row, y += pixels) {
    int64_t position[KP_MAX_WINDOW] = {0};
    kp_reach reach;
    kp_unflatten(row, last, w->out, position);
    reach_of(&outer, position, &reach);
    for (int64_t i = 0; i < pixels; ++i) y[i] = max ? -HUGE_VALF : 0;
    for (int64_t from = 0; from < pixels; from += ROW_PIXELS) {
      const int64_t end = kp_min_i64(from + ROW_PIXELS, pixels);
      for (size_t n = 0; n < reach.count; ++n) {
        size_t rest = n, line = 0, stride = (size_t)w->in[last];
        for (int32_t d = last; d-- > 0; stride *= (size_t)w->in[d]) {
          const size_t span = (size_t)(reach.last[d] - reach.first[d]);
          const int64_t tap = reach.first[d] + (int64_t)(rest % span);
          line +=
              (size_t)(position[d] * w->stride[d] - w->begin[d] + tap * w->dilation[d]) * stride;
          rest /= span;
        }
        for (int64_t t = 0; t < w->kernel[last]; ++t) take_tap(w, max, x + line, t, from, end, y);
      }
      kp_pool_params others = {.window = outer, .count_padding = p->count_padding};
      if (!max) divide_row(p, divisor_of(&others, position, &reach), from, end, y);
    }
  }
}

static void max_rows(const kp_op_run* run, size_t plane) { pool_rows(run, plane, true); }
static void average_rows(const kp_op_run* run, size_t plane) { pool_rows(run, plane, false); }

// Windows of few taps over rows of some length; sums of more are kept in double precision.
static bool takes_rows(const kp_op_run* run) {
  const kp_window* w = &((const kp_pool_params*)run->params)->window;
  return run->inputs[0]->type == KAPELL_FLOAT && !kp_run_result(run, 1) && run->outputs[0] &&
         w->rank >= 1 && w->out[w->rank - 1] >= 4 && w->kernel_count <= 256;
}

typedef void (*kp_plane_fn)(const kp_op_run* run, size_t plane);
typedef struct kp_pool_job {
  const kp_op_run* run;
  kp_plane_fn fn;
} kp_pool_job;

static void pool_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_pool_job* job = arg;
  if (!kp_cancelled(job->run)) job->fn(job->run, task);
}

static kp_status* run_planes(const kp_op_run* run, kp_plane_fn fn) {
  const kp_pool_params* params = run->params;
  kp_pool_job job = {run, fn};
  const size_t work = params->planes * params->window.out_count * params->window.kernel_count * 4;
  kp_parallel_for(kp_op_width(run->width, work), params->planes, pool_task, &job);
  return NULL;
}

static kp_status* max_run(const kp_op_run* run) {
  if (takes_rows(run)) return run_planes(run, max_rows);
  switch (run->inputs[0]->type) {
    case KAPELL_FLOAT:
      return run_planes(run, max_FLOAT);
    case KAPELL_DOUBLE:
      return run_planes(run, max_DOUBLE);
    case KAPELL_INT8:
      return run_planes(run, max_INT8);
    default:
      return run_planes(run, max_UINT8);
  }
}
static kp_status* average_run(const kp_op_run* run) {
  if (takes_rows(run)) return run_planes(run, average_rows);
  return run_planes(run, run->inputs[0]->type == KAPELL_DOUBLE ? average_DOUBLE : average_FLOAT);
}
static kp_status* lp_run(const kp_op_run* run) {
  return run_planes(run, run->inputs[0]->type == KAPELL_DOUBLE ? norm_DOUBLE : norm_FLOAT);
}

// clang-format off
#define POOL(op, mask, fn) \
  {.name = op, .since = 1, .types = mask, .supports = kp_window_supports, .plan = pool_plan, .run = fn, .flags = KP_OP_WIDEN}
static const kp_op_def ops[] = {  // spec: ONNX operators MaxPool-1..22, AveragePool-1..22, LpPool-1..22, Global*-1..22
    POOL("MaxPool", KP_M_REALS | KP_M(INT8) | KP_M(UINT8), max_run), POOL("GlobalMaxPool", KP_M_REALS, max_run),
    POOL("AveragePool", KP_M_REALS, average_run), POOL("GlobalAveragePool", KP_M_REALS, average_run),
    POOL("LpPool", KP_M_REALS, lp_run), POOL("GlobalLpPool", KP_M_REALS, lp_run),
};
// clang-format on
KP_OP_TABLE(pool);
