// kapell.ConvTranspose: ConvTranspose on channels-last f32, made by fuse/channels_last.c.
//
//   inputs   X [N, spatial..., C], W as in ONNX (constant), bias [M] or absent, residual of the output's shape or absent
//   output   act(conv_transpose(X, W) + bias + residual), [N, spatial..., M]
//   attributes  those of ONNX ConvTranspose; act, act_a, act_b (kernel/epilogue.h)
// One or two spatial dims; a 1-D one has height 1.
//
// No windows are added up. An output pixel is reached by those taps alone whose position differs from its own by a multiple of the
// stride; pixels with the same taps form a *phase*, stride_h * stride_w of them. A phase is a convolution of stride 1: its taps' filters
// are packed together, the pixels under them are rows of A by pointers, and bias, residual and activation are applied once.
#include "provider/cpu/fuse/match.h"
#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/op/help.h"

#define ROWS_A_TASK 96  // output pixels of a phase's row

// One spatial dim.
typedef struct transpose_dim {
  int64_t kernel, stride, dilation, extra;
  int64_t before, after, wanted;  // |wanted|: output_shape, or -1
  int64_t in, out, begin;         // of a signature
} transpose_dim;

typedef struct transpose_state {
  const kp_gemm_ops* gemm;
  transpose_dim dims[2];  // height, width
  bool upper, lower, pads_given;
  int spatial;
  size_t groups, in_c, out_c;  // channels of one group
  const float* packed;
  size_t* offsets;  // of each phase's filters in |packed|, those of all groups together
  kp_act act;
} transpose_state;

typedef struct transpose_params {
  transpose_dim dims[2];
  size_t batch, parts;  // parts: tasks of one row
  size_t table_bytes, zeros_bytes, worker_bytes;
} transpose_params;

// --- attributes and sizes ----------------------------------------------------------------------------------------------------------
static kp_status* read_entry(const kp_node* node, const char* name, int spatial, size_t which,
                             size_t per_dim, int64_t fallback, int64_t* out_h, int64_t* out_w) {
  size_t count;
  const int64_t* ints = kp_node_attr_ints(node, name, &count);
  if (count && count != (size_t)spatial * per_dim)
    return KP_ERROR(INVALID_MODEL, "%s has %zu entries for %d dims", name, count, spatial);
  const size_t first = which * (size_t)spatial;
  *out_h = count && spatial == 2 ? ints[first] : fallback;
  *out_w = count ? ints[first + (size_t)spatial - 1] : fallback;
  return NULL;
}

static kp_status* read_node(const kp_node* node, const int64_t* w_dims, transpose_state* s) {
  transpose_dim *h = &s->dims[0], *w = &s->dims[1];
  const kp_str mode = kp_node_attr_s(node, "auto_pad", "NOTSET");
  size_t pads;
  kp_node_attr_ints(node, "pads", &pads);
  s->pads_given = pads > 0;
  s->upper = kp_str_is(mode, "SAME_UPPER");
  s->lower = kp_str_is(mode, "SAME_LOWER");
  KP_PASS(read_entry(node, "strides", s->spatial, 0, 1, 1, &h->stride, &w->stride));
  KP_PASS(read_entry(node, "dilations", s->spatial, 0, 1, 1, &h->dilation, &w->dilation));
  KP_PASS(read_entry(node, "output_padding", s->spatial, 0, 1, 0, &h->extra, &w->extra));
  KP_PASS(read_entry(node, "output_shape", s->spatial, 0, 1, -1, &h->wanted, &w->wanted));
  if (s->spatial == 1) h->wanted = -1;
  if (kp_str_is(mode, "NOTSET") || kp_str_is(mode, "")) {
    KP_PASS(read_entry(node, "pads", s->spatial, 0, 2, 0, &h->before, &w->before));
    KP_PASS(read_entry(node, "pads", s->spatial, 1, 2, 0, &h->after, &w->after));
  }
  h->kernel = s->spatial == 2 ? w_dims[2] : 1;
  w->kernel = w_dims[s->spatial + 1];
  const int64_t groups = kp_node_attr_i(node, "group", 1);
  if (h->stride < 1 || w->stride < 1 || h->dilation < 1 || w->dilation < 1 || groups < 1 ||
      w_dims[0] % groups)
    return KP_ERROR(INVALID_MODEL, "strides, dilations or group are out of range");
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
  if (s->spatial == 2) {
    KP_PASS(set_size(s, x_dims[1], &dims[0]));
  } else {
    dims[0].in = dims[0].out = 1;
  }
  return set_size(s, x_dims[s->spatial], &dims[1]);
}

