// Operators of com.microsoft that have no family among ai.onnx's: CDist, IsAllFinite, MurmurHash3, NGramRepeatBlock,
// TorchEmbedding, UnfoldTensor, SparseToDenseMatMul.
#include <math.h>

#include "provider/cpu/op/copy.h"

// --- CDist -------------------------------------------------------------------------------------------------------------------
#define DISTANCE(type)                                                                           \
  static double distance_##type(const void* a, const void* b, size_t i, size_t j, size_t cols) { \
    double sum = 0;                                                                              \
    for (size_t k = 0; k < cols; ++k) {                                                          \
      const double d =                                                                           \
          (double)((const type*)a)[i * cols + k] - (double)((const type*)b)[j * cols + k];       \
      sum += d * d;                                                                              \
    }                                                                                            \
    return sum;                                                                                  \
  }
DISTANCE(float)
DISTANCE(double)

static kp_reason cdist_supports(const kp_op_query* query) {
  const kp_str metric = kp_node_attr_s(query->node, "metric", "sqeuclidean");
  KP_REQUIRE(query, kp_str_is(metric, "sqeuclidean") || kp_str_is(metric, "euclidean"),
             "metric '%.*s'; euclidean and sqeuclidean are computed", KP_STR_ARG(metric));
  return KP_SUPPORTED;
}

static kp_status* cdist_run(const kp_op_run* run) {
  const kapell_value *a = run->inputs[0], *b = run->inputs[1];
  kapell_value* y = run->outputs[0];
  const bool root = kp_str_is(kp_node_attr_s(run->node, "metric", "sqeuclidean"), "euclidean");
  const size_t rows = (size_t)a->dims[0], columns = (size_t)b->dims[0], cols = (size_t)a->dims[1];
  if (b->type != a->type || (size_t)b->dims[1] != cols)
    return KP_ERROR(RUN_FAILED, "points of %zu and %lld coordinates", cols, (long long)b->dims[1]);
  for (size_t i = 0; i < rows; ++i) {
    if (kp_cancelled(run)) return NULL;
    for (size_t j = 0; j < columns; ++j) {
      const bool single = a->type == KAPELL_FLOAT;
      const double square = single ? distance_float(a->data, b->data, i, j, cols)
                                   : distance_double(a->data, b->data, i, j, cols);
      const double result = root ? sqrt(square) : square;
      if (single)
        ((float*)y->data)[i * columns + j] = (float)result;
      else
        ((double*)y->data)[i * columns + j] = result;
    }
  }
  return NULL;
}

// --- IsAllFinite -------------------------------------------------------------------------------------------------------------
static kp_status* all_finite_run(const kp_op_run* run) {
  const bool inf_only = kp_node_attr_i(run->node, "isinf_only", 0) != 0,
             nan_only = kp_node_attr_i(run->node, "isnan_only", 0) != 0;
  bool fine = true;
  for (uint32_t k = 0; k < run->node->input_count && fine; ++k) {
    const kapell_value* x = run->inputs[k];
    const size_t count = kp_value_count(x);
    for (size_t i = 0; i < count && fine; ++i) {
      const double u = kp_double_at(x, i);
      fine = !((isnan(u) && !inf_only) || (isinf(u) && !nan_only));
    }
  }
  *(uint8_t*)run->outputs[0]->data = fine;
  return NULL;
}

// --- MurmurHash3 -------------------------------------------------------------------------------------------------------------
static uint32_t turn_left(uint32_t x, int bits) { return x << bits | x >> (32 - bits); }

// Source: Austin Appleby's MurmurHash3, x86_32 (public domain); little-endian words.
static uint32_t murmur(const uint8_t* bytes, size_t count, uint32_t seed) {
  uint32_t hash = seed;
  for (size_t at = 0; at < count; at += 4) {
    uint32_t word = 0;
    memcpy(&word, bytes + at, kp_min_size(4, count - at));
    word = turn_left(word * 0xcc9e2d51u, 15) * 0x1b873593u;
    hash ^= word;
    if (count - at >= 4) hash = turn_left(hash, 13) * 5 + 0xe6546b64u;
  }
  hash ^= (uint32_t)count;
  hash = (hash ^ hash >> 16) * 0x85ebca6bu;
  hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
  return hash ^ hash >> 16;
}

static kp_status* murmur_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  const uint32_t seed = (uint32_t)kp_node_attr_i(run->node, "seed", 0);
  const size_t count = kp_value_count(x), size = kp_type_bits(x->type) / 8;
  uint32_t* y = run->outputs[0]->data;
  for (size_t i = 0; i < count; ++i) {
    const kp_str text = x->type == KAPELL_STRING ? kp_value_string(x, i)
                                                 : (kp_str){(const char*)x->data + i * size, size};
    y[i] = murmur((const uint8_t*)text.data, text.length, seed);
  }
  return NULL;
}

