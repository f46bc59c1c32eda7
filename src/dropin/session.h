// A session behind ONNX Runtime's API, between the files of dropin/.
#ifndef KP_DROPIN_SESSION_H_
#define KP_DROPIN_SESSION_H_

#include <pthread.h>

#include "base/json.h"
#include "kapell/kapell.h"
#include "ort/env.h"
#include "ort/kernel.h"
#include "ort/options.h"
#include "ort/threads.h"

struct OrtSession {
  kapell_session* session;
  OrtLogger logger;    // where what is done for this session is logged
  bool has_logger;     // else the environment's
  char* profile_path;  // NULL: not profiled
  uint64_t start_ns;   // of profiling, or of the session
  kp_ort_library** libraries;
  size_t library_count;
  kp_ort_custom_ops* custom_ops;  // NULL: none
  struct kp_ort_editor* editor;   // of a model that is being augmented; NULL: none
  pthread_mutex_t lock;           // guards |async_runs|, |assigned|, |profile_path|
  pthread_cond_t idle;            // |async_runs| became 0
  size_t async_runs;
  struct dropin_assignment* assigned;  // made when first asked for
  void** copies;                       // of files of external data that were in memory
  size_t copy_count;
  kp_ort_threads* threads;  // a pool of its own, or the environment's; NULL: the process's
  OrtPrepackedWeightsContainer* weights;  // the client's, while it is opened; NULL: none
  bool profile_written;                   // guarded by |lock|
  bool record_assignment;
  bool single_thread;
  bool free_memory;  // that of runs is not kept for the next
};

// --- profile.c
// A profile that is being written, in ONNX Runtime's form.
typedef struct dropin_profile {
  kp_strbuf text;
  kp_json json;
  uint64_t start_ns;  // times are told from here
} dropin_profile;

void dropin_profile_open(dropin_profile* profile, uint64_t start_ns);
void dropin_profile_event(void* user, const kapell_profile_event* event);  // |user|: the profile
// Writes the file named after |prefix|, and ends |profile|.
void dropin_profile_close(dropin_profile* profile, const char* prefix);
// Names the session's profile after |prefix|; and writes it, once.
OrtStatus* dropin_profile_begin(OrtSession* session, const char* prefix);
void dropin_profile_end(OrtSession* session);

// --- threads.c
// How many threads runs of a session have; and how many of them are meant for the work within nodes. 0: what the machine gives.
int dropin_threads(const OrtEnv* env, const OrtSessionOptions* options);
int dropin_intra_threads(const OrtEnv* env, const OrtSessionOptions* options);

// Gives the session the threads that its options, or its environment's, have made for it, if any.
OrtStatus* dropin_take_threads(OrtSession* session, const OrtEnv* env,
                               const OrtSessionOptions* options);

// --- session.c
// What both ways of loading share: exactly one of |path| and |data| is given.
OrtStatus* dropin_session_create(const OrtEnv* env, const char* path, const void* data, size_t size,
                                 const OrtSessionOptions* options,
                                 OrtPrepackedWeightsContainer* weights, OrtSession** out);

// --- select.c
// A copy of |options| with the providers of the devices that a policy or the client's function chooses, to be released; NULL where neither is
// set.
OrtStatus* dropin_select(const OrtEnv* env, const OrtSessionOptions* options,
                         OrtSessionOptions** out);

// --- providers.c
// The list of providers in Kapell's grammar, and their options: kapell_options' fields, in |arena|'s memory.
OrtStatus* dropin_providers(const OrtSessionOptions* options, kp_arena* arena, kapell_options* out);

// Has the client forbidden that the CPU takes what nobody else does?
bool dropin_has_no_floor(const OrtSessionOptions* options);

// --- run.c
OrtStatus* dropin_run(OrtSession* session, const OrtRunOptions* run_options,
                      const char* const* input_names, const OrtValue* const* inputs,
                      size_t input_count, const char* const* output_names, size_t output_count,
                      OrtValue** outputs);

// --- explain.c
// What ONNX Runtime says where a run was refused (|status| taken): unknown names, types and shapes that do not fit.
OrtStatus* dropin_explain_run(const OrtSession* session, kapell_status* status,
                              const char* const* input_names, kapell_value* const* inputs,
                              size_t input_count, const char* const* output_names,
                              size_t output_count);

const kapell_io_info* dropin_find_input(const kapell_session* session,
                                        const char* name);  // NULL if not there
const kapell_io_info* dropin_find_output(const kapell_session* session, const char* name);

// --- run_settings.c
// What the options of a run come to.
typedef struct dropin_run_settings {
  kapell_run_options options;
  const OrtLogger *current, *before;  // what is logged goes to |current|; NULL: where it went
  OrtLogger logger;                   // the run's own, with |id|
  char id[256];
  OrtSyncStream* stream_before;
  const char* profile_prefix;  // NULL: the run is not profiled by itself
  dropin_profile profile;
  kapell_config_entry* entries;  // owned
} dropin_run_settings;

// Nothing is begun on an error. |options| may be NULL.
OrtStatus* dropin_run_settings_begin(const OrtSession* session, const OrtRunOptions* options,
                                     dropin_run_settings* out);
void dropin_run_settings_end(dropin_run_settings* settings);

// --- assignment.c
void dropin_assignment_free(struct dropin_assignment* assignment);

// --- report.c
// Appends the session's placement to the file that KAPELL_REPORT names, if it does.
void dropin_report(const OrtSession* session, const char* model);

#endif  // KP_DROPIN_SESSION_H_
