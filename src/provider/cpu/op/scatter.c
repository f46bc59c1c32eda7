// Operators that write by index: ScatterElements (and Scatter), ScatterND, with reductions. Every index is checked, low and high,
// before anything is written.
#include "provider/cpu/op/copy.h"

typedef enum kp_scatter {
  KP_SCATTER_SET,
  KP_SCATTER_ADD,
  KP_SCATTER_MUL,
  KP_SCATTER_MIN,
  KP_SCATTER_MAX
} kp_scatter;

static kp_scatter reduction_of(const kp_node* node) {
  static const char* const names[] = {"none", "add", "mul", "min", "max"};
  const kp_str name = kp_node_attr_s(node, "reduction", "none");
  for (size_t i = 0; i < KP_COUNT_OF(names); ++i)
    if (kp_str_is(name, names[i])) return (kp_scatter)i;
  return KP_SCATTER_SET;
}

static kp_reason scatter_supports(const kp_op_query* query) {
  const kapell_type type = kp_query_type(query, 0);
  const uint64_t known = KP_M_NUMBERS | KP_M(BOOL);
  KP_REQUIRE(query,
             reduction_of(query->node) == KP_SCATTER_SET || type == KAPELL_UNDEFINED ||
                 (known & kp_type_mask(type)),
             "a reduction of %s", kp_type_name(type));
  return KP_SUPPORTED;
}

// Each reduction is a loop of its own, so that slices are merged by vectors.
#define MERGE_REAL(type, c_type)                                                             \
  static void merge_##type(kp_scatter how, c_type* y, const c_type* u, size_t count) {       \
    switch (how) {                                                                           \
      case KP_SCATTER_ADD:                                                                   \
        for (size_t i = 0; i < count; ++i) y[i] += u[i];                                     \
        break;                                                                               \
      case KP_SCATTER_MUL:                                                                   \
        for (size_t i = 0; i < count; ++i) y[i] *= u[i];                                     \
        break;                                                                               \
      case KP_SCATTER_MIN:                                                                   \
        for (size_t i = 0; i < count; ++i) y[i] = u[i] != u[i] || u[i] < y[i] ? u[i] : y[i]; \
        break;                                                                               \
      case KP_SCATTER_MAX:                                                                   \
        for (size_t i = 0; i < count; ++i) y[i] = u[i] != u[i] || u[i] > y[i] ? u[i] : y[i]; \
        break;                                                                               \
      default:                                                                               \
        for (size_t i = 0; i < count; ++i) y[i] = u[i];                                      \
    }                                                                                        \
  }
KP_EACH_REAL(MERGE_REAL)
#define MERGE_INT(type, c_type)                                                              \
  static void merge_##type(kp_scatter how, c_type* y, const c_type* u, size_t count) {       \
    switch (how) {                                                                           \
      case KP_SCATTER_ADD:                                                                   \
        for (size_t i = 0; i < count; ++i) y[i] = (c_type)((uint64_t)y[i] + (uint64_t)u[i]); \
        break;                                                                               \
      case KP_SCATTER_MUL:                                                                   \
        for (size_t i = 0; i < count; ++i) y[i] = (c_type)((uint64_t)y[i] * (uint64_t)u[i]); \
        break;                                                                               \
      case KP_SCATTER_MIN:                                                                   \
        for (size_t i = 0; i < count; ++i) y[i] = u[i] < y[i] ? u[i] : y[i];                 \
        break;                                                                               \
      case KP_SCATTER_MAX:                                                                   \
        for (size_t i = 0; i < count; ++i) y[i] = u[i] > y[i] ? u[i] : y[i];                 \
        break;                                                                               \
      default:                                                                               \
        for (size_t i = 0; i < count; ++i) y[i] = u[i];                                      \
    }                                                                                        \
  }
KP_EACH_INT(MERGE_INT)

