// QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: one scale for all, one along an axis, or one a block of an axis. f32 to and
// from 8 and 16 bits runs on kernel/quantize; every other pair of types goes block by block through f64 (element.h), with the
// quotient rounded to the type that the schema divides in.
#include "provider/cpu/op/quantized/quantize.h"

#include <math.h>

#include "provider/cpu/op/element.h"

#define BLOCK 512    // elements converted at a time; a multiple of what packed types need
#define CHUNK 16384  // elements of one task; a multiple of BLOCK

// --- where scales lie --------------------------------------------------------------------------------------------------------
// How scales cover x, seen as [outer][axis][inner].
typedef struct kp_scaling {
  bool whole;          // one scale
  size_t axis, inner;  // sizes
  size_t block,
      blocks;  // elements of the axis that share a scale; blocks of the axis. 0: one an element of the axis
  size_t count;  // of scales
} kp_scaling;

// A run of elements next to each other: its length, where its scales begin, and whether they move along.
typedef struct kp_scaled_run {
  size_t length, at, step;
} kp_scaled_run;

static kp_scaled_run run_at(const kp_scaling* s, size_t index, size_t last) {
  if (s->whole) return (kp_scaled_run){last - index, 0, 0};
  const size_t row = index / s->inner, a = row % s->axis, outer = row / s->axis;
  kp_scaled_run run;
  if (!s->block) {
    run = s->inner == 1 ? (kp_scaled_run){s->axis - a, a, 1}
                        : (kp_scaled_run){s->inner - index % s->inner, a, 0};
  } else {
    const size_t scale = outer * s->blocks + a / s->block;
    run =
        s->inner == 1
            ? (kp_scaled_run){kp_min_size((a / s->block + 1) * s->block, s->axis) - a, scale, 0}
            : (kp_scaled_run){s->inner - index % s->inner, scale * s->inner + index % s->inner, 1};
  }
  run.length = kp_min_size(run.length, last - index);
  return run;
}

static kp_status* find_scaling(const kp_node* node, const kapell_value* x,
                               const kapell_value* scale, kp_scaling* out) {
  *out = (kp_scaling){.whole = kp_value_count(scale) == 1 && scale->rank <= 1,
                      .count = kp_value_count(scale)};
  if (out->whole) return NULL;
  int32_t axis;
  // A tensor of rank 1 has one axis, whatever the default says.
  const int64_t named = kp_node_attr_i(node, "axis", x->rank == 1 ? 0 : 1);
  if (!kp_axis(named, x->rank, &axis))
    return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)named, (int)x->rank);
  out->axis = (size_t)x->dims[axis];
  out->inner = kp_span(x, axis + 1, x->rank);
  out->block = (size_t)kp_node_attr_i(node, "block_size", 0);
  if (scale->rank == 1 && !(out->block && x->rank == 1)) {
    out->block = 0;
    if ((size_t)scale->dims[0] != out->axis)
      return KP_ERROR(RUN_FAILED, "%lld scales along an axis of %zu", (long long)scale->dims[0],
                      out->axis);
    return NULL;
  }
  if (!out->block || scale->rank != x->rank)
    return KP_ERROR(RUN_FAILED, "scales of rank %d for a tensor of rank %d, and block_size %zu",
                    (int)scale->rank, (int)x->rank, out->block);
  out->blocks = (out->axis + out->block - 1) / out->block;
  for (int32_t d = 0; d < x->rank; ++d)
    if (scale->dims[d] != (d == axis ? (int64_t)out->blocks : x->dims[d]))
      return KP_ERROR(RUN_FAILED, "dim %d of the scales is %lld", (int)d,
                      (long long)scale->dims[d]);
  return NULL;
}

// --- a job -------------------------------------------------------------------------------------------------------------------
typedef struct kp_quant_state {
  const kp_quantize_ops* ops;
} kp_quant_state;

typedef struct kp_quant_params {
  kp_scaling scaling;
  size_t count;
} kp_quant_params;

typedef struct kp_quant_job {
  const kp_quantize_ops* ops;
  const kp_scaling* scaling;
  const kapell_value *x, *scale, *zero;  // |zero| may be NULL
  kapell_value* y;
  const float* scales;  // fast forms only: scales and zero points as the kernels want them
  const int32_t* zeros;
  kp_quant_type type;
  size_t count;
  kapell_type precision;  // of the quotient
  kp_rounding rounding;
} kp_quant_job;

