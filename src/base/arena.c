// Bump arena over a list of blocks. Neighbours: alloc.c gives the blocks; str.c, graph and plan live in arenas.
//
// The blocks form one list in order of making; |current| moves along it. A block too small for a request is passed over
// and used again after a reset, so a repeated sequence of requests finds the same places and allocates nothing.
// Under AddressSanitizer everything not handed out is poisoned, with a red zone after each piece.
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/sanitize.h"
#include "base/size.h"

#define FIRST_BLOCK 4096
#define LARGEST_BLOCK ((size_t)1 << 20)
#define SMALL_ALIGNMENT 16
#define RED_ZONE (KP_ASAN ? 16 : 0)

struct kp_arena_block {
  kp_arena_block* next;
  size_t size;  // bytes of |data|
  _Alignas(KP_ALIGNMENT) unsigned char data[];
};

void kp_arena_init(kp_arena* arena) { *arena = (kp_arena){0}; }

void kp_arena_free(kp_arena* arena) {
  for (kp_arena_block* block = arena->first; block;) {
    kp_arena_block* const next = block->next;
    KP_UNPOISON(block->data, block->size);
    kp_free(block);
    block = next;
  }
  kp_arena_init(arena);
}

void kp_arena_reset(kp_arena* arena) { kp_arena_rewind(arena, (kp_arena_mark){0}); }

kp_arena_mark kp_arena_get_mark(const kp_arena* arena) {
  return (kp_arena_mark){arena->current, arena->used};
}

void kp_arena_rewind(kp_arena* arena, kp_arena_mark mark) {
  arena->current = mark.block ? mark.block : arena->first;
  arena->used = mark.used;
  if (!KP_ASAN || !arena->current) return;
  KP_POISON(arena->current->data + arena->used, arena->current->size - arena->used);
  for (kp_arena_block* block = arena->current->next; block; block = block->next)
    KP_POISON(block->data, block->size);
}

// Offset in |block| of a piece of |byte_count| bytes after |used|, and the offset of its end; false if it does not fit.
static bool find_room(const kp_arena_block* block, size_t used, size_t byte_count, size_t alignment,
                      size_t* out_start, size_t* out_end) {
  const size_t address = (size_t)(uintptr_t)block->data + used;
  const size_t start = used + ((alignment - (address & (alignment - 1))) & (alignment - 1));
  if (start > block->size || byte_count > block->size - start) return false;
  *out_start = start;
  *out_end = start + byte_count;
  return true;
}

// Appends a block that has room for |byte_count| bytes at |alignment| and makes it the current one.
static bool add_block(kp_arena* arena, size_t byte_count, size_t alignment) {
  if (arena->block_size == 0) arena->block_size = FIRST_BLOCK;
  size_t least, whole;
  if (!kp_add_size(byte_count, alignment + RED_ZONE, &least)) return false;
  const size_t size = kp_max_size(least, arena->block_size);
  if (!kp_add_size(size, sizeof(kp_arena_block), &whole)) return false;
  kp_arena_block* block = kp_alloc_block(whole);
  if (!block) return false;
  *block = (kp_arena_block){.next = NULL, .size = size};
  KP_POISON(block->data, size);
  kp_arena_block** tail = arena->current ? &arena->current->next : &arena->first;
  while (*tail) tail = &(*tail)->next;
  *tail = block;
  arena->current = block;
  arena->used = 0;
  arena->total += size;
  arena->block_size = kp_min_size(arena->block_size * 2, LARGEST_BLOCK);
  return true;
}

void* kp_arena_alloc_aligned(kp_arena* arena, size_t byte_count, size_t alignment) {
  size_t start = 0, end = 0;
  kp_arena_block* block = arena->current;
  size_t used = arena->used;
  while (block && !find_room(block, used, byte_count, alignment, &start, &end)) {
    block = block->next;
    used = 0;
  }
  if (block) {
    arena->current = block;
  } else {
    if (!add_block(arena, byte_count, alignment)) return NULL;
    block = arena->current;
    (void)find_room(block, 0, byte_count, alignment, &start, &end);
  }
  arena->used = kp_min_size(end + RED_ZONE, block->size);
  KP_UNPOISON(block->data + start, byte_count);
  return memset(block->data + start, 0, byte_count);
}

void* kp_arena_alloc(kp_arena* arena, size_t byte_count) {
  return kp_arena_alloc_aligned(arena, byte_count, SMALL_ALIGNMENT);
}

void* kp_arena_array(kp_arena* arena, size_t count, size_t element_size) {
  size_t byte_count;
  if (!kp_mul_size(count, element_size, &byte_count)) return NULL;
  return kp_arena_alloc(arena, byte_count);
}

char* kp_arena_strndup(kp_arena* arena, const char* text, size_t length) {
  size_t byte_count;
  if (!kp_add_size(length, 1, &byte_count)) return NULL;
  char* copy = kp_arena_alloc(arena, byte_count);
  if (copy && length) memcpy(copy, text, length);
  return copy;
}

char* kp_arena_printf(kp_arena* arena, const char* format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  const int length = vsnprintf(NULL, 0, format, args);
  char* text = length < 0 ? NULL : kp_arena_alloc(arena, (size_t)length + 1);
  if (text) vsnprintf(text, (size_t)length + 1, format, again);
  va_end(again);
  va_end(args);
  return text;
}

void* kp_arena_memdup(kp_arena* arena, const void* data, size_t byte_count) {
  void* copy = kp_arena_alloc(arena, byte_count);
  if (copy && byte_count) memcpy(copy, data, byte_count);
  return copy;
}
