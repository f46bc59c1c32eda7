// Windows and the mel scale: HannWindow, HammingWindow, BlackmanWindow, MelWeightMatrix. Computed in double precision and rounded once.
#include <math.h>

#include "provider/cpu/op/element.h"

#define PI 3.14159265358979323846

static const kp_rounding kRounding = {.saturate = true};

// --- windows -----------------------------------------------------------------------------------------------------------------
typedef struct kp_window_row {
  const char* name;
  double terms[3];  // of cos(2 pi k n / N): alternating signs are in them
} kp_window_row;

static const kp_window_row kWindows[] = {
    {"HannWindow", {0.5, -0.5, 0}},
    {"HammingWindow", {25.0 / 46, -21.0 / 46, 0}},
    {"BlackmanWindow", {0.42, -0.5, 0.08}},
};

enum { WINDOW_BLOCK = 4096 };  // samples of a task

typedef struct window_job {
  const kp_window_row* row;
  kapell_value* y;
  double period;
  size_t count;
} window_job;

static void window_task(void* arg, size_t task, int worker) {
  (void)worker;
  const window_job* job = arg;
  const size_t last = kp_min_size(job->count, (task + 1) * WINDOW_BLOCK);
  for (size_t n = task * WINDOW_BLOCK; n < last; ++n) {
    const double angle = 2 * PI * (double)n / job->period;
    const double value =
        job->row->terms[0] + job->row->terms[1] * cos(angle) + job->row->terms[2] * cos(2 * angle);
    kp_store_real(job->y->type, job->y->data, n, 1, &value, &kRounding);
  }
}

static kp_status* window_run(const kp_op_run* run) {
  kapell_value* y = run->outputs[0];
  const size_t count = kp_value_count(y);
  const bool periodic = kp_node_attr_i(run->node, "periodic", 1) != 0;
  // A period of 0 gives NaN, as the schema's body does.
  window_job job = {.row = kWindows,
                    .y = y,
                    .period = periodic ? (double)count : (double)count - 1,
                    .count = count};
  while (strcmp(job.row->name, run->node->op) != 0) ++job.row;
  const size_t tasks = count / WINDOW_BLOCK + (count % WINDOW_BLOCK != 0);
  if (tasks) kp_parallel_for(kp_op_width(run->width, count * 40), tasks, window_task, &job);
  return NULL;
}

// --- MelWeightMatrix ---------------------------------------------------------------------------------------------------------
typedef struct kp_mel {
  double low, step;  // in mel
  double length, sample_rate;
} kp_mel;

static double mel_of(double hertz) { return 2595 * log10(1 + hertz / 700); }

// The bin of the spectrum that edge |index| of the triangles falls on.
static double edge_bin(const kp_mel* mel, size_t index) {
  const double hertz = 700 * (pow(10, (mel->low + mel->step * (double)index) / 2595) - 1);
  return floor((mel->length + 1) * hertz / mel->sample_rate);
}

// Entry (bin, band) of [bins][bands]; what falls outside of the spectrum has no place.
static void put(kapell_value* y, double bin, size_t band, double value) {
  if (!(bin >= 0) || bin >= (double)y->dims[0]) return;
  kp_store_real(y->type, y->data, (size_t)bin * (size_t)y->dims[1] + band, 1, &value, &kRounding);
}

// The triangle from |low| over |center| to |high|.
static void fill_band(kapell_value* y, size_t band, double low, double center, double high) {
  const double bins = (double)y->dims[0];
  if (center == low)
    put(y, center, band, 1);
  else
    for (double bin = fmax(low, 0); bin <= center && bin < bins; ++bin)
      put(y, bin, band, (bin - low) / (center - low));
  if (high <= center) return;
  for (double bin = fmax(center, 0); bin < high && bin < bins; ++bin)
    put(y, bin, band, (high - bin) / (high - center));
}

static kp_status* mel_run(const kp_op_run* run) {
  kapell_value* y = run->outputs[0];
  for (uint32_t i = 0; i < 5; ++i)
    if (kp_value_count(run->inputs[i]) != 1)
      return KP_ERROR(RUN_FAILED, "input %u has %zu elements; expected one", i,
                      kp_value_count(run->inputs[i]));
  const size_t bands = (size_t)y->dims[1];
  kp_mel mel = {.length = kp_double_at(run->inputs[1], 0),
                .sample_rate = kp_double_at(run->inputs[2], 0)};
  if (!(mel.sample_rate > 0))
    return KP_ERROR(RUN_FAILED, "sample_rate is %g; expected more than 0", mel.sample_rate);
  mel.low = mel_of(kp_double_at(run->inputs[3], 0));
  mel.step = (mel_of(kp_double_at(run->inputs[4], 0)) - mel.low) / ((double)bands + 2);
  if (!isfinite(mel.low) || !isfinite(mel.step))
    return KP_ERROR(RUN_FAILED, "edges of %g and %g hertz have no place on the mel scale",
                    kp_double_at(run->inputs[3], 0), kp_double_at(run->inputs[4], 0));
  if (y->byte_count) memset(y->data, 0, y->byte_count);
  for (size_t band = 0; band < bands && y->byte_count; ++band)
    fill_band(y, band, edge_bin(&mel, band), edge_bin(&mel, band + 1), edge_bin(&mel, band + 2));
  return NULL;
}

// clang-format off
#define WINDOW(op) {.name = op, .since = 17, .run = window_run}
static const kp_op_def ops[] = {  // spec: ONNX operators HannWindow-17, HammingWindow-17, BlackmanWindow-17, MelWeightMatrix-17
    WINDOW("HannWindow"), WINDOW("HammingWindow"), WINDOW("BlackmanWindow"),
    {.name = "MelWeightMatrix", .since = 17, .run = mel_run},
};
// clang-format on
KP_OP_TABLE(audio);
