// The placement report: who runs each node of the user's file, why not somebody before, what was copied; as a struct, JSON and text.
#ifndef KP_PLAN_REPORT_H_
#define KP_PLAN_REPORT_H_

#include "kapell/kapell.h"
#include "plan/plan.h"

// Builds the report of |set| in |arena|; it borrows words from the set and the chain, which must outlive it.
KP_MUST_USE kp_status* kp_report_build(const kp_plan_set* set, kp_arena* arena,
                                       kapell_placement** out_placement);
void kp_report_json(const kapell_placement* placement, kp_strbuf* out);
void kp_report_text(const kapell_placement* placement, kp_strbuf* out);

// Appends why |entry| does not run nodes, grouped: "14 x Pad: mode=reflect has no kernel; 2 x Foo: unknown operator". At most
// |most| groups, the largest first. Nothing where it refused nothing.
KP_MUST_USE kp_status* kp_report_reasons(const kp_plan_set* set, uint32_t entry, size_t most,
                                         kp_strbuf* out);

#endif  // KP_PLAN_REPORT_H_
