// Inference of control flow: If, Loop, Scan, SequenceMap. At load their bodies are inferred; while specialising, exec runs the bodies as
// plans of their own, and these rules only repeat what load found.
//
// A value carried around a loop may change its shape from one round to the next. The body is inferred with the initial types; dims that
// come out different are widened to fresh ones and the body is inferred again, until types hold still; after a few rounds (or at once in
// deep nests) shapes are given up altogether.
#include "graph/infer_rule.h"

#define ROUNDS 3  // attempts at exact shapes of carried values

static const kp_type* body_output(const kp_graph* body, uint32_t k) {
  static const kp_type unknown = {.rank = -1};
  if (k >= body->output_count || body->outputs[k] == KP_NONE) return &unknown;
  return &body->values[body->outputs[k]].type;
}

// While specialising: the types that values of the graph got at load.
static kp_status* repeat_load(kp_infer* infer) {
  for (uint32_t o = 0; infer->graph && o < infer->node->output_count; ++o) {
    const kp_value* value = kp_node_output(infer->graph, infer->node, o);
    if (value) KP_PASS(kp_out_loaded(infer, o, &value->type));
  }
  return NULL;
}

static kp_status* need_body(const kp_infer* infer, const char* name, kp_graph** out_body) {
  *out_body = kp_node_attr_graph(infer->node, name);
  return *out_body ? NULL : kp_node_error(infer, "attribute '%s' holds no graph", name);
}

// --- If -----------------------------------------------------------------------------------------------------------------
static kp_status* if_outputs(kp_infer* infer, const kp_graph* then_body,
                             const kp_graph* else_body) {
  for (uint32_t o = 0; o < infer->node->output_count; ++o) {
    const kp_type *a = body_output(then_body, o), *b = body_output(else_body, o);
    kp_type both;
    bool any;
    KP_PASS(kp_type_union(infer, a, b, &both, &any));
    if (any) {
      kp_out_type(infer, o, &both);
    } else if (a->kind != KAPELL_KIND_NONE && b->kind != KAPELL_KIND_NONE) {
      // An optional on one side: the element on the other is one, too.
      if (a->kind != KAPELL_KIND_OPTIONAL && b->kind != KAPELL_KIND_OPTIONAL)
        return kp_node_error(infer, "output %u has different types in the two branches", o);
      kp_out_type(infer, o, a->kind == KAPELL_KIND_OPTIONAL ? a : b);
    }
  }
  return NULL;
}

static kp_status* if_op(kp_infer* infer) {
  kp_graph *then_body, *else_body;
  if (!infer->engine) return repeat_load(infer);
  KP_PASS(need_body(infer, "then_branch", &then_body));
  KP_PASS(need_body(infer, "else_branch", &else_body));
  if (then_body->output_count != else_body->output_count ||
      then_body->output_count < infer->node->output_count)
    return kp_node_error(infer, "the branches give %u and %u outputs, the node has %u",
                         then_body->output_count, else_body->output_count,
                         infer->node->output_count);
  KP_PASS(kp_infer_body(infer, then_body, NULL, NULL, 0));
  KP_PASS(kp_infer_body(infer, else_body, NULL, NULL, 0));
  kp_ints condition;
  if (!kp_in_numbers(infer, 0, &condition) || condition.n != 1)
    return if_outputs(infer, then_body, else_body);
  const kp_graph* chosen = condition.v[0] ? then_body : else_body;
  for (uint32_t o = 0; o < infer->node->output_count; ++o)
    kp_out_type(infer, o, body_output(chosen, o));
  return NULL;
}

// --- carried values -----------------------------------------------------------------------------------------------------
typedef struct carried {
  kp_type* types;     // of the body's inputs; the carried ones are [first, first + count)
  kp_known* known;    // parallel
  uint64_t* widened;  // parallel: bits of dims made fresh
  uint32_t total, first, count;
  uint32_t first_output;  // of the body, where the carried ones come out
  const kp_graph* body;   // after settle
} carried;

