// Neighbours: model_mutate.h says what this is; src/api/session_fuzz.c and others use it.
//
// The model is read, its messages are changed in place (they lie in the model's arena, which is ours), and it is written again.
#include "support/model_mutate.h"

#include <math.h>

#include "base/alloc.h"
#include "base/types.h"
#include "graph/schema.h"
#include "onnx/reader.h"
#include "onnx/writer.h"

// libFuzzer's own mutation; absent where a target is linked to replay its corpus.
size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size) __attribute__((weak));

typedef struct mutator {
  kp_onnx_model* model;
  kp_arena* arena;
  kp_onnx_graph* graph;  // the one that is changed
  uint64_t state;        // of the random numbers
} mutator;

static uint32_t draw(mutator* m, size_t below) {
  m->state = m->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)((m->state >> 33) % (below ? below : 1));
}

// The messages are const for readers; this model is the mutator's own.
static void* writable(const void* message) { return (void*)(uintptr_t)message; }

// A copy of |items| with room for one more at its end.
static void* grown(mutator* m, const void* items, size_t count, size_t size) {
  char* const more = kp_arena_array(m->arena, count + 1, size);
  if (more && count) memcpy(more, items, count * size);
  return more;
}

static int64_t number(mutator* m) {
  static const int64_t some[] = {-1,  0,   1,   2,    3,     -2,        4,         5,
                                 7,   8,   16,  31,   64,    127,       128,       255,
                                 256, -64, 999, 4097, 65536, INT32_MAX, INT64_MAX, INT64_MIN};
  return some[draw(m, draw(m, 4) ? 8 : sizeof some / sizeof *some)];
}

static float real(mutator* m) {
  static const float some[] = {0,         1, -1, 0.5f, 2, 3, -0.0f, 1e-6f, 1e30f, (float)INFINITY,
                               (float)NAN};
  return some[draw(m, sizeof some / sizeof *some)];
}

static kp_str word(mutator* m) {
  static const char* const some[] = {"",
                                     "NOTSET",
                                     "SAME_UPPER",
                                     "VALID",
                                     "constant",
                                     "reflect",
                                     "edge",
                                     "wrap",
                                     "nearest",
                                     "linear",
                                     "cubic",
                                     "DCR",
                                     "CRD",
                                     "sum",
                                     "mean",
                                     "none",
                                     "add",
                                     "mul",
                                     "max",
                                     "min",
                                     "ij,jk->ik",
                                     "ii->i",
                                     "reverse",
                                     "bidirectional",
                                     "floor",
                                     "half_pixel",
                                     "align_corners",
                                     "tf_crop_and_resize",
                                     "LEFT",
                                     "Relu",
                                     "x",
                                     "y"};
  return kp_str_of(some[draw(m, sizeof some / sizeof *some)]);
}

// The name of some value that the graph has; "" where it has none.
static kp_str value_name(mutator* m) {
  const kp_onnx_graph* const g = draw(m, 5) ? m->graph : &m->model->graph;
  size_t at = draw(m, g->input_count + g->initializer_count + g->node_count);
  if (at < g->input_count) return g->inputs[at].name;
  at -= g->input_count;
  if (at < g->initializer_count) return g->initializers[at].name;
  at -= g->initializer_count;
  if (at >= g->node_count || !g->nodes[at].output_count) return (kp_str){0};
  return g->nodes[at].outputs[draw(m, g->nodes[at].output_count)];
}

static kp_str fresh_name(mutator* m) {
  const char* const text = kp_arena_printf(m->arena, "m%u", draw(m, 1u << 30));
  return kp_str_of(text);
}

static kp_onnx_node* some_node(mutator* m) {
  kp_onnx_graph* const g = m->graph;
  return g->node_count ? (kp_onnx_node*)writable(g->nodes) + draw(m, g->node_count) : NULL;
}

