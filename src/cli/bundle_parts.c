// What a bundle says of the call, the machine and the placement.
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/bundle.h"

#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

void bundle_options(const bundle* b, FILE* out) {
  const char* slash = strrchr(b->args.model, '/');
  fprintf(out, "model: %s\n", slash ? slash + 1 : b->args.model);
  for (const cli_option* o = b->args.command->options; o->name; ++o) {
    if (!strcmp(o->name, "o") || !strcmp(o->name, "force")) continue;
    int at = 0;
    for (const char* value; (value = cli_next(&b->args, o->name, &at)) != NULL;)
      fprintf(out, "--%s%s%s\n", o->name, o->takes ? " " : "", value);
  }
}

static void tell_processor(FILE* out) {
  FILE* info = fopen("/proc/cpuinfo", "r");
  char line[512];
  while (info && fgets(line, sizeof(line), info))
    if (!strncmp(line, "model name", 10) || !strncmp(line, "CPU part", 8)) {
      fprintf(out, "processor: %s", line + strcspn(line, ":") + (strchr(line, ':') ? 2 : 0));
      break;
    }
  if (info) fclose(info);
}

static void tell_providers(FILE* out) {
  kapell_provider_info* list = NULL;
  size_t count = 0;
  kapell_status* status = kapell_providers(&list, &count);
  if (status) fprintf(out, "providers: %s\n", kapell_status_message(status));
  kapell_status_free(status);
  for (size_t i = 0; i < count; ++i) {
    const kapell_provider_info* p = &list[i];
    fprintf(out, "provider: %s, %s%s%s%s%s%s\n", p->name, p->built_in ? "built in, " : "",
            p->available ? "available" : "not available", p->version ? ", version " : "",
            p->version ? p->version : "", p->devices ? ", " : "", p->devices ? p->devices : "");
    if (p->reason) fprintf(out, "  %s\n", p->reason);
  }
  kapell_providers_free(list);
}

void bundle_environment(FILE* out) {
  struct utsname system;
  fprintf(out, "kapell: %s (built as %s)\n", kapell_version(), KAPELL_VERSION_STRING);
  if (uname(&system) == 0)
    fprintf(out, "system: %s %s %s\n", system.sysname, system.release, system.machine);
#ifdef __GLIBC__
  fprintf(out, "libc: glibc %s\n", gnu_get_libc_version());
#endif
  tell_processor(out);
  fprintf(out, "features: %s\nprocessors online: %ld\n", kapell_cpu_features(),
          sysconf(_SC_NPROCESSORS_ONLN));
  for (char** e = environ; *e; ++e)
    if (!strncmp(*e, "KAPELL_", 7)) fprintf(out, "%s\n", *e);
  tell_providers(out);
}

void bundle_placement(const kapell_session* session, FILE* text, FILE* json) {
  kapell_status* (*const kReports[])(const kapell_session*, char**) = {
      kapell_session_placement_text, kapell_session_placement_json};
  FILE* const files[] = {text, json};
  for (int i = 0; i < 2; ++i) {
    char* report = NULL;
    kapell_status* status = kReports[i](session, &report);
    fputs(status ? kapell_status_text(status) : report, files[i]);
    kapell_status_free(status);
    kapell_free_text(report);
  }
}