static kp_status* carried_make(kp_infer* infer, uint32_t total, uint32_t first, uint32_t count,
                               uint32_t first_output, carried* out) {
  const size_t room = total ? total : 1;
  *out = (carried){.total = total, .first = first, .count = count, .first_output = first_output};
  out->types = kp_arena_new_array(infer->arena, kp_type, room);
  out->known = kp_arena_new_array(infer->arena, kp_known, room);
  out->widened = kp_arena_new_array(infer->arena, uint64_t, room);
  if (!out->types || !out->known || !out->widened)
    return KP_ERROR(OUT_OF_MEMORY, "types of a loop");
  return NULL;
}

static bool has_shape(const kp_type* type) {
  return type->kind == KAPELL_KIND_TENSOR && type->rank >= 0;
}

static bool is_optional(const kp_type* type) { return type->kind == KAPELL_KIND_OPTIONAL; }

// Makes |type| cover |found| as well. *out_changed where it did not. |give_up|: a tensor that changes loses its rank.
static kp_status* widen(kp_infer* infer, kp_type* type, uint64_t* widened, const kp_type* found,
                        bool give_up, bool* out_changed) {
  if (found->kind == KAPELL_KIND_NONE || kp_type_equal(type, found)) return NULL;
  // An optional may go on as its element; what becomes an optional is one from the start.
  if (is_optional(type) && !is_optional(found)) return NULL;
  if (!is_optional(type) && is_optional(found)) type->kind = KAPELL_KIND_NONE;
  if (type->kind == KAPELL_KIND_NONE) {
    *type = *found;
    *out_changed = true;
    return NULL;
  }
  if (!has_shape(type) || !has_shape(found) || give_up || type->rank != found->rank ||
      type->element != found->element) {
    kp_type both;
    bool any;
    if (has_shape(type) && has_shape(found) && give_up) type->rank = -1;
    KP_PASS(kp_type_union(infer, type, found, &both, &any));
    if (!any) return kp_node_error(infer, "a value carried around the loop changes its type");
    *out_changed = *out_changed || !kp_type_equal(&both, type) || give_up;
    *type = both;
    return NULL;
  }
  kp_expr* dims = kp_arena_memdup(infer->arena, type->dims,
                                  sizeof(kp_expr) * (size_t)(type->rank ? type->rank : 1));
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "types of a loop");
  for (int32_t d = 0; d < type->rank; ++d) {
    if (dims[d] == found->dims[d] || (*widened >> d & 1)) continue;
    dims[d] = kp_dim_fresh(infer);
    *widened |= UINT64_C(1) << d;
    *out_changed = true;
  }
  type->dims = dims;
  return NULL;
}

// Infers the body until the carried types hold still.
static kp_status* settle(kp_infer* infer, kp_graph* body, carried* c) {
  bool give_up = kp_infer_body_spent(infer, body);
  c->body = body;
  for (uint32_t k = 0; give_up && k < c->count; ++k) {
    kp_type* type = &c->types[c->first + k];
    if (type->kind == KAPELL_KIND_TENSOR)
      *type = (kp_type){.kind = type->kind, .element = type->element, .rank = -1};
  }
  for (int round = 0;; ++round) {
    KP_PASS(kp_infer_body(infer, body, c->types, c->known, c->total));
    bool changed = false;
    for (uint32_t k = 0; k < c->count; ++k) {
      const uint32_t at = c->first + k;
      KP_PASS(widen(infer, &c->types[at], &c->widened[at], body_output(body, c->first_output + k),
                    round >= ROUNDS, &changed));
    }
    if (!changed || give_up || round > ROUNDS + 1) return NULL;
  }
}

// Output |o| of the node: a carried value after the last round. What was widened is another unknown than inside the body.
static kp_status* out_carried(kp_infer* infer, uint32_t o, const carried* c, uint32_t k) {
  const kp_type *type = &c->types[c->first + k], *made = body_output(c->body, c->first_output + k);
  const uint64_t widened = c->widened[c->first + k];
  if (is_optional(type) && made->kind != KAPELL_KIND_NONE) type = made;
  if (!has_shape(type) || !widened) {
    kp_out_type(infer, o, type);
    return NULL;
  }
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, o, type->element, type->rank, &dims));
  for (int32_t d = 0; d < type->rank; ++d)
    dims[d] = widened >> d & 1 ? kp_dim_fresh(infer) : type->dims[d];
  return NULL;
}

