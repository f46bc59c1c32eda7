// 8-bit matrix product, one panel of columns: packing, the register-blocked micro-kernels, what is stored. qgemm.h says what it
// computes and what wide and raw variants are.
//
// A micro-kernel keeps rows x VECS vectors of 32-bit sums in registers over a block of the inner dimension. Where more rows than one
// micro-kernel's pass over a panel, the panel's block is widened once for all of them; below that on the way.
#include "provider/cpu/kernel/qgemm/qgemm.h"

#include "provider/cpu/simd/i8.h"

#if defined(KP_ISA_AVX512)
#define ROWS 12
#define VECS 2
#elif defined(KP_ISA_AVX2)
#define ROWS 6
#define VECS 2
#elif defined(KP_ISA_NEON)
#define ROWS 6
#define VECS 4
#else
#define ROWS 4
#define VECS 4
#endif
#define PANEL (VECS * KP_VF_LANES)
#define DEPTH \
  512  // of one block: 16 columns of it widened take half of a first-level cache of 32 KB

#if KP_Q_RAW
typedef uint8_t a_element;
#define B_BYTES 1
#else
typedef int16_t a_element;
#define B_BYTES 2
#endif
#define A_GROUP (KP_Q_GROUP * sizeof(a_element))

// ---- packing ----------------------------------------------------------------------------------------------------------------
// Turns a byte into the kind that the instruction takes A as.
#if KP_Q_RAW
static void qgemm_pack_a(size_t n, const void* x, bool is_signed, int32_t zero, void* packed) {
  (void)zero;
  const uint8_t flip = is_signed == (bool)KP_Q_A_SIGNED ? 0 : 0x80;
  const uint8_t* from = x;
  uint8_t* to = packed;
  for (size_t i = 0; i < n; ++i) to[i] = from[i] ^ flip;
}

static void qgemm_fill_a(size_t n, bool is_signed, int32_t zero, void* packed) {
  const int flip = is_signed == (bool)KP_Q_A_SIGNED ? 0 : 0x80;
  memset(packed, (uint8_t)zero ^ flip, n);
}

static int32_t qgemm_sum_a(size_t n, const void* packed) {
  uint32_t sum = 0;
#if KP_Q_A_SIGNED
  const int8_t* from = packed;
#else
  const uint8_t* from = packed;
#endif
  size_t i = 0;
#if defined(KP_ISA_AVX2) && !KP_Q_A_SIGNED
  __m256i eights = _mm256_setzero_si256();
  for (; i + 32 <= n; i += 32)
    eights = _mm256_add_epi64(eights, _mm256_sad_epu8(kp_q_load(from + i), _mm256_setzero_si256()));
  const __m128i halves =
      _mm_add_epi64(_mm256_castsi256_si128(eights), _mm256_extracti128_si256(eights, 1));
  sum = (uint32_t)_mm_cvtsi128_si32(halves) + (uint32_t)_mm_extract_epi32(halves, 2);
#endif
  for (; i < n; ++i) sum += (uint32_t)from[i];
  return (int32_t)sum;
}
#else
KP_INLINE void pack_some(const size_t n, const uint8_t* x, const bool is_signed, int16_t less,
                         int16_t* to) {
  for (size_t i = 0; i < n; ++i) to[i] = (int16_t)((is_signed ? (int8_t)x[i] : x[i]) - less);
}

// Runs of a window are short: their ends are packed twice rather than one by one.
KP_INLINE void pack_run(size_t n, const uint8_t* x, const bool is_signed, int16_t less,
                        int16_t* to) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) pack_some(16, x + i, is_signed, less, to + i);
  if (i == n) return;
  if (n >= 16) {
    pack_some(16, x + n - 16, is_signed, less, to + n - 16);
  } else if (n >= 8) {
    pack_some(8, x, is_signed, less, to);
    pack_some(8, x + n - 8, is_signed, less, to + n - 8);
  } else {
    for (; i < n; ++i) pack_some(1, x + i, is_signed, less, to + i);
  }
}

