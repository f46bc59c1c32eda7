// The copies of a plan set: which value, between which memories, how many bytes, between which nodes.
#include "base/size.h"
#include "plan/report.h"

int64_t kp_plan_copy_bytes(const kp_plan* plan, const kp_step* step, bool* out_exact) {
  const kp_type* type = &plan->graph->values[plan->slots[step->from].value].type;
  int64_t count = 1;
  *out_exact = type->rank >= 0;
  if (type->rank < 0) return -1;
  for (int32_t d = 0; d < type->rank; ++d) {
    const bool number = kp_is_number(type->dims[d]);
    *out_exact = *out_exact && number;
    if (number && !kp_mul_i64(count, type->dims[d], &count)) return -1;
  }
  size_t bytes;
  return kp_type_bytes(type->element, (size_t)count, &bytes) ? (int64_t)bytes : -1;
}

static bool node_reads(const kp_node* node, kp_value_id value) {
  for (uint32_t i = 0; i < node->input_count; ++i)
    if (node->inputs[i] == value) return true;
  for (uint32_t i = 0; i < node->implicit_count; ++i)
    if (node->implicit[i] == value) return true;
  return false;
}

// The node of |step| that reads |slot|, or KP_NONE.
static kp_node_id reader_in(const kp_plan* plan, const kp_step* step, uint32_t slot) {
  const kp_value_id value = plan->slots[slot].value;
  if (step->kind != KP_STEP_UNIT) {
    bool reads = false;
    for (uint32_t i = 0; i < step->input_count; ++i) reads |= step->inputs[i] == slot;
    for (uint32_t i = 0; i < step->implicit_count; ++i) reads |= step->implicit[i] == slot;
    return step->kind != KP_STEP_COPY && reads ? step->node : KP_NONE;
  }
  for (uint32_t i = 0; i < step->unit.input_count; ++i) {
    if (step->unit.inputs[i] != slot) continue;
    for (uint32_t n = 0; n < step->unit.node_count; ++n)
      if (node_reads(&plan->graph->nodes[step->unit.nodes[n]], value)) return step->unit.nodes[n];
  }
  return KP_NONE;
}

kp_node_id kp_plan_copy_reader(const kp_plan* plan, uint32_t step) {
  const uint32_t slot = plan->steps[step].to;
  for (uint32_t i = step + 1; i < plan->step_count; ++i) {
    // A copy from device to device goes over the host: its second half is the reader's.
    if (plan->steps[i].kind == KP_STEP_COPY && plan->steps[i].from == slot)
      return kp_plan_copy_reader(plan, i);
    const kp_node_id reader = reader_in(plan, &plan->steps[i], slot);
    if (reader != KP_NONE) return reader;
  }
  return KP_NONE;
}

static void describe_copy(const kp_plan* plan, uint32_t index, kapell_placed_copy* out) {
  const kp_graph* graph = plan->graph;
  const kp_step* step = &plan->steps[index];
  const kp_value* value = &graph->values[plan->slots[step->from].value];
  const kp_node_id reader = kp_plan_copy_reader(plan, index);
  *out = (kapell_placed_copy){
      .value = value->name,
      .path = graph->parent ? graph->name : "",
      .from = kp_memory_name(plan->slots[step->from].memory),
      .to = kp_memory_name(plan->slots[step->to].memory),
      .producer = value->producer == KP_NONE ? NULL : graph->nodes[value->producer].name,
      .consumer = reader == KP_NONE ? NULL : graph->nodes[reader].name};
  out->bytes = kp_plan_copy_bytes(plan, step, &out->exact);
}

kp_status* kp_report_copies(const kp_plan_set* set, kp_arena* arena, kapell_placement* placement) {
  size_t most = 0, count = 0;
  for (uint32_t p = 0; p < set->plan_count; ++p)
    for (uint32_t i = 0; i < set->plans[p]->step_count; ++i)
      most += set->plans[p]->steps[i].kind == KP_STEP_COPY;
  kapell_placed_copy* list = kp_arena_new_array(arena, kapell_placed_copy, most + 1);
  if (!list) return KP_ERROR(OUT_OF_MEMORY, "the placement report");
  for (uint32_t p = 0; p < set->plan_count; ++p)  // plan 0 is the main graph's
    for (uint32_t i = 0; i < set->plans[p]->step_count; ++i)
      if (set->plans[p]->steps[i].kind == KP_STEP_COPY)
        describe_copy(set->plans[p], i, &list[count++]);
  placement->copy_list = list;
  placement->copy_list_count = count;
  for (size_t i = 0; i < set->copy_count; ++i)
    placement->copied_bytes += list[i].bytes > 0 ? (uint64_t)list[i].bytes : 0;
  placement->unknown_copies = set->unknown_copy_count;
  return NULL;
}
