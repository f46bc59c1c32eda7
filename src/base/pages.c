#if defined(__linux__)
#define _DEFAULT_SOURCE
#include <sys/mman.h>
#endif

#include <stdint.h>

#include "base/pages.h"

void kp_pages_wish_huge(void* memory, size_t byte_count) {
#ifdef MADV_HUGEPAGE
  const uintptr_t begin = (uintptr_t)memory,
                  first = (begin + KP_HUGE_PAGE - 1) / KP_HUGE_PAGE * KP_HUGE_PAGE,
                  last = (begin + byte_count) / KP_HUGE_PAGE * KP_HUGE_PAGE;
  if (first < last) madvise((void*)first, last - first, MADV_HUGEPAGE);
#else
  (void)memory;
  (void)byte_count;
#endif
}
