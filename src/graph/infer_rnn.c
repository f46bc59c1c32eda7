// Inference of recurrent layers: RNN, GRU, LSTM of ai.onnx.
#include "graph/infer_rule.h"

typedef struct recurrent {
  kp_expr length, batch, features, hidden;
  int64_t directions;
  bool batch_first;  // attribute layout 1
} recurrent;

// com.microsoft's DynamicQuantizeLSTM has its weights transposed: [directions, input, gates * hidden].
static kp_status* read_hidden_transposed(kp_infer* infer, int64_t gates, recurrent* out) {
  const int64_t stated = kp_node_attr_i(infer->node, "hidden_size", 0);
  out->hidden = stated > 0                  ? stated
                : kp_in_rank(infer, 2) == 3 ? kp_in_dim(infer, 2, 1)
                                            : kp_dim_fresh(infer);
  for (uint32_t i = 1; i < 3; ++i) {
    if (kp_in_rank(infer, i) != 3) continue;
    KP_PASS(kp_in_check_dim(infer, i, 0, out->directions, "the number of directions"));
    KP_PASS(kp_in_check_dim(infer, i, 1, i == 1 ? out->features : out->hidden,
                            i == 1 ? "the features of X" : "the hidden size"));
    KP_PASS(kp_in_check_dim(infer, i, 2, kp_dim_mul(infer, out->hidden, gates),
                            "gates times the hidden size"));
  }
  return NULL;
}

static kp_status* read_hidden(kp_infer* infer, int64_t gates, recurrent* out) {
  const int64_t stated = kp_node_attr_i(infer->node, "hidden_size", 0);
  if (stated < 0) return kp_node_error(infer, "attribute 'hidden_size' is %lld", (long long)stated);
  out->hidden = stated > 0 ? stated : KP_DIM_UNKNOWN;
  if (kp_in_rank(infer, 2) == 3) {
    const kp_expr found = kp_in_dim(infer, 2, 2);
    out->hidden = stated > 0 ? stated : found;
    KP_PASS(kp_in_check_dim(infer, 2, 2, out->hidden, "the hidden size"));
    KP_PASS(kp_in_check_dim(infer, 2, 0, out->directions, "the number of directions"));
  }
  if (out->hidden == KP_DIM_UNKNOWN) out->hidden = kp_dim_fresh(infer);
  const kp_expr rows = kp_dim_mul(infer, out->hidden, gates);
  if (kp_in_rank(infer, 2) == 3)
    KP_PASS(kp_in_check_dim(infer, 2, 1, rows, "gates times the hidden size"));
  if (kp_in_rank(infer, 1) != 3) return NULL;
  KP_PASS(kp_in_check_dim(infer, 1, 0, out->directions, "the number of directions"));
  KP_PASS(kp_in_check_dim(infer, 1, 1, rows, "gates times the hidden size"));
  return kp_in_check_dim(infer, 1, 2, out->features, "the features of X");
}

static kp_status* read_recurrent(kp_infer* infer, int64_t gates, recurrent* out) {
  const kp_str direction = kp_node_attr_s(infer->node, "direction", "forward");
  const bool both = kp_str_is(direction, "bidirectional");
  const bool misspelt = kp_str_is(direction, "foward");  // the default that GRU-1's schema states
  if (!both && !misspelt && !kp_str_is(direction, "forward") && !kp_str_is(direction, "reverse"))
    return kp_node_error(
        infer, "attribute 'direction' is '%.*s'; expected forward, reverse or bidirectional",
        KP_STR_ARG(direction));
  for (uint32_t i = 0; i < 3; ++i) KP_PASS(kp_in_check_rank(infer, i, 3, 3));
  KP_PASS(kp_in_check_rank(infer, 3, 2, 2));
  KP_PASS(kp_in_check_rank(infer, 4, 1, 1));
  *out = (recurrent){.directions = both ? 2 : 1,
                     .batch_first = kp_node_attr_i(infer->node, "layout", 0) != 0};
  const bool known = kp_in_rank(infer, 0) == 3;
  out->length = known ? kp_in_dim(infer, 0, out->batch_first ? 1 : 0) : kp_dim_fresh(infer);
  out->batch = known ? kp_in_dim(infer, 0, out->batch_first ? 0 : 1) : kp_dim_fresh(infer);
  out->features = known ? kp_in_dim(infer, 0, 2) : kp_dim_fresh(infer);
  if (infer->node->domain[0] == '\0')
    KP_PASS(read_hidden(infer, gates, out));
  else
    KP_PASS(read_hidden_transposed(infer, gates, out));
  return kp_in_rank(infer, 4) == 1 ? kp_in_check_dim(infer, 4, 0, out->batch, "the batch") : NULL;
}

