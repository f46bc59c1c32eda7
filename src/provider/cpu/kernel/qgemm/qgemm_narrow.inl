// How the narrow variant (AVX2, bytes multiplied in pairs) packs B and multiplies; qgemm_tmpl.c includes it in place of its own.
//
// vpmaddubsw adds two products u8 x s8 in 16 bits and saturates where |w0 + w1| * 255 does not fit: where two neighbours of one sign
// add up to more than 128. Weights of that kind are rare, so B is packed as a walk along k: each group takes the four bytes of A
// from any place on, and what of a pair does not fit into 16 bits is left to the next group, which then starts at that byte. Every
// weight is in the end multiplied in full, and nothing saturates. The two vectors of a panel walk apart.
// A panel whose walk would be more than a third longer keeps its weights as they are; they are halved on the way instead.
//
// Panel: sums of columns | two counts of groups (0 whole: the plain form) | [groups][VECS][32] weights | [groups][VECS] steps.
#define CAPACITY(k) (((k) + 3) / 4 + ((k) + 3) / 12 + 2)
#define HEADER 64
#define PAIR_MAX 128

static size_t qgemm_panel_bytes(size_t k) {
  return PANEL * sizeof(int32_t) + HEADER + CAPACITY(k) * (PANEL * KP_Q_GROUP + VECS);
}

// ---- packing ----------------------------------------------------------------------------------------------------------------
// Eight columns of B, as 16-bit numbers a row.
typedef struct source {
  size_t k, cols;
  const uint8_t* b;
  size_t row, col;  // strides
  uint8_t flip;
} source;

static __m128i load_row(const source* s, size_t i) {
  uint8_t bytes[8] = {0};
  if (i < s->k)
    for (size_t j = 0; j < s->cols; ++j) bytes[j] = s->b[i * s->row + j * s->col] ^ s->flip;
  return _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i*)(const void*)bytes));
}

// Rows [at, end) are what groups so far left of B's; rows from |end| on are whole.
typedef struct walk {
  size_t at, end;
  __m128i left[4];
} walk;

// A group that starts at |start|, and what it leaves.
typedef struct group {
  size_t start;
  __m128i weights[4];
  walk next;
} group;

static bool any(__m128i v) { return !_mm_test_all_zeros(v, v); }

// As much of |y| as fits beside |x|.
static __m128i beside(__m128i x, __m128i y) {
  const __m128i zero = _mm_setzero_si128(), most = _mm_set1_epi16(PAIR_MAX);
  const __m128i high = _mm_sub_epi16(most, _mm_max_epi16(x, zero)),
                low = _mm_sub_epi16(_mm_sub_epi16(zero, most), _mm_min_epi16(x, zero));
  return _mm_min_epi16(_mm_max_epi16(y, low), high);
}

static void try_group(const source* s, const walk* w, size_t start, group* out) {
  __m128i all[4];
  for (size_t i = 0; i < 4; ++i) {
    const size_t at = start + i;
    all[i] = at < w->at ? _mm_setzero_si128() : at < w->end ? w->left[at - w->at] : load_row(s, at);
  }
  out->start = start;
  out->weights[0] = all[0];
  out->weights[1] = beside(all[0], all[1]);
  out->weights[2] = all[2];
  out->weights[3] = beside(all[2], all[3]);
  const __m128i first = _mm_sub_epi16(all[1], out->weights[1]),
                second = _mm_sub_epi16(all[3], out->weights[3]);
  const __m128i left[4] = {_mm_setzero_si128(), first, _mm_setzero_si128(), second};
  const size_t done = any(first) ? 1 : any(second) ? 3 : 4;
  out->next.at = start + done;
  out->next.end = start + 4;
  for (size_t i = done; i < 4; ++i) out->next.left[i - done] = left[i];
}

// The group that gets furthest: one that begins a byte early pairs its bytes the other way.
static void next_group(const source* s, const walk* w, size_t last_start, group* out) {
  const size_t start = w->at < last_start ? w->at : last_start;
  try_group(s, w, start, out);
  if (out->next.at > start + 1 || start == 0 || start < w->at) return;
  group other;
  try_group(s, w, start - 1, &other);
  if (other.next.at > out->next.at) *out = other;
}

