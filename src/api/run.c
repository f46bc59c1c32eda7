// kapell_session_run: names to slots, checks of what the caller gives, failover, counters.
#include "api/shadow.h"
#include "base/alloc.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/nearest.h"
#include "base/size.h"

#define FEW 24  // inputs or outputs that need no allocation

// One call of kapell_session_run.
typedef struct call {
  kapell_session* session;
  kp_core* core;
  kapell_value** inputs;   // parallel to the plan's inputs
  kapell_value** outputs;  // parallel to the plan's outputs
  bool* wanted;
  uint32_t* position;  // plan output -> index in the caller's arrays
  uint32_t* aliases;   // plan output -> input whose memory it was bound to, or KP_NONE; NULL: none
  size_t input_count, output_count;
  kapell_value* few_inputs[FEW];
  kapell_value* few_outputs[FEW];
  bool few_wanted[FEW];
  uint32_t few_position[FEW];
  uint32_t few_aliases[FEW];
  kp_entry_counters few_entries[FEW];
  kp_entry_counters* entries;
  kp_run_counters counters;
  uint64_t failed;  // bit e: chain entry e failed
  bool shadowed, alarm;
  kapell_value** shadow_outputs;  // of the CPU; NULL where the run is not shadowed
  kp_status* shadow_failure;
} call;

static _Thread_local kapell_provider_counters
    thread_counters[64];  // lent by counters of runs and sessions

// --- cancel ----------------------------------------------------------------------------------------------------------------------
kapell_status* kapell_cancel_create(kapell_cancel** out_cancel) {
  if (!out_cancel) return KP_ERROR(INVALID_ARGUMENT, "out_cancel is NULL");
  *out_cancel = kp_alloc_zero(1, sizeof(**out_cancel));
  return *out_cancel ? NULL : KP_ERROR(OUT_OF_MEMORY, "a cancel token");
}

void kapell_cancel_request(kapell_cancel* cancel) {
  if (cancel) __atomic_store_n(&cancel->requested, 1, __ATOMIC_RELAXED);
}

void kapell_cancel_reset(kapell_cancel* cancel) {
  if (cancel) __atomic_store_n(&cancel->requested, 0, __ATOMIC_RELAXED);
}

void kapell_cancel_release(kapell_cancel* cancel) { kp_free(cancel); }

// --- names -------------------------------------------------------------------------------------------------------------------------
// Index of |name| among |infos|; |guess| is looked at first: names mostly come in order.
static size_t find_name(const kapell_io_info* infos, size_t count, const char* name, size_t guess) {
  if (guess < count && strcmp(infos[guess].name, name) == 0) return guess;
  for (size_t i = 0; i < count; ++i)
    if (strcmp(infos[i].name, name) == 0) return i;
  return SIZE_MAX;
}

static kp_status* unknown_name(const char* what, const kapell_io_info* infos, size_t count,
                               const char* name) {
  kp_strbuf names = {0};
  for (size_t i = 0; i < count && i < 20; ++i)
    kp_strbuf_printf(&names, "%s%s", i ? ", " : "", infos[i].name);
  if (count > 20) kp_strbuf_puts(&names, ", ...");
  kp_status* status = KP_ERROR(INVALID_INPUT, "the model has no %s '%s'", what, name);
  kp_status_at(status, NULL, NULL, name);
  kp_status_hint(status, "its %ss are: %s", what, names.data ? names.data : "none");
  kp_strbuf_free(&names);
  return status;
}

