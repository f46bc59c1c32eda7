// Makes forests that are fast to walk; see ml_forest.h. Neighbours: ml_forest_run.c walks them, ml_tree_read.c reads models.
#include "provider/cpu/op/ml/ml_forest.h"

#include <math.h>

#define MAX_NODES (UINT32_MAX / 4)

kp_status* kp_tree_source_init(kp_tree_source* source, kp_arena* arena, size_t node_count) {
  if (node_count > MAX_NODES) return KP_ERROR(LIMIT, "%zu nodes of trees", node_count);
  const size_t count = node_count + 1;
  *source = (kp_tree_source){.node_count = node_count,
                             .modes = kp_arena_alloc(arena, count),
                             .missing = kp_arena_alloc(arena, count),
                             .features = kp_arena_new_array(arena, int64_t, count),
                             .values = kp_arena_new_array(arena, double, count),
                             .children = {kp_arena_new_array(arena, int64_t, count),
                                          kp_arena_new_array(arena, int64_t, count)},
                             .members = {kp_arena_new_array(arena, uint32_t, count),
                                         kp_arena_new_array(arena, uint32_t, count)}};
  const bool there = source->modes && source->missing && source->features && source->values &&
                     source->children[0] && source->children[1] && source->members[0] &&
                     source->members[1];
  return there ? NULL : KP_ERROR(OUT_OF_MEMORY, "%zu nodes of trees", node_count);
}

// A node while the forest is made.
typedef struct draft {
  double threshold;  // NaN: the answer is always no
  uint32_t feature;
  uint32_t child;
  uint32_t leaf;  // the source's node, where this is a leaf; else KP_NONE
  bool nan_yes;
} draft;

// What is to be written into a slot: a node of the source, or a part of its search for a member.
typedef enum stage { STAGE_NODE, STAGE_SEARCH, STAGE_EXACT } stage;
typedef struct work {
  uint32_t slot, node, first, end;  // members [first, end)
  stage stage;
} work;

typedef struct builder {
  const kp_tree_source* source;
  bool wide;
  kp_arena scratch;
  uint32_t* order;    // the nodes of a tree, parents first
  uint32_t* heights;  // by node: steps to its deepest leaf
  uint8_t* seen;
  uint32_t* placed;  // by node: slot, or KP_NONE
  draft* drafts;
  size_t draft_count, draft_capacity;
  work* queue;  // one entry a slot
  size_t queued;
  uint32_t (*copies)[2];  // slots that are to be as that of a node
  size_t copy_count;
  size_t feature_count;
} builder;

// --- checks ------------------------------------------------------------------------------------------------------------------
static size_t member_count(const kp_tree_source* s, uint32_t node) {
  if (s->modes[node] == KP_TREE_MEMBER) return s->members[1][node] - s->members[0][node];
  return s->values[node] == s->values[node];  // EQ, NEQ: a NaN equals nothing
}

static bool asks_equal(const kp_tree_source* s, uint32_t node) {
  return s->modes[node] == KP_TREE_EQ || s->modes[node] == KP_TREE_NEQ ||
         s->modes[node] == KP_TREE_MEMBER;
}

// Questions that a node is turned into, and how many of them stand between it and its children at most.
static size_t questions(const kp_tree_source* s, uint32_t node) {
  if (!asks_equal(s, node) || member_count(s, node) == 0) return 1;
  return 3 * member_count(s, node) - 1;
}

static uint32_t steps_of(const kp_tree_source* s, uint32_t node) {
  if (!asks_equal(s, node) || member_count(s, node) == 0) return 1;
  uint32_t steps = 2;
  for (size_t left = member_count(s, node); left > 1; left = (left + 1) / 2) ++steps;
  return steps;
}

static kp_status* check_node(builder* b, uint32_t node) {
  const kp_tree_source* s = b->source;
  if (s->modes[node] == KP_TREE_LEAF) return NULL;
  if (b->seen[node])
    return KP_ERROR(INVALID_MODEL,
                    "node %u of the trees is reached twice: by a cycle, or two nodes share it",
                    node);
  b->seen[node] = 1;
  if (s->features[node] < 0 || s->features[node] >= INT32_MAX)
    return KP_ERROR(INVALID_MODEL, "node %u of the trees asks for feature %lld", node,
                    (long long)s->features[node]);
  b->feature_count = kp_max_size(b->feature_count, (size_t)s->features[node] + 1);
  for (int answer = 0; answer < 2; ++answer)
    if (s->children[answer][node] < 0 || s->children[answer][node] >= (int64_t)s->node_count)
      return KP_ERROR(INVALID_MODEL, "node %u of the trees has the child %lld, of %zu nodes", node,
                      (long long)s->children[answer][node], s->node_count);
  return NULL;
}

