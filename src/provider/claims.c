// Claims and refusals of one capability question: checked as they are made, so that plan/ can trust them whichever provider
// answered. Neighbours: provider.h (what providers call), plan/ (which asks and reads).
#include "provider/claims.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"

#define MAX_WORDS 1024  // bytes of one refusal: a log line of an engine must not become the report

kp_status* kp_claims_init(kp_claims* claims, const kp_graph* graph, const bool* offered,
                          kp_arena* arena) {
  *claims = (kp_claims){.graph = graph, .arena = arena, .offered = offered};
  claims->claim_of = kp_arena_new_array(arena, uint32_t, graph->node_count);
  claims->refusal_of = kp_arena_new_array(arena, uint32_t, graph->node_count);
  if (!claims->claim_of || !claims->refusal_of)
    return KP_ERROR(OUT_OF_MEMORY, "claims on %u nodes", graph->node_count);
  memset(claims->claim_of, 0xff, sizeof(uint32_t) * graph->node_count);
  memset(claims->refusal_of, 0xff, sizeof(uint32_t) * graph->node_count);
  return NULL;
}

static bool is_offered(const kp_claims* claims, kp_node_id node) {
  return node < claims->graph->node_count && !claims->graph->nodes[node].removed &&
         (!claims->offered || claims->offered[node]);
}

bool kp_claims_is_free(const kp_claims* claims, kp_node_id node) {
  return is_offered(claims, node) && claims->claim_of[node] == KP_NONE;
}

// Room for one more entry in an array that grows inside the arena (what it grew out of stays there until the arena goes).
static void* grow(kp_arena* arena, void* old, uint32_t count, uint32_t* capacity,
                  size_t element_size) {
  if (count < *capacity) return old;
  const uint32_t wanted = *capacity ? *capacity * 2 : 8;
  if (wanted < *capacity) return NULL;
  void* fresh = kp_arena_array(arena, wanted, element_size);
  if (!fresh) return NULL;
  if (count) memcpy(fresh, old, count * element_size);
  *capacity = wanted;
  return fresh;
}

static kp_status* check_claim(kp_claims* claims, const kp_claim* claim) {
  if (claim->count == 0) return KP_ERROR(INVALID_ARGUMENT, "a claim of no nodes");
  for (uint32_t i = 0; i < claim->count; ++i) {
    const kp_node_id node = claim->nodes[i];
    if (node >= claims->graph->node_count)
      return KP_ERROR(INVALID_ARGUMENT, "a claim of node %u of %u", node,
                      claims->graph->node_count);
    const kp_node* place = &claims->graph->nodes[node];
    if (!is_offered(claims, node))
      return kp_status_at(
          KP_ERROR(INVALID_ARGUMENT, "node '%s' is not free to be claimed", place->name),
          place->name, place->op, NULL);
    if (claims->claim_of[node] != KP_NONE)
      return kp_status_at(KP_ERROR(INVALID_ARGUMENT, "node '%s' is claimed twice", place->name),
                          place->name, place->op, NULL);
    claims->claim_of[node] =
        claims
            ->claim_count;  // taken back by the caller on an error: finds doubles within the claim too
  }
  for (uint32_t i = 0; i < claim->exception_count; ++i)
    if (claim->exceptions[i].value >= claims->graph->value_count)
      return KP_ERROR(INVALID_ARGUMENT, "a claim on value %u of %u", claim->exceptions[i].value,
                      claims->graph->value_count);
  return NULL;
}

static kp_status* copy_claim(kp_claims* claims, const kp_claim* claim) {
  kp_claim* array = grow(claims->arena, claims->claims, claims->claim_count,
                         &claims->claim_capacity, sizeof *array);
  if (!array) return KP_ERROR(OUT_OF_MEMORY, "claim %u", claims->claim_count);
  claims->claims = array;
  kp_claim copy = *claim;
  copy.nodes = kp_arena_memdup(claims->arena, claim->nodes, sizeof *claim->nodes * claim->count);
  if (!copy.nodes) return KP_ERROR(OUT_OF_MEMORY, "claim of %u nodes", claim->count);
  if (claim->exception_count) {
    copy.exceptions = kp_arena_memdup(claims->arena, claim->exceptions,
                                      sizeof *claim->exceptions * claim->exception_count);
    if (!copy.exceptions)
      return KP_ERROR(OUT_OF_MEMORY, "claim with %u exceptions", claim->exception_count);
  }
  array[claims->claim_count++] = copy;
  claims->claimed_node_count += copy.count;
  return NULL;
}

kp_status* kp_claims_add(kp_claims* claims, const kp_claim* claim) {
  const uint32_t index = claims->claim_count;
  kp_status* status = check_claim(claims, claim);
  if (!status) status = copy_claim(claims, claim);
  if (status) {
    for (uint32_t i = 0; i < claim->count; ++i) {
      const kp_node_id node = claim->nodes[i];
      if (node < claims->graph->node_count && claims->claim_of[node] == index)
        claims->claim_of[node] = KP_NONE;
    }
  }
  return status;
}

// One line without control characters at its ends or within: words may be an engine's log.
static void clean_words(char* text) {
  for (char* at = text; *at; ++at)
    if ((unsigned char)*at < ' ') *at = ' ';
  size_t length = strlen(text);
  while (length && (text[length - 1] == ' ' || text[length - 1] == '.')) text[--length] = 0;
}

void kp_claims_refuse(kp_claims* claims, kp_node_id node, kp_reason_source source,
                      const char* format, ...) {
  if (!is_offered(claims, node)) return;
  const uint32_t earlier = claims->refusal_of[node];
  if (earlier != KP_NONE && claims->refusals[earlier].source <= source)
    return;  // the better founded, then the first, stays
  char text[MAX_WORDS];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  clean_words(text);
  const char* words = kp_arena_strndup(claims->arena, text, strlen(text));
  const kp_refusal refusal = {
      .node = node, .source = source, .words = words ? words : "(no memory for the reason)"};
  if (earlier != KP_NONE) {
    claims->refusals[earlier] = refusal;
    return;
  }
  kp_refusal* array = grow(claims->arena, claims->refusals, claims->refusal_count,
                           &claims->refusal_capacity, sizeof *array);
  if (!array) return;
  claims->refusals = array;
  claims->refusal_of[node] = claims->refusal_count;
  array[claims->refusal_count++] = refusal;
}

kp_status* kp_claims_close(kp_claims* claims, const char* provider) {
  for (kp_node_id node = 0; node < claims->graph->node_count; ++node) {
    if (claims->claim_of[node] != KP_NONE) {
      claims->refusal_of[node] = KP_NONE;
      continue;
    }
    if (!is_offered(claims, node) || claims->refusal_of[node] != KP_NONE) continue;
    kp_claims_refuse(claims, node, KP_SOURCE_NONE, "%s did not take it and gives no reason",
                     provider);
    if (claims->refusal_of[node] == KP_NONE)
      return KP_ERROR(OUT_OF_MEMORY, "refusal %u", claims->refusal_count);
  }
  return NULL;
}
