// Operators that make tensors from little: Range, ConstantOfShape, EyeLike, Trilu, NonZero, CumSum, CumProd, ReverseSequence.
#include <math.h>

#include "provider/cpu/op/copy.h"

// --- Range -------------------------------------------------------------------------------------------------------------------
typedef struct range_step {
  double start, by;
  float start32, by32;
  uint64_t whole, by_whole;  // unsigned: what leaves the range of the type wraps around
} range_step;

// Elements [first, end): one loop a type, so that each of them is vectorized.
static void range_fill(const range_step* r, kapell_value* y, size_t first, size_t end) {
  switch (y->type) {
    case KAPELL_FLOAT:
      for (size_t i = first; i < end; ++i) ((float*)y->data)[i] = r->start32 + (float)i * r->by32;
      break;
    case KAPELL_DOUBLE:
      for (size_t i = first; i < end; ++i) ((double*)y->data)[i] = r->start + (double)i * r->by;
      break;
    case KAPELL_INT16:
      for (size_t i = first; i < end; ++i)
        ((int16_t*)y->data)[i] = (int16_t)(r->whole + (uint64_t)i * r->by_whole);
      break;
    case KAPELL_INT32:
      for (size_t i = first; i < end; ++i)
        ((int32_t*)y->data)[i] = (int32_t)(r->whole + (uint64_t)i * r->by_whole);
      break;
    default:
      for (size_t i = first; i < end; ++i)
        ((int64_t*)y->data)[i] = (int64_t)(r->whole + (uint64_t)i * r->by_whole);
  }
}

static kp_status* range_run(const kp_op_run* run) {
  enum { kBlock = 4096 };
  kapell_value* y = run->outputs[0];
  const kapell_value *start = run->inputs[0], *step = kp_run_input(run, 2);
  // com.microsoft's has a default.
  range_step r = {.start = kp_double_at(start, 0),
                  .by = step ? kp_double_at(step, 0) : 1,
                  .whole = (uint64_t)kp_int_at(start, 0),
                  .by_whole = step ? (uint64_t)kp_int_at(step, 0) : 1};
  r.start32 = (float)r.start;
  r.by32 = (float)r.by;
  const size_t count = kp_value_count(y);
  for (size_t first = 0; first < count && !kp_cancelled(run); first += kBlock)
    range_fill(&r, y, first, count - first < kBlock ? count : first + kBlock);
  return NULL;
}

static kp_status* constant_of_shape_run(const kp_op_run* run) {
  kapell_value* y = run->outputs[0];
  const kp_attr* attr = kp_node_attr(run->node, "value");
  if (!attr || !kp_value_count(attr->tensor)) {
    if (y->byte_count) memset(y->data, 0, y->byte_count);
    return NULL;
  }
  if (kp_type_is_packed(y->type)) {  // the first byte's first element, in every place
    const unsigned bits = kp_type_bits(y->type), mask = (1u << bits) - 1,
                   element = *(const uint8_t*)attr->tensor->data & mask;
    memset(y->data, (int)(bits == 4 ? element * 0x11 : element * 0x55), y->byte_count);
    return NULL;
  }
  const size_t count = kp_value_count(y);
  for (size_t i = 0; i < count; ++i) KP_PASS(kp_copy_elements(y, i, attr->tensor, 0, 1));
  return NULL;
}

// --- EyeLike, Trilu ----------------------------------------------------------------------------------------------------------
static void set_one(kapell_value* y, size_t index) {
  switch (y->type) {
#define CASE(type, c_type)         \
  case KAPELL_##type:              \
    ((c_type*)y->data)[index] = 1; \
    break;
    KP_EACH_NUMBER(CASE)
    CASE(BOOL, uint8_t)
#undef CASE
    case KAPELL_FLOAT16:
      ((uint16_t*)y->data)[index] = 0x3c00;
      break;
    case KAPELL_BFLOAT16:
      ((uint16_t*)y->data)[index] = 0x3f80;
      break;
    default:
      break;
  }
}

static kp_status* eye_like_run(const kp_op_run* run) {
  kapell_value* y = run->outputs[0];
  const int64_t k = kp_node_attr_i(run->node, "k", 0);
  if (y->byte_count) memset(y->data, 0, y->byte_count);
  for (int64_t row = 0; row < y->dims[0]; ++row) {
    int64_t column;
    if (kp_add_i64(row, k, &column) && column >= 0 && column < y->dims[1])
      set_one(y, (size_t)(row * y->dims[1] + column));
  }
  return NULL;
}

