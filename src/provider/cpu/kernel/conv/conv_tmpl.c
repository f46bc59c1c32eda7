// Convolution, per instruction set: what the matrix engine does not do. Depthwise here, Winograd in
// winograd_tmpl.c; see conv.c for the rest.
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
  if (c == channels) return;
  dw_run one = *d;
  for (size_t p = 0; p < RUN; ++p) {
    dw_pixel(&one, 0, s->kernel_w, c, channels - c);
    one.x += s->stride_w * s->in_pixel;
    one.y += s->out_pixel;
    if (one.residual) one.residual += one.residual_stride;
  }
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
    d->y += run * s->out_pixel;
    if (d->residual) d->residual += run * d->residual_stride;
  }
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
  for (size_t i = row; i < row + rows; ++i) {
    const float* picture = args->input + i / s->out_h * s->in_h * s->in_w * s->in_pixel;
    dw_row(s, &d, picture, i % s->out_h, late);
  }
}

extern const kp_gemm_ops KP_ISA_NAME(kp_gemm);
// winograd_tmpl.c
void KP_ISA_NAME(kp_winograd)(const kp_conv_plan* plan, const kp_conv_args* args, size_t tile,
                              size_t tiles, size_t col, size_t cols, float* scratch);

const kp_conv_ops KP_ISA_NAME(kp_conv) = {
    .isa = KP_ISA_STRING,
    .gemm = &KP_ISA_NAME(kp_gemm),
    .depthwise = conv_depthwise,
    .winograd = KP_ISA_NAME(kp_winograd),
};
