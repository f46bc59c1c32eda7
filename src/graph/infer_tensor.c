// Inference of operators that move elements without choosing among them: Reshape and its kin, Transpose, Concat, Split, Expand, Tile,
// and the sources of shape arithmetic, Shape and Size.
#include <stdio.h>

#include "graph/infer_rule.h"

// --- Identity, Shape, Size ----------------------------------------------------------------------------------------------
static kp_status* identity(kp_infer* infer) {
  if (kp_in_given(infer, 0)) kp_out_type(infer, 0, infer->inputs[0]);
  kp_out_data_of(infer, 0, 0);
  return NULL;
}

static int64_t clamp(int64_t x, int64_t rank) {
  if (x < 0) x = x < -rank ? 0 : x + rank;
  return x > rank ? rank : x;
}

static kp_status* shape(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank < 0) return kp_out_vector(infer, 0, KAPELL_INT64, kp_dim_fresh(infer));
  const int64_t start = clamp(kp_node_attr_i(infer->node, "start", 0), rank);
  const int64_t end = clamp(kp_node_attr_i(infer->node, "end", INT64_MAX), rank);
  const int64_t count = end > start ? end - start : 0;
  KP_PASS(kp_out_vector(infer, 0, KAPELL_INT64, count));
  kp_expr* out = kp_out_ints(infer, 0, count);
  for (int64_t k = 0; out && k < count; ++k) {
    out[k] = infer->inputs[0]->dims[start + k];
    if (!infer->symbols && kp_is_symbol(out[k])) {
      kp_out_drop_data(infer, 0);
      return NULL;
    }
  }
  return NULL;
}

static kp_status* size(kp_infer* infer) {
  kp_out_scalar(infer, 0, KAPELL_INT64);
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank < 0) return NULL;
  const kp_expr count = kp_dim_product(infer, infer->inputs[0]->dims, rank);
  if (!infer->symbols && kp_is_symbol(count)) return NULL;
  kp_expr* out = kp_out_ints(infer, 0, 1);
  if (out) out[0] = count;
  return NULL;
}

// --- Reshape ------------------------------------------------------------------------------------------------------------
typedef struct reshape {
  kp_expr* dims;
  int32_t rank;
  int32_t open;  // index of -1; -1 where there is none
  bool exact;    // every other dim is what the run will have
} reshape;

static kp_status* reshape_dim(kp_infer* infer, reshape* to, int32_t d, kp_expr e, bool allow_zero) {
  const int32_t rank = kp_in_rank(infer, 0);
  to->dims[d] = e;
  if (!kp_data_is_number(infer, e)) {
    if (kp_data_at_least(infer, e, 0)) return NULL;
    to->dims[d] = kp_dim_fresh(infer);
    to->exact = false;
  } else if (e == -1) {
    if (to->open >= 0)
      return kp_node_error(infer, "the new shape has -1 at %d and at %d", to->open, d);
    to->open = d;
    to->dims[d] = 1;
  } else if (e < 0) {
    return kp_node_error(infer, "the new shape has %lld at %d", (long long)e, d);
  } else if (e == 0 && !allow_zero) {
    if (rank >= 0 && d >= rank)
      return kp_node_error(infer, "the new shape has 0 at %d; data has rank %d", d, rank);
    to->dims[d] = rank >= 0 ? kp_in_dim(infer, 0, d) : kp_dim_fresh(infer);
    to->exact = to->exact && rank >= 0;
  }
  return NULL;
}

// Dims that stand on both sides cancel first, so that what is left stays small and zeros among them do no harm.
static void cancel(const kp_expr* from, int32_t from_rank, const reshape* to, kp_expr* left,
                   int32_t* left_count, kp_expr* right, int32_t* right_count) {
  uint32_t used = 0;  // bits of |from|; ranks are at most KP_MAX_RANK
  *left_count = *right_count = 0;
  for (int32_t d = 0; d < to->rank; ++d) {
    int32_t match = -1;
    for (int32_t k = 0; k < from_rank && match < 0; ++k) {
      if (!(used >> k & 1) && from[k] == to->dims[d] && d != to->open && from[k] != KP_DIM_UNKNOWN)
        match = k;
    }
    if (match >= 0)
      used |= UINT32_C(1) << match;
    else
      right[(*right_count)++] = to->dims[d];
  }
  for (int32_t k = 0; k < from_rank; ++k) {
    if (!(used >> k & 1)) left[(*left_count)++] = from[k];
  }
}

