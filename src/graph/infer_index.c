// Inference of operators that choose elements by index or condition: Gather and Scatter families, OneHot, TopK, NonZero, Compress, Unique.
#include "graph/infer_rule.h"

// --- Gather -------------------------------------------------------------------------------------------------------------
static void gather_data(kp_infer* infer, int32_t axis) {
  const kp_type* in = infer->inputs[0];
  const int64_t total = kp_type_small_count(in),
                count = infer->node->output_count ? kp_type_small_count(infer->outputs) : -1;
  kp_ints index;
  if (total <= 0 || count < 0 || !kp_in_has_data(infer, 1) || !kp_in_numbers(infer, 1, &index) ||
      index.n == 0)
    return;
  uint32_t* source = kp_data_sources(infer, 0, 0, count);
  if (!source) return;
  const int64_t size = in->dims[axis];
  int64_t inner = 1;
  for (int32_t d = axis + 1; d < in->rank; ++d) inner *= in->dims[d];
  for (int64_t k = 0; k < count; ++k) {
    const int64_t before = k / (inner * index.n), chosen = k / inner % index.n;
    const int64_t at =
        index.v[chosen] < 0 && index.v[chosen] >= -size ? index.v[chosen] + size : index.v[chosen];
    if (at < 0 || at >= size) return;  // the run will say so
    source[k] = (uint32_t)((before * size + at) * inner + k % inner);
  }
  kp_data_pick(infer, 0, 0, source, (uint32_t)count);
}

kp_status* kp_infer_gather(kp_infer* infer, int64_t attr_axis, kapell_type element,
                           int64_t factor) {
  const int32_t rank = kp_in_rank(infer, 0), index_rank = kp_in_rank(infer, 1);
  KP_PASS(kp_in_check_rank(infer, 0, 1, -1));
  if (rank < 0 || index_rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  int32_t axis = 0;
  KP_PASS(kp_infer_axis(infer, "attribute 'axis'", attr_axis, rank, &axis));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank - 1 + index_rank, &dims));
  int32_t at = 0;
  for (int32_t d = 0; d < axis; ++d) dims[at++] = kp_in_dim(infer, 0, d);
  for (int32_t d = 0; d < index_rank; ++d) dims[at++] = kp_in_dim(infer, 1, d);
  for (int32_t d = axis + 1; d < rank; ++d) dims[at++] = kp_in_dim(infer, 0, d);
  if (factor != 1 && axis < rank - 1) dims[at - 1] = kp_dim_mul(infer, dims[at - 1], factor);
  if (kp_in_has_data(infer, 0) && factor == 1) gather_data(infer, axis);
  return NULL;
}
static kp_status* gather(kp_infer* infer) {
  return kp_infer_gather(infer, kp_node_attr_i(infer->node, "axis", 0), kp_in_element(infer, 0), 1);
}

static kp_status* gather_elements(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 1, -1));
  if (rank >= 0) {
    int32_t unused;
    KP_PASS(kp_in_check_rank(infer, 1, rank, rank));
    KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", 0), rank,
                          &unused));
  }
  kp_out_shape_of(infer, 0, kp_in_element(infer, 0), 1);
  return NULL;
}

kp_status* kp_infer_gather_nd(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 1, -1));
  KP_PASS(kp_in_check_rank(infer, 1, 1, -1));
  const int32_t rank = kp_in_rank(infer, 0), index_rank = kp_in_rank(infer, 1);
  if (rank < 0 || index_rank < 0 || kp_is_symbol(kp_in_dim(infer, 1, -1))) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  const int64_t batch = kp_node_attr_i(infer->node, "batch_dims", 0),
                depth = kp_in_dim(infer, 1, -1);
  if (batch < 0 || batch >= rank || batch >= index_rank)
    return kp_node_error(
        infer, "attribute 'batch_dims' is %lld; expected 0 to less than the ranks %d and %d",
        (long long)batch, rank, index_rank);
  if (depth > rank - batch)
    return kp_in_error(infer, 1, "its last dim is %lld; data has %lld dims to index",
                       (long long)depth, (long long)(rank - batch));
  for (int32_t d = 0; d < batch; ++d)
    KP_PASS(kp_in_check_dim(infer, 1, d, kp_in_dim(infer, 0, d), "a batch dim of data"));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, index_rank - 1 + rank - (int32_t)(batch + depth), &dims));
  int32_t at = 0;
  for (int32_t d = 0; d < index_rank - 1; ++d) dims[at++] = kp_in_dim(infer, 1, d);
  for (int32_t d = (int32_t)(batch + depth); d < rank; ++d) dims[at++] = kp_in_dim(infer, 0, d);
  return NULL;
}

