// The 8-bit matrix product above its variants: zero points, panels, tasks. qgemm.h has the contract.
//
// With A' and B' what a variant multiplies (A' = A - a_zero and B' = B for wide ones; for raw ones bytes with their sign bit turned
// over where need be) and their zero points za and zb:
//   sum (A' - za)(B' - zb) = sum A'B' - za * sum B' - zb * (sum A' - k * za)
// The first correction is the sums of columns that packed B carries, the second the sums of rows.
#include "provider/cpu/kernel/qgemm/qgemm.h"

#include <assert.h>
#include <string.h>

#include "base/size.h"

#define KP_FAMILY qgemm
#define KP_FAMILY_LIST "provider/cpu/kernel/qgemm/qgemm_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"

// Packed rows of A that stay in a second-level cache of 512 KB beside B.
enum { kABytesMax = 192 * 1024 };
enum { kRowsMax = 192 };
// Below this many multiply-adds a task is not worth handing over.
enum { kTaskWorkMin = 256 * 1024 };
// Bytes of B that a task packs for itself.
enum { kPackBytesMax = 1024 * 1024 };
enum { kMaxPanel = 64 };  // nr of any variant

static size_t min_size(size_t a, size_t b) { return a < b ? a : b; }
static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }
static size_t div_up(size_t a, size_t b) { return a / b + (a % b != 0); }
static size_t round_up(size_t a, size_t b) { return div_up(a, b) * b; }

#if KP_VARIANTS_X86
// How likely it is that a group of the narrow variant has to leave something to the next one, were B's numbers drawn at random: eight
// columns of two pairs, each too large if its numbers have one sign and exceed 128 together.
static double chance_of_rest(size_t count, const uint8_t* bytes, uint8_t flip) {
  size_t seen[256] = {0}, beyond[2][130] = {{0}};  // [sign][n]: numbers of at least n
  for (size_t i = 0; i < count; ++i) ++seen[bytes[i] ^ flip];
  for (size_t n = 129; n-- > 0;) {
    beyond[0][n] = beyond[0][n + 1] + (n && n < 128 ? seen[n] : 0);
    beyond[1][n] = beyond[1][n + 1] + (n ? seen[256 - n] : 0);
  }
  double pairs = 0;
  for (size_t n = 1; n <= 128; ++n) {
    const size_t rest = 129 - n;
    pairs += (double)(n < 128 ? seen[n] : 0) * (double)beyond[0][rest] +
             (double)seen[256 - n] * (double)beyond[1][rest];
  }
  return count ? 16 * pairs / ((double)count * (double)count) : 0;
}
#endif

const kp_qgemm_ops* kp_qgemm_select_for(uint64_t features, size_t count, const void* b,
                                        bool is_signed) {
  const kp_qgemm_ops* ops = kp_qgemm_select(features);
#if KP_VARIANTS_X86
  // The narrow variant is a fifth faster, and each rest costs it a quarter of a group.
  if (ops == &kp_qgemm_avx2 && chance_of_rest(count, b, is_signed ? 0 : 0x80) < 0.6)
    return &kp_qgemm_avx2_narrow;
#else
  (void)count, (void)b, (void)is_signed;
#endif
  return ops;
}

int32_t kp_qgemm_zero_at(const kp_qgemm_zero* zero, bool is_signed, size_t index) {
  if (!zero->data) return 0;
  const size_t i = zero->many ? index : 0;
  return is_signed ? ((const int8_t*)zero->data)[i] : ((const uint8_t*)zero->data)[i];
}

// Rows of a block where |m| are cut into as few as hold at most |most| each, all of them nearly the same.
static size_t even_rows(size_t m, size_t most, size_t mr) {
  return min_size(round_up(div_up(m, div_up(m, most)), mr), min_size(most, m));
}

// ---- sizes and packing ------------------------------------------------------------------------------------------------------
size_t kp_qgemm_panel_size(const kp_qgemm_ops* ops, size_t k) {
  if (ops->panel_bytes) return round_up(ops->panel_bytes(k), 64);
  return round_up(ops->nr * (sizeof(int32_t) + round_up(k, ops->group)), 64);
}

size_t kp_qgemm_packed_b_size(const kp_qgemm_ops* ops, size_t k, size_t n) {
  size_t depth, bytes;
  if (!kp_add_size(k, ops->group + sizeof(int32_t) + 64, &depth) ||
      !kp_mul_size(depth, 2 * ops->nr, &bytes) || !kp_mul_size(bytes, div_up(n, ops->nr), &bytes))
    return SIZE_MAX;
  return kp_qgemm_panel_size(ops, k) * div_up(n, ops->nr);
}

