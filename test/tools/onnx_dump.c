// onnx_dump MODEL [OUT]: prints all that the reader sees in a model as JSON, with the field names of onnx.proto, for comparison
// with the onnx package (test/py/test_onnx_reader.py). With OUT, also writes the model there again through the writer.
// Without arguments, takes lines "MODEL" or "MODEL<tab>OUT" and answers each with one line.
// An error is printed as {"error": {"code": ..., "text": ...}}; the exit status is 0 then, too.
#include <stdio.h>

#include "base/alloc.h"
#include "onnx/reader.h"
#include "onnx/writer.h"

static kp_strbuf out;
static kp_onnx_model* model;

static void print_graph(const kp_onnx_graph* graph);

static void key(const char* name) { kp_strbuf_printf(&out, "\"%s\":", name); }
static void comma(void) { kp_strbuf_puts(&out, ","); }
static void begin(void) { kp_strbuf_puts(&out, "{"); }
static void end(void) { out.data[out.length - 1] = '}'; }  // in place of the last comma

static void print_text(const char* name, kp_str text) {
  key(name);
  kp_strbuf_json(&out, text);
  comma();
}

static void print_int(const char* name, int64_t value) {
  kp_strbuf_printf(&out, "\"%s\":%lld,", name, (long long)value);
}

static void print_hex(const void* data, size_t size) {
  kp_strbuf_puts(&out, "\"");
  for (size_t i = 0; i < size; ++i) kp_strbuf_printf(&out, "%02x", ((const unsigned char*)data)[i]);
  kp_strbuf_puts(&out, "\"");
}

static void print_float(float value) { kp_strbuf_printf(&out, "\"%a\"", (double)value); }

// Prints |name|: [...], each element i by the expression |item|.
#define LIST(name, count, item)            \
  do {                                     \
    key(name);                             \
    kp_strbuf_puts(&out, "[");             \
    for (size_t i = 0; i < (count); ++i) { \
      if (i) comma();                      \
      item;                                \
    }                                      \
    kp_strbuf_puts(&out, "],");            \
  } while (0)

static void print_strings(const char* name, const kp_str* strings, size_t count) {
  LIST(name, count, kp_strbuf_json(&out, strings[i]));
}

static void print_ints(const char* name, const int64_t* values, size_t count) {
  LIST(name, count, kp_strbuf_printf(&out, "%lld", (long long)values[i]));
}

static void print_entry(const kp_onnx_entry* entry) {
  begin();
  print_text("key", entry->key);
  print_text("value", entry->value);
  end();
}

static void print_entries(const char* name, const kp_onnx_entry* entries, size_t count) {
  LIST(name, count, print_entry(&entries[i]));
}

static void print_error(kp_status* status) {
  key("error");
  begin();
  print_text("code", kp_str_of(kp_code_name(kp_status_code(status))));
  print_text("text", kp_str_of(kp_status_text(status)));
  end();
  comma();
  kp_status_free(status);
}

// --- tensors ---------------------------------------------------------------------------------------------------------
static void print_tensor_data(const kp_onnx_tensor* t) {
  const void* data;
  size_t size;
  void* owned;
  kp_status* const status = kp_onnx_tensor_bytes(model, t, &data, &size, &owned);
  if (status) {
    print_error(status);
    return;
  }
  key("bytes");
  print_hex(data, size);
  comma();
  kp_free(owned);
}

static void print_tensor_strings(const kp_onnx_tensor* t) {
  const kp_str* strings;
  size_t count;
  kp_status* const status = kp_onnx_tensor_strings(t, &strings, &count);
  if (status) print_error(status);
  LIST("strings", count, print_hex(strings[i].data, strings[i].length));
}

static void print_tensor(const kp_onnx_tensor* t) {
  begin();
  print_text("name", t->name);
  print_text("doc_string", t->doc);
  print_int("data_type", t->type);
  print_ints("dims", t->dims, t->rank);
  print_int("external", t->external);
  print_entries("external_data", t->external_data, t->external_count);
  print_entries("metadata_props", t->metadata, t->metadata_count);
  if (t->type == KAPELL_STRING) {
    print_tensor_strings(t);
  } else {
    print_tensor_data(t);
  }
  end();
}

static void print_sparse(const kp_onnx_sparse* s) {
  begin();
  key("values");
  print_tensor(&s->values);
  comma();
  key("indices");
  print_tensor(&s->indices);
  comma();
  print_ints("dims", s->dims, s->rank);
  void* dense;
  size_t size;
  kp_status* const status = kp_onnx_sparse_dense(model, s, 1 << 20, &dense, &size);
  if (status) {
    print_error(status);
  } else {
    key("dense");
    print_hex(dense, size);
    comma();
    kp_free(dense);
  }
  end();
}