static kp_status* array_feature_extractor(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 1, -1));
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  const int32_t out_rank = rank == 1 ? 2 : rank;  // a vector gives one row
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, out_rank, &dims));
  for (int32_t d = 0; d < out_rank - 1; ++d) dims[d] = rank == 1 ? 1 : kp_in_dim(infer, 0, d);
  const kp_type* index = kp_in_tensor(infer, 1);
  const bool known = index && index->rank >= 0;
  dims[out_rank - 1] =
      known ? kp_dim_product(infer, index->dims, index->rank) : kp_dim_fresh(infer);
  return NULL;
}

// --- Scatter ------------------------------------------------------------------------------------------------------------
// The operation of attribute "reduction"; false for plain replacement.
static bool reduction_of(const kp_infer* infer, kp_data_op* out) {
  const kp_str text = kp_node_attr_s(infer->node, "reduction", "none");
  static const struct {
    const char* name;
    kp_data_op op;
  } table[] = {
      {"add", KP_DATA_ADD}, {"mul", KP_DATA_MUL}, {"min", KP_DATA_MIN}, {"max", KP_DATA_MAX}};
  for (size_t k = 0; k < KP_COUNT_OF(table); ++k) {
    if (!kp_str_is(text, table[k].name)) continue;
    *out = table[k].op;
    return true;
  }
  return false;
}

static bool put(kp_infer* infer, kp_expr* to, kp_expr update) {
  kp_data_op op;
  if (!reduction_of(infer, &op)) {
    *to = update;
    return true;
  }
  return kp_data_combine(infer, op, kp_in_element(infer, 0), *to, update, to) ||
         kp_data_untold(infer, to);
}

// A copy of data's contents as those of output 0, to be changed; NULL where contents of one of the inputs are not known.
static kp_expr* scatter_start(kp_infer* infer, kp_ints* out_index, kp_ints* out_updates) {
  kp_ints data;
  const int64_t count = kp_type_small_count(kp_in_tensor(infer, 0));
  if (!kp_in_has_data(infer, 0) || !kp_in_ints(infer, 0, &data) || count != (int64_t)data.n)
    return NULL;
  if (!kp_in_numbers(infer, 1, out_index) || !kp_in_ints(infer, 2, out_updates)) return NULL;
  kp_expr* out = kp_out_ints(infer, 0, count);
  if (out && count) memcpy(out, data.v, (size_t)count * sizeof *out);
  return out;
}

static void scatter_nd_data(kp_infer* infer) {
  const kp_type *data = infer->inputs[0], *indices = infer->inputs[1];
  kp_ints index, updates;
  kp_expr* out = scatter_start(infer, &index, &updates);
  if (!out) return;
  const uint32_t depth = (uint32_t)indices->dims[indices->rank - 1];
  int64_t inner = 1;
  for (int32_t d = (int32_t)depth; d < data->rank; ++d) inner *= data->dims[d];
  const uint32_t rows = depth ? index.n / depth : 0;
  bool good = depth > 0 && inner > 0 && updates.n == rows * (uint64_t)inner;
  for (uint32_t row = 0; good && row < rows; ++row) {
    int64_t at = 0;
    for (uint32_t d = 0; good && d < depth; ++d) {
      const int64_t size = data->dims[d];
      int64_t i = index.v[row * depth + d];
      if (i < 0 && i >= -size) i += size;
      good = i >= 0 && i < size;
      at = at * size + i;
    }
    for (int64_t k = 0; good && k < inner; ++k)
      good = put(infer, &out[at * inner + k], updates.v[row * inner + k]);
  }
  if (!good && updates.n) kp_out_drop_data(infer, 0);
}

static kp_status* scatter_nd(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 1, -1));
  KP_PASS(kp_in_check_rank(infer, 1, 1, -1));
  KP_PASS(kp_infer_same(infer));
  const int32_t rank = kp_in_rank(infer, 0), index_rank = kp_in_rank(infer, 1);
  if (rank < 0 || index_rank < 0 || kp_is_symbol(kp_in_dim(infer, 1, -1))) return NULL;
  const int64_t depth = kp_in_dim(infer, 1, -1);
  if (depth > rank)
    return kp_in_error(infer, 1, "its last dim is %lld; data has rank %d", (long long)depth, rank);
  const int32_t updates = index_rank - 1 + rank - (int32_t)depth;
  KP_PASS(kp_in_check_rank(infer, 2, updates, updates));
  for (int32_t d = 0; d < updates && kp_in_rank(infer, 2) >= 0; ++d) {
    const bool outer = d < index_rank - 1;
    KP_PASS(kp_in_check_dim(
        infer, 2, d,
        outer ? kp_in_dim(infer, 1, d) : kp_in_dim(infer, 0, d - (index_rank - 1) + (int32_t)depth),
        outer ? "a dim of indices" : "a dim of data"));
  }
  if (kp_in_has_data(infer, 0) && kp_in_has_data(infer, 1)) scatter_nd_data(infer);
  return NULL;
}

