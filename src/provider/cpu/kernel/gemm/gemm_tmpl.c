// f32 matrix product, one tile: the register-blocked micro-kernels and the loops around them, per instruction set.
//
// A micro-kernel keeps rows x (vecs * lanes) sums in registers over one block of the inner dimension; A is broadcast
// straight from its rows, B comes in packed panels. The tile walks blocks of the inner dimension outermost, so that a panel's
// block stays in the first-level cache while all rows of the tile pass over it. gemm.h says what it computes.
#include "provider/cpu/kernel/gemm/gemm.h"

#include "provider/cpu/kernel/activate.h"
#include "provider/cpu/simd/f32.h"
#include "provider/cpu/simd/transpose.h"

// Register blocking: ROWS x VECS accumulators, VECS vectors of B and one of A must fit the register file.
#if defined(KP_ISA_AVX512)
#define ROWS 12
#define VECS 2
#elif defined(KP_ISA_AVX2)
#define ROWS 6
#define VECS 2
#elif defined(KP_ISA_NEON)
#define ROWS 8
#define VECS 2
#else
#define ROWS 4
#define VECS 4
#endif
#define PANEL (VECS * KP_VF_LANES)
// One block of the inner dimension: PANEL * DEPTH_MAX floats of B should leave room in a first-level cache of 32 KB.
#define DEPTH_MAX 384
#define MAX_VECS (4 * VECS)
// While a group of rows passes over a panel, a share of the next panel is prefetched: AHEAD_LINES cache lines every AHEAD
// steps. Panels of one block lie far apart, so the hardware's own prefetching would start anew at each.
#define AHEAD 8
#define AHEAD_LINES ((PANEL + 15) / 16)
// From this depth on the rows of C are prefetched too; below, they come too late to help.
#define DEEP 128

// What one micro-kernel does with its sums: C = clip(alpha * sum + (accumulate ? C : bias and residual)).
typedef struct store_spec {
  float* c;
  size_t c_stride;
  const float* bias_n;
  const float* bias_m;
  const float* residual;
  size_t residual_stride;
  size_t cols;  // valid ones
  float alpha, beta, low, high;
  bool accumulate, clip;
} store_spec;

// One block of the inner dimension for one micro-kernel.
typedef struct block_spec {
  const float* const* a;  // a[t * a_tap_stride + row]
  size_t a_tap_stride;
  size_t a_offset;     // floats added to each row
  const float* zeros;  // rows to leave out; NULL: none
  size_t taps, depth;
  const float* b;
  size_t b_row_stride, b_panel_stride;
  const float* ahead;  // what to prefetch meanwhile: a part of the next panel; may point anywhere
} block_spec;

typedef void (*micro_kernel)(const block_spec* block, const store_spec* out);

// Stores sums of a panel whose last columns do not exist: |tile| holds rows x stride raw sums.
static void store_tail(const float* tile, size_t rows, size_t stride, const store_spec* out) {
  for (size_t r = 0; r < rows; ++r) {
    float* c = out->c + r * out->c_stride;
    for (size_t j = 0; j < out->cols; j += KP_VF_LANES) {
      const size_t n = out->cols - j;
      kp_vf v = kp_vf_mul(kp_vf_load(tile + r * stride + j), kp_vf_set1(out->alpha));
      if (out->accumulate) {
        v = kp_vf_add(v, kp_vf_load_upto(c + j, n));
      } else {
        if (out->bias_n) v = kp_vf_add(v, kp_vf_load_upto(out->bias_n + j, n));
        if (out->bias_m) v = kp_vf_add(v, kp_vf_set1(out->bias_m[r]));
        if (out->residual) {
          const float* residual = out->residual + r * out->residual_stride + j;
          v = kp_vf_fma(kp_vf_set1(out->beta), kp_vf_load_upto(residual, n), v);
        }
      }
      if (out->clip) {
        v = kp_vf_min(kp_vf_set1(out->high), kp_vf_max(kp_vf_set1(out->low), v));
      }
      kp_vf_store_upto(c + j, v, n);
    }
  }
}

