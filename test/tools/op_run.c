// Runs small models on the CPU provider alone, without plan/ and exec/, for the comparison of operators with ONNX's reference
// (test/py/test_ops.py): op_run [--mask M] [--eval] [--width N] MODEL...
//
// A model's inputs carry their data as initializers of the same name (IR >= 4). Each model is run twice: node by node
// (kp_cpu_eval_node), and as one partition that is compiled, specialised and run; --eval leaves the second out. MODEL.out receives the
// outputs of the first, then of the second (none where an output's shape is known only in the run). One line of text a value, then bytes:
//   tensor TYPE RANK DIM... | strings RANK DIM... (then a line LENGTH and the bytes for each) | sequence COUNT | map (then keys, values) | none |
//   error TEXT
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/cpu.h"
#include "base/pool.h"
#include "base/value.h"
#include "graph/build.h"
#include "graph/infer.h"
#include "graph/rewrite.h"
#include "onnx/reader.h"
#include "provider/host.h"

typedef struct options {
  const char* mask;
  bool eval_only;
  int width;
} options;

// --- output ------------------------------------------------------------------------------------------------------------------
static void write_value(FILE* file, const kapell_value* value) {
  if (!value || value->kind == KAPELL_KIND_NONE) {
    fprintf(file, "none\n");
  } else if (value->kind == KAPELL_KIND_SEQUENCE) {
    fprintf(file, "sequence %zu\n", value->item_count);
    for (size_t i = 0; i < value->item_count; ++i) write_value(file, value->items[i]);
  } else if (value->kind == KAPELL_KIND_MAP) {
    fprintf(file, "map\n");
    for (size_t i = 0; i < value->item_count; ++i) write_value(file, value->items[i]);
  } else if (value->kind == KAPELL_KIND_OPTIONAL) {
    write_value(file, value->item_count ? value->items[0] : NULL);
  } else if (value->kind == KAPELL_KIND_TENSOR) {
    const bool text = value->type == KAPELL_STRING;
    if (text)
      fprintf(file, "strings %d", (int)value->rank);
    else
      fprintf(file, "tensor %d %d", (int)value->type, (int)value->rank);
    for (int32_t d = 0; d < value->rank; ++d) fprintf(file, " %lld", (long long)value->dims[d]);
    fprintf(file, "\n");
    for (size_t i = 0; text && i < kp_value_count(value); ++i) {
      const kp_str item = kp_value_string(value, i);
      fprintf(file, "%zu\n", item.length);
      fwrite(item.data, 1, item.length, file);
    }
    if (!text && value->byte_count) fwrite(value->data, 1, value->byte_count, file);
  } else {
    fprintf(file, "error a value of kind %d\n", (int)value->kind);
  }
}

// --- node by node ------------------------------------------------------------------------------------------------------------
static kp_status* eval_node(const kp_graph* graph, const kp_node* node, kapell_value** values) {
  kapell_value *inputs[64] = {0}, *outputs[64] = {0};
  if (node->input_count > 64 || node->output_count > 64)
    return KP_ERROR(LIMIT, "too many inputs or outputs");
  for (uint32_t i = 0; i < node->input_count; ++i)
    inputs[i] = node->inputs[i] == KP_NONE ? NULL : values[node->inputs[i]];
  KP_TRY(kp_cpu_eval_node(NULL, graph, node, inputs, outputs), "node '%s'", node->name);
  for (uint32_t o = 0; o < node->output_count; ++o) {
    if (node->outputs[o] != KP_NONE)
      values[node->outputs[o]] = outputs[o];
    else
      kp_value_release(outputs[o]);
  }
  return NULL;
}

// |values|: by value id, NULL on entry; one reference each.
static kp_status* eval_graph(kp_graph* graph, kapell_value** values) {
  for (uint32_t i = 0; i < graph->value_count; ++i)
    values[i] = kp_value_retain(graph->values[i].constant);
  for (uint32_t i = 0; i < graph->overridable_count; ++i)
    values[graph->overridable[i]] = kp_value_retain(graph->defaults[i]);
  KP_PASS(kp_graph_order(graph));
  for (uint32_t i = 0; i < graph->order_count; ++i)
    KP_PASS(eval_node(graph, &graph->nodes[graph->order[i]], values));
  return NULL;
}

// --- one partition -----------------------------------------------------------------------------------------------------------
static kp_status* run_special(kp_compiled* compiled, const kp_special* special,
                              kapell_value** inputs, kapell_value** outputs, int width,
                              bool* out_done) {
  for (uint32_t i = 0; i < special->output_count; ++i)
    if (special->outputs[i].kind != KAPELL_KIND_TENSOR || special->outputs[i].rank < 0)
      return NULL;  // exec's business
  for (uint32_t i = 0; i < special->output_count; ++i)
    KP_PASS(kp_value_create_tensor(special->outputs[i].type, special->outputs[i].dims,
                                   special->outputs[i].rank, &outputs[i]));
  void* scratch = kp_alloc_aligned(special->scratch_bytes + 1, KP_ALIGNMENT);
  if (!scratch) return KP_ERROR(OUT_OF_MEMORY, "scratch");
  const kp_run_args args = {
      .inputs = inputs, .outputs = outputs, .scratch = scratch, .width = width};
  kp_status* status = kp_provider_cpu.run(compiled, special, &args);
  if (!status)
    status =
        kp_provider_cpu.run(compiled, special, &args);  // nothing may be left over from the first
  kp_free(scratch);
  *out_done = !status;
  return status;
}

