// infer_dump: prints what inference finds in models, for tests in Python. One line of input a model:
//   PATH [NAME=NUMBER ...]
// One line of JSON a model:
//   {"values": {NAME: TYPE}, "run": {NAME: TYPE}}  or  {"error": TEXT, "code": NAME}
// TYPE is {"kind", "element", "dims", "data"}: dims null where the rank is not known; a dim is a number, the text of an expression, or
// null. "run" is there when names are given: the same types once more, inferred over numbers with those values for the named symbols.
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/types.h"
#include "graph/build.h"
#include "graph/infer.h"
#include "onnx/reader.h"

// --- output -------------------------------------------------------------------------------------------------------------
static void write_expr(kp_json* json, const kp_symbols* symbols, kp_expr e) {
  kp_strbuf text = {0};
  if (kp_is_number(e)) {
    kp_json_int(json, e);
  } else if (!symbols || kp_symbol_is_fresh(symbols, e)) {
    kp_json_null(json);
  } else {
    kp_expr_describe(symbols, e, &text);
    kp_json_string(json, text.data);
  }
  kp_strbuf_free(&text);
}

static const char* kind_name(kapell_kind kind) {
  switch (kind) {
    case KAPELL_KIND_TENSOR:
      return "tensor";
    case KAPELL_KIND_SPARSE:
      return "sparse";
    case KAPELL_KIND_SEQUENCE:
      return "sequence";
    case KAPELL_KIND_OPTIONAL:
      return "optional";
    case KAPELL_KIND_MAP:
      return "map";
    default:
      return "none";
  }
}

static void write_members(kp_json* json, const kp_symbols* symbols, const kp_type* type) {
  kp_json_member_string(json, "kind", kind_name(type->kind));
  kp_json_member_string(json, "element", kp_type_onnx_name(type->element));
  kp_json_key(json, "dims");
  if (type->rank < 0 || (type->kind != KAPELL_KIND_TENSOR && type->kind != KAPELL_KIND_SPARSE)) {
    kp_json_null(json);
  } else {
    kp_json_begin_array(json);
    for (int32_t d = 0; d < type->rank; ++d) write_expr(json, symbols, type->dims[d]);
    kp_json_end_array(json);
  }
  if (!type->inner) return;
  kp_json_key(json, "inner");
  kp_json_begin_object(json);
  write_members(json, symbols, type->inner);
  kp_json_end_object(json);
}

static void write_value(kp_json* json, const kp_symbols* symbols, const char* name,
                        const kp_type* type, const kp_expr* data, uint32_t count) {
  kp_json_key(json, name);
  kp_json_begin_object(json);
  write_members(json, symbols, type);
  if (data) {
    kp_json_key(json, "data");
    kp_json_begin_array(json);
    for (uint32_t k = 0; k < count; ++k) write_expr(json, symbols, data[k]);
    kp_json_end_array(json);
  }
  kp_json_end_object(json);
}

static void write_values(kp_json* json, const kp_graph* graph) {
  for (uint32_t v = 0; v < graph->value_count; ++v) {
    const kp_value* value = &graph->values[v];
    write_value(json, &graph->model->symbols, value->name, &value->type, value->data,
                value->data_count);
  }
}

// --- a run's numbers ----------------------------------------------------------------------------------------------------
typedef struct bindings {
  const kp_model* model;
  char** words;  // NAME=NUMBER
  int count;
} bindings;

static bool look_up(void* user, kp_expr symbol, int64_t* out) {
  const bindings* bound = user;
  kp_strbuf text = {0};
  kp_expr_describe(&bound->model->symbols, symbol, &text);
  bool found = false;
  for (int k = 0; k < bound->count && !found && text.data; ++k) {
    const size_t length = strlen(text.data);
    found = strncmp(bound->words[k], text.data, length) == 0 && bound->words[k][length] == '=';
    if (found) *out = strtoll(bound->words[k] + length + 1, NULL, 10);
  }
  kp_strbuf_free(&text);
  return found;
}

static bool number_type(bindings* bound, kp_arena* arena, const kp_type* from, kp_type* out) {
  *out = *from;
  if (from->kind != KAPELL_KIND_TENSOR || from->rank < 0) return from->kind != KAPELL_KIND_TENSOR;
  kp_expr* dims = kp_arena_new_array(arena, kp_expr, (size_t)from->rank + 1);
  for (int32_t d = 0; d < from->rank; ++d) {
    if (!kp_expr_eval(&bound->model->symbols, from->dims[d], look_up, bound, &dims[d]))
      return false;
  }
  out->dims = dims;
  return true;
}