// Contents of a vector with elements replaced.
static void scatter_elements_data(kp_infer* infer) {
  kp_ints index, updates;
  kp_expr* out = scatter_start(infer, &index, &updates);
  if (!out) return;
  const int64_t size = infer->inputs[0]->dims[0];
  bool good = index.n == updates.n;
  for (uint32_t k = 0; good && k < index.n; ++k) {
    const int64_t i = index.v[k] < 0 && index.v[k] >= -size ? index.v[k] + size : index.v[k];
    good = i >= 0 && i < size && put(infer, &out[i], updates.v[k]);
  }
  if (!good) kp_out_drop_data(infer, 0);
}

static kp_status* scatter_elements(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 1, -1));
  KP_PASS(kp_infer_same(infer));
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank < 0) return NULL;
  int32_t unused;
  KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", 0), rank,
                        &unused));
  KP_PASS(kp_in_check_rank(infer, 1, rank, rank));
  KP_PASS(kp_in_check_rank(infer, 2, rank, rank));
  for (int32_t d = 0; kp_in_rank(infer, 1) >= 0 && kp_in_rank(infer, 2) >= 0 && d < rank; ++d)
    KP_PASS(kp_in_check_dim(infer, 2, d, kp_in_dim(infer, 1, d), "the dim of indices"));
  if (rank == 1 && kp_in_has_data(infer, 0) && kp_in_has_data(infer, 1))
    scatter_elements_data(infer);
  return NULL;
}

// --- OneHot, TopK -------------------------------------------------------------------------------------------------------
static kp_status* one_hot(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 2);
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 1, 0, 1));
  KP_PASS(kp_in_check_rank(infer, 2, 1, 1));
  if (kp_in_rank(infer, 2) == 1) KP_PASS(kp_in_check_dim(infer, 2, 0, 2, "off and on"));
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  int32_t axis = 0;
  KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", -1),
                        rank + 1, &axis));
  kp_expr depth, *dims;
  kp_doubles real;
  KP_PASS(kp_out_dims(infer, 0, element, rank + 1, &dims));
  for (int32_t d = 0; d <= rank; ++d)
    dims[d] = d == axis ? 0 : kp_in_dim(infer, 0, d < axis ? d : d - 1);
  if (kp_in_int(infer, 1, &depth)) return kp_dim_of_data(infer, 1, depth, &dims[axis]);
  if (kp_in_doubles(infer, 1, &real) && real.n == 1 && real.v[0] >= 0 && real.v[0] < 1e15)
    dims[axis] = (int64_t)real.v[0];
  else
    dims[axis] = kp_dim_fresh(infer);
  return NULL;
}

static kp_status* top_k(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 1, -1));
  KP_PASS(kp_in_check_rank(infer, 1, 0, 1));
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    kp_out_any_rank(infer, 1, KAPELL_INT64);
    return NULL;
  }
  int32_t axis = 0;
  KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", -1), rank,
                        &axis));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  for (int32_t d = 0; d < rank; ++d) dims[d] = kp_in_dim(infer, 0, d);
  const kp_expr size = dims[axis];
  kp_expr k;
  if (infer->node->version < 10)
    dims[axis] = kp_node_attr_i(infer->node, "k", 0);
  else if (kp_in_int(infer, 1, &k))
    KP_PASS(kp_dim_of_data(infer, 1, k, &dims[axis]));
  else
    dims[axis] = kp_dim_fresh(infer);
  if (kp_is_number(size) && kp_is_number(dims[axis]) && dims[axis] > size)
    return kp_node_error(infer, "K is %lld; axis %d of X has %lld elements", (long long)dims[axis],
                         axis, (long long)size);
  kp_out_tensor(infer, 1, KAPELL_INT64, rank, dims);
  return NULL;
}