static void qgemm_pack_a(size_t n, const void* x, bool is_signed, int32_t zero, void* packed) {
  if (is_signed)
    pack_run(n, x, true, (int16_t)zero, packed);
  else
    pack_run(n, x, false, (int16_t)zero, packed);
}

static void qgemm_fill_a(size_t n, bool is_signed, int32_t zero, void* packed) {
  (void)is_signed;
  (void)zero;
  memset(packed, 0, n * sizeof(int16_t));
}

static int32_t qgemm_sum_a(size_t n, const void* packed) {
  const int16_t* from = packed;
  int32_t sum = 0;
  for (size_t i = 0; i < n; ++i) sum += from[i];
  return sum;
}
#endif

#if defined(KP_Q_NARROW)
#include "provider/cpu/kernel/qgemm/qgemm_narrow.inl"
#else
static void qgemm_pack_b(size_t k, size_t cols, const void* b, size_t b_stride, bool transposed,
                         bool is_signed, void* panel) {
  uint32_t* sums = panel;
  int8_t* to = (int8_t*)panel + PANEL * sizeof(int32_t);
  const size_t groups = (k + KP_Q_GROUP - 1) / KP_Q_GROUP;
  const size_t row = transposed ? 1 : b_stride, col = transposed ? b_stride : 1;
  const uint8_t flip = KP_Q_RAW && !is_signed ? 0x80 : 0;
  const bool keep = is_signed || flip;  // how sums see the byte
  memset(panel, 0, PANEL * sizeof(int32_t) + groups * PANEL * KP_Q_GROUP);
  for (size_t i = 0; i < k; ++i) {
    const uint8_t* from = (const uint8_t*)b + i * row;
    int8_t* out = to + i / KP_Q_GROUP * PANEL * KP_Q_GROUP + i % KP_Q_GROUP;
    for (size_t j = 0; j < cols; ++j) {
      const uint8_t byte = from[j * col] ^ flip;
      out[j * KP_Q_GROUP] = (int8_t)byte;
      sums[j] += keep ? (uint32_t)(int8_t)byte : byte;
    }
  }
}

// ---- products ---------------------------------------------------------------------------------------------------------------
// Where a micro-kernel finds B: ready, or as bytes to widen.
#define B_READY 0
#define B_SIGNED 1
#define B_UNSIGNED 2

KP_INLINE kp_qv load_b(const int form, const char* b, size_t v) {
#if !KP_Q_RAW
  if (form != B_READY) return kp_q_load8(b + v * KP_VF_LANES * KP_Q_GROUP, form == B_SIGNED);
#endif
  (void)form;
  return kp_q_load(b + v * KP_VF_LANES * KP_Q_GROUP * B_BYTES);
}

KP_INLINE void micro(const size_t rows, const int form, size_t groups, const char* a,
                     size_t a_stride, const char* b, int32_t* acc, bool first) {
  kp_vi sums[ROWS][VECS];
  KP_UNROLL for (size_t r = 0; r < rows; ++r) {
    KP_UNROLL for (size_t v = 0; v < VECS; ++v) {
      sums[r][v] = first ? kp_vi_set1(0) : kp_vi_load(acc + r * PANEL + v * KP_VF_LANES);
    }
  }
  for (size_t g = 0; g < groups; ++g) {
    kp_qv bv[VECS];
    KP_UNROLL for (size_t v = 0; v < VECS; ++v) bv[v] = load_b(form, b, v);
    KP_UNROLL for (size_t r = 0; r < rows; ++r) {
      const kp_qv av = kp_q_dup(a + r * a_stride);
      KP_UNROLL for (size_t v = 0; v < VECS; ++v) sums[r][v] = kp_q_dot(sums[r][v], av, bv[v]);
    }
    a += A_GROUP;
    b += PANEL * KP_Q_GROUP * (form == B_READY ? B_BYTES : 1);
  }
  KP_UNROLL for (size_t r = 0; r < rows; ++r) {
    KP_UNROLL for (size_t v = 0; v < VECS; ++v) {
      kp_vi_store(acc + r * PANEL + v * KP_VF_LANES, sums[r][v]);
    }
  }
}