// |count| elements of |updates| from |from| on, into |y| from |to| on.
static kp_status* merge(kp_scatter how, kapell_value* y, size_t to, const kapell_value* updates,
                        size_t from, size_t count) {
  if (how == KP_SCATTER_SET) return kp_copy_elements(y, to, updates, from, count);
  switch (y->type) {
#define CASE(type, c_type)                                                                \
  case KAPELL_##type:                                                                     \
    merge_##type(how, (c_type*)y->data + to, (const c_type*)updates->data + from, count); \
    return NULL;
    KP_EACH_NUMBER(CASE)
#undef CASE
    case KAPELL_BOOL: {  // a sum is "any", a product "all"
      uint8_t* out = (uint8_t*)y->data + to;
      const uint8_t* in = (const uint8_t*)updates->data + from;
      const bool any = how == KP_SCATTER_ADD || how == KP_SCATTER_MAX;
      for (size_t i = 0; i < count; ++i) out[i] = any ? out[i] | in[i] : out[i] & in[i];
      return NULL;
    }
    default:
      return KP_ERROR(RUN_FAILED, "a reduction of %s", kp_type_name(y->type));
  }
}

static int64_t stated_index(const kapell_value* indices, size_t i) {
  return indices->type == KAPELL_INT64 ? ((const int64_t*)indices->data)[i] : kp_int_at(indices, i);
}

static kp_status* index_at(const kapell_value* indices, size_t i, int64_t dim, int64_t* out_index) {
  const int64_t index = stated_index(indices, i);
  if (index < -dim || index >= dim)
    return KP_ERROR(RUN_FAILED, "index %lld is out of range for a dim of %lld", (long long)index,
                    (long long)dim);
  *out_index = index < 0 ? index + dim : index;
  return NULL;
}

static kp_status* start_with_data(const kp_op_run* run) {
  kapell_value* y = run->outputs[0];
  return y->data == run->inputs[0]->data
             ? NULL
             : kp_copy_elements(y, 0, run->inputs[0], 0, kp_value_count(y));
}

typedef struct scatter_rows {
  const kapell_value* indices;
  const int64_t* strides;  // of the data
  int32_t axis;
  size_t rows, run;
  int64_t dim, step;  // of the axis
  int64_t inner;      // from one place of a run to the next: 0 where the last axis is the scatter's
} scatter_rows;

static int64_t row_base(const scatter_rows* s, size_t row) {
  int64_t base = 0;
  for (int32_t d = s->indices->rank - 1; d-- > 0;) {
    const size_t size = (size_t)s->indices->dims[d];
    if (d != s->axis) base += (int64_t)(row % size) * s->strides[d];
    row /= size;
  }
  return base;
}

static int64_t place_of(const scatter_rows* s, size_t row, size_t i) {
  const int64_t index = stated_index(s->indices, row * s->run + i);
  return (index < 0 ? index + s->dim : index) * s->step + (int64_t)i * s->inner;
}

// Scatter that only sets, and with a reduction: runs along the last axis, whose places differ in the index alone. Indices are checked
// already.
#define SET_ROWS(type)                                                                         \
  static void set_rows_##type(const scatter_rows* s, type* y, const type* updates) {           \
    for (size_t row = 0; row < s->rows; ++row) {                                               \
      type* to = y + row_base(s, row);                                                         \
      for (size_t i = 0; i < s->run; ++i) to[place_of(s, row, i)] = updates[row * s->run + i]; \
    }                                                                                          \
  }
SET_ROWS(uint8_t)
SET_ROWS(uint16_t)
SET_ROWS(uint32_t)
SET_ROWS(uint64_t)

static scatter_rows rows_of(const kp_op_run* run, int32_t axis, const int64_t* strides) {
  const kapell_value* indices = run->inputs[1];
  const size_t run_length = (size_t)indices->dims[indices->rank - 1];
  const bool last = axis == indices->rank - 1;
  return (scatter_rows){.indices = indices,
                        .strides = strides,
                        .axis = axis,
                        .rows = kp_value_count(indices) / run_length,
                        .run = run_length,
                        .dim = run->outputs[0]->dims[axis],
                        .step = strides[axis],
                        .inner = last ? 0 : 1};
}

// False where elements are no numbers of these sizes.
static bool set_elements(const kp_op_run* run, const scatter_rows* s) {
  const kapell_value* updates = run->inputs[2];
  kapell_value* y = run->outputs[0];
  if (y->type == KAPELL_STRING || y->type == KAPELL_COMPLEX64)
    return false;  // 8 bytes aligned to 4
  switch (kp_type_bits(y->type)) {
    case 8:
      set_rows_uint8_t(s, y->data, updates->data);
      return true;
    case 16:
      set_rows_uint16_t(s, y->data, updates->data);
      return true;
    case 32:
      set_rows_uint32_t(s, y->data, updates->data);
      return true;
    case 64:
      set_rows_uint64_t(s, y->data, updates->data);
      return true;
    default:
      return false;
  }
}

