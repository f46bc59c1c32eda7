// Runs kapell-probe and reads what it reports: one flat JSON object a line (src/probe/main.c). A crash, a time-out or a silent end of
// the helper becomes a reason in words.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/size.h"
#include "find/find.h"

#define MOST_OUTPUT ((size_t)1 << 20)
#define DEFAULT_TIMEOUT UINT64_C(20000000000)

// --- where the helper is -----------------------------------------------------------------------------------------------------
static const char* runnable(kp_arena* arena, const char* folder, size_t length, const char* below) {
  const char* path = kp_arena_printf(arena, "%.*s%s/kapell-probe", (int)length, folder, below);
  return path && access(path, X_OK) == 0 ? path : NULL;
}

static const char* beside(kp_arena* arena, const char* file) {
  const char* slash = strrchr(file, '/');
  if (!slash) return NULL;
  static const char* const below[] = {"", "/../bin", "/../../bin"};
  for (size_t i = 0; i < KP_COUNT_OF(below); ++i) {
    const char* path = runnable(arena, file, (size_t)(slash - file), below[i]);
    if (path) return path;
  }
  return NULL;
}

// Beside the library or program that this code is in, else on the path; never in the working folder.
static const char* find_helper(kp_arena* arena) {
  char own[4096];
  Dl_info info;
  if (dladdr((const void*)(uintptr_t)&kp_probe_library, &info) && info.dli_fname &&
      info.dli_fname[0] == '/') {
    const char* path = beside(arena, info.dli_fname);
    if (path) return path;
  }
  const ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
  own[length > 0 ? length : 0] = 0;
  const char* path = length > 0 ? beside(arena, own) : NULL;
  for (const char* at = getenv("PATH"); at && *at && !path;) {
    const size_t n = strcspn(at, ":");
    if (n && at[0] == '/') path = runnable(arena, at, n, "");
    at += n + (at[n] == ':');
  }
  return path;
}

// --- a child and its two pipes -------------------------------------------------------------------------------------------------
typedef struct child {
  pid_t pid;
  int out, err;  // -1: closed
  kp_strbuf report, words;
  bool late;
  int exit_status;
} child;

static int spawn(child* c, const char* program, char* const* arguments, int out, int err) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP);  // so that what it starts ends with it
  const int error = posix_spawn(&c->pid, program, &actions, &attributes, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error;
}

static int start(child* c, const char* program, char* const* arguments) {
  int out[2] = {-1, -1}, err[2] = {-1, -1}, error = errno;
  c->out = c->err = -1;
  if (pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0) {
    error = spawn(c, program, arguments, out[1], err[1]);
    c->out = out[0];
    c->err = err[0];
  } else {
    error = errno;
    if (out[0] >= 0) close(out[0]);
  }
  if (out[1] >= 0) close(out[1]);
  if (err[1] >= 0) close(err[1]);
  return error;
}

// Reads what is there; false: the other end was closed.
static bool drain(int descriptor, kp_strbuf* buf) {
  char bytes[4096];
  const ssize_t count = read(descriptor, bytes, sizeof bytes);
  if (count > 0 && buf->length < MOST_OUTPUT) kp_strbuf_append(buf, bytes, (size_t)count);
  return count > 0 || (count < 0 && errno == EINTR);
}

// Until the child is gone, or the time is up and it is ended.
static void follow(child* c, uint64_t deadline) {
  while (c->out >= 0 || c->err >= 0) {
    struct pollfd ends[2] = {{c->out, POLLIN, 0}, {c->err, POLLIN, 0}};
    const uint64_t now = kp_clock_ns();
    if (now >= deadline) {
      c->late = true;
      break;
    }
    if (poll(ends, 2, (int)kp_min_size((size_t)((deadline - now) / 1000000) + 1, 1000)) < 0 &&
        errno != EINTR)
      break;
    if (ends[0].revents && !drain(c->out, &c->report)) close(c->out), c->out = -1;
    if (ends[1].revents && !drain(c->err, &c->words)) close(c->err), c->err = -1;
  }
  kill(-c->pid, SIGKILL);
  while (waitpid(c->pid, &c->exit_status, 0) < 0 && errno == EINTR) continue;
  if (c->out >= 0) close(c->out);
  if (c->err >= 0) close(c->err);
}