static kp_status* trilu_run(const kp_op_run* run) {
  const kapell_value *x = run->inputs[0], *k_input = kp_run_input(run, 1);
  kapell_value* y = run->outputs[0];
  const bool upper = kp_node_attr_i(run->node, "upper", 1) != 0;
  const int64_t k = k_input ? kp_int_at(k_input, 0) : 0, rows = x->dims[x->rank - 2],
                columns = x->dims[x->rank - 1];
  const size_t matrices = kp_span(x, 0, x->rank - 2), size = kp_type_bits(x->type) / 8;
  for (size_t m = 0; m < matrices; ++m) {
    for (int64_t row = 0; row < rows; ++row) {
      int64_t diagonal;  // column of the k-th diagonal in this row, within [0, columns]
      if (!kp_add_i64(row, upper ? k : kp_min_i64(k, INT64_MAX - 1) + 1, &diagonal))
        diagonal = k < 0 ? 0 : columns;
      const int64_t edge = diagonal < 0 ? 0 : diagonal > columns ? columns : diagonal;
      const size_t base = (m * (size_t)rows + (size_t)row) * (size_t)columns;
      const size_t first = upper ? (size_t)edge : 0, last = upper ? (size_t)columns : (size_t)edge;
      if (x->type == KAPELL_STRING) {
        if (last > first) KP_PASS(kp_copy_elements(y, base + first, x, base + first, last - first));
        continue;  // the rest is empty from the start
      }
      char* out = (char*)y->data + base * size;
      if (y->data != x->data && last > first)
        memcpy(out + first * size, (const char*)x->data + (base + first) * size,
               (last - first) * size);
      memset(out, 0, first * size);
      memset(out + last * size, 0, ((size_t)columns - last) * size);
    }
  }
  return NULL;
}

// --- NonZero -----------------------------------------------------------------------------------------------------------------
static bool is_set(const kapell_value* x, size_t index) {
  if (x->type == KAPELL_STRING) return kp_value_string(x, index).length != 0;
  if (kp_type_is_complex(x->type)) {
    const kapell_value parts = {.type = x->type == KAPELL_COMPLEX64 ? KAPELL_FLOAT : KAPELL_DOUBLE,
                                .data = x->data};
    return is_set(&parts, 2 * index) || is_set(&parts, 2 * index + 1);
  }
  return kp_type_is_float(x->type) ? kp_double_at(x, index) != 0 : kp_int_at(x, index) != 0;
}

static kp_status* non_zero_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  const size_t count = kp_value_count(x);
  size_t found = 0;
  for (size_t i = 0; i < count; ++i) found += is_set(x, i);
  const int64_t dims[2] = {kp_max_i64(x->rank, 1), (int64_t)found};  // a scalar is taken as [1]
  kapell_value* y;
  KP_PASS(kp_op_output(run, 0, KAPELL_INT64, dims, 2, &y));
  int64_t* out = y->data;
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!is_set(x, i)) continue;
    size_t rest = i;
    if (x->rank == 0) out[at] = 0;
    for (int32_t d = x->rank; d-- > 0;) {
      out[(size_t)d * found + at] = (int64_t)(rest % (size_t)x->dims[d]);
      rest /= (size_t)x->dims[d];
    }
    ++at;
  }
  return NULL;
}

// --- CumSum, CumProd ---------------------------------------------------------------------------------------------------------
#define CUMULATE(type, c_type, sum_type)                                                \
  static void cumulate_##type(bool product, bool exclusive, bool reverse, size_t count, \
                              size_t step, const void* from, void* to) {                \
    sum_type total = product ? 1 : 0;                                                   \
    for (size_t i = 0; i < count; ++i) {                                                \
      const size_t at = (reverse ? count - 1 - i : i) * step;                           \
      const c_type u = ((const c_type*)from)[at];                                       \
      const sum_type before = total;                                                    \
      total = product ? total * (sum_type)u : total + (sum_type)u;                      \
      ((c_type*)to)[at] = (c_type)(exclusive ? before : total);                         \
    }                                                                                   \
  }
CUMULATE(FLOAT, float, float)
CUMULATE(DOUBLE, double, double)
CUMULATE(INT32, int32_t, uint64_t)
CUMULATE(INT64, int64_t, uint64_t)
CUMULATE(UINT32, uint32_t, uint64_t)
CUMULATE(UINT64, uint64_t, uint64_t)

