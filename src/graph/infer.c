// The engine of shape and type inference: finding rules, running one, walking a graph with its bodies. See infer.h.
#include "graph/infer.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/log.h"
#include "graph/custom.h"
#include "graph/infer_rule.h"

// --- finding rules ------------------------------------------------------------------------------------------------------
// Open addressing over domain and operator; rows of one operator lie in one chain of probes. Made once, from the constant tables.
#define SLOTS 2048  // a power of two, more than twice the rows

static const kp_infer_rule* slots[SLOTS];
static pthread_once_t slots_once = PTHREAD_ONCE_INIT;

static uint32_t slot_of(const char* domain, const char* op) {
  const uint64_t hash = kp_hash_bytes(op, strlen(op), kp_hash_bytes(domain, strlen(domain), 0));
  return (uint32_t)(hash ^ (hash >> 32)) & (SLOTS - 1);
}

static void add_rules(const kp_infer_rule* rules) {
  for (; rules->op; ++rules) {
    uint32_t at = slot_of(rules->domain, rules->op);
    while (slots[at]) at = (at + 1) & (SLOTS - 1);
    slots[at] = rules;
  }
}

static void make_slots(void) {
#define ADD(name) add_rules(kp_infer_rules_##name);
  KP_INFER_FAMILIES(ADD)
#undef ADD
}

const kp_infer_rule* kp_infer_find(const kp_node* node) {
  if (node->custom) return &kp_infer_custom_rule;
  pthread_once(&slots_once, make_slots);
  const kp_infer_rule* best = NULL;
  for (uint32_t at = slot_of(node->domain, node->op); slots[at]; at = (at + 1) & (SLOTS - 1)) {
    const kp_infer_rule* rule = slots[at];
    if (rule->since > node->version || (best && best->since >= rule->since)) continue;
    if (strcmp(rule->op, node->op) == 0 && strcmp(rule->domain, node->domain) == 0) best = rule;
  }
  return best;
}

// --- one node -------------------------------------------------------------------------------------------------------------
static kp_status* bad_output(const kp_infer* infer, uint32_t o, kp_status* status) {
  const kp_value* value = infer->graph ? kp_node_output(infer->graph, infer->node, o) : NULL;
  return kp_status_at(status, infer->node->name, infer->node->op, value ? value->name : NULL);
}

// Numbers among |dims| are >= 0 and their product (zeros left out) within KP_MAX_ELEMENTS. 0: fine, -1: negative, 1: too many.
static int check_dims(const kp_expr* dims, int32_t rank, int64_t* out_bad) {
  int64_t product = 1;
  for (int32_t d = 0; d < rank; ++d) {
    *out_bad = dims[d];
    if (kp_is_symbol(dims[d])) continue;
    if (dims[d] < 0) return -1;
    if (dims[d] && (!kp_mul_i64(product, dims[d], &product) || product > KP_MAX_ELEMENTS)) return 1;
  }
  return 0;
}

static kp_status* check_outputs(kp_infer* infer) {
  infer->data_dependent = false;
  for (uint32_t o = 0; o < infer->node->output_count; ++o) {
    const kp_type* type = &infer->outputs[o];
    if (type->kind != KAPELL_KIND_TENSOR && type->kind != KAPELL_KIND_SPARSE) continue;
    int64_t bad = 0;
    const int found = type->rank > 0 ? check_dims(type->dims, type->rank, &bad) : 0;
    if (found > 0)
      return bad_output(infer, o, KP_ERROR(LIMIT, "output %u would have too many elements", o));
    if (found < 0)
      return bad_output(
          infer, o,
          kp_node_error(infer, "output %u would have a dimension of %lld", o, (long long)bad));
    if (infer->symbols || !kp_out_wanted(infer, o)) continue;
    if (type->rank < 0) infer->data_dependent = true;
    for (int32_t d = 0; d < type->rank; ++d) infer->data_dependent |= kp_is_symbol(type->dims[d]);
  }
  return NULL;
}

static kp_status* check_ranks(const kp_infer* infer) {
  for (uint32_t i = 0; i < infer->node->input_count; ++i) {
    if (KP_UNLIKELY(kp_in_rank(infer, i) > KP_MAX_RANK))
      return kp_in_error(infer, i, "rank %d; the largest is %d", kp_in_rank(infer, i), KP_MAX_RANK);
  }
  return NULL;
}

