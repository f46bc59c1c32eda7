// Runs: values of the client's to Kapell's and back.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "dropin/session.h"
#include "ort/lora.h"

#define FEW 16  // values that need no allocation

// The two arrays of one run.
typedef struct run_values {
  kapell_value *few_inputs[FEW], *few_outputs[FEW];
  kapell_value **inputs, **outputs;
} run_values;

static OrtStatus* make_room(run_values* v, size_t input_count, size_t output_count) {
  v->inputs = input_count <= FEW ? v->few_inputs : kp_alloc_array(input_count, sizeof(*v->inputs));
  v->outputs =
      output_count <= FEW ? v->few_outputs : kp_alloc_array(output_count, sizeof(*v->outputs));
  return v->inputs && v->outputs ? NULL : kp_ort_no_memory();
}

static void free_room(run_values* v) {
  if (v->inputs != v->few_inputs) kp_free(v->inputs);
  if (v->outputs != v->few_outputs) kp_free(v->outputs);
}

static OrtStatus* take(const OrtValue* value, const char* what, const char* name,
                       kapell_value** out) {
  if (!value)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "NULL %s supplied for %s %s", what, what,
                        name ? name : "");
  if (!value->value)
    return kp_ort_error(ORT_NOT_IMPLEMENTED, "%s %s is an opaque value, which no operator takes",
                        what, name ? name : "");
  if (!kp_ort_info_is_host(value->info))
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "There's no data transfer registered for copying tensors from %s: no "
                        "provider of this session has "
                        "such memory (%s %s)",
                        value->info->name, what, name ? name : "");
  if (value->sparse && value->sparse->format != ORT_SPARSE_COO &&
      value->sparse->format != ORT_SPARSE_CSRC)
    return kp_ort_error(ORT_NOT_IMPLEMENTED, "%s %s is a sparse tensor without COO or CSR indices",
                        what, name ? name : "");
  *out = value->value;
  return NULL;
}

// What is no tensor does not know its whole type, when empty: the session does.
static OrtStatus* declare(const kapell_session* session, const char* name, OrtValue* value) {
  const kapell_io_info* info = dropin_find_output(session, name);
  if (!info || info->type->kind == KAPELL_KIND_NONE || info->type->kind == KAPELL_KIND_OPTIONAL)
    return NULL;
  return kp_ort_type_info_from(info->type, &value->declared);
}

// Turns what the run made into values of the client's. On an error none of them stays.
static OrtStatus* give(const kapell_session* session, kapell_value** made, const char* const* names,
                       OrtValue** outputs, size_t count) {
  OrtStatus* status = NULL;
  bool fresh[FEW] = {false};
  bool* is_fresh = count <= FEW ? fresh : kp_alloc_zero(count, sizeof(*is_fresh));
  if (!is_fresh) status = kp_ort_no_memory();
  for (size_t i = 0; i < count; ++i) {
    if (outputs[i]) continue;
    if (status) {
      kp_value_release(made[i]);
    } else {
      const kapell_kind kind = made[i]->kind;
      status = kp_ort_value_wrap(made[i], &outputs[i]);
      is_fresh[i] = !status;
      if (!status && kind != KAPELL_KIND_TENSOR) status = declare(session, names[i], outputs[i]);
    }
  }
  for (size_t i = 0; status && is_fresh && i < count; ++i) {
    if (!is_fresh[i]) continue;
    ort_ReleaseValue(outputs[i]);
    outputs[i] = NULL;
  }
  if (is_fresh != fresh) kp_free(is_fresh);
  return status;
}

static OrtStatus* run_unique(OrtSession* session, const OrtRunOptions* run_options,
                             const char* const* input_names, const OrtValue* const* inputs,
                             size_t input_count, const char* const* output_names,
                             size_t output_count, OrtValue** outputs);

