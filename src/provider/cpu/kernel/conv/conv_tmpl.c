// Convolution, per instruction set: what the matrix engine does not do. Depthwise here, small groups in
// grouped_tmpl.c, few output channels in narrow_tmpl.c, Winograd in winograd_tmpl.c; see conv.c for the rest.
//
// Depthwise works on a run of neighbouring output pixels at a time, all channels of it, a vector of channels in the innermost
// position: every input row is read front to back, and with stride 1 each loaded vector serves all taps of its row.
#include "provider/cpu/kernel/conv/conv.h"

#include "provider/cpu/kernel/activate.h"
#include "provider/cpu/simd/f32.h"

// Output pixels computed together.
#define RUN 4

// One output row (or a run in it) of a depthwise convolution.
typedef struct dw_run {
  const kp_conv_shape* s;
  const float*
      x;  // input pixel under tap (0, 0) of the first output pixel; may lie outside the picture
  const float* w;          // [taps][w_stride]
  size_t w_stride;         // channels rounded up to lanes
  size_t first_h, last_h;  // valid kernel rows [first_h, last_h)
  size_t x_row;            // floats between input rows of neighbouring kernel rows (with dilation)
  float* y;
  const float* bias;      // or NULL
  const float* residual;  // or NULL
  size_t residual_stride;
  kp_vf beta, low, high;
  bool clip;
} dw_run;

KP_INLINE kp_vf dw_start(const dw_run* d, size_t c, size_t n) {
  return d->bias ? kp_vf_load_upto(d->bias + c, n) : kp_vf_zero();
}

KP_INLINE void dw_finish(const dw_run* d, size_t pixel, size_t c, size_t n, kp_vf sum) {
  if (d->residual) {
    const float* residual = d->residual + pixel * d->residual_stride + c;
    sum = kp_vf_fma(d->beta, kp_vf_load_upto(residual, n), sum);
  }
  if (d->clip) sum = kp_vf_min(d->high, kp_vf_max(d->low, sum));
  kp_vf_store_upto(d->y + pixel * d->s->out_pixel + c, sum, n);
}

// RUN whole pixels, stride and dilation 1 along the row; |kw| is a constant after inlining.
KP_INLINE void dw_dense(const dw_run* d, const size_t kw, size_t c) {
  const size_t pixel = d->s->in_pixel;
  kp_vf sum[RUN];
  KP_UNROLL for (size_t p = 0; p < RUN; ++p) sum[p] = dw_start(d, c, KP_VF_LANES);
  for (size_t h = d->first_h; h < d->last_h; ++h) {
    const float* x = d->x + h * d->x_row + c;
    const float* w = d->w + h * kw * d->w_stride + c;
    kp_vf weight[7];
    KP_UNROLL for (size_t t = 0; t < kw; ++t) weight[t] = kp_vf_load(w + t * d->w_stride);
    KP_UNROLL for (size_t j = 0; j < RUN + kw - 1; ++j) {
      const kp_vf value = kp_vf_load(x + j * pixel);
      KP_UNROLL for (size_t p = 0; p < RUN; ++p) {
        if (j >= p && j < p + kw) sum[p] = kp_vf_fma(weight[j - p], value, sum[p]);
      }
    }
  }
  KP_UNROLL for (size_t p = 0; p < RUN; ++p) dw_finish(d, p, c, KP_VF_LANES, sum[p]);
}

