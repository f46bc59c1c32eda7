// Packing matrices of few bits and multiplying with them; see nbits.h.
#include "provider/cpu/op/quantized/nbits.h"

// Up to so many rows the weights are unpacked in registers, once for four rows; more rows share one unpacking into memory.
enum { kFewRows = 12 };
enum { kRowsAtOnce = 4, kPanelMost = 128 };
// Rows of a dequantised piece of a panel: a quarter of a megabyte at most.
enum { kPieceDepth = 1024 };

kp_status* kp_nbits_layout_init(kp_nbits_layout* layout, const kp_nbits_ops* ops,
                                const kp_gemm_ops* gemm, unsigned bits, size_t k, size_t n,
                                size_t block, bool zeros) {
  const size_t each = 32 / bits;
  if (block >= k) block = (k + each - 1) / each * each;
  *layout = (kp_nbits_layout){.ops = ops,
                              .gemm = gemm,
                              .bits = bits,
                              .k = k,
                              .n = n,
                              .blocks = block ? (k + block - 1) / block : 0,
                              .words = block / each,
                              .panels = (n + ops->panel - 1) / ops->panel,
                              .zeros = zeros};
  size_t columns, words;
  if (kp_mul_size(layout->panels, ops->panel, &columns) &&
      kp_mul_size(layout->blocks, layout->words, &words) && kp_mul_size(words, columns, &words) &&
      kp_mul_size(words, sizeof(uint32_t), &layout->data_bytes) &&
      kp_mul_size(columns, layout->blocks * sizeof(float), &layout->scale_bytes) &&
      kp_add_size(layout->data_bytes, layout->scale_bytes * (zeros ? 2 : 1), &layout->byte_count))
    return NULL;
  return KP_ERROR(LIMIT, "a packed matrix of %zu x %zu exceeds the address space", k, n);
}

static kp_nbits_panel panel_of(const kp_nbits_layout* l, const void* memory, size_t panel) {
  const size_t columns = l->ops->panel;
  const char* scales = (const char*)memory + l->data_bytes;
  const size_t skip = panel * l->blocks * columns;
  return (kp_nbits_panel){
      .bits = l->bits,
      .blocks = l->blocks,
      .words = l->words,
      .data = (const uint32_t*)memory + skip * l->words,
      .scales = (const float*)(const void*)scales + skip,
      .zeros = l->zeros ? (const float*)(const void*)(scales + l->scale_bytes) + skip : NULL};
}

// --- packing -----------------------------------------------------------------------------------------------------------------
typedef struct pack_job {
  const kp_nbits_layout* layout;
  const kp_nbits_source* source;
  char* memory;
} pack_job;

static uint32_t word_at(const uint8_t* row, size_t row_bytes, size_t word) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4 && word * 4 + i < row_bytes; ++i)
    value |= (uint32_t)row[word * 4 + i] << (8 * i);
  return value;
}

static float zero_at(const kp_nbits_layout* l, const kp_nbits_source* source, size_t column,
                     size_t block) {
  if (source->zero_floats) return source->zero_floats[column * l->blocks + block];
  const size_t bit = column * source->zero_column_bits + block * l->bits;
  return (float)(source->zero_points[bit / 8] >> (bit % 8) & ((1u << l->bits) - 1));
}

static void pack_column(const pack_job* job, size_t column, uint32_t* data, float* scales,
                        float* zeros) {
  const kp_nbits_layout* l = job->layout;
  const kp_nbits_source* source = job->source;
  const size_t step = l->ops->panel;
  const bool there = column < l->n;
  const uint8_t* row = there ? source->data + column * source->row_bytes : NULL;
  for (size_t w = 0; w < l->blocks * l->words; ++w)
    data[w * step] = there ? word_at(row, source->row_bytes, w) : 0;
  for (size_t b = 0; b < l->blocks; ++b) {
    scales[b * step] = there ? source->scales[column * l->blocks + b] : 0;
    if (zeros) zeros[b * step] = there ? zero_at(l, source, column, b) : 0;
  }
}

static void pack_task(void* arg, size_t panel, int worker) {
  (void)worker;
  const pack_job* job = arg;
  const kp_nbits_layout* l = job->layout;
  const size_t skip = panel * l->blocks * l->ops->panel;
  uint32_t* data = (uint32_t*)(void*)job->memory + skip * l->words;
  float* scales = (float*)(void*)(job->memory + l->data_bytes) + skip;
  float* zeros =
      l->zeros ? (float*)(void*)(job->memory + l->data_bytes + l->scale_bytes) + skip : NULL;
  for (size_t c = 0; c < l->ops->panel; ++c)
    pack_column(job, panel * l->ops->panel + c, data + c, scales + c, zeros ? zeros + c : NULL);
}

void kp_nbits_pack(const kp_nbits_layout* layout, const kp_nbits_source* source, int width,
                   void* memory) {
  pack_job job = {layout, source, memory};
  kp_parallel_for_dynamic(kp_op_width(width, layout->data_bytes / 4), layout->panels, pack_task,
                          &job);
}

// --- products ----------------------------------------------------------------------------------------------------------------
typedef struct product_job {
  const kp_nbits_layout* layout;
  const kp_nbits_args* args;
  size_t depth;         // floats of a spread row; sums follow
  size_t thread_bytes;  // many rows: of one thread
} product_job;