typedef void (*micro_kernel)(size_t groups, const char* a, size_t a_stride, const char* b,
                             int32_t* acc, bool first);
#define MICRO(rows, form)                                                                         \
  static void micro_##rows##_##form(size_t groups, const char* a, size_t a_stride, const char* b, \
                                    int32_t* acc, bool first) {                                   \
    micro(rows, form, groups, a, a_stride, b, acc, first);                                        \
  }
#if ROWS == 12
#define EACH_ROWS(X, form) \
  X(1, form)               \
  X(2, form)               \
  X(3, form)               \
  X(4, form)               \
  X(5, form) X(6, form) X(7, form) X(8, form) X(9, form) X(10, form) X(11, form) X(12, form)
#elif ROWS == 6
#define EACH_ROWS(X, form) X(1, form) X(2, form) X(3, form) X(4, form) X(5, form) X(6, form)
#else
#define EACH_ROWS(X, form) X(1, form) X(2, form) X(3, form) X(4, form)
#endif
#define NAME(rows, form) micro_##rows##_##form,
EACH_ROWS(MICRO, 0)
#if KP_Q_RAW
static const micro_kernel kernels[1][ROWS] = {{EACH_ROWS(NAME, 0)}};
#else
EACH_ROWS(MICRO, 1)
EACH_ROWS(MICRO, 2)
static const micro_kernel kernels[3][ROWS] = {
    {EACH_ROWS(NAME, 0)}, {EACH_ROWS(NAME, 1)}, {EACH_ROWS(NAME, 2)}};

// Widens |groups| groups of a panel.
static void widen(size_t groups, const char* b, bool is_signed, char* wide) {
  for (size_t v = 0; v < groups * VECS; ++v)
    kp_q_store(wide + v * KP_VF_LANES * KP_Q_GROUP * B_BYTES,
               load_b(is_signed ? B_SIGNED : B_UNSIGNED, b, v));
}
#endif

static void qgemm_multiply(const kp_qgemm_panel* p) {
  const size_t groups = (p->k + KP_Q_GROUP - 1) / KP_Q_GROUP;
  size_t done = 0;
  do {
    const size_t now = groups - done < DEPTH / KP_Q_GROUP ? groups - done : DEPTH / KP_Q_GROUP;
    const char* b = (const char*)p->b + done * PANEL * KP_Q_GROUP;
    int form = B_READY;
#if !KP_Q_RAW
    form = p->b_signed ? B_SIGNED : B_UNSIGNED;
    if (p->rows > ROWS) {
      widen(now, b, p->b_signed, p->wide);
      b = p->wide;
      form = B_READY;
    }
#endif
    for (size_t r = 0; r < p->rows; r += ROWS) {
      const size_t rows = p->rows - r < ROWS ? p->rows - r : ROWS;
      kernels[form][rows - 1](now, (const char*)p->a + r * p->a_stride + done * A_GROUP,
                              p->a_stride, b, p->acc + r * PANEL, done == 0);
    }
    done += now;
  } while (done < groups);
}

#endif  // KP_Q_NARROW

// ---- storing ----------------------------------------------------------------------------------------------------------------
// What a vector of columns is combined with, the same for all rows.
typedef struct columns {
  kp_vi add, sums_by, zeros_by;
  kp_vf scale, bias;
} columns;

KP_INLINE columns load_columns(const kp_qgemm_store* s, size_t j) {
  return (columns){.add = kp_vi_load(s->add + j),
                   .sums_by = kp_vi_load((s->row_sums ? s->sums_by : s->add) + j),
                   .zeros_by = kp_vi_load((s->row_zeros ? s->zeros_by : s->add) + j),
                   .scale = s->scale ? kp_vf_load(s->scale + j) : kp_vf_zero(),
                   .bias = s->bias_f ? kp_vf_load(s->bias_f + j) : kp_vf_zero()};
}

