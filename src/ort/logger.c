// Loggers: where messages go, for environments, sessions and plug-ins; and Kapell's own log led into one.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "base/log.h"
#include "ort/object.h"

static _Thread_local const OrtLogger* thread_logger;
static _Thread_local const char*
    library_place;  // in a library's code, that logs right now; else NULL

// A line as ONNX Runtime writes it, so that programs that filter such lines go on working.
static void write_stderr(OrtLoggingLevel severity, const char* id, const char* where,
                         const char* message) {
  static const char letters[] = "VIWEF";
  struct timeval now;
  struct tm local;
  char date[32] = "";
  gettimeofday(&now, NULL);
  if (localtime_r(&now.tv_sec, &local)) strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &local);
  fprintf(stderr, "%s.%06ld [%c:kapell:%s, %s] %s\n", date, (long)now.tv_usec,
          severity >= 0 && severity < 5 ? letters[severity] : '?', id, where, message);
}

static OrtLoggingLevel severity_of(kapell_log_level level);

static OrtLoggingLevel lowest(const OrtLogger* logger) {
  return logger == &kp_ort_host_logger ? severity_of(kp_log_level()) : logger->severity;
}

void kp_ort_log(const OrtLogger* logger, OrtLoggingLevel severity, const char* where,
                const char* message) {
  if (severity < lowest(logger)) return;
  const char* id = logger->id ? logger->id : "";
  if (logger->function)
    logger->function(logger->param, severity, "kapell", id, where, message);
  else
    write_stderr(severity, id, where, message);
}

// --- Kapell's own log ------------------------------------------------------------------------------------------------------------
static OrtLoggingLevel severity_of(kapell_log_level level) {
  if (level <= KAPELL_LOG_DEBUG) return ORT_LOGGING_LEVEL_VERBOSE;
  if (level == KAPELL_LOG_INFO) return ORT_LOGGING_LEVEL_INFO;
  return level == KAPELL_LOG_WARNING ? ORT_LOGGING_LEVEL_WARNING : ORT_LOGGING_LEVEL_ERROR;
}

static kapell_log_level level_of(OrtLoggingLevel severity) {
  switch (severity) {
    case ORT_LOGGING_LEVEL_VERBOSE:
      return KAPELL_LOG_TRACE;
    case ORT_LOGGING_LEVEL_INFO:
      return KAPELL_LOG_INFO;
    case ORT_LOGGING_LEVEL_WARNING:
      return KAPELL_LOG_WARNING;
    case ORT_LOGGING_LEVEL_ERROR:
      return KAPELL_LOG_ERROR;
    default:
      return KAPELL_LOG_OFF;
  }
}

static bool level_is_forced(void) {
  const char* text = getenv("KAPELL_LOG");
  return text && text[0];
}

// What KAPELL_LOG lets through goes to the logger whatever severity its maker asked for.
static void forward(void* user, kapell_log_level level, const char* message) {
  const OrtLogger* logger = thread_logger ? thread_logger : user;
  OrtLogger open = *logger;
  if (level_is_forced()) open.severity = ORT_LOGGING_LEVEL_VERBOSE;
  kp_ort_log(&open, severity_of(level), library_place ? library_place : "", message);
}

static void hand_on(void* param, OrtLoggingLevel severity, const char* category, const char* id,
                    const char* where, const char* message) {
  (void)param, (void)category, (void)id;
  library_place = where;
  kp_log(severity == ORT_LOGGING_LEVEL_FATAL ? KAPELL_LOG_ERROR : level_of(severity), "%s",
         message);
  library_place = NULL;
}

const OrtLogger kp_ort_host_logger = {.function = hand_on};

void kp_ort_log_to(const OrtLogger* logger) {
  kp_log_set(logger ? forward : NULL, (void*)(uintptr_t)logger);
  if (logger && !level_is_forced()) kp_log_set_level(level_of(logger->severity));
}

void kp_ort_log_lower(OrtLoggingLevel severity) {
  if (!level_is_forced() && level_of(severity) < kp_log_level())
    kp_log_set_level(level_of(severity));
}

const OrtLogger* kp_ort_log_enter(const OrtLogger* logger) {
  const OrtLogger* before = thread_logger;
  thread_logger = logger;
  return before;
}

// --- the slots -------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_Logger_LogMessage(const OrtLogger* logger, OrtLoggingLevel severity,
                                 const char* message, const char* file_path, int line_number,
                                 const char* func_name) {
  KP_ORT_NEED(logger);
  KP_ORT_NEED(message);
  char where[512];
  snprintf(where, sizeof where, "%s:%d %s", file_path ? file_path : "", line_number,
           func_name ? func_name : "");
  kp_ort_log(logger, severity, where, message);
  return NULL;
}

OrtStatus* ort_Logger_GetLoggingSeverityLevel(const OrtLogger* logger, OrtLoggingLevel* out) {
  KP_ORT_NEED(logger);
  KP_ORT_NEED(out);
  *out = lowest(logger);
  return NULL;
}