// --- tensors ---------------------------------------------------------------------------------------------------------------------
static void fill(mutator* m, int32_t type, char* bytes, size_t count, size_t size) {
  for (size_t i = 0; i < count; ++i) {
    const int64_t whole = draw(m, 8) ? (int64_t)draw(m, 5) - 1 : number(m);
    const float f = draw(m, 8) ? (float)whole : real(m);
    const double d = (double)f;
    if (type == KAPELL_FLOAT) {
      memcpy(bytes + i * size, &f, size);
    } else if (type == KAPELL_DOUBLE) {
      memcpy(bytes + i * size, &d, size);
    } else if (type == KAPELL_BOOL) {
      bytes[i] = whole & 1;
    } else {
      memcpy(bytes + i * size, &whole, size);  // little-endian; small floats take any bits
    }
  }
}

// Gives |tensor| another type, shape and contents that fit together.
static void renew(mutator* m, kp_onnx_tensor* tensor) {
  static const int32_t types[] = {KAPELL_FLOAT,   KAPELL_INT64, KAPELL_INT64, KAPELL_INT32,
                                  KAPELL_DOUBLE,  KAPELL_UINT8, KAPELL_INT8,  KAPELL_BOOL,
                                  KAPELL_FLOAT16, KAPELL_FLOAT};
  const bool keep = tensor->type && draw(m, 2) && tensor->type != KAPELL_STRING;
  const int32_t type = keep ? tensor->type : types[draw(m, sizeof types / sizeof *types)];
  const size_t rank = draw(m, 4), size = kp_type_bits((kapell_type)type) / 8;
  int64_t* const dims = kp_arena_array(m->arena, rank + 1, sizeof *dims);
  if (!dims || size == 0 || size > 8) return;
  size_t count = 1;
  for (size_t d = 0; d < rank; ++d) count *= (size_t)(dims[d] = draw(m, 9) ? 1 + draw(m, 4) : 0);
  char* const bytes = kp_arena_array(m->arena, count + 1, size);
  if (!bytes) return;
  fill(m, type, bytes, count, size);
  *tensor = (kp_onnx_tensor){.name = tensor->name,
                             .type = type,
                             .dims = dims,
                             .rank = rank,
                             .has_raw = true,
                             .raw = {bytes, count * size}};
}

static void change_initializer(mutator* m) {
  kp_onnx_graph* const g = m->graph;
  if (!g->initializer_count) return;
  kp_onnx_tensor* const tensor =
      (kp_onnx_tensor*)writable(g->initializers) + draw(m, g->initializer_count);
  const uint32_t what = draw(m, 4);
  if (what == 0 && tensor->rank) {
    int64_t* const dims = kp_arena_memdup(m->arena, tensor->dims, tensor->rank * sizeof *dims);
    if (!dims) return;
    dims[draw(m, tensor->rank)] = number(m);
    tensor->dims = dims;
  } else if (what <= 2 && tensor->has_raw && tensor->raw.length) {
    char* const bytes = kp_arena_memdup(m->arena, tensor->raw.data, tensor->raw.length);
    const size_t size = tensor->type == KAPELL_FLOAT ? 4 : 8, count = tensor->raw.length / size;
    if (!bytes) return;
    if (count) {
      fill(m, tensor->type, bytes + draw(m, count) * size, 1, size);
    } else {
      bytes[draw(m, tensor->raw.length)] ^= (char)(1u << draw(m, 8));
    }
    tensor->raw.data = bytes;
  } else {
    renew(m, tensor);
  }
}

static void add_initializer(mutator* m) {
  kp_onnx_graph* const g = m->graph;
  kp_onnx_tensor* const items = grown(m, g->initializers, g->initializer_count, sizeof *items);
  if (!items) return;
  items[g->initializer_count].name = fresh_name(m);
  renew(m, &items[g->initializer_count]);
  g->initializers = items;
  ++g->initializer_count;
  kp_onnx_node* const node = some_node(m);  // somebody should read it
  if (node && node->input_count)
    ((kp_str*)writable(node->inputs))[draw(m, node->input_count)] =
        items[g->initializer_count - 1].name;
}