// Stores a micro-kernel's sums; |rows| and |vecs| are constants after inlining.
KP_INLINE void store_sums(const size_t rows, const size_t vecs, kp_vf (*acc)[MAX_VECS],
                          const store_spec* out) {
  if (out->cols < vecs * KP_VF_LANES) {
    float tile[ROWS * MAX_VECS * KP_VF_LANES];
    KP_UNROLL for (size_t r = 0; r < rows; ++r) {
      KP_UNROLL for (size_t v = 0; v < vecs; ++v) {
        kp_vf_store(tile + (r * vecs + v) * KP_VF_LANES, acc[r][v]);
      }
    }
    store_tail(tile, rows, vecs * KP_VF_LANES, out);
    return;
  }
  const kp_vf alpha = kp_vf_set1(out->alpha);
  if (out->accumulate) {
    KP_UNROLL for (size_t r = 0; r < rows; ++r) {
      KP_UNROLL for (size_t v = 0; v < vecs; ++v) {
        const kp_vf prior = kp_vf_load(out->c + r * out->c_stride + v * KP_VF_LANES);
        acc[r][v] = kp_vf_fma(acc[r][v], alpha, prior);
      }
    }
  } else {
    KP_UNROLL for (size_t v = 0; v < vecs; ++v) {
      const kp_vf bias = out->bias_n ? kp_vf_load(out->bias_n + v * KP_VF_LANES) : kp_vf_zero();
      KP_UNROLL for (size_t r = 0; r < rows; ++r) acc[r][v] = kp_vf_fma(acc[r][v], alpha, bias);
    }
    if (out->bias_m) {
      KP_UNROLL for (size_t r = 0; r < rows; ++r) {
        const kp_vf bias = kp_vf_set1(out->bias_m[r]);
        KP_UNROLL for (size_t v = 0; v < vecs; ++v) acc[r][v] = kp_vf_add(acc[r][v], bias);
      }
    }
    if (out->residual) {
      const kp_vf beta = kp_vf_set1(out->beta);
      KP_UNROLL for (size_t r = 0; r < rows; ++r) {
        KP_UNROLL for (size_t v = 0; v < vecs; ++v) {
          const float* residual = out->residual + r * out->residual_stride + v * KP_VF_LANES;
          acc[r][v] = kp_vf_fma(beta, kp_vf_load(residual), acc[r][v]);
        }
      }
    }
  }
  if (out->clip) {
    const kp_vf low = kp_vf_set1(out->low);
    const kp_vf high = kp_vf_set1(out->high);
    KP_UNROLL for (size_t r = 0; r < rows; ++r) {
      KP_UNROLL for (size_t v = 0; v < vecs; ++v) {
        acc[r][v] = kp_vf_min(high, kp_vf_max(low, acc[r][v]));
      }
    }
  }
  KP_UNROLL for (size_t r = 0; r < rows; ++r) {
    KP_UNROLL for (size_t v = 0; v < vecs; ++v) {
      kp_vf_store(out->c + r * out->c_stride + v * KP_VF_LANES, acc[r][v]);
    }
  }
}

// One step of the inner dimension.
KP_INLINE void micro_step(const size_t rows, const size_t vecs, kp_vf (*acc)[MAX_VECS],
                          const float* const* a, size_t k, const float* b, size_t b_panel_stride) {
  kp_vf bv[MAX_VECS];
  KP_UNROLL for (size_t v = 0; v < vecs; ++v) {
    bv[v] = kp_vf_load(b + (v / VECS) * b_panel_stride + (v % VECS) * KP_VF_LANES);
  }
  KP_UNROLL for (size_t r = 0; r < rows; ++r) {
    const kp_vf av = kp_vf_set1(a[r][k]);
    KP_UNROLL for (size_t v = 0; v < vecs; ++v) acc[r][v] = kp_vf_fma(av, bv[v], acc[r][v]);
  }
}

