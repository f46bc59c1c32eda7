// Decision trees, whatever operator they come from: kp_tree_source is a forest as a model states it, kp_forest what is walked.
//
// In a kp_forest every inner node asks x[feature] <= threshold and its two children lie next to each other, so that a step is a load, a
// compare and an add. Other questions are asked in those words: x < t is x <= the number before t, x > t swaps the children, x == t and
// membership of a set are a few nodes. A leaf is its own child, so that several walks of different lengths take the same steps.
#ifndef KP_PROVIDER_CPU_OP_ML_FOREST_H_
#define KP_PROVIDER_CPU_OP_ML_FOREST_H_

#include "provider/cpu/op/help.h"

// As numbered by TreeEnsemble-5.
typedef enum kp_tree_mode {
  KP_TREE_LEQ = 0,
  KP_TREE_LT,
  KP_TREE_GTE,
  KP_TREE_GT,
  KP_TREE_EQ,
  KP_TREE_NEQ,
  KP_TREE_MEMBER,
  KP_TREE_LEAF,
} kp_tree_mode;

typedef struct kp_tree_source {
  size_t node_count;  // inner nodes and leaves
  uint8_t* modes;
  uint8_t* missing;       // a NaN goes to the true branch
  int64_t* features;      // checked by kp_forest_build
  double* values;         // thresholds
  int64_t* children[2];   // nodes: [0] where the answer is no, [1] where it is yes; checked too
  uint32_t* members[2];   // MEMBER: [first, end) in |member_values|
  double* member_values;  // each set sorted
  int64_t* roots;
  size_t root_count;
  // What leaves give: weights [weight_first[n], weight_first[n + 1]) of node n, each to a target below |target_count|.
  uint32_t* weight_first;
  uint32_t* targets;
  double* weights;
  size_t target_count;
} kp_tree_source;

// Room for |node_count| nodes in |arena|, zeroed; |weight_first|, targets and weights are the caller's. Errors: OUT_OF_MEMORY, LIMIT.
KP_MUST_USE kp_status* kp_tree_source_init(kp_tree_source* source, kp_arena* arena,
                                           size_t node_count);

typedef struct kp_tree_node32 {
  float threshold;
  uint32_t feature;  // where NaN are told apart: feature << 1 | a NaN answers yes
  uint32_t child;    // for no; the one for yes follows
  union {
    float value;    // leaf of a forest with one target
    uint32_t leaf;  // else: number of the leaf
  };
} kp_tree_node32;

typedef struct kp_tree_node64 {
  double threshold;
  uint32_t feature;
  uint32_t child;
  union {
    double value;
    uint32_t leaf;
  };
} kp_tree_node64;

typedef enum kp_tree_aggregate {
  KP_TREE_AVERAGE = 0,
  KP_TREE_SUM,
  KP_TREE_MIN,
  KP_TREE_MAX
} kp_tree_aggregate;

typedef struct kp_forest {
  bool wide;       // samples are float64, else float32
  bool tells_nan;  // some node sends a NaN to the branch for yes
  bool single;     // one target, one weight a leaf
  kp_tree_node32* narrow_nodes;
  kp_tree_node64* wide_nodes;
  uint32_t* roots;   // first nodes
  uint32_t* depths;  // most steps from a root to a leaf
  size_t tree_count;
  size_t feature_count;  // features that a sample must have
  // By leaf, unless |single|: weights [leaf_first[l], leaf_first[l + 1]). |targets| NULL: every leaf has one for each target, in order.
  uint32_t* leaf_first;
  uint32_t* targets;
  double* weights;
  size_t target_count;
} kp_forest;

// Makes a forest of |source| in |arena|. |wide|: for samples of float64. Errors: INVALID_MODEL, naming the tree's node: a child that does not
// exist, a node that is reached twice (a cycle, a branch that is shared), a negative feature; LIMIT; OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_forest_build(const kp_tree_source* source, bool wide, kp_arena* arena,
                                       kp_forest* out_forest);

// Walks |rows| samples (float32, or float64 where the forest is wide; |stride| elements from one to the next) through all trees and
// aggregates what the leaves give into |sums| [rows][target_count], which the caller has set to where it begins: 0, or the largest or
// smallest number. AVERAGE sums up.
void kp_forest_run(const kp_forest* forest, kp_tree_aggregate aggregate, const void* samples,
                   size_t rows, size_t stride, double* sums);

#endif  // KP_PROVIDER_CPU_OP_ML_FOREST_H_
