// A process for each configuration, and the words between it and the command: one number asks for a run of that sample, one record answers.
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/bench/bench.h"

static double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool send_all(int to, const void* bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t count = send(to, (const char*)bytes + done, size - done, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += (size_t)count;
  }
  return true;
}

static bool receive_all(int from, void* bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t count = read(from, (char*)bytes + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += (size_t)count;
  }
  return true;
}

// --- in the worker ---------------------------------------------------------------------------------------------------------
static void compare(bench_engine* engine, bench_ready* ready) {
  kapell_value** outputs = calloc(engine->data->outputs + 1, sizeof(*outputs));
  if (!outputs || !engine->outputs(engine, outputs)) {
    free(outputs);
    return;
  }
  ready->compared = true;
  for (size_t i = 0; i < engine->data->outputs; ++i) {
    kapell_difference d = {.struct_size = sizeof(d)};
    if (outputs[i]) kapell_value_difference(outputs[i], engine->data->expected[i], 0, 0, &d);
    if (!outputs[i] || !d.comparable) ready->compared = false;
    if (d.relative_rms > ready->error) ready->error = d.relative_rms;
    kapell_value_release(outputs[i]);
  }
  free(outputs);
}

static void answer(bench_engine* engine, uint32_t sample, int to) {
  struct rusage before, after;
  bench_time t = {0};
  getrusage(RUSAGE_SELF, &before);
  const double start = seconds_now();
  t.ok = engine->run(engine, sample % engine->data->samples);
  t.seconds = seconds_now() - start;
  getrusage(RUSAGE_SELF, &after);
  t.preempted = (uint64_t)(after.ru_nivcsw - before.ru_nivcsw);
  t.peak_bytes = (uint64_t)after.ru_maxrss * 1024;
  send_all(to, &t, sizeof t);
}

static void work(const cli_args* args, const bench_config* config, int file, int socket) {
  bench_data data;
  bench_ready ready = {0};
  bench_engine engine = config->providers                    ? bench_kapell
                        : !strcmp(config->guest, "openvino") ? bench_openvino
                                                             : bench_onnxruntime;
  engine.args = args;
  engine.config = config;
  engine.data = &data;
  engine.text = ready.text;
  if (bench_load(file, &data)) {
    const double start = seconds_now();
    ready.ok = engine.open(&engine);
    ready.open_seconds = seconds_now() - start;
  } else {
    snprintf(ready.text, sizeof ready.text, "the inputs could not be read back");
  }
  if (ready.ok) {
    const double start = seconds_now();
    ready.ok = engine.run(&engine, 0);
    ready.first_seconds = seconds_now() - start;
  }
  if (ready.ok) compare(&engine, &ready);
  send_all(socket, &ready, sizeof ready);
  for (uint32_t sample; ready.ok && receive_all(socket, &sample, sizeof sample);)
    answer(&engine, sample, socket);
  _exit(0);  // the engine's memory goes with the process
}

// --- in the command ------------------------------------------------------------------------------------------------------------
static const char* how_it_ended(bench_worker* w, char* text, size_t size) {
  int status = 0;
  while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR) continue;
  w->alive = false;
  if (WIFSIGNALED(status))
    snprintf(text, size, "its process was ended by signal %d (%s)", WTERMSIG(status),
             strsignal(WTERMSIG(status)));
  else
    snprintf(text, size, "its process ended with code %d", WEXITSTATUS(status));
  return text;
}

bool bench_start(const cli_args* args, const bench_config* config, int file,
                 bench_worker* out_worker, bench_ready* out_ready) {
  int ends[2];
  *out_worker = (bench_worker){.pid = -1, .to = -1, .from = -1};
  *out_ready = (bench_ready){.ok = false};
  fflush(NULL);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return snprintf(out_ready->text, BENCH_TEXT, "%s", strerror(errno)), false;
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(ends[0]);
    work(args, config, file, ends[1]);
  }
  close(ends[1]);
  *out_worker = (bench_worker){.pid = pid, .to = ends[0], .from = ends[0], .alive = pid > 0};
  if (pid < 0) return snprintf(out_ready->text, BENCH_TEXT, "%s", strerror(errno)), false;
  if (!receive_all(out_worker->from, out_ready, sizeof *out_ready))
    how_it_ended(out_worker, out_ready->text, BENCH_TEXT);
  if (!out_ready->ok) bench_stop(out_worker);
  return out_ready->ok;
}

bool bench_run(bench_worker* worker, uint32_t sample, bench_time* out_time) {
  *out_time = (bench_time){0};
  return send_all(worker->to, &sample, sizeof sample) &&
         receive_all(worker->from, out_time, sizeof *out_time) && out_time->ok;
}

void bench_stop(bench_worker* worker) {
  if (worker->to >= 0) close(worker->to);
  worker->to = worker->from = -1;
  if (worker->alive) kill(worker->pid, SIGKILL);
  while (worker->alive && waitpid(worker->pid, NULL, 0) < 0 && errno == EINTR) continue;
  worker->alive = false;
}
