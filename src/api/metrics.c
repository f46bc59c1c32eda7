// A session's counters in the text form that Prometheus reads (exposition format 0.0.4).
#include "api/session.h"
#include "base/size.h"

typedef struct metric {
  const char *name, *help;
  const char* type;
  size_t field;  // in kapell_counters, or kapell_provider_counters
  double scale;  // to the unit of the name
} metric;

#define TOTAL(field, name, help, scale) \
  { name, help, "counter", offsetof(kapell_counters, field), scale }
#define EACH(field, name, help, scale) \
  { name, help, "counter", offsetof(kapell_provider_counters, field), scale }

static const metric kTotals[] = {
    TOTAL(runs, "kapell_runs_total", "Runs that finished well.", 1),
    TOTAL(failed_runs, "kapell_failed_runs_total", "Runs that ended with an error.", 1),
    TOTAL(cancelled_runs, "kapell_cancelled_runs_total", "Runs that the caller stopped.", 1),
    TOTAL(failovers, "kapell_failovers_total", "Runs started again without a provider that failed.",
          1),
    TOTAL(time_ns, "kapell_run_seconds_total", "Time of runs, added up.", 1e-9),
    TOTAL(copies, "kapell_copies_total", "Copies between host and devices.", 1),
    TOTAL(copied_bytes, "kapell_copied_bytes_total", "Bytes copied between host and devices.", 1),
    TOTAL(signature_hits, "kapell_signature_hits_total", "Runs whose input shapes were known.", 1),
    TOTAL(signature_misses, "kapell_signature_misses_total", "Runs with new input shapes.", 1),
    TOTAL(shadow_runs, "kapell_shadow_runs_total", "Runs computed on the CPU as well.", 1),
    TOTAL(shadow_alarms, "kapell_shadow_alarms_total", "Those of them that departed.", 1),
    {"kapell_run_peak_bytes", "Largest memory of one run.", "gauge",
     offsetof(kapell_counters, peak_bytes), 1},
};

static const metric kProviders[] = {
    EACH(runs, "kapell_provider_runs_total", "Runs in which the provider took part.", 1),
    EACH(nodes, "kapell_provider_nodes_total", "Nodes of the model that it ran.", 1),
    EACH(time_ns, "kapell_provider_seconds_total", "Time in it.", 1e-9),
    EACH(failures, "kapell_provider_failures_total", "Runs that it failed in.", 1),
    EACH(bytes, "kapell_provider_bytes_total", "Bytes that its partitions read and wrote.", 1),
};

// The value of a label: backslash, quote and line feed are escaped.
static void put_label(kp_strbuf* out, const char* text) {
  for (; *text; ++text)
    if (*text == '\n')
      kp_strbuf_puts(out, "\\n");
    else if (*text == '"' || *text == '\\')
      kp_strbuf_printf(out, "\\%c", *text);
    else
      kp_strbuf_append(out, text, 1);
}

static void put_head(kp_strbuf* out, const metric* m) {
  kp_strbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
}

static void put_sample(kp_strbuf* out, const metric* m, const char* session, const char* provider,
                       const void* counters) {
  const char* separator = "{";
  kp_strbuf_puts(out, m->name);
  if (session) {
    kp_strbuf_puts(out, "{session=\"");
    put_label(out, session);
    kp_strbuf_puts(out, "\"");
    separator = ",";
  }
  if (provider) kp_strbuf_printf(out, "%sprovider=\"%s\"", separator, provider);
  const uint64_t number = *(const uint64_t*)(const void*)((const char*)counters + m->field);
  kp_strbuf_puts(out, session || provider ? "} " : " ");
  if (m->scale == 1)
    kp_strbuf_printf(out, "%llu\n", (unsigned long long)number);
  else
    kp_strbuf_printf(out, "%.9g\n", (double)number * m->scale);
}

// What the placement gave each provider: known without a run, and zero where an optional one is not there.
static void put_placement(kp_strbuf* out, const kapell_placement* placement, const char* session) {
  static const metric nodes = {"kapell_placed_nodes",
                               "Nodes that the placement gives the provider.", "gauge", 0, 1};
  put_head(out, &nodes);
  for (size_t p = 0; p < placement->provider_count; ++p) {
    const uint64_t count = placement->providers[p].nodes;
    put_sample(out, &nodes, session, placement->providers[p].name, &count);
  }
}

kapell_status* kapell_session_metrics(const kapell_session* session, const char* name,
                                      char** out_text) {
  if (!session || !out_text)
    return KP_ERROR(INVALID_ARGUMENT, "a NULL was given for session or out_text");
  kapell_counters counters = {.struct_size = sizeof(counters)};
  kp_strbuf out = {0};
  kapell_session_counters(session, &counters);
  for (size_t i = 0; i < KP_COUNT_OF(kTotals); ++i) {
    put_head(&out, &kTotals[i]);
    put_sample(&out, &kTotals[i], name, NULL, &counters);
  }
  for (size_t i = 0; i < KP_COUNT_OF(kProviders); ++i) {
    put_head(&out, &kProviders[i]);
    for (size_t p = 0; p < counters.provider_count; ++p)
      put_sample(&out, &kProviders[i], name, counters.providers[p].provider,
                 &counters.providers[p]);
  }
  put_placement(&out, session->placement, name);
  *out_text = kp_strbuf_take(&out);
  return *out_text ? NULL : KP_ERROR(OUT_OF_MEMORY, "the metrics");
}
