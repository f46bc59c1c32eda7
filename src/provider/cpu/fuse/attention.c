// Scaled dot-product attention written as nodes becomes kapell.Attention, which never writes the scores to memory:
//
//   softmax(masks(scale * Q K^T)) V   with Q, K, V of rank 4, f32
//
// Found from the Softmax, upwards: up to two masks (Add of floats; Where between the scores and a constant), a scale (Mul or Div on the
// product, on q, on k, or on both), MatMul(q, k^T) where k^T comes from a Transpose that turns k's last two axes. Downwards: what sets
// weights that are not numbers to 0, MatMul with v, a Transpose back to rows. Transposes between [batch, sequence, head, i] and
// [batch, head, sequence, i] around the four tensors are read and written through strides instead. Heads of k and v that are repeated
// (Unsqueeze, Expand, Reshape) for a group of q's are read where they are.
//
// Only nodes between the products and their sole readers are replaced; what stood in front of q, k and v is pruned where nobody else
// reads it.
#include "provider/cpu/fuse/match.h"

enum { kMasks = 2 };

typedef struct mask {
  kp_value_id value;
  int64_t form;  // of kapell.Attention
  float fill;
} mask;

typedef struct match {
  kp_node_id old[16];
  uint32_t count;
  kp_value_id q, k, v, y;
  mask masks[kMasks];
  uint32_t mask_count;
  bool q_rows, k_rows, v_rows,
      y_rows;  // [batch, sequence, head, i]; else [batch, head, sequence, i]
  bool zero_nan;
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

static bool is_sole(const kp_graph* graph, kp_value_id value) {
  return graph->values[value].use_count == 1 && !graph->values[value].output_refs;
}

// --- Q, K, V ------------------------------------------------------------------------------------------------------------------
// Takes a multiplication of |*value| by a constant number (or a division) into the scale. |inner|: it lies between nodes that are
// replaced, so that it is, too.
static void take_scale(const kp_graph* graph, kp_value_id* value, bool inner, match* m) {
  const kp_node_id id = graph->values[*value].producer;
  if (id == KP_NONE || (inner && !is_sole(graph, *value))) return;
  const kp_node* node = &graph->nodes[id];
  float number;
  uint32_t other = 0;
  if (kp_node_is(node, "", "Mul") && kp_match_binary_scalar(graph, node, &number, &other)) {
    if (!kp_same_shape(graph, node->inputs[other], *value)) return;
    m->scale *= number;
  } else if (kp_node_is(node, "", "Div") && kp_match_scalar(graph, node->inputs[1], &number) &&
             number != 0) {
    if (!kp_same_shape(graph, node->inputs[0], *value)) return;
    m->scale /= number;
  } else {
    return;
  }
  if (inner) m->old[m->count++] = id;
  *value = node->inputs[other];
}

// Goes through a Transpose (0, 2, 1, 3) in front of |*value|.
static bool through_rows(const kp_graph* graph, kp_value_id* value) {
  const kp_node_id id = graph->values[*value].producer;
  if (!is_op(graph, id, "Transpose") || !is_perm(&graph->nodes[id], 0, 2, 1, 3)) return false;
  *value = graph->nodes[id].inputs[0];
  return true;
}

// The first input of |value|'s producer if that is |op|, else KP_NONE.
static kp_value_id before(const kp_graph* graph, kp_value_id value, const char* op) {
  if (value == KP_NONE) return KP_NONE;
  const kp_node_id id = graph->values[value].producer;
  return is_op(graph, id, op) ? graph->nodes[id].inputs[0] : KP_NONE;
}

// Goes through [b, h, t, i] -> [b, h, 1, t, i] -> [b, h, g, t, i] -> [b, h*g, t, i].
static void through_repeat(const kp_graph* graph, kp_value_id* value) {
  const kp_value_id wide = before(graph, *value, "Reshape"), thin = before(graph, wide, "Expand");
  kp_value_id x = before(graph, thin, "Unsqueeze");
  if (x == KP_NONE) x = before(graph, thin, "Reshape");
  if (x == KP_NONE || rank_of(graph, x) != 4 || rank_of(graph, thin) != 5 ||
      rank_of(graph, wide) != 5 || rank_of(graph, *value) != 4)
    return;
  const kp_expr *from = graph->values[x].type.dims, *one = graph->values[thin].type.dims,
                *all = graph->values[wide].type.dims, *to = graph->values[*value].type.dims;
  for (int32_t d = 0; d < 4; ++d) {
    const int32_t at = d < 2 ? d : d + 1;
    if (one[at] != from[d] || all[at] != from[d] || (d != 1 && to[d] != from[d])) return;
  }
  if (one[2] != 1 || !kp_is_number(from[1]) || !kp_is_number(all[2]) || to[1] != from[1] * all[2])
    return;
  *value = x;
}

// K, from K^T.
static bool take_key(const kp_graph* graph, kp_value_id transposed, match* m) {
  take_scale(graph, &transposed, false, m);
  const kp_node_id id = graph->values[transposed].producer;
  if (!is_op(graph, id, "Transpose")) return false;
  m->k = graph->nodes[id].inputs[0];
  m->k_rows = is_perm(&graph->nodes[id], 0, 2, 3, 1);
  if (m->k_rows) return true;
  if (!is_perm(&graph->nodes[id], 0, 1, 3, 2)) return false;
  take_scale(graph, &m->k, false, m);
  through_repeat(graph, &m->k);
  m->k_rows = through_rows(graph, &m->k);
  return true;
}

// --- masks ----------------------------------------------------------------------------------------------------------------------
// A mask that can be read by strides, and that does not broadcast the scores: |result| has their shape. The keys need no proof: the
// product with V would fail for another number of them.
static bool mask_fits(const kp_graph* graph, kp_value_id value, kp_value_id scores,
                      kp_value_id result) {
  const kp_type *m = &graph->values[value].type, *s = &graph->values[scores].type,
                *r = &graph->values[result].type;
  if (m->kind != KAPELL_KIND_TENSOR || m->rank < 1 || m->rank > 4 || s->rank != 4 || r->rank != 4)
    return false;
  for (int32_t d = 0; d < 3; ++d) {
    const int32_t own = d - (4 - m->rank);
    const bool narrow = own < 0 || m->dims[own] == 1 || m->dims[own] == s->dims[d];
    if (!narrow && r->dims[d] != s->dims[d]) return false;
  }
  return true;
}

// Is |value| the scores, possibly behind another mask?
static bool leads_to_scores(const kp_graph* graph, kp_value_id value) {
  static const char* const ops[] = {"MatMul", "Mul", "Div", "Add", "Where"};
  const kp_node_id id = graph->values[value].producer;
  for (size_t i = 0; i < KP_COUNT_OF(ops); ++i)
    if (is_op(graph, id, ops[i])) return is_sole(graph, value) && rank_of(graph, value) == 4;
  return false;
}

// The product of the scores lies further up from |value|, by masks and scales alone.
static bool has_product(const kp_graph* graph, kp_value_id value, int depth) {
  if (!leads_to_scores(graph, value) || depth == 0) return false;
  const kp_node* node = &graph->nodes[graph->values[value].producer];
  if (kp_node_is(node, "", "MatMul")) return true;
  for (uint32_t i = 0; i < node->input_count; ++i)
    if (has_product(graph, node->inputs[i], depth - 1)) return true;
  return false;
}

static bool take_add(const kp_graph* graph, const kp_node* add, kp_value_id* scores, mask* out) {
  for (uint32_t i = 0; i < 2; ++i) {
    const kp_value_id inner = add->inputs[i], value = add->inputs[1 - i];
    if (!has_product(graph, inner, 5) || !kp_match_is_f32(graph, value) ||
        !mask_fits(graph, value, inner, add->outputs[0]))
      continue;
    *out = (mask){value, 0, 0};
    *scores = inner;
    return true;
  }
  return false;
}

static bool take_where(const kp_graph* graph, const kp_node* where, kp_value_id* scores,
                       mask* out) {
  for (uint32_t i = 1; i < 3; ++i) {
    const kp_value_id inner = where->inputs[i];
    float fill;
    if (!has_product(graph, inner, 5) || !kp_match_scalar(graph, where->inputs[3 - i], &fill) ||
        !mask_fits(graph, where->inputs[0], inner, where->outputs[0]))
      continue;
    *out = (mask){where->inputs[0], i, fill};
    *scores = inner;
    return true;
  }
  return false;
}

// Masks are found from the last to the first.
static void take_masks(const kp_graph* graph, kp_value_id* scores, match* m) {
  while (m->mask_count < kMasks && is_sole(graph, *scores)) {
    const kp_node_id id = graph->values[*scores].producer;
    mask found;
    const bool taken = is_op(graph, id, "Add") ? take_add(graph, &graph->nodes[id], scores, &found)
                       : is_op(graph, id, "Where")
                           ? take_where(graph, &graph->nodes[id], scores, &found)
                           : false;
    if (!taken) return;
    m->old[m->count++] = id;
    if (m->mask_count) m->masks[1] = m->masks[0];
    m->masks[0] = found;
    ++m->mask_count;
  }
}

static bool take_scores(const kp_graph* graph, kp_value_id scores, match* m) {
  take_masks(graph, &scores, m);
  take_scale(graph, &scores, true, m);
  const kp_node_id id = graph->values[scores].producer;
  if (!is_op(graph, id, "MatMul") || !is_sole(graph, scores)) return false;
  m->old[m->count++] = id;
  m->q = graph->nodes[id].inputs[0];
  if (!take_key(graph, graph->nodes[id].inputs[1], m)) return false;
  take_scale(graph, &m->q, false, m);
  m->q_rows = through_rows(graph, &m->q);
  return true;
}

// --- the whole ----------------------------------------------------------------------------------------------------------------
static bool softmax_fits(const kp_graph* graph, const kp_node* node) {
  if (!kp_node_is(node, "", "Softmax") || rank_of(graph, node->inputs[0]) != 4) return false;
  const int64_t axis = kp_node_attr_i(node, "axis", node->version < 13 ? 1 : -1);
  return axis == -1 || axis == 3;
}

// Where(IsNaN(weights), 0, weights).
static kp_value_id through_nan(const kp_graph* graph, kp_value_id weights, match* m) {
  const kp_value* value = &graph->values[weights];
  float zero;
  if (value->use_count != 2 || value->output_refs) return weights;
  kp_node_id test = value->uses[0], where = value->uses[1];
  if (is_op(graph, test, "Where")) test = value->uses[1], where = value->uses[0];
  if (!is_op(graph, test, "IsNaN") || !is_op(graph, where, "Where")) return weights;
  const kp_node* node = &graph->nodes[where];
  if (node->inputs[0] != graph->nodes[test].outputs[0] || !is_sole(graph, node->inputs[0]) ||
      node->inputs[2] != weights || !kp_match_scalar(graph, node->inputs[1], &zero) || zero != 0 ||
      !kp_same_shape(graph, weights, node->outputs[0]))
    return weights;
  m->old[m->count++] = test;
  m->old[m->count++] = where;
  m->zero_nan = true;
  return node->outputs[0];
}

static bool find(const kp_graph* graph, kp_node_id softmax_id, match* m) {
  const kp_node* softmax = &graph->nodes[softmax_id];
  if (!softmax_fits(graph, softmax)) return false;
  *m = (match){.scale = 1};
  m->old[m->count++] = softmax_id;
  const kp_value_id weights = through_nan(graph, softmax->outputs[0], m);
  const kp_node_id product_id = kp_match_sole_user(graph, weights);
  if (!is_op(graph, product_id, "MatMul") || graph->nodes[product_id].inputs[0] != weights)
    return false;
  if (!take_scores(graph, softmax->inputs[0], m)) return false;
  m->v = graph->nodes[product_id].inputs[1];
  if (m->v == weights) return false;
  through_repeat(graph, &m->v);
  m->v_rows = through_rows(graph, &m->v);
  m->y = graph->nodes[product_id].outputs[0];
  m->old[m->count++] = product_id;
  const kp_node_id turn = kp_match_sole_user(graph, m->y);
  if (is_op(graph, turn, "Transpose") && is_perm(&graph->nodes[turn], 0, 2, 1, 3)) {
    m->y = graph->nodes[turn].outputs[0];
    m->y_rows = true;
    m->old[m->count++] = turn;
  }
  return rank_of(graph, m->q) == 4 && rank_of(graph, m->k) == 4 && rank_of(graph, m->v) == 4;
}

// Batch must be the same for all, and heads too, or divide those of q. Sizes along which products sum agree, or they would fail.
static bool shapes_agree(const kp_graph* graph, const match* m) {
  const kp_expr *q = graph->values[m->q].type.dims, *k = graph->values[m->k].type.dims,
                *v = graph->values[m->v].type.dims;
  const int qh = m->q_rows ? 2 : 1, kh = m->k_rows ? 2 : 1, vh = m->v_rows ? 2 : 1;
  const bool grouped =
      kp_is_number(q[qh]) && kp_is_number(k[kh]) && k[kh] > 0 && q[qh] % k[kh] == 0;
  return q[0] == k[0] && q[0] == v[0] && (q[qh] == k[kh] || grouped) && k[kh] == v[vh];
}

static kp_status* replace(kp_pass* pass, const match* m) {
  kp_graph* graph = pass->graph;
  kp_value_id inputs[5] = {m->q, m->k, m->v, KP_NONE, KP_NONE};
  kp_value_id output = m->y;
  for (uint32_t i = 0; i < m->mask_count; ++i) inputs[3 + i] = m->masks[i].value;
  const kp_attr attrs[10] = {kp_make_float(graph, "scale", m->scale),
                             kp_make_int(graph, "q_rows", m->q_rows),
                             kp_make_int(graph, "k_rows", m->k_rows),
                             kp_make_int(graph, "v_rows", m->v_rows),
                             kp_make_int(graph, "y_rows", m->y_rows),
                             kp_make_int(graph, "mask0", m->masks[0].form),
                             kp_make_int(graph, "mask1", m->masks[1].form),
                             kp_make_float(graph, "fill0", m->masks[0].fill),
                             kp_make_float(graph, "fill1", m->masks[1].fill),
                             kp_make_int(graph, "zero_nan", m->zero_nan)};
  kp_node_spec fresh = {.op = "Attention",
                        .domain = "kapell",
                        .version = 1,
                        .inputs = inputs,
                        .input_count = 5,
                        .outputs = &output,
                        .output_count = 1,
                        .attrs = attrs,
                        .attr_count = 10};
  return kp_pass_replace(pass, "fuse attention", m->old, m->count, &fresh);
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
