// Runs hostile cases, each in a process of its own, and tells what became of them: hostile_run < CASES > RESULTS, for
// test/py/test_hostile.py. Everything goes through kapell.h; only the count of living allocations is looked at from inside.
//
// A case is a few lines; words are separated by spaces, bytes that are no letters or digits may stand as %XX:
//   case NAME | file PATH | bytes PATH | option KEY VALUE | input NAME TYPE DIM,DIM VALUE | string NAME TEXT | pb NAME KIND PATH
//   output NAME TYPE DIM,DIM (bound) | want NAME | runs N | estimate | end
// Without inputs each input is made of zeros by its declared type, 1 standing for dimensions that are no numbers.
// A result is a line: NAME, code, stage (open, input, run, done), milliseconds of wall and of processor time, peak KiB, allocations and
// descriptors left over, signal, and the error's text with %XX.
#include <dirent.h>
#include <kapell/kapell.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/sanitize.h"
#include "base/size.h"

#if KP_ASAN
#include <sanitizer/lsan_interface.h>
#endif

#define MAX_LINES 4096
#define MAX_VALUES 64
#define LONGEST_LINE 65536
#define LONGEST_TEXT 20000
#define SECONDS_PER_CASE (KP_ASAN ? 90 : 20)

// Shared with the child.
typedef struct result {
  int code, leaked, descriptors;
  char stage[8];
  char text[LONGEST_TEXT];
} result;

typedef struct trial {
  char* lines[MAX_LINES];
  int count;
  result* out;
  kapell_options options;
  kapell_session* session;
  const char* names[MAX_VALUES];
  kapell_value* values[MAX_VALUES];
  size_t value_count;
  const char* wanted[MAX_VALUES];
  kapell_value* outputs[MAX_VALUES];
  size_t wanted_count;
  void* bytes;
} trial;

// --- text -----------------------------------------------------------------------------------------------------------------
static int hex(char c) { return c >= 'a' ? c - 'a' + 10 : c >= 'A' ? c - 'A' + 10 : c - '0'; }

// Resolves %XX in place; the length, since NULs may be among them.
static size_t decode(char* text) {
  char* to = text;
  for (const char* from = text; *from; ++to) {
    const bool escaped = *from == '%' && from[1] && from[2];
    *to = escaped ? (char)(hex(from[1]) * 16 + hex(from[2])) : *from;
    from += escaped ? 3 : 1;
  }
  *to = 0;
  return (size_t)(to - text);
}

// The |index|-th word of |line|, decoded, in static room that holds eight of them; "" past the end.
static char* word(const char* line, int index, size_t* out_length) {
  static char room[8][LONGEST_LINE];
  static int next;
  char* out = room[next++ % 8];
  for (; index > 0 && *line; --index) {
    line += strcspn(line, " ");
    line += strspn(line, " ");
  }
  const size_t length = strcspn(line, " ");
  memcpy(out, line, length);
  out[length] = 0;
  const size_t decoded = decode(out);
  if (out_length) *out_length = decoded;
  return out;
}

static const char* kept_word(const char* line, int index) {
  return strdup(word(line, index, NULL));
}

static int32_t parse_dims(const char* text, int64_t* dims) {
  int32_t rank = 0;
  while (*text && strcmp(text, "-") != 0 && rank < 64) {
    char* end;
    dims[rank++] = strtoll(text, &end, 10);
    text = *end == ',' ? end + 1 : end + strlen(end);
  }
  return rank;
}

static bool failed(trial* t, const char* stage, kapell_status* status) {
  snprintf(t->out->stage, sizeof t->out->stage, "%s", stage);
  if (!status) return false;
  t->out->code = (int)kapell_status_code(status);
  snprintf(t->out->text, sizeof t->out->text, "%s", kapell_status_text(status));
  kapell_status_free(status);
  return true;
}

