// What the parts of `kapell bench` share.
//
// The command's own process opens no session. For each batch size a process draws or reads the inputs and computes the expected outputs
// on the CPU into a file in memory (data.c); then each configuration gets a process of its own (worker.c), which opens its engine and waits.
// The command lets them run in turn, one run each a round (bench.c), so that what disturbs the machine disturbs all alike.
#ifndef KAPELL_CLI_BENCH_BENCH_H_
#define KAPELL_CLI_BENCH_BENCH_H_

#include "cli/cli.h"

enum { BENCH_MOST = 64 };  // configurations

// --- what is measured ------------------------------------------------------------------------------------------------------
typedef struct bench_config {
  char label[256];
  const char* model;
  const char* providers;   // of Kapell; NULL: |guest|
  const char* guest;       // "onnxruntime" or "openvino"
  const char* guest_file;  // its library
  int threads;             // 0 = the default
  long batch;              // 0 = as the inputs are
  size_t data;             // index of its inputs
} bench_config;

// What a worker says once its session is open and ran for the first time.
typedef struct bench_ready {
  bool ok, compared;
  double open_seconds, first_seconds;
  double error;     // relative RMS of the worst output against the CPU reference
  char text[4096];  // placement; not ok: why
} bench_ready;

typedef struct bench_time {
  bool ok;
  double seconds;
  uint64_t preempted;   // times that the system took the processor away during the run
  uint64_t peak_bytes;  // of the process, so far
} bench_time;

typedef struct bench_stats {
  size_t count;
  double best, p50, p90, p99, mean;
  double low, high;  // 95 % confidence interval of p50
} bench_stats;
// Of |times|, which it sorts.
bench_stats bench_summarise(double* times, size_t count);
// Median of a[i]/b[i] with its 95 % interval; false: too few.
bool bench_ratio(const double* a, const double* b, size_t count, double* out_ratio, double* out_low,
                 double* out_high);

typedef struct bench_row {
  bench_config config;
  bench_ready ready;
  bench_stats stats;
  double* times;  // in the order of the rounds
  size_t rounds;
  uint64_t preempted, peak_bytes;
  double flops;                         // of one run; 0 = not known
  double peak_share;                    // of the multiply-add peak of its threads; 0 = not known
  double ratio, ratio_low, ratio_high;  // time by that of the first row
  bool failed;                          // in a run: |ready.text| says why
} bench_row;

typedef struct bench_report {
  const char* model;
  bench_row* rows;
  size_t count;
  double peak_gflops;  // of one core
  double load;         // average of the last minute, at the end
  int processors;      // of this process
  double seconds;      // that the rounds took
  bool narrow;         // every interval became narrow enough
  double wanted;       // relative half-width that was asked for
  char noise[1024];    // "" or what cannot be told, and why
  char advice[2048];   // which row of docs/choosing-a-provider.md applies
  bool fixed_shapes;   // all dims of the model's inputs are numbers
} bench_report;

// --- inputs (data.c) -----------------------------------------------------------------------------------------------------------
typedef struct bench_data {
  size_t samples, inputs, outputs;
  char** input_names;
  char** output_names;
  kapell_value** values;    // samples * inputs
  kapell_value** expected;  // of sample 0, from the CPU provider
  double flops;             // of a run of sample 0
  bool fixed_shapes;
} bench_data;
// Makes the inputs of |batch| (0: as they are) in a process of its own and leaves them in *out_file. False: printed.
bool bench_prepare(const cli_args* args, long batch, int* out_file, double* out_flops,
                   bool* out_fixed);
bool bench_load(int file, bench_data* out_data);  // false: out of memory, or the file is not whole
void bench_unload(bench_data* data);

// --- engines -----------------------------------------------------------------------------------------------------------------------
typedef struct bench_engine bench_engine;
struct bench_engine {
  const cli_args* args;
  const bench_config* config;
  const bench_data* data;
  char* text;  // of bench_ready.text's size: errors and placement
  void* state;
  // Each false: |text| says why.
  bool (*open)(bench_engine* engine);
  bool (*run)(bench_engine* engine, size_t sample);
  // After a run: its outputs as Kapell's values, in the order of |data|; NULL for those that have no such form.
  bool (*outputs)(bench_engine* engine, kapell_value** out_values);
};
extern const bench_engine bench_kapell, bench_onnxruntime, bench_openvino;
#define BENCH_TEXT sizeof(((bench_ready*)0)->text)

// --- workers (worker.c) --------------------------------------------------------------------------------------------------------------
typedef struct bench_worker {
  int pid, to, from;
  bool alive;
} bench_worker;
// Starts the process of |config| and waits until it is ready. False: |out_ready->text| says why.
bool bench_start(const cli_args* args, const bench_config* config, int file,
                 bench_worker* out_worker, bench_ready* out_ready);
bool bench_run(bench_worker* worker, uint32_t sample, bench_time* out_time);
void bench_stop(bench_worker* worker);

// --- what comes out ----------------------------------------------------------------------------------------------------------------------
void bench_judge(bench_report* report);                        // fills noise and ratios (judge.c)
void bench_advise(bench_report* report);                       // fills advice (judge.c)
void bench_print(const bench_report* report, FILE* out);       // (print.c)
void bench_write_json(const bench_report* report, FILE* out);  // (print.c)
void bench_write_csv(const bench_report* report, FILE* out);   // (print.c)
void bench_write_html(const bench_report* report, FILE* out);  // (page.c)
double bench_peak_gflops(void);  // multiply-adds of one core, measured (peak.c)
double bench_peak_gops8(void);   // the same of bytes
double bench_read_gbs(
    int threads);  // GB/s of a sequential read of memory by so many threads (peak.c)

#endif  // KAPELL_CLI_BENCH_BENCH_H_
