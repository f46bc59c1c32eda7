// What a provider answered to one capability question, as plan/ reads it. Providers themselves see only the three functions of
// provider.h (kp_claims_add, kp_claims_refuse, kp_claims_is_free).
//
// plan/ makes one kp_claims a question: init with the mask of nodes still free, type->capability, then close. Everything
// lies in the arena given to init and lives as long as that.
// Threads: one at a time.
#ifndef KP_PROVIDER_CLAIMS_H_
#define KP_PROVIDER_CLAIMS_H_

#include "base/arena.h"
#include "provider/provider.h"

typedef struct kp_refusal {
  kp_node_id node;
  kp_reason_source source;
  const char* words;  // never NULL; one line, no full stop
} kp_refusal;

struct kp_claims {
  const kp_graph* graph;  // the graph asked about; borrowed
  kp_arena* arena;        // borrowed
  const bool*
      offered;  // node_count entries: the mask given to init; borrowed for the question; NULL = every node not removed
  uint32_t* claim_of;  // node_count entries: index into |claims|, or KP_NONE
  uint32_t*
      refusal_of;    // node_count entries: index into |refusals|, or KP_NONE; at most one a node
  kp_claim* claims;  // in the order they were made; arrays inside are the claims' own copies
  uint32_t claim_count, claim_capacity;
  kp_refusal* refusals;  // in the order they were made
  uint32_t refusal_count, refusal_capacity;
  uint32_t claimed_node_count;
  // Who has a node that is not offered: a canonical name, or NULL. May be NULL where nobody asks.
  const char* (*owner)(const void* user, kp_node_id node);
  const void* user;
};

// Readies |claims| for a question about |graph|. |offered| (node_count entries, NULL = all): nodes that may be claimed.
// Errors: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_claims_init(kp_claims* claims, const kp_graph* graph, const bool* offered,
                                      kp_arena* arena);

// After capability: a node that was offered and is neither claimed nor refused gets a refusal with source NONE, and a refusal
// of a node that was claimed after all is forgotten (refusal_of = KP_NONE). So every offered node has exactly one of the two.
// Errors: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_claims_close(kp_claims* claims, const char* provider);

#endif  // KP_PROVIDER_CLAIMS_H_
