// Elementwise operators of one input: activations, mathematics, tests for NaN and infinity. f32 runs on kernel/eltwise.
#include <math.h>

#include "provider/cpu/kernel/eltwise/eltwise.h"
#include "provider/cpu/op/unary.h"

typedef struct kp_unary_context {
  float a, b;  // attributes, by operator
} kp_unary_context;
typedef void (*kp_unary_fn)(const kp_unary_context* context, size_t count, const void* x, void* y);

// One function for f32 and one for f64; |u| is the element, computed in the type itself.
#define REAL(name, expression)                                                              \
  static void name##_f32(const kp_unary_context* c, size_t count, const void* x, void* y) { \
    (void)c;                                                                                \
    for (size_t i = 0; i < count; ++i) {                                                    \
      typedef float real;                                                                   \
      const real u = ((const real*)x)[i];                                                   \
      ((real*)y)[i] = (real)(expression);                                                   \
    }                                                                                       \
  }                                                                                         \
  static void name##_f64(const kp_unary_context* c, size_t count, const void* x, void* y) { \
    (void)c;                                                                                \
    for (size_t i = 0; i < count; ++i) {                                                    \
      typedef double real;                                                                  \
      const real u = ((const real*)x)[i];                                                   \
      ((real*)y)[i] = (real)(expression);                                                   \
    }                                                                                       \
  }
// Functions of the library in the precision of |real|.
#define M(function) \
  (sizeof(real) == sizeof(float) ? (real)function##f((float)u) : (real)function((double)u))

static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static double sigmoid(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }
static double clamp01(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

REAL(absolute, M(fabs))
REAL(acos_of, M(acos))
REAL(acosh_of, M(acosh))
REAL(asin_of, M(asin))
REAL(asinh_of, M(asinh))
REAL(atan_of, M(atan))
REAL(atanh_of, M(atanh))
REAL(ceiling, M(ceil))
REAL(cosine, M(cos))
REAL(cosh_of, M(cosh))
REAL(erf_of, M(erf))
REAL(exponential, M(exp))
REAL(floor_of, M(floor))
REAL(logarithm, M(log))
REAL(negative, -u)
REAL(reciprocal, 1 / u)
REAL(round_even, M(rint))
REAL(sign, u > 0 ? 1 : u < 0 ? -1 : u)
REAL(sine, M(sin))
REAL(sinh_of, M(sinh))
REAL(root, M(sqrt))
REAL(tangent, M(tan))
REAL(tanh_of, M(tanh))
REAL(relu, u < 0 ? 0 : u)
REAL(leaky_relu, u < 0 ? (real)c->a * u : u)
REAL(elu, u < 0 ? (real)c->a * M(expm1) : u)
REAL(selu, u <= 0 ? (real)c->b * (real)c->a * M(expm1) : (real)c->b * u)
REAL(celu, (u > 0 ? u : 0) + (u < 0 ? c->a * expm1((double)u / c->a) : 0))
REAL(sigmoid_of, sigmoid((double)u))
REAL(hard_sigmoid, clamp01((double)c->a*(double)u + (double)c->b))
REAL(hard_swish, (double)u* clamp01((double)u / 6 + 0.5))
REAL(swish, (double)u* sigmoid((double)c->a*(double)u))
REAL(mish, (double)u* tanh(softplus((double)u)))
REAL(softplus_of, softplus((double)u))
REAL(softsign, u / (1 + M(fabs)))
REAL(thresholded_relu, u > (real)c->a ? u : 0)
REAL(shrink, u<-(real)c->b ? u + (real)c->a : u>(real) c->b ? u - (real)c->a : 0)
REAL(gelu, 0.5 * (double)u * (1 + erf((double)u * 0.70710678118654752440)))
REAL(gelu_tanh, 0.5 * (double)u *
                    (1 + tanh(0.79788456080286535588 *
                              ((double)u + 0.044715 * (double)u * (double)u * (double)u))))
REAL(scaled_tanh, (double)c->a* tanh((double)c->b*(double)u))
REAL(affine, (real)c->a* u + (real)c->b)
REAL(parametric_softplus, (double)c->a* softplus((double)c->b*(double)u))

#define WHOLE(name, type, c_type, expression)                                                  \
  static void name##_##type(const kp_unary_context* c, size_t count, const void* x, void* y) { \
    (void)c;                                                                                   \
    for (size_t i = 0; i < count; ++i) {                                                       \
      const c_type u = ((const c_type*)x)[i];                                                  \
      ((c_type*)y)[i] = (c_type)(expression);                                                  \
    }                                                                                          \
  }
#define SIGNED(type, c_type)                                           \
  WHOLE(absolute, type, c_type, u < 0 ? 0 - (uint64_t)u : (uint64_t)u) \
  WHOLE(negative, type, c_type, 0 - (uint64_t)u)                       \
  WHOLE(relu, type, c_type, u < 0 ? 0 : u)                             \
  WHOLE(sign, type, c_type, (u > 0) - (u < 0))                         \
  WHOLE(erf_of, type, c_type, (float)erf((double)u))                   \
  WHOLE(inverted, type, c_type, ~u)                                    \
  WHOLE(shrink, type, c_type,                                          \
        kp_whole(u<-(double)c->b ? u + (double)c->a : u>(double) c->b ? u - (double)c->a : 0))
KP_EACH_SIGNED(SIGNED)
#define UNSIGNED(type, c_type)                       \
  WHOLE(absolute, type, c_type, u)                   \
  WHOLE(sign, type, c_type, u > 0)                   \
  WHOLE(erf_of, type, c_type, (float)erf((double)u)) \
  WHOLE(inverted, type, c_type, ~u)                  \
  WHOLE(shrink, type, c_type, kp_whole((double)u > (double)c->b ? (double)u - (double)c->a : 0))
KP_EACH_UNSIGNED(UNSIGNED)
WHOLE(not, BOOL, uint8_t, !u)

#define TEST(name, expression)                                                              \
  static void name##_f32(const kp_unary_context* c, size_t count, const void* x, void* y) { \
    for (size_t i = 0; i < count; ++i) {                                                    \
      const float u = ((const float*)x)[i];                                                 \
      ((uint8_t*)y)[i] = (expression);                                                      \
    }                                                                                       \
    (void)c;                                                                                \
  }                                                                                         \
  static void name##_f64(const kp_unary_context* c, size_t count, const void* x, void* y) { \
    for (size_t i = 0; i < count; ++i) {                                                    \
      const double u = ((const double*)x)[i];                                               \
      ((uint8_t*)y)[i] = (expression);                                                      \
    }                                                                                       \
    (void)c;                                                                                \
  }
