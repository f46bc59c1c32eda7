// Log with levels and a callback. The default writes warnings and errors to standard error, one line each,
// "kapell warning: ...". KAPELL_LOG (trace, debug, info, warning, error, off) sets the level at first use.
//
// Threads: any. The callback may be called from several threads at once, with no lock of Kapell's held, and must not
// change the log's own settings.
#ifndef KP_BASE_LOG_H_
#define KP_BASE_LOG_H_

#include "kapell/types.h"

typedef void (*kp_log_fn)(void* user, kapell_log_level level, const char* message);

void kp_log_set(kp_log_fn fn, void* user);      // NULL restores the default
void kp_log_set_level(kapell_log_level level);  // process-wide
kapell_log_level kp_log_level(void);
void kp_log(kapell_log_level level, const char* format, ...) KAPELL_PRINTF(2, 3);

#define KP_LOG(level, ...)                                                             \
  do {                                                                                 \
    if (KAPELL_LOG_##level >= kp_log_level()) kp_log(KAPELL_LOG_##level, __VA_ARGS__); \
  } while (0)

#endif  // KP_BASE_LOG_H_