// Output |o|: |slice| stacked along a new |axis| of |length|.
static kp_status* out_stacked(kp_infer* infer, uint32_t o, const kp_type* slice, int64_t axis,
                              kp_expr length) {
  if (!has_shape(slice)) {
    kp_out_any_rank(infer, o, slice->element);
    return NULL;
  }
  int32_t at = 0;
  KP_PASS(kp_infer_axis(infer, "scan axis", axis, slice->rank + 1, &at));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, o, slice->element, slice->rank + 1, &dims));
  for (int32_t d = 0; d <= slice->rank; ++d)
    dims[d] = d == at ? length : slice->dims[d < at ? d : d - 1];
  return NULL;
}

// --- Loop ---------------------------------------------------------------------------------------------------------------
// Contents of a scalar that is always true: the condition inside a body, which would not run otherwise.
static const kp_expr always = 1;

static bool surely_true(const kp_graph* body, uint32_t output) {
  if (output >= body->output_count || body->outputs[output] == KP_NONE) return false;
  const kp_value* value = &body->values[body->outputs[output]];
  int64_t whole;
  double real;
  if (value->constant) return kp_value_number(value->constant, &whole, &real) && whole != 0;
  return value->data && value->data_count == 1 && value->data[0] == 1;
}

// Number of rounds: M where nothing else ends the loop.
static kp_expr trip_count(kp_infer* infer, const kp_graph* body) {
  kp_expr count, condition = 1;
  if (kp_in_given(infer, 1) && !kp_in_int(infer, 1, &condition)) return kp_dim_fresh(infer);
  if (condition == 0) return 0;
  if (kp_is_symbol(condition) || !surely_true(body, 0) || !kp_in_given(infer, 0) ||
      !kp_in_int(infer, 0, &count))
    return kp_dim_fresh(infer);
  return kp_data_at_least(infer, count, 0) ? count : kp_dim_op(infer, KP_EXPR_MAX, count, 0);
}

static kp_status* loop(kp_infer* infer) {
  kp_graph* body;
  if (!infer->engine) return repeat_load(infer);
  KP_PASS(need_body(infer, "body", &body));
  const uint32_t count = infer->node->input_count > 2 ? infer->node->input_count - 2 : 0;
  if (body->input_count != count + 2 || body->output_count < count + 1 ||
      body->output_count - 1 < infer->node->output_count)
    return kp_node_error(
        infer, "the body takes %u values and gives %u; the node carries %u and has %u outputs",
        body->input_count, body->output_count, count, infer->node->output_count);
  carried c;
  KP_PASS(carried_make(infer, count + 2, 2, count, 1, &c));
  c.types[0] = (kp_type){.kind = KAPELL_KIND_TENSOR, .element = KAPELL_INT64, .rank = 0};
  c.types[1] = (kp_type){.kind = KAPELL_KIND_TENSOR, .element = KAPELL_BOOL, .rank = 0};
  c.known[1] = (kp_known){.elements = &always, .count = 1};
  for (uint32_t k = 0; k < count; ++k) {
    if (kp_in_given(infer, k + 2)) c.types[k + 2] = *infer->inputs[k + 2];
  }
  KP_PASS(settle(infer, body, &c));
  for (uint32_t o = 0; o < count && o < infer->node->output_count; ++o)
    KP_PASS(out_carried(infer, o, &c, o));
  const kp_expr rounds = count < infer->node->output_count ? trip_count(infer, body) : 0;
  for (uint32_t o = count; o < infer->node->output_count; ++o)
    KP_PASS(out_stacked(infer, o, body_output(body, o + 1), 0, rounds));
  return NULL;
}