TEST(is_nan, u != u)
TEST(is_inf, isinf(u) && (u > 0 ? c->a != 0 : c->b != 0))
// 8-bit floats, by their bits: the kinds without infinity have one or two codes for NaN.
#define TEST8(name, type, expression)                                                          \
  static void name##_##type(const kp_unary_context* c, size_t count, const void* x, void* y) { \
    (void)c;                                                                                   \
    for (size_t i = 0; i < count; ++i) {                                                       \
      const uint8_t u = ((const uint8_t*)x)[i];                                                \
      (void)u;                                                                                 \
      ((uint8_t*)y)[i] = (expression);                                                         \
    }                                                                                          \
  }
TEST8(is_nan, FLOAT8E4M3FN, (u & 0x7f) == 0x7f)
TEST8(is_nan, FLOAT8E4M3FNUZ, u == 0x80)
TEST8(is_nan, FLOAT8E5M2, (u & 0x7f) > 0x7c)
TEST8(is_nan, FLOAT8E5M2FNUZ, u == 0x80)
TEST8(is_inf, FLOAT8E4M3FN, 0)
TEST8(is_inf, FLOAT8E4M3FNUZ, 0)
TEST8(is_inf, FLOAT8E5M2, (u & 0x7f) == 0x7c && (u >> 7 ? c->b != 0 : c->a != 0))
TEST8(is_inf, FLOAT8E5M2FNUZ, 0)

// --- tables ------------------------------------------------------------------------------------------------------------------
struct kp_unary_row {
  const char* name;
  const char *a, *b;  // attributes that become context.a and .b
  float a_default, b_default;
  size_t cost;  // nanoseconds an element, roughly
  kp_unary_fn fn[KAPELL_TYPE_COUNT];
};

