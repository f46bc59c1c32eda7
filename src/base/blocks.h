// Blocks of memory that do not change any more, held once however many users have equal ones: packed weights of several sessions.
//
// What is equal is told by the contents alone, every byte of them. A block lives for as long as somebody uses it, and stays charged to the
// budget (budget.h) of whoever made it.
// Threads: any.
#ifndef KP_BASE_BLOCKS_H_
#define KP_BASE_BLOCKS_H_

#include <stddef.h>
#include <stdint.h>

typedef struct kapell_shared_weights kp_blocks;  // kapell.h's name of the same

#define KP_BLOCKS_LEAST ((size_t)256)  // bytes below which sharing is not worth the entry

kp_blocks* kp_blocks_create(void);  // one reference; NULL: out of memory
kp_blocks* kp_blocks_retain(kp_blocks* blocks);
void kp_blocks_release(kp_blocks* blocks);  // NULL is fine

// Gives the block that is equal to |memory| (of kp_alloc*), which is then freed; or takes |memory| in and gives it back. The caller
// uses what it gets until kp_blocks_leave. NULL: not taken, for want of memory or because it is too small: |memory| stays the caller's.
void* kp_blocks_join(kp_blocks* blocks, void* memory, size_t byte_count);
void kp_blocks_leave(kp_blocks* blocks, void* memory, size_t byte_count);

uint64_t kp_blocks_bytes(kp_blocks* blocks);  // held now
uint64_t kp_blocks_saved(kp_blocks* blocks);  // that users would hold besides if each had its own

#endif  // KP_BASE_BLOCKS_H_
