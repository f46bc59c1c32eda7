// Opens sessions for subcommands, with a progress bar where somebody is watching.
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

void cli_print_status(kapell_status* status) {
  if (!status) return;
  fprintf(stderr, "%s\n", kapell_status_text(status));
  kapell_status_free(status);
}

typedef struct progress {
  struct timespec start;
  bool shown;
} progress;

// Appears after a second, on a terminal only.
static bool show_progress(void* user, double done, const char* what) {
  progress* p = user;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const double seconds =
      (double)(now.tv_sec - p->start.tv_sec) + (double)(now.tv_nsec - p->start.tv_nsec) * 1e-9;
  if (seconds < 1) return false;
  p->shown = true;
  fprintf(stderr, "\r%-22s [", what);
  for (int i = 0; i < 30; ++i) fputc(i < done * 30 ? '#' : ' ', stderr);
  fprintf(stderr, "] %3.0f %%", done * 100);
  if (done > 0.05) fprintf(stderr, ", %.0f s left ", seconds * (1 - done) / done);
  return false;
}

static size_t count_options(const cli_args* args) {
  size_t count = 0;
  int at = 0;
  while (cli_next(args, "option", &at)) ++count;
  return count;
}

char* cli_without_limits(const char* list) {
  char* kept = strdup(list);
  if (!kept) return NULL;
  kept[strcspn(kept, ";")] = 0;
  for (const char* at = strchr(list, ';'); at; at = strchr(at, ';')) {
    ++at;
    at += strspn(at, " ");
    if (!strncasecmp(at, "floor", 5)) sprintf(strchr(kept, 0), ";%.*s", (int)strcspn(at, ";"), at);
  }
  return kept;
}

// Splits "NAME.KEY=VALUE"; the texts are owned by the list.
static bool read_options(const cli_args* args, kapell_provider_option* list, size_t count) {
  int at = 0;
  for (size_t i = 0; i < count; ++i) {
    const char* text = cli_next(args, "option", &at);
    const char* equals = strchr(text, '=');
    if (!equals || equals == text) {
      fprintf(stderr, "kapell %s: --option '%s' is not of the form NAME.KEY=VALUE\n",
              args->command->name, text);
      return false;
    }
    list[i].key = strndup(text, (size_t)(equals - text));
    list[i].value = equals + 1;
    if (!list[i].key) return false;
  }
  return true;
}

bool cli_register_libraries(const cli_args* args) {
  int at = 0;
  for (const char* text; (text = cli_next(args, "provider-library", &at)) != NULL;) {
    const char* equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1]) {
      fprintf(stderr, "kapell %s: --provider-library '%s' is not of the form NAME=PATH\n",
              args->command->name, text);
      return false;
    }
    char* name = strndup(text, (size_t)(equals - text));
    kapell_status* status = name ? kapell_provider_library_register(name, equals + 1) : NULL;
    const bool good = name && !status;
    free(name);
    cli_print_status(status);
    if (!good) return false;
  }
  return true;
}

static kapell_status* open_model(const cli_args* args, const cli_opening* how,
                                 kapell_options* options, kapell_session** out_session) {
  options->profile_path = how->profile_path;
  options->keep_values = how->keep_values;
  options->shadow_every = how->shadow_every;
  options->shadow = how->shadow;
  options->borrow_bytes = true;
  if (!how->bytes) return kapell_session_open_file(args->model, options, out_session);
  return kapell_session_open(how->bytes, how->byte_count, options, out_session);
}

static bool read_policy(const cli_args* args, kapell_options* options) {
  const char* text = cli_get(args, "on-failure");
  if (text && !strcmp(text, "continue")) options->on_failure = KAPELL_ON_FAILURE_CONTINUE;
  if (!text || !strcmp(text, "continue") || !strcmp(text, "error")) return true;
  fprintf(stderr, "kapell %s: --on-failure is '%s'; error or continue is wanted\n",
          args->command->name, text);
  return false;
}

// Leaves the options of the CPU, for a session on it alone; gives how many.
static size_t keep_reference_options(kapell_provider_option* list, size_t count) {
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!strncasecmp(list[i].key, "CPU", 3))
      list[kept++] = list[i];
    else
      free((char*)(uintptr_t)list[i].key);
  }
  return kept;
}

// Once a process, though commands open several sessions.
static bool register_once(const cli_args* args) {
  static bool registered;
  if (!registered) registered = cli_register_libraries(args);
  return registered;
}

int cli_open(const cli_args* args, const char* profile_path, kapell_session** out_session) {
  return cli_open_as(args, &(cli_opening){.profile_path = profile_path}, out_session);
}

int cli_open_as(const cli_args* args, const cli_opening* how, kapell_session** out_session) {
  int exit_code = CLI_USAGE;
  kapell_options options = KAPELL_OPTIONS_INIT;
  progress p = {.shown = false};
  long threads;
  *out_session = NULL;
  clock_gettime(CLOCK_MONOTONIC, &p.start);
  if (how->threads)
    threads = how->threads;
  else if (!cli_int(args, "threads", 0, 256, 0, &threads))
    return CLI_USAGE;
  if (!read_policy(args, &options)) return CLI_USAGE;
  if (!register_once(args)) return CLI_OPEN;
  size_t count = count_options(args);
  kapell_provider_option* list = calloc(count + 1, sizeof(*list));
  if (!list) return CLI_OPEN;
  if (read_options(args, list, count) && cli_read_limits(args, &options)) {
    options.providers = cli_get(args, "providers");
    if (how->providers) {
      options.providers = how->providers;
      unsetenv("KAPELL_PROVIDERS");
      if (!strcmp(how->providers, CLI_REFERENCE)) count = keep_reference_options(list, count);
    }
    options.provider_options = list;
    options.provider_option_count = count;
    options.threads = (int)threads;
    options.cpu_mask = cli_get(args, "cpu-mask");
    options.progress = isatty(STDERR_FILENO) ? show_progress : NULL;
    options.progress_user = &p;
    kapell_status* status = open_model(args, how, &options, out_session);
    exit_code = status ? CLI_OPEN : CLI_OK;
    if (p.shown) fprintf(stderr, "\r%78s\r", "");
    if (how->out_status)
      *how->out_status = status;
    else
      cli_print_status(status);
  }
  for (size_t i = 0; i < count; ++i) free((char*)(uintptr_t)list[i].key);
  free(list);
  return exit_code;
}