// --- opening ----------------------------------------------------------------------------------------------------------------
static void set_option(trial* t, const char* line) {
  static const struct {
    const char* key;
    size_t offset;
  } numbers[] = {{"max_memory", offsetof(kapell_options, max_memory)},
                 {"max_nodes", offsetof(kapell_options, max_nodes)},
                 {"max_iterations", offsetof(kapell_options, max_iterations)},
                 {"open_timeout_ns", offsetof(kapell_options, open_timeout_ns)},
                 {"run_timeout_ns", offsetof(kapell_options, run_timeout_ns)},
                 {"fold_bytes", offsetof(kapell_options, fold_bytes)},
                 {"fold_ns", offsetof(kapell_options, fold_ns)}};
  const char *key = word(line, 1, NULL), *value = word(line, 2, NULL);
  const uint64_t number = strtoull(value, NULL, 10);
  for (size_t i = 0; i < KP_COUNT_OF(numbers); ++i)
    if (strcmp(key, numbers[i].key) == 0)
      *(uint64_t*)(void*)((char*)&t->options + numbers[i].offset) = number;
  if (strcmp(key, "untrusted") == 0) t->options.untrusted = number != 0;
  if (strcmp(key, "no_optimize") == 0) t->options.no_optimize = number != 0;
  if (strcmp(key, "threads") == 0) t->options.threads = (int)number;
  if (strcmp(key, "providers") == 0) t->options.providers = strdup(value);
  if (strcmp(key, "external_folder") == 0) t->options.external_folder = strdup(value);
  if (strcmp(key, "link_folder") == 0) {
    static const char* folders[1];
    folders[0] = strdup(value);
    t->options.link_folders = folders;
    t->options.link_folder_count = 1;
  }
}

static void* read_file(const char* path, size_t* out_size) {
  FILE* file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0) exit(3);
  const long size = ftell(file);
  rewind(file);
  void* bytes = malloc((size_t)size + 1);
  if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size) exit(3);
  fclose(file);
  *out_size = (size_t)size;
  return bytes;
}

static kapell_status* open_model(trial* t) {
  for (int i = 0; i < t->count; ++i)
    if (strncmp(t->lines[i], "option ", 7) == 0) set_option(t, t->lines[i]);
  for (int i = 0; i < t->count; ++i) {
    const char* path = word(t->lines[i], 1, NULL);
    if (strncmp(t->lines[i], "file ", 5) == 0)
      return kapell_session_open_file(path, &t->options, &t->session);
    if (strncmp(t->lines[i], "bytes ", 6) != 0) continue;
    size_t size;
    t->bytes = read_file(path, &size);
    t->options.borrow_bytes = true;  // a read past the end is then one past an allocation
    return kapell_session_open(t->bytes, size, &t->options, &t->session);
  }
  exit(3);
}

// --- inputs -----------------------------------------------------------------------------------------------------------------
static kapell_status* fill_tensor(kapell_value* value, const char* text, size_t length) {
  if (kapell_value_type(value) == KAPELL_STRING) {
    for (size_t i = 0; i < kapell_tensor_count(value); ++i) {
      kapell_status* status = kapell_tensor_set_string(value, i, text, length);
      if (status) return status;
    }
    return NULL;
  }
  // Zeros for all; numbers "1,2,3" for the first ones.
  if (kapell_tensor_byte_count(value))
    memset(kapell_tensor_data(value), 0, kapell_tensor_byte_count(value));
  const kapell_type type = kapell_value_type(value);
  for (size_t i = 0; *text && i < kapell_tensor_count(value); ++i) {
    char* end;
    const double number = strtod(text, &end);
    if (type == KAPELL_INT64)
      ((int64_t*)kapell_tensor_data(value))[i] = strtoll(text, &end, 10);
    else
      kapell_tensor_set_double(value, i, number);
    text = *end == ',' ? end + 1 : end + strlen(end);
  }
  return NULL;
}

static kapell_status* make_input(const char* line, kapell_value** out_value) {
  int64_t dims[64];
  size_t length;
  if (strncmp(line, "pb ", 3) == 0) {
    size_t size;
    void* bytes = read_file(word(line, 3, NULL), &size);
    kapell_status* status =
        kapell_value_read_pb(bytes, size, (kapell_kind)atoi(word(line, 2, NULL)), out_value);
    free(bytes);
    return status;
  }
  const bool text = strncmp(line, "string ", 7) == 0;
  const int type = text ? KAPELL_STRING : atoi(word(line, 2, NULL));
  const int32_t rank = parse_dims(text ? "1" : word(line, 3, NULL), dims);
  kapell_status* status = kapell_tensor_create((kapell_type)type, dims, rank, out_value);
  if (status) return status;
  const char* value = word(line, text ? 2 : 4, &length);
  return fill_tensor(*out_value, value, length);
}