static kp_status* reshape_mismatch(const kp_infer* infer, const reshape* to) {
  char text[256] = "";
  size_t at = 0;
  for (int32_t d = 0; d < to->rank && at < sizeof text - 24; ++d) {
    const kp_expr dim = d == to->open ? -1 : to->dims[d];
    if (kp_is_number(dim))
      at += (size_t)snprintf(text + at, sizeof text - at, "%s%lld", d ? "," : "", (long long)dim);
    else
      at += (size_t)snprintf(text + at, sizeof text - at, "%s?", d ? "," : "");
  }
  return kp_in_error(infer, 0, "its number of elements does not fit the new shape [%s]", text);
}

static kp_status* reshape_close(kp_infer* infer, reshape* to) {
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank < 0 || !to->exact) {
    if (to->open >= 0) to->dims[to->open] = kp_dim_fresh(infer);
    return NULL;
  }
  kp_expr left[KP_MAX_RANK], right[KP_MAX_RANK];
  int32_t left_count, right_count;
  cancel(infer->inputs[0]->dims, rank, to, left, &left_count, right, &right_count);
  const kp_expr have = kp_dim_product(infer, left, left_count),
                want = kp_dim_product(infer, right, right_count);
  if (to->open < 0) return kp_dim_differ(have, want) ? reshape_mismatch(infer, to) : NULL;
  if (want == 0 && have == 0)
    return kp_in_error(infer, 0, "no elements: -1 in the new shape could be anything");
  if (kp_is_number(have) && kp_is_number(want) && (want == 0 || have % want != 0))
    return reshape_mismatch(infer, to);
  to->dims[to->open] = kp_dim_div(infer, have, want);
  return NULL;
}

static kp_status* reshape_unknown(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  if (kp_in_rank(infer, 1) == 1 && kp_is_number(kp_in_dim(infer, 1, 0)) &&
      kp_in_dim(infer, 1, 0) <= KP_MAX_RANK)
    return kp_out_fresh(infer, 0, element, (int32_t)kp_in_dim(infer, 1, 0));
  kp_out_any_rank(infer, 0, element);
  return NULL;
}

static kp_status* reshape_op(kp_infer* infer) {
  kp_ints wanted = {0};
  size_t count;
  if (infer->node->version < 5) {  // an attribute
    wanted.v = kp_node_attr_ints(infer->node, "shape", &count);
    wanted.n = (uint32_t)count;
  } else {
    KP_PASS(kp_in_check_rank(infer, 1, 1, 1));
    if (!kp_in_ints(infer, 1, &wanted)) return reshape_unknown(infer);
  }
  if (wanted.n > KP_MAX_RANK)
    return kp_node_error(infer, "a new shape of rank %u; the largest is %d", wanted.n, KP_MAX_RANK);
  reshape to = {.rank = (int32_t)wanted.n, .open = -1, .exact = true};
  KP_PASS(kp_out_dims(infer, 0, kp_in_element(infer, 0), to.rank, &to.dims));
  const bool allow_zero = kp_node_attr_i(infer->node, "allowzero", 0) != 0;
  for (int32_t d = 0; d < to.rank; ++d)
    KP_PASS(reshape_dim(infer, &to, d, wanted.v[d], allow_zero));
  KP_PASS(reshape_close(infer, &to));
  kp_out_data_of(infer, 0, 0);
  return NULL;
}

static kp_status* flatten(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank < 0) return kp_out_fresh(infer, 0, element, 2);
  int64_t axis = kp_node_attr_i(infer->node, "axis", 1);
  if (axis < -rank || axis > rank)
    return kp_node_error(infer, "attribute 'axis' is %lld; expected %d to %d", (long long)axis,
                         -rank, rank);
  if (axis < 0) axis += rank;
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, 2, &dims));
  dims[0] = kp_dim_product(infer, infer->inputs[0]->dims, (int32_t)axis);
  dims[1] = kp_dim_product(infer, infer->inputs[0]->dims + axis, rank - (int32_t)axis);
  kp_out_data_of(infer, 0, 0);
  return NULL;
}