// --- attributes ------------------------------------------------------------------------------------------------------------------
static void set_list(mutator* m, kp_onnx_attr* attr) {
  const bool keep = attr->count && draw(m, 3);
  const size_t count = keep ? attr->count : draw(m, 6);
  int64_t* const ints = kp_arena_array(m->arena, count + 1, sizeof *ints);
  float* const floats = kp_arena_array(m->arena, count + 1, sizeof *floats);
  if (!ints || !floats) return;
  const size_t one = draw(m, count);
  for (size_t i = 0; i < count; ++i) {
    ints[i] = keep && attr->ints && i != one ? attr->ints[i] : number(m);
    floats[i] = keep && attr->floats && i != one ? attr->floats[i] : real(m);
  }
  attr->count = count;
  attr->ints = attr->type == KP_ONNX_ATTR_INTS ? ints : NULL;
  attr->floats = attr->type == KP_ONNX_ATTR_FLOATS ? floats : NULL;
}

static void set_value(mutator* m, kp_onnx_attr* attr) {
  kp_onnx_tensor* tensor;
  switch (attr->type) {
    case KP_ONNX_ATTR_INT:
      attr->i = number(m);
      break;
    case KP_ONNX_ATTR_FLOAT:
      attr->f = real(m);
      break;
    case KP_ONNX_ATTR_STRING:
      attr->s = word(m);
      break;
    case KP_ONNX_ATTR_INTS:
    case KP_ONNX_ATTR_FLOATS:
      set_list(m, attr);
      break;
    case KP_ONNX_ATTR_TENSOR:
      tensor = kp_arena_new(m->arena, kp_onnx_tensor);
      if (tensor) renew(m, tensor), attr->t = tensor;
      break;
    default:
      break;
  }
}

static bool can_make(kp_onnx_attr_type type) {
  return type == KP_ONNX_ATTR_INT || type == KP_ONNX_ATTR_FLOAT || type == KP_ONNX_ATTR_STRING ||
         type == KP_ONNX_ATTR_INTS || type == KP_ONNX_ATTR_FLOATS || type == KP_ONNX_ATTR_TENSOR;
}

// Adds an attribute that the operator's schema has and the node has not.
static void add_attribute(mutator* m, kp_onnx_node* node) {
  const kp_op_schema* const schema = kp_schema_any(node->domain, node->op_type);
  if (!schema || !schema->attr_count) return;
  const kp_attr_schema wanted = kp_schema_attr(schema, draw(m, schema->attr_count));
  for (size_t i = 0; i < node->attr_count; ++i)
    if (kp_str_is(node->attrs[i].name, wanted.name)) return;
  kp_onnx_attr* const attrs =
      can_make(wanted.type) ? grown(m, node->attrs, node->attr_count, sizeof *attrs) : NULL;
  if (!attrs) return;
  kp_onnx_attr* const made = &attrs[node->attr_count];
  made->name = kp_str_of(wanted.name);
  made->type = wanted.type;
  set_value(m, made);
  if (made->type == KP_ONNX_ATTR_TENSOR && !made->t) return;
  node->attrs = attrs;
  ++node->attr_count;
}

static void change_attribute(mutator* m) {
  kp_onnx_node* const node = some_node(m);
  if (!node) return;
  kp_onnx_attr* const attrs = writable(node->attrs);
  const uint32_t what = node->attr_count ? draw(m, 5) : 0;
  if (what == 0) {
    add_attribute(m, node);
  } else if (what == 1) {
    attrs[draw(m, node->attr_count)] = attrs[node->attr_count - 1];
    --node->attr_count;
  } else {
    set_value(m, &attrs[draw(m, node->attr_count)]);
  }
}

