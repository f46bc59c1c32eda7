// kapell doctor: which providers are here, what each needs and lacks, and how to get it.
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static const cli_option kOptions[] = {
    {"require", "NAMES",
     "providers by commas that have to be usable; exit code 3 if one is not (for readiness "
     "probes)"},
    {"library", "FILE", "look at this library of a provider instead"},
    {"path", "LIST", "files and folders by ':' to look at first, before KAPELL_PROVIDER_PATH"},
    {"root", "DIR", "look at the system in DIR (an unpacked container image) by its files"},
    {"files-only", NULL, "load nothing, not even in the helper process"},
    {"seconds", "N", "a library that takes longer to load is taken to hang (default 20)"},
    {"quiet", NULL, "print nothing but what is required and not ready"},
    {"json", NULL, "the report as JSON (docs/doctor.md)"},
    {0},
};

// The tail of the report that says what is required.
static void print_required(const char* text) {
  for (const char* at = text; (at = strstr(at, "\nrequired: ")) != NULL; ++at)
    if (strstr(at, "NOT READY") && strcspn(at + 1, "\n") > (size_t)(strstr(at, "NOT READY") - at))
      fprintf(stderr, "%.*s\n", (int)strcspn(at + 1, "\n"), at + 1);
}

static int print_report(const cli_args* args, const kapell_doctor* doctor) {
  if (cli_has(args, "json"))
    fputs(kapell_doctor_json(doctor), stdout);
  else if (cli_has(args, "quiet"))
    print_required(kapell_doctor_text(doctor));
  else
    fputs(kapell_doctor_text(doctor), stdout);
  if (!kapell_doctor_ready(doctor)) return CLI_OPEN;
  // Readiness is about what was asked for; without --require, what is broken counts.
  return cli_has(args, "require") || kapell_doctor_healthy(doctor) ? CLI_OK : CLI_FAILED;
}

static int run(const cli_command* command, int argc, char** argv) {
  cli_args args;
  int exit_code;
  double seconds;
  if (!cli_parse(command, argc, argv, &args, &exit_code)) return exit_code;
  if (!cli_real(&args, "seconds", 20, &seconds)) return CLI_USAGE;
  kapell_doctor_options options = KAPELL_DOCTOR_OPTIONS_INIT;
  char* library = cli_get(&args, "library") ? realpath(cli_get(&args, "library"), NULL) : NULL;
  char* root = cli_get(&args, "root") ? realpath(cli_get(&args, "root"), NULL) : NULL;
  if ((cli_get(&args, "library") && !library) || (cli_get(&args, "root") && !root)) {
    fprintf(
        stderr, "kapell doctor: there is no '%s'\n",
        !library && cli_get(&args, "library") ? cli_get(&args, "library") : cli_get(&args, "root"));
    free(library);
    return CLI_USAGE;
  }
  options.require = cli_get(&args, "require");
  kapell_doctor_options* wanted = &options;
  wanted->library = library;
  options.root = root;
  options.provider_path = cli_get(&args, "path");
  options.files_only = cli_has(&args, "files-only");
  options.timeout_ns = (uint64_t)(seconds * 1e9);
  kapell_doctor* doctor;
  kapell_status* status = kapell_doctor_open(&options, &doctor);
  exit_code = status ? CLI_USAGE : print_report(&args, doctor);
  cli_print_status(status);
  if (!status) kapell_doctor_close(doctor);
  free(library);
  free(root);
  return exit_code;
}

const cli_command cli_doctor_command = {
    .name = "doctor",
    .arguments = "",
    .summary = "what is here of each provider, what it lacks, and how to get it",
    .examples =
        "  kapell doctor\n"
        "  kapell doctor --require CUDA --quiet && exec my-service\n"
        "  kapell doctor --library /opt/vendor/libonnxruntime_providers_new.so\n"
        "  kapell doctor --root image --json\n",
    .options = kOptions,
    .run = run,
};
