// Arguments of subcommands: "--name value", "--name=value" and switches, checked against the command's table.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

void cli_help(const cli_command* command, FILE* out) {
  fprintf(out, "kapell %s %s: %s\n\n", command->name, command->arguments, command->summary);
  for (const cli_option* o = command->options; o->name; ++o) {
    const int width =
        fprintf(out, "  --%s%s%s", o->name, o->takes ? " " : "", o->takes ? o->takes : "");
    fprintf(out, "%*s%s\n", width < 28 ? 28 - width : 1, "", o->help);
  }
  fprintf(out, "\nExamples:\n%s", command->examples);
}

// The option that |arg| names ("--x", "--x=..." or "-o"), or NULL.
static const cli_option* option_of(const cli_command* command, const char* arg) {
  if (!strcmp(arg, "-o")) arg = "--o";
  if (strncmp(arg, "--", 2) != 0) return NULL;
  const size_t length = strcspn(arg + 2, "=");
  for (const cli_option* o = command->options; o->name; ++o)
    if (strlen(o->name) == length && strncmp(arg + 2, o->name, length) == 0) return o;
  return NULL;
}

static bool wrong(const cli_command* command, int* out_exit, const char* arg, const char* what) {
  fprintf(stderr, "kapell %s: '%s' %s; see 'kapell %s --help'\n", command->name, arg, what,
          command->name);
  *out_exit = CLI_USAGE;
  return false;
}

static int count_arguments(const cli_command* command) {
  return command->arguments[0] == 0 ? 0 : strchr(command->arguments, ' ') ? 2 : 1;
}

bool cli_parse(const cli_command* command, int argc, char** argv, cli_args* out_args,
               int* out_exit) {
  *out_args = (cli_args){.command = command, .argc = argc, .argv = argv};
  for (int i = 0; i < argc; ++i) {
    if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
      cli_help(command, stdout);
      *out_exit = CLI_OK;
      return false;
    }
    if (argv[i][0] != '-' || !argv[i][1]) {
      const char** place = !out_args->model ? &out_args->model : &out_args->second;
      if (*place || count_arguments(command) < (place == &out_args->model ? 1 : 2))
        return wrong(command, out_exit, argv[i], "is one argument too many");
      *place = argv[i];
      continue;
    }
    const cli_option* o = option_of(command, argv[i]);
    if (!o) return wrong(command, out_exit, argv[i], "is no option of this command");
    const bool joined = strchr(argv[i], '=') != NULL;
    if (!o->takes && joined) return wrong(command, out_exit, argv[i], "takes no value");
    if (o->takes && !joined && ++i >= argc)
      return wrong(command, out_exit, argv[i - 1], "needs a value");
  }
  if ((out_args->model != NULL) + (out_args->second != NULL) < count_arguments(command)) {
    fprintf(stderr, "kapell %s: %s is missing; see 'kapell %s --help'\n", command->name,
            command->arguments, command->name);
    *out_exit = CLI_USAGE;
    return false;
  }
  return true;
}

const char* cli_next(const cli_args* args, const char* name, int* at) {
  for (int i = *at; i < args->argc; ++i) {
    const cli_option* o = option_of(args->command, args->argv[i]);
    if (!o) continue;
    const char* equals = strchr(args->argv[i], '=');
    const char* value = !o->takes ? "" : equals ? equals + 1 : args->argv[++i];
    if (strcmp(o->name, name) != 0) continue;
    *at = i + 1;
    return value;
  }
  *at = args->argc;
  return NULL;
}

const char* cli_get(const cli_args* args, const char* name) {
  const char* last = NULL;
  int at = 0;
  for (const char* value; (value = cli_next(args, name, &at)) != NULL;) last = value;
  return last;
}

bool cli_has(const cli_args* args, const char* name) { return cli_get(args, name) != NULL; }

bool cli_int(const cli_args* args, const char* name, long low, long high, long fallback,
             long* out) {
  *out = fallback;
  const char* text = cli_get(args, name);
  if (!text) return true;
  char* end;
  errno = 0;
  *out = strtol(text, &end, 10);
  if (!errno && end != text && !*end && *out >= low && *out <= high) return true;
  fprintf(stderr, "kapell %s: --%s is '%s'; a number from %ld to %ld is wanted\n",
          args->command->name, name, text, low, high);
  return false;
}

bool cli_real(const cli_args* args, const char* name, double fallback, double* out) {
  const char* text = cli_get(args, name);
  char* end;
  *out = text ? strtod(text, &end) : fallback;
  if (!text || (end != text && !*end && *out >= 0)) return true;
  fprintf(stderr, "kapell %s: --%s '%s' is no number\n", args->command->name, name, text);
  return false;
}