// --- types -----------------------------------------------------------------------------------------------------------
static void print_dim(const kp_onnx_dim* dim) {
  begin();
  print_int("dim_value", dim->value);
  print_text("dim_param", dim->param);
  print_text("denotation", dim->denotation);
  end();
}

static void print_type(const kp_onnx_type* type) {
  begin();
  print_int("kind", type->kind);
  print_int("element", type->element);
  print_int("has_shape", type->has_shape);
  LIST("dim", type->rank, print_dim(&type->dims[i]));
  print_text("denotation", type->denotation);
  print_text("opaque_domain", type->opaque_domain);
  print_text("opaque_name", type->opaque_name);
  if (type->inner) {
    key("inner");
    print_type(type->inner);
    comma();
  }
  end();
}

static void print_value_info(const kp_onnx_value_info* info) {
  begin();
  print_text("name", info->name);
  print_text("doc_string", info->doc);
  key("type");
  print_type(&info->type);
  comma();
  print_entries("metadata_props", info->metadata, info->metadata_count);
  end();
}

// --- attributes and nodes --------------------------------------------------------------------------------------------
static void print_attr_scalar(const kp_onnx_attr* a) {
  key("value");
  switch (a->type) {
    case KP_ONNX_ATTR_FLOAT:
      print_float(a->f);
      break;
    case KP_ONNX_ATTR_INT:
      kp_strbuf_printf(&out, "%lld", (long long)a->i);
      break;
    case KP_ONNX_ATTR_STRING:
      print_hex(a->s.data, a->s.length);
      break;
    case KP_ONNX_ATTR_TENSOR:
      print_tensor(a->t);
      break;
    case KP_ONNX_ATTR_GRAPH:
      print_graph(a->g);
      break;
    case KP_ONNX_ATTR_SPARSE_TENSOR:
      print_sparse(a->sparse);
      break;
    case KP_ONNX_ATTR_TYPE_PROTO:
      print_type(a->tp);
      break;
    default:
      kp_strbuf_puts(&out, "null");
      break;
  }
  comma();
}

static void print_attr_list(const kp_onnx_attr* a) {
  switch (a->type) {
    case KP_ONNX_ATTR_FLOATS:
      LIST("list", a->count, print_float(a->floats[i]));
      break;
    case KP_ONNX_ATTR_INTS:
      print_ints("list", a->ints, a->count);
      break;
    case KP_ONNX_ATTR_STRINGS:
      LIST("list", a->count, print_hex(a->strings[i].data, a->strings[i].length));
      break;
    case KP_ONNX_ATTR_TENSORS:
      LIST("list", a->count, print_tensor(&a->tensors[i]));
      break;
    case KP_ONNX_ATTR_GRAPHS:
      LIST("list", a->count, print_graph(&a->graphs[i]));
      break;
    case KP_ONNX_ATTR_SPARSE_TENSORS:
      LIST("list", a->count, print_sparse(&a->sparses[i]));
      break;
    case KP_ONNX_ATTR_TYPE_PROTOS:
      LIST("list", a->count, print_type(&a->tps[i]));
      break;
    default:
      break;
  }
}

static void print_attr(const kp_onnx_attr* a) {
  begin();
  print_text("name", a->name);
  print_text("ref_attr_name", a->ref_name);
  print_text("doc_string", a->doc);
  print_int("type", a->type);
  if (a->ref_name.length == 0) {
    print_attr_scalar(a);
    print_attr_list(a);
  }
  end();
}

static void print_index_group(const kp_onnx_index_group* group) {
  begin();
  print_int("key", group->key);
  print_ints("value", group->values, group->value_count);
  end();
}

static void print_simple_sharding(const kp_onnx_simple_sharding* s) {
  begin();
  print_int("dim_value", s->value);
  print_text("dim_param", s->param);
  print_int("num_shards", s->shard_count);
  end();
}

static void print_sharded_dim(const kp_onnx_sharded_dim* dim) {
  begin();
  print_int("axis", dim->axis);
  LIST("simple_sharding", dim->sharding_count, print_simple_sharding(&dim->shardings[i]));
  end();
}

static void print_sharding(const kp_onnx_sharding* s) {
  begin();
  print_text("tensor_name", s->tensor);
  print_ints("device", s->devices, s->device_count);
  LIST("index_to_device_group_map", s->group_count, print_index_group(&s->groups[i]));
  LIST("sharded_dim", s->dim_count, print_sharded_dim(&s->dims[i]));
  end();
}

static void print_node_device(const kp_onnx_node_device* device) {
  begin();
  print_text("configuration_id", device->configuration);
  LIST("sharding_spec", device->sharding_count, print_sharding(&device->shardings[i]));
  print_int("pipeline_stage", device->pipeline_stage);
  end();
}

