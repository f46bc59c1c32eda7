// ConvInteger, QLinearConv and kapell.QLinearConv: convolutions of int8 and uint8 on kernel/qconv, which works channels last. The
// operators of the file are channels first, so that their pictures are turned on the way in and out; what fuse/ makes is not.
//
//   kapell.QLinearConv   inputs of QLinearConv; y_scale and y_zero_point absent: y is f32. Attributes besides: in_last, out_last (x
//                        or y is [N, spatial..., C]); low, high (bounds of y, from a fused Relu or Clip). B may be f32: what is
//                        added to y, before rounding and in steps of y_scale where there is one
#include "provider/cpu/kernel/qconv/qconv.h"

#include "provider/cpu/op/conv/window.h"
#include "provider/cpu/packed.h"

// Where an operator has its inputs; -1: it has none such.
typedef struct kp_qconv_form {
  int x_zero, w, w_zero, x_scale, w_scale, y_scale, y_zero, bias;
} kp_qconv_form;

typedef struct kp_qconv_state {
  const kp_qconv_ops* ops;
  const kp_qgemm_ops* gemm;
  const kp_qconv_form* form;
  const void* packed;
  bool in_last, out_last;
} kp_qconv_state;

typedef struct kp_qconv_params {
  kp_qconv_plan plan;
  size_t x_bytes, y_bytes;  // turned pictures in scratch; 0 where they need no turning
  size_t w_bytes, w_room;   // packed weights and what packing needs, where they are not constant
  size_t scale_bytes, worker_bytes;
  size_t element;  // bytes of one of y
} kp_qconv_params;

static const kp_qconv_form integer_form = {2, 1, 3, -1, -1, -1, -1, -1};
static const kp_qconv_form linear_form = {2, 3, 5, 1, 4, 6, 7, 8};

static const kp_qconv_form* form_of(const kp_node* node) {
  return strcmp(node->op, "QLinearConv") == 0 ? &linear_form : &integer_form;
}

static const kapell_value* run_at(const kp_op_run* run, int index) {
  return index < 0 ? NULL : kp_run_input(run, (uint32_t)index);
}

static const kapell_value* plan_at(const kp_op_plan* plan, int index) {
  return index < 0 ? NULL : kp_plan_input(plan, (uint32_t)index);
}

// --- prepare -----------------------------------------------------------------------------------------------------------------
// What packing of weights depends on.
static kp_status* weight_shape(const kp_node* node, const kapell_value* w, kp_qconv_shape* shape) {
  const int64_t groups = kp_node_attr_i(node, "group", 1);
  if (w->rank < 3 || w->rank > KP_QCONV_DIMS + 2 || groups < 1 || w->dims[0] % groups)
    return KP_ERROR(RUN_FAILED, "filters of rank %d and %lld channels in %lld groups", (int)w->rank,
                    (long long)w->dims[0], (long long)groups);
  shape->rank = w->rank - 2;
  shape->groups = (size_t)groups;
  shape->out_c = (size_t)(w->dims[0] / groups);
  shape->in_c = (size_t)w->dims[1];
  shape->w_signed = w->type == KAPELL_INT8;
  shape->taps = 1;
  for (int32_t d = 0; d < shape->rank; ++d) {
    shape->kernel[d] = w->dims[d + 2];
    shape->taps *= (size_t)w->dims[d + 2];
  }
  return NULL;
}

static kp_qgemm_zero zero_of(const kapell_value* zero) {
  if (!zero) return (kp_qgemm_zero){NULL, false};
  return (kp_qgemm_zero){zero->data, kp_value_count(zero) != 1};
}

// Whether the node's weights can be packed now: they are constant, and so are their zero points where those are packed too.
static bool packs_now(const kp_op_prepare* prepare, const kp_qconv_form* form,
                      const kp_qconv_shape* shape) {
  const uint32_t zero = (uint32_t)form->w_zero;
  const kp_node* node = prepare->node;
  const bool given = zero < node->input_count && node->inputs[zero] != KP_NONE;
  return !kp_qconv_is_depthwise(shape) || !given || kp_prepare_constant(prepare, zero);
}

