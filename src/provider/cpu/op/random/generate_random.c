// RandomNormal, RandomUniform, their Like forms, Bernoulli, Multinomial, on the streams of random.h.
//
// Element i takes its own words of the stream: f32 (and what is rounded from it) word i, f64 words 2 i and 2 i + 1, normal numbers by
// pairs, by the method of Box and Muller.
#include <math.h>

#include "provider/cpu/op/element.h"
#include "provider/cpu/op/random/random.h"

#define PI 3.14159265358979323846

typedef struct kp_random_job {
  const kp_op_run* run;
  kp_draws draws;
  double low, scale, high;  // low (or the mean), high - low (or the deviation)
  size_t blocks, tasks;
  const double* sums;  // Multinomial: running sums of each row's chances
} kp_random_job;

static kp_status* random_prepare(kp_op_prepare* prepare) {
  kp_random* random;
  KP_PASS(kp_random_create(prepare, &random));
  prepare->state = random;
  prepare->kernel = "philox4x32";
  return NULL;
}

static void run_blocks(kp_random_job* job, size_t blocks, size_t cost, kp_task_fn fn) {
  const int threads = kp_op_width(job->run->width, blocks * cost);
  job->blocks = blocks;
  job->tasks = kp_min_size(blocks, (size_t)threads * 4);
  kp_parallel_for(threads, job->tasks, fn, job);
}

// --- uniform and normal ------------------------------------------------------------------------------------------------------
// In [low, high): what rounding puts on |high| falls back to the number below.
static void uniform_block(const kp_random_job* job, const uint32_t* words, size_t first,
                          size_t count) {
  kapell_value* y = job->run->outputs[0];
  for (size_t i = 0; i < count; ++i) {
    if (y->type == KAPELL_DOUBLE) {
      const double value = job->low + job->scale * kp_words_unit(words + 2 * i);
      ((double*)y->data)[first + i] =
          value >= job->high && job->scale > 0 ? nextafter(job->high, job->low) : value;
    } else {
      const float value = (float)(job->low + job->scale * ((double)(words[i] >> 8) * 0x1p-24));
      const float high = (float)job->high;
      ((float*)y->data)[first + i] =
          value >= high && job->scale > 0 ? nextafterf(high, (float)job->low) : value;
    }
  }
}

// The first of a pair is never 0, so that its logarithm is finite.
static void normal_pair(double u, double v, double* out) {
  const double radius = sqrt(-2 * log(u));
  out[0] = radius * cos(2 * PI * v);
  out[1] = radius * sin(2 * PI * v);
}

static void normal_block(const kp_random_job* job, const uint32_t* words, size_t first,
                         size_t count) {
  kapell_value* y = job->run->outputs[0];
  double z[4];
  if (y->type == KAPELL_DOUBLE) {
    normal_pair(1 - kp_words_unit(words), kp_words_unit(words + 2), z);
    for (size_t i = 0; i < count; ++i) ((double*)y->data)[first + i] = job->low + job->scale * z[i];
    return;
  }
  for (size_t i = 0; i < 4; i += 2)
    normal_pair(((double)words[i] + 1) * 0x1p-32, (double)words[i + 1] * 0x1p-32, z + i);
  for (size_t i = 0; i < count; ++i)
    ((float*)y->data)[first + i] = (float)(job->low + job->scale * z[i]);
}

static void numbers_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_random_job* job = arg;
  const kapell_value* y = job->run->outputs[0];
  const bool normal = strstr(job->run->node->op, "Normal") != NULL;
  const size_t each = y->type == KAPELL_DOUBLE ? 2 : 4, count = kp_value_count(y);
  size_t first, last;
  kp_share(job->blocks, job->tasks, task, &first, &last);
  for (size_t block = first; block < last; ++block) {
    if (block % 4096 == 0 && kp_cancelled(job->run)) return;
    uint32_t words[4];
    kp_draw_block(&job->draws, block, words);
    (normal ? normal_block : uniform_block)(job, words, block * each,
                                            kp_min_size(each, count - block * each));
  }
}

static kp_status* numbers_run(const kp_op_run* run) {
  const kp_node* node = run->node;
  const bool normal = strstr(node->op, "Normal") != NULL;
  kp_random_job job = {.run = run, .draws = kp_random_begin(run->state)};
  job.low = (double)kp_node_attr_f(node, normal ? "mean" : "low", 0);
  job.high = (double)kp_node_attr_f(node, normal ? "scale" : "high", 1);
  job.scale = normal ? job.high : job.high - job.low;
  const size_t count = kp_value_count(run->outputs[0]),
               each = run->outputs[0]->type == KAPELL_DOUBLE ? 2 : 4;
  run_blocks(&job, count / each + (count % each != 0), normal ? 120 : 20, numbers_task);
  return NULL;
}

static kp_reason numbers_supports(const kp_op_query* query) {
  const kp_value* y = kp_node_output(query->graph, query->node, 0);
  const kapell_type type = y ? y->type.element : KAPELL_UNDEFINED;
  KP_REQUIRE(query, type == KAPELL_UNDEFINED || KP_M_REALS & kp_type_mask(type),
             "random numbers of type %s; a floating-point 'dtype' is needed", kp_type_name(type));
  return KP_SUPPORTED;
}

