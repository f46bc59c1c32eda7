// One in N runs computed on the CPU as well (kapell_options.shadow_every). The CPU goes first: inputs may be overwritten by outputs.
#ifndef KP_API_SHADOW_H_
#define KP_API_SHADOW_H_

#include "api/session.h"

// Opens the model on the CPU, where the session's options ask for it.
KP_MUST_USE kp_status* kp_shadow_open(kapell_session* session);
// Whether the run that begins now is one of those; each call is a run.
bool kp_shadow_due(kapell_session* session);
// Runs the model on the CPU as |run| says; *out_outputs in every case for kp_shadow_release.
KP_MUST_USE kp_status* kp_shadow_run(kapell_session* session, const kp_exec_args* run,
                                     size_t output_count, kapell_value*** out_outputs);
// Compares |run|'s outputs with the |reference|'s, or reports that it |failure|d; calls the program. True: an alarm.
bool kp_shadow_compare(kapell_session* session, const kp_exec_args* run, size_t output_count,
                       kapell_value** reference, const kp_status* failure);
void kp_shadow_release(kapell_value** outputs, size_t count);

#endif  // KP_API_SHADOW_H_
