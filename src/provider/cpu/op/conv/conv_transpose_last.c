// kapell.ConvTranspose: ConvTranspose on channels-last f32, made by fuse/channels_last.c.
//
//   inputs   X [N, spatial..., C], W as in ONNX (constant), bias [M] or absent, residual of the output's shape or absent
//   output   act(conv_transpose(X, W) + bias + residual), [N, spatial..., M]
//   attributes  those of ONNX ConvTranspose; act, act_a, act_b (kernel/epilogue.h)
// One to three spatial dims: depth, height, width; those that there are not are 1 wide.
//
// No windows are added up. An output pixel is reached by those taps alone whose position differs from its own by a multiple of the
// stride; pixels with the same taps form a *phase*, as many as the strides' product. A phase is a convolution of stride 1: its taps' filters
// are packed together, the pixels under them are rows of A by pointers, and bias, residual and activation are applied once.
#include "provider/cpu/fuse/match.h"
#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/op/help.h"
#include "provider/cpu/packed.h"

#define ROWS_A_TASK 96  // output pixels of a phase's row

// One spatial dim.
typedef struct transpose_dim {
  int64_t kernel, stride, dilation, extra;
  int64_t before, after, wanted;  // |wanted|: output_shape, or -1
  int64_t in, out, begin;         // of a signature
} transpose_dim;

enum { DEPTH, HEIGHT, WIDTH, DIMS };

typedef struct transpose_state {
  const kp_gemm_ops* gemm;
  transpose_dim dims[DIMS];
  bool upper, lower, pads_given;
  int spatial;
  size_t groups, in_c, out_c;  // channels of one group
  const float* packed;
  size_t* offsets;  // of each phase's filters in |packed|, those of all groups together
  kp_act act;
} transpose_state;

typedef struct transpose_params {
  transpose_dim dims[DIMS];
  size_t batch, parts;  // parts: tasks of one row
  size_t table_bytes, zeros_bytes, worker_bytes;
} transpose_params;

// --- attributes and sizes ----------------------------------------------------------------------------------------------------------
// Attribute |name|, |parts| numbers for each dim, the |part|-th of them: into the member at |offset| of each dim there is.
static kp_status* read_dims(const kp_node* node, const char* name, int parts, int part,
                            size_t offset, transpose_state* s) {
  size_t count;
  const int64_t* ints = kp_node_attr_ints(node, name, &count);
  if (count && count != (size_t)s->spatial * (size_t)parts)
    return KP_ERROR(INVALID_MODEL, "%s has %zu entries for %d dims", name, count, s->spatial);
  for (int i = 0; count && i < s->spatial; ++i) {
    transpose_dim* dim = &s->dims[DIMS - s->spatial + i];
    memcpy((char*)dim + offset, &ints[part * s->spatial + i], sizeof(*ints));
  }
  return NULL;
}

static kp_status* read_node(const kp_node* node, const int64_t* w_dims, transpose_state* s) {
  const kp_str mode = kp_node_attr_s(node, "auto_pad", "NOTSET");
  size_t pads;
  kp_node_attr_ints(node, "pads", &pads);
  s->pads_given = pads > 0;
  s->upper = kp_str_is(mode, "SAME_UPPER");
  s->lower = kp_str_is(mode, "SAME_LOWER");
  for (int i = 0; i < DIMS; ++i) {
    const int given = i - (DIMS - s->spatial);
    s->dims[i] = (transpose_dim){
        .kernel = given < 0 ? 1 : w_dims[2 + given], .stride = 1, .dilation = 1, .wanted = -1};
  }
  KP_PASS(read_dims(node, "strides", 1, 0, offsetof(transpose_dim, stride), s));
  KP_PASS(read_dims(node, "dilations", 1, 0, offsetof(transpose_dim, dilation), s));
  KP_PASS(read_dims(node, "output_padding", 1, 0, offsetof(transpose_dim, extra), s));
  KP_PASS(read_dims(node, "output_shape", 1, 0, offsetof(transpose_dim, wanted), s));
  if (kp_str_is(mode, "NOTSET") || kp_str_is(mode, "")) {
    KP_PASS(read_dims(node, "pads", 2, 0, offsetof(transpose_dim, before), s));
    KP_PASS(read_dims(node, "pads", 2, 1, offsetof(transpose_dim, after), s));
  }
  const int64_t groups = kp_node_attr_i(node, "group", 1);
  bool fine = groups >= 1 && w_dims[0] % groups == 0;
  for (int i = 0; i < DIMS; ++i) fine &= s->dims[i].stride >= 1 && s->dims[i].dilation >= 1;
  if (!fine) return KP_ERROR(INVALID_MODEL, "strides, dilations or group are out of range");
  s->groups = (size_t)groups;
  s->in_c = (size_t)(w_dims[0] / groups);
  s->out_c = (size_t)w_dims[1];
  s->act = kp_read_act(node);
  return NULL;
}

