// Regions of pictures: RoiAlign, MaxRoiPool, com.microsoft.CropAndResize. A task is one channel of one region, in RoiAlign some channels.
#include <math.h>

#include "provider/cpu/op/help.h"

typedef struct roi_params {
  size_t channels, in_h, in_w, out_h, out_w;
  double scale;
  double offset;    // RoiAlign: of the corners
  int64_t samples;  // RoiAlign: points along each side of a bin; 0: as many as the bin has pixels
  bool maximum, nearest, single;  // |single|: coordinates are computed in f32, as the types are
  double extrapolation;
} roi_params;

static kp_status* start(kp_op_plan* plan, roi_params** out_params) {
  roi_params* p = kp_arena_new(plan->arena, roi_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  const kapell_value *x = plan->inputs[0], *y = plan->outputs[0];
  plan->params = *out_params = p;
  *p = (roi_params){.channels = (size_t)x->dims[1],
                    .in_h = (size_t)x->dims[2],
                    .in_w = (size_t)x->dims[3],
                    .out_h = (size_t)y->dims[2],
                    .out_w = (size_t)y->dims[3],
                    .scale = (double)kp_node_attr_f(plan->node, "spatial_scale", 1),
                    .single = x->type != KAPELL_DOUBLE};
  return NULL;
}

static kp_status* check_picture(int64_t index, const kapell_value* x) {
  if (index >= 0 && index < x->dims[0]) return NULL;
  return KP_ERROR(RUN_FAILED, "a region of picture %lld; there are %lld", (long long)index,
                  (long long)x->dims[0]);
}

static double real_at(const kapell_value* value, size_t index) {
  return value->type == KAPELL_DOUBLE ? ((const double*)value->data)[index]
                                      : (double)((const float*)value->data)[index];
}
static void set_real(const kapell_value* value, size_t index, double x) {
  if (value->type == KAPELL_DOUBLE)
    ((double*)value->data)[index] = x;
  else
    ((float*)value->data)[index] = (float)x;
}
// |x| in the precision of the operator's own types: how many samples a bin gets hangs on it.
static double rounded(const roi_params* p, double x) { return p->single ? (double)(float)x : x; }

// --- RoiAlign ----------------------------------------------------------------------------------------------------------------------
static kp_status* align_plan(kp_op_plan* plan) {
  const kp_node* node = plan->node;
  const kp_str mode = kp_node_attr_s(node, "mode", "avg");
  const kp_str shift = kp_node_attr_s(node, "coordinate_transformation_mode",
                                      node->version < 16 ? "output_half_pixel" : "half_pixel");
  roi_params* p;
  KP_PASS(start(plan, &p));
  p->maximum = kp_str_is(mode, "max");
  if (!p->maximum && !kp_str_is(mode, "avg"))
    return KP_ERROR(INVALID_MODEL, "attribute 'mode' is '%.*s'; avg and max exist",
                    KP_STR_ARG(mode));
  p->offset = kp_str_is(shift, "half_pixel") ? 0.5 : 0;
  if (p->offset == 0 && !kp_str_is(shift, "output_half_pixel"))
    return KP_ERROR(INVALID_MODEL, "attribute 'coordinate_transformation_mode' is '%.*s'",
                    KP_STR_ARG(shift));
  p->samples = kp_node_attr_i(node, "sampling_ratio", 0);
  return NULL;
}

// One side of a region cut into bins, and each bin into samples.
typedef struct side {
  double start, bin, samples;
  size_t size;  // of the picture
  bool single;
} side;

static side side_of(const roi_params* p, double low, double high, size_t bins, size_t size) {
  const double a = rounded(p, rounded(p, low * p->scale) - p->offset),
               b = rounded(p, rounded(p, high * p->scale) - p->offset);
  double length = rounded(p, b - a);
  if (p->offset == 0) length = fmax(length, 1);
  side s = {
      .start = a, .bin = rounded(p, length / (double)bins), .size = size, .single = p->single};
  s.samples = p->samples > 0 ? (double)p->samples : ceil(s.bin);
  if (!isfinite(a) || !isfinite(length) || !(s.samples > 0)) s.samples = 0;
  return s;
}

// In the precision of the types: a sample on the picture's edge has to fall to the same side as elsewhere.
static double sample_at(const side* s, size_t bin, double i) {
  if (!s->single) return s->start + (double)bin * s->bin + (i + 0.5) * s->bin / s->samples;
  const float size = (float)s->bin, at = ((float)i + 0.5f) * size / (float)s->samples;
  return (double)((float)s->start + (float)bin * size + at);
}

// The samples [*first, *last) of a bin that can lie in the picture; the others are zeros. However large a region is, only these count.
static void samples_inside(const side* s, size_t bin, double* first, double* last) {
  const double step = s->bin / s->samples, base = s->start + (double)bin * s->bin;
  *first = 0;
  *last = s->samples;
  if (!(step > 0)) return;
  *first = fmax(0, floor((-1 - base) / step) - 2);
  *last = fmin(s->samples, ceil(((double)s->size - base) / step) + 2);
}

// The two places around |at| and the weight of the second; false: outside.
static bool neighbours(double at, size_t size, size_t* low, size_t* high, double* part) {
  if (!(at >= -1 && at <= (double)size)) return false;
  at = fmax(at, 0);
  *low = *high = size - 1;
  *part = 0;
  if (at >= (double)(size - 1)) return true;
  *low = (size_t)at;
  *high = *low + 1;
  *part = at - (double)*low;
  return true;
}

// One bin of one channel, whose first element is |plane|. A sampling ratio can be anything: the run may be stopped meanwhile.
static double align_bin(const kp_op_run* run, size_t plane, const side* h, size_t bin_h,
                        const side* w, size_t bin_w) {
  const roi_params* p = run->params;
  const kapell_value* x = run->inputs[0];
  size_t looked = 0;
  double first_h, last_h, first_w, last_w, sum = 0, most = -INFINITY;
  const double count = h->samples * w->samples;
  double seen = 0;
  samples_inside(h, bin_h, &first_h, &last_h);
  samples_inside(w, bin_w, &first_w, &last_w);
  for (double i = first_h; i < last_h; ++i) {
    size_t top, bottom, left, right;
    double down, along;
    const bool inside = neighbours(sample_at(h, bin_h, i), h->size, &top, &bottom, &down);
    if (++looked % 1024 == 0 && kp_cancelled(run)) return 0;
    for (double k = first_w; inside && k < last_w; ++k) {
      if (++looked % 1024 == 0 && kp_cancelled(run)) return 0;
      if (!neighbours(sample_at(w, bin_w, k), w->size, &left, &right, &along)) continue;
      const double a = (1 - down) * (1 - along) * real_at(x, plane + top * w->size + left),
                   b = (1 - down) * along * real_at(x, plane + top * w->size + right),
                   c = down * (1 - along) * real_at(x, plane + bottom * w->size + left),
                   d = down * along * real_at(x, plane + bottom * w->size + right);
      sum += a + b + c + d;
      most = fmax(most, fmax(fmax(a, b), fmax(c, d)));
      ++seen;
    }
  }
  if (!p->maximum) return sum / fmax(count, 1);
  if (!count) return 0;
  return seen < count ? fmax(most, 0) : most;  // samples outside are zeros
}

// Where one sample along a side reads, the same for all channels of a region.
typedef struct tap {
  size_t low, high;
  float part;  // of |high|
  bool inside;
} tap;
// Samples along a side of all its bins that are looked up rather than computed for each channel; channels of a task.
enum { kTaps = 64, kTaskChannels = 32 };

static bool fill_taps(const side* s, size_t bins, tap* taps) {
  if (!(s->samples * (double)bins <= kTaps)) return false;
  const size_t each = (size_t)s->samples;
  for (size_t i = 0; i < bins * each; ++i) {
    double part = 0;
    taps[i].low = taps[i].high = 0;
    taps[i].inside = neighbours(sample_at(s, i / each, (double)(i % each)), s->size, &taps[i].low,
                                &taps[i].high, &part);
    taps[i].part = (float)part;
  }
  return true;
}

// The means of the bins of one channel.
static void align_plane(const roi_params* p, const float* x, const tap* rows, size_t each_row,
                        const tap* columns, size_t each_column, float* y) {
  const size_t count = each_row * each_column;
  for (size_t bin = 0; bin < p->out_h * p->out_w; ++bin) {
    const tap* row = rows + bin / p->out_w * each_row;
    float sum = 0;
    for (size_t i = 0; i < each_row; ++i) {
      const float *top = x + row[i].low * p->in_w, *bottom = x + row[i].high * p->in_w;
      const tap* column = columns + bin % p->out_w * each_column;
      for (size_t k = 0; k < each_column && row[i].inside; ++k) {
        if (!column[k].inside) continue;
        const size_t left = column[k].low, right = column[k].high;
        const float above = top[left] + column[k].part * (top[right] - top[left]),
                    below = bottom[left] + column[k].part * (bottom[right] - bottom[left]);
        sum += above + row[i].part * (below - above);
      }
    }
    y[bin] = count ? sum / (float)count : 0;
  }
}

static void align_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_op_run* run = arg;
  const roi_params* p = run->params;
  const kapell_value* rois = run->inputs[1];
  const size_t parts = (p->channels + kTaskChannels - 1) / kTaskChannels, roi = task / parts,
               bins = p->out_h * p->out_w, first = task % parts * kTaskChannels;
  const side w = side_of(p, real_at(rois, roi * 4), real_at(rois, roi * 4 + 2), p->out_w, p->in_w),
             h = side_of(p, real_at(rois, roi * 4 + 1), real_at(rois, roi * 4 + 3), p->out_h,
                         p->in_h);
  const size_t picture = (size_t)((const int64_t*)run->inputs[2]->data)[roi];
  tap rows[kTaps], columns[kTaps];
  const bool quick =
      p->single && !p->maximum && fill_taps(&h, p->out_h, rows) && fill_taps(&w, p->out_w, columns);
  for (size_t c = first; c < kp_min_size(first + kTaskChannels, p->channels); ++c) {
    const size_t plane = (picture * p->channels + c) * p->in_h * p->in_w,
                 to = (roi * p->channels + c) * bins;
    if (kp_cancelled(run)) return;
    if (quick)
      align_plane(p, (const float*)run->inputs[0]->data + plane, rows, (size_t)h.samples, columns,
                  (size_t)w.samples, (float*)run->outputs[0]->data + to);
    for (size_t i = 0; i < bins && !quick; ++i)
      set_real(run->outputs[0], to + i, align_bin(run, plane, &h, i / p->out_w, &w, i % p->out_w));
  }
}