// --- the report ------------------------------------------------------------------------------------------------------------------
// The value of |key| in one flat object; the helper writes no nested ones, and escapes quotes, backslashes and control characters.
static const char* field(kp_arena* arena, const char* line, size_t length, const char* key) {
  const char* name = kp_arena_printf(arena, "\"%s\":", key);
  const char* at = name ? memmem(line, length, name, strlen(name)) : NULL;
  if (!at) return NULL;
  at += strlen(name);
  const char* end = line + length;
  if (*at != '"') return kp_arena_strndup(arena, at, strspn(at, "0123456789"));
  char* text = kp_arena_alloc(arena, length + 1);
  size_t count = 0;
  for (++at; text && at < end && *at != '"'; ++at) {
    if (*at == '\\' && end - at > 6 && at[1] == 'u') {
      text[count++] = ' ';
      at += 5;
    } else {
      if (*at == '\\') ++at;
      text[count++] = *at;
    }
  }
  return text;
}

typedef struct reading {
  kp_arena* arena;
  kp_probe_result* result;
  kp_probe_device* devices;
  const char *event, *text;  // of the last step
} reading;

enum { MOST_DEVICES = 64 };

static void read_device(reading* r, const char* line, size_t length) {
  if (r->result->device_count == MOST_DEVICES) return;
  const char *id = field(r->arena, line, length, "id"),
             *memory = field(r->arena, line, length, "memory");
  r->devices[r->result->device_count++] =
      (kp_probe_device){.id = id ? atoi(id) : 0,
                        .name = field(r->arena, line, length, "name"),
                        .memory_bytes = memory ? strtoull(memory, NULL, 10) : 0,
                        .place = field(r->arena, line, length, "place"),
                        .detail = field(r->arena, line, length, "detail")};
}

static void read_line(reading* r, const char* line, size_t length) {
  const char* event = field(r->arena, line, length, "event");
  const char* text = field(r->arena, line, length, "text");
  if (!event) return;
  if (!strcmp(event, "device")) return read_device(r, line, length);
  if (!strcmp(event, "driver")) r->result->driver = text;
  if (!strcmp(event, "cuda") && !r->result->driver)
    r->result->driver = kp_arena_printf(r->arena, "for CUDA %s", text ? text : "?");
  if (!strcmp(event, "loaded")) r->result->loaded = true;
  if (!strcmp(event, "failed")) r->result->reason = text;
  r->event = event;
  r->text = text;
}

static const char* signal_words(int number) {
  switch (number) {
    case SIGSEGV:
      return "SIGSEGV (it read or wrote memory that is not there)";
    case SIGBUS:
      return "SIGBUS (memory behind a file is gone: is the file cut off?)";
    case SIGILL:
      return "SIGILL (an instruction that this processor does not have)";
    case SIGFPE:
      return "SIGFPE (a division by zero)";
    case SIGABRT:
      return "SIGABRT (it ended itself)";
    case SIGKILL:
      return "SIGKILL (the system ended it: out of memory?)";
    default:
      return NULL;
  }
}

static const char* describe_end(const reading* r, const child* c, uint64_t timeout) {
  const char* doing =
      !r->event ? "starting"
      : !strcmp(r->event, "first")
          ? kp_arena_printf(r->arena, "loading %s, which it needs", r->text ? r->text : "")
      : !strcmp(r->event, "load")    ? "its constructors ran"
      : !strcmp(r->event, "devices") ? "its devices were asked for"
                                     : "it was looked at";
  if (c->late)
    return kp_arena_printf(r->arena, "gave no sign of life for %.3g s while %s: it hangs",
                           (double)timeout * 1e-9, doing);
  if (WIFSIGNALED(c->exit_status)) {
    const char* words = signal_words(WTERMSIG(c->exit_status));
    return kp_arena_printf(r->arena, "crashed with %s while %s",
                           words ? words : strsignal(WTERMSIG(c->exit_status)), doing);
  }
  return kp_arena_printf(r->arena, "ended the process with code %d while %s",
                         WEXITSTATUS(c->exit_status), doing);
}