static kp_status* transpose_last_infer(kp_infer* infer) {
  const kp_type *x = infer->inputs[0], *w = infer->inputs[1];
  if (!x || !w || x->rank < 3 || x->rank > 4 || w->rank != x->rank)
    return KP_ERROR(INTERNAL, "a channels-last transposed convolution of rank %d",
                    x ? x->rank : -1);
  transpose_state state = {.spatial = x->rank - 2};
  transpose_dim sizes[2];
  KP_PASS(read_node(infer->node, w->dims, &state));
  KP_PASS(set_sizes(&state, x->dims, sizes));
  int64_t* dims = kp_arena_new_array(infer->arena, int64_t, 4);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "shapes");
  int32_t rank = 0;
  dims[rank++] = x->dims[0];
  if (state.spatial == 2) dims[rank++] = sizes[0].out;
  dims[rank++] = sizes[1].out;
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

static size_t depth_of(const transpose_state* s, int64_t phase_h, int64_t phase_w) {
  return phase_taps(&s->dims[0], phase_h) * phase_taps(&s->dims[1], phase_w) * s->in_c;
}

// The filters of one phase and group, [tap][in_c][out_c].
static void gather_filters(const transpose_state* s, const float* w, size_t group, int64_t phase_h,
                           int64_t phase_w, float* out) {
  const transpose_dim *h = &s->dims[0], *v = &s->dims[1];
  const size_t taps = (size_t)(h->kernel * v->kernel);
  for (int64_t kh = 0; kh < h->kernel; ++kh) {
    for (int64_t kw = 0; kw < v->kernel; ++kw) {
      if (!in_phase(h, kh, phase_h) || !in_phase(v, kw, phase_w)) continue;
      for (size_t c = 0; c < s->in_c; ++c)
        for (size_t m = 0; m < s->out_c; ++m)
          *out++ = w[((group * s->in_c + c) * s->out_c + m) * taps + (size_t)(kh * v->kernel + kw)];
    }
  }
}

static kp_status* pack(kp_op_prepare* prepare, transpose_state* s, const kapell_value* w) {
  const int64_t phases_h = s->dims[0].stride, phases_w = s->dims[1].stride;
  size_t total = 0, phases;
  if (!kp_mul_size((size_t)phases_h, (size_t)phases_w, &phases) || phases > UINT32_MAX)
    return KP_ERROR(LIMIT, "strides of %lld x %lld", (long long)phases_h, (long long)phases_w);
  s->offsets = kp_arena_new_array(prepare->arena, size_t, phases);
  float* scratch = kp_alloc_aligned(w->byte_count, KP_ALIGNMENT);
  for (size_t p = 0; s->offsets && p < phases; ++p) {
    s->offsets[p] = total;
    total += s->groups *
             kp_gemm_packed_b_size(
                 s->gemm, depth_of(s, (int64_t)p / phases_w, (int64_t)p % phases_w), s->out_c);
  }
  float* packed = s->offsets ? kp_prepare_packed(prepare, total * sizeof(float)) : NULL;
  for (size_t p = 0; packed && scratch && p < phases; ++p) {
    const int64_t phase_h = (int64_t)p / phases_w, phase_w = (int64_t)p % phases_w;
    const size_t depth = depth_of(s, phase_h, phase_w),
                 size = kp_gemm_packed_b_size(s->gemm, depth, s->out_c);
    for (size_t g = 0; depth && g < s->groups; ++g) {
      gather_filters(s, w->data, g, phase_h, phase_w, scratch);
      kp_gemm_pack_b(s->gemm, depth, 0, s->out_c, scratch, s->out_c, false,
                     packed + s->offsets[p] + g * size);
    }
  }
  kp_free(scratch);
  s->packed = packed;
  return packed && scratch ? NULL : KP_ERROR(OUT_OF_MEMORY, "packing %zu floats", total);
}

static kp_status* transpose_last_prepare(kp_op_prepare* prepare) {
  transpose_state* state = kp_arena_new(prepare->arena, transpose_state);
  const kapell_value* w = kp_prepare_constant(prepare, 1);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  if (!w || w->type != KAPELL_FLOAT || w->rank < 3 || w->rank > 4)
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
  const transpose_dim *h = &p->dims[0], *w = &p->dims[1];
  p->batch = (size_t)plan->inputs[0]->dims[0];
  const size_t widest = (size_t)((w->out + w->stride - 1) / w->stride),
               taps = (size_t)(h->kernel * w->kernel);
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
  size_t rows;  // most output rows of a phase
} transpose_job;

