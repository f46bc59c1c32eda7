// Bump arena: many small objects with one life time. Freed all at once; reset keeps its blocks for reuse.
//
// Threads: one at a time. Errors: NULL on out of memory. Memory is zeroed.
#ifndef KP_BASE_ARENA_H_
#define KP_BASE_ARENA_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct kp_arena_block kp_arena_block;

typedef struct kp_arena {
  kp_arena_block* first;    // all blocks, in order of making; owned
  kp_arena_block* current;  // the block being filled
  size_t used;              // bytes used in |current|
  size_t block_size;        // size of the next new block; doubles up to 1 MiB
  size_t total;             // bytes held in all blocks
} kp_arena;

void kp_arena_init(kp_arena* arena);   // allocates nothing; {0} is the same
void kp_arena_free(kp_arena* arena);   // gives all blocks back; the arena may be used again
void kp_arena_reset(kp_arena* arena);  // forgets contents, keeps the blocks

// A place in the arena to go back to: what was taken after the mark is forgotten, its blocks are kept. The marks of one
// arena nest; a reset makes all of them void.
typedef struct kp_arena_mark {
  kp_arena_block* block;
  size_t used;
} kp_arena_mark;
kp_arena_mark kp_arena_get_mark(const kp_arena* arena);
void kp_arena_rewind(kp_arena* arena, kp_arena_mark mark);

void* kp_arena_alloc(kp_arena* arena, size_t byte_count);  // 16-byte aligned
void* kp_arena_alloc_aligned(kp_arena* arena, size_t byte_count, size_t alignment);
void* kp_arena_array(kp_arena* arena, size_t count, size_t element_size);  // overflow-checked
char* kp_arena_strndup(kp_arena* arena, const char* text, size_t length);  // NUL-terminated copy
char* kp_arena_printf(kp_arena* arena, const char* format, ...)
    __attribute__((format(printf, 2, 3)));
void* kp_arena_memdup(kp_arena* arena, const void* data, size_t byte_count);

#define kp_arena_new(arena, type) ((type*)kp_arena_alloc((arena), sizeof(type)))
#define kp_arena_new_array(arena, type, count) \
  ((type*)kp_arena_array((arena), (count), sizeof(type)))

#endif  // KP_BASE_ARENA_H_
