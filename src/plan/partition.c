// Orders a placed graph and cuts it into parts: runs of nodes that one provider takes in one go.
//
// Items are single nodes, or atomic groups contracted to one. The items are scheduled by Kahn's algorithm with a preference to
// stay on the provider at hand, so each stretch of one provider is one part and the sequence of parts has no cycles by
// construction. The schedule is made once from each provider as a start and the one with fewest parts is kept.
// A group that cannot be run as a unit (a path leaves it and comes back) is dissolved: its nodes count as splittable.
// Parts of a KP_PROVIDER_STATIC provider are then cut where a shape depends on data computed inside (levels).
// Cost: O((nodes + edges) log nodes) for each provider that has nodes.
#include "base/size.h"
#include "graph/infer.h"
#include "plan/plan.h"

typedef struct schedule {
  kp_plan_set* set;
  kp_placing* placing;
  kp_graph* graph;
  uint32_t* item_of;  // node -> item
  uint32_t item_count;
  uint32_t* item_entry;  // chain entry, or KP_EXECUTOR
  bool* item_alone;      // atomic group or control flow: a part of its own
  uint32_t* item_start;  // nodes of an item: item_nodes[item_start[i] .. item_start[i+1])
  kp_node_id* item_nodes;
  uint32_t* missing;     // inputs of an item that are not computed yet
  uint32_t entry_slots;  // chain->count + 1; the last one is the executor's
} schedule;

// A binary heap of items by number: items are numbered in topological order of their first node, so the order of the file is kept
// where there is a choice.
typedef struct heap {
  uint32_t* items;
  uint32_t count;
} heap;

static void heap_push(heap* h, uint32_t item) {
  uint32_t i = h->count++;
  for (; i > 0 && h->items[(i - 1) / 2] > item; i = (i - 1) / 2)
    h->items[i] = h->items[(i - 1) / 2];
  h->items[i] = item;
}

static uint32_t heap_pop(heap* h) {
  const uint32_t top = h->items[0], moved = h->items[--h->count];
  uint32_t i = 0;
  for (;;) {
    uint32_t child = 2 * i + 1;
    if (child >= h->count) break;
    if (child + 1 < h->count && h->items[child + 1] < h->items[child]) ++child;
    if (h->items[child] >= moved) break;
    h->items[i] = h->items[child];
    i = child;
  }
  h->items[i] = moved;
  return top;
}

static uint32_t entry_slot(const schedule* s, uint32_t entry) {
  return entry == KP_EXECUTOR ? s->entry_slots - 1 : entry;
}

static kp_status* make_items(schedule* s) {
  kp_arena* arena = &s->set->arena;
  const kp_graph* graph = s->graph;
  const uint32_t n = graph->node_count;
  uint32_t* item_of_group = kp_arena_new_array(arena, uint32_t, s->placing->group_count + 1);
  s->item_of = kp_arena_new_array(arena, uint32_t, n + 1);
  s->item_entry = kp_arena_new_array(arena, uint32_t, n + 1);
  s->item_alone = kp_arena_new_array(arena, bool, n + 1);
  s->item_start = kp_arena_new_array(arena, uint32_t, n + 2);
  s->item_nodes = kp_arena_new_array(arena, kp_node_id, n + 1);
  s->missing = kp_arena_new_array(arena, uint32_t, n + 1);
  if (!item_of_group || !s->item_of || !s->item_entry || !s->item_alone || !s->item_start ||
      !s->item_nodes || !s->missing)
    return KP_ERROR(OUT_OF_MEMORY, "partitions of %u nodes", n);
  for (uint32_t g = 0; g < s->placing->group_count; ++g) item_of_group[g] = KP_NONE;
  s->item_count = 0;
  for (uint32_t k = 0; k < graph->order_count; ++k) {
    const kp_node_id node = graph->order[k];
    const uint32_t group = s->placing->group_of[node];
    uint32_t item = group == KP_NONE ? KP_NONE : item_of_group[group];
    if (item == KP_NONE) {
      item = s->item_count++;
      if (group != KP_NONE) item_of_group[group] = item;
      s->item_entry[item] = s->placing->places[node].entry;
      s->item_alone[item] = group != KP_NONE || s->item_entry[item] == KP_EXECUTOR;
    }
    s->item_of[node] = item;
    ++s->item_start[item + 1];
  }
  for (uint32_t i = 0; i < s->item_count; ++i) s->item_start[i + 1] += s->item_start[i];
  uint32_t* fill = kp_arena_new_array(arena, uint32_t, s->item_count + 1);
  if (!fill) return KP_ERROR(OUT_OF_MEMORY, "partitions of %u nodes", n);
  for (uint32_t k = 0; k < graph->order_count; ++k) {
    const uint32_t item = s->item_of[graph->order[k]];
    s->item_nodes[s->item_start[item] + fill[item]++] = graph->order[k];
  }
  return NULL;
}