// Lists the inner nodes of a tree in |order|, parents first, and counts the slots that it needs.
static kp_status* check_tree(builder* b, uint32_t root, size_t* out_count, size_t* slots) {
  const kp_tree_source* s = b->source;
  size_t count = 0;
  KP_PASS(check_node(b, root));
  if (s->modes[root] != KP_TREE_LEAF) b->order[count++] = root;
  ++*slots;
  for (size_t i = 0; i < count; ++i) {
    *slots += 2 * questions(s, b->order[i]);
    for (int answer = 0; answer < 2; ++answer) {
      const uint32_t child = (uint32_t)s->children[answer][b->order[i]];
      KP_PASS(check_node(b, child));
      if (s->modes[child] != KP_TREE_LEAF) b->order[count++] = child;
    }
  }
  for (size_t i = count; i-- > 0;) {
    const uint32_t node = b->order[i], no = b->heights[s->children[0][node]],
                   yes = b->heights[s->children[1][node]];
    b->heights[node] = (no > yes ? no : yes) + steps_of(s, node);
  }
  *out_count = count;
  return *slots <= MAX_NODES ? NULL : KP_ERROR(LIMIT, "trees of more than %u nodes", MAX_NODES);
}

// --- thresholds: x <= t for a sample of the forest's type -----------------------------------------------------------------------
static double at_most(const builder* b, double t) {
  if (b->wide || t != t) return t;
  const float near = (float)t;
  return (double)near <= t ? (double)near : (double)nextafterf(near, -INFINITY);
}

static double less_than(const builder* b, double t) {
  if (t != t || t == -INFINITY) return NAN;
  if (b->wide) return nextafter(t, -INFINITY);
  const double near = at_most(b, t);
  return near < t ? near : near == -INFINITY ? NAN : (double)nextafterf((float)near, -INFINITY);
}

// --- writing -----------------------------------------------------------------------------------------------------------------
// Two slots next to each other, as children of |slot|.
static uint32_t add_children(builder* b, uint32_t slot) {
  const uint32_t child = (uint32_t)b->draft_count;
  b->draft_count += 2;
  b->drafts[slot].child = child;
  return child;
}

static void push(builder* b, work item) { b->queue[b->queued++] = item; }

static void push_node(builder* b, uint32_t slot, uint32_t node) {
  push(b, (work){.slot = slot, .node = node, .stage = STAGE_NODE});
}

static double member_at(const kp_tree_source* s, const work* w, size_t index) {
  return s->modes[w->node] == KP_TREE_MEMBER ? s->member_values[index] : s->values[w->node];
}

// The children for a sample that is no member (0) and for one that is (1).
static uint32_t found_child(const kp_tree_source* s, uint32_t node, int found) {
  const int answer = s->modes[node] == KP_TREE_NEQ ? !found : found;
  return (uint32_t)s->children[answer][node];
}

// Among sorted members: halves while there are several; then x <= the one, then x < it.
static void write_search(builder* b, const work* w) {
  const kp_tree_source* s = b->source;
  draft* d = &b->drafts[w->slot];
  const uint32_t child = add_children(b, w->slot);
  // A NaN says no to all halves and to the last x < member: it is found where it said yes to x <= member.
  const bool nan_found = (s->modes[w->node] == KP_TREE_NEQ) != (s->missing[w->node] != 0);
  d->feature = (uint32_t)s->features[w->node];
  if (w->stage == STAGE_EXACT) {
    d->threshold = less_than(b, member_at(s, w, w->first));
    push_node(b, child, found_child(s, w->node, 1));
    push_node(b, child + 1, found_child(s, w->node, 0));
  } else if (w->end - w->first <= 1) {
    const bool none = w->end == w->first;
    d->threshold = none ? NAN : at_most(b, member_at(s, w, w->first));
    d->nan_yes = nan_found;
    push_node(b, child, found_child(s, w->node, 0));
    if (none)
      push_node(b, child + 1, found_child(s, w->node, 1));
    else
      push(b, (work){child + 1, w->node, w->first, w->end, STAGE_EXACT});
  } else {
    const uint32_t middle = w->first + (w->end - w->first) / 2;
    d->threshold = at_most(b, member_at(s, w, middle - 1));
    push(b, (work){child, w->node, middle, w->end, STAGE_SEARCH});
    push(b, (work){child + 1, w->node, w->first, middle, STAGE_SEARCH});
  }
}

