// Data propagation: reading and setting the contents of small tensors. infer_arith.c has the arithmetic. See infer_rule.h.
//
// An integer tensor's contents are expressions, some of them symbols; a float tensor's are whole-numbered expressions (a Cast of a
// Shape) or plain doubles.
#include <math.h>
#include <string.h>

#include "base/small_float.h"
#include "graph/infer_rule.h"

#define WHOLE_LIMIT 9007199254740992.0  // 2^53: doubles below it hold every whole number

// --- reading ----------------------------------------------------------------------------------------------------------
static const kapell_value* small_or_null(const kapell_value* value) {
  if (!value || value->kind != KAPELL_KIND_TENSOR || value->memory) return NULL;
  return kp_value_count(value) <= KP_INFER_MAX_DATA ? value : NULL;
}

static const kapell_value* small_constant(const kp_infer* infer, uint32_t i) {
  return infer->constants && i < infer->node->input_count ? small_or_null(infer->constants[i])
                                                          : NULL;
}

bool kp_data_is_float(kapell_type type) {
  return type == KAPELL_FLOAT || type == KAPELL_DOUBLE || type == KAPELL_FLOAT16 ||
         type == KAPELL_BFLOAT16;
}

bool kp_data_is_int(kapell_type type) {
  return (type >= KAPELL_UINT8 && type <= KAPELL_INT64) || type == KAPELL_UINT32 ||
         type == KAPELL_UINT64 || type == KAPELL_BOOL;
}

bool kp_data_at_least(const kp_infer* infer, kp_expr e, int64_t minimum) {
  if (kp_data_is_number(infer, e)) return e >= minimum;
  if (minimum <= 0) return kp_expr_nonnegative(infer->symbols, e);
  return kp_expr_nonnegative(infer->symbols, kp_expr_make(infer->symbols, KP_EXPR_SUB, e, minimum));
}

bool kp_data_untold(kp_infer* infer, kp_expr* out) {
  if (!infer->symbols) return false;
  *out = kp_symbol_fresh(infer->symbols);
  return true;
}

static bool read_int(const kapell_value* value, size_t k, int64_t* out) {
  const uint8_t* base = value->data;
  switch (value->type) {
#define READ(TYPE, c_type)                                 \
  case KAPELL_##TYPE: {                                    \
    c_type x;                                              \
    memcpy(&x, base + k * sizeof(c_type), sizeof(c_type)); \
    *out = (int64_t)x;                                     \
    return true;                                           \
  }
    READ(INT64, int64_t)
    READ(INT32, int32_t)
    READ(INT16, int16_t)
    READ(INT8, int8_t)
    READ(UINT8, uint8_t)
    READ(UINT16, uint16_t)
    READ(UINT32, uint32_t)
#undef READ
    case KAPELL_BOOL:
      *out = base[k] != 0;
      return true;
    case KAPELL_UINT64: {
      uint64_t x;
      memcpy(&x, base + k * sizeof x, sizeof x);
      *out = x > INT64_MAX ? INT64_MAX : (int64_t)x;
      return true;
    }
    default:
      return false;
  }
}

static bool read_double(const kapell_value* value, size_t k, double* out) {
  const uint8_t* base = value->data;
  if (value->type == KAPELL_FLOAT) {
    float x;
    memcpy(&x, base + k * sizeof x, sizeof x);
    *out = (double)x;
  } else if (value->type == KAPELL_DOUBLE) {
    memcpy(out, base + k * sizeof *out, sizeof *out);
  } else if (value->type == KAPELL_FLOAT16 || value->type == KAPELL_BFLOAT16) {
    uint16_t bits;
    memcpy(&bits, base + k * sizeof bits, sizeof bits);
    *out = (double)(value->type == KAPELL_FLOAT16 ? kp_f16_to_f32(bits) : kp_bf16_to_f32(bits));
  } else {
    int64_t whole;
    if (!read_int(value, k, &whole)) return false;
    *out = (double)whole;
  }
  return true;
}

bool kp_data_whole(double x, kp_expr* out) {
  if (!(fabs(x) < WHOLE_LIMIT) || x != trunc(x)) return false;
  *out = (kp_expr)x;
  return true;
}

