// kapell bench: one model over several configurations in one interleaved run.
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/bench/bench.h"

static const cli_option kOptions[] = {
    {"providers", "LIST", "a chain to measure; repeat it for several (default CPU)"},
    {"threads", "N,N", "numbers of threads to measure (default: what this process may use)"},
    {"batch", "N,N",
     "batch sizes to measure: the first dimension of inputs (default: as they are)"},
    {"also", "FILE",
     "the same model in another form (int8, float16) to measure too; may be repeated"},
    {"guest", "NAME=FILE",
     "onnxruntime=libonnxruntime.so or openvino=libopenvino_c.so, on the CPU; may be repeated"},
    {"input", "NAME=FILE",
     "real inputs: a file as 'kapell run' takes it, or a folder of them; may be repeated (default: "
     "random)"},
    {"dim", "SYMBOL=N", "a symbolic dimension of random inputs (default 1)"},
    {"shape", "NAME=1,3,224", "the shape of a random input; may be repeated"},
    {"image", "TEXT", "how pictures become inputs, as for 'kapell run'"},
    {"option", "NAME.KEY=VALUE", "an option of a provider; may be repeated"},
    {"on-failure", "POLICY",
     "when a provider fails in a run: error (default), or continue without it"},
    {"cpu-mask", "LEVEL", "take instruction sets away: avx2, sse, scalar, -avx512f"},
    {"untrusted", NULL, "the model may come from anyone (docs/untrusted.md)"},
    {"limit", "NAME=VALUE", "limits, as for 'kapell run'"},
    {"seconds", "N", "time for the rounds at most (default 10)"},
    {"percent", "N", "stop when each median is known to so many percent (default 1)"},
    {"warm-up", "N", "rounds that are not counted (default 3)"},
    {"json", "FILE", "write the report as JSON ('-': to standard output, instead of the table)"},
    {"csv", "FILE", "write every run's time as CSV"},
    {"html", "FILE", "write a page with plots, which needs nothing else"},
    {0},
};

typedef struct bench {
  cli_args args;
  bench_report report;
  bench_worker workers[BENCH_MOST];
  bench_row rows[BENCH_MOST];
  int files[BENCH_MOST];  // inputs, one for each batch size and model
  double flops[BENCH_MOST];
  size_t file_count;
  double seconds, percent;
  long warm_up;
  bool progress;
} bench;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// What affinity and the container's quota ("200000 100000": two processors) allow.
static int count_processors(void) {
  cpu_set_t set;
  double quota, period;
  int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  FILE* file = fopen("/sys/fs/cgroup/cpu.max", "r");
  if (file && fscanf(file, "%lf %lf", &quota, &period) == 2 && period > 0 &&
      ceil(quota / period) < count)
    count = (int)fmax(1, ceil(quota / period));
  if (file) fclose(file);
  return count;
}

// --- which configurations ------------------------------------------------------------------------------------------------------
// Numbers of "1,2,8"; |none| alone where the option is not given. False: printed.
static bool read_numbers(const cli_args* args, const char* option, long none, long most, long* out,
                         size_t* out_count) {
  const char* text = cli_get(args, option);
  *out_count = 0;
  if (!text) return out[(*out_count)++] = none, true;
  for (const char* at = text; *out_count < 16;) {
    char* end;
    out[*out_count] = strtol(at, &end, 10);
    if (end == at || (*end && *end != ',') || out[*out_count] < 1 || out[*out_count] > most) break;
    ++*out_count;
    if (!*end) return true;
    at = end + 1;
  }
  fprintf(stderr,
          "kapell bench: --%s is '%s'; numbers from 1 to %ld by commas are wanted, at most 16\n",
          option, text, most);
  return false;
}