void kp_qgemm_pack_b(const kp_qgemm_ops* ops, size_t k, size_t n, const void* b, size_t b_stride,
                     bool transposed, bool is_signed, void* packed) {
  const size_t panel = kp_qgemm_panel_size(ops, k);
  for (size_t j = 0; j < n; j += ops->nr) {
    const char* from = (const char*)b + (transposed ? j * b_stride : j);
    ops->pack_b(k, min_size(ops->nr, n - j), from, b_stride, transposed, is_signed,
                (char*)packed + j / ops->nr * panel);
  }
}

// The bytes beyond the row keep rows of a power of two from sharing their sets of the cache.
size_t kp_qgemm_a_stride(const kp_qgemm_ops* ops, size_t k) {
  return round_up(round_up(k, ops->group) * ops->a_bytes, 32) + 32;
}

// What a variant's own form of the numbers adds to a zero point.
static int32_t shift_a(const kp_qgemm_ops* ops, bool is_signed) {
  if (!ops->raw || ops->raw_a_signed == is_signed) return 0;
  return is_signed ? 128 : -128;
}
static int32_t shift_b(const kp_qgemm_ops* ops, bool is_signed) {
  return ops->raw && !is_signed ? -128 : 0;
}

bool kp_qgemm_wants_sums(const kp_qgemm_ops* ops, const kp_qgemm_zero* b_zero, size_t cols,
                         bool b_signed) {
  const size_t count = b_zero->many ? cols : min_size(cols, 1);
  const int32_t shift = shift_b(ops, b_signed);
  for (size_t j = 0; j < count; ++j)
    if (kp_qgemm_zero_at(b_zero, b_signed, j) + shift != 0) return true;
  return false;
}

int32_t kp_qgemm_finish_row(const kp_qgemm_ops* ops, size_t k, bool a_signed, int32_t a_zero,
                            bool wants_sum, void* packed) {
  const size_t padded = round_up(k, ops->group);
  if (padded > k) memset((char*)packed + k * ops->a_bytes, 0, (padded - k) * ops->a_bytes);
  if (!wants_sum) return 0;
  const int64_t za = ops->raw ? a_zero + shift_a(ops, a_signed) : 0;
  return (int32_t)(uint32_t)((int64_t)ops->sum_a(k, packed) - (int64_t)k * za);
}

// ---- blocks -----------------------------------------------------------------------------------------------------------------
size_t kp_qgemm_block_scratch(const kp_qgemm_ops* ops, size_t rows) {
  return ops->wide_bytes + round_up(rows * ops->nr, 16) * sizeof(int32_t) * 2;
}

// One panel's arrays over columns.
typedef struct panel_arrays {
  int32_t add[kMaxPanel], sums_by[kMaxPanel], zeros_by[kMaxPanel];
  float scale[kMaxPanel], bias_f[kMaxPanel];
} panel_arrays;

static int32_t wrap_mul(int32_t a, int32_t b) { return (int32_t)((uint32_t)a * (uint32_t)b); }
static int32_t wrap_sub(int32_t a, int32_t b) { return (int32_t)((uint32_t)a - (uint32_t)b); }

static void fill_arrays(const kp_qgemm_ops* ops, const kp_qgemm_block* b, size_t col, size_t cols,
                        const int32_t* col_sums, panel_arrays* arrays) {
  memset(arrays, 0, sizeof(*arrays));
  const kp_qgemm_epilogue* e = &b->epilogue;
  const int32_t za = ops->raw && !b->a_zero.many
                         ? kp_qgemm_zero_at(&b->a_zero, b->a_signed, 0) + shift_a(ops, b->a_signed)
                         : 0;
  const int32_t shift = shift_b(ops, b->b_signed);
  for (size_t j = 0; j < cols; ++j) {
    arrays->add[j] = wrap_sub(e->bias ? e->bias[col + j] : 0, wrap_mul(za, col_sums[j]));
    arrays->sums_by[j] = -(kp_qgemm_zero_at(&b->b_zero, b->b_signed, col + j) + shift);
    arrays->zeros_by[j] = wrap_sub(0, col_sums[j]);
    if (e->scale) arrays->scale[j] = e->scale[e->scale_n ? col + j : 0];
    if (e->bias_f) arrays->bias_f[j] = e->bias_f[col + j];
  }
}

// Zero points of the rows as the variant sees them, where they differ from row to row and it has not taken them off.
static const int32_t* row_zeros(const kp_qgemm_ops* ops, const kp_qgemm_block* b, int32_t* out) {
  if (!ops->raw || !b->a_zero.many) return NULL;
  for (size_t r = 0; r < b->rows; ++r)
    out[r] = kp_qgemm_zero_at(&b->a_zero, b->a_signed, r) + shift_a(ops, b->a_signed);
  return out;
}