bool kp_value_number(const kapell_value* value, int64_t* out_whole, double* out_real) {
  *out_whole = 0;
  if (value->kind != KAPELL_KIND_TENSOR || value->memory || kp_value_count(value) == 0)
    return false;
  if (kp_data_is_int(value->type)) read_int(value, 0, out_whole);
  return (kp_data_is_int(value->type) || kp_data_is_float(value->type)) &&
         read_double(value, 0, out_real);
}

static bool ints_of_constant(kp_infer* infer, const kapell_value* value, kp_ints* out) {
  const size_t count = kp_value_count(value);
  // The usual case costs nothing: aligned int64, read in place. At load, numbers that look like symbols must be moved.
  if (value->type == KAPELL_INT64 && (uintptr_t)value->data % _Alignof(kp_expr) == 0 && count > 0) {
    const kp_expr* data = value->data;
    size_t k = 0;
    while (infer->symbols && k < count && kp_is_number(data[k])) ++k;
    if (!infer->symbols || k == count) {
      *out = (kp_ints){data, (uint32_t)count};
      return true;
    }
  }
  kp_expr* elements = kp_arena_new_array(infer->arena, kp_expr, count ? count : 1);
  if (!elements) return false;
  for (size_t k = 0; k < count; ++k) {
    double x;
    if (kp_data_is_float(value->type)
            ? !(read_double(value, k, &x) && kp_data_whole(x, &elements[k]))
            : !read_int(value, k, &elements[k]))
      return false;
    if (elements[k] < KP_SYMBOL_LIMIT) elements[k] = KP_SYMBOL_LIMIT;
  }
  *out = (kp_ints){elements, (uint32_t)count};
  return true;
}

static const kp_known* known_of(const kp_infer* infer, uint32_t i) {
  if (!infer->known || i >= infer->node->input_count) return NULL;
  const kp_known* known = &infer->known[i];
  return known->elements || known->floats ? known : NULL;
}

bool kp_in_has_data(const kp_infer* infer, uint32_t i) {
  return known_of(infer, i) || small_constant(infer, i);
}

bool kp_in_ints(kp_infer* infer, uint32_t i, kp_ints* out) {
  *out = (kp_ints){0};
  const kp_known* known = known_of(infer, i);
  if (!known) {
    const kapell_value* constant = small_constant(infer, i);
    return constant && ints_of_constant(infer, constant, out);
  }
  if (known->elements) {
    *out = (kp_ints){known->elements, known->count};
    return true;
  }
  kp_expr* elements = kp_arena_new_array(infer->arena, kp_expr, known->count ? known->count : 1);
  if (!elements) return false;
  for (uint32_t k = 0; k < known->count; ++k) {
    if (!kp_data_whole(known->floats[k], &elements[k])) return false;
  }
  *out = (kp_ints){elements, known->count};
  return true;
}

bool kp_in_numbers(kp_infer* infer, uint32_t i, kp_ints* out) {
  if (!kp_in_ints(infer, i, out)) return false;
  for (uint32_t k = 0; infer->symbols && k < out->n; ++k) {
    if (kp_is_symbol(out->v[k])) return false;
  }
  return true;
}

bool kp_in_int(kp_infer* infer, uint32_t i, kp_expr* out) {
  kp_ints ints;
  if (!kp_in_ints(infer, i, &ints) || ints.n != 1) return false;
  *out = ints.v[0];
  return true;
}

static bool doubles_of_constant(kp_infer* infer, const kapell_value* value, kp_doubles* out) {
  const size_t count = kp_value_count(value);
  double* values = kp_arena_new_array(infer->arena, double, count ? count : 1);
  for (size_t k = 0; values && k < count; ++k) {
    if (!read_double(value, k, &values[k])) return false;
  }
  *out = (kp_doubles){values, (uint32_t)count};
  return values != NULL;
}