// --- nodes -----------------------------------------------------------------------------------------------------------------------
static void rewire(mutator* m) {
  kp_onnx_node* const node = some_node(m);
  if (!node) return;
  const uint32_t what = draw(m, 8);
  kp_str* const inputs =
      what ? writable(node->inputs) : grown(m, node->inputs, node->input_count, sizeof *inputs);
  if (!inputs) return;
  node->inputs = inputs;
  if (what == 0) {
    inputs[node->input_count++] = value_name(m);
  } else if (node->input_count) {
    if (what == 1)
      --node->input_count;
    else
      inputs[draw(m, node->input_count)] = what == 2 ? (kp_str){0} : value_name(m);
  }
}

static void import(mutator* m, const char* domain) {
  for (size_t i = 0; i < m->model->opset_count; ++i)
    if (kp_str_is(m->model->opsets[i].domain, domain)) return;
  kp_onnx_opset* const opsets = grown(m, m->model->opsets, m->model->opset_count, sizeof *opsets);
  if (!opsets) return;
  opsets[m->model->opset_count] =
      (kp_onnx_opset){kp_str_of(domain), kp_schema_newest(kp_str_of(domain))};
  m->model->opsets = opsets;
  ++m->model->opset_count;
}

static const kp_op_schema* some_schema(mutator* m) {
  return kp_schema_at(draw(m, kp_schema_count()));
}

static void change_operator(mutator* m) {
  kp_onnx_node* const node = some_node(m);
  if (!node) return;
  for (int tries = 0; tries < 50; ++tries) {
    const kp_op_schema* const schema = some_schema(m);
    if (node->input_count < schema->min_inputs || node->input_count > schema->max_inputs) continue;
    node->op_type = kp_str_of(kp_schema_name(schema));
    node->domain = kp_str_of(kp_schema_domain(schema));
    import(m, kp_schema_domain(schema));
    return;
  }
}

static void add_output(mutator* m, kp_str name) {
  kp_onnx_graph* const g = m->graph;
  if (g != &m->model->graph) return;
  kp_onnx_value_info* const outputs = grown(m, g->outputs, g->output_count, sizeof *outputs);
  if (!outputs) return;
  outputs[g->output_count++].name = name;
  g->outputs = outputs;
}

static void add_node(mutator* m) {
  kp_onnx_graph* const g = m->graph;
  const kp_op_schema* const schema = some_schema(m);
  const size_t most =
      schema->max_inputs < schema->min_inputs + 3u ? schema->max_inputs : schema->min_inputs + 3u;
  kp_onnx_node* const nodes = grown(m, g->nodes, g->node_count, sizeof *nodes);
  kp_onnx_node made = {.op_type = kp_str_of(kp_schema_name(schema)),
                       .domain = kp_str_of(kp_schema_domain(schema)),
                       .name = fresh_name(m)};
  made.input_count = schema->min_inputs + draw(m, most - schema->min_inputs + 1);
  made.output_count = schema->min_outputs ? schema->min_outputs : 1;
  kp_str* const inputs = kp_arena_array(m->arena, made.input_count + 1, sizeof *inputs);
  kp_str* const outputs = kp_arena_array(m->arena, made.output_count, sizeof *outputs);
  if (!nodes || !inputs || !outputs) return;
  for (size_t i = 0; i < made.input_count; ++i) inputs[i] = value_name(m);
  for (size_t i = 0; i < made.output_count; ++i) outputs[i] = fresh_name(m);
  made.inputs = inputs;
  made.outputs = outputs;
  for (uint32_t i = 0; i < schema->attr_count; ++i)
    if (kp_schema_attr(schema, i).required || draw(m, 4) == 0) add_attribute(m, &made);
  nodes[g->node_count++] = made;
  g->nodes = nodes;
  add_output(m, outputs[0]);
  import(m, kp_schema_domain(schema));
}

static void reorder(mutator* m) {
  kp_onnx_node *const a = some_node(m), *const b = some_node(m);
  if (!a) return;
  kp_onnx_node* const nodes = writable(m->graph->nodes);
  const uint32_t what = draw(m, 3);
  if (what == 0) {
    *a = nodes[--m->graph->node_count];
  } else if (what == 1) {
    const kp_onnx_node swapped = *a;
    *a = *b, *b = swapped;
  } else if (a->output_count) {
    add_output(m, a->outputs[draw(m, a->output_count)]);
  }
}