// RUN whole pixels of two output rows, 3x3 with stride and dilation 1: each vector that is loaded serves up to six taps. |d| is the
// upper row; input rows [first, last) of the four under both lie in the picture.
KP_INLINE void dw_dense_pair(const dw_run* d, size_t first, size_t last, size_t c) {
  const size_t pixel = d->s->in_pixel;
  kp_vf upper[RUN], lower[RUN];
  KP_UNROLL for (size_t p = 0; p < RUN; ++p) upper[p] = lower[p] = dw_start(d, c, KP_VF_LANES);
  KP_UNROLL for (size_t h = 0; h < 4; ++h) {
    if (h < first || h >= last) continue;
    const float* x = d->x + h * d->x_row + c;
    const float* w =
        d->w + h * 3 * d->w_stride + c;  // of the upper row's tap; the lower row's is one before
    kp_vf a[3], b[3];
    KP_UNROLL for (size_t t = 0; t < 3; ++t) {
      a[t] = h < 3 ? kp_vf_load(w + t * d->w_stride) : kp_vf_zero();
      b[t] = h > 0 ? kp_vf_load(w + t * d->w_stride - 3 * d->w_stride) : kp_vf_zero();
    }
    KP_UNROLL for (size_t j = 0; j < RUN + 2; ++j) {
      const kp_vf value = kp_vf_load(x + j * pixel);
      KP_UNROLL for (size_t p = 0; p < RUN; ++p) {
        if (j < p || j >= p + 3) continue;
        if (h < 3) upper[p] = kp_vf_fma(a[j - p], value, upper[p]);
        if (h > 0) lower[p] = kp_vf_fma(b[j - p], value, lower[p]);
      }
    }
  }
  dw_run below = *d;
  below.y += d->s->out_w * d->s->out_pixel;
  if (below.residual) below.residual += d->s->out_w * d->residual_stride;
  KP_UNROLL for (size_t p = 0; p < RUN; ++p) {
    dw_finish(d, p, c, KP_VF_LANES, upper[p]);
    dw_finish(&below, p, c, KP_VF_LANES, lower[p]);
  }
}

// RUN whole pixels, any stride and dilation.
KP_INLINE void dw_strided(const dw_run* d, size_t c) {
  const size_t kw = d->s->kernel_w;
  const size_t step = d->s->stride_w * d->s->in_pixel;
  const size_t tap_step = d->s->dilation_w * d->s->in_pixel;
  kp_vf sum[RUN];
  KP_UNROLL for (size_t p = 0; p < RUN; ++p) sum[p] = dw_start(d, c, KP_VF_LANES);
  for (size_t h = d->first_h; h < d->last_h; ++h) {
    const float* x = d->x + h * d->x_row + c;
    const float* w = d->w + h * kw * d->w_stride + c;
    for (size_t t = 0; t < kw; ++t) {
      const kp_vf weight = kp_vf_load(w + t * d->w_stride);
      KP_UNROLL for (size_t p = 0; p < RUN; ++p) {
        sum[p] = kp_vf_fma(weight, kp_vf_load(x + p * step + t * tap_step), sum[p]);
      }
    }
  }
  KP_UNROLL for (size_t p = 0; p < RUN; ++p) dw_finish(d, p, c, KP_VF_LANES, sum[p]);
}

// One pixel, kernel columns [first_w, last_w), |n| channels from |c| on.
static void dw_pixel(const dw_run* d, size_t first_w, size_t last_w, size_t c, size_t n) {
  const size_t tap_step = d->s->dilation_w * d->s->in_pixel;
  kp_vf sum = dw_start(d, c, n);
  for (size_t h = d->first_h; h < d->last_h; ++h) {
    const float* x = d->x + h * d->x_row + c;
    const float* w = d->w + h * d->s->kernel_w * d->w_stride + c;
    for (size_t t = first_w; t < last_w; ++t) {
      const kp_vf value = kp_vf_load_upto(x + t * tap_step, n);
      sum = kp_vf_fma(kp_vf_load(w + t * d->w_stride), value, sum);
    }
  }
  dw_finish(d, 0, c, n, sum);
}

static void dw_one(const dw_run* d, size_t first_w, size_t last_w) {
  const size_t channels = d->s->out_c;
  for (size_t c = 0; c < channels; c += KP_VF_LANES) dw_pixel(d, first_w, last_w, c, channels - c);
}

// The channels from |c| on that fill no vector, of RUN whole pixels.
static void dw_rest(const dw_run* d, size_t c) {
  const kp_conv_shape* s = d->s;
  if (c == s->out_c) return;
  dw_run one = *d;
  for (size_t p = 0; p < RUN; ++p) {
    dw_pixel(&one, 0, s->kernel_w, c, s->out_c - c);
    one.x += s->stride_w * s->in_pixel;
    one.y += s->out_pixel;
    if (one.residual) one.residual += one.residual_stride;
  }
}

