// The messages of onnx-data.proto as structs, for data.c and the table in fields.c.
#ifndef KP_ONNX_DATA_MESSAGES_H_
#define KP_ONNX_DATA_MESSAGES_H_

#include "onnx/model.h"

typedef enum kp_onnx_data_type {  // SequenceProto.DataType, OptionalProto.DataType
  KP_ONNX_DATA_UNDEFINED = 0,
  KP_ONNX_DATA_TENSOR = 1,
  KP_ONNX_DATA_SPARSE = 2,
  KP_ONNX_DATA_SEQUENCE = 3,
  KP_ONNX_DATA_MAP = 4,
  KP_ONNX_DATA_OPTIONAL = 5
} kp_onnx_data_type;

typedef struct kp_onnx_sequence kp_onnx_sequence;
typedef struct kp_onnx_map kp_onnx_map;
typedef struct kp_onnx_optional kp_onnx_optional;

struct kp_onnx_sequence {  // SequenceProto: one of the lists, as |type| says
  kp_str name;
  int32_t type;  // kp_onnx_data_type
  const kp_onnx_tensor* tensors;
  size_t tensor_count;
  const kp_onnx_sparse* sparses;
  size_t sparse_count;
  const kp_onnx_sequence* sequences;
  size_t sequence_count;
  const kp_onnx_map* maps;
  size_t map_count;
  const kp_onnx_optional* optionals;
  size_t optional_count;
};

struct kp_onnx_map {  // MapProto
  kp_str name;
  int32_t key_type;  // kapell_type
  const int64_t* keys;
  size_t key_count;
  const kp_str* string_keys;
  size_t string_key_count;
  const kp_onnx_sequence* values;  // NULL where absent
};

struct kp_onnx_optional {  // OptionalProto: one of the pointers, as |type| says; UNDEFINED: nothing
  kp_str name;
  int32_t type;  // kp_onnx_data_type
  const kp_onnx_tensor* tensor;
  const kp_onnx_sparse* sparse;
  const kp_onnx_sequence* sequence;
  const kp_onnx_map* map;
  const kp_onnx_optional* optional;
};

#endif  // KP_ONNX_DATA_MESSAGES_H_
