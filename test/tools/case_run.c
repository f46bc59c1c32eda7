// Runs backend cases (folders as the onnx package lays them out) through kapell.h, where no Python is: under sanitizers, under an
// emulator. case_run [--mask M] [--threads N] FOLDER...
//
// A folder has model.onnx, test_data_set_N/input_I.pb and output_I.pb, and optionally `tolerance`, a file of two numbers: relative and
// absolute. Prints "ok FOLDER" or "bad FOLDER: what" for each; exit status 1 if any is bad.
#include "kapell/kapell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/backend_case.h"

#define MAX_VALUES 64

typedef struct value_list {
  kapell_value* items[MAX_VALUES];
  size_t count;
} value_list;

static void clear(value_list* list) {
  for (size_t i = 0; i < list->count; ++i) kapell_value_release(list->items[i]);
  list->count = 0;
}

// --- reading -----------------------------------------------------------------------------------------------------------------
// |what| is "input" or "output": as many files as there are, at most as many as the session has.
static kp_status* read_all(const char* folder, int set, const char* what, kapell_session* session,
                           value_list* out) {
  const bool input = strcmp(what, "input") == 0;
  const size_t most =
      input ? kapell_session_input_count(session) : kapell_session_output_count(session);
  for (size_t i = 0; i < most && i < MAX_VALUES; ++i) {
    char path[4096];
    snprintf(path, sizeof path, "%s/test_data_set_%d/%s_%zu.pb", folder, set, what, i);
    if (!kp_case_exists(path)) break;
    const kapell_io_info* info =
        input ? kapell_session_input(session, i) : kapell_session_output(session, i);
    KP_TRY(kp_case_read_value(path, info->type->kind, &out->items[i]), "reading '%s'", path);
    ++out->count;
  }
  return NULL;
}

// --- running -------------------------------------------------------------------------------------------------------------------
static kp_status* run_session(kapell_session* session, const value_list* inputs, value_list* out) {
  const char *in_names[MAX_VALUES], *out_names[MAX_VALUES];
  for (size_t i = 0; i < inputs->count; ++i) in_names[i] = kapell_session_input(session, i)->name;
  for (size_t i = 0; i < out->count; ++i) out_names[i] = kapell_session_output(session, i)->name;
  return kapell_session_run(session, NULL, in_names, (kapell_value* const*)inputs->items,
                            inputs->count, out_names, out->items, out->count);
}

static kp_status* compare_output(size_t index, const kapell_value* got, const kapell_value* want,
                                 kp_case_tolerance t) {
  KP_TRY(kp_case_compare(got, want, t), "output %zu", index);
  return NULL;
}

static kp_status* run_set(const char* folder, int set, kapell_session* session,
                          kp_case_tolerance t) {
  value_list inputs = {.count = 0}, wanted = {.count = 0}, got = {.count = 0};
  kp_status* status = read_all(folder, set, "input", session, &inputs);
  if (!status) status = read_all(folder, set, "output", session, &wanted);
  if (!status) {
    got.count = wanted.count;
    memset(got.items, 0, sizeof got.items);
    status = run_session(session, &inputs, &got);
    if (status) got.count = 0;
  }
  for (size_t i = 0; i < got.count && !status; ++i)
    status = compare_output(i, got.items[i], wanted.items[i], t);
  clear(&inputs);
  clear(&wanted);
  clear(&got);
  return status;
}

static kp_status* run_case(const char* folder, const kapell_options* options) {
  char path[4096];
  snprintf(path, sizeof path, "%s/model.onnx", folder);
  kapell_session* session;
  KP_PASS(kapell_session_open_file(path, options, &session));
  const kp_case_tolerance t = kp_case_read_tolerance(folder);
  kp_status* status = NULL;
  for (int set = 0; !status; ++set) {
    snprintf(path, sizeof path, "%s/test_data_set_%d/output_0.pb", folder, set);
    if (!kp_case_exists(path)) {
      if (set == 0) status = KP_ERROR(NOT_FOUND, "no data: '%s'", path);
      break;
    }
    status = run_set(folder, set, session, t);
  }
  kapell_session_close(session);
  return status;
}

int main(int argc, char** argv) {
  kapell_options options = KAPELL_OPTIONS_INIT;
  int bad = 0, at = 1;
  for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
    if (strcmp(argv[at], "--mask") == 0) options.cpu_mask = argv[at + 1];
    if (strcmp(argv[at], "--threads") == 0) options.threads = atoi(argv[at + 1]);
  }
  for (; at < argc; ++at) {
    kp_status* status = run_case(argv[at], &options);
    if (!status) {
      printf("ok %s\n", argv[at]);
    } else {
      kp_case_say_bad(argv[at], kapell_status_text(status));
      kapell_status_free(status);
      bad = 1;
    }
    fflush(stdout);
  }
  return bad;
}
