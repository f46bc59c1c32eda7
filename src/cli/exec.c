// kapell exec: runs a program of ONNX Runtime's with Kapell's library in its place, and says at the end what ran where.
//
// The library is put in front by a folder on the library path that has it under both its names, and by each binding's own variable.
// The child writes the placement of its sessions into a file (KAPELL_REPORT), one JSON object a line.
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"

#define LIBRARY "libonnxruntime.so.1"
#define MOST_LINES 40  // of the report on the screen

static const cli_option kOptions[] = {
    {"providers", "LIST", "providers in order of priority (KAPELL_PROVIDERS)"},
    {"report", "FILE", "keep the report there; it is appended to"},
    {"strict", NULL, "every provider the program asks for must be used (KAPELL_STRICT)"},
    {"preload", NULL,
     "load the library before the program's own: for programs with a fixed search path"},
    {"quiet", NULL, "print nothing at the end"},
    {0}};

typedef struct setup {
  char ours[PATH_MAX];  // our library
  char folder[64];      // of links to it
  char links[2][96];
  char report[PATH_MAX];
  bool keep_report;
} setup;

// Our library lies beside libkapell, or beside the command.
static bool find_library(char* out) {
  Dl_info info;
  char self[PATH_MAX];
  const char* bases[2] = {NULL, NULL};
  if (dladdr((void*)(uintptr_t)&kapell_version, &info) && info.dli_fname) bases[0] = info.dli_fname;
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length > 0) {
    self[length] = 0;
    bases[1] = self;
  }
  for (int i = 0; i < 2; ++i) {
    if (!bases[i]) continue;
    const char* slash = strrchr(bases[i], '/');
    const int folder = slash ? (int)(slash - bases[i]) : 0;
    char candidate[PATH_MAX];
    for (int up = 0; up < 2; ++up) {
      const int printed =
          snprintf(candidate, sizeof candidate, "%.*s%s/" LIBRARY, folder ? folder : 1,
                   folder ? bases[i] : ".", up ? "/../lib" : "");
      if (printed < (int)sizeof candidate && realpath(candidate, out)) return true;
    }
  }
  return false;
}

static bool make_folder(setup* s) {
  static const char* const names[] = {LIBRARY, "libonnxruntime.so"};
  snprintf(s->folder, sizeof s->folder, "%s", "/tmp/kapell-exec-XXXXXX");
  if (!mkdtemp(s->folder)) return false;
  for (int i = 0; i < 2; ++i) {
    snprintf(s->links[i], sizeof s->links[i], "%s/%s", s->folder, names[i]);
    if (symlink(s->ours, s->links[i]) != 0) return false;
  }
  return true;
}

static void remove_folder(const setup* s) {
  for (int i = 0; i < 2; ++i)
    if (s->links[i][0]) unlink(s->links[i]);
  if (!s->keep_report) unlink(s->report);
  rmdir(s->folder);
}

// Puts |text| before what |variable| holds.
static bool prepend(const char* variable, const char* text, const char* separator) {
  const char* old = getenv(variable);
  if (!old || !old[0]) return setenv(variable, text, 1) == 0;
  const size_t size = strlen(text) + strlen(separator) + strlen(old) + 1;
  char* joined = malloc(size);
  if (!joined) return false;
  snprintf(joined, size, "%s%s%s", text, separator, old);
  const bool done = setenv(variable, joined, 1) == 0;
  free(joined);
  return done;
}

static bool set_environment(const setup* s, const cli_args* args) {
  char java[PATH_MAX + 64];
  const char* providers = cli_get(args, "providers");
  snprintf(java, sizeof java, "-Donnxruntime.native.onnxruntime.path=%s", s->links[1]);
  bool done =
      prepend("LD_LIBRARY_PATH", s->folder, ":") && prepend("JAVA_TOOL_OPTIONS", java, " ") &&
      setenv("ORT_DYLIB_PATH", s->ours, 1) == 0 && setenv("KAPELL_REPORT", s->report, 1) == 0;
  if (cli_has(args, "preload")) done = done && prepend("LD_PRELOAD", s->ours, ":");
  if (providers) done = done && setenv("KAPELL_PROVIDERS", providers, 1) == 0;
  if (cli_has(args, "strict")) done = done && setenv("KAPELL_STRICT", "1", 1) == 0;
  return done;
}

// Signals that a terminal sends to both are the child's to decide on.
static int run_child(char** command) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) {
    execvp(command[0], command);
    fprintf(stderr, "kapell exec: '%s': %s\n", command[0], strerror(errno));
    _exit(127);
  }
  if (child < 0) return 126;
  signal(SIGINT, SIG_IGN);
  signal(SIGQUIT, SIG_IGN);
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// What ran where, and in how many sessions it was the same.
typedef struct group {
  char* text;
  size_t sessions;
  struct group* next;
} group;

