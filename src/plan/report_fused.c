// What the providers made of the nodes of the file: which of them are run within one node, and by which rewrite.
#include "base/alloc.h"
#include "plan/report.h"

typedef struct fusing {
  kapell_placed_node* nodes;
  uint32_t* size;  // parallel to nodes: origins of the node that is run instead; 0 = none yet
} fusing;

// A node of the file may stand behind several that are run (a transpose between layouts, say): the one that most of them share tells.
static void trace_node(void* user, const kp_node* node, const char* kernel) {
  const fusing* f = user;
  (void)kernel;
  if (!node->rewrite && node->origin_count < 2) return;
  for (uint32_t i = 0; i < node->origin_count; ++i) {
    const uint32_t origin = node->origins[i];
    if (f->size[origin] >= node->origin_count) continue;
    f->size[origin] = node->origin_count;
    kapell_placed_node* out = &f->nodes[origin];
    out->run_as = node->op;
    out->rewrite = node->rewrite;
    out->fused_with = node->origin_count > 1 ? node->origins[0] : SIZE_MAX;
  }
}

kp_status* kp_report_fused(const kp_plan_set* set, kapell_placed_node* nodes) {
  fusing f = {.nodes = nodes,
              .size = kp_alloc_zero((size_t)set->model->origin_count + 1, sizeof(*f.size))};
  if (!f.size) return KP_ERROR(OUT_OF_MEMORY, "the placement report");
  for (uint32_t p = 0; p < set->plan_count; ++p) {
    for (uint32_t i = 0; i < set->plans[p]->step_count; ++i) {
      const kp_step* step = &set->plans[p]->steps[i];
      if (step->kind != KP_STEP_UNIT || !step->unit.provider->type->visit) continue;
      step->unit.provider->type->visit(step->unit.compiled, trace_node, &f);
    }
  }
  kp_free(f.size);
  return NULL;
}