// RUN pixels, none of which touches the left or right padding.
static void dw_whole(const dw_run* d) {
  const kp_conv_shape* s = d->s;
  const size_t channels = s->out_c;
  const size_t kw = s->stride_w == 1 && s->dilation_w == 1 ? s->kernel_w : 0;
  size_t c = 0;
  const size_t last = channels / KP_VF_LANES * KP_VF_LANES;
  switch (kw) {
    case 3:
      for (; c < last; c += KP_VF_LANES) dw_dense(d, 3, c);
      break;
    case 5:
      for (; c < last; c += KP_VF_LANES) dw_dense(d, 5, c);
      break;
    case 7:
      for (; c < last; c += KP_VF_LANES) dw_dense(d, 7, c);
      break;
    default:
      for (; c < last; c += KP_VF_LANES) dw_strided(d, c);
      break;
  }
  dw_rest(d, c);
}

// The taps of one axis that fall inside the picture: [first, last) of |kernel| for a window starting at |start|.
static void valid_taps(ptrdiff_t start, size_t kernel, size_t dilation, size_t size,
                       size_t* out_first, size_t* out_last) {
  size_t first = 0, last = kernel;
  if (start < 0) first = ((size_t)-start + dilation - 1) / dilation;
  if (start >= (ptrdiff_t)size) {
    last = 0;
  } else {
    const size_t inside = ((size_t)((ptrdiff_t)size - start) + dilation - 1) / dilation;
    if (inside < last) last = inside;
  }
  *out_first = first < last ? first : last;
  *out_last = last;
}

// |count| pixels further along the row.
static void dw_advance(dw_run* d, size_t count) {
  d->y += count * d->s->out_pixel;
  if (d->residual) d->residual += count * d->residual_stride;
}

// One output row.
static void dw_row(const kp_conv_shape* s, dw_run* d, const float* picture, size_t row,
                   const kp_act* late) {
  const ptrdiff_t top = (ptrdiff_t)(row * s->stride_h) - (ptrdiff_t)s->pad_top;
  valid_taps(top, s->kernel_h, s->dilation_h, s->in_h, &d->first_h, &d->last_h);
  size_t column = 0;
  while (column < s->out_w) {
    const ptrdiff_t left = (ptrdiff_t)(column * s->stride_w) - (ptrdiff_t)s->pad_left;
    d->x = picture + (top * (ptrdiff_t)s->in_w + left) * (ptrdiff_t)s->in_pixel;
    const size_t reach = (RUN - 1) * s->stride_w + (s->kernel_w - 1) * s->dilation_w;
    size_t run = 1;
    if (left >= 0 && column + RUN <= s->out_w && (size_t)left + reach < s->in_w) {
      run = RUN;
      dw_whole(d);
    } else {
      size_t first_w, last_w;
      valid_taps(left, s->kernel_w, s->dilation_w, s->in_w, &first_w, &last_w);
      dw_one(d, first_w, last_w);
    }
    if (late) kp_activate_rows(run, s->out_c, d->y, s->out_pixel, late);
    column += run;
    dw_advance(d, run);
  }
}

// Two output rows at once, where dw_dense_pair can: |d| is the upper one.
static void dw_row_pair(const kp_conv_shape* s, dw_run* d, const float* picture, size_t row,
                        const kp_act* late) {
  const ptrdiff_t top = (ptrdiff_t)row - (ptrdiff_t)s->pad_top;
  dw_run below = *d;
  size_t first, last, column = 0;
  dw_advance(&below, s->out_w);
  valid_taps(top, 4, 1, s->in_h, &first, &last);
  valid_taps(top, 3, 1, s->in_h, &d->first_h, &d->last_h);
  valid_taps(top + 1, 3, 1, s->in_h, &below.first_h, &below.last_h);
  // Columns [pad_left, inner) touch no padding. The last run of them starts early enough to end with them and computes some pixels
  // again; a residual may be the output itself and must not be added again.
  const size_t beyond = s->in_w + s->pad_left, widest = beyond > 2 ? beyond - 2 : 0;
  const size_t inner = widest < s->out_w ? widest : s->out_w;
  const bool again = !d->residual && inner >= s->pad_left + RUN;
  while (column < s->out_w) {
    if (again && column >= s->pad_left && column < inner && column + RUN > inner) {
      const size_t back = column + RUN - inner;
      column -= back;
      d->y -= back * s->out_pixel;
      below.y -= back * s->out_pixel;
    }
    const ptrdiff_t left = (ptrdiff_t)column - (ptrdiff_t)s->pad_left;
    d->x = picture + (top * (ptrdiff_t)s->in_w + left) * (ptrdiff_t)s->in_pixel;
    below.x = d->x + d->x_row;
    size_t run = 1;
    if (left >= 0 && column + RUN <= inner) {
      size_t c = 0;
      run = RUN;
      for (; c + KP_VF_LANES <= s->out_c; c += KP_VF_LANES) dw_dense_pair(d, first, last, c);
      dw_rest(d, c);
      dw_rest(&below, c);
    } else {
      size_t first_w, last_w;
      valid_taps(left, 3, 1, s->in_w, &first_w, &last_w);
      dw_one(d, first_w, last_w);
      dw_one(&below, first_w, last_w);
    }
    if (late) {
      kp_activate_rows(run, s->out_c, d->y, s->out_pixel, late);
      kp_activate_rows(run, s->out_c, below.y, s->out_pixel, late);
    }
    column += run;
    dw_advance(d, run);
    dw_advance(&below, run);
  }
  dw_advance(d, s->out_w);  // over the lower row
}