#define REALS(name) [KAPELL_FLOAT] = name##_f32, [KAPELL_DOUBLE] = name##_f64
#define EIGHTS(name)                                                                            \
  [KAPELL_FLOAT8E4M3FN] = name##_FLOAT8E4M3FN, [KAPELL_FLOAT8E4M3FNUZ] = name##_FLOAT8E4M3FNUZ, \
  [KAPELL_FLOAT8E5M2] = name##_FLOAT8E5M2, [KAPELL_FLOAT8E5M2FNUZ] = name##_FLOAT8E5M2FNUZ
#define SIGNEDS(name)                                                                        \
  [KAPELL_INT8] = name##_INT8, [KAPELL_INT16] = name##_INT16, [KAPELL_INT32] = name##_INT32, \
  [KAPELL_INT64] = name##_INT64
#define UNSIGNEDS(name)                                                                            \
  [KAPELL_UINT8] = name##_UINT8, [KAPELL_UINT16] = name##_UINT16, [KAPELL_UINT32] = name##_UINT32, \
  [KAPELL_UINT64] = name##_UINT64

// clang-format off
static const kp_unary_row rows[] = {
    {"Abs", NULL, NULL, 0, 0, 1, {REALS(absolute), SIGNEDS(absolute), UNSIGNEDS(absolute)}},
    {"Acos", NULL, NULL, 0, 0, 8, {REALS(acos_of)}}, {"Acosh", NULL, NULL, 0, 0, 12, {REALS(acosh_of)}},
    {"Asin", NULL, NULL, 0, 0, 8, {REALS(asin_of)}}, {"Asinh", NULL, NULL, 0, 0, 12, {REALS(asinh_of)}},
    {"Atan", NULL, NULL, 0, 0, 8, {REALS(atan_of)}}, {"Atanh", NULL, NULL, 0, 0, 12, {REALS(atanh_of)}},
    {"BitwiseNot", NULL, NULL, 0, 0, 1, {SIGNEDS(inverted), UNSIGNEDS(inverted)}},
    {"Ceil", NULL, NULL, 0, 0, 1, {REALS(ceiling)}}, {"Cos", NULL, NULL, 0, 0, 8, {REALS(cosine)}},
    {"Cosh", NULL, NULL, 0, 0, 8, {REALS(cosh_of)}}, {"Erf", NULL, NULL, 0, 0, 6, {REALS(erf_of), SIGNEDS(erf_of), UNSIGNEDS(erf_of)}},
    {"Exp", NULL, NULL, 0, 0, 4, {REALS(exponential)}}, {"Floor", NULL, NULL, 0, 0, 1, {REALS(floor_of)}},
    {"Log", NULL, NULL, 0, 0, 4, {REALS(logarithm)}}, {"Neg", NULL, NULL, 0, 0, 1, {REALS(negative), SIGNEDS(negative)}},
    {"Not", NULL, NULL, 0, 0, 1, {[KAPELL_BOOL] = not_BOOL}}, {"Reciprocal", NULL, NULL, 0, 0, 1, {REALS(reciprocal)}},
    {"Round", NULL, NULL, 0, 0, 1, {REALS(round_even)}}, {"Sign", NULL, NULL, 0, 0, 1, {REALS(sign), SIGNEDS(sign), UNSIGNEDS(sign)}},
    {"Sin", NULL, NULL, 0, 0, 8, {REALS(sine)}}, {"Sinh", NULL, NULL, 0, 0, 8, {REALS(sinh_of)}},
    {"Sqrt", NULL, NULL, 0, 0, 1, {REALS(root)}}, {"Tan", NULL, NULL, 0, 0, 10, {REALS(tangent)}},
    {"Tanh", NULL, NULL, 0, 0, 8, {REALS(tanh_of)}}, {"Relu", NULL, NULL, 0, 0, 1, {REALS(relu), SIGNEDS(relu)}},
    {"LeakyRelu", "alpha", NULL, 0.01f, 0, 1, {REALS(leaky_relu)}}, {"Elu", "alpha", NULL, 1, 0, 6, {REALS(elu)}},
    {"Selu", "alpha", "gamma", 1.67326319217681884765625f, 1.05070102214813232421875f, 6, {REALS(selu)}},
    {"Celu", "alpha", NULL, 1, 0, 6, {REALS(celu)}}, {"Sigmoid", NULL, NULL, 0, 0, 6, {REALS(sigmoid_of)}},
    {"HardSigmoid", "alpha", "beta", 0.2f, 0.5f, 1, {REALS(hard_sigmoid)}}, {"HardSwish", NULL, NULL, 0, 0, 1, {REALS(hard_swish)}},
    {"Swish", "alpha", NULL, 1, 0, 6, {REALS(swish)}}, {"QuickGelu", "alpha", NULL, 1.702f, 0, 6, {REALS(swish)}}, {"Mish", NULL, NULL, 0, 0, 20, {REALS(mish)}},
    {"Softplus", NULL, NULL, 0, 0, 12, {REALS(softplus_of)}}, {"Softsign", NULL, NULL, 0, 0, 1, {REALS(softsign)}},
    {"ThresholdedRelu", "alpha", NULL, 1, 0, 1, {REALS(thresholded_relu)}},
    {"Shrink", "bias", "lambd", 0, 0.5f, 1, {REALS(shrink), SIGNEDS(shrink), UNSIGNEDS(shrink)}},
    {"Gelu", NULL, NULL, 0, 0, 8, {REALS(gelu)}}, {"IsNaN", NULL, NULL, 0, 0, 1, {REALS(is_nan), EIGHTS(is_nan)}},
    {"IsInf", "detect_positive", "detect_negative", 1, 1, 1, {REALS(is_inf), EIGHTS(is_inf)}},
    {"ScaledTanh", "alpha", "beta", 1, 1, 8, {REALS(scaled_tanh)}}, {"Affine", "alpha", "beta", 1, 0, 1, {REALS(affine)}},
    {"Scale", "scale", NULL, 1, 0, 1, {REALS(affine)}},
    {"ParametricSoftplus", "alpha", "beta", 1, 1, 12, {REALS(parametric_softplus)}},
};
static const kp_unary_row gelu_tanh_row = {"Gelu", NULL, NULL, 0, 0, 10, {REALS(gelu_tanh)}};
// clang-format on

