// Inputs, outputs, errors and dims for the inference functions. See infer_rule.h.
#include "graph/infer_rule.h"

#include <stdio.h>

#include "graph/schema.h"

// --- errors -----------------------------------------------------------------------------------------------------------
// At load the model is wrong; while specialising it is the shapes of the run that do not fit.
static kapell_code error_code(const kp_infer* infer) {
  return infer->symbols ? KAPELL_INVALID_MODEL : KAPELL_INVALID_INPUT;
}

const char* kp_in_name(const kp_infer* infer, uint32_t i, char* buffer, size_t capacity) {
  const kp_op_schema* schema = infer->node->schema;
  kp_param_schema param;
  if (!schema || !kp_schema_input_of(schema, i, &param)) {
    snprintf(buffer, capacity, "%u", i);
  } else if (param.option != KP_PARAM_VARIADIC) {
    return param.name;
  } else {
    snprintf(buffer, capacity, "%s[%u]", param.name, i + 1u - schema->input_count);
  }
  return buffer;
}

static const char* value_name(const kp_infer* infer, uint32_t i) {
  if (!infer->graph || i >= infer->node->input_count || infer->node->inputs[i] == KP_NONE)
    return NULL;
  return infer->graph->values[infer->node->inputs[i]].name;
}

kp_status* kp_in_error_make(const kp_infer* infer, uint32_t i, const char* format, ...) {
  char buffer[128], words[512];
  va_list args;
  va_start(args, format);
  vsnprintf(words, sizeof words, format, args);
  va_end(args);
  kp_status* status = kp_status_make(error_code(infer), __FILE__, __LINE__, "input '%s': %s",
                                     kp_in_name(infer, i, buffer, sizeof buffer), words);
  kp_status_at(status, infer->node->name, infer->node->op, value_name(infer, i));
  return status;
}

kp_status* kp_node_error_make(const kp_infer* infer, const char* format, ...) {
  va_list args;
  va_start(args, format);
  kp_status* status = kp_status_make_v(error_code(infer), __FILE__, __LINE__, format, args);
  va_end(args);
  kp_status_at(status, infer->node->name, infer->node->op, NULL);
  return status;
}

kp_status* kp_in_check_rank(const kp_infer* infer, uint32_t i, int32_t min, int32_t max) {
  const int32_t rank = kp_in_rank(infer, i);
  if (rank < 0 || (rank >= min && (max < 0 || rank <= max))) return NULL;
  if (max == min) return kp_in_error(infer, i, "rank %d; expected %d", rank, min);
  if (max < 0) return kp_in_error(infer, i, "rank %d; expected %d or more", rank, min);
  return kp_in_error(infer, i, "rank %d; expected %d to %d", rank, min, max);
}

kp_status* kp_in_check_dim(const kp_infer* infer, uint32_t i, int32_t axis, kp_expr expected,
                           const char* meaning) {
  const kp_expr dim = kp_in_dim(infer, i, axis);
  if (!kp_dim_differ(dim, expected)) return NULL;
  return kp_in_error(infer, i, "dim %d is %lld; expected %lld (%s)", axis, (long long)dim,
                     (long long)expected, meaning);
}

kp_status* kp_in_check_single(const kp_infer* infer, uint32_t i) {
  KP_PASS(kp_in_check_rank(infer, i, 0, 1));
  return kp_in_rank(infer, i) == 1 ? kp_in_check_dim(infer, i, 0, 1, "a single element") : NULL;
}

kp_status* kp_infer_axis(const kp_infer* infer, const char* what, int64_t axis, int32_t rank,
                         int32_t* out_axis) {
  if (axis < -(int64_t)rank || axis >= rank)
    return kp_node_error(infer, "%s %lld is outside [%d, %d] for rank %d", what, (long long)axis,
                         -rank, rank - 1, rank);
  *out_axis = (int32_t)(axis < 0 ? axis + rank : axis);
  return NULL;
}

// --- outputs ----------------------------------------------------------------------------------------------------------
void kp_out_type(kp_infer* infer, uint32_t o, const kp_type* type) {
  if (o < infer->node->output_count) infer->outputs[o] = *type;
}

void kp_out_tensor(kp_infer* infer, uint32_t o, kapell_type element, int32_t rank,
                   const kp_expr* dims) {
  kp_out_type(
      infer, o,
      &(kp_type){.kind = KAPELL_KIND_TENSOR, .element = element, .rank = rank, .dims = dims});
}

kp_status* kp_out_dims(kp_infer* infer, uint32_t o, kapell_type element, int32_t rank,
                       kp_expr** out_dims) {
  *out_dims = NULL;
  if (rank < 0 || rank > KP_MAX_RANK)
    return kp_node_error(infer, "an output of rank %d; the largest is %d", rank, KP_MAX_RANK);
  kp_expr* dims = kp_arena_new_array(infer->arena, kp_expr, rank > 0 ? (size_t)rank : 1);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "dims of an output");
  kp_out_tensor(infer, o, element, rank, dims);
  *out_dims = dims;
  return NULL;
}

