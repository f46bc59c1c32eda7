// com.microsoft QEmbedLayerNormalization: embeddings of bytes looked up, dequantized, added and normalized, a row at a time.
#include <math.h>

#include "provider/cpu/op/quantized/qlinear.h"

enum {
  IN_IDS,
  IN_SEGMENTS,
  IN_WORDS,
  IN_POSITIONS,
  IN_SEGMENT_TABLE,
  IN_GAMMA,
  IN_BETA,
  IN_MASK,
  IN_SCALES,
  IN_ZEROS = 13
};

// Tables in the order of their scales and zero points.
enum { WORDS, POSITIONS, SEGMENTS, GAMMA, BETA, TABLES };
static const uint32_t table_inputs[TABLES] = {IN_WORDS, IN_POSITIONS, IN_SEGMENT_TABLE, IN_GAMMA,
                                              IN_BETA};

typedef struct embed_job {
  const kp_op_run* run;
  const kapell_value* tables[TABLES];
  kp_quant8 quant[TABLES];
  size_t hidden, length;
  float epsilon;
} embed_job;

static kp_status* check_tables(const embed_job* job) {
  for (int t = 0; t < TABLES; ++t) {
    const kapell_value* table = job->tables[t];
    if (!table) continue;
    const bool row = t >= GAMMA;
    if (table->rank != (row ? 1 : 2) || (size_t)table->dims[table->rank - 1] != job->hidden)
      return KP_ERROR(RUN_FAILED, "input %u does not have rows of %zu", (unsigned)table_inputs[t],
                      job->hidden);
  }
  return NULL;
}

static kp_status* check_ids(const kapell_value* ids, const kapell_value* table, const char* name) {
  const size_t count = kp_value_count(ids);
  for (size_t i = 0; i < count; ++i) {
    const int32_t id = ((const int32_t*)ids->data)[i];
    if (id < 0 || id >= table->dims[0])
      return KP_ERROR(RUN_FAILED, "%s[%zu] is %d; its table has %lld rows", name, i, (int)id,
                      (long long)table->dims[0]);
  }
  return NULL;
}

static void add_row(const embed_job* job, int table, size_t row, float* y) {
  const uint8_t* from = (const uint8_t*)job->tables[table]->data + row * job->hidden;
  for (size_t i = 0; i < job->hidden; ++i) y[i] += kp_quant8_real(&job->quant[table], from[i]);
}

static void embed_task(void* arg, size_t token, int worker) {
  (void)worker;
  const embed_job* job = arg;
  const kp_op_run* run = job->run;
  float* y = (float*)run->outputs[0]->data + token * job->hidden;
  memset(y, 0, job->hidden * sizeof *y);
  add_row(job, WORDS, (size_t)((const int32_t*)run->inputs[IN_IDS]->data)[token], y);
  add_row(job, POSITIONS, token % job->length, y);
  if (job->tables[SEGMENTS])
    add_row(job, SEGMENTS, (size_t)((const int32_t*)run->inputs[IN_SEGMENTS]->data)[token], y);
  double sum = 0, squares = 0;
  for (size_t i = 0; i < job->hidden; ++i) sum += (double)y[i];
  const double mean = sum / (double)job->hidden;
  for (size_t i = 0; i < job->hidden; ++i) squares += ((double)y[i] - mean) * ((double)y[i] - mean);
  const float scale = (float)(1 / sqrt(squares / (double)job->hidden + (double)job->epsilon));
  const uint8_t *gamma = job->tables[GAMMA]->data, *beta = job->tables[BETA]->data;
  for (size_t i = 0; i < job->hidden; ++i)
    y[i] = (y[i] - (float)mean) * scale * kp_quant8_real(&job->quant[GAMMA], gamma[i]) +
           kp_quant8_real(&job->quant[BETA], beta[i]);
}

// How many words of each line its mask keeps.
static kp_status* count_words(const kp_op_run* run, size_t lines, size_t length) {
  const kapell_value* mask = kp_run_input(run, IN_MASK);
  int32_t* index = run->outputs[1]->data;
  if (mask && kp_value_count(mask) != lines * length)
    return KP_ERROR(RUN_FAILED, "the mask has %zu elements, not %zu", kp_value_count(mask),
                    lines * length);
  for (size_t line = 0; line < lines; ++line) {
    index[line] = 0;
    for (size_t i = 0; mask && i < length; ++i)
      index[line] += ((const int32_t*)mask->data)[line * length + i] == 1;
  }
  return NULL;
}

static kp_status* embed_run(const kp_op_run* run) {
  const kapell_value *ids = run->inputs[IN_IDS], *segments = kp_run_input(run, IN_SEGMENTS);
  embed_job job = {.run = run, .epsilon = kp_node_attr_f(run->node, "epsilon", 1e-12f)};
  const bool segmented = segments && kp_run_input(run, IN_SEGMENT_TABLE);
  for (uint32_t t = 0; t < TABLES; ++t) {
    if (t == SEGMENTS && !segmented) continue;
    job.tables[t] = run->inputs[table_inputs[t]];
    KP_PASS(kp_quant8_read(run, IN_SCALES + t, IN_ZEROS + t, job.tables[t]->type, &job.quant[t]));
  }
  job.hidden = (size_t)job.tables[WORDS]->dims[job.tables[WORDS]->rank - 1];
  job.length = (size_t)ids->dims[1];
  KP_PASS(check_tables(&job));
  KP_PASS(check_ids(ids, job.tables[WORDS], "input_ids"));
  if ((size_t)job.tables[POSITIONS]->dims[0] < job.length)
    return KP_ERROR(RUN_FAILED, "%zu words; there are %lld positions", job.length,
                    (long long)job.tables[POSITIONS]->dims[0]);
  if (segmented) {
    if (kp_value_count(segments) != kp_value_count(ids))
      return KP_ERROR(RUN_FAILED, "segment_ids and input_ids differ in size");
    KP_PASS(check_ids(segments, job.tables[SEGMENTS], "segment_ids"));
  }
  if (kp_op_wants(run, 0) && kp_value_count(run->outputs[0]))
    kp_parallel_for(kp_op_width(run->width, kp_value_count(run->outputs[0]) * 4),
                    kp_value_count(ids), embed_task, &job);
  return kp_op_wants(run, 1) ? count_words(run, (size_t)ids->dims[0], job.length) : NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX Runtime, docs/ContribOperators.md
    {.domain = "com.microsoft", .name = "QEmbedLayerNormalization", .since = 1, .types = KP_M(INT32), .run = embed_run},
};
// clang-format on
KP_OP_TABLE(qembed);
