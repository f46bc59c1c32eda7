// Type infos: the type of an input, output or value as a tree, each node with its parts inside it so that casts lend them.
#ifndef KP_ORT_TYPE_INFO_H_
#define KP_ORT_TYPE_INFO_H_

#include "graph/graph.h"
#include "kapell/kapell.h"
#include "ort/object.h"

struct OrtTensorTypeAndShapeInfo {
  ONNXTensorElementDataType type;
  bool has_shape;
  size_t rank;
  int64_t* dims;   // |rank|; -1 = not known
  char** symbols;  // |rank|, never NULL: "" for a number or a nameless dimension
};
struct OrtMapTypeInfo {
  ONNXTensorElementDataType key;
  OrtTypeInfo* value;
};
struct OrtSequenceTypeInfo {
  OrtTypeInfo* element;
};
struct OrtOptionalTypeInfo {
  OrtTypeInfo* contained;
};
struct OrtTypeInfo {
  ONNXType type;
  char* denotation;                  // "" or what the model says
  OrtTensorTypeAndShapeInfo tensor;  // dense and sparse tensors
  OrtMapTypeInfo map;
  OrtSequenceTypeInfo sequence;
  OrtOptionalTypeInfo optional;
};

// Of a session's input or output.
OrtStatus* kp_ort_type_info_from(const kapell_type_info* from, OrtTypeInfo** out);
// Of a value of a graph.
OrtStatus* kp_ort_type_info_of(const kp_symbols* symbols, const kp_type* type, OrtTypeInfo** out);
// A tensor's, with no symbols. |shape| may be NULL where |has_shape| is false.
OrtStatus* kp_ort_shape_info_create(kapell_type type, bool has_shape, const int64_t* dims,
                                    size_t rank, OrtTensorTypeAndShapeInfo** out);
OrtStatus* kp_ort_tensor_type_info(ONNXType kind, kapell_type type, const int64_t* dims,
                                   size_t rank, OrtTypeInfo** out);
OrtStatus* kp_ort_type_info_create(ONNXType kind, OrtTypeInfo** out);
OrtStatus* kp_ort_type_info_clone(const OrtTypeInfo* from, OrtTypeInfo** out);
// Fills |to| (zeroed) with a copy of |from|; on an error |to| is empty again.
OrtStatus* kp_ort_shape_info_copy(OrtTensorTypeAndShapeInfo* to,
                                  const OrtTensorTypeAndShapeInfo* from);

#endif  // KP_ORT_TYPE_INFO_H_