// --- prepare, run ------------------------------------------------------------------------------------------------------------
typedef struct kp_unary_state {
  const kp_unary_row* row;
  kp_unary_context context;
  const kp_eltwise_ops* kernel;  // f32, by |act| if |is_act|, else by |kind|; NULL: there is none
  bool is_act;
  kp_act act;
  kp_unary_kind kind;
} kp_unary_state;

static const struct {
  const char* name;
  kp_act_kind kind;
} acts[] = {{"Relu", KP_ACT_RELU},
            {"LeakyRelu", KP_ACT_LEAKY_RELU},
            {"Sigmoid", KP_ACT_SIGMOID},
            {"HardSigmoid", KP_ACT_HARD_SIGMOID},
            {"HardSwish", KP_ACT_HARD_SWISH},
            {"Swish", KP_ACT_SILU},
            {"QuickGelu", KP_ACT_SILU},
            {"Gelu", KP_ACT_GELU},
            {"Tanh", KP_ACT_TANH},
            {"Elu", KP_ACT_ELU},
            {"Mish", KP_ACT_MISH},
            {"Softplus", KP_ACT_SOFTPLUS}};

static bool act_of(const kp_unary_row* row, kp_act_kind* out_kind) {
  for (size_t i = 0; i < KP_COUNT_OF(acts); ++i) {
    if (strcmp(acts[i].name, row->name) != 0) continue;
    *out_kind = row == &gelu_tanh_row ? KP_ACT_GELU_TANH : acts[i].kind;
    return true;
  }
  return false;
}

static void choose_kernel(const kp_op_prepare* prepare, kp_unary_state* state) {
  static const struct {
    const char* name;
    kp_unary_kind kind;
  } kinds[] = {{"Abs", KP_UNARY_ABS},          {"Neg", KP_UNARY_NEG},
               {"Sqrt", KP_UNARY_SQRT},        {"Reciprocal", KP_UNARY_RECIPROCAL},
               {"Exp", KP_UNARY_EXP},          {"Log", KP_UNARY_LOG},
               {"Erf", KP_UNARY_ERF},          {"Floor", KP_UNARY_FLOOR},
               {"Ceil", KP_UNARY_CEIL},        {"Round", KP_UNARY_ROUND},
               {"Softsign", KP_UNARY_SOFTSIGN}};
  kp_act_kind act;
  if (act_of(state->row, &act)) {
    state->kernel = kp_eltwise_select(prepare->features);
    state->is_act = true;
    state->act = (kp_act){act, state->context.a, state->context.b};
  }
  for (size_t i = 0; i < KP_COUNT_OF(kinds); ++i) {
    if (strcmp(kinds[i].name, state->row->name) != 0) continue;
    state->kernel = kp_eltwise_select(prepare->features);
    state->kind = kinds[i].kind;
  }
}

