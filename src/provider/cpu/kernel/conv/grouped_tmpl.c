// Grouped convolution with few channels a group, per instruction set (grouped.h has the blocks).
//
// The inputs of a block lie far apart in a picture with many channels, often a power of two of bytes, so they are gathered first, some
// rows at a time, with the padding. Then a run of neighbouring output pixels is computed at a time, a vector or two of output channels
// each: weights are loaded once for the run, inputs are spread over the lanes one by one.
#include "provider/cpu/kernel/activate.h"
#include "provider/cpu/kernel/conv/grouped.h"
#include "provider/cpu/simd/f32.h"

// Output pixels of a run with one vector of channels, and with two: as many sums as keep the multipliers busy and fit in registers.
#define RUN_ONE KP_GROUPED_RUN
#define RUN_TWO 6

typedef struct grouped_turn {
  const kp_conv_shape* s;
  const kp_conv_args* args;
  kp_grouped_cut cut;
  kp_grouped_window window;
  kp_grouped_block block;
  const float* weights;  // of the block
  float* inputs;         // gathered
  float* y;              // the block's first output channel, pixel 0 of the row
  const float* residual;
  bool clip;
  kp_vf beta, low, high;
} grouped_turn;

// --- inputs ---------------------------------------------------------------------------------------------------------------------
// Channels [0, count) of one pixel, zeros up to |depth|.
KP_INLINE void gather_pixel(const float* from, size_t count, size_t depth, float* to) {
  if (count == depth && depth == KP_VF_LANES) {
    kp_vf_store(to, kp_vf_load(from));
    return;
  }
  for (size_t k = 0; k < depth; k += KP_VF_LANES) {
    const kp_vf value = k < count ? kp_vf_load_upto(from + k, count - k) : kp_vf_zero();
    kp_vf_store_upto(to + k, value, depth - k);
  }
}

// |rows| lines of the window, the first at input row |top| of |picture| (the block's first channel).
static void gather(const grouped_turn* g, const float* picture, ptrdiff_t top, size_t rows) {
  const kp_conv_shape* s = g->s;
  const size_t depth = g->cut.depth, count = g->block.groups * (s->in_c / s->groups);
  const size_t before = s->pad_left < g->window.pixels ? s->pad_left : g->window.pixels;
  const size_t rest = g->window.pixels - before, inside = rest < s->in_w ? rest : s->in_w;
  const size_t line = g->window.pixels * depth;
  float* to = g->inputs;
  for (size_t i = 0; i < rows; ++i, to += line) {
    const ptrdiff_t y = top + (ptrdiff_t)i;
    if (y < 0 || y >= (ptrdiff_t)s->in_h) {
      memset(to, 0, line * sizeof(*to));
      continue;
    }
    const float* from = picture + (size_t)y * s->in_w * s->in_pixel;
    memset(to, 0, before * depth * sizeof(*to));
    for (size_t x = 0; x < inside; ++x)
      gather_pixel(from + x * s->in_pixel, count, depth, to + (before + x) * depth);
    memset(to + (before + inside) * depth, 0, (rest - inside) * depth * sizeof(*to));
  }
  memset(to, 0, (g->window.floats - g->window.rows * line) * sizeof(*to));
}

// --- products -------------------------------------------------------------------------------------------------------------------
static __attribute__((noinline)) void finish_run(const grouped_turn* g, size_t vectors,
                                                 size_t column, size_t count, const kp_vf* sums) {
  const size_t stride = g->args->epilogue.residual_stride;
  for (size_t p = 0; p < count; ++p) {
    for (size_t v = 0; v < vectors; ++v) {
      const size_t c = v * KP_VF_LANES;
      if (c >= g->block.outs) break;
      const size_t n = g->block.outs - c;
      kp_vf sum = sums[p * vectors + v];
      if (g->residual) {
        const float* residual = g->residual + (column + p) * stride + c;
        sum = kp_vf_fma(g->beta, kp_vf_load_upto(residual, n), sum);
      }
      if (g->clip) sum = kp_vf_min(g->high, kp_vf_max(g->low, sum));
      kp_vf_store_upto(g->y + (column + p) * g->s->out_pixel + c, sum, n);
    }
  }
}

