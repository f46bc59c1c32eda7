// String tensors. Elements are set and read one by one or all at once; a NUL follows each in memory, so that C texts work.
#include <string.h>

#include "base/size.h"
#include "ort/value.h"

// The string tensor behind |value|, or NULL and *out_status.
static kapell_value* strings_of(const OrtValue* value, OrtStatus** out_status) {
  kapell_value* tensor = kp_ort_value_tensor(value, out_status);
  if (!tensor || tensor->type == KAPELL_STRING) return tensor;
  *out_status = kp_ort_error(ORT_FAIL, "the tensor does not hold strings");
  return NULL;
}

static OrtStatus* check_index(const kapell_value* strings, size_t index) {
  if (index < kp_value_count(strings)) return NULL;
  return kp_ort_error(ORT_INVALID_ARGUMENT, "element index is out of bounds");
}

OrtStatus* ort_FillStringTensor(OrtValue* value, const char* const* s, size_t s_len) {
  OrtStatus* status;
  kapell_value* strings = strings_of(value, &status);
  if (!strings) return status;
  if (s_len != kp_value_count(strings))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "input array doesn't equal tensor size");
  if (s_len) KP_ORT_NEED(s);
  for (size_t i = 0; i < s_len; ++i) {
    if (!s[i]) return kp_ort_error(ORT_INVALID_ARGUMENT, "string %zu is NULL", i);
    KP_ORT_TAKE(kp_value_set_string(strings, i, kp_str_of(s[i])));
  }
  return NULL;
}

OrtStatus* ort_FillStringTensorElement(OrtValue* value, const char* s, size_t index) {
  KP_ORT_NEED(s);
  OrtStatus* status;
  kapell_value* strings = strings_of(value, &status);
  if (!strings) return status;
  KP_ORT_PASS(check_index(strings, index));
  KP_ORT_TAKE(kp_value_set_string(strings, index, kp_str_of(s)));
  return NULL;
}

OrtStatus* ort_GetResizedStringTensorElementBuffer(OrtValue* value, size_t index,
                                                   size_t length_in_bytes, char** buffer) {
  KP_ORT_NEED(buffer);
  OrtStatus* status;
  kapell_value* strings = strings_of(value, &status);
  if (!strings) return status;
  KP_ORT_PASS(check_index(strings, index));
  KP_ORT_TAKE(kp_value_string_room(strings, index, length_in_bytes, buffer));
  return NULL;
}

OrtStatus* ort_GetStringTensorDataLength(const OrtValue* value, size_t* len) {
  KP_ORT_NEED(len);
  OrtStatus* status;
  const kapell_value* strings = strings_of(value, &status);
  if (!strings) return status;
  const size_t count = kp_value_count(strings);
  size_t total = 0;
  for (size_t i = 0; i < count; ++i) total += kp_value_string(strings, i).length;
  *len = total;
  return NULL;
}

OrtStatus* ort_GetStringTensorContent(const OrtValue* value, void* s, size_t s_len, size_t* offsets,
                                      size_t offsets_len) {
  OrtStatus* status;
  const kapell_value* strings = strings_of(value, &status);
  if (!strings) return status;
  const size_t count = kp_value_count(strings);
  size_t total = 0;
  KP_ORT_PASS(ort_GetStringTensorDataLength(value, &total));
  if (offsets_len != count)
    return kp_ort_error(ORT_FAIL, "offsets buffer is not equal to tensor size");
  if (s_len < total)
    return kp_ort_error(ORT_FAIL, "output buffer is too small. Use GetStringTensorDataLength.");
  if (total) KP_ORT_NEED(s);
  if (count) KP_ORT_NEED(offsets);
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    const kp_str text = kp_value_string(strings, i);
    if (text.length) memcpy((char*)s + at, text.data, text.length);
    offsets[i] = at;
    at += text.length;
  }
  return NULL;
}

OrtStatus* ort_GetStringTensorElementLength(const OrtValue* value, size_t index, size_t* out) {
  KP_ORT_NEED(out);
  OrtStatus* status;
  const kapell_value* strings = strings_of(value, &status);
  if (!strings) return status;
  KP_ORT_PASS(check_index(strings, index));
  *out = kp_value_string(strings, index).length;
  return NULL;
}

OrtStatus* ort_GetStringTensorElement(const OrtValue* value, size_t s_len, size_t index, void* s) {
  OrtStatus* status;
  const kapell_value* strings = strings_of(value, &status);
  if (!strings) return status;
  KP_ORT_PASS(check_index(strings, index));
  const kp_str text = kp_value_string(strings, index);
  if (s_len < text.length)
    return kp_ort_error(ORT_FAIL, "buffer size is too small for string element");
  if (text.length) KP_ORT_NEED(s);
  if (text.length) memcpy(s, text.data, text.length);
  return NULL;
}
