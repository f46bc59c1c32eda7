// Fuzzes the JSON reader; what it takes it takes again, the same.
#include <stdlib.h>

#include "base/json_read.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

static size_t count(const kp_json_value* value) {
  size_t total = 1;
  for (const kp_json_value* item = value->first; item; item = item->next) total += count(item);
  return total;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kp_arena arena = {0};
  kp_json_value *once, *again;
  const kp_str text = {(const char*)data, size};
  kp_status* status = size < 8192 ? kp_json_read(text, &arena, &once) : NULL;
  if (!status && size < 8192) {
    status = kp_json_read(text, &arena, &again);
    if (status || count(once) != count(again) || once->kind != again->kind) abort();
  }
  kp_status_free(status);
  kp_arena_free(&arena);
  return 0;
}
