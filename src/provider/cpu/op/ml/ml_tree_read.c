// From attributes to kp_tree_source; see ml_tree_read.h.
#include "provider/cpu/op/ml/ml_tree_read.h"

#include <stdio.h>
#include <stdlib.h>

#include "provider/cpu/op/lookup.h"

// --- lists -------------------------------------------------------------------------------------------------------------------
static kp_status* tensor_reals(const kapell_value* tensor, kp_arena* arena, const double** out_list,
                               size_t* out_count) {
  const size_t count = kp_value_count(tensor);
  double* list = kp_arena_new_array(arena, double, count + 1);
  if (!list) return KP_ERROR(OUT_OF_MEMORY, "a list of %zu numbers", count);
  for (size_t i = 0; i < count; ++i) list[i] = kp_double_at(tensor, i);
  *out_list = list;
  *out_count = count;
  return NULL;
}

kp_status* kp_tree_read_reals(const kp_node* node, const char* name, kp_arena* arena,
                              const double** out_list, size_t* out_count) {
  char tensor_name[64];
  snprintf(tensor_name, sizeof tensor_name, "%s_as_tensor", name);
  *out_list = NULL;
  *out_count = 0;
  const kp_attr* tensor = kp_node_attr(node, tensor_name);
  if (tensor && tensor->tensor && kp_value_count(tensor->tensor))
    return tensor_reals(tensor->tensor, arena, out_list, out_count);
  size_t count;
  const float* floats = kp_node_attr_floats(node, name, &count);
  double* list = kp_arena_new_array(arena, double, count + 1);
  if (!list) return KP_ERROR(OUT_OF_MEMORY, "a list of %zu numbers", count);
  for (size_t i = 0; i < count; ++i) list[i] = (double)floats[i];
  *out_list = list;
  *out_count = count;
  return NULL;
}

static kp_status* check_count(const char* name, size_t count, size_t wanted) {
  if (count == wanted) return NULL;
  return KP_ERROR(INVALID_MODEL, "attribute '%s' has %zu entries, not %zu as the others", name,
                  count, wanted);
}

// Integers of |name|, |wanted| of them; where |optional| an empty list gives NULL.
static kp_status* read_ints(const kp_node* node, const char* name, size_t wanted, bool optional,
                            const int64_t** out_list) {
  size_t count;
  *out_list = kp_node_attr_ints(node, name, &count);
  if (optional && !count) {
    *out_list = NULL;
    return NULL;
  }
  return check_count(name, count, wanted);
}

static kp_status* read_target(int64_t target, size_t target_count, uint32_t* out_target) {
  if (target < 0 || target >= (int64_t)target_count)
    return KP_ERROR(INVALID_MODEL, "a leaf gives to target %lld of %zu", (long long)target,
                    target_count);
  *out_target = (uint32_t)target;
  return NULL;
}

static kp_status* make_weights(kp_tree_source* s, kp_arena* arena, size_t count) {
  if (count >= UINT32_MAX) return KP_ERROR(LIMIT, "%zu weights of leaves", count);
  s->weight_first = kp_arena_new_array(arena, uint32_t, s->node_count + 2);
  s->targets = kp_arena_new_array(arena, uint32_t, count + 1);
  s->weights = kp_arena_new_array(arena, double, count + 1);
  if (s->weight_first && s->targets && s->weights) return NULL;
  return KP_ERROR(OUT_OF_MEMORY, "%zu weights of leaves", count);
}

// --- TreeEnsemble ------------------------------------------------------------------------------------------------------------
static int by_value(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return x < y ? -1 : x > y;
}

// Sets of members, one a node of mode MEMBER in the order of the nodes, each ended by a NaN.
static kp_status* read_members(const kp_node* node, kp_arena* arena, kp_tree_source* s) {
  const kp_attr* attr = kp_node_attr(node, "membership_values");
  const double* list = NULL;
  size_t count = 0, at = 0;
  if (attr && attr->tensor) KP_PASS(tensor_reals(attr->tensor, arena, &list, &count));
  if (count >= UINT32_MAX) return KP_ERROR(LIMIT, "%zu members", count);
  s->member_values = kp_arena_new_array(arena, double, count + 1);
  if (!s->member_values) return KP_ERROR(OUT_OF_MEMORY, "%zu members", count);
  for (size_t i = 0; i < count; ++i) s->member_values[i] = list[i];
  for (size_t n = 0; n < s->node_count; ++n) {
    if (s->modes[n] != KP_TREE_MEMBER) continue;
    const size_t first = at;
    while (at < count && s->member_values[at] == s->member_values[at]) ++at;
    if (at == count)
      return KP_ERROR(INVALID_MODEL,
                      "attribute 'membership_values' ends before the set of node %zu", n);
    s->members[0][n] = (uint32_t)first;
    s->members[1][n] = (uint32_t)at;
    if (at > first) qsort(s->member_values + first, at - first, sizeof *list, by_value);
    ++at;
  }
  return NULL;
}