// --- Bernoulli ---------------------------------------------------------------------------------------------------------------
static void bernoulli_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_random_job* job = arg;
  static const kp_rounding rounding = {.saturate = true};
  const kapell_value* p = job->run->inputs[0];
  kapell_value* y = job->run->outputs[0];
  size_t first, last;
  kp_share(job->blocks, job->tasks, task, &first, &last);
  for (size_t i = first; i < last; ++i) {
    if (i % 4096 == 0 && kp_cancelled(job->run)) return;
    const int64_t one = kp_draw_unit(&job->draws, i) < kp_double_at(p, i);
    kp_store_whole(y->type, y->data, i, 1, &one, false, &rounding);
  }
}

static kp_status* bernoulli_run(const kp_op_run* run) {
  kp_random_job job = {.run = run, .draws = kp_random_begin(run->state)};
  run_blocks(&job, kp_value_count(run->outputs[0]), 25, bernoulli_task);
  return NULL;
}

// --- Multinomial -------------------------------------------------------------------------------------------------------------
// Running sums of exp(x - max); the last one is the total.
static kp_status* sum_chances(const kapell_value* x, size_t row, size_t classes, double* sums) {
  double most = -(double)INFINITY, total = 0;
  for (size_t c = 0; c < classes; ++c) most = fmax(most, kp_double_at(x, row * classes + c));
  for (size_t c = 0; c < classes; ++c)
    sums[c] = total += exp(kp_double_at(x, row * classes + c) - most);
  if (total > 0 && isfinite(total)) return NULL;
  return KP_ERROR(RUN_FAILED, "row %zu of the input has no finite log-probabilities to draw from",
                  row);
}

// The first class whose running sum exceeds |at|: none of chance 0 is drawn.
static size_t find_class(const double* sums, size_t classes, double at) {
  size_t low = 0, high = classes - 1;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (sums[middle] > at)
      high = middle;
    else
      low = middle + 1;
  }
  while (low && sums[low] == sums[low - 1]) --low;
  return low;
}

static void multinomial_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_random_job* job = arg;
  kapell_value* y = job->run->outputs[0];
  const size_t classes = (size_t)job->run->inputs[0]->dims[1], samples = (size_t)y->dims[1];
  size_t first, last;
  kp_share(job->blocks, job->tasks, task, &first, &last);
  for (size_t i = first; i < last; ++i) {
    const double* sums = job->sums + i / samples * classes;
    const size_t drawn =
        find_class(sums, classes, kp_draw_unit(&job->draws, i) * sums[classes - 1]);
    if (y->type == KAPELL_INT64)
      ((int64_t*)y->data)[i] = (int64_t)drawn;
    else
      ((int32_t*)y->data)[i] = (int32_t)drawn;
  }
}

static kp_status* multinomial_plan(kp_op_plan* plan) {
  if (kp_mul_size(kp_value_count(plan->inputs[0]), sizeof(double), &plan->scratch_bytes))
    return NULL;
  return KP_ERROR(LIMIT, "scratch memory exceeds the address space");
}

static kp_status* multinomial_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  const size_t rows = (size_t)x->dims[0], classes = (size_t)x->dims[1];
  if (!kp_value_count(run->outputs[0])) return NULL;
  if (!classes) return KP_ERROR(RUN_FAILED, "no classes to draw from");
  double* sums = run->scratch;
  for (size_t row = 0; row < rows; ++row)
    KP_PASS(sum_chances(x, row, classes, sums + row * classes));
  kp_random_job job = {.run = run, .draws = kp_random_begin(run->state), .sums = sums};
  run_blocks(&job, kp_value_count(run->outputs[0]), 40, multinomial_task);
  return NULL;
}

static kp_reason multinomial_supports(const kp_op_query* query) {
  const kp_value* y = kp_node_output(query->graph, query->node, 0);
  const kapell_type type = y ? y->type.element : KAPELL_UNDEFINED;
  KP_REQUIRE(query, type == KAPELL_UNDEFINED || type == KAPELL_INT32 || type == KAPELL_INT64,
             "indices of type %s; 'dtype' is int32 or int64", kp_type_name(type));
  return KP_SUPPORTED;
}

// clang-format off
#define NUMBERS(op) \
  {.name = op, .since = 1, .supports = numbers_supports, .prepare = random_prepare, .run = numbers_run, .flags = KP_OP_WIDEN}
static const kp_op_def ops[] = {  // spec: ONNX operators of these names
    NUMBERS("RandomNormal"), NUMBERS("RandomUniform"), NUMBERS("RandomNormalLike"), NUMBERS("RandomUniformLike"),
    {.name = "Bernoulli", .since = 15, .types = KP_M_REALS, .prepare = random_prepare, .run = bernoulli_run, .flags = KP_OP_WIDEN},
    {.name = "Multinomial", .since = 7, .types = KP_M_REALS, .supports = multinomial_supports, .prepare = random_prepare,
     .plan = multinomial_plan, .run = multinomial_run, .flags = KP_OP_WIDEN},
};
// clang-format on
KP_OP_TABLE(generate_random);
