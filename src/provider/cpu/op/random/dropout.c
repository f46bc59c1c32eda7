// Dropout: in inference a copy, in training each element is kept with probability 1 - ratio and scaled by 1 / (1 - ratio).
//
// Whether it trains: attribute is_test until opset 6, never in 7 to 11, input training_mode from 12 on, which may be known in the run
// only. Without a seed, element i goes where word i of the run's stream (random.h), as a multiple of 2^-32, is below the ratio. With
// one, where number i of NumPy's RandomState(seed + run) is, so that the first run of a session drops what ONNX's reference drops.
#include "provider/cpu/op/copy.h"
#include "provider/cpu/op/element.h"
#include "provider/cpu/op/random/mersenne.h"
#include "provider/cpu/op/random/random.h"

#define BLOCK 4  // words, and elements, of a block of the stream

static kp_status* dropout_prepare(kp_op_prepare* prepare) {
  kp_random* random;
  KP_PASS(kp_random_create(prepare, &random));
  prepare->state = random;
  prepare->kernel = "philox4x32";
  return NULL;
}

static bool trains(const kp_op_run* run) {
  const kp_node* node = run->node;
  if (node->version < 7) return kp_node_attr_i(node, "is_test", 0) == 0;
  const kapell_value* mode = node->version < 12 ? NULL : kp_run_input(run, 2);
  return mode && kp_value_count(mode) && kp_int_at(mode, 0) != 0;
}

static kp_status* ratio_of(const kp_op_run* run, double* out_ratio) {
  const kapell_value* input = run->node->version < 12 ? NULL : kp_run_input(run, 1);
  *out_ratio = (double)kp_node_attr_f(run->node, "ratio", 0.5f);
  if (input && kp_value_count(input)) kp_load_real(input->type, input->data, 0, 1, out_ratio);
  if (*out_ratio >= 0 && *out_ratio < 1) return NULL;
  return KP_ERROR(RUN_FAILED, "ratio %g is outside of [0, 1)", *out_ratio);
}

typedef struct kp_dropout_job {
  const kp_op_run* run;
  kp_draws draws;
  kp_mersenne* seeded;  // NULL: |draws|
  double ratio;
  size_t count, tasks;
} kp_dropout_job;

// The mask is of bools, before opset 10 of the data's type.
static void store_mask(kapell_value* mask, size_t first, size_t count, const double* kept) {
  static const kp_rounding rounding = {.saturate = true};
  if (!mask) return;
  if (mask->type != KAPELL_BOOL) {
    kp_store_real(mask->type, mask->data, first, count, kept, &rounding);
    return;
  }
  for (size_t i = 0; i < count; ++i) ((uint8_t*)mask->data)[first + i] = kept[i] != 0;
}

static void draw_units(const kp_dropout_job* job, size_t block, double units[BLOCK]) {
  uint32_t words[BLOCK];
  if (!job->seeded) kp_draw_block(&job->draws, block, words);
  for (size_t i = 0; i < BLOCK; ++i)
    units[i] = job->seeded ? kp_mersenne_unit(job->seeded) : (double)words[i] * 0x1p-32;
}

static void drop_block(const kp_dropout_job* job, size_t block) {
  static const kp_rounding rounding = {.saturate = true};
  const kapell_value* x = job->run->inputs[0];
  kapell_value* y = kp_run_result(job->run, 0);
  const size_t first = block * BLOCK, count = kp_min_size(BLOCK, job->count - first);
  double numbers[BLOCK], kept[BLOCK], units[BLOCK];
  draw_units(job, block, units);
  kp_load_real(x->type, x->data, first, count, numbers);
  for (size_t i = 0; i < count; ++i) {
    kept[i] = units[i] >= job->ratio;
    numbers[i] = kept[i] != 0 ? numbers[i] / (1 - job->ratio) : 0;
  }
  if (y) kp_store_real(y->type, y->data, first, count, numbers, &rounding);
  store_mask(kp_run_result(job->run, 1), first, count, kept);
}

static void dropout_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_dropout_job* job = arg;
  size_t first, last;
  kp_share((job->count + BLOCK - 1) / BLOCK, job->tasks, task, &first, &last);
  for (size_t block = first; block < last; ++block) drop_block(job, block);
}

// Everything stays in its place.
static kp_status* keep_all(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  kapell_value *y = kp_run_result(run, 0), *mask = kp_run_result(run, 1);
  const double ones[BLOCK] = {1, 1, 1, 1};
  const size_t count = kp_value_count(x);
  if (y && y->data != x->data) KP_PASS(kp_copy_elements(y, 0, x, 0, count));
  for (size_t at = 0; mask && at < count; at += BLOCK)
    store_mask(mask, at, kp_min_size(BLOCK, count - at), ones);
  return NULL;
}

static kp_status* dropout_run(const kp_op_run* run) {
  kp_dropout_job job = {.run = run, .count = kp_value_count(run->inputs[0])};
  if (!trains(run)) return keep_all(run);
  KP_PASS(ratio_of(run, &job.ratio));
  if (job.ratio == 0) return keep_all(run);
  job.draws = kp_random_begin(run->state);
  if (!job.count) return NULL;
  kp_mersenne seeded;
  const kp_attr* seed = kp_node_attr(run->node, "seed");
  if (seed && seed->type == KP_ONNX_ATTR_INT) {
    kp_mersenne_seed(&seeded, (uint32_t)((uint64_t)seed->i + job.draws.run[0]));
    job.seeded = &seeded;
  }
  const int threads = job.seeded ? 1 : kp_op_width(run->width, job.count * 12);
  job.tasks = (size_t)threads;
  kp_parallel_for(threads, job.tasks, dropout_task, &job);
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators Dropout-1..22
    {.name = "Dropout", .since = 1, .types = KP_M_REALS | KP_M_EIGHTS, .prepare = dropout_prepare, .run = dropout_run},
};
// clang-format on
KP_OP_TABLE(dropout);
