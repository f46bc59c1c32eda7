// kapell compare: the first node of two dumps whose values depart.
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static const cli_option kOptions[] = {{"atol", "X", "absolute tolerance (default 1e-5)"},
                                      {"rtol", "X", "relative tolerance (default 1e-3)"},
                                      {0}};

typedef struct comparison {
  const char *a, *b;  // folders
  cli_dumped *in_a, *in_b;
  size_t count_a, count_b;
  double atol, rtol;
  size_t shared, departed;
} comparison;

// The entry of B with this name; dumps of one model have it at the same place.
static const cli_dumped* find(const cli_dumped* list, size_t count, const char* name, size_t near) {
  if (near < count && !strcmp(list[near].name, name)) return &list[near];
  for (size_t i = 0; i < count; ++i)
    if (!strcmp(list[i].name, name)) return &list[i];
  return NULL;
}

static void print_departure(const comparison* c, const cli_dumped* x, const cli_dumped* y,
                            const kapell_difference* d) {
  if (c->departed > 1) return;
  if (x->node[0])
    printf("first departure: node '%s' (%s), value '%s' %s\n", x->node, x->op, x->name, x->type);
  else
    printf("first departure: %s, value '%s' %s\n", x->op, x->name, x->type);
  if (!d->comparable)
    printf("  %s has %s, %s has %s\n", c->a, x->type, c->b, y->type);
  else
    printf("  largest difference %.3g at element %zu; %zu of %zu elements are out of tolerance\n",
           d->most, d->worst, d->wrong, d->count);
}

// False: a value could not be read (printed).
static bool compare_one(comparison* c, const cli_dumped* x, const cli_dumped* y) {
  const bool nothing = !strcmp(x->file, "-") || !strcmp(y->file, "-");
  kapell_value* a = nothing ? NULL : cli_dump_read_value(c->a, x);
  kapell_value* b = a ? cli_dump_read_value(c->b, y) : NULL;
  kapell_difference d = {.struct_size = sizeof(d), .comparable = !strcmp(x->file, y->file)};
  if (b) kapell_value_difference(b, a, c->atol, c->rtol, &d);
  kapell_value_release(a);
  kapell_value_release(b);
  if (!nothing && !b) return false;
  ++c->shared;
  if (d.comparable && d.wrong == 0) return true;
  ++c->departed;
  print_departure(c, x, y, &d);
  return true;
}

static int compare_all(comparison* c) {
  for (size_t i = 0; i < c->count_a; ++i) {
    const cli_dumped* y = find(c->in_b, c->count_b, c->in_a[i].name, i);
    if (y && !compare_one(c, &c->in_a[i], y)) return CLI_USAGE;
  }
  const size_t alone_a = c->count_a - c->shared;
  const size_t alone_b = c->count_b > c->shared ? c->count_b - c->shared : 0;
  if (c->departed)
    printf("%zu of %zu values depart", c->departed, c->shared);
  else
    printf("%zu values agree", c->shared);
  if (alone_a) printf("; %zu are only in %s", alone_a, c->a);
  if (alone_b) printf("; %zu are only in %s", alone_b, c->b);
  printf(" (atol %g, rtol %g)\n", c->atol, c->rtol);
  return c->departed || alone_a || alone_b ? CLI_FAILED : CLI_OK;
}

static int run(const cli_command* command, int argc, char** argv) {
  cli_args args;
  comparison c = {0};
  int exit_code;
  if (!cli_parse(command, argc, argv, &args, &exit_code)) return exit_code;
  if (!cli_real(&args, "atol", 1e-5, &c.atol) || !cli_real(&args, "rtol", 1e-3, &c.rtol))
    return CLI_USAGE;
  c.a = args.model;
  c.b = args.second;
  exit_code = CLI_USAGE;
  if (cli_dump_read_index(c.a, &c.in_a, &c.count_a) &&
      cli_dump_read_index(c.b, &c.in_b, &c.count_b))
    exit_code = compare_all(&c);
  cli_dump_free_index(c.in_a, c.count_a);
  cli_dump_free_index(c.in_b, c.count_b);
  return exit_code;
}

const cli_command cli_compare_command = {
    .name = "compare",
    .arguments = "DIR_A DIR_B",
    .summary = "the first node whose values depart between two dumps of 'run --dump'",
    .examples =
        "  kapell run model.onnx --input x=x.npy --dump a\n"
        "  kapell run model.onnx --input x=x.npy --dump b --cpu-mask scalar\n"
        "  kapell compare a b --rtol 1e-4\n",
    .options = kOptions,
    .run = run,
};
