// Blocks of memory that one session gave back, kept for the next one. A process that opens models one after another, or runs what
// allocates, would otherwise return the pages to the kernel and have each of them faulted in and cleared again.
//
// At most KP_SPARE_BYTES are kept, for as long as the process (or the library in it) lives. alloc.h is the only user.
// Threads: any. Nobody waits: while another thread is at it, nothing is kept and nothing found.
#ifndef KP_BASE_SPARE_H_
#define KP_BASE_SPARE_H_

#include <stdbool.h>
#include <stddef.h>

#define KP_SPARE_BYTES ((size_t)1 << 20)          // kept in all
#define KP_SPARE_BLOCK_BYTES ((size_t)256 << 10)  // of the largest block

// A block of at least |byte_count| bytes that malloc's free takes, and its size; NULL: none is fit.
void* kp_spare_take(size_t byte_count, size_t* out_size);
// Keeps |block| of |size| bytes. False: it is the caller's to free.
bool kp_spare_keep(void* block, size_t size);

#endif  // KP_BASE_SPARE_H_
