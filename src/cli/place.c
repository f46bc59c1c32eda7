// kapell place: which provider runs which nodes, and why.
#include <string.h>

#include "cli/cli.h"

static const cli_option kOptions[] = {
    CLI_SESSION_OPTIONS,
    {"json", NULL, "the report as JSON (docs/placement.md)"},
    {"lock", "FILE", "write the placement into FILE, for 'kapell check --lock'"},
    {0}};

// Writes |text|, which |status| says whether there is, and frees both.
static int write_text(const char* path, kapell_status* status, char* text) {
  const bool written = !status && cli_write_file(path, text, strlen(text));
  cli_print_status(status);
  kapell_free_text(text);
  return written ? CLI_OK : CLI_FAILED;
}

static int write_lock(const kapell_session* session, const char* path) {
  char* text = NULL;
  kapell_status* status = kapell_session_placement_lock(session, &text);
  return write_text(path, status, text);
}

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
  if (!exit_code && cli_has(&args, "lock")) exit_code = write_lock(session, cli_get(&args, "lock"));
  kapell_session_close(session);
  return exit_code;
}

const cli_command cli_place_command = {
    .name = "place",
    .arguments = "MODEL",
    .summary = "who runs which nodes of a model, and why",
    .examples =
        "  kapell place model.onnx --providers \"CUDA?,CPU\"\n"
        "  kapell place model.onnx --providers \"OpenVINO>=90%,CPU; partitions<=3\" --json\n"
        "  kapell place model.onnx --providers \"CUDA,CPU\" --lock model.lock\n",
    .options = kOptions,
    .run = run,
};
