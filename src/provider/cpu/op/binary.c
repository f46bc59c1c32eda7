// Elementwise operators of two inputs, and Min, Max, Sum, Mean of any number: Add Sub Mul Div Mod Pow PRelu, bitwise, shifts,
// logic, comparisons. Broadcasting is map.h's; before opset 7 the second input was broadcast by attribute instead.
//
// Integers wrap around. An integer divided by zero, and its remainder, are 0; INT_MIN / -1 is INT_MIN.
#include <math.h>

#include "provider/cpu/kernel/eltwise/eltwise.h"
#include "provider/cpu/op/map.h"

typedef struct kp_binary_op {  // row functions by element type of the first input
  kp_map_fn rows[KAPELL_TYPE_COUNT];
} kp_binary_op;
typedef struct kp_binary_state {
  const kp_binary_op* op;
  const kp_eltwise_ops* kernel;  // f32; NULL: the operator has none there
  kp_binary_kind kind;
} kp_binary_state;

#define ROWS(name, in_type, out_type, expression)                          \
  static void name(const void* context, const kp_map_block* block) {       \
    (void)context;                                                         \
    const size_t su = block->step[0], sv = block->step[1];                 \
    for (size_t r = 0; r < block->rows; ++r) {                             \
      const in_type* a = (const in_type*)block->in[0] + r * block->row[0]; \
      const in_type* b = (const in_type*)block->in[1] + r * block->row[1]; \
      out_type* y = (out_type*)block->out + r * block->cols;               \
      for (size_t i = 0; i < block->cols; ++i) {                           \
        const in_type u = a[i * su], v = b[i * sv];                        \
        (void)v;                                                           \
        y[i] = (out_type)(expression);                                     \
      }                                                                    \
    }                                                                      \
  }

