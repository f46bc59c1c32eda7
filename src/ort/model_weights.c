// Where the weights of a model that is written lie: inside of it, in one file beside it, or where its writer says, tensor by tensor.
//
// The decoder's structs lie in the message's arena, which is ours to change; only bytes of the file are not.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/size.h"
#include "onnx/data.h"
#include "onnx/reader.h"
#include "onnx/writer.h"
#include "ort/model.h"
#include "ort/value.h"

#define OWN(type, pointer) ((type*)(uintptr_t)(pointer))

typedef struct work {
  const kp_ort_weights* wanted;
  kp_onnx_model* model;
  FILE* file;        // of |wanted|, once there is something for it
  const char* path;  // under which it is written first: the model may read the one that it replaces
  uint64_t size;     // of what it holds
  bool changed;
} work;

static bool asks(const work* w) { return w->wanted->file || w->wanted->locate; }

// --- one tensor ------------------------------------------------------------------------------------------------------------------
static const kp_onnx_entry* find_entry(const kp_onnx_tensor* t, const char* key) {
  const kp_onnx_entry* found = NULL;  // of several the last counts
  for (size_t i = 0; i < t->external_count; ++i)
    if (kp_str_is(t->external_data[i].key, key)) found = &t->external_data[i];
  return found;
}

// Says that |t| lies at |offset| of |location|; texts are copied.
static kp_status* put_outside(work* w, kp_onnx_tensor* t, const char* location, uint64_t offset,
                              uint64_t length) {
  kp_arena* arena = &w->model->arena;
  kp_onnx_entry* entries = kp_arena_new_array(arena, kp_onnx_entry, 3);
  const char* texts[] = {kp_arena_strndup(arena, location, strlen(location)),
                         kp_arena_printf(arena, "%llu", (unsigned long long)offset),
                         kp_arena_printf(arena, "%llu", (unsigned long long)length)};
  static const char* const keys[] = {"location", "offset", "length"};
  if (!entries || !texts[0] || !texts[1] || !texts[2])
    return KP_ERROR(OUT_OF_MEMORY, "weights of a model");
  for (int i = 0; i < 3; ++i) entries[i] = (kp_onnx_entry){kp_str_of(keys[i]), kp_str_of(texts[i])};
  t->external = true;
  t->external_data = entries;
  t->external_count = 3;
  t->has_raw = false;
  t->raw = (kp_str){0};
  t->typed_fields = 0;
  t->body = NULL;
  w->changed = true;
  return NULL;
}

// Elements as the file has them; in the model's arena where they were not in the file so.
static kp_status* read_raw(work* w, const kp_onnx_tensor* t, kp_str* out) {
  const void* data;
  void* owned;
  size_t bytes, count;
  kp_onnx_tensor raw = {0};
  KP_PASS(kp_onnx_tensor_bytes(w->model, t, &data, &bytes, &owned));
  KP_PASS(kp_onnx_tensor_count(t, &count));
  void* kept =
      owned ? kp_arena_memdup(&w->model->arena, owned, bytes + !bytes) : (void*)(uintptr_t)data;
  kp_free(owned);
  if (!kept) return KP_ERROR(OUT_OF_MEMORY, "weights of a model");
  KP_PASS(kp_onnx_put_elements(&w->model->arena, (kapell_type)t->type, kept, count, &raw));
  *out = raw.raw;
  return NULL;
}

static kp_status* put_inside(work* w, kp_onnx_tensor* t) {
  if (!t->external) return NULL;
  kp_str raw;
  KP_PASS(read_raw(w, t, &raw));
  t->external = false;
  t->external_data = NULL;
  t->external_count = 0;
  t->has_raw = true;
  t->raw = raw;
  w->changed = true;
  return NULL;
}

// --- all into one file -----------------------------------------------------------------------------------------------------------
static kp_status* cannot_write(const work* w) {
  return KP_ERROR(IO, "the file of weights '%s' was not written: %s", w->wanted->path,
                  strerror(errno));
}

