// kapell inspect: what a model is: inputs, outputs, metadata, operators.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static const cli_option kOptions[] = {
    CLI_SESSION_OPTIONS, {"no-ops", NULL, "leave the list of operators out"}, {0}};

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
    while (k < kinds && (strcmp(counts[k].op, node->op) || strcmp(counts[k].domain, node->domain)))
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
  if (!cli_has(&args, "no-ops")) print_ops(kapell_session_placement(session));
  kapell_session_close(session);
  return CLI_OK;
}

const cli_command cli_inspect_command = {
    .name = "inspect",
    .arguments = "MODEL",
    .summary = "inputs, outputs, metadata and operators of a model",
    .examples = "  kapell inspect examples/digits/digits.onnx\n",
    .options = kOptions,
    .run = run,
};
