// The bench's report as a table, as JSON and as CSV.
#include <math.h>
#include <string.h>

#include "cli/bench/bench.h"

static bool usable(const bench_row* row) {
  return row->ready.ok && !row->failed && row->stats.count;
}

// Seconds as milliseconds, in as many digits as are worth reading.
static void print_ms(FILE* out, int width, double seconds) {
  const double ms = seconds * 1e3;
  fprintf(out, " %*.*f", width, ms < 1 ? 4 : ms < 100 ? 3 : 1, ms);
}

static void print_row(const bench_row* r, int width, FILE* out) {
  const bench_stats* s = &r->stats;
  fprintf(out, "%-*s", width, r->config.label);
  if (!usable(r)) {
    fprintf(out, "  not measured: %.*s\n", (int)strcspn(r->ready.text, "\n"), r->ready.text);
    return;
  }
  print_ms(out, 9, s->p50);
  fprintf(out, " %4.1f%%", 50 * (s->high - s->low) / s->p50);
  print_ms(out, 9, s->p90);
  print_ms(out, 9, s->p99);
  fprintf(out, " %10.4g", (double)(r->config.batch ? r->config.batch : 1) / s->p50);
  print_ms(out, 9, r->ready.first_seconds);
  print_ms(out, 9, r->ready.open_seconds);
  fprintf(out, " %7.1f", (double)r->peak_bytes / (1 << 20));
  if (r->ready.compared)
    fprintf(out, " %8.1e", r->ready.error);
  else
    fprintf(out, " %8s", "-");
  if (r->peak_share > 0)
    fprintf(out, " %4.0f%%", 100 * r->peak_share);
  else
    fprintf(out, " %5s", "-");
  if (r->ratio > 0)
    fprintf(out, "  %.2fx\n", r->ratio);
  else
    fprintf(out, "\n");
}

void bench_print(const bench_report* r, FILE* out) {
  int width = 24;
  for (size_t i = 0; i < r->count; ++i)
    if ((int)strlen(r->rows[i].config.label) > width) width = (int)strlen(r->rows[i].config.label);
  fprintf(out, "%-*s %9s %5s %9s %9s %10s %9s %9s %7s %8s %5s  %s\n", width, "milliseconds", "p50",
          "+-", "p90", "p99", "inf/s", "first", "open", "MiB", "error", "peak", "by 1st");
  for (size_t i = 0; i < r->count; ++i) print_row(&r->rows[i], width, out);
  fprintf(out, "\n");
  for (size_t i = 0; i < r->count; ++i)
    if (usable(&r->rows[i]))
      fprintf(out, "%-*s  %s\n", width, r->rows[i].config.label, r->rows[i].ready.text);
  fprintf(out,
          "\n%zu rounds in %.1f s, each configuration once a round; %s. Load average %.1f on %d "
          "processors.\n",
          r->count ? r->rows[0].rounds : 0, r->seconds,
          r->narrow ? "every median is known closely enough"
                    : "time was up before every median was known as closely as wanted",
          r->load, r->processors);
  fprintf(out,
          "error: relative RMS from the CPU provider on one thread. peak: share of %.1f GFLOP/s a "
          "core, measured. MiB: peak of the process.\n",
          r->peak_gflops);
  if (r->noise[0]) fprintf(out, "%s\n", r->noise);
  fprintf(out, "%s\n", r->advice);
}

// --- for programs --------------------------------------------------------------------------------------------------------------
static void put_text(FILE* out, const char* text) {
  fputc('"', out);
  for (const unsigned char* c = (const unsigned char*)text; *c; ++c)
    if (*c == '"' || *c == '\\' || *c == '<')  // no "</script>" in the page
      fprintf(out, *c == '<' ? "\\u003c" : "\\%c", *c);
    else if (*c < 0x20)
      fprintf(out, "\\u%04x", *c);
    else
      fputc(*c, out);
  fputc('"', out);
}

static void put_number(FILE* out, const char* key, double number) {
  fprintf(out, isfinite(number) ? ", \"%s\": %.9g" : ", \"%s\": null", key, number);
}

static void put_row(const bench_row* r, FILE* out) {
  fputs("    {\"label\": ", out);
  put_text(out, r->config.label);
  fputs(", \"model\": ", out);
  put_text(out, r->config.model);
  fputs(", \"engine\": ", out);
  put_text(out, r->config.providers ? "kapell" : r->config.guest);
  fputs(", \"providers\": ", out);
  put_text(out, r->config.providers ? r->config.providers : "");
  fprintf(out, ", \"threads\": %d, \"batch\": %ld, \"measured\": %s, \"text\": ", r->config.threads,
          r->config.batch, usable(r) ? "true" : "false");
  put_text(out, r->ready.text);
  if (usable(r)) {
    const bench_stats* s = &r->stats;
    put_number(out, "p50", s->p50), put_number(out, "p90", s->p90), put_number(out, "p99", s->p99);
    put_number(out, "best", s->best), put_number(out, "mean", s->mean);
    put_number(out, "p50_low", s->low), put_number(out, "p50_high", s->high);
    put_number(out, "inferences_per_second",
               (double)(r->config.batch ? r->config.batch : 1) / s->p50);
    put_number(out, "first_run", r->ready.first_seconds),
        put_number(out, "open", r->ready.open_seconds);
    put_number(out, "peak_bytes", (double)r->peak_bytes), put_number(out, "flops", r->flops);
    put_number(out, "peak_share", r->peak_share);
    put_number(out, "error", r->ready.compared ? r->ready.error : NAN);
    put_number(out, "ratio", r->ratio), put_number(out, "ratio_low", r->ratio_low),
        put_number(out, "ratio_high", r->ratio_high);
    fprintf(out, ", \"preempted\": %llu", (unsigned long long)r->preempted);
  }
  fputs(", \"times\": [", out);
  for (size_t i = 0; i < r->rounds; ++i) fprintf(out, "%s%.6g", i ? ", " : "", r->times[i]);
  fputs("]}", out);
}

void bench_write_json(const bench_report* r, FILE* out) {
  fputs("{\n  \"kapell\": ", out);
  put_text(out, kapell_version());
  fputs(", \"model\": ", out);
  put_text(out, r->model);
  fputs(", \"cpu_features\": ", out);
  put_text(out, kapell_cpu_features());
  fprintf(out, ", \"narrow\": %s, \"processors\": %d", r->narrow ? "true" : "false", r->processors);
  put_number(out, "peak_gflops", r->peak_gflops), put_number(out, "load", r->load),
      put_number(out, "seconds", r->seconds);
  fputs(",\n  \"noise\": ", out);
  put_text(out, r->noise);
  fputs(",\n  \"advice\": ", out);
  put_text(out, r->advice);
  fputs(",\n  \"rows\": [\n", out);
  for (size_t i = 0; i < r->count; ++i) {
    put_row(&r->rows[i], out);
    fputs(i + 1 < r->count ? ",\n" : "\n", out);
  }
  fputs("  ]\n}\n", out);
}

void bench_write_csv(const bench_report* r, FILE* out) {
  fprintf(out, "configuration,model,engine,providers,threads,batch,round,seconds\n");
  for (size_t i = 0; i < r->count; ++i)
    for (size_t k = 0; k < r->rows[i].rounds; ++k) {
      const bench_config* c = &r->rows[i].config;
      fprintf(out, "\"%s\",\"%s\",%s,\"%s\",%d,%ld,%zu,%.9g\n", c->label, c->model,
              c->providers ? "kapell" : c->guest, c->providers ? c->providers : "", c->threads,
              c->batch, k, r->rows[i].times[k]);
    }
}