// Output size and the padding before it.
static kp_status* set_size(const transpose_state* s, int64_t in, transpose_dim* d) {
  int64_t whole, reach;
  if (!kp_mul_i64(in - 1, d->stride, &whole) || !kp_mul_i64(d->kernel - 1, d->dilation, &reach) ||
      !kp_add_i64(whole, reach, &whole) || !kp_add_i64(whole, d->extra + 1, &whole))
    return KP_ERROR(INVALID_INPUT, "a dim of %lld grows beyond what can be counted", (long long)in);
  const bool same = s->upper || s->lower;
  d->in = in;
  d->out = d->wanted >= 0 ? d->wanted
           : same         ? whole - kp_max_i64(0, reach + 1 + d->extra - d->stride)
                          : whole - d->before - d->after;
  if (d->out < 0)
    return KP_ERROR(INVALID_INPUT, "padding leaves nothing of %lld", (long long)whole);
  d->begin = d->before;
  if (same || (d->wanted >= 0 && !s->pads_given)) {
    const int64_t total = kp_max_i64(0, whole - d->out);
    d->begin = s->upper ? total / 2 : total - total / 2;
  }
  return NULL;
}

static kp_status* set_sizes(const transpose_state* s, const int64_t* x_dims, transpose_dim* dims) {
  if ((size_t)x_dims[s->spatial + 1] != s->in_c * s->groups)
    return KP_ERROR(INVALID_INPUT, "X has %lld channels and the filters want %zu",
                    (long long)x_dims[s->spatial + 1], s->in_c * s->groups);
  memcpy(dims, s->dims, sizeof(s->dims));
  for (int i = 0; i < DIMS; ++i) {
    const int given = i - (DIMS - s->spatial);
    dims[i].in = dims[i].out = 1;
    if (given >= 0) KP_PASS(set_size(s, x_dims[1 + given], &dims[i]));
  }
  return NULL;
}

static kp_status* transpose_last_infer(kp_infer* infer) {
  const kp_type *x = infer->inputs[0], *w = infer->inputs[1];
  if (!x || !w || x->rank < 3 || x->rank > 5 || w->rank != x->rank)
    return KP_ERROR(INTERNAL, "a channels-last transposed convolution of rank %d",
                    x ? x->rank : -1);
  transpose_state state = {.spatial = x->rank - 2};
  transpose_dim sizes[DIMS];
  KP_PASS(read_node(infer->node, w->dims, &state));
  KP_PASS(set_sizes(&state, x->dims, sizes));
  int64_t* dims = kp_arena_new_array(infer->arena, int64_t, 5);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "shapes");
  int32_t rank = 0;
  dims[rank++] = x->dims[0];
  for (int i = DIMS - state.spatial; i < DIMS; ++i) dims[rank++] = sizes[i].out;
  dims[rank++] = (int64_t)(state.groups * state.out_c);
  infer->outputs[0] =
      (kp_type){.kind = KAPELL_KIND_TENSOR, .element = KAPELL_FLOAT, .rank = rank, .dims = dims};
  return NULL;
}

// --- phases ------------------------------------------------------------------------------------------------------------------------
// Is tap |k| one of phase |phase|: (k * dilation) % stride?
static bool in_phase(const transpose_dim* d, int64_t k, int64_t phase) {
  return k * d->dilation % d->stride == phase;
}

static size_t phase_taps(const transpose_dim* d, int64_t phase) {
  size_t count = 0;
  for (int64_t k = 0; k < d->kernel; ++k) count += in_phase(d, k, phase);
  return count;
}

// First output place of |phase|.
static int64_t phase_start(const transpose_dim* d, int64_t phase) {
  return ((phase - d->begin) % d->stride + d->stride) % d->stride;
}

static size_t phase_count(const transpose_dim* d, int64_t phase) {
  const int64_t start = phase_start(d, phase);
  return start >= d->out ? 0 : (size_t)((d->out - start + d->stride - 1) / d->stride);
}

// The phases' number along each dim, of phase |index| of all.
static void split_phase(const transpose_dim* dims, int64_t index, int64_t* phase) {
  for (int i = DIMS; i-- > 0; index /= dims[i].stride) phase[i] = index % dims[i].stride;
}

