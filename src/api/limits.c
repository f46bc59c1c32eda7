// Limits of sessions: defaults of the two modes, and their errors.
#include "api/limits.h"

#include <stdio.h>

#include "base/clock.h"

#define MIB (UINT64_C(1) << 20)
#define SECOND UINT64_C(1000000000)

typedef struct default_limit {
  size_t offset;  // of a uint64_t in kapell_options
  uint64_t trusted, untrusted;
} default_limit;

static const default_limit limits[] = {
    {offsetof(kapell_options, max_memory), 0, 1024 * MIB},
    {offsetof(kapell_options, max_nodes), 1000000, 100000},
    {offsetof(kapell_options, max_iterations), 0, 1000000},
    {offsetof(kapell_options, open_timeout_ns), 0, 10 * SECOND},
    {offsetof(kapell_options, run_timeout_ns), 0, 10 * SECOND},
    {offsetof(kapell_options, fold_bytes), 1024 * MIB, 64 * MIB},
    {offsetof(kapell_options, fold_ns), 10 * SECOND, SECOND},
};

void kp_limits_complete(kapell_options* options) {
  for (size_t i = 0; i < sizeof limits / sizeof limits[0]; ++i) {
    uint64_t* const value = (uint64_t*)(void*)((char*)options + limits[i].offset);
    if (*value == 0) *value = options->untrusted ? limits[i].untrusted : limits[i].trusted;
  }
  if (options->max_memory == UINT64_MAX) options->max_memory = 0;
  if (options->max_iterations == UINT64_MAX) options->max_iterations = 0;
  if (options->open_timeout_ns == UINT64_MAX) options->open_timeout_ns = 0;
  if (options->run_timeout_ns == UINT64_MAX) options->run_timeout_ns = 0;
}

void kp_limits_enter(const kapell_options* options, kp_budget* budget, uint64_t deadline_ns,
                     kp_bounds* out_before) {
  *out_before = kp_bounds_enter((kp_bounds){.budget = budget,
                                            .deadline_ns = deadline_ns,
                                            .flush_denormals = options->flush_denormals,
                                            .no_spin = options->no_spin,
                                            .pool = options->pool});
}

// "1.5 GiB"
static void print_bytes(uint64_t bytes, char* out, size_t size) {
  static const char* const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double number = (double)bytes;
  size_t unit = 0;
  for (; number >= 1024 && unit + 1 < sizeof units / sizeof units[0]; ++unit) number /= 1024;
  snprintf(out, size, "%.4g %s", number, units[unit]);
}

static kp_status* explain_memory(kp_status* status, const kp_budget* budget) {
  char cap[32], used[32], wanted[32];
  print_bytes(kp_budget_limit(budget), cap, sizeof cap);
  uint64_t in_use;
  print_bytes(kp_budget_refused(budget, &in_use), wanted, sizeof wanted);
  print_bytes(in_use, used, sizeof used);
  status = kp_status_restate(
      status, KAPELL_LIMIT,
      "the session's memory limit of %s is reached: %s more are wanted with %s in use: %s", cap,
      wanted, used, kp_status_message(status));
  return kp_status_hint(status,
                        "max_memory sets the limit; 'kapell inspect' says what a run needs");
}

kp_status* kp_limits_explain(kp_status* status, const kp_budget* budget, uint64_t deadline_ns,
                             bool cancelled) {
  const kapell_code code = kp_status_code(status);
  uint64_t in_use;
  if (code == KAPELL_OUT_OF_MEMORY && budget && kp_budget_refused(budget, &in_use))
    return explain_memory(status, budget);
  if (code == KAPELL_CANCELLED && !cancelled && deadline_ns && kp_clock_ns() > deadline_ns)
    return kp_status_hint(kp_status_restate(status, KAPELL_TIMEOUT, "a time limit ran out: %s",
                                            kp_status_message(status)),
                          "run_timeout_ns and open_timeout_ns set the limits (run-seconds and "
                          "open-seconds on the command line); a profile shows what "
                          "takes the time; a provider that hangs can be left out of the list");
  return status;
}