// --- NGramRepeatBlock --------------------------------------------------------------------------------------------------------
// Scores of tokens that would end an n-gram which the row holds already become -infinity.
static kp_status* block_row(const int64_t* ids, int64_t length, int64_t n, float* scores,
                            int64_t tokens) {
  const int64_t* tail = ids + length - (n - 1);
  for (int64_t at = 0; at + n <= length; ++at) {
    if (n > 1 && memcmp(ids + at, tail, (size_t)(n - 1) * sizeof *ids) != 0) continue;
    const int64_t token = ids[at + n - 1];
    if (token < 0 || token >= tokens)
      return KP_ERROR(RUN_FAILED, "token %lld of %lld", (long long)token, (long long)tokens);
    scores[token] = -INFINITY;
  }
  return NULL;
}

static kp_status* ngram_run(const kp_op_run* run) {
  const kapell_value *ids = run->inputs[0], *scores = run->inputs[1];
  kapell_value* y = run->outputs[0];
  const int64_t n = kp_node_attr_i(run->node, "ngram_size", 1);
  if (n < 1) return KP_ERROR(RUN_FAILED, "n-grams of %lld tokens", (long long)n);
  if (ids->rank != 2 || scores->rank != 2 || ids->dims[0] != scores->dims[0])
    return KP_ERROR(RUN_FAILED, "token ids and scores of different batches");
  if (y->data != scores->data) KP_PASS(kp_copy_elements(y, 0, scores, 0, kp_value_count(scores)));
  if (ids->dims[1] < n) return NULL;
  for (int64_t row = 0; row < ids->dims[0]; ++row)
    KP_PASS(block_row((const int64_t*)ids->data + row * ids->dims[1], ids->dims[1], n,
                      (float*)y->data + row * scores->dims[1], scores->dims[1]));
  return NULL;
}

// --- TorchEmbedding, UnfoldTensor --------------------------------------------------------------------------------------------
static kp_status* embedding_run(const kp_op_run* run) {
  const kapell_value *weight = run->inputs[0], *indices = run->inputs[1];
  const int64_t rows = weight->dims[0];
  const size_t count = kp_value_count(indices), cols = kp_span(weight, 1, weight->rank);
  for (size_t i = 0; i < count; ++i) {
    const int64_t index = ((const int64_t*)indices->data)[i];
    if (index < 0 || index >= rows)
      return KP_ERROR(RUN_FAILED, "index %lld is out of range for a dim of %lld", (long long)index,
                      (long long)rows);
    KP_PASS(kp_copy_elements(run->outputs[0], i * cols, weight, (size_t)index * cols, cols));
  }
  return NULL;
}

// Windows along a dim become positions along it; what is in a window, a new last dim.
static kp_status* unfold_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  kapell_value* y = run->outputs[0];
  int32_t axis;
  int64_t strides[KP_MAX_RANK], from[KP_MAX_RANK + 1], to[KP_MAX_RANK + 1];
  if (!kp_axis(kp_node_attr_i(run->node, "dim", -1), x->rank, &axis))
    return KP_ERROR(RUN_FAILED, "dim of a tensor of rank %d", (int)x->rank);
  kp_strides(x->rank, x->dims, strides);
  kp_strides(y->rank, y->dims, to);
  for (int32_t d = 0; d < x->rank; ++d)
    from[d] = d == axis ? strides[d] * kp_node_attr_i(run->node, "step", 1) : strides[d];
  from[x->rank] = strides[axis];
  kp_copy copy;
  kp_copy_init(&copy, y->rank, y->dims, to, from);
  return kp_copy_run(&copy, y, 0, x, 0, run->width);
}

// --- SparseToDenseMatMul -----------------------------------------------------------------------------------------------------
// Each entry of A adds a multiple of a row of B to a row of the result. Integers wrap around.
#define SPARSE(type, c_type, sum_type)                                                      \
  static void add_row_##type(double alpha, const void* values, size_t entry, const void* b, \
                             size_t b_at, size_t b_step, size_t count, void* y) {           \
    const c_type own = ((const c_type*)values)[entry];                                      \
    const sum_type scaled = alpha == 1 ? (sum_type)own : (sum_type)(alpha * (double)own);   \
    for (size_t j = 0; j < count; ++j)                                                      \
      ((c_type*)y)[j] = (c_type)((sum_type)((c_type*)y)[j] +                                \
                                 scaled * (sum_type)((const c_type*)b)[b_at + j * b_step]); \
  }