static size_t c_bytes(kp_qgemm_kind kind) { return kind <= KP_QGEMM_F32 ? 4 : 1; }

void kp_qgemm_run_block(const kp_qgemm_ops* ops, const kp_qgemm_block* b, void* scratch) {
  const size_t panel_size = kp_qgemm_panel_size(ops, b->k);
  const kp_qgemm_epilogue* e = &b->epilogue;
  int32_t* acc = (int32_t*)(void*)((char*)scratch + ops->wide_bytes);
  panel_arrays arrays;
  assert(ops->nr <= kMaxPanel);
  kp_qgemm_panel panel = {.rows = b->rows,
                          .k = b->k,
                          .a = b->a,
                          .a_stride = kp_qgemm_a_stride(ops, b->k),
                          .b_signed = b->b_signed,
                          .wide = scratch,
                          .acc = acc};
  kp_qgemm_store store = {.rows = b->rows,
                          .acc = acc,
                          .add = arrays.add,
                          .row_sums = b->a_sums,
                          .sums_by = arrays.sums_by,
                          .row_zeros = row_zeros(ops, b, acc + b->rows * ops->nr),
                          .zeros_by = arrays.zeros_by,
                          .kind = e->kind,
                          .scale = arrays.scale,
                          .row_scale = e->row_scale,
                          .bias_f = e->bias_f ? arrays.bias_f : NULL,
                          .zero = e->zero,
                          .low = e->low,
                          .high = e->high,
                          .c_stride = b->c_stride};
  for (size_t j = 0; j < b->cols; j += ops->nr) {
    const char* packed = (const char*)b->b + j / ops->nr * panel_size;
    store.cols = min_size(ops->nr, b->cols - j);
    fill_arrays(ops, b, j, store.cols, (const int32_t*)(const void*)packed, &arrays);
    panel.b = packed + ops->nr * sizeof(int32_t);
    ops->multiply(&panel);
    store.c = (char*)b->c + j * c_bytes(e->kind);
    ops->store(&store);
  }
}

// ---- tasks ------------------------------------------------------------------------------------------------------------------
// |total| cut into |parts| nearly equal parts that are multiples of |unit|; returns the size of the first.
static size_t part_size(size_t total, size_t parts, size_t unit) {
  return min_size(round_up(div_up(total, parts), unit), total);
}

// Cuts rows, then columns, until there are enough tasks.
static void split(const kp_qgemm_shape* s, size_t workers, kp_qgemm_plan* plan) {
  const size_t mr = plan->ops->mr, nr = plan->ops->nr;
  const size_t work = s->m * s->n * max_size(s->k, 1);
  const size_t wanted = min_size(div_up(4 * workers, s->batch), work / kTaskWorkMin);
  const bool packs = s->b != KP_QGEMM_B_PACKED;
  if (!packs && wanted > 1)
    plan->task_rows =
        min_size(plan->task_rows, max_size(part_size(s->m, wanted, mr), min_size(4 * mr, s->m)));
  plan->row_tasks = div_up(s->m, plan->task_rows);
  const size_t more = wanted > plan->row_tasks ? div_up(wanted, plan->row_tasks) : 1;
  plan->task_cols = min_size(plan->task_cols, part_size(s->n, more, nr));
  plan->col_tasks = div_up(s->n, plan->task_cols);
}

void kp_qgemm_plan_init(const kp_qgemm_ops* ops, const kp_qgemm_shape* shape, size_t workers,
                        kp_qgemm_plan* out_plan) {
  kp_qgemm_plan plan = {.ops = ops, .shape = *shape};
  const size_t m = shape->m, n = shape->n, k = shape->k, stride = kp_qgemm_a_stride(ops, k);
  if (m == 0 || n == 0 || shape->batch == 0) {
    *out_plan = plan;
    return;
  }
  const size_t fit = max_size(kABytesMax / stride / ops->mr * ops->mr, ops->mr);
  plan.block_rows = even_rows(m, min_size(fit, kRowsMax), ops->mr);
  const bool packs = shape->b != KP_QGEMM_B_PACKED;
  plan.task_rows = packs ? m : plan.block_rows;
  plan.task_cols = n;
  if (packs)
    plan.task_cols =
        min_size(n, max_size(ops->nr, kPackBytesMax / kp_qgemm_panel_size(ops, k) * ops->nr));
  plan.row_tasks = div_up(m, plan.task_rows);
  plan.col_tasks = div_up(n, plan.task_cols);
  if (workers > 1) split(shape, workers, &plan);
  plan.block_rows = min_size(plan.block_rows, plan.task_rows);
  plan.task_count = shape->batch * plan.row_tasks * plan.col_tasks;
  plan.scratch_bytes = round_up(plan.block_rows * (stride + sizeof(int32_t)), 64) +
                       kp_qgemm_block_scratch(ops, plan.block_rows);
  if (packs) plan.scratch_bytes += kp_qgemm_packed_b_size(ops, k, plan.task_cols);
  *out_plan = plan;
}

