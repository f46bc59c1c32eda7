// kapell place: which provider runs which nodes, and why.
#include "cli/cli.h"

static const cli_option kOptions[] = {
    CLI_SESSION_OPTIONS, {"json", NULL, "the report as JSON (docs/placement.md)"}, {0}};

static int run(const cli_command* command, int argc, char** argv) {
  cli_args args;
  int exit_code;
  if (!cli_parse(command, argc, argv, &args, &exit_code)) return exit_code;
  kapell_session* session;
  exit_code = cli_open(&args, NULL, &session);
  if (exit_code) return exit_code;
  char* text = NULL;
  kapell_status* status = cli_has(&args, "json") ? kapell_session_placement_json(session, &text)
                                                 : kapell_session_placement_text(session, &text);
  if (!status) fputs(text, stdout);
  if (!status && cli_has(&args, "json")) putchar('\n');
  exit_code = status ? CLI_FAILED : CLI_OK;
  cli_print_status(status);
  kapell_free_text(text);
  kapell_session_close(session);
  return exit_code;
}

const cli_command cli_place_command = {
    .name = "place",
    .arguments = "MODEL",
    .summary = "who runs which nodes of a model, and why",
    .examples =
        "  kapell place model.onnx --providers \"CUDA?,CPU\"\n"
        "  kapell place model.onnx --providers \"OpenVINO>=90%,CPU; partitions<=3\" --json\n",
    .options = kOptions,
    .run = run,
};
