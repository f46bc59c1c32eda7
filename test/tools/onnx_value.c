// onnx_value KIND IN OUT: reads the value in a .pb file (KIND: the number of kapell_kind) and writes it again, for
// test/py/test_onnx_data.py. Prints what the value is; exit status 1 and the error if it cannot be read.
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "onnx/data.h"

static kp_status* copy(kapell_kind kind, const char* in, const char* out_path) {
  kp_file* file;
  kapell_value* value;
  kp_strbuf text = {0};
  void* bytes = NULL;
  size_t size;
  KP_PASS(kp_file_map(in, &file));
  kp_status* status = kp_onnx_read_value(kind, file->data, file->size, &value);
  if (!status) kp_value_describe(value, &text);
  if (!status) status = kp_onnx_write_value(value, "again", &bytes, &size);
  if (!status) status = kp_file_write(out_path, bytes, size);
  if (!status) printf("%s\n", text.data);
  kp_free(bytes);
  kp_strbuf_free(&text);
  kp_value_release(value);
  kp_file_release(file);
  return status;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  kp_status* const status = copy((kapell_kind)atoi(argv[1]), argv[2], argv[3]);
  if (status) fprintf(stderr, "%s\n", kp_status_text(status));
  kp_status_free(status);
  return status != NULL;
}
