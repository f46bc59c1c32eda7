// com.microsoft GatherBlockQuantized: Gather from a table of integers or small floats that are scaled block by block along one axis.
// Only what is gathered is dequantised. An index out of range gives zeros, as the operator's documentation has it.
#include "provider/cpu/op/element.h"

typedef struct blocks_params {
  int32_t gather_axis, quantize_axis, rank;
  unsigned each;  // weights in a byte of uint8 data
  size_t block;
  size_t inner;                       // weights of one slice
  int64_t dims[KP_MAX_RANK];          // of the data, in weights
  size_t scale_strides[KP_MAX_RANK];  // 0 where one scale serves all
  size_t scale_row, zero_row;         // last dim of the scales; bytes of packed zero points for it
} blocks_params;

static kp_reason blocks_supports(const kp_op_query* query) {
  const int64_t bits = kp_node_attr_i(query->node, "bits", 4);
  const int64_t block = kp_node_attr_i(query->node, "block_size", 128);
  KP_REQUIRE(query, bits == 2 || bits == 4 || bits == 8, "bits = %lld; expected 2, 4 or 8",
             (long long)bits);
  KP_REQUIRE(query, block == 0 || (block >= 16 && (block & (block - 1)) == 0),
             "block_size = %lld; expected 0 or a power of two from 16 on", (long long)block);
  return KP_SUPPORTED;
}

// Strides of the scales against the data's dims; every dim has to fit.
static kp_status* set_scales(blocks_params* p, const kapell_value* scales) {
  size_t stride = 1;
  for (int32_t d = p->rank; d-- > 0;) {
    const int64_t size = d == p->quantize_axis
                             ? (p->dims[d] + (int64_t)p->block - 1) / (int64_t)p->block
                             : p->dims[d];
    const int64_t have = scales->dims[d];
    if (have != size && (have != 1 || d == p->quantize_axis))
      return KP_ERROR(RUN_FAILED, "dim %d of the scales is %lld, not %lld", (int)d, (long long)have,
                      (long long)size);
    p->scale_strides[d] = have == 1 ? 0 : stride;
    stride *= (size_t)have;
  }
  p->scale_row = (size_t)scales->dims[p->rank - 1];
  p->zero_row = (p->scale_row + p->each - 1) / p->each;
  return NULL;
}

static kp_status* check_zeros(const blocks_params* p, const kapell_value* scales,
                              const kapell_value* zeros) {
  if (!zeros) return NULL;
  if (kp_type_is_float(zeros->type))
    return KP_ERROR(RUN_FAILED, "zero_points of %s; scaled floats have none",
                    kp_type_name(zeros->type));
  const size_t wanted = p->scale_row ? kp_value_count(scales) / p->scale_row * p->zero_row : 0;
  if (kp_value_count(zeros) == wanted) return NULL;
  return KP_ERROR(RUN_FAILED, "zero_points has %zu elements, not %zu as the scales say",
                  kp_value_count(zeros), wanted);
}

