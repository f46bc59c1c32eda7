// 8-bit convolution above its variants: packing of weights, windows as rows of a product, tasks. qconv.h has the contract.
#include "provider/cpu/kernel/qconv/qconv.h"

#include <assert.h>
#include <string.h>

#include "base/size.h"

#define KP_FAMILY qconv
#define KP_FAMILY_LIST "provider/cpu/kernel/qconv/qconv_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"

// Packed rows that stay in a second-level cache of 512 KB beside the weights.
enum { kABytesMax = 192 * 1024 };
enum { kRowsMax = 192 };
// Pixels of a depthwise convolution whose taps' addresses are gathered at a time.
enum { kDepthwiseRows = 32 };
enum { kTaskWorkMin = 256 * 1024 };
enum { kMaxChannels = 64 };  // nr of any gemm

static size_t min_size(size_t a, size_t b) { return a < b ? a : b; }
static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }
static size_t div_up(size_t a, size_t b) { return a / b + (a % b != 0); }
static size_t round_up(size_t a, size_t b) { return div_up(a, b) * b; }

// ---- weights ----------------------------------------------------------------------------------------------------------------
bool kp_qconv_is_depthwise(const kp_qconv_shape* s) {
  return s->groups > 1 && s->in_c == 1 && s->out_c == 1;
}

static size_t pairs_of(const kp_qconv_shape* s) { return (s->taps + 1) / 2; }

size_t kp_qconv_packed_size(const kp_qgemm_ops* gemm, const kp_qconv_shape* s) {
  size_t bytes;
  if (kp_qconv_is_depthwise(s)) {
    if (!kp_mul_size(pairs_of(s) * 4 + 4, round_up(s->groups, gemm->nr), &bytes)) return SIZE_MAX;
    return bytes;
  }
  const size_t group = kp_qgemm_packed_b_size(gemm, s->taps * s->in_c, s->out_c);
  if (group == SIZE_MAX || !kp_mul_size(group, s->groups, &bytes)) return SIZE_MAX;
  return bytes;
}

size_t kp_qconv_pack_scratch(const kp_qconv_shape* s) {
  return kp_qconv_is_depthwise(s) ? 0 : s->taps * s->in_c * s->out_c;
}

static int32_t number(const void* p, bool is_signed, size_t i) {
  return is_signed ? ((const int8_t*)p)[i] : ((const uint8_t*)p)[i];
}

// Where channel |c| of a block lies among its pairs of taps.
static size_t channel_place(const kp_qconv_ops* ops, size_t c) {
  static const uint8_t places[16] = {0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15};
  return ops->interleaved ? c / 16 * 16 + places[c % 16] : c;
}

// Blocks of nr channels: [pairs][nr][2] weights less their zero point, then for each block the sums of its channels.
static void pack_depthwise(const kp_qconv_ops* ops, const kp_qgemm_ops* gemm,
                           const kp_qconv_shape* s, const void* weights,
                           const kp_qgemm_zero* w_zero, void* packed) {
  const size_t pairs = pairs_of(s), nr = gemm->nr, block_bytes = nr * (pairs * 4 + 4);
  memset(packed, 0, kp_qconv_packed_size(gemm, s));
  for (size_t c = 0; c < s->groups; ++c) {
    char* block = (char*)packed + c / nr * block_bytes;
    int16_t* pair = (int16_t*)(void*)block + channel_place(ops, c % nr) * 2;
    int32_t* sums = (int32_t*)(void*)(block + pairs * nr * 4);
    for (size_t t = 0; t < s->taps; ++t) {
      const int32_t w =
          number(weights, s->w_signed, c * s->taps + t) - kp_qgemm_zero_at(w_zero, s->w_signed, c);
      pair[t / 2 * nr * 2 + t % 2] = (int16_t)w;
      sums[c % nr] += w;
    }
  }
}

