// Statuses: ONNX Runtime's object, and how Kapell's errors become it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "ort/object.h"

#define MARK "[KAPELL-E%04d]"  // at the end of messages

static OrtStatus out_of_memory = {ORT_FAIL, {"out of memory"}};

static OrtStatus* make_status(OrtErrorCode code, const char* message, size_t length) {
  OrtStatus* status = malloc(sizeof(*status) + length + 1);
  if (!status) return &out_of_memory;
  status->code = code;
  memcpy(status->message, message, length);
  status->message[length] = 0;
  return status;
}

OrtStatus* kp_ort_no_memory(void) { return &out_of_memory; }

bool kp_ort_is_no_memory(const OrtStatus* status) {
  char mark[32];
  const size_t length = (size_t)snprintf(mark, sizeof mark, MARK, (int)KAPELL_OUT_OF_MEMORY);
  if (!status || status == &out_of_memory) return status != NULL;
  const size_t whole = strlen(status->message);
  return whole >= length && strcmp(status->message + whole - length, mark) == 0;
}

OrtStatus* kp_ort_error(OrtErrorCode code, const char* format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  const int length = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  const size_t kept = length < 0 ? 0 : kp_min_size((size_t)length, sizeof text - 1);
  return make_status(code, text, kept);
}

// What a client of ONNX Runtime's would get for the same fault.
OrtErrorCode kp_ort_code(kapell_code code) {
  switch (code) {
    case KAPELL_OK:
      return ORT_OK;
    case KAPELL_INVALID_ARGUMENT:
    case KAPELL_INVALID_INPUT:
    case KAPELL_BAD_PROVIDER_LIST:
      return ORT_INVALID_ARGUMENT;
    case KAPELL_NOT_FOUND:
      return ORT_NO_SUCHFILE;
    case KAPELL_NOT_A_MODEL:
      return ORT_INVALID_PROTOBUF;
    case KAPELL_INVALID_MODEL:
      return ORT_INVALID_GRAPH;
    case KAPELL_UNSUPPORTED:
      return ORT_NOT_IMPLEMENTED;
    case KAPELL_PROVIDER_UNAVAILABLE:
    case KAPELL_PROVIDER_FAILED:
      return ORT_EP_FAIL;
    case KAPELL_INTERNAL:
      return ORT_RUNTIME_EXCEPTION;
    default:
      return ORT_FAIL;
  }
}

void kp_ort_put_details(kp_strbuf* text, const kp_status* status, size_t outer) {
  const size_t count = kp_status_frame_count(status);
  for (size_t i = 0; i + outer < count; ++i)
    kp_strbuf_printf(text, "%s%s%s", i ? ", " : " (while ", kp_status_frame_text(status, i),
                     i + outer + 1 < count ? "" : ")");
  if (kp_status_hint_text(status)) kp_strbuf_printf(text, "; %s", kp_status_hint_text(status));
  kp_strbuf_printf(text, " " MARK, (int)kp_status_code(status));
}

OrtStatus* kp_ort_status(kp_status* status) {
  if (!status) return NULL;
  kp_strbuf text = {0};
  const char* op = kp_status_op(status);
  if (op && kp_status_code(status) != KAPELL_CANCELLED)
    kp_strbuf_printf(&text,
                     "Node '%s' (%s): ", kp_status_node(status) ? kp_status_node(status) : "", op);
  kp_strbuf_puts(&text, kp_status_message(status));
  kp_ort_put_details(&text, status, 0);
  OrtStatus* made = text.failed
                        ? &out_of_memory
                        : make_status(kp_ort_code(kp_status_code(status)), text.data, text.length);
  kp_strbuf_free(&text);
  kp_status_free(status);
  return made;
}

// --- the slots -------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_CreateStatus(OrtErrorCode code, const char* msg) {
  return make_status(code, msg ? msg : "", msg ? strlen(msg) : 0);
}

OrtErrorCode ort_GetErrorCode(const OrtStatus* status) { return status ? status->code : ORT_OK; }

const char* ort_GetErrorMessage(const OrtStatus* status) { return status ? status->message : ""; }

void ort_ReleaseStatus(OrtStatus* status) {
  if (status != &out_of_memory) free(status);
}
