// Reads the attributes of TreeEnsemble, TreeEnsembleClassifier and TreeEnsembleRegressor.
#ifndef KP_PROVIDER_CPU_OP_ML_TREE_READ_H_
#define KP_PROVIDER_CPU_OP_ML_TREE_READ_H_

#include "provider/cpu/op/ml/ml_forest.h"

// TreeEnsemble-5. Errors: INVALID_MODEL (lists that are not of one length, unknown modes, targets out of range), LIMIT, OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_tree_read(const kp_node* node, kp_arena* arena,
                                    kp_tree_source* out_source);
// The older operators, whose attributes on leaves begin with |prefix| ("class", "target"). The same errors.
KP_MUST_USE kp_status* kp_tree_read_old(const kp_node* node, const char* prefix,
                                        size_t target_count, kp_arena* arena,
                                        kp_tree_source* out_source);
// Floats of attribute |name|, or of the tensor |name|_as_tensor, as float64; none: count 0.
KP_MUST_USE kp_status* kp_tree_read_reals(const kp_node* node, const char* name, kp_arena* arena,
                                          const double** out_list, size_t* out_count);

#endif  // KP_PROVIDER_CPU_OP_ML_TREE_READ_H_