void kp_qconv_pack(const kp_qconv_ops* ops, const kp_qgemm_ops* gemm, const kp_qconv_shape* s,
                   const void* weights, const kp_qgemm_zero* w_zero, void* packed, void* scratch) {
  if (kp_qconv_is_depthwise(s)) {
    pack_depthwise(ops, gemm, s, weights, w_zero, packed);
    return;
  }
  const size_t depth = s->taps * s->in_c;
  const size_t group_bytes = kp_qgemm_packed_b_size(gemm, depth, s->out_c);
  for (size_t g = 0; g < s->groups; ++g) {
    const uint8_t* from = (const uint8_t*)weights + g * s->out_c * depth;
    uint8_t* to = scratch;  // [out_c][taps][in_c]
    for (size_t o = 0; o < s->out_c; ++o)
      for (size_t t = 0; t < s->taps; ++t)
        for (size_t i = 0; i < s->in_c; ++i) *to++ = from[(o * s->in_c + i) * s->taps + t];
    kp_qgemm_pack_b(gemm, depth, s->out_c, scratch, depth, true, s->w_signed,
                    (char*)packed + g * group_bytes);
  }
}

// ---- tasks ------------------------------------------------------------------------------------------------------------------
static bool is_plain(const kp_qconv_shape* s) {
  for (int32_t d = 0; d < s->rank; ++d)
    if (s->kernel[d] != 1 || s->stride[d] != 1 || s->begin[d] || s->in[d] != s->out[d])
      return false;
  return true;
}

static size_t channels_of(const kp_qconv_plan* p) {
  return p->depthwise ? p->shape.groups : p->shape.out_c;
}

static void size_scratch(kp_qconv_plan* p) {
  const kp_qconv_shape* s = &p->shape;
  const kp_qgemm_ops* gemm = p->gemm;
  const size_t depth = s->taps * s->in_c;
  if (p->depthwise) {
    const size_t pointers = p->block_rows * pairs_of(s) * 2 * sizeof(void*);
    // Addresses, sums, a pixel of padding, offsets, and the taps of a last block of channels.
    p->scratch_bytes = round_up(pointers, 64) + p->block_rows * gemm->nr * sizeof(int32_t) +
                       round_up(s->groups + kMaxChannels, 64) +
                       pairs_of(s) * 2 * (sizeof(size_t) + sizeof(void*) + gemm->nr);
  } else {
    p->scratch_bytes =
        round_up(p->block_rows * (kp_qgemm_a_stride(gemm, depth) + sizeof(int32_t)), 64) +
        kp_qgemm_block_scratch(gemm, p->block_rows);
  }
}

void kp_qconv_plan_init(const kp_qconv_ops* ops, const kp_qgemm_ops* gemm,
                        const kp_qconv_shape* shape, size_t workers, kp_qconv_plan* out_plan) {
  kp_qconv_plan p = {.ops = ops, .gemm = gemm, .shape = *shape};
  const kp_qconv_shape* s = &p.shape;
  const size_t rows = s->batch * s->out_count, depth = s->taps * s->in_c;
  p.depthwise = kp_qconv_is_depthwise(s);
  p.plain = is_plain(s);
  const size_t cols = channels_of(&p);
  if (rows && cols && s->groups) {
    const size_t groups = p.depthwise ? 1 : s->groups;
    const size_t fit = kABytesMax / kp_qgemm_a_stride(gemm, depth) / gemm->mr * gemm->mr;
    p.block_rows =
        min_size(rows, p.depthwise ? kDepthwiseRows : min_size(max_size(fit, gemm->mr), kRowsMax));
    const size_t work = rows * cols * groups * max_size(depth, 1);
    const size_t wanted = workers > 1 ? min_size(4 * workers, work / kTaskWorkMin) : 1;
    const size_t parts = max_size(div_up(wanted, groups), 1);
    const size_t least = min_size(rows, 4 * gemm->mr);
    p.task_rows = p.depthwise ? div_up(rows, parts) : min_size(p.block_rows, div_up(rows, parts));
    p.task_rows = min_size(rows, round_up(max_size(p.task_rows, least), gemm->mr));
    p.block_rows = min_size(p.block_rows, p.task_rows);
    p.row_tasks = div_up(rows, p.task_rows);
    p.col_tasks = min_size(div_up(parts, p.row_tasks), div_up(cols, gemm->nr));
    p.task_cols = min_size(cols, round_up(div_up(cols, p.col_tasks), gemm->nr));
    p.col_tasks = div_up(cols, p.task_cols);
    p.task_count = groups * p.row_tasks * p.col_tasks;
    size_scratch(&p);
  }
  *out_plan = p;
}

