// Scaled dot-product attention written as nodes becomes kapell.Attention, which never writes the scores to memory:
//
//   softmax(scale * Q K^T + mask) V   with Q, K, V of rank 4, f32
//
// Found from the Softmax: MatMul(q, k), scaled by Mul or Div on the product or on q and k, an optional Add of a mask, Softmax over
// the last axis, MatMul with v. k must come from a Transpose that turns its last two axes (that is what makes it K^T); Transposes
// between [batch, sequence, head, i] and [batch, head, sequence, i] around the four tensors are read and written through
// strides instead.
#include "provider/cpu/fuse/match.h"

typedef struct match {
  kp_node_id old[16];
  uint32_t count;
  kp_value_id q, k, v, mask, y;
  bool q_rows, k_rows, v_rows,
      y_rows;  // [batch, sequence, head, i]; else [batch, head, sequence, i]
  float scale;
} match;

static bool is_op(const kp_graph* graph, kp_node_id id, const char* op) {
  return id != KP_NONE && kp_node_is(&graph->nodes[id], "", op);
}

static bool is_perm(const kp_node* node, int64_t a, int64_t b, int64_t c, int64_t d) {
  size_t count;
  const int64_t* perm = kp_node_attr_ints(node, "perm", &count);
  return count == 4 && perm[0] == a && perm[1] == b && perm[2] == c && perm[3] == d;
}

static int32_t rank_of(const kp_graph* graph, kp_value_id value) {
  return kp_match_is_f32(graph, value) ? graph->values[value].type.rank : -1;
}

// Takes a multiplication of |*value| by a constant number (or a division) into the scale.
static void take_scale(const kp_graph* graph, kp_value_id* value, match* m) {
  const kp_node_id id = graph->values[*value].producer;
  if (id == KP_NONE || graph->values[*value].use_count != 1 || graph->values[*value].output_refs)
    return;
  const kp_node* node = &graph->nodes[id];
  float number;
  uint32_t other = 0;
  if (kp_node_is(node, "", "Mul") && kp_match_binary_scalar(graph, node, &number, &other)) {
    m->scale *= number;
  } else if (kp_node_is(node, "", "Div") && kp_match_scalar(graph, node->inputs[1], &number) &&
             number != 0) {
    m->scale /= number;
  } else {
    return;
  }
  m->old[m->count++] = id;
  *value = node->inputs[other];
}

// Goes through a Transpose (0, 2, 1, 3) in front of |*value|, which is then left to be pruned if nobody else reads it.
static bool through_rows(const kp_graph* graph, kp_value_id* value) {
  const kp_node_id id = graph->values[*value].producer;
  if (!is_op(graph, id, "Transpose") || !is_perm(&graph->nodes[id], 0, 2, 1, 3)) return false;
  *value = graph->nodes[id].inputs[0];
  return true;
}

// K, from K^T.
static bool take_key(const kp_graph* graph, kp_value_id transposed, match* m) {
  take_scale(graph, &transposed, m);
  const kp_node_id id = graph->values[transposed].producer;
  if (!is_op(graph, id, "Transpose")) return false;
  m->k = graph->nodes[id].inputs[0];
  m->k_rows = is_perm(&graph->nodes[id], 0, 2, 3, 1);
  if (m->k_rows) return true;
  if (!is_perm(&graph->nodes[id], 0, 1, 3, 2)) return false;
  take_scale(graph, &m->k, m);
  m->k_rows = through_rows(graph, &m->k);
  return true;
}

// A mask that can be read by strides: rank up to 4, each dim 1 or that of the scores, the last one full.
static bool mask_fits(const kp_graph* graph, kp_value_id mask, kp_value_id scores) {
  const kp_type *m = &graph->values[mask].type, *s = &graph->values[scores].type;
  if (rank_of(graph, mask) < 1 || m->rank > 4 || s->rank != 4) return false;
  for (int32_t d = 0; d < m->rank; ++d) {
    const kp_expr own = m->dims[d], full = s->dims[4 - m->rank + d];
    if (own != full && (own != 1 || d == m->rank - 1)) return false;
  }
  return true;
}

