// What a run has to do with a provider as a whole: how many may be in it at once, and that it is told of their beginning and end.
#include "exec/internal.h"

// --- who may run at once --------------------------------------------------------------------------------------------------
kp_status* kp_enter_provider(kp_run_state* run, uint32_t entry) {
  kp_executor* executor = run->executor;
  const kp_provider* provider = executor->set->chain->entries[entry].provider;
  if (!provider->max_concurrent_runs) return NULL;
  kp_status* status = NULL;
  pthread_mutex_lock(&executor->lock);
  while (!status && executor->running[entry] >= provider->max_concurrent_runs) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 5000000;  // look at cancel and deadline now and then
    if (until.tv_nsec >= 1000000000) until.tv_nsec -= 1000000000, ++until.tv_sec;
    pthread_cond_timedwait(&executor->room, &executor->lock, &until);
    status = kp_run_check(run);
  }
  if (!status) ++executor->running[entry];
  pthread_mutex_unlock(&executor->lock);
  return status;
}

void kp_leave_provider(kp_run_state* run, uint32_t entry) {
  kp_executor* executor = run->executor;
  if (!executor->set->chain->entries[entry].provider->max_concurrent_runs) return;
  pthread_mutex_lock(&executor->lock);
  --executor->running[entry];
  pthread_cond_signal(&executor->room);
  pthread_mutex_unlock(&executor->lock);
}

// --- beginning and end --------------------------------------------------------------------------------------------------------
void kp_tell_prepare(kp_executor* executor) {
  const kp_plan_set* set = executor->set;
  for (uint32_t p = 0; p < set->plan_count; ++p)
    for (uint32_t i = 0; i < set->plans[p]->step_count; ++i) {
      const kp_step* step = &set->plans[p]->steps[i];
      if (step->kind == KP_STEP_UNIT && step->unit.provider->type->run_begin)
        executor->is_told[step->unit.entry] = true;
    }
}

static kp_status* begin_one(kp_run_state* run, uint32_t entry) {
  kp_provider* provider = run->executor->set->chain->entries[entry].provider;
  KP_PASS(kp_enter_provider(run, entry));
  run->begun[entry] = NULL;
  kp_status* status = provider->type->run_begin(provider, &run->args->info, &run->begun[entry]);
  if (!status) return NULL;
  kp_leave_provider(run, entry);
  run->args->failed_entry = entry;
  return kp_status_frame(status, __FILE__, __LINE__, "beginning a run on %s",
                         run->executor->set->chain->entries[entry].short_name);
}

// Tells the first |count| of the chain, the last first.
static kp_status* end_first(kp_run_state* run, uint32_t count) {
  const kp_executor* executor = run->executor;
  kp_status* failure = NULL;
  while (count-- > 0) {
    if (!executor->is_told[count]) continue;
    kp_provider* provider = executor->set->chain->entries[count].provider;
    kp_status* status = provider->type->run_end(provider, run->begun[count]);
    kp_leave_provider(run, count);
    if (!status) continue;
    run->args->failed_entry = count;
    failure =
        kp_status_join(failure, kp_status_frame(status, __FILE__, __LINE__, "ending a run on %s",
                                                executor->set->chain->entries[count].short_name));
  }
  return failure;
}

// Always in the order of the chain, so that runs that wait for one another's providers come to an end.
kp_status* kp_tell_begin(kp_run_state* run) {
  const kp_executor* executor = run->executor;
  for (uint32_t e = 0; e < executor->set->chain->count; ++e) {
    kp_status* status = executor->is_told[e] ? begin_one(run, e) : NULL;
    if (!status) continue;
    const uint32_t failed = run->args->failed_entry;
    status = kp_status_join(status, end_first(run, e));
    run->args->failed_entry = failed;
    return status;
  }
  return NULL;
}

kp_status* kp_tell_end(kp_run_state* run) {
  return end_first(run, run->executor->set->chain->count);
}