static kp_status* scatter_elements_run(const kp_op_run* run) {
  const kapell_value *x = run->inputs[0], *indices = run->inputs[1], *updates = run->inputs[2];
  const int64_t stated = kp_node_attr_i(run->node, "axis", 0);
  int32_t axis;
  if (!kp_axis(stated, x->rank, &axis))
    return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)stated,
                    (int)x->rank);
  const size_t count = kp_value_count(indices);
  if (indices->rank != x->rank || kp_value_count(updates) != count)
    return KP_ERROR(RUN_FAILED, "indices and updates of different shapes");
  int64_t strides[KP_MAX_RANK], index;
  kp_strides(x->rank, x->dims, strides);
  for (int32_t d = 0; d < x->rank; ++d)
    if (d != axis && indices->dims[d] > x->dims[d])
      return KP_ERROR(RUN_FAILED, "dim %d of the indices exceeds the data's", (int)d);
  for (size_t i = 0; i < count; ++i) KP_PASS(index_at(indices, i, x->dims[axis], &index));
  KP_PASS(start_with_data(run));
  if (!count) return NULL;
  const kp_scatter how = reduction_of(run->node);
  const scatter_rows s = rows_of(run, axis, strides);
  if (how == KP_SCATTER_SET && set_elements(run, &s)) return NULL;
  for (size_t row = 0; row < s.rows; ++row) {
    const int64_t base = row_base(&s, row);
    for (size_t i = 0; i < s.run; ++i)
      KP_PASS(merge(how, run->outputs[0], (size_t)(base + place_of(&s, row, i)), updates,
                    row * s.run + i, 1));
  }
  return NULL;
}

// Element offset of the slice that the |i|-th index tuple names.
static kp_status* slice_at(const kapell_value* x, const kapell_value* indices, size_t i,
                           int64_t depth, size_t* out_offset) {
  size_t offset = 0;
  for (int32_t d = 0; d < depth; ++d) {
    int64_t index;
    KP_PASS(index_at(indices, i * (size_t)depth + (size_t)d, x->dims[d], &index));
    offset = offset * (size_t)x->dims[d] + (size_t)index;
  }
  *out_offset = offset * kp_span(x, (int32_t)depth, x->rank);
  return NULL;
}

static kp_status* scatter_nd_run(const kp_op_run* run) {
  const kapell_value *x = run->inputs[0], *indices = run->inputs[1], *updates = run->inputs[2];
  const int64_t depth = indices->rank ? indices->dims[indices->rank - 1] : -1;
  if (depth < 0 || depth > x->rank)
    return KP_ERROR(RUN_FAILED, "indices into %lld dims of a tensor of rank %d", (long long)depth,
                    (int)x->rank);
  const size_t tuples = kp_span(indices, 0, indices->rank - 1),
               slice = kp_span(x, (int32_t)depth, x->rank);
  if (kp_value_count(updates) != tuples * slice)
    return KP_ERROR(RUN_FAILED, "%zu updates for %zu slices of %zu", kp_value_count(updates),
                    tuples, slice);
  size_t to;
  for (size_t i = 0; i < tuples; ++i) KP_PASS(slice_at(x, indices, i, depth, &to));
  KP_PASS(start_with_data(run));
  const kp_scatter how = reduction_of(run->node);
  for (size_t i = 0; i < tuples; ++i) {
    KP_PASS(slice_at(x, indices, i, depth, &to));
    KP_PASS(merge(how, run->outputs[0], to, updates, i * slice, slice));
  }
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators Scatter-9..11, ScatterElements-11..18, ScatterND-11..18
    {.name = "Scatter", .since = 9, .supports = scatter_supports, .run = scatter_elements_run, .flags = KP_OP_INPLACE | KP_OP_UNPACK},
    {.name = "ScatterElements", .since = 11, .supports = scatter_supports, .run = scatter_elements_run, .flags = KP_OP_INPLACE | KP_OP_UNPACK | KP_OP_WIDEN},
    {.name = "ScatterND", .since = 11, .supports = scatter_supports, .run = scatter_nd_run, .flags = KP_OP_INPLACE | KP_OP_UNPACK | KP_OP_WIDEN},
};
// clang-format on
KP_OP_TABLE(scatter);