static void write_node(builder* b, const work* w) {
  const kp_tree_source* s = b->source;
  const uint32_t node = w->node;
  draft* d = &b->drafts[w->slot];
  *d = (draft){.threshold = NAN, .child = w->slot, .leaf = KP_NONE};
  if (s->modes[node] == KP_TREE_LEAF) {
    d->leaf = node;
    return;
  }
  if (b->placed[node] != KP_NONE) {  // a miss of a search: the same as where it stands already
    b->copies[b->copy_count][0] = w->slot;
    b->copies[b->copy_count++][1] = node;
    return;
  }
  b->placed[node] = w->slot;
  if (asks_equal(s, node)) {
    work search = {w->slot, node, 0, (uint32_t)member_count(s, node), STAGE_SEARCH};
    if (s->modes[node] == KP_TREE_MEMBER) {
      search.first = s->members[0][node];
      search.end = s->members[1][node];
    }
    write_search(b, &search);
    return;
  }
  const uint32_t child = add_children(b, w->slot);
  const kp_tree_mode mode = s->modes[node];
  const bool strict = mode == KP_TREE_LT || mode == KP_TREE_GTE;
  // Swapped: the answer is that of the opposite question; a threshold that is NaN says no to both.
  const bool swapped =
      (mode == KP_TREE_GT || mode == KP_TREE_GTE) && s->values[node] == s->values[node];
  d->threshold = strict ? less_than(b, s->values[node]) : at_most(b, s->values[node]);
  d->feature = (uint32_t)s->features[node];
  d->nan_yes = (s->missing[node] != 0) != swapped;
  push_node(b, child, (uint32_t)s->children[swapped][node]);
  push_node(b, child + 1, (uint32_t)s->children[!swapped][node]);
}

static uint32_t write_tree(builder* b, uint32_t root) {
  const uint32_t slot = (uint32_t)b->draft_count++;
  b->queued = b->copy_count = 0;
  push_node(b, slot, root);
  for (size_t i = 0; i < b->queued; ++i) {
    const work w = b->queue[i];
    if (w.stage == STAGE_NODE) {
      write_node(b, &w);
      continue;
    }
    b->drafts[w.slot] = (draft){.leaf = KP_NONE};
    write_search(b, &w);
  }
  for (size_t i = 0; i < b->copy_count; ++i)
    b->drafts[b->copies[i][0]] = b->drafts[b->placed[b->copies[i][1]]];
  return slot;
}

// --- leaves ------------------------------------------------------------------------------------------------------------------
// True if every leaf that is used has one weight for each target, in order.
static bool leaves_are_full(const builder* b, const kp_forest* forest) {
  const kp_tree_source* s = b->source;
  for (size_t i = 0; i < b->draft_count; ++i) {
    const uint32_t node = b->drafts[i].leaf;
    if (node == KP_NONE) continue;
    const uint32_t first = s->weight_first[node];
    if (s->weight_first[node + 1] - first != forest->target_count) return false;
    for (size_t t = 0; t < forest->target_count; ++t)
      if (s->targets[first + t] != t) return false;
  }
  return true;
}

static kp_status* keep_weights(const builder* b, kp_arena* arena, kp_forest* forest) {
  const kp_tree_source* s = b->source;
  const size_t count = s->weight_first[s->node_count];
  forest->leaf_first =
      kp_arena_memdup(arena, s->weight_first, (s->node_count + 1) * sizeof *s->weight_first);
  forest->weights = kp_arena_new_array(arena, double, count + 1);
  forest->targets = kp_arena_new_array(arena, uint32_t, count + 1);
  if (!forest->leaf_first || !forest->weights || !forest->targets)
    return KP_ERROR(OUT_OF_MEMORY, "weights of leaves");
  for (size_t i = 0; i < count; ++i) {
    forest->weights[i] = s->weights[i];
    forest->targets[i] = s->targets[i];
  }
  if (leaves_are_full(b, forest)) forest->targets = NULL;
  return NULL;
}

static bool one_weight_each(const builder* b) {
  for (size_t i = 0; i < b->draft_count; ++i) {
    const uint32_t node = b->drafts[i].leaf;
    if (node != KP_NONE && b->source->weight_first[node + 1] - b->source->weight_first[node] != 1)
      return false;
  }
  return true;
}

