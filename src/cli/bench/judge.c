// What the figures tell, what they cannot tell, and which row of docs/choosing-a-provider.md applies.
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench/bench.h"

static void add(char* text, size_t size, const char* format, ...)
    __attribute__((format(printf, 3, 4)));
static void add(char* text, size_t size, const char* format, ...) {
  const size_t at = strlen(text);
  va_list args;
  va_start(args, format);
  if (at < size) vsnprintf(text + at, size - at, format, args);
  va_end(args);
}

static bool usable(const bench_row* row) {
  return row->ready.ok && !row->failed && row->stats.count >= 6;
}

// Median of times [begin, end) of a row; 0 without memory.
static double median_of(const bench_row* row, size_t begin, size_t end) {
  double* copy = malloc((end - begin + 1) * sizeof(*copy));
  if (!copy) return 0;
  memcpy(copy, row->times + begin, (end - begin) * sizeof(*copy));
  const double median = bench_summarise(copy, end - begin).p50;
  free(copy);
  return median;
}

// Processors change their clock and neighbours come and go: then the times of the same thing differ from one part of the run to the next.
static void note_drift(bench_report* r, const bench_row* row) {
  enum { PARTS = 8 };
  double least = 0, most = 0;
  if (row->rounds < 8 * PARTS) return;
  for (size_t i = 0; i < PARTS; ++i) {
    const double m = median_of(row, row->rounds * i / PARTS, row->rounds * (i + 1) / PARTS);
    if (m > 0 && (least <= 0 || m < least)) least = m;
    if (m > most) most = m;
  }
  if (least > 0 && most > 1.25 * least)
    add(r->noise, sizeof r->noise,
        "The machine changed its speed meanwhile: medians of %s within the run lie between %.4g "
        "and %.4g ms. Ratios hold, being taken round by round; times may not. ",
        row->config.label, least * 1e3, most * 1e3);
}

// --- noise -------------------------------------------------------------------------------------------------------------------
void bench_judge(bench_report* r) {
  const bench_row* first = NULL;
  for (size_t i = 0; i < r->count; ++i) {
    bench_row* row = &r->rows[i];
    if (!usable(row)) continue;
    if (!first) first = row;
    const size_t count = row->rounds < first->rounds ? row->rounds : first->rounds;
    if (!bench_ratio(row->times, first->times, count, &row->ratio, &row->ratio_low,
                     &row->ratio_high))
      row->ratio = 0;
    if (row != first && row->config.batch == first->config.batch && row->ratio > 0 &&
        row->ratio_low <= 1 && row->ratio_high >= 1)
      add(r->noise, sizeof r->noise,
          "%s and %s cannot be told apart: their ratio lies between %.2f and %.2f. ",
          row->config.label, first->config.label, row->ratio_low, row->ratio_high);
    if (row->peak_share > 0 && r->peak_gflops <= 0) row->peak_share = 0;
  }
  for (size_t i = 0; i < r->count; ++i) {
    const bench_row* row = &r->rows[i];
    if (!usable(row)) continue;
    const double half = (row->stats.high - row->stats.low) / 2 / row->stats.p50;
    if (half > 0.1)
      add(r->noise, sizeof r->noise,
          "The machine was too noisy to tell the time of %s: its median is only known to %.0f %%. ",
          row->config.label, 100 * half);
    else if (row->stats.p99 > 3 * row->stats.p50 && row->preempted > row->rounds / 4)
      add(r->noise, sizeof r->noise,
          "p90 and p99 of %s tell of the machine, not of the model: others took the processor away "
          "%llu times. ",
          row->config.label, (unsigned long long)row->preempted);
  }
  if (first) note_drift(r, first);
  if (r->noise[0] && r->load > r->processors)
    add(r->noise, sizeof r->noise,
        "The load average was %.1f on %d processors: other programs were running.", r->load,
        r->processors);
}

// --- advice --------------------------------------------------------------------------------------------------------------------
typedef struct machine {
  bool nvidia, intel_gpu, intel_npu, amd_gpu;
} machine;