static bool take_scores(const kp_graph* graph, kp_value_id scores, match* m) {
  m->mask = KP_NONE;
  kp_node_id id = graph->values[scores].producer;
  if (is_op(graph, id, "Add") && graph->values[scores].use_count == 1 &&
      !graph->values[scores].output_refs) {
    const kp_node* add = &graph->nodes[id];
    for (uint32_t i = 0; i < 2 && m->mask == KP_NONE; ++i) {
      const kp_node_id product = kp_match_producer(graph, add, i);
      const bool scored = is_op(graph, product, "MatMul") || is_op(graph, product, "Mul") ||
                          is_op(graph, product, "Div");
      if (!scored || !mask_fits(graph, add->inputs[1 - i], scores)) continue;
      m->mask = add->inputs[1 - i];
      m->old[m->count++] = id;
      scores = add->inputs[i];
    }
  }
  take_scale(graph, &scores, m);
  id = graph->values[scores].producer;
  if (!is_op(graph, id, "MatMul") || graph->values[scores].use_count != 1 ||
      graph->values[scores].output_refs)
    return false;
  m->old[m->count++] = id;
  m->q = graph->nodes[id].inputs[0];
  if (!take_key(graph, graph->nodes[id].inputs[1], m)) return false;
  take_scale(graph, &m->q, m);
  m->q_rows = through_rows(graph, &m->q);
  return true;
}

static bool softmax_fits(const kp_graph* graph, const kp_node* node) {
  if (!kp_node_is(node, "", "Softmax") || rank_of(graph, node->inputs[0]) != 4) return false;
  const int64_t axis = kp_node_attr_i(node, "axis", node->version < 13 ? 1 : -1);
  return axis == -1 || axis == 3;
}

static bool find(const kp_graph* graph, kp_node_id softmax_id, match* m) {
  const kp_node* softmax = &graph->nodes[softmax_id];
  if (!softmax_fits(graph, softmax)) return false;
  *m = (match){.scale = 1};
  const kp_node_id product_id = kp_match_sole_user(graph, softmax->outputs[0]);
  if (!is_op(graph, product_id, "MatMul") ||
      graph->nodes[product_id].inputs[0] != softmax->outputs[0])
    return false;
  if (!take_scores(graph, softmax->inputs[0], m)) return false;
  m->v = graph->nodes[product_id].inputs[1];
  m->v_rows = through_rows(graph, &m->v);
  m->y = graph->nodes[product_id].outputs[0];
  m->old[m->count++] = softmax_id;
  m->old[m->count++] = product_id;
  const kp_node_id turn = kp_match_sole_user(graph, m->y);
  if (is_op(graph, turn, "Transpose") && is_perm(&graph->nodes[turn], 0, 2, 1, 3)) {
    m->y = graph->nodes[turn].outputs[0];
    m->y_rows = true;
    m->old[m->count++] = turn;
  }
  return rank_of(graph, m->q) == 4 && rank_of(graph, m->k) == 4 && rank_of(graph, m->v) == 4;
}

// Batch and heads must be the same for all (broadcasting is left to the plain operators).
static bool shapes_agree(const kp_graph* graph, const match* m) {
  const kp_expr *q = graph->values[m->q].type.dims, *k = graph->values[m->k].type.dims,
                *v = graph->values[m->v].type.dims;
  const int qh = m->q_rows ? 2 : 1, kh = m->k_rows ? 2 : 1, vh = m->v_rows ? 2 : 1;
  return q[0] == k[0] && q[0] == v[0] && q[qh] == k[kh] && q[qh] == v[vh] && q[3] == k[3] &&
         k[3 - kh] == v[3 - vh];
}

static kp_status* replace(kp_pass* pass, const match* m) {
  kp_graph* graph = pass->graph;
  const kp_value_id inputs[4] = {m->q, m->k, m->v, m->mask};
  kp_value_id output = m->y;
  const kp_attr attrs[5] = {
      kp_make_float(graph, "scale", m->scale), kp_make_int(graph, "q_rows", m->q_rows),
      kp_make_int(graph, "k_rows", m->k_rows), kp_make_int(graph, "v_rows", m->v_rows),
      kp_make_int(graph, "y_rows", m->y_rows)};
  kp_node_spec fresh = {.op = "Attention",
                        .domain = "kapell",
                        .version = 1,
                        .inputs = inputs,
                        .input_count = 4,
                        .outputs = &output,
                        .output_count = 1,
                        .attrs = attrs,
                        .attr_count = 5};
  const kp_rewrite rewrite = {.name = "fuse attention",
                              .old_nodes = m->old,
                              .old_count = m->count,
                              .fresh = &fresh,
                              .fresh_count = 1,
                              .origin_of = KP_NONE};
  ++pass->changes;
  return kp_graph_rewrite(graph, &rewrite);
}

kp_status* kp_pass_attention(kp_pass* pass) {
  kp_graph* graph = pass->graph;
  for (uint32_t i = 0; i < graph->order_count; ++i) {
    match m;
    if (graph->nodes[graph->order[i]].removed || !find(graph, graph->order[i], &m) ||
        !shapes_agree(graph, &m))
      continue;
    KP_PASS(replace(pass, &m));
  }
  return pass->changes ? kp_graph_prune(graph) : NULL;
}