static kp_status* read_modes(const kp_node* node, size_t inner, kp_tree_source* s) {
  const kp_attr* modes = kp_node_attr(node, "nodes_modes");
  const size_t count = modes && modes->tensor ? kp_value_count(modes->tensor) : 0;
  KP_PASS(check_count("nodes_modes", count, inner));
  for (size_t i = 0; i < inner; ++i) {
    const int64_t mode = kp_int_at(modes->tensor, i);
    if (mode < KP_TREE_LEQ || mode > KP_TREE_MEMBER)
      return KP_ERROR(INVALID_MODEL, "node %zu of the trees has the mode %lld", i, (long long)mode);
    s->modes[i] = (uint8_t)mode;
  }
  for (size_t i = inner; i < s->node_count; ++i) s->modes[i] = KP_TREE_LEAF;
  return NULL;
}

// The children of inner nodes: |ids| are inner nodes, or leaves where |leafs| says so, which follow the inner nodes in |s|.
static kp_status* read_children(const kp_node* node, const char* ids_name, const char* leafs_name,
                                size_t inner, const kp_tree_source* s, int64_t* to) {
  const int64_t *ids, *leafs;
  const int64_t leaves = (int64_t)(s->node_count - inner);
  KP_PASS(read_ints(node, ids_name, inner, false, &ids));
  KP_PASS(read_ints(node, leafs_name, inner, false, &leafs));
  for (size_t i = 0; i < inner; ++i) {
    const int64_t most = leafs[i] ? leaves : (int64_t)inner;
    if (ids[i] < 0 || ids[i] >= most)
      return KP_ERROR(INVALID_MODEL, "node %zu of the trees has the %s %lld, of %lld", i,
                      leafs[i] ? "leaf" : "child", (long long)ids[i], (long long)most);
    to[i] = leafs[i] ? (int64_t)inner + ids[i] : ids[i];
  }
  return NULL;
}

static kp_status* read_leaves(const kp_node* node, kp_arena* arena, size_t inner,
                              kp_tree_source* s) {
  const size_t leaves = s->node_count - inner;
  const int64_t* targets;
  KP_PASS(read_ints(node, "leaf_targetids", leaves, false, &targets));
  KP_PASS(make_weights(s, arena, leaves));
  const kapell_value* weights = kp_node_attr(node, "leaf_weights")->tensor;
  for (size_t i = 0; i < leaves; ++i) {
    KP_PASS(read_target(targets[i], s->target_count, &s->targets[i]));
    s->weights[i] = kp_double_at(weights, i);
    s->weight_first[inner + i + 1] = (uint32_t)i + 1;
  }
  return NULL;
}