// The product of |rows| rows and |vecs| vectors of columns over one block; both are constants after inlining. More than
// VECS vectors means neighbouring panels, so that few rows still have enough independent sums to fill the pipeline.
KP_INLINE void micro(const size_t rows, const size_t vecs, const block_spec* block,
                     const store_spec* out) {
  kp_vf acc[ROWS][MAX_VECS];
  KP_UNROLL for (size_t r = 0; r < rows; ++r) {
    KP_UNROLL for (size_t v = 0; v < vecs; ++v) acc[r][v] = kp_vf_zero();
  }
  const float* b = block->b;
  const size_t b_row_stride = block->b_row_stride;
  const size_t b_panel_stride = block->b_panel_stride;
  const size_t depth = block->depth;
  const float* ahead = block->ahead;
  if (block->taps * depth >= DEEP) {
    KP_UNROLL for (size_t r = 0; r < rows; ++r) __builtin_prefetch(out->c + r * out->c_stride, 1);
  }
  bool any = !block->zeros;
  for (size_t t = 0; t < block->taps; ++t) {
    const float* a[ROWS];
    if (block->zeros) {
      bool here = false;
      KP_UNROLL for (size_t r = 0; r < rows; ++r) here |=
          block->a[t * block->a_tap_stride + r] != block->zeros;
      any |= here;
      if (!here) {
        b += depth * b_row_stride;
        continue;
      }
    }
    KP_UNROLL for (size_t r = 0; r < rows; ++r) {
      a[r] = block->a[t * block->a_tap_stride + r] + block->a_offset;
    }
    size_t k = 0;
    for (; k + AHEAD <= depth; ahead += 16 * AHEAD_LINES) {
      KP_UNROLL for (size_t i = 0; i < AHEAD_LINES; ++i) __builtin_prefetch(ahead + 16 * i);
      for (const size_t end = k + AHEAD; k < end; ++k, b += b_row_stride) {
        micro_step(rows, vecs, acc, a, k, b, b_panel_stride);
      }
    }
    for (; k < depth; ++k, b += b_row_stride) micro_step(rows, vecs, acc, a, k, b, b_panel_stride);
  }
  if (any || !out->accumulate || out->clip) store_sums(rows, vecs, acc, out);
}

#define MICRO(rows, vecs)                                                             \
  static void micro_##rows##x##vecs(const block_spec* block, const store_spec* out) { \
    micro(rows, vecs, block, out);                                                    \
  }

// micro_table[rows - 1][vecs - 1] for one panel; wide_table[rows - 1] for several at once.
#if VECS == 2
#define FEW_ROWS(M) \
  M(1, 1) M(1, 2) M(2, 1) M(2, 2) M(3, 1) M(3, 2) M(4, 1) M(4, 2) M(5, 1) M(5, 2) M(6, 1) M(6, 2)
#define WIDE_ROWS 3
#define WIDE_VECS_1 8
#define WIDE_VECS_2 4
#define WIDE_VECS_3 4
MICRO(1, 8)
MICRO(2, 4)
MICRO(3, 4)
static const micro_kernel wide_table[WIDE_ROWS] = {micro_1x8, micro_2x4, micro_3x4};
static const size_t wide_vecs[WIDE_ROWS] = {8, 4, 4};
#define ENTRY(rows, vecs) [rows - 1][vecs - 1] = micro_##rows##x##vecs,
FEW_ROWS(MICRO)
#if ROWS >= 8
#define MORE_ROWS(M) M(7, 1) M(7, 2) M(8, 1) M(8, 2)
#else
#define MORE_ROWS(M)
#endif
#if ROWS >= 12
#define MOST_ROWS(M) M(9, 1) M(9, 2) M(10, 1) M(10, 2) M(11, 1) M(11, 2) M(12, 1) M(12, 2)
#else
#define MOST_ROWS(M)
#endif
MORE_ROWS(MICRO)
MOST_ROWS(MICRO)
static const micro_kernel micro_table[ROWS][VECS] = {FEW_ROWS(ENTRY) MORE_ROWS(ENTRY)
                                                         MOST_ROWS(ENTRY)};
#else
// clang-format off
#define ALL_ROWS(M)                 \
  M(1, 1) M(1, 2) M(1, 3) M(1, 4)   \
  M(2, 1) M(2, 2) M(2, 3) M(2, 4)   \
  M(3, 1) M(3, 2) M(3, 3) M(3, 4)   \
  M(4, 1) M(4, 2) M(4, 3) M(4, 4)
// clang-format on
#define ENTRY(rows, vecs) [rows - 1][vecs - 1] = micro_##rows##x##vecs,
#define WIDE_ROWS 1
ALL_ROWS(MICRO)
MICRO(1, 16)
static const micro_kernel wide_table[WIDE_ROWS] = {micro_1x16};
static const size_t wide_vecs[WIDE_ROWS] = {16};
static const micro_kernel micro_table[ROWS][VECS] = {ALL_ROWS(ENTRY)};
#endif

// The tile being computed and where in it; filled once per tile, pieces changed by the loops.
typedef struct walk {
  const kp_gemm_tile* tile;
  block_spec block;
  store_spec out;
  size_t groups;        // of at most ROWS rows
  bool last;            // this is the last block of the inner dimension
  const float* a_base;  // of this block when rows are plain, NULL when they come by table
  size_t a_base_stride;
  const float* const* a_table;  // of this block's first tap
} walk;