// ---- windows ----------------------------------------------------------------------------------------------------------------
// A pixel of the output: which picture, and where its window begins in each dim.
typedef struct pixel {
  size_t picture;
  int64_t at[KP_QCONV_DIMS], origin[KP_QCONV_DIMS];
} pixel;

static void set_origin(const kp_qconv_shape* s, pixel* p, int32_t d) {
  p->origin[d] = p->at[d] * s->stride[d] - s->begin[d];
}

static pixel first_pixel(const kp_qconv_shape* s, size_t row) {
  pixel p = {.picture = row / s->out_count};
  size_t rest = row % s->out_count;
  for (int32_t d = s->rank; d-- > 0;) {
    p.at[d] = (int64_t)(rest % (size_t)s->out[d]);
    rest /= (size_t)s->out[d];
    set_origin(s, &p, d);
  }
  return p;
}

static void next_pixel(const kp_qconv_shape* s, pixel* p) {
  for (int32_t d = s->rank; d-- > 0;) {
    const bool more = ++p->at[d] < s->out[d];
    if (!more) p->at[d] = 0;
    set_origin(s, p, d);
    if (more) return;
  }
  ++p->picture;
}

// Index within the picture's rows (all dims but the last) that outer tap |tap| of the window sees; false: outside.
static bool outer_at(const kp_qconv_shape* s, const pixel* p, size_t tap, int64_t* out) {
  int64_t index = 0, step = 1;
  for (int32_t d = s->rank - 1; d-- > 0;) {
    const size_t rest =
        d ? tap / (size_t)s->kernel[d] : 0;  // divisions are slow, and two dims need none
    const int64_t k = (int64_t)(tap - rest * (size_t)s->kernel[d]);
    tap = rest;
    const int64_t at = p->origin[d] + k * s->dilation[d];
    if (at < 0 || at >= s->in[d]) return false;
    index += at * step;
    step *= s->in[d];
  }
  *out = index;
  return true;
}

// Taps [*low, *high) of the last dim that lie inside.
static void inner_taps(const kp_qconv_shape* s, const pixel* p, int64_t* low, int64_t* high) {
  const int32_t d = s->rank - 1;
  const int64_t origin = p->origin[d], step = s->dilation[d], kernel = s->kernel[d];
  *low = origin >= 0 ? 0 : (-origin + step - 1) / step;
  const int64_t room = s->in[d] - 1 - origin;
  *high = room < 0 ? 0 : room / step + 1;
  if (*low > kernel) *low = kernel;
  if (*high > kernel) *high = kernel;
  if (*high < *low) *high = *low;
}

// ---- products ---------------------------------------------------------------------------------------------------------------
// What packing a row needs.
typedef struct row_packer {
  const kp_qconv_plan* plan;
  const char* input;  // of the group's first channel
  int32_t zero;
  size_t pixel_bytes;
} row_packer;

// One row of the window: |s->kernel| taps of the last dim.
static char* pack_taps(const row_packer* k, const pixel* p, int64_t row, int64_t low, int64_t high,
                       char* to) {
  const kp_qconv_shape* s = &k->plan->shape;
  const kp_qgemm_ops* gemm = k->plan->gemm;
  const int32_t last = s->rank - 1;
  const size_t c = s->in_c, width = gemm->a_bytes;
  const char* from = k->input + ((size_t)(row * s->in[last] + p->origin[last])) * k->pixel_bytes;
  if (low) gemm->fill_a((size_t)low * c, s->x_signed, k->zero, to);
  to += (size_t)low * c * width;
  if (s->dilation[last] == 1 && k->pixel_bytes == c) {
    gemm->pack_a((size_t)(high - low) * c, from + (size_t)low * c, s->x_signed, k->zero, to);
    to += (size_t)(high - low) * c * width;
  } else {
    for (int64_t t = low; t < high; ++t, to += c * width)
      gemm->pack_a(c, from + (size_t)(t * s->dilation[last]) * k->pixel_bytes, s->x_signed, k->zero,
                   to);
  }
  const size_t rest = (size_t)(s->kernel[last] - high) * c;
  if (rest) gemm->fill_a(rest, s->x_signed, k->zero, to);
  return to + rest * width;
}

