// All heap memory of the library comes through here, so that a session's budget can bound it (budget.h) and tests can count
// allocations and make them fail.
//
// Threads: callable from any thread. Alignment: kp_alloc* give max_align_t; kp_alloc_aligned what is asked.
// Errors: NULL, also past the budget (the caller turns it into OUT_OF_MEMORY, api/ into the budget's own words). Size 0 gives a valid pointer that can be freed.
#ifndef KP_BASE_ALLOC_H_
#define KP_BASE_ALLOC_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KP_ALIGNMENT 64  // of tensors and arenas: a cache line, and the widest vector register

void* kp_alloc(size_t byte_count);
void* kp_alloc_zero(size_t count, size_t element_size);   // overflow-checked, zeroed
void* kp_alloc_array(size_t count, size_t element_size);  // overflow-checked
void* kp_realloc_array(void* old, size_t count,
                       size_t element_size);  // overflow-checked; old stays valid on NULL
void* kp_alloc_aligned(size_t byte_count, size_t alignment);  // alignment: power of two
// KP_ALIGNMENT-aligned, for what a session is made of: freed blocks are kept for the next session, within bounds (spare.h).
void* kp_alloc_block(size_t byte_count);
void kp_free(void* memory);  // any of the above; NULL is fine
char* kp_strdup(const char* text);
char* kp_strndup(const char* text, size_t length);

// --- for tests -----------------------------------------------------------------------------------------------------
// Allocations so far in this process (never decreases), and those not yet freed.
uint64_t kp_alloc_total(void);
int64_t kp_alloc_live(void);
// Makes the |nth| allocation from now fail (1 = the next one), once; 0 turns it off. Returns nothing; process-wide.
void kp_alloc_fail_at(uint64_t nth);
// True if the failure set by kp_alloc_fail_at has happened.
bool kp_alloc_failed(void);

#endif  // KP_BASE_ALLOC_H_
