// Profiles as ONNX Runtime writes them: a JSON array of events in a file, named when profiling ends.
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "dropin/session.h"

void dropin_profile_event(void* user, const kapell_profile_event* event) {
  dropin_profile* w = user;
  char name[512];
  const bool is_node = event->op && strcmp(event->op, "partition") != 0;
  snprintf(name, sizeof name, "%s%s", event->name ? event->name : "",
           is_node ? "_kernel_time" : "");
  const uint64_t begin = event->start_ns > w->start_ns ? event->start_ns - w->start_ns : 0;
  kp_json_begin_object(&w->json);
  kp_json_member_string(&w->json, "cat", is_node ? "Node" : "Session");
  kp_json_member_int(&w->json, "pid", getpid());
  kp_json_member_int(&w->json, "tid", event->thread);
  kp_json_member_int(&w->json, "dur", (int64_t)((event->end_ns - event->start_ns) / 1000));
  kp_json_member_int(&w->json, "ts", (int64_t)(begin / 1000));
  kp_json_member_string(&w->json, "ph", "X");
  kp_json_member_string(&w->json, "name", name);
  kp_json_key(&w->json, "args");
  kp_json_begin_object(&w->json);
  kp_json_member_string(&w->json, "op_name", event->op);
  kp_json_member_string(&w->json, "provider", event->provider);
  kp_json_member_string(&w->json, "kernel", event->kernel);
  kp_json_member_string(&w->json, "shapes", event->shapes);
  kp_json_end_object(&w->json);
  kp_json_end_object(&w->json);
}

void dropin_profile_open(dropin_profile* profile, uint64_t start_ns) {
  *profile = (dropin_profile){.start_ns = start_ns};
  profile->json.buf = &profile->text;
  kp_json_begin_array(&profile->json);
}

// Ends |profile| in the file at |path|.
static void write_profile(dropin_profile* profile, const char* path) {
  kp_json_end_array(&profile->json);
  const kp_strbuf* text = &profile->text;
  kp_status* status = text->failed ? KP_ERROR(OUT_OF_MEMORY, "the profile")
                                   : kp_file_write(path, text->data, text->length);
  if (status)
    KP_LOG(ERROR, "the profile '%s' was not written: %s", path, kp_status_message(status));
  kp_status_ignore(status);
  kp_strbuf_free(&profile->text);
}

// "prefix_2026-11-23_00-24-31_123456.json"; NULL without memory.
static char* name_file(const char* prefix) {
  struct timeval now;
  struct tm local;
  char date[32] = "";
  gettimeofday(&now, NULL);
  if (localtime_r(&now.tv_sec, &local)) strftime(date, sizeof date, "%Y-%m-%d_%H-%M-%S", &local);
  kp_strbuf name = {0};
  kp_strbuf_printf(&name, "%s_%s_%06ld.json", prefix, date, (long)now.tv_usec);
  return kp_strbuf_take(&name);
}

void dropin_profile_close(dropin_profile* profile, const char* prefix) {
  char* path = name_file(prefix);
  write_profile(profile, path ? path : prefix);
  kp_free(path);
}

OrtStatus* dropin_profile_begin(OrtSession* session, const char* prefix) {
  session->profile_path = name_file(prefix);
  return session->profile_path ? NULL : kp_ort_no_memory();
}

void dropin_profile_end(OrtSession* session) {
  if (!session->profile_path || session->profile_written || !session->session) return;
  session->profile_written = true;
  dropin_profile profile;
  dropin_profile_open(&profile, session->start_ns);
  kapell_session_profile_visit(session->session, dropin_profile_event, &profile);
  write_profile(&profile, session->profile_path);
}

OrtStatus* ort_SessionEndProfiling(OrtSession* session, OrtAllocator* allocator, char** out) {
  KP_ORT_NEED(session);
  KP_ORT_NEED(allocator);
  KP_ORT_NEED(out);
  pthread_mutex_lock(&session->lock);
  dropin_profile_end(session);
  pthread_mutex_unlock(&session->lock);
  return kp_ort_give_text(allocator, session->profile_path ? session->profile_path : "", out);
}

OrtStatus* ort_SessionGetProfilingStartTimeNs(const OrtSession* session, uint64_t* out) {
  KP_ORT_NEED(session);
  KP_ORT_NEED(out);
  *out = session->start_ns;
  return NULL;
}
