// Resize and Upsample: any rank, any layout. Nearest moves elements of whatever type; linear and cubic resample one or two dims at a
// time, f32 on kernel/resize, everything else in f64.
//
// Linear and cubic interpolation are separable. A *pass* resamples two neighbouring dims (the rows of a picture first, into one row of
// the input's width, then its columns) or a single one, with all that lies behind them as the inner dim: one channel, or all of them
// channels-last. Each pass reads what the one before wrote.
#include "provider/cpu/op/picture/resample.h"

#include <math.h>

#include "provider/cpu/kernel/resize/resize.h"
#include "provider/cpu/op/copy.h"
#include "provider/cpu/op/element.h"

typedef struct resize_state {
  kp_resample_rule rule;
  const kp_resize_ops* ops;
} resize_state;

// Where the taps of one dim lie in the scratch.
typedef struct taps_place {
  size_t places, taps;  // taps: at most
  size_t index,
      weights;  // bytes from the scratch's start: size_t[places][taps], double or float[places][taps]
  size_t outside;  // bool[places]
} taps_place;

typedef struct resize_pass {
  int32_t rows, cols;   // dims; -1: none
  size_t outer, inner;  // elements of kinds double or float
  size_t in_h, in_w, out_h, out_w;
} resize_pass;

typedef struct resize_params {
  uint32_t active;  // dims that are resampled
  bool wide;        // computed in f64
  size_t parts;     // floats or doubles in an element: 2 for complex numbers
  taps_place taps[KP_MAX_RANK];
  resize_pass passes[KP_MAX_RANK];
  size_t pass_count;
  size_t buffers[2], row;  // bytes from the scratch's start: between passes; one row a worker
  size_t row_bytes;
  size_t in_copy, out_copy;  // the whole input and output in f64, for types that are not real
  bool copied;
} resize_params;

// --- what the inputs say -----------------------------------------------------------------------------------------------------------
static bool has_content(const kapell_value* value) { return value && kp_value_count(value) > 0; }

// The tensor of scales, of sizes and of the region, each NULL where it is not given (its data may be NULL while planning).
typedef struct resize_inputs {
  const kapell_value *scales, *sizes, *roi;
} resize_inputs;

static resize_inputs inputs_of(const kp_node* node, const kapell_value* const* inputs) {
  const bool early = node->version < 11;
  const kapell_value* list[4] = {NULL};
  for (uint32_t i = 1; i < 4 && i < node->input_count; ++i)
    if (kp_present(inputs[i]) && has_content(inputs[i])) list[i] = inputs[i];
  if (early) return (resize_inputs){.scales = list[1]};
  return (resize_inputs){.scales = list[3] ? NULL : list[2], .sizes = list[3], .roi = list[1]};
}

// The dims that scales, sizes and the region speak of, in their order.
static size_t listed_axes(const kp_node* node, int32_t rank, int32_t* axes) {
  size_t count;
  const int64_t* list = kp_node_attr_ints(node, "axes", &count);
  if (count > (size_t)rank) count = 0;
  for (size_t i = 0; i < count; ++i)
    if (!kp_axis(list[i], rank, &axes[i])) count = 0;  // inference has refused it already
  for (int32_t d = 0; !count && d < rank; ++d) axes[d] = d;
  return count ? count : (size_t)rank;
}

// The attribute forms of scales, before they were an input.
static bool attribute_scales(const kp_node* node, size_t count, double* out) {
  if (strcmp(node->op, "Upsample") != 0 || node->version >= 9) return false;
  size_t given;
  const float* list = kp_node_attr_floats(node, "scales", &given);
  for (size_t i = 0; i < count; ++i) out[i] = i < given ? (double)list[i] : 1;
  if (node->version < 7 && count == 4) {
    out[2] = (double)kp_node_attr_f(node, "height_scale", 1);
    out[3] = (double)kp_node_attr_f(node, "width_scale", 1);
  }
  return true;
}

