// Models made by clients: the model editor's objects, and what becomes a file's messages on the way to a session.
#ifndef KP_ORT_MODEL_H_
#define KP_ORT_MODEL_H_

#include "onnx/model.h"
#include "ort/graph_object.h"

// Values that clients make are plain OrtValueInfo, name and type their own.

typedef struct kp_ort_made_node {
  OrtNode base;    // first
  kp_arena arena;  // all below, and the texts of |base|
  kp_str *inputs, *outputs;
  size_t input_count, output_count;
  OrtOpAttr** attrs;  // owned, each
  size_t attr_count;
} kp_ort_made_node;

typedef struct kp_ort_graph_tensor {
  char* name;
  OrtValue* value;  // owned
} kp_ort_graph_tensor;

typedef struct kp_ort_made_graph {
  OrtGraph base;                     // first
  const OrtModel* model;             // NULL: in none yet
  OrtValueInfo **inputs, **outputs;  // owned
  size_t input_count, output_count;
  bool has_inputs, has_outputs;  // were set
  kp_ort_graph_tensor* initializers;
  size_t initializer_count;
  kp_ort_made_node** nodes;  // owned
  size_t node_count;
  OrtValueInfo**
      inner;  // owned: values that have a name alone, made when they are asked for (model_graph.c)
  size_t inner_count;
  kp_arena lists;  // of |base|, its nodes and values
} kp_ort_made_graph;

extern const kp_ort_graph_kind kp_ort_made_kind;
void kp_ort_made_release(OrtGraph* object);  // of that kind

// NULL for one that no client made.
kp_ort_made_node* kp_ort_made_node_of(const OrtNode* node);
kp_ort_made_graph* kp_ort_made_graph_of(const OrtGraph* graph);
// What was filled no longer holds: |graph| is changed.
void kp_ort_made_changed(kp_ort_made_graph* graph);

struct OrtModel {
  kp_onnx_opset* opsets;  // texts are heap copies
  size_t opset_count;
  kp_ort_made_graph* graph;  // owned; NULL until one is added
};

// An operator that kernels invoke. |session| and its key are the caller's of kp_ort_op_model to keep.
struct OrtOp {
  kp_arena arena;
  const char *name, *domain;
  int version;
  OrtOpAttr** attrs;  // owned, each; |arena|
  size_t attr_count, input_count, output_count;
  void* sessions;  // the drop-in's
};

// Is there such an operator? An error if not.
OrtStatus* kp_ort_op_exists(const char* name, const char* domain, int version);
// Serialises a model of the one node, with inputs "i0", "i1", ... of the types of |inputs| (NULL: absent) and outputs "o0", ...
// kp_free *out_bytes.
OrtStatus* kp_ort_op_model(const OrtOp* op, const OrtValue* const* inputs, void** out_bytes,
                           size_t* out_size);
// Serialises |model|, which must have a graph with inputs and outputs.
OrtStatus* kp_ort_model_bytes(const OrtModel* model, void** out_bytes, size_t* out_size);

// Adds the initializers that are not serialised to what sessions with |options| are given.
OrtStatus* kp_ort_model_lend(const OrtModel* model, OrtSessionOptions* options);

// Where the initializers of a model that is written are to lie. All of it NULL: inside.
typedef struct kp_ort_weights {
  const char*
      file;  // those of |least| bytes and more: in this file, by the name that the model gives it,
  const char* path;  // which is to be written here
  size_t least;
  OrtGetInitializerLocationFunc locate;  // or: where this says, which writes them itself
  void* state;
} kp_ort_weights;

// The model (exactly one of |path| and |data|) with its weights there, serialised: kp_free *out_bytes; NULL: as it is. External data comes
// from |external_folder| (NULL: the model's own).
OrtStatus* kp_ort_model_place_weights(const char* path, const void* data, size_t size,
                                      const char* external_folder, const kp_ort_weights* wanted,
                                      void** out_bytes, size_t* out_size);

// A model that is being augmented.
typedef struct kp_ort_editor kp_ort_editor;
// Exactly one of |path| and |data| (copied) is given.
OrtStatus* kp_ort_editor_open(const char* path, const void* data, size_t size, kp_ort_editor** out);
OrtStatus* kp_ort_editor_apply(kp_ort_editor* editor, const OrtModel* model);
OrtStatus* kp_ort_editor_lend(const kp_ort_editor* editor, OrtSessionOptions* options);
OrtStatus* kp_ort_editor_bytes(const kp_ort_editor* editor, void** out_bytes, size_t* out_size);
OrtStatus* kp_ort_editor_opset(const kp_ort_editor* editor, const char* domain, int* out_version);
// A copy of a metadata entry in |allocator|'s memory; NULL where there is none.
OrtStatus* kp_ort_editor_metadata(const kp_ort_editor* editor, const char* key,
                                  OrtAllocator* allocator, char** out);
// Folder of the model's file, or NULL.
const char* kp_ort_editor_folder(const kp_ort_editor* editor);
void kp_ort_editor_free(kp_ort_editor* editor);  // NULL is fine

#endif  // KP_ORT_MODEL_H_
