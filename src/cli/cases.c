// Reads test cases from folders and from metadata, and runs them.
#include "cli/cases.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool add_case(const kapell_session* session, const char* name, cli_cases* cases) {
  cli_case* grown = realloc(cases->list, (cases->count + 1) * sizeof(*grown));
  if (!grown) return fprintf(stderr, "no memory for a test case\n"), false;
  cases->list = grown;
  cases->input_count = kapell_session_input_count(session);
  cases->output_count = kapell_session_output_count(session);
  cli_case* one = &grown[cases->count++];
  *one = (cli_case){.inputs = calloc(cases->input_count + 1, sizeof(*one->inputs)),
                    .expected = calloc(cases->output_count + 1, sizeof(*one->expected))};
  snprintf(one->name, sizeof(one->name), "%s", name);
  return one->inputs && one->expected;
}

void cli_cases_free(cli_cases* cases) {
  for (size_t c = 0; c < cases->count; ++c) {
    cli_case* one = &cases->list[c];
    for (size_t i = 0; one->inputs && i < cases->input_count; ++i)
      kapell_value_release(one->inputs[i]);
    for (size_t i = 0; one->expected && i < cases->output_count; ++i)
      kapell_value_release(one->expected[i]);
    free(one->inputs);
    free(one->expected);
  }
  free(cases->list);
  *cases = (cli_cases){0};
}

// --- folders -----------------------------------------------------------------------------------------------------------------
static bool exists(const char* path) {
  struct stat info;
  return stat(path, &info) == 0;
}

// Reads FOLDER/input_0.pb and so on, or output_0.pb; those that are not there stay NULL.
static bool read_values(const cli_args* args, const kapell_session* session, const char* folder,
                        const char* kind, size_t count,
                        const kapell_io_info* (*get)(const kapell_session*, size_t),
                        kapell_value** values) {
  char path[4400];
  for (size_t i = 0; i < count; ++i) {
    snprintf(path, sizeof(path), "%s/%s_%zu.pb", folder, kind, i);
    if (!exists(path)) continue;
    values[i] = cli_read_value(path, get(session, i), NULL, session, args);
    if (!values[i]) return false;
  }
  snprintf(path, sizeof(path), "%s/%s_%zu.pb", folder, kind, count);
  if (!exists(path)) return true;
  fprintf(stderr, "%s: the model has %zu %ss\n", path, count, kind);
  return false;
}

static bool read_folder(const cli_args* args, const kapell_session* session, const char* folder,
                        cli_cases* cases) {
  const char* slash = strrchr(folder, '/');
  if (!add_case(session, slash && slash[1] ? slash + 1 : folder, cases)) return false;
  const cli_case* one = &cases->list[cases->count - 1];
  return read_values(args, session, folder, "input", cases->input_count, kapell_session_input,
                     one->inputs) &&
         read_values(args, session, folder, "output", cases->output_count, kapell_session_output,
                     one->expected);
}

static int is_data_set(const struct dirent* entry) {
  return strncmp(entry->d_name, "test_data_set_", 14) == 0;
}

static int by_number(const struct dirent** a, const struct dirent** b) {
  return strverscmp((*a)->d_name, (*b)->d_name);
}

static bool read_folders(const cli_args* args, const kapell_session* session, const char* folder,
                         cli_cases* cases) {
  struct dirent** entries = NULL;
  const int count = scandir(folder, &entries, is_data_set, by_number);
  bool fine = true;
  for (int i = 0; i < count; ++i) {
    char path[4400];
    snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
    fine = fine && read_folder(args, session, path, cases);
    free(entries[i]);
  }
  free(entries);
  return fine;
}

// --- metadata ----------------------------------------------------------------------------------------------------------------
size_t cli_cases_embedded(const kapell_session* session) {
  size_t count = 0;
  for (size_t i = 0; i < kapell_session_metadata_count(session); ++i) {
    const char *key, *value;
    kapell_session_metadata(session, i, &key, &value);
    if (strncmp(key, CASE_PREFIX, strlen(CASE_PREFIX)) != 0) continue;
    const unsigned long number = strtoul(key + strlen(CASE_PREFIX), NULL, 10);
    if (number < 10000 && number + 1 > count) count = number + 1;
  }
  return count;
}

