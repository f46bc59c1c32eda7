// The profile: events of a session's runs, written as Chrome trace JSON (chrome://tracing, Perfetto).
//
// Threads: events may be added from any. Strings of an event must live as long as the session, shapes are copied.
#ifndef KP_EXEC_PROFILE_H_
#define KP_EXEC_PROFILE_H_

#include "kapell/kapell.h"
#include "provider/provider.h"

KP_MUST_USE kp_status* kp_profile_create(const kp_model* model, kp_profile** out_profile);
void kp_profile_free(kp_profile* profile);
// The trace: {"traceEvents": [...]}; each event carries provider, kernel, nodes of the file, shapes, FLOPs and bytes.
void kp_profile_json(kp_profile* profile, kp_strbuf* out);
// kapell_session_profile_visit; |profile| may be NULL.
void kp_profile_visit(kp_profile* profile,
                      void (*visit)(void* user, const kapell_profile_event* event), void* user);

#endif  // KP_EXEC_PROFILE_H_
