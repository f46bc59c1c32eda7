// Builds the plans of a model: main graph first, bodies from the inside out; then checks consent; then compiles.
#include "base/alloc.h"
#include "base/cancel.h"
#include "base/log.h"
#include "graph/cost.h"
#include "graph/rewrite.h"
#include "plan/internal.h"
#include "plan/report.h"

static kp_status* build_graph(kp_plan_set* set, kp_graph* graph, kp_plan* parent, uint64_t excluded,
                              kp_plan** out_plan);

static kp_status* add_plan(kp_plan_set* set, kp_graph* graph, kp_plan* parent,
                           kp_node_place* places, kp_plan** out_plan) {
  if (set->plan_count == set->plan_capacity) {
    const uint32_t capacity = set->plan_capacity ? set->plan_capacity * 2 : 4;
    kp_plan** plans = kp_arena_new_array(&set->arena, kp_plan*, capacity);
    kp_node_place** all = kp_arena_new_array(&set->arena, kp_node_place*, capacity);
    if (!plans || !all) return KP_ERROR(OUT_OF_MEMORY, "the plan");
    if (set->plan_count) {
      memcpy(plans, set->plans, set->plan_count * sizeof(*plans));
      memcpy(all, set->places, set->plan_count * sizeof(*all));
    }
    set->plans = plans;
    set->places = all;
    set->plan_capacity = capacity;
  }
  kp_plan* plan = kp_arena_new(&set->arena, kp_plan);
  if (!plan) return KP_ERROR(OUT_OF_MEMORY, "the plan");
  *plan = (kp_plan){.set = set, .graph = graph, .parent = parent, .index = set->plan_count};
  set->places[set->plan_count] = places;
  set->plans[set->plan_count++] = plan;
  *out_plan = plan;
  return NULL;
}

static kp_status* check_all_placed(const kp_plan_set* set, const kp_graph* graph,
                                   const kp_node_place* places) {
  for (uint32_t n = 0; n < graph->node_count; ++n)
    if (!graph->nodes[n].removed && places[n].entry == KP_NONE)
      return kp_clauses_unplaced(set, graph, places, n);
  return NULL;
}

// Plans the bodies of a control-flow node.
static kp_status* build_bodies(kp_plan_builder* b, uint32_t p, uint64_t excluded) {
  const kp_node* node = &b->placing.graph->nodes[b->parts[p].nodes[0]];
  const bool is_if = kp_node_is(node, "", "If");
  const char* names[2] = {is_if ? "then_branch" : "body", is_if ? "else_branch" : NULL};
  for (int k = 0; k < 2 && names[k]; ++k) {
    kp_graph* body = kp_node_attr_graph(node, names[k]);
    if (!body)
      return KP_ERROR(INVALID_MODEL, "%s '%s' has no attribute %s", node->op, node->name, names[k]);
    KP_TRY(build_graph(b->set, body, b->plan, excluded, &b->children[p][k]),
           "planning %s of %s '%s'", names[k], node->op, node->name);
  }
  return NULL;
}

static kp_status* extract_parts(kp_plan_builder* b, uint64_t excluded) {
  for (uint32_t p = 0; p < b->part_count; ++p) {
    for (uint32_t i = 0; i < b->parts[p].count; ++i) b->part_of[b->parts[p].nodes[i]] = p;
    if (b->parts[p].entry == KP_EXECUTOR) {
      KP_PASS(build_bodies(b, p, excluded));
    } else {
      kp_part_graph* g = &b->graphs[p];
      KP_PASS(kp_graph_extract(b->placing.graph, b->parts[p].nodes, b->parts[p].count, &g->copy,
                               &g->inputs, &g->outputs));
    }
  }
  return NULL;
}

// Totals of what is copied between memories.
static void count_copies(kp_plan_set* set, const kp_plan* plan) {
  for (uint32_t i = 0; i < plan->step_count; ++i) {
    const kp_step* step = &plan->steps[i];
    if (step->kind != KP_STEP_COPY) continue;
    if (plan->parent) {
      ++set->loop_copy_count;
      continue;
    }
    ++set->copy_count;
    bool exact;
    const int64_t bytes = kp_plan_copy_bytes(plan, step, &exact);
    set->copy_bytes += exact && bytes > 0 ? bytes : 0;
    set->unknown_copy_count += !exact || bytes < 0;
  }
}