static kp_status* cumulate_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  const int64_t stated = kp_int_at(run->inputs[1], 0);
  int32_t axis;
  if (!kp_axis(stated, x->rank, &axis))
    return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)stated,
                    (int)x->rank);
  const bool product = strcmp(run->node->op, "CumProd") == 0,
             exclusive = kp_node_attr_i(run->node, "exclusive", 0) != 0;
  const bool reverse = kp_node_attr_i(run->node, "reverse", 0) != 0;
  const size_t count = (size_t)x->dims[axis], inner = kp_span(x, axis + 1, x->rank),
               size = kp_type_bits(x->type) / 8;
  const size_t lines = kp_span(x, 0, axis) * inner;
  for (size_t line = 0; line < lines; ++line) {
    const size_t at = (line / inner * count * inner + line % inner) * size;
    const char* from = (const char*)x->data + at;
    char* to = (char*)run->outputs[0]->data + at;
    switch (x->type) {
#define CASE(type)                                                        \
  case KAPELL_##type:                                                     \
    cumulate_##type(product, exclusive, reverse, count, inner, from, to); \
    break;
      // clang-format off
      CASE(FLOAT) CASE(DOUBLE) CASE(INT32) CASE(INT64) CASE(UINT32) CASE(UINT64)
      default: break;
      // clang-format on
#undef CASE
    }
  }
  return NULL;
}

// --- ReverseSequence ---------------------------------------------------------------------------------------------------------
static kp_status* reverse_sequence_run(const kp_op_run* run) {
  const kapell_value *x = run->inputs[0], *lengths = run->inputs[1];
  int32_t batch_axis, time_axis;
  if (!kp_axis(kp_node_attr_i(run->node, "batch_axis", 1), x->rank, &batch_axis) ||
      !kp_axis(kp_node_attr_i(run->node, "time_axis", 0), x->rank, &time_axis) || batch_axis > 1 ||
      time_axis > 1 || batch_axis == time_axis)
    return KP_ERROR(RUN_FAILED, "batch_axis and time_axis must be 0 and 1, or 1 and 0");
  const size_t inner = kp_span(x, 2, x->rank), batch = (size_t)x->dims[batch_axis],
               time = (size_t)x->dims[time_axis];
  if (kp_value_count(lengths) != batch)
    return KP_ERROR(RUN_FAILED, "%zu lengths for a batch of %zu", kp_value_count(lengths), batch);
  for (size_t b = 0; b < batch; ++b) {
    const int64_t length = kp_int_at(lengths, b);
    if (length < 0 || (size_t)length > time)
      return KP_ERROR(RUN_FAILED, "a length of %lld in %zu steps", (long long)length, time);
    for (size_t t = 0; t < time; ++t) {
      const size_t from = t < (size_t)length ? (size_t)length - 1 - t : t;
      const size_t to_row = batch_axis ? t * batch + b : b * time + t,
                   from_row = batch_axis ? from * batch + b : b * time + from;
      KP_PASS(kp_copy_elements(run->outputs[0], to_row * inner, x, from_row * inner, inner));
    }
  }
  return NULL;
}

// clang-format off
#define KP_M_CUMULATE (KP_M_REALS | KP_M(INT32) | KP_M(INT64) | KP_M(UINT32) | KP_M(UINT64))
static const kp_op_def ops[] = {  // spec: ONNX operators of these names
    {.name = "Range", .since = 11, .types = KP_M_REALS | KP_M(INT16) | KP_M(INT32) | KP_M(INT64), .run = range_run, .flags = KP_OP_WIDEN},
    {.domain = "com.microsoft", .name = "Range", .since = 1, .run = range_run},
    {.name = "ConstantOfShape", .since = 9, .run = constant_of_shape_run},
    {.name = "EyeLike", .since = 9, .run = eye_like_run},
    {.name = "Trilu", .since = 14, .run = trilu_run, .flags = KP_OP_INPLACE},
    {.domain = "com.microsoft", .name = "Trilu", .since = 1, .run = trilu_run, .flags = KP_OP_INPLACE},
    {.name = "NonZero", .since = 9, .run = non_zero_run},
    {.name = "CumSum", .since = 11, .types = KP_M_CUMULATE, .run = cumulate_run, .flags = KP_OP_WIDEN},
    {.name = "CumProd", .since = 26, .types = KP_M_CUMULATE, .run = cumulate_run, .flags = KP_OP_WIDEN},
    {.name = "ReverseSequence", .since = 10, .run = reverse_sequence_run},
};
// clang-format on
KP_OP_TABLE(generate);
