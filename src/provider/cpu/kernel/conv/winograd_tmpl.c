// Winograd convolution of a block of tiles, per instruction set: input transform, one matrix product per point, output
// transform with the epilogue. Channels are innermost, so both transforms are plain vector code. See winograd.h.
#include "provider/cpu/kernel/conv/winograd.h"

#include "provider/cpu/kernel/activate.h"
#include "provider/cpu/simd/f32.h"

#define LANES KP_VF_LANES
// Largest side of an input tile.
#define SIDE 6

// One dimension of B^T d for F(2): d0 - d2, d1 + d2, d2 - d1, d3 - d1.
KP_INLINE void input_2(const kp_vf* d, kp_vf* r) {
  r[0] = kp_vf_sub(d[0], d[2]);
  r[1] = kp_vf_add(d[1], d[2]);
  r[2] = kp_vf_sub(d[2], d[1]);
  r[3] = kp_vf_sub(d[3], d[1]);
}

// For F(4) with points 0, +-p, +-q: rows are the coefficients of the products of (x - point) over all other points.
KP_INLINE void input_4(const kp_vf* d, kp_vf* r) {
  const kp_vf p = kp_vf_set1((float)KP_WINOGRAD_P), q = kp_vf_set1((float)KP_WINOGRAD_Q);
  const kp_vf p2 = kp_vf_set1((float)(KP_WINOGRAD_P * KP_WINOGRAD_P));
  const kp_vf q2 = kp_vf_set1((float)(KP_WINOGRAD_Q * KP_WINOGRAD_Q));
  const kp_vf sum =
      kp_vf_set1((float)(KP_WINOGRAD_P * KP_WINOGRAD_P + KP_WINOGRAD_Q * KP_WINOGRAD_Q));
  const kp_vf product =
      kp_vf_set1((float)(KP_WINOGRAD_P * KP_WINOGRAD_P * KP_WINOGRAD_Q * KP_WINOGRAD_Q));
  const kp_vf even_p = kp_vf_fnma(q2, d[2], d[4]), odd_p = kp_vf_fnma(q2, d[1], d[3]);
  const kp_vf even_q = kp_vf_fnma(p2, d[2], d[4]), odd_q = kp_vf_fnma(p2, d[1], d[3]);
  r[0] = kp_vf_fma(product, d[0], kp_vf_fnma(sum, d[2], d[4]));
  r[1] = kp_vf_fma(p, odd_p, even_p);
  r[2] = kp_vf_fnma(p, odd_p, even_p);
  r[3] = kp_vf_fma(q, odd_q, even_q);
  r[4] = kp_vf_fnma(q, odd_q, even_q);
  r[5] = kp_vf_fma(product, d[1], kp_vf_fnma(sum, d[3], d[5]));
}

// One dimension of A^T m for F(2).
KP_INLINE void output_2(const kp_vf* m, kp_vf* y) {
  y[0] = kp_vf_add(kp_vf_add(m[0], m[1]), m[2]);
  y[1] = kp_vf_add(kp_vf_sub(m[1], m[2]), m[3]);
}

// For F(4): row i of A^T holds the i-th powers of the points.
KP_INLINE void output_4(const kp_vf* m, kp_vf* y) {
  const double p = KP_WINOGRAD_P, q = KP_WINOGRAD_Q;
  const kp_vf sum_p = kp_vf_add(m[1], m[2]), sum_q = kp_vf_add(m[3], m[4]);
  const kp_vf diff_p = kp_vf_sub(m[1], m[2]), diff_q = kp_vf_sub(m[3], m[4]);
  y[0] = kp_vf_add(m[0], kp_vf_add(sum_p, sum_q));
  y[1] = kp_vf_fma(kp_vf_set1((float)p), diff_p, kp_vf_mul(kp_vf_set1((float)q), diff_q));
  y[2] = kp_vf_fma(kp_vf_set1((float)(p * p)), sum_p, kp_vf_mul(kp_vf_set1((float)(q * q)), sum_q));
  y[3] = kp_vf_fma(kp_vf_set1((float)(p * p * p)), diff_p,
                   kp_vf_fma(kp_vf_set1((float)(q * q * q)), diff_q, m[5]));
}