static kp_status* plan_graph(kp_plan_builder* b, uint64_t excluded) {
  KP_PASS(kp_partition_graph(b->set, &b->placing, &b->parts, &b->part_count));
  const size_t parts = (size_t)b->part_count + 1;
  b->graphs = kp_arena_new_array(&b->set->arena, kp_part_graph, parts);
  b->children = kp_arena_array(&b->set->arena, parts, sizeof(*b->children));
  b->part_of =
      kp_arena_new_array(&b->set->arena, uint32_t, (size_t)b->placing.graph->node_count + 1);
  if (!b->graphs || !b->children || !b->part_of) return KP_ERROR(OUT_OF_MEMORY, "the plan");
  for (uint32_t n = 0; n < b->placing.graph->node_count; ++n) b->part_of[n] = KP_NONE;
  KP_PASS(extract_parts(b, excluded));
  KP_PASS(kp_plan_make_slots(b));
  count_copies(b->set, b->plan);
  return NULL;
}

// Units keep their partition's graph until kp_compile_plan hands it to the provider.
static void store_graphs(kp_plan_builder* b) {
  uint32_t p = 0;
  for (uint32_t i = 0; i < b->plan->step_count;
       ++i) {  // steps other than copies stand in the order of the parts
    kp_step* step = &b->plan->steps[i];
    if (step->kind == KP_STEP_COPY) continue;
    if (step->kind == KP_STEP_UNIT) {
      step->unit.graph = b->graphs[p].copy;
      b->graphs[p].copy = NULL;
    }
    ++p;
  }
}

static kp_status* build_graph(kp_plan_set* set, kp_graph* graph, kp_plan* parent, uint64_t excluded,
                              kp_plan** out_plan) {
  kp_plan_builder b = {.set = set};
  KP_PASS(kp_graph_order(graph));
  KP_PASS(kp_place_graph(set, graph, excluded, &b.placing));
  KP_PASS(check_all_placed(set, graph, b.placing.places));
  KP_PASS(add_plan(set, graph, parent, b.placing.places, &b.plan));
  kp_status* status = plan_graph(&b, excluded);
  if (!status) store_graphs(&b);
  for (uint32_t p = 0; b.graphs && p < b.part_count; ++p) kp_graph_free(b.graphs[p].copy);
  if (!status) *out_plan = b.plan;
  return status;
}

// --- compile -----------------------------------------------------------------------------------------------------------------
typedef struct compile_job {
  kp_plan_set* set;
  const kp_plan_options* options;
  uint32_t done, total;  // units; the one at work is counted among the done
} compile_job;

static void report_progress(void* user, double done) {
  compile_job* job = user;
  const double before = job->done ? job->done - 1 : 0;
  if (job->options->progress)
    job->options->progress(job->options->user, (before + done) / (job->total ? job->total : 1),
                           "compiling");
}

static uint32_t count_origins(const kp_graph* graph, uint32_t* seen, uint32_t mark) {
  uint32_t count = 0;
  for (uint32_t n = 0; n < graph->node_count; ++n) {
    for (uint32_t i = 0; i < graph->nodes[n].origin_count; ++i) {
      const uint32_t origin = graph->nodes[n].origins[i];
      count += seen[origin] != mark;
      seen[origin] = mark;
    }
  }
  return count;
}

static kp_status* compile_unit(compile_job* job, kp_unit* unit, uint32_t* seen) {
  const kp_chain_entry* entry = &job->set->chain->entries[unit->entry];
  const kp_compile_args args = {
      .part = unit->graph,
      .name = kp_arena_printf(&job->set->arena, "partition %u", unit->partition),
      .width = job->options->width,
      .cancel = job->options->cancel,
      .progress = report_progress,
      .user = job,
      .blocks = job->options->blocks};
  unit->origin_count = count_origins(unit->graph, seen, ++job->done);
  unit->graph = NULL;
  kp_status* status = unit->provider->type->compile(unit->provider, &args, &unit->compiled);
  if (!status) return NULL;
  job->set->failed_entry = unit->entry;
  return kp_status_frame(status, __FILE__, __LINE__, "compiling partition %u (%u nodes) for %s",
                         unit->partition, unit->node_count, entry->short_name);
}