static bool is_3x3_dense(const kp_conv_shape* s) {
  return s->kernel_h == 3 && s->kernel_w == 3 && s->stride_h == 1 && s->stride_w == 1 &&
         s->dilation_h == 1 && s->dilation_w == 1;
}

static void conv_depthwise(const kp_conv_shape* s, size_t row, size_t rows,
                           const kp_conv_args* args) {
  const kp_epilogue* e = &args->epilogue;
  const kp_act* act = &e->act;
  dw_run d = {.s = s, .w = args->packed, .bias = e->bias_n, .residual_stride = e->residual_stride};
  d.w_stride = (s->out_c + KP_VF_LANES - 1) / KP_VF_LANES * KP_VF_LANES;
  d.x_row = s->dilation_h * s->in_w * s->in_pixel;
  d.clip = act->kind == KP_ACT_RELU || act->kind == KP_ACT_CLIP;
  d.beta = kp_vf_set1(e->beta);
  d.low = kp_vf_set1(act->kind == KP_ACT_CLIP ? act->a : 0.0f);
  d.high = kp_vf_set1(act->kind == KP_ACT_CLIP ? act->b : INFINITY);
  const kp_act* late = d.clip || act->kind == KP_ACT_NONE ? NULL : act;
  d.y = args->output + row * s->out_w * s->out_pixel;
  if (e->residual) d.residual = e->residual + row * s->out_w * e->residual_stride;
  const bool pairs = is_3x3_dense(s);
  for (size_t i = row; i < row + rows; ++i) {
    const float* picture = args->input + i / s->out_h * s->in_h * s->in_w * s->in_pixel;
    if (pairs && i + 1 < row + rows && i % s->out_h + 1 < s->out_h) {
      dw_row_pair(s, &d, picture, i % s->out_h, late);
      ++i;
    } else {
      dw_row(s, &d, picture, i % s->out_h, late);
    }
  }
}

extern const kp_gemm_ops KP_ISA_NAME(kp_gemm);
// narrow_tmpl.c, grouped_tmpl.c, winograd_tmpl.c, winograd_filter_tmpl.c
void KP_ISA_NAME(kp_narrow)(const kp_gemm_tile* tile);
void KP_ISA_NAME(kp_grouped)(const kp_conv_shape* s, const kp_conv_args* args, size_t row,
                             size_t rows, size_t block, size_t blocks, float* scratch);
void KP_ISA_NAME(kp_winograd)(const kp_conv_plan* plan, const kp_conv_args* args, size_t tile,
                              size_t tiles, size_t col, size_t cols, float* scratch);
void KP_ISA_NAME(kp_winograd_pack)(kp_conv_algorithm algorithm, size_t in_c, size_t out_c,
                                   const float* weights, float* packed);

const kp_conv_ops KP_ISA_NAME(kp_conv) = {
    .isa = KP_ISA_STRING,
    .gemm = &KP_ISA_NAME(kp_gemm),
    .depthwise = conv_depthwise,
    .grouped = KP_ISA_NAME(kp_grouped),
    .narrow = KP_ISA_NAME(kp_narrow),
    .winograd = KP_ISA_NAME(kp_winograd),
    .winograd_pack = KP_ISA_NAME(kp_winograd_pack),
};