// --- types and versions ------------------------------------------------------------------------------------------------------------
static void change_info(mutator* m) {
  kp_onnx_graph* const g = m->graph;
  const bool in = draw(m, 4) && g->input_count;
  const size_t count = in ? g->input_count : g->output_count;
  if (!count) return;
  kp_onnx_value_info* const info =
      (kp_onnx_value_info*)writable(in ? g->inputs : g->outputs) + draw(m, count);
  kp_onnx_type* const type = &info->type;
  static const int32_t elements[] = {KAPELL_FLOAT, KAPELL_INT64,  KAPELL_INT32,  KAPELL_BOOL,
                                     KAPELL_UINT8, KAPELL_STRING, KAPELL_FLOAT16};
  const uint32_t what = draw(m, 6);
  if (what == 0) {
    type->element = elements[draw(m, sizeof elements / sizeof *elements)];
  } else if (what == 1) {
    type->kind = KP_ONNX_TYPE_TENSOR;
    type->has_shape = !type->has_shape;
  } else {
    kp_onnx_dim* const dims = grown(m, type->dims, type->rank, sizeof *dims);
    if (!dims) return;
    if (what == 2) type->rank += type->rank < 6;
    if (what == 3) type->rank -= type->rank > 0;
    if (type->rank) {
      kp_onnx_dim* const dim = &dims[draw(m, type->rank)];
      *dim = draw(m, 2) ? (kp_onnx_dim){.value = number(m)}
                        : (kp_onnx_dim){.value = -1, .param = word(m)};
      if (dim->value < -1) dim->value = -1;
    }
    type->dims = dims;
    type->has_shape = true;
  }
}

static void change_version(mutator* m) {
  if (!m->model->opset_count) return;
  kp_onnx_opset* const opset =
      (kp_onnx_opset*)writable(m->model->opsets) + draw(m, m->model->opset_count);
  opset->version = draw(m, 4) ? 7 + draw(m, 20) : number(m);
}

// Goes into a body of control flow as often as not.
static void choose_graph(mutator* m) {
  m->graph = &m->model->graph;
  for (int depth = 0; depth < 4 && draw(m, 2); ++depth) {
    const kp_onnx_node* const node = some_node(m);
    for (size_t i = 0; node && i < node->attr_count; ++i)
      if (node->attrs[i].g) m->graph = writable(node->attrs[i].g);
  }
}

static void mutate(mutator* m) {
  static void (*const kinds[])(mutator*) = {
      change_initializer, change_initializer, add_initializer, change_attribute,
      change_attribute,   change_attribute,   rewire,          rewire,
      change_operator,    add_node,           add_node,        reorder,
      change_info,        change_info,        change_version};
  for (uint32_t left = 1 + draw(m, 4); left; --left) {
    choose_graph(m);
    kinds[draw(m, sizeof kinds / sizeof *kinds)](m);
  }
}

size_t kp_mutate_model(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  const kp_onnx_read_options options = {.max_memory = (size_t)16 << 20};
  mutator m = {.state = seed};
  void* bytes = NULL;
  size_t byte_count = 0;
  kp_status* status = NULL;
  if (draw(&m, 4) && (status = kp_onnx_read_bytes(data, size, &options, &m.model)) == NULL) {
    m.arena = &m.model->arena;
    mutate(&m);
    status = kp_onnx_write_bytes(m.model, &bytes, &byte_count);
  }
  const bool fits = !status && bytes && byte_count <= max_size;
  if (fits) memcpy(data, bytes, byte_count);
  kp_status_free(status);
  kp_onnx_model_close(m.model);
  kp_free(bytes);
  if (fits) return byte_count;
  return LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, max_size) : size;
}