// --- checks of inputs ----------------------------------------------------------------------------------------------------------------
static void describe_expected(const kapell_type_info* type, kp_strbuf* out) {
  switch (type->kind) {
    case KAPELL_KIND_SEQUENCE:
      kp_strbuf_puts(out, "a sequence");
      return;
    case KAPELL_KIND_MAP:
      kp_strbuf_puts(out, "a map");
      return;
    case KAPELL_KIND_OPTIONAL:
      kp_strbuf_puts(out, "an optional");
      return;
    default:
      break;
  }
  kp_strbuf_puts(out, type->kind == KAPELL_KIND_SPARSE ? "sparse " : "");
  kp_strbuf_puts(out, kp_type_name(type->element));
  if (type->rank < 0) return;
  kp_strbuf_puts(out, "[");
  for (int32_t d = 0; d < type->rank; ++d) {
    if (d) kp_strbuf_puts(out, ",");
    if (type->dims[d] >= 0) {
      kp_strbuf_printf(out, "%lld", (long long)type->dims[d]);
    } else {
      kp_strbuf_puts(out, type->symbols[d] ? type->symbols[d] : "?");
    }
  }
  kp_strbuf_puts(out, "]");
}

static bool fits(const kapell_value* value, const kapell_type_info* type) {
  if (type->kind == KAPELL_KIND_NONE) return true;
  if (type->kind == KAPELL_KIND_OPTIONAL) return true;  // the element itself, or an optional
  if (value->kind != type->kind) return false;
  if (type->kind != KAPELL_KIND_TENSOR && type->kind != KAPELL_KIND_SPARSE) return true;
  if (type->element != KAPELL_UNDEFINED && value->type != type->element) return false;
  if (type->rank < 0) return true;
  if (value->rank != type->rank) return false;
  for (int32_t d = 0; d < type->rank; ++d)
    if (type->dims[d] >= 0 && type->dims[d] != value->dims[d]) return false;
  return true;
}

static kp_status* check_input(const kapell_io_info* info, const kapell_value* value) {
  if (!value) return KP_ERROR(INVALID_ARGUMENT, "input '%s' is NULL", info->name);
  if (KP_LIKELY(fits(value, info->type))) return NULL;
  kp_strbuf want = {0}, have = {0};
  describe_expected(info->type, &want);
  kp_value_describe(value, &have);
  kp_status* status =
      KP_ERROR(INVALID_INPUT, "input '%s' should be %s and is %s", info->name,
               want.data ? want.data : "another type", have.data ? have.data : "something else");
  kp_strbuf_free(&want);
  kp_strbuf_free(&have);
  return kp_status_at(status, NULL, NULL, info->name);
}

// --- one call ----------------------------------------------------------------------------------------------------------------------------
static kp_status* make_room(call* c) {
  c->inputs =
      c->input_count <= FEW ? c->few_inputs : kp_alloc_zero(c->input_count, sizeof(*c->inputs));
  c->outputs =
      c->output_count <= FEW ? c->few_outputs : kp_alloc_zero(c->output_count, sizeof(*c->outputs));
  c->wanted =
      c->output_count <= FEW ? c->few_wanted : kp_alloc_zero(c->output_count, sizeof(*c->wanted));
  c->position = c->output_count <= FEW ? c->few_position
                                       : kp_alloc_zero(c->output_count, sizeof(*c->position));
  const uint32_t entries = c->session->core->chain->count;
  c->entries = entries <= FEW ? c->few_entries : kp_alloc_zero(entries, sizeof(*c->entries));
  c->counters.entries = c->entries;
  return c->inputs && c->outputs && c->wanted && c->position && c->entries
             ? NULL
             : KP_ERROR(OUT_OF_MEMORY, "a run");
}

static void free_room(call* c) {
  if (c->inputs != c->few_inputs) kp_free(c->inputs);
  if (c->outputs != c->few_outputs) kp_free(c->outputs);
  if (c->wanted != c->few_wanted) kp_free(c->wanted);
  if (c->position != c->few_position) kp_free(c->position);
  if (c->aliases != c->few_aliases) kp_free(c->aliases);
  if (c->entries != c->few_entries) kp_free(c->entries);
}

