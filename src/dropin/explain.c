// Refused runs in ONNX Runtime's words. Only reached when a run failed, so it may look at everything again.
#include <stdio.h>
#include <string.h>

#include "dropin/session.h"
#include "ort/kernel.h"

const kapell_io_info* dropin_find_input(const kapell_session* session, const char* name) {
  const kapell_io_info* info;
  for (size_t i = 0; (info = kapell_session_input(session, i)) != NULL; ++i)
    if (name && strcmp(info->name, name) == 0) return info;
  return NULL;
}

const kapell_io_info* dropin_find_output(const kapell_session* session, const char* name) {
  const kapell_io_info* info;
  for (size_t i = 0; (info = kapell_session_output(session, i)) != NULL; ++i)
    if (name && strcmp(info->name, name) == 0) return info;
  return NULL;
}

// ONNX's names, as type strings have them: "tensor(float)".
static const char* const type_names[KAPELL_TYPE_COUNT] = {
    "undefined",      "float",      "uint8",          "int8",       "uint16",    "int16",
    "int32",          "int64",      "string",         "bool",       "float16",   "double",
    "uint32",         "uint64",     "complex64",      "complex128", "bfloat16",  "float8e4m3fn",
    "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "uint4",      "int4",      "float4e2m1",
    "float8e8m0",     "uint2",      "int2",           "float6e2m3", "float6e3m2"};

static void print_type(char* out, size_t size, kapell_kind kind, kapell_type type) {
  const char* name = type >= 0 && type < KAPELL_TYPE_COUNT ? type_names[type] : "undefined";
  static const char* const kinds[] = {"none", "tensor", "sparse_tensor", "seq", "map", "optional"};
  if (kind == KAPELL_KIND_TENSOR || kind == KAPELL_KIND_SPARSE)
    snprintf(out, size, "%s(%s)", kinds[kind], name);
  else
    snprintf(out, size, "%s", kinds[kind]);
}

static OrtStatus* explain_shape(const char* name, const kapell_type_info* type,
                                const kapell_value* value) {
  if (type->rank < 0) return NULL;
  if (value->rank != type->rank)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "Invalid rank for input: %s Got: %d Expected: %d Please fix either the "
                        "inputs/outputs or the model.",
                        name, (int)value->rank, (int)type->rank);
  kp_strbuf text = {0};
  for (int32_t d = 0; d < type->rank; ++d)
    if (type->dims[d] >= 0 && type->dims[d] != value->dims[d])
      kp_strbuf_printf(&text, " index: %d Got: %lld Expected: %lld\n", (int)d,
                       (long long)value->dims[d], (long long)type->dims[d]);
  if (!text.length) return NULL;
  OrtStatus* status = kp_ort_error(ORT_INVALID_ARGUMENT,
                                   "Got invalid dimensions for input: %s for the following "
                                   "indices\n%s Please fix either the inputs/outputs "
                                   "or the model.",
                                   name, text.data);
  kp_strbuf_free(&text);
  return status;
}

static OrtStatus* explain_input(const kapell_session* session, const char* name,
                                const kapell_value* value) {
  const kapell_io_info* info = dropin_find_input(session, name);
  if (!name || !name[0]) return kp_ort_error(ORT_INVALID_ARGUMENT, "input name cannot be empty");
  if (!info)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "Invalid input name: %s", name ? name : "NULL");
  const kapell_type_info* type = info->type;
  const bool dense = type->kind == KAPELL_KIND_TENSOR || type->kind == KAPELL_KIND_SPARSE;
  if (type->kind == KAPELL_KIND_NONE || type->kind == KAPELL_KIND_OPTIONAL) return NULL;
  if (value->kind != type->kind ||
      (dense && type->element != KAPELL_UNDEFINED && value->type != type->element)) {
    char have[64], want[64];
    print_type(have, sizeof have, value->kind, value->type);
    print_type(want, sizeof want, type->kind, type->element);
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "Unexpected input data type. Actual: (%s) , expected: (%s)", have, want);
  }
  return dense ? explain_shape(name, type, value) : NULL;
}

static OrtStatus* explain_missing(const kapell_session* session, const char* const* names,
                                  size_t count) {
  const size_t needed = kapell_session_input_count(session);
  for (size_t i = 0; i < needed; ++i) {
    const char* name = kapell_session_input(session, i)->name;
    size_t k = 0;
    while (k < count && strcmp(names[k], name) != 0) ++k;
    if (k == count) return kp_ort_error(ORT_FAIL, "Missing Input: %s", name);
  }
  return NULL;
}

static OrtStatus* explain(const kapell_session* session, const char* const* input_names,
                          kapell_value* const* inputs, size_t input_count,
                          const char* const* output_names, size_t output_count) {
  for (size_t i = 0; i < input_count; ++i)
    if (!dropin_find_input(session, input_names[i]))
      return explain_input(session, input_names[i], inputs[i]);
  for (size_t i = 0; i < input_count; ++i)
    KP_ORT_PASS(explain_input(session, input_names[i], inputs[i]));
  KP_ORT_PASS(explain_missing(session, input_names, input_count));
  for (size_t i = 0; i < output_count; ++i)
    if (output_names[i] && !output_names[i][0])
      return kp_ort_error(ORT_INVALID_ARGUMENT, "output name cannot be empty");
  for (size_t i = 0; i < output_count; ++i)
    if (!dropin_find_output(session, output_names[i]))
      return kp_ort_error(ORT_INVALID_ARGUMENT, "Invalid output name: %s",
                          output_names[i] ? output_names[i] : "NULL");
  return NULL;
}

OrtStatus* dropin_explain_run(const OrtSession* session, kapell_status* status,
                              const char* const* input_names, kapell_value* const* inputs,
                              size_t input_count, const char* const* output_names,
                              size_t output_count) {
  const kapell_code code = kapell_status_code(status);
  OrtStatus* made = NULL;
  kp_strbuf details = {0};
  if (code == KAPELL_CANCELLED)
    made = kp_ort_error(ORT_FAIL, "Exiting due to terminate flag being set to true.");
  else if (!kapell_status_op(status) &&
           (code == KAPELL_INVALID_INPUT || code == KAPELL_INVALID_ARGUMENT))
    made = explain(session->session, input_names, inputs, input_count, output_names, output_count);
  else if (kapell_status_op(status)) {
    kp_ort_put_details(&details, status, 0);
    // What a node finds wrong with its data is an argument's fault.
    made = kp_ort_error(
        kp_ort_passed_code(kapell_status_message(status),
                           code == KAPELL_RUN_FAILED ? ORT_INVALID_ARGUMENT : kp_ort_code(code)),
        "Non-zero status code returned while running %s node. Name:'%s' Status Message: %s%s",
        kapell_status_op(status), kapell_status_node(status) ? kapell_status_node(status) : "",
        kapell_status_message(status), details.data ? details.data : "");
    kp_strbuf_free(&details);
  }
  if (!made) return kp_ort_status(status);
  kapell_status_free(status);
  return made;
}