static kp_status* blocks_plan(kp_op_plan* plan) {
  blocks_params* p = kp_arena_new(plan->arena, blocks_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  const kapell_value *data = plan->inputs[0], *scales = plan->inputs[2];
  const int64_t gather = kp_node_attr_i(plan->node, "gather_axis", 0),
                quantize = kp_node_attr_i(plan->node, "quantize_axis", 1);
  p->rank = data->rank;
  if (!kp_axis(gather, p->rank, &p->gather_axis) || !kp_axis(quantize, p->rank, &p->quantize_axis))
    return KP_ERROR(RUN_FAILED, "gather_axis %lld or quantize_axis %lld of a tensor of rank %d",
                    (long long)gather, (long long)quantize, (int)p->rank);
  if (scales->rank != p->rank)
    return KP_ERROR(RUN_FAILED, "scales of rank %d for data of rank %d", (int)scales->rank,
                    (int)p->rank);
  p->each = data->type == KAPELL_UINT8 ? 8 / (unsigned)kp_node_attr_i(plan->node, "bits", 4) : 1;
  if (p->each > 1 && p->gather_axis == p->rank - 1)
    return KP_ERROR(RUN_FAILED, "gather_axis is the last one, along which weights share bytes");
  for (int32_t d = 0; d < p->rank; ++d) p->dims[d] = data->dims[d];
  p->dims[p->rank - 1] *= p->each;
  p->inner = 1;
  for (int32_t d = p->gather_axis + 1; d < p->rank; ++d) p->inner *= (size_t)p->dims[d];
  const int64_t block = kp_node_attr_i(plan->node, "block_size", 128);
  p->block = (size_t)(block ? block : kp_max_i64(p->dims[p->quantize_axis], 1));
  KP_PASS(set_scales(p, scales));
  return check_zeros(p, scales, kp_plan_input(plan, 3));
}

// --- run ---------------------------------------------------------------------------------------------------------------------
// Weights that are handled at once.
enum { kPiece = 128 };

typedef struct blocks_job {
  const kp_op_run* run;
  const kapell_value *data, *indices, *zeros;
  size_t count;  // indices
} blocks_job;

static unsigned packed_at(const uint8_t* row, unsigned each, size_t index) {
  const unsigned bits = 8 / each;
  return row[index / each] >> (index % each * bits) & ((1u << bits) - 1);
}

// Weights of 4 bits, two a byte.
static void load_nibbles(const uint8_t* data, size_t at, size_t count, float* out) {
  size_t i = 0;
  if (at % 2 && count) out[i++] = (float)(data[at / 2] >> 4);
  const uint8_t* bytes = data + (at + i) / 2;
  for (; i + 2 <= count; i += 2, ++bytes) {
    out[i] = (float)(*bytes & 15);
    out[i + 1] = (float)(*bytes >> 4);
  }
  if (i < count) out[i] = (float)(*bytes & 15);
}

// |count| weights from |at| on as floats, no zero point taken off.
static void load_weights(const blocks_job* job, size_t at, size_t count, float* out) {
  const blocks_params* p = job->run->params;
  const kapell_value* data = job->data;
  double reals[kPiece];
  int64_t wholes[kPiece];
  if (data->type == KAPELL_UINT8 && p->each == 2) {
    load_nibbles(data->data, at, count, out);
  } else if (data->type == KAPELL_UINT8) {
    for (size_t i = 0; i < count; ++i) out[i] = (float)packed_at(data->data, p->each, at + i);
  } else if (kp_type_is_integer(data->type)) {
    kp_load_whole(data->type, data->data, at, count, wholes);
    for (size_t i = 0; i < count; ++i) out[i] = (float)wholes[i];
  } else {
    kp_load_real(data->type, data->data, at, count, reals);
    for (size_t i = 0; i < count; ++i) out[i] = (float)reals[i];
  }
}

static size_t scale_index(const blocks_params* p, size_t at) {
  size_t index = 0;
  for (int32_t d = p->rank; d-- > 0;) {
    const size_t position = at % (size_t)p->dims[d];
    at /= (size_t)p->dims[d];
    index += (d == p->quantize_axis ? position / p->block : position) * p->scale_strides[d];
  }
  return index;
}

static float zero_at(const blocks_job* job, size_t index) {
  const blocks_params* p = job->run->params;
  if (job->data->type == KAPELL_UINT8) {
    if (!job->zeros) return (float)(1u << (8 / p->each - 1));
    const uint8_t* row = (const uint8_t*)job->zeros->data + index / p->scale_row * p->zero_row;
    return (float)packed_at(row, p->each, index % p->scale_row);
  }
  int64_t zero = 0;
  if (job->zeros) kp_load_whole(job->zeros->type, job->zeros->data, index, 1, &zero);
  return (float)zero;
}

// Scales and results may be 16-bit floats: only those that are used are converted.
static float scale_at(const kapell_value* scales, size_t index) {
  if (scales->type == KAPELL_FLOAT) return ((const float*)scales->data)[index];
  const uint16_t half = ((const uint16_t*)scales->data)[index];
  return scales->type == KAPELL_FLOAT16 ? kp_f16_to_f32(half) : kp_bf16_to_f32(half);
}

static void store(kapell_value* y, size_t at, size_t count, const float* from) {
  uint16_t* halves = (uint16_t*)y->data + at;
  if (y->type == KAPELL_FLOAT) {
    memcpy((float*)y->data + at, from, count * sizeof *from);
  } else if (y->type == KAPELL_FLOAT16) {
    for (size_t i = 0; i < count; ++i) halves[i] = kp_f16_from_f32(from[i]);
  } else {
    for (size_t i = 0; i < count; ++i) halves[i] = kp_bf16_from_f32(from[i]);
  }
}

// One slice: weights from |at| on, in runs that share a scale, to the result from |to| on.
static void gather_slice(const blocks_job* job, size_t at, size_t to) {
  const blocks_params* p = job->run->params;
  const kapell_value* scales = job->run->inputs[2];
  const bool along = p->quantize_axis == p->rank - 1;
  const size_t row = (size_t)p->dims[p->rank - 1];
  float piece[kPiece];
  size_t count = 1;
  for (size_t i = 0; i < p->inner; i += count) {
    if (along) {
      const size_t column = (at + i) % row,
                   end = kp_min_size(row, (column / p->block + 1) * p->block);
      count = kp_min_size(kp_min_size(end - column, p->inner - i), kPiece);
    }
    const size_t index = scale_index(p, at + i);
    const float zero = zero_at(job, index), scale = scale_at(scales, index);
    load_weights(job, at + i, count, piece);
    for (size_t j = 0; j < count; ++j) piece[j] = (piece[j] - zero) * scale;
    store(job->run->outputs[0], to + i, count, piece);
  }
}

static void blocks_task(void* arg, size_t task, int worker) {
  (void)worker;
  const blocks_job* job = arg;
  const blocks_params* p = job->run->params;
  if (kp_cancelled(job->run)) return;
  const int64_t dim = p->dims[p->gather_axis];
  int64_t index = kp_int_at(job->indices, task % job->count);
  if (index < -dim || index >= dim) {
    kapell_value* y = job->run->outputs[0];
    const size_t each = kp_type_bits(y->type) / 8;
    memset((char*)y->data + task * p->inner * each, 0, p->inner * each);
    return;
  }
  if (index < 0) index += dim;
  gather_slice(job, (task / job->count * (size_t)dim + (size_t)index) * p->inner, task * p->inner);
}

static kp_status* blocks_run(const kp_op_run* run) {
  const blocks_params* p = run->params;
  blocks_job job = {
      .run = run, .data = run->inputs[0], .indices = run->inputs[1], .zeros = kp_run_input(run, 3)};
  const size_t total = kp_value_count(run->outputs[0]);
  if (!total) return NULL;
  job.count = kp_value_count(job.indices);
  kp_parallel_for(kp_op_width(run->width, total * 2), total / p->inner, blocks_task, &job);
  return NULL;
}

// clang-format off
#define M_DATA (KP_M(UINT8) | KP_M(INT4) | KP_M(UINT4) | KP_M(FLOAT8E4M3FN) | KP_M(FLOAT8E4M3FNUZ) | KP_M(FLOAT8E5M2) | \
                KP_M(FLOAT8E5M2FNUZ) | KP_M(FLOAT4E2M1))
static const kp_op_def ops[] = {  // spec: ONNX Runtime, docs/ContribOperators.md
    {.domain = "com.microsoft", .name = "GatherBlockQuantized", .since = 1, .types = M_DATA, .supports = blocks_supports,
     .plan = blocks_plan, .run = blocks_run},
};
// clang-format on
KP_OP_TABLE(gather_blocks);
