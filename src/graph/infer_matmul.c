// Inference of matrix products: MatMul, Gemm, MatMulInteger, Einsum.
#include "graph/infer_rule.h"

// --- MatMul -----------------------------------------------------------------------------------------------------------
static kp_status* product(kp_infer* infer, uint32_t a, const kp_type* left, uint32_t b,
                          const kp_type* right, kapell_type element) {
  const int32_t rank_a = left->rank, rank_b = right->rank;
  const kp_expr inner = left->dims[rank_a - 1], rows = right->dims[rank_b == 1 ? 0 : rank_b - 2];
  if (kp_dim_differ(inner, rows))
    return kp_in_error(infer, b, "%lld rows; expected %lld, the columns of the left matrix",
                       (long long)rows, (long long)inner);
  const int32_t batch_a = rank_a > 2 ? rank_a - 2 : 0, batch_b = rank_b > 2 ? rank_b - 2 : 0;
  const int32_t batch = batch_a > batch_b ? batch_a : batch_b;
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, batch + (rank_a > 1) + (rank_b > 1), &dims));
  for (int32_t d = 0; d < batch; ++d) dims[d] = 1;
  KP_PASS(kp_broadcast_into(infer, a, left->dims, batch_a, dims, batch));
  KP_PASS(kp_broadcast_into(infer, b, right->dims, batch_b, dims, batch));
  int32_t at = batch;
  if (rank_a > 1) dims[at++] = left->dims[rank_a - 2];
  if (rank_b > 1) dims[at] = right->dims[rank_b - 1];
  return NULL;
}

kp_status* kp_infer_matmul(kp_infer* infer, uint32_t a, uint32_t b, kapell_type element) {
  KP_PASS(kp_in_check_rank(infer, a, 1, -1));
  KP_PASS(kp_in_check_rank(infer, b, 1, -1));
  if (kp_in_rank(infer, a) >= 0 && kp_in_rank(infer, b) >= 0)
    return product(infer, a, infer->inputs[a], b, infer->inputs[b], element);
  kp_out_any_rank(infer, 0, element);
  return NULL;
}

// Dims of input |i| as com.microsoft's FusedMatMul reads them: with |batch| the first dim goes in front of the last, then with
// |matrix| the last two change places. Vectors stay.
static void transposed(const kp_type* type, bool batch, bool matrix, kp_expr* dims, kp_type* out) {
  const int32_t rank = type->rank;
  *out = *type;
  out->dims = dims;
  memcpy(dims, type->dims, sizeof(kp_expr) * (size_t)rank);
  if (batch && rank > 2) {
    memmove(dims, dims + 1, sizeof(kp_expr) * (size_t)(rank - 2));
    dims[rank - 2] = type->dims[0];
  }
  if (matrix && rank > 1) {
    const kp_expr last = dims[rank - 1];
    dims[rank - 1] = dims[rank - 2];
    dims[rank - 2] = last;
  }
}

kp_status* kp_infer_fused_matmul(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 1);
  KP_PASS(kp_in_check_rank(infer, 0, 1, -1));
  KP_PASS(kp_in_check_rank(infer, 1, 1, -1));
  if (kp_in_rank(infer, 0) < 0 || kp_in_rank(infer, 1) < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  kp_expr left_dims[KP_MAX_RANK], right_dims[KP_MAX_RANK];
  kp_type left, right;
  const kp_node* node = infer->node;
  transposed(infer->inputs[0], kp_node_attr_i(node, "transBatchA", 0) != 0,
             kp_node_attr_i(node, "transA", 0) != 0, left_dims, &left);
  transposed(infer->inputs[1], kp_node_attr_i(node, "transBatchB", 0) != 0,
             kp_node_attr_i(node, "transB", 0) != 0, right_dims, &right);
  return product(infer, 0, &left, 1, &right, element);
}

static kp_status* matmul(kp_infer* infer) {
  const kapell_type a = kp_in_element(infer, 0);
  return kp_infer_matmul(infer, 0, 1, a != KAPELL_UNDEFINED ? a : kp_in_element(infer, 1));
}

static kp_status* matmul_integer(kp_infer* infer) {
  return kp_infer_matmul(infer, 0, 1, KAPELL_INT32);
}

