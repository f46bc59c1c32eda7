// RunAsync: a run on a thread of its own, which calls back. The session counts such runs and is not ended before them.
#include <string.h>

#include "base/alloc.h"
#include "dropin/session.h"

typedef struct async_run {
  OrtSession* session;
  const OrtRunOptions* run_options;
  char **input_names, **output_names;  // copies
  const OrtValue** inputs;
  size_t input_count, output_count;
  OrtValue** outputs;  // the client's array
  RunAsyncCallbackFn callback;
  void* user_data;
} async_run;

static void free_names(char** names, size_t count) {
  for (size_t i = 0; names && i < count; ++i) kp_free(names[i]);
  kp_free(names);
}

static void free_run(async_run* run) {
  free_names(run->input_names, run->input_count);
  free_names(run->output_names, run->output_count);
  kp_free(run->inputs);
  kp_free(run);
}

static bool copy_names(const char* const* names, size_t count, char*** out) {
  *out = kp_alloc_zero(count, sizeof(**out));
  for (size_t i = 0; *out && i < count; ++i)
    if (!((*out)[i] = kp_strdup(names[i] ? names[i] : ""))) return false;
  return *out != NULL;
}

static void end_run(OrtSession* session) {
  pthread_mutex_lock(&session->lock);
  if (--session->async_runs == 0) pthread_cond_broadcast(&session->idle);
  pthread_mutex_unlock(&session->lock);
}

static void* work(void* arg) {
  async_run* run = arg;
  OrtSession* session = run->session;
  OrtStatus* status = dropin_run(
      session, run->run_options, (const char* const*)run->input_names, run->inputs,
      run->input_count, (const char* const*)run->output_names, run->output_count, run->outputs);
  run->callback(run->user_data, run->outputs, status ? 0 : run->output_count, status);
  free_run(run);
  end_run(session);
  return NULL;
}

static OrtStatus* start(async_run* run) {
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_mutex_lock(&run->session->lock);
  ++run->session->async_runs;
  pthread_mutex_unlock(&run->session->lock);
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  const int failed = pthread_create(&thread, &attributes, work, run);
  pthread_attr_destroy(&attributes);
  if (!failed) return NULL;
  end_run(run->session);
  return kp_ort_error(ORT_FAIL, "no thread for RunAsync: %s", strerror(failed));
}

OrtStatus* ort_RunAsync(OrtSession* session, const OrtRunOptions* run_options,
                        const char* const* input_names, const OrtValue* const* inputs,
                        size_t input_count, const char* const* output_names, size_t output_count,
                        OrtValue** outputs, RunAsyncCallbackFn callback, void* user_data) {
  KP_ORT_NEED(session);
  KP_ORT_NEED(callback);
  if (input_count && (!input_names || !inputs))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "RunAsync: inputs are NULL");
  if (output_count && (!output_names || !outputs))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "RunAsync: outputs are NULL");
  if (session->single_thread)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "intra op thread pool must have at least one thread for RunAsync");
  async_run* run = kp_alloc_zero(1, sizeof(*run));
  if (!run) return kp_ort_no_memory();
  *run = (async_run){.session = session,
                     .run_options = run_options,
                     .inputs = kp_alloc_array(input_count, sizeof(*run->inputs)),
                     .input_count = input_count,
                     .output_count = output_count,
                     .outputs = outputs,
                     .callback = callback,
                     .user_data = user_data};
  const bool copied = copy_names(input_names, input_count, &run->input_names) &&
                      copy_names(output_names, output_count, &run->output_names) && run->inputs;
  for (size_t i = 0; copied && i < input_count; ++i) run->inputs[i] = inputs[i];
  OrtStatus* status = copied ? start(run) : kp_ort_no_memory();
  if (status) free_run(run);
  return status;
}
