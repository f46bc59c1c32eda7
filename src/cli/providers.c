// kapell providers: every provider that this build knows, and why those that are not here are not.
#include <string.h>

#include "cli/cli.h"

static const cli_option kOptions[] = {
    {"options", "NAME", "the options of a provider: --option NAME.KEY=VALUE"},
    {"provider-library", "NAME=PATH",
     "load a library of providers first, under NAME; may be repeated (docs/hosting.md)"},
    {0}};

static void print_option(const kapell_provider_option_info* o) {
  printf("  %-28s ", o->key);
  if (o->values) {
    printf("%s ", o->kind);
    for (size_t i = 0; o->values[i]; ++i) printf("%s%s", i ? ", " : "", o->values[i]);
  } else if (!strcmp(o->kind, "int") || !strcmp(o->kind, "float")) {
    printf("%s from %.15g to %.15g", o->kind, o->min, o->max);
  } else {
    printf("%s", o->kind);
  }
  if (o->default_value) printf("; default %s", o->default_value);
  printf("\n  %-28s %s\n", "", o->help);
}

static int print_options(const char* provider) {
  kapell_provider_option_info info;
  size_t count = 0;
  while (kapell_provider_option_at(provider, count, &info)) print_option((++count, &info));
  if (count) return CLI_OK;
  fprintf(stderr, "kapell providers: no provider '%s' with options is known\n", provider);
  return CLI_USAGE;
}

static int run(const cli_command* command, int argc, char** argv) {
  cli_args args;
  int exit_code;
  if (!cli_parse(command, argc, argv, &args, &exit_code)) return exit_code;
  if (!cli_register_libraries(&args)) return CLI_OPEN;
  if (cli_get(&args, "options")) return print_options(cli_get(&args, "options"));
  kapell_provider_info* list;
  size_t count;
  kapell_status* status = kapell_providers(&list, &count);
  if (status) {
    cli_print_status(status);
    return CLI_FAILED;
  }
  for (size_t i = 0; i < count; ++i) {
    const kapell_provider_info* p = &list[i];
    if (!p->available) continue;
    printf("%-14s available%s%s", p->short_name, p->version ? ", version " : "",
           p->version ? p->version : "");
    if (p->devices && p->devices[0]) printf(", %s", p->devices);
    printf("\n");
  }
  for (size_t i = 0; i < count; ++i) {
    const kapell_provider_info* p = &list[i];
    if (p->available) continue;
    printf("%-14s not here: %s\n", p->short_name, p->reason ? p->reason : "no reason known");
    if (p->fix) printf("%-14s   to fix it: %s\n", "", p->fix);
  }
  kapell_providers_free(list);
  return CLI_OK;
}

const cli_command cli_providers_command = {
    .name = "providers",
    .arguments = "",
    .summary = "execution providers: what is here, and why not the others",
    .examples = "  kapell providers\n  kapell providers --options CUDA\n",
    .options = kOptions,
    .run = run,
};
