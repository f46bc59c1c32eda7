// Where and Clip: elementwise choices over all types.
#include "provider/cpu/op/copy.h"
#include "provider/cpu/op/map.h"

// --- Where -------------------------------------------------------------------------------------------------------------------
#define SELECT(bits, c_type)                                              \
  static void select_##bits(const void* context, const kp_map_block* b) { \
    (void)context;                                                        \
    for (size_t r = 0; r < b->rows; ++r) {                                \
      const uint8_t* c = (const uint8_t*)b->in[0] + r * b->row[0];        \
      const c_type* x = (const c_type*)b->in[1] + r * b->row[1];          \
      const c_type* y = (const c_type*)b->in[2] + r * b->row[2];          \
      c_type* out = (c_type*)b->out + r * b->cols;                        \
      for (size_t i = 0; i < b->cols; ++i) {                              \
        const c_type u = x[i * b->step[1]], v = y[i * b->step[2]];        \
        out[i] = c[i * b->step[0]] ? u : v;                               \
      }                                                                   \
    }                                                                     \
  }
typedef struct kp_wide {
  uint64_t part[2];
} kp_wide;
SELECT(8, uint8_t)
SELECT(16, uint16_t)
SELECT(32, uint32_t)
SELECT(64, uint64_t)
SELECT(128, kp_wide)

static kp_map_fn select_for(unsigned bits) {
  switch (bits) {
    case 8:
      return select_8;
    case 16:
      return select_16;
    case 32:
      return select_32;
    case 64:
      return select_64;
    default:
      return select_128;
  }
}

static kp_status* where_plan(kp_op_plan* plan) {
  kp_map* map = kp_arena_new(plan->arena, kp_map);
  if (!map) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  if (plan->inputs[1]->type != plan->inputs[2]->type)
    return KP_ERROR(RUN_FAILED, "X and Y are of different types");
  plan->params = map;
  return kp_map_init(map, plan->arena, 3, plan->inputs, plan->outputs[0]);
}

static size_t offset_of(const kp_map* map, uint32_t input, size_t index) {
  size_t offset = 0;
  for (int32_t d = map->rank; d-- > 0;) {
    offset += index % (size_t)map->dims[d] * (size_t)map->strides[input][d];
    index /= (size_t)map->dims[d];
  }
  return offset;
}

static kp_status* where_strings(const kp_op_run* run) {
  const kp_map* map = run->params;
  const uint8_t* condition = run->inputs[0]->data;
  for (size_t i = 0; i < map->count; ++i) {
    const uint32_t from = condition[offset_of(map, 0, i)] ? 1 : 2;
    KP_PASS(kp_copy_elements(run->outputs[0], i, run->inputs[from], offset_of(map, from, i), 1));
  }
  return NULL;
}

static kp_status* where_run(const kp_op_run* run) {
  const kapell_type type = run->inputs[1]->type;
  if (type == KAPELL_STRING) return where_strings(run);
  const unsigned bits = kp_type_bits(type);
  const void* in[3] = {run->inputs[0]->data, run->inputs[1]->data, run->inputs[2]->data};
  const size_t sizes[3] = {1, bits / 8, bits / 8};
  kp_map_run(run->params, select_for(bits), NULL, in, sizes, run->outputs[0]->data, bits / 8,
             run->width, 1);
  return NULL;
}

// --- Clip --------------------------------------------------------------------------------------------------------------------
typedef struct kp_clip_job {
  const kp_op_run* run;
  const kapell_value *low, *high;  // NULL = no limit
  double low_attr, high_attr;      // opset below 11
  bool by_attr;
  size_t count, tasks;
} kp_clip_job;

// A NaN stays one; where the limits cross, the upper one wins (numpy's minimum of the maximum).
#define CLIP(type, c_type)                                                               \
  static void clip_##type(const kp_clip_job* job, size_t first, size_t last) {           \
    const c_type* x = job->run->inputs[0]->data;                                         \
    c_type* y = job->run->outputs[0]->data;                                              \
    const bool has_low = job->by_attr || job->low, has_high = job->by_attr || job->high; \
    const c_type low = job->by_attr ? (c_type)job->low_attr                              \
                       : job->low   ? *(const c_type*)job->low->data                     \
                                    : 0;                                                   \
    const c_type high = job->by_attr ? (c_type)job->high_attr                            \
                        : job->high  ? *(const c_type*)job->high->data                   \
                                     : 0;                                                 \
    for (size_t i = first; i < last; ++i) {                                              \
      c_type u = x[i];                                                                   \
      if (has_low && u < low) u = low;                                                   \
      if (has_high && u > high) u = high;                                                \
      y[i] = u;                                                                          \
    }                                                                                    \
  }
KP_EACH_NUMBER(CLIP)

static void clip_range(const kp_clip_job* job, size_t first, size_t last) {
  switch (job->run->inputs[0]->type) {
#define CASE(type, c_type)         \
  case KAPELL_##type:              \
    clip_##type(job, first, last); \
    return;
    KP_EACH_NUMBER(CASE)
#undef CASE
    default:
      return;
  }
}

static void clip_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_clip_job* job = arg;
  size_t first, last;
  kp_share(job->count, job->tasks, task, &first, &last);
  clip_range(job, first, last);
}

static kp_status* clip_run(const kp_op_run* run) {
  kp_clip_job job = {.run = run, .count = kp_value_count(run->inputs[0])};
  job.by_attr = run->node->version < 11;
  job.low_attr = kp_node_attr_f(run->node, "min", -3.402823466e+38f);
  job.high_attr = kp_node_attr_f(run->node, "max", 3.402823466e+38f);
  job.low = kp_run_input(run, 1);
  job.high = kp_run_input(run, 2);
  if ((job.low && kp_value_count(job.low) != 1) || (job.high && kp_value_count(job.high) != 1))
    return KP_ERROR(RUN_FAILED, "a limit that is no scalar");
  const int threads = kp_op_width(run->width, job.count);
  job.tasks = (size_t)threads;
  kp_parallel_for(threads, job.tasks, clip_task, &job);
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators Where-9..16, Clip-1..13
    {.name = "Where", .since = 9, .types = KP_M(BOOL), .plan = where_plan, .run = where_run},
    {.name = "Clip", .since = 1, .types = KP_M_NUMBERS, .run = clip_run, .flags = KP_OP_INPLACE | KP_OP_WIDEN},
};
// clang-format on
KP_OP_TABLE(select);
