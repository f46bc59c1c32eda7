// Executors and runs: contexts from a pool, the sink that fills the caller's outputs, clean-up after a failure.
#include "exec/exec.h"

#include "base/alloc.h"
#include "base/size.h"
#include "exec/internal.h"

// --- executor -----------------------------------------------------------------------------------------------------------------
static kp_status* fill_executor(kp_executor* executor) {
  const kp_plan_set* set = executor->set;
  executor->caches = kp_alloc_zero((size_t)set->plan_count + 1, sizeof(*executor->caches));
  executor->unit_caches =
      kp_alloc_zero((size_t)set->plan_count + 1, sizeof(*executor->unit_caches));
  executor->running = kp_alloc_zero((size_t)set->chain->count + 1, sizeof(*executor->running));
  executor->is_told = kp_alloc_zero((size_t)set->chain->count + 1, sizeof(*executor->is_told));
  if (!executor->caches || !executor->unit_caches || !executor->running || !executor->is_told)
    return KP_ERROR(OUT_OF_MEMORY, "the executor");
  kp_tell_prepare(executor);
  for (uint32_t p = 0; p < set->plan_count; ++p) {
    const uint32_t steps = set->plans[p]->step_count;
    KP_PASS(kp_cache_init(&executor->caches[p], executor->cache_limit));
    executor->unit_caches[p] = kp_alloc_zero((size_t)steps + 1, sizeof(**executor->unit_caches));
    if (!executor->unit_caches[p]) return KP_ERROR(OUT_OF_MEMORY, "the executor");
    for (uint32_t i = 0; i < steps; ++i)
      KP_PASS(kp_cache_init(&executor->unit_caches[p][i], executor->cache_limit));
  }
  return NULL;
}

kp_status* kp_executor_create(const kp_plan_set* set, uint32_t signature_cache,
                              kp_executor** out_executor) {
  *out_executor = NULL;
  kp_executor* executor = kp_alloc_zero(1, sizeof(*executor));
  if (!executor) return KP_ERROR(OUT_OF_MEMORY, "the executor");
  executor->set = set;
  executor->cache_limit = signature_cache;
  pthread_mutex_init(&executor->lock, NULL);
  pthread_cond_init(&executor->room, NULL);
  kp_status* status = fill_executor(executor);
  if (status) {
    kp_executor_free(executor);
    return status;
  }
  *out_executor = executor;
  return NULL;
}

static void end_streams(kp_run_state* run) {
  const kp_chain* chain = run->executor->set->chain;
  for (uint32_t e = 0; run->streams && e < chain->count; ++e) {
    if (run->streams[e]) chain->entries[e].provider->type->stream_destroy(run->streams[e]);
    run->streams[e] = NULL;
  }
}

static void free_run(kp_run_state* run) {
  if (!run) return;
  end_streams(run);
  kp_frame_free(run->root);
  for (uint32_t e = 0; run->stream_scratch && e < run->executor->set->chain->count; ++e)
    kp_grown_free(&run->stream_scratch[e]);
  kp_free(run->streams);
  kp_free(run->begun);
  kp_free(run->stream_scratch);
  kp_free(run);
}

void kp_executor_free(kp_executor* executor) {
  if (!executor) return;
  for (uint32_t i = 0; i < executor->idle_count; ++i) free_run(executor->idle[i]);
  for (uint32_t p = 0; p < executor->set->plan_count; ++p) {
    if (executor->caches && executor->caches[p].limit) kp_cache_free(&executor->caches[p]);
    if (!executor->unit_caches || !executor->unit_caches[p]) continue;
    for (uint32_t i = 0; i < executor->set->plans[p]->step_count; ++i)
      if (executor->unit_caches[p][i].limit) kp_cache_free(&executor->unit_caches[p][i]);
    kp_free(executor->unit_caches[p]);
  }
  pthread_mutex_destroy(&executor->lock);
  pthread_cond_destroy(&executor->room);
  kp_free(executor->caches);
  kp_free(executor->unit_caches);
  kp_free(executor->running);
  kp_free(executor->is_told);
  kp_free(executor->idle);
  kp_free(executor);
}

// --- contexts -------------------------------------------------------------------------------------------------------------------
static kp_status* create_run(kp_executor* executor, kp_run_state** out_run) {
  kp_run_state* run = kp_alloc_zero(1, sizeof(*run));
  if (!run) return KP_ERROR(OUT_OF_MEMORY, "a run's context");
  run->executor = executor;
  run->streams = kp_alloc_zero((size_t)executor->set->chain->count + 1, sizeof(*run->streams));
  run->begun = kp_alloc_zero((size_t)executor->set->chain->count + 1, sizeof(*run->begun));
  run->stream_scratch =
      kp_alloc_zero((size_t)executor->set->chain->count + 1, sizeof(*run->stream_scratch));
  kp_status* status = run->streams && run->begun && run->stream_scratch
                          ? kp_frame_create(run, executor->set->plans[0], &run->root)
                          : KP_ERROR(OUT_OF_MEMORY, "a run's context");
  if (status) {
    free_run(run);
    return status;
  }
  *out_run = run;
  return NULL;
}