static size_t spread_floats(const kp_nbits_layout* l) {
  return l->blocks * (l->words * 32 / l->bits + 1);
}
// Rows of a dequantised piece: a multiple of what a word holds.
static size_t piece_depth(const kp_nbits_layout* l) {
  return kp_min_size(kPieceDepth, l->blocks * l->words * 32 / l->bits);
}

kp_status* kp_nbits_scratch(const kp_nbits_layout* layout, size_t rows, int width,
                            size_t* out_byte_count) {
  const size_t few = kp_min_size(rows, kFewRows) * spread_floats(layout);
  const size_t many =
      rows > kFewRows ? piece_depth(layout) * layout->ops->panel * (size_t)width : 0;
  if (kp_mul_size(kp_max_size(few, many), sizeof(float), out_byte_count)) return NULL;
  return KP_ERROR(LIMIT, "scratch memory exceeds the address space");
}

static void spread_task(void* arg, size_t row, int worker) {
  (void)worker;
  const product_job* job = arg;
  const kp_nbits_layout* l = job->layout;
  float* spread = (float*)job->args->scratch + row * spread_floats(l);
  l->ops->spread(l->bits, l->blocks, l->words, l->k, job->args->a + row * l->k, spread,
                 spread + job->depth);
}

static void few_task(void* arg, size_t index, int worker) {
  (void)worker;
  const product_job* job = arg;
  const kp_nbits_layout* l = job->layout;
  const kp_nbits_args* args = job->args;
  if (kp_is_cancelled(args->cancel)) return;
  const kp_nbits_panel panel = panel_of(l, args->memory, index);
  const size_t column = index * l->ops->panel, count = kp_min_size(l->ops->panel, l->n - column);
  const size_t step = spread_floats(l);
  float sums[kRowsAtOnce * kPanelMost];
  for (size_t r = 0; r < args->rows; r += kRowsAtOnce) {
    const size_t rows = kp_min_size(kRowsAtOnce, args->rows - r);
    const float *spread[kRowsAtOnce], *block_sums[kRowsAtOnce];
    for (size_t i = 0; i < kRowsAtOnce; ++i) {
      spread[i] = (const float*)args->scratch + (r + kp_min_size(i, rows - 1)) * step;
      block_sums[i] = spread[i] + job->depth;
    }
    if (rows == 1)
      l->ops->multiply(&panel, spread[0], block_sums[0], sums);
    else
      l->ops->multiply4(&panel, spread, block_sums, sums);
    for (size_t i = 0; i < rows; ++i) {
      float* y = args->y + (r + i) * l->n + column;
      const float* row = sums + i * l->ops->panel;
      for (size_t c = 0; c < count; ++c) y[c] = row[c] + (args->bias ? args->bias[column + c] : 0);
    }
  }
}

static void many_task(void* arg, size_t index, int worker) {
  const product_job* job = arg;
  const kp_nbits_layout* l = job->layout;
  const kp_nbits_args* args = job->args;
  const kp_nbits_panel panel = panel_of(l, args->memory, index);
  const size_t column = index * l->ops->panel, nr = l->gemm->nr;
  const size_t each = 32 / l->bits, depth = piece_depth(l);
  float* piece = (float*)(void*)((char*)args->scratch + (size_t)worker * job->thread_bytes);
  kp_gemm_tile tile = {.rows = args->rows,
                       .cols = kp_min_size(l->ops->panel, l->n - column),
                       .taps = 1,
                       .a_stride = l->k,
                       .b = piece,
                       .b_row_stride = nr,
                       .b_panel_stride = depth * nr,
                       .c = args->y + column,
                       .c_stride = l->n,
                       .epilogue = KP_EPILOGUE_NONE};
  if (args->bias) tile.epilogue.bias_n = args->bias + column;
  for (size_t k = 0; k < l->k && !kp_is_cancelled(args->cancel); k += depth) {
    const size_t words = kp_min_size(depth / each, l->blocks * l->words - k / each);
    l->ops->dequantise(&panel, k / each, words, nr, tile.b_panel_stride, piece);
    tile.a = args->a + k;
    tile.depth = kp_min_size(depth, l->k - k);
    l->gemm->multiply(&tile);
    tile.epilogue = (kp_epilogue)KP_EPILOGUE_NONE;  // the next piece is added to this one's result
    tile.epilogue.residual = tile.c;
    tile.epilogue.residual_stride = tile.c_stride;
  }
}

static void fill_bias(const kp_nbits_layout* l, const kp_nbits_args* args) {
  for (size_t r = 0; r < args->rows; ++r)
    for (size_t c = 0; c < l->n; ++c) args->y[r * l->n + c] = args->bias ? args->bias[c] : 0;
}

void kp_nbits_multiply(const kp_nbits_layout* l, const kp_nbits_args* args) {
  if (!args->rows || !l->n) return;
  if (!l->k) {
    fill_bias(l, args);
    return;
  }
  product_job job = {.layout = l,
                     .args = args,
                     .depth = spread_floats(l) - l->blocks,
                     .thread_bytes = piece_depth(l) * l->ops->panel * sizeof(float)};
  const bool few = args->rows <= kFewRows;
  if (few)
    kp_parallel_for(kp_op_width(args->width, args->rows * l->k), args->rows, spread_task, &job);
  const size_t work = l->k * l->n / 16 * args->rows;
  kp_parallel_for_dynamic(kp_op_width(args->width, work), l->panels, few ? few_task : many_task,
                          &job);
}