// The last line that is not empty: what a library says before it gives up.
static const char* last_words(kp_arena* arena, const kp_strbuf* words) {
  size_t end = words->length;
  while (end && strchr(" \r\n", words->data[end - 1])) --end;
  size_t begin = end;
  while (begin && words->data[begin - 1] != '\n') --begin;
  return end ? kp_arena_strndup(arena, words->data + begin, kp_min_size(end - begin, 500)) : NULL;
}

static kp_status* run(const kp_places* places, const char* const* arguments, uint64_t timeout,
                      kp_probe_result* out) {
  *out = (kp_probe_result){.ran = false};
  if (!timeout) timeout = DEFAULT_TIMEOUT;
  const char* helper = find_helper(places->arena);
  reading r = {.arena = places->arena, .result = out};
  r.devices = kp_arena_new_array(places->arena, kp_probe_device, MOST_DEVICES);
  if (!r.devices) return KP_ERROR(OUT_OF_MEMORY, "probing a library");
  out->devices = r.devices;
  if (!helper) {
    out->reason =
        "not loaded: the helper kapell-probe is neither beside this library (or in ../bin) nor on "
        "PATH";
    return NULL;
  }
  child c = {.pid = -1};
  char** argv = (char**)(uintptr_t)arguments;
  argv[0] = (char*)(uintptr_t)helper;
  const int error = start(&c, helper, argv);
  if (error) {
    if (c.out >= 0) close(c.out), close(c.err);
    out->reason = kp_arena_printf(places->arena, "not loaded: %s cannot be started: %s", helper,
                                  strerror(error));
    return NULL;
  }
  follow(&c, kp_clock_ns() + timeout);
  out->ran = true;
  for (const char* line = c.report.data; line && *line;) {
    const size_t length = strcspn(line, "\n");
    read_line(&r, line, length);
    line += length + (line[length] == '\n');
  }
  if (!out->loaded && !out->reason) out->reason = describe_end(&r, &c, timeout);
  if (!out->loaded) out->detail = last_words(places->arena, &c.words);
  const bool whole = !c.report.failed && !c.words.failed;
  kp_strbuf_free(&c.report);
  kp_strbuf_free(&c.words);
  return whole ? NULL : KP_ERROR(OUT_OF_MEMORY, "probing a library");
}

kp_status* kp_probe_library(const kp_places* places, const char* path,
                            const kp_inspection* inspection, uint64_t timeout_ns,
                            kp_probe_result* out_result) {
  const size_t most = inspection ? inspection->count : 0;
  const char** arguments = kp_arena_new_array(places->arena, const char*, 2 * most + 4);
  if (!arguments) return KP_ERROR(OUT_OF_MEMORY, "probing a library");
  size_t count = 1;
  arguments[count++] = "load";
  // The furthest first: what a library needs has to be there before it.
  for (size_t i = most; i-- > 0;) {
    const kp_dependency* d = &inspection->dependencies[i];
    if (!d->preload || d->at_run_time) continue;
    arguments[count++] = "--first";
    arguments[count++] = d->path;
  }
  arguments[count] = path;
  return run(places, arguments, timeout_ns, out_result);
}

kp_status* kp_probe_devices(const kp_places* places, const char* path, uint64_t timeout_ns,
                            kp_probe_result* out_result) {
  const char* arguments[] = {NULL, "cuda", path, NULL};
  return run(places, arguments, timeout_ns, out_result);
}
