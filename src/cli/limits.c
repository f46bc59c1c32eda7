// --untrusted and --limit NAME=VALUE: numbers with a unit, into the options of a session.
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

typedef struct limit {
  const char* name;
  size_t offset;  // of a uint64_t in kapell_options
  bool seconds;   // kept as nanoseconds
} limit;

static const limit limits[] = {
    {"memory", offsetof(kapell_options, max_memory), false},
    {"nodes", offsetof(kapell_options, max_nodes), false},
    {"iterations", offsetof(kapell_options, max_iterations), false},
    {"open-seconds", offsetof(kapell_options, open_timeout_ns), true},
    {"run-seconds", offsetof(kapell_options, run_timeout_ns), true},
    {"fold-bytes", offsetof(kapell_options, fold_bytes), false},
    {"fold-seconds", offsetof(kapell_options, fold_ns), true},
};

// "none", "256M", "1.5": in units of one, K, M, G or T.
static bool parse_number(const char* text, bool seconds, uint64_t* out) {
  static const char units[] = "KMGT";
  char* end;
  *out = UINT64_MAX;
  if (strcmp(text, "none") == 0) return true;
  errno = 0;
  double number = strtod(text, &end);
  const char* unit = *end && !seconds ? strchr(units, *end) : NULL;
  if (errno || end == text || end[unit ? 1 : 0] || !(number > 0)) return false;
  if (unit) number = ldexp(number, 10 * (int)(unit - units + 1));
  if (seconds) number *= 1e9;
  if (number >= 1 && number < 9e18) *out = (uint64_t)number;
  return number >= 1;
}

static bool set_limit(const char* text, kapell_options* options) {
  const size_t length = strcspn(text, "=");
  for (size_t i = 0; text[length] && i < sizeof limits / sizeof limits[0]; ++i) {
    if (strlen(limits[i].name) != length || strncmp(limits[i].name, text, length) != 0) continue;
    uint64_t* const field = (uint64_t*)(void*)((char*)options + limits[i].offset);
    return parse_number(text + length + 1, limits[i].seconds, field);
  }
  return false;
}

bool cli_read_limits(const cli_args* args, kapell_options* options) {
  int at = 0;
  options->untrusted = cli_has(args, "untrusted");
  for (const char* text; (text = cli_next(args, "limit", &at)) != NULL;) {
    if (set_limit(text, options)) continue;
    fprintf(stderr,
            "kapell %s: --limit '%s': NAME=VALUE is wanted, where VALUE is 256M, 0.5 or none, and "
            "NAME one of:",
            args->command->name, text);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; ++i)
      fprintf(stderr, " %s", limits[i].name);
    fprintf(stderr, "\n");
    return false;
  }
  return true;
}