// --- arithmetic --------------------------------------------------------------------------------------------------------------
// Wrapping needs unsigned arithmetic.
#define ARITHMETIC(type, c_type)                              \
  ROWS(add_##type, c_type, c_type, (uint64_t)u + (uint64_t)v) \
  ROWS(sub_##type, c_type, c_type, (uint64_t)u - (uint64_t)v) \
  ROWS(mul_##type, c_type, c_type, (uint64_t)u*(uint64_t)v)
KP_EACH_INT(ARITHMETIC)
#undef ARITHMETIC
#define REAL(type, c_type)                \
  ROWS(add_##type, c_type, c_type, u + v) \
  ROWS(sub_##type, c_type, c_type, u - v) \
  ROWS(mul_##type, c_type, c_type, u* v)  \
  ROWS(div_##type, c_type, c_type, u / v)
KP_EACH_REAL(REAL)
#undef REAL
#define SIGNED_DIV(type, c_type) \
  ROWS(div_##type, c_type, c_type, v == 0 ? 0 : v == -1 ? (c_type)(0 - (uint64_t)u) : u / v)
KP_EACH_SIGNED(SIGNED_DIV)
#undef SIGNED_DIV
#define UNSIGNED_DIV(type, c_type) ROWS(div_##type, c_type, c_type, v == 0 ? 0 : u / v)
KP_EACH_UNSIGNED(UNSIGNED_DIV)
#undef UNSIGNED_DIV

// Remainder with the sign of the divisor (Python's), and C's for fmod=1.
#define SIGNED_MOD(type, c_type)                                   \
  ROWS(fmod_##type, c_type, c_type, v == 0 || v == -1 ? 0 : u % v) \
  ROWS(mod_##type, c_type, c_type,                                 \
       v == 0 || v == -1        ? 0                                \
       : (u % v && (u ^ v) < 0) ? u % v + v                        \
                                : u % v)
KP_EACH_SIGNED(SIGNED_MOD)
#undef SIGNED_MOD
#define UNSIGNED_MOD(type, c_type)                      \
  ROWS(fmod_##type, c_type, c_type, v == 0 ? 0 : u % v) \
  ROWS(mod_##type, c_type, c_type, v == 0 ? 0 : u % v)
KP_EACH_UNSIGNED(UNSIGNED_MOD)
#undef UNSIGNED_MOD
static double floor_mod(double u, double v) {
  const double rest = fmod(u, v);
  return rest != 0 && (rest < 0) != (v < 0) ? rest + v : rest;
}
#define REAL_MOD(type, c_type)                  \
  ROWS(fmod_##type, c_type, c_type, fmod(u, v)) \
  ROWS(mod_##type, c_type, c_type, floor_mod(u, v))
KP_EACH_REAL(REAL_MOD)
#undef REAL_MOD

// A NaN on either side gives NaN, as numpy's minimum and maximum.
#define REAL_LIMIT(type, c_type)                                            \
  ROWS(min_##type, c_type, c_type, u != u ? u : v != v ? v : u < v ? u : v) \
  ROWS(max_##type, c_type, c_type, u != u ? u : v != v ? v : u > v ? u : v)
KP_EACH_REAL(REAL_LIMIT)
#undef REAL_LIMIT
#define INT_LIMIT(type, c_type)                   \
  ROWS(min_##type, c_type, c_type, u < v ? u : v) \
  ROWS(max_##type, c_type, c_type, u > v ? u : v)
KP_EACH_INT(INT_LIMIT)
#undef INT_LIMIT
ROWS(prelu_FLOAT, float, float, u < 0 ? u * v : u)
ROWS(prelu_DOUBLE, double, double, u < 0 ? u * v : u)
ROWS(prelu_INT32, int32_t, int32_t, u < 0 ? (uint64_t)u * (uint64_t)v : (uint64_t)u)
ROWS(prelu_INT64, int64_t, int64_t, u < 0 ? (uint64_t)u * (uint64_t)v : (uint64_t)u)
ROWS(prelu_UINT32, uint32_t, uint32_t, u)
ROWS(prelu_UINT64, uint64_t, uint64_t, u)

// --- bits, logic, comparisons ------------------------------------------------------------------------------------------------
#define BITS(type, c_type)               \
  ROWS(and_##type, c_type, c_type, u& v) \
  ROWS(or_##type, c_type, c_type, u | v) \
  ROWS(xor_##type, c_type, c_type, u ^ v)
KP_EACH_INT(BITS)
#undef BITS
#define SHIFT(type, c_type)                                                        \
  ROWS(left_##type, c_type, c_type, v < sizeof(c_type) * 8 ? (uint64_t)u << v : 0) \
  ROWS(right_##type, c_type, c_type, v < sizeof(c_type) * 8 ? u >> v : 0)
KP_EACH_UNSIGNED(SHIFT)
#undef SHIFT
// Signed (since opset 28): the sign moves in from the left; an amount below 0 or beyond the type moves everything out.
#define SIGNED_SHIFT(type, c_type)                                      \
  ROWS(left_##type, c_type, c_type,                                     \
       v >= 0 && (size_t)v < sizeof(c_type) * 8 ? (uint64_t)u << v : 0) \
  ROWS(right_##type, c_type, c_type,                                    \
       v >= 0 && (size_t)v < sizeof(c_type) * 8 ? u >> v                \
       : u < 0                                  ? -1                    \
                                                : 0)
KP_EACH_SIGNED(SIGNED_SHIFT)
#undef SIGNED_SHIFT
ROWS(both, uint8_t, uint8_t, u&& v)
ROWS(either, uint8_t, uint8_t, u || v)
ROWS(one_of, uint8_t, uint8_t, !u != !v)
#define COMPARE(type, c_type)                      \
  ROWS(equal_##type, c_type, uint8_t, u == v)      \
  ROWS(less_##type, c_type, uint8_t, u < v)        \
  ROWS(less_equal_##type, c_type, uint8_t, u <= v) \
  ROWS(greater_##type, c_type, uint8_t, u > v)     \
  ROWS(greater_equal_##type, c_type, uint8_t, u >= v)
KP_EACH_NUMBER(COMPARE)
#undef COMPARE
ROWS(equal_BOOL, uint8_t, uint8_t, !u == !v)
static bool same_text(kp_str a, kp_str b) { return kp_str_equal(a, b); }
ROWS(equal_STRING, kp_str, uint8_t, same_text(u, v))

// --- tables by type ----------------------------------------------------------------------------------------------------------
#define FOR_INT(name)                                                                            \
  [KAPELL_INT8] = name##_INT8, [KAPELL_INT16] = name##_INT16, [KAPELL_INT32] = name##_INT32,     \
  [KAPELL_INT64] = name##_INT64, [KAPELL_UINT8] = name##_UINT8, [KAPELL_UINT16] = name##_UINT16, \
  [KAPELL_UINT32] = name##_UINT32, [KAPELL_UINT64] = name##_UINT64
#define FOR_REAL(name) [KAPELL_FLOAT] = name##_FLOAT, [KAPELL_DOUBLE] = name##_DOUBLE
static const struct {
  const char* name;
  kp_binary_op op;
} functions[] = {
    {"Add", {{FOR_REAL(add), FOR_INT(add)}}},
    {"Sub", {{FOR_REAL(sub), FOR_INT(sub)}}},
    {"Mul", {{FOR_REAL(mul), FOR_INT(mul)}}},
    {"Div", {{FOR_REAL(div), FOR_INT(div)}}},
    {"Mod", {{FOR_REAL(mod), FOR_INT(mod)}}},
    {"Min", {{FOR_REAL(min), FOR_INT(min)}}},
    {"Max", {{FOR_REAL(max), FOR_INT(max)}}},
    {"Sum", {{FOR_REAL(add)}}},
    {"Mean", {{FOR_REAL(add)}}},
    {"PRelu",
     {{FOR_REAL(prelu), [KAPELL_INT32] = prelu_INT32, [KAPELL_INT64] = prelu_INT64,
       [KAPELL_UINT32] = prelu_UINT32, [KAPELL_UINT64] = prelu_UINT64}}},
    {"BitwiseAnd", {{FOR_INT(and)}}},
    {"BitwiseOr", {{FOR_INT(or)}}},
    {"BitwiseXor", {{FOR_INT(xor)}}},
    {"BitShift", {{FOR_INT(right)}}},
    {"And", {{[KAPELL_BOOL] = both}}},
    {"Or", {{[KAPELL_BOOL] = either}}},
    {"Xor", {{[KAPELL_BOOL] = one_of}}},
    {"Equal",
     {{FOR_REAL(equal),
       FOR_INT(equal), [KAPELL_BOOL] = equal_BOOL, [KAPELL_STRING] = equal_STRING}}},
    {"Less", {{FOR_REAL(less), FOR_INT(less)}}},
    {"LessOrEqual", {{FOR_REAL(less_equal), FOR_INT(less_equal)}}},
    {"Greater", {{FOR_REAL(greater), FOR_INT(greater)}}},
    {"GreaterOrEqual", {{FOR_REAL(greater_equal), FOR_INT(greater_equal)}}},
};
static const kp_binary_op fmod_op = {{FOR_REAL(fmod), FOR_INT(fmod)}};
static const kp_binary_op left_op = {{FOR_INT(left)}};

static const kp_binary_op* functions_of(const kp_node* node) {
  if (strcmp(node->op, "Mod") == 0 && kp_node_attr_i(node, "fmod", 0)) return &fmod_op;
  if (strcmp(node->op, "BitShift") == 0 && kp_str_is(kp_node_attr_s(node, "direction", ""), "LEFT"))
    return &left_op;
  for (size_t i = 0; i < KP_COUNT_OF(functions); ++i)
    if (strcmp(functions[i].name, node->op) == 0) return &functions[i].op;
  return NULL;
}

// --- prepare, plan, run ------------------------------------------------------------------------------------------------------
typedef struct kp_binary_params {
  kp_map_fn rows;
  uint32_t count;  // inputs
  size_t in_size, out_size;
  kp_map maps
      [];  // one, or count - 1 for operators of many inputs: the first two, then the result with each further one
} kp_binary_params;

static void choose_kernel(const kp_op_prepare* prepare, kp_binary_state* state) {
  static const struct {
    const char* name;
    kp_binary_kind kind;
  } kinds[] = {{"Add", KP_BINARY_ADD}, {"Sum", KP_BINARY_ADD}, {"Mean", KP_BINARY_ADD},
               {"Sub", KP_BINARY_SUB}, {"Mul", KP_BINARY_MUL}, {"Div", KP_BINARY_DIV},
               {"Min", KP_BINARY_MIN}, {"Max", KP_BINARY_MAX}, {"Pow", KP_BINARY_POW}};
  for (size_t i = 0; i < KP_COUNT_OF(kinds); ++i) {
    if (strcmp(kinds[i].name, prepare->node->op) != 0) continue;
    state->kernel = kp_eltwise_select(prepare->features);
    state->kind = kinds[i].kind;
  }
}

static kp_status* binary_prepare(kp_op_prepare* prepare) {
  kp_binary_state* state = kp_arena_new(prepare->arena, kp_binary_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  state->op = functions_of(prepare->node);
  choose_kernel(prepare, state);
  prepare->state = state;
  return NULL;
}

static void kernel_rows(const void* context, const kp_map_block* block) {
  const kp_binary_state* state = context;
  const kp_operand a = {block->in[0], block->row[0], block->step[0]},
                   b = {block->in[1], block->row[1], block->step[1]};
  state->kernel->binary(state->kind, block->rows, block->cols, &a, &b, block->out, block->cols,
                        NULL);
}

// How opset 1 to 6 broadcast: the second input lies at |axis| of the first, or at its end. PRelu's slope: one per channel.
static void place_legacy(const kp_node* node, const kapell_value* a, const kapell_value* b,
                         kapell_value* placed, int64_t* dims) {
  const bool slope = strcmp(node->op, "PRelu") == 0;
  int64_t axis =
      kp_node_attr_i(node, "axis", slope && b->rank == 1 && a->rank > 1 ? 1 : a->rank - b->rank);
  if (axis < 0) axis += a->rank;
  if (b->rank > a->rank || axis < 0 || axis + b->rank > a->rank) return;  // as numpy does
  *placed = *b;
  for (int32_t d = 0; d < a->rank; ++d)
    dims[d] = d >= axis && d < axis + b->rank ? b->dims[d - axis] : 1;
  placed->rank = a->rank;
  placed->dims = dims;
}

static bool is_legacy(const kp_node* node) {
  const bool many = strcmp(node->op, "Sum") == 0 || strcmp(node->op, "Mean") == 0 ||
                    strcmp(node->op, "Min") == 0 || strcmp(node->op, "Max") == 0;
  return node->version < 7 && !many && node->domain[0] == '\0';
}

static kp_status* binary_plan(kp_op_plan* plan) {
  const uint32_t count = plan->node->input_count, maps = count > 1 ? count - 1 : 1;
  kp_binary_params* params = kp_arena_alloc(plan->arena, sizeof *params + maps * sizeof(kp_map));
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  const kp_binary_state* state = plan->state;
  const kapell_value *first = plan->inputs[0], *output = plan->outputs[0];
  params->rows =
      first->type == KAPELL_FLOAT && state->kernel ? kernel_rows : state->op->rows[first->type];
  if (!params->rows)
    return KP_ERROR(RUN_FAILED, "%s has no kernel for %s", plan->node->op,
                    kp_type_name(first->type));
  params->count = count;
  params->in_size = first->type == KAPELL_STRING ? sizeof(kp_str) : kp_type_bits(first->type) / 8;
  params->out_size = kp_type_bits(output->type) / 8;
  for (uint32_t i = 1; i < count; ++i)
    if (plan->inputs[i]->type != first->type)
      return KP_ERROR(RUN_FAILED, "inputs of types %s and %s", kp_type_name(first->type),
                      kp_type_name(plan->inputs[i]->type));
  if (count == 1) {
    KP_PASS(kp_map_init(&params->maps[0], plan->arena, 1, plan->inputs, output));
  } else {
    kapell_value placed;
    int64_t dims[KP_MAX_RANK];
    const kapell_value* pair[2] = {first, plan->inputs[1]};
    if (is_legacy(plan->node)) {
      placed = *pair[1];
      place_legacy(plan->node, first, pair[1], &placed, dims);
      pair[1] = &placed;
    }
    KP_PASS(kp_map_init(&params->maps[0], plan->arena, 2, pair, output));
    for (uint32_t i = 2; i < count; ++i) {
      const kapell_value* next[2] = {output, plan->inputs[i]};
      KP_PASS(kp_map_init(&params->maps[i - 1], plan->arena, 2, next, output));
    }
  }
  plan->params = params;
  return NULL;
}

static void run_pair(const kp_op_run* run, const kp_map* map, const void* a, const void* b) {
  const kp_binary_params* params = run->params;
  const void* in[2] = {a, b};
  const size_t sizes[2] = {params->in_size, params->in_size};
  kp_map_run(map, params->rows, run->state, in, sizes, run->outputs[0]->data, params->out_size,
             run->width, 1);
}

static kp_status* binary_run(const kp_op_run* run) {
  const kp_binary_params* params = run->params;
  kapell_value* output = run->outputs[0];
  if (params->count == 1) {
    if (output->byte_count && output->data != run->inputs[0]->data)
      memcpy(output->data, run->inputs[0]->data, output->byte_count);
    return NULL;
  }
  run_pair(run, &params->maps[0], run->inputs[0]->data, run->inputs[1]->data);
  for (uint32_t i = 2; i < params->count; ++i)
    run_pair(run, &params->maps[i - 1], output->data, run->inputs[i]->data);
  return NULL;
}

static kp_status* mean_run(const kp_op_run* run) {
  KP_PASS(binary_run(run));
  kapell_value* output = run->outputs[0];
  const size_t count = kp_value_count(output);
  const double inputs = run->node->input_count;
  for (size_t i = 0; i < count; ++i) {
    if (output->type == KAPELL_DOUBLE)
      ((double*)output->data)[i] /= inputs;
    else
      ((float*)output->data)[i] /= (float)inputs;
  }
  return NULL;
}

// --- Pow: the exponent's type is its own -------------------------------------------------------------------------------------
typedef struct kp_pow_context {
  kapell_type base, exponent;
} kp_pow_context;

static double load(kapell_type type, const void* data, size_t index) {
  const kapell_value value = {.type = type, .data = (char*)(uintptr_t)data};
  return kp_double_at(&value, index);
}

// Integer powers wrap around; a negative exponent gives what is left of the fraction.
static uint64_t int_pow(int64_t base, int64_t exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent & 1 ? (uint64_t)-1 : 1) : 0;
  uint64_t result = 1, power = (uint64_t)base;
  for (; exponent; exponent >>= 1, power *= power)
    if (exponent & 1) result *= power;
  return result;
}

static void store_pow(const kp_pow_context* context, void* out, size_t i, const void* x, size_t xi,
                      const void* y, size_t yi) {
  if (kp_type_is_integer(context->base) && kp_type_is_integer(context->exponent)) {
    const kapell_value base = {.type = context->base, .data = (char*)(uintptr_t)x};
    const kapell_value exponent = {.type = context->exponent, .data = (char*)(uintptr_t)y};
    const uint64_t power = int_pow(kp_int_at(&base, xi), kp_int_at(&exponent, yi));
    memcpy((char*)out + i * (kp_type_bits(context->base) / 8), &power,
           kp_type_bits(context->base) / 8);
    return;
  }
  const double power = pow(load(context->base, x, xi), load(context->exponent, y, yi));
  const kapell_value real = {.type = KAPELL_DOUBLE, .data = (char*)(uintptr_t)&power};
  const int64_t whole = kp_int_at(&real, 0);
  if (context->base == KAPELL_FLOAT)
    ((float*)out)[i] = (float)power;
  else if (context->base == KAPELL_DOUBLE)
    ((double*)out)[i] = power;
  else
    memcpy((char*)out + i * (kp_type_bits(context->base) / 8), &whole,
           kp_type_bits(context->base) / 8);
}

static void pow_rows(const void* context, const kp_map_block* block) {
  const kp_pow_context* types = context;
  for (size_t r = 0; r < block->rows; ++r)
    for (size_t i = 0; i < block->cols; ++i)
      store_pow(types, block->out, r * block->cols + i, block->in[0],
                r * block->row[0] + i * block->step[0], block->in[1],
                r * block->row[1] + i * block->step[1]);
}

static kp_status* pow_plan(kp_op_plan* plan) {
  kp_map* map = kp_arena_new(plan->arena, kp_map);
  if (!map) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  kapell_value placed = *plan->inputs[1];
  int64_t dims[KP_MAX_RANK];
  if (is_legacy(plan->node))
    place_legacy(plan->node, plan->inputs[0], plan->inputs[1], &placed, dims);
  const kapell_value* pair[2] = {plan->inputs[0], &placed};
  plan->params = map;
  return kp_map_init(map, plan->arena, 2, pair, plan->outputs[0]);
}

static kp_status* pow_run(const kp_op_run* run) {
  const kp_pow_context context = {run->inputs[0]->type, run->inputs[1]->type};
  const void* in[2] = {run->inputs[0]->data, run->inputs[1]->data};
  const size_t sizes[2] = {kp_type_bits(context.base) / 8, kp_type_bits(context.exponent) / 8};
  if (context.base == KAPELL_FLOAT && context.exponent == KAPELL_FLOAT) {
    kp_map_run(run->params, kernel_rows, run->state, in, sizes, run->outputs[0]->data, sizes[0],
               run->width, 4);
    return NULL;
  }
  kp_map_run(run->params, pow_rows, &context, in, sizes, run->outputs[0]->data, sizes[0],
             run->width, 20);
  return NULL;
}

// clang-format off
#define BINARY(op, version, mask) \
  {.name = op, .since = version, .types = mask, .prepare = binary_prepare, .plan = binary_plan, .run = binary_run, \
   .flags = KP_OP_INPLACE | KP_OP_WIDEN, .kernels = "f32: eltwise, where it has the operation"}
static const kp_op_def ops[] = {  // spec: ONNX operators Add-1..14 and so on; rows stand for all versions from .since on
    BINARY("Add", 1, KP_M_NUMBERS), BINARY("Sub", 1, KP_M_NUMBERS), BINARY("Mul", 1, KP_M_NUMBERS), BINARY("Div", 1, KP_M_NUMBERS),
    BINARY("Mod", 10, KP_M_NUMBERS), BINARY("Min", 1, KP_M_NUMBERS), BINARY("Max", 1, KP_M_NUMBERS),
    BINARY("Sum", 1, KP_M_REALS), BINARY("PRelu", 1, KP_M_REALS | KP_M(INT32) | KP_M(INT64) | KP_M(UINT32) | KP_M(UINT64)),
    {.name = "Mean", .since = 1, .types = KP_M_REALS, .prepare = binary_prepare, .plan = binary_plan, .run = mean_run,
     .flags = KP_OP_INPLACE | KP_OP_WIDEN},
    BINARY("BitwiseAnd", 18, KP_M_INTS), BINARY("BitwiseOr", 18, KP_M_INTS), BINARY("BitwiseXor", 18, KP_M_INTS),
    BINARY("BitShift", 11, KP_M_INTS),
    BINARY("And", 1, KP_M(BOOL)), BINARY("Or", 1, KP_M(BOOL)), BINARY("Xor", 1, KP_M(BOOL)),
    BINARY("Equal", 1, KP_M_NUMBERS | KP_M(BOOL) | KP_M(STRING)),
    BINARY("Less", 1, KP_M_NUMBERS), BINARY("LessOrEqual", 12, KP_M_NUMBERS),
    BINARY("Greater", 1, KP_M_NUMBERS), BINARY("GreaterOrEqual", 12, KP_M_NUMBERS),
    {.name = "Pow", .since = 1, .types = KP_M_REALS | KP_M(INT32) | KP_M(INT64), .prepare = binary_prepare, .plan = pow_plan, .run = pow_run,
     .flags = KP_OP_INPLACE | KP_OP_WIDEN},
};
// clang-format on
KP_OP_TABLE(binary);