// Pointers to the pixels under each tap of outputs [first, first + rows) of a phase's row |row|; |zeros| where there is none.
static void fill_table(const transpose_job* job, const float* picture, int64_t phase_h,
                       int64_t phase_w, size_t row, size_t first, size_t rows, const float* zeros,
                       const float** table) {
  const transpose_state* s = job->run->state;
  const transpose_dim *h = &job->params->dims[0], *w = &job->params->dims[1];
  const size_t pixel = s->groups * s->in_c;
  const int64_t base_h = phase_start(h, phase_h) + h->begin,
                base_w = phase_start(w, phase_w) + w->begin;
  for (int64_t kh = 0; kh < h->kernel; ++kh) {
    if (!in_phase(h, kh, phase_h)) continue;
    const int64_t y = (int64_t)row + (base_h - kh * h->dilation) / h->stride;
    for (int64_t kw = 0; kw < w->kernel; ++kw) {
      if (!in_phase(w, kw, phase_w)) continue;
      const int64_t left = (int64_t)first + (base_w - kw * w->dilation) / w->stride;
      for (size_t r = 0; r < rows; ++r) {
        const int64_t x = left + (int64_t)r;
        const bool inside = y >= 0 && y < h->in && x >= 0 && x < w->in;
        *table++ = inside ? picture + (size_t)(y * w->in + x) * pixel : zeros;
      }
    }
  }
}

static void multiply(const transpose_job* job, size_t picture, int64_t phase_h, int64_t phase_w,
                     size_t row, size_t first, size_t rows, char* scratch) {
  const transpose_state* s = job->run->state;
  const transpose_params* p = job->params;
  const transpose_dim *h = &p->dims[0], *w = &p->dims[1];
  const kapell_value *bias = kp_run_input(job->run, 2), *residual = kp_run_input(job->run, 3);
  const float** table = (const float**)(void*)scratch;
  float* zeros = (float*)(void*)(scratch + p->table_bytes);
  const size_t pixel = s->groups * s->out_c, taps = phase_taps(h, phase_h) * phase_taps(w, phase_w),
               depth = taps * s->in_c;
  const size_t y = (size_t)(phase_start(h, phase_h) + (int64_t)row * h->stride),
               x = (size_t)(phase_start(w, phase_w) + (int64_t)first * w->stride),
               at = ((picture * (size_t)h->out + y) * (size_t)w->out + x) * pixel;
  memset(zeros, 0, p->zeros_bytes);
  for (size_t g = 0; g < s->groups; ++g) {
    const float* from = (const float*)job->run->inputs[0]->data +
                        picture * (size_t)(h->in * w->in) * s->groups * s->in_c + g * s->in_c;
    fill_table(job, from, phase_h, phase_w, row, first, rows, zeros, table);
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
    tile.b = s->packed + s->offsets[(size_t)(phase_h * w->stride + phase_w)] +
             g * kp_gemm_packed_b_size(s->gemm, depth, s->out_c);
    tile.c = (float*)job->run->outputs[0]->data + at + g * s->out_c;
    tile.epilogue.bias_n = bias ? (const float*)bias->data + g * s->out_c : NULL;
    tile.epilogue.residual = residual ? (const float*)residual->data + at + g * s->out_c : NULL;
    tile.epilogue.residual_stride = tile.c_stride;
    tile.epilogue.act = s->act;
    if (!taps) {  // between two windows: bias, residual and activation alone
      tile.taps = 1;
      tile.depth = 0;
      for (size_t r = 0; r < rows; ++r) table[r] = zeros;
    }
    if (copies_rows(s)) tile.a_copy = (float*)(void*)(scratch + p->table_bytes + p->zeros_bytes);
    s->gemm->multiply(&tile);
  }
}

static void transpose_last_task(void* arg, size_t task, int worker) {
  const transpose_job* job = arg;
  const transpose_params* p = job->params;
  if (kp_cancelled(job->run)) return;
  // Phases change last, so that a phase's filters stay in the cache.
  const size_t part = task % p->parts, row = task / p->parts % job->rows,
               picture = task / p->parts / job->rows % p->batch;
  const int64_t phase = (int64_t)(task / p->parts / job->rows / p->batch);
  const int64_t phase_h = phase / p->dims[1].stride, phase_w = phase % p->dims[1].stride;
  const size_t first = part * ROWS_A_TASK, count = phase_count(&p->dims[1], phase_w);
  if (row >= phase_count(&p->dims[0], phase_h) || first >= count) return;
  multiply(job, picture, phase_h, phase_w, row, first, kp_min_size(ROWS_A_TASK, count - first),
           (char*)job->run->scratch + (size_t)worker * p->worker_bytes);
}

static kp_status* transpose_last_run(const kp_op_run* run) {
  const transpose_params* p = run->params;
  const transpose_state* s = run->state;
  const transpose_dim* h = &p->dims[0];
  transpose_job job = {run, p, (size_t)((h->out + h->stride - 1) / h->stride)};
  if (!kp_value_count(run->outputs[0])) return NULL;
  const size_t work =
      kp_value_count(run->inputs[0]) * s->out_c * (size_t)(h->kernel * p->dims[1].kernel);
  kp_parallel_for_dynamic(kp_op_width(run->width, work / 16),
                          (size_t)(h->stride * p->dims[1].stride) * p->batch * job.rows * p->parts,
                          transpose_last_task, &job);
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