static kp_status* run_node(const kp_graph* graph, const kp_node* node, kp_arena* arena,
                           kp_type* types, kp_known* known) {
  const kp_type** inputs = kp_arena_new_array(arena, const kp_type*, node->input_count + 1);
  kp_known* contents = kp_arena_new_array(arena, kp_known, node->input_count + 1);
  kapell_value** constants = kp_arena_new_array(arena, kapell_value*, node->input_count + 1);
  kp_type* outputs = kp_arena_new_array(arena, kp_type, node->output_count + 1);
  kp_known* out_known = kp_arena_new_array(arena, kp_known, node->output_count + 1);
  for (uint32_t i = 0; i < node->input_count; ++i) {
    if (node->inputs[i] == KP_NONE) continue;
    inputs[i] = &types[node->inputs[i]];
    contents[i] = known[node->inputs[i]];
    constants[i] = graph->values[node->inputs[i]].constant;
  }
  kp_infer infer = {.graph = graph,
                    .node = node,
                    .arena = arena,
                    .inputs = inputs,
                    .known = contents,
                    .constants = constants,
                    .outputs = outputs,
                    .out_known = out_known};
  KP_PASS(kp_infer_node(&infer, kp_infer_find(node)));
  for (uint32_t o = 0; o < node->output_count; ++o) {
    if (node->outputs[o] == KP_NONE) continue;
    types[node->outputs[o]] = outputs[o];
    known[node->outputs[o]] = out_known[o];
  }
  return NULL;
}

static kp_status* write_run(kp_json* json, kp_graph* graph, bindings* bound) {
  kp_arena arena = {0};
  kp_type* types = kp_arena_new_array(&arena, kp_type, graph->value_count + 1u);
  kp_known* known = kp_arena_new_array(&arena, kp_known, graph->value_count + 1u);
  kp_status* status = NULL;
  for (uint32_t v = 0; v < graph->value_count; ++v) {
    if (graph->values[v].producer == KP_NONE)
      number_type(bound, &arena, &graph->values[v].type, &types[v]);
  }
  for (uint32_t k = 0; !status && k < graph->order_count; ++k)
    status = run_node(graph, &graph->nodes[graph->order[k]], &arena, types, known);
  kp_json_key(json, "run");
  kp_json_begin_object(json);
  for (uint32_t v = 0; v < graph->value_count; ++v)
    write_value(json, NULL, graph->values[v].name, &types[v], known[v].elements, known[v].count);
  kp_json_end_object(json);
  kp_arena_free(&arena);
  return status;
}

// --- one model ------------------------------------------------------------------------------------------------------------
static kp_status* infer_model(kp_json* json, char** words, int count) {
  kp_onnx_model* source;
  kp_model* model = NULL;
  KP_TRY(kp_onnx_read_file(words[0], NULL, &source), "reading '%s'", words[0]);
  KP_TRY(kp_model_build(source, NULL, &model), "building '%s'", words[0]);
  kp_status* status = kp_graph_infer(model->graph);
  if (!status) {
    kp_json_key(json, "values");
    kp_json_begin_object(json);
    write_values(json, model->graph);
    kp_json_end_object(json);
    if (count > 1) status = write_run(json, model->graph, &(bindings){model, words + 1, count - 1});
  }
  kp_model_free(model);
  return status;
}

static void answer(char** words, int count) {
  kp_strbuf buf = {0};
  kp_json json = {.buf = &buf};
  kp_json_begin_object(&json);
  kp_status* status = infer_model(&json, words, count);
  if (status) {
    kp_json_member_string(&json, "error", kp_status_text(status));
    kp_json_member_string(&json, "code", kp_code_name(kp_status_code(status)));
  }
  kp_json_end_object(&json);
  puts(buf.data ? buf.data : "{\"error\": \"out of memory\"}");
  fflush(stdout);
  kp_strbuf_free(&buf);
  kp_status_free(status);
}

int main(void) {
  char line[4096];
  while (fgets(line, sizeof line, stdin)) {
    char* words[64];
    int count = 0;
    for (char* at = strtok(line, " \n"); at && count < 64; at = strtok(NULL, " \n"))
      words[count++] = at;
    if (count > 0) answer(words, count);
  }
  return 0;
}
