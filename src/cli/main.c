// kapell: finds the subcommand and runs it.
#include <string.h>

#include "cli/cli.h"

static const cli_command* const kCommands[] = {
    &cli_run_command,    &cli_inspect_command, &cli_place_command, &cli_providers_command,
    &cli_bundle_command, &cli_compare_command, &cli_check_command, &cli_embed_command,
    &cli_doctor_command, &cli_bench_command,   &cli_exec_command};

static void usage(FILE* out) {
  fprintf(out, "kapell %s runs ONNX models on the execution providers that a machine has.\n\n",
          kapell_version());
  for (size_t i = 0; i < sizeof(kCommands) / sizeof(kCommands[0]); ++i) {
    const cli_command* c = kCommands[i];
    fprintf(out, "  kapell %-10s %-11s %s\n", c->name, c->arguments, c->summary);
  }
  fprintf(out,
          "\n'kapell COMMAND --help' has options and examples. Exit codes: 0 done, 1 a run failed "
          "or outputs differ,\n"
          "2 the call was wrong, 3 the model or a provider could not be opened.\n");
}

int main(int argc, char** argv) {
  if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
      !strcmp(argv[1], "help")) {
    usage(argc < 2 ? stderr : stdout);
    return argc < 2 ? CLI_USAGE : CLI_OK;
  }
  if (!strcmp(argv[1], "--version")) {
    printf("kapell %s (%s)\n", kapell_version(), kapell_cpu_features());
    return CLI_OK;
  }
  for (size_t i = 0; i < sizeof(kCommands) / sizeof(kCommands[0]); ++i)
    if (!strcmp(argv[1], kCommands[i]->name))
      return kCommands[i]->run(kCommands[i], argc - 2, argv + 2);
  fprintf(stderr, "kapell: there is no command '%s'\n\n", argv[1]);
  usage(stderr);
  return CLI_USAGE;
}