static void print_node(const kp_onnx_node* node) {
  begin();
  print_text("name", node->name);
  print_text("op_type", node->op_type);
  print_text("domain", node->domain);
  print_text("overload", node->overload);
  print_text("doc_string", node->doc);
  print_strings("input", node->inputs, node->input_count);
  print_strings("output", node->outputs, node->output_count);
  LIST("attribute", node->attr_count, print_attr(&node->attrs[i]));
  print_entries("metadata_props", node->metadata, node->metadata_count);
  LIST("device_configurations", node->device_count, print_node_device(&node->devices[i]));
  end();
}

// --- graphs ----------------------------------------------------------------------------------------------------------
static void print_annotation(const kp_onnx_annotation* a) {
  begin();
  print_text("tensor_name", a->tensor);
  print_entries("quant_parameter_tensor_names", a->quant_params, a->quant_param_count);
  end();
}

static void print_graph(const kp_onnx_graph* g) {
  begin();
  print_text("name", g->name);
  print_text("doc_string", g->doc);
  LIST("node", g->node_count, print_node(&g->nodes[i]));
  LIST("initializer", g->initializer_count, print_tensor(&g->initializers[i]));
  LIST("sparse_initializer", g->sparse_count, print_sparse(&g->sparse_initializers[i]));
  LIST("input", g->input_count, print_value_info(&g->inputs[i]));
  LIST("output", g->output_count, print_value_info(&g->outputs[i]));
  LIST("value_info", g->value_info_count, print_value_info(&g->value_infos[i]));
  LIST("quantization_annotation", g->annotation_count, print_annotation(&g->annotations[i]));
  print_entries("metadata_props", g->metadata, g->metadata_count);
  end();
}

static void print_opset(const kp_onnx_opset* opset) {
  begin();
  print_text("domain", opset->domain);
  print_int("version", opset->version);
  end();
}

static void print_function(const kp_onnx_function* f) {
  begin();
  print_text("name", f->name);
  print_text("domain", f->domain);
  print_text("overload", f->overload);
  print_text("doc_string", f->doc);
  print_strings("input", f->inputs, f->input_count);
  print_strings("output", f->outputs, f->output_count);
  print_strings("attribute", f->attr_names, f->attr_name_count);
  LIST("attribute_proto", f->attr_count, print_attr(&f->attrs[i]));
  LIST("node", f->node_count, print_node(&f->nodes[i]));
  LIST("opset_import", f->opset_count, print_opset(&f->opsets[i]));
  LIST("value_info", f->value_info_count, print_value_info(&f->value_infos[i]));
  print_entries("metadata_props", f->metadata, f->metadata_count);
  end();
}

static void print_training(const kp_onnx_training* t) {
  begin();
  key("initialization");
  print_graph(&t->initialization);
  comma();
  key("algorithm");
  print_graph(&t->algorithm);
  comma();
  print_entries("initialization_binding", t->initialization_bindings,
                t->initialization_binding_count);
  print_entries("update_binding", t->update_bindings, t->update_binding_count);
  end();
}

static void print_device(const kp_onnx_device* d) {
  begin();
  print_text("name", d->name);
  print_int("num_devices", d->count);
  print_strings("device", d->devices, d->device_count);
  end();
}

static void print_model(const kp_onnx_model* m) {
  print_int("ir_version", m->ir_version);
  print_text("producer_name", m->producer_name);
  print_text("producer_version", m->producer_version);
  print_text("domain", m->domain);
  print_int("model_version", m->model_version);
  print_text("doc_string", m->doc);
  LIST("opset_import", m->opset_count, print_opset(&m->opsets[i]));
  key("graph");
  print_graph(&m->graph);
  comma();
  LIST("functions", m->function_count, print_function(&m->functions[i]));
  print_entries("metadata_props", m->metadata, m->metadata_count);
  LIST("training_info", m->training_count, print_training(&m->trainings[i]));
  LIST("configuration", m->device_count, print_device(&m->devices[i]));
}

// One line of JSON for the model at |path|; |again| may be NULL.
static bool dump(const char* path, const char* again) {
  begin();
  kp_status* status = kp_onnx_read_file(path, NULL, &model);
  if (!status) print_model(model);
  if (!status && again) status = kp_onnx_write_file(model, again);
  if (status) print_error(status);
  end();
  if (!out.failed) puts(out.data);
  const bool done = !out.failed && fflush(stdout) == 0;
  kp_strbuf_free(&out);
  kp_onnx_model_close(model);
  return done;
}

// Splits |line| at the tab and drops its newline; the second part, or NULL.
static char* split(char* line) {
  line[strcspn(line, "\n")] = 0;
  char* const tab = strchr(line, '\t');
  if (tab) *tab = 0;
  return tab ? tab + 1 : NULL;
}

int main(int argc, char** argv) {
  if (argc > 1) return dump(argv[1], argc > 2 ? argv[2] : NULL) ? 0 : 1;
  static char line[8192];
  while (fgets(line, sizeof line, stdin)) {
    const char* const again = split(line);
    if (!dump(line, again)) return 1;
  }
  return 0;
}
