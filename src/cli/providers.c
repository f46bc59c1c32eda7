// kapell providers: every provider that this build knows, and why those that are not here are not.
#include "cli/cli.h"

static const cli_option kOptions[] = {{0}};

static int run(const cli_command* command, int argc, char** argv) {
  cli_args args;
  int exit_code;
  if (!cli_parse(command, argc, argv, &args, &exit_code)) return exit_code;
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
    .examples = "  kapell providers\n",
    .options = kOptions,
    .run = run,
};
