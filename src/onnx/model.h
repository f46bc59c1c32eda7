// An ONNX model as the file has it: the messages of onnx.proto as plain structs, read without copying. Models in ONNX Runtime's own
// format become the same structs.
//
// Strings and raw tensor bytes are views into the file's bytes (kp_onnx_model keeps them alive). Arrays and structs live
// in the model's arena. Nothing here knows operators; graph/ turns this into kp_graph.
// Source: onnx.proto, IR version 14. Unknown fields are skipped by the wire format's rules.
// Threads: read-only after reading, so any.
#ifndef KP_ONNX_MODEL_H_
#define KP_ONNX_MODEL_H_

#include "base/arena.h"
#include "base/file.h"
#include "base/status.h"
#include "base/str.h"

typedef struct kp_onnx_graph kp_onnx_graph;
typedef struct kp_onnx_type kp_onnx_type;

typedef struct kp_onnx_entry {  // StringStringEntryProto
  kp_str key, value;
} kp_onnx_entry;

typedef struct kp_onnx_dim {  // TensorShapeProto.Dimension
  int64_t value;              // >= 0 known; -1 where only a parameter name, or nothing, is given
  kp_str param;               // symbolic name, may be empty
  kp_str denotation;
} kp_onnx_dim;

// TensorProto. The elements stay in the file: kp_onnx_tensor_bytes (reader.h) gives them in memory's layout, whichever of
// the raw, typed and external forms holds them. To make one for the writer: name, type, dims, has_raw and raw.
typedef struct kp_onnx_tensor {
  kp_str name, doc;
  int32_t type;  // as in the file; may be a number this build does not know
  bool has_raw;
  bool external;          // data_location == EXTERNAL
  bool has_segment;       // deprecated chunking: refused when the data is asked for
  uint16_t typed_fields;  // bit n: typed field number n (float_data = 4, ...) occurs in |body|
  const int64_t* dims;
  size_t rank;
  kp_str raw;                       // little-endian, dense; view into the file
  const struct kp_wire_span* body;  // the message, where typed_fields != 0; decoded on demand
  const kp_str* strings;
  size_t string_count;
  const kp_onnx_entry* external_data;
  size_t external_count;
  kp_str segment;  // the Segment message, not parsed
  const kp_onnx_entry* metadata;
  size_t metadata_count;
} kp_onnx_tensor;

typedef struct kp_onnx_sparse {  // SparseTensorProto
  kp_onnx_tensor values, indices;
  const int64_t* dims;
  size_t rank;
} kp_onnx_sparse;

typedef enum kp_onnx_type_kind {
  KP_ONNX_TYPE_NONE = 0,
  KP_ONNX_TYPE_TENSOR,
  KP_ONNX_TYPE_SPARSE,
  KP_ONNX_TYPE_SEQUENCE,
  KP_ONNX_TYPE_MAP,
  KP_ONNX_TYPE_OPTIONAL,
  KP_ONNX_TYPE_OPAQUE
} kp_onnx_type_kind;

struct kp_onnx_type {  // TypeProto
  kp_onnx_type_kind kind;
  int32_t element;  // tensor, sparse: element type; map: key type
  bool has_shape;
  const kp_onnx_dim* dims;
  size_t rank;
  const kp_onnx_type* inner;  // sequence, optional: element; map: value
  kp_str denotation;
  kp_str opaque_domain, opaque_name;
};

typedef struct kp_onnx_value_info {  // ValueInfoProto
  kp_str name, doc;
  kp_onnx_type type;  // kind NONE where the file gives none
  const kp_onnx_entry* metadata;
  size_t metadata_count;
} kp_onnx_value_info;

typedef enum kp_onnx_attr_type {  // AttributeProto.AttributeType
  KP_ONNX_ATTR_UNDEFINED = 0,
  KP_ONNX_ATTR_FLOAT = 1,
  KP_ONNX_ATTR_INT = 2,
  KP_ONNX_ATTR_STRING = 3,
  KP_ONNX_ATTR_TENSOR = 4,
  KP_ONNX_ATTR_GRAPH = 5,
  KP_ONNX_ATTR_FLOATS = 6,
  KP_ONNX_ATTR_INTS = 7,
  KP_ONNX_ATTR_STRINGS = 8,
  KP_ONNX_ATTR_TENSORS = 9,
  KP_ONNX_ATTR_GRAPHS = 10,
  KP_ONNX_ATTR_SPARSE_TENSOR = 11,
  KP_ONNX_ATTR_SPARSE_TENSORS = 12,
  KP_ONNX_ATTR_TYPE_PROTO = 13,
  KP_ONNX_ATTR_TYPE_PROTOS = 14
} kp_onnx_attr_type;

// AttributeProto. Only the member that |type| names is set; further ones that a file may have are not read.
typedef struct kp_onnx_attr {
  kp_str name, ref_name, doc;
  kp_onnx_attr_type
      type;  // inferred from the field present where old files leave it out; UNDEFINED: no value at all
  float f;
  int64_t i;
  kp_str s;
  const kp_onnx_tensor* t;
  const kp_onnx_graph* g;
  const kp_onnx_sparse* sparse;
  const kp_onnx_type* tp;
  size_t count;  // of whichever list below is used
  const float* floats;
  const int64_t* ints;
  const kp_str* strings;
  const kp_onnx_tensor* tensors;
  const kp_onnx_graph* graphs;
  const kp_onnx_sparse* sparses;
  const kp_onnx_type* tps;
} kp_onnx_attr;

