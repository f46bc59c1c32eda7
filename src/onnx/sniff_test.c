// Tests of onnx/sniff.h and of the errors that kp_onnx_read_bytes makes of its guesses.
#include "onnx/sniff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/size.h"
#include "onnx/reader.h"
#include "support/wire_build.h"

typedef struct sample {
  const char* bytes;
  size_t size;
  const char* words;
} sample;

#define SAMPLE(bytes, words) \
  { bytes, sizeof(bytes) - 1, words }

static void assert_is(const void* bytes, size_t size, const char* words) {
  kp_onnx_model* model;
  kp_status* const status = kp_onnx_read_bytes(bytes, size, NULL, &model);
  assert_non_null(status);
  if (kp_status_code(status) != KAPELL_NOT_A_MODEL || !strstr(kp_status_text(status), words))
    print_error("wanted %s, got %s\n", words, kp_status_text(status));
  assert_int_equal(kp_status_code(status), KAPELL_NOT_A_MODEL);
  assert_non_null(strstr(kp_status_text(status), words));
  kp_status_free(status);
}

static void test_files_of_other_kinds(void** state) {
  (void)state;
  const sample samples[] = {
      SAMPLE("", "empty file"),
      SAMPLE("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n", "git lfs pull"),
      SAMPLE("\n <!DOCTYPE html><html>", "HTML page"),
      SAMPLE("<html>", "HTML page"),
      SAMPLE("<?xml version=\"1.0\"?>\n<net name=\"m\" version=\"11\">", "OpenVINO"),
      SAMPLE("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", "XML document"),
      SAMPLE("\x1c\0\0\0TFL3\0\0\0\0", "TensorFlow Lite"),
      SAMPLE("PK\3\4\0\0\0\0\0\0\0\0\0\0archive/data.pkl", "PyTorch"),
      SAMPLE("PK\3\4\0\0\0\0\0\0\0\0\0\0x.npy", ".npz"),
      SAMPLE("PK\3\4\0\0\0\0\0\0\0\0\0\0a.txt", "zip archive"),
      SAMPLE("\x80\x02}q\1", "pickle"),
      SAMPLE("\x80\x04\x95\x1f\0\0\0\0\0\0\0", "pickle"),
      SAMPLE("\x20\0\0\0\0\0\0\0{\"w\":{}}", "safetensors"),
      SAMPLE("GGUF\3\0\0\0", "GGUF"),
      SAMPLE("\x89HDF\r\n\x1a\n", "HDF5"),
      SAMPLE("\x1f\x8b\x08\0", "gzip"),
      SAMPLE("\x89PNG\r\n\x1a\n", "picture"),
      SAMPLE("{\"irVersion\": 8}", "JSON"),
      SAMPLE("{\"ir_version\": 8}", "ONNX model as JSON"),
      SAMPLE("ir_version: 8\ngraph {\n}\n", "ONNX model as text"),
      SAMPLE("<\n  ir_version: 8,\n  opset_import: [\"\" : 17]\n>\n", "ONNX model as text"),
      SAMPLE("Not Found", "it is text"),
      SAMPLE("\xff\xfe\xfd\xfc\xfb", "not known"),
  };
  for (size_t i = 0; i < KP_COUNT_OF(samples); ++i)
    assert_is(samples[i].bytes, samples[i].size, samples[i].words);
}

static void test_protobuf_of_other_kinds(void** state) {
  (void)state;
  kp_strbuf saved = {0}, meta = {0}, info = {0};
  wb_varint(&saved, 1, 1);
  wb_text(&info, 4, "serve");
  wb_part(&meta, 1, &info);
  wb_part(&saved, 2, &meta);
  assert_is(saved.data, saved.length, "SavedModel");
  kp_strbuf_free(&saved);

  kp_strbuf graph = {0}, node = {0}, versions = {0};
  wb_text(&node, 1, "input");
  wb_text(&node, 2, "Placeholder");
  wb_part(&graph, 1, &node);
  wb_varint(&versions, 1, 22);
  wb_part(&graph, 4, &versions);
  assert_is(graph.data, graph.length, "GraphDef");
  kp_strbuf_free(&graph);

  kp_strbuf tensor = {0};
  wb_varint(&tensor, 1, 1);
  wb_varint(&tensor, 2, 1);
  wb_bytes(&tensor, 9, "1234", 4);
  assert_is(tensor.data, tensor.length, "an ONNX tensor");
  kp_strbuf_free(&tensor);
}

// What begins as a model is a broken model, whatever comes then.
static void test_broken_models(void** state) {
  (void)state;
  const sample samples[] = {
      SAMPLE("\x08\x08\x3a\x7f", "byte 2: a field's length runs past the end"),
      SAMPLE("\x08\x08\x42\x02\x10\x11", "has no graph"),
      SAMPLE("\x3a\x00", "IR version 0"),
      SAMPLE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x3a\x00", "IR version -1"),
  };
  for (size_t i = 0; i < KP_COUNT_OF(samples); ++i) {
    kp_onnx_model* model;
    kp_status* const status = kp_onnx_read_bytes(samples[i].bytes, samples[i].size, NULL, &model);
    assert_non_null(status);
    if (!strstr(kp_status_text(status), samples[i].words))
      print_error("%s\n", kp_status_text(status));
    assert_int_equal(kp_status_code(status), KAPELL_INVALID_MODEL);
    assert_non_null(strstr(kp_status_text(status), samples[i].words));
    kp_status_free(status);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_files_of_other_kinds),
      cmocka_unit_test(test_protobuf_of_other_kinds),
      cmocka_unit_test(test_broken_models),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
