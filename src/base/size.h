// Overflow-checked arithmetic on sizes. Every size or offset that comes from a file, user or plugin goes through here.
#ifndef KP_BASE_SIZE_H_
#define KP_BASE_SIZE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// True and *out = a*b, or false on overflow (then *out is unspecified).
static inline bool kp_mul_size(size_t a, size_t b, size_t* out) {
  return !__builtin_mul_overflow(a, b, out);
}
static inline bool kp_add_size(size_t a, size_t b, size_t* out) {
  return !__builtin_add_overflow(a, b, out);
}
static inline bool kp_mul_i64(int64_t a, int64_t b, int64_t* out) {
  return !__builtin_mul_overflow(a, b, out);
}
static inline bool kp_add_i64(int64_t a, int64_t b, int64_t* out) {
  return !__builtin_add_overflow(a, b, out);
}
// Rounds |size| up to a multiple of |align| (a power of two); false on overflow.
static inline bool kp_align_size(size_t size, size_t align, size_t* out) {
  size_t sum;
  if (!kp_add_size(size, align - 1, &sum)) return false;
  *out = sum & ~(align - 1);
  return true;
}
static inline size_t kp_min_size(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t kp_max_size(size_t a, size_t b) { return a > b ? a : b; }
static inline int64_t kp_min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t kp_max_i64(int64_t a, int64_t b) { return a > b ? a : b; }

#define KP_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif  // KP_BASE_SIZE_H_
