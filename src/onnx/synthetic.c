// Draws the weights of a model anew; see synthetic.h for the rule.
//
// The decoder's structs lie in the model's arena, which is ours to change; only bytes of the file are not.
#include "onnx/synthetic.h"

#include <math.h>

#include "base/alloc.h"
#include "base/element.h"
#include "base/types.h"
#include "onnx/reader.h"
#include "onnx/writer.h"

typedef struct work {
  kp_onnx_model* model;
  kp_onnx_synthesis* synthesis;
  kp_interner sizes;  // names of values that are sizes: inputs of Resize and Upsample
  uint64_t state;     // of the generator
} work;

#define OWN(type, pointer) ((type*)(uintptr_t)(pointer))

static kp_status* no_memory(void) { return KP_ERROR(OUT_OF_MEMORY, "a model to hand on"); }

// --- numbers -----------------------------------------------------------------------------------------------------------------
// splitmix64, as a number in [0, 1).
static double uniform(work* w) {
  uint64_t z = (w->state += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

typedef struct spread {  // of the finite elements that are not zero
  double mean, deviation, low, high;
  size_t count;
} spread;

static bool stays(double v) { return v == 0 || !isfinite(v); }

static spread measure(kapell_type type, const void* data, size_t count) {
  spread s = {.low = INFINITY, .high = -INFINITY};
  double squares = 0;
  for (size_t i = 0; i < count; ++i) {
    const double v = kp_element_get(type, data, i);
    if (stays(v)) continue;
    const double step = v - s.mean;  // Welford's sums: no cancellation
    s.mean += step / (double)++s.count;
    squares += step * (v - s.mean);
    s.low = fmin(s.low, v);
    s.high = fmax(s.high, v);
  }
  s.deviation = s.count ? sqrt(squares / (double)s.count) : 0;
  if (!isfinite(s.deviation)) s.deviation = 0;
  return s;
}

// Three uniform numbers added up are normal enough, and have no far tails. What the type rounds to zero becomes a bound, which is
// not zero.
static void draw(work* w, kapell_type type, void* data, size_t count) {
  const spread s = measure(type, data, count);
  for (size_t i = 0; i < count; ++i) {
    if (stays(kp_element_get(type, data, i))) continue;
    const double u = 2 * (uniform(w) + uniform(w) + uniform(w)) - 3;
    const double v = fmin(fmax(s.mean + s.deviation * u, s.low), s.high);
    kp_element_set(type, data, i, v);
    if (kp_element_get(type, data, i) == 0) kp_element_set(type, data, i, v < 0 ? s.low : s.high);
    if (kp_element_get(type, data, i) == 0) kp_element_set(type, data, i, v < 0 ? s.high : s.low);
  }
}

static bool has_negative(kapell_type type, const void* data, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (kp_element_get(type, data, i) < 0) return true;
  return false;
}

// Indices, shapes, flags and single numbers steer what a model does: they stay.
static bool steers(kapell_type type, const void* data, size_t count) {
  switch (type) {
    case KAPELL_BOOL:
    case KAPELL_INT64:
    case KAPELL_UINT64:
    case KAPELL_UINT32:
      return true;
    case KAPELL_INT32:
      return count <= 1 || !has_negative(type, data, count);
    default:
      return count <= 1;
  }
}

// --- what is dropped ------------------------------------------------------------------------------------------------------------
static void forget(const work* w, kp_str* doc, size_t* metadata_count) {
  if (w->synthesis->keep_metadata) return;
  *doc = (kp_str){0};
  if (metadata_count) *metadata_count = 0;
}

// --- texts ---------------------------------------------------------------------------------------------------------------------
static kp_status* redraw_string(work* w, kp_str* text) {
  if (text->length == 0) return NULL;
  char* letters = kp_arena_alloc(&w->model->arena, text->length);
  if (!letters) return no_memory();
  uint64_t hash = kp_hash_bytes(text->data, text->length, w->synthesis->salt);
  for (size_t i = 0; i < text->length; ++i) {
    if (i % 8 == 7) hash = kp_hash_bytes(&hash, sizeof(hash), w->synthesis->salt);
    letters[i] = (char)('a' + hash % 26);
    hash /= 26;
  }
  text->data = letters;
  w->synthesis->strings++;
  return NULL;
}

static kp_status* redraw_strings(work* w, const kp_str* from, size_t count,
                                 const kp_str** out_strings) {
  kp_str* strings = kp_arena_new_array(&w->model->arena, kp_str, count + 1);
  if (!strings) return no_memory();
  for (size_t i = 0; i < count; ++i) {
    strings[i] = from[i];
    KP_PASS(redraw_string(w, &strings[i]));
  }
  *out_strings = strings;
  return NULL;
}

// --- tensors -------------------------------------------------------------------------------------------------------------------
// A complex number is two of its parts.
static void redraw_numbers(work* w, const kp_onnx_tensor* t, void* data, size_t count, bool keep) {
  kapell_type type = (kapell_type)t->type;
  if (type == KAPELL_COMPLEX64 || type == KAPELL_COMPLEX128) {
    type = type == KAPELL_COMPLEX64 ? KAPELL_FLOAT : KAPELL_DOUBLE;
    count *= 2;
  }
  keep = keep || steers(type, data, count);
  w->synthesis->kept += keep;
  w->synthesis->replaced += !keep;
  if (!keep) draw(w, type, data, count);
}

static void forget_source(work* w, kp_onnx_tensor* t) {
  w->synthesis->external += t->external;
  t->external = false;
  t->external_data = NULL;
  t->external_count = 0;
  t->typed_fields = 0;
  t->body = NULL;
}

static kp_status* redraw_tensor(work* w, kp_onnx_tensor* t, bool keep) {
  size_t count, size;
  forget(w, &t->doc, &t->metadata_count);
  if (t->type == KAPELL_STRING) {
    const kp_str* strings;
    KP_PASS(kp_onnx_tensor_strings(t, &strings, &count));
    w->synthesis->replaced++;
    return redraw_strings(w, strings, count, &t->strings);
  }
  const void* data;
  void* owned;
  KP_PASS(kp_onnx_tensor_count(t, &count));
  KP_PASS(kp_onnx_tensor_bytes(w->model, t, &data, &size, &owned));
  void* copy = kp_arena_alloc(&w->model->arena, size + 1);
  if (copy && size) memcpy(copy, data, size);
  kp_free(owned);
  if (!copy) return no_memory();
  redraw_numbers(w, t, copy, count, keep);
  forget_source(w, t);
  return kp_onnx_put_elements(&w->model->arena, (kapell_type)t->type, copy, count, t);
}

static kp_status* redraw_tensors(work* w, const kp_onnx_tensor* tensors, size_t count) {
  for (size_t i = 0; i < count; ++i)
    KP_PASS(redraw_tensor(w, OWN(kp_onnx_tensor, &tensors[i]),
                          kp_intern_find(&w->sizes, tensors[i].name) != NULL));
  return NULL;
}

static kp_status* redraw_sparse(work* w, const kp_onnx_sparse* sparse, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    kp_onnx_sparse* s = OWN(kp_onnx_sparse, &sparse[i]);
    KP_PASS(redraw_tensor(w, &s->values, false));
    KP_PASS(redraw_tensor(w, &s->indices, true));
  }
  return NULL;
}

// --- attributes ------------------------------------------------------------------------------------------------------------------
static kp_status* redraw_graph(work* w, kp_onnx_graph* graph);

static bool is_one_of(kp_str name, const char* const* list) {
  while (*list && !kp_str_is(name, *list)) ++list;
  return *list != NULL;
}

static bool lists_words(const kp_onnx_attr* a) {
  static const char* const kNames[] = {"classlabels_strings", "cats_strings",  "keys_strings",
                                       "values_strings",      "pool_strings",  "string_vocabulary",
                                       "classes_strings",     "stopwords",     "value_strings",
                                       "keys_as_tensor",      "label_strings", NULL};
  return is_one_of(a->name, kNames);
}

static bool lists_weights(const kp_onnx_node* node, const kp_onnx_attr* a) {
  static const char* const kNames[] = {"value_floats", "weights", NULL};
  return kp_str_is(node->domain, "ai.onnx.ml") || is_one_of(a->name, kNames);
}

static kp_status* redraw_floats(work* w, kp_onnx_attr* a) {
  float* floats = kp_arena_memdup(&w->model->arena, a->floats, a->count * sizeof(*floats));
  if (!floats) return a->count ? no_memory() : NULL;
  draw(w, KAPELL_FLOAT, floats, a->count);
  a->floats = floats;
  w->synthesis->replaced++;
  return NULL;
}

static kp_status* redraw_attr(work* w, const kp_onnx_node* node, kp_onnx_attr* a, bool keep) {
  forget(w, &a->doc, NULL);
  switch (a->type) {
    case KP_ONNX_ATTR_STRING:
      return kp_str_is(a->name, "value_string") ? redraw_string(w, &a->s) : NULL;
    case KP_ONNX_ATTR_STRINGS:
      return lists_words(a) ? redraw_strings(w, a->strings, a->count, &a->strings) : NULL;
    case KP_ONNX_ATTR_FLOATS:
      return lists_weights(node, a) && !keep && a->count > 1 ? redraw_floats(w, a) : NULL;
    case KP_ONNX_ATTR_TENSOR:
      return a->t ? redraw_tensor(w, OWN(kp_onnx_tensor, a->t), keep) : NULL;
    case KP_ONNX_ATTR_TENSORS:
      return redraw_tensors(w, a->tensors, a->count);
    case KP_ONNX_ATTR_SPARSE_TENSOR:
      return a->sparse ? redraw_sparse(w, a->sparse, 1) : NULL;
    case KP_ONNX_ATTR_SPARSE_TENSORS:
      return redraw_sparse(w, a->sparses, a->count);
    case KP_ONNX_ATTR_GRAPH:
      return a->g ? redraw_graph(w, OWN(kp_onnx_graph, a->g)) : NULL;
    case KP_ONNX_ATTR_GRAPHS:
      for (size_t i = 0; i < a->count; ++i)
        KP_PASS(redraw_graph(w, OWN(kp_onnx_graph, &a->graphs[i])));
      return NULL;
    default:
      return NULL;
  }
}

static kp_status* redraw_nodes(work* w, const kp_onnx_node* nodes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    kp_onnx_node* node = OWN(kp_onnx_node, &nodes[i]);
    const bool keep = node->output_count && kp_intern_find(&w->sizes, node->outputs[0]);
    forget(w, &node->doc, &node->metadata_count);
    for (size_t k = 0; k < node->attr_count; ++k)
      KP_TRY(redraw_attr(w, node, OWN(kp_onnx_attr, &node->attrs[k]), keep),
             "attribute '%.*s' of node '%.*s'", KP_STR_ARG(node->attrs[k].name),
             KP_STR_ARG(node->name));
  }
  return NULL;
}

