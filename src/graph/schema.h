// The table of every operator: ai.onnx, ai.onnx.ml, ai.onnx.preview, ai.onnx.preview.training, com.microsoft, and ours.
// Rows are generated (schema_table.inl, from the onnx package by tools/gen_schemas.py; com.microsoft's are written by hand
// in schema_microsoft.inl); lint checks that they are current.
#ifndef KP_GRAPH_SCHEMA_H_
#define KP_GRAPH_SCHEMA_H_

#include "base/str.h"
#include "base/types.h"
#include "onnx/model.h"

typedef enum kp_param_option { KP_PARAM_SINGLE, KP_PARAM_OPTIONAL, KP_PARAM_VARIADIC } kp_param_option;

typedef struct kp_param_schema {
  const char* name;
  const char* type;  // type variable ("T") or a type ("tensor(int64)")
  uint8_t option;    // kp_param_option
  bool homogeneous;  // variadic: all of one type
} kp_param_schema;

typedef struct kp_attr_schema {
  const char* name;
  uint8_t type;      // kp_onnx_attr_type
  bool required;
} kp_attr_schema;

typedef struct kp_type_constraint {
  const char* name;       // "T"
  uint64_t tensor_mask;   // kp_type_mask bits of element types allowed as tensor
  const char* others;     // the rest as text, space-separated: "seq(tensor(float)) optional(...)"; NULL if none
} kp_type_constraint;

struct kp_op_schema {
  const char* domain;  // "" = ai.onnx
  const char* name;
  int32_t since;
  bool deprecated;
  bool has_function;       // ONNX gives a body in terms of other operators
  uint16_t min_inputs, max_inputs, min_outputs, max_outputs;  // UINT16_MAX: unbounded
  const kp_param_schema* inputs;
  uint8_t input_count;
  const kp_param_schema* outputs;
  uint8_t output_count;
  const kp_attr_schema* attrs;
  uint8_t attr_count;
  const kp_type_constraint* constraints;
  uint8_t constraint_count;
};
typedef struct kp_op_schema kp_op_schema;

// The row that governs |op| in |domain| ("" or "ai.onnx") at opset |version|: the newest with since <= version. NULL if none.
const kp_op_schema* kp_schema_find(kp_str domain, kp_str op, int64_t version);
// Any row of that name, whatever version (for messages: "Foo exists since 12, the model imports 9"). NULL if none.
const kp_op_schema* kp_schema_any(kp_str domain, kp_str op);
size_t kp_schema_count(void);
const kp_op_schema* kp_schema_at(size_t index);
// Newest opset version of |domain| that this build knows; 0 for an unknown domain.
int64_t kp_schema_newest(kp_str domain);

#endif  // KP_GRAPH_SCHEMA_H_