static kp_status* out_state(kp_infer* infer, uint32_t o, const recurrent* r) {
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, o, kp_in_element(infer, 0), 3, &dims));
  dims[0] = r->batch_first ? r->batch : r->directions;
  dims[1] = r->batch_first ? r->directions : r->batch;
  dims[2] = r->hidden;
  return NULL;
}

// Input |i|, where it is known: [directions, columns].
static kp_status* check_vectors(kp_infer* infer, uint32_t i, const recurrent* r, int64_t times) {
  if (kp_in_rank(infer, i) != 2) return NULL;
  KP_PASS(kp_in_check_dim(infer, i, 0, r->directions, "the number of directions"));
  const kp_expr columns = kp_dim_mul(infer, r->hidden, times);
  return kp_in_check_dim(infer, i, 1, columns, "what each gate has, times the hidden size");
}

// B, P; scales and zero points of 8-bit weights: one for each direction, or for each of its columns.
static kp_status* check_extras(kp_infer* infer, const recurrent* r, int64_t gates) {
  KP_PASS(check_vectors(infer, 3, r, 2 * gates));
  if (gates == 4) KP_PASS(kp_in_check_rank(infer, 7, 2, 2));
  if (gates == 4) KP_PASS(check_vectors(infer, 7, r, 3));
  for (uint32_t i = 8; i < infer->node->input_count; ++i) {
    KP_PASS(kp_in_check_rank(infer, i, 1, 2));
    KP_PASS(check_vectors(infer, i, r, gates));
    if (kp_in_rank(infer, i) == 1)
      KP_PASS(kp_in_check_dim(infer, i, 0, r->directions, "the number of directions"));
  }
  return NULL;
}

static kp_status* recurrent_op(kp_infer* infer, int64_t gates, uint32_t states) {
  recurrent r = {0};
  KP_PASS(read_recurrent(infer, gates, &r));
  KP_PASS(check_extras(infer, &r, gates));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, kp_in_element(infer, 0), 4, &dims));
  dims[0] = r.batch_first ? r.batch : r.length;
  dims[1] = r.batch_first ? r.length : r.directions;
  dims[2] = r.batch_first ? r.directions : r.batch;
  dims[3] = r.hidden;
  for (uint32_t o = 1; o <= states; ++o) KP_PASS(out_state(infer, o, &r));
  for (uint32_t i = 5; i < 5 + states; ++i) {  // initial_h, initial_c
    KP_PASS(kp_in_check_rank(infer, i, 3, 3));
    if (kp_in_rank(infer, i) != 3) continue;
    KP_PASS(kp_in_check_dim(infer, i, r.batch_first ? 0 : 1, r.batch, "the batch"));
    KP_PASS(
        kp_in_check_dim(infer, i, r.batch_first ? 1 : 0, r.directions, "the number of directions"));
    KP_PASS(kp_in_check_dim(infer, i, 2, r.hidden, "the hidden size"));
  }
  return NULL;
}
static kp_status* rnn(kp_infer* infer) { return recurrent_op(infer, 1, 1); }
static kp_status* gru(kp_infer* infer) { return recurrent_op(infer, 3, 1); }
static kp_status* lstm(kp_infer* infer) { return recurrent_op(infer, 4, 2); }

// clang-format off
const kp_infer_rule kp_infer_rules_rnn[] = {
    {"", "RNN", 1, rnn, 0, 0},
    {"", "GRU", 1, gru, 0, 0},
    {"", "LSTM", 1, lstm, 0, 0},
    {"com.microsoft", "DynamicQuantizeLSTM", 1, lstm, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