static float number_attr(const kp_node* node, const char* name, float fallback) {
  const kp_attr* attr = name ? kp_node_attr(node, name) : NULL;
  if (!attr) return fallback;
  return attr->type == KP_ONNX_ATTR_INT ? (float)attr->i : attr->f;
}

// --- for other operators ------------------------------------------------------------------------------------------------------
const kp_unary_row* kp_unary_named(kp_str name) {
  if (kp_str_is(name, "FastGelu")) return &gelu_tanh_row;
  for (size_t i = 0; i < KP_COUNT_OF(rows); ++i)
    if (kp_str_is(name, rows[i].name)) return &rows[i];
  return NULL;
}

bool kp_unary_act(const kp_unary_row* row, const float* a, const float* b, kp_act* out_act) {
  kp_act_kind kind;
  if (!act_of(row, &kind)) return false;
  *out_act = (kp_act){kind, a ? *a : row->a_default, b ? *b : row->b_default};
  return true;
}

void kp_unary_apply(const kp_unary_row* row, const float* a, const float* b, kapell_type type,
                    size_t count, const void* x, void* y) {
  const kp_unary_context context = {a ? *a : row->a_default, b ? *b : row->b_default};
  if (row->fn[type]) row->fn[type](&context, count, x, y);
}

static kp_status* unary_prepare(kp_op_prepare* prepare) {
  const kp_node* node = prepare->node;
  kp_unary_state* state = kp_arena_new(prepare->arena, kp_unary_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  for (size_t i = 0; i < KP_COUNT_OF(rows) && !state->row; ++i)
    if (strcmp(rows[i].name, node->op) == 0) state->row = &rows[i];
  if (!state->row) return KP_ERROR(INTERNAL, "%s has no function", node->op);
  if (strcmp(node->op, "Gelu") == 0 &&
      kp_str_is(kp_node_attr_s(node, "approximate", "none"), "tanh"))
    state->row = &gelu_tanh_row;
  float a_default = state->row->a_default, b_default = state->row->b_default;
  if (strcmp(node->op, "Selu") == 0 && node->version < 6) {
    a_default = 1.6732f;
    b_default = 1.0507f;
  }
  state->context.a = number_attr(node, state->row->a, a_default);
  state->context.b = number_attr(node, state->row->b, b_default);
  choose_kernel(prepare, state);
  prepare->state = state;
  return NULL;
}

typedef struct kp_unary_job {
  const kp_unary_state* state;
  kp_unary_fn fn;
  const char* x;
  char* y;
  size_t count, tasks, x_size, y_size;
  bool kernel;
} kp_unary_job;

static void unary_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_unary_job* job = arg;
  size_t first, last;
  kp_share(job->count, job->tasks, task, &first, &last);
  const kp_unary_state* state = job->state;
  const float* x = (const float*)(const void*)job->x + first;
  float* y = (float*)(void*)job->y + first;
  const size_t count = last - first;
  if (job->kernel && state->is_act)
    state->kernel->activate(1, count, x, count, y, count, &state->act);
  else if (job->kernel)
    state->kernel->unary(state->kind, 1, count, x, count, y, count);
  else
    job->fn(&job->state->context, last - first, job->x + first * job->x_size,
            job->y + first * job->y_size);
}