static kp_status* open_file(work* w) {
  w->path = kp_arena_printf(&w->model->arena, "%s.%ld.new", w->wanted->path, (long)getpid());
  if (!w->path) return KP_ERROR(OUT_OF_MEMORY, "weights of a model");
  w->file = fopen(w->path, "wb");
  return w->file ? NULL : cannot_write(w);
}

static kp_status* close_file(work* w) {
  FILE* file = w->file;
  w->file = NULL;
  if (!file) return NULL;
  return fclose(file) == 0 && rename(w->path, w->wanted->path) == 0 ? NULL : cannot_write(w);
}

static kp_status* append(work* w, kp_onnx_tensor* t) {
  static const char zeros[KP_ALIGNMENT];
  kp_str raw;
  KP_PASS(read_raw(w, t, &raw));
  if (raw.length < w->wanted->least) return put_inside(w, t);
  if (!w->file) KP_PASS(open_file(w));
  const size_t gap = (size_t)(-w->size % KP_ALIGNMENT);
  if (fwrite(zeros, 1, gap, w->file) != gap ||
      fwrite(raw.data, 1, raw.length, w->file) != raw.length)
    return cannot_write(w);
  const uint64_t offset = w->size + gap;
  w->size = offset + raw.length;
  return put_outside(w, t, w->wanted->file, offset, raw.length);
}

// --- where the writer says -------------------------------------------------------------------------------------------------------
static OrtStatus* describe_place(work* w, const kp_onnx_tensor* t, size_t bytes,
                                 OrtExternalInitializerInfo** out) {
  const kp_onnx_entry *location = find_entry(t, "location"), *offset = find_entry(t, "offset");
  *out = NULL;
  if (!t->external || !location) return NULL;
  const char* path =
      kp_arena_strndup(&w->model->arena, location->value.data, location->value.length);
  const char* number =
      offset ? kp_arena_strndup(&w->model->arena, offset->value.data, offset->value.length) : "0";
  if (!path || !number) return kp_ort_no_memory();
  return ort_CreateExternalInitializerInfo(path, strtoll(number, NULL, 10), bytes, out);
}

static OrtStatus* ask(work* w, const kp_onnx_tensor* t, OrtExternalInitializerInfo** out) {
  const char* name = kp_arena_strndup(&w->model->arena, t->name.data, t->name.length);
  OrtExternalInitializerInfo* place = NULL;
  OrtValue* value = NULL;
  kapell_value* tensor;
  const void* data;
  void* owned;
  size_t bytes;
  *out = NULL;
  if (!name) return kp_ort_no_memory();
  KP_ORT_TAKE(kp_onnx_tensor_bytes(w->model, t, &data, &bytes, &owned));
  OrtStatus* status = kp_ort_tensor_over(t->dims, t->rank, kp_ort_type_of((kapell_type)t->type),
                                         (void*)(uintptr_t)data, bytes, NULL, &tensor);
  if (!status) status = kp_ort_value_wrap(tensor, &value);
  if (!status) status = describe_place(w, t, bytes, &place);
  if (!status) status = w->wanted->locate(w->wanted->state, name, value, place, out);
  ort_ReleaseExternalInitializerInfo(place);
  ort_ReleaseValue(value);
  kp_free(owned);
  return status;
}

static OrtStatus* locate(work* w, kp_onnx_tensor* t) {
  OrtExternalInitializerInfo* chosen;
  KP_ORT_PASS(ask(w, t, &chosen));
  OrtStatus* status = kp_ort_status(
      chosen ? put_outside(w, t, ort_ExternalInitializerInfo_GetFilePath(chosen),
                           (uint64_t)ort_ExternalInitializerInfo_GetFileOffset(chosen),
                           ort_ExternalInitializerInfo_GetByteSize(chosen))
             : put_inside(w, t));
  ort_ReleaseExternalInitializerInfo(chosen);
  return status;
}

static OrtStatus* place(work* w, kp_onnx_tensor* t) {
  if (t->type == KAPELL_STRING) return NULL;
  if (w->wanted->locate) return locate(w, t);
  return kp_ort_status(w->wanted->file ? append(w, t) : put_inside(w, t));
}

