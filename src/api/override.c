// Overrides are made in the messages of the file, before a graph is built of them: everything after sees a model that came so.
#include "api/override.h"

#include "base/types.h"
#include "base/value.h"

// The reader's arrays are const for everyone else; here they are still nobody's.
static kp_onnx_tensor* find_initializer(kp_onnx_graph* graph, const char* name) {
  kp_onnx_tensor* initializers = (kp_onnx_tensor*)(uintptr_t)graph->initializers;
  for (size_t i = 0; i < graph->initializer_count; ++i)
    if (kp_str_is(initializers[i].name, name)) return &initializers[i];
  return NULL;
}

static kp_status* replace(kp_onnx_model* model, kp_onnx_tensor* tensor, const kapell_value* value) {
  if (!value || value->kind != KAPELL_KIND_TENSOR || value->memory)
    return KP_ERROR(INVALID_ARGUMENT,
                    "the value for initializer '%.*s' is no dense tensor on the host",
                    KP_STR_ARG(tensor->name));
  if (tensor->type != (int32_t)value->type)
    return KP_ERROR(INVALID_ARGUMENT, "initializer '%.*s' is %s; the value for it is %s",
                    KP_STR_ARG(tensor->name), kp_type_name((kapell_type)tensor->type),
                    kp_type_name(value->type));
  const kp_onnx_tensor made = {.name = tensor->name,
                               .doc = tensor->doc,
                               .type = tensor->type,
                               .dims = value->dims,
                               .rank = (size_t)value->rank};
  *tensor = made;
  if (value->type != KAPELL_STRING) {
    tensor->has_raw = true;
    tensor->raw = (kp_str){value->data, value->byte_count};
    return NULL;
  }
  const size_t count = kp_value_count(value);
  kp_str* strings = kp_arena_new_array(&model->arena, kp_str, count + 1);
  if (!strings) return KP_ERROR(OUT_OF_MEMORY, "strings of an initializer");
  for (size_t i = 0; i < count; ++i) strings[i] = kp_value_string(value, i);
  tensor->strings = strings;
  tensor->string_count = count;
  return NULL;
}

static kp_status* replace_all(kp_onnx_model* model, const kapell_options* options) {
  for (size_t i = 0; i < options->initializer_count; ++i) {
    const kapell_initializer* given = &options->initializers[i];
    if (!given->name)
      return KP_ERROR(INVALID_ARGUMENT, "options->initializers[%zu] has no name", i);
    kp_onnx_tensor* tensor = find_initializer(&model->graph, given->name);
    if (tensor)
      KP_PASS(replace(model, tensor, given->value));
    else if (!given->may_be_absent)
      return KP_ERROR(INVALID_ARGUMENT, "the model has no initializer '%s' to be replaced",
                      given->name);
  }
  return NULL;
}

static bool is_meant(const kapell_dimension* given, const kp_onnx_dim* dim) {
  if (!given->name || dim->value >= 0) return false;
  return kp_str_is(given->is_denotation ? dim->denotation : dim->param, given->name);
}

static kp_status* fix_dims(const kp_onnx_value_info* infos, size_t count,
                           const kapell_options* options) {
  for (size_t i = 0; i < count; ++i) {
    kp_onnx_dim* dims = (kp_onnx_dim*)(uintptr_t)infos[i].type.dims;
    for (size_t d = 0; d < infos[i].type.rank; ++d)
      for (size_t k = 0; k < options->dimension_count; ++k) {
        if (!is_meant(&options->dimensions[k], &dims[d])) continue;
        if (options->dimensions[k].value < 0)
          return KP_ERROR(INVALID_ARGUMENT, "dimension '%s' is given as %lld",
                          options->dimensions[k].name, (long long)options->dimensions[k].value);
        dims[d].value = options->dimensions[k].value;
      }
  }
  return NULL;
}

kp_status* kp_override_model(kp_onnx_model* model, const kapell_options* options) {
  kp_onnx_graph* graph = &model->graph;
  model->memory_files = options->memory_files;
  model->memory_file_count = options->memory_file_count;
  KP_PASS(replace_all(model, options));
  if (options->dimension_count == 0) return NULL;
  KP_PASS(fix_dims(graph->inputs, graph->input_count, options));
  KP_PASS(fix_dims(graph->outputs, graph->output_count, options));
  return fix_dims(graph->value_infos, graph->value_info_count, options);
}