static kp_status* take_run(kp_executor* executor, kp_run_state** out_run) {
  *out_run = NULL;
  pthread_mutex_lock(&executor->lock);
  if (executor->idle_count) *out_run = executor->idle[--executor->idle_count];
  pthread_mutex_unlock(&executor->lock);
  return *out_run ? NULL : create_run(executor, out_run);
}

static void give_run_back(kp_executor* executor, kp_run_state* run) {
  pthread_mutex_lock(&executor->lock);
  if (executor->idle_count == executor->idle_capacity) {
    const uint32_t capacity = executor->idle_capacity ? executor->idle_capacity * 2 : 4;
    kp_run_state** grown = kp_realloc_array(executor->idle, capacity, sizeof(*grown));
    if (grown) {
      executor->idle = grown;
      executor->idle_capacity = capacity;
    }
  }
  const bool kept = executor->idle_count < executor->idle_capacity;
  if (kept) executor->idle[executor->idle_count++] = run;
  pthread_mutex_unlock(&executor->lock);
  if (!kept) free_run(run);
}

// --- the caller's outputs ------------------------------------------------------------------------------------------------------------
typedef struct root_sink {
  kp_sink sink;
  const kp_plan* plan;
  kp_exec_args* args;
  kapell_value** made;  // parallel to outputs: values that this run created
} root_sink;

static bool wanted(const root_sink* s, uint32_t index) {
  return !s->args->wanted || s->args->wanted[index];
}

static const char* output_name(const root_sink* s, uint32_t index) {
  return s->plan->graph->values[s->plan->graph->outputs[index]].name;
}

static kp_status* check_bound(const root_sink* s, uint32_t index, kapell_type type,
                              const int64_t* dims, int32_t rank) {
  const kapell_value* bound = s->args->outputs[index];
  bool same = bound->kind == KAPELL_KIND_TENSOR && bound->type == type && bound->rank == rank;
  for (int32_t d = 0; same && d < rank; ++d) same = bound->dims[d] == dims[d];
  if (same && bound->memory)
    return KP_ERROR(INVALID_ARGUMENT, "output '%s' is bound to memory of a device",
                    output_name(s, index));
  if (same) return NULL;
  kp_strbuf have = {0};
  kp_value_describe(bound, &have);
  kp_strbuf want = {0};
  kp_strbuf_printf(&want, "%s[", kp_type_name(type));
  for (int32_t d = 0; d < rank; ++d)
    kp_strbuf_printf(&want, "%s%lld", d ? "," : "", (long long)dims[d]);
  kp_strbuf_puts(&want, "]");
  kp_status* status =
      KP_ERROR(INVALID_ARGUMENT, "output '%s' is bound to a value of %s; this run gives %s",
               output_name(s, index), have.data ? have.data : "another type",
               want.data ? want.data : "another type");
  kp_strbuf_free(&have);
  kp_strbuf_free(&want);
  return kp_status_hint(status, "bind a tensor of that shape, or NULL to let the run make one");
}

static kp_status* root_place(kp_sink* sink, uint32_t index, kapell_type type, const int64_t* dims,
                             int32_t rank, kapell_value** out_value) {
  root_sink* s = (root_sink*)sink;
  if (!wanted(s, index)) return NULL;
  if (s->args->outputs[index] && !s->made[index]) {
    KP_PASS(check_bound(s, index, type, dims, rank));
    *out_value = s->args->outputs[index];
    return NULL;
  }
  kapell_value* value;
  KP_TRY(kp_value_create_tensor(type, dims, rank, &value), "making output '%s'",
         output_name(s, index));
  kp_value_release(s->made[index]);
  s->args->outputs[index] = s->made[index] = value;
  *out_value = value;
  return NULL;
}

static kp_status* root_give(kp_sink* sink, uint32_t index, kapell_value* value) {
  root_sink* s = (root_sink*)sink;
  if (!wanted(s, index)) return NULL;
  if (value->kind == KAPELL_KIND_TENSOR) {
    kapell_value* to = NULL;
    KP_PASS(root_place(sink, index, value->type, value->dims, value->rank, &to));
    return kp_copy_value(NULL, value, to);
  }
  if (s->args->outputs[index] && !s->made[index])
    return KP_ERROR(INVALID_ARGUMENT, "output '%s' is no tensor and cannot be bound; pass NULL",
                    output_name(s, index));
  kapell_value* kept;
  KP_PASS(kp_value_clone(value, &kept));
  kp_value_release(s->made[index]);
  s->args->outputs[index] = s->made[index] = kept;
  return NULL;
}