static __m256i interleave(const __m128i* w) {
  const __m128i low = _mm_set1_epi16(255);
  const __m128i first = _mm_or_si128(_mm_and_si128(w[0], low), _mm_slli_epi16(w[1], 8)),
                second = _mm_or_si128(_mm_and_si128(w[2], low), _mm_slli_epi16(w[3], 8));
  return _mm256_set_m128i(_mm_unpackhi_epi16(first, second), _mm_unpacklo_epi16(first, second));
}

// Packs one vector's columns; returns the number of its groups, or 0 when they are too many.
static size_t pack_walk(const source* s, char* weights, uint8_t* steps) {
  const size_t capacity = CAPACITY(s->k), last_start = (s->k + 3) / 4 * 4 - 4;
  walk w = {0};
  size_t count = 0, before = 0;
  for (; w.at < s->k; ++count) {
    if (count == capacity) return 0;
    group g;
    next_group(s, &w, last_start, &g);
    kp_q_store(weights + count * PANEL * KP_Q_GROUP, interleave(g.weights));
    steps[count * VECS] = (uint8_t)(g.start - before);
    before = g.start;
    w = g.next;
  }
  return count;
}

static void pack_plain(const source* s, char* weights, uint8_t* steps) {
  for (size_t i = 0; i < s->k; i += 4) {
    const __m128i rows[4] = {load_row(s, i), load_row(s, i + 1), load_row(s, i + 2),
                             load_row(s, i + 3)};
    kp_q_store(weights + i / 4 * PANEL * KP_Q_GROUP, interleave(rows));
    steps[i / 4 * VECS] = i ? 4 : 0;
  }
}

static void sum_columns(const source* s, int32_t* sums) {
  __m256i sum = _mm256_setzero_si256();
  for (size_t i = 0; i < s->k; ++i)
    sum = _mm256_add_epi32(sum, _mm256_cvtepi16_epi32(load_row(s, i)));
  _mm256_storeu_si256((__m256i*)(void*)sums, sum);
}

static void qgemm_pack_b(size_t k, size_t cols, const void* b, size_t b_stride, bool transposed,
                         bool is_signed, void* panel) {
  char* weights = (char*)panel + PANEL * sizeof(int32_t) + HEADER;
  uint8_t* steps = (uint8_t*)weights + CAPACITY(k) * PANEL * KP_Q_GROUP;
  uint32_t counts[VECS], most = 0;
  bool fits = true;
  memset(panel, 0, qgemm_panel_bytes(k));
  source sources[VECS];
  for (size_t v = 0; v < VECS; ++v) {
    const size_t first = v * KP_VF_LANES;
    sources[v] = (source){.k = k,
                          .cols = cols <= first                ? 0
                                  : cols - first < KP_VF_LANES ? cols - first
                                                               : KP_VF_LANES,
                          .b = (const uint8_t*)b + first * (transposed ? b_stride : 1),
                          .row = transposed ? 1 : b_stride,
                          .col = transposed ? b_stride : 1,
                          .flip = is_signed ? 0 : 0x80};
    sum_columns(&sources[v], (int32_t*)panel + first);
    counts[v] = (uint32_t)pack_walk(&sources[v], weights + v * 32, steps + v);
    fits = fits && (counts[v] || k == 0);
    if (counts[v] > most) most = counts[v];
  }
  if (!fits) {
    memset(weights, 0, CAPACITY(k) * (PANEL * KP_Q_GROUP + VECS));
    for (size_t v = 0; v < VECS; ++v) pack_plain(&sources[v], weights + v * 32, steps + v);
    most = (uint32_t)((k + 3) / 4);
  }
  const uint32_t header[2] = {most, fits};
  memcpy((char*)panel + PANEL * sizeof(int32_t), header, sizeof header);
}