kp_status* kp_infer_node(kp_infer* infer, const kp_infer_rule* rule) {
  if (!rule) return NULL;
  KP_PASS(check_ranks(infer));
  if (infer->symbols) KP_PASS(kp_infer_check_types(infer));
  kp_status* status = rule->fn(infer);
  if (KP_UNLIKELY(status != NULL))
    return kp_status_at(status, infer->node->name, infer->node->op, NULL);
  if (KP_UNLIKELY(infer->overflow))
    return bad_output(infer, 0, KP_ERROR(LIMIT, "a dimension of the result is beyond 64 bits"));
  return check_outputs(infer);
}

// --- graphs ---------------------------------------------------------------------------------------------------------------
// One graph being walked. Arrays are indexed by value.
typedef struct frame {
  kp_graph* graph;
  kp_known* known;           // contents, float ones included (kp_value.data has integers only)
  kapell_value** constants;  // also those of captures; not of overridable initializers
  kp_arena scratch;          // one node's arrays
  struct frame* outer;
} frame;

// What the file states of a body's values, to start over from.
typedef struct statement {
  kp_type type;
  const kp_expr* data;
  uint32_t data_count;
} statement;

typedef struct kp_infer_engine {
  frame* top;
  kp_ptr_map bodies;       // kp_graph* -> index into |statements|
  statement** statements;  // value_count entries each; in |arena|
  size_t statement_count, statement_capacity;
  kp_arena arena;
  uint64_t visited;  // nodes so far, repetitions included
} kp_infer_engine;

#define KP_INFER_MAX_VISITS 2000000  // beyond, loops are inferred pessimistically at once
#define KP_INFER_MAX_NEST 4          // bodies deeper than this likewise

bool kp_infer_body_spent(const kp_infer* infer, const kp_graph* body) {
  return body->depth > KP_INFER_MAX_NEST || infer->engine->visited > KP_INFER_MAX_VISITS;
}

static bool same_but_dims(const kp_type* a, const kp_type* b) {
  if (a->kind != b->kind || (a->element != b->element && a->element && b->element)) return false;
  return !a->inner || !b->inner || same_but_dims(a->inner, b->inner);
}

// Files carry shapes that older tools inferred wrongly; the model runs all the same, so a wrong shape is a warning and the true one
// stands. A wrong element type or kind is an error.
static kp_status* contradiction(const kp_graph* graph, kp_value* value, const kp_type* inferred) {
  kp_strbuf stated = {0}, found = {0};
  kp_status* status = NULL;
  kp_type_describe(graph->model, &value->type, &stated);
  kp_type_describe(graph->model, inferred, &found);
  if (!same_but_dims(&value->type, inferred)) {
    status = KP_ERROR(INVALID_MODEL, "value '%s' is stated as %s, but is %s", value->name,
                      stated.data ? stated.data : "?", found.data ? found.data : "?");
    status = kp_status_at(status, NULL, NULL, value->name);
  } else {
    KP_LOG(WARNING, "value '%s' is stated as %s in the model, but is %s", value->name,
           stated.data ? stated.data : "?", found.data ? found.data : "?");
    value->type = *inferred;
  }
  kp_strbuf_free(&stated);
  kp_strbuf_free(&found);
  return status;
}

static kp_status* merge_into(kp_graph* graph, kp_value_id id, const kp_type* type) {
  kp_value* value = &graph->values[id];
  kp_type merged;
  bool agree;
  KP_PASS(
      kp_type_merge(&graph->model->symbols, &graph->arena, &value->type, type, &merged, &agree));
  if (!agree) return contradiction(graph, value, type);
  value->type = merged;
  return NULL;
}

static void set_known(frame* at, kp_value_id id, const kp_known* known) {
  if (!known->elements && !known->floats) return;
  kp_value* value = &at->graph->values[id];
  at->known[id] = *known;
  if (!known->elements || !kp_data_is_int(value->type.element)) return;
  value->data = known->elements;
  value->data_count = known->count;
}

static kp_status* check_stated(const kp_value* value) {
  const kp_type* type = &value->type;
  if (type->kind != KAPELL_KIND_TENSOR && type->kind != KAPELL_KIND_SPARSE) return NULL;
  int64_t bad = 0;
  if (type->rank > KP_MAX_RANK || (type->rank > 0 && check_dims(type->dims, type->rank, &bad) != 0))
    return kp_status_at(
        KP_ERROR(LIMIT, "value '%s' has too many dimensions or elements, or a negative dimension",
                 value->name),
        NULL, NULL, value->name);
  return NULL;
}

