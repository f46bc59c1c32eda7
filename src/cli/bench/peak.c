// The ceiling of this machine: f32 fused multiply-adds of one core at the widest vectors it has, 8-bit ones added up in 32 bits, and a
// sequential read of memory. Each figure is the best of several short rounds, because other programs on the machine only ever lower it.
#if defined(__linux__)
#define _DEFAULT_SOURCE
#include <sys/mman.h>
#endif
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/bench/bench.h"

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#define CHAINS 10  // independent sums: more than latency times throughput of the units

#if defined(__x86_64__)
#if defined(__clang__)
#define CONTRACT _Pragma("clang fp contract(fast)")
#else
#define CONTRACT
#endif
#define FMA_LOOP(name, isa, lanes)                                                       \
  typedef float vec_##name __attribute__((vector_size(lanes * 4)));                      \
  __attribute__((target(isa), noinline)) static float fma_##name(long rounds) {          \
    CONTRACT                                                                             \
    vec_##name sum[CHAINS], x, y;                                                        \
    for (int l = 0; l < lanes; ++l) x[l] = 1.0f + (float)l * 1e-7f, y[l] = 1e-7f;        \
    for (int c = 0; c < CHAINS; ++c) sum[c] = x * (float)(c + 1);                        \
    for (long r = 0; r < rounds; ++r) {                                                  \
      _Pragma("GCC unroll 16") for (int c = 0; c < CHAINS; ++c) sum[c] = sum[c] * x + y; \
      __asm__ volatile("" : "+x"(x));                                                    \
    }                                                                                    \
    float total = 0;                                                                     \
    for (int c = 0; c < CHAINS; ++c)                                                     \
      for (int l = 0; l < lanes; ++l) total += sum[c][l];                                \
    return total;                                                                        \
  }
#pragma GCC diagnostic push
#if !defined(__clang__)
#pragma GCC optimize("fp-contract=fast")
#endif
FMA_LOOP(avx2, "avx2,fma", 8)
FMA_LOOP(avx512, "avx512f", 16)
#pragma GCC diagnostic pop

// Bytes: a dot product of four where there is one, else pairs, widened.
typedef long long ints256 __attribute__((vector_size(32)));
typedef long long ints512 __attribute__((vector_size(64)));
#define BYTE_LOOP(name, isa, type, text)                                                          \
  __attribute__((target(isa), noinline)) static float bytes_##name(long rounds) {                 \
    type sum[CHAINS] = {{0}}, x = {0}, y = {0}, ones = {0};                                       \
    for (long r = 0; r < rounds; ++r) _Pragma("GCC unroll 16") for (int c = 0; c < CHAINS; ++c) { \
        type pairs;                                                                               \
        __asm__(text : "+v"(sum[c]), "=&v"(pairs) : "v"(x), "v"(y), "v"(ones));                   \
      }                                                                                           \
    float total = 0;                                                                              \
    _Pragma("GCC unroll 16") for (int c = 0; c < CHAINS; ++c) total += (float)sum[c][0];          \
    return total;                                                                                 \
  }
BYTE_LOOP(avx2, "avx2", ints256,
          "vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0")
BYTE_LOOP(vnni, "avx512f,avx512vnni", ints512, "vpdpbusd %3, %2, %0")
#endif

static float fma_plain(long rounds) {
  float sum[CHAINS], x = 1.0f, y = 1e-7f;
  for (int c = 0; c < CHAINS; ++c) sum[c] = (float)c;
  for (long r = 0; r < rounds; ++r)
    for (int c = 0; c < CHAINS; ++c) sum[c] = sum[c] * x + y;
  float total = 0;
  for (int c = 0; c < CHAINS; ++c) total += sum[c];
  return total;
}

static volatile float sink;

static double best_gflops(float (*loop)(long), int lanes) {
  const long rounds = 2000000;
  double best = 0;
  for (int i = 0; i < 15; ++i) {
    const double start = seconds();
    sink = loop(rounds);
    const double rate = 2.0 * (double)rounds * CHAINS * lanes / (seconds() - start) * 1e-9;
    if (rate > best) best = rate;
  }
  return best;
}

double bench_peak_gflops(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return best_gflops(fma_avx512, 16);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return best_gflops(fma_avx2, 8);
#endif
  return best_gflops(fma_plain, 1);
}

double bench_peak_gops8(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512vnni")) return best_gflops(bytes_vnni, 64);
  if (__builtin_cpu_supports("avx2")) return best_gflops(bytes_avx2, 32);
#endif
  return bench_peak_gflops();
}

// --- reading memory ------------------------------------------------------------------------------------------------------------
#define READ_COUNT ((size_t)32 << 20)  // 256 MiB of 8 bytes: more than caches hold
#define STREAMS 4   // places read at once: one alone does not keep the memory busy
#define READERS 64  // threads at most

typedef struct reader {
  const uint64_t* data;
  size_t count;  // a multiple of 8 * STREAMS
  uint64_t sum;
} reader;

static void* read_all(void* arg) {
  reader* r = arg;
  const size_t part = r->count / STREAMS;
  uint64_t sum[STREAMS][8] = {{0}};
  for (size_t i = 0; i < part; i += 8)
    for (size_t s = 0; s < STREAMS; ++s)
      for (size_t k = 0; k < 8; ++k) sum[s][k] += r->data[s * part + i + k];
  for (size_t s = 0; s < STREAMS; ++s)
    for (size_t k = 0; k < 8; ++k) r->sum += sum[s][k];
  return NULL;
}

// Seconds until |threads| readers have read all of |data| between them, the caller one of them.
static double read_seconds(const uint64_t* data, int threads) {
  reader readers[READERS] = {{0}};
  pthread_t helpers[READERS];
  bool started[READERS] = {0};
  const size_t each = READ_COUNT / (size_t)threads / (8 * STREAMS) * (8 * STREAMS);
  const double start = seconds();
  for (int i = threads - 1; i >= 0; --i) {
    readers[i] = (reader){data + (size_t)i * each, each, 0};
    started[i] = i && pthread_create(&helpers[i], NULL, read_all, &readers[i]) == 0;
    if (!started[i]) read_all(&readers[i]);
  }
  for (int i = 1; i < threads; ++i)
    if (started[i]) pthread_join(helpers[i], NULL);
  const double took = seconds() - start;
  for (int i = 0; i < threads; ++i) sink = sink + (float)readers[i].sum;
  return took;
}

double bench_read_gbs(int threads) {
  uint64_t* data = aligned_alloc((size_t)2 << 20, READ_COUNT * sizeof(*data));
  if (!data) return 0;
#ifdef MADV_HUGEPAGE
  madvise(data, READ_COUNT * sizeof(*data),
          MADV_HUGEPAGE);  // as large weights are held; only a wish
#endif
  for (size_t i = 0; i < READ_COUNT; ++i) data[i] = i;
  if (threads > READERS) threads = READERS;
  double least = 1e30;
  for (int round = 0; round < 7; ++round) {
    const double took = read_seconds(data, threads);
    if (took < least) least = took;
  }
  free(data);
  return (double)(READ_COUNT * sizeof(*data)) / least * 1e-9;
}