kp_status* kp_tree_read(const kp_node* node, kp_arena* arena, kp_tree_source* s) {
  size_t inner, split_count, root_count;
  const int64_t *features, *missing, *roots;
  const double* splits = NULL;
  const kp_attr *split_attr = kp_node_attr(node, "nodes_splits"),
                *weights = kp_node_attr(node, "leaf_weights");
  if (!split_attr || !split_attr->tensor || !weights || !weights->tensor)
    return KP_ERROR(INVALID_MODEL, "attributes nodes_splits or leaf_weights are missing");
  features = kp_node_attr_ints(node, "nodes_featureids", &inner);
  KP_PASS(kp_tree_source_init(s, arena, inner + kp_value_count(weights->tensor)));
  s->target_count = (size_t)kp_max_i64(0, kp_node_attr_i(node, "n_targets", 1));
  KP_PASS(tensor_reals(split_attr->tensor, arena, &splits, &split_count));
  KP_PASS(check_count("nodes_splits", split_count, inner));
  KP_PASS(read_ints(node, "nodes_missing_value_tracks_true", inner, true, &missing));
  KP_PASS(read_modes(node, inner, s));
  for (size_t i = 0; i < inner; ++i) {
    s->features[i] = features[i];
    s->values[i] = splits[i];
    // A NaN is unequal to everything: that is a yes to NEQ even where missing values track false.
    s->missing[i] = (missing && missing[i]) || s->modes[i] == KP_TREE_NEQ;
  }
  KP_PASS(read_children(node, "nodes_falsenodeids", "nodes_falseleafs", inner, s, s->children[0]));
  KP_PASS(read_children(node, "nodes_truenodeids", "nodes_trueleafs", inner, s, s->children[1]));
  KP_PASS(read_members(node, arena, s));
  roots = kp_node_attr_ints(node, "tree_roots", &root_count);
  s->roots = kp_arena_new_array(arena, int64_t, root_count + 1);
  if (!s->roots) return KP_ERROR(OUT_OF_MEMORY, "%zu trees", root_count);
  for (size_t t = 0; t < root_count; ++t) s->roots[t] = roots[t];
  s->root_count = root_count;
  return read_leaves(node, arena, inner, s);
}

// --- the older operators -----------------------------------------------------------------------------------------------------
// Nodes are named by a pair of numbers, of a tree and in it. Both are numbered anew from 0 on; a pair of those is a key.
typedef struct names {
  kp_lookup trees, ids, nodes;
  uint32_t tree_count, id_count;
} names;

static uint32_t renumber(kp_lookup* lookup, int64_t number, uint32_t* count) {
  uint32_t* value = kp_lookup_put_number(lookup, number);
  if (*value == KP_LOOKUP_NONE) *value = (*count)++;
  return *value;
}

// The node |id| of |tree|, or KP_LOOKUP_NONE.
static uint32_t find_node(const names* known, int64_t tree, int64_t id) {
  const uint32_t t = kp_lookup_number(&known->trees, tree), i = kp_lookup_number(&known->ids, id);
  if (t == KP_LOOKUP_NONE || i == KP_LOOKUP_NONE) return KP_LOOKUP_NONE;
  return kp_lookup_number(&known->nodes, (int64_t)((uint64_t)t << 32 | i));
}

static kp_status* read_names(kp_arena* arena, const int64_t* trees, const int64_t* ids,
                             kp_tree_source* s, names* known) {
  KP_PASS(kp_lookup_init(&known->trees, arena, s->node_count, false));
  KP_PASS(kp_lookup_init(&known->ids, arena, s->node_count, false));
  KP_PASS(kp_lookup_init(&known->nodes, arena, s->node_count, false));
  s->roots = kp_arena_new_array(arena, int64_t, s->node_count + 1);
  if (!s->roots) return KP_ERROR(OUT_OF_MEMORY, "%zu nodes of trees", s->node_count);
  for (size_t n = 0; n < s->node_count; ++n) {
    const uint32_t tree = renumber(&known->trees, trees[n], &known->tree_count),
                   id = renumber(&known->ids, ids[n], &known->id_count);
    uint32_t* value = kp_lookup_put_number(&known->nodes, (int64_t)((uint64_t)tree << 32 | id));
    if (*value != KP_LOOKUP_NONE)
      return KP_ERROR(INVALID_MODEL, "node %lld of tree %lld is there twice", (long long)ids[n],
                      (long long)trees[n]);
    *value = (uint32_t)n;
    if (tree == s->root_count)
      s->roots[s->root_count++] = (int64_t)n;  // a tree's first node is its root
  }
  return NULL;
}

static const struct {
  const char* name;
  kp_tree_mode mode;
} mode_names[] = {{"BRANCH_LEQ", KP_TREE_LEQ}, {"BRANCH_LT", KP_TREE_LT},
                  {"BRANCH_GTE", KP_TREE_GTE}, {"BRANCH_GT", KP_TREE_GT},
                  {"BRANCH_EQ", KP_TREE_EQ},   {"BRANCH_NEQ", KP_TREE_NEQ},
                  {"LEAF", KP_TREE_LEAF}};

static kp_status* read_mode(kp_str name, size_t node, uint8_t* out_mode) {
  for (size_t i = 0; i < KP_COUNT_OF(mode_names); ++i) {
    *out_mode = (uint8_t)mode_names[i].mode;
    if (kp_str_is(name, mode_names[i].name)) return NULL;
  }
  return KP_ERROR(INVALID_MODEL, "node %zu of the trees has the mode '%.*s'", node,
                  KP_STR_ARG(name));
}