// Item that makes |value|, or KP_NONE.
static uint32_t producer_item(const schedule* s, kp_value_id value) {
  if (value == KP_NONE) return KP_NONE;
  const kp_node_id node = s->graph->values[value].producer;
  return node == KP_NONE ? KP_NONE : s->item_of[node];
}

static void count_missing(schedule* s) {
  memset(s->missing, 0, s->item_count * sizeof(*s->missing));
  for (uint32_t k = 0; k < s->graph->order_count; ++k) {
    const kp_node* node = &s->graph->nodes[s->graph->order[k]];
    const uint32_t item = s->item_of[s->graph->order[k]];
    for (uint32_t i = 0; i < node->input_count + node->implicit_count; ++i) {
      const kp_value_id v =
          i < node->input_count ? node->inputs[i] : node->implicit[i - node->input_count];
      const uint32_t from = producer_item(s, v);
      s->missing[item] += from != KP_NONE && from != item;
    }
  }
}

static void release_users(schedule* s, uint32_t item, heap* ready) {
  for (uint32_t k = s->item_start[item]; k < s->item_start[item + 1]; ++k) {
    const kp_node* node = &s->graph->nodes[s->item_nodes[k]];
    for (uint32_t o = 0; o < node->output_count; ++o) {
      if (node->outputs[o] == KP_NONE) continue;
      const kp_value* value = &s->graph->values[node->outputs[o]];
      for (uint32_t u = 0; u < value->use_count; ++u) {
        const uint32_t user = s->item_of[value->uses[u]];
        if (user == item || --s->missing[user] > 0) continue;
        heap_push(&ready[entry_slot(s, s->item_entry[user])], user);
      }
    }
  }
}

static uint32_t next_slot(const schedule* s, const heap* ready, uint32_t current) {
  uint32_t best = KP_NONE;
  for (uint32_t e = 0; e < s->entry_slots; ++e)
    if (e != current && ready[e].count && (best == KP_NONE || ready[e].count > ready[best].count))
      best = e;
  return best != KP_NONE ? best : (ready[current].count ? current : KP_NONE);
}

// Schedules all items, starting on |start| if something is ready there. |order|: items in order; |part_of|: part of each
// position. Gives the number of parts and how many items were reached (fewer than item_count: atomic groups are in a cycle).
static uint32_t run_schedule(schedule* s, uint32_t start, heap* ready, uint32_t* order,
                             uint32_t* part_of, uint32_t* out_reached) {
  for (uint32_t e = 0; e < s->entry_slots; ++e) ready[e].count = 0;
  count_missing(s);
  for (uint32_t i = 0; i < s->item_count; ++i)
    if (s->missing[i] == 0) heap_push(&ready[entry_slot(s, s->item_entry[i])], i);
  uint32_t reached = 0, parts = 0, current = start;
  bool open = false;  // the current part may take more items
  for (;;) {
    if (!ready[current].count) {
      const uint32_t next = next_slot(s, ready, current);
      if (next == KP_NONE) break;
      current = next;
      open = false;
    }
    const uint32_t item = heap_pop(&ready[current]);
    if (!open || s->item_alone[item]) ++parts;
    open = !s->item_alone[item];
    order[reached] = item;
    part_of[reached++] = parts - 1;
    release_users(s, item, ready);
  }
  *out_reached = reached;
  return parts;
}

// Takes the atomic group that the schedule is stuck on apart.
static kp_status* dissolve_stuck_group(schedule* s, const uint32_t* order, uint32_t reached) {
  bool* done = kp_arena_new_array(&s->set->arena, bool, s->item_count + 1);
  if (!done) return KP_ERROR(OUT_OF_MEMORY, "partitions");
  for (uint32_t i = 0; i < reached; ++i) done[order[i]] = true;
  uint32_t stuck = KP_NONE;
  for (uint32_t i = 0; i < s->item_count;
       ++i)  // the group of the provider of lowest priority gives way
    if (!done[i] && s->item_start[i + 1] - s->item_start[i] > 1 &&
        (stuck == KP_NONE || s->item_entry[i] > s->item_entry[stuck]))
      stuck = i;
  if (stuck == KP_NONE)
    return KP_ERROR(INTERNAL, "the graph has a cycle that no atomic group explains");
  for (uint32_t k = s->item_start[stuck]; k < s->item_start[stuck + 1]; ++k)
    s->placing->group_of[s->item_nodes[k]] = KP_NONE;
  return NULL;
}