static kp_status* quant_prepare(kp_op_prepare* prepare) {
  kp_quant_state* state = kp_arena_new(prepare->arena, kp_quant_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  state->ops = kp_quantize_select(prepare->features);
  prepare->state = state;
  return NULL;
}

static kp_status* quant_plan(kp_op_plan* plan) {
  kp_quant_params* params = kp_arena_new(plan->arena, kp_quant_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  const kapell_value *x = plan->inputs[0], *scale = plan->inputs[1], *zero = kp_plan_input(plan, 2);
  KP_PASS(find_scaling(plan->node, x, scale, &params->scaling));
  params->count = kp_value_count(x);
  if (zero && kp_value_count(zero) != params->scaling.count)
    return KP_ERROR(RUN_FAILED, "%zu zero points for %zu scales", kp_value_count(zero),
                    params->scaling.count);
  if (!kp_mul_size(params->scaling.count, sizeof(float) + sizeof(int32_t), &plan->scratch_bytes))
    return KP_ERROR(RUN_FAILED, "%zu scales", params->scaling.count);
  return NULL;
}

// Range of the integer |type|; false for what is no integer.
static bool integer_range(kapell_type type, int64_t* low, int64_t* high) {
  const unsigned bits = kp_type_bits(type);
  if (!kp_type_is_integer(type) || bits > 32) return false;
  const bool is_signed = kp_type_is_signed(type);
  *low = is_signed ? -(INT64_C(1) << (bits - 1)) : 0;
  *high = (INT64_C(1) << (is_signed ? bits - 1 : bits)) - 1;
  return true;
}

// The kernels' form of a type of 8, 16 or 32 bits; false where they have none.
static bool fast_type(kapell_type type, kp_quant_type* out) {
  int64_t low, high;
  if (kp_type_is_packed(type) || type == KAPELL_UINT32 || !integer_range(type, &low, &high))
    return false;
  *out = (kp_quant_type){kp_type_bits(type) / 8, (int32_t)low, (int32_t)high};
  return true;
}

// Scales and zero points in scratch, f32 and int32.
static void convert_scales(const kp_op_run* run, kp_quant_job* job) {
  const size_t count = job->scaling->count;
  float* scales = run->scratch;
  int32_t* zeros = (int32_t*)(void*)(scales + count);
  for (size_t i = 0; i < count; ++i) {
    scales[i] = (float)kp_double_at(job->scale, i);
    zeros[i] = job->zero ? (int32_t)kp_double_at(job->zero, i) : 0;
  }
  job->scales = scales;
  job->zeros = zeros;
}

static kp_quant_job make_job(const kp_op_run* run) {
  const kp_quant_state* state = run->state;
  const kp_quant_params* params = run->params;
  return (kp_quant_job){.ops = state->ops,
                        .scaling = &params->scaling,
                        .x = run->inputs[0],
                        .scale = run->inputs[1],
                        .zero = kp_run_input(run, 2),
                        .y = run->outputs[0],
                        .count = params->count,
                        .rounding = {kp_node_attr_i(run->node, "saturate", 1) != 0, KP_E8M0_UP}};
}

static void run_job(const kp_op_run* run, kp_quant_job* job, kp_task_fn task, size_t cost) {
  const size_t tasks = (job->count + CHUNK - 1) / CHUNK;
  if (tasks) kp_parallel_for(kp_op_width(run->width, job->count * cost / 8), tasks, task, job);
}

// --- QuantizeLinear ----------------------------------------------------------------------------------------------------------
static void quantize_fast(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_quant_job* job = arg;
  const size_t last = kp_min_size((task + 1) * CHUNK, job->count);
  for (size_t i = task * CHUNK; i < last;) {
    const kp_scaled_run run = run_at(job->scaling, i, last);
    job->ops->quantize(run.length, (const float*)job->x->data + i, job->scales + run.at,
                       job->zeros + run.at, run.step, job->type,
                       (char*)job->y->data + i * job->type.width);
    i += run.length;
  }
}

// |x| rounded to what |type| holds.
static double round_to(kapell_type type, double x) {
  switch (type) {
    case KAPELL_FLOAT:
      return (double)(float)x;
    case KAPELL_FLOAT16:
      return (double)kp_f16_to_f32(kp_f16_from_f32((float)x));
    case KAPELL_BFLOAT16:
      return (double)kp_bf16_to_f32(kp_bf16_from_f32((float)x));
    default:
      return x;
  }
}

static void load_numbers(const kapell_value* value, size_t first, size_t count, double* out) {
  if (kp_element_class_of(value->type) == KP_ELEMENT_REAL) {
    kp_load_real(value->type, value->data, first, count, out);
    return;
  }
  int64_t whole[BLOCK];
  kp_load_whole(value->type, value->data, first, count, whole);
  for (size_t i = 0; i < count; ++i) out[i] = (double)whole[i];
}

static double quotient(const kp_quant_job* job, double x, size_t scale) {
  const double by = kp_double_at(job->scale, scale);
  return round_to(job->precision, round_to(job->precision, x) / round_to(job->precision, by));
}

static void store_integers(const kp_quant_job* job, size_t first, size_t count, double* numbers) {
  int64_t low = 0, high = 0, whole[BLOCK];
  integer_range(job->y->type, &low, &high);
  for (size_t i = 0; i < count; ++i)
    whole[i] = numbers[i] > (double)low ? numbers[i] < (double)high ? (int64_t)numbers[i] : high
                                        : low;  // NaN too
  kp_store_whole(job->y->type, job->y->data, first, count, whole, false, &job->rounding);
}

static void quantize_block(const kp_quant_job* job, size_t first, size_t count) {
  double numbers[BLOCK];
  const bool whole = kp_type_is_integer(job->y->type);
  load_numbers(job->x, first, count, numbers);
  for (size_t i = 0; i < count;) {
    const kp_scaled_run run = run_at(job->scaling, first + i, first + count);
    for (size_t j = 0; j < run.length; ++j) {
      const size_t at = run.at + j * run.step;
      double q = quotient(job, numbers[i + j], at);
      if (whole) q = nearbyint(q);
      numbers[i + j] = job->zero ? q + kp_double_at(job->zero, at) : q;
    }
    i += run.length;
  }
  if (whole)
    store_integers(job, first, count, numbers);
  else
    kp_store_real(job->y->type, job->y->data, first, count, numbers, &job->rounding);
}

static void quantize_any(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_quant_job* job = arg;
  const size_t last = kp_min_size((task + 1) * CHUNK, job->count);
  for (size_t i = task * CHUNK; i < last; i += BLOCK)
    quantize_block(job, i, kp_min_size(BLOCK, last - i));
}

// The type that x / scale is rounded to: attribute precision, else the one that both have, f32 for two kinds of floats, f64 where
// one is an int32 (a quotient of integers is no integer).
static kapell_type quotient_type(const kp_op_run* run) {
  const int64_t precision = kp_node_attr_i(run->node, "precision", 0);
  const kapell_type x = run->inputs[0]->type, scale = run->inputs[1]->type;
  if (precision > 0 && precision < KAPELL_TYPE_COUNT) return (kapell_type)precision;
  if (x == KAPELL_INT32 || scale == KAPELL_INT32) return KAPELL_DOUBLE;
  return x == scale ? x : KAPELL_FLOAT;
}

static kp_status* quantize_run(const kp_op_run* run) {
  kp_quant_job job = make_job(run);
  job.precision = quotient_type(run);
  const bool real = job.x->type == KAPELL_FLOAT && job.precision == KAPELL_FLOAT &&
                    job.scale->type != KAPELL_INT32;
  if (real && fast_type(job.y->type, &job.type)) {
    convert_scales(run, &job);
    run_job(run, &job, quantize_fast, 2);
  } else {
    run_job(run, &job, quantize_any, 160);
  }
  return NULL;
}

// --- DequantizeLinear --------------------------------------------------------------------------------------------------------
static void dequantize_fast(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_quant_job* job = arg;
  const size_t last = kp_min_size((task + 1) * CHUNK, job->count);
  for (size_t i = task * CHUNK; i < last;) {
    const kp_scaled_run run = run_at(job->scaling, i, last);
    job->ops->dequantize(run.length, (const char*)job->x->data + i * job->type.width, job->type,
                         job->scales + run.at, job->zeros + run.at, run.step,
                         (float*)job->y->data + i);
    i += run.length;
  }
}

static void dequantize_block(const kp_quant_job* job, size_t first, size_t count) {
  double numbers[BLOCK];
  load_numbers(job->x, first, count, numbers);
  for (size_t i = 0; i < count;) {
    const kp_scaled_run run = run_at(job->scaling, first + i, first + count);
    for (size_t j = 0; j < run.length; ++j) {
      const size_t at = run.at + j * run.step;
      const double less = job->zero ? kp_double_at(job->zero, at) : 0;
      numbers[i + j] = (numbers[i + j] - less) * kp_double_at(job->scale, at);
    }
    i += run.length;
  }
  kp_store_real(job->y->type, job->y->data, first, count, numbers, &job->rounding);
}

static void dequantize_any(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_quant_job* job = arg;
  const size_t last = kp_min_size((task + 1) * CHUNK, job->count);
  for (size_t i = task * CHUNK; i < last; i += BLOCK)
    dequantize_block(job, i, kp_min_size(BLOCK, last - i));
}

static kp_status* dequantize_run(const kp_op_run* run) {
  kp_quant_job job = make_job(run);
  if (job.y->type == KAPELL_FLOAT && fast_type(job.x->type, &job.type)) {
    convert_scales(run, &job);
    run_job(run, &job, dequantize_fast, 1);
  } else {
    run_job(run, &job, dequantize_any, 80);
  }
  return NULL;
}

// --- DynamicQuantizeLinear ---------------------------------------------------------------------------------------------------
typedef struct kp_dynamic_job {
  const kp_quantize_ops* ops;
  const float* x;
  uint8_t* y;
  float* ranges;  // low and high of each task
  size_t count;
  float scale;
  int32_t zero;
} kp_dynamic_job;

static void dynamic_range(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_dynamic_job* job = arg;
  const size_t first = task * CHUNK;
  job->ops->range(kp_min_size(CHUNK, job->count - first), job->x + first, job->ranges + task * 2,
                  job->ranges + task * 2 + 1);
}

static void dynamic_quantize(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_dynamic_job* job = arg;
  const size_t first = task * CHUNK;
  job->ops->quantize(kp_min_size(CHUNK, job->count - first), job->x + first, &job->scale,
                     &job->zero, 0, (kp_quant_type){1, 0, 255}, job->y + first);
}

size_t kp_dynamic_scratch(size_t count) { return (count / CHUNK + 1) * 2 * sizeof(float); }

void kp_dynamic_quantize(const kp_quantize_ops* ops, const float* x, size_t count, int width,
                         void* scratch, uint8_t* y, float* out_scale, uint8_t* out_zero) {
  kp_dynamic_job job = {.ops = ops, .x = x, .ranges = scratch, .count = count};
  job.y = y;
  const size_t tasks = (count + CHUNK - 1) / CHUNK;
  const int threads = kp_op_width(width, count / 8);
  if (tasks) kp_parallel_for(threads, tasks, dynamic_range, &job);
  float low = 0, high = 0;
  for (size_t i = 0; i < tasks; ++i) {
    low = fminf(low, job.ranges[i * 2]);
    high = fmaxf(high, job.ranges[i * 2 + 1]);
  }
  job.scale = (high == low ? 1.0f : high - low) / 255.0f;
  const float zero = nearbyintf(fminf(fmaxf(0.0f - low / job.scale, 0.0f), 255.0f));
  job.zero = (int32_t)zero;
  if (y && tasks) kp_parallel_for(threads, tasks, dynamic_quantize, &job);
  *out_scale = job.scale;
  *out_zero = (uint8_t)job.zero;
}

static kp_status* dynamic_plan(kp_op_plan* plan) {
  plan->scratch_bytes = kp_dynamic_scratch(kp_value_count(plan->inputs[0]));
  return NULL;
}

static kp_status* dynamic_run(const kp_op_run* run) {
  const kp_quant_state* state = run->state;
  const kapell_value* x = run->inputs[0];
  float scale;
  uint8_t zero;
  kp_dynamic_quantize(state->ops, x->data, kp_value_count(x), run->width, run->scratch,
                      kp_op_wants(run, 0) ? run->outputs[0]->data : NULL, &scale, &zero);
  if (kp_op_wants(run, 1)) *(float*)run->outputs[1]->data = scale;
  if (kp_op_wants(run, 2)) *(uint8_t*)run->outputs[2]->data = zero;
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators QuantizeLinear-10..28, DequantizeLinear-10..28, DynamicQuantizeLinear-11
    {.name = "QuantizeLinear", .since = 10, .prepare = quant_prepare, .plan = quant_plan, .run = quantize_run,
     .kernels = "f32 to 8 and 16 bits: quantize"},
    {.name = "DequantizeLinear", .since = 10, .prepare = quant_prepare, .plan = quant_plan, .run = dequantize_run,
     .kernels = "8, 16 and 32 bits to f32: quantize"},
    {.name = "DynamicQuantizeLinear", .since = 11, .types = KP_M(FLOAT), .prepare = quant_prepare, .plan = dynamic_plan,
     .run = dynamic_run, .kernels = "f32: quantize"},
    {.domain = "com.microsoft", .name = "QuantizeLinear", .since = 1, .prepare = quant_prepare, .plan = quant_plan,
     .run = quantize_run, .kernels = "f32 to 8 and 16 bits: quantize"},
    {.domain = "com.microsoft", .name = "DequantizeLinear", .since = 1, .prepare = quant_prepare, .plan = quant_plan,
     .run = dequantize_run, .kernels = "8, 16 and 32 bits to f32: quantize"},
};
// clang-format on
KP_OP_TABLE(quantize);