kp_status* kp_infer_gemm(kp_infer* infer, uint32_t a, uint32_t b, uint32_t c, kapell_type element) {
  KP_PASS(kp_in_check_rank(infer, a, 2, 2));
  KP_PASS(kp_in_check_rank(infer, b, 2, 2));
  const int32_t trans_a = kp_node_attr_i(infer->node, "transA", 0) != 0,
                trans_b = kp_node_attr_i(infer->node, "transB", 0) != 0;
  const bool know_a = kp_in_rank(infer, a) == 2, know_b = kp_in_rank(infer, b) == 2;
  if (know_a && know_b)
    KP_PASS(
        kp_in_check_dim(infer, b, trans_b, kp_in_dim(infer, a, 1 - trans_a), "the columns of A"));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, 2, &dims));
  dims[0] = know_a ? kp_in_dim(infer, a, trans_a) : kp_dim_fresh(infer);
  dims[1] = know_b ? kp_in_dim(infer, b, 1 - trans_b) : kp_dim_fresh(infer);
  const int32_t rank_c = kp_in_rank(infer, c);
  if (rank_c < 0) return NULL;
  KP_PASS(kp_in_check_rank(infer, c, 0, 2));
  for (int32_t d = 1; d <= rank_c; ++d) {
    if (kp_in_dim(infer, c, -d) != 1)
      KP_PASS(kp_in_check_dim(infer, c, rank_c - d, dims[2 - d], "1 or the dim of the product"));
  }
  return NULL;
}
static kp_status* gemm(kp_infer* infer) {
  return kp_infer_gemm(infer, 0, 1, 2, kp_in_element(infer, 0));
}

// --- Einsum -----------------------------------------------------------------------------------------------------------
#define LABELS 52  // A-Z, a-z, in ASCII order

typedef struct einsum_state {
  kp_expr dims[LABELS];  // 0 times seen: not set
  uint32_t seen[LABELS];
  kp_expr ellipsis[KP_MAX_RANK];
  int32_t ellipsis_rank;  // -1: no ellipsis so far
} einsum_state;

static int32_t label_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  return -1;
}

// Counts the labels of one term; *out_dots: where its ellipsis stands among them, or -1. False: malformed.
static bool scan_term(kp_str term, int32_t* out_labels, int32_t* out_dots) {
  *out_labels = 0;
  *out_dots = -1;
  for (size_t k = 0; k < term.length; ++k) {
    if (term.data[k] == ' ') continue;
    if (label_of(term.data[k]) >= 0) {
      ++*out_labels;
    } else if (*out_dots < 0 && term.length - k >= 3 && memcmp(term.data + k, "...", 3) == 0) {
      *out_dots = *out_labels;
      k += 2;
    } else {
      return false;
    }
  }
  return true;
}

static kp_status* merge_dim(kp_infer* infer, uint32_t i, int32_t axis, kp_expr* have) {
  return kp_broadcast_into(infer, i, infer->inputs[i]->dims + axis, 1, have, 1);
}

static kp_status* read_ellipsis(kp_infer* infer, einsum_state* state, uint32_t i, int32_t axis,
                                int32_t count) {
  if (state->ellipsis_rank < 0) {
    state->ellipsis_rank = count;
    for (int32_t d = 0; d < count; ++d) state->ellipsis[d] = 1;
  }
  if (count > state->ellipsis_rank) {  // numpy aligns them at the right
    memmove(state->ellipsis + (count - state->ellipsis_rank), state->ellipsis,
            sizeof(kp_expr) * (size_t)state->ellipsis_rank);
    for (int32_t d = 0; d < count - state->ellipsis_rank; ++d) state->ellipsis[d] = 1;
    state->ellipsis_rank = count;
  }
  return kp_broadcast_into(infer, i, infer->inputs[i]->dims + axis, count, state->ellipsis,
                           state->ellipsis_rank);
}

static kp_status* read_term(kp_infer* infer, einsum_state* state, uint32_t i, kp_str term) {
  int32_t labels, dots;
  if (!scan_term(term, &labels, &dots))
    return kp_node_error(infer, "attribute 'equation': malformed term '%.*s'", KP_STR_ARG(term));
  const int32_t rank = kp_in_rank(infer, i);
  if (rank < labels || (dots < 0 && rank != labels))
    return kp_in_error(infer, i, "rank %d; expected %d for the term '%.*s'", rank, labels,
                       KP_STR_ARG(term));
  int32_t axis = 0;
  for (size_t k = 0; k < term.length; ++k) {
    const int32_t label = label_of(term.data[k]);
    if (term.data[k] == '.') {
      KP_PASS(read_ellipsis(infer, state, i, axis, rank - labels));
      axis += rank - labels;
      k += 2;
    } else if (label >= 0) {
      if (state->seen[label]++ == 0) state->dims[label] = 1;
      KP_PASS(merge_dim(infer, i, axis++, &state->dims[label]));
    }
  }
  return NULL;
}