static kp_status* take_inputs(call* c, const char* const* names, kapell_value* const* values,
                              size_t count) {
  kapell_session* s = c->session;
  const size_t all = s->input_count + s->overridable_count;
  bool replaces = false;
  for (size_t i = 0; i < count; ++i) {
    if (names && !names[i]) return KP_ERROR(INVALID_ARGUMENT, "input_names[%zu] is NULL", i);
    const size_t at = names ? find_name(s->inputs, all, names[i], i) : i;
    if (at >= all) {
      if (names) return unknown_name("input", s->inputs, all, names[i]);
      return KP_ERROR(INVALID_INPUT, "%zu inputs are given; the model has %zu", count,
                      s->input_count);
    }
    KP_PASS(check_input(&s->inputs[at], values[i]));
    if (c->inputs[at])
      return KP_ERROR(INVALID_INPUT, "input '%s' is given twice", s->inputs[at].name);
    c->inputs[at] = values[i];
    replaces = replaces || at >= s->input_count;
  }
  for (size_t i = 0; i < s->input_count; ++i) {
    if (c->inputs[i]) continue;
    kp_status* status = KP_ERROR(INVALID_INPUT, "input '%s' is missing", s->inputs[i].name);
    return kp_status_at(status, NULL, NULL, s->inputs[i].name);
  }
  c->core = s->core;
  return replaces ? kp_session_overridable(s, &c->core) : NULL;
}

// With replaced initializers the core's inputs are the model's, in the graph's order; those not replaced keep their defaults.
static kp_status* arrange_overridable(call* c) {
  if (c->core == c->session->core) return NULL;
  const kp_graph* graph = c->core->model->graph;
  kapell_value** arranged =
      kp_alloc_zero((size_t)graph->input_count + graph->overridable_count + 1, sizeof(*arranged));
  if (!arranged) return KP_ERROR(OUT_OF_MEMORY, "a run");
  for (uint32_t i = 0; i < graph->input_count + graph->overridable_count; ++i) {
    const bool real = i < graph->input_count;
    const kp_value_id id = real ? graph->inputs[i] : graph->overridable[i - graph->input_count];
    const size_t at =
        find_name(c->session->inputs, c->session->input_count + c->session->overridable_count,
                  graph->values[id].name, i);
    arranged[i] = at != SIZE_MAX && c->inputs[at] ? c->inputs[at]
                  : real                          ? NULL
                                                  : graph->defaults[i - graph->input_count];
  }
  if (c->inputs != c->few_inputs) kp_free(c->inputs);
  c->inputs = arranged;
  return NULL;
}

static kp_status* take_outputs(call* c, const char* const* names, kapell_value** values,
                               size_t count) {
  kapell_session* s = c->session;
  if (!names && count > s->output_count)
    return KP_ERROR(INVALID_ARGUMENT, "%zu outputs are asked for; the model has %zu", count,
                    s->output_count);
  for (size_t i = 0; i < count; ++i) {
    if (names && !names[i]) return KP_ERROR(INVALID_ARGUMENT, "output_names[%zu] is NULL", i);
    const size_t at = names ? find_name(s->outputs, s->output_count, names[i], i) : i;
    if (at == SIZE_MAX) return unknown_name("output", s->outputs, s->output_count, names[i]);
    if (c->wanted[at])
      return KP_ERROR(INVALID_ARGUMENT, "output '%s' is asked for twice", s->outputs[at].name);
    c->wanted[at] = true;
    c->position[at] = (uint32_t)i;
    c->outputs[at] = values[i];
  }
  return NULL;
}

// Results must not be written over what is still to be read. An output that lies exactly where an input lies may be written in place if
// the plan allows; one that shares memory otherwise is computed apart and copied at the end.
static bool overlaps(const kapell_value* a, const kapell_value* b) {
  if (!a || !b || a->kind != KAPELL_KIND_TENSOR || b->kind != KAPELL_KIND_TENSOR) return false;
  const char *x = a->data, *y = b->data;
  return x && y && x < y + b->byte_count && y < x + a->byte_count;
}

static bool same_tensor(const kapell_value* a, const kapell_value* b) {
  bool same = a->kind == b->kind && a->type == b->type && a->rank == b->rank &&
              a->kind == KAPELL_KIND_TENSOR;
  for (int32_t d = 0; same && d < a->rank; ++d) same = a->dims[d] == b->dims[d];
  return same;
}