bool kp_in_doubles(kp_infer* infer, uint32_t i, kp_doubles* out) {
  *out = (kp_doubles){0};
  const kp_known* known = known_of(infer, i);
  if (known && known->floats) {
    *out = (kp_doubles){known->floats, known->count};
    return true;
  }
  const kapell_value* constant = known ? NULL : small_constant(infer, i);
  if (!known) return constant && doubles_of_constant(infer, constant, out);
  double* values = kp_arena_new_array(infer->arena, double, known->count ? known->count : 1);
  for (uint32_t k = 0; values && k < known->count; ++k) {
    if (!kp_data_is_number(infer, known->elements[k])) return false;
    values[k] = (double)known->elements[k];
  }
  *out = (kp_doubles){values, known->count};
  return values != NULL;
}

int64_t kp_type_small_count(const kp_type* type) {
  if (!type || type->kind != KAPELL_KIND_TENSOR || type->rank < 0) return -1;
  int64_t count = 1;
  for (int32_t d = 0; d < type->rank; ++d) {
    if (kp_is_symbol(type->dims[d]) || type->dims[d] < 0 ||
        !kp_mul_i64(count, type->dims[d], &count))
      return -1;
  }
  return count <= KP_INFER_MAX_DATA ? count : -1;
}

// --- writing ----------------------------------------------------------------------------------------------------------
kp_expr* kp_out_ints(kp_infer* infer, uint32_t o, int64_t count) {
  if (!kp_out_wanted(infer, o) || count < 0 || count > KP_INFER_MAX_DATA) return NULL;
  kp_expr* elements = kp_arena_new_array(infer->arena, kp_expr, count ? (size_t)count : 1);
  if (elements) infer->out_known[o] = (kp_known){.elements = elements, .count = (uint32_t)count};
  return elements;
}

double* kp_out_doubles(kp_infer* infer, uint32_t o, int64_t count) {
  if (!kp_out_wanted(infer, o) || count < 0 || count > KP_INFER_MAX_DATA) return NULL;
  double* values = kp_arena_new_array(infer->arena, double, count ? (size_t)count : 1);
  if (values) infer->out_known[o] = (kp_known){.floats = values, .count = (uint32_t)count};
  return values;
}

void kp_out_drop_data(kp_infer* infer, uint32_t o) {
  if (o < infer->node->output_count) infer->out_known[o] = (kp_known){0};
}

void kp_out_data_of_value(kp_infer* infer, uint32_t o, const kapell_value* value) {
  kp_ints ints;
  kp_doubles doubles;
  if (!kp_out_wanted(infer, o) || !small_or_null(value)) return;
  if (ints_of_constant(infer, value, &ints))
    infer->out_known[o] = (kp_known){.elements = ints.v, .count = ints.n};
  else if (doubles_of_constant(infer, value, &doubles))
    infer->out_known[o] = (kp_known){.floats = doubles.v, .count = doubles.n};
}

void kp_out_data_of(kp_infer* infer, uint32_t o, uint32_t i) {
  const kp_known* known = known_of(infer, i);
  if (known && kp_out_wanted(infer, o)) infer->out_known[o] = *known;
  if (!known && small_constant(infer, i)) kp_out_data_of_value(infer, o, infer->constants[i]);
}

uint32_t* kp_data_sources(kp_infer* infer, uint32_t o, uint32_t i, int64_t count) {
  if (!kp_out_wanted(infer, o) || count < 0 || count > KP_INFER_MAX_DATA ||
      !kp_in_has_data(infer, i))
    return NULL;
  return kp_arena_new_array(infer->arena, uint32_t, count ? (size_t)count : 1);
}

void kp_data_pick(kp_infer* infer, uint32_t o, uint32_t i, const uint32_t* source, uint32_t count) {
  kp_ints ints;
  kp_doubles doubles;
  if (kp_in_ints(infer, i, &ints)) {
    kp_expr* out = kp_out_ints(infer, o, count);
    for (uint32_t k = 0; out && k < count; ++k) out[k] = source[k] < ints.n ? ints.v[source[k]] : 0;
  } else if (kp_in_doubles(infer, i, &doubles)) {
    double* out = kp_out_doubles(infer, o, count);
    for (uint32_t k = 0; out && k < count; ++k)
      out[k] = source[k] < doubles.n ? doubles.v[source[k]] : 0;
  }
}