// |n| channels of one tile: d[i][j] at pixels[i * side + j] + c. |m| (2 or 4) is a constant after inlining.
KP_INLINE void transform_input_vector(const size_t m, const float* const* pixels, size_t c,
                                      size_t n, float* out, size_t point_stride) {
  const size_t side = m + 2;
  kp_vf half[SIDE][SIDE];
  KP_UNROLL for (size_t j = 0; j < side; ++j) {
    kp_vf d[SIDE], r[SIDE];
    KP_UNROLL for (size_t i = 0; i < side; ++i) d[i] = kp_vf_load_upto(pixels[i * side + j] + c, n);
    if (m == 4) {
      input_4(d, r);
    } else {
      input_2(d, r);
    }
    KP_UNROLL for (size_t i = 0; i < side; ++i) half[i][j] = r[i];
  }
  KP_UNROLL for (size_t i = 0; i < side; ++i) {
    kp_vf r[SIDE];
    if (m == 4) {
      input_4(half[i], r);
    } else {
      input_2(half[i], r);
    }
    KP_UNROLL for (size_t j = 0; j < side; ++j)
        kp_vf_store_upto(out + (i * side + j) * point_stride + c, r[j], n);
  }
}

// Where a tile lies: its picture, and its first output pixel.
typedef struct tile_place {
  size_t picture, y, x;
} tile_place;

static tile_place place_of(const kp_conv_plan* plan, size_t tile, size_t m) {
  tile_place p = {.x = tile % plan->tiles_w * m};
  tile /= plan->tiles_w;
  p.y = tile % plan->tiles_h * m;
  p.picture = tile / plan->tiles_h;
  return p;
}

KP_INLINE void transform_input(const size_t m, const kp_conv_plan* plan, const float* input,
                               size_t tile, size_t tiles, const float* zeros, float* out,
                               size_t point_stride) {
  const kp_conv_shape* s = &plan->shape;
  const size_t side = m + 2;
  for (size_t t = 0; t < tiles; ++t, out += s->in_c) {
    const tile_place p = place_of(plan, tile + t, m);
    const float* picture = input + p.picture * s->in_h * s->in_w * s->in_pixel;
    const float* pixels[SIDE * SIDE];
    for (size_t i = 0; i < side; ++i) {
      // Wraps around below zero, and is then not inside.
      const size_t h = p.y + i - s->pad_top;
      for (size_t j = 0; j < side; ++j) {
        const size_t w = p.x + j - s->pad_left;
        const bool inside = h < s->in_h && w < s->in_w;
        pixels[i * side + j] = inside ? picture + (h * s->in_w + w) * s->in_pixel : zeros;
      }
    }
    size_t c = 0;
    for (; c + LANES <= s->in_c; c += LANES)
      transform_input_vector(m, pixels, c, LANES, out, point_stride);
    if (c < s->in_c) transform_input_vector(m, pixels, c, s->in_c - c, out, point_stride);
  }
}

// What the epilogue needs, prepared once per block.
typedef struct finish {
  const kp_epilogue* e;
  kp_vf beta, low, high;
  bool clip;
} finish;

static finish make_finish(const kp_epilogue* e) {
  const kp_act* act = &e->act;
  finish f = {.e = e, .beta = kp_vf_set1(e->beta)};
  f.clip = act->kind == KP_ACT_RELU || act->kind == KP_ACT_CLIP;
  f.low = kp_vf_set1(act->kind == KP_ACT_CLIP ? act->a : 0.0f);
  f.high = kp_vf_set1(act->kind == KP_ACT_CLIP ? act->b : INFINITY);
  return f;
}

// |n| output channels of one tile, from channel |channel| of the picture on; |rows| x |cols| pixels of it exist.
KP_INLINE void transform_output_vector(const size_t m, const float* product, size_t point_stride,
                                       const finish* f, const kp_conv_plan* plan, float* output,
                                       size_t pixel, size_t channel, size_t n, size_t rows,
                                       size_t cols) {
  const size_t side = m + 2;
  kp_vf half[4][SIDE];
  KP_UNROLL for (size_t j = 0; j < side; ++j) {
    kp_vf d[SIDE], y[4];
    KP_UNROLL for (size_t i = 0; i < side; ++i) d[i] =
        kp_vf_load(product + (i * side + j) * point_stride);
    if (m == 4) {
      output_4(d, y);
    } else {
      output_2(d, y);
    }
    KP_UNROLL for (size_t i = 0; i < m; ++i) half[i][j] = y[i];
  }
  const kp_epilogue* e = f->e;
  const kp_vf bias = e->bias_n ? kp_vf_load_upto(e->bias_n + channel, n) : kp_vf_zero();
  const kp_conv_shape* s = &plan->shape;
  KP_UNROLL for (size_t i = 0; i < m; ++i) {
    if (i >= rows) continue;
    kp_vf y[4];
    if (m == 4) {
      output_4(half[i], y);
    } else {
      output_2(half[i], y);
    }
    KP_UNROLL for (size_t j = 0; j < m; ++j) {
      if (j >= cols) continue;
      const size_t at = pixel + i * s->out_w + j;
      kp_vf v = kp_vf_add(y[j], bias);
      if (e->residual)
        v = kp_vf_fma(f->beta, kp_vf_load_upto(e->residual + at * e->residual_stride + channel, n),
                      v);
      if (f->clip) v = kp_vf_min(f->high, kp_vf_max(f->low, v));
      kp_vf_store_upto(output + at * s->out_pixel + channel, v, n);
    }
  }
}