static kp_status* note_alias(call* c, size_t output, size_t input) {
  if (!c->aliases) {
    c->aliases = c->output_count <= FEW ? c->few_aliases
                                        : kp_alloc_zero(c->output_count, sizeof(*c->aliases));
    if (!c->aliases) return KP_ERROR(OUT_OF_MEMORY, "a run");
    memset(c->aliases, 0xff, c->output_count * sizeof(*c->aliases));
  }
  c->aliases[output] = (uint32_t)input;
  return NULL;
}

// The one input that |output| overlaps if it has its place and shape, SIZE_MAX if it overlaps otherwise; false if it overlaps none.
static bool shared_input(const call* c, const kapell_value* output, size_t* out_input) {
  bool shared = false;
  for (size_t i = 0; i < c->input_count; ++i) {
    if (!overlaps(output, c->inputs[i])) continue;
    const bool exact =
        !shared && output->data == c->inputs[i]->data && same_tensor(output, c->inputs[i]);
    *out_input = exact ? i : SIZE_MAX;
    shared = true;
  }
  return shared;
}

static kp_status* part_overlaps(call* c) {
  for (size_t k = 0; k < c->output_count; ++k) {
    size_t input = SIZE_MAX;
    bool apart = c->outputs[k] && shared_input(c, c->outputs[k], &input);
    // Replaced initializers make another plan, whose inputs are others.
    if (apart && input != SIZE_MAX && c->core == c->session->core) {
      KP_PASS(note_alias(c, k, input));
      apart = false;
    }
    for (size_t o = 0; c->outputs[k] && o < k && !apart; ++o)
      apart = overlaps(c->outputs[k], c->outputs[o]);
    if (apart) c->outputs[k] = NULL;
  }
  return NULL;
}

// Copies an output that was computed apart into the value the caller bound.
static kp_status* join_output(const call* c, size_t k, kapell_value* bound) {
  kapell_value* made = c->outputs[k];
  if (!same_tensor(bound, made)) {
    kp_strbuf have = {0}, want = {0};
    kp_value_describe(bound, &have);
    kp_value_describe(made, &want);
    kp_status* status = KP_ERROR(
        INVALID_ARGUMENT, "output '%s' is bound to a value of %s; this run gives %s",
        c->session->outputs[k].name, have.data ? have.data : "?", want.data ? want.data : "?");
    kp_strbuf_free(&have);
    kp_strbuf_free(&want);
    return status;
  }
  if (made->byte_count) memmove(bound->data, made->data, made->byte_count);
  return NULL;
}

static kp_status* hand_out(call* c, kapell_value** values) {
  kp_status* status = NULL;
  for (size_t k = 0; k < c->output_count; ++k) {
    if (!c->wanted[k] || c->outputs[k] == values[c->position[k]]) continue;
    kapell_value* bound = values[c->position[k]];
    if (!bound) continue;
    if (!status) status = join_output(c, k, bound);
    kp_value_release(c->outputs[k]);
    c->outputs[k] = bound;
  }
  for (size_t k = 0; k < c->output_count; ++k) {
    if (!c->wanted[k] || values[c->position[k]]) continue;
    if (status) {
      kp_value_release(c->outputs[k]);
    } else {
      values[c->position[k]] = c->outputs[k];
    }
  }
  return status;
}

// --- counters -------------------------------------------------------------------------------------------------------------------------------
static bool has_failed(const call* c, size_t entry) {
  return entry < 64 && (c->failed >> entry & 1) != 0;
}