// Appends the JSON text member |key| of |line| to |out|; keys come as the library writes them, and quotes inside texts are escaped.
static char* add_member(char* out, const char* line, const char* key) {
  const char* at = strstr(line, key);
  for (at = at ? at + strlen(key) : ""; *at && *at != '"'; ++at) {
    if (*at == '\\' && at[1]) ++at;
    *out++ = *at;
  }
  *out = 0;
  return out;
}

static bool add_session(group** first, const char* line) {
  char* text = malloc(strlen(line) + 3);
  if (!text) return false;
  char* end = add_member(text, line, "\"model\": \"");
  *end++ = ':';
  *end++ = ' ';
  add_member(end, line, "\"summary\": \"");
  for (; *first; first = &(*first)->next) {
    if (strcmp((*first)->text, text) != 0) continue;
    ++(*first)->sessions;
    free(text);
    return true;
  }
  *first = calloc(1, sizeof **first);
  if (!*first) return free(text), false;
  **first = (group){.text = text, .sessions = 1};
  return true;
}

static void print_groups(const group* first) {
  size_t lines = 0;
  fprintf(stderr, "\nkapell exec: what ran where\n");
  for (; first && lines < MOST_LINES; first = first->next, ++lines) {
    fprintf(stderr, "  %s", first->text);
    if (first->sessions > 1) fprintf(stderr, " (%zu sessions)", first->sessions);
    fputc('\n', stderr);
  }
  size_t more = 0;
  for (; first; first = first->next) ++more;
  if (more) fprintf(stderr, "  and %zu more models; --report FILE keeps all of it\n", more);
}

static void print_report(const setup* s, long start) {
  FILE* file = fopen(s->report, "re");
  char* line = NULL;
  size_t room = 0;
  group* first = NULL;
  bool kept = true;
  if (file && fseek(file, start, SEEK_SET) == 0)
    while (kept && getline(&line, &room, file) > 0) kept = add_session(&first, line);
  if (first)
    print_groups(first);
  else
    fprintf(
        stderr,
        "\nkapell exec: the program made no session with Kapell's library. It may load ONNX "
        "Runtime from a path of its own (--preload helps where the search path is fixed), or have "
        "it built in, as Python's onnxruntime has: docs/python.md has what takes its place.\n");
  while (first) {
    group* next = first->next;
    free(first->text);
    free(first);
    first = next;
  }
  if (file) fclose(file);
  free(line);
}

static long end_of(const char* path) {
  FILE* file = fopen(path, "re");
  if (!file) return 0;
  const long end = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : 0;
  fclose(file);
  return end > 0 ? end : 0;
}

static int execute(const cli_args* args, char** command) {
  setup s = {0};
  const char* report = cli_get(args, "report");
  if (!find_library(s.ours)) {
    fprintf(stderr, "kapell exec: " LIBRARY
                    " is not beside the command or libkapell; build or install it\n");
    return CLI_OPEN;
  }
  const bool made = make_folder(&s);
  s.keep_report = report != NULL;
  if (report)
    snprintf(s.report, sizeof s.report, "%s", report);
  else
    snprintf(s.report, sizeof s.report, "%s/report.json", s.folder);
  const long start = end_of(s.report);
  if (!made || !set_environment(&s, args)) {
    fprintf(stderr, "kapell exec: no folder for links in /tmp: %s\n", strerror(errno));
    remove_folder(&s);
    return CLI_OPEN;
  }
  const int code = run_child(command);
  if (!cli_has(args, "quiet")) print_report(&s, start);
  remove_folder(&s);
  return code;
}

static int run(const cli_command* command, int argc, char** argv) {
  cli_args args;
  int exit_code, own = 0;
  while (own < argc && strcmp(argv[own], "--") != 0) ++own;
  if (!cli_parse(command, own, argv, &args, &exit_code)) return exit_code;
  if (own + 1 < argc) return execute(&args, argv + own + 1);
  fprintf(stderr, "kapell exec: the program comes after '--': kapell exec -- PROGRAM ARGUMENTS\n");
  return CLI_USAGE;
}

const cli_command cli_exec_command = {
    .name = "exec",
    .arguments = "",
    .summary = "run a program of ONNX Runtime's on Kapell: kapell exec -- PROGRAM ...",
    .examples =
        "  kapell exec -- node classify.js\n"
        "  kapell exec --providers 'CUDA?,CPU' --report placement.json -- ./server --port 80\n",
    .options = kOptions,
    .run = run};
