// Reads an ONNX model from a file or from bytes; gives the data of its tensors. The bytes say whether it is an .onnx or in ONNX Runtime's
// own format.
//
// Cost: time linear in the file's structure, without touching the pages of raw weights; memory in proportion (|max_memory|).
#ifndef KP_ONNX_READER_H_
#define KP_ONNX_READER_H_

#include "onnx/model.h"

// The newest IR version that model.h covers. Newer files are read with a warning as long as all of what they use is known.
#define KP_ONNX_IR_VERSION 14

typedef struct kp_onnx_read_options {
  bool borrow_bytes;  // bytes stay valid and unchanged until the model is closed: do not copy them
  // Where external data lies; default: the model file's folder; none for bytes.
  const char* external_folder;
  // Folders that symbolic links of external data may lead to.
  const char* const* more_folders;
  size_t more_folder_count;
  // Untrusted mode: external files with more than one hard link are refused, and symbolic links where no more_folders are given.
  bool contain_strictly;
  size_t max_depth;  // nesting of messages (a subgraph takes three); 0 = 200, at most 1000
  // Bytes that the model's structure may take, weights not counted; 0 = 64 MiB and twelve times the file's size, which is
  // more than any real model takes and keeps files of millions of empty messages from taking a hundred times their size.
  size_t max_memory;
} kp_onnx_read_options;

// Reads the model in the file at |path| (mapped, zero-copy). |options| may be NULL.
// Errors: NOT_FOUND, IO; NOT_A_MODEL with what the bytes look like (Git-LFS pointer, HTML, TensorFlow, zip,
// safetensors, JSON, text, empty); INVALID_MODEL with byte offset and the path of fields
// ("graph.node[12].attribute[0].t.dims"); UNSUPPORTED_MODEL (an attribute kind, or a version of ONNX Runtime's
// format, newer than this build); LIMIT (max_depth, max_memory, more than 10,000 attributes on a node); OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_onnx_read_file(const char* path, const kp_onnx_read_options* options,
                                         kp_onnx_model** out_model);
KP_MUST_USE kp_status* kp_onnx_read_bytes(const void* bytes, size_t byte_count,
                                          const kp_onnx_read_options* options,
                                          kp_onnx_model** out_model);
void kp_onnx_model_close(kp_onnx_model* model);  // NULL is fine
// Bytes of the files that are mapped for |model| by now: its own and those of external data.
uint64_t kp_onnx_mapped_bytes(const kp_onnx_model* model);

// --- tensors -------------------------------------------------------------------------------------------------------------
// |model| below gives access to external data; NULL for tensors of no model (then external ones are an error).
// Threads: any, also at once on one model.

// The dense little-endian bytes of a tensor in Kapell's memory layout (types.h): a view into the file or the mapped external
// file where possible (*out_owned = NULL), else a new buffer (*out_owned, kp_free it; e.g. typed fields of small types).
// Checks that the byte count matches type and dims; booleans are 0 or 1 afterwards. Data is aligned to its element (to a
// component of it for complex); wider alignment is not promised. Not for strings.
// Errors: INVALID_MODEL, EXTERNAL_DATA, UNSUPPORTED_MODEL (element type), OUT_OF_MEMORY; the message names the tensor.
KP_MUST_USE kp_status* kp_onnx_tensor_bytes(kp_onnx_model* model, const kp_onnx_tensor* tensor,
                                            const void** out_data, size_t* out_byte_count,
                                            void** out_owned);

// Number of elements; dims are checked (negative, overflow of elements or bytes). Errors: INVALID_MODEL, UNSUPPORTED_MODEL.
KP_MUST_USE kp_status* kp_onnx_tensor_count(const kp_onnx_tensor* tensor,
                                            size_t* out_element_count);

// Whether |data|, a view that kp_onnx_tensor_bytes gave, lies in a file that is mapped: kp_file_forget may be used on it.
bool kp_onnx_is_mapped(const kp_onnx_model* model, const void* data);

// The elements of a string tensor, row-major, views that live as long as the model. Errors: INVALID_MODEL.
KP_MUST_USE kp_status* kp_onnx_tensor_strings(const kp_onnx_tensor* tensor,
                                              const kp_str** out_strings, size_t* out_count);

// A sparse tensor as a dense one, zeros filled in: *out_data is new (kp_free it), of at most |max_byte_count| bytes. Indices
// as [NNZ] or [NNZ, rank]. Not for strings and not for types under 8 bits.
// Errors: as kp_onnx_tensor_bytes; LIMIT over |max_byte_count|.
KP_MUST_USE kp_status* kp_onnx_sparse_dense(kp_onnx_model* model, const kp_onnx_sparse* sparse,
                                            size_t max_byte_count, void** out_data,
                                            size_t* out_byte_count);

#endif  // KP_ONNX_READER_H_