void kp_out_scalar(kp_infer* infer, uint32_t o, kapell_type element) {
  kp_out_tensor(infer, o, element, 0, NULL);
}

kp_status* kp_out_vector(kp_infer* infer, uint32_t o, kapell_type element, kp_expr dim) {
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, o, element, 1, &dims));
  dims[0] = dim;
  return NULL;
}

void kp_out_any_rank(kp_infer* infer, uint32_t o, kapell_type element) {
  kp_out_tensor(infer, o, element, -1, NULL);
}

void kp_out_shape_of(kp_infer* infer, uint32_t o, kapell_type element, uint32_t i) {
  const kp_type* type = kp_in_tensor(infer, i);
  if (type && type->rank >= 0)
    kp_out_tensor(infer, o, element, type->rank, type->dims);
  else
    kp_out_any_rank(infer, o, element);
}

kp_status* kp_out_fresh(kp_infer* infer, uint32_t o, kapell_type element, int32_t rank) {
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, o, element, rank, &dims));
  for (int32_t d = 0; d < rank; ++d) dims[d] = kp_dim_fresh(infer);
  return NULL;
}

kp_status* kp_out_container(kp_infer* infer, uint32_t o, kapell_kind kind, kapell_type key,
                            const kp_type* inner) {
  kp_type* copy = NULL;
  if (inner) {
    copy = kp_arena_new(infer->arena, kp_type);
    if (!copy) return KP_ERROR(OUT_OF_MEMORY, "type of an output");
    *copy = *inner;
  }
  kp_out_type(infer, o, &(kp_type){.kind = kind, .element = key, .rank = -1, .inner = copy});
  return NULL;
}

kp_status* kp_out_loaded(kp_infer* infer, uint32_t o, const kp_type* type) {
  if (infer->symbols || type->kind != KAPELL_KIND_TENSOR || type->rank < 0) {
    kp_out_type(infer, o, type);
    return NULL;
  }
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, o, type->element, type->rank, &dims));
  for (int32_t d = 0; d < type->rank; ++d)
    dims[d] = kp_is_number(type->dims[d]) ? type->dims[d] : KP_DIM_UNKNOWN;
  return NULL;
}

// --- arithmetic on dims -------------------------------------------------------------------------------------------------
kp_expr kp_dim_fresh(kp_infer* infer) {
  return infer->symbols ? kp_symbol_fresh_dim(infer->symbols) : KP_DIM_UNKNOWN;
}

kp_expr kp_dim_op(kp_infer* infer, kp_expr_op op, kp_expr a, kp_expr b) {
  if ((op == KP_EXPR_DIV || op == KP_EXPR_CEILDIV || op == KP_EXPR_MOD) && b == 0)
    return kp_dim_fresh(infer);
  if (KP_LIKELY(kp_is_number(a) && kp_is_number(b))) {
    int64_t result;
    if (KP_LIKELY(kp_expr_fold(op, a, b, &result) && kp_is_number(result))) return result;
    infer->overflow = true;
    return KP_DIM_UNKNOWN;
  }
  if (!infer->symbols) return KP_DIM_UNKNOWN;
  return kp_expr_make(infer->symbols, op, a, b);
}

kp_expr kp_dim_product(kp_infer* infer, const kp_expr* dims, int32_t count) {
  kp_expr product = 1;
  for (int32_t d = 0; d < count; ++d) {
    if (dims[d] == 0) return 0;
  }
  for (int32_t d = 0; d < count; ++d) product = kp_dim_mul(infer, product, dims[d]);
  return product;
}

kp_status* kp_dim_of_data(kp_infer* infer, uint32_t i, kp_expr e, kp_expr* out) {
  *out = e;
  if (kp_data_at_least(infer, e, 0)) return NULL;
  if (kp_data_is_number(infer, e))
    return kp_in_error(infer, i, "%lld; expected 0 or more", (long long)e);
  *out = kp_dim_fresh(infer);
  return NULL;
}

// --- broadcasting -------------------------------------------------------------------------------------------------------
static bool is_one(void* user, kp_expr symbol, int64_t* out) {
  *out = 1;
  return symbol == *(const kp_expr*)user;
}

// True where |small| is min(|large|, number >= 1): a table cut to the length of a sequence. Then the broadcast of both is |large|: they are
// equal, or |small| is 1, or they do not fit.
static bool covers(kp_infer* infer, kp_expr large, kp_expr small) {
  int64_t value;
  if (!infer->symbols || kp_expr_make(infer->symbols, KP_EXPR_MIN, large, small) != small)
    return false;
  return kp_expr_eval(infer->symbols, small, is_one, &large, &value) && value == 1;
}