static size_t taps_of(const transpose_dim* dims, const int64_t* phase) {
  return phase_taps(&dims[DEPTH], phase[DEPTH]) * phase_taps(&dims[HEIGHT], phase[HEIGHT]) *
         phase_taps(&dims[WIDTH], phase[WIDTH]);
}

// The filters of one phase and group, [tap][in_c][out_c].
static void gather_filters(const transpose_state* s, const float* w, size_t group,
                           const int64_t* phase, float* out) {
  const transpose_dim* d = s->dims;
  const size_t taps = (size_t)(d[DEPTH].kernel * d[HEIGHT].kernel * d[WIDTH].kernel);
  for (size_t tap = 0; tap < taps; ++tap) {
    size_t rest = tap;
    bool in = true;
    for (int i = DIMS; i-- > 0; rest /= (size_t)d[i].kernel)
      in &= in_phase(&d[i], (int64_t)(rest % (size_t)d[i].kernel), phase[i]);
    if (!in) continue;
    for (size_t c = 0; c < s->in_c; ++c)
      for (size_t m = 0; m < s->out_c; ++m)
        *out++ = w[((group * s->in_c + c) * s->out_c + m) * taps + tap];
  }
}

static kp_status* count_phases(const transpose_state* s, size_t* out_phases) {
  const transpose_dim* d = s->dims;
  size_t phases;
  if (kp_mul_size((size_t)d[DEPTH].stride, (size_t)d[HEIGHT].stride, &phases) &&
      kp_mul_size(phases, (size_t)d[WIDTH].stride, &phases) && phases <= UINT32_MAX) {
    *out_phases = phases;
    return NULL;
  }
  return KP_ERROR(LIMIT, "strides of %lld x %lld x %lld", (long long)d[DEPTH].stride,
                  (long long)d[HEIGHT].stride, (long long)d[WIDTH].stride);
}

static kp_status* pack(kp_op_prepare* prepare, transpose_state* s, const kapell_value* w) {
  size_t total = 0, phases;
  int64_t phase[DIMS];
  KP_PASS(count_phases(s, &phases));
  s->offsets = kp_arena_new_array(prepare->arena, size_t, phases);
  float* scratch = kp_alloc_aligned(w->byte_count, KP_ALIGNMENT);
  for (size_t p = 0; s->offsets && p < phases; ++p) {
    split_phase(s->dims, (int64_t)p, phase);
    s->offsets[p] = total;
    total +=
        s->groups * kp_gemm_packed_b_size(s->gemm, taps_of(s->dims, phase) * s->in_c, s->out_c);
  }
  float* packed = s->offsets ? kp_prepare_packed(prepare, total * sizeof(float)) : NULL;
  for (size_t p = 0; packed && scratch && p < phases; ++p) {
    split_phase(s->dims, (int64_t)p, phase);
    const size_t depth = taps_of(s->dims, phase) * s->in_c,
                 size = kp_gemm_packed_b_size(s->gemm, depth, s->out_c);
    for (size_t g = 0; depth && g < s->groups; ++g) {
      gather_filters(s, w->data, g, phase, scratch);
      kp_gemm_pack_b(s->gemm, depth, 0, s->out_c, scratch, s->out_c, false,
                     packed + s->offsets[p] + g * size);
    }
  }
  const bool whole = packed && scratch;
  kp_free(scratch);
  s->packed = whole ? kp_prepare_settle(prepare, packed) : packed;
  return whole ? NULL : KP_ERROR(OUT_OF_MEMORY, "packing %zu floats", total);
}

static kp_status* transpose_last_prepare(kp_op_prepare* prepare) {
  transpose_state* state = kp_arena_new(prepare->arena, transpose_state);
  const kapell_value* w = kp_prepare_constant(prepare, 1);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  if (!w || w->type != KAPELL_FLOAT || w->rank < 3 || w->rank > 5)
    return KP_ERROR(INTERNAL, "filters of a channels-last transposed convolution");
  prepare->state = state;
  prepare->kernel = "conv_transpose_f32";
  state->gemm = kp_gemm_select(prepare->features);
  state->spatial = w->rank - 2;
  KP_PASS(read_node(prepare->node, w->dims, state));
  KP_PASS(pack(prepare, state, w));
  prepare->consumed[1] = true;
  return NULL;
}

// --- plan and run ------------------------------------------------------------------------------------------------------------------
static size_t up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }
static bool copies_rows(const transpose_state* s) { return s->out_c >= 8 * s->gemm->nr; }