// --- Squeeze, Unsqueeze -------------------------------------------------------------------------------------------------
// Number of axes in input 1 when its contents are not known; -1 where that is not known either.
static int32_t axes_count(const kp_infer* infer) {
  if (kp_in_rank(infer, 1) != 1) return -1;
  const kp_expr count = kp_in_dim(infer, 1, 0);
  return kp_is_number(count) && count <= KP_MAX_RANK ? (int32_t)count : -1;
}

static kp_status* squeeze(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  uint64_t mask;
  bool known, given;
  kp_out_data_of(infer, 0, 0);
  if (rank >= 0)
    KP_PASS(kp_infer_axes(infer, "axes", infer->node->version >= 13 ? 1 : -1, rank, &mask, &known,
                          &given));
  if (rank >= 0 && !known && axes_count(infer) >= 0 && axes_count(infer) <= rank)
    return kp_out_fresh(infer, 0, element, rank - axes_count(infer));
  for (int32_t d = 0; rank >= 0 && known && d < rank; ++d) {
    const kp_expr dim = kp_in_dim(infer, 0, d);
    if (given && (mask >> d & 1)) KP_PASS(kp_in_check_dim(infer, 0, d, 1, "to be squeezed"));
    if (!given && dim == 1) mask |= UINT64_C(1) << d;
    if (!given && kp_is_symbol(dim)) known = false;  // it may turn out to be 1
  }
  if (rank < 0 || !known) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank - __builtin_popcountll(mask), &dims));
  for (int32_t d = 0, k = 0; d < rank; ++d) {
    if (!(mask >> d & 1)) dims[k++] = kp_in_dim(infer, 0, d);
  }
  return NULL;
}

static kp_status* unsqueeze(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  size_t count = 0;
  const int64_t* axes = NULL;
  kp_ints ints;
  kp_out_data_of(infer, 0, 0);
  if (infer->node->version < 13) {
    axes = kp_node_attr_ints(infer->node, "axes", &count);
  } else if (kp_in_numbers(infer, 1, &ints)) {
    axes = ints.v, count = ints.n;
  } else {
    if (rank >= 0 && axes_count(infer) >= 0)
      return kp_out_fresh(infer, 0, element, rank + axes_count(infer));
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  if (count > KP_MAX_RANK)
    return kp_node_error(infer, "%zu axes; the largest rank is %d", count, KP_MAX_RANK);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank + (int32_t)count, &dims));
  uint64_t mask = 0;
  for (size_t k = 0; k < count; ++k) {
    int32_t axis = 0;
    KP_PASS(kp_infer_axis(infer, "axis", axes[k], rank + (int32_t)count, &axis));
    if (mask >> axis & 1)
      return kp_node_error(infer, "axis %lld is given twice", (long long)axes[k]);
    mask |= UINT64_C(1) << axis;
  }
  for (int32_t d = 0, k = 0; d < rank + (int32_t)count; ++d)
    dims[d] = mask >> d & 1 ? 1 : kp_in_dim(infer, 0, k++);
  return NULL;
}

// --- Transpose ----------------------------------------------------------------------------------------------------------
static void transpose_data(kp_infer* infer, const int64_t* perm, int32_t rank) {
  const kp_type* in = infer->inputs[0];
  const int64_t count = kp_type_small_count(in);
  uint32_t* source = kp_data_sources(infer, 0, 0, count);
  if (!source) return;
  uint32_t stride[KP_MAX_RANK], step = 1;
  for (int32_t d = rank - 1; d >= 0; --d) {
    stride[d] = step;
    step *= (uint32_t)in->dims[d];
  }
  for (uint32_t k = 0; k < (uint32_t)count; ++k) {
    uint32_t flat = k;
    source[k] = 0;
    for (int32_t d = rank - 1; d >= 0; --d) {
      const uint32_t dim = (uint32_t)in->dims[perm[d]];
      source[k] += flat % dim * stride[perm[d]];
      flat /= dim;
    }
  }
  kp_data_pick(infer, 0, 0, source, (uint32_t)count);
}