static kp_status* specialise_and_run(kp_graph* graph, kp_compiled* compiled, const kp_value_id* ids,
                                     kapell_value** values, kapell_value** outputs, int width,
                                     bool* out_done) {
  kp_arena arena = {0};
  const uint32_t count = graph->input_count;
  kapell_value* inputs[256];
  kp_shape_info infos[256];
  for (uint32_t i = 0; i < count; ++i) {
    const kapell_value* value = inputs[i] = values[ids[i]];
    infos[i] = (kp_shape_info){
        .kind = value->kind, .type = value->type, .rank = value->rank, .dims = value->dims};
    if (compiled->value_inputs && compiled->value_inputs[i]) infos[i].data = value->data;
  }
  const kp_specialise_args args = {
      .inputs = infos, .input_count = count, .width = width, .arena = &arena};
  kp_special* special;
  kp_status* status = kp_provider_cpu.specialise(compiled, &args, &special);
  if (!status) status = run_special(compiled, special, inputs, outputs, width, out_done);
  kp_arena_free(&arena);
  return status;
}

static kp_status* run_partition(kp_graph* graph, kapell_value** values, kapell_value** outputs,
                                const options* given, bool* out_done) {
  kp_graph* part;
  kp_value_id *ids, *out_ids;
  KP_PASS(kp_graph_extract(graph, graph->order, graph->order_count, &part, &ids, &out_ids));
  if (part->input_count > 256 || part->output_count != graph->output_count ||
      memcmp(out_ids, graph->outputs, sizeof *out_ids * graph->output_count) != 0) {
    kp_graph_free(part);
    return NULL;
  }
  const char* texts[] = {given->mask};
  const kp_provider_args provider_args = {
      .type = &kp_provider_cpu, .option_texts = texts, .cpu_features = kp_cpu_detected()};
  kp_provider* provider;
  KP_PASS(kp_provider_cpu.create(&provider_args, &provider));
  const kp_compile_args args = {.part = part, .name = "partition", .width = given->width};
  kp_compiled* compiled = NULL;
  kp_status* status = kp_provider_cpu.compile(provider, &args, &compiled);
  if (!status)
    status = specialise_and_run(part, compiled, ids, values, outputs, given->width, out_done);
  if (compiled) kp_provider_cpu.release(compiled);
  kp_provider_cpu.destroy(provider);
  return status;
}

// --- one model ---------------------------------------------------------------------------------------------------------------
// A call of a function is kept where the CPU has a kernel for it as it stands.
static kp_status* expand(kp_graph* graph) {
  for (kp_node_id id = 0; id < graph->node_count; ++id) {
    if (graph->nodes[id].removed || !kp_cpu_wants_expansion(graph, &graph->nodes[id])) continue;
    bool expanded;
    KP_PASS(kp_graph_expand_function(graph, id, &expanded));
    if (expanded) KP_PASS(kp_graph_infer(graph));
  }
  return NULL;
}

static kp_status* run_graph(kp_graph* graph, const options* given, FILE* file) {
  KP_PASS(kp_graph_infer(graph));
  KP_PASS(expand(graph));
  kapell_value** values = kp_alloc_zero(graph->value_count, sizeof *values);
  kapell_value** outputs = kp_alloc_zero(graph->output_count + 1, sizeof *outputs);
  bool done = false;
  kp_status* status =
      values && outputs ? eval_graph(graph, values) : KP_ERROR(OUT_OF_MEMORY, "values");
  if (!status && !given->eval_only) status = run_partition(graph, values, outputs, given, &done);
  for (uint32_t i = 0; !status && i < graph->output_count; ++i)
    write_value(file, values[graph->outputs[i]]);
  for (uint32_t i = 0; !status && done && i < graph->output_count; ++i)
    write_value(file, outputs[i]);
  for (uint32_t i = 0; values && i < graph->value_count; ++i) kp_value_release(values[i]);
  for (uint32_t i = 0; outputs && i < graph->output_count; ++i) kp_value_release(outputs[i]);
  kp_free(values);
  kp_free(outputs);
  return status;
}

static bool keep_call(void* user, const kp_node* node) {
  (void)user;
  return node->schema != NULL;
}

static kp_status* run_model(const char* path, const options* given, FILE* file) {
  kp_onnx_model* source;
  kp_model* model;
  KP_PASS(kp_onnx_read_file(path, NULL, &source));
  const kp_build_options build = {.keep_call = keep_call};
  KP_PASS(kp_model_build(source, &build, &model));
  kp_status* status = run_graph(model->graph, given, file);
  kp_model_free(model);
  return status;
}

static void run_file(const char* path, const options* given) {
  char out[4096];
  snprintf(out, sizeof out, "%s.out", path);
  FILE* file = fopen(out, "wb");
  if (!file) {
    perror(out);
    exit(2);
  }
  kp_status* status = run_model(path, given, file);
  if (status) {
    rewind(file);
    fprintf(file, "error %s\n", kp_status_text(status));
  }
  kp_status_free(status);
  fclose(file);
}

int main(int argc, char** argv) {
  options given = {.mask = "native", .width = 2};
  int i = 1;
  for (; i < argc && argv[i][0] == '-'; ++i) {
    if (strcmp(argv[i], "--eval") == 0)
      given.eval_only = true;
    else if (strcmp(argv[i], "--mask") == 0 && i + 1 < argc)
      given.mask = argv[++i];
    else if (strcmp(argv[i], "--width") == 0 && i + 1 < argc)
      given.width = atoi(argv[++i]);
    else
      return fprintf(stderr, "op_run: unknown option %s\n", argv[i]), 2;
  }
  int width;
  kp_status_free(kp_pool_acquire(given.width, &width));
  for (; i < argc; ++i) run_file(argv[i], &given);
  kp_pool_release();
  return 0;
}