// --- multi-device configuration: read and written back, without effect here ---------------------------------------------
typedef struct kp_onnx_index_group {  // IntIntListEntryProto
  int64_t key;
  const int64_t* values;
  size_t value_count;
} kp_onnx_index_group;

typedef struct kp_onnx_simple_sharding {  // SimpleShardedDimProto
  int64_t value;                          // -1 where a parameter name, or nothing, is given
  kp_str param;
  int64_t shard_count;
} kp_onnx_simple_sharding;

typedef struct kp_onnx_sharded_dim {  // ShardedDimProto
  int64_t axis;
  const kp_onnx_simple_sharding* shardings;
  size_t sharding_count;
} kp_onnx_sharded_dim;

typedef struct kp_onnx_sharding {  // ShardingSpecProto
  kp_str tensor;
  const int64_t* devices;
  size_t device_count;
  const kp_onnx_index_group* groups;
  size_t group_count;
  const kp_onnx_sharded_dim* dims;
  size_t dim_count;
} kp_onnx_sharding;

typedef struct kp_onnx_node_device {  // NodeDeviceConfigurationProto
  kp_str configuration;
  const kp_onnx_sharding* shardings;
  size_t sharding_count;
  int32_t pipeline_stage;
} kp_onnx_node_device;

typedef struct kp_onnx_device {  // DeviceConfigurationProto
  kp_str name;
  int32_t count;
  const kp_str* devices;
  size_t device_count;
} kp_onnx_device;

// --- nodes and graphs ----------------------------------------------------------------------------------------------------
typedef struct kp_onnx_node {  // NodeProto
  kp_str name, op_type, domain, overload, doc;
  const kp_str* inputs;  // "" = absent optional
  size_t input_count;
  const kp_str* outputs;
  size_t output_count;
  const kp_onnx_attr* attrs;
  size_t attr_count;
  const kp_onnx_entry* metadata;
  size_t metadata_count;
  const kp_onnx_node_device* devices;
  size_t device_count;
} kp_onnx_node;

typedef struct kp_onnx_annotation {  // TensorAnnotation
  kp_str tensor;
  const kp_onnx_entry* quant_params;
  size_t quant_param_count;
} kp_onnx_annotation;

struct kp_onnx_graph {  // GraphProto
  kp_str name, doc;
  const kp_onnx_node* nodes;
  size_t node_count;
  const kp_onnx_tensor* initializers;
  size_t initializer_count;
  const kp_onnx_sparse* sparse_initializers;
  size_t sparse_count;
  const kp_onnx_value_info* inputs;
  size_t input_count;
  const kp_onnx_value_info* outputs;
  size_t output_count;
  const kp_onnx_value_info* value_infos;
  size_t value_info_count;
  const kp_onnx_annotation* annotations;
  size_t annotation_count;
  const kp_onnx_entry* metadata;
  size_t metadata_count;
};

typedef struct kp_onnx_opset {
  kp_str domain;  // "" = ai.onnx
  int64_t version;
} kp_onnx_opset;

typedef struct kp_onnx_function {  // FunctionProto
  kp_str name, domain, overload, doc;
  const kp_str* inputs;
  size_t input_count;
  const kp_str* outputs;
  size_t output_count;
  const kp_str* attr_names;  // without default
  size_t attr_name_count;
  const kp_onnx_attr* attrs;  // with default
  size_t attr_count;
  const kp_onnx_node* nodes;
  size_t node_count;
  const kp_onnx_opset* opsets;
  size_t opset_count;
  const kp_onnx_value_info* value_infos;
  size_t value_info_count;
  const kp_onnx_entry* metadata;
  size_t metadata_count;
} kp_onnx_function;

typedef struct kp_onnx_training {  // TrainingInfoProto: read and written back, never run
  kp_onnx_graph initialization, algorithm;
  const kp_onnx_entry* initialization_bindings;
  size_t initialization_binding_count;
  const kp_onnx_entry* update_bindings;
  size_t update_binding_count;
} kp_onnx_training;

typedef struct kp_onnx_model {
  kp_arena arena;
  kp_file* file;             // keeps the bytes alive; NULL for bytes in memory
  void* copy;                // owned copy of bytes given in memory
  kp_str ort_format;         // version of ONNX Runtime's own format; empty: the file is an .onnx
  const char* path;          // as given, for messages; NULL for bytes
  kp_folder* folder;         // external data is opened under it; NULL = no file access
  kp_folder** more_folders;  // that links may lead to, handed over by the caller; owned
  size_t more_folder_count;
  bool contain_strictly;
  struct kp_onnx_externals* externals;            // files mapped so far; guarded by its own lock
  const struct kapell_memory_file* memory_files;  // looked at before |folder|; the opener's
  size_t memory_file_count;
  int64_t ir_version;
  int64_t model_version;
  kp_str producer_name, producer_version, domain, doc;
  const kp_onnx_opset* opsets;
  size_t opset_count;
  bool has_graph;
  kp_onnx_graph graph;
  const kp_onnx_function* functions;
  size_t function_count;
  const kp_onnx_entry* metadata;
  size_t metadata_count;
  const kp_onnx_training* trainings;
  size_t training_count;
  const kp_onnx_device* devices;
  size_t device_count;
} kp_onnx_model;

#endif  // KP_ONNX_MODEL_H_