static kp_status* transpose(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  size_t count;
  const int64_t* perm = kp_node_attr_ints(infer->node, "perm", &count);
  if (count > KP_MAX_RANK)
    return kp_node_error(infer, "attribute 'perm' has %zu entries; the largest rank is %d", count,
                         KP_MAX_RANK);
  if (rank < 0) {
    if (count) return kp_out_fresh(infer, 0, element, (int32_t)count);
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  int64_t reversed[KP_MAX_RANK];
  for (int32_t d = 0; d < rank; ++d) reversed[d] = rank - 1 - d;
  if (!perm || count == 0) perm = reversed, count = (size_t)rank;
  if (count != (size_t)rank)
    return kp_in_error(infer, 0, "rank %d; attribute 'perm' has %zu entries", rank, count);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  uint64_t seen = 0;
  for (int32_t d = 0; d < rank; ++d) {
    if (perm[d] < 0 || perm[d] >= rank || (seen >> perm[d] & 1))
      return kp_node_error(infer, "attribute 'perm' has %lld at %d: no permutation",
                           (long long)perm[d], d);
    seen |= UINT64_C(1) << perm[d];
    dims[d] = kp_in_dim(infer, 0, (int32_t)perm[d]);
  }
  if (kp_in_has_data(infer, 0)) transpose_data(infer, perm, rank);
  return NULL;
}

// --- Expand, Tile -------------------------------------------------------------------------------------------------------
static kp_status* expand(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  kp_ints to;
  KP_PASS(kp_in_check_rank(infer, 1, 1, 1));
  if (rank < 0 || !kp_in_ints(infer, 1, &to)) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  if (to.n > KP_MAX_RANK)
    return kp_in_error(infer, 1, "%u entries; the largest rank is %d", to.n, KP_MAX_RANK);
  const int32_t result = rank > (int32_t)to.n ? rank : (int32_t)to.n;
  kp_expr wanted[KP_MAX_RANK];
  for (uint32_t d = 0; d < to.n; ++d) KP_PASS(kp_dim_of_data(infer, 1, to.v[d], &wanted[d]));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, result, &dims));
  for (int32_t d = 0; d < result; ++d) dims[d] = 1;
  KP_PASS(kp_broadcast_into(infer, 0, infer->inputs[0]->dims, rank, dims, result));
  KP_PASS(kp_broadcast_into(infer, 1, wanted, (int32_t)to.n, dims, result));
  kp_data_broadcast(infer);
  return NULL;
}

static void tile_data(kp_infer* infer) {
  const kp_type *in = infer->inputs[0], *out = infer->outputs;
  const int64_t count = infer->node->output_count ? kp_type_small_count(out) : -1;
  uint32_t* source = kp_type_small_count(in) >= 0 ? kp_data_sources(infer, 0, 0, count) : NULL;
  for (uint32_t k = 0; source && k < (uint32_t)count; ++k) {
    uint32_t flat = k, stride = 1;
    source[k] = 0;
    for (int32_t d = in->rank - 1; d >= 0; --d) {
      source[k] += flat % (uint32_t)out->dims[d] % (uint32_t)in->dims[d] * stride;
      stride *= (uint32_t)in->dims[d];
      flat /= (uint32_t)out->dims[d];
    }
  }
  if (source) kp_data_pick(infer, 0, 0, source, (uint32_t)count);
}

static kp_status* tile(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  kp_ints repeats;
  KP_PASS(kp_in_check_rank(infer, 1, 1, 1));
  if (rank < 0 && axes_count(infer) >= 0) return kp_out_fresh(infer, 0, element, axes_count(infer));
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  if (!kp_in_ints(infer, 1, &repeats)) return kp_out_fresh(infer, 0, element, rank);
  if (repeats.n != (uint32_t)rank)
    return kp_in_error(infer, 1, "%u entries; expected %d", repeats.n, rank);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  for (int32_t d = 0; d < rank; ++d) {
    kp_expr times;
    KP_PASS(kp_dim_of_data(infer, 1, repeats.v[d], &times));
    dims[d] = kp_dim_mul(infer, kp_in_dim(infer, 0, d), times);
  }
  if (kp_in_has_data(infer, 0)) tile_data(infer);
  return NULL;
}