static kp_status* keep_nodes(const builder* b, kp_arena* arena, kp_forest* forest) {
  const kp_tree_source* s = b->source;
  const size_t each = b->wide ? sizeof(kp_tree_node64) : sizeof(kp_tree_node32);
  size_t bytes;
  void* nodes = kp_mul_size(b->draft_count + 1, each, &bytes)
                    ? kp_arena_alloc_aligned(arena, bytes, KP_ALIGNMENT)
                    : NULL;
  if (!nodes) return KP_ERROR(OUT_OF_MEMORY, "%zu nodes of trees", b->draft_count);
  forest->narrow_nodes = b->wide ? NULL : nodes;
  forest->wide_nodes = b->wide ? nodes : NULL;
  for (size_t i = 0; i < b->draft_count; ++i) {
    const draft* d = &b->drafts[i];
    const bool leaf = d->leaf != KP_NONE;
    const double value = leaf && forest->single ? s->weights[s->weight_first[d->leaf]] : 0;
    const uint32_t feature = forest->tells_nan ? d->feature << 1 | d->nan_yes : d->feature;
    if (b->wide) {
      kp_tree_node64* node = &forest->wide_nodes[i];
      *node = (kp_tree_node64){d->threshold, feature, d->child, {.value = value}};
      if (leaf && !forest->single) node->leaf = d->leaf;
    } else {
      kp_tree_node32* node = &forest->narrow_nodes[i];
      *node = (kp_tree_node32){(float)d->threshold, feature, d->child, {.value = (float)value}};
      if (leaf && !forest->single) node->leaf = d->leaf;
    }
  }
  return NULL;
}

// --- the whole ---------------------------------------------------------------------------------------------------------------
static kp_status* check_roots(builder* b, kp_forest* forest, size_t* slots) {
  const kp_tree_source* s = b->source;
  for (size_t t = 0; t < s->root_count; ++t) {
    if (s->roots[t] < 0 || s->roots[t] >= (int64_t)s->node_count)
      return KP_ERROR(INVALID_MODEL, "tree %zu begins at node %lld of %zu", t,
                      (long long)s->roots[t], s->node_count);
    size_t count;
    KP_PASS(check_tree(b, (uint32_t)s->roots[t], &count, slots));
    forest->depths[t] = b->heights[s->roots[t]];
  }
  return NULL;
}

static kp_status* prepare_builder(builder* b) {
  const size_t nodes = b->source->node_count + 1;
  b->order = kp_arena_new_array(&b->scratch, uint32_t, nodes);
  b->heights = kp_arena_new_array(&b->scratch, uint32_t, nodes);
  b->placed = kp_arena_new_array(&b->scratch, uint32_t, nodes);
  b->seen = kp_arena_alloc(&b->scratch, nodes);
  if (!b->order || !b->heights || !b->placed || !b->seen)
    return KP_ERROR(OUT_OF_MEMORY, "%zu nodes of trees", nodes);
  memset(b->placed, 0xFF, nodes * sizeof *b->placed);
  return NULL;
}

static kp_status* build(builder* b, kp_arena* arena, kp_forest* forest) {
  const kp_tree_source* s = b->source;
  size_t slots = 0;
  forest->roots = kp_arena_new_array(arena, uint32_t, s->root_count + 1);
  forest->depths = kp_arena_new_array(arena, uint32_t, s->root_count + 1);
  if (!forest->roots || !forest->depths) return KP_ERROR(OUT_OF_MEMORY, "%zu trees", s->root_count);
  KP_PASS(prepare_builder(b));
  KP_PASS(check_roots(b, forest, &slots));
  b->drafts = kp_arena_new_array(&b->scratch, draft, slots + 1);
  b->queue = kp_arena_new_array(&b->scratch, work, slots + 1);
  b->copies = kp_arena_array(&b->scratch, slots + 1, sizeof *b->copies);
  if (!b->drafts || !b->queue || !b->copies)
    return KP_ERROR(OUT_OF_MEMORY, "%zu nodes of trees", slots);
  for (size_t t = 0; t < s->root_count; ++t)
    forest->roots[t] = write_tree(b, (uint32_t)s->roots[t]);
  forest->feature_count = b->feature_count;
  forest->single = forest->target_count == 1 && one_weight_each(b);
  for (size_t i = 0; i < b->draft_count; ++i)
    forest->tells_nan = forest->tells_nan || b->drafts[i].nan_yes;
  if (!forest->single) KP_PASS(keep_weights(b, arena, forest));
  return keep_nodes(b, arena, forest);
}

kp_status* kp_forest_build(const kp_tree_source* source, bool wide, kp_arena* arena,
                           kp_forest* out_forest) {
  *out_forest = (kp_forest){
      .wide = wide, .tree_count = source->root_count, .target_count = source->target_count};
  builder b = {.source = source, .wide = wide};
  kp_status* status = build(&b, arena, out_forest);
  kp_arena_free(&b.scratch);
  return status;
}
