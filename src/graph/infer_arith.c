// Arithmetic on the contents of small tensors, elementwise. See infer_rule.h; infer_data.c reads and sets contents.
//
// At load an element may be a symbol, and what cannot be told is a fresh one. While specialising all are numbers, and then every
// operator here gives a result: plan/ relies on it (KP_INFER_FROM_DATA).
#include <math.h>

#include "base/small_float.h"
#include "graph/infer_rule.h"

// --- numbers ----------------------------------------------------------------------------------------------------------
static bool fits(kapell_type type, int64_t x) {
  switch (type) {
    case KAPELL_INT8:
      return x >= INT8_MIN && x <= INT8_MAX;
    case KAPELL_UINT8:
      return x >= 0 && x <= UINT8_MAX;
    case KAPELL_INT16:
      return x >= INT16_MIN && x <= INT16_MAX;
    case KAPELL_UINT16:
      return x >= 0 && x <= UINT16_MAX;
    case KAPELL_INT32:
      return x >= INT32_MIN && x <= INT32_MAX;
    case KAPELL_UINT32:
      return x >= 0 && x <= UINT32_MAX;
    case KAPELL_BOOL:
      return x == 0 || x == 1;
    case KAPELL_FLOAT:
      return x >= -(1 << 24) && x <= 1 << 24;
    case KAPELL_FLOAT16:
      return x >= -2048 && x <= 2048;
    case KAPELL_BFLOAT16:
      return x >= -256 && x <= 256;
    default:
      return true;
  }
}

// |x| modulo 2^bits in the integer type |type|. (A uint64 beyond INT64_MAX appears negative: sizes never get there.)
static int64_t wrap(kapell_type type, uint64_t x) {
  switch (type) {
    case KAPELL_INT8:
      return (int8_t)(uint8_t)x;
    case KAPELL_UINT8:
      return (uint8_t)x;
    case KAPELL_INT16:
      return (int16_t)(uint16_t)x;
    case KAPELL_UINT16:
      return (uint16_t)x;
    case KAPELL_INT32:
      return (int32_t)(uint32_t)x;
    case KAPELL_UINT32:
      return (uint32_t)x;
    case KAPELL_BOOL:
      return x != 0;
    default:
      return (int64_t)x;
  }
}

static uint64_t power(int64_t base, int64_t exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 ? UINT64_MAX : 1) : 0;
  uint64_t result = 1, square = (uint64_t)base;
  for (; exponent > 0; exponent >>= 1, square *= square) {
    if (exponent & 1) result *= square;
  }
  return result;
}