// --- graphs ----------------------------------------------------------------------------------------------------------------------
// The tensor that |node| gives as a constant, if it could be an initializer.
static const kp_onnx_tensor* constant_of(const kp_onnx_node* node) {
  if (!kp_str_is(node->op_type, "Constant") || node->output_count != 1 || node->attr_count != 1 ||
      (node->domain.length && !kp_str_is(node->domain, "ai.onnx")))
    return NULL;
  const kp_onnx_attr* attr = &node->attrs[0];
  return attr->type == KP_ONNX_ATTR_TENSOR && attr->t && attr->t->type != KAPELL_STRING &&
                 !attr->ref_name.length
             ? attr->t
             : NULL;
}

// Constants become initializers, as ONNX Runtime has them, so that their place can be chosen too.
static kp_status* lift_constants(work* w, kp_onnx_graph* graph) {
  kp_onnx_tensor* tensors = kp_arena_new_array(&w->model->arena, kp_onnx_tensor,
                                               graph->initializer_count + graph->node_count + 1);
  if (!tensors) return KP_ERROR(OUT_OF_MEMORY, "weights of a model");
  if (graph->initializer_count)
    memcpy(tensors, graph->initializers, graph->initializer_count * sizeof *tensors);
  kp_onnx_node* nodes = OWN(kp_onnx_node, graph->nodes);
  size_t kept = 0;
  for (size_t n = 0; n < graph->node_count; ++n) {
    const kp_onnx_tensor* constant = constant_of(&nodes[n]);
    if (constant) {
      tensors[graph->initializer_count] = *constant;
      tensors[graph->initializer_count++].name = nodes[n].outputs[0];
    } else {
      nodes[kept++] = nodes[n];
    }
  }
  w->changed |= kept != graph->node_count;
  graph->node_count = kept;
  graph->initializers = tensors;
  return NULL;
}

// Those of bodies come first, as ONNX Runtime has them.
static OrtStatus* place_all(work* w, kp_onnx_graph* graph) {
  if (asks(w)) KP_ORT_TAKE(lift_constants(w, graph));
  for (size_t n = 0; n < graph->node_count; ++n) {
    for (size_t a = 0; a < graph->nodes[n].attr_count; ++a) {
      const kp_onnx_attr* attr = &graph->nodes[n].attrs[a];
      if (attr->type == KP_ONNX_ATTR_GRAPH && attr->g)
        KP_ORT_PASS(place_all(w, OWN(kp_onnx_graph, attr->g)));
      for (size_t g = 0; attr->type == KP_ONNX_ATTR_GRAPHS && g < attr->count; ++g)
        KP_ORT_PASS(place_all(w, OWN(kp_onnx_graph, &attr->graphs[g])));
    }
  }
  for (size_t i = 0; i < graph->initializer_count; ++i)
    KP_ORT_PASS(place(w, OWN(kp_onnx_tensor, &graph->initializers[i])));
  return NULL;
}

static OrtStatus* write_model(work* w, void** out_bytes, size_t* out_size) {
  KP_ORT_PASS(place_all(w, &w->model->graph));
  KP_ORT_TAKE(close_file(w));
  if (!w->changed) return NULL;
  if (w->model->ir_version < 4) w->model->ir_version = 4;  // initializers that are no inputs
  return kp_ort_status(kp_onnx_write_bytes(w->model, out_bytes, out_size));
}

OrtStatus* kp_ort_model_place_weights(const char* path, const void* data, size_t size,
                                      const char* external_folder, const kp_ort_weights* wanted,
                                      void** out_bytes, size_t* out_size) {
  const kp_onnx_read_options options = {.borrow_bytes = true, .external_folder = external_folder};
  work w = {.wanted = wanted};
  *out_bytes = NULL;
  KP_ORT_TAKE(path ? kp_onnx_read_file(path, &options, &w.model)
                   : kp_onnx_read_bytes(data, size, &options, &w.model));
  OrtStatus* status = write_model(&w, out_bytes, out_size);
  if (w.file) fclose(w.file);
  if (status && w.path) (void)unlink(w.path);
  kp_onnx_model_close(w.model);
  return status;
}
