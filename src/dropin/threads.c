// Threads of a session: how many, and whose.
#include "ort/threads.h"

#include "dropin/session.h"

#define AFFINITY_KEY "session.intra_op_thread_affinities"

int dropin_intra_threads(const OrtEnv* env, const OrtSessionOptions* options) {
  return kp_ort_thread_count(options->global_threads ? env->threading.intra_op : options->intra_op);
}

// Nodes run one after another: threads that were meant to run some side by side work within them instead.
int dropin_threads(const OrtEnv* env, const OrtSessionOptions* options) {
  const int intra = dropin_intra_threads(env, options);
  const int inter =
      kp_ort_thread_count(options->global_threads ? env->threading.inter_op : options->inter_op);
  if (options->mode != ORT_PARALLEL) return intra;
  return intra == 0 || inter == 0 ? 0 : intra > inter ? intra : inter;
}

OrtStatus* dropin_take_threads(OrtSession* session, const OrtEnv* env,
                               const OrtSessionOptions* options) {
  if (options->global_threads) {
    session->threads = kp_ort_threads_retain(env->threads);
    return NULL;
  }
  const kp_ort_thread_wishes wishes = {
      .create = options->create_thread,
      .join = options->join_thread,
      .options = options->thread_options,
      .affinities = kp_ort_options_config(options, AFFINITY_KEY, NULL),
      .watch = kp_ort_env_watch(env),
      .intra_op = dropin_intra_threads(env, options),
      .count = dropin_threads(env, options)};
  return kp_ort_threads_create(&wishes, &session->threads);
}