static kapell_value* decode(const char* key, const char* text, kapell_kind kind) {
  kapell_value* value = NULL;
  size_t size;
  char* bytes = base64_decode(text, &size);
  if (!bytes) return fprintf(stderr, "metadata '%s' is no Base64\n", key), NULL;
  kapell_status* status = kapell_value_read_pb(
      bytes, size, kind == KAPELL_KIND_NONE ? KAPELL_KIND_TENSOR : kind, &value);
  if (status) fprintf(stderr, "metadata '%s': ", key);
  cli_print_status(status);
  free(bytes);
  return value;
}

static bool read_embedded_values(const kapell_session* session, size_t number, const char* kind,
                                 size_t count,
                                 const kapell_io_info* (*get)(const kapell_session*, size_t),
                                 kapell_value** values) {
  for (size_t i = 0; i < count; ++i) {
    char key[1200];
    const kapell_io_info* info = get(session, i);
    snprintf(key, sizeof(key), CASE_PREFIX "%zu.%s.%.1000s", number, kind, info->name);
    const char* text = kapell_session_metadata_find(session, key);
    if (text && !(values[i] = decode(key, text, info->type->kind))) return false;
  }
  return true;
}

static bool read_embedded(const kapell_session* session, cli_cases* cases) {
  const size_t count = cli_cases_embedded(session);
  for (size_t number = 0; number < count; ++number) {
    char name[64];
    snprintf(name, sizeof(name), "embedded test %zu", number);
    if (!add_case(session, name, cases)) return false;
    const cli_case* one = &cases->list[cases->count - 1];
    if (!read_embedded_values(session, number, "input", cases->input_count, kapell_session_input,
                              one->inputs) ||
        !read_embedded_values(session, number, "output", cases->output_count, kapell_session_output,
                              one->expected))
      return false;
  }
  return true;
}

bool cli_cases_read(const cli_args* args, const kapell_session* session, const char* folder,
                    cli_cases* out_cases) {
  char own[4096], first[4400];
  *out_cases = (cli_cases){0};
  snprintf(own, sizeof(own), "%s", args->model);
  char* slash = strrchr(own, '/');
  if (slash)
    slash[slash == own] = 0;
  else
    snprintf(own, sizeof(own), ".");
  if (!read_folders(args, session, folder ? folder : own, out_cases)) return false;
  snprintf(first, sizeof(first), "%s/input_0.pb", folder ? folder : own);
  if (folder && exists(first) && !read_folder(args, session, folder, out_cases)) return false;
  if (!read_embedded(session, out_cases)) return false;
  if (!folder || out_cases->count) return true;
  fprintf(stderr, "%s: no test data: neither test_data_set_0/ nor input_0.pb is in it\n", folder);
  return false;
}

bool cli_cases_add_random(const cli_args* args, const kapell_session* session, cli_cases* cases) {
  if (!add_case(session, "random inputs", cases)) return false;
  const cli_case* one = &cases->list[cases->count - 1];
  for (size_t i = 0; i < cases->input_count; ++i) {
    const kapell_io_info* info = kapell_session_input(session, i);
    one->inputs[i] = cli_read_value("random:1", info, NULL, session, args);
    if (!one->inputs[i]) return false;
  }
  return true;
}

kapell_status* cli_case_run(const cli_case* one, kapell_session* session, kapell_value** outputs) {
  const size_t most = kapell_session_input_count(session);
  const char** names = calloc(most + 1, sizeof(*names));
  kapell_value** values = calloc(most + 1, sizeof(*values));
  size_t given = 0;
  for (size_t i = 0; names && values && i < most; ++i) {
    if (!one->inputs[i]) continue;
    names[given] = kapell_session_input(session, i)->name;
    values[given++] = one->inputs[i];
  }
  kapell_status* status = kapell_session_run(session, NULL, names, values, given, NULL, outputs,
                                             kapell_session_output_count(session));
  free(names);
  free(values);
  return status;
}
