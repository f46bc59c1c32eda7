// Between the files of plan/ that build one kp_plan: the graph's placing, its parts, and the maps while slots are made.
#ifndef KP_PLAN_INTERNAL_H_
#define KP_PLAN_INTERNAL_H_

#include "plan/plan.h"

typedef struct kp_part_graph {  // a part as the provider will get it; NULL copy for control flow
  kp_graph* copy;               // owned until compiled
  kp_value_id* inputs;          // outer values, parallel to copy->inputs
  kp_value_id* outputs;
} kp_part_graph;

typedef struct kp_plan_builder {
  kp_plan_set* set;
  kp_plan* plan;
  kp_placing placing;
  kp_part* parts;
  uint32_t part_count;
  kp_part_graph* graphs;    // parallel to parts
  kp_plan* (*children)[2];  // parallel to parts: bodies of control flow
  uint32_t* part_of;        // node -> its part
  uint32_t* slot_of;        // value -> its first slot, or KP_NONE
  uint32_t slot_capacity, step_capacity;
  const kp_memory** output_memory;  // parallel to graph->outputs
} kp_plan_builder;

// slots.c: makes plan->slots and plan->steps from the parts. Control flow's bodies are planned already.
KP_MUST_USE kp_status* kp_plan_make_slots(kp_plan_builder* builder);

// Memory in which node |id| (of the builder's graph) wants to read |value|.
const kp_memory* kp_plan_reader_memory(const kp_plan_builder* b, kp_node_id id, kp_value_id value);

#endif  // KP_PLAN_INTERNAL_H_