// What the first group of rows stores at columns [col, col + cols).
static store_spec first_store(const walk* w, size_t col, size_t cols) {
  const kp_epilogue* e = &w->tile->epilogue;
  store_spec out = w->out;
  out.c = w->tile->c + col;
  out.cols = cols;
  if (e->bias_n) out.bias_n = e->bias_n + col;
  out.bias_m = e->bias_m;
  if (e->residual) out.residual = e->residual + col;
  return out;
}

static void next_rows(store_spec* out, size_t height) {
  out->c += height * out->c_stride;
  if (out->bias_m) out->bias_m += height;
  if (out->residual) out->residual += height * out->residual_stride;
}

// All rows of the tile times |vecs| vectors of columns from |col| on, one block deep.
static void walk_rows(const walk* w, const float* b, size_t col, size_t cols, size_t vecs) {
  const kp_act* act = &w->tile->epilogue.act;
  const bool late = w->last && !w->out.clip && act->kind != KP_ACT_NONE;
  block_spec block = w->block;
  block.b = b;
  block.ahead = b + w->tile->b_panel_stride;
  const size_t ahead_share = block.taps * (block.depth / AHEAD) * 16 * AHEAD_LINES;
  store_spec out = first_store(w, col, cols);
  const float* a = w->a_base;
  block.a = w->a_table;
  // Groups of nearly equal height, the higher ones first: 49 rows are 4 x 6 + 5 x 5 rather than 8 x 6 + 1.
  size_t higher = w->tile->rows % w->groups;
  for (size_t g = 0; g < w->groups; ++g) {
    const size_t height = w->tile->rows / w->groups + (higher > 0);
    if (higher > 0) --higher;
    const float* pointers[ROWS];
    if (a) {
      for (size_t r = 0; r < height; ++r, a += w->a_base_stride) pointers[r] = a;
      block.a = pointers;
    }
    (vecs > VECS ? wide_table[height - 1] : micro_table[height - 1][vecs - 1])(&block, &out);
    if (late) kp_activate_rows(height, cols, out.c, out.c_stride, act);
    if (!a) block.a += height;
    block.ahead += ahead_share;
    next_rows(&out, height);
  }
}

// All columns of the tile, one block deep; |b| is row 0 of this block in the first panel.
static void walk_columns(const walk* w, const float* b) {
  const kp_gemm_tile* tile = w->tile;
  const bool wide = tile->rows <= WIDE_ROWS;
  const size_t wide_cols = wide ? wide_vecs[tile->rows - 1] * KP_VF_LANES : 0;
  size_t col = 0;
  while (col < tile->cols) {
    const size_t left = tile->cols - col;
    const float* panel = b + (col / PANEL) * tile->b_panel_stride;
    if (wide && left >= wide_cols) {
      walk_rows(w, panel, col, wide_cols, wide_vecs[tile->rows - 1]);
      col += wide_cols;
      continue;
    }
    const size_t cols = left < PANEL ? left : PANEL;
    walk_rows(w, panel, col, cols, (cols + KP_VF_LANES - 1) / KP_VF_LANES);
    col += cols;
  }
}

// Copies the block's part of every row next to each other: many panels will pass over it.
static void copy_rows(const kp_gemm_tile* tile, size_t tap, size_t taps, size_t offset,
                      size_t depth) {
  float* out = tile->a_copy;
  for (size_t r = 0; r < tile->rows; ++r) {
    for (size_t t = tap; t < tap + taps; ++t, out += depth) {
      const float* row =
          tile->a_rows ? tile->a_rows[t * tile->a_tap_stride + r] : tile->a + r * tile->a_stride;
      memcpy(out, row + offset, depth * sizeof(float));
    }
  }
}

// One block: |taps| whole runs from tap |tap| on, or |depth| floats from |offset| on of one.
static void walk_block(walk* w, size_t tap, size_t taps, size_t offset, size_t depth) {
  const kp_gemm_tile* tile = w->tile;
  w->block.taps = taps;
  w->block.depth = depth;
  w->block.a_offset = offset;
  w->block.a_tap_stride = tile->a_tap_stride;
  if (tile->a_copy) {
    copy_rows(tile, tap, taps, offset, depth);
    w->block.taps = 1;
    w->block.depth = taps * depth;
    w->block.a_offset = 0;
    w->a_base = tile->a_copy;
    w->a_base_stride = taps * depth;
  } else if (tile->a_rows) {
    w->a_table = tile->a_rows + tap * tile->a_tap_stride;
    w->block.zeros = tile->zeros;
  } else {
    w->a_base = tile->a;
    w->a_base_stride = tile->a_stride;
  }
  w->out.accumulate = tap != 0 || offset != 0;
  w->last = tap + taps == tile->taps && offset + depth == tile->depth;
  const kp_act* act = &tile->epilogue.act;
  w->out.clip = w->last && (act->kind == KP_ACT_RELU || act->kind == KP_ACT_CLIP);
  walk_columns(w, tile->b + (tap * tile->depth + offset) * tile->b_row_stride);
}