static kp_status* type_of_constant(kp_graph* graph, kp_value* value) {
  const kapell_value* constant = value->constant;
  if (constant->kind != KAPELL_KIND_TENSOR || value->type.kind != KAPELL_KIND_NONE) return NULL;
  kp_expr* dims =
      kp_arena_new_array(&graph->arena, kp_expr, constant->rank > 0 ? (size_t)constant->rank : 1);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "type of constant '%s'", value->name);
  for (int32_t d = 0; d < constant->rank; ++d) dims[d] = constant->dims[d];
  value->type = (kp_type){
      .kind = KAPELL_KIND_TENSOR, .element = constant->type, .rank = constant->rank, .dims = dims};
  return NULL;
}

static kp_status* prepare_values(frame* at) {
  kp_graph* graph = at->graph;
  for (uint32_t v = 0; v < graph->value_count; ++v) {
    kp_value* value = &graph->values[v];
    if (value->constant) KP_PASS(type_of_constant(graph, value));
    KP_PASS(check_stated(value));
    at->constants[v] = value->constant;
    if (value->data) at->known[v] = (kp_known){.elements = value->data, .count = value->data_count};
  }
  for (uint32_t k = 0; k < graph->overridable_count; ++k)
    at->constants[graph->overridable[k]] = NULL;
  return NULL;
}

static kp_status* frame_open(frame* at, kp_graph* graph, frame* outer) {
  *at = (frame){.graph = graph, .outer = outer};
  at->known = kp_alloc_zero(graph->value_count, sizeof *at->known);
  at->constants = kp_alloc_zero(graph->value_count, sizeof *at->constants);
  if (!at->known || !at->constants)
    return KP_ERROR(OUT_OF_MEMORY, "inference over %u values", graph->value_count);
  if (!graph->order_valid) KP_PASS(kp_graph_order(graph));
  return prepare_values(at);
}

static void frame_close(frame* at) {
  kp_free(at->known);
  kp_free(at->constants);
  kp_arena_free(&at->scratch);
}

// Fills |infer| for |node|; its arrays live in the frame's scratch until the next node.
static bool gather(kp_infer_engine* engine, frame* at, const kp_node* node, kp_infer* infer) {
  kp_arena_reset(&at->scratch);
  const size_t ins = node->input_count ? node->input_count : 1,
               outs = node->output_count ? node->output_count : 1;
  const kp_type** inputs = kp_arena_new_array(&at->scratch, const kp_type*, ins);
  kp_known* known = kp_arena_new_array(&at->scratch, kp_known, ins);
  kapell_value** constants = kp_arena_new_array(&at->scratch, kapell_value*, ins);
  kp_type* outputs = kp_arena_new_array(&at->scratch, kp_type, outs);
  kp_known* out_known = kp_arena_new_array(&at->scratch, kp_known, outs);
  if (!inputs || !known || !constants || !outputs || !out_known) return false;
  for (uint32_t i = 0; i < node->input_count; ++i) {
    const kp_value_id v = node->inputs[i];
    if (v == KP_NONE) continue;
    inputs[i] = &at->graph->values[v].type;
    known[i] = at->known[v];
    constants[i] = at->constants[v];
  }
  *infer = (kp_infer){.graph = at->graph,
                      .node = node,
                      .symbols = &at->graph->model->symbols,
                      .arena = &at->graph->arena,
                      .inputs = inputs,
                      .known = known,
                      .constants = constants,
                      .outputs = outputs,
                      .out_known = out_known,
                      .engine = engine};
  return true;
}

// Bodies of a node that no rule looks into: with the types that the file states.
static kp_status* infer_unruled(kp_infer* infer) {
  for (uint32_t k = 0; k < kp_node_body_count(infer->node); ++k)
    KP_PASS(kp_infer_body(infer, kp_node_body(infer->node, k), NULL, NULL, 0));
  return NULL;
}

static kp_status* visit(kp_infer_engine* engine, frame* at, const kp_node* node) {
  kp_infer infer;
  engine->visited++;
  if (!gather(engine, at, node, &infer))
    return KP_ERROR(OUT_OF_MEMORY, "inference of node '%s'", node->name);
  const kp_infer_rule* rule = kp_infer_find(node);
  if (rule)
    KP_PASS(kp_infer_node(&infer, rule));
  else
    KP_PASS(infer_unruled(&infer));
  kp_infer_fill_types(&infer);
  for (uint32_t o = 0; o < node->output_count; ++o) {
    const kp_value_id v = node->outputs[o];
    if (v == KP_NONE) continue;
    if (infer.outputs[o].kind != KAPELL_KIND_NONE) {
      kp_status* status = merge_into(at->graph, v, &infer.outputs[o]);
      if (status) return kp_status_at(status, node->name, node->op, NULL);
    }
    set_known(at, v, &infer.out_known[o]);
  }
  return NULL;
}