static void scales_of_sizes(const kp_node* node, const kapell_value* sizes, const kapell_value* x,
                            const int32_t* axes, size_t count, double* out) {
  const kp_str policy = kp_node_attr_s(node, "keep_aspect_ratio_policy", "stretch");
  const bool smallest = kp_str_is(policy, "not_larger"), largest = kp_str_is(policy, "not_smaller");
  double one = smallest ? INFINITY : 0;
  for (size_t i = 0; i < count; ++i) {
    out[i] = kp_double_at(sizes, i) / (double)x->dims[axes[i]];
    one = smallest ? fmin(one, out[i]) : fmax(one, out[i]);
  }
  for (size_t i = 0; i < count && (smallest || largest); ++i) out[i] = one;
}

// Fills |out_axes|, one a dim of |x|. False: the contents are not known (while planning).
static bool read_axes(const kp_node* node, const kapell_value* const* inputs, const kapell_value* x,
                      const kapell_value* y, kp_resample_axis* out_axes) {
  int32_t axes[KP_MAX_RANK];
  double scales[KP_MAX_RANK];
  const size_t count = listed_axes(node, x->rank, axes);
  const resize_inputs in = inputs_of(node, inputs);
  for (int32_t d = 0; d < x->rank; ++d)
    out_axes[d] = (kp_resample_axis){
        .in = (size_t)x->dims[d], .out = (size_t)y->dims[d], .scale = 1, .end = 1};
  if (!attribute_scales(node, count, scales)) {
    const kapell_value* given = in.sizes ? in.sizes : in.scales;
    if (!given || !given->data || kp_value_count(given) < count) return false;
    if (in.sizes) {
      scales_of_sizes(node, in.sizes, x, axes, count, scales);
    } else {
      for (size_t i = 0; i < count; ++i) scales[i] = kp_double_at(given, i);
    }
  }
  const bool region = in.roi && kp_value_count(in.roi) >= 2 * count;
  if (region && !in.roi->data) return false;
  for (size_t i = 0; i < count; ++i) {
    kp_resample_axis* axis = &out_axes[axes[i]];
    axis->scale = scales[i];
    if (!region) continue;
    axis->start = kp_double_at(in.roi, i);
    axis->end = kp_double_at(in.roi, count + i);
  }
  return true;
}

// Dims that change nothing.
static bool is_identity(const kp_resample_rule* rule, const kp_resample_axis* axis) {
  const bool whole = rule->coordinates != KP_TF_CROP || (axis->start == 0 && axis->end == 1);
  return axis->in == axis->out && fabs(axis->scale - 1) <= 1e-9 && whole;
}

// --- prepare and plan ----------------------------------------------------------------------------------------------------------------
static kp_reason resize_supports(const kp_op_query* query) {
  const kapell_type type = kp_query_type(query, 0);
  const kp_str mode = kp_node_attr_s(query->node, "mode", "nearest");
  KP_REQUIRE(query, type != KAPELL_STRING || kp_str_is(mode, "nearest"),
             "mode '%.*s' of texts: they cannot be averaged", KP_STR_ARG(mode));
  return KP_SUPPORTED;
}