static void fill_user_counters(const call* c, const kp_status* status, uint64_t time_ns,
                               uint64_t failovers, kapell_counters* out) {
  const bool cancelled = kp_status_code(status) == KAPELL_CANCELLED;
  const uint32_t count = c->session->core->chain->count;
  kapell_counters all = {.struct_size = out->struct_size,
                         .runs = status == NULL,
                         .failed_runs = status && !cancelled,
                         .cancelled_runs = cancelled,
                         .shadow_runs = c->shadowed,
                         .shadow_alarms = c->alarm,
                         .failovers = failovers,
                         .time_ns = time_ns,
                         .copies = c->counters.copies,
                         .copied_bytes = c->counters.copied_bytes,
                         .signature_hits = c->counters.signature_hits,
                         .signature_misses = c->counters.signature_misses,
                         .peak_bytes = c->counters.peak_bytes,
                         .providers = thread_counters,
                         .provider_count = count < KP_COUNT_OF(thread_counters)
                                               ? count
                                               : KP_COUNT_OF(thread_counters)};
  for (size_t e = 0; e < all.provider_count; ++e)
    thread_counters[e] = (kapell_provider_counters){.provider = c->session->entries[e].provider,
                                                    .runs = c->entries[e].units > 0,
                                                    .nodes = c->entries[e].nodes,
                                                    .time_ns = c->entries[e].time_ns,
                                                    .failures = has_failed(c, e),
                                                    .bytes = c->entries[e].bytes};
  memcpy(out, &all, kp_min_size(out->struct_size, sizeof(all)));
}

static void add_totals(const call* c, const kp_status* status, uint64_t time_ns,
                       uint64_t failovers) {
  kapell_session* s = c->session;
  pthread_mutex_lock(&s->lock);
  kapell_counters* t = &s->totals;
  t->runs += status == NULL;
  t->cancelled_runs += kp_status_code(status) == KAPELL_CANCELLED;
  t->failed_runs += status != NULL && kp_status_code(status) != KAPELL_CANCELLED;
  t->failovers += failovers;
  t->shadow_runs += c->shadowed;
  t->shadow_alarms += c->alarm;
  t->time_ns += time_ns;
  t->copies += c->counters.copies;
  t->copied_bytes += c->counters.copied_bytes;
  t->signature_hits += c->counters.signature_hits;
  t->signature_misses += c->counters.signature_misses;
  if (c->counters.peak_bytes > t->peak_bytes) t->peak_bytes = c->counters.peak_bytes;
  for (uint32_t e = 0; e < s->core->chain->count; ++e) {
    s->entries[e].runs += c->entries[e].units > 0;
    s->entries[e].nodes += c->entries[e].nodes;
    s->entries[e].time_ns += c->entries[e].time_ns;
    s->entries[e].bytes += c->entries[e].bytes;
    s->entries[e].failures += has_failed(c, e);
  }
  pthread_mutex_unlock(&s->lock);
}

void kapell_session_counters(const kapell_session* session, kapell_counters* counters) {
  kapell_session* s = (kapell_session*)(uintptr_t)session;
  if (!counters || counters->struct_size < sizeof(size_t)) return;
  pthread_mutex_lock(&s->lock);
  kapell_counters all = s->totals;
  const uint32_t count = s->core->chain->count;
  all.struct_size = counters->struct_size;
  all.provider_count = count < KP_COUNT_OF(thread_counters) ? count : KP_COUNT_OF(thread_counters);
  all.providers = thread_counters;
  memcpy(thread_counters, s->entries, all.provider_count * sizeof(*s->entries));
  pthread_mutex_unlock(&s->lock);
  memcpy(counters, &all, kp_min_size(counters->struct_size, sizeof(all)));
}

// --- running ----------------------------------------------------------------------------------------------------------------------------------
typedef struct run_limits {
  const volatile int* cancel;
  uint64_t deadline_ns;
  uint64_t max_iterations;
  int width;
  bool free_memory;
  kp_profile* profile;  // the session's or the run's own; NULL: none
  kp_run_info info;
} run_limits;

