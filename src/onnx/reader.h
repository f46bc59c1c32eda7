// Reads an ONNX model from a file or from bytes; gives the data of its tensors.
#ifndef KP_ONNX_READER_H_
#define KP_ONNX_READER_H_

#include "onnx/model.h"

typedef struct kp_onnx_read_options {
  bool borrow_bytes;              // bytes stay valid and unchanged until the model is closed: do not copy them
  const char* external_folder;    // where external data lies; default: the model file's folder; none for bytes
  const char* const* more_folders;  // folders that symbolic links of external data may lead to
  size_t more_folder_count;
  bool refuse_hard_links;         // untrusted mode: external files with more than one hard link are refused
  size_t max_depth;               // nesting of graphs, types and messages; 0 = 200
} kp_onnx_read_options;

// Reads the model in the file at |path| (mapped, zero-copy). |options| may be NULL.
// Errors: NOT_FOUND, IO; NOT_A_MODEL with what the bytes look like (Git-LFS pointer, HTML, ORT format, TensorFlow, zip,
// safetensors, JSON, text, empty); INVALID_MODEL with byte offset and the path of fields ("graph.node[12].attribute[0].t.dims").
KP_MUST_USE kp_status* kp_onnx_read_file(const char* path, const kp_onnx_read_options* options, kp_onnx_model** out_model);
KP_MUST_USE kp_status* kp_onnx_read_bytes(const void* bytes, size_t byte_count, const kp_onnx_read_options* options,
                                          kp_onnx_model** out_model);
void kp_onnx_model_close(kp_onnx_model* model);  // NULL is fine

// The dense little-endian bytes of a tensor in Kapell's memory layout (types.h): a view into the file or the mapped external
// file where possible (*out_owned = NULL), else a new buffer (*out_owned, kp_free it; e.g. typed fields of small types).
// Checks that the byte count matches type and dims. |alignment|: the view is copied when it is not a multiple of the
// element size; wider alignment is not promised.
// Not for strings. Errors: INVALID_MODEL, EXTERNAL_DATA, UNSUPPORTED_MODEL (unknown element type), OUT_OF_MEMORY.
// Threads: any, also at once on one model.
KP_MUST_USE kp_status* kp_onnx_tensor_bytes(kp_onnx_model* model, const kp_onnx_tensor* tensor, const void** out_data,
                                            size_t* out_byte_count, void** out_owned);

#endif  // KP_ONNX_READER_H_