SPARSE(FLOAT, float, float)
SPARSE(DOUBLE, double, double)
SPARSE(INT32, int32_t, uint64_t)
SPARSE(INT64, int64_t, uint64_t)
SPARSE(UINT32, uint32_t, uint64_t)
SPARSE(UINT64, uint64_t, uint64_t)
typedef void (*kp_add_row_fn)(double alpha, const void* values, size_t entry, const void* b,
                              size_t b_at, size_t b_step, size_t count, void* y);
static const kp_add_row_fn add_rows[KAPELL_TYPE_COUNT] = {
    [KAPELL_FLOAT] = add_row_FLOAT,   [KAPELL_DOUBLE] = add_row_DOUBLE,
    [KAPELL_INT32] = add_row_INT32,   [KAPELL_INT64] = add_row_INT64,
    [KAPELL_UINT32] = add_row_UINT32, [KAPELL_UINT64] = add_row_UINT64};

// Row and column of entry |i| of a sparse matrix, whose indices are flat or in pairs; they were checked when it was made. A sparse
// initializer has become a dense tensor.
static void place_of(const kapell_value* a, size_t i, int64_t place[2]) {
  const kapell_value* indices = a->kind == KAPELL_KIND_SPARSE ? kp_value_item(a, 1) : NULL;
  const int64_t* at = indices ? indices->data : NULL;
  if (!at) {
    place[0] = (int64_t)i / a->dims[1];
    place[1] = (int64_t)i % a->dims[1];
  } else if (indices->rank == 2) {
    place[0] = at[2 * i];
    place[1] = at[2 * i + 1];
  } else {
    place[0] = at[i] / a->dims[1];
    place[1] = at[i] % a->dims[1];
  }
}

static kp_status* sparse_run(const kp_op_run* run) {
  const kapell_value *a = run->inputs[0], *b = run->inputs[1];
  kapell_value* y = run->outputs[0];
  if (a->rank != 2 || b->rank != 2 || a->type != b->type || !add_rows[b->type])
    return KP_ERROR(RUN_FAILED, "a sparse and a dense matrix of one type are needed");
  const bool turn_a = kp_node_attr_i(run->node, "transA", 0) != 0,
             turn_b = kp_node_attr_i(run->node, "transB", 0) != 0;
  const int64_t inner = a->dims[turn_a ? 0 : 1];
  if (b->dims[turn_b ? 1 : 0] != inner)
    return KP_ERROR(RUN_FAILED, "the product of %lld columns and %lld rows", (long long)inner,
                    (long long)b->dims[turn_b ? 1 : 0]);
  const double alpha = (double)kp_node_attr_f(run->node, "alpha", 1);
  const kapell_value* values = a->kind == KAPELL_KIND_SPARSE ? kp_value_item(a, 0) : a;
  const size_t entries = kp_value_count(values), count = (size_t)y->dims[1],
               size = kp_type_bits(y->type) / 8;
  if (y->byte_count) memset(y->data, 0, y->byte_count);
  for (size_t i = 0; i < entries; ++i) {
    int64_t place[2];
    place_of(a, i, place);
    const size_t row = (size_t)place[turn_a ? 1 : 0], k = (size_t)place[turn_a ? 0 : 1];
    add_rows[b->type](alpha, values->data, i, b->data, turn_b ? k : k * count,
                      turn_b ? (size_t)inner : 1, count, (char*)y->data + row * count * size);
  }
  return NULL;
}

// clang-format off
#define MS "com.microsoft"
static const kp_op_def ops[] = {  // spec: ONNX Runtime's docs/ContribOperators.md
    {.domain = MS, .name = "CDist", .since = 1, .types = KP_M(FLOAT) | KP_M(DOUBLE), .supports = cdist_supports, .run = cdist_run},
    {.domain = MS, .name = "IsAllFinite", .since = 1, .types = KP_M_REALS, .run = all_finite_run, .flags = KP_OP_WIDEN},
    {.domain = MS, .name = "MurmurHash3", .since = 1, .run = murmur_run},
    {.domain = MS, .name = "NGramRepeatBlock", .since = 1, .run = ngram_run},
    {.domain = MS, .name = "TorchEmbedding", .since = 1, .run = embedding_run},
    {.domain = MS, .name = "UnfoldTensor", .since = 1, .run = unfold_run},
    {.domain = MS, .name = "SparseToDenseMatMul", .since = 1, .run = sparse_run},
};
// clang-format on
KP_OP_TABLE(contrib);