kp_status* kp_broadcast_into(kp_infer* infer, uint32_t i, const kp_expr* dims, int32_t rank,
                             kp_expr* result, int32_t result_rank) {
  kp_expr* tail = result + (result_rank - rank);
  for (int32_t d = 0; d < rank; ++d) {
    const kp_expr have = tail[d], add = dims[d];
    if (have == add || add == 1) continue;
    if (have == 1) {
      tail[d] = add;
    } else if (kp_is_number(have) && kp_is_number(add)) {
      return kp_in_error(infer, i, "dim %d is %lld; expected 1 or %lld (broadcasting)", d,
                         (long long)add, (long long)have);
    } else if (kp_is_symbol(have) && kp_is_symbol(add)) {
      if (covers(infer, add, have))
        tail[d] = add;
      else if (!covers(infer, have, add))
        tail[d] = kp_dim_fresh(infer);  // either may be 1
    } else {
      tail[d] = kp_dim_merge(have, add);  // a number other than 1: the symbol is that number or 1
    }
  }
  return NULL;
}

kp_status* kp_broadcast_inputs(kp_infer* infer, uint32_t first, uint32_t count, int32_t* out_rank,
                               const kp_expr** out_dims) {
  *out_rank = -1;
  *out_dims = NULL;
  int32_t rank = 0;
  bool same = true;
  const kp_type* widest = NULL;
  for (uint32_t i = first; i < first + count; ++i) {
    const kp_type* type = kp_in_tensor(infer, i);
    if (!type || type->rank < 0) return NULL;
    if (widest && same) {
      same = type->rank == widest->rank &&
             (type->dims == widest->dims || type->rank == 0 ||
              memcmp(type->dims, widest->dims, sizeof(kp_expr) * (size_t)rank) == 0);
    }
    if (!widest || type->rank > rank) widest = type, rank = type->rank;
  }
  *out_rank = rank;
  if (same) {
    *out_dims = widest ? widest->dims : NULL;
    return NULL;
  }
  kp_expr* dims = kp_arena_new_array(infer->arena, kp_expr, rank > 0 ? (size_t)rank : 1);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "dims of an output");
  for (int32_t d = 0; d < rank; ++d) dims[d] = 1;
  for (uint32_t i = first; i < first + count; ++i)
    KP_PASS(
        kp_broadcast_into(infer, i, infer->inputs[i]->dims, infer->inputs[i]->rank, dims, rank));
  *out_dims = dims;
  return NULL;
}

// --- attributes ---------------------------------------------------------------------------------------------------------
kp_status* kp_attr_element(const kp_infer* infer, const char* name, kapell_type fallback,
                           kapell_type* out) {
  const int64_t number = kp_node_attr_i(infer->node, name, (int64_t)fallback);
  *out = KAPELL_UNDEFINED;
  if (number < 0 || number >= KAPELL_TYPE_COUNT || (number == 0 && fallback != KAPELL_UNDEFINED))
    return kp_node_error(infer, "attribute '%s' is %lld, which is no element type", name,
                         (long long)number);
  *out = (kapell_type)number;
  return NULL;
}

static kp_status* mask_of(const kp_infer* infer, const int64_t* axes, size_t count, int32_t rank,
                          uint64_t* out_mask) {
  *out_mask = 0;
  for (size_t k = 0; axes && k < count; ++k) {
    int32_t axis = 0;
    KP_PASS(kp_infer_axis(infer, "axis", axes[k], rank, &axis));
    const uint64_t bit = UINT64_C(1) << axis;
    if (*out_mask & bit)
      return kp_node_error(infer, "axis %lld is given twice", (long long)axes[k]);
    *out_mask |= bit;
  }
  return NULL;
}

kp_status* kp_infer_axes(kp_infer* infer, const char* attribute, int32_t input, int32_t rank,
                         uint64_t* out_mask, bool* out_known, bool* out_given) {
  *out_mask = 0;
  *out_known = true;
  size_t count = 0;
  const int64_t* axes = NULL;
  if (input >= 0) {
    *out_given = kp_in_given(infer, (uint32_t)input);
    if (!*out_given) return NULL;
    kp_ints ints;
    *out_known = kp_in_numbers(infer, (uint32_t)input, &ints);
    if (!*out_known) return NULL;
    axes = ints.v, count = ints.n;
  } else {
    axes = kp_node_attr_ints(infer->node, attribute, &count);
    *out_given = axes != NULL || kp_node_attr(infer->node, attribute) != NULL;
  }
  return mask_of(infer, axes, count, rank, out_mask);
}
