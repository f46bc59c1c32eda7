// Runs the passes over a partition's graph.
#include "base/size.h"
#include "provider/cpu/pass.h"

static const struct {
  kp_pass_fn run;
  const char* what;
} passes[] = {
#define KP_GRAPH_PASS(function, what) {function, what},
#include "provider/cpu/fuse/passes.inl"
#undef KP_GRAPH_PASS
};

kp_status* kp_passes_run(kp_graph* graph, uint64_t features, int width, kp_arena* scratch) {
  KP_TRY(kp_graph_order(graph), "ordering a partition");
  for (size_t i = 0; i < KP_COUNT_OF(passes); ++i) {
    kp_pass pass = {.graph = graph, .features = features, .width = width, .scratch = scratch};
    KP_TRY(passes[i].run(&pass), "pass '%s'", passes[i].what);
    kp_arena_reset(scratch);
    if (pass.changes) KP_TRY(kp_graph_order(graph), "after pass '%s'", passes[i].what);
  }
  return NULL;
}