typedef struct best_schedule {
  uint32_t* order;
  uint32_t* part_of;
  uint32_t parts;
} best_schedule;

static kp_status* alloc_best(schedule* s, best_schedule* b) {
  b->order = kp_arena_new_array(&s->set->arena, uint32_t, s->graph->node_count + 1);
  b->part_of = kp_arena_new_array(&s->set->arena, uint32_t, s->graph->node_count + 1);
  return b->order && b->part_of ? NULL : KP_ERROR(OUT_OF_MEMORY, "partitions");
}

// The schedule with the fewest parts over all starts.
static kp_status* find_schedule(schedule* s, best_schedule* best) {
  heap* ready = kp_arena_new_array(&s->set->arena, heap, s->entry_slots);
  uint32_t* with = kp_arena_new_array(&s->set->arena, uint32_t, s->entry_slots + 1);
  best_schedule trial = {0};
  KP_PASS(alloc_best(s, best));
  KP_PASS(alloc_best(s, &trial));
  if (!ready || !with) return KP_ERROR(OUT_OF_MEMORY, "partitions");
  for (uint32_t e = 0; e < s->entry_slots; ++e) {
    ready[e].items = kp_arena_new_array(&s->set->arena, uint32_t, s->graph->node_count + 1);
    if (!ready[e].items) return KP_ERROR(OUT_OF_MEMORY, "partitions");
  }
  for (;;) {
    KP_PASS(make_items(s));
    memset(with, 0, s->entry_slots * sizeof(*with));
    for (uint32_t i = 0; i < s->item_count; ++i) ++with[entry_slot(s, s->item_entry[i])];
    uint32_t reached = 0;
    best->parts = UINT32_MAX;
    for (uint32_t e = 0; e < s->entry_slots; ++e) {
      if (!with[e]) continue;
      trial.parts = run_schedule(s, e, ready, trial.order, trial.part_of, &reached);
      if (reached < s->item_count) break;
      if (trial.parts >= best->parts) continue;
      const best_schedule old = *best;
      *best = trial;
      trial = old;
    }
    if (s->item_count == 0) best->parts = 0;
    if (reached == s->item_count || s->item_count == 0) return NULL;
    KP_PASS(dissolve_stuck_group(s, trial.order, reached));
  }
}

// --- units of static providers: levels --------------------------------------------------------------------------------------
typedef struct levels {
  const kp_graph* graph;
  const bool* known;  // value: contents follow from the shapes of the graph's inputs
  uint32_t* level;    // node: which unit of its part it belongs to
  uint32_t* part;     // node: its part + 1, 0 = none yet
} levels;

static bool makes_unknown_shape(const kp_infer_rule* rule) {
  return !rule || (rule->flags & KP_INFER_DYNAMIC);
}

// The level of |node|: after all producers in the same part; one more where the producer's shape, or contents that this node's
// shape depends on, are only known once the producer has run.
static uint32_t node_level(const levels* l, kp_node_id id, uint32_t part) {
  const kp_node* node = &l->graph->nodes[id];
  const kp_infer_rule* rule = kp_infer_find(node);
  uint32_t level = 0;
  for (uint32_t i = 0; i < node->input_count; ++i) {
    if (node->inputs[i] == KP_NONE) continue;
    const kp_node_id from = l->graph->values[node->inputs[i]].producer;
    if (from == KP_NONE || l->part[from] != part + 1) continue;
    const kp_node* producer = &l->graph->nodes[from];
    const bool by_value =
        rule && i < 32 && (rule->value_inputs >> i & 1) && !l->known[node->inputs[i]];
    const uint32_t after =
        l->level[from] + (makes_unknown_shape(kp_infer_find(producer)) || by_value);
    if (after > level) level = after;
  }
  return level;
}