static OrtStatus* run_values_of(OrtSession* session, const kapell_run_options* options,
                                run_values* v, const char* const* input_names,
                                const OrtValue* const* inputs, size_t input_count,
                                const char* const* output_names, size_t output_count,
                                OrtValue** outputs, kapell_status** out_refused) {
  KP_ORT_PASS(make_room(v, input_count, output_count));
  for (size_t i = 0; i < input_count; ++i)
    KP_ORT_PASS(take(inputs[i], "input", input_names[i], &v->inputs[i]));
  for (size_t i = 0; i < output_count; ++i) {
    v->outputs[i] = NULL;
    if (outputs[i]) KP_ORT_PASS(take(outputs[i], "output", output_names[i], &v->outputs[i]));
  }
  *out_refused = kapell_session_run(session->session, options, input_names, v->inputs, input_count,
                                    output_names, v->outputs, output_count);
  if (*out_refused) return NULL;
  return give(session->session, v->outputs, output_names, outputs, output_count);
}

// The last place of |names[index]| that is not |index| itself, or |count|.
static size_t find_repeat(const char* const* names, size_t count, size_t index) {
  for (size_t i = count; i-- > 0;)
    if (i != index && names[i] && names[index] && strcmp(names[i], names[index]) == 0) return i;
  return count;
}

static bool has_repeats(const char* const* names, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (find_repeat(names, count, i) < count) return true;
  return false;
}

static OrtStatus* run(OrtSession* session, const OrtRunOptions* run_options,
                      const char* const* input_names, const OrtValue* const* inputs,
                      size_t input_count, const char* const* output_names, size_t output_count,
                      OrtValue** outputs) {
  run_values v;
  v.inputs = v.outputs = NULL;
  kapell_status* refused = NULL;
  dropin_run_settings settings;
  KP_ORT_PASS(dropin_run_settings_begin(session, run_options, &settings));
  OrtStatus* status = run_values_of(session, &settings.options, &v, input_names, inputs,
                                    input_count, output_names, output_count, outputs, &refused);
  const kapell_code code = refused ? kapell_status_code(refused) : KAPELL_OK;
  const bool repeats =
      (code == KAPELL_INVALID_ARGUMENT || code == KAPELL_INVALID_INPUT) &&
      (has_repeats(input_names, input_count) || has_repeats(output_names, output_count));
  if (refused && !repeats)
    status = dropin_explain_run(session, refused, input_names, v.inputs, input_count, output_names,
                                output_count);
  free_room(&v);
  dropin_run_settings_end(&settings);
  if (!repeats) return status;
  kapell_status_free(refused);
  return run_unique(session, run_options, input_names, inputs, input_count, output_names,
                    output_count, outputs);
}

// One run's arrays without names that come twice.
typedef struct unique_names {
  const char **inputs, **outputs;
  const OrtValue** given;
  OrtValue** made;
  size_t input_count, output_count;
} unique_names;

// Of inputs the last of a name counts; an output that is asked for again must not be bound.
static OrtStatus* find_unique(const char* const* input_names, const OrtValue* const* inputs,
                              size_t input_count, const char* const* output_names,
                              size_t output_count, OrtValue** outputs, unique_names* u) {
  u->inputs = kp_alloc_zero(input_count, sizeof(*u->inputs));
  u->given = kp_alloc_zero(input_count, sizeof(*u->given));
  u->outputs = kp_alloc_zero(output_count, sizeof(*u->outputs));
  u->made = kp_alloc_zero(output_count, sizeof(*u->made));
  if (!u->inputs || !u->given || !u->outputs || !u->made) return kp_ort_no_memory();
  for (size_t i = 0; i < input_count; ++i) {
    const size_t other = find_repeat(input_names, input_count, i);
    if (other < input_count && other > i) continue;
    u->inputs[u->input_count] = input_names[i];
    u->given[u->input_count++] = inputs[i];
  }
  for (size_t i = 0; i < output_count; ++i) {
    if (find_repeat(output_names, i + 1, i) < i) {
      if (!outputs[i]) continue;
      return kp_ort_error(ORT_INVALID_ARGUMENT, "output '%s' is wanted twice, and bound",
                          output_names[i]);
    }
    u->outputs[u->output_count] = output_names[i];
    u->made[u->output_count++] = outputs[i];
  }
  return NULL;
}

