// Pooling over windows, per instruction set: one output pixel at a time, channels by vectors, the window clipped to the
// picture beforehand so that no tap needs a test.
#include "provider/cpu/kernel/pool/pool.h"

#include "provider/cpu/simd/f32.h"

// The taps of one axis inside the picture: [first, last) of |kernel| for a window starting at |start|.
typedef struct span {
  size_t first, last;
} span;

static span valid_taps(ptrdiff_t start, size_t kernel, size_t dilation, size_t size) {
  span s = {0, kernel};
  if (start < 0) s.first = ((size_t)-start + dilation - 1) / dilation;
  const ptrdiff_t room = (ptrdiff_t)size - start;
  const size_t inside = room > 0 ? ((size_t)room + dilation - 1) / dilation : 0;
  if (inside < s.last) s.last = inside;
  if (s.first > s.last) s.first = s.last;
  return s;
}

// One window: its valid taps, |x| at tap (0, 0).
typedef struct window {
  const float* x;
  span h, w;
  size_t h_step, w_step;  // floats between taps
} window;

KP_INLINE kp_vf window_max(const window* w, size_t c, size_t n) {
  kp_vf best = kp_vf_set1(-INFINITY);
  for (size_t h = w->h.first; h < w->h.last; ++h) {
    const float* x = w->x + h * w->h_step + c;
    for (size_t t = w->w.first; t < w->w.last; ++t) {
      best = kp_vf_max_nan(kp_vf_load_upto(x + t * w->w_step, n), best);
    }
  }
  return best;
}

KP_INLINE kp_vf window_sum(const window* w, size_t c, size_t n) {
  kp_vf sum = kp_vf_zero();
  for (size_t h = w->h.first; h < w->h.last; ++h) {
    const float* x = w->x + h * w->h_step + c;
    for (size_t t = w->w.first; t < w->w.last; ++t) {
      sum = kp_vf_add(sum, kp_vf_load_upto(x + t * w->w_step, n));
    }
  }
  return sum;
}

// Pixels of the window that count in an average's divisor.
static size_t divisor(const kp_pool_shape* s, const window* w, ptrdiff_t top, ptrdiff_t left) {
  if (!s->count_padding) return (w->h.last - w->h.first) * (w->w.last - w->w.first);
  // Also with padding counted, what lies past it (a last window with ceil_mode) does not.
  const span h = valid_taps(top + (ptrdiff_t)s->pad_top, s->kernel_h, s->dilation_h,
                            s->in_h + s->pad_top + s->pad_bottom);
  const span v = valid_taps(left + (ptrdiff_t)s->pad_left, s->kernel_w, s->dilation_w,
                            s->in_w + s->pad_left + s->pad_right);
  return (h.last - h.first) * (v.last - v.first);
}

static void max_pixel(const window* w, size_t channels, float* y) {
  size_t c = 0;
  for (; c + KP_VF_LANES <= channels; c += KP_VF_LANES)
    kp_vf_store(y + c, window_max(w, c, KP_VF_LANES));
  if (c < channels) kp_vf_storen(y + c, window_max(w, c, channels - c), channels - c);
}

static void average_pixel(const window* w, size_t channels, size_t count, float* y) {
  // One division per window and channel: a product with 1/count would be off in the last place.
  const kp_vf d = kp_vf_set1(count ? (float)count : 1.0f);
  size_t c = 0;
  for (; c + KP_VF_LANES <= channels; c += KP_VF_LANES) {
    kp_vf_store(y + c, kp_vf_div(window_sum(w, c, KP_VF_LANES), d));
  }
  if (c < channels) kp_vf_storen(y + c, kp_vf_div(window_sum(w, c, channels - c), d), channels - c);
}

KP_INLINE void pool_rows(const kp_pool_shape* s, size_t row, size_t rows, const float* x, float* y,
                         const bool is_max) {
  window w = {.h_step = s->dilation_h * s->in_w * s->in_pixel,
              .w_step = s->dilation_w * s->in_pixel};
  float* out = y + row * s->out_w * s->out_pixel;
  for (size_t i = row; i < row + rows; ++i) {
    const float* picture = x + i / s->out_h * s->in_h * s->in_w * s->in_pixel;
    const ptrdiff_t top = (ptrdiff_t)(i % s->out_h * s->stride_h) - (ptrdiff_t)s->pad_top;
    w.h = valid_taps(top, s->kernel_h, s->dilation_h, s->in_h);
    for (size_t j = 0; j < s->out_w; ++j, out += s->out_pixel) {
      const ptrdiff_t left = (ptrdiff_t)(j * s->stride_w) - (ptrdiff_t)s->pad_left;
      w.w = valid_taps(left, s->kernel_w, s->dilation_w, s->in_w);
      w.x = picture + (top * (ptrdiff_t)s->in_w + left) * (ptrdiff_t)s->in_pixel;
      if (is_max) {
        max_pixel(&w, s->channels, out);
      } else {
        average_pixel(&w, s->channels, divisor(s, &w, top, left), out);
      }
    }
  }
}

static void pool_max(const kp_pool_shape* s, size_t row, size_t rows, const float* x, float* y) {
  pool_rows(s, row, rows, x, y, true);
}

static void pool_average(const kp_pool_shape* s, size_t row, size_t rows, const float* x,
                         float* y) {
  pool_rows(s, row, rows, x, y, false);
}

const kp_pool_ops KP_ISA_NAME(kp_pool) = {
    .isa = KP_ISA_STRING, .max = pool_max, .average = pool_average};