// Calls |task| for |parts| of each region.
static kp_status* run_regions(const kp_op_run* run, size_t parts,
                              void (*task)(void*, size_t, int)) {
  const roi_params* p = run->params;
  const kapell_value* y = run->outputs[0];
  kp_op_run copy = *run;
  if (!kp_value_count(y)) return NULL;
  if (!p->in_h || !p->in_w) return KP_ERROR(RUN_FAILED, "regions of a picture without pixels");
  kp_parallel_for(kp_op_width(run->width, kp_value_count(y) * 16), (size_t)y->dims[0] * parts, task,
                  &copy);
  return NULL;
}

static kp_status* align_run(const kp_op_run* run) {
  const kapell_value* pictures = run->inputs[2];
  for (size_t i = 0; i < kp_value_count(pictures); ++i)
    KP_PASS(check_picture(((const int64_t*)pictures->data)[i], run->inputs[0]));
  const roi_params* p = run->params;
  return run_regions(run, (p->channels + kTaskChannels - 1) / kTaskChannels, align_task);
}

// --- MaxRoiPool ----------------------------------------------------------------------------------------------------------------------
static kp_status* pool_plan(kp_op_plan* plan) {
  roi_params* p;
  if (plan->inputs[1]->dims[1] != 5)
    return KP_ERROR(RUN_FAILED, "regions of %lld numbers; expected 5",
                    (long long)plan->inputs[1]->dims[1]);
  return start(plan, &p);
}