// --- graphs ------------------------------------------------------------------------------------------------------------------------
// The names of what Resize and Upsample take beside the picture, in |nodes| and the bodies under them.
static kp_status* find_sizes(work* w, const kp_onnx_node* nodes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const kp_onnx_node* node = &nodes[i];
    const bool resizes = kp_str_is(node->op_type, "Resize") || kp_str_is(node->op_type, "Upsample");
    for (size_t k = 1; resizes && k < node->input_count; ++k)
      if (!kp_intern(&w->sizes, node->inputs[k])) return no_memory();
    for (size_t k = 0; k < node->attr_count; ++k) {
      const kp_onnx_attr* a = &node->attrs[k];
      if (a->type == KP_ONNX_ATTR_GRAPH && a->g)
        KP_PASS(find_sizes(w, a->g->nodes, a->g->node_count));
    }
  }
  return NULL;
}

static void forget_infos(const work* w, const kp_onnx_value_info* infos, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    kp_onnx_value_info* info = OWN(kp_onnx_value_info, &infos[i]);
    forget(w, &info->doc, &info->metadata_count);
  }
}

static kp_status* redraw_graph(work* w, kp_onnx_graph* graph) {
  forget(w, &graph->doc, &graph->metadata_count);
  forget_infos(w, graph->inputs, graph->input_count);
  forget_infos(w, graph->outputs, graph->output_count);
  forget_infos(w, graph->value_infos, graph->value_info_count);
  KP_PASS(redraw_tensors(w, graph->initializers, graph->initializer_count));
  KP_PASS(redraw_sparse(w, graph->sparse_initializers, graph->sparse_count));
  return redraw_nodes(w, graph->nodes, graph->node_count);
}

static kp_status* redraw_model(work* w) {
  kp_onnx_model* model = w->model;
  KP_PASS(find_sizes(w, model->graph.nodes, model->graph.node_count));
  for (size_t i = 0; i < model->function_count; ++i)
    KP_PASS(find_sizes(w, model->functions[i].nodes, model->functions[i].node_count));
  KP_PASS(redraw_graph(w, &model->graph));
  for (size_t i = 0; i < model->function_count; ++i) {
    kp_onnx_function* f = OWN(kp_onnx_function, &model->functions[i]);
    forget(w, &f->doc, &f->metadata_count);
    forget_infos(w, f->value_infos, f->value_info_count);
    KP_PASS(redraw_nodes(w, f->nodes, f->node_count));
  }
  return NULL;
}

kp_status* kp_onnx_synthesise(kp_onnx_model* model, kp_onnx_synthesis* synthesis) {
  work w = {.model = model, .synthesis = synthesis, .state = 1};
  model->training_count = 0;
  forget(&w, &model->doc, &model->metadata_count);
  kp_interner_init(&w.sizes);
  kp_status* const status = redraw_model(&w);
  kp_interner_free(&w.sizes);
  return status;
}
