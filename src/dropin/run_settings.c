// What run options ask of a single run: its words in the log, its profile, its memory.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "dropin/session.h"
#include "ort/stream.h"

#define SHRINK_KEY "memory.enable_memory_arena_shrinkage"

// --- memory: "cpu:0;gpu:0", the devices whose memory goes back to the system --------------------------------------------------------
static OrtStatus* check_device(const OrtSession* session, kp_str device, bool* out_is_cpu) {
  *out_is_cpu = kp_str_is(device, "cpu:0") && !session->free_memory;
  if (*out_is_cpu) return NULL;
  const bool known = device.length > 4 &&
                     (strncmp(device.data, "cpu:", 4) == 0 || strncmp(device.data, "gpu:", 4) == 0);
  return kp_ort_error(
      ORT_INVALID_ARGUMENT, "%s in the memory arena shrink list: %.*s",
      known ? "Did not find an arena based allocator registered for device-id combination"
            : "Unsupported device specified",
      (int)device.length, device.data);
}

static OrtStatus* read_shrink_list(const OrtSession* session, const char* list, bool* out_cpu) {
  while (*list) {
    const size_t length = strcspn(list, ";");
    KP_ORT_PASS(check_device(session, (kp_str){list, length}, out_cpu));
    list += length + (list[length] == ';');
  }
  return NULL;
}

// --- log ---------------------------------------------------------------------------------------------------------------------------
// The run's logger: the session's or the environment's, with the run's severity, its tag behind the name.
static OrtStatus* make_logger(const OrtSession* session, const OrtRunOptions* options,
                              dropin_run_settings* out) {
  const int severity = options->log_severity;
  if (severity < -1 || severity > ORT_LOGGING_LEVEL_FATAL)
    return kp_ort_error(ORT_FAIL,
                        "Invalid run log severity level. Not a valid "
                        "onnxruntime::logging::Severity value: %d",
                        severity);
  const bool has_tag = options->tag && options->tag[0];
  if (severity < 0 && !has_tag) return NULL;
  const OrtEnv* env = kp_ort_env_current();
  if (!session->has_logger && !env) return NULL;
  out->logger = session->has_logger ? session->logger : env->logger;
  const char* id = out->logger.id ? out->logger.id : "";
  snprintf(out->id, sizeof out->id, "%s%s%s", id, id[0] && has_tag ? ":" : "",
           has_tag ? options->tag : "");
  out->logger.id = out->id;
  if (severity >= 0) out->logger.severity = (OrtLoggingLevel)severity;
  kp_ort_log_lower(out->logger.severity);
  out->current = &out->logger;
  return NULL;
}

// --- for providers ---------------------------------------------------------------------------------------------------------------------
static OrtStatus* list_entries(const OrtRunOptions* options, dropin_run_settings* out) {
  const size_t count = options->config.count;
  out->options.tag = options->tag;
  if (!count) return NULL;
  out->entries = kp_alloc_array(count, sizeof(*out->entries));
  if (!out->entries) return kp_ort_no_memory();
  for (size_t i = 0; i < count; ++i)
    out->entries[i] = (kapell_config_entry){options->config.keys[i], options->config.values[i]};
  out->options.config_entries = out->entries;
  out->options.config_entry_count = count;
  return NULL;
}

// --- all of them ---------------------------------------------------------------------------------------------------------------------
OrtStatus* dropin_run_settings_begin(const OrtSession* session, const OrtRunOptions* options,
                                     dropin_run_settings* out) {
  out->options = (kapell_run_options)KAPELL_RUN_OPTIONS_INIT;
  out->options.free_memory = session->free_memory;
  out->current = session->has_logger ? &session->logger : NULL;
  out->profile_prefix = NULL;
  out->entries = NULL;
  if (options) {
    out->options.cancel = (kapell_cancel*)(uintptr_t)&options->terminate;
    KP_ORT_PASS(make_logger(session, options, out));
    const char* shrink = kp_ort_pairs_get(&options->config, SHRINK_KEY);
    if (shrink) KP_ORT_PASS(read_shrink_list(session, shrink, &out->options.free_memory));
    KP_ORT_PASS(list_entries(options, out));
    out->profile_prefix = options->profile_prefix;
  }
  if (out->profile_prefix) {
    dropin_profile_open(&out->profile, session->start_ns);
    out->options.profile = dropin_profile_event;
    out->options.profile_user = &out->profile;
  }
  out->before = out->current ? kp_ort_log_enter(out->current) : NULL;
  out->stream_before = kp_ort_stream_enter(options ? options->stream : NULL);
  return NULL;
}

void dropin_run_settings_end(dropin_run_settings* settings) {
  kp_free(settings->entries);
  if (settings->profile_prefix) dropin_profile_close(&settings->profile, settings->profile_prefix);
  if (settings->current) kp_ort_log_enter(settings->before);
  kp_ort_stream_enter(settings->stream_before);
}