// Pixels [*first, *last) of bin |bin| of |bins| of a region from pixel |low| to |high|.
static void bin_pixels(double low, double high, size_t bins, size_t bin, size_t size, size_t* first,
                       size_t* last) {
  const double length = fmax(high - low + 1, 1) / (double)bins;
  const double a = floor((double)bin * length) + low, b = ceil((double)(bin + 1) * length) + low;
  *first = a > 0 ? (size_t)fmin(a, (double)size) : 0;
  *last = b > 0 ? (size_t)fmin(b, (double)size) : 0;
}

static void pool_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_op_run* run = arg;
  const roi_params* p = run->params;
  const kapell_value *x = run->inputs[0], *rois = run->inputs[1];
  if (kp_cancelled(run)) return;
  const size_t roi = task / p->channels * 5, channel = task % p->channels;
  double corner[4];
  for (size_t i = 0; i < 4; ++i)
    corner[i] = round(rounded(p, real_at(rois, roi + 1 + i) * p->scale));
  const size_t plane = ((size_t)real_at(rois, roi) * p->channels + channel) * p->in_h * p->in_w;
  for (size_t i = 0; i < p->out_h * p->out_w; ++i) {
    size_t top, bottom, left, right;
    bin_pixels(corner[1], corner[3], p->out_h, i / p->out_w, p->in_h, &top, &bottom);
    bin_pixels(corner[0], corner[2], p->out_w, i % p->out_w, p->in_w, &left, &right);
    double most = bottom > top && right > left ? -INFINITY : 0;
    for (size_t r = top; r < bottom; ++r) {
      for (size_t c = left; c < right; ++c) {
        const double value = real_at(x, plane + r * p->in_w + c);
        if (value > most) most = value;  // not fmax: gcc 12 for AArch64 fails on its reduction
      }
    }
    set_real(run->outputs[0], task * p->out_h * p->out_w + i, most);
  }
}

