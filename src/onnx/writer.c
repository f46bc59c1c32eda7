// The public side of the encoder: see writer.h.
#include "onnx/writer.h"

#include "base/alloc.h"
#include "onnx/decode.h"
#include "onnx/encode.h"

kp_status* kp_onnx_write_bytes(const kp_onnx_model* model, void** out_bytes,
                               size_t* out_byte_count) {
  return kp_onnx_encode(&kp_onnx_model_message, model, out_bytes, out_byte_count);
}

kp_status* kp_onnx_write_file(const kp_onnx_model* model, const char* path) {
  void* bytes;
  size_t byte_count;
  KP_TRY(kp_onnx_write_bytes(model, &bytes, &byte_count), "writing '%s'", path);
  kp_status* const status = kp_file_write(path, bytes, byte_count);
  kp_free(bytes);
  return status;
}

kp_status* kp_onnx_read_tensor(const void* bytes, size_t byte_count, kp_arena* arena,
                               kp_onnx_tensor* out_tensor) {
  *out_tensor = (kp_onnx_tensor){0};
  const kp_onnx_decode_options options = {.root = "tensor"};
  kp_onnx_tensor tensor = {0};
  KP_PASS(kp_onnx_decode(&kp_onnx_tensor_message, bytes, byte_count, &options, arena, &tensor));
  *out_tensor = tensor;
  return NULL;
}

kp_status* kp_onnx_write_tensor(const kp_onnx_tensor* tensor, void** out_bytes,
                                size_t* out_byte_count) {
  return kp_onnx_encode(&kp_onnx_tensor_message, tensor, out_bytes, out_byte_count);
}