static int64_t divide(kp_data_op op, int64_t a, int64_t b) {
  if (b == 0) return 0;
  if (b == -1) return op == KP_DATA_DIV ? (int64_t)(0 - (uint64_t)a) : 0;
  if (op == KP_DATA_DIV) return a / b;
  const int64_t rest = a % b;
  return op == KP_DATA_MOD && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

// Comparisons and logic, which are the same for every kind of number. Nothing of it holds for a NaN but "not equal".
static bool holds(kp_data_op op, bool equal, bool less, bool greater, bool a, bool b) {
  switch (op) {
    case KP_DATA_EQUAL:
      return equal;
    case KP_DATA_LESS:
      return less;
    case KP_DATA_LESS_EQUAL:
      return less || equal;
    case KP_DATA_GREATER:
      return greater;
    case KP_DATA_GREATER_EQUAL:
      return greater || equal;
    case KP_DATA_AND:
      return a && b;
    case KP_DATA_OR:
      return a || b;
    default:
      return a != b;
  }
}

static int64_t whole_numbers(kp_data_op op, kapell_type type, int64_t a, int64_t b) {
  switch (op) {
    case KP_DATA_ADD:
      return wrap(type, (uint64_t)a + (uint64_t)b);
    case KP_DATA_SUB:
      return wrap(type, (uint64_t)a - (uint64_t)b);
    case KP_DATA_MUL:
      return wrap(type, (uint64_t)a * (uint64_t)b);
    case KP_DATA_DIV:
    case KP_DATA_MOD:
    case KP_DATA_FMOD:
      return wrap(type, (uint64_t)divide(op, a, b));
    case KP_DATA_MIN:
      return a < b ? a : b;
    case KP_DATA_MAX:
      return a > b ? a : b;
    case KP_DATA_POW:
      return wrap(type, power(a, b));
    default:
      return holds(op, a == b, a<b, a> b, a != 0, b != 0);
  }
}

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

static double real_numbers(kp_data_op op, kapell_type type, double a, double b) {
  switch (op) {
    case KP_DATA_ADD:
      return round_to(type, a + b);
    case KP_DATA_SUB:
      return round_to(type, a - b);
    case KP_DATA_MUL:
      return round_to(type, a * b);
    case KP_DATA_DIV:
      return round_to(type, a / b);
    case KP_DATA_MOD:
      return round_to(type, a - floor(a / b) * b);
    case KP_DATA_FMOD:
      return round_to(type, fmod(a, b));
    case KP_DATA_MIN:
      return a < b || isnan(a) ? a : b;
    case KP_DATA_MAX:
      return a > b || isnan(a) ? a : b;
    case KP_DATA_POW:
      return round_to(type, pow(a, b));
    default:
      return holds(op, a == b, a<b, a> b, a != 0, b != 0);
  }
}

// --- symbols ----------------------------------------------------------------------------------------------------------
// a < b for certain: a is a number, and the symbol b cannot be so small.
static bool surely_less(const kp_infer* infer, kp_expr a, kp_expr b) {
  return kp_is_number(a) && a < INT64_MAX && kp_is_symbol(b) && kp_data_at_least(infer, b, a + 1);
}

static bool logic(kp_data_op op, kp_expr a, kp_expr b, kp_expr* out) {
  const kp_expr number = kp_is_number(a) ? a : b, symbol = kp_is_number(a) ? b : a;
  if (op == KP_DATA_XOR) return false;
  *out = symbol;
  if (!kp_is_number(number)) return a == b;
  if (op == KP_DATA_AND && number == 0) *out = 0;
  if (op == KP_DATA_OR && number != 0) *out = 1;
  return true;
}

static bool order(const kp_infer* infer, kp_data_op op, kp_expr a, kp_expr b, kp_expr* out) {
  const bool same = a == b, less = surely_less(infer, a, b), greater = surely_less(infer, b, a);
  if (op == KP_DATA_EQUAL) *out = same;
  if (op == KP_DATA_LESS) *out = less;
  if (op == KP_DATA_LESS_EQUAL) *out = less || same;
  if (op == KP_DATA_GREATER) *out = greater;
  if (op == KP_DATA_GREATER_EQUAL) *out = greater || same;
  return same || less || greater;
}

// At least one side is a symbol. |real|: of a float type, where a quotient need not be whole.
static bool expressions(kp_infer* infer, kp_data_op op, bool real, kp_expr a, kp_expr b,
                        kp_expr* out) {
  static const kp_expr_op ops[] = {
      [KP_DATA_ADD] = KP_EXPR_ADD, [KP_DATA_SUB] = KP_EXPR_SUB, [KP_DATA_MUL] = KP_EXPR_MUL,
      [KP_DATA_DIV] = KP_EXPR_DIV, [KP_DATA_MOD] = KP_EXPR_MOD, [KP_DATA_FMOD] = KP_EXPR_MOD,
      [KP_DATA_MIN] = KP_EXPR_MIN, [KP_DATA_MAX] = KP_EXPR_MAX,
  };
  if (op >= KP_DATA_AND) return logic(op, a, b, out);
  if (op >= KP_DATA_EQUAL) return order(infer, op, a, b, out);
  if (op == KP_DATA_POW) {
    *out = b == 1 ? a : b == 2 ? kp_expr_make(infer->symbols, KP_EXPR_MUL, a, a) : 0;
    return b == 1 || b == 2;
  }
  // Truncation and floor agree where nothing is negative.
  const bool divides = op == KP_DATA_DIV || op == KP_DATA_MOD || op == KP_DATA_FMOD;
  if (divides && (b == 0 || !kp_data_at_least(infer, a, 0) || !kp_data_at_least(infer, b, 0)))
    return false;
  if (op == KP_DATA_DIV && real && kp_expr_make(infer->symbols, KP_EXPR_MOD, a, b) != 0)
    return false;
  *out = kp_expr_make(infer->symbols, ops[op], a, b);
  return true;
}

bool kp_data_combine(kp_infer* infer, kp_data_op op, kapell_type element, kp_expr a, kp_expr b,
                     kp_expr* out) {
  const bool real = kp_data_is_float(element);
  if (!kp_data_is_number(infer, a) || !kp_data_is_number(infer, b))
    return expressions(infer, op, real, a, b, out);
  if (real && op < KP_DATA_EQUAL) {
    if (op == KP_DATA_POW || (b == 0 && op >= KP_DATA_DIV && op <= KP_DATA_FMOD)) return false;
    if (op == KP_DATA_DIV && a % b != 0) return false;
    if (!fits(KAPELL_FLOAT, a) || !fits(KAPELL_FLOAT, b)) return false;
  }
  const int64_t result = whole_numbers(op, element, a, b);
  if (real && !fits(element, result)) return false;
  *out = result;
  return kp_data_is_number(infer, result) && !(infer->symbols && kp_is_symbol(result));
}

// --- tensors ----------------------------------------------------------------------------------------------------------
// One side of an elementwise operation: whole-numbered expressions, or doubles.
typedef struct operand {
  const kp_type* type;
  const kp_expr* ints;
  const double* doubles;
} operand;

static bool load(kp_infer* infer, uint32_t i, operand* out) {
  kp_ints ints;
  kp_doubles doubles = {0};
  *out = (operand){.type = kp_in_tensor(infer, i)};
  if (!out->type) return false;
  if (kp_in_ints(infer, i, &ints))
    out->ints = ints.v;
  else if (kp_in_doubles(infer, i, &doubles))
    out->doubles = doubles.v;
  return (out->ints || out->doubles) &&
         kp_type_small_count(out->type) == (int64_t)(out->ints ? ints.n : doubles.n);
}

// Where element |flat| of a tensor with |out|'s dims lies in one with |in|'s dims that broadcasts to it.
static uint32_t source_index(const kp_type* out, const kp_type* in, uint32_t flat) {
  uint32_t index = 0, stride = 1;
  for (int32_t d = out->rank - 1, e = in->rank - 1; d >= 0 && e >= 0; --d, --e) {
    const uint32_t size = (uint32_t)out->dims[d], have = (uint32_t)in->dims[e];
    if (have > 1) index += flat % size * stride;
    stride *= have;
    flat /= size;
  }
  return index;
}

void kp_data_broadcast(kp_infer* infer) {
  const kp_type *in = kp_in_tensor(infer, 0), *out = infer->outputs;
  if (!in || !kp_in_has_data(infer, 0) || !kp_out_wanted(infer, 0) || kp_type_small_count(in) < 0)
    return;
  const int64_t count = kp_type_small_count(out);
  uint32_t* source = kp_data_sources(infer, 0, 0, count);
  for (uint32_t k = 0; source && k < (uint32_t)count; ++k) source[k] = source_index(out, in, k);
  if (source) kp_data_pick(infer, 0, 0, source, (uint32_t)count);
}

static bool combine_ints(kp_infer* infer, kp_data_op op, const operand* a, const operand* b,
                         operand* out, int64_t count) {
  const kapell_type element = a->type->element;
  kp_expr* result = kp_out_ints(infer, 0, count);
  for (uint32_t k = 0; result && k < (uint32_t)count; ++k) {
    const kp_expr x = a->ints[source_index(out->type, a->type, k)],
                  y = b->ints[source_index(out->type, b->type, k)];
    if (kp_data_combine(infer, op, element, x, y, &result[k])) continue;
    // A symbol for an integer or truth value that is not known; a float may be a fraction.
    if ((kp_data_is_float(element) && op < KP_DATA_EQUAL) || !kp_data_untold(infer, &result[k]))
      return false;
  }
  out->ints = result;
  out->doubles = NULL;
  return result != NULL;
}

static const double* as_doubles(kp_infer* infer, const operand* from) {
  if (from->doubles) return from->doubles;
  const int64_t count = kp_type_small_count(from->type);
  double* values = kp_arena_new_array(infer->arena, double, count > 0 ? (size_t)count : 1);
  for (int64_t k = 0; values && k < count; ++k) {
    if (!kp_data_is_number(infer, from->ints[k])) return NULL;
    values[k] = (double)from->ints[k];
  }
  return values;
}

static bool combine_doubles(kp_infer* infer, kp_data_op op, const operand* a, const operand* b,
                            operand* out, int64_t count) {
  const double *x = as_doubles(infer, a), *y = as_doubles(infer, b);
  if (!x || !y) return false;
  double* values = op < KP_DATA_EQUAL ? kp_out_doubles(infer, 0, count) : NULL;
  kp_expr* truths = op < KP_DATA_EQUAL ? NULL : kp_out_ints(infer, 0, count);
  for (uint32_t k = 0; (values || truths) && k < (uint32_t)count; ++k) {
    const double result = real_numbers(op, a->type->element, x[source_index(out->type, a->type, k)],
                                       y[source_index(out->type, b->type, k)]);
    if (values) values[k] = result;
    if (truths) truths[k] = result != 0;
  }
  out->ints = truths;
  out->doubles = values;
  return values || truths;
}

void kp_data_chain(kp_infer* infer, const kp_data_step* steps, uint32_t count) {
  if (!kp_out_wanted(infer, 0) || !kp_in_has_data(infer, 0)) return;
  for (uint32_t s = 0; s < count; ++s) {
    if (!kp_in_has_data(infer, steps[s].input)) return;
  }
  if (count == 0) kp_out_data_of(infer, 0, 0);
  const int64_t size = kp_type_small_count(&infer->outputs[0]);
  operand left, right;
  if (size < 0 || !load(infer, 0, &left)) return;
  for (uint32_t s = 0; s < count; ++s) {
    operand result = {.type = &infer->outputs[0]};
    bool done = load(infer, steps[s].input, &right);
    if (done && left.ints && right.ints)
      done = combine_ints(infer, steps[s].op, &left, &right, &result, size) ||
             (kp_data_is_float(left.type->element) &&
              combine_doubles(infer, steps[s].op, &left, &right, &result, size));
    else if (done)
      done = combine_doubles(infer, steps[s].op, &left, &right, &result, size);
    if (!done) {
      kp_out_drop_data(infer, 0);
      return;
    }
    left = result;
  }
}

void kp_data_fold(kp_infer* infer, kp_data_op op) {
  kp_data_step steps[16];
  const uint32_t count = infer->node->input_count;
  if (count == 1) kp_out_data_of(infer, 0, 0);
  if (count < 2 || count > KP_COUNT_OF(steps) + 1) return;
  for (uint32_t i = 1; i < count; ++i) steps[i - 1] = (kp_data_step){op, i};
  kp_data_chain(infer, steps, count - 1);
}

static bool map_int(kp_infer* infer, kp_data_unary op, kapell_type element, kp_expr a,
                    kp_expr* out) {
  const bool number = kp_data_is_number(infer, a);
  *out = a;
  switch (op) {
    case KP_DATA_NEG:
      return kp_data_combine(infer, KP_DATA_SUB, element, 0, a, out);
    case KP_DATA_ABS:
      return kp_data_at_least(infer, a, 0) ||
             (number && kp_data_combine(infer, KP_DATA_SUB, element, 0, a, out));
    case KP_DATA_NOT:
      *out = a == 0;
      return number;
    case KP_DATA_SIGN:
      *out = number ? (a > 0) - (a < 0) : 1;
      return number || kp_data_at_least(infer, a, 1);
    case KP_DATA_RELU:
      return kp_data_combine(infer, KP_DATA_MAX, element, a, 0, out);
    case KP_DATA_CEIL:
    case KP_DATA_FLOOR:
    case KP_DATA_ROUND:
      return true;
    case KP_DATA_SQRT:
    case KP_DATA_RECIPROCAL:
      break;
  }
  return false;
}

static double map_double(kp_data_unary op, double a) {
  switch (op) {
    case KP_DATA_NEG:
      return -a;
    case KP_DATA_ABS:
      return fabs(a);
    case KP_DATA_CEIL:
      return ceil(a);
    case KP_DATA_FLOOR:
      return floor(a);
    case KP_DATA_ROUND:
      return nearbyint(a);
    case KP_DATA_SQRT:
      return sqrt(a);
    case KP_DATA_SIGN:
      return (a > 0) - (a < 0);
    case KP_DATA_RELU:
      return a > 0 ? a : 0;
    case KP_DATA_RECIPROCAL:
      return 1 / a;
    case KP_DATA_NOT:
      break;
  }
  return a == 0;
}

void kp_data_map(kp_infer* infer, kp_data_unary op) {
  if (!kp_in_has_data(infer, 0)) return;
  const kapell_type element = kp_in_element(infer, 0);
  kp_ints ints;
  kp_doubles doubles;
  bool done = op != KP_DATA_SQRT && op != KP_DATA_RECIPROCAL && kp_in_ints(infer, 0, &ints);
  kp_expr* whole = done ? kp_out_ints(infer, 0, ints.n) : NULL;
  for (uint32_t k = 0; whole && done && k < ints.n; ++k)
    done = map_int(infer, op, element, ints.v[k], &whole[k]) ||
           (!kp_data_is_float(element) && kp_data_untold(infer, &whole[k]));
  if (done) return;
  kp_out_drop_data(infer, 0);
  if (!kp_data_is_float(element) || !kp_in_doubles(infer, 0, &doubles)) return;
  double* out = kp_out_doubles(infer, 0, doubles.n);
  for (uint32_t k = 0; out && k < doubles.n; ++k)
    out[k] = round_to(element, map_double(op, doubles.v[k]));
}

static void where_doubles(kp_infer* infer, const operand* from, int64_t count) {
  const double *x = as_doubles(infer, &from[1]), *y = as_doubles(infer, &from[2]);
  const kp_type* type = &infer->outputs[0];
  double* out = x && y ? kp_out_doubles(infer, 0, count) : NULL;
  for (uint32_t k = 0; out && k < (uint32_t)count; ++k) {
    const kp_expr condition = from[0].ints[source_index(type, from[0].type, k)];
    if (!kp_data_is_number(infer, condition)) {
      kp_out_drop_data(infer, 0);
      return;
    }
    out[k] =
        condition ? x[source_index(type, from[1].type, k)] : y[source_index(type, from[2].type, k)];
  }
}

void kp_data_where(kp_infer* infer) {
  operand from[3];
  const int64_t count = kp_out_wanted(infer, 0) ? kp_type_small_count(&infer->outputs[0]) : -1;
  for (uint32_t i = 0; i < 3; ++i) {
    if (count < 0 || !kp_in_has_data(infer, i) || !load(infer, i, &from[i])) return;
  }
  if (!from[0].ints) return;
  if (!from[1].ints || !from[2].ints) {
    where_doubles(infer, from, count);
    return;
  }
  kp_expr* out = kp_out_ints(infer, 0, count);
  for (uint32_t k = 0; out && k < (uint32_t)count; ++k) {
    kp_expr e[3];
    for (uint32_t i = 0; i < 3; ++i)
      e[i] = from[i].ints[source_index(&infer->outputs[0], from[i].type, k)];
    out[k] = e[0] != 0 ? e[1] : e[2];
    if (!kp_data_is_number(infer, e[0]) && e[1] != e[2] && !kp_data_untold(infer, &out[k])) return;
  }
}

// --- Cast -------------------------------------------------------------------------------------------------------------
static bool cast_int(kp_infer* infer, kapell_type to, kp_expr a, kp_expr* out) {
  *out = a;
  if (!kp_data_is_number(infer, a)) {
    if (to == KAPELL_BOOL) *out = 1;
    return to != KAPELL_BOOL || kp_data_at_least(infer, a, 1) || kp_data_untold(infer, out);
  }
  if (kp_data_is_float(to)) return fits(to, a);
  *out = wrap(to, (uint64_t)a);
  return true;
}

static bool cast_double(kp_infer* infer, kapell_type to, double a, kp_expr* out) {
  if (to == KAPELL_BOOL) {
    *out = a != 0;
    return true;
  }
  if (kp_data_whole(trunc(a), out)) {
    *out = wrap(to, (uint64_t)*out);
    return true;
  }
  *out = 0;  // out of range or NaN: the run's result is anything
  return kp_data_untold(infer, out) || !infer->symbols;
}

void kp_data_cast(kp_infer* infer, kapell_type to) {
  if (!kp_in_has_data(infer, 0) || !(kp_data_is_int(to) || kp_data_is_float(to))) return;
  kp_ints ints;
  kp_doubles doubles;
  bool done = kp_in_ints(infer, 0, &ints);
  kp_expr* out = done ? kp_out_ints(infer, 0, ints.n) : NULL;
  for (uint32_t k = 0; out && done && k < ints.n; ++k)
    done = cast_int(infer, to, ints.v[k], &out[k]);
  if (done) return;
  kp_out_drop_data(infer, 0);
  if (!kp_in_doubles(infer, 0, &doubles)) return;
  if (kp_data_is_int(to)) {
    out = kp_out_ints(infer, 0, doubles.n);
    for (uint32_t k = 0; out && k < doubles.n; ++k) {
      if (!cast_double(infer, to, doubles.v[k], &out[k])) kp_out_drop_data(infer, 0);
    }
  } else {
    double* values = kp_out_doubles(infer, 0, doubles.n);
    for (uint32_t k = 0; values && k < doubles.n; ++k) values[k] = round_to(to, doubles.v[k]);
  }
}