static kp_status* unary_run(const kp_op_run* run) {
  const kp_unary_state* state = run->state;
  const kapell_value* x = run->inputs[0];
  kapell_value* y = run->outputs[0];
  kp_unary_job job = {.state = state,
                      .fn = state->row->fn[x->type],
                      .x = x->data,
                      .y = y->data,
                      .count = kp_value_count(x)};
  if (!job.fn)
    return KP_ERROR(RUN_FAILED, "%s has no kernel for %s", run->node->op, kp_type_name(x->type));
  job.kernel = state->kernel && x->type == KAPELL_FLOAT;
  job.x_size = kp_type_bits(x->type) / 8;
  job.y_size = kp_type_bits(y->type) / 8;
  const int threads = kp_op_width(run->width, job.count * state->row->cost);
  job.tasks = (size_t)threads;
  if (job.count) kp_parallel_for(threads, job.tasks, unary_task, &job);
  return NULL;
}

// clang-format off
#define UNARY(op, version, mask) UNARY_OF(NULL, op, version, mask)
#define UNARY_OF(space, op, version, mask) \
  {.domain = space, .name = op, .since = version, .types = mask, .prepare = unary_prepare, .run = unary_run, .flags = KP_OP_INPLACE | KP_OP_WIDEN, \
   .kernels = "f32: eltwise, where it has the operation"}
#define KP_M_SIGNED (KP_M(INT8) | KP_M(INT16) | KP_M(INT32) | KP_M(INT64))
static const kp_op_def ops[] = {  // spec: ONNX operators Abs-1..13 and so on; rows stand for all versions from .since on
    UNARY("Abs", 1, KP_M_NUMBERS), UNARY("Acos", 7, KP_M_REALS), UNARY("Acosh", 9, KP_M_REALS), UNARY("Asin", 7, KP_M_REALS),
    UNARY("Asinh", 9, KP_M_REALS), UNARY("Atan", 7, KP_M_REALS), UNARY("Atanh", 9, KP_M_REALS), UNARY("BitwiseNot", 18, KP_M_INTS),
    UNARY("Ceil", 1, KP_M_REALS), UNARY("Cos", 7, KP_M_REALS), UNARY("Cosh", 9, KP_M_REALS), UNARY("Erf", 9, KP_M_NUMBERS),
    UNARY("Exp", 1, KP_M_REALS), UNARY("Floor", 1, KP_M_REALS), UNARY("Log", 1, KP_M_REALS),
    UNARY("Neg", 1, KP_M_REALS | KP_M_SIGNED), UNARY("Not", 1, KP_M(BOOL)), UNARY("Reciprocal", 1, KP_M_REALS),
    UNARY("Round", 11, KP_M_REALS), UNARY("Sign", 9, KP_M_NUMBERS), UNARY("Sin", 7, KP_M_REALS), UNARY("Sinh", 9, KP_M_REALS),
    UNARY("Sqrt", 1, KP_M_REALS), UNARY("Tan", 7, KP_M_REALS), UNARY("Tanh", 1, KP_M_REALS),
    UNARY("Relu", 1, KP_M_REALS | KP_M_SIGNED), UNARY("LeakyRelu", 1, KP_M_REALS), UNARY("Elu", 1, KP_M_REALS),
    UNARY("Selu", 1, KP_M_REALS), UNARY("Celu", 12, KP_M_REALS), UNARY("Sigmoid", 1, KP_M_REALS),
    UNARY("HardSigmoid", 1, KP_M_REALS), UNARY("HardSwish", 14, KP_M_REALS), UNARY("Swish", 24, KP_M_REALS),
    UNARY("Mish", 18, KP_M_REALS), UNARY("Softplus", 1, KP_M_REALS), UNARY("Softsign", 1, KP_M_REALS),
    UNARY("ThresholdedRelu", 1, KP_M_REALS), UNARY("Shrink", 9, KP_M_NUMBERS), UNARY("Gelu", 20, KP_M_REALS),
    UNARY("IsNaN", 9, KP_M_REALS | KP_M_EIGHTS), UNARY("IsInf", 10, KP_M_REALS | KP_M_EIGHTS), UNARY("ScaledTanh", 1, KP_M_REALS),
    UNARY("Affine", 1, KP_M_REALS), UNARY("Scale", 1, KP_M_REALS), UNARY("ParametricSoftplus", 1, KP_M_REALS),
    UNARY_OF("com.microsoft", "Gelu", 1, KP_M_REALS), UNARY_OF("com.microsoft", "QuickGelu", 1, KP_M_REALS),
};
// clang-format on
KP_OP_TABLE(unary);