static void pack_window(const row_packer* k, const pixel* p, char* to) {
  const kp_qconv_shape* s = &k->plan->shape;
  const int32_t last = s->rank - 1;
  const size_t outer = s->taps / (size_t)s->kernel[last];
  const int64_t rows = (int64_t)(s->in_count / (size_t)s->in[last]);
  int64_t low, high;
  inner_taps(s, p, &low, &high);
  for (size_t t = 0; t < outer; ++t) {
    int64_t row;
    if (outer_at(s, p, t, &row) && high > low) {
      to = pack_taps(k, p, (int64_t)p->picture * rows + row, low, high, to);
    } else {
      const size_t n = (size_t)s->kernel[last] * s->in_c;
      k->plan->gemm->fill_a(n, s->x_signed, k->zero, to);
      to += n * k->plan->gemm->a_bytes;
    }
  }
}

// Pointers of the epilogue moved to channel |col|.
static kp_qgemm_epilogue epilogue_at(const kp_qgemm_epilogue* from, size_t col) {
  kp_qgemm_epilogue e = *from;
  if (e.bias) e.bias += col;
  if (e.scale_n) e.scale += col;
  if (e.bias_f) e.bias_f += col;
  return e;
}

static size_t c_bytes(kp_qgemm_kind kind) { return kind <= KP_QGEMM_F32 ? 4 : 1; }

static void run_product(const kp_qconv_plan* p, const kp_qconv_args* args, size_t group,
                        size_t first, size_t last, size_t col, size_t cols, char* scratch) {
  const kp_qconv_shape* s = &p->shape;
  const kp_qgemm_ops* gemm = p->gemm;
  const size_t depth = s->taps * s->in_c, stride = kp_qgemm_a_stride(gemm, depth);
  const size_t channel = group * s->out_c + col, all = s->groups * s->out_c;
  char* rows = scratch + kp_qgemm_block_scratch(gemm, p->block_rows);
  int32_t* sums = (int32_t*)(void*)(rows + p->block_rows * stride);
  const row_packer packer = {.plan = p,
                             .input = (const char*)args->input + group * s->in_c,
                             .zero = args->x_zero,
                             .pixel_bytes = s->groups * s->in_c};
  const uint8_t zero = (uint8_t)args->x_zero;
  kp_qgemm_block block = {.cols = cols,
                          .k = depth,
                          .a = rows,
                          .a_zero = {&zero, false},
                          .b_zero = args->w_zero,
                          .a_signed = s->x_signed,
                          .b_signed = s->w_signed,
                          .c_stride = all,
                          .epilogue = epilogue_at(&args->epilogue, channel)};
  if (block.b_zero.many) block.b_zero.data = (const char*)block.b_zero.data + channel;
  block.b = (const char*)args->packed + group * kp_qgemm_packed_b_size(gemm, depth, s->out_c) +
            col / gemm->nr * kp_qgemm_panel_size(gemm, depth);
  const bool wants = kp_qgemm_wants_sums(gemm, &block.b_zero, cols, s->w_signed);
  block.a_sums = wants ? sums : NULL;
  pixel at = first_pixel(s, first);
  for (size_t row = first; row < last; row += p->block_rows) {
    block.rows = min_size(p->block_rows, last - row);
    for (size_t r = 0; r < block.rows; ++r) {
      char* to = rows + r * stride;
      if (p->plain)
        gemm->pack_a(depth, packer.input + (row + r) * packer.pixel_bytes, s->x_signed, packer.zero,
                     to);
      else
        pack_window(&packer, &at, to), next_pixel(s, &at);
      sums[r] = kp_qgemm_finish_row(gemm, depth, s->x_signed, args->x_zero, wants, to);
    }
    block.c = (char*)args->output + (row * all + channel) * c_bytes(args->epilogue.kind);
    kp_qgemm_run_block(gemm, &block, scratch);
  }
}