// Hands out what the run made, further handles on it for names that come again.
static OrtStatus* give_unique(const char* const* output_names, size_t output_count,
                              OrtValue** outputs, const unique_names* u) {
  for (size_t i = 0, k = 0; i < output_count; ++i)
    if (find_repeat(output_names, i + 1, i) > i) outputs[i] = u->made[k++];
  for (size_t i = 0; i < output_count; ++i)
    if (!outputs[i])
      KP_ORT_PASS(kp_ort_value_share(outputs[find_repeat(output_names, i + 1, i)], &outputs[i]));
  return NULL;
}

static OrtStatus* run_unique(OrtSession* session, const OrtRunOptions* run_options,
                             const char* const* input_names, const OrtValue* const* inputs,
                             size_t input_count, const char* const* output_names,
                             size_t output_count, OrtValue** outputs) {
  unique_names u = {0};
  OrtStatus* status =
      find_unique(input_names, inputs, input_count, output_names, output_count, outputs, &u);
  if (!status)
    status = run(session, run_options, u.inputs, u.given, u.input_count, u.outputs, u.output_count,
                 u.made);
  if (!status) status = give_unique(output_names, output_count, outputs, &u);
  kp_free((void*)(uintptr_t)u.inputs);
  kp_free((void*)(uintptr_t)u.given);
  kp_free((void*)(uintptr_t)u.outputs);
  kp_free(u.made);
  return status;
}

// The run's inputs, and behind them the parameters of its LoRA adapters.
static OrtStatus* run_adapted(OrtSession* session, const OrtRunOptions* run_options,
                              const char* const* input_names, const OrtValue* const* inputs,
                              size_t input_count, const char* const* output_names,
                              size_t output_count, OrtValue** outputs) {
  size_t count = input_count;
  for (size_t a = 0; a < run_options->adapter_count; ++a) count += run_options->adapters[a]->count;
  const char** names = kp_alloc_zero(count, sizeof *names);
  const OrtValue** values = kp_alloc_zero(count, sizeof *values);
  OrtStatus* status = names && values ? NULL : kp_ort_no_memory();
  size_t at = 0;
  for (; !status && at < input_count; ++at) {
    names[at] = input_names[at];
    values[at] = inputs[at];
  }
  for (size_t a = 0; !status && a < run_options->adapter_count; ++a)
    for (size_t i = 0; i < run_options->adapters[a]->count; ++i, ++at) {
      names[at] = run_options->adapters[a]->names[i];
      values[at] = run_options->adapters[a]->values[i];
    }
  if (!status)
    status = run(session, run_options, names, values, count, output_names, output_count, outputs);
  kp_free((void*)(uintptr_t)names);
  kp_free((void*)(uintptr_t)values);
  return status;
}

OrtStatus* dropin_run(OrtSession* session, const OrtRunOptions* run_options,
                      const char* const* input_names, const OrtValue* const* inputs,
                      size_t input_count, const char* const* output_names, size_t output_count,
                      OrtValue** outputs) {
  return (run_options && run_options->adapter_count ? run_adapted : run)(
      session, run_options, input_names, inputs, input_count, output_names, output_count, outputs);
}

OrtStatus* ort_Run(OrtSession* session, const OrtRunOptions* run_options,
                   const char* const* input_names, const OrtValue* const* inputs,
                   size_t input_count, const char* const* output_names, size_t output_count,
                   OrtValue** outputs) {
  KP_ORT_NEED(session);
  if (input_count && (!input_names || !inputs))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "Run: inputs are NULL");
  if (output_count && (!output_names || !outputs))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "Run: outputs are NULL");
  if (output_count == 0)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "At least one output should be requested.");
  return dropin_run(session, run_options, input_names, inputs, input_count, output_names,
                    output_count, outputs);
}