static kp_status* walk(kp_infer_engine* engine, frame* at) {
  frame* outer = engine->top;
  engine->top = at;
  kp_status* status = NULL;
  for (uint32_t k = 0; !status && k < at->graph->order_count; ++k)
    status = visit(engine, at, &at->graph->nodes[at->graph->order[k]]);
  at->graph->inferred = status == NULL;
  engine->top = outer;
  return status;
}

// --- bodies ---------------------------------------------------------------------------------------------------------------
static kp_status* remember(kp_infer_engine* engine, kp_graph* body) {
  uint32_t index;
  if (kp_ptr_map_get(&engine->bodies, body, &index)) {
    for (uint32_t v = 0; v < body->value_count; ++v) {
      const statement* stated = &engine->statements[index][v];
      body->values[v].type = stated->type;
      body->values[v].data = stated->data;
      body->values[v].data_count = stated->data_count;
    }
    return NULL;
  }
  if (engine->statement_count == engine->statement_capacity) {
    const size_t capacity = engine->statement_capacity ? engine->statement_capacity * 2 : 8;
    statement** grown = kp_realloc_array(engine->statements, capacity, sizeof *grown);
    if (!grown) return KP_ERROR(OUT_OF_MEMORY, "inference of a body");
    engine->statements = grown;
    engine->statement_capacity = capacity;
  }
  statement* list =
      kp_arena_new_array(&engine->arena, statement, body->value_count ? body->value_count : 1);
  if (!list) return KP_ERROR(OUT_OF_MEMORY, "inference of a body");
  for (uint32_t v = 0; v < body->value_count; ++v)
    list[v] = (statement){body->values[v].type, body->values[v].data, body->values[v].data_count};
  engine->statements[engine->statement_count] = list;
  return kp_ptr_map_put(&engine->bodies, body, (uint32_t)engine->statement_count++);
}

// Types, contents and constants of what the body uses from outside.
static kp_status* enter_captures(const kp_infer* infer, frame* at) {
  const frame* outer = infer->engine->top;
  for (uint32_t k = 0; k < at->graph->capture_count && k < infer->node->implicit_count; ++k) {
    const kp_value_id inner = at->graph->captures[k], from = infer->node->implicit[k];
    if (inner == KP_NONE || from == KP_NONE) continue;
    KP_PASS(merge_into(at->graph, inner, &outer->graph->values[from].type));
    set_known(at, inner, &outer->known[from]);
    at->constants[inner] = outer->constants[from];
  }
  return NULL;
}

static kp_status* infer_body(kp_infer* infer, frame* at, const kp_type* inputs,
                             const kp_known* known, uint32_t count) {
  KP_PASS(enter_captures(infer, at));
  for (uint32_t i = 0; i < count && i < at->graph->input_count; ++i) {
    KP_PASS(merge_into(at->graph, at->graph->inputs[i], &inputs[i]));
    if (known) set_known(at, at->graph->inputs[i], &known[i]);
  }
  return walk(infer->engine, at);
}

kp_status* kp_infer_body(kp_infer* infer, kp_graph* body, const kp_type* inputs,
                         const kp_known* known, uint32_t count) {
  frame at;
  KP_PASS(remember(infer->engine, body));
  kp_status* status = frame_open(&at, body, infer->engine->top);
  if (!status) status = infer_body(infer, &at, inputs, known, count);
  frame_close(&at);
  if (!status) return NULL;
  return kp_status_frame(status, __FILE__, __LINE__, "in the body of node '%s' (%s)",
                         infer->node->name, infer->node->op);
}

kp_status* kp_graph_infer(kp_graph* graph) {
  kp_infer_engine engine = {0};
  frame at;
  kp_status* status = frame_open(&at, graph, NULL);
  if (!status) status = walk(&engine, &at);
  frame_close(&at);
  kp_ptr_map_free(&engine.bodies);
  kp_free(engine.statements);
  kp_arena_free(&engine.arena);
  return status;
}