static kp_status* transpose_last_plan(kp_op_plan* plan) {
  const transpose_state* s = plan->state;
  transpose_params* p = kp_arena_new(plan->arena, transpose_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  KP_PASS(set_sizes(s, plan->inputs[0]->dims, p->dims));
  const transpose_dim* w = &p->dims[WIDTH];
  p->batch = (size_t)plan->inputs[0]->dims[0];
  const size_t widest = (size_t)((w->out + w->stride - 1) / w->stride),
               taps = (size_t)(p->dims[DEPTH].kernel * p->dims[HEIGHT].kernel * w->kernel);
  p->parts = kp_max_size((widest + ROWS_A_TASK - 1) / ROWS_A_TASK, 1);
  p->table_bytes = up(taps * ROWS_A_TASK * sizeof(float*), KP_ALIGNMENT);
  p->zeros_bytes = up(s->in_c * sizeof(float), KP_ALIGNMENT);
  const size_t copy = copies_rows(s) ? ROWS_A_TASK * s->gemm->depth_max * sizeof(float) : 0;
  p->worker_bytes = p->table_bytes + p->zeros_bytes + up(copy, KP_ALIGNMENT);
  plan->scratch_bytes = p->worker_bytes * (size_t)plan->width;
  return NULL;
}

typedef struct transpose_job {
  const kp_op_run* run;
  const transpose_params* params;
  size_t slices, rows;  // most output slices, and rows in one, of a phase
} transpose_job;

// A run of outputs of a phase in one row: output pixels |stride| of the width apart.
typedef struct transpose_run {
  size_t picture;
  int64_t phase[DIMS];
  size_t slice, row, first, count;  // in the phase's own counting
} transpose_run;

// The input place under tap |k| of output |at| of the phase; may lie outside.
static int64_t source(const transpose_dim* d, int64_t phase, size_t at, int64_t k) {
  return (int64_t)at + (phase_start(d, phase) + d->begin - k * d->dilation) / d->stride;
}

// Pointers to the pixels under each tap of the run's outputs; |zeros| where there is none.
static void fill_table(const transpose_job* job, const float* picture, const transpose_run* r,
                       const float* zeros, const float** table) {
  const transpose_state* s = job->run->state;
  const transpose_dim *d = &job->params->dims[DEPTH], *h = &job->params->dims[HEIGHT],
                      *w = &job->params->dims[WIDTH];
  const size_t pixel = s->groups * s->in_c;
  for (int64_t kd = 0; kd < d->kernel; ++kd) {
    if (!in_phase(d, kd, r->phase[DEPTH])) continue;
    const int64_t z = source(d, r->phase[DEPTH], r->slice, kd);
    for (int64_t kh = 0; kh < h->kernel; ++kh) {
      if (!in_phase(h, kh, r->phase[HEIGHT])) continue;
      const int64_t y = source(h, r->phase[HEIGHT], r->row, kh);
      const bool line = z >= 0 && z < d->in && y >= 0 && y < h->in;
      for (int64_t kw = 0; kw < w->kernel; ++kw) {
        if (!in_phase(w, kw, r->phase[WIDTH])) continue;
        const int64_t left = source(w, r->phase[WIDTH], r->first, kw);
        for (size_t i = 0; i < r->count; ++i) {
          const int64_t x = left + (int64_t)i;
          const bool inside = line && x >= 0 && x < w->in;
          *table++ = inside ? picture + (size_t)((z * h->in + y) * w->in + x) * pixel : zeros;
        }
      }
    }
  }
}

// The output place of the |at|-th of a phase.
static size_t place(const transpose_dim* d, int64_t phase, size_t at) {
  return (size_t)(phase_start(d, phase) + (int64_t)at * d->stride);
}

static void multiply(const transpose_job* job, const transpose_run* r, char* scratch) {
  const transpose_state* s = job->run->state;
  const transpose_params* p = job->params;
  const transpose_dim *d = &p->dims[DEPTH], *h = &p->dims[HEIGHT], *w = &p->dims[WIDTH];
  const kapell_value *bias = kp_run_input(job->run, 2), *residual = kp_run_input(job->run, 3);
  const float** table = (const float**)(void*)scratch;
  float* zeros = (float*)(void*)(scratch + p->table_bytes);
  const size_t pixel = s->groups * s->out_c, taps = taps_of(p->dims, r->phase),
               depth = taps * s->in_c, rows = r->count;
  const size_t z = r->picture * (size_t)d->out + place(d, r->phase[DEPTH], r->slice),
               y = z * (size_t)h->out + place(h, r->phase[HEIGHT], r->row),
               at = (y * (size_t)w->out + place(w, r->phase[WIDTH], r->first)) * pixel;
  const int64_t phase =
      (r->phase[DEPTH] * h->stride + r->phase[HEIGHT]) * w->stride + r->phase[WIDTH];
  memset(zeros, 0, p->zeros_bytes);
  for (size_t g = 0; g < s->groups; ++g) {
    const float* from = (const float*)job->run->inputs[0]->data +
                        r->picture * (size_t)(d->in * h->in * w->in) * s->groups * s->in_c +
                        g * s->in_c;
    fill_table(job, from, r, zeros, table);
    kp_gemm_tile tile = {.rows = rows,
                         .cols = s->out_c,
                         .taps = taps,
                         .depth = s->in_c,
                         .a_rows = table,
                         .a_tap_stride = rows,
                         .b_row_stride = s->gemm->nr,
                         .b_panel_stride = depth * s->gemm->nr,
                         .c_stride = pixel * (size_t)w->stride,
                         .epilogue = KP_EPILOGUE_NONE};
    tile.b =
        s->packed + s->offsets[(size_t)phase] + g * kp_gemm_packed_b_size(s->gemm, depth, s->out_c);
    tile.c = (float*)job->run->outputs[0]->data + at + g * s->out_c;
    tile.epilogue.bias_n = bias ? (const float*)bias->data + g * s->out_c : NULL;
    tile.epilogue.residual = residual ? (const float*)residual->data + at + g * s->out_c : NULL;
    tile.epilogue.residual_stride = tile.c_stride;
    tile.epilogue.act = s->act;
    if (!taps) {  // between two windows: bias, residual and activation alone
      tile.taps = 1;
      tile.depth = 0;
      for (size_t i = 0; i < rows; ++i) table[i] = zeros;
    }
    if (copies_rows(s)) tile.a_copy = (float*)(void*)(scratch + p->table_bytes + p->zeros_bytes);
    s->gemm->multiply(&tile);
  }
}

static void transpose_last_task(void* arg, size_t task, int worker) {
  const transpose_job* job = arg;
  const transpose_params* p = job->params;
  const transpose_dim* dims = p->dims;
  if (kp_cancelled(job->run)) return;
  // Phases change last, so that a phase's filters stay in the cache.
  const size_t first = task % p->parts * ROWS_A_TASK;
  transpose_run r = {.first = first};
  task /= p->parts;
  r.row = task % job->rows;
  task /= job->rows;
  r.slice = task % job->slices;
  task /= job->slices;
  r.picture = task % p->batch;
  split_phase(dims, (int64_t)(task / p->batch), r.phase);
  const size_t count = phase_count(&dims[WIDTH], r.phase[WIDTH]);
  if (r.slice >= phase_count(&dims[DEPTH], r.phase[DEPTH]) ||
      r.row >= phase_count(&dims[HEIGHT], r.phase[HEIGHT]) || first >= count)
    return;
  r.count = kp_min_size(ROWS_A_TASK, count - first);
  multiply(job, &r, (char*)job->run->scratch + (size_t)worker * p->worker_bytes);
}

static size_t most_of_phase(const transpose_dim* d) {
  return (size_t)((d->out + d->stride - 1) / d->stride);
}

static kp_status* transpose_last_run(const kp_op_run* run) {
  const transpose_params* p = run->params;
  const transpose_state* s = run->state;
  transpose_job job = {run, p, most_of_phase(&p->dims[DEPTH]), most_of_phase(&p->dims[HEIGHT])};
  size_t phases = 1, work = kp_value_count(run->inputs[0]) * s->out_c;
  if (!kp_value_count(run->outputs[0])) return NULL;
  for (int i = 0; i < DIMS; ++i) {
    phases *= (size_t)p->dims[i].stride;
    work *= (size_t)p->dims[i].kernel;
  }
  kp_parallel_for_dynamic(kp_op_width(run->width, work / 16),
                          phases * p->batch * job.slices * job.rows * p->parts, transpose_last_task,
                          &job);
  return NULL;
}

static const kp_op_def ops[] = {
    {.domain = "kapell",
     .name = "ConvTranspose",
     .since = 1,
     .types = KP_M(FLOAT),
     .prepare = transpose_last_prepare,
     .plan = transpose_last_plan,
     .run = transpose_last_run,
     .infer = transpose_last_infer,
     .kernels = "f32: gemm"},
};
KP_OP_TABLE(conv_transpose_last);