static const char* file_name(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static bool add_config(bench* b, const bench_config* config, bool models, bool batches) {
  if (b->report.count == BENCH_MOST)
    return fprintf(stderr, "kapell bench: more than %d configurations\n", BENCH_MOST), false;
  bench_config* c = &b->rows[b->report.count++].config;
  *c = *config;
  char batch[32] = "";
  if (batches) snprintf(batch, sizeof batch, ", batch %ld", c->batch);
  snprintf(c->label, sizeof c->label, "%s%s%s, %d thread%s%s", models ? file_name(c->model) : "",
           models ? ": " : "",
           c->providers                    ? c->providers
           : !strcmp(c->guest, "openvino") ? "OpenVINO (guest)"
                                           : "ONNX Runtime (guest)",
           c->threads, c->threads == 1 ? "" : "s", batch);
  return true;
}

// Splits "onnxruntime=PATH". False: printed.
static bool read_guest(const char* text, bench_config* c) {
  const char* equals = strchr(text, '=');
  c->guest = NULL;
  static const char* const names[] = {"onnxruntime", "openvino"};
  for (size_t i = 0; i < 2 && equals; ++i)
    if (strlen(names[i]) == (size_t)(equals - text) && !strncmp(names[i], text, strlen(names[i])))
      c->guest = names[i];
  c->guest_file = equals ? realpath(equals + 1, NULL) : NULL;  // kept to the end
  if (c->guest && c->guest_file) return true;
  fprintf(stderr,
          "kapell bench: --guest '%s': onnxruntime=FILE or openvino=FILE is wanted, and FILE has "
          "to be there\n",
          text);
  return false;
}

// All chains and guests for one model, batch size and thread count.
static bool add_engines(bench* b, bench_config config, bool models, bool batches) {
  int at = 0;
  config.providers = NULL;
  for (const char* text; (text = cli_next(&b->args, "providers", &at)) != NULL;) {
    config.providers = text;
    if (!add_config(b, &config, models, batches)) return false;
  }
  if (!config.providers) {
    config.providers = CLI_REFERENCE;
    if (!add_config(b, &config, models, batches)) return false;
  }
  config.providers = NULL;
  at = 0;
  for (const char* text; (text = cli_next(&b->args, "guest", &at)) != NULL;)
    if (!read_guest(text, &config) || !add_config(b, &config, models, batches)) return false;
  return true;
}

static bool prepare(bench* b, long batch) {
  const size_t i = b->file_count;
  bool fixed;
  if (i == BENCH_MOST || !bench_prepare(&b->args, batch, &b->files[i], &b->flops[i], &fixed))
    return false;
  b->report.fixed_shapes = fixed;
  ++b->file_count;
  return true;
}

static bool list_configs(bench* b) {
  long threads[16], batches[16];
  size_t thread_count, batch_count;
  if (!read_numbers(&b->args, "threads", b->report.processors, 256, threads, &thread_count) ||
      !read_numbers(&b->args, "batch", 0, 65536, batches, &batch_count))
    return false;
  const bool models = cli_has(&b->args, "also"), several = batch_count > 1;
  for (size_t k = 0; k < batch_count; ++k) {
    if (!prepare(b, batches[k])) return false;
    for (size_t t = 0; t < thread_count; ++t) {
      int at = 0;
      for (const char* model = b->args.model; model; model = cli_next(&b->args, "also", &at)) {
        const bench_config config = {
            .model = model, .threads = (int)threads[t], .batch = batches[k], .data = k};
        if (!add_engines(b, config, models, several)) return false;
      }
    }
  }
  return true;
}

// --- the run ---------------------------------------------------------------------------------------------------------------------
static void show_progress(const bench* b, const char* what, double done, double left) {
  if (!b->progress) return;
  fprintf(stderr, "\r%-24.24s [", what);
  for (int i = 0; i < 30; ++i) fputc(i < done * 30 ? '#' : ' ', stderr);
  fprintf(stderr, "] %3.0f %%", done * 100);
  if (left >= 0)
    fprintf(stderr, ", at most %.0f s left ", left);
  else
    fprintf(stderr, "%24s", "");
}

static bool start_all(bench* b) {
  size_t good = 0;
  for (size_t i = 0; i < b->report.count; ++i) {
    bench_row* row = &b->rows[i];
    show_progress(b, "opening sessions", (double)i / (double)b->report.count, -1);
    row->flops = b->flops[row->config.data];
    good += bench_start(&b->args, &row->config, b->files[row->config.data], &b->workers[i],
                        &row->ready);
  }
  return good > 0;
}

static bool keep_time(bench_row* row, const bench_time* t) {
  if ((row->rounds & (row->rounds - 1)) == 0) {  // doubles at each power of two
    double* times = realloc(row->times, (row->rounds ? 2 * row->rounds : 1) * sizeof(*times));
    if (!times) return false;
    row->times = times;
  }
  row->times[row->rounds++] = t->seconds;
  row->preempted += t->preempted;
  row->peak_bytes = t->peak_bytes;
  return true;
}

// One run of each, in an order that moves on by one each round: nobody is always behind the same one.
static void run_round(bench* b, uint32_t round, bool counted) {
  for (size_t k = 0; k < b->report.count; ++k) {
    const size_t i = (k + round) % b->report.count;
    bench_row* row = &b->rows[i];
    bench_time t;
    if (!b->workers[i].alive || row->failed) continue;
    if (!bench_run(&b->workers[i], round, &t) || (counted && !keep_time(row, &t))) {
      row->failed = true;
      snprintf(row->ready.text, BENCH_TEXT, "failed in round %u", round);
      bench_stop(&b->workers[i]);
    }
  }
}

// The widest half-interval of all medians, relative; 1 while there are too few rounds.
static double widest(const bench* b) {
  double most = 0;
  for (size_t i = 0; i < b->report.count; ++i) {
    const bench_row* row = &b->rows[i];
    if (!row->ready.ok || row->failed) continue;
    double* copy = row->rounds >= 8 ? malloc(row->rounds * sizeof(*copy)) : NULL;
    if (!copy) return 1;
    memcpy(copy, row->times, row->rounds * sizeof(*copy));
    const bench_stats s = bench_summarise(copy, row->rounds);
    most = fmax(most, (s.high - s.low) / 2 / s.p50);
    free(copy);
  }
  return most;
}

static bool any_left(const bench* b) {
  for (size_t i = 0; i < b->report.count; ++i)
    if (b->workers[i].alive) return true;
  return false;
}

static void run_rounds(bench* b) {
  for (long i = 0; i < b->warm_up; ++i) run_round(b, (uint32_t)i, false);
  const double start = now(), end = start + b->seconds;
  double shown = 0, looked = 0;
  for (uint32_t round = 0; any_left(b) && (now() < end || round < 8); ++round) {
    run_round(b, round, true);
    const double t = now();
    if (t - shown > 0.2)
      show_progress(b, "measuring", fmin(1, (t - start) / b->seconds), fmax(0, end - t)), shown = t;
    if (t - looked < 0.1 || round < 8) continue;
    looked = t;
    b->report.narrow = widest(b) <= b->percent / 100;
    if (b->report.narrow) break;
  }
  b->report.seconds = now() - start;
}

static void finish_rows(bench* b) {
  for (size_t i = 0; i < b->report.count; ++i) {
    bench_row* row = &b->rows[i];
    bench_stop(&b->workers[i]);
    double* copy = row->rounds ? malloc(row->rounds * sizeof(*copy)) : NULL;
    if (copy) memcpy(copy, row->times, row->rounds * sizeof(*copy));
    row->stats = bench_summarise(copy, copy ? row->rounds : 0);
    free(copy);
    const int cores =
        row->config.threads < b->report.processors ? row->config.threads : b->report.processors;
    if (row->stats.p50 > 0 && row->flops > 0)
      row->peak_share = row->flops / row->stats.p50 / (b->report.peak_gflops * 1e9 * cores);
  }
  double load[1] = {0};
  if (getloadavg(load, 1) == 1) b->report.load = load[0];
  bench_judge(&b->report);
  bench_advise(&b->report);
}

// --- what comes out -----------------------------------------------------------------------------------------------------------------
static bool write_file(const bench* b, const char* option,
                       void (*write)(const bench_report*, FILE*)) {
  const char* path = cli_get(&b->args, option);
  if (!path || !strcmp(path, "-")) return true;
  FILE* out = fopen(path, "w");
  if (out) write(&b->report, out);
  if (out && fclose(out) == 0) return true;
  fprintf(stderr, "kapell bench: '%s' cannot be written: %s\n", path, strerror(errno));
  return false;
}

static int print_all(const bench* b) {
  const char* json = cli_get(&b->args, "json");
  if (b->progress) fprintf(stderr, "\r%100s\r", "");
  if (json && !strcmp(json, "-"))
    bench_write_json(&b->report, stdout);
  else
    bench_print(&b->report, stdout);
  if (!write_file(b, "json", bench_write_json) || !write_file(b, "csv", bench_write_csv) ||
      !write_file(b, "html", bench_write_html))
    return CLI_FAILED;
  for (size_t i = 0; i < b->report.count; ++i) {
    if (!b->rows[i].ready.ok) return CLI_OPEN;
    if (b->rows[i].failed) return CLI_FAILED;
  }
  return CLI_OK;
}

static int measure(bench* b) {
  b->report.processors = count_processors();
  b->progress = isatty(STDERR_FILENO);
  if (!list_configs(b)) return CLI_USAGE;
  show_progress(b, "the machine's peak", 0, -1);
  b->report.peak_gflops = bench_peak_gflops();
  if (start_all(b)) run_rounds(b);
  finish_rows(b);
  return print_all(b);
}

static int run(const cli_command* command, int argc, char** argv) {
  int exit_code;
  bench* b = calloc(1, sizeof(*b));
  if (!b) return CLI_FAILED;
  if (cli_parse(command, argc, argv, &b->args, &exit_code)) {
    b->report.model = b->args.model;
    b->report.rows = b->rows;
    const bool fine = cli_real(&b->args, "seconds", 10, &b->seconds) &&
                      cli_real(&b->args, "percent", 1, &b->percent) &&
                      cli_int(&b->args, "warm-up", 0, 1000, 3, &b->warm_up);
    b->report.wanted = b->percent / 100;
    exit_code = fine ? measure(b) : CLI_USAGE;
    for (size_t i = 0; i < b->report.count; ++i) {
      free(b->rows[i].times);
      free((char*)(uintptr_t)b->rows[i].config.guest_file);
    }
    for (size_t i = 0; i < b->file_count; ++i) close(b->files[i]);
  }
  free(b);
  return exit_code;
}

const cli_command cli_bench_command = {
    .name = "bench",
    .arguments = "MODEL",
    .summary = "time a model over chains, threads, batch sizes and guests, interleaved",
    .examples =
        "  kapell bench examples/digits/digits.onnx --threads 1,2 --html bench.html\n"
        "  kapell bench model.onnx --providers CPU --providers \"CUDA,CPU\" --batch 1,8\n"
        "  kapell bench model.onnx --input image=photos/ --guest onnxruntime=libonnxruntime.so.1\n"
        "  kapell bench model.onnx --also model-int8.onnx --seconds 30\n",
    .options = kOptions,
    .run = run,
};