static kp_status* read_limits(const kapell_session* session, const kapell_run_options* options,
                              run_limits* out) {
  static const volatile int never = 0;
  kapell_run_options o = KAPELL_RUN_OPTIONS_INIT;
  if (options && options->struct_size < sizeof(size_t))
    return KP_ERROR(INVALID_ARGUMENT,
                    "run options: struct_size is %zu; start from KAPELL_RUN_OPTIONS_INIT",
                    options->struct_size);
  if (options) memcpy(&o, options, kp_min_size(options->struct_size, sizeof(o)));
  const uint64_t timeout = o.timeout_ns ? o.timeout_ns : session->options.run_timeout_ns;
  if (o.threads < 0) return KP_ERROR(INVALID_ARGUMENT, "run options: threads is %d", o.threads);
  out->cancel = o.cancel ? &o.cancel->requested : &never;
  out->deadline_ns = kp_deadline_in(timeout, 0);
  out->max_iterations = session->options.max_iterations;
  out->free_memory = o.free_memory;
  for (size_t i = 0; i < o.config_entry_count; ++i)
    if (!o.config_entries[i].key || !o.config_entries[i].value)
      return KP_ERROR(INVALID_ARGUMENT, "run options: config_entries[%zu] has no key or no value",
                      i);
  out->info = (kp_run_info){o.tag, (const kp_option*)o.config_entries, o.config_entry_count};
  out->profile = session->profile;
  out->width = o.threads && o.threads < session->core->width ? o.threads : session->core->width;
  return NULL;
}

// May the run be started again without the provider that failed?
static bool may_continue(const call* c, const kp_status* status, uint32_t failed_entry) {
  if (c->session->options.on_failure != KAPELL_ON_FAILURE_CONTINUE || failed_entry == KP_NONE)
    return false;
  if (kp_status_code(status) == KAPELL_CANCELLED) return false;
  return c->core->chain->entries[failed_entry].consent != KP_CONSENT_FLOOR;
}

// What to try when a provider failed and the policy is to stop.
static kp_status* with_advice(kp_status* status, const kp_chain_entry* entry) {
  if (!entry || entry->consent == KP_CONSENT_FLOOR || kp_status_code(status) == KAPELL_CANCELLED)
    return status;
  return kp_status_hint(status, "on_failure=continue starts such a run again without %s",
                        entry->short_name);
}

static kp_status* run_with_failover(call* c, const run_limits* limits, uint64_t* failovers) {
  kp_variant* variant = kp_core_current(c->core);
  for (;;) {
    kp_exec_args args = {.inputs = c->inputs,
                         .outputs = c->outputs,
                         .wanted = c->wanted,
                         .aliases = c->aliases,
                         .width = limits->width,
                         .cancel = limits->cancel,
                         .deadline_ns = limits->deadline_ns,
                         .max_iterations = limits->max_iterations,
                         .free_memory = limits->free_memory,
                         .info = limits->info,
                         .profile = limits->profile,
                         .counters = &c->counters};
    kp_status* status = kp_exec_run(variant->executor, &args);
    if (!status) return NULL;
    if (args.failed_entry < 64) c->failed |= UINT64_C(1) << args.failed_entry;
    const kp_chain_entry* entry =
        args.failed_entry != KP_NONE ? &c->core->chain->entries[args.failed_entry] : NULL;
    if (!may_continue(c, status, args.failed_entry)) return with_advice(status, entry);
    if (args.in_place)
      return kp_status_hint(status,
                            "the run is not started again without %s: outputs are bound to the "
                            "memory of inputs, which may have been overwritten",
                            entry->short_name);
    KP_LOG(WARNING, "%s failed in a run and is left out from now on: %s", entry->short_name,
           kp_status_message(status));
    kp_status* again = kp_core_exclude(c->core, args.failed_entry, &variant);
    if (again) {
      again = kp_status_frame(again, __FILE__, __LINE__, "placing the model again without %s",
                              entry->short_name);
      return kp_status_join(status, again);
    }
    kp_status_free(status);
    ++*failovers;
  }
}

// Runs within the session's limits.
static kp_status* run_within(call* c, const run_limits* limits, uint64_t* failovers) {
  const kp_budget* budget = c->session->budget;
  kp_bounds before;
  kp_limits_enter(&c->session->options, c->session->budget, limits->deadline_ns, &before);
  kp_status* status = run_with_failover(c, limits, failovers);
  (void)kp_bounds_enter(before);
  return kp_limits_explain(status, budget, limits->deadline_ns, kp_flag_is_set(limits->cancel));
}