// Products [points][tiles][KP_WINOGRAD_COLS] to |cols| output channels from |channel| on.
KP_INLINE void transform_output(const size_t m, const kp_conv_plan* plan, const kp_conv_args* args,
                                size_t tile, size_t tiles, size_t channel, size_t cols,
                                const float* product, size_t point_stride) {
  const kp_conv_shape* s = &plan->shape;
  const finish f = make_finish(&args->epilogue);
  const kp_act* act = &args->epilogue.act;
  for (size_t t = 0; t < tiles; ++t, product += KP_WINOGRAD_COLS) {
    const tile_place p = place_of(plan, tile + t, m);
    const size_t pixel = (p.picture * s->out_h + p.y) * s->out_w + p.x;
    const size_t rows = s->out_h - p.y < m ? s->out_h - p.y : m,
                 columns = s->out_w - p.x < m ? s->out_w - p.x : m;
    for (size_t c = 0; c < cols; c += LANES) {
      const size_t n = cols - c < LANES ? cols - c : LANES;
      transform_output_vector(m, product + c, point_stride, &f, plan, args->output, pixel,
                              channel + c, n, rows, columns);
    }
    if (f.clip || act->kind == KP_ACT_NONE) continue;
    for (size_t i = 0; i < rows; ++i) {
      float* first = args->output + (pixel + i * s->out_w) * s->out_pixel + channel;
      kp_activate_rows(columns, cols, first, s->out_pixel, act);
    }
  }
}

extern const kp_gemm_ops KP_ISA_NAME(kp_gemm);

KP_INLINE void block(const size_t m, const kp_conv_plan* plan, const kp_conv_args* args,
                     size_t tile, size_t tiles, size_t first_col, size_t cols, float* scratch) {
  const kp_gemm_ops* gemm = &KP_ISA_NAME(kp_gemm);
  const size_t in_c = plan->shape.in_c, points = (m + 2) * (m + 2);
  const size_t in_stride = kp_winograd_point_stride(tiles, in_c);
  const size_t out_stride = kp_winograd_point_stride(tiles, KP_WINOGRAD_COLS);
  const size_t packed_stride = kp_gemm_packed_b_size(gemm, in_c, plan->shape.out_c);
  float* zeros = scratch;
  memset(zeros, 0, in_c * sizeof(float));
  float* transformed = zeros + (in_c + 15) / 16 * 16;
  float* products = transformed + points * in_stride;
  transform_input(m, plan, args->input, tile, tiles, zeros, transformed, in_stride);
  for (size_t col = first_col; col < first_col + cols; col += KP_WINOGRAD_COLS) {
    const size_t left = first_col + cols - col;
    const size_t width = left < KP_WINOGRAD_COLS ? left : KP_WINOGRAD_COLS;
    kp_gemm_tile g = {
        .rows = tiles, .cols = width, .taps = 1, .depth = in_c, .epilogue = KP_EPILOGUE_NONE};
    g.a_stride = in_c;
    g.b_row_stride = gemm->nr;
    g.b_panel_stride = in_c * gemm->nr;
    g.c_stride = KP_WINOGRAD_COLS;
    for (size_t p = 0; p < points; ++p) {
      g.a = transformed + p * in_stride;
      g.b = args->packed + p * packed_stride + col * in_c;
      g.c = products + p * out_stride;
      gemm->multiply(&g);
    }
    transform_output(m, plan, args, tile, tiles, col, width, products, out_stride);
  }
}

void KP_ISA_NAME(kp_winograd)(const kp_conv_plan* plan, const kp_conv_args* args, size_t tile,
                              size_t tiles, size_t col, size_t cols, float* scratch);

void KP_ISA_NAME(kp_winograd)(const kp_conv_plan* plan, const kp_conv_args* args, size_t tile,
                              size_t tiles, size_t col, size_t cols, float* scratch) {
  if (plan->algorithm == KP_CONV_WINOGRAD4) {
    block(4, plan, args, tile, tiles, col, cols, scratch);
  } else {
    block(2, plan, args, tile, tiles, col, cols, scratch);
  }
}