// |count| pixels of a row, |run| at a time, from the window's line |x| on. |vectors|, |run| and where they are not 0 |depth| and |stride|
// are constants after inlining.
KP_INLINE void row_of_pixels(const grouped_turn* g, const float* x, const size_t vectors,
                             const size_t run, size_t depth, size_t stride) {
  const kp_conv_shape* s = g->s;
  const float* bias = g->args->epilogue.bias_n;
  const size_t h_step = s->dilation_h * g->window.pixels * depth, w_step = s->dilation_w * depth;
  kp_vf start[2] = {kp_vf_zero(), kp_vf_zero()}, sum[KP_GROUPED_RUN * 2];
  KP_UNROLL for (size_t v = 0; v < vectors; ++v) {
    const size_t c = v * KP_VF_LANES;
    if (bias && c < g->block.outs)
      start[v] = kp_vf_load_upto(bias + g->block.first_out + c, g->block.outs - c);
  }
  for (size_t column = 0; column < s->out_w; column += run, x += run * stride * depth) {
    KP_UNROLL for (size_t p = 0; p < run; ++p) {
      KP_UNROLL for (size_t v = 0; v < vectors; ++v) sum[p * vectors + v] = start[v];
    }
    const float* w = g->weights;
    for (size_t h = 0; h < s->kernel_h; ++h) {
      for (size_t t = 0; t < s->kernel_w; ++t) {
        const float* tap = x + h * h_step + t * w_step;
        for (size_t k = 0; k < depth; ++k, w += vectors * KP_VF_LANES) {
          kp_vf weight[2];
          KP_UNROLL for (size_t v = 0; v < vectors; ++v) weight[v] =
              kp_vf_load(w + v * KP_VF_LANES);
          KP_UNROLL for (size_t p = 0; p < run; ++p) {
            const kp_vf value = kp_vf_set1(tap[p * stride * depth + k]);
            KP_UNROLL for (size_t v = 0; v < vectors; ++v) sum[p * vectors + v] =
                kp_vf_fma(weight[v], value, sum[p * vectors + v]);
          }
        }
      }
    }
    const size_t rest = s->out_w - column;
    kp_vf done[KP_GROUPED_RUN * 2];
    KP_UNROLL for (size_t i = 0; i < run * vectors; ++i) done[i] = sum[i];
    finish_run(g, vectors, column, rest < run ? rest : run, done);
  }
}

// The depths of full vectors, which most nets have, with constant distances between pixels.
static __attribute__((noinline)) void row_one(const grouped_turn* g, const float* x) {
  row_of_pixels(g, x, 1, RUN_ONE, g->cut.depth, g->s->stride_w);
}
static __attribute__((noinline)) void row_two(const grouped_turn* g, const float* x) {
  row_of_pixels(g, x, 2, RUN_TWO, g->cut.depth, g->s->stride_w);
}
static __attribute__((noinline)) void row_one_full(const grouped_turn* g, const float* x) {
  row_of_pixels(g, x, 1, RUN_ONE, KP_VF_LANES, 1);
}
static __attribute__((noinline)) void row_two_full(const grouped_turn* g, const float* x) {
  row_of_pixels(g, x, 2, RUN_TWO, 2 * KP_VF_LANES, 1);
}

typedef void (*row_fn)(const grouped_turn* g, const float* x);

static row_fn choose_row(const grouped_turn* g) {
  const bool one = g->cut.width == KP_VF_LANES;
  const bool full = g->cut.depth == g->cut.width && g->s->stride_w == 1;
  if (full) return one ? row_one_full : row_two_full;
  return one ? row_one : row_two;
}

// --- turns ----------------------------------------------------------------------------------------------------------------------
// Output rows [row, row + rows) of one picture, one block.
static void run_block(grouped_turn* g, row_fn run, size_t row, size_t rows) {
  const kp_conv_shape* s = g->s;
  const kp_epilogue* e = &g->args->epilogue;
  const kp_act* late = g->clip || e->act.kind == KP_ACT_NONE ? NULL : &e->act;
  const size_t line = s->stride_h * g->window.pixels * g->cut.depth;
  const float* picture =
      g->args->input + row / s->out_h * s->in_h * s->in_w * s->in_pixel + g->block.first_in;
  gather(g, picture, (ptrdiff_t)(row % s->out_h * s->stride_h) - (ptrdiff_t)s->pad_top,
         (rows - 1) * s->stride_h + (s->kernel_h - 1) * s->dilation_h + 1);
  for (size_t i = 0; i < rows; ++i) {
    const size_t pixel = (row + i) * s->out_w;
    g->y = g->args->output + pixel * s->out_pixel + g->block.first_out;
    if (e->residual) g->residual = e->residual + pixel * e->residual_stride + g->block.first_out;
    run(g, g->inputs + i * line);
    if (late) kp_activate_rows(s->out_w, g->block.outs, g->y, s->out_pixel, late);
  }
}

void KP_ISA_NAME(kp_grouped)(const kp_conv_shape* s, const kp_conv_args* args, size_t row,
                             size_t rows, size_t block, size_t blocks, float* scratch);
void KP_ISA_NAME(kp_grouped)(const kp_conv_shape* s, const kp_conv_args* args, size_t row,
                             size_t rows, size_t block, size_t blocks, float* scratch) {
  const kp_act* act = &args->epilogue.act;
  grouped_turn g = {.s = s, .args = args, .inputs = scratch};
  g.cut = kp_grouped_cut_of(KP_VF_LANES, s);
  g.window = kp_grouped_window_of(s, &g.cut);
  g.clip = act->kind == KP_ACT_RELU || act->kind == KP_ACT_CLIP;
  g.beta = kp_vf_set1(args->epilogue.beta);
  g.low = kp_vf_set1(act->kind == KP_ACT_CLIP ? act->a : 0.0f);
  g.high = kp_vf_set1(act->kind == KP_ACT_CLIP ? act->b : INFINITY);
  const size_t turn = kp_grouped_turn(s), end = row + rows;
  const row_fn run = choose_row(&g);
  while (row < end) {
    size_t count = s->out_h - row % s->out_h;  // a turn stays within a picture
    if (count > turn) count = turn;
    if (count > end - row) count = end - row;
    for (size_t b = block; b < block + blocks; ++b) {
      g.block = kp_grouped_block_at(s, &g.cut, b);
      g.weights = args->packed + b * s->kernel_h * s->kernel_w * g.cut.depth * g.cut.width;
      run_block(&g, run, row, count);
    }
    row += count;
  }
}