static kp_status* find_children(const names* known, const int64_t* trees, const int64_t* ids,
                                const int64_t* given, const kp_tree_source* s, int64_t* to) {
  for (size_t n = 0; n < s->node_count; ++n) {
    if (s->modes[n] == KP_TREE_LEAF) continue;
    const uint32_t child = find_node(known, trees[n], given[n]);
    if (child == KP_LOOKUP_NONE)
      return KP_ERROR(INVALID_MODEL,
                      "node %lld of tree %lld has the child %lld, which is not there",
                      (long long)ids[n], (long long)trees[n], (long long)given[n]);
    to[n] = child;
  }
  return NULL;
}

static kp_status* read_old_weights(const kp_node* node, const char* prefix, const names* known,
                                   kp_arena* arena, kp_tree_source* s) {
  char name[4][32];
  static const char* const tails[] = {"ids", "treeids", "nodeids", "weights"};
  for (int i = 0; i < 4; ++i) snprintf(name[i], sizeof name[i], "%s_%s", prefix, tails[i]);
  size_t count, weight_count;
  const int64_t *targets = kp_node_attr_ints(node, name[0], &count), *trees, *ids;
  const double* weights;
  KP_PASS(read_ints(node, name[1], count, false, &trees));
  KP_PASS(read_ints(node, name[2], count, false, &ids));
  KP_PASS(kp_tree_read_reals(node, name[3], arena, &weights, &weight_count));
  KP_PASS(check_count(name[3], weight_count, count));
  KP_PASS(make_weights(s, arena, count));
  for (size_t i = 0; i < count; ++i) {
    const uint32_t n = find_node(known, trees[i], ids[i]);
    if (n == KP_LOOKUP_NONE)
      return KP_ERROR(INVALID_MODEL,
                      "a weight belongs to node %lld of tree %lld, which is not there",
                      (long long)ids[i], (long long)trees[i]);
    ++s->weight_first[n + 2];
  }
  for (size_t n = 0; n < s->node_count; ++n) s->weight_first[n + 2] += s->weight_first[n + 1];
  for (size_t i = 0; i < count;
       ++i) {  // each start moves to its end, which is where the next begins
    const uint32_t at = s->weight_first[find_node(known, trees[i], ids[i]) + 1]++;
    KP_PASS(read_target(targets[i], s->target_count, &s->targets[at]));
    s->weights[at] = weights[i];
  }
  return NULL;
}

kp_status* kp_tree_read_old(const kp_node* node, const char* prefix, size_t target_count,
                            kp_arena* arena, kp_tree_source* s) {
  size_t count, value_count;
  const int64_t *trees = kp_node_attr_ints(node, "nodes_treeids", &count), *ids, *features,
                *missing, *children[2];
  const double* values;
  const kp_attr* modes = kp_node_attr(node, "nodes_modes");
  KP_PASS(kp_tree_source_init(s, arena, count));
  s->target_count = target_count;
  KP_PASS(read_ints(node, "nodes_nodeids", count, false, &ids));
  KP_PASS(read_ints(node, "nodes_featureids", count, false, &features));
  KP_PASS(read_ints(node, "nodes_falsenodeids", count, false, &children[0]));
  KP_PASS(read_ints(node, "nodes_truenodeids", count, false, &children[1]));
  KP_PASS(read_ints(node, "nodes_missing_value_tracks_true", count, true, &missing));
  KP_PASS(check_count("nodes_modes", modes ? modes->count : 0, count));
  KP_PASS(kp_tree_read_reals(node, "nodes_values", arena, &values, &value_count));
  KP_PASS(check_count("nodes_values", value_count, count));
  for (size_t n = 0; n < count; ++n) {
    KP_PASS(read_mode(modes->strings[n], n, &s->modes[n]));
    s->features[n] = features[n];
    s->values[n] = values[n];
    s->missing[n] = missing && missing[n];
  }
  names known = {.tree_count = 0};
  KP_PASS(read_names(arena, trees, ids, s, &known));
  for (int answer = 0; answer < 2; ++answer)
    KP_PASS(find_children(&known, trees, ids, children[answer], s, s->children[answer]));
  return read_old_weights(node, prefix, &known, arena, s);
}