static void gemm_multiply(const kp_gemm_tile* tile) {
  const kp_epilogue* e = &tile->epilogue;
  walk w = {.tile = tile, .groups = (tile->rows + ROWS - 1) / ROWS};
  w.block.b_row_stride = tile->b_row_stride;
  w.block.b_panel_stride = tile->b_panel_stride;
  w.out.c_stride = tile->c_stride;
  w.out.residual_stride = e->residual_stride;
  w.out.alpha = e->alpha;
  w.out.beta = e->beta;
  w.out.low = e->act.kind == KP_ACT_CLIP ? e->act.a : 0.0f;
  w.out.high = e->act.kind == KP_ACT_CLIP ? e->act.b : INFINITY;
  // Few rows do not come back to a panel: then one long block saves passes over C.
  const bool shallow = tile->rows > 2 * ROWS || tile->a_copy;
  if (tile->taps == 1 || tile->depth > DEPTH_MAX) {
    const size_t blocks = shallow ? (tile->depth + DEPTH_MAX - 1) / DEPTH_MAX : 1;
    const size_t count = blocks ? blocks : 1;
    for (size_t t = 0; t < tile->taps; ++t) {
      size_t offset = 0;
      for (size_t i = 0; i < count; ++i) {
        const size_t depth = (tile->depth - offset + count - i - 1) / (count - i);
        walk_block(&w, t, 1, offset, depth);
        offset += depth;
      }
    }
    return;
  }
  const size_t most = shallow ? DEPTH_MAX / (tile->depth ? tile->depth : 1) : tile->taps;
  const size_t blocks = (tile->taps + most - 1) / most;
  size_t tap = 0;
  for (size_t i = 0; i < blocks; ++i) {
    const size_t taps = (tile->taps - tap + blocks - i - 1) / (blocks - i);
    walk_block(&w, tap, taps, 0, tile->depth);
    tap += taps;
  }
}

static void pack_panel_plain(size_t k, size_t cols, const float* b, size_t b_stride, float* out) {
  for (size_t i = 0; i < k; ++i) {
    const float* row = b + i * b_stride;
    KP_UNROLL for (size_t v = 0; v < VECS; ++v) {
      const size_t first = v * KP_VF_LANES;
      const kp_vf value = first < cols ? kp_vf_load_upto(row + first, cols - first) : kp_vf_zero();
      kp_vf_store(out + i * PANEL + first, value);
    }
  }
}

static void pack_panel_transposed(size_t k, size_t cols, const float* b, size_t b_stride,
                                  float* out) {
  size_t j = 0;
  for (; j + KP_TRANSPOSE <= cols; j += KP_TRANSPOSE) {
    const float* rows = b + j * b_stride;
    size_t i = 0;
    for (; i + KP_TRANSPOSE <= k; i += KP_TRANSPOSE) {
      kp_transpose_square(rows + i, b_stride, out + i * PANEL + j, PANEL);
    }
    for (; i < k; ++i) {
      for (size_t c = 0; c < KP_TRANSPOSE; ++c) out[i * PANEL + j + c] = rows[c * b_stride + i];
    }
  }
  for (; j < PANEL; ++j) {
    for (size_t i = 0; i < k; ++i) out[i * PANEL + j] = j < cols ? b[j * b_stride + i] : 0.0f;
  }
}

static void gemm_pack_b(size_t k, size_t cols, const float* b, size_t b_stride, bool transposed,
                        float* packed) {
  for (size_t j = 0; j < cols; j += PANEL) {
    const size_t width = cols - j < PANEL ? cols - j : PANEL;
    if (transposed) {
      pack_panel_transposed(k, width, b + j * b_stride, b_stride, packed + j * k);
    } else {
      pack_panel_plain(k, width, b + j, b_stride, packed + j * k);
    }
  }
}

const kp_gemm_ops KP_ISA_NAME(kp_gemm) = {
    .isa = KP_ISA_STRING,
    .mr = ROWS,
    .nr = PANEL,
    .lanes = KP_VF_LANES,
    .depth_max = DEPTH_MAX,
    .multiply = gemm_multiply,
    .pack_b = gemm_pack_b,
    .activate = kp_activate_rows,
};