// --- Scan ---------------------------------------------------------------------------------------------------------------
// What an attribute list of axes says for entry |k|; 0 where it is absent.
static kp_status* scan_axis(kp_infer* infer, const char* name, uint32_t k, uint32_t expected,
                            int64_t* out) {
  size_t count;
  const int64_t* axes = kp_node_attr_ints(infer->node, name, &count);
  *out = 0;
  if (!axes || count == 0) return NULL;
  if (count != expected)
    return kp_node_error(infer, "attribute '%s' has %zu entries; expected %u", name, count,
                         expected);
  *out = axes[k];
  return NULL;
}

// |type| without dim |axis|; the dim is merged into *length.
static kp_status* take_slice(kp_infer* infer, uint32_t i, const kp_type* type, int64_t axis,
                             kp_expr* length, kp_type* out) {
  *out = *type;
  if (!has_shape(type)) return NULL;
  int32_t at = 0;
  if (type->rank == 0) return kp_in_error(infer, i, "a scalar; expected an axis to scan");
  KP_PASS(kp_infer_axis(infer, "scan axis", axis, type->rank, &at));
  if (*length != KP_DIM_UNKNOWN && kp_dim_differ(*length, type->dims[at]))
    return kp_in_error(infer, i,
                       "%lld steps along axis %d; expected %lld, as other scan inputs have",
                       (long long)type->dims[at], at, (long long)*length);
  *length = *length == KP_DIM_UNKNOWN ? type->dims[at] : kp_dim_merge(*length, type->dims[at]);
  kp_expr* dims = kp_arena_new_array(infer->arena, kp_expr, (size_t)type->rank);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "types of a scan");
  for (int32_t d = 0, k = 0; d < type->rank; ++d) {
    if (d != at) dims[k++] = type->dims[d];
  }
  out->rank = type->rank - 1;
  out->dims = dims;
  return NULL;
}

static kp_status* scan_shape(kp_infer* infer, const kp_graph* body, uint32_t inputs,
                             uint32_t* out_scans, uint32_t* out_states) {
  const int64_t scans = kp_node_attr_i(infer->node, "num_scan_inputs", 0);
  if (scans < 1 || scans > (int64_t)inputs)
    return kp_node_error(infer, "attribute 'num_scan_inputs' is %lld; expected 1 to %u",
                         (long long)scans, inputs);
  *out_scans = (uint32_t)scans;
  *out_states = inputs - (uint32_t)scans;
  if (body->input_count != inputs || body->output_count < *out_states ||
      body->output_count < infer->node->output_count)
    return kp_node_error(infer, "the body takes %u values and gives %u; the node has %u and %u",
                         body->input_count, body->output_count, inputs, infer->node->output_count);
  return NULL;
}

static kp_status* scan(kp_infer* infer) {
  kp_graph* body;
  uint32_t scans = 0, states = 0;
  if (!infer->engine) return repeat_load(infer);
  KP_PASS(need_body(infer, "body", &body));
  KP_PASS(scan_shape(infer, body, infer->node->input_count, &scans, &states));
  carried c;
  KP_PASS(carried_make(infer, infer->node->input_count, 0, states, 0, &c));
  kp_expr length = KP_DIM_UNKNOWN;
  for (uint32_t i = 0; i < infer->node->input_count; ++i) {
    if (!kp_in_given(infer, i)) continue;
    int64_t axis = 0;
    if (i >= states) KP_PASS(scan_axis(infer, "scan_input_axes", i - states, scans, &axis));
    if (i >= states)
      KP_PASS(take_slice(infer, i, infer->inputs[i], axis, &length, &c.types[i]));
    else
      c.types[i] = *infer->inputs[i];
  }
  if (length == KP_DIM_UNKNOWN) length = kp_dim_fresh(infer);
  KP_PASS(settle(infer, body, &c));
  const uint32_t outputs = infer->node->output_count;
  for (uint32_t o = 0; o < states && o < outputs; ++o) KP_PASS(out_carried(infer, o, &c, o));
  for (uint32_t o = states; o < outputs; ++o) {
    int64_t axis;
    KP_PASS(scan_axis(infer, "scan_output_axes", o - states, body->output_count - states, &axis));
    KP_PASS(out_stacked(infer, o, body_output(body, o), axis, length));
  }
  return NULL;
}