// --- shadow -----------------------------------------------------------------------------------------------------------------------------------
static kp_exec_args shadow_args(const call* c, const run_limits* limits) {
  return (kp_exec_args){.inputs = c->inputs,
                        .outputs = c->outputs,
                        .wanted = c->wanted,
                        .width = limits ? limits->width : 1,
                        .cancel = limits ? limits->cancel : NULL,
                        .deadline_ns = limits ? limits->deadline_ns : 0,
                        .max_iterations = limits ? limits->max_iterations : 0};
}

static void shadow_run(call* c, const run_limits* limits) {
  const kp_exec_args args = shadow_args(c, limits);
  c->shadowed = true;
  c->shadow_failure = kp_shadow_run(c->session, &args, c->output_count, &c->shadow_outputs);
}

static bool shadow_compare(const call* c) {
  const kp_exec_args args = shadow_args(c, NULL);
  return kp_shadow_compare(c->session, &args, c->output_count, c->shadow_outputs,
                           c->shadow_failure);
}

static void shadow_end(call* c) {
  kp_status_ignore(c->shadow_failure);
  kp_shadow_release(c->shadow_outputs, c->output_count);
}

// Runs, and counts what was done.
static kp_status* run_counted(call* c, const kapell_run_options* options,
                              const run_limits* limits) {
  const uint64_t start = kp_clock_ns();
  uint64_t failovers = 0;
  kp_status* status = run_within(c, limits, &failovers);
  const uint64_t time_ns = kp_clock_ns() - start;
  if (c->shadowed && !status) c->alarm = shadow_compare(c);
  add_totals(c, status, time_ns, failovers);
  if (options && options->struct_size > offsetof(kapell_run_options, counters) && options->counters)
    fill_user_counters(c, status, time_ns, failovers, options->counters);
  return status;
}

// The same with a profile of its own, where the options ask for one.
static kp_status* run_told(call* c, const kapell_run_options* options, run_limits* limits) {
  const bool knows = options && options->struct_size >= sizeof(*options);
  if (!knows || !options->profile) return run_counted(c, options, limits);
  KP_PASS(kp_profile_create(c->core->model, &limits->profile));
  kp_status* status = run_counted(c, options, limits);
  kp_profile_visit(limits->profile, options->profile, options->profile_user);
  kp_profile_free(limits->profile);
  return status;
}

static kp_status* run_call(call* c, const kapell_run_options* options,
                           const char* const* input_names, kapell_value* const* inputs,
                           size_t input_count, const char* const* output_names,
                           kapell_value** outputs, size_t output_count) {
  run_limits limits = {0};
  KP_PASS(make_room(c));
  KP_PASS(take_inputs(c, input_names, inputs, input_count));
  KP_PASS(take_outputs(c, output_names, outputs, output_count));
  KP_PASS(read_limits(c->session, options, &limits));
  KP_PASS(part_overlaps(c));
  KP_PASS(arrange_overridable(c));
  if (c->core == c->session->core && kp_shadow_due(c->session)) {
    shadow_run(c, &limits);
    KP_PASS(read_limits(c->session, options, &limits));  // the CPU's time is not the run's
  }
  kp_status* status = run_told(c, options, &limits);
  shadow_end(c);
  return status ? status : hand_out(c, outputs);
}

kapell_status* kapell_session_run(kapell_session* session, const kapell_run_options* options,
                                  const char* const* input_names, kapell_value* const* inputs,
                                  size_t input_count, const char* const* output_names,
                                  kapell_value** outputs, size_t output_count) {
  if (!session || (input_count && !inputs) || (output_count && !outputs))
    return KP_ERROR(INVALID_ARGUMENT, "a NULL was given for session, inputs or outputs");
  call c = {.session = session,
            .input_count = session->input_count + session->overridable_count,
            .output_count = session->output_count};
  kp_status* status =
      run_call(&c, options, input_names, inputs, input_count, output_names, outputs, output_count);
  free_room(&c);
  return status;
}
