// Kapell as an engine of the bench.
#include <stdlib.h>
#include <string.h>

#include "cli/bench/bench.h"

typedef struct state {
  kapell_session* session;
  kapell_value** outputs;
} state;

static bool fail(bench_engine* e, kapell_status* status) {
  snprintf(e->text, BENCH_TEXT, "%s", kapell_status_text(status));
  kapell_status_free(status);
  return false;
}

// "CPU 11 of 11 nodes, 100 % of FLOPs; 1 partition, 0 copies".
static void describe(bench_engine* e, const kapell_session* session) {
  const kapell_placement* p = kapell_session_placement(session);
  double flops = 0;
  size_t at = 0;
  for (size_t i = 0; i < p->provider_count; ++i) flops += p->providers[i].flops;
  for (size_t i = 0; i < p->provider_count && at < BENCH_TEXT; ++i) {
    const kapell_placed_provider* one = &p->providers[i];
    if (one->nodes)
      at += (size_t)snprintf(e->text + at, BENCH_TEXT - at,
                             "%s%s %zu of %zu nodes, %.1f %% of FLOPs", at ? ", " : "", one->name,
                             one->nodes, p->node_count, flops > 0 ? 100 * one->flops / flops : 100);
    else if (!one->available)
      at += (size_t)snprintf(e->text + at, BENCH_TEXT - at, "%s%s not in use: %s", at ? ", " : "",
                             one->asked, one->reason ? one->reason : "no reason known");
  }
  if (at < BENCH_TEXT)
    snprintf(e->text + at, BENCH_TEXT - at, "; %zu partition%s, %zu copies", p->partition_count,
             p->partition_count == 1 ? "" : "s", p->copies);
}

static bool open_session(bench_engine* e) {
  state* s = calloc(1, sizeof(*s));
  cli_args args = *e->args;
  args.model = e->config->model;
  kapell_status* status = NULL;
  const cli_opening how = {
      .providers = e->config->providers, .threads = e->config->threads, .out_status = &status};
  if (!s) return false;
  e->state = s;
  if (cli_open_as(&args, &how, &s->session) != CLI_OK)
    return status ? fail(e, status) : (snprintf(e->text, BENCH_TEXT, "the call was wrong"), false);
  s->outputs = calloc(e->data->outputs + 1, sizeof(*s->outputs));
  describe(e, s->session);
  return s->outputs != NULL;
}

static bool run(bench_engine* e, size_t sample) {
  state* s = e->state;
  for (size_t i = 0; i < e->data->outputs; ++i) {
    kapell_value_release(s->outputs[i]);
    s->outputs[i] = NULL;
  }
  kapell_status* status =
      kapell_session_run(s->session, NULL, (const char* const*)e->data->input_names,
                         e->data->values + sample * e->data->inputs, e->data->inputs,
                         (const char* const*)e->data->output_names, s->outputs, e->data->outputs);
  return status ? fail(e, status) : true;
}

static bool outputs(bench_engine* e, kapell_value** out_values) {
  const state* s = e->state;
  for (size_t i = 0; i < e->data->outputs; ++i) out_values[i] = kapell_value_retain(s->outputs[i]);
  return true;
}

const bench_engine bench_kapell = {.open = open_session, .run = run, .outputs = outputs};
