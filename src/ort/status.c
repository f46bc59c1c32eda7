// OrtStatus: a code and a text. No status (NULL) is success.
#include <stdlib.h>
#include <string.h>

#include "ort/slots.h"

struct OrtStatus {
  OrtErrorCode code;
  char text[];
};

// What CreateStatus answers without memory; ReleaseStatus leaves it alone.
static struct {
  OrtErrorCode code;
  char text[16];
} out_of_memory = {ORT_FAIL, "out of memory"};

OrtStatus* ort_CreateStatus(OrtErrorCode code, const char* message) {
  size_t size = message != NULL ? strlen(message) : 0;
  OrtStatus* status = malloc(sizeof *status + size + 1);
  if (status == NULL) return (OrtStatus*)(void*)&out_of_memory;
  status->code = code;
  if (size > 0) memcpy(status->text, message, size);
  status->text[size] = 0;
  return status;
}

OrtErrorCode ort_GetErrorCode(const OrtStatus* status) {
  return status != NULL ? status->code : ORT_OK;
}

const char* ort_GetErrorMessage(const OrtStatus* status) {
  return status != NULL ? status->text : "";
}

void ort_ReleaseStatus(OrtStatus* status) {
  if ((void*)status != (void*)&out_of_memory) free(status);
}
