// What a session's work may use: the options made whole, and errors in the words of the limit that was reached.
#ifndef KP_API_LIMITS_H_
#define KP_API_LIMITS_H_

#include "base/budget.h"
#include "base/status.h"
#include "kapell/kapell.h"

// Gives every limit its value: the mode's default where it is 0; 0 afterwards means none.
void kp_limits_complete(kapell_options* options);

// Enters the bounds of work for a session with |options|; the caller leaves it by entering *out_before again.
void kp_limits_enter(const kapell_options* options, kp_budget* budget, uint64_t deadline_ns,
                     kp_bounds* out_before);
// The budget's refusal behind an OUT_OF_MEMORY becomes LIMIT, the deadline behind a CANCELLED that nobody asked for (|cancelled|)
// TIMEOUT; anything else stays. Takes and returns |status|.
KP_MUST_USE kp_status* kp_limits_explain(kp_status* status, const kp_budget* budget,
                                         uint64_t deadline_ns, bool cancelled);

#endif  // KP_API_LIMITS_H_
