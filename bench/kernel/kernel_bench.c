// Every variant of every kernel on shapes of real models (shapes.txt), one core.
//
//   ./dev bench kernel [NAME]     only lines whose family or layer contains NAME
//
// A row is: layer, variant (a star marks the one that this CPU's dispatcher picks), best and median time, GFLOP/s and its share
// of the measured multiply-add peak, or GB/s. Times are processor time of the thread: other programs on the machine take caches
// and clock, but not turns, from it. The peak is measured beside each row, because the clock changes.
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "provider/cpu/kernel/attention/attention.h"
#include "provider/cpu/kernel/conv/conv.h"
#include "provider/cpu/kernel/eltwise/eltwise.h"
#include "provider/cpu/kernel/norm/norm.h"
#include "provider/cpu/kernel/pool/pool.h"
#include "provider/cpu/kernel/qconv/qconv.h"
#include "provider/cpu/kernel/reduce/reduce.h"
#include "provider/cpu/kernel/softmax/softmax.h"
#include "provider/cpu/kernel/transpose/transpose.h"

#define FOR_EACH_VARIANT(family, ops)                                                      \
  for (size_t count_ = 0, i_ = (kp_##family##_variants(&count_), 0); i_ < count_; ++i_)    \
    for (const kp_##family##_ops* ops = usable(&kp_##family##_variants(&count_)[i_]); ops; \
         ops = NULL)

static const void* usable(const kp_variant* v) {
  return (v->features & ~kp_cpu_features()) == 0 ? v->ops : NULL;
}

static double thread_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// ---- the ceiling ----

#define CHAINS 12  // independent sums: more than the latency times the throughput of the units
#if defined(__x86_64__)
#include <immintrin.h>
#define PEAK_LOOP(name, isa, type, set1, fma)                                                     \
  __attribute__((target(isa), noinline)) static void name(long rounds) {                          \
    const type x = set1(0.999f), y = set1(0.001f);                                                \
    type s[CHAINS];                                                                               \
    for (int c = 0; c < CHAINS; ++c) s[c] = set1((float)c);                                       \
    for (long r = 0; r < rounds; ++r) {                                                           \
      s[0] = fma(s[0], x, y), s[1] = fma(s[1], x, y), s[2] = fma(s[2], x, y);                     \
      s[3] = fma(s[3], x, y), s[4] = fma(s[4], x, y), s[5] = fma(s[5], x, y);                     \
      s[6] = fma(s[6], x, y), s[7] = fma(s[7], x, y), s[8] = fma(s[8], x, y);                     \
      s[9] = fma(s[9], x, y), s[10] = fma(s[10], x, y), s[11] = fma(s[11], x, y);                 \
      __asm__ volatile(""                                                                         \
                       : "+x"(s[0]), "+x"(s[1]), "+x"(s[2]), "+x"(s[3]), "+x"(s[4]), "+x"(s[5])); \
      __asm__ volatile(""                                                                         \
                       : "+x"(s[6]), "+x"(s[7]), "+x"(s[8]), "+x"(s[9]), "+x"(s[10]),             \
                         "+x"(s[11]));                                                            \
    }                                                                                             \
  }
PEAK_LOOP(peak_avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps)
PEAK_LOOP(peak_avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps)
#endif

static void peak_plain(long rounds) {
  float s[CHAINS] = {0};
  for (long r = 0; r < rounds; ++r) {
    for (int c = 0; c < CHAINS; ++c) s[c] = s[c] * 0.999f + 0.001f;
  }
  __asm__ volatile("" ::"r"(s) : "memory");
}

static double peak_gflops(void) {
  const long rounds = 50000;
  void (*loop)(long) = peak_plain;
  double lanes = 1, best = 1e9;
#if defined(__x86_64__)
  if (kp_cpu_detected() & KP_CPU_FMA) loop = peak_avx2, lanes = 8;
  if (kp_cpu_detected() & KP_CPU_AVX512F) loop = peak_avx512, lanes = 16;
#endif
  for (int i = 0; i < 5; ++i) {
    const double start = thread_seconds();
    loop(rounds);
    const double time = thread_seconds() - start;
    if (time < best) best = time;
  }
  return 2.0 * (double)rounds * CHAINS * lanes / best * 1e-9;
}

// ---- measuring ----

typedef void (*body_fn)(void* context);

static int compare(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

// Runs |body| for about 60 ms in up to 31 rounds and prints the row. |flops| or |bytes| of one run; the other is 0.
static void measure(const char* layer, const char* variant, bool picked, double flops, double bytes,
                    body_fn body, void* context) {
  enum { kRounds = 31 };
  double times[kRounds], peak = 0;
  body(context);
  double start = thread_seconds();
  body(context);
  const double once = fmax(thread_seconds() - start, 1e-8);
  const long repeats = once > 0.002 ? 1 : (long)(0.002 / once) + 1;
  int rounds = 0;
  for (double spent = 0; rounds < kRounds && (rounds < 3 || spent < 0.06); ++rounds) {
    start = thread_seconds();
    for (long i = 0; i < repeats; ++i) body(context);
    times[rounds] = (thread_seconds() - start) / (double)repeats;
    spent += times[rounds] * (double)repeats;
    if (flops > 0 && rounds % 8 == 0) peak = fmax(peak, peak_gflops());
  }
  qsort(times, (size_t)rounds, sizeof(times[0]), compare);
  printf("%-28s %-16s%c best %10.2f us  median %10.2f us", layer, variant, picked ? '*' : ' ',
         times[0] * 1e6, times[rounds / 2] * 1e6);
  if (flops > 0)
    printf("  %7.1f GFLOP/s %5.1f %% of peak\n", flops / times[0] * 1e-9,
           100 * flops / times[0] * 1e-9 / peak);
  else
    printf("  %7.1f GB/s\n", bytes / times[0] * 1e-9);
  fflush(stdout);
}

// ---- memory ----

enum { kMaxBuffers = 16 };
static void* buffers[kMaxBuffers];
static size_t buffer_count;

static float* floats(size_t n) {
  float* p = aligned_alloc(64, (n * sizeof(float) + 127) / 64 * 64);
  if (!p || buffer_count == kMaxBuffers) {
    fprintf(stderr, "kernel_bench: out of memory\n");
    exit(1);
  }
  for (size_t i = 0; i < n; ++i) p[i] = (float)((int)(i * 2654435761u >> 16 & 1023) - 512) / 512.0f;
  buffers[buffer_count++] = p;
  return p;
}

static void release_all(void) {
  while (buffer_count) free(buffers[--buffer_count]);
}

// ---- families; each reads the numbers that its line has ----

typedef struct line {
  const char* layer;
  size_t n[8];
  const char* word;  // the last word, when it is not a number, else ""
} line;

typedef struct conv_context {
  kp_conv_plan plan;
  kp_conv_args args;
  void* scratch;
} conv_context;

static void conv_body(void* context) {
  conv_context* c = context;
  for (size_t i = 0; i < c->plan.task_count; ++i)
    kp_conv_run_task(&c->plan, &c->args, i, c->scratch);
}

static void bench_conv_algorithm(const line* l, const kp_conv_ops* ops, const kp_conv_shape* s,
                                 kp_conv_algorithm a, bool picked) {
  static const char* const names[] = {"gemm",    "implicit",  "window",   "depthwise",
                                      "grouped", "winograd2", "winograd4"};
  const size_t pixels = s->out_h * s->out_w, taps = s->kernel_h * s->kernel_w;
  conv_context c = {.args = {.epilogue = KP_EPILOGUE_NONE}};
  float* packed = floats(kp_conv_packed_size(ops, a, s));
  kp_conv_pack(ops, a, s, floats(s->out_c * s->in_c / s->groups * taps), packed,
               floats(kp_conv_pack_scratch_size(ops, a, s)));
  kp_conv_plan_init(ops, a, s, 1, &c.plan);
  c.args.input = floats(s->in_h * s->in_w * s->in_c);
  c.args.packed = packed;
  c.args.output = floats(pixels * s->out_c);
  c.args.epilogue.bias_n = floats(s->out_c);
  c.args.epilogue.act.kind = KP_ACT_RELU;
  c.scratch = floats(c.plan.scratch_bytes / sizeof(float));
  char name[32];
  snprintf(name, sizeof(name), "%s %s", ops->isa, names[a]);
  measure(l->layer, name, picked, 2.0 * (double)(pixels * s->out_c * (s->in_c / s->groups) * taps),
          0, conv_body, &c);
  release_all();
}

static void bench_conv(const line* l) {
  kp_conv_shape s = {.batch = 1,
                     .in_h = l->n[0],
                     .in_w = l->n[0],
                     .in_c = l->n[1],
                     .out_c = l->n[2],
                     .groups = l->n[5]};
  s.kernel_h = s.kernel_w = l->n[3];
  s.stride_h = s.stride_w = l->n[4];
  s.dilation_h = s.dilation_w = 1;
  s.pad_top = s.pad_left = l->n[3] / 2;
  s.out_h = s.out_w = (l->n[0] + 2 * (l->n[3] / 2) - l->n[3]) / l->n[4] + 1;
  s.in_pixel = s.in_c;
  s.out_pixel = s.out_c;
  s.in_layout = strcmp(l->word, "nchw") == 0 ? KP_CONV_NCHW : KP_CONV_NHWC;
  FOR_EACH_VARIANT(conv, ops) {
    const bool best = ops == kp_conv_select(kp_cpu_features());
    const kp_conv_algorithm chosen = kp_conv_choose(ops, &s);
    bench_conv_algorithm(l, ops, &s, chosen, best);
    // The algorithms that the choice passed over, for the variant that counts.
    if (best && chosen == KP_CONV_GROUPED)
      bench_conv_algorithm(l, ops, &s, KP_CONV_IMPLICIT, false);
    if (!best || s.kernel_h != 3 || s.stride_h != 1 || s.groups != 1 || s.in_layout == KP_CONV_NCHW)
      continue;
    const kp_conv_algorithm others[] = {KP_CONV_IMPLICIT, KP_CONV_WINOGRAD2, KP_CONV_WINOGRAD4};
    for (size_t i = 0; i < 3; ++i) {
      if (others[i] != chosen) bench_conv_algorithm(l, ops, &s, others[i], false);
    }
  }
}

typedef struct gemm_context {
  kp_gemm_plan plan;
  kp_gemm_args args;
  void* scratch;
} gemm_context;

static void gemm_body(void* context) {
  gemm_context* g = context;
  for (size_t i = 0; i < g->plan.task_count; ++i)
    kp_gemm_run_task(&g->plan, &g->args, i, g->scratch);
}

static void bench_gemm(const line* l) {
  const size_t m = l->n[0], n = l->n[1], k = l->n[2];
  const kp_gemm_b form = strcmp(l->word, "plain") == 0        ? KP_GEMM_B_PLAIN
                         : strcmp(l->word, "transposed") == 0 ? KP_GEMM_B_TRANSPOSED
                                                              : KP_GEMM_B_PACKED;
  FOR_EACH_VARIANT(gemm, ops) {
    gemm_context g = {.args = {.epilogue = KP_EPILOGUE_NONE}};
    float* b = floats(k * n);
    g.args.b = b;
    g.args.b_stride = form == KP_GEMM_B_TRANSPOSED ? k : n;
    if (form == KP_GEMM_B_PACKED) {
      float* packed = floats(kp_gemm_packed_b_size(ops, k, n));
      kp_gemm_pack_b(ops, k, 0, n, b, n, false, packed);
      g.args.b = packed;
    }
    g.args.a = floats(m * k);
    g.args.a_stride = k;
    g.args.c = floats(m * n);
    g.args.c_stride = n;
    kp_gemm_plan_init(ops, &(kp_gemm_shape){1, m, n, k, form}, 1, &g.plan);
    g.scratch = floats(g.plan.scratch_bytes / sizeof(float));
    const bool best = ops == kp_gemm_select(kp_cpu_features());
    measure(l->layer, ops->isa, best, 2.0 * (double)m * (double)n * (double)k, 0, gemm_body, &g);
    release_all();
  }
}

// ---- bytes; the share of the peak is that of f32's multiply-adds, so it may exceed 100 % ----

typedef struct qgemm_context {
  kp_qgemm_plan plan;
  kp_qgemm_args args;
  void* scratch;
} qgemm_context;

static void qgemm_body(void* context) {
  qgemm_context* g = context;
  for (size_t i = 0; i < g->plan.task_count; ++i)
    kp_qgemm_run_task(&g->plan, &g->args, i, g->scratch);
}

// Bytes of every value, or within [-64, 64] for the word "small".
static uint8_t* bytes(size_t n, const line* l) {
  uint8_t* p = (uint8_t*)(void*)floats(n / sizeof(float) + 16);
  const bool small = strcmp(l->word, "small") == 0;
  for (size_t i = 0; i < n; ++i) {
    const uint32_t number = (uint32_t)i * 2654435761u >> 16 & 255;
    p[i] = (uint8_t)(small ? number / 2 + 192 : number);
  }
  return p;
}

static const float quarter = 0.25f;

static void bench_qgemm_variant(const line* l, const kp_qgemm_ops* ops, bool best) {
  const size_t m = l->n[0], n = l->n[1], k = l->n[2];
  const kp_qgemm_epilogue epilogue = {
      .kind = KP_QGEMM_U8, .scale = &quarter, .zero = 100, .high = 255};
  qgemm_context g = {
      .args = {.a = bytes(m * k, l), .a_stride = k, .c = bytes(m * n, l), .c_stride = n}};
  void* packed = bytes(kp_qgemm_packed_b_size(ops, k, n), l);
  kp_qgemm_pack_b(ops, k, n, bytes(k * n, l), n, false, true, packed);
  g.args.b = packed;
  g.args.epilogue = epilogue;
  kp_qgemm_plan_init(ops, &(kp_qgemm_shape){.batch = 1, .m = m, .n = n, .k = k, .b_signed = true},
                     1, &g.plan);
  g.scratch = bytes(g.plan.scratch_bytes, l);
  measure(l->layer, ops->isa, best, 2.0 * (double)m * (double)n * (double)k, 0, qgemm_body, &g);
  release_all();
}

// What a B like the line's would run on.
static const kp_qgemm_ops* chosen_qgemm(const line* l) {
  const uint8_t* b = bytes(256, l);
  const kp_qgemm_ops* ops = kp_qgemm_select_for(kp_cpu_features(), 256, b, true);
  release_all();
  return ops;
}

static void bench_qgemm(const line* l) {
  const kp_qgemm_ops* chosen = chosen_qgemm(l);
  FOR_EACH_VARIANT(qgemm, ops) { bench_qgemm_variant(l, ops, ops == chosen); }
}

typedef struct qconv_context {
  kp_qconv_plan plan;
  kp_qconv_args args;
  void* scratch;
} qconv_context;

static void qconv_body(void* context) {
  qconv_context* c = context;
  for (size_t i = 0; i < c->plan.task_count; ++i)
    kp_qconv_run_task(&c->plan, &c->args, i, c->scratch);
}

static void bench_qconv(const line* l) {
  const int64_t size = (int64_t)l->n[0], kernel = (int64_t)l->n[3], stride = (int64_t)l->n[4],
                out = (size + 2 * (kernel / 2) - kernel) / stride + 1;
  const size_t groups = l->n[5];
  const kp_qconv_shape s = {.rank = 2,
                            .batch = 1,
                            .groups = groups,
                            .in_c = l->n[1] / groups,
                            .out_c = l->n[2] / groups,
                            .in = {size, size},
                            .out = {out, out},
                            .kernel = {kernel, kernel},
                            .stride = {stride, stride},
                            .dilation = {1, 1},
                            .begin = {kernel / 2, kernel / 2},
                            .in_count = (size_t)(size * size),
                            .out_count = (size_t)(out * out),
                            .taps = (size_t)(kernel * kernel),
                            .w_signed = true};
  const kp_qgemm_ops* gemm = chosen_qgemm(l);
  const kp_qconv_ops* ops = kp_qconv_select(kp_cpu_features());
  const kp_qgemm_zero zero = {NULL, false};
  const size_t weights = l->n[2] * s.in_c * s.taps;
  qconv_context c = {
      .args = {.input = bytes(s.in_count * l->n[1], l), .x_zero = 100, .w_zero = zero}};
  void* packed = bytes(kp_qconv_packed_size(gemm, &s), l);
  kp_qconv_pack(ops, gemm, &s, bytes(weights, l), &zero, packed, bytes(weights, l));
  c.args.packed = packed;
  c.args.output = bytes(s.out_count * l->n[2], l);
  c.args.epilogue =
      (kp_qgemm_epilogue){.kind = KP_QGEMM_U8, .scale = &quarter, .zero = 100, .high = 255};
  kp_qconv_plan_init(ops, gemm, &s, 1, &c.plan);
  c.scratch = bytes(c.plan.scratch_bytes, l);
  measure(l->layer, gemm->isa, true, 2.0 * (double)(s.out_count * weights), 0, qconv_body, &c);
  release_all();
}

typedef struct attention_context {
  kp_attention_plan plan;
  kp_attention_args args;
  void* scratch;
} attention_context;

static void attention_body(void* context) {
  attention_context* a = context;
  for (size_t i = 0; i < a->plan.task_count; ++i)
    kp_attention_run_task(&a->plan, &a->args, i, a->scratch);
}

static void bench_attention(const line* l) {
  const size_t heads = l->n[0], q_len = l->n[1], kv_len = l->n[2], d = l->n[3];
  FOR_EACH_VARIANT(attention, ops) {
    attention_context a = {.args = {.scale = 0.125f}};
    a.args.q = (kp_attention_tensor){floats(q_len * heads * d), 0, heads * d, d};
    a.args.k = (kp_attention_tensor){floats(kv_len * heads * d), 0, heads * d, d};
    a.args.v = (kp_attention_tensor){floats(kv_len * heads * d), 0, heads * d, d};
    a.args.out = (kp_attention_tensor){floats(q_len * heads * d), 0, heads * d, d};
    a.args.left = a.args.right = -1;
    a.args.span.keys = kv_len;
    kp_attention_plan_init(ops,
                           &(kp_attention_shape){.batch = 1,
                                                 .heads = heads,
                                                 .kv_heads = heads,
                                                 .q_len = q_len,
                                                 .kv_len = kv_len,
                                                 .head_dim = d,
                                                 .v_dim = d},
                           1, &a.plan);
    a.scratch = floats(a.plan.scratch_bytes / sizeof(float));
    const bool best = ops == kp_attention_select(kp_cpu_features());
    measure(l->layer, ops->isa, best, 4.0 * (double)(heads * q_len * kv_len * d), 0, attention_body,
            &a);
    release_all();
  }
}

// Kernels over [rows][cols].
typedef struct rows_context {
  const void* ops;
  size_t rows, cols;
  float *x, *y, *z;
  kp_pool_shape pool;
} rows_context;

static void softmax_body(void* context) {
  rows_context* c = context;
  ((const kp_softmax_ops*)c->ops)->rows(c->rows, c->cols, c->x, c->cols, c->y, c->cols, false);
}
static void layernorm_body(void* context) {
  rows_context* c = context;
  const kp_row_norm n = {.rows = c->rows,
                         .cols = c->cols,
                         .x = c->x,
                         .x_stride = c->cols,
                         .y = c->y,
                         .y_stride = c->cols,
                         .gamma = c->z,
                         .beta = c->z,
                         .epsilon = 1e-5f};
  ((const kp_norm_ops*)c->ops)->layer(&n);
}
static void activate(rows_context* c, kp_act_kind kind) {
  const kp_act act = {kind, 1.0f, 0.0f};
  ((const kp_eltwise_ops*)c->ops)
      ->activate(1, c->rows * c->cols, c->x, c->rows * c->cols, c->y, c->rows * c->cols, &act);
}
static void gelu_body(void* context) { activate(context, KP_ACT_GELU); }
static void silu_body(void* context) { activate(context, KP_ACT_SILU); }
static void add_body(void* context) {
  rows_context* c = context;
  const size_t n = c->rows * c->cols;
  const kp_operand a = {c->x, n, 1}, b = {c->z, n, 1};
  ((const kp_eltwise_ops*)c->ops)->binary(KP_BINARY_ADD, 1, n, &a, &b, c->y, n, NULL);
}
static void transpose_body(void* context) {
  rows_context* c = context;
  kp_transpose_run(c->ops, sizeof(float), 1, c->rows, c->cols, c->x, c->cols, 0, c->y, c->rows, 0);
}
static void reduce_body(void* context) {
  rows_context* c = context;
  ((const kp_reduce_ops*)c->ops)->columns(KP_REDUCE_MEAN, c->rows, c->cols, c->x, c->cols, c->y);
}
static void maxpool_body(void* context) {
  rows_context* c = context;
  ((const kp_pool_ops*)c->ops)->max(&c->pool, 0, c->pool.out_h, c->x, c->y);
}

// Walks the variants of |family| over a [rows][cols] line; |streams| arrays of that size are read or written.
#define BENCH_ROWS(name, family, streams)                                                      \
  static void bench_##name(const line* l) {                                                    \
    FOR_EACH_VARIANT(family, ops) {                                                            \
      const size_t n = l->n[0] * l->n[1];                                                      \
      rows_context c = {.ops = ops,                                                            \
                        .rows = l->n[0],                                                       \
                        .cols = l->n[1],                                                       \
                        .x = floats(n),                                                        \
                        .y = floats(n),                                                        \
                        .z = floats(n)};                                                       \
      const bool best = ops == kp_##family##_select(kp_cpu_features());                        \
      measure(l->layer, ops->isa, best, 0, (double)n * sizeof(float) * (streams), name##_body, \
              &c);                                                                             \
      release_all();                                                                           \
    }                                                                                          \
  }
BENCH_ROWS(softmax, softmax, 2)
BENCH_ROWS(layernorm, norm, 2)
BENCH_ROWS(gelu, eltwise, 2)
BENCH_ROWS(silu, eltwise, 2)
BENCH_ROWS(add, eltwise, 3)
BENCH_ROWS(transpose, transpose, 2)
BENCH_ROWS(reduce, reduce, 1)

static void bench_maxpool(const line* l) {
  const size_t size = l->n[0], channels = l->n[1], kernel = l->n[2], stride = l->n[3];
  kp_pool_shape s = {.batch = 1,
                     .in_h = size,
                     .in_w = size,
                     .channels = channels,
                     .in_pixel = channels,
                     .out_pixel = channels};
  s.kernel_h = s.kernel_w = kernel;
  s.stride_h = s.stride_w = stride;
  s.dilation_h = s.dilation_w = 1;
  s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = kernel / 2;
  s.out_h = s.out_w = (size + 2 * (kernel / 2) - kernel) / stride + 1;
  FOR_EACH_VARIANT(pool, ops) {
    rows_context c = {.ops = ops,
                      .pool = s,
                      .x = floats(size * size * channels),
                      .y = floats(s.out_h * s.out_w * channels)};
    const double moved = (double)((size * size + s.out_h * s.out_w) * channels) * sizeof(float);
    measure(l->layer, ops->isa, ops == kp_pool_select(kp_cpu_features()), 0, moved, maxpool_body,
            &c);
    release_all();
  }
}

static const struct family {
  const char* name;
  void (*bench)(const line* l);
} families[] = {
    {"conv", bench_conv},           {"gemm", bench_gemm},
    {"attention", bench_attention}, {"softmax", bench_softmax},
    {"layernorm", bench_layernorm}, {"gelu", bench_gelu},
    {"silu", bench_silu},           {"add", bench_add},
    {"transpose", bench_transpose}, {"reduce", bench_reduce},
    {"maxpool", bench_maxpool},     {"qgemm", bench_qgemm},
    {"qconv", bench_qconv},
};

// "family layer numbers... [word]"; false when the family is not known.
static bool run_line(char* text, const char* filter) {
  char* rest = NULL;
  const char* family = strtok_r(text, " \n", &rest);
  if (!family || family[0] == '#') return true;
  line l = {.layer = strtok_r(NULL, " \n", &rest), .word = ""};
  if (!l.layer) return false;
  if (filter && !strstr(family, filter) && !strstr(l.layer, filter)) return true;
  size_t count = 0;
  for (char* word; (word = strtok_r(NULL, " \n", &rest)) && count < 8;) {
    if (word[0] >= '0' && word[0] <= '9')
      l.n[count++] = (size_t)strtoul(word, NULL, 10);
    else
      l.word = word;
  }
  for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); ++i) {
    if (strcmp(families[i].name, family) != 0) continue;
    families[i].bench(&l);
    return true;
  }
  return false;
}

int main(int argc, char** argv) {
  const char* path = KAPELL_SOURCE_DIR "/bench/kernel/shapes.txt";
  FILE* file = fopen(path, "r");
  if (!file) {
    fprintf(stderr, "kernel_bench: %s: %s\n", path, strerror(errno));
    return 1;
  }
  char text[256];
  int status = 0;
  for (int number = 1; fgets(text, sizeof(text), file); ++number) {
    if (run_line(text, argc > 1 ? argv[1] : NULL)) continue;
    fprintf(stderr, "kernel_bench: %s:%d: not understood\n", path, number);
    status = 1;
  }
  fclose(file);
  return status;
}
