// A model to hand on with a bug report.
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "kapell/kapell.h"
#include "onnx/reader.h"
#include "onnx/synthetic.h"
#include "onnx/writer.h"

// Nobody may find short strings by trying: the salt is never told.
static uint64_t new_salt(void) {
  uint64_t salt;
  return getrandom(&salt, sizeof(salt), 0) == (ssize_t)sizeof(salt) ? salt : kp_clock_ns();
}

static kp_status* synthesise(const char* path, const kapell_synthesis* asked,
                             kp_onnx_synthesis* work, void** out_bytes, size_t* out_byte_count) {
  const kp_onnx_read_options read = {.contain_strictly = asked->untrusted};
  kp_onnx_model* model;
  KP_PASS(kp_onnx_read_file(path, &read, &model));
  kp_status* status = kp_onnx_synthesise(model, work);
  if (!status) status = kp_onnx_write_bytes(model, out_bytes, out_byte_count);
  kp_onnx_model_close(model);
  return status;
}

kapell_status* kapell_model_synthesise(const char* path, kapell_synthesis* synthesis,
                                       char** out_bytes, size_t* out_byte_count) {
  if (!path || !out_bytes || !out_byte_count)
    return KP_ERROR(INVALID_ARGUMENT, "a NULL was given for path, out_bytes or out_byte_count");
  if (synthesis && synthesis->struct_size != sizeof(*synthesis))
    return KP_ERROR(INVALID_ARGUMENT, "synthesis->struct_size is %zu; %zu is right",
                    synthesis->struct_size, sizeof(*synthesis));
  const kapell_synthesis asked = synthesis ? *synthesis : (kapell_synthesis){0};
  kp_onnx_synthesis work = {.keep_metadata = asked.keep_metadata, .salt = new_salt()};
  void* bytes = NULL;
  *out_bytes = NULL;
  *out_byte_count = 0;
  KP_TRY(synthesise(path, &asked, &work, &bytes, out_byte_count),
         "replacing the weights of '%s' by drawn ones", path);
  *out_bytes = bytes;
  if (!synthesis) return NULL;
  synthesis->replaced = work.replaced;
  synthesis->kept = work.kept;
  synthesis->external = work.external;
  synthesis->strings = work.strings;
  return NULL;
}