// --- what only the data decides -----------------------------------------------------------------------------------------
// NonZero of contents that are known: exporters' way to count up (NonZero of ConstantOfShape).
static kp_status* non_zero(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, KAPELL_INT64, 2, &dims));
  dims[0] = rank < 0 ? kp_dim_fresh(infer) : rank > 0 ? rank : 1;
  kp_ints from;
  const kp_type* in = kp_in_tensor(infer, 0);
  const bool known = rank >= 0 && kp_in_has_data(infer, 0) && kp_in_numbers(infer, 0, &from) &&
                     kp_type_small_count(in) == (int64_t)from.n;
  if (!known) {
    dims[1] = kp_dim_fresh(infer);
    return NULL;
  }
  int64_t count = 0;
  for (uint32_t k = 0; k < from.n; ++k) count += from.v[k] != 0;
  dims[1] = count;
  kp_expr* out = kp_out_ints(infer, 0, count * dims[0]);
  int64_t column = 0;
  for (uint32_t k = 0; out && k < from.n; ++k) {
    if (from.v[k] == 0) continue;
    uint32_t flat = k;
    for (int32_t d = rank - 1; d >= 0; --d) {
      out[d * count + column] = flat % (uint32_t)in->dims[d];
      flat /= (uint32_t)in->dims[d];
    }
    if (rank == 0) out[column] = 0;
    ++column;
  }
  return NULL;
}

// How many of |length| places a Compress keeps: what the condition holds beyond them chooses nothing.
static kp_expr compressed(kp_infer* infer, kp_expr length) {
  kp_ints condition;
  if (kp_is_symbol(length) || !kp_in_has_data(infer, 1) || !kp_in_numbers(infer, 1, &condition))
    return kp_dim_fresh(infer);
  int64_t chosen = 0;
  for (uint32_t k = 0; k < condition.n && k < length; ++k) chosen += condition.v[k] != 0;
  return chosen;
}

static kp_status* compress(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 1, -1));
  KP_PASS(kp_in_check_rank(infer, 1, 1, 1));
  if (!kp_node_attr(infer->node, "axis")) {
    kp_expr all = rank < 0 ? kp_dim_fresh(infer) : 1;
    for (int32_t d = 0; d < rank; ++d) all = kp_dim_mul(infer, all, kp_in_dim(infer, 0, d));
    return kp_out_vector(infer, 0, element, compressed(infer, all));
  }
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  int32_t axis = 0;
  KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", 0), rank,
                        &axis));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  for (int32_t d = 0; d < rank; ++d) dims[d] = kp_in_dim(infer, 0, d);
  dims[axis] = compressed(infer, dims[axis]);
  return NULL;
}

static kp_status* unique(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  const kp_expr count = kp_dim_fresh(infer);
  const bool has_axis = kp_node_attr(infer->node, "axis") != NULL;
  KP_PASS(kp_out_vector(infer, 1, KAPELL_INT64, count));
  KP_PASS(kp_out_vector(infer, 3, KAPELL_INT64, count));
  kp_expr all = KP_DIM_UNKNOWN;
  if (!has_axis) {
    KP_PASS(kp_out_vector(infer, 0, element, count));
    if (rank >= 0) all = kp_dim_product(infer, infer->inputs[0]->dims, rank);
  } else if (rank >= 0) {
    int32_t axis = 0;
    KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", 0), rank,
                          &axis));
    kp_expr* dims;
    KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
    for (int32_t d = 0; d < rank; ++d) dims[d] = d == axis ? count : kp_in_dim(infer, 0, d);
    all = kp_in_dim(infer, 0, axis);
  } else {
    kp_out_any_rank(infer, 0, element);
  }
  return kp_out_vector(infer, 2, KAPELL_INT64, rank >= 0 ? all : kp_dim_fresh(infer));
}

// clang-format off
const kp_infer_rule kp_infer_rules_index[] = {
    {"", "Gather", 1, gather, 0, KP_INFER_FROM_DATA},
    {"", "GatherElements", 11, gather_elements, 0, 0},
    {"", "GatherND", 11, kp_infer_gather_nd, 0, 0},
    {"ai.onnx.ml", "ArrayFeatureExtractor", 1, array_feature_extractor, 0, 0},
    {"", "Scatter", 9, scatter_elements, 0, 0},
    {"", "ScatterElements", 11, scatter_elements, 0, 0},
    {"", "ScatterND", 11, scatter_nd, 0, 0},
    {"", "OneHot", 9, one_hot, 1u << 1, 0},
    {"", "TopK", 1, top_k, 1u << 1, 0},
    {"", "NonZero", 9, non_zero, 0, KP_INFER_DYNAMIC},
    {"", "Compress", 9, compress, 0, KP_INFER_DYNAMIC},
    {"", "Unique", 11, unique, 0, KP_INFER_DYNAMIC},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