static kp_status* compile_plan(compile_job* job, kp_plan* plan, uint32_t* seen) {
  for (uint32_t i = 0; i < plan->step_count; ++i) {
    if (kp_is_cancelled(job->options->cancel))
      return KP_ERROR(CANCELLED, "opening the session was cancelled");
    if (plan->steps[i].kind == KP_STEP_UNIT) KP_PASS(compile_unit(job, &plan->steps[i].unit, seen));
  }
  return NULL;
}

// Inputs whose contents some unit needs for its shapes become part of the plan's signature; inside bodies they are asked of the
// parent in turn.
static kp_status* find_value_inputs(kp_plan_set* set, kp_plan* plan) {
  plan->value_inputs = kp_arena_new_array(&set->arena, bool, (size_t)plan->input_count + 1);
  plan->value_captures = kp_arena_new_array(&set->arena, bool, (size_t)plan->capture_count + 1);
  if (!plan->value_inputs || !plan->value_captures) return KP_ERROR(OUT_OF_MEMORY, "the plan");
  for (uint32_t i = 0; i < plan->step_count; ++i) {
    const kp_step* step = &plan->steps[i];
    if (step->kind != KP_STEP_UNIT || !step->unit.compiled->value_inputs) continue;
    for (uint32_t k = 0; k < step->unit.input_count; ++k) {
      if (!step->unit.compiled->value_inputs[k]) continue;
      uint32_t slot = step->unit.inputs[k];
      const kp_value_id value = plan->slots[slot].value;
      for (uint32_t in = 0; in < plan->input_count; ++in)
        if (plan->slots[plan->inputs[in]].value == value) plan->value_inputs[in] = true;
      for (uint32_t c = 0; c < plan->capture_count; ++c)
        if (plan->captures[c] != KP_NONE && plan->slots[plan->captures[c]].value == value)
          plan->value_captures[c] = true;
    }
  }
  return NULL;
}

// Weights below this are not worth a description in their place.
#define WEIGHT_BYTES ((size_t)64 << 10)

static bool has_slot(const kp_plan* plan, const kapell_value* constant) {
  for (uint32_t i = 0; i < plan->slot_count; ++i)
    if (plan->slots[i].constant == constant) return true;
  return false;
}

// The copies that providers compile hold the weights from now on, alone, so that each can go once it is packed. Only where nothing
// can fail that would have the model placed anew: the floor is the whole chain.
static kp_status* hand_over_weights(kp_plan_set* set) {
  if (set->chain->count != 1) return NULL;
  for (uint32_t p = 0; p < set->plan_count; ++p) {
    const kp_plan* plan = set->plans[p];
    for (uint32_t v = 0; v < plan->graph->value_count; ++v) {
      kp_value* value = &plan->graph->values[v];
      const kapell_value* constant = value->constant;
      if (!constant || constant->kind != KAPELL_KIND_TENSOR || constant->type == KAPELL_STRING ||
          constant->byte_count < WEIGHT_BYTES || has_slot(plan, constant))
        continue;
      kapell_value* description;
      KP_PASS(kp_value_outline(constant, &description));
      kp_value_release(value->constant);
      value->constant = description;
    }
  }
  return NULL;
}