static kp_status* resize_prepare(kp_op_prepare* prepare) {
  resize_state* state = kp_arena_new(prepare->arena, resize_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  state->ops = kp_resize_select(prepare->features);
  return kp_resample_read(prepare->node, &state->rule);
}

// Bytes of the scratch from |*used| on for |count| elements of |size|.
static bool take(size_t count, size_t size, size_t* used, size_t* out_place) {
  size_t bytes;
  *out_place = *used;
  return kp_mul_size(count, size, &bytes) && kp_add_size(bytes, KP_ALIGNMENT - 1, &bytes) &&
         kp_add_size(*used, bytes / KP_ALIGNMENT * KP_ALIGNMENT, used);
}

// Dims |first| and, unless it is -1, |second| = |first| + 1 are resampled, given the dims that the tensor has by now.
static void add_pass(resize_params* params, const int64_t* dims, const kapell_value* y,
                     int32_t rank, int32_t first, int32_t second) {
  resize_pass pass = {.rows = -1,
                      .cols = -1,
                      .outer = 1,
                      .inner = params->parts,
                      .in_h = 1,
                      .in_w = 1,
                      .out_h = 1,
                      .out_w = 1};
  const int32_t last = second >= 0 ? second : first;
  for (int32_t d = 0; d < first; ++d) pass.outer *= (size_t)dims[d];
  for (int32_t d = last + 1; d < rank; ++d) pass.inner *= (size_t)dims[d];
  // Alone, a dim counts as rows if much lies behind it: whole rows are then summed.
  if (second >= 0 || pass.inner >= 16) {
    pass.rows = first;
    pass.in_h = (size_t)dims[first];
    pass.out_h = (size_t)y->dims[first];
  }
  if (second >= 0 || pass.rows < 0) {
    pass.cols = last;
    pass.in_w = (size_t)dims[last];
    pass.out_w = (size_t)y->dims[last];
  }
  params->passes[params->pass_count++] = pass;
}

// Fills the passes and lays out what lies between them.
static bool plan_passes(const kp_op_plan* plan, resize_params* params, size_t* used) {
  const kapell_value *x = plan->inputs[0], *y = plan->outputs[0];
  const size_t size = params->wide ? sizeof(double) : sizeof(float);
  int64_t dims[KP_MAX_RANK];
  size_t most[2] = {0, 0}, row = 0;
  memcpy(dims, x->dims, (size_t)x->rank * sizeof(*dims));
  for (int32_t d = 0; d < x->rank; ++d) {
    if (!(params->active >> d & 1)) continue;
    const bool pair = d + 1 < x->rank && params->active >> (d + 1) & 1;
    add_pass(params, dims, y, x->rank, d, pair ? d + 1 : -1);
    const resize_pass* pass = &params->passes[params->pass_count - 1];
    if (pair) row = kp_max_size(row, pass->in_w * pass->inner);
    dims[d] = y->dims[d];
    if (pair) ++d, dims[d] = y->dims[d];
    size_t count = params->parts;
    for (int32_t i = 0; i < x->rank; ++i)
      if (!kp_mul_size(count, (size_t)dims[i], &count)) return false;
    const size_t buffer = (params->pass_count - 1) % 2;
    most[buffer] = kp_max_size(most[buffer], count);
  }
  // The last pass writes the output itself.
  if (params->pass_count < 3) most[(params->pass_count + 1) % 2] = 0;
  params->row_bytes = (row * size + KP_ALIGNMENT - 1) / KP_ALIGNMENT * KP_ALIGNMENT;
  return take(most[0], size, used, &params->buffers[0]) &&
         take(most[1], size, used, &params->buffers[1]) &&
         take(params->row_bytes, (size_t)plan->width, used, &params->row);
}

static bool plan_taps(const kp_op_plan* plan, resize_params* params, size_t* used) {
  const resize_state* state = plan->state;
  const kapell_value *x = plan->inputs[0], *y = plan->outputs[0];
  for (int32_t d = 0; d < x->rank; ++d) {
    if (!(params->active >> d & 1)) continue;
    taps_place* t = &params->taps[d];
    size_t count;
    t->places = (size_t)y->dims[d];
    t->taps = kp_resample_most_taps(&state->rule, (size_t)x->dims[d], t->places);
    if (!kp_mul_size(t->places, t->taps, &count) || !take(count, sizeof(size_t), used, &t->index) ||
        !take(count, sizeof(double), used, &t->weights) ||
        !take(t->places, sizeof(bool), used, &t->outside))
      return false;
  }
  return true;
}

static kp_status* resize_plan(kp_op_plan* plan) {
  const resize_state* state = plan->state;
  resize_params* params = kp_arena_new(plan->arena, resize_params);
  const kapell_value *x = plan->inputs[0], *y = plan->outputs[0];
  kp_resample_axis axes[KP_MAX_RANK];
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  const bool known = read_axes(plan->node, plan->inputs, x, y, axes);
  for (int32_t d = 0; d < x->rank; ++d)
    if (!known || !is_identity(&state->rule, &axes[d])) params->active |= UINT32_C(1) << d;
  const kapell_type type = x->type;
  const bool complex = type == KAPELL_COMPLEX64 || type == KAPELL_COMPLEX128;
  params->parts = complex ? 2 : 1;
  params->wide = type != KAPELL_FLOAT && type != KAPELL_COMPLEX64;
  params->copied = params->wide && type != KAPELL_DOUBLE && type != KAPELL_COMPLEX128;
  size_t used = 0;
  bool fits = plan_taps(plan, params, &used);
  if (fits && state->rule.mode != KP_NEAREST) {
    fits = plan_passes(plan, params, &used) &&
           take(params->copied ? kp_value_count(x) : 0, sizeof(double), &used, &params->in_copy) &&
           take(params->copied ? kp_value_count(y) : 0, sizeof(double), &used, &params->out_copy);
  }
  plan->scratch_bytes = used;
  return fits ? NULL : KP_ERROR(LIMIT, "resizing to more than memory can hold");
}

// --- one run -------------------------------------------------------------------------------------------------------------------------
// Where a dim reads, filled for this run; weights are float[places][taps] where the run computes in f32.
typedef struct resize_taps {
  size_t taps;
  const size_t* index;
  const void* weights;
  const bool* outside;
  bool any_outside;
} resize_taps;

typedef struct resize_job {
  const kp_op_run* run;
  const resize_params* params;
  resize_taps taps[KP_MAX_RANK];
  const resize_pass* pass;
  const void* from;
  void* to;
  size_t tasks, rows;  // of the pass
  double fill;         // extrapolation value
} resize_job;

static void fill_taps(resize_job* job, int32_t d, const kp_resample_axis* axis) {
  const resize_state* state = job->run->state;
  const taps_place* place = &job->params->taps[d];
  char* scratch = job->run->scratch;
  const size_t taps = kp_min_size(kp_resample_taps(&state->rule, axis), place->taps);
  size_t* index = (size_t*)(void*)(scratch + place->index);
  double* weights = (double*)(void*)(scratch + place->weights);
  bool* outside = (bool*)(scratch + place->outside);
  resize_taps* t = &job->taps[d];
  *t = (resize_taps){.taps = taps, .index = index, .weights = weights, .outside = outside};
  for (size_t i = 0; i < place->places; ++i) {
    outside[i] =
        !kp_resample_place(&state->rule, axis, i, taps, index + i * taps, weights + i * taps);
    t->any_outside |= outside[i];
  }
  if (job->params->wide) return;
  float* narrow =
      (float*)(void*)(scratch +
                      place->weights);  // in place: a float ends before the next double is read
  for (size_t i = 0; i < place->places * taps; ++i) {
    const double weight = weights[i];
    memcpy((char*)narrow + i * sizeof(float), &(float){(float)weight}, sizeof(float));
  }
}

// --- nearest ---------------------------------------------------------------------------------------------------------------------------
#define NO_ROW SIZE_MAX

typedef struct nearest_job {
  resize_job* job;
  int32_t last;   // the last dim that is resampled
  size_t inner;   // bytes behind it
  char* element;  // the extrapolation value, |size| bytes
  size_t size;
  bool doubled;  // each column stands twice
} nearest_job;

// First element of the input's row (over dims before |last|) that output row |row| shows, in rows; NO_ROW: extrapolated.
static size_t nearest_row(const nearest_job* n, size_t row) {
  const kapell_value *x = n->job->run->inputs[0], *y = n->job->run->outputs[0];
  size_t source = 0, stride = 1;
  for (int32_t d = n->last; d-- > 0;) {
    size_t at = row % (size_t)y->dims[d];
    row /= (size_t)y->dims[d];
    if (n->job->params->active >> d & 1) {
      if (n->job->taps[d].outside[at]) return NO_ROW;
      at = n->job->taps[d].index[at];
    }
    source += at * stride;
    stride *= (size_t)x->dims[d];
  }
  return source;
}

#define GATHER(bits)                                                                     \
  static void gather_##bits(size_t count, const void* x, const size_t* index, void* y) { \
    for (size_t i = 0; i < count; ++i)                                                   \
      ((uint##bits##_t*)y)[i] = ((const uint##bits##_t*)x)[index[i]];                    \
  }
GATHER(8)
GATHER(16)
GATHER(32)
GATHER(64)

// Every column of 32-bit elements twice, both at one store.
static void double_row(size_t count, const uint32_t* x, void* y) {
  for (size_t i = 0; i < count / 2; ++i) {
    const uint64_t both = (uint64_t)x[i] << 32 | x[i];
    memcpy((char*)y + i * sizeof(both), &both, sizeof(both));
  }
}

static void gather_row(const nearest_job* n, const char* x, char* y) {
  const resize_taps* t = &n->job->taps[n->last];
  const size_t count = n->job->params->taps[n->last].places;
  if (n->doubled) {
    double_row(count, (const uint32_t*)(const void*)x, y);
    return;
  }
  switch (n->inner) {
    case 1:
      gather_8(count, x, t->index, y);
      break;
    case 2:
      gather_16(count, x, t->index, y);
      break;
    case 4:
      gather_32(count, x, t->index, y);
      break;
    case 8:
      gather_64(count, x, t->index, y);
      break;
    default:
      for (size_t i = 0; i < count; ++i)
        memcpy(y + i * n->inner, x + t->index[i] * n->inner, n->inner);
  }
}

static void fill_element(const nearest_job* n, char* y, size_t bytes) {
  for (size_t at = 0; at < bytes; at += n->size) memcpy(y + at, n->element, n->size);
}

static void nearest_task(void* arg, size_t task, int worker) {
  (void)worker;
  const nearest_job* n = arg;
  const kapell_value *x = n->job->run->inputs[0], *y = n->job->run->outputs[0];
  const resize_taps* t = &n->job->taps[n->last];
  const size_t in_row = (size_t)x->dims[n->last] * n->inner,
               out_row = (size_t)y->dims[n->last] * n->inner;
  size_t first, last, before = NO_ROW;
  if (kp_cancelled(n->job->run)) return;
  kp_share(n->job->rows, n->job->tasks, task, &first, &last);
  for (size_t r = first; r < last; ++r) {
    char* to = (char*)y->data + r * out_row;
    const size_t source = nearest_row(n, r);
    if (source == NO_ROW) {
      fill_element(n, to, out_row);
    } else if (source == before) {
      memcpy(to, to - out_row, out_row);
    } else {
      gather_row(n, (const char*)x->data + source * in_row, to);
      for (size_t i = 0; t->any_outside && i < (size_t)y->dims[n->last]; ++i)
        if (t->outside[i]) fill_element(n, to + i * n->inner, n->inner);
    }
    before = source;
  }
}

// Texts, one by one.
static kp_status* nearest_strings(const nearest_job* n) {
  const kapell_value* x = n->job->run->inputs[0];
  kapell_value* y = n->job->run->outputs[0];
  const resize_taps* t = &n->job->taps[n->last];
  const size_t inner = kp_span(y, n->last + 1, y->rank), in = (size_t)x->dims[n->last],
               out = (size_t)y->dims[n->last];
  KP_PASS(kp_zero_tensor(y));
  for (size_t r = 0; r < n->job->rows; ++r) {
    const size_t source = nearest_row(n, r);
    for (size_t i = 0; i < out; ++i) {
      if (source == NO_ROW || t->outside[i]) continue;
      KP_PASS(kp_copy_elements(y, (r * out + i) * inner, x, (source * in + t->index[i]) * inner,
                               inner));
    }
  }
  return NULL;
}

// The extrapolation value as an element of the output.
static void make_element(double value, kapell_type type, char* element) {
  kapell_value one = {.kind = KAPELL_KIND_TENSOR, .type = type, .data = element};
  const float narrow = (float)value;
  if (type == KAPELL_FLOAT || type == KAPELL_COMPLEX64)
    memcpy(element, &narrow, sizeof(narrow));
  else if (type == KAPELL_DOUBLE || type == KAPELL_COMPLEX128)
    memcpy(element, &value, sizeof(value));
  else
    kp_store_rounded(&value, 1, &one);
}

static kp_status* nearest_run(resize_job* job) {
  kapell_value* y = job->run->outputs[0];
  const kapell_value* x = job->run->inputs[0];
  _Alignas(16) char element[16] = {0};
  if (!job->params->active) return kp_copy_elements(y, 0, x, 0, kp_value_count(y));
  nearest_job n = {.job = job, .element = element, .size = kp_type_bits(y->type) / 8};
  n.last = 31 - __builtin_clz(job->params->active);
  job->rows = kp_span(y, 0, n.last);
  if (y->type == KAPELL_STRING) return nearest_strings(&n);
  n.inner = kp_span(y, n.last + 1, y->rank) * n.size;
  make_element(job->fill, y->type, element);
  const size_t columns = (size_t)y->dims[n.last];
  n.doubled = n.inner == 4 && columns % 2 == 0 && !job->taps[n.last].any_outside;
  for (size_t i = 0; n.doubled && i < columns; ++i) n.doubled = job->taps[n.last].index[i] == i / 2;
  const int width = kp_op_width(job->run->width, y->byte_count / 4);
  job->tasks = kp_min_size(job->rows, (size_t)width * 4);
  kp_parallel_for(width, job->tasks, nearest_task, &n);
  return NULL;
}

// --- linear and cubic --------------------------------------------------------------------------------------------------------------------
static void mix(const resize_job* job, size_t outputs, size_t taps, size_t inner, const void* x,
                const size_t* index, const void* weights, void* y) {
  if (!job->params->wide) {
    ((const resize_state*)job->run->state)->ops->mix(outputs, taps, inner, x, index, weights, y);
    return;
  }
  const double *from = x, *w = weights;
  double* to = y;
  for (size_t o = 0; o < outputs; ++o, index += taps, w += taps, to += inner) {
    for (size_t i = 0; i < inner; ++i) {
      double sum = 0;
      for (size_t k = 0; k < taps; ++k) sum += w[k] * from[index[k] * inner + i];
      to[i] = sum;
    }
  }
}

static void fill_numbers(const resize_job* job, void* y, size_t count) {
  const size_t parts = job->params->parts;  // a complex number's imaginary part is 0
  for (size_t i = 0; i < count; ++i) {
    const double value = i % parts ? 0 : job->fill;
    if (job->params->wide)
      ((double*)y)[i] = value;
    else
      ((float*)y)[i] = (float)value;
  }
}

static const void* weights_at(const resize_job* job, const resize_taps* t, size_t place) {
  return (const char*)t->weights +
         place * t->taps * (job->params->wide ? sizeof(double) : sizeof(float));
}

// Output rows [first, last) of the pass's outer * out_h.
static void pass_task(void* arg, size_t task, int worker) {
  const resize_job* job = arg;
  const resize_pass* p = job->pass;
  const size_t size = job->params->wide ? sizeof(double) : sizeof(float);
  const resize_taps *rows = p->rows >= 0 ? &job->taps[p->rows] : NULL,
                    *cols = p->cols >= 0 ? &job->taps[p->cols] : NULL;
  const size_t in_row = p->in_w * p->inner, out_row = p->out_w * p->inner;
  char* between =
      (char*)job->run->scratch + job->params->row + (size_t)worker * job->params->row_bytes;
  size_t first, last;
  if (kp_cancelled(job->run)) return;
  kp_share(job->rows, job->tasks, task, &first, &last);
  for (size_t r = first; r < last; ++r) {
    const size_t at = r % p->out_h;
    const char* picture = (const char*)job->from + r / p->out_h * p->in_h * in_row * size;
    char* to = (char*)job->to + r * out_row * size;
    if (rows && rows->outside[at]) {
      fill_numbers(job, to, out_row);
      continue;
    }
    if (rows) {
      mix(job, 1, rows->taps, in_row, picture, rows->index + at * rows->taps,
          weights_at(job, rows, at), cols ? between : to);
      picture = between;
    }
    if (!cols) continue;
    mix(job, p->out_w, cols->taps, p->inner, picture, cols->index, cols->weights, to);
    for (size_t i = 0; cols->any_outside && i < p->out_w; ++i)
      if (cols->outside[i]) fill_numbers(job, to + i * p->inner * size, p->inner);
  }
}

static kp_status* filter_run(resize_job* job) {
  const resize_params* params = job->params;
  const kapell_value* x = job->run->inputs[0];
  kapell_value* y = job->run->outputs[0];
  char* scratch = job->run->scratch;
  if (!params->active) return kp_copy_elements(y, 0, x, 0, kp_value_count(y));
  job->from = x->data;
  if (params->copied) {
    kp_load_numbers(x, (double*)(void*)(scratch + params->in_copy));
    job->from = scratch + params->in_copy;
  }
  void* end = params->copied ? scratch + params->out_copy : y->data;
  for (size_t i = 0; i < params->pass_count; ++i) {
    job->pass = &params->passes[i];
    job->to = i + 1 == params->pass_count ? end : scratch + params->buffers[i % 2];
    job->rows = job->pass->outer * job->pass->out_h;
    const size_t work = job->rows * job->pass->out_w * job->pass->inner;
    const int width = kp_op_width(job->run->width, work);
    job->tasks = kp_min_size(job->rows, (size_t)width * 4);
    kp_parallel_for(width, job->tasks, pass_task, job);
    job->from = job->to;
  }
  if (params->copied) kp_store_rounded(end, kp_value_count(y), y);
  return NULL;
}

static kp_status* resize_run(const kp_op_run* run) {
  const resize_state* state = run->state;
  const kapell_value *x = run->inputs[0], *y = run->outputs[0];
  kp_resample_axis axes[KP_MAX_RANK];
  resize_job job = {.run = run, .params = run->params, .fill = state->rule.extrapolation};
  if (!kp_value_count(y)) return NULL;
  if (!kp_value_count(x))
    return KP_ERROR(RUN_FAILED, "an empty tensor cannot be resized to %zu elements",
                    kp_value_count(y));
  if (!read_axes(run->node, (const kapell_value* const*)run->inputs, x, y, axes))
    return KP_ERROR(RUN_FAILED, "neither scales nor sizes for every dim");
  for (int32_t d = 0; d < x->rank; ++d)
    if (job.params->active >> d & 1) fill_taps(&job, d, &axes[d]);
  return state->rule.mode == KP_NEAREST ? nearest_run(&job) : filter_run(&job);
}

// clang-format off
#define RESIZE(op, version) \
  {.name = op, .since = version, .supports = resize_supports, .prepare = resize_prepare, .plan = resize_plan, .run = resize_run, \
   .flags = KP_OP_WIDEN, .kernels = "f32: resize"}
static const kp_op_def ops[] = {RESIZE("Resize", 10), RESIZE("Upsample", 1)};  // spec: ONNX operators Resize-10..19, Upsample-1..10
// clang-format on
KP_OP_TABLE(resize);
