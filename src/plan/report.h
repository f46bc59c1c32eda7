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

// Parts of kp_report_build: the copies (report_copies.c), and what the providers fused (report_fused.c).
KP_MUST_USE kp_status* kp_report_copies(const kp_plan_set* set, kp_arena* arena,
                                        kapell_placement* placement);
KP_MUST_USE kp_status* kp_report_fused(const kp_plan_set* set, kapell_placed_node* nodes);
// Bytes that a copy step moves in one run, with symbolic dimensions taken as 1 (*out_exact false) and -1 where nothing is known. The
// node that it is made for; KP_NONE: an output.
int64_t kp_plan_copy_bytes(const kp_plan* plan, const kp_step* step, bool* out_exact);
kp_node_id kp_plan_copy_reader(const kp_plan* plan, uint32_t step);

// The edges of |pristine|, the same model as it was built and before any rewrite. One allocation, texts included: kp_free it.
KP_MUST_USE kp_status* kp_report_edges(const kp_model* pristine, kapell_placed_edge** out_edges,
                                       size_t* out_count);

// Appends why |entry| does not run nodes, grouped: "14 x Pad: mode=reflect has no kernel (p1, p2, p3, ...); 2 x Foo: unknown operator". At most
// |most| groups, the largest first. Nothing where it refused nothing.
KP_MUST_USE kp_status* kp_report_reasons(const kp_plan_set* set, uint32_t entry, size_t most,
                                         kp_strbuf* out);

#endif  // KP_PLAN_REPORT_H_
