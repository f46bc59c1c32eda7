// Which sanitizers this build has, and the poisoning of memory that nobody may touch (arena red zones).
#ifndef KP_BASE_SANITIZE_H_
#define KP_BASE_SANITIZE_H_

#ifdef __has_feature  // clang
#if __has_feature(address_sanitizer)
#define KP_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define KP_TSAN 1
#endif
#if __has_feature(memory_sanitizer)
#define KP_MSAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__  // gcc
#define KP_ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#define KP_TSAN 1
#endif
#ifndef KP_ASAN
#define KP_ASAN 0
#endif
#ifndef KP_TSAN
#define KP_TSAN 0
#endif
#ifndef KP_MSAN
#define KP_MSAN 0
#endif

#if KP_ASAN
#include <sanitizer/asan_interface.h>
#define KP_POISON(address, byte_count) ASAN_POISON_MEMORY_REGION((address), (byte_count))
#define KP_UNPOISON(address, byte_count) ASAN_UNPOISON_MEMORY_REGION((address), (byte_count))
#else
#define KP_POISON(address, byte_count) ((void)(address), (void)(byte_count))
#define KP_UNPOISON(address, byte_count) ((void)(address), (void)(byte_count))
#endif

#endif  // KP_BASE_SANITIZE_H_