// ---- products ---------------------------------------------------------------------------------------------------------------
KP_INLINE __m256i pair_sums(__m256i sums, __m256i a, __m256i w) {
  const __m256i pairs = _mm256_maddubs_epi16(a, w);
  return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// One of two halves of each weight: neither is beyond 64.
KP_INLINE __m256i half_of(__m256i w, bool second) {
  const __m256i up =
      _mm256_avg_epu8(_mm256_xor_si256(w, _mm256_set1_epi8(-128)), _mm256_setzero_si256());
  const __m256i half = _mm256_sub_epi8(up, _mm256_set1_epi8(64));
  return second ? _mm256_sub_epi8(w, half) : half;
}

// Where the walks of a panel's vectors are, in bytes of a row of A.
typedef struct places {
  size_t at[VECS];
} places;

KP_INLINE void micro(const size_t rows, const bool whole, size_t groups, const char* a,
                     size_t a_stride, const char* b, const uint8_t* steps, places* p, int32_t* acc,
                     bool first) {
  kp_vi sums[ROWS][VECS];
  const char* from[VECS];
  KP_UNROLL for (size_t v = 0; v < VECS; ++v) {
    from[v] = a + p->at[v];
    KP_UNROLL for (size_t r = 0; r < rows; ++r) {
      sums[r][v] = first ? kp_vi_set1(0) : kp_vi_load(acc + r * PANEL + v * KP_VF_LANES);
    }
  }
  for (size_t g = 0; g < groups; ++g, b += PANEL * KP_Q_GROUP, steps += VECS) {
    KP_UNROLL for (size_t v = 0; v < VECS; ++v) {
      from[v] += steps[v];
      const __m256i w = kp_q_load(b + v * 32);
      const __m256i one = whole ? w : half_of(w, false), other = half_of(w, true);
      KP_UNROLL for (size_t r = 0; r < rows; ++r) {
        const __m256i av = kp_q_dup(from[v] + r * a_stride);
        sums[r][v] = pair_sums(sums[r][v], av, one);
        if (!whole) sums[r][v] = pair_sums(sums[r][v], av, other);
      }
    }
  }
  KP_UNROLL for (size_t v = 0; v < VECS; ++v) {
    p->at[v] = (size_t)(from[v] - a);
    KP_UNROLL for (size_t r = 0; r < rows; ++r) {
      kp_vi_store(acc + r * PANEL + v * KP_VF_LANES, sums[r][v]);
    }
  }
}

typedef void (*micro_kernel)(size_t groups, const char* a, size_t a_stride, const char* b,
                             const uint8_t* steps, places* p, int32_t* acc, bool first);
#define MICRO(rows, whole)                                                                         \
  static void micro_##rows##_##whole(size_t groups, const char* a, size_t a_stride, const char* b, \
                                     const uint8_t* steps, places* p, int32_t* acc, bool first) {  \
    micro(rows, whole, groups, a, a_stride, b, steps, p, acc, first);                              \
  }
#define EACH_ROWS(X, whole) X(1, whole) X(2, whole) X(3, whole) X(4, whole) X(5, whole) X(6, whole)
#define NAME(rows, whole) micro_##rows##_##whole,
EACH_ROWS(MICRO, 0)
EACH_ROWS(MICRO, 1)
static const micro_kernel kernels[2][ROWS] = {{EACH_ROWS(NAME, 0)}, {EACH_ROWS(NAME, 1)}};

static void qgemm_multiply(const kp_qgemm_panel* p) {
  uint32_t header[2];
  memcpy(header, p->b, sizeof header);
  const char* weights = (const char*)p->b + HEADER;
  const uint8_t* steps = (const uint8_t*)weights + CAPACITY(p->k) * PANEL * KP_Q_GROUP;
  places start = {{0}};
  size_t done = 0;
  do {
    const size_t now = header[0] - done < DEPTH / 2 ? header[0] - done : DEPTH / 2;
    places end = start;
    for (size_t r = 0; r < p->rows; r += ROWS) {
      const size_t rows = p->rows - r < ROWS ? p->rows - r : ROWS;
      end = start;
      kernels[header[1]][rows - 1](now, (const char*)p->a + r * p->a_stride, p->a_stride,
                                   weights + done * PANEL * KP_Q_GROUP, steps + done * VECS, &end,
                                   p->acc + r * PANEL, done == 0);
    }
    start = end;
    done += now;
  } while (done < header[0]);
}