static machine look_at_machine(void) {
  machine m = {false, false, false, false};
  kapell_doctor_options options = KAPELL_DOCTOR_OPTIONS_INIT;
  options.files_only = true;
  kapell_doctor* doctor = NULL;
  kapell_status_free(kapell_doctor_open(&options, &doctor));
  if (!doctor) return m;
  const char* json = kapell_doctor_json(doctor);
  m.nvidia = strstr(json, "\"device\": \"nvidia GPU\"") != NULL;
  m.intel_gpu = strstr(json, "\"device\": \"intel GPU\"") != NULL;
  m.intel_npu = strstr(json, "\"device\": \"intel NPU\"") != NULL;
  m.amd_gpu = strstr(json, "\"device\": \"amd GPU\"") != NULL;
  kapell_doctor_close(doctor);
  return m;
}

static void name_row(bench_report* r, const machine* m) {
#if defined(__APPLE__)
  (void)m;
  add(r->advice, sizeof r->advice, "row \"Apple\": CoreML, because this is a Mac.");
#elif defined(__ANDROID__)
  (void)m;
  add(r->advice, sizeof r->advice, "row \"Android\": NNAPI or the maker's NPU.");
#else
  if (m->nvidia && r->fixed_shapes)
    add(r->advice, sizeof r->advice,
        "row \"NVIDIA, least latency\": there is an NVIDIA GPU and the model's shapes are fixed, "
        "so TensorRT is worth measuring, after CUDA.");
  else if (m->nvidia)
    add(r->advice, sizeof r->advice,
        "row \"NVIDIA, easy win\": there is an NVIDIA GPU, and the model's shapes vary, so CUDA "
        "comes before TensorRT.");
  else if (m->intel_gpu || m->intel_npu)
    add(r->advice, sizeof r->advice, "row \"Intel\": there is an Intel %s, which OpenVINO reaches.",
        m->intel_gpu ? "GPU" : "NPU");
  else if (m->amd_gpu)
    add(r->advice, sizeof r->advice,
        "row \"AMD\": there is an AMD GPU, which MIGraphX or WebGPU reaches.");
  else
    add(r->advice, sizeof r->advice,
        "row \"No accelerator\": no GPU and no NPU is to be seen on this machine, so the CPU is "
        "the choice.");
#endif
}

void bench_advise(bench_report* r) {
  const machine m = look_at_machine();
  const bench_row *best = NULL, *cpu = NULL;
  for (size_t i = 0; i < r->count; ++i) {
    const bench_row* row = &r->rows[i];
    if (!usable(row)) continue;
    if (!cpu && row->config.providers && !strcmp(row->config.providers, CLI_REFERENCE)) cpu = row;
    if (!best || row->stats.p50 / (double)(row->config.batch ? row->config.batch : 1) <
                     best->stats.p50 / (double)(best->config.batch ? best->config.batch : 1))
      best = row;
  }
  add(r->advice, sizeof r->advice, "docs/choosing-a-provider.md, ");
  name_row(r, &m);
  if (!best) return;
  const double batch = (double)(best->config.batch ? best->config.batch : 1);
  add(r->advice, sizeof r->advice,
      "\nBest of what was measured: %s, %.4g inferences/s, p99 %.4g ms.", best->config.label,
      batch / best->stats.p50, best->stats.p99 * 1e3);
  if (!cpu)
    add(r->advice, sizeof r->advice,
        " The CPU alone was not among it: measure it too, before you move.");
  else if (best->config.providers && !strcmp(best->config.providers, CLI_REFERENCE))
    add(r->advice, sizeof r->advice, " Nothing that was measured justifies leaving it.");
  else if (best->config.guest)
    add(r->advice, sizeof r->advice, " That is a guest: Kapell's own figures are above.");
  if (m.nvidia || m.intel_gpu || m.intel_npu || m.amd_gpu)
    add(r->advice, sizeof r->advice, "\nWhat the accelerator needs and lacks: kapell doctor.");
}
