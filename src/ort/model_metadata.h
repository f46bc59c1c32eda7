// What a model says of itself, as clients and provider libraries ask for it.
#ifndef KP_ORT_MODEL_METADATA_H_
#define KP_ORT_MODEL_METADATA_H_

#include "onnx/model.h"
#include "ort/object.h"

// A copy: it may outlive what it is of.
struct OrtModelMetadata {
  OrtKeyValuePairs own;     // what the model says of itself, under Kapell's names
  OrtKeyValuePairs custom;  // its properties
};

// Of a model; empty where |source| is NULL.
OrtStatus* kp_ort_metadata_of(const kp_onnx_model* source, OrtModelMetadata** out);

#endif  // KP_ORT_MODEL_METADATA_H_