static kp_qgemm_zero zero_from(const kp_qgemm_zero* zero, size_t offset) {
  return (kp_qgemm_zero){zero->many ? (const char*)zero->data + offset : zero->data, zero->many};
}

// Packs the block's rows from |a| on and sums them where need be.
static void pack_rows(const kp_qgemm_plan* plan, const kp_qgemm_args* args, const char* a,
                      kp_qgemm_block* block, char* packed, int32_t* sums) {
  const kp_qgemm_ops* ops = plan->ops;
  const size_t stride = kp_qgemm_a_stride(ops, block->k);
  const bool wants = kp_qgemm_wants_sums(ops, &block->b_zero, block->cols, block->b_signed);
  for (size_t r = 0; r < block->rows; ++r) {
    const int32_t zero = kp_qgemm_zero_at(&block->a_zero, block->a_signed, r);
    char* row = packed + r * stride;
    ops->pack_a(block->k, a + r * args->a_stride, block->a_signed, zero, row);
    sums[r] = kp_qgemm_finish_row(ops, block->k, block->a_signed, zero, wants, row);
  }
  block->a = packed;
  block->a_sums = wants ? sums : NULL;
}

// B's panels from column |col| on, packed first if B was not.
static const void* task_b(const kp_qgemm_plan* plan, const kp_qgemm_args* args, size_t product,
                          size_t col, size_t cols, char* scratch) {
  const kp_qgemm_shape* s = &plan->shape;
  const char* b = (const char*)args->b + (args->b_offsets ? args->b_offsets[product] : 0);
  if (s->b == KP_QGEMM_B_PACKED)
    return b + col / plan->ops->nr * kp_qgemm_panel_size(plan->ops, s->k);
  const bool transposed = s->b == KP_QGEMM_B_TRANSPOSED;
  b += transposed ? col * args->b_stride : col;
  kp_qgemm_pack_b(plan->ops, s->k, cols, b, args->b_stride, transposed, s->b_signed, scratch);
  return scratch;
}

void kp_qgemm_run_task(const kp_qgemm_plan* plan, const kp_qgemm_args* args, size_t index,
                       void* scratch) {
  assert(index < plan->task_count);
  const kp_qgemm_shape* s = &plan->shape;
  const kp_qgemm_ops* ops = plan->ops;
  const size_t per_product = plan->row_tasks * plan->col_tasks, product = index / per_product;
  const size_t within = index % per_product, col = within % plan->col_tasks * plan->task_cols;
  const size_t first = within / plan->col_tasks * plan->task_rows;
  const size_t last = min_size(first + plan->task_rows, s->m);
  const size_t bytes = c_bytes(args->epilogue.kind);
  char* work = scratch;
  char* packed = work + kp_qgemm_block_scratch(ops, plan->block_rows);
  char* sums = packed + plan->block_rows * kp_qgemm_a_stride(ops, s->k);
  char* b_room = packed + round_up(plan->block_rows * (kp_qgemm_a_stride(ops, s->k) + 4), 64);
  kp_qgemm_block block = {.cols = min_size(plan->task_cols, s->n - col),
                          .k = s->k,
                          .a_signed = s->a_signed,
                          .b_signed = s->b_signed,
                          .c_stride = args->c_stride};
  block.b = task_b(plan, args, product, col, block.cols, b_room);
  block.b_zero =
      zero_from(&args->b_zero, col + (args->b_zero_offsets ? args->b_zero_offsets[product] : 0));
  const char* a = (const char*)args->a + (args->a_offsets ? args->a_offsets[product] : 0);
  const size_t a_zero = args->a_zero_offsets ? args->a_zero_offsets[product] : 0;
  for (size_t row = first; row < last; row += plan->block_rows) {
    block.rows = min_size(plan->block_rows, last - row);
    block.a_zero = zero_from(&args->a_zero, a_zero + row);
    block.epilogue = args->epilogue;
    kp_qgemm_epilogue* e = &block.epilogue;
    if (e->bias) e->bias += col;
    if (e->scale_n) e->scale += col;
    if (e->bias_f) e->bias_f += col;
    if (e->row_scale) e->row_scale += row;
    pack_rows(plan, args, a + row * args->a_stride, &block, packed, (int32_t*)(void*)sums);
    block.c =
        (char*)args->c + (product * args->c_batch_stride + row * args->c_stride + col) * bytes;
    kp_qgemm_run_block(ops, &block, work);
  }
}
