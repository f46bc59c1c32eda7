// Shapes of inputs that the caller gives: --dim for a symbolic dimension, --shape for a whole input.
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

bool cli_symbol_dim(const cli_args* args, const char* symbol, int64_t* out) {
  int at = 0;
  *out = 1;
  for (const char* text; symbol && (text = cli_next(args, "dim", &at)) != NULL;) {
    const char* equals = strchr(text, '=');
    if (!equals || strlen(symbol) != (size_t)(equals - text) ||
        strncmp(text, symbol, strlen(symbol)) != 0)
      continue;
    char* end;
    *out = strtoll(equals + 1, &end, 10);
    if (*end || *out < 0) return fprintf(stderr, "--dim '%s' is not NAME=N\n", text), false;
  }
  return true;
}

// The dims of "NAME=1,3,224" for input |name|; -1 where no --shape names it, -2 where one is wrong (printed).
static int32_t given_shape(const cli_args* args, const char* name, int64_t dims[CLI_MAX_RANK]) {
  const size_t length = strlen(name);
  int32_t rank = -1;
  int at = 0;
  for (const char* text; (text = cli_next(args, "shape", &at)) != NULL;) {
    if (strncmp(text, name, length) != 0 || text[length] != '=') continue;
    const char* next = text + length + 1;
    for (rank = 0; *next && rank < CLI_MAX_RANK; ++rank) {
      char* end;
      dims[rank] = strtoll(next, &end, 10);
      if (end == next || (*end && *end != ',') || dims[rank] < 0) break;
      next = *end ? end + 1 : end;
    }
    if (!*next) continue;
    fprintf(stderr, "kapell %s: --shape '%s' is not NAME=1,3,224\n", args->command->name, text);
    return -2;
  }
  return rank;
}

bool cli_choose_shape(const cli_args* args, const kapell_io_info* io, int64_t dims[CLI_MAX_RANK],
                      int32_t* out_rank) {
  const kapell_type_info* type = io->type;
  *out_rank = given_shape(args, io->name, dims);
  if (*out_rank != -1 || type->rank < 0 || type->rank > CLI_MAX_RANK) return *out_rank != -2;
  *out_rank = type->rank;
  for (int32_t d = 0; d < type->rank; ++d) {
    dims[d] = type->dims[d];
    if (dims[d] < 0 && !cli_symbol_dim(args, type->symbols[d], &dims[d])) return false;
  }
  return true;
}
