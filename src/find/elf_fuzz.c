// Fuzzes the reader of shared objects: texts that it gives out end, what it counts is there, and with an allocation that fails it ends
// in OUT_OF_MEMORY.
#include <stdlib.h>

#include "base/alloc.h"
#include "base/str.h"
#include "find/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

static size_t use(const kp_elf* elf) {
  size_t length = elf->soname ? strlen(elf->soname) : 0;
  if (elf->runpath) length += strlen(elf->runpath);
  for (size_t i = 0; i < elf->needed_count; ++i) length += strlen(elf->needed[i]);
  for (size_t i = 0; i < elf->want_count; ++i)
    length += strlen(elf->wants[i].file) + strlen(elf->wants[i].version);
  for (size_t i = 0; i < elf->version_count; ++i) length += strlen(elf->versions[i]);
  return length;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const char* const symbols[] = {"CreateEpFactories", "GetProvider", NULL};
  kp_arena arena = {0};
  kp_elf elf;
  kp_status* status = kp_elf_read(data, size, symbols, &arena, &elf);
  const bool good = !status;
  if (good && use(&elf) == SIZE_MAX) abort();
  kp_status_free(status);
  kp_arena_reset(&arena);
  kp_arena_free(&arena);
  kp_alloc_fail_at(1 + kp_hash_bytes(data, size, 1) % 4);
  status = kp_elf_read(data, size, symbols, &arena, &elf);
  kp_alloc_fail_at(0);
  if (!status && !good) abort();
  kp_status_free(status);
  kp_arena_free(&arena);
  return 0;
}
