// The shadow check: a run computed a second time on the CPU alone, and what became of the outputs compared.
#include "api/shadow.h"

#include "api/limits.h"
#include "base/alloc.h"
#include "base/log.h"

#define DEFAULT_ATOL 1e-4
#define DEFAULT_RTOL 1e-3

kp_status* kp_shadow_open(kapell_session* session) {
  if (!session->options.shadow_every) return NULL;
  const kp_core_options options = {.user = &session->options,
                                   .path = session->path,
                                   .bytes = session->bytes,
                                   .byte_count = session->byte_count,
                                   .borrow_bytes = true,
                                   .reference = true};
  KP_TRY(kp_core_open(&options, &session->shadow), "opening the model on the CPU for shadow_every");
  return NULL;
}

bool kp_shadow_due(kapell_session* session) {
  if (KP_LIKELY(!session->shadow)) return false;
  return __atomic_fetch_add(&session->shadow_turn, 1, __ATOMIC_RELAXED) %
             session->options.shadow_every ==
         0;
}

kp_status* kp_shadow_run(kapell_session* session, const kp_exec_args* run, size_t output_count,
                         kapell_value*** out_outputs) {
  kp_entry_counters entries[2] = {0};  // the chain is the CPU's alone
  kp_run_counters counters = {.entries = entries};
  kapell_value** outputs = kp_alloc_zero(output_count + 1, sizeof(*outputs));
  *out_outputs = outputs;
  if (!outputs) return KP_ERROR(OUT_OF_MEMORY, "a shadow check");
  kp_exec_args args = {.inputs = run->inputs,
                       .outputs = outputs,
                       .wanted = run->wanted,
                       .width = run->width,
                       .cancel = run->cancel,
                       .deadline_ns = run->deadline_ns,
                       .max_iterations = run->max_iterations,
                       .counters = &counters};
  kp_bounds before;
  kp_limits_enter(&session->options, session->budget, run->deadline_ns, &before);
  kp_status* status = kp_exec_run(kp_core_current(session->shadow)->executor, &args);
  (void)kp_bounds_enter(before);
  return status;
}

// Says it in the log, where the program has no callback.
static void log_report(const kapell_shadow_report* report) {
  if (!report->alarm) return;
  if (report->failure)
    KP_LOG(WARNING, "shadow check of run %llu: the CPU failed: %s", (unsigned long long)report->run,
           report->failure);
  for (size_t i = 0; i < report->output_count; ++i) {
    const kapell_difference* d = &report->outputs[i].difference;
    if (!report->outputs[i].alarm) continue;
    if (!d->comparable)
      KP_LOG(WARNING, "shadow check of run %llu: output '%s' has another type or shape on the CPU",
             (unsigned long long)report->run, report->outputs[i].name);
    else
      KP_LOG(WARNING,
             "shadow check of run %llu: output '%s' departs from the CPU's by %g at the most, %zu "
             "of %zu elements are out of tolerance; 'kapell check --accuracy' finds the first node",
             (unsigned long long)report->run, report->outputs[i].name, d->most, d->wrong, d->count);
  }
}

static void compare_output(const kapell_session* session, const char* name,
                           const kapell_value* value, const kapell_value* expected,
                           kapell_shadow_output* out) {
  const kapell_options* o = &session->options;
  *out =
      (kapell_shadow_output){.name = name, .difference = {.struct_size = sizeof(out->difference)}};
  kapell_value_difference(value, expected, o->shadow_atol > 0 ? o->shadow_atol : DEFAULT_ATOL,
                          o->shadow_rtol > 0 ? o->shadow_rtol : DEFAULT_RTOL, &out->difference);
  // An optional value without an element is nothing on both sides.
  out->alarm = (value || expected) && (!out->difference.comparable || out->difference.wrong);
}

bool kp_shadow_compare(kapell_session* session, const kp_exec_args* run, size_t output_count,
                       kapell_value** reference, const kp_status* failure) {
  kapell_shadow_report report = {.struct_size = sizeof(report),
                                 .run = __atomic_load_n(&session->shadow_turn, __ATOMIC_RELAXED),
                                 .alarm = failure != NULL,
                                 .failure = failure ? kp_status_message(failure) : NULL};
  kapell_shadow_output* outputs = kp_alloc_zero(output_count + 1, sizeof(*outputs));
  for (size_t k = 0; outputs && !failure && k < output_count; ++k) {
    if (run->wanted && !run->wanted[k]) continue;
    kapell_shadow_output* out = &outputs[report.output_count++];
    compare_output(session, session->outputs[k].name, run->outputs[k], reference[k], out);
    report.alarm = report.alarm || out->alarm;
  }
  report.outputs = outputs;
  if (session->options.shadow)
    session->options.shadow(session->options.shadow_user, &report);
  else
    log_report(&report);
  kp_free(outputs);
  return report.alarm;
}

void kp_shadow_release(kapell_value** outputs, size_t count) {
  for (size_t k = 0; outputs && k < count; ++k) kp_value_release(outputs[k]);
  kp_free(outputs);
}
