// Fuzzes the reader of the linker's cache.
#include "find/find.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kp_arena arena = {0};
  kp_file file = {.data = data, .size = size};
  const kp_places places = {.arena = &arena, .root = "/no/such/folder", .cache = &file};
  (void)kp_places_cached(&places, "libc.so.6");
  (void)kp_places_cached(&places, "");
  kp_arena_free(&arena);
  return 0;
}
