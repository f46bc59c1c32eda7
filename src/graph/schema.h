// The table of every operator: ai.onnx, ai.onnx.ml, ai.onnx.preview, ai.onnx.preview.training and com.microsoft.
// Rows are generated (schema_table.inl, by tools/gen_schemas.py from the onnx package and the hand-written
// schema_microsoft.txt); lint checks that they are current.
//
// Rows are small: what a row refers to is read through the functions below. All texts are static.
// Threads: any (constant data).
#ifndef KP_GRAPH_SCHEMA_H_
#define KP_GRAPH_SCHEMA_H_

#include "base/str.h"
#include "base/types.h"
#include "onnx/model.h"

typedef enum kp_param_option {
  KP_PARAM_SINGLE,
  KP_PARAM_OPTIONAL,
  KP_PARAM_VARIADIC
} kp_param_option;

#define KP_SCHEMA_UNBOUNDED UINT16_MAX  // in max_inputs, max_outputs

typedef struct kp_op_schema {
  uint16_t domain, name;  // read with kp_schema_domain, kp_schema_name
  uint16_t since;         // first opset version that this row governs
  uint16_t min_inputs, max_inputs, min_outputs, max_outputs;
  uint16_t first_input, first_output, first_attr, first_constraint;  // private to schema.c
  // Of the lists below; a variadic parameter counts once.
  uint8_t input_count, output_count, attr_count, constraint_count;
  bool deprecated;    // not to be used at |since| and later
  bool has_function;  // ONNX gives a body in terms of other operators (kp_graph_expand_function)
} kp_op_schema;

typedef struct kp_param_schema {
  const char* name;
  const char* type;  // type variable ("T") or a type ("tensor(int64)")
  kp_param_option option;
  bool homogeneous;  // variadic: all of one type
} kp_param_schema;

typedef struct kp_attr_schema {
  const char* name;
  kp_onnx_attr_type type;
  bool required;
  bool
      has_default;  // a node without it means |f|, |i| or |s|; defaults that are lists are not kept
  float f;
  int64_t i;
  const char* s;
} kp_attr_schema;

// The types that a type variable may stand for: kp_type_mask sets of element types, by what is made of them.
typedef struct kp_type_constraint {
  const char* name;             // "T"
  uint64_t tensors;             // tensor(x)
  uint64_t sequences;           // seq(tensor(x))
  uint64_t optionals;           // optional(tensor(x))
  uint64_t optional_sequences;  // optional(seq(tensor(x)))
  // the rest, space-separated: "map(string,float) seq(map(int64,float))"; "" if none
  const char* others;
} kp_type_constraint;

// The row that governs |op| in |domain| ("" or "ai.onnx") at opset |version|: the newest with since <= version. NULL if none.
const kp_op_schema* kp_schema_find(kp_str domain, kp_str op, int64_t version);
// Any row of that name, whatever version (for messages: "Foo exists since 12, the model imports 9"). NULL if none.
const kp_op_schema* kp_schema_any(kp_str domain, kp_str op);
// All rows, by domain, name and version.
size_t kp_schema_count(void);
const kp_op_schema* kp_schema_at(size_t index);
// Newest opset version of |domain| that this build knows; 0 for an unknown domain.
int64_t kp_schema_newest(kp_str domain);

const char* kp_schema_domain(const kp_op_schema* schema);  // "" = ai.onnx
const char* kp_schema_name(const kp_op_schema* schema);
// |index| below the count of the list.
kp_param_schema kp_schema_input(const kp_op_schema* schema, uint32_t index);
kp_param_schema kp_schema_output(const kp_op_schema* schema, uint32_t index);
kp_attr_schema kp_schema_attr(const kp_op_schema* schema, uint32_t index);
kp_type_constraint kp_schema_constraint(const kp_op_schema* schema, uint32_t index);
// The parameter that input (output) number |index| of a node belongs to: a variadic one takes all that follow. False if the
// operator has no such input.
bool kp_schema_input_of(const kp_op_schema* schema, uint32_t index, kp_param_schema* out_param);
bool kp_schema_output_of(const kp_op_schema* schema, uint32_t index, kp_param_schema* out_param);
bool kp_schema_find_attr(const kp_op_schema* schema, kp_str name, kp_attr_schema* out_attr);
// The types that |type| of a parameter allows: those of the variable, or the one type that it is.
kp_type_constraint kp_schema_types(const kp_op_schema* schema, const char* type);

#endif  // KP_GRAPH_SCHEMA_H_
