// The variants of the f32 matrix product, and how a product is cut into tasks. gemm.h has the contract.
#include "provider/cpu/kernel/gemm/gemm.h"

#include <assert.h>
#include <stdint.h>

#define KP_FAMILY gemm
#define KP_FAMILY_LIST "provider/cpu/kernel/gemm/gemm_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"

// Rows of one task: a block of A of this many rows stays in a second-level cache of 512 KB or more.
enum { kRowsMax = 192 };
// Columns of one task when there are more rows than one task has.
enum { kColsMax = 1024 };
// Below this many multiply-adds a task is not worth handing over (about 2 microseconds of one core).
enum { kTaskWorkMin = 128 * 1024 };
// A B known at run time only is packed when more rows than this pass over it.
enum { kPackRows = 12 };
// Floats of B that a task packs for itself: 1 MB.
enum { kPackFloatsMax = 256 * 1024 };

static size_t min_size(size_t a, size_t b) { return a < b ? a : b; }
static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }
static size_t div_up(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t round_up(size_t a, size_t b) { return div_up(a, b) * b; }

// |total| cut into |parts| nearly equal parts that are multiples of |unit|; returns the size of the first.
static size_t part_size(size_t total, size_t parts, size_t unit) {
  return min_size(round_up(div_up(total, parts), unit), total);
}

size_t kp_gemm_packed_b_size(const kp_gemm_ops* ops, size_t k, size_t n) {
  return k * round_up(n, ops->nr);
}

void kp_gemm_pack_b(const kp_gemm_ops* ops, size_t k, size_t first, size_t cols, const float* b,
                    size_t b_stride, bool transposed, float* packed) {
  assert(first % ops->nr == 0);
  const float* source = transposed ? b + first * b_stride : b + first;
  ops->pack_b(k, cols, source, b_stride, transposed, packed + first * k);
}

// Whether a task packs its columns of B itself. A plain B under few rows is read in place, except for a last panel that
// is not full.
static bool packs_b(const kp_gemm_shape* s) {
  return s->b == KP_GEMM_B_TRANSPOSED || (s->b == KP_GEMM_B_PLAIN && s->m > kPackRows);
}

// The next smaller size of a task, in units of |unit|, that cuts |total| into more than |tasks| tasks.
static size_t smaller_part(size_t total, size_t part, size_t tasks, size_t unit) {
  const size_t next = part_size(total, tasks + 1, unit);
  return next < part ? next : round_up(part, unit) - unit;
}

// Cuts rows and columns further until there are enough tasks for |workers|, the longer side (in micro-tiles) first.
static void split_for_workers(const kp_gemm_shape* s, size_t workers, kp_gemm_plan* plan) {
  const size_t mr = plan->ops->mr, nr = plan->ops->nr;
  const size_t work = s->m * s->n * max_size(s->k, 1);
  const size_t wanted = min_size(div_up(4 * workers, s->batch), work / kTaskWorkMin);
  while (plan->row_tasks * plan->col_tasks < wanted) {
    const size_t high = div_up(plan->task_rows, mr), wide = div_up(plan->task_cols, nr);
    if (high > wide && !packs_b(s)) {
      plan->task_rows = smaller_part(s->m, plan->task_rows, plan->row_tasks, mr);
      plan->row_tasks = div_up(s->m, plan->task_rows);
    } else if (wide > 1) {
      plan->task_cols = smaller_part(s->n, plan->task_cols, plan->col_tasks, nr);
      plan->col_tasks = div_up(s->n, plan->task_cols);
    } else {
      break;
    }
  }
}

void kp_gemm_plan_init(const kp_gemm_ops* ops, const kp_gemm_shape* shape, size_t workers,
                       kp_gemm_plan* out_plan) {
  kp_gemm_plan plan = {.ops = ops, .shape = *shape};
  const size_t m = shape->m, n = shape->n, k = shape->k;
  if (m == 0 || n == 0 || shape->batch == 0) {
    *out_plan = plan;
    return;
  }
  const bool packs = packs_b(shape);
  size_t cols_max = m > kRowsMax ? kColsMax : n;
  if (packs)
    cols_max =
        max_size(ops->nr, min_size(cols_max, kPackFloatsMax / max_size(k, 1) / ops->nr * ops->nr));
  plan.row_tasks = packs ? 1 : div_up(m, kRowsMax);
  plan.task_rows = part_size(m, plan.row_tasks, ops->mr);
  plan.row_tasks = div_up(m, plan.task_rows);
  plan.task_cols = part_size(n, div_up(n, cols_max), ops->nr);
  plan.col_tasks = div_up(n, plan.task_cols);
  if (workers > 1) split_for_workers(shape, workers, &plan);
  plan.task_count = shape->batch * plan.row_tasks * plan.col_tasks;
  // Copying pays when many panels pass over the rows.
  plan.copy_a = m > kPackRows && plan.task_cols >= 8 * ops->nr;
  size_t floats = plan.copy_a ? min_size(plan.task_rows, kRowsMax) * ops->depth_max : 0;
  if (packs)
    floats += k * round_up(plan.task_cols, ops->nr);
  else if (shape->b == KP_GEMM_B_PLAIN && n % ops->nr != 0)
    floats += k * ops->nr;
  plan.scratch_bytes = floats * sizeof(float);
  *out_plan = plan;
}

// The rectangle of C that a task computes.
typedef struct task_range {
  size_t product, row, rows, col, cols;
} task_range;

static task_range find_task(const kp_gemm_plan* plan, size_t index) {
  const size_t per_product = plan->row_tasks * plan->col_tasks;
  const size_t within = index % per_product;
  task_range r = {.product = index / per_product};
  r.row = within / plan->col_tasks * plan->task_rows;
  r.col = within % plan->col_tasks * plan->task_cols;
  r.rows = min_size(plan->task_rows, plan->shape.m - r.row);
  r.cols = min_size(plan->task_cols, plan->shape.n - r.col);
  return r;
}

static size_t offset_of(const size_t* offsets, size_t stride, size_t product) {
  return offsets ? offsets[product] : stride * product;
}

// A and C and the epilogue of the task's rectangle; B is left to the caller.
static kp_gemm_tile make_tile(const kp_gemm_plan* plan, const kp_gemm_args* args,
                              const task_range* r) {
  kp_gemm_tile tile = {.rows = r->rows, .cols = r->cols, .taps = 1, .depth = plan->shape.k};
  tile.a = args->a + offset_of(args->a_offsets, args->a_batch_stride, r->product) +
           r->row * args->a_stride;
  tile.a_stride = args->a_stride;
  tile.c = args->c + args->c_batch_stride * r->product + r->row * args->c_stride + r->col;
  tile.c_stride = args->c_stride;
  tile.epilogue = args->epilogue;
  kp_epilogue* e = &tile.epilogue;
  if (e->bias_n) e->bias_n += r->col;
  if (e->bias_m) e->bias_m += r->row;
  if (e->residual) {
    e->residual += offset_of(args->residual_offsets, args->residual_batch_stride, r->product);
    e->residual += r->row * e->residual_stride + r->col;
  }
  return tile;
}

// Multiplies the tile by columns [first, first + cols) of itself; the panels of B begin at |b|.
static void multiply_columns(const kp_gemm_ops* ops, const kp_gemm_tile* tile, size_t first,
                             size_t cols, const float* b, size_t b_row_stride,
                             size_t b_panel_stride) {
  kp_gemm_tile part = *tile;
  part.cols = cols;
  part.c += first;
  if (part.epilogue.bias_n) part.epilogue.bias_n += first;
  if (part.epilogue.residual) part.epilogue.residual += first;
  part.b = b;
  part.b_row_stride = b_row_stride;
  part.b_panel_stride = b_panel_stride;
  ops->multiply(&part);
}

// A block of rows over all columns of the task.
static void multiply_rows(const kp_gemm_plan* plan, const kp_gemm_tile* tile, const float* b,
                          bool packed, size_t b_stride, float* tail) {
  const kp_gemm_ops* ops = plan->ops;
  const size_t k = plan->shape.k;
  if (packed) {
    multiply_columns(ops, tile, 0, tile->cols, b, ops->nr, k * ops->nr);
    return;
  }
  const size_t whole = tile->cols / ops->nr * ops->nr;
  if (whole) multiply_columns(ops, tile, 0, whole, b, b_stride, ops->nr);
  if (whole == tile->cols) return;
  // The last panel would be read past the row's end: it is packed.
  ops->pack_b(k, tile->cols - whole, b + whole, b_stride, false, tail);
  multiply_columns(ops, tile, whole, tile->cols - whole, tail, ops->nr, 0);
}

void kp_gemm_run_task(const kp_gemm_plan* plan, const kp_gemm_args* args, size_t index,
                      void* scratch) {
  assert(index < plan->task_count);
  const kp_gemm_ops* ops = plan->ops;
  const size_t k = plan->shape.k;
  const task_range r = find_task(plan, index);
  kp_gemm_tile tile = make_tile(plan, args, &r);
  float* free_floats = scratch;
  if (plan->copy_a) {
    tile.a_copy = free_floats;
    free_floats += min_size(plan->task_rows, kRowsMax) * ops->depth_max;
  }
  const float* b = args->b + offset_of(args->b_offsets, args->b_batch_stride, r.product);
  bool packed = plan->shape.b == KP_GEMM_B_PACKED;
  if (packed) {
    b += r.col * k;
  } else {
    const bool transposed = plan->shape.b == KP_GEMM_B_TRANSPOSED;
    b += transposed ? r.col * args->b_stride : r.col;
    if (packs_b(&plan->shape)) {
      ops->pack_b(k, r.cols, b, args->b_stride, transposed, free_floats);
      b = free_floats;
      packed = true;
    }
  }
  // Tasks are higher than a block of rows only when each packs its own B.
  const kp_gemm_tile whole = tile;
  for (size_t row = 0; row < r.rows; row += kRowsMax) {
    tile.rows = min_size(kRowsMax, r.rows - row);
    tile.a = whole.a + row * whole.a_stride;
    tile.c = whole.c + row * whole.c_stride;
    if (whole.epilogue.bias_m) tile.epilogue.bias_m = whole.epilogue.bias_m + row;
    if (whole.epilogue.residual)
      tile.epilogue.residual = whole.epilogue.residual + row * whole.epilogue.residual_stride;
    multiply_rows(plan, &tile, b, packed, args->b_stride, free_floats);
  }
}
