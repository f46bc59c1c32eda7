// Events are kept in blocks of an arena under one lock: profiling may cost a little, and only when it is on.
#include "exec/profile.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/json.h"

#define MAX_EVENTS 2000000u  // about 300 MB; later events are counted, not kept

typedef struct event {
  kp_profile_event e;
  const char* shapes;  // "float32[1,3,8,8] -> float32[1,8,8,8]"
  long thread;
  struct event* next;
} event;

struct kp_profile {
  pthread_mutex_t lock;  // guards everything below
  kp_arena arena;
  event* first;
  event** last;
  uint32_t count, lost;
  const kp_model* model;
};

kp_status* kp_profile_create(const kp_model* model, kp_profile** out_profile) {
  *out_profile = NULL;
  kp_profile* profile = kp_alloc_zero(1, sizeof(*profile));
  if (!profile) return KP_ERROR(OUT_OF_MEMORY, "the profile");
  pthread_mutex_init(&profile->lock, NULL);
  profile->last = &profile->first;
  profile->model = model;
  *out_profile = profile;
  return NULL;
}

void kp_profile_free(kp_profile* profile) {
  if (!profile) return;
  pthread_mutex_destroy(&profile->lock);
  kp_arena_free(&profile->arena);
  kp_free(profile);
}

static void describe_values(const kapell_value* const* values, uint32_t count, kp_strbuf* out) {
  for (uint32_t i = 0; i < count; ++i) {
    if (i) kp_strbuf_puts(out, ", ");
    if (values[i]) kp_value_describe(values[i], out);
  }
}

void kp_profile_add(kp_profile* profile, const kp_profile_event* e) {
  if (!profile) return;
  kp_strbuf shapes = {0};
  describe_values(e->inputs, e->input_count, &shapes);
  kp_strbuf_puts(&shapes, " -> ");
  describe_values(e->outputs, e->output_count, &shapes);
  pthread_mutex_lock(&profile->lock);
  event* kept = profile->count < MAX_EVENTS ? kp_arena_new(&profile->arena, event) : NULL;
  const char* text =
      kept && shapes.data ? kp_arena_strndup(&profile->arena, shapes.data, shapes.length) : NULL;
  if (kept) {
    *kept = (event){.e = *e, .shapes = text, .thread = syscall(SYS_gettid)};
    *profile->last = kept;
    profile->last = &kept->next;
    ++profile->count;
  } else {
    ++profile->lost;
  }
  pthread_mutex_unlock(&profile->lock);
  kp_strbuf_free(&shapes);
}

static void write_event(const kp_profile* profile, const event* ev, kp_json* json) {
  kp_json_begin_object(json);
  kp_json_member_string(json, "name", ev->e.name);
  kp_json_member_string(json, "cat", ev->e.op);
  kp_json_member_string(json, "ph", "X");
  kp_json_member_double(json, "ts", (double)ev->e.start_ns / 1000.0);
  kp_json_member_double(json, "dur", (double)(ev->e.end_ns - ev->e.start_ns) / 1000.0);
  kp_json_member_int(json, "pid", getpid());
  kp_json_member_int(json, "tid", ev->thread);
  kp_json_key(json, "args");
  kp_json_begin_object(json);
  kp_json_member_string(json, "op", ev->e.op);
  kp_json_member_string(json, "provider", ev->e.provider);
  kp_json_member_string(json, "kernel", ev->e.kernel);
  kp_json_member_string(json, "shapes", ev->shapes);
  kp_json_member_double(json, "flops", ev->e.flops);
  kp_json_member_double(json, "bytes", ev->e.bytes);
  kp_json_key(json, "nodes");
  kp_json_begin_array(json);
  for (uint32_t i = 0; i < ev->e.origin_count; ++i)
    kp_json_string(json, profile->model->origins[ev->e.origins[i]].name);
  kp_json_end_array(json);
  kp_json_key(json, "origins");  // their positions among the nodes of the placement report
  kp_json_begin_array(json);
  for (uint32_t i = 0; i < ev->e.origin_count; ++i) kp_json_uint(json, ev->e.origins[i]);
  kp_json_end_array(json);
  kp_json_end_object(json);
  kp_json_end_object(json);
}

void kp_profile_json(kp_profile* profile, kp_strbuf* out) {
  kp_json json = {.buf = out};
  kp_json_begin_object(&json);
  kp_json_member_string(&json, "displayTimeUnit", "ms");
  kp_json_key(&json, "traceEvents");
  kp_json_begin_array(&json);
  if (profile) {
    pthread_mutex_lock(&profile->lock);
    for (const event* ev = profile->first; ev; ev = ev->next) write_event(profile, ev, &json);
    pthread_mutex_unlock(&profile->lock);
  }
  kp_json_end_array(&json);
  if (profile && profile->lost) kp_json_member_int(&json, "eventsLost", profile->lost);
  kp_json_end_object(&json);
}

void kp_profile_visit(kp_profile* profile,
                      void (*visit)(void* user, const kapell_profile_event* event), void* user) {
  if (!profile) return;
  pthread_mutex_lock(&profile->lock);
  for (const event* ev = profile->first; ev; ev = ev->next) {
    const kapell_profile_event told = {.name = ev->e.name,
                                       .op = ev->e.op,
                                       .provider = ev->e.provider,
                                       .kernel = ev->e.kernel,
                                       .shapes = ev->shapes,
                                       .start_ns = ev->e.start_ns,
                                       .end_ns = ev->e.end_ns,
                                       .thread = ev->thread,
                                       .flops = ev->e.flops,
                                       .bytes = ev->e.bytes};
    visit(user, &told);
  }
  pthread_mutex_unlock(&profile->lock);
}