// ---- depthwise --------------------------------------------------------------------------------------------------------------
// Addresses of the taps of a pixel's window, all channels; |outside| where there is no pixel. An odd tap is doubled: its weight is 0.
static void gather_taps(const kp_qconv_shape* s, const uint8_t* input, const pixel* p,
                        const uint8_t* outside, const uint8_t** taps) {
  const int32_t last = s->rank - 1;
  const size_t kernel = (size_t)s->kernel[last], outer = s->taps / kernel;
  const size_t rows = s->in_count / (size_t)s->in[last];
  int64_t low, high;
  inner_taps(s, p, &low, &high);
  for (size_t t = 0; t < outer; ++t) {
    int64_t row;
    const bool inside = outer_at(s, p, t, &row);
    for (size_t k = 0; k < kernel; ++k) {
      if (!inside || (int64_t)k < low || (int64_t)k >= high) {
        *taps++ = outside;
        continue;
      }
      const int64_t x = p->origin[last] + (int64_t)k * s->dilation[last];
      *taps++ =
          input + ((p->picture * rows + (size_t)row) * (size_t)s->in[last] + (size_t)x) * s->groups;
    }
  }
  if (s->taps % 2) *taps = outside;
}

// The last channels of a pixel, fewer than nr: their taps are copied, so that nothing is read beyond the tensor.
static void depthwise_tail(const kp_qconv_plan* p, size_t rows, size_t col, size_t cols,
                           const uint8_t* const* taps, const int16_t* w, int32_t* acc, char* room) {
  const size_t pairs = pairs_of(&p->shape), nr = p->gemm->nr;
  const uint8_t** pointers = (const uint8_t**)(void*)room;
  uint8_t* copies = (uint8_t*)(pointers + pairs * 2);
  memset(copies, 0, pairs * 2 * nr);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t t = 0; t < pairs * 2; ++t) {
      memcpy(copies + t * nr, taps[r * pairs * 2 + t] + col, cols);
      pointers[t] = copies + t * nr;
    }
    p->ops->depthwise(1, pairs, nr, pointers, 0, p->shape.x_signed, w, acc + r * nr);
  }
}

// One block of nr channels of |rows| pixels from |row| on, stored.
static void depthwise_block(const kp_qconv_plan* p, const kp_qconv_args* args, size_t row,
                            size_t rows, size_t col, const uint8_t* const* taps, int32_t* acc,
                            char* room) {
  const kp_qconv_shape* s = &p->shape;
  const size_t nr = p->gemm->nr, pairs = pairs_of(s), cols = min_size(nr, s->groups - col);
  const char* packed = (const char*)args->packed + col / nr * nr * (pairs * 4 + 4);
  const int16_t* w = (const int16_t*)(const void*)packed;
  const int32_t* sums = (const int32_t*)(const void*)(packed + pairs * nr * 4);
  if (cols == nr)
    p->ops->depthwise(rows, pairs, nr, taps, col, s->x_signed, w, acc);
  else
    depthwise_tail(p, rows, col, cols, taps, w, acc, room);
  int32_t add[kMaxChannels] = {0};
  float scale[kMaxChannels] = {0}, bias_f[kMaxChannels] = {0};
  const kp_qgemm_epilogue e = epilogue_at(&args->epilogue, col);
  for (size_t j = 0; j < cols; ++j) {
    const uint32_t less = (uint32_t)args->x_zero * (uint32_t)sums[j];
    add[j] = (int32_t)((e.bias ? (uint32_t)e.bias[j] : 0) - less);
    if (e.scale) scale[j] = e.scale[e.scale_n ? j : 0];
    if (e.bias_f) bias_f[j] = e.bias_f[j];
  }
  const kp_qgemm_store store = {
      .rows = rows,
      .cols = cols,
      .acc = acc,
      .add = add,
      .kind = e.kind,
      .scale = scale,
      .bias_f = e.bias_f ? bias_f : NULL,
      .zero = e.zero,
      .low = e.low,
      .high = e.high,
      .c = (char*)args->output + (row * s->groups + col) * c_bytes(e.kind),
      .c_stride = s->groups};
  p->gemm->store(&store);
}

