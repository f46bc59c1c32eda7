// kapell place: which provider runs which nodes, and why; as text, JSON, a lock, or a picture.
#include <string.h>

#include "cli/place.h"

static const cli_option kOptions[] = {
    CLI_SESSION_OPTIONS,
    {"json", NULL, "the report as JSON (docs/placement.md)"},
    {"lock", "FILE", "write the placement into FILE, for 'kapell check --lock'"},
    {"html", "FILE", "write a page that stands alone: the graph, coloured, with every reason"},
    {"profile", "FILE", "times for the page: a profile that 'kapell run --profile' wrote"},
    {"svg", "FILE", "write a picture of a small graph"},
    {"png", "FILE", "the same by Graphviz, where it is installed"},
    {0}};

static int write_lock(const kapell_session* session, const char* path) {
  char* text = NULL;
  kapell_status* status = kapell_session_placement_lock(session, &text);
  const bool written = !status && cli_write_file(path, text, strlen(text));
  cli_print_status(status);
  kapell_free_text(text);
  return written ? CLI_OK : CLI_FAILED;
}

static int print_report(const kapell_session* session, bool json) {
  char* text = NULL;
  kapell_status* status = json ? kapell_session_placement_json(session, &text)
                               : kapell_session_placement_text(session, &text);
  if (!status) fputs(text, stdout);
  if (!status && json) putchar('\n');
  const bool fine = !status;
  cli_print_status(status);
  kapell_free_text(text);
  return fine ? CLI_OK : CLI_FAILED;
}

// Writes the files that are asked for; the first failure ends it.
static int write_files(const cli_args* args, const kapell_session* session) {
  const char *lock = cli_get(args, "lock"), *html = cli_get(args, "html");
  const char *svg = cli_get(args, "svg"), *png = cli_get(args, "png");
  int exit_code = lock ? write_lock(session, lock) : CLI_OK;
  if (!exit_code && html)
    exit_code = place_html(session, args->model, cli_get(args, "profile"), html);
  if (!exit_code && svg) exit_code = place_svg(session, svg);
  if (!exit_code && png) exit_code = place_png(session, png);
  return exit_code;
}

static int run(const cli_command* command, int argc, char** argv) {
  cli_args args;
  int exit_code;
  if (!cli_parse(command, argc, argv, &args, &exit_code)) return exit_code;
  if (cli_has(&args, "profile") && !cli_has(&args, "html"))
    return fprintf(stderr, "kapell place: --profile is for the page of --html\n"), CLI_USAGE;
  kapell_session* session;
  exit_code = cli_open(&args, NULL, &session);
  if (exit_code) return exit_code;
  exit_code = print_report(session, cli_has(&args, "json"));
  if (!exit_code) exit_code = write_files(&args, session);
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
        "  kapell place model.onnx --providers \"CUDA,CPU\" --lock model.lock --html model.html\n",
    .options = kOptions,
    .run = run,
};