static kp_status* pool_run(const kp_op_run* run) {
  const kapell_value* rois = run->inputs[1];
  const roi_params* p = run->params;
  for (size_t i = 0; i < (size_t)rois->dims[0]; ++i)
    KP_PASS(check_picture(kp_int_at(rois, i * 5), run->inputs[0]));
  return run_regions(run, p->channels, pool_task);
}

// --- CropAndResize -------------------------------------------------------------------------------------------------------------------
static kp_status* crop_plan(kp_op_plan* plan) {
  const kp_str mode = kp_node_attr_s(plan->node, "mode", "bilinear");
  roi_params* p;
  KP_PASS(start(plan, &p));
  p->nearest = kp_str_is(mode, "nearest");
  if (!p->nearest && !kp_str_is(mode, "bilinear"))
    return KP_ERROR(INVALID_MODEL, "attribute 'mode' is '%.*s'; bilinear and nearest exist",
                    KP_STR_ARG(mode));
  p->extrapolation = (double)kp_node_attr_f(plan->node, "extrapolation_value", 0);
  return NULL;
}

// Where place |at| of |count| between the corners |low| and |high| (0 and 1: the picture's first and last pixel) reads.
static double crop_coordinate(const roi_params* p, double low, double high, size_t at, size_t count,
                              size_t size) {
  const double last = (double)size - 1;
  if (count == 1) return rounded(p, 0.5 * (low + high) * last);
  return rounded(p,
                 low * last + (double)at * rounded(p, (high - low) * last / (double)(count - 1)));
}

static double crop_pixel(const roi_params* p, const kapell_value* x, size_t plane, double h,
                         double w) {
  if (!(h >= 0 && h <= (double)p->in_h - 1 && w >= 0 && w <= (double)p->in_w - 1))
    return p->extrapolation;
  if (p->nearest) return real_at(x, plane + (size_t)round(h) * p->in_w + (size_t)round(w));
  const size_t top = (size_t)h, left = (size_t)w, bottom = (size_t)ceil(h), right = (size_t)ceil(w);
  const double down = h - (double)top, along = w - (double)left;
  const double above = (1 - along) * real_at(x, plane + top * p->in_w + left) +
                       along * real_at(x, plane + top * p->in_w + right);
  const double below = (1 - along) * real_at(x, plane + bottom * p->in_w + left) +
                       along * real_at(x, plane + bottom * p->in_w + right);
  return (1 - down) * above + down * below;
}

static void crop_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_op_run* run = arg;
  const roi_params* p = run->params;
  const kapell_value* rois = run->inputs[1];
  if (kp_cancelled(run)) return;
  const size_t roi = task / p->channels, picture = (size_t)kp_int_at(run->inputs[2], roi),
               plane = (picture * p->channels + task % p->channels) * p->in_h * p->in_w;
  for (size_t i = 0; i < p->out_h * p->out_w; ++i) {
    const double h = crop_coordinate(p, real_at(rois, roi * 4), real_at(rois, roi * 4 + 2),
                                     i / p->out_w, p->out_h, p->in_h),
                 w = crop_coordinate(p, real_at(rois, roi * 4 + 1), real_at(rois, roi * 4 + 3),
                                     i % p->out_w, p->out_w, p->in_w);
    set_real(run->outputs[0], task * p->out_h * p->out_w + i,
             crop_pixel(p, run->inputs[0], plane, h, w));
  }
}

static kp_status* crop_run(const kp_op_run* run) {
  const kapell_value *rois = run->inputs[1], *pictures = run->inputs[2];
  if (rois->rank != 2 || rois->dims[1] != 4 || kp_value_count(pictures) != (size_t)rois->dims[0])
    return KP_ERROR(RUN_FAILED,
                    "rois is not [regions, 4], or batch_indices has not one entry a region");
  for (size_t i = 0; i < kp_value_count(pictures); ++i)
    KP_PASS(check_picture(kp_int_at(pictures, i), run->inputs[0]));
  const roi_params* p = run->params;
  return run_regions(run, p->channels, crop_task);
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators RoiAlign-10..22, MaxRoiPool-1..22; com.microsoft.CropAndResize-1
    {.name = "RoiAlign", .since = 10, .types = KP_M_REALS, .plan = align_plan, .run = align_run, .flags = KP_OP_WIDEN},
    {.name = "MaxRoiPool", .since = 1, .types = KP_M_REALS, .plan = pool_plan, .run = pool_run, .flags = KP_OP_WIDEN},
    {.domain = "com.microsoft", .name = "CropAndResize", .since = 1, .types = KP_M_REALS, .plan = crop_plan, .run = crop_run,
     .flags = KP_OP_WIDEN},
};
// clang-format on
KP_OP_TABLE(roi);
