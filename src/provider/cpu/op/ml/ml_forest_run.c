// Walks forests; see ml_forest.h.
//
// A walk waits at each node for two loads that depend on each other. So LANES walks take their steps in turn: of as many samples
// through one tree, or, where there are fewer samples, of one sample through as many trees. Nobody branches on the answers.
#include "provider/cpu/op/ml/ml_forest.h"

#define LANES 8

// --- what a leaf gives -------------------------------------------------------------------------------------------------------
static void add_weight(kp_tree_aggregate aggregate, double weight, double* sum) {
  if (aggregate == KP_TREE_MIN)
    *sum = weight < *sum ? weight : *sum;
  else if (aggregate == KP_TREE_MAX)
    *sum = weight > *sum ? weight : *sum;
  else
    *sum += weight;
}

static void add_leaf(const kp_forest* forest, kp_tree_aggregate aggregate, uint32_t leaf,
                     double* sums) {
  const uint32_t first = forest->leaf_first[leaf], end = forest->leaf_first[leaf + 1];
  if (!forest->targets && aggregate <= KP_TREE_SUM) {
    for (uint32_t i = first; i < end; ++i) sums[i - first] += forest->weights[i];
    return;
  }
  for (uint32_t i = first; i < end; ++i)
    add_weight(aggregate, forest->weights[i],
               &sums[forest->targets ? forest->targets[i] : i - first]);
}

// --- walking -----------------------------------------------------------------------------------------------------------------
// |nan| is a constant in every call: are there nodes at which a NaN answers yes?
#define WALKS(real, node_type)                                                                     \
  static inline uint32_t step_##real(const node_type* node, const real* x, bool nan) {             \
    if (!nan) return node->child + (x[node->feature] <= node->threshold);                          \
    const real value = x[node->feature >> 1];                                                      \
    return node->child + ((value <= node->threshold) | ((node->feature & 1) & (value != value)));  \
  }                                                                                                \
  static inline void walk_##real(const node_type* nodes, uint32_t at[LANES],                       \
                                 const real* const x[LANES], uint32_t depth, bool nan) {           \
    for (uint32_t d = 0; d < depth; ++d) {                                                         \
      uint32_t moved = 0;                                                                          \
      for (int l = 0; l < LANES; ++l) {                                                            \
        const uint32_t to = step_##real(&nodes[at[l]], x[l], nan);                                 \
        moved |= at[l] ^ to;                                                                       \
        at[l] = to;                                                                                \
      }                                                                                            \
      if (!moved) break;                                                                           \
    }                                                                                              \
  }                                                                                                \
  static void give_##real(const kp_forest* forest, kp_tree_aggregate aggregate,                    \
                          const node_type* node, double* sums) {                                   \
    if (!forest->single)                                                                           \
      add_leaf(forest, aggregate, node->leaf, sums);                                               \
    else                                                                                           \
      add_weight(aggregate, (double)node->value, sums);                                            \
  }                                                                                                \
  /* LANES samples through one tree. */                                                            \
  static inline void samples_##real(const kp_forest* forest, const node_type* nodes,               \
                                    kp_tree_aggregate aggregate, size_t tree, const real* samples, \
                                    size_t stride, double* sums, bool nan) {                       \
    uint32_t at[LANES];                                                                            \
    const real* x[LANES];                                                                          \
    for (size_t l = 0; l < LANES; ++l) {                                                           \
      at[l] = forest->roots[tree];                                                                 \
      x[l] = samples + l * stride;                                                                 \
    }                                                                                              \
    walk_##real(nodes, at, x, forest->depths[tree], nan);                                          \
    for (size_t l = 0; l < LANES; ++l)                                                             \
      give_##real(forest, aggregate, &nodes[at[l]], sums + l * forest->target_count);              \
  }                                                                                                \
  /* One sample through LANES trees from |tree| on, or as many as there are. */                    \
  static inline void trees_##real(const kp_forest* forest, const node_type* nodes,                 \
                                  kp_tree_aggregate aggregate, size_t tree, const real* sample,    \
                                  double* sums, bool nan) {                                        \
    uint32_t at[LANES], depth = 0;                                                                 \
    const real* x[LANES];                                                                          \
    const size_t count = kp_min_size(LANES, forest->tree_count - tree);                            \
    for (size_t l = 0; l < LANES; ++l) {                                                           \
      const size_t own = tree + (l < count ? l : 0);                                               \
      at[l] = forest->roots[own];                                                                  \
      x[l] = sample;                                                                               \
      depth = forest->depths[own] > depth ? forest->depths[own] : depth;                           \
    }                                                                                              \
    walk_##real(nodes, at, x, depth, nan);                                                         \
    for (size_t l = 0; l < count; ++l) give_##real(forest, aggregate, &nodes[at[l]], sums);        \
  }                                                                                                \
  static inline void run_##real(const kp_forest* forest, const node_type* nodes,                   \
                                kp_tree_aggregate aggregate, const real* samples, size_t rows,     \
                                size_t stride, double* sums, bool nan) {                           \
    const size_t full = rows / LANES * LANES, targets = forest->target_count;                      \
    for (size_t t = 0; full && t < forest->tree_count; ++t)                                        \
      for (size_t r = 0; r < full; r += LANES)                                                     \
        samples_##real(forest, nodes, aggregate, t, samples + r * stride, stride,                  \
                       sums + r * targets, nan);                                                   \
    for (size_t r = full; r < rows; ++r)                                                           \
      for (size_t t = 0; t < forest->tree_count; t += LANES)                                       \
        trees_##real(forest, nodes, aggregate, t, samples + r * stride, sums + r * targets, nan);  \
  }
WALKS(float, kp_tree_node32)
WALKS(double, kp_tree_node64)
#undef WALKS

void kp_forest_run(const kp_forest* forest, kp_tree_aggregate aggregate, const void* samples,
                   size_t rows, size_t stride, double* sums) {
  if (forest->wide && forest->tells_nan)
    run_double(forest, forest->wide_nodes, aggregate, samples, rows, stride, sums, true);
  else if (forest->wide)
    run_double(forest, forest->wide_nodes, aggregate, samples, rows, stride, sums, false);
  else if (forest->tells_nan)
    run_float(forest, forest->narrow_nodes, aggregate, samples, rows, stride, sums, true);
  else
    run_float(forest, forest->narrow_nodes, aggregate, samples, rows, stride, sums, false);
}
