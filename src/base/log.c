// The log: a level, a callback, and standard error by default. Neighbours: everything that warns.
//
// Locks: |sink_lock| guards the pair (fn, user) only while it is read or set; the callback runs without it.
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/size.h"

#define LEVEL_UNSET (-1)

static const char* const level_names[] = {"trace", "debug", "info", "warning", "error", "off"};
static _Atomic int current_level = LEVEL_UNSET;
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static kp_log_fn sink_fn;
static void* sink_user;

static void write_stderr(kapell_log_level level, const char* message) {
  fprintf(stderr, "kapell %s: %s\n", level_names[level], message);
}

static kapell_log_level level_from_environment(void) {
  const char* text = getenv("KAPELL_LOG");
  if (!text || !*text) return KAPELL_LOG_WARNING;
  for (size_t i = 0; i < KP_COUNT_OF(level_names); ++i)
    if (strcasecmp(text, level_names[i]) == 0) return (kapell_log_level)i;
  fprintf(
      stderr,
      "kapell warning: KAPELL_LOG=%.40s is no level (trace, debug, info, warning, error, off)\n",
      text);
  return KAPELL_LOG_WARNING;
}

void kp_log_set(kp_log_fn fn, void* user) {
  pthread_mutex_lock(&sink_lock);
  sink_fn = fn;
  sink_user = user;
  pthread_mutex_unlock(&sink_lock);
}

void kp_log_set_level(kapell_log_level level) { atomic_store(&current_level, (int)level); }

kapell_log_level kp_log_level(void) {
  int level = atomic_load_explicit(&current_level, memory_order_relaxed);
  if (level != LEVEL_UNSET) return (kapell_log_level)level;
  const int wanted = (int)level_from_environment();
  // Another thread may have set a level meanwhile: that one stays.
  return atomic_compare_exchange_strong(&current_level, &level, wanted) ? (kapell_log_level)wanted
                                                                        : (kapell_log_level)level;
}

void kp_log(kapell_log_level level, const char* format, ...) {
  if (level < kp_log_level() || level < KAPELL_LOG_TRACE || level >= KAPELL_LOG_OFF) return;
  char small[512];
  char* message = small;
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  const int length = vsnprintf(small, sizeof small, format, args);
  if (length >= (int)sizeof small) {
    char* large = kp_alloc((size_t)length + 1);
    if (large) {
      vsnprintf(large, (size_t)length + 1, format, again);
      message = large;  // without memory the message is cut, not lost
    }
  }
  va_end(again);
  va_end(args);
  if (length < 0) return;

  pthread_mutex_lock(&sink_lock);
  const kp_log_fn fn = sink_fn;
  void* const user = sink_user;
  pthread_mutex_unlock(&sink_lock);
  if (fn)
    fn(user, level, message);
  else
    write_stderr(level, message);
  if (message != small) kp_free(message);
}