// Opset 1: Tile(input, tiles, axis) along one axis.
static kp_status* tile_1(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  kp_expr times;
  kp_ints at;
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  if (!kp_in_numbers(infer, 2, &at) || at.n != 1) return kp_out_fresh(infer, 0, element, rank);
  int32_t axis = 0;
  KP_PASS(kp_infer_axis(infer, "axis", at.v[0], rank, &axis));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  for (int32_t d = 0; d < rank; ++d) dims[d] = kp_in_dim(infer, 0, d);
  if (kp_in_int(infer, 1, &times))
    KP_PASS(kp_dim_of_data(infer, 1, times, &times));
  else
    times = kp_dim_fresh(infer);
  dims[axis] = kp_dim_mul(infer, dims[axis], times);
  return NULL;
}

// --- blocks -------------------------------------------------------------------------------------------------------------
static kp_status* blocks(kp_infer* infer, bool to_space) {
  const kapell_type element = kp_in_element(infer, 0);
  const int64_t block = kp_node_attr_i(infer->node, "blocksize", 0);
  if (block < 1 || block > 1 << 20)
    return kp_node_error(infer, "attribute 'blocksize' is %lld; expected 1 or more",
                         (long long)block);
  KP_PASS(kp_in_check_rank(infer, 0, 4, 4));
  if (kp_in_rank(infer, 0) < 0) return kp_out_fresh(infer, 0, element, 4);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, 4, &dims));
  dims[0] = kp_in_dim(infer, 0, 0);
  for (int32_t d = 1; d < 4; ++d) {
    const kp_expr dim = kp_in_dim(infer, 0, d);
    const int64_t factor = d == 1 ? block * block : block;
    const bool grows = (d == 1) != to_space;
    if (!grows && kp_is_number(dim) && dim % factor != 0)
      return kp_in_error(infer, 0, "dim %d is %lld; expected a multiple of %lld ('blocksize')", d,
                         (long long)dim, (long long)factor);
    dims[d] = grows ? kp_dim_mul(infer, dim, factor) : kp_dim_div(infer, dim, factor);
  }
  return NULL;
}
static kp_status* depth_to_space(kp_infer* infer) { return blocks(infer, true); }
static kp_status* space_to_depth(kp_infer* infer) { return blocks(infer, false); }

kp_status* kp_infer_trilu(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 2, -1));
  return kp_infer_same(infer);
}

static kp_status* reverse_sequence(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 2, -1));
  KP_PASS(kp_in_check_rank(infer, 1, 1, 1));
  const int64_t time = kp_node_attr_i(infer->node, "time_axis", 0),
                batch = kp_node_attr_i(infer->node, "batch_axis", 1);
  if ((time != 0 && time != 1) || (batch != 0 && batch != 1) || time == batch)
    return kp_node_error(
        infer, "attributes 'time_axis' %lld and 'batch_axis' %lld; expected 0 and 1 or 1 and 0",
        (long long)time, (long long)batch);
  if (kp_in_rank(infer, 0) >= 2 && kp_in_rank(infer, 1) == 1)
    KP_PASS(
        kp_in_check_dim(infer, 1, 0, kp_in_dim(infer, 0, (int32_t)batch), "the batch of input"));
  return kp_infer_same(infer);
}

// clang-format off
const kp_infer_rule kp_infer_rules_tensor[] = {
    {"", "Identity", 1, identity, 0, KP_INFER_FROM_DATA},
    {"", "Shape", 1, shape, 0, KP_INFER_FROM_SHAPE},
    {"", "Size", 1, size, 0, KP_INFER_FROM_SHAPE},
    {"", "Reshape", 1, reshape_op, 1u << 1, KP_INFER_FROM_DATA},
    {"", "Flatten", 1, flatten, 0, KP_INFER_FROM_DATA},
    {"", "Squeeze", 1, squeeze, 1u << 1, KP_INFER_FROM_DATA},
    {"", "Unsqueeze", 1, unsqueeze, 1u << 1, KP_INFER_FROM_DATA},
    {"", "Transpose", 1, transpose, 0, KP_INFER_FROM_DATA},
    {"", "Expand", 8, expand, 1u << 1, KP_INFER_FROM_DATA},
    {"", "Tile", 1, tile_1, 1u << 1 | 1u << 2, 0},
    {"", "Tile", 6, tile, 1u << 1, KP_INFER_FROM_DATA},
    {"", "DepthToSpace", 1, depth_to_space, 0, 0},
    {"", "SpaceToDepth", 1, space_to_depth, 0, 0},
    {"", "Trilu", 14, kp_infer_trilu, 0, 0},
    {"", "ReverseSequence", 10, reverse_sequence, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
