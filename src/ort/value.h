// OrtValue: a handle on one of Kapell's values, and what ONNX Runtime says of it beyond that.
#ifndef KP_ORT_VALUE_H_
#define KP_ORT_VALUE_H_

#include "base/value.h"
#include "ort/type_info.h"

// The form that a sparse tensor was given in. Kapell's own is COO: |value| of the handle is that, made anew when indices are set.
typedef struct kp_ort_sparse {
  OrtSparseFormat format;  // UNDEFINED until indices are set
  kapell_value* values;    // [n]; block sparse: [blocks][...]
  kapell_value* first;     // COO: indices; CSR: inner; block sparse: indices (int32)
  kapell_value* second;    // CSR: outer
} kp_ort_sparse;

// A value of a type that only the client knows.
typedef struct kp_ort_opaque {
  char *domain, *name;
  void* data;
  size_t size;
} kp_ort_opaque;

struct OrtValue {
  kapell_value* value;        // one reference; NULL for opaque ones
  const OrtMemoryInfo* info;  // one reference
  OrtTypeInfo* declared;      // what the session says of an output that is no tensor; may be NULL
  kp_ort_sparse* sparse;      // sparse tensors
  kp_ort_opaque* opaque;
};

// Wraps |value| (taken, also on an error), which lies on the host. An optional with an element becomes that element.
OrtStatus* kp_ort_value_wrap(kapell_value* value, OrtValue** out);

// Another handle on the same value. Errors: NOT_IMPLEMENTED for opaque ones.
OrtStatus* kp_ort_value_share(const OrtValue* value, OrtValue** out);

// --- between the files of values ---
// The dense tensor behind |value|; else NULL and *out_status is INVALID_ARGUMENT.
kapell_value* kp_ort_value_tensor(const OrtValue* value, OrtStatus** out_status);
// A tensor over |data| of the client's, or one of its own memory from |allocator|.
OrtStatus* kp_ort_tensor_over(const int64_t* shape, size_t rank, ONNXTensorElementDataType type,
                              void* data, size_t size, OrtAllocator* deleter, kapell_value** out);
OrtStatus* kp_ort_tensor_from(OrtAllocator* allocator, const int64_t* shape, size_t rank,
                              ONNXTensorElementDataType type, kapell_value** out);
// A copy of the dense host tensor |from| in |allocator|'s memory, which must be the host's (NULL: our own).
OrtStatus* kp_ort_tensor_copy(OrtAllocator* allocator, const kapell_value* from,
                              kapell_value** out);
// The map with its keys in ascending order, as clients know them: |map| itself, or a new one in its place (|map| is released).
kp_status* kp_ort_map_sort(kapell_value** map);
OrtStatus* kp_ort_sparse_describe(OrtValue* value);  // fills |sparse| of a handle on a COO value
void kp_ort_sparse_free(kp_ort_sparse* sparse);

#endif  // KP_ORT_VALUE_H_