// What decides how filters lie besides their shape: zero points are packed with those of depthwise convolutions.
static kp_packed_form form_of_filters(const kp_op_prepare* prepare, const kp_qconv_state* state,
                                      const kp_qconv_shape* shape) {
  enum { kForm = 3 };  // among the forms that the same kernels pack
  kp_packed_form form = {.ops = state->gemm, .numbers = {kForm, shape->groups}};
  if (kp_qconv_is_depthwise(shape))
    form.numbers[2] = kp_packed_input(prepare, (uint32_t)state->form->w_zero);
  return form;
}

static kp_status* qconv_prepare(kp_op_prepare* prepare) {
  kp_qconv_state* state = kp_arena_new(prepare->arena, kp_qconv_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  state->ops = kp_qconv_select(prepare->features);
  state->gemm = kp_qgemm_select(prepare->features);
  state->form = form_of(prepare->node);
  const bool last = kp_node_attr_i(prepare->node, "channels_last", 0) != 0;  // com.microsoft
  state->in_last = last || kp_node_attr_i(prepare->node, "in_last", 0);
  state->out_last = last || kp_node_attr_i(prepare->node, "out_last", 0);
  const kapell_value* w = kp_prepare_constant(prepare, (uint32_t)state->form->w);
  kp_qconv_shape shape = {0};
  if (!w) return NULL;
  KP_PASS(weight_shape(prepare->node, w, &shape));
  if (!packs_now(prepare, state->form, &shape)) return NULL;
  if (!kp_qconv_is_depthwise(&shape))
    state->gemm =
        kp_qgemm_select_for(prepare->features, kp_value_count(w), w->data, shape.w_signed);
  const kp_qgemm_zero zero = zero_of(kp_prepare_constant(prepare, (uint32_t)state->form->w_zero));
  const size_t bytes = kp_qconv_packed_size(state->gemm, &shape);
  const kp_packed_form form = form_of_filters(prepare, state, &shape);
  bool done = false;
  void* packed = bytes == SIZE_MAX ? NULL
                                   : kp_prepare_packed_once(prepare, (uint32_t)state->form->w,
                                                            &form, kp_max_size(bytes, 1), &done);
  void* room = kp_alloc(kp_max_size(kp_qconv_pack_scratch(&shape), 1));
  if (!packed || !room) {
    kp_free(room);
    return KP_ERROR(OUT_OF_MEMORY, "packing filters");
  }
  if (!done) {
    kp_qconv_pack(state->ops, state->gemm, &shape, w->data, &zero, packed, room);
    packed = kp_prepare_settle(prepare, packed);
  }
  kp_free(room);
  state->packed = packed;
  prepare->consumed[state->form->w] = true;
  prepare->kernel = kp_qconv_is_depthwise(&shape) ? "qconv_depthwise" : "qconv";
  return NULL;
}

// --- plan --------------------------------------------------------------------------------------------------------------------
static size_t aligned(size_t bytes) {
  return (bytes + KP_ALIGNMENT - 1) / KP_ALIGNMENT * KP_ALIGNMENT;
}

// Geometry as the window of a picture that is channels first.
static kp_status* window_shape(const kp_op_plan* plan, const kp_qconv_state* state,
                               kp_qconv_shape* shape) {
  const kapell_value *x = plan->inputs[0], *y = plan->outputs[0];
  int64_t x_dims[KP_QCONV_DIMS + 2], y_dims[KP_QCONV_DIMS + 2];
  for (int32_t d = 0; d < shape->rank; ++d) {
    x_dims[d + 2] = x->dims[state->in_last ? d + 1 : d + 2];
    y_dims[d + 2] = y->dims[state->out_last ? d + 1 : d + 2];
  }
  const kapell_value first = {.rank = x->rank, .dims = x_dims},
                     made = {.rank = y->rank, .dims = y_dims};
  kp_window window;
  KP_PASS(kp_window_init(&window, plan->node, &first, &made, shape->kernel));
  shape->batch = (size_t)x->dims[0];
  shape->in_count = window.in_count;
  shape->out_count = window.out_count;
  shape->x_signed = x->type == KAPELL_INT8;
  const size_t bytes = sizeof(int64_t) * (size_t)shape->rank;
  memcpy(shape->in, window.in, bytes);
  memcpy(shape->out, window.out, bytes);
  memcpy(shape->stride, window.stride, bytes);
  memcpy(shape->dilation, window.dilation, bytes);
  memcpy(shape->begin, window.begin, bytes);
  for (int32_t d = 0; d < shape->rank; ++d)
    if (shape->stride[d] < 1 || shape->dilation[d] < 1)
      return KP_ERROR(RUN_FAILED, "strides or dilations are out of range");
  return NULL;
}

static kp_status* check_counts(const kp_op_plan* plan, const kp_qconv_form* form,
                               const kp_qconv_shape* shape) {
  const size_t channels = shape->groups * shape->out_c;
  const int many[] = {form->w_zero, form->w_scale, form->bias};
  for (size_t i = 0; i < KP_COUNT_OF(many); ++i) {
    const kapell_value* value = plan_at(plan, many[i]);
    const size_t count = value ? kp_value_count(value) : channels;
    if (count != channels && (count != 1 || many[i] == form->bias))
      return KP_ERROR(RUN_FAILED, "input %d has %zu numbers for %zu channels", many[i], count,
                      channels);
  }
  const int one[] = {form->x_zero, form->x_scale, form->y_scale, form->y_zero};
  for (size_t i = 0; i < KP_COUNT_OF(one); ++i) {
    const kapell_value* value = plan_at(plan, one[i]);
    if (value && kp_value_count(value) != 1)
      return KP_ERROR(RUN_FAILED, "input %d has %zu numbers, not one", one[i],
                      kp_value_count(value));
  }
  return NULL;
}

static kp_status* qconv_plan(kp_op_plan* plan) {
  const kp_qconv_state* state = plan->state;
  kp_qconv_params* params = kp_arena_new(plan->arena, kp_qconv_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  const kapell_value *x = plan->inputs[0], *w = plan->inputs[state->form->w], *y = plan->outputs[0];
  kp_qconv_shape shape = {0};
  KP_PASS(weight_shape(plan->node, w, &shape));
  if (x->rank != w->rank ||
      (size_t)x->dims[state->in_last ? x->rank - 1 : 1] != shape.groups * shape.in_c)
    return KP_ERROR(RUN_FAILED,
                    "a picture of rank %d does not fit filters of %zu groups of %zu channels",
                    (int)x->rank, shape.groups, shape.in_c);
  KP_PASS(check_counts(plan, state->form, &shape));
  KP_PASS(window_shape(plan, state, &shape));
  params->element = kp_type_bits(y->type) / 8;
  const size_t x_count = kp_value_count(x), y_count = kp_value_count(y);
  if (!y_count) return NULL;
  const size_t work = y_count * kp_max_size(shape.in_c * shape.taps, 1);
  kp_qconv_plan_init(state->ops, state->gemm, &shape, (size_t)kp_op_width(plan->width, work / 32),
                     &params->plan);
  const bool flat_in = shape.in_count == 1 || shape.groups * shape.in_c == 1;
  const bool flat_out = shape.out_count == 1 || shape.groups * shape.out_c == 1;
  params->x_bytes = state->in_last || flat_in ? 0 : aligned(x_count);
  params->y_bytes = state->out_last || flat_out ? 0 : aligned(y_count * params->element);
  if (!state->packed) {
    params->w_bytes = kp_qconv_packed_size(state->gemm, &shape);
    params->w_room = aligned(kp_qconv_pack_scratch(&shape));
    if (params->w_bytes == SIZE_MAX) return KP_ERROR(LIMIT, "filters of this size");
    params->w_bytes = aligned(params->w_bytes);
  }
  params->scale_bytes = aligned(shape.groups * shape.out_c * sizeof(float));
  params->worker_bytes = aligned(params->plan.scratch_bytes);
  plan->scratch_bytes = params->x_bytes + params->y_bytes + params->w_bytes + params->w_room +
                        params->scale_bytes + params->worker_bytes * (size_t)plan->width;
  return NULL;
}

// --- run ---------------------------------------------------------------------------------------------------------------------
typedef struct kp_qconv_job {
  const kp_op_run* run;
  const kp_qconv_params* params;
  kp_qconv_args args;
  char* scratch;
} kp_qconv_job;

static void qconv_task(void* arg, size_t task, int worker) {
  const kp_qconv_job* job = arg;
  if (kp_cancelled(job->run)) return;
  kp_qconv_run_task(&job->params->plan, &job->args, task,
                    job->scratch + (size_t)worker * job->params->worker_bytes);
}

// Pictures turned from [rows][cols] to [cols][rows], a stretch of the columns at a time.
typedef struct kp_turn_job {
  const kp_qconv_ops* ops;
  const char* from;
  char* to;
  size_t rows, cols, element, stretches;
} kp_turn_job;

#define TURN 512  // columns of one task

static void turn_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_turn_job* j = arg;
  const size_t picture = task / j->stretches, first = task % j->stretches * TURN,
               cols = kp_min_size(TURN, j->cols - first);
  const char* from = j->from + (picture * j->rows * j->cols + first) * j->element;
  char* to = j->to + (picture * j->rows * j->cols + first * j->rows) * j->element;
  if (j->element == 1) {
    j->ops->transpose(j->rows, cols, (const uint8_t*)from, j->cols, (uint8_t*)to, j->rows);
    return;
  }
  for (size_t c = 0; c < cols; ++c)
    for (size_t r = 0; r < j->rows; ++r)
      memcpy(to + (c * j->rows + r) * 4, from + (r * j->cols + c) * 4, 4);
}

static void turn(const kp_op_run* run, const void* from, void* to, size_t pictures, size_t rows,
                 size_t cols, size_t element) {
  const kp_qconv_state* state = run->state;
  kp_turn_job job = {state->ops, from, to, rows, cols, element, (cols + TURN - 1) / TURN};
  kp_parallel_for(kp_op_width(run->width, pictures * rows * cols / 4), pictures * job.stretches,
                  turn_task, &job);
}

// sums * x_scale * w_scale / y_scale + y_zero, bounded.
static void set_epilogue(const kp_op_run* run, float* scale, kp_qgemm_epilogue* e) {
  const kp_qconv_form* form = form_of(run->node);
  const kapell_value* bias = run_at(run, form->bias);
  if (bias && bias->type == KAPELL_FLOAT)
    e->bias_f = bias->data;
  else
    e->bias = bias ? bias->data : NULL;
  if (form->x_scale < 0) return;
  const kapell_value *w_scale = run->inputs[form->w_scale], *y_scale = run_at(run, form->y_scale),
                     *y_zero = run_at(run, form->y_zero);
  const float x_scale = (float)kp_double_at(run->inputs[form->x_scale], 0),
              by = y_scale ? (float)kp_double_at(y_scale, 0) : 1.0f;
  const size_t count = kp_value_count(w_scale);
  for (size_t j = 0; j < count; ++j) scale[j] = x_scale * (float)kp_double_at(w_scale, j) / by;
  e->scale = scale;
  e->scale_n = count != 1;
  const kapell_type type = run->outputs[0]->type;
  e->kind = type == KAPELL_FLOAT ? KP_QGEMM_F32 : type == KAPELL_INT8 ? KP_QGEMM_I8 : KP_QGEMM_U8;
  e->zero = y_zero ? (int32_t)kp_int_at(y_zero, 0) : 0;
  e->low = (int32_t)kp_node_attr_i(run->node, "low", KP_QGEMM_LOW(e->kind));
  e->high = (int32_t)kp_node_attr_i(run->node, "high", KP_QGEMM_HIGH(e->kind));
}

// Weights that are known now only.
static const void* pack_weights(const kp_op_run* run, char* packed, char* room) {
  const kp_qconv_state* state = run->state;
  const kp_qconv_params* params = run->params;
  if (state->packed) return state->packed;
  const kp_qgemm_zero zero = zero_of(run_at(run, state->form->w_zero));
  kp_qconv_pack(state->ops, state->gemm, &params->plan.shape, run->inputs[state->form->w]->data,
                &zero, packed, room);
  return packed;
}

static kp_status* qconv_run(const kp_op_run* run) {
  const kp_qconv_state* state = run->state;
  const kp_qconv_params* params = run->params;
  const kp_qconv_shape* shape = &params->plan.shape;
  if (!kp_value_count(run->outputs[0])) return NULL;
  char* x = run->scratch;
  char* y = x + params->x_bytes;
  char* w = y + params->y_bytes;
  char* scale = w + params->w_bytes + params->w_room;
  kp_qconv_job job = {.run = run, .params = params, .scratch = scale + params->scale_bytes};
  const kapell_value* x_zero = run_at(run, state->form->x_zero);
  job.args.packed = pack_weights(run, w, w + params->w_bytes);
  job.args.x_zero = x_zero ? (int32_t)kp_int_at(x_zero, 0) : 0;
  job.args.w_zero = zero_of(run_at(run, state->form->w_zero));
  job.args.input = params->x_bytes ? x : run->inputs[0]->data;
  job.args.output = params->y_bytes ? y : run->outputs[0]->data;
  set_epilogue(run, (float*)(void*)scale, &job.args.epilogue);
  if (params->x_bytes)
    turn(run, run->inputs[0]->data, x, shape->batch, shape->groups * shape->in_c, shape->in_count,
         1);
  kp_parallel_for_dynamic(run->width, params->plan.task_count, qconv_task, &job);
  if (params->y_bytes)
    turn(run, y, run->outputs[0]->data, shape->batch, shape->out_count,
         shape->groups * shape->out_c, params->element);
  return NULL;
}

// --- kapell.QLinearConv --------------------------------------------------------------------------------------------------------
// [N, C, spatial...] of a channels-last type, or back.
static kp_status* move_channels(kp_arena* arena, kp_type* type, bool last) {
  int64_t* dims = kp_arena_new_array(arena, int64_t, (size_t)type->rank + 1);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "shapes");
  const int32_t rank = type->rank;
  dims[0] = type->dims[0];
  for (int32_t d = 1; d < rank; ++d)
    dims[d] = last ? type->dims[d == rank - 1 ? 1 : d + 1] : type->dims[d == 1 ? rank - 1 : d - 1];
  type->dims = dims;
  return NULL;
}

