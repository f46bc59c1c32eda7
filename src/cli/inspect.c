// kapell inspect: what a model is: inputs, outputs, metadata, operators.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static const cli_option kOptions[] = {
    CLI_SESSION_OPTIONS,
    {"dim", "SYMBOL=N", "a symbolic dimension, for the memory of a run (default 1)"},
    {"shape", "NAME=1,3,224", "the shape of an input, likewise; may be repeated"},
    {"no-ops", NULL, "leave the list of operators out"},
    {0}};

static void print_ios(const char* what, const kapell_session* session, size_t count,
                      const kapell_io_info* (*get)(const kapell_session*, size_t)) {
  for (size_t i = 0; i < count; ++i) {
    const kapell_io_info* io = get(session, i);
    printf("%-9s %s: ", io->optional ? "default" : what, io->name);
    print_type(stdout, io->type);
    printf("\n");
  }
}

typedef struct op_count {
  const char *domain, *op;
  size_t nodes;
  double flops;
} op_count;

static int by_count(const void* a, const void* b) {
  const op_count *x = a, *y = b;
  if (x->nodes != y->nodes) return x->nodes < y->nodes ? 1 : -1;
  return strcmp(x->op, y->op);
}

static void print_ops(const kapell_placement* placement) {
  op_count* counts = calloc(placement->node_count + 1, sizeof(*counts));
  size_t kinds = 0;
  double flops = 0;
  for (size_t n = 0; counts && n < placement->node_count; ++n) {
    const kapell_placed_node* node = &placement->nodes[n];
    size_t k = 0;
    while (k < kinds &&
           (strcmp(counts[k].op, node->op) != 0 || strcmp(counts[k].domain, node->domain) != 0))
      ++k;
    if (k == kinds) counts[kinds++] = (op_count){node->domain, node->op, 0, 0};
    ++counts[k].nodes;
    counts[k].flops += node->flops;
    flops += node->flops;
  }
  printf("nodes     %zu, %.4g FLOPs (symbolic dimensions counted as 1)\n", placement->node_count,
         flops);
  if (counts) qsort(counts, kinds, sizeof(*counts), by_count);
  for (size_t k = 0; k < kinds; ++k) {
    const char* dot = counts[k].domain[0] ? "." : "";
    printf("  %6zu  %s%s%s", counts[k].nodes, counts[k].domain, dot, counts[k].op);
    if (flops > 0 && counts[k].flops > 0)
      printf("  (%.1f %% of FLOPs)", 100 * counts[k].flops / flops);
    printf("\n");
  }
  free(counts);
}

// --- memory of a run ---------------------------------------------------------------------------------------------------------
static void print_estimate(const kapell_memory_estimate* e) {
  const double mib = 1 << 20;
  printf(
      "memory    %s%.1f MiB at the peak of a run: session %.1f, arena %.1f, scratch %.1f, outputs "
      "%.1f\n",
      e->exact ? "" : "at least ", (double)e->peak_bytes / mib, (double)e->session_bytes / mib,
      (double)e->arena_bytes / mib, (double)e->scratch_bytes / mib, (double)e->output_bytes / mib);
  printf("          %.1f MiB at the peak of opening; mapped files %.1f MiB besides\n",
         (double)e->opening_bytes / mib, (double)e->mapped_bytes / mib);
}

// False: a wrong argument, printed. A model that gives no estimate says why and is no failure.
static bool print_memory(const cli_args* args, kapell_session* session) {
  const size_t count = kapell_session_input_count(session);
  kapell_shape* shapes = calloc(count + 1, sizeof(*shapes));
  int64_t(*dims)[CLI_MAX_RANK] = calloc(count + 1, sizeof(*dims));
  size_t given = 0;
  bool fine = shapes && dims;
  for (size_t i = 0; fine && i < count; ++i) {
    const kapell_io_info* io = kapell_session_input(session, i);
    int32_t rank;
    fine = cli_choose_shape(args, io, dims[i], &rank);
    if (fine && rank >= 0) shapes[given++] = (kapell_shape){io->name, dims[i], rank};
  }
  kapell_memory_estimate estimate = {.struct_size = sizeof(estimate)};
  kapell_status* status =
      fine ? kapell_session_estimate_memory(session, shapes, given, &estimate) : NULL;
  if (fine && !status) print_estimate(&estimate);
  if (status) printf("memory    not known: %s\n", kapell_status_message(status));
  kapell_status_free(status);
  free(shapes);
  free(dims);
  return fine;
}

static int run(const cli_command* command, int argc, char** argv) {
  cli_args args;
  int exit_code;
  if (!cli_parse(command, argc, argv, &args, &exit_code)) return exit_code;
  kapell_session* session;
  exit_code = cli_open(&args, NULL, &session);
  if (exit_code) return exit_code;
  const size_t inputs =
      kapell_session_input_count(session) + kapell_session_overridable_count(session);
  print_ios("input", session, inputs, kapell_session_input);
  print_ios("output", session, kapell_session_output_count(session), kapell_session_output);
  for (size_t i = 0; i < kapell_session_metadata_count(session); ++i) {
    const char *key, *value;
    kapell_session_metadata(session, i, &key, &value);
    printf("metadata  %s: ", key);
    for (; *value; ++value) putchar(*value == '\n' ? ' ' : *value);
    printf("\n");
  }
  const bool fine = print_memory(&args, session);
  if (fine && !cli_has(&args, "no-ops")) print_ops(kapell_session_placement(session));
  kapell_session_close(session);
  return fine ? CLI_OK : CLI_USAGE;
}

const cli_command cli_inspect_command = {
    .name = "inspect",
    .arguments = "MODEL",
    .summary = "inputs, outputs, metadata, memory and operators of a model",
    .examples =
        "  kapell inspect examples/digits/digits.onnx\n"
        "  kapell inspect model.onnx --untrusted --dim batch=8\n",
    .options = kOptions,
    .run = run,
};