static kp_status* find_levels(schedule* s, const best_schedule* best, levels* l) {
  kp_arena* arena = &s->set->arena;
  bool* known = kp_arena_new_array(arena, bool, s->graph->value_count + 1);
  bool* by_value = kp_arena_new_array(arena, bool, s->graph->input_count + 1);
  *l = (levels){.graph = s->graph,
                .known = known,
                .level = kp_arena_new_array(arena, uint32_t, s->graph->node_count + 1),
                .part = kp_arena_new_array(arena, uint32_t, s->graph->node_count + 1)};
  if (!known || !by_value || !l->level || !l->part) return KP_ERROR(OUT_OF_MEMORY, "partitions");
  for (uint32_t i = 0; i < s->graph->input_count; ++i) by_value[i] = true;
  KP_PASS(kp_graph_known_values(s->graph, by_value, known));
  for (uint32_t i = 0; i < s->item_count; ++i) {
    const uint32_t item = best->order[i];
    if (s->item_alone[item]) continue;
    const kp_provider* provider = s->set->chain->entries[s->item_entry[item]].provider;
    const kp_node_id node = s->item_nodes[s->item_start[item]];
    if (provider->flags & KP_PROVIDER_STATIC)
      l->level[node] = node_level(l, node, best->part_of[i]);
    l->part[node] = best->part_of[i] + 1;
  }
  return NULL;
}

// Writes the parts of positions [begin, end), which are one stretch of one provider, one part a level.
static kp_status* emit_stretch(schedule* s, const best_schedule* best, const levels* l,
                               uint32_t begin, uint32_t end, kp_part* parts, uint32_t* count) {
  uint32_t top = 0;
  uint32_t nodes = 0;
  for (uint32_t i = begin; i < end; ++i) {
    const uint32_t item = best->order[i];
    const uint32_t level = l->level[s->item_nodes[s->item_start[item]]];
    if (level > top) top = level;
    nodes += s->item_start[item + 1] - s->item_start[item];
  }
  uint32_t* fill = kp_arena_new_array(&s->set->arena, uint32_t, top + 2);
  kp_node_id* sorted = kp_arena_new_array(&s->set->arena, kp_node_id, nodes + 1);
  if (!fill || !sorted) return KP_ERROR(OUT_OF_MEMORY, "partitions");
  for (uint32_t i = begin; i < end; ++i) {
    const uint32_t item = best->order[i];
    fill[l->level[s->item_nodes[s->item_start[item]]] + 1] +=
        s->item_start[item + 1] - s->item_start[item];
  }
  const uint32_t entry = s->item_entry[best->order[begin]];
  const uint32_t partition = entry == KP_EXECUTOR ? KP_NONE : s->set->partition_count++;
  uint32_t start = 0;
  for (uint32_t level = 0; level <= top; ++level) {
    const uint32_t size = fill[level + 1];
    if (size)
      parts[(*count)++] = (kp_part){.entry = entry,
                                    .partition = partition,
                                    .nodes = sorted + start,
                                    .count = size,
                                    .cut = level < top};
    fill[level] = start;
    start += size;
  }
  for (uint32_t i = begin; i < end; ++i) {
    const uint32_t item = best->order[i];
    const uint32_t level = l->level[s->item_nodes[s->item_start[item]]];
    for (uint32_t k = s->item_start[item]; k < s->item_start[item + 1]; ++k) {
      sorted[fill[level]++] = s->item_nodes[k];
      s->placing->places[s->item_nodes[k]].partition = partition;
    }
  }
  return NULL;
}

kp_status* kp_partition_graph(kp_plan_set* set, kp_placing* placing, kp_part** out_parts,
                              uint32_t* out_count) {
  schedule s = {.set = set,
                .placing = placing,
                .graph = placing->graph,
                .entry_slots = set->chain->count + 1};
  best_schedule best = {0};
  levels l;
  KP_PASS(kp_graph_order(placing->graph));
  KP_PASS(find_schedule(&s, &best));
  KP_PASS(find_levels(&s, &best, &l));
  kp_part* parts = kp_arena_new_array(&set->arena, kp_part, placing->graph->node_count + 1);
  if (!parts) return KP_ERROR(OUT_OF_MEMORY, "partitions");
  uint32_t count = 0;
  for (uint32_t begin = 0, end; begin < s.item_count; begin = end) {
    for (end = begin + 1; end < s.item_count && best.part_of[end] == best.part_of[begin];) ++end;
    KP_PASS(emit_stretch(&s, &best, &l, begin, end, parts, &count));
  }
  *out_parts = parts;
  *out_count = count;
  return NULL;
}