// --- a run -------------------------------------------------------------------------------------------------------------------------------
static void need_slot(uint32_t slot, bool* needed_slot) {
  if (slot != KP_NONE) needed_slot[slot] = true;
}

// Which steps the wanted outputs need. All of them in the ordinary case.
static kp_status* mark_needed(kp_frame* root, const kp_exec_args* args) {
  const kp_plan* plan = root->plan;
  bool all = true;
  for (uint32_t k = 0; args->wanted && k < plan->output_count; ++k) all = all && args->wanted[k];
  for (uint32_t i = 0; i < plan->step_count; ++i) root->needed[i] = all;
  if (all) return NULL;
  bool* slots = kp_alloc_zero((size_t)plan->slot_count + 1, sizeof(*slots));
  if (!slots) return KP_ERROR(OUT_OF_MEMORY, "a run");
  for (uint32_t k = 0; k < plan->output_count; ++k)
    if (args->wanted[k]) need_slot(plan->outputs[k], slots);
  for (uint32_t i = plan->step_count; i-- > 0;) {
    const kp_step* step = &plan->steps[i];
    const bool unit = step->kind == KP_STEP_UNIT;
    const uint32_t* outputs = unit ? step->unit.outputs : step->outputs;
    const uint32_t* inputs = unit ? step->unit.inputs : step->inputs;
    const uint32_t output_count = unit ? step->unit.output_count : step->output_count;
    const uint32_t input_count = unit ? step->unit.input_count : step->input_count;
    bool need = step->kind == KP_STEP_COPY && slots[step->to];
    for (uint32_t o = 0; o < output_count; ++o)
      need = need || (outputs[o] != KP_NONE && slots[outputs[o]]);
    root->needed[i] = need;
    if (!need) continue;
    if (step->kind == KP_STEP_COPY) need_slot(step->from, slots);
    for (uint32_t k = 0; k < input_count; ++k) need_slot(inputs[k], slots);
    for (uint32_t k = 0; k < step->implicit_count; ++k) need_slot(step->implicit[k], slots);
  }
  kp_free(slots);
  return NULL;
}

static kp_status* finish_streams(kp_run_state* run) {
  const kp_chain* chain = run->executor->set->chain;
  for (uint32_t e = 0; e < chain->count; ++e) {
    if (!run->streams[e]) continue;
    const kp_provider_type* type = chain->entries[e].provider->type;
    uint64_t ticket;
    bool done = false;
    kp_status* status = type->stream_signal(run->streams[e], &ticket);
    if (!status)
      status = type->stream_wait(run->streams[e], ticket, run->args->deadline_ns, run->args->cancel,
                                 &done);
    if (status || !done) run->args->failed_entry = e;
    KP_PASS(status);
    if (!done) KP_PASS(kp_run_check(run));
  }
  return NULL;
}

static void drop_outputs(kp_exec_args* args, kapell_value** made, uint32_t count) {
  for (uint32_t k = 0; k < count; ++k) {
    if (!made[k]) continue;
    args->outputs[k] = NULL;
    kp_value_release(made[k]);
  }
}

static kp_status* run_told(kp_run_state* run, kp_sink* sink) {
  KP_PASS(kp_tell_begin(run));
  kp_status* status = kp_frame_run(run->root, run->args->inputs, NULL, sink);
  if (!status) status = finish_streams(run);
  if (status) end_streams(run);  // before providers are told that it is over
  const uint32_t failed = run->args->failed_entry;
  kp_status* end = kp_tell_end(run);
  if (status) run->args->failed_entry = failed;
  return kp_status_join(status, end);
}

kp_status* kp_exec_run(kp_executor* executor, kp_exec_args* args) {
  kp_run_state* run;
  args->failed_entry = KP_NONE;
  KP_PASS(take_run(executor, &run));
  const kp_plan* plan = executor->set->plans[0];
  kapell_value* few[16] = {0};
  kapell_value** made = plan->output_count <= KP_COUNT_OF(few)
                            ? few
                            : kp_alloc_zero(plan->output_count, sizeof(*made));
  run->args = args;
  run->iterations = 0;
  root_sink sink = {
      .sink = {.place = root_place, .give = root_give}, .plan = plan, .args = args, .made = made};
  kp_status* status = made ? mark_needed(run->root, args) : KP_ERROR(OUT_OF_MEMORY, "a run");
  if (!status) status = run_told(run, &sink.sink);
  if (!status && args->deadline_ns) status = kp_run_check(run);  // past it work was left out
  args->counters->peak_bytes = run->bytes;
  if (status) {
    end_streams(run);  // before memory that work under way may still use is given back
    if (made) drop_outputs(args, made, plan->output_count);
  }
  run->args = NULL;
  if (args->free_memory)
    free_run(run);
  else
    give_run_back(executor, run);
  if (made != few) kp_free(made);
  return status;
}
