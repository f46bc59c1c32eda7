// Convolution: which algorithm, how weights are packed, how the work is cut; and the tables of pointers that make a matrix
// product out of a window. conv.h has the contract.
#include "provider/cpu/kernel/conv/conv.h"

#include <assert.h>
#include <string.h>

#include "provider/cpu/kernel/conv/grouped.h"
#include "provider/cpu/kernel/conv/narrow.h"
#include "provider/cpu/kernel/conv/winograd.h"

#define KP_FAMILY conv
#define KP_FAMILY_LIST "provider/cpu/kernel/conv/conv_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"

// Output pixels of one task of a matrix-product algorithm.
enum { kRowsMax = 192 };
// Output channels of one task.
enum { kColsMax = 1024 };
// Below this many multiply-adds a task is not worth handing over.
enum { kTaskWorkMin = 128 * 1024 };
// Most input channels for KP_CONV_WINDOW.
enum { kWindowChannels = 8 };

static size_t min_size(size_t a, size_t b) { return a < b ? a : b; }
static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }
static size_t div_up(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t round_up(size_t a, size_t b) { return div_up(a, b) * b; }

static bool is_winograd(kp_conv_algorithm a) {
  return a == KP_CONV_WINOGRAD2 || a == KP_CONV_WINOGRAD4;
}

static size_t group_in(const kp_conv_shape* s) { return s->in_c / s->groups; }
static size_t group_out(const kp_conv_shape* s) { return s->out_c / s->groups; }
static size_t kernel_taps(const kp_conv_shape* s) { return s->kernel_h * s->kernel_w; }

// Runs of the inner dimension that lie one after the other in memory: see kp_gemm_tile.
static size_t run_count(kp_conv_algorithm algorithm, const kp_conv_shape* s) {
  if (algorithm != KP_CONV_WINDOW) return kernel_taps(s);
  return s->in_layout == KP_CONV_NCHW ? s->in_c * s->kernel_h : s->kernel_h;
}
static size_t run_depth(kp_conv_algorithm algorithm, const kp_conv_shape* s) {
  if (algorithm != KP_CONV_WINDOW) return group_in(s);
  return s->in_layout == KP_CONV_NCHW ? s->kernel_w : s->kernel_w * s->in_c;
}

// Dot products instead of the matrix engine: runs that fill half a vector at least.
static bool is_narrow(const kp_conv_ops* ops, kp_conv_algorithm algorithm, const kp_conv_shape* s) {
  const bool product =
      algorithm == KP_CONV_GEMM || algorithm == KP_CONV_IMPLICIT || algorithm == KP_CONV_WINDOW;
  return product && s->groups == 1 && s->out_c > 0 && s->out_c <= KP_NARROW_OUT_MAX &&
         ops->gemm->lanes > 1 && 2 * run_depth(algorithm, s) >= ops->gemm->lanes;
}

// Estimated nanoseconds of one core at 100 GFLOP/s with weights from memory at 16 GB/s, which overlap only in part: |products|
// multiply-adds, |weights| floats, |transforms| floats that go through a transform (about 12 operations, read and written).
static double estimate(double products, double weights, double transforms) {
  const double compute = products * 2 / 100 + transforms * 0.5, stream = weights * 4 / 16;
  return compute > stream ? compute + stream / 4 : stream + compute / 4;
}

// The cheapest of direct and Winograd convolution for a 3x3 kernel of stride 1. While the picture's size is not known it is
// taken as large.
static kp_conv_algorithm choose_winograd(const kp_conv_shape* s) {
  const double in_c = (double)s->in_c, out_c = (double)s->out_c;
  const size_t batch = s->batch ? s->batch : 1, h = s->out_h ? s->out_h : 56,
               w = s->out_w ? s->out_w : 56;
  const double pixels = (double)(batch * h * w);
  kp_conv_algorithm best = KP_CONV_IMPLICIT;
  double best_time = estimate(pixels * 9 * in_c * out_c, 9 * in_c * out_c, 0);
  for (kp_conv_algorithm a = KP_CONV_WINOGRAD2; a <= KP_CONV_WINOGRAD4; ++a) {
    const size_t side = kp_winograd_side(a);
    const double points = (double)kp_winograd_points(a);
    const double tiles = (double)(batch * div_up(h, side) * div_up(w, side));
    const double time = estimate(tiles * points * in_c * out_c, points * in_c * out_c,
                                 tiles * points * (in_c + out_c));
    // A tenth for the coarser split among threads.
    if (time * 1.1 < best_time) {
      best = a;
      best_time = time * 1.1;
    }
  }
  return best;
}

kp_conv_algorithm kp_conv_choose(const kp_conv_ops* ops, const kp_conv_shape* s) {
  if (s->in_layout == KP_CONV_NCHW) return KP_CONV_WINDOW;
  if (s->groups > 1 && s->groups == s->in_c && s->in_c == s->out_c) return KP_CONV_DEPTHWISE;
  if (s->groups > 1 && group_in(s) && group_out(s) && group_out(s) <= KP_GROUPED_OUT_MAX &&
      kp_grouped_cut_of(ops->gemm->lanes, s).depth <= KP_GROUPED_DEPTH_MAX)
    return KP_CONV_GROUPED;
  const bool unit = s->stride_h == 1 && s->stride_w == 1;
  const bool padded = s->pad_top || s->pad_left || s->out_h > s->in_h || s->out_w > s->in_w;
  if (kernel_taps(s) == 1 && unit && !padded && s->groups == 1) return KP_CONV_GEMM;
  const bool dense = s->in_pixel == s->in_c && s->dilation_w == 1 && s->groups == 1;
  if (dense && s->in_c <= kWindowChannels && s->kernel_w > 1) return KP_CONV_WINDOW;
  const bool three =
      s->kernel_h == 3 && s->kernel_w == 3 && s->dilation_h == 1 && s->dilation_w == 1;
  if (three && unit && s->groups == 1 && s->in_c >= 16 && s->out_c >= 16) return choose_winograd(s);
  return KP_CONV_IMPLICIT;
}

size_t kp_conv_packed_size(const kp_conv_ops* ops, kp_conv_algorithm algorithm,
                           const kp_conv_shape* s) {
  if (algorithm == KP_CONV_DEPTHWISE) return kernel_taps(s) * round_up(s->out_c, ops->gemm->lanes);
  if (algorithm == KP_CONV_GROUPED) {
    const kp_grouped_cut cut = kp_grouped_cut_of(ops->gemm->lanes, s);
    return cut.blocks * kernel_taps(s) * cut.depth * cut.width;
  }
  if (is_winograd(algorithm)) {
    return kp_winograd_points(algorithm) * kp_gemm_packed_b_size(ops->gemm, s->in_c, s->out_c);
  }
  if (is_narrow(ops, algorithm, s)) {
    const size_t lanes = ops->gemm->lanes;
    return run_count(algorithm, s) * kp_narrow_vectors(lanes, run_depth(algorithm, s)) * lanes *
           s->out_c;
  }
  return s->groups * kp_gemm_packed_b_size(ops->gemm, kernel_taps(s) * group_in(s), group_out(s));
}

size_t kp_conv_pack_scratch_size(const kp_conv_ops* ops, kp_conv_algorithm algorithm,
                                 const kp_conv_shape* s) {
  if (algorithm == KP_CONV_DEPTHWISE || algorithm == KP_CONV_GROUPED || is_winograd(algorithm) ||
      is_narrow(ops, algorithm, s))
    return 0;
  if (algorithm == KP_CONV_WINDOW && s->in_layout == KP_CONV_NCHW) return 0;
  if (kernel_taps(s) == 1) return 0;
  return kernel_taps(s) * group_in(s) * min_size(ops->gemm->nr, group_out(s));  // a panel
}

static void pack_depthwise(size_t lanes, const kp_conv_shape* s, const float* weights,
                           float* packed) {
  const size_t stride = round_up(s->out_c, lanes);
  const size_t taps = kernel_taps(s);
  for (size_t t = 0; t < taps; ++t) {
    for (size_t c = 0; c < stride; ++c)
      packed[t * stride + c] = c < s->out_c ? weights[c * taps + t] : 0.0f;
  }
}

static void pack_grouped(size_t lanes, const kp_conv_shape* s, const float* weights,
                         float* packed) {
  const kp_grouped_cut cut = kp_grouped_cut_of(lanes, s);
  const size_t taps = kernel_taps(s), in = group_in(s), out = group_out(s);
  memset(packed, 0, cut.blocks * taps * cut.depth * cut.width * sizeof(*packed));
  for (size_t b = 0; b < cut.blocks; ++b, packed += taps * cut.depth * cut.width) {
    const kp_grouped_block block = kp_grouped_block_at(s, &cut, b);
    for (size_t g = 0, o = 0; o < block.outs; ++g) {
      for (size_t i = 0; i < out && o < block.outs; ++i, ++o) {
        const float* from = weights + (block.first_out + o) * in * taps;
        for (size_t c = 0; c < in; ++c)
          for (size_t t = 0; t < taps; ++t)
            packed[(t * cut.depth + g * in + c) * cut.width + o] = from[c * taps + t];
      }
    }
  }
}

// The weight of output channel |o| at |place| of the inner dimension, which follows the input's layout.
static float weight_at(const kp_conv_shape* s, const float* weights, size_t o, size_t place) {
  const size_t taps = kernel_taps(s), in_c = s->in_c;
  const float* own = weights + o * in_c * taps;
  return s->in_layout == KP_CONV_NCHW ? own[place] : own[place % in_c * taps + place / in_c];
}

static void pack_narrow(size_t lanes, kp_conv_algorithm algorithm, const kp_conv_shape* s,
                        const float* weights, float* packed) {
  const size_t depth = run_depth(algorithm, s), padded = kp_narrow_vectors(lanes, depth) * lanes;
  for (size_t t = 0; t < run_count(algorithm, s); ++t) {
    for (size_t first = 0; first < padded; first += lanes) {
      for (size_t o = 0; o < s->out_c; ++o) {
        for (size_t k = first; k < first + lanes; ++k)
          *packed++ = k < depth ? weight_at(s, weights, o, t * depth + k) : 0.0f;
      }
    }
  }
}

// Output channels [first, first + count) of one group: [count][in_c][taps] to [count][taps][in_c], as the inner dimension follows the
// channels-last input.
static void reorder_taps(size_t count, size_t in_c, size_t taps, const float* weights, float* out) {
  for (size_t o = 0; o < count; ++o, weights += in_c * taps, out += in_c * taps) {
    for (size_t t = 0; t < taps; ++t) {
      for (size_t c = 0; c < in_c; ++c) out[t * in_c + c] = weights[c * taps + t];
    }
  }
}

void kp_conv_pack(const kp_conv_ops* ops, kp_conv_algorithm algorithm, const kp_conv_shape* s,
                  const float* weights, float* packed, float* scratch) {
  if (algorithm == KP_CONV_DEPTHWISE) {
    pack_depthwise(ops->gemm->lanes, s, weights, packed);
    return;
  }
  if (algorithm == KP_CONV_GROUPED) {
    pack_grouped(ops->gemm->lanes, s, weights, packed);
    return;
  }
  if (is_winograd(algorithm)) {
    ops->winograd_pack(algorithm, s->in_c, s->out_c, weights, packed);
    return;
  }
  if (is_narrow(ops, algorithm, s)) {
    pack_narrow(ops->gemm->lanes, algorithm, s, weights, packed);
    return;
  }
  const kp_gemm_ops* gemm = ops->gemm;
  const size_t taps = kernel_taps(s), in_c = group_in(s), out_c = group_out(s), depth = taps * in_c;
  const size_t packed_size = kp_gemm_packed_b_size(gemm, depth, out_c);
  const bool reorder = kp_conv_pack_scratch_size(ops, algorithm, s) != 0;
  for (size_t g = 0; g < s->groups; ++g, weights += out_c * depth, packed += packed_size) {
    if (!reorder) {
      kp_gemm_pack_b(gemm, depth, 0, out_c, weights, depth, true, packed);
      continue;
    }
    for (size_t first = 0; first < out_c; first += gemm->nr) {
      const size_t count = min_size(gemm->nr, out_c - first);
      reorder_taps(count, in_c, taps, weights + first * depth, scratch);
      kp_gemm_pack_b(gemm, depth, 0, count, scratch, depth, true, packed + first * depth);
    }
  }
}

static size_t smaller_part(size_t total, size_t part, size_t tasks, size_t unit) {
  const size_t next = min_size(round_up(div_up(total, tasks + 1), unit), total);
  return next < part ? next : round_up(part, unit) - unit;
}

static void split_for_workers(kp_conv_plan* plan, size_t rows, size_t cols, size_t work_per_element,
                              size_t wanted) {
  const size_t mr = plan->ops->gemm->mr, nr = plan->ops->gemm->nr;
  const size_t groups = plan->shape.groups;
  wanted = min_size(wanted, rows * cols * groups * work_per_element / kTaskWorkMin);
  while (plan->row_tasks * plan->col_tasks * groups < wanted) {
    const size_t high = div_up(plan->task_rows, mr), wide = div_up(plan->task_cols, nr);
    if (high >= wide && high > 1) {
      plan->task_rows = smaller_part(rows, plan->task_rows, plan->row_tasks, mr);
      plan->row_tasks = div_up(rows, plan->task_rows);
    } else if (wide > 1) {
      plan->task_cols = smaller_part(cols, plan->task_cols, plan->col_tasks, nr);
      plan->col_tasks = div_up(cols, plan->task_cols);
    } else {
      break;
    }
  }
}

static void plan_depthwise(kp_conv_plan* plan, size_t workers) {
  const kp_conv_shape* s = &plan->shape;
  const size_t rows = s->batch * s->out_h;
  const size_t work = rows * s->out_w * s->out_c * kernel_taps(s);
  const size_t wanted = max_size(1, min_size(min_size(rows, 4 * workers), work / kTaskWorkMin));
  plan->task_rows = workers > 1 ? div_up(rows, wanted) : rows;
  plan->row_tasks = div_up(rows, plan->task_rows);
  plan->task_cols = s->out_c;
  plan->col_tasks = 1;
  plan->task_count = plan->row_tasks;
}

// Rows are cut, or where there are few pixels the blocks of channels, whose weights then are the larger part.
static void plan_grouped(kp_conv_plan* plan, size_t workers) {
  enum { kFewPixels = 256 };
  const kp_conv_shape* s = &plan->shape;
  const kp_grouped_cut cut = kp_grouped_cut_of(plan->ops->gemm->lanes, s);
  const size_t rows = s->batch * s->out_h, pixels = rows * s->out_w;
  const size_t work = pixels * s->out_c * group_in(s) * kernel_taps(s);
  const size_t parts = pixels < kFewPixels ? cut.blocks : rows;
  const size_t most = workers > 1 ? min_size(parts, 4 * workers) : 1;
  const size_t wanted = max_size(1, min_size(most, work / kTaskWorkMin));
  plan->task_rows = pixels < kFewPixels ? rows : div_up(rows, wanted);
  plan->row_tasks = div_up(rows, plan->task_rows);
  plan->task_cols = max_size(1, pixels < kFewPixels ? div_up(cut.blocks, wanted) : cut.blocks);
  plan->col_tasks = div_up(cut.blocks, plan->task_cols);
  plan->task_count = plan->row_tasks * plan->col_tasks;
  plan->scratch_bytes = kp_grouped_window_of(s, &cut).floats * sizeof(float);
}

static void run_grouped(const kp_conv_plan* plan, const kp_conv_args* args, size_t index,
                        void* scratch) {
  const kp_conv_shape* s = &plan->shape;
  const size_t blocks = kp_grouped_cut_of(plan->ops->gemm->lanes, s).blocks;
  const size_t row = index / plan->col_tasks * plan->task_rows,
               block = index % plan->col_tasks * plan->task_cols;
  plan->ops->grouped(s, args, row, min_size(plan->task_rows, s->batch * s->out_h - row), block,
                     min_size(plan->task_cols, blocks - block), scratch);
}

// Floats of scratch for |tiles| tiles: a row of zeros, the transformed input, products of KP_WINOGRAD_COLS channels.
static size_t winograd_scratch(kp_conv_algorithm algorithm, const kp_conv_shape* s, size_t tiles) {
  return round_up(s->in_c, 16) +
         kp_winograd_points(algorithm) * (kp_winograd_point_stride(tiles, s->in_c) +
                                          kp_winograd_point_stride(tiles, KP_WINOGRAD_COLS));
}

// Tiles of one task: enough of them that the weights of a point serve several micro-tiles, few enough that the transformed
// input stays in a second-level cache of 512 KB or not far from it.
static void plan_winograd(kp_conv_plan* plan, size_t workers) {
  enum { kTilesMin = 24, kTilesMax = 96, kFloats = 96 * 1024 };
  const kp_conv_shape* s = &plan->shape;
  const size_t side = kp_winograd_side(plan->algorithm), mr = plan->ops->gemm->mr;
  plan->tiles_h = div_up(s->out_h, side);
  plan->tiles_w = div_up(s->out_w, side);
  const size_t tiles = s->batch * plan->tiles_h * plan->tiles_w;
  const size_t fitting =
      kFloats / (kp_winograd_points(plan->algorithm) * (s->in_c + KP_WINOGRAD_COLS));
  const size_t most = min_size(max_size(fitting, kTilesMin), kTilesMax);
  plan->task_rows = min_size(round_up(div_up(tiles, div_up(tiles, most)), mr), tiles);
  plan->task_cols = s->out_c;
  plan->row_tasks = div_up(tiles, plan->task_rows);
  plan->col_tasks = 1;
  // Too few blocks of tiles to balance: channels are split, and each part transforms the input again.
  if (workers > 1 && plan->row_tasks < 3 * workers) {
    const size_t wanted = div_up(2 * workers, plan->row_tasks);
    plan->task_cols = min_size(round_up(div_up(s->out_c, wanted), KP_WINOGRAD_COLS), s->out_c);
    plan->col_tasks = div_up(s->out_c, plan->task_cols);
  }
  plan->task_count = plan->row_tasks * plan->col_tasks;
  plan->scratch_bytes = winograd_scratch(plan->algorithm, s, plan->task_rows) * sizeof(float);
}

// Floats of scratch for a row of zeros, as long as the longest run.
static size_t zero_floats(const kp_conv_plan* plan) {
  return round_up(run_depth(plan->algorithm, &plan->shape), 16);
}

static bool copies_rows(const kp_conv_plan* plan) {
  return plan->task_cols >= 8 * plan->ops->gemm->nr && !plan->skips_padding;
}

// Pairs of an output position and a tap, along one axis, that read inside the picture.
static size_t pairs_inside(size_t in, size_t out, size_t kernel, size_t stride, size_t dilation,
                           size_t pad) {
  size_t count = 0;
  for (size_t t = 0; t < kernel; ++t) {
    const size_t at = t * dilation;
    const size_t first = at < pad ? div_up(pad - at, stride) : 0;
    const size_t end = at < in + pad ? min_size(div_up(in + pad - at, stride), out) : 0;
    count += end > first ? end - first : 0;
  }
  return count;
}

// Wide dilations on small pictures: most taps see padding only.
static bool is_mostly_padding(const kp_conv_shape* s) {
  const size_t rows =
      pairs_inside(s->in_h, s->out_h, s->kernel_h, s->stride_h, s->dilation_h, s->pad_top);
  const size_t columns =
      pairs_inside(s->in_w, s->out_w, s->kernel_w, s->stride_w, s->dilation_w, s->pad_left);
  return (double)rows * (double)columns <
         0.8 * (double)(s->out_h * s->kernel_h) * (double)(s->out_w * s->kernel_w);
}

void kp_conv_plan_init(const kp_conv_ops* ops, kp_conv_algorithm algorithm, const kp_conv_shape* s,
                       size_t workers, kp_conv_plan* out_plan) {
  kp_conv_plan plan = {.ops = ops, .algorithm = algorithm, .shape = *s};
  // A choice made before sizes were known: padding on the far side only shows now. The packing is the same.
  if (algorithm == KP_CONV_GEMM && (s->out_h != s->in_h || s->out_w != s->in_w)) {
    plan.algorithm = algorithm = KP_CONV_IMPLICIT;
  }
  const size_t rows = s->batch * s->out_h * s->out_w, cols = group_out(s);
  if (rows == 0 || cols == 0) {
    *out_plan = plan;
    return;
  }
  if (algorithm == KP_CONV_DEPTHWISE || algorithm == KP_CONV_GROUPED || is_winograd(algorithm)) {
    (algorithm == KP_CONV_DEPTHWISE ? plan_depthwise
     : algorithm == KP_CONV_GROUPED ? plan_grouped
                                    : plan_winograd)(&plan, workers);
    *out_plan = plan;
    return;
  }
  plan.skips_padding = algorithm == KP_CONV_IMPLICIT && is_mostly_padding(s);
  const size_t mr = ops->gemm->mr, nr = ops->gemm->nr;
  plan.task_rows = min_size(round_up(div_up(rows, div_up(rows, kRowsMax)), mr), rows);
  plan.row_tasks = div_up(rows, plan.task_rows);
  plan.task_cols = min_size(round_up(div_up(cols, div_up(cols, kColsMax)), nr), cols);
  plan.col_tasks = div_up(cols, plan.task_cols);
  if (workers > 1) split_for_workers(&plan, rows, cols, kernel_taps(s) * group_in(s), 4 * workers);
  plan.task_count = s->groups * plan.row_tasks * plan.col_tasks;
  const size_t depth = run_count(algorithm, s) * run_depth(algorithm, s);
  size_t floats = copies_rows(&plan) ? plan.task_rows * min_size(depth, ops->gemm->depth_max) : 0;
  if (algorithm != KP_CONV_GEMM) {
    floats += zero_floats(&plan);
    floats += plan.task_rows * run_count(algorithm, s) * (sizeof(void*) / sizeof(float));
  }
  if (algorithm == KP_CONV_WINDOW) floats += plan.task_rows * depth;
  plan.scratch_bytes = floats * sizeof(float);
  *out_plan = plan;
}

// The output pixel |index| of batch * out_h * out_w.
typedef struct pixel_place {
  size_t picture, y, x;
} pixel_place;

static pixel_place place_of(const kp_conv_shape* s, size_t index) {
  pixel_place p = {.x = index % s->out_w};
  index /= s->out_w;
  p.y = index % s->out_h;
  p.picture = index / s->out_h;
  return p;
}
static void next_place(const kp_conv_shape* s, pixel_place* p) {
  if (++p->x < s->out_w) return;
  p->x = 0;
  if (++p->y < s->out_h) return;
  p->y = 0;
  ++p->picture;
}

// table[tap * rows + r]: the |in_c / groups| floats under tap |tap| of output pixel first + r, or zeros.
static void fill_taps(const kp_conv_shape* s, const float* input, size_t first, size_t rows,
                      const float* zeros, const float** table) {
  pixel_place p = place_of(s, first);
  for (size_t r = 0; r < rows; ++r, next_place(s, &p)) {
    const float* picture = input + p.picture * s->in_h * s->in_w * s->in_pixel;
    const ptrdiff_t left = (ptrdiff_t)(p.x * s->stride_w) - (ptrdiff_t)s->pad_left;
    ptrdiff_t y = (ptrdiff_t)(p.y * s->stride_h) - (ptrdiff_t)s->pad_top;
    const float** out = table + r;
    for (size_t kh = 0; kh < s->kernel_h; ++kh, y += (ptrdiff_t)s->dilation_h) {
      const bool inside_y = y >= 0 && y < (ptrdiff_t)s->in_h;
      const float* line = inside_y ? picture + (size_t)y * s->in_w * s->in_pixel : zeros;
      ptrdiff_t x = left;
      for (size_t kw = 0; kw < s->kernel_w; ++kw, x += (ptrdiff_t)s->dilation_w, out += rows) {
        const bool inside = inside_y && x >= 0 && x < (ptrdiff_t)s->in_w;
        *out = inside ? line + (size_t)x * s->in_pixel : zeros;
      }
    }
  }
}

// A window that sticks out on the left or right: |run| receives its row |line| with zeros outside. |unit| floats a pixel.
static void copy_edge(const float* line, ptrdiff_t x, size_t in_w, size_t kernel_w, size_t unit,
                      float* run) {
  for (size_t kw = 0; kw < kernel_w; ++kw, ++x) {
    const bool inside = x >= 0 && x < (ptrdiff_t)in_w;
    for (size_t i = 0; i < unit; ++i)
      run[kw * unit + i] = inside ? line[x * (ptrdiff_t)unit + (ptrdiff_t)i] : 0.0f;
  }
}

// The same for KP_CONV_WINDOW: runs are whole rows of the window. Those that stick out sideways are copied to |edges|.
static void fill_windows(const kp_conv_plan* plan, const float* input, size_t first, size_t rows,
                         const float* zeros, const float** table, float* edges) {
  const kp_conv_shape* s = &plan->shape;
  const bool planar = s->in_layout == KP_CONV_NCHW;
  const size_t planes = planar ? s->in_c : 1, unit = planar ? 1 : s->in_c;
  const size_t depth = run_depth(plan->algorithm, &plan->shape), plane = s->in_h * s->in_w * unit;
  pixel_place p = place_of(s, first);
  for (size_t r = 0; r < rows; ++r, next_place(s, &p)) {
    const float* picture = input + p.picture * planes * plane;
    const ptrdiff_t left = (ptrdiff_t)(p.x * s->stride_w) - (ptrdiff_t)s->pad_left;
    const ptrdiff_t top = (ptrdiff_t)(p.y * s->stride_h) - (ptrdiff_t)s->pad_top;
    const bool whole = left >= 0 && left + (ptrdiff_t)s->kernel_w <= (ptrdiff_t)s->in_w;
    const float** out = table + r;
    for (size_t c = 0; c < planes; ++c) {
      for (size_t kh = 0; kh < s->kernel_h; ++kh, out += rows) {
        const ptrdiff_t y = top + (ptrdiff_t)(kh * s->dilation_h);
        *out = zeros;
        if (y < 0 || y >= (ptrdiff_t)s->in_h) continue;
        const float* line = picture + c * plane + (size_t)y * s->in_w * unit;
        if (whole) {
          *out = line + (size_t)left * unit;
        } else {
          copy_edge(line, left, s->in_w, s->kernel_w, unit, edges);
          *out = edges;
          edges += depth;
        }
      }
    }
  }
}

// A's side of the tile: rows by stride for 1x1, by a table in scratch else. Returns the scratch left.
static float* set_rows(const kp_conv_plan* plan, const kp_conv_args* args, size_t group,
                       size_t first, kp_gemm_tile* tile, float* scratch) {
  const kp_conv_shape* s = &plan->shape;
  tile->taps = run_count(plan->algorithm, &plan->shape);
  tile->depth = run_depth(plan->algorithm, &plan->shape);
  if (plan->algorithm == KP_CONV_GEMM) {
    tile->a = args->input + first * s->in_pixel;
    tile->a_stride = s->in_pixel;
    return scratch;
  }
  float* zeros = scratch;
  scratch += zero_floats(plan);
  memset(zeros, 0, zero_floats(plan) * sizeof(float));
  const float** table = (const float**)(void*)scratch;
  scratch += tile->taps * tile->rows * (sizeof(void*) / sizeof(float));
  if (plan->algorithm == KP_CONV_WINDOW) {
    fill_windows(plan, args->input, first, tile->rows, zeros, table, scratch);
    scratch += tile->rows * tile->taps * tile->depth;
  } else {
    fill_taps(s, args->input + group * group_in(s), first, tile->rows, zeros, table);
  }
  tile->a_rows = table;
  tile->a_tap_stride = tile->rows;
  tile->zeros = plan->skips_padding ? zeros : NULL;
  return scratch;
}

void kp_conv_run_task(const kp_conv_plan* plan, const kp_conv_args* args, size_t index,
                      void* scratch) {
  assert(index < plan->task_count);
  const kp_conv_shape* s = &plan->shape;
  if (plan->algorithm == KP_CONV_GROUPED) {
    run_grouped(plan, args, index, scratch);
    return;
  }
  const size_t row_task = index / plan->col_tasks % plan->row_tasks;
  const size_t first = row_task * plan->task_rows;
  if (plan->algorithm == KP_CONV_DEPTHWISE) {
    plan->ops->depthwise(s, first, min_size(plan->task_rows, s->batch * s->out_h - first), args);
    return;
  }
  if (is_winograd(plan->algorithm)) {
    const size_t tiles =
        min_size(plan->task_rows, s->batch * plan->tiles_h * plan->tiles_w - first);
    const size_t first_col = index % plan->col_tasks * plan->task_cols;
    const size_t cols = min_size(plan->task_cols, s->out_c - first_col);
    plan->ops->winograd(plan, args, first, tiles, first_col, cols, scratch);
    return;
  }
  const kp_gemm_ops* gemm = plan->ops->gemm;
  const size_t group = index / plan->col_tasks / plan->row_tasks;
  const size_t col = index % plan->col_tasks * plan->task_cols;
  const size_t channel = group * group_out(s) + col;
  kp_gemm_tile tile = {.epilogue = args->epilogue};
  tile.rows = min_size(plan->task_rows, s->batch * s->out_h * s->out_w - first);
  tile.cols = min_size(plan->task_cols, group_out(s) - col);
  float* rest = set_rows(plan, args, group, first, &tile, scratch);
  if (copies_rows(plan)) tile.a_copy = rest;
  const size_t depth = tile.taps * tile.depth;
  tile.b = args->packed + group * kp_gemm_packed_b_size(gemm, depth, group_out(s)) + col * depth;
  tile.b_row_stride = gemm->nr;
  tile.b_panel_stride = depth * gemm->nr;
  tile.c = args->output + first * s->out_pixel + channel;
  tile.c_stride = s->out_pixel;
  if (tile.epilogue.bias_n) tile.epilogue.bias_n += channel;
  if (tile.epilogue.residual)
    tile.epilogue.residual += first * tile.epilogue.residual_stride + channel;
  (is_narrow(plan->ops, plan->algorithm, s) ? plan->ops->narrow : gemm->multiply)(&tile);
}