static kapell_status* make_default(const kapell_io_info* io, kapell_value** out_value) {
  const kapell_type_info* type = io->type;
  int64_t dims[64] = {0};
  if (type->kind == KAPELL_KIND_SEQUENCE) return kapell_sequence_create(NULL, 0, out_value);
  if (type->kind != KAPELL_KIND_TENSOR) return kapell_optional_create(NULL, out_value);
  for (int32_t d = 0; d < type->rank && d < 64; ++d)
    dims[d] = type->dims[d] < 0 ? 1 : type->dims[d];
  kapell_status* status =
      kapell_tensor_create(type->element, dims, type->rank < 0 ? 1 : type->rank, out_value);
  return status ? status : fill_tensor(*out_value, "", 0);
}

static bool is_input(const char* line) {
  return strncmp(line, "input ", 6) == 0 || strncmp(line, "string ", 7) == 0 ||
         strncmp(line, "pb ", 3) == 0;
}

static kapell_status* make_inputs(trial* t) {
  for (int i = 0; i < t->count && t->value_count < MAX_VALUES; ++i) {
    if (!is_input(t->lines[i])) continue;
    t->names[t->value_count] = kept_word(t->lines[i], 1);
    kapell_status* status = make_input(t->lines[i], &t->values[t->value_count++]);
    if (status) return status;
  }
  const bool given = t->value_count > 0;
  for (size_t i = 0; !given && i < kapell_session_input_count(t->session) && i < MAX_VALUES; ++i) {
    const kapell_io_info* io = kapell_session_input(t->session, i);
    t->names[t->value_count] = strdup(io->name);
    kapell_status* status = make_default(io, &t->values[t->value_count++]);
    if (status) return status;
  }
  return NULL;
}

static kapell_status* bind_outputs(trial* t) {
  for (int i = 0; i < t->count && t->wanted_count < MAX_VALUES; ++i) {
    const bool bound = strncmp(t->lines[i], "output ", 7) == 0;
    if (!bound && strncmp(t->lines[i], "want ", 5) != 0) continue;
    t->wanted[t->wanted_count++] = kept_word(t->lines[i], 1);
    kapell_status* status =
        bound ? make_input(t->lines[i], &t->outputs[t->wanted_count - 1]) : NULL;
    if (status) return status;
  }
  for (size_t i = 0; t->wanted_count == 0 && i < kapell_session_output_count(t->session); ++i)
    if (i >= MAX_VALUES) exit(3);
  return NULL;
}

// --- a case ----------------------------------------------------------------------------------------------------------------
static kapell_status* run_model(trial* t) {
  const bool named = t->wanted_count > 0;
  const size_t count = named ? t->wanted_count : kapell_session_output_count(t->session);
  return kapell_session_run(t->session, NULL, t->names, t->values, t->value_count,
                            named ? t->wanted : NULL, t->outputs, count);
}

static int number_of(const trial* t, const char* key, int otherwise) {
  for (int i = 0; i < t->count; ++i)
    if (strncmp(t->lines[i], key, strlen(key)) == 0) return atoi(word(t->lines[i], 1, NULL));
  return otherwise;
}

// "estimate": the limit of a second session is what the first one says that a run needs.
static bool estimate(trial* t) {
  kapell_memory_estimate e = {.struct_size = sizeof(e)};
  if (failed(t, "open", open_model(t))) return false;
  if (failed(t, "input", kapell_session_estimate_memory(t->session, NULL, 0, &e))) return false;
  kapell_session_close(t->session);
  t->session = NULL;
  free(t->bytes);
  for (int i = 0; i < t->count; ++i)
    if (strncmp(t->lines[i], "option ", 7) == 0) t->lines[i][0] = 'x';
  const uint64_t needed = e.peak_bytes > e.opening_bytes ? e.peak_bytes : e.opening_bytes;
  t->options.max_memory = needed * (uint64_t)number_of(t, "estimate ", 100) / 100;
  return true;
}