// Opset 8: input 0 is sequence_lens; everything has a batch in front, scan inputs and outputs the steps after it.
static kp_status* scan_8(kp_infer* infer) {
  kp_graph* body;
  uint32_t scans = 0, states = 0;
  if (!infer->engine) return repeat_load(infer);
  KP_PASS(need_body(infer, "body", &body));
  const uint32_t inputs = infer->node->input_count > 0 ? infer->node->input_count - 1 : 0;
  KP_PASS(scan_shape(infer, body, inputs, &scans, &states));
  carried c;
  KP_PASS(carried_make(infer, inputs, 0, states, 0, &c));
  kp_expr batch = KP_DIM_UNKNOWN, length = KP_DIM_UNKNOWN;
  for (uint32_t i = 0; i < inputs; ++i) {
    if (!kp_in_given(infer, i + 1)) continue;
    KP_PASS(take_slice(infer, i + 1, infer->inputs[i + 1], 0, &batch, &c.types[i]));
    if (i >= states) KP_PASS(take_slice(infer, i + 1, &c.types[i], 0, &length, &c.types[i]));
  }
  if (batch == KP_DIM_UNKNOWN) batch = kp_dim_fresh(infer);
  if (length == KP_DIM_UNKNOWN) length = kp_dim_fresh(infer);
  KP_PASS(settle(infer, body, &c));
  for (uint32_t o = 0; o < infer->node->output_count; ++o) {
    kp_type row = *body_output(body, o);
    if (o < states) {
      KP_PASS(out_stacked(infer, o, &c.types[o], 0, batch));
      continue;
    }
    KP_PASS(out_stacked(infer, o, &row, 0, length));
    const kp_type stacked = infer->outputs[o];
    KP_PASS(out_stacked(infer, o, &stacked, 0, batch));
  }
  return NULL;
}

// --- SequenceMap --------------------------------------------------------------------------------------------------------
static kp_status* sequence_map(kp_infer* infer) {
  kp_graph* body;
  if (!infer->engine) return repeat_load(infer);
  KP_PASS(need_body(infer, "body", &body));
  const uint32_t inputs = infer->node->input_count;
  if (body->input_count != inputs || body->output_count < infer->node->output_count)
    return kp_node_error(infer, "the body takes %u values and gives %u; the node has %u and %u",
                         body->input_count, body->output_count, inputs, infer->node->output_count);
  kp_type* types = kp_arena_new_array(infer->arena, kp_type, inputs ? inputs : 1);
  if (!types) return KP_ERROR(OUT_OF_MEMORY, "types of a body");
  for (uint32_t i = 0; i < inputs; ++i) {
    const kp_type* type = kp_in_given(infer, i) ? infer->inputs[i] : NULL;
    if (type && type->kind == KAPELL_KIND_SEQUENCE) type = type->inner;
    if (type) types[i] = *type;
  }
  KP_PASS(kp_infer_body(infer, body, types, NULL, inputs));
  for (uint32_t o = 0; o < infer->node->output_count; ++o) {
    const kp_type* type = body_output(body, o);
    KP_PASS(kp_out_container(infer, o, KAPELL_KIND_SEQUENCE, KAPELL_UNDEFINED,
                             type->kind == KAPELL_KIND_NONE ? NULL : type));
  }
  return NULL;
}

// clang-format off
const kp_infer_rule kp_infer_rules_control[] = {
    {"", "If", 1, if_op, 0, KP_INFER_DYNAMIC},
    {"", "Loop", 1, loop, 0, KP_INFER_DYNAMIC},
    {"", "Scan", 8, scan_8, 0, KP_INFER_DYNAMIC},
    {"", "Scan", 9, scan, 0, KP_INFER_DYNAMIC},
    {"", "SequenceMap", 17, sequence_map, 0, KP_INFER_DYNAMIC},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