static kp_status* compile_all(kp_plan_set* set, const kp_plan_options* options) {
  compile_job job = {.set = set, .options = options};
  KP_PASS(hand_over_weights(set));
  uint32_t* seen = kp_arena_new_array(&set->arena, uint32_t, (size_t)set->model->origin_count + 1);
  if (!seen) return KP_ERROR(OUT_OF_MEMORY, "the plan");
  for (uint32_t p = 0; p < set->plan_count; ++p)
    for (uint32_t i = 0; i < set->plans[p]->step_count; ++i)
      job.total += set->plans[p]->steps[i].kind == KP_STEP_UNIT;
  for (uint32_t p = 0; p < set->plan_count; ++p) {
    KP_PASS(compile_plan(&job, set->plans[p], seen));
    KP_PASS(find_value_inputs(set, set->plans[p]));
  }
  return NULL;
}

static void count_flops(kp_plan_set* set) {
  for (uint32_t p = 0; p < set->plan_count; ++p) {
    const kp_graph* graph = set->plans[p]->graph;
    for (uint32_t n = 0; n < graph->node_count; ++n)
      if (!graph->nodes[n].removed)
        set->places[p][n].flops = kp_node_flops(graph, &graph->nodes[n]);
  }
}

static kp_status* try_build(kp_model* model, kp_chain* chain, const kp_plan_options* options,
                            kp_plan_set** out_set, uint32_t* out_failed, bool* out_compiling) {
  *out_failed = KP_NONE;
  *out_compiling = false;
  kp_plan_set* set = kp_alloc_zero(1, sizeof(*set));
  if (!set) return KP_ERROR(OUT_OF_MEMORY, "the plan");
  set->chain = chain;
  set->model = model;
  set->failed_entry = KP_NONE;
  kp_plan* main_plan;
  kp_status* status;
  KP_GOTO(status, failed, build_graph(set, model->graph, NULL, options->excluded, &main_plan));
  count_flops(set);
  if (!options->excluded) KP_GOTO(status, failed, kp_clauses_check(set));
  *out_compiling = true;
  KP_GOTO(status, failed, compile_all(set, options));
  *out_set = set;
  return NULL;
failed:
  *out_failed = set->failed_entry;
  kp_plan_set_free(set);
  return status;
}

// An optional provider that failed before the first run gives way: a warning, a line in the report, and everything is placed anew.
static kp_status* drop_entry(kp_chain* chain, uint32_t failed, bool compiling, kp_status* failure) {
  kp_chain_entry* entry = &chain->entries[failed];
  const kapell_code code = kp_status_code(failure);
  if (code == KAPELL_CANCELLED || entry->consent == KP_CONSENT_FLOOR) return failure;
  if (entry->consent != KP_CONSENT_OPTIONAL)
    return kp_status_hint(failure, "write '%s?' to go on without it", entry->short_name);
  const char* when = compiling ? "it failed to compile" : "it failed when asked what it can run";
  entry->dropped = true;
  entry->reason = kp_arena_printf(&chain->arena, "%s: %s", when, kp_status_message(failure));
  const char* hint = kp_status_hint_text(failure);
  if (hint) entry->fix = kp_arena_printf(&chain->arena, "%s", hint);
  KP_LOG(WARNING, "%s? is not in use: %s: %s", entry->short_name, when, kp_status_message(failure));
  kp_status_free(failure);
  return NULL;
}

kp_status* kp_plan_build(kp_model* model, kp_chain* chain, const kp_plan_options* options,
                         kp_plan_set** out_set) {
  *out_set = NULL;
  for (;;) {
    uint32_t failed;
    bool compiling;
    kp_status* status = try_build(model, chain, options, out_set, &failed, &compiling);
    if (!status) return NULL;
    if (failed == KP_NONE) return status;
    KP_PASS(drop_entry(chain, failed, compiling, status));
  }
}

void kp_plan_set_free(kp_plan_set* set) {
  if (!set) return;
  for (uint32_t p = 0; p < set->plan_count; ++p) {
    kp_plan* plan = set->plans[p];
    for (uint32_t i = 0; i < plan->step_count; ++i) {
      if (plan->steps[i].kind != KP_STEP_UNIT) continue;
      kp_unit* unit = &plan->steps[i].unit;
      if (unit->compiled) unit->provider->type->release(unit->compiled);
      kp_graph_free(unit->graph);
    }
  }
  kp_arena_free(&set->arena);
  kp_free(set);
}