// By ONNX's own rule, with channels where that expects them.
static kp_status* last_infer(kp_infer* infer) {
  const kp_type* inputs[9] = {0};
  kp_node plain = *infer->node;
  plain.domain = "";
  plain.version = 10;
  if (plain.input_count > 9 || !infer->inputs[0] || infer->inputs[0]->rank < 3)
    return KP_ERROR(INTERNAL, "a fused convolution of %u inputs", plain.input_count);
  for (uint32_t i = 0; i < plain.input_count; ++i) inputs[i] = infer->inputs[i];
  kp_type x = *inputs[0];
  inputs[0] = &x;
  if (kp_node_attr_i(infer->node, "in_last", 0)) KP_PASS(move_channels(infer->arena, &x, false));
  kp_infer inner = *infer;
  inner.node = &plain;
  inner.inputs = inputs;
  const kp_infer_rule* rule = kp_infer_find(&plain);
  KP_PASS(rule->fn(&inner));
  infer->overflow |= inner.overflow;
  kp_type* y = &infer->outputs[0];
  if (y->rank < 3) return KP_ERROR(INTERNAL, "a fused convolution of unknown shape");
  y->kind = KAPELL_KIND_TENSOR;
  y->element = inputs[7] ? inputs[7]->element : KAPELL_FLOAT;
  return kp_node_attr_i(infer->node, "out_last", 0) ? move_channels(infer->arena, y, true) : NULL;
}

// clang-format off
#define KP_M_BYTES (KP_M(INT8) | KP_M(UINT8))
static const kp_op_def ops[] = {  // spec: ONNX operators ConvInteger-10, QLinearConv-10
    {.name = "ConvInteger", .since = 10, .types = KP_M_BYTES, .supports = kp_window_supports, .prepare = qconv_prepare,
     .plan = qconv_plan, .run = qconv_run, .kernels = "8 bits: qconv"},
    {.name = "QLinearConv", .since = 10, .types = KP_M_BYTES, .supports = kp_window_supports, .prepare = qconv_prepare,
     .plan = qconv_plan, .run = qconv_run, .kernels = "8 bits: qconv"},
    {.domain = "com.microsoft", .name = "QLinearConv", .since = 1, .types = KP_M_BYTES, .supports = kp_window_supports,
     .prepare = qconv_prepare, .plan = qconv_plan, .run = qconv_run, .kernels = "8 bits: qconv"},
    {.domain = "kapell", .name = "QLinearConv", .since = 1, .types = KP_M_BYTES, .prepare = qconv_prepare, .plan = qconv_plan,
     .run = qconv_run, .infer = last_infer, .kernels = "8 bits: qconv"},
};
// clang-format on
KP_OP_TABLE(qconv);