static kp_status* write_explicit(kp_infer* infer, const einsum_state* state, kp_str right,
                                 kapell_type element) {
  int32_t labels, dots;
  if (!scan_term(right, &labels, &dots))
    return kp_node_error(infer, "attribute 'equation': malformed result '%.*s'", KP_STR_ARG(right));
  const int32_t inner = dots >= 0 && state->ellipsis_rank > 0 ? state->ellipsis_rank : 0;
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, labels + inner, &dims));
  int32_t axis = 0;
  for (size_t k = 0; k < right.length; ++k) {
    const int32_t label = label_of(right.data[k]);
    if (right.data[k] == '.') {
      for (int32_t d = 0; d < inner; ++d) dims[axis++] = state->ellipsis[d];
      k += 2;
    } else if (label >= 0) {
      if (!state->seen[label])
        return kp_node_error(infer, "attribute 'equation': '%c' of the result is in no term",
                             right.data[k]);
      dims[axis++] = state->dims[label];
    }
  }
  return NULL;
}

// Without "->": the ellipsis, then every label that occurs once, in order of the alphabet.
static kp_status* write_implicit(kp_infer* infer, const einsum_state* state, kapell_type element) {
  const int32_t inner = state->ellipsis_rank > 0 ? state->ellipsis_rank : 0;
  int32_t rank = inner, axis = inner;
  for (int32_t label = 0; label < LABELS; ++label) rank += state->seen[label] == 1;
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  for (int32_t d = 0; d < inner; ++d) dims[d] = state->ellipsis[d];
  for (int32_t label = 0; label < LABELS; ++label) {
    if (state->seen[label] == 1) dims[axis++] = state->dims[label];
  }
  return NULL;
}

static kp_status* einsum(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const kp_str equation = kp_node_attr_s(infer->node, "equation", "");
  for (uint32_t i = 0; i < infer->node->input_count; ++i) {
    if (kp_in_rank(infer, i) >= 0) continue;
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  size_t left = equation.length;
  for (size_t k = 0; k + 1 < equation.length && left == equation.length; ++k) {
    if (equation.data[k] == '-' && equation.data[k + 1] == '>') left = k;
  }
  einsum_state state = {.ellipsis_rank = -1};
  uint32_t operand = 0;
  for (size_t start = 0, k = 0; k <= left; ++k) {
    if (k < left && equation.data[k] != ',') continue;
    if (operand >= infer->node->input_count)
      return kp_node_error(infer, "attribute 'equation' has more terms than the %u inputs",
                           infer->node->input_count);
    KP_TRY(read_term(infer, &state, operand++, (kp_str){equation.data + start, k - start}),
           "reading the equation '%.*s'", KP_STR_ARG(equation));
    start = k + 1;
  }
  if (operand != infer->node->input_count)
    return kp_node_error(infer, "attribute 'equation' has %u terms for %u inputs", operand,
                         infer->node->input_count);
  if (left == equation.length) return write_implicit(infer, &state, element);
  const kp_str right = {equation.data + left + 2, equation.length - left - 2};
  KP_TRY(write_explicit(infer, &state, right, element), "reading the equation '%.*s'",
         KP_STR_ARG(equation));
  return NULL;
}

static kp_status* det(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 2, -1));
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  KP_PASS(kp_in_check_dim(infer, 0, rank - 1, kp_in_dim(infer, 0, -2), "square matrices"));
  kp_out_tensor(infer, 0, element, rank - 2, infer->inputs[0]->dims);
  return NULL;
}

// clang-format off
const kp_infer_rule kp_infer_rules_matmul[] = {
    {"", "MatMul", 1, matmul, 0, 0}, {"", "MatMulInteger", 10, matmul_integer, 0, 0}, {"", "Gemm", 1, gemm, 0, 0},
    {"", "Einsum", 12, einsum, 0, 0}, {"", "Det", 11, det, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
