// kapell bundle, between bundle.c and bundle_parts.c.
#ifndef KAPELL_CLI_BUNDLE_H_
#define KAPELL_CLI_BUNDLE_H_

#include "cli/cli.h"

typedef struct bundle {
  cli_args args;
  const char* path;
  bool force;
  long runs;
  kapell_synthesis synthesis;
} bundle;

// The parts of the archive that are texts.
void bundle_options(const bundle* b, FILE* out);
void bundle_environment(FILE* out);
void bundle_placement(const kapell_session* session, FILE* text, FILE* json);

#endif  // KAPELL_CLI_BUNDLE_H_