// Bytes from the first tap of a window to each, where all lie inside.
static void interior_taps(const kp_qconv_shape* s, size_t* offsets) {
  for (size_t t = 0; t < s->taps; ++t) {
    size_t rest = t, step = s->groups, offset = 0;
    for (int32_t d = s->rank; d-- > 0;) {
      offset += rest % (size_t)s->kernel[d] * (size_t)s->dilation[d] * step;
      rest /= (size_t)s->kernel[d];
      step *= (size_t)s->in[d];
    }
    offsets[t] = offset;
  }
}

static bool is_interior(const kp_qconv_shape* s, const pixel* p) {
  for (int32_t d = 0; d < s->rank; ++d)
    if (p->origin[d] < 0 || p->origin[d] + (s->kernel[d] - 1) * s->dilation[d] >= s->in[d])
      return false;
  return true;
}

// The same as gather_taps for a window that lies inside.
static void gather_interior(const kp_qconv_shape* s, const uint8_t* input, const pixel* p,
                            const size_t* offsets, const uint8_t* outside, const uint8_t** taps) {
  size_t at = p->picture;
  for (int32_t d = 0; d < s->rank; ++d) at = at * (size_t)s->in[d] + (size_t)p->origin[d];
  const uint8_t* first = input + at * s->groups;
  for (size_t t = 0; t < s->taps; ++t) taps[t] = first + offsets[t];
  if (s->taps % 2) taps[s->taps] = outside;
}

static void run_depthwise(const kp_qconv_plan* p, const kp_qconv_args* args, size_t first,
                          size_t last, size_t col, size_t cols, char* scratch) {
  const kp_qconv_shape* s = &p->shape;
  const size_t per_row = pairs_of(s) * 2, nr = p->gemm->nr;
  const uint8_t** taps = (const uint8_t**)(void*)scratch;
  char* at = scratch + round_up(p->block_rows * per_row * sizeof(void*), 64);
  int32_t* acc = (int32_t*)(void*)at;
  uint8_t* outside = (uint8_t*)(acc + p->block_rows * nr);
  size_t* offsets = (size_t*)(void*)((char*)outside + round_up(s->groups + kMaxChannels, 64));
  char* room = (char*)(offsets + per_row);
  interior_taps(s, offsets);
  memset(outside, (uint8_t)args->x_zero, s->groups + kMaxChannels);
  pixel pixels = first_pixel(s, first);
  for (size_t row = first; row < last; row += p->block_rows) {
    const size_t rows = min_size(p->block_rows, last - row);
    for (size_t r = 0; r < rows; ++r, next_pixel(s, &pixels))
      if (is_interior(s, &pixels))
        gather_interior(s, args->input, &pixels, offsets, outside, taps + r * per_row);
      else
        gather_taps(s, args->input, &pixels, outside, taps + r * per_row);
    for (size_t c = col; c < col + cols; c += nr)
      depthwise_block(p, args, row, rows, c, (const uint8_t* const*)taps, acc, room);
  }
}

void kp_qconv_run_task(const kp_qconv_plan* p, const kp_qconv_args* args, size_t index,
                       void* scratch) {
  assert(index < p->task_count);
  const size_t per_group = p->row_tasks * p->col_tasks, group = index / per_group;
  const size_t within = index % per_group, col = within % p->col_tasks * p->task_cols;
  const size_t first = within / p->col_tasks * p->task_rows;
  const size_t last = min_size(first + p->task_rows, p->shape.batch * p->shape.out_count);
  const size_t cols = min_size(p->task_cols, channels_of(p) - col);
  if (p->depthwise)
    run_depthwise(p, args, first, last, col, cols, scratch);
  else
    run_product(p, args, group, first, last, col, cols, scratch);
}