KP_INLINE kp_vi whole_sum(const kp_qgemm_store* s, const columns* c, size_t r, size_t j) {
  kp_vi v = kp_vi_add(kp_vi_load(s->acc + r * PANEL + j), c->add);
  if (s->row_sums) v = kp_vi_add(v, kp_vi_mul(kp_vi_set1(s->row_sums[r]), c->sums_by));
  if (s->row_zeros) v = kp_vi_add(v, kp_vi_mul(kp_vi_set1(s->row_zeros[r]), c->zeros_by));
  return v;
}

KP_INLINE kp_vf scaled(const kp_qgemm_store* s, const columns* c, size_t r, size_t j) {
  const kp_vf scale = s->row_scale ? kp_vf_mul(c->scale, kp_vf_set1(s->row_scale[r])) : c->scale;
  const kp_vf v = kp_vf_mul(kp_vi_to_vf(whole_sum(s, c, r, j)), scale);
  return s->bias_f ? kp_vf_add(v, c->bias) : v;
}

static void store_i32(const kp_qgemm_store* s) {
  for (size_t j = 0; j < s->cols; j += KP_VF_LANES) {
    const columns c = load_columns(s, j);
    const size_t left = s->cols - j;
    int32_t* to = (int32_t*)s->c + j;
    for (size_t r = 0; r < s->rows; ++r, to += s->c_stride) {
      int32_t tail[KP_VF_LANES];
      kp_vi_store(left < KP_VF_LANES ? tail : to, whole_sum(s, &c, r, j));
      if (left < KP_VF_LANES) memcpy(to, tail, left * sizeof(int32_t));
    }
  }
}

static void store_f32(const kp_qgemm_store* s) {
  for (size_t j = 0; j < s->cols; j += KP_VF_LANES) {
    const columns c = load_columns(s, j);
    float* to = (float*)s->c + j;
    for (size_t r = 0; r < s->rows; ++r, to += s->c_stride)
      kp_vf_store_upto(to, scaled(s, &c, r, j), s->cols - j);
  }
}

// Clipping comes before rounding: what is far out of range would not fit an int32.
static void store_8(const kp_qgemm_store* s) {
  const kp_vf low = kp_vf_set1((float)(s->low - s->zero)),
              high = kp_vf_set1((float)(s->high - s->zero));
  const kp_vi zero = kp_vi_set1(s->zero);
  for (size_t j = 0; j < s->cols; j += KP_VF_LANES) {
    const columns c = load_columns(s, j);
    const size_t left = s->cols - j;
    uint8_t* to = (uint8_t*)s->c + j;
    for (size_t r = 0; r < s->rows; ++r, to += s->c_stride) {
      uint8_t tail[KP_VF_LANES];
      const kp_vf v = kp_vf_min(kp_vf_max(scaled(s, &c, r, j), low), high);
      kp_vi_store8(left < KP_VF_LANES ? tail : to, kp_vi_add(kp_vf_to_vi(v), zero));
      if (left < KP_VF_LANES) memcpy(to, tail, left);
    }
  }
}

static void qgemm_store(const kp_qgemm_store* s) {
  if (s->kind == KP_QGEMM_I32)
    store_i32(s);
  else if (s->kind == KP_QGEMM_F32)
    store_f32(s);
  else
    store_8(s);
}

const kp_qgemm_ops KP_ISA_NAME(kp_qgemm) = {
    .isa = KP_ISA_STRING,
    .mr = ROWS,
    .nr = PANEL,
    .group = KP_Q_GROUP,
    .a_bytes = sizeof(a_element),
    .wide_bytes = KP_Q_RAW ? 0 : DEPTH * PANEL * B_BYTES,
#if defined(KP_Q_NARROW)
    .panel_bytes = qgemm_panel_bytes,
#endif
    .raw = KP_Q_RAW,
#if KP_Q_RAW
    .raw_a_signed = KP_Q_A_SIGNED,
#endif
    .pack_a = qgemm_pack_a,
    .fill_a = qgemm_fill_a,
    .sum_a = qgemm_sum_a,
    .pack_b = qgemm_pack_b,
    .multiply = qgemm_multiply,
    .store = qgemm_store,
};
