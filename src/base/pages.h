// Pages of memory. Neighbours: alloc.c asks for large ones.
#ifndef KP_BASE_PAGES_H_
#define KP_BASE_PAGES_H_

#include <stddef.h>

#define KP_HUGE_PAGE ((size_t)2 << 20)

// Wishes for huge pages where [memory, memory + byte_count) covers whole ones: a first touch then costs one fault in place of 512, and
// weights that are read once a run miss the translation cache less. Linux's madvise mode of transparent huge pages grants it; where
// it is never or there is no such thing, nothing happens. Takes no memory beyond the range.
void kp_pages_wish_huge(void* memory, size_t byte_count);

#endif  // KP_BASE_PAGES_H_