static void perform(trial* t) {
  if (number_of(t, "estimate", -1) >= 0 && !estimate(t)) return;
  if (failed(t, "open", open_model(t))) return;
  if (failed(t, "input", make_inputs(t)) || failed(t, "input", bind_outputs(t))) return;
  for (int i = 0; i < number_of(t, "runs ", 1); ++i)
    if (failed(t, "run", run_model(t))) return;
  snprintf(t->out->stage, sizeof t->out->stage, "done");
}

static int count_descriptors(void) {
  DIR* folder = opendir("/proc/self/fd");
  int count = 0;
  while (folder && readdir(folder)) ++count;
  if (folder) closedir(folder);
  return count;
}

static void swallow(void* user, kapell_log_level level, const char* message) {
  (void)user, (void)level, (void)message;
}

static void child(trial* t) {
  const int64_t live = kp_alloc_live();
  const int descriptors = count_descriptors();
  kapell_log_set_callback(swallow, NULL);
  t->options = (kapell_options)KAPELL_OPTIONS_INIT;
  perform(t);
  for (size_t i = 0; i < MAX_VALUES; ++i) {
    kapell_value_release(t->values[i]);
    kapell_value_release(t->outputs[i]);
    free((char*)(uintptr_t)t->names[i]);
    free((char*)(uintptr_t)t->wanted[i]);
  }
  kapell_session_close(t->session);
  free(t->bytes);
  t->out->leaked = (int)(kp_alloc_live() - live);
  t->out->descriptors = count_descriptors() - descriptors;
#if KP_ASAN
  if (__lsan_do_recoverable_leak_check()) t->out->leaked += 1000000;
#endif
}

static void print_result(const char* name, const result* r, int status, double wall_ms,
                         const struct rusage* use) {
  const double cpu_ms = (double)(use->ru_utime.tv_sec + use->ru_stime.tv_sec) * 1e3 +
                        (double)(use->ru_utime.tv_usec + use->ru_stime.tv_usec) / 1e3;
  const int died = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) ? 1000 : 0;
  printf("%s %d %s %.1f %.1f %ld %d %d %d ", name, r->code, r->stage[0] ? r->stage : "none",
         wall_ms, cpu_ms, use->ru_maxrss, r->leaked, r->descriptors, died);
  for (const char* c = r->text; *c; ++c) {
    if (*c > ' ' && *c < 0x7f && *c != '%')
      putchar(*c);
    else
      printf("%%%02X", (unsigned char)*c);
  }
  printf("\n");
  fflush(stdout);
}

static void run_trial(trial* t) {
  const char* name = t->lines[0] + 5;
  int ends[2];
  if (pipe(ends) != 0) exit(3);
  const uint64_t start = kp_clock_ns();
  const pid_t pid = fork();
  if (pid < 0) exit(3);
  if (pid == 0) {
    close(ends[0]);
    alarm(SECONDS_PER_CASE);
    t->out = calloc(1, sizeof *t->out);
    if (!t->out) _exit(3);
    child(t);
    const bool sent = write(ends[1], t->out, sizeof *t->out) == (ssize_t)sizeof *t->out;
    _exit(sent ? 0 : 3);
  }
  close(ends[1]);
  result r = {0};
  for (size_t got = 0; got < sizeof r;) {
    const ssize_t n = read(ends[0], (char*)&r + got, sizeof r - got);
    if (n <= 0) break;
    got += (size_t)n;
  }
  int status;
  struct rusage use;
  wait4(pid, &status, 0, &use);
  print_result(name, &r, status, (double)(kp_clock_ns() - start) / 1e6, &use);
  close(ends[0]);
}

int main(void) {
  static char line[LONGEST_LINE];
  static trial t;
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    if (strcmp(line, "end") != 0) {
      if (t.count == MAX_LINES) return 3;
      t.lines[t.count++] = strdup(line);
      continue;
    }
    run_trial(&t);
    for (int i = 0; i < t.count; ++i) free(t.lines[i]);
    memset(&t, 0, sizeof t);
  }
  return 0;
}
